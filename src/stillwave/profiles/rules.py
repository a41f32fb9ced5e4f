"""Safety screening and the plan of a session. Pure and deterministic.

The limits are conservative convention, not results of trials; every page that shows them says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Annotated, Final, Literal

import msgspec

from stillwave.errors import BadInput, ConfirmNeeded, NothingLeft
from stillwave.profiles import curve
from stillwave.profiles.curve import Response

Kind = Literal["morning", "evening", "custom"]
Method = Literal["binaural", "monaural", "isochronic", "none"]

SCREENING_VERSION: Final = 1
POINTS: Final = 21
# Two ears do not fuse two tones into one beat much above this (Licklider 1950; Oster 1973).
BINAURAL_MOST_HZ: Final = 30.0
LOUDEST, LOUDEST_AT_REST, LOUDNESS_PER_SENSITIVITY = 100, 68.0, 4.0
ADVERSE: Final = "adverse:"
OTHER: Final = "other:"


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


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """What a condition means for sessions. `block`: no beat at all; else limits, perhaps to be confirmed."""

    label: str
    hint: str = ""
    block: bool = False
    confirm: bool = False
    low_hz: float = 0.0
    high_hz: float = 50.0
    volume_most: int = LOUDEST
    minutes_most: int = 240


CONDITIONS: Final[dict[str, Condition]] = {
    "epilepsy": Condition(label="Epilepsy", block=True),
    "seizure_history": Condition(label="A seizure, ever", hint="Also a single one, long ago", block=True),
    "recent_head_injury": Condition(label="A head injury in the last year", block=True),
    "acute_psychosis": Condition(label="Psychosis, now or recently", block=True),
    "under_16": Condition(label="Under 16", block=True),
    "family_epilepsy": Condition(label="Epilepsy in the close family", confirm=True, high_hz=13, minutes_most=15),
    "migraine": Condition(label="Migraine", confirm=True, high_hz=13, volume_most=35),
    "pregnancy": Condition(
        label="Pregnancy", confirm=True, low_hz=4, high_hz=13, volume_most=40, minutes_most=20
    ),
    "pacemaker": Condition(label="A pacemaker", confirm=True, high_hz=30),
    "implanted_stimulator": Condition(
        label="Another implanted stimulator", hint="Such as for the brain or a nerve", confirm=True, high_hz=30
    ),
    "heart_condition": Condition(label="A heart condition", confirm=True, high_hz=13),
    "bipolar": Condition(label="Bipolar disorder", confirm=True, low_hz=4, high_hz=13),
    "ptsd": Condition(label="Post-traumatic stress (PTSD)", confirm=True, low_hz=8, high_hz=13),
    "dissociative_disorder": Condition(label="A dissociative disorder", confirm=True, low_hz=8, high_hz=13),
    "severe_depression": Condition(label="Severe depression", confirm=True, low_hz=8, high_hz=30),
    "tinnitus": Condition(label="Tinnitus", hint="Ringing in the ears", volume_most=30),
    "hyperacusis": Condition(label="Sounds are often painfully loud", hint="Hyperacusis", volume_most=25),
    "hearing_loss": Condition(label="Hearing loss", volume_most=45),
    "age_16_17": Condition(label="16 or 17 years old", volume_most=40),
}
# Somebody's own words, and conditions that a later version knew: careful, without knowing why.
_UNKNOWN: Final = Condition(label="Something else", confirm=True, high_hz=13, volume_most=40)

QUESTIONS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("Brain and nerves", ("epilepsy", "seizure_history", "family_epilepsy", "recent_head_injury", "migraine")),
    ("Heart, implants, pregnancy", ("pacemaker", "implanted_stimulator", "heart_condition", "pregnancy")),
    ("Mind", ("acute_psychosis", "bipolar", "ptsd", "dissociative_disorder", "severe_depression")),
    ("Ears", ("tinnitus", "hyperacusis", "hearing_loss")),
)


class Screening(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The answers to the safety questions (version SCREENING_VERSION)."""

    age_group: Literal["under_16", "16_17", "18_plus"]
    agree_not_driving: bool
    conditions: tuple[Annotated[str, msgspec.Meta(max_length=40)], ...] = ()
    none: bool = False
    other: Annotated[str, msgspec.Meta(max_length=1000)] | None = None


class Limits(msgspec.Struct, frozen=True):
    """What all conditions together leave: Hz, volume 0-100, minutes. `blocked`: no beat."""

    blocked: bool
    low_hz: float
    high_hz: float
    volume_most: int
    minutes_most: int
    confirm: tuple[str, ...]
    sentences: tuple[str, ...]


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


def declared(answers: Screening) -> list[str]:
    """The conditions that follow from the answers. Raises BadInput where they contradict or are incomplete."""
    if not answers.agree_not_driving:
        raise BadInput("agree_not_driving", "must be ticked: listening while driving is dangerous")
    unknown = [key for key in answers.conditions if key not in CONDITIONS or key in ("under_16", "age_16_17")]
    if unknown:
        asked = [key for _, keys in QUESTIONS for key in keys]
        raise BadInput("conditions", "holds something that is not on the list", asked)
    other = (answers.other or "").strip()
    if answers.none and (answers.conditions or other):
        raise BadInput("none", "cannot be ticked together with something that applies")
    if not answers.none and not answers.conditions and not other:
        raise BadInput("none", "must be ticked if nothing applies")
    found = list(dict.fromkeys(answers.conditions))
    if answers.age_group != "18_plus":
        found.append("under_16" if answers.age_group == "under_16" else "age_16_17")
    return found + ([OTHER + other] if other else [])


def limits(conditions: Iterable[str]) -> Limits:
    """What the conditions leave. Unknown ones are treated with care, `adverse:` ones block."""
    low_hz, high_hz, volume, minutes = 0.0, 50.0, LOUDEST, 240
    blocked, confirm, sentences = False, [], []
    for key in conditions:
        known = _meaning(key)
        blocked = blocked or known.block
        low_hz, high_hz = max(low_hz, known.low_hz), min(high_hz, known.high_hz)
        volume, minutes = min(volume, known.volume_most), min(minutes, known.minutes_most)
        sentence = f"{known.label}: {_allowance(known)}."
        sentences.append(sentence)
        if known.confirm:
            confirm.append(sentence)
    return Limits(blocked, low_hz, high_hz, volume, minutes, tuple(confirm), tuple(sentences))


def _meaning(key: str) -> Condition:
    if key.startswith(ADVERSE):
        return Condition(label=f"You reported {key.removeprefix(ADVERSE).replace('_', ' ')}", block=True)
    return CONDITIONS.get(key, _UNKNOWN)


def _allowance(known: Condition) -> str:
    if known.block:
        return "background sound only, no rhythmic tones"
    parts = []
    if known.low_hz > 0:
        parts.append(f"{known.low_hz:g} to {known.high_hz:g} Hz")
    elif known.high_hz < 50:
        parts.append(f"at most {known.high_hz:g} Hz")
    if known.volume_most < LOUDEST:
        parts.append(f"volume at most {known.volume_most}")
    if known.minutes_most < 240:
        parts.append(f"at most {known.minutes_most} minutes")
    return ", ".join(parts)


def candidates(state: State, limit: Limits) -> list[float]:
    """The beats of a state that the limits leave, in Hz, lowest first."""
    grid = [round(state.low_hz + (state.high_hz - state.low_hz) * i / (POINTS - 1), 2) for i in range(POINTS)]
    return [hz for hz in grid if limit.low_hz <= hz <= limit.high_hz]


def plan(
    response: Response, conditions: Iterable[str], *, initial_state: str, target_state: str,
    minutes: int, background: str, voice: str, headphones: bool, confirmed: bool = False,
    background_only: bool = False,
) -> Plan:  # fmt: skip
    """The session for what was asked, within the limits.

    Target: the candidate with the highest mean + 1 standard deviation of the expected rating (an upper
    confidence bound: Auer 2002; Srinivas et al. 2010); the lowest frequency wins ties.
    Raises BadInput for an unknown state, NothingLeft when the limits leave no beat for it (the goal is never
    changed silently), ConfirmNeeded until what needs care was confirmed.
    """
    state = _state("target_state", target_state)
    limit = limits(conditions)
    volume_level = _volume(response, limit)
    length = min(minutes, limit.minutes_most)
    warnings = [f"Shortened to {length} minutes because of your safety answers."] if length < minutes else []
    beats = [] if limit.blocked else candidates(state, limit)
    if background_only:
        if background == "none":
            background = "nature"
        why = "as you asked" if beats else "because of your safety answers"
        return Plan(
            target_hz=state.default_hz, ramp_from_hz=state.default_hz, transition_s=0, volume_level=volume_level,
            minutes=length, method="none", bed=background, voice=voice, base_hz=state.carrier_hz, beat=False,
            reason=f"Background sound without rhythmic tones, {why}.", warnings=tuple(warnings),
        )  # fmt: skip
    if not beats:
        raise _nothing_left(state, limit)
    if limit.confirm and not confirmed:
        raise ConfirmNeeded(
            "Some of your safety answers ask for care. Please read and confirm first.", confirm=list(limit.confirm)
        )
    group = curve.group_of(target_state)
    target_hz = _best(response, beats, group)
    method: Method = "isochronic" if not headphones else "binaural" if target_hz <= BINAURAL_MOST_HZ else "monaural"
    begin = initial_state if initial_state in ("unsure", target_state) else ""
    begin_hz = {"unsure": state.ramp_from_hz, target_state: target_hz}.get(begin)
    if begin_hz is None:
        begin_hz = _state("initial_state", initial_state).default_hz
    highest = min(limit.high_hz, BINAURAL_MOST_HZ) if method == "binaural" else limit.high_hz
    return Plan(
        target_hz=round(target_hz, 2), ramp_from_hz=round(min(max(begin_hz, limit.low_hz), highest), 2),
        transition_s=curve.transition_time_s(response), volume_level=volume_level, minutes=length, method=method,
        bed=background, voice=voice, base_hz=state.carrier_hz, beat=True,
        reason=_reason(response, state, target_hz, limit, group), warnings=tuple(warnings),
    )  # fmt: skip


def _state(field: str, key: str) -> State:
    if key not in STATES:
        allowed = list(STATES) if field == "target_state" else ["unsure", *STATES]
        raise BadInput(field, "is not one of the states", allowed)
    return STATES[key]


def _volume(response: Response, limit: Limits) -> int:
    gentle = LOUDEST_AT_REST - LOUDNESS_PER_SENSITIVITY * response.sens
    return max(0, math.floor(min(response.vol, gentle, limit.volume_most)))


def _best(response: Response, beats: list[float], group: str | None) -> float:
    best_hz, best_score = beats[0], -math.inf
    for hz in beats:
        mean, sd = curve.expected(response, hz, group)
        if mean + sd > best_score:
            best_hz, best_score = hz, mean + sd
    return best_hz


def _reason(response: Response, state: State, target_hz: float, limit: Limits, group: str | None) -> str:
    band = curve.band_of(target_hz)
    rated = response.bands.get(band.name) if band else None
    within = ""
    if limit.low_hz > state.low_hz or limit.high_hz < state.high_hz:
        within = ", within the limits of your safety answers"
    mean, sd = curve.expected(response, target_hz, group)
    stars, doubt = 1 + 4 * min(1.0, max(0.0, mean)), 4 * sd
    if band is None or rated is None:
        return (
            f"We try {target_hz:.1f} Hz for {state.label.lower()}{within}, because you have not rated anything "
            f"near it yet and people like it about {stars:.1f} of 5, give or take {doubt:.1f}."
        )
    count = f"{rated.n} rating{'s' if rated.n != 1 else ''}"
    return (
        f"From your {count} between {band.low_hz:g} and {band.high_hz:g} Hz we expect about {stars:.1f} of 5 from "
        f"you at {target_hz:.1f} Hz for {state.label.lower()}, give or take {doubt:.1f}{within}."
    )


def _nothing_left(state: State, limit: Limits) -> NothingLeft:
    open_states = [] if limit.blocked else [s.label for s in STATES.values() if candidates(s, limit)]
    reason = " ".join(limit.sentences)
    detail = f"{state.label} is not possible with your safety answers. {reason}"
    possible = [*open_states, "Background sound without rhythmic tones"]
    return NothingLeft(detail, possible=possible, background_only=True)
