"""Graphers of the waveform: `waveform_simple` and `waveform_transparent`, and what others draw it with."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

import numpy as np
from pydantic import Field

from timeside_core import Analyzer, Array, Results, Stream
from timeside_grapher.axis import Tick, number_labels
from timeside_grapher.chart import Chart, default_analyzer, end_s, result_of
from timeside_grapher.color import TRANSPARENT, Color, faded, rgba
from timeside_grapher.figure import Lane, Swatch
from timeside_grapher.panel import Columns, Panel
from timeside_grapher.scene import Bars, Box, Shape

Scale: TypeAlias = Literal["linear", "decibels"]


@dataclass(frozen=True, slots=True)
class AmplitudeAxis:
    """Amplitudes from -1 to 1, linear or, on both sides of the middle, in decibels."""

    scale: Scale = "linear"
    range_db: float = 60.0
    gain: float = 1.0

    @property
    def unit(self) -> str:
        """Decibels of full scale, or parts of it."""
        return "" if self.scale == "linear" else "dBFS"

    def positions(self, amplitudes: Array) -> Array:
        """Places of amplitudes, -1 at 0 and 1 at 1; what is larger is cut."""
        amplitudes = amplitudes * self.gain
        if self.scale == "decibels":
            with np.errstate(divide="ignore"):
                size = 1 + 20 * np.log10(np.abs(amplitudes)) / self.range_db
            amplitudes = np.sign(amplitudes) * np.maximum(size, 0)
        return 0.5 + 0.5 * np.clip(amplitudes, -1, 1)

    def ticks(self, count: int) -> list[Tick]:
        """The middle and both ends; halves where there is room."""
        fractions = [-1.0, 0.0, 1.0] if count < 4 else [-1.0, -0.5, 0.0, 0.5, 1.0]
        if self.scale == "linear":
            values = [fraction / self.gain for fraction in fractions]
        else:
            loudest = 0.0 - 20 * np.log10(self.gain)  # not -0.0
            values = [loudest - self.range_db * (1 - abs(fraction)) for fraction in fractions]
        labels = number_labels([float(f"{value:.3g}") for value in values])
        return [Tick(0.5 + 0.5 * fraction, label) for fraction, label in zip(fractions, labels, strict=True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """The waveform of one channel: minimum, maximum and RMS of each row, shape `(rows,)`, full scale ±1."""

    label: str
    stream: Stream
    end_s: float
    """End of the signal."""
    low: Array
    high: Array
    rms: Array

    def columns(self, panel: Panel, *, margin: int = 0) -> Columns:
        """The columns of a panel that hold some of the signal."""
        return panel.columns(self.stream, len(self.low), end_s=self.end_s, margin=margin)

    def extremes(self, columns: Columns, *, symmetric: bool) -> tuple[Array, Array]:
        """Lowest and highest amplitude of each column; the larger of both on both sides where `symmetric`."""
        low, high = columns.reduced(self.low, np.minimum), columns.reduced(self.high, np.maximum)
        if symmetric:
            high = np.maximum(np.abs(low), np.abs(high))
            low = -high
        return low, high

    def effective(self, columns: Columns) -> Array:
        """RMS of each column."""
        return np.sqrt(columns.means(np.square(self.rms, dtype=float)))


@dataclass(frozen=True, kw_only=True)
class ChannelLane(Lane):
    """Something drawn from a channel."""

    channel: Channel
    axis: AmplitudeAxis = AmplitudeAxis()


@dataclass(frozen=True, kw_only=True)
class WaveformLane(ChannelLane):
    """Peaks of a channel, with its RMS in another colour."""

    color: str
    rms_color: str
    middle_color: str
    symmetric: bool = False

    def shapes(self, panel: Panel) -> Iterator[Shape]:
        """A line at zero, the peaks, the RMS."""
        yield middle(panel, self.middle_color)
        columns = self.channel.columns(panel)
        low, high = self.channel.extremes(columns, symmetric=self.symmetric)
        yield bars(panel, columns.left, self.axis.positions(low), self.axis.positions(high), self.color)
        if rgba(self.rms_color)[3]:
            rms = self.channel.effective(columns)
            low, high = np.maximum(low, -rms), np.minimum(high, rms)  # inside the peaks also where there is an offset
            shown = low <= high
            low, high = np.where(shown, low, 0), np.where(shown, high, 0)
            yield Bars(
                columns.left, panel.y(self.axis.positions(high)), panel.y(self.axis.positions(low)), self.rms_color
            )


def channels_of(results: Results, source: Analyzer) -> list[Channel]:
    """The waveform by channel, from the results of a `waveform_analyzer`."""
    low, high, rms = (result_of(results, source, output) for output in ("min", "max", "rms"))
    count = low.values.shape[1] if low.values.ndim == 2 else 1
    names = ("left", "right") if count == 2 else tuple(f"channel {index + 1}" for index in range(count))
    columns = (each.values.reshape(len(each.values), count).T for each in (low, high, rms))
    return [
        Channel(label=name, stream=low.stream, end_s=end_s(low), low=a, high=b, rms=c)
        for name, a, b, c in zip(names, *columns, strict=True)
    ]


def middle(panel: Panel, color: str) -> Box:
    """The line of silence."""
    y = panel.top + panel.height / 2
    return Box(panel.left, y - 0.5, panel.right, y + 0.5, color)


def bars(panel: Panel, left: int, low: Array, high: Array, color: str | Array) -> Bars:
    """Bars from low to high positions, at least a pixel tall so that silence shows."""
    top, bottom = panel.y(high), panel.y(low)
    centre, half = (top + bottom) / 2, np.maximum((bottom - top) / 2, 0.5)
    centre = np.clip(centre, panel.top + 0.5, panel.bottom - 0.5)
    return Bars(left, np.maximum(centre - half, panel.top), np.minimum(centre + half, panel.bottom), color)


class Waveform(Chart):
    """What graphers of the waveform share: a lane per channel."""

    scale: Scale = "linear"
    """How amplitudes are drawn: in proportion, or in decibels from the middle outwards."""
    range_db: Annotated[float, Field(gt=0, le=200)] = 60.0
    """Decibels from the middle to the edge, where the scale is in decibels."""
    gain: Annotated[float, Field(gt=0, le=1e6)] = 1.0
    """Factor to draw amplitudes by; what then exceeds full scale is cut."""

    @property
    def input(self) -> tuple[Analyzer, ...]:
        """Minimum, maximum and RMS of the waveform."""
        return (default_analyzer("waveform_analyzer"),)

    @property
    def axis(self) -> AmplitudeAxis:
        """The axis of amplitudes."""
        return AmplitudeAxis(self.scale, self.range_db, self.gain)

    def channels(self, results: Results) -> list[Channel]:
        """The waveform by channel."""
        return channels_of(results, self.input[0])


class WaveformSimple(Waveform, id="waveform_simple", version="2.0"):
    """Peaks and RMS of each channel."""

    color: Color = "#3b6ea5"
    """Colour of the peaks."""
    rms_color: Color = "#1c3f66"
    """Colour of the RMS; `#00000000` leaves it out."""
    symmetric: bool = False
    """Whether both sides show the larger of the two."""

    def lanes(self, results: Results) -> Sequence[Lane]:
        """One per channel."""
        legend = (Swatch("peak", self.color), Swatch("RMS", self.rms_color)) if rgba(self.rms_color)[3] else ()
        return [
            WaveformLane(
                label=channel.label,
                channel=channel,
                axis=self.axis,
                color=self.color,
                rms_color=self.rms_color,
                middle_color=faded(self.foreground_color, 0.35),
                symmetric=self.symmetric,
                legend=legend,
            )
            for channel in self.channels(results)
        ]


class WaveformOfAnalyzer(WaveformSimple, id="grapher_waveform", version="2.0"):
    """Peaks and RMS of each channel: `waveform_simple` by its other name."""


class WaveformTransparent(Waveform, id="waveform_transparent", version="2.0"):
    """Peaks of each channel on a transparent background, to be laid over something else."""

    background_color: Color = TRANSPARENT
    """Colour behind everything."""
    color: Color = "#000000"
    """Colour of the peaks, or of all around them."""
    inverted: bool = False
    """Whether the peaks are cut out of a filled surface, so that what lies behind shows through them."""
    axes: bool = False
    """Whether to draw axes, title and legend."""

    def lanes(self, results: Results) -> Sequence[Lane]:
        """One per channel."""
        return [
            TransparentLane(
                label=channel.label, channel=channel, axis=self.axis, color=self.color, inverted=self.inverted
            )
            for channel in self.channels(results)
        ]


@dataclass(frozen=True, kw_only=True)
class TransparentLane(ChannelLane):
    """Peaks of a channel, or all but these."""

    color: str
    inverted: bool

    def shapes(self, panel: Panel) -> Iterator[Shape]:
        """The peaks, or what lies above and below them."""
        columns = self.channel.columns(panel)
        low, high = self.channel.extremes(columns, symmetric=False)
        peaks = bars(panel, columns.left, self.axis.positions(low), self.axis.positions(high), self.color)
        if not self.inverted:
            yield peaks
            return
        yield Box(panel.left, panel.top, columns.left, panel.bottom, self.color)
        yield Bars(columns.left, np.full(len(columns), float(panel.top)), peaks.top, self.color)
        yield Bars(columns.left, peaks.bottom, np.full(len(columns), float(panel.bottom)), self.color)
        yield Box(columns.left + len(columns), panel.top, panel.right, panel.bottom, self.color)
