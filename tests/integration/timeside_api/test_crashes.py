"""Dispatcher, recorder and worker are killed or frozen at each step: everything is done, once, and of one attempt.

Then the protections are taken away one by one, and the harness must notice: what it does not notice it does not test.

Intentionally not checked here: the stages themselves (the worker is a model), and real processes.
"""

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from tests.harness.actors import DispatcherActor, RecorderActor, SteppedDispatcher, WorkerActor
from tests.harness.steps import Kind, Steps
from tests.harness.world import ALL, BrokenError, Makes, World, asked, empty

from timeside_api import queue, tasks
from timeside_api.database import Database
from timeside_api.queue import Claimed
from timeside_api.recorder import Recorder
from timeside_api.runs import Ledger
from timeside_api.tasks import Part, Request, Terms
from timeside_core import topics
from timeside_core.bus import Partition
from timeside_core.ids import uuid7
from timeside_core.messages import Lane, Lost, PlannedProcessor, Run

pytestmark = pytest.mark.integration


@asynccontextmanager
async def world(database: Database, steps: Steps, *makes: Makes, **options: Any) -> AsyncIterator[World]:
    made = World(database, steps, **options).add(*(makes or ALL))
    try:
        yield made
    finally:
        await made.close()
        await empty(database)


async def play(database: Database, steps: Steps, *makes: Makes) -> None:
    """Two tasks that share a result, to their end."""
    async with world(database, steps, *makes) as played:
        await played.ask("mfcc", "level")
        await played.ask("level", "rms")
        await played.settle()
        await played.check()


async def struck(database: Database, kind: Kind, *makes: Makes, only: str = "") -> AsyncIterator[str]:
    """Play once for each step (of those whose name has `only`), with a fault at it; yields what went wrong."""
    whole = Steps()
    await play(database, whole)
    for fault_at, name in enumerate(whole.taken, 1):
        if only not in name or (kind is Kind.KILLED_BEFORE and not only and _follows(whole, fault_at)):
            continue
        try:
            await play(database, Steps(fault_at, kind), *makes)
        except BrokenError as error:
            yield f"{kind} at {fault_at} ({name}): {error}"


def _follows(steps: Steps, at: int) -> bool:
    """Whether a step follows one of the same actor: to be killed before it is to be killed after that one."""
    return at > 1 and steps.taken[at - 1].partition(":")[0] == steps.taken[at - 2].partition(":")[0]


async def first(broken: AsyncIterator[str]) -> str:
    """What went wrong first; empty where nothing did."""
    return await anext(broken, "")


@pytest.mark.parametrize("kind", Kind)
async def test_whoever_dies_when_all_is_done_once(database: Database, kind: Kind):
    assert [broken async for broken in struck(database, kind)] == []


# What is lost


def loses(_: WorkerActor, run: Run, __: int, ___: PlannedProcessor) -> Lost | None:
    """Of the first attempt the blocks are gone before they were read."""
    topic, partition = topics.pcm("analyzer", "interactive"), run.plan.sinks[0].partition
    lost = Lost(topic=topic, partition=partition, group="ts.analyzer", offset=3, first_offset=9)
    return lost if run.attempt == 1 else None


class LosingWorker(WorkerActor):
    """Loses blocks, and says so."""

    behaviour = loses


class SilentLosingWorker(LosingWorker):
    """Loses blocks, and says nothing."""

    async def tell(self, topic: str, message: Any, run: Run | None = None) -> None:
        if not isinstance(message, Lost):
            await super().tell(topic, message, run)


async def lose(database: Database, worker: Makes) -> None:
    async with world(database, Steps(), DispatcherActor, RecorderActor, worker, time_passes=False) as played:
        await played.ask("mfcc", "level")
        await played.settle()
        await played.check()
        assert await played.say("SELECT attempt, strikes FROM run") == [(2, 0)]


async def test_what_is_lost_is_handed_out_again_at_once(database: Database):
    await lose(database, LosingWorker)


async def test_a_loss_that_nobody_reports_is_noticed(database: Database):
    with pytest.raises(BrokenError, match="not settled"):
        await lose(database, SilentLosingWorker)


# Protections taken away


async def test_without_a_check_of_attempts(database: Database, monkeypatch: pytest.MonkeyPatch):
    def of_attempt(self: Ledger, run_id: UUID, _: int) -> Any:
        return self._runs.get(run_id)

    monkeypatch.setattr(Ledger, "of_attempt", of_attempt)
    assert "became visible" in await first(struck(database, Kind.FROZEN_BRIEFLY, only="worker"))


class MarksFirst(SteppedDispatcher):
    """Notes that commands are sent before they are."""

    async def _send(self, lane: Lane, claimed: Sequence[Claimed]) -> None:
        async with self._transaction() as session:
            for each in claimed:
                statement = "UPDATE run SET state = 'dispatched', command_partition = 0 WHERE id = :id"
                await session.execute(text(statement), {"id": each.run.id})
        await super()._send(lane, claimed)


class MarksFirstActor(DispatcherActor):
    kind = MarksFirst


async def test_with_commands_noted_before_they_are_sent(database: Database):
    assert "not settled" in await first(
        struck(database, Kind.KILLED_BEFORE, MarksFirstActor, RecorderActor, WorkerActor, only="send ts.cmd")
    )


class AdvancesFirst(Recorder):
    """Moves its offset in a transaction of its own, before it records."""

    async def _apply(self, partition: Partition, first: int, next: int, messages: Sequence[Any]) -> bool:
        if not await super()._apply(partition, first, next, []):
            return False
        async with self._database.transaction() as session:
            await self._apply_messages(session, messages)
        return True


class AdvancesFirstActor(RecorderActor):
    kind = AdvancesFirst


async def test_with_offsets_moved_before_it_is_recorded(database: Database):
    """The other order, offsets moved afterwards, is not noticed: what is recorded twice has no effect."""
    broken = struck(database, Kind.KILLED_BEFORE, DispatcherActor, AdvancesFirstActor, WorkerActor, only="recorder")
    assert re.search("blamed for it|is done again", await first(broken))


async def test_without_a_look_at_what_was_claimed(database: Database, monkeypatch: pytest.MonkeyPatch):
    async def unclaim(_: Any) -> None: ...

    monkeypatch.setattr(queue, "unclaim", unclaim)
    assert "not settled" in await first(struck(database, Kind.KILLED_BEFORE, only="send ts.cmd"))


async def test_without_a_look_at_what_was_accepted(database: Database, monkeypatch: pytest.MonkeyPatch):
    async def accept(*_: Any, **__: Any) -> int:
        return 0

    monkeypatch.setattr(queue, "accept", accept)
    assert "not settled" in await first(struck(database, Kind.KILLED_AFTER, only="commit offsets"))


async def test_without_the_unique_key(database: Database):
    """With it, who asks for what somebody is just asking for waits until that is committed."""
    async with world(database, Steps()) as played:
        await played.say("DROP INDEX result_key_idx")
        await played.ask("level")
        ((media,),) = await played.say("SELECT sha256 FROM media")
        request = Request(parts=(Part(media, (asked("mfcc"),)),), terms=Terms(uuid7()))
        async with database.transaction() as session:
            await tasks.create(session, request)
            await played.ask("mfcc")
        with pytest.raises(BrokenError, match="two results of one key"):
            await played.settle()
