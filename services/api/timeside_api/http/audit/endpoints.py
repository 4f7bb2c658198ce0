"""`/v1/audit`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime
from sqlalchemy import select

from timeside_api.audit import AuditEntry
from timeside_api.http.access import AdminOf
from timeside_api.http.audit.schemas import AuditOut
from timeside_api.http.openapi import errors
from timeside_api.http.pages import Orders, Page, Turn, turning
from timeside_api.http.platform import Session

router = APIRouter(prefix="/audit", tags=["audit"])
TurnOf = Annotated[Turn, Depends(turning(Orders(AuditEntry.id)))]

_Text = Annotated[str | None, Query(max_length=200)]
_Time = Annotated[AwareDatetime | None, Query()]


@router.get("", operation_id="audit_list", responses=errors(403))
async def audit_list(
    admin: AdminOf,
    session: Session,
    turn: TurnOf,
    action: _Text = None,
    actor_id: UUID | None = None,
    subject: _Text = None,
    is_allowed: bool | None = None,
    since: _Time = None,
    until: _Time = None,
) -> Page[AuditOut]:
    """Who did what that matters for security, newest first; for administrators.

    Entries are only added: the database refuses to change one, or to remove one within a year.
    """
    wanted = select(AuditEntry)
    equal = {"action": action, "actor_id": actor_id, "subject": subject, "is_allowed": is_allowed}
    for name, value in equal.items():
        if value is not None:
            wanted = wanted.where(getattr(AuditEntry, name) == value)
    if since is not None:
        wanted = wanted.where(AuditEntry.created_at >= since)
    if until is not None:
        wanted = wanted.where(AuditEntry.created_at < until)
    found = await turn.found(session, wanted)
    return Page[AuditOut].of(found, [AuditOut.of(each) for each in found.rows])
