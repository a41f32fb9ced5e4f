"""Both engines refuse the same rows, each by the constraint of the same name.

A bad row is a good one with something changed, so it can be refused for nothing else.
"""

from __future__ import annotations

import datetime as dt
import uuid

import pytest

from stillwave.db.database import Query
from stillwave.db.tables import tables_on
from stillwave.errors import ConstraintBroken
from tests import rows
from tests.cast import BOB, NOW

USER = rows.user()
SESSION = rows.session(USER["id"])
CHILD = {
    "user_id": USER["id"],
    "id": rows.id_at(),
    "session_id": SESSION["id"],
    "session_start_time": SESSION["start_time"],
}
LATER = NOW + dt.timedelta(hours=1)
HASH, OTHER_HASH = rows.digest("one"), rows.digest("two")
NOBODY = uuid.UUID(int=7)

GOOD: dict[str, dict[str, object]] = {
    "installation": {"name": "fact", "value": "true"},
    "users": rows.user(BOB),
    "neural_profiles": {"user_id": USER["id"], "id": rows.id_at(), "sensitivity_level": 5, "optimal_transition_time": 300},
    "sessions": rows.session(USER["id"], LATER) | {"end_time": LATER, "effectiveness_rating": 10, "volume_level": 0,
                                                   "base_frequency": 200.0, "target_frequency": 10.25},
    "audio_files": CHILD | {"file_path": "a.swf", "duration": 60, "size_bytes": 0, "format": "flac"},
    "user_preferences": {"user_id": USER["id"], "id": rows.id_at(), "voice_preference": "none", "preferred_duration": 240,
                         "morning_routine_time": "06:30:00"},
    "progress_tracking": {"user_id": USER["id"], "id": rows.id_at(), "date": dt.date(2026, 11, 25), "notes": "sw1.AAAA",
                          "sleep_quality": 1, "stress_level": 10, "focus_score": 5},
    "session_feedback": CHILD | {"rating": 5, "feedback_text": "sw1.AAAA", "physical_effects": "{}"},
    "profile_history": {"user_id": USER["id"], "feedback_id": rows.id_at(), "created_at": NOW, "change": "{}"},
    "logins": {"user_id": USER["id"], "id": rows.id_at(), "token_hash": HASH, "device": "Firefox", "created_at": NOW,
               "last_seen_at": NOW, "expires_at": LATER},
    "recoveries": {"user_id": USER["id"], "token_hash": HASH, "created_at": NOW, "expires_at": LATER},
    "consents": {"user_id": USER["id"], "id": rows.id_at(), "purpose": "health_data", "version": 1, "text_sha256": HASH,
                 "given_at": NOW, "withdrawn_at": LATER},
    "erasures": {"user_id": USER["id"], "asked_at": NOW, "final_at": LATER, "restricted_before": False},
    "screenings": {"user_id": USER["id"], "id": rows.id_at(), "version": 1, "answered_at": NOW, "answers": "sw1.AAAA"},
    "clearances": {"user_id": USER["id"], "id": rows.id_at(), "statement": "sw1.AAAA", "created_at": NOW, "ended_at": LATER},
    "idempotency_keys": {"user_id": USER["id"], "key": "k", "request_sha256": HASH, "status": 201, "body": "sw1.AAAA",
                         "created_at": NOW},
    "unlink_outbox": {"user_id": NOBODY, "id": rows.id_at(), "file_path": "a.swf"},
    "jobs": {"user_id": NOBODY, "id": rows.id_at(), "kind": "measure", "subject": "x", "lane": "slow", "created_at": NOW,
             "due_at": NOW},
    "reminders": {"user_id": USER["id"], "kind": "morning", "next_at": LATER, "last_day": dt.date(2026, 11, 24)},
    "calendar_feeds": {"user_id": USER["id"], "token_hash": HASH, "created_at": NOW},
    "emergency_accesses": {"user_id": USER["id"], "id": rows.id_at(), "operator_id": NOBODY, "reason": "sw1.AAAA",
                           "created_at": NOW, "expires_at": LATER},
    "inspections": {"id": rows.id_at(), "at": NOW, "report": "{}", "mac": HASH},
    "attestations": {"check_id": "rest.volume", "said_at": NOW, "until": NOW.date(), "statement": "LUKS", "mac": HASH},
    "breaches": {"id": rows.id_at(), "since_at": NOW, "until_at": LATER, "known_at": LATER, "what": "backup", "people": 0},
}  # fmt: skip

BAD: list[tuple[str, dict[str, object], str]] = [
    ("erasures", {"final_at": NOW - dt.timedelta(seconds=1)}, "erasures_final_after_asked"),
    ("emergency_accesses", {"reason": "a person in danger"}, "emergency_accesses_reason_sealed"),
    ("emergency_accesses", {"expires_at": LATER + dt.timedelta(seconds=1)}, "emergency_accesses_ends_within_the_hour"),
    ("emergency_accesses", {"user_id": NOBODY}, "fk_user"),
    ("breaches", {"until_at": NOW - dt.timedelta(seconds=1)}, "breaches_until_after_since"),
    ("breaches", {"people": -1}, "breaches_people_positive"),
    ("users", {"email": "bob@example.org"}, "users_email_sealed"),
    ("users", {"email": "SW1.AAAA"}, "users_email_sealed"),
    ("users", {"email": "sw1." + "A" * 1021}, "users_email_sealed"),
    ("users", {"phone_number": "+14155552671"}, "users_phone_number_sealed"),
    ("users", {"account_status": "sleeping"}, "users_account_status_known"),
    ("users", {"subscription_tier": "gold"}, "users_subscription_tier_known"),
    ("users", {"role": "owner"}, "users_role_known"),
    ("users", {"email_index": USER["email_index"]}, "idx_users_email"),
    ("users", {"phone_index": USER["phone_index"]}, "idx_users_phone"),
    ("users", {"id": USER["id"]}, "users_pkey"),
    ("users", {"email": None}, "users_email_not_null"),
    ("users", {"phone_number": None}, "users_phone_number_not_null"),
    ("users", {"password_hash": None}, "users_password_hash_not_null"),
    ("neural_profiles", {"optimal_transition_time": 59}, "neural_profiles_transition_range"),
    ("neural_profiles", {"optimal_transition_time": 901}, "neural_profiles_transition_range"),
    ("neural_profiles", {"sensitivity_level": 0}, "neural_profiles_sensitivity_range"),
    ("neural_profiles", {"sensitivity_level": 11}, "neural_profiles_sensitivity_range"),
    ("neural_profiles", {"user_id": NOBODY}, "fk_user"),
    ("sessions", {"session_type": "noon"}, "sessions_session_type_known"),
    ("sessions", {"effectiveness_rating": 0}, "sessions_effectiveness_range"),
    ("sessions", {"effectiveness_rating": 11}, "sessions_effectiveness_range"),
    ("sessions", {"base_frequency": 0}, "sessions_base_frequency_positive"),
    ("sessions", {"target_frequency": -1}, "sessions_target_frequency_positive"),
    ("sessions", {"volume_level": -1}, "sessions_volume_range"),
    ("sessions", {"volume_level": 101}, "sessions_volume_range"),
    ("sessions", {"position_s": -1}, "sessions_position_positive"),
    ("sessions", {"start_time": LATER - dt.timedelta(milliseconds=1)}, "sessions_id_holds_start_time"),
    ("sessions", {"id": uuid.UUID("6ba7b810-9dad-41d1-80b4-00c04fd430c8")}, "sessions_id_holds_start_time"),
    ("sessions", {"end_time": NOW}, "sessions_end_after_start"),
    ("sessions", {"arm": "placebo"}, "sessions_arm_known"),
    ("sessions", {"arm_revealed_at": LATER}, "sessions_revealed_has_arm"),
    ("sessions", {"arm": "beat", "arm_rating": 0}, "sessions_arm_rating_range"),
    ("sessions", {"arm": "beat", "arm_rating": 6}, "sessions_arm_rating_range"),
    ("sessions", {"user_id": NOBODY}, "fk_user"),
    ("sessions", {"user_id": None}, "sessions_user_id_not_null"),
    ("sessions", SESSION, "sessions_pkey"),
    ("audio_files", {"duration": 0}, "audio_files_duration_positive"),
    ("audio_files", {"size_bytes": -1}, "audio_files_size_positive"),
    ("audio_files", {"session_id": rows.id_at()}, "fk_session"),
    ("audio_files", {"user_id": NOBODY}, "fk_session"),
    ("audio_files", {"session_start_time": LATER}, "fk_session"),
    ("audio_files", {"file_path": None}, "audio_files_file_path_not_null"),
    ("user_preferences", {"voice_preference": "robot"}, "user_preferences_voice_known"),
    ("user_preferences", {"preferred_duration": 0}, "user_preferences_duration_range"),
    ("user_preferences", {"preferred_duration": 241}, "user_preferences_duration_range"),
    ("user_preferences", {"user_id": NOBODY}, "fk_user"),
    ("progress_tracking", {"notes": "slept well"}, "progress_tracking_notes_sealed"),
    ("progress_tracking", {"sleep_quality": 0}, "progress_tracking_sleep_range"),
    ("progress_tracking", {"stress_level": 11}, "progress_tracking_stress_range"),
    ("progress_tracking", {"focus_score": 11}, "progress_tracking_focus_range"),
    ("progress_tracking", {"user_id": NOBODY}, "fk_user"),
    ("session_feedback", {"rating": 0}, "session_feedback_rating_range"),
    ("session_feedback", {"rating": 6}, "session_feedback_rating_range"),
    ("session_feedback", {"feedback_text": "too loud"}, "session_feedback_text_sealed"),
    ("session_feedback", {"session_id": rows.id_at()}, "fk_session"),
    ("session_feedback", {"user_id": NOBODY}, "fk_session"),
    ("profile_history", {"user_id": NOBODY}, "fk_user"),
    ("profile_history", {"change": None}, "profile_history_change_not_null"),
    ("logins", {"user_id": NOBODY}, "fk_user"),
    ("recoveries", {"user_id": NOBODY}, "fk_user"),
    ("consents", {"purpose": "everything"}, "consents_purpose_known"),
    ("consents", {"withdrawn_at": NOW - dt.timedelta(seconds=1)}, "consents_withdrawn_after_given"),
    ("consents", {"user_id": NOBODY}, "fk_user"),
    ("screenings", {"answers": "no"}, "screenings_answers_sealed"),
    ("screenings", {"user_id": NOBODY}, "fk_user"),
    ("clearances", {"statement": "fine"}, "clearances_statement_sealed"),
    ("clearances", {"ended_at": NOW - dt.timedelta(seconds=1)}, "clearances_ended_after_created"),
    ("clearances", {"user_id": NOBODY}, "fk_user"),
    ("idempotency_keys", {"body": "{}"}, "idempotency_keys_body_sealed"),
    ("idempotency_keys", {"user_id": NOBODY}, "fk_user"),
    ("jobs", {"lane": "fast"}, "jobs_lane_known"),
    ("jobs", {"failures": -1}, "jobs_failures_positive"),
    ("jobs", {"subject": None}, "jobs_subject_not_null"),
    ("reminders", {"kind": "noon"}, "reminders_kind_known"),
    ("reminders", {"user_id": NOBODY}, "fk_user"),
    ("calendar_feeds", {"user_id": NOBODY}, "fk_user"),
]

# What may not stand twice: the same row again, with the change that keeps its primary key apart.
TWICE: list[tuple[str, dict[str, object], str]] = [
    ("installation", {}, "installation_pkey"),
    ("neural_profiles", {"id": rows.id_at()}, "neural_profiles_one_per_user"),
    ("sessions", {}, "sessions_pkey"),
    ("audio_files", {}, "audio_files_pkey"),
    ("user_preferences", {"id": rows.id_at()}, "user_preferences_one_per_user"),
    ("progress_tracking", {"id": rows.id_at()}, "idx_progress_user_date"),
    ("session_feedback", {}, "session_feedback_pkey"),
    ("profile_history", {}, "profile_history_pkey"),
    ("logins", {"id": rows.id_at()}, "logins_token_unique"),
    ("logins", {"token_hash": OTHER_HASH}, "logins_pkey"),
    ("recoveries", {}, "recoveries_pkey"),
    ("consents", {}, "consents_pkey"),
    ("screenings", {}, "screenings_pkey"),
    ("clearances", {}, "clearances_pkey"),
    ("idempotency_keys", {}, "idempotency_keys_pkey"),
    ("unlink_outbox", {}, "unlink_outbox_pkey"),
    ("jobs", {"subject": "y"}, "jobs_pkey"),
    ("jobs", {"id": rows.id_at()}, "jobs_once"),
    ("reminders", {}, "reminders_pkey"),
    ("calendar_feeds", {"token_hash": OTHER_HASH}, "calendar_feeds_pkey"),
]

# Values that are none of their column's type. PostgreSQL cannot name what refused them, so the name may differ.
NO_FORM: list[tuple[str, dict[str, object]]] = [
    ("installation", {"name": "x" * 65}),
    ("users", {"password_hash": "x" * 256}),
    ("users", {"email": "sw1.\ud800"}),
    ("sessions", {"initial_state": "x" * 21}),
    ("sessions", {"side_effects": "{not json"}),
    ("sessions", {"volume_level": "loud"}),
    ("sessions", {"volume_level": 2**70}),
    ("sessions", {"target_frequency": 100_000}),
    ("sessions", {"start_time": "yesterday at noon"}),
    ("audio_files", {"format": "x" * 11}),
    ("audio_files", {"duration": 2**31}),
    ("user_preferences", {"morning_routine_time": "29:00:00"}),
    ("user_preferences", {"morning_routine_time": "soon"}),
    ("user_preferences", {"time_zone": "x" * 65}),
    ("progress_tracking", {"date": "2026-02-30"}),
    ("progress_tracking", {"date": "someday"}),
    ("sessions", {"position_s": 2**31}),
    ("sessions", {"base_frequency": float("inf")}),
    ("progress_tracking", {"metrics": "NaN"}),
    ("session_feedback", {"mental_effects": "[1,"}),
    ("logins", {"device": "x" * 81}),
    ("idempotency_keys", {"key": "x" * 129}),
    ("unlink_outbox", {"file_path": "x" * 256}),
    ("jobs", {"subject": "x" * 81}),
    ("jobs", {"due_at": "soon"}),
    ("reminders", {"last_day": "2026-02-30"}),
]


@pytest.fixture
def known(database):
    """The database, as operators have it, with Alice and one session of hers."""
    database.right = "operator"
    with database.write() as tx:
        rows.insert(tx, "users", **USER)
        rows.insert(tx, "sessions", **SESSION)
    return database


def test_the_good_rows_are_good(known):
    with known.write() as tx:
        for table, row in GOOD.items():
            rows.insert(tx, table, **row)


@pytest.mark.parametrize(
    ("table", "change", "constraint"), BAD, ids=[f"{table}-{i}-{name}" for i, (table, _, name) in enumerate(BAD)]
)
def test_a_bad_row_is_refused_by_name(known, table, change, constraint):
    with pytest.raises(ConstraintBroken) as refusal, known.write() as tx:
        rows.insert(tx, table, **(GOOD[table] | change))
    assert refusal.value.name == constraint
    with known.read() as tx:
        kept = {"users": 1, "sessions": 1}.get(table, 0)
        assert rows.count(tx, table) == kept


@pytest.mark.parametrize(("table", "change", "constraint"), TWICE, ids=[f"{table}-{name}" for table, _, name in TWICE])
def test_a_row_that_may_not_stand_twice_is_refused_by_name(known, table, change, constraint):
    with known.write() as tx:
        rows.insert(tx, table, **GOOD[table])
    with pytest.raises(ConstraintBroken) as refusal, known.write() as tx:
        rows.insert(tx, table, **(GOOD[table] | change))
    assert refusal.value.name == constraint


@pytest.mark.parametrize(("table", "change"), NO_FORM, ids=[f"{table}-{next(iter(c))}-{i}" for i, (table, c) in enumerate(NO_FORM)])
def test_a_value_of_another_form_is_refused(known, table, change):
    with pytest.raises(ConstraintBroken), known.write() as tx:
        rows.insert(tx, table, **(GOOD[table] | change))


def test_a_name_of_a_refusal_never_holds_the_value(known):
    secret = "canary-5d1f"
    with pytest.raises(ConstraintBroken) as refusal, known.write() as tx:
        rows.insert(tx, "users", **(rows.user(BOB) | {"email": secret}))
    assert secret not in str(refusal.value)


def test_erasing_a_person_takes_every_row_of_theirs(known):
    with known.write() as tx:
        rows.insert(tx, "users", **rows.user(BOB))
        for table, row in GOOD.items():
            if "user_id" in row and table != "unlink_outbox":
                rows.insert(tx, table, **row)
    with known.write() as tx:
        tx.run(Query("erase", "DELETE FROM users WHERE id = :id", "DELETE FROM users WHERE id = %(id)s"), id=USER["id"])
    with known.read() as tx:
        left = {t.name: rows.count(tx, t.name) for t in tables_on(known.engine) if t.foreign_keys}
        assert rows.count(tx, "users") == 1
    assert left == dict.fromkeys(left, 0)
