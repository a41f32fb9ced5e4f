"""What a rating moved is told with the rating itself, and nobody has to look for that in every month."""

from alembic import op

from stillwave.db.migrate import run_file

revision = "0015_rating_beside_change"
down_revision = "0014_sessions_summed"


def upgrade() -> None:
    """The rows of profile_history that are there get the rating of their feedback."""
    run_file(op, "0015_rating_beside_change")
