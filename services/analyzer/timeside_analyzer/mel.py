"""The mel scale, its triangular filters, and decibels of what they let through."""

import numpy as np

from timeside_core import Array, frequencies

# Slaney's scale: linear below 1 kHz, 15 mel; above it 27 steps make a factor of 6.4.
_HZ_PER_MEL = 200 / 3
_KNEE_HZ, _KNEE_MEL = 1000.0, 15.0
_LOG_STEP = np.log(6.4) / 27

FLOOR = 1e-10
"""Least power that is told apart from silence: -100 dB."""


def hz_to_mel(hz: Array | float, *, htk: bool = False) -> Array:
    """Mel of frequencies in Hz: Slaney's Auditory Toolbox [1998], or 2595 log10(1 + f/700) as in HTK."""
    hz = np.asarray(hz, dtype=float)
    if htk:
        return 2595 * np.log10(1 + hz / 700)
    above = np.log(np.maximum(hz, _KNEE_HZ) / _KNEE_HZ) / _LOG_STEP
    return np.minimum(hz, _KNEE_HZ) / _HZ_PER_MEL + above


def mel_to_hz(mel: Array | float, *, htk: bool = False) -> Array:
    """Frequencies, Hz, of mels: the inverse of `hz_to_mel`."""
    mel = np.asarray(mel, dtype=float)
    if htk:
        return 700 * (10 ** (mel / 2595) - 1)
    above = np.exp(_LOG_STEP * np.maximum(mel - _KNEE_MEL, 0))
    return np.minimum(mel, _KNEE_MEL) * _HZ_PER_MEL * above


def mel_edges(n_mels: int, fmin: float, fmax: float, *, htk: bool = False) -> Array:
    """Edges of `n_mels` bands, shape `(n_mels + 2,)`, Hz: band m rises from edge m to m + 1 and falls to m + 2."""
    low, high = hz_to_mel(fmin, htk=htk), hz_to_mel(fmax, htk=htk)
    return mel_to_hz(np.linspace(low, high, n_mels + 2), htk=htk)


def mel_filters(samplerate: int, n_fft: int, edges: Array) -> Array:
    """Triangular filters, shape `(n_fft // 2 + 1, n_mels)`, float32.

    Filter m is max(0, min((f - e[m]) / (e[m+1] - e[m]), (e[m+2] - f) / (e[m+2] - e[m+1]))), scaled to unit area over
    frequency, 2 / (e[m+2] - e[m]) [Slaney 1998]; equals `librosa.filters.mel` transposed. A filter narrower than the
    distance of two bins may meet none and is zero then.
    """
    hz = frequencies(samplerate, n_fft)[:, np.newaxis]
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (hz - low) / (centre - low), (high - hz) / (high - centre)
    triangles = np.maximum(0, np.minimum(rising, falling))
    return (triangles * (2 / (high - low))).astype(np.float32)


def power_to_db(power: Array) -> Array:
    """10 log10(max(power, 1e-10)), dB re 1: never below -100 dB."""
    db: Array = np.log(np.maximum(power, np.float32(FLOOR)))  # natural log: numpy has it in SIMD, log10 it has not
    db *= np.float32(10 / np.log(10))
    return db
