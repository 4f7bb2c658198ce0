"""The descriptors equal aubio's own, computed frame by frame."""

import aubio
import numpy as np
import pytest

from timeside_analyzer.aubio_specdesc import DESCRIPTIONS, AubioSpecdesc
from timeside_core.testing import analyze, signal

STEPPED = {"phase", "specdiff"}
"""Descriptors with a histogram: rounding decides which bin a value falls into."""


def music(duration_s=2.0, samplerate=44_100):
    """Struck notes over a little noise, longer than a block of the engine, shape `(samples,)`."""
    t = np.arange(round(duration_s * samplerate)) / samplerate
    notes = 0.3 * np.sin(2 * np.pi * 330 * t) + 0.2 * np.sin(2 * np.pi * 1210 * t)
    noise = np.random.default_rng(440).standard_normal(len(t))
    return (notes * np.exp(-6 * (t % 0.5)) + 0.02 * noise).astype(np.float32)


def by_aubio(samples, n_fft=1024, hop_length=256):
    samples = np.pad(samples, (0, hop_length - len(samples) % hop_length))
    pvoc = aubio.pvoc(n_fft, hop_length)
    descriptors = {name: aubio.specdesc(name, n_fft) for name in DESCRIPTIONS}
    rows = [
        [float(descriptor(grain)[0]) for descriptor in descriptors.values()]
        for grain in map(pvoc, samples.reshape(-1, hop_length))
    ]
    return dict(zip(DESCRIPTIONS, np.transpose(rows), strict=True))


def described(samples, **parameters):
    found = analyze(AubioSpecdesc(**parameters), samples[:, np.newaxis])
    return {name: rows.values for name, rows in found.items()}


def between_silences():
    noise = 0.1 * np.random.default_rng(440).standard_normal(9000).astype(np.float32)
    silence = np.zeros(5000, np.float32)
    return np.concatenate([silence, noise, silence, noise])


@pytest.mark.parametrize("samples", [music(), between_silences()], ids=["music", "between silences"])
@pytest.mark.parametrize("sizes", [{}, {"n_fft": 2048, "hop_length": 512}], ids=["1024/256", "2048/512"])
def test_equals_aubio(samples, sizes):
    found, expected = described(samples, **sizes), by_aubio(samples, **sizes)
    assert list(found) == list(expected)
    for name, values in expected.items():
        tolerance = 1 if name == "rolloff" else (1e-2 if name in STEPPED else 1e-4) * np.abs(values).max()
        np.testing.assert_allclose(found[name], values, rtol=0, atol=tolerance, err_msg=name)


def test_steps_are_rare():
    found, expected = described(music()), by_aubio(music())
    for name in STEPPED:
        assert np.median(np.abs(found[name] - expected[name])) < 1e-5 * expected[name].max()


def test_a_tone_is_centred_on_its_bin_and_narrow():
    tone = np.sin(2 * np.pi * 100 / 1024 * np.arange(8192)).astype(np.float32)
    found = {name: values[4:-4] for name, values in described(tone).items()}
    np.testing.assert_allclose(found["centroid"], 100, atol=0.05)
    np.testing.assert_allclose(found["rolloff"], 101)
    assert (found["specflux"] < 1e-3 * found["hfc"] / 101).all()


def test_silence_is_zero_in_all_descriptors():
    found = described(np.zeros(3000, np.float32))
    assert len(found) == 16
    for values in found.values():
        assert values.shape == (3000 // 256 + 1,)
        assert not values.any()


def test_a_constant_fills_two_bins_as_2_to_1():
    found = {name: values[10] for name, values in described(signal("dc")[:, 0]).items()}
    harmonic = np.sum(1 / np.arange(1, 513))
    assert found["energy"] == pytest.approx(0.25 * (512**2 + 256**2))
    assert found["centroid"] == pytest.approx(1 / 3, rel=1e-3)
    assert found["rolloff"] == 1
    assert found["decrease"] == pytest.approx(1 - 2 * harmonic, rel=1e-3)
