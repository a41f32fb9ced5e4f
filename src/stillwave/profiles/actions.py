"""Screening, the profile as it is now, what changed it, and the plan it leads to."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID

import msgspec

from stillwave.accounts import actions as accounts
from stillwave.db.database import Tx
from stillwave.db.ids import uuid7
from stillwave.errors import ConfirmNeeded, NothingLeft
from stillwave.profiles import curve, rules, store
from stillwave.profiles.curve import Change, Damaged, Response
from stillwave.profiles.rules import ADVERSE, Limits, Plan, Screening
from stillwave.profiles.store import SQL, ChangeRow, ProfileRow
from stillwave.web.gate import Me

# A change of the expected rating smaller than this (in stars) is called none.
_FELT_STARS = 0.05


class Known(msgspec.Struct, frozen=True):
    """What is known of a person: the row, the learned response and everything that limits them."""

    row: ProfileRow
    response: Response
    conditions: list[str]
    damaged: bool = False  # what was stored could not be read; the response was learned anew from the ratings

    @property
    def limits(self) -> Limits:
        """What the conditions leave."""
        return rules.limits(self.conditions)


def screen(tx: Tx, me: Me, answers: Screening, now: dt.datetime) -> None:
    """The answers are on record and act from the next plan on; red flags stay."""
    me.must_consent()
    conditions = rules.declared(answers)
    store.ensure(tx, me.user_id, uuid7(now), now)
    store.declare(tx, me.user_id, conditions)
    text = msgspec.json.encode(answers).decode()
    store.keep_screening(tx, me.user_id, uuid7(now), rules.SCREENING_VERSION, text, now)


def last_answers(tx: Tx, user_id: UUID) -> Screening | None:
    """The answers given last, to change them; None before the first, or when their form is too old."""
    text = store.latest_screening(tx, user_id)
    try:
        return msgspec.json.decode(text, type=Screening) if text else None
    except msgspec.ValidationError:
        return None


def current(tx: Tx, user_id: UUID, now: dt.datetime) -> Known:
    """The profile as it is; the start values for somebody who has none. Only reads."""
    row = store.profile(tx, user_id)
    if row is None:
        row = ProfileRow(None, None, "[]", None, adaptation_on=True, updated_at=now)
    try:
        response = curve.parse(row.base_frequency_response) if row.base_frequency_response else curve.start()
    except Damaged:
        # The next rating writes it anew; until then it is folded here each time.
        response = curve.fold_all(store.answers(tx, user_id), store.base(tx, user_id))
        return Known(row, response, store.conditions(tx, user_id, row), damaged=True)
    return Known(row, response, store.conditions(tx, user_id, row))


def plan(
    tx: Tx, user_id: UUID, now: dt.datetime, *, initial_state: str, target_state: str, minutes: int,
    background: str, voice: str, headphones: bool, confirmed: bool, background_only: bool,
) -> Plan:  # fmt: skip
    """The session for what was asked; see rules.plan for what it raises."""
    known = current(tx, user_id, now)
    return rules.plan(
        known.response, known.conditions, initial_state=initial_state, target_state=target_state,
        minutes=minutes, background=accounts.known_background(background), voice=voice, headphones=headphones,
        confirmed=confirmed, background_only=background_only,
    )  # fmt: skip


def possible_plan(
    tx: Tx, user_id: UUID, now: dt.datetime, *, target_state: str, minutes: int, background: str,
    voice: str,
) -> Plan | None:  # fmt: skip
    """The plan to suggest, or None where the screening asks for a choice first."""
    try:
        return plan(
            tx, user_id, now, initial_state="unsure", target_state=target_state, minutes=minutes,
            background=background, voice=voice, headphones=True, confirmed=False, background_only=False,
        )  # fmt: skip
    except (NothingLeft, ConfirmNeeded):
        return None


def unlearned_plan(
    initial: str, target: str, minutes: int, background: str, *, headphones: bool, volume: int
) -> Plan:
    """The plan for somebody of whom nothing is known."""
    response = msgspec.structs.replace(curve.start(), vol=float(volume), sens=curve.LEAST_SENS)
    return rules.plan(
        response, [], initial_state=initial, target_state=target, minutes=minutes,
        background=accounts.known_background(background), voice="none", headphones=headphones,
    )  # fmt: skip


def set_adaptation(tx: Tx, user_id: UUID, *, on: bool, now: dt.datetime) -> None:
    """Ratings change the profile, or do not. The consent for it follows."""
    store.ensure(tx, user_id, uuid7(now), now)
    tx.run(SQL.set_adaptation, user_id=user_id, on=on)
    accounts.set_consent(tx, user_id, "adaptation", give=on, now=now)


def stick_flags(tx: Tx, user_id: UUID, flags: tuple[str, ...], now: dt.datetime) -> None:
    """Red flags limit the person from now on, also where learning is off: safety is not adaptation."""
    if flags:
        store.ensure(tx, user_id, uuid7(now), now)
        entries = msgspec.json.encode([ADVERSE + flag for flag in flags]).decode()
        tx.run(SQL.stick_flags, user_id=user_id, flags=entries)


def rebuild(tx: Tx, user_id: UUID) -> None:
    """The profile equals the fold over the person's feedback."""
    tx.run(SQL.rebuild, user_id=user_id)


def changes(tx: Tx, user_id: UUID, most: int) -> list[tuple[dt.datetime, str]]:
    """What the latest ratings moved, newest first: (when, sentence)."""
    return [(row.created_at, sentence(row)) for row in tx.all(ChangeRow, SQL.history_of, user_id=user_id, most=most)]


def change_of(tx: Tx, user_id: UUID, feedback_id: UUID) -> str | None:
    """What one rating moved, in a sentence; None when it taught nothing."""
    row = tx.one(ChangeRow, SQL.change_of, user_id=user_id, feedback_id=feedback_id)
    return sentence(row) if row else None


def sentence(row: ChangeRow) -> str:
    """A change in plain words."""
    change = msgspec.json.decode(row.change, type=Change)
    parts: list[str] = []
    if change.f is not None and change.m_before is not None and change.m_after is not None:
        before, after = 1 + 4 * change.m_before, 1 + 4 * change.m_after
        if abs(after - before) < _FELT_STARS:
            parts.append(f"what we expect from you near {change.f:g} Hz stays at {after:.1f} of 5")
        else:
            way = "rises" if after > before else "falls"
            parts.append(f"what we expect from you near {change.f:g} Hz {way} from {before:.1f} to {after:.1f} of 5")
    if change.best is not None and change.best[0] != change.best[1]:
        parts.append(f"your best in this band moves from {change.best[0]:.1f} to {change.best[1]:.1f} Hz")
    if round(change.vol[0]) != round(change.vol[1]):
        parts.append(f"the volume goes {'down' if change.vol[1] < change.vol[0] else 'up'} to {change.vol[1]:.0f}")
    if change.trans[1] != change.trans[0]:
        parts.append(f"the glide takes {change.trans[1]:.0f} s instead of {change.trans[0]:.0f} s")
    if change.sens[1] > change.sens[0]:
        parts.append("sessions become gentler")
    if change.flags:
        parts.append("rhythmic tones are off until this is cleared")
    text = "; ".join(parts) or "nothing moved"
    return text[0].upper() + text[1:] + "."


def bands(known: Known, group: str | None = None) -> list[dict[str, Any]]:
    """The response curve of each band, ready to be drawn: expected rating 0-1 and its deviation on a grid.

    With a group of states (curve.group_of), the curves for such states.
    """
    shown = []
    for band in curve.BANDS.values():
        rated = curve.curve_of(known.response, band.name, group)
        top = band.high_hz if band.name == "gamma" else band.high_hz - 1e-6
        grid = [band.low_hz + (top - band.low_hz) * i / 32 for i in range(33)]
        expected = [curve.expected(known.response, hz, group) for hz in grid]
        stretch = curve.preferred_range(known.response, band.name, group)
        shown.append(
            {
                "key": band.name,
                "label": f"{band.name.capitalize()} · {band.low_hz:g} to {band.high_hz:g} Hz",
                "n": rated.n if rated else 0,
                "best_hz": band.grid_hz(curve.best_point(rated)) if rated else None,
                "low_hz": stretch[0] if stretch else None,
                "high_hz": stretch[1] if stretch else None,
                "grid_hz": grid,
                "mean": [mean for mean, _ in expected],
                "sd": [sd for _, sd in expected],
            }
        )
    return shown
