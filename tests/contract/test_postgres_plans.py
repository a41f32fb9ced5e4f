"""Beneath row-level security, hot queries still look into one month only, and use their indexes."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from stillwave.db.database import Query, open_database
from stillwave.db.ids import first_of
from stillwave.feedback.store import SQL as FEEDBACK
from stillwave.profiles.store import SQL as PROFILES
from stillwave.progress.store import SQL as PROGRESS
from stillwave.sessions.store import SQL as SESSIONS
from stillwave.settings import Settings
from tests import rows
from tests.cast import ALICE, BOB, NOW

A, B = rows.user(ALICE)["id"], rows.user(BOB)["id"]
START = NOW.replace(hour=3)
ID = rows.id_at(START)
MONTHS = 26


@pytest.fixture(scope="module")
def made(settings_on: Callable[[str], Settings]) -> Iterator[psycopg.Connection[Any]]:
    """26 months, two people with sessions in each, two long diaries in which caffeine is rare, and 30 short ones."""
    settings = settings_on("postgres")
    opened = open_database(settings)
    with opened.write() as tx:
        for person in (ALICE, BOB):
            rows.insert(tx, "users", **rows.user(person))
    opened.close()
    assert settings.database_url is not None
    with psycopg.connect(settings.database_url) as admin:
        admin.execute("SELECT ensure_partitions(%s, %s)", [START.date() - dt.timedelta(days=30 * MONTHS), START.date()])
        admin.execute(
            "INSERT INTO sessions (id, user_id, start_time) SELECT uuidv7_at(moment), person, moment"
            " FROM generate_series(%s::timestamptz - INTERVAL '25 months', %s, INTERVAL '3 hours') AS moment,"
            " unnest(%s::uuid[]) AS person",
            [START, START, [A, B]],
        )
        admin.execute(
            "INSERT INTO users (email, email_index, phone_number, phone_index, password_hash)"
            " SELECT 'sw1.A', repeat(md5(n::text), 2), 'sw1.A', repeat(md5(n::text), 2), 'x' FROM generate_series(1, 30) AS n"
        )
        admin.execute(
            "INSERT INTO progress_tracking (user_id, date, metrics) SELECT person, %s::date - n,"
            " CASE WHEN n = 700 THEN '{\"caffeine\": 2}'::jsonb ELSE '{\"steps\": 1}'::jsonb END"
            " FROM generate_series(0, 5000) AS n, (SELECT id AS person FROM users) AS people"
            " WHERE n <= CASE WHEN person = ANY (%s) THEN 5000 ELSE 100 END",
            [START.date(), [A, B]],
        )
        admin.commit()
        admin.autocommit = True
        admin.execute("ANALYZE")
        admin.autocommit = False
        yield admin


@pytest.fixture
def busy(made: psycopg.Connection[Any]) -> Iterator[psycopg.Connection[Any]]:
    """The same, as it was, for each test."""
    yield made
    made.rollback()


def plan(
    admin: psycopg.Connection[Any], text: str, values: dict[str, object], *, role: str = "stillwave_app", acting: object = A
) -> str:
    """The plan that the app gets for a statement of the acting person."""
    admin.execute("SELECT set_config('stillwave.user_id', %s, true)", [str(acting)])
    admin.execute(f"SET LOCAL ROLE {role}")
    found = admin.execute(f"EXPLAIN (COSTS OFF) {text.rstrip(' ;')}".replace("%%", "%"), values).fetchall()
    admin.rollback()
    return "\n".join(row[0] for row in found)


def months(told: str) -> set[str]:
    """The partitions that a plan touches."""
    return set(re.findall(r"\b(?:on|using) (?:\w+ on )?((?:sessions|session_feedback|audio_files)_(?:y\d{4}m\d\d|default))", told))


WHEN: dict[str, object] = {
    "user_id": A, "id": ID, "session_id": ID, "start_time": START, "now": NOW, "end_time": NOW, "position_s": 5,
    "effectiveness": 5, "side_effects": None, "rating": 4, "feedback_text": None, "physical_effects": None,
    "mental_effects": None, "frequency_data": None, "size_bytes": 5,
}  # fmt: skip
ONE_MONTH = {
    **{name: getattr(SESSIONS, name) for name in ("session_by_id", "set_position", "end_session", "audio_of", "set_measured", "set_size")},
    **{name: getattr(FEEDBACK, name) for name in ("rate_first", "rate_session", "unrate_session", "feedback_of", "replace_feedback", "delete_feedback")},
    "reveal_one": PROFILES.reveal_one, "latest_rating": PROFILES.latest_rating,
}  # fmt: skip


@pytest.mark.parametrize("name", ONE_MONTH)
def test_a_query_of_one_session_looks_into_one_month(busy: psycopg.Connection[Any], name: str) -> None:
    told = plan(busy, ONE_MONTH[name].postgres, WHEN)
    touched = months(told)
    assert {part.rsplit("_", 1)[1] for part in touched} == {f"y{START:%Y}m{START:%m}"}, told


@pytest.mark.parametrize("name", ONE_MONTH)
def test_a_prepared_query_of_one_session_looks_into_one_month_too(busy: psycopg.Connection[Any], name: str) -> None:
    """A plan that is made once for all values: the other months are taken out when it begins."""
    told = generic_plan(busy, ONE_MONTH[name].postgres, WHEN)
    # Before 18 the head of an UPDATE names every partition, also those that are taken out.
    scans = "\n".join(line for line in told.splitlines() if " Scan " in line)
    assert {part.rsplit("_", 1)[1] for part in months(scans)} == {f"y{START:%Y}m{START:%m}"}, told
    removed = [int(count) for count in re.findall(r"Subplans Removed: (\d+)", told)]
    assert removed, told
    assert min(removed) >= MONTHS - 1, told


def generic_plan(admin: psycopg.Connection[Any], text: str, values: dict[str, object]) -> str:
    """The plan that the app gets for a prepared statement of the acting person, with these values."""
    names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", text)))
    numbered = re.sub(r"%\((\w+)\)s", lambda found: f"${names.index(found[1]) + 1}", text.rstrip(" ;\n")).replace("%%", "%")
    given = sql.SQL(", ").join(sql.Literal(values[name]) for name in names)
    admin.execute("SELECT set_config('stillwave.user_id', %s, true)", [str(A)])
    admin.execute("SET LOCAL ROLE stillwave_app")
    admin.execute("SET LOCAL plan_cache_mode = force_generic_plan")
    try:
        admin.execute(f"PREPARE hot AS {numbered}".encode())
        found = admin.execute(sql.SQL("EXPLAIN (COSTS OFF) EXECUTE hot ({})").format(given)).fetchall()
    finally:
        admin.rollback()
        admin.execute("DEALLOCATE ALL")
        admin.rollback()
    return "\n".join(row[0] for row in found)


def test_the_program_plans_each_statement_once(settings_on: Callable[[str], Settings]) -> None:
    opened = open_database(settings_on("postgres"))
    with opened.read(UUID(str(A))) as tx:
        assert tx.value(Query("mode", "", "SHOW plan_cache_mode")) == "force_generic_plan"
    opened.close()


SIX_WEEKS: dict[str, object] = {"user_id": A, "first_id": first_of(START - dt.timedelta(weeks=6)), "since": START - dt.timedelta(weeks=6), "now": NOW}


def test_recent_times_look_into_recent_months(busy: psycopg.Connection[Any]) -> None:
    told = plan(busy, PROGRESS.session_times.postgres, SIX_WEEKS)
    assert len(months(told)) <= 4, told  # three months and the default partition
    told = plan(busy, PROFILES.heard_since.postgres, SIX_WEEKS)
    assert len(months(told)) <= 4, told
    told = plan(busy, PROGRESS.played.postgres, SIX_WEEKS)
    assert len(months(told)) <= 3, told


def test_a_page_of_sessions_starts_at_its_newest_month(busy: psycopg.Connection[Any]) -> None:
    before = START - dt.timedelta(days=300)
    values: dict[str, object] = {
        "user_id": A, "until": before, "before_id": rows.id_at(before), "since": before - dt.timedelta(days=1000),
        "most": 20, "state": "",
    }  # fmt: skip
    told = plan(busy, SESSIONS.page_of_sessions.postgres, values)
    scans = [part for part in months(told) if part.startswith("sessions_y")]
    assert not [part for part in scans if part > f"sessions_y{START:%Y}m02"], told
    assert "Sort Key: s.start_time" not in told
    assert "SubPlan" not in told, told  # each month would have one over all months
    told = plan(busy, SESSIONS.page_of_sessions.postgres, {**values, "since": before - dt.timedelta(days=100)})
    assert len([part for part in months(told) if part.startswith("sessions_")]) <= 6, told


def test_the_ratings_of_a_page_are_looked_for_in_its_months(busy: psycopg.Connection[Any]) -> None:
    first = START - dt.timedelta(days=60)
    told = plan(busy, SESSIONS.ratings_between.postgres, {
        "user_id": A, "oldest": rows.id_at(first), "newest": rows.id_at(START), "since": first, "until": START,
    })  # fmt: skip
    assert len(months(told)) <= 4, told  # three months and the default partition


def test_every_query_that_names_a_partitioned_table_is_looked_at_here() -> None:
    """A new one must be put above, or here with the reason why it needs no single month."""
    known = {*ONE_MONTH, "session_times", "played", "listened", "page_of_sessions", "ratings_between",
             "heard_since",
             "file_names", "is_named",  # housekeeping and imports: every file there is
             "raters",  # promotion: everybody, once
             # What is asked of a person's whole history, through indexes that begin with the person:
             "files_of", "told_effects", "session_before", "has_heard", "arms_dealt", "compared", "reveal_all", "effects",
             "insert_session", "insert_audio", "insert_feedback"}  # fmt: skip
    found = set()
    for path in Path("src/stillwave").rglob("queries*.sql"):
        if "sqlite" in path.name or path.parent.name == "operator":
            continue
        for name, text in re.findall(r"-- name: (\w+)!?\n(.*?)(?=-- name:|\Z)", path.read_text(), re.DOTALL):
            if re.search(r"\b(FROM|JOIN|UPDATE|INTO)\s+(sessions|session_feedback|audio_files)\b", text):
                found.add(name)
    assert found - known == set()


def test_the_summary_of_one_person_reads_that_person_alone(busy: psycopg.Connection[Any]) -> None:
    (someone,) = busy.execute("SELECT id FROM users WHERE password_hash = 'x' LIMIT 1").fetchone() or (None,)
    told = plan(busy, PROGRESS.summary.postgres, {"user_id": someone}, acting=someone)
    assert "Seq Scan on progress_tracking" not in told, told
    assert told.count("Aggregate") == 2  # each child once, before the join


def test_the_summary_of_everybody_is_one_pass_over_each_table(busy: psycopg.Connection[Any]) -> None:
    told = plan(busy, "SELECT * FROM user_progress_summary", {}, role="stillwave_owner")
    assert len(re.findall(r"Scan (?:using \w+ )?on progress_tracking", told)) == 1, told
    assert len(months(told)) == len(re.findall(r"Scan (?:using \w+ )?on sessions_", told)), told
    assert "SubPlan" not in told


def test_recent_sessions_look_into_recent_months(busy: psycopg.Connection[Any]) -> None:
    told = busy.execute("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) SELECT * FROM recent_session_analysis").fetchall()
    busy.rollback()
    text = "\n".join(row[0] for row in told)
    run = [line for line in text.splitlines() if re.search(r"on sessions_y", line) and "never executed" not in line]
    assert len(run) <= 3, text


def test_days_by_a_metric_use_the_gin_index(busy: psycopg.Connection[Any]) -> None:
    body = busy.execute("SELECT prosrc FROM pg_proc WHERE proname = 'days_with_metric'").fetchone()[0]  # type: ignore[index]
    for name in ("metric", "first", "last"):
        body = re.sub(rf"(?<![\w.]){name}\b", f"%({name})s", body)
    values: dict[str, object] = {"metric": "caffeine", "first": dt.date(2000, 1, 1), "last": dt.date(2100, 1, 1)}
    told = plan(busy, body, values, role="stillwave_owner")
    assert "idx_progress_metrics" in told, told
    # Why it is a function: beneath row-level security the same condition may not use the index.
    assert "idx_progress_metrics" not in plan(busy, body, values)
