"""How a row of the proof of concept becomes one of ours: every rule, in one place. Pure.

A row comes as SQLite holds it (text as bytes, for it may not be UTF-8) and leaves as texts in the order of the
catalogue, words still open. What a rule changes beyond recognition is kept as it was in `promotion_rejects`.
Ids are UUIDv7 of a known time whose random part is a digest of table and old id: the same row always gets the same.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from functools import lru_cache
from typing import Literal, NamedTuple

from stillwave.accounts.rules import PLACEHOLDER_PREFIX, normal_email
from stillwave.errors import BadInput

Old = bytes | int | float | None
Row = tuple[str | None, ...]
Kind = Literal["translated", "repaired", "rejected", "stays"]


class Rule(NamedTuple):
    """What happens to a row, where, and in which words an operator reads it."""

    table: str
    kind: Kind
    text: str


# Translated: nothing is lost. Repaired: the row arrives, and is kept as it was besides. Rejected: it is only kept.
# Stays: with --merge, what is here counts, and the row is in the source alone.
RULES: dict[str, Rule] = {
    "ids": Rule("all", "translated", "ids become UUIDs made from the table, the old number and the row's time: always the same"),
    "utc": Rule("all", "translated", "a time without a zone is UTC; epoch seconds, milliseconds and microseconds are understood"),
    "sealed": Rule("all", "translated", "addresses and words are sealed under a key of each person's own"),
    "phone_missing": Rule("users", "translated", "no phone number: a placeholder in the unassigned +999 range; status phone_required, asked at the next sign-in"),
    "password_kept": Rule("users", "translated", "an Argon2 hash in PHC form is kept: the old password opens the account"),
    "password_unusable": Rule("users", "translated", "a password that is no Argon2 hash opens nothing here and is not kept: status reset_required, set anew with “Forgot your password?”"),
    "address_taken": Rule("users", "repaired", "an e-mail that an earlier account has in other letters: both are kept; this one signs in as it was written and chooses a new address"),
    "address_unusable": Rule("users", "repaired", "a text that is no e-mail address: signs in with it as it was written, and chooses an address"),
    "address_missing": Rule("users", "rejected", "an account without an e-mail can be reached by nobody"),
    "address_too_long": Rule("users", "rejected", "an e-mail longer than 254 characters is none, and nobody could type it in"),
    "status_unknown": Rule("users", "repaired", "a status other than active, or none, becomes disabled; an operator can enable the account"),
    "created_unknown": Rule("users", "repaired", "a time of making that cannot be read becomes 1 January 2010, as one that is missing does"),
    "merged": Rule("users", "translated", "with --merge: an account whose e-mail is here already stays as it is here; its rows join it"),
    "voice_unknown": Rule("user_preferences", "repaired", "a voice other than male, female, neutral or none becomes none"),
    "sound_unknown": Rule("user_preferences", "repaired", "a background sound that we do not have becomes nature"),
    "duration_odd": Rule("user_preferences", "repaired", "a duration that is not 5 to 120 whole minutes becomes the nearest, or 20"),
    "preferences_old": Rule("user_preferences", "rejected", "of several rows of one person the last one counts"),
    "preferences_here": Rule("user_preferences", "rejected", "with --merge: who has preferences here keeps them"),
    "preferences_made": Rule("user_preferences", "translated", "who had none gets the ones of a new account"),
    "effectiveness_doubled": Rule("sessions", "translated", "effectiveness 1-5 becomes 2, 4, 6, 8, 10; the original is kept as side_effects.poc_effectiveness"),
    "effectiveness_unknown": Rule("sessions", "repaired", "an effectiveness that is not 1, 2, 3, 4 or 5 becomes empty; a number is kept as poc_effectiveness as well"),
    "frequency_odd": Rule("sessions", "repaired", "a frequency that is no number above 0 and below 100000 becomes empty; others are rounded to hundredths"),
    "type_unknown": Rule("sessions", "repaired", "a session type other than morning, evening or custom becomes custom"),
    "start_from_end": Rule("sessions", "repaired", "a start that cannot be read becomes the end"),
    "end_unusable": Rule("sessions", "repaired", "an end that cannot be read, or lies before the start, becomes empty"),
    "start_unknown": Rule("sessions", "rejected", "a session whose start and end cannot be read has no place in time"),
    "start_outside": Rule("sessions", "rejected", "a session before 2010, or more than a day after the promotion began, cannot have been"),
    "person_unknown": Rule("all", "rejected", "its person is missing, or was rejected"),
    "session_unknown": Rule("session_feedback", "rejected", "its session is missing, or was rejected"),
    "rating_odd": Rule("session_feedback", "repaired", "a rating that is not 1, 2, 3, 4 or 5 becomes empty"),
    "text_not_utf8": Rule("all", "repaired", "bytes that are no text (lone surrogates among them) become �"),
    "nul_removed": Rule("all", "repaired", "NUL characters are taken out"),
    "id_missing": Rule("all", "rejected", "a row without an id has no name"),
    "id_twice": Rule("all", "rejected", "of several rows with one id the first one counts"),
    "unreadable": Rule("all", "rejected", "a damaged page of the file: what it held cannot be read; the numbers of the rows are kept"),
    "refused": Rule("all", "rejected", "the database refused the row"),
    "file_missing": Rule("audio_files", "repaired", "a sound file that is not there, or is damaged: its row comes along, and the sound is rendered anew when it is asked for"),
    "phone_unusable": Rule("users", "repaired", "PostgreSQL: a text that is no phone number with its country code, or one that an earlier account has: a placeholder, asked for at the next sign-in"),
    "tier_unknown": Rule("users", "repaired", "PostgreSQL: a tier other than free or premium becomes free"),
    "reminders_unknown": Rule("user_preferences", "repaired", "PostgreSQL: notification preferences in another form than ours become none"),
    "routine_unknown": Rule("user_preferences", "repaired", "PostgreSQL: a time of day that cannot be read becomes that of a new account"),
    "profile_learned": Rule("neural_profiles", "repaired", "PostgreSQL: learned anew from the answers, in their order; contraindications of all rows of a person hold, sealed, until the safety questions are answered"),
    "profile_old": Rule("neural_profiles", "rejected", "PostgreSQL: of several rows of one person the one changed last counts"),
    "state_unknown": Rule("sessions", "repaired", "PostgreSQL: a state that we do not have becomes empty"),
    "score_odd": Rule("all", "repaired", "PostgreSQL: effectiveness, volume, sleep, stress or focus that is no whole number of its range becomes empty; effectiveness 1-10 stays as it is"),
    "effects_unknown": Rule("all", "repaired", "PostgreSQL: an effect in words that we do not have counts as one that nobody knows, which is careful; a note among them is only kept"),
    "person_differs": Rule("session_feedback", "rejected", "PostgreSQL: feedback of somebody else than the person of the session"),
    "sound_elsewhere": Rule("audio_files", "rejected", "PostgreSQL: the file lies open outside of the database; it stays there, and its row is kept"),
    "day_unknown": Rule("progress_tracking", "rejected", "PostgreSQL: a day that is missing, before 2010, or still to come"),
    "day_twice": Rule("progress_tracking", "rejected", "PostgreSQL: of several rows of one day the one written last counts"),
    "metrics_odd": Rule("progress_tracking", "repaired", "PostgreSQL: metrics are at most 30 numbers with short names; what is none is left out"),
    "joined": Rule("--merge", "translated", "of a person who is here by id or e-mail: sessions, feedback, sound files, diary days and earlier rejects get the person here, sealed anew under their key; preferences and what old sessions taught, where there are none here"),
    "account_here": Rule("--merge", "stays", "their account stays as it is here: e-mail, number, password, status, tier; the log here says that rows joined it"),
    "stays_there": Rule("--merge", "stays", "their consents, reminders, sign-ins, second step, passkeys, codes, feeds, waiting work, emergency accesses and audit log: what is here counts"),
    "learned_anew": Rule("--merge", "stays", "their profile is learned anew from all answers of both, in the order in which they were given; every condition and red flag of either holds"),
    "row_same": Rule("--merge", "stays", "a row that is here with the same words"),
    "row_here": Rule("--merge", "rejected", "a row of which another version is here: the one here stays"),
    "day_here": Rule("--merge", "rejected", "a diary day that is kept here as well: the one here stays"),
    "screening_here": Rule("--merge", "rejected", "their answers to the safety questions, and clearances: those here count, or are asked for; no clearance from there lifts a block here"),
    "base_here": Rule("--merge", "rejected", "what they taught in sessions that are gone, where that is known here as well: two such sums cannot be put in order"),
    "file_taken": Rule("--merge", "rejected", "a sound file whose name is taken here, or of a person under two ids where both databases keep their sound in one folder; the sound is rendered anew when it is asked for"),
    "phone_taken": Rule("--merge", "repaired", "a new person's number that somebody else has here: a placeholder, and status phone_required"),
    "standing_still": Rule("--merge", "rejected", "who is in both and asked for erasure, or paused the use of their data, in either: nothing of theirs is copied or kept"),
    "erased_here": Rule("--merge", "rejected", "who was erased here does not come back: nothing of theirs is copied or kept"),
}  # fmt: skip

# Of people who are in both Stillwaves: which rule speaks for a row of each table.
JOINED: dict[str, str] = {
    **dict.fromkeys(("sessions", "session_feedback", "audio_files", "progress_tracking", "promotion_rejects", "user_preferences", "learning_base"), "joined"),
    **dict.fromkeys(("neural_profiles", "profile_history", "learning_checkpoint"), "learned_anew"),
    **dict.fromkeys(("screenings", "clearances"), "screening_here"),
    **dict.fromkeys((
        "logins", "recoveries", "second_factors", "recovery_codes", "passkeys", "passkey_challenges", "consents", "erasures",
        "idempotency_keys", "audit_events", "audit_heads", "jobs", "reminders", "calendar_feeds", "emergency_accesses",
    ), "stays_there"),
    "users": "account_here",
}  # fmt: skip
# Of these a person has one, or one for each value of the columns; what happens to a second.
ONE_EACH: dict[str, tuple[str, tuple[str, ...]]] = {
    "progress_tracking": ("day_here", ("date",)), "user_preferences": ("preferences_here", ()), "learning_base": ("base_here", ()),
}  # fmt: skip

FIRST_MS = 1_262_304_000_000  # 1 January 2010
_DAY_MS = 86_400_000
_STAMP = re.compile(
    rb"\s*(\d{4}-\d\d-\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?\s*(Z|UTC|[+-]\d\d(?::?\d\d)?)?)?\s*", re.IGNORECASE
)
_DAY, _CLOCK = re.compile(rb"\d{4}-\d\d-\d\d"), re.compile(rb"[T ](\d\d):(\d\d):(\d\d)", re.IGNORECASE)
_NUMBER = re.compile(rb"\s*[+-]?\d{1,20}(?:\.\d+)?\s*")
# Addresses that email-validator would only put in lower case: most of them, at a fiftieth of the time.
_PLAIN = re.compile(
    r"[a-z0-9](?:[a-z0-9_+-]|\.(?=[a-z0-9_+-])){0,62}@(?:(?!xn--)[a-z0-9](?:[a-z0-9]|-(?=[a-z0-9]))*\.){1,4}(?!(?:arpa|invalid|local|localhost|onion|test)\Z)[a-z]{2,24}"
)
_ARGON2 = re.compile(r"\$argon2(?:id|i|d)\$v=\d+\$m=(\d{1,7}),t=(\d{1,2}),p=(\d{1,2})\$[A-Za-z0-9+/]{11,86}\$[A-Za-z0-9+/]{16,170}")
_STATUS = {
    "active": "active", "enabled": "active", "": "active", "disabled": "disabled", "inactive": "disabled",
    "suspended": "disabled", "blocked": "disabled",
}  # fmt: skip


class Told(NamedTuple):
    """What became of a row: `row` is None where it was rejected; `why` names the rules that spoke."""

    row: Row | None
    owner: str | None
    key: str
    why: tuple[str, ...]


# --- single values --------------------------------------------------------------------------------


@lru_cache(maxsize=32768)
def _day_start_ms(day: bytes) -> int | None:
    if not _DAY.fullmatch(day):
        return None
    try:
        return (date.fromisoformat(day.decode()) - date(1970, 1, 1)).days * _DAY_MS
    except ValueError:
        return None


@lru_cache(maxsize=100_000)  # the seconds of a day
def _clock_ms(clock: bytes) -> int | None:
    found = _CLOCK.fullmatch(clock)
    if found is None:
        return None
    hours, minutes, seconds = map(int, found.groups())
    return (hours * 3600 + minutes * 60 + seconds) * 1000 if hours < 24 and minutes < 60 and seconds < 60 else None


@lru_cache(maxsize=100_000)
def _clock_of(seconds: int) -> str:
    return f"T{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


@lru_cache(maxsize=32768)
def _day_of(days: int) -> str:
    return (date(1970, 1, 1) + timedelta(days=days)).isoformat()


def moment_ms(value: Old) -> int | None:
    """The time in Unix milliseconds; None for what is none: ISO text with or without zone, or an epoch number."""
    if value is None:
        return None
    if not isinstance(value, bytes):
        return _epoch_ms(float(value))
    if len(value) == 19:  # nearly all of them: `2026-01-31 23:59:59`, whose two halves were met before
        day, clock = _day_start_ms(value[:10]), _clock_ms(value[10:])
        if day is not None and clock is not None:
            return day + clock
    return _any_moment_ms(value)


def _any_moment_ms(value: bytes) -> int | None:
    found = _STAMP.fullmatch(value)
    if found is None:
        return _epoch_ms(float(value)) if _NUMBER.fullmatch(value) else None
    return _stamp_ms(*found.groups())


def _stamp_ms(day: bytes, h: bytes | None, m: bytes | None, s: bytes | None, part: bytes | None, zone: bytes | None) -> int | None:
    start = _day_start_ms(day)
    hours, minutes, seconds = int(h or 0), int(m or 0), int(s or 0)
    if start is None or hours > 23 or minutes > 59 or seconds > 59:
        return None
    found = start + (hours * 3600 + minutes * 60 + seconds) * 1000 + (int((part + b"00")[:3]) if part else 0)
    if zone and zone[:1] in b"+-":
        digits = zone[1:].replace(b":", b"").ljust(4, b"0")
        ahead = (int(digits[:2]) * 60 + int(digits[2:])) * 60_000
        found += ahead if zone[:1] == b"-" else -ahead
    return found


def _epoch_ms(number: float) -> int | None:
    if not math.isfinite(number) or abs(number) >= 1e17:
        return None
    scale = 1000.0 if abs(number) < 1e11 else 1.0 if abs(number) < 1e14 else 0.001
    return round(number * scale)


def stamp(ms: int) -> str:
    """The time as the catalogue writes it."""
    seconds, part = divmod(ms, 1000)
    days, seconds = divmod(seconds, 86_400)
    return f"{_day_of(days)}{_clock_of(seconds)}.{part:03}Z"


def made_id(table: str, key: object, ms: int) -> str:
    """The UUIDv7 of an old row: its time, and a digest of table and key where others have chance."""
    chance = hashlib.blake2b(f"stillwave promotion\0{table}\0{key}".encode(), digest_size=10).hexdigest()
    time = f"{ms:012x}"
    return f"{time[:8]}-{time[8:]}-7{chance[:3]}-{'89ab'[int(chance[3], 16) & 3]}{chance[4:7]}-{chance[7:19]}"


def placeholder(key: object, tries: int = 0) -> str:
    """The number that stands for a missing one: +999 and twelve digits, the old id where it is a small number."""
    if isinstance(key, int) and 0 <= key < 10**12 and not tries:
        return f"{PLACEHOLDER_PREFIX}{key:012d}"
    digest = hashlib.blake2b(f"stillwave phone\0{key}\0{tries}".encode(), digest_size=8).digest()
    return f"{PLACEHOLDER_PREFIX}{int.from_bytes(digest, 'big') % 10**12:012d}"


def words(value: Old, why: list[str]) -> str | None:
    """The value as text that every database takes; what had to be changed is added to `why`."""
    if value is None:
        return None
    if not isinstance(value, bytes):
        return str(value)
    try:
        text = value.decode()
    except UnicodeDecodeError:
        why.append("text_not_utf8")
        text = value.decode("utf-8", "replace")
    if "\0" in text:
        why.append("nul_removed")
        text = text.replace("\0", "")
    return text


def whole(value: Old) -> int | None:
    """The whole number that a value is, however it is written; None for everything else."""
    if isinstance(value, int):
        return value
    number = real(value)
    return int(number) if number is not None and number.is_integer() else None


def real(value: Old) -> float | None:
    """The finite number that a value is, however it is written; None for everything else."""
    if isinstance(value, bytes):
        if len(value) > 40:
            return None
        try:
            value = float(value)
        except ValueError:
            return None
    return float(value) if value is not None and math.isfinite(value) else None


def address(text: str) -> str | None:
    """The one written form of an e-mail address; None for what is none."""
    low = text.strip().lower()
    if len(low) <= 254 and _PLAIN.fullmatch(low) and all(len(label) <= 63 for label in low.split("@")[1].split(".")):
        return low
    if not low or len(low) > 254:
        return None
    try:
        return normal_email(text)
    except (BadInput, UnicodeError):
        return None


def address_key(value: Old) -> int | None:
    """A number that two spellings of one address share; None for what is no address."""
    text = words(value, [])
    found = address(text) if text else None
    return int.from_bytes(hashlib.blake2b(found.encode(), digest_size=7).digest(), "big") if found else None


def original(names: Sequence[str], values: Sequence[Old]) -> str:
    """The old row as JSON in ASCII: bytes that are no text stand as {"base64": ...}, odd numbers as their name."""

    def told(value: Old) -> object:
        if isinstance(value, bytes):
            try:
                return value.decode()
            except UnicodeDecodeError:
                return {"base64": base64.b64encode(value).decode()}
        return str(value) if isinstance(value, float) and not math.isfinite(value) else value

    return json.dumps({name: told(value) for name, value in zip(names, values, strict=True)})


# --- rows -----------------------------------------------------------------------------------------


class Surroundings:
    """What a row cannot know of itself: the backgrounds we have, which ids and addresses come twice, who is here already."""

    def __init__(self, *, limit_ms: int, backgrounds: frozenset[str], nobody_hash: str) -> None:
        self.limit_ms, self.backgrounds, self.nobody_hash = limit_ms, backgrounds, nobody_hash
        self.taken: set[int] = set()  # rows of users whose address an earlier row has
        self.numbers: set[int] = set()  # rows of users whose phone number an earlier row has
        self.twice: dict[str, set[int]] = {}  # rows by table whose id an earlier row has
        self.last_preferences: dict[Old, int] = {}  # the row that counts, for people with several
        self.merged: dict[Old, str] = {}  # people who are here already, under which id
        self.phones: dict[Old, str] = {}  # placeholders for people whose own somebody here has
        self._people: Callable[[Old, Old, Old], str | None] = lru_cache(maxsize=65536)(self._made_person)

    def person(self, key: Old, email: Old, created: Old) -> str | None:
        """The id of a person of the source; None where they are missing or were rejected."""
        found = self._people(key, email, created)
        return self.merged.get(key, found) if found and self.merged else found

    @staticmethod
    def _made_person(key: Old, email: Old, created: Old) -> str | None:
        if key is None or email is None or not _typeable(email):
            return None
        return made_id("users", _key(key), _created_ms(created))


def _typeable(email: Old) -> bool:
    text = words(email, [])
    return bool(text and text.strip() and len(text.strip()) <= 254)


def _key(value: Old) -> object:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value


def _created_ms(created: Old) -> int:
    found = moment_ms(created)
    return found if found is not None and FIRST_MS <= found < 4_102_444_800_000 else FIRST_MS  # until 2099


def user(around: Surroundings, at: int, old: Sequence[Old]) -> Told:
    """A row of users from (id, email, password_hash, created_at, account_status); both index columns stay empty.

    `why` says whether the address is one: `address_taken` and `address_unusable` sign in as written.
    """
    key, email, secret, created, status = old
    name = str(_key(key))
    why: list[str] = []
    if (refused := _no_name(around, "users", at, key)) is not None:
        return refused
    text = (words(email, why) or "").strip()
    if not text or len(text) > 254:
        return Told(None, None, name, ("address_too_long" if text else "address_missing",))
    usable = address(text)
    if usable is None or at in around.taken:
        why.append("address_unusable" if usable is None else "address_taken")
    created_ms = _created_ms(created)
    if created is not None and created_ms == FIRST_MS and moment_ms(created) != FIRST_MS:
        why.append("created_unknown")
    phc, works = _password(words(secret, why), around.nobody_hash)
    why.append("password_kept" if works else "password_unusable")
    known = _STATUS.get((words(status, why) or "").strip().lower())
    if known is None:
        why.append("status_unknown")
    why.append("phone_missing")
    odd = usable is None or at in around.taken
    state = "disabled" if known != "active" else "address_required" if odd else "phone_required" if works else "reset_required"
    person, moment = made_id("users", _key(key), created_ms), stamp(created_ms)
    row = (person, text if odd else usable, None, around.phones.get(key) or placeholder(_key(key)), None, phc, moment, moment, None, state, "free", "listener", "0")
    return Told(row, person, name, tuple(why))


def _password(secret: str | None, nobody: str) -> tuple[str, bool]:
    """The hash to store, and whether a password can open it: never one that would take the memory of the server."""
    found = _ARGON2.fullmatch(secret) if secret and len(secret) <= 255 else None
    if secret is None or found is None:
        return nobody, False
    kib, rounds, lanes = map(int, found.groups())
    works = 8 * lanes <= kib <= 1024 * 1024 and 1 <= rounds <= 20 and 1 <= lanes <= 16
    return (secret, True) if works else (nobody, False)


def preferences(around: Surroundings, at: int, old: Sequence[Old]) -> Told:
    """A row of user_preferences from (id, user_id, voice, background, duration; the person's id, email, created_at)."""
    key, owner, voice, sound, minutes, person_key, email, created = old
    name = str(_key(key))
    why: list[str] = []
    if (refused := _no_name(around, "user_preferences", at, key)) is not None:
        return refused
    person = around.person(person_key, email, created)
    if person is None:
        return Told(None, None, name, ("person_unknown",))
    if around.last_preferences.get(owner, at) != at:
        return Told(None, person, name, ("preferences_old",))
    spoken = (words(voice, why) or "none").strip().lower()
    if spoken not in {"male", "female", "neutral", "none"}:
        why.append("voice_unknown")
        spoken = "none"
    heard = (words(sound, why) or "nature").strip().lower()
    if heard not in around.backgrounds:
        why.append("sound_unknown")
        heard = "nature"
    length = whole(minutes)
    lasting = 20 if length is None else max(5, min(120, length))
    if lasting != length and minutes is not None:
        why.append("duration_odd")
    made = made_id("user_preferences", _key(key), _created_ms(created))
    return Told((made, person, spoken, heard, str(lasting), None, "07:30:00", "21:30:00", "UTC"), person, name, tuple(why))


def no_preferences(around: Surroundings, at: int, old: Sequence[Old]) -> Told | None:
    """The row of user_preferences of a person (id, email, created_at) who had none; None for a person who was rejected."""
    key, email, created = old
    person = around.person(key, email, created)
    if person is None or at in around.twice.get("users", ()):
        return None
    made = made_id("no_preferences", _key(key), _created_ms(created))
    return Told((made, person, "none", "nature", "20", None, "07:30:00", "21:30:00", "UTC"), person, str(_key(key)), ("preferences_made",))


_PLAIN_SESSION: tuple[str, ...] = ()
_RATED_SESSION = ("effectiveness_doubled",)
_KEPT_SESSION: tuple[str | None, ...] = (None, "0", None, None, None, None, None)  # volume_level to arm_rating


def session(around: Surroundings, at: int, old: Sequence[Old]) -> Told:
    """A row of sessions from (id, user_id, start, end, type, frequency, effectiveness; the person's id, email, created_at)."""
    key, _, start, end, sort, frequency, effect, person_key, email, created = old
    name = str(_key(key))
    if (refused := _no_name(around, "sessions", at, key)) is not None:
        return refused
    person = around.person(person_key, email, created)
    if person is None:
        return Told(None, None, name, ("person_unknown",))
    times = span(start, end, around.limit_ms)
    if isinstance(times, str):
        return Told(None, person, name, (times,))
    start_ms, end_ms, odd = times
    why: list[str] = list(odd)
    known = session_type(sort, why)
    hz = real(frequency)
    beat = f"{hz:.2f}" if hz is not None and 0.005 < hz < 99999.995 else None
    if beat is None and frequency is not None:
        why.append("frequency_odd")
    rating, kept = None, None
    if effect is not None:
        rating = whole(effect)
        if rating is not None and 1 <= rating <= 5:
            kept, rating = _POC_EFFECT[rating], rating * 2
            why.append("effectiveness_doubled")
        else:
            number = real(effect)
            kept = None if number is None else f'{{"poc_effectiveness": {json.dumps(int(number) if number.is_integer() and abs(number) < 1e15 else number)}}}'
            rating = None
            why.append("effectiveness_unknown")
    row = (
        made_id("sessions", _key(key), start_ms), person, stamp(start_ms), None if end_ms is None else stamp(end_ms), known,
        None, None, None if rating is None else str(rating), kept, None, beat, *_KEPT_SESSION,
    )  # fmt: skip
    return Told(row, person, name, _RATED_SESSION if why == ["effectiveness_doubled"] else tuple(why))


_POC_EFFECT = {rating: f'{{"poc_effectiveness": {rating}}}' for rating in range(1, 6)}


def span(start: Old, end: Old, limit_ms: int) -> tuple[int, int | None, tuple[str, ...]] | str:
    """(start, end, rules that spoke) of a session; the reason instead where it has no place in time."""
    start_ms, end_ms = moment_ms(start), moment_ms(end)
    if start_ms is None:
        if end_ms is None:
            return "start_unknown"
        return (end_ms, end_ms, ("start_from_end",)) if FIRST_MS <= end_ms <= limit_ms else "start_outside"
    if not FIRST_MS <= start_ms <= limit_ms:
        return "start_outside"
    if end_ms is None:
        return start_ms, None, (() if end is None else ("end_unusable",))
    return (start_ms, end_ms, ()) if start_ms <= end_ms < 4_102_444_800_000 else (start_ms, None, ("end_unusable",))


def session_type(sort: Old, why: list[str]) -> str | None:
    """morning, evening or custom; what is neither becomes custom, and `why` says so."""
    if sort in {b"morning", b"evening", b"custom"}:
        return sort.decode()
    if sort is None:
        return None
    found = (words(sort, why) or "").strip().lower()
    if found in {"morning", "evening", "custom"}:
        return found
    why.append("type_unknown")
    return "custom"


def feedback(around: Surroundings, at: int, old: Sequence[Old]) -> Told:
    """A row of session_feedback from (id, session_id, rating, text; the session's id, start, end; the person's id, email,
    created_at); the text is still open."""
    key, _, stars, text, session_key, start, end, person_key, email, created = old
    name = str(_key(key))
    if (refused := _no_name(around, "session_feedback", at, key)) is not None:
        return refused
    person = around.person(person_key, email, created)
    times = span(start, end, around.limit_ms) if person and session_key is not None else "session_unknown"
    if isinstance(times, str):
        return Told(None, person, name, ("session_unknown",))
    start_ms, end_ms, _ = times
    why: list[str] = []
    rating = whole(stars)
    if rating is None or not 1 <= rating <= 5:
        if stars is not None:
            why.append("rating_odd")
        rating = None
    said = words(text, why)
    moment_of = start_ms if end_ms is None else end_ms
    row = (
        made_id("session_feedback", _key(key), moment_of), person, made_id("sessions", _key(session_key), start_ms),
        stamp(start_ms), None if rating is None else str(rating), said or None, None, None, stamp(moment_of), "1",
    )  # fmt: skip
    return Told(row, person, name, tuple(why))


def _no_name(around: Surroundings, table: str, at: int, key: Old) -> Told | None:
    if key is None:
        return Told(None, None, f"row {at}", ("id_missing",))
    if at in around.twice.get(table, ()):
        return Told(None, None, f"{_key(key)} (row {at})"[:200], ("id_twice",))
    return None


_REPAIRS = frozenset(code for code, rule in RULES.items() if rule.kind == "repaired")


def lossy(why: Sequence[str]) -> bool:
    """True when a rule that spoke changed the row beyond recognition, so that the original is kept."""
    return not _REPAIRS.isdisjoint(why)


def rules_text() -> str:
    """Every rule as Markdown: docs/promotion.md holds it, and `--plan` prints the same."""
    lines = ["| table | rule | what happens | what it says |", "|---|---|---|---|"]
    lines += [f"| {rule.table} | `{code}` | {rule.kind} | {rule.text} |" for code, rule in RULES.items()]
    return "\n".join(lines)
