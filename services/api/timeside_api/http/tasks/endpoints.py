"""`/v1/tasks`."""

import asyncio
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Query, Response

from timeside_api import tasks
from timeside_api.http.access import CallerOf
from timeside_api.http.items import repository as items
from timeside_api.http.openapi import errors
from timeside_api.http.pages import Page, PageOf
from timeside_api.http.platform import PlatformOf, Session
from timeside_api.http.problems import Problem
from timeside_api.http.processors import repository as processors
from timeside_api.http.tasks import repository
from timeside_api.http.tasks.schemas import NewTask, Retried, RunList, RunOut, TaskOut, TaskWithResults
from timeside_api.models import Task, TaskState
from timeside_api.plans import Asked, asked
from timeside_api.sharing import Level
from timeside_api.tasks import Part, Request, Terms

router = APIRouter(prefix="/tasks", tags=["tasks"])

Key = Annotated[
    str | None,
    Header(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$", description="The same key makes one task, always."),
]


@router.post(
    "",
    operation_id="task_create",
    status_code=202,
    responses=errors(404, 409),
)
async def task_create(
    body: NewTask, caller: CallerOf, session: Session, response: Response, idempotency_key: Key = None
) -> TaskWithResults:
    """Ask for results of an item.

    Results that are there already, or that somebody waits for, are not computed again.
    """
    wanted = await asyncio.to_thread(_asked, body)  # before the transaction has a connection: it may import much
    item = await items.get(session, caller, body.item_id)
    if item.media_sha256 is None:
        raise Problem(409, "no-media", f"item {item.id} has no media yet: PUT /v1/items/{item.id}/media")
    request = Request(
        parts=(Part(item.media_sha256, wanted),),
        terms=Terms(caller.id, body.lane, body.priority),
        item_id=item.id,
        idempotency_key=idempotency_key,
    )
    task_id = await tasks.create(session, request)
    response.headers["Location"] = f"/v1/tasks/{task_id}"
    return await repository.with_results(session, task_id)


@router.get("", operation_id="tasks_list")
async def tasks_list(
    caller: CallerOf, session: Session, turn: PageOf, state: Annotated[TaskState | None, Query()] = None
) -> Page[TaskOut]:
    """List my tasks."""
    found, next_cursor = await turn.rows(session, repository.owned(caller, state), Task.id)
    return Page(items=[TaskOut.of(each) for each in found], next_cursor=next_cursor)


@router.get("/{task_id}", operation_id="task_get", responses=errors(404))
async def task_get(task_id: UUID, caller: CallerOf, session: Session) -> TaskWithResults:
    """Get a task and its results."""
    await repository.get(session, caller, task_id)
    return await repository.with_results(session, task_id)


@router.get("/{task_id}/runs", operation_id="task_runs", responses=errors(404))
async def task_runs(task_id: UUID, caller: CallerOf, session: Session) -> RunList:
    """Runs that make its results."""
    await repository.get(session, caller, task_id)
    return RunList(items=[RunOut.of(each) for each in await tasks.runs(session, task_id)])


@router.post("/{task_id}:cancel", operation_id="task_cancel", responses=errors(403, 404))
async def task_cancel(task_id: UUID, caller: CallerOf, session: Session, parts: PlatformOf) -> TaskOut:
    """Give a task up.

    Results that no other task waits for are not computed; a task that has ended stays as it is.
    """
    await repository.get(session, caller, task_id, Level.EDITOR)
    await tasks.cancel(session, task_id, parts.runs)
    return TaskOut.of(await tasks.get(session, task_id))


@router.post("/{task_id}:retry", operation_id="task_retry", responses=errors(403, 404))
async def task_retry(task_id: UUID, caller: CallerOf, session: Session) -> Retried:
    """Ask again for what failed."""
    await repository.get(session, caller, task_id, Level.EDITOR)
    retried = await tasks.retry(session, task_id)
    return Retried(retried=retried, task=TaskOut.of(await tasks.get(session, task_id)))


def _asked(body: NewTask) -> tuple[Asked, ...]:
    return asked(processors.built([(each.processor, each.parameters) for each in body.processors]))
