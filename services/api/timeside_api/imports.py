"""Imports: lists of URLs or files that become items, a row each; rows are the queue that importers take from.

A row: `queued` ──▶ `running` ──▶ `done` | `failed`, or `expanded` where it stood for others, which then are rows too;
`cancelled` until it is settled. A row whose lease has run out is queued again, up to a number of attempts. What an
importer says counts only while the row is running in the attempt that it took.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Enum, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from timeside_api.models import Base, Created, Id, Owned, Small


class ImportKind(StrEnum):
    """What was given."""

    URL = "url"
    PROVIDER = "provider"
    CSV = "csv"
    FOLDER = "folder"


class ImportState(StrEnum):
    """Of an import: `partial` where some of its rows could be had."""

    RUNNING = "running"
    DONE = "done"
    PARTIAL = "partial"
    FAILED = "failed"
    CANCELLED = "cancelled"


class RowState(StrEnum):
    """Of a row: see the module."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPANDED = "expanded"


class Source(StrEnum):
    """What a row names, and so what is done about it."""

    URL = "url"
    """Something that a provider resolves."""
    DOWNLOAD = "download"
    """Bytes that a provider has found."""
    FILE = "file"
    """A file of the server."""
    FOLDER = "folder"
    """All media files below a folder of the server."""


def _values(states: type[StrEnum]) -> list[str]:
    return [state.value for state in states]


def _enum(states: type[StrEnum], name: str) -> Enum:
    return Enum(states, native_enum=False, create_constraint=True, name=name, length=16, values_callable=_values)


class Import(Owned, Base):
    """What somebody asked to be imported."""

    __tablename__ = "import"
    __table_args__ = (Index(None, "owner_id", "id"), Index(None, "settled_at"))

    kind: Mapped[ImportKind] = mapped_column(_enum(ImportKind, "kind"))
    source: Mapped[str] = mapped_column(server_default="")
    """URL or folder that was given."""
    provider: Mapped[str | None]
    """Id of the provider that was asked for."""
    is_in_place: Mapped[bool] = mapped_column(server_default=text("false"))
    """Whether files of the server are used where they lie, not copied."""
    state: Mapped[ImportState] = mapped_column(_enum(ImportState, "state"), server_default=ImportState.RUNNING)
    created_at: Mapped[Created]
    settled_at: Mapped[datetime | None]


class ImportRow(Base):
    """One source of an import."""

    __tablename__ = "import_row"
    __table_args__ = (
        UniqueConstraint("import_id", "place"),
        Index("import_row_queue_idx", "place", "id", postgresql_where=text("state IN ('queued', 'running')")),
    )

    id: Mapped[Id]
    import_id: Mapped[UUID] = mapped_column(ForeignKey("import.id", ondelete="CASCADE"))
    place: Mapped[int]
    """In its import. The first rows of all imports come first, so that a long one holds up no other."""
    kind: Mapped[Source] = mapped_column(_enum(Source, "kind"))
    source: Mapped[str]
    """URL, or absolute path."""
    said: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    """What is said of the item to be made."""
    state: Mapped[RowState] = mapped_column(_enum(RowState, "state"), server_default=RowState.QUEUED)
    reason: Mapped[str] = mapped_column(server_default="")
    """Why it failed, or is tried again, in words."""
    is_joined: Mapped[bool] = mapped_column(server_default=text("false"))
    """Whether an item with the same bytes was there already."""
    item_id: Mapped[UUID | None] = mapped_column(ForeignKey("item.id", ondelete="SET NULL"))
    attempt: Mapped[Small] = mapped_column(server_default="0")
    not_before: Mapped[Created]
    """A row that failed for now waits a little."""
    lease_until: Mapped[datetime | None]
    settled_at: Mapped[datetime | None]
