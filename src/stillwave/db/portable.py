"""Everything that is held about one person, table by table, walked from the catalogue and opened."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from stillwave.db.database import Query, Tx
from stillwave.db.seal import PREFIX
from stillwave.db.tables import SPAN, TABLES, TEXTS, Column, Table

Row = dict[str, Any]


def everything(tx: Tx, user_id: UUID) -> dict[str, list[Row]]:
    """The person's rows by table; sealed values are open, JSON is decoded, kept-back columns are left out."""
    found: dict[str, list[Row]] = {}
    for table in TABLES:
        columns = [column for column in table.columns if column.kept_back is None]
        if table.owner is None or not columns:
            continue
        rows = tx.rows(_select(table, columns), user_id=user_id)
        found[table.name] = [_open(tx, user_id, table, columns, row) for row in rows]
    return found


def kept_back() -> dict[str, str]:
    """Every column that an export leaves out, with the reason."""
    return {
        f"{table.name}.{column.name}": column.kept_back
        for table in TABLES
        if table.owner
        for column in table.columns
        if column.kept_back
    }


def _select(table: Table, columns: list[Column]) -> Query:
    key = {name for name in ("id", "feedback_id") if name in table.key}  # what the seal is bound to
    names = [*columns, *(c for c in table.columns if c.name in key and c not in columns)]
    sqlite = ", ".join(name for column in names for name, _ in column.on("sqlite"))
    postgres = ", ".join(_postgres(column) for column in names)
    end = f"FROM {table.name} WHERE {table.owner} ="
    order = "ORDER BY " + ", ".join(table.key)
    return Query(
        f"export_{table.name}", f"SELECT {sqlite} {end} :user_id {order}", f"SELECT {postgres} {end} %(user_id)s {order}"
    )


def _postgres(column: Column) -> str:
    if column.kind == SPAN:
        return f"lower({column.name}) AS {column.name}_low, upper({column.name}) AS {column.name}_high"
    if column.kind == TEXTS:
        return f"to_json({column.name}) AS {column.name}"
    return column.name


def _open(tx: Tx, user_id: UUID, table: Table, columns: list[Column], row: Any) -> Row:  # noqa: ANN401
    out: Row = {}
    for column in columns:
        for name, _ in column.on("sqlite"):
            out[name] = _value(tx, user_id, table, column, row, row[name])
    return out


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
    if column.kind.format_check == "json":
        return json.loads(value)
    if column.kind.format_check == "boolean":
        return bool(value)
    return value
