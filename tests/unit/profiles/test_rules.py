"""The planner and the screening, exhaustively where the question is safety."""

from __future__ import annotations

import re
from itertools import combinations, product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillwave.errors import BadInput, ConfirmNeeded, NothingLeft
from stillwave.profiles import curve, rules
from stillwave.profiles.rules import CONDITIONS, QUESTIONS, STATES, Plan, Screening

BLOCKING = [key for key, each in CONDITIONS.items() if each.block]
BLOCKING += ["adverse:seizure", "adverse:chest_pain", "adverse:anything_new"]
LIMITING = [key for key, each in CONDITIONS.items() if not each.block] + ["other:some free text"]
FEW = settings(max_examples=50, deadline=None)
LOUD = curve.Response(1, 3, 1.0, 900.0, 70.0, 0, {})
LEARNED = curve.fold_all([curve.Feedback(1 + n % 5, None, 0.5 + n * 0.49) for n in range(100)])
NOW = [*STATES, "unsure"]


def plan(response: curve.Response, target_state: str, conditions: tuple[str, ...] = (), **wish: Any) -> Plan:
    usual = {
        "initial_state": "unsure", "minutes": 20, "background": "nature", "voice": "none", "headphones": True,
        "confirmed": True,
    }  # fmt: skip
    return rules.plan(response, conditions, target_state=target_state, **{**usual, **wish})


@pytest.mark.parametrize("condition", BLOCKING)
def test_no_plan_has_a_beat_for_a_blocked_condition(condition: str) -> None:
    for state, now, headphones in product(STATES, NOW, (True, False)):
        for others in ((), ("tinnitus",), ("ptsd", "pregnancy")):
            told: dict[str, Any] = {"initial_state": now, "headphones": headphones}
            with pytest.raises(NothingLeft) as refusal:
                plan(LEARNED, state, (condition, *others), **told)
            assert refusal.value.extra["possible"] == ["Background sound without rhythmic tones"]
            plain = plan(LEARNED, state, (condition, *others), background_only=True, background="none", **told)
            assert (plain.beat, plain.method, plain.bed) == (False, "none", "nature")


@pytest.mark.parametrize("conditions", [*combinations(LIMITING, 1), *combinations(LIMITING, 2)])
def test_no_plan_goes_beyond_any_cap(conditions: tuple[str, ...]) -> None:
    """Every limiting condition and pair, every state wanted and now, two profiles, headphones and speaker."""
    found = [CONDITIONS.get(key, rules._UNKNOWN) for key in conditions]
    for state, now, profile, headphones in product(STATES, NOW, (LOUD, LEARNED), (True, False)):
        told: dict[str, Any] = {"initial_state": now, "headphones": headphones, "minutes": 240}
        try:
            made = plan(profile, state, conditions, **told)
        except NothingLeft:
            made = plan(profile, state, conditions, background_only=True, **told)
        for each in found:
            assert made.volume_level <= each.volume_most
            assert made.minutes <= each.minutes_most
            for hz in (made.target_hz, made.ramp_from_hz) if made.beat else ():
                assert each.low_hz <= hz <= each.high_hz
                assert made.method != "binaural" or hz <= 30


def test_every_state_is_planned_within_its_window_for_a_healthy_person() -> None:
    for (key, state), now, profile in product(STATES.items(), NOW, (curve.start(), LOUD, LEARNED)):
        made = plan(profile, key, initial_state=now)
        assert state.low_hz <= made.target_hz <= state.high_hz
        assert round(made.target_hz, 2) == made.target_hz
        assert 200 <= made.base_hz <= 260
        assert made.method == ("binaural" if made.target_hz <= 30 else "monaural")
        assert plan(profile, key, headphones=False).method == "isochronic"


@FEW
@given(
    st.sampled_from(list(STATES)),
    st.lists(st.tuples(st.integers(1, 5), st.floats(0.5, 50)), max_size=20),
    st.integers(5, 120),
)
def test_a_plan_is_explained_in_one_sentence_with_its_uncertainty(
    state: str, rated: list[tuple[int, float]], minutes: int
) -> None:
    response = curve.fold_all(curve.Feedback(rating, None, round(hz, 2)) for rating, hz in rated)
    made = plan(response, state, minutes=minutes)
    assert len(re.findall(r"[.!?](?:\s|$)", made.reason)) == 1
    assert "give or take" in made.reason
    assert not re.search("entrain|synchron|brainwave|treat|diagnos|cure", made.reason)
    assert made == plan(response, state, minutes=minutes)


@FEW
@given(st.sampled_from(list(STATES)), st.lists(st.floats(0.1, 3), max_size=6), st.floats(0.1, 3))
def test_worse_effects_never_raise_the_dose(state: str, history: list[float], grade: float) -> None:
    before = curve.fold_all(curve.Feedback(3, None, 10.0, {"headache": each}) for each in history)
    after, _ = curve.fold(before, curve.Feedback(3, None, 10.0, {"headache": grade}))
    assert plan(after, state).volume_level <= plan(before, state).volume_level


def test_of_equal_scores_the_lowest_frequency_wins() -> None:
    flat = curve.Curve(1, [0.5] * 9, [0.0] * 45)
    response = curve.Response(2, 1, 5.0, 240.0, 45.0, 0, {}, {"peak_gamma": flat})
    assert plan(response, "peak_focus").target_hz == 30


def test_the_goal_is_never_changed_silently() -> None:
    with pytest.raises(NothingLeft) as refusal:
        plan(curve.start(), "sleep", ("ptsd",))
    possible = refusal.value.extra["possible"]
    assert isinstance(possible, list)
    assert "Sleep" not in possible
    assert "Calm focus" in possible
    assert "8 to 13 Hz" in refusal.value.detail


def test_what_needs_care_is_confirmed_first() -> None:
    with pytest.raises(ConfirmNeeded) as asked:
        plan(curve.start(), "calm_focus", ("pregnancy", "tinnitus"), confirmed=False)
    assert asked.value.extra["confirm"] == [
        "Pregnancy: 4 to 13 Hz, volume at most 40, at most 20 minutes."
    ]
    made = plan(curve.start(), "calm_focus", ("pregnancy", "tinnitus"), minutes=60)
    assert (made.minutes, made.volume_level) == (20, 30)
    assert "Shortened to 20 minutes" in made.warnings[0]


def test_whoever_is_there_already_stays_there() -> None:
    made = plan(curve.start(), "meditation", initial_state="meditation")
    assert made.ramp_from_hz == made.target_hz


def test_an_unsure_start_uses_the_state_s_own_ramp() -> None:
    assert plan(curve.start(), "sleep").ramp_from_hz == 8
    assert plan(curve.start(), "sleep", initial_state="peak_focus").ramp_from_hz == 30


def test_a_rating_moves_the_next_plan() -> None:
    first = plan(curve.start(), "calm_focus")
    after, _ = curve.fold(curve.start(), curve.Feedback(1, 1, first.target_hz))
    assert plan(after, "calm_focus").target_hz != first.target_hz


@pytest.mark.parametrize(("field", "value"), [("target_state", "joy"), ("initial_state", "sad")])
def test_a_state_outside_the_list_is_refused_by_name(field: str, value: str) -> None:
    wish: dict[str, Any] = {"target_state": "sleep", field: value}
    with pytest.raises(BadInput) as refusal:
        plan(curve.start(), wish.pop("target_state"), **wish)
    assert refusal.value.extra["errors"][0]["field"] == field  # type: ignore[index]


def test_every_condition_is_asked_once() -> None:
    asked = [key for _, keys in QUESTIONS for key in keys]
    assert sorted([*asked, "under_16", "age_16_17"]) == sorted(CONDITIONS)


@pytest.mark.parametrize(
    ("answers", "conditions"),
    [
        ({"none": True}, []),
        ({"conditions": ("ptsd", "ptsd")}, ["ptsd"]),
        ({"other": " a new pill "}, ["other:a new pill"]),
        ({"none": True, "age_group": "16_17"}, ["age_16_17"]),
        ({"none": True, "age_group": "under_16"}, ["under_16"]),
    ],
)
def test_answers_become_conditions(answers: dict[str, Any], conditions: list[str]) -> None:
    told: dict[str, Any] = {"age_group": "18_plus", "agree_not_driving": True, **answers}
    assert rules.declared(Screening(**told)) == conditions


@pytest.mark.parametrize(
    ("answers", "field"),
    [
        ({"none": True, "agree_not_driving": False}, "agree_not_driving"),
        ({"none": True, "conditions": ("ptsd",)}, "none"),
        ({}, "none"),
        ({"conditions": ("joy",)}, "conditions"),
        ({"conditions": ("under_16",)}, "conditions"),
    ],
)
def test_answers_that_contradict_are_refused(answers: dict[str, Any], field: str) -> None:
    told: dict[str, Any] = {"age_group": "18_plus", "agree_not_driving": True, **answers}
    with pytest.raises(BadInput) as refusal:
        rules.declared(Screening(**told))
    assert refusal.value.extra["errors"][0]["field"] == field  # type: ignore[index]
