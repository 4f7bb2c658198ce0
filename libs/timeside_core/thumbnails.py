"""Small pictures of rows as HTML elements: curves and strips in SVG, maps of colours in PNG.

However many rows there are, a picture has `WIDTH` columns; of what falls into one, its least and greatest are seen.
"""

import struct
import zlib
from base64 import b64encode
from xml.etree.ElementTree import Element

import numpy as np

from timeside_core.audio import Array

WIDTH, HEIGHT = 480, 64
"""Size of a picture, pixels."""
COLORS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#999999")
"""Okabe and Ito's colours, which the colour-blind tell apart, without the yellow."""
VIRIDIS = (0x440154, 0x472D7B, 0x3B528B, 0x2C728E, 0x21918C, 0x28AE80, 0x5EC962, 0xADDC30, 0xFDE725)
"""Anchors of the map of colours, from low to high."""


def element(tag: str, *content: Element | str, **attributes: str) -> Element:
    """An element; text in it stays text, whatever it holds."""
    made = Element(tag, attributes)
    for part in content:
        if isinstance(part, Element):
            made.append(part)
        elif len(made):
            made[-1].tail = (made[-1].tail or "") + part
        else:
            made.text = (made.text or "") + part
    return made


def color(index: int) -> str:
    """The colour of a curve or label; they come again after seven."""
    return COLORS[index % len(COLORS)]


def bounds(values: Array) -> tuple[float, float]:
    """Least and greatest of the finite values; zeros where there are none."""
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)


def curves(rows: Array, title: str) -> Element:
    """A curve for each column of the rows, shape `(rows, columns)`, on one scale."""
    low, high = bounds(rows)
    rows = np.nan_to_num(rows.astype(float), nan=low, posinf=high, neginf=low)
    heights = (rows - low) / (high - low) if high > low else np.full(rows.shape, 0.5)
    y = HEIGHT - 1 - heights * (HEIGHT - 2)
    return _svg(title, *(_curve(column, color(index)) for index, column in enumerate(y.T)))


def strips(lanes: list[tuple[Array, Array]], title: str) -> Element:
    """A lane for each pair of starts and stops, fractions of the width; an instant is a column wide."""
    return _svg(title, *(_strip(*lane, index, len(lanes)) for index, lane in enumerate(lanes)))


def color_map(rows: Array, title: str) -> Element:
    """A map of the rows, shape `(rows, bins)`, from left to right, the first bin lowest.

    Colours span the 1st to the 99.5th percentile; of the logarithm, where values are positive and span decades.
    """
    values = _reduced(_reduced(rows, WIDTH).T, HEIGHT).astype(float)
    if (low := bounds(values)[0]) >= 0 and bounds(values)[1] > 100 * np.median(values):
        values = np.log10(np.maximum(values, max(low, bounds(values)[1] * 1e-6)))
    values = np.nan_to_num(values, nan=bounds(values)[0])
    low, high = np.percentile(values, (1, 99.5))
    codes = np.clip((values - low) / max(high - low, 1e-30) * 255, 0, 255).astype(np.uint8)
    source = "data:image/png;base64," + b64encode(_png(codes[::-1])).decode()
    style = f"display:block;width:100%;height:{HEIGHT}px;image-rendering:pixelated"
    return element("img", src=source, alt=title, style=style)


def _svg(title: str, *drawing: Element) -> Element:
    style = f"display:block;width:100%;height:{HEIGHT}px"
    box = {"viewBox": f"0 0 {WIDTH} {HEIGHT}", "preserveAspectRatio": "none", "role": "img", "style": style}
    return element("svg", element("title", title), *drawing, **box)


def _curve(y: Array, stroke: str) -> Element:
    """A line through all points; or the outline of the least and greatest of each column."""
    if len(y) > WIDTH:
        starts = np.arange(WIDTH) * len(y) // WIDTH
        y = np.concatenate([np.minimum.reduceat(y, starts), np.maximum.reduceat(y, starts)[::-1]])
        x = np.concatenate([np.arange(WIDTH), np.arange(WIDTH)[::-1]])
    else:
        x = np.linspace(0, WIDTH, len(y)) if len(y) > 1 else np.array([0.0])
    points = " ".join(f"{px:.1f},{py:.1f}" for px, py in zip(x.tolist(), y.tolist(), strict=True))
    filled = stroke if len(y) > WIDTH else "none"
    shape = {
        "points": points,
        "stroke": stroke,
        "fill": filled,
        "opacity": "0.7",
        "vector-effect": "non-scaling-stroke",
    }
    return element("polyline", **shape)


def _strip(starts: Array, stops: Array, lane: int, lanes: int) -> Element:
    first = np.clip(np.floor(starts * WIDTH), 0, WIDTH - 1).astype(int)
    last = np.clip(np.ceil(stops * WIDTH), first + 1, WIDTH).astype(int)
    begun = np.bincount(first, minlength=WIDTH + 1) - np.bincount(last, minlength=WIDTH + 1)
    covered = np.cumsum(begun)[:WIDTH] > 0
    edges = np.flatnonzero(np.diff(covered, prepend=False, append=False)).reshape(-1, 2).tolist()
    top, bottom = f"{HEIGHT * lane / lanes:.1f}", f"{HEIGHT * (lane + 1) / lanes:.1f}"
    return element("path", d="".join(f"M{a} {top}H{b}V{bottom}H{a}Z" for a, b in edges), fill=color(lane))


def _reduced(rows: Array, count: int) -> Array:
    """At most `count` rows, each the greatest of those it stands for."""
    if len(rows) <= count:
        return rows
    return np.maximum.reduceat(rows, np.arange(count) * len(rows) // count, axis=0)


def _png(codes: Array) -> bytes:
    """A PNG file of 8-bit codes, shape `(height, width)`, in the map's colours (ISO/IEC 15948)."""
    anchors = np.array([[anchor >> shift & 255 for shift in (16, 8, 0)] for anchor in VIRIDIS])
    at = np.linspace(0, len(VIRIDIS) - 1, 256)
    palette = np.stack([np.interp(at, np.arange(len(VIRIDIS)), anchors[:, band]) for band in range(3)], axis=1)
    height, width = codes.shape
    lines = np.insert(codes, 0, 0, axis=1)  # each line begins with its filter: none
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            _chunk(b"PLTE", np.rint(palette).astype(np.uint8).tobytes()),
            _chunk(b"IDAT", zlib.compress(lines.tobytes())),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
