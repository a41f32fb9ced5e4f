"""What the server does not put up with, and what it tells browsers to forget."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn

from stillwave.db.database import open_database
from stillwave.settings import Settings
from stillwave.web import patience
from stillwave.web.patience import Patient
from tests.cast import ALICE, Clock
from tests.served import Served, Visitor, serving

PERSONAL = (
    "/", "/history", "/progress", "/profile", "/preferences", "/privacy", "/privacy/log", "/privacy/emergency", "/screening",
    "/clearances", "/security", "/start", "/calendar", "/sessions.csv", "/progress.csv", "/privacy/export", "/api/v1/me", "/api/v1/export",
    "/api/v1/sessions", "/api/v1/progress", "/api/v1/profile", "/api/v1/audit-events",
)  # fmt: skip


@pytest.fixture
def engine() -> str:
    """No engine makes a difference here."""
    return "sqlite"


def test_nothing_personal_stays_in_a_cache(alice: Visitor) -> None:
    for path in PERSONAL:
        answer = alice.get(path)
        assert answer.status_code == 200, path
        assert "no-store" in answer.headers["cache-control"], path
        assert "etag" not in answer.headers, path


def test_the_browser_forgets_at_sign_out(served: Served, alice: Visitor) -> None:
    browser = served.visitor()
    assert browser.post("/sign-in", data={"email": ALICE.email, "password": ALICE.password}).status_code == 303
    assert browser.post("/sign-out").headers["clear-site-data"] == '"cache", "storage"'
    assert alice.delete("/api/v1/logins/current").headers["clear-site-data"] == '"cache", "storage"'


def test_over_tls_browsers_stay_with_tls(settings: Settings, clock: Clock) -> None:
    with serving(settings, open_database(settings), clock, base_url="https://calm.example.org") as served:
        for path in ("/sign-in", "/nope", "/api/v1/me", "/static/app.css"):
            assert served.visitor().get(path).headers["strict-transport-security"] == "max-age=31536000", path


def test_a_large_body_is_refused(served: Served, alice: Visitor) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(80):
            yield b"x" * 1024

    told = {"content-type": "application/json"}
    assert alice.post("/api/v1/sessions", content=b"x" * 65_537, headers=told).status_code == 413
    assert alice.post("/api/v1/sessions", content=pieces(), headers=told).status_code == 413  # without saying how long
    assert served.visitor().post("/sign-in", content=b"a=" + b"x" * 70_000).status_code == 413


def raw(served: Served, sent: bytes, *, wait_s: float = 5) -> bytes:
    host, port = served.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=wait_s) as line:
        line.sendall(sent)
        return line.recv(4000)


@pytest.mark.parametrize("lengths", [
    b"Content-Length: 5\r\nContent-Length: 6\r\n", b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"Content-Length: -1\r\n",
    b"Content-Length: 5a\r\n", b"Transfer-Encoding: chunked, identity\r\n",
])  # fmt: skip
def test_unclear_lengths_are_refused(served: Served, lengths: bytes) -> None:
    head = b"POST /api/v1/logins HTTP/1.1\r\nHost: " + served.url.removeprefix("http://").encode() + b"\r\n"
    answer = raw(served, head + b"Content-Type: application/json\r\n" + lengths + b"\r\n{}{}{}")
    assert answer.startswith(b"HTTP/1.1 4"), answer[:80]


def test_a_body_that_does_not_come_is_not_waited_for(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "BODY_WITHIN_S", 0.2)
    head = b"POST /api/v1/logins HTTP/1.1\r\nHost: " + served.url.removeprefix("http://").encode() + b"\r\n"
    answer = raw(served, head + b"Content-Type: application/json\r\nContent-Length: 50\r\n\r\n{")
    assert answer.startswith(b"HTTP/1.1 408 "), answer[:80]
    assert b"did not arrive in time" in answer


def test_headers_that_do_not_come_are_not_waited_for() -> None:
    class Hasty(Patient):
        headers_within_s = 0.3

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, http=Hasty, log_config=None, lifespan="off", timeout_keep_alive=60))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        whole = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"
        for before in (b"", whole):  # also on a connection that asked well before
            with socket.create_connection(listening.getsockname(), timeout=10) as line:
                if before:
                    line.sendall(before)
                    assert line.recv(4000).startswith(b"HTTP/1.1 204")
                    time.sleep(0.4)  # being idle is another matter
                began = time.monotonic()
                line.sendall(b"GET / HTTP/1.1\r\nHo")
                assert line.recv(10) == b""
                assert time.monotonic() - began < 5
    finally:
        server.should_exit = True
        thread.join(10)
        listening.close()


@pytest.mark.parametrize("engine", ["sqlite"])
def test_what_a_server_should_not_answer_it_does_not(served: Served) -> None:
    visitor = served.visitor()
    traced = visitor.request("TRACE", "/sign-in", headers={"X-Mine": "echo"})
    assert traced.status_code in (404, 405)
    assert "echo" not in traced.text
    for folder in ("/static", "/static/", "/static/../app.py", "/.git/HEAD", "/.git/"):
        answer = visitor.get(folder)
        assert answer.status_code in (400, 404), folder
        assert "passkey.js" not in answer.text
    lost = visitor.get("/api/v1/sessions/not-a-number", headers={"Accept": "text/html"})
    for word in ("Traceback", "site-packages", "litestar", ".py"):
        assert word not in lost.text.lower() + lost.text


@pytest.mark.parametrize("engine", ["sqlite"])
def test_an_unexpected_error_is_logged_by_its_place_and_its_words_are_told_to_nobody(
    served: Served, alice: Visitor, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("quillfeather")

    monkeypatch.setattr("stillwave.accounts.actions.contact", fail)
    capfd.readouterr()
    answer = alice.get("/api/v1/me")
    told = "".join(capfd.readouterr())
    assert answer.status_code == 500
    assert "request failed" in told
    assert "ZeroDivisionError" in told
    for word in ("quillfeather", "Traceback"):
        assert word not in answer.text + told
