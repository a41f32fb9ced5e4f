"""Many writers at once on PostgreSQL lose nothing, and commits out of order end in the ordered fold."""

import threading
from collections.abc import Callable
from datetime import timedelta

import msgspec
import psycopg
import pytest

from stillwave.profiles import curve
from tests.learning_database import T0, Database, distance

only_postgres = pytest.mark.parametrize("engine", ["postgres"])


def side_by_side(address: str, *work: Callable[[Database], None]) -> None:
    """Runs each piece of work in a thread and a connection of its own; the first error is raised."""
    errors: list[BaseException] = []
    gate = threading.Barrier(len(work))

    def run(piece: Callable[[Database], None]) -> None:
        try:
            with psycopg.connect(address, autocommit=True) as connection:
                gate.wait()
                piece(Database(connection, "postgres"))
        except BaseException as error:  # noqa: BLE001 handed to the test
            errors.append(error)

    threads = [threading.Thread(target=run, args=(piece,)) for piece in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def assert_is_the_fold(database: Database, person: str, size: int) -> None:
    expected = curve.fold_all(answer for _, answer in database.answers(person))
    assert database.state(person).n == len(database.history(person)) == expected.n == size
    assert distance(msgspec.to_builtins(database.state(person)), msgspec.to_builtins(expected)) <= 1e-9


def eight_writers(postgres: Database, address: str, each: int) -> None:
    """Eight connections give so many feedbacks each for one person, who has no profile yet: making it is raced for too."""
    person = postgres.person()

    def writer(number: int) -> Callable[[Database], None]:
        def write(database: Database) -> None:
            for n in range(each):
                at = T0 + timedelta(minutes=20 * n, seconds=number)
                database.rated(
                    person, at, 8 + number / 2, 1 + (n + number) % 5, physical_effects={"headache": n % 3}
                )

        return write

    side_by_side(address, *(writer(number) for number in range(8)))
    assert_is_the_fold(postgres, person, 8 * each)


@only_postgres
def test_eight_writers_for_one_person_lose_nothing(
    postgres: Database, postgres_url: str
) -> None:
    """50 feedbacks each; `bench/learning_database.py --writers 500` does the same with more."""
    eight_writers(postgres, postgres_url, 50)


@only_postgres
def test_commits_out_of_order_end_in_the_ordered_fold(
    postgres: Database, postgres_url: str
) -> None:
    person = postgres.person()
    session = postgres.session(person, T0, target_frequency=10)
    older_is_in = threading.Event()

    def older(database: Database) -> None:
        with database.connection.transaction():
            database.feedback(person, session, T0 + timedelta(minutes=1), rating=1)
            older_is_in.set()
            threading.Event().wait(0.3)

    def newer(database: Database) -> None:
        older_is_in.wait()
        database.feedback(person, session, T0 + timedelta(minutes=2), rating=5)
        database.feedback(person, session, T0, rating=3)

    side_by_side(postgres_url, older, newer)
    assert_is_the_fold(postgres, person, 3)


@only_postgres
def test_rating_a_session_while_its_feedback_arrives_loses_neither(
    postgres: Database, postgres_url: str
) -> None:
    for n in range(10):
        person = postgres.person()
        session = postgres.session(person, T0 + timedelta(days=n), target_frequency=10)

        def rate(database: Database, key: str = session[0]) -> None:
            database.run("UPDATE sessions SET effectiveness_rating = 10 WHERE id = ?", key)

        def answer(database: Database, person: str = person, session: tuple[str, object] = session) -> None:
            database.feedback(person, session, T0 + timedelta(days=90), rating=1)  # type: ignore[arg-type]

        side_by_side(postgres_url, rate, answer)
        assert_is_the_fold(postgres, person, 1)
