"""Who asks: keeps media, makes tasks, takes some back; asks again where the database is away, as clients do."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from tests.chaos.cases import Case

from timeside_api import tasks
from timeside_api.database import Database, is_away
from timeside_api.models import Media, Outbox, Task, TaskState
from timeside_api.plans import asked
from timeside_api.settings import RunSettings
from timeside_api.tasks import Part, Request, Terms
from timeside_core.store import Store

RETRY_S = 0.2

_Answer = TypeVar("_Answer")


class Client:
    """Asks in the product's own way."""

    def __init__(self, database: Database, store: Store, settings: RunSettings, seed: int) -> None:
        self._database, self._store, self._settings = database, store, settings
        self._rng = random.Random(f"client {seed}")
        self._cancelling: set[asyncio.Task[None]] = set()
        self.repeated = 0
        """Requests that had to be sent again."""

    async def ask(self, case: Case, data: bytes) -> None:
        """Make the tasks of a case; some are taken back a little later."""
        case.sha256, size = await asyncio.to_thread(self._store.put_media, [data])
        media = insert(Media).values(sha256=case.sha256, size=size).on_conflict_do_nothing()
        await self._until_done(lambda session: session.execute(media))
        await asyncio.gather(*(self._ask(case, owner) for owner in case.owners))
        if case.kind == "cancelled":
            self._cancelling.add(asyncio.create_task(self._cancel(case, self._rng.uniform(0, 2))))

    async def finish(self) -> None:
        """Wait until all is taken back that was to be."""
        await asyncio.gather(*self._cancelling)

    async def unsettled(self) -> int:
        """Tasks that still run."""
        running = select(func.count()).select_from(Task).where(Task.state == TaskState.RUNNING)
        return await self._until_done(lambda session: session.scalar(running)) or 0

    async def unsent(self) -> int:
        """Messages that are still to be sent because of what was committed."""
        waiting = select(func.count()).select_from(Outbox)
        return await self._until_done(lambda session: session.scalar(waiting)) or 0

    async def _ask(self, case: Case, owner: UUID) -> None:
        part = Part(case.sha256, asked(case.processors()))
        request = Request(parts=(part,), terms=Terms(owner, case.lane), idempotency_key=f"case {case.number}")
        case.task_ids[owner] = await self._until_done(lambda session: tasks.create(session, request))

    async def _cancel(self, case: Case, after_s: float) -> None:
        await asyncio.sleep(after_s)
        for task_id in case.task_ids.values():
            await self._until_done(lambda session, id=task_id: tasks.cancel(session, id, self._settings))
        case.cancelled = True

    async def _until_done(self, work: Callable[[AsyncSession], Awaitable[_Answer]]) -> _Answer:
        while True:
            try:
                async with self._database.transaction() as session:
                    return await work(session)
            except Exception as error:
                if not is_away(error):
                    raise
                self.repeated += 1
                await asyncio.sleep(RETRY_S)
