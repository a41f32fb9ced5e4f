"""A person corrects what is held about them; the log says which fields changed and when, never to what."""

from __future__ import annotations

import pytest

from stillwave.accounts import actions as accounts
from stillwave.accounts.rules import CONSENTS, ConsentText
from stillwave.web import gate
from tests.cast import ALICE, BOB, CHARLIE, NOW, Clock
from tests.contract.test_jobs import wait_for
from tests.contract.test_reminders import PostOffice, ada, mailed, post, smtp, wish, work  # noqa: F401  fixtures
from tests.served import Served, Visitor

NEW = {"email": "Ada.New@Example.org", "phone": CHARLIE.phone_number, "password": ALICE.password}

def test_e_mail_and_phone_are_corrected_and_the_old_address_is_told(
    mailed: Served, ada: Visitor, post: PostOffice  # noqa: F811
) -> None:
    mailed.visitor().sign_up(BOB)
    assert ada.put("/api/v1/contact", json={**NEW, "password": "not mine at all"}).status_code == 422
    for taken in ({"email": BOB.email}, {"phone": BOB.phone_number}, {"email": "no address"}, {"phone": "12"}):
        refused = ada.put("/api/v1/contact", json={"password": ALICE.password, **taken})
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, next(iter(taken)))
    assert ada.put("/api/v1/contact", json=NEW).status_code == 204
    me = ada.get("/api/v1/me").json()
    assert (me["email"], me["phone"]) == ("ada.new@example.org", CHARLIE.phone_number)
    wait_for(post.subjects)
    assert post.subjects() == ["Your Stillwave e-mail address changed"]
    assert mailed.visitor().post("/api/v1/logins", json={"email": ALICE.email, "password": ALICE.password}).status_code == 401
    ada.sign_in(ALICE._replace(email="ada.new@example.org"))
    mailed.visitor().sign_up(ALICE._replace(phone_number="+442071838754"))  # the old address is free again

    ada.cookies.set("stillwave_login", ada.headers.pop("Authorization").removeprefix("Bearer "))
    assert 'value="ada.new@example.org"' in ada.get("/contact").text
    wrong = ada.post("/contact", data={"email": "ada.new@example.org", "phone": "1", "password": ALICE.password})
    assert (wrong.status_code, ALICE.password in wrong.text) == (422, False)
    assert ada.post("/contact", data={**NEW, "phone": "+442071838755"}).status_code == 303


def test_the_log_says_which_fields_changed_and_never_to_what(alice: Visitor, clock: Clock) -> None:
    made = alice.session()
    clock.advance(minutes=6)
    alice.rate(made["id"], rating=2, feedback_text="willow words")
    alice.put(f"/api/v1/sessions/{made['id']}/feedback", json={"rating": 3, "feedback_text": "willow words", "effects": {"relaxed": 2}})
    alice.put(f"/api/v1/sessions/{made['id']}/feedback", json={"rating": 3, "effects": {"relaxed": 2}})
    alice.post("/api/v1/progress", json={"date": "2026-11-25", "notes": "osier", "stress_level": 3})
    alice.post("/api/v1/progress", json={"date": "2026-11-25", "notes": "osier", "stress_level": 4})
    alice.put("/api/v1/preferences", json={"preferred_duration": 35})
    alice.put("/api/v1/contact", json={"phone": CHARLIE.phone_number, "password": ALICE.password})
    events = alice.get("/api/v1/audit-events").json()["items"]
    told = [(event["action"], event["detail"]["fields"]) for event in events if "fields" in event["detail"]]
    assert told == [
        ("contact.changed", "phone"), ("preferences.changed", told[1][1]), ("diary.kept", "stress_level"),
        ("diary.kept", "stress_level,notes"), ("feedback.changed", "feedback_text"), ("feedback.changed", "rating,mental_effects"),
    ]  # fmt: skip
    assert "preferred_duration" in told[1][1]
    text = str(events)
    assert not any(value in text for value in ("willow", "osier", CHARLIE.phone_number))
    words = [event["what"] for event in events]
    assert "E-mail or phone number were changed (phone)" in words
    assert "A rating was changed (rating, mental effects)" in words


def test_the_log_says_which_consent_was_given_or_taken_back(alice: Visitor) -> None:
    alice.put("/api/v1/consents/offline_storage", json={"give": True})
    alice.put("/api/v1/consents/offline_storage", json={"give": False})
    words = [event["what"] for event in alice.get("/api/v1/audit-events").json()["items"]]
    assert words[:2] == ["A consent was taken back: Keep sound on my devices", "A consent was given: Keep sound on my devices"]
    assert "A consent was given: Store how I feel" in words


def test_changed_words_are_asked_for_again(
    mailed: Served, ada: Visitor, post: PostOffice, clock: Clock, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:
    wish(ada, morning_mail=True)
    work(mailed, NOW, clock)
    given = {consent["purpose"]: consent for consent in ada.get("/api/v1/consents").json()}
    assert given["reminders"]["text_sha256"] == CONSENTS["reminders"].sha256
    assert given["health_data"]["text_sha256"] == CONSENTS["health_data"].sha256
    old = CONSENTS["reminders"]
    monkeypatch.setitem(CONSENTS, "reminders", ConsentText("reminders", old.version + 1, old.label, old.text + " And more."))
    work(mailed, NOW.replace(minute=45), clock)
    assert post.taken == []
    user = ada.get("/api/v1/me").json()["id"]
    with mailed.kit.database.read(user) as tx:
        assert not accounts.agrees(tx, user, "reminders")
        assert accounts.agrees(tx, user, "health_data")
    ada.cookies.set("stillwave_login", ada.headers["Authorization"].removeprefix("Bearer "))
    assert "The words have changed since you agreed" in ada.get("/privacy").text
    assert ada.put("/api/v1/consents/reminders", json={"give": True}).status_code == 204
    assert "The words have changed since you agreed" not in ada.get("/privacy").text
    assert [c["version"] for c in ada.get("/api/v1/consents").json() if c["purpose"] == "reminders"] == [old.version, old.version + 1]
    monkeypatch.setattr(gate, "CONSENT_VERSION", gate.CONSENT_VERSION + 1)
    assert ada.get("/api/v1/me").json()["needs"] == "consent"
    assert ada.post("/api/v1/sessions", json={"target_state": "sleep"}).status_code == 403
