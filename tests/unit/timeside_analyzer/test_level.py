"""Levels have known answers; each sample counts once."""

import numpy as np
import pytest

from timeside_analyzer.level import Level
from timeside_core.testing import analyze, signal


def level_of(audio, **options):
    found = analyze(Level(), audio.astype(np.float32), **options)
    return {name: float(rows.values[0]) for name, rows in found.items() if len(rows)}


def test_a_full_scale_sine_peaks_at_0_and_has_an_rms_of_minus_3_01():
    sine = np.sin(2 * np.pi * 440 * np.arange(44_100) / 44_100)[:, np.newaxis]
    assert level_of(sine) == {"max": pytest.approx(0, abs=1e-3), "rms": pytest.approx(-3.0103, abs=1e-3)}


def test_the_loudest_channel_peaks_and_all_channels_count():
    audio = np.zeros((1000, 4))
    audio[:, 2] = -0.5
    assert level_of(audio) == {"max": pytest.approx(-6.0206), "rms": pytest.approx(-12.0412)}


def test_each_sample_counts_once_however_short_the_last_block():
    audio = np.ones((101, 1))
    audio[-1] = 0
    expected = pytest.approx(10 * np.log10(100 / 101))
    assert level_of(audio)["rms"] == level_of(audio, block_samples=100)["rms"] == expected


def test_scales_of_sines_have_the_true_rms():
    tones = [261.63, 293.66, 329.63, 349.23, 392.00, 440.00, 493.88, 523.25]
    t = np.arange(44_100) / 44_100
    scale = np.concatenate([np.concatenate([np.sin(2 * np.pi * tone * t), np.zeros(8_820)]) for tone in tones])
    assert level_of(scale[:-8_820, np.newaxis])["rms"] == pytest.approx(-3.711, abs=1e-3)


def test_silence_reads_the_floor_and_no_signal_reads_nothing():
    assert level_of(signal("silence")) == {
        "max": pytest.approx(-138.474, abs=1e-3),
        "rms": pytest.approx(-138.474, abs=1e-3),
    }
    assert level_of(signal("empty")) == {}
    assert level_of(np.full((1, 1), -1e3))["max"] == pytest.approx(60)
