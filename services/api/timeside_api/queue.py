"""The queue of runs: whose turn it is, who has what, whose lease ran out; the SQL of the dispatcher.

Fairness is start-time fair queuing [Goyal, Vin, Cheng 1996] over audio seconds: each lane has a clock; a run begins, on
that clock, where its owner's last one ended (or now, if that owner had nothing to do) and lasts its audio seconds
divided by the owner's weight; the run that begins first goes first. So a thousand hours of one owner hold up another's
single file by one run, and who was idle neither saves up nor pays for it.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from timeside_api import live, views
from timeside_api.models import Media, Result, Run, RunKind, RunState
from timeside_api.runs import HELD
from timeside_api.views import View
from timeside_core.bus import Bounds
from timeside_core.messages import LiveSource


class Waiting(NamedTuple):
    """A run in the queue."""

    id: UUID
    owner_id: UUID
    partition: int | None
    strikes: int
    begin_s: float
    """On the lane's clock."""
    end_s: float


class Load(NamedTuple):
    """What is handed out of a partition."""

    runs: int
    alone: bool
    """Whether one of them must have no company."""


class Placed(NamedTuple):
    """A run whose turn it is, and its partition."""

    waiting: Waiting
    partition: int


class Claimed(NamedTuple):
    """A run that is to be handed out now, and all that its command says."""

    run: Run
    media: Media
    results: Sequence[Result]
    view: tuple[View, Sequence[Result]] | None = None
    """Of a drawing: the picture, and the results that it shows; None where these are gone."""
    source: LiveSource | None = None
    """Of a live run."""


class Sent(NamedTuple):
    """Where the command of a run lies."""

    run_id: UUID
    attempt: int
    partition: int
    offset: int


async def waiting(session: AsyncSession, lane: str, *, limit: int) -> list[Waiting]:
    """The runs whose turn is next, in that order."""
    rows = await session.execute(_WAITING, {"lane": lane, "limit": limit})
    return [Waiting(*row) for row in rows]


_WAITING = text("""
SELECT
    next.id, owner.id, next.partition, next.strikes,
    greatest(coalesce(share.served_s, 0), lane.clock_s) + (sum(next.cost_s) OVER ahead - next.cost_s) / owner.weight
        AS begin_s,
    greatest(coalesce(share.served_s, 0), lane.clock_s) + sum(next.cost_s) OVER ahead / owner.weight AS end_s
FROM lane
CROSS JOIN owner
LEFT JOIN share ON share.owner_id = owner.id AND share.lane = lane.name
CROSS JOIN LATERAL (
    SELECT id, partition, strikes, priority, cost_s FROM run
    WHERE run.lane = :lane AND run.owner_id = owner.id AND run.state = 'queued' AND run.not_before <= now()
    ORDER BY priority DESC, id LIMIT :limit
) AS next
WHERE lane.name = :lane
WINDOW ahead AS (PARTITION BY owner.id ORDER BY next.priority DESC, next.id)
ORDER BY begin_s, next.id
LIMIT :limit
""")


async def loads(session: AsyncSession, lane: str, *, alone_from_strikes: int) -> dict[int, Load]:
    """What is handed out of each partition of a lane; partitions of which nothing is are left out."""
    rows = await session.execute(_LOADS, {"lane": lane, "strikes": alone_from_strikes})
    return {partition: Load(runs, alone) for partition, runs, alone in rows}


_LOADS = text(
    "SELECT partition, count(*), bool_or(strikes >= :strikes) FROM run"
    " WHERE lane = :lane AND state IN ('claimed', 'dispatched', 'running') GROUP BY partition"
)


async def claim(session: AsyncSession, lane: str, placed: Sequence[Placed]) -> list[UUID]:
    """Raise the attempt of each of these runs; returns those that are still in the queue."""
    ids = [each.waiting.id for each in placed]
    partitions = [each.partition for each in placed]
    await session.execute(_LOCKED, {"ids": ids})
    claimed = set(await session.scalars(_CLAIMED, {"ids": ids, "partitions": partitions}))
    served: dict[UUID, float] = {}
    for each in placed:
        if each.waiting.id in claimed:
            served[each.waiting.owner_id] = max(each.waiting.end_s, served.get(each.waiting.owner_id, 0.0))
    if served:
        clock_s = max(each.waiting.begin_s for each in placed if each.waiting.id in claimed)
        await session.execute(_CLOCK, {"lane": lane, "clock_s": clock_s})
        await session.execute(_SERVED, {"lane": lane, "owners": list(served), "served": list(served.values())})
    return [id for id in ids if id in claimed]


_LOCKED = text("SELECT FROM run WHERE id = ANY(CAST(:ids AS uuid[])) ORDER BY id FOR UPDATE")
_CLAIMED = text(
    "UPDATE run SET state = 'claimed', attempt = attempt + 1, partition = given.partition,"
    " command_partition = NULL, command_offset = NULL, progress = '{}', planned = coalesce("
    "  (SELECT array_agg(id ORDER BY id) FROM result WHERE run_id = run.id AND state = 'pending'), '{}')"
    " FROM unnest(CAST(:ids AS uuid[]), CAST(:partitions AS smallint[])) AS given (id, partition)"
    " WHERE run.id = given.id AND run.state = 'queued' RETURNING run.id"
)
_CLOCK = text("UPDATE lane SET clock_s = greatest(clock_s, :clock_s) WHERE name = :lane")
_SERVED = text(
    "INSERT INTO share (owner_id, lane, served_s)"
    " SELECT owner, :lane, served FROM unnest(CAST(:owners AS uuid[]), CAST(:served AS float8[])) AS n (owner, served)"
    " ON CONFLICT (owner_id, lane) DO UPDATE SET served_s = greatest(share.served_s, excluded.served_s)"
)


async def claimed(session: AsyncSession, run_ids: Collection[UUID]) -> list[Claimed]:
    """All that the commands of these runs say, in order of their ids."""
    of_run = Run.id.in_(run_ids), Run.state == RunState.CLAIMED
    found = await session.execute(
        select(Run, Media).join(Media, Media.sha256 == Run.media_sha256).where(*of_run).order_by(Run.id)
    )
    runs = [(run, media) for run, media in found]
    wanted = [id for run, _ in runs for id in run.planned]
    results = {each.id: each for each in await session.scalars(select(Result).where(Result.id.in_(wanted)))}
    sessions = await live.of_runs(session, [run.id for run, _ in runs if run.lane == live.LANE])
    sources = {run_id: each.message() for run_id, each in sessions.items()}
    return [
        Claimed(run, media, [results[id] for id in run.planned], await _view(session, run), sources.get(run.id))
        for run, media in runs
    ]


async def _view(session: AsyncSession, run: Run) -> tuple[View, Sequence[Result]] | None:
    return await views.shown_in(session, run.planned[0]) if run.kind is RunKind.DRAW and run.planned else None


async def dispatched(session: AsyncSession, sent: Collection[Sent]) -> None:
    """Note that these commands were sent; of a run that is not claimed any more it need not be known."""
    columns = [list(column) for column in zip(*sorted(sent), strict=True)] or [[], [], [], []]
    await session.execute(_DISPATCHED, dict(zip(("ids", "attempts", "partitions", "offsets"), columns, strict=True)))


_DISPATCHED = text(
    "UPDATE run SET state = 'dispatched', dispatched_at = now(), command_partition = given.partition,"
    " command_offset = given.command_offset FROM unnest(CAST(:ids AS uuid[]), CAST(:attempts AS bigint[]),"
    " CAST(:partitions AS smallint[]), CAST(:offsets AS bigint[])) AS given (id, attempt, partition, command_offset)"
    " WHERE run.id = given.id AND run.attempt = given.attempt AND run.state = 'claimed'"
)


async def unclaim(session: AsyncSession) -> None:
    """Put back what was claimed by a dispatcher that died before it had noted that it was sent."""
    await session.execute(text("UPDATE run SET state = 'queued' WHERE state = 'claimed'"))


async def dispatched_partitions(session: AsyncSession, lane: str, kind: RunKind) -> list[int]:
    """Partitions in which commands of a lane lie that nobody has accepted, as far as is known."""
    return list(await session.scalars(_DISPATCHED_PARTITIONS, {"lane": lane, "kind": kind}))


_DISPATCHED_PARTITIONS = text(
    "SELECT DISTINCT command_partition FROM run WHERE lane = :lane AND kind = :kind AND state = 'dispatched' ORDER BY 1"
)


async def accept(
    session: AsyncSession, lane: str, kind: RunKind, committed: Mapping[int, int], *, lease_s: float
) -> int:
    """Begin the leases of runs whose command was accepted: its group has committed past it. Returns their count."""
    given = {
        "lane": lane,
        "kind": kind,
        "partitions": list(committed),
        "offsets": list(committed.values()),
        "lease_s": lease_s,
    }
    return len((await session.execute(_ACCEPTED, given)).all())


_ACCEPTED = text(
    "UPDATE run SET state = 'running', lease_until = now() + :lease_s * interval '1 second'"
    " FROM unnest(CAST(:partitions AS smallint[]), CAST(:offsets AS bigint[])) AS given (partition, next)"
    " WHERE lane = :lane AND kind = :kind AND state = 'dispatched' AND command_partition = given.partition"
    " AND command_offset < given.next RETURNING run.id"
)


async def gone(session: AsyncSession, lane: str, kind: RunKind, bounds: Mapping[int, Bounds]) -> list[UUID]:
    """Runs whose command is in the log no more, and was never accepted."""
    given = {
        "lane": lane,
        "kind": kind,
        "partitions": list(bounds),
        "first": [each.first for each in bounds.values()],
        "next": [each.next for each in bounds.values()],
    }
    return list(await session.scalars(_GONE, given))


_GONE = text(
    "SELECT run.id FROM run JOIN unnest(CAST(:partitions AS smallint[]), CAST(:first AS bigint[]),"
    " CAST(:next AS bigint[])) AS given (partition, first, next) ON command_partition = given.partition"
    " WHERE lane = :lane AND kind = :kind AND state = 'dispatched'"
    " AND (command_offset < given.first OR command_offset >= given.next)"
)


async def expired(session: AsyncSession, before: datetime) -> list[UUID]:
    """Runs whose lease had run out by then."""
    return list(await session.scalars(select(Run.id).where(Run.state == RunState.RUNNING, Run.lease_until < before)))


async def held(session: AsyncSession) -> list[UUID]:
    """All runs that workers may have."""
    return list(await session.scalars(select(Run.id).where(Run.state.in_(HELD))))


async def extend(session: AsyncSession, *, lease_s: float) -> None:
    """Begin all leases anew: for some time nobody could be heard."""
    await session.execute(_EXTENDED, {"lease_s": lease_s})


_EXTENDED = text(
    "UPDATE run SET lease_until = greatest(lease_until, now() + :lease_s * interval '1 second') WHERE state = 'running'"
)


async def clock(session: AsyncSession) -> datetime:
    """The database's time: the only clock that leases are measured by."""
    return (await session.execute(text("SELECT clock_timestamp()"))).scalar_one()


async def backlog(session: AsyncSession) -> dict[str, tuple[float, int]]:
    """Of each lane: audio seconds that wait, and count of the runs that workers may have."""
    return {lane: (queued_s, runs) for lane, queued_s, runs in await session.execute(_BACKLOG)}


_BACKLOG = text(
    "SELECT lane.name, coalesce(sum(cost_s) FILTER (WHERE state = 'queued'), 0), count(run.id) FILTER"
    " (WHERE state <> 'queued') FROM lane LEFT JOIN run ON run.lane = lane.name AND"
    " (state = 'queued' OR state IN ('claimed', 'dispatched', 'running')) GROUP BY lane.name"
)
