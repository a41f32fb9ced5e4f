"""Killed in the middle of their work, server and PostgreSQL lose nothing that was acknowledged; `bench/kills.py` at length."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import kills
from stillwave.db import migrate, packaged
from stillwave.db.database import PostgresDatabase, Query, open_database
from stillwave.settings import Settings
from tests.cast import ALICE, NOW, Clock, settings_for
from tests.served import Visitor, serving


@pytest.fixture
def folder(run_dir: Path, postgres_server_url: str) -> Iterator[Path]:
    """A data folder that PostgreSQL can reach when the tests run as root."""
    made = run_dir / "killed"
    yield made
    shutil.rmtree(made)


def test_a_server_that_is_killed_at_work_loses_nothing(settings: Settings, engine: str) -> None:
    seen = kills.series(settings.data_dir, engine=engine, kills=3, writers=3, database_url=settings.database_url)
    assert (seen.kills, seen.lost, seen.doubled, seen.halves, seen.chains) == (3, 0, 0, 0, 0), seen
    assert seen.acknowledged >= 9


def test_what_would_be_lost_or_half_is_noticed(settings: Settings) -> None:
    """The look itself: rows that are taken out behind the server's back."""
    server = kills.Server(settings.data_dir, settings.database_url)
    server.start()
    try:
        seen = kills.Seen()
        writer = kills.Writer(0, server.url, seen, 1)
        for _ in range(3):
            writer.once()
        writer.client.close()
    finally:
        server.kill()
    kills.look(settings, [writer], seen)
    assert seen.clean
    database = open_database(settings)
    with database.write(right="operator") as tx:
        for text in (
            f"DELETE FROM sessions WHERE id = '{writer.sessions[0]}'",
            f"UPDATE sessions SET effectiveness_rating = NULL WHERE id = '{writer.sessions[1]}'",
            f"DELETE FROM audit_events WHERE user_id = '{writer.user_id}' AND seq = 3",
        ):
            assert tx.run(Query("break", text, text)) == 1
    database.close()
    kills.look(settings, [writer], seen)
    assert seen.lost == 2  # the session and its rating
    assert seen.halves >= 2
    assert seen.chains == 1


class TestPostgres:
    """On a PostgreSQL that is restarted or killed itself."""

    def test_killed_with_all_its_children_it_loses_nothing_and_nobody_is_needed(self, folder: Path) -> None:
        seen = kills.series(folder, engine="postgres", kills=3, writers=3, prey="postgres")
        assert (seen.kills, seen.lost, seen.doubled, seen.halves, seen.chains) == (3, 0, 0, 0, 0), seen

    def test_a_restart_costs_each_connection_one_request_at_most_and_an_outage_ends_by_itself(self, folder: Path) -> None:
        postgres = packaged._Server(folder)
        postgres.begin()
        try:
            settings = settings_for(folder, postgres.url)
            database = open_database(settings)
            assert isinstance(database, PostgresDatabase)
            migrate.upgrade(database)
            database.prepare_months(NOW)
            with serving(settings, database, Clock()) as served:
                alice = served.visitor()
                alice.sign_up(ALICE)
                _at_once(alice, 6)
                pooled = database.connections_now()["open"]
                assert pooled >= 2
                postgres.end()
                postgres.begin()
                failed = [alice.get("/api/v1/me").status_code != 200 for _ in range(2 * pooled)]
                assert sum(failed) <= pooled
                assert not any(failed[pooled:])

                postgres.end()
                database._pool.timeout = 0.5
                away = alice.get("/api/v1/me")
                assert (away.status_code, away.headers["content-type"]) == (503, "application/problem+json")
                assert "Retry-After" in away.headers
                time.sleep(4)  # long enough for the pool to have given up
                postgres.begin()
                came_back_within_s = 10
                end = time.monotonic() + came_back_within_s
                while alice.get("/api/v1/me").status_code != 200:
                    assert time.monotonic() < end
                    time.sleep(0.1)
                assert [alice.get("/api/v1/me").status_code for _ in range(10)] == [200] * 10
        finally:
            postgres.end()


def _at_once(visitor: Visitor, count: int) -> None:
    answers: list[int] = []
    askers = [threading.Thread(target=lambda: answers.append(visitor.get("/api/v1/today").status_code)) for _ in range(count)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    assert len(answers) == count
