"""The two engines behind one handle: `Database` opens transactions, `Tx` runs named queries.

Values are the same on both engines: ids are UUID, times are aware UTC datetimes, JSON is text.
The engine differences live here and in `*.sqlite.sql` / `*.postgres.sql`; nothing else asks which
engine it is.
"""

from __future__ import annotations

import datetime as dt
import queue
import re
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import aiosql
import msgspec
import sqlcipher3.dbapi2 as sqlcipher

from stillwave.db.keys import KeyStore, RootKey, load_root_key, open_encrypted
from stillwave.db.seal import Vault
from stillwave.errors import CannotStart, ConstraintBroken, StorageFull, Unavailable
from stillwave.settings import Settings

T = TypeVar("T")
Row = Mapping[str, Any]


class Query:
    """One named statement, in the text of each engine."""

    __slots__ = ("name", "postgres", "sqlite")

    def __init__(self, name: str, sqlite: str, postgres: str) -> None:
        self.name, self.sqlite, self.postgres = name, sqlite, postgres


class Queries:
    """The queries of one feature: `queries.sql`, with `queries.<engine>.sql` beside it where they differ."""

    def __init__(self, folder: Path) -> None:
        self._queries: dict[str, Query] = {}
        texts = {"sqlite": self._read(folder, "sqlite"), "postgres": self._read(folder, "postgres")}
        if texts["sqlite"].keys() != texts["postgres"].keys():
            odd = sorted(texts["sqlite"].keys() ^ texts["postgres"].keys())
            raise RuntimeError(f"{folder}: queries on one engine only: {odd}")
        for name, text in texts["sqlite"].items():
            self._queries[name] = Query(name, text, texts["postgres"][name])

    @staticmethod
    def _read(folder: Path, engine: str) -> dict[str, str]:
        driver = {"sqlite": "sqlite3", "postgres": "psycopg"}[engine]
        found: dict[str, str] = {}
        for path in (folder / "queries.sql", folder / f"queries.{engine}.sql"):
            if path.exists():
                loaded = aiosql.from_path(path, driver, mandatory_parameters=False)
                found |= {name: getattr(loaded, name).sql for name in loaded.available_queries
                          if not name.endswith("_cursor")}
        return found

    def __getattr__(self, name: str) -> Query:
        try:
            return self._queries[name]
        except KeyError:
            raise AttributeError(name) from None


class Tx(Protocol):
    """An open transaction for one acting person (or nobody). It is never committed inside."""

    vault: Vault

    def run(self, query: Query, /, **values: object) -> int:
        """Rows changed."""
        ...

    def rows(self, query: Query, /, **values: object) -> list[Row]:
        """Every row, as the driver gave it."""
        ...

    def one(self, shape: type[T], query: Query, /, **values: object) -> T | None:
        """The first row as `shape` (a msgspec Struct), or None."""
        ...

    def all(self, shape: type[T], query: Query, /, **values: object) -> list[T]:
        """Every row as `shape`."""
        ...

    def value(self, query: Query, /, **values: object) -> Any:  # noqa: ANN401
        """The first column of the first row, or None."""
        ...

    def act_as(self, user_id: uuid.UUID) -> None:
        """From here on the transaction acts for this person."""
        ...


class _Reading:
    """What both engines do alike: turn rows into Structs."""

    vault: Vault

    def rows(self, query: Query, /, **values: object) -> list[Row]:
        raise NotImplementedError

    def one(self, shape: type[T], query: Query, /, **values: object) -> T | None:
        found = self.rows(query, **values)
        return msgspec.convert(found[0], shape, strict=False) if found else None

    def all(self, shape: type[T], query: Query, /, **values: object) -> list[T]:
        return [msgspec.convert(row, shape, strict=False) for row in self.rows(query, **values)]

    def value(self, query: Query, /, **values: object) -> Any:  # noqa: ANN401
        found = self.rows(query, **values)
        return next(iter(found[0].values())) if found else None


class Database(Protocol):
    """An engine that is open."""

    vault: Vault

    @property
    def engine(self) -> Literal["sqlite", "postgres"]:
        """Which one it is; only `db/` may care."""
        ...

    def read(self, acting: uuid.UUID | None = None) -> Any:  # noqa: ANN401
        """A context manager: a transaction that only reads."""
        ...

    def write(self, acting: uuid.UUID | None = None) -> Any:  # noqa: ANN401
        """A context manager: a transaction that is committed at its end, or rolled back on an error."""
        ...

    def raw(self) -> Any:  # noqa: ANN401
        """A driver connection of its own for migrations; the caller closes it."""
        ...

    def prepare_months(self, now: dt.datetime) -> None:
        """The partitions of the months around `now` exist, where there are partitions."""
        ...

    def close(self) -> None:
        """Every connection is closed."""
        ...


# --- SQLite (SQLCipher) -------------------------------------------------------------------------


def as_text(moment: dt.datetime) -> str:
    """A time as SQLite keeps it: UTC, milliseconds, `2026-01-31T23:59:59.000Z`."""
    return moment.astimezone(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _as_parameter(value: object) -> object:
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, dt.datetime):
        return as_text(value)
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    return value


def _as_dict(cursor: sqlcipher.Cursor, row: tuple[object, ...]) -> dict[str, object]:
    return {column[0]: value for column, value in zip(cursor.description, row, strict=True)}


class SqliteTx(_Reading):
    """A transaction on the embedded database."""

    def __init__(self, connection: sqlcipher.Connection, vault: Vault) -> None:
        self._connection, self.vault = connection, vault

    def _execute(self, query: Query, values: Mapping[str, object]) -> sqlcipher.Cursor:
        try:
            return self._connection.execute(
                query.sqlite, {name: _as_parameter(value) for name, value in values.items()}
            )
        except sqlcipher.IntegrityError as error:
            raise ConstraintBroken(_sqlite_constraint(self._connection, query, str(error))) from error
        except (UnicodeEncodeError, OverflowError) as error:
            raise ConstraintBroken(_NO_FORM) from error

    def run(self, query: Query, /, **values: object) -> int:
        return int(self._execute(query, values).rowcount)

    def rows(self, query: Query, /, **values: object) -> list[Row]:
        cursor = self._execute(query, values)
        return [_as_dict(cursor, row) for row in cursor.fetchall()]

    def act_as(self, user_id: uuid.UUID) -> None:
        """Nothing to tell SQLite: every query names its person."""


# The name of the refusal when a value is none of its column's type: too large, not a date, not text.
_NO_FORM = "form"


def _sqlite_constraint(connection: sqlcipher.Connection, query: Query, message: str) -> str:
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
    return _NO_FORM


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


class SqliteDatabase:
    """The embedded default: one encrypted file, WAL, one writer at a time."""

    engine: Literal["sqlite"] = "sqlite"
    connections = 8

    def __init__(self, path: Path, key: bytes, vault: Vault) -> None:
        self._path, self._key, self.vault = path, key, vault
        self._idle: queue.LifoQueue[sqlcipher.Connection] = queue.LifoQueue()
        self._slots = threading.BoundedSemaphore(self.connections)
        # Writers of this process queue here; SQLite's own busy wait is neither fair nor quick.
        self._writing = threading.Lock()
        self._idle.put(self.raw())
        for suffix in ("", "-wal", "-shm"):
            file = Path(f"{path}{suffix}")
            if file.exists():
                file.chmod(0o600)

    def raw(self) -> sqlcipher.Connection:
        connection = open_encrypted(self._path, self._key)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA temp_store = MEMORY")  # nothing readable is spilled to disk
        connection.execute("PRAGMA cache_size = -64000")  # pages stay decrypted: reads cost as plain ones
        connection.execute("PRAGMA busy_timeout = 10000")
        return connection

    @contextmanager
    def read(self, acting: uuid.UUID | None = None) -> Iterator[SqliteTx]:  # noqa: ARG002
        with self._transaction("BEGIN") as tx:
            yield tx

    @contextmanager
    def write(self, acting: uuid.UUID | None = None) -> Iterator[SqliteTx]:  # noqa: ARG002
        if not self._writing.acquire(timeout=20):
            raise Unavailable("The database is busy. Please try again.")
        try:
            with self._transaction("BEGIN IMMEDIATE") as tx:
                yield tx
        finally:
            self._writing.release()

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[SqliteTx]:
        if not self._slots.acquire(timeout=20):
            raise Unavailable("Too many requests at once. Please try again.")
        connection = None
        try:
            try:
                connection = self._idle.get_nowait()
            except queue.Empty:
                connection = self.raw()
            connection.execute(begin)
            try:
                yield SqliteTx(connection, self.vault)
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
        except sqlcipher.OperationalError as error:
            if connection is not None and connection.in_transaction:
                connection.execute("ROLLBACK")
            raise _sqlite_trouble(error) from error
        finally:
            if connection is not None:
                self._idle.put(connection)
            self._slots.release()

    def prepare_months(self, now: dt.datetime) -> None:
        """Nothing to prepare: SQLite has no partitions."""

    def close(self) -> None:
        while True:
            try:
                self._idle.get_nowait().close()
            except queue.Empty:
                return


def _sqlite_trouble(error: Exception) -> Exception:
    text = str(error)
    if "disk is full" in text:
        return StorageFull("The disk of the server is full. Nothing was stored; free some space and try again.")
    if "readonly" in text or "unable to open" in text or "disk I/O" in text:
        return StorageFull("The data folder cannot be written. Nothing was stored; check its disk and its rights.")
    if "locked" in text or "busy" in text:
        return Unavailable("The database is busy. Please try again.")
    return error


# --- PostgreSQL ---------------------------------------------------------------------------------


_ENSURE_PARTITIONS = Query("ensure_partitions", "", "SELECT ensure_partitions(%(first)s, %(last)s)")


class PostgresTx(_Reading):
    """A transaction on PostgreSQL. Rows are dicts; the acting person is a transaction-local setting."""

    def __init__(self, connection: Any, vault: Vault) -> None:  # noqa: ANN401
        self._connection, self.vault = connection, vault

    def _execute(self, query: Query, values: Mapping[str, object]) -> Any:  # noqa: ANN401
        import psycopg

        try:
            return self._connection.execute(query.postgres, values)
        except psycopg.IntegrityError as error:
            raise ConstraintBroken(_postgres_constraint(error.diag)) from error
        except (psycopg.DataError, UnicodeEncodeError) as error:
            raise ConstraintBroken(_NO_FORM) from error

    def run(self, query: Query, /, **values: object) -> int:
        return int(self._execute(query, values).rowcount)

    def rows(self, query: Query, /, **values: object) -> list[Row]:
        found: list[Row] = self._execute(query, values).fetchall()
        return found

    def act_as(self, user_id: uuid.UUID) -> None:
        self._connection.execute("SELECT set_config('stillwave.user_id', %s, true)", [str(user_id)])


_PARTITION = re.compile(r"^(sessions|audio_files|session_feedback)_(?:default|y\d{4}m\d{2})(?=_|$)")


def _postgres_constraint(said: Any) -> str:  # noqa: ANN401
    """The constraint's name, under the table's own name where a partition has a copy of it."""
    if said.sqlstate == "23502":
        name = f"{said.table_name}_{said.column_name}_not_null"
    else:
        name = said.constraint_name or "unknown"
    return _PARTITION.sub(r"\1", name)


class PostgresDatabase:
    """PostgreSQL 15-18 behind a pool that survives a restart of the server."""

    engine: Literal["postgres"] = "postgres"

    def __init__(self, url: str, vault: Vault) -> None:
        # psycopg costs half a second of start-up that the embedded engine need not pay.
        from psycopg_pool import ConnectionPool

        self._url, self.vault = url, vault
        self._pool: ConnectionPool[Any] = ConnectionPool(
            url,
            min_size=1,
            max_size=10,
            timeout=10,
            open=False,
            check=ConnectionPool.check_connection,
            configure=_configure_postgres,
            kwargs={"autocommit": False, "application_name": "stillwave"},
        )

    def open(self) -> None:
        """The pool holds a working connection. Raises CannotStart when the server is out of reach."""
        from psycopg_pool import PoolTimeout

        try:
            self._pool.open(wait=True, timeout=10)
        except PoolTimeout:
            self._pool.close()
            raise CannotStart(
                "PostgreSQL is out of reach. Check STILLWAVE_DATABASE_URL, that the server runs, "
                "and that this user may connect. Nothing was changed."
            ) from None

    def raw(self) -> Any:  # noqa: ANN401
        import psycopg

        return psycopg.connect(self._url, application_name="stillwave-migrate")

    @contextmanager
    def read(self, acting: uuid.UUID | None = None) -> Iterator[PostgresTx]:
        with self._transaction(acting, read_only=True) as tx:
            yield tx

    @contextmanager
    def write(self, acting: uuid.UUID | None = None) -> Iterator[PostgresTx]:
        with self._transaction(acting, read_only=False) as tx:
            yield tx

    @contextmanager
    def _transaction(self, acting: uuid.UUID | None, *, read_only: bool) -> Iterator[PostgresTx]:
        import psycopg
        from psycopg_pool import PoolTimeout

        try:
            with self._pool.connection() as connection:
                if read_only:
                    connection.execute("SET TRANSACTION READ ONLY")
                tx = PostgresTx(connection, self.vault)
                if acting is not None:
                    tx.act_as(acting)
                yield tx
        except PoolTimeout as error:
            raise Unavailable("The database is busy or out of reach. Please try again.") from error
        except psycopg.errors.DiskFull as error:
            raise StorageFull("The disk of the database is full. Nothing was stored.") from error
        except psycopg.OperationalError as error:
            raise Unavailable("The database went away for a moment. Please try again.") from error

    def prepare_months(self, now: dt.datetime) -> None:
        """The last four months, this one and the next four have their partitions."""
        month = now.date().replace(day=1)
        with self.write() as tx:
            tx.run(_ENSURE_PARTITIONS, first=month - dt.timedelta(days=100), last=month + dt.timedelta(days=140))

    def close(self) -> None:
        self._pool.close()


def _configure_postgres(connection: Any) -> None:  # noqa: ANN401
    """One shape on both engines: JSON as text, numbers as float, times in UTC."""
    from psycopg.rows import dict_row
    from psycopg.types.numeric import FloatLoader
    from psycopg.types.string import TextLoader

    for name in ("json", "jsonb"):
        connection.adapters.register_loader(name, TextLoader)
    connection.adapters.register_loader("numeric", FloatLoader)
    connection.row_factory = dict_row
    connection.execute("SET TIME ZONE 'UTC'")
    connection.commit()


# --- opening ------------------------------------------------------------------------------------


def open_vault(settings: Settings, *, has_data: bool) -> tuple[RootKey, Vault]:
    """The root key and the vault over its key store; a new root key only when there is no data yet."""
    root = load_root_key(settings, may_create=not (has_data or settings.keys_file.exists()))
    return root, Vault(root, KeyStore(settings.keys_file, root))


def open_database(settings: Settings) -> SqliteDatabase | PostgresDatabase:
    """The database of these settings, with its keys. The schema is not looked at.

    Raises CannotStart when the folder, the key or the server cannot be used; nothing is touched then.
    """
    _make_folder(settings.data_dir)
    if settings.database_url:
        root, vault = open_vault(settings, has_data=False)
        database = PostgresDatabase(settings.database_url, vault)
        database.open()
        return database
    root, vault = open_vault(settings, has_data=settings.database_file.exists())
    return SqliteDatabase(settings.database_file, root.derive("database"), vault)


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.chmod(0o700)
        probe = path / ".writable"
        probe.touch(mode=0o600)
        probe.unlink(missing_ok=True)  # a second start may have been quicker
    except OSError as error:
        raise CannotStart(
            f"The data folder {path} cannot be used: {error.strerror}. "
            "Set STILLWAVE_DATA_DIR to a folder that you may write."
        ) from error
