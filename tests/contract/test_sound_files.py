"""The sealed sound files: made once, kept while there is room, made again bit for bit, gone with their rows."""

from __future__ import annotations

import datetime as dt
import errno
import hashlib
import io
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
import soundfile

from stillwave.db.database import Query
from stillwave.db.ids import uuid7
from stillwave.db.seal import SealBroken
from stillwave.errors import NotFound, StorageFull
from stillwave.sessions import audio, store
from stillwave.settings import Settings
from stillwave.sound import encode, render
from stillwave.sound.programme import Programme, Segment
from tests import rows
from tests.cast import NOW

DELETE = Query("delete", "DELETE FROM audio_files", "DELETE FROM audio_files")


class Shelf:
    """SoundFiles over short sessions of one person."""

    def __init__(self, settings: Settings, database: Any) -> None:
        self.settings, self.database = settings, database
        person = rows.user()
        self.person: UUID = person["id"]  # type: ignore[assignment]
        database.vault.keys.create(self.person)
        with database.write() as tx:
            rows.insert(tx, "users", **person)
        self.files = audio.SoundFiles(settings, database)
        self.sessions: list[UUID] = []

    def add(self, seconds: float = 2.0) -> int:
        """A session with its sound's row exists; its place among `sessions`."""
        sound = Programme(segments=(Segment(seconds, 200, 200, 6, 6),), method="binaural", bed="rain", seed=len(self.sessions))
        session_id = uuid7(NOW)
        with self.database.write() as tx:
            rows.insert(
                tx, "sessions", user_id=self.person, id=session_id, start_time=NOW, programme=msgspec.json.encode(sound).decode()
            )
            rows.insert(
                tx, "audio_files", user_id=self.person, id=uuid7(NOW), session_id=session_id, session_start_time=NOW,
                file_path=audio.new_file_name(), duration=round(seconds), format="flac", created_at=NOW,
            )  # fmt: skip
        self.sessions.append(session_id)
        return len(self.sessions) - 1

    def rows(self, place: int) -> tuple[store.SessionRow, store.AudioRow]:
        with self.database.read(self.person) as tx:
            session = store.by_id(tx, self.person, self.sessions[place])
            row = store.audio(tx, self.person, self.sessions[place])
        assert session is not None
        assert row is not None
        return session, row

    def path(self, place: int) -> Path:
        return self.settings.audio_dir / self.rows(place)[1].file_path

    def get(self, place: int, first: int = 0, end: int | None = None) -> bytes:
        session, row = self.rows(place)
        _, size = self.files.flac(self.person, session, row)
        return b"".join(self.files.read(self.person, session, row, first, size if end is None else end))

    def with_quota(self, quota_bytes: int) -> Shelf:
        self.files = audio.SoundFiles(msgspec.structs.replace(self.settings, audio_quota_bytes=quota_bytes), self.database)
        return self


@pytest.fixture
def shelf(settings: Settings, database: Any) -> Shelf:
    return Shelf(settings, database)


@pytest.fixture
def renders(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each FLAC that was rendered."""
    made: list[int] = []
    write: Callable[..., None] = encode.write_flac

    def counted(programme: Programme, *rest: Any, **more: Any) -> None:
        made.append(programme.seed)
        write(programme, *rest, **more)

    monkeypatch.setattr(encode, "write_flac", counted)
    return made


def kept(shelf: Shelf) -> set[int]:
    return {place for place in range(len(shelf.sessions)) if shelf.path(place).exists()}


def test_the_file_decodes_to_the_rendered_samples_and_lies_there_sealed(shelf: Shelf) -> None:
    place = shelf.add()
    flac = shelf.get(place)
    session, row = shelf.rows(place)
    sound = audio.sound_of(session)
    samples, rate_hz = soundfile.read(io.BytesIO(flac), dtype="int32", always_2d=True)
    assert rate_hz == 44_100
    assert (samples >> 8 == render.samples24(sound, 0, sound.total_samples)).all()
    assert row.size_bytes == len(flac)
    assert b"fLaC" not in shelf.path(place).read_bytes()
    assert shelf.path(place).stat().st_mode & 0o077 == 0


def test_a_file_that_was_put_out_comes_back_bit_for_bit(shelf: Shelf, renders: list[int]) -> None:
    place = shelf.add()
    before = hashlib.sha256(shelf.get(place)).digest()
    shelf.path(place).unlink()
    assert hashlib.sha256(shelf.get(place)).digest() == before
    assert renders == [0, 0]


def test_when_there_is_no_room_the_least_recently_used_goes(shelf: Shelf) -> None:
    for _ in range(4):
        shelf.add()
    sizes = [len(shelf.get(place)) for place in range(3)]
    for place, age_s in ((0, 300), (1, 200), (2, 100)):
        os.utime(shelf.path(place), (NOW.timestamp() - age_s,) * 2)
    shelf.with_quota(sum(sizes) + 60_000)
    shelf.get(0, 0, 10)  # now 1 was used longest ago
    shelf.get(3)
    assert kept(shelf) == {0, 2, 3}


def test_a_quota_below_one_file_still_serves_each_and_keeps_one(shelf: Shelf) -> None:
    shelf.add()
    shelf.add()
    shelf.with_quota(10)
    first, second = shelf.get(0), shelf.get(1)
    assert first != second
    assert kept(shelf) == {1}
    assert shelf.get(0) == first
    assert kept(shelf) == {0}


def test_many_who_ask_at_once_share_one_render(shelf: Shelf, renders: list[int]) -> None:
    place = shelf.add()
    together = threading.Barrier(6)

    def ask(_: int) -> bytes:
        together.wait(30)
        return shelf.get(place)

    with ThreadPoolExecutor(6) as pool:
        answers = set(pool.map(ask, range(6)))
    assert (len(answers), renders) == (1, [0])
    assert list(shelf.settings.audio_dir.glob("*.part")) == []


def test_who_reads_while_the_file_is_put_out_reads_on(shelf: Shelf, renders: list[int]) -> None:
    place = shelf.add(4.0)
    whole = shelf.get(place)
    session, row = shelf.rows(place)
    reading = shelf.files.read(shelf.person, session, row, 0, len(whole))
    start = next(reading)
    shelf.path(place).unlink()
    assert start + b"".join(reading) == whole
    assert renders == [0]


def test_a_file_that_is_gone_before_its_first_byte_is_rendered_anew(shelf: Shelf, renders: list[int]) -> None:
    place = shelf.add()
    whole = shelf.get(place)
    session, row = shelf.rows(place)
    reading = shelf.files.read(shelf.person, session, row, 100, len(whole))
    shelf.path(place).unlink()
    assert b"".join(reading) == whole[100:]
    assert renders == [0, 0]


@pytest.mark.parametrize("harm", ["a bit in the middle", "cut at a chunk", "cut inside a chunk", "emptied"])
def test_a_damaged_file_is_rendered_anew_and_told_by_id_alone(
    shelf: Shelf, renders: list[int], harm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = shelf.add(4.0)
    whole = shelf.get(place)
    path, sealed = shelf.path(place), shelf.path(place).read_bytes()
    assert len(sealed) > 3 * 65_552
    chunk_end = 11 + 2 * 65_552
    path.write_bytes({
        "a bit in the middle": sealed[:140_000] + bytes([sealed[140_000] ^ 1]) + sealed[140_001:],
        "cut at a chunk": sealed[:chunk_end],
        "cut inside a chunk": sealed[: chunk_end + 5],
        "emptied": b"",
    }[harm])  # fmt: skip
    told: list[tuple[str, dict[str, object]]] = []
    monkeypatch.setattr("stillwave.sessions.audio.log.error", lambda action, **more: told.append((action, more)))
    assert shelf.get(place) == whole
    assert shelf.get(place) == whole
    assert renders == [0, 0]
    assert told == [("sound file damaged, rendered anew", {"session_id": str(shelf.sessions[place])})]


def test_a_file_that_is_damaged_again_and_again_is_an_error(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    place = shelf.add()
    size = len(shelf.get(place))
    session, row = shelf.rows(place)

    def broken(*_: object) -> Iterator[bytes]:
        raise SealBroken("A sound file was altered or cut off.")

    monkeypatch.setattr(audio, "read_sealed", broken)
    with pytest.raises(SealBroken):
        list(shelf.files.read(shelf.person, session, row, 0, size))


@pytest.mark.parametrize(("number", "words"), [(errno.ENOSPC, "disk of the server is full"), (errno.EROFS, "cannot be written")])
def test_a_disk_that_fills_leaves_nothing_and_the_next_try_works(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    place = shelf.add()

    class Full(io.BytesIO):
        def write(self, data: Any) -> int:
            if self.tell() + len(data) > 100_000:
                raise OSError(number, os.strerror(number))
            return super().write(data)

    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "TemporaryFile", lambda **_: Full())
        with pytest.raises(StorageFull, match=words):
            shelf.get(place)
    assert list(shelf.settings.audio_dir.iterdir()) == []
    assert shelf.get(place)[:4] == b"fLaC"


def test_nothing_is_kept_for_somebody_who_was_erased_meanwhile(shelf: Shelf) -> None:
    place = shelf.add()
    session, row = shelf.rows(place)
    with shelf.database.write(shelf.person) as tx:
        tx.run(DELETE)
    with pytest.raises(NotFound):
        shelf.files.flac(shelf.person, session, row)
    assert list(shelf.settings.audio_dir.iterdir()) == []


def test_a_file_goes_with_its_row(shelf: Shelf) -> None:
    place = shelf.add()
    shelf.get(place)
    path = shelf.path(place)
    assert shelf.files.sweep() == 0
    assert path.exists()
    with shelf.database.write(shelf.person) as tx:
        tx.run(DELETE)
    assert shelf.files.sweep() == 1
    assert not path.exists()
    assert shelf.files.sweep() == 0


def test_a_file_that_no_row_names_goes_after_a_day(shelf: Shelf) -> None:
    place = shelf.add()
    shelf.get(place)
    stray, other = shelf.settings.audio_dir / f"{'a' * 32}.swf", shelf.settings.audio_dir / "notes.swf"
    for file in (stray, other):
        file.write_bytes(b"")
    for file in (stray, other, shelf.path(place)):
        os.utime(file, (NOW.timestamp(),) * 2)
    assert shelf.files.sweep_strays(NOW + dt.timedelta(hours=23)) == 0
    assert stray.exists()
    assert shelf.files.sweep_strays(NOW + dt.timedelta(hours=25)) == 1
    assert not stray.exists()
    assert other.exists()  # never what somebody else put there
    assert shelf.path(place).exists()


def test_half_made_files_of_an_earlier_run_are_gone_at_the_start(shelf: Shelf) -> None:
    shelf.settings.audio_dir.mkdir(exist_ok=True)
    (shelf.settings.audio_dir / f"{'b' * 32}.0123abcd.part").write_bytes(b"half")
    shelf.files.begin()
    assert list(shelf.settings.audio_dir.iterdir()) == []
