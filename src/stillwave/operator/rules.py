"""When a clock is to be believed. Pure."""

from __future__ import annotations

import datetime as dt

import msgspec

_JUMP = dt.timedelta(days=1)
_STEADY = dt.timedelta(days=1)
_LOOKED_EVERY = dt.timedelta(hours=3)


class Clock(msgspec.Struct, frozen=True):
    """What is remembered: when it was last trusted, last looked at, and since when it is doubted."""

    seen: dt.datetime | None = None
    looked: dt.datetime | None = None
    doubted: dt.datetime | None = None


def judge(known: Clock, now: dt.datetime) -> tuple[Clock, bool]:
    """What to remember, and whether `now` may be trusted.

    A clock that is within a day of the last trusted time is. Another is doubted, and trusted again after it went on
    steadily for a day: looked at hourly, it never moved by more than three hours, nor back.
    """
    if known.seen is None or abs(now - known.seen) <= _JUMP:
        return Clock(now, now, known.doubted), True
    steady = (
        known.looked is not None and known.doubted is not None and known.doubted > known.seen
        and dt.timedelta(0) <= now - known.looked <= _LOOKED_EVERY
    )  # fmt: skip
    if not steady:
        return Clock(known.seen, now, now), False
    if known.doubted is not None and now - known.doubted >= _STEADY:
        return Clock(now, now, known.doubted), True
    return Clock(known.seen, now, known.doubted), False
