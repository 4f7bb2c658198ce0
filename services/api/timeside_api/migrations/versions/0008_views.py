"""Pictures and transcodes on demand."""

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Make what is new."""


def downgrade() -> None:
    """Remove it again."""
