"""The export: a ZIP of everything that is held about a person, made while it is sent.

Nothing of it is ever on disk or whole in memory: rows are read a page at a time, each page in a transaction of its
own, so that a slow line holds up nobody. What is in it, is walked from the catalogue.
"""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import io
import queue
import threading
import zipfile
from collections.abc import Iterator
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec

from stillwave import __version__
from stillwave.db import migrate, portable, tables
from stillwave.db.database import PostgresDatabase, SqliteDatabase
from stillwave.db.ids import NEWEST
from stillwave.db.tables import Column, Table
from stillwave.errors import BadInput
from stillwave.sessions import actions as sessions
from stillwave.sessions.audio import SoundFiles
from stillwave.web.sheet import plain_cell

FORMAT = 2
Sound = Literal["none", "stored", "all"]
AnyDatabase = SqliteDatabase | PostgresDatabase
_ROWS_AT_ONCE = 500
_PIECE_BYTES = 64 * 1024
_PIECES_AHEAD = 8

_README = """Your Stillwave data
===================

Everything this Stillwave holds about you, as of {when} (UTC).

- data/*.json         one file for each kind of record, opened and readable; times are UTC
- schema/*.json       what each field means, as JSON Schema (https://json-schema.org, draft 2020-12)
- csv/*.csv           the same records for spreadsheets; text that would begin a formula has an apostrophe before it
- data/audit_events.json   what was done with your account and data, and when
- sound/*.flac        the sound of your sessions{sound}
- left-out.json       what is not in here, and why (such as your password, of which only a hash is kept)
- export.json         which Stillwave made this, and when
- manifest.json       the SHA-256 of every other file, to check that nothing was altered

Any of your sessions can be heard again from its `programme` in data/sessions.json, in this Stillwave or another:
an operator takes this file in with `stillwave user import FILE`.
"""
_SOUND_SAID = {
    "none": ": left out, as you chose; it can be made again at any time",
    "stored": ": those that were made before; the others can be made at any time",
    "all": "",
}


class Wish(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the export holds besides records (`sound`), and to whom it is encrypted (`age`: a public key, age1...)."""

    sound: Sound = "none"
    age: Annotated[str, msgspec.Meta(max_length=200)] | None = None


class About(msgspec.Struct, frozen=True):
    """Which Stillwave made an export, for whom, in which form."""

    format: int
    stillwave: str
    schema: str
    person: UUID
    made_at: dt.datetime
    sound: Sound


def pieces(database: AnyDatabase, files: SoundFiles, user_id: UUID, wish: Wish, now: dt.datetime) -> Iterator[bytes]:
    """The export piece by piece, encrypted if so wished. Raises BadInput, before the first piece, for an unusable key."""
    whole = _zipped(database, files, user_id, wish, now)
    return whole if wish.age is None else _encrypted(whole, wish.age)


def _zipped(
    database: AnyDatabase, files: SoundFiles, user_id: UUID, wish: Wish, now: dt.datetime
) -> Iterator[bytes]:
    out, digests = _Passing(), dict[str, str]()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content, kind in _entries(database, files, user_id, wish, now):
            digest = hashlib.sha256()
            entry = zipfile.ZipInfo(name, now.timetuple()[:6])
            entry.compress_type = kind
            with archive.open(entry, "w", force_zip64=kind == zipfile.ZIP_STORED) as file:
                for piece in content:
                    digest.update(piece)
                    file.write(piece)
                    if out.held >= _PIECE_BYTES:
                        yield out.take()
            digests[name] = digest.hexdigest()
        archive.writestr(zipfile.ZipInfo("manifest.json", now.timetuple()[:6]), _json(digests), zipfile.ZIP_DEFLATED)
    yield out.take()


def _entries(
    database: AnyDatabase, files: SoundFiles, user_id: UUID, wish: Wish, now: dt.datetime
) -> Iterator[tuple[str, Iterator[bytes], int]]:
    about = About(FORMAT, __version__, migrate.newest(), user_id, now, wish.sound)
    said = _README.format(when=f"{now:%Y-%m-%d %H:%M}", sound=_SOUND_SAID[wish.sound])
    yield "README.txt", iter([said.encode()]), zipfile.ZIP_DEFLATED
    yield "export.json", iter([_json(about)]), zipfile.ZIP_DEFLATED
    for table in exported_tables():
        yield f"data/{table.name}.json", _as_json(_rows(database, user_id, table)), zipfile.ZIP_DEFLATED
        yield f"csv/{table.name}.csv", _as_csv(table, _rows(database, user_id, table)), zipfile.ZIP_DEFLATED
        yield f"schema/{table.name}.schema.json", iter([_json(schema(table))]), zipfile.ZIP_DEFLATED
    yield "left-out.json", iter([_json(portable.kept_back())]), zipfile.ZIP_DEFLATED
    if wish.sound != "none":
        for name, content in _sounds(database, files, user_id, only_stored=wish.sound == "stored"):
            yield name, content, zipfile.ZIP_STORED


def exported_tables() -> list[Table]:
    """The tables of the catalogue of which an export holds anything."""
    return [table for table in tables.TABLES if portable.exported(table)]


def _rows(database: AnyDatabase, user_id: UUID, table: Table) -> Iterator[portable.Row]:
    after: portable.Key | None = None
    while True:
        with database.read(user_id) as tx:
            rows, after = portable.page(tx, user_id, table, after, _ROWS_AT_ONCE)
        yield from rows
        if after is None:
            return


def _as_json(rows: Iterator[portable.Row]) -> Iterator[bytes]:
    between = b"[\n"
    for row in rows:
        yield between + msgspec.json.encode(row)
        between = b",\n"
    yield b"[]\n" if between == b"[\n" else b"\n]\n"


def _as_csv(table: Table, rows: Iterator[portable.Row]) -> Iterator[bytes]:
    names = [name for name, _ in portable.exported(table)]
    text = io.StringIO(newline="")
    sheet = csv.writer(text)
    sheet.writerow(names)
    for row in rows:
        sheet.writerow([plain_cell(_cell(row[name])) for name in names])
        yield text.getvalue().encode()
        text.seek(0)
        text.truncate()
    yield text.getvalue().encode()


def _cell(value: Any) -> Any:  # noqa: ANN401
    return msgspec.json.encode(value).decode() if isinstance(value, dict | list) else value


def _sounds(
    database: AnyDatabase, files: SoundFiles, user_id: UUID, *, only_stored: bool
) -> Iterator[tuple[str, Iterator[bytes]]]:
    before = NEWEST
    while True:
        with database.read(user_id) as tx:
            found = sessions.page(tx, user_id, before, _ROWS_AT_ONCE)
        for session in found:
            with database.read(user_id) as tx:
                row = sessions.audio_row(tx, user_id, session.id) if session.programme else None
            if row is not None and (not only_stored or files.has(row)):
                _, size_bytes = files.flac(user_id, session, row)
                yield f"sound/{session.id}.flac", files.read(user_id, session, row, 0, size_bytes)
        if len(found) < _ROWS_AT_ONCE:
            return
        before = found[-1].id


# --- JSON Schema --------------------------------------------------------------------------------

_FORMS: dict[tables.Kind, dict[str, Any]] = {
    tables.UUID: {"type": "string", "format": "uuid"}, tables.UUID_REF: {"type": "string", "format": "uuid"},
    tables.MOMENT: {"type": "string", "format": "date-time"}, tables.DAY: {"type": "string", "format": "date"},
    tables.CLOCK: {"type": "string", "pattern": r"^\d\d:\d\d:\d\d$"}, tables.JSON: {"type": ["object", "array"]},
    tables.TEXTS: {"type": "array", "items": {"type": ["string", "array"]}},
    tables.WHOLE: {"type": "integer"}, tables.BIG: {"type": "integer"}, tables.YES_NO: {"type": "boolean"},
    tables.REAL: {"type": "number"}, tables.HUNDREDTHS: {"type": "number"}, tables.SPAN: {"type": "number"},
}  # fmt: skip


def schema(table: Table) -> dict[str, Any]:
    """What a data file holds, as JSON Schema (draft 2020-12)."""
    fields = portable.exported(table)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": table.name,
        "description": table.what,
        "type": "array",
        "items": {
            "type": "object",
            "properties": {name: _field(column) for name, column in fields},
            "required": [name for name, _ in fields],
            "additionalProperties": False,
        },
    }


def _field(column: Column) -> dict[str, Any]:
    form = dict(_FORMS.get(column.kind, {"type": "string"}))
    if column.kind.postgres.startswith("character") and not column.sealed:
        form["maxLength"] = int(column.kind.postgres.partition("(")[2].rstrip(")"))
    if not column.required:
        kinds = form["type"]
        form["type"] = [*(kinds if isinstance(kinds, list) else [kinds]), "null"]
    unit = f" ({column.unit})" if column.unit else ""
    return {**form, "description": column.why + unit}


def _json(value: Any) -> bytes:  # noqa: ANN401
    return msgspec.json.format(msgspec.json.encode(value), indent=2)


# --- streams ------------------------------------------------------------------------------------


class _Passing(io.RawIOBase):
    """What is written to it waits until it is taken; it cannot be gone back in, so ZIP writes sizes behind each file."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []
        self.held = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:  # noqa: ANN401
        part = bytes(data)
        self._parts.append(part)
        self.held += len(part)
        return len(part)

    def take(self) -> bytes:
        whole = b"".join(self._parts)
        self._parts.clear()
        self.held = 0
        return whole


def _encrypted(whole: Iterator[bytes], recipient: str) -> Iterator[bytes]:
    import pyrage

    try:
        to = pyrage.x25519.Recipient.from_str(recipient.strip())
    except pyrage.RecipientError:
        raise BadInput("age", "is not a public key of age", "a key that begins with age1, from age-keygen") from None
    return _through(whole, lambda reader, writer: pyrage.encrypt_io(reader, writer, [to]))


def _through(whole: Iterator[bytes], pump: Any) -> Iterator[bytes]:  # noqa: ANN401
    """What `pump` makes of it. It wants to read and write by itself, so it runs beside, a few pieces ahead at most."""
    made: queue.Queue[bytes | BaseException | None] = queue.Queue(_PIECES_AHEAD)
    left = threading.Event()

    def run() -> None:
        writer = _Writer(made, left)
        try:
            pump(_Reader(whole), writer)
            writer.flush()
            end: BaseException | None = None
        except BaseException as error:  # noqa: BLE001  it is raised where the pieces are taken
            end = error
        if not left.is_set():
            made.put(end)

    def taken() -> Iterator[bytes]:
        pumping = threading.Thread(target=run, name="encrypting", daemon=True)
        pumping.start()
        try:
            while (piece := made.get()) is not None:
                if isinstance(piece, BaseException):
                    raise piece
                yield piece
        finally:
            left.set()
            while not made.empty():
                made.get_nowait()

    return taken()


class _Reader:
    def __init__(self, whole: Iterator[bytes]) -> None:
        self._whole, self._rest = whole, b""

    def read(self, size: int = -1) -> bytes:
        while not self._rest:
            piece = next(self._whole, None)
            if piece is None:
                return b""
            self._rest = piece
        part, self._rest = (self._rest, b"") if size < 0 else (self._rest[:size], self._rest[size:])
        return part


class _Writer:
    def __init__(self, made: queue.Queue[bytes | BaseException | None], left: threading.Event) -> None:
        self._made, self._left, self._parts, self._held = made, left, list[bytes](), 0

    def write(self, data: bytes) -> int:
        if self._left.is_set():
            raise BrokenPipeError("nobody takes it any more")
        self._parts.append(data)
        self._held += len(data)
        if self._held >= _PIECE_BYTES:
            self.flush()
        return len(data)

    def flush(self) -> None:
        if self._held:
            self._made.put(b"".join(self._parts))
            self._parts, self._held = [], 0
