"""From a plan to the sound's programme, and the words sessions are called by. Pure."""

from __future__ import annotations

from typing import Annotated, cast

import msgspec

from stillwave.profiles.rules import STATES, Choice, Kind, Listening, Plan
from stillwave.profiles.trial import Arm
from stillwave.sound import cues
from stillwave.sound.programme import SAMPLE_RATE_HZ, Bed, Cue, Programme, Segment

# The last part of a morning session leads back up: a tenth of the whole, two minutes at most.
_RETURN_SHARE, _RETURN_MOST_S = 0.1, 120.0
# A ramp never takes more than half of a short session.
_RAMP_SHARE = 0.5
# The voice: when it welcomes, the quiet it leaves, and the lengths from which it says more.
_WELCOME_S, _QUIET_S, _CLOSING_BEFORE_END_S = 8.0, 7.0, 18.0
_BREATHS, _IN_S, _OUT_S = 3, 4.0, 6.0
_BREATH_FROM_S, _MIDWAY_FROM_S = 600.0, 900.0
_SLEEPY = ("sleep", "deep_relaxation", "evening_wind_down")
_FOCUSED = ("calm_focus", "alert_focus", "peak_focus")


class Wish(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a person asks for when a session starts; what is left out comes from their preferences.

    `choice`: the best we know, a surprise within what may suit, or the last session to the same state again.
    `listening`: headphones (two tones), speaker (a pulsed tone) or in_background (the background sound carries the
    beat); left out, it is as `headphones` says. `as_usual`: the diary does not make it gentler.
    """

    kind: Kind = "custom"
    initial_state: Annotated[str, msgspec.Meta(max_length=20)] = "unsure"
    target_state: Annotated[str, msgspec.Meta(max_length=20)]
    minutes: Annotated[int, msgspec.Meta(ge=5, le=120)] | None = None
    background: Annotated[str, msgspec.Meta(max_length=50)] | None = None
    headphones: bool = True
    listening: Listening | None = None
    choice: Choice = "best"
    as_usual: bool = False
    confirm: bool = False
    background_only: bool = False


class Progress(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the listener is, in seconds, and whether the session is over."""

    position_s: Annotated[float, msgspec.Meta(ge=0, le=4 * 3600)]
    ended: bool = False


def programme(plan: Plan, kind: Kind, seed: int, target_state: str = "", arm: Arm | None = None) -> Programme:
    """The sound of a plan: a ramp to the target, a plateau, and in the morning a gentle way back up.

    In the arm "steady" both ears hear the same tone, and all else is the same.
    """
    sound = _without_voice(plan, kind, seed)
    if arm == "steady":
        sound = msgspec.structs.replace(sound, method="steady")
    if plan.voice == "none":
        return sound
    ramp_s = sound.segments[0].seconds if plan.beat else sound.seconds * _RAMP_SHARE
    return msgspec.structs.replace(sound, cues=_cues(plan.voice, kind, target_state, sound, ramp_s))


def _cues(voice: str, kind: Kind, target_state: str, sound: Programme, ramp_s: float) -> tuple[Cue, ...]:
    """What is said when: a short session gets less, and nothing is said to somebody who may be asleep."""
    variant, said, at_s = _variant(kind, target_state), [], _WELCOME_S

    def lasts_s(name: str) -> float:
        return cues.samples(voice, name) / SAMPLE_RATE_HZ

    def fitting(name: str) -> str:
        return name + variant if name + variant in cues.names(voice) else name

    def say(name: str) -> None:
        nonlocal at_s
        said.append(Cue(round(at_s, 2), name, voice))
        at_s += lasts_s(name) + _QUIET_S

    say(fitting("welcome"))
    say(fitting("settle"))
    paced_s = lasts_s("breath") + 1 + _BREATHS * (_IN_S + _OUT_S) + lasts_s("breath_free")
    if sound.seconds >= _BREATH_FROM_S and at_s + paced_s <= ramp_s:
        said.append(Cue(round(at_s, 2), "breath", voice))
        at_s += lasts_s("breath") + 1
        for _ in range(_BREATHS):
            said += [Cue(round(at_s, 2), "breath_in", voice), Cue(round(at_s + _IN_S, 2), "breath_out_2", voice)]
            at_s += _IN_S + _OUT_S
        say("breath_free")
    if target_state == "sleep":
        return tuple(said)
    if sound.seconds >= _MIDWAY_FROM_S:
        at_s = sound.seconds / 2
        say(fitting("midway"))
    at_s = sound.seconds - _CLOSING_BEFORE_END_S - lasts_s(fitting("closing"))
    say(fitting("closing"))
    return tuple(said)


def _variant(kind: Kind, target_state: str) -> str:
    """Which words fit: the goal comes before the hour, and nobody is woken up on the way to sleep."""
    if target_state in _SLEEPY:
        return "" if kind == "morning" else "_evening"
    if kind == "morning" or target_state == "morning_wake":
        return "_morning"
    if target_state in _FOCUSED:
        return "_focus"
    return "_evening" if kind == "evening" else ""


def _without_voice(plan: Plan, kind: Kind, seed: int) -> Programme:
    whole_s, bed = plan.minutes * 60.0, cast("Bed", plan.bed)  # checked when it was planned
    if not plan.beat:
        hz = plan.target_hz
        held = (Segment(whole_s, plan.base_hz, plan.base_hz, hz, hz),)
        return Programme(segments=held, method="none", bed=bed, seed=seed, volume_level=plan.volume_level)
    ramp_s = min(float(plan.transition_s), whole_s * _RAMP_SHARE)
    back_s = min(whole_s * _RETURN_SHARE, _RETURN_MOST_S)
    rises = kind == "morning" and plan.ramp_from_hz > plan.target_hz
    steps = [
        (ramp_s, plan.ramp_from_hz, plan.target_hz),
        (whole_s - ramp_s - (back_s if rises else 0.0), plan.target_hz, plan.target_hz),
    ]
    if rises:
        steps.append((back_s, plan.target_hz, plan.ramp_from_hz))
    return Programme(
        segments=tuple(
            Segment(seconds, plan.base_hz, plan.base_hz, start_hz, stop_hz, "linear" if start_hz == stop_hz else "eased")
            for seconds, start_hz, stop_hz in steps
        ),
        method=plan.method,
        bed=bed,
        seed=seed,
        volume_level=plan.volume_level,
    )


def path(sound: Programme) -> list[tuple[float, float]]:
    """The beat over time as (seconds, Hz) points, for the picture of the session."""
    points: list[tuple[float, float]] = []
    at_s = 0.0
    for segment in sound.segments:
        pieces = 12 if segment.ease == "eased" else 1
        for piece in range(pieces + 1):
            u = piece / pieces
            way = u * u * (3 - 2 * u) if segment.ease == "eased" else u
            hz = segment.beat_from_hz + (segment.beat_to_hz - segment.beat_from_hz) * way
            points.append((at_s + u * segment.seconds, hz))
        at_s += segment.seconds
    return points


def title(kind: str | None, target_state: str | None) -> str:
    """What a session is called in lists."""
    state = STATES.get(target_state or "")
    name = state.label if state else "Session"
    prefix = {"morning": "Morning", "evening": "Evening"}.get(kind or "")
    return f"{prefix} · {name}" if prefix and not name.startswith(prefix) else name
