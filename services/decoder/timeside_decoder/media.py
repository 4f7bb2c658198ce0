"""What a file holds: its header and tags, without decoding it."""

from pathlib import Path

from timeside_core import Media
from timeside_core.errors import MediaError
from timeside_decoder.local import LocalFile, local_file, sha256_of
from timeside_decoder.reader import Reader

MAX_SAMPLERATE = 10_000_000
"""Hz; hydrophones and ultrasound reach some MHz, headers beyond it are damaged or hostile."""
MAX_CHANNELS = 256
"""Bounds the memory of a block to 64 MiB."""


def describe(path: str | Path, *, hash: bool = False) -> Media:
    """Media at a path or `file://` address, by its header; with `hash` all of its bytes are read, for their SHA-256."""
    file = local_file(path)
    with open_reader(file) as reader:
        return media_of(file, reader, sha256=sha256_of(file) if hash else None)


def media_of(file: LocalFile, reader: Reader, *, sha256: str | None = None) -> Media:
    """What is known of an opened file: its length by counting, once that is done, else by the header."""
    return Media(
        uri=file.uri,
        samplerate=reader.samplerate,
        channels=reader.channels,
        samples=reader.samples if reader.end is None else reader.end,
        sha256=sha256,
        size=file.size,
        container=reader.container,
        codec=reader.codec,
        bit_depth=reader.bit_depth,
        mime_type=reader.mime_type,
        tags=reader.tags,
    )


def open_reader(file: LocalFile) -> Reader:
    """Open a file with the reader that is right for it; raises `MediaError` where there is none."""
    reader = _sndfile_reader(file) or ffmpeg_reader(file)
    if 1 <= reader.samplerate <= MAX_SAMPLERATE and 1 <= reader.channels <= MAX_CHANNELS:
        return reader
    reader.close()
    raise MediaError(
        f"{file.uri}: the header says {reader.samplerate} Hz and {reader.channels} channels; "
        f"1 to {MAX_SAMPLERATE} Hz and 1 to {MAX_CHANNELS} channels are decoded"
    )


def ffmpeg_reader(file: LocalFile) -> Reader:
    """Open a file with FFmpeg."""
    from timeside_decoder.ffmpeg import FfmpegReader  # not above: only what is needed is imported, as it takes 0.1 s

    return FfmpegReader(file)


def _sndfile_reader(file: LocalFile) -> Reader | None:
    from timeside_decoder.sndfile import SndfileReader, UnsuitedError, container_of

    if (container := container_of(file)) is None:
        return None
    try:
        return SndfileReader(file, container)
    except UnsuitedError:
        return None
