"""Fresh, migrated and declared are one schema, on both engines; and it holds everything the architecture names."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import Any

import alembic.command
import pytest

from stillwave.db import migrate, tables
from stillwave.db.database import Query, open_database
from stillwave.errors import CannotStart
from tests import rows

# What the data architecture names: tables with their columns.
ARCHITECTURE = {
    "users": "id email phone_number password_hash created_at updated_at last_login account_status subscription_tier",
    "neural_profiles": "id user_id base_frequency_response optimal_transition_time contraindications sensitivity_level"
    " created_at updated_at alpha_range theta_range delta_range gamma_range",
    "sessions": "id user_id start_time end_time session_type initial_state target_state effectiveness_rating side_effects"
    " base_frequency target_frequency volume_level",
    "audio_files": "id session_id file_path duration format size_bytes created_at sample_rate bit_depth channels frequency_data",
    "user_preferences": "id user_id voice_preference background_sound_type preferred_duration notification_preferences"
    " morning_routine_time evening_routine_time",
    "progress_tracking": "id user_id date metrics notes sleep_quality stress_level focus_score",
    "session_feedback": "id session_id user_id rating feedback_text physical_effects mental_effects created_at",
}
INDEXES = {
    "idx_users_email", "idx_users_phone", "idx_users_subscription", "idx_sessions_user_id", "idx_sessions_start_time",
    "idx_sessions_effectiveness", "idx_sessions_type_time", "idx_progress_user_date", "idx_progress_metrics",
}  # fmt: skip
VIEWS = {
    "user_progress_summary": "user_id email total_sessions avg_effectiveness avg_sleep_quality avg_focus_score",
    "recent_session_analysis": "user_id session_type effectiveness_rating physical_effects mental_effects start_time end_time duration",
}
FUNCTIONS = {"update_neural_profile", "cleanup_old_sessions"}
TRIGGER = "after_session_feedback"


# --- what a database says of itself -------------------------------------------------------------


def ask(database: Any, query: str, *values: object) -> list[tuple[Any, ...]]:
    connection = database.raw()
    try:
        return [tuple(row) for row in connection.execute(query, values).fetchall()]
    finally:
        connection.close()


def actual(database: Any) -> dict[str, dict[str, Any]]:
    return actual_sqlite(database) if database.engine == "sqlite" else actual_postgres(database)


def actual_sqlite(database: Any) -> dict[str, dict[str, Any]]:
    found = {}
    for name, ddl in ask(database, "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"):
        if name == "alembic_version":
            continue
        info = ask(database, f"PRAGMA table_info({name})")
        keys: dict[int, list[tuple[Any, ...]]] = {}
        for key in ask(database, f"PRAGMA foreign_key_list({name})"):
            keys.setdefault(key[0], []).append(key)
        indexes = [i for i in ask(database, f"PRAGMA index_list({name})") if i[3] == "c"]
        found[name] = {
            "columns": {c[1]: (c[2], bool(c[3] or c[5]), c[4] is not None) for c in info},
            "key": tuple(c[1] for c in sorted(info, key=lambda c: c[5]) if c[5]),
            "constraints": set(re.findall(r"CONSTRAINT (\w+)", ddl)),
            "references": {
                (tuple(k[3] for k in key), key[0][2], tuple(k[4] for k in key), key[0][6] == "CASCADE") for key in keys.values()
            },
            "indexes": {i[1]: (columns_of_sqlite_index(database, i[1]), bool(i[2])) for i in indexes},
        }
    return found


def columns_of_sqlite_index(database: Any, name: str) -> tuple[str, ...]:
    return tuple(row[2] for row in ask(database, f"PRAGMA index_info({name})"))


def actual_postgres(database: Any) -> dict[str, dict[str, Any]]:
    found = {}
    tables_found = ask(
        database,
        "SELECT oid::int8, relname FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition"
        " AND relnamespace = 'public'::regnamespace AND relname <> 'alembic_version'",
    )
    for oid, name in tables_found:
        columns = ask(
            database,
            "SELECT attname, format_type(atttypid, atttypmod), attnotnull, atthasdef FROM pg_attribute"
            " WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped",
            oid,
        )
        # A reference to a partitioned table has one hidden copy per partition; only what was declared counts.
        constraints = ask(
            database,
            "SELECT conname, contype, confdeltype,"
            " ARRAY(SELECT attname::text FROM unnest(conkey) WITH ORDINALITY k(n, i) JOIN pg_attribute ON attrelid = conrelid AND attnum = n ORDER BY i),"
            " ARRAY(SELECT attname::text FROM unnest(confkey) WITH ORDINALITY k(n, i) JOIN pg_attribute ON attrelid = confrelid AND attnum = n ORDER BY i),"
            " confrelid::regclass::text FROM pg_constraint WHERE conrelid = %s AND contype IN ('c', 'f', 'p', 'u') AND conparentid = 0",
            oid,
        )
        indexes = ask(
            database,
            "SELECT c.relname, x.indisunique, ARRAY(SELECT attname::text FROM unnest(x.indkey::int2[]) WITH ORDINALITY k(n, i)"
            " JOIN pg_attribute ON attrelid = x.indrelid AND attnum = n ORDER BY i)"
            " FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid"
            " WHERE x.indrelid = %s AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = x.indexrelid AND contype IN ('p', 'u'))",
            oid,
        )
        found[name] = {
            "columns": {c[0]: (c[1], c[2], c[3]) for c in columns},
            "key": next(tuple(c[3]) for c in constraints if c[1] == "p"),
            "constraints": {c[0] for c in constraints if c[1] != "p"},
            "references": {(tuple(c[3]), c[5], tuple(c[4]), c[2] == "c") for c in constraints if c[1] == "f"},
            "indexes": {i[0]: (tuple(i[2]), i[1]) for i in indexes},
        }
    return found


def declared(engine: tables.Engine) -> dict[str, dict[str, Any]]:
    """The same, as the catalogue has it."""
    return {
        t.name: {
            "columns": {n: (kind, c.required, c.default) for c in t.columns for n, kind in c.on(engine)},
            "key": t.key,
            "constraints": {*t.checks, *t.uniques, *(f.name for f in t.foreign_keys)}
            | (t.sqlite_format_checks() if engine == "sqlite" else set()),
            "references": {(f.columns, f.parent, f.parent_columns, True) for f in t.foreign_keys},
            "indexes": {i.name: (i.columns, i.unique) for i in t.indexes},
        }
        for t in tables.tables_on(engine)
    }


def objects(database: Any) -> set[tuple[str, str]]:
    """Everything that was made in the database, as (kind, name)."""
    if database.engine == "sqlite":
        return {(kind, name) for kind, name in ask(database, "SELECT type, name FROM sqlite_master")}
    return {
        (kind, name)
        for kind, name in ask(
            database,
            "SELECT relkind::text, relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace"
            " UNION ALL SELECT 'function', proname::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
            " UNION ALL SELECT 'trigger', tgname::text FROM pg_trigger WHERE NOT tgisinternal",
        )
    }


# --- facts --------------------------------------------------------------------------------------


def test_every_table_is_declared_and_every_declared_table_exists(database):
    assert actual(database).keys() == declared(database.engine).keys()


@pytest.mark.parametrize("table", [t.name for t in tables.TABLES])
def test_a_table_is_what_the_catalogue_says(database, table):
    assert actual(database).get(table) == declared(database.engine).get(table)


@pytest.mark.parametrize("table", [t for t in tables.TABLES if t.partitioned_by], ids=lambda t: t.name)
def test_large_tables_are_partitioned_by_their_time_on_postgres(database, table):
    if database.engine == "sqlite":
        assert f"{table.name}_default" not in actual(database)
        return
    (parted,) = ask(
        database,
        "SELECT pg_get_partkeydef(%s::regclass), count(*) FROM pg_inherits WHERE inhparent = %s::regclass",
        table.name,
        table.name,
    )
    assert parted == (f"RANGE ({table.partitioned_by})", 1)


@pytest.mark.parametrize("table", ARCHITECTURE)
def test_every_column_of_the_architecture_exists(database, table):
    have = actual(database)[table]["columns"]
    for column in ARCHITECTURE[table].split():
        assert {column, f"{column}_low"} & have.keys(), column


def test_every_index_of_the_architecture_exists(database):
    assert {name for t in actual(database).values() for name in t["indexes"]} >= INDEXES


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_of_the_architecture_has_its_columns(database, view):
    if database.engine == "sqlite":
        columns = [row[1] for row in ask(database, f"PRAGMA table_info({view})")]
    else:
        columns = [
            row[0]
            for row in ask(
                database, "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 ORDER BY attnum", view
            )
        ]
    assert columns[: len(VIEWS[view].split())] == VIEWS[view].split()
    assert {v.name: " ".join(v.columns) for v in tables.VIEWS} == VIEWS


def test_the_trigger_of_the_architecture_exists(database):
    assert TRIGGER in {name for kind, name in objects(database) if kind == "trigger"}


def test_the_functions_of_the_architecture_exist_on_postgres(database):
    # SQLite has no stored functions: the trigger holds the body, and retention is a command.
    want = FUNCTIONS if database.engine == "postgres" else set()
    assert want <= {name for kind, name in objects(database) if kind == "function"}
    assert set(tables.FUNCTIONS) == FUNCTIONS


def test_upgrading_twice_changes_nothing(database):
    before = objects(database), actual(database), ask(database, "SELECT * FROM installation ORDER BY name")
    migrate.upgrade(database)
    assert (objects(database), actual(database), ask(database, "SELECT * FROM installation ORDER BY name")) == before
    assert migrate.check(database) == "current"


def test_an_empty_database_says_so_and_becomes_current(empty_settings):
    database = open_database(empty_settings)
    try:
        assert migrate.check(database) == "empty"
        migrate.upgrade(database)
        assert migrate.check(database) == "current"
    finally:
        database.close()


@pytest.mark.parametrize("start", sorted(p.stem for p in (migrate._HERE / "versions").glob("[0-9]*.py")))
def test_a_database_of_any_earlier_version_becomes_like_a_fresh_one(empty_settings, database, monkeypatch, start):
    old = open_database(empty_settings)
    try:
        real = alembic.command.upgrade
        with monkeypatch.context() as earlier:
            earlier.setattr(alembic.command, "upgrade", lambda config, _head: real(config, start))
            earlier.setattr(migrate, "_object_files", lambda _engine: [])
            migrate.upgrade(old)
        migrate.upgrade(old)
        assert migrate.check(old) == "current"
        assert actual(old) == actual(database)
        assert objects(old) == objects(database)
    finally:
        old.close()


def test_a_schema_newer_than_the_program_is_refused_and_left_alone(database):
    with database.write(right="operator") as tx:
        later = "UPDATE alembic_version SET version_num = '9999_later'"
        tx.run(Query("later", later, later))
    before = objects(database)
    for attempt in (migrate.check, migrate.upgrade):
        with pytest.raises(CannotStart, match="9999_later"):
            attempt(database)
    assert objects(database) == before


def test_a_migration_that_fails_leaves_nothing_behind(empty_settings, monkeypatch):
    database = open_database(empty_settings)
    try:
        before = objects(database)
        with monkeypatch.context() as broken:
            broken.setattr(migrate, "_remember_key", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                migrate.upgrade(database)
        assert objects(database) == before
        migrate.upgrade(database)
        assert migrate.check(database) == "current"
    finally:
        database.close()


def test_a_migration_that_is_killed_leaves_nothing_behind(empty_settings):
    database = open_database(empty_settings)
    try:
        before = objects(database)
        script = (
            "import os, sys; from stillwave.db import migrate; from stillwave.db.database import open_database;"
            "from stillwave.settings import load;"
            "migrate._remember_key = lambda *_: os._exit(9);"
            "migrate.upgrade(open_database(load(os.environ)))"
        )
        environ = {
            "STILLWAVE_DATA_DIR": str(empty_settings.data_dir),
            "STILLWAVE_ROOT_KEY": empty_settings.root_key or "",
            "STILLWAVE_DATABASE_URL": empty_settings.database_url or "",
        }
        died = subprocess.run([sys.executable, "-c", script], env=os.environ | environ, check=False)
        assert died.returncode == 9
        assert objects(database) == before
        migrate.upgrade(database)
        assert migrate.check(database) == "current"
    finally:
        database.close()


def test_another_root_key_cannot_migrate(database, settings, tmp_path):
    if database.engine == "sqlite":
        return  # the file does not open at all: tests/unit/test_keys.py
    import msgspec

    stranger = msgspec.structs.replace(settings, root_key="ab" * 32, data_dir=tmp_path / "other")
    other = open_database(stranger)
    try:
        before = ask(database, "SELECT * FROM installation ORDER BY name")
        with pytest.raises(CannotStart, match="root key"):
            migrate.upgrade(other)
        with pytest.raises(CannotStart, match="root key"):
            migrate.require_key(other)
        assert ask(database, "SELECT * FROM installation ORDER BY name") == before
    finally:
        other.close()


def test_a_row_of_an_earlier_start_survives_an_upgrade(database):
    with database.write() as tx:
        rows.insert(tx, "users", **rows.user())
    migrate.upgrade(database)
    with database.read() as tx:
        assert rows.count(tx, "users") == 1
