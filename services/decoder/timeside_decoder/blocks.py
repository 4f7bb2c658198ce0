"""Gathers decoded frames of any format into blocks of float32.

FFmpeg's own resampler could do that; copying planes with numpy is faster, and leaves room for silence.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from av.audio.frame import AudioFrame

from timeside_core import Array
from timeside_decoder.reader import BLOCK_SAMPLES

_FLOAT32, _FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
_TYPES = {
    "u8": (np.dtype(np.uint8), 2.0**-7),
    "s16": (np.dtype(np.int16), 2.0**-15),
    "s32": (np.dtype(np.int32), 2.0**-31),
    "s64": (np.dtype(np.int64), 2.0**-63),
    "flt": (_FLOAT32, 1.0),
    "dbl": (_FLOAT64, 1.0),
}
_FORMATS = {
    name + suffix: (dtype, scale, suffix == "p") for name, (dtype, scale) in _TYPES.items() for suffix in ("", "p")
}
"""By FFmpeg's name of a format: type of a sample, its scale to ±1, and whether channels lie apart."""


class Blocks:
    """Fills blocks of `block_samples` samples, each a fresh array, and gives them out when they are full."""

    def __init__(self, channels: int, block_samples: int = BLOCK_SAMPLES) -> None:
        self._channels, self._block_samples = channels, block_samples
        self._block = self._fresh()
        self._filled = 0

    def put(self, frame: AudioFrame, start: int, stop: int) -> list[Array]:
        """Add a frame's samples from `start` to `stop`; return the blocks that are full now."""
        full: list[Array] = []
        while start < stop:
            count = min(stop - start, self._block_samples - self._filled)
            _copy(frame, start, self._block[self._filled : self._filled + count])
            start += count
            self._filled += count
            if self._filled == self._block_samples:
                full.append(self._taken())
        return full

    def silence(self, samples: int) -> Iterator[Array]:
        """Add zeros, of which there may be many; give out the blocks as they are full."""
        while samples:
            count = min(samples, self._block_samples - self._filled)
            self._block[self._filled : self._filled + count] = 0
            samples -= count
            self._filled += count
            if self._filled == self._block_samples:
                yield self._taken()

    def rest(self) -> Iterator[Array]:
        """What the last block holds."""
        if self._filled:
            yield self._block[: self._filled]

    def _taken(self) -> Array:
        taken, self._block, self._filled = self._block, self._fresh(), 0
        return taken

    def _fresh(self) -> Array:
        return np.empty((self._block_samples, self._channels), np.float32)


def _copy(frame: AudioFrame, start: int, out: Array) -> None:
    dtype, scale, is_planar = _FORMATS[frame.format.name]
    count, channels = out.shape
    planes: Any = frame.planes  # buffers, which their type does not say
    if is_planar:
        for channel, plane in enumerate(planes):
            _convert(np.frombuffer(plane, dtype, count, start * dtype.itemsize), scale, out[:, channel])
    else:
        samples = np.frombuffer(planes[0], dtype, count * channels, start * channels * dtype.itemsize)
        _convert(samples.reshape(count, channels), scale, out)


def _convert(samples: Array, scale: float, out: Array) -> None:
    if samples.dtype == _FLOAT32:
        out[...] = samples
    elif samples.dtype == _FLOAT64:
        with np.errstate(over="ignore"):
            out[...] = samples
    else:
        np.multiply(samples, np.float32(scale), out=out, dtype=np.float32, casting="same_kind")
        if samples.dtype == np.uint8:
            out -= 1  # unsigned: 128 is zero
