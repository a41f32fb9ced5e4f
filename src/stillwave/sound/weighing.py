"""Compiled loops that weigh a sound: the filter of loudness and the peaks between samples. Float64."""

import numpy as np
from numpy.typing import NDArray

from stillwave.sound.kernels import kernel

Exact = NDArray[np.float64]
Integers = NDArray[np.int32]


@kernel("void(f8[:, ::1], f8[:, ::1], f8[:, :, ::1])")
def two_sections(x: Exact, coefficients: Exact, state: Exact) -> None:
    """Filter `x` (float64) in place through two biquads (b0 b1 b2 a1 a2); `state` (2, 2, 2) carries on."""
    b0, b1, b2, a1, a2 = coefficients[0]
    d0, d1, d2, c1, c2 = coefficients[1]
    one, other = x[0], x[1]
    p, q, r, s = state[0, 0, 0], state[0, 0, 1], state[0, 1, 0], state[0, 1, 1]
    k, o, m, n = state[1, 0, 0], state[1, 0, 1], state[1, 1, 0], state[1, 1, 1]
    for i in range(one.shape[0]):  # both sections and both ears in one pass: each works while the others wait
        v, w = one[i], other[i]
        y, t = b0 * v + p, b0 * w + k
        p, k = b1 * v + q - a1 * y, b1 * w + o - a1 * t
        q, o = b2 * v - a2 * y, b2 * w - a2 * t
        z, u = d0 * y + r, d0 * t + m
        r, m = d1 * y + s - c1 * z, d1 * t + n - c1 * u
        s, n = d2 * y - c2 * z, d2 * t - c2 * u
        one[i], other[i] = z, u
    state[0, 0, 0], state[0, 0, 1], state[0, 1, 0], state[0, 1, 1] = p, q, r, s
    state[1, 0, 0], state[1, 0, 1], state[1, 1, 0], state[1, 1, 1] = k, o, m, n


@kernel("f8(f8[:, ::1], f8[:, ::1], f8)")
def true_peak(x: Exact, phases: Exact, peak: float) -> float:
    """Return the greater of `peak` and the highest oversampled magnitude of `x` (2, history + n).

    `phases` (p, taps) interpolate between samples, around the middle tap. Only places beside a sample within
    4.4 dB of the peak so far are looked at; tones and noise of a session lie far below where more is possible.
    """
    taps = phases.shape[1]
    middle = taps // 2 - 1
    for c in range(2):
        for n in range(taps - 1, x.shape[1]):
            a = max(abs(x[c, n - middle]), abs(x[c, n - middle - 1]))
            peak = max(peak, a)
            if a > 0.6 * peak:
                for p in range(phases.shape[0]):
                    y = 0.0
                    for t in range(taps):
                        y += phases[p, t] * x[c, n - t]
                    peak = max(peak, abs(y))
    return peak


@kernel("f8(i4[:, ::1], f8, f8[:, ::1], f8[:, :, ::1], i8, f8[:, ::1], i8, f8[::1])")
def listen(
    samples: Integers,
    full_scale: float,
    coefficients: Exact,
    state: Exact,
    gate: int,
    sound: Exact,
    at: int,
    powers: Exact,
) -> float:
    """Put `samples` (n, 2) into `sound` from column `at` on, weigh them, and return their highest magnitude.

    `powers` are the mean squares, both ears together, of each whole `gate` of them after two biquads (see `two_sections`).
    """
    b0, b1, b2, a1, a2 = coefficients[0]
    d0, d1, d2, c1, c2 = coefficients[1]
    p, q, r, s = state[0, 0, 0], state[0, 0, 1], state[0, 1, 0], state[0, 1, 1]
    k, o, m, n = state[1, 0, 0], state[1, 0, 1], state[1, 1, 0], state[1, 1, 1]
    one, other = sound[0, at:], sound[1, at:]
    peak = 0.0
    for g in range((samples.shape[0] + gate - 1) // gate):
        power = 0.0
        for i in range(g * gate, min((g + 1) * gate, samples.shape[0])):
            v, w = samples[i, 0] / full_scale, samples[i, 1] / full_scale
            one[i], other[i] = v, w
            peak = max(peak, abs(v), abs(w))
            y, t = b0 * v + p, b0 * w + k
            p, k = b1 * v + q - a1 * y, b1 * w + o - a1 * t
            q, o = b2 * v - a2 * y, b2 * w - a2 * t
            z, u = d0 * y + r, d0 * t + m
            r, m = d1 * y + s - c1 * z, d1 * t + n - c1 * u
            s, n = d2 * y - c2 * z, d2 * t - c2 * u
            power += z * z + u * u
        if g < powers.shape[0]:
            powers[g] = power / gate
    state[0, 0, 0], state[0, 0, 1], state[0, 1, 0], state[0, 1, 1] = p, q, r, s
    state[1, 0, 0], state[1, 0, 1], state[1, 1, 0], state[1, 1, 1] = k, o, m, n
    return peak
