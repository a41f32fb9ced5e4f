"""Who was erased does not come back with an old backup: the key store remembers."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import msgspec
import psycopg
import pytest

from stillwave.accounts import actions as accounts
from stillwave.db import audit
from stillwave.db.database import Database, Query, open_database
from stillwave.errors import NotFound, StillwaveError
from stillwave.privacy import actions as privacy
from stillwave.settings import Settings
from tests import rows
from tests.cast import ALICE, BOB, Clock
from tests.contract.test_nothing_readable_lies_around import rows_of
from tests.served import serving


@pytest.fixture
def backups(settings: Settings, tmp_path: Path) -> Iterator[Callable[[], Settings]]:
    """Makes a copy of the closed database; its settings share the key store and the sound folder."""
    made: list[str] = []

    def take() -> Settings:
        if settings.database_url is None:
            (tmp_path / "old").mkdir()
            shutil.copy(settings.database_file, tmp_path / "old")
            return settings
        name = urlsplit(settings.database_url).path.strip("/")
        made.append(f"old_{name}")
        with psycopg.connect(_at(settings, "postgres"), autocommit=True) as admin:
            admin.execute(f"CREATE DATABASE old_{name} TEMPLATE {name} STRATEGY file_copy")
        return msgspec.structs.replace(settings, database_url=_at(settings, f"old_{name}"))

    yield take
    for copy in made:
        with psycopg.connect(_at(settings, "postgres"), autocommit=True) as admin:
            admin.execute(f"DROP DATABASE {copy} WITH (FORCE)")


def _at(settings: Settings, name: str) -> str:
    return urlunsplit(urlsplit(settings.database_url or "")._replace(path=f"/{name}"))


def _sound_of(database: Database, who: str) -> str:
    text = "SELECT file_path FROM audio_files WHERE user_id = "
    with database.read(right="operator") as tx:
        return str(tx.value(Query("sound", text + ":who", text + "%(who)s"), who=who))


def test_an_old_backup_does_not_bring_anybody_back(
    settings: Settings, clock: Clock, backups: Callable[[], Settings], tmp_path: Path
) -> None:
    with serving(settings, open_database(settings), clock) as served:
        alice, bob = served.visitor(), served.visitor()
        for visitor, person in ((alice, ALICE), (bob, BOB)):
            visitor.sign_up(person)
            visitor.screened()
        alice.rate(alice.session()["id"])
        who, other = alice.get("/api/v1/me").json()["id"], bob.get("/api/v1/me").json()["id"]
        sound = settings.audio_dir / _sound_of(served.kit.database, who)
        sound.parent.mkdir(exist_ok=True)
        sound.write_bytes(b"sealed")
    old = backups()
    with serving(settings, open_database(settings), clock) as served:
        again = served.visitor()
        again.sign_in(ALICE)
        assert again.post("/api/v1/erasure", json={"password": ALICE.password, "confirm": "erase"}).status_code == 204
    if settings.database_url is None:
        shutil.copy(tmp_path / "old" / settings.database_file.name, settings.database_file)
    assert not sound.exists()
    sound.write_bytes(b"sealed")

    before = open_database(old)
    assert set(rows_of(before, who).values()) != {0}  # the backup did bring her back
    before.close()
    before.vault.keys.close()
    with serving(old, open_database(old), clock) as served:  # and the start of the server ends that
        database = served.kit.database
        assert set(rows_of(database, who).values()) == {0}
        assert not sound.exists()
        with pytest.raises(NotFound):
            database.vault.keys.key(uuid.UUID(who))
        with database.read(right="operator") as tx:
            assert audit.verify(tx) == {}
            [last] = audit.events(tx, uuid.UUID(who), 2**31, 1)
        assert (last.action, last.actor) == ("account.erased", "system")
        assert rows_of(database, other)["users"] == 1
        visitor = served.visitor()
        visitor.sign_in(BOB)
        assert privacy.erase_again(database, clock()) == 0


def test_an_erasure_that_was_cut_off_before_its_commit_is_finished(database: Database, clock: Clock) -> None:
    with database.write(right="operator") as tx:
        rows.insert(tx, "users", **rows.user(ALICE))
        rows.insert(tx, "users", **rows.user(BOB))
    alice = uuid.UUID(str(rows.user(ALICE)["id"]))
    database.vault.keys.create(alice)

    class PowerCut(Exception):
        pass

    with pytest.raises(PowerCut), database.write(alice) as tx:
        accounts.delete(tx, alice, clock())
        raise PowerCut
    assert rows_of(database, alice)["users"] == 1
    assert [user_id for user_id, _ in database.vault.keys.erased()] == [alice]
    assert privacy.erase_again(database, clock()) == 1
    assert rows_of(database, alice)["users"] == 0
    assert rows_of(database, rows.user(BOB)["id"])["users"] == 1
    assert privacy.erase_again(database, clock()) == 0


def test_what_fails_before_the_key_goes_changes_nothing(database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    with database.write(right="operator") as tx:
        rows.insert(tx, "users", **rows.user(ALICE))
    alice = uuid.UUID(str(rows.user(ALICE)["id"]))
    database.vault.keys.create(alice)

    def fail(*_: object, **__: object) -> None:
        raise StillwaveError("no")

    with monkeypatch.context() as broken, pytest.raises(StillwaveError), database.write(alice) as tx:
        broken.setattr(audit, "note", fail)
        accounts.delete(tx, alice, clock())
    assert database.vault.keys.key(alice)
    assert database.vault.keys.erased() == []
    assert rows_of(database, alice)["users"] == 1
