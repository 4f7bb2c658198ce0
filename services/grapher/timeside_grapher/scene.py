"""A picture as shapes, before it becomes the bytes of a PNG or an SVG file.

Positions are pixels from the top left corner, fractions allowed. Shapes are painted in order.
"""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np

from timeside_core import Array
from timeside_core.errors import ParameterError

MAX_SIDE_PX = 16_384
"""Longest side: what browsers and image viewers still open."""
MAX_PIXELS = 1 << 23
"""Largest area, a little more than 4K: drawing takes some 50 bytes a pixel, 400 MiB in all."""

Anchor: TypeAlias = Literal["start", "middle", "end"]


@dataclass(frozen=True, slots=True)
class Box:
    """A filled rectangle."""

    left: float
    top: float
    right: float
    bottom: float
    color: str


@dataclass(frozen=True, slots=True)
class Bars:
    """One vertical bar for each column of pixels from `left` on.

    `top` and `bottom` have shape `(columns,)`. `color` is one colour, or one per column, shape `(columns, 4)`, RGBA.
    """

    left: int
    top: Array
    bottom: Array
    color: str | Array


@dataclass(frozen=True, slots=True)
class Line:
    """A line through points of rising x, shape `(points,)`; NaN in y interrupts it. Only what lies in `clip` shows."""

    x: Array
    y: Array
    color: str
    clip: tuple[int, int, int, int]
    """Left, top, right, bottom."""
    width_px: float = 1.5


@dataclass(frozen=True, slots=True)
class Pixels:
    """An image whose top left corner is at (`left`, `top`), shape `(height, width, 4)`, uint8 RGBA."""

    left: int
    top: int
    rgba: Array


@dataclass(frozen=True, slots=True)
class Text:
    """A line of text; `x` is where its anchor lies, `y` the middle of its capitals."""

    x: float
    y: float
    text: str
    color: str
    size_px: float
    anchor: Anchor = "start"


Shape: TypeAlias = Box | Bars | Line | Pixels | Text


@dataclass(slots=True)
class Scene:
    """Shapes on a background."""

    width: int
    height: int
    background: str
    shapes: list[Shape] = field(default_factory=list[Shape])

    def __post_init__(self) -> None:
        check_size(self.width, self.height)


def check_size(width: int, height: int) -> None:
    """Raise `ParameterError` where a picture cannot have that size."""
    for name, size in (("width", width), ("height", height)):
        if not 1 <= size <= MAX_SIDE_PX:
            raise ParameterError(f"{name}={size} must be from 1 to {MAX_SIDE_PX} pixels")
    if width * height > MAX_PIXELS:
        raise ParameterError(f"width={width} by height={height} is more than {MAX_PIXELS} pixels: make either smaller")


def run_edges(values: Array) -> Array:
    """Where runs of equal values, or rows, begin, and where the last one ends: shape `(runs + 1,)`."""
    changes = values[1:] != values[:-1]
    if changes.ndim > 1:
        changes = changes.any(axis=1)
    return np.concatenate([[0], np.flatnonzero(changes) + 1, [len(values)]]) if len(values) else np.zeros(1, int)
