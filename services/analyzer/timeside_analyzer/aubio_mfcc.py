"""`aubio_mfcc`: mel-frequency cepstral coefficients over forty bands."""

from typing import Annotated

import numpy as np
from pydantic import Field

from timeside_analyzer.aubio_melenergy import AubioMelEnergy
from timeside_analyzer.filterbank import product
from timeside_core import Analyzer, Array, Framewise, Stream

BANDS = 40
SMALLEST = np.float32(2e-42)
"""What aubio takes the logarithm of where a band is empty."""


class AubioMFCC(Analyzer, id="aubio_mfcc", version="1.0"):
    """Mel-frequency cepstral coefficients [1]_, shape `(rows, n_mfcc)`, float32.

    The first coefficients of the orthonormal discrete cosine transform (type II) of log10 of the magnitudes in forty
    mel bands (see `aubio_melenergy`), without a factor of 20 and without liftering. An empty band counts as 2e-42, so
    that in digital silence the first coefficient is −263.7 and the others are 0.

    Equal to `aubio.mfcc` over `aubio.pvoc` within 0.001 where the bands are (see `aubio_melenergy`). TimeSide 1 put a
    row of zeros before the first frame; there is none here.

    References
    ----------
    .. [1] S. Davis, P. Mermelstein, "Comparison of parametric representations for monosyllabic word recognition in
       continuously spoken sentences", IEEE Transactions on Acoustics, Speech, and Signal Processing 28 (4), 1980.
    """

    n_mfcc: Annotated[int, Field(ge=1, le=BANDS)] = 13
    """Coefficients, from the first on."""
    input: AubioMelEnergy = AubioMelEnergy()
    """Magnitudes in mel bands."""
    output = Framewise(bins="coefficient")

    def start(self, stream: Stream) -> None:
        """Make the matrix of the cosine transform."""
        orders, bands = np.arange(self.n_mfcc), np.arange(BANDS)[:, np.newaxis]
        cosines = np.sqrt(2 / BANDS) * np.cos(np.pi / BANDS * (bands + 0.5) * orders)
        cosines[:, 0] = 1 / np.sqrt(BANDS)
        self.cosines = cosines.astype(np.float32)

    def process(self, bands: Array) -> Array:
        """Transform the logarithms."""
        return product(np.log10(np.maximum(bands, SMALLEST)), self.cosines)

    def bins(self, output: str) -> Array:
        """Orders of the coefficients."""
        return np.arange(self.n_mfcc)
