"""The world of the harness: one bus, one database, actors that take turns, one fault, and what must be true whatever.

It is deterministic: one actor acts at a time, in one order; time passes when nobody has anything to do. Actors of
further stages join by `World.add`.
"""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from tests.harness.actors import Actor, DispatcherActor, RecorderActor, WorkerActor
from tests.harness.steps import Killed, Kind, Steps

from timeside_api import tasks
from timeside_api.database import Database, is_away
from timeside_api.models import Media
from timeside_api.plans import Asked
from timeside_core import topics
from timeside_core.bus.memory import MemoryBus
from timeside_core.errors import BusError
from timeside_core.ids import uuid7
from timeside_core.settings import BusSettings

PARTITIONS = 1
PATIENCE = 40
"""Times that time passes before a task must be settled."""
Makes = Callable[[MemoryBus, Database, Steps], Actor]


class BrokenError(AssertionError):
    """Something that must always be true is not."""


class World:
    """All there is."""

    def __init__(self, database: Database, steps: Steps | None = None, *, time_passes: bool = True) -> None:
        """A database with nothing in it."""
        self.database, self.steps, self.time_passes = database, steps or Steps(), time_passes
        unbounded = BusSettings(max_partition_bytes=None)
        self.bus = MemoryBus(topics.declared(max_partitions=PARTITIONS), settings=unbounded)
        self.owner = uuid7()
        self._makes: list[Makes] = []
        self._actors: list[Actor] = []
        self._frozen: list[tuple[Actor, asyncio.Task[Any]]] = []
        self._seen: set[UUID] = set()
        self.tasks: list[UUID] = []

    def add(self, *makes: Makes) -> "World":
        """Actors of these kinds take part; one that ends is replaced by another of its kind."""
        self._makes += makes
        self._actors += [make(self.bus, self.database, self.steps) for make in makes]
        return self

    async def ask(self, *names: str, media: str = "a", **terms: Any) -> UUID:
        """A task for some processors on a media."""
        sha256 = hashlib.sha256(media.encode()).hexdigest()
        part = tasks.Part(sha256, tuple(asked(name) for name in names))
        request = tasks.Request(parts=(part,), terms=tasks.Terms(**{"owner_id": self.owner, **terms}))

        async def work(session: AsyncSession) -> UUID:
            await session.execute(insert(Media).values(sha256=sha256, size=1).on_conflict_do_nothing())
            return await tasks.create(session, request)

        self.tasks.append(await self.database.retried(work))
        return self.tasks[-1]

    async def settle(self) -> None:
        """Let everybody act until all tasks are settled and nobody has anything to do."""
        for _ in range(PATIENCE):
            await self.rounds()
            if not self._frozen and await self._is_settled():
                return
            if await self._is_settled():
                await self._thaw()
                continue
            await self.look_after()
            await self.rounds()
            if self.time_passes:
                await self.elapse(600)
            await self.look_after()
        raise BrokenError(f"not settled: {await self.say('SELECT state, attempt, strikes, causes FROM run')}")

    async def rounds(self) -> None:
        """Turns, until nobody has anything to do."""
        for _ in range(200):
            acted = False
            for actor in list(self._actors):
                acted |= await self._act(actor, actor.turn)
                if self._frozen and self.steps.kind is Kind.FROZEN_BRIEFLY and await self._has_successor():
                    await self._thaw()
                    acted = True
            if not acted:
                return
        raise BrokenError(f"no end: {self.steps.taken[-10:]}")

    async def elapse(self, seconds: float) -> None:
        """Time passes: all that is waited for comes nearer."""
        for actor in self._actors:
            actor.elapse(seconds)
        async with self.database.transaction() as session:
            shift = {"by": seconds}
            await session.execute(
                text(
                    "UPDATE run SET lease_until = lease_until - :by * interval '1 second',"
                    " not_before = not_before - :by * interval '1 second'"
                ),
                shift,
            )

    async def close(self) -> None:
        """End everybody."""
        while self._frozen:
            actor, task = self._frozen.pop()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await actor.end()
        while self._actors:
            await self._actors.pop().end()

    async def say(self, query: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """What the database says."""
        async with self.database.transaction() as session:
            answer = await session.execute(text(query), parameters)
            return [tuple(row) for row in answer] if answer.returns_rows else []

    async def _act(self, actor: Actor, turn: Callable[[], Any]) -> bool:
        """One turn; whether it did anything, or something was done to it."""
        task = asyncio.create_task(turn())
        frozen = asyncio.create_task(actor.frozen.wait())
        await asyncio.wait([task, frozen], return_when=asyncio.FIRST_COMPLETED)
        frozen.cancel()
        await asyncio.gather(frozen, return_exceptions=True)
        if not task.done():
            self._frozen.append((actor, task))
            await self._replace(actor)
            await actor.bus.evict()
            await self._cut_off(actor)
            return True
        try:
            acted = bool(task.result())
        except Killed:
            await self._replace(actor)
            await actor.end()
            acted = True
        except Exception as error:
            if not is_away(error) and not isinstance(error, BusError):
                raise
            acted = True
        await self._watch()
        return acted

    async def look_after(self) -> None:
        """Have everybody do what is done now and then."""
        for actor in list(self._actors):
            await self._act(actor, actor.look_after)

    async def _replace(self, actor: Actor) -> None:
        place = self._actors.index(actor)
        self._actors[place] = self._makes[place](self.bus, self.database, self.steps)

    async def _cut_off(self, actor: Actor) -> None:
        """The server hears no more of it: it rolls back what that one had begun, and takes back its lock.

        Nobody else is within a transaction now.
        """
        await self.say(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND (state LIKE 'idle in transaction%'"
            "  OR :has_lock AND pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory'))",
            has_lock=actor.role == DispatcherActor.role,
        )

    async def _has_successor(self) -> bool:
        """Whether who took over is at work: who wakes up now meets it."""
        if self._frozen[0][0].role == WorkerActor.role:
            return bool(await self.say("SELECT 1 FROM run WHERE attempt > 1"))
        successors = {actor.name for actor in self._actors if actor.role == self._frozen[0][0].role}
        return any(step.partition(":")[0] in successors for step in self.steps.taken)

    async def _thaw(self) -> None:
        """Wake who is frozen; what it finds is that it was cut off, or that what it does has no effect."""
        frozen, self._frozen = self._frozen, []
        for actor, task in frozen:
            actor.thawed.set()
            try:
                await task
            except Exception as error:
                if not is_away(error) and not isinstance(error, BusError):
                    raise
            await self._watch()
            await actor.end()

    async def _is_settled(self) -> bool:
        return not await self.say("SELECT 1 FROM task WHERE state = 'running'")

    async def _watch(self) -> None:
        """What must be true after each turn."""
        fresh = await self.say(
            "SELECT result.id, result.attempt, run.attempt, object_name, run_id FROM result JOIN run ON run.id = run_id"
            " WHERE result.state = 'done' AND NOT result.id = ANY(CAST(:seen AS uuid[]))",
            seen=list(self._seen),
        )
        for id, attempt, present, name, run_id in fresh:
            self._seen.add(id)
            if attempt != present or name != f"results/v1/{run_id}/{present}":
                raise BrokenError(f"a result of attempt {attempt} at {name} became visible in attempt {present}")
        doubled = await self.say(
            "SELECT 1 FROM result WHERE state IN ('pending', 'done')"
            " GROUP BY media_sha256, processor, version, digest HAVING count(*) > 1"
        )
        if doubled:
            raise BrokenError("two results of one key")

    async def check(self, states: Sequence[str] = ("done",)) -> None:
        """What must be true in the end."""
        wrong = await self.say(
            "SELECT state FROM task WHERE NOT state = ANY(CAST(:states AS text[]))", states=list(states)
        )
        if wrong:
            raise BrokenError(f"tasks ended as {wrong}")
        if open_runs := await self.say("SELECT state FROM run WHERE state NOT IN ('done', 'failed', 'cancelled')"):
            raise BrokenError(f"runs that go on: {open_runs}")
        miscounted = await self.say(
            "SELECT task.id FROM task JOIN task_result ON task_id = task.id JOIN result ON result.id = result_id"
            " GROUP BY task.id HAVING (results, done, failed, cancelled) <> (count(*),"
            " count(*) FILTER (WHERE result.state = 'done'), count(*) FILTER (WHERE result.state = 'failed'),"
            " count(*) FILTER (WHERE result.state = 'cancelled'))"
        )
        if miscounted:
            raise BrokenError("a task counts other results than it has")
        if await self.say("SELECT 1 FROM outbox"):
            raise BrokenError("messages were left in the outbox")
        await self._check_blame()

    async def _check_blame(self) -> None:
        """A dispatcher or a recorder that dies costs no run an attempt that counts, and a recorder none at all."""
        if not 0 < self.steps.fault_at <= len(self.steps.taken):
            return
        struck = self.steps.taken[self.steps.fault_at - 1]
        if not struck.startswith(WorkerActor.role) and await self.say("SELECT 1 FROM run WHERE strikes > 0"):
            raise BrokenError(f"{struck}: a run was blamed for it")
        if struck.startswith(RecorderActor.role) and await self.say("SELECT 1 FROM run WHERE attempt > 1"):
            raise BrokenError(f"{struck}: what had been said was lost, and is done again")


def asked(name: str) -> Asked:
    """A processor that is asked for."""
    return Asked(
        processor=name,
        version="1.0",
        digest=hashlib.sha256(name.encode()).hexdigest(),
        parameters={},
        effects=(),
        pool="analyzer",
        outputs=("",),
    )


LEFT = "event", "task_result", "task", "result", "run", "share", "owner", "media", "outbox", "recorder_offset"
"""Tables, those that refer to others before these."""


async def empty(database: Database) -> None:
    """Remove all that a world has left."""
    async with database.transaction() as session:
        for table in LEFT:
            await session.execute(text(f"DELETE FROM {table}"))
        await session.execute(text("UPDATE lane SET clock_s = 0"))


ALL: tuple[Makes, ...] = (DispatcherActor, RecorderActor, WorkerActor)
