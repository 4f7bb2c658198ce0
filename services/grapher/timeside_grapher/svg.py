"""A scene as an SVG file: text stays text, images are embedded as PNG."""

import base64
import re
from collections.abc import Iterator
from itertools import pairwise
from xml.sax.saxutils import escape

import numpy as np

from timeside_core import Array
from timeside_grapher import text
from timeside_grapher.color import rgba
from timeside_grapher.raster import png_of
from timeside_grapher.scene import Bars, Box, Line, Pixels, Scene, Shape, run_edges

_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold."""


def svg(scene: Scene) -> bytes:
    """The scene as the bytes of an SVG file."""
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{scene.width}" height="{scene.height}" '
        f'viewBox="0 0 {scene.width} {scene.height}" font-family="{text.FAMILY}">',
        *_box(Box(0, 0, scene.width, scene.height, scene.background)),
    ]
    for shape in scene.shapes:
        lines += _element(shape)
    return "\n".join([*lines, "</svg>", ""]).encode()


def _element(shape: Shape) -> Iterator[str]:
    if isinstance(shape, Box):
        yield from _box(shape)
    elif isinstance(shape, Bars):
        yield from _bars(shape)
    elif isinstance(shape, Line):
        yield from _line(shape)
    elif isinstance(shape, Pixels):
        height, width, _ = shape.rgba.shape
        data = base64.b64encode(png_of(shape.rgba)).decode()
        yield (
            f'<image x="{shape.left}" y="{shape.top}" width="{width}" height="{height}" '
            f'preserveAspectRatio="none" href="data:image/png;base64,{data}"/>'
        )
    else:
        yield (
            f'<text x="{_number(shape.x)}" y="{_number(shape.y + text.capital_px(shape.size_px) / 2)}" '
            f'font-size="{_number(shape.size_px)}" text-anchor="{shape.anchor}" '
            f'textLength="{_number(text.width_px(shape.text, shape.size_px))}" '  # whatever typeface is found
            f'lengthAdjust="spacingAndGlyphs"{_fill(shape.color)}>'
            f"{escape(_FORBIDDEN.sub('', shape.text))}</text>"
        )


def _box(box: Box) -> Iterator[str]:
    if rgba(box.color)[3]:
        yield (
            f'<rect x="{_number(box.left)}" y="{_number(box.top)}" width="{_number(box.right - box.left)}" '
            f'height="{_number(box.bottom - box.top)}"{_fill(box.color)}/>'
        )


def _bars(bars: Bars) -> Iterator[str]:
    if isinstance(bars.color, str):
        if len(bars.top):
            yield f'<path d="{_outline(bars.left, bars.top, bars.bottom)}"{_fill(bars.color)}/>'
        return
    for start, stop in pairwise(run_edges(bars.color).tolist()):
        red, green, blue, alpha = (int(part) for part in bars.color[start])
        path = _outline(bars.left + start, bars.top[start:stop], bars.bottom[start:stop])
        yield f'<path d="{path}"{_fill(f"#{red:02x}{green:02x}{blue:02x}{alpha:02x}")}/>'


def _outline(left: int, top: Array, bottom: Array) -> str:
    """Along the tops to the right, back along the bottoms; equal neighbours share a step."""
    top, bottom = np.round(top, 2), np.round(bottom, 2)
    runs = list(pairwise(run_edges(np.stack([top, bottom], axis=1)).tolist()))
    there = [f"V{_number(float(top[start]))}H{left + stop}" for start, stop in runs]
    back = [f"V{_number(float(bottom[start]))}H{left + start}" for start, _ in reversed(runs)]
    return f"M{left} {_number(float(bottom[0]))}{''.join(there)}{''.join(back)}Z"


def _line(line: Line) -> Iterator[str]:
    left, top, right, bottom = line.clip
    pieces = _unbroken(np.round(np.stack([line.x - left, line.y - top], axis=1), 2))
    if not pieces:
        return
    path = "".join("M" + " ".join(f"{_number(x)},{_number(y)}" for x, y in _dotted(piece)) for piece in pieces)
    yield f'<svg x="{left}" y="{top}" width="{right - left}" height="{bottom - top}">'  # a nested svg clips
    yield (
        f'<path d="{path}" fill="none" stroke-width="{_number(line.width_px)}" '
        f'stroke-linejoin="round" stroke-linecap="round"{_paint("stroke", line.color)}/></svg>'
    )


def _unbroken(points: Array) -> list[Array]:
    """Runs of points, shape `(points, 2)` each, between those whose y is NaN."""
    known = ~np.isnan(points[:, 1])
    pieces = np.split(points, np.flatnonzero(np.diff(known)) + 1)
    return [piece for piece in pieces if len(piece) and not np.isnan(piece[0, 1])]


def _dotted(piece: Array) -> Array:
    """A point alone twice, so that its round caps show."""
    return np.concatenate([piece, piece]) if len(piece) == 1 else piece


def _fill(color: str) -> str:
    return _paint("fill", color)


def _paint(attribute: str, color: str) -> str:
    *_, alpha = rgba(color)
    opacity = "" if alpha == 255 else f' {attribute}-opacity="{_number(alpha / 255)}"'
    return f' {attribute}="{color[:7]}"{opacity}'


def _number(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".")
