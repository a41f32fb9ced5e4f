"""Planning within the safety answers, following, finding and rating sessions; what is exported, paused and not learned."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from typing import Any

import pytest

from stillwave.db.tables import TABLES
from tests.cast import ALICE, Clock
from tests.served import Visitor


def ask(visitor: Visitor, **wish: Any) -> tuple[int, Any]:
    answer = visitor.post("/api/v1/sessions", json={"target_state": "calm_focus", "minutes": 5, **wish})
    return answer.status_code, answer.json()


def profile(visitor: Visitor) -> dict[str, Any]:
    return visitor.get("/api/v1/profile").json()


def learned(visitor: Visitor) -> tuple[int, list[int]]:
    """How many ratings the profile and each band have taken in."""
    known = profile(visitor)
    return known["ratings"], [band["ratings"] for band in known["bands"]]


def rated(visitor: Visitor, clock: Clock, wish: dict[str, Any] | None = None, **told: Any) -> str:
    session = visitor.session(**(wish or {}))["id"]
    clock.advance(minutes=6)
    visitor.rate(session, **told)
    return str(session)


# --- screening ----------------------------------------------------------------------------------


def test_before_the_safety_questions_nothing_is_planned(served) -> None:
    alice = served.visitor()
    alice.sign_up(ALICE)
    status, refused = ask(alice)
    assert status == 409
    assert refused["title"] == "The safety questions come first"
    assert refused["next"] == "/screening"
    assert alice.get("/start").headers["location"] == "/"


@pytest.mark.parametrize("condition", ["epilepsy", "seizure_history", "recent_head_injury", "acute_psychosis"])
def test_a_blocking_condition_is_refused_with_the_reason_and_what_is_possible(alice: Visitor, condition: str) -> None:
    left = alice.screened(none=False, conditions=[condition])
    assert left["blocked"]
    assert left["states"] == []
    for wish in ({}, {"confirm": True}, {"headphones": False}):
        status, refused = ask(alice, **wish)
        assert status == 409
        assert refused["title"] == "Not with your safety answers"
        assert "no rhythmic tones" in refused["detail"]
        assert refused["possible"] == ["Background sound without rhythmic tones"]
        assert refused["background_only"] is True
    assert alice.get("/api/v1/sessions").json()["items"] == []
    page = alice.post("/sessions", data={"target_state": "calm_focus", "minutes": "5"})
    assert page.status_code == 409
    assert "Background sound without rhythmic tones" in page.text


def test_too_young_means_background_only(alice: Visitor) -> None:
    assert alice.screened(age_group="under_16")["blocked"]
    assert ask(alice)[0] == 409
    status, made = ask(alice, background_only=True)
    assert (status, made["method"], made["target_hz"]) == (201, "none", None)


def test_what_a_condition_leaves_is_offered(alice: Visitor) -> None:
    left = alice.screened(none=False, conditions=["ptsd"])
    assert not left["blocked"]
    assert "sleep" not in left["states"]
    status, refused = ask(alice, target_state="sleep", confirm=True)
    assert status == 409
    assert "Calm focus" in refused["possible"]
    assert "Sleep" not in refused["possible"]


def test_background_only_works_and_teaches_nothing(alice: Visitor, clock: Clock) -> None:
    alice.screened(none=False, conditions=["epilepsy"])
    made = alice.session(background_only=True, background="none")
    assert (made["method"], made["target_hz"], made["background"]) == ("none", None, "nature")
    assert "safety answers" in made["reason"]
    before = profile(alice)["bands"]
    clock.advance(minutes=6)
    alice.rate(made["id"], rating=5, effectiveness=10)
    assert profile(alice)["bands"] == before
    assert learned(alice)[1] == [0, 0, 0, 0, 0]


def test_what_needs_care_is_confirmed_first(alice: Visitor) -> None:
    alice.screened(none=False, conditions=["migraine"])
    status, refused = ask(alice)
    assert status == 409
    assert refused["title"] == "Please read and confirm first"
    assert refused["confirm"] == ["Migraine: at most 13 Hz, volume at most 35."]
    assert alice.get("/api/v1/sessions").json()["items"] == []
    status, made = ask(alice, confirm=True)
    assert status == 201
    assert made["volume_level"] <= 35
    assert made["target_hz"] <= 13


def test_ones_own_words_are_read_with_care(alice: Visitor) -> None:
    alice.screened(none=False, other="something the list does not know")
    status, refused = ask(alice)
    assert status == 409
    assert len(refused["confirm"]) == 1
    status, made = ask(alice, confirm=True, target_state="morning_wake")
    assert status == 201
    assert made["target_hz"] <= 13
    assert made["volume_level"] <= 40


def test_a_session_is_shortened_and_says_so(alice: Visitor) -> None:
    alice.screened(none=False, conditions=["family_epilepsy"])
    status, made = ask(alice, minutes=60, confirm=True)
    assert status == 201
    assert made["seconds"] == 15 * 60
    assert made["warnings"] == ["Shortened to 15 minutes because of your safety answers."]


@pytest.mark.parametrize(("condition", "most"), [("tinnitus", 30), ("hyperacusis", 25), ("hearing_loss", 45)])
def test_the_volume_stays_below_what_the_ears_allow(alice: Visitor, condition: str, most: int) -> None:
    free = alice.session(background_only=True)["volume_level"]
    alice.screened(none=False, conditions=[condition])
    assert alice.session(background_only=True)["volume_level"] == min(free, most)


def test_several_conditions_leave_the_least(alice: Visitor) -> None:
    alice.screened(none=False, conditions=["pregnancy", "hyperacusis", "family_epilepsy"])
    status, made = ask(alice, minutes=60, confirm=True)
    assert status == 201
    assert made["volume_level"] <= 25
    assert made["seconds"] == 15 * 60
    assert 4 <= made["target_hz"] <= 13


# --- following and finding ----------------------------------------------------------------------


def test_a_session_is_followed_to_its_end(alice: Visitor, clock: Clock) -> None:
    made = alice.session(background_only=True)
    path = f"/api/v1/sessions/{made['id']}"
    assert (made["position_s"], made["end_time"]) == (0, None)
    assert alice.patch(path, json={"position_s": 61.7}).json()["position_s"] == 61
    assert alice.patch(path, json={"position_s": 9_999}).json()["position_s"] == 300
    ended = clock.advance(minutes=5)
    over = alice.patch(path, json={"position_s": 300, "ended": True}).json()
    assert over["end_time"] == ended.isoformat().replace("+00:00", "Z")
    clock.advance(hours=1)
    again = alice.patch(path, json={"position_s": 10, "ended": True}).json()
    assert again["end_time"] == over["end_time"]
    assert alice.get(path).json() == again


def test_pages_hold_every_session_exactly_once(alice: Visitor, clock: Clock) -> None:
    made = []
    for number in range(23):
        if number % 4 == 0:  # several begin in the same millisecond
            clock.advance(milliseconds=1)
        made.append(alice.session(background_only=True)["id"])
    for limit in (1, 5, 23, 100):
        walked, url = [], f"/api/v1/sessions?limit={limit}"
        while url:
            page = alice.get(url).json()
            assert len(page["items"]) <= limit
            walked += [session["id"] for session in page["items"]]
            url = page["next"]
        assert walked == sorted(made, reverse=True), limit
    shown = alice.get("/history").text
    older = alice.get(f"/history?before={sorted(made, reverse=True)[19]}").text
    assert [sum(f"/sessions/{each}" in text for text in (shown, older)) for each in made] == [1] * 23


# --- rating -------------------------------------------------------------------------------------


def test_a_session_is_rated_once_changed_and_taken_back(alice: Visitor, clock: Clock) -> None:
    nothing = profile(alice)["bands"]
    session = rated(alice, clock, rating=1, effectiveness=1, feedback_text="too much")
    path = f"/api/v1/sessions/{session}/feedback"
    bad = profile(alice)["bands"]
    assert bad != nothing
    again = alice.post(path, json={"rating": 5})
    assert again.status_code == 409
    assert "already" in again.json()["detail"]
    assert profile(alice)["bands"] == bad

    changed = alice.put(path, json={"rating": 5, "effectiveness": 10})
    assert changed.status_code == 200
    told = alice.get(path).json()
    assert (told["rating"], told["feedback_text"]) == (5, None)
    assert alice.get(f"/api/v1/sessions/{session}").json()["effectiveness"] == 10
    assert learned(alice)[0] == 1
    assert profile(alice)["base_frequency_response"] != bad

    assert alice.delete(path).status_code == 204
    assert alice.get(path).status_code == 404
    assert alice.delete(path).status_code == 404
    assert alice.put(path, json={"rating": 5}).status_code == 404
    assert profile(alice)["bands"] == nothing
    assert alice.get(f"/api/v1/sessions/{session}").json()["effectiveness"] is None
    assert alice.get("/api/v1/progress/summary").json()["avg_effectiveness"] is None
    assert alice.post(path, json={"rating": 3}).status_code == 201


def test_a_session_of_the_future_is_not_rated(alice: Visitor, clock: Clock) -> None:
    session = alice.session(background_only=True)["id"]
    clock.advance(days=-1)
    answer = alice.post(f"/api/v1/sessions/{session}/feedback", json={"rating": 5})
    assert answer.status_code == 409
    assert "clock" in answer.json()["detail"]


def test_while_paused_nothing_is_planned_and_nothing_learned(alice: Visitor, clock: Clock) -> None:
    first = rated(alice, clock, rating=4)
    second = alice.session()["id"]
    clock.advance(minutes=6)
    before = profile(alice)
    assert alice.put("/api/v1/restriction", json={"on": True}).json() == {"on": True}
    status, refused = ask(alice)
    assert (status, refused["next"]) == (403, "/privacy")
    assert alice.post("/sessions", data={"target_state": "calm_focus", "minutes": "5"}).status_code == 403
    alice.rate(second, rating=1, effectiveness=1)
    after = profile(alice)
    assert (after["ratings"], after["bands"], after["volume"]) == (1, before["bands"], before["volume"])
    assert alice.get(f"/api/v1/sessions/{first}").status_code == 200  # kept and shown
    assert alice.get("/api/v1/export").status_code == 200
    assert alice.put("/api/v1/restriction", json={"on": False}).status_code == 200
    assert ask(alice)[0] == 201


def test_with_learning_off_a_rating_changes_nothing(alice: Visitor, clock: Clock) -> None:
    assert alice.put("/api/v1/profile/adaptation", json={"on": False}).status_code == 200
    assert not profile(alice)["adaptation_on"]
    before = alice.session()
    session = rated(alice, clock, rating=1, effectiveness=1, pace="too_fast", level="too_loud")
    assert learned(alice) == (0, [0, 0, 0, 0, 0])
    assert alice.get(f"/api/v1/sessions/{session}/feedback").json()["rating"] == 1
    after = alice.session()
    assert [after[name] for name in ("target_hz", "volume_level", "reason")] == [
        before[name] for name in ("target_hz", "volume_level", "reason")
    ]
    assert alice.put("/api/v1/profile/adaptation", json={"on": True}).status_code == 200
    assert learned(alice) == (0, [0, 0, 0, 0, 0])  # what was told while it was off is never learned
    rated(alice, clock, rating=5)
    assert learned(alice)[0] == 1
    given = [c for c in alice.get("/api/v1/consents").json() if c["purpose"] == "adaptation"]
    assert [c["withdrawn_at"] is None for c in given] == [False, True]


@pytest.mark.parametrize("flag", ["seizure", "hallucination"])
@pytest.mark.parametrize("learning", [True, False])
def test_a_red_flag_blocks_the_next_plan(alice: Visitor, clock: Clock, flag: str, learning: bool) -> None:
    alice.put("/api/v1/profile/adaptation", json={"on": learning})
    session = rated(alice, clock, rating=3, effects={flag: 1})
    status, refused = ask(alice, confirm=True)
    assert status == 409
    assert flag in refused["detail"]
    assert ask(alice, background_only=True)[0] == 201
    # neither taking the rating back nor answering the questions again clears it
    assert alice.delete(f"/api/v1/sessions/{session}/feedback").status_code == 204
    assert alice.screened()["blocked"]
    assert ask(alice, confirm=True)[0] == 409


# --- the export ---------------------------------------------------------------------------------


def test_the_export_holds_every_column_opened(alice: Visitor, clock: Clock) -> None:
    alice.screened(none=False, other="vertigo on ladders")
    made = alice.post("/api/v1/sessions", json={"target_state": "calm_focus", "minutes": 5, "confirm": True},
                      headers={"Idempotency-Key": "one"})  # fmt: skip
    clock.advance(minutes=6)
    alice.rate(made.json()["id"], rating=2, feedback_text="rather loud", effects={"headache": 2})
    alice.post("/api/v1/progress", json={"date": "2026-11-25", "sleep_quality": 3, "notes": "a long walk", "metrics": {"km": 7.5}})
    alice.post("/api/v1/recoveries", json={"email": ALICE.email})
    answer = alice.get("/api/v1/export")
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    rows = {name[5:-5]: json.loads(body) for name, body in files.items() if name.startswith("data/")}

    left_out = json.loads(files["left-out.json"])
    for table in TABLES:
        exported = [column for column in table.columns if column.kept_back is None and table.owner]
        if not exported:
            assert table.name not in rows
            continue
        assert rows[table.name] or table.name == "unlink_outbox", f"nothing of {table.name} to look at"
        for column in exported:
            for name, _ in column.on("sqlite"):
                assert all(name in row for row in rows[table.name]), f"{table.name}.{name}"
        for column in table.columns:
            if column.kept_back:
                assert all(column.name not in row for row in rows[table.name])
                assert left_out[f"{table.name}.{column.name}"] == column.kept_back

    assert rows["users"][0]["email"] == ALICE.email
    assert rows["users"][0]["phone_number"] == ALICE.phone_number
    assert rows["users"][0]["processing_restricted"] is False
    assert rows["neural_profiles"][0]["contraindications"] == [["other:vertigo on ladders"]]
    assert any("vertigo on ladders" in row["answers"] for row in rows["screenings"])
    assert rows["session_feedback"][0]["feedback_text"] == "rather loud"
    assert rows["session_feedback"][0]["physical_effects"] == {"headache": 2}
    assert rows["progress_tracking"][0]["notes"] == "a long walk"
    assert rows["progress_tracking"][0]["metrics"] == {"km": 7.5}
    assert rows["sessions"][0]["programme"]["segments"]
    assert not any(b"sw1." in body for body in files.values())
    assert ALICE.password.encode() not in b"".join(files.values())
    manifest = json.loads(files["manifest.json"])
    assert manifest == {name: hashlib.sha256(body).hexdigest() for name, body in files.items() if name != "manifest.json"}
