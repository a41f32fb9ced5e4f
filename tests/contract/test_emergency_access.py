"""Emergency access: an operator reads one person's data for an hour, with a reason, and the person is told at once."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pyotp
import pytest

from stillwave.accounts import actions as accounts
from stillwave.db import audit
from stillwave.emergency import rules
from stillwave.errors import BadInput
from tests.cast import ALICE, BOB, CHARLIE, Clock
from tests.served import Served, Visitor

REASON = "She collapsed during a session; the ambulance asks what she heard."


class Operator:
    """Charlie, who runs this Stillwave."""

    def __init__(self, served: Served, clock: Clock) -> None:
        self.served, self.clock, self.visitor = served, clock, served.visitor()
        self.visitor.sign_up(CHARLIE)
        with served.kit.database.write(right="operator") as tx:
            user = accounts.by_email(tx, CHARLIE.email)
            tx.act_as(user.id)
            accounts.set_role(tx, user.id, "operator", clock())
        self.visitor.sign_in(CHARLIE)
        self.seed, _codes = self.visitor.set_up_second_step(CHARLIE, clock())

    def ask(self, **changed: str) -> Any:
        self.clock.advance(seconds=30)  # no code opens twice
        form = {"email": ALICE.email, "reason": REASON, "code": pyotp.TOTP(self.seed).at(self.clock()), **changed}
        return self.visitor.post("/operator/emergency", data=form)


@pytest.fixture
def operator(served: Served, clock: Clock) -> Operator:
    return Operator(served, clock)


@pytest.fixture
def mails(served: Served, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, str]]:
    sent: list[tuple[str, str, str]] = []
    monkeypatch.setattr(type(served.kit.mail), "send", lambda _self, to, subject, text: sent.append((to, subject, text)))
    return sent


def told(visitor: Visitor) -> list[tuple[str, str]]:
    return [(item["action"], item["actor"]) for item in visitor.get("/api/v1/audit-events").json()["items"]]


def test_an_operator_sees_one_person_for_an_hour_and_the_person_is_told_at_once(
    operator: Operator, alice: Visitor, bob: Visitor, mails: list[tuple[str, str, str]], clock: Clock
) -> None:
    alice.post("/api/v1/progress", json={"date": "2026-11-25", "sleep_quality": 7, "notes": "a private word"})
    opened = operator.ask()
    assert opened.status_code == 303, opened.text
    where = opened.headers["location"]
    page = operator.visitor.get(where)
    assert page.status_code == 200
    assert "a private word" in page.text
    assert ALICE.password not in page.text
    assert "argon2" not in page.text
    # She is told at once: by mail without the reason, on every page, and in her log.
    ((to, subject, text),) = mails
    assert (to, subject) == (ALICE.email, "An operator opened your data")
    assert REASON not in text
    assert "/privacy/emergency" in text
    assert "opened your data in an emergency" in alice.get("/history").text
    assert REASON in alice.get("/privacy/emergency").text
    assert told(alice)[:2] == [("emergency.looked", "operator"), ("emergency.opened", "operator")]
    assert told(operator.visitor)[0] == ("emergency.asked", "self")
    assert "1 open now" in operator.visitor.get("/operator").text
    assert "opened your data" not in bob.get("/history").text
    assert REASON not in bob.get("/privacy/emergency").text
    # It ends by itself.
    clock.advance(minutes=59)
    assert operator.visitor.get(where).status_code == 200
    clock.advance(minutes=1)
    assert operator.visitor.get(where).status_code == 404
    assert "1 open now" not in operator.visitor.get("/operator").text
    assert "Over" in alice.get("/privacy/emergency").text
    with operator.served.kit.database.read(right="operator") as tx:
        assert audit.verify(tx) == {}


def test_the_person_ends_it_and_puts_the_notice_away(operator: Operator, alice: Visitor) -> None:
    where = operator.ask().headers["location"]
    access = where.rsplit("/", 1)[1]
    assert alice.post(f"/privacy/emergency/{access}/end").status_code == 303
    assert operator.visitor.get(where).status_code == 404
    assert alice.post(f"/privacy/emergency/{access}/end").status_code == 404
    assert told(alice)[0] == ("emergency.ended", "self")
    assert alice.post(f"/privacy/emergency/{access}/seen").status_code == 303
    assert "opened your data in an emergency" not in alice.get("/history").text
    assert REASON in alice.get("/privacy/emergency").text  # it stays on record


def test_the_operator_ends_it(operator: Operator, alice: Visitor) -> None:
    where = operator.ask().headers["location"]
    assert operator.visitor.post(f"{where}/end").status_code == 303
    assert operator.visitor.get(where).status_code == 404
    assert told(alice)[0] == ("emergency.ended", "operator")


def test_without_a_reason_a_code_or_somebody_else_nothing_opens(
    operator: Operator, alice: Visitor, mails: list[tuple[str, str, str]]
) -> None:
    for changed, status in (
        ({"reason": "because"}, 422), ({"code": "000000"}, 422), ({"email": "nobody@example.org"}, 404), ({"email": CHARLIE.email}, 409),
    ):  # fmt: skip
        assert operator.ask(**changed).status_code == status, changed
    assert alice.post("/operator/emergency", data={"email": BOB.email, "reason": REASON, "code": "123456"}).status_code == 403
    assert mails == []
    assert "emergency.opened" not in [action for action, _ in told(alice)]


def test_another_operator_cannot_use_it(operator: Operator, alice: Visitor, bob: Visitor, served: Served, clock: Clock) -> None:
    where = operator.ask().headers["location"]
    with served.kit.database.write(right="operator") as tx:
        user = accounts.by_email(tx, BOB.email)
        tx.act_as(user.id)
        accounts.set_role(tx, user.id, "operator", clock())
    bob.sign_in(BOB)
    bob.set_up_second_step(BOB, clock())
    assert bob.get(where).status_code == 404
    assert "another operator" in bob.get("/operator/emergency").text


def test_a_reason_says_something() -> None:
    with pytest.raises(BadInput, match="too little"):
        rules.check_reason("  because          ")
    assert rules.check_reason(f"  {REASON} ") == REASON
    assert dt.timedelta(hours=1) == rules.LASTS
