"""SQL of tasks as the API sees them; what tasks are made of is in `timeside_api.tasks`."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from timeside_api import tasks
from timeside_api.collections import Experience, Preset, Selection
from timeside_api.http import ownership
from timeside_api.http.access import Caller
from timeside_api.http.collected import check_seen
from timeside_api.http.experiences import repository as experiences
from timeside_api.http.items import repository as items
from timeside_api.http.items.filters import ItemFilter
from timeside_api.http.pages import Orders
from timeside_api.http.selections import repository as selections
from timeside_api.http.tasks.schemas import NewTask, ResultOfTask, TaskOut, TaskWithResults
from timeside_api.models import Item, Result, ResultState, Run, RunState, Task, TaskResult
from timeside_api.sharing import Level

ORDERS = Orders(Task.id)
RUN_ORDERS = Orders(Run.id, default="created_at")
RESULT_ORDERS = Orders(Result.id, default="created_at")


async def get(session: AsyncSession, caller: Caller, task_id: UUID, level: Level = Level.VIEWER) -> Task:
    """A task; raises a problem where the caller may not see one of that id, or may not do so much with it."""
    return await ownership.get(session, caller, Task, task_id, level)


async def with_results(session: AsyncSession, task_id: UUID) -> TaskWithResults:
    """A task, and, where it is about one item, its results in short."""
    task = await tasks.get(session, task_id)
    is_about_one = task.items == 1 and task.selection_id is None and task.filter is None
    found = await tasks.results(session, task_id) if is_about_one else ()
    return TaskWithResults(**TaskOut.of(task).model_dump(), result_list=[ResultOfTask.of(each) for each in found])


async def asked(session: AsyncSession, caller: Caller, body: NewTask) -> Sequence[tuple[str, dict[str, Any]]]:
    """Processors with parameters of an experience or presets; raises a problem where the caller may not see them."""
    if body.experience_id is not None:
        experience = await ownership.get(session, caller, Experience, body.experience_id)
        return await experiences.resolve(session, experience)
    ids = body.preset_ids or []
    await check_seen(session, caller, Preset, ids)
    known = await experiences.presets_asked(session, ids)
    return [known[id, None] for id in ids]


async def about(session: AsyncSession, caller: Caller, body: NewTask) -> Select[Item]:
    """Items that it is about, of those that the caller may see."""
    if body.item_id is not None:
        item = await items.get(session, caller, body.item_id)
        return select(Item).where(Item.id == item.id)
    if body.selection_id is not None:
        selection = await ownership.get(session, caller, Selection, body.selection_id)
        return await selections.items(session, caller, selection)
    return items.found(caller, body.filter or ItemFilter())


def runs(task_id: UUID, state: RunState | None) -> Select[Run]:
    """Runs that make, or made, results of a task."""
    of_task = select(Result.run_id).join(TaskResult, TaskResult.result_id == Result.id)
    found = select(Run).where(Run.id.in_(of_task.where(TaskResult.task_id == task_id)))
    return found if state is None else found.where(Run.state == state)


def results(task_id: UUID, state: ResultState | None) -> Select[Result]:
    """Results of a task."""
    found = select(Result).join(TaskResult, TaskResult.result_id == Result.id).where(TaskResult.task_id == task_id)
    return found if state is None else found.where(Result.state == state)
