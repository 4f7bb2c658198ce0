"""SQL of media: what is kept, and who may have it."""

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from timeside_api.http.access import Caller
from timeside_api.http.ownership import media_of
from timeside_api.models import Media
from timeside_core.messages import MediaFacts


async def readable(session: AsyncSession, caller: Caller, sha256: str) -> Media | None:
    """A media of which the caller may read an item; a hash alone grants nothing."""
    wanted = select(Media).where(Media.sha256 == sha256)
    if not caller.is_admin:
        wanted = wanted.where(Media.sha256.in_(media_of(caller)))
    return await session.scalar(wanted)


async def keep(session: AsyncSession, sha256: str, size: int, facts: MediaFacts | None) -> None:
    """Note that the store has these bytes, and what their header says, unless more is known already.

    Until the transaction ends nobody else can note, or forget, the same media.
    """
    noted = insert(Media).values(sha256=sha256, size=size)
    await session.execute(noted.on_conflict_do_update(index_elements=[Media.sha256], set_={"size": size}))
    if facts is not None:
        said = facts.model_dump(mode="json", exclude={"sha256", "size"})
        unknown = Media.sha256 == sha256, Media.samplerate.is_(None)
        await session.execute(update(Media).where(*unknown).values(said))
