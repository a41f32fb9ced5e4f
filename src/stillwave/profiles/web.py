"""Safety questions and the learned profile, as pages and under /api/v1."""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.params import JSONBody, URLEncodedBody
from markupsafe import Markup

from stillwave.accounts import actions as accounts
from stillwave.errors import BadInput
from stillwave.profiles import actions, curve, rules
from stillwave.profiles.rules import ADVERSE, CONDITIONS, QUESTIONS, Screening
from stillwave.web import charts, gate, pages
from stillwave.web.intake import read_form
from stillwave.web.kit import kit_of
from stillwave.web.routes import api_get, api_put, page_get, page_post

Form = URLEncodedBody[dict[str, Any]]
Ask = Request[Any, Any, Any]
_SHOWN_CHANGES = 8


class BandRange(msgspec.Struct):
    """What is known of one band: ratings, best point and preferred range in Hz."""

    band: str
    ratings: int
    best_hz: float | None
    low_hz: float | None
    high_hz: float | None


class LearnedChange(msgspec.Struct):
    """What one rating moved."""

    at: dt.datetime
    sentence: str


class Profile(msgspec.Struct, kw_only=True):
    """The learned profile: rated preference, not a measurement of the body."""

    ratings: int
    sensitivity_level: int
    optimal_transition_time_s: int
    volume: int
    adaptation_on: bool
    bands: list[BandRange]
    base_frequency_response: msgspec.Raw
    limits: tuple[str, ...]
    blocked: bool
    changes: list[LearnedChange]


class Adaptation(msgspec.Struct, forbid_unknown_fields=True):
    """Whether ratings change the profile."""

    on: bool


class ScreeningResult(msgspec.Struct):
    """What the answers mean for sessions."""

    blocked: bool
    limits: tuple[str, ...]
    states: list[str]


def _result(limit: rules.Limits) -> ScreeningResult:
    open_states = [] if limit.blocked else [key for key, s in rules.STATES.items() if rules.candidates(s, limit)]
    return ScreeningResult(limit.blocked, limit.sentences, open_states)


@api_get("/api/v1/profile", tags=["profile"])
def read_profile(request: Ask) -> Profile:
    """The profile as it is now, and what changed it lately."""
    now = kit_of(request).clock()
    with gate.read(request) as (tx, me):
        known = actions.current(tx, me.user_id, now)
        changes = actions.changes(tx, me.user_id, _SHOWN_CHANGES)
    response, row, limit = known.response, known.row, known.limits
    ranges = {
        "delta": (row.delta_low_hz, row.delta_high_hz), "theta": (row.theta_low_hz, row.theta_high_hz),
        "alpha": (row.alpha_low_hz, row.alpha_high_hz), "gamma": (row.gamma_low_hz, row.gamma_high_hz),
        "beta": curve.preferred_range(response, "beta") or (None, None),
    }  # fmt: skip
    return Profile(
        ratings=response.n, sensitivity_level=curve.sensitivity_level(response),
        optimal_transition_time_s=curve.transition_time_s(response), volume=round(response.vol),
        adaptation_on=row.adaptation_on,
        bands=[BandRange(b["key"], b["n"], b["best_hz"], *ranges[b["key"]]) for b in actions.bands(known)],
        base_frequency_response=msgspec.Raw(curve.serialise(response).encode()),
        limits=limit.sentences, blocked=limit.blocked,
        changes=[LearnedChange(at, text) for at, text in changes],
    )  # fmt: skip


@api_put("/api/v1/profile/adaptation", tags=["profile"])
def switch_adaptation(request: Ask, data: JSONBody[Adaptation]) -> Adaptation:
    """Learn from ratings, or do not."""
    with gate.write(request) as (tx, me):
        actions.set_adaptation(tx, me.user_id, on=data.on, now=kit_of(request).clock())
    return data


@api_put("/api/v1/screening", tags=["profile"])
def answer_screening(request: Ask, data: JSONBody[Screening]) -> ScreeningResult:
    """Answer the safety questions; what they leave is in the answer."""
    now = kit_of(request).clock()
    with gate.write(request) as (tx, me):
        actions.screen(tx, me, data, now)
        return _result(actions.current(tx, me.user_id, now).limits)


@api_get("/api/v1/screening", tags=["profile"])
def read_screening(request: Ask) -> ScreeningResult:
    """What the safety answers leave."""
    with gate.read(request) as (tx, me):
        return _result(actions.current(tx, me.user_id, kit_of(request).clock()).limits)


# --- pages --------------------------------------------------------------------------------------


def _screening_page(limits: tuple[str, ...]) -> dict[str, Any]:
    groups = [
        {
            "title": title,
            "items": [{"key": key, "label": CONDITIONS[key].label, "hint": CONDITIONS[key].hint} for key in keys],
        }
        for title, keys in QUESTIONS
    ]
    return {"conditions": groups, "limits": limits}


@page_get("/screening")
def screening_page(request: Ask) -> Response[str]:
    """The safety questions, filled in with the last answers."""
    with gate.read(request) as (tx, me):
        limits = actions.current(tx, me.user_id, kit_of(request).clock()).limits.sentences
        last = actions.last_answers(tx, me.user_id)
    values: dict[str, object] = {}
    if last is not None:
        values = {
            "condition": list(last.conditions), "other": last.other or "", "age_group": last.age_group,
            "none": "yes" if last.none else "", "agree_not_driving": "",
        }  # fmt: skip
    return pages.page(request, "profiles/screening.html", me=me, errors={}, values=values, **_screening_page(limits))


@page_post("/screening")
def screen(request: Ask, data: Form) -> Response[Any]:
    """Store the answers."""
    ticked = data.get("condition", [])
    fields = {
        **data,
        "conditions": ticked if isinstance(ticked, list) else [ticked],
        "none": bool(data.get("none")),
        "agree_not_driving": bool(data.get("agree_not_driving")),
    }
    try:
        answers = read_form(fields, Screening, lists=("conditions",))
        with gate.write(request) as (tx, me):
            actions.screen(tx, me, answers, kit_of(request).clock())
    except BadInput as error:
        names = {"conditions": "condition"}
        return pages.form_again(request, "profiles/screening.html", data, error, names=names, **_screening_page(()))
    return pages.see_other("/", notice="Thank you. Your answers are stored and act at once.")


@page_get("/profile")
def profile_page(request: Ask) -> Response[str]:
    """What was learned, with its uncertainty, and what changed."""
    kit = kit_of(request)
    with gate.read(request) as (tx, me):
        known = actions.current(tx, me.user_id, kit.clock())
        changes = actions.changes(tx, me.user_id, _SHOWN_CHANGES)
        zone = accounts.zone(tx, me.user_id)
    shown = [{**band, "svg": _picture(band)} for band in actions.bands(known)]
    flags = [entry.removeprefix(ADVERSE).replace("_", " ") for entry in known.conditions if entry.startswith(ADVERSE)]
    return pages.page(
        request, "profiles/profile.html", me=me,
        bands=sorted(shown, key=lambda band: -band["n"]),
        sensitivity=curve.sensitivity_level(known.response), transition_s=curve.transition_time_s(known.response),
        volume=round(known.response.vol), feedback_count=known.response.n,
        changes=[{"when": f"{at.astimezone(zone):%d %B, %H:%M}".lstrip("0"), "sentence": text} for at, text in changes],
        limits=known.limits.sentences, damaged=known.damaged, adaptation_on=known.row.adaptation_on,
        blocked_flags=[f"You reported: {flag}" for flag in flags],
    )  # fmt: skip


def _picture(band: dict[str, Any]) -> Markup:
    label = f"Expected rating, {band['key']}"
    picture = charts.response_curve(
        band["grid_hz"], band["mean"], band["sd"], best_hz=band["best_hz"], low_hz=band["low_hz"],
        high_hz=band["high_hz"], label=label,
    )  # fmt: skip
    table = charts.response_curve_table(band["grid_hz"][::4], band["mean"][::4], band["sd"][::4], label=label)
    return Markup(picture + table)  # noqa: S704  our own SVG


@page_post("/profile/adaptation")
def set_adaptation(request: Ask, data: Form) -> Response[Any]:
    """Switch learning on or off by form."""
    on = data.get("on") == "yes"
    with gate.write(request) as (tx, me):
        actions.set_adaptation(tx, me.user_id, on=on, now=kit_of(request).clock())
    return pages.see_other("/profile", notice="Learning is on." if on else "Learning is off.")


HANDLERS = [
    read_profile, switch_adaptation, answer_screening, read_screening,
    screening_page, screen, profile_page, set_adaptation,
]  # fmt: skip
