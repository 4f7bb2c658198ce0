"""Silence and sound cover the signal, and change where aubio's level crosses the threshold."""

import aubio
import numpy as np
import pytest

from timeside_analyzer.aubio_silence import AubioSilence
from timeside_core.testing import analyze

SILENCE, SOUND = 0, 1


def segments_of(samples, samplerate=1000, **parameters):
    audio = np.atleast_2d(samples).T.astype(np.float32)
    rows = analyze(AubioSilence(**parameters), audio, samplerate=samplerate)[""]
    return list(zip(rows.values.tolist(), rows.times.tolist(), rows.durations.tolist(), strict=True))


def test_sound_between_silences_with_a_last_frame_cut_short():
    samples = np.concatenate([np.zeros(300), np.full(400, 0.1), np.zeros(250)])
    expected = [(SILENCE, 0.0, 0.3), (SOUND, 0.3, 0.4), (SILENCE, 0.7, 0.25)]
    assert segments_of(samples, frame_length=100) == [pytest.approx(segment) for segment in expected]


def test_the_last_frame_counts_with_its_own_length():
    samples = np.append(np.zeros(100), 1e-3)  # -60 dB in one sample, -80 dB in a frame padded to 100
    assert segments_of(samples, frame_length=100, threshold_db=-70)[-1] == pytest.approx((SOUND, 0.1, 0.001))


@pytest.mark.parametrize("frame_length", [64, 1000, 1024, 5000])
def test_labels_equal_aubio(frame_length):
    t = np.arange(60_000) / 44_100
    samples = (10 ** (-4 + 3 * np.sin(4 * t)) * np.random.default_rng(440).standard_normal(len(t))).astype(np.float32)
    frames = [samples[n : n + frame_length] for n in range(0, len(samples), frame_length)]
    silent = [aubio.silence_detection(frame, -80.0) for frame in frames]
    found = segments_of(samples, samplerate=44_100, frame_length=frame_length)
    starts = [n for n in range(len(frames)) if n == 0 or silent[n] != silent[n - 1]]
    assert [label for label, _, _ in found] == [1 - silent[n] for n in starts]
    np.testing.assert_allclose([time for _, time, _ in found], np.array(starts) * frame_length / 44_100)


def test_segments_cover_the_signal_without_gaps():
    samples = np.random.default_rng(440).uniform(-1, 1, 70_001) * (np.arange(70_001) % 9000 < 4000)
    found = segments_of(samples, samplerate=8000)
    ends = [time + duration for _, time, duration in found]
    np.testing.assert_allclose([time for _, time, _ in found[1:]], ends[:-1])
    assert ends[-1] == pytest.approx(70_001 / 8000)
    assert len({label for label, _, _ in found}) == 2


def test_digital_silence_is_silent_and_faint_sound_is_not_under_a_low_threshold():
    faint = 1e-5 * np.ones(3000)  # -100 dB
    assert segments_of(np.zeros(3000)) == [pytest.approx((SILENCE, 0, 3))]
    assert segments_of(faint) == [pytest.approx((SILENCE, 0, 3))]
    assert segments_of(faint, threshold_db=-110) == [pytest.approx((SOUND, 0, 3))]


def test_no_signal_no_segment():
    assert segments_of(np.zeros(0)) == []
