"""The learning tests speak to a driver connection of their own, past the program."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from stillwave.db.database import open_database
from stillwave.settings import Settings
from tests.learning_database import Database


@pytest.fixture
def postgres_url(request: pytest.FixtureRequest, engine: str) -> str:
    """Where the test's own PostgreSQL database is."""
    if engine != "postgres":
        pytest.fail("this fixture is for tests that ask for PostgreSQL")
    settings: Settings = request.getfixturevalue("settings")
    assert settings.database_url is not None
    return settings.database_url


@pytest.fixture
def database(engine: str, settings: Settings) -> Iterator[Database]:
    """Either engine behind one spelling."""
    if settings.database_url is not None:
        with psycopg.connect(settings.database_url, autocommit=True) as connection:
            yield Database(connection, engine)
        return
    opened = open_database(settings)
    connection = opened.raw()
    connection.execute("PRAGMA synchronous = OFF")  # the test's own file; waiting for the disk proves nothing here
    yield Database(connection, engine)
    connection.close()
    opened.close()


@pytest.fixture
def postgres(database: Database) -> Database:
    """The database of a test that is about PostgreSQL alone."""
    return database
