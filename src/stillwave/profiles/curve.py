"""The learned curve: how a person rates listening frequencies, band by band.

A Gaussian process on nine points a band, updated by one scalar Kalman step per feedback. The update of a
Gaussian (m, C) by an observation y = h'x + noise of variance R is m + g v / S and C - g g' / S with g = C h,
S = h'g + R, v = y - h'm (Kalman 1960; Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006,
ch. 2); h holds the two weights of linear interpolation at the frequency heard. Only + - x / and comparisons
are used, in the same order as in the database triggers, so that all implementations give the same numbers.

A band's curve learns from every rating in the band. So that somebody who likes 9 Hz in the evening and 11 Hz by day
is not averaged, a group of states has a curve of its own in the band: it begins as the population's for such states,
moved by half of what the band has learned by then, fades towards that, and learns only from ratings of such states.

Ratings live on 0-1 here (1 of 5 stars is 0, 5 of 5 is 1). "Curve" means rated preference, not physiology.
"""

import math
from collections.abc import Iterable

import msgspec

from stillwave.profiles import effects

VERSION = 2  # 1 knew no groups of states; it can be read, and the next upgrade or feedback folds it anew
POINTS = 9

# How fast old ratings fade, per rating in the band: a rating weighs half after about 69 newer ones.
KEEP = 0.99
KEEP_ROOT = 0.99498743710662  # sqrt(KEEP): the mean fades by the root, as in a stationary process
# One surprising rating moves the curve no further than this surprise (clipped innovation).
SURPRISE = 0.6
# Observation noise (variance): both ratings, rating alone, effectiveness alone.
NOISE_BOTH, NOISE_RATING, NOISE_EFFECTIVENESS = 0.036, 0.050, 0.060

START_SENS, LEAST_SENS, MOST_SENS = 5.0, 1.0, 10.0
START_TRANSITION_S, SHORTEST_S, LONGEST_S = 240.0, 60.0, 900.0
START_VOLUME, QUIETEST, LOUDEST = 45.0, 10.0, 70.0
# A grid point belongs to the preferred range when it is this close to the best, or within half a standard
# deviation of the difference.
NEAR = 0.03
HALF_SD_SQUARED = 0.25


# No mean or covariance of ours can be near this; the triggers hold the same bound.
FARTHEST = 10.0


class Damaged(ValueError):
    """The stored curve is not of the expected shape: rebuild it from the feedback."""


class Band(msgspec.Struct, frozen=True):
    """A frequency band [low_hz, high_hz), with the population's centre and width of preference."""

    name: str
    low_hz: float
    high_hz: float
    centre_hz: float
    spread_hz: float

    @property
    def step_hz(self) -> float:
        """The distance of two grid points."""
        return (self.high_hz - self.low_hz) / (POINTS - 1)

    def grid_hz(self, point: int) -> float:
        """Where grid point 0-8 lies."""
        return self.low_hz + self.step_hz * point


BANDS = {
    band.name: band
    for band in (
        Band("delta", 0.5, 4.0, 2.0, 1.0),
        Band("theta", 4.0, 8.0, 6.0, 1.2),
        Band("alpha", 8.0, 13.0, 10.0, 1.4),
        Band("beta", 13.0, 30.0, 17.0, 5.0),
        Band("gamma", 30.0, 50.0, 40.0, 6.0),
    )
}
LOWEST_HZ, HIGHEST_HZ = 0.5, 50.0


class Group(msgspec.Struct, frozen=True):
    """States that share a curve in each of these bands, with the population's centre and width for them."""

    name: str
    states: tuple[str, ...]
    bands: tuple[str, ...]
    centre_hz: float
    spread_hz: float


# Two states with the same window are one group; all others want something else of the same frequency. The bands
# are those of the window, its ends included; the centre is the usual beat, the width 0.4 of the window.
GROUPS = {
    group.name: group
    for group in (
        Group("sleep", ("sleep",), ("delta", "theta"), 2.0, 1.4),
        Group("rest", ("deep_relaxation", "meditation"), ("theta", "alpha"), 5.75, 1.6),
        Group("creativity", ("creativity",), ("theta", "alpha"), 7.5, 1.6),
        Group("evening", ("evening_wind_down",), ("theta", "alpha"), 9.0, 1.6),
        Group("calm", ("calm_focus",), ("alpha", "beta"), 10.0, 2.0),
        Group("morning", ("morning_wake",), ("alpha", "beta"), 13.0, 3.2),
        Group("alert", ("alert_focus",), ("beta", "gamma"), 17.0, 6.8),
        Group("peak", ("peak_focus",), ("gamma",), 40.0, 8.0),
    )
}
GROUP_OF_STATE = {state: group.name for group in GROUPS.values() for state in group.states}
# How much of what the band has learned a group's curve begins with.
BORROW = 0.5
# The lower triangle by rows: (0,0) (1,0) (1,1) (2,0) ...
TRIANGLE = tuple((j, k) for j in range(POINTS) for k in range(j + 1))


def _hill(band: Band, height: float, centre_hz: float, spread_hz: float) -> tuple[float, ...]:
    grid = [(band.grid_hz(point) - centre_hz) / spread_hz for point in range(POINTS)]
    return tuple(0.5 + height * (math.exp(-(z * z) / 2) - 0.5) for z in grid)


def _kernel(common: float, local: float) -> tuple[float, ...]:
    """Covariance of grid points: a level common to all, and hills that reach over a fifth of the band."""
    z = [(j - k) / (POINTS - 1) / 0.20 for j, k in TRIANGLE]
    return tuple(common * common + local * local * math.exp(-(each * each) / 2) for each in z)


PRIOR = {name: _hill(band, 0.20, band.centre_hz, band.spread_hz) for name, band in BANDS.items()}
KERNEL = _kernel(0.14, 0.16)
GROUP_KERNEL = _kernel(0.05, 0.19)


def group_key(group: str, band: str) -> str:
    """What the curve of a group of states in a band is called in storage."""
    return f"{group}_{band}"


GROUP_PRIOR = {
    group_key(group.name, band): _hill(BANDS[band], 0.25, group.centre_hz, group.spread_hz)
    for group in GROUPS.values()
    for band in group.bands
}


class Curve(msgspec.Struct):
    """What is known of a band: n ratings, mean at the 9 grid points, covariance as 45 numbers (TRIANGLE)."""

    n: int
    m: list[float]
    C: list[float]


class Response(msgspec.Struct):
    """`neural_profiles.base_frequency_response`: everything learned.

    `sens` 1-10 (10 is most sensitive), `trans` seconds, `vol` 10-70, `nt` how often the pace was corrected;
    `bands` by name, `groups` by group_key: ratings for such states there, counted in the band as well.
    """

    v: int
    n: int
    sens: float
    trans: float
    vol: float
    nt: int
    bands: dict[str, Curve]
    groups: dict[str, Curve] = {}


class Feedback(msgspec.Struct, frozen=True):
    """One answer: rating 1-5, effectiveness 1-10, frequency heard in Hz, effects by key, and the state wanted."""

    rating: int | None = None
    effectiveness: int | None = None
    target_hz: float | None = None
    physical_effects: effects.Effects = None
    mental_effects: effects.Effects = None
    target_state: str | None = None


class Change(msgspec.Struct, frozen=True, omit_defaults=True):
    """`profile_history.change`: what a feedback moved. Pairs are (before, after), `m_*` means at `f`.

    `group` says for which states; `m_*` and `best` are of the group's curve then, else of the band's. `rating` is what
    was given.
    """

    sens: tuple[float, float]
    trans: tuple[float, float]
    vol: tuple[float, float]
    flags: tuple[str, ...]
    f: float | None = None
    y: float | None = None
    band: str | None = None
    group: str | None = None
    m_before: float | None = None
    m_after: float | None = None
    best: tuple[float, float] | None = None
    rating: int | None = None


def start() -> Response:
    """What is assumed of someone who has given no feedback."""
    return Response(VERSION, 0, START_SENS, START_TRANSITION_S, START_VOLUME, 0, {}, {})


def band_of(hz: float | None) -> Band | None:
    """The band that holds `hz`; None outside 0.5-50 Hz. 50 Hz itself belongs to gamma."""
    if hz is None or not LOWEST_HZ <= hz <= HIGHEST_HZ:
        return None
    return max((band for band in BANDS.values() if band.low_hz <= hz), key=lambda band: band.low_hz)


def group_of(target_state: str | None) -> str | None:
    """The group of states whose curve a session teaches; None for a state that is missing or not ours."""
    return GROUP_OF_STATE.get(target_state) if target_state is not None else None


def observation(rating: int | None, effectiveness: int | None) -> tuple[float, float] | None:
    """(y on 0-1, noise variance) of what was rated; None if neither rating was given."""
    if rating is not None and effectiveness is not None:
        return (rating - 1) / 8 + (effectiveness - 1) / 18, NOISE_BOTH
    if rating is not None:
        return (rating - 1) / 4, NOISE_RATING
    if effectiveness is not None:
        return (effectiveness - 1) / 9, NOISE_EFFECTIVENESS
    return None


def _index(j: int, k: int) -> int:
    high, low = (j, k) if j >= k else (k, j)
    return high * (high + 1) // 2 + low


def _place(band: Band, hz: float) -> tuple[int, float]:
    """The grid point at or below `hz` (0-7) and the weight of the next one (0-1)."""
    u = 8 * (hz - band.low_hz) / (band.high_hz - band.low_hz)
    i = min(POINTS - 2, int(u))
    return i, u - i


def _between(values: list[float], i: int, t: float) -> float:
    return (1 - t) * values[i] + t * values[i + 1]


def fresh(name: str) -> Curve:
    """The population's curve of a band: what is assumed before the first rating there."""
    return Curve(0, list(PRIOR[name]), list(KERNEL))


def borrowed(band: Curve, key: str, name: str) -> Curve:
    """The population's curve of a group, moved by half of what the band has learned: where the group's begins."""
    prior = zip(GROUP_PRIOR[key], band.m, PRIOR[name], strict=True)
    return Curve(0, [mine + BORROW * (m - m0) for mine, m, m0 in prior], list(GROUP_KERNEL))


def forget(curve: Curve, home: Curve) -> Curve:
    """The curve one rating later, before that rating is known: a little closer to where it began."""
    mean = [m0 + KEEP_ROOT * (m - m0) for m, m0 in zip(curve.m, home.m, strict=True)]
    return Curve(curve.n, mean, [KEEP * c + (1 - KEEP) * k for c, k in zip(curve.C, home.C, strict=True)])


def update(curve: Curve, i: int, t: float, y: float, noise: float) -> Curve:
    """The curve after the observation y between grid points i and i + 1 (weights 1 - t and t)."""
    gain = [(1 - t) * curve.C[_index(i, j)] + t * curve.C[_index(i + 1, j)] for j in range(POINTS)]
    spread = (1 - t) * gain[i] + t * gain[i + 1] + noise
    surprise = max(-SURPRISE, min(SURPRISE, y - (1 - t) * curve.m[i] - t * curve.m[i + 1]))
    mean = [m + g * surprise / spread for m, g in zip(curve.m, gain, strict=True)]
    covariance = [c - gain[j] * gain[k] / spread for c, (j, k) in zip(curve.C, TRIANGLE, strict=True)]
    return Curve(curve.n + 1, mean, covariance)


def _transition(response: Response, keys: set[str], severity: float) -> tuple[float, int]:
    """Transition seconds and how often the pace was corrected; each correction weighs less than the last."""
    step = 1 + 0.30 / (1 + 0.25 * response.nt)
    seconds, corrections = response.trans, response.nt
    if "too_fast" in keys and "too_slow" not in keys:
        seconds, corrections = seconds * step, corrections + 1
    elif "too_slow" in keys and "too_fast" not in keys:
        seconds, corrections = seconds / step, corrections + 1
    elif severity > 0:
        seconds = seconds * 1.05
    return max(SHORTEST_S, min(LONGEST_S, seconds)), corrections


def _volume(volume: float, keys: set[str]) -> float:
    """Down is quicker than up, and each has its end; contradictory answers leave it."""
    if "too_loud" in keys and "too_quiet" not in keys:
        return max(QUIETEST, volume - 6)
    if "too_quiet" in keys and "too_loud" not in keys:
        return min(LOUDEST, volume + 4)
    return volume


def best_point(curve: Curve) -> int:
    """The first grid point with the highest mean."""
    return curve.m.index(max(curve.m))


def fold(response: Response, feedback: Feedback) -> tuple[Response, Change]:
    """The response after one more feedback, and what moved. `response` itself is left as it was."""
    reported = list(effects.reported(feedback.physical_effects, feedback.mental_effects))
    severity = max((grade for _, kind, grade in reported if kind in ("adverse", "red_flag")), default=0.0)
    keys = {key for key, _, grade in reported if grade > 0}
    sens = (
        min(MOST_SENS, response.sens + 0.8 * severity)
        if severity > 0
        else max(LEAST_SENS, response.sens - 0.06)
    )
    trans, corrections = _transition(response, keys, severity)
    volume = _volume(response.vol, keys)
    bands = dict(response.bands)
    change = Change(
        sens=(response.sens, sens),
        trans=(response.trans, trans),
        vol=(response.vol, volume),
        flags=effects.red_flags(feedback.physical_effects, feedback.mental_effects),
        rating=feedback.rating,
    )
    band = band_of(feedback.target_hz)
    seen = observation(feedback.rating, feedback.effectiveness)
    groups = dict(response.groups)
    if band is not None and feedback.target_hz is not None and seen is not None:
        before = bands.get(band.name) or fresh(band.name)
        i, t = _place(band, feedback.target_hz)
        after = bands[band.name] = update(forget(before, fresh(band.name)), i, t, *seen)
        group, key = _curve_of(group_of(feedback.target_state), band.name)
        if key is not None:
            home = borrowed(before, key, band.name)
            before = groups.get(key) or home
            after = groups[key] = update(forget(before, home), i, t, *seen)
        change = msgspec.structs.replace(
            change,
            f=feedback.target_hz,
            y=seen[0],
            band=band.name,
            group=group,
            m_before=_between(before.m, i, t),
            m_after=_between(after.m, i, t),
            best=(band.grid_hz(best_point(before)), band.grid_hz(best_point(after))),
        )
    return Response(VERSION, response.n + 1, sens, trans, volume, corrections, bands, groups), change


def _curve_of(group: str | None, band: str) -> tuple[str | None, str | None]:
    """(group, its key) where the group has a curve in the band; else (None, None)."""
    if group is None or band not in GROUPS[group].bands:
        return None, None
    return group, group_key(group, band)


def fold_all(feedbacks: Iterable[Feedback], base: Response | None = None) -> Response:
    """The response to a whole history, given in the order (created_at, id).

    `base` is what retention kept of the feedback that it removed (table learning_base).
    """
    response = base or start()
    for feedback in feedbacks:
        response, _ = fold(response, feedback)
    return response


def expected(response: Response, hz: float, group: str | None = None) -> tuple[float, float]:
    """(mean, standard deviation) of the rating expected at `hz`, on 0-1; `hz` within 0.5-50.

    With a group of states (group_of), of the rating for such a state; else for whatever the band is used for.
    """
    band = band_of(hz)
    if band is None:
        message = f"{hz} Hz is outside {LOWEST_HZ}-{HIGHEST_HZ} Hz"
        raise ValueError(message)
    curve = posterior(response, band.name, group)
    i, t = _place(band, hz)
    low, both, high = (curve.C[_index(*pair)] for pair in ((i, i), (i, i + 1), (i + 1, i + 1)))
    variance = (1 - t) * (1 - t) * low + 2 * t * (1 - t) * both + t * t * high
    return _between(curve.m, i, t), math.sqrt(max(0.0, variance))


def curve_of(response: Response, name: str, group: str | None = None) -> Curve | None:
    """The curve learned in a band, for a group of states if it has one there; None before the first rating."""
    _, key = _curve_of(group, name)
    return response.groups.get(key) if key is not None else response.bands.get(name)


def posterior(response: Response, name: str, group: str | None = None) -> Curve:
    """What is expected at the grid of a band, learned or, before the first rating, assumed."""
    return curve_of(response, name, group) or _unrated(response, name, group)


def _unrated(response: Response, name: str, group: str | None) -> Curve:
    band = response.bands.get(name) or fresh(name)
    _, key = _curve_of(group, name)
    return band if key is None else borrowed(band, key, name)


def preferred_range(response: Response, name: str, group: str | None = None) -> tuple[float, float] | None:
    """The stretch around the best-rated point that ratings cannot tell from it, in Hz; None if unrated."""
    curve = curve_of(response, name, group)
    if curve is None:
        return None
    k = best_point(curve)

    def near(j: int) -> bool:
        gap = curve.m[k] - curve.m[j]
        variance = curve.C[_index(k, k)] + curve.C[_index(j, j)] - 2 * curve.C[_index(k, j)]
        return gap <= NEAR or gap * gap <= HALF_SD_SQUARED * variance

    first = last = k
    while first > 0 and near(first - 1):
        first -= 1
    while last < POINTS - 1 and near(last + 1):
        last += 1
    band = BANDS[name]
    low_hz, high_hz = band.low_hz + band.step_hz * (first - 0.5), band.low_hz + band.step_hz * (last + 0.5)
    return max(band.low_hz, low_hz), min(band.high_hz, high_hz)


def sensitivity_level(response: Response) -> int:
    """`neural_profiles.sensitivity_level`, 1-10; 10 is most sensitive."""
    return math.floor(response.sens + 0.5)


def transition_time_s(response: Response) -> int:
    """`neural_profiles.optimal_transition_time`, 60-900 s."""
    return math.floor(response.trans + 0.5)


def parse(stored: str | bytes) -> Response:
    """Read `base_frequency_response`. Raises Damaged where it is not of the expected shape."""
    try:
        response = msgspec.json.decode(stored, type=Response)
    except msgspec.MsgspecError as error:
        raise Damaged(str(error)) from error
    within = (
        response.v in (1, VERSION)
        and response.n >= 0
        and response.nt >= 0
        and LEAST_SENS <= response.sens <= MOST_SENS
        and SHORTEST_S <= response.trans <= LONGEST_S
        and QUIETEST <= response.vol <= LOUDEST
    )
    known = all(name in BANDS for name in response.bands) and all(key in GROUP_PRIOR for key in response.groups)
    curves = (*response.bands.values(), *response.groups.values())
    if not within or not known or not all(map(_sound, curves)):
        message = "base_frequency_response is not of the expected shape"
        raise Damaged(message)
    return response


def _sound(curve: Curve) -> bool:
    sized = curve.n >= 1 and len(curve.m) == POINTS and len(curve.C) == len(TRIANGLE)
    return sized and all(abs(value) <= FARTHEST for value in (*curve.m, *curve.C))


def serialise(response: Response) -> str:
    """The text of `base_frequency_response`; floats keep every digit."""
    return msgspec.json.encode(response).decode()
