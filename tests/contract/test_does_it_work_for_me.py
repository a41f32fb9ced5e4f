"""The comparison: sessions without the beat that nobody can tell from the others until they ask."""

from __future__ import annotations

import re
from typing import Any

import pytest

from stillwave.db.database import Query
from stillwave.sound import encode
from stillwave.sound.programme import Programme
from tests.cast import ALICE, Clock
from tests.served import Served, Visitor

ARMS = "SELECT id, arm, programme, plan FROM sessions WHERE arm IS NOT NULL ORDER BY start_time"


def arms(served: Served) -> dict[str, str]:
    """Which half each session is, as only the database knows."""
    with served.kit.database.read(right="operator") as tx:
        return {str(row["id"]): row["arm"] for row in tx.rows(Query("arms", ARMS, ARMS))}


def hear(visitor: Visitor, clock: Clock, **wish: Any) -> Any:
    made = visitor.session(**wish)
    clock.advance(minutes=6)
    ended = visitor.patch(f"/api/v1/sessions/{made['id']}", json={"position_s": 300, "ended": True})
    assert ended.status_code == 200
    return made


def agree(visitor: Visitor, *, give: bool = True) -> None:
    assert visitor.put("/api/v1/consents/ab_sessions", json={"give": give}).status_code == 204


@pytest.fixture
def both(served: Served, alice: Visitor, clock: Clock) -> tuple[str, str]:
    """Alice has agreed and heard one session with and one without the beat, as far apart as it takes."""
    hear(alice, clock)
    agree(alice)
    found: dict[str, str] = {}
    while len(found) < 2:
        made = hear(alice, clock)["id"]
        found[arms(served)[made]] = made
    return found["beat"], found["steady"]


def blank(text: str, session: str) -> str:
    """An answer without what differs between any two sessions: ids, times, and the seed of the noise."""
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "ID", text.replace(session, "ID"))
    text = re.sub(r"2026-11-25T[0-9:.]+Z", "TIME", text)
    return re.sub(r"\d\d:\d\d", "CLOCK", text)


def test_nothing_that_can_be_asked_tells_the_two_apart(served: Served, alice: Visitor, both: tuple[str, str]) -> None:
    with served.kit.database.write(right="operator") as tx:
        text = "UPDATE audio_files SET frequency_data = '{\"beat_error_most_hz\": 0.001, \"windows\": [1]}'"
        tx.run(Query("measured", text, text))
    alice.post("/sign-in", data={"email": ALICE.email, "password": ALICE.password})
    for path in (
        "/api/v1/sessions/{}", "/api/v1/sessions/{}/measured", "/sessions/{}", "/sessions/{}/rate",
    ):  # fmt: skip
        beat, steady = (blank(alice.get(path.format(session)).text, session) for session in both)
        assert beat == steady, path
    assert alice.get(f"/api/v1/sessions/{both[0]}").json()["comparison"] == "hidden"
    page = alice.get(f"/sessions/{both[1]}").text
    assert "Binaural beats" in page
    assert "Beat frequency over the session" in page
    assert "We measured" not in page
    heads = [alice.get(f"/api/v1/sessions/{session}/audio.wav", headers={"Range": "bytes=0-99"}).headers for session in both]
    for name in ("content-length", "content-range", "content-type", "content-disposition"):
        assert heads[0][name] == heads[1][name]
    listed = {item["id"]: item for item in alice.get("/api/v1/sessions").json()["items"]}
    assert [listed[session]["method"] for session in both] == ["binaural", "binaural"]
    assert [listed[session]["target_hz"] for session in both] == [listed[both[0]]["target_hz"]] * 2


def test_rating_them_tells_nothing_either(alice: Visitor, both: tuple[str, str], clock: Clock) -> None:
    told = []
    for session in both:
        before = alice.get("/api/v1/profile").json()
        learned = alice.rate(session, rating=4)["learned"]
        after = alice.get("/api/v1/profile").json()
        assert after["bands"] == before["bands"]
        told.append((learned, after["ratings"] - before["ratings"], alice.session()["reason"]))
        clock.advance(minutes=6)
    assert told[0] == told[1]


def test_the_sounds_are_alike_but_for_the_beat(served: Served, both: tuple[str, str]) -> None:
    import msgspec

    with served.kit.database.read(right="operator") as tx:
        rows = {str(row["id"]): row for row in tx.rows(Query("arms", ARMS, ARMS))}
    beat, steady = (msgspec.json.decode(rows[session]["programme"], type=Programme) for session in both)
    assert (beat.method, steady.method) == ("binaural", "steady")
    assert msgspec.structs.replace(steady, method="binaural", seed=beat.seed) == beat
    assert encode.wav_size(beat) == encode.wav_size(steady)
    assert [msgspec.json.decode(rows[session]["plan"])["method"] for session in both] == ["binaural"] * 2


def test_looking_shows_the_difference_and_later_ratings_do_not_count(
    served: Served, alice: Visitor, clock: Clock
) -> None:
    hear(alice, clock)
    agree(alice)
    made = [hear(alice, clock)["id"] for _ in range(18)]
    known = arms(served)
    assert list(known) == made
    assert [list(known.values())[i : i + 6].count("steady") for i in (0, 6, 12)] == [2, 2, 2]
    for n, session in enumerate(made):
        alice.rate(session, rating=(5 if n % 2 else 4) if known[session] == "beat" else 2 - n % 2)
    held = alice.get("/api/v1/comparison").json()
    assert (held["hidden"], held["hidden_rated"], held["outcome"]["beat_n"], held["outcome"]["difference"]) == (18, 18, 0, None)
    shown = alice.post("/api/v1/comparison/reveal").json()
    assert (shown["hidden"], shown["outcome"]["beat_n"], shown["outcome"]["steady_n"]) == (0, 12, 6)
    assert shown["outcome"]["low"] > 1.5
    assert "with the beat higher" in shown["outcome"]["sentence"]
    assert sum(band["ratings"] for band in alice.get("/api/v1/profile").json()["bands"]) == 12
    for session in made:  # now that she knows
        alice.put(f"/api/v1/sessions/{session}/feedback", json={"rating": 3})
    assert alice.get("/api/v1/comparison").json()["outcome"] == shown["outcome"]
    alice.delete(f"/api/v1/sessions/{made[0]}/feedback")
    after = alice.get("/api/v1/comparison").json()["outcome"]
    assert after["beat_n"] + after["steady_n"] == 17
    assert {alice.get(f"/api/v1/sessions/{each}").json()["comparison"] for each in made} == {"beat", "steady"}
    alice.post("/sign-in", data={"email": ALICE.email, "password": ALICE.password})
    page = alice.get("/profile").text
    assert "95 % interval" in page
    assert "with the beat higher" in page


def test_one_session_can_be_looked_at_alone(served: Served, alice: Visitor, both: tuple[str, str]) -> None:
    alice.rate(both[1], rating=2)
    shown = alice.post(f"/api/v1/sessions/{both[1]}/reveal").json()
    assert shown["comparison"] == "steady"
    assert alice.post(f"/api/v1/sessions/{both[1]}/reveal").json() == shown
    assert alice.get(f"/api/v1/sessions/{both[0]}").json()["comparison"] == "hidden"
    compared = alice.get("/api/v1/comparison").json()
    assert compared["outcome"]["steady_n"] == 1
    assert "So far we cannot tell" in compared["outcome"]["sentence"]
    assert alice.get("/api/v1/profile").json()["bands"][2]["ratings"] == 0


def test_who_takes_part_and_when(served: Served, alice: Visitor, bob: Visitor, clock: Clock) -> None:
    agree(alice)
    alice.session()  # the first one of all is never part of it
    clock.advance(minutes=6)
    alice.session()  # nor the next, for the first was not heard
    clock.advance(minutes=6)
    assert arms(served) == {}
    hear(alice, clock)
    hear(bob, clock)
    hear(bob, clock)  # has not agreed
    for wish in ({"listening": "speaker"}, {"headphones": False}, {"listening": "in_background"}, {"target_state": "peak_focus"},
                 {"background_only": True}):  # fmt: skip
        assert hear(alice, clock, **wish)["comparison"] is None
    assert arms(served) == {}
    assert hear(alice, clock)["comparison"] == "hidden"
    assert hear(alice, clock, choice="surprise")["comparison"] == "hidden"
    agree(alice, give=False)
    assert hear(alice, clock)["comparison"] is None
    agree(alice)
    alice.screened(none=False, conditions=["epilepsy"])
    assert hear(alice, clock, background_only=True)["comparison"] is None
    assert len(arms(served)) == 2
