"""The rows of emergency access; the reason is sealed under the key of the person it is about."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from uuid import UUID

import msgspec

from stillwave.db.database import Queries, Tx

SQL = Queries(Path(__file__).parent)
_PLACE = "emergency_accesses.reason"


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """One access: of which operator to whose data, from when to when at most."""

    user_id: UUID
    id: UUID
    operator_id: UUID
    created_at: dt.datetime
    expires_at: dt.datetime
    ended_at: dt.datetime | None = None
    seen_at: dt.datetime | None = None
    reason: str = ""

    def is_open(self, now: dt.datetime) -> bool:
        """The operator may look."""
        return self.ended_at is None and now < self.expires_at


def insert(tx: Tx, access: Access) -> None:
    """The access is on record."""
    tx.run(
        SQL.insert, user_id=access.user_id, id=access.id, operator_id=access.operator_id, now=access.created_at,
        reason=tx.vault.seal(access.user_id, _PLACE, access.id, access.reason), expires_at=access.expires_at,
    )  # fmt: skip


def one(tx: Tx, user_id: UUID, access_id: UUID) -> Access | None:
    """The access with its reason opened."""
    found = tx.one(Access, SQL.access, user_id=user_id, id=access_id)
    return _opened(tx, found) if found else None


def of(tx: Tx, user_id: UUID, most: int) -> list[Access]:
    """The person's accesses, newest first."""
    return [_opened(tx, found) for found in tx.all(Access, SQL.accesses_of, user_id=user_id, most=most)]


def _opened(tx: Tx, access: Access) -> Access:
    return msgspec.structs.replace(access, reason=tx.vault.open(access.user_id, _PLACE, access.id, access.reason))
