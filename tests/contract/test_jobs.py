"""Work that waits is begun at least once, later again when it fails, and lands on a list when it is hopeless."""

from __future__ import annotations

import datetime as dt
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from stillwave.accounts import actions as accounts
from stillwave.db.database import open_database
from stillwave.errors import NotFound, Unavailable
from stillwave.jobs import actions as jobs
from stillwave.jobs.rules import LEASE, MOST_CUT_OFF, MOST_FAILURES, Job, wait
from stillwave.jobs.worker import Duty, Stopped, Worker
from stillwave.sessions import actions as sessions
from stillwave.settings import Settings
from tests import rows
from tests.cast import ALICE, NOW, ROOT_KEY, Clock
from tests.served import Served, Visitor

SOMEBODY = UUID("0194f3a0-0000-7000-8000-000000000001")


def put(database: Any, subject: str = "x", *, kind: str = "count", due_at: dt.datetime | None = None, **more: Any) -> None:
    with database.write(SOMEBODY) as tx:
        jobs.enqueue(tx, SOMEBODY, kind, subject, NOW, due_at=due_at, **more)


def counts(database: Any, clock: Clock) -> jobs.Counts:
    with database.read(right="retention") as tx:
        return jobs.counts(tx, clock())


def trouble(database: Any) -> list[jobs.Trouble]:
    with database.read(right="retention") as tx:
        return jobs.in_trouble(tx)


class Counting:
    """What was done, and a duty that may fail."""

    def __init__(self, error: Callable[[], Exception] | None = None) -> None:
        self.done: list[Job] = []
        self.error = error

    def __call__(self, job: Job, now: dt.datetime, stop: Callable[[], bool]) -> None:
        self.done.append(job)
        if self.error:
            raise self.error()


def worker(database: Any, clock: Clock, count: Counting, **duty: Any) -> Worker:
    return Worker(database, {"count": Duty(do=count, **duty)}, clock)


def test_what_is_due_is_done_once_in_order(database: Any, clock: Clock) -> None:
    count = Counting()
    put(database, "second", due_at=NOW - dt.timedelta(minutes=1))
    put(database, "first", due_at=NOW - dt.timedelta(minutes=2))
    put(database, "later", due_at=NOW + dt.timedelta(minutes=1))
    assert worker(database, clock, count).run_due() == 2
    assert [job.subject for job in count.done] == ["first", "second"]
    assert worker(database, clock, count).run_due() == 0
    clock.advance(minutes=1)
    assert worker(database, clock, count).run_due() == 1
    assert counts(database, clock) == jobs.Counts()


def test_the_same_work_waits_only_once(database: Any, clock: Clock) -> None:
    put(database)
    put(database)
    count = Counting()
    assert worker(database, clock, count).run_due() == 1


def test_work_that_is_asked_for_while_it_is_done_is_done_again(database: Any, clock: Clock) -> None:
    """Otherwise what changed after the worker had read it would be lost."""
    seen: list[str] = []

    def do(job: Job, now: dt.datetime, stop: Callable[[], bool]) -> None:
        seen.append(job.subject)
        if len(seen) == 1:
            put(database)

    put(database)
    assert Worker(database, {"count": Duty(do=do)}, clock).run_due() == 2
    assert counts(database, clock) == jobs.Counts()


def test_work_that_fails_is_tried_ever_later_and_then_lies_on_the_list(database: Any, clock: Clock) -> None:
    count = Counting(lambda: Unavailable("alice@example.org"))
    put(database)
    waits = []
    for _ in range(MOST_FAILURES):
        assert worker(database, clock, count).run_due() == 1
        before = clock()
        (job,) = trouble(database)
        waits.append(job.due_at - before)
        clock.now = max(job.due_at, before)
    assert waits[:-1] == [wait(n) for n in range(1, MOST_FAILURES)]
    assert waits == sorted(waits[:-1]) + waits[-1:]
    (job,) = trouble(database)
    assert job.dead_at is not None
    assert job.last_error is not None
    assert re.match(r"Unavailable \S+:\d+$", job.last_error), "the class and the place, never the message"
    clock.advance(days=30)
    assert worker(database, clock, count).run_due() == 0
    assert counts(database, clock).dead == 1

    with database.write(right="retention") as tx:
        jobs.retry(tx, job.id, clock())
    count.error = None
    assert worker(database, clock, count).run_due() == 1
    assert trouble(database) == []


def test_a_dead_job_can_be_dropped_and_no_other(database: Any, clock: Clock) -> None:
    put(database)
    with database.write(right="retention") as tx:
        job = jobs.claim(tx, "quick", NOW)
        assert job is not None
        with pytest.raises(NotFound):
            jobs.drop(tx, job.id)
        jobs.bury(tx, job, 1, "E", NOW)
        jobs.drop(tx, job.id)
        with pytest.raises(NotFound):
            jobs.retry(tx, job.id, NOW)


def test_repeating_work_never_dies_and_waits_a_period_at_most(database: Any, clock: Clock) -> None:
    count = Counting(lambda: OSError("no"))
    every = dt.timedelta(minutes=1)
    working = worker(database, clock, count, every=every)
    working.set_timetable()
    for _ in range(20):
        assert working.run_due() == 1
        clock.advance(seconds=60)
    assert counts(database, clock).dead == 0
    count.error = None
    assert working.run_due() == 1
    assert trouble(database) == []
    assert working.run_due() == 0
    clock.advance(seconds=60)
    assert working.run_due() == 1


def test_a_clock_that_was_set_back_does_not_stop_repeating_work(database: Any, clock: Clock) -> None:
    count = Counting()
    working = worker(database, clock, count, every=dt.timedelta(hours=1))
    clock.advance(days=400)
    working.set_timetable()
    working.run_due()
    clock.now = NOW
    assert working.run_due() == 0
    working.set_timetable()
    assert working.run_due() == 1


def test_a_killed_workers_job_is_taken_again_after_its_lease(database: Any, clock: Clock) -> None:
    put(database)
    with database.write(right="retention") as tx:
        lost = jobs.claim(tx, "quick", NOW)  # and then its process is killed
    assert lost is not None
    assert not lost.cut_off
    count = Counting()
    clock.now = NOW + LEASE - dt.timedelta(seconds=1)
    assert worker(database, clock, count).run_due() == 0
    clock.advance(seconds=1)
    assert worker(database, clock, count).run_due() == 1
    assert count.done[0].cut_off == 1
    jobs.done(database, lost, None)  # the old one was only slow: it ends nothing that is not its own


def test_a_slow_worker_cannot_end_what_another_has_by_now(database: Any, clock: Clock) -> None:
    put(database)
    with database.write(right="retention") as tx:
        slow = jobs.claim(tx, "quick", NOW)
    with database.write(right="retention") as tx:
        quick = jobs.claim(tx, "quick", NOW + LEASE)
    assert slow is not None
    assert quick is not None
    jobs.done(database, slow, None)
    assert counts(database, clock).running == 1
    jobs.done(database, quick, None)
    assert counts(database, clock) == jobs.Counts()


def test_work_that_kills_every_worker_is_given_up(database: Any, clock: Clock) -> None:
    put(database)
    for _ in range(MOST_CUT_OFF):
        with database.write(right="retention") as tx:
            assert jobs.claim(tx, "quick", clock())
        clock.now += LEASE
    count = Counting()
    worker(database, clock, count).run_due()
    assert count.done == []
    assert counts(database, clock).dead == 1


def test_work_of_an_unknown_kind_waits_for_a_program_that_knows_it(database: Any, clock: Clock) -> None:
    put(database, kind="not_yet_invented")
    assert worker(database, clock, Counting()).run_due() == 1
    assert counts(database, clock).failing == 1


def test_many_workers_share_the_work_and_none_is_done_twice(settings: Settings, database: Any) -> None:
    for number in range(60):
        put(database, str(number))
    done: list[str] = []
    others = [open_database(settings) for _ in range(4)]

    def work(mine: Any) -> None:
        count = Counting()
        Worker(mine, {"count": Duty(do=count)}, Clock()).run_due()
        done.extend(job.subject for job in count.done)

    threads = [threading.Thread(target=work, args=(mine,)) for mine in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for mine in others:
        mine.close()
    assert sorted(done, key=int) == [str(number) for number in range(60)]


def test_a_stopping_worker_gives_back_what_it_broke_off(database: Any) -> None:
    clock = Clock()
    began = threading.Event()

    def do(job: Job, now: dt.datetime, stop: Callable[[], bool]) -> None:
        began.set()
        while not stop():
            time.sleep(0.01)
        raise Stopped

    put(database, lane="slow")
    working = Worker(database, {"count": Duty(do=do, lane="slow")}, clock)
    working.start()
    assert began.wait(10)
    working.stop()
    with database.read(right="retention") as tx:
        assert jobs.next_due(tx, "slow", NOW) == NOW
    with database.write(right="retention") as tx:
        job = jobs.claim(tx, "slow", NOW)
    assert job is not None
    assert (job.attempts, job.cut_off) == (1, 0)


def test_a_long_job_does_not_hold_up_the_quick_ones(database: Any, clock: Clock) -> None:
    release, quick = threading.Event(), threading.Event()

    def slow(job: Job, now: dt.datetime, stop: Callable[[], bool]) -> None:
        release.wait(20)

    put(database, "a", kind="slow", lane="slow")
    put(database, "b", kind="quick")
    duties = {
        "slow": Duty(do=slow, lane="slow"),
        "quick": Duty(do=lambda _job, _now, _stop: quick.set()),
    }
    working = Worker(database, duties, clock)
    working.start()
    try:
        assert quick.wait(10)
    finally:
        release.set()
        working.stop()


# --- what Stillwave gives its worker ------------------------------------------------------------


def wait_for(fact: Callable[[], Any], within_s: float = 300) -> Any:
    end = time.monotonic() + within_s
    while not (found := fact()):
        assert time.monotonic() < end, "it did not come to be"
        time.sleep(0.05)
    return found


def test_a_sessions_sound_is_measured_soon_after_its_start(served: Served, alice: Visitor) -> None:
    session = alice.session()["id"]
    wait_for(lambda: alice.get(f"/api/v1/sessions/{session}/measured").json()["frequency_data"])


def test_no_work_waits_for_a_person_who_is_gone(served: Served, alice: Visitor, clock: Clock) -> None:
    database = served.kit.database
    user_id = UUID(alice.get("/api/v1/me").json()["id"])
    with database.write(user_id) as tx:
        jobs.enqueue(tx, user_id, "later", "x", NOW, due_at=NOW + dt.timedelta(days=1))
    erased = alice.post("/api/v1/erasure", json={"password": ALICE.password, "confirm": "erase"})
    assert erased.status_code == 204
    with database.read(right="retention") as tx:
        assert not any(row["user_id"] in (user_id, str(user_id)) for row in tx.rows(_all_jobs()))


def _all_jobs() -> Any:
    from stillwave.db.database import Query

    return Query("all_jobs", "SELECT user_id FROM jobs", "SELECT user_id FROM jobs")


def test_the_operator_sees_what_failed_and_tries_it_again(served: Served, alice: Visitor, clock: Clock) -> None:
    database = served.kit.database
    user_id = UUID(alice.get("/api/v1/me").json()["id"])
    with database.write(user_id) as tx:
        jobs.enqueue(tx, user_id, "odd_kind", "x", NOW, lane="slow", due_at=NOW)
    wait_for(lambda: trouble(database))
    (job,) = trouble(database)
    assert alice.post(f"/operator/jobs/{job.id}/retry").status_code == 403
    with database.write(user_id, right="operator") as tx:
        accounts.set_role(tx, user_id, "operator", NOW)
    alice.sign_in(ALICE)
    alice.set_up_second_step(ALICE, clock())
    assert "odd kind" in alice.get("/operator").text
    answer = alice.post(f"/operator/jobs/{job.id}/retry")
    assert (answer.status_code, answer.headers["location"]) == (303, "/operator")
    missing = alice.post("/operator/jobs/00000000-0000-7000-8000-000000000000/retry")
    assert missing.status_code == 404


@pytest.mark.slow
def test_a_worker_killed_in_the_middle_is_followed_by_one_that_ends_the_work(
    settings: Settings, served: Served, alice: Visitor, tmp_path: Path
) -> None:
    """kill -9 while a long sound is measured: the job is begun again and its effect is there once."""
    database = served.kit.database
    user_id = UUID(alice.get("/api/v1/me").json()["id"])
    # The server's own worker lives at NOW, so what is due on the day after is left to the process below.
    due_at = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=1)
    if due_at <= NOW:
        due_at = NOW + dt.timedelta(minutes=1)
    session_id = UUID(alice.session(minutes=20)["id"])
    with database.write(user_id) as tx:
        jobs.forget(tx, user_id)
    wait_for(lambda: counts(database, Clock()).running == 0)
    with database.write(user_id) as tx:
        jobs.enqueue(tx, user_id, sessions.MEASURE, str(session_id), NOW, lane="slow", due_at=due_at)
    with database.read(user_id) as tx:
        if sessions.audio_row(tx, user_id, session_id).frequency_data is not None:
            pytest.fail("it was measured already")
    environ = {
        **os.environ, "STILLWAVE_DATA_DIR": str(settings.data_dir), "STILLWAVE_ROOT_KEY": ROOT_KEY,
        **({"STILLWAVE_DATABASE_URL": settings.database_url} if settings.database_url else {}),
    }  # fmt: skip
    process = subprocess.Popen([sys.executable, "-m", "stillwave", "worker"], env=environ)
    try:
        wait_for(lambda: counts(database, Clock(dt.datetime.now(dt.UTC))).running)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(20)
    with database.read(user_id) as tx:
        assert sessions.audio_row(tx, user_id, session_id).frequency_data is None
    after = Clock(dt.datetime.now(dt.UTC) + LEASE)
    from stillwave import duties
    from stillwave.sessions.audio import SoundFiles

    kit = served.kit
    assert duties.worker(
        type(kit)(settings=kit.settings, database=database, limits=kit.limits, mail=kit.mail, clock=after),
        SoundFiles(kit.settings, database),
    ).run_due("slow") >= 1  # fmt: skip  # the backup and the security audit may be due beside it
    with database.read(user_id) as tx:
        assert sessions.audio_row(tx, user_id, session_id).frequency_data is not None
        assert rows.count(tx, "audio_files") == 1
