"""The curve in Python: shape, storage, and what a rating may do."""

import json
import math
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillwave.profiles import curve, effects

RATINGS = st.one_of(st.none(), st.integers(1, 5))
EFFECTIVENESS = st.one_of(st.none(), st.integers(1, 10))
HEARD_HZ = st.floats(0.5, 50).map(lambda hz: round(hz, 2))
GRADES = st.one_of(
    st.floats(0, 3), st.integers(0, 3), st.booleans(), st.sampled_from(["none", "mild", "moderate", "severe"])
)
EFFECTS = st.dictionaries(st.sampled_from([*effects.VOCABULARY, "hiccups"]), GRADES, max_size=4)
FEEDBACK = st.builds(curve.Feedback, RATINGS, EFFECTIVENESS, st.one_of(st.none(), HEARD_HZ), EFFECTS, EFFECTS)
HISTORIES = st.lists(FEEDBACK, max_size=8)
FEW = settings(max_examples=50, deadline=None)


@FEW
@given(HISTORIES, EFFECTIVENESS, HEARD_HZ)
def test_a_higher_rating_never_lowers_the_mean_where_it_was_given(
    history: list[curve.Feedback], effectiveness: int | None, hz: float
) -> None:
    before = curve.fold_all(history)
    means = [
        curve.expected(curve.fold(before, curve.Feedback(rating, effectiveness, hz))[0], hz)[0]
        for rating in range(1, 6)
    ]
    assert all(low <= high for low, high in pairwise(means))


@FEW
@given(HISTORIES, RATINGS, HEARD_HZ)
def test_a_higher_effectiveness_never_lowers_the_mean_where_it_was_given(
    history: list[curve.Feedback], rating: int | None, hz: float
) -> None:
    before = curve.fold_all(history)
    means = [
        curve.expected(curve.fold(before, curve.Feedback(rating, value, hz))[0], hz)[0]
        for value in range(1, 11)
    ]
    assert all(low <= high for low, high in pairwise(means))


@FEW
@given(HISTORIES, FEEDBACK, st.floats(0.5, 3))
def test_worse_effects_make_more_sensitive_never_less(
    history: list[curve.Feedback], feedback: curve.Feedback, worse: float
) -> None:
    before = curve.fold_all(history)
    milder, _ = curve.fold(before, msgspec.structs.replace(feedback, physical_effects={"nausea": worse / 2}))
    severer, _ = curve.fold(before, msgspec.structs.replace(feedback, physical_effects={"nausea": worse}))
    assert severer.sens >= milder.sens
    assert severer.vol == milder.vol


@FEW
@given(HISTORIES)
def test_a_state_survives_its_storage_to_the_last_digit(history: list[curve.Feedback]) -> None:
    state = curve.fold_all(history)
    assert curve.parse(curve.serialise(state)) == state


@FEW
@given(HISTORIES)
def test_everything_stays_within_its_bounds(history: list[curve.Feedback]) -> None:
    state = curve.fold_all(history)
    assert state.n == len(history)
    assert 1 <= curve.sensitivity_level(state) <= 10
    assert 60 <= curve.transition_time_s(state) <= 900
    assert 10 <= state.vol <= 70
    for name in state.bands:
        found, band = curve.preferred_range(state, name), curve.BANDS[name]
        assert found is not None
        assert band.low_hz <= found[0] < found[1] <= band.high_hz
        assert all(state.bands[name].C[p] > 0 for p, (j, k) in enumerate(curve.TRIANGLE) if j == k)


@FEW
@given(HISTORIES, FEEDBACK)
def test_folding_leaves_the_state_before_as_it_was(
    history: list[curve.Feedback], feedback: curve.Feedback
) -> None:
    before = curve.fold_all(history)
    copy = curve.parse(curve.serialise(before))
    curve.fold(before, feedback)
    assert before == copy


def test_the_stored_shape_is_the_documented_one() -> None:
    state = curve.fold_all([curve.Feedback(4, 7, 10.0, {}, {"too_fast": True})])
    stored = json.loads(curve.serialise(state))
    assert list(stored) == ["v", "n", "sens", "trans", "vol", "nt", "bands"]
    assert {key: value for key, value in stored.items() if key != "bands"} == {
        "v": 1, "n": 1, "sens": 4.94, "trans": 312.0, "vol": 45.0, "nt": 1,
    }  # fmt: skip
    assert list(stored["bands"]["alpha"]) == ["n", "m", "C"]
    assert (len(stored["bands"]["alpha"]["m"]), len(stored["bands"]["alpha"]["C"])) == (9, 45)


@pytest.mark.parametrize(
    ("hz", "name"),
    [(None, None), (0.49, None), (0.5, "delta"), (4, "theta"), (7.99, "theta"), (8, "alpha"), (13, "beta"),
     (30, "gamma"), (50, "gamma"), (50.01, None)],
)  # fmt: skip
def test_a_band_holds_its_lower_end(hz: float | None, name: str | None) -> None:
    band = curve.band_of(hz)
    assert (band.name if band else None) == name


def test_a_feedback_without_a_rating_leaves_the_curve() -> None:
    state, change = curve.fold(curve.start(), curve.Feedback(None, None, 10.0))
    assert state.bands == {}
    assert (change.f, change.best) == (None, None)


def test_contradictory_pace_and_level_change_nothing() -> None:
    said = {"too_fast": True, "too_slow": True, "too_loud": 1, "too_quiet": 2}
    state, _ = curve.fold(curve.start(), curve.Feedback(3, None, 10.0, said))
    assert (state.trans, state.vol, state.nt) == (240.0, 45.0, 0)


def test_the_root_of_what_is_kept_is_its_root() -> None:
    assert math.isclose(curve.KEEP_ROOT**2, curve.KEEP, abs_tol=1e-15)


def test_ratings_at_one_frequency_pull_the_best_point_there() -> None:
    state = curve.fold_all([curve.Feedback(5, 10, 12.0), curve.Feedback(1, 1, 9.0)] * 10)
    found = curve.preferred_range(state, "alpha")
    assert found is not None
    assert found[0] > 10
    assert curve.expected(state, 12.0)[0] > 0.8
    assert curve.expected(state, 9.0)[0] < 0.4
