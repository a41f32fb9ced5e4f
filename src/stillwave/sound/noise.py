"""Noise by absolute sample index.

White is a hash of (key, index); colours are filters that start afresh at each block, far enough ahead of it
to have forgotten their start.

All arrays are (2, frames) float32, left and right independent.
"""

import math
import threading
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stillwave.sound import kernels, lanes
from stillwave.sound.programme import SAMPLE_RATE_HZ

Sound = NDArray[np.float32]
Exact = NDArray[np.float64]

# Every block starts at a multiple of this and every filter starts at most WARM_UP_SAMPLES before it, so what a sample
# is never depends on where a slice begins. 0.74 s: short enough to start at once, long enough to dilute the
# warm-up.
BLOCK_SAMPLES = 32_768
# The slowest pole used (Kellet's 0.99886, 8 Hz) is down by 61 dB after this, and carries little of the power.
WARM_UP_SAMPLES = 6_144
# Slow movements, none faster than half a second, are worked out every 23 ms and joined by straight lines.
CONTROL_SAMPLES = 1_024

_WORD = 2**64


@lru_cache(maxsize=1024)
def key(seed: int, name: str) -> np.uint64:
    """Return a 64-bit key of its own for each named source within one seed (FNV-1a, then mixed)."""
    value = 0xCBF29CE484222325
    for byte in name.encode():
        value = (value ^ byte) * 0x100000001B3 % _WORD
    value = (value ^ seed * 0x9E3779B97F4A7C15) % _WORD
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 % _WORD
    value = (value ^ value >> 27) * 0x94D049BB133111EB % _WORD
    return np.uint64(value ^ value >> 31)


_own = threading.local()


def own(name: str, shape: tuple[int, ...], kind: type[Any]) -> NDArray[Any]:
    """Return this thread's own array of that name, holding whatever it held.

    Asking the system for fresh memory block by block costs more than the sound itself (page faults).
    """
    arrays = _own.__dict__
    if name not in arrays or arrays[name].shape != shape:
        arrays[name] = np.empty(shape, kind)
    found: NDArray[Any] = arrays[name]
    return found


def scratch(name: str, frames: int) -> Sound:
    """Return this thread's own (2, frames) array of that name."""
    return own(name, (2, frames), np.float32)


class Shape(NamedTuple):
    """Two second-order sections (2, 5), and after how many samples they have forgotten their start."""

    coefficients: Exact
    warm_up_samples: int


def shape(*sections: list[float]) -> Shape:
    """Return a shape whose slowest pole is down by 100 dB after its warm-up."""
    slowest = max(float(np.abs(np.roots([1.0, *section[3:]])).max()) for section in sections)
    return Shape(np.array(sections), min(WARM_UP_SAMPLES, 64 + int(-11.5 / math.log(slowest))))


def white(source: np.uint64, start: int, out: Sound) -> None:
    """Fill `out` with white noise, unit RMS, never above 1.74."""
    kernels.white(source, start, out)


def pink(source: np.uint64, start: int, out: Sound) -> None:
    """Fill `out` with pink noise: -3 dB an octave from 10 Hz to 20 kHz."""
    lanes.pink(source, start, WARM_UP_SAMPLES, out)


def brown(source: np.uint64, start: int, out: Sound) -> None:
    """Fill `out` with brown noise: -6 dB an octave above 40 Hz; none below 20 Hz, where it costs headroom."""
    lanes.shaped(source, start, BROWN.warm_up_samples, BROWN.coefficients, out)


def add_shaped(out: Sound, source: np.uint64, start: int, form: Shape, level: Exact, gain: float) -> None:
    """Add shaped noise to `out`, its loudness led by control points (2, m + 1)."""
    made = scratch("shaped", out.shape[1])
    lanes.shaped(source, start, form.warm_up_samples, form.coefficients, made)
    kernels.layer(made, level, gain, CONTROL_SAMPLES, out)


def drift(source: np.uint64, start: int, frames: int, period_s: float) -> Exact:
    """Return a slow wander within -1..1 at control points, (frames // CONTROL_SAMPLES + 1,).

    One random value each `period_s`, joined by smoothstep; the hash of the value's number, so it never
    repeats.
    """
    wander: Exact = np.empty(frames // CONTROL_SAMPLES + 1)
    kernels.drift(source, start, CONTROL_SAMPLES, period_s * SAMPLE_RATE_HZ, wander)
    return wander


def low_pass(corner_hz: float, q: float = math.sqrt(0.5)) -> list[float]:
    """Return a low-pass section (R. Bristow-Johnson's Audio EQ Cookbook)."""
    cosine, alpha = _angle(corner_hz, q)
    return _section((1 - cosine) / 2, 1 - cosine, (1 - cosine) / 2, cosine, alpha)


def high_pass(corner_hz: float, q: float = math.sqrt(0.5)) -> list[float]:
    """Return a high-pass section (Audio EQ Cookbook)."""
    cosine, alpha = _angle(corner_hz, q)
    return _section((1 + cosine) / 2, -1 - cosine, (1 + cosine) / 2, cosine, alpha)


def band_pass(centre_hz: float, q: float) -> list[float]:
    """Return a band-pass section of peak gain 1 (Audio EQ Cookbook)."""
    cosine, alpha = _angle(centre_hz, q)
    return _section(alpha, 0.0, -alpha, cosine, alpha)


def gentle_band(low_hz: float, high_hz: float) -> list[float]:
    """Return a section that rises 6 dB an octave below `low_hz` and falls 6 dB an octave above `high_hz`."""
    low = math.exp(-2 * math.pi * low_hz / SAMPLE_RATE_HZ)
    high = math.exp(-2 * math.pi * high_hz / SAMPLE_RATE_HZ)
    gain = (1 - high) * (1 + low) / 2
    return [gain, -gain, 0.0, -low - high, low * high]


def _angle(hz: float, q: float) -> tuple[float, float]:
    w = 2 * math.pi * hz / SAMPLE_RATE_HZ
    return math.cos(w), math.sin(w) / (2 * q)


def _section(b0: float, b1: float, b2: float, cosine: float, alpha: float) -> list[float]:
    a0 = 1 + alpha
    return [b0 / a0, b1 / a0, b2 / a0, -2 * cosine / a0, (1 - alpha) / a0]


BROWN = shape(gentle_band(16.0, 20.0), high_pass(16.0, 0.5))
