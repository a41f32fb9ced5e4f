"""Wording of the safety questions, sessions without the beat for comparison, clearances by a clinician."""

from alembic import op

from stillwave.db.migrate import run_file

revision = "0004_planner"
down_revision = "0003_state_groups"


def upgrade() -> None:
    """The columns and the table are there."""
    run_file(op, "0004_planner")
