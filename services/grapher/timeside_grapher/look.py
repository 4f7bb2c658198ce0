"""How a result looks: its colours, and the scale its values are drawn on."""

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from timeside_core import Array
from timeside_grapher.axis import ValueAxis
from timeside_grapher.color import MapName

DECIBEL_SPAN = 80.0
"""Decibels below the largest value that a scale shows by itself: silence lies far below all else."""
DECIBELS = ("dB", "dBFS", "dBTP", "LUFS", "LKFS")
"""Units of levels, whose smallest value is that of silence."""
LARGEST = 1e100
"""Largest size of a value that a scale shows: differences of larger ones may not be finite."""
MIDDLE = (0.05, 0.95)
"""Quantiles of the values that the colours of an image span by themselves: a few values far out would hide the rest."""
SAMPLED = 1_000_000
"""Values that quantiles are taken of, evenly spread."""


Levels: TypeAlias = Literal["auto", "linear", "amplitude", "power"]
"""How values become colours: as they are, or as decibels of an amplitude or of a power."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Colours and the ends of scales, those of the whole result where they are None.

    All values count, not only those shown, so that pictures of other times can be compared and joined.
    """

    color: str
    colors: MapName
    levels: Levels
    minimum: float | None
    maximum: float | None
    foreground: str
    font_px: int
    named: bool
    """Whether blocks bear their labels."""

    def scale(self, values: Array, unit: str, *, with_zero: bool = False) -> ValueAxis:
        """An axis of values."""
        low, high = _extent(values)
        if unit in DECIBELS:
            low = max(low, high - DECIBEL_SPAN)
        elif with_zero or 0 < low < high / 2:
            low, high = min(low, 0.0), max(high, 0.0)
        room = 0.05 * (high - low) or 1.0
        return ValueAxis(*self._given(low - room if low else low, high + room if high else high), unit)

    def range(self, values: Array, *, decibels: float) -> tuple[float, float]:
        """Values of the first and the last colour of an image; levels where `decibels`, their factor, is not 0."""
        if decibels:
            high = decibels * math.log10(max(_extent(values)[1], np.finfo(np.float32).tiny))
            return self._given(high - DECIBEL_SPAN, high)
        sampled = values.ravel()[:: max(1, values.size // SAMPLED)]
        finite = sampled[np.isfinite(sampled)]
        low, high = np.quantile(finite, MIDDLE) if finite.size else (0.0, 1.0)
        return self._given(float(low), float(high))

    def _given(self, low: float, high: float) -> tuple[float, float]:
        low = low if self.minimum is None else self.minimum
        high = high if self.maximum is None else self.maximum
        return low, high if high > low else low + 1


def _extent(values: Array) -> tuple[float, float]:
    """Smallest and largest finite value; 0 and 1 where there is none."""
    known = np.isfinite(values)
    if not known.any():
        return 0.0, 1.0
    values = values.astype(float) if np.issubdtype(values.dtype, np.integer) else values
    low, high = float(values.min(where=known, initial=np.inf)), float(values.max(where=known, initial=-np.inf))
    return max(low, -LARGEST), min(high, LARGEST)
