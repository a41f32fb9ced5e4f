"""The people in the tests. Alice and Bob are listeners; Charlie wants what is not theirs."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import NamedTuple

from stillwave.settings import Settings, load

NOW = dt.datetime(2026, 11, 25, 10, 0, tzinfo=dt.UTC)
ROOT_KEY = "5711" * 16


class Person(NamedTuple):
    """What somebody would type into the sign-up form."""

    name: str
    email: str
    phone_number: str
    password: str


ALICE = Person("Alice", "alice@example.org", "+41446681800", "violet harbour seventeen kites")
BOB = Person("Bob", "bob@example.org", "+14155552671", "marble canyon eleven lanterns")
CHARLIE = Person("Charlie", "charlie@example.net", "+442071838750", "copper meadow thirty whistles")


class Clock:
    """A clock that stands still until it is told to go on."""

    def __init__(self, now: dt.datetime = NOW) -> None:
        self.now = now

    def __call__(self) -> dt.datetime:
        return self.now

    def advance(self, **by: float) -> dt.datetime:
        """The time after going on by `by` (as timedelta takes it)."""
        self.now += dt.timedelta(**by)
        return self.now


def settings_for(data_dir: Path, database_url: str | None = None) -> Settings:
    """Settings as an operator would set them, with a known root key."""
    environ = {"STILLWAVE_DATA_DIR": str(data_dir), "STILLWAVE_ROOT_KEY": ROOT_KEY, "STILLWAVE_ERASURE_DAYS": "0"}
    if database_url:
        environ["STILLWAVE_DATABASE_URL"] = database_url
    return load(environ)
