"""The backup file, and the rows that go into it and come back from it, on both engines.

One line of JSON says what the file is and when it was made. Behind it everything is compressed and sealed in
64 KiB chunks (`seal.SealedWriter`) under a key derived from the root key, and that line is authenticated with it:
a file that was altered, cut off, renamed to be another kind, or made with another root key does not open.
Inside are frames (length, bytes): for each part its header, its body, an empty frame; then the manifest, which has
the count and the SHA-256 of each part's rows in the order of their key.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import hashlib
import hmac
import json
import os
import secrets
import struct
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol, Self

import msgspec

from stillwave.db.database import PostgresDatabase, SqliteDatabase
from stillwave.db.keys import sync_folder
from stillwave.db.seal import CHUNK_BYTES, SealBroken, SealedWriter, read_sealed, sealed_size
from stillwave.db.tables import tables_on
from stillwave.errors import BadBackup, StorageFull

FORMAT = 1
_HEAD_MOST_BYTES = 1024
_FRAME_BYTES = 256 * 1024
_FRAME_MOST_BYTES = 64 * 1024 * 1024
_LENGTH = struct.Struct(">I")


class Head(msgspec.Struct, frozen=True):
    """The first line; `key` names the root key without telling it."""

    stillwave_backup: int
    kind: Literal["database", "keys"]
    at: dt.datetime
    key: str


class Part(msgspec.Struct, frozen=True):
    """What a body holds: a table's columns in this order, sorted by its key. A file of keys has one, without columns."""

    name: str
    columns: tuple[str, ...] = ()
    key: tuple[str, ...] = ()


class Sum(msgspec.Struct, frozen=True):
    """What a part must come to."""

    part: Part
    rows: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """The end of a backup; `months` are the partitions there were (PostgreSQL)."""

    program: str
    engine: str
    revision: str
    months: tuple[str, ...]
    sums: tuple[Sum, ...]

    @property
    def rows(self) -> int:
        """How many rows there are in all."""
        return sum(found.rows for found in self.sums)


def key_name(key: bytes) -> str:
    """A name for the key that does not lead to it."""
    return hmac.new(key, b"name", hashlib.sha256).hexdigest()[:16]


# --- the file -----------------------------------------------------------------------------------


class Writer:
    """A backup under way. It is written aside; at the end of the `with` block it is whole, on disk and at `path`.

    Raises BadBackup when something is at `path`, StorageFull when the disk does not take it; nothing is left then.
    """

    def __init__(self, path: Path, kind: Literal["database", "keys"], at: dt.datetime, key: bytes) -> None:
        self._path, self._aside = path, path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
        line = msgspec.json.encode(Head(FORMAT, kind, at, key_name(key))) + b"\n"
        if path.exists():
            raise BadBackup(f"{path} exists already. Choose another name: backups are kept.")
        try:
            file = os.fdopen(os.open(self._aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        except OSError as error:
            raise _disk_trouble(path, error) from error
        file.write(line)
        self._sealed, self._zip, self._sums = SealedWriter(file, key, line.decode()), zlib.compressobj(1), list[Sum]()

    def __enter__(self) -> Self:
        return self

    def part(self, part: Part, lines: Iterable[bytes]) -> None:
        """The part is in it; `lines` are rows of the part, each ended by a line feed."""
        self._frame(msgspec.json.encode(part))
        digest, rows, waiting = hashlib.sha256(), 0, bytearray()
        for line in lines:
            digest.update(line)
            rows += 1
            waiting += line
            if len(waiting) >= _FRAME_BYTES:
                self._frame(bytes(waiting))
                waiting.clear()
        if waiting:
            self._frame(bytes(waiting))
        self._frame(b"")
        self._sums.append(Sum(part, rows, digest.hexdigest()))

    def end(self, program: str, engine: str, revision: str, months: Iterable[str]) -> Manifest:
        """The manifest is in it, and nothing comes after."""
        made = Manifest(program, engine, revision, tuple(months), tuple(self._sums))
        self._frame(b"")
        self._frame(msgspec.json.encode(made))
        self._put(self._zip.flush())
        return made

    def _frame(self, body: bytes) -> None:
        self._put(self._zip.compress(_LENGTH.pack(len(body)) + body))

    def _put(self, body: bytes) -> None:
        try:
            self._sealed.write(body)
        except OSError as error:
            raise _disk_trouble(self._path, error) from error

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self._sealed.close()
            if kind is None:
                self._aside.rename(self._path)
                sync_folder(self._path.parent)
        except OSError as trouble:
            if kind is None:
                raise _disk_trouble(self._path, trouble) from trouble
        finally:
            with contextlib.suppress(OSError):
                self._aside.unlink(missing_ok=True)


def _disk_trouble(path: Path, error: OSError) -> StorageFull:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return StorageFull(f"There is no room for {path}. Free some space; nothing of it was left there.")
    return StorageFull(f"{path} cannot be written: {error.strerror}. Choose a folder that exists and that you may write.")


def head_of(path: Path) -> Head:
    """What a file says it is; only reading all of it proves that. Raises BadBackup."""
    try:
        with path.open("rb") as file:
            line = file.readline(_HEAD_MOST_BYTES)
    except OSError as error:
        raise BadBackup(f"{path} cannot be read: {error.strerror}.") from None
    try:
        head = msgspec.json.decode(line, type=Head)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise BadBackup(f"{path} is not a backup of Stillwave.") from None
    if head.stillwave_backup != FORMAT:
        raise BadBackup(f"{path} was made by a newer Stillwave. Install that one.")
    return head


class Reader:
    """A backup that is opened under one of `keys`. Raises BadBackup with what is wrong with it."""

    def __init__(self, path: Path, kind: Literal["database", "keys"], keys: Collection[bytes]) -> None:
        self._path, self.head = path, head_of(path)
        if self.head.kind != kind:
            wanted = {"database": "the database", "keys": "the key store (backup --keys)"}
            raise BadBackup(f"{path} is a backup of {wanted[self.head.kind]}, not of {wanted[kind]}.")
        fitting = [key for key in keys if self.head.key == key_name(key)]
        if not fitting:
            raise BadBackup(f"{path} was made with another root key. Put that one into STILLWAVE_ROOT_KEY_FILE.")
        self._key = fitting[0]

    def parts(self) -> Iterator[tuple[Part, Iterator[bytes]]]:
        """Each part with its body in pieces of whole lines; a body must be read to its end before the next part."""
        frames = self._frames()
        while head := next(frames):
            yield msgspec.json.decode(head, type=Part), iter(lambda: next(frames), b"")

    def check(self) -> Manifest:
        """The manifest, after everything was read: opened, and of these counts and digests."""
        sums: list[Sum] = []
        frames = self._frames()
        while head := next(frames):
            digest, rows = hashlib.sha256(), 0
            while body := next(frames):
                digest.update(body)
                rows += body.count(b"\n")
            sums.append(Sum(msgspec.json.decode(head, type=Part), rows, digest.hexdigest()))
        manifest = msgspec.json.decode(next(frames), type=Manifest)
        if next(frames, None) is not None or tuple(sums) != manifest.sums:
            raise BadBackup(f"{self._path} does not hold what its manifest says.")
        return manifest

    def _frames(self) -> Iterator[bytes]:
        plain, waiting = self._plain(), bytearray()

        def take(count: int) -> bytes | None:
            while len(waiting) < count:
                more = next(plain, None)
                if more is None:
                    return None
                waiting.extend(more)
            taken = bytes(waiting[:count])
            del waiting[:count]
            return taken

        while (length := take(_LENGTH.size)) is not None:
            (count,) = _LENGTH.unpack(length)
            body = take(count) if count <= _FRAME_MOST_BYTES else None
            if body is None:
                raise BadBackup(f"{self._path} does not hold what a backup holds.")
            yield body

    def _plain(self) -> Iterator[bytes]:
        with self._path.open("rb") as file:
            line = file.readline(_HEAD_MOST_BYTES)
        unzip, opened_bytes = zlib.decompressobj(), 0
        try:
            for chunk in read_sealed(self._path, self._key, line.decode(), skipped_bytes=len(line)):
                opened_bytes += len(chunk)
                yield unzip.decompress(chunk)
        except SealBroken:
            raise BadBackup(self._broken(opened_bytes, len(line))) from None
        except OSError as error:
            raise BadBackup(f"{self._path} cannot be read: {error.strerror}.") from error
        yield unzip.flush()

    def _broken(self, opened_bytes: int, skipped_bytes: int) -> str:
        try:
            at_the_end = opened_bytes + CHUNK_BYTES >= sealed_size(self._path, skipped_bytes)
        except SealBroken:
            at_the_end = True
        if at_the_end and opened_bytes:
            return f"{self._path} was cut off, or its end was altered. Take another backup."
        return f"{self._path} was altered. Take another backup." if opened_bytes else f"{self._path} was altered or cut off. Take another backup."


# --- the rows -----------------------------------------------------------------------------------


class Rows(Protocol):
    """The rows of one engine, on a connection of the driver's own."""

    def lines(self, part: Part) -> Iterator[bytes]:
        """The part's rows in the order of its key, each as one line; equal rows give equal lines."""
        ...

    def load(self, part: Part, body: Iterator[bytes]) -> None:
        """The rows are in the table."""
        ...

    def months(self) -> list[str]:
        """The months that have partitions."""
        ...

    def make_months(self, months: Iterable[str]) -> None:
        """These months have partitions."""
        ...


class _SqliteRows:
    def __init__(self, raw: Any) -> None:  # noqa: ANN401
        self._raw = raw

    def lines(self, part: Part) -> Iterator[bytes]:
        text = f"SELECT {', '.join(part.columns)} FROM {part.name} ORDER BY {', '.join(part.key)}"  # noqa: S608  names of the catalogue
        for row in self._raw.execute(text):
            yield json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"

    def load(self, part: Part, body: Iterator[bytes]) -> None:
        marks = ", ".join("?" * len(part.columns))
        text = f"INSERT INTO {part.name} ({', '.join(part.columns)}) VALUES ({marks})"  # noqa: S608  names of the catalogue
        self._raw.executemany(text, (json.loads(line) for piece in body for line in piece.split(b"\n") if line))

    def months(self) -> list[str]:
        return []

    def make_months(self, months: Iterable[str]) -> None:
        """SQLite has none."""


class _PostgresRows:
    _PARENTS = ("sessions", "session_feedback", "audio_files")

    def __init__(self, raw: Any) -> None:  # noqa: ANN401
        self._raw = raw

    def _settle_spelling(self) -> None:
        for name, value in (("TimeZone", "UTC"), ("DateStyle", "ISO"), ("extra_float_digits", "1"), ("bytea_output", "hex")):
            self._raw.execute("SELECT set_config(%s, %s, true)", (name, value))

    def lines(self, part: Part) -> Iterator[bytes]:
        self._settle_spelling()
        collated = {name for (name,) in self._raw.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attcollation <> 0", (part.name,)
        )}  # fmt: skip
        # Text sorts by its bytes: a database restored elsewhere may sort by another language.
        order = ", ".join(f'{name} COLLATE "C"' if name in collated else name for name in part.key)
        columns = ", ".join(part.columns)
        with self._raw.cursor() as cursor, cursor.copy(
            f"COPY (SELECT {columns} FROM {part.name} ORDER BY {order}) TO STDOUT"  # noqa: S608  names of the catalogue
        ) as copy:
            rest = b""
            for block in copy:  # a row in practice, which the protocol does not promise
                rest += bytes(block)
                if rest.endswith(b"\n"):
                    yield from rest.splitlines(keepends=True) if rest.count(b"\n") > 1 else (rest,)
                    rest = b""

    def load(self, part: Part, body: Iterator[bytes]) -> None:
        self._settle_spelling()
        with self._raw.cursor() as cursor, cursor.copy(f"COPY {part.name} ({', '.join(part.columns)}) FROM STDIN") as copy:
            for piece in body:
                copy.write(piece)

    def months(self) -> list[str]:
        found = self._raw.execute(
            "SELECT substr(relname, 10) FROM pg_class JOIN pg_inherits ON inhrelid = pg_class.oid"
            " WHERE inhparent = 'public.sessions'::regclass AND relname ~ '^sessions_y[0-9]{4}m[0-9]{2}$' ORDER BY 1"
        ).fetchall()
        return [name for (name,) in found]

    def make_months(self, months: Iterable[str]) -> None:
        for month in months:
            year, number = int(month[1:5]), int(month[6:8])
            first, after = dt.date(year, number, 1), dt.date(year + number // 12, number % 12 + 1, 1)
            for parent in self._PARENTS:
                self._raw.execute(
                    f"CREATE TABLE {parent}_y{year:04}m{number:02} PARTITION OF {parent}"
                    f" FOR VALUES FROM ('{first} 00:00:00+00') TO ('{after} 00:00:00+00')"
                )


def rows_on(database: SqliteDatabase | PostgresDatabase, raw: Any) -> Rows:  # noqa: ANN401
    """The rows of this database over a connection of its own."""
    return _SqliteRows(raw) if database.engine == "sqlite" else _PostgresRows(raw)


def parts_of(database: SqliteDatabase | PostgresDatabase) -> list[Part]:
    """What a backup of the newest schema holds: every table of the catalogue with every column, parents first."""
    return [
        Part(table.name, tuple(name for column in table.columns for name, _ in column.on(database.engine)), table.key)
        for table in tables_on(database.engine)
    ]


def filler(
    database: SqliteDatabase | PostgresDatabase, reader: Reader, manifest: Manifest, told: Callable[[str], None]
) -> Callable[[Any], None]:
    """What puts the rows of a backup into tables without triggers, and proves that they are those of the manifest.

    What was true of the old place only is left behind: logins, codes on their way, what the clock was.
    The function raises BadBackup when the rows do not come to what the manifest says.
    """

    def fill(raw: Any) -> None:  # noqa: ANN401
        rows = rows_on(database, raw)
        rows.make_months(manifest.months)
        for found in reversed(manifest.sums):  # what migrations put there
            raw.execute(f"DELETE FROM {found.part.name}")  # noqa: S608  names of the catalogue
        for part, body in reader.parts():
            told(part.name)
            rows.load(part, body)
        for found in manifest.sums:
            told(found.part.name)
            digest, count = hashlib.sha256(), 0
            for line in rows.lines(found.part):
                digest.update(line)
                count += 1
            if (count, digest.hexdigest()) != (found.rows, found.sha256):
                raise BadBackup(f"What was restored into {found.part.name} is not what the backup holds. Nothing was kept.")
        for text in ("DELETE FROM logins", "DELETE FROM recoveries",
                     "DELETE FROM installation WHERE name = 'one_role' OR name LIKE 'clock_%'"):  # fmt: skip
            raw.execute(text)

    return fill
