"""Reads everything else through FFmpeg (PyAV): white-listed containers of local files, nothing more."""

from collections.abc import Iterator
from errno import EINVAL
from fractions import Fraction
from itertools import chain
from typing import Any

import av
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Discard

from timeside_core import Array
from timeside_core.errors import MediaError, NoAudioError
from timeside_decoder import mpeg, ogg, tags
from timeside_decoder.blocks import Blocks
from timeside_decoder.facts import bit_depth, mime_type
from timeside_decoder.local import LocalFile
from timeside_decoder.reader import Damage, Reader
from timeside_decoder.timeline import Timeline

CONTAINERS = "wav,w64,aiff,caf,flac,ogg,mp3,aac,ac3,mov,matroska,asf,avi,mpegts,wv,ape,au,amr"
"""What FFmpeg may open. Never playlists, session descriptions or devices: they name other addresses."""
OPTIONS = {"protocol_whitelist": "file", "format_whitelist": CONTAINERS}
"""FFmpeg ignores names it does not know: a test proves that each of the two refuses."""

KEEP_BYTES: Any = {} if av.__version__ >= "19" else {"metadata_errors": "surrogateescape"}
"""Tags that are no UTF-8 stop nothing; PyAV 19 has no option for it, but does just that."""
_CHECKED = frozenset({"flac", "ac3", "eac3"})
"""Codecs whose checksums FFmpeg would otherwise not look at: noise would come out of damaged frames."""
_EXACT = frozenset({"wav", "w64", "aiff", "flac", "wv", "ape", "au"})
"""Containers that tell the length of lossless audio to the sample."""
_NEARLY_EXACT_S = 0.1
"""How far off the others are that tell the length of the audio itself: ticks of 1 ms, encoder delay and padding."""
_MOV_TICK_S = 0.001
"""Edit lists are usually written in milliseconds, rounded."""


class FfmpegReader(Reader):
    """A file that FFmpeg reads; raises `MediaError` where it cannot, `NoAudioError` where there is no audio."""

    def __init__(self, file: LocalFile) -> None:
        self._file = file
        self._container, self._stream = _opened(file)
        self.damage = Damage()
        self._mixers: dict[str, AudioResampler] = {}
        context = self._stream.codec_context
        self.samplerate, self.channels = context.sample_rate, context.layout.nb_channels
        self._layout = context.layout.name
        self.container = self._container.format.name.split(",")[0]
        self.codec = context.codec.canonical_name
        self.bit_depth = bit_depth(self._stream, file.head)
        self.mime_type = mime_type(self._container, file.head)
        self.tags = tags.common({**self._stream.metadata, **self._container.metadata})
        self.samples, self.tolerance_samples = self._length()

    def blocks(self, first_sample: int) -> Iterator[Array]:
        position, frames = self._from(first_sample)
        blocks = Blocks(self.channels)
        for frame, samples, lost_samples in frames:
            if lost_samples:
                position += lost_samples
                yield from blocks.silence(min(lost_samples, max(0, position - first_sample)))
            start = 0 if position >= first_sample else min(first_sample - position, samples)
            yield from blocks.put(frame, start, samples)
            position += samples
        yield from blocks.rest()
        self.ended_at(position)
        self.damage.is_cut = self._is_cut()

    def close(self) -> None:
        self._container.close()

    def _from(self, first_sample: int) -> tuple[int, Iterator[tuple[AudioFrame, int, int]]]:
        """The position that decoding starts from, in samples, and the frames from there on.

        Only what decodes to the same samples from anywhere, and tells where it is, is entered in the middle.
        """
        start, rate = self._stream.start_time, self._samples_per_tick
        is_seekable = self.container in _EXACT | {"mov", "caf"} and self._stream.codec_context.codec.lossless
        if first_sample and is_seekable and start is not None and rate <= 1:
            try:
                self._container.seek(start + int(first_sample / rate), stream=self._stream)
                frames = self._frames()
                first = next(frames, None)
            except FFmpegError:
                first, frames = None, iter(())
            if first is not None and first[0].pts is not None:
                position = round((first[0].pts - start) * rate)
                if position <= first_sample:
                    return position, chain([first], frames)
            self.close()
            self._container, self._stream = _opened(self._file)
        return 0, self._frames()

    def _frames(self) -> Iterator[tuple[AudioFrame, int, int]]:
        """Frames, with how many of their samples count, and how many samples are missing before them."""
        timeline = Timeline(
            self.container,
            self.codec,
            samplerate=self.samplerate,
            samples=self.samples,
            samples_per_tick=self._samples_per_tick,
            damage=self.damage,
        )
        held: tuple[AudioFrame, int, int] | None = None
        for frame in self._decoded(timeline):
            if held is not None:
                yield held
            lost_samples = timeline.missing_before(frame.pts, frame.samples)
            held = frame, frame.samples, lost_samples
        if held is not None:
            frame, samples, lost_samples = held
            yield frame, self._end(frame, samples), lost_samples

    def _decoded(self, timeline: Timeline) -> Iterator[AudioFrame]:
        try:
            for packet in self._container.demux(self._stream):
                try:
                    frames = packet.decode()
                except FFmpegError:  # not only InvalidDataError: damaged AAC may raise PermissionError
                    if packet.size:
                        timeline.note_damage(packet.size, (packet.pos or 0) - self._file.offset)
                    continue
                if packet.is_corrupt and not self.codec.startswith("pcm"):  # of PCM, the last one is just shorter
                    timeline.note_damage()
                for frame in frames:
                    if frame.sample_rate != self.samplerate:
                        raise MediaError(
                            f"{self._file.uri}: the samplerate changes from {self.samplerate} to {frame.sample_rate} Hz"
                        )
                    if frame.layout.nb_channels == self.channels:
                        yield frame
                    else:
                        yield from self._mixed(frame)
        except FFmpegError:
            timeline.note_damage()
        except IndexError:  # PyAV, after the last packet, where a broadcast brought new streams in the middle
            return

    def _mixed(self, frame: AudioFrame) -> list[AudioFrame]:
        """A frame of a broadcast that changes its channels in the middle, with the channels of the beginning."""
        layout, pts = frame.layout.name, frame.pts
        if layout not in self._mixers:
            self._mixers[layout] = AudioResampler("fltp", self._layout)
        mixed = self._mixers[layout].resample(frame)
        for each in mixed:  # one, as neither samplerate nor length change; its timestamp is in another unit
            each.pts = pts
        return mixed

    def _end(self, frame: AudioFrame, samples: int) -> int:
        """Samples of the last frame: MP4 files tell by its duration, by iTunes' tag or by the edit list what counts."""
        if self.container != "mov" or frame.pts is None or self.samples is None:
            return samples
        told = round(frame.duration * self._samples_per_tick)
        if told >= samples:
            start = round((frame.pts - (self._stream.start_time or 0)) * self._samples_per_tick)
            slack = 0 if self.samples == self._samples_by_itunes() else int(_MOV_TICK_S * self.samplerate)
            told = self.samples + slack - start
        return told if 0 < told < samples else samples

    def _is_cut(self) -> bool:
        if self.container == "ogg":
            return ogg.is_cut(self._file)
        return self.container == "mp3" and mpeg.walk(self._file).is_cut

    @property
    def _samples_per_tick(self) -> float:
        return float((self._stream.time_base or Fraction(1)) * self.samplerate)

    def _length(self) -> tuple[int | None, int | None]:
        """Samples by the header, and how far that may be off."""
        nearly = round(_NEARLY_EXACT_S * self.samplerate)
        ticks = self._stream.frames if self.container == "avi" else self._stream.duration
        if ticks is None:
            if self._container.duration is None:
                return None, None
            is_alone = self.container == "matroska" and len(self._container.streams) == 1
            return round(self._container.duration / av.time_base * self.samplerate), nearly if is_alone else None
        samples = round(ticks * self._samples_per_tick)
        if self.container == "mov" and abs(self._samples_by_itunes() - samples) <= nearly:
            return self._samples_by_itunes(), nearly
        if self.container == "ogg" and self.codec == "opus":  # the last granule counts the pre-skip in
            return samples - self._stream.codec_context.delay, nearly
        if self.container in _EXACT and self._stream.codec_context.codec.lossless:
            return samples, 0
        if mpeg.announced_frames(self._file.head) is not None:
            return samples, 0
        return samples, nearly if self.container in _EXACT | {"mov", "caf", "ogg", "avi"} else None

    def _samples_by_itunes(self) -> int:
        """Length by iTunes' tag of gapless playback: nothing, priming, padding and samples, hexadecimal; 0 without."""
        fields = self._container.metadata.get("iTunSMPB", "").split()
        try:
            return int(fields[3], 16)
        except (IndexError, ValueError):
            return 0


def _opened(file: LocalFile) -> tuple[InputContainer, AudioStream]:
    try:
        container = av.open(file.path, "r", options=OPTIONS, **KEEP_BYTES)
    except (FFmpegError, OSError, ValueError) as error:
        raise MediaError(f"{file.uri}: is not audio or video that can be decoded: {why_unopened(error)}") from None
    try:
        return container, audio_stream(container, file.uri)
    except BaseException:
        container.close()
        raise


def audio_stream(container: InputContainer, uri: str) -> AudioStream:
    """The main audio stream of a container, ready to be decoded; all others are left out."""
    stream = container.streams.best("audio")
    if not isinstance(stream, AudioStream):
        kinds = ", ".join(sorted({each.type for each in container.streams})) or "nothing"
        raise NoAudioError(f"{uri}: holds no audio stream, only {kinds}")
    if stream.codec_context is None:  # pyright: ignore[reportUnnecessaryComparison]
        raise MediaError(f"{uri}: the codec of its audio stream is unknown")
    for other in container.streams:
        if other is not stream:
            other.discard = Discard.all
    if stream.codec_context.codec.canonical_name in _CHECKED:
        stream.codec_context.options = {"err_detect": "crccheck+explode"}
    try:
        stream.codec_context.open(strict=False)
    except FFmpegError as error:
        raise MediaError(f"{uri}: its codec cannot be opened: {_cause(error)}") from None
    return stream


def why_unopened(error: Exception) -> str:
    """Why FFmpeg does not open something as a container."""
    if isinstance(error, FFmpegError) and error.errno == EINVAL:  # so it calls a container that is not white-listed
        return f"its container is none of {CONTAINERS.replace(',', ', ')}"
    return _cause(error)


def _cause(error: Exception) -> str:
    return (error.strerror if isinstance(error, FFmpegError | OSError) else None) or str(error)
