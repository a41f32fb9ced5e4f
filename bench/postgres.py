"""What the schema is worth on PostgreSQL, each beside what it stands against, in one run over one big data set.

    python bench/load.py --people 20000 --data /tmp/load --server /tmp/load-postgres
    python bench/postgres.py --postgres postgresql://postgres@/load?host=/tmp/load-postgres

summary    user_progress_summary for everybody, against the view of the data architecture as it is printed there
retention  a month removed by retire_month(), against the printed DELETE, for that month
reads      the program's own hot reads over monthly partitions, against one flat table with the same indexes and policies
metric     a person's days by one of their numbers: through the GIN index, against reading the diary
recent     recent_session_analysis for everybody and for one

The database's login is a superuser. Copies for the other side are made in schemas of their own and removed at the end;
retention is rolled back. The machine may be busy: contenders take turns, figures are medians and ratios.
"""

import argparse
import contextlib
import datetime as dt
import os
import random
import re
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg

sys.path.insert(0, str(Path(__file__).parents[1]))

from stillwave.db.ids import NEWEST
from stillwave.db.postgres import PostgresDatabase, PostgresTx
from stillwave.feedback import store as feedback
from stillwave.profiles import store as profiles
from stillwave.progress import store as progress
from stillwave.sessions import actions as session_actions
from stillwave.sessions import store as sessions

# The tables as the data architecture prints them, with what it says of them elsewhere: no partitions, its indexes.
PRINTED = """
CREATE SCHEMA seed;
CREATE TABLE seed.users (
    id UUID PRIMARY KEY, email VARCHAR(255) UNIQUE NOT NULL, phone_number VARCHAR(20), password_hash VARCHAR(255),
    created_at TIMESTAMPTZ, updated_at TIMESTAMPTZ, last_login TIMESTAMPTZ,
    account_status VARCHAR(20) DEFAULT 'active', subscription_tier VARCHAR(20) DEFAULT 'free');
CREATE TABLE seed.sessions (
    id UUID PRIMARY KEY, user_id UUID REFERENCES seed.users (id), start_time TIMESTAMPTZ, end_time TIMESTAMPTZ, session_type VARCHAR(50), initial_state VARCHAR(20), target_state VARCHAR(20),
    effectiveness_rating INTEGER CHECK (effectiveness_rating BETWEEN 1 AND 10), side_effects JSONB,
    base_frequency NUMERIC(7,2), target_frequency NUMERIC(7,2), volume_level INTEGER CHECK (volume_level BETWEEN 0 AND 100),
    CONSTRAINT fk_user FOREIGN KEY (user_id) REFERENCES seed.users (id) ON DELETE CASCADE);
CREATE TABLE seed.audio_files (
    id UUID PRIMARY KEY, session_id UUID REFERENCES seed.sessions (id), file_path VARCHAR(255) NOT NULL, duration INTEGER NOT NULL, format VARCHAR(10),
    size_bytes BIGINT, created_at TIMESTAMPTZ, sample_rate INTEGER, bit_depth INTEGER, channels INTEGER, frequency_data JSONB,
    CONSTRAINT fk_session FOREIGN KEY (session_id) REFERENCES seed.sessions (id) ON DELETE CASCADE);
CREATE TABLE seed.progress_tracking (
    id UUID PRIMARY KEY, user_id UUID REFERENCES seed.users (id), date DATE, metrics JSONB, notes TEXT,
    sleep_quality INTEGER, stress_level INTEGER, focus_score INTEGER,
    CONSTRAINT fk_user FOREIGN KEY (user_id) REFERENCES seed.users (id) ON DELETE CASCADE);
CREATE TABLE seed.session_feedback (
    id UUID PRIMARY KEY, session_id UUID REFERENCES seed.sessions (id), user_id UUID REFERENCES seed.users (id),
    rating INTEGER CHECK (rating BETWEEN 1 AND 5), feedback_text TEXT, physical_effects JSONB, mental_effects JSONB,
    created_at TIMESTAMPTZ,
    CONSTRAINT fk_session FOREIGN KEY (session_id) REFERENCES seed.sessions (id) ON DELETE CASCADE,
    CONSTRAINT fk_user FOREIGN KEY (user_id) REFERENCES seed.users (id) ON DELETE CASCADE);
"""
FILL = """
INSERT INTO seed.users SELECT id, email_index, left(phone_index, 20), password_hash, created_at, updated_at, last_login,
    account_status, subscription_tier FROM users;
INSERT INTO seed.sessions SELECT id, user_id, start_time, end_time, session_type, initial_state, target_state,
    effectiveness_rating, side_effects, base_frequency, target_frequency, volume_level FROM sessions;
INSERT INTO seed.progress_tracking SELECT id, user_id, date, metrics, notes, sleep_quality, stress_level, focus_score
    FROM progress_tracking;
CREATE INDEX ON seed.sessions (user_id);
CREATE INDEX ON seed.sessions (start_time);
CREATE INDEX ON seed.sessions (effectiveness_rating);
CREATE INDEX ON seed.sessions (session_type, start_time);
CREATE INDEX ON seed.progress_tracking (user_id, date);
CREATE INDEX ON seed.users (subscription_tier);
ANALYZE seed.users, seed.sessions, seed.progress_tracking;
"""
FILL_CHILDREN = """
INSERT INTO seed.audio_files SELECT id, session_id, file_path, duration, format, size_bytes, created_at, sample_rate,
    bit_depth, channels, frequency_data FROM audio_files;
INSERT INTO seed.session_feedback SELECT id, session_id, user_id, rating, feedback_text, physical_effects, mental_effects,
    created_at FROM session_feedback;
ANALYZE seed.audio_files, seed.session_feedback;
"""
# Every reference is printed twice, once without CASCADE: those go first, else nothing that has children can be deleted.
ONE_REFERENCE = """
ALTER TABLE seed.audio_files DROP CONSTRAINT audio_files_session_id_fkey;
ALTER TABLE seed.session_feedback DROP CONSTRAINT session_feedback_session_id_fkey;
"""
# Not printed; without them a cascade reads both children whole for every session.
CHILD_INDEXES = """
CREATE INDEX ON seed.session_feedback (session_id);
CREATE INDEX ON seed.audio_files (session_id);
"""
PRINTED_SUMMARY = """
SELECT u.id as user_id, u.email, COUNT(s.id) as total_sessions, AVG(s.effectiveness_rating) as avg_effectiveness,
    AVG(pt.sleep_quality) as avg_sleep_quality, AVG(pt.focus_score) as avg_focus_score
FROM seed.users u
LEFT JOIN seed.sessions s ON u.id = s.user_id
LEFT JOIN seed.progress_tracking pt ON u.id = pt.user_id
GROUP BY u.id, u.email
"""
PRINTED_DELETE = """
DELETE FROM seed.sessions
WHERE start_time >= %s AND start_time < %s
AND user_id NOT IN (
    SELECT id FROM seed.users
    WHERE subscription_tier = 'premium'
)
"""
OUR_SUMMARY = (
    "SELECT user_id, email, total_sessions, avg_effectiveness, avg_sleep_quality, avg_focus_score FROM user_progress_summary"
)


def say(*parts: object) -> None:
    print(*parts, flush=True)


def millis(seconds: float) -> str:
    return f"{1000 * seconds:,.1f} ms" if seconds < 10 else f"{seconds:,.1f} s"


class Cpu:
    """CPU of one backend; parallel workers are not in it."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._stat = Path(f"/proc/{connection.info.backend_pid}/schedstat")

    def __call__(self) -> float:
        return int(self._stat.read_text().split()[0]) / 1e9


def timed(do: Callable[[], object]) -> float:
    begun = time.perf_counter()
    do()
    return time.perf_counter() - begun


# --- summary ---------------------------------------------------------------------------------------------------------


def summary(admin: psycopg.Connection[Any], rounds: int) -> None:
    admin.execute("SET ROLE stillwave_owner")  # as our own commands read it: beneath row-level security
    ours = [timed(lambda: admin.execute(OUR_SUMMARY).fetchall()) for _ in range(rounds)]
    found = {row[0]: row[2:] for row in admin.execute(OUR_SUMMARY).fetchall()}
    plan = "\n".join(row[0] for row in admin.execute(f"EXPLAIN (COSTS OFF) {OUR_SUMMARY}").fetchall())
    admin.execute("RESET ROLE")
    printed_took: list[float] = []
    theirs: list[Any] = []
    printed_took.append(timed(lambda: theirs.extend(admin.execute(PRINTED_SUMMARY).fetchall())))
    admin.execute("SET ROLE stillwave_owner")
    ours += [timed(lambda: admin.execute(OUR_SUMMARY).fetchall()) for _ in range(rounds)]
    admin.execute("RESET ROLE")
    ratio = statistics.median(printed_took) / statistics.median(ours)
    say(f"summary    everybody ({len(found):,} people): ours {millis(statistics.median(ours))} (median of {len(ours)}), "
        f"as printed {millis(statistics.median(printed_took))}: {ratio:,.0f} x faster")  # fmt: skip
    truth = _counted_apart(admin)
    wrong = [who for who, row in found.items() if not _equal(row, truth[who])]
    say(f"           ours against a count of the rows one by one: {len(wrong)} of {len(found):,} people differ")
    said = sum(row[2] for row in theirs)
    off = sum(row[2] != truth[row[0]][0] for row in theirs)
    say(f"           as printed: {said:,} sessions where there are {sum(row[0] for row in truth.values()):,}; {off:,} people wrong")
    say("           plan: " + ", ".join(sorted(set(re.findall(r"(Index Only Scan|Seq Scan|HashAggregate|GroupAggregate|Parallel Append|Hash \w+ Join)", plan)))))
    assert not wrong


def _counted_apart(admin: psycopg.Connection[Any]) -> dict[Any, tuple[int, float | None, float | None, float | None]]:
    """The same facts in Python, from each row."""
    people = [row[0] for row in admin.execute("SELECT id FROM users")]
    sums: dict[Any, list[int]] = defaultdict(lambda: [0, 0, 0, 0, 0, 0, 0])
    for text, first in (
        ("SELECT user_id, effectiveness_rating, NULL FROM sessions", 1),
        ("SELECT user_id, sleep_quality, focus_score FROM progress_tracking", 3),
    ):
        with admin.transaction(), admin.cursor("rows") as cursor:
            cursor.itersize = 20_000
            for who, one, two in cursor.execute(text):
                sum_of = sums[who]
                if first == 1:
                    sum_of[0] += 1
                for place, value in ((first, one), (first + 2, two)):
                    if value is not None:
                        sum_of[place] += value
                        sum_of[place + 1] += 1

    def mean(who: Any, place: int) -> float | None:
        return sums[who][place] / sums[who][place + 1] if sums[who][place + 1] else None

    return {who: (sums[who][0], mean(who, 1), mean(who, 3), mean(who, 5)) for who in people}


def _equal(ours: Any, truth: Any) -> bool:
    return ours[0] == truth[0] and all(
        (a is None) == (b is None) and (a is None or abs(float(a) - b) < 1e-9) for a, b in zip(ours[1:], truth[1:], strict=True)
    )


# --- retention -------------------------------------------------------------------------------------------------------


def retention(admin: psycopg.Connection[Any], rounds: int) -> None:
    (limit,) = admin.execute("SELECT retention_limit()").fetchone() or (None,)
    names = [row[0] for row in admin.execute("SELECT name FROM expired_months(%s)", [limit])]
    full = [name for name in names if name != "sessions_default" and _end(name) < limit]
    month = max(full, key=lambda name: admin.execute(f"SELECT count(*) FROM {name}").fetchone()[0])
    end, begin = _end(month), _end(full[full.index(month) - 1])
    stays = ("SELECT count(*), md5(string_agg(s::text, '' ORDER BY id)) FROM sessions AS s WHERE start_time >= %s AND start_time < %s AND EXISTS (SELECT"
             " FROM users AS u WHERE u.id = s.user_id AND (subscription_tier = 'premium' OR processing_restricted))")  # fmt: skip
    profiles = "SELECT md5(string_agg(p::text, '' ORDER BY user_id)) FROM neural_profiles AS p"
    _as_printed(admin, begin, end)
    admin.execute(CHILD_INDEXES)
    ours, theirs = [], []
    wal: dict[str, int] = {}
    for _ in range(rounds):
        with _undone(admin):
            # Retention goes from the oldest month on; for one in the middle what is older is out of the way.
            admin.execute("SET LOCAL session_replication_role = replica")
            for table, when in (("session_feedback", "session_start_time"), ("audio_files", "session_start_time"), ("sessions", "start_time")):
                admin.execute(f"DELETE FROM {table} WHERE {when} < %s", [begin])
            admin.execute("SET LOCAL session_replication_role = origin")
            kept, learned = admin.execute(stays, [begin, end]).fetchone(), admin.execute(profiles).fetchone()
            before = _wal(admin)
            begun = time.perf_counter()
            gone, _, dropped = admin.execute("SELECT * FROM retire_month(%s, %s, NULL)", [month, limit]).fetchone() or (0, 0, False)
            ours.append(time.perf_counter() - begun)
            wal["ours"] = _wal(admin) - before
            assert dropped
            assert admin.execute(stays, [begin, end]).fetchone() == kept, "what stays has changed"
            assert admin.execute(profiles).fetchone() == learned, "a profile has changed"
            left = admin.execute("SELECT count(*) FROM sessions WHERE start_time >= %s AND start_time < %s", [begin, end]).fetchone()
            assert left[0] == kept[0], (left, kept)
        with _undone(admin):
            before = _wal(admin)
            theirs.append(timed(lambda: admin.execute(PRINTED_DELETE, [begin, end])))
            wal["theirs"] = _wal(admin) - before
    say(f"retention  {month}: {gone:,} sessions go, {kept[0]:,} of premium and restricted people stay: ours {millis(statistics.median(ours))}, "
        f"the printed DELETE (with indexes on its children) {millis(statistics.median(theirs))}: "
        f"{statistics.median(theirs) / statistics.median(ours):.1f} x faster; log written {wal['theirs'] / wal['ours']:.1f} x less")  # fmt: skip


def _as_printed(admin: psycopg.Connection[Any], begin: dt.datetime, end: dt.datetime, few: int = 5) -> None:
    """What the printed tables do with the printed DELETE: refuse it; with each reference once, take very long."""
    try:
        with _undone(admin):
            admin.execute(PRINTED_DELETE, [begin, begin + dt.timedelta(hours=6)])
        say("retention  as printed: done")
    except psycopg.errors.ForeignKeyViolation as error:
        say(f"retention  as printed: refused by {error.diag.constraint_name}")
    admin.execute(ONE_REFERENCE)
    going = "start_time >= %s AND start_time < %s AND user_id NOT IN (SELECT id FROM seed.users WHERE subscription_tier = 'premium')"
    (count,) = admin.execute(f"SELECT count(*) FROM seed.sessions WHERE {going}", [begin, end]).fetchone() or (0,)
    with _undone(admin):
        some = f"SELECT id FROM seed.sessions WHERE {going} LIMIT {few}"
        took = timed(lambda: admin.execute(f"DELETE FROM seed.sessions WHERE id IN ({some})", [begin, end]))
    say(f"retention  each reference once: {millis(took / few)} a session, measured on {few}; for the month's {count:,} that is "
        f"{took / few * count / 3600:.1f} hours")  # fmt: skip


def _end(name: str) -> dt.datetime:
    year, month = int(name[-7:-3]), int(name[-2:])
    return dt.datetime(year + month // 12, month % 12 + 1, 1, tzinfo=dt.UTC)


def _wal(admin: psycopg.Connection[Any]) -> int:
    return int(admin.execute("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn").fetchone()[0])  # type: ignore[index]


@contextlib.contextmanager
def _undone(admin: psycopg.Connection[Any]) -> Iterator[None]:
    with admin.transaction(force_rollback=True):
        yield


# --- hot reads -------------------------------------------------------------------------------------------------------

# What is read, of a session of a person: (transaction, person, session, state, now).
HOT: dict[str, Callable[[Any, Any, Any, str, dt.datetime], object]] = {
    "a session": lambda tx, who, which, *_: sessions.by_id(tx, who, which),
    "its feedback": lambda tx, who, which, *_: feedback.of_session(tx, who, which),
    "its sound file": lambda tx, who, which, *_: sessions.audio(tx, who, which),
    "a page of sessions": lambda tx, who, _, __, now: session_actions.page(tx, who, NEWEST, 21, now=now),
    "an older page": lambda tx, who, which, _, now: session_actions.page(tx, who, which, 21, now=now),
    "minutes of the week": lambda tx, who, _, __, now: profiles.heard_minutes(tx, who, now - dt.timedelta(weeks=1), now),
    "days of 26 weeks": lambda tx, who, _, __, now: progress.session_times(tx, who, now - dt.timedelta(weeks=26), now),
    "the last to a state": lambda tx, who, _, state, now: profiles.before(tx, who, state, now),
}
PARTED = ("sessions", "audio_files", "session_feedback")


def flatten(admin: psycopg.Connection[Any]) -> None:
    """One flat table each, with the same rows in the same order, the same indexes, and the same policies."""
    with admin.transaction():
        admin.execute("SET LOCAL maintenance_work_mem = '512MB'")
        admin.execute("CREATE SCHEMA flat; GRANT USAGE ON SCHEMA flat TO stillwave_app")
        for table in PARTED:
            when = "start_time" if table == "sessions" else "session_start_time"
            admin.execute(f"CREATE TABLE flat.{table} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)")
            admin.execute(f"INSERT INTO flat.{table} SELECT * FROM {table} ORDER BY {when}")
            for (text,) in admin.execute("SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = %s::regclass", [table]).fetchall():
                admin.execute(re.sub(r" ON (ONLY )?public\.", " ON flat.", text))
            admin.execute(f"ALTER TABLE flat.{table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
            admin.execute(f"CREATE POLICY person ON flat.{table} USING (user_id = stillwave_person()) WITH CHECK (user_id = stillwave_person())")
            admin.execute(f"GRANT SELECT ON flat.{table} TO stillwave_app")
    for table in PARTED:
        admin.execute(f"VACUUM (ANALYZE) flat.{table}")


def reads(url: str, people: list[tuple[Any, ...]], now: dt.datetime, rounds: int, times: int) -> None:
    """As the program reads: its own functions, connection and role, one transaction a request."""
    sides = {"partitions": "public", "flat": "flat"}
    # name -> side -> (seconds, CPU seconds of the server) for each round
    spent: dict[str, dict[str, list[tuple[float, float]]]] = {name: {side: [] for side in sides} for name in HOT}
    answers: dict[str, Any] = {}
    with contextlib.ExitStack() as stack:
        open_ones = {side: stack.enter_context(_as_the_app(url, schema)) for side, schema in sides.items()}
        for turn in range(rounds + 1):  # the first warms up: it prepares, fills the cache, and compares
            for name, read in HOT.items():
                for side in random.Random(f"{turn} {name}").sample(sorted(sides), 2):
                    connection = open_ones[side]
                    tx, cpu = PostgresTx(connection, None, 60), Cpu(connection)  # type: ignore[arg-type]
                    began, began_cpu = time.perf_counter(), cpu()
                    for n in range(times):
                        who, which, state = people[n % len(people)]
                        connection.execute(_BEGIN, [str(who)])
                        found = read(tx, who, which, state, now)
                        connection.commit()
                        if not turn:
                            assert answers.setdefault(f"{name} {n}", found) == found, f"{name}: the two sides differ"
                    if turn:
                        spent[name][side].append(((time.perf_counter() - began) / times, (cpu() - began_cpu) / times))
    totals = dict.fromkeys(sides, 0.0)
    for name, by_side in spent.items():
        wall = {side: statistics.median(one[0] for one in found) for side, found in by_side.items()}
        server = {side: statistics.median(one[1] for one in found) for side, found in by_side.items()}
        for side in sides:
            totals[side] += server[side]
        say(f"reads      {name:20} partitions {1e6 * server['partitions']:5.0f} us of CPU ({1e6 * wall['partitions']:6.0f} us), "
            f"flat {1e6 * server['flat']:5.0f} us ({1e6 * wall['flat']:6.0f} us): {server['flat'] / server['partitions']:.2f} x its rate")  # fmt: skip
    say(f"reads      all of them: {totals['flat'] / totals['partitions']:.2f} x the rate of flat tables")


_BEGIN = "SELECT set_config('transaction_read_only', 'on', true), set_config('stillwave.user_id', %s, true)"


@contextlib.contextmanager
def _as_the_app(url: str, schema: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection as the program's pool makes it."""
    database = PostgresDatabase(url, None)  # type: ignore[arg-type]
    database.has_roles = True
    with psycopg.connect(url) as connection:
        connection.execute(f"SET search_path = {schema}, public")
        database._configure(connection)  # noqa: SLF001
        yield connection


def readers(admin: psycopg.Connection[Any], count: int) -> list[tuple[Any, ...]]:
    """People (the same each time) with a session of theirs and its state."""
    return admin.execute(
        "SELECT DISTINCT ON (user_id) user_id, id, target_state FROM sessions"
        " WHERE start_time > now() - INTERVAL '60 days' AND user_id IN (SELECT id FROM users ORDER BY md5(id::text) LIMIT %s)"
        " ORDER BY user_id, md5(id::text)", [count]
    ).fetchall()  # fmt: skip


# --- days by a metric, recent sessions -------------------------------------------------------------------------------


def metric(admin: psycopg.Connection[Any], rounds: int) -> None:
    key = "heart_rate_rest"
    people = [row[0] for row in admin.execute(
        "SELECT user_id FROM progress_tracking GROUP BY user_id ORDER BY count(*) DESC LIMIT 40")]  # fmt: skip
    read = ("SELECT id, date, metrics, notes, sleep_quality, stress_level, focus_score FROM progress_tracking"
            " WHERE user_id = %(who)s AND metrics ? %(key)s AND date BETWEEN '2000-01-01' AND '2100-01-01' ORDER BY date DESC")  # fmt: skip
    everybody = "SELECT count(*) FROM progress_tracking WHERE metrics ? %(key)s"
    for title, text in (("one person", read), ("everybody", everybody)):
        spent: dict[str, list[float]] = {"with": [], "without": []}
        plans = {}
        for turn in range(2 * rounds):
            side = ("with", "without")[turn % 2]
            with _undone(admin):
                if side == "without":
                    admin.execute("SET LOCAL enable_bitmapscan = off")
                values = {"key": key, "who": people[0]}
                plans[side] = "\n".join(row[0] for row in admin.execute(f"EXPLAIN (COSTS OFF) {text}", values))
                begun = time.perf_counter()
                for who in people if title == "one person" else people[:1]:
                    admin.execute(text, {"key": key, "who": who}).fetchall()
                spent[side].append((time.perf_counter() - begun) / (len(people) if title == "one person" else 1))
        used = "idx_progress_metrics" in plans["with"]
        say(f"metric     days with {key}, {title}: {millis(statistics.median(spent['with']))} "
            f"({'by' if used else 'not by'} idx_progress_metrics), reading the diary {millis(statistics.median(spent['without']))}: "
            f"{statistics.median(spent['without']) / statistics.median(spent['with']):.1f} x")  # fmt: skip
        for line in plans["with"].splitlines():
            say("             " + line)


def recent(admin: psycopg.Connection[Any], people: list[tuple[Any, ...]], rounds: int) -> None:
    text = "SELECT * FROM recent_session_analysis"
    found = admin.execute(text).fetchall()
    took = [timed(lambda: admin.execute(text).fetchall()) for _ in range(rounds)]
    alone = [
        timed(lambda who=person[0]: admin.execute(f"{text} WHERE user_id = %s", [who]).fetchall())  # type: ignore[misc]
        for person in people[:100]
    ]
    plan = "\n".join(row[0] for row in admin.execute(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {text}"))
    run = {part for line in plan.splitlines() if "never executed" not in line for part in re.findall(r" on (sessions_\w+)", line)}
    say(f"recent     recent_session_analysis: {len(found):,} sessions of everybody in {millis(statistics.median(took))}, one person's in "
        f"{millis(statistics.median(alone))}; reads {', '.join(sorted(run))}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n", 1)[0])
    parser.add_argument("--postgres", metavar="URL", required=True, help="the database that bench/load.py filled, as a superuser")
    parser.add_argument("--only", nargs="+", choices=("summary", "retention", "reads", "metric", "recent"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--times", type=int, default=400, help="reads of each kind in a round")
    options = parser.parse_args()
    wanted = options.only or ["summary", "retention", "reads", "metric", "recent"]
    with psycopg.connect(options.postgres, autocommit=True, cursor_factory=psycopg.ClientCursor) as admin:
        admin.execute("SET TIME ZONE 'UTC'")
        admin.execute("SET stillwave.user_id = '*'")
        (version, size) = admin.execute("SELECT current_setting('server_version'), pg_size_pretty(pg_database_size(current_database()))").fetchone() or ("", "")
        say(f"PostgreSQL {version}, {size}, load average {os.getloadavg()[0]:.1f}")
        try:
            if {"summary", "retention"} & set(wanted):
                admin.execute("DROP SCHEMA IF EXISTS seed CASCADE")
                with admin.transaction():
                    admin.execute(PRINTED)
                    admin.execute("SET LOCAL session_replication_role = replica")
                    admin.execute(FILL)
                    if "retention" in wanted:
                        admin.execute(FILL_CHILDREN)
            if "summary" in wanted:
                summary(admin, options.rounds)
            if "retention" in wanted:
                retention(admin, max(1, options.rounds // 2))
            admin.execute("DROP SCHEMA IF EXISTS seed CASCADE")
            if "reads" in wanted:
                admin.execute("DROP SCHEMA IF EXISTS flat CASCADE")
                flatten(admin)
                (now,) = admin.execute("SELECT max(start_time) FROM sessions").fetchone() or (None,)
                reads(options.postgres, readers(admin, 400), now, options.rounds, options.times)
            if "metric" in wanted:
                metric(admin, options.rounds)
            if "recent" in wanted:
                recent(admin, readers(admin, 400), options.rounds)
        finally:
            admin.execute("DROP SCHEMA IF EXISTS seed CASCADE; DROP SCHEMA IF EXISTS flat CASCADE")


if __name__ == "__main__":
    main()
