"""Planning a session, following it, and looking back at sessions."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import msgspec

from stillwave.accounts import actions as accounts
from stillwave.db import audit
from stillwave.db.database import Tx
from stillwave.db.ids import NEWEST, moment, uuid7
from stillwave.errors import BadInput, NotFound
from stillwave.jobs import actions as jobs
from stillwave.profiles import actions as profiles
from stillwave.profiles.rules import STATES, Kind
from stillwave.sessions import audio, rules, store
from stillwave.sessions.rules import Progress, Wish
from stillwave.sessions.store import SQL, AudioRow, SessionRow
from stillwave.sound import programme as sound
from stillwave.web.gate import Me

_AT_ONCE = 500
# The kind of the job that measures a session's sound.
MEASURE = "measure"
# The hours of the day in which a morning or an evening session is suggested.
_MORNING, _EVENING = range(4, 12), (*range(18, 24), *range(4))
_PLANNED_MOST_MIN = 240  # a longer sound, from the command line, is this plan held for longer


def start(tx: Tx, me: Me, wish: Wish, now: dt.datetime, seed: int) -> SessionRow:
    """The session is planned from what is known of the person and stored with its sound's programme.

    Raises ConsentNeeded, ScreeningNeeded, BadInput, NothingLeft (the screening leaves nothing of it), or
    Conflict with `confirm` when something must be confirmed first.
    """
    me.must_be_ready()
    liked = accounts.preferences(tx, me.user_id)
    wanted = profiles.Wanted(
        initial_state=wish.initial_state, target_state=wish.target_state, kind=wish.kind, choice=wish.choice,
        minutes=liked.preferred_duration if wish.minutes is None else wish.minutes,
        background=liked.background_sound_type if wish.background is None else wish.background,
        voice=liked.voice_preference, zone=accounts.zone_of(liked), headphones=wish.headphones, listening=wish.listening, confirmed=wish.confirm,
        background_only=wish.background_only, as_usual=wish.as_usual,
    )  # fmt: skip
    known, mended = profiles.mended(tx, me.user_id, now)
    plan = profiles.plan(tx, me.user_id, known, wanted, now, seed)
    if mended:
        plan = msgspec.structs.replace(plan, warnings=(*plan.warnings, mended))
    arm = profiles.arm(tx, me.user_id, plan, seed)
    programme = rules.programme(plan, wish.kind, seed, wish.target_state, arm)
    check(programme)
    session_id = uuid7(now)
    row = store.insert(
        tx, me.user_id, session_id, session_type=wish.kind,
        initial_state=wish.initial_state, target_state=wish.target_state, base_frequency=plan.base_hz,
        target_frequency=plan.target_hz if plan.beat else None, volume_level=plan.volume_level,
        plan=msgspec.json.encode(plan).decode(), programme=msgspec.json.encode(programme).decode(), arm=arm,
    )  # fmt: skip
    tx.run(
        SQL.insert_audio, user_id=me.user_id, id=uuid7(now), session_id=session_id, start_time=now, now=now,
        file_path=audio.new_file_name(), duration=round(programme.seconds),
    )  # fmt: skip
    audit.note(tx, me.user_id, "session.started", now, session=str(session_id))
    return row


def before_start(tx: Tx, user_id: UUID, now: dt.datetime) -> dict[str, Any]:
    """What the form of a session tells: whether the safety questions come first, and what the diary says."""
    return {
        "ask_again": profiles.current(tx, user_id, now).ask_again,
        "burdens": profiles.burdens(tx, user_id, now, accounts.zone(tx, user_id)),
    }


def measure_soon(tx: Tx, user_id: UUID, session_id: UUID, now: dt.datetime) -> None:
    """The worker will measure the session's sound into `frequency_data`."""
    jobs.enqueue(tx, user_id, MEASURE, str(session_id), now, lane="slow")


def check(programme: sound.Programme) -> None:
    """Raises BadInput for a programme that the engine would not render."""
    try:
        sound.check(programme)
    except ValueError as error:
        field, _, rest = str(error).partition(" ")
        raise BadInput(field, rest) from None


def one(tx: Tx, user_id: UUID, session_id: UUID) -> SessionRow:
    """The person's session. Raises NotFound, also for somebody else's."""
    row = store.by_id(tx, user_id, session_id)
    if row is None:
        raise NotFound("There is no such session.")
    return row


def page(
    tx: Tx, user_id: UUID, before: UUID, most: int, *, now: dt.datetime | None = None, state: str = "", rated: str = ""
) -> list[SessionRow]:
    """Sessions older than the id `before`, newest first; `state` and `rated` ("yes", "no") leave out others.

    For pages that people look at say `now`: the months that are likely to fill one are then opened first. Raises BadInput for a state or word that is not known.
    """
    if state and state not in STATES:
        raise BadInput("to_state", "is not one that sessions lead to", list(STATES))
    if rated not in ("", "yes", "no"):
        raise BadInput("rated", "is not understood", ["yes", "no"])
    return store.page(tx, user_id, before, most, now=now, state=state, rated=rated)


def everything(tx: Tx, user_id: UUID) -> Iterator[SessionRow]:
    """Every session of the person, newest first, read in pages."""
    before = NEWEST
    while rows := store.page(tx, user_id, before, _AT_ONCE):
        yield from rows
        before = rows[-1].id


def audio_row(tx: Tx, user_id: UUID, session_id: UUID) -> AudioRow:
    """The row of the session's sound file. Raises NotFound."""
    row = store.audio(tx, user_id, session_id)
    if row is None:
        raise NotFound("There is no sound for this session.")
    return row


def measured(tx: Tx, user_id: UUID, session_id: UUID) -> dict[str, object] | None:
    """Largest beat error in Hz and the number of windows it was measured in; None before that, or while hidden."""
    row = store.audio(tx, user_id, session_id)
    if row is None or row.frequency_data is None or one(tx, user_id, session_id).hidden:
        return None
    data = msgspec.json.decode(row.frequency_data)
    if data.get("beat_error_most_hz") is None:
        return None
    return {"beat_error_hz": data["beat_error_most_hz"], "windows": len(data["windows"])}


def follow(tx: Tx, user_id: UUID, session_id: UUID, told: Progress, now: dt.datetime) -> SessionRow:
    """Where the listener is has been noted; when the session is over, its end as well."""
    row = one(tx, user_id, session_id)
    programme = row.sound()
    most = round(programme.seconds) if programme else row.position_s
    values = {"user_id": user_id, "id": session_id, "start_time": moment(session_id)}
    if told.ended:
        tx.run(SQL.end_session, position_s=min(int(told.position_s), most), end_time=max(now, row.start_time), **values)
    else:
        tx.run(SQL.set_position, position_s=min(int(told.position_s), most), **values)
    return one(tx, user_id, session_id)


def reveal(tx: Tx, user_id: UUID, session_id: UUID, now: dt.datetime) -> SessionRow:
    """The person knows whether this session had the beat. Raises NotFound."""
    row = one(tx, user_id, session_id)
    profiles.reveal(tx, user_id, session_id, max(now, row.start_time))
    return one(tx, user_id, session_id)


def kind_of_hour(now: dt.datetime, zone: dt.tzinfo) -> Kind:
    """Morning, evening, or any time, by the person's clock."""
    hour = now.astimezone(zone).hour
    return "morning" if hour in _MORNING else "evening" if hour in _EVENING else "custom"


def card(row: SessionRow, zone: dt.tzinfo, now: dt.datetime) -> dict[str, Any]:
    """A session as lists and forms show it."""
    programme = row.sound()
    return {
        "id": row.id,
        "title": rules.title(row.session_type, row.target_state),
        "when": _when(row.start_time.astimezone(zone), now.astimezone(zone)),
        "minutes": round(programme.seconds / 60) if programme else 0,
        "rating": row.rating,
        "effectiveness": row.effectiveness_rating,
        "target_hz": row.target_frequency,
        "has_file": programme is not None,
    }


def _when(then: dt.datetime, now: dt.datetime) -> str:
    days = (now.date() - then.date()).days
    day = {0: "today", 1: "yesterday"}.get(days, f"{then.day} {then:%B}" + (f" {then.year}" if then.year != now.year else ""))
    return f"{day}, {then:%H:%M}"


def unlearned(
    initial: str, target: str, minutes: int, background: str, *, headphones: bool, volume: int, seed: int,
    kind: Kind = "custom",
) -> tuple[sound.Programme, str]:
    """The programme and its reason for somebody of whom nothing is known; for the command line."""
    planned = min(minutes, _PLANNED_MOST_MIN)
    plan = profiles.unlearned_plan(initial, target, planned, background, headphones=headphones, volume=volume)
    programme = _lengthened(rules.programme(plan, kind, seed), (minutes - planned) * 60.0)
    check(programme)
    return programme, plan.reason


def _lengthened(programme: sound.Programme, more_s: float) -> sound.Programme:
    """The same way, with the longest stretch held for longer: a night of sound takes no slower ramp."""
    longest = max(programme.segments, key=lambda segment: segment.seconds)
    segments = tuple(
        msgspec.structs.replace(segment, seconds=segment.seconds + more_s) if segment is longest else segment
        for segment in programme.segments
    )
    return msgspec.structs.replace(programme, segments=segments)


def adjusted(programme: sound.Programme, *, carrier_hz: float | None = None, **fields: object) -> sound.Programme:
    """The programme with the fields that are given, and one carrier throughout. Raises BadInput."""
    given = {name: value for name, value in fields.items() if value is not None}
    if carrier_hz is not None:
        given["segments"] = tuple(
            msgspec.structs.replace(segment, carrier_from_hz=carrier_hz, carrier_to_hz=carrier_hz)
            for segment in programme.segments
        )
    changed = msgspec.structs.replace(programme, **given)
    check(changed)
    return changed
