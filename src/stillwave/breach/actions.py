"""A breach: found out who was affected and what could be read, put on record, letters written, clocks kept."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import msgspec

from stillwave.accounts import actions as accounts
from stillwave.breach import rules
from stillwave.breach.rules import Breach, Field
from stillwave.db import audit
from stillwave.db.database import Database, Queries, Tx
from stillwave.db.tables import SHA256, TABLES
from stillwave.errors import BadInput, NotFound
from stillwave.jobs.rules import NOBODY

SQL = Queries(Path(__file__).parent)
_SPACE = UUID("6f1c1d5e-0000-7000-8000-000000000000")


class Letters(msgspec.Struct, frozen=True):
    """What is to be sent: to the authority, and to each person by file name."""

    authority: str
    people: dict[str, str]


class _Person(msgspec.Struct, frozen=True):
    user_id: UUID
    there: bool


def note(
    database: Database, what: Sequence[str], since: dt.datetime, until: dt.datetime, known: dt.datetime, now: dt.datetime,
    *, email: str | None = None,
) -> tuple[Breach, list[UUID], int]:  # fmt: skip
    """The breach is on record, and in the log of each person it touches; returns it, them, and how many were erased since.

    Running it again with the same times and kinds goes on where it ended. Raises BadInput for what cannot be.
    """
    kinds = rules.checked(what, since, until, now)
    if not until <= known <= now:
        raise BadInput("--known", "does not lie between --until and now", "when it became known")
    with database.read(right="operator") as tx:
        found = _affected(tx, kinds.split(" "), since, until, email)
    people = [person.user_id for person in found if person.there]
    breach_id = uuid5(_SPACE, f"{kinds} {since.isoformat()} {until.isoformat()} {email or ''}")
    with database.write(right="operator") as tx:
        tx.run(SQL.insert, id=breach_id, since_at=since, until_at=until, known_at=known, what=kinds, people=len(people))
        breach = _one(tx, breach_id)
    with database.write(NOBODY) as tx:
        _note_once(tx, NOBODY, breach, now)
    for user_id in people:
        with database.write(user_id) as tx:
            _note_once(tx, user_id, breach, now)
    return breach, people, sum(not person.there for person in found)


def _affected(tx: Tx, kinds: Sequence[str], since: dt.datetime, until: dt.datetime, email: str | None) -> list[_Person]:
    if email is not None:
        return [_Person(accounts.by_email(tx, email).id, there=True)]
    query = SQL.signed_in_then if list(kinds) == ["login"] else SQL.people_then
    return [person for person in tx.all(_Person, query, since=since, until=until) if person.user_id != NOBODY]


def _note_once(tx: Tx, user_id: UUID, breach: Breach, now: dt.datetime) -> None:
    known = [json.loads(str(row["detail"])).get("breach") for row in tx.rows(SQL.noted, user_id=user_id)]
    if str(breach.id) not in known:
        audit.note(tx, user_id, "breach.noted", now, actor="operator", breach=str(breach.id), what=breach.what)


def fields(database: Database, kinds: Sequence[str]) -> list[Field]:
    """Every column of people, and how far it could be read."""
    encrypted = database.encrypts_all
    return [
        Field(f"{table.name}.{c.name}", c.privacy, c.sealed,
              rules.state_of(kinds, sealed=c.sealed, digest=c.kind == SHA256 or c.privacy == "secret", whole_file_encrypted=encrypted))
        for table in TABLES if table.owner for c in table.columns if c.privacy != "none"
    ]  # fmt: skip


def letters(database: Database, breach: Breach, people: Sequence[UUID], erased: int, contact: str) -> Letters:
    """The letters, for a human to complete and send."""
    found, written = fields(database, breach.kinds), {}
    for number, user_id in enumerate(people, 1):
        with database.read(user_id) as tx:
            try:
                address = accounts.contact(tx, user_id)[0]
            except NotFound:  # erased a moment ago
                continue
        written[f"person-{number:05}.txt"] = rules.person_letter(address, breach, found, contact)
    return Letters(rules.authority_letter(breach, found, erased), written)


def everything(tx: Tx) -> list[Breach]:
    """Every breach on record, the newest first."""
    return tx.all(_Row, SQL.breaches)


def told(tx: Tx, breach_id: str, *, authority: bool, people: bool, now: dt.datetime) -> Breach:
    """It is on record that they were told. Raises NotFound for no breach of ours."""
    try:
        key: Any = UUID(breach_id)
    except ValueError:
        raise NotFound("There is no breach with this number: stillwave breach list.") from None
    _one(tx, key)
    if authority:
        tx.run(SQL.authority_told, id=key, now=now)
    if people:
        tx.run(SQL.people_told, id=key, now=now)
    return _one(tx, key)


class _Row(Breach, frozen=True, kw_only=True):
    id: UUID


def _one(tx: Tx, breach_id: UUID) -> Breach:
    found = tx.one(_Row, SQL.breach, id=breach_id)
    if found is None:
        raise NotFound("There is no breach with this number: stillwave breach list.")
    return found
