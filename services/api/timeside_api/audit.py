"""The audit log: who did what that matters for security; rows are only added, and the database itself sees to that."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Identity, Index, delete, func, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from timeside_api.models import Base, Big, Created

LEAST_DAYS = 365
"""A trigger refuses to change rows, and to remove those that are younger."""


class AuditEntry(Base):
    """Something that somebody did, or tried to do."""

    __tablename__ = "audit"
    __table_args__ = (Index(None, "actor_id", "id"), Index(None, "action", "id"), Index(None, "created_at"))

    id: Mapped[Big] = mapped_column(Identity(always=True), primary_key=True)
    created_at: Mapped[Created]
    action: Mapped[str]
    """What: `sign_in`, `api_key.made`, `account.disabled`, `share.given`."""
    is_allowed: Mapped[bool]
    """False where it was refused."""
    actor_id: Mapped[UUID | None]
    """Who; None where nobody is known, as of a wrong name, or where an operator did it at a terminal."""
    subject: Mapped[str] = mapped_column(server_default="")
    """What it was done to: an id, or the name of an account."""
    address: Mapped[str] = mapped_column(server_default="")
    """Where it came from."""
    trace_id: Mapped[str] = mapped_column(server_default="")
    """Of the request, as in our logs."""
    details: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))


async def forget(session: AsyncSession, days: int) -> None:
    """Remove entries that are older."""
    age = timedelta(days=max(days, LEAST_DAYS + 1))
    await session.execute(delete(AuditEntry).where(AuditEntry.created_at < func.now() - age))
