"""A person's rights over their data: consent, restriction, a copy of everything, erasure."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import io
import zipfile
from typing import Any
from uuid import UUID

import msgspec

from stillwave.accounts import actions as accounts
from stillwave.db import audit, portable
from stillwave.db.database import Database, Tx
from stillwave.errors import BadInput, NotFound
from stillwave.profiles import actions as profiles

_README = """Your Stillwave data
===================

Everything this Stillwave holds about you, as of {when} (UTC).

- data/*.json       one file for each kind of record, opened and readable
- left-out.json     what is not in here, and why (such as your password, of which only a hash is kept)
- manifest.json     the SHA-256 of every file, to check that nothing was altered

Any of your sessions can be heard again from its `programme` in data/sessions.json.
"""


def set_consent(tx: Tx, user_id: UUID, purpose: str, *, give: bool, now: dt.datetime) -> None:
    """The consent is given or withdrawn, and acts at once: learning stops with the consent for it."""
    if purpose == "adaptation":
        profiles.set_adaptation(tx, user_id, on=give, now=now)
    else:
        accounts.set_consent(tx, user_id, purpose, give=give, now=now)


def restrict(tx: Tx, user_id: UUID, *, on: bool, now: dt.datetime) -> None:
    """Data is kept and shown but nothing is learned from it, or that ends."""
    accounts.restrict(tx, user_id, on=on, now=now)


def export(tx: Tx, user_id: UUID, now: dt.datetime) -> bytes:
    """A ZIP of everything held about the person: JSON by table, what is left out, a manifest of hashes."""
    audit.note(tx, user_id, "export.made", now)
    files = {"README.txt": _README.format(when=f"{now:%Y-%m-%d %H:%M}").encode()}
    for table, rows in portable.everything(tx, user_id).items():
        files[f"data/{table}.json"] = _json(rows)
    files["left-out.json"] = _json(portable.kept_back())
    files["manifest.json"] = _json({name: hashlib.sha256(body).hexdigest() for name, body in files.items()})
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in files.items():
            archive.writestr(zipfile.ZipInfo(name, now.timetuple()[:6]), body, zipfile.ZIP_DEFLATED)
    return out.getvalue()


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
        Happening(event.seq, event.at, event.actor, event.action, audit.ACTIONS[event.action], msgspec.json.decode(event.detail))
        for event in audit.events(tx, user_id, before, most)
    ]


def _json(value: Any) -> bytes:  # noqa: ANN401
    return msgspec.json.format(msgspec.json.encode(value), indent=2)


def erase(database: Database, user_id: UUID, password: str, confirm: str, now: dt.datetime) -> None:
    """Nothing of the person is left: rows are deleted, the key is destroyed, sound files wait to be unlinked.

    The audit log alone stays: codes and times under an id that leads to nobody any more.
    Raises BadInput for a wrong password or word.
    """
    if confirm.strip().lower() != "erase":
        raise BadInput("confirm", "must be the word", "erase")
    accounts.confirm_password(database, user_id, password)
    with database.write(user_id) as tx:
        accounts.delete(tx, user_id, now)


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
