"""A breach: who was affected, what could be read, letters, clocks; on record in the log of each."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from typer.testing import CliRunner

from stillwave.accounts import actions as accounts
from stillwave.breach import actions, rules
from stillwave.cli import app
from stillwave.db import audit
from stillwave.errors import BadInput, NotFound
from stillwave.operator import actions as operator
from stillwave.settings import Settings
from tests.cast import ALICE, BOB, CHARLIE, NOW, ROOT_KEY, Person

HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)
SINCE, UNTIL = NOW - 3 * DAY, NOW - 2 * DAY


def person(database: Any, who: Person, at: dt.datetime) -> UUID:
    with database.write(right="operator") as tx:
        return accounts.create(tx, email=who.email, phone=who.phone_number, password_hash="$argon2id$x", now=at, consent=True)


@pytest.fixture
def people(database: Any) -> dict[str, UUID]:
    """Alice was there, Bob came later; Charlie was there and is erased by now."""
    found = {"alice": person(database, ALICE, SINCE - DAY), "bob": person(database, BOB, NOW - DAY), "charlie": person(database, CHARLIE, SINCE - DAY)}
    with database.write(found["charlie"], right="operator") as tx:
        accounts.delete(tx, found["charlie"], NOW - DAY)
    return found


def log_of(database: Any, user_id: UUID) -> list[str]:
    with database.read(user_id) as tx:
        return [event.action for event in audit.events(tx, user_id, 999, 999)]


def test_a_breach_names_who_was_affected_and_writes_the_letters(database: Any, people: dict[str, UUID]) -> None:
    breach, found, erased = actions.note(database, ["database"], SINCE, UNTIL, NOW - HOUR, NOW)
    assert (found, erased, breach.people) == ([people["alice"]], 1, 1)
    assert log_of(database, people["alice"])[0] == "breach.noted"
    assert "breach.noted" not in log_of(database, people["bob"])
    letters = actions.letters(database, breach, found, erased, "operator@example.org")
    assert f"To: {ALICE.email}" in letters.people["person-00001.txt"]
    assert BOB.email not in str(letters)
    assert "To be sent until:   2026-11-28 09:00 UTC" in letters.authority
    assert "users.email" in letters.authority
    # Told again, it goes on and doubles nothing.
    again, _, _ = actions.note(database, ["database"], SINCE, UNTIL, NOW - HOUR, NOW)
    assert again.id == breach.id
    assert log_of(database, people["alice"]).count("breach.noted") == 1
    with database.read(right="operator") as tx:
        assert audit.verify(tx) == {}


def test_what_could_be_read_depends_on_what_was_reached(database: Any) -> None:
    def states(*kinds: str) -> dict[str, str]:
        return {field.column: field.state for field in actions.fields(database, kinds)}

    file = states("database")
    assert file["progress_tracking.notes"] == rules.SEALED
    # The embedded file is encrypted as a whole; PostgreSQL's are not.
    assert file["progress_tracking.sleep_quality"] == (rules.SEALED if database.engine == "sqlite" else rules.OPEN)
    assert file["users.password_hash"] == file["users.email_index"] == "only a digest"
    assert states("backup")["progress_tracking.sleep_quality"] == rules.SEALED
    both = states("database", "key")
    assert both["progress_tracking.notes"] == both["users.email"] == both["second_factors.secret"] == rules.OPEN
    assert both["users.password_hash"] == "only a digest"
    assert set(states("key").values()) == {rules.NOTHING}
    assert states("login")["progress_tracking.notes"] == rules.OPEN
    assert states("login")["users.password_hash"] == rules.NOTHING
    assert set(states("logs").values()) == {rules.NOTHING}


def test_a_stolen_sign_in_touches_who_signed_in_or_who_is_named(database: Any, people: dict[str, UUID]) -> None:
    with database.write(people["alice"]) as tx:
        accounts.open_login(tx, people["alice"], "Firefox", SINCE + HOUR)
    assert actions.note(database, ["login"], SINCE, UNTIL, NOW, NOW)[1] == [people["alice"]]
    assert actions.note(database, ["login"], SINCE, UNTIL, NOW, NOW, email=BOB.email)[1] == [people["bob"]]


def test_the_clocks_of_the_law_run_and_are_seen(database: Any, people: dict[str, UUID]) -> None:
    breach, _, _ = actions.note(database, ["backup"], SINCE, UNTIL, NOW, NOW)
    assert [(who, due - NOW) for who, due, _ in breach.clocks()] == [("authority", 3 * DAY), ("people", 60 * DAY)]

    def seen(at: dt.datetime) -> list[bool]:
        with database.read() as tx:
            return [check.ok for check in operator.breaches(tx, at)]

    assert seen(NOW + 3 * DAY) == [True]
    assert seen(NOW + 3 * DAY + HOUR) == [False]
    with database.write(right="operator") as tx:
        actions.told(tx, str(breach.id), authority=True, people=False, now=NOW + DAY)
    assert seen(NOW + 59 * DAY) == [True]
    assert seen(NOW + 61 * DAY) == [False]
    with database.write(right="operator") as tx:
        actions.told(tx, str(breach.id), authority=False, people=True, now=NOW + DAY)
    assert seen(NOW + 99 * DAY) == []
    for nothing in ("x", str(people["alice"])):
        with pytest.raises(NotFound), database.write(right="operator") as tx:
            actions.told(tx, nothing, authority=True, people=False, now=NOW)


@pytest.mark.parametrize(
    ("what", "since", "until", "known"),
    [(["disk"], SINCE, UNTIL, NOW), ([], SINCE, UNTIL, NOW), (["key"], UNTIL, SINCE, NOW), (["key"], SINCE, NOW + HOUR, NOW),
     (["key"], SINCE, UNTIL, SINCE), (["key"], SINCE, UNTIL, NOW + HOUR)],
)  # fmt: skip
def test_what_cannot_be_is_refused(database: Any, what: list[str], since: dt.datetime, until: dt.datetime, known: dt.datetime) -> None:
    with pytest.raises(BadInput):
        actions.note(database, what, since, until, known, NOW)
    with database.read() as tx:
        assert actions.everything(tx) == []


def test_the_command_writes_letters_for_their_owner_alone(
    settings: Settings, database: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    person(database, ALICE, dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
    monkeypatch.setenv("STILLWAVE_DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("STILLWAVE_ROOT_KEY", ROOT_KEY)
    if settings.database_url:
        monkeypatch.setenv("STILLWAVE_DATABASE_URL", settings.database_url)
    folder = tmp_path / "letters"
    words = ["breach", "--since", "2026-02-01T08:00", "--until", "2026-02-02", "--what", "backup", "--what", "key", "--letters", str(folder)]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "72 hours left" in done.stdout
    assert {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()} == {"authority.txt": 0o600, "person-00001.txt": 0o600}
    assert "what you wrote in your own words" in (folder / "person-00001.txt").read_text()
    assert CliRunner().invoke(app, words).exit_code == 1  # letters are kept
    assert "by 20" in CliRunner().invoke(app, ["breach", "list"]).stdout
    assert CliRunner().invoke(app, ["breach", "told", "x"]).exit_code == 1
