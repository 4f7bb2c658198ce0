"""Each level says of the signal what the base would, however the rows are cut."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from timeside_core.pyramid import (
    filled_share,
    reduce_summary,
    reduce_tiles,
    reduce_waveform,
    summary,
    summary_levels,
    tile_levels,
    waveform_levels,
)

HOP_LENGTH = 8


def waveform_of(samples, hop_length):
    """Minimum, maximum and RMS of every `hop_length` samples, slowly but surely; and how full the last row is."""
    pieces = [samples[first : first + hop_length] for first in range(0, len(samples), hop_length)]
    rows = (
        np.array([piece.min(axis=0) for piece in pieces]),
        np.array([piece.max(axis=0) for piece in pieces]),
        np.array([np.sqrt(np.mean(piece.astype(float) ** 2, axis=0)) for piece in pieces], np.float32),
    )
    return rows, len(pieces[-1]) / hop_length


@given(samples=st.integers(1, 400), channels=st.integers(1, 3))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_levels_of_a_waveform_are_those_of_the_samples(samples, channels):
    audio = np.random.default_rng(440).standard_normal((samples, channels)).astype(np.float32)
    base, filled = waveform_of(audio, HOP_LENGTH)
    levels = list(waveform_levels(*base, filled=filled, rows=1))
    assert len(levels[-1][0]) == 1
    for level, (minimum, maximum, rms) in enumerate(levels):
        (low, high, power), _ = waveform_of(audio, HOP_LENGTH << level)
        assert np.array_equal(minimum, low)
        assert np.array_equal(maximum, high)
        assert np.allclose(rms, power, rtol=1e-5)
        assert rms.dtype == np.float32


def test_share_of_the_last_row_halves_with_its_level():
    assert filled_share(4) == 1
    assert filled_share(3) == 0.5
    assert filled_share(4, 0.5) == 0.75
    assert filled_share(3, 0.5) == 0.25


def test_a_single_row_stays_as_it_is():
    row = np.array([[0.5, -0.5]], np.float32)
    assert all(each is row for each in reduce_waveform(row, row, row))


def test_a_louder_row_survives_in_tiles():
    codes = np.zeros((5, 4), np.uint8)
    codes[[1, 4], [2, 3]] = 7, 9
    assert reduce_tiles(codes).tolist() == [[0, 0, 7, 0], [0, 0, 0, 0], [0, 0, 0, 9]]


def test_levels_of_tiles_end_where_one_tile_holds_all():
    codes = np.random.default_rng(440).integers(0, 256, (1_001, 3), dtype=np.uint8)
    levels = list(tile_levels(codes, rows=256))
    assert [len(level) for level in levels] == [1_001, 501, 251]
    assert all(np.array_equal(level.max(axis=0), codes.max(axis=0)) for level in levels)


@given(rows=st.integers(1, 300), factor=st.integers(2, 5), bins=st.sampled_from([(), (3,)]))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_summaries_weigh_each_value_once(rows, factor, bins):
    rng = np.random.default_rng(440)
    values = rng.standard_normal((rows, *bins)).astype(np.float32)
    values[1:][rng.random(values[1:].shape) < 0.2] = np.nan
    level = summary(values)
    while len(level.mean) > 1:
        level = reduce_summary(level, factor=factor)
    valid = np.isfinite(values)
    assert np.array_equal(level.counts[0], valid.sum(axis=0))
    assert np.allclose(level.min[0], np.where(valid, values, np.inf).min(axis=0))
    assert np.allclose(level.max[0], np.where(valid, values, -np.inf).max(axis=0))
    assert np.allclose(level.mean[0], np.nansum(values, axis=0) / valid.sum(axis=0), atol=1e-6)


def test_where_nothing_counts_the_summary_is_nan():
    values = np.full(5, np.nan, np.float32)
    level = reduce_summary(summary(values))
    assert np.isnan([level.min, level.max, level.mean]).all()
    assert level.counts.tolist() == [0, 0]


def test_summaries_of_integers_are_floats():
    levels = list(summary_levels(np.arange(5_000), rows=1024))
    assert [len(level.mean) for level in levels] == [1_250, 313]
    assert levels[0].mean[0] == pytest.approx(1.5)
    assert levels[1].min[1] == 16
    assert list(summary_levels(np.arange(10))) == []
