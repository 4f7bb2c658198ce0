"""Live sessions, their attempts and their segments."""

from datetime import datetime

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_LANE = "live"


def upgrade() -> None:
    """Make the tables, and a lane of their own; only what has a hash has bytes."""
    op.bulk_insert(sa.table("lane", sa.column("name", sa.Text())), [{"name": _LANE}])
    op.create_check_constraint("media_key_check", "media", "length(sha256) = 64 OR size = 0")
    op.create_table(
        "live_session",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid()),
        sa.Column("title", sa.Text(), server_default="", nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("segment_s", sa.Double[float](), nullable=False),
        sa.Column("task_id", sa.Uuid(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("heard_at", sa.DateTime(timezone=True)),
        sa.Column("got_on", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("stopped_at", sa.DateTime(timezone=True)),
        _created(),
        sa.PrimaryKeyConstraint("id", name="live_session_pkey"),
        sa.UniqueConstraint("task_id", name="live_session_task_id_key"),
        sa.UniqueConstraint("run_id", name="live_session_run_id_key"),
        _reference("live_session", "owner_id", "owner.id"),
        _reference("live_session", "project_id", "project.id", ondelete="SET NULL"),
        _reference("live_session", "task_id", "task.id"),
        _reference("live_session", "run_id", "run.id"),
    )
    op.create_index("live_session_owner_id_id_idx", "live_session", ["owner_id", "id"])
    op.create_index("live_session_project_id_idx", "live_session", ["project_id"])
    op.create_table(
        "live_attempt",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("attempt", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("first_sample", sa.BigInteger(), nullable=False),
        sa.Column("planned", sa.ARRAY(sa.Uuid()), nullable=False),
        _created(),
        sa.PrimaryKeyConstraint("run_id", "attempt", name="live_attempt_pkey"),
        _reference("live_attempt", "run_id", "run.id"),
    )
    op.create_table(
        "live_segment",
        sa.Column("result_id", sa.Uuid(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("track_id", sa.Uuid(), nullable=False),
        sa.Column("first_sample", sa.BigInteger(), nullable=False),
        sa.Column("samples", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("result_id", name="live_segment_pkey"),
        sa.UniqueConstraint("track_id", "first_sample", name="live_segment_track_id_first_sample_key"),
        _reference("live_segment", "result_id", "result.id"),
        _reference("live_segment", "session_id", "live_session.id"),
        _reference("live_segment", "track_id", "result.id"),
    )
    op.create_index("live_segment_session_id_result_id_idx", "live_segment", ["session_id", "result_id"])


def downgrade() -> None:
    """Remove them; of sessions that were, the results stay."""
    for table in ("live_segment", "live_attempt", "live_session"):
        op.drop_table(table)
    op.drop_constraint("media_key_check", "media")
    op.execute(f"UPDATE run SET lane = 'interactive' WHERE lane = '{_LANE}'")
    op.execute(f"UPDATE task SET lane = 'interactive' WHERE lane = '{_LANE}'")
    op.execute(f"DELETE FROM share WHERE lane = '{_LANE}'")
    op.execute(f"DELETE FROM lane WHERE name = '{_LANE}'")


def _created() -> sa.Column[datetime]:
    return sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False)


def _reference(table: str, column: str, to: str, ondelete: str | None = None) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [to], name=f"{table}_{column}_fkey", ondelete=ondelete)
