"""Chunks of RIFF (WAV) and IFF (AIFF) files: what they say of the audio's length, and their tags."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from timeside_decoder.local import LocalFile
from timeside_decoder.tags import text

_MAX_CHUNKS = 1000
_MAX_TEXT_BYTES = 1 << 20
_MAX_ID3_BYTES = 1 << 24

_INFO = {
    b"INAM": "title", b"IART": "artist", b"IPRD": "album", b"ICRD": "date", b"IGNR": "genre", b"ICMT": "comment",
    b"ITRK": "track", b"IPRT": "track", b"IMUS": "composer", b"ICOP": "copyright", b"ISFT": "encoder",
    b"IENG": "engineer", b"ISRC": "source", b"IKEY": "keywords", b"ISBJ": "subject", b"ILNG": "language",
}  # fmt: skip
_IFF_TEXTS = {b"NAME": "title", b"AUTH": "artist", b"(c) ": "copyright", b"ANNO": "comment"}
_BEXT = struct.Struct("<256s32s32s10s8sQ")  # EBU Tech 3285, without what follows the time reference
_BEXT_CODING_HISTORY = 602


@dataclass(slots=True)
class Chunks:
    """What the chunks tell."""

    tags: dict[str, str] = field(default_factory=dict[str, str])
    id3: bytes = b""
    missing_bytes: int = 0
    """Bytes of audio that the header promises and the file does not hold."""
    unfinished: bool = False
    """Whether the header says that there is no audio although some follows: the recorder was cut off."""


def read_chunks(file: LocalFile) -> Chunks:
    """Read the small chunks of a WAV or AIFF file."""
    found = Chunks()
    with open(file.path, "rb") as source:
        for id, start, length in _chunks(source, file):
            if id in (b"data", b"SSND"):
                _audio(found, id, source, start, length, file.size)
            elif id in (b"id3 ", b"ID3 ") and length <= _MAX_ID3_BYTES:
                found.id3 = source.read(length)
            elif length > _MAX_TEXT_BYTES:
                continue
            elif id == b"LIST" and source.read(4) == b"INFO":
                found.tags.update(_info(source.read(length - 4)))
            elif id == b"bext":
                found.tags.update(_bext(source.read(length)))
            elif id in _IFF_TEXTS:
                found.tags.setdefault(_IFF_TEXTS[id], text(source.read(length)))
    return found


def _chunks(source: BinaryIO, file: LocalFile) -> Iterator[tuple[bytes, int, int]]:
    """Id, start and length of each chunk; `source` stands at the start of its content."""
    order = ">" if file.head[:4] in (b"FORM", b"RIFX") else "<"
    position, long_length = file.offset + 12, None
    for _ in range(_MAX_CHUNKS):
        if position + 8 > file.size:
            return
        source.seek(position)
        header = source.read(8)
        id, length = struct.unpack(f"{order}4sI", header)
        if id == b"ds64" and length >= 16:  # RF64 and BW64: the length of `data` in 64 bits
            long_length = struct.unpack("<8xQ", source.read(16))[0]
        if id == b"data" and length == 0xFFFF_FFFF and long_length is not None:
            length = long_length
        yield id, position + 8, length
        position += 8 + length + length % 2


def _audio(found: Chunks, id: bytes, source: BinaryIO, start: int, length: int, size: int) -> None:
    if id == b"data" and length == 0:
        found.unfinished = start < size and not _is_chunk(source.read(8), size - start)
    elif not _until_the_end(length):
        found.missing_bytes = max(0, start + length - size)


def _until_the_end(length: int) -> bool:
    """Whether it is what programs write that stream and cannot go back: FFmpeg, arecord, SoX."""
    return length == 0xFFFF_FFFF or 0x7FFF_F000 <= length <= 0x8000_0000


def _is_chunk(header: bytes, left: int) -> bool:
    return header[:4].isalnum() and 8 + int.from_bytes(header[4:], "little") <= left


def _info(content: bytes) -> dict[str, str]:
    tags: dict[str, str] = {}
    while len(content) >= 8:
        id, length = struct.unpack_from("<4sI", content)
        if id in _INFO:
            tags.setdefault(_INFO[id], text(content[8 : 8 + length]))
        content = content[8 + length + length % 2 :]
    return tags


def _bext(content: bytes) -> dict[str, str]:
    if len(content) < _BEXT.size:
        return {}
    *values, time_reference = _BEXT.unpack_from(content)
    names = ("description", "originator", "originator_reference", "origination_date", "origination_time")
    tags = {name: text(value) for name, value in zip(names, values, strict=True)}
    tags["time_reference"] = str(time_reference)
    tags["coding_history"] = text(content[_BEXT_CODING_HISTORY:])
    return tags
