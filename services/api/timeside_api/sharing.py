"""Who else may have what somebody owns: the members of its project, and those it is shared with."""

from enum import StrEnum
from uuid import UUID

from sqlalchemy import Enum, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from timeside_api.models import Base, Created


class Level(StrEnum):
    """What somebody may do with a thing; each may do what those before it may."""

    VIEWER = "viewer"
    """Read it, and ask for results of it."""
    EDITOR = "editor"
    """Change it."""
    OWNER = "owner"
    """Remove it, and say who else may have it."""

    @property
    def and_above(self) -> tuple["Level", ...]:
        """Those that may do what this one may."""
        levels = tuple(Level)
        return levels[levels.index(self) :]


def _values(levels: type[StrEnum]) -> list[str]:
    return [level.value for level in levels]


_LEVEL = Enum(Level, native_enum=False, create_constraint=True, name="level", length=16, values_callable=_values)


class Membership(Base):
    """Somebody in a project."""

    __tablename__ = "membership"
    __table_args__ = (Index(None, "account_id"),)

    project_id: Mapped[UUID] = mapped_column(ForeignKey("project.id", ondelete="CASCADE"), primary_key=True)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("account.id"), primary_key=True)
    level: Mapped[Level] = mapped_column(_LEVEL)
    created_at: Mapped[Created]


class Grant(Base):
    """One thing that one account may have besides its owner."""

    __tablename__ = "access_grant"
    __table_args__ = (Index(None, "account_id", "kind"),)

    kind: Mapped[str] = mapped_column(primary_key=True)
    """Name of the thing's table."""
    thing_id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("account.id"), primary_key=True)
    level: Mapped[Level] = mapped_column(_LEVEL)
    by_id: Mapped[UUID] = mapped_column(ForeignKey("account.id"))
    """Who gave it."""
    created_at: Mapped[Created]
