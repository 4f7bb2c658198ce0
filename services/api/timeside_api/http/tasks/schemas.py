"""Tasks and runs as they go in and out."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints, model_validator

from timeside_api.http.items.filters import ItemFilter
from timeside_api.models import Result, ResultState, Run, RunState, Task, TaskState
from timeside_api.plans import MAX_PROCESSORS
from timeside_core.messages import Lane


class AskedProcessor(BaseModel):
    """A processor and its parameters; those left out have their defaults."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    processor: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
    parameters: dict[str, JsonValue] = {}


_ID = "01930000-0000-7000-8000-000000000000"


class NewTask(BaseModel):
    """What is asked of which items. Processors are a pipeline: an effect acts on all that come after it."""

    model_config = ConfigDict(
        extra="forbid",
        use_attribute_docstrings=True,
        json_schema_extra={
            "examples": [
                {"item_id": _ID, "processors": [{"processor": "mfcc", "parameters": {"n_mfcc": 20}}]},
                {"filter": {"tags": ["piano"]}, "experience_id": _ID, "dry_run": True},
            ]
        },
    )

    item_id: UUID | None = None
    """One of `item_id`, `selection_id` and `filter` says of which items."""
    selection_id: UUID | None = None
    """All items that belong to it now, of those that one may see."""
    filter: ItemFilter | None = None
    """All items that it finds now."""
    processors: Annotated[list[AskedProcessor] | None, Field(min_length=1, max_length=MAX_PROCESSORS)] = None
    """One of `processors`, `experience_id` and `preset_ids` says what is asked."""
    experience_id: UUID | None = None
    preset_ids: Annotated[list[UUID] | None, Field(min_length=1, max_length=MAX_PROCESSORS)] = None
    """What they are now."""
    lane: Lane | None = None
    """Rows are streamed in the interactive lane only; the bulk lane waits for it. Without: the interactive lane for an
    item, else the bulk lane."""
    priority: Annotated[int, Field(ge=-100, le=100)] = 0
    """Among tasks of the same owner; higher goes first."""
    dry_run: bool = False
    """Whether to tell only what would come of it."""

    @model_validator(mode="after")
    def _is_clear(self) -> "NewTask":
        for names in (("item_id", "selection_id", "filter"), ("processors", "experience_id", "preset_ids")):
            if sum(getattr(self, name) is not None for name in names) != 1:
                raise ValueError(f"has exactly one of {', '.join(names)}")
        return self


class TaskOut(BaseModel):
    """What somebody asked for, and how far it is."""

    model_config = ConfigDict(from_attributes=True, use_attribute_docstrings=True)

    id: UUID
    owner_id: UUID
    project_id: UUID | None
    item_id: UUID | None
    """Null once the item was removed, and for tasks about several."""
    selection_id: UUID | None
    filter: dict[str, Any] | None
    experience_id: UUID | None
    items: int
    """Count of the items that it was about when it was made."""
    skipped: int
    """Of these, those that had no media."""
    ahead: int
    """Count of media that it has not asked anything of yet: their results are not counted yet."""
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
    media_sha256: str
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
    """Empty where it is about several items: `GET /v1/tasks/{id}/results`."""


class EstimateOut(BaseModel):
    """What would come of a task."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    items: int
    skipped: int
    """Of the items, those that have no media."""
    media: int
    """Different ones, of all the others."""
    results: int
    """Of which so many are:"""
    reused: int
    """There already."""
    joined: int
    """Coming already, for somebody else."""
    new: int
    runs: int
    """Media that would be decoded."""
    audio_s: float
    """That would be decoded, as far as their lengths are known."""


class RunOut(BaseModel):
    """One decoding for results that waited for it; results that were there before have none."""

    model_config = ConfigDict(from_attributes=True, use_attribute_docstrings=True)

    id: UUID
    media_sha256: str
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


class Retried(BaseModel):
    """What came of a retry."""

    retried: int = Field(description="Count of the results that are asked for again.")
    task: TaskOut
