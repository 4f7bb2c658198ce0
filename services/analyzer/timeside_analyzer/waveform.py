"""`waveform_analyzer`: what a picture of the waveform is drawn from."""

from dataclasses import replace
from typing import Annotated

import numpy as np
from pydantic import Field

from timeside_core import Analyzer, Array, Channels, Framewise, Stream


class Waveform(Analyzer, id="waveform_analyzer", version="2.0"):
    """Minimum, maximum and RMS of each channel over every `hop_length` samples, shape `(rows, channels)`, float32.

    The base level of a display pyramid (`timeside_core.pyramid`): at 256 samples to a row it takes 1.2 % of the memory
    of the signal. The last row covers the samples that are left. TimeSide 1 stored the signal itself.
    """

    input: Channels = Channels()
    hop_length: Annotated[int, Field(ge=1, le=1 << 20)] = 256
    """Samples to a row; they do not overlap."""
    outputs = {
        "min": Framewise(description="Smallest sample of each channel", bins="channel", pooling="min"),
        "max": Framewise(description="Largest sample of each channel", bins="channel", pooling="max"),
        "rms": Framewise(description="Root mean square of each channel", bins="channel", pooling="rms"),
    }

    def clock(self, stream: Stream) -> Stream:
        """Centres of the rows; the last, where it is shorter, counts as a whole one."""
        return replace(
            stream,
            hop_length=self.hop_length,
            frame_length=self.hop_length,
            start_s=stream.start_s + self.hop_length / 2 / stream.samplerate,
        )

    def start(self, stream: Stream) -> None:
        """Begin with nothing held back."""
        self.held = np.empty((stream.channels, 0), np.float32)

    def process(self, block: Array) -> dict[str, Array] | None:
        """Summarise the rows that are complete, hold back the rest."""
        # Contiguous channels: numpy reduces interleaved ones twenty times slower.
        samples = np.concatenate([self.held, block.T], axis=1)
        whole = samples.shape[1] // self.hop_length * self.hop_length
        self.held = samples[:, whole:]
        return self._summaries(samples[:, :whole].reshape(len(samples), -1, self.hop_length)) if whole else None

    def finish(self) -> dict[str, Array] | None:
        """The last row, of the samples that are left."""
        return self._summaries(self.held[:, np.newaxis]) if self.held.size else None

    @staticmethod
    def _summaries(samples: Array) -> dict[str, Array]:
        """Summaries, shape `(rows, channels)`, of samples of shape `(channels, rows, hop_length)`."""
        energy = np.einsum("crs,crs->rc", samples, samples)
        return {
            "min": samples.min(axis=2).T,
            "max": samples.max(axis=2).T,
            "rms": np.sqrt(energy / samples.shape[2]),
        }
