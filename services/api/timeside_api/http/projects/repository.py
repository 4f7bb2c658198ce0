"""SQL of projects and their members, and of what is in them."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from timeside_api.http.access import Caller
from timeside_api.http.problems import Problem, not_found
from timeside_api.http.things import owned_kinds
from timeside_api.identity import Account
from timeside_api.models import Project, Task
from timeside_api.sharing import Level, Membership

MAX_MEMBERS = 1000


def mine(caller: Caller) -> Select[Project]:
    """Projects that the caller has made, or is in."""
    member = select(Membership.project_id).where(Membership.account_id == caller.id)
    return select(Project).where(or_(Project.owner_id == caller.id, Project.id.in_(member)))


async def add(session: AsyncSession, owner_id: UUID, said: Mapping[str, Any]) -> Project:
    """Make a project."""
    project = Project(owner_id=owner_id, **said)
    session.add(project)
    await session.flush()
    await session.refresh(project)
    return project


async def change(session: AsyncSession, project: Project, said: Mapping[str, Any]) -> None:
    """Say something else of it."""
    changed = update(Project).where(Project.id == project.id)
    await session.execute(changed.values(**said, updated_at=func.now()))
    await session.refresh(project)


async def remove(session: AsyncSession, project: Project) -> None:
    """Remove it; what is in it stays with its owners."""
    await session.execute(delete(Project).where(Project.id == project.id))


async def members(session: AsyncSession, project_id: UUID) -> Sequence[Row[Membership, Account]]:
    """Those in it, by name."""
    wanted = select(Membership, Account).join(Account, Account.id == Membership.account_id)
    return (await session.execute(wanted.where(Membership.project_id == project_id).order_by(Account.name))).all()


async def put_member(session: AsyncSession, project_id: UUID, account_id: UUID, level: Level) -> None:
    """Let somebody be in it, at a level."""
    row = insert(Membership).values(project_id=project_id, account_id=account_id, level=level)
    await session.execute(row.on_conflict_do_update(index_elements=["project_id", "account_id"], set_={"level": level}))
    of_project = select(func.count()).select_from(Membership).where(Membership.project_id == project_id)
    if (await session.scalar(of_project) or 0) > MAX_MEMBERS:
        raise Problem(422, "too-many", f"a project has {MAX_MEMBERS} members at most")


async def remove_member(session: AsyncSession, project_id: UUID, account_id: UUID) -> None:
    """Let somebody be in it no more; raises a problem where they were not."""
    is_it = Membership.project_id == project_id, Membership.account_id == account_id
    gone = await session.execute(delete(Membership).where(*is_it).returning(Membership.account_id))
    if gone.first() is None:
        raise not_found("member", account_id)


async def move(session: AsyncSession, kind: str, id: UUID, project_id: UUID | None) -> None:
    """Let a thing, and the tasks that are about it, be in a project, or in none."""
    table: Any = owned_kinds()[kind]
    await session.execute(update(table).where(table.id == id).values(project_id=project_id))
    if hasattr(Task, f"{kind}_id"):
        await session.execute(update(Task).where(getattr(Task, f"{kind}_id") == id).values(project_id=project_id))
