"""`fx_gain`: louder or softer."""

import numpy as np
from pydantic import Field

from timeside_core import Array, Effect


class FxGain(Effect, id="fx_gain", version="2.0"):
    """Multiplies the signal by a factor: y[n] = gain · x[n], in float32, without clipping."""

    gain: float = Field(default=1.0, ge=-1000, le=1000, allow_inf_nan=False, kw_only=False)
    """Factor, linear: 2 is +6.02 dB, 0 is silence, a negative one inverts the polarity."""

    def process(self, block: Array) -> Array:
        """The block times the gain."""
        return block * np.float32(self.gain)
