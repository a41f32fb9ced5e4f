"""What SQLite reads for one person does not grow with all that they ever did, where a statement names a session or a time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from stillwave.db.database import Queries, Query, open_database
from stillwave.feedback.store import SQL as FEEDBACK
from stillwave.profiles.store import SQL as PROFILES
from stillwave.progress.store import SQL as PROGRESS
from stillwave.sessions.store import SQL as SESSIONS
from stillwave.settings import Settings


@pytest.fixture(scope="module")
def plan(settings_on: Callable[[str], Settings]) -> Iterator[Callable[[Query], str]]:
    opened = open_database(settings_on("sqlite"))
    connection: Any = opened.raw()

    def found(query: Query) -> str:
        names = re.findall(r":([a-z_]+)", query.sqlite)
        rows = connection.execute(f"EXPLAIN QUERY PLAN {query.sqlite}", dict.fromkeys(names, "1")).fetchall()
        return "\n".join(row[3] for row in rows)

    yield found
    connection.close()
    opened.close()


def of(queries: Queries, *names: str) -> list[Any]:
    return [pytest.param(getattr(queries, name), id=name) for name in names]


@pytest.mark.parametrize("query", [
    *of(FEEDBACK, "feedback_of", "rate_first", "rate_session", "unrate_session", "replace_feedback", "delete_feedback"),
    *of(SESSIONS, "session_by_id", "set_position", "end_session", "audio_of", "set_measured", "set_size"),
    *of(PROFILES, "latest_rating", "reveal_one"),
])  # fmt: skip
def test_one_session_is_found_by_its_id(plan: Callable[[Query], str], query: Query) -> None:
    told = plan(query)
    assert not re.search(r"\bSCAN\b|\(user_id=\?\)", told), told


@pytest.mark.parametrize("query", [*of(PROFILES, "heard_since", "session_before"), *of(PROGRESS, "listened", "session_times", "played")])
def test_a_time_is_found_by_the_ids_that_hold_it(plan: Callable[[Query], str], query: Query) -> None:
    assert "(user_id=? AND id>?)" in plan(query)


@pytest.mark.parametrize("query", of(PROFILES, "compared", "reveal_all"))
def test_the_ratings_of_many_sessions_are_each_found_by_their_session(plan: Callable[[Query], str], query: Query) -> None:
    assert "SEARCH f USING INDEX idx_session_feedback_session (user_id=? AND session_id=? AND session_start_time=?)" in plan(query)
