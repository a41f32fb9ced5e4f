"""Many rows at once, on both engines: read as text, written by COPY or many inserts, and summed into a digest.

A row is a tuple of texts, one for each column of the catalogue (a range is two), in the form that SQLite keeps:
times as `2026-01-31T23:59:59.000Z`, hundredths with two digits, JSON and arrays as JSON text.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from stillwave.db.handle import NO_FORM, Query
from stillwave.db.postgres import PostgresTx, postgres_constraint
from stillwave.db.seal import PREFIX, Vault
from stillwave.db.sqlite import SqliteTx, sqlite_constraint
from stillwave.db.tables import HUNDREDTHS, JSON, MOMENT, SPAN, TEXTS, YES_NO, Column, Index, Table
from stillwave.errors import CannotStart, ConstraintBroken

Row = tuple[str | None, ...]
AnyTx = PostgresTx | SqliteTx

# What depends on the root key and not on the person, and so differs between two databases with the same content.
_OF_THE_ROOT_KEY = {"email_index", "phone_index", "prior", "mac"}
_DIGEST_SPAN = 1 << 256


def columns(table: Table) -> tuple[str, ...]:
    """The names of a row's places."""
    return tuple(name for column in table.columns for name, _ in column.on("sqlite"))


# --- reading -------------------------------------------------------------------------------------


def rows(
    tx: AnyTx, table: Table, *, person: UUID | None = None, after: Sequence[str] | None = None, ordered: bool = True
) -> Iterator[Row]:
    """Every row, or those of a person, in the order of the key unless that does not matter; `after` names the key to go
    on from."""
    order = f" ORDER BY {', '.join(table.key)}" if ordered else ""
    if isinstance(tx, PostgresTx):
        return _postgres_rows(tx, table, person, after, order)
    return _sqlite_rows(tx, table, person, after, order)


def _sqlite_rows(
    tx: SqliteTx, table: Table, person: UUID | None, after: Sequence[str] | None, order: str
) -> Iterator[Row]:
    names = [_from_sqlite(column, name) for column in table.columns for name, _ in column.on("sqlite")]
    where, values = _where(table, person, after, "?", "")
    text = f"SELECT {', '.join(names)} FROM {table.name}{where}{order}"  # noqa: S608  catalogue
    cursor = tx.connection.execute(text, values)
    while found := cursor.fetchmany(1000):
        for row in found:
            yield tuple(None if value is None else str(value) for value in row)


def _from_sqlite(column: Column, name: str) -> str:
    if column.kind == HUNDREDTHS:
        return f"CASE WHEN {name} IS NOT NULL THEN printf('%.2f', {name}) END"
    return name


def _postgres_rows(
    tx: PostgresTx, table: Table, person: UUID | None, after: Sequence[str] | None, order: str
) -> Iterator[Row]:
    names = ", ".join(_from_postgres(column) for column in table.columns)
    kinds = {column.name: column.kind.postgres for column in table.columns}
    marks = [f"%s::{kinds[name]}" for name in table.key]
    where, values = _where(table, person, after, "%s", ", ".join(marks))
    text = f"COPY (SELECT {names} FROM {table.name}{where}{order}) TO STDOUT"  # noqa: S608  catalogue
    with tx.connection.cursor() as cursor, cursor.copy(text, values) as copy:
        yield from copy.rows()


def _where(
    table: Table, person: UUID | None, after: Sequence[str] | None, mark: str, marks: str
) -> tuple[str, list[str]]:
    said, values = [], []
    if person is not None:
        said.append(f"{table.owner} = {mark}")
        values.append(str(person))
    if after is not None:
        said.append(f"({', '.join(table.key)}) > ({marks or ', '.join('?' * len(table.key))})")
        values += after
    return (" WHERE " + " AND ".join(said) if said else ""), values


def _from_postgres(column: Column) -> str:
    name = column.name
    if column.kind == MOMENT:
        return f"""to_char({name} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')"""
    if column.kind == YES_NO:
        return f"{name}::integer"
    if column.kind == SPAN:
        return f"lower({name})::double precision, upper({name})::double precision"
    if column.kind == TEXTS:
        return f"to_json({name})"
    return name


# --- writing -------------------------------------------------------------------------------------


_IS_SUPERUSER = "SELECT rolsuper FROM pg_roles WHERE rolname = session_user"


@contextmanager
def unguarded(tx: AnyTx, tables: Iterable[Table], *, alone: bool = False) -> Iterator[None]:
    """Inside, the triggers of these tables rest, and COPY may write them; afterwards all is as before.

    `alone` says that nobody else writes and that references are looked at afterwards: a superuser then saves PostgreSQL
    from looking up the parent of every row, which costs more than the row itself where the parent is partitioned.

    It belongs to the transaction, so nobody else ever sees the tables without their guards. PostgreSQL refuses COPY
    where row-level security holds for who writes; the owner of a table may suspend that for itself.
    """
    names = [table.name for table in tables]
    if isinstance(tx, PostgresTx) and alone and tx.connection.execute(_IS_SUPERUSER).fetchone()["rolsuper"]:
        before = tx.connection.execute(
            "SELECT current_setting('role') AS role, set_config('role', 'none', true) AS none,"
            " set_config('session_replication_role', 'replica', true) AS quiet"
        ).fetchone()["role"]
        yield
        tx.connection.execute(
            "SELECT set_config('session_replication_role', 'origin', true), set_config('role', %s, true)", [before]
        )
        return
    if isinstance(tx, PostgresTx):
        for name in names:
            tx.connection.execute(f"ALTER TABLE {name} NO FORCE ROW LEVEL SECURITY, DISABLE TRIGGER USER")
        yield
        for name in names:
            tx.connection.execute(f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY, ENABLE TRIGGER USER")
        return
    found = tx.connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name IN (SELECT value FROM json_each(?))",
        (json.dumps(names),),
    ).fetchall()
    for name, _ in found:
        tx.connection.execute(f"DROP TRIGGER {name}")
    yield
    for _, text in found:
        tx.connection.execute(text)


def take_indexes(tx: AnyTx, tables: Iterable[Table]) -> None:
    """On PostgreSQL the tables are without the indexes that only make reading quicker: a row costs half as much then."""
    if isinstance(tx, PostgresTx):
        for index in _helpful(tables):
            tx.connection.execute(f"DROP INDEX IF EXISTS {index.name}")


def make_indexes(tx: AnyTx, tables: Iterable[Table]) -> None:
    """What `take_indexes` took is there again, however long that takes."""
    if isinstance(tx, PostgresTx):
        tx.connection.execute("SET LOCAL statement_timeout = 0")
        for each in tables:
            for index in _helpful([each]):
                tx.connection.execute(f"CREATE INDEX IF NOT EXISTS {index.name} ON {each.name} ({', '.join(index.columns)})")


def _helpful(tables: Iterable[Table]) -> list[Index]:
    return [index for table in tables for index in table.indexes if not index.unique and not index.gin]


def fill(tx: AnyTx, table: Table, many: Sequence[Row]) -> None:
    """The rows are in the table, which must be `unguarded`. Raises ConstraintBroken when one of them may not be; none is in then."""
    if not many:
        return
    if isinstance(tx, PostgresTx):
        _postgres_fill(tx, table, many)
    else:
        _sqlite_fill(tx, table, many)


def _sqlite_fill(tx: SqliteTx, table: Table, many: Sequence[Row]) -> None:
    import sqlcipher3.dbapi2 as sqlcipher

    names = columns(table)
    text = f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"  # noqa: S608  catalogue
    try:
        tx.connection.executemany(text, many)
    except sqlcipher.IntegrityError as error:
        raise ConstraintBroken(sqlite_constraint(tx.connection, Query("fill", text, ""), str(error))) from error


def _postgres_fill(tx: PostgresTx, table: Table, many: Sequence[Row]) -> None:
    import psycopg

    names = ", ".join(column.name for column in table.columns)
    shape = _shaper(table)
    try:
        with tx.connection.cursor() as cursor, cursor.copy(f"COPY {table.name} ({names}) FROM STDIN") as copy:
            copy.write("".join([line(shape(row) if shape else row) for row in many]))
    except psycopg.IntegrityError as error:
        raise ConstraintBroken(postgres_constraint(error.diag)) from error
    except psycopg.DataError as error:
        raise ConstraintBroken(NO_FORM) from error
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction):
        raise CannotStart(
            f"This login may not write the table {table.name}. Promote with the URL of the login that made the schema "
            "(a member of stillwave_migrator), on the primary server. What was copied stays; run the command again then."
        ) from None


def clear(tx: AnyTx, table: Table, person: UUID) -> None:
    """None of the person's rows is in the table, which must be `unguarded`."""
    mark = "%s" if isinstance(tx, PostgresTx) else "?"
    tx.connection.execute(f"DELETE FROM {table.name} WHERE {table.owner} = {mark}", [str(person)])  # noqa: S608  catalogue


def months(tx: AnyTx, wanted: Iterable[str]) -> None:
    """The partitions of these months (`2026-01`) exist, where there are partitions."""
    if isinstance(tx, PostgresTx):
        for month in sorted(wanted):
            tx.connection.execute("SELECT ensure_partitions(%s::date, %s::date)", [f"{month}-01", f"{month}-01"])


def _shaper(table: Table) -> Any:  # noqa: ANN401
    """What makes a row fit PostgreSQL's own types; None where nothing is to be done."""
    if not any(column.kind in (SPAN, TEXTS) for column in table.columns):
        return None

    def shape(row: Row) -> list[str | None]:
        out: list[str | None] = []
        values = iter(row)
        for column in table.columns:
            value = next(values)
            if column.kind == SPAN:
                high = next(values)
                value = None if value is None else f"[{value},{high}]"
            elif column.kind == TEXTS and value is not None:
                value = "{" + ",".join(json.dumps(entry, ensure_ascii=False) for entry in json.loads(value)) + "}"
            out.append(value)
        return out

    return shape


def line(row: Sequence[str | None]) -> str:
    """The row as a line of COPY text."""
    joined = "\t".join(["\\N" if value is None else value for value in row])
    if joined.count("\\") != row.count(None) or "\n" in joined or "\r" in joined or joined.count("\t") != len(row) - 1:
        return "\t".join(["\\N" if value is None else _escaped(value) for value in row]) + "\n"
    return joined + "\n"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


# --- digests -------------------------------------------------------------------------------------


class Digest:
    """The sum of the SHA-256 of rows: the same in whatever order they come."""

    def __init__(self, hexadecimal: str = "0" * 64) -> None:
        self._sum = int(hexadecimal, 16)

    def add(self, canonical: bytes) -> None:
        """One more row."""
        self.add_all((canonical,))

    def add_all(self, canonical: Iterable[bytes]) -> None:
        """These rows more."""
        sha256, number = hashlib.sha256, int.from_bytes
        self._sum += sum([number(sha256(row).digest(), "big") for row in canonical])

    def __str__(self) -> str:
        return f"{self._sum % _DIGEST_SPAN:064x}"

    def plus(self, other: Digest) -> Digest:
        """The digest of the rows of both."""
        return Digest(f"{(self._sum + other._sum) % _DIGEST_SPAN:064x}")

    def without(self, other: Digest) -> Digest:
        """The digest of the rows that the other did not see."""
        return Digest(f"{(self._sum - other._sum) % _DIGEST_SPAN:064x}")


class Canonical:
    """What a row of a table says, whatever the engine and whichever keys sealed it.

    Sealed values are open unless `sealed` leaves them as they are, JSON is written in one way, and what depends on the root
    key is left out.
    """

    def __init__(self, table: Table, vault: Vault, *, sealed: bool = False) -> None:
        names = columns(table)
        kinds = {name: column for column in table.columns for name, _ in column.on("sqlite")}
        self._table, self._vault = table.name, vault
        self._left_out = [at for at in reversed(range(len(names))) if names[at] in _OF_THE_ROOT_KEY]
        self._json = [at for at, name in enumerate(names) if kinds[name].kind == JSON]
        self._spans = [at for at, name in enumerate(names) if kinds[name].kind == SPAN]
        self._texts = [(at, name) for at, name in enumerate(names) if kinds[name].kind == TEXTS]
        self._sealed = [(at, f"{table.name}.{name}") for at, name in enumerate(names)
                        if kinds[name].sealed and kinds[name].kind != TEXTS]
        if sealed:
            self._json += [at for at, _ in self._texts]
            self._sealed, self._texts = [], []
        self._owner = names.index(table.owner) if table.owner else None
        self._id = next((names.index(name) for name in ("id", "feedback_id") if name in names), self._owner)

    def __call__(self, row: Row) -> bytes:
        """The row as bytes. Raises SealBroken when something sealed does not open."""
        told = list(row)
        for at in self._spans:
            told[at] = None if told[at] is None else repr(float(told[at] or 0))
        if self._owner is not None and (self._sealed or self._texts):
            self._open(row, told)
        return self._written(told)

    def plain(self, row: Row) -> bytes:
        """The same of a row whose words are still open."""
        return self._written(list(row))

    def _written(self, told: list[str | None]) -> bytes:
        for at in self._json:
            if (value := told[at]) is not None:
                told[at] = one_json(value)
        for at in self._left_out:
            del told[at]
        return repr(told).encode("utf-8", "surrogatepass")

    def _open(self, row: Row, told: list[str | None]) -> None:
        user_id, row_id = str(row[self._owner or 0]), str(row[self._id or 0])
        for at, place in self._sealed:
            if (value := row[at]) is not None:
                told[at] = self._vault.open(user_id, place, row_id, value)
        for at, name in self._texts:
            entries = [
                json.loads(self._vault.open(user_id, f"{self._table}.{name}", user_id, entry))
                if entry.startswith(PREFIX) else entry
                for entry in json.loads(row[at] or "[]")
            ]
            told[at] = json.dumps(entries, sort_keys=True)


@functools.lru_cache(maxsize=4096)
def one_json(text: str | None) -> str | None:
    """JSON in the one way of writing it: sorted, without spaces, whole numbers as such."""
    if text is None:
        return None
    return json.dumps(json.loads(text, parse_float=_number), sort_keys=True, separators=(",", ":"))


def _number(text: str) -> float | int:
    found = float(text)
    return int(found) if found.is_integer() and abs(found) < 1e15 else found
