"""`onset_strength`: spectral flux of the log-mel spectrum."""

from typing import Annotated

import numpy as np
from pydantic import Field

from timeside_analyzer.mel import power_to_db
from timeside_analyzer.melspectrogram import OfMel
from timeside_core import Array, Framewise, Stream


class OnsetStrength(OfMel, id="onset_strength", version="1.0"):
    """Onset strength, shape `(frames,)`, float32, dB: mean over bands of max(0, L[n, m] - R[n - lag, m]).

    L is the log-mel spectrum in dB, R its maximum over the `max_size` bands around m, which keeps vibrato from counting
    as onsets. Rows are `n_fft // (2 · hop_length)` frames late, when an onset is in the middle of the window; the first
    ones are 0. Equals `librosa.onset.onset_strength(S=power_to_db(mel, top_db=None))`: librosa's default also raises L
    to 80 dB below the loudest moment of the whole signal, which no stream can know. Böck, Widmer, *Maximum filter
    vibrato suppression for onset detection*, DAFx 2013.
    """

    lag: Annotated[int, Field(ge=1, le=1024)] = 1
    """Frames over which the increase is taken."""
    max_size: Annotated[int, Field(ge=1, le=1024)] = 1
    """Bands of the maximum filter; 1 is none."""

    output = Framewise(unit="dB")

    def context_s(self, stream: Stream) -> tuple[float, float]:
        """As late as rows are, and the lag."""
        return (self.n_fft // (2 * self.hop_length) + self.lag) / stream.row_rate, 0.0

    def start(self, stream: Stream) -> None:
        """Begin without a past."""
        self.past = np.empty((0, self.n_mels), np.float32)
        self.late = np.zeros(self.n_fft // (2 * self.hop_length), np.float32)

    def process(self, mel: Array) -> Array:
        """Increase since `lag` frames before, as late as the window is centred."""
        level = power_to_db(mel)
        past = np.concatenate([self.past, _maximum_of_neighbours(level, self.max_size)])
        before = past[: max(0, len(past) - self.lag)]
        self.past = past[len(before) :]
        flux = np.zeros(len(level), np.float32)
        if len(before):
            flux[-len(before) :] = np.maximum(0, level[-len(before) :] - before).mean(axis=1)
        strength = np.concatenate([self.late, flux])
        self.late = strength[len(level) :]
        return strength[: len(level)]


def _maximum_of_neighbours(level: Array, size: int) -> Array:
    """Maximum over `size` bands around each, mirrored beyond the first and last."""
    if size == 1:
        return level
    mirrored = np.pad(level, ((0, 0), (size // 2, (size - 1) // 2)), mode="symmetric")
    return np.lib.stride_tricks.sliding_window_view(mirrored, size, axis=1).max(axis=2)
