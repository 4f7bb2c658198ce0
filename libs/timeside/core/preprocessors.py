"""Decorators of `process` that change the form in which a plug-in receives audio; what it returns is not changed."""

import functools
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np

from timeside_core.audio import Array

Process: TypeAlias = Callable[..., Any]

FED_BY_STEPS = ("aubio_melenergy", "aubio_mfcc", "aubio_pitch", "aubio_specdesc", "aubio_temporal")
"""Ids of analyzers that overlap frames themselves: `frames_adapter` gives them what is new in each."""


def downmix_to_mono(process: Process) -> Process:
    """Hand over the mean of all channels, shape `(samples,)`."""

    @functools.wraps(process)
    def wrapper(analyzer: Any, frames: Array, eod: bool = False) -> tuple[Array, bool]:
        process(analyzer, frames.mean(axis=-1) if frames.ndim > 1 else frames, eod)
        return frames, eod

    return wrapper


def frames_adapter(process: Process) -> Process:
    """Hand over frames of `input_blocksize` B samples that begin every `input_stepsize` S samples, one in each call.

    Frame n begins at sample n · S. Of L samples there are `max(0, (L - B + S) // S) + 1` frames: after the last whole
    one always comes one more, filled up with zeros, which may hold no new sample at all.
    """

    @functools.wraps(process)
    def wrapper(analyzer: Any, frames: Array, eod: bool = False) -> tuple[Array, bool]:
        state: dict[str, Any] = analyzer.__dict__
        if (buffer := state.get("frames_buffer")) is None:
            step = analyzer.input_stepsize
            length = step if analyzer.id() in FED_BY_STEPS else analyzer.input_blocksize
            buffer = state["frames_buffer"] = FramesBuffer(int(length), int(step))
        for frame, last in buffer.frames(frames, eod):
            process(analyzer, frame, last)
        if eod:
            del state["frames_buffer"]  # the next run begins anew
        return frames, eod

    return wrapper


class FramesBuffer:
    """Cuts blocks into frames, carrying what is left over."""

    def __init__(self, blocksize: int, stepsize: int) -> None:
        self._blocksize, self._stepsize = blocksize, stepsize
        self._held: Array | None = None
        self._skip = 0

    def frames(self, samples: Array, eod: bool) -> Iterator[tuple[Array, bool]]:
        """Frames that are complete, and with the end of data the last one."""
        skipped = min(self._skip, len(samples))
        self._skip -= skipped
        samples = samples[skipped:]
        stack = samples if self._held is None else np.concatenate([self._held, samples])
        count = max(0, (len(stack) - self._blocksize + self._stepsize) // self._stepsize)
        self._skip += max(0, count * self._stepsize - len(stack))
        self._held = stack[count * self._stepsize :]
        for start in range(0, count * self._stepsize, self._stepsize):
            yield stack[start : start + self._blocksize], False
        if eod:
            last = np.zeros((self._blocksize, *stack.shape[1:]), stack.dtype)
            last[: len(self._held)] = self._held
            yield last, True


class FixedSizeInputAdapter:
    """Cuts blocks into buffers of a fixed size. Copy a buffer to keep it."""

    def __init__(self, buffer_size: int, channels: int, pad: bool = False) -> None:
        """`pad`: whether the last buffer is filled up with zeros, or shorter."""
        self.buffer_size, self.pad = buffer_size, pad
        self._held: Array = np.empty((0, channels))

    def blocksize(self, input_totalframes: int) -> int:
        """Samples of all buffers together, given those that come in."""
        return input_totalframes + (-input_totalframes % self.buffer_size if self.pad else 0)

    def process(self, frames: Array, eod: bool) -> Iterator[tuple[Array, bool]]:
        """Buffers that are full, and with the end of data what is left; each with whether it is the last."""
        samples = np.concatenate([self._held, frames])
        full = len(samples) // self.buffer_size * self.buffer_size
        self._held = samples[full:]
        for start in range(0, full, self.buffer_size):
            last = eod and start + self.buffer_size == len(samples)
            yield samples[start : start + self.buffer_size], last
        if eod and len(self._held):
            missing = self.buffer_size - len(self._held) if self.pad else 0
            yield np.pad(self._held, ((0, missing), (0, 0))), True
            self._held = self._held[:0]
