"""Our own database moves: embedded to PostgreSQL and back, everything or one person, under other root keys."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from stillwave import demo
from stillwave.accounts import actions as accounts
from stillwave.accounts.rules import DEMO_EMAIL
from stillwave.db import audit, bulk, migrate, rotation
from stillwave.db.bulk import Canonical, Digest
from stillwave.db.database import Database, PostgresDatabase, Query, SqliteDatabase, open_database
from stillwave.db.keys import RootKey, parse_root_key
from stillwave.db.seal import SealedWriter, read_sealed
from stillwave.db.tables import TABLES
from stillwave.errors import CannotStart
from stillwave.promote import verify
from stillwave.promote.copy import Run
from stillwave.promote.sources import OwnSource, open_source
from stillwave.settings import Settings
from tests import rows
from tests.cast import BOB, NOW, ROOT_KEY

OTHER, THIRD = "22" * 32, "33" * 32
NAMES = [f"{digit * 32}.swf" for digit in "abcd"]
SOUND = bytes(range(256)) * 1000


def with_key(settings: Settings, key: str, data_dir: Path) -> Settings:
    return msgspec.structs.replace(settings, root_key=key, data_dir=data_dir)


def digests(database: Database) -> dict[str, tuple[int, str]]:
    """Count and digest of everything that belongs to people."""
    found = {}
    with database.read(right="operator") as tx:
        for each in TABLES:
            if each.owner and each.retention != "statement" and each.only_on is None and each.name != "unlink_outbox":
                digest, canonical, count = Digest(), Canonical(each, database.vault), 0
                for row in bulk.rows(tx, each):
                    digest.add(canonical(row))
                    count += 1
                found[each.name] = (count, str(digest))
    return found


@pytest.fixture(scope="module")
def home(settings_on: Callable[[str], Settings]) -> Settings:
    """An embedded Stillwave: the demo's three months, Bob who only signed up, and four sound files."""
    settings = settings_on("sqlite")
    database = open_database(settings)
    demo.fill(database, NOW, lambda _done, _of: None)
    with database.write() as tx:
        accounts.create(tx, email=BOB.email, phone=BOB.phone_number, password_hash="$argon2id$", now=NOW, consent=True)
    _render(settings, database)
    database.close()
    database.vault.keys.close()
    return settings


def _render(settings: Settings, database: SqliteDatabase | PostgresDatabase) -> None:
    """Of four sessions the sound was rendered; one file is lost since, one is damaged, one was never made."""
    with database.read() as tx:
        person = accounts.by_email(tx, DEMO_EMAIL).id
        text = "SELECT id, start_time FROM sessions WHERE user_id = :person ORDER BY id LIMIT 4"
        four = tx.rows(Query("four", text, text), person=person)
    settings.audio_dir.mkdir(exist_ok=True)
    clear = "DELETE FROM audio_files"
    with database.write() as tx:
        tx.run(Query("clear", clear, clear))
        for name, session in zip(NAMES, four, strict=True):
            rows.insert(
                tx, "audio_files", id=rows.id_at(), user_id=person, session_id=session["id"], session_start_time=session["start_time"],
                file_path=name, duration=60, format="flac", size_bytes=None if name == NAMES[3] else len(SOUND),
            )  # fmt: skip
    for name in NAMES[:2]:
        with SealedWriter((settings.audio_dir / name).open("wb"), database.vault.keys.key(person), name) as sealed:
            sealed.write(SOUND)
    damaged = bytearray((settings.audio_dir / NAMES[1]).read_bytes())
    damaged[1000] ^= 1
    (settings.audio_dir / NAMES[1]).write_bytes(damaged)


def moved(source: OwnSource, target: Settings, person: UUID | None = None) -> Run:
    """The copy, checked; its target stays open."""
    database = open_database(target)
    if migrate.check(database) == "empty":
        migrate.upgrade(database)
    run = Run(source, database, NOW, person=person, audio=target.audio_dir)
    run.batch_rows = 40
    run.copy()
    assert [each for each in verify.verify(run) if not each.ok] == []
    return run


def own(path: Path, key: RootKey) -> OwnSource:
    source = open_source(path, key)
    assert isinstance(source, OwnSource)
    return source


def close(*databases: SqliteDatabase | PostgresDatabase) -> None:
    for database in databases:
        database.close()
        database.vault.keys.close()


def test_there_and_back_everything_is_as_it_was(home: Settings, settings_on: Callable[[str], Settings], tmp_path: Path) -> None:
    before = (home.database_file.read_bytes(), home.keys_file.read_bytes())
    source = own(home.data_dir, parse_root_key(ROOT_KEY))
    start = digests(source.database)
    assert start["session_feedback"][0] > 50
    assert start["audit_events"][0] > 3

    served = with_key(settings_on("postgres"), ROOT_KEY, tmp_path / "served")
    there = moved(source, served)
    assert digests(there.target) == start
    assert {name: there.load("files").counts[name] for name in ("came", "missing", "damaged")} == {"came": 1, "missing": 1, "damaged": 1}
    assert [path.name for path in served.audio_dir.iterdir()] == [NAMES[0]]
    source.close()
    assert (home.database_file.read_bytes(), home.keys_file.read_bytes()) == before

    back_at = with_key(home, THIRD, tmp_path / "back")
    back = moved(OwnSource(there.target, served.audio_dir, owned=False), msgspec.structs.replace(back_at, database_url=None))
    assert digests(back.target) == start
    person = _demo(back.target)
    key = back.target.vault.keys.key(person)
    assert b"".join(read_sealed(back_at.audio_dir / NAMES[0], key, NAMES[0])) == SOUND
    with back.target.read(right="operator") as tx:  # under the new root key, and still whole
        assert audit.verify(tx) == {}
        assert accounts.contact(tx, person)[0] == DEMO_EMAIL
        assert accounts.by_email(tx, BOB.email).email.startswith("sw1.")
    close(there.target, back.target)


def _demo(database: SqliteDatabase | PostgresDatabase) -> UUID:
    with database.read(right="operator") as tx:
        return accounts.by_email(tx, DEMO_EMAIL).id


def test_one_person_leaves_with_everything_of_theirs_and_nothing_of_others(home: Settings, tmp_path: Path) -> None:
    source = own(home.data_dir, parse_root_key(ROOT_KEY))
    person = _demo(source.database)
    start = digests(source.database)
    alone = moved(source, with_key(home, OTHER, tmp_path / "alone"), person)
    found = digests(alone.target)
    assert (found["users"][0], start["users"][0]) == (1, 2)
    assert {name: found[name] for name in ("sessions", "session_feedback", "neural_profiles", "profile_history")} == {
        name: start[name] for name in ("sessions", "session_feedback", "neural_profiles", "profile_history")
    }
    with alone.target.read() as tx:
        assert {str(row[0]) for row in bulk.rows(tx, TABLES[1])} == {str(person)}
    again = Run(source, alone.target, NOW + dt.timedelta(days=1), person=person, audio=tmp_path / "alone" / "audio")
    again.copy()
    assert digests(alone.target) == found
    source.close()
    close(alone.target)


def test_the_wrong_root_key_opens_nothing(home: Settings) -> None:
    with pytest.raises(CannotStart, match="cannot be opened with this root key"):
        open_source(home.data_dir, parse_root_key(OTHER))


def test_an_event_of_the_audit_log_that_was_changed_stays_noticed(home: Settings, tmp_path: Path) -> None:
    shutil.copytree(home.data_dir, tmp_path / "changed")
    changed = with_key(home, ROOT_KEY, tmp_path / "changed")
    database = open_database(changed)
    text = "UPDATE audit_events SET action = 'login.opened' WHERE seq = 2"
    with database.write() as tx:
        tx.run(Query("tamper", text, text))
    close(database)
    source = own(changed.data_dir, parse_root_key(ROOT_KEY))
    target = open_database(with_key(home, OTHER, tmp_path / "target"))
    migrate.upgrade(target)
    Run(source, target, NOW).copy()
    with target.read(right="operator") as tx:
        assert audit.verify(tx) != {}
    source.close()
    close(target)


def test_keys_are_rotated_before_and_amid_a_promotion_and_nothing_is_lost(
    home: Settings, settings_on: Callable[[str], Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(home.data_dir, tmp_path / "home")
    at = with_key(home, ROOT_KEY, tmp_path / "home")
    database = open_database(at)
    start = digests(database)
    rotated(database, at)
    close(database)
    source = own(at.data_dir, parse_root_key(ROOT_KEY))
    served = with_key(settings_on("postgres"), ROOT_KEY, tmp_path / "served")
    target = open_database(served)
    migrate.upgrade(target)

    class PowerCut(Exception):
        pass

    left, real = [4], audit.carried

    def cut(*given: Any) -> audit.Event:
        left[0] -= 1
        if not left[0]:
            raise PowerCut
        return real(*given)

    with monkeypatch.context() as broken, pytest.raises(PowerCut):
        broken.setattr(audit, "carried", cut)
        Run(source, target, NOW, audio=served.audio_dir).copy()
    rotated(target, served)
    run = Run(source, target, NOW, audio=served.audio_dir)
    run.copy()
    assert [each for each in verify.verify(run) if not each.ok] == []
    found = digests(target)
    assert {name: found[name] for name in found if not name.startswith("audit_")} == {
        name: start[name] for name in start if not name.startswith("audit_")
    }
    with target.read(right="operator") as tx:
        assert audit.verify(tx) == {}
        assert accounts.contact(tx, accounts.by_email(tx, DEMO_EMAIL).id)[0] == DEMO_EMAIL
        assert accounts.by_email(tx, BOB.email).email.startswith("sw1.")
    source.close()
    close(target)


def rotated(database: SqliteDatabase | PostgresDatabase, settings: Settings) -> None:
    """Every key but the root's is new, which is in the environment here."""
    database.rekey(NOW)
    rotation.rebuild_index(database, NOW)
    rotation.rotate_log(database, NOW)
    rotation.rotate_people(database, settings.audio_dir, NOW)
