"""Promotion: a dirty proof of concept of any size, copied by `stillwave promote` and by Debian's pgloader, side by side.

    .venv/bin/python bench/promotion.py make FILE --people 20000     the database alone
    .venv/bin/python bench/promotion.py race --people 20000          both, on an empty PostgreSQL each
    .venv/bin/python bench/promotion.py kills --times 50             ended at random moments: the same digest

`--url postgresql://postgres@127.0.0.1/{}` is a server whose role may make databases. pgloader copies the four tables as
they are, and only clean ones: one dirty row costs it a batch or a table. Stillwave translates, seals, learns and verifies.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import json
import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SEED = """
CREATE TABLE users (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    email TEXT UNIQUE NOT NULL,
    password_hash TEXT NOT NULL,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    account_status TEXT DEFAULT 'active'
);
CREATE TABLE user_preferences (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id INTEGER,
    voice_preference TEXT,
    background_sound TEXT,
    session_duration INTEGER,
    FOREIGN KEY(user_id) REFERENCES users(id)
);
CREATE TABLE sessions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id INTEGER,
    start_time TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    end_time TIMESTAMP,
    session_type TEXT,
    frequency REAL,
    effectiveness INTEGER{effectiveness},
    FOREIGN KEY(user_id) REFERENCES users(id)
);
CREATE TABLE session_feedback (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    session_id INTEGER,
    rating INTEGER{rating},
    feedback_text TEXT,
    FOREIGN KEY(session_id) REFERENCES sessions(id)
);
"""
CLEAN = SEED.replace("{effectiveness}", " CHECK (effectiveness BETWEEN 1 AND 5)").replace("{rating}", " CHECK (rating BETWEEN 1 AND 5)")
OPEN = SEED.replace("{effectiveness}", "").replace("{rating}", "")
HASH = "$argon2id$v=19$m=65536,t=3,p=4$c3RpbGx3YXZlLXNlZWQhIQ$Yf1vPqyqX2gLZsNfUPGZWjOeb3kC2o3MZ3q9vVJxV3E"
NOW = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)


def make(path: Path, people: int, *, dirt: float = 0.01, seed: int = 1, sessions_each: int = 10) -> dict[str, int]:  # noqa: C901  a generator per table and kind of dirt
    """A proof of concept; every kind of dirt comes on `dirt` of the rows. Rows by table."""
    path.unlink(missing_ok=True)
    chance = random.Random(seed)
    file = sqlite3.connect(path)
    file.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA foreign_keys = OFF;" + (OPEN if dirt else CLEAN))

    def dirty() -> bool:
        return chance.random() < dirt

    def when(moment: dt.datetime) -> object:
        if dirty():
            return chance.choice([int(moment.timestamp()), moment.timestamp() * 1000, f"{moment:%Y-%m-%dT%H:%M:%SZ}", f"{moment:%Y-%m-%d}"])
        return f"{moment:%Y-%m-%d %H:%M:%S}"

    def user(key: int) -> tuple[object, ...]:
        email: object = f"person{key}@example.org"
        if dirty() and key > 1:
            email = f"Person{key - 1}@Example.org"
        elif dirty():
            email = f"person {key}"
        made = NOW - dt.timedelta(days=chance.randint(30, 300))
        secret = "plain password" if dirty() else HASH
        status = "weird" if dirty() else "active"
        return key, email, secret, "rubbish" if dirty() else when(made), status

    def preferences(key: int) -> tuple[object, ...]:
        owner: object = key
        if dirty():
            owner = None if chance.random() < 0.5 else 10**9
        elif dirty():
            owner = max(1, key - 1)
        return (key, owner, chance.choice(["male", "female", "neutral"]), "thunder" if dirty() else "nature", 500 if dirty() else 20)

    def session(key: int) -> tuple[object, ...]:
        begun = NOW - dt.timedelta(minutes=chance.randint(1, 300 * 24 * 60))
        owner: object = chance.randint(1, people)
        if dirty():
            owner = None if chance.random() < 0.5 else 10**9
        start: object = "not a date" if dirty() else when(begun)
        end: object = "?" if dirty() else when(begun + dt.timedelta(minutes=20))
        hz: object = chance.choice(["NaN", float("inf"), -3.0, 0]) if dirty() else round(chance.uniform(1, 40), 3)
        effect: object = chance.choice([0, 6, "good"]) if dirty() else chance.choice([None, 1, 2, 3, 4, 5])
        return key, owner, start, end, "nap" if dirty() else chance.choice(["morning", "evening"]), hz, effect

    sessions = people * sessions_each

    def feedback(key: int) -> tuple[object, ...]:
        about: object = chance.randint(1, sessions)
        if dirty():
            about = None if chance.random() < 0.5 else 10**9
        text: object = chance.choice([None, "quite calm", "slept well afterwards, and woke rested", "ein wenig müde\tdanach"])
        if dirty():
            text = "before\0after"
        elif dirty():
            text = sqlite3.Binary(b"lone \xed\xa0\x80 surrogate")
        return key, about, chance.choice([0, 6]) if dirty() else chance.randint(1, 5), text

    for name, count, row, marks in (
        ("users", people, user, 5), ("user_preferences", people, preferences, 5),
        ("sessions", sessions, session, 7), ("session_feedback", sessions, feedback, 4),
    ):  # fmt: skip
        file.executemany(f"INSERT OR IGNORE INTO {name} VALUES ({','.join('?' * marks)})", map(row, range(1, count + 1)))
    if dirt:
        file.execute("UPDATE session_feedback SET feedback_text = CAST(feedback_text AS TEXT) WHERE typeof(feedback_text) = 'blob'")
        file.execute("UPDATE session_feedback SET feedback_text = ? WHERE id = 1", ("long " * 2_000_000,))
    file.commit()
    counts = {name: file.execute(f"SELECT count(*) FROM {name}").fetchone()[0]
              for name in ("users", "user_preferences", "sessions", "session_feedback")}
    file.close()
    return counts


# --- one run, perhaps killed ----------------------------------------------------------------------


def opened(path: Path, data_dir: Path, url: str | None):
    """A run into a target with its schema, and nothing copied yet."""
    from stillwave.db import migrate
    from stillwave.db.database import open_database
    from stillwave.promote.copy import Run
    from stillwave.promote.sources import open_source
    from stillwave.settings import load

    environ = {"STILLWAVE_ROOT_KEY": "5711" * 16, **os.environ, "STILLWAVE_DATA_DIR": str(data_dir)}
    environ |= {"STILLWAVE_DATABASE_URL": url} if url else {}
    target = open_database(load(environ))
    if migrate.check(target) == "empty":
        migrate.upgrade(target)
    return Run(open_source(path, None), target, dt.datetime(2026, 11, 25, 10, tzinfo=dt.UTC), audio=data_dir / "audio")


def once(path: Path, data_dir: Path, url: str | None, kill_after_s: float | None, batch_rows: int) -> None:
    """One promotion in this process, which ends itself by SIGKILL so long after the copy began. Prints its times as JSON."""
    import threading

    from stillwave.promote.verify import verify

    run = opened(path, data_dir, url)
    run.batch_rows = batch_rows
    if kill_after_s is not None:
        timer = threading.Timer(kill_after_s, lambda: os.kill(os.getpid(), signal.SIGKILL))
        timer.daemon = True
        timer.start()
    began_s = time.perf_counter()
    steps: dict[str, float] = {}

    def progress(step: str, _done: int, _of: int) -> None:
        steps.setdefault(step, time.perf_counter() - began_s)

    run.progress = progress
    run.copy()
    steps["verify"] = time.perf_counter() - began_s
    wrong = [check.name for check in verify(run) if not check.ok] if kill_after_s is None else []
    steps["end"] = time.perf_counter() - began_s
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"begun_s": steps, "wrong": wrong, "cpu_s": used.ru_utime + used.ru_stime, "memory_mb": used.ru_maxrss / 1024}))
    sys.exit(bool(wrong))


def digests(path: Path, data_dir: Path, url: str | None) -> dict[str, tuple[int, str]]:
    """What the tables of a target say. Learned numbers are left out: their last digits depend on who was folded together."""
    from stillwave.db.tables import table
    from stillwave.promote.verify import look

    run = opened(path, data_dir, url)
    names = ("users", "user_preferences", "sessions", "session_feedback", "promotion_rejects")
    return {name: (count, str(digest)) for name in names for count, digest in [look(run, table(name))]}


def _child(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, __file__, *map(str, words)], check=False, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1])


def kills(people: int, times: int, url: str | None, seed: int) -> int:
    """Ended so many times at random moments, a promotion ends as one that was left alone. 0 when it did."""
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        poc = folder / "poc.db"
        make(poc, people)
        with _database(url) as one, _database(url) as other:
            told = json.loads(_child("once", poc, folder / "quiet", one or "-", "--batch-rows", 50).stdout)
            quiet = digests(poc, folder / "quiet", one)
            each_s = told["begun_s"]["verify"] / times * 2
            ended = 0
            while ended < times:
                code = _child("once", poc, folder / "killed", other or "-", "--kill-after", chance.uniform(0, each_s), "--batch-rows", 50).returncode
                if code != -signal.SIGKILL:
                    break
                ended += 1
            last = _child("once", poc, folder / "killed", other or "-").returncode
            same = last == 0 and digests(poc, folder / "killed", other) == quiet
    print(f"{ended} kills, {'the same' if same else 'ANOTHER'} digest as one quiet run")
    return 0 if same else 1


@contextlib.contextmanager
def _database(url: str | None):
    """An empty database on the server of `url` ({} is its name), gone at the end; None without a server."""
    if url is None:
        yield None
        return
    import psycopg

    name = f"promotion_{os.getpid()}_{random.randrange(10**9)}"
    with psycopg.connect(url.format("postgres"), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        try:
            yield url.format(name)
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _server_cpu_s(url: str) -> float:
    """CPU seconds of a server on this machine, its ended backends included."""
    import psycopg

    with psycopg.connect(url.format("postgres")) as connection:
        backend = connection.info.backend_pid
        father = int(Path(f"/proc/{backend}/stat").read_text().rsplit(")", 1)[1].split()[1])
        total = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                told = stat.read_text().rsplit(")", 1)[1].split()
                own = int(stat.parent.name) == father
                if own or int(told[1]) == father:
                    total += sum(map(int, told[11:15] if own else told[11:13]))
    return total / os.sysconf("SC_CLK_TCK")


def _arrived(url: str) -> int:
    """Rows of the seed's tables that are in the target, promotion_rejects included."""
    import psycopg

    names = ("users", "user_preferences", "sessions", "session_feedback", "promotion_rejects")
    with psycopg.connect(url) as connection:
        there = [name for name in names if connection.execute("SELECT 1 FROM pg_class WHERE relname = %s", [name]).fetchone()]
        return sum(len(connection.execute(f"SELECT 1 FROM {name}").fetchall()) for name in there)


def race(people: int, url: str, sessions_each: int, dirt: float) -> None:
    """Both, one after the other on the same machine; rows a second, CPU on both sides, and the ratio."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        counts = make(folder / "poc.db", people, sessions_each=sessions_each, dirt=dirt)
        rows = sum(counts.values())
        lines = []
        with _database(url) as target:
            opened(folder / "poc.db", folder / "data", target)
            server_s, began_s = _server_cpu_s(url), time.perf_counter()
            told = json.loads(_child("once", folder / "poc.db", folder / "data", target, "--batch-rows", 10_000).stdout)
            lines.append(("stillwave", time.perf_counter() - began_s, told["cpu_s"], _server_cpu_s(url) - server_s, told["memory_mb"], _arrived(target)))
        if shutil.which("pgloader") is None:
            print("pgloader is not installed (apt-get install pgloader): no peer")
        else:
            with _database(url) as target:
                before, server_s, began_s = resource.getrusage(resource.RUSAGE_CHILDREN), _server_cpu_s(url), time.perf_counter()
                subprocess.run(["pgloader", "--quiet", f"sqlite://{folder / 'poc.db'}", target], check=False, stdout=subprocess.DEVNULL)
                after = resource.getrusage(resource.RUSAGE_CHILDREN)
                cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
                seconds = time.perf_counter() - began_s
                lines.append(("pgloader", seconds, cpu_s, _server_cpu_s(url) - server_s, after.ru_maxrss / 1024, _arrived(target)))
    print(f"{rows} rows: {counts}")
    print(f"{'':<12}{'seconds':>9}{'rows/s':>9}{'CPU s':>8}{'server CPU s':>14}{'CPU us/row':>12}{'memory MB':>11}{'arrived':>9}")
    for who, seconds, cpu_s, server_s, memory, there in lines:
        print(f"{who:<12}{seconds:>9.1f}{rows / seconds:>9.0f}{cpu_s:>8.1f}{server_s:>14.1f}{(cpu_s + server_s) / rows * 1e6:>12.1f}{memory:>11.0f}{there:>9}")
    print("stillwave, seconds at which each step began:", {step: round(at, 1) for step, at in told["begun_s"].items()})
    if len(lines) == 2:
        print(f"stillwave / pgloader: {lines[1][1] / lines[0][1]:.2f}x its rows a second, {sum(lines[0][2:4]) / sum(lines[1][2:4]):.2f}x its CPU")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    made = commands.add_parser("make")
    made.add_argument("file", type=Path)
    made.add_argument("--dirt", type=float, default=0.01)
    single = commands.add_parser("once")
    single.add_argument("file", type=Path)
    single.add_argument("data_dir", type=Path)
    single.add_argument("url")
    single.add_argument("--kill-after", type=float)
    single.add_argument("--batch-rows", type=int, default=10_000)
    racing = commands.add_parser("race")
    racing.add_argument("--sessions-each", type=int, default=10)
    racing.add_argument("--dirt", type=float, default=0.0, help="pgloader loses whole tables to one dirty row")
    killing = commands.add_parser("kills")
    killing.add_argument("--times", type=int, default=50)
    killing.add_argument("--seed", type=int, default=1)
    for each, people in ((made, 20_000), (racing, 20_000), (killing, 300)):
        each.add_argument("--people", type=int, default=people)
    racing.add_argument("--url", default="postgresql://postgres@127.0.0.1/{}")
    killing.add_argument("--url", help="without: into an embedded database")
    given = parser.parse_args()
    if given.command == "make":
        print(make(given.file, given.people, dirt=given.dirt))
    elif given.command == "once":
        once(given.file, given.data_dir, None if given.url == "-" else given.url, given.kill_after, given.batch_rows)
    elif given.command == "race":
        race(given.people, given.url, given.sessions_each, given.dirt)
    else:
        sys.exit(kills(given.people, given.times, given.url, given.seed))


if __name__ == "__main__":
    main()
