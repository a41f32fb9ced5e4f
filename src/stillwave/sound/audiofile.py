"""Any sound file, read in blocks of a second: by libsndfile, or by ffmpeg where that is installed and needed.

Nothing that a header claims is believed before it is read: rates and channels have limits, lengths are counted.
"""

import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile
from numpy.typing import NDArray

from stillwave.errors import BadInput
from stillwave.sound.noise import Exact

RATE_RANGE_HZ = (8_000, 192_000)
CHANNELS_MOST = 8
UNKNOWN_FRAMES = 2**40  # how libsndfile says that a header names no length: anything from here on
_WHOLE = ("PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "ALAC_16", "ALAC_20", "ALAC_24", "ALAC_32")
_COUNTED = ("WAV", "WAVEX", "RF64", "FLAC", "AIFF", "W64", "CAF")  # formats whose length in the header is exact
_FULL = 2.0**31
_AU_FLOAT = 6


class Opened(NamedTuple):
    """A sound file that can be read: what it says of itself, and its blocks."""

    format: str
    coding: str
    rate_hz: int
    channels: int
    frames: int | None
    blocks: Iterator[tuple[Exact, NDArray[np.int32]]]


@contextmanager
def opened(path: Path) -> Iterator[Opened]:
    """A file is open and its header has been read.

    Raises:
        BadInput: it is not there, may not be read, is no sound, or says of itself what no sound has. The blocks
            raise it too, where the file is damaged or cut off.
    """
    _check_file(path)
    try:
        sound = soundfile.SoundFile(str(path))
    except (soundfile.LibsndfileError, TypeError, ValueError) as error:
        with _by_ffmpeg(path, error) as other:
            yield other
        return
    with sound:
        _check_header(sound.samplerate, sound.channels)
        counted = sound.format in _COUNTED and 0 < sound.frames < UNKNOWN_FRAMES
        frames = sound.frames if counted else None
        yield Opened(sound.format, sound.subtype, sound.samplerate, sound.channels, frames, _blocks(sound, frames))


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise BadInput("FILE", "is a folder", "a sound file")
    try:
        with path.open("rb") as file:
            if not path.is_file():
                raise BadInput("FILE", "is not a regular file", "a sound file")
            if not file.read(1):
                raise BadInput("FILE", "is empty", "a sound file")
    except FileNotFoundError:
        raise BadInput("FILE", "does not exist", "a sound file") from None
    except PermissionError:
        raise BadInput("FILE", "may not be read by you. Check its rights", "a sound file") from None
    except OSError as error:
        raise BadInput("FILE", f"cannot be read: {error.strerror}", "a sound file") from error


def _check_header(rate_hz: int, channels: int) -> None:
    if not 1 <= channels <= CHANNELS_MOST:
        raise BadInput("FILE", f"says it has {channels} channels", f"1 to {CHANNELS_MOST} channels")
    if not RATE_RANGE_HZ[0] <= rate_hz <= RATE_RANGE_HZ[1]:
        raise BadInput("FILE", f"says it has {rate_hz} samples a second", f"{RATE_RANGE_HZ[0]} to {RATE_RANGE_HZ[1]}")


def _blocks(sound: Any, frames: int | None) -> Iterator[tuple[Exact, NDArray[np.int32]]]:  # noqa: ANN401
    whole, done, rate_hz = sound.subtype in _WHOLE, 0, sound.samplerate
    while True:
        try:
            block = sound.read(rate_hz, "int32" if whole else "float64", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise BadInput("FILE", f"is damaged after {done / rate_hz:.1f} s", "a whole file") from error
        if len(block) == 0:
            break
        done += len(block)
        if whole:
            yield block / _FULL, block >> 8
        else:
            yield block, _words(block, done - len(block), rate_hz)
    if done == 0:
        raise BadInput("FILE", "has no sound in it", "a sound file")
    if frames is not None and done < frames:
        told = f"{frames / rate_hz:.1f} s, of which {done / rate_hz:.1f} s are there"
        raise BadInput("FILE", f"is cut off: it says it has {told}", "a whole file")


def _words(block: Exact, at: int, rate_hz: int) -> NDArray[np.int32]:
    bad = np.flatnonzero(~np.isfinite(block).all(axis=1))
    if len(bad):
        raise BadInput("FILE", f"has a sample that is not a number, at {(at + bad[0]) / rate_hz:.3f} s", "finite samples")
    if np.abs(block).max(initial=0.0) > 1000:
        raise BadInput("FILE", "has samples a thousand times above full scale; is its format what its header says?", "-1 to 1")
    words: NDArray[np.int32] = np.clip(np.rint(block * 2.0**23), -(2**23), 2**23 - 1).astype(np.int32)
    return words


# --- what libsndfile does not know --------------------------------------------------------------------


@contextmanager
def _by_ffmpeg(path: Path, refusal: Exception) -> Iterator[Opened]:
    program = shutil.which("ffmpeg")
    if program is None:
        raise BadInput(
            "FILE", "is not a sound file that can be read here", "WAV, FLAC, Ogg, Opus, MP3, AIFF; with ffmpeg installed also M4A, WebM"
        ) from refusal
    words = [
        program, "-nostdin", "-v", "error", "-protocol_whitelist", "file", "-i", f"file:{path}", "-map", "0:a:0",
        "-c:a", "pcm_f32be", "-f", "au", "pipe:1",
    ]  # fmt: skip
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as running:
        try:
            if running.stdout is None:
                raise BadInput("FILE", "cannot be read", "a sound file")
            head = running.stdout.read(24)
            if len(head) < 24 or head[:4] != b".snd":
                raise BadInput("FILE", "is not a sound file", "WAV, FLAC, Ogg, Opus, MP3, AIFF, M4A, WebM") from refusal
            offset, _, coding, rate_hz, channels = struct.unpack(">5I", head[4:])
            if coding != _AU_FLOAT:
                raise BadInput("FILE", "is not a sound file", "a sound file") from refusal
            _check_header(rate_hz, channels)
            running.stdout.read(max(0, offset - 24))
            yield Opened("by ffmpeg", path.suffix.lower().lstrip("."), rate_hz, channels, None, _piped(running, rate_hz, channels))
        finally:
            running.kill()


def _piped(running: "subprocess.Popen[bytes]", rate_hz: int, channels: int) -> Iterator[tuple[Exact, NDArray[np.int32]]]:
    done, piece = 0, rate_hz * channels * 4
    while running.stdout is not None and (raw := running.stdout.read(piece)):
        block = np.frombuffer(raw[: len(raw) - len(raw) % (4 * channels)], ">f4").reshape(-1, channels).astype(np.float64)
        if len(block):
            yield block, _words(block, done, rate_hz)
            done += len(block)
    if running.wait() != 0:
        raise BadInput("FILE", f"is damaged after {done / rate_hz:.1f} s", "a whole file")
    if done == 0:
        raise BadInput("FILE", "has no sound in it", "a sound file")
