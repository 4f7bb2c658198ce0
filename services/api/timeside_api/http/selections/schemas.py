"""Selections as they go in and out."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from timeside_api.http.collected import Named, Renamed
from timeside_api.http.items.filters import ItemFilter

MAX_MEMBERS = 5000
"""Put in at once: their ids must fit a request."""

Ids = Annotated[list[UUID], Field(max_length=MAX_MEMBERS)]


class NewSelection(Named):
    """A selection, empty but for what its filter finds."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"title": "Études", "filter": {"album": "Études"}}]})

    filter: ItemFilter | None = None
    """Finds items that belong to it, at any time, besides those that are put in."""


class SelectionChange(Renamed):
    """What is to be said of it from now on; what is left out stays."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"filter": {"tags": ["piano"]}}]})

    filter: ItemFilter | None = None
    """Null: none."""


class Members(BaseModel):
    """What is to be put in, or taken out."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"items": ["01930000-0000-7000-8000-000000000000"], "selections": []}]},
    )

    items: Ids = []
    selections: Ids = []


class SelectionOut(BaseModel):
    """Items that belong together."""

    model_config = ConfigDict(from_attributes=True, use_attribute_docstrings=True)

    id: UUID
    owner_id: UUID
    project_id: UUID | None
    title: str
    description: str
    filter: dict[str, Any] | None
    """Finds items that belong to it besides those that were put in."""
    created_at: datetime
    updated_at: datetime


class SelectionWithMembers(SelectionOut):
    """A selection and what was put into it."""

    items: int
    """Count of the items that were put in; `GET /v1/selections/{id}/items` finds all, by whatever way they belong."""
    selections: list[UUID]
    """That were put in: all of theirs belong to it."""
