"""Does it work for me? Sessions with and without the beat, dealt by lot, and what their ratings differ by. Pure.

Permuted blocks keep the arms at two to one (Matts and Lachin 1988): of every six sessions two are without the beat.
The difference is given with Welch's 95 % interval (Welch 1947), which does not assume that both arms scatter alike.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from typing import Final, Literal

import msgspec

Arm = Literal["beat", "steady"]

BLOCK, STEADY_IN_BLOCK = 6, 2
# Fewer ratings than this on either side say nothing (convention).
LEAST_RATED: Final = 4
# Ratings are whole stars: a spread below that of rounding alone (1 / 12) is not believed.
LEAST_VARIANCE: Final = 1 / 12
# The 97.5 % point of Student's t by degrees of freedom; between two, the smaller (so the interval is never too short).
_T: Final = {
    1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262, 10: 2.228, 11: 2.201,
    12: 2.179, 13: 2.160, 14: 2.145, 15: 2.131, 16: 2.120, 17: 2.110, 18: 2.101, 19: 2.093, 20: 2.086, 25: 2.060,
    30: 2.042, 40: 2.021, 60: 2.000, 120: 1.980, 1000: 1.962,
}  # fmt: skip


class Rated(msgspec.Struct, frozen=True):
    """A session of the comparison and its blind rating, if it has one."""

    arm: Arm
    rating: int | None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What the comparison says: ratings and means by arm, beat minus steady with its 95 % interval, in words too."""

    beat_n: int
    steady_n: int
    beat_mean: float | None = None
    steady_mean: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    sentence: str


def draw(seed: int, beats: int, steadies: int) -> Arm:
    """The arm of the next session after so many of each since the person last looked; the same for the same seed.

    Dealt from what is left of the block: the arms even out, and the last of a block is the only certain one.
    """
    dealt = beats + steadies
    left = BLOCK - dealt % BLOCK
    steady_left = min(left, max(0, STEADY_IN_BLOCK * (dealt // BLOCK + 1) - steadies))
    return "steady" if random.Random(f"arm {seed}").randrange(left) < steady_left else "beat"  # noqa: S311  a lot


def outcome(sessions: Iterable[Rated]) -> Outcome:
    """The difference between the arms, with its uncertainty, in words."""
    ratings: dict[Arm, list[int]] = {"beat": [], "steady": []}
    for session in sessions:
        if session.rating is not None:
            ratings[session.arm].append(session.rating)
    beat, steady = ratings["beat"], ratings["steady"]
    if min(len(beat), len(steady)) < LEAST_RATED:
        return Outcome(
            beat_n=len(beat), steady_n=len(steady),
            sentence=f"So far we cannot tell: {_count(len(beat))} with the beat and {len(steady)} without; at least "
            f"{LEAST_RATED} of each are needed.",
        )  # fmt: skip
    (beat_mean, beat_error), (steady_mean, steady_error) = _mean(beat), _mean(steady)
    spread = beat_error + steady_error
    freedom = spread**2 / (beat_error**2 / (len(beat) - 1) + steady_error**2 / (len(steady) - 1))
    margin = _t(freedom) * math.sqrt(spread)
    difference = beat_mean - steady_mean
    low, high = difference - margin, difference + margin
    return Outcome(
        beat_n=len(beat), steady_n=len(steady), beat_mean=beat_mean, steady_mean=steady_mean, difference=difference,
        low=low, high=high, sentence=_verdict(difference, low, high),
    )  # fmt: skip


def _mean(ratings: list[int]) -> tuple[float, float]:
    """The mean, and its variance."""
    mean = sum(ratings) / len(ratings)
    variance = sum((rating - mean) ** 2 for rating in ratings) / (len(ratings) - 1)
    return mean, max(variance, LEAST_VARIANCE) / len(ratings)


def _t(freedom: float) -> float:
    return _T[max(known for known in _T if known <= max(1.0, freedom))]


def _verdict(difference: float, low: float, high: float) -> str:
    size = f"{abs(difference):.1f} of a star"
    between = f"95 % interval {low:+.1f} to {high:+.1f}"
    if low > 0:
        return f"You rated sessions with the beat higher, by {size} on average ({between}). One such result in twenty is chance."
    if high < 0:
        return f"You rated sessions without the beat higher, by {size} on average ({between}). One such result in twenty is chance."
    return f"So far we cannot tell: the difference is {difference:+.1f} stars, and it may well be none ({between})."


def _count(n: int) -> str:
    return f"{n} rated session{'s' if n != 1 else ''}"
