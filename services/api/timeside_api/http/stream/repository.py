"""SQL of streams: what a subscription is about, as it is now."""

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from timeside_api import tasks
from timeside_api.http.access import Caller
from timeside_api.http.live import repository as sessions
from timeside_api.http.results import repository as results
from timeside_api.http.tasks import repository as tasks_seen
from timeside_api.http.tasks.schemas import ResultOfTask, RunOut, TaskOut
from timeside_api.models import Result, ResultState, Run, Task, TaskState


class Subject(NamedTuple):
    """A task, a result or a live session."""

    task_id: UUID | None
    result_id: UUID | None
    live_id: UUID | None = None


class Seen(NamedTuple):
    """A subject with its results, and the runs that make them."""

    task: Task | None
    results: Sequence[Result]
    runs: Sequence[Run]

    @property
    def is_settled(self) -> bool:
        """Whether there is nothing to come."""
        if self.task is not None:
            return self.task.state is not TaskState.RUNNING
        return all(each.state is not ResultState.PENDING for each in self.results)

    def message(self) -> dict[str, Any]:
        """For clients."""
        return {
            "task": None if self.task is None else TaskOut.of(self.task).model_dump(mode="json"),
            "results": [_result(each) for each in self.results],
            "runs": [RunOut.of(each).model_dump(mode="json") for each in self.runs],
        }


async def see(session: AsyncSession, caller: Caller, subject: Subject) -> Seen:
    """It as it is now; raises a problem where the caller may not see it."""
    if subject.task_id is not None:
        task = await tasks_seen.get(session, caller, subject.task_id)
        return Seen(task, await tasks.results(session, task.id), await tasks.runs(session, task.id))
    if subject.live_id is not None:
        live = await sessions.get(session, caller, subject.live_id)
        task = await tasks.get(session, live.task_id)
        return Seen(task, await tasks.results(session, task.id), await tasks.runs(session, task.id))
    assert subject.result_id is not None
    result = await results.get(session, caller, subject.result_id)
    return Seen(None, [result], (await session.scalars(select(Run).where(Run.id == result.run_id))).all())


def _result(result: Result) -> dict[str, Any]:
    return ResultOfTask.of(result).model_dump(mode="json") | {"outputs": result.outputs}
