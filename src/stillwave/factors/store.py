"""Rows of second_factors and recovery_codes; the seed is sealed here."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from uuid import UUID

import msgspec

from stillwave.db.database import Queries, Tx

SQL = Queries(Path(__file__).parent)
_PLACE = "second_factors.secret"


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
    """The app is known, its seed sealed; an earlier one and its recovery codes are gone."""
    forget(tx, user_id)
    sealed = tx.vault.seal(user_id, _PLACE, factor_id, seed)
    tx.run(SQL.insert_factor, user_id=user_id, id=factor_id, secret=sealed, now=now)


def seed_of(tx: Tx, user_id: UUID, found: Factor) -> str:
    """The seed, opened."""
    return tx.vault.open(user_id, _PLACE, found.id, found.secret)


def forget(tx: Tx, user_id: UUID) -> None:
    """No second step is known of the person."""
    tx.run(SQL.delete_recovery_codes, user_id=user_id)
    tx.run(SQL.delete_factor, user_id=user_id)


def keep_codes(tx: Tx, user_id: UUID, hashes: list[str], now: dt.datetime) -> None:
    """These recovery codes count, and no others."""
    tx.run(SQL.delete_recovery_codes, user_id=user_id)
    for code_hash in hashes:
        tx.run(SQL.insert_recovery_code, user_id=user_id, code_hash=code_hash, now=now)
