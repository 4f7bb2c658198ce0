"""Events as they go out."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from timeside_api.events import Event


class EventOut(BaseModel):
    """Something that has happened."""

    model_config = ConfigDict(
        from_attributes=True,
        use_attribute_docstrings=True,
        json_schema_extra={
            "examples": [
                {
                    "id": 4711,
                    "kind": "task.settled",
                    "owner_id": "0198c7d2-4f0a-7c3e-9d5b-3f2b8a1c6e70",
                    "project_id": None,
                    "subject_id": "0198c7d3-11aa-7f21-8a55-0f4e2d9b7c31",
                    "actor_id": None,
                    "details": {"state": "done"},
                    "created_at": "2026-11-24T11:35:00Z",
                }
            ]
        },
    )

    id: int
    """Grows in the order in which things were done."""
    kind: str
    """Of what and how: `item.created`, `task.settled`; there may be new ones."""
    owner_id: UUID
    """Whose thing it is."""
    project_id: UUID | None
    subject_id: UUID
    """Of the thing, which may be gone."""
    actor_id: UUID | None
    """Who did it; null where it happened by itself."""
    details: dict[str, Any]
    created_at: datetime

    @classmethod
    def of(cls, event: Event) -> "EventOut":
        """Of a row."""
        return cls.model_validate(event)


class EventList(BaseModel):
    """Events in their order."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    items: list[EventOut]
    after: int
    """Ask on from there."""
    is_last: bool
    """Whether there are no more at present."""
