"""The learning triggers against the Python reference, and how long they take.

    python bench/learning_database.py --speed
    python bench/learning_database.py --equal 5000
    python bench/learning_database.py --equal 5000 --postgres postgresql://postgres@127.0.0.1:5432/{}

On plain SQLite and SQLCipher, and on the PostgreSQL server at --postgres (its `{}` stands for a database's name; one
is made and removed). --equal folds that many random histories with late arrivals, edits and deletes, and says how far
trigger and reference are apart at most. --writers has eight connections rate for one person at the same time, and
fails unless all are counted and the profile is the fold in order. --speed measures CPU time: of this process for
SQLite, of PostgreSQL's own where it runs on this machine under Linux, else wall time, which wants a quiet machine.
"""

import argparse
import contextlib
import os
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import msgspec
import psycopg

sys.path.insert(0, str(Path(__file__).parents[1]))

from stillwave.db import migrate
from stillwave.db.database import open_database
from stillwave.profiles import curve, rules
from tests.cast import settings_for
from tests.contract.learning.test_learning_is_one_fold import (
    change_something,
    random_answer,
    random_hz,
    random_state,
)
from tests.contract.learning.test_learning_is_safe_together import eight_writers
from tests.learning_database import SQL, T0, Database, distance

DATABASE = f"stillwave_bench_{os.getpid()}"  # on a PostgreSQL server


@contextlib.contextmanager
def sqlite() -> Iterator[Database]:
    """Plain SQLite in memory."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("PRAGMA foreign_keys = ON")
    for path in sorted((SQL / "sqlite" / "migrations").glob("*.sql")):
        connection.executescript(path.read_text())
    database = Database(connection, "sqlite")
    database.apply_code()
    yield database
    connection.close()


@contextlib.contextmanager
def sqlcipher() -> Iterator[Database]:
    """The program's own embedded database."""
    with tempfile.TemporaryDirectory() as folder:
        opened = open_database(settings_for(Path(folder) / "data"))
        migrate.upgrade(opened)
        connection = opened.raw()
        connection.execute("PRAGMA synchronous = OFF")
        yield Database(connection, "sqlite")
        connection.close()
        opened.close()


@contextlib.contextmanager
def postgres(url: str) -> Iterator[Database]:
    """A database of its own on a server."""
    with psycopg.connect(url.format("postgres"), autocommit=True) as admin, tempfile.TemporaryDirectory() as folder:
        admin.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
        admin.execute(f"CREATE DATABASE {DATABASE}")
        opened = open_database(settings_for(Path(folder) / "data", url.format(DATABASE)))
        migrate.upgrade(opened)
        opened.close()
        with psycopg.connect(url.format(DATABASE), autocommit=True) as connection:
            yield Database(connection, "postgres")
        admin.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")


def equal(database: Database, count: int, seed: int) -> float:
    """The largest difference between the profile and the reference over so many histories, most of 3 to 9 feedbacks and
    one in fifty of 30 to 60. Ten people share a transaction."""
    worst = 0.0
    for number in range(count):
        if number % 10 == 0:
            database.run("BEGIN")
        dice, person = random.Random(seed * 1_000_003 + number), database.person()
        sessions, given = [], []
        for n in range(dice.randint(30, 60) if number % 50 == 49 else dice.randint(3, 9)):
            at = T0 + timedelta(hours=n)
            sessions.append(
                database.session(
                    person, at, target_frequency=random_hz(dice), target_state=random_state(dice),
                    effectiveness_rating=dice.choice([None, *range(1, 11)]),
                )
            )  # fmt: skip
            late = timedelta(hours=dice.choice([0, 0, 0, 5]))
            given.append(database.feedback(person, sessions[-1], at + timedelta(minutes=9) - late, **random_answer(dice)))
            if dice.random() < 0.2 and given:
                change_something(database, person, sessions, given, dice)
        expected = curve.fold_all(answer for _, answer in database.answers(person))
        worst = max(worst, distance(msgspec.to_builtins(database.state(person)), msgspec.to_builtins(expected)))
        if number % 10 == 9 or number == count - 1:
            database.run("ROLLBACK")
    return worst


def cpu_clock(database: Database) -> Callable[[], float] | None:
    """CPU seconds of whoever folds: this process, or PostgreSQL's where it runs on this machine (Linux); else None."""
    if database.engine == "sqlite":
        return time.process_time
    spent = Path(f"/proc/{database.run('SELECT pg_backend_pid()')[0][0]}/schedstat")
    ours = spent.exists() and "postgres" in Path(spent.parent, "comm").read_text()
    return (lambda: int(spent.read_text().split()[0]) / 1e9) if ours else None


def speed(database: Database, size: int = 1000) -> str:
    """Median milliseconds of a feedback's INSERT, a late one, an edit and one that teaches nothing; what the trigger
    adds to an INSERT, pair by pair; seconds of a rebuild. CPU time where it can be seen, else wall time."""
    person, dice = database.person(), random.Random(1)
    cpu = cpu_clock(database)
    clock = cpu or time.perf_counter
    spent: dict[str, list[float]] = {"in order": [], "late": [], "edited": [], "unlearned": []}
    added, waited = [], []
    last, off = "", (False if database.engine == "postgres" else 0)
    for n in range(size):
        wanted = dice.choice(["evening_wind_down", "calm_focus", "creativity"])
        state, at = rules.STATES[wanted], T0 + timedelta(hours=n)
        hz = round(dice.uniform(state.low_hz, state.high_hz), 2)
        session = database.session(
            person, at, target_frequency=hz, target_state=wanted, effectiveness_rating=dice.randint(1, 10)
        )
        late = n % 50 == 49
        begun, begun_wall = clock(), time.perf_counter()
        given = at + timedelta(minutes=1) - timedelta(hours=10 if late else 0)
        last = database.feedback(person, session, given, rating=dice.randint(1, 5), physical_effects={"headache": n % 3})
        taught, wall = clock() - begun, time.perf_counter() - begun_wall
        spent["late" if late else "in order"].append(1000 * taught)
        begun, begun_wall = clock(), time.perf_counter()
        database.feedback(person, session, given, rating=3, learns=off)
        untaught = clock() - begun
        spent["unlearned"].append(1000 * untaught)
        if not late:
            added.append(1000 * (taught - untaught))
            waited.append(1000 * (wall - (time.perf_counter() - begun_wall)))
        if late:
            begun = clock()
            database.run("UPDATE session_feedback SET rating = 3 WHERE user_id = ? AND id = ?", person, last)
            spent["edited"].append(1000 * (clock() - begun))
    begun = clock()
    database.rebuild(person)
    rebuilt = clock() - begun
    parts = [f"{kind} {statistics.median(times):.2f} ms" for kind, times in spent.items()]
    by_clock = f" ({statistics.median(waited):.2f} by the clock)" if cpu else ""
    trigger = f"the trigger adds {statistics.median(added):.2f} ms{by_clock}"
    return f"{'CPU' if cpu else 'wall'}: {trigger}; {', '.join(parts)}; rebuild of {size} {rebuilt:.2f} s"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n", 1)[0])
    parser.add_argument("--equal", type=int, metavar="N", help="compare over N random histories")
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--writers", type=int, metavar="N", help="PostgreSQL: 8 x N feedbacks at once, none lost")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--postgres", action="append", default=[], metavar="URL", help="a server; {} for the database")
    parser.add_argument("--only", choices=("sqlite", "sqlcipher", "postgres"))
    options = parser.parse_args()
    kinds = [("sqlite", "SQLite", sqlite), ("sqlcipher", "SQLCipher", sqlcipher)]
    kinds += [("postgres", url, lambda url=url: postgres(url)) for url in options.postgres]
    for kind, title, opening in kinds:
        if options.only not in (None, kind):
            continue
        with opening() as database:
            version = "SHOW server_version" if database.engine == "postgres" else "SELECT sqlite_version()"
            print(f"{title.split('@')[-1]} ({database.run(version)[0][0]})", flush=True)
            if options.speed:
                print("  " + speed(database), flush=True)
            if options.writers and database.engine == "postgres":
                begun = time.perf_counter()
                eight_writers(database, title.format(DATABASE), options.writers)
                print(f"  8 x {options.writers} feedbacks at once, all folded, {time.perf_counter() - begun:.0f} s", flush=True)
            if options.equal:
                print(f"  {options.equal} histories, at most {equal(database, options.equal, options.seed):.3g} apart", flush=True)


if __name__ == "__main__":
    main()
