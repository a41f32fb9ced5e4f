"""UUIDv7 (RFC 9562): 48 bits of Unix milliseconds, then chance; a session's start time lives in its id."""

from __future__ import annotations

import datetime as dt
import secrets
import uuid

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MILLISECOND = dt.timedelta(milliseconds=1)
# Sorts after every id: where a listing that goes backwards begins.
NEWEST = uuid.UUID(int=2**128 - 1)


def uuid7(now: dt.datetime, chance: bytes | None = None) -> uuid.UUID:
    """An id that sorts by `now`, with 74 bits of chance (10 bytes; drawn here unless given)."""
    chance = secrets.token_bytes(10) if chance is None else chance
    raw = bytearray(((now - _EPOCH) // _MILLISECOND).to_bytes(6, "big") + chance)
    raw[6] = 0x70 | (raw[6] & 0x0F)
    raw[8] = 0x80 | (raw[8] & 0x3F)
    return uuid.UUID(bytes=bytes(raw))


def first_of(start: dt.datetime) -> uuid.UUID:
    """The least id of that millisecond, as those of later ones sort after it."""
    return uuid7(start, bytes(10))


def moment(made: uuid.UUID) -> dt.datetime:
    """The time inside a UUIDv7, to the millisecond. For any other UUID some time in the past or future."""
    milliseconds = min(int.from_bytes(made.bytes[:6], "big"), 253_402_300_799_999)  # the year 9999
    return _EPOCH + milliseconds * _MILLISECOND
