"""What analyzers share that hand the whole signal to librosa: it is heavy, so they form a pool of their own."""

from abc import abstractmethod
from typing import Annotated, Any, ClassVar, TypeAlias

import numpy as np
from pydantic import Field

from timeside_core import Analyzer, Array, Resampled, Source, Stream, Whole
from timeside_core.errors import ParameterError

HopLength: TypeAlias = Annotated[int, Field(ge=64, le=8192)]
"""Samples from frame to frame; bounded from below since all frames are held at once."""


class WholeSignal(Analyzer):
    """Collects the signal, up to a bound, and analyses it at its end. No signal, no rows."""

    runs_in: ClassVar[str] = "analyzer-librosa"

    source: Source = Resampled(samplerate=22050)
    """Signal that is analysed."""
    max_duration_s: Annotated[float, Field(gt=0, le=3600)] = 600.0
    """Longest signal accepted, s; a minute at 22050 Hz takes up to about 150 MB."""

    @property
    def input(self) -> Whole:
        """The whole signal."""
        return Whole(source=self.source, max_duration_s=self.max_duration_s)

    def start(self, stream: Stream) -> None:
        """Try one sample: what librosa refuses is known before the signal was decoded."""
        self.process(np.zeros(1, np.float32))

    def process(self, samples: Array) -> Any:
        """Analyse all samples; raises `ParameterError` in librosa's words."""
        from librosa.util.exceptions import ParameterError as Refused

        try:
            with np.errstate(all="ignore"):  # librosa casts arrays before it has filled them
                return self.measure(samples, self.stream.samplerate)
        except Refused as error:
            raise ParameterError(f"{self.label()}: {error}") from error

    @abstractmethod
    def measure(self, samples: Array, samplerate: int) -> Any:
        """Rows of the outputs for a signal of shape `(samples,)`, at least one sample."""


def padded(samples: Array, length: int) -> Array:
    """The signal with zeros after it, to at least `length` samples: librosa warns of signals shorter than a frame."""
    return samples if len(samples) >= length else np.pad(samples, (0, length - len(samples)))
