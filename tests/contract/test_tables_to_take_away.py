"""CSV of diary and sessions: one's own, complete, safe in a spreadsheet; and the history that can be narrowed."""

from __future__ import annotations

import csv
import io
from typing import Any

from tests.cast import Clock
from tests.served import Visitor


def table(answer: Any) -> list[dict[str, str]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/csv")
    assert "no-store" in answer.headers["cache-control"]
    assert answer.headers["content-disposition"].startswith("attachment")
    return list(csv.DictReader(io.StringIO(answer.text, newline="")))


def test_the_diary_comes_out_whole_and_no_note_becomes_a_formula(alice: Visitor, bob: Visitor) -> None:
    for date, notes in (("2026-11-24", '=HYPERLINK("http://evil.example","x")'), ("2026-11-25", 'Rain, "all"\nnight')):
        kept = alice.post("/api/v1/progress", json={"date": date, "sleep_quality": 7, "notes": notes, "metrics": {"steps": 9}})
        assert kept.status_code == 201, kept.text
    newest, oldest = table(alice.get("/progress.csv"))
    assert (newest["date"], newest["sleep_of_10"], newest["stress_of_10"], newest["notes"]) == ("2026-11-25", "7", "", 'Rain, "all"\nnight')
    assert oldest["notes"] == '\'=HYPERLINK("http://evil.example","x")'
    assert oldest["metrics"] == '{"steps":9.0}'
    assert table(bob.get("/progress.csv")) == []


def test_sessions_come_out_with_their_ratings_in_the_zone_of_the_person(alice: Visitor, bob: Visitor, clock: Clock) -> None:
    first = alice.session()
    clock.advance(minutes=9)
    second = alice.session(target_state="sleep", headphones=False)
    alice.rate(first["id"], rating=2, effectiveness=9)
    liked = alice.get("/api/v1/preferences").json()
    assert alice.put("/api/v1/preferences", json={**liked, "time_zone": "Asia/Kolkata"}).status_code == 200
    newest, oldest = table(alice.get("/sessions.csv"))
    assert [newest["id"], oldest["id"]] == [second["id"], first["id"]]
    assert oldest["start"] == "2026-11-25T15:30:00+05:30"
    assert (oldest["rating_of_5"], oldest["effectiveness_of_10"], oldest["minutes"], oldest["to_state"]) == ("2", "9", "5.0", "calm_focus")
    assert (newest["rating_of_5"], newest["method"]) == ("", "isochronic")
    assert table(bob.get("/sessions.csv")) == []


def test_history_shows_only_what_was_asked_for(alice: Visitor) -> None:
    calm, sleep = alice.session()["id"], alice.session(target_state="sleep")["id"]
    alice.rate(calm)

    def shown(query: str) -> set[str]:
        page = alice.get(f"/history{query}")
        assert page.status_code == 200, page.text
        return {one for one in (calm, sleep) if f'href="/sessions/{one}"' in page.text}

    assert shown("") == {calm, sleep}
    assert shown("?to_state=sleep") == {sleep}
    assert shown("?rated=yes") == {calm}
    assert shown("?rated=no") == {sleep}
    assert shown("?to_state=sleep&rated=yes") == set()
    assert shown("?to_state=&rated=") == {calm, sleep}


def test_history_refuses_what_it_does_not_know(alice: Visitor) -> None:
    for query in ("?to_state=bliss", "?rated=perhaps", "?before=not-an-id"):
        answer = alice.get(f"/history{query}")
        assert answer.status_code == 422, query
        assert "bliss" not in answer.text
        assert "What to change" in answer.text


def test_the_effect_of_sessions_is_shown_by_where_they_led(alice: Visitor, clock: Clock) -> None:
    for effectiveness in (9, 6):
        alice.rate(alice.session()["id"], effectiveness=effectiveness)
        clock.advance(minutes=6)
    page = alice.get("/progress").text
    assert "Calm focus 7.5 from 2 ratings" in page
