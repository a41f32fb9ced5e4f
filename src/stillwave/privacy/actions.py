"""A person's rights over their data: consent, restriction, a copy of everything, erasure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any
from uuid import UUID

import msgspec

from stillwave.accounts import actions as accounts
from stillwave.accounts.store import SQL as ACCOUNTS  # the cascade starts at users
from stillwave.db import tables
from stillwave.db.database import Database, Tx
from stillwave.errors import NotFound
from stillwave.profiles import actions as profiles


def set_consent(tx: Tx, user_id: UUID, purpose: str, *, give: bool, now: dt.datetime) -> None:
    """The consent is given or withdrawn, and acts at once."""
    accounts.set_consent(tx, user_id, purpose, give=give, now=now)
    if purpose == "adaptation":
        profiles.set_adaptation(tx, user_id, on=give, now=now)
