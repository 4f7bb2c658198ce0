"""Who asks, and the one place that decides that nobody comes in unknown."""

from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import Depends
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.exceptions import WebSocketException
from starlette.requests import HTTPConnection

from timeside_api.http import rates
from timeside_api.http.accounts import repository
from timeside_api.http.accounts.tokens import KEY_PREFIX
from timeside_api.http.platform import Platform, platform
from timeside_api.http.problems import Problem, unauthorized
from timeside_api.identity import Account, Role

PUBLIC = frozenset(
    {
        "password_change",
        "token_create",
        "token_refresh",
        "live",
        "ready",
        "openapi",
        "docs",
        "page",
        "page_file",
        "uploads_options",
    }
)
"""Operations that need no credential; all others, also those to come, do."""
UNCOUNTED = frozenset({"live", "ready"})
"""Operations for orchestrators, which ask as often as they like."""
LINKED = frozenset(
    {"media_get", "media_head", "result_file", "result_file_head", "item_transcode", "item_transcode_head"}
)
"""Operations that a link opens as well."""
TICKETED = frozenset({"events_stream", "track_stream", "task_stream", "result_stream"})
"""Operations that a ticket opens as well, besides streams over a WebSocket."""
_POLICY_VIOLATION = 1008


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and by which credential."""

    id: UUID
    """Of the account, and as the owner of things."""
    name: str
    is_admin: bool
    sign_in_id: UUID | None = None
    api_key_id: UUID | None = None

    def may_see(self, owner_id: UUID) -> bool:
        """Whether things of that owner are theirs, or they are an administrator."""
        return self.is_admin or self.id == owner_id


async def guard(connection: HTTPConnection) -> None:
    """Default deny: every route of the app passes here before its endpoint."""
    operation = getattr(connection.scope.get("route"), "operation_id", None)
    if operation in UNCOUNTED:
        return
    try:
        await _let_in(connection, is_public=operation in PUBLIC)
    except Problem as problem:
        if connection.scope["type"] == "websocket":
            raise WebSocketException(_POLICY_VIOLATION, problem.detail) from None
        raise


async def _let_in(connection: HTTPConnection, *, is_public: bool) -> None:
    """Find out who it is, if that matters, and count the request against them, or else against their address."""
    parts = platform(connection)
    address = rates.address(connection, parts.settings.proxies)
    if is_public:
        parts.rates.count_stranger(connection, address)
        return
    try:
        caller = await _identify(connection, parts)
    except Problem:
        parts.rates.count_stranger(connection, address)
        raise
    parts.rates.count(connection, caller.id)
    connection.state.caller = caller


def _caller(connection: HTTPConnection) -> Caller:
    return connection.state.caller


CallerOf = Annotated[Caller, Depends(_caller)]


def _admin(caller: CallerOf) -> Caller:
    if not caller.is_admin:
        raise Problem(403, "forbidden", "only administrators may do this")
    return caller


AdminOf = Annotated[Caller, Depends(_admin)]


async def still(session: AsyncSession, caller: Caller) -> bool:
    """Whether the credential that somebody came in by still counts."""
    return await _of_credential(session, caller.sign_in_id, caller.api_key_id) is not None


async def _identify(connection: HTTPConnection, parts: Platform) -> Caller:
    """By header, or, for streams, by ticket, or, for files, by link.

    In a transaction of its own, so that long requests hold none.
    """
    scheme, _, credential = connection.headers.get("authorization", "").partition(" ")
    operation = getattr(connection.scope.get("route"), "operation_id", None)
    takes_ticket = connection.scope["type"] == "websocket" or operation in TICKETED
    ticket = connection.query_params.get("ticket") if takes_ticket else None
    link = connection.query_params.get("link") if operation in LINKED else None
    async with parts.database.transaction() as session:
        if ticket is not None:
            taken = await repository.take_ticket(session, ticket)
            caller = None if taken is None else await _of_credential(session, *taken)
        elif link is not None:
            caller = await _of_credential(session, *parts.tokens.read_link(connection.scope["path"], link))
        elif scheme.lower() != "bearer" or not credential:
            raise unauthorized("an access token or an API key is needed: Authorization: Bearer …")
        elif credential.startswith(KEY_PREFIX):
            found = await repository.of_key(session, credential)
            caller = None if found is None else _of(found[0], api_key_id=found[1])
        else:
            claims = parts.tokens.read("access", credential)
            caller = await _of_credential(session, claims.sign_in_id, None)
    if caller is None:
        raise unauthorized("the credential is not valid any more")
    return caller


async def _of_credential(session: AsyncSession, sign_in_id: UUID | None, api_key_id: UUID | None) -> Caller | None:
    if sign_in_id is not None:
        account = await repository.of_sign_in(session, sign_in_id)
        return None if account is None else _of(account, sign_in_id=sign_in_id)
    account = None if api_key_id is None else await repository.of_key_id(session, api_key_id)
    return None if account is None else _of(account, api_key_id=api_key_id)


def _of(account: Account, *, sign_in_id: UUID | None = None, api_key_id: UUID | None = None) -> Caller:
    return Caller(account.id, account.name, account.role is Role.ADMIN, sign_in_id, api_key_id)
