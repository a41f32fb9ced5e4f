"""After erasure no word of the person's is left: not in the database's own files, its write-ahead log, the key store, the sound
folder, the logs, nor in a backup from before that is restored.

Words are planted wherever a person can write, also where they stand in the clear on PostgreSQL: what somebody calls
their numbers. That these are there before, and no other, shows that the search would find them.
"""

from __future__ import annotations

import io
import secrets
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from stillwave.accounts import actions as accounts
from stillwave.db.database import Database, open_database
from stillwave.db.ids import uuid7
from stillwave.emergency import store as emergency
from stillwave.operator import actions as operator
from stillwave.operator import backup
from stillwave.settings import Settings
from tests.cast import BOB, NOW, Clock, Person
from tests.contract.test_key_rotation import empty
from tests.contract.test_nothing_readable_lies_around import rows_of, spellings
from tests.passkey_device import Device
from tests.served import Visitor, serving

# Each word begins with the mark of this run, by which all of them are looked for at once.
MARK = "qz" + "".join(secrets.choice("bdfghjklmnprstvw") for _ in range(10))
PLANTED = Person("Planted", f"{MARK}mail@example.org", "+442071838750", f"{MARK}secret lantern ninety tulips")
TOLD = ["mail", "allergy", "dreams", "walk", "naps", "phone", "doctor", "reason"]  # what an export shows
BARE = "naps"  # in the clear on PostgreSQL


def plant(visitor: Visitor, database: Database, origin: str) -> UUID:
    """A person whose words are everywhere; their id."""

    def done(answer: Any) -> Any:
        assert answer.status_code < 300, answer.text
        return answer.json()

    visitor.headers["User-Agent"] = f"{MARK}device (Android) Firefox/140.0"
    visitor.sign_up(PLANTED)
    visitor.screened(none=False, other=f"{MARK}allergy", conditions=["recent_head_injury"])
    who = UUID(visitor.get("/api/v1/me").json()["id"])
    wish = {"target_state": "calm_focus", "minutes": 5, "background_only": True, "background": "white_noise"}
    made = done(visitor.post("/api/v1/sessions", json=wish, headers={"Idempotency-Key": f"{MARK}request"}))
    assert visitor.get(made["flac_url"]).status_code == 200
    visitor.rate(made["id"], feedback_text=f"{MARK}dreams")
    done(visitor.post("/api/v1/progress", json={"date": "2026-11-24", "notes": f"{MARK}walk", "metrics": {f"{MARK}naps": 3}}))
    cleared = {"condition": "recent_head_injury", "cleared_on": "2026-11-20", "understood": True}
    done(visitor.post("/api/v1/clearances", json={**cleared, "password": PLANTED.password, "note": f"{MARK}doctor"}))
    options = done(visitor.post("/api/v1/passkeys/options", json={"password": PLANTED.password}))["publicKey"]
    added = done(visitor.post("/api/v1/passkeys", json={"name": f"{MARK}phone", "credential": Device(origin).make(options)}))
    visitor.headers["Authorization"] = f"Bearer {added['token']}"
    assert visitor.post("/api/v1/logins", json={"email": PLANTED.email, "password": f"{MARK}wrong"}).status_code == 401
    with database.write(who) as tx:
        access = emergency.Access(user_id=who, id=uuid7(NOW), operator_id=who, created_at=NOW, expires_at=NOW, reason=f"{MARK}reason")
        emergency.insert(tx, access)
    return who


def files_of(settings: Settings) -> Iterator[Path]:
    """Every file of the data folder; on PostgreSQL those of the database as well, and its write-ahead log."""
    yield from (path for path in settings.data_dir.rglob("*") if path.is_file())
    if settings.database_url is None:
        return
    with psycopg.connect(settings.database_url) as admin:
        row = admin.execute("SELECT current_setting('data_directory'), oid FROM pg_database WHERE datname = current_database()").fetchone()
    assert row is not None
    for folder in (f"base/{row[1]}", "pg_wal", "global", "log"):
        yield from (path for path in Path(row[0], folder).rglob("*") if path.is_file())


def found(settings: Settings, word: str = MARK) -> set[str]:
    """Where the word is, in any of its spellings."""
    wanted, where = set(spellings(word)), set()
    for path in files_of(settings):
        try:
            content = path.read_bytes()
        except FileNotFoundError:  # a segment of the log that was put away meanwhile
            continue
        if any(spelling in content for spelling in wanted):
            where.add(named(settings, path))
    return where


def named(settings: Settings, path: Path) -> str:
    """The file, or the table or index whose file it is."""
    if settings.database_url is None or path.parent.parent.name != "base":
        return path.name
    with psycopg.connect(settings.database_url) as admin:
        row = admin.execute("SELECT relname FROM pg_class WHERE relfilenode = %s", [path.name.partition("_")[0].partition(".")[0]]).fetchone()
    return str(row[0]) if row else str(path)


def settled(settings: Settings, *, vacuum: bool = True) -> None:
    """PostgreSQL has put away what no row needs, and its log goes on in fresh segments."""
    if settings.database_url is None:
        return
    with psycopg.connect(settings.database_url, autocommit=True) as admin:
        if vacuum:
            admin.execute("VACUUM")
        for _ in range(8 if vacuum else 1):
            admin.execute("SELECT pg_switch_wal()")
            admin.execute("CHECKPOINT")


def test_after_erasure_no_word_is_left_anywhere_nor_in_a_backup_that_is_restored(
    settings: Settings, clock: Clock, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    if settings.database_url and not Path(data_directory(settings)).is_dir():
        pytest.skip("the server's files are elsewhere")
    with serving(settings, open_database(settings), clock, limit_factor=100, base_url="http://localhost:{port}") as served:
        database, visitor, bob = served.kit.database, served.visitor(), served.visitor()
        who = plant(visitor, database, served.kit.settings.base_url)
        bob.sign_up(BOB)
        with zipfile.ZipFile(io.BytesIO(visitor.get("/api/v1/export").content)) as whole:
            told = b"".join(whole.read(name) for name in whole.namelist()).decode(errors="replace")
        assert [word for word in TOLD if f"{MARK}{word}" not in told] == []
        settled(settings, vacuum=False)
        assert bool(found(settings, f"{MARK}{BARE}")) == (settings.database_url is not None)
        assert found(settings) == found(settings, f"{MARK}{BARE}")
        backup.take(database, tmp_path / "before", NOW)
        gone = visitor.post("/api/v1/erasure", json={"password": PLANTED.password, "confirm": "erase", "at_once": True})
        assert gone.status_code == 204, gone.text
        assert set(rows_of(database, who).values()) == {0}
        operator.retain(database, clock())
    settled(settings)
    assert found(settings) == set()

    empty(settings)
    done = backup.restore(settings, tmp_path / "before", None, NOW, lambda _told: None)
    assert (done.people, done.erased) == (2, 1)
    with serving(settings, open_database(settings), clock) as served:
        operator.retain(served.kit.database, clock())
        served.visitor().sign_in(BOB)
        with served.kit.database.read(right="operator") as tx:
            assert not accounts.stands(tx, who)
    settled(settings)
    assert found(settings) == set()
    out, err = capfd.readouterr()
    assert MARK not in out + err


def data_directory(settings: Settings) -> str:
    with psycopg.connect(settings.database_url or "") as admin:
        return str((admin.execute("SHOW data_directory").fetchone() or [""])[0])
