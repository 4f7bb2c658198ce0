"""The handler of blocks: one engine for all processors that a pool runs of a plan, and an outlet for what each yields.

A processor that fails ends itself only. Equal inputs are computed once, however many processors read them.
"""

import logging
import uuid
from abc import abstractmethod
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np

from timeside_core import topics
from timeside_core.audio import Array, Media, Segment, Stream
from timeside_core.engine import Emission, Engine, Wanted
from timeside_core.errors import ProcessorError, StoreError, TimesideError
from timeside_core.key import digest
from timeside_core.messages import (
    Block,
    BlockKind,
    Clock,
    Closed,
    Done,
    Failed,
    LiveSource,
    MediaFacts,
    Opened,
    OpenedOutput,
    PartialRows,
    PlannedProcessor,
    ProcessorValue,
    Progress,
    Run,
    Start,
    StoredMedia,
    StoredResultRef,
)
from timeside_core.messages import End as EndOfStream
from timeside_core.outputs import Rows
from timeside_core.pipeline import provenance_of
from timeside_core.processor import Analyzer, Effect, Processor, Step
from timeside_core.registry import get_processor
from timeside_core.stage.handler import Handler, OnStep, Outgoing
from timeside_core.store import ResultKey, Store

_log = logging.getLogger(__name__)

PIECE_BYTES = 256 << 10
"""Rows that are sent in one message: far below what a message may be, and soon there."""


class Wish:
    """A processor of a plan, as it was asked for, and the steps of the engine that it needs."""

    def __init__(self, run: Run, index: int, planned: PlannedProcessor) -> None:
        self.run, self.index, self.planned = run, index, planned
        self.processor = instance(planned)
        self.effects = tuple(_effect(each) for each in planned.effects)
        is_live = isinstance(run.plan.source, LiveSource)  # whose results tell their segments, one by one
        segment = None if is_live else run.plan.segment.segment()
        if planned.digest != digest(self.processor, effects=self.effects, segment=segment):
            raise ProcessorError(f"{planned.id!r}: the digest of its parameters here is not the one that was planned")

    @property
    def media(self) -> str:
        """SHA-256 of the media, or the session of a live source."""
        source = self.run.plan.source
        return source.sha256 if isinstance(source, StoredMedia) else str(source.session)

    def key(self) -> ResultKey:
        """Of its result."""
        return ResultKey(self.media, self.planned.id, self.planned.version, self.planned.digest)

    def ids(self) -> dict[str, Any]:
        """What messages about it begin with."""
        return {"run_id": self.run.run_id, "attempt": self.run.attempt, "processor": self.index}


def derived_name(wish: Wish, extension: str) -> str:
    """Name of a fresh object for a file made of a media: like results, nobody else ever writes to it."""
    planned, media = wish.planned, wish.media
    folder = f"derived/{media[:2]}/{media}/{planned.id}/{planned.version}/{planned.digest[:16]}"
    return f"{folder}/{uuid.uuid4().hex}.{extension}"


class Outlet:
    """What becomes of what the steps of one processor yield."""

    wanted: tuple[Wanted, ...]
    """Steps that it needs, in the engine's terms."""

    @abstractmethod
    def open(self, engine: Engine, positions: tuple[int, ...]) -> Iterator[Outgoing]:
        """The engine has started; its steps are at these positions there."""

    @abstractmethod
    def take(self, emission: Emission) -> Iterator[Outgoing]:
        """Something was completed."""

    @abstractmethod
    def finish(self, media: Media, segment: Segment, samples: int) -> Iterator[Outgoing]:
        """All was; the media is known to its end."""

    def close(self) -> None:
        """Release what it holds."""


OutletFor: TypeAlias = Callable[[Wish], Outlet]


def instance(value: ProcessorValue) -> Processor:
    """The processor that a message names; raises `TimesideError` where it cannot be had here."""
    kind = get_processor(value.id)
    if kind.version != value.version:
        raise ProcessorError(f"{value.id!r}: version {value.version} was planned, {kind.version} is installed")
    return kind.from_parameters(value.parameters)


def _effect(value: ProcessorValue) -> Effect:
    effect = instance(value)
    if not isinstance(effect, Effect):
        raise ProcessorError(f"{value.id!r} is no effect")
    return effect


class Analysis(Handler):
    """Blocks of one run in; rows, results and progress out."""

    def __init__(self, pool: str, outlet_for: OutletFor, on_step: OnStep, *, takes_all: bool = False) -> None:
        """`takes_all`: it runs the processors of all pools."""
        self._pool, self._takes_all = pool, takes_all
        self._outlet_for, self._on_step = outlet_for, on_step
        self._outlets: dict[int, Outlet] = {}
        """By index in the plan; those that failed are gone."""
        self._engine: Engine | None = None
        self._positions: dict[int, list[int]] = {}
        """Indices in the plan of those who need the step at a position."""
        self._needed_by: dict[tuple[int, ...], tuple[int, ...]] = {}
        """The same of those who need any of several positions, as it was found out before."""
        self._samples = 0
        self._to_try_again: list[Outgoing] = []
        """Failures that another attempt may mend; told last, so that this attempt's other results still count."""

    def handle(self, message: Block) -> Iterator[Outgoing]:
        """Take the next block."""
        if message.kind is BlockKind.START:
            assert isinstance(message.body, Start)
            yield from self._begin(message, message.body)
        elif message.kind is BlockKind.DATA and self._engine is not None:
            yield from self._hand_out(self._engine.push(message.audio()))
            self._samples += message.samples
            yield self._progress()
        elif message.kind is BlockKind.END and self._engine is not None:
            assert isinstance(message.body, EndOfStream)
            yield from self._finish(message.body)
        self.done = self.done or message.kind in (BlockKind.END, BlockKind.ERROR, BlockKind.CANCELLED)

    def close(self) -> None:
        """Release engine and outlets."""
        for index in list(self._outlets):
            self._outlets.pop(index).close()
        if self._engine is not None:
            engine, self._engine = self._engine, None
            engine.__exit__()

    def _begin(self, block: Block, start: Start) -> Iterator[Outgoing]:
        self._run, self._facts = start.run, start.facts
        self._segment = start.run.plan.segment.segment()
        for index, planned in enumerate(start.run.plan.processors):
            if self._takes_all or planned.pool == self._pool:
                try:
                    self._outlets[index] = self._outlet_for(Wish(start.run, index, planned))
                except TimesideError as error:
                    yield self._failed(index, "unknown", str(error), retriable=False)
        stream = Stream(
            samplerate=block.samplerate,
            channels=block.channels,
            start_s=self._segment.first_sample / block.samplerate,
        )
        wanted = list(dict.fromkeys(each for outlet in self._outlets.values() for each in outlet.wanted))
        for index, outlet in self._outlets.items():
            for each in outlet.wanted:
                self._positions.setdefault(wanted.index(each), []).append(index)
        self._engine = Engine(wanted, stream, isolate=True, on_step=self._note)
        self._engine.__enter__()
        yield from self._hand_out([])
        for index, outlet in list(self._outlets.items()):
            positions = tuple(wanted.index(each) for each in outlet.wanted)
            yield from self._tried(index, outlet.open(self._engine, positions))

    def _note(self, step: Step, positions: Sequence[int]) -> None:
        needed_by = self._needed_by.get(tuple(positions))
        if needed_by is None:
            indices = {index for position in positions for index in self._positions.get(position, ())}
            needed_by = self._needed_by[tuple(positions)] = tuple(sorted(indices))
        self._on_step(step, needed_by)

    def _hand_out(self, emissions: list[Emission]) -> Iterator[Outgoing]:
        assert self._engine is not None
        for emission in _together(emissions):
            for index in self._positions[emission.index]:
                if (outlet := self._outlets.get(index)) is not None:
                    yield from self._tried(index, outlet.take(emission))
        for position, error in self._engine.failures.items():
            for index in self._positions[position]:
                if index in self._outlets:
                    yield from self._fail(index, error)

    def _finish(self, end: EndOfStream) -> Iterator[Outgoing]:
        assert self._engine is not None
        yield from self._hand_out(self._engine.finish())
        media = end.facts.media(_uri(self._run, end.facts))
        for index, outlet in list(self._outlets.items()):
            yield from self._tried(index, outlet.finish(media, self._segment, end.samples))
        yield from self._to_try_again

    def _tried(self, index: int, made: Iterator[Outgoing]) -> Iterator[Outgoing]:
        """What an outlet makes; where it fails, that."""
        try:
            yield from made
        except Exception as error:  # also what libraries raise
            yield from self._fail(index, error)

    def _fail(self, index: int, error: Exception) -> Iterator[Outgoing]:
        failed = self._explained(index, error)
        self._outlets.pop(index).close()
        if isinstance(failed.message, Failed) and failed.message.retriable:
            self._to_try_again.append(failed)
        else:
            yield failed

    def _explained(self, index: int, error: Exception) -> Outgoing:
        if isinstance(error, MemoryError) or isinstance(error.__cause__, MemoryError):
            return self._failed(index, "memory", str(error) or "out of memory", retriable=True)
        if isinstance(error, StoreError | OSError):
            return self._failed(index, "store", str(error), retriable=True)
        if not isinstance(error, TimesideError):
            _log.error("processor %d of the plan", index, exc_info=error)
            return self._failed(index, "internal", f"{type(error).__name__}: {error}", retriable=True)
        return self._failed(index, "processor", str(error), retriable=False)

    def _failed(self, index: int, code: str, reason: str, *, retriable: bool) -> Outgoing:
        failed = Failed(
            run_id=self._run.run_id,
            attempt=self._run.attempt,
            stage=self._pool,
            processor=index,
            code=code,
            reason=reason[:4096],
            at_sample=self._samples,
            retriable=retriable,
        )
        return Outgoing(topics.RESULT, failed)

    def _progress(self) -> Outgoing:
        expected = self._segment.samples
        if expected is None and self._facts.samples is not None:
            expected = max(0, self._facts.samples - self._segment.first_sample)
        return Outgoing(
            topics.PROGRESS,
            Progress(
                run_id=self._run.run_id,
                attempt=self._run.attempt,
                stage=self._pool,
                samples_done=self._samples,
                samples=expected,
            ),
        )


def _together(emissions: Sequence[Emission]) -> Iterator[Emission]:
    """One of each output: the engine cuts a block into several, but each message takes its time on the way."""
    by_output: dict[tuple[int, str], list[Emission]] = {}
    for emission in emissions:
        by_output.setdefault((emission.index, emission.output), []).append(emission)
    for some in by_output.values():
        rows = [each.rows for each in some if each.rows is not None]
        if len(rows) < 2:
            yield from some
        else:
            columns = zip(*((each.values, each.times, each.durations) for each in rows), strict=True)
            yield replace(some[0], rows=Rows(*map(np.concatenate, columns)))


def _uri(run: Run, facts: MediaFacts) -> str:
    """What stands for the media in provenance: workers know no file names."""
    source = run.plan.source
    return f"media:{facts.sha256 or source.sha256}" if isinstance(source, StoredMedia) else source.url


class Partial:
    """The rows of one processor, on their way to whoever watches."""

    def __init__(self, wish: Wish) -> None:
        self._wish = wish
        self._seq = 0
        self.is_open = False
        """Whether it was said what rows come."""

    def open(self, clock: Stream, outputs: Sequence[OpenedOutput]) -> Outgoing:
        """Say what rows come; those that came before count no more."""
        self.is_open, self._seq = True, 0
        return Outgoing(topics.PARTIAL, Opened(**self._wish.ids(), clock=Clock.of(clock), outputs=tuple(outputs)))

    def open_again(self, clock: Stream, outputs: Sequence[OpenedOutput], rows: Sequence[int]) -> Outgoing:
        """Say it to who came later: so many rows of each output were sent before."""
        opened = Opened(**self._wish.ids(), clock=Clock.of(clock), outputs=tuple(outputs), rows=tuple(rows))
        return Outgoing(topics.PARTIAL, opened)

    def rows(self, output: int, first_row: int, rows: Rows) -> Iterator[Outgoing]:
        """Send rows of an output, by its index, in pieces."""
        row_bytes = max(1, rows.values[:1].nbytes + 16)
        count = max(1, PIECE_BYTES // row_bytes)
        for start in range(0, len(rows), count):
            stop = start + count
            piece = Rows(rows.values[start:stop], rows.times[start:stop], rows.durations[start:stop])
            message = PartialRows(
                run_id=self._wish.run.run_id,
                attempt=self._wish.run.attempt,
                seq=self._seq,
                processor=self._wish.index,
                output=output,
                first_row=first_row + start,
                rows=_sendable(piece),
            )
            self._seq += 1
            yield Outgoing(topics.PARTIAL, message)

    def close(self) -> Outgoing:
        """Say that all of them were sent."""
        return Outgoing(topics.PARTIAL, Closed(**self._wish.ids(), messages=self._seq))


class RowsOutlet(Outlet):
    """An analyzer's rows: into the store as they come, and to whoever watches."""

    def __init__(self, wish: Wish, store: Store) -> None:
        if not isinstance(wish.processor, Analyzer):
            raise ProcessorError(f"{wish.planned.id!r} is no analyzer: this pool runs analyzers")
        self._wish, self._store = wish, store
        self._wanted = Wanted(wish.processor, wish.effects)
        self.wanted = (self._wanted,)
        self._partial = Partial(wish)

    def open(self, engine: Engine, positions: tuple[int, ...]) -> Iterator[Outgoing]:
        """Begin the result."""
        self._engine, (self._position,) = engine, positions
        analyzer = engine.step(self._position)
        assert isinstance(analyzer, Analyzer)
        self._analyzer = analyzer
        self._outputs = dict(analyzer.declared())
        self._names = list(self._outputs)
        with writing(self._wish):
            self._writer = self._store.writer(self._wish.key(), self._outputs)
        yield from ()

    def take(self, emission: Emission) -> Iterator[Outgoing]:
        """Keep rows and send them."""
        assert emission.rows is not None
        with writing(self._wish):
            self._writer.append(emission.output, emission.rows)
        if self._wish.run.plan.partial_rows:
            yield from self._opened({emission.output: emission.rows})
            yield from self._partial.rows(self._names.index(emission.output), emission.first_row, emission.rows)

    def finish(self, media: Media, segment: Segment, samples: int) -> Iterator[Outgoing]:
        """Make the result whole."""
        run_time_s = self._engine.run_time_s(self._position)
        provenance = provenance_of(self._wanted, media, segment, run_time_s=run_time_s)
        bins = {name: self._analyzer.bins(name) for name in self._names}
        with writing(self._wish):
            stored = self._writer.finish(provenance, self._engine.stream(self._position), bins)
        if self._wish.run.plan.partial_rows:
            yield from self._opened({})
            yield self._partial.close()
        done = Done(
            **self._wish.ids(),
            media=media.sha256 or self._wish.media,
            id=self._wish.planned.id,
            processor_version=self._wish.planned.version,
            digest=self._wish.planned.digest,
            result=StoredResultRef(prefix=stored.prefix, manifest_sha256=stored.manifest_sha256),
            size=stored.size,
            samples=samples,
            run_time_s=run_time_s,
        )
        yield Outgoing(topics.RESULT, done)

    def _opened(self, first: Mapping[str, Rows]) -> Iterator[Outgoing]:
        """Say what rows will come, when the first are there and their shape is known."""
        if not self._partial.is_open:
            outputs = [opened_output(name, self._analyzer.bins(name), first.get(name)) for name in self._names]
            yield self._partial.open(self._engine.stream(self._position), outputs)


def opened_output(name: str, bins: Array | tuple[str, ...] | None, first: Rows | None) -> OpenedOutput:
    """What is said of an output beforehand, from its bins and its first rows."""
    at = tuple(bins.tolist()) if isinstance(bins, np.ndarray) else bins
    columns = first.values.shape[1:] if first is not None else (len(at),) if at else ()
    return OpenedOutput(name=name, columns=tuple(columns), bins=at)


def _sendable(rows: Rows) -> Rows:
    """Rows of a type that partial rows have; all that analyzers of ours yield is."""
    if rows.values.dtype.kind in "fiu" and rows.values.dtype.str[1:] in ("f4", "f8", "i4", "f2", "u1", "i2", "i8"):
        return rows
    return Rows(rows.values.astype(np.float64), rows.times, rows.durations)


@contextmanager
def writing(wish: Wish) -> Generator[None]:
    """Say of which result it is that could not be written, whatever the libraries below raise."""
    try:
        yield
    except (TimesideError, MemoryError):
        raise
    except Exception as error:
        reason = str(error).split("\n", 1)[0]
        raise StoreError(f"result of {wish.planned.id!r} cannot be written: {reason}") from error
