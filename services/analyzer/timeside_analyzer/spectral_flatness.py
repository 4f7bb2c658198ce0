"""`spectral_flatness`: likeness to noise."""

from typing import Annotated

import numpy as np
from pydantic import Field

from timeside_analyzer.spectral import OfPower
from timeside_core import Array, Framewise


class SpectralFlatness(OfPower, id="spectral_flatness", version="1.0"):
    """Spectral flatness, shape `(frames,)`, float32, 0 (a tone) to 1 (white): geometric by arithmetic mean of |X|².

    Powers below `amin` count as `amin`, hence 1 where there is silence. Equals `librosa.feature.spectral_flatness`.
    Dubnov, IEEE Signal Processing Letters 11(8), 2004.
    """

    amin: Annotated[float, Field(ge=1e-30, le=1)] = 1e-10
    """Least power of a bin."""

    output = Framewise()

    def process(self, power: Array) -> Array:
        """Ratio of the means over the bins."""
        power = np.maximum(power, np.float32(self.amin))
        return np.exp(np.log(power).mean(axis=1)) / power.mean(axis=1)
