"""What happens to things, in the order in which it was committed: noted in a transaction, written at its end.

Readers go on from the number of the last event that they have seen, and must miss none. So numbers are dealt out under
a lock that the transaction holds until it is committed: who sees an event will never see one with a smaller number
appear. The lock comes last in every transaction that notes something, so nobody waits in a circle.
"""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Identity, Index, delete, func, insert, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from timeside_api.models import Base, Big, Created, OwnerRef

CHANNEL = "timeside_changes"
"""On which processes hear of what was committed: the topic that has changed."""
TOPIC = "events"
_LOCK = 0x7473_6576
_NOTED = "timeside_events"
_ACTOR = "timeside_actor"


class Event(Base):
    """Something that has happened to somebody's thing."""

    __tablename__ = "event"
    __table_args__ = (Index(None, "owner_id", "id"), Index(None, "project_id", "id"), Index(None, "created_at"))

    id: Mapped[Big] = mapped_column(Identity(always=True), primary_key=True)
    kind: Mapped[str]
    """What and how: `item.created`, `task.settled`."""
    owner_id: Mapped[OwnerRef]
    """Whose thing it is."""
    project_id: Mapped[UUID | None]
    """Whose members hear of it too."""
    subject_id: Mapped[UUID]
    """Of the thing, which may be gone."""
    actor_id: Mapped[UUID | None]
    """Who did it; None where it happened by itself."""
    details: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    created_at: Mapped[Created]


def by(session: AsyncSession, actor_id: UUID) -> None:
    """Say who does what this transaction does."""
    session.info[_ACTOR] = actor_id


def note(
    session: AsyncSession,
    kind: str,
    *,
    owner_id: UUID,
    subject_id: UUID,
    project_id: UUID | None = None,
    **details: Any,
) -> None:
    """Have an event be written with what this transaction does, if it is committed."""
    row = {
        "kind": kind,
        "owner_id": owner_id,
        "project_id": project_id,
        "subject_id": subject_id,
        "actor_id": session.info.get(_ACTOR),
        "details": details,
    }
    session.info.setdefault(_NOTED, []).append(row)


async def write(session: AsyncSession) -> None:
    """Write what was noted; the last thing that a transaction does."""
    noted: list[dict[str, Any]] | None = session.info.pop(_NOTED, None)
    if noted:
        await session.flush()
        await session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        await session.execute(insert(Event), noted)
        await tell(session, [TOPIC])


async def tell(session: AsyncSession, topics: Iterable[str]) -> None:
    """Have those who listen hear that something about these topics was committed."""
    for topic in topics:
        await session.execute(text("SELECT pg_notify(:channel, :topic)"), {"channel": CHANNEL, "topic": topic})


async def forget(session: AsyncSession, days: int) -> None:
    """Remove events that are older."""
    await session.execute(delete(Event).where(Event.created_at < func.now() - timedelta(days=days)))
