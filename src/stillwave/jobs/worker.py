"""The worker: takes what is due, does it, and says how it went. Any number of them may run, in any process."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import threading
from collections.abc import Callable, Mapping

import msgspec

from stillwave.db.database import Database
from stillwave.errors import StillwaveError
from stillwave.jobs import actions
from stillwave.jobs.actions import Lane
from stillwave.jobs.rules import MOST_CUT_OFF, NOBODY, Job
from stillwave.log import log, where

# How long a worker sleeps at most: so late is the work that another process left in the database.
_LOOK_EVERY_S = 1.0
_AFTER_TROUBLE_S = 5.0


class Stopped(Exception):
    """A job broke off because the worker is stopping; it is given back."""


class Duty(msgspec.Struct, frozen=True, kw_only=True):
    """What is done for one kind of job; `every` makes it repeat."""

    do: Callable[[Job, dt.datetime, Callable[[], bool]], None]
    every: dt.timedelta | None = None
    lane: Lane = "quick"


class Worker:
    """One thread per lane over the jobs in the database. `duties` says what each kind means."""

    def __init__(self, database: Database, duties: Mapping[str, Duty], clock: Callable[[], dt.datetime]) -> None:
        self._database, self._duties, self._clock = database, duties, clock
        self._stopping = threading.Event()
        self._woken = {"quick": threading.Event(), "slow": threading.Event()}
        self._threads = [
            threading.Thread(target=self._loop, args=("quick",), name="worker", daemon=True),
            threading.Thread(target=self._loop, args=("slow",), name="slow-worker", daemon=True),
        ]

    def start(self) -> None:
        """The threads run."""
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """What this process has just put there is begun at once."""
        for event in self._woken.values():
            event.set()

    def stop(self, timeout_s: float = 20) -> None:
        """No job is begun any more and the threads have ended; what breaks off is given back."""
        self._stopping.set()
        self.wake()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(timeout_s)

    def set_timetable(self) -> None:
        """Every repeating job is in the database."""
        now = self._clock()
        for kind, duty in self._duties.items():
            if duty.every is not None:
                with self._database.write(NOBODY) as tx:
                    actions.keep_to_timetable(tx, kind, duty.every, duty.lane, now)

    def run_due(self, lane: Lane = "quick", *, most: int = 1000) -> int:
        """What is due now was begun once; returns how much that was."""
        for count in range(most):
            if self._stopping.is_set() or not self._run_one(lane):
                return count
        return most

    def _run_one(self, lane: Lane) -> bool:
        now = self._clock()
        with self._database.read(right="retention") as tx:
            due = actions.next_due(tx, lane, now)
        if due is None or due > now:
            return False
        with self._database.write(right="retention") as tx:
            job = actions.claim(tx, lane, now)
        if job is None:
            return False
        duty = self._duties.get(job.kind)
        if job.cut_off >= MOST_CUT_OFF and (duty is None or duty.every is None):
            with self._database.write(job.user_id) as tx:
                actions.bury(tx, job, job.failures, "every worker that began it was killed", now)
        else:
            self._do(job, duty)
        return True

    def _do(self, job: Job, duty: Duty | None) -> None:
        try:
            if duty is None:
                raise LookupError(job.kind)
            duty.do(job, self._clock(), self._stopping.is_set)
        except Stopped:
            actions.give_back(self._database, job)
        except Exception as error:  # noqa: BLE001  whatever it was, the job is tried again or is dead
            told = where(error)
            dead = actions.failed(self._database, job, told, self._clock(), duty.every if duty else None)
            say = log.error if dead or not isinstance(error, StillwaveError) else log.warning
            say("job is dead" if dead else "job failed", action=job.kind, count=job.failures + 1, where=told)
        else:
            actions.done(self._database, job, self._clock() + duty.every if duty.every else None)

    def _loop(self, lane: Lane) -> None:
        if lane == "slow":
            _step_back()
        prepared = False
        while not self._stopping.is_set():
            self._woken[lane].clear()
            pause_s = _LOOK_EVERY_S
            try:
                if not prepared and lane == "quick":
                    self.set_timetable()
                prepared = True
                self.run_due(lane)
            except Exception as error:  # noqa: BLE001  the database was away; the next round finds it again
                log.error("worker is waiting", action=lane, where=where(error))
                pause_s = _AFTER_TROUBLE_S
            self._woken[lane].wait(pause_s)


def _step_back() -> None:
    """On Linux this thread runs when nobody is listening; elsewhere it shares."""
    with contextlib.suppress(AttributeError, OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 15)
