"""Adaptation off, restriction, disabled accounts, erasure, red flags."""

from datetime import timedelta
from typing import Any

import pytest

from tests.learning_database import T0, Database

HOUR = timedelta(hours=1)


def switch(database: Database, person: str, **columns: Any) -> None:
    for column, value in columns.items():
        table, key = ("neural_profiles", "user_id") if column == "adaptation_on" else ("users", "id")
        database.run(f"UPDATE {table} SET {column} = ? WHERE {key} = ?", value, person)


def truth(database: Database, value: bool) -> Any:
    return value if database.engine == "postgres" else int(value)


@pytest.fixture(params=["adaptation off", "restricted", "disabled"])
def off_and_on(request: pytest.FixtureRequest, database: Database) -> tuple[dict[str, Any], dict[str, Any]]:
    return {
        "adaptation off": (
            {"adaptation_on": truth(database, False)},
            {"adaptation_on": truth(database, True)},
        ),
        "restricted": (
            {"processing_restricted": truth(database, True)},
            {"processing_restricted": truth(database, False)},
        ),
        "disabled": ({"account_status": "disabled"}, {"account_status": "active"}),
    }[request.param]


def test_while_learning_is_off_the_profile_stays_and_feedback_is_kept(
    database: Database, off_and_on: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    person = database.person()
    first = database.rated(person, T0, rating=5)
    database.rated(person, T0 + HOUR, rating=5)
    switch(database, person, **off_and_on[0])
    before, history = database.profile(person), database.history(person)
    database.rated(person, T0 + 2 * HOUR, rating=1, physical_effects={"headache": 3, "seizure": 1})
    database.rated(person, T0 - HOUR, rating=1)
    database.run("UPDATE session_feedback SET rating = 2 WHERE id = ?", first)
    database.run("UPDATE sessions SET effectiveness_rating = 2 WHERE user_id = ?", person)
    database.run("DELETE FROM session_feedback WHERE id = ?", first)
    database.rebuild(person)
    assert database.profile(person) == before
    assert database.history(person) == history
    assert database.run("SELECT count(*) FROM session_feedback WHERE user_id = ?", person) == [(3,)]


def test_feedback_given_while_learning_was_off_is_never_learned_from_later(
    database: Database, off_and_on: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    person = database.person()
    kept, gone = (database.rated(person, T0 + n * HOUR, rating=5) for n in range(2))
    switch(database, person, **off_and_on[0])
    database.rated(person, T0 + 2 * HOUR, rating=1)
    database.run("DELETE FROM session_feedback WHERE id = ?", gone)
    switch(database, person, **off_and_on[1])
    assert list(database.history(person)) == [kept]
    last = database.rated(person, T0 + 3 * HOUR, rating=4)
    database.rebuild(person)
    assert set(database.history(person)) == {kept, last}
    assert database.state(person).n == 2


def test_nobody_without_a_profile_gets_one_while_restricted(database: Database) -> None:
    person = database.person(processing_restricted=truth(database, True))
    database.rated(person, T0)
    database.rebuild(person)
    assert database.profile(person) == ()


def test_feedback_that_is_not_to_teach_does_not(database: Database) -> None:
    person = database.person()
    session = database.session(person, T0, target_frequency=10)
    database.feedback(person, session, T0 + HOUR, rating=5, learns=truth(database, False))
    assert database.history(person) == {}


def test_erasing_a_person_removes_all_and_brings_nothing_back(database: Database) -> None:
    person, other = database.person(), database.person()
    for n in range(20):
        database.rated(person, T0 + n * HOUR, rating=1 + n % 5, physical_effects={"headache": 1})
    database.rated(other, T0)
    others = database.profile(other)
    database.run("DELETE FROM users WHERE id = ?", person)
    for table in ("neural_profiles", "profile_history", "session_feedback", "sessions"):
        assert database.run(f"SELECT count(*) FROM {table} WHERE user_id = ?", person) == [(0,)]
    assert database.profile(other) == others


def test_a_red_flag_is_added_once_and_sticks(database: Database) -> None:
    person = database.person()
    database.rated(person, T0)
    sealed = '["sw1.abc"]' if database.engine == "sqlite" else ["sw1.abc"]
    database.run("UPDATE neural_profiles SET contraindications = ? WHERE user_id = ?", sealed, person)
    key = database.rated(person, T0 + HOUR, physical_effects={"seizure": 0, "fainting": "mild", "aura": True})
    assert database.flags(person) == ["sw1.abc", "adverse:aura", "adverse:fainting"]
    database.rated(person, T0 + 2 * HOUR, mental_effects=["hallucination", "aura"])
    flags = ["sw1.abc", "adverse:aura", "adverse:fainting", "adverse:hallucination"]
    assert database.flags(person) == flags
    assert database.history(person)[key]["flags"] == ["aura", "fainting"]
    database.run("UPDATE session_feedback SET physical_effects = NULL WHERE id = ?", key)
    database.rebuild(person)
    database.run("DELETE FROM session_feedback WHERE user_id = ?", person)
    assert database.flags(person) == flags


def test_an_edit_can_add_a_red_flag_and_a_cleared_one_stays_cleared(database: Database) -> None:
    person = database.person()
    key = database.rated(person, T0)
    database.run("UPDATE session_feedback SET physical_effects = ? WHERE id = ?", '{"chest_pain": 1}', key)
    assert database.flags(person) == ["adverse:chest_pain"]
    empty = "[]" if database.engine == "sqlite" else []
    database.run("UPDATE neural_profiles SET contraindications = ? WHERE user_id = ?", empty, person)
    database.rated(person, T0 - HOUR)
    database.rebuild(person)
    assert database.flags(person) == []


def test_a_benefit_is_not_an_adverse_effect_and_an_unknown_word_is(database: Database) -> None:
    glad, sad = database.person(), database.person()
    database.rated(glad, T0, mental_effects={"calm": 3, "relaxed": True, "note": "sw1.x", "too_fast": 1})
    database.rated(sad, T0, mental_effects={"hiccups": "mild"})
    assert database.state(glad).sens == 4.94
    assert database.state(sad).sens == 5.8


def test_numbers_no_engine_can_hold_do_not_make_a_feedback_fail(database: Database) -> None:
    person = database.person()
    database.rated(person, T0, physical_effects='{"headache": 1e400, "nausea": -1e400, "unease": 1e-400}')
    assert database.state(person).sens == 5 + 0.8 * 3
