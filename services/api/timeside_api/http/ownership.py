"""Who may do what with what is owned: the one rule that all resources go by.

The owner and administrators may do everything; members of a thing's project, and those it is shared with, what their
level lets them. What somebody may not see is not there for them.
"""

from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Select, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from timeside_api.http.access import Caller
from timeside_api.http.problems import Problem, not_found
from timeside_api.models import Item, Owned, Project
from timeside_api.sharing import Grant, Level, Membership

Thing = TypeVar("Thing", bound=Owned | Project)


def visible(caller: Caller, table: type[Thing], level: Level = Level.VIEWER) -> Select[Thing]:
    """Rows with which the caller may do what somebody of a level may."""
    return select(table) if caller.is_admin else select(table).where(or_(*_ways(caller, table, level)))


def ways(caller: Caller, table: type[Thing], level: Level = Level.VIEWER) -> list[Select[Thing]]:
    """The same rows by each way in which the caller has them: each has an index, and a row may be in several."""
    return [select(table)] if caller.is_admin else [select(table).where(way) for way in _ways(caller, table, level)]


def media_of(caller: Caller) -> Select[str | None]:
    """Hashes of the media that the caller may have: those of items that they may see."""
    return visible(caller, Item).with_only_columns(Item.media_sha256)


async def get(
    session: AsyncSession, caller: Caller, table: type[Thing], id: UUID, level: Level = Level.VIEWER
) -> Thing:
    """A row; raises a problem where the caller may not see one of that id, or may not do so much with it."""
    wanted = visible(caller, table).where(table.id == id)
    thing = await session.scalar(wanted.execution_options(populate_existing=True))
    if thing is None:
        raise not_found(table.__tablename__, id)
    if level is not Level.VIEWER and await session.scalar(visible(caller, table, level).where(table.id == id)) is None:
        raise Problem(403, "forbidden", f"{table.__tablename__} {id}: only {_who(level)} may do this")
    return thing


def _ways(caller: Caller, table: Any, level: Level) -> tuple[Any, ...]:
    project = table.id if table is Project else table.project_id
    of_projects = select(Membership.project_id).where(
        Membership.account_id == caller.id, Membership.level.in_(level.and_above)
    )
    shared = select(Grant.thing_id).where(
        Grant.account_id == caller.id, Grant.kind == table.__tablename__, Grant.level.in_(level.and_above)
    )
    return table.owner_id == caller.id, project.in_(of_projects), table.id.in_(shared)


def _who(level: Level) -> str:
    return " and ".join(f"{each.value}s" for each in level.and_above)
