"""Batches as they go in, and what came of them."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from timeside_api.http.items.filters import ItemFilter
from timeside_api.http.items.schemas import ItemChange, NewItem, Tags

MAX_ITEMS = 10_000
"""Of one batch: it is one transaction, which others may have to wait for."""
MAX_NAMED = 5000
"""Ids, or new items, of one operation."""


class _Operation(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class Create(_Operation):
    """Make items."""

    op: Literal["create"]
    items: Annotated[list[NewItem], Field(min_length=1, max_length=MAX_NAMED)]


class _OfMany(_Operation):
    ids: Annotated[list[UUID] | None, Field(min_length=1, max_length=MAX_NAMED)] = None
    """Which items; or else:"""
    filter: ItemFilter | None = None
    """All items that it finds."""

    @model_validator(mode="after")
    def _is_clear(self) -> "_OfMany":
        if (self.ids is None) == (self.filter is None):
            raise ValueError("has exactly one of ids, filter")
        return self


class Change(_OfMany):
    """Say the same of items."""

    op: Literal["change"]
    change: ItemChange


class Tag(_OfMany):
    """Give items tags, and take tags from them."""

    op: Literal["tag"]
    add: Tags = []
    remove: Tags = []


class Delete(_OfMany):
    """Remove items."""

    op: Literal["delete"]


Operation = Create | Change | Tag | Delete


class ItemBatch(BaseModel):
    """What is to be done, in this order."""

    model_config = ConfigDict(
        extra="forbid",
        use_attribute_docstrings=True,
        json_schema_extra={
            "examples": [
                {
                    "operations": [
                        {"op": "create", "items": [{"title": "Étude"}]},
                        {"op": "tag", "filter": {"artist": "Chopin"}, "add": ["piano"]},
                    ],
                    "dry_run": True,
                }
            ]
        },
    )

    operations: Annotated[list[Annotated[Operation, Field(discriminator="op")]], Field(min_length=1, max_length=100)]
    all_or_nothing: bool = True
    """Whether nothing is done where one of them cannot be."""
    dry_run: bool = False
    """Whether nothing is done at all, but only told what would come of it."""


class Outcome(BaseModel):
    """What came of an item."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    operation: int
    """Its place among them, from 0."""
    item_id: UUID | None
    """Null for one that was not made after all."""
    outcome: Literal["created", "changed", "tagged", "removed", "not-found", "forbidden", "too-many-tags"]
    """The last three: nothing."""


class BatchOut(BaseModel):
    """What came of a batch, or would."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    applied: bool
    """Whether anything was done."""
    succeeded: int
    failed: int
    outcomes: list[Outcome]
