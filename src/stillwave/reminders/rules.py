"""When a reminder is due, and its words. Pure: the time and the zone are arguments.

A local time that the clock skips in spring is read with the offset from before the gap, one that comes twice in
autumn is its first coming, as RFC 5545 has it: so mail and calendar agree.
"""

from __future__ import annotations

import datetime as dt
from typing import Final, Literal
from zoneinfo import ZoneInfo

import msgspec

from stillwave.accounts.rules import Preferences

Kind = Literal["morning", "evening", "digest"]
KINDS: Final[tuple[Kind, ...]] = ("morning", "evening", "digest")
# The digest of the week before comes on Monday at nine.
DIGEST_TIME: Final = dt.time(9)
# A reminder that could not go out in time says nothing useful any more; a digest still does.
STALE: Final[dict[Kind, dt.timedelta]] = {
    "morning": dt.timedelta(hours=1), "evening": dt.timedelta(hours=1), "digest": dt.timedelta(days=2),
}  # fmt: skip
_DAY = dt.timedelta(days=1)


class Due(msgspec.Struct, frozen=True):
    """One coming of a reminder: the instant, and the local day that it is for."""

    at: dt.datetime
    day: dt.date


class Mail(msgspec.Struct, frozen=True):
    """A mail in plain words."""

    subject: str
    text: str


def instant(day: dt.date, time: dt.time, zone: ZoneInfo) -> dt.datetime:
    """The moment in UTC at which the person's clock shows `time` on `day`."""
    return dt.datetime.combine(day, time.replace(fold=0), zone).astimezone(dt.UTC)


def in_quiet_hours(time: dt.time, quiet_from: dt.time | None, quiet_to: dt.time | None) -> bool:
    """True from `quiet_from` up to, not including, `quiet_to`, also over midnight."""
    if quiet_from is None or quiet_to is None or quiet_from == quiet_to:
        return False
    if quiet_from < quiet_to:
        return quiet_from <= time < quiet_to
    return time >= quiet_from or time < quiet_to


def is_quiet(now: dt.datetime, wish: Preferences) -> bool:
    """True while no mail may come to the person."""
    told = wish.notifications
    return in_quiet_hours(now.astimezone(ZoneInfo(wish.time_zone)).time(), told.quiet_from, told.quiet_to)


def time_of(kind: Kind, wish: Preferences) -> dt.time | None:
    """The local time at which this reminder comes; None when it is switched off or has no time."""
    told = wish.notifications
    if kind == "digest":
        time = DIGEST_TIME if told.weekly_digest else None
        if time is not None and in_quiet_hours(time, told.quiet_from, told.quiet_to):
            time = told.quiet_to  # a digest can wait
        return time
    switched_on = told.morning_mail if kind == "morning" else told.evening_mail
    time = wish.morning_routine_time if kind == "morning" else wish.evening_routine_time
    if not switched_on or time is None or in_quiet_hours(time, told.quiet_from, told.quiet_to):
        return None
    return time


def following(kind: Kind, wish: Preferences, after: dt.datetime, last_day: dt.date | None) -> Due | None:
    """The first coming after the moment `after`, on a later day than `last_day`; None when there is none."""
    time, zone = time_of(kind, wish), ZoneInfo(wish.time_zone)
    if time is None:
        return None
    day = after.astimezone(zone).date() - _DAY
    if last_day is not None:
        day = max(day, last_day + _DAY)
    for _ in range(10):  # a week to the next Monday, and a day on either side
        at = instant(day, time, zone)
        if at > after and (kind != "digest" or day.weekday() == 0):
            return Due(at, day)
        day += _DAY
    return None


def reminder(kind: Kind, base_url: str, name: str = "Stillwave") -> Mail:
    """The words of a reminder: nothing about health, nothing to make anybody feel behind."""
    when = "morning" if kind == "morning" else "evening"
    return Mail(
        f"Your {when} with {name}",
        f"It is the time that you chose for your {when}.\n\n"
        f"If you would like a session now, open {base_url}/start\n\n"
        "If not, that is fine too.\n",
    )


def digest(sessions: int, minutes: int, base_url: str) -> Mail:
    """The words of the weekly digest: sessions and minutes, no ratings, no diary."""
    if sessions == 0:
        told = "Last week you had no session. There is nothing to catch up on."
    else:
        many = "1 session" if sessions == 1 else f"{sessions} sessions"
        told = f"Last week you had {many}, {minutes} minutes in all."
    return Mail("Your week with Stillwave", f"{told}\n\nMore is at {base_url}/progress\n")


def farewell(address: str) -> str:
    """The last lines of every mail: how to end them."""
    return f"\nYou get this because you switched it on. To end it, with one press: {address}\n"


# --- the calendar (RFC 5545) --------------------------------------------------------------------


def calendar(wish: Preferences, now: dt.datetime) -> str:
    """The person's two times as a calendar: titled "Stillwave", daily, in UTC for the coming eight weeks.

    Single events in UTC instead of one rule in local time: then no definition of the time zone goes along, which
    calendar programs read differently around a change of the clock.
    """
    lines = [
        "BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Stillwave//Reminders//EN", "CALSCALE:GREGORIAN",
        "METHOD:PUBLISH", "X-WR-CALNAME:Stillwave", "REFRESH-INTERVAL;VALUE=DURATION:P1D",
    ]  # fmt: skip
    zone = ZoneInfo(wish.time_zone)
    today = now.astimezone(zone).date()
    for offset in range(56):
        day = today + offset * _DAY
        for name, time in (("morning", wish.morning_routine_time), ("evening", wish.evening_routine_time)):
            if time is not None:
                lines += [
                    "BEGIN:VEVENT", f"UID:{name}-{day:%Y%m%d}@stillwave", f"DTSTAMP:{_utc(now)}",
                    f"DTSTART:{_utc(instant(day, time, zone))}", f"DURATION:PT{wish.preferred_duration}M",
                    "SUMMARY:Stillwave", "TRANSP:TRANSPARENT", "CLASS:PRIVATE", "END:VEVENT",
                ]  # fmt: skip
    return "\r\n".join([*lines, "END:VCALENDAR", ""])


def _utc(moment: dt.datetime) -> str:
    return f"{moment.astimezone(dt.UTC):%Y%m%dT%H%M%SZ}"
