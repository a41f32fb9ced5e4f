"""A proof of concept on PostgreSQL: the flat tables as the architecture prints them, and how their rows become ours.

Everything is read in one REPEATABLE READ, READ ONLY transaction by cursors of the server, so the old system stays in use.
Its ids are not in order, so a later run reads every row again and leaves out what is done: ids are made from the old ones,
but for the time in them.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import json
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, NoReturn
from uuid import UUID

import msgspec

from stillwave.accounts.rules import Notifications, normal_phone
from stillwave.errors import BadInput, CannotStart, OutOfReach
from stillwave.profiles import effects
from stillwave.profiles.rules import STATES
from stillwave.profiles.screening import CONDITIONS, OTHER
from stillwave.promote import rules
from stillwave.promote.rules import FIRST_MS, Old, Surroundings, Told, words
from stillwave.promote.sources import Damaged, PocSource, Read, Shape, read_from

# The columns we know; those before the bar must be there.
COLUMNS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "users": (("id", "email"), ("phone_number", "password_hash", "created_at", "updated_at", "last_login", "account_status", "subscription_tier")),
    "user_preferences": (("id", "user_id"), ("voice_preference", "background_sound_type", "preferred_duration", "notification_preferences", "morning_routine_time", "evening_routine_time")),
    "neural_profiles": (("id", "user_id"), ("created_at", "updated_at", "contraindications")),
    "sessions": (("id", "user_id", "start_time"), ("end_time", "session_type", "initial_state", "target_state", "effectiveness_rating", "side_effects", "base_frequency", "target_frequency", "volume_level")),
    "audio_files": (("id", "session_id"), ()),
    "session_feedback": (("id", "session_id"), ("user_id", "rating", "feedback_text", "physical_effects", "mental_effects", "created_at")),
    "progress_tracking": (("id", "user_id"), ("date", "metrics", "notes", "sleep_quality", "stress_level", "focus_score")),
}  # fmt: skip
STEPS = ("users", "user_preferences", "no_preferences", "neural_profiles", "sessions", "audio_files", "session_feedback", "progress_tracking")
# Kept as they were in the rejects and learned, measured or rendered anew: no column of these is lost.
_ANEW = ("neural_profiles", "audio_files")
_RANKS = {
    "user_preferences": "PARTITION BY t.user_id ORDER BY t.ctid DESC",
    "neural_profiles": "PARTITION BY t.user_id ORDER BY {t.updated_at} DESC NULLS LAST, t.id",
    "progress_tracking": "PARTITION BY t.user_id, {t.date} ORDER BY t.ctid DESC",
}
_AT_ONCE = 2000
_NEVER_MS = 4_102_444_800_000  # 2100


class FlatSource(PocSource):
    """The flat tables, as they were at one moment; the interface of a proof of concept in a file."""

    kind = "proof of concept (PostgreSQL)"
    steps = STEPS

    def __init__(self, url: str) -> None:
        import psycopg

        self.done: dict[str, tuple[set[str], set[str]]] = {}
        self._current: tuple[int, Old] = (0, None)
        self._cursors = 0
        try:
            self._db = psycopg.connect(url, application_name="stillwave-promote", connect_timeout=10)
            self._db.isolation_level, self._db.read_only = psycopg.IsolationLevel.REPEATABLE_READ, True
            for name, value in (("TimeZone", "UTC"), ("DateStyle", "ISO"), ("statement_timeout", "0"), ("idle_in_transaction_session_timeout", "0")):
                self._db.execute("SELECT set_config(%s, %s, false)", (name, value))
            self._db.commit()  # they hold for the session; the one transaction begins with the next statement
        except psycopg.OperationalError as error:
            raise OutOfReach(f"The source is out of reach: {str(error).splitlines()[0][:200]}. Nothing was changed.") from None
        except psycopg.Error as error:
            raise CannotStart(f"The source cannot be read: {str(error).splitlines()[0][:200]}. Nothing was changed.") from None
        self.shapes, self.other_tables = self._look()

    # --- what it looks like

    def _look(self) -> tuple[dict[str, Shape], tuple[str, ...]]:
        found = [row[0] for row in self._all(
            "SELECT c.relname FROM pg_class c WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND pg_table_is_visible(c.oid)"
            " AND c.relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace) ORDER BY 1"
        )]  # fmt: skip
        if "promotion_steps" in found and "audit_heads" in found:
            self._refuse("is a Stillwave on PostgreSQL already. To take it out, use: stillwave demote --to FOLDER")
        if "users" not in found:
            self._refuse(f"has no table users (it has: {', '.join(found) or 'none'}). Is it the right database, and the right search_path?")
        return {name: self._shape(name) for name in COLUMNS if name in found}, tuple(name for name in found if name not in COLUMNS)

    def _shape(self, table: str) -> Shape:
        names = {row[0] for row in self._all(
            "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped", table
        )}  # fmt: skip
        must, may = COLUMNS[table]
        if lacking := [name for name in must if name not in names]:
            self._refuse(f"has no column {', '.join(lacking)} in its table {table} (it has: {', '.join(sorted(names))})")
        alone = self._all(
            "SELECT 1 FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]"
            " WHERE i.indrelid = to_regclass(%s) AND i.indisunique AND i.indnkeyatts = 1 AND a.attname = 'id' AND i.indpred IS NULL", table
        )  # fmt: skip
        if not alone:
            self._refuse(f"does not say that the ids in its table {table} are unique. Run there: ALTER TABLE {table} ADD PRIMARY KEY (id)")
        others = () if table in _ANEW else tuple(sorted(names - {*must, *may}))
        return Shape(tuple(name for name in may if name not in names), others, id_is_row=True)

    def _refuse(self, what: str) -> NoReturn:
        self._db.close()
        raise CannotStart(f"The database {what}. Nothing was changed.")

    def _all(self, text: str, *values: object) -> list[Any]:
        """Every row of a short answer."""
        with self._there():
            return self._db.execute(text, values).fetchall()

    @contextlib.contextmanager
    def _there(self) -> Iterator[None]:
        import psycopg

        try:
            yield
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            # Its moment is gone with it: another run reads another.
            raise OutOfReach("The source went away. What was copied stays; run the same command again then.") from error

    def fingerprint(self) -> str:
        """64 hex digits that know this source again, whatever was added to it since: rows have no first one that stays so."""
        told = self._all("SELECT current_database(), to_regclass('users')::oid::bigint, has_function_privilege('pg_control_system()', 'execute')")
        server = self._all("SELECT system_identifier FROM pg_control_system()") if told[0][2] else []
        return hashlib.sha256(repr(("flat", *told[0][:2], server)).encode()).hexdigest()

    def count(self, step: str) -> int:
        """How many rows the table has."""
        table = read_from(step)
        return int(self._all(f"SELECT count(*) FROM {table}")[0][0]) if table in self.shapes else 0  # noqa: S608  names of ours

    def top(self, table: str) -> int:
        """A number that no row is above."""
        return self.count(table)

    def look_around(self, around: Surroundings) -> None:
        """Addresses and numbers that an earlier account has are known."""
        seen: set[object] = set()
        for at, _, email, phone, *_ in self._stream(self._select("users")):
            for key, taken in ((rules.address_key(email), around.taken), (number(phone), around.numbers)):
                if key is not None and key in seen:
                    taken.add(at)
                seen.add(key)

    # --- its rows

    def rows(self, step: str, after: int) -> Generator[Read | Damaged, None, None]:  # noqa: ARG002  ids are in no order to go on from
        """Every row of a step that is not done, in the order of the ids."""
        if step not in self.shapes and step != "no_preferences":
            return
        for row in self._stream(self._select(step)):
            self._current = (row[0], row[1])
            if not self._is_done(step, row[1]):
                yield Read(row[0], row[1:])

    @property
    def goes_on(self) -> bool:
        """Whether some rows came in an earlier run."""
        return any(any(ends) for ends in self.done.values())

    def _is_done(self, step: str, key: Old) -> bool:
        arrived, rejected = self.done.get(step, (set(), set()))
        return bool(arrived and tails(step, key) & arrived) or _name(key) in rejected

    def everything_of(self, step: str, at: int) -> dict[str, Old]:
        """The whole row that was read last, with columns that are not ours."""
        if self._current[0] != at:
            raise LookupError("only the row that was read last is known whole")
        table = read_from(step)
        found = self._all(f"SELECT to_json(t) FROM {table} t WHERE t.id::text = %s", _name(self._current[1]))  # noqa: S608  names of ours
        return dict(found[0][0]) if found else {}

    def some(self, table: str, at: Sequence[int]) -> list[Read]:
        """The rows with these numbers that are there."""
        return [Read(row[0], row[1:]) for row in self._stream(f"SELECT * FROM ({self._select(table)}) q WHERE at = ANY(%s) ORDER BY at", list(at))]  # noqa: S608  names of ours

    def of_people(self, table: str, keys: Sequence[object]) -> list[Read]:
        """The rows of these people that were not done before: what was changed there since stays as it came."""
        if table not in self.shapes:
            return []
        whose = "id" if table == "users" else "whose"
        text = f"SELECT * FROM ({self._select(table)}) q WHERE {whose}::text = ANY(%s) ORDER BY at"  # noqa: S608  names of ours
        found = self._stream(text, [_name(key) for key in keys])
        return [Read(row[0], row[1:]) for row in found if not self._is_done(table, row[1])]

    def close(self) -> None:
        """The transaction has ended and changed nothing."""
        self._db.close()

    def _stream(self, text: str, *values: object) -> Iterator[tuple[Any, ...]]:
        """Rows by a cursor of the server, texts as bytes."""
        self._cursors += 1
        with self._there(), self._db.cursor(name=f"promotion_{self._cursors}") as cursor:
            cursor.itersize = _AT_ONCE
            cursor.execute(text, values or None)
            for row in cursor:
                yield tuple(value.encode() if isinstance(value, str) else value for value in row)

    def _order(self, table: str) -> str:
        return "t.created_at, t.id" if table == "users" and self._has("users", "created_at") else "t.id"

    def _select(self, step: str) -> str:
        """Number, own columns and those of the rows it points to, all as text; and whether a later row of the same thing counts."""
        table = read_from(step)
        must, may = COLUMNS[table]
        own = ", ".join(f"{self._named('t', table, name)} AS {name}" for name in must + may)
        more, joins, where = "", "", ""
        person = f", u.id::text AS whose, u.email::text, {self._named('u', 'users', 'created_at')}"
        if step in ("audio_files", "session_feedback"):
            if "sessions" in self.shapes:  # without it nothing leads anywhere
                more = f", s.id::text, s.start_time::text, {self._named('s', 'sessions', 'end_time')}{person}"
                joins = " LEFT JOIN sessions s ON s.id = t.session_id LEFT JOIN users u ON u.id = s.user_id"
            else:
                more = ", NULL, NULL, NULL, NULL AS whose, NULL, NULL"
        elif table != "users":
            more, joins = person, " LEFT JOIN users u ON u.id = t.user_id"
        if step == "session_feedback":
            writer = self._has(step, "user_id")
            more += f", w.id::text, w.email::text, {self._named('w', 'users', 'created_at')}" if writer else ", NULL, NULL, NULL"
            joins += " LEFT JOIN users w ON w.id = t.user_id" if writer else ""
        if step in _RANKS:
            rank = _RANKS[step]
            for name in ("updated_at", "date"):
                rank = rank.replace(f"{{t.{name}}}", f"t.{name}" if self._has(step, name) else "NULL::text")
            more += f", (row_number() OVER ({rank}) > 1)::integer"
        if step == "neural_profiles" and self._has(step, "contraindications"):
            own = own.replace("t.contraindications::text", "g.all_of_them::text")
            joins += (
                " LEFT JOIN (SELECT o.user_id AS who, json_agg(DISTINCT one) AS all_of_them"
                " FROM neural_profiles o, unnest(o.contraindications) AS one GROUP BY o.user_id) g ON g.who = t.user_id"
            )
        if step == "no_preferences" and "user_preferences" in self.shapes:
            where = " WHERE NOT EXISTS (SELECT FROM user_preferences p WHERE p.user_id = t.id)"
        order = self._order(table)
        return f"SELECT row_number() OVER (ORDER BY {order}) AS at, {own}{more} FROM {table} t{joins}{where} ORDER BY {order}"  # noqa: S608  names of ours

    def _named(self, alias: str, table: str, name: str) -> str:
        must = COLUMNS[table][0]
        return f"{alias}.{name}::text" if name in must or self._has(table, name) else "NULL::text"


# --- ids ------------------------------------------------------------------------------------------


def _name(key: Old | object) -> str:
    return key.decode("utf-8", "replace") if isinstance(key, bytes) else str(key)


def _kept(key: Old) -> UUID | None:
    with contextlib.suppress(ValueError):
        found = UUID(_name(key))
        return found if found.version == 7 else None
    return None


def new_id(table: str, key: Old, ms: int) -> str:
    """The id of an old row here: its own if it is a UUIDv7 of its own time, else one made from it."""
    found = _kept(key)
    return str(found) if found is not None and found.int >> 80 == ms else rules.made_id(table, _name(key), ms)


def tails(table: str, key: Old) -> set[str]:
    """What does not depend on a time in the ids that the row may have here."""
    found = _kept(key)
    return {rules.made_id(table, _name(key), 0)[14:]} | ({str(found)[14:]} if found else set())


def number(value: Old) -> str | None:
    """The phone number in its one form; None for what is none."""
    try:
        return normal_phone(_name(value)) if value is not None else None
    except BadInput:
        return None


# --- rows -----------------------------------------------------------------------------------------


def user(around: Surroundings, at: int, old: Sequence[Old]) -> Told:
    """A row of users; both index columns stay empty."""
    key, email, phone, secret, created, changed, seen, status, tier = old
    told = rules.user(around, at, (key, email, secret, created, status))
    if told.row is None:
        return told
    why = [code for code in told.why if code != "phone_missing"]
    row = list(told.row)
    created_ms = rules.moment_ms(row[6].encode()) if row[6] else None
    row[0] = new_id("users", key, created_ms or FIRST_MS)
    given = number(phone)
    if given is None or at in around.numbers:
        why.append("phone_missing" if phone is None else "phone_unusable")
    else:
        row[3] = given
        row[9] = "active" if row[9] == "phone_required" else row[9]
    changed_ms, seen_ms = rules.moment_ms(changed), rules.moment_ms(seen)
    row[7] = rules.stamp(changed_ms) if changed_ms is not None and FIRST_MS <= changed_ms < _NEVER_MS else row[6]
    row[8] = rules.stamp(seen_ms) if seen_ms is not None and FIRST_MS <= seen_ms < _NEVER_MS else None
    row[10] = (words(tier, why) or "free").strip().lower()
    if row[10] not in ("free", "premium"):
        row[10] = "free"
        why.append("tier_unknown")
    return Told(tuple(row), row[0], told.key, tuple(why))


def _person(around: Surroundings, key: Old, email: Old, created: Old) -> str | None:
    """The id of a person here; None where they are missing or were rejected."""
    if around.person(key, email, created) is None:
        return None
    return new_id("users", key, _moment(created) or FIRST_MS)


def _moment(value: Old) -> int | None:
    found = rules.moment_ms(value)
    return found if found is not None and FIRST_MS <= found < _NEVER_MS else None


def preferences(around: Surroundings, at: int, old: Sequence[Old]) -> Told:
    """A row of user_preferences."""
    key, owner, voice, sound, minutes, mails, morning, evening, person_key, email, created, superseded = old
    person = _person(around, person_key, email, created)
    told = rules.preferences(around, at, (key, owner, voice, sound, minutes, person_key, email, created))
    if told.row is None or person is None:
        return told._replace(owner=person)
    if superseded:
        return Told(None, person, told.key, ("preferences_old",))
    why, row = list(told.why), list(told.row)
    row[0], row[1] = new_id("user_preferences", key, _moment(created) or FIRST_MS), person
    if mails is not None:
        try:
            row[5] = msgspec.json.encode(msgspec.json.decode(_name(mails), type=Notifications)).decode()
        except msgspec.DecodeError:
            why.append("reminders_unknown")
    for place, given in ((6, morning), (7, evening)):
        if given is not None:
            try:
                row[place] = dt.time.fromisoformat(_name(given)).replace(microsecond=0, tzinfo=None).isoformat()
            except ValueError:
                why.append("routine_unknown")
    return Told(tuple(row), person, told.key, tuple(why))


def no_preferences(around: Surroundings, at: int, old: Sequence[Old]) -> Told | None:
    """The row of user_preferences of a person who had none; None for a person who was rejected."""
    key, email, _, _, created, *_ = old
    told = rules.no_preferences(around, at, (key, email, created))
    person = _person(around, key, email, created)
    return None if told is None or told.row is None else told._replace(row=(told.row[0], person, *told.row[2:]), owner=person)


def profile(around: Surroundings, _at: int, old: Sequence[Old]) -> Told:
    """A row of neural_profiles with the contraindications of all of the person's; they are still open."""
    key, _, created, changed, conditions, person_key, email, person_created, superseded = old
    name, person = _name(key), _person(around, person_key, email, person_created)
    if person is None:
        return Told(None, None, name, ("person_unknown",))
    if superseded:
        return Told(None, person, name, ("profile_old",))
    made_ms = _moment(created) or _moment(person_created) or FIRST_MS
    found = list(dict.fromkeys(_condition(one) for one in json.loads(_name(conditions) if conditions is not None else "[]") if one and one.strip()))
    row = (
        new_id("neural_profiles", key, made_ms), person, None, "240", json.dumps([found] if found else []), "5",
        rules.stamp(made_ms), rules.stamp(max(made_ms, _moment(changed) or made_ms)), *[None] * 8, "1",
    )  # fmt: skip
    return Told(row, person, name, ("profile_learned",))


def _condition(text: str) -> str:
    key = "_".join(text.lower().replace("-", " ").split())
    return key if key in CONDITIONS else OTHER + text.strip()[:200]


def session(around: Surroundings, _at: int, old: Sequence[Old]) -> Told:
    """A row of sessions."""
    key, _, start, end, sort, begins, wanted, effect, harm, carrier, beat, volume, person_key, email, created = old
    name, person = _name(key), _person(around, person_key, email, created)
    if person is None:
        return Told(None, None, name, ("person_unknown",))
    times = rules.span(start, end, around.limit_ms)
    if isinstance(times, str):
        return Told(None, person, name, (times,))
    start_ms, end_ms, odd = times
    why = list(odd)
    row = (
        new_id("sessions", key, start_ms), person, rules.stamp(start_ms), None if end_ms is None else rules.stamp(end_ms),
        rules.session_type(sort, why), _state(begins, why), _state(wanted, why), _score(effect, 1, 10, why), _effects(harm, 10, why),
        _hertz(carrier, why), _hertz(beat, why), _score(volume, 0, 100, why), "0", *[None] * 5,
    )  # fmt: skip
    return Told(row, person, name, tuple(dict.fromkeys(why)))


def _state(value: Old, why: list[str]) -> str | None:
    found = "_".join((words(value, why) or "").lower().split()) or None
    if found is not None and found not in STATES and found != "unsure":
        why.append("state_unknown")
        return None
    return found


def _score(value: Old, least: int, most: int, why: list[str]) -> str | None:
    found = rules.whole(value)
    if value is not None and (found is None or not least <= found <= most):
        why.append("score_odd")
        return None
    return None if found is None else str(found)


def _hertz(value: Old, why: list[str]) -> str | None:
    found = rules.real(value)
    if found is not None and 0.005 < found < 99999.995:
        return f"{found:.2f}"
    if value is not None:
        why.append("frequency_odd")
    return None


def _effects(value: Old, most: int, why: list[str]) -> str | None:
    """Effects as key: severity. What is in other words counts as an effect that nobody knows, and free text does not stay open."""
    told = json.loads(_name(value)) if value is not None else None
    if told is None:
        return None
    found: dict[str, float] = {}
    listed = {_name(one): True for one in told} if isinstance(told, list) else told if isinstance(told, dict) else {_name(told): True}
    for key, given in listed.items():
        known = "_".join(key.lower().split())
        is_number = isinstance(given, (int, float)) and not isinstance(given, bool)
        grade = float(given) if is_number else effects.severity(given)
        plain = 0 <= grade <= most if is_number else given is True or given is False or given in tuple(effects.WORDS)
        if known != key or known not in effects.VOCABULARY or known in effects.NOTES or not plain:
            why.append("effects_unknown")
        known = known if known in effects.VOCABULARY and known not in effects.NOTES else "unknown"
        found[known] = max(found.get(known, 0.0), min(float(most), max(0.0, grade)))
    return json.dumps({key: int(grade) if grade.is_integer() else grade for key, grade in found.items()})


def sound(around: Surroundings, _at: int, old: Sequence[Old]) -> Told:
    """A row of audio_files: its file lies open, outside of the database."""
    key, _, _, _, _, person_key, email, created = old
    return Told(None, _person(around, person_key, email, created), _name(key), ("sound_elsewhere",))


def feedback(around: Surroundings, _at: int, old: Sequence[Old]) -> Told:
    """A row of session_feedback; the text is still open."""
    key, _, writer, stars, text, body, mind, said_at, session_key, start, end, person_key, email, created, *of_writer = old
    name, person = _name(key), _person(around, person_key, email, created)
    times = rules.span(start, end, around.limit_ms) if person and session_key is not None else "session_unknown"
    if isinstance(times, str):
        return Told(None, person, name, ("session_unknown",))
    if writer is not None and writer != person_key:
        return Told(None, _person(around, *of_writer), name, ("person_differs",))
    start_ms, end_ms, _ = times
    why: list[str] = []
    rating = rules.whole(stars)
    if stars is not None and (rating is None or not 1 <= rating <= 5):
        why.append("rating_odd")
        rating = None
    told_ms = rules.moment_ms(said_at)
    if told_ms is None or not FIRST_MS <= told_ms <= around.limit_ms:
        told_ms = start_ms if end_ms is None else end_ms
    row = (
        new_id("session_feedback", key, told_ms), person, new_id("sessions", session_key, start_ms), rules.stamp(start_ms),
        None if rating is None else str(rating), words(text, why) or None, _effects(body, 3, why), _effects(mind, 3, why),
        rules.stamp(told_ms), "1",
    )  # fmt: skip
    return Told(row, person, name, tuple(dict.fromkeys(why)))


def day(around: Surroundings, _at: int, old: Sequence[Old]) -> Told:
    """A row of progress_tracking; the notes are still open."""
    key, _, date, metrics, notes, sleep, stress, focus, person_key, email, created, superseded = old
    name, person = _name(key), _person(around, person_key, email, created)
    if person is None:
        return Told(None, None, name, ("person_unknown",))
    day_ms = rules.moment_ms(date)
    if day_ms is None or not FIRST_MS <= day_ms <= around.limit_ms:
        return Told(None, person, name, ("day_unknown",))
    if superseded:
        return Told(None, person, name, ("day_twice",))
    why: list[str] = []
    row = (
        new_id("progress_tracking", key, day_ms), person, rules.stamp(day_ms)[:10], _metrics(metrics, why), words(notes, why) or None,
        _score(sleep, 1, 10, why), _score(stress, 1, 10, why), _score(focus, 1, 10, why),
    )  # fmt: skip
    return Told(row, person, name, tuple(dict.fromkeys(why)))


def _metrics(value: Old, why: list[str]) -> str | None:
    told = json.loads(_name(value)) if value is not None else None
    if told is None:
        return None
    given = told if isinstance(told, dict) else {}
    found = {
        key: one for key, one in given.items()
        if isinstance(one, (int, float)) and not isinstance(one, bool) and 1 <= len(key) <= 40
    }  # fmt: skip
    found = dict(list(found.items())[:30])
    if found != told:
        why.append("metrics_odd")
    return json.dumps(found) if found else None


TRANSLATE: dict[str, Callable[..., Told | None]] = {
    "users": user, "user_preferences": preferences, "no_preferences": no_preferences, "neural_profiles": profile, "sessions": session,
    "audio_files": sound, "session_feedback": feedback, "progress_tracking": day,
}  # fmt: skip
