"""SQL of live sessions: every read begins with what the caller may see."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from timeside_api import tasks
from timeside_api.http import ownership
from timeside_api.http.access import Caller
from timeside_api.http.live.schemas import LiveOut, LiveWithTracks, SegmentOut
from timeside_api.live import LiveAttempt, LiveSegment, LiveSession
from timeside_api.models import Media, Result, Run
from timeside_api.sharing import Level

MAX_ATTEMPTS = 100
"""That are told, of sessions that were begun more often."""


def owned(caller: Caller) -> Select[LiveSession]:
    """Sessions of the caller's own."""
    return select(LiveSession).where(LiveSession.owner_id == caller.id)


async def get(session: AsyncSession, caller: Caller, live_id: UUID, level: Level = Level.VIEWER) -> LiveSession:
    """A session; raises a problem where the caller may not see one of that id, or may not do so much with it."""
    return await ownership.get(session, caller, LiveSession, live_id, level)


async def out(session: AsyncSession, found: Sequence[LiveSession]) -> list[LiveOut]:
    """Sessions as they are shown."""
    runs = await session.scalars(select(Run).where(Run.id.in_([each.run_id for each in found])))
    media = await session.scalars(select(Media).where(Media.sha256.in_([each.media for each in found])))
    by_id, by_key = {each.id: each for each in runs}, {each.sha256: each for each in media}
    return [LiveOut.of(each, by_id[each.run_id], by_key[each.media]) for each in found]


async def whole(session: AsyncSession, live: LiveSession) -> LiveWithTracks:
    """A session, with its tracks and attempts."""
    run = await session.get_one(Run, live.run_id, populate_existing=True)
    media = await session.get_one(Media, live.media)
    sums = select(LiveSegment.track_id, func.count(), func.sum(LiveSegment.samples)).group_by(LiveSegment.track_id)
    rows = await session.execute(sums.where(LiveSegment.session_id == live.id))
    made = {track_id: (count, int(samples)) for track_id, count, samples in rows}
    tracks = [(each, *made.get(each.id, (0, 0))) for each in await tasks.results(session, live.task_id)]
    attempts = select(LiveAttempt).where(LiveAttempt.run_id == run.id).order_by(LiveAttempt.attempt.desc())
    latest = (await session.scalars(attempts.limit(MAX_ATTEMPTS))).all()
    return LiveWithTracks.whole(live, run, media, tracks, latest[::-1])


def segments(live: LiveSession, track_id: UUID | None) -> Select[LiveSegment]:
    """Segments of a session, or of one of its tracks."""
    wanted = select(LiveSegment).where(LiveSegment.session_id == live.id)
    return wanted if track_id is None else wanted.where(LiveSegment.track_id == track_id)


async def segments_out(session: AsyncSession, live: LiveSession, found: Sequence[LiveSegment]) -> list[SegmentOut]:
    """Segments as they are shown."""
    media = await session.get_one(Media, live.media)
    rows = await session.scalars(select(Result).where(Result.id.in_([each.result_id for each in found])))
    results = {each.id: each for each in rows}
    return [SegmentOut.of(each, results[each.result_id], media.samplerate or 1) for each in found]
