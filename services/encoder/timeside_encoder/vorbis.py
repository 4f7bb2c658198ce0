"""`vorbis_encoder`: Vorbis in Ogg."""

import zlib
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, cast

from pydantic import Field

from timeside_core import Array, Stream
from timeside_encoder.file import Codec, FileEncoder
from timeside_encoder.sink import Sink

ORDERS = {
    3: [0, 2, 1],
    5: [0, 2, 1, 3, 4],
    6: [0, 2, 1, 4, 5, 3],
    7: [0, 2, 1, 5, 6, 4, 3],
    8: [0, 2, 1, 6, 7, 4, 5, 3],
}
"""Vorbis' order of channels in that of WAVE files (Vorbis I, 4.3.9)."""
FIELDS = {
    "title": "title",
    "artist": "artist",
    "album": "album",
    "date": "date",
    "genre": "genre",
    "comment": "comment",
    "track": "tracknumber",
    "copyright": "copyright",
}
"""libsndfile's names by tag."""


class VorbisEncoder(FileEncoder, id="vorbis_encoder", version="2.0"):
    """Vorbis I in Ogg, at a variable bitrate; the last page tells readers the exact length, also in a stream.

    FFmpeg, as a reader, does not trim signals so short (about 0.1 s) that they fit in one page.
    """

    extension: ClassVar[str] = "ogg"
    mime_type: ClassVar[str] = "audio/ogg"

    quality: Annotated[float, Field(ge=0, le=1)] = 0.6
    """From 0 (about 64 kb/s for 44.1 kHz stereo) over 0.6 (192 kb/s) to 1 (500 kb/s)."""

    def samplerate(self, given: int) -> int:
        """Itself, up to 192 kHz."""
        return min(given, 192_000)

    def open(self, stream: Stream, sink: Sink) -> Codec:
        """Open libsndfile's Vorbis."""
        return _Vorbis(stream, sink, quality=self.quality, tags=self.metadata)


class _Vorbis:
    def __init__(self, stream: Stream, sink: Sink, *, quality: float, tags: Mapping[str, str]) -> None:
        import soundfile

        self.sink, self.pages = sink, Sink(rewritable=False)
        self.order = ORDERS.get(stream.channels)
        self.file = soundfile.SoundFile(
            cast("Any", self.pages),
            "w",
            stream.samplerate,
            stream.channels,
            "VORBIS",
            format="OGG",
            compression_level=1 - quality,
        )
        for name, value in tags.items():
            if name in FIELDS:
                setattr(self.file, FIELDS[name], value)

    def encode(self, block: Array) -> None:
        self.file.write(block if self.order is None else block[:, self.order])
        self._pass_on()

    def finish(self) -> None:
        self.file.close()
        self._pass_on()

    def _pass_on(self) -> None:
        self.sink.write(with_serial(self.pages.take(), 0))


def with_serial(pages: bytes, serial: int) -> bytes:
    """Whole Ogg pages (RFC 3533) with another serial number: libsndfile draws a random one."""
    out = bytearray(pages)
    start = 0
    while start < len(out):
        segments = out[start + 26]
        end = start + 27 + segments + sum(out[start + 27 : start + 27 + segments])
        out[start + 14 : start + 18] = serial.to_bytes(4, "little")
        out[start + 22 : start + 26] = bytes(4)
        out[start + 22 : start + 26] = _checksum(out[start:end])
        start = end
    return bytes(out)


BITS_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def _checksum(page: bytes | bytearray) -> bytes:
    """Ogg's CRC: zlib's polynomial, but bits in the other order, and neither begun nor ended with ones."""
    ones = 0xFFFF_FFFF
    reflected = zlib.crc32(page.translate(BITS_REVERSED), ones) ^ ones
    return reflected.to_bytes(4, "big").translate(BITS_REVERSED)
