"""Results of an endless stream: one after another, each over a segment of fixed length, in bounded memory.

What a row says depends on more than the samples of its segment. So each segment has engines of its own, which are fed
from a *pre-roll* before it to a *post-roll* after it, and of what they yield that is kept which lies in the segment:

- framewise rows whose centre, and events whose time, lies in it; intervals, cut where the segment begins and ends;
- global values are those of the segment alone, without pre-roll.

Engines are fed from where frames begin in one pass, too. So the joined framewise rows of all segments equal those of
one pass where the rolls are as long as what a row depends on, which `Step.context_s` tells; what remembers everything
(beat trackers) comes close. A step that reads the signal as a whole sees each segment, with its pre-roll, as a whole.
"""

import math
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Self

import numpy as np

from timeside_core.audio import Array, Media, Segment, Stream
from timeside_core.engine import Emission, Engine, Wanted
from timeside_core.errors import CancelledError, PipelineError
from timeside_core.outputs import Output, Rows
from timeside_core.pipeline import Pipeline, plan, provenance_of, results_at
from timeside_core.processor import Analyzer, Step, inputs_of, result_id
from timeside_core.results import Provenance, Result, Results

SEGMENT_S = 10.0
"""Length of a segment: so late results are, so much is done again after a crash, so small is what is stored."""
PREROLL_S = 1.0
"""Least pre-roll: what a step that does not say how long it remembers is given to settle."""
GRID_SAMPLES = 4096
"""Steps whose frames begin at multiples of it share an engine: most hops divide it, and blocks of live sources do."""


def by_segment(
    pipeline: Pipeline,
    *,
    segment_s: float = SEGMENT_S,
    preroll_s: float = PREROLL_S,
    cancel: threading.Event | None = None,
) -> Iterator[Results]:
    """Run a pipeline of analyzers; yield the results of each segment when it is over, and keep none."""
    wanted = tuple(plan(pipeline.processors))
    with (
        pipeline.decoder.open_until(cancel) as source,
        SegmentedEngine(wanted, source.media, source.stream, segment_s=segment_s, preroll_s=preroll_s) as engine,
    ):
        for block in source:
            if cancel is not None and cancel.is_set():
                raise CancelledError(f"{pipeline!r} was cancelled")
            yield from engine.push(block)
        yield from engine.finish()


class SegmentedEngine:
    """Drives analyzers over consecutive segments of one stream. Use as a context manager.

    At most four segments are open at a time, as no pre-roll is longer than two.
    """

    def __init__(
        self,
        wanted: Sequence[Wanted],
        media: Media,
        stream: Stream,
        *,
        segment_s: float = SEGMENT_S,
        preroll_s: float = PREROLL_S,
        first_segment: int = 0,
    ) -> None:
        """With `first_segment` it goes on after a crash; what is pushed then has to begin at `low_watermark`."""
        self._wanted, self._media, self._stream = tuple(wanted), media, stream
        self._samples = max(1, round(segment_s * stream.samplerate))
        self._groups = _groups(self._wanted, stream, round(preroll_s * stream.samplerate), self._samples)
        self._open: deque[_OpenSegment] = deque()
        self._next = first_segment
        self._position = self.low_watermark

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Close the engines of segments that are not over."""
        while self._open:
            self._open.pop().close()

    @property
    def segment(self) -> int:
        """Index of the first segment that is not over: after a crash, the one to go on with."""
        return self._open[0].number if self._open else self._next

    @property
    def low_watermark(self) -> int:
        """The first sample that this segment needs, with its pre-roll: a replay begins there."""
        return self._fed_from(self.segment)

    def push(self, block: Array) -> list[Results]:
        """Take the next block, shape `(samples, channels)`, float32; return the results of segments that are over."""
        pieces = (block[start : start + self._samples] for start in range(0, len(block), self._samples))
        return [results for piece in pieces for results in self._push(piece)]

    def finish(self) -> list[Results]:
        """Say that the stream has ended; return the results of the segments that have begun, the last one shorter."""
        results: list[Results] = []
        while self._open and self._open[0].first < self._position:
            samples = min(self._samples, self._position - self._open[0].first)
            self._open[0].finish(is_last=self._position <= self._open[0].first + self._samples)
            results.append(self._closed(samples))
        return results

    def so_far(self) -> Results:
        """The results of the segment at hand as far as they have come: further rows will follow theirs."""
        return self._results_of(self._open[0], self._samples) if self._open else Results()

    def _push(self, block: Array) -> list[Results]:
        """Take no more than a segment, so that no more of them are open than must be."""
        while self._fed_from(self._next) < self._position + len(block):
            self._open.append(self._opened(self._next))
            self._next += 1
        for segment in self._open:
            segment.push(block, self._position)
        self._position += len(block)
        return [self._closed(self._samples) for _ in range(sum(segment.is_over for segment in self._open))]

    def _fed_from(self, number: int) -> int:
        first = number * self._samples
        return min((group.fed_from(first) for group in self._groups), default=first)

    def _opened(self, number: int) -> "_OpenSegment":
        first = number * self._samples
        with ExitStack() as opened:
            runs = [
                opened.enter_context(_Run(group, self._wanted, self._stream, first, first + self._samples))
                for group in self._groups
            ]
            return _OpenSegment(number, first, runs, opened.pop_all())

    def _closed(self, samples: int) -> Results:
        """The results of the oldest segment, which is of that length."""
        segment = self._open.popleft()
        try:
            return self._results_of(segment, samples)
        finally:
            segment.close()

    def _results_of(self, segment: "_OpenSegment", samples: int) -> Results:
        first = round(self._stream.start_s * self._stream.samplerate) + segment.first
        return Results(list(self._results(segment.runs, Segment(first, samples))))

    def _results(self, runs: "Sequence[_Run]", segment: Segment) -> Iterator[Result]:
        for position, wanted in enumerate(self._wanted):
            own = [run for run in runs if position in run.group.positions]
            run_time_s = sum(run.run_time_s(position) for run in own)
            provenance = provenance_of(wanted, self._media, segment, run_time_s=run_time_s)
            found = {result.id: result for run in own for result in run.results(position, provenance)}
            yield from (found[id] for id in _result_ids(wanted))


def _result_ids(wanted: Wanted) -> list[str]:
    return [result_id(wanted.step, name) for name in _analyzer(wanted).declared()]


class _OpenSegment:
    """A segment that is not over, and the engines of all groups for it."""

    def __init__(self, number: int, first: int, runs: "Sequence[_Run]", opened: ExitStack) -> None:
        self.number, self.first, self.runs = number, first, runs
        self._opened = opened

    @property
    def is_over(self) -> bool:
        return all(run.is_over for run in self.runs)

    def push(self, block: Array, position: int) -> None:
        for run in self.runs:
            run.push(block, position)

    def finish(self, *, is_last: bool) -> None:
        for run in self.runs:
            run.finish(is_last=is_last)

    def close(self) -> None:
        self._opened.close()


class _Run:
    """One engine on its way through one segment, and the rows that lie in it."""

    def __init__(self, group: "_Group", wanted: Sequence[Wanted], stream: Stream, first: int, stop: int) -> None:
        self.group = group
        self.is_over = False
        self._fed_from, self._fed_to = group.fed_from(first), stop + group.after
        self._start_s, self._stop_s = (stream.start_s + sample / stream.samplerate for sample in (first, stop))
        if first == 0:  # frames of the first samples may have their centres before them
            self._start_s = -math.inf
        fed = replace(stream, start_s=stream.start_s + self._fed_from / stream.samplerate)
        self._engine = Engine([wanted[position] for position in group.positions], fed)
        self._rows = [
            (reach.row_at(first - self._fed_from) if first else 0, reach.row_at(stop - self._fed_from))
            for reach in group.reaches
        ]
        """First row in the segment and first row after it, of each step."""
        self._kept: dict[tuple[int, str], list[Rows]] = {}

    def __enter__(self) -> Self:
        self._engine.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._engine.__exit__()

    def run_time_s(self, position: int) -> float:
        """Seconds that a wanted step took."""
        return self._engine.run_time_s(self.group.positions.index(position))

    def push(self, block: Array, position: int) -> None:
        """Take what is for this segment of a block that begins at `position`."""
        if self.is_over:
            return
        fed = block[max(0, self._fed_from - position) : max(0, self._fed_to - position)]
        self._keep(self._engine.push(fed), is_last=False)
        if position + len(block) >= self._fed_to:
            self.finish(is_last=False)

    def finish(self, *, is_last: bool) -> None:
        """Nothing more is for this segment; in the last one, rows at the very end of the stream count, too."""
        if not self.is_over:
            self._keep(self._engine.finish(), is_last=is_last)
            self.is_over = True

    def results(self, position: int, provenance: Provenance) -> Iterator[Result]:
        """Those of a wanted step that this group is for."""
        index = self.group.positions.index(position)
        kept = {output: rows for (found, output), rows in self._kept.items() if found == index}
        for result in results_at(self._engine, index, kept, provenance):
            if self.group.keeps(result.output):
                first_row, _ = self._rows[index]
                start_s = result.stream.start_s + first_row / result.stream.row_rate
                yield replace(result, stream=replace(result.stream, start_s=start_s))

    def _keep(self, emissions: Sequence[Emission], *, is_last: bool) -> None:
        for emission in emissions:
            analyzer = self._engine.step(emission.index)
            assert isinstance(analyzer, Analyzer)
            assert emission.rows is not None
            output = analyzer.declared()[emission.output]
            if self.group.keeps(output):
                rows = self._inside(emission, output, emission.rows, is_last=is_last)
                self._kept.setdefault((emission.index, emission.output), []).append(rows)

    def _inside(self, emission: Emission, output: Output, rows: Rows, *, is_last: bool) -> Rows:
        """The rows that lie in the segment."""
        stop_s = math.inf if is_last else self._stop_s
        if output.time_mode == "framewise":
            first, stop = (max(0, row - emission.first_row) for row in self._rows[emission.index])
            return Rows(rows.values[first : None if is_last else stop])
        if output.time_mode == "event":
            inside = (rows.times >= self._start_s) & (rows.times < stop_s)
            return Rows(rows.values[inside], rows.times[inside])
        if output.time_mode == "segment":
            times = np.maximum(rows.times, self._start_s)
            ends = np.minimum(rows.times + rows.durations, stop_s)
            inside = (ends > times) | ((rows.durations == 0) & (rows.times >= self._start_s) & (rows.times < stop_s))
            return Rows(rows.values[inside], times[inside], (ends - times)[inside])
        return rows


@dataclass(frozen=True, slots=True)
class _Reach:
    """What the rows of a step depend on, in samples of the stream."""

    clock: Stream
    """Of the rows of a stream that starts at 0 s."""
    spacing: Fraction
    """From row to row."""
    grid: int
    """Fed from its multiples on, the step yields the rows that it would in one pass."""
    before: int
    """Reach of a row before its centre."""
    after: int
    """Reach after it."""

    def row_at(self, sample: int) -> int:
        """The first row whose centre is not before a sample."""
        row = float(sample / self.spacing) - self.clock.start_s * self.clock.row_rate
        return max(0, math.ceil(row - 1e-6))  # a row that is so near lies on the sample: clocks are floats


@dataclass(frozen=True, slots=True)
class _Group:
    """Steps that share an engine, and what it is fed around a segment, in samples."""

    positions: tuple[int, ...]
    reaches: tuple[_Reach, ...]
    grid: int = 1
    before: int = 0
    after: int = 0
    is_global: bool = False
    """Whether it is for global outputs, or for all others."""

    def fed_from(self, first: int) -> int:
        """Where the feeding for a segment begins that begins at `first`."""
        return max(0, (first - self.before) // self.grid * self.grid)

    def keeps(self, output: Output) -> bool:
        """Whether it is for that output."""
        return (output.time_mode == "global") == self.is_global


def _groups(wanted: Sequence[Wanted], stream: Stream, preroll: int, longest: int) -> list[_Group]:
    """Groups of the steps that are fed alike; no roll is longer than `longest`."""
    reaches = [_reach(each, stream, preroll, longest) for each in wanted]
    modes = [{output.time_mode for output in _analyzer(each).declared().values()} for each in wanted]
    groups: list[_Group] = []
    for grid in sorted({reach.grid for reach in reaches}):
        positions = [n for n, reach in enumerate(reaches) if reach.grid == grid and modes[n] - {"global"}]
        if positions:
            alike = tuple(reaches[position] for position in positions)
            before, after = max(reach.before for reach in alike), max(reach.after for reach in alike)
            groups.append(_Group(tuple(positions), alike, grid, before, after))
    positions = tuple(position for position, each in enumerate(modes) if "global" in each)
    if positions:
        groups.append(_Group(positions, tuple(reaches[position] for position in positions), is_global=True))
    return groups


def _reach(wanted: Wanted, stream: Stream, preroll: int, longest: int) -> _Reach:
    clock, grid, frame_s, before_s, after_s = replace(stream, start_s=0.0), 1, 0.0, 0.0, 0.0
    spacing = Fraction(1)
    for step in _chain(wanted):
        context_s = step.context_s(clock)
        before_s, after_s = before_s + context_s[0], after_s + context_s[1]
        clock = step.working_copy(clock).clock(clock)
        spacing = Fraction(clock.hop_length * stream.samplerate, clock.samplerate)
        grid = math.lcm(grid, spacing.numerator)
        frame_s = max(frame_s, clock.frame_length / clock.samplerate)
    if grid > longest:  # as for rates without a common measure: rows then lie elsewhere in each segment
        grid = 1
    before, after = (
        math.ceil(min((frame_s / 2 + context_s) * stream.samplerate, longest)) for context_s in (before_s, after_s)
    )
    return _Reach(
        clock=clock,
        spacing=spacing,
        grid=GRID_SAMPLES if GRID_SAMPLES % grid == 0 else grid,
        before=min(max(before, preroll), longest),
        after=after,
    )


def _chain(wanted: Wanted) -> list[Step]:
    """The steps that samples pass through up to a wanted one, itself included."""
    chain: list[Step] = [wanted.step]
    while read := inputs_of(chain[-1]):
        chain.append(read[0])
    return [*wanted.effects, *reversed(chain)]


def _analyzer(wanted: Wanted) -> Analyzer:
    if not isinstance(wanted.step, Analyzer):
        raise PipelineError(f"{wanted.step.label()!r} cannot run segment by segment: analyzers can")
    return wanted.step
