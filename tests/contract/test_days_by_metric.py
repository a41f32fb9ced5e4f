"""Days of the diary are found by a metric, one's own only, over HTTP and on the page."""

from __future__ import annotations

import pytest

from tests.served import Visitor


def keep(visitor: Visitor, date: str, **metrics: float) -> None:
    answer = visitor.post("/api/v1/progress", json={"date": date, "metrics": metrics, "notes": "kept"})
    assert answer.status_code in (200, 201), answer.text


def test_days_are_found_by_a_metric(alice: Visitor, bob: Visitor) -> None:
    keep(alice, "2026-11-20", caffeine=2, steps=9000)
    keep(alice, "2026-11-21", steps=7000)
    keep(alice, "2026-11-22", **{"caf'feine %?": 1})
    keep(bob, "2026-11-20", caffeine=5)

    def found(metric: str) -> list[tuple[str, str]]:
        answer = alice.get("/api/v1/progress", params={"metric": metric})
        assert answer.status_code == 200, answer.text
        return [(day["date"], day["notes"]) for day in answer.json()["items"]]

    assert found("caffeine") == [("2026-11-20", "kept")]
    assert found("steps") == [("2026-11-21", "kept"), ("2026-11-20", "kept")]
    assert found("caf'feine %?") == [("2026-11-22", "kept")]
    assert found("CAFFEINE") == found("$.caffeine") == found("' OR 1=1 --") == []
    page = alice.get("/progress", params={"metric": "caffeine"}).text
    assert "Days with caffeine" in page
    assert "20 November 2026" in page
    assert "21 November 2026" not in page
    assert "No day holds tea." in alice.get("/progress", params={"metric": "tea"}).text


@pytest.mark.parametrize("name", ["", "x" * 41, "a\x00b"])
def test_what_is_no_name_of_a_metric_is_refused(alice: Visitor, name: str) -> None:
    answer = alice.get("/api/v1/progress", params={"metric": name})
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["field"] == "metric"
