"""A POST sent again with its Idempotency-Key acts once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx

from tests.cast import Clock
from tests.served import Served, Visitor

WISH = {"target_state": "calm_focus", "minutes": 5, "background_only": True}


def post(visitor: Visitor, key: str, body: dict[str, object], path: str = "/api/v1/sessions") -> httpx.Response:
    return visitor.post(path, json=body, headers={"Idempotency-Key": key})


def sessions(visitor: Visitor) -> list[str]:
    return [session["id"] for session in visitor.get("/api/v1/sessions").json()["items"]]


def test_twenty_at_once_are_one(served: Served, alice: Visitor) -> None:
    twins = [served.visitor() for _ in range(20)]
    for twin in twins:
        twin.headers["Authorization"] = alice.headers["Authorization"]
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda twin: post(twin, "one", WISH), twins))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert sessions(alice) == [answers[0].json()["id"]]


def test_without_a_key_every_one_counts(alice: Visitor) -> None:
    assert alice.session(background_only=True)["id"] != alice.session(background_only=True)["id"]
    assert len(sessions(alice)) == 2


def test_another_body_or_address_under_the_key_is_refused(alice: Visitor) -> None:
    first = post(alice, "mine", WISH)
    for other in (post(alice, "mine", {**WISH, "minutes": 6}),
                  post(alice, "mine", {"date": "2026-11-25", "sleep_quality": 5}, "/api/v1/progress")):
        assert other.status_code == 422
        assert other.json()["errors"][0]["field"] == "Idempotency-Key"
    assert post(alice, "mine", WISH).content == first.content
    assert len(sessions(alice)) == 1
    assert alice.get("/api/v1/progress").json()["items"] == []


def test_the_same_key_of_somebody_else_is_another_key(alice: Visitor, bob: Visitor) -> None:
    hers, his = post(alice, "one", WISH), post(bob, "one", WISH)
    assert hers.status_code == his.status_code == 201
    assert sessions(alice) == [hers.json()["id"]]
    assert sessions(bob) == [his.json()["id"]]
    assert sessions(alice) != sessions(bob)


def test_a_failure_does_not_burn_the_key(alice: Visitor) -> None:
    alice.screened(none=False, conditions=["migraine"])
    careful = {"target_state": "calm_focus", "minutes": 5}
    assert post(alice, "one", careful).status_code == 409
    assert post(alice, "one", {**careful, "minutes": 1}).status_code == 422
    assert sessions(alice) == []
    good = post(alice, "one", {**careful, "confirm": True})
    assert good.status_code == 201
    assert sessions(alice) == [good.json()["id"]]


def test_feedback_and_diary_take_keys_as_well(alice: Visitor, clock: Clock) -> None:
    session = alice.session(background_only=True)["id"]
    clock.advance(minutes=6)
    path = f"/api/v1/sessions/{session}/feedback"
    told = post(alice, "told", {"rating": 5, "feedback_text": "once"}, path)
    assert told.status_code == 201
    clock.advance(hours=1)
    assert post(alice, "told", {"rating": 5, "feedback_text": "once"}, path).content == told.content
    assert post(alice, "later", {"rating": 5, "feedback_text": "once"}, path).status_code == 409
    day = post(alice, "day", {"date": "2026-11-25", "sleep_quality": 5}, "/api/v1/progress")
    assert alice.delete("/api/v1/progress/2026-11-25").status_code == 204
    assert post(alice, "day", {"date": "2026-11-25", "sleep_quality": 5}, "/api/v1/progress").content == day.content
    assert alice.get("/api/v1/progress").json()["items"] == []  # sent again is not done again


def test_a_kept_answer_needs_a_living_login(served: Served, alice: Visitor) -> None:
    post(alice, "one", WISH)
    token = alice.headers["Authorization"]
    alice.delete("/api/v1/logins/current")
    stranger = served.visitor()
    stranger.headers["Authorization"] = token
    assert post(stranger, "one", WISH).status_code == 401
