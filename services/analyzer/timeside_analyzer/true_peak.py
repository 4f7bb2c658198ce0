"""True peak: the largest value a waveform takes between its samples, ITU-R BS.1770 annex 2."""

import numpy as np

from timeside_analyzer.filterbank import product
from timeside_core.audio import Array

TAPS = 24
"""Samples that an interpolated value is made of, and samples in a row; the standard's example takes 12."""
BETA = 6.0
"""Shape of the Kaiser window: flat within 0.01 dB up to 0.42 of the samplerate, 20 kHz at 48 kHz."""


class TruePeak:
    """Running maximum of |x| over all channels, over the samples and a finer grid of points between them.

    The grid has 4 points to a sample below 96 kHz, 2 below 192 kHz and 1 from there on; a polyphase windowed sinc
    interpolates, silence surrounds the signal. At 4 points a sine below 0.42 of the samplerate reads at most 0.5 dB
    less than its amplitude. A row is interpolated only if its largest sample, times the gain of the interpolator,
    exceeds the peak so far: most rows of music need not be.
    """

    def __init__(self, samplerate: int, channels: int) -> None:
        filters = interpolators(oversampling(samplerate))
        self.peak = 0.0
        self._gain = np.abs(filters).sum(axis=1).max(initial=0)
        self._matrix = _row_matrix(filters)
        self._held: Array = np.zeros((channels, TAPS - 1), np.float32)

    def process(self, samples: Array) -> None:
        """Take the next samples, shape `(channels, samples)`, float32."""
        self.peak = max(self.peak, float(np.abs(samples).max(initial=0)))
        if self._matrix.size:
            self._interpolate(samples)

    def finish(self) -> float:
        """The peak, now that silence follows."""
        self.process(np.zeros((len(self._held), 2 * TAPS), np.float32))
        return self.peak

    def _interpolate(self, samples: Array) -> None:
        samples = np.concatenate([self._held, samples], axis=1)
        count = samples.shape[1] // TAPS
        self._held = samples[:, max(0, count - 1) * TAPS :]
        if count < 2:
            return
        rows = samples[:, : count * TAPS].reshape(len(samples), count, TAPS)
        largest = np.abs(rows).max(axis=2)
        channel, row = np.nonzero(np.maximum(largest[:, :-1], largest[:, 1:]) * self._gain > self.peak)
        if len(row):
            between = product(np.concatenate([rows[channel, row], rows[channel, row + 1]], axis=1), self._matrix)
            self.peak = max(self.peak, float(between.max()), -float(between.min()))


def oversampling(samplerate: int) -> int:
    """Points to a sample: enough for a grid of 192 kHz or, at low samplerates, of four times theirs."""
    return 4 if samplerate < 96_000 else 2 if samplerate < 192_000 else 1


def interpolators(points: int) -> Array:
    """Kaiser-windowed sincs for the points 1/points, 2/points, … after a sample, shape `(points - 1, TAPS)`.

    The point lies after sample `TAPS / 2 - 1` of the TAPS that are weighed; each filter passes a constant unchanged.
    """
    after = np.arange(1, points)[:, np.newaxis] / points
    distance = np.arange(TAPS) - (TAPS // 2 - 1) - after
    filters = np.sinc(distance) * np.i0(BETA * np.sqrt(1 - np.square(distance / (TAPS / 2))))
    return filters / filters.sum(axis=1, keepdims=True)


def _row_matrix(filters: Array) -> Array:
    """Product that turns two rows into all points between TAPS samples, shape `(2 * TAPS, TAPS * len(filters))`."""
    matrix = np.zeros((2 * TAPS, TAPS, len(filters)), np.float32)
    for first in range(TAPS):
        matrix[first : first + TAPS, first] = filters.T
    return matrix.reshape(2 * TAPS, -1)
