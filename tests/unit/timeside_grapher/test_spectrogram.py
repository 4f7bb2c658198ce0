"""Graphers of the spectrum: a tone is drawn at its frequency, at any length and zoom."""

import numpy as np
import pytest

from timeside_core import Framewise, Stream, get_processor
from timeside_core.errors import ParameterError
from timeside_grapher.spectrogram import LinearSpectrogram, SpectrogramLin, SpectrogramLog, frequency_axis, in_ratios

RATE = 44_100


def tone(hz: float, seconds: float) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def expected_row(cls, hz: float, height: int, low_hz: float, high_hz: float) -> float:
    if cls is SpectrogramLog:
        return height * (1 - np.log(hz / low_hz) / np.log(high_hz / low_hz))
    return height * (1 - (hz - low_hz) / (high_hz - low_hz))


def loudest_rows(image: np.ndarray) -> np.ndarray:
    """Middle of the loudest pixels of each column: white in the map `grey`, turned over."""
    loud = image[..., 0] == image[..., 0].min(axis=0)
    return (loud * (np.arange(len(image)) + 0.5)[:, np.newaxis]).sum(axis=0) / loud.sum(axis=0)


@pytest.mark.parametrize("cls", [SpectrogramLin, SpectrogramLog])
@pytest.mark.parametrize("hz", [200, 1000, 5000, 15_000])
@pytest.mark.parametrize(
    ("seconds", "span"), [(0.02, None), (1.0, None), (1.0, (0.5, 0.501)), (20.0, None), (20.0, (3, 4))]
)
def test_a_tone_is_drawn_at_its_frequency(cls, hz, seconds, span, analyzed, drawn):
    grapher = cls(axes=False, colors="grey", low_db=-40, high_db=0)
    start_s, stop_s = span or (None, None)
    image = drawn(grapher, analyzed(grapher, tone(hz, seconds)), width=120, height=400, start_s=start_s, stop_s=stop_s)
    low_hz, high_hz = (40, 20_000) if cls is SpectrogramLog else (0, RATE / 2)
    rows = loudest_rows(image)
    assert np.allclose(rows[5:-5], expected_row(cls, hz, 400, low_hz, high_hz), atol=2.5)


@pytest.mark.parametrize("cls", [SpectrogramLin, SpectrogramLog])
@pytest.mark.parametrize("height", [60, 256, 900])
def test_a_part_of_the_frequencies_fills_the_height(cls, height, analyzed, drawn):
    grapher = cls(axes=False, colors="grey", low_hz=500, high_hz=4000)
    image = drawn(grapher, analyzed(grapher, tone(1000, 1)), width=50, height=height)
    expected = expected_row(cls, 1000, height, 500, 4000)
    assert np.allclose(loudest_rows(image)[5:-5], expected, atol=max(2, height / 40))


def test_a_tone_begins_at_its_time(analyzed, drawn):
    grapher = SpectrogramLog(axes=False, colors="grey", low_db=-60, high_db=0)
    signal = np.concatenate([np.zeros(2 * RATE, np.float32), tone(1000, 2)])
    image = drawn(grapher, analyzed(grapher, signal), width=400, height=100)
    row = round(expected_row(SpectrogramLog, 1000, 100, 40, 20_000))
    dark = (image[row - 2 : row + 2, :, 0].min(axis=0)) < 100
    assert not dark[:195].any()
    assert dark[205:].all()


def test_levels_are_colours_of_decibels(analyzed, drawn):
    grapher = SpectrogramLog(axes=False, colors="grey", low_db=-66, high_db=-6)
    signal = np.concatenate([tone(1000, 1) * 10 ** (-level / 20) for level in (0, 15, 30, 45)])
    image = drawn(grapher, analyzed(grapher, signal), width=400, height=256)
    found = [1 - image[:, column, 0].min() / 255 for column in (50, 150, 250, 350)]
    assert np.allclose(found, [1, 0.75, 0.5, 0.25], atol=0.03)


def test_silence_is_the_first_colour_and_nothing_is_the_background(analyzed, drawn):
    grapher = SpectrogramLog(axes=False, background_color="#00ff00")
    silent = drawn(grapher, analyzed(grapher, np.zeros(RATE, np.float32)), width=50, height=50)
    assert (silent == [0, 0, 4, 255]).all()
    empty = drawn(grapher, analyzed(grapher, np.zeros(0, np.float32)), width=50, height=50)
    assert (empty == [0, 255, 0, 255]).all()
    half = drawn(grapher, analyzed(grapher, np.zeros(RATE, np.float32)), width=50, height=50, start_s=0, stop_s=2)
    assert (half[:, :25] == [0, 0, 4, 255]).all()
    assert (half[:, 25:] == [0, 255, 0, 255]).all()


@pytest.mark.parametrize("samples", [1, 882])
def test_short_signals_fill_the_picture(samples, analyzed, drawn):
    grapher = SpectrogramLin(axes=False, background_color="#00ff00")
    image = drawn(grapher, analyzed(grapher, np.full(samples, 0.5, np.float32)), width=50, height=50)
    assert not (image == [0, 255, 0, 255]).all(axis=2).any()


def test_parameters_that_exclude_each_other_are_refused():
    with pytest.raises(ParameterError, match="low_db=0 must be less than high_db=-10"):
        SpectrogramLog(low_db=0)
    with pytest.raises(ParameterError, match="low_hz=200 must be less than high_hz=100"):
        SpectrogramLin(low_hz=200, high_hz=100)


def test_frequencies_that_were_not_analysed_are_refused(analyzed):
    grapher = SpectrogramLog(low_hz=30_000)
    with pytest.raises(ParameterError, match=r"low_hz=30000.* outside the analysed 40 Hz"):
        grapher.draw(analyzed(grapher, tone(1000, 0.1)))


def test_the_axis_reaches_to_the_edges_of_the_bands(made):
    _, results = made(
        Framewise(bins="frequency band", bin_unit="Hz"),
        np.zeros((3, 4), np.uint8),
        stream=Stream(samplerate=RATE, hop_length=1024),
        bins=np.array([50.0, 150, 250, 350]),
    )
    axis = frequency_axis(results[0], log=False)
    assert (axis.low, axis.high) == (0, 400)
    assert in_ratios(np.geomspace(50, 20_000, 256))
    assert not in_ratios(np.linspace(50, 20_000, 256))


def test_registered_by_the_names_of_old():
    assert get_processor("spectrogram_log") is SpectrogramLog
    assert get_processor("spectrogram_lin") is SpectrogramLin
    assert get_processor("spectrogram") is LinearSpectrogram
