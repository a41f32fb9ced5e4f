"""Rows of session_feedback; the free text is sealed here."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from uuid import UUID

import msgspec

from stillwave.db.database import Queries, Tx
from stillwave.db.ids import moment
from stillwave.feedback.rules import Answer, Told

SQL = Queries(Path(__file__).parent)
_PLACE = "session_feedback.feedback_text"


class FeedbackRow(msgspec.Struct, frozen=True):
    """Feedback as stored; `feedback_text` is sealed, effects are JSON text."""

    id: UUID
    session_id: UUID
    rating: int | None
    feedback_text: str | None
    physical_effects: str | None
    mental_effects: str | None
    created_at: dt.datetime


def of_session(tx: Tx, user_id: UUID, session_id: UUID) -> FeedbackRow | None:
    """The latest feedback of a session."""
    return tx.one(
        FeedbackRow, SQL.feedback_of, user_id=user_id, session_id=session_id, start_time=moment(session_id)
    )


def rate_session(
    tx: Tx, user_id: UUID, session_id: UUID, answer: Answer, told: Told, now: dt.datetime, *, first: bool = False
) -> int:
    """Effectiveness and coded side effects are on the session, which has ended and is locked; `first`: if it has no answer."""
    adverse = {key: value for key, value in {**told.physical, **told.mental}.items() if value is not True}
    return tx.run(
        SQL.rate_first if first else SQL.rate_session, user_id=user_id, session_id=session_id, start_time=moment(session_id), now=now,
        effectiveness=answer.effectiveness, side_effects=msgspec.json.encode(adverse).decode(),
    )  # fmt: skip


def insert(
    tx: Tx, user_id: UUID, feedback_id: UUID, session_id: UUID, answer: Answer, told: Told, now: dt.datetime
) -> FeedbackRow:
    """The feedback is stored; the database has learned from it when this returns."""
    return tx.stored(
        FeedbackRow, SQL.insert_feedback, user_id=user_id, id=feedback_id, session_id=session_id,
        start_time=moment(session_id), now=now, **_columns(tx, user_id, feedback_id, answer, told),
    )  # fmt: skip


def replace(tx: Tx, user_id: UUID, row: FeedbackRow, answer: Answer, told: Told) -> None:
    """The feedback says something else now; the database has learned anew."""
    tx.run(
        SQL.replace_feedback, user_id=user_id, id=row.id, start_time=moment(row.session_id),
        **_columns(tx, user_id, row.id, answer, told),
    )  # fmt: skip


def changed(tx: Tx, user_id: UUID, row: FeedbackRow, answer: Answer, told: Told) -> list[str]:
    """The names of the fields that the answer changes."""
    before = {
        "rating": row.rating, "feedback_text": text_of(tx, user_id, row),
        "physical_effects": msgspec.json.decode(row.physical_effects or "{}"),
        "mental_effects": msgspec.json.decode(row.mental_effects or "{}"),
    }  # fmt: skip
    after = {
        "rating": answer.rating, "feedback_text": answer.feedback_text or None,
        "physical_effects": told.physical, "mental_effects": told.mental,
    }  # fmt: skip
    return [name for name, value in after.items() if before[name] != value]


def text_of(tx: Tx, user_id: UUID, row: FeedbackRow) -> str | None:
    """The free text, opened."""
    return tx.vault.open(user_id, _PLACE, row.id, row.feedback_text) if row.feedback_text else None


def _columns(tx: Tx, user_id: UUID, feedback_id: UUID, answer: Answer, told: Told) -> dict[str, object]:
    text = answer.feedback_text
    return {
        "rating": answer.rating,
        "feedback_text": tx.vault.seal(user_id, _PLACE, feedback_id, text) if text else None,
        "physical_effects": msgspec.json.encode(told.physical).decode(),
        "mental_effects": msgspec.json.encode(told.mental).decode(),
    }
