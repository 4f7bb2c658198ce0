"""Decibels of full scale, their floor, and the 8-bit codes that spectrogram tiles hold."""

import numpy as np

from timeside_core.audio import Array

FLOOR = float(np.finfo(np.float32).eps)
"""Amplitude below which everything counts as silence: one step of 24-bit audio, -138.474 dBFS."""

RANGE_DB = 110.0
"""What the codes of a tile span, down from full scale."""


def dbfs(amplitude: Array | float) -> Array:
    """Level of an amplitude, `20 log10 |a|`, dBFS; not below -138.474, that of `FLOOR`."""
    return 20 * np.log10(np.maximum(np.abs(amplitude), FLOOR))


def dbfs_of_power(power: Array | float) -> Array:
    """Level of a power (squared amplitude), `10 log10 p`, dBFS; not below -138.474, that of `FLOOR`."""
    return 10 * np.log10(np.maximum(power, FLOOR**2))


def code_from_power(power: Array) -> Array:
    """8-bit codes of powers, any shape: 255 at 0 dBFS and above, 1 at -110 dBFS, 0 for all that lies below.

    The codes from 1 on are even steps of 110/254 = 0.43 dB; 0 means "nothing", not a level.
    """
    level_db = 10 * np.log10(np.maximum(power, FLOOR**2, dtype=np.float32))
    codes = np.rint((level_db + RANGE_DB) * (254 / RANGE_DB) + 1)
    return np.clip(codes, 0, 255).astype(np.uint8)


def db_from_code(codes: Array) -> Array:
    """Levels of 8-bit codes, dBFS, float32: 0 for 255, -110 for 1, minus infinity for 0."""
    levels_db = (np.arange(256, dtype=np.float32) - 255) * np.float32(RANGE_DB / 254)
    levels_db[0] = -np.inf
    return levels_db[codes]
