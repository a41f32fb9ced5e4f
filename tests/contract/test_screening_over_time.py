"""Answers grow old, clinicians clear what blocks: what both mean for the next session, on both engines."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

from stillwave.db.database import Query
from tests.cast import ALICE, Clock
from tests.served import Served, Visitor


def asking(visitor: Visitor, **wish: Any) -> Any:
    return visitor.post("/api/v1/sessions", json={"target_state": "calm_focus", "minutes": 5, **wish})


def again(visitor: Visitor, clock: Clock, **by: float) -> None:
    """Time has passed, and she has signed in again."""
    clock.advance(**by)
    visitor.sign_in(ALICE)


def clear(visitor: Visitor, condition: str, on: str = "2026-11-25", **more: Any) -> Any:
    told = {"condition": condition, "cleared_on": on, "password": ALICE.password, "understood": True, **more}
    return visitor.post("/api/v1/clearances", json=told)


def test_old_answers_block_the_beat_until_they_are_renewed(alice: Visitor, clock: Clock) -> None:
    again(alice, clock, days=364)
    assert asking(alice).status_code == 201
    again(alice, clock, days=1)
    refused = asking(alice)
    assert (refused.status_code, refused.json()["next"]) == (409, "/screening")
    assert "365 days" in refused.json()["detail"]
    plain = asking(alice, background_only=True)
    assert (plain.status_code, plain.json()["method"]) == (201, "none")
    assert "renewed" in plain.json()["reason"]
    assert "365 days" in alice.get("/api/v1/screening").json()["ask_again"]
    alice.post("/sign-in", data={"email": ALICE.email, "password": ALICE.password})
    assert "A few questions again" in alice.get("/").text
    assert "A few questions again" in alice.get("/start").text
    assert "Please answer once more" in alice.get("/screening").text
    page = alice.post("/sessions", data={"target_state": "calm_focus", "minutes": "5"})
    assert page.status_code == 409
    assert "Play background sound only" in page.text
    alice.screened()
    assert asking(alice).status_code == 201


def test_a_changed_wording_is_asked_again_and_pregnancy_after_three_months(served: Served, alice: Visitor, clock: Clock) -> None:
    alice.screened(none=False, conditions=["pregnancy"])
    again(alice, clock, days=89)
    assert asking(alice, confirm=True).status_code == 201
    again(alice, clock, days=1)
    assert asking(alice, confirm=True).status_code == 409
    alice.screened()
    assert asking(alice).status_code == 201
    with served.kit.database.read(right="operator") as tx:
        user_id = tx.value(Query("who", "SELECT id FROM users", "SELECT id FROM users"))
    with served.kit.database.write(user_id) as tx:
        text = "UPDATE screenings SET wording_sha256 = NULL"
        tx.run(Query("forget", text, text))
    assert "have changed" in asking(alice).json()["detail"]


def test_a_cleared_block_becomes_careful_limits_and_comes_back(alice: Visitor, clock: Clock) -> None:
    alice.screened(none=False, conditions=["recent_head_injury"])
    assert asking(alice).status_code == 409
    assert alice.get("/api/v1/clearances").json() == {"items": [], "clearable": ["recent_head_injury"]}
    made = clear(alice, "recent_head_injury", note="Dr. Who, at the check-up")
    assert made.status_code == 201, made.text
    assert made.json()["counts"] is True
    asked = asking(alice)
    assert asked.status_code == 409
    assert "you recorded that a clinician cleared it: at most 13 Hz, volume at most 40" in asked.json()["confirm"][0]
    session = asking(alice, confirm=True, target_state="alert_focus").json()
    assert (session["target_hz"], session["volume_level"]) == (13, 40)
    assert asking(alice, confirm=True, target_state="peak_focus").status_code == 409
    assert clear(alice, "recent_head_injury").status_code == 409  # it is on record already
    archive = zipfile.ZipFile(io.BytesIO(alice.get("/api/v1/export").content))
    assert "Dr. Who" in json.loads(archive.read("data/clearances.json"))[0]["statement"]
    assert alice.delete(f"/api/v1/clearances/{made.json()['id']}").status_code == 204
    assert asking(alice, confirm=True).status_code == 409
    assert alice.delete(f"/api/v1/clearances/{made.json()['id']}").status_code == 404
    assert clear(alice, "recent_head_injury").status_code == 201
    assert asking(alice, confirm=True).status_code == 201
    again(alice, clock, days=365)
    alice.screened(none=False, conditions=["recent_head_injury"])
    assert asking(alice, confirm=True).json()["title"] == "Not with your safety answers"


def test_a_new_report_blocks_again_however_it_arrives(served: Served, alice: Visitor, clock: Clock) -> None:
    def rated(**effects: int) -> str:
        made = asking(alice, background_only=True).json()["id"]
        clock.advance(minutes=6)
        alice.rate(made, rating=2, effects=effects)
        return str(made)

    first = rated(chest_pain=2)
    assert asking(alice).status_code == 409
    assert clear(alice, "adverse:chest_pain", on="2026-11-24").json()["errors"][0]["field"] == "cleared_on"
    assert clear(alice, "adverse:chest_pain").status_code == 201
    assert asking(alice, confirm=True).status_code == 201
    alice.screened()  # neither does answering anew end it, nor changing the report that was known
    alice.put(f"/api/v1/sessions/{first}/feedback", json={"rating": 3, "effects": {"chest_pain": 1}})
    assert asking(alice, confirm=True).status_code == 201
    rated(chest_pain=1)
    assert asking(alice, confirm=True).status_code == 409
    assert alice.get("/api/v1/clearances").json()["clearable"] == ["adverse:chest_pain"]
    assert clear(alice, "adverse:chest_pain").status_code == 201
    assert asking(alice, confirm=True).status_code == 201
    other = rated(calm=1)
    alice.put(f"/api/v1/sessions/{other}/feedback", json={"rating": 3, "effects": {"chest_pain": 1}})  # an old one, edited
    assert asking(alice, confirm=True).status_code == 409
    rated(seizure=1)
    assert clear(alice, "adverse:seizure").json()["errors"][0]["allowed"] == ["adverse:chest_pain"]


def test_nobody_clears_anything_without_the_password_and_a_tick(alice: Visitor) -> None:
    alice.screened(none=False, conditions=["recent_head_injury", "epilepsy"])
    assert clear(alice, "recent_head_injury", password="not this one at all").json()["errors"][0]["field"] == "password"
    assert clear(alice, "recent_head_injury", understood=False).status_code == 422
    assert clear(alice, "epilepsy").json()["errors"][0]["field"] == "condition"
    assert alice.get("/api/v1/clearances").json()["items"] == []
    alice.post("/sign-in", data={"email": ALICE.email, "password": ALICE.password})
    form = {"condition": "recent_head_injury", "cleared_on": "2026-11-25", "password": ALICE.password}
    assert alice.post("/clearances", data=form).status_code == 422
    assert alice.post("/clearances", data={**form, "understood": "yes"}).status_code == 303
    assert asking(alice, confirm=True).status_code == 409  # epilepsy is still there
    assert "A head injury in the last year" in alice.get("/clearances").text
