"""Passkeys, and the challenges that are out."""

from alembic import op

from stillwave.db.migrate import run_file

revision = "0013_passkeys"
down_revision = "0012_promotion"


def upgrade() -> None:
    """The tables are there."""
    run_file(op, "0013_passkeys")
