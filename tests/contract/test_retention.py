"""Old sessions go after a year; premium people and those who restricted processing keep theirs."""

from __future__ import annotations

import datetime as dt
from typing import Any

from stillwave.operator import actions
from tests import rows
from tests.cast import ALICE, BOB, CHARLIE, NOW

YEAR_AGO = NOW.replace(year=NOW.year - 1, hour=0)


def test_sessions_go_after_a_year_but_for_premium_and_restricted_people(database: Any) -> None:
    alice, bob, charlie = rows.user(ALICE), rows.user(BOB), rows.user(CHARLIE)
    with database.write() as tx:
        rows.insert(tx, "users", **alice)
        rows.insert(tx, "users", **bob, subscription_tier="premium")
        rows.insert(tx, "users", **charlie, processing_restricted=True)
        for person in (alice, bob, charlie):
            for start in (YEAR_AGO - dt.timedelta(days=400), YEAR_AGO - dt.timedelta(seconds=1), YEAR_AGO, NOW):
                session = rows.session(person["id"], start)
                rows.insert(tx, "sessions", **session)
                rows.insert(
                    tx, "session_feedback", user_id=person["id"], id=rows.id_at(start), session_id=session["id"],
                    session_start_time=start, rating=4, created_at=start,
                )  # fmt: skip
                rows.insert(
                    tx, "audio_files", user_id=person["id"], id=rows.id_at(start), session_id=session["id"],
                    session_start_time=start, file_path=f"{'0' * 32}.swf", duration=60,
                )  # fmt: skip
    with database.read() as tx:
        assert actions.expired(tx, NOW) == 2
    assert actions.clean_up(database, NOW) == 2
    with database.read() as tx:
        assert (rows.count(tx, "sessions"), rows.count(tx, "session_feedback")) == (10, 10)
        assert rows.count(tx, "unlink_outbox") == 2
        assert rows.count(tx, "profile_history") == 2 + 4  # Charlie's taught nothing
    assert actions.clean_up(database, NOW) == 0


def test_the_29th_of_february_has_a_year_before_it() -> None:
    leap_day = dt.datetime(2028, 2, 29, 12, tzinfo=dt.UTC)
    assert actions._a_year_before(leap_day) == dt.datetime(2027, 2, 28, tzinfo=dt.UTC)
