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
_RECENT = dt.timedelta(days=180)  # most people fill a page by then; another look costs as much as five months more
_FILTERED_AT_ONCE = 100  # sessions whose ratings are looked at together


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


class _Told(msgspec.Struct, frozen=True):
    session_id: UUID
    rating: int | None


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


def insert(tx: Tx, user_id: UUID, session_id: UUID, **columns: object) -> SessionRow:
    """The session is stored; it begins at the time inside its id."""
    return tx.stored(SessionRow, SQL.insert_session, user_id=user_id, id=session_id, start_time=moment(session_id), **columns)


def by_id(tx: Tx, user_id: UUID, session_id: UUID) -> SessionRow | None:
    """The person's session."""
    return tx.one(
        SessionRow, SQL.session_by_id, user_id=user_id, id=session_id, start_time=moment(session_id)
    )


def page(
    tx: Tx, user_id: UUID, before: UUID, most: int, *, now: dt.datetime | None = None, state: str = "", rated: str = ""
) -> list[SessionRow]:
    """At most `most` sessions made before the id `before`, newest first; only those to `state`, only (un)rated ones.

    With `now` the recent months are looked at first, then as far as the page takes at the pace found there, then all:
    months that are not needed are not opened.
    """
    rows: list[SessionRow] = []
    until = moment(before)
    since = min(now, until) - _RECENT if now else _BEGINNING
    looks = 1
    while len(rows) < most:
        wanted = _FILTERED_AT_ONCE if rated else most - len(rows)
        found = tx.all(SessionRow, SQL.page_of_sessions, user_id=user_id, before_id=before, since=since, until=until,
                       most=wanted, state=state)  # fmt: skip
        if rated:
            rows += [row for row in _with_ratings(tx, user_id, found) if (rated == "yes") == (row.feedbacks > 0)]
        else:
            rows += found
        if len(found) == wanted:
            before, until = found[-1].id, found[-1].start_time
        elif since == _BEGINNING:
            break
        else:
            until, looks = since - _MILLISECOND, looks + 1
            further = _RECENT * min(100, 1.5 * (most - len(rows)) / len(rows)) if rows and looks == 2 else None
            since = max(_BEGINNING, since - further) if further else _BEGINNING
    return rows[:most] if rated else _with_ratings(tx, user_id, rows)


def _with_ratings(tx: Tx, user_id: UUID, rows: list[SessionRow]) -> list[SessionRow]:
    """The sessions, newest first, each with its latest rating and how many there are."""
    if not rows:
        return []
    told: dict[UUID, list[int | None]] = {}
    for one in tx.all(_Told, SQL.ratings_between, user_id=user_id, oldest=rows[-1].id, newest=rows[0].id,
                      since=rows[-1].start_time, until=rows[0].start_time):  # fmt: skip
        told.setdefault(one.session_id, []).append(one.rating)
    return [
        msgspec.structs.replace(row, rating=told[row.id][-1], feedbacks=len(told[row.id])) if row.id in told else row
        for row in rows
    ]


def audio(tx: Tx, user_id: UUID, session_id: UUID) -> AudioRow | None:
    """The row of the session's canonical sound file."""
    return tx.one(
        AudioRow, SQL.audio_of, user_id=user_id, session_id=session_id, start_time=moment(session_id)
    )
