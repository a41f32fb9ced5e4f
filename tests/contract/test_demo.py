"""The demo account has three months of history that look like somebody's life."""

from __future__ import annotations

from typing import Any

import msgspec

from stillwave import demo
from stillwave.accounts import actions as accounts
from stillwave.db.database import open_database
from stillwave.db.ids import NEWEST
from stillwave.profiles import actions as profiles
from stillwave.progress import actions as progress
from stillwave.sessions import actions as sessions
from stillwave.settings import Settings
from tests.cast import NOW, Clock
from tests.served import Served, serving


def test_the_demo_account_has_learned_from_three_months(database: Any) -> None:
    steps: list[tuple[int, int]] = []
    email, password = demo.fill(database, NOW, lambda done, of: steps.append((done, of)))
    assert steps[-1] == (91, 91)
    assert len(password) >= 12
    with database.read() as tx:
        person = accounts.by_email(tx, email)
        tx.act_as(person.id)
        known = profiles.current(tx, person.id, NOW)
        rows = sessions.page(tx, person.id, NEWEST, 1000, now=NOW)
        summary = progress.summary(tx, person.id)
    assert 90 < len(rows) < 220
    assert summary.total_sessions == len(rows)
    assert all(row.start_time < NOW for row in rows)
    assert 60 < known.response.n < len(rows)
    assert sum(band.n > 0 for band in known.response.bands.values()) >= 3
    assert summary.avg_sleep_quality is not None
    assert 4 < summary.avg_sleep_quality < 9


def test_filling_again_replaces_the_demo_account(database: Any) -> None:
    first, _ = demo.fill(database, NOW, lambda *_: None)
    with database.read() as tx:
        before = accounts.by_email(tx, first).id
    demo.fill(database, NOW, lambda *_: None)
    with database.read() as tx:
        assert accounts.by_email(tx, first).id != before
        assert accounts.people(tx).total == 1


def test_the_demo_is_one_press_away_on_ones_own_machine(served: Served, clock: Clock) -> None:
    visitor = served.visitor()
    assert "/demo" in visitor.get("/").text
    opened = visitor.post("/demo")
    assert opened.status_code == 303
    assert visitor.get("/api/v1/profile").json()["ratings"] > 60


def test_a_server_that_others_reach_offers_no_demo(settings: Settings, clock: Clock) -> None:
    public = msgspec.structs.replace(settings, base_url="https://sw.example.org")
    with serving(public, open_database(public), clock) as served:
        visitor = served.visitor()
        assert "/demo" not in visitor.get("/").text
        assert visitor.post("/demo").status_code == 403
