"""Tasks about many items: which media they are about is noted when they are made, and asked of bit by bit.

A task with media ahead is not settled. Whoever extends it holds its extension, so that it cannot be cancelled half way;
whoever dies meanwhile leaves it as it was.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any
from typing import cast as typed
from uuid import UUID

from sqlalchemy import CursorResult, Select, Uuid, cast, delete, exists, func, insert, literal, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from timeside_api import tasks
from timeside_api.collections import Extension, ExtensionMedia
from timeside_api.database import Database, is_away
from timeside_api.models import Item, Task, TaskState
from timeside_api.plans import Asked
from timeside_api.settings import RunSettings
from timeside_api.tasks import Part, Request

_log = logging.getLogger(__name__)


async def create(session: AsyncSession, request: Request, items: Select[Item], settings: RunSettings) -> UUID:
    """The id of a task that asks the same of the media of all these items: a new one, or that of the same key.

    Raises `IdempotencyError`.
    """
    task_id = await tasks.create(session, request)
    task = await tasks.get(session, task_id)
    if not task.ahead or await session.get(Extension, task_id) is not None:
        return task_id  # it was made before
    session.add(extension := Extension(task_id=task_id, asked=[asdict(each) for each in request.asked]))
    await session.flush()
    media = media_of(items).add_columns(cast(literal(task_id), Uuid()))
    noted = await session.execute(insert(ExtensionMedia).from_select(["media_sha256", "task_id"], media))
    counts = {**await count(session, items), "ahead": typed("CursorResult[Any]", noted).rowcount}
    await session.execute(update(Task).where(Task.id == task_id).values(counts))
    await _extend(session, extension, settings.extended_at_once)
    return task_id


def media_of(items: Select[Item]) -> Select[str | None]:
    """Hashes of the media of items, each once."""
    return items.with_only_columns(Item.media_sha256).where(Item.media_sha256.is_not(None)).distinct()


async def count(session: AsyncSession, items: Select[Item]) -> Mapping[str, int]:
    """Of items, and of those of them that are skipped, as they have no media."""
    each = items.with_only_columns(Item.media_sha256).subquery()
    all_items, with_media = (await session.execute(select(func.count(), func.count(each.c.media_sha256)))).one()
    return {"items": all_items, "skipped": all_items - with_media}


async def extend_next(database: Database, settings: RunSettings) -> bool:
    """Have the task that waits longest ask of some more media; False where none waits that nobody else has."""

    async def work(session: AsyncSession) -> bool:
        extension = await session.scalar(_NEXT)
        if extension is not None:
            await _extend(session, extension, settings.extended)
        return extension is not None

    try:
        return await database.retried(work)
    except Exception as error:
        if is_away(error):
            raise
        _log.exception("a task could not be extended, and waits until others were")
        await _let_others(database)
        return True


async def _extend(session: AsyncSession, extension: Extension, limit: int) -> None:
    of_task = ExtensionMedia.task_id == extension.task_id
    next = select(ExtensionMedia.media_sha256).where(of_task).order_by(ExtensionMedia.media_sha256).limit(limit)
    taken = delete(ExtensionMedia).where(of_task, ExtensionMedia.media_sha256.in_(next))
    media = sorted(await session.scalars(taken.returning(ExtensionMedia.media_sha256)))
    task = await tasks.get(session, extension.task_id)
    asked = tuple(_asked(extension.asked))
    parts = [Part(each, asked) for each in media]
    await tasks.ask(session, task.id, parts, tasks.terms_of(task), ahead=len(media))
    if await session.scalar(select(exists().where(of_task))):
        extension.at = func.clock_timestamp()
    else:
        await session.delete(extension)
    await session.flush()


async def _let_others(database: Database) -> None:
    async with database.transaction() as session:
        extension = await session.scalar(_NEXT)
        if extension is not None:
            extension.at = func.clock_timestamp()


def _asked(stored: Iterable[dict[str, Any]]) -> Iterable[Asked]:
    for each in stored:
        lists: dict[str, Any] = {name: tuple(each[name]) for name in ("effects", "outputs")}
        yield Asked(**each | lists)


_NEXT = (
    select(Extension)
    .join(Task, Task.id == Extension.task_id)
    .where(Task.state == TaskState.RUNNING)
    .order_by(Extension.at)
    .limit(1)
    .with_for_update(of=Extension, skip_locked=True)
)
