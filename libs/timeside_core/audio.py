"""Blocks of audio, the clock that travels with them, and the media they came from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
"""A numpy array; docstrings give its shape, unit and range."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """The clock of a stream of rows: what a row is and when it happens.

    For a stream of samples a row is one sample. For frames, spectra and framewise results a row
    covers `frame_length` samples and follows the last one by `hop_length` samples.
    """

    samplerate: int
    """Samples per second, Hz."""
    channels: int = 1
    """Channels of a block; 1 once mixed to mono."""
    hop_length: int = 1
    """Samples from one row to the next."""
    frame_length: int = 1
    """Samples that one row covers."""
    start_s: float = 0.0
    """Time of the first row: the centre of its samples, in seconds of the media."""

    @property
    def row_rate(self) -> float:
        """Rows per second, Hz."""
        return self.samplerate / self.hop_length

    def times(self, first_row: int, rows: int) -> Array:
        """Centres of `rows` rows from `first_row` on, shape `(rows,)`, seconds, float64."""
        return self.start_s + np.arange(first_row, first_row + rows) * (self.hop_length / self.samplerate)


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """What is known of the bytes a decoder reads."""

    uri: str
    """Where the bytes came from, as the user named it."""
    samplerate: int
    channels: int
    samples: int | None = None
    """Length in samples; None while it is unknown (a live source, a header that does not tell)."""
    sha256: str | None = None
    """SHA-256 of the bytes, hexadecimal; None until all of them were read."""
    size: int | None = None
    """Length in bytes."""
    container: str = ""
    """Short name of the container, as FFmpeg spells it (`wav`, `flac`, `ogg`, `mov`)."""
    codec: str = ""
    """Short name of the audio codec, as FFmpeg spells it (`pcm_s16le`, `mp3`, `opus`)."""
    bit_depth: int | None = None
    """Bits of an integer sample, None where the codec has no such notion."""
    mime_type: str = ""
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    """Embedded tags by lower-case name: `title`, `artist`, `album`, `date`, `genre`, `comment`, …"""

    @property
    def duration_s(self) -> float | None:
        """Length in seconds, None while it is unknown."""
        return None if self.samples is None else self.samples / self.samplerate


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a media, in samples of its own samplerate."""

    first_sample: int = 0
    samples: int | None = None
    """Length in samples; None means to the end."""

    @property
    def whole(self) -> bool:
        """Whether the segment is all of the media."""
        return self.first_sample == 0 and self.samples is None
