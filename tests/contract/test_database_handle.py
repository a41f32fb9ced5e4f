"""The database handle: what was committed stays, what failed is gone, and both engines say so alike."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psycopg
import pytest

from stillwave.db.database import Queries, Query, SqliteDatabase, open_database
from stillwave.errors import CannotStart, ConstraintBroken, StorageFull
from stillwave.settings import Settings
from tests import rows
from tests.cast import ALICE, BOB, NOW


def query(text: str) -> Query:
    """One text for both engines; `:name` marks a value."""
    return Query("test", text, text.replace(":name", "%(name)s").replace(":value", "%(value)s"))


PUT = query("INSERT INTO installation (name, value) VALUES (:name, :value)")
GET = query("SELECT value FROM installation WHERE name = :name")
ADD_ONE = query("UPDATE installation SET value = CAST(CAST(value AS INTEGER) + 1 AS TEXT) WHERE name = :name")


@pytest.fixture
def database(database):
    """The handle as operators have it: these tests write into any table."""
    database.right = "operator"
    return database


def get(database, name):
    with database.read() as tx:
        return tx.value(GET, name=name)


# --- transactions -------------------------------------------------------------------------------


def test_a_transaction_is_kept_at_its_end(database):
    with database.write() as tx:
        assert tx.run(PUT, name="a", value="1") == 1
        assert tx.run(ADD_ONE, name="nothing") == 0
    assert get(database, "a") == "1"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, GeneratorExit])
def test_an_error_inside_undoes_everything(database, error):
    with pytest.raises(error), database.write() as tx:
        tx.run(PUT, name="a", value="1")
        raise error
    assert get(database, "a") is None


def test_a_refused_row_undoes_the_rows_before_it_and_the_handle_goes_on(database):
    for _ in range(12):  # more than there are connections
        with pytest.raises(ConstraintBroken) as refusal, database.write() as tx:
            tx.run(PUT, name="a", value="1")
            tx.run(PUT, name="a", value="2")
        assert refusal.value.name == "installation_pkey"
    assert get(database, "a") is None


def test_a_wrong_statement_undoes_everything_and_the_handle_goes_on(database):
    for _ in range(12):
        with pytest.raises(Exception, match="nowhere"), database.write() as tx:
            tx.run(PUT, name="a", value="1")
            tx.run(query("SELECT * FROM nowhere"))
    assert get(database, "a") is None


def test_a_reader_sees_nothing_of_a_transaction_that_is_open(database):
    with database.write() as tx:
        tx.run(PUT, name="a", value="1")
        assert get(database, "a") is None
        assert tx.value(GET, name="a") == "1"


def test_a_read_transaction_cannot_write_on_postgres(database):
    if database.engine == "sqlite":
        return  # one writer at a time is held by BEGIN IMMEDIATE there, not by the reader
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction), database.read() as tx:
        tx.run(PUT, name="a", value="1")
    assert get(database, "a") is None


def test_the_acting_person_is_known_to_postgres_in_one_transaction_only(database):
    if database.engine == "sqlite":
        return
    who = query("SELECT current_setting('stillwave.user_id', true) AS who")
    person = uuid.UUID(int=5)
    with database.read(acting=person) as tx:
        assert tx.value(who) == str(person)
    with database.write() as tx:
        assert not tx.value(who)
        tx.act_as(person)
        assert tx.value(who) == str(person)
    for _ in range(12):
        with database.read() as tx:
            assert not tx.value(who)


# --- values -------------------------------------------------------------------------------------


class SessionRow(msgspec.Struct):
    """What a feature reads from sessions."""

    id: uuid.UUID
    user_id: uuid.UUID
    start_time: dt.datetime
    end_time: dt.datetime | None
    target_frequency: float
    volume_level: int
    side_effects: str


def test_values_come_back_alike_on_both_engines(database):
    user, odd = rows.user(), dt.timezone(dt.timedelta(hours=5, minutes=45))
    row = rows.session(user["id"], NOW.astimezone(odd)) | {"target_frequency": 10.25, "volume_level": 40, "side_effects": '{"a": 1}'}
    with database.write() as tx:
        rows.insert(tx, "users", **user)
        rows.insert(tx, "sessions", **row)
    everything = query("SELECT id, user_id, start_time, end_time, target_frequency, volume_level, side_effects FROM sessions")
    with database.read() as tx:
        found = tx.one(SessionRow, everything)
        assert tx.all(SessionRow, everything) == [found]
        assert tx.one(SessionRow, query("SELECT * FROM sessions WHERE volume_level = 7")) is None
        assert tx.value(query("SELECT id FROM sessions WHERE volume_level = 7")) is None
    assert found is not None
    assert (found.id, found.user_id, found.start_time, found.end_time) == (row["id"], user["id"], NOW, None)
    assert (found.target_frequency, found.volume_level, found.side_effects) == (10.25, 40, '{"a": 1}')
    assert found.start_time.utcoffset() == dt.timedelta(0)


def test_times_keep_their_milliseconds(database):
    user, start = rows.user(), NOW.replace(microsecond=123_000)
    with database.write() as tx:
        rows.insert(tx, "users", **user)
        rows.insert(tx, "sessions", **rows.session(user["id"], start))
    with database.read() as tx:
        found = tx.one(Started, query("SELECT start_time FROM sessions"))
    assert found is not None
    assert found.start_time == start


class Started(msgspec.Struct):
    """Only a start."""

    start_time: dt.datetime


def test_the_database_makes_ids_and_times_that_fit_each_other(database):
    with database.write() as tx:
        rows.insert(tx, "users", **rows.user())
        for _ in range(200):  # the id must hold the start to the millisecond, each time
            rows.insert(tx, "sessions", user_id=rows.user()["id"])
    with database.read() as tx:
        assert tx.value(query("SELECT count(DISTINCT id) AS n FROM sessions")) == 200


# --- queries ------------------------------------------------------------------------------------


def test_queries_are_read_from_files_with_one_text_per_engine_where_they_differ(database, tmp_path):
    (tmp_path / "queries.sql").write_text("-- name: named\nSELECT value FROM installation WHERE name = :name;\n")
    for engine, text in (("sqlite", "'lite'"), ("postgres", "'big'")):
        (tmp_path / f"queries.{engine}.sql").write_text(f"-- name: which\nSELECT {text} AS which;\n")
    queries = Queries(tmp_path)
    with database.write() as tx:
        tx.run(PUT, name="a", value="1")
        assert tx.value(queries.named, name="a") == "1"
        assert tx.value(queries.which) == {"sqlite": "lite", "postgres": "big"}[database.engine]
    with pytest.raises(AttributeError, match="missing"):
        _ = queries.missing


def test_a_query_on_one_engine_only_is_refused_when_it_is_read(tmp_path):
    (tmp_path / "queries.sqlite.sql").write_text("-- name: lonely\nSELECT 1;\n")
    with pytest.raises(RuntimeError, match="lonely"):
        Queries(tmp_path)


# --- many at once -------------------------------------------------------------------------------


def test_eight_threads_writing_at_once_lose_nothing(database):
    with database.write() as tx:
        tx.run(PUT, name="counter", value="0")
    failures: list[BaseException] = []

    def work(mine: int) -> None:
        try:
            for i in range(40):
                with database.write() as tx:
                    tx.run(ADD_ONE, name="counter")
                    tx.run(PUT, name=f"{mine}-{i}", value="x")
                assert get(database, f"{mine}-{i}") == "x"
        except BaseException as error:  # noqa: BLE001  handed to the test
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert get(database, "counter") == "320"
    with database.read() as tx:
        assert tx.value(query("SELECT count(*) AS n FROM installation WHERE value = 'x'")) == 320


WRITER = """
import os, sys
from stillwave.db.database import Query, open_database
from stillwave.settings import load
database = open_database(load(os.environ))
database.right = "operator"
add = "UPDATE installation SET value = CAST(CAST(value AS INTEGER) + 1 AS TEXT) WHERE name = 'counter'"
print("ready", flush=True)
sys.stdin.readline()
for _ in range(100):
    with database.write() as tx:
        tx.run(Query("add", add, add))
database.close()
"""


def as_environ(settings):
    return os.environ | {
        "STILLWAVE_DATA_DIR": str(settings.data_dir),
        "STILLWAVE_ROOT_KEY": settings.root_key or "",
        "STILLWAVE_DATABASE_URL": settings.database_url or "",
    }


def test_two_processes_on_one_database_both_write_and_lose_nothing(database, settings):
    with database.write() as tx:
        tx.run(PUT, name="counter", value="0")
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER], env=as_environ(settings), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    for writer in writers:
        assert writer.stdout
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate(timeout=60)
        assert writer.returncode == 0
    assert get(database, "counter") == "200"


FIRST_START = """
import os, sys
from stillwave.db import migrate
from stillwave.db.database import open_database
from stillwave.settings import load
print("ready", flush=True)
sys.stdin.readline()
database = open_database(load(os.environ))
migrate.upgrade(database)
print(migrate.check(database), flush=True)
"""


def test_two_first_starts_at_once_make_one_database(empty_settings):
    starts = [
        subprocess.Popen(
            [sys.executable, "-c", FIRST_START],
            env=as_environ(empty_settings), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    for start in starts:
        assert start.stdout
        assert start.stdout.readline() == "ready\n"
    for start in starts:
        assert start.stdin
        start.stdin.write("go\n")
        start.stdin.flush()
    for start in starts:
        said, complained = start.communicate(timeout=60)
        assert (start.returncode, said) == (0, "current\n"), complained


# --- trouble ------------------------------------------------------------------------------------


@contextlib.contextmanager
def small_disk(path: Path) -> Iterator[bool]:
    """`path` is a disk of 2 MB, where the test may mount one."""
    path.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(path)]
    mounted = os.geteuid() == 0 and subprocess.run(mount, check=False, capture_output=True).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(path)], check=True)


def test_a_full_disk_is_said_and_loses_nothing_that_was_kept(database, settings, tmp_path, monkeypatch):
    if database.engine == "postgres":
        full = "DO $$ BEGIN RAISE EXCEPTION 'no space left on device' USING ERRCODE = 'disk_full'; END $$"
        with database.write() as tx:
            tx.run(PUT, name="kept", value="1")
        with pytest.raises(StorageFull), database.write() as tx:
            tx.run(PUT, name="lost", value="1")
            tx.run(query(full))
        assert (get(database, "kept"), get(database, "lost")) == ("1", None)
        return
    database.close()
    with small_disk(tmp_path / "small") as mounted:
        folder = tmp_path / "small" / "data"
        settings.data_dir.rename(folder) if not mounted else subprocess.run(
            ["cp", "-a", str(settings.data_dir), str(folder)], check=True
        )
        small = open_database(msgspec.structs.replace(settings, data_dir=folder))
        if not mounted:  # no disk of our own: the file itself may not grow
            assert isinstance(small, SqliteDatabase)
            small._idle.get_nowait().close()
            whole = small.raw

            def limited():
                connection = whole()
                connection.execute("PRAGMA max_page_count = 500")
                return connection

            monkeypatch.setattr(small, "raw", limited)
        kept = []
        with pytest.raises(StorageFull, match="Nothing was stored"):
            for i in range(1000):
                with small.write() as tx:
                    tx.run(PUT, name=f"row-{i}", value="x" * 8000)
                kept.append(i)
        assert kept
        with small.read() as tx:
            assert tx.value(query("SELECT count(*) AS n FROM installation WHERE name LIKE 'row-%'")) == len(kept)
            assert tx.value(query("PRAGMA integrity_check")) == "ok"
        small.close()


def test_a_folder_that_cannot_be_written_is_said_before_anything_is_made(settings, tmp_path):
    in_the_way = tmp_path / "file"
    in_the_way.write_text("not a folder")
    with pytest.raises(CannotStart, match="STILLWAVE_DATA_DIR"):
        open_database(msgspec.structs.replace(settings, data_dir=in_the_way / "data"))


def test_a_server_out_of_reach_is_said_without_its_password(settings, monkeypatch):
    if settings.database_url is None:
        return
    import psycopg_pool

    monkeypatch.setattr(psycopg_pool.ConnectionPool, "open", out_of_time)
    away = msgspec.structs.replace(settings, database_url="postgresql://stillwave:hunter2@127.0.0.1:9/stillwave")
    with pytest.raises(CannotStart, match="PostgreSQL is out of reach") as refusal:
        open_database(away)
    assert "hunter2" not in str(refusal.value)


def out_of_time(*_: object, **__: object) -> None:
    from psycopg_pool import PoolTimeout

    raise PoolTimeout


def test_people_are_kept_apart_by_their_unique_index(database):
    with database.write() as tx:
        rows.insert(tx, "users", **rows.user(ALICE))
        rows.insert(tx, "users", **rows.user(BOB))
    with database.read() as tx:
        assert rows.count(tx, "users") == 2


def test_a_lost_key_store_is_not_replaced_by_an_empty_one(settings: Settings) -> None:
    opened = open_database(settings)
    with opened.write() as tx:
        rows.insert(tx, "users", **rows.user())
    opened.close()
    opened.vault.keys.close()
    kept = settings.keys_file.read_bytes()
    settings.keys_file.unlink()
    with pytest.raises(CannotStart, match="key store"):
        open_database(settings)
    assert not settings.keys_file.exists()
    settings.keys_file.write_bytes(kept)
    open_database(settings).close()
