"""One connection to a live source, from its first byte to its end: what it is, then its frames."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from typing import Any

import av
from av.audio.frame import AudioFrame
from av.container import InputContainer
from av.error import FFmpegError

from timeside_core.errors import MediaError
from timeside_decoder import tags
from timeside_decoder.bytesource import ByteSource
from timeside_decoder.facts import bit_depth, mime_type
from timeside_decoder.ffmpeg import CONTAINERS, KEEP_BYTES, audio_stream, why_unopened
from timeside_decoder.local import HEAD_BYTES
from timeside_decoder.media import MAX_CHANNELS, MAX_SAMPLERATE
from timeside_decoder.reader import Damage
from timeside_decoder.timeline import Timeline

MAX_HEAD_BYTES = 1 << 24
"""Bytes before the first frame: tags with pictures take some MiB; where there is none in 16 MiB, none will come."""
MAX_HEAD_S = 30.0
"""Time from the first byte to the first frame: 30 KB at 8 kbit/s."""
LONGEST_LOSS_S = 10.0
"""Longest stretch that timestamps may say is lost within a connection; longer jumps are not believed."""
_PROBED = {"probesize": str(1 << 18), "analyzeduration": "500000"}
"""What FFmpeg reads to know a stream: 256 KiB (1.5 s of a WAV) or 0.5 s, where it would take 5 MB or 5 s."""
_READ_BYTES = 4096
"""Asked for at once: 0.26 s at 128 kbit/s."""


class BreakError(Exception):
    """A connection was lost, or what came through it is no audio any more."""


class Feed:
    """A byte source, as FFmpeg reads it.

    Reading never raises, as FFmpeg's callbacks could not pass that on: an error ends the bytes, and can be asked for.
    """

    def __init__(self, source: ByteSource, *, timeout_s: float, check: Callable[[], None]) -> None:
        """`check` is called at least ten times a second; what it raises ends the bytes."""
        self._source, self._timeout_s, self._check = source, timeout_s, check
        self._most_bytes, self._most_s = float(MAX_HEAD_BYTES), MAX_HEAD_S
        self._bytes = 0
        self._is_over = False
        self._error: BaseException | None = None
        self.head = b""
        """The first bytes."""
        self.began = 0.0
        """When the first byte came, by the monotonic clock."""

    def read(self, size: int) -> bytes:
        """At least one byte, unless it is over."""
        got = b""
        if not self._is_over:
            try:
                got = self._awaited(size)
                self._count(got)
            except BaseException as error:  # a KeyboardInterrupt as well
                got, self._error = b"", error
        self._is_over = not got
        return got

    def lift_limits(self) -> None:
        """A frame was found: what follows may be endless."""
        self._most_bytes = self._most_s = float("inf")

    @property
    def broke(self) -> str:
        """How the source broke off, where it did."""
        return (str(self._error) or type(self._error).__name__) if isinstance(self._error, OSError) else ""

    def raise_error(self) -> None:
        """Raise what ended the bytes: `BreakError` where the source broke off, what `check` raised, or nothing."""
        if self.broke:
            raise BreakError(self.broke) from None
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Close the source."""
        self._source.close()

    def _awaited(self, size: int) -> bytes:
        patience = time.monotonic() + self._timeout_s
        while True:
            self._check()
            if (got := self._source.read(size)) is not None:
                if len(got) > size:  # PyAV would write them beyond its buffer
                    raise ValueError(f"a byte source gave {len(got)} bytes where {size} were asked for")
                return got
            if time.monotonic() > patience:
                raise TimeoutError(f"nothing came for {self._timeout_s:g} s")

    def _count(self, got: bytes) -> None:
        self.began = self.began or time.monotonic()
        self._bytes += len(got)
        self.head += got[: HEAD_BYTES - len(self.head)]
        if self._bytes > self._most_bytes:
            raise BreakError(f"there is no audio in its first {self._most_bytes:.0f} bytes")
        if time.monotonic() - self.began > self._most_s:
            raise BreakError(f"there is no audio in its first {self._most_s:g} s")


class Connection:
    """An opened live source, of which a first frame was decoded."""

    def __init__(self, uri: str, container: InputContainer, feed: Feed | None, damage: Damage) -> None:
        """Raises `BreakError` or `MediaError`; then container and feed are closed."""
        self._container, self._feed, self._damage = container, feed, damage
        self._defect = ""
        try:
            self._stream = audio_stream(container, uri)
            frames = self._timed()
            self._frames = chain([self._first(frames)], frames)
        except BaseException:
            self.close()
            raise
        self.began = time.monotonic() if feed is None else feed.began
        """When its first byte came, by the monotonic clock."""
        if feed is not None:
            feed.lift_limits()

    def facts(self) -> Mapping[str, Any]:
        """What is known of the stream, in the words of `Media`."""
        head = b"" if self._feed is None else self._feed.head
        return {
            "samplerate": self.samplerate,
            "channels": self.channels,
            "container": self._container_name,
            "codec": self._stream.codec_context.codec.canonical_name,
            "bit_depth": bit_depth(self._stream, head),
            "mime_type": mime_type(self._container, head),
            "tags": tags.common({**self._stream.metadata, **self._container.metadata}),
        }

    def frames(self) -> Iterator[tuple[AudioFrame, float]]:
        """Frames, with the seconds lost before each; raises `BreakError` where it was not the source that ended."""
        yield from self._frames
        self._raise_error()

    def close(self) -> None:
        """Hang up."""
        self._container.close()
        if self._feed is not None:
            self._feed.close()

    def _first(self, frames: Iterator[tuple[AudioFrame, float]]) -> tuple[AudioFrame, float]:
        """The first frame: headers may be wrong, and noise may look like one."""
        first = next(frames, None)
        if first is None:
            self._raise_error()
            raise BreakError("it ended before its first frame")
        frame, _ = first
        self.samplerate, self.layout, self.channels = frame.sample_rate, frame.layout.name, frame.layout.nb_channels
        return first

    def _raise_error(self) -> None:
        if self._feed is not None:
            self._feed.raise_error()
        if self._defect:
            raise BreakError(self._defect)

    @property
    def _container_name(self) -> str:
        return self._container.format.name.split(",")[0]

    def _timed(self) -> Iterator[tuple[AudioFrame, float]]:
        context, time_base = self._stream.codec_context, self._stream.time_base or Fraction(1)
        samplerate = max(1, context.sample_rate)
        timeline = Timeline(
            self._container_name,
            context.codec.canonical_name,
            samplerate=samplerate,
            samples=None,
            samples_per_tick=float(time_base * samplerate),
            damage=self._damage,
        )
        for frame in self._decoded(timeline):
            samples = round(frame.samples * samplerate / frame.sample_rate)  # which may change in the middle
            missing = timeline.missing_before(frame.pts, max(1, samples))
            if missing > LONGEST_LOSS_S * samplerate:
                self._damage.silenced_samples -= missing
                self._damage.unplaced_jumps += 1
                missing = 0
            yield frame, missing / samplerate

    def _decoded(self, timeline: Timeline) -> Iterator[AudioFrame]:
        try:
            for packet in self._container.demux(self._stream):
                try:
                    frames = packet.decode()
                except FFmpegError:
                    if packet.size:
                        timeline.note_damage(packet.size, packet.pos or 0)
                    continue
                for frame in frames:
                    if not _is_sound(frame):
                        self._defect = f"it changes to {frame.sample_rate} Hz and {frame.layout.nb_channels} channels"
                        return
                    yield frame
        except FFmpegError as error:
            self._defect = f"its bytes are damaged: {error.strerror}"
        except IndexError:  # PyAV, after the last packet, where new streams came in the middle
            return


def _is_sound(frame: AudioFrame) -> bool:
    return 1 <= frame.sample_rate <= MAX_SAMPLERATE and 1 <= frame.layout.nb_channels <= MAX_CHANNELS


@dataclass(frozen=True, slots=True)
class PcmForm:
    """How bare samples lie in a stream, or are to be captured."""

    sample_format: str
    """FFmpeg's name of it: `s16le`, `f32le`, …"""
    samplerate: int
    channels: int


def connect(uri: str, feed: Feed, damage: Damage, *, pcm: PcmForm | None = None) -> Connection:
    """Open what comes through a feed: one of the listed containers or, where `pcm` is given, bare samples."""
    format, options = None, {**_PROBED, "protocol_whitelist": "none", "format_whitelist": CONTAINERS}
    if pcm is not None:
        format = pcm.sample_format
        layout = {"sample_rate": str(pcm.samplerate), "ch_layout": f"{pcm.channels}C"}
        options |= {**layout, "format_whitelist": format}
    try:
        container = av.open(feed, "r", format=format, options=options, buffer_size=_READ_BYTES, **KEEP_BYTES)
    except BaseException as error:
        feed.close()
        if not (feed.broke and feed.head):  # else it may be the fault of either
            feed.raise_error()
        if isinstance(error, FFmpegError | OSError | ValueError):
            why = "; ".join([why_unopened(error), *([feed.broke] if feed.broke else [])])
            raise MediaError(f"{uri}: is not audio or video that can be decoded: {why}") from None
        raise
    return Connection(uri, container, feed, damage)


def capture(uri: str, pcm: PcmForm, damage: Damage) -> Connection:
    """Open a device: `alsa:hw:0`, `pulse:default`."""
    format, _, name = uri.partition(":")
    if format not in av.formats_available:
        raise MediaError(f"{uri}: this build of FFmpeg has no {format}")
    # PyAV's own build would look in a folder below /tmp, where anybody may put something.
    os.environ.setdefault("ALSA_CONFIG_PATH", "/usr/share/alsa/alsa.conf")
    options = {"sample_rate": str(pcm.samplerate), "ch_layout": f"{pcm.channels}c"}
    try:
        container = av.open(name, "r", format=format, options=options)
    except (FFmpegError, OSError, ValueError) as error:
        raise MediaError(f"{uri}: cannot be opened: {why_unopened(error)}") from None
    return Connection(uri, container, None, damage)
