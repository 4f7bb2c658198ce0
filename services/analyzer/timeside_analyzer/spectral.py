"""What spectral analyzers share: the parameters of one transform, so that any number of them cost one."""

from typing import Annotated, TypeAlias

from pydantic import Field

from timeside_core import Analyzer, Magnitude, Mono, Power, Source
from timeside_core.inputs import FrameLength

TransformLength: TypeAlias = Annotated[int, Field(ge=16, le=1 << 16)]
"""Samples that one transform takes."""


class Spectral(Analyzer):
    """Parameters of the transform; rows are centred on sample n · hop_length, as in librosa with `center=True`."""

    n_fft: TransformLength = 2048
    """Length of the transform and of its periodic Hann window, samples."""
    hop_length: FrameLength = 512
    """Samples from frame to frame."""
    source: Source = Mono()
    """Signal that is transformed."""


class OfMagnitude(Spectral):
    """Reads magnitudes |X|, shape `(frames, n_fft // 2 + 1)`."""

    @property
    def input(self) -> Magnitude:
        """The magnitudes that are read."""
        return Magnitude(n_fft=self.n_fft, hop_length=self.hop_length, source=self.source)


class OfPower(Spectral):
    """Reads powers |X|², shape `(frames, n_fft // 2 + 1)`."""

    @property
    def input(self) -> Power:
        """The powers that are read."""
        return Power(n_fft=self.n_fft, hop_length=self.hop_length, source=self.source)
