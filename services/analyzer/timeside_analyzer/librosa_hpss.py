"""`librosa_hpss`: how much of a sound is sustained, how much is struck."""

from dataclasses import replace
from typing import Annotated

import numpy as np
from pydantic import Field

from timeside_analyzer.librosa_pool import HopLength, WholeSignal, padded
from timeside_core import Array, Framewise, Stream


class LibrosaHPSS(WholeSignal, id="librosa_hpss", version="1.0"):
    """Energies of the harmonic and the percussive part of each frame, after `librosa.decompose.hpss`.

    Median filters along time and along frequency turn |X| into |H| and |P|. `harmonic` and `percussive` are their mean
    squares under the window, 2 Σ |H|² / (n_fft Σ w²), full scale ±1: a steady sine of amplitude a has a²/2.
    `percussive_ratio` is percussive / (harmonic + percussive), 0 to 1, and 0 in silence. All have shape `(frames,)`,
    float32; frame n is centred on sample n · hop_length. Fitzgerald, *Harmonic/percussive separation using median
    filtering*, DAFx 2010; Driedger, Müller, Disch, *Extending harmonic-percussive separation*, ISMIR 2014 (margin).
    """

    n_fft: Annotated[int, Field(ge=256, le=16_384)] = 2048
    """Length of the transform and of its periodic Hann window, samples."""
    hop_length: HopLength = 512
    """Samples from frame to frame."""
    kernel_size: Annotated[int, Field(ge=1, le=255)] = 31
    """Length of the median filters: frames along time, bins along frequency; not more than there are."""
    margin: Annotated[float, Field(ge=1, le=100)] = 1.0
    """How many times one filter must exceed the other for a bin to count; above 1 some of the sound is neither."""

    outputs = {
        "harmonic": Framewise(description="mean square of the harmonic part"),
        "percussive": Framewise(description="mean square of the percussive part"),
        "percussive_ratio": Framewise(description="percussive part of the energy; 0 in silence"),
    }

    def clock(self, stream: Stream) -> Stream:
        """Centres of the frames."""
        return replace(stream, hop_length=self.hop_length, frame_length=self.n_fft)

    def measure(self, samples: Array, samplerate: int) -> dict[str, Array]:
        """All frames."""
        import librosa

        spectrum = librosa.stft(padded(samples, self.n_fft), n_fft=self.n_fft, hop_length=self.hop_length)
        magnitude = np.abs(spectrum[:, : 1 + len(samples) // self.hop_length])
        # A kernel several times as long as its axis makes scipy's median filter wrong, and not even repeatable.
        bins, frames = magnitude.shape
        kernels = min(self.kernel_size, frames), min(self.kernel_size, bins)
        parts = librosa.decompose.hpss(magnitude, kernel_size=kernels, margin=self.margin)
        harmonic, percussive = (self._mean_square(part) for part in parts)
        total = harmonic + percussive
        ratio = np.divide(percussive, total, out=np.zeros_like(total), where=total > 0)
        return {"harmonic": harmonic, "percussive": percussive, "percussive_ratio": ratio}

    def _mean_square(self, magnitude: Array) -> Array:
        window_energy = 3 / 8 * self.n_fft
        return np.einsum("bf,bf->f", magnitude, magnitude) * np.float32(2 / (self.n_fft * window_energy))
