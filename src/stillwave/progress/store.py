"""Rows of progress_tracking; notes are sealed here."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from uuid import UUID

import msgspec

from stillwave.db.database import Queries, Tx
from stillwave.db.ids import first_of
from stillwave.progress.rules import Day

SQL = Queries(Path(__file__).parent)
_PLACE = "progress_tracking.notes"


class Summary(msgspec.Struct, frozen=True):
    """The person's line of the view user_progress_summary."""

    total_sessions: int = 0
    avg_effectiveness: float | None = None
    avg_sleep_quality: float | None = None
    avg_focus_score: float | None = None


class _DayRow(msgspec.Struct, frozen=True):
    id: UUID
    date: dt.date
    metrics: str | None
    notes: str | None
    sleep_quality: int | None
    stress_level: int | None
    focus_score: int | None


class _Played(msgspec.Struct, frozen=True):
    volume_level: int
    position_s: int


class _When(msgspec.Struct, frozen=True):
    start_time: dt.datetime


class Effect(msgspec.Struct, frozen=True):
    """How close sessions to a state came to it, as the person said: mean of 1 to 10, and of how many."""

    target_state: str
    mean: float
    times: int


def effects(tx: Tx, user_id: UUID, since: dt.datetime) -> list[Effect]:
    """The effect of each state's sessions since then, the best first."""
    return tx.all(Effect, SQL.effects, user_id=user_id, since=since)


def keep(tx: Tx, user_id: UUID, row_id: UUID, day: Day) -> None:
    """The day is stored, in place of one that was there."""
    tx.run(
        SQL.keep_day, user_id=user_id, id=row_id, date=day.date,
        metrics=None if day.metrics is None else msgspec.json.encode(day.metrics).decode(),
        notes=tx.vault.seal(user_id, _PLACE, row_id, day.notes) if day.notes else None,
        sleep_quality=day.sleep_quality, stress_level=day.stress_level, focus_score=day.focus_score,
    )  # fmt: skip


def days(tx: Tx, user_id: UUID, first: dt.date, last: dt.date, metric: str | None = None) -> list[Day]:
    """The days from `first` to `last`, newest first, with their notes opened; only those with a metric, if named."""
    if metric is None:
        found = tx.all(_DayRow, SQL.days, user_id=user_id, first=first, last=last)
    else:
        found = tx.all(_DayRow, SQL.days_with_metric, user_id=user_id, first=first, last=last, metric=metric)
    return [
        Day(
            date=row.date,
            sleep_quality=row.sleep_quality,
            stress_level=row.stress_level,
            focus_score=row.focus_score,
            notes=tx.vault.open(user_id, _PLACE, row.id, row.notes) if row.notes else None,
            metrics=None if row.metrics is None else msgspec.json.decode(row.metrics, type=dict[str, float]),
        )
        for row in found
    ]


def session_times(tx: Tx, user_id: UUID, since: dt.datetime, now: dt.datetime) -> list[dt.datetime]:
    """When the person's sessions began."""
    return [row.start_time for row in tx.all(_When, SQL.session_times, user_id=user_id, first_id=first_of(since), since=since, now=now)]


def played(tx: Tx, user_id: UUID, since: dt.datetime, now: dt.datetime) -> list[tuple[float, float]]:
    """The person's sessions of a time as (volume_level, minutes heard)."""
    rows = tx.all(_Played, SQL.played, user_id=user_id, first_id=first_of(since), since=since, now=now)
    return [(float(row.volume_level), row.position_s / 60) for row in rows]
