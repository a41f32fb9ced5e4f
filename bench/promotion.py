"""Promotion: a dirty proof of concept of any size, copied by `stillwave promote` and by Debian's pgloader, side by side.

    .venv/bin/python bench/promotion.py make FILE --people 20000     the database alone
    .venv/bin/python bench/promotion.py race --people 20000          both, on an empty PostgreSQL each
    .venv/bin/python bench/promotion.py kills --times 50             ended at random moments: the same digest

`--url postgresql://postgres@127.0.0.1/{}` is a server whose role may make databases. pgloader copies the four tables as
they are; Stillwave translates, seals, verifies and (with its own line) learns as well.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import random
import signal
import sqlite3
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


def once(path: Path, data_dir: Path, url: str | None, kill_after_s: float | None, batch_rows: int) -> None:
    """One promotion in this process, which ends itself by SIGKILL so long after the copy began."""
    import threading

    from stillwave.db import migrate
    from stillwave.db.database import open_database
    from stillwave.promote.copy import Run
    from stillwave.promote.sources import open_source
    from stillwave.settings import load

    environ = {**os.environ, "STILLWAVE_DATA_DIR": str(data_dir)}
    environ |= {"STILLWAVE_DATABASE_URL": url} if url else {}
    target = open_database(load(environ))
    if migrate.check(target) == "empty":
        migrate.upgrade(target)
    run = Run(open_source(path, None), target, dt.datetime(2026, 11, 25, 10, tzinfo=dt.UTC), audio=data_dir / "audio")
    run.batch_rows = batch_rows
    if kill_after_s is not None:
        timer = threading.Timer(kill_after_s, lambda: os.kill(os.getpid(), signal.SIGKILL))
        timer.daemon = True
        timer.start()
    run.copy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    made = commands.add_parser("make")
    made.add_argument("file", type=Path)
    made.add_argument("--people", type=int, default=20_000)
    made.add_argument("--dirt", type=float, default=0.01)
    single = commands.add_parser("once")
    single.add_argument("file", type=Path)
    single.add_argument("data_dir", type=Path)
    single.add_argument("url")
    single.add_argument("--kill-after", type=float)
    single.add_argument("--batch-rows", type=int, default=150)
    given = parser.parse_args()
    if given.command == "make":
        print(make(given.file, given.people, dirt=given.dirt))
    elif given.command == "once":
        once(given.file, given.data_dir, None if given.url == "-" else given.url, given.kill_after, given.batch_rows)


if __name__ == "__main__":
    main()
