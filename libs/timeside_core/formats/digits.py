"""Numbers as decimal digits: the fewest that give the same number back."""

import math
from collections.abc import Callable, Sequence
from operator import index
from typing import Any

import numpy as np

from timeside_core.audio import Array
from timeside_core.errors import FormatError
from timeside_core.formats.document import DTYPES
from timeside_core.formats.typed import require, typed


def shortest(values: Array) -> Array:
    """Doubles that round to `values` (float16 or float32) and print shortest: 0.1, not 0.10000000149011612.

    A number of p digits of precision is told apart from its neighbours by p to p + 3 decimal digits; the first count
    whose rounding is exact is taken. Where none is (an exponent beyond the doubles' exact powers of ten), the value
    itself is, so that the numbers are always equal.
    """
    exact = values.astype(float)
    if values.dtype == np.float64:
        return exact
    left = np.isfinite(exact) & (exact != 0)
    exponent = np.floor(np.log10(np.abs(exact), out=np.zeros_like(exact), where=left))
    short, precision = exact.copy(), np.finfo(values.dtype).precision
    for digits in range(precision, precision + 4):
        with np.errstate(all="ignore"):
            scale = 10.0 ** (digits - 1 - exponent)
            rounded = np.rint(exact * scale) / scale
            same = left & (rounded.astype(values.dtype) == values)
        short[same] = rounded[same]
        left &= ~same
    return short


def as_list(array: Array) -> Any:
    """The array as nested lists of numbers, or as one number."""
    return (shortest(array) if array.dtype.kind == "f" else array).tolist()


def numeric(array: Array) -> Array:
    """The array, with 0 and 1 for False and True."""
    return array.astype(np.uint8) if array.dtype == np.bool_ else array


def as_text(array: Array) -> str:
    """The array as numbers in words of text, a line for each row."""
    array = numeric(array)
    rows = array.reshape(len(array), -1) if array.ndim and array.size else array.reshape(1, -1)
    return "\n".join(" ".join(map(repr, row)) for row in as_list(rows))


def from_text(text: str, dtype: Any, shape: Any) -> Array:
    """The array of that type and shape whose numbers are the words of `text`."""
    return _shaped(text.split(), int, dtype, shape)


def from_numbers(numbers: Sequence[Any], dtype: Any, shape: Any) -> Array:
    """The array of that type and shape whose numbers are given in order."""
    return _shaped(numbers, index, dtype, shape)


def _shaped(items: Sequence[Any], whole: Callable[[Any], int], dtype: Any, shape: Any) -> Array:
    require(dtype in DTYPES, "dtype", dtype, f"one of {', '.join(DTYPES)}")
    sizes: tuple[int, ...] = typed(shape, tuple[int, ...], "shape")
    fits = all(size >= 0 for size in sizes) and math.prod(sizes) == len(items)
    require(fits, "shape", shape, f"that of {len(items)} numbers")
    try:
        return _numbers(items, whole, np.dtype(dtype)).reshape(sizes)
    except (ValueError, TypeError, ArithmeticError) as error:
        raise FormatError(f"an array of {dtype} holds what is none: {error}") from None


def _numbers(items: Sequence[Any], whole: Callable[[Any], int], dtype: np.dtype[Any]) -> Array:
    if dtype.kind == "f":
        with np.errstate(over="raise"):
            return np.fromiter(map(float, items), float, len(items)).astype(dtype)
    if dtype.kind == "b":
        return np.fromiter(map((False, True).__getitem__, map(whole, items)), dtype, len(items))
    return np.fromiter(map(whole, items), dtype, len(items))
