"""Thousands of profiles folded at once are those that the one fold makes."""

from __future__ import annotations

import json
import random

import pytest

from stillwave.profiles import curve
from stillwave.promote import learn


@pytest.mark.parametrize("seed", range(3))
def test_profiles_made_side_by_side_are_those_of_the_one_fold(seed: int) -> None:
    chance = random.Random(seed)
    given = [
        learn.Given(
            f"{person:03}", f"{person:03}-{k:03}", f"2026-01-{k % 28 + 1:02}T00:00:00.000Z",
            chance.choice([None, 1, 2, 3, 4, 5]), chance.choice([None, 2, 4, 6, 8, 10]),
            chance.choice([None, 0.4, 0.5, 4.0, 8.0, 12.99, 13.0, 30.0, 50.0, 50.01, round(chance.uniform(0.5, 50), 2)]),
        )
        for person in range(25) for k in range(chance.choice([1, 3, 40, 70]))
    ]  # fmt: skip
    found = learn.fold(given)
    history = {row[1]: json.loads(row[3] or "") for row in found.history}
    checkpoints = {row[2]: curve.parse(row[3] or "") for row in found.checkpoints}
    assert len(history) == len(given)
    for person in {one.user_id for one in given}:
        response, mine = curve.start(), [one for one in given if one.user_id == person]
        for n, one in enumerate(mine, 1):
            response, change = curve.fold(response, curve.Feedback(one.rating, one.effectiveness, one.hz))
            told = history[one.id]
            assert told.keys() == {name for name in change.__struct_fields__ if getattr(change, name) is not None}
            for name, value in told.items():
                assert value == pytest.approx(list(have) if isinstance(have := getattr(change, name), tuple) else have, abs=1e-12)
            assert (one.id in checkpoints) == (n % 32 == 0)
            if n % 32 == 0:
                same(checkpoints[one.id], response)
        row = found.profiles[person]
        same(curve.parse(row[0] or ""), response)
        assert (row[1], row[3]) == (str(curve.transition_time_s(response)), str(curve.sensitivity_level(response)))
        assert (row[4], row[5]) == (mine[0].created_at, mine[-1].created_at)
        for at, band in ((6, "alpha"), (8, "theta"), (10, "delta"), (12, "gamma")):
            known = curve.preferred_range(response, band)
            assert (known is None) == (row[at] is None)
            if known is not None:
                assert (float(row[at] or 0), float(row[at + 1] or 0)) == pytest.approx(known)


def same(one: curve.Response, other: curve.Response) -> None:
    assert (one.n, one.nt, one.bands.keys()) == (other.n, other.nt, other.bands.keys())
    assert one.sens == pytest.approx(other.sens)
    for name, band in one.bands.items():
        assert band.n == other.bands[name].n
        assert band.m == pytest.approx(other.bands[name].m, abs=1e-12)
        assert pytest.approx(other.bands[name].C, abs=1e-12) == band.C


def test_nobody_is_nothing() -> None:
    assert learn.fold([]) == learn.Learned({}, [], [])
