"""`chroma`: power of the spectrum by pitch class."""

from typing import Literal

import numpy as np

from timeside_analyzer.filterbank import product
from timeside_analyzer.spectral import OfPower
from timeside_core import Array, Framewise, Stream

PITCH_CLASSES = ("C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B")

_A0_HZ = 27.5
_CENTRE_OCTAVE = 5.0
_WIDTH_OCTAVES = 2.0


class Chroma(OfPower, id="chroma", version="1.0"):
    """Chromagram, shape `(frames, n_chroma)`, float32, 0 to 1: power by pitch class, the loudest of a frame being 1.

    Bin f of the spectrum counts for class c by a Gaussian of their distance on the circle of pitch classes, normalised
    over the classes, times a Gaussian of its octave (centred on A5, two octaves wide). Tuning is A4 = 440 Hz. A silent
    frame is all zeros. Equals `librosa.feature.chroma_stft(tuning=0)` transposed. Ellis, *Chroma feature analysis and
    synthesis*, 2007.
    """

    n_chroma: Literal[12, 24, 36] = 12
    """Classes of an octave, from C on."""

    output = Framewise(bins="pitch class")

    def start(self, stream: Stream) -> None:
        """Make the filters."""
        self.filters = chroma_filters(stream.samplerate, self.n_fft, self.n_chroma)

    def process(self, power: Array) -> Array:
        """Sum by class and scale each frame to its maximum."""
        return scaled_to_peak(product(power, self.filters))

    def bins(self, output: str) -> Array | tuple[str, ...]:
        """Names of the twelve classes; of more, semitones above C."""
        return PITCH_CLASSES if self.n_chroma == 12 else np.arange(self.n_chroma) * (12 / self.n_chroma)


def chroma_filters(samplerate: int, n_fft: int, n_chroma: int) -> Array:
    """Weights of bins for pitch classes, shape `(n_fft // 2 + 1, n_chroma)`, float32; see `Chroma`."""
    bins = n_fft // 2 + 1
    octaves = np.log2(np.arange(1, bins + 1) * (samplerate / n_fft / _A0_HZ))
    octaves = np.concatenate([octaves[:1] - 1.5, octaves])  # DC has no pitch: put far below the first bin, and wide
    pitch = n_chroma * octaves
    width = np.maximum(np.diff(pitch), 1)
    distance = pitch[:-1, np.newaxis] - np.arange(n_chroma)
    half = n_chroma // 2
    distance = (distance + half) % n_chroma - half
    weights = np.exp(-0.5 * (2 * distance / width[:, np.newaxis]) ** 2)
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    weights *= np.exp(-0.5 * ((octaves[:-1, np.newaxis] - _CENTRE_OCTAVE) / _WIDTH_OCTAVES) ** 2)
    return np.roll(weights, -3 * n_chroma // 12, axis=1).astype(np.float32)  # from A, where octaves begin, to C


def scaled_to_peak(rows: Array) -> Array:
    """Rows of non-negative values divided by their maxima, in place; rows of zeros stay so."""
    peak = rows.max(axis=1, keepdims=True)
    peak[peak < np.finfo(rows.dtype).tiny] = 1
    rows /= peak
    return rows
