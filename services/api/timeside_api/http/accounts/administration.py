"""What an operator does to accounts, at a terminal: passwords that are made are temporary, secrets returned once."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from timeside_api.audit import AuditEntry
from timeside_api.database import Database
from timeside_api.http.accounts import repository
from timeside_api.http.accounts.passwords import fresh_password, hash_now
from timeside_api.http.accounts.schemas import SigningUp
from timeside_api.http.accounts.tokens import KEY_PREFIX, fresh_secret
from timeside_api.identity import Account, Role
from timeside_core.errors import ParameterError, TimesideError

FIRST_ADMIN = "admin"


class AccountError(TimesideError):
    """An account that is not there, or is there already."""


async def every(database: Database) -> Sequence[Account]:
    """All accounts, by name."""
    async with database.transaction() as session:
        return await repository.every(session)


async def add(database: Database, name: str, role: Role) -> str:
    """Make an account; returns its temporary password."""
    try:
        SigningUp(name=name)
    except ValueError:
        raise ParameterError(
            f"name {name!r}: 1 to 64 lower-case letters, digits, and . _ - @ after the first"
        ) from None
    password = fresh_password()
    async with database.transaction() as session:
        if not await repository.add(session, name, role, hash_now(password), is_temporary=True):
            raise AccountError(f"account {name!r} is there already")
        _note(session, "account.made", name, role=role)
    return password


async def disable(database: Database, name: str) -> None:
    """Let an account in no more; what it owns stays."""
    async with database.transaction() as session:
        await repository.disable(session, (await _named(session, name)).id)
        _note(session, "account.disabled", name)


async def reset(database: Database, name: str) -> str:
    """Give an account another temporary password, and let it in (again); ends its sign-ins."""
    password = fresh_password()
    async with database.transaction() as session:
        account = await _named(session, name)
        account.disabled_at = None
        await repository.set_password(session, account.id, hash_now(password), is_temporary=True)
        _note(session, "account.reset", name)
    return password


async def key(database: Database, name: str, title: str, life_days: int) -> str:
    """Make an API key of an account."""
    secret = fresh_secret(KEY_PREFIX)
    async with database.transaction() as session:
        await repository.add_key(session, (await _named(session, name)).id, title, secret, life_days)
        _note(session, "account.key_made", name)
    return secret


async def first(database: Database) -> str | None:
    """Where there is no account yet, make an administrator; returns its temporary password."""
    async with database.transaction() as session:
        if await session.scalar(select(func.count()).select_from(Account)):
            return None
        password = fresh_password()
        made = await repository.add(session, FIRST_ADMIN, Role.ADMIN, hash_now(password), is_temporary=True)
        _note(session, "account.made", FIRST_ADMIN, role=Role.ADMIN)
    return password if made else None


async def _named(session: AsyncSession, name: str) -> Account:
    account = await session.scalar(select(Account).where(Account.name == name))
    if account is None:
        raise AccountError(f"there is no account {name!r}")
    return account


def _note(session: AsyncSession, action: str, name: str, **details: Any) -> None:
    session.add(AuditEntry(action=action, is_allowed=True, subject=name, address="terminal", details=details))
