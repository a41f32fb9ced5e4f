"""A learned curve per group of states, and what retention keeps of it."""

from alembic import op

from stillwave.db.migrate import run_file

revision = "0003_state_groups"
down_revision = "0002_learning_constants"


def upgrade() -> None:
    """The tables are there and filled."""
    run_file(op, "0003_state_groups")
