"""Uploads that can be resumed, and imports."""

from datetime import datetime

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0006"
down_revision = "0005"

_FALSE = sa.text("false")


def upgrade() -> None:
    """Make what is new."""
    op.create_table(
        "upload",
        *_owned("upload"),
        sa.Column("length", sa.BigInteger(), nullable=False),
        sa.Column("received", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("header", sa.Text(), server_default="", nullable=False),
        _said(),
        sa.Column("is_for_item", sa.Boolean(), nullable=False),
        sa.Column("item_id", sa.Uuid()),
        _state("open"),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("media_sha256", sa.Text()),
        sa.Column("writer", sa.Uuid()),
        sa.Column("writer_until", sa.DateTime(timezone=True)),
        _now("created_at"),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        _check("upload", "state", "open", "done", "failed"),
        sa.CheckConstraint("received BETWEEN 0 AND length", name="upload_received_check"),
        sa.ForeignKeyConstraint(["item_id"], ["item.id"], name="upload_item_id_fkey", ondelete="SET NULL"),
    )
    op.create_index("upload_project_id_idx", "upload", ["project_id"])
    op.create_index("upload_owner_id_id_idx", "upload", ["owner_id", "id"])
    op.create_index("upload_expires_at_idx", "upload", ["expires_at"])
    op.create_table(
        "upload_part",
        sa.Column("upload_id", sa.Uuid(), nullable=False),
        sa.Column("first_byte", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("object_name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("upload_id", "first_byte", name="upload_part_pkey"),
        sa.ForeignKeyConstraint(["upload_id"], ["upload.id"], name="upload_part_upload_id_fkey", ondelete="CASCADE"),
    )
    op.create_table(
        "import",
        *_owned("import"),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("source", sa.Text(), server_default="", nullable=False),
        sa.Column("provider", sa.Text()),
        sa.Column("is_in_place", sa.Boolean(), server_default=_FALSE, nullable=False),
        _state("running"),
        _now("created_at"),
        sa.Column("settled_at", sa.DateTime(timezone=True)),
        _check("import", "kind", "url", "provider", "csv", "folder"),
        _check("import", "state", "running", "done", "partial", "failed", "cancelled"),
    )
    op.create_index("import_project_id_idx", "import", ["project_id"])
    op.create_index("import_owner_id_id_idx", "import", ["owner_id", "id"])
    op.create_index("import_settled_at_idx", "import", ["settled_at"])
    op.create_table(
        "import_row",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("import_id", sa.Uuid(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        _said(),
        _state("queued"),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("is_joined", sa.Boolean(), server_default=_FALSE, nullable=False),
        sa.Column("item_id", sa.Uuid()),
        sa.Column("attempt", sa.SmallInteger(), server_default="0", nullable=False),
        _now("not_before"),
        sa.Column("lease_until", sa.DateTime(timezone=True)),
        sa.Column("settled_at", sa.DateTime(timezone=True)),
        _check("import_row", "kind", "url", "download", "file", "folder"),
        _check("import_row", "state", "queued", "running", "done", "failed", "cancelled", "expanded"),
        sa.PrimaryKeyConstraint("id", name="import_row_pkey"),
        sa.ForeignKeyConstraint(["import_id"], ["import.id"], name="import_row_import_id_fkey", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["item_id"], ["item.id"], name="import_row_item_id_fkey", ondelete="SET NULL"),
        sa.UniqueConstraint("import_id", "place", name="import_row_import_id_place_key"),
    )
    op.create_index(
        "import_row_queue_idx",
        "import_row",
        ["place", "id"],
        postgresql_where=sa.text("state IN ('queued', 'running')"),
    )


def downgrade() -> None:
    """Remove it again."""
    for table in ("import_row", "import", "upload_part", "upload"):
        op.drop_table(table)


def _owned(table: str) -> tuple[sa.schema.SchemaItem, ...]:
    project = sa.ForeignKeyConstraint(["project_id"], ["project.id"], f"{table}_project_id_fkey", ondelete="SET NULL")
    return (
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid()),
        sa.PrimaryKeyConstraint("id", name=f"{table}_pkey"),
        sa.ForeignKeyConstraint(["owner_id"], ["owner.id"], name=f"{table}_owner_id_fkey"),
        project,
    )


def _said() -> sa.Column[object]:
    return sa.Column("said", JSONB(), server_default=sa.text("'{}'"), nullable=False)


def _state(first: str) -> sa.Column[str]:
    return sa.Column("state", sa.String(16), server_default=first, nullable=False)


def _check(table: str, column: str, *values: str) -> sa.CheckConstraint:
    allowed = ", ".join(f"'{value}'" for value in values)
    return sa.CheckConstraint(f"{column} IN ({allowed})", name=f"{table}_{column}_check")


def _now(name: str) -> sa.Column[datetime]:
    return sa.Column(name, sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False)
