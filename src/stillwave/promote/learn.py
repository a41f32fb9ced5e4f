"""Profiles of many people at once: the fold of the learned curve over whole histories, for thousands side by side.

What a proof of concept knows is a rating, an effectiveness and a frequency; no effects, no states. For such a history
this gives what `curve.fold` and the database's triggers give, to the last digits of the arithmetic: the k-th feedback of
everybody is one step on arrays, about 2 microseconds each, where the triggers take a millisecond.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from stillwave.profiles import curve

Row = tuple[str | None, ...]
Floats = npt.NDArray[np.float64]
Wholes = npt.NDArray[np.int64]

_BANDS = tuple(curve.BANDS.values())
_LOW = np.array([band.low_hz for band in _BANDS])
_WIDTH = np.array([band.high_hz - band.low_hz for band in _BANDS])
_PRIOR = np.array([curve.PRIOR[band.name] for band in _BANDS])
_J, _K = (np.array(side) for side in zip(*curve.TRIANGLE, strict=True))
_KERNEL = np.zeros((curve.POINTS, curve.POINTS))
_KERNEL[_J, _K] = _KERNEL[_K, _J] = curve.KERNEL
_NOTE_EVERY = 32  # as the triggers do: the state after every 32nd feedback is kept as a checkpoint
_RANGES = ("alpha", "theta", "delta", "gamma")  # in the order of the catalogue


class Given(NamedTuple):
    """One feedback, as the database's view learning_feedback tells of it."""

    user_id: str
    id: str
    created_at: str
    rating: int | None
    effectiveness: int | None
    hz: float | None


class Learned(NamedTuple):
    """Rows of neural_profiles without their ids, of profile_history and of learning_checkpoint."""

    profiles: dict[str, tuple[str | None, ...]]
    history: list[Row]
    checkpoints: list[Row]


class _State:
    """What is known of each person after so many feedbacks."""

    def __init__(self, people: int) -> None:
        self.sens = np.full(people, curve.START_SENS)
        self.n = np.zeros((people, len(_BANDS)), np.int64)
        self.m: Floats = np.broadcast_to(_PRIOR, (people, *_PRIOR.shape)).copy()
        self.cov: Floats = np.broadcast_to(_KERNEL, (people, len(_BANDS), *_KERNEL.shape)).copy()

    def text(self, person: int, n: int) -> str:
        """`base_frequency_response` of one person."""
        bands = {
            band.name: curve.Curve(int(self.n[person, b]), self.m[person, b].tolist(), self.cov[person, b][_J, _K].tolist())
            for b, band in enumerate(_BANDS) if self.n[person, b]
        }  # fmt: skip
        return curve.serialise(curve.Response(
            curve.VERSION, n, float(self.sens[person]), curve.START_TRANSITION_S, curve.START_VOLUME, 0, bands, {}
        ))  # fmt: skip


def fold(given: Sequence[Given]) -> Learned:
    """The profiles of everybody in `given`, which is sorted by (user_id, created_at, id)."""
    names, first, count = np.unique(np.array([one.user_id for one in given]), return_index=True, return_counts=True)
    y, noise, band, left, weight = _observed(given)
    state = _State(len(names))
    found = Learned({}, [], [])
    for k in range(int(count.max(initial=0))):
        who = np.flatnonzero(count > k)
        at = first[who] + k
        before = state.sens[who]
        state.sens[who] = np.maximum(curve.LEAST_SENS, before - 0.06)
        seen = band[at] >= 0
        moved = _step(state, who[seen], at[seen], y, noise, band, left, weight)
        _note(found, given, state, who, at, before, seen, moved, y, band, k)
    ranges = [_ranges(state, curve.BANDS[name]) for name in _RANGES]
    for p, name in enumerate(names.tolist()):
        last = given[int(first[p] + count[p]) - 1]
        edges = [edge for low, high in ranges for edge in ((None, None) if np.isnan(low[p]) else (repr(float(low[p])), repr(float(high[p]))))]
        found.profiles[name] = (
            state.text(p, int(count[p])), str(int(curve.START_TRANSITION_S)), "[]", str(int(state.sens[p] + 0.5)),
            given[int(first[p])].created_at, last.created_at, *edges, "1",
        )  # fmt: skip
    return found


def _observed(given: Sequence[Given]) -> tuple[Floats, Floats, Wholes, Wholes, Floats]:
    """(y, noise, band or -1, grid point below, weight of the next) of each feedback."""
    nan = float("nan")
    seen = [curve.observation(one.rating, one.effectiveness) or (nan, nan) for one in given]
    y, noise = (np.array(side) for side in zip(*seen, strict=True)) if seen else (np.zeros(0), np.zeros(0))
    hz = np.array([nan if one.hz is None else one.hz for one in given], np.float64)
    with np.errstate(invalid="ignore"):
        inside = (hz >= curve.LOWEST_HZ) & (hz <= curve.HIGHEST_HZ) & ~np.isnan(y)
    band = np.where(inside, np.searchsorted(_LOW, np.where(inside, hz, _LOW[0]), side="right") - 1, -1)
    place = np.where(inside, 8 * (hz - _LOW[band]) / _WIDTH[band], 0.0)
    left = np.minimum(curve.POINTS - 2, place.astype(np.int64))
    return y, noise, band, left, place - left


def _step(
    state: _State, who: Wholes, at: Wholes, y: Floats, noise: Floats, band: Wholes, left: Wholes, weight: Floats
) -> tuple[Any, ...]:
    """One feedback of each of these people is learned: `curve.update(curve.forget(...))`. What moved, for the history."""
    b, i, t = band[at], left[at], weight[at]
    row = np.arange(len(who))
    m, cov = state.m[who, b], state.cov[who, b]
    was, best = (1 - t) * m[row, i] + t * m[row, i + 1], m.argmax(axis=1)
    home = _PRIOR[b]
    m = home + curve.KEEP_ROOT * (m - home)
    cov = curve.KEEP * cov + (1 - curve.KEEP) * _KERNEL
    gain = (1 - t)[:, None] * cov[row, i] + t[:, None] * cov[row, i + 1]
    spread = (1 - t) * gain[row, i] + t * gain[row, i + 1] + noise[at]
    surprise = np.clip(y[at] - (1 - t) * m[row, i] - t * m[row, i + 1], -curve.SURPRISE, curve.SURPRISE)
    m = m + gain * surprise[:, None] / spread[:, None]
    state.m[who, b] = m
    state.cov[who, b] = cov - gain[:, :, None] * gain[:, None, :] / spread[:, None, None]
    state.n[who, b] += 1
    low, step = _LOW[b], _WIDTH[b] / (curve.POINTS - 1)
    now = (1 - t) * m[row, i] + t * m[row, i + 1]
    return was.tolist(), now.tolist(), (low + step * best).tolist(), (low + step * m.argmax(axis=1)).tolist()


def _note(
    found: Learned, given: Sequence[Given], state: _State, who: Wholes, at: Wholes, before: Floats, seen: npt.NDArray[np.bool_],
    moved: tuple[Any, ...], y: Floats, band: Wholes, k: int,
) -> None:  # fmt: skip
    """The rows of profile_history of this step, and every 32nd time the states as checkpoints."""
    was, now, best_before, best_after = (iter(side) for side in moved)
    after = state.sens[who].tolist()
    for p, i, sens, then, learned in zip(who.tolist(), at.tolist(), before.tolist(), after, seen.tolist(), strict=True):
        one = given[i]
        change = f'"sens": [{sens!r}, {then!r}], "trans": [240.0, 240.0], "vol": [45.0, 45.0], "flags": []'
        if learned:
            change += (
                f', "f": {one.hz!r}, "y": {float(y[i])!r}, "band": "{_BANDS[int(band[i])].name}", "m_before": {next(was)!r},'
                f' "m_after": {next(now)!r}, "best": [{next(best_before)!r}, {next(best_after)!r}]'
            )
        if one.rating is not None:
            change += f', "rating": {one.rating}'
        found.history.append((one.user_id, one.id, one.created_at, "{" + change + "}"))
        if (k + 1) % _NOTE_EVERY == 0:
            found.checkpoints.append((one.user_id, one.created_at, one.id, state.text(p, k + 1)))


def _ranges(state: _State, band: curve.Band) -> tuple[Floats, Floats]:
    """`curve.preferred_range` of everybody in a band; NaN where it is unrated."""
    b = _BANDS.index(band)
    m, cov = state.m[:, b], state.cov[:, b]
    row = np.arange(len(m))
    k = m.argmax(axis=1)
    gap = m[row, k][:, None] - m
    variance = cov[row, k, k][:, None] + np.diagonal(cov, axis1=1, axis2=2) - 2 * cov[row, k]
    near = (gap <= curve.NEAR) | (gap * gap <= curve.HALF_SD_SQUARED * variance)
    first, last = k.copy(), k.copy()
    for _ in range(curve.POINTS - 1):
        first -= (first > 0) & near[row, np.maximum(first - 1, 0)]
        last += (last < curve.POINTS - 1) & near[row, np.minimum(last + 1, curve.POINTS - 1)]
    low = np.maximum(band.low_hz, band.low_hz + band.step_hz * (first - 0.5))
    high = np.minimum(band.high_hz, band.low_hz + band.step_hz * (last + 0.5))
    rated = state.n[:, b] > 0
    return np.where(rated, low, np.nan), np.where(rated, high, np.nan)
