"""Tiles and magnitudes read the amplitude of a sine where it is; grids are global."""

import numpy as np
import pytest

from timeside_analyzer.spectrogram import BandPool, Spectrogram, band_edges
from timeside_core import Stream, get_processor
from timeside_core.decibels import db_from_code
from timeside_core.testing import analyze, signal

SAMPLERATE = 44_100


def sine(hz, amplitude=1.0, samples=40_000):
    return (amplitude * np.cos(2 * np.pi * hz * np.arange(samples) / SAMPLERATE))[:, np.newaxis].astype(np.float32)


def bins_of(analyzer, output, samplerate=SAMPLERATE):
    analyzer = analyzer.working_copy(Stream(samplerate=samplerate))
    analyzer.start(analyzer.stream)
    return analyzer.bins(output)


@pytest.mark.parametrize("bin", [0, 1, 40, 512, 1023, 1024])
@pytest.mark.parametrize("window", ["hann", "boxcar"])
def test_magnitude_of_a_sine_is_its_amplitude(bin, window):
    analyzer = Spectrogram(linear=True, window=window)
    hz = bin * SAMPLERATE / 2048
    magnitude = analyze(analyzer, sine(hz, 0.25))[""].values[10]
    assert bins_of(analyzer, "")[bin] == pytest.approx(hz)
    assert magnitude.dtype == np.float32
    # beside the ends, the window's main lobe meets its mirror image
    assert magnitude[bin] == pytest.approx(0.25, rel=0.51 if window == "hann" and bin in (1, 1023) else 1e-3)


@pytest.mark.parametrize("scale", ["log", "linear"])
@pytest.mark.parametrize("hz", [60, 200, 1000, 5000, 15_000])
def test_tiles_peak_in_the_band_of_a_sine(scale, hz):
    analyzer = Spectrogram(scale=scale)
    tiles = analyze(analyzer, sine(hz, 0.1))["tiles"].values
    assert tiles.dtype == np.uint8
    centres = bins_of(analyzer, "tiles")
    loudest = tiles[10].argmax()
    assert abs(centres[loudest] - hz) < SAMPLERATE / 2048 + np.diff(centres)[min(loudest, 254)]
    assert db_from_code(tiles[10])[loudest] == pytest.approx(-20, abs=1.8)  # between bins a hann window loses 1.4 dB


def test_tiles_do_not_depend_on_level_or_length_of_the_rest():
    quiet, loud = sine(1000, 1e-3), sine(300, 1.0)
    alone = analyze(Spectrogram(), quiet)["tiles"].values
    together = analyze(Spectrogram(), np.concatenate([quiet, loud]))["tiles"].values
    assert np.array_equal(alone[:38], together[:38])


def test_silence_is_code_0():
    assert not analyze(Spectrogram(), signal("silence"))["tiles"].values.any()
    assert len(analyze(Spectrogram(), signal("empty"))["tiles"]) == 0


def test_three_hours_of_tiles_fit_into_250_mb():
    samples = 3 * 3600 * SAMPLERATE
    rows = Spectrogram().input.input.input.count(samples)
    assert rows * Spectrogram().bands < 125e6


def test_magnitudes_are_declared_only_where_asked_for():
    assert list(Spectrogram().declared()) == ["tiles"]
    assert list(Spectrogram(linear=True).declared()) == ["", "tiles"]


def test_frames_from_the_start_are_those_of_timeside_1():
    """344 rows of |rfft| without window for 8 s at 44.1 kHz, but for the scale."""
    audio = 0.1 * np.random.default_rng(440).standard_normal((352_800, 1)).astype(np.float32)
    found = analyze(Spectrogram(linear=True, window="boxcar", align="start"), audio)[""].values
    assert found.shape == (344, 1025)
    frame = np.abs(np.fft.rfft(audio[5 * 1024 : 5 * 1024 + 2048, 0]))
    assert np.allclose(found[5, 1:-1] * 1024, frame[1:-1], rtol=1e-3, atol=1e-3)


def test_bands_cover_their_scale():
    assert band_edges("log", 256, SAMPLERATE)[[0, -1]].tolist() == pytest.approx([40, 20_000])
    assert band_edges("log", 256, 8_000)[-1] == pytest.approx(4_000)
    assert band_edges("linear", 256, SAMPLERATE)[[0, -1]].tolist() == [0, SAMPLERATE / 2]


def test_wide_bands_read_their_loudest_bin_and_narrow_ones_between_bins():
    pool = BandPool(np.array([0, 0.5, 1.0, 2.0, 4.5, 6.0]), bins=7)
    power = np.array([[0.0, 8, 1, 2, 9, 3, 5]], np.float32)
    assert pool.maxima(power).tolist() == [[2.0, 6.0, 8.0, 9.0, 5.0]]


@pytest.mark.parametrize("bands", [16, 256, 1024, 1025, 2048])
@pytest.mark.parametrize("scale", ["log", "linear"])
def test_no_bin_of_the_scale_is_lost(scale, bands):
    """A lone bin, wherever it lies, is seen in a band at its frequency."""
    edges = band_edges(scale, bands, SAMPLERATE) * 2048 / SAMPLERATE
    pool = BandPool(edges, bins=1025)
    inside = np.arange(int(np.ceil(edges[0])), int(edges[-1]) + 1)
    seen = pool.maxima(np.eye(1025, dtype=np.float32)[inside])
    assert (seen.max(axis=1) > 0.4).all()
    loudest = seen.argmax(axis=1)
    assert (edges[loudest] <= inside + 1).all()
    assert (edges[loudest + 1] >= inside - 1).all()


def test_the_buffer_variant_is_the_same_processor():
    assert get_processor("spectrogram_analyzer_buffer") is Spectrogram
