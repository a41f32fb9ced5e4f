"""The planner and the screening, exhaustively where the question is safety."""

from __future__ import annotations

import datetime as dt
import re
from itertools import combinations, product
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillwave.errors import BadInput, ConfirmNeeded, NothingLeft, ScreeningNeeded
from stillwave.profiles import curve, effects, rules, screening
from stillwave.profiles.rules import STATES, Plan
from stillwave.profiles.screening import CONDITIONS, QUESTIONS, Screening

BLOCKING = [key for key, each in CONDITIONS.items() if each.block]
BLOCKING += ["adverse:seizure", "adverse:chest_pain", "adverse:anything_new"]
LIMITING = [key for key, each in CONDITIONS.items() if not each.block] + ["other:some free text"]
FEW = settings(max_examples=50, deadline=None)
LOUD = curve.Response(1, 3, 1.0, 900.0, 70.0, 0, {})
LEARNED = curve.fold_all([curve.Feedback(1 + n % 5, None, 0.5 + n * 0.49) for n in range(100)])
NOW = [*STATES, "unsure"]
KINDS = get_args(rules.Kind)


def plan(response: curve.Response, target_state: str, conditions: tuple[str, ...] = (), **wish: Any) -> Plan:
    usual = {
        "initial_state": "unsure", "minutes": 20, "background": "nature", "voice": "none", "headphones": True,
        "confirmed": True,
    }  # fmt: skip
    return rules.plan(response, conditions, target_state=target_state, **{**usual, **wish})


@pytest.mark.parametrize("condition", BLOCKING)
def test_no_plan_has_a_beat_for_a_blocked_condition(condition: str) -> None:
    """Every block, state wanted, state now and kind of session; with other conditions beside it."""
    for state, now, headphones, kind in product(STATES, NOW, (True, False), KINDS):
        for others in ((), ("tinnitus",), ("ptsd", "pregnancy")):
            told: dict[str, Any] = {"initial_state": now, "headphones": headphones, "kind": kind}
            with pytest.raises(NothingLeft) as refusal:
                plan(LEARNED, state, (condition, *others), **told)
            assert refusal.value.extra["possible"] == ["Background sound without rhythmic tones"]
            plain = plan(LEARNED, state, (condition, *others), background_only=True, background="none", **told)
            assert (plain.beat, plain.method, plain.bed) == (False, "none", "nature")


@pytest.mark.parametrize("conditions", [*combinations(LIMITING, 1), *combinations(LIMITING, 2)])
def test_no_plan_goes_beyond_any_cap(conditions: tuple[str, ...]) -> None:
    """Every limiting condition and pair, every state wanted and now, two profiles, headphones and speaker."""
    found = [CONDITIONS.get(key, screening._UNKNOWN) for key in conditions]
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
    assert screening.declared(Screening(**told)) == conditions


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
        screening.declared(Screening(**told))
    assert refusal.value.extra["errors"][0]["field"] == field  # type: ignore[index]


# --- choices, diary, clearances ---------------------------------------------------------------------

LISTENING = ("headphones", "speaker", "in_background")
BURDENS: tuple[tuple[rules.Burden, ...], ...] = ((), ("a bad night",), ("a bad night", "a tense day"))
LAST_LOUD = Plan(
    target_hz=50.0, ramp_from_hz=50.0, transition_s=900, volume_level=100, minutes=240, method="binaural", bed="rain",
    voice="none", base_hz=200.0, beat=True, reason="",
)  # fmt: skip
BEFORE = rules.Before(LAST_LOUD, 5)
ALL = [*CONDITIONS, "other:some free text", "adverse:seizure", "adverse:chest_pain"]
EVERY_CHOICE = list(product(("best", "surprise", "last"), LISTENING))


@pytest.mark.parametrize("conditions", [*combinations(ALL, 1), *combinations(ALL, 2)], ids="+".join)
def test_no_choice_leads_past_the_screening(conditions: tuple[str, ...]) -> None:
    """Every condition and pair, every state, choice and way of listening: no beat where one blocks, no cap exceeded.

    Every condition alone with every kind of session, too.
    """
    left = screening.limits(conditions)
    kinds = KINDS if len(conditions) == 1 else ("morning",)
    for state, (choice, listening), kind in product(STATES, EVERY_CHOICE, kinds):
        told: dict[str, Any] = {
            "choice": choice, "listening": listening, "before": BEFORE, "seed": 7, "minutes": 240, "kind": kind
        }
        for profile in (LOUD, LEARNED):
            try:
                made = plan(profile, state, conditions, **told)
            except NothingLeft:
                made = plan(profile, state, conditions, background_only=True, **told)
            if left.blocked:
                assert (made.beat, made.method) == (False, "none")
            assert made.volume_level <= left.volume_most
            assert made.minutes <= left.minutes_most
            for hz in (made.target_hz, made.ramp_from_hz) if made.beat else ():
                assert left.low_hz <= hz <= left.high_hz
                assert made.method != "binaural" or hz <= 30
            if made.beat:
                assert STATES[state].low_hz <= made.target_hz <= STATES[state].high_hz


@pytest.mark.parametrize("condition", BLOCKING)
def test_answers_that_are_to_be_renewed_block_the_beat_and_leave_background_sound(condition: str) -> None:
    for state in STATES:
        for conditions in ((), (condition,)):
            with pytest.raises(ScreeningNeeded):
                plan(LEARNED, state, conditions, ask_again="They are old.")
            plain = plan(LEARNED, state, conditions, ask_again="They are old.", background_only=True)
            assert not plain.beat
    assert "renewed" in plain.reason


@FEW
@given(st.sampled_from(list(STATES)), st.integers(0, 2**53 - 1))
def test_a_surprise_is_the_same_for_the_same_seed_and_within_the_window(state: str, seed: int) -> None:
    made = plan(LEARNED, state, choice="surprise", seed=seed)
    assert made == plan(LEARNED, state, choice="surprise", seed=seed)
    assert made.target_hz in rules.candidates(STATES[state], screening.limits(()))
    assert "surprise" in made.reason
    assert "give or take" in made.reason


def test_surprises_differ_and_favour_what_was_rated_well() -> None:
    liked = curve.fold_all(
        curve.Feedback(5 if hz > 11 else 1, None, hz, target_state="calm_focus")
        for hz in [9.0, 9.5, 10.0, 11.5, 12.0] * 8
    )
    drawn = [plan(liked, "calm_focus", choice="surprise", seed=seed).target_hz for seed in range(200)]
    assert len(set(drawn)) > 3
    assert sum(hz > 11 for hz in drawn) > 180


def test_the_draws_have_the_mean_and_spread_of_the_curve() -> None:
    """L z with L L' = C: over many draws the values at the grid have mean 0 and covariance C."""
    triangle = list(curve.KERNEL)
    rows = rules.cholesky(triangle)
    again = [sum(rows[j][i] * rows[k][i] for i in range(k + 1)) for j, k in curve.TRIANGLE]
    assert max(abs(a - b) for a, b in zip(again, triangle, strict=True)) < 1e-12
    assert rules.cholesky([0.0] * 45) == [[0.0] * (j + 1) for j in range(9)]


def test_as_last_time_repeats_what_was_heard() -> None:
    first = plan(curve.start(), "calm_focus", background="rain", listening="speaker")
    learned = curve.fold_all([curve.Feedback(1, None, first.target_hz)] * 3)
    again = plan(learned, "calm_focus", choice="last", before=rules.Before(first, 4))
    same = ("target_hz", "method", "bed", "volume_level", "transition_s")
    assert [getattr(again, name) for name in same] == [getattr(first, name) for name in same]
    assert again.warnings == ()
    assert "As last time" in again.reason
    assert "which you rated 4 of 5" in again.reason


def test_as_last_time_says_when_there_is_none_and_when_something_had_to_change() -> None:
    assert "no earlier session" in plan(curve.start(), "sleep", choice="last").warnings[0]
    loud = msgspec.structs.replace(plan(LOUD, "alert_focus"), target_hz=25.0)
    made = plan(LOUD, "alert_focus", ("migraine",), choice="last", before=rules.Before(loud, None), listening="speaker")
    assert (made.target_hz, made.volume_level, made.method) == (13, 35, "isochronic")
    told = " ".join(made.warnings)
    assert "25 Hz as last time is not within today's limits, so it is 13 Hz." in told
    assert "Volume 35 instead of" in told
    assert "two tones need headphones" in told


def test_a_beat_inside_the_background_needs_a_background() -> None:
    assert plan(LEARNED, "calm_focus", listening="in_background").method == "am"
    with pytest.raises(BadInput) as refusal:
        plan(LEARNED, "calm_focus", listening="in_background", background="none")
    assert refusal.value.extra["errors"][0]["field"] == "background"  # type: ignore[index]


@given(
    st.sampled_from(list(STATES)), st.sampled_from(("morning", "evening", "custom")), st.integers(5, 120),
    st.sampled_from(BURDENS[1:]), st.sampled_from(("best", "surprise", "last")), st.floats(1, 10), st.floats(10, 70),
    st.floats(60, 900), st.booleans(),
)  # fmt: skip
@settings(max_examples=300, deadline=None)
def test_the_diary_never_raises_the_dose(
    state: str, kind: Any, minutes: int, burden: Any, choice: Any, sens: float, vol: float, trans: float, plain: bool
) -> None:
    response = curve.Response(1, 3, sens, trans, vol, 0, LEARNED.bands)
    told: dict[str, Any] = {
        "kind": kind, "minutes": minutes, "choice": choice, "before": BEFORE, "background_only": plain, "seed": 3
    }
    usual, gentle = plan(response, state, **told), plan(response, state, burden=burden, **told)
    assert gentle.volume_level <= usual.volume_level
    assert gentle.minutes <= usual.minutes
    assert gentle.minutes >= min(10, minutes)
    assert gentle.transition_s >= usual.transition_s
    assert (gentle.target_hz, gentle.method) == (usual.target_hz, usual.method)
    assert "your diary tells of a bad night" in gentle.reason


@FEW
@given(
    st.sampled_from(list(STATES)), st.lists(st.tuples(st.integers(1, 5), st.floats(0.5, 50)), max_size=12),
    st.sampled_from(("headache", "anxiety", "nausea")), st.floats(0.1, 3), st.sampled_from(("best", "last")),
)  # fmt: skip
def test_a_worse_effect_never_raises_volume_or_hastens_the_glide(
    state: str, rated: list[tuple[int, float]], effect: str, grade: float, choice: Any
) -> None:
    """The same session, once without and once with an adverse effect: the plan after it is never louder or faster."""
    before = curve.fold_all(curve.Feedback(rating, None, round(hz, 2)) for rating, hz in rated)
    well, _ = curve.fold(before, curve.Feedback(3, None, 10.0))
    unwell, _ = curve.fold(before, curve.Feedback(3, None, 10.0, {effect: grade}))
    told: dict[str, Any] = {"choice": choice, "before": rules.Before(plan(before, state), 3)}
    calm, careful = plan(well, state, **told), plan(unwell, state, **told)
    assert careful.volume_level <= calm.volume_level
    assert careful.transition_s >= calm.transition_s
    assert careful.minutes <= calm.minutes


def test_what_the_diary_says_is_read_for_the_right_days() -> None:
    today = dt.date(2026, 11, 25)
    yesterday = today - dt.timedelta(days=1)

    def found(day: dt.date, **told: Any) -> tuple[str, ...]:
        return rules.burdens([rules.Night(day, **told)], today)

    assert found(today, sleep_quality=4) == ("a bad night",)
    assert found(today, sleep_quality=5, hours_slept=5.9) == ("a bad night",)
    assert found(yesterday, sleep_quality=1) == ()
    assert found(today, sleep_quality=5, hours_slept=6.0, stress_level=7) == ()
    assert found(yesterday, stress_level=8) == ("a tense day",)
    assert found(today - dt.timedelta(days=2), stress_level=10) == ()
    assert found(today + dt.timedelta(days=1), stress_level=10, sleep_quality=1) == ()  # a clock that went back


def test_forty_hours_a_week_are_named() -> None:
    assert plan(LEARNED, "sleep", week_minutes=2399).warnings == ()
    assert "40 hours" in plan(LEARNED, "sleep", week_minutes=2400).warnings[0]


CLEARABLE = ["recent_head_injury", "acute_psychosis", "adverse:aura", "adverse:chest_pain", "adverse:fainting", "adverse:hallucination"]


def test_only_some_blocks_can_be_cleared() -> None:
    flags = [f"adverse:{flag}" for flag in effects.RED_FLAGS]
    assert sorted(screening.clearable([*CONDITIONS, *flags, "adverse:anything_new", "other:words"])) == sorted(CLEARABLE)


@pytest.mark.parametrize("block", [*BLOCKING, *CLEARABLE])
def test_a_clearance_leads_to_the_limits_of_an_unknown_condition_and_no_further(block: str) -> None:
    left = screening.limits([block], {block, "epilepsy", "adverse:seizure"})
    if block not in CLEARABLE:
        assert left.blocked
        return
    unknown = screening.limits(["other:words"])
    fields = ("blocked", "low_hz", "high_hz", "volume_most", "minutes_most")
    assert [getattr(left, name) for name in fields] == [getattr(unknown, name) for name in fields]
    assert len(left.confirm) == 1
    assert screening.limits([block, "epilepsy"], {block}).blocked
    assert screening.limits([block], {"other"}).blocked
    with pytest.raises(ConfirmNeeded):
        plan(LEARNED, "calm_focus", (block,), cleared={block}, confirmed=False)
    for state in STATES:
        try:
            made = plan(LOUD, state, (block,), cleared={block}, choice="last", before=BEFORE, minutes=240)
        except NothingLeft:
            assert STATES[state].low_hz > 13
            continue
        assert made.target_hz <= 13
        assert made.volume_level <= 40


def test_a_clearance_counts_for_a_year_and_until_something_new_is_reported() -> None:
    today = dt.date(2026, 11, 25)
    made = screening.Clearance(condition="adverse:fainting", cleared_on=today, reports=("a", "b"))
    assert screening.counts(made, ["a", "b"], today)
    assert screening.counts(made, ["b"], today + dt.timedelta(days=364))
    assert not screening.counts(made, ["b"], today + dt.timedelta(days=365))
    assert not screening.counts(made, ["a", "b", "c"], today)


@pytest.mark.parametrize(
    ("condition", "cleared_on", "reported_on", "field"),
    [
        ("epilepsy", "2026-11-25", None, "condition"),
        ("adverse:fainting", "2026-11-25", None, "condition"),
        ("recent_head_injury", "2026-11-26", None, "cleared_on"),
        ("recent_head_injury", "2025-11-25", None, "cleared_on"),
        ("adverse:chest_pain", "2026-11-19", "2026-11-20", "cleared_on"),
        ("adverse:chest_pain", "2026-11-20", "2026-11-20", None),
        ("recent_head_injury", "2025-11-26", None, None),
    ],
)
def test_what_cannot_be_cleared_is_refused_by_name(
    condition: str, cleared_on: str, reported_on: str | None, field: str | None
) -> None:
    wish = screening.Clearance(condition=condition, cleared_on=dt.date.fromisoformat(cleared_on))
    reported = dt.date.fromisoformat(reported_on) if reported_on else None
    mine = ["epilepsy", "recent_head_injury", "adverse:chest_pain"]
    if field is None:
        screening.check_clearance(wish, mine, reported, dt.date(2026, 11, 25))
        return
    with pytest.raises(BadInput) as refusal:
        screening.check_clearance(wish, mine, reported, dt.date(2026, 11, 25))
    assert refusal.value.extra["errors"][0]["field"] == field  # type: ignore[index]


# The wording of each version. A changed word needs a new version number here, and is then asked again of everybody.
WORDINGS = {1: "9cb0fa526d1675b7c6d1a04a8b5a490777c376b2499fee0469880c8f9aa3ba3a"}


def test_a_changed_wording_has_a_new_version() -> None:
    assert WORDINGS[screening.VERSION] == screening.WORDING_SHA256
    assert max(WORDINGS) == screening.VERSION


@pytest.mark.parametrize(
    ("conditions", "days"),
    [([], 365), (["tinnitus"], 365), (["pregnancy", "tinnitus"], 90), (["recent_head_injury"], 180), (["age_16_17"], 180)],
)
def test_questions_are_asked_again_in_time(conditions: list[str], days: int) -> None:
    then = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    answered = screening.Answered(screening.WORDING_SHA256, then)
    assert screening.asked_again(answered, conditions, then + dt.timedelta(days=days, seconds=-1)) == ""
    assert f"{days} days" in screening.asked_again(answered, conditions, then + dt.timedelta(days=days))
    assert screening.asked_again(answered, conditions, then - dt.timedelta(days=9)) == ""  # a clock that went back


def test_another_wording_or_none_is_asked_again() -> None:
    then = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    assert "changed" in screening.asked_again(screening.Answered("0" * 64, then), [], then)
    assert "changed" in screening.asked_again(screening.Answered(None, then), [], then)
    assert screening.asked_again(None, [], then)
