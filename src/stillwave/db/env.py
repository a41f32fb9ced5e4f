"""Alembic's entry: runs revisions on the connection that `migrate.upgrade` hands over."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    transaction_per_migration=False,
    transactional_ddl=False,  # migrate.upgrade owns the one transaction
)
context.run_migrations()
