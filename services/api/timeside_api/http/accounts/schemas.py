"""Accounts as they go in and out."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from timeside_api import quotas
from timeside_api.identity import Account, ApiKey, Role

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._@-]{0,63}$")]
Password = Annotated[str, StringConstraints(min_length=1, max_length=256)]
DisplayName = Annotated[str, StringConstraints(max_length=200)]
Limit = Annotated[int, Field(ge=0, le=1 << 62)]
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
    display_name: str
    """What others see of whose something is; empty: the name."""
    role: Role
    created_at: datetime
    disabled_at: datetime | None
    """Null while it may come in."""

    @classmethod
    def of(cls, account: Account) -> "AccountOut":
        """Of a row."""
        return cls.model_validate(account)


class MyChange(_In):
    """What is to be said of me from now on; what is left out stays."""

    display_name: DisplayName | None = None


class NewAccount(SigningUp):
    """An account to be made."""

    role: Role = Role.USER
    display_name: DisplayName = ""


class AccountChange(MyChange):
    """What an account is to be from now on; what is left out stays."""

    role: Role | None = None


class TemporaryPassword(_Out):
    """A password that only serves to set another one."""

    password: str


class FreshAccount(AccountOut):
    """An account with its temporary password, which is shown this once."""

    password: str


class Limits(_In):
    """How much an account may have; null is as for everybody."""

    items: Limit | None = None
    bytes: Limit | None = None
    """Sizes of the media of all its items: what several have counts several times."""
    open_tasks: Limit | None = None
    """Tasks that are not settled."""
    queued_s: Limit | None = None
    """Audio seconds of runs that wait in the queue."""

    def by_name(self) -> dict[quotas.Name, int | None]:
        """Each by its name."""
        return {name: getattr(self, name) for name in quotas.NAMES}


class QuotaOut(_Out):
    """What there is of something, and how much there may be."""

    used: int
    limit: int


class UsageOut(_Out):
    """What an account has, and how much it may have; what goes beyond is refused with the problem `quota`."""

    items: QuotaOut
    bytes: QuotaOut
    """Sizes of the media of all its items: what several have counts several times."""
    open_tasks: QuotaOut
    """Tasks that are not settled."""
    queued_s: QuotaOut
    """Audio seconds of runs that wait in the queue."""

    @classmethod
    def of(cls, usage: Sequence[quotas.Usage]) -> "UsageOut":
        """Of what was counted."""
        return cls.model_validate({each.name: QuotaOut(used=each.used, limit=each.limit) for each in usage})


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
