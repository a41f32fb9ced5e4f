"""Learning writes less: smaller work tables on SQLite, no compression of the state on PostgreSQL."""

from alembic import op

from stillwave.db.migrate import run_file

revision = "0009_leaner_learning"
down_revision = "0008_audit"


def upgrade() -> None:
    """A feedback writes fewer pages and compresses nothing; what was learned is as it was."""
    run_file(op, "0009_leaner_learning")
