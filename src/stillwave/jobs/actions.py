"""Work that waits in the database: put there by whoever needs it done, taken by a worker, given up when hopeless.

A job is begun at least once, and perhaps again: what it does must bear that. It is put there in the transaction
of what causes it, so neither exists without the other.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Literal
from uuid import UUID

import msgspec

from stillwave.db.database import Database, Queries, Tx
from stillwave.db.ids import uuid7
from stillwave.errors import NotFound
from stillwave.jobs.rules import LEASE, MOST_FAILURES, NOBODY, Job, wait

SQL = Queries(Path(__file__).parent)
Lane = Literal["quick", "slow"]


class Counts(msgspec.Struct, frozen=True):
    """How many jobs there are in which state."""

    waiting: int = 0
    due: int = 0
    running: int = 0
    failing: int = 0
    dead: int = 0
    oldest_due_at: dt.datetime | None = None


class Trouble(msgspec.Struct, frozen=True):
    """A job that failed."""

    user_id: UUID
    id: UUID
    kind: str
    attempts: int
    failures: int
    due_at: dt.datetime
    dead_at: dt.datetime | None
    last_error: str | None


def enqueue(
    tx: Tx, user_id: UUID, kind: str, subject: str, now: dt.datetime, *, lane: Lane = "quick",
    due_at: dt.datetime | None = None,
) -> None:  # fmt: skip
    """The job waits; the same job (person, kind, subject) waits only once. `subject` holds ids and days alone."""
    tx.run(
        SQL.enqueue, user_id=user_id, id=uuid7(now), kind=kind, subject=subject, lane=lane, now=now, due_at=due_at or now
    )


def keep_to_timetable(tx: Tx, kind: str, every: dt.timedelta, lane: Lane, now: dt.datetime) -> None:
    """The installation's repeating job exists and is due within one period."""
    tx.run(SQL.keep_to_timetable, user_id=NOBODY, id=uuid7(now), kind=kind, lane=lane, now=now, latest=now + every)


def next_due(tx: Tx, lane: Lane, now: dt.datetime) -> dt.datetime | None:
    """When the next job of this lane may be begun; None when there is none."""
    found = tx.one(_Due, SQL.next_due, lane=lane, farthest=now + LEASE)
    return found.due_at if found else None


class _Due(msgspec.Struct):
    due_at: dt.datetime | None


def claim(tx: Tx, lane: Lane, now: dt.datetime) -> Job | None:
    """The job that was due first is this worker's until the lease ends; None when nothing is due."""
    return tx.one(Job, SQL.claim, lane=lane, now=now, lease_until=now + LEASE)


def done(database: Database, job: Job, next_at: dt.datetime | None) -> None:
    """The job is gone; a repeating one waits for `next_at`. Nothing happens when another worker has it by now."""
    with database.write(job.user_id) as tx:
        if next_at is None:
            tx.run(SQL.done, user_id=job.user_id, id=job.id, attempts=job.attempts)
        else:
            tx.run(SQL.done_until, user_id=job.user_id, id=job.id, attempts=job.attempts, due_at=next_at)


def failed(database: Database, job: Job, error: str, now: dt.datetime, every: dt.timedelta | None) -> bool:
    """The job is tried again later, or is dead: then True. Repeating work never dies, and waits one period at most."""
    failures = job.failures + 1
    hopeless = every is None and failures >= MOST_FAILURES
    with database.write(job.user_id) as tx:
        if hopeless:
            bury(tx, job, failures, error, now)
        else:
            pause = min(wait(failures), every or wait(failures))
            tx.run(
                SQL.failed, user_id=job.user_id, id=job.id, attempts=job.attempts, error=error[:160], due_at=now + pause
            )
    return hopeless


def bury(tx: Tx, job: Job, failures: int, error: str, now: dt.datetime) -> None:
    """The job is not tried any more until an operator says so."""
    tx.run(
        SQL.bury, user_id=job.user_id, id=job.id, attempts=job.attempts, failures=failures, error=error[:160], now=now
    )


def give_back(database: Database, job: Job) -> None:
    """The job waits as if it had not been begun."""
    with database.write(job.user_id) as tx:
        tx.run(SQL.give_back, user_id=job.user_id, id=job.id, attempts=job.attempts)


def forget(tx: Tx, user_id: UUID) -> None:
    """No work waits for this person."""
    tx.run(SQL.forget, user_id=user_id)


def counts(tx: Tx, now: dt.datetime) -> Counts:
    """How many jobs there are in which state, for everybody together."""
    return tx.one(Counts, SQL.counts, now=now) or Counts()


def in_trouble(tx: Tx, most: int = 200) -> list[Trouble]:
    """What failed and waits for another try, and what is dead."""
    return tx.all(Trouble, SQL.in_trouble, most=most)


def retry(tx: Tx, job_id: UUID, now: dt.datetime) -> None:
    """The job is due now, as if it had never failed. Raises NotFound for one that is in no trouble."""
    if not tx.run(SQL.retry, id=job_id, now=now):
        raise NotFound("There is no failed job with this id.")


def drop(tx: Tx, job_id: UUID) -> None:
    """The dead job is gone. Raises NotFound for one that is not dead."""
    if not tx.run(SQL.drop, id=job_id):
        raise NotFound("There is no dead job with this id.")
