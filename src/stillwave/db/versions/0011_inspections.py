"""What security audits found, operators' attestations, breaches, and emergency access."""

from alembic import op

from stillwave.db.migrate import run_file

revision = "0011_inspections"
down_revision = "0010_erasure"


def upgrade() -> None:
    """The tables are there."""
    run_file(op, "0011_inspections")
