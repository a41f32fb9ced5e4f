"""Erasure that can be taken back for some days."""

from alembic import op

from stillwave.db.migrate import run_file

revision = "0010_erasure"
down_revision = "0009_leaner_learning"


def upgrade() -> None:
    """The table is there."""
    run_file(op, "0010_erasure")
