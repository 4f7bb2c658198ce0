"""`/v1/tasks`."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Response
from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncSession

from timeside_api import extensions, quotas, tasks
from timeside_api.estimates import Estimate, estimate
from timeside_api.http import ownership
from timeside_api.http.access import Caller, CallerOf
from timeside_api.http.openapi import errors
from timeside_api.http.pages import Page, Turn, turning
from timeside_api.http.platform import Platform, PlatformOf, Session
from timeside_api.http.problems import Problem
from timeside_api.http.processors import repository as processors
from timeside_api.http.tasks import repository
from timeside_api.http.tasks.schemas import (
    EstimateOut,
    NewTask,
    ResultOfTask,
    Retried,
    RunOut,
    TaskOut,
    TaskWithResults,
)
from timeside_api.models import Item, ResultState, RunState, Task, TaskState
from timeside_api.plans import Asked, asked
from timeside_api.sharing import Level
from timeside_api.tasks import Part, Request, Terms

router = APIRouter(prefix="/tasks", tags=["tasks"])

_CREATED: dict[int | str, dict[str, Any]] = {
    200: {"model": EstimateOut, "description": "What would come of it."},
    202: {"model": TaskWithResults, "description": "It was made."},
    **errors(404, 409),
}

Key = Annotated[
    str | None,
    Header(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$", description="The same key makes one task, always."),
]


@router.post("", operation_id="task_create", status_code=202, responses=_CREATED)
async def task_create(
    body: NewTask,
    caller: CallerOf,
    session: Session,
    parts: PlatformOf,
    response: Response,
    idempotency_key: Key = None,
) -> TaskWithResults | EstimateOut:
    """Ask for results of an item, of a selection, or of all items that a filter finds.

    Results that are there already, or that somebody waits for, are not computed again. A task about many items asks of
    them bit by bit: those that it has yet to ask of are `ahead`, and it is not settled before there are none.
    """
    named = await _named(parts, caller, body)
    wanted = await asyncio.to_thread(_asked, named)  # between transactions: it may import much
    items = await repository.about(session, caller, body)
    if body.dry_run:
        response.status_code = 200
        return _estimated(await estimate(session, items, wanted))
    task_id = await _create(session, caller, body, items, wanted, parts, idempotency_key)
    await quotas.check_tasks(session, caller.id, parts.settings.quotas)
    response.headers["Location"] = f"/v1/tasks/{task_id}"
    return await repository.with_results(session, task_id)


async def _create(
    session: AsyncSession,
    caller: Caller,
    body: NewTask,
    items: Select[Item],
    wanted: tuple[Asked, ...],
    parts: Platform,
    idempotency_key: str | None,
) -> UUID:
    lane = body.lane or ("bulk" if body.item_id is None else "interactive")
    request = Request(
        parts=(),
        terms=Terms(caller.id, lane, body.priority),
        item_id=body.item_id,
        selection_id=body.selection_id,
        filter=None if body.filter is None else body.filter.stored(),
        experience_id=body.experience_id,
        idempotency_key=idempotency_key,
    )
    if body.item_id is None:
        return await extensions.create(session, replace(request, asked=wanted), items, parts.runs)
    item = (await session.scalars(items)).one()
    if item.media_sha256 is None:
        raise Problem(409, "no-media", f"item {item.id} has no media yet: PUT /v1/items/{item.id}/media")
    return await tasks.create(session, replace(request, parts=(Part(item.media_sha256, wanted),)))


@router.get("", operation_id="tasks_list")
async def tasks_list(
    caller: CallerOf,
    session: Session,
    turn: Annotated[Turn, Depends(turning(repository.ORDERS))],
    state: Annotated[TaskState | None, Query()] = None,
    item_id: Annotated[UUID | None, Query()] = None,
    selection_id: Annotated[UUID | None, Query()] = None,
    project_id: Annotated[UUID | None, Query(description="Whose they are; else those of one's own.")] = None,
    shared: Annotated[bool, Query(description="Others that one may see, too.")] = False,
) -> Page[TaskOut]:
    """List tasks."""
    wanted = ownership.visible(caller, Task)
    asked = {"state": state, "item_id": item_id, "selection_id": selection_id, "project_id": project_id}
    owner_id = None if shared or project_id is not None else caller.id
    for name, value in (asked | {"owner_id": owner_id}).items():
        if value is not None:
            wanted = wanted.where(getattr(Task, name) == value)
    found = await turn.found(session, wanted)
    return Page[TaskOut].of(found, [TaskOut.of(each) for each in found.rows])


@router.get("/{task_id}", operation_id="task_get", responses=errors(404))
async def task_get(task_id: UUID, caller: CallerOf, session: Session) -> TaskWithResults:
    """Get a task and its results."""
    await repository.get(session, caller, task_id)
    return await repository.with_results(session, task_id)


@router.get("/{task_id}/runs", operation_id="task_runs", responses=errors(404))
async def task_runs(
    task_id: UUID,
    caller: CallerOf,
    session: Session,
    turn: Annotated[Turn, Depends(turning(repository.RUN_ORDERS))],
    state: Annotated[RunState | None, Query()] = None,
) -> Page[RunOut]:
    """List runs that make its results."""
    await repository.get(session, caller, task_id)
    found = await turn.found(session, repository.runs(task_id, state))
    return Page[RunOut].of(found, [RunOut.of(each) for each in found.rows])


@router.get("/{task_id}/results", operation_id="task_results", responses=errors(404))
async def task_results(
    task_id: UUID,
    caller: CallerOf,
    session: Session,
    turn: Annotated[Turn, Depends(turning(repository.RESULT_ORDERS))],
    state: Annotated[ResultState | None, Query()] = None,
) -> Page[ResultOfTask]:
    """List its results."""
    await repository.get(session, caller, task_id)
    found = await turn.found(session, repository.results(task_id, state))
    return Page[ResultOfTask].of(found, [ResultOfTask.of(each) for each in found.rows])


@router.post("/{task_id}:cancel", operation_id="task_cancel", responses=errors(403, 404))
async def task_cancel(task_id: UUID, caller: CallerOf, session: Session, parts: PlatformOf) -> TaskOut:
    """Give a task up.

    Results that no other task waits for are not computed; a task that has ended stays as it is.
    """
    await repository.get(session, caller, task_id, Level.EDITOR)
    await tasks.cancel(session, task_id, parts.runs)
    return TaskOut.of(await tasks.get(session, task_id))


@router.post("/{task_id}:retry", operation_id="task_retry", responses=errors(403, 404))
async def task_retry(task_id: UUID, caller: CallerOf, session: Session, parts: PlatformOf) -> Retried:
    """Ask again for what failed."""
    await repository.get(session, caller, task_id, Level.EDITOR)
    retried = await tasks.retry(session, task_id)
    task = await tasks.get(session, task_id)
    if retried:
        await quotas.check_tasks(session, task.owner_id, parts.settings.quotas)
    return Retried(retried=retried, task=TaskOut.of(task))


async def _named(parts: Platform, caller: Caller, body: NewTask) -> Sequence[tuple[str, dict[str, Any]]]:
    if body.processors is not None:
        return [(each.processor, dict[str, Any](each.parameters)) for each in body.processors]
    async with parts.database.transaction() as session:
        return await repository.asked(session, caller, body)


def _asked(named: Sequence[tuple[str, dict[str, Any]]]) -> tuple[Asked, ...]:
    return asked(processors.built(named))


def _estimated(found: Estimate) -> EstimateOut:
    return EstimateOut(**found._asdict(), new=found.results - found.reused - found.joined)
