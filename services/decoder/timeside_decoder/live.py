"""`live_decoder`: streams that are heard as they come, and have no end of their own."""

import threading
import time
import warnings
from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, TypeAlias
from uuid import UUID

import numpy as np
from pydantic import Field

from timeside_core import Array, Decoder, Media, Stream
from timeside_core.errors import CancelledError, MediaError
from timeside_core.ids import uuid7
from timeside_core.inputs import Samplerate
from timeside_core.pipeline import Source
from timeside_decoder.blocks import Blocks
from timeside_decoder.bytesource import TICK_S, ByteSource, Pipe
from timeside_decoder.conform import Conform
from timeside_decoder.connection import BreakError, Connection, Feed, PcmForm, capture, connect
from timeside_decoder.reader import Damage
from timeside_decoder.segment import segment_of

BLOCK_SAMPLES = 4096
"""Samples of a block: 93 ms at 44.1 kHz."""
STEADY_S = 30.0
"""A connection that lasted so long was a good one: the next pause is the first again."""
TOLD = 1000
"""Discontinuities that are kept to be told."""

SampleFormat: TypeAlias = Literal["u8", "s16le", "s16be", "s24le", "s24be", "s32le", "s32be", "f32le", "f32be", "f64le"]
Seconds: TypeAlias = Annotated[float, Field(gt=0, le=3600)]

_URLS = ("http://", "https://")
_DEVICES = ("alsa:", "pulse:")


class LiveSourceWarning(UserWarning):
    """A live source was not heard as a whole, or ended otherwise than by itself; the message tells how."""


@dataclass(frozen=True, slots=True)
class Discontinuity:
    """A break, after which the source went on."""

    first_sample: int
    """Where it lies, in samples from the first that was heard; a block begins there."""
    samples: int
    """Silence that stands for what is missing, an estimate; 0 where nothing seems to be."""
    reason: str


class LiveDecoder(Decoder, id="live_decoder", version="1.0"):
    """Decodes a stream while it comes: a pipe, a URL or a microphone.

    - `-`: standard input; `pipe:/path`: a FIFO, a device or a file.
    - `http://…`, `https://…`: a stream in MP3, AAC, Ogg (Vorbis, Opus, FLAC) or another container that is read without
      seeking; through the guarded fetcher, which refuses private addresses and unusual ports.
    - `alsa:hw:0`, `pulse:default`: a device, where FFmpeg was built with it.

    It ends after `duration`, when it is cancelled or stopped, or when its source ends: a pipe when all who wrote have
    closed it, a URL when as much has come as the server announced, or when a break lasts too long.

    Time zero is the first sample. Where a URL or a device breaks off, it is connected to again, after growing pauses,
    and time goes on by the clock on the wall: silence stands for the time since the first byte less what was heard, so
    that the times of all results stay right, to within what servers send in advance when one connects (some seconds). A
    stream that is ahead of the clock, as one from a file, goes on without silence. Each break is told in
    `LiveSession.discontinuities`. Samplerate and channels stay those of the beginning; what comes with others is
    resampled and mixed.
    """

    source: str = Field(kw_only=False, exclude=True)
    """What is listened to."""
    sample_format: SampleFormat | None = None
    """How samples lie in a stream of nothing but samples; without, it is in a container, which tells all."""
    samplerate: Samplerate = 44100
    """Samples per second of such a stream, or as a device is asked for, Hz."""
    channels: Annotated[int, Field(ge=1, le=64)] = 2
    """Channels of such a stream, or as a device is asked for."""
    session: UUID | None = Field(default=None, exclude=True)
    """What stands for the hash of the bytes, as there are no bytes yet; a new one where none is given."""
    timeout_s: Seconds = Field(default=10.0, exclude=True)
    """A source of which no byte comes for so long is broken: players hold 5 to 10 s."""
    reconnect: bool = Field(default=True, exclude=True)
    """Whether to connect again after a break. Without, it ends there, as does an answer of unknown length."""
    pause_s: Seconds = Field(default=0.5, exclude=True)
    """Wait before the first attempt to connect again; it doubles with each."""
    max_pause_s: Seconds = Field(default=15.0, exclude=True)
    """Longest wait between attempts: a server that restarts takes about so long."""
    max_gap_s: Seconds = Field(default=120.0, exclude=True)
    """Longest break, and longest silence for it; beyond, the source has ended."""
    open_bytes: Any = Field(default=None, exclude=True, repr=False)
    """What opens the source, a `bytesource.OpenBytes`: the fetcher with other settings, or something else."""

    def open(self) -> "LiveSession":
        """Connect, once; raises `MediaError` where there is no audio."""
        return LiveSession(self)

    def open_until(self, cancel: threading.Event | None) -> "LiveSession":
        """As `open`; connecting and listening end with `CancelledError` soon after `cancel` was set."""
        return LiveSession(self, cancel)


class _StoppedError(Exception):
    """The owner has heard enough."""


class LiveSession(Source):
    """A stream that is listened to. All but `stop` belongs to one thread."""

    def __init__(self, decoder: LiveDecoder, cancel: threading.Event | None = None) -> None:
        self._decoder = decoder
        self._cancel, self._stop = cancel or threading.Event(), threading.Event()
        self._name = _shown(decoder.source)
        self._is_pipe = decoder.open_bytes is None and (decoder.source == "-" or decoder.source.startswith("pipe:"))
        self._pause_s = decoder.pause_s
        self._position = 0
        """Samples that were given out, or passed over before `start`."""
        self.damage = Damage()
        """What was found damaged within connections."""
        self.discontinuities: deque[Discontinuity] = deque(maxlen=TOLD)
        """The last breaks; one is here before the first block after it is given out."""
        self.ended = ""
        """Why it ended, where it was not by itself, by `duration` or by `stop`."""
        self._connection: Connection | None = None
        try:
            self._connection = self._connect()
            self._begin(self._connection)
        except (BreakError, OSError) as error:
            raise MediaError(f"{self._name}: {error}") from None
        except BaseException:
            self.close()
            raise

    def __iter__(self) -> Iterator[Array]:
        first, stop = self.segment.first_sample, None
        if self.segment.samples is not None:
            stop = first + self.segment.samples
        for block in self._blocks():
            begin, self._position = self._position, self._position + len(block)
            wanted = block[max(0, first - begin) : None if stop is None else stop - begin]
            if len(wanted):
                yield self._finite(wanted)
            if stop is not None and self._position >= stop:
                self._position = stop
                break
        self.media = replace(self.media, samples=self._position)
        self._warn()

    def stop(self) -> None:
        """End as if the source had ended; from any thread."""
        self._stop.set()

    def close(self) -> None:
        """Hang up."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close()

    def _begin(self, connection: Connection) -> None:
        """Take from the first connection what holds for all of them."""
        self._began, self._layout = connection.began, connection.layout
        self.media = Media(uri=f"live:{self._decoder.session or uuid7()}", **connection.facts())
        self.segment = segment_of(self._decoder, self.media.samplerate)
        start_s = self.segment.first_sample / self.media.samplerate
        self.stream = Stream(samplerate=self.media.samplerate, channels=self.media.channels, start_s=start_s)

    def _connect(self) -> Connection:
        decoder = self._decoder
        form = PcmForm(decoder.sample_format or "", decoder.samplerate, decoder.channels)
        if decoder.open_bytes is None and decoder.source.startswith(_DEVICES):
            return capture(decoder.source, form, self.damage)
        feed = Feed(self._open_bytes(), timeout_s=decoder.timeout_s, check=self._check)
        return connect(self._name, feed, self.damage, pcm=form if decoder.sample_format else None)

    def _open_bytes(self) -> ByteSource:
        decoder, source = self._decoder, self._decoder.source
        if decoder.open_bytes is not None:
            return decoder.open_bytes(source)
        if self._is_pipe:
            return Pipe(source.removeprefix("pipe:"))
        if source.startswith(_URLS):
            from timeside_decoder.fetched import Fetched  # not above: only what is needed is imported

            return Fetched(source, may_end=not decoder.reconnect)
        raise MediaError(f"{source!r}: is no live source: -, pipe:…, http://…, https://…, alsa:… and pulse:… are")

    def _check(self) -> None:
        if self._cancel.is_set():
            raise CancelledError(f"{self._name} was cancelled")
        if self._stop.is_set():
            raise _StoppedError

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left_s := until - time.monotonic()) > 0:
            self._check()
            self._stop.wait(min(left_s, TICK_S))

    def _blocks(self) -> Iterator[Array]:
        """Blocks from the first sample on; breaks are bridged, while they can be."""
        try:
            while reason := (yield from self._heard()):
                missing_samples = self._bridged(reason)
                if missing_samples is None:
                    return
                self.discontinuities.append(Discontinuity(self._position, missing_samples, reason))
                blocks = self._fresh_blocks()
                yield from blocks.silence(missing_samples)
                yield from blocks.rest()
        except _StoppedError:
            return

    def _heard(self) -> Generator[Array, None, str]:
        """What comes through the connection; returns why it broke, or nothing where the source has ended."""
        assert self._connection is not None
        blocks = self._fresh_blocks()
        conform = Conform(self.media.samplerate, self._layout, self.media.channels)
        reason = ""
        try:
            for frame, lost_s in self._connection.frames():
                self._check()
                yield from blocks.silence(round(lost_s * self.media.samplerate))
                for each in conform.frames(frame):
                    yield from blocks.put(each, 0, each.samples)
        except BreakError as error:
            reason = str(error)
        except _StoppedError:
            pass
        for each in conform.rest():
            yield from blocks.put(each, 0, each.samples)
        yield from blocks.rest()
        if time.monotonic() - self._connection.began > STEADY_S:
            self._pause_s = self._decoder.pause_s
        self.close()
        return reason

    def _bridged(self, reason: str) -> int | None:
        """Connect again; return how many samples were missed meanwhile, or None where it has ended."""
        decoder = self._decoder
        if self._is_pipe or not decoder.reconnect:
            self.ended = reason
            return None
        give_up = time.monotonic() + decoder.max_gap_s
        while True:
            self._wait(self._pause_s)
            self._pause_s = min(2 * self._pause_s, decoder.max_pause_s)
            try:
                self._connection = self._connect()
                break
            except (BreakError, OSError, MediaError) as error:
                if time.monotonic() > give_up:
                    self.ended = f"{reason}; not to be had again for {decoder.max_gap_s:g} s: {error}"
                    return None
        missed_s = self._connection.began - self._began - self._position / self.media.samplerate
        if missed_s > decoder.max_gap_s:
            self.ended = f"{reason}; {missed_s:.0f} s were missed, more than max_gap_s={decoder.max_gap_s:g}"
            return None
        return max(0, round(missed_s * self.media.samplerate))

    def _fresh_blocks(self) -> Blocks:
        return Blocks(self.media.channels, BLOCK_SAMPLES)

    def _finite(self, block: Array) -> Array:
        """The block, without what floats and damaged frames may hold that is no number."""
        if self.media.bit_depth is None and not np.isfinite(block).all():
            bad = ~np.isfinite(block)
            self.damage.zeroed_samples += int(np.count_nonzero(bad.any(axis=1)))
            block[bad] = 0
        return block

    def _warn(self) -> None:
        told = [str(self.damage)] if self.damage else []
        if breaks := len(self.discontinuities):
            seconds = sum(each.samples for each in self.discontinuities) / self.media.samplerate
            told.append(f"{breaks} {'break' if breaks == 1 else 'breaks'}, bridged by {seconds:.1f} s of silence")
        if self.ended:
            told.append(f"it ended because {self.ended}")
        if told:
            warnings.warn(f"{self._name}: {', '.join(told)}", LiveSourceWarning, stacklevel=3)


def _shown(source: str) -> str:
    """An address for messages: those of the network may hold secrets."""
    if not source.startswith(_URLS):
        return source
    from timeside_core.fetch.urls import shown

    return shown(source)
