"""Uploads that can be resumed, and imports."""

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Make what is new."""


def downgrade() -> None:
    """Remove it again."""
