"""Views, outbox, clean-up, partitions, mass deletion."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import msgspec
import psycopg
import pytest

from tests.learning_database import SQL, T0, Database

only_postgres = pytest.mark.parametrize("engine", ["postgres"])
only_sqlite = pytest.mark.parametrize("engine", ["sqlite"])

DAY = timedelta(days=1)
NOW = datetime.now(UTC).replace(microsecond=0)


def audio(
    database: Database, person: str, session: tuple[str, datetime], path: str, at: datetime, seconds: int
) -> None:
    database.run(
        "INSERT INTO audio_files (user_id, session_id, session_start_time, file_path, duration, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        person, session[0], database.moment(session[1]), path, seconds, database.moment(at),
    )  # fmt: skip


def diary(database: Database, person: str, day: str, sleep: int, focus: int) -> None:
    database.run(
        "INSERT INTO progress_tracking (user_id, date, sleep_quality, focus_score) VALUES (?, ?, ?, ?)",
        person, day, sleep, focus,
    )  # fmt: skip


def test_progress_summary_counts_each_session_once(database: Database) -> None:
    person, idle = database.person(), database.person()
    for n in range(3):
        database.session(person, T0 + n * DAY, effectiveness_rating=[4, 8, None][n])
    for n in range(4):
        diary(database, person, f"2026-01-0{n + 1}", 6 + n, 2)
    columns = "total_sessions, avg_effectiveness, avg_sleep_quality, avg_focus_score"
    statement = f"SELECT {columns} FROM user_progress_summary WHERE user_id = ?"
    assert [tuple(map(float, row)) for row in database.run(statement, person)] == [(3, 6, 7.5, 2)]
    assert database.run(statement, idle) == [(0, None, None, None)]
    assert database.run("SELECT email FROM user_progress_summary WHERE user_id = ?", idle) == [("sw1.e",)]


def test_recent_sessions_are_one_row_each_with_latest_feedback_and_newest_file(database: Database) -> None:
    person = database.person()
    session = database.session(person, NOW - 2 * DAY, session_type="evening", effectiveness_rating=7)
    for n in range(3):
        database.feedback(person, session, NOW - DAY + timedelta(minutes=n), mental_effects={"calm": n + 1})
        audio(database, person, session, f"{n}.flac", NOW - DAY + timedelta(minutes=n), 100 + n)
    database.session(person, NOW - DAY)
    database.session(person, NOW - 45 * DAY)
    rows = database.run(
        "SELECT session_type, effectiveness_rating, physical_effects, CAST(mental_effects AS text), end_time,"
        " duration FROM recent_session_analysis WHERE user_id = ?",
        person,
    )
    assert rows == [(None, None, None, None, None, None), ("evening", 7, None, '{"calm": 3}', None, 102)]


def test_a_sound_file_whose_row_goes_is_noted_for_removal(database: Database) -> None:
    person = database.person()
    sessions = [database.session(person, T0 + n * DAY) for n in range(3)]
    for n, session in enumerate(sessions):
        audio(database, person, session, f"{person}-{n}.flac", T0, 60)
    database.run("DELETE FROM audio_files WHERE session_id = ?", sessions[0][0])
    database.run("DELETE FROM sessions WHERE id = ?", sessions[1][0])
    database.run("DELETE FROM users WHERE id = ?", person)
    rows = database.run("SELECT file_path FROM unlink_outbox WHERE user_id = ? ORDER BY file_path", person)
    assert rows == [(f"{person}-{n}.flac",) for n in range(3)]


def test_a_mass_deletion_refolds_a_person_once(database: Database) -> None:
    """300 deletions in a history of 400: one by one that would be 75,000 folds, tens of seconds."""
    person = database.person()
    database.run("BEGIN")
    for n in range(400):
        database.rated(person, T0 + n * DAY / 100)
    database.run("COMMIT")
    database.run("BEGIN")
    before = folds(database)
    if database.engine == "sqlite":
        database.run("INSERT INTO learning_pause (user_id) VALUES (?)", person)
    database.run(
        "DELETE FROM sessions WHERE user_id = ? AND start_time < ?", person, database.moment(T0 + 3 * DAY)
    )
    if database.engine == "sqlite":
        database.run("DELETE FROM learning_pause WHERE user_id = ?", person)
    spent = folds(database) - before
    database.run("COMMIT")
    assert database.state(person).n == len(database.history(person)) == 100
    assert 100 <= spent < 5_000


def folds(database: Database) -> int:
    """A count that grows by at least one, and by less than 20, with every fold of a feedback."""
    if database.engine == "sqlite":
        return int(database.connection.total_changes)
    counted = "SELECT n_tup_ins FROM pg_stat_xact_user_tables WHERE relname = 'profile_history'"
    return int(database.run(counted)[0][0])


@only_postgres
def test_cleanup_keeps_premium_recent_and_restricted(postgres: Database) -> None:
    people = {
        "free": postgres.person(),
        "premium": postgres.person(subscription_tier="premium"),
        "restricted": postgres.person(processing_restricted=True),
    }
    for person in people.values():
        for age in (400, 370, 300):
            postgres.rated(person, NOW - age * DAY)
    kept = {name: postgres.profile(person) for name, person in people.items()}
    postgres.run("SET TIME ZONE 'Pacific/Auckland'")
    postgres.run("SELECT cleanup_old_sessions()")
    left = {name: postgres.run("SELECT count(*) FROM sessions WHERE user_id = ?", person)[0][0]
            for name, person in people.items()}  # fmt: skip
    assert left == {"free": 1, "premium": 3, "restricted": 3}
    assert {name: postgres.profile(person) for name, person in people.items()} == kept  # nothing is unlearned


@only_sqlite
def test_a_feedback_costs_the_same_whoever_else_is_there(database: Database) -> None:
    """Counted in steps of SQLite's machine. A subquery about everybody made it grow with each person."""
    person = database.person()

    def steps(day: int) -> int:
        count = 0

        def step() -> int:
            nonlocal count
            count += 1
            return 0

        session = database.session(person, T0 + timedelta(days=day), target_frequency=10.0, target_state="calm_focus")
        database.connection.set_progress_handler(step, 10)
        database.feedback(person, session, T0 + timedelta(days=day), rating=4)
        database.connection.set_progress_handler(None, 10)
        return count

    steps(0)
    alone = steps(1)
    state = msgspec.json.encode(database.state(person)).decode()
    for _ in range(40):
        database.run("INSERT INTO neural_profiles (user_id, optimal_transition_time, sensitivity_level, contraindications,"
                     " base_frequency_response) VALUES (?, 240, 5, '[]', ?)", database.person(), state)  # fmt: skip
    database.run("ANALYZE")
    assert alone > 500
    assert steps(2) < 1.1 * alone


@only_postgres
def test_partitions_are_made_by_utc_month_and_only_once(postgres: Database) -> None:
    postgres.run("SET TIME ZONE 'America/New_York'")
    wanted = (date(2031, 11, 15), date(2032, 1, 1))
    assert postgres.run("SELECT ensure_partitions(?, ?)", *wanted) == [(9,)]
    assert postgres.run("SELECT ensure_partitions(?, ?)", *wanted) == [(0,)]
    person = postgres.person()
    for at, month in (
        (datetime(2031, 12, 1, tzinfo=UTC), "2031m12"),
        (datetime(2031, 11, 30, 23, 59, tzinfo=UTC), "2031m11"),
    ):
        session = postgres.session(person, at)
        postgres.feedback(person, session, at)
        audio(postgres, person, session, "a", at, 1)
        for table in ("sessions", "session_feedback", "audio_files"):
            assert postgres.run(f"SELECT count(*) FROM {table}_y{month} WHERE user_id = ?", person) == [(1,)]
    assert len(postgres.history(person)) == 2


@only_postgres
def test_rows_of_a_month_in_the_default_partition_are_moved_when_the_month_is_made(postgres: Database) -> None:
    start, elsewhere = datetime(2040, 2, 3, tzinfo=UTC), datetime(2041, 5, 6, tzinfo=UTC)
    person, restricted = postgres.person(), postgres.person()
    for who in (person, restricted):
        for at in (start, elsewhere):
            session = postgres.session(who, at, target_frequency=10.0)
            postgres.feedback(who, session, at, rating=4)
            audio(postgres, who, session, "a", at, 1)
    postgres.run("UPDATE users SET processing_restricted = true WHERE id = ?", restricted)
    whole = "SELECT md5(string_agg(t::text, ';' ORDER BY t::text)) FROM {} AS t"
    tables = ("sessions", "session_feedback", "audio_files", "profile_history", "neural_profiles", "unlink_outbox")
    before = [postgres.run(whole.format(table)) for table in tables]
    assert postgres.run("SELECT ensure_partitions('2040-01-01', '2040-03-01')") == [(9,)]
    assert [postgres.run(whole.format(table)) for table in tables] == before
    for table in tables[:3]:
        assert postgres.run(f"SELECT count(*) FROM {table}_y2040m02") == [(2,)]
        assert postgres.run(f"SELECT count(*) FROM {table}_default") == [(2,)]
    # References and triggers hold as before, in the new month and in the default one.
    for at in (start, elsewhere):
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            postgres.feedback(person, (str(uuid4()), at), at, rating=1)
    postgres.run("DELETE FROM users WHERE id = ?", person)
    assert postgres.run("SELECT count(*) FROM session_feedback WHERE user_id = ?", person) == [(0,)]
    assert postgres.run("SELECT count(*) FROM unlink_outbox WHERE user_id = ?", person) == [(2,)]
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        postgres.run("SELECT ensure_partitions('2040-03-01', '2040-01-01')")


@only_postgres
@pytest.mark.parametrize("killed", [False, True])
def test_a_month_is_made_while_people_write_into_the_default_partition(postgres: Database, postgres_url: str, killed: bool) -> None:
    """What they changed after it was copied is copied again; one who is killed there has changed nothing."""
    start = datetime(2040, 2, 3, tzinfo=UTC)
    person = postgres.person()
    kept, heard, gone = (postgres.session(person, start + n * DAY, target_frequency=10.0) for n in range(3))
    elsewhere = postgres.session(person, datetime(2041, 5, 6, tzinfo=UTC))
    for session in (kept, heard, gone, elsewhere):
        postgres.feedback(person, session, session[1], rating=4)
        audio(postgres, person, session, "a", session[1], 1)
    tables = ("sessions", "session_feedback", "audio_files", "profile_history", "neural_profiles", "unlink_outbox")

    def rows(database: Database) -> list[object]:
        return [database.run(f"SELECT md5(string_agg(t::text, ';' ORDER BY t::text)) FROM {table} AS t") for table in tables]

    with psycopg.connect(postgres_url) as connection, psycopg.connect(postgres_url, autocommit=True) as maker, ThreadPoolExecutor(1) as pool:
        writer = Database(connection, "postgres")
        for text in ("UPDATE sessions SET position_s = 60", "UPDATE session_feedback SET rating = 1", "UPDATE audio_files SET size_bytes = 5"):
            writer.run(f"{text} WHERE user_id = ? AND {'id' if 'sessions' in text else 'session_id'} = ANY (?)", person, [heard[0], elsewhere[0]])
        writer.run("DELETE FROM sessions WHERE id = ?", gone[0])
        writer.feedback(person, writer.session(person, start + 5 * DAY), start + 5 * DAY, rating=2)
        making = pool.submit(maker.execute, "SELECT ensure_partitions('2040-01-01', '2040-03-01')")
        waiting = "SELECT pid FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock' AND pid = ?"
        while not postgres.run(waiting, maker.info.backend_pid):
            assert not making.done()
            time.sleep(0.01)
        if killed:
            postgres.run("SELECT pg_terminate_backend(?)", maker.info.backend_pid)
            with pytest.raises(psycopg.OperationalError):
                making.result()
            assert postgres.run("SELECT to_regclass('sessions_y2040m02')") == [(None,)]
        after = rows(writer)
        connection.commit()
        if not killed:
            making.result()
    assert rows(postgres) == after
    assert postgres.run("SELECT ensure_partitions('2040-01-01', '2040-03-01')") == [(9 if killed else 0,)]
    assert rows(postgres) == after
    for table, count in (("sessions", 3), ("session_feedback", 3), ("audio_files", 2)):
        assert postgres.run(f"SELECT count(*) FROM {table}_y2040m02") == [(count,)]
        assert postgres.run(f"SELECT count(*) FROM {table}_default") == [(1,)]


def test_no_postgres_script_holds_a_percent_sign() -> None:
    """Drivers read it as a placeholder once a statement carries parameters."""
    for path in (SQL / "postgres").rglob("*.sql"):
        if path.parent.name == "migrations":  # hold LIKE patterns, and are run once, without parameters
            continue
        assert "%" not in path.read_text(), path
