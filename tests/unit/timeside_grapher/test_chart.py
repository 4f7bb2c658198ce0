"""What all graphers share: checks, formats, axes, tiles."""

import io
from dataclasses import replace

import numpy as np
import pytest
from defusedxml import ElementTree
from PIL import Image

from timeside_core import Events, Framewise, Results, Segments, Stream, events, get_processor, segments
from timeside_core.errors import FormatError, ParameterError
from timeside_grapher.result import grapher_of
from timeside_grapher.waveform import WaveformSimple

RATE = 44_100
NAMES = (
    "waveform_simple",
    "waveform_centroid",
    "waveform_contour_black",
    "waveform_contour_white",
    "waveform_transparent",
    "spectrogram_log",
    "spectrogram_lin",
    "grapher_aubio_pitch",
    "grapher_aubio_silence",
    "grapher_loudness_itu",
    "grapher_onset_detection_function",
)


@pytest.fixture(scope="module")
def music() -> np.ndarray:
    """Six seconds of notes in stereo."""
    rng = np.random.default_rng(440)
    t = np.arange(6 * RATE) / RATE
    notes = np.sin(2 * np.pi * np.repeat(rng.uniform(200, 2000, 24), RATE // 4) * t) * np.exp(-4 * (t % 0.25))
    return (0.7 * np.stack([notes, notes * t / 6], axis=1) + 0.01 * rng.standard_normal((len(t), 2))).astype(np.float32)


@pytest.mark.parametrize(
    ("size", "rule"),
    [
        ({"width": 0}, "width=0 must be from 1 to 16384"),
        ({"height": -5}, "height=-5 must be from 1 to 16384"),
        ({"width": 16_385}, "width=16385 must be from 1 to 16384"),
        ({"width": 16_384, "height": 16_384}, "is more than 8388608 pixels"),
        ({"format": "jpeg"}, "format='jpeg' must be png or svg"),
        ({"start_s": -1.0}, "start_s=-1.0 must be a time from 0 s on"),
        ({"start_s": float("nan")}, "start_s=nan must be a time"),
        ({"stop_s": float("inf")}, "stop_s=inf must be a time"),
        ({"start_s": 2.0, "stop_s": 2.0}, "start_s=2 must be less than stop_s=2"),
        ({"start_s": 3.0, "stop_s": 2.0}, "start_s=3 must be less than stop_s=2"),
        ({"start_s": 11.0}, "outside the signal, 0 s to 10 s"),
        ({"start_s": 10.0, "stop_s": 12.0}, "outside the signal, 0 s to 10 s"),
    ],
)
def test_impossible_pictures_are_refused(size, rule, made):
    analyzer, results = made(Framewise(), np.zeros(1000))
    with pytest.raises(ParameterError, match=rule):
        grapher_of(analyzer).draw(results, **size)


def test_missing_results_are_named():
    with pytest.raises(ParameterError, match="results hold none of 'waveform_analyzer'"):
        WaveformSimple().draw(Results())


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (97, 33), (160, 64), (1024, 256)])
@pytest.mark.parametrize("name", NAMES)
def test_pictures_have_the_size_that_was_asked_for(name, size, analyzed):
    width, height = size
    grapher = get_processor(name)()
    results = analyzed(grapher, np.full((RATE // 4, 2), 0.25, np.float32))
    png = grapher.draw(results, width=width, height=height)
    assert Image.open(io.BytesIO(png)).size == size
    svg = ElementTree.fromstring(grapher.draw(results, width=width, height=height, format="svg"))
    assert (svg.get("width"), svg.get("height")) == (str(width), str(height))


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_cut_off_at_the_edges(name, music, analyzed, drawn):
    grapher = replace(get_processor(name)(), axes=True)
    results = analyzed(grapher, music)
    for width, height in ((1024, 256), (400, 150)):
        for start_s, stop_s in ((0, 6), (1.2345, 1.2499)):
            image = drawn(grapher, results, width=width, height=height, start_s=start_s, stop_s=stop_s)
            frame = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
            assert (frame == frame[0]).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("level", [0, 2, 7])
def test_tiles_join_without_a_seam(name, level, music, analyzed, drawn):
    grapher = get_processor(name)()
    results = analyzed(grapher, music)
    tiles = grapher.tiles(results, level=level, width=64)
    assert len(tiles) == max(1, int(np.ceil(6 * RATE / (64 * 256 * 2**level))))
    shown = [
        np.asarray(
            Image.open(io.BytesIO(grapher.tile(results, level=level, index=index, width=64, height=50))).convert("RGBA")
        ).astype(int)
        for index in tiles[:5]
    ]
    whole = drawn(
        grapher.bare(),
        results,
        width=64 * len(shown),
        height=50,
        start_s=0,
        stop_s=len(shown) * 64 * 256 * 2**level / RATE,
    )
    assert np.abs(np.concatenate(shown, axis=1) - whole).max() <= 2


def test_tiles_of_marks_join_as_well(made, drawn):
    rng = np.random.default_rng(440)
    tile_s = 64 * 256 * 4 / RATE
    times = np.sort(np.append(rng.uniform(0, 10, 49), tile_s))  # one on the seam
    for output, rows in (
        (Events(), events(times, rng.random(50))),
        (Segments(labels=("a", "b")), segments(times[:-1], np.diff(times) / 2, np.arange(49) % 2, labelled=True)),
    ):
        analyzer, results = made(output, rows)
        grapher = grapher_of(analyzer)
        shown = [
            np.asarray(Image.open(io.BytesIO(grapher.tile(results, level=2, index=index, width=64, height=20))))
            for index in range(4)
        ]
        whole = drawn(grapher.bare(), results, width=256, height=20, start_s=0, stop_s=4 * tile_s)
        assert np.abs(np.concatenate(shown, axis=1).astype(int) - whole[..., :3]).max() <= 2


def test_tiles_that_do_not_exist_are_refused(made):
    analyzer, results = made(Framewise(), np.zeros(1000))
    grapher = grapher_of(analyzer)
    for place, rule in (
        ({"level": -1, "index": 0}, "level=-1 must be from 0 to 32"),
        ({"level": 33, "index": 0}, "level=33 must be from 0 to 32"),
        ({"level": 0, "index": -1}, "index=-1 must not be negative"),
        ({"level": 3, "index": 1000}, "outside the signal"),
        ({"level": 0, "index": 0, "width": 0}, "width=0 must be from 1 to 16384"),
    ):
        with pytest.raises(ParameterError, match=rule):
            grapher.tile(results, **place)
    assert grapher.tiles(results, level=20) == range(1)
    with pytest.raises(ParameterError, match="level=-1 must be from 0 to 32"):
        grapher.tiles(results, level=-1)


def test_a_coarser_level_is_drawn_like_the_finest(made, drawn):
    """Rows of a pyramid's level, with its clock, give the same picture where columns are wider than rows."""
    values = np.random.default_rng(440).standard_normal(4096)
    fine, results = made(
        Framewise(),
        values,
        stream=Stream(samplerate=RATE, hop_length=256, start_s=128 / RATE),
        duration_s=4096 * 256 / RATE,
    )
    coarse, levels = made(
        Framewise(),
        values.reshape(-1, 4).max(axis=1),
        stream=Stream(samplerate=RATE, hop_length=1024, start_s=512 / RATE),
        duration_s=4096 * 256 / RATE,
    )
    look = {"axes": False, "minimum": -5.0, "maximum": 5.0}
    tops = [
        np.argmax(drawn(replace(grapher_of(each), **look), of, width=64, height=200)[..., 0] < 200, axis=0)
        for each, of in ((fine, results), (coarse, levels))
    ]
    assert np.abs(tops[0] - tops[1]).max() <= 1


def test_titles_and_legends_can_be_left_out(made):
    analyzer, results = made(Segments(labels=("a",)), segments([1.0], [2.0], labelled=True))
    grapher = grapher_of(analyzer)

    def shown(**parameters: object) -> list[str | None]:
        picture = replace(grapher, **parameters).draw(results, width=400, height=100, format="svg")
        return [each.text for each in ElementTree.fromstring(picture).iter("{http://www.w3.org/2000/svg}text")]

    assert shown().count("a") == 2
    assert shown(legend=False).count("a") == 1
    assert "Take <1>" in shown(title="Take <1>")
    assert analyzer.id not in shown(title="")
    assert shown(axes=False) == []


def test_rendering_writes_whole_files_of_the_suffix(tmp_path, made):
    analyzer, results = made(Framewise(), np.zeros(1000))
    grapher = grapher_of(analyzer)
    picture = grapher.render(results, tmp_path / "a.PNG", width=100, height=50)
    assert (tmp_path / "a.PNG").read_bytes() == picture
    assert Image.open(io.BytesIO(grapher.render(results))).size == (1024, 256)
    grapher.render(results, str(tmp_path / "b.svg"))
    ElementTree.fromstring((tmp_path / "b.svg").read_bytes())
    with pytest.raises(ParameterError, match="format='gif' must be png or svg"):
        grapher.render(results, tmp_path / "c.gif")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(FormatError, match="cannot be written: Is a directory"):
        grapher.render(results, tmp_path / "folder.png")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.PNG", "b.svg", "folder.png"]


def test_a_pipeline_brings_the_analyzers_along(analyzed):
    results = analyzed(WaveformSimple(), np.zeros(RATE, np.float32))
    assert results.ids() == ("waveform_analyzer.min", "waveform_analyzer.max", "waveform_analyzer.rms")
