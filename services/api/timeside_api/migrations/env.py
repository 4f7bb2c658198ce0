"""Alembic's entry: runs migrations over the connection it was handed, all in one transaction."""

from alembic import context

from timeside_api.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
