"""The law of slices: `block(programme, a, b)` equals frames a to b of the whole sound, bit for bit.

Sound is always made in whole blocks that start at a multiple of BLOCK_SAMPLES and is then cut, so that a
sample never depends on where a slice began. Nothing is kept between calls; any number of threads may render
at once.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from stillwave.sound import kernels, levels, nature, noise, tones, voice
from stillwave.sound.noise import BLOCK_SAMPLES
from stillwave.sound.programme import Programme

FRAME_BYTES = 6

Kind = TypeVar("Kind", np.float64, np.int32)


def block(programme: Programme, start: int, stop: int) -> NDArray[np.float64]:
    """Return frames [start, stop), (n, 2) left and right, 1.0 = full scale, before rounding and dither.

    Raises:
        ValueError: the slice is not within 0 and the programme's total_samples.
    """
    _check_slice(programme, start, stop)
    return _cut([_whole_block(programme, at) for at in _block_starts(start, stop)], start, stop, np.float64)


def samples24(programme: Programme, start: int, stop: int) -> NDArray[np.int32]:
    """Return frames [start, stop) as dithered 24-bit integers, (n, 2) int32 within +-2^23.

    Raises:
        ValueError: the slice is not within 0 and the programme's total_samples.
    """
    _check_slice(programme, start, stop)
    return _cut([_whole_samples24(programme, at) for at in _block_starts(start, stop)], start, stop, np.int32)


def pcm24(programme: Programme, start: int, stop: int) -> bytes:
    """Return frames [start, stop) as packed little-endian 24-bit PCM, six bytes a frame, left first.

    Raises:
        ValueError: the slice is not within 0 and the programme's total_samples.
    """
    return packed24(samples24(programme, start, stop))


def packed24(samples: NDArray[np.int32]) -> bytes:
    """Return 24-bit integers (n, 2) as packed little-endian PCM."""
    even = samples if len(samples) % 2 == 0 else np.concatenate([samples, samples[-1:]])
    fours = np.ascontiguousarray(even).view(np.uint32).reshape(-1, 4)
    words = np.empty((len(fours), 3), np.uint32)
    kernels.pack24(fours, words)
    return words.astype("<u4", copy=False).tobytes()[: len(samples) * FRAME_BYTES]


def edges(start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Yield (from, to) pairs that cover [start, stop) and meet where blocks do: the cheap way through it."""
    for at in _block_starts(start, stop):
        yield max(at, start), min(at + BLOCK_SAMPLES, stop)


def _whole_block(programme: Programme, start: int) -> NDArray[np.float64]:
    beat = tones.render(programme, start, BLOCK_SAMPLES)
    bed = np.ascontiguousarray(nature.BEDS[programme.bed](programme, start, BLOCK_SAMPLES))
    out = np.empty((BLOCK_SAMPLES, 2))
    voice.duck(programme, start, beat, bed)
    beat_gain, bed_gain = levels.gains(programme)
    kernels.master(
        beat,
        bed,
        beat_gain,
        bed_gain,
        start,
        programme.total_samples,
        programme.fade_in_samples,
        programme.fade_out_samples,
        out,
    )
    voice.add(programme, start, out)
    return out


def _whole_samples24(programme: Programme, start: int) -> NDArray[np.int32]:
    out = np.zeros((BLOCK_SAMPLES, 2), np.int32)
    if programme.volume_level > 0:  # level 0 is digital silence: not even dither
        kernels.quantise(_whole_block(programme, start), _dither_key(programme.seed), start, out)
    return out


@lru_cache(maxsize=64)
def _dither_key(seed: int) -> np.uint64:
    return noise.key(seed, "dither")


def _block_starts(start: int, stop: int) -> range:
    return range(start - start % BLOCK_SAMPLES, stop, BLOCK_SAMPLES)


def _cut(blocks: list[NDArray[Kind]], start: int, stop: int, kind: type[Kind]) -> NDArray[Kind]:
    if not blocks:
        return np.empty((0, 2), kind)
    whole = np.concatenate(blocks) if len(blocks) > 1 else blocks[0]
    skip = start % BLOCK_SAMPLES
    return whole[skip : skip + stop - start]


def _check_slice(programme: Programme, start: int, stop: int) -> None:
    if not 0 <= start <= stop <= programme.total_samples:
        msg = f"start and stop must be within 0 <= start <= stop <= {programme.total_samples}"
        raise ValueError(msg)
