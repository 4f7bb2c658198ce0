"""Where a result comes from, as it goes out."""

from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict


class Origin(BaseModel):
    """A result's key, and how it came about: enough to compute it again, and to know when it is the same."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    result_id: UUID
    media_sha256: str
    processor: str
    version: str
    digest: str
    """SHA-256 of all that it depends on besides: canonical JSON of parameters, inputs, effects, segment."""
    parameters: dict[str, Any]
    effects: list[Any]
    run_id: UUID
    attempt: int | None
    """Of the run, that made it."""
    object_sha256: str | None
    """Of its file, or of the manifest of its arrays, which has the hashes of all of them."""
    shown: list[UUID]
    """Of a picture that was drawn from the store: the results that it shows."""
    recorded: dict[str, Any] | None
    """What was written down when it was made: media, segment, libraries with versions, time; of rows only."""
