"""Work that waits, when the next reminder of a person is due, and private calendar addresses."""

from alembic import op

from stillwave.db.migrate import run_file

revision = "0006_jobs_and_reminders"
down_revision = "0004_planner"


def upgrade() -> None:
    """The tables exist."""
    run_file(op, "0006_jobs_and_reminders")
