"""The curve in Python: shape, storage, and what a rating may do."""

import json
import math
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillwave.profiles import curve, effects, rules, screening, trial

RATINGS = st.one_of(st.none(), st.integers(1, 5))
EFFECTIVENESS = st.one_of(st.none(), st.integers(1, 10))
HEARD_HZ = st.floats(0.5, 50).map(lambda hz: round(hz, 2))
GRADES = st.one_of(
    st.floats(0, 3), st.integers(0, 3), st.booleans(), st.sampled_from(["none", "mild", "moderate", "severe"])
)
EFFECTS = st.dictionaries(st.sampled_from([*effects.VOCABULARY, "hiccups"]), GRADES, max_size=4)
STATE = st.sampled_from([None, "joy", *curve.GROUP_OF_STATE])
FEEDBACK = st.builds(
    curve.Feedback, RATINGS, EFFECTIVENESS, st.one_of(st.none(), HEARD_HZ), EFFECTS, EFFECTS, STATE
)
HISTORIES = st.lists(FEEDBACK, max_size=8)
FEW = settings(max_examples=50, deadline=None)


@FEW
@given(HISTORIES, EFFECTIVENESS, HEARD_HZ, STATE)
def test_a_higher_rating_never_lowers_the_mean_where_it_was_given(
    history: list[curve.Feedback], effectiveness: int | None, hz: float, wanted: str | None
) -> None:
    before = curve.fold_all(history)
    after = [
        curve.fold(before, curve.Feedback(rating, effectiveness, hz, target_state=wanted))[0] for rating in range(1, 6)
    ]
    for group in (None, curve.group_of(wanted)):
        means = [curve.expected(state, hz, group)[0] for state in after]
        assert all(low <= high for low, high in pairwise(means))


@FEW
@given(HISTORIES, RATINGS, HEARD_HZ, STATE)
def test_a_higher_effectiveness_never_lowers_the_mean_where_it_was_given(
    history: list[curve.Feedback], rating: int | None, hz: float, wanted: str | None
) -> None:
    before = curve.fold_all(history)
    after = [
        curve.fold(before, curve.Feedback(rating, value, hz, target_state=wanted))[0] for value in range(1, 11)
    ]
    for group in (None, curve.group_of(wanted)):
        means = [curve.expected(state, hz, group)[0] for state in after]
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
    state = curve.fold_all([curve.Feedback(4, 7, 10.0, {}, {"too_fast": True}, "calm_focus")])
    stored = json.loads(curve.serialise(state))
    assert list(stored) == ["v", "n", "sens", "trans", "vol", "nt", "bands", "groups"]
    assert {key: value for key, value in stored.items() if key not in ("bands", "groups")} == {
        "v": 2, "n": 1, "sens": 4.94, "trans": 312.0, "vol": 45.0, "nt": 1,
    }  # fmt: skip
    assert list(stored["bands"]["alpha"]) == ["n", "m", "C"]
    assert (len(stored["bands"]["alpha"]["m"]), len(stored["bands"]["alpha"]["C"])) == (9, 45)
    assert list(stored["groups"]) == ["calm_alpha"]


def test_who_likes_9_hz_in_the_evening_and_11_by_day_is_not_averaged() -> None:
    liked = {"evening_wind_down": 9.0, "calm_focus": 11.0}
    history = [
        curve.Feedback(5 if hz == liked[state] else 1, None, hz, target_state=state)
        for _ in range(12)
        for state in liked
        for hz in (9.0, 11.0)
    ]
    state = curve.fold_all(history)
    at = {wanted: [curve.expected(state, hz, curve.group_of(wanted))[0] for hz in (9.0, 11.0)] for wanted in liked}
    assert at["evening_wind_down"][0] > at["evening_wind_down"][1] + 0.4
    assert at["calm_focus"][1] > at["calm_focus"][0] + 0.4
    whole = [curve.expected(state, hz)[0] for hz in (9.0, 11.0)]
    assert abs(whole[0] - whole[1]) < 0.15  # the band itself averages


def test_a_group_begins_half_way_to_what_its_band_has_learned() -> None:
    before = curve.fold_all([curve.Feedback(5, None, 11.0, target_state="calm_focus")] * 10)
    band = curve.expected(before, 11.0)[0] - curve.expected(curve.start(), 11.0)[0]
    evening = curve.expected(before, 11.0, "evening")[0] - curve.expected(curve.start(), 11.0, "evening")[0]
    assert band > 0.1
    assert abs(evening - band / 2) < 1e-12


def test_every_state_has_a_group_and_its_window_lies_in_the_group_s_bands() -> None:
    for key, state in rules.STATES.items():
        group = curve.GROUPS[curve.GROUP_OF_STATE[key]]
        touched = {curve.band_of(hz).name for hz in rules.candidates(state, screening.limits(()))}  # type: ignore[union-attr]
        assert set(group.bands) == touched
        assert abs(group.spread_hz - 0.4 * (state.high_hz - state.low_hz)) < 1e-9
        assert abs(group.centre_hz - state.default_hz) <= 0.25


@given(st.lists(FEEDBACK, max_size=12))
def test_version_1_is_read_without_groups(history: list[curve.Feedback]) -> None:
    state = curve.fold_all(history)
    bare = {key: value for key, value in json.loads(curve.serialise(state)).items() if key != "groups"}
    read = curve.parse(json.dumps({**bare, "v": 1}))
    assert (read.bands, read.groups) == (state.bands, {})


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


def test_every_constant_is_explained() -> None:
    told = (Path(__file__).parents[3] / "docs" / "science.md").read_text()
    named = {name for name in vars(curve) if name.isupper()} - {"VERSION", "TRIANGLE", "GROUP_OF_STATE"}
    for module in (rules, screening, trial):
        named |= {name for name, value in vars(module).items() if name.isupper() and isinstance(value, int | float)}
    named -= {"VERSION"}
    assert {name for name in named if f"`{name}`" not in told and f"`{name} " not in told} == set()
    rows = [line for line in told.split("| constant |")[1].split("\n\n")[0].splitlines() if line.startswith("| ")]
    assert [line for line in rows if line.count("|") != 4 or not line.split("|")[3].strip()] == []
