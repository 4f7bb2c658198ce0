"""Pictures of results in the store, and runs that somebody waits for without a task."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Make the table, and let runs be drawings."""
    op.add_column("run", sa.Column("kind", sa.String(16), server_default="decode", nullable=False))
    op.create_check_constraint("run_kind_check", "run", "kind IN ('decode', 'draw')")
    op.add_column("run", sa.Column("on_demand", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.create_table(
        "view",
        sa.Column("result_id", sa.Uuid(), nullable=False),
        sa.Column("shown", sa.ARRAY(sa.Uuid()), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("start_s", sa.Double[float]()),
        sa.Column("stop_s", sa.Double[float]()),
        sa.Column("format", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("result_id", name="view_pkey"),
        sa.ForeignKeyConstraint(["result_id"], ["result.id"], name="view_result_id_fkey", ondelete="CASCADE"),
    )


def downgrade() -> None:
    """Remove them."""
    op.drop_table("view")
    op.drop_column("run", "on_demand")
    op.drop_column("run", "kind")
