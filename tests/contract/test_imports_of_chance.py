"""An import of which any value or any byte was changed is refused with words, or taken in, and alike on both engines."""

from __future__ import annotations

import contextlib
import io
import json
import random
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest

from stillwave.accounts import passwords
from stillwave.db import portable
from stillwave.db.database import open_database
from stillwave.errors import BadInput, StillwaveError
from stillwave.privacy import arrival, takeout
from stillwave.settings import Settings
from tests.cast import ALICE, NOW, Clock
from tests.contract.test_nothing_readable_lies_around import rows_of
from tests.contract.test_takeout import PASSWORD, Files, contents, edited, live, packed
from tests.served import serving

_TRIED = 400  # of some 4,000; all of them were tried once

ODD: list[Any] = [
    None, True, False, 0, -1, 1, 5, 11, 61, 2**31 - 1, 2**31, -(2**31) - 1, 2**53 + 1, 2**63 - 1, 2**63, 10**30, 0.5, -0.0, 1e-320, 99999.99, 1e308,
    "", " ", "x", "x" * 5000, "a\0b", "שלום \u202e", "😀" * 30, "sw1.AAAA", "'; DROP TABLE users; --", "../../etc/passwd", "2026-02-30", "2026-11-25", "0001-01-01",
    "9999-12-31", "24:00:01", "07:30:00", "07:30:00+05:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-11-25T10:00:00Z",
    "2026-11-25T10:00:00.123456Z", "2026-11-25", "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-7fff-bfff-ffffffffffff",
    [], {}, ["x"], ["a\0"], [1, None], [["x"]], {"a": 1}, {"a": "\0"}, {"\0": 1}, {"a": 1e308}, {"": {"": []}}, "[" * 50,
    {"a": {"b": [{"c": {"d": ["\0"]}}]}},
]  # fmt: skip


class Undone(Exception):
    pass


@pytest.fixture(scope="module")
def life(settings_on: Callable[[str], Settings]) -> Files:
    clock, settings = Clock(), settings_on("sqlite")
    with serving(settings, open_database(settings), clock) as served:
        visitor = served.visitor()
        live(visitor, clock)
        visitor.sign_in(ALICE)
        return contents(visitor.get("/api/v1/export").content)


@pytest.fixture(scope="module")
def houses(settings_on: Callable[[str], Settings]) -> Iterator[list[Any]]:
    """An empty database on each engine, in which an import is undone at its very end."""
    made = [open_database(settings_on(engine)) for engine in ("sqlite", "postgres")]
    put = arrival._put

    def put_and_undone(*given: Any) -> None:
        put(*given)
        raise Undone

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrival, "_put", put_and_undone)
        patch.setattr(passwords, "hashed", lambda _: "$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA")
        yield made
    for database in made:
        database.close()


def cases(life: Files) -> list[tuple[str, str, int]]:
    """Every field of every table that has a row, with the number of an odd value."""
    return [
        (table.name, field, number)
        for table in takeout.exported_tables()
        if json.loads(life[f"data/{table.name}.json"])
        for field, _ in portable.exported(table)
        for number in range(len(ODD))
    ]


def verdict(database: Any, read: tuple[Any, Any]) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrival, "read", lambda *_: read)
        try:
            arrival.take_in(database, io.BytesIO(), PASSWORD, NOW)
        except Undone:
            return "taken"
        except StillwaveError as refusal:
            return type(refusal).__name__
    raise AssertionError("it was not undone")


def test_any_value_of_an_export_is_taken_alike_or_refused_alike(life: Files, houses: list[Any]) -> None:
    there = cases(life)
    assert len(there) >= 4000
    wrong, taken, told = [], 0, list[str]()
    for table, field, number in random.Random(6).sample(there, _TRIED):

        def forge(rows: list[dict[str, Any]], field: str = field, number: int = number) -> None:
            rows[0][field] = ODD[number]

        forged = edited(life, table, forge)
        try:
            read = arrival.read(packed(forged), NOW)
        except BadInput as refusal:
            told.append(str(refusal))
            continue
        sqlite, postgres = (verdict(database, read) for database in houses)
        taken += sqlite == "taken"
        if sqlite != postgres:
            wrong.append(f"{table}.{field} = {str(ODD[number])[:40]!r}: {sqlite} on SQLite, {postgres} on PostgreSQL")
    assert not wrong, "\n".join(wrong)
    assert not [each for each in told if "DROP TABLE" in each]
    assert taken >= _TRIED // 20
    person = UUID(json.loads(life["export.json"])["person"])
    for database in houses:
        assert set(rows_of(database, person).values()) == {0}
        assert not database.vault.keys.holds(person)


def test_no_zip_of_chance_fails_otherwise_than_with_words(life: Files) -> None:
    whole, chance = packed(life).getvalue(), random.Random(6)
    right = arrival.read(io.BytesIO(whole), NOW)
    for _ in range(150):
        bent = bytearray(whole)
        for _ in range(chance.randrange(1, 4)):
            at = chance.choice([chance.randrange(len(bent)), len(bent) - 1 - chance.randrange(2500)])  # the directory is at the end
            kind = chance.randrange(4)
            if kind == 0:
                del bent[at : at + chance.randrange(1, 40)]
            elif kind == 1:
                bent[at:at] = chance.randbytes(chance.randrange(1, 40))
            else:
                bent[at] = chance.randrange(256) if kind == 2 else bent[at] ^ 1 << chance.randrange(8)
        with contextlib.suppress(BadInput):
            assert arrival.read(io.BytesIO(bytes(bent)), NOW) == right
