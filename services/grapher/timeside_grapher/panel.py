"""A panel: a rectangle of whole pixels with a time axis, and the rows that fall into its columns."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from timeside_core import Array, Stream

_ROUNDING = 1e-6
"""Part of a row by which a column may miss a row's edge: above the rounding of times, below what anyone sees."""

_FAR_PX = 1e5
"""Beyond this places are cut off: nothing of them shows."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Columns of pixels that hold rows: from `left` on, each the rows from `first` up to before `last`."""

    left: int
    first: Array
    last: Array

    def __len__(self) -> int:
        return len(self.first)

    def reduced(self, values: Array, ufunc: Any) -> Array:
        """`ufunc` over the rows of each column, shape `(columns, …)`, for a `ufunc` to which repeats do not matter."""
        if not len(self):
            return values[:0]
        # reduceat runs to the next column's first row; the rest of a column is its last row
        between = ufunc.reduceat(values[: self.last[-1]], self.first, axis=0)
        return ufunc(between, values[self.last - 1])

    def means(self, values: Array) -> Array:
        """Mean over the rows of each column that are numbers, shape `(columns, …)`; NaN where none is."""
        known = np.isfinite(values)
        with np.errstate(invalid="ignore", divide="ignore"):
            return self._sums(np.where(known, values, 0)) / self._sums(known)

    def _sums(self, values: Array) -> Array:
        """Sums over the rows of each column; a row that fills several may count twice, in their count as well."""
        if not len(self):
            return values[:0].astype(float)
        sums: Array = np.add.reduceat(values[: self.last[-1]], self.first, axis=0, dtype=float)
        shared = np.flatnonzero(self.last[:-1] > self.first[1:])  # their last row is the next column's first
        sums[shared] += values[self.last[shared] - 1]
        return sums


@dataclass(frozen=True, slots=True)
class Panel:
    """Where a lane is drawn: pixels from the left and the top, and the times at its sides."""

    left: int
    top: int
    width: int
    height: int
    start_s: float
    stop_s: float

    @property
    def right(self) -> int:
        """The side after the last column."""
        return self.left + self.width

    @property
    def bottom(self) -> int:
        """The side after the last row of pixels."""
        return self.top + self.height

    @property
    def clip(self) -> tuple[int, int, int, int]:
        """Left, top, right, bottom."""
        return self.left, self.top, self.right, self.bottom

    def x(self, times: Array) -> Array:
        """Places of times, pixels; not cut to the panel."""
        places = self.left + (times - self.start_s) * (self.width / (self.stop_s - self.start_s))
        return np.clip(places, -_FAR_PX, _FAR_PX)

    def y(self, positions: Array) -> Array:
        """Places of positions from 0 (bottom) to 1 (top), pixels; not cut to the panel."""
        return np.clip(self.bottom - positions * self.height, -_FAR_PX, _FAR_PX)

    def rows_per_column(self, stream: Stream) -> float:
        """Rows of a stream to a column, rounded, so that pictures of one scale agree on it."""
        return round((self.stop_s - self.start_s) / self.width * stream.row_rate, 6)

    def columns(self, stream: Stream, rows: int, *, end_s: float | None = None, margin: int = 0) -> Columns:
        """The columns that rows of a stream fall in, `margin` columns before and after the panel included.

        A row reaches half a hop to both sides of its time, the last one to the end of the signal where that is given.
        A column holds each row it touches, so that nothing is lost where columns are wide, and a row fills many where
        they are narrow.
        """
        hop_s = stream.hop_length / stream.samplerate
        column_s = (self.stop_s - self.start_s) / self.width
        times = self.start_s + np.arange(-margin, self.width + margin + 1) * column_s
        edges = (times - stream.start_s) / hop_s + 0.5
        first = np.floor(edges[:-1] + _ROUNDING)
        last = np.maximum(np.ceil(edges[1:] - _ROUNDING), first + 1)
        end = rows if end_s is None else (end_s - stream.start_s) / hop_s + 0.5
        held = np.flatnonzero((edges[:-1] + _ROUNDING < end) & (last > 0)) if rows else np.empty(0, np.intp)
        left = self.left - margin + (int(held[0]) if len(held) else 0)
        return Columns(
            left, np.clip(first[held], 0, rows - 1).astype(np.intp), np.clip(last[held], 1, rows).astype(np.intp)
        )
