"""`Decoder`: what all decoders share, and what a decoder that is a plug-in needs to be run."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from timeside.core.api import IDecoder
from timeside.core.component import abstract, implements
from timeside.core.feed import call
from timeside.core.processor import Processor
from timeside_core.audio import Array, Media, Segment, Stream
from timeside_core.pipeline import Source
from timeside_core.processor import Effect


class Decoder(Processor):
    """The first of a pipe.

    One that is a plug-in sets in `setup` the form of what it gives (`output_channels`, `output_samplerate` in Hz,
    `output_blocksize`) and what it knows of the media (`input_samplerate`, `input_totalframes`, `uri`), as far as they
    are given to it; `process()` returns the next `(frames, eod)`.
    """

    implements(IDecoder)
    abstract()

    type = "decoder"

    mimetype: str = ""
    uri: str = ""
    output_channels: int | None = None
    output_samplerate: int | None = None
    output_blocksize: int | None = None
    input_totalframes: int | None = None
    input_width: int | None = None

    def __init__(self, start: float = 0, duration: float | None = None) -> None:
        self.uri_start = float(start)
        self.uri_duration = duration if duration is None else float(duration)
        self.is_segment = start != 0 or duration is not None

    @property
    def sha1(self) -> str:
        """SHA-1 of the media, hexadecimal; empty where it is not known."""
        return ""

    def channels(self) -> int | None:
        """Channels of what comes out."""
        return self.output_channels

    def samplerate(self) -> int | None:
        """Samplerate of what comes out, Hz."""
        return self.output_samplerate

    def blocksize(self) -> int | None:
        """Samples in a block of what comes out."""
        return self.output_blocksize

    def totalframes(self) -> int | None:
        """Samples of what is decoded; None where the media does not tell."""
        return self.input_totalframes

    def mediainfo(self) -> dict[str, Any]:
        """The media: uri, start and duration (s), is_segment, samplerate (Hz), sha1."""
        return {
            "uri": self.uri,
            "duration": self.uri_duration,
            "start": self.uri_start,
            "is_segment": self.is_segment,
            "samplerate": self.input_samplerate,
            "sha1": self.sha1,
        }

    def format(self) -> str:
        """Media type of what is decoded."""
        return self.mimetype

    def mime_type(self) -> str:
        """Media type of what is decoded."""
        return self.format()

    def encoding(self) -> str:
        """Short name of the codec."""
        return self.format().split("/")[-1]

    def resolution(self) -> int | None:
        """Bits of a sample, None where the codec has no such notion."""
        return self.input_width

    def metadata(self) -> dict[str, str]:
        """Embedded tags by name."""
        return {}

    def open(self, *, channels: int | None, samplerate: int | None, blocksize: int) -> Source:
        """What the pipe reads."""
        call(self, "setup", channels=channels, samplerate=samplerate, blocksize=blocksize)
        return PluginSource(self)

    def conversion(self, stream: Stream, channels: int | None, samplerate: int | None) -> tuple[Effect, ...]:
        """What the pipe still has to do to the signal; a plug-in has done it."""
        return ()

    def learn(self, source: Source) -> None:
        """Take what is known of the media once it was read."""

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)


class PluginSource(Source):
    """Blocks of a decoder that is a plug-in."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        samplerate, channels = decoder.samplerate() or 0, decoder.channels() or 0
        self.stream = Stream(samplerate=samplerate, channels=channels, start_s=decoder.uri_start)
        samples = decoder.totalframes()
        first = round(decoder.uri_start * samplerate)
        self.segment = Segment(first, samples) if decoder.is_segment else Segment()
        self.media = Media(
            uri=decoder.uri,
            samplerate=samplerate,
            channels=channels,
            samples=None if decoder.is_segment else samples,
            mime_type=decoder.mime_type(),
        )

    def __iter__(self) -> Iterator[Array]:
        eod = False
        while not eod:
            frames, eod = call(self._decoder, "process")
            block = np.asarray(frames, np.float32).reshape(-1, self.stream.channels)
            if len(block):
                yield block

    def close(self) -> None:
        """Release the decoder."""
        call(self._decoder, "release")
