"""Annotations: what people say of moments and stretches of an item, in tracks that several of them edit at once.

Each change of a track has a number, its revision; changes are numbered while the track is locked, so who has read all
up to one revision goes on from there and misses nothing. An annotation has the revision that changed it last.
"""

from datetime import timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, CheckConstraint, Enum, ForeignKey, Index, Text, delete, func, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from timeside_api.models import Base, Big, Created, Id, OwnerRef


class TrackKind(StrEnum):
    """What the annotations of a track are of."""

    POINTS = "points"
    """Moments."""
    REGIONS = "regions"
    """Stretches of time."""


class ChangeKind(StrEnum):
    """What became of an annotation, or of the track itself."""

    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"
    TRACK = "track"


def _values(kinds: type[StrEnum]) -> list[str]:
    return [kind.value for kind in kinds]


def _kind(kinds: type[StrEnum]) -> Enum:
    return Enum(kinds, native_enum=False, create_constraint=True, name="kind", length=16, values_callable=_values)


class AnnotationTrack(Base):
    """Annotations of an item that belong together; who may read or change the item may do so with them."""

    __tablename__ = "annotation_track"
    __table_args__ = (Index(None, "item_id", "id"),)

    id: Mapped[Id]
    item_id: Mapped[UUID] = mapped_column(ForeignKey("item.id", ondelete="CASCADE"))
    author_id: Mapped[OwnerRef]
    kind: Mapped[TrackKind] = mapped_column(_kind(TrackKind))
    title: Mapped[str] = mapped_column(server_default="")
    description: Mapped[str] = mapped_column(server_default="")
    language: Mapped[str] = mapped_column(server_default="")
    """Of labels and texts (BCP 47)."""
    colour: Mapped[str] = mapped_column(server_default="")
    vocabulary: Mapped[list[str]] = mapped_column(ARRAY(Text()), server_default=text("'{}'"))
    """Labels that there are; where it is empty any will do."""
    overlapping: Mapped[bool] = mapped_column(server_default=text("true"))
    """Whether regions are meant to overlap: for those who draw them."""
    revision: Mapped[Big] = mapped_column(server_default="0")
    created_at: Mapped[Created]
    updated_at: Mapped[Created]


class Annotation(Base):
    """Something said of a moment or of a stretch of time."""

    __tablename__ = "annotation"
    __table_args__ = (
        CheckConstraint("start_s >= 0 AND stop_s >= start_s", name="times"),
        Index(None, "track_id", "start_s", "id"),
    )

    id: Mapped[Id]
    track_id: Mapped[UUID] = mapped_column(ForeignKey("annotation_track.id", ondelete="CASCADE"))
    start_s: Mapped[float]
    stop_s: Mapped[float | None]
    """None for a moment."""
    label: Mapped[str] = mapped_column(server_default="")
    text: Mapped[str] = mapped_column(server_default="")
    value: Mapped[float | None]
    author_id: Mapped[OwnerRef]
    version: Mapped[Big]
    """Revision of the track that changed it last."""
    created_at: Mapped[Created]
    updated_at: Mapped[Created]


class AnnotationChange(Base):
    """One change of a track, as it was made: history, and what who was away has missed."""

    __tablename__ = "annotation_change"
    __table_args__ = (Index(None, "created_at"), Index(None, "annotation_id"))

    track_id: Mapped[UUID] = mapped_column(ForeignKey("annotation_track.id", ondelete="CASCADE"), primary_key=True)
    revision: Mapped[Big] = mapped_column(primary_key=True, autoincrement=False)
    kind: Mapped[ChangeKind] = mapped_column(_kind(ChangeKind))
    annotation_id: Mapped[UUID | None]
    """None where the track itself was changed."""
    fields: Mapped[dict[str, Any]]
    """What it says since then; of one that was removed, what it said."""
    author_id: Mapped[OwnerRef]
    created_at: Mapped[Created]


def topic(track_id: UUID) -> str:
    """Of which those who listen to a track hear."""
    return f"track:{track_id}"


async def forget(session: AsyncSession, days: int) -> None:
    """Remove changes that are older: who was away for longer begins anew."""
    age = func.now() - timedelta(days=days)
    await session.execute(delete(AnnotationChange).where(AnnotationChange.created_at < age))
