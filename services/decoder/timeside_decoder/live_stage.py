"""Live sources in the decoder service: bytes come through a relay, blocks go to the pools until the source ends.

The I/O process alone has the network. What came of it is decoded in a child as hostile as any file is to it.
"""

import contextlib
import importlib
import queue
import threading
import uuid
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any, TypeAlias

from timeside_core import Array, Media, Stream, topics
from timeside_core.errors import CancelledError, StoreError
from timeside_core.fetch import live_fetch
from timeside_core.messages import BlockForm, BlockKind, Decode, LiveSource, MediaFacts, Start
from timeside_core.messages import Discontinuity as DiscontinuityMessage
from timeside_core.stage.handler import OnStep, Opener, Outgoing
from timeside_core.stage.service import CommandStage
from timeside_core.stage.settings import StageSettings
from timeside_decoder.bytesource import TICK_S
from timeside_decoder.fetched import Fetched
from timeside_decoder.live import BLOCK_SAMPLES, Discontinuity, LiveDecoder, LiveSession, LiveSourceWarning
from timeside_decoder.relay import Connections, Relay
from timeside_decoder.stage import NAME, DecoderSettings, Decoding

AGAIN_S = 5.0
"""How often a stream says its start again: so much more than it needs, at most, is replayed after a crash."""
_HELD = 64
"""Blocks between listening and sending: 6 s; then the server waits."""


@dataclass(frozen=True, slots=True)
class _Opened:
    media: Media
    stream: Stream


@dataclass(frozen=True, slots=True)
class _Audio:
    block: Array
    breaks: tuple[Discontinuity, ...]
    """Right before it."""


@dataclass(frozen=True, slots=True)
class _Ended:
    media: Media
    told: list[str]


_Heard: TypeAlias = _Opened | _Audio | _Ended | BaseException


class LiveDecoding(Decoding):
    """One command in; blocks for as long as the source lasts, or as the plan's segment is long.

    The segment's first sample is no offset in the source, which has no beginning: it is what the session's clock shows
    when listening begins, so that an attempt can go on where one before it ended.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, 1)
        self._folder = folder
        self._cancel, self._stop = threading.Event(), threading.Event()
        self._session: LiveSession | None = None
        self._heard: queue.Queue[_Heard] = queue.Queue(_HELD)

    def cancel(self) -> None:
        """Stop listening."""
        self._cancel.set()

    def stop(self) -> None:
        """Listen no more; what was heard is sent to its end."""
        self._stop.set()
        if self._session is not None:
            self._session.stop()

    def _decoded(self) -> Iterator[Outgoing | None]:
        source = self._run.plan.source
        assert isinstance(source, LiveSource)
        self._decoder_of_source = LiveDecoder(source.url, session=source.session, open_bytes=Connections(self._folder))
        listener = threading.Thread(target=self._listen, name="listen", daemon=True)
        listener.start()
        try:
            yield from self._told()
        except CancelledError:
            yield from self._cancelled()
        finally:
            self._cancel.set()
            listener.join()

    def _listen(self) -> None:
        """In a thread, as silence of the source must not keep a cancel from being seen."""
        try:
            with (
                warnings.catch_warnings(record=True) as caught,
                self._decoder_of_source.open_until(self._cancel) as session,
            ):
                warnings.simplefilter("always", LiveSourceWarning)
                self._session = session
                if self._stop.is_set():
                    session.stop()
                self._put(_Opened(session.media, session.stream))
                last: Discontinuity | None = None
                for block in session:
                    breaks = _after(last, session.discontinuities)
                    last = breaks[-1] if breaks else last
                    self._put(_Audio(block, breaks))
            self._put(_Ended(session.media, [str(each.message) for each in caught]))
        except BaseException as error:
            self._put(error)

    def _put(self, heard: _Heard) -> None:
        while not self._cancel.is_set():
            with contextlib.suppress(queue.Full):
                self._heard.put(heard, timeout=TICK_S)
                return

    def _told(self) -> Iterator[Outgoing | None]:
        """What is heard, as blocks."""
        wanted, samples = self._run.plan.segment.samples, 0
        media: Media | None = None
        while True:
            if self._cancel.is_set():
                raise CancelledError(f"{self._decoder_of_source!r} was cancelled")
            try:
                heard = self._heard.get(timeout=TICK_S)
            except queue.Empty:
                yield None
                continue
            match heard:
                case BaseException():
                    raise heard
                case _Opened():
                    media = heard.media
                    yield from self._begin(media, heard.stream)
                    self._again = self._told_again = round(AGAIN_S * media.samplerate)
                case _Ended():
                    yield from self._end(heard.media, samples, self._decoder_of_source, heard.told)
                    return
                case _Audio():
                    block = heard.block if wanted is None else heard.block[: wanted - samples]
                    yield from self._sent(block, heard.breaks)
                    samples += len(block)
                    yield self._progress(samples, wanted)
                    if media is not None and samples == wanted:
                        yield from self._end(media, samples, self._decoder_of_source, [])
                        return

    def _sent(self, block: Array, breaks: tuple[Discontinuity, ...]) -> Iterator[Outgoing]:
        for outflow in self._outflows:
            for each in breaks:
                yield from outflow.rest()
                body = DiscontinuityMessage(reason=each.reason[:4096], missing_samples=each.samples)
                yield outflow.say(BlockKind.DISCONTINUITY, body)
            yield from outflow.put(block)
        first_sample = min(outflow.first_sample for outflow in self._outflows)
        if first_sample >= self._told_again:
            self._told_again = first_sample + self._again
            yield from (outflow.say_again(self._start) for outflow in self._outflows)

    def _begin(self, media: Media, stream: Stream) -> Iterator[Outgoing]:
        self._start = Start(run=self._run, facts=MediaFacts.of(media))
        yield from super()._begin(media, stream)

    def _sinks(self) -> list[tuple[str, int | None, BlockForm]]:
        """Small blocks, that they come soon; floats, as what follows a break may be of any kind."""
        sinks = super()._sinks()
        return [(pool, partition, form.model_copy(update=_form(form))) for pool, partition, form in sinks]


def _after(last: Discontinuity | None, breaks: Sequence[Discontinuity]) -> tuple[Discontinuity, ...]:
    """Those that came after the last one that was told."""
    return tuple(takewhile(lambda each: each is not last, reversed(breaks)))[::-1]


def _form(form: BlockForm) -> Mapping[str, Any]:
    samples = min(BLOCK_SAMPLES, form.block_samples or BLOCK_SAMPLES)
    return {"samples_as": "f32", "block_samples": samples}


def opener(_: Mapping[str, Any], __: OnStep) -> Opener:
    """Handlers of live sources, in a child."""
    for module in ("ffmpeg", "live"):
        importlib.import_module(f"timeside_decoder.{module}")
    return lambda _, prepared: LiveDecoding(Path(prepared["folder"]))


class LiveFiles:
    """Relays of the sources at work."""

    def __init__(self, settings: StageSettings) -> None:
        known = DecoderSettings.model_validate(settings.model_dump())
        self._fetch = live_fetch(known.live_ports, known.live_networks)
        self._scratch = settings.scratch_folder / "live"
        self._scratch.mkdir(exist_ok=True)
        self.readable = (str(self._scratch),)
        self._relays: dict[tuple[uuid.UUID, int], Relay] = {}

    def prepare(self, command: Decode) -> dict[str, Any]:
        """Begin to relay; raises `StoreError`."""
        source, folder = command.run.plan.source, self._scratch / uuid.uuid4().hex
        if not isinstance(source, LiveSource):
            raise StoreError("media in the store are decoded by another deployment")
        try:
            relay = Relay(folder, lambda: Fetched(source.url, self._fetch))
        except OSError as error:
            raise StoreError(f"{folder}: cannot be made: {error.strerror}") from error
        self._relays[_key(command)] = relay
        return {"folder": str(folder)}

    def release(self, command: Decode) -> None:
        """Hang up."""
        if (relay := self._relays.pop(_key(command), None)) is not None:
            relay.close()


def _key(command: Decode) -> tuple[uuid.UUID, int]:
    return command.run.run_id, command.run.attempt


LIVE_STAGE = CommandStage(
    name=NAME,
    factory="timeside_decoder.live_stage:opener",
    command_topic=lambda _: topics.LIVE,
    topics=frozenset({"ts.pcm", topics.RESULT, topics.PROGRESS}),
    files=LiveFiles,
    is_sandboxed=True,
    group="ts.decoder-live",
)
