"""Backup, destroy, restore: everything is as it was, who was erased stays erased, and nothing damaged is taken."""

from __future__ import annotations

import datetime as dt
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.sql import SQL, Identifier

from stillwave.db import audit, migrate
from stillwave.db.backup import Manifest, Reader, Writer, parts_of
from stillwave.db.database import open_database
from stillwave.db.keys import KeyStore
from stillwave.errors import BadBackup, CannotStart, ClockDoubted, StorageFull
from stillwave.operator import backup
from stillwave.settings import Settings
from tests import rows
from tests.cast import ALICE, BOB, NOW, Clock, Person
from tests.served import Visitor, serving

EARLIER, LATER = NOW - dt.timedelta(hours=1), NOW + dt.timedelta(minutes=1)
OWN = {"logins", "recoveries", "installation"}  # left behind on purpose, or facts of the one place


class Lived(NamedTuple):
    """A place where people lived, and what was backed up of it while its server ran."""

    settings: Settings
    database: Path
    manifest: Manifest
    keys: Path
    keys_before_bob: Path
    seen: Any


@pytest.fixture(scope="module")
def lives(settings_on: Callable[[str], Settings], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Lived]:
    """Each engine's, made once."""
    made: dict[str, Lived] = {}

    def live(engine: str) -> Lived:
        if engine not in made:
            made[engine] = _live(settings_on(engine), tmp_path_factory.mktemp("backups"))
        return made[engine]

    return live


def _live(settings: Settings, folder: Path) -> Lived:
    with serving(settings, open_database(settings), Clock()) as served:
        database = served.kit.database
        database.prepare_months(NOW)
        _year(served.visitor(), ALICE)
        backup.take_keys(database, folder / "old-keys.backup", EARLIER)
        _year(served.visitor(), BOB)
        seen = known(served.visitor(), ALICE)
        manifest = backup.take(database, folder / "all.backup", NOW)
        backup.take_keys(database, folder / "keys.backup", NOW)
    return Lived(settings, folder / "all.backup", manifest, folder / "keys.backup", folder / "old-keys.backup", seen)


def _year(visitor: Visitor, person: Person) -> None:
    visitor.sign_up(person)
    visitor.screened()
    for rating in (5, 2, 4):
        visitor.rate(visitor.session(background_only=True)["id"], rating=rating, feedback_text="one\nline \\N two\ttab é 🎧")
    day = {"date": "2026-11-20", "metrics": {"tea": 1}, "notes": "quiet\r\nday"}
    assert visitor.post("/api/v1/progress", json=day).status_code < 300


@pytest.fixture
def lived(lives: Callable[[str], Lived], engine: str) -> Lived:
    """Alice and Bob rated three sessions each and kept a diary."""
    return lives(engine)


def known(visitor: Visitor, person: Person) -> Any:
    """What somebody sees who signs in."""
    visitor.sign_in(person)
    profile = visitor.get("/api/v1/profile")
    assert profile.status_code == 200, profile.text
    return profile.json(), visitor.get("/api/v1/sessions").json(), visitor.get("/api/v1/progress").json()


def quiet(_told: str) -> None:
    """What is under way interests nobody here."""


def restored(settings: Settings, path: Path, keys: Path | None = None, **more: bool) -> backup.Restored:
    return backup.restore(settings, path, keys, LATER, quiet, **more)


def destroy(settings: Settings) -> None:
    """Nothing is left of data folder and database; the same place is empty."""
    shutil.rmtree(settings.data_dir)
    if settings.database_url is not None:
        name = Identifier(str(conninfo_to_dict(settings.database_url)["dbname"]))
        with psycopg.connect(make_conninfo(settings.database_url, dbname="postgres"), autocommit=True) as admin:
            admin.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(name))
            admin.execute(SQL("CREATE DATABASE {} TEMPLATE template0").format(name))


def test_backup_and_restore_bring_everything_back_and_an_erased_person_not(
    lived: Lived, empty_settings: Settings, clock: Clock, tmp_path: Path
) -> None:
    done = restored(empty_settings, lived.database, lived.keys)
    assert (done.people, done.erased, done.at) == (2, 0, NOW)
    database = open_database(empty_settings)
    assert migrate.check(database) == "current"
    again = backup.take(database, tmp_path / "again.backup", LATER)
    assert again.months == lived.manifest.months
    for before, after in zip(lived.manifest.sums, again.sums, strict=True):
        assert before.part.name in OWN or before == after, before.part.name
    counts = {found.part.name: found.rows for found in again.sums}
    assert (counts["session_feedback"], counts["neural_profiles"], counts["logins"]) == (6, 2, 0)
    with database.read(right="operator") as tx:
        assert audit.verify(tx) == {}

    with serving(empty_settings, database, clock) as served:
        assert served.visitor().get("/health/ready").json() == {"status": "ok", "missing": []}
        alice, bob = served.visitor(), served.visitor()
        assert known(alice, ALICE) == lived.seen
        alice.rate(alice.session(background_only=True)["id"])  # triggers, partitions and rights are there
        assert alice.get("/api/v1/profile").json()["ratings"] == 4
        bob.sign_in(BOB)
        erased = bob.post("/api/v1/erasure", json={"password": BOB.password, "confirm": "erase"})
        assert erased.status_code < 300, erased.text

    keys = empty_settings.keys_file.read_bytes()  # the one thing that outlives the fire
    destroy(empty_settings)
    empty_settings.data_dir.mkdir()
    empty_settings.keys_file.write_bytes(keys)
    done = restored(empty_settings, lived.database)
    assert (done.people, done.erased) == (2, 1)
    with serving(empty_settings, open_database(empty_settings), clock) as served:
        assert known(served.visitor(), ALICE) == lived.seen
        refused = served.visitor().post("/api/v1/logins", json={"email": BOB.email, "password": BOB.password})
        assert refused.status_code == 401
        with served.kit.database.read(right="operator") as tx:
            for table, count in (("users", 1), ("sessions", 3), ("session_feedback", 3), ("neural_profiles", 1)):
                assert rows.count(tx, table) == count, table
            assert audit.verify(tx) == {}


def test_a_backup_of_an_older_version_comes_back_in_the_newest(
    lived: Lived, empty_settings: Settings, engine: str, clock: Clock, tmp_path: Path
) -> None:
    """As the version at 0009 wrote it: without the tables that later ones made."""
    sql = Path(migrate.__file__).parent / "sql" / engine / "migrations"
    later = {name for file in sql.glob("00*.sql") if file.name > "0010" for name in re.findall(r"CREATE TABLE (\w+)", file.read_text())}
    assert {"erasures", "passkeys"} <= later
    vault = open_database(lived.settings).vault
    reader = Reader(lived.database, "database", vault.backup_keys)
    with Writer(tmp_path / "old.backup", "database", NOW, vault.backup_key) as writer:
        for part, body in reader.parts():
            lines = [line + b"\n" for piece in body for line in piece.split(b"\n") if line]
            if part.name not in later:
                writer.part(part, lines)
        writer.end("0.1", engine, "0009_leaner_learning", lived.manifest.months)
    assert restored(empty_settings, tmp_path / "old.backup", lived.keys).people == 2
    database = open_database(empty_settings)
    assert migrate.check(database) == "current"
    assert backup.verify(database, tmp_path / "old.backup", quiet).opened == 2
    with serving(empty_settings, database, clock) as served:
        alice = served.visitor()
        assert known(alice, ALICE) == lived.seen
        alice.rate(alice.session(background_only=True)["id"])
        assert alice.get("/api/v1/profile").json()["ratings"] == 4


def test_an_older_key_store_does_not_erase_new_people_unasked(lived: Lived, empty_settings: Settings) -> None:
    with pytest.raises(BadBackup, match="1 people of this backup have no key"):
        restored(empty_settings, lived.database, lived.keys_before_bob)
    assert not empty_settings.keys_file.exists()
    done = restored(empty_settings, lived.database, lived.keys_before_bob, without_keys=True)
    assert (done.people, done.erased) == (2, 1)


def test_nothing_is_restored_over_anything_nor_in_the_wrong_place(lived: Lived, empty_settings: Settings) -> None:
    with pytest.raises(BadBackup, match="not empty"):
        restored(lived.settings, lived.database)
    with pytest.raises(BadBackup, match="leave out --keys"):
        restored(lived.settings, lived.database, lived.keys)
    with pytest.raises(CannotStart, match="--keys FILE"):
        restored(empty_settings, lived.database)
    with pytest.raises(BadBackup, match="is a backup of the key store"):
        restored(empty_settings, lived.keys, lived.keys)
    with pytest.raises(BadBackup, match="another root key"):
        restored(msgspec.structs.replace(empty_settings, root_key="77" * 32), lived.database, lived.keys)
    url = None if empty_settings.database_url else "postgresql://127.0.0.1:9/x"
    with pytest.raises(BadBackup, match="DATABASE_URL"):
        restored(msgspec.structs.replace(empty_settings, database_url=url), lived.database, lived.keys)
    assert not empty_settings.data_dir.exists()


def test_a_damaged_backup_is_refused_and_told_apart(lived: Lived, empty_settings: Settings, tmp_path: Path) -> None:
    whole, bad = lived.database.read_bytes(), tmp_path / "bad.backup"
    assert len(whole) > 400
    cases = {
        "altered": whole[:400] + bytes([whole[400] ^ 1]) + whole[401:],
        "cut off": whole[:-20],
        "is not a backup": b"SQLite format 3\0" + whole,
        "newer Stillwave": whole.replace(b'"stillwave_backup":1', b'"stillwave_backup":9', 1),
        "altered or": whole.replace(b'"at":"2026', b'"at":"2025', 1),
        "not a backup of Stillwave": b"",
    }
    for says, body in cases.items():
        bad.write_bytes(body)
        with pytest.raises(BadBackup, match=says):
            restored(empty_settings, bad, lived.keys)
    with pytest.raises(BadBackup, match="cannot be read"):
        restored(empty_settings, tmp_path / "nothing.backup", lived.keys)
    assert not empty_settings.data_dir.exists()


def test_rows_that_come_back_otherwise_than_they_went_are_not_kept(
    lived: Lived, empty_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the engine had stored something else than it was given."""
    real = Reader.check

    def other(self: Reader) -> Manifest:
        found = real(self)
        sums = tuple(msgspec.structs.replace(s, sha256="0" * 64) if s.part.name == "session_feedback" else s for s in found.sums)
        return msgspec.structs.replace(found, sums=sums)

    monkeypatch.setattr(Reader, "check", other)
    with pytest.raises(BadBackup, match="session_feedback"):
        restored(empty_settings, lived.database, lived.keys)
    monkeypatch.undo()
    assert list(empty_settings.data_dir.iterdir()) == []
    database = open_database(empty_settings)
    assert migrate.check(database) == "empty"
    database.close()


def test_a_drill_compares_everything_and_leaves_nothing(lived: Lived, monkeypatch: pytest.MonkeyPatch) -> None:
    database = open_database(lived.settings)
    before = sorted(path for path in lived.settings.data_dir.iterdir() if path.suffix == ".db")
    done = backup.verify(database, lived.database, quiet)
    assert (done.rows, done.tables, done.opened, done.keyless) == (lived.manifest.rows, len(parts_of(database)), 2, 0)
    someone = min(database.vault.keys.people())
    monkeypatch.setattr(KeyStore, "people", lambda _store: {someone})
    done = backup.verify(database, lived.database, quiet)
    assert (done.opened, done.keyless) == (1, 1)
    database.close()
    left = sorted(path for path in lived.settings.data_dir.iterdir() if path.suffix not in (".db-wal", ".db-shm"))
    assert left == before + [path for path in left if path.name == "audio"]
    if lived.settings.database_url is not None:
        with psycopg.connect(lived.settings.database_url) as admin:
            assert admin.execute("SELECT count(*) FROM pg_database WHERE datname LIKE 'stillwave_scratch%'").fetchone() == (0,)


def test_a_backup_is_of_one_moment(database: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written while it is taken is not in it."""

    def slowly(of: Any) -> Any:
        for number, part in enumerate(parts_of(of)):
            yield part
            if number == 0:
                with database.write() as tx:
                    rows.insert(tx, "users", **rows.user(ALICE))

    monkeypatch.setattr("stillwave.operator.backup.parts_of", slowly)
    found = {s.part.name: s.rows for s in backup.take(database, tmp_path / "x.backup", NOW).sums}
    assert found["users"] == 0
    with database.read() as tx:
        assert rows.count(tx, "users") == 1


def test_backups_by_themselves_are_daily_kept_and_watched(settings: Settings, database: Any, tmp_path: Path) -> None:
    folder, keys = tmp_path / "b", tmp_path / "k"
    set_up = msgspec.structs.replace(settings, backup_dir=folder, backup_keys_dir=keys, backup_keep_days=3)
    now = NOW

    def well() -> list[bool]:
        return [check.ok for check in backup.health(set_up, now)]

    assert not backup.keep(settings, database, now)  # no folder is set
    assert [check.ok for check in backup.health(settings, now)] == [True]
    assert well() == [False, True]
    for hours in range(0, 24 * 6, 6):
        now = NOW + dt.timedelta(hours=hours)
        assert backup.keep(set_up, database, now) is (hours % 24 == 0)
        assert well() == [True, True]
    assert [at for at, _ in backup.kept(folder, "database")] == [NOW + dt.timedelta(days=day) for day in (2, 3, 4, 5)]
    assert len(backup.kept(keys, "keys")) == 6
    assert {path.stat().st_mode & 0o777 for path in folder.glob("*.backup")} == {0o600}
    now += dt.timedelta(days=3)
    assert well() == [False, True]
    now += dt.timedelta(days=40)
    assert well() == [False, False]
    with pytest.raises(ClockDoubted):  # a backup is taken, but by this clock none is removed
        backup.keep(set_up, database, now)
    assert len(backup.kept(folder, "database")) == 5


def test_a_full_disk_is_said_and_nothing_is_left(database: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    with pytest.raises(StorageFull, match="cannot be written"):
        backup.take(database, tmp_path / "nowhere" / "x.backup", NOW)
    there = folder / "x.backup"
    there.touch()
    with pytest.raises(BadBackup, match="exists already"):
        backup.take(database, there, NOW)
    there.unlink()
    real = os.open

    def onto_a_full_disk(path: Any, flags: int, mode: int = 0o777) -> int:
        if str(path).endswith(".part"):
            real(path, flags, mode)
            return real("/dev/full", os.O_WRONLY)
        return real(path, flags, mode)

    monkeypatch.setattr("stillwave.db.backup.os.open", onto_a_full_disk)
    with pytest.raises(StorageFull, match="no room"):
        backup.take(database, there, NOW)
    assert list(folder.iterdir()) == []
