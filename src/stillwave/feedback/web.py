"""Rating a session, as a page and under /api/v1."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response
from litestar.params import FromPath, JSONBody, URLEncodedBody

from stillwave.accounts import actions as accounts
from stillwave.db.database import Tx
from stillwave.errors import BadInput, StillwaveError
from stillwave.feedback import actions, rules
from stillwave.feedback.rules import Answer
from stillwave.feedback.store import FeedbackRow
from stillwave.profiles import actions as profiles
from stillwave.sessions import actions as sessions
from stillwave.web import gate, once, pages
from stillwave.web.gate import Me
from stillwave.web.intake import read_form
from stillwave.web.kit import kit_of
from stillwave.web.routes import api_delete, api_get, api_post, api_put, page_get, page_post

Form = URLEncodedBody[dict[str, Any]]
Ask = Request[Any, Any, Any]


class Feedback(msgspec.Struct):
    """Feedback as it was given, and the sentence on what it changed."""

    id: UUID
    session_id: UUID
    rating: int | None
    effects: dict[str, Any]
    feedback_text: str | None
    created_at: dt.datetime
    learned: str | None


def _shown(tx: Tx, me: Me, row: FeedbackRow) -> Feedback:
    effects: dict[str, Any] = {}
    for text in (row.physical_effects, row.mental_effects):
        effects |= msgspec.json.decode(text) if text else {}
    return Feedback(
        row.id, row.session_id, row.rating, effects, actions.text(tx, me.user_id, row), row.created_at,
        profiles.change_of(tx, me.user_id, row.id),
    )  # fmt: skip


@api_post("/api/v1/sessions/{session_id:uuid}/feedback", tags=["feedback"], once=True, short=True)
def give_feedback(request: Ask, session_id: FromPath[UUID], data: JSONBody[Answer]) -> Response[Feedback]:
    """Rate a session; the profile has learned from it when the answer arrives."""

    def produce(tx: Tx, me: Me) -> Feedback:
        return _shown(tx, me, actions.give(tx, me, session_id, data, kit_of(request).clock()))

    return once.answer(request, produce)


@api_get("/api/v1/sessions/{session_id:uuid}/feedback", tags=["feedback"], short=True)
def read_feedback(request: Ask, session_id: FromPath[UUID]) -> Feedback:
    """How a session was rated."""
    with gate.read(request) as (tx, me):
        return _shown(tx, me, actions.current(tx, me.user_id, session_id))


@api_put("/api/v1/sessions/{session_id:uuid}/feedback", tags=["feedback"])
def change_feedback(request: Ask, session_id: FromPath[UUID], data: JSONBody[Answer]) -> Feedback:
    """Correct a rating; the profile is learned anew."""
    with gate.write(request) as (tx, me):
        actions.change(tx, me, session_id, data, kit_of(request).clock())
        return _shown(tx, me, actions.current(tx, me.user_id, session_id))


@api_delete("/api/v1/sessions/{session_id:uuid}/feedback", tags=["feedback"])
def delete_feedback(request: Ask, session_id: FromPath[UUID]) -> None:
    """Take a rating back."""
    with gate.write(request) as (tx, me):
        actions.take_back(tx, me.user_id, session_id, kit_of(request).clock())


def _context(request: Ask, tx: Tx, me: Me, session_id: UUID) -> dict[str, Any]:
    zone = accounts.zone(tx, me.user_id)
    effects = rules.choices(rules.PHYSICAL) + rules.choices(rules.MENTAL)
    return {
        "session": sessions.card(sessions.one(tx, me.user_id, session_id), zone, kit_of(request).clock()),
        "physical": [effect for effect in rules.choices(rules.PHYSICAL) if effect["kind"] != "red_flag"],
        "mental": [effect for effect in rules.choices(rules.MENTAL) if effect["kind"] != "red_flag"],
        "red_flags": [effect for effect in effects if effect["kind"] == "red_flag"],
        "unwell": request.query_params.get("unwell") == "1",
    }


@page_get("/sessions/{session_id:uuid}/rate", short=True)
def rate_page(request: Ask, session_id: FromPath[UUID]) -> Response[str]:
    """The rating form, filled in when the session was rated before."""
    with gate.read(request) as (tx, me):
        context = _context(request, tx, me, session_id)
        values = _values(tx, me, session_id)
    return pages.page(request, "feedback/rate.html", me=me, errors={}, values=values, **context)


def _values(tx: Tx, me: Me, session_id: UUID) -> dict[str, str]:
    try:
        row = actions.current(tx, me.user_id, session_id)
    except StillwaveError:
        return {}
    shown = _shown(tx, me, row)
    effectiveness = sessions.one(tx, me.user_id, session_id).effectiveness_rating
    values = {f"effect_{key}": str(value) for key, value in shown.effects.items() if value is not True}
    for field, pair in (("pace", ("too_fast", "too_slow")), ("level", ("too_loud", "too_quiet"))):
        values[field] = next((key for key in pair if key in shown.effects), "right")
    values |= {"rating": str(shown.rating or ""), "feedback_text": shown.feedback_text or ""}
    return values | ({"effectiveness": str(effectiveness)} if effectiveness else {})


@page_post("/sessions/{session_id:uuid}/rate", short=True)
def rate(request: Ask, session_id: FromPath[UUID], data: Form) -> Response[Any]:
    """Store the rating (or the corrected one) and go on to what it changed."""
    now = kit_of(request).clock()
    try:
        answer = _answer(data)
        with gate.write(request) as (tx, me):
            if _is_rated(tx, me, session_id):
                actions.change(tx, me, session_id, answer, now)
                row = actions.current(tx, me.user_id, session_id)
            else:
                row = actions.give(tx, me, session_id, answer, now)
            learned = profiles.change_of(tx, me.user_id, row.id)
    except BadInput as error:
        with gate.read(request) as (tx, me):
            context = _context(request, tx, me, session_id)
        return pages.form_again(request, "feedback/rate.html", data, error, **context)
    return pages.see_other("/profile", notice=f"Thank you. {learned or 'Your rating is stored.'}")


def _is_rated(tx: Tx, me: Me, session_id: UUID) -> bool:
    try:
        actions.current(tx, me.user_id, session_id)
    except StillwaveError:
        return False
    return True


def _answer(form: dict[str, Any]) -> Answer:
    effects = {
        name.removeprefix("effect_"): value for name, value in form.items() if name.startswith("effect_") and value
    }
    return read_form({**form, "effects": effects} if effects else form, Answer)


HANDLERS = [give_feedback, read_feedback, change_feedback, delete_feedback, rate_page, rate]
