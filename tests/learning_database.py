"""One spelling for both engines, and the people and sessions the learning tests need."""

import json
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stillwave.profiles import curve

if TYPE_CHECKING:
    from collections.abc import Sequence

SQL = Path(__file__).parents[1] / "src" / "stillwave" / "db" / "sql"
T0 = datetime(2026, 1, 5, 6, tzinfo=UTC)


def scripts(engine: str) -> list[str]:
    """The functions, views and triggers, in the order in which they are applied."""
    folders = ("functions", "views", "triggers")
    return [path.read_text() for folder in folders for path in sorted((SQL / engine / folder).glob("*.sql"))]


def key_at(moment: datetime) -> str:
    """A UUIDv7 of this millisecond."""
    raw = uuid.uuid4().int & ((1 << 80) - 1) | (round(moment.timestamp() * 1000) << 80)
    raw = raw & ~(0xF << 76) | (0x7 << 76)
    return str(uuid.UUID(int=raw & ~(0x3 << 62) | (0x2 << 62)))


class Database:
    """One engine behind one spelling: `?` in statements, ISO text for times, JSON as text."""

    def __init__(self, connection: Any, engine: str) -> None:
        self.connection, self.engine = connection, engine

    def run(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        if self.engine == "postgres":
            statement = statement.replace("?", "%s")
        cursor = self.connection.execute(statement, values or None if self.engine == "postgres" else values)
        return list(cursor.fetchall()) if cursor.description else []

    def moment(self, at: datetime) -> Any:
        if self.engine == "postgres":
            return at
        return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"

    def apply_code(self) -> None:
        for script in scripts(self.engine):
            if self.engine == "postgres":
                self.connection.execute(script)
            else:
                self.connection.executescript(script)

    def person(self, **columns: Any) -> str:
        person = key_at(T0)
        values = {
            "id": person,
            "email": "sw1.e",
            "email_index": uuid.uuid4().hex * 2,
            "phone_number": "sw1.p",
            "phone_index": uuid.uuid4().hex * 2,
            "password_hash": "x",
            **columns,
        }
        self._insert("users", values)
        return person

    def session(self, person: str, at: datetime, **columns: Any) -> tuple[str, datetime]:
        key = key_at(at)
        self._insert("sessions", {"id": key, "user_id": person, "start_time": self.moment(at), **columns})
        return key, at

    def feedback(self, person: str, session: tuple[str, datetime], at: datetime, **columns: Any) -> str:
        key = key_at(at)
        for column in ("physical_effects", "mental_effects"):
            if isinstance(columns.get(column), dict | list):
                columns[column] = json.dumps(columns[column])
        values = {
            "id": key,
            "user_id": person,
            "session_id": session[0],
            "session_start_time": self.moment(session[1]),
            "created_at": self.moment(at),
        }
        self._insert("session_feedback", values | columns)
        return key

    def _insert(self, table: str, values: dict[str, Any]) -> None:
        columns, marks = ", ".join(values), ", ".join("?" * len(values))
        self.run(f"INSERT INTO {table} ({columns}) VALUES ({marks})", *values.values())

    def rated(
        self, person: str, at: datetime, hz: float | None = 10.0, rating: int | None = 4, **columns: Any
    ) -> str:
        """A session at `at` and its feedback a minute later."""
        session = self.session(
            person, at, target_frequency=hz, effectiveness_rating=columns.pop("effectiveness", None),
            target_state=columns.pop("target_state", None),
        )  # fmt: skip
        return self.feedback(person, session, at + timedelta(minutes=1), rating=rating, **columns)

    def rebuild(self, person: str) -> None:
        if self.engine == "postgres":
            self.run("SELECT rebuild_neural_profile(?)", person)
        else:
            self.run("INSERT INTO rebuild_neural_profile (user_id) VALUES (?)", person)

    def ranges(self, band: str) -> str:
        if self.engine == "postgres":
            return f"CAST(lower({band}_range) AS float8), CAST(upper({band}_range) AS float8)"
        return f"{band}_range_low, {band}_range_high"

    def profile(self, person: str) -> tuple[Any, ...]:
        """Everything of the profile that learning writes, or () if there is none."""
        text = "CAST(base_frequency_response AS text), CAST(contraindications AS text)"
        if self.engine == "postgres":
            text = "CAST(base_frequency_response AS text), CAST(to_json(contraindications) AS text)"
        rows = self.run(
            f"SELECT {text}, optimal_transition_time, sensitivity_level, updated_at,"
            f" {', '.join(self.ranges(band) for band in ('delta', 'theta', 'alpha', 'gamma'))}"
            " FROM neural_profiles WHERE user_id = ?",
            person,
        )
        return rows[0] if rows else ()

    def state(self, person: str) -> curve.Response:
        return curve.parse(self.profile(person)[0])

    def flags(self, person: str) -> list[str]:
        return list(json.loads(self.profile(person)[1]))

    def history(self, person: str) -> dict[str, dict[str, Any]]:
        rows = self.run(
            "SELECT feedback_id, CAST(change AS text) FROM profile_history WHERE user_id = ?", person
        )
        return {str(key): json.loads(change) for key, change in rows}

    def base(self, person: str) -> curve.Response | None:
        """What retention kept of the feedback that it removed."""
        rows = self.run("SELECT CAST(state AS text) FROM learning_base WHERE user_id = ?", person)
        return curve.parse(rows[0][0]) if rows else None

    def answers(self, person: str) -> list[tuple[str, curve.Feedback]]:
        """All feedback that teaches, in fold order, for the Python reference."""
        rows = self.run(
            "SELECT f.id, f.rating, s.effectiveness_rating, CAST(s.target_frequency AS float8), s.target_state,"
            " CAST(f.physical_effects AS text), CAST(f.mental_effects AS text)"
            " FROM session_feedback f JOIN sessions s ON s.user_id = f.user_id AND s.id = f.session_id"
            f" WHERE f.user_id = ? AND f.learns = {'true' if self.engine == 'postgres' else '1'}"
            " ORDER BY f.created_at, f.id",
            person,
        )
        return [
            (
                str(key),
                curve.Feedback(
                    rating, effect, hz, json.loads(body) if body else None, json.loads(mind) if mind else None, wanted
                ),
            )
            for key, rating, effect, hz, wanted, body, mind in rows
        ]


def numbers(value: Any) -> list[float]:
    """Every number of a nested value, in a fixed order."""
    if isinstance(value, dict):
        return [found for key in sorted(value) for found in numbers(value[key])]
    if isinstance(value, list | tuple):
        return [found for part in value for found in numbers(part)]
    return [float(value)] if isinstance(value, int | float) else []


def distance(left: Any, right: Any) -> float:
    """The largest difference between the numbers of two values of the same shape."""
    pairs: Sequence[tuple[float, float]] = list(zip(numbers(left), numbers(right), strict=True))
    return max((abs(a - b) for a, b in pairs), default=0.0)
