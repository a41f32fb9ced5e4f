"""Ratings that come twice, late, from nobody, or by a clock that went back: each has a clear answer."""

from __future__ import annotations

from tests.cast import ALICE, Clock
from tests.served import Served, Visitor


def test_the_form_sent_twice_corrects_the_rating_and_counts_once(alice: Visitor, clock: Clock) -> None:
    made = alice.session()["id"]
    clock.advance(minutes=6)
    alice.post("/sign-in", data={"email": ALICE.email, "password": ALICE.password})
    for rating in ("5", "2"):
        assert alice.post(f"/sessions/{made}/rate", data={"rating": rating}).status_code == 303
    assert alice.get(f"/api/v1/sessions/{made}/feedback").json()["rating"] == 2
    assert alice.get("/api/v1/profile").json()["ratings"] == 1


def test_a_second_rating_by_program_is_refused_and_says_what_to_do(alice: Visitor, clock: Clock) -> None:
    made = alice.session()["id"]
    clock.advance(minutes=6)
    alice.rate(made)
    again = alice.post(f"/api/v1/sessions/{made}/feedback", json={"rating": 1})
    assert again.status_code == 409
    assert "You can change that rating instead" in again.json()["detail"]
    assert alice.get(f"/api/v1/sessions/{made}/feedback").json()["rating"] == 4


def test_after_erasure_nothing_can_be_rated_and_nothing_comes_back(served: Served, alice: Visitor, bob: Visitor, clock: Clock) -> None:
    made = alice.session()["id"]
    clock.advance(minutes=6)
    assert alice.post("/api/v1/erasure", json={"password": ALICE.password, "confirm": "erase"}).status_code == 204
    for method, body in (("POST", {"rating": 5}), ("PUT", {"rating": 5}), ("DELETE", None), ("GET", None)):
        assert alice.request(method, f"/api/v1/sessions/{made}/feedback", json=body).status_code == 401
        assert bob.request(method, f"/api/v1/sessions/{made}/feedback", json=body).status_code == 404
    alice.sign_up(ALICE)  # the same person again is a new one
    alice.screened()
    assert alice.post(f"/api/v1/sessions/{made}/feedback", json={"rating": 5}).status_code == 404
    assert alice.get("/api/v1/profile").json()["ratings"] == 0


def test_a_clock_that_goes_back_loses_no_rating(alice: Visitor, clock: Clock) -> None:
    """Rated at 11:06, then at 10:36 by a clock that was set back half an hour: both teach, in the order of their times."""
    early = alice.session(minutes=5)["id"]
    clock.advance(hours=1)
    late = alice.session(minutes=5)["id"]
    clock.advance(minutes=6)
    alice.rate(late, rating=5)
    clock.advance(minutes=-30)
    refused = alice.post(f"/api/v1/sessions/{late}/feedback", json={"rating": 1})
    assert refused.status_code == 409
    alice.rate(early, rating=2)
    profile = alice.get("/api/v1/profile").json()
    assert profile["ratings"] == 2
    changed = alice.put(f"/api/v1/sessions/{late}/feedback", json={"rating": 4})
    assert (changed.status_code, changed.json()["rating"]) == (200, 4)
    assert alice.patch(f"/api/v1/sessions/{late}", json={"position_s": 9, "ended": True}).status_code == 200


def test_a_session_that_has_not_begun_cannot_be_rated_by_form_either(alice: Visitor, clock: Clock) -> None:
    made = alice.session()["id"]
    alice.post("/sign-in", data={"email": ALICE.email, "password": ALICE.password})
    clock.advance(minutes=-1)
    page = alice.post(f"/sessions/{made}/rate", data={"rating": "5"})
    assert page.status_code == 409
    assert "has not begun yet" in page.text
    assert alice.get(f"/api/v1/sessions/{made}/feedback").status_code == 404
