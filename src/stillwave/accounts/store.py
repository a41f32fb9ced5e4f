"""Rows of users, logins, recoveries, consents and preferences; e-mail and phone are sealed here."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from uuid import UUID

import msgspec

from stillwave.accounts.passwords import NOBODY
from stillwave.accounts.rules import AS_WRITTEN, PLACEHOLDER_PREFIX, ConsentText, Notifications, Preferences
from stillwave.db.database import Queries, Tx
from stillwave.errors import ConstraintBroken

SQL = Queries(Path(__file__).parent)


class User(msgspec.Struct, frozen=True):
    """A row of users; `email` and `phone_number` are still sealed."""

    id: UUID
    email: str
    phone_number: str
    password_hash: str
    account_status: str
    subscription_tier: str
    role: str
    created_at: dt.datetime
    last_login: dt.datetime | None


class Login(msgspec.Struct, frozen=True):
    """A device that is signed in."""

    id: UUID
    device: str
    created_at: dt.datetime
    last_seen_at: dt.datetime


class Consent(msgspec.Struct, frozen=True):
    """One consent, given and perhaps withdrawn; the digest is of the wording that was shown."""

    purpose: str
    version: int
    text_sha256: str
    given_at: dt.datetime
    withdrawn_at: dt.datetime | None


class People(msgspec.Struct, frozen=True):
    """How many people there are."""

    total: int
    active: int
    premium: int


def taken(tx: Tx, email: str, phone: str) -> bool:
    """True when an account with this e-mail or phone number exists."""
    indexes = zip(
        tx.vault.blind_indexes("users.email", email), tx.vault.blind_indexes("users.phone_number", phone), strict=True
    )
    return any(tx.value(SQL.taken, email_index=by_email, phone_index=by_phone) for by_email, by_phone in indexes)


def _must_be_free(tx: Tx, email: str, phone: str, user: User | None = None) -> None:
    # While the index is rebuilt, rows under the older key are none that the unique constraints see.
    if len(tx.vault.blind_indexes("users.email", email)) > 1:
        if user and email == email_of(tx, user):
            email = ""
        if user and phone == phone_of(tx, user):
            phone = ""
        if taken(tx, email, phone):
            raise ConstraintBroken("idx_users_email" if email else "idx_users_phone")


def insert(
    tx: Tx, user_id: UUID, *, email: str, phone: str, password_hash: str, now: dt.datetime,
    status: str = "active", tier: str = "free", role: str = "listener",
) -> None:  # fmt: skip
    """The account exists, with its contact sealed. Raises ConstraintBroken when one is taken."""
    _must_be_free(tx, email, phone)
    tx.vault.keys.create(user_id)
    tx.run(
        SQL.insert_user, id=user_id, now=now, password_hash=password_hash,
        email=tx.vault.seal(user_id, "users.email", user_id, email),
        email_index=tx.vault.blind_index("users.email", email),
        phone_number=tx.vault.seal(user_id, "users.phone_number", user_id, phone),
        phone_index=tx.vault.blind_index("users.phone_number", phone),
        account_status=status, subscription_tier=tier, role=role,
    )  # fmt: skip


def by_email(tx: Tx, email: str) -> User | None:
    """The account with this (normal) e-mail."""
    found = (tx.one(User, SQL.user_by_email, email_index=index) for index in tx.vault.blind_indexes("users.email", email))
    return next((user for user in found if user), None)


def by_spelling(tx: Tx, text: str) -> User | None:
    """The account that signs in with these very letters: a promoted one whose address another has, or that is none."""
    found = (tx.one(User, SQL.user_by_email, email_index=index) for index in tx.vault.blind_indexes(AS_WRITTEN, text.strip()))
    return next((user for user in found if user), None)


def standing(tx: Tx, user: User, password_hash: str) -> str:
    """The status an account has once nothing else stands against it: what a promoted one still has to bring, else active."""
    if tx.value(SQL.email_index_of, user_id=user.id) in tx.vault.blind_indexes(AS_WRITTEN, email_of(tx, user)):
        return "address_required"
    if password_hash == NOBODY:
        return "reset_required"
    return "phone_required" if phone_of(tx, user).startswith(PLACEHOLDER_PREFIX) else "active"


def set_address(tx: Tx, user: User, email: str, now: dt.datetime) -> int:
    """The account is found by this address from here on. Raises ConstraintBroken when another has it."""
    _must_be_free(tx, email, "", user)
    changed = tx.run(
        SQL.set_address, user_id=user.id, now=now, email=tx.vault.seal(user.id, "users.email", user.id, email),
        email_index=tx.vault.blind_index("users.email", email),
    )  # fmt: skip
    if changed:
        tx.run(SQL.set_status, user_id=user.id, account_status=standing(tx, user, user.password_hash), now=now)
    return changed


def by_id(tx: Tx, user_id: UUID) -> User | None:
    """The account with this id."""
    return tx.one(User, SQL.user_by_id, user_id=user_id)


def email_of(tx: Tx, user: User) -> str:
    """The e-mail address, opened."""
    return tx.vault.open(user.id, "users.email", user.id, user.email)


def phone_of(tx: Tx, user: User) -> str:
    """The phone number, opened."""
    return tx.vault.open(user.id, "users.phone_number", user.id, user.phone_number)


def set_phone(tx: Tx, user_id: UUID, phone: str, now: dt.datetime) -> int:
    """The placeholder number is replaced and the account is active."""
    _must_be_free(tx, "", phone)
    return tx.run(
        SQL.set_phone, user_id=user_id, now=now,
        phone_number=tx.vault.seal(user_id, "users.phone_number", user_id, phone),
        phone_index=tx.vault.blind_index("users.phone_number", phone),
    )  # fmt: skip


def set_contact(tx: Tx, user_id: UUID, email: str, phone: str, now: dt.datetime) -> None:
    """E-mail and phone are these, sealed. Raises ConstraintBroken when one is taken."""
    _must_be_free(tx, email, phone, by_id(tx, user_id))
    tx.run(
        SQL.set_contact, user_id=user_id, now=now,
        email=tx.vault.seal(user_id, "users.email", user_id, email),
        email_index=tx.vault.blind_index("users.email", email),
        phone_number=tx.vault.seal(user_id, "users.phone_number", user_id, phone),
        phone_index=tx.vault.blind_index("users.phone_number", phone),
    )  # fmt: skip


def give_consent(tx: Tx, user_id: UUID, consent_id: UUID, text: ConsentText, now: dt.datetime) -> None:
    """The consent is on record with the digest of its wording; an older one of its purpose ends."""
    tx.run(SQL.withdraw_consent, user_id=user_id, purpose=text.purpose, now=now)
    tx.run(
        SQL.insert_consent, user_id=user_id, id=consent_id, purpose=text.purpose,
        version=text.version, text_sha256=text.sha256, now=now,
    )  # fmt: skip


def preferences(tx: Tx, user_id: UUID) -> Preferences:
    """The person's preferences; the defaults when there is no row."""
    found = tx.rows(SQL.preferences_of, user_id=user_id)
    if not found:
        return Preferences()
    row = dict(found[0])
    text = row.pop("notification_preferences")
    # Rows that were promoted may hold anything; what is no setting of ours switches nothing on.
    try:
        row["notifications"] = msgspec.json.decode(text, type=Notifications) if text else Notifications()
    except msgspec.ValidationError:
        row["notifications"] = Notifications()
    return msgspec.convert(row, Preferences, strict=False)
