"""Selections, presets, experiences; tasks about many items; what items are found by."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR

revision = "0005"
down_revision = "0004"

_NONE = sa.text("'{}'")
_SHOWN = ("title", "artist", "album")


def upgrade() -> None:
    """Make what is new."""
    _items()
    _selections()
    _presets()
    _experiences()
    _tasks()


def downgrade() -> None:
    """Remove it again."""
    op.drop_table("extension_media")
    op.drop_table("extension")
    for column in ("selection_id", "experience_id", "filter", "items", "skipped", "ahead"):
        op.drop_column("task", column)
    for table in ("experience_step", "experience", "preset_revision", "preset"):
        op.drop_table(table)
    for table in ("selection_part", "selection_item", "selection"):
        op.drop_table(table)
    op.execute("DROP TRIGGER media_shown ON media")
    op.execute("DROP TRIGGER item_shown ON item")
    op.execute("DROP FUNCTION media_shown()")
    op.execute("DROP FUNCTION item_shown()")
    op.drop_index("item_owner_id_updated_at_id_idx")
    op.drop_index("item_owner_id_id_idx")
    op.create_index("item_owner_id_idx", "item", ["owner_id"])
    for column in ("tags", "search", *(f"shown_{name}" for name in _SHOWN)):
        op.drop_column("item", column)
    op.drop_index("item_details_idx")


def _items() -> None:
    """Tags, and what items are ordered and found by, which depends on the media's tags too."""
    op.add_column("item", sa.Column("tags", sa.ARRAY(sa.Text()), server_default=_NONE, nullable=False))
    for name in _SHOWN:
        op.add_column("item", _text(f"shown_{name}"))
    op.add_column("item", sa.Column("search", TSVECTOR(), server_default="", nullable=False))
    op.execute(_ITEM_SHOWN)
    op.execute(
        "CREATE TRIGGER item_shown BEFORE INSERT OR UPDATE OF title, artist, album, description, tags, media_sha256"
        " ON item FOR EACH ROW EXECUTE FUNCTION item_shown()"
    )
    op.execute(_MEDIA_SHOWN)
    op.execute(
        "CREATE TRIGGER media_shown AFTER UPDATE OF tags ON media FOR EACH ROW"
        " WHEN (OLD.tags IS DISTINCT FROM NEW.tags) EXECUTE FUNCTION media_shown()"
    )
    op.execute("UPDATE item SET title = title")
    op.drop_index("item_owner_id_idx")
    op.create_index("item_owner_id_id_idx", "item", ["owner_id", "id"])
    op.create_index("item_owner_id_updated_at_id_idx", "item", ["owner_id", "updated_at", "id"])
    for name in _SHOWN:
        order = sa.text(f"lower(left(shown_{name}, 200))")
        op.create_index(f"item_{name}_idx", "item", ["owner_id", order, "id"])
    op.create_index("item_search_idx", "item", ["search"], postgresql_using="gin")
    op.create_index("item_tags_idx", "item", ["tags"], postgresql_using="gin")
    paths = {"details": "jsonb_path_ops"}
    op.create_index("item_details_idx", "item", ["details"], postgresql_using="gin", postgresql_ops=paths)


_ITEM_SHOWN = """
CREATE FUNCTION item_shown() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    said jsonb := coalesce((SELECT media.tags FROM media WHERE sha256 = NEW.media_sha256), '{}');
BEGIN
    NEW.shown_title := coalesce(nullif(NEW.title, ''), said ->> 'title', '');
    NEW.shown_artist := coalesce(nullif(NEW.artist, ''), said ->> 'artist', '');
    NEW.shown_album := coalesce(nullif(NEW.album, ''), said ->> 'album', '');
    NEW.search := to_tsvector('simple', concat_ws(' ', NEW.shown_title, NEW.shown_artist, NEW.shown_album,
        NEW.description, array_to_string(NEW.tags, ' ')));
    RETURN NEW;
END $$
"""
_MEDIA_SHOWN = """
CREATE FUNCTION media_shown() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE item SET media_sha256 = media_sha256 WHERE media_sha256 = NEW.sha256;
    RETURN NULL;
END $$
"""


def _selections() -> None:
    _owned("selection", sa.Column("filter", JSONB(none_as_null=True)))
    op.create_table(
        "selection_item",
        *_ids("selection_id", "item_id"),
        sa.PrimaryKeyConstraint("selection_id", "item_id", name="selection_item_pkey"),
        _reference("selection_item", "selection_id", "selection.id", ondelete="CASCADE"),
        _reference("selection_item", "item_id", "item.id", ondelete="CASCADE"),
    )
    op.create_index("selection_item_item_id_idx", "selection_item", ["item_id"])
    op.create_table(
        "selection_part",
        *_ids("selection_id", "part_id"),
        sa.PrimaryKeyConstraint("selection_id", "part_id", name="selection_part_pkey"),
        _reference("selection_part", "selection_id", "selection.id", ondelete="CASCADE"),
        _reference("selection_part", "part_id", "selection.id", ondelete="CASCADE"),
    )
    op.create_index("selection_part_part_id_idx", "selection_part", ["part_id"])


def _presets() -> None:
    _owned("preset", sa.Column("revision", sa.Integer(), server_default="1", nullable=False))
    op.create_table(
        "preset_revision",
        *_ids("preset_id"),
        sa.Column("revision", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("processor", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("parameters", JSONB(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        _time("created_at"),
        sa.PrimaryKeyConstraint("preset_id", "revision", name="preset_revision_pkey"),
        _reference("preset_revision", "preset_id", "preset.id", ondelete="CASCADE"),
    )
    op.create_index("preset_revision_processor_idx", "preset_revision", ["processor"])


def _experiences() -> None:
    _owned("experience")
    op.create_table(
        "experience_step",
        *_ids("experience_id"),
        sa.Column("place", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("preset_id", sa.Uuid()),
        sa.Column("revision", sa.Integer()),
        sa.Column("part_id", sa.Uuid()),
        sa.CheckConstraint("(preset_id IS NULL) <> (part_id IS NULL)", name="experience_step_what_check"),
        sa.PrimaryKeyConstraint("experience_id", "place", name="experience_step_pkey"),
        _reference("experience_step", "experience_id", "experience.id", ondelete="CASCADE"),
        _reference("experience_step", "preset_id", "preset.id"),
        _reference("experience_step", "part_id", "experience.id"),
    )
    op.create_index("experience_step_preset_id_idx", "experience_step", ["preset_id"])
    op.create_index("experience_step_part_id_idx", "experience_step", ["part_id"])


def _tasks() -> None:
    for to in ("selection", "experience"):
        op.add_column("task", sa.Column(f"{to}_id", sa.Uuid()))
        op.create_foreign_key(f"task_{to}_id_fkey", "task", to, [f"{to}_id"], ["id"], ondelete="SET NULL")
    op.add_column("task", sa.Column("filter", JSONB(none_as_null=True)))
    for name, default in (("items", "1"), ("skipped", "0"), ("ahead", "0")):
        op.add_column("task", sa.Column(name, sa.Integer(), server_default=default, nullable=False))
    op.create_table(
        "extension",
        *_ids("task_id"),
        sa.Column("asked", JSONB(), nullable=False),
        _time("at"),
        sa.PrimaryKeyConstraint("task_id", name="extension_pkey"),
        _reference("extension", "task_id", "task.id", ondelete="CASCADE"),
    )
    op.create_index("extension_at_idx", "extension", ["at"])
    op.create_table(
        "extension_media",
        *_ids("task_id"),
        sa.Column("media_sha256", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("task_id", "media_sha256", name="extension_media_pkey"),
        _reference("extension_media", "task_id", "extension.task_id", ondelete="CASCADE"),
        _reference("extension_media", "media_sha256", "media.sha256"),
    )


def _owned(table: str, *columns: sa.Column[Any]) -> None:
    """A table of things with a title that somebody owns."""
    op.create_table(
        table,
        *_ids("id", "owner_id"),
        sa.Column("project_id", sa.Uuid()),
        _text("title"),
        _text("description"),
        *columns,
        _time("created_at"),
        _time("updated_at"),
        sa.PrimaryKeyConstraint("id", name=f"{table}_pkey"),
        _reference(table, "owner_id", "owner.id"),
        _reference(table, "project_id", "project.id", ondelete="SET NULL"),
    )
    op.create_index(f"{table}_owner_id_id_idx", table, ["owner_id", "id"])
    op.create_index(f"{table}_project_id_idx", table, ["project_id"])


def _ids(*names: str) -> Sequence[sa.Column[Any]]:
    return [sa.Column(name, sa.Uuid(), nullable=False) for name in names]


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), server_default="", nullable=False)


def _time(name: str) -> sa.Column[datetime]:
    return sa.Column(name, sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False)


def _reference(table: str, column: str, to: str, **options: Any) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [to], name=f"{table}_{column}_fkey", **options)
