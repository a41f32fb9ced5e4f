"""Rows of second_factors, recovery_codes and passkeys; seeds and names are sealed here."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from uuid import UUID

import msgspec

from stillwave.db.database import Queries, Tx
from stillwave.errors import ConstraintBroken, NotFound

SQL = Queries(Path(__file__).parent)
_PLACE = "second_factors.secret"
_NAME = "passkeys.name"


class Factor(msgspec.Struct, frozen=True):
    """A person's authenticator app; `secret` is sealed."""

    id: UUID
    secret: str
    created_at: dt.datetime
    confirmed_at: dt.datetime | None
    codes_left: int


def factor(tx: Tx, user_id: UUID) -> Factor | None:
    """The person's app, confirmed or about to be."""
    return tx.one(Factor, SQL.factor_of, user_id=user_id)


def insert(tx: Tx, user_id: UUID, factor_id: UUID, seed: str, now: dt.datetime) -> None:
    """The app is known, its seed sealed; an earlier one is gone."""
    tx.run(SQL.delete_factor, user_id=user_id)
    sealed = tx.vault.seal(user_id, _PLACE, factor_id, seed)
    tx.run(SQL.insert_factor, user_id=user_id, id=factor_id, secret=sealed, now=now)


def seed_of(tx: Tx, user_id: UUID, found: Factor) -> str:
    """The seed, opened."""
    return tx.vault.open(user_id, _PLACE, found.id, found.secret)


def forget(tx: Tx, user_id: UUID) -> None:
    """No app is known of the person; nor recovery codes, unless a passkey needs them."""
    tx.run(SQL.delete_factor, user_id=user_id)
    tx.run(SQL.delete_unneeded_codes, user_id=user_id)


def keep_codes(tx: Tx, user_id: UUID, hashes: list[str], now: dt.datetime) -> None:
    """These recovery codes count, and no others."""
    tx.run(SQL.delete_recovery_codes, user_id=user_id)
    for code_hash in hashes:
        tx.run(SQL.insert_recovery_code, user_id=user_id, code_hash=code_hash, now=now)


def codes_left(tx: Tx, user_id: UUID) -> int:
    """How many recovery codes still open."""
    return int(tx.value(SQL.codes_left, user_id=user_id))


# --- passkeys -------------------------------------------------------------------------------------


class Passkey(msgspec.Struct, frozen=True):
    """A person's passkey; `name` is sealed, the other two texts are base64url."""

    id: UUID
    credential_id: str
    public_key: str
    name: str
    created_at: dt.datetime
    last_used_at: dt.datetime | None


def passkeys(tx: Tx, user_id: UUID) -> list[Passkey]:
    """The person's passkeys, oldest first."""
    return tx.all(Passkey, SQL.passkeys_of, user_id=user_id)


def passkey_of(tx: Tx, user_id: UUID, credential_id: str) -> Passkey | None:
    """The person's passkey that its device calls so."""
    return tx.one(Passkey, SQL.passkey_of, user_id=user_id, credential_id=credential_id)


def insert_passkey(
    tx: Tx, user_id: UUID, passkey_id: UUID, name: str, credential_id: str, public_key: str, sign_count: int,
    now: dt.datetime,
) -> Passkey:  # fmt: skip
    """The passkey is known, its name sealed. Raises ConstraintBroken when it was before, or is too long to keep."""
    sealed = tx.vault.seal(user_id, _NAME, passkey_id, name)
    tx.run(
        SQL.insert_passkey, user_id=user_id, id=passkey_id, credential_id=credential_id, public_key=public_key,
        sign_count=sign_count, name=sealed, now=now,
    )  # fmt: skip
    made = passkey_of(tx, user_id, credential_id)
    if made is None:
        raise ConstraintBroken("passkeys_credential_unique")
    return made


def name_of(tx: Tx, user_id: UUID, passkey: Passkey) -> str:
    """The passkey's name, opened."""
    return tx.vault.open(user_id, _NAME, passkey.id, passkey.name)


def rename(tx: Tx, user_id: UUID, passkey_id: UUID, name: str) -> None:
    """The passkey has this name. Raises NotFound."""
    if not tx.run(SQL.rename_passkey, user_id=user_id, id=passkey_id, name=tx.vault.seal(user_id, _NAME, passkey_id, name)):
        raise NotFound("There is no such passkey.")
