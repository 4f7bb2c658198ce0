"""What a notebook shows: well-formed, self-contained, small, and free of markup that came in as text."""

import zlib
from base64 import b64decode
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from timeside_analyzer.dc import MeanDCShift
from timeside_core.audio import Stream
from timeside_core.inputs import Spectrum
from timeside_core.outputs import Events, Framewise, Segments, Value
from timeside_core.results import Results
from timeside_core.thumbnails import WIDTH, color_map, curves, strips
from timeside_decoder.array import ArrayDecoder


class Page(HTMLParser):
    """Tags, attributes and text of a piece of HTML; fails where tags are not closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag != "img":
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def sources(self) -> list[str]:
        return [value or "" for name, value in self.attributes if name in ("src", "href")]


EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>&amp;"


@pytest.mark.parametrize("index", range(13))
def test_every_kind_of_result_shows_itself(assorted: Results, index: int) -> None:
    page = Page(assorted[index]._repr_html_())
    assert assorted[index].id in page.text
    assert assorted[index].provenance.media.uri in page.text
    assert "script" not in page.tags


def test_no_text_becomes_markup(make_result: Any) -> None:
    from dataclasses import replace

    result = make_result(
        EVIL,
        Segments(labels=(EVIL, "b"), unit=EVIL, description=EVIL),
        [0, 1],
        event_times=np.zeros(2),
        event_durations=np.ones(2),
    )
    provenance = replace(
        result.provenance,
        processor=EVIL,
        parameters={EVIL: [EVIL]},
        libraries={EVIL: EVIL},
        media=replace(result.provenance.media, uri=EVIL, tags={EVIL: EVIL}),
    )
    result = replace(result, provenance=provenance)
    for shown in (result, Results([result])):
        page = Page(shown._repr_html_())
        assert not {"script", "img"} & set(page.tags)
        assert not [name for name, _ in page.attributes if name.startswith("on")]
        assert EVIL in page.text


def test_pipelines_and_processors_show_their_parameters() -> None:
    pipeline = ArrayDecoder(np.full(1000, 0.5, np.float32), samplerate=8000) | MeanDCShift()
    before = Page(pipeline._repr_html_()).text
    assert "array_decoder" in before
    assert "8000" in before
    assert "global value" not in before
    pipeline.run()
    after = Page(pipeline._repr_html_()).text
    assert "global value" in after
    assert "50" in after
    spectrum = Page(Spectrum(n_fft=4096)._repr_html_()).text
    assert "4096" in spectrum
    assert "Length of the transform" in spectrum
    assert "%" in Page(MeanDCShift()._repr_html_()).text


def test_however_long_it_stays_small_and_needs_nothing_else(make_result: Any) -> None:
    values = np.random.default_rng(440).standard_normal((50_000, 128), np.float32)
    times = np.sort(np.random.default_rng(440).uniform(0, 10, 50_000))
    long = Results(
        [
            make_result("map", Framewise(), values),
            make_result("curve", Framewise(), values[:, 0]),
            make_result("events", Events(), np.ones(50_000), event_times=times),
            make_result("vector", Value(), values[:, 0]),
        ]
    )
    for result in long:
        html = result._repr_html_()
        assert len(html) < 80_000
        assert all(source.startswith("data:image/png;base64,") for source in Page(html).sources())
    many = Results([long[1]] * 200)._repr_html_()
    assert "and 150 more" in many


def test_a_curve_shows_the_least_and_greatest_of_each_column() -> None:
    values = np.zeros((100_000, 1), np.float32)
    values[77_777] = 1
    ys = [float(point.split(",")[1]) for point in curves(values, "")[-1].get("points", "").split()]
    assert len(ys) == 2 * WIDTH
    assert ys.count(min(ys)) == 1
    flat = curves(np.full((3, 1), 7.0), "")[-1].get("points", "")
    assert len({point.split(",")[1] for point in flat.split()}) == 1


def test_a_strip_shows_an_instant_and_joins_what_overlaps() -> None:
    starts, stops = np.array([0.0, 0.5, 0.25, 1.0]), np.array([0.5, 0.75, 0.6, 1.0])
    drawn = strips([(starts, stops)], "")[-1].get("d", "")
    assert drawn == "M0 0.0H360V64.0H0ZM479 0.0H480V64.0H479Z"
    assert strips([(np.empty(0), np.empty(0))], "")[-1].get("d") == ""


@pytest.mark.parametrize("shape", [(1, 5), (3, 300), (5000, 1025)])
def test_a_map_is_a_png_with_the_first_bin_lowest(shape: tuple[int, int]) -> None:
    rows = np.broadcast_to(np.linspace(-1, 1, shape[1]), shape)
    png = b64decode(color_map(rows, "").get("src", "").partition(",")[2])
    width, height = int.from_bytes(png[16:20]), int.from_bytes(png[20:24])
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert (width, height) == (min(shape[0], WIDTH), min(shape[1], 64))
    data = png.index(b"IDAT")
    lines = np.frombuffer(zlib.decompress(png[data + 4 : png.index(b"IEND") - 8]), np.uint8).reshape(height, width + 1)
    assert (lines[:, 0] == 0).all()
    assert lines[-1, 1] == 0
    assert lines[0, 1] == 255


def test_odd_numbers_can_be_shown(make_result: Any) -> None:
    for values in ([np.nan, np.inf, 1], [[np.nan] * 9] * 2, [[np.inf] * 9, [0.0] * 9], [[0.0] * 9] * 3):
        Page(make_result("odd", Framewise(), np.float32(values))._repr_html_())
    live = Stream(samplerate=8000, start_s=-0.5)
    Page(make_result("early", Framewise(labels=("a",)), [0, 0], stream=live)._repr_html_())
