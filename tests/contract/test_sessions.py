"""Planning within the screening, following, listing, rating: what people may and may not do with sessions."""

from __future__ import annotations

import io
import json
import re
import zipfile
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from stillwave.db.database import Query
from stillwave.db.tables import tables_on
from tests.cast import ALICE, BOB, Clock
from tests.served import Served, Visitor


def asking(visitor: Visitor, **wish: Any) -> Any:
    return visitor.post("/api/v1/sessions", json={"target_state": "calm_focus", "minutes": 5, **wish})


# --- the screening ------------------------------------------------------------------------------


def test_before_the_safety_questions_nothing_is_planned(served: Served) -> None:
    visitor = served.visitor()
    visitor.sign_up(BOB)
    answer = asking(visitor)
    assert (answer.status_code, answer.json()["next"]) == (409, "/screening")


def test_a_blocked_person_is_told_why_and_what_is_still_possible(alice: Visitor) -> None:
    assert alice.screened(none=False, conditions=["epilepsy"])["blocked"] is True
    refused = asking(alice).json()
    assert refused["status"] == 409
    assert "Epilepsy" in refused["detail"]
    assert refused["possible"] == ["Background sound without rhythmic tones"]
    plain = asking(alice, background_only=True).json()
    assert (plain["method"], plain["target_hz"]) == ("none", None)
    assert "safety answers" in plain["reason"]


def test_background_sound_teaches_the_curve_nothing(alice: Visitor, clock: Clock) -> None:
    made = asking(alice, background_only=True).json()
    clock.advance(minutes=6)
    alice.rate(made["id"], rating=5)
    assert all(band["ratings"] == 0 for band in alice.get("/api/v1/profile").json()["bands"])


def test_what_needs_care_is_confirmed_and_kept_within_its_limits(alice: Visitor) -> None:
    alice.screened(none=False, conditions=["pregnancy"])
    first = asking(alice, minutes=60)
    assert first.status_code == 409
    assert first.json()["confirm"] == ["Pregnancy: 4 to 13 Hz, volume at most 40, at most 20 minutes."]
    made = asking(alice, minutes=60, confirm=True).json()
    assert (made["seconds"], made["volume_level"]) == (20 * 60, 40)
    assert "Shortened to 20 minutes" in made["warnings"][0]
    assert asking(alice, target_state="alert_focus", confirm=True).status_code == 201  # 13 Hz is left of it
    assert asking(alice, target_state="peak_focus", confirm=True).status_code == 409


def test_a_red_flag_blocks_the_next_beat_even_while_learning_is_off(alice: Visitor, clock: Clock) -> None:
    alice.put("/api/v1/profile/adaptation", json={"on": False})
    made = alice.session()
    clock.advance(minutes=6)
    alice.rate(made["id"], rating=1, effects={"fainting": 1})
    assert asking(alice).status_code == 409
    alice.screened()  # answering "none of these" does not clear it
    assert asking(alice).status_code == 409
    assert alice.get("/api/v1/profile").json()["blocked"] is True


def test_restriction_pauses_planning_and_learning(alice: Visitor, clock: Clock) -> None:
    made = alice.session()
    clock.advance(minutes=6)
    assert alice.put("/api/v1/restriction", json={"on": True}).json() == {"on": True}
    assert asking(alice).status_code == 403
    assert alice.rate(made["id"], rating=5)["learned"] is None
    assert alice.put("/api/v1/restriction", json={"on": False}).status_code == 200
    assert asking(alice).status_code == 201
    assert alice.get("/api/v1/profile").json()["ratings"] == 0


# --- following and listing ----------------------------------------------------------------------


def test_the_place_is_kept_and_never_beyond_the_end(alice: Visitor, clock: Clock) -> None:
    made = alice.session()
    address = f"/api/v1/sessions/{made['id']}"
    assert alice.patch(address, json={"position_s": 61.7}).json()["position_s"] == 61
    assert alice.patch(address, json={"position_s": 9999}).json()["position_s"] == 300
    clock.advance(minutes=5)
    ended = alice.patch(address, json={"position_s": 300, "ended": True}).json()
    assert ended["end_time"] == "2026-11-25T10:05:00Z"
    clock.advance(minutes=5)
    assert alice.patch(address, json={"position_s": 300, "ended": True}).json()["end_time"] == ended["end_time"]
    # Played once more, and left in the middle: no less was heard.
    assert alice.patch(address, json={"position_s": 5}).json()["position_s"] == 300
    assert alice.patch(address, json={"position_s": 7, "ended": True}).json()["position_s"] == 300


def test_the_progress_page_tells_the_minutes_of_the_week_and_their_dose(alice: Visitor, clock: Clock) -> None:
    assert "Nothing heard in the last seven days." in alice.get("/progress").text
    clock.advance(days=-8)
    long_ago = asking(alice, minutes=60).json()
    alice.patch(f"/api/v1/sessions/{long_ago['id']}", json={"position_s": 3600})
    clock.advance(days=8)
    for minutes in (40, 20):
        made = asking(alice, minutes=60).json()
        assert made["volume_level"] == 45
        alice.patch(f"/api/v1/sessions/{made['id']}", json={"position_s": 60 * minutes})
        clock.advance(minutes=1)
    page = " ".join(re.sub("<[^>]*>", "", alice.get("/progress").text).split())
    assert "This week: 60 minutes, less than 1 % of the weekly sound dose" in page
    assert "all the way up it could be about 2 %" in page


def test_pages_of_sessions_hold_each_once(alice: Visitor, clock: Clock) -> None:
    made = []
    for _ in range(7):
        made.append(alice.session()["id"])
        clock.advance(minutes=6)
    seen: list[str] = []
    address: str | None = "/api/v1/sessions?limit=3"
    sizes = []
    while address:
        page = alice.get(address).json()
        sizes.append(len(page["items"]))
        seen += [item["id"] for item in page["items"]]
        address = page["next"]
    assert seen == made[::-1]
    assert sizes == [3, 3, 1]


def test_sessions_of_the_same_millisecond_are_all_listed(alice: Visitor) -> None:
    made = {alice.session()["id"] for _ in range(3)}
    first = alice.get("/api/v1/sessions?limit=2").json()
    rest = alice.get(first["next"]).json()
    assert {item["id"] for item in first["items"] + rest["items"]} == made


# --- feedback -----------------------------------------------------------------------------------


def test_a_session_is_rated_once_and_the_rating_can_be_changed_or_taken_back(alice: Visitor, clock: Clock) -> None:
    made = alice.session()
    clock.advance(minutes=6)
    address = f"/api/v1/sessions/{made['id']}/feedback"
    assert alice.get(address).status_code == 404
    alice.rate(made["id"], rating=5, feedback_text="lovely")
    again = alice.post(address, json={"rating": 1})
    assert again.status_code == 409
    best = alice.get("/api/v1/profile").json()
    changed = alice.put(address, json={"rating": 1, "effects": {"headache": 2}}).json()
    assert (changed["rating"], changed["effects"], changed["feedback_text"]) == (1, {"headache": 2}, None)
    worse = alice.get("/api/v1/profile").json()
    assert worse["sensitivity_level"] > best["sensitivity_level"]
    assert alice.delete(address).status_code == 204
    assert alice.get("/api/v1/profile").json()["ratings"] == 0
    assert alice.delete(address).status_code == 404


def test_a_session_of_the_future_cannot_be_rated(alice: Visitor, clock: Clock) -> None:
    made = alice.session()
    clock.advance(hours=-1)
    assert alice.post(f"/api/v1/sessions/{made['id']}/feedback", json={"rating": 3}).status_code == 409


def test_two_answers_at_once_are_one(alice: Visitor, clock: Clock) -> None:
    made = alice.session()
    clock.advance(minutes=6)
    address = f"/api/v1/sessions/{made['id']}/feedback"
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: alice.post(address, json={"rating": 1 + n % 5}).status_code, range(8)))
    assert sorted(answers) == [201] + [409] * 7
    assert alice.get("/api/v1/profile").json()["ratings"] == 1


# --- idempotency --------------------------------------------------------------------------------


def test_twenty_identical_requests_with_one_key_make_one_session(served: Served, alice: Visitor, bob: Visitor) -> None:
    key = {"Idempotency-Key": "the same"}
    wish = {"target_state": "sleep", "minutes": 5}
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: alice.post("/api/v1/sessions", json=wish, headers=key), range(20)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1
    assert len(alice.get("/api/v1/sessions").json()["items"]) == 1

    other = alice.post("/api/v1/sessions", json={**wish, "minutes": 6}, headers=key)
    assert other.status_code == 422
    assert bob.post("/api/v1/sessions", json=wish, headers=key).json()["id"] != answers[0].json()["id"]


def test_a_refusal_does_not_use_up_the_key(alice: Visitor) -> None:
    key = {"Idempotency-Key": "again"}
    alice.screened(none=False, conditions=["epilepsy"])
    assert alice.post("/api/v1/sessions", json={"target_state": "sleep"}, headers=key).status_code == 409
    alice.screened()
    assert alice.post("/api/v1/sessions", json={"target_state": "sleep"}, headers=key).status_code == 201


@pytest.mark.parametrize("key", ["x" * 129, "ä"])
def test_a_key_that_cannot_be_used_is_refused(alice: Visitor, key: str) -> None:
    answer = alice.post(
        "/api/v1/sessions", json={"target_state": "sleep"}, headers=[(b"Idempotency-Key", key.encode("latin-1"))]
    )
    assert answer.status_code in (400, 422)


# --- taking everything out ----------------------------------------------------------------------


def test_the_export_holds_every_column_that_is_not_kept_back(served: Served, alice: Visitor, clock: Clock) -> None:
    made = alice.session()
    clock.advance(minutes=6)
    alice.rate(made["id"], feedback_text="a quiet hour")
    alice.post("/api/v1/progress", json={"date": "2026-11-25", "notes": "rain", "metrics": {"hours_slept": 7.5}})
    archive = zipfile.ZipFile(io.BytesIO(alice.get("/api/v1/export").content))
    names = set(archive.namelist())
    for table in tables_on(served.kit.database.engine):
        columns = {
            name for column in table.columns if column.kept_back is None for name, _ in column.on("sqlite")
        }
        if table.owner is None or not columns:
            continue
        rows = json.loads(archive.read(f"data/{table.name}.json"))
        for row in rows:
            assert set(row) == columns, table.name
    assert json.loads(archive.read("data/session_feedback.json"))[0]["feedback_text"] == "a quiet hour"
    assert json.loads(archive.read("data/progress_tracking.json"))[0]["metrics"] == {"hours_slept": 7.5}
    assert json.loads(archive.read("data/users.json"))[0]["email"] == "alice@example.org"
    assert "users.password_hash" in json.loads(archive.read("left-out.json"))
    import hashlib

    manifest = json.loads(archive.read("manifest.json"))
    assert names - {"manifest.json"} == set(manifest)
    assert all(hashlib.sha256(archive.read(name)).hexdigest() == digest for name, digest in manifest.items())
    assert b"sw1." not in b"".join(archive.read(name) for name in names)


def test_somebody_elses_session_is_not_there(alice: Visitor, bob: Visitor) -> None:
    made = alice.session()
    for method, path, body in (
        ("GET", "", None), ("PATCH", "", {"position_s": 1}), ("GET", "/audio.wav", None), ("GET", "/audio.flac", None),
        ("GET", "/measured", None), ("POST", "/feedback", {"rating": 1}), ("GET", "/feedback", None),
        ("PUT", "/feedback", {"rating": 1}), ("DELETE", "/feedback", None),
    ):  # fmt: skip
        answer = bob.request(method, f"/api/v1/sessions/{made['id']}{path}", json=body)
        assert answer.status_code == 404, path
    assert bob.get(f"/sessions/{made['id']}").status_code == 404
    assert bob.get(f"/sessions/{made['id']}/rate").status_code == 404
    login = alice.get("/api/v1/logins").json()[0]["id"]
    assert bob.delete(f"/api/v1/logins/{login}").status_code == 404
    assert bob.get("/operator").status_code == 403
    assert alice.get(f"/api/v1/sessions/{made['id']}").status_code == 200


# --- choices, diary, listening time -------------------------------------------------------------


def test_a_bad_night_makes_the_morning_gentler_and_says_so(alice: Visitor, clock: Clock) -> None:
    usual = alice.session(kind="morning", target_state="morning_wake", minutes=20)
    clock.advance(minutes=21)
    kept = alice.post("/api/v1/progress", json={"date": "2026-11-25", "metrics": {"hours_slept": 4.5}, "stress_level": 9})
    assert kept.status_code == 201
    gentle = alice.session(kind="morning", target_state="morning_wake", minutes=20)
    assert (gentle["seconds"], gentle["volume_level"]) == (15 * 60, usual["volume_level"] - 6)
    assert "your diary tells of a bad night and a tense day" in gentle["reason"]
    clock.advance(minutes=21)
    plain = alice.session(kind="morning", target_state="morning_wake", minutes=20, as_usual=True)
    assert (plain["seconds"], plain["volume_level"]) == (20 * 60, usual["volume_level"])


def test_as_last_time_and_a_surprise_can_be_asked_for(alice: Visitor, clock: Clock) -> None:
    assert "no earlier session" in alice.session(choice="last")["warnings"][0]
    clock.advance(minutes=6)
    heard = alice.session(listening="in_background", background="rain")
    alice.patch(f"/api/v1/sessions/{heard['id']}", json={"position_s": 100, "ended": True})
    clock.advance(minutes=6)
    alice.rate(heard["id"], rating=2)
    again = alice.session(choice="last", background="nature")
    same = ("target_hz", "method", "background", "volume_level")
    assert [again[name] for name in same] == [heard[name] for name in same]
    assert heard["method"] == "am"
    assert "As last time" in again["reason"]
    assert "which you rated 2 of 5" in again["reason"]
    clock.advance(minutes=6)
    assert "A surprise within what may suit you" in alice.session(choice="surprise")["reason"]
    refused = asking(alice, listening="in_background", background="none")
    assert refused.json()["errors"][0]["field"] == "background"


def test_a_damaged_profile_is_made_anew_and_that_is_said(served: Served, alice: Visitor, clock: Clock) -> None:
    def damage() -> None:
        with served.kit.database.write(right="operator") as tx:
            text = "UPDATE neural_profiles SET base_frequency_response = '{\"v\": 1, \"n\": \"many\"}'"
            tx.run(Query("damage", text, text))

    made = alice.session()
    clock.advance(minutes=6)
    alice.rate(made["id"], rating=5, effects={"headache": 3})
    known = alice.get("/api/v1/profile").json()
    damage()
    assert "made anew from your ratings" in alice.session()["warnings"][0]
    assert alice.get("/api/v1/profile").json() == known
    alice.put("/api/v1/profile/adaptation", json={"on": False})
    before = alice.session()
    damage()
    after = alice.session()
    assert after["volume_level"] == before["volume_level"]  # nobody's sessions become louder by damage
    assert "made anew from your ratings" in after["warnings"][0]
    alice.post("/sign-in", data={"email": ALICE.email, "password": ALICE.password})
    assert "learned anew from your ratings" in alice.get("/profile").text
