"""One run of a pipe: the engine passes audio to native processors and plug-ins alike, then plug-ins post-process."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from timeside.core.api import IEffect
from timeside.core.component import implements_interface
from timeside.core.exchange import to_native
from timeside.core.feed import Feed, call
from timeside.core.processor import BLOCKSIZE, Processor, ProcessPipe
from timeside_core.audio import Array, Media, Segment, Stream
from timeside_core.engine import Emission, Engine, Wanted
from timeside_core.errors import FormatError, TimesideError
from timeside_core.key import digest
from timeside_core.outputs import Rows
from timeside_core.pipeline import Source, collect, library_versions
from timeside_core.processor import Analyzer, Effect, Step
from timeside_core.results import Provenance, Result, Results

Chunk = tuple[Processor, bytes]
"""What an encoder has encoded."""


class PluginStep(Step):
    """Hands audio to a plug-in that is no effect."""

    feed: Any

    def start(self, stream: Stream) -> None:
        """Set it up."""
        self.feed.start(stream)

    def process(self, block: Array) -> None:
        """Hand audio over."""
        self.feed.push(block)

    def finish(self) -> None:
        """Hand the last of it over."""
        self.feed.finish()

    def close(self) -> None:
        """Release it."""
        self.feed.close()

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)


@dataclass(frozen=True, slots=True)
class Part:
    """A processor of the pipe, and what the engine does for it."""

    item: Processor
    fed: bool
    """Whether it is a plug-in that is handed audio."""
    indices: tuple[int, ...]
    """Positions of its steps in the list of what is wanted."""
    effects: tuple[Effect, ...]
    """Effects upstream of it."""


class Run:
    """A run over one stream. Use as a context manager: leaving it releases all."""

    def __init__(
        self,
        pipe: ProcessPipe,
        items: Sequence[Processor],
        stream: Stream,
        *,
        mediainfo: Callable[[], dict[str, Any]],
        effects: tuple[Effect, ...] = (),
        blocksize: int = BLOCKSIZE,
        totalframes: int | None = None,
    ) -> None:
        self._pipe = pipe
        after = effects[-1].clock(stream) if effects else stream
        self._samplerate = after.samplerate
        self._form: dict[str, Any] = {"blocksize": blocksize, "totalframes": totalframes}
        self._wanted: dict[Wanted, int] = {}
        self._rows: dict[tuple[int, str], list[Rows]] = {}
        self._parts: list[Part] = []
        self._mediainfo = mediainfo
        form = {"channels": after.channels, "samplerate": after.samplerate, **self._form}
        for item in items:
            part, effects = self._planned(item, effects)
            self._parts.append(part)
            if part.fed:
                item.source_mediainfo = mediainfo()
            else:
                item.setup(**form)
        self._engine = Engine(list(self._wanted), stream)
        pipe.results = {}

    def __enter__(self) -> Self:
        """Set all up."""
        self._engine.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        """Release all."""
        self._engine.__exit__(*error)

    def push(self, block: Array) -> list[Chunk]:
        """Take the next block; return what was encoded."""
        return self._taken(self._engine.push(block))

    def finish(self, media: Media, segment: Segment) -> list[Chunk]:
        """Say that the signal has ended, and what is known of it now; make all results; return what was encoded."""
        chunks = self._taken(self._engine.finish())
        results = self._results(media, segment)
        self._pipe.native_results = Results([each for of_step in results for each in of_step])
        for part in self._parts:
            part.item.source_mediainfo = self._mediainfo() if part.fed else self._mediainfo
            part.item.run_time = timedelta(seconds=sum(map(self._engine.run_time_s, part.indices)))
            part.item.take_results(Results([each for index in part.indices for each in results[index]]))
        for part in self._parts:
            if part.fed:
                call(part.item, "post_process")
                self._trace(part, media, segment)
        return chunks

    def _planned(self, item: Processor, effects: tuple[Effect, ...]) -> tuple[Part, tuple[Effect, ...]]:
        steps = item.native_steps(self._samplerate)
        fed = steps is None
        if implements_interface(type(item), IEffect):
            effect: Any = item.native_value().around(item, **self._form) if steps is None else steps[0]
            return Part(item, fed, (), effects), (*effects, effect)
        if steps is None:
            steps = [PluginStep(feed=Feed(item, **self._form))]
        wanted = [Wanted(step, effects) for step in steps]
        indices = tuple(self._wanted.setdefault(each, len(self._wanted)) for each in wanted)
        return Part(item, fed, indices, effects), effects

    def _taken(self, emissions: list[Emission]) -> list[Chunk]:
        chunks: list[Chunk] = []
        for each in emissions:
            if each.rows is not None:
                self._rows.setdefault((each.index, each.output), []).append(each.rows)
            elif isinstance(each.payload, bytes):
                chunks += [(part.item, each.payload) for part in self._parts if each.index in part.indices]
        return chunks

    def _results(self, media: Media, segment: Segment) -> list[list[Result]]:
        """Results of each step that is wanted."""
        results = iter(collect(self._engine, list(self._wanted), self._rows, media, segment))
        steps = map(self._engine.step, range(len(self._wanted)))
        return [[next(results) for _ in step.declared()] if isinstance(step, Analyzer) else [] for step in steps]

    def _trace(self, part: Part, media: Media, segment: Segment) -> None:
        """Tell the results of a plug-in where they come from."""
        added = self._pipe.results.get(part.item.uuid(), {})
        provenance = _provenance(part, media, segment)
        for result in added.values():
            with suppress(FormatError):  # what cannot be written is told when it is to be written
                result.remember(to_native(result, provenance))


def run(pipe: ProcessPipe, *, channels: int | None, samplerate: int | None, blocksize: int) -> Iterator[Chunk]:
    """Run a pipe from its decoder to the results, yielding what its encoders have encoded."""
    decoder: Any = pipe.processors[0]
    with decoder.open(channels=channels, samplerate=samplerate, blocksize=blocksize) as source:
        effects: tuple[Effect, ...] = decoder.conversion(source.stream, channels, samplerate)
        with Run(
            pipe,
            pipe.processors[1:],
            source.stream,
            mediainfo=decoder.mediainfo,
            effects=effects,
            blocksize=blocksize,
            totalframes=_totalframes(source, effects),
        ) as running:
            for block in source:
                yield from running.push(block)
            decoder.learn(source)
            yield from running.finish(source.media, source.segment)


def _totalframes(source: Source, effects: tuple[Effect, ...]) -> int | None:
    """Samples that plug-ins will be given, None where the media does not tell."""
    samples = source.segment.samples
    if samples is None and source.media.samples is not None:
        samples = source.media.samples - source.segment.first_sample
    if samples is None or not effects:
        return samples
    return round(samples * effects[-1].clock(source.stream).samplerate / source.stream.samplerate)


def _provenance(part: Part, media: Media, segment: Segment) -> Provenance:
    """Where results of a plug-in come from; parameters that are no JSON are left out, and there is no key then."""
    parameters: dict[str, Any] = {}
    key = ""
    with suppress(TimesideError, ValueError):
        value = part.item.native_value()
        parameters, key = value.parameters(), digest(value, effects=part.effects, segment=segment)
    return Provenance(
        processor=part.item.id(),
        version=part.item.version(),
        parameters=parameters,
        digest=key,
        media=media,
        segment=segment,
        effects=[each.identity() for each in part.effects],
        run_time_s=part.item.run_time.total_seconds(),
        created=datetime.now(UTC).isoformat(timespec="milliseconds"),
        libraries=library_versions(),
    )
