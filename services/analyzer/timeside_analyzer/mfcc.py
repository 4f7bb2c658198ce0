"""`mfcc`: mel-frequency cepstral coefficients."""

from typing import Annotated, Self

import numpy as np
from pydantic import Field, model_validator

from timeside_analyzer.filterbank import product
from timeside_analyzer.mel import power_to_db
from timeside_analyzer.melspectrogram import OfMel
from timeside_core import Array, Framewise, Stream


class MFCC(OfMel, id="mfcc", version="1.0"):
    """Mel-frequency cepstral coefficients, shape `(frames, n_mfcc)`, float32.

    c[k] = s[k] · Σ_m L[m] cos(π k (m + ½) / n_mels), with L = 10 log10(max(mel power, 1e-10)), s[0] = √(1/n_mels) and
    s[k] = √(2/n_mels): the orthonormal DCT-II of the log-mel spectrum. A positive `lifter` weighs coefficient k by
    1 + lifter/2 · sin(π (k + 1) / lifter). Equals `librosa.feature.mfcc(S=power_to_db(mel, top_db=None))` transposed:
    librosa's default also raises all to 80 dB below the loudest moment of the whole signal, which no stream can know.
    Davis, Mermelstein, IEEE TASSP 28(4), 1980.
    """

    n_mfcc: Annotated[int, Field(ge=1, le=1024)] = 20
    """Count of the coefficients; at most n_mels."""
    lifter: Annotated[float, Field(ge=0, le=10_000)] = 0.0
    """Length of the sinusoidal lifter; 0 is none."""

    output = Framewise(bins="cepstral coefficient")

    @model_validator(mode="after")
    def _no_more_coefficients_than_bands(self) -> Self:
        if self.n_mfcc > self.n_mels:
            raise ValueError(f"n_mfcc={self.n_mfcc} must not exceed n_mels={self.n_mels}")
        return self

    def start(self, stream: Stream) -> None:
        """Make the transform: as a matrix, since only its first few rows are wanted."""
        index = np.arange(self.n_mfcc)
        cosines = np.cos(np.pi / self.n_mels * np.outer(np.arange(self.n_mels) + 0.5, index))
        scale = np.where(index == 0, 1, 2) / self.n_mels
        weights = np.sqrt(scale)
        if self.lifter:
            weights = weights * (1 + self.lifter / 2 * np.sin(np.pi * (index + 1) / self.lifter))
        self.transform = (cosines * weights).astype(np.float32)

    def process(self, mel: Array) -> Array:
        """Logarithm and transform."""
        return product(power_to_db(mel), self.transform)

    def bins(self, output: str) -> Array:
        """Indices of the coefficients."""
        return np.arange(self.n_mfcc)
