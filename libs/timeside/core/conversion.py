"""`fx_convert`: another samplerate, another number of channels."""

from dataclasses import replace
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from timeside_core import Array, Effect, Stream
from timeside_core.inputs import Samplerate


class Conversion(Effect, id="fx_convert", version="1.0"):
    """Resamples the signal (SoX resampler, HQ) and changes its number of channels.

    Fewer channels: one is the mean of all, otherwise the first ones are kept. More: the channels are repeated in turn.
    Where samplerate or channels are not given the signal keeps its own.
    """

    samplerate: Samplerate | None = None
    """Samples per second of what comes out, Hz."""
    channels: Annotated[int, Field(ge=1, le=64)] | None = None
    """Channels of what comes out."""

    def clock(self, stream: Stream) -> Stream:
        """The new samplerate and channels."""
        return replace(
            stream,
            samplerate=self.samplerate or stream.samplerate,
            channels=self.channels or stream.channels,
        )

    def start(self, stream: Stream) -> None:
        """Open the resampler, where one is needed."""
        after = self.clock(stream)
        self._resampler: Any = None
        if after.samplerate != stream.samplerate:
            import soxr

            self._resampler = soxr.ResampleStream(
                stream.samplerate, after.samplerate, after.channels, dtype="float32", quality="HQ"
            )

    def process(self, block: Array) -> Array:
        """Mix, then resample; some samples are held back."""
        mixed = self._mixed(block)
        return mixed if self._resampler is None else self._resampled(mixed)

    def finish(self) -> Array | None:
        """Flush what was held back."""
        if self._resampler is None:
            return None
        channels = self.clock(self.stream).channels
        return self._resampled(np.empty((0, channels), np.float32), last=True)

    def _mixed(self, block: Array) -> Array:
        channels = block.shape[1]
        if self.channels in (None, channels):
            return block
        if self.channels == 1:
            return block.mean(axis=1, keepdims=True)
        return block[:, np.arange(self.channels) % channels]

    def _resampled(self, block: Array, *, last: bool = False) -> Array:
        made: Array = self._resampler.resample_chunk(np.ascontiguousarray(block), last=last)
        return made.reshape(len(made), block.shape[1])
