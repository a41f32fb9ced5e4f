"""Every compiled loop of the sound engine; importing this module compiles them, or loads them from the cache.

They live in one file because numba's cache notices a change only in the file that holds the kernel, not in a
function it calls. Sines are polynomials and noise is integer hashing: plain IEEE additions and
multiplications without reassociation give the same bits in a vector register and in a scalar one, wherever a
loop starts.

Arrays of sound are (2, n) float64, left then right, 1.0 = full scale, unless said otherwise.
"""

from collections.abc import Callable
from math import exp, log, sin, sqrt
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

Sound = NDArray[np.float64]
Words = NDArray[np.uint32]
Integers = NDArray[np.int32]

U8 = np.uint64
GOLDEN = U8(0x9E3779B97F4A7C15)
MIX_1 = U8(0xBF58476D1CE4E5B9)
MIX_2 = U8(0x94D049BB133111EB)
S30, S27, S31, S32, S16, S48 = U8(30), U8(27), U8(31), U8(32), U8(16), U8(48)
LOW_32, LOW_16 = U8(0xFFFFFFFF), U8(0xFFFF)
TWO_PI = 6.283185307179586


def _kernel(signature: str) -> Callable[[Callable[..., Any]], Any]:
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
def _sine(turns: float) -> Any:
    """Return sin(2 pi turns) to 2e-11: an odd polynomial over a quarter turn, without a branch."""
    y = turns - 0.25
    x = 0.25 - abs(y - np.floor(y + 0.5))
    s = x * x
    p = -14.33685592857937
    p = p * s + 41.99996082423219
    p = p * s - 76.70366601515963
    p = p * s + 81.60520938152543
    p = p * s - 41.34170192921972
    p = p * s + 6.2831853064857786
    return p * x


@numba.extending.register_jitable
def _quartic(c: tuple[float, ...], u: float) -> Any:
    return c[0] + u * (c[1] + u * (c[2] + u * (c[3] + u * c[4])))


@numba.extending.register_jitable
def _carrier(row: Sound) -> tuple[float, ...]:
    return row[3], row[4], row[5], row[6], row[7]


@numba.extending.register_jitable
def _beat(row: Sound) -> tuple[float, ...]:
    return row[8], row[9], row[10], row[11], row[12]


@_kernel("void(u8, i8, f8[:, ::1])")
def white(key: np.uint64, start: np.int64, out: Sound) -> None:
    """Fill `out` with uniform white noise of unit RMS, left and right independent."""
    scale = 1.7320508075688772 / 2147483648.0
    for i in range(out.shape[1]):
        bits = _mix(key, start + i)
        out[0, i] = (np.float64(np.int64(bits & LOW_32)) - 2147483647.5) * scale
        out[1, i] = (np.float64(np.int64(bits >> S32)) - 2147483647.5) * scale


@_kernel("void(f8[:, ::1])")
def pink(x: Sound) -> None:
    """Turn white into pink noise in place: six one-pole filters in parallel (Paul Kellet 1999, +-0.05 dB)."""
    left, right = x[0], x[1]
    a0 = a1 = a2 = a3 = a4 = a5 = a6 = 0.0
    b0 = b1 = b2 = b3 = b4 = b5 = b6 = 0.0
    for i in range(x.shape[1]):  # both ears in one loop: their chains of additions overlap
        v, w = left[i], right[i]
        a0, b0 = 0.99886 * a0 + v * 0.0555179, 0.99886 * b0 + w * 0.0555179
        a1, b1 = 0.99332 * a1 + v * 0.0750759, 0.99332 * b1 + w * 0.0750759
        a2, b2 = 0.96900 * a2 + v * 0.1538520, 0.96900 * b2 + w * 0.1538520
        a3, b3 = 0.86650 * a3 + v * 0.3104856, 0.86650 * b3 + w * 0.3104856
        a4, b4 = 0.55000 * a4 + v * 0.5329522, 0.55000 * b4 + w * 0.5329522
        a5, b5 = -0.7616 * a5 - v * 0.0168980, -0.7616 * b5 - w * 0.0168980
        left[i] = ((a0 + a1) + (a2 + a3)) + ((a4 + a5) + (a6 + v * 0.5362))
        right[i] = ((b0 + b1) + (b2 + b3)) + ((b4 + b5) + (b6 + w * 0.5362))
        a6, b6 = v * 0.115926, w * 0.115926


@_kernel("void(f8[:, ::1], f8[:, ::1], f8, i8, i8, f8[:, ::1])")
def layer(x: Sound, level: Sound, gain: float, skip: int, hop: int, out: Sound) -> None:
    """Add `x` from frame `skip` on to `out`; `level` (2, m + 1), every `hop` samples, is joined by lines."""
    for ear in range(2):
        for m in range(level.shape[1] - 1):
            g0, g1 = gain * level[ear, m], gain * (level[ear, m + 1] - level[ear, m]) / hop
            source, side = x[ear, skip + m * hop : skip + (m + 1) * hop], out[ear, m * hop : (m + 1) * hop]
            for i in range(side.shape[0]):
                side[i] += (g0 + g1 * i) * source[i]


@_kernel("void(f8[:, ::1], f8[:, ::1], f8[:, :, ::1])")
def two_sections(x: Sound, coefficients: Sound, state: Sound) -> None:
    """Filter `x` in place through two biquads (b0 b1 b2 a1 a2); `state` (2, 2, 2) carries on."""
    b0, b1, b2, a1, a2 = coefficients[0]
    d0, d1, d2, c1, c2 = coefficients[1]
    for ear in range(2):
        side = x[ear]
        p, q, r, s = state[ear, 0, 0], state[ear, 0, 1], state[ear, 1, 0], state[ear, 1, 1]
        for i in range(side.shape[0]):  # both sections in one pass: the second works while the first waits
            v = side[i]
            y = b0 * v + p
            p = b1 * v + q - a1 * y
            q = b2 * v - a2 * y
            z = d0 * y + r
            r = d1 * y + s - c1 * z
            s = d2 * y - c2 * z
            side[i] = z
        state[ear, 0, 0], state[ear, 0, 1], state[ear, 1, 0], state[ear, 1, 1] = p, q, r, s


@_kernel("void(f8[:, ::1], i8, i8, f8[:, ::1])")
def tones(path: Sound, start: np.int64, method: int, out: Sound) -> None:
    """Fill `out` with the beat of a path (see `tones.path`): 1 binaural, 2 monaural, 3 isochronic; peak 1."""
    stop = start + out.shape[1]
    for row in path:
        first, last = max(np.int64(row[0]), start), min(np.int64(row[1]), stop)
        if first >= last:
            continue
        c, b, origin, step = _carrier(row), _beat(row), first - row[0], row[2]
        left, right = out[0, first - start : last - start], out[1, first - start : last - start]
        for i in range(left.shape[0]):
            u = (i + origin) * step
            carrier, beat = _quartic(c, u), _quartic(b, u)
            if method == 3:
                # A pulse that is open for half of each cycle; edges of 15 % of a cycle, smoothstep.
                x = abs(beat - np.floor(beat) - 0.5)
                e = min(max((0.325 - x) / 0.15, 0.0), 1.0)
                left[i] = right[i] = e * e * (3.0 - 2.0 * e) * _sine(carrier)
            else:
                low, high = _sine(carrier - 0.5 * beat), _sine(carrier + 0.5 * beat)
                if method == 1:
                    left[i], right[i] = low, high
                else:
                    left[i] = right[i] = 0.5 * (low + high)


@_kernel("void(f8[:, ::1], i8, f8[:, ::1], f8[:, ::1], f8[:, :, ::1], i8, f8[:, ::1])")
def pad(
    path: Sound, start: np.int64, voices: Sound, level: Sound, drift: Sound, hop: int, out: Sound
) -> None:
    """Add a chord that follows the carrier of a path.

    Voices (v, 4): ratio to the carrier, weights of partials 1-3. `level` (v, m + 1) and `drift` (v, 2, m + 1;
    turns) are given every `hop` samples and joined by straight lines.
    """
    stop = start + out.shape[1]
    for row in path:
        first, last = max(np.int64(row[0]), start), min(np.int64(row[1]), stop)
        carrier, origin, step = _carrier(row), start - row[0], row[2]
        for v in range(voices.shape[0]):
            ratio, w1, w2, w3 = voices[v]
            # Chebyshev: cos(2t) = 1 - 2 s^2 and sin(3t) = s (3 - 4 s^2) cost no second sine.
            k0, k1, k2, k3 = w2, w1 + 3.0 * w3, -2.0 * w2, -4.0 * w3
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
                        side = out[ear, at:until]
                        for i in range(side.shape[0]):
                            s = _sine(ratio * _quartic(carrier, (i + (at + origin)) * step) + (d0 + d1 * i))
                            side[i] += (g0 + g1 * i) * (k0 + s * (k1 + s * (k2 + s * k3)))
                at = until


@_kernel("void(u8, i8, i8, f8[::1], f8[:, ::1])")
def drops(key: np.uint64, start: np.int64, cell: int, shape: Sound, out: Sound) -> None:
    """Add short ringing drops, at most one in each cell of `cell` samples, each a function of its own hash.

    Shape: chance, jitter 0-1, lowest and highest Hz, shortest and longest decay s, attack s, rise (octaves
    per decay), loudness power (1 even, 4 mostly faint), width 0-1.
    """
    chance, jitter, low_hz, high_hz, short_s, long_s, attack_s, rise, power, width = shape
    frames = out.shape[1]
    tail = np.int64(long_s * 44100.0 * 6.0) + 64
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
        for j in range(length):
            value = zi * env * (1.0 - closed) * (1.0 - np.float64(j) / length)
            zr, zi = zr * qr - zi * qi, zr * qi + zi * qr
            qr, qi = qr * pr - qi * pi, qr * pi + qi * pr
            env, closed = env * fall, closed * swell
            n = onset + j - start + max(lag, np.int64(0))
            if 0 <= n < frames:
                out[0, n] += left * value
            n = onset + j - start - min(lag, np.int64(0))
            if 0 <= n < frames:
                out[1, n] += right * value


@_kernel("void(f8[:, ::1], f8[:, ::1], f8, f8, i8, i8, i8, i8, f8[:, ::1])")
def master(
    beat: Sound,
    bed: Sound,
    beat_gain: float,
    bed_gain: float,
    start: np.int64,
    total: int,
    fade_in: int,
    fade_out: int,
    out: Sound,
) -> None:
    """Mix beat and bed into `out` (n, 2) with raised-cosine fades, to below -200 dBFS at both ends."""
    for i in range(out.shape[0]):
        n = start + i
        g = 1.0
        if n < 0 or n >= total:
            g = 0.0
        elif n < fade_in:
            g = 0.5 - 0.5 * _sine(0.5 * n / fade_in + 0.25)
        elif total - 1 - n < fade_out:
            g = 0.5 - 0.5 * _sine(0.5 * (total - 1 - n) / fade_out + 0.25)
        for c in range(2):
            x = g * (beat_gain * beat[c, i] + bed_gain * bed[c, i])
            # A ceiling without memory above -1.9 dBFS; gains are chosen so that it stays out of use.
            a = abs(x)
            if a > 0.8:
                a = (a - 0.8) / 0.08
                x = (0.8 + 0.08 * a / (1.0 + a)) * (1.0 if x > 0.0 else -1.0)
            out[i, c] = x


@_kernel("void(f8[:, ::1], u8, i8, i4[:, ::1])")
def quantise(x: Sound, key: np.uint64, start: np.int64, out: Integers) -> None:
    """Round (n, 2) sound to 24 bits with triangular dither of +-1 step, drawn by absolute sample index."""
    for i in range(x.shape[0]):
        bits = _mix(key, start + i)
        a = np.int64(bits & LOW_16) + np.int64((bits >> S16) & LOW_16)
        b = np.int64((bits >> S32) & LOW_16) + np.int64(bits >> S48)
        out[i, 0] = np.int32(np.floor(x[i, 0] * 8388608.0 + (np.float64(a) - 65535.0) / 65536.0 + 0.5))
        out[i, 1] = np.int32(np.floor(x[i, 1] * 8388608.0 + (np.float64(b) - 65535.0) / 65536.0 + 0.5))


@_kernel("void(u4[:, ::1], u4[:, ::1])")
def pack24(values: Words, words: Words) -> None:
    """Pack 24-bit samples (n, 4) into little-endian words (n, 3), three bytes a sample."""
    low = np.uint32(0xFFFFFF)
    for i in range(values.shape[0]):
        a, b, c, d = values[i, 0] & low, values[i, 1] & low, values[i, 2] & low, values[i, 3] & low
        words[i, 0] = a | (b << np.uint32(24))
        words[i, 1] = (b >> np.uint32(8)) | (c << np.uint32(16))
        words[i, 2] = (c >> np.uint32(16)) | (d << np.uint32(8))


@_kernel("void(f8[::1], f8[:, ::1], i8, f8, f8, i8, f8[:, ::1])")
def demodulate(
    x: Sound, path: Sound, start: np.int64, carriers: float, beats: float, hop: int, out: Sound
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


@_kernel("f8(f8[:, ::1], f8[:, ::1], f8)")
def true_peak(x: Sound, phases: Sound, peak: float) -> float:
    """Return the greater of `peak` and the highest oversampled magnitude of `x` (2, history + n).

    `phases` (p, taps) interpolate between samples. A sample is skipped only if no tap could exceed the peak
    already known: |y| <= sum|h| max|x|.
    """
    taps = phases.shape[1]
    most = 0.0
    for p in range(phases.shape[0]):
        total = 0.0
        for t in range(taps):
            total += abs(phases[p, t])
        most = max(most, total)
    for c in range(2):
        due = 0
        for n in range(x.shape[1]):
            a = abs(x[c, n])
            peak = max(peak, a)
            if a * most > peak:
                due = taps
            if due > 0 and n >= taps - 1:
                due -= 1
                for p in range(phases.shape[0]):
                    y = 0.0
                    for t in range(taps):
                        y += phases[p, t] * x[c, n - t]
                    peak = max(peak, abs(y))
    return peak
