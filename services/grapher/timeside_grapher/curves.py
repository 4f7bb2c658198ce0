"""Lanes of framewise results: curves of numbers, images of rows of numbers."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from timeside_core import Array, Result, Stream
from timeside_grapher.axis import BinAxis, ValueAxis, frequency_labels, number_labels
from timeside_grapher.chart import end_s
from timeside_grapher.color import MapName, colored
from timeside_grapher.figure import Lane, color_scale
from timeside_grapher.look import Look
from timeside_grapher.panel import Columns, Panel
from timeside_grapher.scene import Bars, Line, Pixels, Shape, run_edges

LINE_PX = 1.5
LINE_ROWS = 4
"""Rows to a column up to which a curve is a line through all of them."""


@dataclass(frozen=True, kw_only=True)
class CurveLane(Lane):
    """A number over time: a line, or what lies between minimum and maximum where rows are more than columns."""

    stream: Stream
    values: Array
    """Shape `(rows,)`; what is not finite interrupts the curve."""
    scale: ValueAxis
    color: str

    def shapes(self, panel: Panel) -> Iterator[Shape]:
        """The curve."""
        if panel.rows_per_column(self.stream) > LINE_ROWS:
            yield from self._extremes(panel)
        elif len(self.values):
            yield self._line(panel)

    def _line(self, panel: Panel) -> Line:
        first = (panel.start_s - self.stream.start_s) * self.stream.row_rate
        last = (panel.stop_s - self.stream.start_s) * self.stream.row_rate
        start = int(np.clip(np.floor(first) - LINE_ROWS, 0, len(self.values) - 1))  # some of both sides, to join
        stop = int(np.clip(np.ceil(last) + LINE_ROWS + 1, start + 1, len(self.values)))
        y = panel.y(self._positions(self.values[start:stop]))
        return Line(panel.x(self.stream.times(start, stop - start)), y, self.color, panel.clip, LINE_PX)

    def _extremes(self, panel: Panel) -> Iterator[Bars]:
        columns = panel.columns(self.stream, len(self.values))
        columns = Columns(columns.left, columns.first, np.minimum(columns.last + 1, len(self.values)))  # joins the next
        positions = self._positions(self.values)
        low, high = columns.reduced(positions, np.fmin), columns.reduced(positions, np.fmax)
        known = np.isfinite(low)
        for start, stop in pairwise(run_edges(known).tolist()):
            if known[start]:
                middle = (panel.y(low[start:stop]) + panel.y(high[start:stop])) / 2
                half = np.maximum((panel.y(low[start:stop]) - panel.y(high[start:stop]) + LINE_PX) / 2, LINE_PX / 2)
                top, bottom = (np.clip(edge, panel.top, panel.bottom) for edge in (middle - half, middle + half))
                yield Bars(columns.left + start, top, bottom, self.color)

    def _positions(self, values: Array) -> Array:
        values = np.where(np.isfinite(values), values, np.nan)
        return self.scale.positions(values.astype(float, copy=False))


@dataclass(frozen=True, kw_only=True)
class ImageLane(Lane):
    """Rows of numbers over time, one column above the other, as colours."""

    stream: Stream
    end_s: float
    """End of the signal."""
    values: Array
    """Shape `(rows, bins)`."""
    low: float
    """Value of the first colour; in decibels where the levels are."""
    high: float
    """Value of the last colour."""
    decibels: float = 0.0
    """Colours stand for this times the logarithm of the values; for the values themselves where it is 0."""
    colors: MapName

    def shapes(self, panel: Panel) -> Iterator[Shape]:
        """One image: the mean of the rows of each column, the largest of them in decibels."""
        columns = panel.columns(self.stream, len(self.values), end_s=self.end_s)
        if not len(columns):
            return
        if self.decibels:
            values = in_decibels(columns.reduced(self.values, np.maximum), self.decibels)
        else:
            values = columns.means(self.values)
        levels = np.clip((values - self.low) / (self.high - self.low), 0, 1)
        bins = self.values.shape[1]
        rows = (np.arange(panel.height)[::-1] + 0.5) / panel.height * bins
        yield Pixels(columns.left, panel.top, colored(levels.T, self.colors)[rows.astype(int)])


def in_decibels(values: Array, factor: float) -> Array:
    """`factor · log10 v`; minus infinity for 0."""
    with np.errstate(divide="ignore"):
        return factor * np.log10(values)


def curve_lanes(result: Result, look: Look, scale: ValueAxis | None = None) -> list[Lane]:
    """A curve for each channel of a framewise result, on a scale of its own where none is given."""
    channels = result.values.reshape(len(result.values), -1).T if len(result) else [result.values]
    scale = scale or look.scale(result.values, result.output.unit)
    return [
        CurveLane(
            label=f"channel {index + 1}",
            axis=scale,
            stream=result.stream,
            values=values,
            scale=scale,
            color=look.color,
        )
        for index, values in enumerate(channels)
    ]


def image_lane(result: Result, look: Look) -> Lane:
    """The rows of a framewise result."""
    values = result.values.reshape(len(result.values), -1)
    factor = _decibels(result, look)
    low, high = look.range(values, decibels=factor)
    return ImageLane(
        axis=BinAxis(bin_names(result, values.shape[1]), result.output.bin_unit),
        legend=color_scale(low, high, "dB" if factor else result.output.unit, look.colors),
        stream=result.stream,
        end_s=end_s(result),
        values=values,
        low=low,
        high=high,
        decibels=factor,
        colors=look.colors,
    )


def _decibels(result: Result, look: Look) -> float:
    """What the logarithm of values is multiplied by to get decibels; 0 where they are shown as they are.

    By itself that is for what has no unit, is not negative and lies along a frequency: a power in mel bands, an
    amplitude in all others.
    """
    if look.levels != "auto":
        return {"linear": 0.0, "amplitude": 20.0, "power": 10.0}[look.levels]
    output = result.output
    if output.bin_unit != "Hz" or output.unit or result.values.min(initial=0) < 0:
        return 0.0
    return 10.0 if output.bins == "mel band" else 20.0


def bin_names(result: Result, count: int) -> tuple[str, ...]:
    """Names of the columns, their positions to three digits, or their numbers where there is neither."""
    if result.bins is None:
        return tuple(str(index) for index in range(count))
    if isinstance(result.bins, tuple):
        return result.bins
    positions = [float(f"{position:.3g}") for position in result.bins]
    return tuple(frequency_labels(positions) if result.output.bin_unit == "Hz" else number_labels(positions))
