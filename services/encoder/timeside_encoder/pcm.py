"""Samples as integers."""

import numpy as np

from timeside_core import Array


def quantized(block: Array, bits: int) -> Array:
    """Round x · 2^(bits-1) to integers, half to even, and clip; shape as given, int16 up to 16 bits, else int32.

    Audio that was decoded from integers of that many bits (up to 24) comes back to the bit. No dither is added.
    """
    full_scale = 1 << (bits - 1)
    scaled = block * np.float32(full_scale)
    np.rint(scaled, out=scaled)
    np.clip(scaled, -full_scale, full_scale - 1, out=scaled)
    return scaled.astype(np.int16 if bits <= 16 else np.int32)
