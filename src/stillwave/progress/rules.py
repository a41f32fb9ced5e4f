"""A day of the diary. Pure."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

import msgspec

from stillwave.errors import BadInput
from stillwave.sound import dose

Score = Annotated[int, msgspec.Meta(ge=1, le=10)]
_MOST_METRICS = 30
_LONGEST_METRIC = 40


class Day(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a day was, 1-10 each; `metrics` are numbers of the person's own, such as {"hours_slept": 7.5}."""

    date: dt.date
    sleep_quality: Score | None = None
    stress_level: Score | None = None
    focus_score: Score | None = None
    notes: Annotated[str, msgspec.Meta(max_length=4000)] | None = None
    metrics: dict[Annotated[str, msgspec.Meta(min_length=1, max_length=_LONGEST_METRIC)], float] | None = None


class Week(msgspec.Struct, frozen=True):
    """Listening in seven days: minutes, and an estimate of the share of the weekly dose, in words.

    `usual` is for a phone two thirds of the way up, `loudest` for one all the way up.
    """

    minutes: int
    usual: str
    loudest: str


def week(played: list[tuple[float, float]]) -> Week:
    """What sessions, as (volume_level, minutes heard), come to."""
    minutes = sum(minutes for _, minutes in played)
    return Week(round(minutes), _percent(dose.share(played)), _percent(dose.share(played, below_full_db=0.0)))


def _percent(share: float) -> str:
    return "less than 1 %" if 0 < share < 0.01 else f"about {share * 100:.0f} %" if share else "0 %"


class Compared(msgspec.Struct, frozen=True):
    """The mean of one score on days with a session and on days without, and how many days each."""

    label: str
    with_session: float
    with_days: int
    without_session: float
    without_days: int


# Fewer days than this on either side say nothing.
_LEAST_DAYS = 5


def compare(days: list[Day], listened: set[dt.date]) -> list[Compared]:
    """Each score on days with a session and on days without; scores with too few days of one kind are left out."""
    found = []
    for label, field in (("Sleep", "sleep_quality"), ("Stress", "stress_level"), ("Focus", "focus_score")):
        told = [(day.date in listened, getattr(day, field)) for day in days if getattr(day, field) is not None]
        with_it, without = ([score for heard, score in told if heard is which] for which in (True, False))
        if min(len(with_it), len(without)) >= _LEAST_DAYS:
            means = (sum(with_it) / len(with_it), sum(without) / len(without))
            found.append(Compared(label, means[0], len(with_it), means[1], len(without)))
    return found


def check(day: Day, today: dt.date) -> None:
    """Raises BadInput for a day that cannot be, or with nothing in it."""
    if not dt.date(2000, 1, 1) <= day.date <= today + dt.timedelta(days=1):
        raise BadInput("date", "is not a day that has been", "a date from 2000-01-01 to today")
    if day.metrics is not None and len(day.metrics) > _MOST_METRICS:
        raise BadInput("metrics", "holds too many numbers", f"at most {_MOST_METRICS}")
    if day.metrics is not None and any(abs(value) > 1e12 for value in day.metrics.values()):
        raise BadInput("metrics", "holds a number that is too large", "numbers up to 1e12")
    told = (day.sleep_quality, day.stress_level, day.focus_score, day.notes, day.metrics)
    if all(value is None for value in told):
        raise BadInput("sleep_quality", "is missing, and so is everything else", "at least one answer or a note")


def check_metric(name: str) -> None:
    """Raises BadInput for what cannot be the name of a metric."""
    if not 1 <= len(name) <= _LONGEST_METRIC or "\x00" in name:
        raise BadInput("metric", "is not the name of a metric", f"1 to {_LONGEST_METRIC} characters")
