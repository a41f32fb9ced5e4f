"""Screening, the profile as it is now, what changed it, and the plan it leads to."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID

import msgspec

from stillwave.accounts import actions as accounts
from stillwave.db import audit
from stillwave.db.database import Database, Tx
from stillwave.db.ids import moment, uuid7
from stillwave.errors import ConfirmNeeded, Conflict, NotFound, NothingLeft, ScreeningNeeded
from stillwave.log import log
from stillwave.profiles import curve, rules, screening, store, trial
from stillwave.profiles.curve import Change, Damaged, Response
from stillwave.profiles.rules import Burden, Choice, Kind, Listening, Plan
from stillwave.profiles.screening import ADVERSE, Clearance, Limits, Screening
from stillwave.profiles.store import SQL, ChangeRow, ProfileRow
from stillwave.profiles.trial import Arm, Outcome, Rated
from stillwave.web.gate import Me

# A change of the expected rating smaller than this (in stars) is called none.
_FELT_STARS = 0.05
_WEEK = dt.timedelta(days=7)


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a person: the row, the learned response and everything that limits them.

    `ask_again`: why the safety questions are to be answered anew, or empty.
    """

    row: ProfileRow
    response: Response
    conditions: list[str]
    cleared: frozenset[str] = frozenset()
    ask_again: str = ""
    damaged: bool = False  # what was stored could not be read; the response was learned anew from the ratings

    @property
    def limits(self) -> Limits:
        """What the conditions leave."""
        return screening.limits(self.conditions, self.cleared)


def screen(tx: Tx, me: Me, answers: Screening, now: dt.datetime) -> None:
    """The answers are on record and act from the next plan on; red flags stay."""
    me.must_consent()
    conditions = screening.declared(answers)
    store.ensure(tx, me.user_id, uuid7(now), now)
    store.declare(tx, me.user_id, conditions)
    text = msgspec.json.encode(answers).decode()
    store.keep_screening(tx, me.user_id, uuid7(now), text, now)
    audit.note(tx, me.user_id, "screening.answered", now)


def last_answers(tx: Tx, user_id: UUID) -> Screening | None:
    """The answers given last, to change them; None before the first, or when their form is too old."""
    text = store.latest_screening(tx, user_id)
    try:
        return msgspec.json.decode(text, type=Screening) if text else None
    except msgspec.ValidationError:
        return None


def current(tx: Tx, user_id: UUID, now: dt.datetime) -> Known:
    """The profile as it is; the start values for somebody who has none. Only reads."""
    row, damaged = store.profile(tx, user_id), False
    if row is None:
        row = ProfileRow(None, None, "[]", None, adaptation_on=True, updated_at=now)
    try:
        response = curve.parse(row.base_frequency_response) if row.base_frequency_response else curve.start()
    except Damaged:
        # The next rating or session writes it anew; until then it is folded here each time.
        response, damaged = curve.fold_all(store.answers(tx, user_id), store.base(tx, user_id)), True
    conditions = store.conditions(tx, user_id, row)
    return Known(
        row=row, response=response, conditions=conditions, cleared=_cleared(tx, user_id, conditions, now),
        ask_again=screening.asked_again(store.answered(row), conditions, now), damaged=damaged,
    )  # fmt: skip


def _cleared(tx: Tx, user_id: UUID, conditions: list[str], now: dt.datetime) -> frozenset[str]:
    blocks = screening.clearable(conditions)
    if not blocks:  # nearly everybody
        return frozenset()
    today = now.astimezone(accounts.zone(tx, user_id)).date()
    return frozenset(
        clearance.condition
        for row, clearance in store.clearances(tx, user_id)
        if row.ended_at is None
        and clearance.condition in blocks
        and screening.counts(clearance, _reports(tx, user_id, clearance.condition), today)
    )


def _reports(tx: Tx, user_id: UUID, condition: str) -> dict[str, dt.datetime]:
    if not condition.startswith(ADVERSE):
        return {}
    return store.reports(tx, user_id, condition.removeprefix(ADVERSE))


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """A clearance as a person sees it; `counts`: it lifts its block now."""

    id: UUID
    condition: str
    label: str
    cleared_on: dt.date
    note: str | None
    recorded_at: dt.datetime
    ended_at: dt.datetime | None
    counts: bool


def clearances(tx: Tx, user_id: UUID, now: dt.datetime) -> list[Recorded]:
    """Everything a clinician cleared by the person's own record, newest first."""
    known = current(tx, user_id, now)
    return [
        Recorded(
            id=row.id, condition=clearance.condition, label=screening.label(clearance.condition),
            cleared_on=clearance.cleared_on, note=clearance.note, recorded_at=row.created_at, ended_at=row.ended_at,
            counts=row.ended_at is None and clearance.condition in known.cleared,
        )
        for row, clearance in reversed(store.clearances(tx, user_id))
    ]  # fmt: skip


def could_clear(tx: Tx, user_id: UUID, now: dt.datetime) -> list[str]:
    """The person's blocks that a clinician could lift and that are not lifted yet."""
    known = current(tx, user_id, now)
    return [key for key in screening.clearable(known.conditions) if key not in known.cleared]


def clear(database: Database, me: Me, wish: Clearance, password: str, now: dt.datetime) -> UUID:
    """It is on record that a clinician cleared one block; it is then limited like a condition we do not know.

    Raises BadInput for a wrong password, for what no clinician can clear here, and for a day that cannot be.
    """
    accounts.confirm_password(database, me.user_id, password, now)
    with database.write(me.user_id) as tx:
        known = current(tx, me.user_id, now)
        me.must_consent()
        zone = accounts.zone(tx, me.user_id)
        told = _reports(tx, me.user_id, wish.condition)
        reported_on = max((at.astimezone(zone).date() for at in told.values()), default=None)
        screening.check_clearance(wish, known.conditions, reported_on, now.astimezone(zone).date())
        if wish.condition in known.cleared:
            raise Conflict("This is on record already. Take that record back first, to replace it.")
        clearance_id = uuid7(now)
        clearance = msgspec.structs.replace(wish, reports=tuple(sorted(told)))
        store.keep_clearance(tx, me.user_id, clearance_id, clearance, now)
        audit.note(tx, me.user_id, "clearance.recorded", now, clearance=str(clearance_id))
    return clearance_id


def end_clearance(tx: Tx, user_id: UUID, clearance_id: UUID, now: dt.datetime) -> None:
    """The clearance no longer counts; the block is back at once. Raises NotFound."""
    if not tx.run(SQL.end_clearance, user_id=user_id, id=clearance_id, now=max(now, moment(clearance_id))):
        raise NotFound("There is no such record, or it was taken back already.")
    audit.note(tx, user_id, "clearance.ended", now, clearance=str(clearance_id))


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of the planner; see rules.plan. `zone` is the person's clock; `as_usual` leaves the diary out."""

    initial_state: str
    target_state: str
    minutes: int
    background: str
    voice: str
    zone: dt.tzinfo
    headphones: bool = True
    listening: Listening | None = None
    kind: Kind = "custom"
    choice: Choice = "best"
    confirmed: bool = False
    background_only: bool = False
    as_usual: bool = False


def plan(tx: Tx, user_id: UUID, known: Known, wanted: Wanted, now: dt.datetime, seed: int) -> Plan:
    """The session for what was asked; see rules.plan for what it raises."""
    before = store.before(tx, user_id, wanted.target_state, now) if wanted.choice == "last" else None
    if before is not None and before.plan.bed not in accounts.BACKGROUNDS:
        before = msgspec.structs.replace(before, plan=msgspec.structs.replace(before.plan, bed=wanted.background))
    return rules.plan(
        known.response, known.conditions, initial_state=wanted.initial_state, target_state=wanted.target_state,
        minutes=wanted.minutes, background=accounts.known_background(wanted.background), voice=wanted.voice,
        headphones=wanted.headphones, confirmed=wanted.confirmed, background_only=wanted.background_only,
        listening=wanted.listening, kind=wanted.kind, choice=wanted.choice, seed=seed, before=before,
        burden=() if wanted.as_usual else burdens(tx, user_id, now, wanted.zone), cleared=known.cleared, ask_again=known.ask_again,
        week_minutes=week_minutes(tx, user_id, now),
    )  # fmt: skip


def burdens(tx: Tx, user_id: UUID, now: dt.datetime, zone: dt.tzinfo) -> tuple[Burden, ...]:
    """What the diary of today and yesterday, by the person's clock, says that asks for a gentler session."""
    today = now.astimezone(zone).date()
    return rules.burdens(store.diary(tx, user_id, today - dt.timedelta(days=1), today), today)


def week_minutes(tx: Tx, user_id: UUID, now: dt.datetime) -> int:
    """How long the person has listened in the last seven days."""
    return store.heard_minutes(tx, user_id, now - _WEEK, now)


def possible_plan(tx: Tx, user_id: UUID, known: Known, wanted: Wanted, now: dt.datetime) -> Plan | None:
    """The plan to suggest, or None where the screening asks for a choice first."""
    try:
        return plan(tx, user_id, known, wanted, now, seed=0)
    except (NothingLeft, ConfirmNeeded, ScreeningNeeded):
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


def arm(tx: Tx, user_id: UUID, made: Plan, seed: int) -> Arm | None:
    """Which half of the comparison a planned session is; None when it is not part of it.

    Only with consent, only with headphones (a pulsed tone is plainly heard as one), never the first session, and
    never where there is no beat. Which of the two it is depends on the seed and on how many of each there were.
    """
    eligible = made.beat and made.method == "binaural" and accounts.agrees(tx, user_id, "ab_sessions")
    if not eligible or not store.has_heard(tx, user_id):
        return None
    dealt = store.dealt(tx, user_id)
    return trial.draw(seed, dealt.get("beat", 0), dealt.get("steady", 0))


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Does it work for me? `on`: consent is given. `hidden`: sessions not looked at yet. The rest counts in `outcome`."""

    on: bool
    hidden: int
    hidden_rated: int
    outcome: Outcome


def comparison(tx: Tx, user_id: UUID) -> Comparison:
    """What the comparison says of the sessions the person has looked at; nothing of the others but how many."""
    rows = store.compared(tx, user_id)
    hidden = [row for row in rows if row.arm_revealed_at is None]
    return Comparison(
        on=accounts.agrees(tx, user_id, "ab_sessions"), hidden=len(hidden),
        hidden_rated=sum(row.rating is not None for row in hidden),
        outcome=trial.outcome(Rated(row.arm, row.arm_rating) for row in rows if row.arm_revealed_at is not None),
    )  # fmt: skip


def reveal_all(tx: Tx, user_id: UUID, now: dt.datetime) -> Comparison:
    """The person knows which of their sessions had the beat; later ratings of these no longer count."""
    tx.run(SQL.pause_learning, user_id=user_id)
    tx.run(SQL.reveal_all, user_id=user_id, now=now)
    tx.run(SQL.resume_learning, user_id=user_id)
    return comparison(tx, user_id)


def reveal(tx: Tx, user_id: UUID, session_id: UUID, now: dt.datetime) -> None:
    """The person knows which half this session was; nothing happens where it is known or there is none."""
    tx.run(SQL.reveal_one, user_id=user_id, id=session_id, start_time=moment(session_id), now=now)


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


def mended(tx: Tx, user_id: UUID, now: dt.datetime) -> tuple[Known, str]:
    """The profile; a damaged curve was made anew from the ratings, and a sentence says so, else it is empty."""
    known = current(tx, user_id, now)
    if not known.damaged:
        return known, ""
    rebuild(tx, user_id)
    log.warning("damaged profile rebuilt", user_id=str(user_id))
    told = "What we learned about you could not be read and was made anew from your ratings."
    return current(tx, user_id, now), told


def changes(tx: Tx, user_id: UUID, most: int) -> list[tuple[dt.datetime, str]]:
    """What the latest ratings moved, newest first: (when, sentence)."""
    found = [(row.created_at, msgspec.json.decode(row.change, type=Change)) for row in store.changes(tx, user_id, most)]
    return [(at, f"You gave {change.rating} of 5: {moved(change)}." if change.rating is not None else sentence(change)) for at, change in found]


def change_of(tx: Tx, user_id: UUID, feedback_id: UUID) -> str | None:
    """What one rating moved, in a sentence; None when it taught nothing."""
    row = tx.one(ChangeRow, SQL.change_of, user_id=user_id, feedback_id=feedback_id)
    return sentence(msgspec.json.decode(row.change, type=Change)) if row else None


def moved(change: Change) -> str:
    """A change in plain words, the part of a sentence."""
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
    return "; ".join(parts) or "nothing moved"


def sentence(change: Change) -> str:
    """A change in a sentence of its own."""
    text = moved(change)
    return text[0].upper() + text[1:] + "."


def best(known: Known, band: str, group: str | None = None) -> tuple[int, float | None]:
    """How many ratings a band has, and its best-rated point in Hz."""
    rated = curve.curve_of(known.response, band, group)
    return (rated.n, curve.BANDS[band].grid_hz(curve.best_point(rated))) if rated else (0, None)


def bands(known: Known, group: str | None = None) -> list[dict[str, Any]]:
    """The response curve of each band, ready to be drawn: expected rating 0-1 and its deviation on a grid.

    With a group of states (curve.group_of), the curves for such states.
    """
    shown = []
    for band in curve.BANDS.values():
        ratings, best_hz = best(known, band.name, group)
        top = band.high_hz if band.name == "gamma" else band.high_hz - 1e-6
        grid = [band.low_hz + (top - band.low_hz) * i / 32 for i in range(33)]
        expected = [curve.expected(known.response, hz, group) for hz in grid]
        stretch = curve.preferred_range(known.response, band.name, group)
        shown.append(
            {
                "key": band.name,
                "label": f"{band.name.capitalize()} · {band.low_hz:g} to {band.high_hz:g} Hz",
                "n": ratings,
                "best_hz": best_hz,
                "low_hz": stretch[0] if stretch else None,
                "high_hz": stretch[1] if stretch else None,
                "grid_hz": grid,
                "mean": [mean for mean, _ in expected],
                "sd": [sd for _, sd in expected],
            }
        )
    return shown
