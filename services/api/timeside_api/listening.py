"""What somebody does with a live session: begin it, end it and keep what was heard, give it up."""

from dataclasses import dataclass
from typing import cast
from uuid import UUID

from sqlalchemy import func, update
from sqlalchemy.ext.asyncio import AsyncSession

from timeside_api import live, tasks
from timeside_api.live import LiveSession
from timeside_api.models import Media, RunState, Task
from timeside_api.plans import Asked
from timeside_api.runs import HELD, Ledger, say
from timeside_api.settings import RunSettings
from timeside_api.tasks import Part, Request, Terms
from timeside_core import topics
from timeside_core.errors import ParameterError
from timeside_core.ids import uuid7
from timeside_core.messages import Lane, Stop

_OF_A_WHOLE = frozenset({"encoder", "grapher"})
"""Pools that make pictures, tiles and files of all of a media; the others cut endless streams into segments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be listened to, and for what."""

    owner_id: UUID
    source: str
    """A URL that may be fetched."""
    asked: tuple[Asked, ...]
    segment_s: float = 10.0
    title: str = ""
    project_id: UUID | None = None


async def begin(session: AsyncSession, wanted: Wanted) -> LiveSession:
    """A session that waits for its turn; raises `ParameterError` where something is asked that has no segments."""
    check(wanted.asked)
    media = Media(sha256=str(uuid7()), size=0)
    session.add(media)
    await session.flush()
    terms = Terms(wanted.owner_id, cast("Lane", live.LANE))
    task_id = await tasks.create(session, Request(parts=(Part(media.sha256, wanted.asked),), terms=terms))
    await session.execute(update(Task).where(Task.id == task_id).values(project_id=wanted.project_id))
    (run,) = await tasks.runs(session, task_id)
    made = LiveSession(
        id=UUID(media.sha256),
        owner_id=wanted.owner_id,
        project_id=wanted.project_id,
        title=wanted.title,
        source=wanted.source,
        segment_s=wanted.segment_s,
        task_id=task_id,
        run_id=run.id,
    )
    session.add(made)
    await session.flush()
    return made


def check(asked: tuple[Asked, ...]) -> None:
    """Raise `ParameterError` where something has no segments."""
    for each in asked:
        if each.pool in _OF_A_WHOLE:
            raise ParameterError(f"{each.processor!r} needs all of a media: live sources have analyzers of rows only")


async def stop(session: AsyncSession, live_session: LiveSession, settings: RunSettings) -> None:
    """Have it end as if its source had, soon; does nothing to one that has ended."""
    ledger = Ledger(session, settings)
    (run,) = await ledger.lock([live_session.run_id])
    if run.state is RunState.QUEUED and not run.attempt:
        return await cancel(session, live_session, settings)  # nothing was heard
    values = {"stopped_at": func.coalesce(LiveSession.stopped_at, func.now())}
    await session.execute(update(LiveSession).where(LiveSession.id == live_session.id).values(**values))
    if run.state in HELD:
        say(session, topics.CONTROL, Stop(run_id=run.id), key=run.id)
    elif run.state is RunState.QUEUED:
        await ledger.end_all(run)
    await ledger.close()
    await session.refresh(live_session)
    return None


async def cancel(session: AsyncSession, live_session: LiveSession, settings: RunSettings) -> None:
    """Give it up: what was heard since its last whole segment is dropped."""
    await tasks.cancel(session, live_session.task_id, settings)
