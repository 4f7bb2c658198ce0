"""`librosa_pyin`: fundamental frequency by probabilistic YIN."""

from dataclasses import replace
from typing import Annotated

import numpy as np
from pydantic import Field

from timeside_analyzer.librosa_pool import HopLength, WholeSignal
from timeside_core import Array, Framewise, Stream
from timeside_core.errors import ParameterError


class LibrosaPYIN(WholeSignal, id="librosa_pyin", version="1.0"):
    """Fundamental frequency of one voice: candidates of YIN, decoded with a hidden Markov model by `librosa.pyin`.

    `f0` (Hz) is 0 in unvoiced frames, which `voiced` tells apart, `voiced_probability` (0 to 1) is the probability that
    a frame is voiced; all of shape `(frames,)`, frame n centred on sample n · hop_length. Raises `ParameterError` where
    two periods of fmin do not fit into the frame or fmax lies beyond the Nyquist frequency. Mauch, Dixon, *pYIN: a
    fundamental frequency estimator using probabilistic threshold distributions*, ICASSP 2014.
    """

    fmin: Annotated[float, Field(gt=0, le=20_000)] = 65.4
    """Lowest frequency searched, Hz (C2)."""
    fmax: Annotated[float, Field(gt=0, le=20_000)] = 2093.0
    """Highest frequency searched, Hz (C7)."""
    frame_length: Annotated[int, Field(ge=256, le=16_384)] = 2048
    """Samples in a frame; two periods of fmin must fit."""
    hop_length: HopLength = 512
    """Samples from frame to frame."""

    outputs = {
        "f0": Framewise(unit="Hz", description="fundamental frequency; 0 where unvoiced"),
        "voiced": Framewise(labels=("unvoiced", "voiced")),
        "voiced_probability": Framewise(description="probability that the frame is voiced"),
    }

    def clock(self, stream: Stream) -> Stream:
        """Centres of the frames."""
        return replace(stream, hop_length=self.hop_length, frame_length=self.frame_length)

    def start(self, stream: Stream) -> None:
        """Refuse a frame that is too short, of which librosa only warns."""
        if stream.samplerate / self.fmin >= self.frame_length // 2:
            raise ParameterError(
                f"{self.label()}: two periods of fmin={self.fmin:g} Hz at {stream.samplerate} Hz do not fit into "
                f"frame_length={self.frame_length}"
            )
        super().start(stream)

    def measure(self, samples: Array, samplerate: int) -> dict[str, Array]:
        """All frames."""
        import librosa

        f0, voiced, probability = librosa.pyin(
            samples,
            fmin=self.fmin,
            fmax=self.fmax,
            sr=samplerate,
            frame_length=self.frame_length,
            hop_length=self.hop_length,
            fill_na=0.0,
        )
        return {
            "f0": f0.astype(np.float32),
            "voiced": voiced.astype(np.int32),
            "voiced_probability": probability.astype(np.float32),
        }
