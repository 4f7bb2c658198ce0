"""What an owner has, and how much they may have.

Items and bytes are counted by triggers on `item`, in the row of their owner: whoever adds an item holds that row until
the transaction ends, so that what is checked after the fact cannot be exceeded. Tasks and what waits in the queue are
counted when somebody asks for more.
"""

from typing import Literal, NamedTuple, TypeAlias
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import ForeignKey, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from timeside_api.errors import QuotaError
from timeside_api.models import Base, Big, Run, RunState, Task, TaskState

Name: TypeAlias = Literal["items", "bytes", "open_tasks", "queued_s"]
NAMES: tuple[Name, ...] = ("items", "bytes", "open_tasks", "queued_s")
LANES = ("interactive", "bulk")


class Quotas(BaseModel):
    """What an owner may have, unless an administrator says otherwise of them."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    items: int = Field(default=5_000_000, ge=0)
    bytes: int = Field(default=100 << 40, ge=0)
    """Sizes of the media of all items: what several have counts several times."""
    open_tasks: int = Field(default=1000, ge=0)
    """Tasks that are not settled."""
    queued_s: int = Field(default=10_000_000 * 3600, ge=0)
    """Audio seconds of runs that wait in the queue."""


class Holding(Base):
    """What an owner has of what is counted, and limits of their own; null ones are the platform's."""

    __tablename__ = "holding"

    owner_id: Mapped[UUID] = mapped_column(ForeignKey("owner.id"), primary_key=True)
    items: Mapped[Big] = mapped_column(server_default="0")
    bytes: Mapped[Big] = mapped_column(server_default="0")
    max_items: Mapped[Big | None]
    max_bytes: Mapped[Big | None]
    max_open_tasks: Mapped[Big | None]
    max_queued_s: Mapped[Big | None]


class Usage(NamedTuple):
    """Of one quota."""

    name: Name
    used: int
    limit: int


async def usage(session: AsyncSession, owner_id: UUID, quotas: Quotas) -> list[Usage]:
    """What an owner has of everything."""
    holding = await _holding(session, owner_id)
    used = {
        "items": holding.items,
        "bytes": holding.bytes,
        "open_tasks": await _open_tasks(session, owner_id),
        "queued_s": await _queued_s(session, owner_id),
    }
    return [Usage(name, used[name], _limit(holding, name, quotas)) for name in NAMES]


async def check_items(session: AsyncSession, owner_id: UUID, quotas: Quotas, *, coming_bytes: int = 0) -> None:
    """Raise `QuotaError` where an owner has more items or bytes than they may; `coming_bytes` are yet to be kept."""
    holding = await _holding(session, owner_id)
    _check(Usage("items", holding.items, _limit(holding, "items", quotas)))
    _check(Usage("bytes", holding.bytes + coming_bytes, _limit(holding, "bytes", quotas)))


async def check_tasks(session: AsyncSession, owner_id: UUID, quotas: Quotas) -> None:
    """Raise `QuotaError` where an owner has asked for more than they may, what this transaction asks for included."""
    holding = await _holding(session, owner_id)
    _check(Usage("open_tasks", await _open_tasks(session, owner_id), _limit(holding, "open_tasks", quotas)))
    await check_queue(session, owner_id, quotas)


async def check_queue(session: AsyncSession, owner_id: UUID, quotas: Quotas) -> None:
    """Raise `QuotaError` where more of an owner waits in the queue than may, what this transaction adds included."""
    holding = await _holding(session, owner_id)
    _check(Usage("queued_s", await _queued_s(session, owner_id), _limit(holding, "queued_s", quotas)))


async def allow(session: AsyncSession, owner_id: UUID, limits: dict[Name, int | None]) -> None:
    """Give an owner limits of their own; None is the platform's."""
    values = {f"max_{name}": limit for name, limit in limits.items()}
    row = insert(Holding).values(owner_id=owner_id, **values)
    await session.execute(row.on_conflict_do_update(index_elements=["owner_id"], set_=values))


async def _holding(session: AsyncSession, owner_id: UUID) -> Holding:
    found = await session.get(Holding, owner_id, populate_existing=True)
    return found or Holding(owner_id=owner_id, items=0, bytes=0)


async def _open_tasks(session: AsyncSession, owner_id: UUID) -> int:
    is_open = Task.owner_id == owner_id, Task.state == TaskState.RUNNING
    return await session.scalar(select(func.count()).select_from(Task).where(*is_open)) or 0


async def _queued_s(session: AsyncSession, owner_id: UUID) -> int:
    waits = Run.lane.in_(LANES), Run.owner_id == owner_id, Run.state == RunState.QUEUED
    return round(await session.scalar(select(func.sum(Run.cost_s)).where(*waits)) or 0)


def _limit(holding: Holding, name: Name, quotas: Quotas) -> int:
    own: int | None = getattr(holding, f"max_{name}")
    return getattr(quotas, name) if own is None else own


def _check(usage: Usage) -> None:
    if usage.used > usage.limit:
        raise QuotaError(usage.name, usage.used, usage.limit)
