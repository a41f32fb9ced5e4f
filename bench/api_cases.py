"""Does the API keep what its OpenAPI document says, whatever is sent? Cases of schemathesis, on both engines at once.

    nice python bench/api_cases.py --cases 100000
    nice python bench/api_cases.py --cases 5000 --engine sqlite --only "/sessions"

Every case is sent to an application on each engine, without a network between. Its answer must be no 5xx, have a status,
a content type, headers and a body that the document promises, must refuse what does not fit the document, and may not
repeat what was sent. And both engines must answer with the same status and the same kind of refusal.

Three people ask in turn: Alice, whose rows are there; Nora, who has just signed up; and nobody. Ids in addresses and
passwords in bodies are often those of Alice's, or all would end at the door. What ends her login, or closes a door that
others need, is mended after it. Passwords are hashed with the least of work, and the limits on tries are far away, as
both would leave nothing else to see; `test_accounts.py` shows that the limits hold.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import contextlib
import datetime as dt
import functools
import shutil
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # in place of this folder, where a file is called as the package `requests`
    sys.path[0] = str(Path(__file__).parents[1])

import httpx
import hypothesis
import msgspec
import requests
import schemathesis
from argon2 import PasswordHasher
from schemathesis import GenerationMode, checks
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi import checks as openapi

from stillwave.accounts import actions as accounts
from stillwave.accounts import passwords
from stillwave.accounts.actions import BACKGROUNDS
from stillwave.accounts.store import SQL
from stillwave.app import create_app
from stillwave.db import migrate, packaged, rotation
from stillwave.db.database import open_database
from stillwave.db.ids import uuid7
from stillwave.db.seal import SealedWriter
from stillwave.factors import store as factors
from stillwave.privacy import erasure
from stillwave.profiles.rules import STATES
from stillwave.settings import Settings
from stillwave.web.kit import Kit
from stillwave.web.limits import RateLimits
from stillwave.web.mail import Mailer
from tests.cast import ALICE, Clock, Person, settings_for
from tests.served import SCREENING, Visitor

HOST = "http://localhost:8000"
NORA = Person("Nora", "nora@example.org", "+33123456789", "amber ferries under nine clouds")
CHECKS = [
    checks.not_a_server_error, openapi.status_code_conformance, openapi.content_type_conformance,
    openapi.response_headers_conformance, openapi.response_schema_conformance, openapi.negative_data_rejection,
]  # fmt: skip
# What changes what the next case finds, and what puts it right again for Alice.
MENDED: dict[str, list[tuple[str, str, Any]]] = {
    "/consents": [("PUT", "/consents/health_data", {"give": True}), ("PUT", "/consents/adaptation", {"give": True})],
    "/restriction": [("PUT", "/restriction", {"on": False})],
    "/adaptation": [("PUT", "/profile/adaptation", {"on": True})],
    "/screening": [("PUT", "/screening", SCREENING)],
    "/erasure": [("DELETE", "/erasure", None)],
    "/contact": [("PUT", "/contact", {"email": ALICE.email, "phone": ALICE.phone_number, "password": ALICE.password})],
    "/password": [], "/logins": [], "/second-factor": [], "/passkeys": [],
}  # fmt: skip
# What a case that fits the document would hardly ever hit by chance.
OWN: dict[str, list[Any]] = {
    "email": [ALICE.email, "somebody.new@example.org"], "phone": ["+442071838751", ALICE.phone_number],
    "password": [ALICE.password, "seven quiet otters sleeping"], "current_password": [ALICE.password], "confirm": ["erase"],
    "consent_health_data": [True], "target_state": list(STATES), "initial_state": list(STATES), "background": list(BACKGROUNDS),
    "background_sound_type": list(BACKGROUNDS), "time_zone": ["Europe/Zurich", "America/New_York"], "age_group": ["18_plus"],
    "agree_not_driving": [True], "conditions": [[], ["tinnitus"], ["recent_head_injury"]], "condition": ["recent_head_injury"],
    "cleared_on": ["2026-11-20"], "date": ["2026-11-24", "2026-11-25"], "effects": [{}, {"headache": 1}, {"relaxed": 3, "calm": 2}],
    "morning_routine_time": ["07:30:00"], "evening_routine_time": [None], "notifications": [{}], "at_once": [False, True],
}  # fmt: skip
_CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
_OURS = ("authorization", "host", "connection", "accept-encoding")  # headers that are not the case's to choose
_SOURCES = Path(passwords.__file__).parents[1]
_FIRST_BYTES = 64 * 1024  # of a sound; the rest would be minutes of it


@contextlib.contextmanager
def quick_passwords() -> Iterator[None]:
    """Hashing takes no time; every other part of signing in is as ever."""
    before = {name: getattr(passwords, name) for name in ("_HASHER", "NOBODY")}
    for name, quick in (("_HASHER", _CHEAP), ("NOBODY", _CHEAP.hash("nobody"))):
        setattr(passwords, name, quick)
    try:
        yield
    finally:
        for name, slow in before.items():
            setattr(passwords, name, slow)


class Direct(httpx.BaseTransport):
    """Hands a request to the application itself; of a long answer only the beginning is taken.

    The application lives in a thread of its own: where a browser is driven, another event loop has this one.
    """

    def __init__(self, app: Any) -> None:
        self._app, self._loop = app, asyncio.new_event_loop()
        self._asked: asyncio.Queue[tuple[httpx.Request, futures.Future[httpx.Response]] | None] = asyncio.Queue()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._living = asyncio.run_coroutine_threadsafe(self._live(), self._loop)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer: futures.Future[httpx.Response] = futures.Future()
        self._loop.call_soon_threadsafe(self._asked.put_nowait, (request, answer))
        return answer.result()

    def end(self) -> None:
        """The application has come to its end."""
        self._loop.call_soon_threadsafe(self._asked.put_nowait, None)
        self._living.result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _live(self) -> None:
        # One task for all requests: the threads that handlers run in end with the task they were begun for.
        async with self._app.lifespan():
            while (asked := await self._asked.get()) is not None:
                try:
                    asked[1].set_result(await self._ask(asked[0]))
                except Exception as error:  # noqa: BLE001  whoever asked gets it
                    asked[1].set_exception(error)

    async def _ask(self, request: httpx.Request) -> httpx.Response:
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": request.method, "scheme": "http",
            "path": request.url.path, "raw_path": request.url.raw_path.split(b"?")[0], "query_string": request.url.query,
            "root_path": "", "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "client": ("127.0.0.1", 50_000), "server": ("127.0.0.1", 8000),
        }  # fmt: skip
        begun: dict[str, Any] = {}
        body, enough, sent = bytearray(), asyncio.Event(), False
        content = request.read()

        async def receive() -> dict[str, Any]:
            nonlocal sent
            if not sent:
                sent = True
                return {"type": "http.request", "body": content, "more_body": False}
            await enough.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                begun.update(message)
            elif not enough.is_set():
                body.extend(message.get("body", b""))
                if not message.get("more_body") or len(body) >= _FIRST_BYTES:
                    enough.set()

        await self._app(scope, receive, send)
        headers = [(name, value) for name, value in begun["headers"] if name.lower() not in (b"content-encoding", b"content-length")]
        answer = httpx.Response(begun["status"], headers=headers, content=bytes(body), request=request)
        answer.elapsed = dt.timedelta(0)
        return answer


class World:
    """One engine: its application, and the people."""

    def __init__(self, engine: str, kit: Kit, direct: Direct, clock: Clock) -> None:
        self.engine, self.kit, self.clock = engine, kit, clock
        self.gone: list[uuid.UUID] = []  # who Alice was before
        self.alice, self.nora, self.waiting, self.nobody = (
            Visitor(transport=direct, base_url=HOST, headers={"accept-encoding": "identity"}) for _ in range(4)
        )
        self.nora.sign_up(NORA)
        self.nora_id = self._id_of(self.nora)
        self._prepare()

    def _prepare(self) -> None:
        """Alice is here, screened, and has a row of each kind."""
        self.alice.sign_up(ALICE)
        self.alice_id = alice = self._id_of(self.alice)
        self.alice.screened()
        rated, session = (self.alice.session(background_only=True)["id"] for _ in range(2))
        self.clock.advance(minutes=6)
        self.sign_in()
        self.alice.rate(rated)
        self.places: dict[str, list[str]] = {"session_id": [rated, session], "purpose": ["adaptation"], "date": ["2026-11-25"]}
        with self.kit.database.write(right="operator") as tx:
            passkey = uuid7(self.clock())
            tx.act_as(alice)
            factors.insert_passkey(tx, alice, passkey, "phone", str(passkey), "AA", 0, self.clock())
            names = [row["file_path"] for row in tx.rows(rotation.SQL.files_of, user_id=alice)]
        self.places["passkey_id"] = [str(passkey)]
        vault, folder = self.kit.database.vault, self.kit.settings.audio_dir
        folder.mkdir(exist_ok=True)
        generation, key = vault.keys.current(alice)
        for name in names:  # in place of sounds that would be rendered
            with SealedWriter((folder / name).open("wb"), key, name, generation) as file:
                file.write(bytes(1000))
        self.places["given"] = [erasure.token(vault, user_id) for user_id in (alice, *self.gone)]
        self.gone.append(alice)

    @staticmethod
    def _id_of(visitor: Visitor) -> uuid.UUID:
        return uuid.UUID(visitor.get("/api/v1/me").json()["id"])

    def sign_in(self) -> None:
        """Everybody has a fresh login, without the work of a password; somebody waits for the code."""
        for visitor, user_id, due in ((self.alice, self.alice_id, False), (self.nora, self.nora_id, False), (self.waiting, self.alice_id, True)):
            with self.kit.database.write(user_id) as tx:
                token = accounts.open_login(tx, user_id, "x", self.clock(), step_due=due, two_steps=not due)
            visitor.headers["Authorization"] = f"Bearer {token}"

    def mend(self, path: str) -> None:
        """Every door that a case on this path may have closed is open again."""
        kinds = [kind for kind in MENDED if kind in path]
        if not kinds:
            return
        with self.kit.database.write(self.alice_id) as tx:
            alice_is_here = accounts.stands(tx, self.alice_id)
            tx.run(SQL.set_password, user_id=self.alice_id, password_hash=_CHEAP.hash(ALICE.password), now=self.clock())
        if not alice_is_here:
            self.alice.headers.pop("Authorization")
            self._prepare()
        self.sign_in()
        for kind in kinds:
            for method, address, told in MENDED[kind]:
                self.alice.request(method, f"/api/v1{address}", json=told)


@contextlib.contextmanager
def world(engine: str, settings: Settings) -> Iterator[World]:
    """An application over a clean database with the newest schema; it closes the database."""
    settings = msgspec.structs.replace(settings, base_url=HOST, works_inside=False, erasure_days=7)
    clock = Clock()
    kit = Kit(settings=settings, database=open_database(settings), limits=RateLimits(factor=10**6), mail=Mailer(settings), clock=clock)
    direct = Direct(create_app(kit, warm=False))
    try:
        with quick_passwords():
            yield World(engine, kit, direct, clock)
    finally:
        direct.end()


class Seen:
    """What a series came to."""

    def __init__(self) -> None:
        self.cases = self.unsendable = 0
        self.statuses: collections.Counter[int] = collections.Counter()
        self.operations: dict[str, collections.Counter[int]] = {}
        self.wrong: dict[str, list[str]] = {}

    def add(self, kind: str, what: str) -> None:
        self.wrong.setdefault(kind, []).append(what)


def series(worlds: list[World], count: int, seed: int = 1, *, only: str = "", tell: Callable[[str], None] = lambda _: None) -> Seen:
    """Sends `count` cases (fewer where an operation has not so many) to every world."""
    document = worlds[0].alice.get("/api/v1/schema/openapi.json").json()
    # Who asks is told by turns, so schemathesis need not make up tokens.
    schema = schemathesis.openapi.from_dict({**document, "security": []})
    found: list[Any] = list(schema.get_all_operations())
    operations = [each.ok() for each in found]
    operations = [operation for operation in operations if only in f"{operation.method.upper()} {operation.path}"]
    # schemathesis sends words of our own as well: what stands in our texts anyway is not repeated from anybody.
    words = msgspec.json.encode(document).decode() + "".join(file.read_text("utf-8") for file in _SOURCES.rglob("*.py"))
    seen = Seen()
    few, many = ([op for op in operations if bool(op.body or op.query or op.path_parameters) is rich] for rich in (False, True))
    each_few = min(40, max(2, count // 50 // max(1, len(few))))
    each = max(1, (count - each_few * len(few)) // (2 * max(1, len(many))))
    for operation in few + many:
        began = time.monotonic()
        modes = [(GenerationMode.POSITIVE, each_few)] if operation in few else [(mode, each) for mode in GenerationMode]
        for mode, most in modes:
            _draw(operation, mode, most, seed, functools.partial(_try, worlds, seen, words, fits=mode.is_positive))
        name = f"{operation.method.upper()} {operation.path}"
        tell(f"{seen.cases:7} {time.monotonic() - began:6.1f} s {name}: {dict(sorted(seen.operations[name].items()))}")
    return seen


def _draw(operation: Any, mode: GenerationMode, most: int, seed: int, use: Callable[[Any], None]) -> None:
    """`use` got `most` cases, or as many as there are."""
    left = [most]

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=max(1, most), database=None, deadline=None, phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )  # fmt: skip
    @hypothesis.given(operation.as_strategy(generation_mode=mode))
    def each(case: Any) -> None:
        if left[0] > 0:
            left[0] -= 1
            use(case)

    rounds = most if not (operation.body or operation.query or operation.path_parameters) else 1
    for _ in range(rounds):  # what takes nothing has one case, and meets another state each time
        with contextlib.suppress(hypothesis.errors.Unsatisfiable):
            each()


def _try(worlds: list[World], seen: Seen, words: str, case: Any, *, fits: bool) -> None:
    number, status, verdicts = seen.cases, 0, []
    who = _whose_turn(case.path, number)
    for place in worlds:
        answer = _send(place, case, who, number if fits and number % 8 else None)
        if answer is None:
            seen.unsendable += 1
            return
        status = answer.status_code
        verdicts.append(_verdict(answer))
        _judge(case, answer, seen, f"{place.engine} {who}: {case.method} {case.path}", words)
        if status == 429:  # too many wrong codes: that door opens with time alone
            place.clock.advance(minutes=16)
            place.sign_in()
        elif case.method != "GET" and status < 300:
            place.mend(case.path)
    seen.cases += 1
    seen.statuses[status] += 1
    seen.operations.setdefault(f"{case.method} {case.path}", collections.Counter())[status] += 1
    if any(verdict != verdicts[0] for verdict in verdicts):
        seen.add("engines differ", f"{who}: {case.method} {case.path}: {verdicts} {str(case.body)[:300]} {case.query}")


def _whose_turn(path: str, number: int) -> str:
    """Of ten cases eight are Alice's, one Nora's, one nobody's; the second step is for who waits for it."""
    if "/second-step" in path and number % 4:
        return "waiting"
    return {0: "nobody", 5: "nora"}.get(number % 10, "alice")


def _send(place: World, case: Any, who: str, chance: int | None) -> httpx.Response | None:
    """The answer; None for what no client could put on the wire. With `chance`, some of what is sent is Alice's own."""
    visitor: Visitor = getattr(place, who)
    body, parameters = case.body, dict(case.path_parameters or {})
    if chance is not None:
        for name in parameters.keys() & place.places.keys():
            case.path_parameters[name] = place.places[name][chance % len(place.places[name])]
        if isinstance(body, dict):
            case.body = {name: _own(name, told, chance + n) for n, (name, told) in enumerate(body.items())}
    try:
        prepared: Any = requests.Request(**_arguments(case)).prepare()
        headers = [(name, value) for name, value in prepared.headers.items() if name.lower() not in _OURS]
        content = prepared.body.encode() if isinstance(prepared.body, str) else prepared.body or b""
        return visitor.send(visitor.build_request(prepared.method, prepared.url, headers=headers, content=content))
    except (requests.RequestException, httpx.InvalidURL, UnicodeError):
        return None
    finally:
        case.body, case.path_parameters = body, parameters


def _own(name: str, told: Any, chance: int) -> Any:
    """Mostly a value that means something here."""
    return told if name not in OWN or chance % 6 == 0 else OWN[name][chance // 6 % len(OWN[name])]


def _arguments(case: Any) -> dict[str, Any]:
    found = case.as_transport_kwargs(base_url=HOST)
    names = ("method", "url", "headers", "files", "data", "params", "auth", "cookies", "json")
    return {name: found[name] for name in names if name in found}


def _verdict(answer: httpx.Response) -> tuple[Any, ...]:
    if answer.status_code < 400:
        return (answer.status_code,)
    problem = answer.json()
    return (answer.status_code, problem["title"], [error["field"] for error in problem.get("errors", [])])


def _judge(case: Any, answer: httpx.Response, seen: Seen, what: str, words: str) -> None:
    try:
        case.validate_response(answer, checks=CHECKS)
    except FailureGroup as group:
        for failure in group.exceptions:
            seen.add(type(failure).__name__, f"{what}: {answer.status_code}: {failure}\n  sent {str(case.body)[:300]} {case.query} {case.path_parameters}")
    if answer.status_code >= 400:
        for text in _texts(case.body):
            if len(text) >= 6 and text not in words and text in answer.text:
                seen.add("repeats what was sent", f"{what}: {answer.text[:300]}")


def _texts(value: Any) -> Iterator[str]:
    """Every text that is a value in what was sent; names of fields are not."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)


@contextlib.contextmanager
def _worlds(engines: list[str]) -> Iterator[list[World]]:
    folder = Path(tempfile.mkdtemp(prefix="stillwave-cases-"))
    folder.chmod(0o755)
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        made = []
        for engine in engines:
            url = stack.enter_context(packaged.running(folder / engine)) if engine == "postgres" else None
            settings = settings_for(folder / engine, url)
            database = open_database(settings)
            migrate.upgrade(database)
            database.close()
            made.append(stack.enter_context(world(engine, settings)))
        yield made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--engine", choices=["sqlite", "postgres", "both"], default="both")
    parser.add_argument("--only", default="", help="operations with this in their method and path")
    parser.add_argument("--seed", type=int, default=1)
    wish = parser.parse_args()
    began = time.monotonic()
    with _worlds(["sqlite", "postgres"] if wish.engine == "both" else [wish.engine]) as worlds:
        seen = series(worlds, wish.cases, wish.seed, only=wish.only, tell=lambda line: print(line, flush=True))
    for kind, found in seen.wrong.items():
        print(f"\n{kind}: {len(found)}")
        for line in found[:8]:
            print(f"  {line}")
    errors = sum(count for status, count in seen.statuses.items() if status >= 500)
    print(
        f"\n{wish.engine}, seed {wish.seed}: {seen.cases} cases over {len(seen.operations)} operations in {dt.timedelta(seconds=round(time.monotonic() - began))}, "
        f"{errors} server errors, {sum(map(len, seen.wrong.values()))} answers that are wrong, {seen.unsendable} cases that no client can send"
    )  # fmt: skip
    print(f"statuses {dict(sorted(seen.statuses.items()))}")
    sys.exit(1 if seen.wrong or errors else 0)


if __name__ == "__main__":
    main()
