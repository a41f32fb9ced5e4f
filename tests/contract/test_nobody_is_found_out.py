"""Whether an address has an account shows in nothing: not in the words, the headers, the length, nor the time of an answer.

A stopwatch is a witness that can err, so these tests ask little of it: six tries of each kind in turns, and a difference only
where one kind is slower in all pairs but one, in three rounds out of three, which chance does once in ten million. What cannot be
alike by itself leaves at whole paces; that no answer was quicker cannot err. `bench/enumeration.py` looks closely.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from stillwave.db.database import open_database
from stillwave.settings import Settings
from tests.cast import ALICE, BOB, Clock
from tests.passkey_device import Device
from tests.served import Served, Visitor, serving

PACE_S = 0.5
TRIES, ROUNDS = 6, 3
OWN = {"date", "server-timing"}  # headers that differ from answer to answer anyway
Try = Callable[[], httpx.Response]
NUMBERS = itertools.count(1000)


@pytest.fixture
def engine() -> str:
    """One engine: the bench looks at both."""
    return "sqlite"


@pytest.fixture
def served(settings: Settings, clock: Clock) -> Iterator[Served]:
    """A server with its pace, reached by a name."""
    with serving(
        settings, open_database(settings), clock, limit_factor=1000, base_url="http://localhost:{port}", pace_s=PACE_S
    ) as server:
        yield server


def tell_apart(known: Try, unknown: Try, *, least_s: float = 0) -> None:
    """Asserts that nobody can, and that no answer came before `least_s`."""
    for _round in range(ROUNDS):
        seen: tuple[list[float], list[float]] = ([], [])
        for _ in range(TRIES):
            answers = []
            for took, ask in zip(seen, (known, unknown), strict=True):
                began = time.perf_counter()
                answers.append(ask())
                took.append(time.perf_counter() - began)
            for part in (lambda a: a.status_code, lambda a: a.content, lambda a: {k: v for k, v in a.headers.items() if k not in OWN}):
                assert part(answers[0]) == part(answers[1])
        assert min(seen[0] + seen[1]) >= least_s
        slower = sum(one > other for one in seen[0] for other in seen[1])
        if 1 < slower < TRIES * TRIES - 1:
            return
    pytest.fail(f"told apart by time in each of {ROUNDS} rounds; the last: {seen}")


def sign_up(visitor: Visitor, email: str) -> httpx.Response:
    wish = {"email": email, "phone": f"+44207946{next(NUMBERS)}", "password": BOB.password, "consent_health_data": True}
    return visitor.post("/api/v1/accounts", json=wish)


def test_signing_up_does_not_tell_who_has_an_account(served: Served, alice: Visitor) -> None:
    stranger = served.visitor()
    assert sign_up(stranger, ALICE.email).status_code == 202
    tell_apart(lambda: sign_up(stranger, ALICE.email), lambda: sign_up(stranger, f"n{next(NUMBERS)}@example.org"), least_s=PACE_S)


def test_recovery_does_not_tell_who_has_an_account(served: Served, alice: Visitor) -> None:
    stranger = served.visitor()

    def ask(email: str) -> httpx.Response:
        return stranger.post("/api/v1/recoveries", json={"email": email})

    assert ask(ALICE.email).status_code == 202
    tell_apart(lambda: ask(ALICE.email), lambda: ask(BOB.email), least_s=PACE_S)


def test_signing_in_does_not_tell_who_has_an_account_or_a_second_step(
    served: Served, alice: Visitor, bob: Visitor, clock: Clock
) -> None:
    bob.set_up_second_step(BOB, clock())
    stranger = served.visitor()

    def enter(email: str) -> httpx.Response:
        return stranger.post("/api/v1/logins", json={"email": email, "password": "not the password at all"})

    assert enter(ALICE.email).status_code == 401
    tell_apart(lambda: enter(ALICE.email), lambda: enter("nobody@example.org"))
    tell_apart(lambda: enter(BOB.email), lambda: enter("nobody@example.org"))


def test_a_wrong_code_for_a_new_password_does_not_tell_who_has_an_account(served: Served, alice: Visitor) -> None:
    stranger = served.visitor()

    def recover(email: str) -> httpx.Response:
        wish = {"email": email, "code": "AAAA-BBBB-CCCC-DDDD", "password": "seven quiet otters sleeping"}
        return stranger.post("/api/v1/recoveries/complete", json=wish)

    assert recover(ALICE.email).status_code == 422
    tell_apart(lambda: recover(ALICE.email), lambda: recover(BOB.email))


def test_a_passkey_that_opens_nothing_does_not_tell_whose_it_might_be(served: Served, alice: Visitor, bob: Visitor) -> None:
    device, stranger = Device(served.kit.settings.base_url), Device(served.kit.settings.base_url)
    options = alice.post("/api/v1/passkeys/options", json={"password": ALICE.password}).json()["publicKey"]
    added = alice.post("/api/v1/passkeys", json={"name": "phone", "credential": device.make(options)})
    assert added.status_code == 201
    visitor = served.visitor()

    def show(user: bytes) -> httpx.Response:
        stranger.user = user
        asked = visitor.post("/api/v1/logins/passkey/options").json()["publicKey"]
        return visitor.post("/api/v1/logins/passkey", json={"credential": stranger.show(asked)})

    assert show(device.user).status_code == 401
    tell_apart(lambda: show(device.user), lambda: show(bytes(reversed(device.user))))
