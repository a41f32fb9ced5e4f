"""A migration is whole or not there, whatever stops it, and says what stands in its way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any

import pytest

from stillwave.db import migrate
from stillwave.db.database import Query, open_database
from stillwave.errors import CannotStart
from stillwave.settings import Settings
from tests.cast import ROOT_KEY

TABLES = Query(
    "tables", "SELECT count(*) FROM sqlite_master WHERE type = 'table'",
    "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')",
)  # fmt: skip


def tables(database: Any) -> int:
    with database.read() as tx:
        return int(tx.value(TABLES))


@pytest.mark.parametrize("after", [0, 3])
def test_what_fails_in_the_middle_leaves_nothing(empty_settings: Settings, after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    database = open_database(empty_settings)
    real, done = migrate._run_script, list[str]()

    def fail_later(raw: Any, engine: str, text: str) -> None:
        if len(done) == after:
            raw.execute("SELECT 1 FROM nowhere")
        done.append(text)
        real(raw, engine, text)

    monkeypatch.setattr(migrate, "_run_script", fail_later)
    with pytest.raises(CannotStart, match=r"nowhere.*nothing was changed") as refusal:
        migrate.upgrade(database)
    assert "SELECT" not in refusal.value.detail
    assert (migrate.check(database), tables(database)) == ("empty", 0)
    monkeypatch.undo()
    migrate.upgrade(database)
    assert migrate.check(database) == "current"
    database.close()


def test_half_of_a_migration_made_by_hand_is_named(empty_settings: Settings) -> None:
    database = open_database(empty_settings)
    raw = database.raw()
    raw.execute("CREATE TABLE consents (half TEXT)")
    raw.commit()
    raw.close()
    with pytest.raises(CannotStart, match=r"consents.* already exists.*undo that half"):
        migrate.upgrade(database)
    assert tables(database) == 1
    raw = database.raw()
    raw.execute("DROP TABLE consents")
    raw.commit()
    raw.close()
    migrate.upgrade(database)
    assert migrate.check(database) == "current"
    database.close()


def test_a_migration_that_is_killed_leaves_nothing(empty_settings: Settings) -> None:
    """SIGKILL after the last statement and before the commit."""
    killed = (
        "import os, signal\n"
        "from stillwave.db import migrate\n"
        "migrate._remember_key = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "from stillwave import cli\n"
        "cli.app(['db', 'init'])\n"
    )
    environ = {**os.environ, "STILLWAVE_DATA_DIR": str(empty_settings.data_dir), "STILLWAVE_ROOT_KEY": ROOT_KEY}
    if empty_settings.database_url:
        environ["STILLWAVE_DATABASE_URL"] = empty_settings.database_url
    ended = subprocess.run([sys.executable, "-c", killed], env=environ, check=False, capture_output=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    database = open_database(empty_settings)
    assert (migrate.check(database), tables(database)) == ("empty", 0)
    migrate.upgrade(database)
    assert migrate.check(database) == "current"
    database.close()
