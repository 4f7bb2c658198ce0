"""Owners, media, items; tasks, runs, results; the outbox and the recorder's offsets."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None

_NONE = sa.text("'{}'")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "owner",
        sa.Column("id", sa.Uuid(), nullable=False),
        _number("weight", server_default="1", nullable=False),
        _time("created_at"),
        sa.CheckConstraint("weight > 0", name="owner_weight_check"),
        sa.PrimaryKeyConstraint("id", name="owner_pkey"),
    )
    op.create_table(
        "media",
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("samplerate", sa.BigInteger()),
        sa.Column("channels", sa.Integer()),
        sa.Column("samples", sa.BigInteger()),
        sa.Column("container", sa.Text(), server_default="", nullable=False),
        sa.Column("codec", sa.Text(), server_default="", nullable=False),
        sa.Column("bit_depth", sa.SmallInteger()),
        sa.Column("mime_type", sa.Text(), server_default="", nullable=False),
        sa.Column("tags", JSONB(), server_default=_NONE, nullable=False),
        sa.Column("decoded", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        _time("created_at"),
        sa.PrimaryKeyConstraint("sha256", name="media_pkey"),
    )
    op.create_table(
        "item",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("media_sha256", sa.Text()),
        sa.Column("title", sa.Text(), server_default="", nullable=False),
        _time("created_at"),
        sa.PrimaryKeyConstraint("id", name="item_pkey"),
        _reference("item", "owner_id", "owner.id"),
        _reference("item", "media_sha256", "media.sha256"),
    )
    op.create_index("item_owner_id_idx", "item", ["owner_id"])
    op.create_index("item_media_sha256_idx", "item", ["media_sha256"])

    lane = op.create_table(
        "lane",
        sa.Column("name", sa.Text(), nullable=False),
        _number("clock_s", server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("name", name="lane_pkey"),
    )
    op.bulk_insert(lane, [{"name": "interactive"}, {"name": "bulk"}])
    op.create_table(
        "share",
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("lane", sa.Text(), nullable=False),
        _number("served_s", server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("owner_id", "lane", name="share_pkey"),
        _reference("share", "owner_id", "owner.id"),
        _reference("share", "lane", "lane.name"),
    )

    op.create_table(
        "task",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("item_id", sa.Uuid()),
        sa.Column("lane", sa.Text(), nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        _state("running", "done", "partial", "failed", "cancelled"),
        sa.Column("results", sa.Integer(), nullable=False),
        sa.Column("done", sa.Integer(), server_default="0", nullable=False),
        sa.Column("failed", sa.Integer(), server_default="0", nullable=False),
        sa.Column("cancelled", sa.Integer(), server_default="0", nullable=False),
        sa.Column("idempotency_key", sa.Text()),
        sa.Column("request_sha256", sa.Text(), nullable=False),
        _time("created_at"),
        sa.Column("settled_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="task_pkey"),
        sa.UniqueConstraint("owner_id", "idempotency_key", name="task_owner_id_idempotency_key_key"),
        _reference("task", "owner_id", "owner.id"),
        _reference("task", "item_id", "item.id", ondelete="SET NULL"),
        _reference("task", "lane", "lane.name"),
    )
    op.create_index("task_owner_id_id_idx", "task", ["owner_id", "id"])

    op.create_table(
        "run",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("media_sha256", sa.Text(), nullable=False),
        sa.Column("first_sample", sa.BigInteger(), nullable=False),
        sa.Column("samples", sa.BigInteger()),
        sa.Column("lane", sa.Text(), nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        _number("cost_s", nullable=False),
        _state("queued", "claimed", "dispatched", "running", "done", "failed", "cancelled"),
        sa.Column("attempt", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("strikes", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("partition", sa.SmallInteger()),
        sa.Column("planned", sa.ARRAY(sa.Uuid()), server_default=_NONE, nullable=False),
        sa.Column("causes", sa.ARRAY(sa.Text()), server_default=_NONE, nullable=False),
        sa.Column("progress", JSONB(), server_default=_NONE, nullable=False),
        _time("not_before"),
        sa.Column("command_partition", sa.SmallInteger()),
        sa.Column("command_offset", sa.BigInteger()),
        sa.Column("lease_until", sa.DateTime(timezone=True)),
        _time("created_at"),
        sa.Column("dispatched_at", sa.DateTime(timezone=True)),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="run_pkey"),
        _reference("run", "owner_id", "owner.id"),
        _reference("run", "media_sha256", "media.sha256"),
        _reference("run", "lane", "lane.name"),
    )
    queue = ["lane", "owner_id", sa.text("priority DESC"), "id"]
    op.create_index("run_queue_idx", "run", queue, postgresql_where=sa.text("state = 'queued'"))
    is_held = sa.text("state IN ('claimed', 'dispatched', 'running')")
    op.create_index("run_held_idx", "run", ["lane", "partition"], postgresql_where=is_held)
    op.create_index("run_media_sha256_idx", "run", ["media_sha256"])

    op.create_table(
        "result",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("media_sha256", sa.Text(), nullable=False),
        sa.Column("processor", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("parameters", JSONB(), nullable=False),
        sa.Column("effects", JSONB(), nullable=False),
        sa.Column("pool", sa.Text(), nullable=False),
        sa.Column("outputs", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        _state("pending", "done", "failed", "cancelled"),
        sa.Column("attempt", sa.BigInteger()),
        sa.Column("object_name", sa.Text()),
        sa.Column("object_sha256", sa.Text()),
        sa.Column("mime_type", sa.Text(), server_default="", nullable=False),
        sa.Column("size", sa.BigInteger()),
        sa.Column("samples", sa.BigInteger()),
        _number("run_time_s"),
        sa.Column("code", sa.Text(), server_default="", nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        _time("created_at"),
        sa.Column("settled_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="result_pkey"),
        _reference("result", "media_sha256", "media.sha256"),
        _reference("result", "run_id", "run.id", deferrable=True, initially="DEFERRED"),
    )
    key = ["media_sha256", "processor", "version", "digest"]
    op.create_index(
        "result_key_idx", "result", key, unique=True, postgresql_where=sa.text("state IN ('pending', 'done')")
    )
    op.create_index("result_pending_idx", "result", ["run_id"], postgresql_where=sa.text("state = 'pending'"))
    op.create_index("result_run_idx", "result", ["run_id"])

    op.create_table(
        "task_result",
        sa.Column("task_id", sa.Uuid(), nullable=False),
        sa.Column("result_id", sa.Uuid(), nullable=False),
        sa.Column("place", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("task_id", "result_id", name="task_result_pkey"),
        _reference("task_result", "task_id", "task.id", ondelete="CASCADE"),
        _reference("task_result", "result_id", "result.id"),
    )
    op.create_index("task_result_result_id_idx", "task_result", ["result_id"])

    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        _time("created_at"),
        sa.PrimaryKeyConstraint("id", name="outbox_pkey"),
    )
    op.create_table(
        "recorder_offset",
        sa.Column("bus", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("next_offset", sa.BigInteger(), nullable=False),
        _time("updated_at"),
        sa.PrimaryKeyConstraint("bus", "topic", "partition", name="recorder_offset_pkey"),
    )


def downgrade() -> None:
    """Remove the tables."""
    for table in ("recorder_offset", "outbox", "task_result", "result", "run", "task", "share", "lane"):
        op.drop_table(table)
    for table in ("item", "media", "owner"):
        op.drop_table(table)


def _time(name: str) -> sa.Column[datetime]:
    return sa.Column(name, sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False)


def _number(name: str, **options: Any) -> sa.Column[float]:
    return sa.Column(name, sa.Double[float](), **options)


def _state(*states: str) -> sa.Column[str]:
    kind = sa.Enum(*states, name="state", native_enum=False, create_constraint=True, length=16)
    return sa.Column("state", kind, server_default=states[0], nullable=False)


def _reference(table: str, column: str, to: str, **options: Any) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [to], name=f"{table}_{column}_fkey", **options)
