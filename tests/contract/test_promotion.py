"""A proof of concept becomes a Stillwave: every row arrives or is kept with a reason, whatever happens on the way."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import random
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from argon2 import PasswordHasher

from bench.promotion import CLEAN, OPEN, make
from stillwave.accounts import actions as accounts
from stillwave.db import bulk, portable
from stillwave.db.database import Query, open_database
from stillwave.db.keys import parse_root_key
from stillwave.db.tables import table
from stillwave.errors import CannotStart, Conflict, StorageFull
from stillwave.promote import plan, report, rules, verify
from stillwave.promote.copy import Run
from stillwave.promote.sources import open_source
from stillwave.settings import Settings
from tests.cast import ALICE, BOB, CHARLIE, NOW, ROOT_KEY, Person
from tests.served import Served

PHC = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(ALICE.password)
MADE, START, END = "2026-01-02 03:04:05", "2026-11-03 07:00:00", "2026-11-03 07:20:00"


def write(path: Path, schema: str = OPEN, **tables: list[tuple[object, ...]]) -> Path:
    """A proof of concept with these rows."""
    file = sqlite3.connect(path)
    file.executescript(schema)
    for name, rows in tables.items():
        for row in rows:
            file.execute(f"INSERT INTO {name} VALUES ({','.join('?' * len(row))})", row)
    file.commit()
    file.close()
    return path


@pytest.fixture
def poc(tmp_path: Path) -> Path:
    """Alice with two sessions, Bob twice in different letters, and one of most kinds of dirt."""
    path = write(
        tmp_path / "poc.db",
        users=[
            (1, ALICE.email, PHC, MADE, "active"), (2, "Bob@example.org", "md5", MADE, "active"),
            (3, "bob@example.org", PHC, MADE, "active"), (4, "charlie", PHC, "rubbish", None), (5, "", PHC, MADE, "active"),
        ],
        user_preferences=[(1, 1, "female", "ambient", 30), (2, 1, "male", "thunder", 500), (3, 9, None, None, None), (4, 2, None, None, None)],
        sessions=[
            (1, 1, START, END, "morning", 10.0, 4), (2, 1, 1793600000, "?", "nap", float("inf"), 6), (3, None, START, END, None, 10, 3),
            (4, 9, START, END, None, 10, 3), (5, 5, START, END, None, 10, 3), (6, 2, "never", None, None, 10, 3), (7, 3, START, END, None, b"NaN", None),
        ],
        session_feedback=[(1, 1, 5, "calm\tand \\N"), (2, 2, 0, "be\0fore"), (3, 3, 4, "lost"), (4, 99, 4, "x" * 10_000_000), (5, 7, 6, None)],
    )  # fmt: skip
    file = sqlite3.connect(path)
    file.execute("CREATE TABLE moods (id INTEGER)")
    file.execute("ALTER TABLE sessions ADD COLUMN mood TEXT")
    file.execute("UPDATE sessions SET mood = 'blue' WHERE id = 3")
    file.execute("INSERT INTO session_feedback VALUES (6, 1, 3, CAST(x'6cEDA08021' AS TEXT))")
    file.commit()
    file.close()
    return path


def run(path: Path, settings: Settings, *, merge: bool = False, batch_rows: int = 3, **more: Any) -> Run:
    """The promotion of a file into a target that stays open."""
    made = Run(open_source(path, None), open_database(settings), NOW, merge=merge, audio=settings.audio_dir, **more)
    made.batch_rows = batch_rows
    return made


def close(*runs: Run) -> None:
    for each in runs:
        each.source.close()
        each.target.close()
        each.target.vault.keys.close()


def digests(run: Run) -> dict[str, tuple[int, str]]:
    """What every table that a promotion writes says, keys and times of writing aside."""
    names = ("users", "user_preferences", "sessions", "session_feedback", "promotion_rejects", "neural_profiles", "profile_history")
    return {name: (found[0], str(found[1])) for name in names if (found := verify.look(run, table(name)))}


def rejects(run: Run) -> list[tuple[str, str, str, str, Any]]:
    with run.target.read(right="operator") as tx:
        found = []
        for owner, key, name, old, outcome, reason, original in bulk.rows(tx, table("promotion_rejects")):
            opened = original and json.loads(tx.vault.open(UUID(owner), "promotion_rejects.original", UUID(key), original))
            found.append((str(name), str(old), str(outcome), str(reason), opened))
    return sorted(found, key=lambda each: each[:4])


def check(run: Run) -> None:
    wrong = [each for each in verify.verify(run) if not each.ok]
    assert wrong == []


def export(run: Run, email: str) -> dict[str, list[dict[str, Any]]]:
    with run.target.read(right="operator") as tx:
        user = accounts.by_email(tx, email)
    with run.target.read(user.id) as tx:
        return portable.everything(tx, user.id)


# --- what arrives ---------------------------------------------------------------------------------


def test_every_row_arrives_or_is_kept_with_its_reason(settings: Settings, poc: Path) -> None:
    promotion = run(poc, settings)
    promotion.copy()
    check(promotion)
    told = [(name, key, outcome, reason) for name, key, outcome, reason, _ in rejects(promotion)]
    assert told == [
        ("session_feedback", "2", "repaired", "nul_removed"), ("session_feedback", "2", "repaired", "rating_odd"),
        ("session_feedback", "3", "rejected", "session_unknown"), ("session_feedback", "4", "rejected", "session_unknown"),
        ("session_feedback", "5", "repaired", "rating_odd"), ("session_feedback", "6", "repaired", "text_not_utf8"),
        ("sessions", "2", "repaired", "effectiveness_unknown"), ("sessions", "2", "repaired", "end_unusable"),
        ("sessions", "2", "repaired", "frequency_odd"), ("sessions", "2", "repaired", "type_unknown"),
        ("sessions", "3", "rejected", "person_unknown"), ("sessions", "4", "rejected", "person_unknown"),
        ("sessions", "5", "rejected", "person_unknown"), ("sessions", "6", "rejected", "start_unknown"),
        ("sessions", "7", "repaired", "frequency_odd"),
        ("user_preferences", "1", "rejected", "preferences_old"), ("user_preferences", "2", "repaired", "duration_odd"),
        ("user_preferences", "2", "repaired", "sound_unknown"), ("user_preferences", "3", "rejected", "person_unknown"),
        ("users", "3", "repaired", "address_taken"), ("users", "4", "repaired", "address_unusable"),
        ("users", "4", "repaired", "created_unknown"), ("users", "5", "rejected", "address_missing"),
    ]  # fmt: skip
    originals = {(name, key): original for name, key, _, _, original in rejects(promotion)}
    assert originals["sessions", "3"]["mood"] == "blue"  # a column that is not ours is kept where the row is
    assert len(originals["session_feedback", "4"]["feedback_text"]) == 10_000_000
    assert originals["session_feedback", "2"]["feedback_text"] == "be\0fore"
    assert originals["session_feedback", "6"]["feedback_text"] == {"base64": "bO2ggCE="}
    assert originals["sessions", "2"]["frequency"] == "inf"
    assert originals["users", "4"]["password_hash"] is None

    mine = export(promotion, ALICE.email)
    assert [row["voice_preference"] for row in mine["user_preferences"]] == ["male"]
    first = next(row for row in mine["sessions"] if row["effectiveness_rating"])
    assert (first["effectiveness_rating"], first["side_effects"], float(first["target_frequency"])) == (8, {"poc_effectiveness": 4}, 10.0)
    assert sorted(row["feedback_text"] for row in mine["session_feedback"]) == ["before", "calm\tand \\N", "l���!"]
    assert mine["neural_profiles"][0]["base_frequency_response"]["n"] == 3
    assert len(mine["profile_history"]) == 3
    assert len(mine["promotion_rejects"]) == 10  # what was changed of hers is in her own export
    assert mine["users"][0]["phone_number"] == "+999000000000001"
    close(promotion)


def test_a_second_run_changes_nothing_and_the_source_is_as_it_was(settings: Settings, poc: Path) -> None:
    before = hashlib.sha256(poc.read_bytes()).hexdigest()
    first = run(poc, settings)
    first.copy()
    once = digests(first)
    close(first)
    again = run(poc, settings, batch_rows=100)
    again.copy()
    assert digests(again) == once
    check(again)
    close(again)
    assert hashlib.sha256(poc.read_bytes()).hexdigest() == before
    assert [path.name for path in poc.parent.iterdir() if path.name.startswith("poc")] == ["poc.db"]


def test_what_was_added_to_the_source_since_comes_along(settings: Settings, poc: Path) -> None:
    first = run(poc, settings)
    first.copy()
    close(first)
    file = sqlite3.connect(poc)
    file.execute("INSERT INTO users VALUES (8, ?, ?, ?, 'active')", (CHARLIE.email, PHC, MADE))
    file.execute("INSERT INTO sessions VALUES (8, 8, ?, ?, 'evening', 6.0, 5, NULL)", (START, END))
    file.executemany("INSERT INTO session_feedback VALUES (?, ?, 4, NULL)", [(7, 8), (8, 1)])
    file.commit()
    file.close()
    again = run(poc, settings)
    again.copy()
    check(again)
    assert len(export(again, CHARLIE.email)["sessions"]) == len(export(again, CHARLIE.email)["profile_history"]) == 1
    assert export(again, ALICE.email)["neural_profiles"][0]["base_frequency_response"]["n"] == 4  # hers has learned from one more
    close(again)


def test_both_engines_get_the_same_and_a_promotion_that_was_killed_ends_the_same(
    settings_on: Callable[[str], Settings], tmp_path: Path
) -> None:
    poc = tmp_path / "poc.db"
    make(poc, 60, dirt=0.03)
    found = {}
    for engine in ("sqlite", "postgres"):
        quiet = run(poc, settings_on(engine), batch_rows=150)
        quiet.copy()
        check(quiet)
        found[engine] = digests(quiet)
        close(quiet)
        killed = settings_on(engine)
        code, tries, chance = -9, 0, random.Random(engine)
        while code == -9:
            code = subprocess.run(
                [sys.executable, "-m", "bench.promotion", "once", str(poc), str(killed.data_dir), killed.database_url or "-",
                 "--batch-rows", "40", *(["--kill-after", str(chance.uniform(0.0, 0.4))] if tries < 2 else [])],
                check=False, stdout=subprocess.DEVNULL, cwd=Path(__file__).parents[2], env={**os.environ, "STILLWAVE_ROOT_KEY": ROOT_KEY},
            ).returncode  # fmt: skip
            tries += 1
        assert (code, tries > 1) == (0, True)
        after = run(poc, killed)
        check(after)
        assert digests(after) == found[engine]
        close(after)
    learned = ("neural_profiles", "profile_history")  # equal to a millionth, not to the last digit
    assert {name: each for name, each in found["sqlite"].items() if name not in learned} == {
        name: each for name, each in found["postgres"].items() if name not in learned
    }


# --- people who are there already -----------------------------------------------------------------


def test_a_target_with_people_is_refused_or_merged_by_e_mail(settings: Settings, poc: Path) -> None:
    with_bob = open_database(settings)
    with with_bob.write() as tx:
        bob = accounts.create(tx, email=BOB.email, phone="+999000000000001", password_hash=PHC, now=NOW, consent=True)
    with_bob.close()
    refused = run(poc, settings)
    with pytest.raises(Conflict, match="--merge"):
        refused.copy()
    close(refused)
    for _ in range(2):  # a second run changes nothing
        merged = run(poc, settings, merge=True)
        merged.copy()
        check(merged)
        assert merged.load("users").counts["merged"] == 1
        close(merged)
    after = run(poc, settings, merge=True)
    with after.target.read(right="operator") as tx:
        assert accounts.by_email(tx, BOB.email).id == bob
        assert accounts.contact(tx, bob)[1] == "+999000000000001"
    reasons = {(name, key): reason for name, key, _, reason, _ in rejects(after)}
    assert reasons["user_preferences", "4"] == "preferences_here"
    assert reasons["sessions", "6"] == "start_unknown"
    alices = export(after, ALICE.email)["users"][0]["phone_number"]
    assert alices != "+999000000000001"  # taken by then
    assert alices.startswith("+999")
    close(after)


def test_promoted_people_sign_in_and_are_asked_for_what_is_missing(served: Served, settings: Settings, poc: Path) -> None:
    promotion = run(poc, settings)
    promotion.copy()
    close(promotion)
    alice = served.visitor()
    alice.sign_in(ALICE)
    assert alice.get("/api/v1/me").json()["needs"] == "phone"
    assert alice.post("/phone", data={"phone": ALICE.phone_number}).status_code == 303
    assert alice.get("/api/v1/me").json()["needs"] == "consent"
    assert alice.put("/api/v1/consents/health_data", json={"give": True}).status_code == 204
    alice.screened()
    listed = alice.get("/api/v1/sessions").json()
    assert len(json.dumps(listed)) > 100
    assert all(alice.get(page).status_code == 200 for page in ("/", "/history", "/progress", "/profile", "/preferences", "/privacy"))

    # Two accounts differ in case alone: each is opened by how it was written; the later one needs a new address.
    bob = served.visitor()
    bob.sign_in(Person("Bob", "bob@example.org", "", ALICE.password))
    assert bob.get("/api/v1/me").json()["needs"] == "address"
    assert bob.get("/").headers["location"] == "/address"
    assert bob.post("/address", data={"email": ALICE.email}).status_code == 422
    assert bob.post("/address", data={"email": "Bob2@example.org"}).status_code == 303
    assert bob.get("/api/v1/me").json() | {"id": ""} == bob.get("/api/v1/me").json() | {"id": "", "email": "bob2@example.org", "needs": "phone"}
    assert bob.post("/address", data={"email": "bob3@example.org"}).status_code == 403

    # The first of them has no usable password: set anew by mail, and then asked for the number.
    first = served.visitor()
    refused = first.post("/api/v1/logins", json={"email": "Bob@example.org", "password": "md5"})
    assert refused.status_code == 401
    with served.kit.database.write() as tx:
        started = accounts.start_recovery(tx, "BOB@example.org", served.kit.clock())
    assert started is not None
    assert started[0] == "bob@example.org"
    done = first.post("/api/v1/recoveries/complete", json={"email": "BOB@example.org", "code": started[1], "password": CHARLIE.password})
    assert done.status_code == 204
    first.sign_in(Person("Bob", "bob@example.org", "", CHARLIE.password))
    assert first.get("/api/v1/me").json()["needs"] == "phone"


# --- bad sources ----------------------------------------------------------------------------------


def test_a_source_that_is_none_says_what_it_is(tmp_path: Path) -> None:
    empty, text = tmp_path / "empty.db", tmp_path / "text.db"
    empty.touch()
    text.write_text("not a database, but a letter to a friend")
    root = parse_root_key(ROOT_KEY)
    bare = write(tmp_path / "bare.db", "CREATE TABLE notes (id INTEGER)")
    near = write(tmp_path / "near.db", CLEAN.replace("start_time", "begun_at"))
    rowless = write(tmp_path / "rowless.db", "CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT) WITHOUT ROWID")
    for path, key, told in (
        (tmp_path / "gone.db", None, "There is no file"), (empty, None, "is empty"), (text, None, "no root key"),
        (text, root, "key store keys.db is missing"), (bare, None, "without a table users"), (near, None, "no column start_time"),
        (rowless, None, "WITHOUT ROWID"),
    ):  # fmt: skip
        with pytest.raises(CannotStart, match=told):
            open_source(path, key)


def test_a_schema_that_is_nearly_the_seeds_is_taken_as_it_is(settings: Settings, tmp_path: Path) -> None:
    near = write(
        tmp_path / "near.db",
        "CREATE TABLE USERS (Id, Email TEXT, shoe_size REAL); CREATE TABLE sessions (id TEXT, user_id, start_time);",
        users=[(1, ALICE.email, 42.0), (1, BOB.email, 41.0), (None, CHARLIE.email, 43.0)],
        sessions=[("s1", 1, START), ("s1", 1, START), (None, 1, START)],
    )  # fmt: skip
    promotion = run(near, settings)
    promotion.copy()
    check(promotion)
    assert [(name, reason) for name, _, _, reason, _ in rejects(promotion)] == [
        ("sessions", "id_missing"), ("sessions", "id_twice"), ("users", "id_twice"), ("users", "id_missing")
    ]  # fmt: skip
    assert len(export(promotion, ALICE.email)["sessions"]) == 1
    told = plan.told(plan.plan(promotion.source, NOW))
    assert "NOT COPIED, for there is no place for it: column shoe_size" in told
    assert "no column password_hash, created_at, account_status: read as empty" in told
    close(promotion)


def test_a_damaged_page_costs_what_is_on_it_and_is_reported(settings: Settings, tmp_path: Path) -> None:
    poc = tmp_path / "poc.db"
    make(poc, 40, dirt=0, sessions_each=30)
    file = sqlite3.connect(poc)
    size = file.execute("PRAGMA page_size").fetchone()[0]
    (wanted,) = file.execute("SELECT rootpage FROM sqlite_master WHERE name = 'sessions'").fetchone()
    file.close()
    whole = bytearray(poc.read_bytes())
    root = whole[(wanted - 1) * size :]
    cell = int.from_bytes(root[12 + 2 * 3 : 14 + 2 * 3], "big")  # an interior page: its fourth child
    page = int.from_bytes(root[cell : cell + 4], "big")
    whole[(page - 1) * size : page * size] = b"\xff" * size
    poc.write_bytes(whole)
    promotion = run(poc, settings, batch_rows=500)
    promotion.copy()
    check(promotion)
    lost = [(key, original) for name, key, _, reason, original in rejects(promotion) if reason == "unreadable"]
    assert len(lost) == 1
    assert lost[0][1] is None
    first, last = map(int, lost[0][0].removeprefix("rows ").split(" to "))
    assert 20 < last - first < 200
    assert promotion.load("sessions").counts["copied"] == 1200 - (last - first + 1)
    # Feedback on sessions of that page cannot come along, and is kept as it was.
    alone = [original for name, _, _, reason, original in rejects(promotion) if (name, reason) == ("session_feedback", "session_unknown")]
    assert alone
    assert all(first <= original["session_id"] <= last for original in alone)
    close(promotion)


def test_a_write_ahead_log_beside_the_file_is_read_along(settings: Settings, poc: Path) -> None:
    writer = sqlite3.connect(poc)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("INSERT INTO users VALUES (20, ?, ?, ?, 'active')", (CHARLIE.email, PHC, MADE))
    writer.commit()
    promotion = run(poc, settings)
    promotion.copy()
    assert export(promotion, CHARLIE.email)["users"]
    close(promotion)
    writer.close()


def test_a_plan_says_what_will_be_and_a_real_run_does_just_that(settings: Settings, poc: Path) -> None:
    promotion = run(poc, settings)
    planned = plan.plan(promotion.source, NOW)
    promotion.copy()
    done = {step.name: step for step in promotion.steps()}
    assert planned.exact
    for each in planned.tables:
        counts = done[each.table].counts
        assert (each.rows, each.copied, each.repaired, each.rejected) == (
            counts["read"], counts["copied"], counts["repaired"], counts["rejected"]
        )  # fmt: skip
        assert each.rules == {code: counts[code] for code in rules.RULES if counts[code]}
    assert planned.other_tables == ("moods",)
    assert planned.rejected == sum(step.counts["rejected"] for step in done.values())
    close(promotion)


# --- trouble with the target ----------------------------------------------------------------------


FULL = """
    CREATE FUNCTION full_disk() RETURNS boolean LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'no space left on device' USING ERRCODE = 'disk_full'; END $$;
    ALTER TABLE sessions ADD CONSTRAINT full_disk CHECK (full_disk()) NOT VALID
"""


def test_a_target_that_is_full_loses_nothing_and_goes_on_when_there_is_room(
    settings: Settings, poc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    promotion = run(poc, settings)
    honest = bulk.fill

    def limited(tx: Any, *rest: Any) -> None:
        tx.connection.execute("PRAGMA max_page_count = 1")  # SQLite keeps what it has, and not one page more
        honest(tx, *rest)

    raw = promotion.target.raw()
    if promotion.target.engine == "sqlite":
        monkeypatch.setattr(bulk, "fill", limited)
    else:
        raw.execute(FULL)
        raw.commit()
    with pytest.raises(StorageFull):
        promotion.copy()
    close(promotion)
    monkeypatch.undo()
    if promotion.target.engine == "postgres":
        raw.execute("DROP FUNCTION full_disk CASCADE")
        raw.commit()
    raw.close()
    again = run(poc, settings)
    again.copy()
    check(again)
    close(again)


@pytest.mark.parametrize("engine", ["postgres"])
def test_a_server_that_goes_away_is_waited_for(settings: Settings, poc: Path) -> None:
    import psycopg

    waited: list[float] = []
    ended: list[bool] = []

    def progress(step: str, done: int, _of: int) -> None:
        if step == "sessions" and done >= 3 and not ended:
            with psycopg.connect(settings.database_url or "", autocommit=True) as admin:
                admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'stillwave' AND datname = current_database()")
            ended.append(True)

    promotion = run(poc, settings, progress=progress, pause=waited.append)
    promotion.copy()
    check(promotion)
    assert ended
    close(promotion)


@pytest.mark.parametrize("engine", ["postgres"])
def test_a_server_that_is_too_slow_for_its_own_limit_is_tried_again(settings: Settings, poc: Path) -> None:
    """Somebody holds a table, and the server ends what waits for it: nothing is lost, and it goes on once the table is free."""
    import psycopg
    from psycopg.conninfo import make_conninfo

    slow = msgspec.structs.replace(
        settings, database_url=make_conninfo(settings.database_url or "", options="-c statement_timeout=800ms")
    )
    with psycopg.connect(settings.database_url or "") as other:
        waited: list[float] = []

        def progress(step: str, done: int, _of: int) -> None:
            if step == "sessions" and done == 0 and not waited:
                other.execute("LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE")

        def pause(wait_s: float) -> None:
            waited.append(wait_s)
            if len(waited) == 3:
                other.rollback()

        promotion = run(poc, slow, progress=progress, pause=pause)
        promotion.copy()
    assert waited[:3] == [2, 4, 8]
    check(promotion)
    close(promotion)


@pytest.mark.parametrize("engine", ["postgres"])
def test_indexes_that_rest_during_the_copy_are_all_there_again_also_after_one_that_broke_off(
    settings: Settings, poc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def indexes(run: Run) -> list[str]:
        with run.target.read(right="operator") as tx:
            found = tx.connection.execute("SELECT indexdef FROM pg_indexes WHERE tablename ~ '^(sessions|session_feedback|profile_history)(_default)?$'")
            return sorted(row["indexdef"] for row in found)

    broken = run(poc, settings)
    declared = indexes(broken)
    monkeypatch.setattr(Run, "_profiles", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        broken.copy()
    assert len(indexes(broken)) < len(declared)
    monkeypatch.undo()
    again = run(poc, settings)
    again.copy()
    assert indexes(again) == declared
    again.copy()  # a run that brings what was added since takes none again
    assert indexes(again) == declared
    check(again)
    close(broken, again)


@pytest.mark.parametrize("engine", ["postgres"])
def test_a_login_without_the_rights_is_told_so(settings: Settings, poc: Path) -> None:
    import psycopg
    from psycopg.conninfo import make_conninfo

    with psycopg.connect(settings.database_url or "", autocommit=True) as admin:
        admin.execute("DROP ROLE IF EXISTS promotion_weak")
        admin.execute("CREATE ROLE promotion_weak LOGIN PASSWORD 'weak' IN ROLE stillwave_app")
        try:
            weak = Settings(**{name: getattr(settings, name) for name in Settings.__struct_fields__}
                            | {"database_url": make_conninfo(settings.database_url or "", user="promotion_weak", password="weak")})
            promotion = run(poc, weak)
            with pytest.raises(CannotStart, match="stillwave_owner"):
                promotion.copy()
            close(promotion)
        finally:
            admin.execute("DROP OWNED BY promotion_weak")
            admin.execute("DROP ROLE promotion_weak")


def test_what_the_rules_did_not_foresee_and_the_database_refuses_is_kept(settings: Settings, poc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = rules.session

    def careless(*given: Any) -> Any:
        told = honest(*given)
        row = told.row or ()
        return told if told.key != "1" else told._replace(row=(*row[:4], "a nap", *row[5:]))

    monkeypatch.setitem(__import__("stillwave.promote.translate", fromlist=["TRANSLATE"]).TRANSLATE, "sessions", careless)
    promotion = run(poc, settings, batch_rows=100)
    promotion.copy()
    assert ("sessions", "1", "rejected", "refused:sessions_session_type_known") in [each[:4] for each in rejects(promotion)]
    assert promotion.load("sessions").counts["copied"] == 2
    close(promotion)


# --- the report -----------------------------------------------------------------------------------


def test_a_report_shows_every_change_made_to_it(settings: Settings, poc: Path) -> None:
    promotion = run(poc, settings)
    promotion.copy()
    made = report.made(promotion, verify.verify(promotion), NOW + dt.timedelta(seconds=9), 9.0)
    assert made.whole
    assert made.rejected == 9
    root, other = parse_root_key(ROOT_KEY), parse_root_key("00" * 32)
    for write_down in (report.text, report.as_json, report.as_html):
        page = write_down(made, root)
        assert report.unchanged(page, root)
        assert not report.unchanged(page, other)
        assert not report.unchanged(page.replace("10", "11", 1), root)
        assert ALICE.email not in page
    assert json.loads(report.as_json(made, root))["rejected"] == 9
    assert not report.unchanged("nothing", root)
    close(promotion)


def test_a_row_that_changed_on_the_way_is_found(settings: Settings, poc: Path) -> None:
    promotion = run(poc, settings)
    promotion.copy()
    text = "UPDATE sessions SET target_frequency = 11 WHERE target_frequency = 10"
    with promotion.target.write(right="operator") as tx:
        tx.run(Query("tamper", text, text))
    wrong = {each.name for each in verify.verify(promotion) if not each.ok}
    assert {"sessions: digest", "people, field by field"} <= wrong
    assert "Do not use it" in report.verdict(report.made(promotion, verify.verify(promotion), NOW, 1.0))
    close(promotion)


def test_erasing_a_person_erases_what_was_kept_of_their_rows(settings: Settings, poc: Path) -> None:
    promotion = run(poc, settings)
    promotion.copy()
    with promotion.target.read(right="operator") as tx:
        alice = accounts.by_email(tx, ALICE.email).id
    with promotion.target.write(alice) as tx:
        accounts.delete(tx, alice, NOW)
    assert not [1 for name, _, _, _, original in rejects(promotion) if original and original.get("user_id") == 1]
    close(promotion)


def test_the_rules_in_the_document_are_the_rules() -> None:
    page = (Path(__file__).parents[2] / "docs" / "promotion.md").read_text(encoding="utf-8")
    assert rules.rules_text() in page
