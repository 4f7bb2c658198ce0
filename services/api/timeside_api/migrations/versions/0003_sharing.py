"""Projects, their members, and shares."""

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make what is new."""


def downgrade() -> None:
    """Remove it again."""
