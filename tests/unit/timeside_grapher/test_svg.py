"""Pictures as SVG: well formed, text as text, the same geometry as in pixels."""

import base64
import io

import numpy as np
from defusedxml import ElementTree
from PIL import Image

from timeside_grapher.scene import Bars, Box, Line, Pixels, Scene, Shape, Text
from timeside_grapher.svg import svg

SVG = "{http://www.w3.org/2000/svg}"


def parsed(*shapes: Shape):
    return ElementTree.fromstring(svg(Scene(100, 50, "#00000000", list(shapes))))


def test_sizes_and_an_empty_transparent_background():
    root = parsed()
    assert (root.get("width"), root.get("height"), root.get("viewBox")) == ("100", "50", "0 0 100 50")
    assert list(root) == []


def test_text_is_text_whatever_it_holds():
    (text,) = parsed(Text(3, 10, "<b>&\x00 Dvořák ♯", "#112233", 12, "end"))
    assert text.text == "<b>& Dvořák ♯"
    assert text.get("text-anchor") == "end"
    assert text.get("fill") == "#112233"


def test_bars_are_one_outline():
    (path,) = parsed(Bars(10, np.array([5.0, 5.0, 8.25]), np.array([20.0, 20.0, 21.0]), "#ff000080"))
    assert path.get("d") == "M10 20V5H12V8.25H13V21H12V20H10Z"
    assert float(path.get("fill-opacity")) == 0.502


def test_neighbours_of_one_colour_share_a_path():
    colors = np.array([[1, 2, 3, 255], [1, 2, 3, 255], [9, 9, 9, 255]])
    paths = parsed(Bars(0, np.zeros(3), np.ones(3), colors))
    assert [path.get("fill") for path in paths] == ["#010203", "#090909"]
    assert len(parsed(Bars(0, np.zeros(0), np.zeros(0), np.zeros((0, 4))))) == 0


def test_a_line_is_clipped_and_interrupted():
    (clip,) = parsed(Line(np.array([0.0, 10, 20, 30]), np.array([1.0, np.nan, 3, 4]), "#000000", (5, 2, 25, 48)))
    assert clip.tag == SVG + "svg"
    assert (clip.get("x"), clip.get("width"), clip.get("height")) == ("5", "20", "46")
    assert clip[0].get("d") == "M-5,-1 -5,-1M15,1 25,2"


def test_an_image_is_an_embedded_png():
    rgba = np.random.default_rng(440).integers(0, 256, (4, 6, 4), dtype=np.uint8)
    (image,) = parsed(Pixels(7, 9, rgba))
    data = base64.b64decode(image.get("href").partition(",")[2])
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), rgba)
    assert (image.get("x"), image.get("y"), image.get("width"), image.get("height")) == ("7", "9", "6", "4")


def test_a_box_is_a_rectangle():
    (rect,) = parsed(Box(1.5, 2, 3, 10.125, "#010203"))
    assert [rect.get(name) for name in ("x", "y", "width", "height")] == ["1.5", "2", "1.5", "8.125"]
