"""Accounts over HTTP: signing up, in and out, recovering, limits, consent, and what every answer carries."""

from __future__ import annotations

import email
import re
import socket
import time
from collections.abc import Iterator
from email.message import Message
from typing import Any

import argon2
import httpx
import msgspec
import pytest
from aiosmtpd.controller import Controller

from stillwave.accounts import actions as accounts
from stillwave.db.database import Query, open_database
from stillwave.settings import Settings
from tests.cast import ALICE, BOB, Clock, Person
from tests.served import Served, Visitor, serving

on_one_engine = pytest.mark.parametrize("engine", ["sqlite"])  # what no database has a part in
NEW = "seven quiet otters sleeping"
WRONG = "never been anybodys password"


def sign_up(visitor: httpx.Client, person: Person, **other: Any) -> httpx.Response:
    body = {"email": person.email, "phone": person.phone_number, "password": person.password,
            "consent_health_data": True, **other}  # fmt: skip
    return visitor.post("/api/v1/accounts", json=body)


def sign_in(visitor: httpx.Client, address: str, password: str) -> httpx.Response:
    return visitor.post("/api/v1/logins", json={"email": address, "password": password})


def told(answer: httpx.Response) -> tuple[int, str, list[str]]:
    """What a stranger can tell two answers apart by."""
    return answer.status_code, answer.text, sorted(answer.headers)


def change(served: Served, person: Person, statement: str, **values: object) -> None:
    """A hand in the database, for one account."""
    with served.kit.database.write() as tx:
        user = accounts.by_email(tx, person.email)
        tx.act_as(user.id)
        named = re.sub(r":(\w+)", r"%(\1)s", statement)
        assert tx.run(Query("change", statement, named), user_id=user.id, **values)


# --- signing up, in and out ---------------------------------------------------------------------


def test_a_taken_address_or_number_gets_the_answer_of_a_new_one(served: Served) -> None:
    new, both, mail, phone = (
        sign_up(served.visitor(), person)
        for person in (ALICE, ALICE, BOB._replace(email=ALICE.email), BOB._replace(phone_number=ALICE.phone_number))
    )
    assert new.status_code == 202
    assert told(new) == told(both) == told(mail) == told(phone)
    assert sign_in(served.visitor(), BOB.email, BOB.password).status_code == 401
    assert sign_in(served.visitor(), ALICE.email, BOB.password).status_code == 401
    assert sign_in(served.visitor(), ALICE.email, ALICE.password).status_code == 201


def test_without_the_tick_there_is_no_account(served: Served) -> None:
    refused = sign_up(served.visitor(), ALICE, consent_health_data=False)
    assert refused.status_code == 403
    assert refused.json()["title"] == "Your consent is needed first"
    assert sign_in(served.visitor(), ALICE.email, ALICE.password).status_code == 401


def test_a_wrong_password_is_answered_like_an_unknown_account(served: Served, alice: Visitor) -> None:
    stranger = served.visitor()
    wrong, unknown = sign_in(stranger, ALICE.email, WRONG), sign_in(stranger, BOB.email, WRONG)
    odd = sign_in(stranger, "no address at all", WRONG)
    assert wrong.status_code == 401
    assert told(wrong) == told(unknown) == told(odd)
    asked = [stranger.post("/api/v1/recoveries", json={"email": who}) for who in (ALICE.email, BOB.email, "no address")]
    assert asked[0].status_code == 202
    assert told(asked[0]) == told(asked[1]) == told(asked[2])


@on_one_engine
def test_a_wrong_password_takes_the_time_of_an_unknown_account(served: Served, alice: Visitor) -> None:
    stranger = served.visitor()

    def fastest(address: str) -> float:
        times = []
        for _ in range(4):
            began = time.perf_counter()
            sign_in(stranger, address, WRONG)
            times.append(time.perf_counter() - began)
        return min(times)

    known, unknown = fastest(ALICE.email), fastest(BOB.email)
    assert 0.4 < known / unknown < 2.5  # one Argon2id each; without it an unknown account is 20 times as fast


def test_a_login_ends_with_sign_out(alice: Visitor) -> None:
    assert alice.get("/api/v1/me").json()["email"] == ALICE.email
    assert alice.delete("/api/v1/logins/current").status_code == 204
    assert alice.get("/api/v1/me").status_code == 401


def test_signing_out_by_the_page_clears_the_browser(served: Served, alice: Visitor) -> None:
    browser = served.visitor()
    browser.post("/sign-in", data={"email": ALICE.email, "password": ALICE.password})
    assert browser.get("/privacy").status_code == 200
    kept = browser.cookies["stillwave_login"]
    answer = browser.post("/sign-out")
    assert answer.headers["clear-site-data"] == '"cache", "storage"'
    assert "stillwave_login" not in browser.cookies
    browser.cookies.set("stillwave_login", kept)
    assert browser.get("/privacy").headers["location"] == "/sign-in"


def test_logins_are_listed_and_revoked(served: Served, alice: Visitor) -> None:
    phone = served.visitor()
    phone.headers["User-Agent"] = "Mozilla/5.0 (Android 15; Mobile; rv:140.0) Gecko/140.0 Firefox/140.0"
    phone.sign_in(ALICE)
    listed = alice.get("/api/v1/logins").json()
    assert sorted(login["device"] for login in listed) == ["A program", "Firefox on Android"]
    lost = next(login["id"] for login in listed if login["device"] == "Firefox on Android")
    assert alice.delete(f"/api/v1/logins/{lost}").status_code == 204
    assert phone.get("/api/v1/me").status_code == 401
    assert alice.get("/api/v1/me").status_code == 200
    assert alice.delete(f"/api/v1/logins/{lost}").status_code == 404


def test_every_other_login_ends_at_once(served: Served, alice: Visitor) -> None:
    others = [served.visitor() for _ in range(2)]
    for other in others:
        other.sign_in(ALICE)
    assert alice.post("/logins/revoke-others").status_code == 303
    assert [other.get("/api/v1/me").status_code for other in others] == [401, 401]
    assert alice.get("/api/v1/me").status_code == 200


def test_a_login_idles_out_after_seven_days(alice: Visitor, clock: Clock) -> None:
    clock.advance(days=6, hours=23)
    assert alice.get("/api/v1/me").status_code == 200
    clock.advance(days=6, hours=23)
    assert alice.get("/api/v1/me").status_code == 200
    clock.advance(days=7)
    assert alice.get("/api/v1/me").status_code == 401


def test_a_login_ends_after_thirty_days_however_busy(alice: Visitor, clock: Clock) -> None:
    for _ in range(29):
        clock.advance(days=1)
        assert alice.get("/api/v1/me").status_code == 200
    clock.advance(days=1)
    assert alice.get("/api/v1/me").status_code == 401


# --- passwords ----------------------------------------------------------------------------------


def stored_hash(served: Served, person: Person) -> str:
    with served.kit.database.read() as tx:
        return accounts.by_email(tx, person.email).password_hash


def test_passwords_are_argon2id_of_rfc_9106(served: Served, alice: Visitor) -> None:
    assert re.fullmatch(r"\$argon2id\$v=19\$m=65536,t=3,p=4\$[\w+/]{22}\$[\w+/]{43}", stored_hash(served, ALICE))


def test_an_older_hash_is_renewed_at_sign_in(served: Served, alice: Visitor) -> None:
    weak = argon2.PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(ALICE.password)
    change(served, ALICE, "UPDATE users SET password_hash = :weak WHERE id = :user_id", weak=weak)
    assert sign_in(served.visitor(), ALICE.email, WRONG).status_code == 401
    assert stored_hash(served, ALICE) == weak
    assert sign_in(served.visitor(), ALICE.email, ALICE.password).status_code == 201
    assert stored_hash(served, ALICE).startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert sign_in(served.visitor(), ALICE.email, ALICE.password).status_code == 201


def test_a_new_password_ends_every_login_and_begins_one(served: Served, alice: Visitor) -> None:
    other = served.visitor()
    other.sign_in(ALICE)
    before = alice.headers["Authorization"]
    answer = alice.post("/api/v1/password", json={"current_password": ALICE.password, "password": NEW})
    assert answer.status_code == 200
    assert other.get("/api/v1/me").status_code == 401
    assert alice.get("/api/v1/me").status_code == 401
    alice.headers["Authorization"] = f"Bearer {answer.json()['token']}"
    assert alice.headers["Authorization"] != before
    assert alice.get("/api/v1/me").status_code == 200
    assert sign_in(other, ALICE.email, ALICE.password).status_code == 401
    assert sign_in(other, ALICE.email, NEW).status_code == 201


# --- limits -------------------------------------------------------------------------------------


@on_one_engine
def test_an_account_is_tried_ten_times_in_a_quarter_of_an_hour(served: Served, alice: Visitor) -> None:
    """However the address is spelled, and the right password does not help either."""
    stranger = served.visitor()
    spellings = [ALICE.email, ALICE.email.upper(), f" {ALICE.email}", "alice@ex\uff41mple.org", "alice@EXAMPLE.\uff4frg"]
    assert sign_in(stranger, spellings[3], ALICE.password).status_code == 201  # the same account
    statuses = [sign_in(stranger, spellings[n % 5], WRONG).status_code for n in range(8)]  # Alice signed in once herself
    assert statuses == [401] * 8
    for spelling in spellings:
        late = sign_in(stranger, spelling, ALICE.password)
        assert late.status_code == 429, spelling
        assert 0 < int(late.headers["retry-after"]) <= 900
        assert late.headers["content-type"] == "application/problem+json"
    page = stranger.post("/sign-in", data={"email": ALICE.email, "password": ALICE.password})
    assert page.status_code == 429
    assert int(page.headers["retry-after"]) > 0
    assert "try again" in page.text


@on_one_engine
def test_an_address_signs_up_ten_times_an_hour(served: Served) -> None:
    stranger = served.visitor()
    answers = [sign_up(stranger, ALICE, password="too short") for _ in range(11)]
    assert [answer.status_code for answer in answers] == [422] * 10 + [429]
    assert int(answers[-1].headers["retry-after"]) > 0


@on_one_engine
def test_recovery_is_asked_for_three_times_an_hour(served: Served, alice: Visitor) -> None:
    stranger = served.visitor()
    statuses = [stranger.post("/api/v1/recoveries", json={"email": ALICE.email}).status_code for _ in range(4)]
    assert statuses == [202, 202, 202, 429]
    unknown = [stranger.post("/api/v1/recoveries", json={"email": BOB.email}).status_code for _ in range(4)]
    assert unknown == statuses


@on_one_engine
def test_codes_cannot_be_guessed_in_numbers(served: Served, alice: Visitor) -> None:
    stranger = served.visitor()
    body = {"email": ALICE.email, "password": NEW, "code": "AAAA-AAAA-AAAA-AAAA"}
    statuses = [stranger.post("/api/v1/recoveries/complete", json=body).status_code for _ in range(11)]
    assert statuses == [422] * 10 + [429]


# --- recovery by mail ---------------------------------------------------------------------------


class PostBox:
    """What an SMTP server on this machine got."""

    def __init__(self) -> None:
        self.mails: list[tuple[list[str], Message]] = []

    async def handle_DATA(self, server: object, session: object, envelope: Any) -> str:  # noqa: N802  aiosmtpd's name
        self.mails.append((envelope.rcpt_tos, email.message_from_bytes(envelope.content)))
        return "250 OK"

    def wait(self, how_many: int) -> list[tuple[list[str], Message]]:
        until = time.monotonic() + 15
        while len(self.mails) < how_many and time.monotonic() < until:
            time.sleep(0.01)
        assert len(self.mails) == how_many
        return self.mails


@pytest.fixture
def post_box() -> Iterator[tuple[PostBox, str]]:
    box = PostBox()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    yield box, f"smtp://127.0.0.1:{port}"
    controller.stop()


def test_a_forgotten_password_is_replaced_by_a_code_from_the_mail(
    settings: Settings, clock: Clock, post_box: tuple[PostBox, str]
) -> None:
    box, smtp_url = post_box
    settings = msgspec.structs.replace(settings, smtp_url=smtp_url)
    with serving(settings, open_database(settings), clock) as served:
        alice, thief = served.visitor(), served.visitor()
        alice.sign_up(ALICE)
        thief.sign_in(ALICE)
        assert thief.post("/api/v1/recoveries", json={"email": BOB.email}).status_code == 202
        asked = served.visitor().post("/recover", data={"email": ALICE.email})
        assert asked.headers["location"] == "/reset"
        to, mail = box.wait(1)[0]
        assert to == [ALICE.email]
        text = mail.get_payload()
        code = re.search(r"Your code: (\S+)", str(text))
        assert code is not None
        assert f"/reset#code={code[1]}" in str(text)

        def complete(given: str, password: str = NEW) -> httpx.Response:
            body = {"email": ALICE.email, "code": given, "password": password}
            return served.visitor().post("/api/v1/recoveries/complete", json=body)

        assert complete("AAAA-BBBB-CCCC-DDDD").status_code == 422
        assert complete(code[1].lower().replace("-", " ")).status_code == 204
        assert complete(code[1]).status_code == 422  # once
        assert alice.get("/api/v1/me").status_code == 401
        assert thief.get("/api/v1/me").status_code == 401
        assert sign_in(thief, ALICE.email, ALICE.password).status_code == 401
        assert sign_in(alice, ALICE.email, NEW).status_code == 201

        alice.post("/api/v1/recoveries", json={"email": ALICE.email})
        late = re.search(r"Your code: (\S+)", str(box.wait(2)[1][1].get_payload()))
        assert late is not None
        clock.advance(hours=1)
        assert complete(late[1]).status_code == 422
        assert sign_in(alice, ALICE.email, NEW).status_code == 201

        sign_up(served.visitor(), BOB._replace(email=ALICE.email))  # somebody else tries her address
        to, mail = box.wait(3)[2]
        assert to == [ALICE.email]
        assert mail["Subject"] == "You already have a Stillwave account"


def test_a_newer_code_replaces_the_older_one(served: Served, alice: Visitor, clock: Clock) -> None:
    codes = []
    for _ in range(2):
        with served.kit.database.write() as tx:
            started = accounts.start_recovery(tx, ALICE.email, clock())
        assert started is not None
        codes.append(started[1])
    body = {"email": ALICE.email, "password": NEW}
    assert alice.post("/api/v1/recoveries/complete", json={**body, "code": codes[0]}).status_code == 422
    assert alice.post("/api/v1/recoveries/complete", json={**body, "code": codes[1]}).status_code == 204


# --- what an account's status does --------------------------------------------------------------


def test_a_disabled_account_signs_in_nowhere_and_recovers_nothing(served: Served, alice: Visitor, clock: Clock) -> None:
    with served.kit.database.write() as tx:
        started = accounts.start_recovery(tx, ALICE.email, clock())
        user = accounts.by_email(tx, ALICE.email)
        accounts.set_status(tx, user.id, "disabled", clock())
    assert started is not None
    assert alice.get("/api/v1/me").status_code == 401
    refused = sign_in(alice, ALICE.email, ALICE.password)
    assert refused.status_code == 401
    assert "switched off" in refused.json()["detail"]
    assert "switched off" not in sign_in(alice, ALICE.email, WRONG).json()["detail"]
    with served.kit.database.write() as tx:
        assert accounts.start_recovery(tx, ALICE.email, clock()) is None
    body = {"email": ALICE.email, "code": started[1], "password": NEW}
    alice.post("/api/v1/recoveries/complete", json=body)
    assert sign_in(alice, ALICE.email, NEW).status_code == 401
    assert sign_in(alice, ALICE.email, ALICE.password).status_code == 401


def test_who_must_reset_signs_in_after_a_recovery_only(served: Served, alice: Visitor, clock: Clock) -> None:
    change(served, ALICE, "UPDATE users SET account_status = 'reset_required' WHERE id = :user_id")
    assert alice.get("/api/v1/me").status_code == 401
    refused = sign_in(alice, ALICE.email, ALICE.password)
    assert refused.status_code == 401
    assert "new password" in refused.json()["detail"]
    with served.kit.database.write() as tx:
        started = accounts.start_recovery(tx, ALICE.email, clock())
    assert started is not None
    body = {"email": ALICE.email, "code": started[1], "password": NEW}
    assert alice.post("/api/v1/recoveries/complete", json=body).status_code == 204
    answer = sign_in(alice, ALICE.email, NEW)
    alice.headers["Authorization"] = f"Bearer {answer.json()['token']}"
    assert alice.get("/api/v1/me").json()["account_status"] == "active"


def test_who_came_without_a_number_is_asked_for_it_once(served: Served, alice: Visitor, bob: Visitor) -> None:
    change(served, ALICE, "UPDATE users SET account_status = 'phone_required' WHERE id = :user_id")
    assert alice.get("/api/v1/me").json()["needs"] == "phone"
    assert alice.get("/").headers["location"] == "/phone"
    refused = alice.post("/api/v1/sessions", json={"target_state": "calm_focus"})
    assert refused.status_code == 403
    assert refused.json()["next"] == "/phone"
    taken = alice.post("/phone", data={"phone": BOB.phone_number})
    assert taken.status_code == 422
    assert 'id="e-phone"' in taken.text
    assert alice.post("/phone", data={"phone": "+44 20 7946 0018"}).headers["location"] == "/"
    assert alice.get("/api/v1/me").json()["phone"] == "+442079460018"
    assert alice.get("/api/v1/me").json()["needs"] is None
    assert alice.post("/phone", data={"phone": "+44 20 7946 0019"}).status_code == 403
    assert alice.get("/api/v1/me").json()["phone"] == "+442079460018"


# --- consent ------------------------------------------------------------------------------------


def test_a_consent_taken_back_acts_at_once(alice: Visitor, clock: Clock) -> None:
    session = alice.session(background_only=True)["id"]
    clock.advance(minutes=6)
    assert alice.put("/api/v1/consents/health_data", json={"give": False}).status_code == 204
    writes = [
        alice.post("/api/v1/sessions", json={"target_state": "calm_focus"}),
        alice.post(f"/api/v1/sessions/{session}/feedback", json={"rating": 4}),
        alice.post("/api/v1/progress", json={"date": "2026-11-25", "sleep_quality": 5}),
        alice.put("/api/v1/screening", json={"age_group": "18_plus", "agree_not_driving": True, "none": True}),
    ]
    for answer in writes:
        assert answer.status_code == 403
        assert answer.json()["title"] == "Your consent is needed first"
        assert answer.json()["next"] == "/privacy"
    assert alice.get("/").headers["location"] == "/privacy"
    assert alice.get("/api/v1/export").status_code == 200  # what is there can still be taken away
    assert alice.put("/api/v1/consents/health_data", json={"give": True}).status_code == 204
    assert alice.post(f"/api/v1/sessions/{session}/feedback", json={"rating": 4}).status_code == 201
    given = [c for c in alice.get("/api/v1/consents").json() if c["purpose"] == "health_data"]
    assert [c["withdrawn_at"] is None for c in given] == [False, True]


def test_a_consent_to_older_words_is_asked_for_again(served: Served, alice: Visitor) -> None:
    change(served, ALICE, "UPDATE consents SET version = 0 WHERE user_id = :user_id")
    assert alice.get("/api/v1/me").json()["needs"] == "consent"
    assert alice.post("/api/v1/sessions", json={"target_state": "calm_focus"}).status_code == 403
    page = alice.get("/privacy").text
    assert "I agree" in page
    alice.post("/consents/health_data", data={"give": "yes"})
    assert alice.get("/api/v1/me").json()["needs"] is None


def test_the_safety_questions_are_asked_again_after_a_year(alice: Visitor, clock: Clock) -> None:
    clock.advance(days=366)
    alice.sign_in(ALICE)
    assert alice.get("/api/v1/me").json()["needs"] == "screening"
    refused = alice.post("/api/v1/sessions", json={"target_state": "calm_focus"})
    assert (refused.status_code, refused.json()["next"]) == (409, "/screening")


# --- other sites, cookies, headers --------------------------------------------------------------


@on_one_engine
@pytest.mark.parametrize(
    ("headers", "taken"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "{url}"}, False),
        ({"Origin": "{url}"}, True),
        ({"Origin": "https://evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "{url}.evil.example"}, False),
        ({"Origin": "https://evil.example@{host}"}, False),
        ({}, True),
    ],
)
def test_writes_from_other_sites_are_refused(headers: dict[str, str], taken: bool, served: Served, alice: Visitor) -> None:
    host = served.url.removeprefix("http://")
    sent = {name: value.format(url=served.url, host=host) for name, value in headers.items()}
    for answer, good in (
        (alice.put("/api/v1/restriction", json={"on": False}, headers=sent), 200),
        (alice.post("/privacy/restriction", data={"on": "no"}, headers=sent), 303),
    ):
        assert answer.status_code == (good if taken else 403)
    assert alice.get("/api/v1/me", headers=sent).status_code == 200  # reading changes nothing


@on_one_engine
def test_an_unknown_host_is_refused(served: Served, alice: Visitor) -> None:
    port = served.url.rsplit(":", 1)[1]
    for host in ("evil.example", f"evil.example:{port}", f"127.0.0.1.evil.example:{port}", "127.0.0.1:1", f"x@evil.example:{port}"):
        for path in ("/", "/api/v1/me", "/sign-in", "/health"):
            assert alice.get(path, headers={"Host": host}).status_code == 403, (host, path)
    for host in ("localhost", f"localhost:{port}", f"127.0.0.1:{port}", f"LOCALHOST:{port}"):
        assert alice.get("/api/v1/me", headers={"Host": host}).status_code == 200, host


def cookie_parts(answer: httpx.Response) -> set[str]:
    line = next(line for line in answer.headers.get_list("set-cookie") if line.startswith("stillwave_login="))
    return {part.strip().lower() for part in line.split(";")[1:]}


@on_one_engine
def test_the_cookie_is_kept_from_scripts_and_other_sites(settings: Settings, clock: Clock) -> None:
    form = {"email": ALICE.email, "password": ALICE.password}
    with serving(settings, open_database(settings), clock) as served:
        served.visitor().sign_up(ALICE)
        answer = served.visitor().post("/sign-in", data=form)
        parts = cookie_parts(answer)
        assert {"httponly", "samesite=lax", "path=/", f"max-age={30 * 86400}"} <= parts
        assert "secure" not in parts
        assert "strict-transport-security" not in answer.headers
    with serving(settings, open_database(settings), clock, base_url="https://listen.example") as served:
        answer = served.visitor().post("/sign-in", data=form)
        assert {"httponly", "samesite=lax", "path=/", "secure"} <= cookie_parts(answer)
        assert "max-age" in answer.headers["strict-transport-security"]
        known = served.visitor().get("/sign-in", headers={"Host": "listen.example"})
        assert known.status_code == 200


@on_one_engine
def test_every_answer_carries_the_security_headers(served: Served, alice: Visitor) -> None:
    session = alice.session(background_only=True)
    nobody = served.visitor()
    style = re.search(r'href="(/static/[^"]+\.css[^"]*)"', nobody.get("/").text)
    assert style is not None
    answers = {
        200: nobody.get("/"), 201: alice.post("/api/v1/sessions", json={"target_state": "sleep", "minutes": 5}),
        303: nobody.get("/privacy"), 401: nobody.get("/api/v1/me"), 403: alice.get("/operator"),
        404: nobody.get("/no/such/page"), 405: nobody.delete("/sign-in"), 413: alice.put("/api/v1/restriction", content=b"x" * 70_000, headers={"Content-Type": "application/json"}),
        415: alice.put("/api/v1/restriction", content=b"{}"), 422: alice.put("/api/v1/restriction", json={"on": 5}),
        204: alice.put("/api/v1/consents/reminders", json={"give": True}),
    }  # fmt: skip
    assert {status: answer.status_code for status, answer in answers.items()} == {s: s for s in answers}
    more = [nobody.get(style[1]), nobody.get("/static/nothing.css"), nobody.get("/api/v1/no"), nobody.get("/health"),
            nobody.get("/", headers={"Host": "evil.example"}), alice.get("/api/v1/export"),
            nobody.get("/api/v1/schema/openapi.json"),
            alice.get(session["audio_url"], headers={"Range": "bytes=0-9"})]  # fmt: skip
    for answer in (*answers.values(), *more):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'self'" in policy, answer.url
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        kept = "immutable" if answer.status_code == 200 and "/static/" in str(answer.url) else "no-store"
        assert kept in answer.headers["cache-control"], answer.url


@on_one_engine
def test_pages_hold_no_script_or_style_of_their_own(served: Served, alice: Visitor) -> None:
    for path in ("/", "/sign-up", "/start", "/profile", "/progress", "/privacy", "/preferences", "/history"):
        text = alice.get(path).text
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\bon\w+=\"|javascript:", text), path
