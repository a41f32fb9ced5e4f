"""Rows of a proof of concept on their way into a target: translated by the rules, sealed, and as bytes for the digest."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from typing import NamedTuple
from uuid import UUID

from stillwave.db import audit
from stillwave.db.bulk import Canonical, Row
from stillwave.db.seal import Vault
from stillwave.db.tables import Table, table
from stillwave.promote import flat, join, rules
from stillwave.promote.flat import FlatSource
from stillwave.promote.join import HEADS, NOBODY
from stillwave.promote.rules import Surroundings, Told
from stillwave.promote.sources import Damaged, PocSource, Read, read_from

EVENTS = table("audit_events")
_TABLE_OF = {"no_preferences": "user_preferences"}
_SEALED = ("neural_profiles", "progress_tracking")  # whose words are sealed as they come
BATCH_BYTES = 4_000_000


class Item(NamedTuple):
    """A row on its way: at its place in the source, sealed and as bytes for the digest, or with its rejects alone."""

    position: str
    row: Row | None
    canonical: bytes
    rejects: tuple[Row, ...]
    why: tuple[str, ...]
    beside: tuple[tuple[Table, Row], ...]
    read: int
    told: Told


class Translation:
    """One proof of concept, as it goes into one target."""

    def __init__(self, source: PocSource, around: Surroundings, vault: Vault, began_at: dt.datetime) -> None:
        self._source, self._around, self._vault, self._began_at = source, around, vault, began_at
        self._rules = translate(source)

    def batch(self, name: str, rows: Iterator[Read | Damaged], canonical: Canonical, most_rows: int) -> list[Item]:
        """The next rows, translated; none at the end."""
        held: list[Item] = []
        size = 0
        with self._vault.keys.steady():
            for read in rows:
                item = self._item(name, read, canonical)
                held.append(item)
                size += len(item.canonical)
                if item.rejects:
                    size += sum(len(kept[-1] or "") for kept in item.rejects)
                if len(held) >= most_rows or size >= BATCH_BYTES:
                    break
        return held

    def _item(self, name: str, read: Read | Damaged, canonical: Canonical) -> Item:
        if isinstance(read, Damaged):
            return self._damaged(name, read)
        found = self._rules[name](self._around, read.at, read.values)
        if found is None:
            return Item(str(read.at), None, b"", (), (), (), 0, Told(None, None, "", ()))
        told = found
        if self._around.merged and told.row is not None:
            joined = _joined(self._around, name, read, told)
            if isinstance(joined, Item):
                return joined
            told = joined
        if told.row is None:
            kept = reject(name, told, "rejected", told.why[0], self._original(name, read))
            return Item(str(read.at), None, b"", (kept,), told.why[:1], (), 1, told)
        row = told.row
        rejects: tuple[Row, ...] = ()
        if rules.lossy(told.why):
            original = self._original(name, read)
            rejects = tuple(reject(name, told, "repaired", code, original) for code in told.why if rules.RULES[code].kind == "repaired")
        plain = canonical.plain(row)
        beside: tuple[tuple[Table, Row], ...] = ()
        if name == "users":
            # Sealed when the batch is written: the keys of a whole batch are made at once.
            event = audit.opening(self._vault, UUID(row[0]), "account.promoted", self._began_at)
            beside = _chain(event)
        return Item(str(read.at), self._words_sealed(name, row), plain, rejects, told.why, beside, int(name != "no_preferences"), told)

    def _words_sealed(self, name: str, row: Row) -> Row:
        if name == "session_feedback" and row[5] is not None:
            sealed = self._vault.seal(str(row[1]), "session_feedback.feedback_text", str(row[0]), row[5])
            return (*row[:5], sealed, *row[6:])
        return join.sealed_fields(into_table(name), row, self._vault.seal) if name in _SEALED else row

    @staticmethod
    def _damaged(name: str, read: Damaged) -> Item:
        key = f"rows {read.first} to {read.last}" if read.first != read.last else f"row {read.first}"
        told = Told(None, None, key, ("unreadable",))
        kept = reject(name, told, "rejected", "unreadable", None)
        return Item(str(read.last), None, b"", (kept,), told.why, (), read.last - read.first + 1, told)

    def _original(self, name: str, read: Read) -> str:
        whole = self._source.everything_of(name, read.at)
        if whole.get("password_hash") is not None:
            whole["password_hash"] = None  # of no use to anybody but a thief
        return rules.original(list(whole), list(whole.values()))


def reject(name: str, told: Told, outcome: str, reason: str, original: str | None) -> Row:
    """A row of promotion_rejects, its original still open."""
    source_table = read_from(name)
    owner = told.owner or NOBODY
    key = made_key(told.key)
    return (owner, rules.made_id(f"reject {source_table}", f"{key}\0{reason}", rules.FIRST_MS), source_table, key, outcome, reason[:40], original)


def into_table(step: str) -> Table:
    """Where the rows of a step go."""
    return table(_TABLE_OF.get(step, step))


def made_key(text: str) -> str:
    """An old key as the column takes it."""
    clean = text.replace("\0", "").encode("utf-8", "replace").decode()
    return clean if len(clean) <= 200 else clean[:197] + "..."


def translate(source: PocSource) -> dict[str, Callable[..., Told | None]]:
    """What makes a row of each step of the source one of ours."""
    return flat.TRANSLATE if isinstance(source, FlatSource) else TRANSLATE


def _joined(around: Surroundings, name: str, read: Read, told: Told) -> Item | Told:
    """What becomes of the account and preferences of somebody who is here already; other rows stay what they are."""
    key = read.values[1 if name == "user_preferences" else 0]
    if name not in ("users", "user_preferences", "no_preferences") or key not in around.merged:
        return told
    if name == "users":
        return Item(str(read.at), None, b"", (), ("merged",), (), 1, Told(None, around.merged[key], told.key, ("merged",)))
    if name == "no_preferences":
        return Item(str(read.at), None, b"", (), (), (), 0, told)
    return Told(None, told.owner, told.key, ("preferences_here",))


def _chain(event: audit.Event) -> tuple[tuple[Table, Row], ...]:
    who = str(event.user_id)
    at = rules.stamp(int(event.at.timestamp() * 1000))
    return (
        (EVENTS, (who, str(event.seq), at, event.actor, event.action, event.detail, event.prior, event.mac)),
        (HEADS, (who, str(event.seq), event.mac)),
    )


TRANSLATE: dict[str, Callable[..., Told | None]] = {
    "users": rules.user, "user_preferences": rules.preferences, "sessions": rules.session, "session_feedback": rules.feedback,
    "no_preferences": rules.no_preferences,
}  # fmt: skip
