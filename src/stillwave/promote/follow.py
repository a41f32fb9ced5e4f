"""An embedded database that stays in use while it is copied: whoever changed since is copied anew, until the switch.

Who changed is found by comparing, person by person, so nothing is written into the source and nothing has to be
remembered: a look that was ended in the middle is done again. The switch begins with a file beside the source that its
server sees before each write, and that is taken away again unless everything arrived.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from stillwave.db import bulk
from stillwave.db.bulk import Canonical, Digest
from stillwave.db.database import SqliteDatabase
from stillwave.db.keys import write_whole
from stillwave.db.seal import Vault
from stillwave.db.sqlite import moved_file
from stillwave.errors import Conflict
from stillwave.promote import report as reports
from stillwave.promote import verify
from stillwave.promote.copy import MONTH_AT, REJECTS, Run, Step
from stillwave.promote.join import HEADS, UNREADABLE
from stillwave.promote.report import Report
from stillwave.promote.sources import OwnSource
from stillwave.promote.translate import EVENTS

_AT_ONCE = 50  # people in one transaction


def changed(run: Run, source: OwnSource) -> set[str]:
    """Whose rows are not the same on both sides; every row of both is read, none is opened."""
    theirs, ours = defaultdict[str, Digest](Digest), defaultdict[str, Digest](Digest)
    with source.database.read(right="operator") as there, run.target.read(right="operator") as here:
        for each in source.tables():
            canonical = Canonical(each, source.vault, sealed=True)
            owner, name = bulk.columns(each).index(each.owner or ""), each.name.encode()
            for digests, tx in ((theirs, there), (ours, here)):
                for row in bulk.rows(tx, each, ordered=False):
                    digests[str(row[owner])].add(name + canonical(row))
    return {who for who in theirs.keys() | ours.keys() if str(theirs[who]) != str(ours[who])}


def bring(run: Run, source: OwnSource, people: Collection[str]) -> None:
    """The rows of these people are at the target as they are at the source now, and no others of theirs."""
    run.bury(source)
    tables = source.tables()
    ordered = sorted(people)
    for some in (ordered[first : first + _AT_ONCE] for first in range(0, len(ordered), _AT_ONCE)):
        with source.database.read(right="operator") as there:
            items = {
                each: [item for who in some for item in run.own_items(source, each, bulk.rows(there, each, person=UUID(who)))]
                for each in tables
            }
        if not source.vault.indexes_and_logs_like(run.target.vault):
            # The end of a chain was looked for in the target, where its last event is not yet.
            macs = {item.row[0]: item.row[-1] for item in items[EVENTS] if item.row is not None}
            items[HEADS] = [item._replace(row=(*item.row[:-1], macs.get(item.row[0], item.row[-1]))) for item in items[HEADS] if item.row is not None]
        run.take_keys(source, [item for found in items.values() for item in found])
        months = {str(item.row[at])[:7] for each in tables if (at := MONTH_AT.get(each.name)) for item in items[each] if item.row}
        with run.target.write(right="operator") as tx:
            bulk.months(tx, months)
            with bulk.unguarded(tx, tables, alone=True):
                for each in reversed(tables):
                    for who in some:
                        bulk.clear(tx, each, UUID(who))
                for each in tables:
                    bulk.fill(tx, each, [item.row for item in items[each] if item.row is not None])
                bulk.fill(tx, REJECTS, [run.sealed(reject) for found in items.values() for item in found for reject in item.rejects])


def look(run: Run, source: OwnSource) -> int:
    """The target has caught up with the source as it was when the look began; how many people had changed."""
    people = changed(run, source)
    bring(run, source, people)
    run.files(source, Step("files", run.now))
    return len(people)


class Switched(NamedTuple):
    """The report of a switch, whose seconds are those in which nobody could write, and how many people were copied in them."""

    report: Report
    people: int


def keep_up(run: Run, source: OwnSource, file: Path, told: Callable[[int], None], pause: Callable[[], None]) -> None:
    """The target has followed the source until the switch began; `told` hears after each look how many people had changed."""
    with _alone(file):
        while not moved_file(file).exists():
            told(look(run, source))
            pause()


def switch(run: Run, source: OwnSource, file: Path, people: int, clock: Callable[[], dt.datetime]) -> Switched:
    """The target is what the source was when its last writer ended. Nobody writes to the source any more if the report is
    whole; else it goes on as if nothing had been. Raises Conflict for a source that was switched off before."""
    if moved_file(file).exists():
        raise Conflict(
            "This database has moved already, or another switch is under way. If a switch was ended by force, delete the file "
            f"{moved_file(file)} and begin again. Nothing was changed."
        )
    with _alone(file, wait=False) as following:
        if following:
            look(run, source)  # what can be copied before the switch is
    began_s = time.monotonic()
    with _frozen(file, source.vault, clock()) as moved, _alone(file):
        brought = look(run, source)
        counted(run, source)
        report = reports.made(run, verify.verify(run, people=people), clock(), time.monotonic() - began_s)
        if not report.whole:
            moved.unlink()  # people stay where they are
    return Switched(report, brought)


@contextmanager
def _alone(source: Path, *, wait: bool = True) -> Iterator[bool]:
    """Nobody else follows this source; whoever does is waited for, or else False."""
    lock = Path(f"{source}.following")
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        try:
            yield True
        finally:
            lock.unlink(missing_ok=True)


@contextmanager
def _frozen(source: Path, vault: Vault, now: dt.datetime) -> Iterator[Path]:
    """Nobody writes to the source while the file that this gives is there, and whoever was writing has ended.

    It is taken away when something fails inside.
    """
    moved = moved_file(source)
    write_whole(moved, f"Moving to another database since {now:%Y-%m-%d %H:%M} UTC. Without this file Stillwave goes on here.\n".encode())
    try:
        database = SqliteDatabase(source, vault)
        with contextlib.closing(database.raw()) as waiting:
            waiting.execute("BEGIN IMMEDIATE")
            waiting.execute("COMMIT")
        database.close()
        yield moved
    except BaseException:
        moved.unlink(missing_ok=True)
        raise


def counted(run: Run, source: OwnSource) -> None:
    """The steps say what the source holds now, for `verify` to hold the target against."""
    for each in source.tables():
        step, canonical = Step(each.name, run.now), Canonical(each, source.vault)
        with source.database.read(right="operator") as there:
            for row in bulk.rows(there, each, ordered=False):
                step.counts["read"] += 1
                try:
                    step.digest.add(canonical(row))
                except UNREADABLE:
                    step.counts["rejected"] += 1
                else:
                    step.counts["copied"] += 1
        step.done = True
        with run.target.write(right="operator") as tx:
            run.save(tx, step)

