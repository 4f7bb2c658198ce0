"""Entries of the audit log as they go out."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from timeside_api.audit import AuditEntry


class AuditOut(BaseModel):
    """Something that somebody did, or tried to do."""

    model_config = ConfigDict(from_attributes=True, use_attribute_docstrings=True)

    id: int
    created_at: datetime
    action: str
    """What: `sign_in`, `api_key.made`, `account.disabled`, `share.given` …"""
    is_allowed: bool
    """False where it was refused."""
    actor_id: UUID | None
    """Who; null where nobody is known, or where an operator did it at a terminal."""
    subject: str
    """What it was done to: an id, or the name of an account."""
    address: str
    """Where it came from."""
    trace_id: str
    """Of the request, as in the logs and in problems."""
    details: dict[str, Any]

    @classmethod
    def of(cls, entry: AuditEntry) -> "AuditOut":
        """Of a row."""
        return cls.model_validate(entry)
