"""The declared catalogue: what every column is, whose it is, why it is kept, and where it came from.

Export, erasure, retention, promotion, the audit and docs/data-model.md all walk TABLES; tests hold it equal
to both engines. One line per column, so this file is as long as the data is wide.
`python -m stillwave.db.tables` prints docs/data-model.md.
"""

from __future__ import annotations

import sys
from typing import Literal

import msgspec

Engine = Literal["sqlite", "postgres"]

PRIVACY_CLASSES = {
    "none": "says nothing about a person",
    "identifier": "an id that leads to a person only together with other rows",
    "contact": "reaches a person",
    "account": "the state of an account",
    "preference": "what a person likes or set",
    "behaviour": "what a person did and when",
    "health": "special category (GDPR Article 9): body, mind, sleep, effects, how something worked",
    "secret": "proves or protects who somebody is; useless or dangerous outside",
}

RETENTION_CLASSES = {
    "installation": "as long as the installation exists",
    "account": "until the person erases the account",
    "session_year": "one year from the session's start (premium: until the account is erased)",
    "login": "until sign-out, or the idle or absolute limit",
    "recovery": "until used, or an hour after it was asked for",
    "challenge": "until used, or five minutes after it was made",
    "request": "one day",
    "work": "until it is done; what failed for good, until an operator has looked at it",
    "outbox": "until the file is gone",
    "audit": "six years; after erasure the id in it leads to nobody",
    "report": "six years",
    "statement": "until the statement that made it ends",
}


class Kind(msgspec.Struct, frozen=True):
    """A type as each engine spells it; `format_check` names the check that gives SQLite the same strictness."""

    sqlite: str
    postgres: str
    format_check: str | None = None


UUID = Kind("TEXT", "uuid", "uuid")
UUID_REF = Kind("TEXT", "uuid")  # its form is that of the key it points to
MOMENT = Kind("TEXT", "timestamp with time zone", "format")
DAY = Kind("TEXT", "date", "day")
CLOCK = Kind("TEXT", "time without time zone", "format")
TEXT = Kind("TEXT", "text")
SHA256 = Kind("TEXT", "character(64)", "length")
JSON = Kind("TEXT", "jsonb", "json")
TEXTS = Kind("TEXT", "text[]", "array")
WHOLE = Kind("INTEGER", "integer")
BIG = Kind("INTEGER", "bigint")
YES_NO = Kind("INTEGER", "boolean", "boolean")
REAL = Kind("REAL", "double precision")
HUNDREDTHS = Kind("REAL", "numeric(7,2)", "hundredths")
SPAN = Kind("REAL", "numrange")  # two columns on SQLite: _low and _high


def words(length: int) -> Kind:
    """Text of at most `length` characters."""
    return Kind("TEXT", f"character varying({length})", "length")


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """One column, on both engines."""

    name: str
    kind: Kind
    privacy: str
    why: str
    required: bool = False
    default: bool = False
    sealed: bool = False
    unit: str | None = None
    origin: str | None = None
    kept_back: str | None = None  # why the person's export leaves it out; None: it is exported
    retention: str | None = None  # only where it differs from its table

    def on(self, engine: Engine) -> list[tuple[str, str]]:
        """The column or columns as (name, type) on an engine."""
        if self.kind == SPAN and engine == "sqlite":
            return [(f"{self.name}_low", "REAL"), (f"{self.name}_high", "REAL")]
        return [(self.name, self.kind.sqlite if engine == "sqlite" else self.kind.postgres)]


class ForeignKey(msgspec.Struct, frozen=True):
    """A reference whose rows go when the row they point to goes."""

    name: str
    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]


class Index(msgspec.Struct, frozen=True):
    """An index beyond those of keys; GIN exists on PostgreSQL, SQLite has an ordinary one of the same name."""

    name: str
    columns: tuple[str, ...]
    unique: bool = False
    gin: bool = False


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """One table; `owner` is the column that holds its person, None where nobody owns the rows."""

    name: str
    what: str
    owner: str | None
    retention: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    uniques: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    indexes: tuple[Index, ...] = ()
    partitioned_by: str | None = None
    only_on: Engine | None = None
    stays_behind: str | None = None  # why an import leaves the rows of an export out; None: it takes them in

    def sqlite_format_checks(self) -> set[str]:
        """The checks that only SQLite needs: PostgreSQL's types do the same."""
        return {f"{self.name}_{c.name}_{c.kind.format_check}" for c in self.columns if c.kind.format_check}

    def column(self, name: str) -> Column:
        """The column of that name. Raises KeyError."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(f"{self.name}.{name}")


class View(msgspec.Struct, frozen=True):
    """A view of the architecture, with the columns it promises."""

    name: str
    what: str
    columns: tuple[str, ...]


def _may(name: str, kind: Kind, privacy: str, why: str, **more: object) -> Column:
    """A column that may be empty."""
    return msgspec.convert({"name": name, "kind": kind, "privacy": privacy, "why": why, **more}, Column)


def _must(name: str, kind: Kind, privacy: str, why: str, **more: object) -> Column:
    """A column that always has a value."""
    return _may(name, kind, privacy, why, required=True, **more)


def _made(name: str, kind: Kind, privacy: str, why: str, **more: object) -> Column:
    """A column that always has a value, and gets one by itself."""
    return _must(name, kind, privacy, why, default=True, **more)


def _key(origin: str | None = None, *, made: bool = True) -> Column:
    return _must("id", UUID, "identifier", "key; UUIDv7, so rows lie in time order", default=made, origin=origin)


def _owner() -> Column:
    return _must("user_id", UUID_REF, "identifier", "whose row it is; first in every key")


def _session(origin: str | None = None) -> tuple[Column, Column]:
    return (
        _must("session_id", UUID_REF, "identifier", "the session it belongs to", origin=origin),
        _must("session_start_time", MOMENT, "behaviour", "names the session's month, so look-ups prune"),
    )


_FK_USER = ForeignKey("fk_user", ("user_id",), "users", ("id",))
_FK_SESSION = ForeignKey(
    "fk_session", ("user_id", "session_id", "session_start_time"), "sessions", ("user_id", "id", "start_time")
)

_POC_ID = "{0}.id: a UUID made from the table's name and the old number, time-ordered where a time is known"
_PROOF = "a secret: of no use to the person, of use to a thief"
_MACHINE = "machinery: holds nothing of the person's own"

INSTALLATION = Table(
    name="installation",
    what="Facts about this database itself: which root key it belongs to, which functions and views are applied.",
    owner=None, retention="installation", key=("name",),
    columns=(
        _must("name", words(64), "none", "which fact", kept_back=_MACHINE),
        _must("value", TEXT, "none", "the fact; a check value of the root key is among them", kept_back=_MACHINE),
    ),
)  # fmt: skip

USERS = Table(
    name="users",
    what="A person's account.",
    owner="id", retention="account", key=("id",),
    columns=(
        _key(_POC_ID.format("users")),
        _must("email", TEXT, "contact", "to sign in and to reach the person", sealed=True, origin="users.email: trimmed, domain in lower case, sealed"),
        _must("email_index", SHA256, "contact", "keyed digest that keeps addresses unique and findable", kept_back=_MACHINE, origin="users.email: keyed digest of its lower-case form; the later of two that differ only in case must choose anew"),
        _must("phone_number", TEXT, "contact", "second way to reach the person", sealed=True, origin="none there: a placeholder in the unassigned +999 range, asked for at next sign-in"),
        _must("phone_index", SHA256, "contact", "keyed digest that keeps numbers unique and findable", kept_back=_MACHINE),
        _must("password_hash", words(255), "secret", "Argon2id; proves the password without knowing it", kept_back=_PROOF, origin="users.password_hash: kept when it is a PHC string, else the account is reset_required"),
        _made("created_at", MOMENT, "account", "when the account was made", unit="UTC", origin="users.created_at: read as UTC"),
        _made("updated_at", MOMENT, "account", "when the account last changed", unit="UTC", origin="users.created_at"),
        _may("last_login", MOMENT, "behaviour", "shown to the person, so that a stranger's sign-in is noticed", unit="UTC"),
        _made("account_status", words(20), "account", "decides what the account may do", origin="users.account_status: kept when known; phone_required when the number is missing"),
        _made("subscription_tier", words(20), "account", "decides limits and how long sessions are kept", origin="none there: free"),
        _made("role", words(20), "account", "listener or operator"),
        _made("processing_restricted", YES_NO, "account", "GDPR Article 18: rows are kept and nothing else is done with them"),
    ),
    checks=("users_email_sealed", "users_phone_number_sealed", "users_account_status_known", "users_subscription_tier_known", "users_role_known"),
    indexes=(
        Index("idx_users_email", ("email_index",), unique=True),
        Index("idx_users_phone", ("phone_index",), unique=True),
        Index("idx_users_subscription", ("subscription_tier",)),
    ),
)  # fmt: skip

NEURAL_PROFILES = Table(
    name="neural_profiles",
    what="What was learned about a person from their ratings; one row per person.",
    owner="user_id", retention="account", key=("user_id", "id"),
    columns=(
        _key(), _owner(),
        _may("base_frequency_response", JSON, "health", "the learned response over frequency, per band"),
        _may("optimal_transition_time", WHOLE, "health", "how long a change of state should take", unit="s"),
        _made("contraindications", TEXTS, "health", "what forbids or limits a session: sealed entries, and clear adverse: flags the trigger may add", sealed=True),
        _may("sensitivity_level", WHOLE, "health", "how gently to start", unit="1-10"),
        _made("created_at", MOMENT, "behaviour", "when learning began", unit="UTC"),
        _made("updated_at", MOMENT, "behaviour", "when it last learned", unit="UTC"),
        _may("alpha_range", SPAN, "health", "where alpha sessions worked", unit="Hz"),
        _may("theta_range", SPAN, "health", "where theta sessions worked", unit="Hz"),
        _may("delta_range", SPAN, "health", "where delta sessions worked", unit="Hz"),
        _may("gamma_range", SPAN, "health", "where gamma sessions worked", unit="Hz"),
        _made("adaptation_on", YES_NO, "preference", "whether ratings may change the plan"),
    ),
    uniques=("neural_profiles_one_per_user",),
    checks=("neural_profiles_transition_range", "neural_profiles_sensitivity_range"),
    foreign_keys=(_FK_USER,),
)  # fmt: skip

SESSIONS = Table(
    name="sessions",
    what="One listening session: what was planned, what was heard, how well it worked.",
    owner="user_id", retention="session_year", key=("user_id", "id", "start_time"), partitioned_by="start_time",
    columns=(
        _must("id", UUID, "identifier", "key; UUIDv7 whose time is start_time, so an id names its month", default=True, origin=_POC_ID.format("sessions")),
        _must("user_id", UUID_REF, "identifier", "whose row it is; first in every key", origin="sessions.user_id: through users.id; a session without a person goes to promotion_rejects"),
        _made("start_time", MOMENT, "behaviour", "when it began", unit="UTC", origin="sessions.start_time: read as UTC"),
        _may("end_time", MOMENT, "behaviour", "when it ended", unit="UTC", origin="sessions.end_time: read as UTC"),
        _may("session_type", words(50), "behaviour", "morning, evening or custom", origin="sessions.session_type"),
        _may("initial_state", words(20), "health", "the state the person came with"),
        _may("target_state", words(20), "health", "the state that was wanted"),
        _may("effectiveness_rating", WHOLE, "health", "how well it worked", unit="1-10", origin="sessions.effectiveness: doubled (1-5 becomes 2, 4, 6, 8, 10)"),
        _may("side_effects", JSON, "health", "coded effects with severity 0-10", origin="the original sessions.effectiveness is kept as poc_effectiveness"),
        _may("base_frequency", HUNDREDTHS, "behaviour", "the carrier", unit="Hz"),
        _may("target_frequency", HUNDREDTHS, "behaviour", "the beat at the end", unit="Hz", origin="sessions.frequency: rounded to hundredths"),
        _may("volume_level", WHOLE, "preference", "loudness that was set", unit="%"),
        _made("position_s", WHOLE, "behaviour", "how far the person has listened", unit="s"),
        _may("plan", JSON, "health", "why this session looks as it does, in words and numbers"),
        _may("programme", JSON, "behaviour", "everything the sound is made from; the same programme gives the same sound"),
        _may("arm", words(10), "health", "beat or steady (the same without the beat) while the person compares; empty: not compared"),
        _may("arm_revealed_at", MOMENT, "behaviour", "when the person looked which of the two it was", unit="UTC"),
        _may("arm_rating", WHOLE, "health", "the rating as it was when the person looked; the comparison counts this one", unit="1-5"),
    ),
    checks=("sessions_session_type_known", "sessions_effectiveness_range", "sessions_base_frequency_positive", "sessions_target_frequency_positive", "sessions_volume_range", "sessions_position_positive", "sessions_id_holds_start_time", "sessions_end_after_start", "sessions_arm_known", "sessions_revealed_has_arm", "sessions_arm_rating_range"),
    foreign_keys=(_FK_USER,),
    indexes=(
        Index("idx_sessions_user_id", ("user_id", "effectiveness_rating")),
        Index("idx_sessions_start_time", ("start_time",)),
        Index("idx_sessions_effectiveness", ("effectiveness_rating",)),
        Index("idx_sessions_type_time", ("session_type", "start_time")),
    ),
)  # fmt: skip

AUDIO_FILES = Table(
    name="audio_files",
    what="A sound file rendered for a session; the file itself lies sealed in the audio folder.",
    owner="user_id", retention="session_year", key=("user_id", "id", "session_start_time"), partitioned_by="session_start_time",
    columns=(
        _key(), _owner(), *_session(),
        _must("file_path", words(255), "identifier", "where the file lies below the audio folder"),
        _must("duration", WHOLE, "behaviour", "length", unit="s"),
        _may("format", words(10), "none", "wav or flac"),
        _may("size_bytes", BIG, "none", "size before sealing", unit="bytes"),
        _made("created_at", MOMENT, "behaviour", "when it was rendered", unit="UTC"),
        _made("sample_rate", WHOLE, "none", "samples a second", unit="Hz"),
        _made("bit_depth", WHOLE, "none", "resolution", unit="bits"),
        _made("channels", WHOLE, "none", "2 is stereo"),
        _may("frequency_data", JSON, "none", "measured from the sound, not from the plan", unit="Hz, dB"),
    ),
    checks=("audio_files_duration_positive", "audio_files_size_positive"),
    foreign_keys=(_FK_SESSION,),
    indexes=(Index("idx_audio_files_session", ("user_id", "session_id", "session_start_time")),),
)  # fmt: skip

USER_PREFERENCES = Table(
    name="user_preferences",
    what="What a person likes to hear and when; one row per person.",
    owner="user_id", retention="account", key=("user_id", "id"),
    columns=(
        _key(_POC_ID.format("user_preferences")),
        _must("user_id", UUID_REF, "identifier", "whose row it is; first in every key", origin="user_preferences.user_id: through users.id"),
        _may("voice_preference", words(20), "preference", "male, female, neutral or none", origin="user_preferences.voice_preference"),
        _may("background_sound_type", words(50), "preference", "the bed beneath the tones", origin="user_preferences.background_sound"),
        _may("preferred_duration", WHOLE, "preference", "usual length", unit="min", origin="user_preferences.session_duration"),
        _may("notification_preferences", JSON, "preference", "which reminders, on which days"),
        _may("morning_routine_time", CLOCK, "preference", "when mornings begin", unit="local time"),
        _may("evening_routine_time", CLOCK, "preference", "when evenings begin", unit="local time"),
        _may("time_zone", words(64), "preference", "IANA name that gives the routine times their meaning"),
    ),
    uniques=("user_preferences_one_per_user",),
    checks=("user_preferences_voice_known", "user_preferences_duration_range"),
    foreign_keys=(_FK_USER,),
)  # fmt: skip

PROGRESS_TRACKING = Table(
    name="progress_tracking",
    what="How a person's days went, in their own words and numbers; one row per day.",
    owner="user_id", retention="account", key=("user_id", "id"),
    columns=(
        _key(), _owner(),
        _made("date", DAY, "behaviour", "which day"),
        _may("metrics", JSON, "health", "further numbers; numbers only"),
        _may("notes", TEXT, "health", "the person's own words", sealed=True),
        _may("sleep_quality", WHOLE, "health", "how the night was", unit="1-10"),
        _may("stress_level", WHOLE, "health", "how tense the day was", unit="1-10"),
        _may("focus_score", WHOLE, "health", "how well attention held", unit="1-10"),
    ),
    checks=("progress_tracking_notes_sealed", "progress_tracking_sleep_range", "progress_tracking_stress_range", "progress_tracking_focus_range"),
    foreign_keys=(_FK_USER,),
    indexes=(
        Index("idx_progress_user_date", ("user_id", "date"), unique=True),
        Index("idx_progress_metrics", ("metrics",), gin=True),
    ),
)  # fmt: skip

SESSION_FEEDBACK = Table(
    name="session_feedback",
    what="What a person said about a session; each row teaches the profile once, by trigger.",
    owner="user_id", retention="session_year", key=("user_id", "id", "session_start_time"), partitioned_by="session_start_time",
    columns=(
        _key(_POC_ID.format("session_feedback")), _owner(), *_session("session_feedback.session_id: through sessions.id"),
        _may("rating", WHOLE, "health", "how it was", unit="1-5", origin="session_feedback.rating"),
        _may("feedback_text", TEXT, "health", "the person's own words", sealed=True, origin="session_feedback.feedback_text: sealed"),
        _may("physical_effects", JSON, "health", "coded effects on the body, severity 0-10; free text inside is sealed"),
        _may("mental_effects", JSON, "health", "coded effects on the mind, severity 0-10; free text inside is sealed"),
        _made("created_at", MOMENT, "behaviour", "when it was said", unit="UTC", origin="none there: the session's end, else its start"),
        _made("learns", YES_NO, "preference", "false when it was given while adaptation was off: kept, and never learned from"),
    ),
    checks=("session_feedback_rating_range", "session_feedback_text_sealed"),
    foreign_keys=(_FK_SESSION, _FK_USER),
    indexes=(
        Index("idx_session_feedback_session", ("user_id", "session_id", "session_start_time")),
        Index("idx_session_feedback_fold", ("user_id", "created_at", "id")),
    ),
)  # fmt: skip

PROFILE_HISTORY = Table(
    name="profile_history",
    what="What each rating moved in the profile, one small row per feedback that was folded.",
    owner="user_id", retention="account", key=("user_id", "feedback_id"),
    columns=(
        _owner(),
        _must("feedback_id", UUID_REF, "identifier", "the feedback that moved it; may be gone by retention"),
        _must("created_at", MOMENT, "behaviour", "when it moved", unit="UTC"),
        _must("change", JSON, "health", "before and after, per band, and the rating"),
    ),
    foreign_keys=(_FK_USER,),
    indexes=(Index("idx_profile_history_time", ("user_id", "created_at")),),
)  # fmt: skip

LOGINS = Table(
    name="logins",
    what="Who is signed in where; the token itself is never stored.",
    owner="user_id", retention="login", key=("user_id", "id"),
    stays_behind="a device is signed in at one Stillwave; at another it signs in anew",
    columns=(
        _owner(), _key(made=False),
        _must("token_hash", SHA256, "secret", "recognises the token without knowing it", kept_back=_PROOF),
        _must("device", words(80), "behaviour", "browser and system, so that a person can tell logins apart"),
        _must("created_at", MOMENT, "behaviour", "when it began", unit="UTC"),
        _must("last_seen_at", MOMENT, "behaviour", "ends idle logins", unit="UTC"),
        _must("expires_at", MOMENT, "behaviour", "ends every login", unit="UTC"),
        _may("step_due_by", MOMENT, "behaviour", "until when the second step must be taken; empty once it was, or where none is asked", unit="UTC"),
        _made("two_steps", YES_NO, "account", "whether it was opened with a second step; operators need that"),
    ),
    uniques=("logins_token_unique",),
    foreign_keys=(_FK_USER,),
)  # fmt: skip

RECOVERIES = Table(
    name="recoveries",
    what="Links to set a new password that were asked for and not yet used.",
    owner="user_id", retention="recovery", key=("user_id", "token_hash"),
    stays_behind="a link of one Stillwave opens nothing at another",
    columns=(
        _owner(),
        _must("token_hash", SHA256, "secret", "recognises the link without knowing it", kept_back=_PROOF),
        _must("created_at", MOMENT, "behaviour", "when it was asked for", unit="UTC"),
        _must("expires_at", MOMENT, "behaviour", "ends the link", unit="UTC"),
    ),
    foreign_keys=(_FK_USER,),
)  # fmt: skip

SECOND_FACTORS = Table(
    name="second_factors",
    what="The authenticator app of a person; counts from when its first code was right.",
    owner="user_id", retention="account", key=("user_id", "id"),
    stays_behind="its secret is not exported; it is set up anew",
    columns=(
        _owner(), _key(made=False),
        _must("secret", TEXT, "secret", "the seed its codes come from", sealed=True, kept_back=_PROOF),
        _must("created_at", MOMENT, "account", "when it was set up", unit="UTC"),
        _may("confirmed_at", MOMENT, "account", "from when it is asked for", unit="UTC"),
        _may("last_step", BIG, "account", "the time step of the code used last: none opens anything twice", unit="30 s", kept_back=_MACHINE),
        _made("tries", WHOLE, "account", "codes tried in the window, so that nobody guesses", kept_back=_MACHINE),
        _may("tries_from", MOMENT, "account", "when the window began", unit="UTC", kept_back=_MACHINE),
    ),
    uniques=("second_factors_one_per_user",),
    checks=("second_factors_secret_sealed", "second_factors_tries_positive"),
    foreign_keys=(_FK_USER,),
)  # fmt: skip

RECOVERY_CODES = Table(
    name="recovery_codes",
    what="Codes on paper for when the app is lost; each opens once.",
    owner="user_id", retention="account", key=("user_id", "code_hash"),
    stays_behind="they are not exported; new ones are made",
    columns=(
        _owner(),
        _must("code_hash", SHA256, "secret", "recognises a code without knowing it", kept_back=_PROOF),
        _must("created_at", MOMENT, "account", "when it was made", unit="UTC"),
    ),
    foreign_keys=(_FK_USER,),
)  # fmt: skip

PASSKEYS = Table(
    name="passkeys",
    what="A person's passkeys: each signs in by itself, or as the second step.",
    owner="user_id", retention="account", key=("user_id", "id"),
    stays_behind="they open one Stillwave; new ones are made",
    columns=(
        _owner(), _key(made=False),
        _must("credential_id", words(1400), "secret", "how the device calls it", kept_back=_PROOF),
        _must("public_key", words(2000), "secret", "verifies what the device signs", kept_back=_PROOF),
        _made("sign_count", BIG, "account", "how often it signed, so that a copy is noticed", kept_back=_MACHINE),
        _must("name", TEXT, "preference", "the person's own name for it", sealed=True),
        _must("created_at", MOMENT, "account", "when it was added", unit="UTC"),
        _may("last_used_at", MOMENT, "behaviour", "when it was used last", unit="UTC"),
    ),
    uniques=("passkeys_credential_unique",),
    checks=("passkeys_sign_count_positive", "passkeys_name_sealed"),
    foreign_keys=(_FK_USER,),
)  # fmt: skip

PASSKEY_CHALLENGES = Table(
    name="passkey_challenges",
    what="Challenges that a passkey is about to sign, and proofs it gave; each counts once. Before signing in, a number of chance stands for the person.",
    owner="user_id", retention="challenge", key=("user_id", "digest"),
    columns=(
        _must("user_id", UUID_REF, "identifier", "whose challenge it is, or a number of chance", kept_back=_MACHINE),
        _must("digest", SHA256, "secret", "recognises the challenge or proof without knowing it", kept_back=_PROOF),
        _must("expires_at", MOMENT, "behaviour", "ends it", unit="UTC", kept_back=_MACHINE),
    ),
)  # fmt: skip

CONSENTS = Table(
    name="consents",
    what="What a person agreed to, in which words, and when they took it back; proof, so rows are never changed otherwise.",
    owner="user_id", retention="account", key=("user_id", "id"),
    columns=(
        _owner(), _key(made=False),
        _must("purpose", words(40), "account", "what was agreed to"),
        _must("version", WHOLE, "account", "which text"),
        _must("text_sha256", SHA256, "account", "proves the text word for word"),
        _must("given_at", MOMENT, "account", "from when", unit="UTC"),
        _may("withdrawn_at", MOMENT, "account", "until when", unit="UTC"),
    ),
    checks=("consents_purpose_known", "consents_withdrawn_after_given"),
    foreign_keys=(_FK_USER,),
)  # fmt: skip

SCREENINGS = Table(
    name="screenings",
    what="A person's answers to the safety questions; the newest counts.",
    owner="user_id", retention="account", key=("user_id", "id"),
    columns=(
        _owner(), _key(made=False),
        _must("version", WHOLE, "account", "which questions"),
        _must("answered_at", MOMENT, "behaviour", "when", unit="UTC"),
        _must("answers", TEXT, "health", "what was answered", sealed=True),
        _may("wording_sha256", SHA256, "account", "proves which wording was answered; another wording is asked again"),
    ),
    checks=("screenings_answers_sealed",),
    foreign_keys=(_FK_USER,),
)  # fmt: skip

CLEARANCES = Table(
    name="clearances",
    what="A person's own record that a clinician cleared what blocks the beat; it counts for a year and can be taken back.",
    owner="user_id", retention="account", key=("user_id", "id"),
    columns=(
        _owner(), _key(made=False),
        _must("statement", TEXT, "health", "what was cleared, by the clinician on which day, a note, and the reports known by then", sealed=True),
        _must("created_at", MOMENT, "behaviour", "when it was recorded", unit="UTC"),
        _may("ended_at", MOMENT, "behaviour", "when the person took it back", unit="UTC"),
    ),
    checks=("clearances_statement_sealed", "clearances_ended_after_created"),
    foreign_keys=(_FK_USER,),
)  # fmt: skip

IDEMPOTENCY_KEYS = Table(
    name="idempotency_keys",
    what="Answers already given, so that a request sent twice acts once.",
    owner="user_id", retention="request", key=("user_id", "key"),
    stays_behind="answers to requests that were sent to one Stillwave",
    columns=(
        _owner(),
        _must("key", words(128), "identifier", "a digest of the sender's name for the request", kept_back=_MACHINE),
        _must("request_sha256", SHA256, "identifier", "tells the same request from another under the same key", kept_back=_MACHINE),
        _must("status", WHOLE, "none", "the HTTP status that was given", kept_back=_MACHINE),
        _must("body", TEXT, "health", "the answer that was given", sealed=True, kept_back="a copy of rows that are exported themselves"),
        _must("created_at", MOMENT, "behaviour", "when", unit="UTC", kept_back=_MACHINE),
    ),
    checks=("idempotency_keys_body_sealed",),
    foreign_keys=(_FK_USER,),
)  # fmt: skip

UNLINK_OUTBOX = Table(
    name="unlink_outbox",
    what="Sound files whose row is gone and that still have to be removed from disk. No foreign key: the person may be gone as well.",
    owner="user_id", retention="outbox", key=("user_id", "id"),
    columns=(
        _must("user_id", UUID_REF, "identifier", "whose file it was", kept_back=_MACHINE),
        _made("id", UUID, "identifier", "key", kept_back=_MACHINE),
        _must("file_path", words(255), "identifier", "what to remove", kept_back=_MACHINE),
    ),
)  # fmt: skip

JOBS = Table(
    name="jobs",
    what="Work that waits: measuring, mails, housekeeping. Ids and dates only. No foreign key: the installation's own work belongs to nobody.",
    owner="user_id", retention="work", key=("user_id", "id"),
    columns=(
        _must("user_id", UUID_REF, "identifier", "for whom; all zeros for the installation itself", kept_back=_MACHINE),
        _must("id", UUID, "identifier", "key; UUIDv7, so rows lie in time order", kept_back=_MACHINE),
        _must("kind", words(40), "none", "what is to be done", kept_back=_MACHINE),
        _must("subject", words(80), "identifier", "to what: an id or a day; the same work waits only once", kept_back=_MACHINE),
        _must("lane", words(10), "none", "quick or slow; a long measurement holds up no reminder", kept_back=_MACHINE),
        _must("created_at", MOMENT, "behaviour", "since when it waits", unit="UTC", kept_back=_MACHINE),
        _must("due_at", MOMENT, "behaviour", "not to be done before", unit="UTC", kept_back=_MACHINE),
        _made("attempts", WHOLE, "none", "how often it was begun", kept_back=_MACHINE),
        _made("failures", WHOLE, "none", "how often it failed; fewer than began means that a worker was killed", kept_back=_MACHINE),
        _may("lease_until", MOMENT, "none", "until when the worker that began it is believed to be alive", unit="UTC", kept_back=_MACHINE),
        _may("dead_at", MOMENT, "none", "since when it is not tried any more", unit="UTC", kept_back=_MACHINE),
        _may("last_error", words(160), "none", "class and place of the last failure, never its message", kept_back=_MACHINE),
    ),
    uniques=("jobs_once",),
    checks=("jobs_lane_known", "jobs_failures_positive"),
    indexes=(Index("idx_jobs_due", ("due_at",)),),
)  # fmt: skip

REMINDERS = Table(
    name="reminders",
    what="When the next reminder of a person is due, and the day of the last one, so that none comes twice.",
    owner="user_id", retention="account", key=("user_id", "kind"),
    columns=(
        _owner(),
        _must("kind", words(20), "preference", "morning, evening or digest"),
        _may("next_at", MOMENT, "preference", "when the next one is due; empty while switched off", unit="UTC"),
        _may("last_day", DAY, "behaviour", "the local day of the last one"),
    ),
    checks=("reminders_kind_known",),
    foreign_keys=(_FK_USER,),
    indexes=(Index("idx_reminders_next", ("next_at",)),),
)  # fmt: skip

CALENDAR_FEEDS = Table(
    name="calendar_feeds",
    what="The private address under which a person's calendar program reads their two times.",
    owner="user_id", retention="account", key=("user_id",),
    stays_behind="the address is that of one Stillwave",
    columns=(
        _owner(),
        _must("token_hash", SHA256, "secret", "recognises the address without knowing it", kept_back=_PROOF),
        _must("created_at", MOMENT, "behaviour", "when it was made", unit="UTC"),
    ),
    foreign_keys=(_FK_USER,),
)  # fmt: skip

LEARNING_BAND = Table(
    name="learning_band",
    what="The bands of the learned response: from low_hz up to, not including, high_hz. The same for everybody.",
    owner=None, retention="installation", key=("band",),
    columns=(
        _must("band", TEXT, "none", "delta, theta, alpha, beta or gamma", kept_back=_MACHINE),
        _must("low_hz", REAL, "none", "where it begins", unit="Hz", kept_back=_MACHINE),
        _must("high_hz", REAL, "none", "where it ends", unit="Hz", kept_back=_MACHINE),
    ),
)  # fmt: skip

LEARNING_PRIOR = Table(
    name="learning_prior",
    what="What is expected of anybody at grid point j of a band before they rated anything.",
    owner=None, retention="installation", key=("band", "j"),
    columns=(
        _must("band", TEXT, "none", "which band", kept_back=_MACHINE),
        _must("j", WHOLE, "none", "grid point, 0-8", kept_back=_MACHINE),
        _must("mean", REAL, "none", "expected rating", unit="0-1", kept_back=_MACHINE),
    ),
)  # fmt: skip

LEARNING_KERNEL = Table(
    name="learning_kernel",
    what="How much grid points j and k are expected to move together: lower triangle by rows.",
    owner=None, retention="installation", key=("p",),
    columns=(
        _must("p", WHOLE, "none", "place in the triangle", kept_back=_MACHINE),
        _must("j", WHOLE, "none", "row", kept_back=_MACHINE),
        _must("k", WHOLE, "none", "column", kept_back=_MACHINE),
        _must("covariance", REAL, "none", "prior covariance", kept_back=_MACHINE),
        _made("group_covariance", REAL, "none", "the same of a group's curve", kept_back=_MACHINE),
    ),
)  # fmt: skip

LEARNING_GROUP = Table(
    name="learning_group",
    what="Which states share learned curves. A state that is not here teaches only the band's.",
    owner=None, retention="installation", key=("target_state",),
    columns=(
        _must("target_state", TEXT, "none", "the state wanted", kept_back=_MACHINE),
        _must("state_group", TEXT, "none", "its group", kept_back=_MACHINE),
    ),
)  # fmt: skip

LEARNING_GROUP_PRIOR = Table(
    name="learning_group_prior",
    what="What is expected of anybody at grid point j of a band for a group of states before they rated anything.",
    owner=None, retention="installation", key=("state_group", "band", "j"),
    columns=(
        _must("state_group", TEXT, "none", "which group", kept_back=_MACHINE),
        _must("band", TEXT, "none", "which band", kept_back=_MACHINE),
        _must("j", WHOLE, "none", "grid point, 0-8", kept_back=_MACHINE),
        _must("mean", REAL, "none", "expected rating", unit="0-1", kept_back=_MACHINE),
    ),
)  # fmt: skip

EFFECT_VOCABULARY = Table(
    name="effect_vocabulary",
    what="What an effect's key means to the learning trigger; a key that is not here counts as adverse.",
    owner=None, retention="installation", key=("effect",),
    columns=(
        _must("effect", TEXT, "none", "key in physical_effects and mental_effects", kept_back=_MACHINE),
        _must("kind", TEXT, "none", "adverse, benefit, pace, level, red_flag or note", kept_back=_MACHINE),
    ),
    checks=("effect_vocabulary_kind_known",),
)  # fmt: skip


def _work(names: str, kind: Kind, *, required: bool = False) -> tuple[Column, ...]:
    why = "a variable of the trigger"
    return tuple(_may(name, kind, "health", why, required=required, kept_back=_MACHINE) for name in names.split())


LEARNING_WORK = Table(
    name="learning_work",
    what="The one feedback being folded: SQLite triggers have no variables. Empty between statements.",
    owner="user_id", retention="statement", key=("user_id",), only_on="sqlite",
    columns=(
        _must("user_id", UUID_REF, "identifier", "whose feedback", kept_back=_MACHINE),
        *_work("flags", TEXT, required=True), *_work("y", REAL), *_work("noise", REAL, required=True),
        *_work("sens trans vol sens_after trans_after vol_after", REAL, required=True),
        *_work("nt_after", WHOLE, required=True),
        *_work("band", TEXT), *_work("low_hz high_hz", REAL), *_work("i", WHOLE), *_work("t", REAL),
    ),
)  # fmt: skip

LEARNING_WORK_CURVE = Table(
    name="learning_work_curve",
    what="The curves that the one feedback moves. Empty between statements.",
    owner="user_id", retention="statement", key=("user_id", "place"), only_on="sqlite",
    columns=(
        _must("user_id", UUID_REF, "identifier", "whose feedback", kept_back=_MACHINE),
        *_work("place name", TEXT, required=True), *_work("n", WHOLE, required=True),
        *_work("mean_before mean covariance", TEXT, required=True),
    ),
)  # fmt: skip

LEARNING_FOLD = Table(
    name="learning_fold",
    what="The state being folded. Empty between statements.",
    owner="user_id", retention="statement", key=("user_id",), only_on="sqlite",
    columns=(
        _must("user_id", UUID_REF, "identifier", "whose state", kept_back=_MACHINE),
        *_work("state folded_at folded_id", TEXT, required=True), *_work("moved_at touched", TEXT),
    ),
)  # fmt: skip

LEARNING_CHECKPOINT = Table(
    name="learning_checkpoint",
    what="The learned state after every 32nd feedback, to fold a late or edited one from there. Safe to empty.",
    owner="user_id", retention="account", key=("user_id", "created_at", "feedback_id"),
    columns=(
        _must("user_id", UUID_REF, "identifier", "whose state", kept_back=_MACHINE),
        _must("created_at", MOMENT, "behaviour", "the time of that feedback", unit="UTC", kept_back=_MACHINE),
        _must("feedback_id", UUID_REF, "identifier", "that feedback", kept_back=_MACHINE),
        _must("state", JSON, "health", "the profile as it was then", kept_back="rebuilt at any time from feedback, which is exported"),
    ),
    foreign_keys=(_FK_USER,),
)  # fmt: skip

LEARNING_BASE = Table(
    name="learning_base",
    what="What the learned profile begins with: learned from sessions that retention has removed since.",
    owner="user_id", retention="account", key=("user_id",),
    columns=(
        _must("user_id", UUID_REF, "identifier", "whose profile"),
        _must("created_at", MOMENT, "behaviour", "when the last feedback in it was given", unit="UTC"),
        _must("state", JSON, "health", "what was learned from sessions that are gone"),
    ),
    foreign_keys=(_FK_USER,),
)  # fmt: skip

LEARNING_PAUSE = Table(
    name="learning_pause",
    what="People whose profile waits to be folded again until a mass deletion is over. Empty between transactions.",
    owner="user_id", retention="statement", key=("user_id",),
    columns=(
        _must("user_id", UUID_REF, "identifier", "who waits", kept_back=_MACHINE),
        _may("keep_before", MOMENT, "behaviour", "what was learned from sessions that began before it stays", unit="UTC", kept_back=_MACHINE),
    ),
    foreign_keys=(_FK_USER,),
)  # fmt: skip

AUDIT_EVENTS = Table(
    name="audit_events",
    what="What was done with a person's account and data, by whom; a chain that shows every change. It survives erasure.",
    owner="user_id", retention="audit", key=("user_id", "seq"),
    stays_behind="each Stillwave vouches for its own log alone",
    columns=(
        _owner(),
        _must("seq", BIG, "none", "place in the person's chain, from 1"),
        _must("at", MOMENT, "behaviour", "when", unit="UTC"),
        _must("actor", words(20), "account", "the person, an operator, or the program itself"),
        _must("action", words(40), "behaviour", "what was done"),
        _must("detail", JSON, "behaviour", "codes and ids only: which session, which consent"),
        _must("prior", SHA256, "none", "the MAC of the event before", kept_back=_MACHINE),
        _must("mac", SHA256, "none", "shows that event and order are as they were written", kept_back=_MACHINE),
    ),
    checks=("audit_events_seq_positive", "audit_events_actor_known"),
)  # fmt: skip

AUDIT_HEADS = Table(
    name="audit_heads",
    what="Where each person's chain of events ends.",
    owner="user_id", retention="audit", key=("user_id",),
    columns=(
        _must("user_id", UUID_REF, "identifier", "whose chain it is", kept_back=_MACHINE),
        _must("seq", BIG, "none", "the number of the newest event", kept_back=_MACHINE),
        _must("mac", SHA256, "none", "its MAC", kept_back=_MACHINE),
    ),
)  # fmt: skip

ERASURES = Table(
    name="erasures",
    what="Who asked for erasure and may still change their mind. While the row is there everything else stands still.",
    owner="user_id", retention="account", key=("user_id",),
    stays_behind="it was asked of one Stillwave, not of the next",
    columns=(
        _owner(),
        _must("asked_at", MOMENT, "account", "when it was asked for", unit="UTC"),
        _must("final_at", MOMENT, "account", "from when it cannot be taken back", unit="UTC"),
        _must("restricted_before", YES_NO, "account", "what to go back to when it is taken back"),
    ),
    checks=("erasures_final_after_asked",),
    foreign_keys=(_FK_USER,),
    indexes=(Index("idx_erasures_final", ("final_at",)),),
)  # fmt: skip

EMERGENCY_ACCESSES = Table(
    name="emergency_accesses",
    what="When an operator looked at a person's data in an emergency, why, and until when; the person was told at once.",
    owner="user_id", retention="account", key=("user_id", "id"),
    stays_behind="what was done at one Stillwave stays on record there",
    columns=(
        _owner(), _key(made=False),
        _must("operator_id", UUID_REF, "identifier", "which operator looked"),
        _must("reason", TEXT, "health", "why, in the operator's words", sealed=True),
        _must("created_at", MOMENT, "behaviour", "from when", unit="UTC"),
        _must("expires_at", MOMENT, "behaviour", "until when at most: an hour later", unit="UTC"),
        _may("ended_at", MOMENT, "behaviour", "when the operator or the person ended it earlier", unit="UTC"),
        _may("seen_at", MOMENT, "behaviour", "when the person put the notice on their pages away", unit="UTC"),
    ),
    checks=("emergency_accesses_reason_sealed", "emergency_accesses_ends_within_the_hour"),
    foreign_keys=(_FK_USER,),
    indexes=(Index("idx_emergency_accesses_expires", ("expires_at",)),),
)  # fmt: skip

INSPECTIONS = Table(
    name="inspections",
    what="What each security audit of this installation (`stillwave audit`) found. No personal values.",
    owner=None, retention="report", key=("id",),
    columns=(
        _must("id", UUID, "none", "key; UUIDv7, so rows lie in time order", kept_back=_MACHINE),
        _must("at", MOMENT, "none", "when", unit="UTC", kept_back=_MACHINE),
        _must("report", JSON, "none", "every check with its verdict and evidence", kept_back=_MACHINE),
        _must("mac", SHA256, "none", "shows that the report is as it was written", kept_back=_MACHINE),
    ),
    indexes=(Index("idx_inspections_at", ("at",)),),
)  # fmt: skip

ATTESTATIONS = Table(
    name="attestations",
    what="What the operator vouches for because the program cannot see it, such as the encryption of a disk.",
    owner=None, retention="report", key=("check_id", "said_at"),
    columns=(
        _must("check_id", words(40), "none", "which check of the security audit", kept_back=_MACHINE),
        _must("said_at", MOMENT, "none", "when", unit="UTC", kept_back=_MACHINE),
        _must("until", DAY, "none", "the last day it counts", kept_back=_MACHINE),
        _must("statement", words(400), "none", "what is vouched for, in the operator's words", kept_back=_MACHINE),
        _must("mac", SHA256, "none", "shows that it was said through the program", kept_back=_MACHINE),
    ),
)  # fmt: skip

BREACHES = Table(
    name="breaches",
    what="Breaches of security that the operator noted: when, of what, how many people. Who they are stands in their own audit logs.",
    owner=None, retention="report", key=("id",),
    columns=(
        _must("id", UUID, "none", "key; UUIDv7, so rows lie in time order", kept_back=_MACHINE),
        _must("since_at", MOMENT, "none", "from when", unit="UTC", kept_back=_MACHINE),
        _must("until_at", MOMENT, "none", "until when", unit="UTC", kept_back=_MACHINE),
        _must("known_at", MOMENT, "none", "when it became known: the clocks of the law begin here", unit="UTC", kept_back=_MACHINE),
        _must("what", words(80), "none", "what was reached: database, backup, key, login, logs", kept_back=_MACHINE),
        _must("people", BIG, "none", "how many people it touches", kept_back=_MACHINE),
        _may("authority_told_at", MOMENT, "none", "when the authority was told", unit="UTC", kept_back=_MACHINE),
        _may("people_told_at", MOMENT, "none", "when the people were told", unit="UTC", kept_back=_MACHINE),
    ),
    checks=("breaches_until_after_since", "breaches_people_positive"),
)  # fmt: skip

PROMOTION_STEPS = Table(
    name="promotion_steps",
    what="How far the promotion of another database into this one has come; one row per step.",
    owner=None, retention="installation", key=("source", "step"),
    columns=(
        _must("source", SHA256, "none", "which database is promoted", kept_back=_MACHINE),
        _must("step", words(63), "none", "which of its tables, or what follows the tables", kept_back=_MACHINE),
        _may("position", TEXT, "none", "the last key that is done; from there it goes on", kept_back=_MACHINE),
        _made("done", YES_NO, "none", "whether nothing is left of it", kept_back=_MACHINE),
        _must("counts", JSON, "none", "how many rows were read, copied, repaired and rejected, by rule", kept_back=_MACHINE),
        _must("digest", SHA256, "none", "sum of the digests of the rows that were copied", kept_back=_MACHINE),
        _must("started_at", MOMENT, "none", "when it began", unit="UTC", kept_back=_MACHINE),
        _must("updated_at", MOMENT, "none", "when its last batch came", unit="UTC", kept_back=_MACHINE),
    ),
)  # fmt: skip

PROMOTION_REJECTS = Table(
    name="promotion_rejects",
    what="Rows that a promotion could not take over, or only changed, as they were. Rows that lead to nobody belong to the person of zeros.",
    owner="user_id", retention="account", key=("user_id", "id"),
    columns=(
        _must("user_id", UUID_REF, "identifier", "whose row it was; all zeros where nobody is known"),
        _must("id", UUID, "identifier", "key; made from the row and the reason, so that it comes once"),
        _must("source_table", words(63), "none", "the table it stood in"),
        _must("source_key", words(200), "identifier", "its key there"),
        _must("outcome", words(10), "none", "rejected: it is only here; repaired: it arrived with a change"),
        _must("reason", words(40), "none", "which rule spoke"),
        _may("original", TEXT, "health", "the row as it was; empty where it could not be read", sealed=True),
    ),
    checks=("promotion_rejects_outcome_known", "promotion_rejects_original_sealed"),
)  # fmt: skip

# In the order of the architecture: a table stands after those it refers to.
TABLES: tuple[Table, ...] = (
    INSTALLATION, USERS, NEURAL_PROFILES, SESSIONS, AUDIO_FILES, USER_PREFERENCES, PROGRESS_TRACKING,
    SESSION_FEEDBACK, PROFILE_HISTORY, LOGINS, RECOVERIES, SECOND_FACTORS, RECOVERY_CODES, PASSKEYS, PASSKEY_CHALLENGES,
    CONSENTS, ERASURES, SCREENINGS, CLEARANCES, IDEMPOTENCY_KEYS, UNLINK_OUTBOX, AUDIT_EVENTS, AUDIT_HEADS,
    JOBS, REMINDERS, CALENDAR_FEEDS, EMERGENCY_ACCESSES, INSPECTIONS, ATTESTATIONS, BREACHES,
    PROMOTION_STEPS, PROMOTION_REJECTS,
    LEARNING_BAND, LEARNING_PRIOR, LEARNING_KERNEL, LEARNING_GROUP, LEARNING_GROUP_PRIOR, EFFECT_VOCABULARY,
    LEARNING_WORK, LEARNING_WORK_CURVE, LEARNING_FOLD, LEARNING_CHECKPOINT, LEARNING_BASE, LEARNING_PAUSE,
)  # fmt: skip

VIEWS: tuple[View, ...] = (
    View("user_progress_summary", "Per person: how many sessions, and the averages of ratings, sleep and focus.",
         ("user_id", "email", "total_sessions", "avg_effectiveness", "avg_sleep_quality", "avg_focus_score")),
    View("recent_session_analysis", "Sessions of the last 30 days with their latest feedback and first sound file.",
         ("user_id", "session_type", "effectiveness_rating", "physical_effects", "mental_effects", "start_time", "end_time", "duration")),
)  # fmt: skip
FUNCTIONS: tuple[str, ...] = ("update_neural_profile", "cleanup_old_sessions")
TRIGGERS: tuple[tuple[str, str], ...] = (("after_session_feedback", "session_feedback"),)


def tables_on(engine: Engine) -> tuple[Table, ...]:
    """The tables that exist on an engine."""
    return tuple(table for table in TABLES if table.only_on in (None, engine))


def table(name: str) -> Table:
    """The table of that name. Raises KeyError."""
    for found in TABLES:
        if found.name == name:
            return found
    raise KeyError(name)


# --- docs/data-model.md -------------------------------------------------------------------------


_ABOUT = (
    "The same tables exist on SQLite and PostgreSQL. On PostgreSQL, tables marked so are partitioned by month. "
    "Every reference deletes with what it points to. On SQLite a `numrange` is two columns, `_low` and `_high`. "
    "A question mark means that the value may be absent."
)


def data_model() -> str:
    """The text of docs/data-model.md."""
    parts = [
        "# Data model",
        "Generated from `src/stillwave/db/tables.py` by `make data-model`; do not edit.",
        _ABOUT,
        "## How rows lead to their person",
        "```\n" + "\n".join(_tree("users", 0)) + "\n```",
        "\n".join(f"- Nobody owns rows of `{t.name}`." for t in TABLES if t.owner is None),
        "## Classes",
        _rows(("privacy class", "means"), list(PRIVACY_CLASSES.items())),
        _rows(("retention class", "kept"), list(RETENTION_CLASSES.items())),
        *(_section(t) for t in TABLES),
        "## Views",
        *(f"### {v.name}\n\n{v.what}\n\n{', '.join(f'`{c}`' for c in v.columns)}" for v in VIEWS),
        "## Functions and triggers",
        "\n".join([f"- function `{f}`" for f in FUNCTIONS]
                  + [f"- trigger `{name}` after each insert into `{on}`" for name, on in TRIGGERS]),
    ]
    return "\n\n".join(parts) + "\n"


def _tree(parent: str, depth: int) -> list[str]:
    owner = {"users": "id"}.get(parent, "user_id")
    lines = ["    " * depth + (f"{parent} ({owner})" if depth == 0 else f"└── {parent}")]
    for child in TABLES:
        nearest = child.foreign_keys[0].parent if child.foreign_keys else None
        if nearest == parent:
            lines += _tree(child.name, depth + 1)
    if depth == 0:
        lines += [f"    ·   {t.name} (holds a user_id, refers to nobody)" for t in TABLES
                  if t.owner and t.name != "users" and not t.foreign_keys]
    return lines


def _section(table: Table) -> str:
    facts = [f"key ({', '.join(table.key)})", f"kept: {RETENTION_CLASSES[table.retention]}"]
    if table.owner:
        facts.append(f"person: `{table.owner}`")
    if table.only_on:
        facts.append(f"only on {table.only_on}")
    if table.partitioned_by:
        facts.append(f"partitioned by month of `{table.partitioned_by}` on PostgreSQL")
    lines = [f"## {table.name}", table.what, "; ".join(facts) + "."]
    head = ("column", "SQLite", "PostgreSQL", "unit", "class", "purpose", "kept", "sealed", "exported", "origin")
    lines.append(_rows(head, [
        (
            f"`{c.name}`" + ("" if c.required else " ?"), c.kind.sqlite, c.kind.postgres, c.unit or "", c.privacy,
            c.why, c.retention or table.retention, "yes" if c.sealed else "",
            f"no: {c.kept_back}" if c.kept_back else "yes",
            c.origin or "",
        )
        for c in table.columns
    ]))  # fmt: skip
    extras = [f"- index `{i.name}` ({', '.join(i.columns)})" + (", unique" * i.unique) + (", GIN on PostgreSQL" * i.gin)
              for i in table.indexes]
    extras += [f"- `{f.name}` ({', '.join(f.columns)}) → {f.parent} ({', '.join(f.parent_columns)})" for f in table.foreign_keys]
    extras += [f"- unique `{name}`" for name in table.uniques]
    extras += [f"- check `{name}`" for name in table.checks]
    return "\n\n".join([*lines, "\n".join(extras)] if extras else lines)


def _rows(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


if __name__ == "__main__":
    sys.stdout.write(data_model())
