"""Files that appear whole or not at all, and how much of them may be read."""

import math
import os
import shutil
import zlib
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import numpy.typing as npt

from timeside_core.audio import Array
from timeside_core.errors import FormatError
from timeside_core.formats.document import DTYPES

MAX_BYTES = 2 << 30
"""Bytes that a file may decode to unless the caller says otherwise: 24 h of 13 MFCC take 0.4 GB, 1 h of samples 1.3."""

CHUNK_BYTES = 1 << 20
MIN_CHUNK_BYTES = 1 << 12
"""Chunks are read one by one: smaller ones would keep a reader busy for hours with a file of a few bytes."""


class Budget:
    """Bytes that a file may still decode to: a hostile one declares more than it holds."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = self.left = max_bytes

    def take(self, size: int) -> None:
        """Spend bytes; raises `FormatError` where there are not so many left."""
        self.left -= size
        if self.left < 0:
            raise FormatError(f"decodes to more than max_bytes={self.max_bytes}")

    def take_text(self, size: int) -> None:
        """Spend what a text of that many bytes takes while its numbers are parsed: about four times as much."""
        self.take(4 * size)

    def take_array(self, shape: Sequence[int], dtype: npt.DTypeLike, chunks: Sequence[int] | None) -> None:
        """Spend what an array takes; raises `FormatError` also for a type or a layout that no result has."""
        if np.dtype(dtype).name not in DTYPES:
            raise FormatError(f"holds an array of {np.dtype(dtype)}: {', '.join(DTYPES)} are allowed")
        size = math.prod(shape) * np.dtype(dtype).itemsize
        self.take(size)
        count = math.prod(-(-length // chunk) for length, chunk in zip(shape, chunks or shape, strict=True) if length)
        if count > 1 and count * MIN_CHUNK_BYTES > size:
            raise FormatError(f"holds {size} bytes in {count} chunks: each has {MIN_CHUNK_BYTES} or more")


def chunk_shape(array: Array) -> tuple[int, ...]:
    """Chunks of whole rows, about `CHUNK_BYTES` each, their rows a power of two."""
    if not array.ndim:
        return ()
    rows = max(1, CHUNK_BYTES * len(array) // max(1, array.nbytes))
    return (max(1, min(len(array), 1 << (rows.bit_length() - 1))), *(max(1, size) for size in array.shape[1:]))


def checksum(array: Array) -> int:
    """CRC-32 of the array's bytes, little-endian: both libraries of arrays in chunks read a lost chunk as zeros."""
    return zlib.crc32(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).data)


def check_sum(array: Any, expected: Any, name: str) -> Array:
    """The array, unless it is not what was written."""
    if checksum(np.asarray(array)) != expected:
        raise FormatError(f"{name} is damaged: its CRC-32 is not {expected}")
    return array


@contextmanager
def replaced(path: Path) -> Generator[Path]:
    """A path beside `path` to write to; what was written takes its place at once, or never after a failure."""
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file() and not (target / "zarr.json").exists():
        raise FormatError(f"{path} is not a file, nor a Zarr store: it is not replaced")
    written = target.with_name(f".{uuid4().hex}.tmp{target.suffix}")
    try:
        yield written
        _sync(written)
        _move(written, target)
    finally:
        _remove(written)


def _sync(written: Path) -> None:
    for path in (written, *written.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())


def _move(written: Path, target: Path) -> None:
    if not (written.is_dir() and target.exists()):
        os.replace(written, target)
        return
    former = target.with_name(f".{uuid4().hex}.tmp")  # a folder cannot replace another in one step
    os.replace(target, former)
    try:
        os.replace(written, target)
    except OSError:
        os.replace(former, target)
        raise
    _remove(former)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
