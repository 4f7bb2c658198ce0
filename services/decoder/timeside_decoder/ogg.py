"""Pages of Ogg files (RFC 3533): how many hold audio, and whether the last one is there."""

import re

from timeside_decoder.local import LocalFile

_MAX_PAGE_BYTES = 65_307
_SHORT_BYTES = 4 * _MAX_PAGE_BYTES
"""A longer file has more than one page of audio, or very long comments."""
_HEADER = re.compile(rb"OggS\0(.)(.{8})", re.DOTALL)
"""Flags and granule position: the samples of the stream up to the end of the page."""
_END_OF_STREAM = 4


def is_one_page(file: LocalFile) -> bool:
    """Whether all audio of a stream lies in one page."""
    if file.size > _SHORT_BYTES:
        return False
    with open(file.path, "rb") as source:
        pages = _HEADER.findall(source.read())
    return sum(int.from_bytes(granule, "little", signed=True) > 0 for _, granule in pages) <= 1


def is_cut(file: LocalFile) -> bool:
    """Whether the file ends with another page than the last of a stream."""
    with open(file.path, "rb") as source:
        source.seek(max(0, file.size - _MAX_PAGE_BYTES))
        pages = _HEADER.findall(source.read())
    return not pages or not pages[-1][0][0] & _END_OF_STREAM
