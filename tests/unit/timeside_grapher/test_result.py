"""Graphers of any result: curves, images, events, segments, values."""

from dataclasses import replace

import numpy as np
import pytest
from defusedxml import ElementTree

from timeside_core import Events, Framewise, Segments, Stream, Value, events, get_processor, segments
from timeside_core.errors import ParameterError
from timeside_grapher.color import PALETTE, color_map, rgba
from timeside_grapher.result import ResultGrapher, grapher_of

RATE = 44_100
FRAMES = Stream(samplerate=RATE, hop_length=441, frame_length=441)
"""A hundred rows a second."""


def bare(analyzer, **parameters) -> ResultGrapher:
    return replace(grapher_of(analyzer), axes=False, color="#000000", **parameters)


def ink(image: np.ndarray) -> np.ndarray:
    return 1 - image[..., :3].min(axis=2) / 255


def middles(image: np.ndarray) -> np.ndarray:
    """Mean height of the ink of each column, 0 at the bottom and 1 at the top; NaN where there is none."""
    found = ink(image)
    weights = found.sum(axis=0)
    rows = 1 - (np.arange(len(image)) + 0.5) / len(image)
    return np.divide(rows @ found, weights, out=np.full(len(weights), np.nan), where=weights > 0.2)


def texts(picture: bytes) -> list[str]:
    return [each.text for each in ElementTree.fromstring(picture).iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize(("rows", "width"), [(1000, 1000), (1000, 300), (1000, 100), (11, 500)])
def test_a_curve_follows_its_values(rows, width, made, drawn):
    stream = Stream(samplerate=RATE, hop_length=RATE * 10 // (rows - 1), frame_length=1)
    values = np.sin(np.linspace(0, 6, rows))
    analyzer, results = made(Framewise(), values, stream=stream)
    found = middles(drawn(bare(analyzer, minimum=-1.2, maximum=1.2), results, width=width, height=240))
    expected = (np.sin((np.arange(width) + 0.5) / width * 6) + 1.2) / 2.4
    assert np.allclose(found[3:-3], expected[3:-3], atol=0.02)


def test_many_rows_fill_from_minimum_to_maximum(made, drawn):
    values = np.random.default_rng(440).uniform(-1, 1, 100_000) * np.repeat([0.25, 1], 50_000)
    stream = Stream(samplerate=RATE, hop_length=1, frame_length=1)
    analyzer, results = made(Framewise(), values, stream=stream, duration_s=100_000 / RATE)
    found = ink(drawn(bare(analyzer, minimum=-1, maximum=1), results, width=100, height=200)).sum(axis=0)
    assert np.allclose(found[1:49], 50, atol=3)
    assert np.allclose(found[51:99], 200, atol=3)


@pytest.mark.parametrize("width", [50, 1000])
def test_what_is_no_number_interrupts_a_curve(width, made, drawn):
    values = np.ones(1000)
    values[300:600] = [np.nan, np.inf, -np.inf] * 100
    analyzer, results = made(Framewise(), values)
    found = ink(drawn(bare(analyzer), results, width=width, height=50)).sum(axis=0)
    unit = width // 50
    assert (found[: 14 * unit] > 1).all()
    assert (found[16 * unit : 29 * unit] == 0).all()
    assert (found[31 * unit : -unit] > 1).all()


def test_channels_are_lanes(made, drawn):
    values = np.stack([np.zeros(1000), np.ones(1000)], axis=1)
    analyzer, results = made(Framewise(bins="channel"), values)
    image = drawn(bare(analyzer, minimum=-1, maximum=1), results, width=100, height=206)
    assert np.allclose(middles(image[:100]), 0.5, atol=0.02)
    assert np.allclose(middles(image[106:]), 1, atol=0.02)


def test_decibels_of_silence_do_not_flatten_a_curve(made):
    values = np.repeat([-20.0, -10, -200], 10)
    analyzer, results = made(Framewise(unit="dBFS"), values)
    (lane,) = grapher_of(analyzer).lanes(results)
    assert -100 < lane.axis.low < -90


def test_rows_of_numbers_become_an_image(made, drawn):
    values = np.zeros((1000, 4), np.float32)
    values[500:, 2] = 1
    analyzer, results = made(Framewise(bins="pitch class"), values, bins=("a", "b", "c", "d"))
    image = drawn(bare(analyzer, minimum=0, maximum=1), results, width=100, height=40)
    low, high = color_map("viridis")[0], color_map("viridis")[255]
    assert (image[10:20, 50:] == high).all()
    assert (image[:10, 50:] == low).all()
    assert (image[20:, 50:] == low).all()
    assert (image[:, :49] == low).all()


@pytest.mark.parametrize(
    ("output", "levels", "steps_db"),
    [
        (Framewise(bins="mel band", bin_unit="Hz"), "auto", 10),
        (Framewise(bins="frequency", bin_unit="Hz"), "auto", 20),
        (Framewise(bins="pitch class"), "power", 10),
        (Framewise(bins="pitch class"), "amplitude", 20),
    ],
)
def test_images_of_amplitudes_and_powers_are_in_decibels(output, levels, steps_db, made, drawn):
    values = np.tile(10.0 ** -np.arange(4), (1000, 1))
    analyzer, results = made(output, values, bins=np.array([100.0, 200, 300, 400]))
    grapher = bare(analyzer, levels=levels, minimum=-100, maximum=0)
    column = drawn(grapher, results, width=10, height=40)[::-1, 5]
    expected = color_map("viridis")[[int((100 - steps_db * step) / 100 * 255) for step in range(4)]]
    assert np.abs(column[5::10] - expected).max() <= 3


def test_tiles_of_a_spectrogram_are_levels(made, drawn):
    codes = np.full((100, 16), 255, np.uint8)
    analyzer, results = made(
        Framewise(bins="frequency band", bin_unit="Hz"), codes, bins=np.geomspace(50, 5000, 16), duration_s=1
    )
    assert (drawn(bare(analyzer), results, width=20, height=20) == color_map("viridis")[255]).all()


def test_events_stand_at_their_times(made, drawn):
    times = np.array([0.5, 2.5, 7.25])
    analyzer, results = made(Events(), events(times))
    found = ink(drawn(bare(analyzer), results, width=400, height=20)).sum(axis=0)
    assert sorted(np.flatnonzero(found > 10)) == [19, 20, 99, 100, 289, 290]
    assert np.isclose(found.sum(), 3 * 1.5 * 20, rtol=0.02)


def test_labels_of_events_have_colours_and_a_legend(made, drawn):
    output = Events(labels=("beat", "downbeat"))
    analyzer, results = made(output, events(np.array([2.5, 7.5]), np.array([1, 0]), labelled=True))
    image = drawn(bare(analyzer), results, width=101, height=20)
    assert image[10, 25, 0] > image[10, 25, 2]  # the second colour of the palette is orange
    assert image[10, 75, 0] < image[10, 75, 2]  # the first is blue
    assert {"beat", "downbeat"} < set(texts(grapher_of(analyzer).draw(results, format="svg")))


@pytest.mark.parametrize("count", [20, 5000])
def test_values_of_events_are_heights(count, made, drawn):
    times = (np.arange(count) + 0.5) * 10 / count
    analyzer, results = made(Events(), events(times, np.where(times < 5, 0.25, 1.0)))
    image = drawn(bare(analyzer, minimum=0, maximum=1), results, width=200, height=100)
    tall = (ink(image) > 0.3).sum(axis=0)
    assert np.isclose(tall[:99].max(), 25, atol=1)
    assert np.isclose(tall[101:].max(), 100, atol=1)


@pytest.mark.parametrize("parts", [1, 500])
def test_segments_are_blocks_from_start_to_end(parts, made, drawn):
    starts = np.concatenate([np.linspace(1, 4, parts, endpoint=False), [6.0]])
    durations = np.concatenate([np.full(parts, 3 / parts), [2.0]])
    kinds = np.concatenate([np.zeros(parts, int), [1]])
    output = Segments(labels=("speech", "music"))
    analyzer, results = made(output, segments(starts, durations, kinds, labelled=True))
    row = drawn(bare(analyzer), results, width=100, height=10)[5]
    white = (row[:, :3] == 255).all(axis=1)
    assert white[np.r_[:10, 40:60, 80:100]].all()
    assert (row[12:39, 2] > row[12:39, 0]).all()  # blue
    assert (row[62:79, 2] < row[62:79, 0]).all()  # orange
    shown = texts(grapher_of(analyzer).draw(results, format="svg"))
    assert shown.count("music") == 2  # in the block and in the legend


def test_labelled_frames_are_segments(made, drawn):
    analyzer, results = made(Framewise(labels=("a", "b")), np.repeat([0, 1], 500))
    row = drawn(bare(analyzer), results, width=100, height=10)[5]
    assert (row[2:49, 2] > row[2:49, 0]).all()
    assert (row[52:, 2] < row[52:, 0]).all()


@pytest.mark.parametrize("parts", [1, 400])
def test_values_of_segments_are_heights(parts, made, drawn):
    starts = np.arange(2 * parts) * 5 / parts
    values = np.repeat([60.0, 120.0], parts)
    analyzer, results = made(Segments(unit="bpm"), segments(starts, np.full(2 * parts, 5 / parts), values))
    found = ink(drawn(bare(analyzer, minimum=0, maximum=120), results, width=200, height=100))
    assert np.allclose((found > 0.1).sum(axis=0)[2:98], 50, atol=2)
    assert np.allclose((found > 0.1).sum(axis=0)[102:198], 100, atol=2)


def test_values_of_the_whole_signal_are_text(made):
    analyzer, results = made(Value(unit="dBFS"), -3.0103)
    assert "−3.01 dBFS" in texts(grapher_of(analyzer).draw(results, format="svg"))
    analyzer, results = made(Value(labels=("speech", "music")), np.array(1))
    assert "music" in texts(grapher_of(analyzer).draw(results, format="svg"))
    analyzer, results = made(Value(unit="Hz"), np.empty(0))
    assert "nothing to measure" in texts(grapher_of(analyzer).draw(results, format="svg"))


def test_all_values_of_an_analyzer_are_shown(analyzed):
    grapher = grapher_of(get_processor("level")())
    shown = texts(grapher.draw(analyzed(grapher, np.full(RATE, 0.5, np.float32)), format="svg"))
    assert sorted(shown) == ["level", "max", "rms", "−6.021 dBFS", "−6.021 dBFS"]


def test_a_vector_of_the_whole_signal_is_bars(made, drawn):
    analyzer, results = made(Value(bins="band"), np.array([1.0, 4.0, 2.0, 3.0]), bins=("a", "b", "c", "d"))
    found = ink(drawn(bare(analyzer, minimum=0, maximum=4), results, width=40, height=100)).sum(axis=0)
    assert np.allclose(found[[5, 15, 25, 35]], [25, 100, 50, 75], atol=1)
    assert {"a", "b", "c", "d"} < set(texts(grapher_of(analyzer).draw(results, format="svg")))


@pytest.mark.parametrize(
    ("output", "rows"),
    [
        (Framewise(), np.empty(0)),
        (Framewise(bins="band"), np.empty(0)),
        (Framewise(labels=("a",)), np.empty(0, int)),
        (Framewise(), np.full(5, np.nan)),
        (Framewise(), np.array([7.0])),
        (Framewise(), np.array([-1.7e308, 1.7e308, 5e-324])),
        (Framewise(), np.array([2**63 - 1, -(2**63)])),
        (Framewise(), np.array([True, False])),
        (Events(), events(np.empty(0))),
        (Events(labels=("a", "b")), events(np.empty(0), labelled=True)),
        (Segments(), segments(np.empty(0), np.empty(0))),
        (Segments(labels=("a",)), segments(np.empty(0), np.empty(0), labelled=True)),
        (Value(), np.nan),
    ],
)
@pytest.mark.parametrize("duration_s", [0, 10])
def test_where_there_is_nothing_a_picture_says_so(output, rows, duration_s, made, drawn):
    analyzer, results = made(output, rows, duration_s=duration_s)
    assert drawn(grapher_of(analyzer), results, width=300, height=100).shape == (100, 300, 4)
    assert analyzer.id in texts(grapher_of(analyzer).draw(results, format="svg"))


@pytest.mark.parametrize("background", ["waveform", "spectrogram"])
def test_a_background_lies_behind(background, analyzed, drawn):
    t = np.arange(2 * RATE) / RATE
    signal = (0.5 * np.sin(2 * np.pi * 1000 * t) * (t > 1)).astype(np.float32)
    grapher = replace(grapher_of(get_processor("rms")(), background=background), axes=False, color="#00000000")
    assert grapher.input[1].id == f"{background}_analyzer"
    image = ink(drawn(grapher, analyzed(grapher, signal), width=200, height=200))
    assert (image[:, :90] < 0.2).mean() > 0.95
    assert (image[94:99, 110:190] > 0.1).all()


def test_a_pitch_lies_on_its_partial_of_the_spectrogram(analyzed, drawn):
    t = np.arange(2 * RATE) / RATE
    grapher = replace(get_processor("grapher_aubio_pitch")(), axes=False)
    image = drawn(
        grapher, analyzed(grapher, (0.5 * np.sin(2 * np.pi * 440 * t)).astype(np.float32)), width=200, height=300
    )
    expected = 300 * (1 - np.log(440 / 50) / np.log(4000 / 50))
    curve = np.abs(image[..., :3] - rgba("#D55E00")[:3]).sum(axis=2) < 60
    rows = np.nonzero(curve[:, 40:160])[0] + 0.5
    assert abs(rows.mean() - expected) < 1.5
    without = drawn(
        replace(grapher, color="#00000000"), analyzed(grapher, np.zeros(1, np.float32)), width=200, height=300
    )
    assert without.shape == image.shape


@pytest.mark.parametrize(
    ("id", "shown"),
    [
        ("grapher_aubio_pitch", "aubio_pitch.pitch (Hz)"),
        ("grapher_aubio_silence", "aubio_silence"),
        ("grapher_loudness_itu", "loudness_itu.block_loudness (LUFS)"),
        ("grapher_onset_detection_function", "onset_detection_function (dB/s)"),
        ("result_grapher", "level"),
    ],
)
def test_registered_graphers_draw_their_analyzer(id, shown, analyzed):
    grapher = get_processor(id)()
    rng = np.random.default_rng(440)
    results = analyzed(grapher, (0.1 * rng.standard_normal(RATE)).astype(np.float32))
    assert shown in texts(grapher.draw(results, format="svg"))
    assert grapher.from_parameters(grapher.parameters()) == grapher


def test_the_analyzer_is_a_parameter():
    grapher = get_processor("grapher_aubio_pitch").from_parameters({"analyzer": {"hop_length": 512}})
    assert grapher.input[0] == get_processor("aubio_pitch")(hop_length=512)
    with pytest.raises(ParameterError, match="a dictionary or an instance of Analyzer"):
        ResultGrapher(analyzer="level")


def test_an_unknown_output_is_refused_with_those_there_are():
    with pytest.raises(ParameterError, match=r"output='peak' is not one of 'level'; it has 'max', 'rms'"):
        grapher_of(get_processor("level")(), "peak")


def test_minimum_must_be_below_maximum(made):
    analyzer, _ = made(Value(), 1.0)
    with pytest.raises(ParameterError, match="minimum=2 must be less than maximum=1"):
        ResultGrapher(analyzer=analyzer, minimum=2, maximum=1)


def test_the_palette_is_used_in_order():
    assert PALETTE[0] == "#0072B2"
