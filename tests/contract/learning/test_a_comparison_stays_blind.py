"""Sessions with and without the beat teach alike until the person looks; then those with it teach the curve."""

from datetime import timedelta

import pytest

from tests.learning_database import T0, Database

HOUR = timedelta(hours=1)


def heard(database: Database, person: str, hours: int, arm: str | None, rating: int = 5, **told: object) -> str:
    """A session of one arm, and its feedback an hour later; returns the session's id."""
    columns = {} if arm is None else {"arm": arm}
    session = database.session(person, T0 + hours * HOUR, target_frequency=10, **columns)
    database.feedback(person, session, T0 + (hours + 1) * HOUR, rating=rating, **told)
    return session[0]


def reveal(database: Database, session: str) -> None:
    database.run("UPDATE sessions SET arm_revealed_at = ? WHERE id = ?", database.moment(T0 + 99 * HOUR), session)


@pytest.mark.parametrize("arm", ["beat", "steady"])
def test_before_looking_neither_teaches_the_curve_but_effects_and_volume_act(database: Database, arm: str) -> None:
    person = database.person()
    heard(database, person, 0, None)
    before = database.state(person)
    heard(database, person, 5, arm, rating=1, mental_effects={"too_loud": True}, physical_effects={"headache": 2})
    after = database.state(person)
    assert after.bands == before.bands
    assert (after.n, after.vol) == (before.n + 1, before.vol - 6)
    assert after.sens > before.sens
    heard(database, person, 9, arm, physical_effects={"fainting": 1})
    assert database.flags(person) == ["adverse:fainting"]


def test_nothing_that_learning_writes_tells_the_arms_apart(database: Database) -> None:
    told = []
    for arm in ("beat", "steady"):
        person = database.person()
        heard(database, person, 0, None)
        heard(database, person, 5, arm, rating=2)
        told.append((database.profile(person), sorted(map(str, database.history(person).values()))))
    assert told[0] == told[1]


def test_after_looking_a_session_with_the_beat_teaches_and_one_without_never_does(database: Database) -> None:
    person, plain = database.person(), database.person()
    beat, steady = heard(database, person, 0, "beat", rating=5), heard(database, person, 4, "steady", rating=1)
    heard(database, plain, 0, None, rating=5)
    database.feedback(plain, database.session(plain, T0 + 4 * HOUR), T0 + 5 * HOUR, rating=1)
    reveal(database, beat)
    reveal(database, steady)
    assert database.state(person).bands["alpha"].n == 1
    assert database.state(person) == database.state(plain)
    database.rebuild(person)
    assert database.state(person) == database.state(plain)
