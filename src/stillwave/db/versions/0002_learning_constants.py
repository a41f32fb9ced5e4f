"""The constants of the learning algorithm, the vocabulary of effects, and what the triggers remember."""

from alembic import op

from stillwave.db.migrate import run_file

revision = "0002_learning_constants"
down_revision = "0001_tables"


def upgrade() -> None:
    """The tables are there and filled."""
    run_file(op, "0002_learning_constants")
