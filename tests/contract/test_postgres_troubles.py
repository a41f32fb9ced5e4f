"""What can be wrong with a PostgreSQL, told apart; and one that goes away comes back without a restart of ours."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import msgspec
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from stillwave.db import migrate, postgres
from stillwave.db.database import PostgresDatabase, Query, open_database
from stillwave.errors import CannotStart, OutOfReach, Unavailable
from stillwave.operator import actions
from stillwave.settings import Settings
from tests import rows
from tests.cast import ALICE, NOW
from tests.served import Served, Visitor

ONE = Query("one", "SELECT 1", "SELECT 1")


@pytest.fixture
def engine() -> str:
    return "postgres"


@pytest.fixture
def plain_login(empty_settings: Settings) -> Iterator[Settings]:
    """An empty database of a login that may neither make roles nor is a member of any."""
    assert empty_settings.database_url is not None
    name = f"stillwave_test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(empty_settings.database_url, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))
        admin.execute(sql.SQL("GRANT CREATE ON SCHEMA public TO {}").format(sql.Identifier(name)))
        yield msgspec.structs.replace(empty_settings, database_url=make_conninfo(empty_settings.database_url, user=name))
        admin.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(name)))
        admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


@pytest.mark.parametrize(
    ("changed", "says", "later"),
    [({"dbname": "nowhere_at_all"}, "createdb", False), ({"user": "nobody_here"}, "does not exist|pg_hba", False),
     ({"host": "127.0.0.1", "port": "9"}, "Check STILLWAVE_DATABASE_URL", True),
     ({"host": "no-such-host.invalid"}, "name of its host", True)],
)  # fmt: skip
def test_each_kind_of_wrong_url_is_told_apart(settings: Settings, changed: dict[str, str], says: str, later: bool) -> None:
    """Starting again `later` helps against some: those exit with 69, and a supervisor does so."""
    assert settings.database_url is not None
    url = make_conninfo(settings.database_url, **{"password": "hunter2", **changed})
    with pytest.raises(CannotStart, match=says) as refusal:
        open_database(msgspec.structs.replace(settings, database_url=url))
    assert "hunter2" not in str(refusal.value)
    assert isinstance(refusal.value, OutOfReach) is later


def test_a_url_that_cannot_be_read_is_said(settings: Settings) -> None:
    with pytest.raises(CannotStart, match="cannot be read"):
        open_database(msgspec.structs.replace(settings, database_url="postgresql://a:hunter2@h:port/x?nonsense=1"))


def test_a_server_that_is_too_old_is_refused(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "OLDEST", 99)
    with pytest.raises(CannotStart, match="Stillwave needs 99"):
        open_database(settings)


def test_a_login_without_rights_is_told_both_ways_on(plain_login: Settings) -> None:
    database = open_database(plain_login)
    try:
        with pytest.raises(CannotStart, match="--one-role"):
            migrate.upgrade(database)
        assert migrate.check(database) == "empty"
    finally:
        database.close()


def test_one_role_does_everything_and_row_security_still_holds(plain_login: Settings) -> None:
    database = open_database(plain_login)
    try:
        migrate.upgrade(database, one_role=True)
        migrate.upgrade(database)  # what it was made as is remembered
        assert migrate.check(database) == "current"
        assert isinstance(database, PostgresDatabase)
        assert not database.has_roles
        database.prepare_months(NOW)
        alice = rows.user(ALICE)
        count = Query("n", "", "SELECT count(*) FROM users")
        put = Query("put", "", f"INSERT INTO users ({', '.join(alice)}) VALUES ({', '.join(f'%({n})s' for n in alice)})")
        with database.write(alice["id"]) as tx:  # type: ignore[arg-type]
            tx.run(put, **alice)
        with database.read(alice["id"]) as tx:  # type: ignore[arg-type]
            assert tx.value(count) == 1
        with database.read() as tx:
            assert tx.value(count) == 0
            assert tx.value(Query("n", "", "SELECT total FROM people_counted()")) == 1
            assert tx.value(count) == 0
        assert database.has_people()
        assert {line.rows for line in actions.retain(database, NOW)} == {0}
        actions.check_clock(database, NOW)
    finally:
        database.close()


def test_a_schema_of_before_the_roles_is_handed_to_its_owner(settings: Settings) -> None:
    assert settings.database_url is not None
    with psycopg.connect(settings.database_url, autocommit=True) as admin:
        tables = admin.execute(
            "SELECT oid::regclass::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
        ).fetchall()
        for (name,) in tables:
            admin.execute(sql.SQL("ALTER TABLE {} OWNER TO CURRENT_USER").format(sql.Identifier(name)))
    database = open_database(settings)
    try:
        assert isinstance(database, PostgresDatabase)
        assert not database.has_roles
        migrate.upgrade(database)
        assert database.has_roles
        with database.read() as tx:
            assert tx.value(Query("who", "", "SELECT current_user::text")) == "stillwave_app"
    finally:
        database.close()


def test_connections_that_the_server_ends_cost_one_request_each_at_most(served: Served, alice: Visitor, settings: Settings) -> None:
    """What a restart of the server does to its clients, ten times."""
    assert settings.database_url is not None
    failed = 0
    with psycopg.connect(settings.database_url, autocommit=True) as admin:
        for _ in range(10):
            assert alice.get("/api/v1/me").status_code == 200
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            failed += alice.get("/api/v1/me").status_code != 200
    assert failed == 0  # connections are looked at before they are given out
    assert alice.get("/api/v1/me").status_code == 200


def test_a_connection_lost_in_the_middle_undoes_it_and_the_handle_goes_on(database: Any) -> None:
    with pytest.raises(Unavailable), database.write(right="retention") as tx:
        actions_put = Query("put", "", "INSERT INTO installation (name, value) VALUES ('clock_x', 'y')")
        tx.run(actions_put)
        with database.raw() as admin:
            admin.execute("SELECT pg_terminate_backend(%s)", [tx.value(Query("pid", "", "SELECT pg_backend_pid()"))])
        tx.value(ONE)
    with database.read() as tx:
        assert tx.value(Query("x", "", "SELECT count(*) FROM installation WHERE name = 'clock_x'")) == 0


def test_a_database_that_goes_in_the_middle_of_a_request_costs_a_503_and_half_of_nothing(
    served: Served, alice: Visitor, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session is rated, and before the feedback's row is written its connection is gone."""
    assert settings.database_url is not None
    url, real, gone = settings.database_url, postgres.PostgresTx._execute, list[int]()

    def lose(tx: Any, query: Query, values: Any) -> Any:
        if query.name == "insert_feedback" and not gone:
            gone.append(tx._connection.info.backend_pid)
            with psycopg.connect(url, autocommit=True) as admin:
                admin.execute("SELECT pg_terminate_backend(%s, 5000)", gone)
        return real(tx, query, values)

    monkeypatch.setattr(postgres.PostgresTx, "_execute", lose)
    session = alice.session(background_only=True)["id"]
    path, body, key = f"/api/v1/sessions/{session}/feedback", {"rating": 4, "effectiveness": 7}, {"Idempotency-Key": "once"}
    answer = alice.post(path, json=body, headers=key)
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
    assert "Retry-After" in answer.headers
    assert "try again" in answer.json()["detail"]
    with served.kit.database.read(right="operator") as tx:
        look = "SELECT count(*) FROM sessions WHERE effectiveness_rating IS NOT NULL"
        assert tx.value(Query("look", look, look)) == 0
    assert alice.post(path, json=body, headers=key).status_code == 201
    assert alice.post(path, json=body, headers=key).status_code == 201
    assert alice.get("/api/v1/profile").json()["ratings"] == 1


def test_an_exhausted_pool_is_said_and_recovers(database: Any) -> None:
    import contextlib

    patience_s = database._pool.timeout
    with contextlib.ExitStack() as stack:
        for _ in range(10):
            stack.enter_context(database.read())
        database._pool.timeout = 0.2
        with pytest.raises(Unavailable, match="busy"), database.read():
            pass
    database._pool.timeout = patience_s
    with database.read() as tx:
        assert tx.value(ONE) == 1


def test_a_session_of_a_month_without_partition_is_kept_and_moves_later(database: Any) -> None:
    late = NOW.replace(year=NOW.year + 3)
    with database.write() as tx:
        rows.insert(tx, "users", **rows.user(ALICE))
        rows.insert(tx, "sessions", **rows.session(rows.user(ALICE)["id"], late))

    def strays() -> int:
        with database.read() as tx:
            found = tx.one(actions.Counts, actions.SQL.counts, today=late.date())
        return int(found.strays)

    assert strays() == 1
    database.prepare_months(late)
    assert strays() == 0
    with database.read() as tx:
        assert rows.count(tx, f"sessions_y{late:%Y}m{late:%m}") == 1
        assert tx.one(actions.Counts, actions.SQL.counts, today=late.date()).months_ahead >= 4
