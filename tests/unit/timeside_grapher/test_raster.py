"""Shapes as pixels: exact coverage, opacity, clipping."""

import numpy as np

from timeside_grapher.raster import pixels
from timeside_grapher.scene import Bars, Box, Line, Pixels, Scene, Shape, Text

BLACK = "#000000"


def painted(*shapes: Shape, width: int = 8, height: int = 8, background: str = "#ffffff") -> np.ndarray:
    return pixels(Scene(width, height, background, list(shapes))).astype(int)


def ink(image: np.ndarray) -> np.ndarray:
    """How much black is on white, 0–1."""
    return 1 - image[..., 0] / 255


def test_the_edge_of_a_box_covers_part_of_a_pixel():
    found = ink(painted(Box(1.25, 2, 3.5, 4, BLACK)))
    assert np.allclose(found[2, :5], [0, 0.75, 1, 0.5, 0], atol=0.003)
    assert np.isclose(found.sum(), 2.25 * 2, atol=0.03)


def test_what_lies_outside_is_cut():
    assert ink(painted(Box(-100, -100, 100, 4, BLACK))).sum() == 32
    assert ink(painted(Box(20, 20, 30, 30, BLACK), Box(-9, -9, -1, -1, BLACK))).sum() == 0


def test_bars_are_as_tall_as_they_say():
    top, bottom = np.array([0.5, 3.0, 2.25]), np.array([7.0, 3.5, 8.0])
    found = ink(painted(Bars(2, top, bottom, BLACK)))
    assert np.allclose(found.sum(axis=0)[2:5], bottom - top, atol=0.01)
    assert found[:, [0, 1, 5, 6, 7]].sum() == 0


def test_each_bar_has_its_colour():
    colors = np.array([[255, 0, 0, 255], [0, 255, 0, 255]])
    found = painted(Bars(0, np.zeros(2), np.full(2, 8.0), colors))
    assert found[3, 0].tolist() == [255, 0, 0, 255]
    assert found[3, 1].tolist() == [0, 255, 0, 255]


def test_colours_lie_over_each_other():
    half = Box(0, 0, 8, 8, "#00000080")
    assert np.allclose(painted(half)[0, 0], [127, 127, 127, 255], atol=1)
    assert np.allclose(painted(half, background="#00000000")[0, 0], [0, 0, 0, 128], atol=1)
    assert np.allclose(painted(half, half, background="#ffffff00")[0, 0], [0, 0, 0, 192], atol=1)


def test_a_line_has_its_width_and_stays_in_its_clip():
    line = Line(np.array([-10.0, 30]), np.array([8.0, 8]), BLACK, (2, 0, 14, 16), 2.0)
    found = ink(painted(line, width=16, height=16))
    assert np.allclose(found.sum(axis=0)[3:13], 2, atol=0.3)
    assert found[:, :2].sum() == found[:, 14:].sum() == 0


def test_a_line_passes_its_points_and_is_interrupted_where_there_is_none():
    x = np.arange(32.0)
    y = np.where((x > 10) & (x < 20), np.nan, 16 + 8 * np.sin(x / 4))
    found = ink(painted(Line(x, y, BLACK, (0, 0, 32, 32)), width=32, height=32))
    centre = (found * (np.arange(32) + 0.5)[:, np.newaxis]).sum(axis=0) / np.maximum(found.sum(axis=0), 1e-9)
    assert np.allclose(centre[2:9], 16 + 8 * np.sin((x[2:9] + 0.5) / 4), atol=0.6)
    assert found[:, 12:19].sum() == 0


def test_wide_pictures_are_painted_in_strips_without_a_seam():
    height, width = 512, 4500  # more than one strip
    top = np.full(width, 100.25)
    found = ink(painted(Bars(0, top, top + 50, BLACK), width=width, height=height))
    assert (found == found[:, :1]).all()


def test_an_image_lands_on_its_place():
    rgba = np.zeros((2, 3, 4), np.uint8)
    rgba[..., 0], rgba[..., 3] = 200, 255
    found = painted(Pixels(6, 7, rgba))
    assert found[7, 6].tolist() == [200, 0, 0, 255]
    assert (found[:7] == 255).all()


def test_text_lies_where_its_anchor_says():
    middle = ink(painted(Text(50, 10, "HHHH", BLACK, 12, "middle"), width=100, height=20)).sum(axis=0)
    assert abs((middle * (np.arange(100) + 0.5)).sum() / middle.sum() - 50) < 1
    rows = ink(painted(Text(5, 10, "HHHH", BLACK, 12), width=100, height=20)).sum(axis=1)
    assert abs((rows * (np.arange(20) + 0.5)).sum() / rows.sum() - 10) < 1


def test_letters_that_the_typeface_lacks_lose_their_accents():
    assert np.array_equal(
        painted(Text(2, 10, "Dvořák C♯ −3", BLACK, 12), width=100, height=20),
        painted(Text(2, 10, "Dvorak C# -3", BLACK, 12), width=100, height=20),
    )
