"""The handler of blocks of a live source: results of fixed segments, each written and reported when it is over.

A segment is a result of its own: the session stands for the media, and the digest holds the segment in samples. So who
goes on after a crash needs nothing but the samples of the segments that were not over, and makes results of the same
keys. Each processor has engines of its own: over days, one that fails must not end the others.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from timeside_core import topics
from timeside_core.audio import Array, Media, Stream
from timeside_core.engine import Wanted
from timeside_core.errors import ProcessorError, TimesideError
from timeside_core.messages import (
    Block,
    BlockKind,
    Done,
    Ended,
    LiveSource,
    OpenedOutput,
    SegmentOfMedia,
    Start,
    StoredResultRef,
)
from timeside_core.outputs import Rows
from timeside_core.processor import Analyzer
from timeside_core.results import Result, Results
from timeside_core.segmenting import SegmentedEngine
from timeside_core.stage.analysis import Analysis, Outlet, Partial, Wish, opened_output, writing
from timeside_core.stage.handler import OnStep, Outgoing
from timeside_core.store import Store

PARTIAL_S = 0.5
"""How often rows are sent before their segment is over."""
AGAIN_S = 5.0
"""How often it is said again what rows they are."""


class LiveAnalysis(Analysis):
    """Blocks of one live run in; rows, results of segments and progress out."""

    def __init__(self, pool: str, store: Store, on_step: OnStep) -> None:
        super().__init__(pool, _none, on_step)
        self._store = store
        self._segments: dict[int, _Segments] = {}
        """By index in the plan; those that failed are gone."""
        self._position = 0

    def handle(self, message: Block) -> Iterator[Outgoing]:
        """Take the next block."""
        if message.kind is BlockKind.START:
            assert isinstance(message.body, Start)
            yield from self._begin(message, message.body)
        elif message.kind is BlockKind.DATA:
            yield from self._push(message.audio())
        elif message.kind is BlockKind.END:
            for index, segments in list(self._segments.items()):
                yield from self._tried(index, segments.finish())
        needed = [segments.low_watermark for segments in self._segments.values()]
        self.low_watermark = min(needed, default=self._position)
        is_over = message.kind in (BlockKind.END, BlockKind.ERROR, BlockKind.CANCELLED)
        self.done = is_over or not self._segments

    def close(self) -> None:
        """Release all engines."""
        while self._segments:
            self._segments.popitem()[1].close()

    def _begin(self, block: Block, start: Start) -> Iterator[Outgoing]:
        """Begin, or go on in the middle: with the first segment of which all samples come."""
        self._run, self._facts, self._segment = start.run, start.facts, start.run.plan.segment.segment()
        self._position = block.first_sample
        stream = Stream(
            samplerate=block.samplerate,
            channels=block.channels,
            start_s=self._segment.first_sample / block.samplerate,
        )
        for index, planned in enumerate(start.run.plan.processors):
            if planned.pool == self._pool:
                try:
                    wish = Wish(start.run, index, planned)
                    media = start.facts.media(f"live:{wish.media}")
                    self._segments[index] = _Segments(wish, self._store, media, stream, block.first_sample)
                except TimesideError as error:
                    yield self._failed(index, "unknown", str(error), retriable=False)

    def _push(self, audio: Array) -> Iterator[Outgoing]:
        for index, segments in list(self._segments.items()):
            self._on_step(segments.analyzer, (index,))
            yield from self._tried(index, segments.push(audio, self._position))
        self._position += len(audio)
        self._samples = self._position
        yield self._progress()

    def _fail(self, index: int, error: Exception) -> Iterator[Outgoing]:
        """Tell at once: there is no end to wait for."""
        yield self._explained(index, error)
        self._segments.pop(index).close()


def _none(wish: Wish) -> Outlet:
    raise ProcessorError(f"{wish.planned.id!r}: live runs have no outlets")


class _Segments:
    """The results of one processor, one segment after the other."""

    def __init__(self, wish: Wish, store: Store, media: Media, stream: Stream, first_sample: int) -> None:
        if not isinstance(wish.processor, Analyzer):
            raise ProcessorError(f"{wish.planned.id!r} is no analyzer: of live sources this pool runs analyzers only")
        self._wish, self._store, self.analyzer = wish, store, wish.processor
        source = wish.run.plan.source
        assert isinstance(source, LiveSource)
        wanted = Wanted(wish.processor, wish.effects)
        self._engine = _from(first_sample, wanted, media, stream, segment_s=source.segment_s)
        self._position = self._engine.low_watermark
        self._every = self._next_look = round(PARTIAL_S * stream.samplerate)
        self._partial = Partial(wish)
        self._told: dict[str, int] = {}
        """Rows sent of the segment at hand, by output."""
        self._sent: dict[str, int] = {}
        """The same of those before it."""
        self._clock = stream
        self._outputs: list[OpenedOutput] = []
        self._again = self._next_again = round(AGAIN_S * stream.samplerate)

    @property
    def low_watermark(self) -> int:
        """First sample that is still needed."""
        return self._engine.low_watermark

    def push(self, audio: Array, position: int) -> Iterator[Outgoing]:
        """Take a block that begins at `position`."""
        audio = audio[max(0, self._position - position) :]
        if not len(audio):
            return
        closed = self._engine.push(audio)
        self._position += len(audio)
        for results in closed:
            yield from self._close(results)
        if self._wish.run.plan.partial_rows and self._position >= self._next_look:
            self._next_look = self._position + self._every
            yield from self._tell(self._engine.so_far())
            yield from self._tell_again()

    def finish(self) -> Iterator[Outgoing]:
        """The source has ended: the last segment is as long as it is."""
        for results in self._engine.finish():
            yield from self._close(results)
        if self._partial.is_open:
            yield self._partial.close()
        yield Outgoing(topics.RESULT, Ended(**self._wish.ids(), samples=self._position))

    def close(self) -> None:
        """Release the engines."""
        self._engine.__exit__()

    def _close(self, results: Results) -> Iterator[Outgoing]:
        """A segment is over."""
        yield self._done(results)
        if self._wish.run.plan.partial_rows:
            yield from self._tell(results)
        self._sent = {name: self._sent.get(name, 0) + told for name, told in self._told.items()}
        self._told = {}

    def _done(self, results: Results) -> Outgoing:
        """Write and report it."""
        provenance = results[0].provenance
        key = replace(self._wish.key(), digest=provenance.digest)
        by_output = dict(zip(self.analyzer.declared(), results, strict=True))
        with writing(self._wish):
            writer = self._store.writer(key, {name: result.output for name, result in by_output.items()})
            for name, result in by_output.items():
                if len(rows := _rows(result)):
                    writer.append(name, rows)
            stored = writer.finish(provenance, _clock(results), {name: each.bins for name, each in by_output.items()})
        assert provenance.segment.samples is not None
        segment = SegmentOfMedia(first_sample=provenance.segment.first_sample, samples=provenance.segment.samples)
        done = Done(
            **self._wish.ids(),
            media=self._wish.media,
            id=key.processor,
            processor_version=key.version,
            digest=key.digest,
            result=StoredResultRef(prefix=stored.prefix, manifest_sha256=stored.manifest_sha256),
            size=stored.size,
            samples=provenance.segment.samples,
            segment=segment,
            run_time_s=provenance.run_time_s,
        )
        return Outgoing(topics.RESULT, done)

    def _tell(self, results: Sequence[Result]) -> Iterator[Outgoing]:
        """Send the rows of the segment at hand that were not sent yet."""
        by_output = dict(zip(self.analyzer.declared(), results, strict=False))
        rows = {name: _rows(result) for name, result in by_output.items()}
        if not any(map(len, rows.values())):
            return
        if not self._partial.is_open or self._has_shifted(by_output):
            self._clock, self._sent, self._told = _clock(results), {}, {}
            self._outputs = [opened_output(name, each.bins, rows[name]) for name, each in by_output.items()]
            self._next_again = self._position + self._again
            yield self._partial.open(self._clock, self._outputs)
        for index, (name, found) in enumerate(rows.items()):
            told, sent = self._told.get(name, 0), self._sent.get(name, 0)
            fresh = Rows(found.values[told:], found.times[told:], found.durations[told:])
            yield from self._partial.rows(index, sent + told, fresh)
            self._told[name] = len(found)

    def _tell_again(self) -> Iterator[Outgoing]:
        """Say to who came later what rows come."""
        if self._partial.is_open and self._position >= self._next_again:
            self._next_again = self._position + self._again
            rows = [self._sent.get(each.name, 0) + self._told.get(each.name, 0) for each in self._outputs]
            yield self._partial.open_again(self._clock, self._outputs, rows)

    def _has_shifted(self, by_output: dict[str, Result]) -> bool:
        """Whether rows lie elsewhere than those before them say: at rates without a common measure, they may."""
        for name, result in by_output.items():
            if result.output.time_mode == "framewise" and not self._told.get(name):
                expected_s = self._clock.start_s + self._sent.get(name, 0) / self._clock.row_rate
                return abs(result.stream.start_s - expected_s) > 0.5 / self._clock.row_rate
        return False


def _from(first_sample: int, wanted: Wanted, media: Media, stream: Stream, *, segment_s: float) -> SegmentedEngine:
    """An engine of the first segment that needs no sample before that one."""
    number = first_sample // round(segment_s * stream.samplerate)
    while True:
        engine = SegmentedEngine([wanted], media, stream, segment_s=segment_s, first_segment=number)
        if engine.low_watermark >= first_sample:
            return engine.__enter__()
        number += 1


def _rows(result: Result) -> Rows:
    """As they would be appended; none where there is no global value."""
    if result.output.time_mode == "global":
        value = np.asarray(result.values)
        return Rows(value[np.newaxis] if value.size else value.reshape(0))
    return Rows(result.values, result.event_times, result.event_durations)


def _clock(results: Sequence[Result]) -> Stream:
    """That of the rows; outputs of one value have no use for it."""
    return next((each.stream for each in results if each.output.time_mode == "framewise"), results[0].stream)
