"""Everything that is held about one person, table by table, walked from the catalogue: out and opened, in and sealed."""

from __future__ import annotations

import datetime as dt
import json
from functools import cache
from typing import Any
from uuid import UUID

from stillwave.db.database import Query, Tx
from stillwave.db.seal import PREFIX
from stillwave.db.sqlite import as_text
from stillwave.db.tables import JSON, SPAN, TABLES, TEXTS, YES_NO, Column, Table
from stillwave.db.tables import table as find

Row = dict[str, Any]
Key = tuple[Any, ...]
# What the database itself adds to a list of texts, where it cannot seal.
CLEAR = "adverse:"
_AT_ONCE = 1000
# Retention classes that an erasure leaves alone: their rows end by themselves.
_OUTLIVES = ("audit", "outbox", "statement")


def exported(table: Table) -> list[tuple[str, Column]]:
    """The fields of an exported row with their columns, in the order of the catalogue; a range is two fields."""
    if table.owner is None:
        return []
    return [(name, column) for column in table.columns if column.kept_back is None for name, _ in column.on("sqlite")]


def page(tx: Tx, user_id: UUID, table: Table, after: Key | None, most: int) -> tuple[list[Row], Key | None]:
    """The person's rows after the key `after`, opened, at most so many; and the key to go on from, None at the end.

    The same rows look the same whichever engine they come from.
    """
    keys = [name for name in table.key if name != table.owner]
    rows = tx.rows(
        _select(table, keys, first=after is None), user_id=user_id, most=most,
        **{f"after_{name}": value for name, value in zip(keys, after or (), strict=False)},
    )  # fmt: skip
    fields = exported(table)
    opened = [{name: _value(tx, user_id, table, column, row, row[name]) for name, column in fields} for row in rows]
    return opened, tuple(rows[-1][name] for name in keys) if len(rows) == most and keys else None


def everything(tx: Tx, user_id: UUID) -> dict[str, list[Row]]:
    """All of a person's exported rows by table, in memory: for comparing. A download goes page by page."""
    found: dict[str, list[Row]] = {}
    for table in TABLES:
        if exported(table):
            rows, after = page(tx, user_id, table, None, _AT_ONCE)
            while after is not None:
                more, after = page(tx, user_id, table, after, _AT_ONCE)
                rows += more
            found[table.name] = rows
    return found


def counted(tx: Tx, user_id: UUID) -> dict[str, int]:
    """How many rows of the person stand in each table that erasure empties; tables without any are left out."""
    found = {}
    for table in TABLES:
        if table.owner and table.retention not in (*_OUTLIVES, "challenge"):  # a challenge lasts five minutes anyway
            text = f"SELECT count(*) AS n FROM {table.name} WHERE {table.owner} ="  # noqa: S608  names of the catalogue
            query = Query(f"count_{table.name}", f"{text} :user_id", f"{text} %(user_id)s")
            found[table.name] = int(tx.value(query, user_id=user_id))
    return {name: count for name, count in found.items() if count}


def kept_back() -> dict[str, str]:
    """Every column that an export leaves out, with the reason."""
    return {
        f"{table.name}.{column.name}": column.kept_back
        for table in TABLES
        if table.owner
        for column in table.columns
        if column.kept_back
    }


def _select(table: Table, keys: list[str], *, first: bool) -> Query:
    bound = {name for name in ("id", "feedback_id") if name in table.key}  # what the seal is bound to
    shown = [column for column in table.columns if column.kept_back is None or column.name in bound or column.name in keys]
    texts = []
    for engine, mark in (("sqlite", ":{}"), ("postgres", "%({})s")):
        names = [_postgres(c) for c in shown] if engine == "postgres" else [name for c in shown for name, _ in c.on("sqlite")]
        on = "" if first else f" AND ({', '.join(keys)}) > ({', '.join(mark.format(f'after_{name}') for name in keys)})"
        texts.append(
            f"SELECT {', '.join(names)} FROM {table.name} WHERE {table.owner} = {mark.format('user_id')}{on}"  # noqa: S608
            f" ORDER BY {', '.join(keys or table.key)} LIMIT {mark.format('most')}"
        )
    return Query(f"export_{table.name}", *texts)


def _postgres(column: Column) -> str:
    if column.kind == SPAN:
        return f"lower({column.name}) AS {column.name}_low, upper({column.name}) AS {column.name}_high"
    if column.kind == TEXTS:
        return f"to_json({column.name}) AS {column.name}"
    return column.name


def _value(tx: Tx, user_id: UUID, table: Table, column: Column, row: Any, value: Any) -> Any:  # noqa: ANN401
    if value is None:
        return None
    place = f"{table.name}.{column.name}"
    if column.kind == TEXTS:
        return [
            json.loads(tx.vault.open(user_id, place, user_id, entry)) if entry.startswith(PREFIX) else entry
            for entry in json.loads(value)
        ]
    if column.sealed:
        return tx.vault.open(user_id, place, UUID(str(row["id"])), value)
    if column.kind == JSON:
        return json.loads(json.dumps(json.loads(value), sort_keys=True))
    if column.kind == YES_NO:
        return bool(value)
    return written(value)


def written(value: Any) -> Any:  # noqa: ANN401
    """A value as JSON has it: times in UTC with milliseconds, days, ids and clock times as text."""
    if isinstance(value, dt.datetime):
        return as_text(value)
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value


def insert(tx: Tx, user_id: UUID, table: Table, row: Row, kept_back: Row) -> None:
    """The row is in the table as it was exported, sealed again; `kept_back` has what an export leaves out.

    The row must fit the catalogue. Raises ConstraintBroken.
    """
    values: Row = dict(kept_back)
    for name, column in exported(table):
        if name in row:
            values[name] = _stored(tx, user_id, table, column, row, row[name])
    tx.run(_insert(table.name, frozenset(values)), **values)


def clear(tx: Tx, user_id: UUID, table: Table) -> None:
    """The table holds no row of the person."""
    text = f"DELETE FROM {table.name} WHERE {table.owner} ="  # noqa: S608  names of the catalogue
    tx.run(Query(f"clear_{table.name}", f"{text} :user_id", f"{text} %(user_id)s"), user_id=user_id)


def clear_loose(tx: Tx, user_id: UUID) -> None:
    """Tables that no reference empties along with the account hold no row of the person; `jobs.forget` has the jobs."""
    for table in TABLES:
        if table.owner and table.name not in ("users", "jobs") and not table.foreign_keys and table.retention not in _OUTLIVES:
            clear(tx, user_id, table)


def _stored(tx: Tx, user_id: UUID, table: Table, column: Column, row: Row, value: Any) -> Any:  # noqa: ANN401
    if value is None:
        return None
    place = f"{table.name}.{column.name}"
    if column.kind == TEXTS:
        return json.dumps([
            entry if isinstance(entry, str) and entry.startswith(CLEAR)
            else tx.vault.seal(user_id, place, user_id, json.dumps(entry))
            for entry in value
        ])  # fmt: skip
    if column.sealed:
        return tx.vault.seal(user_id, place, UUID(row["id"]), value)
    return json.dumps(value) if column.kind == JSON else value


@cache
def _insert(name_of_table: str, names: frozenset[str]) -> Query:
    """One statement per table and set of fields; fields that are absent get what the database makes for them."""
    columns = [c for c in find(name_of_table).columns if any(name in names for name, _ in c.on("sqlite"))]
    sqlite = [name for column in columns for name, _ in column.on("sqlite")]
    postgres = {column.name: _put(column) for column in columns}
    start = f"INSERT INTO {name_of_table}"
    return Query(
        f"import_{name_of_table}",
        f"{start} ({', '.join(sqlite)}) VALUES ({', '.join(f':{name}' for name in sqlite)})",
        f"{start} ({', '.join(postgres)}) VALUES ({', '.join(postgres.values())})",
    )


def _put(column: Column) -> str:
    if column.kind == SPAN:
        low, high = f"%({column.name}_low)s::numeric", f"%({column.name}_high)s::numeric"
        return f"CASE WHEN {low} IS NULL THEN NULL ELSE numrange({low}, {high}, '[]') END"
    if column.kind == TEXTS:
        return f"ARRAY(SELECT json_array_elements_text(%({column.name})s::json))"
    return f"%({column.name})s"
