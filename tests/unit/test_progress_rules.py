"""Days with and without a session are compared only where there are enough of both."""

from __future__ import annotations

import datetime as dt

from stillwave.progress.rules import Day, compare

FIRST = dt.date(2026, 11, 1)
DATES = [FIRST + dt.timedelta(days=n) for n in range(12)]


def test_means_of_both_kinds_of_day_with_how_many() -> None:
    days = [Day(date=date, sleep_quality=8 if n % 2 else 4, stress_level=5) for n, date in enumerate(DATES)]
    found = compare(days, {date for n, date in enumerate(DATES) if n % 2})
    assert [(c.label, c.with_session, c.with_days, c.without_session, c.without_days) for c in found] == [
        ("Sleep", 8.0, 6, 4.0, 6), ("Stress", 5.0, 6, 5.0, 6)
    ]  # fmt: skip


def test_four_days_of_one_kind_say_nothing() -> None:
    days = [Day(date=date, focus_score=6) for date in DATES]
    assert compare(days, set(DATES[:4])) == []
    assert [c.label for c in compare(days, set(DATES[:5]))] == ["Focus"]
