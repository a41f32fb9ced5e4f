"""The sound of a session: streamed from its programme, kept as a sealed FLAC when asked for, measured.

The engine (numpy, numba) is imported on first use, in `warm_up` at the latest: it costs seconds that a
server which is just starting should not spend.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import hashlib
import os
import re
import secrets
import tempfile
import threading
from collections.abc import Callable, Generator, Iterator
from functools import partial
from pathlib import Path
from uuid import UUID

import msgspec

from stillwave.db.database import PostgresDatabase, SqliteDatabase, Tx
from stillwave.db.ids import moment
from stillwave.db.seal import SealBroken, SealedWriter, read_sealed, sealed_size
from stillwave.errors import BadInput, NotFound, StillwaveError, StorageFull
from stillwave.log import log
from stillwave.sessions import rules, store
from stillwave.sessions.store import SQL, AudioRow, Named, SessionRow, Unlink
from stillwave.settings import Settings
from stillwave.sound.programme import ENGINE_VERSION, Programme
from stillwave.sound.sequence import Audible

_PIECE_BYTES = 256 * 1024
_LOCKS = 64
_GRACE_S = 24 * 3600
_NAME = re.compile(r"[0-9a-f]{32}\.swf")
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})\Z")


class RangeOutside(BadInput):
    """The bytes asked for do not exist."""

    status = 416

    def __init__(self, size_bytes: int) -> None:
        super().__init__("Range", "lies outside of the sound", f"bytes=0-{size_bytes - 1}")
        self.headers = {"Content-Range": f"bytes */{size_bytes}"}


class CodecMissing(StillwaveError):
    """No encoder of this machine writes the format."""

    status = 501
    title = "This format is not available here"


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
    """The whole sound as Ogg Opus, coded as it is taken. Raises CodecMissing before the first byte."""
    must_code("OGG", "OPUS")
    from stillwave.sound import phone

    return phone.opus(programme, tags=tags)


def must_code(container: str, codec: str) -> None:
    """Returns if this machine's libsndfile can write it. Raises CodecMissing."""
    import soundfile

    if not soundfile.check_format(container, codec):
        raise CodecMissing(
            f"The libsndfile of this machine ({soundfile.__libsndfile_version__}) cannot write "
            f"{'Opus' if codec == 'OPUS' else container}. Take the sound as WAV, or install libsndfile 1.0.29 or newer."
        )


class Pieces(Iterator[bytes]):
    """The pieces of a stream, each made when the one before was taken; after `close` there are none.

    Closing from another thread waits for the piece that is being made.
    """

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._taking = threading.Lock()

    def __next__(self) -> bytes:
        with self._taking:
            return next(self._pieces)

    def close(self) -> None:
        """What the stream held is free: its file, its encoder, its memory."""
        with self._taking:
            pieces, self._pieces = self._pieces, iter(())
            if isinstance(pieces, Generator):
                pieces.close()


def tags(title: str, reason: str) -> dict[str, str]:
    """What a file says of itself; an empty text is no tag."""
    said = {"title": title, "comment": reason, "software": f"Stillwave engine {ENGINE_VERSION}"}
    return {name: text for name, text in said.items() if text}


class SoundFiles:
    """The folder of sealed FLAC files: made when asked for, the least recently used go when it is full."""

    def __init__(self, settings: Settings, database: SqliteDatabase | PostgresDatabase) -> None:
        self._folder, self._quota_bytes = settings.audio_dir, settings.audio_quota_bytes
        self._database, self._keys = database, database.vault.keys
        # A session always meets the same lock, so its file is made once however many ask for it.
        self._making = tuple(threading.Lock() for _ in range(_LOCKS))
        self._making_room = threading.Lock()

    def flac(self, user_id: UUID, session: SessionRow, row: AudioRow) -> tuple[Path, int]:
        """The sealed file of the session's sound and the plain bytes inside, rendered now if it is not there whole.

        Raises StorageFull when the disk is; no part of a file stays behind.
        """
        path = self._folder / row.file_path
        with self._making[session.id.int % _LOCKS]:
            try:
                size_bytes = sealed_size(path)
                if row.size_bytes not in (None, size_bytes):
                    raise SealBroken("A sound file was cut off.")
                os.utime(path)  # what was used last is kept longest
            except FileNotFoundError:
                pass
            except SealBroken:
                self._give_up(session, path)
            else:
                return path, size_bytes
            self._render(user_id, session, row, path)
            size_bytes = sealed_size(path)
        self._make_room(path)
        return path, size_bytes

    def has(self, row: AudioRow) -> bool:
        """Whether the file is there now."""
        return (self._folder / row.file_path).exists()

    def read(self, user_id: UUID, session: SessionRow, row: AudioRow, first: int, end: int) -> Iterator[bytes]:
        """The plain bytes [first, end) of the session's FLAC.

        A file that was altered or cut off, or was put out to make room before its first byte was read, is rendered
        anew; as that gives the same bytes, reading goes on where it stopped.
        """
        at = first
        for last_try in (False, True):
            path, _ = self.flac(user_id, session, row)
            try:
                for piece in read_sealed(path, partial(self._keys.key, user_id), row.file_path, at, end):
                    yield piece
                    at += len(piece)
            except FileNotFoundError:
                if last_try:
                    raise
            except SealBroken:
                self._give_up(session, path)
                if last_try:
                    raise
            else:
                return

    def _give_up(self, session: SessionRow, path: Path) -> None:
        log.error("sound file damaged, rendered anew", session_id=str(session.id))
        path.unlink(missing_ok=True)

    def _render(self, user_id: UUID, session: SessionRow, row: AudioRow, path: Path) -> None:
        from stillwave.sound import encode

        must_code("FLAC", "PCM_24")
        programme = sound_of(session)
        part = path.with_suffix(f".{secrets.token_hex(4)}.part")
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            # libsndfile goes back to finish the header, which a sealed stream cannot: the plain file has
            # no name and vanishes with its handle.
            with tempfile.TemporaryFile(dir=self._folder) as plain:
                plan = session.planned()
                title = rules.title(session.session_type, session.target_state)
                encode.write_flac(programme, plain, tags=tags(title, plan.reason if plan else ""))
                plain.seek(0)
                generation, key = self._keys.current(user_id)
                with SealedWriter(part.open("wb"), key, row.file_path, generation) as sealed:
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
        """What was used least recently is gone until the rest fits; `keep` stays, also when it alone does not fit.

        Somebody who is reading such a file reads on: it goes with the last handle.
        """
        with self._making_room:
            files = sorted(self._sealed(), key=lambda found: found[1].st_mtime_ns)
            held = sum(stat.st_size for _, stat in files)
            for file, stat in files:
                if held <= self._quota_bytes:
                    return
                if file != keep:
                    held -= stat.st_size
                    file.unlink(missing_ok=True)

    def _sealed(self) -> list[tuple[Path, os.stat_result]]:
        found = []
        for file in self._folder.glob("*.swf"):
            with contextlib.suppress(FileNotFoundError):  # gone since the folder was listed
                found.append((file, file.stat()))
        return found

    def begin(self) -> None:
        """Half-made files of an earlier run are gone."""
        for part in self._folder.glob("*.part"):
            part.unlink(missing_ok=True)

    def sweep(self) -> int:
        """Files whose rows are gone are unlinked; returns how many. Safe to run at any time, twice."""
        with self._database.read(right="retention") as tx:
            gone = tx.all(Unlink, SQL.unlinkable)
        for entry in gone:
            if _NAME.fullmatch(entry.file_path):  # never a path made elsewhere
                (self._folder / entry.file_path).unlink(missing_ok=True)
            with self._database.write(right="retention") as tx:
                tx.run(SQL.unlinked, user_id=entry.user_id, id=entry.id)
        return len(gone)

    def sweep_strays(self, now: dt.datetime) -> int:
        """Files that no row ever named are unlinked a day after their last use; returns how many.

        An older copy of the database, put back, leaves such files.
        """
        strays = {
            file.name
            for file, stat in self._sealed()
            if _NAME.fullmatch(file.name) and stat.st_mtime < now.timestamp() - _GRACE_S
        }
        if strays:
            with self._database.read(right="retention") as tx:
                strays -= {found.file_path for found in tx.all(Named, SQL.file_names)}
        for name in strays:
            (self._folder / name).unlink(missing_ok=True)
        return len(strays)


def is_named(tx: Tx, file_path: str) -> bool:
    """Whether any row that may be seen names this file."""
    return bool(tx.value(SQL.is_named, file_path=file_path))


def measure_now(
    database: SqliteDatabase | PostgresDatabase, user_id: UUID, session_id: UUID, *, stop: Callable[[], bool]
) -> bool:
    """`frequency_data` of the session holds what its sound really contains; False when `stop` broke it off."""
    from stillwave.sound import measure, render

    with database.read(user_id) as tx:
        session, row = store.by_id(tx, user_id, session_id), store.audio(tx, user_id, session_id)
    if session is None or row is None or session.programme is None or row.frequency_data is not None:
        return True
    programme = sound_of(session)

    def blocks() -> Iterator[object]:
        for first, end in render.edges(0, programme.total_samples):
            if stop():
                raise InterruptedError
            yield render.samples24(programme, first, end)

    try:
        found = measure.measure(programme, blocks())  # type: ignore[arg-type]
    except InterruptedError:
        return False
    with database.write(user_id) as tx:
        tx.run(
            SQL.set_measured, user_id=user_id, id=row.id, start_time=moment(session_id),
            frequency_data=msgspec.json.encode(found).decode(),
        )  # fmt: skip
    return True


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

    if path.suffix.lower() != ".wav":
        must_code(*(("OGG", "OPUS") if path.suffix.lower() == ".opus" else ("FLAC", "PCM_24")))
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
