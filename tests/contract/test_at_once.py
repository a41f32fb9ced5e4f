"""Short work: in the event loop of the embedded engine, whose writers are committed together; in threads on PostgreSQL."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from anyio import to_thread

from stillwave.db.database import PostgresDatabase, Query, SqliteDatabase, open_database
from stillwave.errors import ConstraintBroken, StorageFull, Unavailable
from stillwave.settings import Settings
from tests.cast import NOW

AnyDatabase = SqliteDatabase | PostgresDatabase


def query(text: str) -> Query:
    return Query("test", text, text.replace(":name", "%(name)s").replace(":value", "%(value)s"))


PUT = query("INSERT INTO installation (name, value) VALUES (:name, :value)")
GET = query("SELECT value FROM installation WHERE name = :name")
NAMES = query("SELECT name FROM installation WHERE name LIKE 'n%%' ORDER BY name")
NAMES.sqlite = NAMES.sqlite.replace("%%", "%")


@pytest.fixture
def database(database: AnyDatabase) -> AnyDatabase:
    """The handle as operators have it: these tests write into any table."""
    database.right = "operator"
    return database


@pytest.fixture
def embedded(settings_on: Callable[[str], Settings]) -> Any:
    opened = open_database(settings_on("sqlite"))
    yield opened
    opened.close()


def putting(database: AnyDatabase, name: str, value: str = "1", *, then: Callable[[], None] = lambda: None) -> Callable[[], str]:
    def work() -> str:
        with database.write() as tx:
            tx.run(PUT, name=name, value=value)
            then()
        return name

    return work


def getting(database: AnyDatabase, name: str) -> Callable[[], Any]:
    def work() -> str | None:
        with database.read() as tx:
            return tx.value(GET, name=name)

    return work


def in_a_loop(work: Coroutine[Any, Any, Any]) -> Any:
    """What the work comes to, in a loop of its own thread: browser tests leave a running one in that of the tests."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


def names(database: AnyDatabase) -> list[str]:
    with database.read() as tx:
        return [row["name"] for row in tx.rows(NAMES)]


async def put_all(database: AnyDatabase, *works: Callable[[], Any]) -> list[Any]:
    return await asyncio.gather(*(database.at_once(work, writes=True) for work in works), return_exceptions=True)


# --- on both engines ---------------------------------------------------------------------------------------------------


def test_who_writes_at_once_is_answered_when_it_is_stored(database: AnyDatabase) -> None:
    found = in_a_loop(put_all(database, *(putting(database, f"n{n:02}") for n in range(40))))
    assert sorted(found) == names(database) == [f"n{n:02}" for n in range(40)]


def test_an_error_takes_back_the_work_it_was_in_and_no_other(database: AnyDatabase) -> None:
    def broken() -> None:
        raise ValueError("mine alone")

    found = in_a_loop(put_all(
        database, putting(database, "n1"), putting(database, "n2", then=broken), putting(database, "n1"), putting(database, "n3"),
    ))  # fmt: skip
    assert isinstance(found[1], ValueError)
    assert {type(found[0]), type(found[2])} == {str, ConstraintBroken}  # whoever came second
    assert found[3] == "n3"
    assert names(database) == ["n1", "n3"]


def test_reading_sees_what_was_answered_before(database: AnyDatabase) -> None:
    async def talk() -> list[Any]:
        seen: list[Any] = [await database.at_once(getting(database, "n1"), writes=False)]
        await database.at_once(putting(database, "n1", "5"), writes=True)
        seen.append(await database.at_once(getting(database, "n1"), writes=False))
        return seen

    assert in_a_loop(talk()) == [None, "5"]


def test_work_may_have_one_transaction_after_the_other(database: AnyDatabase) -> None:
    def work() -> str | None:
        putting(database, "n1", "7")()
        putting(database, "n2", "8")()
        return getting(database, "n1")()

    assert in_a_loop(database.at_once(work, writes=True)) == "7"
    assert names(database) == ["n1", "n2"]


def test_threads_and_the_loop_take_turns(database: AnyDatabase) -> None:
    def in_a_thread(which: int) -> None:
        for n in range(20):
            putting(database, f"n{which}-{n:02}")()

    async def beside() -> list[Any]:
        return [await put_all(database, *(putting(database, f"n{turn}+{n}") for n in range(4))) for turn in range(10)]

    threads = [threading.Thread(target=in_a_thread, args=(which,)) for which in range(2)]
    for thread in threads:
        thread.start()
    in_a_loop(beside())
    for thread in threads:
        thread.join()
    assert len(names(database)) == 2 * 20 + 10 * 4


# --- the embedded engine -----------------------------------------------------------------------------------------------


def test_writers_who_wait_are_committed_together(embedded: SqliteDatabase) -> None:
    told: list[str] = []

    def watched() -> None:
        with embedded.write() as tx:
            tx.connection.set_trace_callback(told.append)

    async def talk() -> None:
        await embedded.at_once(watched, writes=True)
        await put_all(embedded, *(putting(embedded, f"n{n}") for n in range(8)))

    in_a_loop(talk())
    assert told.count("COMMIT") == 2  # that of the watcher, and one of all eight
    assert len(names(embedded)) == 8


def test_nobody_sees_what_is_not_committed(embedded: SqliteDatabase) -> None:
    seen: list[list[str]] = []

    def look() -> None:
        looking = threading.Thread(target=lambda: seen.append(names(embedded)))
        looking.start()
        looking.join()

    in_a_loop(put_all(embedded, putting(embedded, "n1"), putting(embedded, "n2", then=look), putting(embedded, "n3")))
    assert seen == [[]]
    assert names(embedded) == ["n1", "n2", "n3"]


def test_who_reads_while_others_write_waits_for_their_commit(embedded: SqliteDatabase) -> None:
    async def talk() -> Any:
        writing = asyncio.create_task(put_all(embedded, putting(embedded, "n1"), putting(embedded, "n2")))
        while not writing.done():
            found = await embedded.at_once(getting(embedded, "n1"), writes=False)
            assert found in (None, "1")
            if found:
                assert names_in_a_thread() == ["n1", "n2"]
            await asyncio.sleep(0)
        return await writing

    def names_in_a_thread() -> list[str]:
        seen: list[list[str]] = []
        looking = threading.Thread(target=lambda: seen.append(names(embedded)))
        looking.start()
        looking.join()
        return seen[0]

    assert in_a_loop(talk()) == ["n1", "n2"]


def test_work_that_was_said_to_read_cannot_write(embedded: SqliteDatabase) -> None:
    with pytest.raises(RuntimeError, match="only wants to write"):
        in_a_loop(embedded.at_once(putting(embedded, "n1"), writes=False))
    assert names(embedded) == []


def test_another_process_that_writes_is_waited_for_without_holding_up_the_loop(embedded: SqliteDatabase) -> None:
    other = embedded.raw()
    other.execute("BEGIN IMMEDIATE")

    async def talk() -> list[Any]:
        writing = asyncio.create_task(embedded.at_once(putting(embedded, "n1"), writes=True))
        seen = []
        for _ in range(5):
            await asyncio.sleep(0.02)
            seen.append(await embedded.at_once(getting(embedded, "n1"), writes=False))
        assert not writing.done()
        other.execute("COMMIT")
        return [seen, await writing]

    assert in_a_loop(talk()) == [[None] * 5, "n1"]
    other.close()


def test_who_waits_too_long_for_another_process_is_told_and_the_next_is_served(
    embedded: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stillwave.db.at_once._PATIENCE_S", 0.05)
    other = embedded.raw()
    other.execute("BEGIN IMMEDIATE")
    found = in_a_loop(put_all(embedded, putting(embedded, "n1"), putting(embedded, "n2")))
    assert [type(one) for one in found] == [Unavailable, Unavailable]
    other.execute("ROLLBACK")
    other.close()
    assert in_a_loop(embedded.at_once(putting(embedded, "n3"), writes=True)) == "n3"
    assert names(embedded) == ["n3"]


def test_handlers_in_threads_that_wait_for_the_turn_do_not_keep_it_from_ending(embedded: SqliteDatabase) -> None:
    free = threading.Event()

    async def talk() -> str:
        limit = to_thread.current_default_thread_limiter()
        busy = [asyncio.create_task(to_thread.run_sync(free.wait)) for _ in range(int(limit.total_tokens))]
        await asyncio.sleep(0.2)
        assert limit.available_tokens == 0
        found = await asyncio.wait_for(embedded.at_once(putting(embedded, "n1"), writes=True), 10)
        free.set()
        await asyncio.gather(*busy)
        return found

    try:
        assert in_a_loop(talk()) == "n1"
    finally:
        free.set()


def test_who_waited_too_long_for_their_turn_is_refused(embedded: SqliteDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stillwave.db.at_once._LONGEST_S", 0.05)
    found = in_a_loop(put_all(embedded, putting(embedded, "n1", then=lambda: time.sleep(0.1)), putting(embedded, "n2")))
    assert [type(one) for one in found] == [str, Unavailable]
    assert names(embedded) == ["n1"]


def test_a_connection_stays_when_another_process_is_in_the_way(embedded: SqliteDatabase) -> None:
    putting(embedded, "n1")()
    before = embedded.connections_now()
    other = embedded.raw()
    other.execute("BEGIN IMMEDIATE")

    async def talk() -> str:
        await embedded.at_once(getting(embedded, "n1"), writes=False)
        opened = embedded.connections_now()["open"]
        writing = asyncio.create_task(embedded.at_once(putting(embedded, "n2"), writes=True))
        await asyncio.sleep(0.1)
        assert embedded.connections_now()["open"] == opened
        other.execute("COMMIT")
        return await writing

    assert in_a_loop(talk()) == "n2"
    other.close()
    assert embedded.connections_now() == before | {"open": before["open"] + 1}  # that of the loop


def test_a_full_disk_refuses_whoever_was_not_stored(embedded: SqliteDatabase) -> None:
    def little_room() -> None:
        with embedded.write() as tx:
            [[pages]] = tx.connection.execute("PRAGMA page_count").fetchall()
            tx.connection.execute(f"PRAGMA max_page_count = {pages + 20}")

    async def talk() -> list[Any]:
        await embedded.at_once(little_room, writes=True)
        return await put_all(embedded, putting(embedded, "n1"), putting(embedded, "n2", "x" * 1_000_000), putting(embedded, "n3"))

    found = in_a_loop(talk())
    assert isinstance(found[1], StorageFull)
    assert [one for one in found if isinstance(one, str)] == names(embedded)
    assert all(isinstance(one, str | StorageFull) for one in found)


def test_a_transaction_that_ended_before_its_time_refuses_everybody_in_it(embedded: SqliteDatabase) -> None:
    def ended() -> None:  # as SQLite does by itself after some errors of the disk
        with embedded.write() as tx:
            tx.connection.execute("ROLLBACK")
            raise StorageFull("full")

    async def talk() -> list[Any]:
        return [*await put_all(embedded, putting(embedded, "n1"), ended, putting(embedded, "n2")),
                await embedded.at_once(putting(embedded, "n3"), writes=True)]  # fmt: skip

    found = in_a_loop(talk())
    assert [type(one) for one in found] == [StorageFull, StorageFull, StorageFull, str]
    assert names(embedded) == ["n3"]


def test_the_file_may_be_given_a_new_key_meanwhile(embedded: SqliteDatabase) -> None:
    async def talk() -> list[Any]:
        found = [await embedded.at_once(putting(embedded, "n1"), writes=True)]
        await asyncio.to_thread(embedded.rekey, NOW)
        found.append(await embedded.at_once(getting(embedded, "n1"), writes=False))
        found.append(await embedded.at_once(putting(embedded, "n2"), writes=True))
        return found

    assert in_a_loop(talk()) == ["n1", "1", "n2"]
    assert names(embedded) == ["n1", "n2"]


def test_two_loops_take_turns(embedded: SqliteDatabase) -> None:
    def loop(which: int) -> None:
        for turn in range(5):
            in_a_loop(put_all(embedded, *(putting(embedded, f"n{which}-{turn}-{n}") for n in range(4))))

    threads = [threading.Thread(target=loop, args=(which,)) for which in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(names(embedded)) == 40
