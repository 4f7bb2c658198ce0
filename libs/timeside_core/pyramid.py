"""Pyramids for display: coarser and coarser levels of a waveform, of spectrogram tiles, of any framewise result.

Each level is a reduction of the one below, exact also where the last row of a level covers less signal than the
others. Rows are the first axis throughout; a level of n rows is followed by one of ⌈n / factor⌉.
"""

from collections.abc import Iterator
from functools import reduce
from typing import NamedTuple

import numpy as np

from timeside_core.audio import Array

TILE_ROWS = 256
"""Rows of a tile of a spectrogram; a level that fits into one is the coarsest."""
WAVEFORM_ROWS = 1024
"""Rows of a tile of a waveform or of another framewise result."""


def reduce_waveform(minimum: Array, maximum: Array, rms: Array, *, filled: float = 1.0) -> tuple[Array, Array, Array]:
    """Half as many rows of a waveform: minimum, maximum and RMS of each pair, shapes `(⌈rows / 2⌉, channels)`.

    `filled` is the share of the last row that the signal fills, 0 < filled ≤ 1. The RMS of a pair is
    `sqrt((a² + w b²) / (1 + w))` with w = 1, and w = `filled` where b is the last row, so that each sample counts
    once. A last row without a partner stays as it is. `filled_share` tells the `filled` of what comes out.
    """
    if len(rms) < 2:
        return minimum, maximum, rms
    weights = np.ones((len(rms), *[1] * (rms.ndim - 1)))
    weights[-1] = filled
    energy = np.add.reduceat(weights * np.square(rms, dtype=float), np.arange(0, len(rms), 2))
    energy /= np.add.reduceat(weights, np.arange(0, len(rms), 2))
    return _pairwise(np.minimum, minimum), _pairwise(np.maximum, maximum), np.sqrt(energy).astype(rms.dtype)


def filled_share(rows: int, filled: float = 1.0) -> float:
    """Share of the last row that is filled once `rows` rows, the last one filled by `filled`, were halved."""
    return (1 + filled) / 2 if rows % 2 == 0 else filled / 2


def waveform_levels(
    minimum: Array, maximum: Array, rms: Array, *, filled: float = 1.0, rows: int = WAVEFORM_ROWS
) -> Iterator[tuple[Array, Array, Array]]:
    """Levels of a waveform, ×2 each, from the one given to the first that has at most `rows` rows."""
    level = (minimum, maximum, rms)
    yield level
    while (count := len(level[0])) > rows:
        level = reduce_waveform(*level, filled=filled)
        filled = filled_share(count, filled)
        yield level


def reduce_tiles(codes: Array) -> Array:
    """Half as many rows of a spectrogram: the larger code of each pair of rows, shape `(⌈rows / 2⌉, bins)`."""
    return _pairwise(np.maximum, codes)


def tile_levels(codes: Array, *, rows: int = TILE_ROWS) -> Iterator[Array]:
    """Levels of a spectrogram, ×2 each, from the one given to the first that has at most `rows` rows."""
    yield codes
    while len(codes) > rows:
        codes = reduce_tiles(codes)
        yield codes


class Summary(NamedTuple):
    """Minimum, maximum and mean of the values beneath each row, and how many there are; all of shape `(rows, …)`.

    Values that are NaN do not count; where nothing counts, minimum, maximum and mean are NaN.
    """

    min: Array
    max: Array
    mean: Array
    counts: Array


def summary(values: Array) -> Summary:
    """The values of a framewise result, shape `(rows, …)`, as the base of a pyramid; float32 or wider."""
    values = values.astype(np.result_type(values, np.float32), copy=False)
    return Summary(values, values, values, (~np.isnan(values)).astype(np.int64))


def reduce_summary(level: Summary, *, factor: int = 4) -> Summary:
    """A coarser level: what lies beneath each `factor` rows; the mean weighs rows by their counts."""
    totals = np.where(level.counts > 0, level.mean.astype(float) * level.counts, 0)
    total, counts = _groups(np.add, totals, factor, 0), _groups(np.add, level.counts, factor, 0)
    mean = np.divide(total, counts, out=np.full(total.shape, np.nan), where=counts > 0)
    return Summary(
        _groups(np.fmin, level.min, factor, np.nan),
        _groups(np.fmax, level.max, factor, np.nan),
        mean.astype(level.mean.dtype),
        counts,
    )


def summary_levels(values: Array, *, factor: int = 4, rows: int = WAVEFORM_ROWS) -> Iterator[Summary]:
    """Levels above the values themselves, ×`factor` each, to the first that has at most `rows` rows."""
    level = summary(values)
    while len(level.mean) > rows:
        level = reduce_summary(level, factor=factor)
        yield level


def _pairwise(ufunc: np.ufunc, rows: Array) -> Array:
    reduced = rows[::2].copy()
    ufunc(reduced[: len(rows) // 2], rows[1::2], out=reduced[: len(rows) // 2])
    return reduced


def _groups(ufunc: np.ufunc, rows: Array, factor: int, missing: float) -> Array:
    """`ufunc` over each `factor` rows, the last ones joined by rows of what is `missing`."""
    padding = np.full((-len(rows) % factor, *rows.shape[1:]), missing, rows.dtype)
    rows = np.concatenate([rows, padding])
    return reduce(ufunc, [rows[first::factor] for first in range(factor)])
