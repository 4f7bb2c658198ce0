"""Shares as they go in and out."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, StringConstraints

from timeside_api.http.projects.schemas import Kind
from timeside_api.sharing import Level


class NewShare(BaseModel):
    """What somebody is to have besides its owner."""

    model_config = ConfigDict(
        extra="forbid",
        use_attribute_docstrings=True,
        json_schema_extra={
            "examples": [{"kind": "item", "id": "0198c7d2-4f0a-7c3e-9d5b-3f2b8a1c6e70", "account": "ada"}]
        },
    )

    kind: Kind
    """`item`, `selection`, `preset`, `experience` …"""
    id: UUID
    account: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    """Name of who is to have it."""
    level: Literal[Level.VIEWER, Level.EDITOR] = Level.VIEWER
    """`viewer`: reads it, and asks for results; `editor`: changes it."""


class ShareOut(BaseModel):
    """One thing that one account may have besides its owner."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    kind: str
    id: UUID
    """Of the thing."""
    account: str
    """Name of who may have it."""
    level: Level
    by_id: UUID
    """Who gave it."""
    created_at: datetime


class ShareList(BaseModel):
    """Shares of a thing, by name of the account."""

    items: list[ShareOut]
