"""Tasks: what somebody asks of media, made of results that are there, results to come, and runs for the rest.

A result that is asked for is locked until the task is committed, so that it cannot be settled or cancelled unseen
between the look at it and the count of it. Which of many equal requests makes a result is decided by its unique key.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast
from uuid import UUID

from sqlalchemy import Select, delete, func, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from timeside_api import events, live
from timeside_api.collections import Extension, Selection
from timeside_api.errors import DatabaseError, IdempotencyError, UnknownMediaError, UnknownTaskError
from timeside_api.models import (
    Item,
    Media,
    Owner,
    Result,
    ResultState,
    Run,
    RunKind,
    RunState,
    Task,
    TaskResult,
    TaskState,
)
from timeside_api.plans import Asked
from timeside_api.runs import Ledger, settle
from timeside_api.settings import RunSettings
from timeside_core.audio import Segment
from timeside_core.ids import uuid7
from timeside_core.messages import Lane
from timeside_core.stage import traces

WAKE = "timeside_queue"
"""Channel on which the dispatcher hears of a new run."""
DRAWING_COST_S = 1.0
"""What a picture of results in the store counts as, audio seconds."""
ASSUMED_BYTES_PER_S = 48_000
"""Of media that nobody has decoded yet: between a CD and an MP3."""
_WHOLE = Segment()
_ADOPTIONS = 10
"""How often results that were cancelled while one looked are asked for again."""


class Part(NamedTuple):
    """What is asked of one media."""

    media_sha256: str
    asked: tuple[Asked, ...]
    segment: Segment = _WHOLE


class Terms(NamedTuple):
    """On whose account, and how urgently."""

    owner_id: UUID
    lane: Lane = "interactive"
    priority: int = 0
    """Among the runs of the same owner; higher goes first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What somebody asks for."""

    parts: tuple[Part, ...]
    """One run each, at most."""
    terms: Terms
    asked: tuple[Asked, ...] = ()
    """Of each of many media, bit by bit, where there is something: see `extensions`."""
    item_id: UUID | None = None
    selection_id: UUID | None = None
    filter: dict[str, Any] | None = None
    """Which items it is about: one of these three, or none."""
    experience_id: UUID | None = None
    """That was resolved to what is asked."""
    idempotency_key: str | None = None
    """The same key is the same task, however often it is sent."""

    @property
    def sha256(self) -> str:
        """Of what is asked."""
        keys = [[part.media_sha256, *(each.key for each in part.asked)] for part in self.parts]
        keys.append(["each", *(each.key for each in self.asked)])
        about = [str(self.item_id), str(self.selection_id), self.filter]
        what = [keys, self.terms.lane, self.terms.priority, about]
        return hashlib.sha256(json.dumps(what).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a task is, in results."""

    state: TaskState
    results: int
    done: int
    failed: int
    cancelled: int

    @property
    def pending(self) -> int:
        """Those that are neither done nor failed nor cancelled."""
        return self.results - self.done - self.failed - self.cancelled


async def create(session: AsyncSession, request: Request) -> UUID:
    """The id of the task: a new one, or that of the same idempotency key.

    Raises `UnknownMediaError` or `IdempotencyError`.
    """
    await session.execute(insert(Owner).values(id=request.terms.owner_id).on_conflict_do_nothing())
    made = await _insert(session, request)
    if made is None:
        return await _same(session, request)
    task_id, project_id = made
    events.note(session, "task.created", owner_id=request.terms.owner_id, project_id=project_id, subject_id=task_id)
    await ask(session, task_id, request.parts, request.terms)
    return task_id


async def extend(session: AsyncSession, task_id: UUID, parts: Iterable[Part]) -> None:
    """Ask for more in the name of a task; what it has already does not count twice."""
    task = await get(session, task_id)
    await ask(session, task_id, parts, terms_of(task))


async def demand(session: AsyncSession, part: Part, terms: Terms, *, kind: RunKind = RunKind.DECODE) -> Sequence[UUID]:
    """The results of a media that somebody waits for without a task; what makes them goes on whoever leaves."""
    await session.execute(insert(Owner).values(id=terms.owner_id).on_conflict_do_nothing())
    await session.execute(_DEMANDED, _hastening(part, terms))
    return await _adopt(session, part, terms, kind=kind, on_demand=True)


async def cancel(session: AsyncSession, task_id: UUID, settings: RunSettings) -> None:
    """Give up a task, and the runs whose results nobody else waits for; does nothing to one that has ended."""
    await session.execute(delete(Extension).where(Extension.task_id == task_id))  # once nobody is extending it
    ledger = Ledger(session, settings)
    pending = await ledger.lock(await session.scalars(_PENDING_RUNS, {"task": task_id}))
    wanted = set(await session.scalars(_WANTED_RUNS, {"task": task_id}))
    given_up = update(Task).where(Task.id == task_id, Task.state == TaskState.RUNNING)
    ended = given_up.values(state=TaskState.CANCELLED, settled_at=func.now(), ahead=0)
    owner = (await session.execute(ended.returning(Task.owner_id, Task.project_id))).first()
    if owner is None:
        await get(session, task_id)
        return
    events.note(session, "task.cancelled", owner_id=owner[0], project_id=owner[1], subject_id=task_id)
    for run in pending:
        if run.id not in wanted and not run.on_demand:
            ledger.cancel(run)
    await ledger.close()


async def retry(session: AsyncSession, task_id: UUID) -> int:
    """Ask again for the results of a task that failed or were cancelled; returns how many."""
    task = await get(session, task_id)
    if task.lane == live.LANE:
        return 0  # what was to be heard then cannot be heard again
    failed = await session.execute(
        select(Result, Run)
        .join(TaskResult, TaskResult.result_id == Result.id)
        .join(Run, Run.id == Result.run_id)
        .where(TaskResult.task_id == task_id, Result.state.in_((ResultState.FAILED, ResultState.CANCELLED)))
        .order_by(TaskResult.place)
    )
    by_plan: dict[tuple[str, Segment], list[Result]] = {}
    for result, run in failed:
        by_plan.setdefault((run.media_sha256, Segment(run.first_sample, run.samples)), []).append(result)
    replaced = 0
    for (media_sha256, segment), results in by_plan.items():
        part = Part(media_sha256, tuple(_asked(result) for result in results), segment)
        for old, new in zip(results, await _adopt(session, part, terms_of(task)), strict=True):
            replaced += len((await session.execute(_REPLACED, {"task": task_id, "old": old.id, "new": new})).all())
    if replaced:
        await _recount(session, task_id)
    return replaced


async def get(session: AsyncSession, task_id: UUID) -> Task:
    """A task; raises `UnknownTaskError`."""
    task = await session.get(Task, task_id, populate_existing=True)
    if task is None:
        raise UnknownTaskError(f"task {task_id} is not known")
    return task


async def progress(session: AsyncSession, task_id: UUID) -> Progress:
    """How far a task is; raises `UnknownTaskError`."""
    task = await get(session, task_id)
    counts = {name: getattr(task, name) for name in ("state", "results", "done", "failed", "cancelled")}
    return Progress(**counts)


async def results(session: AsyncSession, task_id: UUID) -> Sequence[Result]:
    """Results of a task, in the order in which they were asked for."""
    of_task = select(Result).join(TaskResult, TaskResult.result_id == Result.id).where(TaskResult.task_id == task_id)
    return (await session.scalars(of_task.order_by(TaskResult.place))).all()


async def runs(session: AsyncSession, task_id: UUID) -> Sequence[Run]:
    """Runs that make, or made, results of a task, oldest first."""
    of_task = select(Result.run_id).join(TaskResult, TaskResult.result_id == Result.id)
    ids = of_task.where(TaskResult.task_id == task_id)
    return (await session.scalars(select(Run).where(Run.id.in_(ids)).order_by(Run.id))).all()


async def _insert(session: AsyncSession, request: Request) -> tuple[UUID, UUID | None] | None:
    """A new task and its project; None where its idempotency key was used before.

    Where a request at the same time has it, this waits until that is done.
    """
    row = {
        "id": uuid7(),
        "item_id": request.item_id,
        "selection_id": request.selection_id,
        "filter": request.filter,
        "experience_id": request.experience_id,
        "project_id": _project(request).scalar_subquery(),
        **request.terms._asdict(),
        "results": 0,
        "ahead": 1 if request.asked else 0,
        "idempotency_key": request.idempotency_key,
        "request_sha256": request.sha256,
    }
    statement = insert(Task).values(row).on_conflict_do_nothing().returning(Task.id, Task.project_id)
    made = (await session.execute(statement)).first()
    return None if made is None else (made[0], made[1])


def _project(request: Request) -> Select[UUID | None]:
    if request.selection_id is not None:
        return select(Selection.project_id).where(Selection.id == request.selection_id)
    return select(Item.project_id).where(Item.id == request.item_id)


async def _same(session: AsyncSession, request: Request) -> UUID:
    same_key = Task.owner_id == request.terms.owner_id, Task.idempotency_key == request.idempotency_key
    task = (await session.scalars(select(Task).where(*same_key))).one()
    if task.request_sha256 != request.sha256:
        raise IdempotencyError(f"idempotency key {request.idempotency_key!r} was used for another request before")
    return task.id


async def ask(session: AsyncSession, task_id: UUID, parts: Iterable[Part], terms: Terms, *, ahead: int = 0) -> None:
    """Ask for results in the name of a task, which count once; `ahead` media less are still to be asked of."""
    added: list[UUID] = []
    for part in parts:
        results = await _adopt(session, part, terms)
        links = [{"task_id": task_id, "result_id": id, "place": place} for place, id in enumerate(results)]
        new = insert(TaskResult).values(links).on_conflict_do_nothing().returning(TaskResult.result_id)
        added += await session.scalars(new)
    await session.execute(_LOCKED, {"task": task_id})
    await session.execute(_ADDED, {"task": task_id, "ids": added, "ahead": ahead})
    await settle(session, [task_id])


async def _adopt(
    session: AsyncSession,
    part: Part,
    terms: Terms,
    *,
    kind: RunKind = RunKind.DECODE,
    on_demand: bool = False,
) -> list[UUID]:
    """The results that were asked for, in that order: those that are there or to come, else those of a new run."""
    await session.execute(_HASTENED, _hastening(part, terms))
    for _ in range(_ADOPTIONS):
        found = await _share(session, part)
        missing = [each for each in part.asked if each.key not in found]
        if not missing:
            return [found[each.key] for each in part.asked]
        run = Run(
            id=uuid7(),
            **terms._asdict(),
            media_sha256=part.media_sha256,
            kind=kind,
            first_sample=part.segment.first_sample,
            samples=part.segment.samples,
            on_demand=on_demand,
            state=RunState.QUEUED,
            traceparent=traces.current(),
        )
        await _start(session, run, part, missing)
    raise DatabaseError(f"results of media {part.media_sha256} were cancelled {_ADOPTIONS} times in a row: try again")


async def _share(session: AsyncSession, part: Part) -> dict[tuple[str, str, str], UUID]:
    """Those that are there or coming, locked against being settled until this transaction ends."""
    key = Result.processor, Result.version, Result.digest
    wanted = select(Result.id, *key).where(
        Result.media_sha256 == part.media_sha256,
        Result.state.in_((ResultState.PENDING, ResultState.DONE)),
        tuple_(*key).in_([each.key for each in part.asked]),
    )
    rows = await session.execute(wanted.order_by(Result.id).with_for_update(read=True))
    return {(processor, version, digest): id for id, processor, version, digest in rows}


async def _start(session: AsyncSession, run: Run, part: Part, missing: Iterable[Asked]) -> None:
    """Own the results that nobody makes yet, and queue a run for them; others may be faster."""
    media = await session.get(Media, part.media_sha256)
    if media is None:
        raise UnknownMediaError(f"media {part.media_sha256} is not known")
    rows = [
        {
            "id": uuid7(),
            "media_sha256": part.media_sha256,
            "processor": each.processor,
            "version": each.version,
            "digest": each.digest,
            "parameters": each.parameters,
            "effects": list(each.effects),
            "pool": each.pool,
            "outputs": list(each.outputs),
            "run_id": run.id,
        }
        for each in sorted(missing, key=lambda each: each.key)  # all insert in one order, and wait in no circle
    ]
    owned = await session.scalars(insert(Result).values(rows).on_conflict_do_nothing().returning(Result.id))
    if not owned.all():
        return
    run.cost_s = _cost_s(media, part.segment) if run.kind is RunKind.DECODE else DRAWING_COST_S
    session.add(run)
    await session.flush()
    await session.execute(text("SELECT pg_notify(:channel, '')"), {"channel": WAKE})


def _cost_s(media: Media, segment: Segment) -> float:
    """Audio seconds to decode, as far as they are known; at least one, as nothing is free."""
    if media.samplerate is None or media.samples is None:
        return max(1.0, media.size / ASSUMED_BYTES_PER_S)
    samples = segment.samples if segment.samples is not None else media.samples - segment.first_sample
    return max(1.0, samples / media.samplerate)


def terms_of(task: Task) -> Terms:
    """Those that it was made on."""
    return Terms(task.owner_id, cast("Lane", task.lane), task.priority)


def _asked(result: Result) -> Asked:
    return Asked(
        processor=result.processor,
        version=result.version,
        digest=result.digest,
        parameters=result.parameters,
        effects=tuple(result.effects),
        pool=result.pool,
        outputs=tuple(result.outputs),
    )


async def _recount(session: AsyncSession, task_id: UUID) -> None:
    await session.execute(_LOCKED, {"task": task_id})
    await session.execute(_RECOUNTED, {"task": task_id})
    await settle(session, [task_id])


_LOCKED = text("SELECT FROM task WHERE id = :task FOR UPDATE")
_ADDED = text(
    "UPDATE task SET results = task.results + n.results, done = task.done + n.done, ahead = task.ahead - :ahead,"
    " state = 'running', settled_at = NULL FROM (SELECT count(*) AS results,"
    "  count(*) FILTER (WHERE state = 'done') AS done FROM result WHERE id = ANY(CAST(:ids AS uuid[]))) AS n"
    " WHERE task.id = :task"
)
_RECOUNTED = text(
    "UPDATE task SET results = n.results, done = n.done, failed = n.failed, cancelled = n.cancelled,"
    " state = 'running', settled_at = NULL FROM (SELECT count(*) AS results,"
    "  count(*) FILTER (WHERE state = 'done') AS done, count(*) FILTER (WHERE state = 'failed') AS failed,"
    "  count(*) FILTER (WHERE state = 'cancelled') AS cancelled"
    "  FROM task_result JOIN result ON result.id = result_id WHERE task_id = :task) AS n WHERE task.id = :task"
)
_REPLACED = text(
    "UPDATE task_result SET result_id = :new WHERE task_id = :task AND result_id = :old RETURNING result_id"
)

_PENDING_RUNS = text(
    "SELECT DISTINCT run_id FROM result JOIN task_result ON result_id = result.id"
    " WHERE task_id = :task AND result.state = 'pending'"
)
_WANTED_RUNS = text(
    "SELECT DISTINCT run_id FROM result JOIN task_result ON result_id = result.id JOIN task ON task.id = task_id"
    " WHERE result.state = 'pending' AND task.state = 'running' AND task.id <> :task AND run_id IN"
    " (SELECT run_id FROM result JOIN task_result ON result_id = result.id WHERE task_id = :task)"
)
_MAKES_SOME = (
    "id IN (SELECT run_id FROM result WHERE media_sha256 = :media AND state = 'pending'"
    "  AND (processor, version, digest) IN (SELECT * FROM unnest(CAST(:processors AS text[]),"
    "   CAST(:versions AS text[]), CAST(:digests AS text[]))))"
)
_HASTENED = text(
    "UPDATE run SET lane = :lane, priority = greatest(priority, :priority),"
    " partition = CASE WHEN lane = :lane THEN partition END"
    " WHERE state = 'queued' AND (lane <> :lane AND :lane = 'interactive' OR owner_id = :owner_id AND lane = :lane"
    f"  AND priority < :priority) AND {_MAKES_SOME}"
)
_DEMANDED = text(f"UPDATE run SET on_demand = true WHERE NOT on_demand AND {_MAKES_SOME}")


def _hastening(part: Part, terms: Terms) -> Mapping[str, Any]:
    """Runs in the queue that are to make some of these results take the lane and priority of who is in more hurry."""
    processors, versions, digests = (list(column) for column in zip(*(each.key for each in part.asked), strict=True))
    keys = {"media": part.media_sha256, "processors": processors, "versions": versions, "digests": digests}
    return {**keys, **terms._asdict()}
