"""`null_decoder`: no media at all."""

from dataclasses import replace

import numpy as np

from timeside_core import Decoder
from timeside_core.inputs import Samplerate
from timeside_core.pipeline import Source
from timeside_decoder.array import ArrayDecoder


class NullDecoder(Decoder, id="null_decoder", version="1.0"):
    """Decodes one sample of silence, mono: for processors that run without media."""

    samplerate: Samplerate = 44100
    """Samples per second, Hz."""

    def open(self) -> Source:
        """The sample."""
        source = ArrayDecoder(np.zeros(1), self.samplerate, start=self.start, duration=self.duration).open()
        source.media = replace(source.media, uri="null:")
        return source
