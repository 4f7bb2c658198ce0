"""The chain of frames of an MPEG audio file (MP3, MP2, MP1): how long it is, and whether it is whole.

Every frame's header tells the frame's length in bytes, hence where the next header is (ISO/IEC 11172-3, 13818-3).
"""

from dataclasses import dataclass
from functools import cache
from typing import BinaryIO

from timeside_decoder.local import LocalFile

_KBPS = {
    (1, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}  # by version (2 stands for 2 and 2.5) and layer; layer III of version 2 has the rates of layer II
_HZ = (44100, 48000, 32000)
_VERSION_DIVISOR = {3: 1, 2: 2, 0: 4}  # MPEG-1, MPEG-2, MPEG-2.5, by the two bits of the header
_STREAM_MASK = 0xFFFE_0C00
"""Bits of a header that all frames of a file share: synchronisation, version, layer, samplerate."""
_TRAILERS = (b"TAG", b"APETAGEX", b"LYRICSBEGIN", b"ID3")
_READ_BYTES = 1 << 18


@dataclass(frozen=True, slots=True)
class Chain:
    """What walking the frames told."""

    samples: int
    """Samples of all frames, encoder delay and padding included."""
    whole: bool
    """Whether the frames follow each other without a gap to the end, as many as the header tells."""
    is_cut: bool
    """Whether the file ends in the middle of a frame."""
    announced_frames: int | None
    """Frames by the Xing or Info header; None where there is none."""


def is_header(head: bytes) -> bool:
    """Whether bytes begin with the header of a frame."""
    return _frame(int.from_bytes(head[:4], "big") & _FRAME_MASK) is not None


def walk(file: LocalFile) -> Chain:
    """Follow the frames from the first to the end of the file."""
    information = announced_frames(file.head)
    with open(file.path, "rb", buffering=_READ_BYTES) as source:
        frames, samples, end = _follow(source, file.offset)
        source.seek(end)
        rest = source.read(_READ_BYTES)
    if information is not None:
        frames -= 1
    complete = end == file.size or (end < file.size and (rest.startswith(_TRAILERS) or not any(rest)))
    return Chain(samples, complete and information in (None, frames), end > file.size, information)


def _follow(source: BinaryIO, position: int) -> tuple[int, int, int]:
    """Count of frames, of their samples, and the position after the last."""
    source.seek(position)
    header = int.from_bytes(source.read(4), "big")
    stream = header & _STREAM_MASK
    frames = samples = 0
    while header & _STREAM_MASK == stream and (frame := _frame(header & _FRAME_MASK)) is not None:
        frames += 1
        samples += frame[1]
        position += frame[0]
        source.seek(position)
        header = int.from_bytes(source.read(4), "big")
    return frames, samples, position


_FRAME_MASK = 0xFFFE_FE00
"""Bits of a header that a frame's length depends on."""


@cache
def _frame(header: int) -> tuple[int, int] | None:
    """Bytes and samples of a frame; None where it is no header, or one of the free format."""
    version, layer = header >> 19 & 3, 4 - (header >> 17 & 3)
    kbps_index, hz_index, padding = header >> 12 & 15, header >> 10 & 3, header >> 9 & 1
    if header >> 21 != 0x7FF or version == 1 or layer == 4 or kbps_index in (0, 15) or hz_index == 3:
        return None
    divisor = _VERSION_DIVISOR[version]
    kbps = _KBPS[min(divisor, 2), min(layer, 2) if divisor > 1 else layer][kbps_index]
    hz = _HZ[hz_index] // divisor
    if layer == 1:
        return (12_000 * kbps // hz + padding) * 4, 384
    samples = 576 if layer == 3 and divisor > 1 else 1152
    return samples // 8 * 1000 * kbps // hz + padding, samples


def announced_frames(head: bytes) -> int | None:
    """Frames that the Xing or Info header tells of: it lies in the first frame, after its side information."""
    for offset in (36, 21, 13):
        if head[offset : offset + 4] in (b"Xing", b"Info"):
            has_count = head[offset + 7] & 1
            return int.from_bytes(head[offset + 8 : offset + 12], "big") if has_count else None
    return None
