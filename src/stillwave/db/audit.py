"""The audit log: who did what with whose data, one chain of events per person.

Each event carries a MAC (HMAC-SHA256) over itself and the MAC before it, under a key derived from the root key
and so outside the database: whoever can write the database can neither change, remove nor reorder events
unnoticed. The newest events of a chain could be cut off together with its head; a checkpoint kept elsewhere
shows that. A new key begins with an event in every chain, and what follows must be under it: with the old key no
chain can be written on, nor anything before that event be changed. An event is written in the transaction of what it tells of, and holds codes and ids only.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import msgspec

from stillwave.db.handle import Database, Queries, Tx
from stillwave.db.seal import Vault
from stillwave.errors import BadInput

SQL = Queries(Path(__file__).parent)
Actor = Literal["self", "operator", "system"]
_START = "0" * 64
_BATCH = 1000
_CHECKPOINT_VERSION = 1

# What is written down, and how a person reads it.
ACTIONS: dict[str, str] = {
    "account.created": "The account was made",
    "account.imported": "The account came from another Stillwave",
    "account.promoted": "The account was taken over from another database",
    "account.joined": "Rows of another database joined the account",
    "account.status": "The account was switched on or off",
    "account.tier": "The subscription tier changed",
    "account.role": "The role changed",
    "erasure.asked": "Erasure was asked for",
    "erasure.undone": "Erasure was taken back",
    "account.erased": "Everything was erased",
    "contact.changed": "E-mail or phone number were changed",
    "preferences.changed": "Preferences were changed",
    "login.opened": "A sign-in began",
    "login.refused": "A sign-in was refused: wrong password, or the account is switched off",
    "second_step.refused": "A wrong code of the second step was refused",
    "contact.listed": "An operator listed the accounts, with this e-mail among them",
    "jobs.retried": "Failed work was begun again",
    "jobs.dropped": "Failed work was dropped",
    "clock.confirmed": "An operator confirmed the clock",
    "check.attested": "An operator vouched for a check of the security audit",
    "login.ended": "A sign-in ended",
    "logins.ended": "All other sign-ins ended",
    "records.read": "Stored data was looked at",
    "password.changed": "The password was changed",
    "password.recovered": "The password was set anew with a code",
    "recovery.asked": "A code for a new password was asked for",
    "second_step.on": "The second step was turned on",
    "second_step.off": "The second step was turned off",
    "recovery_codes.made": "New recovery codes were made",
    "passkey.added": "A passkey was added",
    "passkey.removed": "A passkey was removed",
    "consent.given": "A consent was given",
    "consent.withdrawn": "A consent was taken back",
    "restriction.on": "The use of data was paused",
    "restriction.off": "The use of data goes on",
    "export.made": "Everything was downloaded",
    "screening.answered": "The safety questions were answered",
    "clearance.recorded": "A doctor's clearance was noted",
    "clearance.ended": "A doctor's clearance was taken back",
    "emergency.opened": "An operator opened your data in an emergency",
    "emergency.looked": "An operator looked at your data in an emergency",
    "emergency.ended": "Emergency access to your data ended",
    "emergency.asked": "Somebody's data was opened in an emergency",
    "breach.noted": "A breach of security was noted that touches your data",
    "session.started": "A session was planned",
    "feedback.given": "A session was rated",
    "feedback.changed": "A rating was changed",
    "feedback.removed": "A rating was taken back",
    "diary.kept": "A diary day was kept",
    "diary.removed": "A diary day was removed",
    "log.rekeyed": "This log goes on under a new key",
    "log.trimmed": "Lines of this log older than six years were removed",
}


class Event(msgspec.Struct, frozen=True):
    """One thing that was done; `detail` is JSON text."""

    user_id: UUID
    seq: int
    at: dt.datetime
    actor: str
    action: str
    detail: str
    prior: str
    mac: str


class Head(msgspec.Struct, frozen=True):
    """The end of a person's chain."""

    user_id: UUID
    seq: int
    mac: str


class Checkpoint(msgspec.Struct, frozen=True):
    """The ends of all chains at one moment, with a MAC over them; to be kept away from the database."""

    version: int
    at: dt.datetime
    heads: list[Head]
    mac: str


def note(tx: Tx, user_id: UUID, action: str, now: dt.datetime, *, actor: Actor = "self", **detail: str | int) -> None:
    """The event is at the end of the person's chain. Writers of one person wait for each other."""
    if action not in ACTIONS:
        raise KeyError(action)
    end = tx.one(_End, SQL.hold_head, user_id=user_id)
    if end is None:
        tx.run(SQL.begin_chain, user_id=user_id, mac=_START)
        end = tx.one(_End, SQL.hold_head, user_id=user_id)
        if end is None:
            raise RuntimeError("the chain of a person could not be begun")
    text = _canonical(detail)
    event = Event(user_id, end.seq + 1, now, actor, action, text, end.mac, "")
    tx.run(
        SQL.append_event, user_id=user_id, seq=event.seq, at=now, actor=actor, action=action, detail=text,
        prior=end.mac, mac=tx.vault.audit_mac(_written(event)),
    )  # fmt: skip


def opening(vault: Vault, user_id: UUID, action: str, now: dt.datetime) -> Event:
    """The first event of a new chain, to be written with its head where many people come at once."""
    if action not in ACTIONS:
        raise KeyError(action)
    event = Event(user_id, 1, now, "system", action, "{}", _START, "")
    return msgspec.structs.replace(event, mac=vault.audit_mac(_written(event)))


def outlived(tx: Tx, now: dt.datetime, most: int) -> list[UUID]:
    """People who have events older than six years, at most so many."""
    return [UUID(str(row["user_id"])) for row in tx.rows(SQL.outlived, before=_six_years_before(now), most=most)]


def carried(old: Vault, new: Vault, event: Event, prior: str) -> Event:
    """The event under another root key, behind the event with the MAC `prior`. Raises ValueError if it was changed."""
    if old.audit_generation(_written(event), event.mac) is None:
        raise ValueError("an event of the audit log was changed")
    moved = msgspec.structs.replace(event, prior=prior)
    return msgspec.structs.replace(moved, mac=new.audit_mac(_written(moved)))


def trim(tx: Tx, user_id: UUID, now: dt.datetime) -> None:
    """The person's events older than six years are gone, and the chain says from where it goes on.

    Needs the right of housekeeping, acting for the person: nobody else can take anything away.
    """
    last = tx.value(SQL.last_outlived, user_id=user_id, before=_six_years_before(now))
    # The database may let fewer go than asked for: its own clock decides.
    if last is not None and tx.run(SQL.delete_events, user_id=user_id, last=last):
        first = tx.value(SQL.first_left, user_id=user_id) or last + 1
        note(tx, user_id, "log.trimmed", now, actor="system", **{"from": int(first)})


def _six_years_before(now: dt.datetime) -> dt.datetime:
    return now - dt.timedelta(days=6 * 365 + 2)


def events(tx: Tx, user_id: UUID, before: int, most: int) -> list[Event]:
    """The person's events below the number `before`, newest first."""
    return tx.all(Event, SQL.events_of, user_id=user_id, before=before, most=most)


def heads(tx: Tx) -> list[Head]:
    """The ends of all chains."""
    return tx.all(Head, SQL.heads)


def broken(tx: Tx, user_id: UUID) -> str | None:
    """What is wrong with a person's chain, in a sentence; None when every event is as it was written."""
    head = tx.one(Head, SQL.head_of, user_id=user_id)
    last, begins, first_seq, generation = None, {1}, None, 0
    for event in _chain(tx, user_id):
        first_seq = first_seq or event.seq
        of_event = tx.vault.audit_generation(_written(event), event.mac)
        if told := _misfit(last, event, generation, of_event):
            return told
        generation = of_event or 0
        if event.action == "log.trimmed":
            begins.add(int(json.loads(event.detail)["from"]))
        last = event
    if first_seq is not None and first_seq not in begins:
        return f"events before {first_seq} are missing"
    if head is None:
        return None if last is None else "the end of the chain is missing"
    end = (last.seq, last.mac) if last else (0, _START)
    whole = end == (head.seq, head.mac) and not tx.vault.audit_retired(generation)
    return None if whole else f"events after {end[0]} are missing"


def rekey(tx: Tx, user_id: UUID, now: dt.datetime) -> bool:
    """The person's chain goes on under the newest key; False when it did already, or is empty."""
    if tx.one(_End, SQL.hold_head, user_id=user_id) is None:
        return False
    events = tx.all(Event, SQL.events_of, user_id=user_id, before=2**53, most=1)
    newest = tx.vault.keys.house("audit")[0][0]
    if not events or tx.vault.audit_generation(_written(events[0]), events[0].mac) in (None, newest):
        return False  # a broken chain stays as it is: a seam would hide nothing, and heal nothing
    note(tx, user_id, "log.rekeyed", now, actor="system")
    return True


def _misfit(last: Event | None, event: Event, generation: int, of_event: int | None) -> str | None:
    if last is not None and event.seq != last.seq + 1:
        return f"event {last.seq + 1} is missing"
    if last is not None and event.prior != last.mac:
        return f"event {event.seq} does not follow event {last.seq}"
    if of_event is None:
        return f"event {event.seq} was changed"
    return f"event {event.seq} was written with an old key" if of_event < generation else None


def verify(tx: Tx, checkpoint: Checkpoint | None = None) -> dict[UUID, str]:
    """What is wrong, by person; empty when all chains are whole and hold what the checkpoint saw.

    Raises BadInput for a checkpoint that is not ours or was changed.
    """
    wrong = {user_id: told for user_id in sorted(_known(tx)) if (told := broken(tx, user_id))}
    for head in _heads_of(tx, checkpoint):
        if told := _lost(tx, head, whole=head.user_id not in wrong):
            wrong.setdefault(head.user_id, told)
    return wrong


def verify_each(database: Database, checkpoint: Checkpoint | None = None) -> tuple[int, dict[UUID, str]]:
    """How many chains there are, and what is wrong by person, as `verify` says; each is read with the right of its person.

    So it can be done by who has no right to see everybody at once, and no transaction is long.
    """
    with database.read(right="retention") as tx:
        known, seen = _known(tx), {head.user_id: head for head in _heads_of(tx, checkpoint)}
    wrong = {}
    for user_id in sorted(known | seen.keys()):
        with database.read(user_id) as tx:
            told = broken(tx, user_id)
            if told is None and user_id in seen:
                told = _lost(tx, seen[user_id], whole=True)
        if told:
            wrong[user_id] = told
    return len(known), wrong


def _known(tx: Tx) -> set[UUID]:
    """Everybody of whom there are events, or a head."""
    return {head.user_id for head in heads(tx)} | {UUID(str(row["user_id"])) for row in tx.rows(SQL.headless)}


def _heads_of(tx: Tx, checkpoint: Checkpoint | None) -> list[Head]:
    if checkpoint is None:
        return []
    if tx.vault.audit_generation(_checkpoint_written(checkpoint), checkpoint.mac) is None:
        raise BadInput("checkpoint", "was changed, or is from another Stillwave")
    return checkpoint.heads


def _lost(tx: Tx, head: Head, *, whole: bool) -> str | None:
    """What became of the event a checkpoint saw last, if it is not there.

    A later one will do when it was trimmed since: then the chain, if it is whole, vouches for its beginning.
    """
    seen = tx.all(Event, SQL.chain_of, user_id=head.user_id, after=head.seq - 1, most=1)
    trimmed = bool(seen) and seen[0].seq > head.seq and whole
    if head.seq == 0 or trimmed or (seen and (seen[0].seq, seen[0].mac) == (head.seq, head.mac)):
        return None
    return f"event {head.seq}, seen at the checkpoint, is missing or another"


def checkpoint(tx: Tx, now: dt.datetime) -> Checkpoint:
    """The ends of all chains as they are."""
    made = Checkpoint(_CHECKPOINT_VERSION, now, heads(tx), "")
    return msgspec.structs.replace(made, mac=_checkpoint_mac(tx, made))


class _End(msgspec.Struct):
    seq: int
    mac: str


def _chain(tx: Tx, user_id: UUID) -> Iterator[Event]:
    after = 0
    while True:
        page = tx.all(Event, SQL.chain_of, user_id=user_id, after=after, most=_BATCH)
        yield from page
        if len(page) < _BATCH:
            return
        after = page[-1].seq


def _written(event: Event) -> str:
    at = event.at.astimezone(dt.UTC).isoformat(timespec="milliseconds")
    parts = (event.prior, str(event.user_id), str(event.seq), at, event.actor, event.action, _canonical(json.loads(event.detail)))
    return "\n".join(parts)


def _checkpoint_mac(tx: Tx, made: Checkpoint) -> str:
    return tx.vault.audit_mac(_checkpoint_written(made))


def _checkpoint_written(made: Checkpoint) -> str:
    return msgspec.json.encode(msgspec.structs.replace(made, mac="")).decode()


def _canonical(detail: dict[str, Any]) -> str:
    # PostgreSQL keeps JSON by meaning, not by letter.
    return json.dumps(detail, sort_keys=True, separators=(",", ":"))
