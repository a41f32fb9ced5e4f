"""What operators do, and who was refused, is on record: in the log of the person it is about, or in the installation's own."""

from __future__ import annotations

import concurrent.futures
import datetime as dt
from typing import Any
from uuid import UUID

import pytest
from typer.testing import CliRunner

from stillwave.accounts import actions as accounts
from stillwave.cli import app
from stillwave.db import audit
from stillwave.jobs import actions as jobs
from stillwave.jobs.rules import NOBODY
from stillwave.settings import Settings
from tests.cast import ALICE, BOB, NOW, ROOT_KEY
from tests.served import Served, Visitor


def log_of(database: Any, user_id: UUID) -> list[tuple[str, str]]:
    with database.read(user_id) as tx:
        return [(event.action, event.actor) for event in audit.events(tx, user_id, 999, 999)]


def test_refused_sign_ins_are_on_record(served: Served, alice: Visitor) -> None:
    me = UUID(alice.get("/api/v1/me").json()["id"])
    for email in (ALICE.email, "nobody@example.org"):
        refused = served.visitor().post("/api/v1/logins", json={"email": email, "password": "quite another thing"})
        assert refused.status_code == 401
    assert log_of(served.kit.database, me)[0] == ("login.refused", "self")
    # An address without an account costs the same line, in nobody's log.
    assert log_of(served.kit.database, NOBODY) == [("login.refused", "self")]


def test_wrong_codes_of_the_second_step_are_on_record(served: Served, alice: Visitor) -> None:
    me = UUID(alice.get("/api/v1/me").json()["id"])
    alice.set_up_second_step(ALICE, NOW)
    waiting = served.visitor()
    waiting.sign_in(ALICE)
    assert waiting.post("/api/v1/logins/second-step", json={"code": "000000"}).status_code == 422
    assert log_of(served.kit.database, me)[0] == ("second_step.refused", "self")


@pytest.fixture
def stillwave(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The command line over the same database."""
    monkeypatch.setenv("STILLWAVE_DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("STILLWAVE_ROOT_KEY", ROOT_KEY)
    monkeypatch.setenv("STILLWAVE_NEW_PASSWORD", ALICE.password)
    if settings.database_url:
        monkeypatch.setenv("STILLWAVE_DATABASE_URL", settings.database_url)

    def run(*words: str) -> None:
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, done.output

    return run


def test_what_operators_do_is_on_record(database: Any, stillwave: Any) -> None:
    stillwave("user", "create", ALICE.email, ALICE.phone_number)
    with database.read(right="operator") as tx:
        alice = accounts.by_email(tx, ALICE.email).id
    stillwave("user", "list")
    stillwave("user", "recover", ALICE.email)
    stillwave("user", "tier", ALICE.email, "premium")
    assert log_of(database, alice) == [
        ("account.tier", "operator"), ("recovery.asked", "operator"), ("contact.listed", "operator"), ("account.created", "operator"),
    ]  # fmt: skip
    with database.write(NOBODY) as tx:
        jobs.enqueue(tx, NOBODY, "sweep", "", NOW)
        job = jobs.claim(tx, "quick", NOW)
        assert job
        jobs.bury(tx, job, 6, "x", NOW)
    stillwave("jobs", "retry", str(job.id))
    stillwave("db", "clock", "--confirm")
    stillwave("audit", "attest", "backup.age", "--until", f"{dt.datetime.now(dt.UTC) + dt.timedelta(days=30):%Y-%m-%d}")
    assert log_of(database, NOBODY) == [("check.attested", "operator"), ("clock.confirmed", "operator"), ("jobs.retried", "operator")]
    with database.read(right="operator") as tx:
        assert audit.verify(tx) == {}


def test_refused_together_they_make_one_whole_chain(database: Any) -> None:
    def refuse(_number: int) -> None:
        with database.write(NOBODY) as tx:
            audit.note(tx, NOBODY, "login.refused", NOW)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(refuse, range(40)))
    assert len(log_of(database, NOBODY)) == 40
    assert audit.verify_each(database) == (1, {})
    assert BOB.email not in str(log_of(database, NOBODY))
