"""Asking for results that somebody waits for: found, begun or joined, and waited for as long as a request may."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import TypeAlias
from uuid import UUID

from fastapi import Response
from sqlalchemy import func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from timeside_api import quotas, tasks, views
from timeside_api.database import Database
from timeside_api.http.demand.settling import Settling
from timeside_api.http.problems import Problem
from timeside_api.http.results.states import done
from timeside_api.http.settings import HttpSettings
from timeside_api.http.tasks.schemas import ResultOfTask
from timeside_api.models import Result, ResultState
from timeside_api.plans import Asked
from timeside_api.tasks import Part, Terms
from timeside_api.views import Drawing

Begin: TypeAlias = Callable[[AsyncSession], Awaitable[Sequence[UUID]]]
AGAIN_S = 1
"""After which what is on its way may be there."""
_TIMES = 5
"""How often what others have cancelled meanwhile is asked for again."""
_KEY = Result.processor, Result.version, Result.digest


class NotYet(Problem):
    """No error: what is asked for is on its way. Its id can be subscribed to, and the same request repeated."""

    def __init__(self, result: Result) -> None:
        super().__init__(202, "pending", "what is asked for is on its way")
        self.result = result

    def response(self, trace_id: str) -> Response:
        """The result in short, where it will be, and when to ask again."""
        headers = {"Location": f"/v1/results/{self.result.id}", "Retry-After": str(AGAIN_S)}
        return Response(ResultOfTask.of(self.result).model_dump_json(), 202, headers, "application/json")


class Patience:
    """How long a request still waits."""

    def __init__(self, seconds: float) -> None:
        self._until = asyncio.get_running_loop().time() + seconds

    @property
    def left_s(self) -> float:
        """From now on."""
        return max(0.0, self._until - asyncio.get_running_loop().time())


class Demand:
    """Has results be made for who waits for them."""

    def __init__(self, database: Database, settling: Settling, settings: HttpSettings) -> None:
        self._database, self.settling, self._settings = database, settling, settings

    def patience(self, seconds: float | None = None) -> Patience:
        """That of a request: what it says, but no more than the platform allows."""
        most_s = self._settings.demand_s
        return Patience(most_s if seconds is None else min(seconds, most_s))

    async def results(self, owner_id: UUID, part: Part, patience: Patience) -> list[Result]:
        """Results of a media, done; raises `NotYet`, or a problem where one cannot be had."""
        return await self._made(await self.begin(owner_id, part), patience, lambda: self.begin(owner_id, part))

    async def picture(self, owner_id: UUID, drawing: Drawing, patience: Patience) -> Result:
        """The picture, drawn; raises `NotYet`, or a problem where it cannot be had."""

        async def begin() -> list[Result]:
            part = Part(drawing.shown[0].media_sha256, (drawing.asked(),))

            async def draw(session: AsyncSession) -> Sequence[UUID]:
                return [await views.draw(session, owner_id, drawing)]

            return await self._begun(part, draw)

        (picture,) = await self._made(await begin(), patience, begin)
        return picture

    async def begin(self, owner_id: UUID, part: Part) -> list[Result]:
        """Results of a media that are there or to come; a run is begun for those that nobody makes yet."""

        async def demand(session: AsyncSession) -> Sequence[UUID]:
            ids = await tasks.demand(session, part, Terms(owner_id))
            await quotas.check_queue(session, owner_id, self._settings.quotas)
            return ids

        return await self._begun(part, demand)

    async def known(self, part: Part) -> Result | None:
        """The only result that is asked for, if it is done; nothing is begun."""
        found = await self._find(part.media_sha256, part.asked)
        return next((each for each in found if each.state is ResultState.DONE), None)

    async def _begun(self, part: Part, begin: Begin) -> list[Result]:
        found = {
            (each.processor, each.version, each.digest): each
            for each in await self._find(part.media_sha256, part.asked)
        }
        for each in found.values():
            if each.state is ResultState.FAILED:
                done(each)
        if all(each.key in found and found[each.key].state is ResultState.DONE for each in part.asked):
            return [found[each.key] for each in part.asked]
        return await self._get(await self._database.retried(begin))

    async def _find(self, media_sha256: str, asked: Sequence[Asked]) -> list[Result]:
        """What is there, coming, or has failed a moment ago."""
        recently = func.now() - timedelta(seconds=self._settings.demand_again_s)
        wanted = select(Result).where(
            Result.media_sha256 == media_sha256,
            tuple_(*_KEY).in_([each.key for each in asked]),
            Result.state.in_((ResultState.PENDING, ResultState.DONE))
            | ((Result.state == ResultState.FAILED) & (Result.settled_at > recently)),
        )
        by_age = wanted.order_by(Result.id)  # of a key, what is there or coming is younger than what has failed
        async with self._database.transaction() as session:
            return list(await session.scalars(by_age))

    async def _get(self, ids: Sequence[UUID]) -> list[Result]:
        async with self._database.transaction() as session:
            found = {each.id: each for each in await session.scalars(select(Result).where(Result.id.in_(ids)))}
        return [found[id] for id in ids]

    async def _made(
        self, results: list[Result], patience: Patience, again: Callable[[], Awaitable[list[Result]]]
    ) -> list[Result]:
        for _ in range(_TIMES):
            pending = [each.id for each in results if each.state is ResultState.PENDING]
            if pending:
                await self.settling.wait(pending, within_s=patience.left_s)
                results = await self._get([each.id for each in results])
            if not any(each.state is ResultState.CANCELLED for each in results):
                break
            results = await again()
        for each in results:
            if each.state is ResultState.PENDING:
                raise NotYet(each)
        return [done(each) for each in results]
