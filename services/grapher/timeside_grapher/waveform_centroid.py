"""Grapher of the waveform in the colours of its spectral centroid: `waveform_centroid`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Self

import numpy as np
from pydantic import Field, model_validator

from timeside_core import Analyzer, Array, Results, Stream
from timeside_grapher.axis import frequency_labels
from timeside_grapher.chart import default_analyzer, end_s, result_of
from timeside_grapher.color import Color, MapName, colored, rgba
from timeside_grapher.figure import Lane, Swatch
from timeside_grapher.panel import Panel
from timeside_grapher.scene import Shape
from timeside_grapher.waveform import ChannelLane, Waveform, bars


class WaveformCentroid(Waveform, id="waveform_centroid", version="2.0"):
    """Peaks of each channel, coloured by where the spectrum has its centre of gravity."""

    foreground_color: Color = "#dddddd"
    """Colour of text and axes."""
    background_color: Color = "#000000"
    """Colour behind everything."""
    colors: MapName = "viridis"
    """Colours from low to high frequencies."""
    low_hz: Annotated[float, Field(gt=0, le=1e6)] = 200.0
    """Frequency of the first colour, Hz."""
    high_hz: Annotated[float, Field(gt=0, le=1e6)] = 8000.0
    """Frequency of the last colour, Hz."""

    @model_validator(mode="after")
    def _low_below_high(self) -> Self:
        if not self.low_hz < self.high_hz:
            raise ValueError(f"low_hz={self.low_hz:g} must be less than high_hz={self.high_hz:g}")
        return self

    @property
    def input(self) -> tuple[Analyzer, ...]:
        """The waveform and its spectral centroid."""
        return (default_analyzer("waveform_analyzer"), default_analyzer("spectral_centroid"))

    def lanes(self, results: Results) -> Sequence[Lane]:
        """One per channel, all coloured by the centroid of their mean."""
        centroid = result_of(results, self.input[1], "")
        hz = np.where(centroid.values > 0, centroid.values, np.nan)  # 0 is silence
        tint = Tint(centroid.stream, end_s(centroid), hz, self.colors, self.low_hz, self.high_hz, self.foreground_color)
        return [
            CentroidLane(label=channel.label, channel=channel, axis=self.axis, tint=tint, legend=tint.legend())
            for channel in self.channels(results)
        ]


@dataclass(frozen=True, slots=True)
class Tint:
    """Colours of times by a frequency, shape `(rows,)`, Hz, NaN where there is none."""

    stream: Stream
    end_s: float
    hz: Array
    colors: MapName
    low_hz: float
    high_hz: float
    silent_color: str

    def of_columns(self, panel: Panel) -> Array:
        """Colours of all columns of a panel, shape `(width, 4)`, RGBA."""
        columns = panel.columns(self.stream, len(self.hz), end_s=self.end_s)
        hz = np.full(panel.width, np.nan)
        hz[columns.left - panel.left :][: len(columns)] = columns.means(self.hz)
        colors = colored(self._level(hz), self.colors)
        colors[np.isnan(hz)] = rgba(self.silent_color)
        return colors

    def legend(self) -> list[Swatch]:
        """Three frequencies and their colours."""
        hz = np.array([self.low_hz, np.sqrt(self.low_hz * self.high_hz), self.high_hz])
        colors = colored(self._level(hz), self.colors)
        labels = frequency_labels([float(f"{each:.2g}") for each in hz])
        return [Swatch(label, f"#{bytes(color[:3]).hex()}") for label, color in zip(labels, colors, strict=True)]

    def _level(self, hz: Array) -> Array:
        return np.clip(np.log(hz / self.low_hz) / np.log(self.high_hz / self.low_hz), 0, 1)


@dataclass(frozen=True, kw_only=True)
class CentroidLane(ChannelLane):
    """Peaks of a channel, each column in its colour."""

    tint: Tint

    def shapes(self, panel: Panel) -> Iterator[Shape]:
        """The peaks."""
        columns = self.channel.columns(panel)
        low, high = self.channel.extremes(columns, symmetric=False)
        colors = self.tint.of_columns(panel)[columns.left - panel.left :][: len(columns)]
        yield bars(panel, columns.left, self.axis.positions(low), self.axis.positions(high), colors)
