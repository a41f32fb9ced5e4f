"""Keeping the diary and looking back."""

from __future__ import annotations

import datetime as dt
from uuid import UUID

from stillwave.db import audit
from stillwave.db.database import Tx
from stillwave.db.ids import first_of, uuid7
from stillwave.errors import NotFound
from stillwave.profiles.rules import STATES
from stillwave.progress import rules, store
from stillwave.progress.rules import Day, Week
from stillwave.progress.store import SQL, Summary
from stillwave.web.gate import Me


def keep_day(tx: Tx, me: Me, day: Day, now: dt.datetime) -> None:
    """The day is in the diary, in place of what was there for that date."""
    me.must_consent()
    rules.check(day, now.date())
    before = next(iter(store.days(tx, me.user_id, day.date, day.date)), Day(date=day.date))
    changed = [name for name in Day.__struct_fields__ if getattr(before, name) != getattr(day, name)]
    store.keep(tx, me.user_id, uuid7(now), day)
    audit.note(tx, me.user_id, "diary.kept", now, date=day.date.isoformat(), fields=",".join(changed))


def delete_day(tx: Tx, user_id: UUID, date: dt.date, now: dt.datetime) -> None:
    """The day is gone from the diary. Raises NotFound."""
    if not tx.run(SQL.delete_day, user_id=user_id, date=date):
        raise NotFound("There is nothing in the diary for that day.")
    audit.note(tx, user_id, "diary.removed", now, date=date.isoformat())


def diary(tx: Tx, user_id: UUID, first: dt.date, last: dt.date, metric: str | None = None) -> list[Day]:
    """The days between two dates, both included, newest first; only those that hold a metric, if one is named."""
    if metric is not None:
        rules.check_metric(metric)
    return store.days(tx, user_id, first, last, metric)


def summary(tx: Tx, user_id: UUID) -> Summary:
    """Totals and averages over everything."""
    return tx.one(Summary, SQL.summary, user_id=user_id) or Summary()


def week(tx: Tx, user_id: UUID, now: dt.datetime) -> Week:
    """How long the person listened in the last seven days, and about how much sound that was."""
    return rules.week(store.played(tx, user_id, now - dt.timedelta(days=7), now))


def effects(tx: Tx, user_id: UUID, since: dt.datetime) -> dict[str, tuple[float, int]]:
    """Mean effect (1 to 10) and number of ratings by the name of where sessions led, the best first."""
    return {
        STATES[one.target_state].label: (one.mean, one.times)
        for one in store.effects(tx, user_id, since)
        if one.target_state in STATES
    }


def sessions_per_day(
    tx: Tx, user_id: UUID, since: dt.datetime, now: dt.datetime, zone: dt.tzinfo
) -> dict[dt.date, int]:
    """How many sessions began on each day, in the person's time zone."""
    counts: dict[dt.date, int] = {}
    for moment in store.session_times(tx, user_id, since, now):
        day = moment.astimezone(zone).date()
        counts[day] = counts.get(day, 0) + 1
    return counts


def listened(tx: Tx, user_id: UUID, first: dt.datetime, end: dt.datetime) -> tuple[int, int]:
    """How many sessions began in [first, end), and how many minutes of them were heard."""
    found = tx.rows(SQL.listened, user_id=user_id, first_id=first_of(first), first=first, end=end)[0]
    return int(found["sessions"]), round(int(found["seconds"]) / 60)
