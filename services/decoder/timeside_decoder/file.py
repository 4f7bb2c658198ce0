"""`file_decoder`: audio and video files of this machine."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from timeside_core import Array, Decoder, Stream
from timeside_core.errors import LimitError, MediaError
from timeside_core.pipeline import Source
from timeside_decoder.local import FileHash, local_file
from timeside_decoder.media import ffmpeg_reader, media_of, open_reader
from timeside_decoder.reader import BrokenStreamError, Damage
from timeside_decoder.segment import check_inside, segment_of

MAX_SAMPLES = 1 << 32
"""Default limit of what one file may decode to: 27 h at 44.1 kHz, 6 h at 192 kHz."""


class DamagedMediaWarning(UserWarning):
    """A file was decoded, but something in it was damaged or missing; the message tells what."""


class FileDecoder(Decoder, id="file_decoder", version="1.0"):
    """Decodes the main audio stream of an audio or video file of this machine.

    Time zero is the first sample of that stream. Encoder delay and padding are cut where the file tells of them:

    - Exact to the sample: lossless codecs in all containers; Vorbis and Opus in Ogg; Opus in WebM and MP4; MP3 with a
      Xing, LAME or Lavc header; AAC in MP4, by edit list, sample table or iTunes' tag. Where the edit list alone tells
      the end of an MP4 file, that is off by up to a millisecond, as it is rounded.
    - Late by the delay of the encoder, which these files do not tell, and with up to two frames of padding at the end:
      AAC in ADTS, MPEG-TS, Matroska and fragmented MP4 (1024 samples by FFmpeg, 2112 by Apple); MP3 without a header
      and in other containers (1105 by LAME); MP2 (481); AC-3 (256). Vorbis in Matroska ends up to a block late.
    - WMA: two frames are cut, the delay of the usual encoder; of files that FFmpeg wrote that is 2048 samples too many.

    A segment's samples equal the same slice of the whole. What cannot be entered in the middle without a difference
    (lossy codecs) is decoded from the beginning, which takes longer the later the segment lies.

    Where something in the middle is lost, silence stands for it, so that what follows stays in time, if timestamps
    tell (in Ogg at the page after next; in AVI never; in ADTS, AC-3, AMR and MP3 by the bytes that the decoder
    refuses). A file that is cut short gives what is there. Both are told, by a `DamagedMediaWarning` and by
    `FileSource.damage`. Codecs without checksums hide damage that shifts nothing.
    """

    uri: str | Path = Field(kw_only=False, exclude=True)
    """Path or `file://` address."""
    max_samples: Annotated[int, Field(gt=0)] = Field(default=MAX_SAMPLES, exclude=True)
    """Most samples that are decoded: small files may hold very many."""
    hash: bool = Field(default=True, exclude=True)
    """Whether to compute the SHA-256 of the file beside the decoding."""

    def open(self) -> "FileSource":
        """Open the file; raises `MediaError`, `NoAudioError`, `LimitError` or `SegmentError`."""
        return FileSource(self)


class FileSource(Source):
    """An opened file. Where its header does not tell the length, a segment outside it is found out while decoding."""

    hash_time_s: float = 0.0
    """Processor time that another thread spent on the SHA-256 of the file, s."""

    def __init__(self, decoder: FileDecoder) -> None:
        self._decoder = decoder
        self._file = local_file(decoder.uri)
        self._reader = open_reader(self._file)
        self._hash = FileHash(self._file) if decoder.hash else None
        try:
            self._check()
        except BaseException:
            self._reader.close()
            raise
        self.media = media_of(self._file, self._reader)
        self.stream = Stream(
            samplerate=self._reader.samplerate,
            channels=self._reader.channels,
            start_s=self.segment.first_sample / self._reader.samplerate,
        )

    @property
    def damage(self) -> Damage:
        """What was found damaged or missing so far."""
        return self._reader.damage

    def __iter__(self) -> Iterator[Array]:
        if self._hash is not None:
            self._hash.start()
        position = self.segment.first_sample
        stop = None if self.segment.samples is None else position + self.segment.samples
        for block in self._blocks():
            block = block if stop is None else block[: stop - position]
            position += len(block)
            if position > self._decoder.max_samples:
                raise LimitError(f"{self._file.uri}: decodes to more than max_samples={self._decoder.max_samples}")
            yield self._finite(block)
            if position == stop:
                break
        else:
            check_inside(self._decoder, self._file.uri, self._reader.samplerate, self._reader.end or 0)
        self._complete()

    def close(self) -> None:
        if self._hash is not None:
            self._hash.cancel()
        self._reader.close()

    def _check(self) -> None:
        """Refuse segments outside the media, and too much of it, as far as the header can be trusted."""
        reader, uri, most = self._reader, self._file.uri, self._decoder.max_samples
        self.segment = segment_of(self._decoder, reader.samplerate)
        stop = self.segment.first_sample + (self.segment.samples or 0)
        if reader.samples is not None and reader.tolerance_samples is not None:
            check_inside(self._decoder, uri, reader.samplerate, reader.samples, reader.tolerance_samples)
            stop = stop if self.segment.samples else reader.samples
        if stop > most:
            raise LimitError(f"{uri}: {stop} samples are more than max_samples={most}")

    def _blocks(self) -> Iterator[Array]:
        """Blocks of the reader; where libsndfile cannot go on, FFmpeg does, with silence for what is lost."""
        try:
            yield from self._reader.blocks(self.segment.first_sample)
            return
        except BrokenStreamError as broken:
            sample = broken.sample
        self._reader.close()
        self._reader = ffmpeg_reader(self._file)
        if (self._reader.samplerate, self._reader.channels) != (self.stream.samplerate, self.stream.channels):
            raise MediaError(f"{self._file.uri}: is damaged, so that its samplerate or channels are not certain")
        self.damage.packets += 1
        yield from self._reader.blocks(sample)

    def _finite(self, block: Array) -> Array:
        """The block, without what floats and damaged frames may hold that is no number."""
        if self._reader.bit_depth is None and not np.isfinite(block).all():
            bad = ~np.isfinite(block)
            self.damage.zeroed_samples += int(np.count_nonzero(bad.any(axis=1)))
            block[bad] = 0
        return block

    def _complete(self) -> None:
        sha256 = None
        if self._hash is not None:
            sha256 = self._hash.result()
            self.hash_time_s = self._hash.time_s
        self._file.check_unchanged()
        self.media = media_of(self._file, self._reader, sha256=sha256)
        if self.damage:
            warnings.warn(f"{self._file.uri}: {self.damage}", DamagedMediaWarning, stacklevel=3)
