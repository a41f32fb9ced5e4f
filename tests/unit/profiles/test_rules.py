"""The planner and the screening, exhaustively where the question is safety."""

import re
from itertools import combinations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillwave.profiles import curve, rules, screening

BLOCKING = [key for key, each in screening.CONDITIONS.items() if each.action == "block"]
BLOCKING += ["adverse:seizure", "adverse:chest_pain", "adverse:anything_new"]
LIMITING = [key for key, each in screening.CONDITIONS.items() if each.action != "block"] + ["some free text"]
FEW = settings(max_examples=50, deadline=None)
LOUD = curve.Response(1, 3, 1.0, 900.0, 70.0, 0, {})
LEARNED = curve.fold_all([curve.Feedback(1 + n % 5, None, 0.5 + n * 0.49) for n in range(100)])
NOW = [*rules.STATES, rules.UNSURE]


@pytest.mark.parametrize("condition", BLOCKING)
def test_no_plan_has_a_beat_for_a_blocked_condition(condition: str) -> None:
    for state, now, kind, headphones in product(rules.STATES, NOW, rules.KINDS, (True, False)):
        for others in ((), ("tinnitus",), ("ptsd", "pregnancy")):
            told = {
                "initial_state": now,
                "kind": kind,
                "headphones": headphones,
                "conditions": (condition, *others),
            }
            with pytest.raises(rules.Blocked) as refusal:
                rules.plan(LEARNED, state, minutes=20, **told)  # type: ignore[arg-type]
            assert (refusal.value.states_left, refusal.value.background_possible) == ((), True)
            plain = rules.plan(LEARNED, state, minutes=20, background_only=True, **told)  # type: ignore[arg-type]
            assert (plain.beat, plain.method, plain.target_hz, plain.ramp_from_hz) == (
                False,
                "none",
                None,
                None,
            )


@pytest.mark.parametrize("conditions", [*combinations(LIMITING, 1), *combinations(LIMITING, 2)])
def test_no_plan_goes_beyond_any_cap(conditions: tuple[str, ...]) -> None:
    """Every limiting condition and pair, every state wanted and now, two profiles, three ways."""
    found = [screening.condition(key) for key in conditions]
    ways = (None, True), ("binaural", True), (None, False)
    # One condition: from every state. Two: from the lowest, the highest and an unknown one.
    starts = NOW if len(conditions) == 1 else ["sleep", "peak_focus", rules.UNSURE]
    for state, now, profile, (method, headphones) in product(rules.STATES, starts, (LOUD, LEARNED), ways):
        told = {"initial_state": now, "conditions": conditions, "method": method, "headphones": headphones}
        try:
            plan = rules.plan(profile, state, minutes=240, **told)  # type: ignore[arg-type]
        except rules.NothingLeft as refusal:
            assert state not in refusal.states_left or method == "binaural"
            plan = rules.plan(profile, state, minutes=240, conditions=conditions, background_only=True)
        for each in found:
            assert plan.volume_level <= each.volume_cap
            assert plan.minutes <= each.minutes_cap
            for hz in filter(None, (plan.target_hz, plan.ramp_from_hz)):
                assert each.low_hz <= hz <= each.high_hz
                assert plan.method != "binaural" or hz <= 30
        if plan.beat:
            assert set(plan.confirm) == {each.key for each in found if each.action == "confirm"}


def test_every_state_is_planned_within_its_window_for_a_healthy_person() -> None:
    for (key, state), now, profile in product(rules.STATES.items(), NOW, (curve.start(), LOUD, LEARNED)):
        plan = rules.plan(profile, key, minutes=20, initial_state=now)
        assert plan.target_hz is not None
        assert plan.base_hz is not None
        assert state.low_hz <= plan.target_hz <= state.high_hz
        assert round(plan.target_hz, 2) == plan.target_hz
        assert 200 <= plan.base_hz <= 260
        assert plan.method == ("binaural" if plan.target_hz <= 30 else "monaural")


@FEW
@given(
    st.sampled_from(list(rules.STATES)),
    st.lists(st.tuples(st.integers(1, 5), st.floats(0.5, 50)), max_size=20),
    st.integers(1, 240),
    st.lists(st.sampled_from(LIMITING), max_size=2),
)
def test_a_plan_is_explained_in_one_sentence_with_its_uncertainty(
    state: str, rated: list[tuple[int, float]], minutes: int, conditions: list[str]
) -> None:
    response = curve.fold_all(curve.Feedback(rating, None, round(hz, 2)) for rating, hz in rated)
    try:
        plan = rules.plan(response, state, minutes=minutes, conditions=conditions)
    except rules.NothingLeft as refusal:
        assert re.fullmatch(r"[A-Z].*[^.]\.", refusal.reason)
        assert len(re.findall(r"[.!?](?:\s|$)", refusal.reason)) == 1
        return
    assert len(re.findall(r"[.!?](?:\s|$)", plan.reason)) == 1
    assert "give or take" in plan.reason
    assert "rated" in plan.reason
    assert not re.search("entrain|synchron|brainwave|treat|diagnos|cure", plan.reason)
    assert plan == rules.plan(response, state, minutes=minutes, conditions=conditions)
    assert plan.transition_s <= plan.minutes * 30


@FEW
@given(st.sampled_from(list(rules.STATES)), st.lists(st.floats(0.1, 3), max_size=6), st.floats(0.1, 3))
def test_worse_effects_never_raise_the_dose(state: str, history: list[float], grade: float) -> None:
    before = curve.fold_all(curve.Feedback(3, None, 10.0, {"headache": each}) for each in history)
    after, _ = curve.fold(before, curve.Feedback(3, None, 10.0, {"headache": grade}))
    assert (
        rules.plan(after, state, minutes=20).volume_level
        <= rules.plan(before, state, minutes=20).volume_level
    )


def test_of_equal_scores_the_lowest_frequency_wins() -> None:
    flat = curve.Curve(1, [0.5] * 9, [0.0] * 45)
    response = curve.Response(1, 1, 5.0, 240.0, 45.0, 0, {"gamma": flat})
    assert rules.plan(response, "peak_focus", minutes=20).target_hz == 30


def test_the_goal_is_never_changed_silently() -> None:
    with pytest.raises(rules.NothingLeft) as refusal:
        rules.plan(curve.start(), "sleep", minutes=20, conditions=["ptsd"])
    assert "sleep" not in refusal.value.states_left
    assert "calm_focus" in refusal.value.states_left
    assert "0.5 to 4 Hz" in refusal.value.reason


def test_a_binaural_beat_asked_for_where_it_cannot_be_heard_is_cut_to_30_hz_or_refused() -> None:
    assert rules.plan(curve.start(), "peak_focus", minutes=20, method="binaural").target_hz == 30
    with pytest.raises(rules.NothingLeft):
        rules.plan(curve.start(), "peak_focus", minutes=20, method="binaural", conditions=["migraine"])


def test_whoever_is_there_already_stays_there() -> None:
    plan = rules.plan(curve.start(), "meditation", minutes=20, initial_state="meditation")
    assert plan.ramp_from_hz == plan.target_hz


def test_an_unsure_start_uses_the_state_s_own_ramp() -> None:
    assert rules.plan(curve.start(), "sleep", minutes=20).ramp_from_hz == 8
    assert rules.plan(curve.start(), "sleep", minutes=20, initial_state="peak_focus").ramp_from_hz == 30


def test_a_rating_moves_the_next_plan() -> None:
    first = rules.plan(curve.start(), "calm_focus", minutes=20)
    after, _ = curve.fold(curve.start(), curve.Feedback(1, 1, first.target_hz))
    assert rules.plan(after, "calm_focus", minutes=20).target_hz != first.target_hz


def test_limits_are_called_convention_where_they_show() -> None:
    plan = rules.plan(curve.start(), "calm_focus", minutes=60, conditions=["pregnancy"])
    assert (plan.minutes, plan.confirm) == (20, ("pregnancy",))
    assert screening.CONVENTION in plan.warnings
    assert screening.DRIVING in plan.warnings


@pytest.mark.parametrize(
    ("field", "value"),
    [("minutes", 0), ("minutes", 241), ("minutes", True), ("minutes", 2.5), ("kind", "noon"),
     ("bed", "silence"),
     ("voice", "loud"), ("method", "none"), ("initial_state", "sad"), ("target_state", "joy")],
)  # fmt: skip
def test_a_choice_outside_its_list_is_refused_by_name(field: str, value: object) -> None:
    choices = {"target_state": "sleep", "minutes": 20, field: value}
    with pytest.raises(rules.UnknownChoice, match=field):
        rules.plan(curve.start(), **choices)  # type: ignore[arg-type]


def test_every_condition_is_asked_plainly() -> None:
    for each in screening.CONDITIONS.values():
        assert re.fullmatch(r"[A-Z][^?]*\?", each.question)
        assert screening.limits([each.key]).reasons
