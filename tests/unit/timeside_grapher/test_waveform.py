"""Graphers of the waveform: what is loud is tall, at its time, on its lane."""

from itertools import pairwise

import numpy as np
import pytest

from timeside_core import Decoder, Media, Segment, Stream, get_processor
from timeside_core.pipeline import Source
from timeside_grapher.waveform import AmplitudeAxis, WaveformSimple, WaveformTransparent
from timeside_grapher.waveform_centroid import WaveformCentroid
from timeside_grapher.waveform_contour import WaveformContourBlack, WaveformContourWhite

RATE = 44_100
PEAKS = {"color": "#000000", "rms_color": "#00000000", "axes": False}
ALL = [WaveformSimple, WaveformCentroid, WaveformContourBlack, WaveformContourWhite, WaveformTransparent]


def sine(hz: float, seconds: float, amplitude: float = 1.0) -> np.ndarray:
    return (amplitude * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def heights(image: np.ndarray) -> np.ndarray:
    """Ink of each column of a black and white picture, pixels; less the line of silence."""
    return (1 - image[..., 0] / 255).sum(axis=0)


@pytest.mark.parametrize("seconds", [0.5, 4.0, 61.0])
def test_the_loud_half_is_tall(analyzed, drawn, seconds: float):
    signal = np.concatenate([sine(441, seconds / 2, 0.1), sine(441, seconds / 2, 0.8)])
    grapher = WaveformSimple(**PEAKS)
    found = heights(drawn(grapher, analyzed(grapher, signal), width=200, height=100))
    assert np.allclose(found[:99], 10, atol=1)
    assert np.allclose(found[102:], 80, atol=1)


def test_a_bar_runs_from_minimum_to_maximum(analyzed, drawn):
    signal = 0.5 * (1 + sine(441, 1)) * 0.5  # from 0 to 0.5
    grapher = WaveformSimple(**PEAKS)
    dark = drawn(grapher, analyzed(grapher, signal), width=100, height=200)[..., 0] < 100
    assert dark[51:99].all()
    assert not dark[:49].any()
    assert not dark[102:].any()


def test_symmetric_bars_show_the_larger_side_on_both(analyzed, drawn):
    grapher = WaveformSimple(**PEAKS, symmetric=True)
    found = heights(drawn(grapher, analyzed(grapher, np.full(RATE, 0.4, np.float32)), width=50, height=100))
    assert np.allclose(found, 40, atol=0.1)


def test_every_channel_has_a_lane(analyzed, drawn):
    signal = np.stack([sine(441, 1, 0.9), sine(441, 1, 0.3), sine(441, 1, 0.6)], axis=1)
    grapher = WaveformSimple(**PEAKS)
    image = drawn(grapher, analyzed(grapher, signal), width=100, height=312)
    lanes = [heights(image[top : top + 100]).mean() for top in (0, 106, 212)]
    assert np.allclose(lanes, [90, 30, 60], atol=1)


def test_the_rms_lies_inside_the_peaks(analyzed, drawn):
    grapher = WaveformSimple(color="#0000ff", rms_color="#ff0000", axes=False)
    image = drawn(grapher, analyzed(grapher, sine(441, 1)), width=50, height=200)
    red = ((image[..., 0] == 255) & (image[..., 1] == 0)).sum(axis=0)
    blue = ((image[..., 2] == 255) & (image[..., 1] == 0)).sum(axis=0)
    assert np.allclose(red, 200 / np.sqrt(2), atol=3)
    assert np.allclose(red + blue, 200, atol=3)


def test_decibels_are_even_steps(analyzed, drawn):
    grapher = WaveformSimple(**PEAKS, scale="decibels", range_db=60)
    signal = np.concatenate([sine(441, 1, 10 ** (-level / 20)) for level in (50, 40, 30, 20, 10)])
    found = heights(drawn(grapher, analyzed(grapher, signal), width=50, height=240))[5::10]
    assert np.allclose(found, [40, 80, 120, 160, 200], atol=1.5)


def test_the_axis_reads_from_the_middle_outwards():
    assert [tick.label for tick in AmplitudeAxis().ticks(3)] == ["−1", "0", "1"]
    assert [tick.label for tick in AmplitudeAxis("decibels", 60).ticks(5)] == ["0", "−30", "−60", "−30", "0"]
    assert [tick.label for tick in AmplitudeAxis(gain=4).ticks(3)] == ["−0.25", "0", "0.25"]


def test_gain_enlarges_and_cuts(analyzed, drawn):
    grapher = WaveformSimple(**PEAKS, gain=4)
    signal = np.concatenate([sine(441, 1, 0.1), sine(441, 1, 0.9)])
    found = heights(drawn(grapher, analyzed(grapher, signal), width=100, height=100))
    assert np.allclose(found[:48], 40, atol=1)
    assert np.allclose(found[52:], 100, atol=0.1)


def test_silence_is_a_thin_line(analyzed, drawn):
    grapher = WaveformSimple(**PEAKS)
    found = heights(drawn(grapher, analyzed(grapher, np.zeros(RATE, np.float32)), width=100, height=101))
    assert np.allclose(found, 1, atol=0.1)


def test_zoomed_in_rows_are_steps(analyzed, drawn):
    rng = np.random.default_rng(440)
    levels = np.repeat(rng.uniform(0.1, 0.9, 40), 256).astype(np.float32)
    levels[1::2] *= -1
    grapher = WaveformSimple(**PEAKS)
    image = drawn(
        grapher, analyzed(grapher, levels), width=320, height=200, start_s=256 * 8 / RATE, stop_s=256 * 16 / RATE
    )
    found = heights(image).reshape(8, 40)
    assert np.allclose(found, found[:, :1])
    assert np.allclose(found[:, 0], 200 * np.abs(levels[256 * 8 : 256 * 16 : 256]), atol=0.5)


def test_a_segment_keeps_the_time_of_its_media(drawn):
    from timeside_decoder.array import ArrayDecoder

    signal = np.concatenate([np.zeros(3 * RATE, np.float32), sine(441, 1), np.zeros(RATE, np.float32)])
    grapher = WaveformSimple(**PEAKS)
    results = (ArrayDecoder(signal, RATE, start=2.0, duration=3.0) | grapher).run()
    found = heights(drawn(grapher, results, width=300, height=50))  # from 2 s to 5 s
    assert (found[:99] < 3).all()
    assert (found[102:198] > 45).all()
    assert (found[202:] < 3).all()


class ThreeHours(Decoder, id="three_hours", version="1.0"):
    """A hum with a burst of one second at 1:30:00, at 8 kHz."""

    def open(self) -> Source:
        return _ThreeHours()


class _ThreeHours(Source):
    def __init__(self) -> None:
        self.stream = Stream(samplerate=8000, channels=2)
        self.media = Media(uri="made", samplerate=8000, channels=2, samples=3 * 3600 * 8000)
        self.segment = Segment()

    def __iter__(self):
        second = np.tile(np.sin(2 * np.pi * np.arange(8000) / 8)[:, np.newaxis], (60, 2)).astype(np.float32)
        for minute in range(180):
            block = 0.1 * second
            if minute == 90:
                block[:8000] *= 9
            yield block


def test_three_hours(drawn):
    grapher = WaveformSimple(**PEAKS)
    results = (ThreeHours() | grapher).run()
    found = heights(drawn(grapher, results, width=1000, height=212))
    assert np.allclose(np.delete(found, [499, 500]), 20, atol=1)
    assert found[500] > 170
    found = heights(drawn(grapher, results, width=100, height=212, start_s=5395, stop_s=5405))
    assert np.allclose(found[51:59], 0.9 * 206, atol=1)  # two lanes and what lies between
    assert np.allclose(np.delete(found, range(49, 62)), 20, atol=1)


def test_around_transparent_peaks_nothing_is_painted(analyzed, drawn):
    signal = np.concatenate([sine(441, 1, 0.2), sine(441, 1, 0.8)])
    plain = WaveformTransparent(color="#ff0000")
    inverted = WaveformTransparent(color="#ff0000", inverted=True)
    results = analyzed(plain, signal)
    shown, cut = drawn(plain, results, width=100, height=100), drawn(inverted, results, width=100, height=100)
    assert np.allclose(shown[..., 3].sum(axis=0)[:48] / 255, 20, atol=1)
    assert np.allclose(shown[..., 3].sum(axis=0)[52:] / 255, 80, atol=1)
    assert np.allclose(shown[..., 3] + cut[..., 3], 255, atol=1)
    assert shown[50, 50].tolist() == [255, 0, 0, 255]


def test_colours_follow_the_centroid(analyzed, drawn):
    signal = np.concatenate([sine(300, 1, 0.8), sine(5000, 1, 0.8), np.zeros(RATE, np.float32)])
    grapher = WaveformCentroid(axes=False, foreground_color="#ffffff")
    row = drawn(grapher, analyzed(grapher, signal), width=300, height=101)[50]
    low, high, silent = row[10:90], row[110:190], row[210:290]
    assert (low[:, 2] > low[:, 1]).all()  # viridis: blue below
    assert (high[:, 1] > high[:, 2] + 50).all()  # green to yellow above
    assert (silent == 255).all()


@pytest.mark.parametrize("cls", [WaveformContourBlack, WaveformContourWhite])
def test_contours_are_nested_and_symmetric(cls, analyzed, drawn):
    grapher = cls(axes=False)
    signal = np.concatenate([sine(441, 1, 0.2), sine(441, 1, 0.8)])
    image = drawn(grapher, analyzed(grapher, signal), width=200, height=200)
    ground = image[0, 0]
    contrast = np.abs(image[..., :3] - ground[:3]).sum(axis=2)
    assert np.abs(image - image[::-1]).max() <= 1
    column = contrast[100:, 150]
    assert (column[82:] == 0).all()
    parts = [np.median(column[start + 4 : start + 16]) for start in (0, 20, 40, 60)]
    assert all(inner > outer for inner, outer in pairwise(parts))
    assert (contrast[100:, 50][24:] == 0).all()


@pytest.mark.parametrize("cls", ALL)
@pytest.mark.parametrize("samples", [0, 1, 2, 882])
def test_very_short_signals_are_drawn(cls, samples: int, analyzed, drawn):
    grapher = cls()
    results = analyzed(grapher, np.full((samples, 2), 0.5, np.float32))
    image = drawn(grapher, results, width=400, height=200)
    assert image.shape == (200, 400, 4)
    assert b"<svg" in grapher.draw(results, width=400, height=200, format="svg")
    if samples and cls is not WaveformTransparent:
        ground = np.array(drawn(grapher, analyzed(grapher, np.zeros((0, 2), np.float32)), width=400, height=200))
        assert (image != ground).any()


def test_registered_by_the_names_of_old():
    for name in ("simple", "centroid", "contour_black", "contour_white", "transparent"):
        assert get_processor(f"waveform_{name}")().description()
    assert issubclass(get_processor("grapher_waveform"), WaveformSimple)
