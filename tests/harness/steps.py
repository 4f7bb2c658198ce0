"""Steps: every effect of an actor on the world is one, and at any of them it may be killed or freeze."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession

from timeside_api.database import Database
from timeside_core.bus import (
    Bounds,
    Bus,
    Consumer,
    Edge,
    Headers,
    Partition,
    PartitionsCallback,
    Position,
    Reader,
    Value,
)
from timeside_core.bus.memory import MemoryBus

Answer = TypeVar("Answer")


class Killed(BaseException):
    """The process is no more."""


class Kind(StrEnum):
    """What happens to an actor at a step."""

    KILLED_BEFORE = "killed before"
    KILLED_AFTER = "killed after"
    FROZEN_LONG = "frozen, and woken when all is over"
    FROZEN_BRIEFLY = "frozen, and woken while its successor is at work"


@dataclass
class Steps:
    """Counts steps, and lets one fault happen at one of them."""

    fault_at: int = 0
    """1 is the first step; 0 is none."""
    kind: Kind = Kind.KILLED_BEFORE
    taken: list[str] = field(default_factory=list)

    async def take(self, actor: Any, name: str, effect: Callable[[], Awaitable[Answer]]) -> Answer:
        """Do an effect of an actor, or not."""
        self.taken.append(f"{actor.name}: {name}")
        struck = len(self.taken) == self.fault_at
        if struck and self.kind is Kind.KILLED_BEFORE:
            raise Killed
        if struck and self.kind is not Kind.KILLED_AFTER:
            await actor.freeze()
        answer = await effect()
        if struck and self.kind is Kind.KILLED_AFTER:
            raise Killed
        return answer


class SteppedBus(Bus):
    """A memory bus as one actor uses it."""

    def __init__(self, bus: MemoryBus, actor: Any, steps: Steps) -> None:
        self._bus, self._actor, self._steps = bus, actor, steps
        self.consumers: list[Any] = []

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def check(self, *topics: str) -> None:
        await self._bus.check(*topics)

    async def partition_count(self, topic: str) -> int:
        return await self._bus.partition_count(topic)

    async def send(
        self,
        topic: str,
        value: Value,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        headers: Headers | None = None,
    ) -> Any:
        async def send() -> Any:
            return await self._bus.send(topic, value, key=key, partition=partition, headers=headers)

        return await self._steps.take(self._actor, f"send {topic}", send)

    async def flush(self) -> None: ...

    def consumer(
        self,
        *topics: str,
        group: str,
        start: Edge = "first",
        on_revoked: PartitionsCallback | None = None,
        on_assigned: PartitionsCallback | None = None,
    ) -> Consumer:
        consumer: Any = self._bus.consumer(
            *topics, group=group, start=start, on_revoked=on_revoked, on_assigned=on_assigned
        )
        commit = consumer.commit

        async def stepped(offsets: Mapping[Partition, int]) -> None:
            await self._steps.take(self._actor, "commit offsets", lambda: commit(offsets))

        consumer.commit = stepped
        self.consumers.append(consumer)
        return consumer

    def reader(self) -> Reader:
        return self._bus.reader()

    async def bounds(self, partitions: Iterable[Partition]) -> dict[Partition, Bounds]:
        return await self._bus.bounds(partitions)

    async def offsets_for_times(self, times_ms: Mapping[Partition, int]) -> dict[Partition, int | None]:
        return await self._bus.offsets_for_times(times_ms)

    async def committed(self, group: str, partitions: Iterable[Partition]) -> dict[Partition, int]:
        return await self._bus.committed(group, partitions)

    async def trim(self, before: Mapping[Partition, int]) -> None:
        await self._bus.trim(before)

    async def evict(self) -> None:
        """The broker hears no more of the actor."""
        for consumer in self.consumers:
            await self._bus.evict(consumer)


class SteppedDatabase(Database):
    """A database as one actor uses it, over connections that all share: a commit of what it wrote is a step."""

    def __init__(self, database: Database, actor: Any, steps: Steps) -> None:
        self.engine, self.settings = database.engine, database.settings
        self._actor, self._steps = actor, steps
        self._wrote = False
        event.listen(self.engine.sync_engine, "before_cursor_execute", self._notice)

    async def close(self) -> None:
        """The connections are not its own."""
        event.remove(self.engine.sync_engine, "before_cursor_execute", self._notice)

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[AsyncSession]:
        async with AsyncSession(self.engine, expire_on_commit=False) as session, self.stepped(session):
            yield session

    @asynccontextmanager
    async def stepped(self, session: AsyncSession) -> AsyncGenerator[None]:
        """A transaction of a session, whose commit is a step if it wrote something."""
        self._wrote = False
        transaction = await session.begin()
        try:
            yield
            await session.flush()
            if self._wrote:
                await self._steps.take(self._actor, "commit", transaction.commit)
            else:
                await transaction.commit()
        except BaseException:
            if transaction.is_active:
                await transaction.rollback()
            raise

    def _notice(self, _: Any, __: Any, statement: str, *___: Any) -> None:
        self._wrote |= statement.lstrip().startswith(("INSERT", "UPDATE", "DELETE"))


__all__ = ["Killed", "Kind", "Position", "SteppedBus", "SteppedDatabase", "Steps"]
