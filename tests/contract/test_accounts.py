"""Signing up, in and out; recovery by mail; limits; and what a status or a withdrawn consent means."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message
from limits import parse_many
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from stillwave.accounts import actions as accounts
from stillwave.accounts.rules import PLACEHOLDER_PREFIX
from stillwave.accounts.store import SQL
from stillwave.db.database import open_database
from stillwave.settings import Settings
from stillwave.web.kit import network_of
from stillwave.web.limits import RULES
from tests.cast import ALICE, BOB, CHARLIE, Clock, Person
from tests.served import Served, Visitor, serving

NEW_PASSWORD = "orchid tunnel forty pelicans"


def person_id(served: Served, person: Person) -> Any:
    with served.kit.database.read(right="operator") as tx:
        return accounts.by_email(tx, person.email).id


def set_status(served: Served, person: Person, status: str) -> None:
    user_id = person_id(served, person)
    with served.kit.database.write(user_id) as tx:
        tx.run(SQL.set_status, user_id=user_id, account_status=status, now=served.kit.clock())


# --- signing up ---------------------------------------------------------------------------------


def signing_up(visitor: Visitor, **changed: Any) -> Any:
    wish = {"email": ALICE.email, "phone": ALICE.phone_number, "password": ALICE.password, "consent_health_data": True}
    return visitor.post("/api/v1/accounts", json={**wish, **changed})


def test_the_answer_is_the_same_whether_or_not_an_account_exists(served: Served) -> None:
    visitor = served.visitor()
    first = signing_up(visitor)
    answers = [
        signing_up(visitor),
        signing_up(visitor, email=ALICE.email.upper()),
        signing_up(visitor, phone=BOB.phone_number),
        signing_up(visitor, email=BOB.email),
    ]
    assert first.status_code == 202
    assert {(answer.status_code, answer.text) for answer in answers} == {(first.status_code, first.text)}
    with served.kit.database.read(right="operator") as tx:
        assert accounts.people(tx).total == 1


def test_without_the_tick_no_account_is_made(served: Served) -> None:
    visitor = served.visitor()
    assert signing_up(visitor, consent_health_data=False).status_code == 403
    assert signing_up(visitor, password="short").status_code == 422
    assert signing_up(visitor, password="password1234").status_code == 422
    assert signing_up(visitor, password=ALICE.email).status_code == 422
    with served.kit.database.read(right="operator") as tx:
        assert accounts.people(tx).total == 0


def test_passwords_are_kept_as_argon2id_and_rehashed_when_weaker(served: Served) -> None:
    visitor = served.visitor()
    visitor.sign_up(ALICE)
    user_id = person_id(served, ALICE)
    with served.kit.database.read(right="operator") as tx:
        stored = accounts.account(tx, user_id).password_hash
    assert stored.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    from argon2 import PasswordHasher

    weak = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(ALICE.password)
    with served.kit.database.write(user_id) as tx:
        tx.run(SQL.set_password, user_id=user_id, password_hash=weak, now=served.kit.clock())
    visitor.sign_in(ALICE)
    with served.kit.database.read(right="operator") as tx:
        assert accounts.account(tx, user_id).password_hash.startswith("$argon2id$v=19$m=65536,t=3,p=4$")


# --- signing in and out -------------------------------------------------------------------------


def test_a_wrong_password_and_an_unknown_account_look_the_same(served: Served) -> None:
    visitor = served.visitor()
    visitor.sign_up(ALICE)
    stranger = served.visitor()
    wrong = stranger.post("/api/v1/logins", json={"email": ALICE.email, "password": BOB.password})
    unknown = stranger.post("/api/v1/logins", json={"email": BOB.email, "password": BOB.password})
    nonsense = stranger.post("/api/v1/logins", json={"email": "not an address", "password": BOB.password})
    assert wrong.status_code == unknown.status_code == nonsense.status_code == 401
    assert wrong.text == unknown.text == nonsense.text


def test_signing_out_ends_the_login(alice: Visitor) -> None:
    assert alice.get("/api/v1/me").status_code == 200
    assert alice.delete("/api/v1/logins/current").status_code == 204
    assert alice.get("/api/v1/me").status_code == 401


def test_devices_are_listed_and_can_be_signed_out(served: Served, alice: Visitor) -> None:
    other = served.visitor()
    other.headers["User-Agent"] = "Mozilla/5.0 (Android 14; Mobile) Firefox/140.0"
    other.sign_in(ALICE)
    listed = alice.get("/api/v1/logins").json()
    assert len(listed) == 2
    phone = next(login for login in listed if login["device"] == "Firefox on Android")
    assert alice.delete(f"/api/v1/logins/{phone['id']}").status_code == 204
    assert other.get("/api/v1/me").status_code == 401
    assert alice.get("/api/v1/me").status_code == 200


def test_a_login_ends_when_idle_and_at_the_latest_after_thirty_days(served: Served, clock: Clock, alice: Visitor) -> None:
    clock.advance(days=6, hours=23)
    assert alice.get("/api/v1/me").status_code == 200  # and it was seen
    clock.advance(days=6, hours=23)
    assert alice.get("/api/v1/me").status_code == 200
    clock.advance(days=7)
    assert alice.get("/api/v1/me").status_code == 401
    alice.sign_in(ALICE)
    for _ in range(4):
        clock.advance(days=6)
        assert alice.get("/api/v1/me").status_code == 200
    clock.advance(days=6)
    assert alice.get("/api/v1/me").status_code == 401


def test_tokens_that_are_none_open_nothing(served: Served) -> None:
    visitor = served.visitor()
    for token in ("x", "A" * 64, "A" * 100_000, "é", "....", "AAAA" * 16):
        answer = visitor.get("/api/v1/me", headers=[(b"Authorization", f"Bearer {token}".encode())])
        assert answer.status_code in (401, 400, 431), token[:10]


def test_too_many_tries_are_told_when_to_come_back(served: Served) -> None:
    visitor = served.visitor()
    visitor.sign_up(ALICE)
    answers = [visitor.post("/api/v1/logins", json={"email": ALICE.email, "password": "no"}) for _ in range(10)]
    assert {answer.status_code for answer in answers[:9]} == {401}
    last = visitor.post("/api/v1/logins", json={"email": ALICE.email, "password": ALICE.password})
    assert last.status_code == 429
    assert 0 < int(last.headers["Retry-After"]) <= 15 * 60


_NEW = {"email": BOB.email, "phone": BOB.phone_number, "password": BOB.password, "consent_health_data": True}
_CODE = {"email": ALICE.email, "code": "x", "password": NEW_PASSWORD}
_IN = {"email": ALICE.email, "password": "no"}
_SHOWN = {"credential": {"id": "AA", "rawId": "AA", "type": "public-key", "response": {"clientDataJSON": "AA", "authenticatorData": "AA", "signature": "AA"}}}
LIMITED = [
    *((rule, "/api/v1/accounts", _NEW) for rule in ("sign_up_address", "sign_up_all")),
    *((rule, "/api/v1/logins", _IN) for rule in ("sign_in_account", "sign_in_address", "sign_in_all")),
    *((rule, "/api/v1/logins/second-step", {"code": "1"}) for rule in ("sign_in_address", "sign_in_all")),
    *((rule, "/api/v1/logins/passkey", _SHOWN) for rule in ("passkey_address", "sign_in_all")),
    *((rule, "/api/v1/recoveries", {"email": ALICE.email}) for rule in ("recover_account", "recover_address", "recover_all")),
    *((rule, "/api/v1/recoveries/complete", _CODE) for rule in ("reset_account", "reset_address", "reset_all")),
    ("password_account", "/api/v1/password", {"current_password": "no", "password": NEW_PASSWORD}),
    ("export_account", "/api/v1/export", {}),
    ("write_account", "/api/v1/progress", {"date": "2026-11-25", "sleep_quality": 7}),
]


@pytest.mark.parametrize("engine", ["sqlite"])
def test_every_limit_per_account_address_and_in_all_is_counted_and_says_when_it_opens(served: Served, alice: Visitor) -> None:
    limits = served.kit.limits
    assert {rule for rule, _, _ in LIMITED} == set(RULES)
    for rule, path, body in LIMITED:
        limits._limiter = MovingWindowRateLimiter(MemoryStorage())
        limits._rules = {name: parse_many("1/hour" if name == rule else "1000000/hour") for name in RULES}
        assert alice.post(path, json=body).status_code != 429, (rule, path)
        refused = alice.post(path, json=body)
        assert refused.status_code == 429, (rule, path)
        assert 0 < int(refused.headers["Retry-After"]) <= 3600


def test_of_an_address_of_ipv6_its_network_is_what_counts() -> None:
    assert network_of("2001:db8:1:2:3:4:5:6") == network_of("2001:db8:1:2::1") == "2001:db8:1:2::/64"
    assert network_of("2001:db8:1:3::1") != network_of("2001:db8:1:2::1")
    assert network_of("::ffff:192.0.2.1") == network_of("192.0.2.1") == "192.0.2.1"
    assert network_of("fe80::1%eth0") == "fe80::/64"
    assert network_of("unknown") == "unknown"


def test_changing_the_password_ends_every_login_and_begins_one(served: Served, alice: Visitor) -> None:
    other = served.visitor()
    other.sign_in(ALICE)
    wrong = alice.post("/api/v1/password", json={"current_password": "no", "password": NEW_PASSWORD})
    assert wrong.status_code == 422
    done = alice.post("/api/v1/password", json={"current_password": ALICE.password, "password": NEW_PASSWORD})
    assert done.status_code == 200
    assert other.get("/api/v1/me").status_code == 401
    assert alice.get("/api/v1/me").status_code == 401
    alice.headers["Authorization"] = f"Bearer {done.json()['token']}"
    assert alice.get("/api/v1/me").status_code == 200


# --- recovery -----------------------------------------------------------------------------------


class Postbox(Message):
    """What arrives."""

    def __init__(self) -> None:
        super().__init__()
        self.mails: list[Any] = []

    def handle_message(self, message: Any) -> None:
        self.mails.append(message)


@pytest.fixture
def postbox() -> Iterator[tuple[Postbox, int]]:
    """A real SMTP server on this machine."""
    box = Postbox()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    yield box, port
    controller.stop()


def words_of(mail: Any) -> tuple[str, str]:
    """The text and the page of a mail."""
    assert mail.get_content_type() == "multipart/alternative"
    parts = [(part.get_content_type(), part.get_payload(decode=True).decode()) for part in mail.get_payload()]
    assert [kind for kind, _words in parts] == ["text/plain", "text/html"]
    return parts[0][1], parts[1][1]


def test_who_signs_up_twice_is_told_by_mail(settings: Settings, clock: Clock, postbox: tuple[Postbox, int]) -> None:
    box, port = postbox
    settings = msgspec.structs.replace(settings, smtp_url=f"smtp://127.0.0.1:{port}")
    with serving(settings, open_database(settings), clock) as served:
        served.visitor().sign_up(ALICE)
        assert signing_up(served.visitor()).status_code == 202
        served.kit.mail.close()
        assert [mail["Subject"] for mail in box.mails] == ["You already have a Stillwave account"]
        text, html = words_of(box.mails[0])
        for link in (f"{served.kit.settings.base_url}/sign-in", f"{served.kit.settings.base_url}/recover"):
            assert link in text.split()
            assert f'<a href="{link}" style=' in html


def test_a_forgotten_password_is_replaced_by_mail(settings: Settings, clock: Clock, postbox: tuple[Postbox, int]) -> None:
    box, port = postbox
    settings = msgspec.structs.replace(settings, smtp_url=f"smtp://127.0.0.1:{port}")
    with serving(settings, open_database(settings), clock) as served:
        alice, stranger = served.visitor(), served.visitor()
        alice.sign_up(ALICE)
        asked = stranger.post("/api/v1/recoveries", json={"email": ALICE.email})
        nobody = stranger.post("/api/v1/recoveries", json={"email": BOB.email})
        assert (asked.status_code, asked.text) == (202, nobody.text)
        served.kit.mail.close()  # everything that waits is sent
        assert len(box.mails) == 1
        assert box.mails[0]["To"] == ALICE.email
        text, html = words_of(box.mails[0])
        code = re.search(r"Your code: (\S+)", text)
        assert code is not None
        link = f"{served.kit.settings.base_url}/reset#code={code[1]}"
        assert f"Open {link} within the hour." in text
        assert f'<a href="{link}" style=' in html
        assert f">{code[1]}</b>" in html

        def reset(**changed: str) -> Any:
            wish = {"email": ALICE.email, "code": code[1], "password": NEW_PASSWORD}
            return stranger.post("/api/v1/recoveries/complete", json={**wish, **changed})

        assert reset(code="AAAA-AAAA-AAAA-AAAA").status_code == 422
        assert reset(email=BOB.email).status_code == 422
        assert reset(code=code[1].lower().replace("-", " ")).status_code == 204
        assert reset().status_code == 422  # once only
        assert alice.get("/api/v1/me").status_code == 401
        alice.sign_in(ALICE._replace(password=NEW_PASSWORD))


def test_a_code_is_good_for_an_hour(served: Served, clock: Clock, alice: Visitor) -> None:
    with served.kit.database.write() as tx:
        started = accounts.start_recovery(tx, ALICE.email, clock())
    assert started is not None
    clock.advance(minutes=60)
    late = alice.post("/api/v1/recoveries/complete", json={"email": ALICE.email, "code": started[1], "password": NEW_PASSWORD})
    assert late.status_code == 422
    assert alice.get("/api/v1/me").status_code == 200


# --- statuses and consent -----------------------------------------------------------------------


def test_a_disabled_account_is_out_at_once_and_stays_out(served: Served, alice: Visitor) -> None:
    set_status(served, ALICE, "disabled")
    assert alice.get("/api/v1/me").status_code == 401
    again = served.visitor().post("/api/v1/logins", json={"email": ALICE.email, "password": ALICE.password})
    assert again.status_code == 401
    assert "switched off" in again.json()["detail"]


def test_an_account_that_must_choose_a_new_password_can_do_only_that(served: Served, clock: Clock, alice: Visitor) -> None:
    set_status(served, ALICE, "reset_required")
    assert served.visitor().post("/api/v1/logins", json={"email": ALICE.email, "password": ALICE.password}).status_code == 401
    with served.kit.database.write() as tx:
        started = accounts.start_recovery(tx, ALICE.email, clock())
    assert started is not None
    done = alice.post("/api/v1/recoveries/complete", json={"email": ALICE.email, "code": started[1], "password": NEW_PASSWORD})
    assert done.status_code == 204
    alice.sign_in(ALICE._replace(password=NEW_PASSWORD))
    assert alice.get("/api/v1/me").json()["account_status"] == "active"


def test_an_account_without_a_phone_number_is_asked_for_it_first(served: Served, alice: Visitor) -> None:
    set_status(served, ALICE, "phone_required")
    assert alice.get("/api/v1/me").json()["needs"] == "phone"
    assert alice.post("/api/v1/sessions", json={"target_state": "sleep"}).status_code == 403
    page = alice.post("/phone", data={"phone": "not a number"})
    assert page.status_code == 422
    assert alice.post("/phone", data={"phone": CHARLIE.phone_number}).status_code == 303
    me = alice.get("/api/v1/me").json()
    assert (me["needs"], me["phone"]) == (None, CHARLIE.phone_number)
    assert not me["phone"].startswith(PLACEHOLDER_PREFIX)


def test_withdrawing_the_consent_acts_at_once(alice: Visitor, clock: Clock) -> None:
    made = alice.session()
    clock.advance(minutes=1)
    assert alice.put("/api/v1/consents/health_data", json={"give": False}).status_code == 204
    refused = [
        alice.post("/api/v1/sessions", json={"target_state": "sleep"}),
        alice.post(f"/api/v1/sessions/{made['id']}/feedback", json={"rating": 3}),
        alice.post("/api/v1/progress", json={"date": "2026-11-25", "sleep_quality": 5}),
        alice.put("/api/v1/screening", json={"age_group": "18_plus", "agree_not_driving": True, "none": True}),
    ]
    assert {answer.status_code for answer in refused} == {403}
    assert alice.get("/api/v1/export").status_code == 200  # rights do not need it
    assert alice.put("/api/v1/consents/health_data", json={"give": True}).status_code == 204
    assert alice.session()["id"]
    history = alice.get("/api/v1/consents").json()
    health = [consent for consent in history if consent["purpose"] == "health_data"]
    assert [consent["withdrawn_at"] is None for consent in health] == [False, True]


def test_withdrawing_the_consent_to_learn_stops_learning(alice: Visitor, clock: Clock) -> None:
    assert alice.put("/api/v1/consents/adaptation", json={"give": False}).status_code == 204
    made = alice.session()
    clock.advance(minutes=6)
    told = alice.rate(made["id"], rating=1)
    assert told["learned"] is None
    profile = alice.get("/api/v1/profile").json()
    assert (profile["adaptation_on"], profile["ratings"]) == (False, 0)


# --- the browser's side -------------------------------------------------------------------------


def test_writes_from_other_sites_and_for_other_hosts_are_refused(served: Served, alice: Visitor) -> None:
    wish = {"target_state": "sleep"}
    for headers in (
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ):
        assert alice.post("/api/v1/sessions", json=wish, headers=headers).status_code == 403, headers
    assert alice.get("/api/v1/me", headers={"Host": "evil.example"}).status_code == 403
    assert alice.post("/api/v1/sessions", json=wish, headers={"Origin": served.url}).status_code == 201


def test_the_login_cookie_is_closed_to_scripts_and_other_sites(settings: Settings, clock: Clock) -> None:
    public = msgspec.structs.replace(settings, base_url="https://sw.example.org")
    with serving(public, open_database(public), clock) as served:
        visitor = served.visitor()
        visitor.sign_up(ALICE)
        answer = visitor.post("/sign-in", data={"email": ALICE.email, "password": ALICE.password})
        cookie = answer.headers["set-cookie"]
        assert all(part in cookie for part in ("HttpOnly", "SameSite=lax", "Secure", "Path=/"))
        assert cookie.startswith("__Host-stillwave_login=")
        assert "Domain" not in cookie
        name, _, token = cookie.partition(";")[0].partition("=")
        stranger = served.visitor()
        assert stranger.get("/api/v1/me", headers={"Cookie": f"{name}={token}"}).status_code == 200
        assert stranger.get("/api/v1/me", headers={"Cookie": f"stillwave_login={token}"}).status_code == 401  # another host's
        left = stranger.post("/sign-out", headers={"Cookie": f"{name}={token}"}).headers.get_list("set-cookie")
        assert len(left) == 2
        assert all(one.startswith("__Host-stillwave_") and "; secure" in one.lower() for one in left)
        assert "max-age=31536000" in answer.headers["strict-transport-security"]


@pytest.mark.parametrize("path", ["/", "/nope", "/api/v1/me", "/static/app.css", "/sign-in", "/health", "/api/v1/schema/openapi.json"])
def test_every_answer_carries_the_security_headers(served: Served, path: str) -> None:
    headers = served.visitor().get(path).headers
    assert "unsafe" not in headers["content-security-policy"]
    assert "default-src 'self'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "cache-control" in headers
    assert "server" not in headers


@pytest.mark.parametrize("engine", ["sqlite"])
def test_a_password_may_be_long_of_any_letters_and_counts_to_the_last_one(served: Served) -> None:
    visitor = served.visitor()
    long = "  Ünder the  quiet 🌊 wave " + "sleeps a lighthouse keeper " * 4
    visitor.sign_up(Person(ALICE.name, ALICE.email, ALICE.phone_number, long))
    for near in (long[:-1], long.strip(), long.upper(), long.replace("  ", " ")):
        assert visitor.post("/api/v1/logins", json={"email": ALICE.email, "password": near}).status_code == 401
    assert visitor.post("/api/v1/logins", json={"email": ALICE.email, "password": long}).status_code == 201
    for of_the_place in (ALICE.email, f"stillwave {ALICE.email}", "Stillwave stillwave", f"{ALICE.phone_number} 2026"):
        assert signing_up(served.visitor(), password=of_the_place).status_code == 422
    page = visitor.get("/sign-up").text
    assert 'type="password"' in page
    assert 'autocomplete="new-password"' in page
    scripts = visitor.get("/static/app.js").text + visitor.get("/static/passkey.js").text
    assert "onpaste" not in page + scripts
    assert "paste" not in scripts


@pytest.mark.parametrize("engine", ["sqlite"])
@pytest.mark.parametrize("password", ["outkast_missjackson", "OUTKAST_missjackson", "diamondsharkaay", "ybrbnjc06092003"])
def test_a_password_that_was_stolen_elsewhere_is_refused_wherever_one_is_set(
    served: Served, alice: Visitor, password: str
) -> None:
    new = {"email": BOB.email, "phone": BOB.phone_number, "password": password, "consent_health_data": True}
    for path, sent in (
        ("/api/v1/accounts", new),
        ("/api/v1/password", {"current_password": ALICE.password, "password": password}),
        ("/api/v1/recoveries/complete", {"email": ALICE.email, "code": "x", "password": password}),
    ):
        answer = alice.post(path, json=sent)
        assert answer.status_code == 422, path
        assert "lists" in answer.json()["errors"][0]["problem"]
        assert password not in answer.text
