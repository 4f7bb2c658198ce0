"""`array_decoder`: audio that is already in memory."""

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from pydantic import Field

from timeside_core import Array, Decoder, Media, Stream
from timeside_core.errors import MediaError
from timeside_core.inputs import Samplerate
from timeside_core.pipeline import Source
from timeside_decoder.reader import BLOCK_SAMPLES
from timeside_decoder.segment import check_inside, segment_of


class ArrayDecoder(Decoder, id="array_decoder", version="1.0"):
    """Decodes a numpy array, shape `(samples,)` or `(samples, channels)`; integers are scaled to ±1."""

    samples: Any = Field(kw_only=False, exclude=True, repr=False)
    """The audio."""
    samplerate: Samplerate = Field(default=44100, kw_only=False)
    """Samples per second, Hz."""

    def open(self) -> Source:
        """Check the array and the segment."""
        return _ArraySource(self)

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)


class _ArraySource(Source):
    def __init__(self, decoder: ArrayDecoder) -> None:
        self.audio = audio = _float_blocks(decoder.samples)
        samples, channels = audio.shape
        self.segment = segment_of(decoder, decoder.samplerate)
        check_inside(decoder, "the array", decoder.samplerate, samples)
        start_s = self.segment.first_sample / decoder.samplerate
        self.stream = Stream(samplerate=decoder.samplerate, channels=channels, start_s=start_s)
        self.media = Media(
            uri=f"array:{samples}x{channels}",
            samplerate=decoder.samplerate,
            channels=channels,
            samples=samples,
            sha256=_sha256(audio, decoder.samplerate),
            size=audio.nbytes,
            codec="pcm_f32le",
        )

    def __iter__(self) -> Iterator[Array]:
        first, length = self.segment.first_sample, self.segment.samples
        stop = len(self.audio) if length is None else first + length
        for start in range(first, stop, BLOCK_SAMPLES):
            yield self.audio[start : min(start + BLOCK_SAMPLES, stop)].copy()


def _sha256(audio: Array, samplerate: int) -> str:
    """SHA-256 of the form and the samples, as a file has both in its bytes."""
    return hashlib.sha256(f"{samplerate} {audio.shape} ".encode() + audio.tobytes()).hexdigest()


def _float_blocks(samples: Any) -> Array:
    audio = np.asarray(samples)
    if audio.ndim == 1:
        audio = audio[:, np.newaxis]
    if audio.ndim != 2 or not audio.shape[1]:
        raise MediaError(f"an array of shape {audio.shape} is not audio: (samples,) or (samples, channels) is")
    if audio.dtype.kind not in "if":
        raise MediaError(f"an array of {audio.dtype} is not audio: signed integers and floats are")
    if audio.dtype.kind == "i":
        return (audio / -float(np.iinfo(audio.dtype).min)).astype(np.float32)
    if not np.isfinite(audio).all():
        raise MediaError("an array with NaN or infinite samples is not audio")
    return np.ascontiguousarray(audio, dtype=np.float32)
