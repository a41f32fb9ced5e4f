"""The law of slices: `block(programme, a, b)` equals frames a to b of the whole sound, bit for bit.

Sound is always made in whole blocks that start at a multiple of BLOCK_SAMPLES and is then cut, so that a
sample never depends on where a slice began. Nothing is kept between calls; any number of threads may render
at once.
"""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from stillwave.sound import kernels, layers, levels, nature, noise, tones, voice
from stillwave.sound.noise import BLOCK_SAMPLES, Sound, own
from stillwave.sound.programme import AM_LEAST, Programme
from stillwave.sound.sequence import Audible, Sequence

FRAME_BYTES = 6


def block(programme: Audible, start: int, stop: int) -> NDArray[np.float32]:
    """Return frames [start, stop), (n, 2) left and right, 1.0 = full scale, before rounding and dither.

    Raises:
        ValueError: the slice is not within 0 and the programme's total_samples.
    """
    _check_slice(programme, start, stop)
    out = np.empty((stop - start, 2), np.float32)
    for first, end in edges(start, stop):
        whole = _whole_block(programme, at := first - first % BLOCK_SAMPLES)
        out[first - start : end - start] = whole[:, first - at : end - at].T
    return out


def samples(programme: Audible, start: int, stop: int, bits: int = 24) -> NDArray[np.int32]:
    """Return frames [start, stop) as dithered integers of `bits` bits, (n, 2) int32.

    Raises:
        ValueError: the slice is not within 0 and the programme's total_samples.
    """
    _check_slice(programme, start, stop)
    out = np.empty((stop - start, 2), np.int32)
    for first, end in edges(start, stop):
        whole = _whole_samples(programme, at := first - first % BLOCK_SAMPLES, bits)
        out[first - start : end - start] = whole[first - at : end - at]
    return out


def samples24(programme: Audible, start: int, stop: int) -> NDArray[np.int32]:
    """Return frames [start, stop) as dithered 24-bit integers, (n, 2) int32 within +-2^23.

    Raises:
        ValueError: the slice is not within 0 and the programme's total_samples.
    """
    return samples(programme, start, stop, 24)


def pcm24(programme: Audible, start: int, stop: int) -> bytes:
    """Return frames [start, stop) as packed little-endian 24-bit PCM, six bytes a frame, left first.

    Raises:
        ValueError: the slice is not within 0 and the programme's total_samples.
    """
    return pcm(programme, start, stop, 24)


def pcm(programme: Audible, start: int, stop: int, bits: int) -> bytes:
    """Return frames [start, stop) as packed little-endian PCM of 16 or 24 bits, left first.

    Raises:
        ValueError: the slice is not within 0 and the programme's total_samples.
    """
    _check_slice(programme, start, stop)
    pieces = []
    for first, end in edges(start, stop):
        whole = _whole_samples(programme, at := first - first % BLOCK_SAMPLES, bits)
        pieces.append(bytes(_packed(whole[first - at : end - at], bits)))
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def pcm_pieces(programme: Audible, bits: int) -> Iterator[memoryview]:
    """Yield the whole sound as packed little-endian PCM, block by block, without a copy: each holds until the next."""
    for start, stop in edges(0, programme.total_samples):
        part = _whole_samples(programme, start, bits)[: stop - start]
        yield _packed(part, bits)


def packed24(values: NDArray[np.int32]) -> bytes:
    """Return 24-bit integers (n, 2) as packed little-endian PCM."""
    return bytes(_packed(values, 24))


def _packed(values: NDArray[np.int32], bits: int) -> memoryview:
    if bits == 16:
        return _plain(values.astype("<i2"))
    even = values if len(values) % 2 == 0 else np.concatenate([values, values[-1:]])
    words = own("words", (len(even) // 2, 3), np.uint32)
    kernels.pack24(np.ascontiguousarray(even).view(np.uint32).reshape(-1, 4), words)
    return _plain(words.astype("<u4", copy=False))[: len(values) * FRAME_BYTES]


def _plain(values: NDArray[np.generic]) -> memoryview:
    return values.reshape(-1).view(np.uint8).data  # a cast of the memoryview would refuse an empty slice


def edges(start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Yield (from, to) pairs that cover [start, stop) and meet where blocks do: the cheap way through it."""
    for at in _block_starts(start, stop):
        yield max(at, start), min(at + BLOCK_SAMPLES, stop)


def _whole_block(programme: Audible, start: int) -> Sound:
    """Return a block, (2, BLOCK_SAMPLES), in an array that is the thread's own and holds until its next."""
    if isinstance(programme, Sequence):
        bed, peak = layers.block(programme, start)
    else:
        beat = tones.render(programme, start, BLOCK_SAMPLES)
        bed = nature.BEDS[programme.bed](programme, start, BLOCK_SAMPLES)
        if programme.method == "am":
            kernels.sway(tones.path(programme.segments), start, AM_LEAST, bed)
        beat_gain, bed_gain = levels.gains(programme)
        peak = kernels.mix(beat, bed, beat_gain, bed_gain, bed)
    total, fade_in, fade_out = programme.total_samples, programme.fade_in_samples, programme.fade_out_samples
    if start < fade_in or start + BLOCK_SAMPLES > total - fade_out:
        kernels.fade(bed, start, total, fade_in, fade_out)
    if peak > 0.8:
        kernels.ceiling(bed)
    if isinstance(programme, Programme) and programme.cues:
        voice.speak(programme, start, bed)
    return bed


def _whole_samples(programme: Audible, start: int, bits: int) -> NDArray[np.int32]:
    out = own("samples", (BLOCK_SAMPLES, 2), np.int32)
    if programme.volume_level > 0:
        kernels.quantise(_whole_block(programme, start), _dither_key(programme.seed), start, bits, out.reshape(-1))
    else:  # digital silence: not even dither
        out[:] = 0
    return out


@lru_cache(maxsize=64)
def _dither_key(seed: int) -> np.uint64:
    return noise.key(seed, "dither")


def _block_starts(start: int, stop: int) -> range:
    return range(start - start % BLOCK_SAMPLES, stop, BLOCK_SAMPLES)


def _check_slice(programme: Audible, start: int, stop: int) -> None:
    if not 0 <= start <= stop <= programme.total_samples:
        msg = f"start and stop must be within 0 <= start <= stop <= {programme.total_samples}"
        raise ValueError(msg)
