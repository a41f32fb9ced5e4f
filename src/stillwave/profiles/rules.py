"""The plan of a session: pure, deterministic, and explained in one plain sentence.

Among 21 frequencies of the wanted state's window it takes the one with the highest expected rating plus one
standard deviation (upper confidence bound: Auer 2002; Srinivas et al. 2010), the lowest on a tie, within what
the screening allows. Words stay honest: "you rated", never what a beat would do to a brain.
"""

import math
from collections.abc import Iterable

import msgspec

from stillwave.profiles import curve, screening
from stillwave.profiles.screening import LONGEST_MINUTES

CANDIDATES = 21
# One standard deviation of optimism: how much not knowing is worth.
OPTIMISM = 1.0
# Two carriers are heard as one beating tone only below about 30 Hz.
BINAURAL_CEILING_HZ = 30.0
VOLUME_AT_ZERO, VOLUME_PER_SENSITIVITY = 68.0, 4.0

KINDS = ("morning", "evening", "custom")
BEDS = ("nature", "white_noise", "ambient", "none")
VOICES = ("male", "female", "neutral", "none")
METHODS = ("binaural", "monaural", "isochronic")
UNSURE = "unsure"


class State(msgspec.Struct, frozen=True):
    """Where a session can lead. Frequencies in Hz; `ramp_from_hz` is used when the state now is unknown."""

    key: str
    name: str
    low_hz: float
    high_hz: float
    default_hz: float
    ramp_from_hz: float
    carrier_hz: float


STATES = {
    state.key: state
    for state in (
        State("sleep", "sleep", 0.5, 4, 2, 8, 200),
        State("deep_relaxation", "deep relaxation", 4, 8, 5.5, 10, 204),
        State("meditation", "meditation", 4, 8, 6, 10, 208),
        State("creativity", "creativity", 6, 10, 7.5, 10, 216),
        State("evening_wind_down", "winding down in the evening", 7, 11, 9, 12, 212),
        State("calm_focus", "calm focus", 8, 13, 10, 12, 224),
        State("morning_wake", "waking up in the morning", 10, 18, 13, 9, 236),
        State("alert_focus", "alert focus", 13, 30, 17, 10, 248),
        State("peak_focus", "peak focus", 30, 50, 40, 12, 260),
    )
}


class UnknownChoice(ValueError):
    """A choice outside its closed list or bounds; the text names the field and what is allowed."""


class NothingLeft(ValueError):
    """The screening leaves no beat for the wanted state. The goal is never changed silently.

    `reason` is one sentence, `states_left` the states that still have a beat; plain background remains.
    """

    def __init__(self, reason: str, states_left: tuple[str, ...]) -> None:
        super().__init__(reason)
        self.reason = reason
        self.states_left = states_left
        self.background_possible = True


class Blocked(NothingLeft):
    """A condition forbids any beat."""


class Plan(msgspec.Struct, frozen=True):
    """What will be played. Hz, seconds, minutes; volume 0-100; frequencies are None without a beat."""

    target_state: str
    initial_state: str
    kind: str
    beat: bool
    method: str
    target_hz: float | None
    ramp_from_hz: float | None
    base_hz: float | None
    transition_s: int
    volume_level: int
    minutes: int
    bed: str
    voice: str
    reason: str
    warnings: tuple[str, ...]
    confirm: tuple[str, ...]


def candidates_hz(state: State, allowed: screening.Limits, ceiling_hz: float = math.inf) -> list[float]:
    """The frequencies of the state's window that the limits leave, lowest first, to 0.01 Hz."""
    step = (state.high_hz - state.low_hz) / (CANDIDATES - 1)
    window = (round(state.low_hz + step * n, 2) for n in range(CANDIDATES))
    return [hz for hz in window if allowed.low_hz <= hz <= min(allowed.high_hz, ceiling_hz)]


def states_left(allowed: screening.Limits) -> tuple[str, ...]:
    """The states that still have a beat under these limits."""
    return (
        ()
        if allowed.blocked
        else tuple(key for key, state in STATES.items() if candidates_hz(state, allowed))
    )


def plan(
    response: curve.Response,
    target_state: str,
    *,
    minutes: int,
    initial_state: str = UNSURE,
    kind: str = "custom",
    conditions: Iterable[str] = (),
    headphones: bool = True,
    method: str | None = None,
    bed: str = "nature",
    voice: str = "neutral",
    background_only: bool = False,
) -> Plan:
    """The session for this person. Raises Blocked or NothingLeft rather than change what was asked for.

    `conditions` are the declared keys and `adverse:*` elements in the clear; `method` is the person's own
    choice, None lets the planner choose. `background_only` asks for plain background sound, always possible.
    """
    _check("target_state", target_state, tuple(STATES))
    _check("initial_state", initial_state, (*STATES, UNSURE))
    _check("kind", kind, KINDS)
    _check("bed", bed, BEDS)
    _check("voice", voice, VOICES)
    _check("method", method, (*METHODS, None))
    if isinstance(minutes, bool) or not isinstance(minutes, int) or not 1 <= minutes <= LONGEST_MINUTES:
        message = f"minutes must be a whole number from 1 to {LONGEST_MINUTES}, not {minutes!r}"
        raise UnknownChoice(message)
    allowed = screening.limits(conditions)
    minutes = min(minutes, allowed.minutes_cap)
    plain = Plan(
        target_state=target_state,
        initial_state=initial_state,
        kind=kind,
        beat=False,
        method="none",
        target_hz=None,
        ramp_from_hz=None,
        base_hz=None,
        # At most half of the session, so that the target is reached.
        transition_s=min(curve.transition_time_s(response), minutes * 30),
        volume_level=_volume(response, allowed),
        minutes=minutes,
        bed="nature" if bed == "none" else bed,  # without a bed there would be silence
        voice=voice,
        reason="Plain background sound without a beat, so there is nothing to learn about frequencies here.",
        warnings=(screening.DRIVING, *allowed.reasons, *((screening.CONVENTION,) if allowed.reasons else ())),
        confirm=(),
    )
    if background_only:
        return plain
    state = STATES[target_state]
    ceiling_hz = BINAURAL_CEILING_HZ if method == "binaural" else math.inf
    _refuse_if_nothing_left(state, allowed, ceiling_hz)
    target_hz = _best_hz(response, candidates_hz(state, allowed, ceiling_hz))
    chosen = method or _method(target_hz, headphones=headphones)
    return msgspec.structs.replace(
        plain,
        beat=True,
        method=chosen,
        target_hz=target_hz,
        ramp_from_hz=_ramp_from_hz(state, initial_state, target_hz, allowed, chosen),
        base_hz=state.carrier_hz,
        bed=bed,
        reason=_why(response, state, target_hz),
        confirm=allowed.confirm,
    )


def _check(field: str, value: str | None, allowed: tuple[str | None, ...]) -> None:
    if value not in allowed:
        message = f"{field} must be one of {', '.join(filter(None, allowed))}, not {value!r}"
        raise UnknownChoice(message)


def _volume(response: curve.Response, allowed: screening.Limits) -> int:
    """The lowest of what was liked, what the sensitivity leaves and what the screening caps."""
    by_sensitivity = VOLUME_AT_ZERO - VOLUME_PER_SENSITIVITY * response.sens
    return math.floor(min(response.vol, by_sensitivity, allowed.volume_cap))


def _best_hz(response: curve.Response, candidates: list[float]) -> float:
    """The highest mean + OPTIMISM x sd; `max` keeps the first, which is the lowest frequency."""

    def score(hz: float) -> float:
        mean, sd = curve.expected(response, hz)
        return mean + OPTIMISM * sd

    return max(candidates, key=score)


def _method(target_hz: float, *, headphones: bool) -> str:
    if not headphones:
        return "isochronic"
    return "binaural" if target_hz <= BINAURAL_CEILING_HZ else "monaural"


def _ramp_from_hz(
    state: State, initial: str, target_hz: float, allowed: screening.Limits, method: str
) -> float:
    """Where the beat starts: at the state now, cut to what is allowed; at the target if already there."""
    if initial == state.key:
        return target_hz
    start_hz = state.ramp_from_hz if initial == UNSURE else STATES[initial].default_hz
    ceiling_hz = BINAURAL_CEILING_HZ if method == "binaural" else math.inf
    return max(allowed.low_hz, min(allowed.high_hz, ceiling_hz, start_hz))


def _refuse_if_nothing_left(state: State, allowed: screening.Limits, ceiling_hz: float) -> None:
    if allowed.blocked:
        names = " and ".join(screening.condition(key).name for key in allowed.blocked)
        reason = f"Because of {names} we play no beat, and plain background sound is still there for you."
        raise Blocked(reason, ())
    if candidates_hz(state, allowed, ceiling_hz):
        return
    window = f"{state.low_hz:g} to {state.high_hz:g} Hz"
    if not candidates_hz(state, allowed):
        reason = f"A session for {state.name} lies at {window}, outside what your screening answers leave."
    else:
        reason = f"A session for {state.name} lies at {window}, above what a binaural beat can carry here."
    raise NothingLeft(reason, states_left(allowed))


def _why(response: curve.Response, state: State, target_hz: float) -> str:
    """One sentence: why this frequency, and how sure that is, in points of the five-point rating."""
    mean, sd = curve.expected(response, target_hz)
    stars, give_or_take = 1 + 4 * max(0.0, min(1.0, mean)), max(0.1, 4 * sd)
    band = curve.band_of(target_hz)
    learned = response.bands.get(band.name) if band else None
    if band is None or learned is None:
        return (
            f"You have not rated a session near {target_hz:g} Hz yet, so for {state.name} this is a starting"
            f" guess of {stars:.1f} out of 5, give or take {give_or_take:.1f}."
        )
    sessions = "one session" if learned.n == 1 else f"{learned.n} sessions"
    return (
        f"For {state.name} we try {target_hz:g} Hz, because from {sessions} you rated between"
        f" {band.low_hz:g} and {band.high_hz:g} Hz we expect about {stars:.1f} out of 5 there, give or take"
        f" {give_or_take:.1f}."
    )
