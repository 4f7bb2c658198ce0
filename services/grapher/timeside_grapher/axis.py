"""Axes: from values to places, and the ticks that people read."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from timeside_core import Array

_TIME_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
_TIME_UNITS = (("s", 1, 0.5), ("ms", 1e3, 5e-4), ("µs", 1e6, 0.0))
"""Units of short times, how many are a second, and the end of an axis from which on they are used."""


class Tick(NamedTuple):
    """A labelled place on an axis."""

    position: float
    """From 0 (bottom or left) to 1 (top or right)."""
    label: str


class Axis(Protocol):
    """The vertical axis of a lane."""

    @property
    def unit(self) -> str:
        """Unit of what is read from it; empty for a bare number."""
        ...

    def ticks(self, count: int) -> Sequence[Tick]:
        """About `count` ticks, from low to high."""
        ...


@dataclass(frozen=True, slots=True)
class ValueAxis:
    """Numbers from `low` at the bottom to `high` at the top, on a linear or a logarithmic scale."""

    low: float
    high: float
    unit: str = ""
    log: bool = False

    def positions(self, values: Array) -> Array:
        """Places of values, 0 at `low` and 1 at `high`; NaN where a logarithm does not exist."""
        if not self.log:
            return (values - self.low) / (self.high - self.low)
        with np.errstate(divide="ignore", invalid="ignore"):
            octaves = np.log2(values / self.low) / math.log2(self.high / self.low)
        return np.where(np.isfinite(octaves), octaves, np.nan)

    def values(self, positions: Array) -> Array:
        """Values at places: the inverse of `positions`."""
        if self.log:
            return self.low * (self.high / self.low) ** positions
        return self.low + (self.high - self.low) * positions

    def ticks(self, count: int) -> list[Tick]:
        """Multiples of 1, 2 or 5 times a power of ten."""
        values = _decades(self.low, self.high, count) if self.log else []
        for doublings in range(4):  # round steps are rounded up: there may be too few of them at first
            if len(values) < 2:
                values = _multiples(_nice_step((self.high - self.low) / (count << doublings)), self.low, self.high)
        labels = frequency_labels(values) if self.unit == "Hz" else number_labels(values)
        positions = self.positions(np.array(values))
        return [Tick(float(at), label) for at, label in zip(positions, labels, strict=True)]


@dataclass(frozen=True, slots=True)
class BinAxis:
    """The columns of a row, one above the other at equal heights."""

    names: tuple[str, ...]
    unit: str = ""

    def ticks(self, count: int) -> list[Tick]:
        """Every n-th name, at the middle of its column's height."""
        every = max(1, math.ceil(len(self.names) / max(1, count)))
        return [Tick((i + 0.5) / len(self.names), self.names[i]) for i in range(0, len(self.names), every)]


def number_labels(values: Sequence[float]) -> list[str]:
    """Labels that tell the values apart, thousands as `k`, without needless digits."""
    thousands = 10_000 <= max((abs(value) for value in values), default=0.0) < 1e7
    labels = [f"{value / 1000:g}k" if thousands and value else f"{value:.6g}" for value in values]
    return [label.replace("-", "\N{MINUS SIGN}") for label in labels]


def frequency_labels(values: Sequence[float]) -> list[str]:
    """Labels in Hz below 1 kHz and in kHz from there on."""
    return [f"{value:g} Hz" if value < 1000 else f"{value / 1000:g} kHz" for value in values]


def time_ticks(start_s: float, stop_s: float, count: int) -> list[Tick]:
    """About `count` ticks of a time axis, labelled `20 ms`, `0.25 s`, `1:30` or `1:02:03`."""
    span = stop_s - start_s
    step = _time_step(span / max(1, count))
    times = _multiples(step, start_s, stop_s)
    if stop_s > 60:
        decimals = max(0, -math.floor(math.log10(step) + 1e-9))
        labels = [clock_label(time, decimals) for time in times]
    else:
        unit, factor = next((unit, factor) for unit, factor, most in _TIME_UNITS if stop_s >= most)
        decimals = max(0, -math.floor(math.log10(step * factor) + 1e-9))
        labels = [f"{time * factor:.{decimals}f} {unit}" for time in times]
    return [Tick((time - start_s) / span, label) for time, label in zip(times, labels, strict=True)]


def clock_label(time_s: float, decimals: int = 0) -> str:
    """A time as a clock shows it: `1:30`, `1:02:03.250`."""
    whole, fraction = divmod(round(time_s * 10**decimals), 10**decimals)
    minutes, seconds = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    face = f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
    return f"{face}.{fraction:0{decimals}}" if decimals else face


def _time_step(raw_s: float) -> float:
    if raw_s <= 0.5:
        return _nice_step(raw_s)
    return next((step for step in _TIME_STEPS_S if step >= raw_s), 86_400 * math.ceil(raw_s / 86_400))


def _nice_step(raw: float) -> float:
    """The least of 1, 2 or 5 times a power of ten that is at least `raw`."""
    power = 10.0 ** math.floor(math.log10(raw))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * (1 - 1e-9))


def _multiples(step: float, low: float, high: float) -> list[float]:
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    digits = max(0, -math.floor(math.log10(step)) + 1)
    return [round(index * step, digits) for index in range(first, last + 1)]


def _decades(low: float, high: float, count: int) -> list[float]:
    """1, 2, 5 times powers of ten between two values, fewer of them where that is more than `count`."""
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    values: list[float] = []
    for factors in ((1, 2, 5), (1, 3), (1,)):
        values = [factor * 10.0**exponent for exponent in exponents for factor in factors]
        values = [value for value in values if low * (1 - 1e-9) <= value <= high * (1 + 1e-9)]
        if len(values) <= count:
            break
    return values
