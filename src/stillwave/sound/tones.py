"""The tones by absolute sample index: two (binaural), their sum (monaural), a pulsed one, or the carrier alone.

The phase of each segment is a polynomial in its own time, so sample 60,000,000 is as exact as sample 0;
adding up frequency sample by sample drifts (0.03 rad after 600 s in single precision).
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from stillwave.sound import kernels, noise
from stillwave.sound.programme import SAMPLE_RATE_HZ, Programme, Segment, segment_edges_samples

Sound = NDArray[np.float32]
Exact = NDArray[np.float64]
METHOD_NUMBERS = {"binaural": 1, "monaural": 2, "isochronic": 3, "steady": 1}  # steady: binaural without a beat

# Mean square of each ear at peak 1. The isochronic pulse e is open 0.35 of a cycle and has two edges of 0.15,
# over which the mean of (3u^2 - 2u^3)^2 is 13/35.
MEAN_SQUARE = {"binaural": 0.5, "monaural": 0.25, "isochronic": 0.5 * (0.5 - 0.15 + 2 * 0.15 * 13 / 35), "steady": 0.5}
PEAK = 1.0


def render(programme: Programme, start: int, frames: int) -> Sound:
    """Return frames [start, start + frames) of the beat alone, (2, frames), peak 1; silence outside.

    The array is the thread's own and holds until its next beat.
    """
    out = noise.scratch("beat", frames)
    method = METHOD_NUMBERS.get(programme.method)
    if method is None or start < 0 or start + frames > programme.total_samples:
        out[:] = 0.0
    if method is not None:
        table = still(programme.segments) if programme.method == "steady" else path(programme.segments)
        kernels.tones(table, start, method, programme.swap, out)
    return out


@lru_cache(maxsize=64)
def path(segments: tuple[Segment, ...]) -> Exact:
    """Return one row a segment, (k, 13): first and end sample, 1 / samples, then carrier and beat in turns.

    Each of the two is five coefficients of u = 0..1 within the segment: the turns made before it, then u to
    u^4. The integral of from + (to - from) e(u) is from u + (to - from) E(u), with E = u^2 / 2 for a linear e
    = u and E = u^3 - u^4 / 2 for an eased e = 3u^2 - 2u^3; both end at 1/2.
    """
    edges = segment_edges_samples(segments)
    rows, carrier, beat = [], 0.0, 0.0
    for segment, first, end in zip(segments, edges, edges[1:], strict=False):
        seconds = (end - first) / SAMPLE_RATE_HZ
        if end == first:
            continue
        rows.append(
            [
                first,
                end,
                1 / (end - first),
                carrier,
                *_integral(segment.carrier_from_hz, segment.carrier_to_hz, seconds, segment.ease),
                beat,
                *_integral(segment.beat_from_hz, segment.beat_to_hz, seconds, segment.ease),
            ]
        )
        carrier += seconds * (segment.carrier_from_hz + segment.carrier_to_hz) / 2
        beat += seconds * (segment.beat_from_hz + segment.beat_to_hz) / 2
    return np.array(rows, dtype=np.float64)


@lru_cache(maxsize=64)
def still(segments: tuple[Segment, ...]) -> Exact:
    """Return the path of the carrier with a beat that never turns."""
    table = path(segments).copy()
    table[:, 8:] = 0.0
    return table


def turns(segments: tuple[Segment, ...], sample: int) -> tuple[float, float]:
    """Return the turns of carrier and beat from the start to a sample (0 to the total, inclusive)."""
    table = path(segments)
    row = table[min(int(np.searchsorted(table[:, 1], sample, side="right")), len(table) - 1)]
    u = (sample - row[0]) * row[2]
    powers = u ** np.arange(5)
    return float(row[3:8] @ powers), float(row[8:13] @ powers)


def beat_turns(segments: tuple[Segment, ...], samples: Exact) -> Exact:
    """Return the turns of the beat from the start to each of many places, which may lie between two samples."""
    table = path(segments)
    rows = table[np.minimum(np.searchsorted(table[:, 1], samples, side="right"), len(table) - 1)]
    powers = ((samples - rows[:, 0]) * rows[:, 2])[:, None] ** np.arange(5)
    made: Exact = (rows[:, 8:13] * powers).sum(axis=1)
    return made


def mean_carrier_hz(segments: tuple[Segment, ...]) -> float:
    """Return the carrier averaged over time."""
    end = segment_edges_samples(segments)[-1]
    return turns(segments, end)[0] * SAMPLE_RATE_HZ / end


def _integral(start_hz: float, stop_hz: float, seconds: float, ease: str) -> tuple[float, ...]:
    change = (stop_hz - start_hz) * seconds
    bends = (change / 2, 0.0, 0.0) if ease == "linear" else (0.0, change, -change / 2)
    return start_hz * seconds, *bends
