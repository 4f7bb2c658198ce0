"""SQL of shares."""

from typing import Any
from uuid import UUID

from sqlalchemy import Select, and_, delete, exists, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from timeside_api.http.access import Caller
from timeside_api.http.problems import Problem, not_found
from timeside_api.http.shares.schemas import ShareOut
from timeside_api.http.things import owned_kinds
from timeside_api.identity import Account
from timeside_api.models import Owned
from timeside_api.sharing import Grant, Level

MAX_SHARES = 1000
"""Of one thing: more people than that are a project."""


def received(caller: Caller) -> Select[Grant]:
    """What was shared with the caller, as far as it is still there."""
    tables: dict[str, Any] = dict(owned_kinds())
    is_there = [and_(Grant.kind == kind, exists().where(table.id == Grant.thing_id)) for kind, table in tables.items()]
    return select(Grant).where(Grant.account_id == caller.id, or_(*is_there))


async def of_thing(session: AsyncSession, kind: str, thing_id: UUID) -> list[ShareOut]:
    """Shares of a thing."""
    wanted = select(Grant, Account.name).join(Account, Account.id == Grant.account_id)
    found = await session.execute(wanted.where(Grant.kind == kind, Grant.thing_id == thing_id).order_by(Account.name))
    return [out(grant, name) for grant, name in found]


async def give(session: AsyncSession, kind: str, thing: Owned, account: Account, level: Level, by: Caller) -> ShareOut:
    """Let somebody have a thing."""
    key = {"kind": kind, "thing_id": thing.id, "account_id": account.id}
    said = {"level": level, "by_id": by.id}
    row = insert(Grant).values(**key, **said)
    await session.execute(row.on_conflict_do_update(index_elements=list(key), set_=said))
    given = await of_thing(session, kind, thing.id)
    if len(given) > MAX_SHARES:
        raise Problem(422, "too-many", f"a thing is shared with {MAX_SHARES} accounts at most: make a project")
    return next(each for each in given if each.account == account.name)


async def revoke(session: AsyncSession, kind: str, thing_id: UUID, account_id: UUID) -> None:
    """Let somebody have it no more; raises a problem where they had it not."""
    is_it = Grant.kind == kind, Grant.thing_id == thing_id, Grant.account_id == account_id
    if (await session.execute(delete(Grant).where(*is_it).returning(Grant.account_id))).first() is None:
        raise not_found("share of", thing_id)


def out(grant: Grant, account: str) -> ShareOut:
    """As it goes out."""
    return ShareOut(
        kind=grant.kind,
        id=grant.thing_id,
        account=account,
        level=grant.level,
        by_id=grant.by_id,
        created_at=grant.created_at,
    )


async def forget(session: AsyncSession) -> None:
    """Remove shares of what is not there any more."""
    tables: dict[str, Any] = dict(owned_kinds())
    for kind, table in tables.items():
        is_gone = ~exists().where(table.id == Grant.thing_id)
        await session.execute(delete(Grant).where(Grant.kind == kind, is_gone))
