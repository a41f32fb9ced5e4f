"""The engine for many people: PostgreSQL 15-18. psycopg is imported on first use: it costs half a second.

The URL's login becomes `stillwave_app` on every connection, so that a person's requests see only what row-level
security shows; housekeeping and operators become another role for one transaction (`Right`).
"""

from __future__ import annotations

import datetime as dt
import math
import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, TypeVar

from anyio.to_thread import run_sync

from stillwave.db.handle import NO_FORM, Query, Reading, Right, Row
from stillwave.db.seal import Vault
from stillwave.errors import CannotStart, ConstraintBroken, OutOfReach, StorageFull, Unavailable

T = TypeVar("T")
_CONNECTIONS = 10
OLDEST = 15  # what security_invoker views need
_ROLES: Mapping[Right, str] = {"app": "stillwave_app", "retention": "stillwave_retention", "operator": "stillwave_owner"}

_ENSURE_PARTITIONS = Query("ensure_partitions", "", "SELECT ensure_partitions(%(first)s, %(last)s)")


class PostgresTx(Reading):
    """A transaction on PostgreSQL. Rows are dicts; the acting person is a transaction-local setting."""

    def __init__(self, connection: Any, vault: Vault, slow_s: float) -> None:  # noqa: ANN401
        self._connection, self.vault, self.slow_s = connection, vault, slow_s

    @property
    def connection(self) -> Any:  # noqa: ANN401
        """The driver's own connection, for what no named query can say: COPY, or rows by the million."""
        return self._connection

    def _execute(self, query: Query, values: Mapping[str, object]) -> Any:  # noqa: ANN401
        import psycopg

        if any(isinstance(value, float) and math.isnan(value) for value in values.values()):  # as on SQLite
            raise ConstraintBroken(NO_FORM)
        try:
            return self._connection.execute(query.postgres, values)
        except psycopg.IntegrityError as error:
            raise ConstraintBroken(postgres_constraint(error.diag)) from error
        except (psycopg.DataError, UnicodeEncodeError) as error:
            raise ConstraintBroken(NO_FORM) from error

    def run(self, query: Query, /, **values: object) -> int:
        began_s = time.perf_counter()
        changed = int(self._execute(query, values).rowcount)
        self.tell_if_slow(query, began_s)
        return changed

    def rows(self, query: Query, /, **values: object) -> list[Row]:
        began_s = time.perf_counter()
        found: list[Row] = self._execute(query, values).fetchall()
        self.tell_if_slow(query, began_s)
        return found

    def act_as(self, user_id: uuid.UUID) -> None:
        self._connection.execute("SELECT set_config('stillwave.user_id', %s, true)", [str(user_id)])


_PARTITION = re.compile(r"^(sessions|audio_files|session_feedback)_(?:default|y\d{4}m\d{2})(?=_|$)")


def postgres_constraint(said: Any) -> str:  # noqa: ANN401
    """The constraint's name, under the table's own name where a partition has a copy of it."""
    if said.sqlstate == "23502":
        name = f"{said.table_name}_{said.column_name}_not_null"
    else:
        name = said.constraint_name or "unknown"
    return _PARTITION.sub(r"\1", name)


class PostgresDatabase:
    """PostgreSQL 15-18 behind a pool that survives a restart of the server."""

    engine: Literal["postgres"] = "postgres"
    encrypts_all = False
    only_reads = False
    slow_s = 0.5

    def __init__(self, url: str, vault: Vault) -> None:
        self._url, self.vault = url, vault
        self.right: Right = "app"
        self.has_roles = False
        self._pool = self._new_pool()

    @property
    def one_role(self) -> bool:
        """True where no roles could be made."""
        return not self.has_roles

    def _new_pool(self) -> Any:  # noqa: ANN401
        from psycopg_pool import ConnectionPool

        return ConnectionPool(
            self._url,
            min_size=1,
            max_size=_CONNECTIONS,
            timeout=10,
            open=False,
            # A lost connection is tried anew for so long, ever later, and then by the next request: after an outage of
            # any length nobody waits for an attempt that was put off by minutes.
            reconnect_timeout=3,
            configure=self._configure,
            kwargs={"autocommit": True, "application_name": "stillwave"},  # `_beginning` begins transactions
        )

    def open(self) -> None:
        """The pool holds a working connection. Raises CannotStart when the server cannot be used, and says why."""
        from psycopg_pool import PoolTimeout

        connection = self.raw()
        try:
            self._look_at(connection)
        finally:
            connection.close()
        try:
            self._pool.open(wait=True, timeout=10)
        except PoolTimeout:
            self._pool.close()
            raise _out_of_reach("") from None

    def reopen(self) -> None:
        """Connections made before the schema was are gone: theirs is the login's role."""
        self._pool.close()
        self._pool = self._new_pool()
        self.open()

    def _look_at(self, connection: Any) -> None:  # noqa: ANN401
        version = connection.info.server_version // 10000
        if version < OLDEST:
            raise CannotStart(
                f"This is PostgreSQL {version}; Stillwave needs {OLDEST} to 18. Upgrade the server "
                "(pg_upgrade keeps the data). Nothing was changed."
            )
        self.has_roles, may_serve = connection.execute(
            "SELECT relowner = to_regrole('stillwave_owner'), pg_has_role('stillwave_app', 'MEMBER')"
            " FROM pg_class WHERE oid = to_regclass('public.users') AND to_regrole('stillwave_app') IS NOT NULL"
        ).fetchone() or (False, True)
        if self.has_roles and not may_serve:
            raise CannotStart(
                "This login may not work as stillwave_app. As a superuser or as who made the roles, run: "
                "GRANT stillwave_app, stillwave_retention TO the login in STILLWAVE_DATABASE_URL"
            )

    def _configure(self, connection: Any) -> None:  # noqa: ANN401
        """One shape on both engines (JSON as text, numbers as float, times in UTC), and the app's role."""
        from psycopg.rows import dict_row
        from psycopg.types.numeric import FloatLoader
        from psycopg.types.string import TextLoader

        for name in ("json", "jsonb"):
            connection.adapters.register_loader(name, TextLoader)
        connection.adapters.register_loader("numeric", FloatLoader)
        connection.row_factory = dict_row
        connection.execute("SET TIME ZONE 'UTC'")
        # Planning costs more than running over many months. A plan made once prunes them when it runs.
        connection.execute("SET plan_cache_mode = force_generic_plan")
        if self.has_roles:
            connection.execute("SET ROLE stillwave_app")

    def has_people(self) -> bool:
        """True when accounts are in it."""
        with self.raw() as connection:
            if connection.execute("SELECT to_regclass('public.users')").fetchone()[0] is None:
                return False
            if self.has_roles:
                connection.execute("SET LOCAL ROLE stillwave_app")
                return bool(connection.execute("SELECT total > 0 FROM people_counted()").fetchone()[0])
            connection.execute("SELECT set_config('stillwave.user_id', '*', true)")
            return bool(connection.execute("SELECT EXISTS (SELECT FROM users)").fetchone()[0])

    def raw(self) -> Any:  # noqa: ANN401
        """A connection as the URL's own login. Raises CannotStart with what is wrong with it."""
        import psycopg

        try:
            return psycopg.connect(self._url, application_name="stillwave-migrate", connect_timeout=10)
        except psycopg.OperationalError as error:
            raise _out_of_reach(str(error)) from None
        except psycopg.ProgrammingError:
            raise CannotStart(
                "STILLWAVE_DATABASE_URL cannot be read. It looks like postgresql://user:password@host:5432/database; "
                "special characters in the password are written as %40 and so on."
            ) from None

    async def at_once(self, work: Callable[[], T], *, writes: bool) -> T:  # noqa: ARG002
        """What `work` returns, from a thread: it waits for the server."""
        return await run_sync(work)

    @contextmanager
    def read(self, acting: uuid.UUID | None = None, *, right: Right | None = None) -> Iterator[PostgresTx]:
        with self._transaction(acting, right or self.right, read_only=True) as tx:
            yield tx

    @contextmanager
    def write(self, acting: uuid.UUID | None = None, *, right: Right | None = None) -> Iterator[PostgresTx]:
        with self._transaction(acting, right or self.right, read_only=False) as tx:
            yield tx

    @contextmanager
    def _transaction(self, acting: uuid.UUID | None, right: Right, *, read_only: bool) -> Iterator[PostgresTx]:
        import psycopg
        from psycopg_pool import PoolTimeout

        try:
            connection = self._begun(self._beginning(acting, right, read_only=read_only), right)
            try:
                with connection:  # commits, or rolls back; a pool's connection stays open
                    yield PostgresTx(connection, self.vault, self.slow_s)
            finally:
                self._pool.putconn(connection)
        except PoolTimeout as error:
            raise Unavailable("The database is busy or out of reach. Please try again.") from error
        except psycopg.errors.DiskFull as error:
            raise StorageFull("The disk of the database is full. Nothing was stored.") from error
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise Unavailable("The database went away for a moment. Please try again.") from error

    @contextmanager
    def snapshot(self) -> Iterator[Any]:
        """A driver connection that sees everything as it is at this moment. Raises CannotStart without the right."""
        import psycopg

        with self.raw() as connection:
            try:
                connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                if self.has_roles:
                    connection.execute("SET LOCAL ROLE stillwave_backup")
                else:
                    connection.execute("SELECT set_config('stillwave.user_id', '*', true)")
            except psycopg.errors.InsufficientPrivilege:
                raise CannotStart(
                    "This login may not read everything, as a backup must. As a superuser or as who made the roles, "
                    "run: GRANT stillwave_backup TO the login in STILLWAVE_DATABASE_URL. Nothing was written."
                ) from None
            try:
                yield connection
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                raise Unavailable("The database went away meanwhile. Please try again.") from error

    @contextmanager
    def scratch(self) -> Iterator[PostgresDatabase]:
        """An empty database on the same server, gone at the end. Raises CannotStart without the right to make one."""
        import psycopg
        from psycopg.conninfo import make_conninfo
        from psycopg.sql import SQL, Identifier

        name = Identifier(found := f"stillwave_scratch_{uuid.uuid4().hex}")
        with self.raw() as admin:
            admin.autocommit = True
            try:
                admin.execute(SQL("CREATE DATABASE {} TEMPLATE template0").format(name))
            except psycopg.errors.InsufficientPrivilege:
                raise CannotStart(
                    "This login may not make a database to try the backup in. Use the URL of a superuser, or run: "
                    "ALTER ROLE the login CREATEDB. Nothing was changed."
                ) from None
            made = PostgresDatabase(make_conninfo(self._url, dbname=found), self.vault)
            try:
                made.open()
                yield made
            finally:
                made.close()
                admin.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(name))

    def _begun(self, begin: str, right: Right) -> Any:  # noqa: ANN401
        """A connection with a transaction that has begun. Those that the server ended meanwhile are given up.

        The first statement finds out: asking each connection before would cost a way there and back in every request.
        """
        import psycopg

        lost = 0
        while True:
            connection = self._pool.getconn()
            try:
                connection.execute(begin, prepare=False)  # several statements in one cannot be prepared
            except psycopg.errors.InsufficientPrivilege:
                self._pool.putconn(connection)
                raise CannotStart(
                    f"This login may not act as {_ROLES[right]}. For operators' commands use a login that is "
                    "a member of stillwave_migrator; for housekeeping GRANT stillwave_retention to the server's."
                ) from None
            except (psycopg.OperationalError, psycopg.InterfaceError):
                self._pool.putconn(connection)
                lost += 1
                if lost > _CONNECTIONS:
                    raise
            else:
                return connection

    def _beginning(self, acting: uuid.UUID | None, right: Right, *, read_only: bool) -> str:
        """What begins a transaction and says who acts, as which role: sent at once, undone at its end."""
        steps = ["BEGIN READ ONLY" if read_only else "BEGIN"]
        if right != "app" and self.has_roles:
            steps.append(f"SET LOCAL ROLE {_ROLES[right]}")
        if acting is not None:
            steps.append(f"SET LOCAL stillwave.user_id = '{uuid.UUID(str(acting))}'")
        elif right != "app" and not self.has_roles:
            steps.append("SET LOCAL stillwave.user_id = '*'")
        return "; ".join(steps)

    def takes_writes(self) -> bool:
        return True

    def connections_now(self) -> dict[str, int]:
        told = self._pool.get_stats()
        return {
            "open": told.get("pool_size", 0), "idle": told.get("pool_available", 0),
            "waiting": told.get("requests_waiting", 0),
        }  # fmt: skip

    def prepare_months(self, now: dt.datetime) -> None:
        """The last four months, this one and the next four have their partitions."""
        month = now.date().replace(day=1)
        with self.write(right="retention") as tx:
            tx.run(_ENSURE_PARTITIONS, first=month - dt.timedelta(days=100), last=month + dt.timedelta(days=140))

    def rekey(self, now: dt.datetime) -> bool:  # noqa: ARG002
        """False: the files are the server's, whose volume is encrypted by others."""
        return False

    def close(self) -> None:
        self._pool.close()


def _out_of_reach(told: str) -> CannotStart:
    """What is wrong with a connection, in words of ours: the driver's own could hold what the URL holds."""
    what, kind = next(
        ((advice, kind) for said, advice, kind in (
            ("password authentication failed", "It refuses the user or the password in STILLWAVE_DATABASE_URL.", CannotStart),
            ("no password supplied", "It wants a password: put it into STILLWAVE_DATABASE_URL.", CannotStart),
            ("no pg_hba.conf entry", "Its pg_hba.conf does not let this user connect from here.", CannotStart),
            ("does not exist", "The user or the database in STILLWAVE_DATABASE_URL does not exist: make it with createuser or createdb.", CannotStart),
            ("too many", "It has no connection left: raise max_connections, or end what does not need one.", OutOfReach),
            ("starting up", "It is just starting. Try again in a moment.", OutOfReach),
            ("SSL", "TLS could not be agreed on: look at sslmode in STILLWAVE_DATABASE_URL.", CannotStart),
            ("resolve", "The name of its host is not known: check STILLWAVE_DATABASE_URL.", OutOfReach),
            ("translate host", "The name of its host is not known: check STILLWAVE_DATABASE_URL.", OutOfReach),
        ) if said in told),
        ("Check STILLWAVE_DATABASE_URL, that the server runs, and that this user may connect.", OutOfReach),
    )  # fmt: skip
    return kind(f"PostgreSQL is out of reach. {what} Nothing was changed.")
