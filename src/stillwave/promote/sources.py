"""What is promoted: a proof of concept (plain SQLite, the seed's four tables) or a database of our own.

Which of the two a file is, is seen by looking at it. Both are only read; a damaged page costs the rows on it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from stillwave.db import bulk, migrate
from stillwave.db.database import PostgresDatabase, SqliteDatabase
from stillwave.db.handle import Query
from stillwave.db.keys import KeyStore, RootKey
from stillwave.db.seal import Vault
from stillwave.db.tables import TABLES, Table
from stillwave.errors import CannotStart
from stillwave.promote import rules
from stillwave.promote.rules import Old, Surroundings

_PLAIN = b"SQLite format 3\0"
# The columns we know; those before the bar must be there.
COLUMNS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "users": (("id", "email"), ("password_hash", "created_at", "account_status")),
    "user_preferences": (("id", "user_id"), ("voice_preference", "background_sound", "session_duration")),
    "sessions": (("id", "user_id", "start_time"), ("end_time", "session_type", "frequency", "effectiveness")),
    "session_feedback": (("id", "session_id"), ("rating", "feedback_text")),
}
POC_STEPS = ("users", "user_preferences", "no_preferences", "sessions", "session_feedback")


def read_from(step: str) -> str:
    """The table of the source that a step reads."""
    return "users" if step == "no_preferences" else step


class Read(NamedTuple):
    """A row of the source: its place, its own columns, then those of the rows it points to."""

    at: int
    values: tuple[Old, ...]


class Damaged(NamedTuple):
    """Rows `first` to `last` lie on a page that cannot be read."""

    first: int
    last: int


class Shape(NamedTuple):
    """What a table of the proof of concept looks like: columns that are ours, others, and whether ids are row numbers."""

    missing: tuple[str, ...]
    others: tuple[str, ...]
    id_is_row: bool


class PocSource:
    """A proof-of-concept database, opened for reading only, as it was at one moment."""

    kind = "proof of concept"
    steps: tuple[str, ...] = POC_STEPS

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = _open_plain(path)
        try:
            self.shapes, self.other_tables = self._look()
        except sqlite3.DatabaseError as error:
            raise CannotStart(f"{path} cannot be read: its first pages are damaged ({error}). Restore it from a copy.") from None

    # --- what it looks like

    def _look(self) -> tuple[dict[str, Shape], tuple[str, ...]]:
        self._file.execute("BEGIN")
        names = [row[0].decode() for row in self._file.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        ours = {name.lower(): name for name in names}
        if "users" not in ours:
            raise CannotStart(
                f"{self.path} is an SQLite database without a table users (it has: {', '.join(sorted(names)) or 'none'}). "
                "Is it the right file? A proof of concept has users, user_preferences, sessions and session_feedback."
            )
        shapes = {table: self._shape(table) for table in COLUMNS if table in ours}
        others = sorted(name for low, name in ours.items() if low not in COLUMNS and not low.startswith("sqlite_"))
        return shapes, tuple(others)

    def _shape(self, table: str) -> Shape:
        found = [(row[1].decode(), row[2].decode().upper(), row[5]) for row in self._file.execute(f"PRAGMA table_info({table})")]
        names = {name.lower() for name, _, _ in found}
        must, may = COLUMNS[table]
        if lacking := [name for name in must if name not in names]:
            raise CannotStart(
                f"The table {table} of {self.path} has no column {', '.join(lacking)} (it has: {', '.join(sorted(names))}). "
                "Rename or add it in a copy, and promote the copy. Nothing was changed."
            )
        try:
            self._file.execute(f"SELECT rowid FROM {table} LIMIT 0")  # noqa: S608  a name of ours
        except sqlite3.OperationalError:
            raise CannotStart(f"The table {table} of {self.path} is WITHOUT ROWID. Copy its rows into an ordinary table.") from None
        primary = [name.lower() for name, kind, place in found if place and kind == "INTEGER"]
        alone = primary == ["id"] and sum(1 for _, _, place in found if place) == 1
        known = {*must, *may}
        return Shape(tuple(name for name in may if name not in names), tuple(sorted(names - known)), alone)

    def fingerprint(self) -> str:
        """64 hex digits that know this source again, whatever was added to it since."""
        with contextlib.suppress(sqlite3.DatabaseError):
            first = self._file.execute("SELECT id, email FROM users ORDER BY rowid LIMIT 1").fetchone()
            return hashlib.sha256(repr(("poc", first)).encode()).hexdigest()
        return hashlib.sha256(b"poc, damaged").hexdigest()

    def count(self, step: str) -> int:
        """How many rows the table has; as far as its pages can be read."""
        table = read_from(step)
        if table not in self.shapes:
            return 0
        try:
            return int(self._file.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608  a name of ours
        except sqlite3.DatabaseError:
            return self.top(table)

    def look_around(self, around: Surroundings) -> None:
        """The rows that cannot be judged alone are known: ids and addresses that come twice, superseded preferences."""
        for table, shape in self.shapes.items():
            if not shape.id_is_row:
                around.twice[table] = self._later(table, "id")
        self._file.create_function("address_key", 1, rules.address_key, deterministic=True)
        around.taken = self._later("users", "address_key(email)")
        if "user_preferences" in self.shapes:
            with contextlib.suppress(sqlite3.DatabaseError):
                around.last_preferences = dict(self._file.execute(
                    "SELECT user_id, max(rowid) FROM user_preferences WHERE user_id IS NOT NULL GROUP BY user_id HAVING count(*) > 1"
                ))  # fmt: skip

    def _later(self, table: str, what: str) -> set[int]:
        """The rows that an earlier one has the same of. Sorted by SQLite, or in memory where pages are damaged."""
        later: set[int] = set()
        groups = (
            f"SELECT group_concat(rowid) FROM (SELECT rowid, {what} AS what FROM {table})"  # noqa: S608  names of ours
            " WHERE what IS NOT NULL GROUP BY what HAVING count(*) > 1"
        )
        try:
            for (joined,) in self._file.execute(groups):
                numbers = sorted(map(int, str(joined.decode()).split(",")))
                later.update(numbers[1:])
        except sqlite3.DatabaseError:
            seen: set[Old] = set()
            for read in self._walk(f"SELECT t.rowid, {what.replace('(email)', '(t.email)')} FROM {table} AS t", table, 0):  # noqa: S608
                if isinstance(read, Read) and read.values[0] is not None:
                    (later.add(read.at) if read.values[0] in seen else seen.add(read.values[0]))
        return later

    # --- its rows

    def own_columns(self, step: str) -> tuple[str, ...]:
        """The names of a row's own columns, which come first."""
        table = read_from(step)
        must, may = COLUMNS[table]
        return must + may

    def rows(self, step: str, after: int) -> Generator[Read | Damaged, None, None]:
        """Every row of a step behind the row `after`, in their order, and what of them is damaged."""
        if step == "no_preferences":
            yield from self._without_preferences(after)
        elif step in self.shapes:
            yield from self._walk(self._select(step), step, after)

    def everything_of(self, step: str, at: int) -> dict[str, Old]:
        """The whole row, with columns that are not ours."""
        table = read_from(step)
        cursor = self._file.execute(f"SELECT * FROM {table} WHERE rowid = ?", (at,))  # noqa: S608  a name of ours
        row = cursor.fetchone()
        return dict(zip((column[0] for column in cursor.description), row, strict=True)) if row else {}

    def _select(self, step: str) -> str:
        parents = {
            "users": ("", ""),
            "user_preferences": (", u.id, u.email, {u.created_at}", " LEFT JOIN {users} ON u.id = t.user_id"),
            "sessions": (", u.id, u.email, {u.created_at}", " LEFT JOIN {users} ON u.id = t.user_id"),
            "session_feedback": (
                ", s.id, s.start_time, {s.end_time}, u.id, u.email, {u.created_at}",
                " LEFT JOIN {sessions} ON s.id = t.session_id LEFT JOIN {users} ON u.id = s.user_id",
            ),
        }
        more, joins = parents[step]
        if step == "session_feedback" and "sessions" not in self.shapes:
            more, joins = ", NULL, NULL, NULL, NULL, NULL, NULL", ""
        for alias, table in (("u", "users"), ("s", "sessions")):
            for name in ("created_at", "end_time"):
                more = more.replace(f"{{{alias}.{name}}}", f"{alias}.{name}" if self._has(table, name) else "NULL")
            joins = joins.replace(f"{{{table}}}", self._parent(table, alias))
        own = ", ".join(f"t.{name}" if self._has(step, name) else "NULL" for name in self.own_columns(step))
        return f"SELECT t.rowid, {own}{more} FROM {step} AS t{joins}"  # noqa: S608  names of ours

    def _has(self, table: str, name: str) -> bool:
        return table in self.shapes and name not in self.shapes[table].missing

    def _parent(self, table: str, alias: str) -> str:
        if table not in self.shapes or self.shapes[table].id_is_row:
            return f"{table} AS {alias}"
        # An id may come twice where it is no key: the first row counts.
        return f"(SELECT *, min(rowid) FROM {table} GROUP BY id) AS {alias}"  # noqa: S608  names of ours

    def _without_preferences(self, after: int) -> Iterator[Read | Damaged]:
        created = "t.created_at" if self._has("users", "created_at") else "NULL"
        text = f"SELECT t.rowid, t.id, t.email, {created} FROM users AS t"  # noqa: S608  names of ours
        if "user_preferences" not in self.shapes:
            yield from self._walk(text, "users", after)
            return
        joined = f"{text} LEFT JOIN (SELECT DISTINCT user_id FROM user_preferences) AS p ON p.user_id = t.id"  # noqa: S608
        yield from self._walk(f"{joined} WHERE p.user_id IS NULL", "users", after)

    def _walk(self, text: str, table: str, after: int) -> Iterator[Read | Damaged]:
        last = after
        link = " AND" if " WHERE " in text else " WHERE"
        try:
            for row in self._file.execute(f"{text}{link} t.rowid > ? ORDER BY t.rowid", (after,)):
                last = row[0]
                yield Read(row[0], row[1:])
        except sqlite3.DatabaseError as error:
            if "interrupted" in str(error):
                raise
            yield from _joined(self._salvage(f"{text}{link} t.rowid > ? AND t.rowid <= ? ORDER BY t.rowid", table, last, self.top(table)))

    def some(self, table: str, at: Sequence[int]) -> list[Read]:
        """The rows with these numbers that are there."""
        marks = ", ".join(map(str, at))
        try:
            found = self._file.execute(f"{self._select(table)} WHERE t.rowid IN ({marks}) ORDER BY t.rowid").fetchall()
        except sqlite3.DatabaseError:  # damaged: read what can be read, and look there
            wanted = set(at)
            return [read for read in self.rows(table, 0) if isinstance(read, Read) and read.at in wanted]
        return [Read(row[0], row[1:]) for row in found]

    def of_people(self, table: str, keys: Sequence[object]) -> list[Read]:
        """The rows of these people."""
        if table not in self.shapes:
            return []
        marks = ", ".join("?" * len(keys))
        where = {
            "users": f"t.id IN ({marks})", "sessions": f"t.user_id IN ({marks})",
            "session_feedback": f"t.session_id IN (SELECT id FROM sessions WHERE user_id IN ({marks}))",  # noqa: S608  marks
        }[table]
        try:
            found = self._file.execute(f"{self._select(table)} WHERE {where}", tuple(keys)).fetchall()
        except sqlite3.DatabaseError:  # as above
            at, wanted = (0 if table == "users" else 7), set(keys)
            return [read for read in self.rows(table, 0) if isinstance(read, Read) and read.values[at] in wanted]
        return [Read(row[0], row[1:]) for row in found]

    def top(self, table: str) -> int:
        """A number that no row of a damaged table is above."""
        for text in (f"SELECT max(rowid) FROM {table}", f"SELECT max(seq) FROM sqlite_sequence WHERE name = '{table}'"):  # noqa: S608
            with contextlib.suppress(sqlite3.DatabaseError):
                if (found := self._file.execute(text).fetchone()[0]) is not None:
                    return int(found)
        return self.path.stat().st_size // 16

    def _salvage(self, text: str, table: str, low: int, high: int) -> Iterator[Read | Damaged]:
        """What can be read of the rows (low, high]: what fails is halved until a single row does."""
        waiting = [(low, high)]
        while waiting:
            low, high = waiting.pop()
            last = low
            try:
                for row in self._file.execute(text, (low, high)):
                    last = row[0]
                    yield Read(row[0], row[1:])
            except sqlite3.DatabaseError:
                if high - last == 1:
                    yield self._alone(text, table, high)
                elif high > last:
                    middle = (last + high) // 2
                    waiting += [(middle, high), (last, middle)]

    def _alone(self, text: str, table: str, at: int) -> Read | Damaged:
        """The row itself, not reached by way of its neighbours; without those it points to where they are what is damaged."""
        with contextlib.suppress(sqlite3.DatabaseError):
            one = self._file.execute(text.replace("t.rowid > ? AND t.rowid <= ?", "t.rowid = ?"), (at,)).fetchone()
            if one is not None:
                return Read(one[0], one[1:])
        try:
            width = self._file.execute(f"SELECT * FROM ({text.replace(' ORDER BY t.rowid', '')}) LIMIT 0", (0, 0))  # noqa: S608
            own = self._file.execute(f"SELECT * FROM {table} WHERE rowid = ?", (at,))  # noqa: S608  a name of ours
            row = own.fetchone()
        except sqlite3.DatabaseError:
            return Damaged(at, at)
        if row is None:
            return Damaged(at, at)
        found = {column[0].lower(): value for column, value in zip(own.description, row, strict=True)}
        values = [found.get(name) for name in self.own_columns(table)]
        return Read(at, tuple(values + [None] * (len(width.description) - 1 - len(values))))

    def close(self) -> None:
        """The file is left as it was."""
        self._file.close()


def _joined(found: Iterator[Read | Damaged]) -> Iterator[Read | Damaged]:
    """Neighbouring damaged rows as one."""
    held: Damaged | None = None
    for read in found:
        if isinstance(read, Damaged) and held is not None and read.first == held.last + 1:
            held = Damaged(held.first, read.last)
            continue
        if held is not None:
            yield held
        held = read if isinstance(read, Damaged) else None
        if held is None:
            yield read
    if held is not None:
        yield held


def _open_plain(path: Path) -> sqlite3.Connection:
    """A reading connection. A write-ahead log beside the file is read along; on a disk that cannot be written and
    without such a log the file cannot change, and is opened as immutable."""
    log = Path(f"{path}-wal")
    alone = not os.access(path.parent, os.W_OK) and not (log.exists() and log.stat().st_size)
    try:
        file = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro{'&immutable=1' if alone else ''}", uri=True, timeout=10)
        file.text_factory = bytes
        file.execute("PRAGMA query_only = ON")
        file.execute("PRAGMA temp_store = MEMORY")
        file.execute("PRAGMA cache_size = -64000")
        file.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.DatabaseError as error:
        if "readonly" in str(error) or "unable to open" in str(error):
            raise CannotStart(
                f"{path} was not closed properly: a journal lies beside it. Open it once with the program that wrote it, "
                "or with sqlite3, so that it is put in order; then promote it."
            ) from None
        raise CannotStart(f"{path} cannot be read as an SQLite database: {error}. Nothing was changed.") from None
    return file


class OwnSource:
    """A database of ours, on either engine: everything in it, or one person."""

    kind = "Stillwave"

    def __init__(self, database: SqliteDatabase | PostgresDatabase, audio: Path, *, owned: bool) -> None:
        self.database, self.audio, self._owned = database, audio, owned

    @property
    def vault(self) -> Vault:
        """Its keys."""
        return self.database.vault

    def tables(self) -> tuple[Table, ...]:
        """What is copied: all that belongs to people and outlives a statement."""
        return tuple(
            table for table in TABLES
            if table.owner and table.retention != "statement" and table.only_on is None and table.name != "unlink_outbox"
        )  # fmt: skip

    def fingerprint(self, whose: str = "") -> str:
        """64 hex digits that know this source again."""
        with self.database.read(right="operator") as tx:
            first = next(iter(bulk.rows(tx, TABLES[1])), ("nobody",))[0]
        return hashlib.sha256(f"own\0{self.vault.key_check()}\0{first}\0{whose}".encode()).hexdigest()

    def count(self, table: str) -> int:
        """How many rows the table has."""
        text = f"SELECT count(*) AS n FROM {table}"  # noqa: S608  a name of the catalogue
        with self.database.read(right="operator") as tx:
            return int(tx.value(Query("count", text, text)))

    def close(self) -> None:
        """Its connections are closed where they were opened for this."""
        if self._owned:
            self.database.close()
            self.vault.keys.close()


def open_source(path: Path, root: RootKey | None) -> PocSource | OwnSource:
    """The source behind a path, found out by looking. Raises CannotStart and says what it is instead."""
    file = path / "stillwave.db" if path.is_dir() else path
    if not file.is_file():
        raise CannotStart(f"There is no file {file}. Give the proof of concept's database, or the data folder of a Stillwave.")
    try:
        with file.open("rb") as opened:
            head = opened.read(16)
    except OSError as error:
        raise CannotStart(f"{file} cannot be read: {error.strerror}.") from error
    if not head:
        raise CannotStart(f"{file} is empty: there is nothing to promote.")
    if head == _PLAIN:
        return PocSource(file)
    keys = file.with_name("keys.db")
    if root is None or not keys.exists():
        raise CannotStart(
            f"{file} is neither an SQLite database nor a Stillwave with its keys beside it: "
            f"{'the key store ' + keys.name + ' is missing there' if root else 'no root key was found (give --from-key)'}."
        )
    vault = Vault(KeyStore(keys, root, read_only=True))
    database = SqliteDatabase(file, vault, read_only=True)
    if (state := migrate.check(database)) != "current":
        raise CannotStart(f"The schema of {file} is {state}. Start its server once, or run: stillwave db migrate. Nothing was changed.")
    migrate.require_key(database)
    return OwnSource(database, file.with_name("audio"), owned=True)


def key_text(key: Sequence[str | None]) -> str:
    """A position between rows of ours, as it is stored."""
    return json.dumps(list(key))
