"""SQL of accounts: who somebody is, and what they may come in with."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import Select, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from timeside_api.http.accounts.tokens import PREFIX_CHARS, sha256
from timeside_api.identity import Account, ApiKey, Role, SignIn, Ticket
from timeside_api.models import Owner
from timeside_core.ids import uuid7

_ENABLED = Account.disabled_at.is_(None)
_SIGNED_IN = SignIn.ended_at.is_(None), SignIn.expires_at > func.now(), _ENABLED
_KEY_COUNTS = ApiKey.revoked_at.is_(None), func.coalesce(ApiKey.expires_at > func.now(), True), _ENABLED


async def by_name(session: AsyncSession, name: str) -> Account | None:
    """The account of that name, unless it is disabled."""
    return await session.scalar(select(Account).where(Account.name == name, _ENABLED))


async def every(session: AsyncSession) -> Sequence[Account]:
    """All accounts, by name."""
    return (await session.scalars(select(Account).order_by(Account.name))).all()


async def add(session: AsyncSession, name: str, role: Role, password_hash: str, *, is_temporary: bool) -> bool:
    """Make an account; False where the name is taken."""
    id = uuid7()
    await session.execute(insert(Owner).values(id=id))
    row = {"id": id, "name": name, "role": role, "password_hash": password_hash, "is_password_temporary": is_temporary}
    made = await session.scalar(insert(Account).values(row).on_conflict_do_nothing().returning(Account.id))
    if made is None:
        await session.execute(delete(Owner).where(Owner.id == id))
    return made is not None


async def set_password(session: AsyncSession, account_id: UUID, password_hash: str, *, is_temporary: bool) -> None:
    """Another password; whoever is signed in by the old one is so no more."""
    values = {"password_hash": password_hash, "is_password_temporary": is_temporary}
    await session.execute(update(Account).where(Account.id == account_id).values(values))
    await end_all(session, account_id)


async def disable(session: AsyncSession, account_id: UUID) -> None:
    """Let it in no more."""
    await session.execute(update(Account).where(Account.id == account_id).values(disabled_at=func.now()))
    await end_all(session, account_id)


async def end_all(session: AsyncSession, account_id: UUID) -> None:
    """End all sign-ins of an account."""
    is_open = SignIn.account_id == account_id, SignIn.ended_at.is_(None)
    await session.execute(update(SignIn).where(*is_open).values(ended_at=func.now()))


async def sign_in(session: AsyncSession, account_id: UUID, *, life_s: int) -> SignIn:
    """Begin a sign-in."""
    begun = SignIn(account_id=account_id, refresh_id=uuid7(), expires_at=_in(life_s))
    session.add(begun)
    await session.flush()
    return begun


async def refresh(session: AsyncSession, sign_in_id: UUID, refresh_id: UUID) -> SignIn | None:
    """Go on with a sign-in under another refresh token; one that was used before ends it, as somebody has a copy."""
    open = select(SignIn).join(Account).where(SignIn.id == sign_in_id, *_SIGNED_IN).with_for_update(of=SignIn)
    found = await session.scalar(open)
    if found is None:
        return None
    if found.refresh_id != refresh_id:
        found.ended_at = datetime.now(UTC)
        return None
    found.refresh_id = uuid7()
    return found


async def sign_out(session: AsyncSession, sign_in_id: UUID) -> None:
    """End a sign-in."""
    await session.execute(update(SignIn).where(SignIn.id == sign_in_id).values(ended_at=func.now()))


async def of_sign_in(session: AsyncSession, sign_in_id: UUID) -> Account | None:
    """Who signed in, while that counts."""
    return await session.scalar(select(Account).join(SignIn).where(SignIn.id == sign_in_id, *_SIGNED_IN))


async def of_key(session: AsyncSession, key: str) -> tuple[Account, UUID] | None:
    """Whose key it is, and its id, while it counts."""
    found = await session.execute(
        select(Account, ApiKey.id).join(ApiKey).where(ApiKey.sha256 == sha256(key), *_KEY_COUNTS)
    )
    row = found.first()
    return None if row is None else (row[0], row[1])


async def of_key_id(session: AsyncSession, key_id: UUID) -> Account | None:
    """Whose key that is, while it counts."""
    return await session.scalar(select(Account).join(ApiKey).where(ApiKey.id == key_id, *_KEY_COUNTS))


async def add_key(session: AsyncSession, account_id: UUID, name: str, key: str, life_days: int | None) -> ApiKey:
    """Keep an API key."""
    expires_at = None if life_days is None else _in(life_days * 86_400)
    made = ApiKey(
        account_id=account_id, name=name, prefix=key[:PREFIX_CHARS], sha256=sha256(key), expires_at=expires_at
    )
    session.add(made)
    await session.flush()
    await session.refresh(made)
    return made


def keys(account_id: UUID) -> Select[ApiKey]:
    """API keys of an account that are not revoked."""
    return select(ApiKey).where(ApiKey.account_id == account_id, ApiKey.revoked_at.is_(None))


async def revoke_key(session: AsyncSession, account_id: UUID, key_id: UUID) -> bool:
    """Let a key of an account count no more; whether there was one."""
    is_it = ApiKey.id == key_id, ApiKey.account_id == account_id, ApiKey.revoked_at.is_(None)
    done = await session.execute(update(ApiKey).where(*is_it).values(revoked_at=func.now()).returning(ApiKey.id))
    return done.first() is not None


async def add_ticket(
    session: AsyncSession, ticket: str, *, sign_in_id: UUID | None, api_key_id: UUID | None, life_s: int
) -> None:
    """Keep a ticket, and forget those that have expired."""
    await session.execute(delete(Ticket).where(Ticket.expires_at < func.now()))
    row = Ticket(sha256=sha256(ticket), sign_in_id=sign_in_id, api_key_id=api_key_id, expires_at=_in(life_s))
    session.add(row)


async def take_ticket(session: AsyncSession, ticket: str) -> tuple[UUID | None, UUID | None] | None:
    """The sign-in or the API key that a ticket stands for; it serves once."""
    is_it = Ticket.sha256 == sha256(ticket), Ticket.expires_at > func.now()
    taken = await session.execute(delete(Ticket).where(*is_it).returning(Ticket.sign_in_id, Ticket.api_key_id))
    row = taken.first()
    return None if row is None else (row[0], row[1])


def _in(seconds: int) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)
