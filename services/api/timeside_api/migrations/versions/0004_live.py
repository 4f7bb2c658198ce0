"""Live sources and their segments."""

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make what is new."""


def downgrade() -> None:
    """Remove it again."""
