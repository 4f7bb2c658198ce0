"""Selections, presets, experiences."""

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make what is new."""


def downgrade() -> None:
    """Remove it again."""
