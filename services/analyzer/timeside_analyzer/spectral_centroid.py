"""`spectral_centroid`: centre of gravity of the spectrum."""

import numpy as np

from timeside_analyzer.filterbank import product
from timeside_analyzer.spectral import OfMagnitude
from timeside_core import Array, Framewise, Stream, frequencies


class SpectralCentroid(OfMagnitude, id="spectral_centroid", version="1.0"):
    """Spectral centroid, shape `(frames,)`, float32, Hz, 0 to Nyquist: Σ f |X| / Σ |X|; 0 where there is silence.

    Equals `librosa.feature.spectral_centroid`. Klapuri, Davy, *Signal Processing Methods for Music Transcription*,
    chapter 5, 2006.
    """

    output = Framewise(unit="Hz")

    def start(self, stream: Stream) -> None:
        """Make the frequencies of the bins."""
        self.moments = moments_of(stream.samplerate, self.n_fft)

    def process(self, magnitude: Array) -> Array:
        """Mean frequency, weighted by magnitude."""
        return centroid(magnitude, self.moments)


def moments_of(samplerate: int, n_fft: int) -> Array:
    """Columns 1 and f, shape `(n_fft // 2 + 1, 2)`, float32: a product with them gives sum and first moment at once."""
    hz = frequencies(samplerate, n_fft)
    return np.column_stack([np.ones_like(hz), hz]).astype(np.float32)


def centroid(magnitude: Array, moments: Array) -> Array:
    """Centroid of each row, shape `(frames,)`, Hz."""
    total, first = product(magnitude, moments).T
    return np.divide(first, total, out=np.zeros_like(first), where=total >= np.finfo(total.dtype).tiny)
