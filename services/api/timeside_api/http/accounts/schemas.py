"""Accounts as they go in and out."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from timeside_api.identity import Account, ApiKey, Role

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._@-]{0,63}$")]
Password = Annotated[str, StringConstraints(min_length=1, max_length=256)]
NewPassword = Annotated[str, StringConstraints(min_length=12, max_length=256)]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class _Out(BaseModel):
    model_config = ConfigDict(from_attributes=True, use_attribute_docstrings=True)


class SigningUp(_In):
    """An account to be made."""

    name: Name


class SigningIn(_In):
    """Name and password."""

    name: Annotated[str, StringConstraints(max_length=64)]
    password: Password


class ChangingPassword(SigningIn):
    """The present password (or a temporary one), and the next."""

    new_password: NewPassword


class Refreshing(_In):
    """The last refresh token; each serves once."""

    refresh_token: Annotated[str, StringConstraints(max_length=2048)]


class TokenPair(_Out):
    """What to send as `Authorization: Bearer …`, and what to get the next pair with."""

    token_type: Literal["Bearer"] = "Bearer"
    access_token: str
    expires_in: int
    """Of the access token, s."""
    refresh_token: str


class AccountOut(_Out):
    """An account."""

    id: UUID
    name: str
    role: Role
    created_at: datetime

    @classmethod
    def of(cls, account: Account) -> "AccountOut":
        """Of a row."""
        return cls.model_validate(account)


class NewKey(_In):
    """An API key to be made."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    """For its owner: what it is used by."""
    expires_in_days: Annotated[int, Field(ge=1, le=3650)] | None = None
    """Null: until it is revoked."""


class KeyOut(_Out):
    """An API key, without its secret."""

    id: UUID
    name: str
    prefix: str
    created_at: datetime
    expires_at: datetime | None

    @classmethod
    def of(cls, key: ApiKey) -> "KeyOut":
        """Of a row."""
        return cls.model_validate(key)


class FreshKey(KeyOut):
    """An API key with its secret, which is shown this once."""

    key: str


class TicketOut(_Out):
    """Opens one stream, soon: `/v1/stream?ticket=…`."""

    ticket: str
    expires_in: int
    """s."""
