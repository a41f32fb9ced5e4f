"""Short work on the embedded engine in the server's event loop: no change of threads, and one commit for all who write at once.

It has one connection, whose pages stay decrypted: what another connection wrote empties a connection's memory of pages.
Who reads is answered at once while nobody writes. Who writes waits for their turn without holding up the loop; then all
who wait take their turns one after the other, writers each in a savepoint, and one commit follows for all of them: a page
that several changed is encrypted and written once, and the disk is waited for once, in a thread. Nobody of them is
answered before.
"""

from __future__ import annotations

import asyncio
import collections
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import sqlcipher3.dbapi2 as sqlcipher

from stillwave.errors import Unavailable

if TYPE_CHECKING:
    from stillwave.db.sqlite import SqliteDatabase

T = TypeVar("T")
_MOST_TOGETHER = 16  # then it is committed, however many wait
_PATIENCE_S = 10.0  # with another process that writes
_AGAIN_S = 0.01
_LONGEST_S = 20.0  # who waited as long is refused, as writers in threads are


class _Wish(NamedTuple):
    """Work that waits for its turn, and who waits for it."""

    work: Callable[[], Any]
    writes: bool
    done: asyncio.Future[Any]
    since_s: float


class AtOnce:
    """The work of one event loop on one database; waiting for the turn and committing have a thread of their own."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database
        self._connection: sqlcipher.Connection | None = None
        self.writes = False  # whether the work that runs just now may write
        self._together = False  # whether the transaction of all is open
        self._trouble: Exception | None = None  # what ended it
        self._wishes: collections.deque[_Wish] = collections.deque()
        self._turns: asyncio.Task[None] | None = None
        # Not one of those that handlers run in: all of them may be waiting for the very turn that we have.
        self._aside = ThreadPoolExecutor(1, thread_name_prefix="commit")

    async def run(self, work: Callable[[], T], *, writes: bool) -> T:
        """What `work` returns; what it wrote is on the disk then."""
        if not (writes or self._together):
            return self._here(work, writes=False)
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._wishes.append(_Wish(work, writes, done, time.monotonic()))
        if self._turns is None or self._turns.done():
            self._turns = asyncio.create_task(self._take_turns())
        return await done

    def _here(self, work: Callable[[], T], *, writes: bool) -> T:
        self.writes = writes
        with self._database.inside(self):
            return work()

    async def _take_turns(self) -> None:
        while self._wishes:
            if not self._wishes[0].writes:
                wish = self._wishes.popleft()
                try:
                    _answer(wish.done, self._here(wish.work, writes=False))
                except Exception as error:  # noqa: BLE001  it hears of it whose work it was
                    _refuse(wish.done, error)
                continue
            try:
                await self._begin()
            except Exception as error:  # noqa: BLE001  whoever waits hears of it
                while self._wishes:
                    _refuse(self._wishes.popleft().done, self._database.trouble(error))
                return
            await self._one_after_the_other()

    async def _one_after_the_other(self) -> None:
        answers: list[tuple[asyncio.Future[Any], Any]] = []
        try:
            for _ in range(_MOST_TOGETHER):
                if not self._wishes:
                    break
                wish = self._wishes.popleft()
                if time.monotonic() - wish.since_s > _LONGEST_S:
                    _refuse(wish.done, Unavailable("The database is busy. Please try again."))
                    continue
                try:
                    answers.append((wish.done, self._here(wish.work, writes=wish.writes)))
                except Exception as error:  # noqa: BLE001
                    _refuse(wish.done, error)
                await asyncio.sleep(0)  # others of the loop go on, and more may come
            await asyncio.get_running_loop().run_in_executor(self._aside, self._commit)
        except Exception as error:  # noqa: BLE001
            for done, _ in answers:
                _refuse(done, self._database.trouble(error))
        else:
            for done, answer in answers:
                _answer(done, answer)
        finally:
            self._together = False
            self._database.give_turn()

    async def _begin(self) -> None:
        """Nobody but this loop writes, and the transaction of all is open."""
        if not self._database.takes_turn_now():
            await asyncio.get_running_loop().run_in_executor(self._aside, self._database.take_turn)
        try:
            until_s = time.monotonic() + _PATIENCE_S
            while not self._begun("BEGIN IMMEDIATE"):
                if time.monotonic() > until_s:
                    raise Unavailable("The database is busy. Please try again.")
                await asyncio.sleep(_AGAIN_S)
        except BaseException:
            self._database.give_turn()
            raise
        self._trouble, self._together = None, True

    def _begun(self, begin: str) -> bool:
        """False while another process is in the way."""
        try:
            self._connection = self._database.begun(self._connection, begin, patience_s=0)
        except sqlcipher.OperationalError as error:
            if isinstance(self._database.trouble(error), Unavailable):
                return False
            raise
        except BaseException:
            self._connection = None
            raise
        return True

    def _commit(self) -> None:
        connection = self._connection
        if self._trouble is not None or connection is None or not connection.in_transaction:
            raise self._trouble or Unavailable("The database is busy. Please try again.")
        try:
            connection.execute("COMMIT")
        except sqlcipher.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    @contextmanager
    def read(self) -> Iterator[sqlcipher.Connection]:
        """A transaction that only reads, or part of that of all."""
        if self._together:
            yield self._still_open()
            return
        if self._connection is not None and self._connection.in_transaction:
            raise RuntimeError("short work has one transaction after the other")
        if not self._begun("BEGIN") or self._connection is None:
            raise Unavailable("The database is busy. Please try again.")
        connection = self._connection
        try:
            yield connection
        finally:
            if connection.in_transaction:
                connection.execute("COMMIT")  # of nothing: what a ROLLBACK forgets would be read anew

    @contextmanager
    def write(self) -> Iterator[sqlcipher.Connection]:
        """The part of this work in the transaction of all; on an error it alone is taken back."""
        if not self.writes:
            raise RuntimeError("short work that was said to read only wants to write")
        connection = self._still_open()
        connection.execute("SAVEPOINT work")
        try:
            yield connection
        except BaseException as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK TO work")
                connection.execute("RELEASE work")
            elif isinstance(error, Exception):
                self._trouble = self._database.trouble(error)
            raise
        connection.execute("RELEASE work")

    def _still_open(self) -> sqlcipher.Connection:
        """A full disk ends the transaction of all; what comes after that would be one of its own."""
        if self._connection is None or not self._connection.in_transaction:
            raise self._trouble or Unavailable("The database is busy. Please try again.")
        return self._connection

    def close(self) -> None:
        """The connection is closed, and the thread ends."""
        self._aside.shutdown()
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _answer(done: asyncio.Future[T], answer: T) -> None:
    if not done.done():  # else nobody waits any more
        done.set_result(answer)


def _refuse(done: asyncio.Future[Any], error: Exception) -> None:
    if not done.done():
        done.set_exception(error)
