"""What is refused is refused alike on both engines: 4xx, problem+json that names the field, nothing stored.

The table below holds one line per endpoint, field and kind of badness; each case goes to a server on SQLite and to
one on PostgreSQL, and the two answers must be the same to the letter.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import httpx
import pytest

from stillwave.accounts.actions import BACKGROUNDS
from stillwave.profiles.rules import STATES
from tests.cast import ALICE, CHARLIE, NOW
from tests.rows import id_at
from tests.served import SCREENING
from tests.two_worlds import World, both, rows

CANARY = "QzxCanary"  # in what is sent, never in what comes back


class Raw(NamedTuple):
    """A value as it stands in the JSON text, for what `json.dumps` would not write."""

    text: str


class Case(NamedTuple):
    """A request that must be refused."""

    name: str
    method: str
    path: str
    body: bytes | None
    field: str | None  # named by the refusal; None where the status says it all
    status: int = 422
    headers: Mapping[str, str] = MappingProxyType({})
    allowed: object = None  # a value that must be among the allowed ones


def dumped(fields: dict[str, object]) -> bytes:
    parts = (
        f"{json.dumps(name)}: {value.text if isinstance(value, Raw) else json.dumps(value)}"
        for name, value in fields.items()
    )
    return ("{" + ", ".join(parts) + "}").encode()


JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}

# --- JSON bodies --------------------------------------------------------------------------------

NUMBERS: list[object] = [
    "5", 5.5, True, [], {}, Raw("NaN"), Raw("Infinity"), Raw("-Infinity"), Raw("1e400"), Raw("-0"), Raw("9" * 400), 2**63,
]  # fmt: skip
TEXTS: list[object] = [5, True, [CANARY], {"a": CANARY}, f"{CANARY}\0", Raw(f'"{CANARY}\\ud800"'), Raw(f'"\\udc00{CANARY}"')]
FLAGS: list[object] = ["true", 1, 0, None, [], CANARY]
DATES: list[object] = [5, CANARY, "2026-13-01", "2026-02-30", "20261125", "2026-11-25T00:00:00Z", "", "0000-01-01", "10000-01-01", None]
TIMES: list[object] = [5, CANARY, "25:00:00", "07:60:00", "07:30", "07:30:00Z", "07:30:00+05:00", "07:30:00.123456", ""]


def words(longest: int) -> list[object]:
    return [*TEXTS, CANARY + "x" * longest]


def whole(low: int, high: int) -> list[object]:
    return [*NUMBERS, low - 1, high + 1, -(2**31) - 1]


def listed(longest: int) -> list[object]:
    return [*words(longest), CANARY, "", "'; DROP TABLE users; --", "../../etc/passwd"]


SIGN_UP = {"email": CHARLIE.email, "phone": CHARLIE.phone_number, "password": CHARLIE.password, "consent_health_data": True}
SIGN_IN = {"email": ALICE.email, "password": ALICE.password}
WISH: dict[str, object] = {"target_state": "calm_focus", "minutes": 5}
ANSWER: dict[str, object] = {"rating": 4}
DAY: dict[str, object] = {"date": "2026-11-25", "sleep_quality": 5}
CLEARED = {"condition": "recent_head_injury", "cleared_on": "2026-11-20", "password": ALICE.password, "understood": True}
LIKES: dict[str, object] = {"preferred_duration": 20}
PASSWORDS = {"current_password": ALICE.password, "password": "seven quiet otters sleeping"}
RECOVERY = {"email": ALICE.email, "code": "ABCD-EFGH-JKMN-PQRS", "password": "seven quiet otters sleeping"}

# endpoint, a good body, {field: bad values}, a word that must be among what is allowed
BODIES: list[tuple[str, str, dict[str, Any], dict[str, list[object]]]] = [
    ("POST", "/api/v1/accounts", SIGN_UP, {
        "email": [*words(254), "", "a@b", "no-at-sign", f"{CANARY}@", f"@{CANARY}.org", f"{CANARY}@example..org", "a b@example.org", "a@[127.0.0.1]", None],
        "phone": [*words(40), "", "12345", "+", f"+{CANARY}", "+9991234567890", "0044 20 7946 0000", "+1", None],
        "password": [*words(1024), "", "short", "password1234", "aaaaaaaaaaaaaaaa", CHARLIE.email, None],
        "consent_health_data": FLAGS,
    }),
    ("POST", "/api/v1/logins", SIGN_IN, {"email": [*words(254), ""], "password": [*words(1024), "", None]}),
    ("POST", "/api/v1/password", PASSWORDS, {
        "current_password": [*words(1024), "", f"{CANARY} not mine"],
        "password": [*words(1024), "", "short", "password1234"],
    }),
    ("POST", "/api/v1/recoveries", {"email": ALICE.email}, {"email": [*words(254), "", None]}),
    ("POST", "/api/v1/recoveries/complete", RECOVERY, {
        "email": [*words(254), "", f"{CANARY}"], "code": [*words(64), "", CANARY], "password": [*words(1024), "short"],
    }),
    ("PUT", "/api/v1/preferences", LIKES, {
        "voice_preference": listed(20), "background_sound_type": listed(50), "time_zone": listed(64),
        "preferred_duration": whole(5, 120), "morning_routine_time": TIMES, "evening_routine_time": TIMES,
    }),
    ("PUT", "/api/v1/consents/adaptation", {"give": True}, {"give": FLAGS}),
    ("PUT", "/api/v1/restriction", {"on": False}, {"on": FLAGS}),
    ("PUT", "/api/v1/profile/adaptation", {"on": True}, {"on": FLAGS}),
    ("POST", "/api/v1/erasure", {"password": ALICE.password, "confirm": "erase"}, {
        "password": [*words(1024), "", f"{CANARY} not mine"], "confirm": [*words(16), "", "yes"],
    }),
    ("PUT", "/api/v1/contact", {"password": ALICE.password}, {
        "email": [*words(254), "", CANARY], "phone": [*words(40), "", "12", CANARY], "password": [*words(1024), ""],
    }),
    ("PUT", "/api/v1/screening", SCREENING, {
        "age_group": listed(20), "agree_not_driving": [*FLAGS, False], "none": FLAGS, "other": words(1000),
        "conditions": ["epilepsy", 5, {}, [5], [None], [CANARY], ["under_16"], ["x" * 41], ["a\0"], [["epilepsy"]]],
    }),
    ("POST", "/api/v1/sessions", WISH, {
        "kind": listed(20), "initial_state": listed(20), "target_state": [*listed(20), None], "background": listed(50),
        "minutes": whole(5, 120), "headphones": FLAGS, "confirm": FLAGS, "background_only": FLAGS, "as_usual": FLAGS,
        "choice": listed(20), "listening": listed(20),
    }),
    ("POST", "/api/v1/clearances", CLEARED, {
        "condition": [*listed(60), "epilepsy", "under_16", "adverse:seizure", None], "cleared_on": DATES,
        "password": [*words(1024), "", f"{CANARY} not mine", None], "understood": [*FLAGS, False], "note": words(1000),
    }),
    ("PATCH", "/api/v1/sessions/{session}", {"position_s": 5}, {
        "position_s": ["5", True, None, [], Raw("NaN"), Raw("Infinity"), Raw("1e400"), -1, 14401, Raw("9" * 400)], "ended": FLAGS,
    }),
    ("POST", "/api/v1/sessions/{session}/feedback", ANSWER, {
        "rating": [*whole(1, 5), None], "effectiveness": whole(1, 10), "pace": listed(20), "level": listed(20),
        "feedback_text": words(4000),
        "effects": [5, CANARY, [], ["headache"], {"headache": 4}, {"headache": 0}, {"headache": True}, {"headache": None},
                    {CANARY: 1}, {"too_fast": 1}, {"note": 1}, {"": 1}, {"a\0": 1}, {"headache": {"deep": 1}}],
    }),
    ("PUT", "/api/v1/sessions/{rated}/feedback", ANSWER, {
        "rating": whole(1, 5), "effectiveness": whole(1, 10), "feedback_text": words(4000), "effects": [{CANARY: 1}],
    }),
    ("POST", "/api/v1/progress", DAY, {
        "date": [*DATES, "1999-12-31", "2026-11-27", "9999-12-31", "0001-01-01"],
        "sleep_quality": whole(1, 10), "stress_level": whole(1, 10), "focus_score": whole(1, 10), "notes": words(4000),
        "metrics": [5, CANARY, [], {"a": "5"}, {"a": None}, {"a": True}, {"a": {}}, {"": 1}, {CANARY + "x" * 40: 1},
                    {"a\0": 1}, {"a": 1e13}, Raw('{"a": NaN}'), Raw('{"a": 1e400}'), Raw('{"a": -Infinity}'),
                    Raw('{"\\ud800": 1}'), {f"k{n}": n for n in range(31)}],
    }),
]  # fmt: skip

ALLOWED: dict[str, object] = {
    "voice_preference": "female", "kind": "morning", "pace": "too_fast", "level": "too_quiet", "age_group": "18_plus",
}  # fmt: skip
LISTS = {"background_sound_type": list(BACKGROUNDS), "background": list(BACKGROUNDS), "target_state": list(STATES)}


def unreadable(value: object) -> bool:
    """True for what is no JSON at all: the refusal can name only the body."""
    text = value.text if isinstance(value, Raw) else ""
    return any(mark in text for mark in ("NaN", "Infinity", "\\ud", "1e400"))


def field_cases() -> Iterator[Case]:
    for method, path, good, fields in BODIES:
        for field, values in fields.items():
            for number, value in enumerate(values):
                named = None if unreadable(value) else field
                allowed = ALLOWED.get(field)
                if field in LISTS and isinstance(value, str) and "\0" not in value and len(value) <= 20:
                    allowed = LISTS[field][0]
                yield Case(
                    f"{method} {path} {field} {number}", method, path, dumped({**good, field: value}),
                    named, allowed=allowed if named and "\0" not in str(value) else None, headers=JSON,
                )  # fmt: skip
            if field in good and field not in ("consent_health_data", "sleep_quality", "minutes", "none", "preferred_duration"):
                rest = {name: value for name, value in good.items() if name != field}
                yield Case(f"{method} {path} without {field}", method, path, dumped(rest), field, headers=JSON)


def whole_cases() -> Iterator[Case]:
    deep = b'{"a":' * 5000 + b"1" + b"}" * 5000
    deep_list = b"[" * 30_000 + b"]" * 30_000
    for method, path, good, fields in BODIES:
        first = next(iter(fields))
        sound = dumped(good)
        bodies: list[tuple[str, bytes | None, str | None, int, dict[str, str]]] = [
            ("not JSON", b"hello " + CANARY.encode(), "body", 422, JSON),
            ("cut off", sound[:-1], "body", 422, JSON),
            ("two documents", sound + sound, "body", 422, JSON),
            ("empty", b"", "body", 422, JSON),
            ("a list", b"[" + sound + b"]", "body", 422, JSON),
            ("a number", b"5", "body", 422, JSON),
            ("null", b"null", "body", 422, JSON),
            ("not UTF-8", sound[:-1] + b', "x": "\xff"}', None, 422, JSON),
            ("UTF-16", sound.decode().encode("utf-16"), "body", 422, JSON),
            ("deep", deep, None, 422, JSON),
            ("deep list", deep_list, "body", 422, JSON),
            ("deep inside", sound[:-1] + b', "more": ' + b"[" * 25_000 + b"]" * 25_000 + b"}", None, 422, JSON),
            ("huge", sound[:-1] + b', "x": "' + b"x" * 70_000 + b'"}', None, 413, JSON),
            ("a field it does not know", dumped({**good, "role": "operator"}), "role", 422, JSON),
            ("a field twice", sound[:-1] + b", " + dumped({first: good.get(first, 1)})[1:], first, 422, JSON),
            ("text/plain", sound, None, 415, {"Content-Type": "text/plain"}),
            ("a form's type", sound, None, 415, FORM),
            ("no type", sound, None, 415, {}),
        ]
        for name, body, field, status, headers in bodies:
            yield Case(f"{method} {path}: {name}", method, path, body, field, status, headers)


# --- paths, queries, headers --------------------------------------------------------------------

V4 = "6f0a7c1e-93b4-4d0e-8a55-1f2d3c4b5a69"
FAR = str(uuid.UUID(int=(253_402_300_799_000 << 80) | (7 << 76) | (2 << 62) | 5))  # the last second of the year 9999
BEYOND = "ffffffff-ffff-7fff-bfff-ffffffffffff"
PAST = str(id_at(NOW.replace(year=1971)))
OF_A_SESSION = [
    ("GET", "/api/v1/sessions/{}", None), ("PATCH", "/api/v1/sessions/{}", dumped({"position_s": 5})),
    ("GET", "/api/v1/sessions/{}/measured", None), ("GET", "/api/v1/sessions/{}/audio.wav", None),
    ("GET", "/api/v1/sessions/{}/audio.flac", None), ("GET", "/api/v1/sessions/{}/feedback", None),
    ("POST", "/api/v1/sessions/{}/feedback", dumped(ANSWER)), ("PUT", "/api/v1/sessions/{}/feedback", dumped(ANSWER)),
    ("DELETE", "/api/v1/sessions/{}/feedback", None), ("DELETE", "/api/v1/logins/{}", None),
]  # fmt: skip


def path_cases() -> Iterator[Case]:
    ids = (V4, FAR, BEYOND, PAST, str(uuid.UUID(int=0)), "1", "not-a-uuid", "%00", "..%2f..%2fetc", V4 + "0", "\u00e9")
    for method, path, body in OF_A_SESSION:
        for number, strange in enumerate(ids):
            yield Case(f"{method} {path} id {number}", method, path.format(strange), body, None, 404, JSON if body else {})
    for date in ("0001-01-01", "9999-12-31", "2026-11-24"):
        yield Case(f"DELETE diary {date}", "DELETE", f"/api/v1/progress/{date}", None, None, 404)
    for date in ("today", "2026-02-30", "0000-01-01", "10000-01-01", "%00", "1764028800"):
        yield Case(f"DELETE diary {date}", "DELETE", f"/api/v1/progress/{date}", None, None, 404)
    for purpose in ("health", "HEALTH_DATA", "%00", "\u00e9", "x" * 300):
        yield Case(f"consent {purpose[:12]}", "PUT", f"/api/v1/consents/{purpose}", b'{"give": true}', "purpose", 422, JSON, "health_data")


def query_cases() -> Iterator[Case]:
    for value in ("0", "-1", "101", "1e9", "1000000000", "9" * 30, "x", "", "1.5", "NaN", "%00"):
        yield Case(f"limit={value}", "GET", f"/api/v1/sessions?limit={value}", None, "limit")
    for value in ("x", "1", "%00", V4 + "0", "2026-11-25", "null"):
        yield Case(f"before={value}", "GET", f"/api/v1/sessions?before={value}", None, "before")
    for field in ("from", "to"):
        for value in ("x", "2026-13-01", "2026-02-30", "0000-01-01", "10000-01-01", "%00", "NaN", "null", ""):
            yield Case(f"{field}={value}", "GET", f"/api/v1/progress?{field}={value}", None, field)
    for value in ("0", "x", "null", "1.5", "9" * 30):
        yield Case(f"audit-events before={value}", "GET", f"/api/v1/audit-events?before={value}", None, "before")
    yield Case("to the year 1", "GET", "/api/v1/progress?to=0001-01-01", None, "to")
    yield Case("from the year 1", "GET", "/api/v1/progress?from=0001-01-01", None, "from")
    yield Case("from before to", "GET", "/api/v1/progress?from=2026-11-25&to=2026-11-24", None, "from")
    yield Case("from 1 to 9999", "GET", "/api/v1/progress?from=0001-01-01&to=9999-12-31", None, "from")


def header_cases() -> Iterator[Case]:
    for name, value in (("empty", ""), ("long", "k" * 129), ("not ASCII", "sch\u00f6n"), ("tab", "a\tb")):
        for method, path, good in (
            ("POST", "/api/v1/sessions", WISH), ("POST", "/api/v1/progress", DAY),
            ("POST", "/api/v1/sessions/{session}/feedback", ANSWER),
        ):  # fmt: skip
            yield Case(f"{path} key {name}", method, path, dumped(good), "Idempotency-Key", 422, {**JSON, "Idempotency-Key": value})
    for value in ("bytes=999999999999-", "bytes=-0", "bytes=999999999999999999-"):
        yield Case(f"Range {value}", "GET", "/api/v1/sessions/{session}/audio.wav", None, "Range", 416, {"Range": value}, "bytes=")
    yield Case("no such address", "GET", "/api/v1/nothing", None, None, 404)
    yield Case("no such method", "DELETE", "/api/v1/sessions", None, None, 405)


CASES = [*field_cases(), *whole_cases(), *path_cases(), *query_cases(), *header_cases()]

# --- both worlds --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def worlds(settings_on) -> Iterator[dict[str, World]]:
    with both(settings_on) as made:
        yield made


def send(world: World, case: Case) -> httpx.Response:
    path = case.path
    for name, value in world.places.items():
        path = path.replace(f"{{{name}}}", value)
    headers = [(name.encode(), value.encode()) for name, value in case.headers.items()]
    return world.alice.request(case.method, path, content=case.body, headers=headers)


def verdict(world: World, answer: httpx.Response) -> tuple[int, str]:
    text = answer.text
    for name, value in world.places.items():
        text = text.replace(value, f"{{{name}}}")
    return answer.status_code, text


def grouped(cases: list[Case]) -> dict[str, list[Case]]:
    """The cases of one field, query or body together: one test each."""
    groups: dict[str, list[Case]] = {}
    for case in cases:
        groups.setdefault(re.sub(r"( \d+| without \w+|:.*|=.*)$", "", case.name), []).append(case)
    return groups


GROUPS = grouped(CASES)


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 250
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("group", GROUPS, ids=lambda name: re.sub(r"[^\w./{} :-]", "_", name))
def test_it_is_refused_alike_on_both_engines_and_nothing_is_stored(group: str, worlds: dict[str, World]) -> None:
    before = {engine: rows(world) for engine, world in worlds.items()}
    wrong = [f"{case.name}: {why}" for case in GROUPS[group] if (why := what_is_wrong(case, worlds))]
    assert not wrong, "\n".join(wrong)
    assert {engine: rows(world) for engine, world in worlds.items()} == before


def what_is_wrong(case: Case, worlds: dict[str, World]) -> str | None:
    answers = {engine: send(world, case) for engine, world in worlds.items()}
    try:
        for answer in answers.values():
            check(case, answer)
        sqlite, postgres = (verdict(worlds[engine], answer) for engine, answer in answers.items())
        assert sqlite == postgres
    except AssertionError as error:
        return str(error)[:600]
    return None


def check(case: Case, answer: httpx.Response) -> None:
    assert answer.status_code == case.status, answer.text[:400]
    assert answer.headers["content-type"] == "application/problem+json"
    assert CANARY not in answer.text
    problem = answer.json()
    assert problem["status"] == case.status
    assert problem["title"]
    assert problem["detail"]
    if case.field is not None:
        entry = problem["errors"][0]
        assert entry["field"].split(".")[0] == case.field, problem
        assert len(entry["problem"]) > 5
    if case.allowed is not None:
        assert str(case.allowed) in json.dumps(problem["errors"][0]["allowed"]), problem


def test_what_was_refused_has_not_changed_anything(worlds: dict[str, World]) -> None:
    told = [
        {
            "me": {name: value for name, value in world.alice.get("/api/v1/me").json().items() if name != "id"},
            "preferences": world.alice.get("/api/v1/preferences").json(),
            "consents": [c["withdrawn_at"] for c in world.alice.get("/api/v1/consents").json()],
            "days": world.alice.get("/api/v1/progress").json(),
            "profile": world.alice.get("/api/v1/profile").json(),
            "sessions": len(world.alice.get("/api/v1/sessions").json()["items"]),
        }
        for world in worlds.values()
    ]
    assert told[0] == told[1]
    assert told[0]["me"]["needs"] is None
    assert told[0]["preferences"]["preferred_duration"] == 20
    assert told[0]["consents"] == [None, None]
    assert told[0]["days"] == {"items": []}
    assert told[0]["sessions"] == 2


def test_a_letter_that_looks_like_another_is_another_address(worlds: dict[str, World]) -> None:
    """A Cyrillic a, a full-width a, a dotted I: none of them opens Alice's account, on either engine."""
    answers = []
    for world in worlds.values():
        stranger = world.served.visitor()
        answers.append([
            stranger.post("/api/v1/logins", json={"email": email, "password": ALICE.password}).status_code
            for email in ("\u0430lice@example.org", "al\u0131ce@example.org", "alice@ex\u0430mple.org", "alice+x@example.org")
        ])  # fmt: skip
        same = stranger.post("/api/v1/logins", json={"email": " ALICE@Example.ORG", "password": ALICE.password})
        assert same.status_code == 201
    assert answers == [[401] * 4] * 2


def test_dates_at_the_edge_of_time_are_read(worlds: dict[str, World]) -> None:
    for world in worlds.values():
        for query in ("to=9999-12-31", "from=9999-12-31&to=9999-12-31", "from=0001-01-01&to=0001-01-01"):
            assert world.alice.get(f"/api/v1/progress?{query}").json() == {"items": []}, query
        for before in (V4, FAR, BEYOND, PAST):
            assert world.alice.get(f"/api/v1/sessions?before={before}").status_code == 200


def test_a_range_that_is_not_understood_means_the_whole(worlds: dict[str, World]) -> None:
    for world in worlds.values():
        url = f"/api/v1/sessions/{world.places['session']}/audio.wav"
        for header in ("bytes=5-2", "bytes=a-b", "items=0-5", "bytes=0-1,5-6", "bytes=-", "x" * 500):
            with world.alice.stream("GET", url, headers={"Range": header}) as answer:
                assert answer.status_code == 200, header
