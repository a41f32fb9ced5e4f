"""PostgreSQL 15, the oldest that Stillwave promises, where Debian's binaries are: the same schema, walls and months."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stillwave.db import migrate
from stillwave.db.database import PostgresDatabase, Query, open_database
from stillwave.operator import actions
from tests import rows
from tests.cast import ALICE, BOB, NOW, Clock, settings_for
from tests.contract.test_retention import fill_month, old_month
from tests.served import serving

BIN = Path("/usr/lib/postgresql/15/bin")
pytestmark = pytest.mark.skipif(not (BIN / "initdb").exists(), reason="needs Debian's postgresql-15")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A server of version 15 on a socket of its own; as another user when the tests run as root."""
    home = Path(tempfile.mkdtemp(prefix="stillwave-15-"))
    other: list[str] = []
    if os.geteuid() == 0:
        user = pwd.getpwnam("nobody")
        shutil.chown(home, user.pw_uid, user.pw_gid)
        other = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]

    def run(program: str, *arguments: str) -> None:
        subprocess.run([*other, str(BIN / program), *arguments], check=True, stdout=subprocess.DEVNULL, cwd=home)

    data = str(home / "data")
    run("initdb", "-D", data, "-U", "postgres", "--auth=trust", "--no-sync", "--encoding=UTF8")
    run("pg_ctl", "-D", data, "-w", "-l", str(home / "log"), "-o", f"-k {home} -c listen_addresses= -c fsync=off", "start")
    try:
        yield f"postgresql://postgres@/postgres?host={home}"
    finally:
        run("pg_ctl", "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def oldest(url: str, tmp_path: Path) -> Iterator[Any]:
    settings = settings_for(tmp_path / "data", url)
    database = open_database(settings)
    migrate.upgrade(database)
    yield settings, database
    database.close()


def test_the_oldest_server_keeps_every_promise(oldest: Any) -> None:
    settings, database = oldest
    assert isinstance(database, PostgresDatabase)
    assert database.has_roles
    with database.raw() as connection:
        assert connection.info.server_version // 10000 == 15
    migrate.upgrade(database)
    assert migrate.check(database) == "current"
    database.prepare_months(NOW)
    fill_month(database, old_month(database), free=1005, premium=30)
    (sessions, *_) = actions.retain(database, NOW)
    assert (sessions.rows, sessions.months_dropped) == (1005, 2)
    everybody = Query("n", "", "SELECT count(*) FROM users")
    with database.read() as tx:
        assert tx.value(everybody) == 0
    with database.read(rows.user(ALICE)["id"]) as tx:  # type: ignore[arg-type]
        assert tx.value(everybody) == 1
    with database.write(right="operator") as tx:
        tx.run(Query("empty", "", "DELETE FROM users"))
    with serving(settings, open_database(settings), Clock()) as served:
        alice, bob = served.visitor(), served.visitor()
        alice.sign_up(ALICE)
        alice.screened()
        bob.sign_up(BOB)
        alice.rate(alice.session(background_only=True)["id"])
        assert alice.get("/api/v1/profile").json()["ratings"] == 1
        assert bob.get("/api/v1/progress/summary").json()["total_sessions"] == 0
        assert alice.post("/api/v1/progress", json={"date": "2026-11-20", "metrics": {"tea": 1}}).status_code < 300
        assert len(alice.get("/api/v1/progress?metric=tea").json()["items"]) == 1
