"""Diary and looking back, as a page and under /api/v1."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

import msgspec
from litestar import Request, Response
from litestar.params import FromPath, JSONBody, QueryParameter, URLEncodedBody
from markupsafe import Markup

from stillwave.accounts import actions as accounts
from stillwave.db.database import Tx
from stillwave.errors import BadInput, StillwaveError
from stillwave.progress import actions, rules
from stillwave.progress.rules import Day
from stillwave.progress.store import Summary
from stillwave.progress.today import today_page
from stillwave.web import charts, gate, once, pages, sheet
from stillwave.web.gate import Me
from stillwave.web.intake import read_form
from stillwave.web.kit import kit_of
from stillwave.web.routes import api_delete, api_get, api_post, page_get, page_post

Form = URLEncodedBody[dict[str, Any]]
Ask = Request[Any, Any, Any]
_SHOWN_DAYS = 90
_HEAT_WEEKS = 26
_TRENDS = "Sleep, stress and focus"
_EFFECTS = "How close your sessions came, as you said"
_MOST_DAYS = 1000


class DayPage(msgspec.Struct):
    """Days, newest first."""

    items: list[Day]


@api_post("/api/v1/progress", tags=["progress"], once=True)
def keep_day(request: Ask, data: JSONBody[Day]) -> Response[Day]:
    """Put a day in the diary, in place of what was there."""

    def produce(tx: Tx, me: Me) -> Day:
        actions.keep_day(tx, me, data, kit_of(request).clock())
        return data

    return once.answer(request, produce)


@api_get("/api/v1/progress", tags=["progress"])
def read_days(
    request: Ask,
    from_: Annotated[dt.date | None, QueryParameter(name="from", required=False)] = None,
    to: Annotated[dt.date | None, QueryParameter(name="to", required=False)] = None,
    metric: Annotated[str | None, QueryParameter(name="metric", required=False)] = None,
) -> DayPage:
    """The days from `from` to `to` (at most 1,000 days; by default the last 90); `metric`: only those that hold it."""
    for name, day in (("from", from_), ("to", to)):
        if day is None and name in request.query_params:  # "null" is read as none
            raise BadInput(name, "is not a date", "a date like 2026-01-31")
    last = to or kit_of(request).clock().date()
    try:
        first = from_ or last - dt.timedelta(days=_SHOWN_DAYS)
    except OverflowError:
        raise BadInput("to", "is too early", "a date from 2000-01-01") from None
    if not 0 <= (last - first).days <= _MOST_DAYS:
        raise BadInput("from", "does not fit with to", f"at most {_MOST_DAYS} days, the earlier one first")
    with gate.read(request) as (tx, me):
        return DayPage(actions.diary(tx, me.user_id, first, last, metric))


@api_delete("/api/v1/progress/{date:date}", tags=["progress"])
def delete_day(request: Ask, date: FromPath[dt.date]) -> None:
    """Take a day out of the diary."""
    with gate.write(request) as (tx, me):
        actions.delete_day(tx, me.user_id, date, kit_of(request).clock())


@api_get("/api/v1/progress/summary", tags=["progress"])
def read_summary(request: Ask) -> Summary:
    """Totals and averages (the view user_progress_summary)."""
    with gate.read(request) as (tx, me):
        return actions.summary(tx, me.user_id)


def _context(request: Ask, tx: Tx, me: Me, metric: str | None = None) -> dict[str, Any]:
    now = kit_of(request).clock()
    zone = accounts.zone(tx, me.user_id)
    today = now.astimezone(zone).date()
    days = actions.diary(tx, me.user_id, today - dt.timedelta(days=_SHOWN_DAYS), today)
    counts = actions.sessions_per_day(tx, me.user_id, now - dt.timedelta(weeks=_HEAT_WEEKS), now, zone)
    in_order = days[::-1]
    shown = days if metric is None else actions.diary(tx, me.user_id, today - dt.timedelta(days=_MOST_DAYS), today, metric)
    return {
        "today": today.isoformat(),
        "summary": actions.summary(tx, me.user_id),
        "week": actions.week(tx, me.user_id, now),
        "entries": [
            {**msgspec.to_builtins(day), "date": f"{day.date.day} {day.date:%B %Y}", "iso": day.date.isoformat()}
            for day in shown[:14]
        ],
        "metric": metric,
        "metrics": sorted({name for day in [*days, *shown] for name in day.metrics or {}}),
        "trends_svg": _trends(in_order),
        "heatmap_svg": _heat_map(counts, today),
        "effects_svg": _effects(actions.effects(tx, me.user_id, now - dt.timedelta(weeks=_HEAT_WEEKS))),
        "compared": rules.compare(days, set(counts)),
    }


def _trends(days: list[Day]) -> Markup:
    dates = [day.date for day in days]
    series = {
        "Sleep": [day.sleep_quality for day in days],
        "Stress": [day.stress_level for day in days],
        "Focus": [day.focus_score for day in days],
    }
    picture = charts.trends(dates, series, label=_TRENDS)
    return Markup(picture + charts.trends_table(dates, series, label=_TRENDS))  # noqa: S704  our own SVG


def _effects(effects: dict[str, tuple[float, int]]) -> Markup:
    picture = charts.bars(effects, label=_EFFECTS, most=10)
    return Markup(picture + charts.bars_table(effects, label=_EFFECTS, head=("Where to", "Mean of 10", "Ratings")))  # noqa: S704


def _heat_map(counts: dict[dt.date, int], today: dt.date) -> Markup:
    picture = charts.heat_map(counts, today=today, weeks=_HEAT_WEEKS)
    return Markup(picture + charts.heat_map_table(counts, today=today, weeks=_HEAT_WEEKS))  # noqa: S704


@page_get("/progress")
def progress_page(
    request: Ask, metric: Annotated[str | None, QueryParameter(name="metric", required=False)] = None
) -> Response[str]:
    """The diary, its trends and the calendar of sessions; `metric`: the days that hold it."""
    with gate.read(request) as (tx, me):
        context = _context(request, tx, me, metric or None)
    return pages.page(request, "progress/progress.html", me=me, errors={}, values={"date": context["today"]}, **context)


@page_post("/progress")
def keep(request: Ask, data: Form) -> Response[Any]:
    """Put a day in the diary by form."""
    try:
        day = read_form(data, Day)
        with gate.write(request) as (tx, me):
            actions.keep_day(tx, me, day, kit_of(request).clock())
    except StillwaveError as error:
        with gate.read(request) as (tx, me):
            context = _context(request, tx, me)
        return pages.form_again(request, "progress/progress.html", data, error, **context)
    return pages.see_other("/progress", notice="Your day is in the diary.")


@page_get("/progress.csv")
def progress_csv(request: Ask) -> Response[bytes]:
    """The whole diary as a table for spreadsheets, newest day first."""
    with gate.read(request) as (tx, me):
        days = actions.diary(tx, me.user_id, dt.date.min, dt.date.max)
    rows = (
        (day.date.isoformat(), day.sleep_quality, day.stress_level, day.focus_score, day.notes,
         msgspec.json.encode(day.metrics).decode() if day.metrics else None)
        for day in days
    )  # fmt: skip
    head = ("date", "sleep_of_10", "stress_of_10", "focus_of_10", "notes", "metrics")
    return sheet.download(f"stillwave-diary-{kit_of(request).clock():%Y-%m-%d}.csv", head, rows)


HANDLERS = [
    today_page, keep_day, read_days, delete_day, read_summary, progress_page, keep, progress_csv,
]  # fmt: skip
