"""The sound of a session: streamed from its programme, kept as a sealed FLAC when asked for, measured.

The engine (numpy, numba) is imported on first use, in `warm_up` at the latest: it costs seconds that a
server which is just starting should not spend.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import secrets
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from uuid import UUID

import msgspec

from stillwave.db.database import PostgresDatabase, SqliteDatabase
from stillwave.db.ids import moment
from stillwave.db.seal import SealedWriter, read_sealed, sealed_size
from stillwave.errors import BadInput, NotFound, StorageFull
from stillwave.log import log, where
from stillwave.sessions import rules, store
from stillwave.sessions.store import SQL, AudioRow, SessionRow, Unlink
from stillwave.settings import Settings
from stillwave.sound.programme import ENGINE_VERSION, Programme
from stillwave.sound.sequence import Audible

_PIECE_BYTES = 256 * 1024
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})\Z")


class RangeOutside(BadInput):
    """The bytes asked for do not exist."""

    status = 416

    def __init__(self, size_bytes: int) -> None:
        super().__init__("Range", "lies outside of the sound", f"bytes=0-{size_bytes - 1}")
        self.headers = {"Content-Range": f"bytes */{size_bytes}"}


def warm_up() -> None:
    """The engine is imported and compiled, so that the first sound starts at once."""
    from stillwave.sound import encode, measure  # noqa: F401
    from stillwave.sound.programme import Method, Segment

    methods: tuple[Method, ...] = ("binaural", "isochronic")
    for method in methods:
        short = Programme(
            segments=(Segment(1.0, 200.0, 200.0, 10.0, 10.0),), method=method, bed="nature", seed=1
        )
        for _ in encode.wav_range(short, 0, encode.wav_size(short)):
            pass


def etag(programme: Programme) -> str:
    """Changes when the sound would: the digest of the programme, of which the sound is a function."""
    return f'"{hashlib.sha256(msgspec.json.encode(programme)).hexdigest()[:32]}"'


def wanted(header: str | None, size_bytes: int) -> tuple[int, int] | None:
    """The one range [first, end) a Range header asks for; None for the whole (RFC 9110, 14.1.2).

    Several ranges, or a header that is not understood, mean the whole. Raises RangeOutside.
    """
    found = _RANGE.match(header or "")
    if found is None or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if not first:
        if int(last) == 0:
            raise RangeOutside(size_bytes)
        return max(0, size_bytes - int(last)), size_bytes
    start, end = int(first), min(int(last) + 1 if last else size_bytes, size_bytes)
    if last and int(last) < start:
        return None
    if start >= size_bytes:
        raise RangeOutside(size_bytes)
    return start, end


def wav_size(programme: Programme) -> int:
    """Bytes of the whole WAV."""
    from stillwave.sound import encode

    return encode.wav_size(programme)


def wav(programme: Programme, first: int, end: int) -> Iterator[bytes]:
    """The bytes [first, end) of the WAV, rendered as they are taken."""
    from stillwave.sound import encode

    yield from encode.wav_range(programme, first, end)


def opus(programme: Programme, tags: dict[str, str]) -> Iterator[bytes]:
    """The whole sound as Ogg Opus, coded as it is taken."""
    from stillwave.sound import phone

    yield from phone.opus(programme, tags=tags)


def tags(title: str, reason: str) -> dict[str, str]:
    """What a file says of itself."""
    return {"title": title, "comment": reason, "software": f"Stillwave engine {ENGINE_VERSION}"}


class SoundFiles:
    """The folder of sealed FLAC files: made when asked for, the least recently used go when it is full."""

    def __init__(self, settings: Settings, database: SqliteDatabase | PostgresDatabase) -> None:
        self._folder, self._quota_bytes = settings.audio_dir, settings.audio_quota_bytes
        self._database, self._keys = database, database.vault.keys
        self._making: dict[UUID, threading.Lock] = {}
        self._guard = threading.Lock()
        self._work = ThreadPoolExecutor(max_workers=1, thread_name_prefix="measure", initializer=_step_back)
        self._closing = threading.Event()

    def flac(self, user_id: UUID, session: SessionRow, row: AudioRow) -> Path:
        """The sealed file of the session's sound, rendered now if it is not there.

        Raises StorageFull when the disk is; no part of a file stays behind.
        """
        path = self._folder / row.file_path
        with self._guard:
            lock = self._making.setdefault(session.id, threading.Lock())
        with lock:
            if path.exists():
                os.utime(path)
                return path
            self._render(user_id, session, row, path)
            self._make_room(path)
        with self._guard:
            self._making.pop(session.id, None)
        return path

    def size(self, path: Path) -> int:
        """Plain bytes inside a sealed file."""
        return sealed_size(path)

    def read(self, user_id: UUID, path: Path, row: AudioRow, first: int, end: int) -> Iterator[bytes]:
        """The plain bytes [first, end) of a sealed file."""
        return read_sealed(path, self._keys.key(user_id), row.file_path, first, end)

    def _render(self, user_id: UUID, session: SessionRow, row: AudioRow, path: Path) -> None:
        from stillwave.sound import encode

        programme = sound_of(session)
        part = path.with_suffix(".part")
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            # libsndfile goes back to finish the header, which a sealed stream cannot: the plain file has
            # no name and vanishes with its handle.
            with tempfile.TemporaryFile(dir=self._folder) as plain:
                plan = session.planned()
                title = rules.title(session.session_type, session.target_state)
                encode.write_flac(programme, plain, tags=tags(title, plan.reason if plan else ""))
                plain.seek(0)
                with SealedWriter(part.open("wb"), self._keys.key(user_id), row.file_path) as sealed:
                    while piece := plain.read(_PIECE_BYTES):
                        sealed.write(piece)
            part.chmod(0o600)
            part.replace(path)
        except OSError as error:
            _drop(part)
            raise disk_trouble(error) from error
        with self._database.write(user_id) as tx:
            known = tx.run(
                SQL.set_size, user_id=user_id, id=row.id, start_time=session.start_time,
                size_bytes=sealed_size(path),
            )  # fmt: skip
        if not known:  # the person was erased meanwhile
            path.unlink(missing_ok=True)
            raise NotFound("There is no such session.")

    def _make_room(self, keep: Path) -> None:
        files = sorted(self._folder.glob("*.swf"), key=lambda file: file.stat().st_mtime)
        held = sum(file.stat().st_size for file in files)
        for file in files:
            if held <= self._quota_bytes:
                return
            if file != keep:
                held -= file.stat().st_size
                file.unlink(missing_ok=True)

    def begin(self) -> None:
        """What an earlier run left behind is gone: half-made files, and files whose rows are gone."""
        for part in self._folder.glob("*.part"):
            part.unlink(missing_ok=True)
        self.sweep()

    def sweep(self) -> int:
        """Files whose rows are gone are unlinked; returns how many. Safe to run at any time, twice."""
        with self._database.read() as tx:
            gone = tx.all(Unlink, SQL.unlinkable)
        for entry in gone:
            if re.fullmatch(r"[0-9a-f]{32}\.swf", entry.file_path):  # never a path made elsewhere
                (self._folder / entry.file_path).unlink(missing_ok=True)
            with self._database.write(entry.user_id) as tx:
                tx.run(SQL.unlinked, user_id=entry.user_id, id=entry.id)
        return len(gone)

    def measure_soon(self, user_id: UUID, session_id: UUID) -> None:
        """The session's sound is measured in the background and the result stored in `frequency_data`."""
        self._work.submit(self._measure, user_id, session_id)

    def _measure(self, user_id: UUID, session_id: UUID) -> None:
        try:
            measure_now(self._database, user_id, session_id, stop=self._closing.is_set)
        except Exception as error:  # noqa: BLE001  a measurement that fails must not end the thread
            log.error("measuring failed", session_id=str(session_id), where=where(error))

    def close(self) -> None:
        """The background work has ended."""
        self._closing.set()
        self._work.shutdown(wait=True, cancel_futures=True)


def measure_now(
    database: SqliteDatabase | PostgresDatabase, user_id: UUID, session_id: UUID, *, stop: Callable[[], bool]
) -> None:
    """`frequency_data` of the session holds what its sound really contains. Gives up when `stop` says so."""
    from stillwave.sound import measure, render

    with database.read(user_id) as tx:
        session, row = store.by_id(tx, user_id, session_id), store.audio(tx, user_id, session_id)
    if session is None or row is None or session.programme is None or row.frequency_data is not None:
        return
    programme = sound_of(session)

    def blocks() -> Iterator[object]:
        for first, end in render.edges(0, programme.total_samples):
            if stop():
                raise InterruptedError
            yield render.samples24(programme, first, end)

    try:
        found = measure.measure(programme, blocks())  # type: ignore[arg-type]
    except InterruptedError:
        return
    with database.write(user_id) as tx:
        tx.run(
            SQL.set_measured, user_id=user_id, id=row.id, start_time=moment(session_id),
            frequency_data=msgspec.json.encode(found).decode(),
        )  # fmt: skip


def _step_back() -> None:
    """On Linux this thread runs when nobody is listening; elsewhere it shares."""
    with contextlib.suppress(AttributeError, OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 15)


def sound_of(session: SessionRow) -> Programme:
    """The session's programme. Raises NotFound for a session that came without one."""
    programme = session.sound()
    if programme is None:
        raise NotFound("This session was imported without its sound.")
    return programme


def new_file_name() -> str:
    """A name that says nothing."""
    return f"{secrets.token_hex(16)}.swf"


def disk_trouble(error: OSError) -> StorageFull:
    """The clear error for a disk that is full or cannot be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageFull("The disk of the server is full, so the sound file was not made. Free some space.")
    return StorageFull("The sound folder cannot be written, so the file was not made. Check its rights.")


def _drop(part: Path) -> None:
    """No part of a file is left; on a disk that cannot be written there is none."""
    with contextlib.suppress(OSError):
        part.unlink(missing_ok=True)


def write_file(
    programme: Audible, path: Path, progress: Callable[[int], None] | None = None, *,
    told: dict[str, str] | None = None, bits: int = 24,
) -> None:
    """The sound is in the file, as FLAC, Opus or WAV by its ending. On an error no part of it stays behind.

    `bits` (16 or 24) is for FLAC and WAV; Opus has none. Raises BadInput for a WAV above 4 GiB.
    """
    from stillwave.sound import encode, phone

    part = path.with_name(f".{path.name}.part")
    ending = path.suffix.lower()
    if ending == ".wav" and encode.wav_size(programme, bits) + 2**21 > encode.WAV_MOST_BYTES:
        raise BadInput("FILE", "would be larger than a WAV can be (4 GiB)", [".flac", ".opus"])
    lossless = partial(encode.write_wav if ending == ".wav" else encode.write_flac, tags=told or {}, bits=bits)
    write = partial(phone.write_opus, tags=told) if ending == ".opus" else lossless
    try:
        with part.open("wb") as file:
            write(programme, file, progress)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        _drop(part)
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            raise BadInput("FILE", "lies in a folder that does not exist", "a file in an existing folder") from error
        raise disk_trouble(error) from error
    except BaseException:
        _drop(part)
        raise
