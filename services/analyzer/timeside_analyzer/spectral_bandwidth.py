"""`spectral_bandwidth`: spread of the spectrum about its centroid."""

import numpy as np

from timeside_analyzer.spectral import OfMagnitude
from timeside_analyzer.spectral_centroid import centroid, moments_of
from timeside_core import Array, Framewise, Stream


class SpectralBandwidth(OfMagnitude, id="spectral_bandwidth", version="1.0"):
    """Spectral bandwidth, shape `(frames,)`, float32, Hz: √(Σ |X| (f - centroid)² / Σ |X|); 0 where there is silence.

    Equals `librosa.feature.spectral_bandwidth` with p=2. Klapuri, Davy, *Signal Processing Methods for Music
    Transcription*, chapter 5, 2006.
    """

    output = Framewise(unit="Hz")

    def start(self, stream: Stream) -> None:
        """Make the frequencies of the bins."""
        self.moments = moments_of(stream.samplerate, self.n_fft)

    def process(self, magnitude: Array) -> Array:
        """Standard deviation of frequency, weighted by magnitude."""
        # By deviations: the difference of the mean square and the squared mean would cancel in single precision.
        deviation = self.moments[:, 1] - centroid(magnitude, self.moments)[:, np.newaxis]
        deviation *= deviation
        second, total = np.einsum("fb,fb->f", magnitude, deviation), magnitude.sum(axis=1)
        return np.sqrt(np.divide(second, total, out=np.zeros_like(second), where=total >= np.finfo(total.dtype).tiny))
