"""`onset_detection_function`: how much the spectrum rises at each instant."""

from typing import Annotated

import numpy as np
from pydantic import Field

from timeside_analyzer.filterbank import product
from timeside_analyzer.spectrogram import power_gain
from timeside_core import Analyzer, Array, Framewise, Power, Stream
from timeside_core.inputs import FrameLength

COMPRESSION = 1e5
"""Amplitudes well above its inverse, -100 dBFS to a bin, are compressed to their logarithm; those below fade out."""
SMOOTHING = 7
"""Frames that a magnitude is smoothed over."""
REACH = 15
"""Frames that the differentiator reaches to each side."""


class OnsetDetectionFunction(Analyzer, id="onset_detection_function", version="2.0"):
    """Mean rise of the spectrum, shape `(rows,)`, dB per second: high where notes begin.

    With A_k(n) the amplitude of bin k in frame n (hann window, a full-scale sine reads 1):

        S_k(n) = Σ_i w_i A_k(n - i)             smoothed by a decaying half hann window w of 7 frames, Σ w = 1
        L_k(n) = 20 log10(1 + 10⁵ S_k(n))       compressed: logarithmic above -100 dBFS
        D_k(n) = f_r Σ_j d_j L_k(n - j)         differentiated by 31 taps, f_r frames per second
        odf(n) = mean over k of max(0, D_k(n))

    The smoothing filter begins with its largest tap, so that an attack is not delayed; the differentiator,
    `d_j = (-1)^j / j` under a hann window, is centred, which makes rows 15 frames late and their times right.
    Before the signal lies silence; after it, its last frame goes on. After M. Alonso, B. David and G. Richard, "Tempo
    and beat estimation of musical signals", ISMIR 2004.

    TimeSide 1 took the logarithm of unscaled magnitudes and cut it at 10⁻³, so that bins below some -54 dBFS were
    mute; used no window; left the differentiator's delay in the times; and divided by the median of the whole signal,
    which cannot be streamed. Here a quiet signal gives a lower curve of the same shape, in a unit of its own.
    """

    n_fft: Annotated[int, Field(ge=16, le=1 << 16)] = 1024
    """Length of frames and of the transform, samples."""
    hop_length: FrameLength = 512
    """Samples from frame to frame."""
    output = Framewise(unit="dB/s", description="Mean rise of the spectrum")

    @property
    def input(self) -> Power:
        """The power that is read."""
        return Power(n_fft=self.n_fft, hop_length=self.hop_length, window="hann")

    def context_s(self, stream: Stream) -> tuple[float, float]:
        """The frames that both filters reach over."""
        return (REACH + SMOOTHING - 1) / stream.row_rate, REACH / stream.row_rate

    def start(self, stream: Stream) -> None:
        """Begin in silence."""
        self.gain = power_gain("hann", self.n_fft)
        bins = len(self.gain)
        self.smooth = RowFilter(half_hann(SMOOTHING), np.zeros((SMOOTHING - 1, bins), np.float32))
        self.rise = RowFilter(differentiator(REACH), np.zeros((REACH, bins), np.float32))
        self.scale = 20 / np.log(10) * stream.row_rate

    def process(self, power: Array) -> Array:
        """Rows that the differentiator can reach around."""
        amplitude = self.smooth.process(np.sqrt(power * self.gain))
        return self._rises(np.log(1 + np.float32(COMPRESSION) * amplitude))

    def finish(self) -> Array | None:
        """The last rows."""
        return self._rises(np.repeat(self.rise.held[-1:], REACH, axis=0)) if self.row else None

    def _rises(self, compressed: Array) -> Array:
        return np.maximum(self.rise.process(compressed), 0).mean(axis=1) * np.float32(self.scale)


class RowFilter:
    """A finite impulse response along the first axis of rows; what is held before them is carried."""

    def __init__(self, taps: Array, held: Array) -> None:
        self.held = held
        self._taps = taps[::-1].astype(np.float32)

    def process(self, rows: Array) -> Array:
        """Filtered rows: those that all taps lie on."""
        return np.concatenate([self._filtered(some) for some in np.array_split(rows, -(-len(rows) // 64))])

    def _filtered(self, rows: Array) -> Array:
        rows = np.concatenate([self.held, rows])
        count = max(0, len(rows) - len(self._taps) + 1)
        self.held = rows[count:]
        if not count:
            return np.empty((0, rows.shape[1]), np.float32)
        # filtered[n] = Σ_i taps[i] rows[n + i], a product with a band matrix
        band = np.zeros((len(rows), count), np.float32)
        for row in range(count):
            band[row : row + len(self._taps), row] = self._taps
        return product(rows.T, band).T


def half_hann(length: int) -> Array:
    """Second half of a hann window, largest first, shape `(length,)`, sum 1."""
    weights = 1 + np.cos(np.pi * np.arange(length) / length)
    return weights / weights.sum()


def differentiator(reach: int) -> Array:
    """Derivative per row, of a line exactly, shape `(2 * reach + 1,)`: the ideal response under a hann window."""
    lag = np.arange(1, reach + 1)
    half = (-1.0) ** (lag + 1) / lag * (1 + np.cos(np.pi * lag / (reach + 1)))
    half /= 2 * (half * lag).sum()
    return np.concatenate([half[::-1], [0], -half])
