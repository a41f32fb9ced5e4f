"""Giving, correcting and taking back feedback; the database's trigger learns in the same transaction."""

from __future__ import annotations

import datetime as dt
from uuid import UUID

from stillwave.db import audit
from stillwave.db.database import Tx
from stillwave.db.ids import moment, uuid7
from stillwave.errors import Conflict, NotFound
from stillwave.feedback import rules, store
from stillwave.feedback.rules import Answer
from stillwave.feedback.store import SQL, FeedbackRow
from stillwave.profiles import actions as profiles
from stillwave.profiles import effects
from stillwave.web.gate import Me


def give(tx: Tx, me: Me, session_id: UUID, answer: Answer, now: dt.datetime) -> FeedbackRow:
    """The answer is stored and, unless learning is off, the profile has learned from it.

    Raises NotFound for a session that is not the person's, Conflict for one that was answered already or
    lies in the future.
    """
    me.must_consent()
    told = rules.coded(answer)
    rated = store.rate_session(tx, me.user_id, session_id, answer, told, max(now, moment(session_id)), first=True)
    # Looked at also when the session took the answer: somebody may have been first while we waited.
    if store.of_session(tx, me.user_id, session_id) is not None:
        raise Conflict("This session has been rated already. You can change that rating instead.")
    if not rated:
        raise NotFound("There is no such session.")
    if moment(session_id) > now:
        raise Conflict("This session has not begun yet. Please check the clock of the server.")
    feedback_id = uuid7(now)
    profiles.stick_flags(tx, me.user_id, effects.red_flags(told.physical, told.mental), now)
    row = store.insert(tx, me.user_id, feedback_id, session_id, answer, told, now)
    audit.note(tx, me.user_id, "feedback.given", now, session=str(session_id))
    return row


def change(tx: Tx, me: Me, session_id: UUID, answer: Answer, now: dt.datetime) -> None:
    """The answer is replaced; the profile is learned anew from the whole history."""
    me.must_consent()
    told = rules.coded(answer)
    row = current(tx, me.user_id, session_id)
    changed = store.changed(tx, me.user_id, row, answer, told)
    profiles.stick_flags(tx, me.user_id, effects.red_flags(told.physical, told.mental), now)
    store.replace(tx, me.user_id, row, answer, told)
    store.rate_session(tx, me.user_id, session_id, answer, told, now)
    audit.note(tx, me.user_id, "feedback.changed", now, session=str(session_id), fields=",".join(changed))


def take_back(tx: Tx, user_id: UUID, session_id: UUID, now: dt.datetime) -> None:
    """The answer is gone; the profile is as if it had not been given (red flags stay)."""
    which = {"user_id": user_id, "session_id": session_id, "start_time": moment(session_id)}
    if not tx.run(SQL.delete_feedback, **which):
        raise NotFound("There is no feedback for this session.")
    tx.run(SQL.unrate_session, **which)
    audit.note(tx, user_id, "feedback.removed", now, session=str(session_id))


def current(tx: Tx, user_id: UUID, session_id: UUID) -> FeedbackRow:
    """The feedback of a session. Raises NotFound."""
    row = store.of_session(tx, user_id, session_id)
    if row is None:
        raise NotFound("There is no feedback for this session.")
    return row


def text(tx: Tx, user_id: UUID, row: FeedbackRow) -> str | None:
    """The free text of a feedback, opened."""
    return store.text_of(tx, user_id, row)
