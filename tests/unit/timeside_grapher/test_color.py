"""Colours: maps that rise in lightness, a palette whose colours differ."""

import numpy as np
import pytest

from timeside_grapher.color import PALETTE, color_map, colored, faded, rgba


def lightness(color: np.ndarray) -> np.ndarray:
    """CIE L* of sRGB, 0–100."""
    linear = np.where(color <= 10.3, color / 255 / 12.92, ((color / 255 + 0.055) / 1.055) ** 2.4)
    y = linear @ np.array([0.2126, 0.7152, 0.0722])
    return 116 * np.cbrt(y) - 16


@pytest.mark.parametrize("name", ["viridis", "cividis", "magma", "inferno"])
def test_maps_rise_evenly_in_lightness(name):
    levels = lightness(color_map(name)[:, :3].astype(float))
    assert (np.diff(levels) > -0.2).all()
    assert levels[-1] - levels[0] > 60
    assert np.abs(levels - np.linspace(levels[0], levels[-1], 256)).max() < 8


def test_levels_take_the_colours_of_the_map():
    found = colored(np.array([0.0, 1.0, np.nan, 7.0]), "magma")
    assert found[0].tolist() == [0, 0, 4, 255]
    assert found[1].tolist() == found[3].tolist() == [252, 253, 191, 255]
    assert found[2, 3] == 0


def test_notation():
    assert rgba("#0102ff") == (1, 2, 255, 255)
    assert rgba("#0102ff80") == (1, 2, 255, 128)
    assert faded("#01020380", 0.5) == "#01020340"


def test_colours_of_the_palette_differ():
    colors = np.array([rgba(color)[:3] for color in PALETTE], dtype=float)
    distances = np.linalg.norm(colors[:, np.newaxis] - colors, axis=2)
    assert distances[~np.eye(len(PALETTE), dtype=bool)].min() > 60
