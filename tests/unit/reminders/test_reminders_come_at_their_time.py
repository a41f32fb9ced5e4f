"""When a reminder comes: local times, changes of the clock, quiet hours, and never twice for one day."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stillwave.accounts.rules import Notifications, Preferences, check_preferences
from stillwave.errors import BadInput
from stillwave.reminders import rules

BERLIN = "Europe/Berlin"


def wish(zone: str = BERLIN, morning: str | None = "07:30", evening: str | None = "21:30", **mails: object) -> Preferences:
    return Preferences(
        morning_routine_time=dt.time.fromisoformat(morning) if morning else None,
        evening_routine_time=dt.time.fromisoformat(evening) if evening else None, time_zone=zone,
        notifications=Notifications(**{"morning_mail": True, "evening_mail": True, **mails}),  # type: ignore[arg-type]
    )  # fmt: skip


def utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("zone", "time", "day", "at"),
    [
        (BERLIN, "07:30", "2026-11-25", "2026-11-25T06:30"),
        (BERLIN, "07:30", "2026-07-25", "2026-07-25T05:30"),
        (BERLIN, "02:30", "2026-03-29", "2026-03-29T01:30"),  # the clock skips 2 to 3: half past three
        (BERLIN, "02:30", "2026-10-25", "2026-10-25T00:30"),  # comes twice: the first
        ("America/New_York", "02:30", "2026-03-08", "2026-03-08T07:30"),
        ("America/New_York", "01:30", "2026-11-01", "2026-11-01T05:30"),
        ("Pacific/Apia", "07:30", "2011-12-31", "2011-12-30T17:30"),  # the day after one that never was
        ("Asia/Kathmandu", "07:30", "2026-11-25", "2026-11-25T01:45"),
    ],
)
def test_a_local_time_is_one_moment_also_when_the_clock_changes(zone: str, time: str, day: str, at: str) -> None:
    assert rules.instant(dt.date.fromisoformat(day), dt.time.fromisoformat(time), ZoneInfo(zone)) == utc(at)


def test_the_next_coming_is_the_first_after_now() -> None:
    assert rules.following("morning", wish(), utc("2026-11-25T06:29"), None) == rules.Due(
        utc("2026-11-25T06:30"), dt.date(2026, 11, 25)
    )
    assert rules.following("morning", wish(), utc("2026-11-25T06:30"), None) == rules.Due(
        utc("2026-11-26T06:30"), dt.date(2026, 11, 26)
    )
    assert rules.following("digest", wish(weekly_digest=True), utc("2026-11-25T06:30"), None) == rules.Due(
        utc("2026-11-30T08:00"), dt.date(2026, 11, 30)
    )


def test_a_day_that_had_its_reminder_gets_no_second_one() -> None:
    """Also when the person moves the time to later on the same day, or travels west."""
    day = dt.date(2026, 11, 25)
    moved = wish(morning="11:00")
    assert rules.following("morning", moved, utc("2026-11-25T07:00"), day) == rules.Due(
        utc("2026-11-26T10:00"), dt.date(2026, 11, 26)
    )
    west = wish(zone="America/New_York")
    assert rules.following("morning", west, utc("2026-11-25T07:00"), day) == rules.Due(
        utc("2026-11-26T12:30"), dt.date(2026, 11, 26)
    )


@given(
    zone=st.sampled_from([BERLIN, "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "Pacific/Apia", "UTC"]),
    time=st.times().map(lambda t: t.replace(microsecond=0)),
    start=st.datetimes(dt.datetime(2011, 12, 1), dt.datetime(2030, 1, 1)),
)
@example(zone="Pacific/Apia", time=dt.time(0), start=dt.datetime(2011, 12, 1))
def test_every_day_has_its_one_reminder(zone: str, time: dt.time, start: dt.datetime) -> None:
    """Over forty days: one a local day, each on the next day, none before its time."""
    person = wish(zone=zone, morning=time.isoformat())
    now, last = start.replace(tzinfo=dt.UTC), None
    for _ in range(40):
        due = rules.following("morning", person, now, last)
        assert due is not None
        assert due.at > now
        if last is not None:
            # Samoa had no 30 December 2011; its moment is that of the 31st, and one reminder is enough for both.
            never_was = zone == "Pacific/Apia" and last == dt.date(2011, 12, 30)
            assert due.day == last + dt.timedelta(days=2 if never_was else 1)
        local = due.at.astimezone(ZoneInfo(zone))
        shown = local.replace(tzinfo=None) - dt.datetime.combine(due.day, time)
        assert dt.timedelta() <= shown <= dt.timedelta(days=1), "at the time, or as much later as the clock skipped"
        now, last = due.at, due.day


@pytest.mark.parametrize(
    ("time", "quiet"),
    [("21:59:59", False), ("22:00", True), ("23:59", True), ("00:00", True), ("06:59:59", True), ("07:00", False)],
)
def test_quiet_hours_reach_over_midnight(time: str, quiet: bool) -> None:
    assert rules.in_quiet_hours(dt.time.fromisoformat(time), dt.time(22), dt.time(7)) is quiet
    assert rules.in_quiet_hours(dt.time.fromisoformat(time), None, None) is False
    assert rules.in_quiet_hours(dt.time.fromisoformat(time), dt.time(5), dt.time(5)) is False


def test_a_reminder_in_quiet_hours_does_not_come_and_a_digest_waits() -> None:
    person = wish(morning="06:00", weekly_digest=True, quiet_from=dt.time(22), quiet_to=dt.time(9, 30))
    assert rules.following("morning", person, utc("2026-11-25T00:00"), None) is None
    assert rules.following("evening", person, utc("2026-11-25T00:00"), None) is not None
    due = rules.following("digest", person, utc("2026-11-25T00:00"), None)
    assert due == rules.Due(utc("2026-11-30T08:30"), dt.date(2026, 11, 30))


def test_what_is_off_or_has_no_time_never_comes() -> None:
    off = wish(morning_mail=False, evening_mail=False)
    assert all(rules.following(kind, off, utc("2026-11-25T00:00"), None) is None for kind in rules.KINDS)
    assert rules.following("morning", wish(morning=None), utc("2026-11-25T00:00"), None) is None


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (wish(morning=None), "morning_routine_time"),
        (wish(evening=None), "evening_routine_time"),
        (wish(quiet_from=dt.time(22)), "quiet_to"),
        (wish(quiet_to=dt.time(7)), "quiet_from"),
        (wish(quiet_from=dt.time(22, tzinfo=dt.UTC), quiet_to=dt.time(7)), "quiet_from"),
        (wish(quiet_from=dt.time(22), quiet_to=dt.time(7, 0, 0, 5)), "quiet_to"),
    ],
)
def test_wishes_that_cannot_act_are_refused_by_field(bad: Preferences, field: str) -> None:
    with pytest.raises(BadInput) as refusal:
        check_preferences(bad)
    assert refusal.value.extra["errors"][0]["field"] == field  # type: ignore[index]


def test_the_calendar_says_stillwave_and_nothing_else() -> None:
    text = rules.calendar(wish(), utc("2026-03-27T12:00"))
    lines = text.split("\r\n")
    assert lines[0] == "BEGIN:VCALENDAR"
    assert lines[-2:] == ["END:VCALENDAR", ""]
    assert lines.count("BEGIN:VEVENT") == lines.count("END:VEVENT") == lines.count("SUMMARY:Stillwave") == 2 * 56
    assert "DTSTART:20260328T063000Z" in lines
    assert "DTSTART:20260329T053000Z" in lines  # summer time began in the night
    assert len({line for line in lines if line.startswith("UID:")}) == 2 * 56
    assert {line.partition(":")[0].partition(";")[0] for line in lines if line} == {
        "BEGIN", "VERSION", "PRODID", "CALSCALE", "METHOD", "X-WR-CALNAME", "REFRESH-INTERVAL", "UID", "DTSTAMP", "DTSTART",
        "DURATION", "SUMMARY", "TRANSP", "CLASS", "END",
    }  # fmt: skip
    assert all(len(line.encode()) <= 75 for line in lines)


def test_mails_say_nothing_about_health() -> None:
    words = [rules.reminder("morning", "https://x"), rules.reminder("evening", "https://x"), rules.digest(3, 60, "https://x"),
             rules.digest(0, 0, "https://x"), rules.digest(1, 20, "https://x")]
    told = " ".join(f"{mail.subject} {mail.text}" for mail in words).lower()
    for word in ("stress", "sleep", "rating", "rated", "effective", "anxi", "relax", "feel", "streak", "missed"):
        assert word not in told
    assert "3 sessions, 60 minutes" in told
    assert "1 session, 20 minutes" in told
