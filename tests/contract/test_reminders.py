"""Reminders come by mail when they were asked for, once a day and kind, and end at once when they are not wanted."""

from __future__ import annotations

import asyncio
import datetime as dt
import email
import email.policy
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import msgspec
import pytest
from aiosmtpd.controller import Controller

from stillwave import duties
from stillwave.accounts import actions as accounts
from stillwave.db.database import open_database
from stillwave.jobs import actions as jobs
from stillwave.jobs.rules import LEASE
from stillwave.jobs.worker import Worker
from stillwave.reminders import actions as reminders
from stillwave.sessions.audio import SoundFiles
from stillwave.settings import Settings
from stillwave.web.mail import Mailer
from tests.cast import ALICE, BOB, NOW, ROOT_KEY, Clock
from tests.served import Served, Visitor, serving

MORNING, EVENING = dt.time(11, 30), dt.time(21, 0)
TIMES = {"time_zone": "Europe/Berlin", "morning_routine_time": "11:30:00", "evening_routine_time": "21:00:00"}
AT_MORNING = NOW + dt.timedelta(minutes=30)  # 10:30 UTC is half past eleven in Berlin
ALL_MAILS = {"morning_mail": True, "evening_mail": True, "weekly_digest": True}
GONE = "Your Stillwave account is erased"


class PostOffice:
    """A real mail server; it keeps what it takes, or says what it is told to say."""

    def __init__(self) -> None:
        self.taken: list[email.message.EmailMessage] = []
        self.answer = "250 OK"
        self.hang = threading.Event()
        self.got_one = threading.Event()
        self.hang.set()

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        self.got_one.set()
        if self.answer.startswith("250"):
            parsed = email.message_from_bytes(envelope.content, policy=email.policy.default)
            self.taken.append(parsed)
        if not self.hang.is_set():
            await asyncio.get_running_loop().run_in_executor(None, self.hang.wait, 60)
        return self.answer

    def subjects(self, to: str = ALICE.email) -> list[str]:
        return [str(mail["Subject"]) for mail in self.taken if mail["To"] == to]


@pytest.fixture
def post() -> PostOffice:
    return PostOffice()


@pytest.fixture
def smtp(post: PostOffice) -> Iterator[Controller]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    controller = Controller(post, hostname="127.0.0.1", port=port)
    controller.start()
    yield controller
    post.hang.set()
    controller.stop()


@pytest.fixture
def mailed(settings: Settings, smtp: Controller, clock: Clock) -> Iterator[Served]:
    """A server with mail whose worker runs apart: the test is the worker."""
    changed = msgspec.structs.replace(settings, smtp_url=f"smtp://127.0.0.1:{smtp.port}", works_inside=False)
    with serving(changed, open_database(settings), clock) as server:
        server.kit.database.prepare_months(clock())
        yield server


@pytest.fixture
def ada(mailed: Served) -> Visitor:
    """Alice at the server with mail."""
    visitor = mailed.visitor()
    visitor.sign_up(ALICE)
    visitor.screened()
    return visitor


def wish(visitor: Visitor, **mails: Any) -> None:
    answer = visitor.put("/api/v1/preferences", json={**TIMES, "notifications": mails})
    assert answer.status_code == 200, answer.text


def work(served: Served, at: dt.datetime, clock: Clock) -> None:
    """The worker looks at this time."""
    clock.now = at
    working: Worker = duties.worker(served.kit, SoundFiles(served.kit.settings, served.kit.database))
    working.set_timetable()
    working.run_due()
    working.run_due()


def id_of(visitor: Visitor) -> UUID:
    return UUID(visitor.get("/api/v1/me").json()["id"])


def consents(visitor: Visitor) -> list[Any]:
    return [c for c in visitor.get("/api/v1/consents").json() if c["purpose"] == "reminders" and not c["withdrawn_at"]]


def test_reminders_come_at_the_persons_times_and_once(mailed: Served, ada: Visitor, post: PostOffice, clock: Clock) -> None:
    wish(ada, morning_mail=True, evening_mail=True)
    work(mailed, NOW, clock)
    assert post.subjects() == []
    for minute in range(3):
        work(mailed, AT_MORNING + dt.timedelta(minutes=minute), clock)
    assert post.subjects() == ["Your morning with Stillwave"]
    work(mailed, NOW.replace(hour=20), clock)
    assert post.subjects() == ["Your morning with Stillwave", "Your evening with Stillwave"]
    work(mailed, AT_MORNING + dt.timedelta(days=1), clock)
    assert len(post.subjects()) == 3


def test_a_mail_is_plain_and_html_and_can_be_ended_from_the_mail_program(
    mailed: Served, ada: Visitor, post: PostOffice, clock: Clock
) -> None:
    wish(ada, morning_mail=True, weekly_digest=True)
    work(mailed, NOW, clock)
    work(mailed, AT_MORNING, clock)
    (mail,) = post.taken
    assert [part.get_content_type() for part in mail.walk()] == ["multipart/alternative", "text/plain", "text/html"]
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    found = re.fullmatch(r"<(http\S+/unsubscribe/\S+)>", mail["List-Unsubscribe"])
    assert found
    address = found[1]
    assert address in mail.get_body(("plain",)).get_content()  # type: ignore[union-attr]

    anyone = mailed.visitor()
    page = anyone.get(address)
    assert page.status_code == 200
    assert page.text.count("<button") == 1
    assert len(consents(ada)) == 1, "opening the page changes nothing"
    pressed = anyone.post(address, data={"List-Unsubscribe": "One-Click"})
    assert pressed.status_code == 200
    assert "Done" in pressed.text
    told = ada.get("/api/v1/preferences").json()["notifications"]
    assert (told["morning_mail"], told["weekly_digest"]) == (False, True)
    work(mailed, AT_MORNING + dt.timedelta(days=1), clock)
    assert len(post.taken) == 1
    assert anyone.post(address).status_code == 200, "twice is as good as once"
    for bad in (address[:-4] + "AAAA", address + "x", address.rsplit("/", 1)[0] + "/nonsense", address[:-30]):
        assert anyone.get(bad).status_code == anyone.post(bad).status_code == 404


def test_switching_a_mail_on_gives_the_consent_and_taking_it_back_stops_at_once(
    mailed: Served, ada: Visitor, post: PostOffice, clock: Clock
) -> None:
    assert consents(ada) == []
    wish(ada, **ALL_MAILS)
    assert len(consents(ada)) == 1
    work(mailed, NOW, clock)
    assert ada.put("/api/v1/consents/reminders", json={"give": False}).status_code == 204
    assert not any(ada.get("/api/v1/preferences").json()["notifications"][name] for name in ALL_MAILS)
    for day in range(7):
        work(mailed, AT_MORNING + dt.timedelta(days=day), clock)
    assert post.taken == []
    wish(ada, morning_mail=True)
    wish(ada)
    assert consents(ada) == []


def test_a_mail_that_waits_is_not_sent_to_who_took_the_consent_back(
    mailed: Served, ada: Visitor, post: PostOffice, clock: Clock
) -> None:
    wish(ada, morning_mail=True)
    work(mailed, NOW, clock)
    reminders.take_due(mailed.kit.database, AT_MORNING, mail=True)
    assert ada.put("/api/v1/consents/reminders", json={"give": False}).status_code == 204
    work(mailed, AT_MORNING, clock)
    assert post.taken == []


@pytest.mark.parametrize("state", ["disabled", "restricted", "erased"])
def test_nobody_who_is_off_paused_or_gone_gets_mail(
    mailed: Served, ada: Visitor, post: PostOffice, clock: Clock, state: str
) -> None:
    wish(ada, **ALL_MAILS)
    work(mailed, NOW, clock)
    user_id = id_of(ada)
    if state == "restricted":
        assert ada.put("/api/v1/restriction", json={"on": True}).status_code == 200
    elif state == "erased":
        assert ada.post("/api/v1/erasure", json={"password": ALICE.password, "confirm": "erase"}).status_code == 204
    else:
        with mailed.kit.database.write(user_id) as tx:
            accounts.set_status(tx, user_id, "disabled", NOW)
    for day in range(7):
        work(mailed, AT_MORNING + dt.timedelta(days=day), clock)
    # Who is gone hears of that once, and nothing afterwards.
    assert [mail["Subject"] for mail in post.taken] == ([GONE] if state == "erased" else [])
    with mailed.kit.database.read(right="retention") as tx:
        failed = {job.kind for job in jobs.in_trouble(tx)}
    assert failed <= {"partitions", "retention"}, "the clock of this test jumps, and these two mind"


def test_after_a_pause_the_reminders_go_on_without_catching_up(
    mailed: Served, ada: Visitor, post: PostOffice, clock: Clock
) -> None:
    wish(ada, morning_mail=True)
    work(mailed, NOW, clock)
    ada.put("/api/v1/restriction", json={"on": True})
    work(mailed, AT_MORNING + dt.timedelta(days=2), clock)
    ada.put("/api/v1/restriction", json={"on": False})
    work(mailed, AT_MORNING + dt.timedelta(days=3, hours=3), clock)
    assert post.taken == []
    work(mailed, AT_MORNING + dt.timedelta(days=4), clock)
    assert len(post.taken) == 1


def test_a_server_that_says_no_is_asked_again_later(mailed: Served, ada: Visitor, post: PostOffice, clock: Clock) -> None:
    wish(ada, morning_mail=True)
    work(mailed, NOW, clock)
    post.answer = "451 try later"
    work(mailed, AT_MORNING, clock)
    assert post.taken == []
    post.answer = "250 OK"
    work(mailed, AT_MORNING + dt.timedelta(seconds=30), clock)
    assert len(post.taken) == 1


def test_a_reminder_that_is_an_hour_late_is_not_sent(mailed: Served, ada: Visitor, post: PostOffice, clock: Clock) -> None:
    wish(ada, morning_mail=True)
    work(mailed, NOW, clock)
    work(mailed, AT_MORNING + dt.timedelta(minutes=61), clock)
    assert post.taken == []
    work(mailed, AT_MORNING + dt.timedelta(days=1), clock)
    assert len(post.taken) == 1


def test_the_digest_tells_minutes_and_sessions_of_the_week_before(
    mailed: Served, ada: Visitor, post: PostOffice, clock: Clock
) -> None:
    wish(ada, weekly_digest=True)
    session = ada.session(minutes=10)["id"]
    clock.advance(minutes=10)
    done = ada.patch(f"/api/v1/sessions/{session}", json={"position_s": 600, "ended": True})
    assert done.status_code == 200, done.text
    work(mailed, clock(), clock)
    for day in range(1, 8):
        work(mailed, NOW.replace(hour=8) + dt.timedelta(days=day), clock)
    assert post.subjects() == ["Your week with Stillwave"]
    body = post.taken[0].get_body(("plain",))
    assert body is not None
    assert "1 session, 10 minutes" in body.get_content()


def test_people_do_not_get_each_others_mail(mailed: Served, ada: Visitor, post: PostOffice, clock: Clock) -> None:
    bob = mailed.visitor()
    bob.sign_up(BOB)
    wish(ada, morning_mail=True)
    wish(bob, evening_mail=True)
    work(mailed, NOW, clock)
    work(mailed, AT_MORNING, clock)
    work(mailed, NOW.replace(hour=20), clock)
    assert post.subjects(ALICE.email) == ["Your morning with Stillwave"]
    assert post.subjects(BOB.email) == ["Your evening with Stillwave"]


def test_two_workers_at_once_send_one_mail(
    mailed: Served, ada: Visitor, post: PostOffice, settings: Settings, clock: Clock
) -> None:
    wish(ada, morning_mail=True)
    work(mailed, NOW, clock)
    clock.now = AT_MORNING
    kits = [mailed.kit] + [
        type(mailed.kit)(
            settings=mailed.kit.settings, database=open_database(settings), limits=mailed.kit.limits,
            mail=Mailer(mailed.kit.settings), clock=clock,
        )
        for _ in range(3)
    ]  # fmt: skip

    def once(kit: Any) -> None:
        reminders.take_due(kit.database, clock(), mail=True)
        duties.worker(kit, SoundFiles(kit.settings, kit.database)).run_due()

    threads = [threading.Thread(target=once, args=(kit,)) for kit in kits]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for kit in kits[1:]:
        kit.database.close()
    assert len(post.taken) == 1


@pytest.mark.slow
def test_a_worker_killed_while_it_sends_does_not_send_twice(
    mailed: Served, ada: Visitor, post: PostOffice, smtp: Controller, settings: Settings, clock: Clock
) -> None:
    """kill -9 after the server has the mail and before the worker knows: the next worker leaves it at that."""
    soon = dt.datetime.now(dt.UTC)
    user_id = id_of(ada)
    local = soon.replace(second=0, microsecond=0).time()
    assert ada.put(
        "/api/v1/preferences",
        json={"time_zone": "UTC", "morning_routine_time": f"{local:%H:%M:%S}", "notifications": {"morning_mail": True}},
    ).status_code == 200  # fmt: skip
    with mailed.kit.database.write(user_id) as tx:
        jobs.forget(tx, user_id)
        jobs.enqueue(tx, user_id, reminders.SEND, f"morning {soon:%Y-%m-%d}", soon)
    post.hang.clear()
    environ = {
        **os.environ, "STILLWAVE_DATA_DIR": str(settings.data_dir), "STILLWAVE_ROOT_KEY": ROOT_KEY,
        "STILLWAVE_SMTP_URL": str(mailed.kit.settings.smtp_url),
        **({"STILLWAVE_DATABASE_URL": settings.database_url} if settings.database_url else {}),
    }  # fmt: skip
    process = subprocess.Popen([sys.executable, "-m", "stillwave", "worker"], env=environ)
    try:
        assert post.got_one.wait(60)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(20)
    post.hang.set()
    time.sleep(0.2)
    assert len(post.taken) == 1
    clock.now = dt.datetime.now(dt.UTC) + LEASE
    duties.worker(mailed.kit, SoundFiles(mailed.kit.settings, mailed.kit.database)).run_due()
    assert len(post.taken) == 1
    with mailed.kit.database.read(right="retention") as tx:
        assert jobs.in_trouble(tx) == []


# --- pages --------------------------------------------------------------------------------------


def test_the_preferences_form_switches_mails_and_says_what_is_wrong_beside_its_field(mailed: Served, ada: Visitor) -> None:
    form = {
        "voice_preference": "none", "background_sound_type": "nature", "preferred_duration": "20",
        "time_zone": "Europe/Berlin", "morning_routine_time": "07:30", "evening_routine_time": "",
    }  # fmt: skip
    stored = ada.post("/preferences", data={**form, "morning_mail": "yes", "quiet_from": "22:00", "quiet_to": "07:00"})
    assert stored.status_code == 303, stored.text
    told = ada.get("/api/v1/preferences").json()["notifications"]
    assert told == {
        "morning_mail": True, "evening_mail": False, "weekly_digest": False, "quiet_from": "22:00:00", "quiet_to": "07:00:00",
    }  # fmt: skip
    shown = ada.get("/preferences").text
    assert re.search(r'name="morning_mail" value="yes" checked', shown)
    assert 'name="quiet_from" type="time" value="22:00"' in shown
    refused = ada.post("/preferences", data={**form, "evening_mail": "yes"})
    assert refused.status_code == 422
    assert 'id="e-evening_routine_time"' in refused.text
    assert ada.post("/preferences", data={**form, "quiet_from": "22:00"}).status_code == 422
    assert ada.get("/api/v1/preferences").json()["notifications"] == told


def test_unknown_words_in_notifications_are_refused(ada: Visitor) -> None:
    wrong: list[Any] = [{"noon_mail": True}, {"morning_mail": "yes"}, {"quiet_from": "soon", "quiet_to": "07:00:00"}, []]
    for bad in wrong:
        answer = ada.put("/api/v1/preferences", json={**TIMES, "notifications": bad})
        assert answer.status_code == 422, bad


def test_the_calendar_is_private_can_be_renewed_and_ended(mailed: Served, ada: Visitor) -> None:
    wish(ada)
    anyone = mailed.visitor()
    address = ada.post("/api/v1/calendar").json()["url"]
    feed = anyone.get(address)
    assert feed.headers["content-type"].startswith("text/calendar")
    assert feed.headers["cache-control"] == "no-store"
    assert "SUMMARY:Stillwave" in feed.text
    assert "DTSTART:20261125T103000Z" in feed.text
    page = ada.post("/calendar")
    found = re.search(r'value="(http[^"]+\.ics)"', page.text)
    assert found
    assert anyone.get(address).status_code == 404, "a new address ends the old one"
    assert anyone.get(found[1]).status_code == 200
    token = found[1].rsplit("/", 1)[1].removesuffix(".ics")
    assert token not in ada.get("/calendar").text, "it is shown once"
    with mailed.kit.database.read(id_of(ada)) as tx:
        assert token.encode() not in repr(tx.rows(_feeds())).encode()
    assert anyone.get(found[1].removesuffix(".ics")).status_code == 404
    assert anyone.get(found[1].replace(token, token[:-8] + "AAAAAAAA")).status_code == 404
    assert anyone.get(found[1].replace(token, "nonsense")).status_code == 404
    assert ada.post("/calendar/remove").status_code == 303
    assert anyone.get(found[1]).status_code == 404


def _feeds() -> Any:
    from stillwave.db.database import Query

    return Query("feeds", "SELECT * FROM calendar_feeds", "SELECT * FROM calendar_feeds")
