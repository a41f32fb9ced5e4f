"""The simulator of `bench/learning.py` measures what it says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench import learning
from stillwave.profiles import curve

BENCH = Path(__file__).parents[2] / "bench"


def crowd(count=4, sessions=8, seed=3, scenario="main"):
    return learning.virtual_people(count, sessions, seed, learning.SCENARIOS[scenario])


@pytest.mark.parametrize("scenario", learning.SCENARIOS)
def test_same_seed_same_figures(scenario):
    names = ("ours", "fixed", "random", "greedy")
    once, again = (learning.simulate(crowd(scenario=scenario), names, 3, 5) for _ in range(2))
    other = learning.simulate(crowd(seed=4, scenario=scenario), names, 4, 5)
    for name in names:
        assert np.array_equal(once[name].regret, again[name].regret)
        assert once[name].adverse == again[name].adverse
        assert not np.array_equal(once[name].regret, other[name].regret)


def test_a_person_does_not_depend_on_how_many_there_are():
    few = learning.simulate(crowd(2), ("ours",), 3, 5)["ours"].regret
    assert np.array_equal(few, learning.simulate(crowd(5), ("ours",), 3, 5)["ours"].regret[:2])


@pytest.mark.parametrize("scenario", learning.SCENARIOS)
def test_who_knows_the_person_has_no_regret(scenario):
    outcome = learning.simulate(crowd(scenario=scenario), ("oracle",), 3, 5)["oracle"]
    assert outcome.regret.max() == 0.0


@pytest.mark.parametrize("scenario", learning.SCENARIOS)
def test_reports_are_in_range_and_some_are_missing(scenario):
    seen = []
    for person in crowd(sessions=40, scenario=scenario):
        for n, state in enumerate(person.states):
            rating, effects = person.report(learning.Params(9.0, 60, 100, state), n)
            seen.append(rating)
            assert set(effects) <= {"headache", "too_loud", "too_quiet", "too_fast", "too_slow"}
    assert {rating.stars for rating in seen} == {None, 1, 2, 3, 4, 5}
    assert {rating.effectiveness for rating in seen} <= {None, *range(1, 11)}
    assert learning.Rating(None, None) in seen


def test_learning_beats_chance_after_thirty_sessions():
    outcomes = learning.simulate(crowd(40, 30), ("ours", "random"), 3, 40)
    gap, half = learning.interval(outcomes["ours"].regret[:, -10:].mean(1) - outcomes["random"].regret[:, -10:].mean(1))
    assert gap + half < 0


def test_the_exact_process_is_our_fold_without_forgetting_where_the_grid_is(monkeypatch):
    """At grid points interpolation is exact, so that a process solved at once and step by step must agree."""
    for name, value in (("KEEP", 1.0), ("KEEP_ROOT", 1.0), ("SURPRISE", 9.0), ("BORROW", 0.0)):
        monkeypatch.setattr(curve, name, value)
    grid = [curve.BANDS["alpha"].grid_hz(point) for point in range(8)]
    told = [(grid[5], 5, 9), (grid[1], 2, None), (grid[5], 3, 8), (grid[4], None, 2)]
    for make, group in ((learning.Exact, "calm"), (learning.ExactBand, None)):
        person = next(iter(crowd(1)))
        exact, response = make(person, np.random.default_rng(1)), curve.start()
        for hz, stars, effectiveness in told:
            exact.observe(learning.Params(hz, 45, 240, "calm_focus"), learning.Rating(stars, effectiveness), {})
            response, _ = curve.fold(response, curve.Feedback(stars, effectiveness, hz, target_state="calm_focus"))
        mean, sd = exact._posterior(exact._key("calm_focus", "alpha"), "alpha", np.array(grid))
        ours = [curve.expected(response, hz, group) for hz in grid]
        assert np.allclose(np.array([mean, sd]).T, ours, atol=1e-12)


def test_a_population_of_ones_own(tmp_path, capsys):
    picture = tmp_path / "regret.svg"
    learning.main([
        "--population", str(BENCH / "population_example.py"), "--people", "4", "--sessions", "21", "--seed", "2",
        "--policy", "ours", "--policy", "fixed", "--plot", str(picture),
    ])  # fmt: skip
    printed = capsys.readouterr().out
    assert "### population_example.py" in printed
    assert "| Stillwave | 4 |" in printed
    assert "| fixed protocol | 4 |" in printed
    assert "@20" in printed
    assert "@50" not in printed
    assert picture.read_text().count("<polyline") == 2


def test_a_population_without_people_is_refused(tmp_path):
    empty = tmp_path / "empty.py"
    empty.write_text("")
    with pytest.raises(SystemExit, match="has no function people"):
        learning.main(["--population", str(empty)])


@pytest.mark.parametrize("wrong", [["--people", "0"], ["--sessions", "-1"], ["--scenario", "other"]])
def test_wrong_options_are_refused(wrong):
    with pytest.raises(SystemExit) as refused:
        learning.main(wrong)
    assert refused.value.code == 2
