"""What stands for decoders of the native library, and the sources that keep and replay blocks."""

import hashlib
import os
from collections.abc import Generator, Iterator
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import numpy as np

from timeside.core.api import IDecoder
from timeside.core.component import abstract, implements
from timeside.core.conversion import Conversion
from timeside.core.decoder import Decoder
from timeside.core.exceptions import SourceError
from timeside.core.feed import Cutter
from timeside.core.processor import BLOCKSIZE
from timeside.core.wrappers import Wrapped
from timeside_core.audio import Array, Stream
from timeside_core.engine import Engine, Wanted
from timeside_core.errors import MediaError
from timeside_core.pipeline import Source
from timeside_core.processor import Effect


class WrappedDecoder(Wrapped, Decoder):
    """A native decoder. It opens the media at once, and tells what is known of it.

    With `stack` the blocks of the first run are kept in the pipe, and following runs read those.
    """

    implements(IDecoder)
    abstract()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.stack, self.from_stack = bool(self._theirs.get("stack")), False
        self._sha1: str | None = self._theirs.get("sha1")
        with self._opened() as source:
            self.learn(source)
        self._give(source.stream, BLOCKSIZE)

    @property
    def sha1(self) -> str:
        """SHA-1 of the file, or of the array; computed when it is first asked for."""
        if self._sha1 is None:
            self._sha1 = _sha1_of(self.native, self.uri)
        return self._sha1

    def format(self) -> str:
        """Media type of what is decoded."""
        return self.media.mime_type

    def encoding(self) -> str:
        """Short name of the codec."""
        return self.media.codec

    def metadata(self) -> dict[str, str]:
        """Embedded tags by name."""
        return dict(self.media.tags)

    def open(self, *, channels: int | None, samplerate: int | None, blocksize: int) -> Source:
        """The media, or its blocks where they were kept."""
        kept = self.process_pipe.frames_stack
        source = Replay(self, kept) if self.from_stack else self._opened()
        after = _clock(self.conversion(source.stream, channels, samplerate), source.stream)
        self._give(after, blocksize)
        return Recording(self, source, kept, blocksize) if self.stack and not self.from_stack else source

    def conversion(self, stream: Stream, channels: int | None, samplerate: int | None) -> tuple[Effect, ...]:
        """What the pipe still has to do to the signal."""
        wanted = Conversion(
            samplerate=None if samplerate == stream.samplerate else samplerate,
            channels=None if channels == stream.channels else channels,
        )
        return () if wanted == Conversion() else (wanted,)

    def learn(self, source: Source) -> None:
        """Take what is known of the media."""
        self.media, self.segment = source.media, source.segment
        samples = self.segment.samples
        if samples is None and self.media.samples is not None:
            samples = self.media.samples - self.segment.first_sample
        self.uri, self.is_segment = self.media.uri, not self.segment.whole
        self.input_samplerate, self.input_channels = self.media.samplerate, self.media.channels
        self.input_totalframes, self.input_width = samples, self.media.bit_depth
        self.uri_start = self.segment.first_sample / self.media.samplerate
        self.uri_duration = None if samples is None else samples / self.media.samplerate

    def setup(
        self,
        channels: int | None = None,
        samplerate: int | None = None,
        blocksize: int | None = None,
        totalframes: int | None = None,
    ) -> None:
        """Begin anew to decode, block by block, by `process`."""
        with self._opened() as source:
            stream = source.stream
        effects = self.conversion(stream, channels, samplerate)
        self._give(_clock(effects, stream), blocksize or BLOCKSIZE)
        self._blocks = self._decoded(effects)

    def process(self, frames: Any = None, eod: bool = False) -> Any:
        """The next block, and whether it is the last."""
        return next(self._blocks)

    def release(self) -> None:
        """Close the media."""
        if hasattr(self, "_blocks"):
            self._blocks.close()

    def _key(self) -> tuple[Any, ...]:
        return (self.uuid(),)

    def _decoded(self, effects: tuple[Effect, ...]) -> Generator[tuple[Array, bool]]:
        cutter = Cutter(self.output_blocksize or BLOCKSIZE, self.output_channels or 1)
        with self._opened() as source:
            for block in _through(effects, source):
                for piece in cutter.push(block):
                    yield piece, False
        yield cutter.last(), True

    def _opened(self) -> Source:
        try:
            return self.native.open()
        except MediaError as error:
            raise SourceError(str(error)) from error

    def _give(self, stream: Stream, blocksize: int) -> None:
        self.output_channels, self.output_samplerate = stream.channels, stream.samplerate
        self.output_blocksize = blocksize


class Recording(Source):
    """A source whose blocks are kept."""

    def __init__(self, decoder: WrappedDecoder, source: Source, kept: list[tuple[Array, bool]], blocksize: int) -> None:
        self._decoder, self._source, self._kept = decoder, source, kept
        self._cutter = Cutter(blocksize, source.stream.channels)
        self.stream, self.media, self.segment = source.stream, source.media, source.segment

    def __iter__(self) -> Iterator[Array]:
        self._kept.clear()
        for block in self._source:
            self._kept += [(piece, False) for piece in self._cutter.push(block)]
            yield block
        self._kept.append((self._cutter.last(), True))
        self.media = self._source.media
        self._decoder.stack, self._decoder.from_stack = False, True

    def close(self) -> None:
        """Close the source."""
        self._source.close()


class Replay(Source):
    """Blocks that were kept."""

    def __init__(self, decoder: WrappedDecoder, kept: list[tuple[Array, bool]]) -> None:
        self._kept = kept
        self.media, self.segment = decoder.media, decoder.segment
        self.stream = Stream(samplerate=self.media.samplerate, channels=self.media.channels, start_s=decoder.uri_start)

    def __iter__(self) -> Iterator[Array]:
        return (frames for frames, _ in self._kept if len(frames))


def _clock(effects: tuple[Effect, ...], stream: Stream) -> Stream:
    return effects[-1].clock(stream) if effects else stream


def _through(effects: tuple[Effect, ...], source: Source) -> Iterator[Array]:
    """Blocks of a source after effects."""
    if not effects:
        yield from source
        return
    with Engine([Wanted(effects[-1], effects[:-1])], source.stream) as engine:
        for block in source:
            yield from (each.payload for each in engine.push(block))
        yield from (each.payload for each in engine.finish())


def _sha1_of(decoder: Any, uri: str) -> str:
    """SHA-1, hexadecimal, of an array or of a local file; empty for other media."""
    samples = getattr(decoder, "samples", None)
    if samples is not None:
        return hashlib.sha1(np.ascontiguousarray(samples).tobytes(), usedforsecurity=False).hexdigest()
    path = url2pathname(urlsplit(uri).path) if uri.startswith("file:") else uri
    if not os.path.isfile(path):
        return ""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha1").hexdigest()
