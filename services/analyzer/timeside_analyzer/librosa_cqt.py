"""`librosa_cqt`: magnitudes at frequencies in equal ratios."""

from dataclasses import replace
from typing import Annotated

import numpy as np
from pydantic import Field

from timeside_analyzer.librosa_pool import HopLength, WholeSignal, padded
from timeside_core import Array, Framewise, Stream

C1_HZ = 32.703


class LibrosaCQT(WholeSignal, id="librosa_cqt", version="1.0"):
    """Magnitude of the constant-Q transform, shape `(frames, n_bins)`, float32, by `librosa.cqt`.

    Bin k lies at fmin · 2^(k / bins_per_octave), frame n is centred on sample n · hop_length; tuning is A4 = 440 Hz.
    Raises `ParameterError` where the highest bin reaches beyond the Nyquist frequency. Schörkhuber, Klapuri,
    *Constant-Q transform toolbox for music processing*, SMC 2010.
    """

    fmin: Annotated[float, Field(ge=10, le=20_000)] = C1_HZ
    """Frequency of the lowest bin, Hz."""
    n_bins: Annotated[int, Field(ge=1, le=480)] = 84
    """Count of the bins."""
    bins_per_octave: Annotated[int, Field(ge=1, le=60)] = 12
    """Bins to an octave."""
    hop_length: HopLength = 512
    """Samples from frame to frame."""

    output = Framewise(bins="frequency", bin_unit="Hz")

    def clock(self, stream: Stream) -> Stream:
        """Centres of the frames."""
        return replace(stream, hop_length=self.hop_length, frame_length=self.hop_length)

    def measure(self, samples: Array, samplerate: int) -> Array:
        """All frames."""
        import librosa

        transform = librosa.cqt(
            padded(samples, longest_filter(samplerate, self.fmin, self.bins_per_octave, self.hop_length)),
            sr=samplerate,
            hop_length=self.hop_length,
            fmin=self.fmin,
            n_bins=self.n_bins,
            bins_per_octave=self.bins_per_octave,
        )
        return np.abs(transform.T[: 1 + len(samples) // self.hop_length])

    def bins(self, output: str) -> Array:
        """Frequencies of the bins, Hz."""
        return self.fmin * 2 ** (np.arange(self.n_bins) / self.bins_per_octave)


def longest_filter(samplerate: int, fmin: float, bins_per_octave: int, hop_length: int) -> int:
    """Length of librosa's transform for the lowest bin, samples: a power of two that takes Q periods and two hops."""
    ratio = 4 ** (1 / bins_per_octave)
    q = (ratio + 1) / (ratio - 1)
    return 2 ** int(np.ceil(np.log2(max(q * samplerate / fmin, 2 * hop_length))))
