"""Colours: how they are written, the default palette and the maps from numbers to colours."""

from functools import cache
from typing import Annotated, Literal, TypeAlias

import numpy as np
from pydantic import Field

from timeside_core import Array

Color: TypeAlias = Annotated[str, Field(pattern="^#([0-9a-fA-F]{6}|[0-9a-fA-F]{8})$")]
"""`#rrggbb`, or `#rrggbbaa` with opacity."""

TRANSPARENT = "#00000000"

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999999", "#F0E442")
"""Distinct to colour-blind eyes; Okabe and Ito, Color Universal Design, 2008, with grey for their black."""

MapName: TypeAlias = Literal["viridis", "cividis", "magma", "inferno", "grey"]

_CONTROL_POINTS: dict[MapName, str] = {
    # Nuñez, Anderton, Renslow 2018 (cividis); Smith and van der Walt 2015 (the others): ten equidistant points of each
    "viridis": "440154 482878 3E4A89 31688E 26828E 1F9E89 35B779 6DCD59 B4DE2C FDE725",
    "cividis": "00204D 00336F 39486B 575C6D 707173 8A8779 A69D75 C4B56C E4CF5B FFEA46",
    "magma": "000004 180F3E 451077 721F81 9F2F7F CD4071 F1605D FD9567 FECA8D FCFDBF",
    "inferno": "000004 1B0C42 4B0C6B 781C6D A52C60 CF4446 ED6925 FB9A06 F7D03C FCFFA4",
    "grey": "FFFFFF 000000",
}


def rgba(color: str) -> tuple[int, int, int, int]:
    """Red, green, blue and opacity, 0–255."""
    red, green, blue, *opacity = bytes.fromhex(color[1:])
    return red, green, blue, opacity[0] if opacity else 255


def faded(color: str, opacity: float) -> str:
    """The colour at a part (0–1) of its opacity."""
    *_, alpha = rgba(color)
    return f"{color[:7]}{round(alpha * opacity):02x}"


def label_color(index: int) -> str:
    """Colour of the n-th label; the palette repeats."""
    return PALETTE[index % len(PALETTE)]


@cache
def color_map(name: MapName) -> Array:
    """256 colours from low to high, shape `(256, 4)`, uint8 RGBA: lines between the published control points."""
    points: Array = np.array([rgba(f"#{point}") for point in _CONTROL_POINTS[name].split()], dtype=float)
    at = np.linspace(0, len(points) - 1, 256)
    colors: Array = np.empty((256, 4), np.uint8)
    for channel in range(4):
        colors[:, channel] = np.rint(np.interp(at, np.arange(len(points)), points[:, channel]))
    colors.flags.writeable = False
    return colors


def colored(levels: Array, name: MapName) -> Array:
    """Colours of levels from 0 to 1, shape `(…, 4)`, uint8 RGBA; what is not a number is transparent."""
    indices = np.clip(np.nan_to_num(levels) * 255, 0, 255).astype(np.uint8)
    colors = color_map(name)[indices]
    colors[~np.isfinite(levels)] = 0
    return colors
