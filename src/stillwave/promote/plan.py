"""What a promotion would do, found out without writing anything anywhere."""

from __future__ import annotations

import datetime as dt
import time
from collections import Counter
from collections.abc import Callable

import msgspec

from stillwave.accounts import passwords
from stillwave.accounts.actions import BACKGROUNDS
from stillwave.promote import join, rules
from stillwave.promote.copy import Run
from stillwave.promote.rules import Surroundings
from stillwave.promote.sources import Damaged, OwnSource, PocSource
from stillwave.promote.translate import translate

_LOOKED_AT = 200_000  # rows of a table; larger ones are extrapolated
# Copying, sealing, checking and learning, against translating alone: measured on one machine with bench/promotion.py.
_TIMES_TRANSLATING = 7
_OWN_ROWS_A_SECOND = 5000
_YEAR = dt.timedelta(days=365)


class Planned(msgspec.Struct, frozen=True):
    """One table: how many rows, what becomes of them, and how often each rule speaks."""

    table: str
    rows: int
    copied: int
    repaired: int
    rejected: int
    rules: dict[str, int]
    left_out: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


class Plan(msgspec.Struct, frozen=True):
    """What would happen; `exact` says whether every row was looked at."""

    source: str
    tables: list[Planned]
    other_tables: tuple[str, ...]
    old_sessions: int
    seconds: float
    exact: bool
    joining: int | None = None  # people who are at the target already; None where that was not looked at
    staying: int = 0  # of whom nothing comes
    renumbered: int = 0  # whose number somebody else has there

    @property
    def rejected(self) -> int:
        """Rows that would not arrive."""
        return sum(each.rejected for each in self.tables)


def plan(source: PocSource | OwnSource, now: dt.datetime, tick: Callable[[str, int, int], None] | None = None, into: Run | None = None) -> Plan:
    """The plan for a source, as of now; `into`, a merge that was not begun, tells who is at the target already."""
    found = _plan(source, now, tick)
    if into is None:
        return found
    if isinstance(source, OwnSource):
        joins = join.find(source, into.target)
        return msgspec.structs.replace(found, joining=len(joins.joined), staying=len(joins.out), renumbered=len(joins.numbers))
    around = into.surroundings(source)
    return msgspec.structs.replace(found, joining=len(around.merged), renumbered=len(around.phones))


def _plan(source: PocSource | OwnSource, now: dt.datetime, tick: Callable[[str, int, int], None] | None) -> Plan:
    if isinstance(source, OwnSource):
        tables = [Planned(each.name, rows := source.count(each.name), rows, 0, 0, {}) for each in source.tables()]
        return Plan(source.kind, tables, (), 0, sum(each.rows for each in tables) / _OWN_ROWS_A_SECOND, exact=True)
    limit = int((now + dt.timedelta(days=1)).timestamp() * 1000)
    around = Surroundings(limit_ms=limit, backgrounds=frozenset(BACKGROUNDS), nobody_hash=passwords.NOBODY)
    source.look_around(around)
    year_ago = rules.stamp(int((now - _YEAR).timestamp() * 1000))
    began_s, old, looked, total, tables = time.process_time(), 0, 0, 0, []
    for name in (name for name in source.steps if name in source.shapes):
        counts, every = _dry(source, around, name, year_ago, tick)
        looked, total = looked + counts["read"], total + every
        share = every / counts["read"] if counts["read"] else 1.0
        old += round(counts.pop("old", 0) * share)
        spoken = {code: round(counts[code] * share) for code in rules.RULES if counts[code]}
        shape = source.shapes[name]
        tables.append(Planned(
            name, every, round(counts["copied"] * share), round(counts["repaired"] * share), round(counts["rejected"] * share),
            spoken, shape.others, shape.missing,
        ))  # fmt: skip
    seconds = (time.process_time() - began_s) * total / max(looked, 1) * _TIMES_TRANSLATING
    return Plan(source.kind, tables, source.other_tables, old, seconds, exact=looked >= total)


def _dry(
    source: PocSource, around: Surroundings, name: str, year_ago: str, tick: Callable[[str, int, int], None] | None
) -> tuple[Counter[str], int]:
    counts: Counter[str] = Counter()
    every = source.count(name)
    for read in source.rows(name, 0):
        if isinstance(read, Damaged):
            counts.update(read=read.last - read.first + 1, rejected=read.last - read.first + 1, unreadable=read.last - read.first + 1)
            continue
        told = translate(source)[name](around, read.at, read.values)
        counts["read"] += 1
        if told is None:
            continue
        counts.update(told.why)
        counts["rejected" if told.row is None else "repaired" if rules.lossy(told.why) else "as_is"] += 1
        counts["copied"] += told.row is not None
        counts["old"] += name == "sessions" and told.row is not None and str(told.row[2]) < year_ago
        if tick and counts["read"] % 10_000 == 0:
            tick(name, counts["read"], every)
        if counts["read"] >= _LOOKED_AT:
            break
    return counts, max(every, counts["read"]) if counts["read"] < _LOOKED_AT else every


def told(found: Plan) -> str:
    """The plan in words."""
    lines = [f"Source: a {found.source} database. Nothing has been changed.", ""]
    for each in found.tables:
        about = "" if found.exact else "about "
        lines.append(f"{each.table}: {each.rows} rows; {about}{each.copied} would arrive, {about}{each.repaired} of them repaired; {about}{each.rejected} rejected")
        lines += [f"    {count:>9}  {rules.RULES[code].kind}: {rules.RULES[code].text}" for code, count in each.rules.items()]
        if each.missing:
            lines.append(f"    no column {', '.join(each.missing)}: read as empty")
        if each.left_out:
            lines.append(f"    NOT COPIED, for there is no place for it: column {', '.join(each.left_out)}")
    if found.joining is not None:
        lines.append(f"At the target already: {found.joining} people, whom their rows join; {found.renumbered} others whose number is somebody else's there")
        if found.staying:
            lines.append(f"    {found.staying} people of whom nothing comes: erased there, or the use of their data is paused in either")
    if found.other_tables:
        lines.append(f"NOT COPIED, for there is no place for it: table {', '.join(found.other_tables)}")
    if found.old_sessions:
        lines.append(
            f"{found.old_sessions} sessions are older than a year: they arrive, and retention removes them within the hour "
            "unless their person is premium by then."
        )
    lines += ["", f"It would take about {_duration(found.seconds)}. Rows that are rejected or repaired are kept, sealed, in promotion_rejects."]
    return "\n".join(lines)


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
