"""Axes: places of values, round ticks, readable times."""

import numpy as np
import pytest

from timeside_grapher.axis import BinAxis, ValueAxis, frequency_labels, number_labels, time_ticks


@pytest.mark.parametrize("axis", [ValueAxis(-3, 7), ValueAxis(40, 20_000, log=True)])
def test_values_and_positions_are_inverse(axis: ValueAxis):
    values = np.linspace(axis.low, axis.high, 9)
    assert np.allclose(axis.values(axis.positions(values)), values)
    assert np.allclose(axis.positions(np.array([axis.low, axis.high])), [0, 1])


def test_a_logarithm_has_no_place_for_zero():
    assert np.isnan(ValueAxis(40, 20_000, log=True).positions(np.array([0.0, -1.0]))).all()


def test_an_octave_is_as_high_everywhere():
    places = ValueAxis(50, 12_800, log=True).positions(np.array([50.0, 100, 200, 6400, 12_800]))
    assert np.allclose(np.diff(places)[[0, 1, 3]], 1 / 8)


@pytest.mark.parametrize(
    "axis", [ValueAxis(0, 1), ValueAxis(-0.013, 0.02), ValueAxis(1e5, 3.3e5), ValueAxis(40, 2e4, log=True)]
)
def test_ticks_are_round_and_inside(axis: ValueAxis):
    ticks = axis.ticks(6)
    assert 2 <= len(ticks) <= 8
    assert all(-1e-9 <= tick.position <= 1 + 1e-9 for tick in ticks)
    assert len({tick.label for tick in ticks}) == len(ticks)
    assert max(len(tick.label) for tick in ticks) <= 7


def test_there_are_two_ticks_at_least():
    for axis in (ValueAxis(-0.05, 0.97), ValueAxis(0, 1e-9), ValueAxis(1100, 1900, log=True), ValueAxis(-140, -139)):
        assert len(axis.ticks(1)) >= 2


def test_labels():
    assert number_labels([0, 5000, 10_000]) == ["0", "5k", "10k"]
    assert number_labels([-0.5, 0.25]) == ["−0.5", "0.25"]
    assert frequency_labels([50, 1000, 12_500]) == ["50 Hz", "1 kHz", "12.5 kHz"]


@pytest.mark.parametrize(
    ("start_s", "stop_s", "first", "last"),
    [
        (0, 1 / 44_100, "0 µs", "20 µs"),
        (0, 0.02, "0 ms", "20 ms"),
        (0, 12, "0 s", "12 s"),
        (5, 5.02, "5.000 s", "5.020 s"),
        (0, 90, "0:00", "1:30"),
        (0, 10_800, "0:00", "3:00:00"),
        (5000, 5000.02, "1:23:20.000", "1:23:20.020"),
        (0, 400_000, "0:00", "96:00:00"),
    ],
)
def test_times(start_s: float, stop_s: float, first: str, last: str):
    ticks = time_ticks(start_s, stop_s, 6)
    assert 3 <= len(ticks) <= 7
    assert ticks[0].label == first
    assert ticks[-1].label == last


def test_names_are_thinned_out():
    ticks = BinAxis(tuple("abcdefgh")).ticks(4)
    assert [tick.label for tick in ticks] == ["a", "c", "e", "g"]
    assert ticks[0].position == 1 / 16
