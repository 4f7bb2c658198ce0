"""Results as they go out."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from timeside_api.http.processors.schemas import output_path
from timeside_api.models import Result, ResultState
from timeside_core.store import StoredResult


class StoredOutput(BaseModel):
    """Rows of a result, once it is done."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    name: str
    """In paths; `result` where there is but one."""
    time_mode: str
    unit: str
    description: str
    labels: list[str]
    """Where it is not empty the values are indices into it."""
    bins: str
    """What the columns of a row are."""
    bin_unit: str
    bins_at: list[float] | list[str] | None
    """Positions or names of the columns."""
    pooling: str | None
    """How rows of coarser levels came about; framewise outputs only. Other than `summary`: there are tiles."""
    dtype: str
    rows: int
    """At level 0."""
    levels: int
    """Count of the coarser levels."""
    row_shape: list[int]


class Clock(BaseModel):
    """When framewise rows are: row n at `start_s + n * hop_length / samplerate`, its centre."""

    samplerate: int
    hop_length: int
    frame_length: int
    start_s: float


class ResultOut(BaseModel):
    """What one processor makes of one media."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: UUID
    media_sha256: str
    processor: str
    version: str
    digest: str
    """Of all else that it depends on: parameters, inputs, effects, segment."""
    parameters: dict[str, Any]
    effects: list[Any]
    state: ResultState
    code: str
    reason: str
    """Why it failed, in words."""
    run_id: UUID
    attempt: int | None
    mime_type: str
    """Of its file; empty for rows."""
    size: int | None
    """Bytes."""
    samples: int | None
    """That were analysed."""
    run_time_s: float | None
    created_at: datetime
    settled_at: datetime | None
    outputs: list[StoredOutput]
    """Empty until it is done, and for files."""
    clock: Clock | None
    provenance: dict[str, Any] | None
    """Media, segment, processor, effects, libraries: enough to compute it again."""

    @classmethod
    def of(cls, result: Result, stored: Mapping[str, Any]) -> "ResultOut":
        """Of a row, and what its manifest says."""
        told: dict[str, Any] = {"outputs": [], "clock": None, "provenance": None, **stored}
        row = {name: getattr(result, name) for name in cls.model_fields if name not in told}
        return cls.model_validate(row | told)


def manifest_of(stored: StoredResult) -> dict[str, Any]:
    """What a manifest says, for clients: without where our files lie."""
    provenance: dict[str, Any] = dict(stored.manifest["provenance"])
    media = cast("dict[str, Any]", provenance["media"])
    provenance["media"] = {name: value for name, value in media.items() if name != "uri"}
    clock = {name: stored.manifest["stream"][name] for name in Clock.model_fields}
    outputs = [_output(stored, name) for name in stored.outputs]
    return {"outputs": outputs, "clock": clock, "provenance": provenance}


def _output(stored: StoredResult, name: str) -> StoredOutput:
    facts = stored.outputs[name]
    names = ("time_mode", "unit", "description", "labels", "bins", "bin_unit", "bins_at")
    return StoredOutput(
        name=output_path(name),
        **{each: facts[each] for each in names},
        pooling=facts.get("pooling"),
        dtype=str(facts.get("dtype", "float64")),
        rows=stored.rows(name),
        levels=facts.get("levels", 0),
        row_shape=list(facts.get("row_shape", ())),
    )
