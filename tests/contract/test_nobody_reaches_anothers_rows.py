"""Every route, asked by everybody it is not for. A route that is not in the table fails the first test."""

from __future__ import annotations

import json
import re
from importlib import import_module
from typing import Any, NamedTuple
from uuid import UUID

import httpx
import pytest
from litestar.routes import HTTPRoute

from stillwave.accounts import actions as accounts
from stillwave.accounts.store import SQL
from stillwave.app import create_app
from stillwave.db import rotation
from stillwave.db.ids import uuid7
from stillwave.db.seal import SealedWriter
from stillwave.emergency import store
from stillwave.emergency.rules import LASTS
from stillwave.emergency.store import Access
from stillwave.factors import store as factors
from tests import rows
from tests.cast import ALICE, BOB, CHARLIE, Clock, Person
from tests.served import SCREENING, Served, Visitor


class Route(NamedTuple):
    """What one route takes, and whom it is for."""

    method: str
    path: str
    sent: dict[str, Any] | None = None
    open_to_all: bool = False
    operators: bool = False
    waiting: bool = False  # for a login whose second step is due, and for no other

    @property
    def is_api(self) -> bool:
        return self.path.startswith("/api/")

    @property
    def of_one_row(self) -> bool:
        return not self.operators and any(name in self.path for name in ("_id:uuid}", D))


PERSON, ACCESS = "{person_id:uuid}", "{access_id:uuid}"
S, L, D, C = "{session_id:uuid}", "{login_id:uuid}", "{date:date}", "{clearance_id:uuid}"
P = "{passkey_id:uuid}"
_SHOWN = {"id": "AA", "rawId": "AA", "type": "public-key", "response": {"clientDataJSON": "AA", "authenticatorData": "AA", "signature": "AA"}}
_MADE = {"id": "AA", "rawId": "AA", "type": "public-key", "response": {"clientDataJSON": "AA", "attestationObject": "AA"}}
ANSWER, SECRET = {"rating": 1}, {"password": ALICE.password, "confirm": "erase"}
PROOF = {"password": ALICE.password, "code": "123456"}
NEW_PASSWORD = {"current_password": ALICE.password, "password": "seven quiet otters sleeping"}
CLEARED = {
    "condition": "recent_head_injury", "cleared_on": "2026-11-20", "password": ALICE.password, "understood": True,
    "note": "mine alone",
}  # fmt: skip

ROUTES = [
    Route("POST", "/api/v1/accounts", open_to_all=True),
    Route("POST", "/api/v1/logins", open_to_all=True),
    Route("POST", "/api/v1/recoveries", open_to_all=True),
    Route("POST", "/api/v1/recoveries/complete", open_to_all=True),
    Route("GET", "/api/v1/logins"),
    Route("DELETE", f"/api/v1/logins/{L}"),
    Route("DELETE", "/api/v1/logins/current"),
    Route("POST", "/api/v1/logins/second-step", {"code": "123456"}, waiting=True),
    Route("POST", "/api/v1/logins/second-step/passkey/options", {}, waiting=True),
    Route("POST", "/api/v1/logins/second-step/passkey", {"credential": _SHOWN}, waiting=True),
    Route("POST", "/api/v1/logins/passkey/options", open_to_all=True),
    Route("POST", "/api/v1/logins/passkey", open_to_all=True),
    Route("POST", "/api/v1/proofs/passkey/options", {}),
    Route("POST", "/api/v1/proofs/passkey", {"credential": _SHOWN}),
    Route("GET", "/api/v1/passkeys"),
    Route("POST", "/api/v1/passkeys/options", {"password": ALICE.password}),
    Route("POST", "/api/v1/passkeys", {"name": "phone", "credential": _MADE}),
    Route("PATCH", f"/api/v1/passkeys/{P}", {"name": "mine now"}),
    Route("POST", f"/api/v1/passkeys/{P}/remove", {"password": BOB.password}),
    Route("GET", "/api/v1/second-factor"),
    Route("POST", "/api/v1/second-factor", {"password": ALICE.password}),
    Route("POST", "/api/v1/second-factor/confirm", {"code": "123456"}),
    Route("POST", "/api/v1/second-factor/recovery-codes", PROOF),
    Route("POST", "/api/v1/second-factor/remove", PROOF),
    Route("GET", "/api/v1/me"),
    Route("POST", "/api/v1/password", NEW_PASSWORD),
    Route("PUT", "/api/v1/contact", {"password": ALICE.password, "phone": "+442071838753"}),
    Route("GET", "/api/v1/preferences"),
    Route("PUT", "/api/v1/preferences", {"preferred_duration": 7}),
    Route("GET", "/api/v1/consents"),
    Route("PUT", "/api/v1/consents/{purpose:str}", {"give": False}),
    Route("GET", "/api/v1/profile"),
    Route("PUT", "/api/v1/profile/adaptation", {"on": False}),
    Route("GET", "/api/v1/screening"),
    Route("PUT", "/api/v1/screening", {**SCREENING, "age_group": "16_17"}),
    Route("GET", "/api/v1/clearances"),
    Route("POST", "/api/v1/clearances", CLEARED),
    Route("DELETE", f"/api/v1/clearances/{C}"),
    Route("GET", "/api/v1/comparison"),
    Route("POST", "/api/v1/comparison/reveal", {}),
    Route("POST", "/api/v1/sessions", {"target_state": "calm_focus", "minutes": 5}),
    Route("GET", "/api/v1/sessions"),
    Route("GET", f"/api/v1/sessions/{S}"),
    Route("PATCH", f"/api/v1/sessions/{S}", {"position_s": 7}),
    Route("GET", f"/api/v1/sessions/{S}/measured"),
    Route("GET", f"/api/v1/sessions/{S}/audio.wav"),
    Route("GET", f"/api/v1/sessions/{S}/audio.flac"),
    Route("GET", f"/api/v1/sessions/{S}/audio.opus"),
    Route("POST", f"/api/v1/sessions/{S}/reveal", {}),
    Route("POST", f"/api/v1/sessions/{S}/feedback", ANSWER),
    Route("GET", f"/api/v1/sessions/{S}/feedback"),
    Route("PUT", f"/api/v1/sessions/{S}/feedback", ANSWER),
    Route("DELETE", f"/api/v1/sessions/{S}/feedback"),
    Route("POST", "/api/v1/progress", {"date": "2026-11-25", "sleep_quality": 1}),
    Route("GET", "/api/v1/progress"),
    Route("DELETE", f"/api/v1/progress/{D}"),
    Route("GET", "/api/v1/progress/summary"),
    Route("PUT", "/api/v1/restriction", {"on": True}),
    Route("GET", "/api/v1/export"),
    Route("POST", "/api/v1/export", {"password": ALICE.password}),
    Route("POST", "/api/v1/erasure", SECRET),
    Route("GET", "/api/v1/erasure"),
    Route("DELETE", "/api/v1/erasure"),
    Route("GET", "/api/v1/receipts/{given:str}", open_to_all=True),
    Route("GET", "/api/v1/audit-events"),
    Route("GET", "/api/v1/schema", open_to_all=True),
    Route("GET", "/api/v1/schema/openapi.json", open_to_all=True),
    Route("GET", "/api/v1/schema/{path:str}", open_to_all=True),
    Route("GET", "/health", open_to_all=True),
    Route("GET", "/health/ready", open_to_all=True),
    Route("GET", "/metrics", open_to_all=True),
    Route("GET", "/static/{file_path:path}", open_to_all=True),
    Route("HEAD", "/static/{file_path:path}", open_to_all=True),
    Route("GET", "/", open_to_all=True),
    Route("GET", "/sw.js", open_to_all=True),
    Route("GET", "/offline", open_to_all=True),
    Route("GET", "/style", open_to_all=True),
    Route("POST", "/demo", open_to_all=True),
    Route("GET", "/sign-up", open_to_all=True),
    Route("POST", "/sign-up", open_to_all=True),
    Route("GET", "/sign-in", open_to_all=True),
    Route("POST", "/sign-in", open_to_all=True),
    Route("GET", "/recover", open_to_all=True),
    Route("POST", "/recover", open_to_all=True),
    Route("GET", "/reset", open_to_all=True),
    Route("POST", "/reset", open_to_all=True),
    Route("POST", "/sign-out", {}),
    Route("GET", "/second-step", open_to_all=True),
    Route("POST", "/second-step", {"code": "123456"}, waiting=True),
    Route("POST", "/second-step/passkey", {"credential": json.dumps(_SHOWN)}, waiting=True),
    Route("POST", "/second-step/leave", {}, waiting=True),
    Route("POST", "/sign-in/passkey", open_to_all=True),
    Route("POST", "/security/passkeys", {"passkey_name": "phone", "credential": json.dumps(_MADE)}),
    Route("POST", f"/security/passkeys/{P}", {"passkey_name": "mine now"}),
    Route("POST", f"/security/passkeys/{P}/remove", {"password": BOB.password}),
    Route("GET", "/security"),
    Route("POST", "/security/begin", {"password": ALICE.password}),
    Route("POST", "/security/confirm", {"code": "123456"}),
    Route("POST", "/security/recovery-codes", PROOF),
    Route("POST", "/security/remove", PROOF),
    Route("GET", "/address"),
    Route("POST", "/address", {"email": "another@example.org"}),
    Route("GET", "/phone"),
    Route("POST", "/phone", {"phone": "+14155552672"}),
    Route("GET", "/preferences"),
    Route("POST", "/preferences", {"preferred_duration": "7"}),
    Route("POST", f"/logins/{L}/revoke", {}),
    Route("POST", "/logins/revoke-others", {}),
    Route("GET", "/screening"),
    Route("POST", "/screening", {"age_group": "16_17", "none": "yes", "agree_not_driving": "yes"}),
    Route("GET", "/clearances"),
    Route("POST", "/clearances", {**CLEARED, "understood": "yes"}),
    Route("POST", f"/clearances/{C}/revoke", {}),
    Route("POST", "/comparison", {"give": "yes"}),
    Route("POST", "/comparison/reveal", {}),
    Route("GET", "/profile"),
    Route("POST", "/profile/adaptation", {"on": "no"}),
    Route("GET", "/start"),
    Route("POST", "/sessions", {"target_state": "calm_focus", "minutes": "5"}),
    Route("GET", f"/sessions/{S}"),
    Route("POST", f"/sessions/{S}/reveal", {}),
    Route("GET", f"/sessions/{S}/rate"),
    Route("POST", f"/sessions/{S}/rate", {"rating": "1"}),
    Route("GET", "/history"),
    Route("GET", "/sessions.csv"),
    Route("GET", "/progress.csv"),
    Route("GET", "/progress"),
    Route("POST", "/progress", {"date": "2026-11-25", "sleep_quality": "1"}),
    Route("GET", "/privacy"),
    Route("POST", "/consents/{purpose:str}", {"give": "no"}),
    Route("POST", "/privacy/restriction", {"on": "yes"}),
    Route("POST", "/password", NEW_PASSWORD),
    Route("GET", "/contact"),
    Route("POST", "/contact", {"password": ALICE.password, "phone": "+442071838753"}),
    Route("GET", "/privacy/export"),
    Route("POST", "/privacy/export", {"password": ALICE.password}),
    Route("GET", "/privacy/log"),
    Route("POST", "/privacy/erase", SECRET),
    Route("GET", "/privacy/leaving"),
    Route("POST", "/privacy/keep", {}),
    Route("GET", "/receipts/{given:str}", open_to_all=True),
    Route("GET", "/operator", operators=True),
    Route("POST", "/operator/jobs/{job_id:uuid}/retry", {}, operators=True),
    Route("GET", "/operator/emergency", operators=True),
    Route("POST", "/operator/emergency", {"email": ALICE.email, "reason": "nobody can reach them", "code": "123456"}, operators=True),
    Route("GET", f"/operator/emergency/{PERSON}/{ACCESS}", operators=True),
    Route("POST", f"/operator/emergency/{PERSON}/{ACCESS}/end", {}, operators=True),
    Route("GET", "/privacy/emergency"),
    Route("POST", f"/privacy/emergency/{ACCESS}/end", {}),
    Route("POST", f"/privacy/emergency/{ACCESS}/seen", {}),
    Route("POST", "/api/v1/calendar"),
    Route("DELETE", "/api/v1/calendar"),
    Route("GET", "/calendar"),
    Route("POST", "/calendar", {}),
    Route("POST", "/calendar/remove", {}),
    Route("GET", "/calendar/{name:str}", open_to_all=True),
    Route("GET", "/unsubscribe/{token:str}", open_to_all=True),
    Route("POST", "/unsubscribe/{token:str}", open_to_all=True),
]  # fmt: skip


class Places(NamedTuple):
    """Where Alice's own rows are."""

    session: str
    login: str
    clearance: str
    access: str
    passkey: str

    def fill(self, path: str) -> str:
        filled = path.replace(S, self.session).replace(L, self.login).replace(D, "2026-11-25").replace(C, self.clearance)
        filled = filled.replace(P, self.passkey).replace(ACCESS, self.access).replace(PERSON, "00000000-0000-7000-8000-000000000000")
        filled = filled.replace("{job_id:uuid}", "00000000-0000-7000-8000-000000000000")
        return filled.replace("{purpose:str}", "health_data")


@pytest.fixture
def places(served: Served, alice: Visitor, clock: Clock) -> Places:
    """Alice has a rated session, a diary day, a login and a clearance and a passkey, and an operator looked at her data once."""
    session = alice.session(background_only=True)["id"]
    clock.advance(minutes=6)
    alice.rate(session, feedback_text="mine alone")
    kept = alice.post("/api/v1/progress", json={"date": "2026-11-25", "sleep_quality": 9, "notes": "mine alone"})
    assert kept.status_code == 201
    alice.screened(none=False, conditions=["recent_head_injury"])
    cleared = alice.post("/api/v1/clearances", json=CLEARED)
    assert cleared.status_code == 201
    me = UUID(alice.get("/api/v1/me").json()["id"])
    access = Access(
        user_id=me, id=rows.id_at(), operator_id=rows.id_at(), created_at=clock(), expires_at=clock.now + LASTS, reason="mine alone"
    )
    with served.kit.database.write(me) as tx:
        store.insert(tx, access)
    with served.kit.database.write(right="operator") as tx:
        alice_id, passkey_id = accounts.by_email(tx, ALICE.email).id, uuid7(clock())
        tx.act_as(alice_id)
        factors.insert_passkey(tx, alice_id, passkey_id, "mine alone", "AA", "AA", 0, clock())
    return Places(session, alice.get("/api/v1/logins").json()[0]["id"], cleared.json()["id"], str(access.id), str(passkey_id))


def ask(visitor: Visitor, route: Route, places: Places) -> httpx.Response:
    sent: dict[str, Any] = {}
    if route.sent is not None:
        sent = {"json" if route.is_api else "data": route.sent}
    if "/audio." in route.path:  # a sound that is given is not listened to: minutes of it would be rendered
        with visitor.stream(route.method, places.fill(route.path)) as answer:
            if answer.status_code >= 300:
                answer.read()
                return answer
            return httpx.Response(answer.status_code)
    return visitor.request(route.method, places.fill(route.path), **sent)


def all_of(alice: Visitor, places: Places) -> dict[str, Any]:
    """Everything Alice could notice having changed."""
    found = {
        path: alice.get(f"/api/v1/{path}").json()
        for path in ("me", "logins", "preferences", "consents", "profile", "screening", "clearances", "sessions", "progress")
    }
    for login in found["logins"]:
        login.pop("last_seen_at")
    return found | {"feedback": alice.get(f"/api/v1/sessions/{places.session}/feedback").json()}


@pytest.mark.parametrize("engine", ["sqlite"])
def test_every_route_is_in_the_table(served: Served) -> None:
    app = create_app(served.kit, warm=False)
    there = {
        (method, route.path)
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for method in route.methods - {"OPTIONS"}
    }
    assert there == {(route.method, route.path) for route in ROUTES}


def test_another_persons_ids_are_not_found(served: Served, alice: Visitor, bob: Visitor, places: Places) -> None:
    before, wrong = all_of(alice, places), []
    for route in ROUTES:
        if not route.of_one_row:
            continue
        answer = ask(bob, route, places)
        kind = "application/problem+json" if route.is_api else "text/html; charset=utf-8"
        if answer.status_code != 404 or answer.headers["content-type"] != kind or "mine alone" in answer.text:
            wrong.append(f"{route.method} {route.path}: {answer.status_code}")
    assert not wrong
    assert all_of(alice, places) == before


def test_the_answer_for_anothers_id_is_that_for_an_id_that_never_was(alice: Visitor, bob: Visitor, places: Places) -> None:
    nowhere = Places(*(place[:-4] + "0000" for place in places))
    for route in ROUTES:
        if route.of_one_row and D not in route.path:
            theirs, never = ask(bob, route, places), ask(bob, route, nowhere)
            assert theirs.status_code == never.status_code == 404, route
            assert nowhere_named(theirs.text, places) == nowhere_named(never.text, nowhere), route


def nowhere_named(text: str, places: Places) -> str:
    for place in places:
        text = text.replace(place, "")
    return text


def nobody(served: Served, alice: Visitor) -> Visitor:
    return served.visitor()


def with_a_made_up_token(served: Served, alice: Visitor) -> Visitor:
    """The right person in the token, the wrong chance."""
    visitor = served.visitor()
    token = alice.headers["Authorization"]
    visitor.headers["Authorization"] = token[:40] + token[40:][::-1]
    return visitor


def with_nonsense(served: Served, alice: Visitor) -> Visitor:
    visitor = served.visitor()
    visitor.headers["Authorization"] = "Bearer \u00e4\u00f6%00'; --"
    return visitor


def with_a_revoked_login(served: Served, alice: Visitor) -> Visitor:
    visitor = served.visitor()
    token = visitor.headers["Authorization"] = _fresh(served, ALICE)
    assert visitor.delete("/api/v1/logins/current").status_code == 204
    visitor.headers["Authorization"] = token
    return visitor


def with_a_disabled_account(served: Served, alice: Visitor) -> Visitor:
    """Disabled by a hand in the database, so that the login itself is still there."""
    visitor = served.visitor()
    visitor.sign_up(CHARLIE)
    with served.kit.database.write() as tx:
        user = accounts.by_email(tx, CHARLIE.email)
        tx.act_as(user.id)
        tx.run(SQL.set_status, user_id=user.id, account_status="disabled", now=served.kit.clock())
    return visitor


def with_an_old_cookie(served: Served, alice: Visitor) -> Visitor:
    visitor = with_a_revoked_login(served, alice)
    visitor.cookies.set("stillwave_login", visitor.headers.pop("Authorization").removeprefix("Bearer "))
    return visitor


STRANGERS = [nobody, with_a_made_up_token, with_nonsense, with_a_revoked_login, with_a_disabled_account, with_an_old_cookie]


def test_who_is_not_signed_in_is_sent_to_sign_in(served: Served, alice: Visitor, places: Places) -> None:
    before, wrong = all_of(alice, places), []
    for who in STRANGERS:
        stranger = who(served, alice)
        for route in ROUTES:
            if route.open_to_all:
                continue
            answer = ask(stranger, route, places)
            if route.is_api:
                right = answer.status_code == 401 and answer.headers["content-type"] == "application/problem+json"
            else:
                right = answer.status_code == 303 and answer.headers["location"] == "/sign-in"
            if not right or "mine alone" in answer.text:
                wrong.append(f"{who.__name__}: {route.method} {route.path}: {answer.status_code}")
        assert "mine alone" not in stranger.get("/").text
    assert not wrong
    assert all_of(alice, places) == before


def test_only_operators_see_the_operators_page(served: Served, alice: Visitor) -> None:
    for route in (route for route in ROUTES if route.operators):
        path = re.sub(r"\{\w+:uuid\}", "00000000-0000-7000-8000-000000000000", route.path)
        assert alice.request(route.method, path, data=route.sent).status_code == 403, route
    refused = alice.get("/operator")
    assert refused.status_code == 403
    assert "Free disk" not in refused.text
    with served.kit.database.write(right="operator") as tx:
        user = accounts.by_email(tx, ALICE.email)
        tx.act_as(user.id)
        accounts.set_role(tx, user.id, "operator", served.kit.clock())
    assert alice.get("/operator").status_code == 303  # the rights changed: sign in anew
    alice.sign_in(ALICE)
    assert alice.get("/operator").status_code == 403  # a password alone is not enough for an operator
    alice.set_up_second_step(ALICE, served.kit.clock())
    page = alice.get("/operator")
    assert page.status_code == 200
    assert "Free disk" in page.text
    assert ALICE.email not in page.text


def test_lists_hold_only_ones_own(alice: Visitor, bob: Visitor, places: Places) -> None:
    assert bob.get("/api/v1/sessions").json()["items"] == []
    assert bob.get(f"/api/v1/sessions?before={places.session[:-4]}ffff").json()["items"] == []
    assert bob.get("/api/v1/progress").json()["items"] == []
    assert [login["id"] for login in bob.get("/api/v1/logins").json()] != [places.login]
    assert bob.get("/api/v1/clearances").json() == {"items": [], "clearable": []}
    assert bob.get("/api/v1/progress/summary").json()["total_sessions"] == 0
    assert bob.get("/api/v1/me").json()["email"] == BOB.email
    export = bob.get("/api/v1/export").content
    assert places.session.encode() not in export


# --- every route x everybody ----------------------------------------------------------------------

def right(route: Route, who: str, answer: httpx.Response) -> bool:  # noqa: PLR0911  one line a kind of people
    """Whether the answer is what the table declares for this cell."""
    status, place = answer.status_code, answer.headers.get("location")
    if status >= 500 or (who not in ("own", "operator") and "mine alone" in answer.text):
        return False
    if route.open_to_all:
        return status not in (401, 403) or (status == 401 and "/logins" in route.path)
    if who in ("nobody", "revoked") or (route.waiting and who != "waiting"):
        return status == 401 if route.is_api else (status, place) == (303, "/sign-in")
    if who == "waiting":
        due = status == 401 if route.is_api else (status, place) == (303, "/second-step")
        return due != route.waiting
    if route.operators:
        return (status in (401, 403)) == (who != "operator")
    if route.of_one_row and who in ("other", "operator") and D not in route.path:  # a day is everybody's own
        # Removing a passkey asks for the password first, and the operator's is not the one that is sent.
        return status == 404 or (who == "operator" and "passkey" in route.path and status in (303, 422))
    # Who is signed in is let in; what there is for them there, the tests of each feature say.
    gone = {404} if route.of_one_row and not _ends(route) else set()
    return status not in {401, *gone} and place not in ("/sign-in", "/second-step")


def test_every_cell_of_the_access_matrix_is_as_declared(
    served: Served, alice: Visitor, bob: Visitor, places: Places, clock: Clock
) -> None:
    served.kit.limits._factor = 10_000
    import_module("stillwave.sound.render")  # as the server does at its start; two threads at once confuse numba
    wrong = []
    operator, waiting = served.visitor(), served.visitor()
    operator.sign_up(CHARLIE)
    operator.screened()
    operator.set_up_second_step(CHARLIE, clock())
    with served.kit.database.write(right="operator") as tx:
        charlie = accounts.by_email(tx, CHARLIE.email)
        tx.act_as(charlie.id)
        accounts.set_role(tx, charlie.id, "operator", clock())
    operator.headers["Authorization"] = _fresh(served, CHARLIE)
    _make_sound(served)
    revoked = with_a_revoked_login(served, bob)
    waiting.headers["Authorization"] = _waiting(served, BOB)
    cells = 0
    # One by one, and what ends a login, the waiting or the account is answered last of all.
    for route in sorted(ROUTES, key=lambda route: (_ends(route), route.path)):
        for name, who in (
            ("nobody", served.visitor()), ("revoked", revoked), ("waiting", waiting), ("other", bob), ("operator", operator),
            ("own", alice),
        ):  # fmt: skip
            who.cookies.clear()
            if name == "waiting":  # anew each time: what the others do may end it
                who.headers["Authorization"] = _waiting(served, BOB)
            elif _ends(route) and name in ("other", "operator", "own") and not route.open_to_all:
                who.headers["Authorization"] = _fresh(served, {"other": BOB, "operator": CHARLIE, "own": ALICE}[name])
            answer = ask(who, route, places)
            cells += 1
            if not right(route, name, answer):
                wrong.append(f"{name}: {route.method} {route.path}: {answer.status_code}")
    assert cells == 6 * len(ROUTES)
    assert not wrong, "\n".join(wrong)


def _make_sound(served: Served) -> None:
    """Alice's sound file is there and need not be rendered."""
    database, folder = served.kit.database, served.kit.settings.audio_dir
    with database.read(right="operator") as tx:
        alice_id = accounts.by_email(tx, ALICE.email).id
    with database.read(alice_id, right="operator") as tx:
        name = tx.value(rotation.SQL.files_of, user_id=alice_id)
    folder.mkdir(exist_ok=True)
    generation, key = database.vault.keys.current(alice_id)
    with SealedWriter((folder / name).open("wb"), key, name, generation) as file:
        file.write(bytes(1000))


ENDING = ("erase", "erasure", "remove", "logins/current", "/sign-out", "revoke", f"DELETE /api/v1/logins/{L}", "password", "adaptation",
          "restriction", "consents/", "screening", "DELETE")  # fmt: skip


def _ends(route: Route) -> int:
    """0: goes on as before. 1: changes what others need. 2: ends the login. 3: ends the account."""
    text = f"{route.method} {route.path}"
    if route.method == "GET" or route.open_to_all:
        return 0
    if "eras" in text:
        return 3
    return 2 if any(end in text for end in ENDING) else 1


def _fresh(served: Served, person: Person) -> str:
    """A login of the person that took both steps, as the matrix wants for each route that may end it."""
    with served.kit.database.write(right="operator") as tx:
        user = accounts.by_email(tx, person.email)
        tx.act_as(user.id)
        return "Bearer " + accounts.open_login(tx, user.id, "x", served.kit.clock(), two_steps=True)


def _waiting(served: Served, person: Person) -> str:
    """A login of the person whose second step is due."""
    with served.kit.database.write(right="operator") as tx:
        user = accounts.by_email(tx, person.email)
        tx.act_as(user.id)
        return "Bearer " + accounts.open_login(tx, user.id, "x", served.kit.clock(), step_due=True)
