"""`mp3_encoder`: MPEG-1 and 2 layer III, by LAME."""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from timeside_core import Array, Stream
from timeside_encoder.file import Codec, FileEncoder
from timeside_encoder.id3 import id3
from timeside_encoder.mpeg import LAME_ALGORITHM, Frames
from timeside_encoder.pcm import quantized
from timeside_encoder.sink import Sink


class Mp3Encoder(FileEncoder, id="mp3_encoder", version="2.0"):
    """MP3 by LAME from 16-bit samples (clipped to ±1), with ID3v2.4 tags in UTF-8.

    A file's Info frame tells readers the exact signal. A stream cannot: readers give 1105 samples before it and up to
    three frames of padding after it.
    """

    extension: ClassVar[str] = "mp3"
    mime_type: ClassVar[str] = "audio/mpeg"
    max_channels: ClassVar[int] = 2
    samplerates: ClassVar[tuple[int, ...]] = (8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)

    quality: Annotated[int, Field(ge=0, le=9)] = 2
    """Of the variable bitrate: from 0, best (about 245 kb/s), over 2 (190 kb/s) to 9, smallest (65 kb/s)."""
    bitrate_kbps: Annotated[int, Field(ge=8, le=320)] | None = None
    """Constant bitrate instead, kb/s: the nearest that MP3 has at the samplerate."""

    def open(self, stream: Stream, sink: Sink) -> Codec:
        """Open LAME."""
        return _Mp3(self, stream, sink)


class _Mp3:
    """LAME's frames after a tag with room for an Info frame, which only the end can fill."""

    def __init__(self, encoder: Mp3Encoder, stream: Stream, sink: Sink) -> None:
        self.sink, self.lame, self.frames = sink, _lame(encoder, stream), Frames()
        self.tags, self.samples = encoder.metadata, 0
        self.quality = encoder.quality if encoder.bitrate_kbps is None else None

    def encode(self, block: Array) -> None:
        self.samples += len(block)
        self._write(bytes(self.lame.encode(quantized(block, 16))))

    def finish(self) -> None:
        self._write(bytes(self.lame.flush()))
        if self.sink.seekable():
            self.sink.seek(0)
            self.sink.write(id3(self.tags) + self.frames.info(samples=self.samples, quality=self.quality))

    def _write(self, data: bytes) -> None:
        began = self.frames.count > 0
        self.frames.add(data)
        if self.frames.count and not began:
            self.sink.write(id3(self.tags, padding=self.frames.info_size))
        self.sink.write(data)


def _lame(encoder: Mp3Encoder, stream: Stream) -> Any:
    import lameenc as untyped

    lameenc: Any = untyped
    lame = lameenc.Encoder()
    lame.silence()
    lame.set_channels(stream.channels)
    lame.set_in_sample_rate(stream.samplerate)
    lame.set_out_sample_rate(stream.samplerate)
    lame.set_quality(LAME_ALGORITHM)
    if encoder.bitrate_kbps is None:
        lame.set_vbr(lameenc.VBR_MTRH)
        lame.set_vbr_quality(encoder.quality)
    else:
        lame.set_bit_rate(encoder.bitrate_kbps)
    return lame
