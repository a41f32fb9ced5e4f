"""The seven tables of the architecture and their companions."""

from alembic import op

from stillwave.db.migrate import run_file

revision = "0001_tables"
down_revision = None


def upgrade() -> None:
    """The tables exist."""
    run_file(op, "0001_tables")
