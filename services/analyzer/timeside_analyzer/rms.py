"""`rms`: root mean square of frames."""

import numpy as np

from timeside_core import Analyzer, Array, Frames, Framewise, Mono, Source
from timeside_core.inputs import FrameLength


class RMS(Analyzer, id="rms", version="1.0"):
    """Root mean square, shape `(frames,)`, float32, full scale ±1: √(Σ x² / frame_length).

    Outside the signal lie zeros. Equals `librosa.feature.rms`.
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
        return Frames(frame_length=self.frame_length, hop_length=self.hop_length, source=self.source)

    def process(self, frames: Array) -> Array:
        """Root of the mean of the squares."""
        return np.sqrt(np.einsum("fs,fs->f", frames, frames) / np.float32(self.frame_length))
