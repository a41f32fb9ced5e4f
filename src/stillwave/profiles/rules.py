"""The states to go to, and the plan of a session. Pure and deterministic.

What the screening leaves (screening.py) is never exceeded, whatever is chosen; the diary only ever makes a session
gentler. Constants without a source are convention; docs/science.md says which.
"""

from __future__ import annotations

import datetime as dt
import math
import random
from collections.abc import Collection, Iterable, Sequence
from typing import Final, Literal

import msgspec

from stillwave.errors import BadInput, ConfirmNeeded, NothingLeft, ScreeningNeeded
from stillwave.profiles import curve
from stillwave.profiles.curve import Response
from stillwave.profiles.screening import Limits, limits

Kind = Literal["morning", "evening", "custom"]
Method = Literal["binaural", "monaural", "isochronic", "am", "none"]
# How somebody listens: two tones for two ears, a pulsed tone for a room, or a beat inside the background sound.
Listening = Literal["headphones", "speaker", "in_background"]
# The best we know; a draw from what may be liked ("surprise me"); the session before, again.
Choice = Literal["best", "surprise", "last"]

POINTS: Final = 21
# Two ears do not fuse two tones into one beat much above this (Licklider 1950; Oster 1973).
BINAURAL_MOST_HZ: Final = 30.0
LOUDEST_AT_REST, LOUDNESS_PER_SENSITIVITY = 68.0, 4.0
# The diary: what counts as a bad night and a tense day, and how much gentler the session is then. The steps are those
# of one "too loud" and one "too fast" (curve.py).
POOR_SLEEP_MOST, SHORT_SLEEP_BELOW_HOURS, HIGH_STRESS_LEAST = 4, 6.0, 8
GENTLER_VOLUME, GENTLER_GLIDE, SHORTER_MORNING, SHORTENED_LEAST_MINUTES = 6, 1.30, 0.75, 10
# WHO and ITU advise at most 40 hours a week at 80 dB (H.870, 2018); we do not know the level, only the hours.
WEEKLY_MOST_MINUTES: Final = 40 * 60
Burden = Literal["a bad night", "a tense day"]


class State(msgspec.Struct, frozen=True):
    """A state to be in: its window and usual beat in Hz, where the ramp to it usually begins, its carrier."""

    label: str
    hint: str
    low_hz: float
    high_hz: float
    default_hz: float
    ramp_from_hz: float
    carrier_hz: float


STATES: Final[dict[str, State]] = {
    "sleep": State("Sleep", "Drift off", 0.5, 4, 2, 8, 200),
    "deep_relaxation": State("Deep relaxation", "Let go of everything", 4, 8, 5.5, 10, 200),
    "meditation": State("Meditation", "Quiet and inward", 4, 8, 6, 10, 205),
    "creativity": State("Creativity", "Loose and open", 6, 10, 7.5, 10, 210),
    "evening_wind_down": State("Evening wind-down", "Put the day away", 7, 11, 9, 12, 205),
    "calm_focus": State("Calm focus", "Steady, without strain", 8, 13, 10, 12, 215),
    "morning_wake": State("Morning wake-up", "Gently into the day", 10, 18, 13, 9, 230),
    "alert_focus": State("Alert focus", "Awake and on task", 13, 30, 17, 10, 240),
    "peak_focus": State("Peak focus", "Short and intense", 30, 50, 40, 12, 250),
}


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A session for one person, with its reason in one sentence. `beat` False: background sound only."""

    target_hz: float
    ramp_from_hz: float
    transition_s: int
    volume_level: int
    minutes: int
    method: Method
    bed: str
    voice: str
    base_hz: float
    beat: bool
    reason: str
    warnings: tuple[str, ...] = ()


class Night(msgspec.Struct, frozen=True):
    """A day of the diary as the planner reads it: the night before it and the day itself."""

    date: dt.date
    sleep_quality: int | None = None
    stress_level: int | None = None
    hours_slept: float | None = None


class Before(msgspec.Struct, frozen=True):
    """The session before this one to the same state, and how it was rated."""

    plan: Plan
    rating: int | None = None


def burdens(diary: Iterable[Night], today: dt.date) -> tuple[Burden, ...]:
    """What the diary says that asks for a gentler session: last night's sleep, and stress today or yesterday."""
    found: list[Burden] = []
    for day in diary:
        poor = day.sleep_quality is not None and day.sleep_quality <= POOR_SLEEP_MOST
        short = day.hours_slept is not None and day.hours_slept < SHORT_SLEEP_BELOW_HOURS
        if day.date == today and (poor or short):
            found.append("a bad night")
        tense = day.stress_level is not None and day.stress_level >= HIGH_STRESS_LEAST
        if tense and dt.timedelta(0) <= today - day.date <= dt.timedelta(days=1):
            found.append("a tense day")
    return tuple(sorted(set(found)))


def candidates(state: State, limit: Limits) -> list[float]:
    """The beats of a state that the limits leave, in Hz, lowest first."""
    grid = [round(state.low_hz + (state.high_hz - state.low_hz) * i / (POINTS - 1), 2) for i in range(POINTS)]
    return [hz for hz in grid if limit.low_hz <= hz <= limit.high_hz]


def plan(
    response: Response, conditions: Iterable[str], *, initial_state: str, target_state: str,
    minutes: int, background: str, voice: str, headphones: bool = True, confirmed: bool = False,
    background_only: bool = False, listening: Listening | None = None, kind: Kind = "custom",
    choice: Choice = "best", seed: int = 0, before: Before | None = None, burden: Collection[Burden] = (),
    cleared: Collection[str] = (), ask_again: str = "", week_minutes: int = 0,
) -> Plan:  # fmt: skip
    """The session for what was asked, within the limits.

    Target: the candidate with the highest mean + 1 standard deviation of the expected rating (an upper
    confidence bound: Auer 2002; Srinivas et al. 2010); the lowest frequency wins ties. `choice` "surprise" takes the
    best of one draw from the posterior instead (Thompson 1933; the same for the same `seed`), "last" repeats `before`.
    `listening` wins over `headphones`. Raises BadInput for an unknown state, ScreeningNeeded while the questions are
    to be answered again (`ask_again` says why; background sound stays possible), NothingLeft when the limits leave no
    beat for it (the goal is never changed silently), ConfirmNeeded until what needs care was confirmed.
    """
    state = _state("target_state", target_state)
    limit = limits(conditions, cleared)
    gentle = _Gentle.of(response, limit, burden)
    length, shorter = _minutes(minutes, limit, kind, burden)
    warnings = [*shorter, *_week(week_minutes)]
    beats = [] if limit.blocked else candidates(state, limit)
    if background_only:
        why = "because your safety answers are to be renewed" if ask_again else "because of your safety answers"
        if beats and not ask_again:
            why = "as you asked"
        return Plan(
            target_hz=state.default_hz, ramp_from_hz=state.default_hz, transition_s=0, volume_level=gentle.volume_level,
            minutes=length, method="none", bed="nature" if background == "none" else background, voice=voice,
            base_hz=state.carrier_hz, beat=False, warnings=tuple(warnings),
            reason=f"Background sound without rhythmic tones, {why}{_because(burden)}.",
        )  # fmt: skip
    if ask_again:
        raise ScreeningNeeded(
            f"{ask_again} Please answer them again; until then only background sound is played.", next="/screening",
            background_only=True, possible=["Background sound without rhythmic tones"],
        )  # fmt: skip
    if not beats:
        raise _nothing_left(state, limit)
    if limit.confirm and not confirmed:
        raise ConfirmNeeded(
            "Some of your safety answers ask for care. Please read and confirm first.", confirm=list(limit.confirm)
        )
    group = curve.group_of(target_state)
    listening = listening or ("headphones" if headphones else "speaker")
    if choice == "last" and before is not None and before.plan.beat:
        target_hz, method, background, gentle, changed = _as_before(before.plan, beats, listening, gentle, burden)
        warnings += changed
    else:
        if choice == "last":
            warnings.append(f"There is no earlier session for {state.label.lower()} to repeat, so this one is planned anew.")
        target_hz = _drawn(response, beats, seed, group) if choice == "surprise" else _best(response, beats, group)
        method = _method(listening, target_hz)
        before = None
    if method == "am" and background == "none":
        raise BadInput("background", "cannot be nothing when the beat is inside the background sound", "a background")
    highest = min(limit.high_hz, BINAURAL_MOST_HZ) if method == "binaural" else limit.high_hz
    begin_hz = target_hz if initial_state == target_state else _begin_hz(initial_state, state)
    return Plan(
        target_hz=round(target_hz, 2), ramp_from_hz=round(min(max(begin_hz, limit.low_hz), highest), 2),
        transition_s=gentle.transition_s, volume_level=gentle.volume_level, minutes=length, method=method,
        bed=background, voice=voice, base_hz=state.carrier_hz, beat=True,
        reason=_reason(response, state, target_hz, limit, group, choice, before) + _because(burden) + ".",
        warnings=tuple(warnings),
    )  # fmt: skip


def _state(field: str, key: str) -> State:
    if key not in STATES:
        allowed = list(STATES) if field == "target_state" else ["unsure", *STATES]
        raise BadInput(field, "is not one of the states", allowed)
    return STATES[key]


def _begin_hz(initial_state: str, target: State) -> float:
    """Where the ramp begins: at the state somebody is in, or where that of the target usually does."""
    return target.ramp_from_hz if initial_state == "unsure" else _state("initial_state", initial_state).default_hz


class _Gentle(msgspec.Struct, frozen=True):
    """How loud and how slowly: from the profile, the limits and the diary."""

    volume_level: int
    transition_s: int

    @classmethod
    def of(cls, response: Response, limit: Limits, burden: Collection[Burden]) -> _Gentle:
        """The least loud of what is liked, what the sensitivity allows and what the limits leave."""
        sensitive = LOUDEST_AT_REST - LOUDNESS_PER_SENSITIVITY * response.sens
        volume = max(0, math.floor(min(response.vol, sensitive, limit.volume_most)))
        return cls(volume, curve.transition_time_s(response)).eased(burden)

    def eased(self, burden: Collection[Burden]) -> _Gentle:
        """A step quieter (never below the quietest, unless it was) and slower when the diary asks for it."""
        if not burden:
            return self
        quieter = min(self.volume_level, max(int(curve.QUIETEST), self.volume_level - GENTLER_VOLUME))
        return _Gentle(quieter, min(int(curve.LONGEST_S), round(self.transition_s * GENTLER_GLIDE)))


def _minutes(minutes: int, limit: Limits, kind: Kind, burden: Collection[Burden]) -> tuple[int, list[str]]:
    length, said = minutes, []
    if kind == "morning" and "a bad night" in burden and minutes > SHORTENED_LEAST_MINUTES:
        length = max(SHORTENED_LEAST_MINUTES, math.floor(minutes * SHORTER_MORNING))
        said.append(f"Shortened to {length} minutes, because your diary tells of a bad night.")
    if length > limit.minutes_most:
        length = limit.minutes_most
        said = [f"Shortened to {length} minutes because of your safety answers."]
    return length, said


def _week(minutes: int) -> list[str]:
    if minutes < WEEKLY_MOST_MINUTES:
        return []
    return [f"You have listened for {minutes // 60} hours in the last seven days. Your ears may like a day off."]


def _because(burden: Collection[Burden]) -> str:
    """The end of the plan's sentence when the diary made it gentler."""
    return f"; a little quieter and slower, because your diary tells of {' and '.join(burden)}" if burden else ""


def _method(listening: Listening, target_hz: float) -> Method:
    if listening == "in_background":
        return "am"
    if listening == "speaker":
        return "isochronic"
    return "binaural" if target_hz <= BINAURAL_MOST_HZ else "monaural"


def _best(response: Response, beats: list[float], group: str | None) -> float:
    best_hz, best_score = beats[0], -math.inf
    for hz in beats:
        mean, sd = curve.expected(response, hz, group)
        if mean + sd > best_score:
            best_hz, best_score = hz, mean + sd
    return best_hz


def _drawn(response: Response, beats: list[float], seed: int, group: str | None) -> float:
    """The best of the candidates in one curve drawn from what the person may like."""
    chance = random.Random(seed)  # noqa: S311  no secret: the same seed is to give the same plan
    drawn: dict[str, list[float]] = {}
    best_hz, best_score = beats[0], -math.inf
    for hz in beats:
        band = curve.band_of(hz)
        if band is None:  # no candidate lies outside of the bands
            continue
        if band.name not in drawn:
            known = curve.posterior(response, band.name, group)
            z = [chance.gauss(0, 1) for _ in known.m]
            drawn[band.name] = [
                m + sum(entry * each for entry, each in zip(row, z, strict=False))
                for m, row in zip(known.m, cholesky(known.C), strict=True)
            ]
        u = (hz - band.low_hz) / band.step_hz
        i = min(curve.POINTS - 2, int(u))
        score = (1 - (u - i)) * drawn[band.name][i] + (u - i) * drawn[band.name][i + 1]
        if score > best_score:
            best_hz, best_score = hz, score
    return best_hz


def cholesky(triangle: Sequence[float]) -> list[list[float]]:
    """The rows of L with L L' = C, for the lower triangle of C by rows; what rounding left below 0 counts as 0."""
    rows: list[list[float]] = []
    place = 0
    while place < len(triangle):
        j = len(rows)
        row: list[float] = []
        for k in range(j + 1):
            rest = triangle[place + k] - sum(row[i] * (rows[k] if k < j else row)[i] for i in range(k))
            if k == j:
                row.append(math.sqrt(max(0.0, rest)))
            else:
                row.append(rest / rows[k][k] if rows[k][k] > 0 else 0.0)
        rows.append(row)
        place += j + 1
    return rows


def _as_before(
    last: Plan, beats: list[float], listening: Listening, now: _Gentle, burden: Collection[Burden]
) -> tuple[float, Method, str, _Gentle, list[str]]:
    """Target, method, bed and gentleness of the session before, clipped to what is allowed now; and what changed."""
    changed = []
    target_hz = min(max(last.target_hz, beats[0]), beats[-1])
    if target_hz != last.target_hz:
        changed.append(f"{last.target_hz:g} Hz as last time is not within today's limits, so it is {target_hz:g} Hz.")
    kept = _Gentle(last.volume_level, last.transition_s).eased(burden)
    if now.volume_level < kept.volume_level:
        changed.append(f"Volume {now.volume_level} instead of {last.volume_level}: what you told us since asks for less.")
    method = last.method
    if method == "binaural" and (listening != "headphones" or target_hz > BINAURAL_MOST_HZ):
        method = _method(listening, target_hz)
        changed.append("Another kind of tone than last time: two tones need headphones, and at most 30 Hz.")
    slower = max(kept.transition_s, now.transition_s) if burden else kept.transition_s
    return target_hz, method, last.bed, _Gentle(min(kept.volume_level, now.volume_level), slower), changed


def _reason(
    response: Response, state: State, target_hz: float, limit: Limits, group: str | None, choice: Choice,
    before: Before | None,
) -> str:  # fmt: skip
    """Why, in one sentence without its full stop."""
    band = curve.band_of(target_hz)
    rated = response.bands.get(band.name) if band else None
    within = ""
    if limit.low_hz > state.low_hz or limit.high_hz < state.high_hz:
        within = ", within the limits of your safety answers"
    mean, sd = curve.expected(response, target_hz, group)
    stars, doubt = 1 + 4 * min(1.0, max(0.0, mean)), 4 * sd
    expecting = f"about {stars:.1f} of 5, give or take {doubt:.1f}"
    name = state.label.lower()
    if before is not None:
        rating = f", which you rated {before.rating} of 5" if before.rating else ""
        return f"As last time, {target_hz:.1f} Hz for {name}{rating}{within}; we expect {expecting}"
    if choice == "surprise":
        return f"A surprise within what may suit you, {target_hz:.1f} Hz for {name}{within}; we expect {expecting}"
    if band is None or rated is None:
        return (
            f"We try {target_hz:.1f} Hz for {name}{within}, because you have not rated anything "
            f"near it yet and people like it {expecting}"
        )
    count = f"{rated.n} rating{'s' if rated.n != 1 else ''}"
    return (
        f"From your {count} between {band.low_hz:g} and {band.high_hz:g} Hz we expect about {stars:.1f} of 5 from "
        f"you at {target_hz:.1f} Hz for {name}, give or take {doubt:.1f}{within}"
    )


def _nothing_left(state: State, limit: Limits) -> NothingLeft:
    open_states = [] if limit.blocked else [s.label for s in STATES.values() if candidates(s, limit)]
    reason = " ".join(limit.sentences)
    detail = f"{state.label} is not possible with your safety answers. {reason}"
    possible = [*open_states, "Background sound without rhythmic tones"]
    return NothingLeft(detail, possible=possible, background_only=True)
