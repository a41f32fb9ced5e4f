"""Any value for any column: both engines take the same ones, and refuse the same ones.

A good row of each table with one value changed goes to both engines; each is undone. The refusal has the same name, but
where PostgreSQL's type refuses before a check could.
"""

from __future__ import annotations

import datetime as dt
import math
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from stillwave.db import tables
from stillwave.db.database import open_database
from stillwave.db.tables import Column, Kind
from stillwave.errors import ConstraintBroken
from tests import rows
from tests.cast import NOW
from tests.contract.test_checks_are_alike import GOOD, SESSION, USER

TEXTS: list[object] = [
    None, "", " ", "a", "A", "\0", "a\0b", "\ud800", "\udc00x", "שלום", "\u202eevil", "e\u0301", "😀" * 10, "😀" * 11, "👩‍👩‍👧" * 40, "sw1.", "sw1.AAAA",
    "SW1.AAAA", "'; DROP TABLE users; --", "%s", "\\", "\r\n", "\ufffe", "sw1." + "A" * 6000,
    *("x" * most for most in (9, 10, 11, 20, 21, 50, 51, 63, 64, 65, 80, 81, 128, 129, 255, 256, 1024, 1025)),
    *("é" * most for most in (10, 11, 20, 21, 64, 65)),
]  # fmt: skip
WHOLE: list[object] = [
    None, -(2**63) - 1, -(2**63), -(2**31) - 1, -(2**31), -1, 0, 1, 2, 3, 5, 6, 9, 10, 11, 59, 60, 61, 100, 101, 240, 241, 300, 900, 901, 2**15,
    2**31 - 1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 10**40, "x", "", math.nan, math.inf,
]  # fmt: skip
REALS: list[object] = [
    None, -math.inf, -1e308, -1.0, -0.01, -0.0, 0.0, 5e-324, 0.004, 0.01, 1.0, 10.25, 39.99, 99999.0, 99999.99, 99999.999, 100000.0, 1e15, 1e308,
    math.inf, math.nan, 10**400 // 10**390, "x", "",
]  # fmt: skip
JSON: list[object] = [
    None, "", "{}", "[]", "null", "true", "5", '"x"', "NaN", "Infinity", "{", "{]", "{'a': 1}", '{"a": 1,}', '{"a": 1, "a": 2}', '{"a": "\\u0000"}', "\0",
    '{"a": "\\ud800"}', '{"\\udc00": 1}', '{"a": "\ud800"}', '{"a": 1e400}', '{"a": -1e400}', '{"a": 123456789012345678901234567890}', "[1] x", "// x", "01",
    "[" * 100 + "]" * 100, "[" * 900 + "]" * 900, '{"😀": "שלום"}', " {} ", "\ufeff{}", "{}\n", "+1", ".5", "1.", "0x10", "[1 2]", "'x'",
]  # fmt: skip
UUIDS: list[object] = [None, "", "x", "1", uuid.UUID(int=0), uuid.UUID(int=2**128 - 1), uuid.UUID(int=7), "6ba7b810-9dad-41d1-80b4-00c04fd430c", "\0"]
MOMENTS: list[object] = [
    None, "", "x", "\0", "2026-02-30T00:00:00Z", dt.datetime(1, 1, 1, tzinfo=dt.UTC), dt.datetime(1900, 1, 1, tzinfo=dt.UTC), dt.datetime(1970, 1, 1, tzinfo=dt.UTC),
    NOW, NOW - dt.timedelta(milliseconds=1), NOW + dt.timedelta(milliseconds=1), NOW + dt.timedelta(hours=1), NOW + dt.timedelta(hours=1, milliseconds=1),
    NOW.astimezone(dt.timezone(dt.timedelta(hours=14))), dt.datetime(2262, 1, 1, tzinfo=dt.UTC), dt.datetime(9999, 12, 31, 23, 59, 59, tzinfo=dt.UTC),
]  # fmt: skip
DAYS: list[object] = [None, "", "x", "\0", "2026-02-30", "2026-13-01", dt.date(1, 1, 1), dt.date(1999, 12, 31), dt.date(2026, 11, 25), dt.date(9999, 12, 31)]
CLOCKS: list[object] = [None, "", "x", "\0", "24:00:01", "25:00:00", "07:60:00", "07:30:61", "00:00:00", "07:30:00", "23:59:59", "29:00:00", dt.time(7, 30)]
FLAGS: list[object] = [None, True, False, "x", "", "\0"]

VALUES: dict[Kind, list[object]] = {
    tables.UUID: UUIDS, tables.UUID_REF: [value for value in UUIDS if not isinstance(value, str)], tables.MOMENT: MOMENTS, tables.DAY: DAYS, tables.CLOCK: CLOCKS, tables.JSON: JSON,
    tables.WHOLE: WHOLE, tables.BIG: WHOLE, tables.YES_NO: FLAGS, tables.REAL: REALS, tables.HUNDREDTHS: REALS,
}  # fmt: skip
def arrives(column: Column, value: object) -> bool:
    """False for the few values that only SQLite (or, of digests, only PostgreSQL) takes, and nobody can send.

    Intake and import refuse these numbers, texts and times first; digests are made here, and are never short.
    """
    if value == "24:00:01":
        return False
    if column.kind == tables.SHA256:
        return value is None or len(str(value)) >= 64 or "\0" in str(value)
    if column.kind == tables.WHOLE:
        return not isinstance(value, int) or abs(value) < 2**31
    return column.kind != tables.JSON or not any(mark in str(value) for mark in ("\\u0000", "\\ud"))


COLUMNS: list[tuple[str, Column]] = [
    (name, column) for name in GOOD for column in tables.table(name).columns if column.kind not in (tables.SPAN, tables.TEXTS)
]  # those the program hands to each engine in its own form
CASES = [(table, column.name, value) for table, column in COLUMNS for value in VALUES.get(column.kind, TEXTS) if arrives(column, value)]


class Undone(Exception):
    pass


@pytest.fixture(scope="module")
def houses(settings_on) -> Iterator[list[Any]]:
    """A database on each engine, as operators have it, with Alice and one session of hers."""
    made = [open_database(settings_on(engine)) for engine in ("sqlite", "postgres")]
    for database in made:
        database.right = "operator"
        with database.write() as tx:
            rows.insert(tx, "users", **USER)
            rows.insert(tx, "sessions", **SESSION)
    yield made
    for database in made:
        database.close()


def verdict(database: Any, table: str, column: str, value: object) -> str:
    """`taken`, or the name of what refused it."""
    try:
        with database.write() as tx:
            rows.insert(tx, table, **(GOOD[table] | {column: value}))
            raise Undone
    except Undone:
        return "taken"
    except ConstraintBroken as refusal:
        return refusal.name


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 3900


@pytest.mark.parametrize("table", GOOD)
def test_both_engines_take_the_same_values(houses, table: str) -> None:
    wrong = []
    for name, column, value in CASES:
        if name == table:
            sqlite, postgres = (verdict(database, table, column, value) for database in houses)
            if value != value:  # noqa: PLR0124  not a number is nowhere a value
                assert sqlite == postgres == "form"
            if (sqlite == "taken") != (postgres == "taken"):
                wrong.append(f"{column} = {str(value)[:40]!r} ({type(value).__name__}): {sqlite} on SQLite, {postgres} on PostgreSQL")
    assert not wrong, "\n".join(wrong)
