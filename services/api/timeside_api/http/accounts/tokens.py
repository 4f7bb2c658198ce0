"""Tokens: JSON Web Tokens of a sign-in (RFC 7519, by the rules of RFC 8725), and random secrets kept as hashes."""

import hashlib
import secrets
import time
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias
from uuid import UUID

import jwt

from timeside_api.http.problems import unauthorized

Use: TypeAlias = Literal["access", "refresh"]
KEY_PREFIX = "tsk_"
"""What API keys begin with, so that they are recognised where they should not be."""
PREFIX_CHARS = len(KEY_PREFIX) + 6
_ALGORITHM = "HS256"
_ISSUER = "timeside"
_CLAIMS = ["iss", "sub", "aud", "exp", "iat", "jti", "sid"]


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says."""

    account_id: UUID
    sign_in_id: UUID
    token_id: UUID
    expires_at: int
    """Unix time."""


class Tokens:
    """Signs and reads tokens; what a token is for is its audience, so that none passes for another."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def issue(self, use: Use, *, account_id: UUID, sign_in_id: UUID, token_id: UUID, expires_at: int) -> str:
        """A token."""
        claims = {
            "iss": _ISSUER,
            "aud": f"{_ISSUER}:{use}",
            "sub": str(account_id),
            "sid": str(sign_in_id),
            "jti": str(token_id),
            "iat": int(time.time()),
            "exp": expires_at,
        }
        return jwt.encode(claims, self._secret, _ALGORITHM)

    def read(self, use: Use, token: str) -> Claims:
        """What it says; raises a problem where it is none of ours, is for another use, or has expired."""
        try:
            claims = self._decoded(use, token, _CLAIMS)
            ids = (UUID(str(claims[name])) for name in ("sub", "sid", "jti"))
            return Claims(*ids, expires_at=int(claims["exp"]))
        except (jwt.InvalidTokenError, ValueError):
            raise unauthorized(f"the {use} token is not valid, or has expired") from None

    def link(self, path: str, *, sign_in_id: UUID | None, api_key_id: UUID | None, expires_at: int) -> str:
        """A token that opens one path, for whoever has it, as the credential does while that counts."""
        credential = {"sid": str(sign_in_id)} if sign_in_id is not None else {"kid": str(api_key_id)}
        claims = {"iss": _ISSUER, "aud": f"{_ISSUER}:link", "path": path, "exp": expires_at, **credential}
        return jwt.encode(claims, self._secret, _ALGORITHM)

    def read_link(self, path: str, token: str) -> tuple[UUID | None, UUID | None]:
        """The sign-in or the API key that it stands for; raises a problem where it does not open that path (now)."""
        try:
            claims = self._decoded("link", token, ["iss", "aud", "exp", "path"])
            if claims["path"] == path:
                return _id_or_none(claims.get("sid")), _id_or_none(claims.get("kid"))
        except (jwt.InvalidTokenError, ValueError):
            pass
        raise unauthorized("the link is not valid here, or has expired")

    def _decoded(self, use: str, token: str, claims: list[str]) -> dict[str, Any]:
        return jwt.decode(
            token,
            self._secret,
            algorithms=[_ALGORITHM],
            audience=f"{_ISSUER}:{use}",
            issuer=_ISSUER,
            options={"require": claims},
        )


def _id_or_none(claim: Any) -> UUID | None:
    return None if claim is None else UUID(str(claim))


def fresh_secret(prefix: str = "") -> str:
    """256 random bits."""
    return prefix + secrets.token_urlsafe(32)


def sha256(secret: str) -> str:
    """What is kept of it."""
    return hashlib.sha256(secret.encode()).hexdigest()
