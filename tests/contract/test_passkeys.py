"""Passkeys: added, named, removed; alone, and as the second step; and every way in which one does not hold."""

from __future__ import annotations

import copy
import random
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from stillwave.accounts import actions as accounts
from stillwave.db.database import open_database
from stillwave.settings import Settings
from tests.cast import ALICE, BOB, Clock
from tests.passkey_device import PRESENT, Device, raw, text
from tests.served import Served, Visitor, serving


@pytest.fixture
def served(settings: Settings, clock: Clock) -> Iterator[Served]:
    """A server that is reached by a name: passkeys are bound to one."""
    with serving(settings, open_database(settings), clock, limit_factor=1000, base_url="http://localhost:{port}") as server:
        yield server


@pytest.fixture
def device(served: Served) -> Device:
    return Device(served.kit.settings.base_url)


def added(visitor: Visitor, device: Device, name: str = "my phone", **how: Any) -> httpx.Response:
    """The answer to adding the device's passkey."""
    options = visitor.post("/api/v1/passkeys/options", json={"password": ALICE.password})
    assert options.status_code == 201, options.text
    made = device.make(options.json()["publicKey"], **how)
    answer = visitor.post("/api/v1/passkeys", json={"name": name, "credential": made})
    if answer.status_code == 201:
        visitor.headers["Authorization"] = f"Bearer {answer.json()['token']}"
    return answer


def asked(visitor: Visitor, step: str = "passkey") -> dict[str, Any]:
    answer = visitor.post(f"/api/v1/logins/{step}/options")
    assert answer.status_code == 201, answer.text
    options: dict[str, Any] = answer.json()["publicKey"]
    return options


def shown(visitor: Visitor, credential: dict[str, Any], step: str = "passkey") -> httpx.Response:
    return visitor.post(f"/api/v1/logins/{step}", json={"credential": credential})


def opens(served: Served, device: Device, **how: Any) -> int:
    """The status of signing in with the device alone."""
    visitor = served.visitor()
    return shown(visitor, device.show(asked(visitor), **how)).status_code


def test_a_passkey_is_added_listed_named_used_and_removed(served: Served, alice: Visitor, device: Device) -> None:
    other = served.visitor()
    other.sign_in(ALICE)
    answer = added(alice, device)
    assert answer.status_code == 201, answer.text
    assert len(answer.json()["recovery_codes"]) == 10
    assert other.get("/api/v1/me").status_code == 401  # a new right ends every other login
    [listed] = alice.get("/api/v1/passkeys").json()["items"]
    assert (listed["name"], listed["last_used_at"]) == ("my phone", None)
    assert alice.patch(f"/api/v1/passkeys/{listed['id']}", json={"name": "the old phone"}).json()["name"] == "the old phone"

    visitor = served.visitor()
    opened = shown(visitor, device.show(asked(visitor)))
    assert opened.status_code == 201, opened.text
    visitor.headers["Authorization"] = f"Bearer {opened.json()['token']}"
    assert visitor.get("/api/v1/me").json()["email"] == ALICE.email
    [listed] = visitor.get("/api/v1/passkeys").json()["items"]
    assert listed["last_used_at"] is not None

    wrong = visitor.post(f"/api/v1/passkeys/{listed['id']}/remove", json={"password": BOB.password})
    assert wrong.status_code == 422
    gone = visitor.post(f"/api/v1/passkeys/{listed['id']}/remove", json={"password": ALICE.password})
    assert gone.status_code == 201
    assert alice.get("/api/v1/me").status_code == 401
    visitor.headers["Authorization"] = f"Bearer {gone.json()['token']}"
    assert visitor.get("/api/v1/passkeys").json()["items"] == []
    assert opens(served, device) == 401
    done = [event["action"] for event in visitor.get("/api/v1/audit-events").json()["items"]]
    assert {"passkey.added", "passkey.removed"} <= set(done)
    fresh = served.visitor().post("/api/v1/logins", json={"email": ALICE.email, "password": ALICE.password})
    assert fresh.json()["second_step"] is False


def test_it_is_the_second_step_after_the_password_and_a_recovery_code_stands_in_for_it(
    served: Served, alice: Visitor, device: Device
) -> None:
    codes = added(alice, device).json()["recovery_codes"]
    for step in ("passkey", "code"):
        visitor = served.visitor()
        visitor.sign_in(ALICE)
        assert visitor.get("/api/v1/me").status_code == 401
        if step == "passkey":
            options = asked(visitor, "second-step/passkey")
            assert [one["id"] for one in options["allowCredentials"]] == [text(device.id)]
            # The password was known; that the device is had is enough.
            taken = shown(visitor, device.show(options, flags=PRESENT), "second-step/passkey")
        else:
            taken = visitor.post("/api/v1/logins/second-step", json={"code": codes[0]})
            assert visitor.post("/api/v1/logins/second-step", json={"code": "ABCD-EFGH-JKMN-PQRS"}).status_code in (401, 422)
        assert taken.status_code == 201, taken.text
        visitor.headers["Authorization"] = f"Bearer {taken.json()['token']}"
        assert visitor.get("/api/v1/me").status_code == 200
    visitor = served.visitor()
    visitor.sign_in(ALICE)
    assert visitor.post("/api/v1/logins/second-step", json={"code": codes[0]}).status_code == 422
    assert visitor.post("/api/v1/logins/second-step", json={"code": "123456"}).status_code == 409


def test_it_stands_beside_an_app_and_either_may_go(served: Served, alice: Visitor, device: Device, clock: Clock) -> None:
    seed, codes = alice.set_up_second_step(ALICE, clock())
    answer = added(alice, device)
    assert answer.json()["recovery_codes"] == []  # those of the app go on
    gone = alice.post("/api/v1/second-factor/remove", json={"password": ALICE.password, "code": codes[0]})
    assert gone.status_code == 201, gone.text
    visitor = served.visitor()
    visitor.sign_in(ALICE)
    assert visitor.post("/api/v1/logins/second-step", json={"code": codes[1]}).status_code == 201
    assert opens(served, device) == 201
    assert seed


def test_an_operators_second_step_may_be_a_passkey(served: Served, alice: Visitor, device: Device) -> None:
    database = served.kit.database
    with database.write(right="operator") as tx:
        accounts.set_role(tx, accounts.by_email(tx, ALICE.email).id, "operator", served.kit.clock())
    alice.sign_in(ALICE)
    assert alice.get("/operator").status_code == 403
    added(alice, device)
    assert alice.get("/operator").status_code == 200


# --- instead of a password that is asked for again --------------------------------------------------


def signed(visitor: Visitor, device: Device, **how: Any) -> httpx.Response:
    options = visitor.post("/api/v1/proofs/passkey/options")
    assert options.status_code == 201, options.text
    return visitor.post("/api/v1/proofs/passkey", json={"credential": device.show(options.json()["publicKey"], **how)})


def proof(visitor: Visitor, device: Device) -> str:
    answer = signed(visitor, device)
    assert answer.status_code == 201, answer.text
    text: str = answer.json()["proof"]
    return text


CLEARANCE = {"condition": "recent_head_injury", "cleared_on": "2026-11-20", "understood": True}
# What asks again, as a person with a passkey and no app would send it; in an order in which each can be done.
AGAIN: list[tuple[str, str, dict[str, Any], int]] = [
    ("POST", "/api/v1/export", {}, 200),
    ("PUT", "/api/v1/contact", {"phone": "+442079460998"}, 204),
    ("POST", "/api/v1/clearances", CLEARANCE, 201),
    ("POST", "/api/v1/second-factor", {}, 201),
    ("POST", "/api/v1/second-factor/recovery-codes", {}, 201),
    ("POST", "/api/v1/passkeys/options", {}, 201),
    ("POST", "/api/v1/erasure", {"confirm": "erase"}, 204),
]


def test_wherever_a_password_is_asked_for_again_a_passkey_may_prove_who_it_is(
    served: Served, alice: Visitor, device: Device, clock: Clock
) -> None:
    added(alice, device)
    alice.screened(none=False, conditions=["recent_head_injury"])
    clock.advance(minutes=11)  # nobody is taken for fresh from the sign-in
    assert alice.post("/api/v1/export", json={"code": proof(alice, device)}).status_code == 200
    for method, path, body, status in AGAIN:
        assert alice.request(method, path, json={**body, "password": "passkey-of-nobody"}).status_code == 422, path
        given = proof(alice, device)
        answer = alice.request(method, path, json={**body, "password": given})
        assert answer.status_code == status, (path, answer.text)
        assert alice.request(method, path, json={**body, "password": given}).status_code in (401, 422), path


def test_with_a_passkey_an_app_and_a_passkey_are_taken_off_and_emergencies_opened(
    served: Served, alice: Visitor, bob: Visitor, device: Device, clock: Clock
) -> None:
    with served.kit.database.write(right="operator") as tx:
        accounts.set_role(tx, accounts.by_email(tx, ALICE.email).id, "operator", clock())
    alice.sign_in(ALICE)
    alice.set_up_second_step(ALICE, clock())
    passkey = added(alice, device).json()["passkey"]["id"]
    reason = "She collapsed during a session; the ambulance asks what she heard."
    form = {"email": BOB.email, "reason": reason, "code": proof(alice, device)}
    assert alice.post("/operator/emergency", data=form).status_code == 303
    assert alice.post("/operator/emergency", data=form).status_code == 422
    for path in ("/api/v1/second-factor/remove", f"/api/v1/passkeys/{passkey}/remove"):
        answer = alice.post(path, json={"password": proof(alice, device)})
        assert answer.status_code == 201, answer.text
        alice.headers["Authorization"] = f"Bearer {answer.json()['token']}"
    assert bob.get("/api/v1/me").status_code == 200


def test_a_proof_is_its_persons_alone_for_five_minutes_from_a_device_that_knows_them(
    served: Served, alice: Visitor, bob: Visitor, device: Device, clock: Clock
) -> None:
    added(alice, device)
    assert signed(alice, device, flags=PRESENT).status_code == 422
    given = proof(alice, device)
    assert signed(alice, device, counts=0).status_code == 422
    assert signed(bob, device).status_code == 422
    options = asked(served.visitor())
    assert alice.post("/api/v1/proofs/passkey", json={"credential": device.show(options)}).status_code == 422  # to sign in
    wish = {"phone": "+442079460998"}
    assert bob.put("/api/v1/contact", json={**wish, "password": given}).status_code == 422
    clock.advance(minutes=5)
    assert alice.put("/api/v1/contact", json={**wish, "password": given}).status_code == 422
    changed = {"current_password": proof(alice, device), "password": "correct horse battery staple 2"}
    assert alice.post("/api/v1/password", json=changed).status_code == 422  # a new password wants the old one
    page = alice.get("/contact").text
    assert 'data-proof="password"' in page
    assert "data-proof" not in bob.get("/contact").text


# --- what does not hold ---------------------------------------------------------------------------


def test_a_challenge_counts_once_for_five_minutes_for_its_purpose_and_its_person(
    served: Served, alice: Visitor, bob: Visitor, device: Device, clock: Clock
) -> None:
    added(alice, device)
    visitor = served.visitor()
    credential = device.show(asked(visitor))
    assert shown(visitor, credential).status_code == 201
    assert shown(visitor, credential).status_code == 401
    late = device.show(asked(visitor))
    clock.advance(minutes=5)
    assert shown(visitor, late).status_code == 401
    # What was asked for the second step opens nothing alone, nor the other way round.
    visitor.sign_in(ALICE)
    assert shown(visitor, device.show(asked(visitor, "second-step/passkey"))).status_code == 401
    assert shown(visitor, device.show(asked(visitor)), "second-step/passkey").status_code == 422
    # A challenge of Bob's adds nothing to Alice.
    options = bob.post("/api/v1/passkeys/options", json={"password": BOB.password}).json()["publicKey"]
    made = Device(device.origin).make(options)
    assert alice.post("/api/v1/passkeys", json={"name": "x", "credential": made}).status_code == 422
    forged = {**asked(visitor), "challenge": text(b"c" * 48)}
    assert shown(visitor, device.show(forged)).status_code == 401


@pytest.mark.parametrize("change", ["origin", "name", "unverified", "copied", "user", "id"])
def test_another_site_an_unproven_person_a_copy_and_another_account_are_refused(
    served: Served, alice: Visitor, bob: Visitor, device: Device, change: str
) -> None:
    added(alice, device)
    assert opens(served, device) == 201
    how: dict[str, Any] = {}
    if change == "origin":
        device.origin = "https://stillwave.example.net"
    elif change == "name":
        device.name = "example.net"
    elif change == "unverified":
        how = {"flags": PRESENT}
    elif change == "copied":
        how = {"counts": 0}
    elif change == "user":
        device.user = uuid.UUID(bob.get("/api/v1/me").json()["id"]).bytes
    else:
        device.id = b"another"
    assert opens(served, device, **how) == 401


def test_a_passkey_for_another_site_or_without_its_person_is_not_added(alice: Visitor, device: Device) -> None:
    assert added(alice, device, flags=PRESENT).status_code == 422
    assert added(alice, Device("https://stillwave.example.net")).status_code == 422
    assert added(alice, Device(device.origin, "example.net")).status_code == 422
    assert alice.get("/api/v1/passkeys").json()["items"] == []
    assert alice.post("/api/v1/passkeys/options", json={"password": BOB.password}).status_code == 422


def test_a_switched_off_account_is_not_opened_by_its_passkey(served: Served, alice: Visitor, device: Device) -> None:
    added(alice, device)
    with served.kit.database.write(right="operator") as tx:
        accounts.set_status(tx, accounts.by_email(tx, ALICE.email).id, "disabled", served.kit.clock())
    assert opens(served, device) == 401


def test_nobody_learns_who_has_a_passkey(served: Served, alice: Visitor, device: Device) -> None:
    visitor = served.visitor()
    before = asked(visitor)
    added(alice, device)
    after = asked(visitor)
    assert {**before, "challenge": ""} == {**after, "challenge": ""}
    assert len(raw(before["challenge"])) == len(raw(after["challenge"])) == 48
    stranger = Device(device.origin)
    answers = []
    for user in (raw(text(uuid.UUID(alice.get("/api/v1/me").json()["id"]).bytes)), uuid.uuid4().bytes):
        stranger.user = user
        answers.append(shown(visitor, stranger.show(asked(visitor))))
    assert answers[0].status_code == answers[1].status_code == 401
    assert answers[0].json() == answers[1].json()


def test_anothers_passkey_is_neither_seen_named_nor_removed(served: Served, alice: Visitor, bob: Visitor, device: Device) -> None:
    listed = added(alice, device).json()["passkey"]
    assert bob.get("/api/v1/passkeys").json()["items"] == []
    assert bob.patch(f"/api/v1/passkeys/{listed['id']}", json={"name": "mine"}).status_code == 404
    assert bob.post(f"/api/v1/passkeys/{listed['id']}/remove", json={"password": BOB.password}).status_code == 404
    assert opens(served, device) == 201


def test_eleven_passkeys_are_one_too_many(alice: Visitor, device: Device) -> None:
    for _ in range(10):
        assert added(alice, Device(device.origin)).status_code == 201
    assert alice.post("/api/v1/passkeys/options", json={"password": ALICE.password}).status_code == 409


def test_a_server_that_is_reached_by_a_number_says_that_passkeys_need_a_name(settings: Settings, clock: Clock) -> None:
    with serving(settings, open_database(settings), clock) as served:
        visitor = served.visitor()
        answer = visitor.post("/api/v1/logins/passkey/options")
        assert answer.status_code == 409
        assert "name" in answer.json()["detail"]


def test_no_bent_answer_of_a_device_opens_anything_or_fails_badly(served: Served, alice: Visitor, device: Device) -> None:
    added(alice, device)
    visitor, chance = served.visitor(), random.Random(7)
    good = device.show(asked(visitor))
    for turn in range(60):
        bent = copy.deepcopy(good)
        field = chance.choice(["clientDataJSON", "authenticatorData", "signature", "userHandle"])
        value = bytearray(raw(bent["response"][field]))
        if turn % 3:
            value[chance.randrange(len(value))] ^= 1 << chance.randrange(8)
        else:
            value = value[: chance.randrange(1, len(value))]
        if field != "clientDataJSON":  # then the challenge itself holds, and what follows is looked at
            client = raw(device.show(asked(visitor))["response"]["clientDataJSON"])
            bent["response"]["clientDataJSON"] = text(client)
        bent["response"][field] = text(bytes(value)) or "AA"
        assert shown(visitor, bent).status_code in (401, 422), (turn, field)
