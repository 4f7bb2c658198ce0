"""`aubio_pitch`: fundamental frequency of a monophonic signal."""

from dataclasses import replace
from importlib import import_module
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from timeside_analyzer.aubio_sizes import PowerOfTwo
from timeside_core import Analyzer, Array, Frames, Framewise, Stream
from timeside_core.inputs import FrameLength


class AubioPitch(Analyzer, id="aubio_pitch", version="1.0"):
    """Fundamental frequency by aubio [1]_, shape `(rows,)`, Hz, and how sure it is, both float32.

    `pitch` is 0 where there is none: where the newest hop of the frame is silent, and where what aubio finds is not a
    number or not below the Nyquist frequency. `pitch_confidence` lies in 0 … 1; with the methods of YIN it is 1 less
    the normalised difference at the period (`yinfft` says so of high pitches only); the other methods give none: 0.

    A frame ends with its hop, rows are at its centre. The lowest pitch that YIN sees is 2 · samplerate / frame_length
    (43 Hz at 44.1 kHz); below, and in a mix of several pitches, values mean nothing.

    - `yinfast`: YIN [2]_, its difference function by way of the transform; exact on harmonic tones.
    - `yin`: the same without the transform, twenty times slower.
    - `yinfft`: YIN of the spectrum [1]_, aubio's and TimeSide 1's default; faster, and sharp on low tones
      (+24 cents at 110 Hz, 2048 samples at 44.1 kHz).
    - `mcomb`, `fcomb`, `schmitt`: comb filters of the spectrum's peaks, Schmitt trigger [1]_.

    References
    ----------
    .. [1] P. Brossier, "Automatic annotation of musical audio for interactive applications", PhD thesis, Queen Mary
       University of London, 2006.
    .. [2] A. de Cheveigné, H. Kawahara, "YIN, a fundamental frequency estimator for speech and music", Journal of the
       Acoustical Society of America 111 (4), 2002.
    """

    method: Literal["yinfast", "yin", "yinfft", "mcomb", "fcomb", "schmitt"] = "yinfast"
    """How the pitch is found."""
    frame_length: PowerOfTwo = 2048
    """Samples in a frame."""
    hop_length: FrameLength = 1024
    """Samples from frame to frame, at most a frame."""
    tolerance: Annotated[float, Field(gt=0, le=1)] | None = None
    """Normalised difference below which YIN takes the first minimum; aubio's (0.15; `yinfft` 0.85) if not given."""
    silence_db: Annotated[float, Field(ge=-200, le=0)] = -50.0
    """Level of a hop below which there is no pitch, dB re full scale."""
    outputs = {
        "pitch": Framewise(unit="Hz", description="fundamental frequency, 0 where there is none"),
        "pitch_confidence": Framewise(description="confidence of the pitch, 0 to 1"),
    }

    @model_validator(mode="after")
    def _hops_fit(self) -> Self:
        if self.hop_length > self.frame_length:
            raise ValueError(f"hop_length={self.hop_length} is longer than frame_length={self.frame_length}")
        return self

    @property
    def input(self) -> Frames:
        """Hops that follow each other: aubio keeps the rest of a frame by itself."""
        return Frames(frame_length=self.hop_length, hop_length=self.hop_length, align="end")

    def clock(self, stream: Stream) -> Stream:
        """Centres of the frames that end with the hops."""
        later_s = (self.hop_length - self.frame_length) / 2 / stream.samplerate
        return replace(stream, frame_length=self.frame_length, start_s=stream.start_s + later_s)

    def start(self, stream: Stream) -> None:
        """Make aubio's detector."""
        aubio = import_module("aubio")
        self.detector: Any = aubio.pitch(self.method, self.frame_length, self.hop_length, stream.samplerate)
        self.detector.set_silence(self.silence_db)
        if self.tolerance is not None:
            self.detector.set_tolerance(self.tolerance)

    def process(self, hops: Array) -> dict[str, Array]:
        """Detect hop by hop."""
        detect, confidence = self.detector, self.detector.get_confidence
        found = np.array([(detect(hop)[0], confidence()) for hop in np.ascontiguousarray(hops)], np.float32)
        pitch, sure = np.nan_to_num(found, posinf=0, neginf=0).T
        heard = (pitch > 0) & (pitch < self.stream.samplerate / 2)
        return {"pitch": np.where(heard, pitch, 0), "pitch_confidence": np.clip(sure, 0, 1)}
