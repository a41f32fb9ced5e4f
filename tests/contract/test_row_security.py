"""PostgreSQL's own walls: every table, every role, every verb, for one's own rows, another's, and nobody's."""

from __future__ import annotations

import contextlib
import datetime as dt
import uuid
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import psycopg
import pytest
from psycopg import errors, sql
from psycopg.conninfo import make_conninfo
from psycopg.types.json import Jsonb

from stillwave.db import migrate, tables
from stillwave.db.database import PostgresDatabase, Query, open_database
from stillwave.db.tables import Table, tables_on
from stillwave.errors import CannotStart
from stillwave.settings import Settings
from tests import rows
from tests.cast import ALICE, BOB, NOW

A, B = (uuid.UUID(str(rows.user(person)["id"])) for person in (ALICE, BOB))
MONTH = f"y{NOW:%Y}m{NOW:%m}"
ROLES = ("stillwave_owner", "stillwave_migrator", "stillwave_app", "stillwave_retention", "stillwave_auditor",
         "stillwave_backup", "pg_signal_backend")  # the last stands for any other role  # fmt: skip
CASES = ("own", "other", "nobody")
VERBS = ("select", "insert", "update", "delete")


@pytest.fixture(scope="module")
def home(settings_on: Callable[[str], Settings]) -> Settings:
    """One database for the whole module. Migrated once more: a copy loses what a database itself grants."""
    settings = settings_on("postgres")
    opened = open_database(settings)
    migrate.upgrade(opened)
    opened.prepare_months(NOW)
    opened.close()
    assert settings.database_url is not None
    with psycopg.connect(settings.database_url) as connection:
        _fill(connection)
    return settings


# Values that a check asks for; everything else follows from the column's kind.
SPECIAL: dict[str, object] = {
    "users.account_status": "active", "users.subscription_tier": "free", "users.role": "listener",
    "consents.purpose": "reminders", "installation.name": "fact",
    "effect_vocabulary.kind": "note", "user_preferences.voice_preference": "none",
    "sessions.session_type": "custom", "sessions.arm": "beat", "neural_profiles.optimal_transition_time": 240,
    "sessions.end_time": NOW + dt.timedelta(minutes=5), "consents.withdrawn_at": NOW,
    "emergency_accesses.expires_at": NOW + dt.timedelta(minutes=5), "audit_events.actor": "self", "jobs.lane": "quick", "reminders.kind": "morning",
    "session_feedback.learns": True, "neural_profiles.adaptation_on": True, "promotion_rejects.outcome": "repaired",
}  # fmt: skip
BY_KIND: dict[tables.Kind, object] = {
    tables.MOMENT: NOW, tables.DAY: NOW.date(), tables.CLOCK: dt.time(7), tables.JSON: Jsonb({}), tables.TEXTS: [],
    tables.WHOLE: 5, tables.BIG: 5, tables.YES_NO: False, tables.REAL: 5.0, tables.HUNDREDTHS: 5,
    tables.SPAN: None, tables.SHA256: "ab" * 32,
}  # fmt: skip


def row_of(table: Table, person: uuid.UUID) -> dict[str, object]:
    """A row of the person in any table of the catalogue."""
    session_id = rows.id_at(NOW) if table.name == "sessions" else None
    values: dict[str, object] = {}
    for column in table.columns:
        place = f"{table.name}.{column.name}"
        if column.name in (table.owner, "user_id"):
            values[column.name] = person
        elif place in SPECIAL:
            values[column.name] = SPECIAL[place]
        elif column.kind in (tables.UUID, tables.UUID_REF):
            values[column.name] = session_id or uuid.uuid5(person, column.name)
        elif column.sealed:
            values[column.name] = [] if column.kind == tables.TEXTS else "sw1.AAAA"
        else:
            values[column.name] = BY_KIND.get(column.kind, column.name[:8])
    if "email_index" in values:
        values |= {name: rows.digest(f"{name}{person}") for name in ("email_index", "phone_index")}
    return values


def _fill(connection: psycopg.Connection[Any]) -> None:
    """Rows of Alice and of Bob in every table."""
    session = {person: rows.id_at(NOW) for person in (A, B)}
    for table, person in product(tables_on("postgres"), (A, B)):
        if table.owner is None and table.retention != "report" and table.name != "promotion_steps":
            continue  # filled by the migrations
        row = row_of(table, person)
        if table.name == "sessions":
            row["id"] = session[person]
        if "session_id" in row:
            row["session_id"] = session[person]
        put = sql.SQL("INSERT INTO {} ({}) VALUES ({}) ON CONFLICT DO NOTHING").format(
            sql.Identifier(table.name), sql.SQL(", ").join(map(sql.Identifier, row)),
            sql.SQL(", ").join([sql.Placeholder()] * len(row)),
        )  # fmt: skip
        connection.execute(put, list(row.values()))


@pytest.fixture
def admin(home: Settings) -> Iterator[psycopg.Connection[Any]]:
    """A superuser; what a test does and does not commit is undone."""
    assert home.database_url is not None
    with psycopg.connect(home.database_url) as connection:
        yield connection
        connection.rollback()


def targets(admin: psycopg.Connection[Any]) -> dict[str, Table | None]:
    """Every table and partition there is, with its entry in the catalogue (None for Alembic's)."""
    found = admin.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') ORDER BY 1"
    ).fetchall()
    known = {table.name: table for table in tables_on("postgres")}
    there: dict[str, Table | None] = {}
    for (name,) in found:
        root = name if name in known else name.rsplit("_", 1)[0]
        there[name] = known.get(root)
    assert known.keys() <= there.keys()
    return there


# What housekeeping may; a verb may say for whom. What is not named is refused.
ENDS = {"select": "acts", "delete": "acts"}
HOUSEKEEPING = {
    "logins": ENDS, "recoveries": ENDS, "idempotency_keys": ENDS, "unlink_outbox": ENDS, "passkey_challenges": ENDS,
    "jobs": {**ENDS, "update": "acts"},
    "installation": {"select": "acts", "update": "sees nothing"},  # but for what it knows of the clock
    # Its own line in the chain that it trims; nothing here is six years old.
    "audit_events": {"select": "acts", "insert own": "acts", "delete": "sees nothing"},
    "audit_heads": {"select": "acts", "insert own": "acts", "update own": "acts", "update": "sees nothing"},
    "inspections": {"select": "acts", "insert": "acts", "delete": "sees nothing"},
    "emergency_accesses": {"select": "acts"},
}


def _for_the_server(name: str, case: str, verb: str) -> str:
    if (name, verb) in (("audit_events", "update"), ("audit_events", "delete"), ("audit_heads", "delete")):
        return "refused"  # the log only grows
    if case == "own":
        return "acts"
    return "refused" if verb == "insert" else "sees nothing"


def expected(name: str, table: Table | None, role: str, case: str, verb: str) -> str:
    """`acts` (on at least one row), `sees nothing`, or `refused`."""
    partition = table is not None and name != table.name
    owned = table is not None and table.owner is not None
    if role in ("stillwave_owner", "stillwave_migrator"):
        return "acts"
    if role == "stillwave_backup":
        return "acts" if verb == "select" else "refused"
    if role == "pg_signal_backend" or partition:
        return "refused"
    if role == "stillwave_app" and owned:
        return _for_the_server(name, case, verb)
    if role == "stillwave_retention" and name in HOUSEKEEPING:
        return HOUSEKEEPING[name].get(f"{verb} {case}", HOUSEKEEPING[name].get(verb, "refused"))
    return "acts" if verb == "select" and not owned else "refused"


def statement(name: str, table: Table | None, verb: str, row: Any) -> tuple[sql.Composed, list[Any]]:
    """The verb on the rows of one person (or on all, where nobody owns them)."""
    owner = table.owner if table else None
    where = sql.SQL(" WHERE {} = {}").format(sql.Identifier(owner), sql.Placeholder()) if owner else sql.SQL("")
    values = [row[owner]] if owner else []
    target = sql.Identifier(name)
    if verb == "select":
        column = sql.Identifier(owner or (table.key[0] if table else "version_num"))
        return sql.SQL("SELECT {} FROM {}{}").format(column, target, where), values
    if verb == "delete":
        return sql.SQL("DELETE FROM {}{}").format(target, where), values
    if verb == "update":
        free = [c.name for c in table.columns if c.name not in table.key] if table else ["version_num"]
        column = sql.Identifier("updated_at" if "updated_at" in free else free[-1] if free else table.key[-1])  # type: ignore[union-attr]
        return sql.SQL("UPDATE {} SET {} = {}{}").format(target, column, column, where), values
    # A row that is there already: row-level security speaks before the unique index does.
    return sql.SQL("INSERT INTO {} SELECT * FROM jsonb_populate_record(NULL::{}, {})").format(
        target, target, sql.Placeholder()
    ), [Jsonb(row)]


def happened(admin: psycopg.Connection[Any], role: str, acting: object, what: tuple[sql.Composed, list[Any]]) -> str:
    try:
        admin.execute("SELECT set_config('stillwave.user_id', %s, true)", [str(acting or "")])
        admin.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role)))
        cursor = admin.execute(*what)
        return "acts" if cursor.rowcount else "sees nothing"  # noqa: TRY300  the undoing below is for it too
    except errors.InsufficientPrivilege:
        return "refused"
    except (errors.UniqueViolation, errors.ForeignKeyViolation):
        return "acts"
    finally:
        admin.rollback()


def a_row(admin: psycopg.Connection[Any], name: str, table: Table | None, person: object) -> Any:
    """A row that is there, as JSON; for a partition that is empty, one of its table."""
    owner = table.owner if table else None
    for source in (name, table.name if table else name):
        where = sql.SQL("WHERE {} = {}").format(sql.Identifier(owner), sql.Literal(person)) if owner else sql.SQL("")
        found = admin.execute(
            sql.SQL("SELECT to_jsonb(t) FROM {} AS t {} LIMIT 1").format(sql.Identifier(source), where)
        ).fetchone()
        if found:
            return found[0]
    raise AssertionError(name)


def test_every_cell_of_table_role_person_and_verb_is_as_meant(admin: psycopg.Connection[Any]) -> None:
    wrong, cells, there = [], 0, targets(admin)
    full = {name: t for name, t in there.items() if t is None or name in (t.name, f"{t.name}_{MONTH}")}
    assert {f"{t}_{MONTH}" for t in ("sessions", "session_feedback", "audio_files")} <= full.keys()
    for (name, table), case in product(full.items(), CASES):
        acting, target = {"own": (A, A), "other": (A, B), "nobody": (None, A)}[case]
        row = a_row(admin, name, table, target)
        for role, verb in product(ROLES, VERBS):
            found = happened(admin, role, acting, statement(name, table, verb, row))
            cells += 1
            if found != (meant := expected(name, table, role, case, verb)):
                wrong.append(f"{name} as {role}, {case}, {verb}: {found}, not {meant}")
    assert wrong == []
    assert cells == len(full) * len(CASES) * len(ROLES) * len(VERBS)


def test_every_table_and_partition_forces_row_security_on_its_owner(admin: psycopg.Connection[Any]) -> None:
    admin.execute("SET ROLE stillwave_retention")
    admin.execute("SELECT ensure_partitions('2031-01-01', '2031-02-01')")
    admin.execute("RESET ROLE")
    lax = admin.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
        " AND NOT (relrowsecurity AND relforcerowsecurity)"
    ).fetchall()
    assert lax == []
    foreign = admin.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v')"
        " AND relowner <> 'stillwave_owner'::regrole"
    ).fetchall()
    assert foreign == []


def test_the_roles_have_no_way_around(admin: psycopg.Connection[Any]) -> None:
    found = admin.execute(
        "SELECT rolname, rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolcanlogin OR rolreplication"
        " FROM pg_roles WHERE starts_with(rolname, 'stillwave_') AND NOT starts_with(rolname, 'stillwave_test')"
    ).fetchall()
    assert {name for name, _ in found} >= {r for r in ROLES if r.startswith("stillwave_")}
    assert [name for name, more in found if more] == []


FORBIDDEN = [
    "TRUNCATE users CASCADE", "TRUNCATE sessions_default", "ALTER TABLE users DISABLE ROW LEVEL SECURITY",
    "ALTER TABLE sessions NO FORCE ROW LEVEL SECURITY", "DROP POLICY person ON sessions", "DROP TABLE logins",
    "CREATE TABLE more (x int)", "CREATE TEMPORARY TABLE users (x int)", "CREATE VIEW v AS SELECT 1",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "COPY users FROM STDIN", "COPY users TO PROGRAM 'cat'",
    "SELECT pg_read_file('PG_VERSION')", "ALTER ROLE stillwave_app BYPASSRLS", "SELECT protect_table('users')",
    "UPDATE users SET role = 'operator'", "UPDATE users SET subscription_tier = 'premium'",
    "LOCK TABLE sessions_default IN ACCESS EXCLUSIVE MODE", "ALTER FUNCTION contact_taken(text, text) SECURITY INVOKER",
]  # fmt: skip


@pytest.mark.parametrize("role", [r for r in ROLES if r not in ("stillwave_owner", "stillwave_migrator")])
def test_what_no_role_of_the_program_may_do(admin: psycopg.Connection[Any], role: str) -> None:
    done = []
    for forbidden in FORBIDDEN:
        try:
            admin.execute("SELECT set_config('stillwave.user_id', %s, true)", [str(A)])
            admin.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role)))
            admin.execute(forbidden)
            done.append(forbidden)
        except (errors.InsufficientPrivilege, errors.FeatureNotSupported):
            pass
        admin.rollback()
    assert done == []


def test_copy_and_row_security_off_show_nothing_more(admin: psycopg.Connection[Any]) -> None:
    def copied(acting: object, role: str = "stillwave_app") -> str:
        admin.execute("SELECT set_config('stillwave.user_id', %s, true)", [str(acting or "")])
        admin.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role)))
        with admin.cursor().copy("COPY (SELECT id FROM users) TO STDOUT") as copy:
            text = b"".join(bytes(part) for part in copy).decode()
        admin.rollback()
        return text

    assert copied(A).split() == [str(A)]
    assert copied(None) == ""
    admin.execute("SET LOCAL ROLE stillwave_app")
    admin.execute("SET LOCAL row_security = off")
    with pytest.raises(errors.InsufficientPrivilege, match="row-level security"):
        admin.execute("SELECT * FROM users")


@pytest.mark.parametrize("made_up", ["*", "' OR true --", "%", "00000000-0000-0000-0000-000000000000", "NULL"])
def test_a_made_up_person_shows_nothing(admin: psycopg.Connection[Any], made_up: str) -> None:
    admin.execute("SELECT set_config('stillwave.user_id', %s, true)", [made_up])
    admin.execute("SET LOCAL ROLE stillwave_app")
    with contextlib.suppress(errors.InvalidTextRepresentation):
        assert admin.execute("SELECT count(*) FROM users").fetchone() == (0,)


@pytest.mark.parametrize("table", [t for t in tables_on("postgres") if t.owner and t.name != "users"], ids=lambda t: t.name)
def test_no_row_can_be_given_to_another(admin: psycopg.Connection[Any], table: Table) -> None:
    admin.execute("SELECT set_config('stillwave.user_id', %s, true)", [str(A)])
    admin.execute("SET LOCAL ROLE stillwave_app")
    refusal = "permission denied" if table.name == "audit_events" else "row-level security"
    with pytest.raises(errors.InsufficientPrivilege, match=refusal):
        admin.execute(sql.SQL("UPDATE {} SET user_id = %s").format(sql.Identifier(table.name)), [B])


@pytest.mark.parametrize("view", ["user_progress_summary", "recent_session_analysis", "learning_feedback"])
def test_views_show_what_their_reader_may_see(admin: psycopg.Connection[Any], view: str) -> None:
    def seen(acting: object) -> set[Any]:
        admin.execute("SELECT set_config('stillwave.user_id', %s, true)", [str(acting or "")])
        admin.execute("SET LOCAL ROLE stillwave_app")
        found = admin.execute(sql.SQL("SELECT user_id FROM {}").format(sql.Identifier(view))).fetchall()
        admin.rollback()
        return {row[0] for row in found}

    assert admin.execute(sql.SQL("SELECT count(DISTINCT user_id) FROM {}").format(sql.Identifier(view))).fetchone() == (2,)
    assert seen(A) <= {A}
    assert seen(None) == set()


def test_definer_functions_have_a_fixed_path_and_are_closed_to_everybody_else(admin: psycopg.Connection[Any]) -> None:
    found = admin.execute(
        "SELECT proname, coalesce(proconfig::text, ''), has_function_privilege('pg_signal_backend', oid, 'EXECUTE'),"
        " ARRAY(SELECT r FROM unnest(ARRAY['app', 'retention', 'auditor', 'backup']) AS r"
        "       WHERE has_function_privilege('stillwave_' || r, oid, 'EXECUTE'))"
        " FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prosecdef"
    ).fetchall()
    assert [name for name, config, _, _ in found if "search_path=public, pg_temp" not in config] == []
    assert [name for name, _, anybody, _ in found if anybody] == []
    assert {name: set(who) for name, _, _, who in found} == {
        "account_of_email": {"app"}, "contact_taken": {"app"}, "days_with_metric": {"app"},
        "people_counted": {"app", "auditor", "retention"}, "erasures_counted": {"app", "auditor", "retention"},
        "due_erasures": {"retention"}, "house_counted": {"app", "auditor", "retention"},
        "cleanup_old_sessions": {"retention"}, "expired_months": {"retention"}, "expired_sessions": {"retention"},
        "rows_inspected": {"auditor", "retention"}, "consents_inspected": {"auditor", "retention"},
        "retire_month": {"retention"}, "forget_metric_names": {"retention"}, "ensure_partitions": {"retention"}, "due_reminders": {"retention"},
    }  # fmt: skip


def test_the_narrow_ways_lead_nowhere_else(admin: psycopg.Connection[Any]) -> None:
    alice_index = admin.execute("SELECT email_index FROM users WHERE id = %s", [A]).fetchone()[0]  # type: ignore[index]
    admin.execute("UPDATE progress_tracking SET metrics = '{\"caffeine\": 1}'")
    admin.commit()
    admin.execute("SET LOCAL ROLE stillwave_app")
    for nothing in ("", "%", "ab", "' OR true --", alice_index[:-1], alice_index.upper()):
        assert admin.execute("SELECT * FROM account_of_email(%s)", [nothing]).fetchall() == []
    assert len(admin.execute("SELECT * FROM account_of_email(%s)", [alice_index]).fetchall()) == 1
    assert admin.execute("SELECT count(*) FROM users").fetchone() == (0,)  # and nobody acts as the house afterwards
    days = "SELECT * FROM days_with_metric('caffeine', '2000-01-01', '2100-01-01')"
    assert admin.execute(days).fetchall() == []
    admin.execute("SELECT set_config('stillwave.user_id', %s, true)", [str(A)])
    assert len(admin.execute(days).fetchall()) == 1
    assert admin.execute("SELECT count(*) FROM users").fetchone() == (1,)
    admin.execute("SELECT contact_taken('', '')")
    assert admin.execute("SELECT count(*) FROM users").fetchone() == (1,)
    admin.rollback()
    # Retention cannot be made to take what is not due, whatever it is told.
    admin.execute("SET LOCAL ROLE stillwave_retention")
    for month in ("sessions_default", f"sessions_{MONTH}", "users", "sessions", "logins; DROP TABLE users"):
        assert admin.execute("SELECT gone FROM retire_month(%s, 'infinity', 10000)", [month]).fetchone() == (0,)
    admin.execute("RESET ROLE")
    assert admin.execute("SELECT count(*) FROM sessions").fetchone() == (2,)


def test_operators_are_made_by_operators(admin: psycopg.Connection[Any]) -> None:
    for more in ({"role": "operator"}, {"subscription_tier": "premium"}):
        row = a_row(admin, "users", tables.USERS, A) | more
        admin.execute("SELECT set_config('stillwave.user_id', %s, true)", [str(A)])
        admin.execute("SET LOCAL ROLE stillwave_app")
        with pytest.raises(errors.InsufficientPrivilege, match="row-level security"):
            admin.execute("INSERT INTO users SELECT * FROM jsonb_populate_record(NULL::users, %s)", [Jsonb(row)])
        admin.rollback()


def test_a_login_of_the_server_alone_serves_and_cannot_operate(admin: psycopg.Connection[Any], home: Settings) -> None:
    name = f"stillwave_test_{uuid.uuid4().hex[:12]}"
    admin.execute(sql.SQL("CREATE ROLE {} LOGIN NOINHERIT").format(sql.Identifier(name)))
    admin.execute(sql.SQL("GRANT stillwave_app, stillwave_retention TO {}").format(sql.Identifier(name)))
    admin.commit()
    try:
        assert home.database_url is not None
        served = PostgresDatabase(make_conninfo(home.database_url, user=name), open_database(home).vault)
        served.open()
        try:
            mine = Query("mine", "", "SELECT count(*) FROM users")
            with served.read(A) as tx:
                assert tx.value(mine) == 1
            with served.read() as tx:
                assert tx.value(mine) == 0
            with pytest.raises(CannotStart, match="stillwave_migrator"), served.read(right="operator"):
                pass
            with served.write(right="retention") as tx:
                assert tx.value(Query("due", "", "SELECT expired_sessions(now())")) == 0
        finally:
            served.close()
        admin.execute(sql.SQL("REVOKE stillwave_app FROM {}").format(sql.Identifier(name)))
        admin.commit()
        with pytest.raises(CannotStart, match="GRANT stillwave_app"):
            served.__class__(make_conninfo(home.database_url, user=name), served.vault).open()
    finally:
        admin.rollback()
        admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))
        admin.commit()
