"""Copying in batches: each is one transaction that holds its rows, its rejects, and how far the copy has come.

Ended at any moment and begun again, the copy goes on behind the last batch that was committed, and ends the same.
"""

from __future__ import annotations

import datetime as dt
import gc
import json
import math
import re
import shutil
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from stillwave.accounts import passwords
from stillwave.accounts.actions import BACKGROUNDS
from stillwave.accounts.rules import AS_WRITTEN
from stillwave.db import audit, bulk
from stillwave.db.bulk import AnyTx, Canonical, Digest, Row
from stillwave.db.handle import Query
from stillwave.db.seal import SealBroken, SealedWriter, read_sealed
from stillwave.db.tables import Table, table
from stillwave.errors import Conflict, ConstraintBroken, NotFound, StorageFull, Unavailable
from stillwave.profiles import effects
from stillwave.profiles.actions import stick_flags
from stillwave.profiles.screening import ADVERSE
from stillwave.promote import join, learn, rules
from stillwave.promote.flat import FlatSource
from stillwave.promote.join import HEADS, NOBODY, SQL, UNREADABLE, USERS, Joiner, Joins, Target, Verdict
from stillwave.promote.rules import Surroundings, Told
from stillwave.promote.sources import Damaged, OwnSource, PocSource, key_text, read_from
from stillwave.promote.translate import BATCH_BYTES, EVENTS, Item, Translation, into_table, reject

Progress = Callable[[str, int, int], None]  # step, rows done, rows there are

REJECTS = table("promotion_rejects")
_RELEARN_AT_ONCE = 20  # people whose histories are folded again in one transaction
_PEOPLE = 4000  # whose profiles are made in one transaction
_KEYS_IN_MEMORY = 300_000
_TRIES = 8
_WITH_INDEXES = tuple(map(table, ("sessions", "session_feedback", "profile_history")))  # which have many rows
_FILE_NAME = re.compile(r"[0-9a-f]{32}\.swf")
MONTH_AT = {"sessions": 2, "session_feedback": 3, "audio_files": 3}
# What changes of a joined person by more than what is copied.
_CHANGE = ("neural_profiles", "profile_history", "learning_checkpoint", "audit_events", "audit_heads")


class Step:
    """How far one step has come."""

    def __init__(self, name: str, started_at: dt.datetime) -> None:
        self.name, self.started_at = name, started_at
        self.position: str | None = None
        self.done = False
        self.counts: Counter[str] = Counter()
        self.digest = Digest()

    def saved(self) -> dict[str, object]:
        """Its row."""
        return {
            "step": self.name, "position": self.position, "done": self.done, "counts": json.dumps(dict(sorted(self.counts.items()))),
            "digest": str(self.digest),
        }  # fmt: skip

    def copied(self) -> Step:
        """The same again, to be changed apart."""
        twin = Step(self.name, self.started_at)
        twin.position, twin.done, twin.counts = self.position, self.done, Counter(self.counts)
        twin.digest = Digest(str(self.digest))
        return twin


class Run:
    """One promotion into one target."""

    batch_rows = 10_000

    def __init__(
        self, source: PocSource | OwnSource, target: Target, now: dt.datetime, *, merge: bool = False,
        person: UUID | None = None, audio: Path | None = None, progress: Progress | None = None, pause: Callable[[float], None] = time.sleep,
    ) -> None:  # fmt: skip
        self.source, self.target, self.now, self.merge, self.person = source, target, now, merge, person
        self.progress = progress or (lambda _step, _done, _of: None)
        self._pause, self._audio = pause, audio
        target.slow_s = math.inf  # long statements are what this is made of
        self.name = source.fingerprint() if isinstance(source, PocSource) else source.fingerprint(str(person or ""))
        self.began_at = now
        self.joiner: Joiner | None = None
        self._months: set[str] = set()
        self._totals: dict[str, int] = {}

    # --- steps

    def load(self, name: str) -> Step:
        """The step as it is in the target; a new one where it has not begun."""
        with self.target.read(right="operator") as tx:
            found = tx.rows(SQL.step_of, source=self.name, step=name)
        if not found:
            return Step(name, self.now)
        row = found[0]
        at = row["started_at"]
        step = Step(name, at if isinstance(at, dt.datetime) else dt.datetime.fromisoformat(at))
        step.position, step.done = row["position"], bool(row["done"])
        step.counts, step.digest = Counter(json.loads(row["counts"])), Digest(row["digest"])
        return step

    def save(self, tx: AnyTx, step: Step) -> None:
        """The step is in the target, with what else this transaction writes."""
        tx.run(SQL.save_step, source=self.name, now=self.now, **step.saved())

    def steps(self) -> list[Step]:
        """Every step that has begun, in the order in which they are done."""
        if isinstance(self.source, PocSource):
            names: tuple[str, ...] = (*self.source.steps, "profiles")
        else:
            names = (*(each.name for each in self.source.tables()), "files", "profiles")
        return [step for name in names if (step := self.load(name)).counts or step.done]

    def begin(self) -> dt.datetime:
        """When the promotion began: now, or at its first run. Raises Conflict for a target that holds other people."""
        first = self.load("began")
        joined = self.load("joined")
        if not first.done:
            self._begin(first, joined)
        self._join(joined)
        self.merge = self.merge or bool(first.counts["others"])
        return first.started_at

    def _join(self, joined: Step) -> None:
        if joined.position and isinstance(self.source, OwnSource):
            self.joiner = Joiner(msgspec.json.decode(joined.position, type=Joins), self.source, self.target, one_folder=self._one_folder(self.source))
            self.target.vault.keys.create(UUID(int=0))

    def _begin(self, first: Step, joined: Step) -> None:
        with self.target.read(right="operator") as tx:
            others = bool(tx.value(SQL.anybody))
        if others and isinstance(self.source, FlatSource):
            raise Conflict(
                "The target holds people already. Promote this database into a new folder, and then that folder into the "
                "target with --merge. Nothing was changed."
            )
        if others and not self.merge:
            raise Conflict(
                "The target holds people already. Promote into an empty database, or say --merge: accounts with the "
                "same e-mail are joined then, and keep what is here. Nothing was changed."
            )
        if isinstance(self.source, OwnSource) and self.source.vault.keys is not self.target.vault.keys:
            joins = join.find(self.source, self.target)
            if joins.out and not self.merge:
                raise Conflict(
                    f"{len(joins.out)} people of the source were erased at the target, and do not come back. Say --merge, and "
                    "everybody else is promoted. Nothing was changed."
                )
            if self.merge:
                joined.position, joined.done = msgspec.json.encode(joins).decode(), True
        first.counts["others"], first.done = int(others), True
        self._join(joined)
        if others:
            self._remember_before()
        with self.target.write(right="operator") as tx:
            self.save(tx, joined)
            self.save(tx, first)

    def changed_otherwise(self, each: Table) -> set[str]:
        """People whose rows in this table change by more than what is copied: whoever was joined learns, and it is logged."""
        if self.joiner is None or each.name not in _CHANGE:
            return set()
        return set(self.joiner.joins.people.values())

    def _remember_before(self) -> None:
        for each in self._tables():
            step = Step(f"before {each.name}", self.now)
            left_out = self.changed_otherwise(each)
            owner = bulk.columns(each).index(each.owner or "")
            with self.target.read(right="operator") as tx:
                canonical = Canonical(each, self.target.vault)
                for row in bulk.rows(tx, each):
                    if row[owner] in left_out:
                        continue
                    step.digest.add(canonical(row))
                    step.counts["rows"] += 1
            step.done = True
            with self.target.write(right="operator") as tx:
                self.save(tx, step)

    def _tables(self) -> list[Table]:
        if isinstance(self.source, OwnSource):
            return [*self.source.tables()]
        return [*(table(name) for name in self.source.steps if name == into_table(name).name), REJECTS]

    # --- everything

    def copy(self) -> None:
        """Every row has arrived or is in promotion_rejects, and profiles have learned."""
        self.began_at = self.begin()
        self.target.vault.keys.cached = _KEYS_IN_MEMORY
        with _few_collections():
            if isinstance(self.source, PocSource):
                self._copy_poc(self.source)
            else:
                self.source.vault.keys.cached = _KEYS_IN_MEMORY
                self._copy_own(self.source)

    def _persist(self, name: str, work: Callable[[Step], None]) -> None:
        """The step is done; a database that goes away meanwhile is waited for."""
        tries = 0
        while True:
            step = self.load(name)
            before = step.position
            try:
                work(step)
            except Unavailable:
                tries = tries + 1 if self._where(name, before) == before else 1
                if tries >= _TRIES:
                    raise
                self._pause(min(2.0**tries, 15))
            else:
                return

    def _where(self, name: str, before: str | None) -> str | None:
        try:
            return self.load(name).position
        except Unavailable:
            return before

    # --- a proof of concept

    def surroundings(self, source: PocSource) -> Surroundings:
        """What the rows cannot know of themselves."""
        limit = self.began_at + dt.timedelta(days=1)
        around = Surroundings(
            limit_ms=int(limit.timestamp() * 1000), backgrounds=frozenset(BACKGROUNDS), nobody_hash=passwords.NOBODY
        )
        source.look_around(around)
        if self.merge:
            self._look_for_the_same(source, around)
        return around

    def _look_for_the_same(self, source: PocSource, around: Surroundings) -> None:
        """People who are here under another id are known."""
        with self.target.read(right="operator") as tx:
            for read in source.rows("users", 0):
                if isinstance(read, Damaged) or (told := rules.user(around, read.at, read.values)).row is None:
                    continue
                key, email, phone = read.values[0], str(told.row[1]), str(told.row[3])
                if read.at not in around.taken and "address_unusable" not in told.why:
                    here = tx.value(SQL.person_of_index, email_index=tx.vault.blind_index("users.email", email))
                    if here is not None and str(here) != told.owner:
                        around.merged[key] = str(here)
                        continue
                tries = 0
                while tx.value(SQL.phone_of_another, user_id=UUID(str(told.owner)),
                               phone_index=tx.vault.blind_index("users.phone_number", phone)):  # fmt: skip
                    tries += 1
                    around.phones[key] = phone = rules.placeholder(told.key, tries)

    def _copy_poc(self, source: PocSource) -> None:
        translation = Translation(source, self.surroundings(source), self.target.vault, self.began_at)
        self.target.vault.keys.create(UUID(int=0))
        self._persist("indexes", self._take_indexes)
        for name in source.steps:
            self._totals[name] = source.count(name)
            self._persist(name, lambda step: self._poc_step(source, translation, step))
        self._persist("profiles", partial(self._profiles, self.load("session_feedback").counts["copied"]))
        self._persist("indexes", self._make_indexes)

    def _take_indexes(self, step: Step) -> None:
        """A target that nobody uses yet does without some indexes until everything is there, whoever ends the copy between."""
        if step.position is None and not step.done and not self.merge:
            with self.target.write(right="operator") as tx:
                bulk.take_indexes(tx, _WITH_INDEXES)
                step.position = "taken"
                self.save(tx, step)

    def _make_indexes(self, step: Step) -> None:
        if step.position is not None and not step.done:
            with self.target.write(right="operator") as tx:
                bulk.make_indexes(tx, _WITH_INDEXES)
                step.done = True
                self.save(tx, step)

    def _poc_step(self, source: PocSource, translation: Translation, step: Step) -> None:
        into = into_table(step.name)
        canonical = Canonical(into, self.target.vault)
        self.progress(step.name, step.counts["read"], self._totals[step.name])
        if isinstance(source, FlatSource):
            source.done[step.name] = self._done_of(step, into)
        rows = source.rows(step.name, int(step.position or 0))
        # While the target takes a batch, the next one is translated.
        with closing(rows), ThreadPoolExecutor(1) as writer:
            written: Future[None] | None = None
            while True:
                held = translation.batch(step.name, rows, canonical, self.batch_rows)
                if written is not None:
                    written.result()
                if not held:
                    break
                written = writer.submit(self._commit, step, into, held)
        step.done = True
        self._commit(step, into, [])

    def _done_of(self, step: Step, into: Table) -> tuple[set[str], set[str]]:
        """What came of a step before: the ends of ids here, and the old keys of what was rejected."""
        if step.position is None:
            return set(), set()
        text = f"SELECT id FROM {into.name}"  # noqa: S608  a name of the catalogue
        with self.target.read(right="operator") as tx:
            arrived = {str(row["id"])[14:] for row in tx.rows(Query("ids", text, text))}
            return arrived, {str(row["source_key"]) for row in tx.rows(SQL.rejected_of, source_table=read_from(step.name))}

    # --- batches

    def _commit(self, step: Step, into: Table, items: list[Item]) -> None:
        """The items are in the target and the step says so; what the database refuses is rejected, alone."""
        try:
            after = self._write(step, into, items)
        except ConstraintBroken as error:
            if len(items) == 1:
                after = self._write(step, into, [self._refused(step.name, items[0], error.name)])
            else:
                done, step.done = step.done, False
                half = len(items) // 2
                self._commit(step, into, items[:half])
                step.done = done
                self._commit(step, into, items[half:])
                return
        step.position, step.counts, step.digest = after.position, after.counts, after.digest
        self.progress(step.name, step.counts["read"], self._totals.get(step.name, 0))

    def _refused(self, name: str, item: Item, constraint: str) -> Item:
        if item.row is None:
            raise ConstraintBroken(constraint)
        kept = json.dumps(dict(zip(bulk.columns(into_table(name)), item.told.row or item.row, strict=True)))
        refused = reject(name, item.told, "rejected", f"refused:{constraint}", kept)
        return item._replace(row=None, canonical=b"", beside=(), why=("refused",), rejects=(*item.rejects, refused))

    def _write(self, step: Step, into: Table, items: list[Item]) -> Step:
        with self.target.vault.keys.steady():
            return self._written(step, into, items)

    def _written(self, step: Step, into: Table, items: list[Item]) -> Step:
        after = step.copied()
        rows = [item.row for item in items if item.row is not None]
        if into is USERS and isinstance(self.source, PocSource):
            self.target.vault.keys.keep({UUID(str(row[0])): None for row in rows})
        rejects = [self.sealed(kept) for item in items for kept in item.rejects]
        after.counts["read"] += sum(item.read for item in items)
        after.counts.update(code for item in items for code in item.why)
        after.digest.add_all(item.canonical for item in items if item.row is not None)
        for item in items:
            if item.row is None and item.why:
                after.counts["rejected"] += item.read * (rules.RULES[item.why[0]].kind == "rejected")
                after.counts["merged"] += item.read * (rules.RULES[item.why[0]].kind == "stays")
        after.counts["copied"] += len(rows)
        after.counts["kept"] += len(rejects)
        after.counts["repaired"] += sum(1 for item in items if item.row is not None and item.rejects)
        if items:
            after.position = items[-1].position
        beside = [pair for item in items for pair in item.beside]
        touched = [into, *((REJECTS,) if rejects else ()), *((EVENTS, HEADS) if beside else ())]
        with self._transaction(touched, rows) as tx:
            if into is USERS and isinstance(self.source, PocSource):
                rows = [self._with_contact(item) for item in items if item.row is not None]
            for item in items:
                if item.why in (("merged",), ("account_here",)):
                    audit.note(tx, UUID(str(item.told.owner)), "account.joined", self.began_at, actor="operator")
            bulk.fill(tx, into, rows)
            for other in (EVENTS, HEADS):
                bulk.fill(tx, other, [row for where, row in beside if where is other])
            bulk.fill(tx, REJECTS, rejects)
            self.save(tx, after)
        return after

    @contextmanager
    def _transaction(self, tables: Sequence[Table], rows: Sequence[Row]) -> Iterator[AnyTx]:
        with self.target.write(right="operator") as tx:
            at = MONTH_AT.get(tables[0].name)
            if at is not None:
                wanted = {str(row[at])[:7] for row in rows} - self._months
                bulk.months(tx, wanted)
            with bulk.unguarded(tx, tables, alone=not self.merge):
                yield tx
        if at is not None:
            self._months |= wanted

    def sealed(self, kept: Row) -> Row:
        if kept[-1] is None:
            return kept
        owner, key = UUID(kept[0]), UUID(kept[1])
        try:
            return (*kept[:-1], self.target.vault.seal(owner, "promotion_rejects.original", key, kept[-1]))
        except NotFound:  # a person of whom the database took no row
            return (NOBODY, *kept[1:-1], self.target.vault.seal(UUID(int=0), "promotion_rejects.original", key, kept[-1]))

    def _with_contact(self, item: Item) -> Row:
        """The row of users with address and number sealed and findable."""
        row = item.row or ()
        vault, person = self.target.vault, UUID(row[0])
        written = "address_taken" in item.why or "address_unusable" in item.why
        email, phone = str(row[1]), str(row[3])
        index = vault.blind_index(AS_WRITTEN if written else "users.email", email)
        phone_index = vault.blind_index("users.phone_number", phone)
        return (
            row[0], vault.seal(person, "users.email", person, email), index,
            vault.seal(person, "users.phone_number", person, phone), phone_index, *row[5:],
        )  # fmt: skip

    # --- what is learned

    def _profiles(self, answers: int, step: Step) -> None:
        """Everybody who rated has the profile that their history makes, of which `answers` were copied."""
        if step.position is not None and step.counts["answers"] != answers:  # more came since
            step.position, step.done, step.counts["again"] = None, False, 1
        step.counts["answers"] = answers
        while not step.done:
            after = UUID(step.position) if step.position else UUID(int=0)
            with self.target.write(right="operator") as tx:
                people = tx.rows(SQL.people_after, after=after, most=_PEOPLE)
                if people:
                    step.counts.update(self._learned(tx, people, after, again=bool(step.counts["again"])))
                    step.position = str(people[-1]["id"])
                step.counts["read"] += len(people)
                step.done = len(people) < _PEOPLE
                self.save(tx, step)
            self.progress(step.name, step.counts["read"], self._totals.get("users", 0))

    def _learned(self, tx: AnyTx, people: Sequence[Mapping[str, Any]], after: UUID, *, again: bool) -> dict[str, int]:
        """The profiles of these people are made: side by side where they begin here, one by one where more is known."""
        state = {str(row["id"]): row for row in people}
        plain: list[learn.Given] = []
        flags = defaultdict[str, set[str]](set)
        behind: set[str] | None = None
        if again:
            behind = {str(row["id"]) for row in tx.rows(SQL.behind, after=after, upto=people[-1]["id"])}
        others: dict[str, str] = {}  # those that the triggers' own rebuild must do, and since when they rate
        for row in tx.rows(SQL.histories, after=after, upto=people[-1]["id"]):
            who = str(row["user_id"])
            at = _stamp(row["created_at"])
            if behind is not None and state[who]["known"] and who not in behind:
                continue
            if told := [msgspec.json.decode(text) for text in (row["physical"], row["mental"]) if text]:
                flags[who] |= set(effects.red_flags(*told))
            if who in others or row["more"] or state[who]["known"] or not state[who]["allowed"]:
                others.setdefault(who, at)
            else:
                plain.append(learn.Given(who, str(row["id"]), at, row["rating"], row["effectiveness"], row["hz"]))
        if isinstance(self.source, FlatSource):  # of a profile without answers too
            others |= {who: "" for who, row in state.items() if row["known"] and who not in others}
        found = learn.fold([one for one in plain if one.user_id not in others])
        profiles: list[Row] = [(_profile_id(who, str(row[4])), who, *row) for who, row in found.profiles.items()]
        profiles += [
            (_profile_id(who, at), who, None, "240", json.dumps(_flags(flags[who])), "5", at, at, *[None] * 8, "1")
            for who, at in others.items() if not state[who]["known"]
        ]  # fmt: skip
        filled = {"neural_profiles": profiles, "profile_history": found.history, "learning_checkpoint": found.checkpoints}
        with bulk.unguarded(tx, [table(name) for name in filled], alone=not self.merge):
            for name, rows in filled.items():
                bulk.fill(tx, table(name), rows)
        for who in others:
            if state[who]["known"]:
                stick_flags(tx, UUID(who), tuple(flags[who]), self.now)
            tx.run(SQL.rebuild, user_id=UUID(who))
        return {"copied": len(found.profiles), "rebuilt": len(others)}

    # --- a database of ours

    def _copy_own(self, source: OwnSource) -> None:
        for each in source.tables():
            self._totals[each.name] = source.count(each.name)
            self._persist(each.name, lambda step, each=each: self._own_step(source, each, step))  # type: ignore[misc]
        if self.person is None:
            self.bury(source)
        self._persist("files", lambda step: self.files(source, step))
        if self.joiner is not None:
            self._persist("profiles", partial(self._relearn, self.joiner))

    def _relearn(self, joiner: Joiner, step: Step) -> None:
        people = [who for who in joiner.joins.joined if who > (step.position or "")]
        for first in range(0, len(people), _RELEARN_AT_ONCE):
            some = people[first : first + _RELEARN_AT_ONCE]
            with self.target.write(right="operator") as tx:
                joiner.relearn(tx, some)
                step.counts["read"] += len(some)
                step.counts["copied"] += len(some)
                step.position = some[-1]
                self.save(tx, step)
            self.progress(step.name, step.counts["read"], len(joiner.joins.joined))
        step.done = True
        with self.target.write(right="operator") as tx:
            self.save(tx, step)

    def bury(self, source: OwnSource) -> None:
        """Whoever was erased at the source has no key at the target either, and a tombstone, so that no backup brings them
        back; but for whoever has an account of their own here."""
        keys = self.target.vault.keys
        if source.vault.keys is not keys:
            for who, when in source.vault.keys.erased():
                if not keys.is_erased(who) and not (self.merge and keys.holds(who)):
                    keys.destroy(who, when)

    def _own_step(self, source: OwnSource, each: Table, step: Step) -> None:
        if step.done:
            return
        self.progress(step.name, step.counts["read"], self._totals[step.name])
        with source.database.read(right="operator") as read:
            held: list[Item] = []
            size = 0
            after = json.loads(step.position) if step.position else None
            for item in self.own_items(source, each, bulk.rows(read, each, person=self.person, after=after)):
                held.append(item)
                size += sum(len(value) for value in item.told.row or () if value)
                if len(held) >= self.batch_rows or size >= BATCH_BYTES:
                    self.take_keys(source, held)
                    self._commit(step, each, held)
                    held, size = [], 0
            step.done = True
            self.take_keys(source, held)
            self._commit(step, each, held)

    def own_items(self, source: OwnSource, each: Table, rows: Iterator[Row]) -> Iterator[Item]:
        """The rows of a table of ours on their way, in the order of its key: under the target's root key, or rejected."""
        canonical = Canonical(each, source.vault)
        shared = source.vault.indexes_and_logs_like(self.target.vault)
        names = bulk.columns(each)
        where = [names.index(name) for name in each.key]
        owner = names.index(each.owner or "")
        prior: tuple[str, str] = ("", "")
        for row in rows:
            position = key_text([row[at] for at in where])
            told = Told(row, self.joiner.owner(str(row[owner])) if self.joiner else row[owner], position, ())
            try:
                verdict = self.joiner.look(each, row) if self.joiner else None
                plain = verdict.plain if verdict else canonical(row)
            except UNREADABLE:
                kept = json.dumps(dict(zip(names, row, strict=True)))
                unreadable = reject(each.name, told, "rejected", "unreadable", kept)
                yield Item(position, None, b"", (unreadable,), ("unreadable",), (), 1, told)
                continue
            if verdict is not None:
                yield self._judged(source, each, position, verdict)
                continue
            moved = row
            if not shared and each is USERS:
                moved = self._indexed_anew(source, row)
            elif not shared and each in (EVENTS, HEADS):
                moved, prior = self._chained_anew(source, each, row, prior)
            yield Item(position, moved, plain, (), (), (), 1, told)

    def _judged(self, source: OwnSource, each: Table, position: str, verdict: Verdict) -> Item:
        """A row of somebody who is in both, or in the way of somebody, as the rules have it."""
        told = Told(verdict.row, verdict.owner, position, (verdict.rule,))
        rejects: tuple[Row, ...] = ()
        if verdict.original is not None:
            rejects = (reject(each.name, told, rules.RULES[verdict.rule].kind, verdict.rule, verdict.original),)
        row = self._indexed_anew(source, verdict.row) if verdict.row is not None and each is USERS else verdict.row
        return Item(position, row, verdict.plain, rejects, told.why, (), 1, told)

    def files(self, source: OwnSource, step: Step) -> None:
        """Every sound file that is whole has come along, sealed as it is: the key in it is the person's, not the root's."""
        files = table("audio_files")
        names = bulk.columns(files)
        who, what, size = (names.index(name) for name in ("user_id", "file_path", "size_bytes"))
        folder = self._audio
        if step.done or folder is None or self._one_folder(source):
            return
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with source.database.read(right="operator") as tx:
            for row in bulk.rows(tx, files, person=self.person):
                name = str(row[what])
                if row[size] is None or not _FILE_NAME.fullmatch(name):  # never rendered, or a path made elsewhere
                    continue
                person = str(row[who])
                if self.joiner and person in self.joiner.joins.out:
                    continue
                found = _file_copied(
                    source.audio / name, folder / name, partial(source.vault.keys.key, UUID(person)), keep=self.merge,
                    anew=self.target.vault.keys.current(UUID(self.joiner.joins.people[person]))
                    if self.joiner and person in self.joiner.joins.people else None,
                )  # fmt: skip
                step.counts[found] += 1
                self.progress("files", sum(step.counts.values()), 0)
        step.done = True
        with self.target.write(right="operator") as tx:
            self.save(tx, step)

    def _one_folder(self, source: OwnSource) -> bool:
        folder = self._audio
        return folder is not None and folder.exists() and source.audio.exists() and folder.samefile(source.audio)

    def take_keys(self, source: OwnSource, items: list[Item]) -> None:
        """Everybody whose rows these are has their key in the target's store, wrapped for its root key."""
        if source.vault.keys is self.target.vault.keys:
            return
        keys: dict[UUID, Mapping[int, bytes] | None] = {}
        for owner in {UUID(str(item.told.owner)) for item in items}:
            try:
                keys[owner] = source.vault.keys.all_of(owner)
            except NotFound:  # an erased person, of whom the audit log alone is left
                continue
        self.target.vault.keys.keep(keys)

    def _indexed_anew(self, source: OwnSource, row: Row) -> Row:
        """The row of users with the digests of its address and number under the target's key."""
        person = UUID(row[0])
        email = source.vault.open(person, "users.email", person, str(row[1]))
        phone = source.vault.open(person, "users.phone_number", person, str(row[3]))
        place = next(
            (place for place in ("users.email", AS_WRITTEN) if row[2] in source.vault.blind_indexes(place, email, retired=True)),
            "users.email",
        )
        vault = self.target.vault
        return (row[0], row[1], vault.blind_index(place, email), row[3], vault.blind_index("users.phone_number", phone), *row[5:])

    def _chained_anew(self, source: OwnSource, each: Table, row: Row, prior: tuple[str, str]) -> tuple[Row, tuple[str, str]]:
        """An event of the audit log, or the end of a chain, under the target's key; one that was changed stays broken."""
        who, seq = str(row[0]), int(str(row[1]))
        before = seq - 1 if each is EVENTS else seq
        if prior[0] != who:
            with self.target.read(right="operator") as tx:
                prior = (who, tx.value(SQL.mac_of_event, user_id=UUID(who), seq=before) or str(row[-2] if each is EVENTS else row[-1]))
        if each is HEADS:
            return (*row[:-1], prior[1]), ("", "")
        told = dict(zip(bulk.columns(EVENTS), row, strict=True))
        try:
            event = audit.carried(source.vault, self.target.vault, msgspec.convert(told, audit.Event, strict=False), prior[1])
        except ValueError:
            return row, (who, str(row[-1]))
        return (*row[:-2], event.prior, event.mac), (who, event.mac)


def _file_copied(
    here: Path, there: Path, key: Callable[[int], bytes], *, keep: bool, anew: tuple[int, bytes] | None
) -> str:
    """`came`, `missing` or `damaged`; only a file that opens to its last byte is there afterwards.

    `keep`: a file that is there stays. `anew`: it is sealed under the key of this generation.
    """
    if not here.exists():
        return "missing"
    if there.exists() and (keep or there.stat().st_size == here.stat().st_size):
        return "came"
    part = there.with_suffix(".part")
    try:
        if anew is None:
            for _ in read_sealed(here, key, here.name):
                pass
            shutil.copyfile(here, part)
        else:
            with SealedWriter(part.open("wb"), anew[1], here.name, anew[0]) as sealed:
                for piece in read_sealed(here, key, here.name):
                    sealed.write(piece)
    except SealBroken:
        part.unlink(missing_ok=True)
        return "damaged"
    except OSError as error:
        part.unlink(missing_ok=True)
        raise StorageFull(f"The sound folder of the target cannot be written: {error.strerror}. Run the command again then.") from error
    part.chmod(0o600)
    part.replace(there)
    return "came"


@contextmanager
def _few_collections() -> Iterator[None]:
    """Inside, Python looks rarely for rings of dead objects: rows by the thousand make none, and the looking costs a sixth."""
    before = gc.get_threshold()
    gc.set_threshold(100_000, 50, 50)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _profile_id(user_id: str, first_at: str) -> str:
    return rules.made_id("neural_profiles", user_id, rules.moment_ms(first_at.encode()) or rules.FIRST_MS)


def _flags(found: set[str]) -> list[str]:
    return [ADVERSE + flag for flag in sorted(found)]


def _stamp(moment: object) -> str:
    """A time as either engine gives it, in the catalogue's form."""
    return rules.stamp(int(moment.timestamp() * 1000)) if isinstance(moment, dt.datetime) else str(moment)
