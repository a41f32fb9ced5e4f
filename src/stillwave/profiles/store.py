"""Rows of neural_profiles, profile_history, screenings and clearances; what a person declared is sealed here.

What the planner looks at elsewhere (diary, earlier sessions) is only read, but for the arms of the comparison.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from uuid import UUID

import msgspec

from stillwave.db.database import Queries, Tx
from stillwave.db.ids import first_of
from stillwave.profiles import curve, effects, screening
from stillwave.profiles.rules import Before, Night, Plan
from stillwave.profiles.screening import Answered, Clearance
from stillwave.profiles.trial import Arm

SQL = Queries(Path(__file__).parent)
_DECLARED = "neural_profiles.contraindications"
_ANSWERS = "screenings.answers"
_STATEMENT = "clearances.statement"
_LOOKS = (dt.timedelta(days=45), dt.timedelta(days=200))  # back, one after the other; then at everything
_BEGINNING = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class ProfileRow(msgspec.Struct, frozen=True):
    """A row of neural_profiles; `contraindications` and `base_frequency_response` are JSON text.

    `answered_at` and `wording_sha256` are those of the latest screening.
    """

    base_frequency_response: str | None
    optimal_transition_time: int | None
    contraindications: str
    sensitivity_level: int | None
    adaptation_on: bool
    updated_at: dt.datetime
    wording_sha256: str | None = None
    answered_at: dt.datetime | None = None
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
    answers: str


class ClearanceRow(msgspec.Struct, frozen=True):
    """A clearance; `statement` is sealed."""

    id: UUID
    statement: str
    created_at: dt.datetime
    ended_at: dt.datetime | None


class ComparedRow(msgspec.Struct, frozen=True):
    """A session of the comparison: `arm_rating` is what it was rated before the person looked."""

    arm: Arm
    arm_revealed_at: dt.datetime | None
    arm_rating: int | None
    rating: int | None


class _Told(msgspec.Struct, frozen=True):
    id: UUID
    created_at: dt.datetime
    physical_effects: str | None
    mental_effects: str | None


class _DiaryRow(msgspec.Struct, frozen=True):
    date: dt.date
    sleep_quality: int | None
    stress_level: int | None
    metrics: str | None


class _BeforeRow(msgspec.Struct, frozen=True):
    id: UUID
    start_time: dt.datetime
    plan: str


class _Dealt(msgspec.Struct, frozen=True):
    arm: Arm
    n: int


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


def keep_screening(tx: Tx, user_id: UUID, screening_id: UUID, answers: str, now: dt.datetime) -> None:
    """The answers are on record, sealed, with the wording that was answered."""
    tx.run(
        SQL.insert_screening, user_id=user_id, id=screening_id, version=screening.VERSION, now=now,
        wording_sha256=screening.WORDING_SHA256, answers=tx.vault.seal(user_id, _ANSWERS, screening_id, answers),
    )  # fmt: skip


def latest_screening(tx: Tx, user_id: UUID) -> str | None:
    """The answers of the latest screening, opened."""
    row = tx.one(ScreeningRow, SQL.latest_screening, user_id=user_id)
    return tx.vault.open(user_id, _ANSWERS, row.id, row.answers) if row else None


def answered(row: ProfileRow) -> Answered | None:
    """When the safety questions were answered last, and in which wording."""
    return Answered(row.wording_sha256, row.answered_at) if row.answered_at else None


def keep_clearance(tx: Tx, user_id: UUID, clearance_id: UUID, clearance: Clearance, now: dt.datetime) -> None:
    """The clearance is on record, sealed."""
    text = msgspec.json.encode(clearance).decode()
    tx.run(
        SQL.insert_clearance, user_id=user_id, id=clearance_id, now=now,
        statement=tx.vault.seal(user_id, _STATEMENT, clearance_id, text),
    )  # fmt: skip


def clearances(tx: Tx, user_id: UUID) -> list[tuple[ClearanceRow, Clearance]]:
    """Every clearance with its opened statement, oldest first."""
    return [
        (row, msgspec.json.decode(tx.vault.open(user_id, _STATEMENT, row.id, row.statement), type=Clearance))
        for row in tx.all(ClearanceRow, SQL.clearances_of, user_id=user_id)
    ]


def reports(tx: Tx, user_id: UUID, flag: str) -> dict[str, dt.datetime]:
    """The feedback that tells of a red flag: id and when it was given."""
    rows = tx.all(_Told, SQL.told_effects, user_id=user_id, pattern=f'%"{flag}"%')
    return {
        str(row.id): row.created_at
        for row in rows
        if flag in effects.red_flags(*(msgspec.json.decode(part) for part in (row.physical_effects, row.mental_effects) if part))
    }


def changes(tx: Tx, user_id: UUID, most: int) -> list[ChangeRow]:
    """What the latest feedback moved, newest first."""
    return tx.all(ChangeRow, SQL.history_of, user_id=user_id, most=most)


def diary(tx: Tx, user_id: UUID, first: dt.date, last: dt.date) -> list[Night]:
    """The days of the diary as the planner reads them; `hours_slept` is one of the person's own numbers."""
    return [
        Night(row.date, row.sleep_quality, row.stress_level, _hours_slept(row.metrics))
        for row in tx.all(_DiaryRow, SQL.diary_of, user_id=user_id, first=first, last=last)
    ]


def _hours_slept(metrics: str | None) -> float | None:
    numbers = msgspec.json.decode(metrics) if metrics else None
    hours = numbers.get("hours_slept") if isinstance(numbers, dict) else None
    return float(hours) if isinstance(hours, int | float) else None


def heard_minutes(tx: Tx, user_id: UUID, since: dt.datetime, now: dt.datetime) -> int:
    """How long the person has listened since then."""
    return int(tx.value(SQL.heard_since, user_id=user_id, first_id=first_of(since), since=since, now=now)) // 60


def before(tx: Tx, user_id: UUID, target_state: str, now: dt.datetime) -> Before | None:
    """The latest session with a beat to this state that was heard. It is looked for in recent months first."""
    for since in (*(now - look for look in _LOOKS), _BEGINNING):
        row = tx.one(
            _BeforeRow, SQL.session_before, user_id=user_id, first_id=first_of(since), since=since, now=now, target_state=target_state
        )  # fmt: skip
        if row is not None:
            rating = tx.value(SQL.latest_rating, user_id=user_id, session_id=row.id, start_time=row.start_time)
            return Before(msgspec.json.decode(row.plan, type=Plan), rating)
    return None


def has_heard(tx: Tx, user_id: UUID) -> bool:
    """Whether the person has heard any session yet."""
    return bool(tx.value(SQL.has_heard, user_id=user_id))


def dealt(tx: Tx, user_id: UUID) -> dict[Arm, int]:
    """How many sessions of each arm there were since the person last looked."""
    return {row.arm: row.n for row in tx.all(_Dealt, SQL.arms_dealt, user_id=user_id)}


def compared(tx: Tx, user_id: UUID) -> list[ComparedRow]:
    """The sessions of the comparison."""
    return tx.all(ComparedRow, SQL.compared, user_id=user_id)
