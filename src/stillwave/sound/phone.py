"""The sound as Ogg Opus for phones, made as it is taken: resampled to 48 kHz and coded by libsndfile.

Opus knows no 44.1 kHz. Each sample at 48 kHz is a windowed sinc of 64 samples around its place, so the result is a
function of the index as everything else; pass band to 19 kHz, images below -90 dB.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
from numpy.typing import NDArray

from stillwave.sound import lanes, render
from stillwave.sound import tags as marks
from stillwave.sound.programme import SAMPLE_RATE_HZ
from stillwave.sound.sequence import Audible

OPUS_RATE_HZ = 48_000
UP, DOWN = 160, 147  # 48,000 / 44,100
TAPS = 64
HEADER_SAMPLES = 480
BITRATES_KBPS = (64, 96, 128, 160)


def opus(programme: Audible, kbps: int = 160, *, tags: dict[str, str] | None = None) -> Iterator[bytes]:
    """Yield a whole Ogg Opus file in pieces, each made when asked for.

    Raises:
        ValueError: `kbps` is not one of BITRATES_KBPS.
        soundfile.LibsndfileError: this libsndfile has no Opus.
    """
    if kbps not in BITRATES_KBPS:
        msg = f"kbps must be one of: {', '.join(map(str, BITRATES_KBPS))}"
        raise ValueError(msg)
    return _pieces(programme, kbps, tags or {})


def write_opus(
    programme: Audible,
    file: BinaryIO | str | Path,
    progress: Callable[[int], None] | None = None,
    *,
    tags: dict[str, str] | None = None,
) -> None:
    """Write the whole Ogg Opus file; `progress` hears the frames of 44.1 kHz done."""
    pieces = _pieces(programme, BITRATES_KBPS[-1], tags or {}, progress)
    if isinstance(file, str | Path):
        with Path(file).open("wb") as out:
            out.writelines(pieces)
    else:
        file.writelines(pieces)


def _pieces(
    programme: Audible, kbps: int, tags: dict[str, str], progress: Callable[[int], None] | None = None
) -> Iterator[bytes]:
    done, headed = 0, True
    pipe = _Pipe()
    # libsndfile maps 0..1 to 256..6 kb/s a channel.
    level = 1.0 - (kbps / 2 - 6) / 250
    with soundfile.SoundFile(
        pipe, "w", OPUS_RATE_HZ, channels=2, format="OGG", subtype="OPUS", compression_level=level
    ) as coder:
        marks.put(coder, programme, tags, marks.OGG_MOST_BYTES)
        for block in _header_first(resampled(programme)):
            coder.write(block)
            done += len(block)
            if progress is not None:
                progress(done * SAMPLE_RATE_HZ // OPUS_RATE_HZ)
            if piece := pipe.taken():
                yield marks.in_ogg(piece) if headed else piece
                headed = False
    yield pipe.taken()


def _header_first(blocks: Iterator[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
    """Yield the same frames, the first 10 ms by themselves: libsndfile writes the header with them, a block earlier."""
    first = next(blocks)
    yield first[:HEADER_SAMPLES]
    yield first[HEADER_SAMPLES:]
    yield from blocks


def resampled(programme: Audible) -> Iterator[NDArray[np.float32]]:
    """Yield the sound at 48 kHz, (n, 2), block by block."""
    before = np.zeros((TAPS, 2), np.float32)
    first, made = -TAPS, 0  # index at 44.1 kHz of what `before` starts with; frames yielded
    for start, stop in render.edges(0, programme.total_samples):
        after = np.zeros((TAPS if stop == programme.total_samples else 0, 2), np.float32)
        held = np.concatenate([before, render.block(programme, start, stop), after])
        # The last frame whose taps all lie within what is held.
        ready = (first + len(held) - TAPS // 2 - 1) * UP // DOWN + 1
        if stop == programme.total_samples:
            ready = programme.total_samples * OPUS_RATE_HZ // SAMPLE_RATE_HZ
        if programme.volume_level > 0:
            out = np.empty((ready - made, 2), np.float32)
            lanes.resample(np.ascontiguousarray(held), first, made, FILTERS, out)
        else:
            out = np.zeros((ready - made, 2), np.float32)
        yield out
        made = ready
        keep = (made * DOWN // UP) - TAPS // 2 - first
        before, first = held[keep:].copy(), first + keep


def _filters() -> NDArray[np.float32]:
    """Return one row (TAPS,) for each of the 160 places between samples: sinc to 20.5 kHz, Kaiser 9."""
    at = np.arange(TAPS)[None, :] - (TAPS // 2 - 1) - np.arange(UP)[:, None] / UP
    edge = 2 * 20_500 / SAMPLE_RATE_HZ
    window = np.i0(9.0 * np.sqrt(np.clip(1 - (at / (TAPS / 2)) ** 2, 0, 1))) / np.i0(9.0)
    taps = np.sinc(edge * at) * window
    rows: NDArray[np.float32] = (taps / taps.sum(axis=1, keepdims=True)).astype(np.float32)
    return rows


FILTERS = _filters()


class _Pipe:
    """A file for libsndfile of which only what was written since the last look is kept."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._at = 0

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        self._at += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:  # noqa: ARG002 - Ogg is written front to back
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1) -> bytes:  # noqa: ARG002
        return b""

    def taken(self) -> bytes:
        piece, self._parts = b"".join(self._parts), []
        return piece
