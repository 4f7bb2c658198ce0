"""Annotations, events, the audit log, quotas."""

from datetime import datetime

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0007"
down_revision = "0006"

_NONE = sa.text("'{}'")


def upgrade() -> None:
    """Make what is new."""
    _annotations()
    _events()
    _audit()
    _holdings()
    op.add_column("account", sa.Column("display_name", sa.Text(), server_default="", nullable=False))


def downgrade() -> None:
    """Remove it again."""
    op.drop_column("account", "display_name")
    op.drop_index("task_open_idx", "task")
    for event in _COUNTED:
        op.execute(f"DROP TRIGGER item_counted_{event} ON item")
    op.execute("DROP FUNCTION item_counted")
    for table in ("holding", "audit", "event", "annotation_change", "annotation", "annotation_track"):
        op.drop_table(table)
    op.execute("DROP FUNCTION audit_is_kept")


def _annotations() -> None:
    op.create_table(
        "annotation_track",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("item_id", sa.Uuid(), nullable=False),
        sa.Column("author_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        *(_text(name) for name in ("title", "description", "language", "colour")),
        sa.Column("vocabulary", sa.ARRAY(sa.Text()), server_default=_NONE, nullable=False),
        sa.Column("overlapping", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("revision", sa.BigInteger(), server_default="0", nullable=False),
        _time("created_at"),
        _time("updated_at"),
        sa.CheckConstraint("kind IN ('points', 'regions')", name="annotation_track_kind_check"),
        sa.PrimaryKeyConstraint("id", name="annotation_track_pkey"),
        _reference("annotation_track", "item_id", "item.id", ondelete="CASCADE"),
        _reference("annotation_track", "author_id", "owner.id"),
    )
    op.create_index("annotation_track_item_id_id_idx", "annotation_track", ["item_id", "id"])
    op.create_table(
        "annotation",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("track_id", sa.Uuid(), nullable=False),
        sa.Column("start_s", sa.Double[float](), nullable=False),
        sa.Column("stop_s", sa.Double[float]()),
        _text("label"),
        _text("text"),
        sa.Column("value", sa.Double[float]()),
        sa.Column("author_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        _time("created_at"),
        _time("updated_at"),
        sa.CheckConstraint("start_s >= 0 AND stop_s >= start_s", name="annotation_times_check"),
        sa.PrimaryKeyConstraint("id", name="annotation_pkey"),
        _reference("annotation", "track_id", "annotation_track.id", ondelete="CASCADE"),
        _reference("annotation", "author_id", "owner.id"),
    )
    op.create_index("annotation_track_id_start_s_id_idx", "annotation", ["track_id", "start_s", "id"])
    op.create_table(
        "annotation_change",
        sa.Column("track_id", sa.Uuid(), nullable=False),
        sa.Column("revision", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("annotation_id", sa.Uuid()),
        sa.Column("fields", JSONB(), nullable=False),
        sa.Column("author_id", sa.Uuid(), nullable=False),
        _time("created_at"),
        sa.CheckConstraint("kind IN ('added', 'changed', 'removed', 'track')", name="annotation_change_kind_check"),
        sa.PrimaryKeyConstraint("track_id", "revision", name="annotation_change_pkey"),
        _reference("annotation_change", "track_id", "annotation_track.id", ondelete="CASCADE"),
        _reference("annotation_change", "author_id", "owner.id"),
    )
    op.create_index("annotation_change_created_at_idx", "annotation_change", ["created_at"])
    op.create_index("annotation_change_annotation_id_idx", "annotation_change", ["annotation_id"])


def _events() -> None:
    op.create_table(
        "event",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid()),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("actor_id", sa.Uuid()),
        sa.Column("details", JSONB(), server_default=_NONE, nullable=False),
        _time("created_at"),
        sa.PrimaryKeyConstraint("id", name="event_pkey"),
        _reference("event", "owner_id", "owner.id"),
    )
    op.create_index("event_owner_id_id_idx", "event", ["owner_id", "id"])
    op.create_index("event_project_id_id_idx", "event", ["project_id", "id"])
    op.create_index("event_created_at_idx", "event", ["created_at"])


def _audit() -> None:
    """A table that is only added to: not even its owner changes a row, or removes one within a year."""
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        _time("created_at"),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("is_allowed", sa.Boolean(), nullable=False),
        sa.Column("actor_id", sa.Uuid()),
        *(_text(name) for name in ("subject", "address", "trace_id")),
        sa.Column("details", JSONB(), server_default=_NONE, nullable=False),
        sa.PrimaryKeyConstraint("id", name="audit_pkey"),
    )
    op.create_index("audit_actor_id_id_idx", "audit", ["actor_id", "id"])
    op.create_index("audit_action_id_idx", "audit", ["action", "id"])
    op.create_index("audit_created_at_idx", "audit", ["created_at"])
    op.execute(
        "CREATE FUNCTION audit_is_kept() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF TG_OP = 'DELETE' AND OLD.created_at < now() - interval '365 days' THEN RETURN OLD; END IF;"
        " RAISE EXCEPTION 'the audit log is only added to'; END $$"
    )
    op.execute(
        "CREATE TRIGGER audit_is_kept BEFORE UPDATE OR DELETE ON audit FOR EACH ROW EXECUTE FUNCTION audit_is_kept()"
    )
    op.execute(
        "CREATE TRIGGER audit_is_whole BEFORE TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION audit_is_kept()"
    )


def _holdings() -> None:
    """Items and bytes of each owner, counted by what is done to items."""
    limits = ("max_items", "max_bytes", "max_open_tasks", "max_queued_s")
    op.create_table(
        "holding",
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), server_default="0", nullable=False) for name in ("items", "bytes")),
        *(sa.Column(name, sa.BigInteger()) for name in limits),
        sa.PrimaryKeyConstraint("owner_id", name="holding_pkey"),
        _reference("holding", "owner_id", "owner.id"),
    )
    op.execute(
        "INSERT INTO holding (owner_id, items, bytes) SELECT owner_id, count(*), coalesce(sum(size), 0)"
        " FROM item LEFT JOIN media ON sha256 = media_sha256 GROUP BY owner_id"
    )
    op.execute(_COUNT)
    for event, tables in _COUNTED.items():
        op.execute(
            f"CREATE TRIGGER item_counted_{event} AFTER {event} ON item REFERENCING {tables}"
            " FOR EACH STATEMENT EXECUTE FUNCTION item_counted()"
        )
    op.create_index("task_open_idx", "task", ["owner_id"], postgresql_where=sa.text("state = 'running'"))


_COUNTED = {
    "insert": "NEW TABLE AS added",
    "delete": "OLD TABLE AS removed",
    "update": "NEW TABLE AS added OLD TABLE AS removed",
}
_ADDED = "SELECT owner_id, media_sha256, 1 AS n FROM added"
_REMOVED = "SELECT owner_id, media_sha256, -1 AS n FROM removed"


def _count(changed: str) -> str:
    """Owners in one order, so that no two transactions wait for each other."""
    return (
        "INSERT INTO holding AS had (owner_id, items, bytes)"
        " SELECT owner_id, sum(n), coalesce(sum(n * size), 0)"
        f" FROM ({changed}) AS changed LEFT JOIN media ON sha256 = media_sha256 GROUP BY owner_id"
        " HAVING sum(n) <> 0 OR coalesce(sum(n * size), 0) <> 0 ORDER BY owner_id"
        " ON CONFLICT (owner_id) DO UPDATE SET items = had.items + excluded.items, bytes = had.bytes + excluded.bytes;"
    )


_COUNT = (
    "CREATE FUNCTION item_counted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
    f" IF TG_OP = 'INSERT' THEN {_count(_ADDED)}"
    f" ELSIF TG_OP = 'DELETE' THEN {_count(_REMOVED)}"
    f" ELSE {_count(f'{_ADDED} UNION ALL {_REMOVED}')} END IF; RETURN NULL; END $$"
)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), server_default="", nullable=False)


def _time(name: str) -> sa.Column[datetime]:
    return sa.Column(name, sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False)


def _reference(table: str, column: str, to: str, ondelete: str | None = None) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [to], name=f"{table}_{column}_fkey", ondelete=ondelete)
