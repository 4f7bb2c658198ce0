"""The trace of the request that asked for a run."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add it."""
    op.add_column("run", sa.Column("traceparent", sa.Text()))


def downgrade() -> None:
    """Remove it."""
    op.drop_column("run", "traceparent")
