"""`aac_encoder`: AAC in MPEG-4."""

from typing import Annotated, ClassVar

from pydantic import Field

from timeside_core import Stream
from timeside_encoder.ffmpeg import FFmpegCodec
from timeside_encoder.file import Codec, FileEncoder
from timeside_encoder.sink import Sink


class AacEncoder(FileEncoder, id="aac_encoder", version="2.0"):
    """AAC-LC in an MPEG-4 audio file.

    The edit list tells the exact signal: readers that ignore where it ends (FFmpeg before 9) leave up to 1023 samples
    of padding. With chunks the file is fragmented, and its edit list tells where the signal starts, not where it ends.
    """

    extension: ClassVar[str] = "m4a"
    mime_type: ClassVar[str] = "audio/mp4"
    samplerates: ClassVar[tuple[int, ...]] = (
        7350, 8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 64_000, 88_200, 96_000,
    )  # fmt: skip

    bitrate_kbps: Annotated[int, Field(ge=8, le=1024)] = 128
    """Mean bitrate of all channels together, kb/s; what AAC cannot use, about 6 bits a sample, is not used."""

    def open(self, stream: Stream, sink: Sink) -> Codec:
        """Open the container; its first bytes come with the first fragment, or with the end."""
        options = {"movie_timescale": str(stream.samplerate)}  # the unit of the edit list; milliseconds otherwise
        if self.returns_chunks:
            options |= {"movflags": "+delay_moov+default_base_moof", "frag_duration": "1000000"}
        return FFmpegCodec(
            stream,
            sink,
            container="ipod",
            codec="aac",
            bitrate_kbps=self.bitrate_kbps,
            container_options=options,
            tags=self.metadata,
        )
