"""Graphers of the waveform's envelope: `waveform_contour_black` and `waveform_contour_white`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from timeside_core import Array, Results
from timeside_grapher.color import Color, faded
from timeside_grapher.figure import Lane
from timeside_grapher.panel import Panel
from timeside_grapher.scene import Line, Shape
from timeside_grapher.waveform import ChannelLane, Waveform, bars


class WaveformContour(Waveform):
    """The smoothed envelope of each channel as nested, symmetric contours."""

    color: Color = "#000000"
    """Colour of the contours; inner ones are denser."""
    contours: Annotated[int, Field(ge=1, le=16)] = 4
    """Number of nested contours."""
    smoothing_px: Annotated[int, Field(ge=1, le=256)] = 16
    """Length of the Hann window that smooths the envelope, pixels."""

    def lanes(self, results: Results) -> Sequence[Lane]:
        """One per channel."""
        return [
            ContourLane(
                label=channel.label,
                channel=channel,
                axis=self.axis,
                color=self.color,
                contours=self.contours,
                smoothing_px=self.smoothing_px,
            )
            for channel in self.channels(results)
        ]


class WaveformContourBlack(WaveformContour, id="waveform_contour_black", version="2.0"):
    """The smoothed envelope of each channel as nested contours, light on black."""

    foreground_color: Color = "#dddddd"
    """Colour of text and axes."""
    background_color: Color = "#000000"
    """Colour behind everything."""
    color: Color = "#8fd3ff"
    """Colour of the contours; inner ones are denser."""


class WaveformContourWhite(WaveformContour, id="waveform_contour_white", version="2.0"):
    """The smoothed envelope of each channel as nested contours, dark on white."""

    color: Color = "#0b4f8a"
    """Colour of the contours; inner ones are denser."""


@dataclass(frozen=True, kw_only=True)
class ContourLane(ChannelLane):
    """Nested contours of a channel's envelope."""

    color: str
    contours: int
    smoothing_px: int

    def shapes(self, panel: Panel) -> Iterator[Shape]:
        """From the outermost contour inwards, each filled and edged."""
        envelope = self._envelope(panel)
        x = panel.left + np.arange(-1, panel.width + 1) + 0.5
        held = np.flatnonzero(np.isfinite(envelope[1:-1]))
        if not len(held):
            return
        inside = slice(held[0] + 1, held[-1] + 2)
        for part in np.arange(self.contours, 0, -1) / self.contours:
            low, high = self.axis.positions(-part * envelope), self.axis.positions(part * envelope)
            fill = faded(self.color, 0.55 / self.contours + 0.05)
            yield bars(panel, panel.left + int(held[0]), low[inside], high[inside], fill)
            for edge in (low, high):
                yield Line(x, panel.y(edge), faded(self.color, 1 - 0.6 * part), panel.clip, width_px=1.0)

    def _envelope(self, panel: Panel) -> Array:
        """Smoothed peaks of the columns and of one more on each side, shape `(width + 2,)`, NaN beyond the signal.

        The columns beyond the panel take part, so that neighbouring pictures join.
        """
        margin = self.smoothing_px // 2 + 2
        columns = self.channel.columns(panel, margin=margin)
        _, peaks = self.channel.extremes(columns, symmetric=True)
        padded = np.full(panel.width + 2 * margin, np.nan)
        padded[columns.left - panel.left + margin :][: len(columns)] = peaks
        window = np.hanning(self.smoothing_px + 2)
        smooth = np.convolve(np.nan_to_num(padded), window / window.sum(), mode="same")
        return np.where(np.isnan(padded), np.nan, smooth)[margin - 1 : margin + panel.width + 1]
