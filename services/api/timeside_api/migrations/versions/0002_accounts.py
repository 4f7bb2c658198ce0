"""Accounts, sign-ins, API keys, tickets; what is said of items."""

from datetime import datetime

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"

_ITEM_TEXTS = ("artist", "album", "description")


def upgrade() -> None:
    """Make the tables, widen that of items."""
    for name in _ITEM_TEXTS:
        op.add_column("item", sa.Column(name, sa.Text(), server_default="", nullable=False))
    op.add_column("item", sa.Column("details", JSONB(), server_default=sa.text("'{}'"), nullable=False))
    op.add_column("item", _time("updated_at"))

    op.create_table(
        "account",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("is_password_temporary", sa.Boolean(), nullable=False),
        _time("created_at"),
        sa.Column("disabled_at", sa.DateTime(timezone=True)),
        sa.CheckConstraint("role IN ('admin', 'user')", name="account_role_check"),
        sa.PrimaryKeyConstraint("id", name="account_pkey"),
        sa.ForeignKeyConstraint(["id"], ["owner.id"], name="account_id_fkey"),
        sa.UniqueConstraint("name", name="account_name_key"),
    )
    op.create_table(
        "sign_in",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("refresh_id", sa.Uuid(), nullable=False),
        _time("created_at"),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="sign_in_pkey"),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="sign_in_account_id_fkey"),
    )
    op.create_index("sign_in_account_id_idx", "sign_in", ["account_id"])
    op.create_table(
        "api_key",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        _time("created_at"),
        sa.Column("expires_at", sa.DateTime(timezone=True)),
        sa.Column("revoked_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="api_key_pkey"),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="api_key_account_id_fkey"),
        sa.UniqueConstraint("sha256", name="api_key_sha256_key"),
    )
    op.create_index("api_key_account_id_idx", "api_key", ["account_id"])
    op.create_table(
        "ticket",
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("sign_in_id", sa.Uuid()),
        sa.Column("api_key_id", sa.Uuid()),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("(sign_in_id IS NULL) <> (api_key_id IS NULL)", name="ticket_credential_check"),
        sa.PrimaryKeyConstraint("sha256", name="ticket_pkey"),
        sa.ForeignKeyConstraint(["sign_in_id"], ["sign_in.id"], name="ticket_sign_in_id_fkey"),
        sa.ForeignKeyConstraint(["api_key_id"], ["api_key.id"], name="ticket_api_key_id_fkey"),
    )
    op.create_index("ticket_expires_at_idx", "ticket", ["expires_at"])


def downgrade() -> None:
    """Remove them."""
    for table in ("ticket", "api_key", "sign_in", "account"):
        op.drop_table(table)
    for name in ("updated_at", "details", *_ITEM_TEXTS):
        op.drop_column("item", name)


def _time(name: str) -> sa.Column[datetime]:
    return sa.Column(name, sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False)
