"""The embedded engine: SQLite in one file, encrypted by SQLCipher."""

from __future__ import annotations

import asyncio
import datetime as dt
import math
import queue
import re
import tempfile
import threading
import time
import uuid
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, TypeVar

import sqlcipher3.dbapi2 as sqlcipher

from stillwave.db.at_once import AtOnce
from stillwave.db.handle import NO_FORM, Query, Reading, Right, Row
from stillwave.db.keys import open_encrypted
from stillwave.db.seal import Vault
from stillwave.errors import CannotStart, ConstraintBroken, StorageFull, Unavailable

T = TypeVar("T")


def as_text(moment: dt.datetime) -> str:
    """A time as SQLite keeps it: UTC, milliseconds, `2026-01-31T23:59:59.000Z`."""
    return moment.astimezone(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _as_parameter(value: object) -> object:
    if isinstance(value, str):
        if "\0" in value:  # PostgreSQL has no such text; SQLite would keep it, and its functions read up to it
            raise ConstraintBroken(NO_FORM)
        return value
    if isinstance(value, float) and math.isnan(value):  # SQLite would make NULL of it
        raise ConstraintBroken(NO_FORM)
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, dt.datetime):
        return as_text(value)
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    return value


def _as_dict(cursor: sqlcipher.Cursor, row: tuple[object, ...]) -> dict[str, object]:
    return {column[0]: value for column, value in zip(cursor.description, row, strict=True)}


class SqliteTx(Reading):
    """A transaction on the embedded database."""

    def __init__(self, connection: sqlcipher.Connection, vault: Vault, slow_s: float) -> None:
        self._connection, self.vault, self.slow_s = connection, vault, slow_s

    @property
    def connection(self) -> sqlcipher.Connection:
        """The driver's own connection, for what no named query can say: COPY, or rows by the million."""
        return self._connection

    def _execute(self, query: Query, values: Mapping[str, object]) -> sqlcipher.Cursor:
        given = {name: _as_parameter(value) for name, value in values.items()}
        try:
            for step in query.before:
                self._connection.execute(step, given)
            return self._connection.execute(query.sqlite, given)
        except sqlcipher.IntegrityError as error:
            raise ConstraintBroken(sqlite_constraint(self._connection, query, str(error))) from error
        except (UnicodeEncodeError, OverflowError) as error:
            raise ConstraintBroken(NO_FORM) from error

    def run(self, query: Query, /, **values: object) -> int:
        began_s = time.perf_counter()
        changed = int(self._execute(query, values).rowcount)
        self.tell_if_slow(query, began_s)
        return changed

    def rows(self, query: Query, /, **values: object) -> list[Row]:
        began_s = time.perf_counter()
        cursor = self._execute(query, values)
        found: list[Row] = [_as_dict(cursor, row) for row in cursor.fetchall()]
        self.tell_if_slow(query, began_s)
        return found

    def act_as(self, user_id: uuid.UUID) -> None:
        """Nothing to tell SQLite: every query names its person."""


def sqlite_constraint(connection: sqlcipher.Connection, query: Query, message: str) -> str:
    """The name PostgreSQL would give; SQLite itself names only checks."""
    kind, _, rest = message.partition(" constraint failed")
    places = [place.split(".") for place in rest.removeprefix(": ").split(", ")]
    if kind == "CHECK":
        return rest.removeprefix(": ")
    if kind == "NOT NULL":
        return f"{'_'.join(places[0])}_not_null"
    if kind == "UNIQUE":
        return _sqlite_unique(connection, places[0][0], [place[-1] for place in places])
    if kind == "FOREIGN KEY":
        table = _WRITES_TO.search(query.sqlite)
        named = _FOREIGN_KEY.search(_sqlite_ddl(connection, table[1])) if table else None
        return named[1] if named else "unknown"
    return NO_FORM


_WRITES_TO = re.compile(r"\b(?:INTO|UPDATE)\s+(\w+)", re.IGNORECASE)
# A table that refers to a session and to its person checks the session first, on PostgreSQL as well.
_FOREIGN_KEY = re.compile(r"CONSTRAINT (\w+) FOREIGN KEY")


def _sqlite_ddl(connection: sqlcipher.Connection, table: str) -> str:
    row = connection.execute("SELECT sql FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    return str(row[0]) if row else ""


def _sqlite_unique(connection: sqlcipher.Connection, table: str, columns: list[str]) -> str:
    named = re.search(rf"CONSTRAINT (\w+) UNIQUE \({', '.join(columns)}\)", _sqlite_ddl(connection, table))
    if named:
        return named[1]
    for _, index, unique, origin, _ in connection.execute(f"PRAGMA index_list({table})").fetchall():
        found = [row[2] for row in connection.execute(f"PRAGMA index_info({index})").fetchall()]
        if unique and found == columns:
            return f"{table}_pkey" if origin == "pk" else str(index)
    return "unknown"


def moved_file(path: Path) -> Path:
    """Where this file is, nobody writes to the database at `path` any more: it is moving, or has moved."""
    return Path(f"{path}.moved")


class SqliteDatabase:
    """The embedded default: one encrypted file, WAL, one writer at a time."""

    engine: Literal["sqlite"] = "sqlite"
    encrypts_all = True
    connections = 8
    right: Right = "app"
    one_role = False
    slow_s = 0.5

    def __init__(self, path: Path, vault: Vault, *, read_only: bool = False) -> None:
        self._path, self.vault, self._read_only = path, vault, read_only
        self._moved = moved_file(path)
        self._idle: queue.LifoQueue[sqlcipher.Connection] = queue.LifoQueue()
        self._slots = threading.BoundedSemaphore(self.connections)
        # Writers of this process queue here; SQLite's own busy wait is neither fair nor quick.
        self._writing = threading.Lock()
        self._queued = 0
        self._open, self._waiting = 1, 0
        self._idle.put(self.raw())
        self._loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, AtOnce] = weakref.WeakKeyDictionary()
        self._inside = threading.local()  # `at_once`: whose work runs just now in this thread, which is an event loop's
        for suffix in ("", "-wal", "-shm"):
            file = Path(f"{path}{suffix}")
            if file.exists() and not read_only:
                file.chmod(0o600)

    def raw(self, *, patience_s: float = 10) -> sqlcipher.Connection:
        connection = self._opened()[0]
        connection.execute("PRAGMA query_only = ON" if self._read_only else "PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA temp_store = MEMORY")  # nothing readable is spilled to disk
        connection.execute("PRAGMA cache_size = -64000")  # pages stay decrypted: reads cost as plain ones
        connection.execute(f"PRAGMA busy_timeout = {round(1000 * patience_s)}")
        return connection

    def _opened(self) -> tuple[sqlcipher.Connection, int]:
        """A connection with the newest key that fits, and its generation: an older one until `rekey`, or in a backup."""
        refused: CannotStart | None = None
        for _ in range(2):  # in the midst of the first look the file may get its new key, which then was tried already
            for generation, key, _ in self.vault.keys.house("database"):
                try:
                    return open_encrypted(self._path, key, read_only=self._read_only), generation
                except CannotStart as error:
                    refused = refused or error
        raise refused or RuntimeError("the database has no key")

    def rekey(self, now: dt.datetime) -> bool:
        """The file is encrypted under a new key, page by page in one transaction; True, for here is such a file.

        Readers read on. Writers wait meanwhile (here 25 ms a megabyte). Connections that were open find at their
        next transaction that their key is old, and are made anew.
        """
        newest = self.vault.keys.begin("database", now)
        connection, generation = self._opened()
        try:
            connection.execute("PRAGMA busy_timeout = 20000")
            if generation != newest:
                [key] = [key for number, key, _ in self.vault.keys.house("database") if number == newest]
                with self._turn():
                    connection.execute(f"PRAGMA rekey = \"x'{key.hex()}'\"")
            # Pages under the old key leave the file, and the log is emptied, once nobody reads what was before.
            if connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                raise Unavailable(
                    "The file has its new key, but a long reading still needs old pages. Run the command again."
                )
        finally:
            connection.close()
        self.vault.keys.finish("database", now)
        return True

    def takes_turn_now(self) -> bool:
        """Nobody of this process writes, and nobody waits to: from now on the caller does, until `give_turn`."""
        return not self._queued and self._writing.acquire(blocking=False)

    def take_turn(self) -> None:
        """Of this process only the caller writes, until `give_turn`. Raises Unavailable when it takes too long."""
        self._queued += 1
        try:
            if not self._writing.acquire(timeout=20):
                raise Unavailable("The database is busy. Please try again.")
        finally:
            self._queued -= 1

    def give_turn(self) -> None:
        """The next may write."""
        self._writing.release()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        self.take_turn()
        try:
            yield
        finally:
            self.give_turn()

    async def at_once(self, work: Callable[[], T], *, writes: bool) -> T:
        """What `work` returns. It runs in the event loop, so it is short, and its transactions follow one another.

        What it writes is on the disk when this returns, and not yet when its own transaction ends.
        """
        loop = asyncio.get_running_loop()
        one = self._loops.get(loop)
        if one is None:
            one = self._loops[loop] = AtOnce(self)
        return await one.run(work, writes=writes)

    @contextmanager
    def inside(self, one: AtOnce) -> Iterator[None]:
        """In this thread the block's transactions are those of `one`."""
        self._inside.at_once = one
        try:
            yield
        finally:
            self._inside.at_once = None

    def _here(self) -> AtOnce | None:
        return getattr(self._inside, "at_once", None)

    @property
    def only_reads(self) -> bool:
        """True inside work that runs `at_once` and may not write."""
        here = self._here()
        return here is not None and not here.writes

    @contextmanager
    def read(
        self, acting: uuid.UUID | None = None, *, right: Right | None = None  # noqa: ARG002
    ) -> Iterator[SqliteTx]:
        here = self._here()
        with self._telling(), here.read() if here else self._transaction("BEGIN") as connection:
            yield SqliteTx(connection, self.vault, self.slow_s)

    @contextmanager
    def write(
        self, acting: uuid.UUID | None = None, *, right: Right | None = None  # noqa: ARG002
    ) -> Iterator[SqliteTx]:
        here = self._here()
        with self._telling(), here.write() if here else self._writing_alone() as connection:
            if not self.takes_writes():  # whoever makes that file waits for the writer that did not see it
                raise Unavailable("Stillwave is moving to another database. Nothing was stored; please try again in a minute.")
            yield SqliteTx(connection, self.vault, self.slow_s)

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except sqlcipher.OperationalError as error:
            raise self.trouble(error) from error

    @contextmanager
    def _writing_alone(self) -> Iterator[sqlcipher.Connection]:
        with self._turn(), self._transaction("BEGIN IMMEDIATE") as connection:
            yield connection

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[sqlcipher.Connection]:
        self._waiting += 1
        try:
            if not self._slots.acquire(timeout=20):
                raise Unavailable("Too many requests at once. Please try again.")
        finally:
            self._waiting -= 1
        connection = None
        try:
            try:
                idle: sqlcipher.Connection | None = self._idle.get_nowait()
            except queue.Empty:
                idle = None
            try:
                connection = self.begun(idle, begin)
            except sqlcipher.OperationalError:
                connection = idle
                raise
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        finally:
            if connection is not None:
                self._idle.put(connection)
            self._slots.release()

    def begun(self, connection: sqlcipher.Connection | None, begin: str, *, patience_s: float = 10) -> sqlcipher.Connection:
        """In a transaction: this connection, or a new one if there is none or the file was given a new key.

        When it cannot begin, the connection is closed, unless the error is an OperationalError: another process is in the way.
        """
        if connection is not None:
            try:
                _begin(connection, begin)
            except sqlcipher.OperationalError:
                raise
            except BaseException as error:
                self._drop(connection)
                if "not a database" not in str(error):
                    raise
            else:
                return connection
        connection = self.raw(patience_s=patience_s)
        self._open += 1
        try:
            _begin(connection, begin)
        except BaseException:
            self._drop(connection)
            raise
        return connection

    def _drop(self, connection: sqlcipher.Connection) -> None:
        connection.close()
        self._open -= 1

    @contextmanager
    def snapshot(self) -> Iterator[sqlcipher.Connection]:
        """A driver connection that sees everything as it is at this moment."""
        connection = self.raw()
        try:
            connection.execute("BEGIN")
            yield connection
            connection.execute("COMMIT")
        except sqlcipher.OperationalError as error:
            raise self.trouble(error) from error
        finally:
            connection.close()

    @contextmanager
    def scratch(self) -> Iterator[SqliteDatabase]:
        """An empty database beside this one, gone at the end."""
        with tempfile.TemporaryDirectory(prefix=".scratch-", dir=self._path.parent, ignore_cleanup_errors=True) as folder:
            made = SqliteDatabase(Path(folder) / "scratch.db", self.vault)
            try:
                yield made
            finally:
                made.close()

    def reopen(self) -> None:
        """Nothing to do: a connection has no rights of its own."""

    @staticmethod
    def trouble(error: Exception) -> Exception:
        """What a person is told of a driver's error."""
        text = str(error) if isinstance(error, sqlcipher.OperationalError) else ""
        if "disk is full" in text:
            return StorageFull("The disk of the server is full. Nothing was stored; free some space and try again.")
        if "readonly" in text or "unable to open" in text or "disk I/O" in text:
            return StorageFull("The data folder cannot be written. Nothing was stored; check its disk and its rights.")
        if "locked" in text or "busy" in text:
            return Unavailable("The database is busy. Please try again.")
        return error

    def takes_writes(self) -> bool:
        """False once the database is moving, or has moved."""
        return not self._moved.exists()

    def connections_now(self) -> dict[str, int]:
        return {"open": self._open, "idle": self._idle.qsize(), "waiting": self._waiting}

    def prepare_months(self, now: dt.datetime) -> None:
        """Nothing to prepare: SQLite has no partitions."""

    def close(self) -> None:
        for one in self._loops.values():
            one.close()
        while True:
            try:
                self._idle.get_nowait().close()
            except queue.Empty:
                return


def _begin(connection: sqlcipher.Connection, begin: str) -> None:
    """The transaction sees one state of the file, whose pages are all under the connection's key."""
    connection.execute(begin)
    try:
        connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
