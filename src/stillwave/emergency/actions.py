"""An operator sees one person's data in an emergency: with a reason, for an hour, reading only, and the person is told at once."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID

from stillwave.accounts import actions as accounts
from stillwave.db import audit, portable
from stillwave.db.database import Database, Tx
from stillwave.db.ids import uuid7
from stillwave.emergency import rules, store
from stillwave.emergency.store import SQL, Access
from stillwave.errors import Conflict, NotFound
from stillwave.factors import actions as factors
from stillwave.web.gate import Me
from stillwave.web.mail import Mailer

_SHOWN = 100


def ask(database: Database, mail: Mailer, base_url: str, me: Me, asking: rules.Asking, now: dt.datetime) -> Access:
    """The access is open; it is in the log of the person and of the operator, and the person has a mail and a notice.

    Raises BadInput for a reason that says nothing or a wrong code, NotFound for no such account, Conflict for one's own.
    """
    reason = rules.check_reason(asking.reason)
    factors.prove(database, me.user_id, asking.code, now)
    with database.read() as tx:
        person = accounts.by_email(tx, asking.email)
    if person.id == me.user_id:
        raise Conflict("This is your own account: you see all of it without an emergency.")
    access = Access(
        user_id=person.id, id=uuid7(now), operator_id=me.user_id, created_at=now, expires_at=now + rules.LASTS, reason=reason
    )
    with database.write(person.id) as tx:
        store.insert(tx, access)
        audit.note(tx, person.id, "emergency.opened", now, actor="operator", access=str(access.id), operator=str(me.user_id))
        address = accounts.contact(tx, person.id)[0]
    with database.write(me.user_id) as tx:
        audit.note(tx, me.user_id, "emergency.asked", now, access=str(access.id), person=str(person.id))
    mail.send(address, *rules.letter(now, access.expires_at, base_url))
    return access


def look(database: Database, me: Me, user_id: UUID, access_id: UUID, now: dt.datetime) -> tuple[Access, dict[str, list[Any]]]:
    """Everything that is held about the person, by table; the look is in their log. Raises NotFound when it is not open."""
    with database.write(user_id) as tx:
        access = _mine(tx, me, user_id, access_id, now)
        audit.note(tx, user_id, "emergency.looked", now, actor="operator", access=str(access_id), operator=str(me.user_id))
        return access, portable.everything(tx, user_id)


def end(database: Database, me: Me, user_id: UUID, access_id: UUID, now: dt.datetime) -> None:
    """The operator needs no more. Raises NotFound when it is not open."""
    with database.write(user_id) as tx:
        _mine(tx, me, user_id, access_id, now)
        _end(tx, user_id, access_id, now, actor="operator")


def end_own(tx: Tx, user_id: UUID, access_id: UUID, now: dt.datetime) -> None:
    """The person ended it: from now on nobody looks. Raises NotFound when it is not open."""
    _end(tx, user_id, access_id, now, actor="self")


def put_away(tx: Tx, user_id: UUID, access_id: UUID, now: dt.datetime) -> None:
    """The notice is off the person's pages; the access stays in their list and their log. Raises NotFound."""
    if store.one(tx, user_id, access_id) is None:
        raise NotFound("There is no such access.")
    tx.run(SQL.seen, user_id=user_id, id=access_id, now=now)


def of_person(tx: Tx, user_id: UUID) -> list[Access]:
    """Every access to the person's data, newest first."""
    return store.of(tx, user_id, _SHOWN)


def running(tx: Tx, now: dt.datetime) -> list[Access]:
    """Who looks at whose data just now, without the reasons. Needs the right of housekeeping."""
    return tx.all(Access, SQL.running, now=now, most=_SHOWN)


def _mine(tx: Tx, me: Me, user_id: UUID, access_id: UUID, now: dt.datetime) -> Access:
    access = store.one(tx, user_id, access_id)
    if access is None or access.operator_id != me.user_id or not access.is_open(now):
        raise NotFound("This access is not open (any more). Ask for another if the emergency lasts.")
    return access


def _end(tx: Tx, user_id: UUID, access_id: UUID, now: dt.datetime, *, actor: audit.Actor) -> None:
    if not tx.run(SQL.end, user_id=user_id, id=access_id, now=now):
        raise NotFound("This access is not open (any more).")
    audit.note(tx, user_id, "emergency.ended", now, actor=actor, access=str(access_id))
