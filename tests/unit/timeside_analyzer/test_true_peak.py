"""True peak: signals 15 to 23 of EBU Tech 3341, and sines whose peak lies between samples."""

import numpy as np
import pytest
from scipy.signal import resample_poly

from timeside_analyzer.true_peak import TruePeak, oversampling

FADE = np.sin(np.linspace(0, np.pi / 2, 500)) ** 2


def true_peak_db(audio, samplerate=48_000, cuts=()):
    """dBTP of one channel."""
    meter = TruePeak(samplerate, channels=1)
    for piece in np.split(audio.astype(np.float32), cuts):
        meter.process(piece[np.newaxis])
    return 20 * np.log10(meter.finish())


def tone(fraction, phase_deg, amplitude, samples=20_000):
    """A sine at a fraction of the samplerate, faded in and out."""
    audio = amplitude * np.sin(2 * np.pi * fraction * np.arange(samples) + np.deg2rad(phase_deg))
    audio[:500] *= FADE
    audio[-500:] *= FADE[::-1]
    return audio


@pytest.mark.parametrize(
    ("fraction", "phase_deg", "amplitude", "level_db"),
    [(1 / 4, 0, 0.5, -6), (1 / 4, 45, 0.5, -6), (1 / 6, 60, 0.5, -6), (1 / 8, 67.5, 0.5, -6), (1 / 4, 45, 1.41, 3)],
    ids=["15", "16", "17", "18", "19"],
)
def test_tones_between_samples(fraction, phase_deg, amplitude, level_db):
    assert -0.4 <= true_peak_db(tone(fraction, phase_deg, amplitude)) - level_db <= 0.2


@pytest.mark.parametrize("offset", range(4), ids=["20", "21", "22", "23"])
def test_one_loud_period_at_any_offset(offset):
    """A tone at fs/6 with one period of fs/4 at full scale in it, made at 4 fs and decimated from an offset."""
    quiet = 0.5 * np.sin(2 * np.pi * np.arange(24 * 400) / 24)
    loud = np.sin(2 * np.pi * np.arange(16) / 16)
    fine = np.concatenate([quiet, loud, quiet])
    fine[:2000] *= np.repeat(FADE, 4)
    fine[-2000:] *= np.repeat(FADE[::-1], 4)
    audio = resample_poly(np.concatenate([np.zeros(4 * 64 - offset), fine]), up=1, down=4)
    assert -0.4 <= true_peak_db(audio) <= 0.2


@pytest.mark.parametrize("fraction", [0.01, 0.1, 0.2, 0.3, 0.36, 0.419])
def test_a_sine_reads_its_amplitude_or_half_a_decibel_less(fraction):
    for phase_deg in range(0, 180, 20):
        assert -0.5 <= true_peak_db(tone(fraction, phase_deg, 1.0)) <= 0.03


def test_grid_is_finer_at_low_samplerates_and_that_of_the_samples_at_192_khz():
    assert [oversampling(rate) for rate in (8_000, 48_000, 95_999, 96_000, 191_999, 192_000)] == [4, 4, 4, 2, 2, 1]
    between = tone(1 / 4, 45, 1.0)
    assert true_peak_db(between, 96_000) == pytest.approx(0, abs=0.05)
    assert true_peak_db(between, 192_000) == pytest.approx(-3.01, abs=0.01)


def test_does_not_depend_on_cuts():
    rng = np.random.default_rng(440)
    audio = 0.1 * rng.standard_normal(20_000)
    expected = true_peak_db(audio)
    for _ in range(5):
        assert true_peak_db(audio, cuts=np.sort(rng.integers(0, len(audio), 40))) == pytest.approx(expected, abs=1e-5)


def test_a_peak_may_follow_the_last_sample():
    assert true_peak_db(np.array([0.5, 0.5])) > 20 * np.log10(0.6)
    assert true_peak_db(np.array([-0.25])) == pytest.approx(20 * np.log10(0.25), abs=1e-3)


def test_the_loudest_channel_counts():
    meter = TruePeak(48_000, channels=3)
    meter.process(np.stack([0 * FADE, -0.7 * np.ones(500), FADE / 2]).astype(np.float32))
    assert 0.7 <= meter.finish() < 0.8
