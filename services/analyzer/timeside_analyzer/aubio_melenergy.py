"""`aubio_melenergy`: magnitude of the spectrum in forty mel bands."""

import numpy as np

from timeside_analyzer.aubio_sizes import PowerOfTwo
from timeside_analyzer.filterbank import Filterbank
from timeside_core import Analyzer, Array, Framewise, Magnitude, Stream, frequencies
from timeside_core.inputs import FrameLength

LINEAR_BANDS, LOG_BANDS = 13, 27
LOWEST_HZ, LINEAR_STEP_HZ, LOG_STEP = 133.3333, 66.66666666, 1.0711703
"""Slaney's scale: edges lie 66.7 Hz apart up to 933 Hz, then a factor of 1.071."""


class AubioMelEnergy(Analyzer, id="aubio_melenergy", version="1.0"):
    """Magnitude of the spectrum in Slaney's forty mel bands, shape `(rows, 40)`, float32.

    Each band is the sum of |X_k| under a triangle of unit area over frequency, X being the transform of a frame under
    a periodic Hann window that ends with the hop. Centres go from 200 Hz to 6.4 kHz; a band above the Nyquist
    frequency is 0.

    Equal within 0.01 % to `aubio.filterbank` with `set_mel_coeffs_slaney` over `aubio.pvoc` [1]_ wherever bins lie
    closer than 66.7 Hz. Where they lie further apart, at high samplerates, aubio lets triangles overshoot their peak;
    here they do not, and a triangle between two bins is empty.

    References
    ----------
    .. [1] P. Brossier, "Automatic annotation of musical audio for interactive applications", PhD thesis, Queen Mary
       University of London, 2006.
    .. [2] M. Slaney, "Auditory toolbox, version 2", Technical report 1998-010, Interval Research Corporation, 1998.
    """

    n_fft: PowerOfTwo = 1024
    """Samples in a frame, and length of its transform."""
    hop_length: FrameLength = 256
    """Samples from frame to frame."""
    output = Framewise(bins="mel band", bin_unit="Hz")

    @property
    def input(self) -> Magnitude:
        """The magnitudes that are summed."""
        return Magnitude(n_fft=self.n_fft, hop_length=self.hop_length, align="end")

    def start(self, stream: Stream) -> None:
        """Lay out the bands."""
        self.bands = Filterbank(slaney_weights(frequencies(stream.samplerate, self.n_fft)).T)

    def process(self, magnitude: Array) -> Array:
        """Sum over the bands."""
        return self.bands(magnitude)

    def bins(self, output: str) -> Array:
        """Centres of the bands."""
        return slaney_edges()[1:-1]


def slaney_edges() -> Array:
    """Edges of the bands, shape `(42,)`, Hz: band n rises from edge n to its peak at edge n + 1 and ends at n + 2."""
    linear = LOWEST_HZ + LINEAR_STEP_HZ * np.arange(LINEAR_BANDS)
    return np.concatenate([linear, linear[-1] * LOG_STEP ** np.arange(1, LOG_BANDS + 3)])


def slaney_weights(bins_hz: Array) -> Array:
    """Weights of the bins in each band, shape `(40, bins)`, float32, for bins at those frequencies."""
    edges = slaney_edges()[:, np.newaxis]
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    triangles = np.minimum((bins_hz - low) / (centre - low), (high - bins_hz) / (high - centre))
    weights = np.maximum(triangles, 0) * (2 / (high - low))
    weights[:, -1] = 0  # aubio leaves the Nyquist frequency out
    return weights.astype(np.float32)
