"""Reminders: planned when preferences change, taken when due, sent once; private calendar addresses.

Never twice: a day is taken in the database before its mail exists, the mail waits as a job in the same transaction,
and a mail of which nobody knows whether it left (the worker was killed, the line broke) is not sent again.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hmac
from pathlib import Path
from typing import cast
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from stillwave.accounts import actions as accounts
from stillwave.db.database import Database, Queries, Tx
from stillwave.db.seal import Vault
from stillwave.errors import NotFound, NotSignedIn
from stillwave.jobs import actions as jobs
from stillwave.jobs.rules import Job
from stillwave.log import log
from stillwave.progress import actions as progress
from stillwave.reminders import rules
from stillwave.reminders.rules import KINDS, STALE, Kind, Mail
from stillwave.web import gate
from stillwave.web.mail import Mailer, MaybeSent

SQL = Queries(Path(__file__).parent)
SEND = "send_reminder"
_BATCH = 500
_FIELDS: dict[Kind, str] = {"morning": "morning_mail", "evening": "evening_mail", "digest": "weekly_digest"}
_UNSUBSCRIBE = "reminders.unsubscribe"
_PROOF_BYTES = 16


class _State(msgspec.Struct):
    next_at: dt.datetime | None
    last_day: dt.date | None


class _Found(msgspec.Struct):
    user_id: UUID
    kind: Kind


def plan(tx: Tx, user_id: UUID, now: dt.datetime) -> None:
    """The next coming of each reminder is on record as the person's preferences, zone and consent have it."""
    wish = accounts.preferences(tx, user_id)
    allowed = _allowed(tx, user_id)
    for kind in KINDS:
        state = tx.one(_State, SQL.reminder_of, user_id=user_id, kind=kind)
        due = rules.following(kind, wish, now, state.last_day if state else None) if allowed else None
        if due is not None or state is not None:
            tx.run(SQL.plan, user_id=user_id, kind=kind, next_at=due.at if due else None)


def _allowed(tx: Tx, user_id: UUID) -> bool:
    """Not switched off or paused, and the consent was given in the wording of today."""
    return tx.value(SQL.may_be_reminded, user_id=user_id) is not None and accounts.agrees(tx, user_id, "reminders")


def take_due(database: Database, now: dt.datetime, *, mail: bool) -> int:
    """Every reminder that is due has become a mail that waits, and its next coming is planned; returns how many.

    Without a mail server they are only planned onwards.
    """
    taken = 0
    while True:
        with database.read(right="retention") as tx:
            found = tx.all(_Found, SQL.due_reminders, now=now, most=_BATCH)
        for one in found:
            with database.write(one.user_id) as tx:
                taken += _take(tx, one.user_id, one.kind, now, mail=mail)
        if len(found) < _BATCH:
            return taken


def _take(tx: Tx, user_id: UUID, kind: Kind, now: dt.datetime, *, mail: bool) -> bool:
    state = tx.one(_State, SQL.reminder_of, user_id=user_id, kind=kind)
    if state is None or state.next_at is None or state.next_at > now:
        return False
    wish = accounts.preferences(tx, user_id)
    zone, time = ZoneInfo(wish.time_zone), rules.time_of(kind, wish)
    day = state.next_at.astimezone(zone).date()
    if time is None or rules.instant(day, time, zone) != state.next_at:  # preferences changed a moment ago
        due = rules.following(kind, wish, now, state.last_day)
        tx.run(SQL.plan, user_id=user_id, kind=kind, next_at=due.at if due else None)
        return False
    following = rules.following(kind, wish, now, day)
    if not tx.run(
        SQL.take_day, user_id=user_id, kind=kind, due_at=state.next_at, day=day,
        next_at=following.at if following else None,
    ):  # fmt: skip
        tx.run(SQL.plan, user_id=user_id, kind=kind, next_at=following.at if following else None)
        return False
    if not mail or now - state.next_at > STALE[kind]:
        return False
    jobs.enqueue(tx, user_id, SEND, f"{kind} {day}", now)
    return True


def send(database: Database, mailer: Mailer, base_url: str, job: Job, now: dt.datetime) -> None:
    """The mail of this job has been handed to the mail server, unless it should not be any more.

    Raises OSError (of which smtplib's errors are) when the server surely did not take it: then it is tried again.
    """
    kind, day = cast("Kind", job.subject.split(" ")[0]), dt.date.fromisoformat(job.subject.split(" ")[1])
    if job.cut_off:
        log.warning("a reminder may have been sent and is not sent again", action=kind)
        return
    with database.read(job.user_id) as tx:
        written = _written(tx, job.user_id, kind, day, now, base_url)
        address = accounts.contact(tx, job.user_id)[0] if written else ""
    if written is None:
        return
    link = f"{base_url}/unsubscribe/{unsubscribe_token(database.vault, job.user_id, kind)}"
    headers = {"List-Unsubscribe": f"<{link}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}
    try:
        mailer.deliver(address, written.subject, written.text + rules.farewell(link), headers=headers)
    except MaybeSent:
        log.warning("a reminder may have been sent and is not sent again", action=kind)


def _written(tx: Tx, user_id: UUID, kind: Kind, day: dt.date, now: dt.datetime, base_url: str) -> Mail | None:
    """The mail, or None when the person does not want it (any more) or it comes too late."""
    wish = accounts.preferences(tx, user_id)
    time, zone = rules.time_of(kind, wish), ZoneInfo(wish.time_zone)
    if not _allowed(tx, user_id) or time is None or rules.is_quiet(now, wish):
        return None
    if now - rules.instant(day, time, zone) > STALE[kind]:
        return None
    if kind != "digest":
        return rules.reminder(kind, base_url)
    monday = rules.instant(day, dt.time(), zone)
    sessions, minutes = progress.listened(tx, user_id, rules.instant(day - dt.timedelta(days=7), dt.time(), zone), monday)
    return rules.digest(sessions, minutes, base_url)


# --- unsubscribing without signing in (RFC 8058) -------------------------------------------------


def unsubscribe_token(vault: Vault, user_id: UUID, kind: Kind) -> str:
    """What ends this kind of mail for this person, and does nothing else. Nothing is stored for it."""
    return _unsubscribe_tokens(vault, user_id, kind)[-1]


def _unsubscribe_tokens(vault: Vault, user_id: UUID, kind: Kind) -> list[str]:
    """The tokens under every key there was: mails are old. The newest last."""
    proofs = vault.blind_indexes(_UNSUBSCRIBE, f"{user_id} {kind}", retired=True)
    begin = user_id.bytes + bytes([KINDS.index(kind)])
    return [base64.urlsafe_b64encode(begin + bytes.fromhex(proof)[:_PROOF_BYTES]).decode() for proof in proofs]


def of_unsubscribe_token(vault: Vault, token: str) -> tuple[UUID, Kind]:
    """Whose mail of which kind the token ends. Raises NotFound for one that is not ours."""
    try:
        raw = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
        user_id, kind = UUID(bytes=raw[:16]), KINDS[raw[16]]
    except (ValueError, binascii.Error, IndexError):
        raise NotFound("This address is not whole. Please open it from the mail again.") from None
    if not any(hmac.compare_digest(token, known) for known in _unsubscribe_tokens(vault, user_id, kind)):
        raise NotFound("This address is not whole. Please open it from the mail again.")
    return user_id, kind


def unsubscribe(tx: Tx, user_id: UUID, kind: Kind, now: dt.datetime) -> None:
    """No mail of this kind comes any more; nothing happens to an account that is gone."""
    try:
        accounts.account(tx, user_id)
    except NotFound:
        return
    accounts.end_mail(tx, user_id, _FIELDS[kind], now)


# --- the calendar -------------------------------------------------------------------------------


def open_calendar(tx: Tx, user_id: UUID, now: dt.datetime) -> str:
    """A new private calendar address: its last part, which is not stored; an older one has ended."""
    token = gate.new_token(user_id)
    tx.run(SQL.set_feed, user_id=user_id, token_hash=gate.token_hash(token), now=now)
    return token


def close_calendar(tx: Tx, user_id: UUID) -> None:
    """The calendar address has ended."""
    tx.run(SQL.remove_feed, user_id=user_id)


class _Since(msgspec.Struct):
    created_at: dt.datetime


def calendar_since(tx: Tx, user_id: UUID) -> dt.datetime | None:
    """When the calendar address was made; None when there is none."""
    found = tx.one(_Since, SQL.feed_since, user_id=user_id)
    return found.created_at if found else None


def calendar(database: Database, token: str, now: dt.datetime) -> str:
    """The calendar behind a private address. Raises NotFound, also for one that has ended."""
    try:
        user_id = gate.claimed_person(token)
    except NotSignedIn:
        raise NotFound("There is no calendar at this address.") from None
    with database.read(user_id) as tx:
        if tx.value(SQL.feed_of_token, user_id=user_id, token_hash=gate.token_hash(token)) is None:
            raise NotFound("There is no calendar at this address.")
        return rules.calendar(accounts.preferences(tx, user_id), now)
