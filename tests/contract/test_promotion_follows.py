"""An embedded database that stays in use while it is copied, and the switch."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import msgspec
import pytest

from stillwave import demo
from stillwave.accounts import actions as accounts
from stillwave.accounts.rules import DEMO_EMAIL
from stillwave.db import audit, bulk, migrate
from stillwave.db.database import PostgresDatabase, Query, SqliteDatabase, open_database
from stillwave.db.keys import parse_root_key
from stillwave.db.sqlite import moved_file
from stillwave.db.tables import table
from stillwave.errors import CannotStart, Conflict, Unavailable
from stillwave.operator import actions as operator
from stillwave.privacy import erasure
from stillwave.promote import follow, verify
from stillwave.promote.copy import Run
from stillwave.promote.sources import OwnSource, open_source
from stillwave.settings import Settings
from tests import rows
from tests.cast import ALICE, BOB, CHARLIE, NOW, ROOT_KEY
from tests.contract.test_promotion_and_back import digests

LATER = NOW + dt.timedelta(hours=1)


class Move(NamedTuple):
    """A Stillwave in use, and its copy."""

    home: Settings
    used: SqliteDatabase
    source: OwnSource
    run: Run

    @property
    def target(self) -> SqliteDatabase | PostgresDatabase:
        return self.run.target


@pytest.fixture
def move(settings: Settings, engine: str, settings_on: Callable[[str], Settings], tmp_path: Path) -> Iterator[Move]:
    """The demo's month and Bob live at home, under one root key; the target, under another, has everything."""
    home = settings_on("sqlite")
    used = open_database(home)
    assert isinstance(used, SqliteDatabase)
    demo.fill(used, NOW, lambda _done, _of: None)
    for person in (BOB, CHARLIE):
        _sign_up(used, person)
    away = msgspec.structs.replace(settings, root_key="22" * 32, data_dir=tmp_path / "away")
    target = open_database(away)
    if migrate.check(target) == "empty":
        migrate.upgrade(target)
    source = open_source(home.data_dir, parse_root_key(ROOT_KEY))
    assert isinstance(source, OwnSource)
    assert target.engine == engine
    run = Run(source, target, NOW, audio=away.audio_dir)
    run.copy()
    yield Move(home, used, source, run)
    source.close()
    for database in (used, target):
        database.close()
        database.vault.keys.close()


def _sign_up(database: SqliteDatabase, person: object) -> UUID:
    with database.write() as tx:
        return accounts.create(tx, email=person.email, phone=person.phone_number, password_hash="$argon2id$", now=NOW, consent=True)  # type: ignore[attr-defined]


def _id_of(database: SqliteDatabase | PostgresDatabase, email: str) -> UUID:
    with database.read(right="operator") as tx:
        return accounts.by_email(tx, email).id


def _day(database: SqliteDatabase, person: UUID, number: int) -> None:
    with database.write() as tx:
        rows.insert(tx, "progress_tracking", id=rows.id_at(), user_id=person, date=(NOW - dt.timedelta(days=1000 + number)).date(), focus_score=5)


def test_whoever_changed_is_copied_anew_and_nobody_else(move: Move) -> None:
    assert follow.changed(move.run, move.source) == set()
    demo_id, bob = _id_of(move.used, DEMO_EMAIL), _id_of(move.used, BOB.email)
    alice = _sign_up(move.used, ALICE)
    _day(move.used, demo_id, 1)
    text = ("UPDATE session_feedback SET rating = 6 - rating WHERE id = "
            "(SELECT max(id) FROM session_feedback WHERE user_id = :person AND rating <> 3)")  # fmt: skip
    with move.used.write() as tx:  # learned anew by the trigger
        tx.run(Query("edit", text, text), person=demo_id)
    erasure.erase(move.used, bob, LATER)
    assert follow.changed(move.run, move.source) == {str(demo_id), str(alice), str(bob)}

    assert follow.look(move.run, move.source) == 3
    assert follow.changed(move.run, move.source) == set()
    assert digests(move.target) == digests(move.used)
    assert move.target.vault.keys.is_erased(bob)
    assert not move.target.vault.keys.holds(bob)
    with move.target.read(right="operator") as tx:  # under the target's own root key
        assert audit.verify(tx) == {}
        assert accounts.contact(tx, alice)[0] == ALICE.email
        assert accounts.by_email(tx, ALICE.email).id == alice


def test_after_the_switch_everything_is_there_and_nothing_is_stored_here_any_more(move: Move) -> None:
    demo_id = _id_of(move.used, DEMO_EMAIL)
    _day(move.used, demo_id, 1)
    made = follow.switch(move.run, move.source, move.home.database_file, 5, lambda: LATER)
    assert [each for each in made.report.checks if not each.ok] == []
    assert digests(move.target) == digests(move.used)
    with pytest.raises(Unavailable, match="moving to another database"):
        _day(move.used, demo_id, 2)
    with move.used.read(demo_id) as tx:
        assert accounts.contact(tx, demo_id)[0] == DEMO_EMAIL  # reading goes on
    assert [each.label for each in operator.readiness(move.used, move.home, NOW) if not each.ok] == ["Database"]
    with pytest.raises(CannotStart, match=r"stillwave\.db\.moved"):
        open_database(move.home)
    with pytest.raises(Conflict, match="moved already"):
        follow.switch(move.run, move.source, move.home.database_file, 5, lambda: LATER)
    moved_file(move.home.database_file).unlink()  # back, after all
    _day(move.used, demo_id, 2)


def test_what_was_acknowledged_before_the_switch_is_at_the_target(move: Move) -> None:
    charlie = _id_of(move.used, CHARLIE.email)
    stored: list[int] = []

    def write() -> None:
        try:
            while True:
                _day(move.used, charlie, len(stored))
                stored.append(len(stored))
        except Unavailable:
            pass

    writer = threading.Thread(target=write)
    writer.start()
    while len(stored) < 20:
        pass
    made = follow.switch(move.run, move.source, move.home.database_file, 3, lambda: LATER)
    writer.join()
    assert made.report.whole
    with move.target.read(right="operator") as tx:
        assert len(list(bulk.rows(tx, table("progress_tracking"), person=charlie))) == len(stored)


@pytest.mark.parametrize("engine", ["sqlite"])
def test_a_switch_that_is_not_whole_leaves_the_old_database_in_use(move: Move, monkeypatch: pytest.MonkeyPatch) -> None:
    demo_id = _id_of(move.used, DEMO_EMAIL)
    text = "UPDATE progress_tracking SET focus_score = 1 WHERE user_id = :person"
    counted = follow.counted

    def meanwhile(run: Run, source: OwnSource) -> None:
        with run.target.write(right="operator") as tx:
            tx.run(Query("somebody", text, text), person=demo_id)
        counted(run, source)

    monkeypatch.setattr(follow, "counted", meanwhile)
    made = follow.switch(move.run, move.source, move.home.database_file, 3, lambda: LATER)
    assert "progress_tracking: digest" in {each.name for each in made.report.checks if not each.ok}
    _day(move.used, demo_id, 1)

    def lost(*_: object, **__: object) -> list[verify.Check]:
        raise Unavailable("gone")

    monkeypatch.setattr(verify, "verify", lost)
    with pytest.raises(Unavailable):
        follow.switch(move.run, move.source, move.home.database_file, 3, lambda: LATER)
    _day(move.used, demo_id, 2)


@pytest.mark.parametrize("engine", ["sqlite"])
def test_following_ends_when_the_switch_begins(move: Move) -> None:
    demo_id = _id_of(move.used, DEMO_EMAIL)
    looks: list[int] = []
    again = threading.Semaphore(0)

    def pause() -> None:
        assert again.acquire(timeout=60)

    def keep_up() -> None:
        follow.keep_up(move.run, move.source, move.home.database_file, looks.append, pause)

    follower = threading.Thread(target=keep_up)
    follower.start()
    while not looks:
        pass
    _day(move.used, demo_id, 1)
    again.release()
    while len(looks) < 2:
        pass
    assert looks == [0, 1]
    moved_file(move.home.database_file).write_text("elsewhere")
    again.release()
    follower.join(60)
    assert not follower.is_alive()
    assert not move.home.database_file.with_name("stillwave.db.following").exists()
