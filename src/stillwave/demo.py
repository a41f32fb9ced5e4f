"""A demo account with three months of believable history, lived through the same actions as everybody's."""

from __future__ import annotations

import datetime as dt
import math
import random
import secrets
from collections.abc import Callable
from typing import Any
from uuid import UUID

from litestar import Request, Response

from stillwave.accounts import actions as accounts
from stillwave.accounts import passwords
from stillwave.accounts.rules import DEMO_EMAIL, Preferences
from stillwave.db.database import Database, Tx
from stillwave.errors import Forbidden, NotFound
from stillwave.feedback import actions as feedback
from stillwave.feedback.rules import Answer
from stillwave.profiles import actions as profiles
from stillwave.profiles.rules import Kind
from stillwave.profiles.screening import Screening
from stillwave.progress import actions as progress
from stillwave.progress.rules import Day
from stillwave.sessions import actions as sessions
from stillwave.sessions.rules import Progress, Wish
from stillwave.web import gate, pages
from stillwave.web.gate import Me
from stillwave.web.kit import kit_of
from stillwave.web.routes import page_post

DAYS = 90
# Somebody who likes 9.2 Hz in the evening and 15 Hz to work, rates with some noise, and sleeps better over time.
_LIKES_HZ = {"evening_wind_down": (8.6, 1.1), "calm_focus": (10.8, 1.4), "alert_focus": (15.5, 2.5), "morning_wake": (12.0, 2.0), "sleep": (2.2, 0.9)}
_NOTES = (
    "Slept through for once.", "Busy day, hard to settle.", "A walk in the rain helped.", "Quiet evening.",
    "Too much coffee.", "Good focus before lunch.",
)  # fmt: skip


def fill(database: Database, now: dt.datetime, step: Callable[[int, int], None]) -> tuple[str, str]:
    """The demo account exists with its history up to `now`; returns its e-mail and a new password.

    An older demo account is replaced. `step(done, of)` hears of each day.
    """
    password = "-".join(secrets.token_hex(2) for _ in range(4))
    password_hash = passwords.hashed(password)
    chance = random.Random(20)  # noqa: S311  the demo is the same every time
    begin = now - dt.timedelta(days=DAYS)
    with database.write() as tx:
        _forget(tx, now)
    with database.write() as tx:
        user_id = accounts.create(
            tx, email=DEMO_EMAIL, phone="+12025550143", password_hash=password_hash, now=begin, consent=True
        )
        me = _me(user_id, begin)
        accounts.set_preferences(
            tx, user_id, Preferences(preferred_duration=20, morning_routine_time=dt.time(7, 30),
                                     evening_routine_time=dt.time(21, 30)), begin,
        )  # fmt: skip
        profiles.screen(tx, me, Screening(age_group="18_plus", agree_not_driving=True, none=True), begin)
    for day in range(DAYS + 1):
        with database.write(user_id) as tx:
            _live(tx, me, begin.date() + dt.timedelta(days=day), now, day / DAYS, chance)
        step(day + 1, DAYS + 1)
    return DEMO_EMAIL, password


def _forget(tx: Tx, now: dt.datetime) -> None:
    try:
        known = accounts.by_email(tx, DEMO_EMAIL)
    except NotFound:
        return
    tx.act_as(known.id)
    accounts.delete(tx, known.id, now)


def _me(user_id: UUID, now: dt.datetime) -> Me:
    return Me(
        user_id=user_id, login_id=user_id, role="listener", account_status="active", subscription_tier="free",
        processing_restricted=False, last_seen_at=now, expires_at=now + dt.timedelta(days=365),
        consent_version=1, screened_at=now,
    )  # fmt: skip


def _live(tx: Tx, me: Me, date: dt.date, now: dt.datetime, along: float, chance: random.Random) -> None:
    """One day: perhaps a session or two, usually a line in the diary."""
    weekend = date.weekday() >= 5
    stress = 6.5 - 2.0 * along + (-1.0 if weekend else 0.5)
    routine: list[tuple[Kind, str, str, float, float]] = [
        ("morning", "unsure", "morning_wake", 7.4, 0.25),
        ("custom", "unsure", "alert_focus" if not weekend else "calm_focus", 10.2, 0.35),
        ("evening", "alert_focus", "evening_wind_down", 21.6, 0.75),
        ("evening", "evening_wind_down", "sleep", 22.9, 0.12),
    ]
    listened = False
    for kind, initial, target, hour, often in routine:
        at = dt.datetime.combine(date, dt.time(), dt.UTC) + dt.timedelta(hours=hour + chance.uniform(-0.4, 0.4))
        at = at.replace(microsecond=at.microsecond // 1000 * 1000)
        if chance.random() < often and at < now - dt.timedelta(hours=1):
            _listen(tx, me, kind, initial, target, at, chance)
            listened = True
    noon = dt.datetime.combine(date, dt.time(12), dt.UTC)
    if chance.random() < 0.85 and noon < now:
        sleep = 5.2 + 1.6 * along + (0.7 if listened else 0) + chance.gauss(0, 1.1)
        progress.keep_day(
            tx, me,
            Day(
                date=date, sleep_quality=_score(sleep), stress_level=_score(stress + chance.gauss(0, 1.2)),
                focus_score=_score(5.4 + 1.0 * along + 0.2 * (sleep - 6) + chance.gauss(0, 1.0)),
                notes=chance.choice(_NOTES) if chance.random() < 0.2 else None,
                metrics={"hours_slept": round(min(9.5, max(4.0, 6.4 + 0.25 * (sleep - 6) + chance.gauss(0, 0.6))), 1)},
            ),
            noon,
        )  # fmt: skip


def _listen(tx: Tx, me: Me, kind: Kind, initial: str, target: str, at: dt.datetime, chance: random.Random) -> None:
    wish = Wish(kind=kind, initial_state=initial, target_state=target, minutes=chance.choice((10, 15, 20, 20, 30)))
    row = sessions.start(tx, me, wish, at, chance.randrange(2**53))
    minutes = wish.minutes or 20
    done = chance.random() < 0.9
    end = at + dt.timedelta(minutes=minutes if done else minutes / 3)
    sessions.follow(tx, me.user_id, row.id, Progress((end - at).total_seconds(), ended=True), end)
    if chance.random() < 0.2:
        return
    best_hz, width_hz = _LIKES_HZ[target]
    liked = math.exp(-(((row.target_frequency or 10.0) - best_hz) / width_hz) ** 2 / 2)
    felt = 0.25 + 0.6 * liked + chance.gauss(0, 0.12)
    effects: dict[str, int] = {}
    if felt > 0.6 and chance.random() < 0.6:
        effects["relaxed" if kind == "evening" else "focused"] = chance.choice((1, 2))
    if felt < 0.4 and chance.random() < 0.15:
        effects["headache"] = 1
    answer = Answer(
        rating=max(1, min(5, round(1 + 4 * felt))), effectiveness=_score(1 + 9 * felt), effects=effects,
        pace="too_fast" if chance.random() < 0.04 else "right", level="too_quiet" if chance.random() < 0.05 else "right",
    )  # fmt: skip
    feedback.give(tx, me, row.id, answer, end + dt.timedelta(minutes=2))


def _score(value: float) -> int:
    return max(1, min(10, round(value)))


@page_post("/demo")
def try_demo(request: Request[Any, Any, Any]) -> Response[Any]:
    """Signed in to the demo account, which is made first if need be. Only on one's own machine."""
    kit = kit_of(request)
    if not kit.settings.is_local:
        raise Forbidden("The demo is only there on your own machine.")
    kit.limits.count("sign_up_address", "demo")
    now = kit.clock()
    try:
        with kit.database.read() as tx:
            user_id = accounts.by_email(tx, DEMO_EMAIL).id
    except NotFound:
        fill(kit.database, now, lambda _done, _of: None)
        with kit.database.read() as tx:
            user_id = accounts.by_email(tx, DEMO_EMAIL).id
    with kit.database.write(user_id) as tx:
        token = accounts.open_login(tx, user_id, "The demo", now)
    return pages.see_other("/", cookies=[gate.login_cookie(kit.settings, token)])
