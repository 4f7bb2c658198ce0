"""The dispatcher: one at a time; what it hands out, when again, and when no more.

Crashes at each step are in test_crashes.py, fairness in test_queue.py.
"""

import time
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession
from tests.harness.actors import (
    BUS_NAME,
    SETTINGS,
    Away,
    Behaviour,
    DispatcherActor,
    RecorderActor,
    WorkerActor,
    failed,
)
from tests.harness.steps import Steps
from tests.harness.world import Makes, World

from timeside_api import queue, tasks
from timeside_api.database import Database, is_away
from timeside_api.dispatcher import Dispatcher
from timeside_api.models import Result
from timeside_api.models import Run as RunRow
from timeside_core import topics
from timeside_core.bus import Partition
from timeside_core.bus.memory import MemoryBus
from timeside_core.messages import (
    Cancel,
    Gap,
    JsonMessage,
    PlannedProcessor,
    Run,
    SegmentOfMedia,
    Sink,
    State,
    StoredMedia,
    decode,
)

pytestmark = pytest.mark.integration

PATIENCE_S = 30.0


def worker(says: Behaviour | None) -> type[WorkerActor]:
    return type("Worker", (WorkerActor,), {"behaviour": says})


def dispatcher(**settings: Any) -> type[DispatcherActor]:
    return type("ADispatcher", (DispatcherActor,), {"settings": SETTINGS.model_copy(update=settings)})


class Idle(WorkerActor):
    """Accepts a command, and is never heard of again."""

    async def work(self, run: Run) -> None: ...


Build = Callable[..., World]


@pytest.fixture
async def build(database: Database) -> AsyncIterator[Build]:
    made: list[World] = []

    def build(*makes: Makes, **options: Any) -> World:
        made.append(World(database, **options).add(*makes))
        return made[-1]

    yield build
    for world in made:
        await world.close()


async def messages(bus: MemoryBus, topic: str) -> list[Any]:
    """All that lies on a topic."""
    found: list[Any] = []
    async with bus.reader() as reader:
        partitions = [Partition(topic, number) for number in range(await bus.partition_count(topic))]
        await reader.assign({partition: "first" for partition in partitions})
        while batches := await reader.getmany(timeout_s=0.01):
            found += [decode(topic, record.value) for records in batches.values() for record in records]
    return found


async def run_row(world: World) -> tuple[Any, ...]:
    (row,) = await world.say("SELECT state, attempt, strikes FROM run")
    return row


# Whose turn it is


async def test_one_at_a_time(database: Database):
    one, two = (Dispatcher(MemoryBus(), database, bus_name=BUS_NAME) for _ in range(2))
    assert [await one.take(), await two.take(), await one.take()] == [True, False, True]
    await one.release()
    assert await two.take()
    await two.release()


async def test_who_freezes_loses_its_turn(build: Build, database: Database):
    world = build(Away, Away)
    frozen, heir = (
        Dispatcher(world.bus, database, bus_name=BUS_NAME, settings=SETTINGS.model_copy(update={"idle_s": 0.2}))
        for _ in range(2)
    )
    assert await frozen.take()
    deadline = time.monotonic() + PATIENCE_S
    while not await heir.take():  # the server waits 0.2 s
        assert time.monotonic() < deadline
    with pytest.raises(DBAPIError) as caught:
        await frozen.turn()
    assert is_away(caught.value)
    assert not frozen.is_active
    assert not await frozen.take()
    await heir.release()


# What is handed out


async def test_what_a_command_says(build: Build):
    world = build(DispatcherActor, RecorderActor, Away)
    await world.ask("mfcc", "level")
    await world.rounds()
    (command,) = await messages(world.bus, topics.decode_commands("interactive"))
    run: Run = command.run
    assert await run_row(world) == ("dispatched", 1, 0)
    assert (run.attempt, run.lane, run.plan.partial_rows) == (1, "interactive", True)
    ((media, size),) = await world.say("SELECT sha256, size FROM media")
    assert run.plan.source == StoredMedia(sha256=media, size=size)
    assert run.plan.segment == SegmentOfMedia()
    assert run.plan.sinks == (Sink(pool="analyzer", partition=0),)
    rows = {row[0]: row[1:] for row in await world.say("SELECT id, processor, version, digest FROM result")}
    planned = {each.result_id: (each.id, each.version, each.digest) for each in run.plan.processors}
    assert planned == rows


async def test_a_fused_run_has_no_sinks(build: Build):
    world = build(DispatcherActor, RecorderActor, Away)
    await world.ask("mfcc", lane="bulk")
    await world.rounds()
    (command,) = await messages(world.bus, topics.decode_commands("bulk"))
    assert (command.run.lane, command.run.plan.sinks, command.run.plan.partial_rows) == ("bulk", (), False)


async def test_what_is_handed_out_is_bounded(build: Build):
    world = build(dispatcher(credits=3), RecorderActor, Away)
    for number in range(7):
        await world.ask("mfcc", media=str(number))
    await world.rounds()
    assert await world.say("SELECT state, count(*) FROM run GROUP BY 1 ORDER BY 1") == [
        ("dispatched", 3),
        ("queued", 4),
    ]


async def test_a_command_that_cannot_be_sent_fails_its_run(build: Build, database: Database):
    world = build(DispatcherActor, RecorderActor, WorkerActor)
    await world.ask("mfcc")
    async with database.transaction() as session:
        await session.execute(update(Result).values(parameters={"window": "x" * 300_000}))
    await world.settle()
    await world.check(("failed",))
    ((reason,),) = await world.say("SELECT reason FROM result")
    assert "the command of the run cannot be sent: Decode of 3" in reason


async def test_subscribers_are_told_and_workers_hear_of_a_cancel(build: Build, database: Database):
    world = build(DispatcherActor, RecorderActor, Idle)
    task = await world.ask("mfcc")
    await world.rounds()
    await database.retried(lambda session: tasks.cancel(session, task, SETTINGS))
    await world.settle()
    ((run_id,),) = await world.say("SELECT id FROM run")
    assert await messages(world.bus, topics.CONTROL) == [Cancel(run_id=run_id)]
    said = [each for each in await messages(world.bus, topics.PROGRESS) if isinstance(each, State)]
    assert said == [State(run_id=run_id, attempt=1, state="cancelled")]
    await world.check(("cancelled",))


async def test_what_workers_say_of_a_cancelled_run_does_not_count(build: Build, database: Database):
    world = build(DispatcherActor, RecorderActor, WorkerActor)
    task = await world.ask("mfcc")
    await world._act(world._actors[0], world._actors[0].turn)  # pyright: ignore
    await database.retried(lambda session: tasks.cancel(session, task, SETTINGS))
    await world.settle()
    assert await world.say("SELECT state, object_name FROM result") == [("cancelled", None)]


# What is handed out again


async def accepted(world: World) -> None:
    """A worker has accepted the only run, and that is known."""
    await world.rounds()
    await world.look_after()
    await world.rounds()
    assert await run_row(world) == ("running", 1, 0)


async def test_a_run_that_nobody_has_accepted_waits(build: Build):
    world = build(DispatcherActor, RecorderActor, Away)
    await world.ask("mfcc")
    for _ in range(3):
        await world.rounds()
        await world.elapse(3600)
        await world.look_after()
    assert await run_row(world) == ("dispatched", 1, 0)


async def test_a_lease_runs_out_on_evidence(build: Build):
    world = build(DispatcherActor, RecorderActor, Idle)
    await world.ask("mfcc")
    await accepted(world)
    await world.elapse(600)
    await world.look_after()
    assert await run_row(world) == ("running", 1, 0)  # what was said until now is not recorded yet
    await world.rounds()
    await world.look_after()
    assert await run_row(world) == ("queued", 1, 1)
    ((causes,),) = await world.say("SELECT causes FROM run")
    assert causes == ["attempt 1: no worker gave a sign of life for 30 s"]


async def test_who_has_ended_or_is_heard_meanwhile_is_not_handed_out_again(
    build: Build, monkeypatch: pytest.MonkeyPatch
):
    """Between the look for expired leases and the lock of their runs, others may act."""

    async def all_runs(session: AsyncSession, *_: Any) -> list[UUID]:
        return list(await session.scalars(select(RunRow.id)))

    world = build(DispatcherActor, RecorderActor, WorkerActor)
    await world.ask("mfcc")
    await world.settle()
    await world.ask("level")
    await world._actors[2].end()  # pyright: ignore[reportPrivateUsage]
    world._actors[2] = Idle(world.bus, world.database, world.steps)  # pyright: ignore[reportPrivateUsage]
    await world.rounds()
    await world.look_after()
    for name in ("expired", "gone", "held"):
        monkeypatch.setattr(queue, name, all_runs)
    for _ in range(3):
        await world.rounds()
        await world.look_after()
    assert await world.say("SELECT state, attempt FROM run ORDER BY id") == [("done", 1), ("running", 1)]


async def test_while_the_recorder_is_away_no_lease_runs_out(build: Build):
    world = build(DispatcherActor, RecorderActor, Idle)
    await world.ask("mfcc")
    await accepted(world)
    recorder = world._actors.pop(1)  # pyright: ignore[reportPrivateUsage]
    for _ in range(3):
        await world.elapse(600)
        await world.rounds()
        await world.look_after()
    assert await run_row(world) == ("running", 1, 0)
    world._actors.append(recorder)  # pyright: ignore[reportPrivateUsage]
    await world.rounds()
    await world.look_after()
    assert await run_row(world) == ("queued", 1, 1)


async def test_after_the_bus_was_away_leases_begin_anew(build: Build):
    world = build(dispatcher(late_s=1e-9), RecorderActor, Idle)  # it always takes longer than that
    await world.ask("mfcc")
    await accepted(world)
    for _ in range(3):
        await world.elapse(600)
        await world.rounds()
        await world.look_after()
    assert await run_row(world) == ("running", 1, 0)


async def test_a_command_that_is_gone_is_sent_again(build: Build):
    world = build(DispatcherActor, RecorderActor, Away)
    await world.ask("mfcc")
    await world.rounds()
    await world.bus.trim({Partition(topics.decode_commands("interactive"), 0): 1})
    await world.look_after()
    await world.rounds()
    assert await run_row(world) == ("dispatched", 2, 0)


async def test_on_a_new_bus_nothing_is_handed_out_yet(build: Build, database: Database):
    world = build(DispatcherActor, RecorderActor, Idle)
    await world.ask("mfcc")
    await accepted(world)
    await world.close()
    again = Dispatcher(MemoryBus(topics.declared()), database, bus_name="another", is_new_bus=True)
    assert await again.take()
    assert await run_row(world) == ("queued", 1, 0)
    await again.release()


def gap(_: WorkerActor, run: Run, __: int, ___: PlannedProcessor) -> JsonMessage | None:
    of_run = {"run_id": run.run_id, "attempt": run.attempt}
    return Gap(**of_run, stage="analyzer", seq=3, found_seq=5) if run.attempt == 1 else None


def handed_back(_: WorkerActor, run: Run, __: int, ___: PlannedProcessor) -> JsonMessage | None:
    return failed(run, None, retriable=True, code="handed_back") if run.attempt == 1 else None


@pytest.mark.parametrize("says", [gap, handed_back])
async def test_what_is_nobodys_fault_is_handed_out_again_at_once(build: Build, says: Behaviour):
    world = build(DispatcherActor, RecorderActor, worker(says), time_passes=False)
    await world.ask("mfcc")
    await world.settle()
    await world.check()
    assert await run_row(world) == ("done", 2, 0)


async def test_the_partition_is_the_same_in_each_attempt(build: Build):
    world = build(DispatcherActor, RecorderActor, worker(gap))
    await world.ask("mfcc")
    await world.settle()
    commands = await messages(world.bus, topics.decode_commands("interactive"))
    assert len({command.run.plan.sinks for command in commands}) == 1
    assert [command.run.attempt for command in commands] == [1, 2]


# What is given up


def dies(_: WorkerActor, run: Run, __: int, ___: PlannedProcessor) -> JsonMessage:
    return failed(run, None, retriable=True, reason=f"its process died of attempt {run.attempt}")


async def test_a_run_that_ends_badly_three_times_fails_with_its_causes(build: Build):
    world = build(DispatcherActor, RecorderActor, worker(dies))
    await world.ask("mfcc", "level")
    await world.settle()
    await world.check(("failed",))
    assert await run_row(world) == ("failed", 3, 3)
    reasons = set(await world.say("SELECT code, reason FROM result"))
    causes = "; ".join(f"attempt {n}: analyzer: its process died of attempt {n}" for n in (1, 2, 3))
    assert reasons == {("attempts", f"ended badly 3 times: {causes}")}


async def test_the_third_attempt_runs_alone(build: Build):
    world = build(DispatcherActor, RecorderActor, worker(dies))
    await world.ask("mfcc")
    for _ in range(2):
        await world.rounds()
        await world.elapse(600)
    assert await run_row(world) == ("queued", 2, 2)
    world._actors[2] = Away(world.bus, world.database, Steps())  # pyright: ignore[reportPrivateUsage]
    await world.rounds()
    await world.ask("level")
    await world.rounds()
    assert await world.say("SELECT state FROM run ORDER BY id") == [("dispatched",), ("queued",)]


def chroma_kills(_: WorkerActor, run: Run, index: int, processor: PlannedProcessor) -> JsonMessage | None:
    if processor.id == "chroma":  # the first in the plan: the others never get on while it is there
        return failed(run, index, retriable=True, reason="its process died while chroma ran")
    return failed(run, None, retriable=True) if run.attempt in (4, 5) else None


async def test_the_others_go_on_with_a_clean_slate_without_a_processor_that_kills(build: Build):
    world = build(DispatcherActor, RecorderActor, worker(chroma_kills))
    await world.ask("chroma", "level")
    await world.settle()
    await world.check(("partial",))
    found = dict(await world.say("SELECT processor, state || ' ' || code FROM result"))
    assert found == {"chroma": "failed attempts", "level": "done "}
    assert await run_row(world) == ("done", 6, 2)


def mfcc_fails(_: WorkerActor, run: Run, index: int, processor: PlannedProcessor) -> JsonMessage | None:
    fails = processor.id == "mfcc"
    return failed(run, index, retriable=False, code="error", reason="n_fft is too long") if fails else None


async def test_an_error_of_a_processor_fails_its_result_only(build: Build):
    world = build(DispatcherActor, RecorderActor, worker(mfcc_fails))
    await world.ask("mfcc", "level")
    await world.settle()
    await world.check(("partial",))
    assert await run_row(world) == ("done", 1, 0)
    assert await world.say("SELECT processor, reason FROM result WHERE state = 'failed'") == [
        ("mfcc", "n_fft is too long")
    ]


def no_audio(_: WorkerActor, run: Run, __: int, ___: PlannedProcessor) -> JsonMessage:
    return failed(run, None, retriable=False, code="media", reason="it holds no audio")


async def test_media_that_cannot_be_decoded_fails_at_once(build: Build):
    world = build(DispatcherActor, RecorderActor, worker(no_audio))
    await world.ask("mfcc", "level")
    await world.settle()
    await world.check(("failed",))
    assert await run_row(world) == ("failed", 1, 0)
    assert set(await world.say("SELECT code, reason FROM result")) == {("media", "it holds no audio")}


def no_store(_: WorkerActor, run: Run, __: int, ___: PlannedProcessor) -> JsonMessage:
    return failed(run, None, retriable=True, code="store", reason="the store does not answer")


async def test_a_store_that_stays_away_is_not_the_runs_fault_but_there_is_an_end(build: Build):
    recorder = type("R", (RecorderActor,), {"settings": SETTINGS.model_copy(update={"max_attempts": 6})})
    world = build(DispatcherActor, recorder, worker(no_store))
    await world.ask("mfcc")
    await world.rounds()
    assert await world.say("SELECT strikes, not_before > now() FROM run") == [(0, True)]  # it waits a little
    await world.settle()
    await world.check(("failed",))
    assert await run_row(world) == ("failed", 6, 0)
    ((reason,),) = await world.say("SELECT reason FROM result")
    assert reason.startswith("was handed out 6 times in vain: attempt 1: analyzer: the store does not answer")


async def test_a_store_that_comes_back_costs_nothing(build: Build):
    def says(_: WorkerActor, run: Run, __: int, ___: PlannedProcessor) -> JsonMessage | None:
        return failed(run, None, retriable=True, code="store") if run.attempt < 5 else None

    world = build(DispatcherActor, RecorderActor, worker(says))
    await world.ask("mfcc")
    await world.settle()
    await world.check()
    assert await run_row(world) == ("done", 5, 0)
