"""A person's rights over their data: consent, restriction, the log; erasure and export stand beside."""

from __future__ import annotations

import contextlib
import datetime as dt
from typing import Any
from uuid import UUID

import msgspec

from stillwave.accounts import actions as accounts
from stillwave.accounts.rules import CONSENTS
from stillwave.db import audit
from stillwave.db.database import Database, Tx
from stillwave.errors import NotFound
from stillwave.profiles import actions as profiles


def set_consent(tx: Tx, user_id: UUID, purpose: str, *, give: bool, now: dt.datetime) -> None:
    """The consent is given or withdrawn, and acts at once: learning stops with the consent for it."""
    if purpose == "adaptation":
        profiles.set_adaptation(tx, user_id, on=give, now=now)
    else:
        accounts.set_consent(tx, user_id, purpose, give=give, now=now)


def restrict(tx: Tx, user_id: UUID, *, on: bool, now: dt.datetime) -> None:
    """Data is kept and shown but nothing is learned from it, or that ends."""
    accounts.restrict(tx, user_id, on=on, now=now)


class Happening(msgspec.Struct, frozen=True):
    """One event as its person reads it. `number` counts from 1; `detail` holds codes and ids."""

    number: int
    at: dt.datetime
    actor: str
    action: str
    what: str
    detail: dict[str, Any]


def log(tx: Tx, user_id: UUID, before: int, most: int) -> list[Happening]:
    """What was done with the account and the data below the number `before`, newest first."""
    return [
        Happening(event.seq, event.at, event.actor, event.action, _words(event.action, detail), detail)
        for event in audit.events(tx, user_id, before, most)
        for detail in [msgspec.json.decode(event.detail)]
    ]


def _words(action: str, detail: dict[str, Any]) -> str:
    """What was done, with which consent, or which fields."""
    text, purpose, fields = audit.ACTIONS[action], CONSENTS.get(detail.get("purpose", "")), detail.get("fields", "")
    if purpose is not None:
        return f"{text}: {purpose.label}"
    return f"{text} ({fields.replace('_', ' ').replace(',', ', ')})" if fields else text


def erase_again(database: Database, now: dt.datetime) -> int:
    """Nobody with a tombstone in the key store stands in the database any more; returns how many were found there.

    They come back with a database from an old backup, or when an erasure was cut off before its commit. Their sound
    files wait to be unlinked: `SoundFiles.sweep` does that. Where nobody came back it only looks, one id at a time.
    """
    standing: list[UUID] = []
    erased = database.vault.keys.erased()
    if not erased:
        return 0
    with database.read() as tx:
        for user_id, _ in erased:
            tx.act_as(user_id)
            if accounts.stands(tx, user_id):
                standing.append(user_id)
    for user_id in standing:
        # Another process may have been quicker.
        with contextlib.suppress(NotFound), database.write(user_id) as tx:
            accounts.delete(tx, user_id, now, actor="system")
    return len(standing)
