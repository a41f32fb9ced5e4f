"""Starting, hearing and finding sessions, as pages and under /api/v1."""

from __future__ import annotations

import asyncio
import datetime as dt
import secrets
from collections.abc import Iterator
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

import msgspec
from litestar import Request, Response
from litestar.background_tasks import BackgroundTask
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter, URLEncodedBody
from litestar.response import Stream
from markupsafe import Markup

from stillwave.accounts import actions as accounts
from stillwave.accounts.actions import BACKGROUNDS
from stillwave.db.database import Tx
from stillwave.db.ids import NEWEST
from stillwave.errors import BadInput, Conflict, NothingLeft, ScreeningNeeded
from stillwave.profiles.rules import STATES
from stillwave.sessions import actions, audio, rules
from stillwave.sessions.rules import Progress, Wish
from stillwave.sessions.store import SessionRow
from stillwave.sound.programme import WITH_BEAT
from stillwave.web import charts, gate, once, pages, sheet
from stillwave.web.gate import Me
from stillwave.web.intake import read_form
from stillwave.web.kit import kit_of
from stillwave.web.routes import api_get, api_patch, api_post, page_get, page_post

Form = URLEncodedBody[dict[str, Any]]
Ask = Request[Any, Any, Any]
_PAGE = 20
_CSV_HEAD = (
    "start", "end", "kind", "from_state", "to_state", "minutes", "heard_s", "target_hz", "base_hz", "method", "background",
    "volume_level", "rating_of_5", "effectiveness_of_10", "reason", "id",
)  # fmt: skip
_METHODS = {
    "binaural": "Binaural beats", "monaural": "Monaural beats", "isochronic": "Isochronic tones",
    "am": "Pulsing background", "steady": "Steady tone, no beat",
}  # fmt: skip
_COMPARED = {"hidden": "hidden", "beat": "With the beat", "steady": "Without the beat: both ears heard the same tone"}


class Session(msgspec.Struct, kw_only=True):
    """A session as the API shows it. `audio_url` takes byte ranges.

    `comparison` is null, or "hidden" until the person asks, then "beat" or "steady". `method` is what was planned.
    """

    id: UUID
    kind: str | None
    initial_state: str | None
    target_state: str | None
    start_time: dt.datetime
    end_time: dt.datetime | None
    target_hz: float | None
    base_hz: float | None
    volume_level: int | None
    effectiveness: int | None
    position_s: int
    seconds: int | None
    method: str | None
    background: str | None
    reason: str | None
    warnings: tuple[str, ...]
    comparison: str | None
    audio_url: str | None
    flac_url: str | None
    opus_url: str | None


class SessionPage(msgspec.Struct):
    """Sessions, newest first; `next` is the address of the older ones."""

    items: list[Session]
    next: str | None


class Measured(msgspec.Struct):
    """What the sound of a session really contains; null until it was measured, and while the comparison hides it."""

    session_id: UUID
    frequency_data: msgspec.Raw | None


def _shown(row: SessionRow) -> Session:
    plan, sound = row.planned(), row.sound()
    url = f"/api/v1/sessions/{row.id}/audio"
    return Session(
        id=row.id, kind=row.session_type, initial_state=row.initial_state, target_state=row.target_state,
        start_time=row.start_time, end_time=row.end_time, target_hz=row.target_frequency,
        base_hz=row.base_frequency, volume_level=row.volume_level, effectiveness=row.effectiveness_rating,
        position_s=row.position_s, seconds=round(sound.seconds) if sound else None,
        method=plan.method if plan else sound.method if sound else None, background=sound.bed if sound else None,
        reason=plan.reason if plan else None, warnings=plan.warnings if plan else (),
        comparison="hidden" if row.hidden else row.arm,
        audio_url=f"{url}.wav" if sound else None, flac_url=f"{url}.flac" if sound else None,
        opus_url=f"{url}.opus" if sound else None,
    )  # fmt: skip


# --- API ----------------------------------------------------------------------------------------


@api_post("/api/v1/sessions", tags=["sessions"], once=True, short=True)
def start_session(request: Ask, data: JSONBody[Wish]) -> Response[Session]:
    """Plan a session for the person and make its sound available."""
    kit = kit_of(request)
    def produce(tx: Tx, me: Me) -> Session:
        row = actions.start(tx, me, data, kit.clock(), secrets.randbelow(2**53))
        actions.measure_soon(tx, me.user_id, row.id, kit.clock())
        return _shown(row)

    return once.answer(request, produce)


@api_get("/api/v1/sessions", tags=["sessions"], short=True)
def list_sessions(
    request: Ask,
    before: FromQuery[UUID] = NEWEST,
    limit: Annotated[int, QueryParameter(ge=1, le=100)] = _PAGE,
) -> SessionPage:
    """The person's sessions, newest first, a page at a time."""
    with gate.read(request) as (tx, me):
        rows = actions.page(tx, me.user_id, before, limit + 1, now=kit_of(request).clock())
    more = f"/api/v1/sessions?before={rows[limit - 1].id}&limit={limit}" if len(rows) > limit else None
    return SessionPage([_shown(row) for row in rows[:limit]], more)


@api_get("/api/v1/sessions/{session_id:uuid}", tags=["sessions"], short=True)
def read_session(request: Ask, session_id: FromPath[UUID]) -> Session:
    """One session."""
    with gate.read(request) as (tx, me):
        return _shown(actions.one(tx, me.user_id, session_id))


@api_patch("/api/v1/sessions/{session_id:uuid}", tags=["sessions"], short=True)
def follow_session(request: Ask, session_id: FromPath[UUID], data: JSONBody[Progress]) -> Session:
    """Say where the listener is, and when the session is over."""
    with gate.write(request) as (tx, me):
        return _shown(actions.follow(tx, me.user_id, session_id, data, kit_of(request).clock()))


@api_get("/api/v1/sessions/{session_id:uuid}/measured", tags=["sessions"], short=True)
def read_measured(request: Ask, session_id: FromPath[UUID]) -> Measured:
    """What the sound contains: carriers, beat and its error against the plan, level, loudness."""
    with gate.read(request) as (tx, me):
        row = actions.audio_row(tx, me.user_id, session_id)
        found = None if actions.one(tx, me.user_id, session_id).hidden else row.frequency_data
    return Measured(session_id, msgspec.Raw(found.encode()) if found else None)


@api_post("/api/v1/sessions/{session_id:uuid}/reveal", status_code=200, tags=["comparison"])
def reveal_session(request: Ask, session_id: FromPath[UUID]) -> Session:
    """Show whether this session had the beat; ratings given from now on do not count in the comparison."""
    with gate.write(request) as (tx, me):
        return _shown(actions.reveal(tx, me.user_id, session_id, kit_of(request).clock()))


def _sound(
    content: Iterator[bytes], *, size: int, span: tuple[int, int] | None, kind: str, tag: str, name: str
) -> Response[Any]:
    headers = {
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-store",
        "ETag": tag,
        "Content-Length": str(size if span is None else span[1] - span[0]),
        "Content-Disposition": name,
    }
    if span is not None:
        headers["Content-Range"] = f"bytes {span[0]}-{span[1] - 1}/{size}"
    return _stream(content, headers, kind, 200 if span is None else 206)


def _stream(content: Iterator[bytes], headers: dict[str, str], kind: str, status: int = 200) -> Response[Any]:
    # Litestar takes a piece when the one before was sent, and runs the background task also when the listener left.
    pieces = audio.Pieces(content)
    closing = BackgroundTask(asyncio.to_thread, pieces.close)
    return Stream(pieces, status_code=status, headers=headers, media_type=kind, background=closing)


def _span(request: Ask, size: int, tag: str) -> tuple[int, int] | None:
    if request.headers.get("if-range", tag) != tag:
        return None
    return audio.wanted(request.headers.get("range"), size)


@api_get("/api/v1/sessions/{session_id:uuid}/audio.wav", tags=["sessions"], media_type="audio/wav", ranges=True)
def stream_wav(request: Ask, session_id: FromPath[UUID]) -> Response[Any]:
    """The sound as 24-bit WAV, rendered as it is sent; any byte range."""
    with gate.read(request) as (tx, me):
        programme = audio.sound_of(actions.one(tx, me.user_id, session_id))
    size, tag = audio.wav_size(programme), audio.etag(programme)
    span = _span(request, size, tag)
    return _sound(
        kit_of(request).meter.streaming(audio.wav(programme, *(span or (0, size)))), size=size, span=span, kind="audio/wav", tag=tag,
        name="inline",
    )  # fmt: skip


@api_get("/api/v1/sessions/{session_id:uuid}/audio.opus", tags=["sessions"], media_type="audio/ogg")
def stream_opus(request: Ask, session_id: FromPath[UUID]) -> Response[Any]:
    """The sound as Ogg Opus at 160 kb/s for phones, coded as it is sent: no length is known beforehand, no ranges."""
    with gate.read(request) as (tx, me):
        session = actions.one(tx, me.user_id, session_id)
    programme, shown = audio.sound_of(session), _shown(session)
    told = audio.tags(rules.title(session.session_type, session.target_state), shown.reason or "")
    headers = {"Accept-Ranges": "none", "Cache-Control": "private, no-store", "Content-Disposition": "inline"}
    return _stream(kit_of(request).meter.streaming(audio.opus(programme, told)), headers, "audio/ogg")


@api_get("/api/v1/sessions/{session_id:uuid}/audio.flac", tags=["sessions"], media_type="audio/flac", ranges=True)
def download_flac(request: Ask, session_id: FromPath[UUID]) -> Response[Any]:
    """The sound as 24-bit FLAC, the same samples; made on first use and kept sealed."""
    with gate.read(request) as (tx, me):
        session = actions.one(tx, me.user_id, session_id)
        row = actions.audio_row(tx, me.user_id, session_id)
    files: audio.SoundFiles = request.app.state.files
    _, size = files.flac(me.user_id, session, row)
    tag = audio.etag(audio.sound_of(session))
    span = _span(request, size, tag)
    return _sound(
        files.read(me.user_id, session, row, *(span or (0, size))), size=size, span=span,
        kind="audio/flac", tag=tag, name=f'attachment; filename="stillwave-{session.start_time:%Y-%m-%d-%H%M}.flac"',
    )  # fmt: skip


# --- pages --------------------------------------------------------------------------------------


def _start_page(request: Ask, **more: object) -> dict[str, Any]:
    with gate.read(request) as (tx, me):
        asked = actions.before_start(tx, me.user_id, kit_of(request).clock())
    return {
        **asked,
        "states": [{"key": key, "label": state.label, "hint": state.hint} for key, state in STATES.items()],
        "backgrounds": [{"key": key, "label": label} for key, label in BACKGROUNDS.items()],
        "confirm": [],
        "refusal": None,
        **more,
    }


@page_get("/start", short=True)
def start_page(request: Ask) -> Response[Any]:
    """The form of a session."""
    with gate.read(request) as (tx, me):
        wish = accounts.preferences(tx, me.user_id)
        kind = actions.kind_of_hour(kit_of(request).clock(), accounts.zone(tx, me.user_id))
    if me.needs:
        return pages.see_other("/")
    values = {"minutes": str(wish.preferred_duration), "background": wish.background_sound_type, "kind": kind}
    return pages.page(request, "sessions/start.html", me=me, errors={}, values=values, **_start_page(request))


@page_post("/sessions", short=True)
def start(request: Ask, data: Form) -> Response[Any]:
    """Plan a session by form and go to its player."""
    kit = kit_of(request)
    fields = {name: value == "yes" for name, value in data.items() if name in ("headphones", "confirm", "background_only", "as_usual")}
    try:
        wish = read_form({**data, **fields}, Wish)
        with gate.write(request) as (tx, me):
            row = actions.start(tx, me, wish, kit.clock(), secrets.randbelow(2**53))
            actions.measure_soon(tx, me.user_id, row.id, kit.clock())
    except (NothingLeft, ScreeningNeeded) as error:
        refusal = {
            "reason": error.detail,
            "possible": error.extra.get("possible", []),
            "background_only": error.extra.get("background_only", False),
        }
        return pages.form_again(request, "sessions/start.html", data, error, **_start_page(request, refusal=refusal))
    except (BadInput, Conflict) as error:
        confirm = error.extra.get("confirm", [])
        return pages.form_again(request, "sessions/start.html", data, error, **_start_page(request, confirm=confirm))
    return pages.see_other(f"/sessions/{row.id}")


@page_get("/sessions/{session_id:uuid}", short=True)
def player_page(request: Ask, session_id: FromPath[UUID]) -> Response[str]:
    """The player."""
    with gate.read(request) as (tx, me):
        row = actions.one(tx, me.user_id, session_id)
        measured = actions.measured(tx, me.user_id, session_id)
    shown = _shown(row)
    session = {
        "id": row.id,
        "title": rules.title(row.session_type, row.target_state),
        "reason": shown.reason or "",
        "minutes": round((shown.seconds or 0) / 60),
        "seconds": shown.seconds or 0,
        "position_s": row.position_s,
        "position_at": "",
        "target_hz": row.target_frequency,
        "method_label": _METHODS.get(shown.method or "", "Background sound"),
        "volume_level": row.volume_level,
        "warnings": shown.warnings,
        "has_beat": shown.method in WITH_BEAT,
        "audio_url": shown.audio_url or "",
        "flac_url": shown.flac_url,
        "opus_url": shown.opus_url,
        "path_json": _drawn_path(row),
        "ears": _ears(row),
        "speaker": _for_speaker(row, shown),
        "path_svg": _path_picture(row),
        "measured": measured,
        "comparison": _COMPARED.get(shown.comparison or ""),
    }
    return pages.page(request, "sessions/player.html", me=me, session=session)


def _ears(row: SessionRow) -> tuple[float, float] | None:
    """The planned tones of the left and the right ear once the target is reached, where each ear has its own."""
    if _shown(row).method != "binaural" or row.base_frequency is None or row.target_frequency is None:
        return None
    half_hz = row.target_frequency / 2
    return round(row.base_frequency - half_hz, 2), round(row.base_frequency + half_hz, 2)


def _for_speaker(row: SessionRow, shown: Session) -> dict[str, Any] | None:
    """The form that plans the same wish for one speaker, where the session needs two ears."""
    if shown.method != "binaural" or row.target_state is None:
        return None
    wish = {
        "kind": row.session_type or "custom", "initial_state": row.initial_state or "unsure",
        "target_state": row.target_state, "minutes": round((shown.seconds or 0) / 60),
        "background": shown.background, "listening": "speaker",
    }  # fmt: skip
    return {name: value for name, value in wish.items() if value is not None}


def _drawn_path(row: SessionRow) -> str:
    """The beat over time for the picture that breathes with it, as JSON."""
    sound = row.sound()
    points = rules.path(sound) if sound and sound.method != "none" else []
    return msgspec.json.encode([(round(s), round(hz, 2)) for s, hz in points]).decode()


def _path_picture(row: SessionRow) -> Markup:
    """As it was planned: whether a session of the comparison had the beat is not for a picture to tell."""
    sound = row.sound()
    if sound is None or _shown(row).method not in WITH_BEAT:
        return Markup("")
    points = rules.path(sound)
    label = "Beat frequency over the session"
    return Markup(charts.frequency_path(points, label=label) + charts.frequency_path_table(points, label=label))  # noqa: S704  our own SVG


@page_post("/sessions/{session_id:uuid}/reveal")
def reveal(request: Ask, session_id: FromPath[UUID], data: Form) -> Response[Any]:
    """Show by form whether this session had the beat."""
    del data
    with gate.write(request) as (tx, me):
        row = actions.reveal(tx, me.user_id, session_id, kit_of(request).clock())
    return pages.see_other(f"/sessions/{session_id}", notice=f"{_COMPARED[row.arm]}." if row.arm else None)


@page_get("/history", short=True)
def history_page(
    request: Ask, before: FromQuery[UUID] = NEWEST, to_state: FromQuery[str] = "", rated: FromQuery[str] = ""
) -> Response[str]:
    """Past sessions; `to_state` and `rated` leave out others."""
    now = kit_of(request).clock()
    with gate.read(request) as (tx, me):
        zone = accounts.zone(tx, me.user_id)
        rows = actions.page(tx, me.user_id, before, _PAGE + 1, now=now, state=to_state, rated=rated)
    chosen = {name: value for name, value in (("to_state", to_state), ("rated", rated)) if value}
    older = urlencode({**chosen, "before": str(rows[_PAGE - 1].id)}) if len(rows) > _PAGE else None
    return pages.page(
        request, "sessions/history.html", me=me, values=chosen, filtered=bool(chosen),
        states=[{"key": "", "label": "Anything"}, *({"key": key, "label": one.label} for key, one in STATES.items())],
        sessions=[actions.card(row, zone, now) for row in rows[:_PAGE]],
        next_url=f"/history?{older}" if older else None,
    )  # fmt: skip


@page_get("/sessions.csv")
def sessions_csv(request: Ask) -> Response[bytes]:
    """Every session as a table for spreadsheets; times in the person's zone."""
    with gate.read(request) as (tx, me):
        zone = accounts.zone(tx, me.user_id)
        rows = [_csv_row(row, zone) for row in actions.everything(tx, me.user_id)]
    return sheet.download(f"stillwave-sessions-{kit_of(request).clock():%Y-%m-%d}.csv", _CSV_HEAD, rows)


def _csv_row(row: SessionRow, zone: dt.tzinfo) -> tuple[object, ...]:
    shown = _shown(row)
    return (
        row.start_time.astimezone(zone).isoformat(timespec="seconds"),
        row.end_time.astimezone(zone).isoformat(timespec="seconds") if row.end_time else None,
        row.session_type, row.initial_state, row.target_state, round(shown.seconds / 60, 1) if shown.seconds else None,
        row.position_s, row.target_frequency, row.base_frequency, shown.method, shown.background, row.volume_level,
        row.rating, row.effectiveness_rating, shown.reason, str(row.id),
    )  # fmt: skip


HANDLERS = [
    start_session, list_sessions, read_session, follow_session, read_measured, reveal_session, stream_wav, stream_opus, download_flac,
    start_page, start, player_page, reveal, history_page, sessions_csv,
]  # fmt: skip
