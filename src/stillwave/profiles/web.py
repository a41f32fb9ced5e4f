"""Safety questions and the learned profile, as pages and under /api/v1."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Request, Response
from litestar.params import FromPath, FromQuery, JSONBody, URLEncodedBody
from markupsafe import Markup

from stillwave.accounts import actions as accounts
from stillwave.accounts.rules import Password
from stillwave.errors import BadInput, Conflict, TooMany
from stillwave.profiles import actions, curve, rules, screening
from stillwave.profiles.actions import Comparison, Known, Recorded
from stillwave.profiles.screening import ADVERSE, CONDITIONS, QUESTIONS, Clearance, Screening
from stillwave.web import charts, gate, pages
from stillwave.web.intake import read_form
from stillwave.web.kit import kit_of
from stillwave.web.routes import api_delete, api_get, api_post, api_put, page_get, page_post

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
    """What the answers mean for sessions. `ask_again`: why they are to be given anew, or empty."""

    blocked: bool
    limits: tuple[str, ...]
    states: list[str]
    ask_again: str
    wording_version: int


class ClearanceWish(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A person's record that a clinician cleared one block. `understood`: they have read what it changes."""

    condition: Annotated[str, msgspec.Meta(max_length=60)]
    cleared_on: dt.date
    password: Password
    understood: Literal[True]
    note: Annotated[str, msgspec.Meta(max_length=1000)] | None = None


class Clearances(msgspec.Struct):
    """What was recorded, newest first, and what a clinician could still clear."""

    items: list[Recorded]
    clearable: list[str]


def _result(known: Known) -> ScreeningResult:
    limit = known.limits
    open_states = [] if limit.blocked else [key for key, s in rules.STATES.items() if rules.candidates(s, limit)]
    return ScreeningResult(limit.blocked, limit.sentences, open_states, known.ask_again, screening.VERSION)


@api_get("/api/v1/profile", tags=["profile"], short=True)
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
        bands=[BandRange(band, *actions.best(known, band), *ranges[band]) for band in curve.BANDS],
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
        return _result(actions.current(tx, me.user_id, now))


@api_get("/api/v1/screening", tags=["profile"])
def read_screening(request: Ask) -> ScreeningResult:
    """What the safety answers leave."""
    with gate.read(request) as (tx, me):
        return _result(actions.current(tx, me.user_id, kit_of(request).clock()))


@api_get("/api/v1/clearances", tags=["profile"])
def read_clearances(request: Ask) -> Clearances:
    """What the person recorded that a clinician cleared."""
    now = kit_of(request).clock()
    with gate.read(request) as (tx, me):
        return Clearances(actions.clearances(tx, me.user_id, now), actions.could_clear(tx, me.user_id, now))


@api_post("/api/v1/clearances", tags=["profile"])
def record_clearance(request: Ask, data: JSONBody[ClearanceWish]) -> Recorded:
    """Record that a clinician cleared one block; the careful limits of an unknown condition take its place."""
    return _recorded(request, data)


@api_delete("/api/v1/clearances/{clearance_id:uuid}", tags=["profile"])
def end_clearance(request: Ask, clearance_id: FromPath[UUID]) -> None:
    """Take the record back; the block is there again."""
    with gate.write(request) as (tx, me):
        actions.end_clearance(tx, me.user_id, clearance_id, kit_of(request).clock())


def _recorded(request: Ask, wish: ClearanceWish) -> Recorded:
    kit, me = kit_of(request), gate.proving(request)
    kit.limits.count("write_account", str(me.user_id))
    clearance = Clearance(condition=wish.condition, cleared_on=wish.cleared_on, note=wish.note)
    now = kit.clock()
    made = actions.clear(kit.database, me, clearance, wish.password, now)
    with gate.read(request) as (tx, me):
        return next(each for each in actions.clearances(tx, me.user_id, now) if each.id == made)


@api_get("/api/v1/comparison", tags=["comparison"])
def read_comparison(request: Ask) -> Comparison:
    """Does it work for me? What the sessions say that were looked at, and how many are hidden still."""
    with gate.read(request) as (tx, me):
        return actions.comparison(tx, me.user_id)


@api_post("/api/v1/comparison/reveal", status_code=200, tags=["comparison"])
def reveal_comparison(request: Ask) -> Comparison:
    """Show of every session whether it had the beat; later ratings of these do not count."""
    with gate.write(request) as (tx, me):
        return actions.reveal_all(tx, me.user_id, kit_of(request).clock())


# --- pages --------------------------------------------------------------------------------------


def _screening_page(limits: tuple[str, ...]) -> dict[str, Any]:
    groups = [
        {
            "title": title,
            "items": [{"key": key, "label": CONDITIONS[key].label, "hint": CONDITIONS[key].hint} for key in keys],
        }
        for title, keys in QUESTIONS
    ]
    return {"conditions": groups, "limits": limits, "words": screening.WORDS, "age_groups": screening.AGE_GROUPS}


@page_get("/screening")
def screening_page(request: Ask) -> Response[str]:
    """The safety questions, filled in with the last answers."""
    with gate.read(request) as (tx, me):
        known = actions.current(tx, me.user_id, kit_of(request).clock())
        last = actions.last_answers(tx, me.user_id)
    values: dict[str, object] = {}
    if last is not None:
        values = {
            "condition": list(last.conditions), "other": last.other or "", "age_group": last.age_group,
            "none": "yes" if last.none else "", "agree_not_driving": "",
        }  # fmt: skip
    context = _screening_page(known.limits.sentences)
    if last is not None:
        context["ask_again"] = known.ask_again
    return pages.page(request, "profiles/screening.html", me=me, errors={}, values=values, **context)


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


def _clearances_page(request: Ask) -> dict[str, Any]:
    now = kit_of(request).clock()
    with gate.read(request) as (tx, me):
        today = now.astimezone(accounts.zone(tx, me.user_id)).date()
        return {
            "records": [
                {"id": each.id, "label": each.label, "counts": each.counts, "ended": each.ended_at is not None,
                 "on": f"{each.cleared_on.day} {each.cleared_on:%B %Y}", "note": each.note}
                for each in actions.clearances(tx, me.user_id, now)
            ],
            "choices": [
                {"key": key, "label": screening.label(key)} for key in actions.could_clear(tx, me.user_id, now)
            ],
            "limits": actions.current(tx, me.user_id, now).limits.sentences,
            "today": today.isoformat(),
        }  # fmt: skip


@page_get("/clearances")
def clearances_page(request: Ask) -> Response[str]:
    """What a clinician cleared by the person's own record, and the form for another."""
    return pages.page(request, "profiles/clearances.html", errors={}, values={}, **_clearances_page(request))


@page_post("/clearances")
def clear(request: Ask, data: Form) -> Response[Any]:
    """Record by form that a clinician cleared one block."""
    try:
        _recorded(request, read_form({**data, "understood": data.get("understood") == "yes"}, ClearanceWish))
    except (BadInput, Conflict, TooMany) as error:
        return pages.form_again(request, "profiles/clearances.html", data, error, **_clearances_page(request))
    return pages.see_other("/clearances", notice="It is on record. Sessions stay on the gentle side.")


@page_post("/clearances/{clearance_id:uuid}/revoke")
def revoke_clearance(request: Ask, clearance_id: FromPath[UUID], data: Form) -> Response[Any]:
    """Take the record back by form."""
    del data
    with gate.write(request) as (tx, me):
        actions.end_clearance(tx, me.user_id, clearance_id, kit_of(request).clock())
    return pages.see_other("/clearances", notice="Taken back. It acts at once.")


@page_post("/comparison")
def compare(request: Ask, data: Form) -> Response[Any]:
    """Agree to the comparison by form, or end it."""
    give = data.get("give") == "yes"
    with gate.write(request) as (tx, me):
        accounts.set_consent(tx, me.user_id, "ab_sessions", give=give, now=kit_of(request).clock())
    return pages.see_other("/profile#works", notice="From now on we compare." if give else "Taken back. It acts at once.")


@page_post("/comparison/reveal")
def show_comparison(request: Ask, data: Form) -> Response[Any]:
    """Show by form of every session whether it had the beat."""
    del data
    with gate.write(request) as (tx, me):
        actions.reveal_all(tx, me.user_id, kit_of(request).clock())
    return pages.see_other("/profile#works", notice="Here is what your sessions say.")


@page_get("/profile")
def profile_page(request: Ask, wanted: FromQuery[str | None] = None) -> Response[str]:
    """What was learned, with its uncertainty, what changed, and whether the beat makes a difference."""
    kit = kit_of(request)
    state = wanted if wanted in rules.STATES else None
    with gate.read(request) as (tx, me):
        known = actions.current(tx, me.user_id, kit.clock())
        changes = actions.changes(tx, me.user_id, _SHOWN_CHANGES)
        compared = actions.comparison(tx, me.user_id)
        week_minutes = actions.week_minutes(tx, me.user_id, kit.clock())
        zone = accounts.zone(tx, me.user_id)
    bands = actions.bands(known, curve.group_of(state))
    if state is not None:
        window = rules.STATES[state]
        bands = [band for band in bands if band["grid_hz"][0] < window.high_hz and band["grid_hz"][-1] > window.low_hz]
    shown = [{**band, "svg": _picture(band)} for band in bands]
    flags = [
        entry.removeprefix(ADVERSE).replace("_", " ")
        for entry in known.conditions
        if entry.startswith(ADVERSE) and entry not in known.cleared
    ]
    return pages.page(
        request, "profiles/profile.html", me=me,
        bands=sorted(shown, key=lambda band: -band["n"]),
        states=[{"key": key, "label": each.label} for key, each in rules.STATES.items()], state=state,
        sensitivity=curve.sensitivity_level(known.response), transition_s=curve.transition_time_s(known.response),
        volume=round(known.response.vol), feedback_count=known.response.n,
        changes=[{"when": f"{at.astimezone(zone):%d %B, %H:%M}".lstrip("0"), "sentence": text} for at, text in changes],
        limits=known.limits.sentences, damaged=known.damaged, adaptation_on=known.row.adaptation_on, compared=compared,
        week_minutes=week_minutes, could_clear=bool(screening.clearable(known.conditions)),
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
    read_clearances, record_clearance, end_clearance, read_comparison, reveal_comparison,
    screening_page, screen, clearances_page, clear, revoke_clearance, compare, show_comparison, profile_page, set_adaptation,
]  # fmt: skip
