"""SQL of results: a result is readable by whoever may read an item with its media, or the live session it is of."""

from uuid import UUID

from sqlalchemy import Select, Text, cast, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from timeside_api.http.access import Caller
from timeside_api.http.ownership import media_of, visible
from timeside_api.http.problems import not_found
from timeside_api.live import LiveSession
from timeside_api.models import Result


def readable(caller: Caller) -> Select[Result]:
    """Results that the caller may read."""
    if caller.is_admin:
        return select(Result)
    sessions = visible(caller, LiveSession).with_only_columns(cast(LiveSession.id, Text))
    return select(Result).where(or_(*(Result.media_sha256.in_(each) for each in (media_of(caller), sessions))))


async def get(session: AsyncSession, caller: Caller, result_id: UUID) -> Result:
    """A result; raises a problem where the caller may not see one of that id."""
    result = await session.scalar(readable(caller).where(Result.id == result_id))
    if result is None:
        raise not_found("result", result_id)
    return result
