"""Erasure: everything stops at once, it can be taken back for some days, then nothing is left but a receipt."""

from __future__ import annotations

import datetime as dt
import json
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest

from stillwave.accounts import actions as accounts
from stillwave.db.database import open_database
from stillwave.jobs import actions as jobs
from stillwave.privacy import erasure
from stillwave.settings import Settings
from tests.cast import ALICE, BOB, NOW, ROOT_KEY, Clock, Person
from tests.contract.test_erased_stays_erased import backups  # noqa: F401  a fixture
from tests.contract.test_jobs import wait_for
from tests.contract.test_nothing_readable_lies_around import rows_of, spellings
from tests.contract.test_reminders import PostOffice, ada, mailed, post, smtp, wish, work  # noqa: F401  fixtures
from tests.served import Served, Visitor, serving

ERASE = {"password": ALICE.password, "confirm": "erase"}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """With seven days to change one's mind."""
    return msgspec.structs.replace(settings, erasure_days=7)


def waits(served: Served) -> int:
    with served.kit.database.read(right="retention") as tx:
        return jobs.counts(tx, NOW).waiting


def test_everything_stops_at_once_and_goes_on_when_it_is_taken_back(
    mailed: Served, ada: Visitor, post: PostOffice, clock: Clock  # noqa: F811
) -> None:
    wish(ada, morning_mail=True)
    made = ada.session()
    calendar = ada.post("/api/v1/calendar").json()["url"].partition("/calendar/")[2]
    work(mailed, NOW, clock)
    elsewhere = mailed.visitor()
    elsewhere.sign_in(ALICE)

    assert ada.post("/api/v1/erasure", json={**ERASE, "password": "not it at all"}).status_code == 422
    asked = ada.post("/api/v1/erasure", json=ERASE)
    assert asked.status_code == 202
    assert asked.json()["final_at"] == "2026-12-02T10:00:00Z"
    again = ada.post("/api/v1/erasure", json=ERASE)
    assert again.json() == asked.json()  # the day stays as it was

    assert elsewhere.get("/api/v1/me").status_code == 401
    refused = [
        ada.post("/api/v1/sessions", json={"target_state": "sleep"}), ada.get("/api/v1/profile"),
        ada.post(f"/api/v1/sessions/{made['id']}/feedback", json={"rating": 1}), ada.get("/api/v1/sessions"),
        ada.put("/api/v1/consents/adaptation", json={"give": True}), ada.put("/api/v1/restriction", json={"on": False}),
    ]  # fmt: skip
    assert {answer.status_code for answer in refused} == {403}
    assert {answer.json()["next"] for answer in refused} == {"/privacy/leaving"}
    assert ada.get(f"/calendar/{calendar}").status_code == 404
    for day in range(1, 6):
        work(mailed, NOW + dt.timedelta(days=day, minutes=30), clock)
    assert post.subjects() == ["Your Stillwave account will be erased"]

    back = mailed.visitor()
    back.sign_in(ALICE)
    assert back.get("/api/v1/me").json()["erasure_final_at"] == asked.json()["final_at"]
    assert back.get("/api/v1/erasure").json() == asked.json()
    assert back.get("/api/v1/export").status_code == 200
    assert back.get("/api/v1/audit-events").json()["items"][1]["action"] == "login.opened"
    cookies = {"stillwave_login": back.headers.pop("Authorization").removeprefix("Bearer ")}
    back.cookies.update(cookies)
    assert back.get("/").headers["Location"] == "/privacy/leaving"
    assert "2 December 2026, 11:00" in back.get("/privacy/leaving").text
    wrong = back.post("/privacy/erase", data={**ERASE, "at_once": "yes", "confirm": "no"})
    assert (wrong.status_code, "Keep my account" in wrong.text) == (422, True)
    assert back.post("/privacy/keep").headers["Location"] == "/"

    assert back.post("/privacy/keep").status_code == 404
    assert back.get("/privacy/leaving").headers["Location"] == "/privacy"
    assert back.get("/api/v1/me").json()["processing_restricted"] is False
    assert back.get(f"/calendar/{calendar}").status_code == 200
    back.session()
    work(mailed, NOW + dt.timedelta(days=5, minutes=31), clock)
    work(mailed, NOW + dt.timedelta(days=6, minutes=31), clock)
    assert len(post.subjects()) == 2  # the morning's reminder comes again
    for day in range(8, 11):
        work(mailed, NOW + dt.timedelta(days=day), clock)
    back.sign_in(ALICE)
    assert back.get("/api/v1/me").status_code == 200


def test_a_restriction_from_before_stays_when_erasure_is_taken_back(served: Served, alice: Visitor) -> None:
    alice.put("/api/v1/restriction", json={"on": True})
    assert alice.post("/api/v1/erasure", json=ERASE).status_code == 202
    assert alice.delete("/api/v1/erasure").status_code == 204
    assert alice.get("/api/v1/me").json()["processing_restricted"] is True
    assert alice.get("/api/v1/erasure").status_code == 404
    actions = [event["action"] for event in alice.get("/api/v1/audit-events").json()["items"]]
    assert actions[:4] == ["erasure.undone", "logins.ended", "erasure.asked", "restriction.on"]


def test_after_the_days_it_is_final_and_the_receipt_says_so(
    mailed: Served, ada: Visitor, post: PostOffice, clock: Clock, tmp_path: Path  # noqa: F811
) -> None:
    database, user_id = mailed.kit.database, uuid.UUID(ada.get("/api/v1/me").json()["id"])
    ada.rate(ada.session()["id"])
    before = rows_of(database, user_id)
    asked = ada.post("/api/v1/erasure", json=ERASE)
    receipt_at = asked.headers["Location"]
    assert mailed.visitor().get(receipt_at).status_code == 404
    with database.read() as tx:
        assert erasure.waiting(tx) == 1
    for hours in range(0, 7 * 24, 12):  # the worker's clock goes on steadily, so it is trusted
        work(mailed, NOW + dt.timedelta(hours=hours), clock)
    assert ada.get("/api/v1/erasure").status_code == 200
    work(mailed, NOW + dt.timedelta(days=7), clock)
    assert ada.delete("/api/v1/erasure").status_code == 401
    assert set(rows_of(database, user_id).values()) == {0}
    with database.read() as tx:
        assert erasure.waiting(tx) == 0

    receipt = mailed.visitor().get(receipt_at).json()
    assert receipt["person"] == str(user_id)
    assert (receipt["asked_at"], receipt["erased_at"]) == ("2026-11-25T10:00:00Z", "2026-12-02T10:00:00Z")
    gone = receipt["rows"]
    assert {name: gone[name] for name in ("users", "sessions", "session_feedback", "screenings", "consents", "logins")} == {
        name: before[name] for name in ("users", "sessions", "session_feedback", "screenings", "consents", "logins")
    }
    assert gone["erasures"] == 1
    assert "audit_events" not in gone
    text = json.dumps(receipt)
    assert not any(word in text for word in (ALICE.email, ALICE.phone_number))
    wait_for(lambda: len(post.subjects()) == 2)
    assert receipt["mac"] in str(post.taken[-1])
    page = mailed.visitor().get(receipt_at.replace("/api/v1", ""))
    assert "What stays, and why" in page.text

    changed = {**receipt, "rows": {**gone, "sessions": 99}}
    for found, says in ((receipt, None), (changed, "was changed"), ({**receipt, "mac": "00" * 32}, "was changed")):
        given = msgspec.json.decode(json.dumps(found), type=erasure.Receipt)
        told = erasure.check(database, given)
        assert (told == []) if says is None else (says in told[0])
    other = receipt_at[:-6] + ("AAAA==" if not receipt_at.endswith("AAAA==") else "BBBB==")
    assert mailed.visitor().get(other).status_code == 404

    file = tmp_path / "receipt.json"
    for found, status in ((receipt, 0), (changed, 1)):
        file.write_text(json.dumps(found))
        assert stillwave(mailed.kit.settings, "receipt", "verify", str(file)).returncode == status
    file.write_text("{}")
    assert "is not a receipt" in stillwave(mailed.kit.settings, "receipt", "verify", str(file)).stderr


def stillwave(settings: Settings, *words: str) -> subprocess.CompletedProcess[str]:
    """The program as an operator runs it."""
    environ = {"STILLWAVE_DATA_DIR": str(settings.data_dir), "STILLWAVE_ROOT_KEY": ROOT_KEY, "PATH": "/usr/bin:/bin",
               "STILLWAVE_DATABASE_URL": settings.database_url or ""}  # fmt: skip
    return subprocess.run([sys.executable, "-m", "stillwave", *words], env=environ, capture_output=True, text=True, check=False)


def test_nobody_takes_it_back_once_it_is_final(served: Served, alice: Visitor, clock: Clock) -> None:
    alice.post("/api/v1/erasure", json=ERASE)
    clock.advance(days=6, hours=23)
    assert alice.get("/api/v1/me").status_code == 200
    clock.advance(hours=1)
    late = alice.delete("/api/v1/erasure")
    assert (late.status_code, "too late" in late.json()["detail"]) == (409, True)


@pytest.mark.parametrize("first_asked", [False, True])
def test_who_does_not_want_to_wait_is_gone_at_once(served: Served, alice: Visitor, *, first_asked: bool) -> None:
    user_id = alice.get("/api/v1/me").json()["id"]
    if first_asked:
        assert alice.post("/api/v1/erasure", json=ERASE).status_code == 202
    token = alice.headers.pop("Authorization").removeprefix("Bearer ")
    alice.cookies.set("stillwave_login", token)
    gone = alice.post("/privacy/erase", data={**ERASE, "at_once": "yes"})
    assert gone.status_code == 303
    assert gone.headers["Location"].startswith("/receipts/")
    assert "storage" in gone.headers["Clear-Site-Data"]
    assert set(rows_of(served.kit.database, user_id).values()) == {0}
    assert "Everything is erased" in served.visitor().get(gone.headers["Location"]).text


def test_the_operator_sees_how_many_and_not_who(served: Served, alice: Visitor, bob: Visitor) -> None:
    bob.set_up_second_step(BOB, NOW)
    with served.kit.database.write(right="operator") as tx:
        user = accounts.by_email(tx, BOB.email)
        tx.act_as(user.id)
        accounts.set_role(tx, user.id, "operator", NOW)
    with served.kit.database.write(user.id) as tx:
        bob.headers["Authorization"] = f"Bearer {accounts.open_login(tx, user.id, 'test', NOW, two_steps=True)}"
    alice.post("/api/v1/erasure", json=ERASE)
    page = bob.get("/operator").text
    assert re.search(r'about to be erased</dt><dd class="num">1<', page)
    assert ALICE.email not in page


# --- planted words ------------------------------------------------------------------------------


def planted_person() -> tuple[Person, list[str]]:
    """Somebody whose every word is found nowhere else, in no other test's leftovers either."""
    words = [f"{stem}{uuid.uuid4().hex[:10]}" for stem in ("quill", "bracken", "thistle", "saltmarsh", "gallows")]
    return Person("Planted", f"{words[0]}@example.org", "+442071838752", f"{words[1]} lantern ninety tulips"), words


def places(settings: Settings, since: float) -> Iterator[Path]:
    """Every file that may hold a trace: the data folder, and what PostgreSQL wrote for this database."""
    yield from (path for path in settings.data_dir.rglob("*") if path.is_file())
    if settings.database_url is None:
        return
    with psycopg.connect(settings.database_url, autocommit=True) as connection:
        connection.execute("VACUUM")
        connection.execute("CHECKPOINT")
        [(folder, oid)] = connection.execute(
            "SELECT current_setting('data_directory'), oid FROM pg_database WHERE datname = current_database()"
        ).fetchall()
    for part in (f"base/{oid}", "global", "pg_wal", "pg_xact", "base/pgsql_tmp"):
        yield from (path for path in (Path(folder) / part).glob("*") if path.is_file() and path.stat().st_mtime >= since)


def traces(settings: Settings, words: list[str], since: float) -> list[str]:
    wanted = re.compile(b"|".join(re.escape(spelling) for word in words for spelling in spellings(word)))
    return [path.name for path in places(settings, since) if wanted.search(path.read_bytes())]


def test_planted_words_are_found_nowhere_after_erasure_nor_in_an_old_backup(
    settings: Settings, clock: Clock, backups: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]  # noqa: F811
) -> None:
    since = time.time() - 5
    person, words = planted_person()
    with serving(settings, open_database(settings), clock) as served:
        visitor = served.visitor()
        visitor.sign_up(person)
        visitor.screened(none=False, other=f"{words[2]} allergy")
        made = visitor.session(confirm=True, background="white_noise")
        visitor.rate(made["id"], feedback_text=f"{words[3]} dreams")
        visitor.post("/api/v1/progress", json={"date": "2026-11-25", "notes": f"{words[4]} walk"})
        user_id = visitor.get("/api/v1/me").json()["id"]
        export = visitor.get("/api/v1/export").content
        assert export
    old = backups()
    with serving(settings, open_database(settings), clock) as served:
        visitor = served.visitor()
        visitor.sign_in(person)
        erased = visitor.post("/api/v1/erasure", json={"password": person.password, "confirm": "erase", "at_once": True})
        assert erased.status_code == 204
        assert traces(settings, words, since) == []
        stray = settings.data_dir / "stray.txt"  # the search would find one
        stray.write_text(f"x{words[3]}x")
        assert traces(settings, words, since) == ["stray.txt"]
        stray.unlink()
    if settings.database_url is None:
        (tmp_path / "old" / settings.database_file.name).replace(settings.database_file)
        for leftover in settings.data_dir.glob("stillwave.db-*"):
            leftover.unlink()
    database = open_database(old)
    assert set(rows_of(database, user_id).values()) != {0}
    database.close()
    database.vault.keys.close()
    assert traces(old, words, since) == []
    with serving(old, open_database(old), clock) as served:
        assert set(rows_of(served.kit.database, user_id).values()) == {0}
        assert traces(old, words, since) == []
    logs = "".join(capfd.readouterr())
    assert not any(word in logs for word in words)
