"""Rows of neural_profiles, profile_history and screenings; what a person declared is sealed here."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from uuid import UUID

import msgspec

from stillwave.db.database import Queries, Tx
from stillwave.profiles import curve, effects

SQL = Queries(Path(__file__).parent)
_DECLARED = "neural_profiles.contraindications"
_ANSWERS = "screenings.answers"


class ProfileRow(msgspec.Struct, frozen=True):
    """A row of neural_profiles; `contraindications` and `base_frequency_response` are JSON text."""

    base_frequency_response: str | None
    optimal_transition_time: int | None
    contraindications: str
    sensitivity_level: int | None
    adaptation_on: bool
    updated_at: dt.datetime
    delta_low_hz: float | None = None
    delta_high_hz: float | None = None
    theta_low_hz: float | None = None
    theta_high_hz: float | None = None
    alpha_low_hz: float | None = None
    alpha_high_hz: float | None = None
    gamma_low_hz: float | None = None
    gamma_high_hz: float | None = None


class ChangeRow(msgspec.Struct, frozen=True):
    """What one feedback moved; `change` is JSON text of a curve.Change."""

    feedback_id: UUID
    created_at: dt.datetime
    change: str


class AnswerRow(msgspec.Struct, frozen=True):
    """A feedback that teaches; effects are JSON text."""

    rating: int | None
    effectiveness: int | None
    hz: float | None
    physical_effects: str | None
    mental_effects: str | None
    state_group: str | None


class BaseRow(msgspec.Struct, frozen=True):
    """What retention kept; JSON text as in neural_profiles."""

    state: str


class ScreeningRow(msgspec.Struct, frozen=True):
    """A screening; `answers` is sealed."""

    id: UUID
    version: int
    answered_at: dt.datetime
    answers: str


def ensure(tx: Tx, user_id: UUID, new_id: UUID, now: dt.datetime) -> None:
    """The person has a profile; a new one has the start values."""
    start = curve.start()
    tx.run(
        SQL.insert_profile, user_id=user_id, id=new_id, now=now, response=curve.serialise(start),
        transition_s=curve.transition_time_s(start), sensitivity=curve.sensitivity_level(start),
    )  # fmt: skip


def profile(tx: Tx, user_id: UUID) -> ProfileRow | None:
    """The person's profile."""
    return tx.one(ProfileRow, SQL.profile_of, user_id=user_id)


def answers(tx: Tx, user_id: UUID) -> list[curve.Feedback]:
    """Everything that is learned from, in the order of the fold."""
    return [
        curve.Feedback(
            row.rating, row.effectiveness, row.hz, _effects(row.physical_effects), _effects(row.mental_effects),
            curve.GROUPS[row.state_group].states[0] if row.state_group else None,
        )
        for row in tx.all(AnswerRow, SQL.answers, user_id=user_id)
    ]  # fmt: skip


def _effects(text: str | None) -> effects.Effects:
    known: effects.Effects = msgspec.json.decode(text) if text else None
    return known


def base(tx: Tx, user_id: UUID) -> curve.Response | None:
    """What retention kept of the feedback that it removed; None if nothing or not to be read."""
    row = tx.one(BaseRow, SQL.base, user_id=user_id)
    try:
        return curve.parse(row.state) if row else None
    except curve.Damaged:
        return None


def declare(tx: Tx, user_id: UUID, conditions: list[str]) -> None:
    """What the person declared replaces what they declared before, in one envelope; red flags stay."""
    envelopes = []
    if conditions:
        text = msgspec.json.encode(conditions).decode()
        envelopes.append(tx.vault.seal(user_id, _DECLARED, user_id, text))
    tx.run(SQL.declare_contraindications, user_id=user_id, declared=msgspec.json.encode(envelopes).decode())


def conditions(tx: Tx, user_id: UUID, row: ProfileRow) -> list[str]:
    """Everything that limits the person: what was declared, opened, and the red flags."""
    found: list[str] = []
    for entry in msgspec.json.decode(row.contraindications, type=list[str]):
        if entry.startswith("sw1."):
            found += msgspec.json.decode(tx.vault.open(user_id, _DECLARED, user_id, entry), type=list[str])
        else:
            found.append(entry)
    return found


def keep_screening(tx: Tx, user_id: UUID, screening_id: UUID, version: int, answers: str, now: dt.datetime) -> None:
    """The answers are on record, sealed."""
    tx.run(
        SQL.insert_screening, user_id=user_id, id=screening_id, version=version, now=now,
        answers=tx.vault.seal(user_id, _ANSWERS, screening_id, answers),
    )  # fmt: skip


def latest_screening(tx: Tx, user_id: UUID) -> str | None:
    """The answers of the latest screening, opened."""
    row = tx.one(ScreeningRow, SQL.latest_screening, user_id=user_id)
    return tx.vault.open(user_id, _ANSWERS, row.id, row.answers) if row else None
