"""What all encoders share: the output, chunks while encoding, channels and samplerates, whole blocks."""

from abc import abstractmethod
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from pydantic import Field

from timeside_core import Array, Encoder, Stream
from timeside_core.engine import BLOCK_SAMPLES
from timeside_core.errors import EncodingError
from timeside_encoder.sink import OutputFile, Sink
from timeside_encoder.tags import Metadata, Tags


class Codec(Protocol):
    """Writes encoded audio into the sink that it was opened with."""

    def encode(self, block: Array) -> None:
        """Take the next block, shape `(samples, channels)`, float32; all but the last are `BLOCK_SAMPLES` long."""
        ...

    def finish(self) -> None:
        """Write what was held back, and lengths into headers where the sink allows it."""
        ...


class FileEncoder(Encoder):
    """Encodes to a file, to chunks of bytes, or to both.

    With an `output`, the file appears when it is whole: it is written beside its place and moved there by `finish`;
    a failure or a cancel leaves nothing, and a file that was there untouched. Without one, or with `streaming`,
    `process` and `finish` return the bytes as they are encoded, as a player can read them from a pipe; lengths that
    only the end tells are unknown in them. Equal samples and parameters give equal bytes, whatever the blocks.
    """

    max_channels: ClassVar[int] = 8
    """More are an error; the order of three and more is that of WAVE files."""
    samplerates: ClassVar[tuple[int, ...]] = ()
    """Samplerates that the format has, rising, Hz; others are resampled. None: see `samplerate`."""
    may_be_empty: ClassVar[bool] = False
    """Whether a file may hold no samples; an error where not."""

    output: Path | None = Field(default=None, exclude=True, kw_only=False)
    """File to write; none to return chunks."""
    overwrite: bool = Field(default=False, exclude=True)
    """Whether a file that exists is replaced."""
    streaming: bool = Field(default=False, exclude=True)
    """Whether chunks are returned also where there is an output."""
    metadata: Metadata = Tags()
    """Tags by name: `{"title": …, "artist": …}`; every format holds title, artist, album, date, genre, comment, track
    and copyright, some hold others."""

    @abstractmethod
    def open(self, stream: Stream, sink: Sink) -> Codec:
        """The codec, opened for a stream of that samplerate and so many channels."""

    def samplerate(self, given: int) -> int:
        """Samplerate of the file for a signal of that one: itself, else the next above, else the highest there is."""
        if not self.samplerates:
            return given
        return next((each for each in self.samplerates if each >= given), self.samplerates[-1])

    @property
    def returns_chunks(self) -> bool:
        """Whether chunks are returned."""
        return self.streaming or self.output is None

    def start(self, stream: Stream) -> None:
        """Open codec and output; raises `EncodingError` where the format or the place does not allow it."""
        self._file: OutputFile | None = None
        if stream.channels > self.max_channels:
            raise EncodingError(f"{self.label()!r} has up to {self.max_channels} channels, not {stream.channels}")
        samplerate = self.samplerate(stream.samplerate)
        self._resampler = _resampler(stream, samplerate)
        self._sink = Sink(rewritable=self.output is not None)
        self._codec = self.open(replace(stream, samplerate=samplerate), self._sink)
        self._block = np.empty((BLOCK_SAMPLES, stream.channels), np.float32)
        self._filled = self._samples = 0
        if self.output is not None:
            self._file = OutputFile(self.output, overwrite=self.overwrite)

    def process(self, block: Array) -> bytes | None:
        """Encode; return the chunk that is ready, where chunks are wanted."""
        if not np.isfinite(block).all():
            raise EncodingError(f"{self.label()!r} cannot encode NaN or infinite samples")
        self._feed(block if self._resampler is None else self._resampler.resample_chunk(block))
        return self._hand_over()

    def finish(self) -> bytes | None:
        """Encode what was held back; the file appears; return the last chunk, where chunks are wanted."""
        if self._resampler is not None:
            self._feed(self._resampler.resample_chunk(self._block[:0], last=True))
        if not self._samples and not self.may_be_empty:
            raise EncodingError(f"{self.label()!r} needs at least one sample: the signal is empty")
        if self._filled:
            self._codec.encode(self._block[: self._filled])
        self._codec.finish()
        chunk = self._hand_over()
        if self._file is not None:
            self._file.commit(self._sink.rewrites)
        return chunk

    def close(self) -> None:
        """Discard a file that was not finished."""
        if self._file is not None:
            self._file.discard()

    def _feed(self, samples: Array) -> None:
        """Cut into whole blocks, so that the bytes do not depend on how the signal was cut."""
        self._samples += len(samples)
        while len(samples):
            if not self._filled and len(samples) >= BLOCK_SAMPLES:
                self._codec.encode(samples[:BLOCK_SAMPLES])
                samples = samples[BLOCK_SAMPLES:]
                continue
            piece = samples[: BLOCK_SAMPLES - self._filled]
            self._block[self._filled : self._filled + len(piece)] = piece
            self._filled += len(piece)
            samples = samples[len(piece) :]
            if self._filled == BLOCK_SAMPLES:
                self._codec.encode(self._block)
                self._filled = 0

    def _hand_over(self) -> bytes | None:
        chunk = self._sink.take()
        if self._file is not None and chunk:
            self._file.write(chunk)
        return chunk if chunk and self.returns_chunks else None


def _resampler(stream: Stream, samplerate: int) -> Any:
    if samplerate == stream.samplerate:
        return None
    import soxr

    return soxr.ResampleStream(stream.samplerate, samplerate, stream.channels, dtype="float32", quality="HQ")
