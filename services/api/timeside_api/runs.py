"""Runs and results as they go on: what workers said, and what follows from it, in one transaction.

Rows are locked in one order everywhere, so that transactions wait for each other and never in a circle: runs, then
results, then tasks, each by id.
"""

import logging
from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import exists, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from timeside_api import events, live
from timeside_api.metrics import AGAIN
from timeside_api.models import Media, Outbox, Result, ResultState, Run, RunKind, RunState
from timeside_api.settings import RunSettings
from timeside_core import topics
from timeside_core.bus import Partition
from timeside_core.messages import (
    Cancel,
    Derived,
    Done,
    Ended,
    JsonMessage,
    MediaFacts,
    Progress,
    RunRef,
    State,
    encode,
)

_log = logging.getLogger(__name__)

HELD = frozenset({RunState.CLAIMED, RunState.DISPATCHED, RunState.RUNNING})
"""States in which workers may have a run: what they say of its present attempt counts."""
_WAITING_OR_HELD = HELD | {RunState.QUEUED}


class Ledger:
    """The runs that a transaction is about, and the results that wait for them."""

    def __init__(self, session: AsyncSession, settings: RunSettings) -> None:
        self._session, self._settings = session, settings
        self._runs: dict[UUID, Run] = {}
        self._pending: dict[UUID, Result] = {}
        self._live: dict[UUID, live.LiveSession] = {}
        """Sessions of those runs that are live, by run."""
        self._settled: list[Result] = []
        self._said: dict[UUID, State] = {}

    async def lock(self, run_ids: Iterable[UUID]) -> list[Run]:
        """These runs: they and their pending results are ours until the transaction ends."""
        asked = set(run_ids)
        if wanted := asked - self._runs.keys():
            await self._lock(wanted)
        return [run for run in self._runs.values() if run.id in asked]

    async def _lock(self, wanted: set[UUID]) -> None:
        runs = select(Run).where(Run.id.in_(wanted)).order_by(Run.id).with_for_update()
        self._runs |= {run.id: run for run in await self._session.scalars(runs)}
        pending = select(Result).where(Result.run_id.in_(wanted), Result.state == ResultState.PENDING)
        rows = await self._session.scalars(pending.order_by(Result.id).with_for_update())
        self._pending |= {result.id: result for result in rows}
        self._live |= await live.of_runs(self._session, [id for id in wanted if self._is_live(id)])

    def run(self, run_id: UUID) -> Run | None:
        """One of these, if it is known."""
        return self._runs.get(run_id)

    def of_attempt(self, run_id: UUID, attempt: int) -> Run | None:
        """The run, if that is its present attempt."""
        run = self._runs.get(run_id)
        return run if run is not None and run.attempt == attempt else None

    def held(self, run_id: UUID, attempt: int) -> Run | None:
        """The run, if workers may have it in that attempt and something is to come of it: else they say it in vain."""
        run = self.of_attempt(run_id, attempt)
        return run if run is not None and run.state in HELD and self.pending_of(run) else None

    def pending(self, run: Run, index: int) -> Result | None:
        """The result at that index of its plan; None once it is settled."""
        return self._pending.get(run.planned[index]) if index < len(run.planned) else None

    def pending_of(self, run: Run) -> list[Result]:
        """All results that wait for it."""
        return [result for result in self._pending.values() if result.run_id == run.id]

    def done(self, run: Run, message: Done) -> bool:
        """A result is whole: make it visible, if it is the one that was planned; whether it counts."""
        result = self.pending(run, message.processor)
        if result is None:
            return False
        if message.media != result.media_sha256:
            self.fail(run, result, "media", f"what was decoded has SHA-256 {message.media}: the media is damaged")
        elif (message.id, message.processor_version, message.digest) != (
            result.processor,
            result.version,
            result.digest,
        ):
            self.fail(run, result, "key", f"workers made {message.id} {message.processor_version} of another digest")
        else:
            result.object_name, result.object_sha256 = message.result.prefix, message.result.manifest_sha256
            result.size, result.samples, result.run_time_s = message.size, message.samples, message.run_time_s
            self._settle(run, result, ResultState.DONE)
        return True

    def derived(self, run: Run, index: int, message: Derived) -> bool:
        """A file is whole: make it visible; whether it counts."""
        result = self.pending(run, index)
        if result is None:
            return False
        result.object_name, result.object_sha256 = message.object, message.sha256
        result.size, result.mime_type = message.size, message.mime_type
        self._settle(run, result, ResultState.DONE)
        return True

    async def segment(self, run: Run, message: Done) -> bool:
        """A segment of a live source is whole: make it visible; whether it counts."""
        track_id = await live.track_of(self._session, message)
        track = None if track_id is None else self._pending.get(track_id)
        if track is None or run.state not in _WAITING_OR_HELD:
            return False
        if (message.media, message.id, message.processor_version) != (
            track.media_sha256,
            track.processor,
            track.version,
        ):
            return False
        made = await live.add(self._session, self._live[run.id], track, message)
        if made and message.attempt == run.attempt:
            run.strikes, self._live[run.id].got_on = 0, run.attempt
        return made

    async def ended(self, run: Run, message: Ended) -> bool:
        """A live source has ended, and all segments of a track were told; whether it counts."""
        track = self.pending(run, message.processor)
        if track is not None:
            await self._end(run, track)
        return track is not None

    async def end_all(self, run: Run) -> None:
        """A live source is heard no more, and what was heard is kept."""
        for track in self.pending_of(run):
            await self._end(run, track)

    def fail(self, run: Run, result: Result, code: str, reason: str) -> None:
        """A result cannot be had."""
        result.code, result.reason = code, reason
        self._settle(run, result, ResultState.FAILED)

    def fail_all(self, run: Run, code: str, reason: str) -> None:
        """None of the results that still wait for a run can be had."""
        for result in self.pending_of(run):
            self.fail(run, result, code, reason)

    async def again(self, run: Run, cause: str, *, culprit: Result | None = None, blame: bool = True) -> None:
        """Hand a run out again; when that was the last bad end it may have, give up what is to blame, or all of it."""
        run.causes = [*run.causes, f"attempt {run.attempt}: {cause}"][-self._settings.max_attempts :]
        run.strikes += blame
        if self._is_live(run.id):
            say(self._session, topics.CONTROL, Cancel(run_id=run.id, attempt=run.attempt), key=run.id)
            if self._live[run.id].stopped_at is not None:
                return await self.end_all(run)
        AGAIN.labels("run" if blame else "nobody").inc()
        if run.strikes >= self._settings.max_strikes and not await self._goes_on_without(run, culprit):
            return self.fail_all(run, "attempts", f"ended badly {run.strikes} times: {'; '.join(run.causes)}")
        attempts = run.attempt - self._got_on(run)
        if attempts >= self._settings.max_attempts:
            return self.fail_all(run, "attempts", f"was handed out {attempts} times in vain: {'; '.join(run.causes)}")
        pause_s = min(self._settings.max_pause_s, self._settings.pause_s * 2.0 ** min(30, max(0, attempts - 1)))
        run.state, run.lease_until = RunState.QUEUED, None
        run.not_before = func.now() + timedelta(seconds=pause_s)
        self._say(run, "queued", cause)
        return None

    async def again_at_once(self, run: Run, cause: str) -> None:
        """Hand a run out again without a pause: nothing is wrong with it, and nothing to be waited for."""
        await self.again(run, cause, blame=False)
        if run.state is RunState.QUEUED:
            run.not_before = func.now()

    def cancel(self, run: Run) -> None:
        """Nobody wants its results any more."""
        for result in self.pending_of(run):
            self._settle(run, result, ResultState.CANCELLED)
        run.state, run.lease_until, run.finished_at = RunState.CANCELLED, None, func.now()
        self._say(run, "cancelled")
        say(self._session, topics.CONTROL, Cancel(run_id=run.id), key=run.id)

    async def close(self) -> None:
        """Draw the conclusions: tasks count what was settled, runs without pending results have ended."""
        await self._session.flush()
        await _count_in_tasks(self._session, [result.id for result in self._settled])
        await self._finish({result.run_id for result in self._settled})
        for run_id, message in self._said.items():
            say(self._session, topics.PROGRESS, message, key=run_id)

    def _settle(self, run: Run, result: Result, state: ResultState) -> None:
        result.state, result.attempt, result.settled_at = state, run.attempt, func.now()
        self._settled.append(result)
        if run.lane == "interactive":  # of the bulk lane's millions, tasks tell how many there are
            about: dict[str, Any] = {"state": state, "processor": result.processor, "media_sha256": result.media_sha256}
            events.note(self._session, "result.settled", owner_id=run.owner_id, subject_id=result.id, **about)
        del self._pending[result.id]

    async def _end(self, run: Run, track: Result) -> None:
        track.samples, track.size = await live.extent(self._session, track.id)
        self._settle(run, track, ResultState.DONE)

    def _is_live(self, run_id: UUID) -> bool:
        return run_id in self._runs and self._runs[run_id].lane == live.LANE

    def _got_on(self, run: Run) -> int:
        """The last attempt that made something: over days, bad luck must not add up."""
        return self._live[run.id].got_on if self._is_live(run.id) else 0

    async def _goes_on_without(self, run: Run, culprit: Result | None) -> bool:
        """Whether the blame lies with processors that are given up, so that the others begin with a clean slate."""
        if culprit is not None:
            self.fail(run, culprit, "attempts", f"ended badly {run.strikes} times: {'; '.join(run.causes)}")
        elif not await self._has_failed_results(run):
            return False
        run.strikes = 0
        return True

    async def _has_failed_results(self, run: Run) -> bool:
        await self._session.flush()
        failed = Result.state == ResultState.FAILED, Result.attempt == run.attempt
        return bool(await self._session.scalar(select(exists().where(Result.id.in_(run.planned), *failed))))

    async def _finish(self, run_ids: set[UUID]) -> None:
        waiting = {result.run_id for result in self._pending.values()}
        ended = [run for run in self._runs.values() if run.id in run_ids - waiting and run.state in _WAITING_OR_HELD]
        if not ended:
            return
        ids = [run.id for run in ended]
        was_done = Result.run_id.in_(ids), Result.state == ResultState.DONE, ~live.is_segment(Result.id)
        done = select(Result.run_id).where(*was_done).distinct()
        some_done = set(await self._session.scalars(done))
        for run in ended:
            run.state = RunState.DONE if run.id in some_done else RunState.FAILED
            run.lease_until, run.finished_at = None, func.now()
            self._say(run, "done" if run.state is RunState.DONE else "failed", "; ".join(run.causes)[-4096:])
            if run.state is RunState.FAILED and self._is_live(run.id):  # it would be listened to for ever
                say(self._session, topics.CONTROL, Cancel(run_id=run.id), key=run.id)

    def _say(self, run: Run, state: Any, reason: str = "") -> None:
        self._said[run.id] = State(run_id=run.id, attempt=max(1, run.attempt), state=state, reason=reason[:4096])


def say(session: AsyncSession, topic: str, message: JsonMessage, *, key: UUID) -> None:
    """Send a message because of this transaction, if it is committed: soon after, and at least once."""
    session.add(Outbox(topic=topic, key=key.bytes, value=bytes(encode(message))))


async def signs_of_life(session: AsyncSession, signs: Iterable[RunRef], *, lease_s: float) -> int:
    """Workers have these runs: renew their leases. Returns how many of the signs count."""
    given = {sign.run_id: sign.attempt for sign in sorted(signs, key=lambda sign: sign.attempt)}
    parameters = {"ids": sorted(given), "attempts": [given[id] for id in sorted(given)], "lease_s": lease_s}
    await session.execute(_LOCKED, parameters)
    for run_id, attempt in (await session.execute(_STARTED, parameters)).all():
        running = State(run_id=run_id, attempt=attempt, state="running")
        say(session, topics.PROGRESS, running, key=run_id)
    return len((await session.execute(_RENEWED, parameters)).all())


_GIVEN = "unnest(CAST(:ids AS uuid[]), CAST(:attempts AS bigint[])) AS given (id, attempt)"
_LOCKED = text("SELECT FROM run WHERE id = ANY(CAST(:ids AS uuid[])) ORDER BY id FOR UPDATE")
_STARTED = text(
    f"UPDATE run SET state = 'running' FROM {_GIVEN} WHERE run.id = given.id AND run.attempt = given.attempt"
    " AND run.state IN ('claimed', 'dispatched') RETURNING run.id, run.attempt"
)
_RENEWED = text(
    f"UPDATE run SET lease_until = now() + :lease_s * interval '1 second' FROM {_GIVEN} WHERE run.id = given.id"
    " AND run.attempt = given.attempt AND run.state = 'running' RETURNING run.id"
)


async def progress(session: AsyncSession, messages: Collection[Progress]) -> None:
    """Note how far the stages of runs are; of several messages of a stage the last counts."""
    latest = {(each.run_id, each.attempt, each.stage): each.samples_done for each in messages}
    for (run_id, attempt, stage), samples in sorted(latest.items()):
        noted = func.jsonb_build_object(stage, samples)
        is_held = Run.id == run_id, Run.attempt == attempt, Run.state.in_(HELD)
        await session.execute(update(Run).where(*is_held).values(progress=Run.progress.op("||")(noted)))


async def learn(session: AsyncSession, run: Run, facts: MediaFacts, *, final: bool) -> None:
    """Note what a decoder found out about the media; what all of it was decoded for is not forgotten again."""
    known = facts.model_dump(exclude={"sha256", "size"}) | {"decoded": final}
    wanted = Media.sha256 == run.media_sha256, *([] if final else [~Media.decoded])
    await session.execute(update(Media).where(*wanted).values(**known))


async def runs_of_partition(
    session: AsyncSession, lane: str, *, kind: RunKind, pool: str | None, partition: int, partitions: int
) -> list[UUID]:
    """Runs of which a partition, of so many, may hold blocks for a pool, or (for no pool) the command."""
    lanes = (lane, live.LANE) if lane == "interactive" and pool is not None else (lane,)
    found = select(Run.id).where(Run.lane.in_(lanes), Run.kind == kind, Run.partition % partitions == partition)
    if pool is None:
        return list(await session.scalars(found.where(Run.state == RunState.DISPATCHED)))
    waits = exists().where(Result.run_id == Run.id, Result.state == ResultState.PENDING, Result.pool == pool)
    return list(await session.scalars(found.where(Run.state.in_(HELD), waits)))


async def advance(session: AsyncSession, bus: str, partition: Partition, *, read_from: int, next: int) -> bool:
    """Note how far a partition was recorded; False where another recorder has gone on from there already."""
    row: Mapping[str, Any] = {"bus": bus, **partition._asdict(), "from": read_from, "next": next}
    return (await session.execute(_ADVANCED, row)).first() is not None


_ADVANCED = text(
    "INSERT INTO recorder_offset (bus, topic, partition, next_offset) VALUES (:bus, :topic, :number, :next)"
    " ON CONFLICT (bus, topic, partition) DO UPDATE SET next_offset = :next, updated_at = now()"
    " WHERE recorder_offset.next_offset = :from RETURNING next_offset"
)


async def recorded(session: AsyncSession, bus: str) -> dict[Partition, int]:
    """How far each partition of a bus was recorded: the next offset."""
    found = await session.execute(_RECORDED, {"bus": bus})
    return {Partition(topic, partition): next for topic, partition, next in found}


_RECORDED = text("SELECT topic, partition, next_offset FROM recorder_offset WHERE bus = :bus")


async def object_names(session: AsyncSession, below: str) -> frozenset[str]:
    """Names in the store, of those that begin so, that results know."""
    names = select(Result.object_name).where(Result.object_name.startswith(below, autoescape=True))
    return frozenset(name for name in await session.scalars(names) if name is not None)


async def _count_in_tasks(session: AsyncSession, results: Collection[UUID]) -> None:
    if not results:
        return
    ids = {"ids": list(results)}
    tasks = {"tasks": list((await session.scalars(_TASKS, ids)).all())}
    await session.execute(_COUNTED, ids)
    await settle(session, tasks["tasks"])


async def settle(session: AsyncSession, tasks: Collection[UUID]) -> None:
    """Let tasks be over of which all results are settled."""
    for id, owner_id, project_id, state in (await session.execute(_SETTLED, {"tasks": list(tasks)})).all():
        events.note(session, "task.settled", owner_id=owner_id, project_id=project_id, subject_id=id, state=state)


_TASKS = text(
    "SELECT id FROM task WHERE id IN (SELECT task_id FROM task_result WHERE result_id = ANY(CAST(:ids AS uuid[])))"
    " ORDER BY id FOR UPDATE"
)
_COUNTED = text(
    "UPDATE task SET done = task.done + settled.done, failed = task.failed + settled.failed,"
    " cancelled = task.cancelled + settled.cancelled FROM ("
    "  SELECT task_id, count(*) FILTER (WHERE state = 'done') AS done,"
    "  count(*) FILTER (WHERE state = 'failed') AS failed, count(*) FILTER (WHERE state = 'cancelled') AS cancelled"
    "  FROM task_result JOIN result ON result.id = result_id WHERE result_id = ANY(CAST(:ids AS uuid[]))"
    "  GROUP BY task_id) AS settled WHERE settled.task_id = task.id"
)
_SETTLED = text(
    "UPDATE task SET settled_at = now(), state = CASE WHEN done = results THEN 'done' WHEN done > 0 THEN 'partial'"
    " ELSE 'failed' END WHERE id = ANY(CAST(:tasks AS uuid[])) AND state = 'running'"
    " AND ahead = 0 AND done + failed + cancelled = results RETURNING id, owner_id, project_id, state"
)
