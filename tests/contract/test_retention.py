"""Old sessions go after a year, and what else ends has its end; premium and restricted people keep theirs."""

from __future__ import annotations

import datetime as dt
import json
import threading
from typing import Any
from uuid import UUID

import psycopg
import pytest
from typer.testing import CliRunner

from stillwave import cli
from stillwave.db.database import Query, open_database
from stillwave.errors import ClockDoubted
from stillwave.operator import actions
from stillwave.operator.rules import Clock, judge
from stillwave.settings import Settings
from stillwave.web import gate
from tests import rows
from tests.cast import ALICE, BOB, CHARLIE, NOW
from tests.served import Served

YEAR_AGO = NOW.replace(year=NOW.year - 1, hour=0)
HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)


def heard(tx: Any, person: object, start: dt.datetime, file: str = "0" * 32) -> None:
    """A session with a feedback and a sound file."""
    session = rows.session(person, start)
    rows.insert(tx, "sessions", **session)
    rows.insert(
        tx, "session_feedback", user_id=person, id=rows.id_at(start), session_id=session["id"],
        session_start_time=start, rating=4, created_at=start,
    )  # fmt: skip
    rows.insert(
        tx, "audio_files", user_id=person, id=rows.id_at(start), session_id=session["id"],
        session_start_time=start, file_path=f"{file}.swf", duration=60,
    )  # fmt: skip


def test_sessions_go_after_a_year_but_for_premium_and_restricted_people(database: Any) -> None:
    alice, bob, charlie = rows.user(ALICE), rows.user(BOB), rows.user(CHARLIE)
    with database.write() as tx:
        rows.insert(tx, "users", **alice)
        rows.insert(tx, "users", **bob, subscription_tier="premium")
        rows.insert(tx, "users", **charlie, processing_restricted=True)
        for person in (alice, bob, charlie):
            for start in (YEAR_AGO - dt.timedelta(days=400), YEAR_AGO - dt.timedelta(seconds=1), YEAR_AGO, NOW):
                heard(tx, person["id"], start)
    with database.read(right="retention") as tx:
        assert actions.expired(tx, NOW) == 2
    assert actions.clean_up(database, NOW) == 2
    with database.read() as tx:
        assert (rows.count(tx, "sessions"), rows.count(tx, "session_feedback")) == (10, 10)
        assert rows.count(tx, "unlink_outbox") == 2
        assert rows.count(tx, "profile_history") == 2 + 4  # Charlie's taught nothing
    assert actions.clean_up(database, NOW) == 0


def test_the_29th_of_february_has_a_year_before_it() -> None:
    leap_day = dt.datetime(2028, 2, 29, 12, tzinfo=dt.UTC)
    assert actions._a_year_before(leap_day) == dt.datetime(2027, 2, 28, tzinfo=dt.UTC)


# --- whole months on PostgreSQL -----------------------------------------------------------------


def old_month(database: Any) -> dt.datetime:
    """The first of a month that is long over, with its own partitions."""
    first = dt.datetime(2024, 3, 1, tzinfo=dt.UTC)
    if database.engine == "postgres":
        with database.write(right="retention") as tx:
            tx.run(Query("make", "", "SELECT ensure_partitions('2024-03-01', '2024-04-30')"))
    return first


def months(database: Any) -> set[str]:
    text = "SELECT relname AS name FROM pg_class WHERE relispartition AND relkind = 'r' AND relname LIKE '%%y2024m%%'"
    with database.read() as tx:
        return {row["name"] for row in tx.rows(Query("months", "", text))}


def fill_month(database: Any, first: dt.datetime, *, free: int, premium: int) -> None:
    """Many sessions by two people who listen, and as many as asked by one who pays."""
    people = [rows.user(ALICE), rows.user(BOB), rows.user(CHARLIE)]
    with database.write() as tx:
        for person in people:
            rows.insert(tx, "users", **person, subscription_tier="premium" if person is people[2] else "free")
        for n in range(free):
            heard(tx, people[n % 2]["id"], first + n * dt.timedelta(minutes=7), f"{n:032x}")
        for n in range(premium):
            heard(tx, people[2]["id"], first + n * dt.timedelta(minutes=11), f"{n + 10**6:032x}")


@pytest.mark.parametrize(("free", "premium", "how"), [(30, 0, "dropped"), (1005, 40, "made anew"), (40, 30, "deleted")])
def test_a_month_ends_in_the_cheapest_way_and_the_result_is_the_same(
    database: Any, free: int, premium: int, how: str
) -> None:
    first = old_month(database)
    fill_month(database, first, free=free, premium=premium)
    kept_text = "SELECT CAST(id AS text) AS id FROM sessions WHERE user_id = :who ORDER BY id"
    kept = Query("kept", kept_text, kept_text.replace(":who", "%(who)s"))
    with database.read(right="operator") as tx:
        before = tx.rows(kept, who=rows.user(CHARLIE)["id"])
    (sessions, *_) = actions.retain(database, NOW)
    assert sessions.rows == free
    with database.read(right="operator") as tx:
        assert tx.rows(kept, who=rows.user(CHARLIE)["id"]) == before
        for table in ("sessions", "session_feedback", "audio_files"):
            assert rows.count(tx, table) == premium
        assert rows.count(tx, "unlink_outbox") == free
    (again, *_) = actions.retain(database, NOW)
    assert (again.rows, again.months_dropped) == (0, 0)
    if database.engine == "postgres":
        # April holds nothing and is over: dropped as well.
        assert sessions.months_dropped == {"dropped": 2, "made anew": 2, "deleted": 1}[how]
        assert months(database) == (
            set() if how == "dropped" else {f"{t}_y2024m03" for t in ("sessions", "session_feedback", "audio_files")}
        )
        with database.write() as tx:  # the month that was made anew refers and teaches as the old one did
            person = rows.user(CHARLIE)["id"]
            if premium:
                heard(tx, person, first + dt.timedelta(days=3, minutes=1))
                assert rows.count(tx, "session_feedback") == premium + 1
                assert rows.count(tx, "profile_history") == premium + 1


def test_what_was_learned_is_folded_from_what_stays_when_a_month_is_dropped(database: Any) -> None:
    first = old_month(database)
    with database.write() as tx:
        rows.insert(tx, "users", **rows.user(ALICE))
        for start in (first, first + DAY, NOW - DAY):
            heard(tx, rows.user(ALICE)["id"], start)
    profile = Query("n", *["SELECT base_frequency_response FROM neural_profiles"] * 2)
    actions.clean_up(database, NOW)
    with database.read(right="operator") as tx:
        told = json.loads(tx.value(profile))
        rebuild = "SELECT rebuild_neural_profile(user_id) FROM neural_profiles"
    with database.write(right="operator") as tx:
        tx.run(Query("again", "INSERT INTO rebuild_neural_profile (user_id) SELECT user_id FROM neural_profiles", rebuild))
        assert json.loads(tx.value(profile)) == told


@pytest.mark.parametrize("engine", ["postgres"])
def test_people_read_on_while_a_month_is_dropped(database: Any) -> None:
    first = old_month(database)
    fill_month(database, first, free=50, premium=0)
    count = Query("n", "", "SELECT count(*) FROM sessions WHERE user_id = %(who)s AND start_time >= %(since)s")
    seen: list[int] = []
    failed: list[BaseException] = []

    def read_on() -> None:
        try:
            while not done.is_set():
                with database.read(rows.user(ALICE)["id"]) as tx:
                    seen.append(tx.value(count, who=rows.user(ALICE)["id"], since=NOW))
        except Exception as error:  # noqa: BLE001  handed to the test
            failed.append(error)

    done = threading.Event()
    reader = threading.Thread(target=read_on)
    reader.start()
    actions.clean_up(database, NOW)
    done.set()
    reader.join()
    assert failed == []
    assert set(seen) == {0}
    assert months(database) == set()


@pytest.mark.parametrize("engine", ["postgres"])
def test_the_architectures_function_does_the_same_from_sql(database: Any) -> None:
    first = old_month(database)
    fill_month(database, first, free=30, premium=5)
    with database.write(right="retention") as tx:
        tx.run(Query("seed", "", "SELECT cleanup_old_sessions()"))
    with database.read() as tx:
        assert (rows.count(tx, "sessions"), rows.count(tx, "unlink_outbox")) == (5, 30)
    with pytest.raises(psycopg.errors.InsufficientPrivilege), database.write() as tx:
        tx.run(Query("seed", "", "SELECT cleanup_old_sessions()"))


# --- the other classes --------------------------------------------------------------------------


def test_logins_codes_and_answers_end_in_their_time(database: Any) -> None:
    alice, hash_ = rows.user(ALICE), "ab" * 31
    with database.write() as tx:
        rows.insert(tx, "users", **alice)
        for n, (seen, ends) in enumerate([(NOW, NOW + DAY), (NOW, NOW), (NOW - gate.IDLE, NOW + DAY)]):
            rows.insert(tx, "logins", user_id=alice["id"], id=UUID(int=n), token_hash=f"{hash_}{n:02d}", device="d",
                        created_at=NOW - 9 * DAY, last_seen_at=seen, expires_at=ends)  # fmt: skip
        for n, ends in enumerate([NOW, NOW + HOUR]):
            rows.insert(tx, "recoveries", user_id=alice["id"], token_hash=f"{hash_}{n:02d}", created_at=NOW - HOUR,
                        expires_at=ends)  # fmt: skip
        for n, made in enumerate([NOW - DAY - HOUR, NOW - DAY, NOW]):
            rows.insert(tx, "idempotency_keys", user_id=alice["id"], key=f"k{n}", request_sha256=f"{hash_}00",
                        status=200, body="sw1.AAAA", created_at=made)  # fmt: skip
    want = {"sessions": 0, "logins": 2, "recoveries": 1, "idempotency_keys": 1, "unlink_outbox": 0, "passkey_challenges": 0}
    assert {r.table: r.rows for r in actions.due(database, NOW)} == want
    assert {r.table: r.rows for r in actions.retain(database, NOW)} == {**want, "audit_events": 0}
    with database.read() as tx:
        assert [rows.count(tx, table) for table in ("logins", "recoveries", "idempotency_keys")] == [1, 1, 2]


def test_the_command_reports_by_class_and_removes_the_files(
    settings: Settings, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = settings.audio_dir / f"{'5' * 32}.swf"
    settings.audio_dir.mkdir(exist_ok=True)
    file.write_bytes(b"x")
    with database.write() as tx:
        rows.insert(tx, "users", **rows.user(ALICE))
        heard(tx, rows.user(ALICE)["id"], dt.datetime(2023, 5, 6, tzinfo=dt.UTC), "5" * 32)
    for name, value in (("DATA_DIR", str(settings.data_dir)), ("ROOT_KEY", settings.root_key or ""),
                        ("DATABASE_URL", settings.database_url or "")):  # fmt: skip
        monkeypatch.setenv(f"STILLWAVE_{name}", value)
    told = CliRunner().invoke(cli.app, ["retention", "--dry-run", "--json"])
    assert told.exit_code == 0, told.output
    answer = json.loads(told.output)
    assert answer["dry_run"] is True
    assert {c["table"]: c["rows"] for c in answer["classes"]}["sessions"] == 1
    assert file.exists()
    done = CliRunner().invoke(cli.app, ["retention"])
    assert done.exit_code == 0, done.output
    assert "session_year" in done.output
    assert not file.exists()
    with database.read() as tx:
        assert (rows.count(tx, "sessions"), rows.count(tx, "unlink_outbox")) == (0, 0)


# --- a clock that jumps -------------------------------------------------------------------------


def test_a_clock_that_jumped_is_not_deleted_by_until_it_is_steady_or_confirmed(database: Any) -> None:
    actions.check_clock(database, NOW)
    actions.check_clock(database, NOW + 23 * HOUR)
    wrong = NOW + dt.timedelta(days=500)
    for n in range(24):
        with pytest.raises(ClockDoubted, match="stillwave db clock --confirm"):
            actions.check_clock(database, wrong + n * HOUR)
    actions.check_clock(database, wrong + 24 * HOUR)  # steady for a day
    with pytest.raises(ClockDoubted):
        actions.check_clock(database, NOW)  # and back
    actions.check_clock(database, NOW, confirmed=True)
    actions.check_clock(database, NOW + HOUR)


@pytest.mark.parametrize("gap", [4 * HOUR, -HOUR, 30 * DAY])
def test_a_doubted_clock_that_moves_unsteadily_is_doubted_anew(gap: dt.timedelta) -> None:
    known, trusted = judge(Clock(NOW, NOW, None), NOW + 10 * DAY)
    for n in range(1, 23):
        known, trusted = judge(known, NOW + 10 * DAY + n * HOUR)
        assert not trusted
    known, trusted = judge(known, NOW + 10 * DAY + 22 * HOUR + gap)
    assert not trusted
    assert known.doubted == NOW + 10 * DAY + 22 * HOUR + gap


def test_housekeeping_deletes_nothing_by_a_clock_that_jumped(served: Served) -> None:
    from stillwave.duties import duties
    from stillwave.jobs.rules import NOBODY, Job

    kit = served.kit
    with kit.database.write() as tx:
        rows.insert(tx, "users", **rows.user(ALICE))
        rows.insert(tx, "sessions", **rows.session(rows.user(ALICE)["id"], NOW - 300 * DAY))
    actions.check_clock(kit.database, NOW)
    kit.clock.advance(days=90)  # type: ignore[attr-defined]
    files = type("NoFiles", (), {"sweep": lambda _self: 0})()
    for kind in ("retention", "partitions"):
        job = Job(user_id=NOBODY, id=NOBODY, kind=kind, subject="", attempts=1, failures=0)
        with pytest.raises(ClockDoubted):
            duties(kit, files)[kind].do(job, kit.clock(), lambda: False)
    with kit.database.read() as tx:
        assert rows.count(tx, "sessions") == 1


def test_the_clock_is_remembered_over_a_restart(settings: Settings) -> None:
    """Housekeeping's facts are readable by a new start."""
    first = open_database(settings)
    actions.check_clock(first, NOW)
    first.close()
    second = open_database(settings)
    with pytest.raises(ClockDoubted):
        actions.check_clock(second, NOW + 3 * DAY)
    second.close()
