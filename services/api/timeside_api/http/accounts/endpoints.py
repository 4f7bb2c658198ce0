"""`/v1/auth`, `/v1/me`, `/v1/api-keys`, `/v1/stream-tickets`."""

import time
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends

from timeside_api import quotas
from timeside_api.http.access import CallerOf
from timeside_api.http.accounts import repository
from timeside_api.http.accounts.schemas import (
    AccountOut,
    ChangingPassword,
    FreshKey,
    KeyOut,
    MyChange,
    NewKey,
    Refreshing,
    SigningIn,
    TicketOut,
    TokenPair,
    UsageOut,
)
from timeside_api.http.accounts.tokens import KEY_PREFIX, fresh_secret
from timeside_api.http.openapi import errors
from timeside_api.http.pages import Orders, Page, Turn, turning
from timeside_api.http.platform import Platform, PlatformOf, Session
from timeside_api.http.problems import Problem, not_found, unauthorized
from timeside_api.http.trail import Trail, TrailOf
from timeside_api.identity import Account, ApiKey, SignIn
from timeside_core.ids import uuid7

router = APIRouter(tags=["accounts"])
KeysTurnOf = Annotated[Turn, Depends(turning(Orders(ApiKey.id)))]


@router.post("/auth/token", operation_id="token_create", responses=errors(403, 429))
async def token_create(body: SigningIn, parts: PlatformOf, trail: TrailOf) -> TokenPair:
    """Sign in."""
    account = await _checked(body, parts, trail)
    if account.is_password_temporary:
        raise Problem(403, "password-temporary", "this password only serves to set another: POST /v1/auth/password")
    async with parts.database.transaction() as session:
        begun = await repository.sign_in(session, account.id, life_s=parts.settings.refresh_s)
        trail.note(session, "sign_in", account.name, actor_id=account.id)
        return _pair(parts, begun)


@router.post(
    "/auth/password",
    operation_id="password_change",
    responses=errors(429),
)
async def password_change(body: ChangingPassword, parts: PlatformOf, trail: TrailOf) -> TokenPair:
    """Set another password.

    Ends all sign-ins of the account, and begins one.
    """
    account = await _checked(body, parts, trail)
    hash = await parts.passwords.hash(body.new_password)
    async with parts.database.transaction() as session:
        await repository.set_password(session, account.id, hash, is_temporary=False)
        trail.note(session, "password.changed", account.name, actor_id=account.id)
        begun = await repository.sign_in(session, account.id, life_s=parts.settings.refresh_s)
        return _pair(parts, begun)


@router.post("/auth/refresh", operation_id="token_refresh")
async def token_refresh(body: Refreshing, parts: PlatformOf, trail: TrailOf) -> TokenPair:
    """Get the next pair of tokens."""
    claims = parts.tokens.read("refresh", body.refresh_token)
    async with parts.database.transaction() as session:  # its own: that a token came twice must be kept
        found = await repository.refresh(session, claims.sign_in_id, claims.token_id)
        if found is None:
            trail.note(session, "refresh", claims.sign_in_id, actor_id=claims.account_id, is_allowed=False)
    if found is None:
        raise unauthorized("the refresh token was used before, or its sign-in has ended")
    return _pair(parts, found)


@router.post("/auth/logout", operation_id="token_revoke", status_code=204, responses=errors(409))
async def token_revoke(caller: CallerOf, session: Session, trail: TrailOf) -> None:
    """End this sign-in."""
    if caller.sign_in_id is None:
        raise Problem(409, "not-signed-in", "an API key is no sign-in: DELETE /v1/api-keys/{id} revokes it")
    await repository.sign_out(session, caller.sign_in_id)
    trail.note(session, "sign_out", caller.name)


@router.get("/me", operation_id="me_get")
async def me_get(caller: CallerOf, session: Session) -> AccountOut:
    """Who I am."""
    return AccountOut.of(await session.get_one(Account, caller.id))


@router.patch("/me", operation_id="me_change")
async def me_change(body: MyChange, caller: CallerOf, session: Session) -> AccountOut:
    """Say something else of myself."""
    account = await session.get_one(Account, caller.id)
    if body.display_name is not None:
        account.display_name = body.display_name
    return AccountOut.of(account)


@router.get("/me/usage", operation_id="me_usage")
async def me_usage(caller: CallerOf, session: Session, parts: PlatformOf) -> UsageOut:
    """What I have, and how much I may have."""
    return UsageOut.of(await quotas.usage(session, caller.id, parts.settings.quotas))


@router.get("/api-keys", operation_id="api_keys_list")
async def api_keys_list(caller: CallerOf, session: Session, turn: KeysTurnOf) -> Page[KeyOut]:
    """List my API keys."""
    found = await turn.found(session, repository.keys(caller.id))
    return Page[KeyOut].of(found, [KeyOut.of(each) for each in found.rows])


@router.post("/api-keys", operation_id="api_key_create", status_code=201)
async def api_key_create(body: NewKey, caller: CallerOf, session: Session, trail: TrailOf) -> FreshKey:
    """Make an API key.

    Its secret is in this answer, and nowhere else.
    """
    key = fresh_secret(KEY_PREFIX)
    made = await repository.add_key(session, caller.id, body.name, key, body.expires_in_days)
    trail.note(session, "api_key.made", made.id, prefix=made.prefix)
    return FreshKey(**KeyOut.of(made).model_dump(), key=key)


@router.delete(
    "/api-keys/{key_id}",
    operation_id="api_key_delete",
    status_code=204,
    responses=errors(404),
)
async def api_key_delete(key_id: UUID, caller: CallerOf, session: Session, trail: TrailOf) -> None:
    """Revoke an API key of mine."""
    if not await repository.revoke_key(session, caller.id, key_id):
        raise not_found("API key", key_id)
    trail.note(session, "api_key.revoked", key_id)


@router.post("/stream-tickets", operation_id="ticket_create", status_code=201)
async def ticket_create(caller: CallerOf, session: Session, parts: PlatformOf) -> TicketOut:
    """Get a ticket for a stream.

    For browsers, which cannot send a header with a WebSocket; it serves once.
    """
    ticket, life_s = fresh_secret(), parts.settings.ticket_s
    credential = {"sign_in_id": caller.sign_in_id, "api_key_id": caller.api_key_id}
    await repository.add_ticket(session, ticket, **credential, life_s=life_s)
    return TicketOut(ticket=ticket, expires_in=life_s)


async def _checked(body: SigningIn, parts: Platform, trail: Trail) -> Account:
    """The account, if that is its password."""
    parts.throttle.check(trail.address, body.name)
    async with parts.database.transaction() as session:
        account = await repository.by_name(session, body.name)
    if not await parts.passwords.verify(account.password_hash if account else None, body.password) or account is None:
        parts.throttle.failed(trail.address, body.name)
        async with parts.database.transaction() as session:  # an unknown name is not kept: it may be a password
            trail.note(session, "sign_in", account.name if account else "", is_allowed=False)
        raise unauthorized("name or password is wrong")
    parts.throttle.succeeded(trail.address, body.name)
    return account


def _pair(parts: Platform, begun: SignIn) -> TokenPair:
    ids = {"account_id": begun.account_id, "sign_in_id": begun.id}
    ends_at, life_s = int(begun.expires_at.timestamp()), parts.settings.access_s
    access_ends_at = min(ends_at, int(time.time()) + life_s)
    return TokenPair(
        access_token=parts.tokens.issue("access", **ids, token_id=uuid7(), expires_at=access_ends_at),
        expires_in=life_s,
        refresh_token=parts.tokens.issue("refresh", **ids, token_id=begun.refresh_id, expires_at=ends_at),
    )
