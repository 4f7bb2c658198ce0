"""Live sessions: sources that are heard while they last, cut into segments, each of them a result.

A session stands for a media that has no bytes yet. Its id, as text, is the key of a row of `media`: a UUID of 36
characters, where hashes have 64. It has one task and one run, in a lane of the queue of its own.

What is asked of a processor is a pending result, its *track*, which settles when the session ends. The task counts
tracks: so it is running as long as the session is, and its counts stay as small as what was asked, however many days
pass. A segment is a result that is done from the beginning, and belongs to the task by its track.

The session's clock counts samples from the first one that was ever heard. An attempt begins where a segment does, past
all that earlier attempts are known to have made and past what the clock on the wall shows. So all segments lie on one
grid. Of an earlier attempt those count, whenever they come, that end before the next one begins: the segments of two
attempts never overlap. Where nothing was heard, between two attempts, segments are missing.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import ARRAY, Exists, ForeignKey, Index, UniqueConstraint, Uuid, exists, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from timeside_api.models import Base, Big, Created, Media, Owned, Result, ResultState, Run, RunState
from timeside_core.messages import Done, LiveSource, MediaFacts

LANE = "live"
"""Of the queue: live runs have a share of their own, as none of them gives room to another by itself."""


class LiveSession(Owned, Base):
    """A source that somebody has listened to."""

    __tablename__ = "live_session"
    __table_args__ = (Index(None, "owner_id", "id"),)

    title: Mapped[str] = mapped_column(server_default="")
    source: Mapped[str]
    """URL; what it holds may be secret."""
    segment_s: Mapped[float]
    task_id: Mapped[UUID] = mapped_column(ForeignKey("task.id"), unique=True)
    run_id: Mapped[UUID] = mapped_column(ForeignKey("run.id"), unique=True)
    heard_at: Mapped[datetime | None]
    """When the first sample came, by the database's clock."""
    got_on: Mapped[Big] = mapped_column(server_default="0")
    """The last attempt that has made a segment; what a run may cost is counted from there."""
    stopped_at: Mapped[datetime | None]
    """When it was asked to end and keep what was heard."""
    created_at: Mapped[Created]

    @property
    def media(self) -> str:
        """Key of what stands for its media."""
        return str(self.id)

    def message(self) -> LiveSource:
        """For workers."""
        return LiveSource(session=self.id, url=self.source, segment_s=self.segment_s)


class LiveAttempt(Base):
    """An attempt to listen: where it begins on the session's clock, and the tracks that it makes."""

    __tablename__ = "live_attempt"

    run_id: Mapped[UUID] = mapped_column(ForeignKey("run.id"), primary_key=True)
    attempt: Mapped[Big] = mapped_column(primary_key=True, autoincrement=False)
    first_sample: Mapped[Big]
    planned: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid()))
    """In the order of its plan."""
    created_at: Mapped[Created]


class LiveSegment(Base):
    """A result that is one segment of a track."""

    __tablename__ = "live_segment"
    __table_args__ = (UniqueConstraint("track_id", "first_sample"), Index(None, "session_id", "result_id"))

    result_id: Mapped[UUID] = mapped_column(ForeignKey("result.id"), primary_key=True)
    session_id: Mapped[UUID] = mapped_column(ForeignKey("live_session.id"))
    track_id: Mapped[UUID] = mapped_column(ForeignKey("result.id"))
    first_sample: Mapped[Big]
    """On the session's clock."""
    samples: Mapped[Big]


async def of_runs(session: AsyncSession, run_ids: Iterable[UUID]) -> dict[UUID, LiveSession]:
    """The sessions of runs, by run."""
    found = await session.scalars(select(LiveSession).where(LiveSession.run_id.in_(list(run_ids))))
    return {each.run_id: each for each in found}


def is_segment(result_id: Any) -> Exists:
    """Whether a result is a segment of a track."""
    return exists().where(LiveSegment.result_id == result_id)


async def stopping(session: AsyncSession) -> Sequence[UUID]:
    """Runs that were asked to end, and that workers may have."""
    held = RunState.CLAIMED, RunState.DISPATCHED, RunState.RUNNING
    asked = select(Run.id).join(LiveSession, LiveSession.run_id == Run.id)
    wanted = asked.where(LiveSession.stopped_at.is_not(None), Run.state.in_(held), Run.lane == LANE)
    return (await session.scalars(wanted)).all()


# The clock


def segment_samples(segment_s: float, samplerate: int) -> int:
    """Length of a segment; as `SegmentedEngine` has it."""
    return max(1, round(segment_s * samplerate))


def resumed_at(*, heard_to: int, passed_s: float, samplerate: int, segment_s: float) -> int:
    """First sample of a further attempt: the begin of a segment, past what may have been heard and what time it is."""
    length = segment_samples(segment_s, samplerate)
    return math.ceil(max(heard_to, passed_s * samplerate) / length) * length


async def begin_attempts(session: AsyncSession, run_ids: Iterable[UUID]) -> None:
    """Have runs that were just claimed begin where they may, on the clocks of their sessions."""
    for live in (await of_runs(session, run_ids)).values():
        run = await session.get_one(Run, live.run_id, populate_existing=True)
        run.first_sample = await _begin(session, live)
        attempt = LiveAttempt(
            run_id=run.id, attempt=run.attempt, first_sample=run.first_sample, planned=list(run.planned)
        )
        session.add(attempt)
    await session.flush()


async def _begin(session: AsyncSession, live: LiveSession) -> int:
    media = await session.get_one(Media, live.media)
    if live.heard_at is None or media.samplerate is None:
        return 0
    passed_s = await session.scalar(select(func.extract("epoch", func.clock_timestamp() - live.heard_at)))
    return resumed_at(
        heard_to=await _heard_to(session, live),
        passed_s=float(passed_s or 0),
        samplerate=media.samplerate,
        segment_s=live.segment_s,
    )


async def _heard_to(session: AsyncSession, live: LiveSession) -> int:
    """One past the last sample that a segment has."""
    stop = func.max(LiveSegment.first_sample + LiveSegment.samples)
    return await session.scalar(select(stop).where(LiveSegment.session_id == live.id)) or 0


# What workers say


async def learn(session: AsyncSession, run: Run, facts: MediaFacts, *, final: bool) -> str:
    """Note what was found out about a source; returns why it cannot be gone on with, if it cannot."""
    media = await session.get_one(Media, run.media_sha256)
    if media.samplerate not in (None, facts.samplerate):
        return f"it came back with {facts.samplerate} samples per second, where there were {media.samplerate}"
    known: dict[str, Any] = facts.model_dump(exclude={"sha256", "size", "samples"})
    if final and facts.samples is not None:
        known |= {"samples": run.first_sample + facts.samples, "decoded": True}
    await session.execute(update(Media).where(Media.sha256 == media.sha256).values(**known))
    heard = update(LiveSession).where(LiveSession.run_id == run.id, LiveSession.heard_at.is_(None))
    await session.execute(heard.values(heard_at=func.now()))
    return ""


async def track_of(session: AsyncSession, message: Done) -> UUID | None:
    """The track of a segment; None where the attempt that tells of it had no right to make it."""
    assert message.segment is not None
    first, stop = message.segment.first_sample, message.segment.first_sample + (message.segment.samples or 0)
    of_run = LiveAttempt.run_id == message.run_id
    attempt = await session.scalar(select(LiveAttempt).where(of_run, LiveAttempt.attempt == message.attempt))
    if attempt is None or message.processor >= len(attempt.planned):
        return None
    later = select(func.min(LiveAttempt.first_sample)).where(of_run, LiveAttempt.attempt > message.attempt)
    limit = await session.scalar(later)
    is_its_own = attempt.first_sample <= first < stop and (limit is None or stop <= limit)
    return attempt.planned[message.processor] if is_its_own else None


async def add(session: AsyncSession, live: LiveSession, track: Result, message: Done) -> bool:
    """Make the result of a segment; False where it is there already."""
    assert message.segment is not None
    same = ("media_sha256", "processor", "version", "parameters", "effects", "pool", "outputs", "run_id")
    row: Mapping[str, Any] = {
        **{name: getattr(track, name) for name in same},
        "digest": message.digest,
        "state": ResultState.DONE,
        "attempt": message.attempt,
        "object_name": message.result.prefix,
        "object_sha256": message.result.manifest_sha256,
        "size": message.size,
        "samples": message.samples,
        "run_time_s": message.run_time_s,
        "settled_at": func.now(),
    }
    made = await session.scalar(insert(Result).values(**row).on_conflict_do_nothing().returning(Result.id))
    if made is None:
        return False
    segment = LiveSegment(
        result_id=made,
        session_id=live.id,
        track_id=track.id,
        first_sample=message.segment.first_sample,
        samples=message.samples,
    )
    session.add(segment)
    await session.flush()
    return True


async def extent(session: AsyncSession, track_id: UUID) -> tuple[int, int]:
    """Samples and bytes of all segments of a track."""
    sums = func.coalesce(func.sum(Result.samples), 0), func.coalesce(func.sum(Result.size), 0)
    of_track = LiveSegment.track_id == track_id
    found = await session.execute(select(*sums).join(LiveSegment, LiveSegment.result_id == Result.id).where(of_track))
    samples, size = cast("tuple[Any, Any]", tuple(found.one()))
    return int(samples), int(size)
