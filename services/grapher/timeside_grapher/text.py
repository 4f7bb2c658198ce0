"""The typeface of both kinds of picture: Pillow's own, so that they look alike on every machine."""

import unicodedata
from functools import cache
from typing import Any

from timeside_core import Array

FAMILY = "Aileron, Helvetica, Arial, sans-serif"
"""Families of an SVG; the first is Pillow's."""


_SUBSTITUTES = {"\N{MINUS SIGN}": "-", "♯": "#", "♭": "b", "\N{EN DASH}": "-", "\N{EM DASH}": "-", "×": "x", "µ": "u"}
"""For what the typeface lacks and Unicode does not decompose."""


@cache
def _font(size_px: float) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size_px)


def width_px(text: str, size_px: float) -> float:
    """Width of a line of text."""
    return float(_font(size_px).getlength(_drawable(text, size_px)))


def shortened(text: str, size_px: float, room_px: float) -> str:
    """The text, its end replaced by an ellipsis where it is wider than the room; empty where nothing fits."""
    if width_px(text, size_px) <= room_px:
        return text
    kept = len(text)
    while kept and width_px(text[:kept].rstrip() + "…", size_px) > room_px:
        kept -= 1
    return text[:kept].rstrip() + "…" if kept else ""


def mask(text: str, size_px: float) -> tuple[Array, tuple[int, int]]:
    """Coverage of a line of text, shape `(height, width)`, 0–1, and the place of its top left corner.

    The place counts from the start of the line and the middle of its capitals.
    """
    import numpy as np
    from PIL import Image, ImageDraw

    font, shown = _font(size_px), _drawable(text, size_px)
    left, top, right, bottom = (round(side) for side in font.getbbox(shown, anchor="ls"))
    image = Image.new("L", (max(1, right - left), max(1, bottom - top)))
    ImageDraw.Draw(image).text((-left, -top), shown, fill=255, font=font, anchor="ls")
    return np.asarray(image, dtype=np.float32) / 255, (left, top + capital_px(size_px) // 2)


@cache
def capital_px(size_px: float) -> int:
    """Height of a capital."""
    return -round(_font(size_px).getbbox("H", anchor="ls")[1])


def _drawable(text: str, size_px: float) -> str:
    """The text in letters the typeface has: accents are dropped, what remains unknown is a question mark."""
    return "".join(_in_typeface(character, size_px) for character in text)


@cache
def _in_typeface(character: str, size_px: float) -> str:
    if _is_known(character, size_px):
        return character
    base = _SUBSTITUTES.get(character) or unicodedata.normalize("NFKD", character)[0]
    return base if _is_known(base, size_px) else "?"


def _is_known(character: str, size_px: float) -> bool:
    font = _font(size_px)
    return character == " " or bytes(font.getmask(character)) != bytes(font.getmask("\uffff"))
