"""Rows written past the program, straight into the tables, on either engine."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import uuid
from collections.abc import Iterator

from stillwave.db.database import Query, Tx
from stillwave.db.postgres import PostgresTx
from tests.cast import ALICE, NOW, Person


def insert(tx: Tx, table: str, **values: object) -> None:
    """The row is in the table."""
    columns = ", ".join(values)
    sqlite = f"INSERT INTO {table} ({columns}) VALUES ({', '.join(f':{name}' for name in values)})"
    postgres = f"INSERT INTO {table} ({columns}) VALUES ({', '.join(f'%({name})s' for name in values)})"
    with past(tx):
        tx.run(Query("insert", sqlite, postgres), **values)


def count(tx: Tx, table: str) -> int:
    """How many rows the table has."""
    text = f"SELECT count(*) AS n FROM {table}"
    with past(tx):
        return int(tx.value(Query("count", text, text)))


@contextlib.contextmanager
def past(tx: Tx) -> Iterator[None]:
    """Row-level security stands aside, and then is back; what fails inside ends the transaction anyway."""
    become = Query("become", "", "SELECT set_config('role', %(name)s, true)")
    if isinstance(tx, PostgresTx):
        before = tx.value(Query("who", "", "SELECT current_user::text"))
        tx.run(become, name="stillwave_owner")
        yield
        tx.run(become, name=before)
    else:
        yield


def id_at(moment: dt.datetime = NOW) -> uuid.UUID:
    """A UUIDv7 made at `moment`."""
    milliseconds = round(moment.timestamp() * 1000)
    head = milliseconds << 80 | 7 << 76 | 2 << 62
    return uuid.UUID(int=head | (uuid.uuid4().int & (1 << 62) - 1))


def digest(text: str) -> str:
    """64 hexadecimal digits that stand for a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def user(person: Person = ALICE) -> dict[str, object]:
    """A row of users."""
    return {
        "id": uuid.uuid5(uuid.NAMESPACE_DNS, person.email),
        "email": "sw1.AAAA",
        "email_index": digest(person.email),
        "phone_number": "sw1.AAAA",
        "phone_index": digest(person.phone_number),
        "password_hash": "$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA",
    }


def session(user_id: object, start: dt.datetime = NOW) -> dict[str, object]:
    """A row of sessions whose id holds its start."""
    return {"user_id": user_id, "id": id_at(start), "start_time": start, "session_type": "evening"}
