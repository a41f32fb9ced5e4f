"""Streams of a running server: exact lengths and ranges, rendered as they are taken, and free when the listener leaves."""

from __future__ import annotations

import contextlib
import inspect
import socket
import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
import soundfile

from stillwave.db.database import Query
from stillwave.sessions import audio
from stillwave.sound import encode, render
from stillwave.sound.programme import Programme, Segment
from tests.served import Served, Visitor

SHORTEN = Query("shorten", "UPDATE sessions SET programme = :programme", "UPDATE sessions SET programme = %(programme)s")
SECONDS = 300


@pytest.fixture
def sound() -> Programme:
    """Five minutes over pink noise."""
    return Programme(segments=(Segment(SECONDS, 200, 200, 6, 6),), method="binaural", bed="pink_noise", seed=5)


@pytest.fixture
def address(served: Served, alice: Visitor, sound: Programme) -> str:
    """Where Alice's session has its sound, without the ending."""
    made = alice.session(background="none")
    with served.kit.database.write() as tx:
        tx.run(SHORTEN, programme=msgspec.json.encode(sound).decode())
    return f"/api/v1/sessions/{made['id']}/audio"


@pytest.fixture
def pieces(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Frames of each piece that was rendered for a WAV."""
    made: list[int] = []
    pcm24: Callable[..., bytes] = render.pcm24

    def counted(programme: Programme, start: int, stop: int) -> bytes:
        made.append(stop - start)
        return pcm24(programme, start, stop)

    monkeypatch.setattr(render, "pcm24", counted)
    return made


def wait_for(true: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + 30
    while not true():
        assert time.monotonic() < until, what
        time.sleep(0.02)


def open_sound_files(folder: Path) -> list[str]:
    """What this process holds open in the folder, where the system tells."""
    held = []
    for handle in Path("/proc/self/fd").glob("*"):
        with contextlib.suppress(OSError):  # closed meanwhile
            held.append(str(handle.readlink()))
    return [name for name in held if name.startswith(str(folder))]


class Raw:
    """A listener who reads as slowly as it likes: a socket with a small window."""

    def __init__(self, url: str, visitor: Visitor, path: str) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8_192)
        parts = urlsplit(url)
        self.socket.connect((parts.hostname, parts.port))
        self.socket.settimeout(30)
        self.socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: {visitor.headers['Authorization']}\r\n\r\n".encode()
        )

    def read(self, least: int) -> bytes:
        got = b""
        while len(got) < least:
            part = self.socket.recv(4_096)
            assert part
            got += part
        return got

    def leave(self) -> None:
        self.socket.close()


def test_the_wav_says_its_length_and_sends_the_rendered_samples(alice: Visitor, address: str, sound: Programme) -> None:
    with alice.stream("GET", f"{address}.wav") as answer:
        assert answer.status_code == 200
        assert answer.headers["content-length"] == str(encode.wav_size(sound))
        assert "transfer-encoding" not in answer.headers
        assert answer.headers["accept-ranges"] == "bytes"
        assert "content-encoding" not in answer.headers
        got = b""
        for part in answer.iter_raw():
            got += part
            if len(got) > 600_000:
                break
    assert got == b"".join(encode.wav_range(sound, 0, len(got)))


@pytest.mark.parametrize("span", [(0, 0), (0, 67), (60, 1_000_000), (-500, None), (52_000_001, 52_000_100), (52_000_001, None)])
def test_any_range_of_the_wav_is_exact(alice: Visitor, address: str, sound: Programme, span: tuple[int, int | None]) -> None:
    size = encode.wav_size(sound)
    first, last = span
    header = f"bytes={first}" if first < 0 else f"bytes={first}-{'' if last is None else last}"
    first = size + first if first < 0 else first
    end = size if last is None else last + 1
    if last is None and end - first > 2_000_000:  # to the end: its beginning is enough
        with alice.stream("GET", f"{address}.wav", headers={"Range": header}) as answer:
            assert answer.headers["content-length"] == str(end - first)
            got = next(answer.iter_raw())
        assert got == b"".join(encode.wav_range(sound, first, first + len(got)))
        return
    answer = alice.get(f"{address}.wav", headers={"Range": header})
    assert answer.status_code == 206
    assert answer.headers["content-range"] == f"bytes {first}-{end - 1}/{size}"
    assert answer.headers["content-length"] == str(end - first)
    assert answer.content == b"".join(encode.wav_range(sound, first, end))


def test_a_range_behind_the_end_is_refused_with_the_length(alice: Visitor, address: str, sound: Programme) -> None:
    size = encode.wav_size(sound)
    answer = alice.get(f"{address}.wav", headers={"Range": f"bytes={size}-"})
    assert (answer.status_code, answer.headers["content-range"]) == (416, f"bytes */{size}")


@pytest.mark.parametrize("ending", ["wav", "flac"])
def test_a_broken_download_goes_on_where_it_stopped(
    served: Served, alice: Visitor, address: str, ending: str, sound: Programme
) -> None:
    if ending == "flac":
        sound = msgspec.structs.replace(sound, segments=(Segment(6.0, 200, 200, 6, 6),))
        with served.kit.database.write() as tx:
            tx.run(SHORTEN, programme=msgspec.json.encode(sound).decode())
    got = b""
    with alice.stream("GET", f"{address}.{ending}") as answer:  # broken off by leaving
        size, tag = int(answer.headers["content-length"]), answer.headers["etag"]
        for part in answer.iter_raw():
            got += part
            if len(got) > 300_000:
                break
    until = min(size, len(got) + 400_000)
    rest = alice.get(f"{address}.{ending}", headers={"Range": f"bytes={len(got)}-{until - 1}", "If-Range": tag})
    assert rest.status_code == 206
    whole = b"".join(encode.wav_range(sound, 0, until)) if ending == "wav" else alice.get(f"{address}.flac").content[:until]
    assert got + rest.content == whole
    with alice.stream("GET", f"{address}.{ending}", headers={"Range": "bytes=5-9", "If-Range": '"another"'}) as changed:
        assert (changed.status_code, changed.headers["content-length"]) == (200, str(size))


def test_the_flac_has_exact_ranges(served: Served, alice: Visitor, address: str, sound: Programme) -> None:
    sound = msgspec.structs.replace(sound, segments=(Segment(3.0, 200, 200, 6, 6),))
    with served.kit.database.write() as tx:
        tx.run(SHORTEN, programme=msgspec.json.encode(sound).decode())
    whole = alice.get(f"{address}.flac")
    assert whole.headers["content-length"] == str(len(whole.content))
    for first, last in ((0, 3), (65_535, 65_536), (100_000, 300_000)):
        part = alice.get(f"{address}.flac", headers={"Range": f"bytes={first}-{last}"})
        assert part.status_code == 206
        assert part.content == whole.content[first : last + 1]
        assert part.headers["content-range"] == f"bytes {first}-{last}/{len(whole.content)}"


def test_opus_streams_whole_pages_and_is_never_squeezed(
    served: Served, alice: Visitor, address: str, sound: Programme, tmp_path: Path
) -> None:
    sound = msgspec.structs.replace(sound, segments=(Segment(4.0, 200, 200, 6, 6),))
    with served.kit.database.write() as tx:
        tx.run(SHORTEN, programme=msgspec.json.encode(sound).decode())
    answer = alice.get(f"{address}.opus", headers={"Accept-Encoding": "gzip"})
    assert answer.status_code == 200
    assert "content-encoding" not in answer.headers
    assert "content-length" not in answer.headers
    file = tmp_path / "a.opus"
    file.write_bytes(answer.content)
    info = soundfile.info(file)
    assert (info.samplerate, info.frames, info.subtype) == (48_000, 4 * 48_000, "OPUS")


def test_a_codec_that_is_missing_is_said_before_the_first_byte(
    alice: Visitor, address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sound: Programme
) -> None:
    monkeypatch.setattr(soundfile, "check_format", lambda *_: False)
    for ending, name in (("opus", "Opus"), ("flac", "FLAC")):
        answer = alice.get(f"{address}.{ending}")
        assert answer.status_code == 501
        assert f"cannot write {name}. Take the sound as WAV" in answer.json()["detail"]
        with pytest.raises(audio.CodecMissing):
            audio.write_file(sound, tmp_path / f"a.{ending}")
    assert list(tmp_path.glob("*a.*")) == []
    with alice.stream("GET", f"{address}.wav") as wav:
        assert wav.status_code == 200


def test_the_first_piece_is_the_header_alone_and_nothing_is_rendered_for_it(sound: Programme, pieces: list[int]) -> None:
    stream = audio.wav(sound, 0, audio.wav_size(sound))
    assert len(next(stream)) == encode.HEADER_BYTES
    assert pieces == []
    next(stream)
    assert pieces == [32_768]


def test_a_place_far_into_the_sound_costs_one_block(sound: Programme, pieces: list[int]) -> None:
    size = audio.wav_size(sound)
    assert len(next(audio.wav(sound, size - 100, size))) == 100
    assert pieces == [-(-100 // 6)]


def test_opus_sends_its_header_before_a_block_is_coded(sound: Programme, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    coded: list[int] = []
    block, write = render.block, soundfile.SoundFile.write

    def rendered(programme: Programme, start: int, stop: int) -> Any:
        made.append(start)
        return block(programme, start, stop)

    def written(self: soundfile.SoundFile, data: Any) -> None:
        coded.append(len(data))
        write(self, data)

    monkeypatch.setattr(render, "block", rendered)
    monkeypatch.setattr(soundfile.SoundFile, "write", written)
    assert next(audio.opus(sound, {})).startswith(b"OggS")
    assert made == [0]
    assert coded == [480]


def test_who_does_not_read_costs_nothing(served: Served, alice: Visitor, address: str, pieces: list[int]) -> None:
    listener = Raw(served.url, alice, f"{address}.wav")
    listener.read(70_000)
    quiet = [-1]

    def settled() -> bool:
        before, quiet[0] = quiet[0], len(pieces)
        time.sleep(0.5)
        return before == quiet[0] == len(pieces)

    wait_for(settled, "rendering goes on although nobody reads")
    # Buffers of the system hold some of it; the whole would be 404 pieces.
    assert len(pieces) < 60
    before = len(pieces)
    listener.read(sum(pieces) * 6)
    wait_for(lambda: len(pieces) > before, "reading does not bring more")
    listener.leave()


@pytest.mark.parametrize("ending", ["wav", "opus", "flac"])
def test_who_leaves_leaves_nothing_behind(
    served: Served, alice: Visitor, address: str, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    sources: list[Generator[bytes, None, None]] = []
    closed: list[int] = []
    begin: Callable[..., None] = audio.Pieces.__init__
    close: Callable[..., None] = audio.Pieces.close

    def watched(self: audio.Pieces, source: Generator[bytes, None, None]) -> None:
        begin(self, source)
        sources.append(source)

    def counted(self: audio.Pieces) -> None:
        close(self)
        assert next(self, None) is None
        closed.append(1)

    monkeypatch.setattr(audio.Pieces, "__init__", watched)
    monkeypatch.setattr(audio.Pieces, "close", counted)
    folder = Path(served.kit.settings.data_dir)
    alice.get(f"{address}.flac", headers={"Range": "bytes=0-9"})
    threads = threading.active_count()
    before = sorted(folder.rglob("*"))
    for _ in range(12):
        listener = Raw(served.url, alice, f"{address}.{ending}")
        listener.read(100_000)
        listener.leave()
    wait_for(lambda: len(closed) == 1 + 12, "streams stay open after their listeners left")
    assert [inspect.getgeneratorstate(source) for source in sources] == [inspect.GEN_CLOSED] * 13  # ended: encoder, file and block are free
    assert threading.active_count() <= threads + 8  # the pool of the event loop, which is bounded and stays
    wait_for(lambda: not open_sound_files(served.kit.settings.audio_dir), "sound files are still open")
    assert [path for path in sorted(folder.rglob("*")) if path.suffix in (".part", ".swf")] == [
        path for path in before if path.suffix in (".part", ".swf")
    ]


def test_closing_waits_for_the_piece_that_is_being_made() -> None:
    making, go, ended = threading.Event(), threading.Event(), threading.Event()

    def slow() -> Iterator[bytes]:
        try:
            making.set()
            go.wait(30)
            yield b"one"
            yield b"two"
        finally:
            ended.set()

    pieces = audio.Pieces(slow())
    with ThreadPoolExecutor(2) as pool:
        taking = pool.submit(next, pieces, b"")
        assert making.wait(30)
        closing = pool.submit(pieces.close)
        assert not ended.is_set()
        go.set()
        assert taking.result(30) == b"one"
        closing.result(30)
    assert ended.is_set()
    assert list(pieces) == []


def test_twenty_listeners_at_once_all_hear_their_place(alice: Visitor, address: str, sound: Programme) -> None:
    size = encode.wav_size(sound)
    places = [size * place // 20 for place in range(20)]

    def ask(first: int) -> bytes:
        return bytes(alice.get(f"{address}.wav", headers={"Range": f"bytes={first}-{first + 9_999}"}).content)

    with ThreadPoolExecutor(20) as pool:
        for first, got in zip(places, pool.map(ask, places), strict=True):
            assert got == b"".join(encode.wav_range(sound, first, first + 10_000))
