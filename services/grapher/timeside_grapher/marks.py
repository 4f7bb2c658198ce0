"""Lanes of events, segments and values for the whole signal."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from timeside_core import Array, Result
from timeside_grapher.axis import BinAxis, Tick, ValueAxis, number_labels
from timeside_grapher.color import faded, label_color
from timeside_grapher.curves import bin_names
from timeside_grapher.figure import Lane, Swatch
from timeside_grapher.look import Look
from timeside_grapher.panel import Panel
from timeside_grapher.scene import Bars, Box, Shape, Text, run_edges
from timeside_grapher.text import shortened, width_px

MARK_PX = 1.5
"""Width of the line of an event."""


@dataclass(frozen=True, kw_only=True)
class EventLane(Lane):
    """Instants as vertical lines: as tall as their value, or over the whole height in the colour of their label."""

    times: Array
    """Shape `(events,)`, s."""
    heights: Array
    """Shape `(events, 2)`: positions from 0 (bottom) to 1 (top) between which each line runs."""
    colors: Sequence[str]
    """Colour by index."""
    kinds: Array
    """Index of the colour of each event, shape `(events,)`."""

    def shapes(self, panel: Panel) -> Iterator[Shape]:
        """The lines; where they are more than columns, those of one colour in a column are one."""
        places = panel.x(self.times)
        shown = (places > panel.left - MARK_PX) & (places < panel.right + MARK_PX)
        for kind, color in enumerate(self.colors):
            chosen = shown & (self.kinds == kind)
            x, heights = places[chosen], self.heights[chosen]
            if len(x) > panel.width:
                yield self._merged(panel, x, heights, color)
            else:
                yield from self._lines(panel, x, heights, color)

    @staticmethod
    def _lines(panel: Panel, x: Array, heights: Array, color: str) -> Iterator[Box]:
        left, right = np.maximum(x - MARK_PX / 2, panel.left), np.minimum(x + MARK_PX / 2, panel.right)
        tops, bottoms = panel.y(heights[:, 1]), panel.y(heights[:, 0])
        for start, stop, top, bottom in zip(left, right, tops, bottoms, strict=True):
            if start < stop:
                yield Box(start, max(top, panel.top), stop, min(bottom, panel.bottom), color)

    @staticmethod
    def _merged(panel: Panel, x: Array, heights: Array, color: str) -> Bars:
        columns = np.floor(x - panel.left).astype(int)
        inside = (columns >= 0) & (columns < panel.width)
        low, high = np.full(panel.width, np.inf), np.full(panel.width, -np.inf)
        np.minimum.at(low, columns[inside], heights[inside, 0])
        np.maximum.at(high, columns[inside], heights[inside, 1])
        held = low <= high
        top, bottom = panel.y(np.where(held, high, 0)), panel.y(np.where(held, low, 0))
        return Bars(panel.left, np.maximum(top, panel.top), np.minimum(bottom, panel.bottom), color)


@dataclass(frozen=True, kw_only=True)
class SegmentLane(Lane):
    """Intervals as blocks in the colour of their label, with the label in them where it fits."""

    starts: Array
    """Shape `(segments,)`, s, ascending."""
    stops: Array
    """Shape `(segments,)`, s."""
    kinds: Array
    """Index of each segment's label, shape `(segments,)`."""
    names: Sequence[str]
    """Label by index; empty where blocks bear none."""
    foreground: str
    font_px: int

    def shapes(self, panel: Panel) -> Iterator[Shape]:
        """The blocks, each with a line where it begins, then the labels."""
        starts, stops, kinds = self._visible(panel)
        edges = panel.x(starts)
        left, right = (np.clip(places, panel.left, panel.right) for places in (edges, panel.x(stops)))
        for edge, start, stop, kind in zip(edges, left, right, kinds, strict=True):
            color = label_color(int(kind))
            yield Box(start, panel.top, stop, panel.bottom, faded(color, 0.45))
            yield Box(start, panel.top, min(edge + 1, stop), panel.bottom, color)
        if self.names and panel.height >= 2 * self.font_px:
            yield from self._labels(panel, left, right, [self.names[int(kind)] for kind in kinds])

    def _labels(self, panel: Panel, left: Array, right: Array, names: Sequence[str]) -> Iterator[Text]:
        y = panel.top + panel.height / 2
        for start, stop, name in zip(left, right, names, strict=True):
            room = stop - start - self.font_px
            shown = shortened(name, self.font_px, room) if room > self.font_px else ""
            if len(shown) > 2 or shown == name:
                yield Text(start + self.font_px / 2, y, shown, self.foreground, self.font_px)

    def _visible(self, panel: Panel) -> tuple[Array, Array, Array]:
        """Segments in the panel; where they are more than its columns, what lies at each column's middle."""
        shown = (self.starts < panel.stop_s) & (self.stops > panel.start_s)
        starts, stops, kinds = self.starts[shown], self.stops[shown], self.kinds[shown]
        if len(starts) <= panel.width:
            return starts, stops, kinds
        edges, column_s = np.linspace(panel.start_s, panel.stop_s, panel.width + 1, retstep=True)
        middles = edges[:-1] + column_s / 2
        at = np.searchsorted(starts, middles, side="right") - 1
        held = np.where((at >= 0) & (stops[at] > middles - column_s / 2), kinds[at], -1)  # gaps too narrow to see
        ends = run_edges(held)
        first, last = ends[:-1], ends[1:]
        known = held[first] >= 0
        return edges[first[known]], edges[last[known]], held[first[known]]


@dataclass(frozen=True, kw_only=True)
class LevelLane(Lane):
    """Intervals as bars as tall as their value."""

    starts: Array
    """Shape `(segments,)`, s."""
    stops: Array
    """Shape `(segments,)`, s."""
    values: Array
    scale: ValueAxis
    color: str

    def shapes(self, panel: Panel) -> Iterator[Shape]:
        """The bars; where they are more than columns, the highest of each column."""
        shown = (self.starts < panel.stop_s) & (self.stops > panel.start_s) & np.isfinite(self.values)
        left = np.clip(panel.x(self.starts[shown]), panel.left, panel.right)
        right = np.clip(panel.x(self.stops[shown]), panel.left, panel.right)
        top = np.clip(panel.y(self.scale.positions(self.values[shown])), panel.top, panel.bottom)
        if len(left) > panel.width:
            left, right, top = self._merged(panel, left, right, top)
        for start, stop, y in zip(left, right, top, strict=True):
            yield Box(start, y, stop, panel.bottom, faded(self.color, 0.25))
            yield Box(start, max(y - 0.75, panel.top), stop, min(y + 0.75, panel.bottom), self.color)

    @staticmethod
    def _merged(panel: Panel, left: Array, right: Array, top: Array) -> tuple[Array, Array, Array]:
        highest = np.full(panel.width, np.inf)
        middle = np.clip(((left + right) / 2 - panel.left).astype(int), 0, panel.width - 1)
        np.minimum.at(highest, middle, top)
        held = np.flatnonzero(np.isfinite(highest))
        return panel.left + held, panel.left + held + 1, highest[held]


@dataclass(frozen=True, kw_only=True)
class ValueLane(Lane):
    """Numbers or labels of the whole signal, as text."""

    lines: Sequence[tuple[str, str]]
    """Names and what they are."""
    foreground: str
    font_px: int

    def shapes(self, panel: Panel) -> Iterator[Shape]:
        """A line of text for each, as large as there is room."""
        if not self.lines:
            return
        pitch = panel.height / len(self.lines)
        size = self._size(panel, pitch)
        names = max(width_px(name, size) for name, _ in self.lines)
        for index, (name, value) in enumerate(self.lines):
            y = panel.top + (index + 0.5) * pitch
            yield Text(panel.left, y, name, faded(self.foreground, 0.7), size)
            yield Text(panel.left + (names + size if names else 0), y, value, self.foreground, size)

    def across(self, start_s: float, stop_s: float, count: int) -> Sequence[Tick]:
        """Nothing: no axis."""
        return ()

    def _size(self, panel: Panel, pitch: float) -> int:
        size = max(6, int(min(2.5 * self.font_px, pitch / 1.3)))
        widest = max(width_px(name, size) for name, _ in self.lines) + max(
            width_px(each, size) for _, each in self.lines
        )
        return max(6, int(size * min(1, panel.width / (widest + 2 * size))))


@dataclass(frozen=True, kw_only=True)
class BarsLane(Lane):
    """A vector of the whole signal, a bar for each of its columns."""

    values: Array
    """Shape `(bins,)`."""
    names: Sequence[str]
    scale: ValueAxis
    color: str

    def shapes(self, panel: Panel) -> Iterator[Shape]:
        """Bars from zero."""
        pitch = panel.width / len(self.values)
        heights = np.clip(panel.y(self.scale.positions(self.values.astype(float))), panel.top, panel.bottom)
        zero = float(np.clip(panel.y(self.scale.positions(np.zeros(1)))[0], panel.top, panel.bottom))
        for index, y in enumerate(heights):
            left = panel.left + index * pitch
            yield Box(left + 0.1 * pitch, min(y, zero), left + 0.9 * pitch, max(y, zero), self.color)
        yield Box(panel.left, zero - 0.5, panel.right, zero + 0.5, self.color)

    def across(self, start_s: float, stop_s: float, count: int) -> Sequence[Tick]:
        """Names of the columns."""
        return BinAxis(tuple(self.names)).ticks(count)


def event_lane(result: Result, look: Look) -> Lane:
    """The events of a result: by label, by value where values differ, or just as marks."""
    names, values, times = result.output.labels, result.values, result.event_times
    whole = np.tile([0.0, 1.0], (len(values), 1))
    if names:
        kinds = values.astype(int)
        colors = [label_color(index) for index in range(len(names))]
        legend = _legend(names, kinds) if len(names) > 1 else ()
        return EventLane(legend=legend, times=times, heights=whole, colors=colors, kinds=kinds)
    kinds = np.zeros(len(values), int)
    if not len(values) or (values == values[0]).all():
        return EventLane(times=times, heights=whole, colors=[look.color], kinds=kinds)
    scale = look.scale(values, result.output.unit, with_zero=True)
    ends = np.stack([np.zeros(len(values)), values.astype(float)], axis=1)
    heights = np.sort(np.clip(scale.positions(ends), 0, 1), axis=1)
    return EventLane(axis=scale, times=times, heights=heights, colors=[look.color], kinds=kinds)


def segment_lane(result: Result, look: Look) -> Lane:
    """The segments of a result: by label, or by value."""
    return _interval_lane(result, look, result.event_times, result.event_durations, result.values)


def labelled_frames_lane(result: Result, look: Look) -> Lane:
    """Runs of frames with the same label."""
    hop_s = result.stream.hop_length / result.stream.samplerate
    ends = run_edges(result.values)
    edges = result.stream.start_s + (ends - 0.5) * hop_s
    return _interval_lane(result, look, edges[:-1], np.diff(edges), result.values[ends[:-1]])


def value_lane(results: Sequence[Result], look: Look) -> Lane:
    """Values for the whole signal: a vector as bars, numbers and labels as text."""
    first = results[0]
    if first.values.ndim == 1 and len(first):
        scale = look.scale(first.values, first.output.unit, with_zero=True)
        names = bin_names(first, len(first.values))
        return BarsLane(axis=scale, values=first.values, names=names, scale=scale, color=look.color)
    lines = [(each.id.rpartition(".")[2], _value_text(each)) for each in results]
    return ValueLane(lines=lines, foreground=look.foreground, font_px=look.font_px)


def _interval_lane(result: Result, look: Look, starts: Array, durations: Array, values: Array) -> Lane:
    names = result.output.labels
    order = np.argsort(starts, kind="stable")
    starts, durations, values = starts[order], durations[order], values[order]
    if names:
        kinds = values.astype(int)
        return SegmentLane(
            legend=_legend(names, kinds),
            starts=starts,
            stops=starts + durations,
            kinds=kinds,
            names=names if look.named else (),
            foreground=look.foreground,
            font_px=look.font_px,
        )
    scale = look.scale(values, result.output.unit, with_zero=True)
    values = values.astype(float)
    return LevelLane(axis=scale, starts=starts, stops=starts + durations, values=values, scale=scale, color=look.color)


def _value_text(result: Result) -> str:
    if not len(result):
        return "nothing to measure"
    if result.output.labels:
        return ", ".join(result.labels)
    numbers = " ".join(number_labels([float(f"{value:.4g}")])[0] for value in np.atleast_1d(result.values))
    return f"{numbers} {result.output.unit}".strip()


def _legend(names: Sequence[str], kinds: Array) -> list[Swatch]:
    """The labels that occur."""
    return [Swatch(names[int(kind)], label_color(int(kind))) for kind in np.unique(kinds)]
