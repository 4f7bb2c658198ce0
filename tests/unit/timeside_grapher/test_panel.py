"""Columns of pixels and the rows that fall into them."""

from itertools import pairwise

import numpy as np
import pytest

from timeside_core import Stream
from timeside_grapher.panel import Panel

STREAM = Stream(samplerate=1000, hop_length=10, frame_length=10, start_s=0.005)
"""Row n covers the times from n / 100 s to (n + 1) / 100 s."""


def panel(width: int, start_s: float, stop_s: float) -> Panel:
    return Panel(0, 0, width, 10, start_s, stop_s)


@pytest.mark.parametrize("width", [1, 7, 100, 333, 1000, 4096])
@pytest.mark.parametrize(("start_s", "stop_s"), [(0, 10), (1.234, 7.1), (3.001, 3.002)])
def test_a_column_holds_exactly_the_rows_it_touches(width: int, start_s: float, stop_s: float):
    values = np.random.default_rng(440).standard_normal(1000)
    columns = panel(width, start_s, stop_s).columns(STREAM, len(values))
    assert len(columns) == width
    edges = np.linspace(start_s, stop_s, width + 1) * 100
    expected = [
        values[int(np.floor(low + 1e-6)) : max(int(np.ceil(high - 1e-6)), int(np.floor(low + 1e-6)) + 1)].max()
        for low, high in pairwise(edges)
    ]
    assert np.array_equal(columns.reduced(values, np.maximum), expected)


@pytest.mark.parametrize("width", [1, 7, 100, 333, 1000, 4096])
def test_means_are_over_the_same_rows(width: int):
    values = np.random.default_rng(440).standard_normal((1000, 3)).astype(np.float32)
    columns = panel(width, 1.2345, 9.8765).columns(STREAM, len(values))
    expected = [values[first:last].mean(axis=0) for first, last in zip(columns.first, columns.last, strict=True)]
    assert np.allclose(columns.means(values), expected, atol=1e-5)


def test_means_leave_out_what_is_no_number():
    values = np.array([1.0, np.nan, 3.0, 5.0, np.nan, np.nan])
    columns = panel(3, 0, 0.06).columns(STREAM, len(values))
    assert np.array_equal(columns.means(values), [1, 4, np.nan], equal_nan=True)


def test_where_there_are_no_rows_there_are_no_columns():
    columns = panel(100, 5, 15).columns(STREAM, 1000)
    assert (columns.left, len(columns)) == (0, 50)
    assert len(panel(100, 20, 30).columns(STREAM, 1000)) == 0
    assert len(panel(100, 0, 10).columns(STREAM, 0)) == 0


def test_the_last_row_reaches_to_the_end_of_the_signal():
    columns = panel(100, 0, 0.1).columns(STREAM, 5, end_s=0.08)
    assert len(columns) == 80
    assert columns.first[-1] == 4
