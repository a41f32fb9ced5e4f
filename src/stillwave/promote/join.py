"""Two Stillwaves become one: who is in both, and what becomes of each row of theirs.

Who is the same is found out once, before the first row is copied, and kept in the target; so a promotion that was ended
in the middle goes on with the same people. Words are opened with the keys there and sealed anew under those here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import msgspec

from stillwave.accounts.rules import PLACEHOLDER_PREFIX
from stillwave.db import bulk
from stillwave.db.bulk import AnyTx, Canonical, Row
from stillwave.db.database import PostgresDatabase, Queries, SqliteDatabase
from stillwave.db.seal import PREFIX, SealBroken
from stillwave.db.tables import TEXTS, Table, table
from stillwave.errors import NotFound
from stillwave.profiles.screening import ADVERSE, OTHER
from stillwave.promote import rules
from stillwave.promote.sources import OwnSource

SQL = Queries(Path(__file__).parent)
Target = PostgresDatabase | SqliteDatabase

NOBODY = str(UUID(int=0))
UNREADABLE = (SealBroken, NotFound)  # sealed for somebody else, altered, or the key is gone
USERS, HEADS, PROFILES, FILES = table("users"), table("audit_heads"), table("neural_profiles"), table("audio_files")
_DECLARED = "neural_profiles.contraindications"


class Joins(msgspec.Struct, frozen=True):
    """Who is in both: id there -> id here. `out`: of whom nothing comes, and the rule. `numbers`: placeholders for people
    whose number somebody else has here. `logs`: of whom only the log is here."""

    people: dict[str, str]
    out: dict[str, str]
    numbers: dict[str, str]
    logs: list[str]

    @property
    def joined(self) -> list[str]:
        """The ids there of people who are here."""
        return sorted(who for who in self.people if who != NOBODY)


def find(source: OwnSource, target: Target) -> Joins:
    """Everybody of the source who is here by their id or their e-mail."""
    names = bulk.columns(USERS)
    paused = names.index("processing_restricted")
    with target.read(right="operator") as tx:
        here = {str(row[0]): row[paused] == "1" for row in bulk.rows(tx, USERS, ordered=False)}
        logs = {str(row[0]) for row in bulk.rows(tx, HEADS, ordered=False)}
    erased = {str(who) for who, _ in target.vault.keys.erased()}
    people, out, numbers = {NOBODY: NOBODY}, dict[str, str](), dict[str, str]()
    with source.database.read(right="operator") as there, target.read(right="operator") as tx:
        for row in bulk.rows(there, USERS):
            who = str(row[0])
            twin = who if who in here else _twin(source, tx, row)
            if who in erased:
                out[who] = "erased_here"
            elif twin is None:
                if (instead := _number(source, tx, row)) is not None:
                    numbers[who] = instead
            elif here[twin] or row[paused] == "1":
                out[who] = "standing_still"
            else:
                people[who] = twin
        only = {str(row[0]) for row in bulk.rows(there, HEADS)} & logs
    return Joins(people, out, numbers, sorted(only - people.keys() - out.keys()))


def _twin(source: OwnSource, tx: AnyTx, row: Row) -> str | None:
    """Who has the e-mail here. An address that is only kept as it was written proves nothing."""
    person = UUID(row[0])
    try:
        email = source.vault.open(person, "users.email", person, str(row[1]))
    except UNREADABLE:
        return None
    if row[2] not in source.vault.blind_indexes("users.email", email, retired=True):
        return None
    for index in tx.vault.blind_indexes("users.email", email):
        if (found := tx.value(SQL.person_of_index, email_index=index)) is not None:
            return str(found)
    return None


def _number(source: OwnSource, tx: AnyTx, row: Row) -> str | None:
    """What stands for the number of a person if somebody else has it here."""
    person = UUID(row[0])

    def is_taken(number: str) -> bool:
        return any(
            tx.value(SQL.phone_of_another, user_id=person, phone_index=index)
            for index in tx.vault.blind_indexes("users.phone_number", number)
        )

    try:
        if not is_taken(source.vault.open(person, "users.phone_number", person, str(row[3]))):
            return None
    except UNREADABLE:
        return None
    tries = 0
    while is_taken(instead := rules.placeholder(row[0], tries)):
        tries += 1
    return instead


class Verdict(NamedTuple):
    """What becomes of a row: whose it is here, the rule, the row itself or None, its bytes for the digest, and what is
    kept of it in the rejects."""

    owner: str
    rule: str
    row: Row | None = None
    plain: bytes = b""
    original: str | None = None


class Joiner:
    """Judges the rows of one source, table by table, in the order of their keys."""

    def __init__(self, joins: Joins, source: OwnSource, target: Target, *, one_folder: bool) -> None:
        self.joins, self._source, self._target = joins, source, target
        self._one_folder = one_folder  # both keep their sound in one place, where no file can be under two keys
        self._of = ("", "")
        self._keys: dict[tuple[str | None, ...], bytes] = {}
        self._free: set[tuple[str | None, ...]] = set()
        self._names: set[str] | None = None

    def owner(self, who: str) -> str:
        """Whose the rows of that person are here."""
        return self.joins.people.get(who, who)

    def look(self, each: Table, row: Row) -> Verdict | None:
        """What becomes of the row; None: it comes as it is. Raises SealBroken or NotFound when it cannot be opened."""
        names = bulk.columns(each)
        who = str(row[names.index(each.owner or "")])
        if who in self.joins.out:
            return Verdict(NOBODY, self.joins.out[who])
        if who in self.joins.people:
            return self._joined(each, row, who)
        if each is USERS and who in self.joins.numbers:
            return self._renumbered(row, who)
        if each.name in ("audit_events", "audit_heads") and who in self.joins.logs:
            return Verdict(NOBODY, "stays_there")
        if each is FILES and row[names.index("file_path")] in self._file_names():
            return Verdict(who, "file_taken", original=_as_json(each, row))
        return None

    def _joined(self, each: Table, row: Row, who: str) -> Verdict:
        twin, rule = self.joins.people[who], rules.JOINED[each.name]
        if rules.RULES[rule].kind == "stays":
            return Verdict(twin, rule)
        opened = sealed_fields(each, row, self._source.vault.open)
        kept = _as_json(each, opened)
        if rule != "joined":
            return Verdict(twin, rule, original=kept)
        names = bulk.columns(each)
        at = names.index(each.owner or "")
        moved = sealed_fields(each, (*opened[:at], twin, *opened[at + 1 :]), self._target.vault.seal)
        plain = Canonical(each, self._target.vault)(moved)
        self._look_here(each, twin)
        key = _part(each, moved, _key_of(each))
        if key in self._keys:
            return Verdict(twin, "row_same") if self._keys[key] == plain else Verdict(twin, "row_here", original=kept)
        reason, columns = rules.ONE_EACH.get(each.name, ("", None))
        if columns is not None and _part(each, moved, columns) in self._free:
            return Verdict(twin, reason, original=kept)
        if each is FILES:
            under_another_key = self._one_folder and who != twin and moved[names.index("size_bytes")] is not None
            if under_another_key or moved[names.index("file_path")] in self._file_names():
                return Verdict(twin, "file_taken", original=kept)
        return Verdict(twin, rule, moved, plain)

    def _renumbered(self, row: Row, who: str) -> Verdict:
        person, vault, instead = UUID(who), self._source.vault, self.joins.numbers[who]
        number = vault.open(person, "users.phone_number", person, str(row[3]))
        at = bulk.columns(USERS).index("account_status")
        status = "phone_required" if row[at] == "active" else row[at]
        moved = (*row[:3], vault.seal(person, "users.phone_number", person, instead), *row[4:at], status, *row[at + 1 :])
        plain = Canonical(USERS, vault)(moved)
        if number.startswith(PLACEHOLDER_PREFIX):
            return Verdict(who, "phone_missing", moved, plain)
        return Verdict(who, "phone_taken", moved, plain, json.dumps({"phone_number": number}))

    def _look_here(self, each: Table, twin: str) -> None:
        """What the person has in that table here is known."""
        if self._of == (each.name, twin):
            return
        canonical, columns = Canonical(each, self._target.vault), rules.ONE_EACH.get(each.name, ("", ()))[1]
        self._of, self._keys, self._free = (each.name, twin), {}, set()
        with self._target.read(right="operator") as tx:
            for row in bulk.rows(tx, each, person=UUID(twin)):
                try:
                    plain = canonical(row)
                except UNREADABLE:
                    plain = b""
                self._keys[_part(each, row, _key_of(each))] = plain
                self._free.add(_part(each, row, columns))

    def _file_names(self) -> set[str]:
        if self._names is None:
            at = bulk.columns(FILES).index("file_path")
            with self._target.read(right="operator") as tx:
                self._names = {str(row[at]) for row in bulk.rows(tx, FILES, ordered=False)}
        return self._names

    def relearn(self, tx: AnyTx, people: Sequence[str]) -> None:
        """What these people (ids there) declared in either place holds here, and their profile has learned from all answers."""
        twins, profiles = [], []
        with self._source.database.read(right="operator") as there:
            for who in people:
                twin = UUID(self.joins.people[who])
                theirs = next(iter(list(bulk.rows(there, PROFILES, person=UUID(who)))), None)
                ours = next(iter(list(bulk.rows(tx, PROFILES, person=twin))), None)
                if theirs is not None:
                    profiles.append(self._careful(theirs, ours, twin))
                if theirs is not None or ours is not None:
                    twins.append(twin)
        with bulk.unguarded(tx, [PROFILES]):
            for row in profiles:
                bulk.clear(tx, PROFILES, UUID(row[1]))
            bulk.fill(tx, PROFILES, profiles)
        for twin in twins:
            tx.run(SQL.rebuild, user_id=twin)

    def _careful(self, theirs: Row, ours: Row | None, twin: UUID) -> Row:
        """The profile here with every condition and red flag of both."""
        at = bulk.columns(PROFILES).index("contraindications")
        entries = json.loads(ours[at] or "[]") if ours else []
        known = _conditions(entries, twin, self._target.vault.open)
        missing = [one for one in _conditions(json.loads(theirs[at] or "[]"), UUID(theirs[1]), self._source.vault.open) if one not in known]
        declared = [one for one in missing if not one.startswith(ADVERSE)]
        if declared:
            entries.append(self._target.vault.seal(twin, _DECLARED, twin, json.dumps(declared)))
        entries += [one for one in missing if one.startswith(ADVERSE)]
        row = ours or (theirs[0], str(twin), *theirs[2:])
        return (*row[:at], json.dumps(entries), *row[at + 1 :])


def _conditions(entries: list[str], person: UUID, opened: Callable[[UUID, str, UUID, str], str]) -> list[str]:
    """What is declared in these entries; one that cannot be read counts as a condition that nobody knows."""
    found: list[str] = []
    for entry in entries:
        if not entry.startswith(PREFIX):
            found.append(entry)
            continue
        try:
            found += json.loads(opened(person, _DECLARED, person, entry))
        except UNREADABLE:
            found.append(OTHER + "an earlier answer that can no longer be read")
    return list(dict.fromkeys(found))


def sealed_fields(each: Table, row: Row, change: Callable[[UUID, str, UUID, str], str]) -> Row:
    """The row with its sealed fields opened, or sealed: a list entry by entry, each of them JSON."""
    told: Mapping[str, str | None] = dict(zip(bulk.columns(each), row, strict=True))
    owner, sealed = UUID(told[each.owner or ""]), {column.name: column.kind for column in each.columns if column.sealed}
    row_id = UUID(told["id"]) if "id" in told else owner

    def changed(name: str, value: str) -> str:
        if sealed[name] == TEXTS:
            return json.dumps([change(owner, f"{each.name}.{name}", owner, json.dumps(entry)) for entry in json.loads(value)])
        return change(owner, f"{each.name}.{name}", row_id, value)

    return tuple(changed(name, value) if name in sealed and value is not None else value for name, value in told.items())


def _as_json(each: Table, row: Row) -> str:
    return json.dumps(dict(zip(bulk.columns(each), row, strict=True)))


def _key_of(each: Table) -> tuple[str, ...]:
    return tuple(name for name in each.key if name != each.owner)


def _part(each: Table, row: Row, columns: Sequence[str]) -> tuple[str | None, ...]:
    names = bulk.columns(each)
    return tuple(row[names.index(name)] for name in columns)
