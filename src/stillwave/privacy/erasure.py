"""Erasure: asked for, taken back or made final; and the receipt that says what went and what stays."""

from __future__ import annotations

import base64
import binascii
import contextlib
import datetime as dt
import hmac
from pathlib import Path
from uuid import UUID

import msgspec

from stillwave.accounts import actions as accounts
from stillwave.db import audit
from stillwave.db.database import Database, Queries, Tx
from stillwave.db.seal import Vault
from stillwave.errors import BadInput, Conflict, NotFound
from stillwave.jobs import actions as jobs
from stillwave.web.gate import Me

SQL = Queries(Path(__file__).parent)
_BATCH = 100
_NO_END = 2**62  # above every number
_PROOF_BYTES = 16
_RECEIPT_VERSION = 1
_ROWS = "rows."
KEPT = (
    "The log of what was done: codes and times under this id, which leads to nobody any more. Six years, then it goes.",
    "A tombstone beside the keys: this id and the time, so that no old backup can bring you back.",
    ("Backups made before: what you wrote in them can no longer be opened by anybody. Scores and times in them stay until "
     "the operator throws them away, and are erased at once should one be put back."),
)  # fmt: skip

# What the rows of a table are to their person; a table that is not here has its own name.
WORDS = {
    "users": "Your account", "neural_profiles": "What was learned about you", "sessions": "Sessions",
    "audio_files": "Sound files", "user_preferences": "Preferences", "progress_tracking": "Diary days",
    "session_feedback": "Ratings", "profile_history": "Steps of learning", "logins": "Sign-ins",
    "recoveries": "Codes for a new password", "second_factors": "Second step", "recovery_codes": "Recovery codes",
    "passkeys": "Passkeys", "passkey_challenges": "Challenges for a passkey",
    "consents": "Consents", "erasures": "Your wish to be erased", "screenings": "Safety answers",
    "clearances": "Clearances", "idempotency_keys": "Answers kept for programs", "jobs": "Work that waited",
    "reminders": "Reminders", "calendar_feeds": "Calendar address", "learning_checkpoint": "Learning, kept in between",
    "learning_base": "Learned from old sessions", "emergency_accesses": "Emergency accesses",
    "promotion_rejects": "Records that a move could not take over",
}  # fmt: skip


class Asked(msgspec.Struct, frozen=True):
    """An erasure that was asked for; until `final_at` it can be taken back."""

    asked_at: dt.datetime
    final_at: dt.datetime


class Receipt(msgspec.Struct, frozen=True):
    """What an erasure removed: rows by table (sound files go with theirs), the key; what is kept, and a MAC over it all."""

    version: int
    person: UUID
    asked_at: dt.datetime | None
    erased_at: dt.datetime
    rows: dict[str, int]
    key: str
    kept: tuple[str, ...]
    mac: str


class Gone(msgspec.Struct, frozen=True):
    """Who was erased just now: where to write to, and the receipt."""

    email: str
    receipt: Receipt


class _Row(msgspec.Struct):
    asked_at: dt.datetime
    final_at: dt.datetime
    restricted_before: bool


class _Due(msgspec.Struct):
    user_id: UUID


def asked(tx: Tx, user_id: UUID) -> Asked | None:
    """The erasure the person asked for; None when there is none."""
    row = tx.one(_Row, SQL.erasure_of, user_id=user_id)
    return Asked(row.asked_at, row.final_at) if row else None


def waiting(tx: Tx) -> int:
    """How many people asked for erasure and are not erased yet."""
    return int(tx.value(SQL.count_erasures))


def confirm(database: Database, user_id: UUID, password: str, word: str, now: dt.datetime) -> None:
    """Raises BadInput unless the person typed the word and proved who they are."""
    if word.strip().lower() != "erase":
        raise BadInput("confirm", "must be the word", "erase")
    accounts.confirm_password(database, user_id, password, now)


def ask(tx: Tx, me: Me, days: int, now: dt.datetime) -> Asked:
    """Everything stops at once: other logins end, work that waits goes, nothing is learned, planned or mailed.

    Until the days are over it can be taken back. Asked again, the day stays as it was.
    """
    made = tx.run(
        SQL.ask_erasure, user_id=me.user_id, now=now, final_at=now + dt.timedelta(days=days),
        restricted_before=me.processing_restricted,
    )  # fmt: skip
    if made:
        audit.note(tx, me.user_id, "erasure.asked", now, days=days)
        if not me.processing_restricted:
            accounts.restrict(tx, me.user_id, on=True, now=now)
        accounts.sign_out_others(tx, me.user_id, me.login_id, now)
        jobs.forget(tx, me.user_id)
    found = asked(tx, me.user_id)
    if found is None:
        raise NotFound("There is no such account.")
    return found


def undo(tx: Tx, user_id: UUID, now: dt.datetime) -> None:
    """The account is as it was. Raises NotFound where nothing was asked for, Conflict when it is too late."""
    row = tx.one(_Row, SQL.erasure_of, user_id=user_id)
    if row is None:
        raise NotFound("You have not asked for erasure.")
    if not tx.run(SQL.undo_erasure, user_id=user_id, now=now):
        raise Conflict("It is too late: the erasure is final and under way.")
    audit.note(tx, user_id, "erasure.undone", now)
    if not row.restricted_before:
        accounts.restrict(tx, user_id, on=False, now=now)
    jobs.enqueue(tx, user_id, accounts.PLAN_REMINDERS, "", now)


def erase(database: Database, user_id: UUID, now: dt.datetime, *, actor: audit.Actor = "self") -> Gone:
    """Nothing of the person is left but the log; sound files wait to be unlinked. Raises NotFound."""
    with database.write(user_id) as tx:
        email = accounts.contact(tx, user_id)[0]
        begun = asked(tx, user_id)
        detail = {"asked": begun.asked_at.astimezone(dt.UTC).isoformat(timespec="milliseconds")} if begun else {}
        accounts.delete(tx, user_id, now, actor=actor, **detail)
        return Gone(email, receipt(tx, user_id))


def due(database: Database, now: dt.datetime) -> list[UUID]:
    """People whose erasure is final, at most so many as are done in one go."""
    with database.read(right="retention") as tx:
        return [found.user_id for found in tx.all(_Due, SQL.due_erasures, now=now, most=_BATCH)]


def finish(database: Database, people: list[UUID], now: dt.datetime) -> list[Gone]:
    """These people are erased, but for those who took it back a moment ago."""
    gone = []
    for user_id in people:
        with database.read(user_id) as tx:
            begun = asked(tx, user_id)
        if begun is not None and begun.final_at <= now:
            with contextlib.suppress(NotFound):  # another worker was quicker
                gone.append(erase(database, user_id, now, actor="system"))
    return gone


# --- the receipt --------------------------------------------------------------------------------


def receipt(tx: Tx, user_id: UUID) -> Receipt:
    """The receipt of an erased person, made from the log, so that it is there as long as the log is. Raises NotFound."""
    event = next((one for one in audit.events(tx, user_id, _NO_END, _BATCH) if one.action == "account.erased"), None)
    if event is None:
        raise NotFound("There is no receipt at this address.")
    detail = msgspec.json.decode(event.detail)
    begun = detail.pop("asked", None)
    made = Receipt(
        version=_RECEIPT_VERSION, person=user_id, asked_at=dt.datetime.fromisoformat(begun) if begun else None,
        erased_at=event.at, rows={name.removeprefix(_ROWS): count for name, count in sorted(detail.items()) if name.startswith(_ROWS)},
        key="destroyed", kept=KEPT, mac="",
    )  # fmt: skip
    return msgspec.structs.replace(made, mac=_mac(tx.vault, made))


def _mac(vault: Vault, made: Receipt) -> str:
    return vault.audit_mac(_written(made))


def _written(made: Receipt) -> str:
    plain = msgspec.json.encode(msgspec.structs.replace(made, mac=""), order="sorted").decode()
    return f"erasure receipt\n{plain}"


def check(database: Database, given: Receipt) -> list[str]:
    """What is wrong with a receipt or with what it promises; empty when this Stillwave made it and keeps it."""
    if not database.vault.audit_fits(_written(given), given.mac):
        return ["it was changed, or is from another Stillwave"]
    wrong = []
    if not database.vault.keys.is_erased(given.person):
        wrong.append("the key store holds no tombstone of this person: it may be an old copy")
    with database.read(given.person) as tx:
        if accounts.stands(tx, given.person):
            wrong.append("the account is in the database again")
    return wrong


def token(vault: Vault, user_id: UUID) -> str:
    """What leads to the person's receipt, before and after the erasure; nothing is stored for it."""
    return _tokens(vault, user_id)[0]


def _tokens(vault: Vault, user_id: UUID) -> list[str]:
    """The tokens under every key there was, newest first: people keep theirs."""
    proofs = [bytes.fromhex(mac)[:_PROOF_BYTES] for mac in vault.audit_macs(f"receipt of {user_id}")]
    return [base64.urlsafe_b64encode(user_id.bytes + proof).decode() for proof in proofs]


def of_token(vault: Vault, given: str) -> UUID:
    """Whose receipt it is. Raises NotFound for a token that is not ours."""
    try:
        user_id = UUID(bytes=base64.b64decode(given.encode("ascii"), altchars=b"-_", validate=True)[:16])
    except (ValueError, binascii.Error):
        raise NotFound("There is no receipt at this address.") from None
    if not any(hmac.compare_digest(given, known) for known in _tokens(vault, user_id)):
        raise NotFound("There is no receipt at this address.")
    return user_id


# --- what is mailed -----------------------------------------------------------------------------


def asked_mail(base_url: str, address: str, found: Asked) -> tuple[str, str]:
    """Subject and words of the mail to who asked for erasure; `address` is that of the receipt."""
    text = (
        "You, or somebody who knows your password, asked us to erase your account and everything in it.\n\n"
        f"It is final on {day(found.final_at)}. Until then everything stands still.\n\n"
        f"If you change your mind, or if it was not you, sign in before that and take it back: {base_url}/sign-in\n\n"
        f"From then on your receipt is here: {base_url}{address}\n"
    )
    return "Your Stillwave account will be erased", text


def gone_mail(base_url: str, address: str, made: Receipt) -> tuple[str, str]:
    """Subject and words of the last mail a person gets; the receipt is in it, whole."""
    whole = msgspec.json.format(msgspec.json.encode(made), indent=1).decode()
    text = (
        "Everything about you is erased, as you asked. This is the last mail we can send you: your address is gone as well.\n\n"
        f"The receipt, for your files. It stays for six years at {base_url}{address}\n\n{whole}\n\nBe well.\n"
    )
    return "Your Stillwave account is erased", text


def day(moment: dt.datetime) -> str:
    """A day and time as people read it."""
    return f"{moment.astimezone(dt.UTC):%d %B %Y, %H:%M} UTC".lstrip("0")
