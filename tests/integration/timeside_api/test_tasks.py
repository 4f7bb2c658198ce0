"""Tasks: results that are there or coming are taken, the rest is one run, whoever asks for it and however many do."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from tests.harness.world import World, asked

from timeside_api import tasks
from timeside_api.database import Database, DatabaseSettings
from timeside_api.errors import IdempotencyError, UnknownMediaError, UnknownTaskError
from timeside_api.models import Media
from timeside_api.settings import RunSettings
from timeside_api.tasks import Part, Request, Terms
from timeside_core.ids import uuid7

pytestmark = pytest.mark.integration

SETTINGS = RunSettings()
PATIENCE_S = 30.0
A, B = (hashlib.sha256(name).hexdigest() for name in (b"a", b"b"))
OWNER = uuid7()


@pytest.fixture
async def database(database: Database) -> Database:
    """With two media."""
    async with database.transaction() as session:
        facts = {"samplerate": 44_100, "channels": 2}
        await session.execute(
            insert(Media).values([{"sha256": sha256, "size": 1, "samples": 441_000, **facts} for sha256 in (A, B)])
        )
    return database


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    world = World(database)
    yield world
    await world.close()


def request(*names: str, media: str = A, owner: UUID = OWNER, lane: Any = "interactive", **options: Any) -> Request:
    priority = options.pop("priority", 0)
    return Request(
        parts=(Part(media, tuple(asked(name) for name in names)),), terms=Terms(owner, lane, priority), **options
    )


async def create(database: Database, *names: str, **options: Any) -> UUID:
    return await database.retried(lambda session: tasks.create(session, request(*names, **options)))


async def progress(database: Database, task: UUID) -> tuple[str, int, int, int, int]:
    async with database.transaction() as session:
        found = await tasks.progress(session, task)
    return found.state, found.done, found.failed, found.cancelled, found.pending


async def settle(world: World, *, state: str, names: tuple[str, ...] = ()) -> None:
    """Settle pending results behind the scenes, as the recorder would."""
    from timeside_api.runs import Ledger

    async with world.database.transaction() as session:
        runs = list(await session.scalars(text("SELECT id FROM run WHERE state = 'queued'")))
        ledger = Ledger(session, SETTINGS)
        for run in await ledger.lock(runs):
            for result in ledger.pending_of(run):
                if names and result.processor not in names:
                    continue
                if state == "failed":
                    ledger.fail(run, result, "error", "it does not converge")
                else:
                    result.object_name = "somewhere"
                    ledger._settle(run, result, state)  # pyright: ignore
        await ledger.close()


async def runs(world: World) -> list[tuple[Any, ...]]:
    return await world.say("SELECT state, lane, priority, cost_s FROM run ORDER BY id")


async def test_the_first_who_asks_has_a_run_and_the_others_join_it(database: Database, world: World):
    first = await create(database, "mfcc", "level")
    second = await create(database, "level", "rms", owner=uuid7())
    third = await create(database, "mfcc", "level", "rms")
    assert await runs(world) == [("queued", "interactive", 0, 10.0)] * 2
    for task, count in ((first, 2), (second, 2), (third, 3)):
        assert await progress(database, task) == ("running", 0, 0, 0, count)
    await settle(world, state="done", names=("level",))
    assert [(await progress(database, task))[1] for task in (first, second, third)] == [1, 1, 1]
    await settle(world, state="done")
    for task, count in ((first, 2), (second, 2), (third, 3)):
        assert await progress(database, task) == ("done", count, 0, 0, 0)
    assert [run[0] for run in await runs(world)] == ["done", "done"]


async def test_what_is_there_is_done_at_once(database: Database, world: World):
    await create(database, "mfcc")
    await settle(world, state="done")
    assert await progress(database, await create(database, "mfcc")) == ("done", 1, 0, 0, 0)
    assert len(await runs(world)) == 1
    assert await world.say("SELECT count(*) FROM task WHERE settled_at IS NULL") == [(0,)]


async def test_results_come_in_the_order_in_which_they_were_asked_for(database: Database):
    task = await create(database, "rms", "level", "mfcc")
    async with database.transaction() as session:
        assert [result.processor for result in await tasks.results(session, task)] == ["rms", "level", "mfcc"]
        assert len(await tasks.runs(session, task)) == 1


async def test_each_media_has_a_run_of_its_own(database: Database, world: World):
    parts = (Part(A, (asked("mfcc"),)), Part(B, (asked("mfcc"), asked("rms"))))
    both = Request(parts=parts, terms=Terms(OWNER))
    task = await database.retried(lambda session: tasks.create(session, both))
    assert await progress(database, task) == ("running", 0, 0, 0, 3)
    assert len(await runs(world)) == 2
    await database.retried(lambda session: tasks.extend(session, task, [Part(A, (asked("mfcc"), asked("level")))]))
    assert await progress(database, task) == ("running", 0, 0, 0, 4)


async def test_an_unknown_media_and_an_unknown_task_are_named(database: Database):
    with pytest.raises(UnknownMediaError, match="ffff is not known"):
        await create(database, "mfcc", media="ffff")
    with pytest.raises(UnknownTaskError):
        await progress(database, uuid7())
    with pytest.raises(UnknownTaskError):
        await database.retried(lambda session: tasks.cancel(session, uuid7(), SETTINGS))


# Idempotency


async def test_one_key_is_one_task(database: Database, world: World):
    first = await create(database, "mfcc", idempotency_key="k")
    assert await create(database, "mfcc", idempotency_key="k") == first
    assert await create(database, "mfcc", idempotency_key="k", owner=uuid7()) != first
    assert await create(database, "mfcc") != first
    with pytest.raises(IdempotencyError, match="'k' was used for another request"):
        await create(database, "rms", idempotency_key="k")
    at_once = await asyncio.gather(*(create(database, "level", idempotency_key="l") for _ in range(20)))
    assert len(set(at_once)) == 1
    assert len(await runs(world)) == 2


# Many at once


async def test_two_thousand_equal_requests_at_once_are_one_run(database_url: str, database: Database, world: World):
    many = Database(database_url, settings=DatabaseSettings(connections=12, wait_s=300))
    made = await asyncio.gather(*(create(many, "mfcc", "level", "rms") for _ in range(2000)))
    await many.close()
    assert len(set(made)) == 2000
    assert len(await runs(world)) == 1
    assert await world.say("SELECT count(*) FROM result") == [(3,)]
    await settle(world, state="done")
    assert await world.say("SELECT state, count(*) FROM task GROUP BY state") == [("done", 2000)]


async def test_overlapping_requests_at_once_own_each_result_once(database: Database, world: World):
    names = ["mfcc", "level", "rms", "chroma"]
    made = [create(database, *(names[n % 4 :] + names[: n % 4])[: 2 + n % 3]) for n in range(60)]
    await asyncio.gather(*made)
    assert await world.say("SELECT processor, count(*) FROM result GROUP BY 1 ORDER BY 1") == [
        (name, 1) for name in sorted(names)
    ]
    assert await world.say("SELECT 1 FROM result WHERE NOT EXISTS (SELECT 1 FROM run WHERE id = run_id)") == []


async def test_requests_while_results_are_settled_miss_none(database: Database, world: World):
    async def ask() -> None:
        for _ in range(20):
            await create(database, "mfcc", "level")
            await asyncio.sleep(0)

    async def record() -> None:
        for n in range(20):
            await settle(world, state=("done", "failed")[n % 2], names=("mfcc", "level")[n % 2 : n % 2 + 1])

    await asyncio.gather(ask(), ask(), record())
    await settle(world, state="done")
    await world.say("DELETE FROM outbox")
    await world.check(("done", "partial", "failed"))


async def blocked(world: World, task: asyncio.Task[None]) -> None:
    """Wait until a task waits for a lock of the database, or has ended."""
    waits = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    deadline = time.monotonic() + PATIENCE_S
    while not task.done() and not await world.say(waits):
        assert time.monotonic() < deadline


async def test_who_settles_a_result_waits_for_those_who_are_about_to_wait_for_it(database: Database, world: World):
    await create(database, "mfcc")
    async with database.transaction() as session:
        late = await tasks.create(session, request("mfcc"))
        settling = asyncio.create_task(settle(world, state="done"))
        await blocked(world, settling)
    await settling
    assert await progress(database, late) == ("done", 1, 0, 0, 0)


async def test_who_cancels_waits_for_those_who_are_about_to_wait(
    database: Database, world: World, monkeypatch: pytest.MonkeyPatch
):
    first = await create(database, "mfcc")
    share, cancelling = tasks._share, list[asyncio.Task[None]]()

    async def share_then_cancel(session: AsyncSession, part: Part) -> Any:
        found = await share(session, part)
        if not cancelling:
            cancelling.append(asyncio.create_task(cancel(database, first)))
            await blocked(world, cancelling[0])
        return found

    monkeypatch.setattr(tasks, "_share", share_then_cancel)
    second = await create(database, "mfcc")
    await cancelling[0]
    assert await progress(database, second) == ("running", 0, 0, 0, 1)


# More urgent


async def test_who_is_in_more_hurry_hastens_what_waits(database: Database, world: World):
    first = uuid7()
    await create(database, "mfcc", lane="bulk", owner=first)
    await create(database, "mfcc", priority=5)
    assert await runs(world) == [("queued", "interactive", 5, 10.0)]
    await create(database, "mfcc", lane="bulk", priority=9)
    assert await runs(world) == [("queued", "interactive", 5, 10.0)]
    await create(database, "mfcc", priority=7)  # among the runs of another one has no say
    assert await runs(world) == [("queued", "interactive", 5, 10.0)]
    await create(database, "mfcc", priority=7, owner=first)
    assert await runs(world) == [("queued", "interactive", 7, 10.0)]


# Cancelling


async def cancel(database: Database, task: UUID) -> None:
    await database.retried(lambda session: tasks.cancel(session, task, SETTINGS))


async def test_a_run_is_cancelled_when_nobody_waits_for_it(database: Database, world: World):
    first, second = await create(database, "mfcc", "level"), await create(database, "level")
    await cancel(database, first)
    assert (await progress(database, first))[0] == "cancelled"
    assert (await progress(database, second))[0] == "running"
    assert (await runs(world))[0][0] == "queued"
    await cancel(database, second)
    assert (await runs(world))[0][0] == "cancelled"
    assert await progress(database, second) == ("cancelled", 0, 0, 1, 0)
    assert await progress(database, first) == ("cancelled", 0, 0, 2, 0)
    sent = await world.say("SELECT topic FROM outbox ORDER BY id")
    assert sent == [("ts.control",), ("ts.progress",)]
    await cancel(database, second)  # nothing more to do
    assert await world.say("SELECT count(*) FROM outbox") == [(2,)]


async def test_what_was_cancelled_is_made_anew_for_the_next_who_asks(database: Database, world: World):
    await cancel(database, await create(database, "mfcc"))
    again = await create(database, "mfcc")
    assert await progress(database, again) == ("running", 0, 0, 0, 1)
    assert [run[0] for run in await runs(world)] == ["cancelled", "queued"]


async def test_a_task_that_has_ended_is_not_cancelled(database: Database, world: World):
    task = await create(database, "mfcc")
    await settle(world, state="done")
    await cancel(database, task)
    assert (await progress(database, task))[0] == "done"


async def test_asking_and_cancelling_at_once_leaves_nobody_waiting_for_what_is_cancelled(
    database: Database, world: World
):
    async def ask_and_cancel() -> None:
        for _ in range(8):
            await cancel(database, await create(database, "mfcc", "level"))

    await asyncio.gather(*(ask_and_cancel() for _ in range(4)))
    stays = await create(database, "mfcc", "level")
    assert (await progress(database, stays))[0] == "running"
    stuck = "SELECT 1 FROM task JOIN task_result ON task_id = task.id JOIN result ON result.id = result_id"
    assert await world.say(f"{stuck} WHERE task.state = 'running' AND result.state = 'cancelled'") == []
    assert await world.say("SELECT count(*) FROM run WHERE state = 'queued'") == [(1,)]


# Failures


async def test_a_result_that_failed_fails_alone(database: Database, world: World):
    task = await create(database, "mfcc", "level")
    await settle(world, state="failed", names=("mfcc",))
    await settle(world, state="done")
    assert await progress(database, task) == ("partial", 1, 1, 0, 0)
    assert (await runs(world))[0][0] == "done"
    reasons = "SELECT code, reason FROM result WHERE state = 'failed'"
    assert await world.say(reasons) == [("error", "it does not converge")]


async def test_only_what_failed_is_asked_for_again(database: Database, world: World):
    task = await create(database, "mfcc", "level", "rms")
    other = await create(database, "mfcc")
    await settle(world, state="failed", names=("mfcc", "rms"))
    await settle(world, state="done")
    assert await progress(database, other) == ("failed", 0, 1, 0, 0)

    async def retry(session: Any) -> int:
        return await tasks.retry(session, task)

    assert sorted(await asyncio.gather(database.retried(retry), database.retried(retry))) == [0, 2]
    assert await progress(database, task) == ("running", 1, 0, 0, 2)
    assert [run[0] for run in await runs(world)] == ["done", "queued"]
    await settle(world, state="done")
    assert await progress(database, task) == ("done", 3, 0, 0, 0)
    assert await progress(database, other) == ("failed", 0, 1, 0, 0)
    async with database.transaction() as session:
        found = await tasks.results(session, task)
    assert [(result.processor, result.state.value) for result in found] == [
        ("mfcc", "done"),
        ("level", "done"),
        ("rms", "done"),
    ]
    assert await database.retried(retry) == 0
