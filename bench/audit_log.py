"""How many audited writes a second the log takes, and what that costs beside the same writes without it.

    python bench/audit_log.py [--writers 8] [--rounds 10] [--url postgresql://...]

Each write is a transaction of its own: a diary day of one person, with or without its line in that person's chain. Each
writer has a person of its own; `one chain` lets all of them write into the same one. Without a URL: the embedded engine.
The three take turns of a second each, so that what else the machine does falls on all of them; the table has medians, and
the CPU of this process for each write, which hardly depends on the disk.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import statistics
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


def measure(database, people: list[UUID], writers: int, seconds: float, *, audited: bool) -> tuple[float, float]:
    """Writes a second, and microseconds of this process's CPU for each."""
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
    began, began_cpu = time.perf_counter(), time.process_time()
    time.sleep(seconds)
    stop.set()
    for thread in threads:
        thread.join()
    done = max(1, sum(counts))
    return done / (time.perf_counter() - began), (time.process_time() - began_cpu) / done * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--writers", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=10)
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
        print(f"{database.engine}, {asked.writers} writers, {asked.rounds} rounds")
        kinds = {"without the log": (people, False), "audited, own chains": (people, True), "audited, one chain": (people[:1], True)}
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in kinds}
        for _ in range(asked.rounds):
            for name, (whose, audited) in kinds.items():
                found[name].append(measure(database, whose, asked.writers, 1, audited=audited))
        plain = [rate for rate, _ in found["without the log"]]
        for name, seen in found.items():
            rates = [rate for rate, _ in seen]
            share = statistics.median(rate / before for rate, before in zip(rates, plain, strict=True))
            print(f"{name:24}{statistics.median(rates):8.0f} /s   best {max(rates):6.0f} /s   {share:.2f} of it"
                  f"   {statistics.median(cpu for _, cpu in seen):6.0f} us CPU")
        count, wrong = audit.verify_each(database)
        print(f"{count} chains, {len(wrong)} broken")
        database.close()
        database.vault.keys.close()


if __name__ == "__main__":
    main()
