"""How far a promotion has come, and the rows that it could not take over."""

from alembic import op

from stillwave.db.migrate import run_file

revision = "0012_promotion"
down_revision = "0011_inspections"


def upgrade() -> None:
    """The tables are there."""
    run_file(op, "0012_promotion")
