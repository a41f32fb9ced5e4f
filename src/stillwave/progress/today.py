"""The first page: a greeting, the next session, what was left open. It looks at sessions, ratings and diary."""

from __future__ import annotations

import datetime as dt
from typing import Any

from litestar import Request, Response

from stillwave.accounts import actions as accounts
from stillwave.accounts.rules import Preferences
from stillwave.db.database import Tx
from stillwave.db.ids import NEWEST
from stillwave.profiles import actions as profiles
from stillwave.profiles.rules import WEEKLY_MOST_MINUTES, Kind
from stillwave.progress import actions
from stillwave.sessions import actions as sessions
from stillwave.sessions import rules
from stillwave.web import gate, pages
from stillwave.web.gate import Me
from stillwave.web.kit import kit_of
from stillwave.web.routes import page_get

# A session that was left in the middle is offered again for this long.
_CONTINUE_FOR = dt.timedelta(hours=12)
_RATE_FOR = dt.timedelta(days=7)
_SHOWN = 5
_TARGETS: dict[Kind, str] = {"morning": "morning_wake", "evening": "evening_wind_down", "custom": "calm_focus"}
_FIRST = {"address": "/address", "phone": "/phone", "consent": "/privacy", "screening": "/screening"}


@page_get("/", short=True)
def today_page(request: Request[Any, Any, Any]) -> Response[Any]:
    """What to do next; for strangers, what this is."""
    me = gate.maybe(request)
    if me is None:
        return pages.page(request, "web/landing.html", demo=kit_of(request).settings.is_local)
    if me.needs:
        return pages.see_other(_FIRST[me.needs])
    kit = kit_of(request)
    with kit.database.read(me.user_id) as tx:
        context = today(tx, me, kit.clock())
    return pages.page(request, "progress/today.html", me=me, **context)


def today(tx: Tx, me: Me, now: dt.datetime) -> dict[str, Any]:
    """Everything the page shows."""
    liked = accounts.preferences(tx, me.user_id)
    here, known = accounts.zone_of(liked), profiles.current(tx, me.user_id, now)
    rows = sessions.page(tx, me.user_id, NEWEST, _SHOWN + 1, now=now)
    unrated = [row for row in rows if not row.feedbacks]
    left = next(
        (r for r in unrated if not r.end_time and r.position_s > 0 and now - r.start_time < _CONTINUE_FOR), None
    )
    to_rate = next((r for r in unrated if r.end_time and now - r.start_time < _RATE_FOR), None)
    unfinished = None
    if left is not None:
        position = f"{left.position_s // 60}:{left.position_s % 60:02d}"
        unfinished = {**sessions.card(left, here, now), "position": position}
    kind = sessions.kind_of_hour(now, here)
    day = now.astimezone(here).date()
    return {
        "greeting": {"morning": "Good morning", "evening": "Good evening"}.get(kind, "Hello"),
        "suggestion": None if me.processing_restricted else _suggestion(tx, me, known, liked, kind, now),
        "unfinished": unfinished,
        "to_rate": sessions.card(to_rate, here, now) if to_rate else None,
        "recent": [sessions.card(row, here, now) for row in rows if row is not left][:_SHOWN],
        "ask_again": known.ask_again,
        "week_minutes": profiles.week_minutes(tx, me.user_id, now),
        "week_most": WEEKLY_MOST_MINUTES,
        "diary_done": bool(actions.diary(tx, me.user_id, day, day)),
    }


def _suggestion(
    tx: Tx, me: Me, known: profiles.Known, liked: Preferences, kind: Kind, now: dt.datetime
) -> dict[str, Any] | None:
    wanted = profiles.Wanted(
        initial_state="unsure", target_state=_TARGETS[kind], minutes=liked.preferred_duration, kind=kind,
        background=liked.background_sound_type, voice=liked.voice_preference, zone=accounts.zone_of(liked),
    )  # fmt: skip
    plan = profiles.possible_plan(tx, me.user_id, known, wanted, now)
    if plan is None:
        return None
    return {
        "title": rules.title(kind, _TARGETS[kind]), "reason": plan.reason, "kind": kind,
        "initial_state": "unsure", "target_state": _TARGETS[kind], "minutes": plan.minutes,
        "asked_minutes": liked.preferred_duration,
    }  # fmt: skip
