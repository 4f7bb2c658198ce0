"""Reads WAV, AIFF, FLAC, MPEG audio and short Vorbis through libsndfile."""

import os
from collections.abc import Iterator

import numpy as np
import soundfile

from timeside_core import Array
from timeside_decoder import mpeg, ogg, tags
from timeside_decoder.chunks import Chunks, read_chunks
from timeside_decoder.local import LocalFile
from timeside_decoder.reader import BLOCK_SAMPLES, BrokenStreamError, Damage, Reader

_PCM = {
    "PCM_U8": ("pcm_u8", 8), "PCM_S8": ("pcm_s8", 8), "ALAW": ("pcm_alaw", 8), "ULAW": ("pcm_mulaw", 8),
    "PCM_16": ("pcm_s16", 16), "PCM_24": ("pcm_s24", 24), "PCM_32": ("pcm_s32", 32),
    "FLOAT": ("pcm_f32", 32), "DOUBLE": ("pcm_f64", 64),
}  # fmt: skip
"""Codec, less its order of bytes, and bits of a stored sample."""
_LOSSY = {"MPEG_LAYER_I": "mp1", "MPEG_LAYER_II": "mp2", "MPEG_LAYER_III": "mp3", "VORBIS": "vorbis"}
_MIME_TYPES = {
    "wav": "audio/wav", "aiff": "audio/aiff", "flac": "audio/flac", "mp3": "audio/mpeg", "ogg": "audio/ogg",
}  # fmt: skip


def container_of(file: LocalFile) -> str | None:
    """Container by the first bytes, where libsndfile is the reader for it."""
    head = file.head
    if head[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64") and head[8:12] == b"WAVE":
        return "wav"
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return "aiff"
    if head[:4] == b"fLaC":
        return "flac"
    if head[:4] == b"OggS" and head[28:35] == b"\x01vorbis" and ogg.is_one_page(file):
        return "ogg"  # FFmpeg is twice as fast for Vorbis, but cuts a stream of one page at the wrong samples
    return "mp3" if mpeg.is_header(head) else None


class _SoundFile(soundfile.SoundFile):
    """A file that is read on and on: soundfile seeks to where it is after each read of a file that can seek.

    Besides the time that takes, MP3 loses the bits that a frame borrows from the frames before it.
    """

    def seekable(self) -> bool:
        return False


class UnsuitedError(Exception):
    """Another reader is the right one for this file."""


class SndfileReader(Reader):
    """A file that libsndfile reads exactly; raises `UnsuitedError` for all others."""

    def __init__(self, file: LocalFile, container: str) -> None:
        chunks = read_chunks(file) if container in ("wav", "aiff") else Chunks()
        chain = mpeg.walk(file) if container == "mp3" else None
        if chunks.unfinished or (chain is not None and not chain.whole):
            raise UnsuitedError
        self._sound = _opened(file)
        self.samplerate, self.channels, self.samples = self._sound.samplerate, self._sound.channels, self._sound.frames
        self.tolerance_samples = 0
        if chain is not None and chain.announced_frames is None:
            self._check(self._sound.frames >= chain.samples)  # a guess, beyond which libsndfile does not read
            self.samples = chain.samples
        self.container = container
        self.mime_type = _MIME_TYPES[container]
        self.codec, bits = self._codec()
        self.bit_depth = bits if self.codec.startswith(("pcm_s", "pcm_u", "flac")) else None
        self.tags = tags.common(_embedded_tags(file, container, chunks))
        self.damage = Damage()
        # Sixteen bits are read as they are: four times faster than to let libsndfile convert them, and equal.
        is_s16 = self.codec.startswith("pcm_s16")
        self._raw = np.empty((BLOCK_SAMPLES, self.channels), np.int16) if is_s16 else None
        self._missing_samples = chunks.missing_bytes * 8 // (self.channels * bits) if bits else 0

    def blocks(self, first_sample: int) -> Iterator[Array]:
        position = first_sample
        try:
            self._seek(first_sample)
            while len(block := self._next_block()):
                position += len(block)
                yield block
        except soundfile.SoundFileError as error:
            raise BrokenStreamError(position, str(error)) from None
        self.ended_at(position)
        self.damage.missing_samples += self._missing_samples

    def close(self) -> None:
        self._sound.close()

    def _next_block(self) -> Array:
        if self._raw is None:
            return self._sound.read(BLOCK_SAMPLES, dtype="float32", always_2d=True)
        return np.multiply(self._sound.read(out=self._raw), np.float32(2**-15))

    def _seek(self, sample: int) -> None:
        """Go to a sample; in lossy codecs by decoding up to it, as their state depends on what was before."""
        if self.codec not in _LOSSY.values():
            self._sound.seek(sample)
            return
        while sample and (read := len(self._sound.read(min(sample, BLOCK_SAMPLES), dtype="float32"))):
            sample -= read

    def _check(self, is_suited: bool) -> None:
        if not is_suited:
            self.close()
            raise UnsuitedError

    def _codec(self) -> tuple[str, int]:
        """Codec as FFmpeg spells it, and bits of a stored sample, 0 where there is no such thing."""
        subtype, endian = self._sound.subtype, self._sound.endian
        if subtype in _LOSSY:
            return _LOSSY[subtype], 0
        self._check(subtype in _PCM)
        name, bits = _PCM[subtype]
        if self.container == "flac":
            return "flac", bits
        if bits == 8:
            return name, bits
        is_big = endian == "BIG" or (endian == "FILE" and self.container == "aiff")
        return f"{name}{'be' if is_big else 'le'}", bits


def _opened(file: LocalFile) -> _SoundFile:
    descriptor = os.open(file.path, os.O_RDONLY)  # by descriptor: libsndfile goes by content alone, not by the name
    try:
        return _SoundFile(descriptor)
    except soundfile.SoundFileError:
        raise UnsuitedError from None


def _embedded_tags(file: LocalFile, container: str, chunks: Chunks) -> dict[str, str]:
    if container in ("flac", "ogg"):
        return tags.comments(file.path, container)
    if container == "mp3":
        return tags.mp3(file.path)
    return {**(tags.id3(chunks.id3) if chunks.id3 else {}), **chunks.tags}
