"""Looking at the target after the copy: counts, digests, references, profiles, and people field by field."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import msgspec

from stillwave.db import audit, bulk, portable
from stillwave.db.bulk import Canonical, Digest
from stillwave.db.handle import Query
from stillwave.db.seal import SealBroken
from stillwave.db.tables import HUNDREDTHS, TABLES, Column, Table, table
from stillwave.promote import rules
from stillwave.promote.copy import REJECTS, Run, Step
from stillwave.promote.flat import FlatSource
from stillwave.promote.join import SQL, Joins
from stillwave.promote.rules import Surroundings
from stillwave.promote.sources import OwnSource, PocSource, key_text
from stillwave.promote.translate import into_table, made_key, translate

_LOOKED_AT_ONCE = 5000
_NEAR = 1e-6  # the learned numbers of two engines


class Check(msgspec.Struct, frozen=True):
    """One thing that was looked at."""

    name: str
    ok: bool
    told: str


class _Undo(Exception):
    """What was tried is taken back."""


def verify(run: Run, *, people: int = 20, seed: int = 0) -> list[Check]:
    """Everything that can be said of the target, each with a sentence; a False is a promotion that failed."""
    steps = {step.name: step for step in run.steps()}
    found = [*_counts(run, steps), *_digests(run, steps), *_references(run)]
    if "files" in steps:
        files = steps["files"].counts
        lost = f"{files['missing']} are not there and {files['damaged']} are damaged: they are rendered anew when asked for"
        found.append(Check("sound files", ok=True, told=f"{files['came']} came along; {lost}"))
    sample = _sample(run, people, seed)
    found.append(_profiles(run, [target for _, target in sample]))
    found.append(_chains(run, [target for _, target in sample]))
    if isinstance(run.source, PocSource):
        found.append(_fields_of_poc(run, run.source, sample))
    else:
        found.append(_fields_of_own(run, run.source, [(str(one), here) for one, here in sample]))
    return found


# --- every row ------------------------------------------------------------------------------------


def _counts(run: Run, steps: dict[str, Step]) -> Iterator[Check]:
    for name, step in steps.items():
        if name in ("profiles", "files", "no_preferences"):
            continue
        counts = step.counts
        there = run.source.count(name) if run.person is None else counts["read"]
        arrived = counts["copied"] + counts["rejected"] + counts["merged"]
        ok = counts["read"] == arrived and (there == counts["read"] or bool(counts["unreadable"]))
        yield Check(
            f"{name}: every row", ok,
            f"{there} there, {counts['read']} read: {counts['copied']} copied, {counts['merged']} joined, {counts['rejected']} rejected",
        )  # fmt: skip


def _digests(run: Run, steps: dict[str, Step]) -> Iterator[Check]:
    expected: dict[str, tuple[int, Digest]] = {}
    kept = 0
    for step in steps.values():
        if step.name in ("profiles", "files"):
            continue
        kept += step.counts["kept"]
        if step.name == "neural_profiles" and isinstance(run.source, PocSource):
            continue  # learned since; that is looked at by itself
        name = into_table(step.name).name
        count, digest = expected.get(name, (0, Digest()))
        expected[name] = (count + step.counts["copied"], digest.plus(step.digest))
    for name, (count, digest) in expected.items():
        before = run.load(f"before {name}")
        try:
            now = look(run, table(name))
        except SealBroken as error:
            yield Check(f"{name}: digest", ok=False, told=error.detail)
            continue
        if name == REJECTS.name and kept:  # what this promotion kept stands beside what came
            yield Check(name, now[0] - before.counts["rows"] == count + kept, f"{count} came, {kept} kept")
            continue
        ok = now[0] - before.counts["rows"] == count and str(now[1].without(before.digest)) == str(digest)
        yield Check(f"{name}: digest", ok, f"{now[0] - before.counts['rows']} rows, {str(now[1].without(before.digest))[:16]}…")
    if isinstance(run.source, PocSource):
        there = look(run, REJECTS)[0] - run.load(f"before {REJECTS.name}").counts["rows"]
        yield Check("promotion_rejects", there == kept, f"{there} kept, {kept} expected")


def look(run: Run, each: Table) -> tuple[int, Digest]:
    """Count and digest of a table of the target, every sealed value opened."""
    digest, count = Digest(), 0
    canonical = Canonical(each, run.target.vault)
    left_out, owner = run.changed_otherwise(each), bulk.columns(each).index(each.owner or "")
    with run.target.read(right="operator") as tx:
        rows = (row for row in bulk.rows(tx, each, ordered=False) if row[owner] not in left_out)
        while some := list(itertools.islice(rows, _LOOKED_AT_ONCE)):
            with run.target.vault.keys.steady():
                digest.add_all(map(canonical, some))
            count += len(some)
    return count, digest


def _references(run: Run) -> Iterator[Check]:
    lost = 0
    with run.target.read(right="operator") as tx:
        for each in TABLES:
            if each.only_on is not None or each.retention == "statement":
                continue
            for key in each.foreign_keys:
                on = " AND ".join(f"parent.{there} = child.{here}" for here, there in zip(key.columns, key.parent_columns, strict=True))
                text = (
                    f"SELECT count(*) AS n FROM {each.name} AS child LEFT JOIN {key.parent} AS parent ON {on}"  # noqa: S608  catalogue
                    f" WHERE parent.{key.parent_columns[0]} IS NULL"
                )
                lost += int(tx.value(Query("orphans", text, text)))
    yield Check("references", lost == 0, "every row leads to its session and its person" if not lost else f"{lost} rows lead nowhere")


# --- a sample of people ---------------------------------------------------------------------------


def _sample(run: Run, people: int, seed: int) -> list[tuple[object, str]]:
    """(id in the source, id in the target) of people drawn by chance."""
    chance = random.Random(seed)  # noqa: S311  a sample need not be secret
    if isinstance(run.source, OwnSource):
        with run.source.database.read(right="operator") as tx:
            everybody = [str(row[0]) for row in bulk.rows(tx, table("users"), person=run.person)]
        joins = run.joiner.joins if run.joiner else Joins({}, {}, {}, [])
        there = [one for one in everybody if one not in joins.out and one not in joins.numbers]
        some = chance.sample(there, min(people, len(there))) + chance.sample(joins.joined, min(people, len(joins.joined)))
        return [(one, joins.people.get(one, one)) for one in sorted(set(some))]
    around = run.surroundings(run.source)
    top = max(1, run.source.top("users"))
    drawn = sorted({chance.randint(1, top) for _ in range(people * 2)})
    found: list[tuple[object, str]] = []
    for read in run.source.some("users", drawn)[:people]:
        told = translate(run.source)["users"](around, read.at, read.values)
        if told is None:
            continue
        here = around.merged.get(read.values[0]) or told.owner
        if here is not None and told.row is not None:
            found.append((read.values[0], here))
    return found


def _profiles(run: Run, people: list[str]) -> Check:
    """The profiles of the sample are what folding their history anew makes."""
    wrong = 0
    for one in people:
        user_id = UUID(one)
        try:
            with run.target.write(right="operator") as tx:
                before = tx.rows(SQL.profile_of, user_id=user_id)
                tx.run(SQL.rebuild, user_id=user_id)
                after = tx.rows(SQL.profile_of, user_id=user_id)
                if before:
                    wrong += not all(_near(_loaded(before[0][name]), _loaded(after[0][name])) for name in before[0])
                raise _Undo
        except _Undo:
            pass
    return Check("learned profiles", not wrong, f"{len(people)} people: " + (f"{wrong} differ from a rebuild" if wrong else "equal to a rebuild"))


def _loaded(value: Any) -> Any:  # noqa: ANN401
    return json.loads(value) if isinstance(value, str) and value[:1] == "{" else value


def _near(one: Any, other: Any) -> bool:  # noqa: ANN401
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_near(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_near, one, other))
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return abs(one - other) <= _NEAR
    return bool(one == other)


def _chains(run: Run, people: list[str]) -> Check:
    with run.target.read(right="operator") as tx:
        broken = [told for one in people if (told := audit.broken(tx, UUID(one)))]
    return Check("audit log", not broken, f"{len(people)} chains are whole" if not broken else f"{len(broken)} chains are broken: {broken[0]}")


def _fields_of_own(run: Run, source: OwnSource, people: list[tuple[str, str]]) -> Check:
    wrong: Counter[str] = Counter()
    for one, twin in people:
        with source.database.read(UUID(one)) as tx:
            there = portable.everything(tx, UUID(one))
        with run.target.read(UUID(twin)) as tx:
            here = portable.everything(tx, UUID(twin))
        if run.joiner and one in run.joiner.joins.people:
            wrong.update(_lost(there, here, twin))
            continue
        for name, rows in there.items():
            if sorted(map(_plain, rows)) != sorted(map(_plain, here[name])):
                wrong[name] += 1
    return Check("people, field by field", not wrong, _told(len(people), wrong))


def _lost(there: dict[str, list[dict[str, Any]]], here: dict[str, list[dict[str, Any]]], twin: str) -> Iterator[str]:
    """The table of each row of a joined person that is neither here nor in the rejects."""
    rejected = {(row["source_table"], row["source_key"]) for row in here["promotion_rejects"]}
    for name, rule in rules.JOINED.items():
        if rules.RULES[rule].kind == "stays":
            continue
        each, arrived = table(name), set(map(_plain, here[name]))
        for row in there[name]:
            key = made_key(key_text([row[column] for column in each.key]))
            if (name, key) not in rejected and _plain(row | {each.owner or "": twin}) not in arrived:
                yield name


def _plain(row: dict[str, Any]) -> str:
    def one(value: Any) -> Any:  # noqa: ANN401
        if isinstance(value, dict):
            return {name: one(inner) for name, inner in value.items()}
        if isinstance(value, (list, tuple)):
            return [one(inner) for inner in value]
        return _text(value)

    return json.dumps(one(row), sort_keys=True)


def _text(value: Any) -> str | None:  # noqa: ANN401
    """A value as one text, whichever engine gave it."""
    if value is None:
        return None
    if isinstance(value, dt.datetime):
        return rules.stamp(round(value.timestamp() * 1000))
    if isinstance(value, (bool, int)):
        return str(int(value))
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    return str(value)


def _told(people: int, wrong: Counter[str]) -> str:
    told = ", ".join(f"{name} of {count}" for name, count in sorted(wrong.items()))
    return f"{people} people: " + (f"differences in {told}" if wrong else "all the same")


def _fields_of_poc(run: Run, source: PocSource, sample: list[tuple[object, str]]) -> Check:
    """What the sample's export shows is what the rules make of their old rows."""
    around = run.surroundings(source)
    wrong: Counter[str] = Counter()
    expected = _expected(source, around, sample)
    for old, here in sample:
        with run.target.read(UUID(here)) as tx:
            found = portable.everything(tx, UUID(here))
        for name, rows in expected[here].items():
            there = {str(row["id"]): row for row in found[name]}
            joined = old in around.merged or (isinstance(source, FlatSource) and source.goes_on)
            if not joined and len(there) != len(rows):
                wrong[name] += 1
            wrong[name] += sum(1 for row in rows if not _same(table(name), row, there.get(str(row["id"]))))
    wrong = Counter({name: count for name, count in wrong.items() if count})
    return Check("people, field by field", not wrong, _told(len(sample), wrong))


def _expected(
    source: PocSource, around: Surroundings, sample: list[tuple[object, str]]
) -> dict[str, dict[str, list[dict[str, str | None]]]]:
    expected: dict[str, dict[str, list[dict[str, str | None]]]] = {here: {} for _, here in sample}
    keys = [old for old, _ in sample]
    for name in ("users", "sessions", "session_feedback"):
        names = bulk.columns(table(name))
        for found in expected.values():
            found[name] = []
        for read in source.of_people(name, keys):
            told = translate(source)[name](around, read.at, read.values)
            if told is not None and told.row is not None and told.owner in expected:
                expected[told.owner][name].append(dict(zip(names, told.row, strict=True)))
    return expected


def _same(each: Table, row: dict[str, str | None], there: dict[str, Any] | None) -> bool:
    return there is not None and all(
        _field(column, row[column.name]) == _field(column, there[column.name])
        for column in each.columns if column.kept_back is None and column.name in row
    )  # fmt: skip


def _field(column: Column, value: Any) -> str | None:  # noqa: ANN401
    if value is None:
        return None
    if column.kind == HUNDREDTHS:
        return f"{float(value):.2f}"
    if column.kind.format_check == "json":
        return bulk.one_json(value if isinstance(value, str) else json.dumps(value))
    return _text(value)
