"""Graphers of the spectrum over time: `spectrogram_log`, `spectrogram_lin`, `spectrogram`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from timeside_core import Analyzer, Array, Result, Results, Stream, get_processor
from timeside_core.decibels import RANGE_DB
from timeside_core.errors import ParameterError
from timeside_core.inputs import FrameLength
from timeside_grapher.axis import ValueAxis
from timeside_grapher.chart import Chart, end_s, result_of
from timeside_grapher.color import MapName, colored
from timeside_grapher.figure import Lane, color_scale
from timeside_grapher.panel import Columns, Panel
from timeside_grapher.scene import Pixels, Shape

LOW_DB, HIGH_DB = -100.0, -10.0
"""Levels of the first and the last colour, dBFS, where not told otherwise."""


@dataclass(frozen=True, kw_only=True)
class SpectrogramLane(Lane):
    """Levels over time and frequency as colours."""

    stream: Stream
    end_s: float
    """End of the signal."""
    codes: Array
    """8-bit codes of levels, shape `(rows, bands)`: see `timeside_core.decibels`."""
    bands_hz: Array
    """Centres of the bands, shape `(bands,)`, in equal steps of the axis."""
    scale: ValueAxis
    """Frequencies from bottom to top."""
    low_db: float
    high_db: float
    colors: MapName
    opacity: float = 1.0

    def shapes(self, panel: Panel) -> Iterator[Shape]:
        """One image: the loudest row of each column, the loudest band of each row of pixels."""
        columns = panel.columns(self.stream, len(self.codes), end_s=self.end_s)
        if not len(columns):
            return
        codes = self._by_columns(panel, columns)
        levels_db = (self._by_pixels(codes.T, panel.height) - 255) * (RANGE_DB / 254)
        rgba = colored(np.clip((levels_db - self.low_db) / (self.high_db - self.low_db), 0, 1), self.colors)
        rgba[..., 3] = np.rint(rgba[..., 3] * self.opacity)
        yield Pixels(columns.left, panel.top, rgba)

    def _by_columns(self, panel: Panel, columns: Columns) -> Array:
        """Codes of columns, shape `(columns, bands)`; where a row fills several they are read between rows."""
        if panel.rows_per_column(self.stream) >= 1 or len(self.codes) < 2:
            return columns.reduced(self.codes, np.maximum)
        column_s = (panel.stop_s - panel.start_s) / panel.width
        middles = panel.start_s + (columns.left - panel.left + np.arange(len(columns)) + 0.5) * column_s
        return interpolated(self.codes, (middles - self.stream.start_s) * self.stream.row_rate)

    def _by_pixels(self, codes: Array, height: int) -> Array:
        """Codes of rows of pixels, shape `(height, columns)`, from codes of bands, shape `(bands, columns)`.

        Between the centres of two bands a level is read linearly; NaN beyond the bands.
        """
        positions = self.scale.positions(self.bands_hz)
        step = positions[1] - positions[0]
        edges = (np.linspace(1, 0, height + 1) - positions[0]) / step  # in bands, from the top down
        centres = (edges[:-1] + edges[1:]) / 2
        read = interpolated(codes, centres)
        first = np.clip(np.ceil(edges[1:]), 0, len(codes) - 1).astype(int)
        last = np.clip(np.floor(edges[:-1]) + 1, first + 1, len(codes)).astype(int)
        whole = np.ceil(edges[1:]) <= np.floor(edges[:-1])  # rows of pixels with a band's centre in them
        loudest = Columns(0, first[::-1], last[::-1]).reduced(codes, np.maximum)[::-1]
        read = np.where(whole[:, np.newaxis], np.maximum(read, loudest), read)
        read[(centres < -0.5) | (centres > len(codes) - 0.5)] = np.nan
        return read


def interpolated(rows: Array, places: Array) -> Array:
    """Rows at fractional indices, float32, read linearly between neighbours; the outermost beyond the ends."""
    inside = np.clip(places, 0, len(rows) - 1)
    below = np.minimum(inside.astype(int), len(rows) - 2)
    share = (inside - below).astype(np.float32)[:, np.newaxis]
    return (1 - share) * rows[below] + share * rows[below + 1]


class Spectrograms(Chart):
    """What graphers of the spectrum over time share."""

    scale: ClassVar[Literal["log", "linear"]]
    """Scale of the frequency axis."""

    colors: MapName = "magma"
    """Colours from soft to loud."""
    low_db: Annotated[float, Field(ge=-200, le=200)] = LOW_DB
    """Level of the first colour, dBFS; the analysis ends at -110."""
    high_db: Annotated[float, Field(ge=-200, le=200)] = HIGH_DB
    """Level of the last colour, dBFS."""
    low_hz: Annotated[float, Field(ge=0, le=1e6)] | None = None
    """Lowest frequency shown, Hz; the lowest analysed where not given."""
    high_hz: Annotated[float, Field(gt=0, le=1e6)] | None = None
    """Highest frequency shown, Hz; the highest analysed where not given."""
    n_fft: Annotated[int, Field(ge=16, le=1 << 16)] = 2048
    """Length of the transform, samples."""
    hop_length: FrameLength = 1024
    """Samples from one transform to the next."""
    bands: Annotated[int, Field(ge=16, le=2048)] = 256
    """Bands of frequency that are analysed."""

    @model_validator(mode="after")
    def _low_below_high(self) -> Self:
        if not self.low_db < self.high_db:
            raise ValueError(f"low_db={self.low_db:g} must be less than high_db={self.high_db:g}")
        if self.low_hz is not None and self.high_hz is not None and not self.low_hz < self.high_hz:
            raise ValueError(f"low_hz={self.low_hz:g} must be less than high_hz={self.high_hz:g}")
        return self

    @property
    def input(self) -> tuple[Analyzer, ...]:
        """The spectrogram on that scale."""
        parameters = {
            "scale": self.scale,
            "n_fft": self.n_fft,
            "hop_length": self.hop_length,
            "bands": self.bands,
        }
        found = get_processor("spectrogram_analyzer").from_parameters(parameters)
        assert isinstance(found, Analyzer)
        return (found,)

    def lanes(self, results: Results) -> Sequence[Lane]:
        """One: the spectrum is that of the mean of all channels."""
        tiles = result_of(results, self.input[0], "tiles")
        scale = frequency_axis(tiles, log=self.scale == "log", low_hz=self.low_hz, high_hz=self.high_hz)
        return [spectrogram_lane(tiles, scale, low_db=self.low_db, high_db=self.high_db, colors=self.colors)]


class SpectrogramLog(Spectrograms, id="spectrogram_log", version="2.0"):
    """The spectrum over time, frequencies in equal ratios."""

    scale: ClassVar[Literal["log", "linear"]] = "log"


class SpectrogramLin(Spectrograms, id="spectrogram_lin", version="2.0"):
    """The spectrum over time, frequencies in equal steps."""

    scale: ClassVar[Literal["log", "linear"]] = "linear"


class LinearSpectrogram(SpectrogramLin, id="spectrogram", version="2.0"):
    """The spectrum over time, frequencies in equal steps: `spectrogram_lin` by its other name."""


def spectrogram_lane(
    tiles: Result, scale: ValueAxis, *, low_db: float, high_db: float, colors: MapName, opacity: float = 1.0
) -> SpectrogramLane:
    """The lane of an output `tiles`, between two frequencies."""
    return SpectrogramLane(
        axis=scale,
        legend=color_scale(low_db, high_db, "dBFS", colors),
        stream=tiles.stream,
        end_s=end_s(tiles),
        codes=tiles.values,
        bands_hz=np.asarray(tiles.bins, dtype=float),
        scale=scale,
        low_db=low_db,
        high_db=high_db,
        colors=colors,
        opacity=opacity,
    )


def is_tiles(result: Result) -> bool:
    """Whether the rows of a result are 8-bit codes of levels by frequency."""
    return result.output.time_mode == "framewise" and result.output.bin_unit == "Hz" and result.values.dtype == np.uint8


def in_ratios(bands_hz: Array) -> bool:
    """Whether frequencies rise in equal ratios, not in equal steps."""
    return bool(np.ptp(np.diff(np.log(bands_hz))) < np.ptp(np.diff(bands_hz) / bands_hz[1]))


def frequency_axis(tiles: Result, *, log: bool, low_hz: float | None = None, high_hz: float | None = None) -> ValueAxis:
    """The axis of all bands, or of what lies between two frequencies; raises `ParameterError` where nothing does."""
    bands_hz = np.asarray(tiles.bins, dtype=float)
    if log:
        half = np.sqrt(bands_hz[1] / bands_hz[0])
        lowest, highest = float(bands_hz[0] / half), float(bands_hz[-1] * half)
    else:
        half = (bands_hz[1] - bands_hz[0]) / 2
        lowest, highest = float(bands_hz[0] - half), float(bands_hz[-1] + half)
    low, high = max(low_hz or lowest, lowest), min(high_hz or highest, highest)
    if not low < high:
        raise ParameterError(
            f"low_hz={low_hz}, high_hz={high_hz} lie outside the analysed {lowest:.4g} Hz to {highest:.4g} Hz"
        )
    return ValueAxis(low, high, unit="Hz", log=log)
