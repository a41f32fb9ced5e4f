"""The second step at sign-in: codes of an app, recovery codes, and what a password alone opens."""

from __future__ import annotations

import concurrent.futures
import datetime as dt

import pyotp
import pytest

from stillwave.accounts import actions as accounts
from stillwave.factors import actions as factors
from tests.cast import ALICE, BOB, Clock
from tests.served import Served, Visitor


def wait_at_the_door(served: Served) -> Visitor:
    """A client whose password was right and whose code is due."""
    visitor = served.visitor()
    answer = visitor.post("/api/v1/logins", json={"email": ALICE.email, "password": ALICE.password})
    assert answer.status_code == 201
    assert answer.json()["second_step"] is True
    visitor.headers["Authorization"] = f"Bearer {answer.json()['token']}"
    return visitor


def step(visitor: Visitor, code: str) -> int:
    """Tries a code; a right one signs the client in."""
    answer = visitor.post("/api/v1/logins/second-step", json={"code": code})
    if answer.status_code == 201:
        visitor.headers["Authorization"] = f"Bearer {answer.json()['token']}"
    return answer.status_code


@pytest.fixture
def seed_and_codes(alice: Visitor, clock: Clock) -> tuple[str, list[str]]:
    found = alice.set_up_second_step(ALICE, clock())
    clock.advance(minutes=5)
    return found


@pytest.fixture
def seed(seed_and_codes: tuple[str, list[str]]) -> str:
    return seed_and_codes[0]


def test_a_password_alone_opens_only_the_door_to_the_code(served: Served, seed: str, clock: Clock) -> None:
    waiting = wait_at_the_door(served)
    for path in ("/api/v1/me", "/api/v1/export", "/api/v1/sessions", "/api/v1/second-factor"):
        refused = waiting.get(path)
        assert refused.status_code == 401, path
        assert refused.json()["next"] == "/second-step"
    erased = waiting.post("/api/v1/erasure", json={"password": ALICE.password, "confirm": "erase"})
    assert erased.status_code == 401
    old = waiting.headers["Authorization"]
    assert step(waiting, pyotp.TOTP(seed).at(clock())) == 201
    assert waiting.get("/api/v1/me").json()["email"] == ALICE.email
    waiting.headers["Authorization"] = old
    assert waiting.get("/api/v1/me").status_code == 401  # the token that waited is gone


def test_a_code_opens_once(served: Served, seed: str, clock: Clock) -> None:
    code = pyotp.TOTP(seed).at(clock())
    assert step(wait_at_the_door(served), code) == 201
    assert step(wait_at_the_door(served), code) == 422
    earlier = pyotp.TOTP(seed).at(clock() - dt.timedelta(seconds=30))
    assert step(wait_at_the_door(served), earlier) == 422  # still in its window, but older than one that was used
    clock.advance(seconds=30)
    assert step(wait_at_the_door(served), pyotp.TOTP(seed).at(clock())) == 201


def test_one_code_sent_by_many_at_once_opens_for_one(served: Served, seed: str, clock: Clock) -> None:
    doors = [wait_at_the_door(served) for _ in range(4)]
    code = pyotp.TOTP(seed).at(clock())
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda door: step(door, code), doors))
    assert sorted(answers) == [201, 422, 422, 422]


def test_after_five_wrong_codes_the_right_one_waits(served: Served, seed: str, clock: Clock) -> None:
    waiting = wait_at_the_door(served)
    wrong = "000000" if pyotp.TOTP(seed).at(clock()) != "000000" else "111111"
    assert [step(waiting, wrong) for _ in range(5)] == [422] * 5
    refused = waiting.post("/api/v1/logins/second-step", json={"code": pyotp.TOTP(seed).at(clock())})
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) == 900
    clock.advance(minutes=15, seconds=1)
    again = wait_at_the_door(served)
    assert step(again, pyotp.TOTP(seed).at(clock())) == 201


def test_the_door_closes_after_ten_minutes(served: Served, seed: str, clock: Clock) -> None:
    waiting = wait_at_the_door(served)
    clock.advance(minutes=10)
    assert step(waiting, pyotp.TOTP(seed).at(clock())) == 401


def test_a_recovery_code_opens_once_however_it_is_typed(
    served: Served, seed_and_codes: tuple[str, list[str]]
) -> None:
    _, codes = seed_and_codes
    assert len(set(codes)) == 10
    assert step(wait_at_the_door(served), codes[3].lower().replace("-", " ")) == 201
    assert step(wait_at_the_door(served), codes[3]) == 422
    assert step(wait_at_the_door(served), codes[4]) == 201


def test_new_recovery_codes_end_the_old(served: Served, alice: Visitor, seed_and_codes: tuple[str, list[str]], clock: Clock) -> None:
    seed, old = seed_and_codes
    proof = {"password": ALICE.password, "code": pyotp.TOTP(seed).at(clock())}
    made = alice.post("/api/v1/second-factor/recovery-codes", json=proof)
    assert made.status_code == 201
    assert step(wait_at_the_door(served), old[0]) == 422
    assert step(wait_at_the_door(served), made.json()["recovery_codes"][0]) == 201
    assert alice.get("/api/v1/second-factor").json()["recovery_codes_left"] == 9


def test_turning_it_on_or_off_ends_every_other_login(served: Served, alice: Visitor, clock: Clock) -> None:
    other = served.visitor()
    other.sign_in(ALICE)
    before = alice.headers["Authorization"]
    seed, _ = alice.set_up_second_step(ALICE, clock())
    assert other.get("/api/v1/me").status_code == 401
    assert served.visitor().get("/api/v1/me", headers={"Authorization": before}).status_code == 401
    clock.advance(minutes=1)
    wrong = {"password": "not the password at all", "code": pyotp.TOTP(seed).at(clock())}
    assert alice.post("/api/v1/second-factor/remove", json=wrong).status_code == 422
    right = {"password": ALICE.password, "code": pyotp.TOTP(seed).at(clock())}
    removed = alice.post("/api/v1/second-factor/remove", json=right)
    assert removed.status_code == 201
    assert alice.get("/api/v1/me").status_code == 401
    plain = served.visitor()
    plain.sign_in(ALICE)
    assert plain.get("/api/v1/me").status_code == 200


def test_nothing_is_asked_for_before_the_first_code_was_right(served: Served, alice: Visitor, clock: Clock) -> None:
    begun = alice.post("/api/v1/second-factor", json={"password": ALICE.password}).json()
    assert begun["on"] is False
    assert alice.post("/api/v1/second-factor/confirm", json={"code": "12345"}).status_code == 422
    served.visitor().sign_in(ALICE)
    clock.advance(hours=1, seconds=1)
    late = alice.post("/api/v1/second-factor/confirm", json={"code": pyotp.TOTP(begun["secret"]).at(clock())})
    assert late.status_code == 409
    assert alice.post("/api/v1/second-factor", json={"password": "wrong"}).status_code == 422


def test_a_new_password_does_not_take_the_second_step_off(served: Served, alice: Visitor, seed: str) -> None:
    changed = alice.post("/api/v1/password", json={"current_password": ALICE.password, "password": "seven quiet otters sleeping"})
    assert changed.status_code == 200, changed.text
    answer = served.visitor().post("/api/v1/logins", json={"email": ALICE.email, "password": "seven quiet otters sleeping"})
    assert answer.json()["second_step"] is True


def test_the_operator_takes_it_off_when_app_and_codes_are_lost(served: Served, alice: Visitor, seed: str) -> None:
    with served.kit.database.write() as tx:
        user = accounts.by_email(tx, ALICE.email)
        tx.act_as(user.id)
        factors.take_off(tx, user.id, served.kit.clock())
    assert alice.get("/api/v1/me").status_code == 401
    alice.sign_in(ALICE)
    assert alice.get("/api/v1/second-factor").json()["on"] is False


def test_by_form_the_path_is_the_same(served: Served, seed: str, clock: Clock) -> None:
    visitor = served.visitor()
    signed = visitor.post("/sign-in", data={"email": ALICE.email, "password": ALICE.password})
    assert signed.headers["location"] == "/second-step"
    assert visitor.get("/privacy").headers["location"] == "/second-step"
    assert "six digits" in visitor.get("/second-step").text
    wrong = visitor.post("/second-step", data={"code": "abc"})
    assert wrong.status_code == 422
    assert "abc" not in wrong.text
    assert visitor.post("/second-step", data={"code": pyotp.TOTP(seed).at(clock())}).headers["location"] == "/"
    assert ALICE.email not in visitor.get("/security").text  # nothing of a set-up app is shown again
    assert seed not in visitor.get("/security").text
    left = served.visitor()
    left.post("/sign-in", data={"email": ALICE.email, "password": ALICE.password})
    assert left.post("/second-step/leave").headers["location"] == "/sign-in"
    assert left.get("/second-step").headers["location"] == "/"


def test_somebody_without_a_second_step_is_not_asked(served: Served, bob: Visitor) -> None:
    assert bob.get("/api/v1/second-factor").json() == {
        "on": False, "since": None, "recovery_codes_left": 0, "secret": None, "address": None
    }
    assert bob.post("/api/v1/logins/second-step", json={"code": "123456"}).status_code == 401
    answer = served.visitor().post("/api/v1/logins", json={"email": BOB.email, "password": BOB.password})
    assert answer.json()["second_step"] is False


@pytest.mark.parametrize("engine", ["sqlite"])
def test_the_seed_lies_sealed(served: Served, seed: str) -> None:
    connection = served.kit.database.raw()
    stored = connection.execute("SELECT secret FROM second_factors").fetchone()[0]
    connection.close()
    assert stored.startswith("sw1.")
    assert seed not in stored
