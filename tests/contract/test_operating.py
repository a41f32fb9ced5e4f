"""Health, readiness, metrics, the log of slow statements, and an end that loses nothing."""

from __future__ import annotations

import datetime as dt
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import structlog

from stillwave.db import migrate
from stillwave.db.database import Query, open_database
from stillwave.operator import actions
from stillwave.settings import Settings
from tests.cast import NOW, ROOT_KEY, Clock
from tests.served import Served, Visitor, serving


def labels(checks: list[Any]) -> dict[str, bool]:
    return {check.label: check.ok for check in checks}


def test_ready_means_schema_disk_and_partitions(settings: Settings, database: Any) -> None:
    database.prepare_months(NOW)
    assert all(labels(actions.readiness(database, settings, NOW)).values())
    far = actions.readiness(database, settings, NOW + dt.timedelta(days=3000))
    assert [check.label for check in far if not check.ok] == (
        ["Months made"] if settings.database_url else []
    )


def test_a_server_whose_schema_is_behind_lives_but_is_not_ready(served: Served) -> None:
    database, visitor = served.kit.database, served.visitor()
    database.prepare_months(NOW)
    text = "UPDATE installation SET value = 'older' WHERE name = 'objects_sha256'"
    with database.write(right="operator") as tx:
        tx.run(Query("older", text, text))
    assert visitor.get("/health").status_code == 200
    answer = visitor.get("/health/ready")
    assert (answer.status_code, answer.json()["missing"]) == (503, ["Schema"])
    migrate.upgrade(database)
    assert visitor.get("/health/ready").json() == {"status": "ok", "missing": []}


def test_metrics_count_routes_jobs_and_connections_and_name_nobody(served: Served, alice: Visitor) -> None:
    session = alice.session(background_only=True)["id"]
    assert alice.get(f"/api/v1/sessions/{session}").status_code == 200
    assert alice.get("/api/v1/sessions/00000000-0000-7000-8000-000000000000").status_code == 404
    assert alice.get("/nowhere").status_code == 404
    text = served.visitor().get("/metrics").text
    route = r'route="/api/v1/sessions/{session_id}",status='
    assert re.search(rf'stillwave_requests_total{{method="GET",{re.escape(route)}"200"}} 1\.0', text)
    assert re.search(rf'stillwave_requests_total{{method="GET",{re.escape(route)}"404"}} 1\.0', text)
    assert 'route="none",status="404"' in text
    assert re.search(r'stillwave_request_seconds_count{route="/api/v1/sessions"} 1\.0', text)
    assert re.search(r'stillwave_jobs{state="dead"} 0\.0', text)
    assert re.search(r'stillwave_database_connections{state="open"} [1-9]', text)
    assert "stillwave_sound_streams 0.0" in text
    me = alice.get("/api/v1/me").json()
    for personal in (session, me["id"], me["email"], "alice", me["phone"]):
        assert personal not in text


def test_a_sound_that_is_being_streamed_is_counted(served: Served, alice: Visitor) -> None:
    session = alice.session(minutes=30)["id"]
    with alice.stream("GET", f"/api/v1/sessions/{session}/audio.wav") as sound:
        pieces = sound.iter_bytes(1000)  # kept: httpx hangs up when it goes
        next(pieces)
        found = served.visitor().get("/metrics").text.splitlines()
        assert [line for line in found if line.startswith("stillwave_sound_streams")] == ["stillwave_sound_streams 1.0"]
    end = time.monotonic() + 30
    while "stillwave_sound_streams 0.0" not in served.visitor().get("/metrics").text:
        assert time.monotonic() < end
        time.sleep(0.05)


def test_metrics_are_for_this_machine_or_for_who_has_the_token(settings: Settings, clock: Clock) -> None:
    with serving(settings, open_database(settings), clock, base_url="https://calm.example.org") as server:
        visitor = server.visitor()
        assert visitor.get("/metrics").status_code == 200
        through_a_proxy = visitor.get("/metrics", headers={"Host": "calm.example.org"})
        assert through_a_proxy.status_code == 404
        forwarded = visitor.get("/metrics", headers={"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"})
        assert forwarded.status_code == 404
    changed = msgspec.structs.replace(settings, metrics_token="tell me")
    with serving(changed, open_database(settings), clock) as server:
        visitor = server.visitor()
        assert visitor.get("/metrics").status_code == 404
        assert visitor.get("/metrics", headers={"Authorization": "Bearer tell"}).status_code == 404
        assert visitor.get("/metrics", headers={"Authorization": "Bearer tell me"}).status_code == 200


def test_a_slow_statement_is_logged_by_name_without_its_values(database: Any) -> None:
    query = Query("find_them", "SELECT :who AS who", "SELECT CAST(%(who)s AS text) AS who")
    with structlog.testing.capture_logs() as logs, database.read() as tx:
        tx.value(query, who="alice@example.org")
    assert logs == []
    database.slow_s = 0.0
    with structlog.testing.capture_logs() as logs, database.read() as tx:
        tx.value(query, who="alice@example.org")
    (line,) = logs
    assert (line["event"], line["action"]) == ("slow query", "find_them")
    assert isinstance(line["duration_ms"], int)
    assert "alice" not in repr(logs)


def test_the_doctor_sees_work_that_nobody_does(database: Any) -> None:
    from stillwave.jobs import actions as jobs
    from stillwave.jobs.rules import NOBODY

    with database.write(NOBODY) as tx:
        jobs.enqueue(tx, NOBODY, "sweep", "", NOW)
    with database.read(right="retention") as tx:
        counts = jobs.counts(tx, NOW)
    assert labels(actions.work(counts, NOW + dt.timedelta(minutes=9)))["Work in the background"]
    assert not labels(actions.work(counts, NOW + dt.timedelta(minutes=11)))["Work in the background"]


def test_the_doctor_sees_a_wrong_clock_and_a_mail_server_that_is_away(settings: Settings, database: Any) -> None:
    now = dt.datetime.now(dt.UTC)
    with database.read() as tx:
        assert actions.clock(tx, now).ok
        assert not actions.clock(tx, now + dt.timedelta(minutes=2)).ok
        assert not actions.clock(tx, now - dt.timedelta(minutes=2)).ok
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    away = msgspec.structs.replace(settings, smtp_url=f"smtp://127.0.0.1:{port}")
    assert labels(actions.mail_server(away)) == {"Mail server": False}
    assert actions.mail_server(settings) == []


def running(settings: Settings, *words: str, **more: str) -> subprocess.Popen[bytes]:
    environ = {
        **os.environ, "STILLWAVE_DATA_DIR": str(settings.data_dir), "STILLWAVE_ROOT_KEY": ROOT_KEY, **more,
        **({"STILLWAVE_DATABASE_URL": settings.database_url} if settings.database_url else {}),
    }  # fmt: skip
    return subprocess.Popen([sys.executable, "-m", "stillwave", *words], env=environ, stderr=subprocess.DEVNULL)


def test_a_server_that_is_told_to_end_answers_first_and_ends_well(settings: Settings, tmp_path: Path) -> None:
    """SIGTERM: the request under way is answered in full, the worker stops, the exit status is 0."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = running(settings, "serve", "--port", str(port))
    url = f"http://127.0.0.1:{port}"
    try:
        end = time.monotonic() + 60
        while True:
            try:
                httpx.get(f"{url}/health", timeout=5)
                break
            except httpx.TransportError:
                assert time.monotonic() < end
                time.sleep(0.1)
        body = b'{"email": "a@example.org", "password": "not the right one"}'
        with socket.create_connection(("127.0.0.1", port), timeout=30) as asking:
            head = f"POST /api/v1/logins HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
            asking.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:10])
            time.sleep(0.5)
            process.send_signal(signal.SIGTERM)
            time.sleep(0.5)
            asking.sendall(body[10:])
            answer = asking.recv(1000)
        assert answer.startswith(b"HTTP/1.1 401 "), answer
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait(10)


def test_a_worker_that_is_told_to_end_ends_well(settings: Settings, database: Any) -> None:
    from stillwave.jobs import actions as jobs

    process = running(settings, "worker")
    try:
        end = time.monotonic() + 60
        while True:
            with database.read(right="retention") as tx:
                counts = jobs.counts(tx, dt.datetime.now(dt.UTC))
            if counts.waiting:
                break
            assert time.monotonic() < end
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        with database.read(right="retention") as tx:
            assert jobs.counts(tx, dt.datetime.now(dt.UTC)).running == 0
    finally:
        process.kill()
        process.wait(10)


@pytest.mark.parametrize(
    ("name", "value"), [("STILLWAVE_WORKER", "outside"), ("STILLWAVE_SLOW_QUERY_MS", "-1"), ("STILLWAVE_SLOW_QUERY_MS", "soon")]
)
def test_a_setting_that_means_nothing_is_refused_by_name(name: str, value: str) -> None:
    from stillwave.errors import CannotStart
    from stillwave.settings import load

    with pytest.raises(CannotStart, match=name):
        load({name: value})
