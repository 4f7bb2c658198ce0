"""SQL of tasks as the API sees them; what tasks are made of is in `timeside_api.tasks`."""

from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from timeside_api import tasks
from timeside_api.http import ownership
from timeside_api.http.access import Caller
from timeside_api.http.tasks.schemas import ResultOfTask, TaskOut, TaskWithResults
from timeside_api.models import Task, TaskState
from timeside_api.sharing import Level


def owned(caller: Caller, state: TaskState | None = None) -> Select[Task]:
    """Tasks of the caller's own."""
    wanted = select(Task).where(Task.owner_id == caller.id)
    return wanted if state is None else wanted.where(Task.state == state)


async def get(session: AsyncSession, caller: Caller, task_id: UUID, level: Level = Level.VIEWER) -> Task:
    """A task; raises a problem where the caller may not see one of that id, or may not do so much with it."""
    return await ownership.get(session, caller, Task, task_id, level)


async def with_results(session: AsyncSession, task_id: UUID) -> TaskWithResults:
    """A task, and its results in short."""
    task = await tasks.get(session, task_id)
    results = [ResultOfTask.of(each) for each in await tasks.results(session, task_id)]
    return TaskWithResults(**TaskOut.of(task).model_dump(), result_list=results)
