"""Does the learning learn? Virtual people rate sessions that different policies plan; regret is counted.

    python bench/learning.py                # 300 people (60 for the slow policies), scenario main: under 5 minutes
    python bench/learning.py --people 1000 --scenario main --scenario drift --plot regret.svg
    python bench/learning.py --population bench/population_example.py

Frequency regret of a session: how much less this person likes the frequency played than the best one in the
window of the state asked for, on the scale 0-1 of ratings (0.25 is one star). Every policy meets the same people,
who bring the same states, moods and slips in the same order, so that differences are paired.

The virtual people are invented. What is shown here is whether the algorithm finds preferences if people are like
this, not that anybody is.

A population of your own is a Python file with `people(count, sessions, seed)`, which yields objects of the shape
of `Listener` below; `bench/population_example.py` is one.
"""

import argparse
import functools
import importlib.util
import runpy
import sys
import time
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from stillwave.profiles import curve, rules, screening
from stillwave.profiles import effects as vocabulary

Floats = NDArray[np.float64]
STEPS = 200  # of a state's window, to find what a person likes best there
BINS = 5  # what the policies without a curve choose from
AT = (5, 20, 50)
LAST = 10


class Rating(NamedTuple):
    """What was reported: stars 1-5, effectiveness 1-10; None where nothing was."""

    stars: int | None
    effectiveness: int | None


class Params(NamedTuple):
    """A session: beat in Hz, volume 0-100, transition in seconds, state wanted."""

    f: float
    volume: float
    transition: float
    state: str


class Listener(Protocol):
    """A virtual person."""

    states: list[str]  # what is wanted, session by session (keys of stillwave.profiles.rules.STATES)

    def value(self, state: str, hz: Floats, n: int) -> Floats:
        """How much each frequency is truly liked in session n (from 0), on 0-1."""

    def report(self, params: Params, n: int) -> tuple[Rating, Mapping[str, int]]:
        """What is reported of session n, and effects by key with severity 0-3. Equal calls, equal answers."""


class Policy(Protocol):
    """What plans the sessions of one person."""

    def recommend(self, state: str, n_so_far: int) -> Params: ...

    def observe(self, params: Params, rating: Rating, effects: Mapping[str, int]) -> None: ...


# --- virtual people -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Scenario:
    """How the people differ from what the algorithm assumes. Lengths are shares of a state's window."""

    shift: float = 0.0  # population centre away from the usual beat, up in every other state and down in the rest
    walk: float = 0.0  # standard deviation of a step of the optimum from session to session
    leap: float = 0.0  # share of people whose optimum leaps once, in the middle
    noise: float = 1.0  # factor on mood and slips
    silent: float = 0.10  # share of sessions without any rating
    half: float = 0.20  # share of the others with only one of the two ratings
    apart: float = 0.0  # standard deviation of how far a person's optimum moves, up by day and down in the evening


SCENARIOS = {
    "main": Scenario(),
    "shifted": Scenario(shift=0.25),
    "drift": Scenario(walk=0.04, leap=0.25),
    "noisy": Scenario(noise=1.7, silent=0.30, half=0.40),
    "two groups": Scenario(apart=0.30),
}
# Where people differ by group they bring one state of each side, in turn; these share the alpha band.
EVENING, DAY = ("creativity", "evening_wind_down"), ("calm_focus", "morning_wake")
NON_RESPONDERS, TWO_PEAKED = 0.15, 0.15
# Spread of personal optima: common to all states of a person, and of each state alone.
SPREAD_PERSON, SPREAD_STATE = 0.22, 0.15
# Standard deviations on 0-1: a mood that both ratings share, a slip that each has alone.
MOOD, SLIP = 0.15, 0.12


@dataclass(frozen=True)
class Taste:
    """One person's curve in one state, in Hz: a skewed hill, perhaps with a second one."""

    centre: float
    left: float
    right: float
    gap: float
    second: float
    base: float
    height: float


class Person:
    """A virtual person; everything random is drawn at once, so that every policy meets the same one."""

    def __init__(self, rng: np.random.Generator, sessions: int, scenario: Scenario) -> None:
        mine = rng.permutation(list(rules.STATES))[: rng.integers(1, 4)]
        weights = np.array([0.6, 0.3, 0.1])[: len(mine)]
        if scenario.apart:
            mine, weights = np.array([rng.choice(EVENING), rng.choice(DAY)]), np.array([0.5, 0.5])
        self.states = [str(key) for key in rng.choice(mine, size=sessions, p=weights / weights.sum())]
        kind = rng.random()
        height = rng.uniform(0, 0.05) if kind < NON_RESPONDERS else rng.uniform(0.25, 0.60)
        second = rng.uniform(0.5, 0.95) if NON_RESPONDERS <= kind < NON_RESPONDERS + TWO_PEAKED else 0.0
        base, common = rng.uniform(0.25, 0.40), rng.normal(0, SPREAD_PERSON)
        apart = rng.normal(0, scenario.apart) if scenario.apart else 0.0
        self.tastes = {
            str(key): _taste(
                rng, str(key), scenario, common + (apart if key in DAY else -apart), second, base, height
            )
            for key in mine
        }
        self.drift = np.cumsum(rng.normal(0, 1, sessions)) * scenario.walk
        leap, where = rng.random() < scenario.leap, rng.normal(0, 0.35)
        self.drift[sessions // 2 :] += where if leap else 0.0
        self.loudest, self.pace = rng.normal(48, 10), float(np.clip(rng.normal(240, 80), 90, 600))
        # Reporting bias: some are kind and some are stern, some use the whole scale and some its middle.
        self.bias, self.stretch = rng.normal(0, 0.07), rng.lognormal(0, 0.2)
        self.mood = rng.normal(0, MOOD * scenario.noise, sessions)
        self.slips = rng.normal(0, SLIP * scenario.noise, (sessions, 2))
        self.chance = rng.random((sessions, 6))
        self.scenario = scenario

    def value(self, state: str, hz: Floats, n: int) -> Floats:
        window, taste = rules.STATES[state], self.tastes[state]
        centre = taste.centre + self.drift[n] * (window.high_hz - window.low_hz)
        centre = min(max(centre, window.low_hz), window.high_hz)
        away = hz - centre
        hill = np.exp(-((away / np.where(away < 0, taste.left, taste.right)) ** 2) / 2)
        other = taste.second * np.exp(-(((away - taste.gap) / taste.left) ** 2) / 2)
        return np.asarray(taste.base + taste.height * np.maximum(hill, other))

    def report(self, params: Params, n: int) -> tuple[Rating, Mapping[str, int]]:
        effects = self._effects(params, n)
        liked = float(self.value(params.state, np.array([params.f]), n)[0]) - 0.06 * effects.get("headache", 0)
        said = 0.5 + self.stretch * (liked - 0.5) + self.bias + self.mood[n] + self.slips[n]
        silent, half, which = self.chance[n, :3]
        if silent < self.scenario.silent:
            return Rating(None, None), effects
        stars = int(np.clip(round(1 + 4 * said[0]), 1, 5))
        effectiveness = int(np.clip(round(1 + 9 * said[1]), 1, 10))
        if half < self.scenario.half:
            return (Rating(stars, None) if which < 0.5 else Rating(None, effectiveness)), effects
        return Rating(stars, effectiveness), effects

    def _effects(self, params: Params, n: int) -> dict[str, int]:
        adverse, level, pace = self.chance[n, 3:]
        over, hurry = params.volume - self.loudest, params.transition / self.pace
        effects = {}
        risk = min(0.5, 0.03 + 0.01 * max(0.0, over) + (0.10 if hurry < 0.6 else 0.0))
        if adverse < risk:
            effects["headache"] = 1 + int(3 * adverse / risk)
        if over > 5 and level < 0.5:
            effects["too_loud"] = 1
        if over < -18 and level < 0.3:
            effects["too_quiet"] = 1
        if hurry < 0.75 and pace < 0.4:
            effects["too_fast"] = 1
        if hurry > 1.35 and pace < 0.3:
            effects["too_slow"] = 1
        return effects


def _taste(rng, key: str, scenario: Scenario, common: float, second: float, base: float, height: float) -> Taste:
    state = rules.STATES[key]
    width = state.high_hz - state.low_hz
    shift = scenario.shift * (1 if list(rules.STATES).index(key) % 2 else -1)
    centre = state.default_hz + width * (common + shift + rng.normal(0, SPREAD_STATE))
    centre = min(max(centre, state.low_hz), state.high_hz)
    half, skew = width * rng.uniform(0.18, 0.40), rng.lognormal(0, 0.35)
    side = 1 if centre < (state.low_hz + state.high_hz) / 2 else -1
    gap = side * width * rng.uniform(0.35, 0.60)
    return Taste(centre, half * skew, half / skew, gap, second, base, height)


def virtual_people(count: int, sessions: int, seed: int, scenario: Scenario) -> Iterator[Listener]:
    for i in range(count):
        yield Person(np.random.default_rng([seed, i]), sessions, scenario)


# --- policies -----------------------------------------------------------------------------------


def _usual(state: str, hz: float) -> Params:
    return Params(hz, curve.START_VOLUME, curve.START_TRANSITION_S, state)


def _liked(rating: Rating) -> tuple[float, float] | None:
    return curve.observation(rating.stars, rating.effectiveness)


def _centres(state: str) -> list[float]:
    window = rules.STATES[state]
    width = (window.high_hz - window.low_hz) / BINS
    return [window.low_hz + width * (i + 0.5) for i in range(BINS)]


class Ours:
    """Stillwave itself: the real curve and the real planner."""

    def __init__(self, person: Listener, rng: np.random.Generator) -> None:
        del person, rng
        self.response = curve.start()

    def recommend(self, state: str, n_so_far: int) -> Params:
        del n_so_far
        plan = rules.plan(
            self.response, (), initial_state="unsure", target_state=state, minutes=20, background="none",
            voice="none", headphones=True,
        )  # fmt: skip
        return Params(plan.target_hz, plan.volume_level, plan.transition_s, state)

    def observe(self, params: Params, rating: Rating, effects: Mapping[str, int]) -> None:
        feedback = curve.Feedback(rating.stars, rating.effectiveness, params.f, effects, None, params.state)
        self.response, _ = curve.fold(self.response, feedback)


class Fixed:
    """The usual beat of the state, always."""

    def __init__(self, person: Listener, rng: np.random.Generator) -> None:
        del person, rng

    def recommend(self, state: str, n_so_far: int) -> Params:
        del n_so_far
        return _usual(state, rules.STATES[state].default_hz)

    def observe(self, params: Params, rating: Rating, effects: Mapping[str, int]) -> None:
        """Learns nothing."""


class Random(Fixed):
    """Anywhere in the window."""

    def __init__(self, person: Listener, rng: np.random.Generator) -> None:
        super().__init__(person, rng)
        self.rng = rng

    def recommend(self, state: str, n_so_far: int) -> Params:
        del n_so_far
        return _usual(state, self.rng.uniform(rules.STATES[state].low_hz, rules.STATES[state].high_hz))


class Greedy(Random):
    """Epsilon-greedy over five bins a state: the best mean so far, and one session in ten anywhere."""

    EPSILON = 0.10

    def __init__(self, person: Listener, rng: np.random.Generator) -> None:
        super().__init__(person, rng)
        self.sums: dict[str, list[list[float]]] = {}

    def recommend(self, state: str, n_so_far: int) -> Params:
        del n_so_far
        # Each bin begins with one imagined rating in the middle; ties fall anywhere.
        bins = self.sums.setdefault(state, [[0.5, 1.0] for _ in range(BINS)])
        means = np.array([total / count for total, count in bins]) + self.rng.uniform(0, 1e-9, BINS)
        explore = self.rng.random() < self.EPSILON
        return _usual(state, _centres(state)[self.rng.integers(BINS) if explore else int(np.argmax(means))])

    def observe(self, params: Params, rating: Rating, effects: Mapping[str, int]) -> None:
        del effects
        if (seen := _liked(rating)) is not None:
            cell = self.sums[params.state][_centres(params.state).index(params.f)]
            cell[0], cell[1] = cell[0] + seen[0], cell[1] + 1


class Mab(Fixed):
    """MABWiser: UCB1 over the same five bins, one bandit a state."""

    ALPHA = 0.3  # its default of 1 is for rewards that are nearly certain to be 0 or 1

    def __init__(self, person: Listener, rng: np.random.Generator) -> None:
        super().__init__(person, rng)
        self.seed = int(rng.integers(2**31))
        self.bandits: dict[str, Any] = {}

    def recommend(self, state: str, n_so_far: int) -> Params:
        del n_so_far
        if state not in self.bandits:
            from mabwiser.mab import MAB, LearningPolicy

            bandit = MAB(_centres(state), LearningPolicy.UCB1(alpha=self.ALPHA), seed=self.seed)
            bandit.fit(_centres(state), [0.5] * BINS)
            self.bandits[state] = bandit
        return _usual(state, float(self.bandits[state].predict()))

    def observe(self, params: Params, rating: Rating, effects: Mapping[str, int]) -> None:
        del effects
        if (seen := _liked(rating)) is not None:
            self.bandits[params.state].partial_fit([params.f], [seen[0]])


class Exact(Fixed):
    """An exact Gaussian process with the prior, kernel, noise and planner of our groups' curves.

    What it has not: our grid, our forgetting, our bound on surprise, and what we borrow from the band. Solved here
    directly, the same as scikit-learn's in a hundredth of the time.
    """

    def __init__(self, person: Listener, rng: np.random.Generator) -> None:
        super().__init__(person, rng)
        self.seen: dict[str, list[tuple[float, float, float]]] = {}

    def recommend(self, state: str, n_so_far: int) -> Params:
        del n_so_far
        scores: list[float] = []
        for name, grid in _parts(state):
            mean, sd = self._posterior(self._key(state, name), name, grid)
            scores += (mean + sd).tolist()
        return _usual(state, float(np.concatenate([grid for _, grid in _parts(state)])[int(np.argmax(scores))]))

    def _key(self, state: str, band: str) -> str:
        return curve.group_key(curve.GROUP_OF_STATE[state], band)

    def _kernel(self, name: str, left: Floats, right: Floats) -> Floats:
        z = (_unit(name, left) - _unit(name, right).T) / 0.20
        return np.asarray(0.05**2 + 0.19**2 * np.exp(-(z**2) / 2))

    def _prior(self, key: str, hz: Floats) -> Floats:
        group = curve.GROUPS[key.split("_", maxsplit=1)[0]]
        return np.asarray(0.5 + 0.25 * (np.exp(-(((hz - group.centre_hz) / group.spread_hz) ** 2) / 2) - 0.5))

    def _posterior(self, key: str, name: str, hz: Floats) -> tuple[Floats, Floats]:
        seen = np.array(self.seen.get(key, [])).reshape(-1, 3)
        own = self._kernel(name, hz[:1], hz[:1])[0, 0]
        if not len(seen):
            return self._prior(key, hz), np.full(len(hz), np.sqrt(own))
        cross = self._kernel(name, hz, seen[:, 0])
        weights = np.linalg.solve(self._kernel(name, seen[:, 0], seen[:, 0]) + np.diag(seen[:, 2]), cross.T)
        mean = self._prior(key, hz) + weights.T @ (seen[:, 1] - self._prior(key, seen[:, 0]))
        return mean, np.sqrt(np.maximum(0.0, own - np.einsum("ij,ji->i", cross, weights)))

    def observe(self, params: Params, rating: Rating, effects: Mapping[str, int]) -> None:
        del effects
        if (seen := _liked(rating)) is not None:
            self.seen.setdefault(self._key(params.state, _band(params.f)), []).append((params.f, *seen))


class ExactBand(Exact):
    """The same of the bands' curves: as Stillwave was before it had groups of states."""

    def _key(self, state: str, band: str) -> str:
        del state
        return band

    def _kernel(self, name: str, left: Floats, right: Floats) -> Floats:
        z = (_unit(name, left) - _unit(name, right).T) / 0.20
        return np.asarray(0.14**2 + 0.16**2 * np.exp(-(z**2) / 2))

    def _prior(self, key: str, hz: Floats) -> Floats:
        band = curve.BANDS[key]
        return np.asarray(0.5 + 0.20 * (np.exp(-(((hz - band.centre_hz) / band.spread_hz) ** 2) / 2) - 0.5))


@functools.cache
def _parts(state: str) -> list[tuple[str, Floats]]:
    """The frequencies that may be planned for a state, band by band."""
    grid = rules.candidates(rules.STATES[state], screening.limits(()))
    names = dict.fromkeys(_band(hz) for hz in grid)
    return [(name, np.array([hz for hz in grid if _band(hz) == name])) for name in names]


class Fitted(Fixed):
    """A Gaussian process as scikit-learn users would begin: one a state, everything fitted to the ratings."""

    def __init__(self, person: Listener, rng: np.random.Generator) -> None:
        super().__init__(person, rng)
        self.seen: dict[str, list[tuple[float, float]]] = {}

    def recommend(self, state: str, n_so_far: int) -> Params:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

        seen = np.array(self.seen.get(state, []))
        if not len(seen):
            return super().recommend(state, n_so_far)
        window = rules.STATES[state]
        grid = np.array(rules.candidates(window, screening.limits(())))
        kernel = ConstantKernel(0.04, (0.001, 0.25)) * RBF(0.2, (0.05, 1.0)) + WhiteKernel(0.04, (0.005, 0.25))
        model = GaussianProcessRegressor(kernel)
        width = window.high_hz - window.low_hz
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(((seen[:, 0] - window.low_hz) / width)[:, None], seen[:, 1] - 0.5)
        mean, sd = model.predict(((grid - window.low_hz) / width)[:, None], return_std=True)
        certain = np.sqrt(np.maximum(0.0, sd**2 - model.kernel_.k2.noise_level))
        return _usual(state, float(grid[int(np.argmax(mean + certain))]))

    def observe(self, params: Params, rating: Rating, effects: Mapping[str, int]) -> None:
        del effects
        if (seen := _liked(rating)) is not None:
            self.seen.setdefault(params.state, []).append((params.f, seen[0]))


class Oracle(Fixed):
    """Knows what the person likes: regret 0, to hold the simulator itself true."""

    def __init__(self, person: Listener, rng: np.random.Generator) -> None:
        super().__init__(person, rng)
        self.person = person

    def recommend(self, state: str, n_so_far: int) -> Params:
        grid = _window(state)
        return _usual(state, float(grid[int(np.argmax(self.person.value(state, grid, n_so_far)))]))


def _band(hz: float) -> str:
    band = curve.band_of(hz)
    if band is None:
        raise ValueError(hz)
    return band.name


def _unit(name: str, hz: Floats) -> Floats:
    band = curve.BANDS[name]
    return np.asarray((hz - band.low_hz) / (band.high_hz - band.low_hz))[:, None]


def _window(state: str) -> Floats:
    return np.linspace(rules.STATES[state].low_hz, rules.STATES[state].high_hz, STEPS + 1)


MakePolicy = Callable[[Listener, np.random.Generator], Policy]
POLICIES: dict[str, MakePolicy] = {
    "ours": Ours, "fixed": Fixed, "random": Random, "greedy": Greedy, "mabwiser": Mab, "gp": Exact,
    "gp-band": ExactBand, "gp-fitted": Fitted, "oracle": Oracle,
}  # fmt: skip
LABELS = {
    "ours": "Stillwave", "fixed": "fixed protocol", "random": "random", "greedy": "epsilon-greedy bins",
    "mabwiser": "MABWiser UCB1", "gp": "exact Gaussian process", "gp-band": "exact process, bands only", "gp-fitted": "fitted Gaussian process",
    "oracle": "oracle",
}  # fmt: skip
DEFAULT = ("ours", "fixed", "random", "greedy", "mabwiser", "gp", "gp-band")  # the others by --policy
SLOW = ("mabwiser", "gp-fitted")
NEEDS = {"mabwiser": "mabwiser", "gp-fitted": "sklearn"}  # packages of the group "bench"


# --- the run ------------------------------------------------------------------------------------


class Outcome(NamedTuple):
    """Of one policy: regret by person and session, sessions with adverse effects, seconds a plan."""

    regret: Floats
    adverse: float
    plan_s: float


def best(person: Listener) -> Floats:
    """What the best frequency of each session is worth."""
    return np.array([float(np.max(person.value(s, _window(s), n))) for n, s in enumerate(person.states)])


def run(people: list[Listener], bests: list[Floats], name: str, seed: int) -> Outcome:
    """Let a policy plan every session of every person."""
    regret, adverse, spent = np.zeros((len(people), len(people[0].states))), 0, []
    for i, (person, top) in enumerate(zip(people, bests, strict=True)):
        policy = POLICIES[name](person, np.random.default_rng([seed, i, zlib.crc32(name.encode())]))
        for n, state in enumerate(person.states):
            begun = time.perf_counter()
            params = policy.recommend(state, n)
            spent.append(time.perf_counter() - begun)
            regret[i, n] = max(0.0, top[n] - float(person.value(state, np.array([params.f]), n)[0]))
            rating, effects = person.report(params, n)
            adverse += any(key in vocabulary.ADVERSE for key in effects)
            policy.observe(params, Rating(*rating), effects)
    return Outcome(regret, adverse / regret.size, float(np.median(spent)))


def figures(regret: Floats) -> dict[str, Floats]:
    """Per person: mean regret over sessions 1..n, and over the last ten."""
    sessions = regret.shape[1]
    found = {f"@{n}": regret[:, :n].mean(axis=1) for n in AT if n <= sessions}
    return {**found, f"last {LAST}": regret[:, -LAST:].mean(axis=1)}


def interval(values: Floats) -> tuple[float, float]:
    """(mean, half width of its 95 % confidence interval over people)."""
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return float(values.mean()), 1.96 * spread / float(np.sqrt(len(values)))


def table(outcomes: Mapping[str, Outcome]) -> list[str]:
    """Markdown: regret with its interval, adverse effects, time a plan."""
    columns = list(figures(next(iter(outcomes.values())).regret))
    lines = [f"| policy | people | {' | '.join(columns)} | adverse | plan ms |", "|---" * (len(columns) + 4) + "|"]
    for name, (regret, adverse, plan_s) in outcomes.items():
        cells = [f"{mean:.4f} ± {half:.4f}" for mean, half in map(interval, figures(regret).values())]
        tail = f"{100 * adverse:.1f} % | {1000 * plan_s:.2f} |"
        lines.append(f"| {LABELS[name]} | {len(regret)} | {' | '.join(cells)} | {tail}")
    return lines


def paired(outcomes: Mapping[str, Outcome]) -> list[str]:
    """Markdown: how much lower the regret of ours is than each policy's, on the same people."""
    if "ours" not in outcomes:
        return []
    columns = list(figures(outcomes["ours"].regret))
    lines = [f"| Stillwave against | people | {' | '.join(columns)} |", "|---" * (len(columns) + 2) + "|"]
    for name, (regret, _, _) in outcomes.items():
        if name == "ours":
            continue
        mine, cells = figures(outcomes["ours"].regret[: len(regret)]), []
        for column, theirs in figures(regret).items():
            gap, half = interval(mine[column] - theirs)
            share = f"{100 * gap / theirs.mean():+.0f} %" if theirs.mean() > 0 else "-"
            cells.append(f"{gap:+.4f} ± {half:.4f} ({share})")
        lines.append(f"| {LABELS[name]} | {len(regret)} | {' | '.join(cells)} |")
    return lines


COLOURS = ("#0b6e99", "#444444", "#b8860b", "#9b2f6a", "#3b7a3b", "#c0492b", "#6a51a3", "#999999")


def plot(outcomes: Mapping[str, Outcome], title: str) -> str:
    """The regret over sessions as SVG, each point a mean over people and five sessions."""
    width, height, left, right, top, bottom = 720, 400, 60, 540, 40, 350
    smooth = {}
    for name, outcome in outcomes.items():
        mean = outcome.regret.mean(axis=0)
        smooth[name] = [float(mean[max(0, n - 2) : n + 3].mean()) for n in range(len(mean))]
    most = max(0.01, *(max(line) for line in smooth.values())) * 1.05
    sessions = max(len(line) for line in smooth.values())
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="13">',
        f'<rect width="{width}" height="{height}" fill="#fff"/><text x="{left}" y="22" font-size="15">{title}</text>',
    ]
    for i in range(5):
        y = bottom - (bottom - top) * i / 4
        parts.append(f'<path d="M{left} {y:.1f}H{right}" stroke="#ddd"/>')
        parts.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{most * i / 4:.3f}</text>')
    parts.append(f'<text x="{(left + right) / 2}" y="{bottom + 36}" text-anchor="middle">session</text>')
    for n in sorted({1, *range(10, sessions + 1, 10)}):
        x = left + (right - left) * (n - 1) / max(1, sessions - 1)
        parts.append(f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{n}</text>')
    for i, (name, line) in enumerate(smooth.items()):
        colour = COLOURS[i % len(COLOURS)]
        points = " ".join(
            f"{left + (right - left) * n / max(1, sessions - 1):.1f},{bottom - (bottom - top) * value / most:.1f}"
            for n, value in enumerate(line)
        )
        thick = 3 if name == "ours" else 1.5
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{thick}"/>')
        y = top + 20 * i
        parts.append(f'<path d="M{right + 12} {y}h18" stroke="{colour}" stroke-width="{thick}"/>')
        parts.append(f'<text x="{right + 36}" y="{y + 4}">{LABELS[name]}</text>')
    return "".join((*parts, "</svg>\n"))


def simulate(people: Iterable[Listener], names: Iterable[str], seed: int, slow_people: int) -> dict[str, Outcome]:
    """Every policy on the same people; the slow ones on the first `slow_people` of them."""
    crowd = list(people)
    bests = [best(person) for person in crowd]
    outcomes = {}
    for name in names:
        if name in NEEDS and importlib.util.find_spec(NEEDS[name]) is None:
            print(f"Left out: {LABELS[name]}. `uv sync --group bench` installs {NEEDS[name]}.", file=sys.stderr)
            continue
        count = min(len(crowd), slow_people) if name in SLOW else len(crowd)
        with _one_thread() if name in SLOW else nullcontext():
            outcomes[name] = run(crowd[:count], bests[:count], name, seed)
    return outcomes


def _expected_times(factor: float) -> Callable[..., tuple[float, float]]:
    true = curve.expected

    def expected(response: curve.Response, hz: float, group: str | None = None) -> tuple[float, float]:
        mean, sd = true(response, hz, group)
        return mean, factor * sd

    return expected


def _noise(factor: float) -> dict[str, Any]:
    names = ("NOISE_BOTH", "NOISE_RATING", "NOISE_EFFECTIVENESS")
    return {name: factor * getattr(curve, name) for name in names}


VARIANTS: dict[str, dict[str, Any]] = {
    "forgetting none": {"KEEP": 1.0, "KEEP_ROOT": 1.0},
    "forgetting 0.97": {"KEEP": 0.97, "KEEP_ROOT": 0.97**0.5},
    "surprise unbounded": {"SURPRISE": 9.0},
    "surprise 0.3": {"SURPRISE": 0.3},
    "noise halved": _noise(0.5),
    "noise doubled": _noise(2.0),
    "optimism 0": {"expected": _expected_times(0.0)},
    "optimism 0.5": {"expected": _expected_times(0.5)},
    "optimism 2": {"expected": _expected_times(2.0)},
}


def constants(crowds: Mapping[str, Iterable[Listener]], seed: int) -> list[str]:
    """Markdown: what another constant would change in ours, mean regret over all sessions, paired."""
    held = {title: list(crowd) for title, crowd in crowds.items()}
    bests = {title: [best(person) for person in crowd] for title, crowd in held.items()}

    def overall(title: str) -> Floats:
        return run(held[title], bests[title], "ours", seed).regret.mean(axis=1)

    mine = {title: overall(title) for title in held}
    lines = [f"| instead | {' | '.join(held)} |", "|---" * (len(held) + 1) + "|"]
    lines.append(f"| as it is | {' | '.join(f'{mine[title].mean():.4f}' for title in held)} |")
    for label, changed in VARIANTS.items():
        with mock.patch.multiple(curve, **changed):
            gaps = [interval(overall(title) - mine[title]) for title in held]
        lines.append(f"| {label} | {' | '.join(f'{gap:+.4f} ± {half:.4f}' for gap, half in gaps)} |")
    return lines


def _one_thread() -> AbstractContextManager[Any]:
    """Small matrices take four times as long on two threads as on one."""
    from threadpoolctl import threadpool_limits

    limited: AbstractContextManager[Any] = threadpool_limits(1)
    return limited


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n", 1)[0])
    parser.add_argument("--people", type=int, default=300)
    parser.add_argument("--slow-people", type=int, default=60, help=f"for {', '.join(SLOW)} (default 60)")
    parser.add_argument("--sessions", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scenario", action="append", choices=SCENARIOS, help="may be repeated; default main")
    parser.add_argument("--policy", action="append", choices=POLICIES, help=f"may be repeated; default {', '.join(DEFAULT)}")
    parser.add_argument("--population", type=Path, metavar="FILE.py", help="your own people instead of a scenario")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="regret over sessions of the last scenario")
    parser.add_argument("--constants", action="store_true", help="what other constants would change in ours")
    options = parser.parse_args(arguments)
    if min(options.people, options.slow_people, options.sessions) < 1:
        parser.error("--people, --slow-people and --sessions must be at least 1")
    return options


def main(arguments: list[str]) -> None:
    options = _options(arguments)
    count, sessions, seed = options.people, options.sessions, options.seed
    crowds: dict[str, Iterable[Listener]]
    if options.population:
        own = runpy.run_path(str(options.population))
        if "people" not in own:
            sys.exit(f"{options.population} has no function people(count, sessions, seed)")
        crowds = {options.population.name: own["people"](count, sessions, seed)}
    else:
        names = options.scenario or ["main"]
        crowds = {name: virtual_people(count, sessions, seed, SCENARIOS[name]) for name in names}
    if options.constants:
        print("\n".join(constants(crowds, seed)))
        return
    for title, crowd in crowds.items():
        begun = time.monotonic()
        outcomes = simulate(crowd, options.policy or DEFAULT, seed, options.slow_people)
        print(f"\n### {title}\n\nMean frequency regret ± 95 % confidence, seed {seed}.\n")
        print("\n".join(table(outcomes)))
        print("\nPaired difference on the same people (negative: Stillwave has less regret).\n")
        print("\n".join(paired(outcomes)))
        print(f"\n({time.monotonic() - begun:.0f} s)", flush=True)
        if options.plot:
            options.plot.write_text(plot(outcomes, f"Frequency regret over sessions: {title}"))


if __name__ == "__main__":
    main(sys.argv[1:])
