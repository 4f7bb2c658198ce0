"""True peak: the largest value a waveform takes between its samples, ITU-R BS.1770 annex 2."""

import numpy as np

from timeside_core.audio import Array

TAPS = 24
"""Samples that one interpolated value is made of; the standard's example takes 12."""
BETA = 6.0
"""Shape of the Kaiser window: flat within 0.01 dB up to 0.42 of the samplerate, 20 kHz at 48 kHz."""
ROW = 32
"""Samples that are interpolated at once."""
STACK = 32
"""Rows to a product: few enough multiplications that OpenBLAS leaves it to one thread. Waking others costs more."""


class TruePeak:
    """Running maximum of |x| over all channels and over the points of an oversampled grid between samples.

    The grid has 4 points to a sample below 96 kHz, 2 below 192 kHz and 1 from there on; a polyphase windowed sinc
    interpolates, silence surrounds the signal. At 4 points a sine reads at most 0.69 dB less than its amplitude.
    A row is interpolated only if its largest sample, times the gain of the interpolator, exceeds the peak so far:
    most rows of music need not be.
    """

    def __init__(self, samplerate: int, channels: int) -> None:
        self.peak = 0.0
        self._filters = interpolators(oversampling(samplerate))
        self._gain = float(np.abs(self._filters).sum(axis=1).max(initial=0))
        self._held = np.zeros((channels, TAPS // 2), np.float32)
        self._matrix = _row_matrix(self._filters)

    def process(self, samples: Array) -> None:
        """Take the next samples, shape `(channels, samples)`, float32."""
        self.peak = max(self.peak, float(np.abs(samples).max(initial=0)))
        if len(self._filters):
            self._interpolate(samples)

    def finish(self) -> float:
        """The peak, once the silence after the signal is taken in."""
        if len(self._filters):
            self._interpolate(np.zeros((len(self._held), TAPS + ROW), np.float32))
        return self.peak

    def _interpolate(self, samples: Array) -> None:
        samples = np.concatenate([self._held, samples], axis=1)
        rows = max(0, samples.shape[1] - TAPS + 1) // ROW
        self._held = samples[:, rows * ROW :]
        if not rows:
            return
        largest = np.abs(samples[:, : rows * ROW]).reshape(-1, rows, ROW).max(axis=2)
        largest = np.maximum(largest, np.abs(samples[:, ROW : ROW + rows * ROW][:, : TAPS - 1]))
