"""Products of frames with small matrices, done so that they cost little wherever they run."""

import numpy as np

from timeside_core import Array

_ONE_THREAD = 1 << 18
"""Multiplications up to which OpenBLAS stays in the calling thread.

Waking its other threads costs more than they save on products this small, and ten times as much where other processes
hold the cores.
"""
_FILTERS_AT_ONCE = 8


def product(rows: Array, weights: Array) -> Array:
    """`rows @ weights`, by as many rows at a time as one thread takes."""
    step = max(1, _ONE_THREAD // max(1, weights.size))
    if len(rows) <= step:
        return rows @ weights
    return np.concatenate([rows[first : first + step] @ weights for first in range(0, len(rows), step)])


class Filterbank:
    """Filters that each let a few neighbouring bins through: a product that leaves out what they stop."""

    def __init__(self, weights: Array) -> None:
        """Take weights of shape `(bins, filters)`."""
        self._groups: list[tuple[slice, Array]] = []
        for first in range(0, weights.shape[1], _FILTERS_AT_ONCE):
            group = weights[:, first : first + _FILTERS_AT_ONCE]
            open_bins = np.flatnonzero(group.any(axis=1))
            bins = slice(open_bins[0], open_bins[-1] + 1) if len(open_bins) else slice(0, 0)
            self._groups.append((bins, np.ascontiguousarray(group[bins])))

    def __call__(self, rows: Array) -> Array:
        """What each filter lets through of each row, shape `(rows, filters)`."""
        return np.concatenate([product(rows[:, bins], weights) for bins, weights in self._groups], axis=1)
