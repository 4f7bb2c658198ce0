"""`wav_encoder`: PCM in a RIFF WAVE file, or RF64 beyond 4 GiB."""

import struct
from typing import ClassVar, Literal

import numpy as np

from timeside_core import Array, Stream
from timeside_encoder.file import Codec, FileEncoder
from timeside_encoder.pcm import quantized
from timeside_encoder.sink import Sink

SampleFormat = Literal["s16", "s24", "f32"]

UNKNOWN = 0xFFFF_FFFF
"""A length that only the end tells, or that `ds64` tells."""
INFO = {
    "title": b"INAM",
    "artist": b"IART",
    "album": b"IPRD",
    "date": b"ICRD",
    "genre": b"IGNR",
    "comment": b"ICMT",
    "track": b"IPRT",
    "copyright": b"ICOP",
}
"""RIFF INFO chunks by tag."""
SPEAKERS = (0x4, 0x3, 0x7, 0x33, 0x37, 0x3F, 0x70F, 0x63F)
"""Loudspeakers of one channel, two, …: the layouts that FLAC fixes."""
GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")
"""What follows the format tag in a WAVE_FORMAT_EXTENSIBLE subformat."""


class WavEncoder(FileEncoder, id="wav_encoder", version="2.0"):
    """WAVE, uncompressed. The default, 32-bit float, is the signal itself; integers are rounded and clipped to ±1.

    Beyond 4 GiB the file is RF64 (EBU Tech 3306). In a stream the lengths are 0xFFFFFFFF, which readers take as
    "to the end". Tags are RIFF INFO chunks in UTF-8.
    """

    extension: ClassVar[str] = "wav"
    mime_type: ClassVar[str] = "audio/wav"
    max_channels: ClassVar[int] = 1024
    may_be_empty: ClassVar[bool] = True

    sample_format: SampleFormat = "f32"
    """How a sample is written: integer of 16 or 24 bits, or float of 32."""

    def open(self, stream: Stream, sink: Sink) -> Codec:
        """Write the header."""
        return _Wav(self, stream, sink)


class _Wav:
    def __init__(self, encoder: WavEncoder, stream: Stream, sink: Sink) -> None:
        self.bits = int(encoder.sample_format[1:])
        self.stream, self.tags, self.sink = stream, encoder.metadata, sink
        self.sample_size = stream.channels * self.bits // 8
        self.samples = 0
        sink.write(self.header(None))

    def encode(self, block: Array) -> None:
        self.samples += len(block)
        if self.bits == 32:
            self.sink.write(np.ascontiguousarray(block, "<f4").tobytes())
        elif self.bits == 16:
            self.sink.write(quantized(block, 16).astype("<i2", copy=False).tobytes())
        else:
            integers = quantized(block, 24).astype("<i4", copy=False)
            self.sink.write(integers.view(np.uint8).reshape(-1, 4)[:, :3].tobytes())

    def finish(self) -> None:
        if self.sink.seekable():
            self.sink.write(bytes(self.samples * self.sample_size % 2))
            self.sink.seek(0)
            self.sink.write(self.header(self.samples))

    def header(self, samples: int | None) -> bytes:
        """All that comes before the samples; as long for every count of them, None where it is unknown."""
        data_size = UNKNOWN if samples is None else samples * self.sample_size
        fact = UNKNOWN if samples is None else min(samples, UNKNOWN)
        chunks = self._format() + _chunk(b"fact", struct.pack("<I", fact)) + self._info()
        riff_size = 4 + len(_ds64(0, 0, 0)) + len(chunks) + 8 + data_size + data_size % 2
        long = samples is not None and riff_size > UNKNOWN
        lengths = _ds64(riff_size, data_size, samples or 0)
        return b"".join(
            [
                _head(b"RF64" if long else b"RIFF", UNKNOWN if long else riff_size),
                b"WAVE",
                lengths if long else _chunk(b"JUNK", bytes(len(lengths) - 8)),
                chunks,
                _head(b"data", UNKNOWN if long else data_size),
            ]
        )

    def _format(self) -> bytes:
        samplerate, channels = self.stream.samplerate, self.stream.channels
        tag = 3 if self.bits == 32 else 1  # IEEE float, PCM
        extensible = channels > 2 or self.bits == 24
        rate = min(samplerate * self.sample_size, UNKNOWN)
        common = struct.pack("<HIIHH", channels, samplerate, rate, self.sample_size, self.bits)
        if not extensible:
            return _chunk(b"fmt ", struct.pack("<H", tag) + common + (b"\0\0" if tag == 3 else b""))
        speakers = SPEAKERS[channels - 1] if channels <= len(SPEAKERS) else 0
        extension = struct.pack("<HHIH", 22, self.bits, speakers, tag) + GUID_TAIL
        return _chunk(b"fmt ", struct.pack("<H", 0xFFFE) + common + extension)

    def _info(self) -> bytes:
        entries = [_chunk(INFO[name], value.encode() + b"\0") for name, value in self.tags.items() if name in INFO]
        return _chunk(b"LIST", b"INFO" + b"".join(entries)) if entries else b""


def _head(id: bytes, size: int) -> bytes:
    return id + struct.pack("<I", min(size, UNKNOWN))


def _chunk(id: bytes, data: bytes) -> bytes:
    return _head(id, len(data)) + data + bytes(len(data) % 2)


def _ds64(riff_size: int, data_size: int, samples: int) -> bytes:
    return _chunk(b"ds64", struct.pack("<QQQI", riff_size, data_size, samples, 0))
