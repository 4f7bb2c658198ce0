"""A scene as pixels and as a PNG file: edges, text and lines by how much of a pixel they cover."""

import io
from collections.abc import Iterator
from typing import TypeAlias

import numpy as np

from timeside_core import Array
from timeside_grapher import text
from timeside_grapher.color import rgba
from timeside_grapher.scene import Bars, Box, Line, Pixels, Scene, Shape, Text

SUBCOLUMNS = 4
"""Parts of a column in which the height of a line is taken."""
STRIP_PIXELS = 1 << 20
"""Pixels painted at once: what that takes besides the canvas stays below 50 MiB."""

Region: TypeAlias = tuple[slice, slice]
"""Rows and columns of the canvas."""


def png(scene: Scene) -> bytes:
    """The scene as the bytes of a PNG file; without an opacity channel where all is opaque."""
    return png_of(pixels(scene))


def png_of(image: Array) -> bytes:
    """An image, shape `(height, width, 4)`, uint8 RGBA, as the bytes of a PNG file."""
    from PIL import Image

    if image[..., 3].min(initial=255) == 255:
        image = image[..., :3]
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(file, "PNG")
    return file.getvalue()


def pixels(scene: Scene) -> Array:
    """The scene, shape `(height, width, 4)`, uint8 RGBA."""
    canvas = np.empty((scene.height, scene.width, 4), np.float32)  # colour multiplied by opacity, 0–1
    canvas[:] = _ink(scene.background)
    for shape in scene.shapes:
        _paint(canvas, shape)
    opacity = canvas[..., 3:]
    np.divide(canvas[..., :3], opacity, out=canvas[..., :3], where=opacity > 0)
    canvas *= 255
    np.rint(canvas, out=canvas)
    return np.clip(canvas, 0, 255, out=canvas).astype(np.uint8)


def _paint(canvas: Array, shape: Shape) -> None:
    if isinstance(shape, Box):
        _paint_box(canvas, shape)
    elif isinstance(shape, Bars):
        _paint_bars(canvas, shape)
    elif isinstance(shape, Line):
        _paint_line(canvas, shape)
    elif isinstance(shape, Pixels):
        _paint_pixels(canvas, shape)
    else:
        _paint_text(canvas, shape)


def _paint_box(canvas: Array, box: Box) -> None:
    rows, columns = _span(box.top, box.bottom, len(canvas)), _span(box.left, box.right, canvas.shape[1])
    vertical = _coverage(np.float32(box.top), np.float32(box.bottom), rows)
    horizontal = _coverage(np.float32(box.left), np.float32(box.right), columns)
    for start, stop in _strips(0, len(columns), len(rows)):
        coverage = np.outer(vertical, horizontal[start:stop])
        _blend(canvas, columns.start + start, rows.start, coverage, _ink(box.color))


def _paint_bars(canvas: Array, bars: Bars) -> None:
    if not len(bars.top):
        return
    rows = _span(float(bars.top.min()), float(bars.bottom.max()), len(canvas))
    top, bottom = (edge.astype(np.float32)[:, np.newaxis] for edge in (bars.top, bars.bottom))
    for start, stop in _strips(0, len(top), len(rows)):
        ink = _ink(bars.color) if isinstance(bars.color, str) else _inks(bars.color[start:stop])
        coverage = _coverage(top[start:stop], bottom[start:stop], rows).T
        _blend(canvas, bars.left + start, rows.start, coverage, ink)


def _paint_pixels(canvas: Array, image: Pixels) -> None:
    height, width, _ = image.rgba.shape
    for start, stop in _strips(0, width, height):
        coverage = np.ones((height, stop - start), np.float32)
        _blend(canvas, image.left + start, image.top, coverage, _inks(image.rgba[:, start:stop]))


def _paint_line(canvas: Array, line: Line) -> None:
    left, highest, right, lowest = line.clip
    rows = range(max(0, highest), min(lowest, len(canvas)))
    for start, stop in _strips(left, right, SUBCOLUMNS * len(rows)):
        top, bottom = (edge.astype(np.float32)[:, np.newaxis] for edge in _line_edges(line, start, stop))
        coverage: Array = _coverage(top, bottom, rows).reshape(stop - start, SUBCOLUMNS, len(rows)).mean(axis=1)
        _blend(canvas, start, rows.start, coverage.T, _ink(line.color))


def _line_edges(line: Line, left: int, right: int) -> tuple[Array, Array]:
    """Top and bottom of a line in each part of the columns, shape `(columns · SUBCOLUMNS,)`; none has top below bottom.

    They are what a disc as wide as the line sweeps when its centre follows the line.
    """
    radius = line.width_px / 2
    reach = int(radius * SUBCOLUMNS)
    parts = np.arange(left * SUBCOLUMNS - reach, right * SUBCOLUMNS + reach + 1)
    y = np.interp(parts / SUBCOLUMNS, line.x, line.y, left=np.nan, right=np.nan)
    low, high = np.minimum(y[:-1], y[1:]), np.maximum(y[:-1], y[1:])
    low[np.isnan(low)], high[np.isnan(high)] = np.inf, -np.inf
    at = np.floor(line.x * SUBCOLUMNS).astype(int) - parts[0]
    inside = (at >= 0) & (at < len(low)) & ~np.isnan(line.y)
    np.minimum.at(low, at[inside], line.y[inside])
    np.maximum.at(high, at[inside], line.y[inside])
    shifts = np.arange(-reach, reach + 1)
    lifts = np.sqrt(radius**2 - (shifts / SUBCOLUMNS) ** 2)
    window = np.lib.stride_tricks.sliding_window_view
    return (window(low, len(shifts)) - lifts).min(axis=1), (window(high, len(shifts)) + lifts).max(axis=1)


def _strips(left: int, right: int, height: int) -> Iterator[tuple[int, int]]:
    """Columns in parts of no more than STRIP_PIXELS."""
    step = max(1, STRIP_PIXELS // max(1, height))
    for start in range(left, right, step):
        yield start, min(start + step, right)


def _paint_text(canvas: Array, shape: Text) -> None:
    coverage, (left, top) = text.mask(shape.text, shape.size_px)
    shift = {"start": 0.0, "middle": 0.5, "end": 1.0}[shape.anchor] * text.width_px(shape.text, shape.size_px)
    _blend(canvas, round(shape.x - shift) + left, round(shape.y) + top, coverage, _ink(shape.color))


def _blend(canvas: Array, left: int, top: int, coverage: Array, ink: Array) -> None:
    """Paint ink, of one colour or one per column or pixel, over the canvas as far as coverage says."""
    height, width = coverage.shape
    rows, columns = slice(max(0, top), top + height), slice(max(0, left), left + width)
    region = canvas[rows, columns]
    if not region.size:
        return
    inside = (slice(rows.start - top, rows.start - top + region.shape[0]),)
    across = slice(columns.start - left, columns.start - left + region.shape[1])
    if ink.ndim == 2:
        ink = ink[across]
    elif ink.ndim == 3:
        ink = ink[(*inside, across)]
    source = coverage[(*inside, across)][..., np.newaxis] * ink
    region *= 1 - source[..., 3:]
    region += source


def _coverage(start: Array | np.float32, stop: Array | np.float32, cells: range) -> Array:
    """How much of each pixel lies between start and stop, 0–1, float32."""
    at = np.arange(cells.start, cells.stop, dtype=np.float32)
    return np.clip(np.minimum(stop, at + 1) - np.maximum(start, at), 0, 1)


def _span(start: float, stop: float, size: int) -> range:
    first = min(max(0, int(np.floor(start))), size)
    return range(first, max(first, min(size, int(np.ceil(stop)))))


def _ink(color: str) -> Array:
    return _inks(np.array(rgba(color)))


def _inks(colors: Array) -> Array:
    inks = colors.astype(np.float32) / 255
    inks[..., :3] *= inks[..., 3:]
    return inks
