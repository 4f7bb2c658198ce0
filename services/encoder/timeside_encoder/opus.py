"""`opus_encoder`: Opus in Ogg."""

from typing import Annotated, ClassVar

from pydantic import Field

from timeside_core import Stream
from timeside_core.errors import EncodingError
from timeside_encoder.ffmpeg import FFmpegCodec
from timeside_encoder.file import Codec, FileEncoder
from timeside_encoder.sink import Sink


class OpusFile(FileEncoder):
    """Opus (RFC 6716) at a variable bitrate, whatever the container.

    Opus has samplerates of 8, 12, 16, 24 and 48 kHz; others are resampled. Decoders give 48 kHz.
    """

    samplerates: ClassVar[tuple[int, ...]] = (8000, 12_000, 16_000, 24_000, 48_000)
    container: ClassVar[str]
    container_options: ClassVar[dict[str, str]] = {}

    bitrate_kbps: Annotated[int, Field(ge=6, le=510)] = 128
    """Mean bitrate of all channels together, kb/s; up to 256 a channel."""
    complexity: Annotated[int, Field(ge=0, le=10)] = 10
    """From 0, fastest, to 10, best."""

    def open(self, stream: Stream, sink: Sink) -> Codec:
        """Write the headers."""
        if self.bitrate_kbps > 256 * stream.channels:
            raise EncodingError(f"{self.label()!r}: bitrate_kbps={self.bitrate_kbps} is more than 256 a channel")
        return FFmpegCodec(
            stream,
            sink,
            container=self.container,
            codec="libopus",
            bitrate_kbps=self.bitrate_kbps,
            options={"vbr": "on", "application": "audio", "compression_level": str(self.complexity)},
            container_options=self.container_options,
            tags=self.metadata,
        )


class OpusEncoder(OpusFile, id="opus_encoder", version="2.0"):
    """Opus in Ogg (RFC 7845); pre-skip and end tell readers the exact signal, also in a stream."""

    extension: ClassVar[str] = "opus"
    mime_type: ClassVar[str] = "audio/ogg"
    container: ClassVar[str] = "ogg"
