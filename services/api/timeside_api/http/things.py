"""Things by the name of their kind: all tables of what is owned, so that each can be shared."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from timeside_api.http import ownership
from timeside_api.http.access import Caller
from timeside_api.http.problems import invalid, not_found
from timeside_api.identity import Account
from timeside_api.models import Owned
from timeside_api.sharing import Level


def owned_kinds() -> dict[str, type[Owned]]:
    """Tables by name."""
    return {table.__tablename__: table for table in Owned.__subclasses__()}


async def get(session: AsyncSession, caller: Caller, kind: str, id: UUID, level: Level) -> Owned:
    """A thing; raises a problem where there is no such kind, or the caller may not do so much with it."""
    tables = owned_kinds()
    if kind not in tables:
        raise invalid("kind", f"{kind!r} is none of {', '.join(sorted(tables))}")
    return await ownership.get(session, caller, tables[kind], id, level)


async def account_named(session: AsyncSession, name: str, *, or_disabled: bool = False) -> Account:
    """Somebody by name; raises a problem where there is nobody."""
    account = await session.scalar(select(Account).where(Account.name == name))
    if account is None or not (or_disabled or account.disabled_at is None):
        raise not_found("account", name)
    return account
