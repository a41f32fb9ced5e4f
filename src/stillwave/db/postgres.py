"""The engine for many people: PostgreSQL 15-18. psycopg is imported on first use: it costs half a second."""

from __future__ import annotations

import datetime as dt
import re
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

from stillwave.db.handle import NO_FORM, Query, Reading, Row
from stillwave.db.seal import Vault
from stillwave.errors import CannotStart, ConstraintBroken, StorageFull, Unavailable

_ENSURE_PARTITIONS = Query("ensure_partitions", "", "SELECT ensure_partitions(%(first)s, %(last)s)")


class PostgresTx(Reading):
    """A transaction on PostgreSQL. Rows are dicts; the acting person is a transaction-local setting."""

    def __init__(self, connection: Any, vault: Vault) -> None:  # noqa: ANN401
        self._connection, self.vault = connection, vault

    def _execute(self, query: Query, values: Mapping[str, object]) -> Any:  # noqa: ANN401
        import psycopg

        try:
            return self._connection.execute(query.postgres, values)
        except psycopg.IntegrityError as error:
            raise ConstraintBroken(_postgres_constraint(error.diag)) from error
        except (psycopg.DataError, UnicodeEncodeError) as error:
            raise ConstraintBroken(NO_FORM) from error

    def run(self, query: Query, /, **values: object) -> int:
        return int(self._execute(query, values).rowcount)

    def rows(self, query: Query, /, **values: object) -> list[Row]:
        found: list[Row] = self._execute(query, values).fetchall()
        return found

    def act_as(self, user_id: uuid.UUID) -> None:
        self._connection.execute("SELECT set_config('stillwave.user_id', %s, true)", [str(user_id)])


_PARTITION = re.compile(r"^(sessions|audio_files|session_feedback)_(?:default|y\d{4}m\d{2})(?=_|$)")


def _postgres_constraint(said: Any) -> str:  # noqa: ANN401
    """The constraint's name, under the table's own name where a partition has a copy of it."""
    if said.sqlstate == "23502":
        name = f"{said.table_name}_{said.column_name}_not_null"
    else:
        name = said.constraint_name or "unknown"
    return _PARTITION.sub(r"\1", name)


class PostgresDatabase:
    """PostgreSQL 15-18 behind a pool that survives a restart of the server."""

    engine: Literal["postgres"] = "postgres"

    def __init__(self, url: str, vault: Vault) -> None:
        # psycopg costs half a second of start-up that the embedded engine need not pay.
        from psycopg_pool import ConnectionPool

        self._url, self.vault = url, vault
        self._pool: ConnectionPool[Any] = ConnectionPool(
            url,
            min_size=1,
            max_size=10,
            timeout=10,
            open=False,
            check=ConnectionPool.check_connection,
            configure=_configure_postgres,
            kwargs={"autocommit": False, "application_name": "stillwave"},
        )

    def open(self) -> None:
        """The pool holds a working connection. Raises CannotStart when the server is out of reach."""
        from psycopg_pool import PoolTimeout

        try:
            self._pool.open(wait=True, timeout=10)
        except PoolTimeout:
            self._pool.close()
            raise CannotStart(
                "PostgreSQL is out of reach. Check STILLWAVE_DATABASE_URL, that the server runs, "
                "and that this user may connect. Nothing was changed."
            ) from None

    def has_people(self) -> bool:
        """True when accounts are in it."""
        with self.raw() as connection:
            if connection.execute("SELECT to_regclass('users')").fetchone()[0] is None:
                return False
            return bool(connection.execute("SELECT EXISTS (SELECT FROM users)").fetchone()[0])

    def raw(self) -> Any:  # noqa: ANN401
        import psycopg

        return psycopg.connect(self._url, application_name="stillwave-migrate")

    @contextmanager
    def read(self, acting: uuid.UUID | None = None) -> Iterator[PostgresTx]:
        with self._transaction(acting, read_only=True) as tx:
            yield tx

    @contextmanager
    def write(self, acting: uuid.UUID | None = None) -> Iterator[PostgresTx]:
        with self._transaction(acting, read_only=False) as tx:
            yield tx

    @contextmanager
    def _transaction(self, acting: uuid.UUID | None, *, read_only: bool) -> Iterator[PostgresTx]:
        import psycopg
        from psycopg_pool import PoolTimeout

        try:
            with self._pool.connection() as connection:
                if read_only:
                    connection.execute("SET TRANSACTION READ ONLY")
                tx = PostgresTx(connection, self.vault)
                if acting is not None:
                    tx.act_as(acting)
                yield tx
        except PoolTimeout as error:
            raise Unavailable("The database is busy or out of reach. Please try again.") from error
        except psycopg.errors.DiskFull as error:
            raise StorageFull("The disk of the database is full. Nothing was stored.") from error
        except psycopg.OperationalError as error:
            raise Unavailable("The database went away for a moment. Please try again.") from error

    def prepare_months(self, now: dt.datetime) -> None:
        """The last four months, this one and the next four have their partitions."""
        month = now.date().replace(day=1)
        with self.write() as tx:
            tx.run(_ENSURE_PARTITIONS, first=month - dt.timedelta(days=100), last=month + dt.timedelta(days=140))

    def close(self) -> None:
        self._pool.close()


def _configure_postgres(connection: Any) -> None:  # noqa: ANN401
    """One shape on both engines: JSON as text, numbers as float, times in UTC."""
    from psycopg.rows import dict_row
    from psycopg.types.numeric import FloatLoader
    from psycopg.types.string import TextLoader

    for name in ("json", "jsonb"):
        connection.adapters.register_loader(name, TextLoader)
    connection.adapters.register_loader("numeric", FloatLoader)
    connection.row_factory = dict_row
    connection.execute("SET TIME ZONE 'UTC'")
    connection.commit()
