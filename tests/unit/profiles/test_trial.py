"""Dealing the arms, and what is said of their difference."""

from __future__ import annotations

import math
import random
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillwave.profiles import trial
from stillwave.profiles.trial import Rated


def dealt(seeds: list[int]) -> list[trial.Arm]:
    arms: list[trial.Arm] = []
    for seed in seeds:
        arms.append(trial.draw(seed, arms.count("beat"), arms.count("steady")))
    return arms


@given(st.lists(st.integers(0, 2**53 - 1), min_size=60, max_size=60))
@settings(max_examples=100, deadline=None)
def test_of_every_six_sessions_two_are_without_the_beat(seeds: list[int]) -> None:
    arms = dealt(seeds)
    assert [arms[i : i + 6].count("steady") for i in range(0, 60, 6)] == [2] * 10
    assert arms == dealt(seeds)


def test_every_place_in_a_block_is_as_likely_without_the_beat() -> None:
    chance = random.Random(1)
    blocks = [dealt([chance.randrange(2**53) for _ in range(6)]) for _ in range(3000)]
    for place in range(6):
        share = sum(block[place] == "steady" for block in blocks) / 3000
        assert abs(share - 1 / 3) < 0.04  # 4.6 standard errors


@pytest.mark.parametrize(("beats", "steadies"), [*product(range(12), range(12))])
def test_arms_that_old_age_has_unbalanced_are_still_dealt(beats: int, steadies: int) -> None:
    assert trial.draw(5, beats, steadies) in ("beat", "steady")


def rated(beat: list[int], steady: list[int]) -> list[Rated]:
    return [Rated("beat", each) for each in beat] + [Rated("steady", each) for each in steady]


def beyond(t: float, freedom: float) -> float:
    """The probability that Student's t lies above t: Simpson's rule over the angle, where the density is a cosine's power."""
    n, start = 2000, math.atan(t / math.sqrt(freedom))
    step = (math.pi / 2 - start) / n
    heights = [math.cos(start + step * i) ** (freedom - 1) for i in range(n + 1)]
    area = step / 3 * (heights[0] + heights[-1] + 4 * sum(heights[1:-1:2]) + 2 * sum(heights[2:-1:2]))
    return area * math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(math.pi)


def test_the_interval_is_that_of_welch() -> None:
    """Worked by hand: means 4 and 2.6, their variances 8/7/8 and 1.3/5, 8.19 degrees of freedom."""
    found = trial.outcome(rated([5, 4, 4, 3, 5, 5, 4, 2], [3, 3, 4, 2, 1]))
    assert found.difference == pytest.approx(1.4)
    assert found.low is not None
    assert found.high is not None
    half = (found.high - found.low) / 2
    # The table takes the next lower whole number of degrees of freedom: never shorter, and not much longer.
    assert 0.024 < beyond(half / math.sqrt(1 / 7 + 0.26), 8.19) < 0.025


def test_the_table_is_student_s() -> None:
    for freedom, point in trial._T.items():
        assert beyond(point, freedom) == pytest.approx(0.025, abs=0.00004)


def test_too_few_ratings_are_said_to_be_too_few() -> None:
    found = trial.outcome([*rated([5] * 9, [1] * 3), Rated("steady", None)])
    assert (found.beat_n, found.steady_n, found.difference) == (9, 3, None)
    assert found.sentence.startswith("So far we cannot tell: 9 rated sessions with the beat and 3 without")


def test_no_difference_is_called_none() -> None:
    found = trial.outcome(rated([3, 4, 5, 4] * 3, [3, 4, 5, 4]))
    assert found.difference == 0
    assert "we cannot tell" in found.sentence
    assert "may well be none" in found.sentence


def test_a_difference_is_named_in_its_direction() -> None:
    assert "with the beat higher, by 2.0" in trial.outcome(rated([5] * 8, [3] * 4)).sentence
    assert "without the beat higher, by 2.0" in trial.outcome(rated([3] * 8, [5] * 4)).sentence


def test_ratings_that_never_vary_are_not_believed_to_be_exact() -> None:
    found = trial.outcome(rated([4] * 4, [4] * 4))
    assert found.low is not None
    assert found.high is not None
    assert found.high - found.low > 0.8


@pytest.mark.parametrize("n", [6, 18, 60])
def test_where_there_is_no_difference_the_interval_holds_none_nineteen_times_in_twenty(n: int) -> None:
    """Whole stars, two to one, no true difference: 3,000 comparisons of 3 n ratings each."""
    chance, held = random.Random(n), 0
    for _ in range(3000):
        stars = chance.choices((1, 2, 3, 4, 5), (1, 2, 4, 4, 2), k=3 * n)
        found = trial.outcome(rated(stars[: 2 * n], stars[2 * n :]))
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 0 <= found.high
    assert 0.94 <= held / 3000 <= 0.985
