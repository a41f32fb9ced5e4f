"""Every compiled loop of the sound engine; importing this module compiles them, or loads them from the cache.

They live in one file because numba's cache notices a change only in the file that holds the kernel, not in a
function it calls. Sines are polynomials and noise is integer hashing: plain IEEE additions and
multiplications without reassociation give the same bits in a vector register and in a scalar one, wherever a
loop starts.

Arrays of sound are (2, n) float32, left then right, 1.0 = full scale, unless said otherwise. Their 24 bits of
precision follow the level: at -30 dBFS the error lies 60 dB under the last bit of a 24-bit file. Phase and
time are float64.
"""

from collections.abc import Callable
from math import exp, log, sin, sqrt
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

Sound = NDArray[np.float32]
Exact = NDArray[np.float64]
Words = NDArray[np.uint32]
Integers = NDArray[np.int32]

U8, U4, F4 = np.uint64, np.uint32, np.float32
GOLDEN = U8(0x9E3779B97F4A7C15)
MIX_1 = U8(0xBF58476D1CE4E5B9)
MIX_2 = U8(0x94D049BB133111EB)
S30, S27, S31, S32, S16, S48 = U8(30), U8(27), U8(31), U8(32), U8(16), U8(48)
LOW_32, LOW_16 = U8(0xFFFFFFFF), U8(0xFFFF)
TWO_PI = 6.283185307179586
ROOT_3 = 1.7320508075688772
EAR = U4(0x55555555)  # what the right ear's key differs by
WHITE_SCALE = F4(1.7320508075688772 / 2147483648.0)  # uniform noise of unit RMS


def kernel(signature: str) -> Callable[[Callable[..., Any]], Any]:
    """Return a decorator that compiles for one signature, or loads what was compiled before."""

    def compiled(function: Callable[..., Any]) -> Any:
        try:
            return numba.njit(signature, cache=True, nogil=True)(function)
        except (RuntimeError, OSError):  # a read-only install has nowhere to keep the cache
            return numba.njit(signature, nogil=True)(function)

    return compiled


@numba.extending.register_jitable
def _mix(key: np.uint64, index: np.int64 | int) -> np.uint64:
    """Return 64 well mixed bits of (key, index): SplitMix64 (Steele, Lea, Flood 2014) by counter."""
    z = key + U8(index) * GOLDEN
    z = (z ^ (z >> S30)) * MIX_1
    z = (z ^ (z >> S27)) * MIX_2
    return z ^ (z >> S31)


@numba.extending.register_jitable
def _hash(index: np.uint32, low: np.uint32, high: np.uint32) -> np.uint32:
    """Return 32 well mixed bits of (key, index), the key in halves: a multiply-xorshift by counter.

    Constants by C. Wellons' search (hash-prospector). The second half of the key enters between the two rounds,
    so that keys give unlike sequences and not the same one shifted. `lanes.py` holds the same in vectors.
    """
    z = U4(index) ^ low
    z = U4((z ^ (z >> U4(16))) * U4(0x21F0AAAD)) ^ high
    z = U4((z ^ (z >> U4(15))) * U4(0x735A2D97))
    return U4(z ^ (z >> U4(15)))


@numba.extending.register_jitable
def _sine(turns: float) -> Any:
    """Return sin(2 pi turns) to 2e-7: the phase in double precision, then a polynomial over a quarter turn."""
    y = turns - 0.25
    x = F4(0.25) - abs(F4(y - np.floor(y + 0.5)))
    s = x * x
    p = F4(-14.33685592857937)
    p = p * s + F4(41.99996082423219)
    p = p * s - F4(76.70366601515963)
    p = p * s + F4(81.60520938152543)
    p = p * s - F4(41.34170192921972)
    p = p * s + F4(6.2831853064857786)
    return p * x


@numba.extending.register_jitable
def _quartic(c: tuple[float, ...], u: float) -> Any:
    return c[0] + u * (c[1] + u * (c[2] + u * (c[3] + u * c[4])))


@numba.extending.register_jitable
def _carrier(row: Exact) -> tuple[float, ...]:
    return row[3], row[4], row[5], row[6], row[7]


@numba.extending.register_jitable
def _beat(row: Exact) -> tuple[float, ...]:
    return row[8], row[9], row[10], row[11], row[12]


@numba.extending.register_jitable
def _apart(c: tuple[float, ...], b: tuple[float, ...], beats: float) -> Any:
    return c[0] + beats * b[0], c[1] + beats * b[1], c[2] + beats * b[2], c[3] + beats * b[3], c[4] + beats * b[4]


@numba.extending.register_jitable
def _pulse(beat: float) -> Any:
    """Return a pulse that is open for half of each cycle, with edges of 15 % of a cycle (smoothstep)."""
    x = abs(F4(beat - np.floor(beat) - 0.5))
    e = min(max((F4(0.325) - x) * F4(1 / 0.15), F4(0.0)), F4(1.0))
    return e * e * (F4(3.0) - F4(2.0) * e)


@kernel("void(u8, i8, f4[:, ::1])")
def white(key: np.uint64, start: np.int64, out: Sound) -> None:
    """Fill `out` with uniform white noise of unit RMS, left and right independent."""
    low, high = U4(key & LOW_32), U4(key >> S32)
    for ear in range(2):
        side = out[ear]
        for i in range(side.shape[0]):
            side[i] = F4(np.int32(_hash(U4(start + i), low, high))) * WHITE_SCALE
        low ^= EAR


@kernel("void(u8, i8, i8, f8, f8[::1])")
def drift(key: np.uint64, start: np.int64, hop: int, period: float, out: Exact) -> None:
    """Fill `out`, every `hop` samples from `start`, with a wander within -1..1: a random value each `period` samples."""
    low, high = U4(key & LOW_32), U4(key >> S32)
    for m in range(out.shape[0]):
        at = np.float64(start + hop * m) / period
        place = np.floor(at)
        u = at - place
        u = u * u * (3.0 - 2.0 * u)
        index = np.int64(place)
        before = np.float64(F4(np.int32(_hash(U4(index), low, high))) * WHITE_SCALE) / ROOT_3
        after = np.float64(F4(np.int32(_hash(U4(index + 1), low, high))) * WHITE_SCALE) / ROOT_3
        out[m] = before + (after - before) * u


@kernel("void(f8[:, ::1], i8, f8, f4[:, ::1])")
def sway(path: Exact, start: np.int64, least: float, out: Sound) -> None:
    """Turn `out` down to `least` and up again in place, once each beat of a path: a raised cosine, both ears alike."""
    stop, depth = start + out.shape[1], F4(1.0 - least)
    for row in path:
        first, last = max(np.int64(row[0]), start), min(np.int64(row[1]), stop)
        if first >= last:
            continue
        b, origin, step = _beat(row), np.float64(first - row[0]), row[2]
        left, right = out[0, first - start : last - start], out[1, first - start : last - start]
        for i in range(left.shape[0]):
            s = _sine(0.5 * _quartic(b, (np.float64(np.int32(i)) + origin) * step))
            g = F4(1.0) - depth * (s * s)
            left[i] *= g
            right[i] *= g


@kernel("void(f4[:, ::1], f8[:, ::1], f8, i8, f4[:, ::1])")
def layer(x: Sound, level: Exact, gain: float, hop: int, out: Sound) -> None:
    """Add `x` to `out`; `level` (2, m + 1), every `hop` samples, is joined by lines."""
    for ear in range(2):
        for m in range(level.shape[1] - 1):
            g0, g1 = F4(gain * level[ear, m]), F4(gain * (level[ear, m + 1] - level[ear, m]) / hop)
            source, side = x[ear, m * hop : (m + 1) * hop], out[ear, m * hop : (m + 1) * hop]
            for i in range(side.shape[0]):
                side[i] += (g0 + g1 * F4(np.int32(i))) * source[i]


@kernel("void(f8[:, ::1], i8, i8, b1, f4[:, ::1])")
def tones(path: Exact, start: np.int64, method: int, swap: bool, out: Sound) -> None:  # noqa: FBT001
    """Fill `out` with the beat of a path (see `tones.path`): 1 binaural, 2 monaural, 3 isochronic; peak 1."""
    one, other = (out[1], out[0]) if swap else (out[0], out[1])
    stop = start + out.shape[1]
    for row in path:
        first, last = max(np.int64(row[0]), start), min(np.int64(row[1]), stop)
        if first >= last:
            continue
        c, b, origin, step = _carrier(row), _beat(row), np.float64(first - row[0]), row[2]
        left, right = one[first - start : last - start], other[first - start : last - start]
        if method == 3:
            for i in range(left.shape[0]):
                u = (np.float64(np.int32(i)) + origin) * step
                left[i] = right[i] = _pulse(_quartic(b, u)) * _sine(_quartic(c, u))
            continue
        # The two tones as polynomials of their own; straight movement needs only three of five coefficients.
        low, high = _apart(c, b, -0.5), _apart(c, b, 0.5)
        straight = c[3] == 0.0 and c[4] == 0.0 and b[3] == 0.0 and b[4] == 0.0
        for i in range(left.shape[0]):
            u = (np.float64(np.int32(i)) + origin) * step
            if straight:
                x = _sine(low[0] + u * (low[1] + u * low[2]))
                y = _sine(high[0] + u * (high[1] + u * high[2]))
            else:
                x, y = _sine(_quartic(low, u)), _sine(_quartic(high, u))
            if method == 1:
                left[i], right[i] = x, y
            else:
                left[i] = right[i] = F4(0.5) * (x + y)


@kernel("void(f8[:, ::1], i8, f8[:, ::1], f8[:, ::1], f8[:, :, ::1], i8, f4[:, ::1])")
def pad(
    path: Exact, start: np.int64, voices: Exact, level: Exact, drift: Exact, hop: int, out: Sound
) -> None:
    """Add a chord that follows the carrier of a path.

    Voices (v, 4): ratio to the carrier, weights of partials 1-3. `level` (v, m + 1) and `drift` (v, 2, m + 1;
    turns) are given every `hop` samples and joined by straight lines.
    """
    stop = start + out.shape[1]
    turns = np.empty(out.shape[1])
    for row in path:
        first, last = max(np.int64(row[0]), start), min(np.int64(row[1]), stop)
        carrier, origin, step = _carrier(row), np.float64(first - row[0]), row[2]
        here = turns[: max(np.int64(0), last - first)]
        for i in range(here.shape[0]):
            here[i] = _quartic(carrier, (np.float64(np.int32(i)) + origin) * step)
        for v in range(voices.shape[0]):
            ratio, w1, w2, w3 = voices[v]
            # Chebyshev: cos(2t) = 1 - 2 s^2 and sin(3t) = s (3 - 4 s^2) cost no second sine.
            k0, k1, k2, k3 = F4(w2), F4(w1 + 3.0 * w3), F4(-2.0 * w2), F4(-4.0 * w3)
            at = first - start
            while at < last - start:
                m = at // hop
                until = min(last - start, (m + 1) * hop)
                g0, g1 = level[v, m], (level[v, m + 1] - level[v, m]) / hop
                if g0 != 0.0 or g1 != 0.0:
                    g0 += g1 * (at - m * hop)
                    for ear in range(2):
                        d1 = (drift[v, ear, m + 1] - drift[v, ear, m]) / hop
                        d0 = drift[v, ear, m] + d1 * (at - m * hop)
                        side, turned = out[ear, at:until], here[at - (first - start) : until - (first - start)]
                        e0, e1 = F4(g0), F4(g1)
                        for i in range(side.shape[0]):
                            s = _sine(ratio * turned[i] + (d0 + d1 * np.float64(np.int32(i))))
                            side[i] += (e0 + e1 * F4(np.int32(i))) * (k0 + s * (k1 + s * (k2 + s * k3)))
                at = until


@kernel("void(u8, i8, i8, f8[::1], f4[:, ::1])")
def drops(key: np.uint64, start: np.int64, cell: int, shape: Exact, out: Sound) -> None:
    """Add short ringing drops, at most one in each cell of `cell` samples, each a function of its own hash.

    Shape: chance, jitter 0-1, lowest and highest Hz, shortest and longest decay s, attack s, rise (octaves
    per decay), loudness power (1 even, 4 mostly faint), width 0-1.
    """
    chance, jitter, low_hz, high_hz, short_s, long_s, attack_s, rise, power, width = shape
    frames = out.shape[1]
    tail = np.int64(long_s * 44100.0 * 6.0) + 64
    ring = np.empty(tail)
    for index in range((start - tail) // cell, (start + frames - 1) // cell + 1):
        bits = _mix(key, index)
        if np.float64(np.int64(bits & LOW_16)) >= chance * 65536.0:
            continue
        onset = index * cell + np.int64(
            jitter * cell * np.float64(np.int64((bits >> S16) & LOW_16)) / 65536.0
        )
        at_pitch = np.float64(np.int64((bits >> S32) & LOW_16)) / 65536.0
        at_decay = np.float64(np.int64(bits >> S48)) / 65536.0
        bits = _mix(bits, 1)
        strength = (np.float64(np.int64(bits & LOW_16)) / 65536.0) ** power
        side = width * (np.float64(np.int64((bits >> S16) & LOW_16)) / 32768.0 - 1.0)
        pitch_hz = low_hz * exp(at_pitch * log(high_hz / low_hz))
        decay_s = short_s + (long_s - short_s) * at_decay
        lag = np.int64(26.0 * side)  # 0.6 ms at most between the ears
        left, right = strength * sqrt(0.5 - 0.5 * side), strength * sqrt(0.5 + 0.5 * side)
        fall, swell = exp(-1.0 / (decay_s * 44100.0)), exp(-1.0 / (attack_s * 44100.0))
        w, dw = TWO_PI * pitch_hz / 44100.0, TWO_PI * pitch_hz * 0.693 * rise / (decay_s * 44100.0 * 44100.0)
        # One complex number turns by an angle that itself turns: a glide by multiplication alone.
        zr, zi, qr, qi = 1.0, 0.0, sin(w + TWO_PI / 4), sin(w)
        pr, pi = sin(dw + TWO_PI / 4), sin(dw)
        env, closed = 1.0, 1.0
        length = np.int64(decay_s * 44100.0 * 6.0)
        # First the drop by itself, then both ears: so the sums fill vector registers.
        for j in range(length):
            ring[j] = zi * env * (1.0 - closed) * (1.0 - np.float64(j) / length)
            zr, zi = zr * qr - zi * qi, zr * qi + zi * qr
            qr, qi = qr * pr - qi * pi, qr * pi + qi * pr
            env, closed = env * fall, closed * swell
        for ear in range(2):
            at = onset - start + (max(lag, np.int64(0)) if ear == 0 else -min(lag, np.int64(0)))
            first, last = max(at, np.int64(0)), min(at + length, np.int64(frames))
            if first < last:
                gain, side, heard = left if ear == 0 else right, out[ear, first:last], ring[first - at : last - at]
                for j in range(heard.shape[0]):
                    side[j] += gain * heard[j]


@numba.extending.register_jitable
def _swell(u: float) -> Any:
    """Return sin^2 over a quarter turn: without the cancellation of (1 - cos) / 2 near 0."""
    s = _sine(0.25 * u)
    return s * s


@numba.extending.register_jitable
def _rounded(x: float, drawn: np.uint32) -> Any:
    # Whole steps apart from their fraction, or the dither would lose its last bits in loud samples.
    whole = np.floor(x)
    two = np.int32(drawn & U4(0xFFFF)) + np.int32(drawn >> U4(16))
    part = np.int32((x - whole) * F4(65536.0)) + two - np.int32(32768)
    return np.int32(np.int32(whole) + (np.int32(part) >> np.int32(16)))


@kernel("f4(f4[:, ::1], f4[:, ::1], f8, f8, f4[:, ::1])")
def mix(beat: Sound, bed: Sound, beat_gain: float, bed_gain: float, out: Sound) -> np.float32:
    """Mix beat and bed into `out`, which may be either; return the highest magnitude."""
    g, h, most = F4(beat_gain), F4(bed_gain), F4(0.0)
    for ear in range(2):
        a, b, side = beat[ear], bed[ear], out[ear]
        for i in range(side.shape[0]):
            x = g * a[i] + h * b[i]
            side[i] = x
            most = max(most, abs(x))
    return most


@kernel("void(f4[:, ::1], i8, i8, i8, i8)")
def fade(x: Sound, start: np.int64, total: int, fade_in: int, fade_out: int) -> None:
    """Fade in place with raised cosines, to below -200 dBFS at both ends; silence outside of the whole."""
    for i in range(x.shape[1]):
        n = start + i
        g = F4(1.0)
        if n < 0 or n >= total:
            g = F4(0.0)
        elif n < fade_in:
            g = _swell(n / fade_in)
        elif total - 1 - n < fade_out:
            g = _swell((total - 1 - n) / fade_out)
        x[0, i] *= g
        x[1, i] *= g


@kernel("void(f4[:, ::1])")
def ceiling(x: Sound) -> None:
    """Bend what exceeds -1.9 dBFS in place, without memory; gains are chosen so that it stays out of use."""
    for ear in range(2):
        side = x[ear]
        for i in range(side.shape[0]):
            a = (abs(side[i]) - F4(0.8)) * F4(12.5)
            if a > F4(0.0):
                bent = F4(0.8) + F4(0.08) * a / (F4(1.0) + a)
                side[i] = bent if side[i] > F4(0.0) else -bent


@kernel("void(f4[:, ::1], u8, i8, i8, i4[::1])")
def quantise(x: Sound, key: np.uint64, start: np.int64, bits: int, out: Integers) -> None:
    """Round to integers (2 n, left and right in turn) of `bits` bits with triangular dither of +-1 step, drawn by absolute index."""
    low, high, scale = U4(key & LOW_32), U4(key >> S32), F4(2.0 ** (bits - 1))
    left, right = x[0], x[1]
    for i in range(left.shape[0]):
        n = U4(start + i)
        p, q = _hash(n, low, high), _hash(n, low ^ EAR, high)
        out[2 * i] = _rounded(left[i] * scale, p)
        out[2 * i + 1] = _rounded(right[i] * scale, q)


@kernel("void(u4[:, ::1], u4[:, ::1])")
def pack24(values: Words, words: Words) -> None:
    """Pack 24-bit samples (n, 4) into little-endian words (n, 3), three bytes a sample."""
    low = np.uint32(0xFFFFFF)
    for i in range(values.shape[0]):
        a, b, c, d = values[i, 0] & low, values[i, 1] & low, values[i, 2] & low, values[i, 3] & low
        words[i, 0] = a | (b << np.uint32(24))
        words[i, 1] = (b >> np.uint32(8)) | (c << np.uint32(16))
        words[i, 2] = (c >> np.uint32(16)) | (d << np.uint32(8))


@kernel("void(f8[::1], f8[:, ::1], i8, f8, f8, i8, f8[:, ::1])")
def demodulate(
    x: Exact, path: Exact, start: np.int64, carriers: float, beats: float, hop: int, out: Exact
) -> None:
    """Turn `x` (n) down by `carriers` x carrier + `beats` x beat of a path.

    `out` (2, n // hop) is the real and imaginary part, averaged over `hop` samples.
    """
    out[:] = 0.0
    real, imaginary = np.empty(hop), np.empty(hop)
    stop = start + out.shape[1] * hop
    for row in path:
        first, last = max(np.int64(row[0]), start), min(np.int64(row[1]), stop)
        c, b, step = _carrier(row), _beat(row), row[2]
        at = first - start
        while at < last - start:
            m = at // hop
            part = x[at : min(last - start, (m + 1) * hop)]
            origin = at + start - row[0]
            for i in range(part.shape[0]):  # sines first, sums after: so the sines fill vector registers
                u = (i + origin) * step
                turns = carriers * _quartic(c, u) + beats * _quartic(b, u)
                real[i], imaginary[i] = part[i] * _sine(turns + 0.25), part[i] * _sine(-turns)
            for i in range(part.shape[0]):
                out[0, m] += real[i] / hop
                out[1, m] += imaginary[i] / hop
            at += part.shape[0]
