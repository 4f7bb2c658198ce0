"""Finishes uploads whose process has died, and removes those that nobody goes on with."""

import asyncio
import logging
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from timeside_api.http.platform import Platform
from timeside_api.http.problems import Problem
from timeside_api.http.uploads import repository
from timeside_api.http.uploads.finishing import finish
from timeside_api.http.uploads.receiving import remove_objects

AT_MOST = 100
"""Uploads that are looked at in one transaction."""
_log = logging.getLogger(__name__)


async def keep_uploads(parts: Platform) -> None:
    """As long as the process lasts."""
    while True:
        try:
            await remove_expired(parts)
            await finish_whole(parts)
        except Exception as error:  # of the database or the store, which will be back
            _log.warning("uploads are looked after later: %s", error)
        await asyncio.sleep(parts.settings.upload_sweep_s)


async def remove_expired(parts: Platform) -> None:
    """Remove what nobody goes on with."""
    async with parts.database.transaction() as session:
        names = [name for id in await repository.expired(session, AT_MOST) for name in await remove(session, id)]
    await remove_objects(parts, names)


async def remove(session: AsyncSession, upload_id: UUID) -> list[str]:
    """Remove an upload; names of its parts, which are to be removed once that is committed."""
    names = list(await repository.object_names(session, upload_id))
    await repository.remove(session, upload_id)
    return names


async def finish_whole(parts: Platform) -> None:
    """Finish what has come as a whole."""
    async with parts.database.transaction() as session:
        found = await repository.whole(session, AT_MOST)
    for upload in found:
        try:
            async with parts.database.transaction() as session:
                claim = await repository.claim(session, upload, upload.length, parts.settings)
            await finish(parts, claim)
        except Problem as problem:  # another process was faster, or something is busy
            _log.info("upload %s is not finished here: %s", upload.id, problem)
