"""`(decoder | effect | analyzer | grapher | encoder).run()`: one pass in this process."""

import os
import threading
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, ClassVar, Self
from uuid import uuid4

from pydantic import Field

from timeside_core.audio import Array, Media, Segment, Stream
from timeside_core.engine import Emission, Engine, Wanted
from timeside_core.errors import CancelledError, FormatError, PipelineError
from timeside_core.key import digest
from timeside_core.outputs import Rows
from timeside_core.processor import Analyzer, Effect, Processor, Step, inputs_of, result_id
from timeside_core.results import Provenance, Result, Results, joined

LIBRARIES = ("numpy", "scipy", "soxr", "aubio-ledfx", "librosa", "av", "soundfile")
"""Libraries whose versions are written into a result's provenance, where they are installed."""


class Source:
    """An opened decoder: its clock, its media, its blocks. Use as a context manager, iterate once."""

    stream: Stream
    """Clock of the blocks."""
    media: Media
    """What is known now; complete (exact length, SHA-256) once the blocks were read to the end."""
    segment: Segment
    """The part of the media that is decoded, in samples."""

    @abstractmethod
    def __iter__(self) -> Iterator[Array]:
        """Blocks of shape `(samples, channels)`, float32, full scale ±1; each a fresh array, never empty."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the media."""


class Decoder(Processor):
    """Turns media into blocks of audio."""

    start: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """Where to begin, s."""
    duration: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """How much to decode, s; all of it where not given."""

    @abstractmethod
    def open(self) -> Source:
        """Open the media; raises `MediaError` or `SegmentError`."""

    def open_until(self, cancel: threading.Event | None) -> Source:
        """As `open`; a decoder that waits for its source raises `CancelledError` soon after `cancel` was set."""
        return self.open()

    def __or__(self, other: "Processor | Pipeline") -> "Pipeline":
        return Pipeline(self) | other


class Grapher(Processor):
    """Draws from results, so that a picture of any size and time span can be drawn later without decoding.

    `input` names the analyzers whose results it draws; a pipeline adds them by itself.
    """

    @abstractmethod
    def draw(
        self,
        results: Results,
        *,
        width: int = 1024,
        height: int = 256,
        start_s: float | None = None,
        stop_s: float | None = None,
        format: str = "png",
    ) -> bytes:
        """A picture of the results between two times, as the bytes of a PNG or SVG file."""

    def render(
        self,
        results: Results,
        output: str | os.PathLike[str] | None = None,
        *,
        width: int = 1024,
        height: int = 256,
        start_s: float | None = None,
        stop_s: float | None = None,
        format: str | None = None,
    ) -> bytes:
        """Draw; where `output` is given also write it there, whole or not at all.

        The format is that of the output's suffix where it is not given, PNG where neither is. Raises `ParameterError`
        for what cannot be drawn, `FormatError` where it cannot be written.
        """
        path = None if output is None else Path(output)
        if format is None:
            format = "png" if path is None else path.suffix.removeprefix(".").lower()
        picture = self.draw(results, width=width, height=height, start_s=start_s, stop_s=stop_s, format=format)
        if path is not None:
            _write_whole(path, picture)
        return picture


class Encoder(Step):
    """Turns blocks of audio into a file, or into chunks of bytes while encoding; see `timeside_encoder`."""

    extension: ClassVar[str] = ""
    """Suffix of its files, without the dot."""
    mime_type: ClassVar[str] = ""


Progress = Callable[[float, float | None], None]
"""Called with the seconds done and, where it is known, the seconds in all."""


class Pipeline:
    """A decoder and what follows it. Effects act on all that come after them."""

    def __init__(self, decoder: Decoder, processors: tuple[Processor, ...] = ()) -> None:
        self.decoder = decoder
        self.processors = processors
        self.results = Results()
        """Results of the last run."""

    def __or__(self, other: "Processor | Pipeline") -> "Pipeline":
        if isinstance(other, Pipeline) or not isinstance(other, Processor):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise PipelineError(f"{other!r} cannot follow in a pipeline: processors can")
        if isinstance(other, Decoder):
            raise PipelineError(f"{other.label()!r} cannot follow: a pipeline has one decoder, the first")
        if not isinstance(other, Effect | Analyzer | Encoder | Grapher):
            raise PipelineError(f"{other.label()!r} cannot follow: it is a form of input, not something to run")
        return Pipeline(self.decoder, (*self.processors, other))

    def __repr__(self) -> str:
        return " | ".join(each.label() for each in (self.decoder, *self.processors))

    def _repr_html_(self) -> str:
        from timeside_core import display

        return display.pipeline_html(self)

    def run(self, *, progress: Progress | None = None, cancel: threading.Event | None = None) -> Results:
        """Run to the end; return the results of all analyzers, those that graphers brought along included."""
        for _ in self.stream(progress=progress, cancel=cancel):
            pass
        return self.results

    def stream(
        self, *, progress: Progress | None = None, cancel: threading.Event | None = None
    ) -> Iterator[tuple[Step, Emission]]:
        """Run, yielding each step's rows (or an encoder's bytes) as they are completed."""
        wanted = list(plan(self.processors))
        with self.decoder.open_until(cancel) as source, Engine(wanted, source.stream) as engine:
            collected: dict[tuple[int, str], list[Rows]] = {}

            def keep(emissions: list[Emission]) -> Iterator[tuple[Step, Emission]]:
                for emission in emissions:
                    if emission.rows is not None:
                        collected.setdefault((emission.index, emission.output), []).append(emission.rows)
                    yield wanted[emission.index].step, emission

            samples = 0
            for block in source:
                if cancel is not None and cancel.is_set():
                    raise CancelledError(f"{self!r} was cancelled")
                yield from keep(engine.push(block))
                samples += len(block)
                if progress is not None:
                    progress(samples / source.stream.samplerate, _expected_s(source))
            yield from keep(engine.finish())
            self.results = collect(engine, wanted, collected, source.media, source.segment)


def plan(processors: tuple[Processor, ...]) -> Iterator[Wanted]:
    """Steps to run, each once, with the effects upstream of it; analyzers that graphers draw are among them."""
    seen: set[Wanted] = set()
    effects: tuple[Effect, ...] = ()
    for processor in processors:
        if isinstance(processor, Effect):
            effects = (*effects, processor)
            continue
        steps = inputs_of(processor) if isinstance(processor, Grapher) else (processor,)
        for step in steps:
            if isinstance(step, Step) and (wanted := Wanted(step, effects)) not in seen:
                seen.add(wanted)
                yield wanted


def collect(
    engine: Engine, wanted: list[Wanted], collected: dict[tuple[int, str], list[Rows]], media: Media, segment: Segment
) -> Results:
    """The results of a finished engine, one per declared output, whether or not there were rows."""
    results: list[Result] = []
    for index, each in enumerate(wanted):
        if isinstance(each.step, Analyzer):
            provenance = provenance_of(each, media, segment, run_time_s=engine.run_time_s(index))
            rows = {name: parts for (found, name), parts in collected.items() if found == index}
            results += results_at(engine, index, rows, provenance)
    return Results(results)


def results_at(
    engine: Engine, index: int, collected: Mapping[str, list[Rows]], provenance: Provenance
) -> Iterator[Result]:
    """The results of one analyzer of a finished engine, given the rows of each output."""
    analyzer = engine.step(index)
    assert isinstance(analyzer, Analyzer)
    for name, output in analyzer.declared().items():
        rows = joined(collected.get(name, []), output)
        scalar = output.time_mode == "global" and len(rows)
        yield Result(
            id=result_id(analyzer, name),
            output=output,
            values=rows.values[-1] if scalar else rows.values,
            stream=engine.stream(index),
            provenance=replace(provenance),
            event_times=rows.times,
            event_durations=rows.durations,
            bins=analyzer.bins(name),
        )


def provenance_of(wanted: Wanted, media: Media, segment: Segment, *, run_time_s: float = 0.0) -> Provenance:
    """Where a result of a step comes from that was computed now."""
    step, effects = wanted.step, wanted.effects
    return Provenance(
        processor=step.id,
        version=step.version,
        parameters=step.parameters(),
        digest=digest(step, effects=effects, segment=segment),
        media=media,
        segment=segment,
        effects=[effect.identity() for effect in effects],
        run_time_s=run_time_s,
        created=datetime.now(UTC).isoformat(timespec="milliseconds"),
        libraries=library_versions(),
    )


@cache
def library_versions() -> dict[str, str]:
    """Versions of TimeSide and of the signal libraries that are installed."""
    found: dict[str, str] = {}
    for name in ("timeside", *LIBRARIES):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _write_whole(path: Path, content: bytes) -> None:
    """Write to a hidden sibling first, so that nobody ever reads half a file."""
    sibling = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        sibling.write_bytes(content)
        sibling.replace(path)
    except OSError as error:
        raise FormatError(f"{path} cannot be written: {error.strerror}") from error
    finally:
        sibling.unlink(missing_ok=True)


def _expected_s(source: Source) -> float | None:
    samples = source.segment.samples
    if samples is None and source.media.samples is not None:
        samples = source.media.samples - source.segment.first_sample
    return None if samples is None else samples / source.stream.samplerate
