"""Coarser levels of framewise rows, built while the rows arrive."""

from collections.abc import Callable
from typing import Any

import numpy as np

from timeside_core.audio import Array
from timeside_core.outputs import Pooling
from timeside_core.pyramid import TILE_ROWS, WAVEFORM_ROWS
from timeside_core.store.arrays import GrowingArray

FACTORS: dict[Pooling, int] = {"summary": 4, "min": 2, "max": 2, "rms": 2}
"""Rows that one row of the next level stands for."""

HELD_ROWS = 1024
"""Rows that are pooled at once: a block's few would cost more calls than work."""


class Levels:
    """A chain of levels: each takes the rows of the one below and hands on rows that stand for several of them.

    `summary`: minimum, maximum and mean on a last axis of three; `min`, `max`, `rms`: that alone. Every row of a level
    but the last stands for equally many rows of the base.
    """

    def __init__(self, pooling: Pooling, create: Callable[[int], GrowingArray], *, tiles: bool, level: int = 1) -> None:
        self._pooling: Pooling = pooling
        self._create, self._tiles, self._level = create, tiles, level
        self._limit = TILE_ROWS if tiles else WAVEFORM_ROWS
        self._held: list[Array] = []
        self._held_rows = 0
        self._rows_below = 0
        self._array: GrowingArray | None = None
        self._next: Levels | None = None
        self._like: Array | None = None

    def append(self, rows: Array) -> None:
        """Take rows of the level below."""
        self._rows_below += len(rows)
        self._held.append(rows)
        self._held_rows += len(rows)
        if self._held_rows >= HELD_ROWS:
            rows = np.concatenate(self._held)
            whole = len(rows) // FACTORS[self._pooling] * FACTORS[self._pooling]
            self._held, self._held_rows = [rows[whole:]], len(rows) - whole
            self._hand_on(rows[:whole])

    def finish(self) -> int:
        """Write the levels that are worth it, those below which more than one screen of rows lies; their count."""
        if self._rows_below <= self._limit:
            return 0
        if self._held_rows:
            self._hand_on(np.concatenate(self._held))
        assert self._array is not None
        assert self._next is not None
        assert self._like is not None
        self._array.finish(self._like)
        return 1 + self._next.finish()

    def _hand_on(self, rows: Array) -> None:
        pooled = pool(self._pooling, rows, summarised=self._level > 1)
        if self._array is None:
            self._array = self._create(self._level)
            self._next = Levels(self._pooling, self._create, tiles=self._tiles, level=self._level + 1)
            self._like = pooled
        assert self._next is not None
        self._array.append(pooled)
        self._next.append(pooled)


def pool(pooling: Pooling, rows: Array, *, summarised: bool = False) -> Array:
    """Rows that each stand for `FACTORS[pooling]` of `rows`, the last for what is left."""
    starts = np.arange(0, len(rows), FACTORS[pooling])
    if pooling == "min":
        return np.minimum.reduceat(rows, starts)
    if pooling == "max":
        return np.maximum.reduceat(rows, starts)
    counts = np.diff(np.append(starts, len(rows))).reshape(-1, *[1] * (rows.ndim - 1))
    if pooling == "rms":
        return np.sqrt(np.add.reduceat(np.square(rows, dtype=float), starts) / counts).astype(rows.dtype)
    low, high, mean = (rows[..., 0], rows[..., 1], rows[..., 2]) if summarised else (rows, rows, rows)
    counts = counts.reshape(-1, *[1] * (mean.ndim - 1))
    means = np.add.reduceat(mean, starts, dtype=float) / counts
    pooled: Any = (np.minimum.reduceat(low, starts), np.maximum.reduceat(high, starts), means)
    return np.stack(pooled, axis=-1).astype(np.float32)
