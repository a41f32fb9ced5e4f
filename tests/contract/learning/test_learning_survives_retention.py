"""What was learned from sessions that retention removes stays learned; what a person removes is unlearned."""

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from stillwave.db import migrate
from stillwave.db.database import PostgresDatabase, SqliteDatabase, open_database
from stillwave.operator import actions
from stillwave.profiles import actions as profiles
from stillwave.profiles import curve
from stillwave.settings import Settings
from tests.contract.learning.test_learning_is_one_fold import assert_is_the_fold, random_answer, random_state
from tests.contract.learning.test_learning_respects_people import truth
from tests.learning_database import Database, distance

Program = SqliteDatabase | PostgresDatabase
DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
NOW = datetime.now(UTC).replace(hour=9, minute=0, second=0, microsecond=0)


def listened(database: Database, ages: range, **person: Any) -> str:
    """A person with one rated session a day; some with a late rating."""
    dice, who = random.Random(7), database.person(**person)
    for age in ages:
        at = NOW - age * DAY
        session = database.session(
            who, at, target_frequency=round(dice.uniform(4, 20), 2), target_state=random_state(dice),
            effectiveness_rating=dice.choice([None, 3, 8]),
        )  # fmt: skip
        database.feedback(who, session, at + MINUTE, **random_answer(dice))
    return who


@pytest.fixture
def program(database: Database, settings: Settings) -> Iterator[Program]:
    """The program's own handle, opened before anybody is there."""
    del database
    opened = open_database(settings)
    yield opened
    opened.close()


def clean_up(database: Database, program: Program, way: str) -> None:
    if way == "function":
        database.run("SELECT cleanup_old_sessions()")
    else:
        actions.clean_up(program, NOW)


@pytest.fixture(params=["action", "function"])
def way(request: pytest.FixtureRequest, engine: str) -> str:
    """How sessions are removed: by the program, and by the function that PostgreSQL has."""
    if request.param == "function" and engine == "sqlite":
        return "action"  # SQLite has no functions; the action is asked twice
    return str(request.param)


def test_retention_unlearns_nothing(database: Database, program: Program, way: str) -> None:
    person = listened(database, range(420, 330, -1))
    before, changes = database.profile(person), database.history(person)
    clean_up(database, program, way)
    left = {key for key, _ in database.answers(person)}
    assert 20 < len(left) < 40
    assert database.profile(person) == before
    assert database.history(person) == {key: changes[key] for key in left}
    state = assert_is_the_fold(database, person)
    assert state.n == 90
    database.rebuild(person)
    assert database.profile(person) == before
    clean_up(database, program, way)
    assert database.profile(person) == before
    assert database.run("SELECT count(*) FROM learning_pause") == [(0,)]


def test_after_retention_late_edited_and_removed_feedback_is_folded_from_the_base(
    database: Database, program: Program, way: str
) -> None:
    person = listened(database, range(420, 330, -1))
    clean_up(database, program, way)
    edited, removed = [key for key, _ in database.answers(person)][5:7]
    database.rated(person, NOW - 350 * DAY, 9.5, 5, target_state="calm_focus")
    database.run("UPDATE session_feedback SET rating = 1 WHERE id = ?", edited)
    assert assert_is_the_fold(database, person).n == 91
    database.run("DELETE FROM session_feedback WHERE id = ?", removed)
    assert assert_is_the_fold(database, person).n == 90
    database.run("DELETE FROM sessions WHERE user_id = ?", person)
    assert assert_is_the_fold(database, person) == database.base(person)


def test_a_base_is_folded_on_when_more_grows_old(database: Database, program: Program) -> None:
    person = listened(database, range(460, 370, -1))
    for earlier in (40, 30, 0):  # PostgreSQL lets nothing go that is not due by its own clock
        actions.clean_up(program, NOW - earlier * DAY)
        base = database.base(person)
        assert base is not None
        assert base.n + len(database.answers(person)) == 90
        assert_is_the_fold(database, person)
    assert database.answers(person) == []


def test_what_was_rated_late_keeps_its_place_in_the_base(database: Database, program: Program) -> None:
    """Its session is old, its rating is not: removed with the session, folded into the base before the rest."""
    person = database.person()
    old = database.session(person, NOW - 400 * DAY, target_frequency=9, target_state="calm_focus")
    database.rated(person, NOW - 300 * DAY, 11.0, 2, target_state="calm_focus")
    database.feedback(person, old, NOW - 200 * DAY, rating=5)
    before = database.profile(person)
    actions.clean_up(program, NOW)
    assert database.profile(person) == before
    database.rebuild(person)
    assert assert_is_the_fold(database, person).n == 2


def test_who_switched_adaptation_off_keeps_it_as_it_was_and_may_go_on(
    database: Database, program: Program, way: str
) -> None:
    person = listened(database, range(420, 330, -1))
    database.run("UPDATE neural_profiles SET adaptation_on = ? WHERE user_id = ?", truth(database, False), person)
    before = database.profile(person)
    clean_up(database, program, way)
    assert database.profile(person) == before
    database.run("UPDATE neural_profiles SET adaptation_on = ? WHERE user_id = ?", truth(database, True), person)
    assert database.profile(person) == before


@pytest.mark.parametrize("damage", ['{"v":2}', "[]", '{"v":3,"n":0,"sens":5,"trans":240,"vol":45,"nt":0,"bands":{}}'])
def test_a_damaged_profile_is_shown_learned_anew_and_says_so(
    database: Database, program: Program, damage: str
) -> None:
    person = listened(database, range(400, 340, -2))
    actions.clean_up(program, NOW)
    with program.read(UUID(person)) as tx:
        sound = profiles.current(tx, UUID(person), NOW)
    database.run("UPDATE neural_profiles SET base_frequency_response = ? WHERE user_id = ?", damage, person)
    with program.read(UUID(person)) as tx:
        known = profiles.current(tx, UUID(person), NOW)
    assert (sound.damaged, known.damaged) == (False, True)
    assert known.response == sound.response
    assert known.response.n == 30
    assert json.loads(database.profile(person)[0]) == json.loads(damage)  # reading writes nothing


def test_a_clock_that_went_back_ends_in_the_same_fold(database: Database) -> None:
    person = database.person()
    sessions = [database.session(person, NOW - n * DAY, target_frequency=9 + n, target_state="calm_focus") for n in range(4)]
    for n, session in enumerate(sessions):
        database.feedback(person, session, NOW - n * DAY, rating=1 + n)
    assert assert_is_the_fold(database, person).n == 4


def test_erasing_a_person_erases_the_base(database: Database, program: Program, way: str) -> None:
    person = listened(database, range(420, 400, -1))
    clean_up(database, program, way)
    assert database.base(person) is not None
    database.run("DELETE FROM users WHERE id = ?", person)
    for table in ("learning_base", "learning_checkpoint", "neural_profiles"):
        assert database.run(f"SELECT count(*) FROM {table} WHERE user_id = ?", person) == [(0,)]


def test_a_profile_of_version_1_is_folded_anew_by_an_upgrade(database: Database, program: Program) -> None:
    person, off = listened(database, range(40, 10, -1)), listened(database, range(40, 10, -1))
    before = database.profile(person)
    bare = curve.serialise(database.state(person)).split(',"groups"', maxsplit=1)[0] + "}"
    version_1 = bare.replace('{"v":2', '{"v":1', 1)
    database.run("UPDATE neural_profiles SET adaptation_on = ? WHERE user_id = ?", truth(database, False), off)
    database.run("UPDATE neural_profiles SET base_frequency_response = ?", version_1)
    migrate.upgrade(program)
    assert database.profile(person) == before
    # Who does not want to be learned from is left alone; what was known of the bands can still be read.
    assert database.state(off).v == 1
    assert curve.expected(database.state(off), 9.0) == curve.expected(database.state(person), 9.0)
    database.run("UPDATE neural_profiles SET adaptation_on = ? WHERE user_id = ?", truth(database, True), off)
    assert database.state(off).v == 2
    assert distance(database.state(off).bands["alpha"].m, database.state(person).bands["alpha"].m) == 0
