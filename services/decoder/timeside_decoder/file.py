"""`file_decoder`: audio and video files of this machine."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from timeside_core import Array, Decoder, Stream
from timeside_core.errors import LimitError
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

    Time zero is the first sample of that stream; encoder delay and padding are cut where the file tells of them.

    - To the sample: lossless codecs in WAV, W64, AIFF, AU, CAF, FLAC, Ogg, MOV, WavPack, Monkey's Audio, Matroska;
      Vorbis and Opus in Ogg; Opus in WebM; MP3 with a LAME, Lavc or Xing header; AAC and Opus in MP4 whose sample
      table or iTunes tag tells the length. Other MP4 files end up to 1 ms late or early, as their edit list is rounded.
    - Late by the encoder's delay, which such files do not tell, with up to a frame of padding at the end: AAC in ADTS,
      MPEG-TS, Matroska and fragmented MP4 (1024 samples by FFmpeg, 2112 by Apple); MP3 without header and in other
      containers (1105 by LAME); MP2 (481); AC-3 (256); AMR. Vorbis in Matroska ends up to a block late.
    - WMA: the first frame is lost with FFmpeg's decoder, 2048 samples early.

    A segment's samples equal the same slice of the whole: lossy codecs that FFmpeg decodes are decoded from the
    beginning, as their state cannot be had otherwise.

    What cannot be decoded in the middle never shifts what follows where timestamps tell: silence stands for it (in
    Ogg at the page after next; in ADTS, AC-3 and AMR only what the decoder itself refuses is noticed). A file that ends
    before its header says gives what is there. Either is told by a `DamagedMediaWarning` and by `FileSource.damage`.
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
        self._hash = FileHash(self._file.path) if decoder.hash else None
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
        except BrokenStreamError as broken:
            self._reader.close()
            self._reader = ffmpeg_reader(self._file)
            self.damage.packets += 1
            yield from self._reader.blocks(broken.sample)

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
