"""Decoder and analyzer as workers with children, over the memory bus: equality, isolation, fencing, drain."""

import asyncio
import itertools
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.support.plans import command
from tests.support.plugins import ANALYZER, ENDLESS, FORGER, Crashing, Hanging, Hogging, Slow
from tests.support.stages import (
    PCM,
    Collected,
    all_done,
    kept,
    memory_bus,
    processors,
    recording,
    same,
    send,
    stored,
    working,
)
from tests.support.stages import blocks as stream

from timeside_core import get_processor, topics
from timeside_core.bus import Bus, BusSettings, Edge, Partition, Position, Reader, Value
from timeside_core.bus.memory import MemoryBus
from timeside_core.errors import BusUnavailableError
from timeside_core.ids import uuid7
from timeside_core.messages import Block, BlockKind, Cancel, DeadLetter, Decode, Facts, Failed, Gap, Lost, encode
from timeside_core.pipeline import Decoder
from timeside_core.processor import Processor
from timeside_core.stage.service import Worker
from timeside_core.stage.settings import StageSettings
from timeside_core.store import Store
from timeside_decoder.file import FileDecoder
from timeside_decoder.stage import STAGE as DECODER


@pytest.fixture(autouse=True)
def import_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Children find the analyzers that misbehave."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[4]))


@pytest.fixture
def settings(tmp_path: Path) -> StageSettings:
    return StageSettings(
        store_url=(tmp_path / "store").as_uri(),
        scratch=tmp_path,
        children=1,
        drain_s=10,
        step_s=2,
        commit_every_s=0.05,
    )


@pytest.fixture
def store(settings: StageSettings) -> Store:
    return Store(settings.store)


async def open_runs(worker: Worker, count: int) -> None:
    """Wait until so many runs are open."""
    async with asyncio.timeout(10):
        while worker.open_runs != count:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def publish(bus: Bus, *blocks: Block) -> None:
    for block in blocks:
        await bus.publish(PCM, encode(block), key=block.run_id.bytes, partition=0)


def reference(path: Path, processor: Processor) -> Any:
    decoder: Decoder = FileDecoder(path)
    return (decoder | processor).run()


def some(*kinds: type) -> Callable[[list[Any]], bool]:
    return lambda messages: any(isinstance(each, kinds) for each in messages)


async def test_interleaved_runs_equal_runs_in_one_process(
    tmp_path: Path, settings: StageSettings, store: Store
) -> None:
    wanted = processors("level", "spectral_centroid")
    paths = [recording(tmp_path / f"{seed}.wav", seed=seed) for seed in range(4)]
    streams = [stream(command(kept(store, path), wanted), path) for path in paths]
    commands = [command_of(each) for each in streams]
    async with memory_bus() as bus, Collected(bus, topics.RESULT) as results, working(bus, [ANALYZER], settings):
        for blocks in itertools.zip_longest(*streams):
            await publish(bus, *(block for block in blocks if block is not None))
        await results.until(all_done(commands))
    for path, each in zip(paths, commands, strict=True):
        for processor, done in zip(wanted, results.done(each.run.run_id), strict=True):
            same(stored(store, done), reference(path, processor))


def command_of(blocks: list[Block]) -> Decode:
    return Decode(run=blocks[0].body.run)


async def test_commands_are_decoded_in_a_sandboxed_child(tmp_path: Path, settings: StageSettings, store: Store) -> None:
    path = recording(tmp_path / "a.wav")
    (level,) = processors("level")
    decode_ = command(kept(store, path), [level])
    async with (
        memory_bus() as bus,
        Collected(bus, topics.RESULT, topics.PROGRESS, topics.LEASE) as results,
        working(bus, [DECODER, ANALYZER], settings.model_copy(update={"lease_s": 0.3})),
    ):
        await send(bus, decode_)
        messages = await results.until(all_done([decode_]))
    same(stored(store, results.done(decode_.run.run_id)[0]), reference(path, level))
    assert {each.stage for each in messages if each.kind == "progress"} == {"decoder", "analyzer"}


async def test_all_kinds_of_media_are_decoded_in_the_sandbox(
    tmp_path: Path, settings: StageSettings, store: Store
) -> None:
    source = recording(tmp_path / "source.wav", samples=100_000)
    paths = [tmp_path / f"a.{get_processor(each).extension}" for each in ENCODERS]
    for id, path in zip(ENCODERS, paths, strict=True):
        (FileDecoder(source) | get_processor(id).from_parameters({"output": str(path)})).run()
    (level,) = processors("level")
    commands = [command(kept(store, path), [level]) for path in paths]
    async with (
        memory_bus() as bus,
        Collected(bus, topics.RESULT) as results,
        working(bus, [DECODER, ANALYZER], settings),
    ):
        for each in commands:
            await send(bus, each)
        await results.until(all_done(commands))
    for path, each in zip(paths, commands, strict=True):
        same(stored(store, results.done(each.run.run_id)[0]), reference(path, level))


ENCODERS = ("flac_encoder", "vorbis_encoder", "mp3_encoder", "opus_encoder", "aac_encoder", "webm_encoder")


@pytest.mark.parametrize(
    ("bad", "code", "step"),
    [(Crashing(), "crashed", "test_crashing"), (Hanging(), "hung", "test_hanging")],
)
async def test_a_dying_child_names_the_processor(
    tmp_path: Path, settings: StageSettings, store: Store, bad: Processor, code: str, step: str
) -> None:
    path = recording(tmp_path / "a.wav")
    first = command(kept(store, path), [*processors("level"), bad])
    bystander = command(kept(store, path), processors("level"))
    async with memory_bus() as bus, Collected(bus, topics.RESULT) as results, working(bus, [ANALYZER], settings):
        await publish(bus, stream(bystander, path)[0], *stream(first, path))
        messages = await results.until(lambda all: sum(isinstance(each, Failed) for each in all) == 2)
        failed = {each.run_id: each for each in messages if isinstance(each, Failed)}
        guilty, innocent = failed[first.run.run_id], failed[bystander.run.run_id]
        assert (guilty.processor, guilty.code, guilty.retriable) == (1, code, True)
        assert f"{step!r} ran" in guilty.reason
        assert (innocent.processor, innocent.retriable) == (None, True)
        # The service lives: the next attempt is served by another child.
        again = command(kept(store, path), processors("level"), run_id=bystander.run.run_id, attempt=2)
        await publish(bus, *stream(again, path))
        await results.until(all_done([again]))


async def test_the_third_attempt_has_no_company(tmp_path: Path, settings: StageSettings, store: Store) -> None:
    path = recording(tmp_path / "a.wav")
    third = command(kept(store, path), [Crashing(), *processors("level")], attempt=3)
    bystander = command(kept(store, path), processors("level"))
    async with memory_bus() as bus, Collected(bus, topics.RESULT) as results, working(bus, [ANALYZER], settings):
        blocks = stream(bystander, path)
        await publish(bus, blocks[0], *stream(third, path), *blocks[1:])
        await results.until(all_done([bystander]))
        messages = await results.until(some(Failed))
    assert [(each.run_id, each.processor) for each in messages if isinstance(each, Failed)] == [(third.run.run_id, 0)]


async def test_a_higher_attempt_replaces_the_one_at_work(tmp_path: Path, settings: StageSettings, store: Store) -> None:
    path = recording(tmp_path / "a.wav")
    run_id = uuid7()
    first, second = (
        command(kept(store, path), processors("level"), run_id=run_id, attempt=attempt) for attempt in (1, 2)
    )
    async with (
        memory_bus() as bus,
        Collected(bus, topics.RESULT) as results,
        working(bus, [DECODER, ANALYZER], settings.model_copy(update={"children": 2})),
    ):
        await send(bus, first)
        await send(bus, second)
        messages = await results.until(
            lambda all: (
                any(isinstance(each, Facts) and each.final and each.attempt == 2 for each in all)
                and bool(results.done(run_id))
            )
        )
    assert not some(Failed)(messages)
    same(stored(store, results.done(run_id)[0]), reference(path, *processors("level")))


async def test_a_memory_hog_fails_alone(tmp_path: Path, settings: StageSettings, store: Store) -> None:
    path = recording(tmp_path / "a.wav")
    decode_ = command(kept(store, path), [Hogging(at_sample=100_000), *processors("level")])
    async with memory_bus() as bus, Collected(bus, topics.RESULT) as results, working(bus, [ANALYZER], settings):
        await publish(bus, *stream(decode_, path))
        messages = await results.until(lambda all: some(Failed)(all) and bool(results.done(decode_.run.run_id)))
    (failed,) = (each for each in messages if isinstance(each, Failed))
    assert (failed.processor, failed.code, failed.retriable) == (0, "memory", True)
    assert [each.processor for each in results.done(decode_.run.run_id)] == [1]


async def test_a_decoder_speaks_of_its_own_run_only(tmp_path: Path, settings: StageSettings, store: Store) -> None:
    decode_ = command(kept(store, recording(tmp_path / "a.wav")), processors("level"))
    async with memory_bus() as bus, Collected(bus, topics.RESULT) as results, working(bus, [FORGER], settings):
        await send(bus, decode_)
        (failed,) = await results.until(some(Failed))
    assert (failed.run_id, failed.code, failed.retriable) == (decode_.run.run_id, "crashed", True)
    assert "sent what it must not" in failed.reason


async def test_two_decoders_of_a_run_never_mix(tmp_path: Path, settings: StageSettings, store: Store) -> None:
    """The slow one of an attempt before wakes in the middle; and one of the same attempt begins anew."""
    (level,) = processors("level")
    old, new = recording(tmp_path / "old.wav", seed=1), recording(tmp_path / "new.wav", seed=2)
    first = command(kept(store, new), [level])
    zombie = stream(first, old)
    run = first.run.model_copy(update={"attempt": 2})
    again = [stream(Decode(run=run), new), stream(Decode(run=run), new)]
    async with memory_bus() as bus, Collected(bus, topics.RESULT) as results, working(bus, [ANALYZER], settings):
        await publish(bus, *zombie[:2], *again[0][:2], *zombie[2:4], *again[1][:3], *again[0][2:], *zombie[4:])
        await publish(bus, *again[1][3:], zombie[0], *zombie[1:])
        await results.until(all_done([first]))
    (done,) = results.done(first.run.run_id)
    assert done.attempt == 2
    same(stored(store, done), reference(new, level))


async def test_a_missing_block_is_reported(tmp_path: Path, settings: StageSettings, store: Store) -> None:
    path = recording(tmp_path / "a.wav")
    blocks = stream(command(kept(store, path), processors("level")), path)
    async with memory_bus() as bus, Collected(bus, topics.RESULT) as results, working(bus, [ANALYZER], settings):
        await publish(bus, *blocks[:2], *blocks[3:])
        messages = await results.until(some(Gap))
    (gap,) = messages
    assert (gap.seq, gap.found_seq) == (2, 3)


async def test_records_that_are_gone_are_reported(tmp_path: Path, settings: StageSettings, store: Store) -> None:
    path = recording(tmp_path / "a.wav")
    lost, next_ = (command(kept(store, path), processors("level")) for _ in range(2))
    async with memory_bus() as bus, Collected(bus, topics.RESULT) as results:
        await publish(bus, *stream(lost, path))
        await bus.trim({Partition(PCM, 0): 3})
        async with working(bus, [ANALYZER], settings):
            messages = await results.until(some(Lost))
            assert (messages[0].topic, messages[0].partition, messages[0].first_offset) == (PCM, 0, 3)
            await publish(bus, *stream(next_, path))
            await results.until(all_done([next_]))


async def test_a_stalled_run_is_reported(tmp_path: Path, settings: StageSettings, store: Store) -> None:
    path = recording(tmp_path / "a.wav")
    blocks = stream(command(kept(store, path), processors("level")), path)
    patience = settings.model_copy(update={"stall_s": 0.5, "lease_s": 0.3})
    async with memory_bus() as bus, Collected(bus, topics.RESULT) as results, working(bus, [ANALYZER], patience):
        await publish(bus, *blocks[:2])
        messages = await results.until(some(Failed))
        assert (messages[0].code, messages[0].retriable) == ("stalled", True)


class AbsentBus(MemoryBus):
    """Keeps no sign of life while it is away."""

    def __init__(self) -> None:
        super().__init__(topics.declared(max_partitions=2), settings=BusSettings())
        self.is_there = asyncio.Event()
        self.is_there.set()

    async def send(self, topic: str, value: Value, **more: Any) -> asyncio.Future[Position]:  # type: ignore[override]
        if topic == topics.LEASE:
            await self.is_there.wait()
        return await super().send(topic, value, **more)


async def test_a_decoder_has_time_to_come_back_when_the_bus_does(
    tmp_path: Path, settings: StageSettings, store: Store
) -> None:
    path = recording(tmp_path / "a.wav")
    blocks = stream(command(kept(store, path), processors("level")), path)
    stall_s = 1.0
    patience = settings.model_copy(update={"stall_s": stall_s, "lease_s": 0.3})
    async with (
        AbsentBus() as bus,
        Collected(bus, topics.RESULT) as results,
        working(bus, [ANALYZER], patience) as worker,
    ):
        await publish(bus, *blocks[:2])
        await open_runs(worker, 1)
        bus.is_there.clear()
        await asyncio.sleep(2 * stall_s)
        bus.is_there.set()
        back = time.monotonic()
        messages = await results.until(some(Failed))
        assert time.monotonic() - back >= stall_s
        assert (messages[0].code, messages[0].retriable) == ("stalled", True)


async def test_poison_is_buried_and_passed_over(tmp_path: Path, settings: StageSettings, store: Store) -> None:
    path = recording(tmp_path / "a.wav")
    decode_ = command(kept(store, path), processors("level"))
    async with (
        memory_bus() as bus,
        Collected(bus, topics.RESULT, topics.DEAD_LETTERS) as results,
        working(bus, [DECODER, ANALYZER], settings),
    ):
        await bus.publish(PCM, b"TSB1 is not a block", partition=0, key=b"k")
        await bus.publish(topics.decode_commands("interactive"), b"{}", key=uuid7().bytes)
        await send(bus, decode_)
        messages = await results.until(
            lambda all: (
                bool(results.done(decode_.run.run_id)) and sum(isinstance(each, DeadLetter) for each in all) == 2
            )
        )
    assert {each.group for each in messages if isinstance(each, DeadLetter)} == {"ts.analyzer", "ts.decoder"}


async def test_cancel_ends_a_run_everywhere(tmp_path: Path, settings: StageSettings, store: Store) -> None:
    path = recording(tmp_path / "a.wav", samples=2_000_000)
    slow = command(kept(store, path), [Slow()])
    async with (
        memory_bus() as bus,
        Collected(bus, topics.RESULT, PCM) as results,
        working(bus, [DECODER, ANALYZER], settings) as worker,
    ):
        await send(bus, slow)
        await results.until(lambda all: sum(isinstance(each, Block) for each in all) > 3)
        await bus.publish(topics.CONTROL, encode(Cancel(run_id=slow.run.run_id)), key=slow.run.run_id.bytes)
        await results.until(lambda all: any(isinstance(each, Block) and each.kind in LAST for each in all))
        await open_runs(worker, 0)
    assert not results.done(slow.run.run_id)


LAST = (BlockKind.END, BlockKind.CANCELLED)


class GoingAwayBus(MemoryBus):
    """Does not tell bounds to the next readers that ask: it goes away as soon as it was there."""

    refusals = 0

    def __init__(self) -> None:
        super().__init__(topics.declared(max_partitions=2), settings=BusSettings())
        self.is_back = asyncio.Event()

    def reader(self) -> Reader:  # type: ignore[override]
        reader = super().reader()
        assign = reader.assign

        async def refuse(positions: Mapping[Partition, int | Edge]) -> None:
            if self.refusals:
                self.refusals -= 1
                raise BusUnavailableError("bounds of partitions: no answer within 40 s")
            await assign(positions)
            self.is_back.set()

        reader.assign = refuse
        return reader


async def test_a_bus_that_goes_away_while_a_worker_starts_is_waited_for(
    tmp_path: Path, settings: StageSettings, store: Store
) -> None:
    path = recording(tmp_path / "a.wav", samples=2_000_000)
    slow = command(kept(store, path), [Slow()])
    async with GoingAwayBus() as bus, Collected(bus, PCM) as blocks:
        bus.refusals = 2
        bus.is_back.clear()
        async with working(bus, [DECODER, ANALYZER], settings) as worker, asyncio.timeout(20):
            await send(bus, slow)
            await blocks.until(some(Block))
            await bus.is_back.wait()
            assert bus.refusals == 0
            await bus.publish(topics.CONTROL, encode(Cancel(run_id=slow.run.run_id)), key=slow.run.run_id.bytes)
            await open_runs(worker, 0)


async def test_a_drain_finishes_what_is_open_and_leaves_the_rest(
    tmp_path: Path, settings: StageSettings, store: Store
) -> None:
    path = recording(tmp_path / "a.wav")
    (level,) = processors("level")
    opened, later = (command(kept(store, path), [level]) for _ in range(2))
    first, second = stream(opened, path), stream(later, path)
    async with memory_bus() as bus, Collected(bus, topics.RESULT) as results:
        async with working(bus, [ANALYZER], settings) as worker:
            await publish(bus, *first[:2])
            await open_runs(worker, 1)
            worker.drain()
            assert not worker.is_ready
            await publish(bus, second[0], *first[2:])
            await results.until(all_done([opened]))
        async with working(bus, [ANALYZER], settings):
            await publish(bus, *second[1:])
            await results.until(all_done([later]))


async def test_what_a_drain_cannot_finish_is_handed_back(tmp_path: Path, settings: StageSettings, store: Store) -> None:
    decode_ = command(kept(store, recording(tmp_path / "a.wav")), processors("level"))
    hasty = settings.model_copy(update={"drain_s": 0.2})
    async with memory_bus() as bus, Collected(bus, topics.RESULT) as results:
        async with working(bus, [ENDLESS], hasty) as worker:
            await send(bus, decode_)
            await open_runs(worker, 1)
        (failed,) = await results.until(some(Failed))
    assert (failed.run_id, failed.code, failed.retriable) == (decode_.run.run_id, "handed_back", True)


async def test_state_is_kept_when_partitions_come_back(tmp_path: Path, settings: StageSettings, store: Store) -> None:
    path = recording(tmp_path / "a.wav")
    (level,) = processors("level")
    decode_ = command(kept(store, path), [level])
    blocks = stream(decode_, path)
    async with memory_bus() as bus, Collected(bus, topics.RESULT) as results, working(bus, [ANALYZER], settings) as one:
        await publish(bus, *blocks[:3])
        await open_runs(one, 1)
        await come_and_go(bus)
        await publish(bus, *blocks[3:])
        await results.until(all_done([decode_]))
    same(stored(store, results.done(decode_.run.run_id)[0]), reference(path, level))


async def come_and_go(bus: MemoryBus) -> None:
    """Another member of the group takes partitions, and gives them back."""
    async with bus.consumer(PCM, group="ts.analyzer"):
        await asyncio.sleep(0.1)
