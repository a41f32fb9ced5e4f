"""A proof of concept on PostgreSQL, in the flat tables that the architecture prints, becomes a Stillwave on either engine."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from stillwave.accounts import actions as accounts
from stillwave.db.database import open_database
from stillwave.errors import CannotStart, Conflict, OutOfReach
from stillwave.profiles import store
from stillwave.promote import plan, rules
from stillwave.promote.copy import Run
from stillwave.promote.flat import FlatSource
from stillwave.settings import Settings
from tests.cast import ALICE, BOB, CHARLIE, NOW
from tests.conftest import _postgres_copy
from tests.contract.test_promotion import END, MADE, PHC, START, check, close, digests, export, rejects
from tests.killed import promoted_by_force
from tests.rows import id_at

# As it is printed, without the references that are printed twice. The trigger's function does nothing there either.
PRINTED = """
CREATE TABLE users (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(), email VARCHAR(255) UNIQUE NOT NULL, phone_number VARCHAR(20) UNIQUE NOT NULL,
    password_hash VARCHAR(255) NOT NULL, created_at TIMESTAMP WITH TIME ZONE DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT CURRENT_TIMESTAMP, last_login TIMESTAMP WITH TIME ZONE,
    account_status VARCHAR(20) DEFAULT 'active', subscription_tier VARCHAR(20) DEFAULT 'free');
CREATE INDEX idx_users_email ON users(email);
CREATE INDEX idx_users_phone ON users(phone_number);
CREATE TABLE neural_profiles (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(), user_id UUID REFERENCES users(id) ON DELETE CASCADE,
    base_frequency_response JSONB, optimal_transition_time INTEGER, contraindications TEXT[],
    sensitivity_level INTEGER CHECK (sensitivity_level BETWEEN 1 AND 10),
    created_at TIMESTAMP WITH TIME ZONE DEFAULT CURRENT_TIMESTAMP, updated_at TIMESTAMP WITH TIME ZONE DEFAULT CURRENT_TIMESTAMP,
    alpha_range NUMRANGE, theta_range NUMRANGE, delta_range NUMRANGE, gamma_range NUMRANGE);
CREATE TABLE sessions (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(), user_id UUID REFERENCES users(id) ON DELETE CASCADE,
    start_time TIMESTAMP WITH TIME ZONE DEFAULT CURRENT_TIMESTAMP, end_time TIMESTAMP WITH TIME ZONE, session_type VARCHAR(50),
    initial_state VARCHAR(20), target_state VARCHAR(20), effectiveness_rating INTEGER CHECK (effectiveness_rating BETWEEN 1 AND 10),
    side_effects JSONB, base_frequency NUMERIC(7,2), target_frequency NUMERIC(7,2),
    volume_level INTEGER CHECK (volume_level BETWEEN 0 AND 100));
CREATE INDEX idx_sessions_user_id ON sessions(user_id);
CREATE INDEX idx_sessions_start_time ON sessions(start_time);
CREATE TABLE audio_files (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(), session_id UUID REFERENCES sessions(id) ON DELETE CASCADE,
    file_path VARCHAR(255) NOT NULL, duration INTEGER NOT NULL, format VARCHAR(10), size_bytes BIGINT,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT CURRENT_TIMESTAMP, sample_rate INTEGER DEFAULT 44100, bit_depth INTEGER DEFAULT 24,
    channels INTEGER DEFAULT 2, frequency_data JSONB);
CREATE TABLE user_preferences (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(), user_id UUID REFERENCES users(id) ON DELETE CASCADE, voice_preference VARCHAR(20),
    background_sound_type VARCHAR(50), preferred_duration INTEGER, notification_preferences JSONB, morning_routine_time TIME,
    evening_routine_time TIME);
CREATE TABLE progress_tracking (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(), user_id UUID REFERENCES users(id) ON DELETE CASCADE, date DATE DEFAULT CURRENT_DATE,
    metrics JSONB, notes TEXT, sleep_quality INTEGER CHECK (sleep_quality BETWEEN 1 AND 10),
    stress_level INTEGER CHECK (stress_level BETWEEN 1 AND 10), focus_score INTEGER CHECK (focus_score BETWEEN 1 AND 10));
CREATE INDEX idx_progress_user_date ON progress_tracking(user_id, date);
CREATE TABLE session_feedback (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(), session_id UUID REFERENCES sessions(id) ON DELETE CASCADE,
    user_id UUID REFERENCES users(id) ON DELETE CASCADE, rating INTEGER CHECK (rating BETWEEN 1 AND 5), feedback_text TEXT,
    physical_effects JSONB, mental_effects JSONB, created_at TIMESTAMP WITH TIME ZONE DEFAULT CURRENT_TIMESTAMP);
CREATE VIEW user_progress_summary AS
SELECT u.id as user_id, u.email, COUNT(s.id) as total_sessions FROM users u LEFT JOIN sessions s ON u.id = s.user_id GROUP BY u.id, u.email;
CREATE FUNCTION update_neural_profile() RETURNS TRIGGER AS $$ BEGIN RETURN NEW; END; $$ LANGUAGE plpgsql;
CREATE TRIGGER after_session_feedback AFTER INSERT ON session_feedback FOR EACH ROW EXECUTE FUNCTION update_neural_profile();
CREATE INDEX idx_progress_metrics ON progress_tracking USING GIN (metrics);
"""
# Somebody who made the tables without the checks and references.
LOOSE = """
ALTER TABLE sessions DROP CONSTRAINT sessions_effectiveness_rating_check, DROP CONSTRAINT sessions_volume_level_check,
    DROP CONSTRAINT sessions_user_id_fkey, ALTER COLUMN base_frequency TYPE double precision, ADD COLUMN mood TEXT;
ALTER TABLE session_feedback DROP CONSTRAINT session_feedback_rating_check, DROP CONSTRAINT session_feedback_session_id_fkey;
ALTER TABLE progress_tracking DROP CONSTRAINT progress_tracking_sleep_quality_check;
ALTER TABLE users ALTER COLUMN phone_number DROP NOT NULL, DROP CONSTRAINT users_phone_number_key;
CREATE TABLE moods (id INTEGER);
"""
NOBODY = UUID(int=77)


@pytest.fixture
def url(postgres_server_url: str) -> Iterator[str]:
    """A database with the printed tables."""
    with _postgres_copy(postgres_server_url, "template0") as found:
        with psycopg.connect(found) as db:
            db.execute(PRINTED)
        yield found


def put(url: str, into: str, **values: object) -> UUID:
    """One more row of the old system; its id."""
    shown = {name: json.dumps(value) if isinstance(value, (dict, bool)) else value for name, value in values.items()}
    marks = ", ".join(f"%({name})s" for name in shown)
    with psycopg.connect(url) as db:
        row = db.execute(f"INSERT INTO {into} ({', '.join(shown)}) VALUES ({marks}) RETURNING id", shown).fetchone()
    assert row is not None
    return UUID(str(row[0]))


def person(url: str, who: Any, **more: object) -> UUID:
    values = {"email": who.email, "phone_number": who.phone_number, "password_hash": PHC, "created_at": MADE + "+00", **more}
    return put(url, "users", **values)


def run(url: str, settings: Settings, batch_rows: int = 3) -> Run:
    made = Run(FlatSource(url), open_database(settings), NOW, audio=settings.audio_dir)
    made.batch_rows = batch_rows
    return made


def test_the_printed_tables_arrive(settings: Settings, url: str) -> None:
    alice = person(url, ALICE, subscription_tier="premium", last_login="2026-11-20 08:00:00+01", updated_at="2026-11-20 08:00:00+01")
    bob_id = id_at(dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC))
    person(url, BOB, id=bob_id, password_hash="md5:plain", phone_number="+1 415 555 2671")
    put(url, "user_preferences", user_id=alice, voice_preference="female", background_sound_type="nature", preferred_duration=30,
        notification_preferences={"weekly_digest": True}, morning_routine_time="06:45", evening_routine_time="22:00:30.5")  # fmt: skip
    put(url, "neural_profiles", user_id=alice, contraindications=["Epilepsy", "weak knees"], sensitivity_level=3, alpha_range="[8.0,12.0]")
    session_id = id_at(dt.datetime(2026, 11, 3, 7, 0, tzinfo=dt.UTC))
    first = put(url, "sessions", id=session_id, user_id=alice, start_time=START + "+00", end_time=END + "+00", session_type="morning",
                initial_state="unsure", target_state="calm_focus", effectiveness_rating=7, base_frequency=200, target_frequency=10.25,
                volume_level=40, side_effects={"headache": 2})  # fmt: skip
    second = put(url, "sessions", user_id=alice, start_time="2026-11-04 07:00:00.123456+00", target_frequency=9)
    put(url, "audio_files", session_id=first, file_path="/srv/sound/1.wav", duration=1200)
    put(url, "session_feedback", session_id=first, user_id=alice, rating=5, feedback_text="calm\tand \\N", created_at="2026-11-03 08:00:00+00",
        physical_effects={"warm": 2}, mental_effects={"calm": True})  # fmt: skip
    put(url, "session_feedback", session_id=second, user_id=alice, rating=2, created_at="2026-11-04 09:00:00+00",
        mental_effects={"hallucination": 1})  # fmt: skip
    put(url, "progress_tracking", user_id=alice, date="2026-11-03", notes="slept well", sleep_quality=8, metrics={"hours_slept": 7.5})

    promotion = run(url, settings)
    planned = plan.plan(promotion.source, NOW)
    assert [(each.table, each.rows, each.copied) for each in planned.tables] == [
        ("users", 2, 2), ("user_preferences", 1, 1), ("neural_profiles", 1, 1), ("sessions", 2, 2), ("audio_files", 1, 0),
        ("session_feedback", 2, 2), ("progress_tracking", 1, 1),
    ]  # fmt: skip
    promotion.copy()
    check(promotion)
    mine = export(promotion, ALICE.email)
    user = mine["users"][0]
    assert (user["phone_number"], user["account_status"], user["subscription_tier"], user["last_login"]) == (
        ALICE.phone_number, "active", "premium", "2026-11-20T07:00:00.000Z"
    )  # fmt: skip
    kept = mine["user_preferences"][0]
    assert (kept["voice_preference"], kept["preferred_duration"], kept["morning_routine_time"], kept["evening_routine_time"]) == (
        "female", 30, "06:45:00", "22:00:30"
    )  # fmt: skip
    assert kept["notification_preferences"]["weekly_digest"]
    one = next(row for row in mine["sessions"] if row["effectiveness_rating"])
    assert (one["id"], one["effectiveness_rating"], float(one["target_frequency"]), one["target_state"], one["side_effects"]) == (
        str(session_id), 7, 10.25, "calm_focus", {"headache": 2}
    )  # fmt: skip
    other = next(row for row in mine["sessions"] if row is not one)
    assert (other["id"] == str(second), other["start_time"]) == (False, "2026-11-04T07:00:00.123Z")
    assert [row["feedback_text"] for row in sorted(mine["session_feedback"], key=lambda row: row["created_at"])] == ["calm\tand \\N", None]
    assert mine["progress_tracking"][0] | {"id": "", "user_id": ""} == {
        "id": "", "user_id": "", "date": "2026-11-03", "metrics": {"hours_slept": 7.5}, "notes": "slept well", "sleep_quality": 8,
        "stress_level": None, "focus_score": None,
    }  # fmt: skip
    with promotion.target.read(UUID(user["id"])) as tx:
        profile = store.profile(tx, UUID(user["id"]))
        assert profile is not None
        assert store.conditions(tx, UUID(user["id"]), profile) == ["epilepsy", "other:weak knees", "adverse:hallucination"]
    assert mine["neural_profiles"][0]["base_frequency_response"]["n"] == 2
    assert len(mine["profile_history"]) == 2
    assert [(name, reason) for name, _, _, reason, _ in rejects(promotion)] == [
        ("audio_files", "sound_elsewhere"), ("neural_profiles", "profile_learned")
    ]  # fmt: skip
    theirs = export(promotion, BOB.email)
    assert (theirs["users"][0]["id"], theirs["users"][0]["account_status"], theirs["users"][0]["phone_number"]) == (
        str(bob_id), "reset_required", BOB.phone_number
    )  # fmt: skip
    assert theirs["user_preferences"][0]["background_sound_type"] == "nature"
    close(promotion)


def dirty(url: str) -> None:
    """Every kind of dirt that these tables can hold once their checks and references are gone."""
    with psycopg.connect(url) as db:
        db.execute(LOOSE)
    alice = person(url, ALICE, subscription_tier="gold")
    bob = person(url, BOB, email="Bob@Example.org", phone_number=ALICE.phone_number, created_at="2026-02-01 00:00:00+00")
    person(url, BOB, phone_number="call me", account_status="odd", created_at="2026-03-01 00:00:00+00")
    person(url, CHARLIE, email="no address", phone_number=None, created_at="infinity")
    person(url, CHARLIE, email="  ", phone_number=None)
    for voice in ("female", "robot"):
        put(url, "user_preferences", user_id=alice, voice_preference=voice, background_sound_type="thunder", preferred_duration=500,
            notification_preferences={"pigeon": 1}, morning_routine_time="24:00")  # fmt: skip
    for condition in ("migraine", "tinnitus"):
        put(url, "neural_profiles", user_id=bob, contraindications=[condition], updated_at="2026-05-01 00:00:00+00")
    lost = put(url, "sessions", user_id=NOBODY, start_time=START)
    first = put(url, "sessions", user_id=alice, start_time=START, end_time=MADE, session_type="nap", target_state="levitation",
                effectiveness_rating=11, volume_level=300, base_frequency=float("nan"), target_frequency=-3, mood="blue")  # fmt: skip
    put(url, "sessions", user_id=alice, start_time="infinity")
    put(url, "sessions", user_id=alice, start_time="1999-01-01")
    put(url, "session_feedback", session_id=first, user_id=alice, rating=6, physical_effects={"My old knee": "hurts a lot", "headache": 9})
    put(url, "session_feedback", session_id=first, user_id=bob, rating=3, feedback_text="not mine")
    for session_id in (lost, NOBODY, None):
        put(url, "session_feedback", session_id=session_id, user_id=alice, rating=3, feedback_text="lost")
    for score in (5, 11):
        put(url, "progress_tracking", user_id=alice, date="2026-11-01", sleep_quality=score, metrics={"hours": 7, "mood": "blue"})
    put(url, "progress_tracking", user_id=alice, date=None)


def test_every_row_arrives_or_is_kept_with_its_reason(settings: Settings, url: str) -> None:
    dirty(url)
    promotion = run(url, settings)
    assert "NOT COPIED, for there is no place for it: column mood" in plan.told(plan.plan(promotion.source, NOW))
    promotion.copy()
    check(promotion)
    found = rejects(promotion)
    assert sorted((name, outcome, reason) for name, _, outcome, reason, _ in found) == [
        ("neural_profiles", "rejected", "profile_old"), ("neural_profiles", "repaired", "profile_learned"),
        ("progress_tracking", "rejected", "day_twice"), ("progress_tracking", "rejected", "day_unknown"),
        ("progress_tracking", "repaired", "metrics_odd"), ("progress_tracking", "repaired", "score_odd"),
        ("session_feedback", "rejected", "person_differs"), *[("session_feedback", "rejected", "session_unknown")] * 3,
        ("session_feedback", "repaired", "effects_unknown"), ("session_feedback", "repaired", "rating_odd"),
        ("sessions", "rejected", "person_unknown"), ("sessions", "rejected", "start_outside"), ("sessions", "rejected", "start_unknown"),
        ("sessions", "repaired", "end_unusable"), ("sessions", "repaired", "frequency_odd"), ("sessions", "repaired", "score_odd"),
        ("sessions", "repaired", "state_unknown"), ("sessions", "repaired", "type_unknown"),
        ("user_preferences", "rejected", "preferences_old"), ("user_preferences", "repaired", "duration_odd"),
        ("user_preferences", "repaired", "reminders_unknown"), ("user_preferences", "repaired", "routine_unknown"),
        ("user_preferences", "repaired", "sound_unknown"), ("user_preferences", "repaired", "voice_unknown"),
        ("users", "rejected", "address_missing"), ("users", "repaired", "address_taken"), ("users", "repaired", "address_unusable"),
        ("users", "repaired", "created_unknown"), ("users", "repaired", "phone_unusable"), ("users", "repaired", "phone_unusable"),
        ("users", "repaired", "status_unknown"), ("users", "repaired", "tier_unknown"),
    ]  # fmt: skip
    assert {code for _, _, _, code, _ in found} <= rules.RULES.keys()
    assert next(kept for name, _, _, reason, kept in found if (name, reason) == ("sessions", "state_unknown"))["mood"] == "blue"
    assert all(kept["password_hash"] is None for name, _, _, _, kept in found if name == "users")
    mine = export(promotion, ALICE.email)
    assert mine["session_feedback"][0]["physical_effects"] == {"unknown": 1, "headache": 3}  # no word stands open
    assert mine["progress_tracking"][0]["metrics"] == {"hours": 7}
    with promotion.target.read(right="operator") as tx:
        bob = accounts.by_email(tx, "bob@example.org")
        profile = store.profile(tx, bob.id)
        assert profile is not None
        assert store.conditions(tx, bob.id, profile) == ["migraine", "tinnitus"]
    close(promotion)


def test_the_old_system_stays_in_use_and_a_second_run_brings_the_rest(settings: Settings, url: str) -> None:
    dirty(url)
    promotion = run(url, settings)
    charlie = person(url, CHARLIE)  # after the moment that is read
    with psycopg.connect(url) as db:
        db.execute("UPDATE sessions SET end_time = start_time + interval '1 hour' WHERE session_type = 'nap'")
    promotion.copy()
    check(promotion)
    once = digests(promotion)
    with promotion.target.read(right="operator") as tx:
        assert not accounts.taken(tx, CHARLIE.email, CHARLIE.phone_number)
    close(promotion)

    added = put(url, "sessions", user_id=charlie, start_time=START, target_frequency=10)
    put(url, "session_feedback", session_id=added, user_id=charlie, rating=4)
    with psycopg.connect(url) as db:
        (alice, first) = db.execute("SELECT user_id, id FROM sessions WHERE session_type = 'nap'").fetchone() or (None, None)
    put(url, "session_feedback", session_id=first, user_id=alice, rating=5, created_at="2026-11-20 00:00:00+00")
    again = run(url, settings)
    again.copy()
    check(again)
    assert len(export(again, CHARLIE.email)["profile_history"]) == 1
    assert len(export(again, ALICE.email)["profile_history"]) == 2  # hers has learned from the one that was added
    after = digests(again)
    assert (after["users"][0], after["sessions"][0], after["session_feedback"][0]) == (
        once["users"][0] + 1, once["sessions"][0] + 1, once["session_feedback"][0] + 2
    )  # fmt: skip
    assert after["promotion_rejects"] == once["promotion_rejects"]
    close(again)
    third = run(url, settings)
    third.copy()
    assert digests(third) == after
    close(third)


def test_ended_by_force_again_and_again_it_ends_the_same(settings: Settings, url: str, settings_on: Any, engine: str) -> None:
    dirty(url)
    quiet = run(url, settings)
    quiet.copy()
    wanted = digests(quiet)
    close(quiet)
    killed = settings_on(engine)
    codes = promoted_by_force(url, killed, first=4, more=3, batch_rows=3)
    assert (codes[-1], len(codes) > 2) == (0, True)
    after = run(url, killed)
    check(after)
    assert digests(after) == wanted
    close(after)


def test_a_source_that_goes_away_is_said_and_gone_on_with(settings: Settings, url: str) -> None:
    dirty(url)

    def progress(step: str, _done: int, _of: int) -> None:
        if step == "sessions":
            with psycopg.connect(url, autocommit=True) as admin:
                admin.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                              " WHERE application_name = 'stillwave-promote' AND datname = current_database()")  # fmt: skip

    promotion = run(url, settings)
    promotion.progress = progress
    with pytest.raises(OutOfReach, match="run the same command again"):
        promotion.copy()
    close(promotion)
    again = run(url, settings)
    again.copy()
    check(again)
    close(again)


@pytest.mark.parametrize("engine", ["sqlite"])
def test_an_operator_promotes_them(settings: Settings, url: str, tmp_path: Path) -> None:
    dirty(url)

    def told(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "stillwave", "promote", "--from", url, *words], check=False, capture_output=True, text=True,
            env={**os.environ, "STILLWAVE_DATA_DIR": str(tmp_path / "home")}, timeout=120,
        )  # fmt: skip

    planned = told("--plan", "--json")
    assert (planned.returncode, (tmp_path / "home").exists()) == (0, False), planned.stderr
    done = told("--to", str(tmp_path / "home"), "--json")
    assert done.returncode == 3, done.stderr
    report = json.loads(done.stdout)
    assert report["whole"]
    assert report["rejected"] == sum(each["rejected"] for each in json.loads(planned.stdout)["tables"])
    assert "is the source itself" in told("--to", url).stderr
    assert "does not take flat tables" in told("--to", "elsewhere", "--merge").stderr
    assert "copy a whole Stillwave" in " ".join(told("--to", str(tmp_path / "home"), "--follow").stderr.split())


def test_a_source_that_is_none_says_what_it_is(settings: Settings, url: str, engine: str) -> None:
    if engine == "postgres":
        with pytest.raises(CannotStart, match="stillwave demote"):
            FlatSource(settings.database_url or "")
    with psycopg.connect(url) as db:
        db.execute("ALTER TABLE progress_tracking DROP CONSTRAINT progress_tracking_pkey")
    with pytest.raises(CannotStart, match="ADD PRIMARY KEY"):
        FlatSource(url)
    with psycopg.connect(url) as db:
        db.execute("DROP TABLE progress_tracking; ALTER TABLE sessions RENAME start_time TO begun_at")
    with pytest.raises(CannotStart, match="no column start_time in its table sessions"):
        FlatSource(url)
    with psycopg.connect(url) as db:
        db.execute("DROP TABLE users CASCADE")
    with pytest.raises(CannotStart, match="no table users"):
        FlatSource(url)
    with pytest.raises(OutOfReach):
        FlatSource("postgresql://nobody@127.0.0.1:1/x")


def test_nothing_is_written_there_and_a_target_with_people_is_refused(settings: Settings, url: str) -> None:
    person(url, ALICE)
    source = FlatSource(url)
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        source._db.execute("DELETE FROM users")
    source.close()
    database = open_database(settings)
    with database.write() as tx:
        accounts.create(tx, email=BOB.email, phone=BOB.phone_number, password_hash=PHC, now=NOW, consent=True)
    database.close()
    refused = run(url, settings)
    with pytest.raises(Conflict, match="that folder"):
        refused.copy()
    close(refused)


def test_a_source_that_has_only_people_is_enough(settings: Settings, url: str) -> None:
    with psycopg.connect(url) as db:
        db.execute("DROP TABLE session_feedback, sessions, audio_files, user_preferences, neural_profiles, progress_tracking CASCADE")
    person(url, ALICE)
    promotion = run(url, settings)
    promotion.copy()
    check(promotion)
    assert export(promotion, ALICE.email)["user_preferences"][0]["preferred_duration"] == 20
    close(promotion)
