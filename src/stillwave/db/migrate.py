"""The schema's versions: Alembic runs numbered SQL files once; functions, views, triggers and policies are
re-applied whenever their text changes. On PostgreSQL roles come first, and the objects are their owner's."""

from __future__ import annotations

import hashlib
import re
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import sqlcipher3.dbapi2 as sqlcipher

from stillwave.db.database import PostgresDatabase, Query, SqliteDatabase
from stillwave.errors import CannotStart, StillwaveError, StorageFull, Unavailable

_HERE = Path(__file__).parent
_KINDS = ("functions", "views", "triggers", "policies")
_ONE_ROLE = "one_role"


_KNOWN = Query(
    "known", "SELECT name FROM sqlite_master WHERE name = :name", "SELECT to_regclass('public.' || %(name)s)::text"
)
_REVISION = Query("revision", *["SELECT version_num FROM alembic_version"] * 2)
_FACT = Query(
    "fact", "SELECT value FROM installation WHERE name = :name", "SELECT value FROM installation WHERE name = %(name)s"
)


def knows(revision: str) -> bool:
    """True when this program can make that revision."""
    return revision in {path.stem for path in (_HERE / "versions").glob("[0-9]*.py")}


def newest() -> str:
    """The revision this program needs."""
    return max(path.stem for path in (_HERE / "versions").glob("[0-9]*.py"))


def applied(database: SqliteDatabase | PostgresDatabase) -> tuple[str | None, str | None]:
    """The revision and the digest of functions, views and triggers in the database; None when absent."""
    with database.read() as tx:
        if tx.value(_KNOWN, name="alembic_version") is None:
            return None, None
        return tx.value(_REVISION), tx.value(_FACT, name="objects_sha256")


def check(database: SqliteDatabase | PostgresDatabase) -> str:
    """"current", "behind" or "empty". Raises CannotStart when the schema is newer than the program."""
    revision, digest = applied(database)
    if revision is None:
        return "empty"
    if revision > newest():
        raise CannotStart(
            f"The database is at version {revision}, newer than this program ({newest()}). "
            "Install the newer Stillwave. Nothing was changed."
        )
    return "current" if (revision, digest) == (newest(), _objects_digest(database.engine)) else "behind"


def upgrade(
    database: SqliteDatabase | PostgresDatabase, *, one_role: bool = False,
    filled: tuple[str, Callable[[Any], None]] | None = None,
) -> None:  # fmt: skip
    """The schema is the newest, in one transaction; running it again changes nothing.

    On PostgreSQL its roles exist as well; `one_role` is for hosting where none can be made: a database then
    belongs to its login for good. Also remembers a check value of the root key. `filled` puts rows into an empty
    database: at this revision, on the driver's connection, before there are functions, triggers and policies.
    Raises CannotStart for another key, for a schema that is newer than the program, and for a login without the rights.
    """
    check(database)
    # Alembic and SQLAlchemy cost two seconds of import; only a migration pays them.
    import alembic.command
    import alembic.config
    import sqlalchemy as sa

    config = alembic.config.Config()
    config.set_main_option("script_location", str(_HERE).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    url = "sqlite://" if database.engine == "sqlite" else "postgresql+psycopg://"
    engine = sa.create_engine(url, creator=database.raw, poolclass=sa.pool.NullPool)
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql(
                "BEGIN IMMEDIATE" if database.engine == "sqlite"
                else "SELECT pg_advisory_xact_lock(7160301)"  # one migration at a time
            )
            raw: Any = connection.connection.dbapi_connection
            alone = database.engine == "postgres" and _become_owner(raw, one_role=one_role)
            config.attributes["connection"] = connection
            config.attributes["engine"] = database.engine
            if filled is not None:
                alembic.command.upgrade(config, filled[0])
                filled[1](raw)
            alembic.command.upgrade(config, "head")
            if database.engine == "postgres" and not alone:
                raw.execute("GRANT SELECT ON alembic_version, installation TO stillwave_app")
            _apply_objects(raw, database.engine)
            if alone:
                _remember(raw, database.engine, _ONE_ROLE, "yes")
            _remember_key(raw, database)
            connection.exec_driver_sql("COMMIT") if database.engine == "sqlite" else connection.commit()
    except _driver_errors(database.engine) as error:
        raise _in_words(getattr(error, "orig", None) or error) from error
    finally:
        engine.dispose()
    database.reopen()


def _driver_errors(engine: str) -> tuple[type[Exception], ...]:
    import sqlalchemy as sa

    if engine == "sqlite":
        return (sa.exc.DBAPIError, sqlcipher.Error)
    import psycopg

    return (sa.exc.DBAPIError, psycopg.Error)


def _in_words(error: Any) -> StillwaveError:  # noqa: ANN401
    """What stopped a migration, as a refusal. The driver's first sentence names objects, never values."""
    told = str(getattr(getattr(error, "diag", None), "message_primary", None) or error).splitlines()[0]
    if "disk is full" in told or getattr(error, "sqlstate", None) == "53100":
        return StorageFull("The disk is full. Nothing was changed; free some space and run this again.")
    if "locked" in told or getattr(error, "sqlstate", None) == "55P03":
        return Unavailable("Somebody else works with the database. Nothing was changed; end them, or run this again later.")
    return CannotStart(
        f"The schema could not be brought to {newest()}: {told}. It is one transaction: nothing was changed. If half of a "
        "migration was made by hand, undo that half; else restore the last backup."
    )


def _become_owner(raw: Any, *, one_role: bool) -> bool:  # noqa: ANN401
    """The rest of the transaction works as the owner of the schema. True when that is the login itself, for good."""
    import psycopg

    if _first(raw, "SELECT to_regclass('public.installation')") is not None:
        # Row-level security is forced: asked for the house, this fact is seen by whichever login migrates.
        _for_the_house(raw)
        one_role = _first(raw, f"SELECT value FROM installation WHERE name = '{_ONE_ROLE}'") == "yes"  # noqa: S608  our name
    if one_role:
        _for_the_house(raw)
        return True
    try:
        raw.execute((_HERE / "sql" / "postgres" / "roles.sql").read_text(encoding="utf-8"))
        raw.execute("SET LOCAL ROLE stillwave_owner")
    except psycopg.errors.InsufficientPrivilege:
        raise CannotStart(
            "This login may not make Stillwave's roles or hand them the schema. Run this command once with the URL of "
            "a superuser, or of a login with CREATEROLE that owns the database. Where roles cannot be made at all: "
            "stillwave db init --one-role. Nothing was changed."
        ) from None
    return False


def _for_the_house(raw: Any) -> None:  # noqa: ANN401
    raw.execute("SELECT set_config('stillwave.user_id', '*', true)")


def run_file(operation: Any, name: str) -> None:  # noqa: ANN401
    """Run one migration file inside an Alembic revision, on the driver's own connection."""
    connection = operation.get_bind()
    engine = "sqlite" if connection.dialect.name == "sqlite" else "postgres"
    text = (_HERE / "sql" / engine / "migrations" / f"{name}.sql").read_text(encoding="utf-8")
    _run_script(connection.connection.dbapi_connection, engine, text)


def require_key(database: SqliteDatabase | PostgresDatabase) -> None:
    """The database was made with this root key. Raises CannotStart otherwise; nothing is touched."""
    with database.read() as tx:
        known = tx.value(_FACT, name="key_check")
    if known is not None and known != database.vault.key_check():
        raise CannotStart(
            "This root key is not the one this database was made with. "
            "Put the right key back. Nothing was changed."
        )


def split_statements(script: str) -> Iterator[str]:
    """The statements of a SQLite script; a trigger's body stays whole."""
    statement = ""
    for piece in re.split(r"(?<=;)", script):
        statement += piece
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip() and not all(
        line.strip().startswith("--") for line in statement.splitlines() if line.strip()
    ):
        yield statement


def _object_files(engine: str) -> list[Path]:
    root = _HERE / "sql" / engine
    return [path for kind in _KINDS for path in sorted((root / kind).glob("*.sql"))]


def _objects_digest(engine: str) -> str:
    digest = hashlib.sha256()
    for path in _object_files(engine):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _apply_objects(raw: Any, engine: str) -> None:  # noqa: ANN401
    for path in _object_files(engine):
        _run_script(raw, engine, path.read_text(encoding="utf-8"))
    _remember(raw, engine, "objects_sha256", _objects_digest(engine))


def _remember_key(raw: Any, database: SqliteDatabase | PostgresDatabase) -> None:  # noqa: ANN401
    known = _first(raw, "SELECT value FROM installation WHERE name = 'key_check'")
    if known is None:
        _remember(raw, database.engine, "key_check", database.vault.key_check())
    elif known != database.vault.key_check():
        raise CannotStart("This root key is not the one this database was made with. Nothing was changed.")


def _remember(raw: Any, engine: str, name: str, value: str) -> None:  # noqa: ANN401
    mark = "?" if engine == "sqlite" else "%s"
    raw.execute(
        f"INSERT INTO installation (name, value) VALUES ({mark}, {mark})"  # noqa: S608  the mark is ours
        " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (name, value),
    )


def _run_script(raw: Any, engine: str, text: str) -> None:  # noqa: ANN401
    if engine == "postgres":
        raw.execute(text)  # without parameters: `%` stays a percent sign
        return
    for statement in split_statements(text):
        raw.execute(statement)


def _first(connection: Any, query: str) -> str | None:  # noqa: ANN401
    row = connection.execute(query).fetchone()
    if row is None:
        return None
    return None if row[0] is None else str(row[0])
