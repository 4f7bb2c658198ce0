"""The decoder service: takes commands, decodes local bytes in a sandboxed child, sends blocks to the pools of the plan.

A child imports what reads media before it shuts itself in, and has no way to the network, to other files, or to other
programs; what it decodes is bounded in samples, in time and in memory.
"""

import importlib
import secrets
import threading
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from timeside_core import Array, Decoder, Media, Mono, Stream, topics
from timeside_core.errors import (
    LimitError,
    MediaError,
    NoAudioError,
    PipelineError,
    SegmentError,
    StoreError,
    TimesideError,
)
from timeside_core.messages import (
    Block,
    BlockForm,
    BlockKind,
    Decode,
    DecodingError,
    Discontinuity,
    End,
    Facts,
    Failed,
    MediaFacts,
    ProcessorValue,
    Progress,
    Run,
    SampleFormat,
    Start,
    StoredMedia,
    block_samples,
    pcm,
)
from timeside_core.pipeline import Source
from timeside_core.stage.handler import Handler, OnStep, Opener, Outgoing
from timeside_core.stage.service import CommandStage
from timeside_core.stage.settings import StageSettings
from timeside_core.store import Store
from timeside_decoder.file import MAX_SAMPLES, DamagedMediaWarning, FileDecoder
from timeside_decoder.media import describe

NAME = "decoder"
_PCM_BITS = 16
"""Integers of so many bits or less travel as s16, without loss."""


class DecoderSettings(StageSettings):
    """Those of a decoder."""

    max_samples: Annotated[int, Field(gt=0)] = MAX_SAMPLES
    """Most samples that one media may decode to: 27 h at 44.1 kHz."""
    local_pool: str = ""
    """Gets the blocks of plans without sinks: a pool of this process, which does all of such a run."""
    live: bool = False
    """Whether this deployment listens to live sources, and does nothing else. It alone needs a way to the network."""
    live_ports: str = "80,443,8000"
    """Ports that are connected to, parted by commas; 8000 is that of Icecast."""
    live_networks: str = ""
    """Networks, parted by commas, that may be connected to although the internet does not reach them."""


@dataclass(kw_only=True)
class Outflow:
    """Blocks on their way to one pool."""

    run: Run
    pool: str
    partition: int | None
    form: BlockForm
    stream_id: int
    samplerate: int
    channels: int
    sample_format: SampleFormat
    seq: int = 1
    """Of the next block; a start has 0."""
    first_sample: int = 0
    held: list[Array] = field(default_factory=list[Array])
    held_samples: int = 0

    def __post_init__(self) -> None:
        limit = block_samples(self.channels, self.sample_format)
        self.block_samples = min(self.form.block_samples or limit, limit)

    def say(self, kind: BlockKind, body: Start | End | DecodingError | Discontinuity | None = None) -> Outgoing:
        """A block that says something."""
        return self._outgoing(Block(**self._header(kind), body=body))

    def say_again(self, start: Start) -> Outgoing:
        """The start, for who comes later and begins here."""
        return self.say(BlockKind.START, start.model_copy(update={"next_seq": self.seq}))

    def put(self, audio: Array) -> Iterator[Outgoing]:
        """Take samples as decoded; yield the blocks that are full."""
        if self.form.mono:
            audio = Mono().process(audio)[:, np.newaxis]
        while len(audio):
            piece = audio[: self.block_samples - self.held_samples]
            audio = audio[len(piece) :]
            self.held.append(piece)
            self.held_samples += len(piece)
            if self.held_samples == self.block_samples:
                yield self._data()

    def rest(self) -> Iterator[Outgoing]:
        """The last block, where there is something left for one."""
        if self.held_samples:
            yield self._data()

    def _data(self) -> Outgoing:
        audio = self.held[0] if len(self.held) == 1 else np.concatenate(self.held)
        self.held, self.held_samples = [], 0
        block = Block(**self._header(BlockKind.DATA), samples=len(audio), payload=pcm(audio, self.sample_format))
        self.first_sample += len(audio)
        return self._outgoing(block)

    def _header(self, kind: BlockKind) -> dict[str, Any]:
        seq = 0 if kind is BlockKind.START else self.seq
        self.seq = max(self.seq, seq + 1)
        return {
            "kind": kind,
            "run_id": self.run.run_id,
            "attempt": self.run.attempt,
            "stream_id": self.stream_id,
            "seq": seq,
            "first_sample": self.first_sample,
            "samplerate": self.samplerate,
            "channels": self.channels,
            "sample_format": self.sample_format,
        }

    def _outgoing(self, block: Block) -> Outgoing:
        return Outgoing(topics.pcm(self.pool, self.run.lane), block, self.partition)


class Decoding(Handler):
    """One command in; blocks, facts and progress out."""

    def __init__(self, path: Path, max_samples: int, *, local_pool: str = "") -> None:
        self._path, self._max_samples, self._local_pool = path, max_samples, local_pool
        self._is_cancelled = False
        self._outflows: list[Outflow] = []

    def cancel(self) -> None:
        """Stop at the next block."""
        self._is_cancelled = True

    def handle(self, message: Decode) -> Iterator[Outgoing | None]:
        """Decode all of it."""
        self._run = message.run
        try:
            yield from self._decoded()
        except TimesideError as error:
            yield from self._failed(error)
        self.done = True

    def _decoded(self) -> Iterator[Outgoing | None]:
        decoder = self._decoder()
        with decoder.open() as source, warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", DamagedMediaWarning)
            yield from self._begin(source.media, source.stream)
            samples = 0
            for audio in source:
                if self._is_cancelled:
                    yield from self._cancelled()
                    return
                for outflow in self._outflows:
                    yield from outflow.put(audio)
                samples += len(audio)
                yield self._progress(samples, _expected(source))
            media = source.media
            yield from self._end(media, samples, decoder, [str(each.message) for each in caught])

    def _decoder(self) -> FileDecoder:
        segment = self._run.plan.segment
        if segment.segment().whole:
            return FileDecoder(self._path, max_samples=self._max_samples)
        samplerate = describe(self._path).samplerate
        duration = None if segment.samples is None else segment.samples / samplerate
        start = segment.first_sample / samplerate
        return FileDecoder(self._path, start=start, duration=duration, max_samples=self._max_samples)

    def _begin(self, media: Media, stream: Stream) -> Iterator[Outgoing]:
        facts = MediaFacts.of(media)
        narrow = media.bit_depth is not None and media.bit_depth <= _PCM_BITS
        stream_id = secrets.randbits(64)
        for pool, partition, form in self._sinks():
            mixed = form.mono and stream.channels > 1
            is_s16 = narrow and not mixed and form.samples_as == "narrowest"
            outflow = Outflow(
                run=self._run,
                pool=pool,
                partition=partition,
                form=form,
                stream_id=stream_id,
                samplerate=stream.samplerate,
                channels=1 if form.mono else stream.channels,
                sample_format=SampleFormat.S16 if is_s16 else SampleFormat.F32,
            )
            self._outflows.append(outflow)
            yield outflow.say(BlockKind.START, Start(run=self._run, facts=facts))
        yield self._facts(facts, final=False)

    def _sinks(self) -> list[tuple[str, int | None, BlockForm]]:
        if sinks := self._run.plan.sinks:
            return [(sink.pool, sink.partition, sink.form) for sink in sinks]
        if not self._local_pool:
            raise PipelineError("a plan without sinks is for a worker that does all of it")
        return [(self._local_pool, None, BlockForm())]

    def _cancelled(self) -> Iterator[Outgoing]:
        yield from (each.say(BlockKind.CANCELLED) for each in self._outflows)

    def _end(self, media: Media, samples: int, decoder: Decoder, told: list[str]) -> Iterator[Outgoing]:
        facts = MediaFacts.of(media)
        expected = self._run.plan.source
        if isinstance(expected, StoredMedia) and facts.sha256 != expected.sha256:
            raise MediaError(f"media {expected.sha256} is damaged: its bytes have the SHA-256 {facts.sha256}")
        value = ProcessorValue(id=decoder.id, version=decoder.version, parameters=decoder.parameters())
        names = tuple(each.replace(f"{self._path}: ", "")[:4096] for each in told[:64])
        end = End(facts=facts, samples=samples, decoder=value, warnings=names)
        for outflow in self._outflows:
            yield from outflow.rest()
            yield outflow.say(BlockKind.END, end)
        yield self._facts(facts, final=True)

    def _failed(self, error: TimesideError) -> Iterator[Outgoing]:
        """Tell those who wait for blocks, then the recorder."""
        reason = str(error).replace(f"{self._path}", "media")[:4096]
        body = DecodingError(code=_code(error), reason=reason, retriable=False)
        for outflow in self._outflows:
            yield outflow.say(BlockKind.ERROR, body)
        failed = Failed(
            run_id=self._run.run_id,
            attempt=self._run.attempt,
            stage=NAME,
            code=body.code,
            reason=reason,
            retriable=False,
        )
        yield Outgoing(topics.RESULT, failed)

    def _facts(self, facts: MediaFacts, *, final: bool) -> Outgoing:
        run = self._run
        return Outgoing(topics.RESULT, Facts(run_id=run.run_id, attempt=run.attempt, facts=facts, final=final))

    def _progress(self, samples: int, expected: int | None) -> Outgoing:
        progress = Progress(
            run_id=self._run.run_id,
            attempt=self._run.attempt,
            stage=NAME,
            samples_done=samples,
            samples=expected,
        )
        return Outgoing(topics.PROGRESS, progress)


def _expected(source: Source) -> int | None:
    """Samples in all, where that is known."""
    if source.segment.samples is None and source.media.samples is not None:
        return max(0, source.media.samples - source.segment.first_sample)
    return source.segment.samples


def _code(error: TimesideError) -> str:
    codes = {NoAudioError: "no_audio", LimitError: "limit", SegmentError: "segment", MediaError: "media"}
    return next((code for kind, code in codes.items() if isinstance(error, kind)), "decoding")


def opener(settings: Mapping[str, Any], _: OnStep) -> Opener:
    """Handlers of decodings, in a child; what reads media is imported now, as nothing can be later."""
    for module in ("ffmpeg", "sndfile", "tags"):
        importlib.import_module(f"timeside_decoder.{module}")
    known = DecoderSettings.model_validate(settings)

    def open_(__: Any, prepared: Mapping[str, Any]) -> Handler:
        return Decoding(Path(prepared["path"]), known.max_samples, local_pool=known.local_pool)

    return open_


class MediaFiles:
    """Brings media to where children may read them: they lie there already where the store is a folder."""

    def __init__(self, settings: StageSettings) -> None:
        self._store = Store(settings.store)
        self._scratch = settings.scratch_folder / "media"
        kept = self._store.objects.folder
        folder = self._scratch if kept is None else kept / "media"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"folder {folder} cannot be made: {error.strerror}") from None
        self.readable = (str(folder),)
        self._used: Counter[str] = Counter()
        self._lock = threading.Lock()

    def prepare(self, command: Decode) -> dict[str, Any]:
        """Fetch the media; raises `StoreError`."""
        source = command.run.plan.source
        if not isinstance(source, StoredMedia):
            raise StoreError(f"{source.url}: live sources are decoded by another deployment")
        with self._lock:
            self._used[source.sha256] += 1
        return {"path": str(self._store.media_file(source.sha256, self._scratch))}

    def release(self, command: Decode) -> None:
        """Remove the copy, once no other command reads it."""
        source = command.run.plan.source
        if not isinstance(source, StoredMedia):
            return
        with self._lock:
            self._used[source.sha256] -= 1
            if not self._used[source.sha256]:
                del self._used[source.sha256]
                if self._store.objects.folder is None:
                    (self._scratch / source.sha256).unlink(missing_ok=True)


STAGE = CommandStage(
    name=NAME,
    factory="timeside_decoder.stage:opener",
    command_topic=topics.decode_commands,
    topics=frozenset({"ts.pcm", topics.RESULT, topics.PROGRESS}),
    files=MediaFiles,
    is_sandboxed=True,
)
