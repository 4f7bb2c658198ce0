"""Who may come in: accounts, their sign-ins, API keys and one-time tickets; secrets are kept as hashes only."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, Enum, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from timeside_api.models import Base, Created, Id


class Role(StrEnum):
    """What an account may do: an administrator sees and changes everybody's things."""

    ADMIN = "admin"
    USER = "user"


def _values(roles: type[StrEnum]) -> list[str]:
    return [role.value for role in roles]


_ROLE = Enum(Role, native_enum=False, create_constraint=True, name="role", length=16, values_callable=_values)


class Account(Base):
    """Somebody who signs in; it owns things under the same id."""

    __tablename__ = "account"

    id: Mapped[UUID] = mapped_column(ForeignKey("owner.id"), primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    display_name: Mapped[str] = mapped_column(server_default="")
    """What others see of whose it is; empty: the name."""
    role: Mapped[Role] = mapped_column(_ROLE)
    password_hash: Mapped[str]
    """Argon2id, with its parameters and salt."""
    is_password_temporary: Mapped[bool]
    """Whether it only serves to set another one."""
    created_at: Mapped[Created]
    disabled_at: Mapped[datetime | None]


class SignIn(Base):
    """A chain of refresh tokens, of which the last one counts; a used one that comes again ends the chain."""

    __tablename__ = "sign_in"
    __table_args__ = (Index(None, "account_id"),)

    id: Mapped[Id]
    account_id: Mapped[UUID] = mapped_column(ForeignKey("account.id"))
    refresh_id: Mapped[UUID]
    """Of the refresh token that counts."""
    created_at: Mapped[Created]
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class ApiKey(Base):
    """A credential of a program, until it is revoked or expires."""

    __tablename__ = "api_key"
    __table_args__ = (Index(None, "account_id"),)

    id: Mapped[Id]
    account_id: Mapped[UUID] = mapped_column(ForeignKey("account.id"))
    name: Mapped[str]
    prefix: Mapped[str]
    """What it begins with, so that its owner can tell it from others."""
    sha256: Mapped[str] = mapped_column(unique=True)
    """Of all of it: 256 random bits need no slower hash."""
    created_at: Mapped[Created]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class Ticket(Base):
    """Lets who holds it open one stream, soon: browsers cannot send a header with a WebSocket."""

    __tablename__ = "ticket"
    __table_args__ = (
        CheckConstraint("(sign_in_id IS NULL) <> (api_key_id IS NULL)", name="credential"),
        Index(None, "expires_at"),
    )

    sha256: Mapped[str] = mapped_column(primary_key=True)
    sign_in_id: Mapped[UUID | None] = mapped_column(ForeignKey("sign_in.id"))
    """Or the API key: what it was asked for with, and with which it ends."""
    api_key_id: Mapped[UUID | None] = mapped_column(ForeignKey("api_key.id"))
    expires_at: Mapped[datetime]
