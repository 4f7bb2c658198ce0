"""`flac_encoder`: lossless."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from timeside_core import Stream
from timeside_core.errors import EncodingError
from timeside_encoder.ffmpeg import FFmpegCodec
from timeside_encoder.file import Codec, FileEncoder
from timeside_encoder.sink import Sink


class FlacEncoder(FileEncoder, id="flac_encoder", version="2.0"):
    """FLAC (RFC 9639), lossless for audio of up to `bit_depth` bits; floats are rounded and clipped to ±1.

    In a stream the header tells neither the length nor the MD5 of the signal.
    """

    extension: ClassVar[str] = "flac"
    mime_type: ClassVar[str] = "audio/flac"
    may_be_empty: ClassVar[bool] = True

    bit_depth: Literal[16, 24] = 24
    """Bits of a sample; audio that has only 16 takes no more room with 24."""
    compression_level: Annotated[int, Field(ge=0, le=12)] = 5
    """From 0, fastest, to 12, smallest."""

    def samplerate(self, given: int) -> int:
        """Itself; raises `EncodingError` for the few that a frame header cannot hold."""
        if given <= 65_535 or (given <= 655_350 and given % 10 == 0):
            return given
        raise EncodingError(f"{self.label()!r} has samplerates up to 65535 Hz and tens up to 655350 Hz, not {given}")

    def open(self, stream: Stream, sink: Sink) -> Codec:
        """Write the header."""
        return FFmpegCodec(
            stream,
            sink,
            container="flac",
            codec="flac",
            bits=self.bit_depth,
            options={"compression_level": str(self.compression_level)},
            tags=self.metadata,
        )
