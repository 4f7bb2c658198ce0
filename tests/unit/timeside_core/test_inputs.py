"""Forms of input are exact at the edges and independent of the cut."""

import librosa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from timeside_core import Analyzer, Channels, Frames, Magnitude, Mono, Power, Resampled, Spectrum, Whole
from timeside_core.audio import Stream
from timeside_core.errors import LimitError
from timeside_core.testing import analyze, signal


def rows_of(step, audio, **options):
    """What a form of input hands on, read by an analyzer that keeps it."""
    kept = []

    class Keep(Analyzer, id="test_keep", version="1"):
        """Keeps its input."""

        input = step

        def process(self, rows):
            kept.append(np.array(rows))

    analyze(Keep(), audio, **options)
    return np.concatenate(kept) if kept else np.empty(0, np.float32)


@pytest.fixture
def noise():
    return signal("noise", channels=2, duration_s=0.5)


def test_mono_is_the_mean_of_all_channels():
    audio = np.random.default_rng(440).uniform(-1, 1, (50_000, 5)).astype(np.float32)
    assert np.allclose(rows_of(Mono(), audio), audio.mean(axis=1), atol=1e-6)
    assert np.array_equal(rows_of(Channels(), audio), audio)


@given(
    samples=st.integers(0, 400),
    frame_length=st.integers(1, 90),
    hop_length=st.integers(1, 120),
    align=st.sampled_from(["center", "start", "end"]),
    pad=st.sampled_from(["zeros", "edge"]),
    block_samples=st.integers(1, 130),
)
@settings(max_examples=300, deadline=None, derandomize=True)
def test_frames_are_slices_of_the_padded_signal(samples, frame_length, hop_length, align, pad, block_samples):
    audio = np.arange(1, samples + 1, dtype=np.float32)[:, np.newaxis]
    step = Frames(frame_length=frame_length, hop_length=hop_length, align=align, pad=pad)
    found = rows_of(step, audio, block_samples=block_samples)
    assert len(found) == step.count(samples)
    for n, frame in enumerate(found):
        at = np.arange(frame_length) + step.first_sample + n * hop_length
        inside = np.clip(at + 1, 1, samples)
        expected = inside if pad == "edge" else np.where((at >= 0) & (at < samples), at + 1, 0)
        assert np.array_equal(frame, expected)


def test_counts_of_frames_are_those_of_librosa_and_of_the_original():
    assert Frames(frame_length=2048, hop_length=512).count(44_100) == 1 + 44_100 // 512
    assert Frames(frame_length=2048, hop_length=1024, align="start").count(352_800) == 344
    assert Frames(frame_length=1024, hop_length=256, align="end").count(9_000) == 9_000 // 256 + 1


@pytest.mark.parametrize(
    ("step", "first_s"),
    [
        (Frames(frame_length=2000, hop_length=500), 0.0),
        (Frames(frame_length=2000, hop_length=500, align="start"), 1.0),
        (Frames(frame_length=2000, hop_length=500, align="end"), -0.5),
        (Frames(frame_length=2000, hop_length=3000, align="end"), 2.0),
    ],
)
def test_the_clock_tells_the_centre_of_frames(step, first_s):
    clock = step.clock(Stream(samplerate=1000, start_s=10.0))
    assert np.allclose(clock.times(0, 2), 10.0 + first_s + np.array([0, step.hop_length / 1000]))


@pytest.mark.parametrize("samples", [1024, 2047, 2048, 22_050])
@pytest.mark.parametrize("hop_length", [512, 3000])
def test_spectrum_equals_librosa(samples, hop_length):
    audio = signal("noise", duration_s=1)[:samples]
    expected = librosa.stft(audio[:, 0], n_fft=1024, hop_length=hop_length).T
    found = rows_of(Spectrum(n_fft=1024, hop_length=hop_length), audio)
    assert found.dtype == np.complex64
    assert np.allclose(found, expected, atol=1e-4)
    flat = {"n_fft": 1024, "hop_length": hop_length}
    assert np.allclose(rows_of(Magnitude(**flat), audio), np.abs(expected), atol=1e-4)
    assert np.allclose(rows_of(Power(**flat), audio), np.abs(expected) ** 2, rtol=1e-3, atol=1e-4)


def test_resampled_keeps_a_sine_and_its_length(noise):
    audio = signal("sine", samplerate=44_100, duration_s=1)
    found = rows_of(Resampled(samplerate=16_000), audio)
    assert abs(len(found) - 16_000) <= 1
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    assert np.abs(found[500:15_500] - expected[500:15_500]).max() < 1e-3
    assert np.array_equal(rows_of(Resampled(samplerate=44_100), noise), rows_of(Mono(), noise))


def test_whole_is_all_of_it_and_bounded(noise):
    assert np.array_equal(rows_of(Whole(), noise, block_samples=999), rows_of(Mono(), noise))
    with pytest.raises(LimitError, match=r"longer than max_duration_s=0\.1"):
        rows_of(Whole(max_duration_s=0.1), noise)
