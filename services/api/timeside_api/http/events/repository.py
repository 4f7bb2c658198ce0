"""SQL of events: one's own, and those of one's projects."""

from collections.abc import Sequence

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from timeside_api.events import Event
from timeside_api.http.access import Caller
from timeside_api.http.problems import Problem
from timeside_api.models import Project
from timeside_api.sharing import Membership


async def after(session: AsyncSession, caller: Caller, last: int, kind: str | None, limit: int) -> Sequence[Event]:
    """The next events; raises a problem where not all of them are kept any more."""
    oldest = await session.scalar(select(func.min(Event.id)))
    if last and oldest is not None and last < oldest - 1:
        raise Problem(410, "gone", f"events after {last} are not all kept: the oldest is {oldest}")
    mine = select(Membership.project_id).where(Membership.account_id == caller.id)
    made = select(Project.id).where(Project.owner_id == caller.id)
    is_mine = or_(Event.owner_id == caller.id, Event.project_id.in_(mine), Event.project_id.in_(made))
    wanted = select(Event).where(is_mine, Event.id > last)
    if kind is not None:
        is_kind = Event.kind.startswith(kind, autoescape=True) if kind.endswith(".") else Event.kind == kind
        wanted = wanted.where(is_kind)
    return (await session.scalars(wanted.order_by(Event.id).limit(limit))).all()


async def last(session: AsyncSession) -> int:
    """Number of the last event that there is."""
    return await session.scalar(select(func.max(Event.id))) or 0
