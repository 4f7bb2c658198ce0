"""What is asked again and again, and of what: selections of items, presets, experiences; and tasks yet to be extended.

Selections hold items and other selections, and may have a filter: all that it finds is theirs too. Experiences are
lists of presets and of other experiences. Neither holds itself, by whatever way round: links are made under one lock.
"""

from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from timeside_api.models import Base, Created, MediaRef, Owned


class Selection(Owned, Base):
    """Items that belong together."""

    __tablename__ = "selection"
    __table_args__ = (Index(None, "owner_id", "id"),)

    title: Mapped[str] = mapped_column(server_default="")
    description: Mapped[str] = mapped_column(server_default="")
    filter: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    """Finds items that belong to it besides those that were put in."""
    created_at: Mapped[Created]
    updated_at: Mapped[Created]


class SelectionItem(Base):
    """An item that was put into a selection."""

    __tablename__ = "selection_item"
    __table_args__ = (Index(None, "item_id"),)

    selection_id: Mapped[UUID] = mapped_column(ForeignKey("selection.id", ondelete="CASCADE"), primary_key=True)
    item_id: Mapped[UUID] = mapped_column(ForeignKey("item.id", ondelete="CASCADE"), primary_key=True)


class SelectionPart(Base):
    """A selection that was put into another."""

    __tablename__ = "selection_part"
    __table_args__ = (Index(None, "part_id"),)

    selection_id: Mapped[UUID] = mapped_column(ForeignKey("selection.id", ondelete="CASCADE"), primary_key=True)
    part_id: Mapped[UUID] = mapped_column(ForeignKey("selection.id", ondelete="CASCADE"), primary_key=True)


class Preset(Owned, Base):
    """A processor and its parameters, under a name."""

    __tablename__ = "preset"
    __table_args__ = (Index(None, "owner_id", "id"),)

    title: Mapped[str] = mapped_column(server_default="")
    description: Mapped[str] = mapped_column(server_default="")
    revision: Mapped[int] = mapped_column(server_default="1")
    """The latest."""
    created_at: Mapped[Created]
    updated_at: Mapped[Created]


class PresetRevision(Base):
    """What a preset is, or was: never changed."""

    __tablename__ = "preset_revision"
    __table_args__ = (Index(None, "processor"),)

    preset_id: Mapped[UUID] = mapped_column(ForeignKey("preset.id", ondelete="CASCADE"), primary_key=True)
    revision: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    processor: Mapped[str]
    version: Mapped[str]
    """Of the processor, when it was made."""
    parameters: Mapped[dict[str, Any]]
    """All of them, with their defaults."""
    digest: Mapped[str]
    """Of the processor and its parameters, as in keys of results."""
    created_at: Mapped[Created]


class Experience(Owned, Base):
    """What is asked of media together."""

    __tablename__ = "experience"
    __table_args__ = (Index(None, "owner_id", "id"),)

    title: Mapped[str] = mapped_column(server_default="")
    description: Mapped[str] = mapped_column(server_default="")
    created_at: Mapped[Created]
    updated_at: Mapped[Created]


class ExperienceStep(Base):
    """A preset, or another experience, at its place in an experience; what a step refers to cannot be removed."""

    __tablename__ = "experience_step"
    __table_args__ = (
        CheckConstraint("(preset_id IS NULL) <> (part_id IS NULL)", name="what"),
        Index(None, "preset_id"),
        Index(None, "part_id"),
    )

    experience_id: Mapped[UUID] = mapped_column(ForeignKey("experience.id", ondelete="CASCADE"), primary_key=True)
    place: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    preset_id: Mapped[UUID | None] = mapped_column(ForeignKey("preset.id"))
    revision: Mapped[int | None]
    """Of the preset; None is the latest."""
    part_id: Mapped[UUID | None] = mapped_column(ForeignKey("experience.id"))


class Extension(Base):
    """A task that has not asked of all its media yet, and what it asks of each."""

    __tablename__ = "extension"
    __table_args__ = (Index(None, "at"),)

    task_id: Mapped[UUID] = mapped_column(ForeignKey("task.id", ondelete="CASCADE"), primary_key=True)
    asked: Mapped[list[Any]]
    """As it was resolved when the task was made: processors with versions, parameters, digests."""
    at: Mapped[Created]
    """When it was extended last: the one that waits longest is next."""


class ExtensionMedia(Base):
    """A media that a task has not asked anything of yet."""

    __tablename__ = "extension_media"

    task_id: Mapped[UUID] = mapped_column(ForeignKey("extension.task_id", ondelete="CASCADE"), primary_key=True)
    media_sha256: Mapped[MediaRef] = mapped_column(primary_key=True)
