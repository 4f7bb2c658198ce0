"""`/v1/accounts`, for administrators: who may come in, as whom, and how much they may have."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Response
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from timeside_api import quotas
from timeside_api.http.access import AdminOf
from timeside_api.http.accounts import repository
from timeside_api.http.accounts.passwords import fresh_password
from timeside_api.http.accounts.schemas import (
    AccountChange,
    AccountOut,
    FreshAccount,
    Limits,
    NewAccount,
    TemporaryPassword,
    UsageOut,
)
from timeside_api.http.openapi import errors
from timeside_api.http.pages import Orders, Page, Turn, turning
from timeside_api.http.platform import PlatformOf, Session
from timeside_api.http.problems import Problem, not_found
from timeside_api.http.trail import TrailOf
from timeside_api.identity import Account

router = APIRouter(prefix="/accounts", tags=["accounts"])
TurnOf = Annotated[Turn, Depends(turning(Orders(Account.id)))]


@router.get("", operation_id="accounts_list", responses=errors(403))
async def accounts_list(admin: AdminOf, session: Session, turn: TurnOf) -> Page[AccountOut]:
    """List all accounts."""
    found = await turn.found(session, select(Account))
    return Page[AccountOut].of(found, [AccountOut.of(each) for each in found.rows])


@router.post("", operation_id="account_create", status_code=201, responses=errors(403, 409, 429))
async def account_create(
    body: NewAccount, admin: AdminOf, session: Session, parts: PlatformOf, trail: TrailOf, response: Response
) -> FreshAccount:
    """Make an account.

    Its password is in this answer, and nowhere else; it only serves to set another one.
    """
    password = fresh_password()
    hash = await parts.passwords.hash(password)
    if not await repository.add(session, body.name, body.role, hash, is_temporary=True):
        raise Problem(409, "taken", f"account {body.name!r} is there already")
    account = (await session.scalars(select(Account).where(Account.name == body.name))).one()
    account.display_name = body.display_name
    trail.note(session, "account.made", body.name, role=body.role)
    response.headers["Location"] = f"/v1/accounts/{account.id}"
    return FreshAccount(**AccountOut.of(account).model_dump(), password=password)


@router.get("/{account_id}", operation_id="account_get", responses=errors(403, 404))
async def account_get(account_id: UUID, admin: AdminOf, session: Session) -> AccountOut:
    """Get an account."""
    return AccountOut.of(await _get(session, account_id))


@router.patch("/{account_id}", operation_id="account_change", responses=errors(403, 404, 409))
async def account_change(
    account_id: UUID, body: AccountChange, admin: AdminOf, session: Session, trail: TrailOf
) -> AccountOut:
    """Say something else of an account, or let it be another role."""
    account = await _get(session, account_id)
    if body.role is not None and body.role is not account.role:
        if account.id == admin.id:
            raise Problem(409, "yourself", "administrators do not change their own role: another one does")
        trail.note(session, "account.role", account.name, was=account.role, role=body.role)
        account.role = body.role
    if body.display_name is not None:
        account.display_name = body.display_name
    return AccountOut.of(account)


@router.post("/{account_id}:disable", operation_id="account_disable", responses=errors(403, 404, 409))
async def account_disable(account_id: UUID, admin: AdminOf, session: Session, trail: TrailOf) -> AccountOut:
    """Let an account in no more; what it owns stays."""
    account = await _get(session, account_id)
    if account.id == admin.id:
        raise Problem(409, "yourself", "administrators do not disable themselves: another one does")
    await repository.disable(session, account.id)
    trail.note(session, "account.disabled", account.name)
    await session.refresh(account)
    return AccountOut.of(account)


@router.post("/{account_id}:reset", operation_id="account_reset", responses=errors(403, 404, 429))
async def account_reset(
    account_id: UUID, admin: AdminOf, session: Session, parts: PlatformOf, trail: TrailOf
) -> TemporaryPassword:
    """Give an account another temporary password, and let it in (again); ends its sign-ins."""
    account = await _get(session, account_id)
    password = fresh_password()
    account.disabled_at = None
    await repository.set_password(session, account.id, await parts.passwords.hash(password), is_temporary=True)
    trail.note(session, "account.reset", account.name)
    return TemporaryPassword(password=password)


@router.get("/{account_id}/usage", operation_id="account_usage", responses=errors(403, 404))
async def account_usage(account_id: UUID, admin: AdminOf, session: Session, parts: PlatformOf) -> UsageOut:
    """What an account has, and how much it may have."""
    account = await _get(session, account_id)
    return UsageOut.of(await quotas.usage(session, account.id, parts.settings.quotas))


@router.put("/{account_id}/limits", operation_id="account_limit", responses=errors(403, 404))
async def account_limit(
    account_id: UUID, body: Limits, admin: AdminOf, session: Session, parts: PlatformOf, trail: TrailOf
) -> UsageOut:
    """Say how much an account may have; what is null or left out is as for everybody."""
    account = await _get(session, account_id)
    await quotas.allow(session, account.id, body.by_name())
    trail.note(session, "account.limited", account.name, **body.model_dump())
    return UsageOut.of(await quotas.usage(session, account.id, parts.settings.quotas))


async def _get(session: AsyncSession, account_id: UUID) -> Account:
    account = await session.get(Account, account_id)
    if account is None:
        raise not_found("account", account_id)
    return account
