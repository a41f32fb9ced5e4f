"""What an engine is to the rest: `Database` opens transactions, `Tx` runs named queries.

Values are the same on both engines: ids are UUID, times are aware UTC datetimes, JSON is text.
"""

from __future__ import annotations

import datetime as dt
import re
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import aiosql
import msgspec

from stillwave.db.seal import Vault
from stillwave.log import log

T = TypeVar("T")
Row = Mapping[str, Any]

# Whose rights a transaction has on PostgreSQL: the person's (row-level security shows nothing else), those of
# housekeeping, or all of them. SQLite has one file and one right.
Right = Literal["app", "retention", "operator"]

# The name of the refusal when a value is none of its column's type: too large, not a date, not text.
NO_FORM = "form"


_STEPS = re.compile(r";\n(?=[A-Z])")


class Query:
    """One named statement, in the text of each engine.

    What one statement of PostgreSQL does may take SQLite several, each beginning a line: it has no `WITH` that writes.
    """

    __slots__ = ("before", "name", "postgres", "sqlite")

    def __init__(self, name: str, sqlite: str, postgres: str) -> None:
        self.name, self.postgres = name, postgres
        *self.before, self.sqlite = _STEPS.split(sqlite)


class Queries:
    """The queries of one feature: `queries.sql`, with `queries.<engine>.sql` beside it where they differ."""

    def __init__(self, folder: Path) -> None:
        self._queries: dict[str, Query] = {}
        texts = {"sqlite": self._read(folder, "sqlite"), "postgres": self._read(folder, "postgres")}
        if texts["sqlite"].keys() != texts["postgres"].keys():
            odd = sorted(texts["sqlite"].keys() ^ texts["postgres"].keys())
            raise RuntimeError(f"{folder}: queries on one engine only: {odd}")
        for name, text in texts["sqlite"].items():
            self._queries[name] = Query(name, text, texts["postgres"][name])

    @staticmethod
    def _read(folder: Path, engine: str) -> dict[str, str]:
        driver = {"sqlite": "sqlite3", "postgres": "psycopg"}[engine]
        found: dict[str, str] = {}
        for path in (folder / "queries.sql", folder / f"queries.{engine}.sql"):
            if path.exists():
                loaded = aiosql.from_path(path, driver, mandatory_parameters=False)
                found |= {name: getattr(loaded, name).sql for name in loaded.available_queries
                          if not name.endswith("_cursor")}
        return found

    def __getattr__(self, name: str) -> Query:
        try:
            return self._queries[name]
        except KeyError:
            raise AttributeError(name) from None


class Tx(Protocol):
    """An open transaction for one acting person (or nobody). It is never committed inside."""

    vault: Vault

    def run(self, query: Query, /, **values: object) -> int:
        """Rows changed."""
        ...

    def rows(self, query: Query, /, **values: object) -> list[Row]:
        """Every row, as the driver gave it."""
        ...

    def one(self, shape: type[T], query: Query, /, **values: object) -> T | None:
        """The first row as `shape` (a msgspec Struct), or None."""
        ...

    def stored(self, shape: type[T], query: Query, /, **values: object) -> T:
        """The row that an `INSERT ... RETURNING` stored, as `shape`."""
        ...

    def all(self, shape: type[T], query: Query, /, **values: object) -> list[T]:
        """Every row as `shape`."""
        ...

    def value(self, query: Query, /, **values: object) -> Any:  # noqa: ANN401
        """The first column of the first row, or None."""
        ...

    def act_as(self, user_id: uuid.UUID) -> None:
        """From here on the transaction acts for this person."""
        ...


class Reading:
    """What both engines do alike: turn rows into Structs, and name the statements that were slow."""

    vault: Vault
    slow_s: float

    def tell_if_slow(self, query: Query, began_s: float) -> None:
        """A statement over the limit is in the log, by its name and time alone: values may be personal."""
        took_s = time.perf_counter() - began_s
        if took_s >= self.slow_s:
            log.warning("slow query", action=query.name, duration_ms=round(took_s * 1000))

    def rows(self, query: Query, /, **values: object) -> list[Row]:
        raise NotImplementedError

    def one(self, shape: type[T], query: Query, /, **values: object) -> T | None:
        found = self.rows(query, **values)
        return msgspec.convert(found[0], shape, strict=False) if found else None

    def stored(self, shape: type[T], query: Query, /, **values: object) -> T:
        return msgspec.convert(self.rows(query, **values)[0], shape, strict=False)

    def all(self, shape: type[T], query: Query, /, **values: object) -> list[T]:
        return [msgspec.convert(row, shape, strict=False) for row in self.rows(query, **values)]

    def value(self, query: Query, /, **values: object) -> Any:  # noqa: ANN401
        found = self.rows(query, **values)
        return next(iter(found[0].values())) if found else None


class Database(Protocol):
    """An engine that is open."""

    vault: Vault
    encrypts_all: bool  # a copy of its files shows nothing at all without the key
    right: Right  # what `read` and `write` take when they are not told

    @property
    def engine(self) -> Literal["sqlite", "postgres"]:
        """Which one it is; only `db/` may care."""
        ...

    def read(self, acting: uuid.UUID | None = None, *, right: Right | None = None) -> Any:  # noqa: ANN401
        """A context manager: a transaction that only reads."""
        ...

    def write(self, acting: uuid.UUID | None = None, *, right: Right | None = None) -> Any:  # noqa: ANN401
        """A context manager: a transaction that is committed at its end, or rolled back on an error."""
        ...

    async def at_once(self, work: Callable[[], T], *, writes: bool) -> T:
        """What `work` returns, and stored what it wrote: where no thread is needed for it in the event loop, else in a thread.

        It is short, its transactions follow one another, and it writes only if it `writes`.
        """
        ...

    @property
    def only_reads(self) -> bool:
        """True inside work that runs in the event loop and may not write."""
        ...

    def raw(self) -> Any:  # noqa: ANN401
        """A driver connection of its own for migrations; the caller closes it."""
        ...

    def reopen(self) -> None:
        """Connections are new; after a migration, for the rights of old ones may be others."""
        ...

    def takes_writes(self) -> bool:
        """False once the database is moving, or has moved."""
        ...

    def connections_now(self) -> dict[str, int]:
        """How many connections are `open`, and how many of them `idle`; how many requests are `waiting` for one."""
        ...

    def rekey(self, now: dt.datetime) -> bool:
        """The database's file is under a new key; False where the files are a server's."""
        ...

    def prepare_months(self, now: dt.datetime) -> None:
        """The partitions of the months around `now` exist, where there are partitions."""
        ...

    def close(self) -> None:
        """Every connection is closed."""
        ...
