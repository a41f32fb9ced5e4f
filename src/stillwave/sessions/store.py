"""Rows of sessions and audio_files."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from uuid import UUID

import msgspec

from stillwave.db.database import Queries, Tx
from stillwave.db.ids import moment
from stillwave.profiles.rules import Plan
from stillwave.profiles.trial import Arm
from stillwave.sound.programme import Programme

SQL = Queries(Path(__file__).parent)
_BEGINNING = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MILLISECOND = dt.timedelta(milliseconds=1)  # start times are whole ones


class SessionRow(msgspec.Struct, frozen=True, kw_only=True):
    """A session; `plan` and `programme` are JSON text (None for rows that came without)."""

    id: UUID
    start_time: dt.datetime
    end_time: dt.datetime | None
    session_type: str | None
    initial_state: str | None
    target_state: str | None
    effectiveness_rating: int | None
    base_frequency: float | None
    target_frequency: float | None
    volume_level: int | None
    position_s: int
    plan: str | None
    programme: str | None
    arm: Arm | None = None
    arm_revealed_at: dt.datetime | None = None
    rating: int | None = None
    feedbacks: int = 0

    @property
    def hidden(self) -> bool:
        """Part of the comparison, and the person has not looked: nothing may tell which half it is."""
        return self.arm is not None and self.arm_revealed_at is None

    def planned(self) -> Plan | None:
        """The plan as it was made."""
        return msgspec.json.decode(self.plan, type=Plan) if self.plan else None

    def sound(self) -> Programme | None:
        """The programme its sound is a function of."""
        return msgspec.json.decode(self.programme, type=Programme) if self.programme else None


class AudioRow(msgspec.Struct, frozen=True):
    """The canonical sound file of a session; it may have to be rendered (again) first."""

    id: UUID
    file_path: str
    duration: int
    size_bytes: int | None
    frequency_data: str | None


class Unlink(msgspec.Struct, frozen=True):
    """A file whose row is gone."""

    user_id: UUID
    id: UUID
    file_path: str


class Named(msgspec.Struct, frozen=True):
    """A file that a row names."""

    file_path: str


def by_id(tx: Tx, user_id: UUID, session_id: UUID) -> SessionRow | None:
    """The person's session."""
    return tx.one(
        SessionRow, SQL.session_by_id, user_id=user_id, id=session_id, start_time=moment(session_id)
    )


def page(
    tx: Tx, user_id: UUID, before: UUID, most: int, *, since: tuple[dt.datetime, ...] = (), state: str = "", rated: str = ""
) -> list[SessionRow]:
    """At most `most` sessions made before the id `before`, newest first; only those to `state`, only (un)rated ones.

    They are looked for since each time of `since` in turn, then in all that is older: once a page is full, the months
    before need not be opened.
    """
    rows: list[SessionRow] = []
    until = moment(before)
    for first in (*since, _BEGINNING):
        if len(rows) < most and first <= until:
            rows += tx.all(
                SessionRow, SQL.page_of_sessions, user_id=user_id, before_id=before, since=first, until=until,
                most=most - len(rows), state=state, rated=rated,
            )  # fmt: skip
            until = first - _MILLISECOND
    return rows


def audio(tx: Tx, user_id: UUID, session_id: UUID) -> AudioRow | None:
    """The row of the session's canonical sound file."""
    return tx.one(
        AudioRow, SQL.audio_of, user_id=user_id, session_id=session_id, start_time=moment(session_id)
    )
