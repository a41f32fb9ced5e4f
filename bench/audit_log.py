"""How many audited writes a second the log takes, and what that costs beside the same writes without it.

    python bench/audit_log.py [--writers 8] [--seconds 5] [--url postgresql://...]

Each write is a transaction of its own: a diary day of one person, with or without its line in that person's chain. Each
writer has a person of its own; `one chain` lets all of them write into the same one. Without a URL: the embedded engine.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import tempfile
import threading
import time
from pathlib import Path
from uuid import UUID

from stillwave.accounts import actions as accounts
from stillwave.db import audit, migrate
from stillwave.db.database import Query, open_database
from stillwave.settings import load

TOUCH = Query(
    "touch", "UPDATE users SET updated_at = :now WHERE id = :user_id", "UPDATE users SET updated_at = %(now)s WHERE id = %(user_id)s"
)


def measure(database, people: list[UUID], writers: int, seconds: float, *, audited: bool) -> float:
    counts, stop = [0] * writers, threading.Event()

    def write(number: int) -> None:
        user_id = people[number % len(people)]
        while not stop.is_set():
            now = dt.datetime.now(dt.UTC)
            with database.write(user_id) as tx:
                tx.run(TOUCH, user_id=user_id, now=now)
                if audited:
                    audit.note(tx, user_id, "diary.kept", now, day="2026-11-25")
            counts[number] += 1

    threads = [threading.Thread(target=write, args=(number,)) for number in range(writers)]
    for thread in threads:
        thread.start()
    began = time.perf_counter()
    time.sleep(seconds)
    stop.set()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--writers", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--url")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        environ = {"STILLWAVE_DATA_DIR": str(Path(folder) / "data"), "STILLWAVE_ROOT_KEY": os.urandom(32).hex()}
        if asked.url:
            environ["STILLWAVE_DATABASE_URL"] = asked.url
        database = open_database(load(environ))
        migrate.upgrade(database)
        people = []
        for number in range(asked.writers):
            with database.write(right="operator") as tx:
                people.append(accounts.create(
                    tx, email=f"bench{number}-{os.getpid()}@example.org", phone=f"+4144668{os.getpid() % 100:02}{number:02}", password_hash="x",
                    now=dt.datetime.now(dt.UTC), consent=True,
                ))
        print(f"{database.engine}, {asked.writers} writers, {asked.seconds:.0f} s each")
        plain = measure(database, people, asked.writers, asked.seconds, audited=False)
        own = measure(database, people, asked.writers, asked.seconds, audited=True)
        one = measure(database, people[:1], asked.writers, asked.seconds, audited=True)
        print(f"{'without the log':24}{plain:8.0f} /s")
        print(f"{'audited, own chains':24}{own:8.0f} /s   {own / plain:.2f} of it")
        print(f"{'audited, one chain':24}{one:8.0f} /s   {one / plain:.2f} of it")
        count, wrong = audit.verify_each(database)
        print(f"{count} chains, {len(wrong)} broken")
        database.close()
        database.vault.keys.close()


if __name__ == "__main__":
    main()
