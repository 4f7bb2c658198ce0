"""`tempogram`: local autocorrelation of the onset strength."""

from typing import Annotated

import numpy as np
from pydantic import Field

from timeside_analyzer.onset_strength import OnsetStrength
from timeside_core import Analyzer, Array, Framewise, Stream
from timeside_core.inputs import window


class Tempogram(Analyzer, id="tempogram", version="1.0"):
    """Autocorrelation tempogram, shape `(frames, win_length)`, float32, -1 to 1: periodicity of onsets by lag.

    Row n is the autocorrelation of `win_length` onset strengths around frame n under a periodic Hann window, by its
    value at lag 0. Before and after the signal the strength rises and falls in a straight line from and to 0. A window
    of silence gives zeros. Equals `librosa.feature.tempogram(onset_envelope=…)` transposed. Grosche, Müller, Kurth,
    *Cyclic tempogram - a mid-level tempo representation for music signals*, ICASSP 2010.
    """

    input: OnsetStrength = OnsetStrength()
    """The onset strength that is read; it says all about frames and bands."""
    win_length: Annotated[int, Field(ge=2, le=4096)] = 384
    """Frames in a window; lags go from 0 to one less."""

    output = Framewise(bins="lag", bin_unit="s")

    def context_s(self, stream: Stream) -> tuple[float, float]:
        """Half a window."""
        return self.win_length / 2 / stream.row_rate, self.win_length / 2 / stream.row_rate

    def start(self, stream: Stream) -> None:
        """Make the window."""
        from scipy.fft import next_fast_len

        self.weights = window("hann", self.win_length)
        self.n_fft = next_fast_len(2 * self.win_length - 1, real=True)
        self.held = np.empty(0, np.float32)
        self.lags_s = np.arange(self.win_length) * (stream.hop_length / stream.samplerate)

    def process(self, strength: Array) -> Array | None:
        """Windows that are complete."""
        if self.row == 0:
            self.held = self._ramp_to(strength[0])
        self.last = strength[-1]
        return self._correlate(strength)

    def finish(self) -> Array | None:
        """Windows that reach beyond the end."""
        if self.row == 0:
            return None
        # An even window has one position more than there are frames.
        fall = self._ramp_to(self.last)[::-1]
        return self._correlate(fall if self.win_length % 2 else fall[:-1])

    def bins(self, output: str) -> Array:
        """Lags, s; tempo in bpm is 60 / lag."""
        return self.lags_s

    def _ramp_to(self, value: float) -> Array:
        return np.linspace(0, value, self.win_length // 2, endpoint=False, dtype=np.float32)

    def _correlate(self, strength: Array) -> Array | None:
        from scipy.fft import irfft, rfft

        strength = np.concatenate([self.held, strength])
        rows = max(0, len(strength) - self.win_length + 1)
        self.held = strength[rows:]
        if not rows:
            return None
        windows = np.lib.stride_tricks.sliding_window_view(strength, self.win_length) * self.weights
        spectrum = rfft(windows, self.n_fft, axis=1)
        power = np.square(spectrum.real) + np.square(spectrum.imag)
        correlation = irfft(power, self.n_fft, axis=1)[:, : self.win_length]
        energy = correlation[:, :1].copy()
        energy[energy < np.finfo(energy.dtype).tiny] = 1
        return correlation / energy
