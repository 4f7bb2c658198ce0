"""Projects, their members, and shares."""

from datetime import datetime

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_OWNED = ("item", "task")
_LEVELS = "level IN ('viewer', 'editor', 'owner')"


def upgrade() -> None:
    """Make the tables, and let things be in a project."""
    op.create_table(
        "project",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        _time("created_at"),
        _time("updated_at"),
        sa.PrimaryKeyConstraint("id", name="project_pkey"),
        sa.ForeignKeyConstraint(["owner_id"], ["owner.id"], name="project_owner_id_fkey"),
    )
    op.create_index("project_owner_id_idx", "project", ["owner_id"])
    op.create_table(
        "membership",
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("level", sa.String(16), nullable=False),
        _time("created_at"),
        sa.CheckConstraint(_LEVELS, name="membership_level_check"),
        sa.PrimaryKeyConstraint("project_id", "account_id", name="membership_pkey"),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name="membership_project_id_fkey", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="membership_account_id_fkey"),
    )
    op.create_index("membership_account_id_idx", "membership", ["account_id"])
    op.create_table(
        "access_grant",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("thing_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("level", sa.String(16), nullable=False),
        sa.Column("by_id", sa.Uuid(), nullable=False),
        _time("created_at"),
        sa.CheckConstraint(_LEVELS, name="access_grant_level_check"),
        sa.PrimaryKeyConstraint("kind", "thing_id", "account_id", name="access_grant_pkey"),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="access_grant_account_id_fkey"),
        sa.ForeignKeyConstraint(["by_id"], ["account.id"], name="access_grant_by_id_fkey"),
    )
    op.create_index("access_grant_account_id_kind_idx", "access_grant", ["account_id", "kind"])
    for table in _OWNED:
        op.add_column(table, sa.Column("project_id", sa.Uuid()))
        op.create_foreign_key(f"{table}_project_id_fkey", table, "project", ["project_id"], ["id"], ondelete="SET NULL")
        op.create_index(f"{table}_project_id_idx", table, ["project_id"])


def downgrade() -> None:
    """Remove them."""
    for table in _OWNED:
        op.drop_column(table, "project_id")
    for table in ("access_grant", "membership", "project"):
        op.drop_table(table)


def _time(name: str) -> sa.Column[datetime]:
    return sa.Column(name, sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False)
