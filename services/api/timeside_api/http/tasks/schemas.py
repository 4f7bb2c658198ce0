"""Tasks and runs as they go in and out."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints

from timeside_api.models import Result, ResultState, Run, RunState, Task, TaskState
from timeside_api.plans import MAX_PROCESSORS
from timeside_core.messages import Lane


class AskedProcessor(BaseModel):
    """A processor and its parameters; those left out have their defaults."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    processor: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
    parameters: dict[str, JsonValue] = {}


class NewTask(BaseModel):
    """What is asked of an item. Processors are a pipeline: an effect acts on all that come after it."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    item_id: UUID
    processors: Annotated[list[AskedProcessor], Field(min_length=1, max_length=MAX_PROCESSORS)]
    lane: Lane = "interactive"
    """Rows are streamed in the interactive lane only; the bulk lane waits for it."""
    priority: Annotated[int, Field(ge=-100, le=100)] = 0
    """Among tasks of the same owner; higher goes first."""


class TaskOut(BaseModel):
    """What somebody asked for, and how far it is."""

    model_config = ConfigDict(from_attributes=True, use_attribute_docstrings=True)

    id: UUID
    item_id: UUID | None
    """Null once the item was removed."""
    lane: str
    priority: int
    state: TaskState
    """`partial`: some of its results could be had."""
    results: int
    """Count of its results, of which so many are:"""
    done: int
    failed: int
    cancelled: int
    created_at: datetime
    settled_at: datetime | None

    @classmethod
    def of(cls, task: Task) -> "TaskOut":
        """Of a row."""
        return cls.model_validate(task)


class ResultOfTask(BaseModel):
    """A result, in short; `GET /v1/results/{id}` tells more."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    processor: str
    version: str
    parameters: dict[str, Any]
    state: ResultState
    code: str
    reason: str

    @classmethod
    def of(cls, result: Result) -> "ResultOfTask":
        """Of a row."""
        return cls.model_validate(result)


class TaskWithResults(TaskOut):
    """A task and its results, in the order in which they were asked for."""

    result_list: list[ResultOfTask]


class RunOut(BaseModel):
    """One decoding for results that waited for it; results that were there before have none."""

    model_config = ConfigDict(from_attributes=True, use_attribute_docstrings=True)

    id: UUID
    state: RunState
    attempt: int
    causes: list[str]
    """Why it had to be handed out again, in words, oldest first."""
    progress: dict[str, Any]
    """Samples done, by stage."""
    results: list[UUID]
    """That this attempt is to make: `processor` in messages of a stream counts these."""
    created_at: datetime
    dispatched_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def of(cls, run: Run) -> "RunOut":
        """Of a row."""
        same = {name: getattr(run, name) for name in cls.model_fields if name != "results"}
        return cls(**same, results=run.planned)


class RunList(BaseModel):
    """Runs of a task, oldest first."""

    items: list[RunOut]


class Retried(BaseModel):
    """What came of a retry."""

    retried: int = Field(description="Count of the results that are asked for again.")
    task: TaskOut
