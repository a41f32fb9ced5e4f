"""A real server in a thread, and people who talk to it over HTTP."""

from __future__ import annotations

import contextlib
import datetime as dt
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import msgspec
import pyotp
import uvicorn

from stillwave.app import create_app
from stillwave.settings import Settings
from stillwave.web.kit import Kit
from stillwave.web.limits import RateLimits
from stillwave.web.mail import Mailer
from tests.cast import Person

SCREENING = {"age_group": "18_plus", "agree_not_driving": True, "none": True}


class Visitor(httpx.Client):
    """Somebody with an HTTP client of their own."""

    def sign_up(self, person: Person) -> None:
        """An account with consent exists and this client is signed in to it."""
        answer = self.post(
            "/api/v1/accounts",
            json={"email": person.email, "phone": person.phone_number, "password": person.password,
                  "consent_health_data": True},
        )  # fmt: skip
        assert answer.status_code == 202, answer.text
        self.sign_in(person)

    def sign_in(self, person: Person) -> None:
        answer = self.post("/api/v1/logins", json={"email": person.email, "password": person.password})
        assert answer.status_code == 201, answer.text
        self.headers["Authorization"] = f"Bearer {answer.json()['token']}"

    def set_up_second_step(self, person: Person, now: dt.datetime) -> tuple[str, list[str]]:
        """The second step is on and this client signed in with it; returns the app's seed and recovery codes."""
        begun = self.post("/api/v1/second-factor", json={"password": person.password})
        assert begun.status_code == 201, begun.text
        seed: str = begun.json()["secret"]
        done = self.post("/api/v1/second-factor/confirm", json={"code": pyotp.TOTP(seed).at(now)})
        assert done.status_code == 201, done.text
        self.headers["Authorization"] = f"Bearer {done.json()['token']}"
        return seed, done.json()["recovery_codes"]

    def screened(self, **answers: Any) -> Any:
        """The safety questions are answered; returns what they leave."""
        answer = self.put("/api/v1/screening", json={**SCREENING, **answers})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def session(self, **wish: Any) -> Any:
        """A session was started."""
        answer = self.post("/api/v1/sessions", json={"target_state": "calm_focus", "minutes": 5, **wish})
        assert answer.status_code == 201, answer.text
        return answer.json()

    def rate(self, session_id: str, **told: Any) -> Any:
        answer = self.post(f"/api/v1/sessions/{session_id}/feedback", json={"rating": 4, **told})
        assert answer.status_code == 201, answer.text
        return answer.json()


class Served:
    """The running server."""

    def __init__(self, url: str, kit: Kit) -> None:
        self.url, self.kit = url, kit
        self._stack = contextlib.ExitStack()

    def visitor(self) -> Visitor:
        """A new client that knows nobody."""
        return self._stack.enter_context(Visitor(base_url=self.url, timeout=60))

    def close(self) -> None:
        self._stack.close()


@contextlib.contextmanager
def serving(
    settings: Settings, database: Any, clock: Callable[[], Any], *, limit_factor: int = 1, base_url: str | None = None,
    pace_s: float = 0,
) -> Iterator[Served]:
    """A server on a free port of this machine; it closes the database at its end.

    `base_url`: as if behind a proxy; `{port}` in it is the server's. `pace_s`: see `kit.evenly`.
    """
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    if base_url or settings.is_local:
        settings = msgspec.structs.replace(settings, base_url=base_url.format(port=port) if base_url else url)
    settings = msgspec.structs.replace(settings, port=port)
    kit = Kit(
        settings=settings, database=database, limits=RateLimits(factor=limit_factor), mail=Mailer(settings), clock=clock,
        pace_s=pace_s,
    )
    app = create_app(kit, warm=False)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, server_header=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    served = Served(url, kit)
    try:
        yield served
    finally:
        served.close()
        server.should_exit = True
        thread.join(30)
        listening.close()
