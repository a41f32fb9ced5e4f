"""A page of sessions is looked for in recent months first; it holds what a look at everything would find."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID

import pytest

from stillwave.db.ids import NEWEST
from stillwave.profiles import store as profiles
from stillwave.sessions import actions as sessions
from tests import rows
from tests.cast import ALICE, NOW

A = UUID(str(rows.user(ALICE)["id"]))
# Days before now; 100 and 300 are where a look ends. Two began at the same moment, one lies in the future.
AGES = (-3, 0, 1, 40, 99, 100, 100, 101, 160, 299, 300, 301, 700, 2000)


@pytest.fixture
def lived(database: Any) -> list[dict[str, Any]]:
    """Alice's sessions, newest first; every third was rated, the first of these twice."""
    made = [
        {**rows.session(A, NOW - dt.timedelta(days=age)), "target_state": "sleep" if n % 2 else "calm_focus"}
        for n, age in enumerate(AGES)
    ]
    database.prepare_months(NOW)
    with database.write() as tx:
        rows.insert(tx, "users", **rows.user(ALICE))
        for n, session in enumerate(made):
            rows.insert(tx, "sessions", **session, target_frequency=5.0, end_time=session["start_time"],
                        plan='{"target_hz": 5, "ramp_from_hz": 5, "transition_s": 60, "volume_level": 40, "minutes": 5, '
                             '"method": "binaural", "bed": "nature", "voice": "none", "base_hz": 200, "beat": true, '
                             f'"reason": "{AGES[n]}"}}')  # fmt: skip
            for again in range((n % 3 == 0) + (n == 0)):
                rows.insert(tx, "session_feedback", id=rows.id_at(NOW), user_id=A, session_id=session["id"], learns=False,
                            session_start_time=session["start_time"], rating=4 - again,
                            created_at=NOW + dt.timedelta(minutes=again))  # fmt: skip
    return sorted(made, key=lambda row: row["id"].int, reverse=True)


def test_pages_together_are_everything_in_order(database: Any, lived: list[Any]) -> None:
    with database.read(A) as tx:
        told = {row.id: row.feedbacks for row in sessions.everything(tx, A)}
        assert list(told) == [row["id"] for row in lived]
        for state, rated in (("", ""), ("sleep", ""), ("", "yes"), ("calm_focus", "no")):
            expected = [
                row["id"] for row in lived
                if state in ("", row["target_state"]) and (rated == "" or (rated == "yes") == (told[row["id"]] > 0))
            ]  # fmt: skip
            for most in (1, 2, 5, 50):
                found, before = [], NEWEST
                while page := sessions.page(tx, A, before, most, now=NOW, state=state, rated=rated):
                    assert len(page) <= most
                    found += [row.id for row in page]
                    before = found[-1]
                assert found == expected, (state, rated, most)


def test_a_page_shows_the_latest_rating(database: Any, lived: list[Any]) -> None:
    del lived
    with database.read(A) as tx:
        (newest, second, *_) = sessions.page(tx, A, NEWEST, 3, now=NOW)
    assert (newest.rating, newest.feedbacks) == (3, 2)
    assert (second.rating, second.feedbacks) == (None, 0)


def test_the_last_session_to_a_state_is_found_however_old(database: Any, lived: list[Any]) -> None:
    del lived
    with database.read(A) as tx:
        assert profiles.before(tx, A, "calm_focus", NOW).plan.reason == "1"  # type: ignore[union-attr]
        assert profiles.before(tx, A, "calm_focus", NOW + dt.timedelta(days=4)).plan.reason == "-3"  # type: ignore[union-attr]
        late = profiles.before(tx, A, "sleep", NOW + dt.timedelta(days=4000))
        assert late is not None
        assert late.plan.reason == "0"
        assert profiles.before(tx, A, "meditation", NOW) is None
