"""`level`: peak and RMS level of a waveform."""

import numpy as np

from timeside_core import Analyzer, Array, Channels, Stream, Value
from timeside_core.decibels import dbfs


class Level(Analyzer, id="level", version="2.0"):
    """Peak and RMS level over all samples of all channels, in dB of full scale.

    `max` is `20 log10 max |x|`, `rms` is `20 log10 sqrt(mean x²)`; 0 dBFS is an amplitude of 1, so that a full-scale
    sine has an RMS level of -3.01 dBFS. Neither goes below -138.474 dBFS, one step of 24-bit audio, which is what
    silence reads. TimeSide 1 weighted blocks equally; here each sample counts once. No signal, no value.
    """

    input: Channels = Channels()
    outputs = {
        "max": Value(unit="dBFS", description="Largest absolute sample"),
        "rms": Value(unit="dBFS", description="Root mean square of all samples"),
    }

    def start(self, stream: Stream) -> None:
        """Begin with silence."""
        self.peak, self.energy, self.count = 0.0, 0.0, 0

    def process(self, block: Array) -> None:
        """Update the peak; sum squares in double precision."""
        self.peak = max(self.peak, float(block.max()), -float(block.min()))
        self.energy += float(np.square(block, dtype=float).sum())
        self.count += block.size

    def finish(self) -> dict[str, Array] | None:
        """Both levels."""
        if not self.count:
            return None
        return {"max": dbfs(self.peak), "rms": dbfs(np.sqrt(self.energy / self.count))}
