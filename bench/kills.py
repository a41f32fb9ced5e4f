"""Is anything lost when the server, or PostgreSQL, is killed in the middle of its work?

Writers plan sessions and rate them, each request with an Idempotency-Key, and note what was acknowledged. Again and
again the server (or the postmaster with all its children) gets SIGKILL at a random moment. A writer whose request
broke off sends it again with the same key. In the end the database is looked at:

    lost     acknowledged sessions or ratings that are not there
    doubled  requests with one key that had two effects
    halves   transactions of which a part is there: a rating without its session's effectiveness (or the reverse), a
             learned profile that folded another number of ratings than there are, or a rating without its audit event
    chains   chains of the audit log that are broken

    nice python bench/kills.py --engine sqlite --kills 200
    nice python bench/kills.py --engine postgres --kills 200
    nice python bench/kills.py --engine postgres --kills 20 --prey postgres
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from stillwave.db import audit, packaged
from stillwave.db.database import Query, open_database
from stillwave.settings import load

ROOT_KEY = "5711" * 16
PASSWORD = "nine quiet lanterns over water"
_WITHIN_S = 120


@dataclass
class Seen:
    """What a series came to."""

    kills: int = 0
    requests: int = 0
    broken_off: int = 0
    acknowledged: int = 0
    lost: int = 0
    doubled: int = 0
    halves: int = 0
    chains: int = 0
    slowest_recovery_s: float = 0.0
    recoveries_s: list[float] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        return not (self.lost or self.doubled or self.halves or self.chains)


# A process that has imported everything and is forked for each start: importing costs more than all the rest.
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["stillwave.cli", "stillwave.app", "psycopg", "psycopg_pool", "alembic.config", "sqlalchemy"])


def _serve(environ: dict[str, str], port: int) -> None:
    from stillwave import cli
    from stillwave.sessions import audio

    os.environ.update(environ)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    audio.warm_up = lambda: None  # nothing is rendered here
    cli.serve(port=port)


class Server:
    """`stillwave serve` as a process that can be killed and started again on the same port."""

    def __init__(self, data_dir: Path, database_url: str | None) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.environ = {"STILLWAVE_DATA_DIR": str(data_dir), "STILLWAVE_ROOT_KEY": ROOT_KEY}
        if database_url:
            self.environ["STILLWAVE_DATABASE_URL"] = database_url
        self.process: Any = None

    def start(self) -> float:
        """It answers; returns after how many seconds."""
        began = time.monotonic()
        self.process = _FORKS.Process(target=_serve, args=(self.environ, self.port))
        self.process.start()
        while not self.answers():
            if time.monotonic() - began > _WITHIN_S:
                raise RuntimeError(f"the server did not come back: exit status {self.process.exitcode}")
            if not self.process.is_alive():  # as systemd would; a busy machine may not have let it connect in time
                self.process = _FORKS.Process(target=_serve, args=(self.environ, self.port))
                self.process.start()
            time.sleep(0.05)
        return time.monotonic() - began

    def answers(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/health", timeout=20).status_code == 200
        return False

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.join(20)
            self.process.close()
            self.process = None


class Writer(threading.Thread):
    """One person who plans and rates until told to end; every acknowledged write is noted."""

    def __init__(self, number: int, url: str, seen: Seen, seed: int) -> None:
        super().__init__(daemon=True)
        self.chance = random.Random(seed + number)
        self.client = httpx.Client(base_url=url, timeout=30)
        self.seen, self.ending = seen, threading.Event()
        self.sessions: list[str] = []  # the answer to each key that was used
        self.rated: list[str] = []
        self.trouble: str | None = None
        email = f"kill{number}@example.org"
        self.must("/api/v1/accounts", email=email, phone=f"+41446681{800 + number}", password=PASSWORD, consent_health_data=True)
        signed_in = self.must("/api/v1/logins", email=email, password=PASSWORD)
        self.client.headers["Authorization"] = f"Bearer {signed_in['token']}"
        answer = self.client.put("/api/v1/screening", json={"age_group": "18_plus", "agree_not_driving": True, "none": True})
        answer.raise_for_status()
        self.user_id = self.client.get("/api/v1/me").json()["id"]

    def must(self, path: str, **body: Any) -> Any:
        answer = self.client.post(path, json=body)
        answer.raise_for_status()
        return answer.json()

    def insist(self, path: str, **body: Any) -> Any:
        """The answer to a request that is sent, with one key, until it was acknowledged."""
        key = secrets.token_hex(16)
        while True:
            try:
                self.seen.requests += 1
                answer = self.client.post(path, json=body, headers={"Idempotency-Key": key})
            except httpx.TransportError:
                self.seen.broken_off += 1
                time.sleep(0.2)
                continue
            if answer.status_code == 201:
                self.seen.acknowledged += 1
                return answer.json()
            if answer.status_code not in (429, 503):
                raise RuntimeError(f"{path}: {answer.status_code} {answer.text}")
            self.seen.broken_off += answer.status_code == 503
            time.sleep(0.2)

    def run(self) -> None:
        try:
            while not self.ending.is_set():
                self.once()
        except Exception as error:  # noqa: BLE001  told by the main thread
            self.trouble = repr(error)
        finally:
            self.client.close()

    def once(self) -> None:
        made = self.insist("/api/v1/sessions", target_state="calm_focus", minutes=5, background_only=True)
        self.sessions.append(made["id"])
        self.insist(f"/api/v1/sessions/{made['id']}/feedback", rating=self.chance.randint(1, 5), effectiveness=self.chance.randint(1, 10))
        self.rated.append(made["id"])


_SESSIONS = Query("s", *["SELECT user_id, id, effectiveness_rating FROM sessions"] * 2)
_RATINGS = Query("f", *["SELECT user_id, session_id FROM session_feedback"] * 2)
_PROFILES = Query("p", *["SELECT user_id, base_frequency_response AS curve FROM neural_profiles"] * 2)
_HISTORY = Query("h", *["SELECT user_id, count(*) AS n FROM profile_history GROUP BY user_id"] * 2)
_NOTED = Query("a", *["SELECT user_id, action, count(*) AS n FROM audit_events GROUP BY user_id, action"] * 2)


def look(settings: Any, writers: list[Writer], seen: Seen) -> None:
    """The database was compared with what was acknowledged."""
    database = open_database(settings)
    try:
        with database.read(right="operator") as tx:
            sessions = {(str(row["user_id"]), str(row["id"])): row["effectiveness_rating"] for row in tx.rows(_SESSIONS)}
            ratings = [(str(row["user_id"]), str(row["session_id"])) for row in tx.rows(_RATINGS)]
            curves = {str(row["user_id"]): row["curve"] for row in tx.rows(_PROFILES)}
            history = {str(row["user_id"]): row["n"] for row in tx.rows(_HISTORY)}
            noted = {(str(row["user_id"]), row["action"]): row["n"] for row in tx.rows(_NOTED)}
            seen.chains = len(audit.verify(tx))
    finally:
        database.close()
        database.vault.keys.close()
    rated = set(ratings)
    seen.doubled += len(ratings) - len(rated)
    seen.halves += sum((value is not None) != (key in rated) for key, value in sessions.items())
    for writer in writers:
        mine = {key[1] for key in sessions if key[0] == writer.user_id}
        given = {key[1] for key in rated if key[0] == writer.user_id}
        seen.lost += len(set(writer.sessions) - mine) + len(set(writer.rated) - given)
        seen.doubled += len(mine - set(writer.sessions)) + len(writer.sessions) - len(set(writer.sessions))
        folded = json.loads(curves[writer.user_id] or "{}").get("n", 0)
        seen.halves += folded != len(given)
        seen.halves += history.get(writer.user_id, 0) != len(given)
        seen.halves += noted.get((writer.user_id, "feedback.given"), 0) != len(given)
        seen.halves += noted.get((writer.user_id, "session.started"), 0) != len(mine)


def series(
    data_dir: Path, *, engine: str, kills: int, prey: str = "server", writers: int = 4, seed: int = 1, tell: bool = False,
    database_url: str | None = None, within_s: float = 1e9,
) -> Seen:  # fmt: skip
    """So many kills under load, and what was found afterwards. On PostgreSQL on a server of its own, or the one named."""
    chance, seen, end = random.Random(seed), Seen(), time.monotonic() + within_s
    with _postgres(data_dir, engine if database_url is None else "named") as postgres:
        url = postgres.url if postgres else database_url
        if postgres:
            _prepare(data_dir, postgres.url)
        server = Server(data_dir, url)
        server.start()
        people = [Writer(number, server.url, seen, seed) for number in range(writers)]
        for person in people:
            person.start()
        try:
            for number in range(kills):
                if time.monotonic() > end:
                    break
                _let_work(people, seen, chance)
                began = time.monotonic()
                if prey == "postgres" and postgres:
                    _kill_all(postgres, data_dir)
                    time.sleep(chance.uniform(0, 1))
                    postgres.begin()
                    while not server.answers():
                        time.sleep(0.05)
                else:
                    server.kill()
                    server.start()
                seen.recoveries_s.append(time.monotonic() - began)
                seen.kills += 1
                if tell and (number + 1) % 10 == 0:
                    print(f"{number + 1:4} kills, {seen.acknowledged} acknowledged, {seen.broken_off} broken off", flush=True)
        finally:
            for person in people:
                person.ending.set()
        for person in people:
            person.join(_WITHIN_S)
        _check(people)
        server.kill()
        seen.slowest_recovery_s = max(seen.recoveries_s, default=0.0)
        look(_settings(data_dir, url), people, seen)
    return seen


def _let_work(people: list[Writer], seen: Seen, chance: random.Random) -> None:
    """The next kill hits a server at work, at a random moment."""
    before = seen.acknowledged
    time.sleep(chance.uniform(0.05, 0.6))
    while seen.acknowledged < before + len(people):
        _check(people)
        time.sleep(0.01)
    time.sleep(chance.uniform(0, 0.03))


def _check(people: list[Writer]) -> None:
    for person in people:
        if person.trouble:
            raise RuntimeError(person.trouble)


@contextlib.contextmanager
def _postgres(data_dir: Path, engine: str) -> Iterator[Any]:
    if engine != "postgres":
        yield None
        return
    server = packaged._Server(data_dir)  # noqa: SLF001  its parts: it is killed here
    try:
        server.begin()
        yield server
    finally:
        server.end()


def _settings(data_dir: Path, url: str | None) -> Any:
    return load({"STILLWAVE_DATA_DIR": str(data_dir), "STILLWAVE_ROOT_KEY": ROOT_KEY, **({"STILLWAVE_DATABASE_URL": url} if url else {})})


def _prepare(data_dir: Path, url: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "stillwave", "db", "init"], check=True, stdout=subprocess.DEVNULL,
        env={**os.environ, "STILLWAVE_DATA_DIR": str(data_dir), "STILLWAVE_ROOT_KEY": ROOT_KEY, "STILLWAVE_DATABASE_URL": url},
    )  # fmt: skip


def _kill_all(postgres: Any, data_dir: Path) -> None:
    """The postmaster and all of its children are gone at once, without a word."""
    lock = data_dir / "postgres" / "postmaster.pid"
    master = int(lock.read_text().splitlines()[0])
    os.kill(master, signal.SIGSTOP)  # so that it starts no others meanwhile
    for pid in [*_children(master), master]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    if postgres._child is not None:  # noqa: SLF001
        postgres._child.wait(20)  # noqa: SLF001


def _children(master: int) -> list[int]:
    found = []
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError, IndexError):
            if int((folder / "stat").read_text().rpartition(")")[2].split()[1]) == master:
                found.append(int(folder.name))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--engine", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument("--prey", choices=["server", "postgres"], default="server")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=1e6, help="look at what there is by then")
    parser.add_argument("--writers", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    wish = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="stillwave-kills-"))
    folder.chmod(0o755)
    try:
        seen = series(
            folder / "data", engine=wish.engine, kills=wish.kills, prey=wish.prey, writers=wish.writers, seed=wish.seed, tell=True,
            within_s=wish.minutes * 60,
        )  # fmt: skip
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"\n{wish.engine}, SIGKILL of {wish.prey}: {seen.kills} times, {wish.writers} writers, seed {wish.seed}")
    for name in ("requests", "broken_off", "acknowledged", "lost", "doubled", "halves", "chains"):
        print(f"  {name:14}{getattr(seen, name):8}")
    ordered = sorted(seen.recoveries_s)
    print(f"  back after    {ordered[len(ordered) // 2]:8.1f} s (median), {ordered[-1]:.1f} s (slowest)")
    sys.exit(0 if seen.clean else 1)


if __name__ == "__main__":
    main()
