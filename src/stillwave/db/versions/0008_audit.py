"""The audit log: what was done with whose data, chained."""

from alembic import op

from stillwave.db.migrate import run_file

revision = "0008_audit"
down_revision = "0007_second_factors"


def upgrade() -> None:
    """The tables are there."""
    run_file(op, "0008_audit")
