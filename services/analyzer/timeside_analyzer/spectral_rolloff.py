"""`spectral_rolloff`: frequency below which most of the spectrum lies."""

from typing import Annotated

import numpy as np
from pydantic import Field

from timeside_analyzer.spectral import OfMagnitude
from timeside_core import Array, Framewise, Stream, frequencies


class SpectralRolloff(OfMagnitude, id="spectral_rolloff", version="1.0"):
    """Roll-off frequency, shape `(frames,)`, float32, Hz: the lowest bin with Σ_{k ≤ bin} |X[k]| ≥ share · Σ |X|.

    0 where there is silence. Equals `librosa.feature.spectral_rolloff`, to a bin. Scheirer, Slaney, ICASSP 1997.
    """

    roll_percent: Annotated[float, Field(gt=0, lt=1)] = 0.85
    """Share of the sum of magnitudes, 0 to 1; the name is librosa's."""

    output = Framewise(unit="Hz")

    def start(self, stream: Stream) -> None:
        """Make the frequencies of the bins."""
        self.hz = frequencies(stream.samplerate, self.n_fft).astype(np.float32)

    def process(self, magnitude: Array) -> Array:
        """Find the first bin at which the running sum reaches the threshold."""
        running = np.cumsum(magnitude, axis=1)
        reached = running >= np.float32(self.roll_percent) * running[:, -1:]
        return self.hz[reached.argmax(axis=1)]
