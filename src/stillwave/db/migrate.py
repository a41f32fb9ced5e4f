"""The schema's versions: Alembic runs numbered SQL files once; functions, views and triggers are re-applied
whenever their text changes."""

from __future__ import annotations

import hashlib
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stillwave.db.database import PostgresDatabase, SqliteDatabase
from stillwave.errors import CannotStart

_HERE = Path(__file__).parent
_KINDS = ("functions", "views", "triggers")


def newest() -> str:
    """The revision this program needs."""
    return max(path.stem for path in (_HERE / "versions").glob("[0-9]*.py"))


def applied(database: SqliteDatabase | PostgresDatabase) -> tuple[str | None, str | None]:
    """The revision and the digest of functions, views and triggers in the database; None when absent."""
    connection = database.raw()
    try:
        if not _has_table(connection, database.engine, "alembic_version"):
            return None, None
        revision = _first(connection, "SELECT version_num FROM alembic_version")
        digest = _first(connection, "SELECT value FROM installation WHERE name = 'objects_sha256'")
        return revision, digest
    finally:
        connection.close()


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


def upgrade(database: SqliteDatabase | PostgresDatabase) -> None:
    """The schema is the newest, in one transaction; running it again changes nothing.

    Also remembers a check value of the root key. Raises CannotStart for another key, and for a schema that is
    newer than the program.
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
            config.attributes["connection"] = connection
            config.attributes["engine"] = database.engine
            alembic.command.upgrade(config, "head")
            raw = connection.connection.dbapi_connection
            _apply_objects(raw, database.engine)
            _remember_key(raw, database)
            connection.exec_driver_sql("COMMIT") if database.engine == "sqlite" else connection.commit()
    finally:
        engine.dispose()


def run_file(operation: Any, name: str) -> None:  # noqa: ANN401
    """Run one migration file inside an Alembic revision, on the driver's own connection."""
    connection = operation.get_bind()
    engine = "sqlite" if connection.dialect.name == "sqlite" else "postgres"
    text = (_HERE / "sql" / engine / "migrations" / f"{name}.sql").read_text(encoding="utf-8")
    _run_script(connection.connection.dbapi_connection, engine, text)


def require_key(database: SqliteDatabase | PostgresDatabase) -> None:
    """The database was made with this root key. Raises CannotStart otherwise; nothing is touched."""
    connection = database.raw()
    try:
        known = _first(connection, "SELECT value FROM installation WHERE name = 'key_check'")
    finally:
        connection.close()
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


def _has_table(connection: Any, engine: str, name: str) -> bool:  # noqa: ANN401
    if engine == "sqlite":
        query = f"SELECT name FROM sqlite_master WHERE name = '{name}'"  # noqa: S608  the name is ours
    else:
        query = f"SELECT to_regclass('{name}')::text"
    return _first(connection, query) is not None


def _first(connection: Any, query: str) -> str | None:  # noqa: ANN401
    row = connection.execute(query).fetchone()
    if row is None:
        return None
    return None if row[0] is None else str(row[0])
