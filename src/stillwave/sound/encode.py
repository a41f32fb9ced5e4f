"""The sound as a file: a WAV that exists only as the bytes asked for, and a FLAC of the same samples."""

import struct
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile  # it ships no types

from stillwave.sound import render
from stillwave.sound import tags as marks
from stillwave.sound.programme import SAMPLE_RATE_HZ
from stillwave.sound.sequence import Audible

HEADER_BYTES = 68
WAV_MOST_BYTES = 2**32 - 1
BITS = (16, 24)
Progress = Callable[[int], None]

_PCM_GUID = bytes.fromhex("0100000000001000800000aa00389b71")


def wav_size(programme: Audible, bits: int = 24) -> int:
    """Return the length of the whole WAV in bytes, without tags. A WAV above WAV_MOST_BYTES cannot be written."""
    return HEADER_BYTES + programme.total_samples * _frame_bytes(bits)


def wav_header(programme: Audible, bits: int = 24, after_bytes: int = 0) -> bytes:
    """Return the 68 bytes before the first sample: RIFF, WAVE_FORMAT_EXTENSIBLE, 44.1 kHz, stereo.

    `after_bytes` is the length of the chunks that follow the samples.

    Raises:
        ValueError: the whole would be larger than a WAV can say.
    """
    if wav_size(programme, bits) + after_bytes > WAV_MOST_BYTES:
        longest_h = (WAV_MOST_BYTES - 2**21) / _frame_bytes(bits) / SAMPLE_RATE_HZ / 3600
        msg = f"a WAV of {bits} bits holds {longest_h:.1f} h at most; FLAC and Opus have no such limit"
        raise ValueError(msg)
    data_bytes = programme.total_samples * _frame_bytes(bits)
    form = struct.pack(
        "<HHIIHHHHI16s",
        0xFFFE,
        2,
        SAMPLE_RATE_HZ,
        SAMPLE_RATE_HZ * _frame_bytes(bits),
        _frame_bytes(bits),
        bits,
        22,
        bits,
        3,  # front left, front right
        _PCM_GUID,
    )
    riff = struct.pack("<4sI4s4sI", b"RIFF", HEADER_BYTES - 8 + data_bytes + after_bytes, b"WAVE", b"fmt ", len(form))
    return riff + form + struct.pack("<4sI", b"data", data_bytes)


def wav_range(programme: Audible, first_byte: int, end_byte: int) -> Iterator[bytes]:
    """Yield bytes [first_byte, end_byte) of the whole WAV in pieces of at most 0.74 s, made when asked for.

    Raises:
        ValueError: the range is not within 0 and `wav_size(programme)`.
    """
    if not 0 <= first_byte <= end_byte <= wav_size(programme):
        msg = f"first_byte and end_byte must be within 0 <= first_byte <= end_byte <= {wav_size(programme)}"
        raise ValueError(msg)
    return _wav_pieces(programme, first_byte, end_byte)


def write_wav(
    programme: Audible,
    file: BinaryIO | str | Path,
    progress: Progress | None = None,
    *,
    tags: dict[str, str] | None = None,
    bits: int = 24,
) -> None:
    """Write the whole WAV; `progress` hears the frames done after each piece. Tags follow the samples.

    Raises:
        ValueError: the sound is too long for a WAV, or `bits` is neither 16 nor 24.
        OSError: the file refused a write; what is there is not a whole WAV.
    """
    after = marks.wav_chunks(programme, tags) if tags is not None else b""
    header = wav_header(programme, bits, len(after))
    with _opened(file) as out:
        out.write(header)
        done = 0
        for piece in render.pcm_pieces(programme, bits):
            out.write(piece)
            done += len(piece) // _frame_bytes(bits)
            if progress is not None:
                progress(done)
        out.write(after)


def write_flac(
    programme: Audible,
    file: BinaryIO | str | Path,
    progress: Progress | None = None,
    *,
    tags: dict[str, str] | None = None,
    bits: int = 24,
) -> None:
    """Write a FLAC that decodes to exactly `render.pcm`; `file` must be able to seek.

    `tags` may hold title, comment and software; the programme is tagged in any case.

    Raises:
        ValueError: `bits` is neither 16 nor 24.
        OSError: the file refused a write; what is there is not a whole FLAC.
    """
    _frame_bytes(bits)
    with _opened(file) as out:
        watched = _Watched(out)
        try:
            with soundfile.SoundFile(
                watched, "w", SAMPLE_RATE_HZ, channels=2, format="FLAC", subtype=f"PCM_{bits}"
            ) as flac:
                marks.put(flac, programme, tags)
                for start, stop in render.edges(0, programme.total_samples):
                    # Left-justified 32-bit integers pass through libsndfile unchanged; floats take its slow
                    # path.
                    flac.write(render.samples(programme, start, stop, bits) << np.int32(32 - bits))
                    watched.raise_error()
                    if progress is not None:
                        progress(stop)
        finally:
            watched.raise_error()


class _Watched:
    """A file for libsndfile, which lets no exception through: the first one is kept and raised later."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._error: OSError | None = None
        self._at_header = True

    def write(self, data: bytes) -> int:
        piece = marks.in_flac(bytes(data)) if self._at_header else data
        # The header ends where audio begins: a frame's first 14 bits.
        self._at_header = self._at_header and piece[:2] not in (b"\xff\xf8", b"\xff\xf9")
        self._try(lambda: self._file.write(piece))
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        # Seeking flushes what was written, so a full disk may show here as well.
        return self._try(lambda: self._file.seek(offset, whence))

    def tell(self) -> int:
        return self._try(self._file.tell)

    def _try(self, act: Callable[[], int]) -> int:
        try:
            return act() if self._error is None else 0
        except OSError as error:
            self._error = error
            return 0

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size)

    def raise_error(self) -> None:
        if self._error is not None:
            raise self._error


def _wav_pieces(programme: Audible, first_byte: int, end_byte: int) -> Iterator[bytes]:
    if first_byte < min(end_byte, HEADER_BYTES):
        yield wav_header(programme)[first_byte : min(end_byte, HEADER_BYTES)]
    first, end = max(first_byte - HEADER_BYTES, 0), end_byte - HEADER_BYTES
    if end <= first:
        return
    frame = render.FRAME_BYTES
    for start, stop in render.edges(first // frame, -(-end // frame)):
        piece = render.pcm24(programme, start, stop)
        yield piece[max(first - start * frame, 0) : end - start * frame]


def _frame_bytes(bits: int) -> int:
    if bits not in BITS:
        msg = f"bits must be one of: {', '.join(map(str, BITS))}"
        raise ValueError(msg)
    return bits // 4


def _opened(file: BinaryIO | str | Path) -> AbstractContextManager[BinaryIO]:
    return Path(file).open("wb") if isinstance(file, str | Path) else nullcontext(file)
