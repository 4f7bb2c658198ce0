"""What a task would come to, without making it: what is there, what is coming, what would be computed."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Select, Text, and_, case, cast, func, select, true
from sqlalchemy.dialects.postgresql import ARRAY, array
from sqlalchemy.ext.asyncio import AsyncSession

from timeside_api.extensions import count, media_of
from timeside_api.models import Item, Media, Result, ResultState
from timeside_api.plans import Asked
from timeside_api.tasks import ASSUMED_BYTES_PER_S


class Estimate(NamedTuple):
    """Counts, and audio to decode."""

    items: int
    skipped: int
    media: int
    results: int
    reused: int
    joined: int
    runs: int
    audio_s: float


async def estimate(session: AsyncSession, items: Select[Item], asked: Sequence[Asked]) -> Estimate:
    """Of a task that asks this of each of these items."""
    media = media_of(items).subquery("media_of_items")
    names = ("processor", "version", "digest")
    columns = [cast(array([getattr(each, name) for each in asked], type_=Text()), ARRAY(Text())) for name in names]
    keys = func.unnest(*columns).table_valued(*names).render_derived("asked")
    is_known = and_(
        Result.media_sha256 == media.c.media_sha256,
        *(getattr(Result, name) == keys.c[name] for name in names),
        Result.state.in_((ResultState.PENDING, ResultState.DONE)),
    )
    reused, joined = (
        func.count(Result.id).filter(Result.state == state) for state in (ResultState.DONE, ResultState.PENDING)
    )
    of_media = (
        select(media.c.media_sha256, reused.label("reused"), joined.label("joined"))
        .select_from(media.join(keys, true()).outerjoin(Result, is_known))
        .group_by(media.c.media_sha256)
        .subquery("of_media")
    )
    is_run = of_media.c.reused + of_media.c.joined < len(asked)
    found = await session.execute(
        select(
            func.count(),
            func.coalesce(func.sum(of_media.c.reused), 0),
            func.coalesce(func.sum(of_media.c.joined), 0),
            func.count().filter(is_run),
            func.coalesce(func.sum(_COST_S).filter(is_run), 0.0),
        ).select_from(of_media.join(Media, Media.sha256 == of_media.c.media_sha256))
    )
    media_count, done, pending, runs, audio_s = found.one()
    return Estimate(
        **await count(session, items),
        media=media_count,
        results=media_count * len(asked),
        reused=int(done),
        joined=int(pending),
        runs=runs,
        audio_s=float(audio_s),
    )


_COST_S = func.greatest(
    1.0,
    case(
        (Media.samplerate.is_(None) | Media.samples.is_(None), Media.size * 1.0 / ASSUMED_BYTES_PER_S),
        else_=Media.samples * 1.0 / Media.samplerate,
    ),
)
