"""Uploads that can be gone on with: what has come of them, in parts that lie in the store until they are whole."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Enum, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from timeside_api.models import Base, Big, Created, Owned


class UploadState(StrEnum):
    """Of an upload: bytes are awaited, or all have come and are made a media of; then it is settled."""

    OPEN = "open"
    DONE = "done"
    FAILED = "failed"


def _values(states: type[StrEnum]) -> list[str]:
    return [state.value for state in states]


_STATE = Enum(UploadState, native_enum=False, create_constraint=True, name="state", length=16, values_callable=_values)
_NONE = text("'{}'")


class Upload(Owned, Base):
    """Bytes that come in several requests; whoever holds `writer` adds to them."""

    __tablename__ = "upload"
    __table_args__ = (
        CheckConstraint("received BETWEEN 0 AND length", name="received"),
        Index(None, "owner_id", "id"),
        Index(None, "expires_at"),
    )

    length: Mapped[Big]
    received: Mapped[Big] = mapped_column(server_default="0")
    """Bytes that are kept, and acknowledged."""
    header: Mapped[str] = mapped_column(server_default="")
    """`Upload-Metadata`, as it came."""
    said: Mapped[dict[str, Any]] = mapped_column(server_default=_NONE)
    """What is said of the item to be made."""
    is_for_item: Mapped[bool]
    """Whether the item was there before: its media is replaced."""
    item_id: Mapped[UUID | None] = mapped_column(ForeignKey("item.id", ondelete="SET NULL"))
    state: Mapped[UploadState] = mapped_column(_STATE, server_default=UploadState.OPEN)
    reason: Mapped[str] = mapped_column(server_default="")
    """Why it failed, in words."""
    media_sha256: Mapped[str | None]
    """Once it is done; no reference, so that it keeps no media from being swept."""
    writer: Mapped[UUID | None]
    """The request that adds to it now: what others kept does not count."""
    writer_until: Mapped[datetime | None]
    """Without a sign of life until then it has died."""
    created_at: Mapped[Created]
    expires_at: Mapped[datetime]


class UploadPart(Base):
    """Some of its bytes, as an object of the store."""

    __tablename__ = "upload_part"

    upload_id: Mapped[UUID] = mapped_column(ForeignKey("upload.id", ondelete="CASCADE"), primary_key=True)
    first_byte: Mapped[Big] = mapped_column(primary_key=True)
    size: Mapped[int]
    object_name: Mapped[str]
