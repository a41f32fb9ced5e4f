"""A second step at sign-in: authenticator apps and recovery codes."""

from alembic import op

from stillwave.db.migrate import run_file

revision = "0007_second_factors"
down_revision = "0006_jobs_and_reminders"


def upgrade() -> None:
    """The tables are there, and logins know whether a step is still due."""
    run_file(op, "0007_second_factors")
