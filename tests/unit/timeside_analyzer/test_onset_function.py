"""The function peaks where notes begin, loud or quiet, and is low elsewhere."""

import numpy as np
import pytest

from timeside_analyzer.onset_function import (
    REACH,
    OnsetDetectionFunction,
    RowFilter,
    differentiator,
    half_hann,
)
from timeside_core import Stream
from timeside_core.testing import analyze, signal

SAMPLERATE = 44_100
ONSETS_S = np.array([0.5, 1.0, 1.37, 2.2, 3.0])


def notes(gain=1.0):
    """Decaying notes of nine harmonics over faint noise."""
    t = np.arange(4 * SAMPLERATE) / SAMPLERATE
    audio = 1e-4 * np.random.default_rng(440).standard_normal(len(t))
    for onset_s, hz in zip(ONSETS_S, (220, 330, 440, 247, 196), strict=True):
        since = np.maximum(t - onset_s, 0)
        audio += 0.1 * np.exp(-3 * since) * sum(np.sin(2 * np.pi * hz * h * since) / h for h in range(1, 10))
    return (gain * audio)[:, np.newaxis].astype(np.float32)


def peaks_s(values, times):
    inner = (values[1:-1] > values[:-2]) & (values[1:-1] >= values[2:]) & (values[1:-1] > 0.3 * values.max())
    return times[1:-1][inner]


@pytest.mark.parametrize("gain", [1.0, 0.01, 0.001])
@pytest.mark.parametrize(("n_fft", "hop_length"), [(1024, 512), (2048, 441)])
def test_peaks_are_the_onsets_at_any_level(gain, n_fft, hop_length):
    analyzer = OnsetDetectionFunction(n_fft=n_fft, hop_length=hop_length)
    values = analyze(analyzer, notes(gain))[""].values
    stream = Stream(samplerate=SAMPLERATE)
    times = analyzer.input.clock(analyzer.input.input.clock(analyzer.input.input.input.clock(stream))).times(
        0, len(values)
    )
    found = peaks_s(values, times)
    assert len(found) == len(ONSETS_S)
    assert np.abs(found - ONSETS_S).max() <= hop_length / SAMPLERATE + 1e-9


def test_one_row_to_a_frame():
    for samples in (1, 511, 512, 100_000):
        assert len(analyze(OnsetDetectionFunction(), notes()[:samples])[""]) == samples // 512 + 1
    assert len(analyze(OnsetDetectionFunction(), signal("empty"))[""]) == 0


def test_constant_signals_do_not_rise():
    assert not analyze(OnsetDetectionFunction(), signal("silence", duration_s=1))[""].values.any()
    steady = analyze(OnsetDetectionFunction(), signal("sine", duration_s=2))[""].values
    assert steady[0] > 100
    assert steady[40:-40].max() < steady[0] / 100


def test_does_not_depend_on_the_pieces_that_come():
    rng = np.random.default_rng(440)
    power = rng.random((500, 513)).astype(np.float32)
    stream = Stream(samplerate=SAMPLERATE, hop_length=512, frame_length=1024)

    def fed(pieces):
        analyzer = OnsetDetectionFunction().working_copy(stream)
        analyzer.start(stream)
        made = [analyzer.process(piece) for piece in pieces if len(piece)]
        analyzer.at(len(power), 0)
        return np.concatenate([*made, analyzer.finish()])

    whole = fed([power])
    assert len(whole) == len(power)
    for _ in range(3):
        assert np.allclose(fed(np.split(power, np.sort(rng.integers(0, 500, 60)))), whole, rtol=1e-4, atol=1e-2)


def test_differentiator_is_exact_on_a_line_and_mute_on_a_constant():
    taps = differentiator(REACH)
    line = 3.0 * np.arange(100)
    assert np.allclose(np.convolve(line, taps, mode="valid"), 3)
    assert np.allclose(np.convolve(np.ones(100), taps, mode="valid"), 0)
    slow = np.sin(2 * np.pi * 0.1 * np.arange(200))
    derivative = 2 * np.pi * 0.1 * np.cos(2 * np.pi * 0.1 * np.arange(200))
    assert np.allclose(np.convolve(slow, taps, mode="same")[20:-20], derivative[20:-20], rtol=0.02, atol=0.01)


def test_smoothing_begins_with_its_largest_tap_and_keeps_the_mean():
    taps = half_hann(7)
    assert taps.sum() == pytest.approx(1)
    assert (np.diff(taps) < 0).all()


def test_row_filter_is_a_convolution_along_rows():
    rng = np.random.default_rng(440)
    rows, taps = rng.standard_normal((150, 3)), rng.standard_normal(5)
    filtered = RowFilter(taps, np.zeros((4, 3), np.float32)).process(rows.astype(np.float32))
    for column in range(3):
        assert np.allclose(filtered[:, column], np.convolve(rows[:, column], taps)[:150], atol=1e-4)
