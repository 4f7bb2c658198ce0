"""Mel energies and cepstral coefficients equal aubio's own, without its row of zeros."""

import warnings

import aubio
import numpy as np
import pytest

from timeside_analyzer.aubio_melenergy import AubioMelEnergy, slaney_weights
from timeside_analyzer.aubio_mfcc import AubioMFCC
from timeside_core import frequencies
from timeside_core.testing import analyze


def noise(samples=20_000):
    decaying = np.exp(-np.arange(samples) / 4000)
    return (0.3 * decaying * np.random.default_rng(440).standard_normal(samples)).astype(np.float32)


def rows(step, samples, samplerate=44_100):
    return analyze(step, samples[:, np.newaxis], samplerate=samplerate)[""].values


def by_aubio(transform, samples):
    grains = map(aubio.pvoc(1024, 256), np.pad(samples, (0, 256 - len(samples) % 256)).reshape(-1, 256))
    return np.array([transform(grain).copy() for grain in grains])


@pytest.mark.parametrize("samplerate", [8_000, 22_050, 44_100, 48_000])
def test_weights_equal_aubio(samplerate):
    bank = aubio.filterbank(40, 1024)
    with warnings.catch_warnings(action="ignore"):  # it says that bands lie above the Nyquist frequency
        bank.set_mel_coeffs_slaney(samplerate)
    np.testing.assert_allclose(slaney_weights(frequencies(samplerate, 1024)), bank.get_coeffs(), atol=1e-7)


def test_mel_energies_equal_aubio():
    bank = aubio.filterbank(40, 1024)
    bank.set_mel_coeffs_slaney(44_100)
    np.testing.assert_allclose(rows(AubioMelEnergy(), noise()), by_aubio(bank, noise()), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("n_mfcc", [1, 13, 40])
def test_mfcc_equal_aubio(n_mfcc):
    expected = by_aubio(aubio.mfcc(1024, 40, n_mfcc, 44_100), noise())
    np.testing.assert_allclose(rows(AubioMFCC(n_mfcc=n_mfcc), noise()), expected, atol=1e-3)


def test_mfcc_of_silence():
    found = rows(AubioMFCC(), np.zeros(1000, np.float32))
    assert found.shape == (1000 // 256 + 1, 13)
    np.testing.assert_allclose(found[:, 0], np.sqrt(40) * np.log10(2e-42), rtol=1e-3)
    np.testing.assert_allclose(found[:, 1:], 0, atol=1e-4)


def test_bands_above_the_nyquist_frequency_are_empty():
    found = rows(AubioMelEnergy(), noise(), samplerate=8_000)
    assert (found[:, AubioMelEnergy().bins("") < 3_700] > 0).all()
    assert not found[:, AubioMelEnergy().bins("") > 4_300].any()


def test_a_tone_is_loudest_in_the_band_around_it():
    centres = AubioMelEnergy().bins("")
    for frequency_hz in (400, 1000, 5000):
        tone = np.sin(2 * np.pi * frequency_hz / 44_100 * np.arange(8192)).astype(np.float32)
        loudest = rows(AubioMelEnergy(), tone)[10].argmax()
        assert abs(centres[loudest] - frequency_hz) == pytest.approx(np.abs(centres - frequency_hz).min(), abs=70)
