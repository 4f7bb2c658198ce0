"""`aubio_silence`: where there is sound and where there is none."""

from typing import Annotated

import numpy as np
from pydantic import Field

from timeside_core import Analyzer, Array, Mono, Rows, Segments, Stream, segments
from timeside_core.inputs import FrameLength

NONE = -1
"""Label of what lies outside the signal."""


class AubioSilence(Analyzer, id="aubio_silence", version="1.0"):
    """Stretches of silence and of sound, one after another, without gaps from the first sample to the last.

    The mix of all channels is cut into frames that follow each other; one is silent where 10 log10(mean of x²) is
    below the threshold, 0 dB being the level of a full-scale square wave: `aubio.silence_detection`, which aubio calls
    dB SPL. Neighbours of the same kind are one segment. The last frame holds what is left and counts with its own
    length. Channels that cancel each other in the mix are silent.

    TimeSide 1 had a threshold of +80 dB, above which nothing lies, and its labels the wrong way round.
    """

    threshold_db: Annotated[float, Field(ge=-200, le=0)] = -80.0
    """Level below which a frame is silent, dB re full scale."""
    frame_length: FrameLength = 1024
    """Samples in a frame."""
    input: Mono = Mono()
    output = Segments(labels=("Silence", "Not Silence"))

    def start(self, stream: Stream) -> None:
        """Begin with no segment."""
        self.held = np.empty(0, np.float32)
        self.samples = self.framed = 0
        self.began, self.kind = 0, NONE

    def process(self, samples: Array) -> Rows:
        """Segments that ended."""
        self.samples += len(samples)
        samples = np.concatenate([self.held, samples])
        frames = len(samples) // self.frame_length
        used = frames * self.frame_length
        self.held = samples[used:]
        return self._ended(self._labels(samples[:used].reshape(frames, self.frame_length)))

    def finish(self) -> Rows:
        """The last segments, with what is left of the signal."""
        left = self.held[np.newaxis] if len(self.held) else np.empty((0, 1))
        return self._ended(np.append(self._labels(left), NONE))

    def _labels(self, frames: Array) -> Array:
        power = np.einsum("fs,fs->f", frames, frames) / frames.shape[1]
        return (power >= 10 ** (self.threshold_db / 10)).astype(np.int32)

    def _ended(self, labels: Array) -> Rows:
        """Segments that these frames end: each change of label does."""
        changes = np.flatnonzero(np.diff(labels, prepend=self.kind))
        edges = np.minimum(self.framed + changes * self.frame_length, self.samples)
        edges, kinds = np.append(self.began, edges), np.append(self.kind, labels[changes])
        self.framed += len(labels) * self.frame_length
        self.began, self.kind = edges[-1], kinds[-1]
        seconds = edges / self.stream.samplerate
        kept = kinds[:-1] != NONE
        return segments(
            self.stream.start_s + seconds[:-1][kept], np.diff(seconds)[kept], kinds[:-1][kept], labelled=True
        )
