"""Annotations, events, the audit log, quotas."""

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Make what is new."""


def downgrade() -> None:
    """Remove it again."""
