"""Requests that wait for results: one look at the database for all of them, some times a second."""

import asyncio
from collections.abc import Collection
from uuid import UUID

from sqlalchemy import select

from timeside_api.database import Database, is_away
from timeside_api.models import Result, ResultState


class Settling:
    """Tells when results are settled."""

    def __init__(self, database: Database, *, poll_s: float) -> None:
        self._database, self._poll_s = database, poll_s
        self._waiting: dict[UUID, set[asyncio.Future[None]]] = {}
        self._looking: asyncio.Task[None] | None = None

    async def wait(self, result_ids: Collection[UUID], *, within_s: float | None = None) -> bool:
        """Whether all of them are settled (done, failed or cancelled) within that time."""
        if not result_ids:
            return True
        futures = {id: asyncio.get_running_loop().create_future() for id in result_ids}
        for id, future in futures.items():
            self._waiting.setdefault(id, set()).add(future)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        try:
            done, pending = await asyncio.wait(futures.values(), timeout=within_s)
            for each in done:
                each.result()
            return not pending
        finally:
            for id, future in futures.items():
                self._leave(id, future)

    def close(self) -> None:
        """Look no more."""
        if self._looking is not None:
            self._looking.cancel()

    def _leave(self, id: UUID, future: "asyncio.Future[None]") -> None:
        waiting = self._waiting.get(id, set())
        waiting.discard(future)
        future.cancel()
        if not waiting:
            self._waiting.pop(id, None)

    async def _look(self) -> None:
        while self._waiting:
            awaited = {id: list(futures) for id, futures in self._waiting.items()}
            try:
                pending = await self._pending(awaited)
            except Exception as error:
                if is_away(error):
                    pending = awaited.keys()
                else:
                    self._fail(error)
                    return
            for future in (each for id in awaited.keys() - pending for each in awaited[id]):
                if not future.done():
                    future.set_result(None)
            await asyncio.sleep(self._poll_s)

    async def _pending(self, result_ids: Collection[UUID]) -> Collection[UUID]:
        wanted = select(Result.id).where(Result.id.in_(result_ids), Result.state == ResultState.PENDING)
        async with self._database.transaction() as session:
            return set(await session.scalars(wanted))

    def _fail(self, error: Exception) -> None:
        for future in (each for futures in self._waiting.values() for each in futures):
            if not future.done():
                future.set_exception(error)
