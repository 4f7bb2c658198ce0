"""`spectrogram_analyzer`: what a picture of the spectrum over time is drawn from."""

from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from timeside_core import Analyzer, Array, Framewise, Power, Stream, frequencies
from timeside_core.decibels import code_from_power
from timeside_core.inputs import Align, FrameLength, Window, window
from timeside_core.outputs import Output

LOWEST_HZ = 40.0
HIGHEST_HZ = 20_000.0


class Spectrogram(Analyzer, id="spectrogram_analyzer", version="2.0"):
    """Level of the spectrum over time and frequency, as 8-bit codes in 256 bands, and where asked for |X| itself.

    The magnitude of a bin is scaled so that a sine reads its amplitude: `2 |X| / Σw` of an FFT with window w, half of
    that at 0 Hz and at the Nyquist frequency. 0 dBFS is amplitude 1.

    `tiles`, uint8, shape `(rows, bands)`: the level of the loudest bin of each band, 255 at 0 dBFS, 0.43 dB to a step,
    1 at -110 dBFS, 0 below (`timeside_core.decibels.db_from_code`). Bands narrower than a bin read between the two bins
    nearest to their centre, linearly in power. All media share the same grid of frames, the same bands (for a given
    samplerate) and the same reference, so that tiles join and compare; three hours take 119 MB.

    The magnitudes themselves, float32, shape `(rows, n_fft // 2 + 1)`, come with `linear`; they take four bytes to a
    sample at the default hop, 1.9 GB for three hours.

    TimeSide 1 cut frames from the start (`align="start"`), used no window (`window="boxcar"`) and scaled nothing.
    """

    n_fft: Annotated[int, Field(ge=16, le=1 << 16)] = 2048
    """Length of frames and of the transform, samples."""
    hop_length: FrameLength = 1024
    """Samples from frame to frame."""
    window: Window = "hann"
    """Window of the transform."""
    align: Align = "center"
    """Where frame n lies: see `Frames`."""
    scale: Literal["log", "linear"] = "log"
    """Bands of the tiles: 40 Hz to 20 kHz (at most Nyquist) in equal ratios, or 0 Hz to Nyquist in equal steps."""
    bands: Annotated[int, Field(ge=16, le=2048)] = 256
    """Bands of the tiles."""
    linear: bool = False
    """Whether to give the magnitude of all bins as well."""

    @property
    def input(self) -> Power:
        """The power that is read."""
        return Power(n_fft=self.n_fft, hop_length=self.hop_length, window=self.window, align=self.align)

    def declared(self) -> Mapping[str, Output]:
        """The tiles; the magnitudes, as the output without a name, where `linear` asks for them."""
        tiles = Framewise(description="Level, 8-bit code", bins="frequency band", bin_unit="Hz", pooling="max")
        magnitude = Framewise(description="Amplitude of a sine of that frequency", bins="frequency", bin_unit="Hz")
        return {"": magnitude, "tiles": tiles} if self.linear else {"tiles": tiles}

    def start(self, stream: Stream) -> None:
        """Find the bins of each band."""
        self.frequencies = frequencies(stream.samplerate, self.n_fft)
        self.edges = band_edges(self.scale, self.bands, stream.samplerate)
        self.pool = BandPool(self.edges * self.n_fft / stream.samplerate, len(self.frequencies))
        self.gain = power_gain(self.window, self.n_fft)

    def process(self, power: Array) -> dict[str, Array]:
        """Scale, pool, encode."""
        power = power * self.gain
        tiles = code_from_power(self.pool.maxima(power))
        return {"": np.sqrt(power), "tiles": tiles} if self.linear else {"tiles": tiles}

    def bins(self, output: str) -> Array:
        """Frequencies of the bins, or centres of the bands, Hz."""
        if output == "":
            return self.frequencies
        return np.sqrt(self.edges[:-1] * self.edges[1:]) if self.scale == "log" else self.edges[:-1] + self.edges[1] / 2


def power_gain(name: Window, n_fft: int) -> Array:
    """What turns |X|² into squared amplitudes of sines, shape `(n_fft // 2 + 1,)`, float32."""
    gain = np.full(n_fft // 2 + 1, 2 / window(name, n_fft).sum(dtype=float))
    gain[0] /= 2
    if n_fft % 2 == 0:
        gain[-1] /= 2
    return np.square(gain).astype(np.float32)


def band_edges(scale: Literal["log", "linear"], bands: int, samplerate: int) -> Array:
    """Edges of the bands, shape `(bands + 1,)`, Hz."""
    nyquist_hz = samplerate / 2
    if scale == "linear":
        return np.linspace(0, nyquist_hz, bands + 1)
    return np.geomspace(LOWEST_HZ, min(HIGHEST_HZ, nyquist_hz), bands + 1)


class BandPool:
    """Maxima over bands of bins; bands narrower than a bin read between bins."""

    def __init__(self, edges: Array, bins: int) -> None:
        """`edges`: shape `(bands + 1,)`, ascending, in bins, possibly fractional."""
        self.narrow = np.diff(edges) < 1 - 1e-6
        centres = ((edges[:-1] + edges[1:]) / 2)[self.narrow]
        self.below = np.minimum(np.floor(centres).astype(int), bins - 2)
        self.share = (centres - self.below).astype(np.float32)
        self.starts = np.ceil(edges[:-1][~self.narrow]).astype(int)
        self.stop = min(bins, int(np.floor(edges[-1])) + 1)

    def maxima(self, power: Array) -> Array:
        """Power of each band, shape `(rows, bands)`, of bins of shape `(rows, bins)`."""
        pooled = np.empty((len(power), len(self.narrow)), power.dtype)
        low, high = power[:, self.below], power[:, self.below + 1]
        pooled[:, self.narrow] = low + self.share * (high - low)
        if len(self.starts):
            pooled[:, ~self.narrow] = np.maximum.reduceat(power[:, : self.stop], self.starts, axis=1)
        return pooled
