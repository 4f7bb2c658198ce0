"""`zero_crossing_rate`: how often the signal changes its sign."""

import numpy as np

from timeside_core import Analyzer, Array, Frames, Framewise, Mono, Source
from timeside_core.inputs import FrameLength

_ZERO = np.float32(1e-10)
"""Magnitude up to which a sample counts as zero, which is positive."""


class ZeroCrossingRate(Analyzer, id="zero_crossing_rate", version="1.0"):
    """Zero-crossing rate, shape `(frames,)`, float32, 0 to 1: changes of sign in a frame by its length.

    Samples within ±1e-10 count as positive; outside the signal its first and last sample go on. Equals
    `librosa.feature.zero_crossing_rate`. Kedem, Proceedings of the IEEE 74(11), 1986.
    """

    frame_length: FrameLength = 2048
    """Samples in a frame."""
    hop_length: FrameLength = 512
    """Samples from frame to frame."""
    source: Source = Mono()
    """Signal that is read."""

    output = Framewise()

    @property
    def input(self) -> Frames:
        """The frames that are read."""
        return Frames(frame_length=self.frame_length, hop_length=self.hop_length, pad="edge", source=self.source)

    def process(self, frames: Array) -> Array:
        """Count the samples whose sign differs from the one before them."""
        negative = frames < -_ZERO
        crossings = np.count_nonzero(negative[:, 1:] != negative[:, :-1], axis=1)
        return (crossings / self.frame_length).astype(np.float32)
