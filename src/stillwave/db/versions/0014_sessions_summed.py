"""A person's sessions are counted and averaged from an index alone."""

from alembic import op

from stillwave.db.migrate import run_file

revision = "0014_sessions_summed"
down_revision = "0013_passkeys"


def upgrade() -> None:
    """The index holds the rating as well."""
    run_file(op, "0014_sessions_summed")
