"""The tones within a stretch of sound: where they are against a plan, or where they are at all."""

import numpy as np
from numpy.typing import NDArray

from stillwave.sound import cues, envelope, kernels, tones
from stillwave.sound.noise import Exact
from stillwave.sound.programme import BEAT_RANGE_HZ, SAMPLE_RATE_HZ, WITH_BEAT, Programme

HOP_SAMPLES = 441  # demodulated sound is averaged over 10 ms, to 100 values a second
SPECTRUM_POINTS = 16_384
# A tone counts as present when its power stands this far over the median nearby. Noise alone reaches 15 dB
# once in some ten million looks; a beat 12 dB below a pink bed stands 27 dB over it in 10 s.
PRESENT_DB = 15.0
NEARBY_HZ = 12.0
SEARCH_HZ = (60.0, 1200.0)
SEARCH_PRESENT_DB = 20.0

Found = tuple[float | None, float | None, float | None]

# For each method the tones that carry its beat, as (multiple of the carrier, multiple of the beat), low and
# high, and what their difference must be divided by.
BEAT_LINES = {"binaural": (0.5, 1.0), "monaural": (0.5, 1.0), "isochronic": (1.0, 2.0), "none": (0.5, 1.0)}
# A bed counts as swaying where at least two bands of its envelope have the same line, to a cell of the spectrum.
SAME_SWAY_HZ = 0.15


def expected(
    sound: Exact, programme: Programme, start: int
) -> tuple[float | None, float | None, float | None, float | None]:
    """Return left carrier, right carrier, beat and planned beat in Hz: means over sound (2, n) at `start`.

    The planned beat is None if the programme has none; the others are None if they are not in the sound.
    """
    if programme.method == "am":
        return None, None, *_swaying(sound, programme, start)
    path, frames = tones.path(programme.segments), sound.shape[1]
    carrier, beat = _mean_hz(programme, start, frames)
    if programme.method == "steady":
        left, right = (_line(ear, path, start, 0.0, 1.0) for ear in sound)
        return _sum(carrier, left), _sum(carrier, right), None, None
    multiple, divisor = BEAT_LINES[programme.method]
    planned = beat if programme.method in WITH_BEAT else None
    if programme.method in ("binaural", "none"):
        sides = (1, -1) if programme.swap else (-1, 1)
        # The voice is alike in both ears: their difference has both tones, and none of it.
        ears = (sound[0] - sound[1],) * 2 if _spoken(programme, start, frames) else sound
        left, right = (
            _line(ears[ear], path, start, sides[ear] * multiple, min(1.0, 0.4 * abs(beat))) for ear in range(2)
        )
        if left is None or right is None:
            return left, right, None, planned
        left, right = left + carrier + sides[0] * beat / 2, right + carrier + sides[1] * beat / 2
        return left, right, abs(right - left), planned
    both = np.ascontiguousarray(sound.mean(axis=0))
    low, high = (_line(both, path, start, side * multiple, 0.4 * beat) for side in (-1, 1))
    if low is None or high is None:
        return None, None, None, planned
    found = beat + (high - low) / divisor
    centre = carrier + (high + low) / 2
    return centre, centre, found, planned


def searched(sound: Exact) -> tuple[str, float | None, float | None, float | None]:
    """Return method, left carrier, right carrier and beat in Hz of sound (2, n) of which nothing is known."""
    left, right = _peaks(sound[0]), _peaks(sound[1])
    if not left or not right:
        hz = _sways(sound)
        return "none" if hz is None else "am", left[0] if left else None, right[0] if right else None, hz
    apart = abs(left[0] - right[0])
    alone = all(abs(hz - right[0]) > 0.3 for hz in left) and all(abs(hz - left[0]) > 0.3 for hz in right)
    if alone and 0.3 < apart <= 50:
        low, high = _refined(sound[0], left[0]), _refined(sound[1], right[0])
        return "binaural", low, high, abs(high - low)
    both = np.ascontiguousarray(sound.mean(axis=0))
    peaks = _peaks(both)
    found = _in_both_ears(both, peaks) if peaks else ("none", None, None, None)
    hz = _sways(sound) if found[0] == "none" else None
    return found if hz is None else ("am", found[1], found[2], hz)


def _in_both_ears(both: Exact, peaks: list[float]) -> tuple[str, float | None, float | None, float | None]:
    first = peaks[0]
    for other in peaks[1:]:
        apart = abs(other - first)
        if not 0.3 < apart <= 50:
            continue
        mirrored = [hz for hz in peaks if abs(hz - (2 * first - other)) < 0.3]
        if mirrored:
            low, high = sorted((_refined(both, other), _refined(both, mirrored[0])))
            return "isochronic", (low + high) / 2, (low + high) / 2, (high - low) / 2
        low, high = sorted((_refined(both, first), _refined(both, other)))
        return "monaural", (low + high) / 2, (low + high) / 2, high - low
    centre = _refined(both, first)
    return "none", centre, centre, None


def _spoken(programme: Programme, start: int, frames: int) -> bool:
    """Say whether the voice speaks within a stretch of the programme."""
    return any(
        cues.start(cue) < start + frames and cues.start(cue) + cues.samples(cue.voice, cue.name) > start
        for cue in programme.cues
    )


def _swaying(sound: Exact, programme: Programme, start: int) -> tuple[float | None, float]:
    """Return the beat of the sound's envelope, None if it has none, and the planned one."""
    _, beat = _mean_hz(programme, start, sound.shape[1])
    if sound.shape[1] < envelope.FRAME_SAMPLES:
        return None, beat
    level = envelope.whole(envelope.bands(sound))
    turns = tones.beat_turns(programme.segments, start + envelope.centres(len(level)))
    off = _offset(level * np.exp(-2j * np.pi * turns), envelope.RATE_HZ, 0.4 * beat)
    return _sum(beat, off), beat


def _sways(sound: Exact) -> float | None:
    """Return the beat at which a sound of which nothing is known sways as a whole; None if it does not."""
    if sound.shape[1] < 2 * SAMPLE_RATE_HZ:
        return None
    parts = envelope.bands(sound)
    heard = [hz for hz in (_strongest(part - part.mean()) for part in parts) if hz is not None]
    shared = [hz for hz in heard if sum(abs(hz - other) < SAME_SWAY_HZ for other in heard) > 1]
    if not shared:
        return None
    level, hz = envelope.whole(parts), float(np.median(shared))
    # As for a tone that moves: in each half first, then along the line that the halves make.
    at, half = np.arange(len(level)) / envelope.RATE_HZ, len(level) // 2
    turned: NDArray[np.complex128] = level * np.exp(-2j * np.pi * hz * at)
    early, late = (_offset(part, envelope.RATE_HZ, 0.4 * hz) or 0.0 for part in (turned[:half], turned[half:]))
    middle, bend = (early + late) / 2, (late - early) / at[-1]
    turned *= np.exp(-2j * np.pi * (middle * at + bend * at * (at - at[-1])))
    return hz + middle + (_offset(turned, envelope.RATE_HZ, 0.5) or 0.0)


def _strongest(level: Exact) -> float | None:
    """Return the strongest line of an envelope within the range of beats, if it stands out from those around it."""
    power = np.abs(np.fft.rfft(level * np.hanning(len(level)), SPECTRUM_POINTS)) ** 2
    hz = np.fft.rfftfreq(SPECTRUM_POINTS, 1 / envelope.RATE_HZ)
    inside = (hz >= BEAT_RANGE_HZ[0]) & (hz <= BEAT_RANGE_HZ[1])
    top = int(np.argmax(np.where(inside, power, 0.0)))
    floor = np.median(power[np.abs(hz - hz[top]) <= max(1.0, 0.5 * hz[top])])
    return float(hz[top]) if power[top] > floor * 10 ** (SEARCH_PRESENT_DB / 10) and power[top] > 1e-18 else None


def _sum(hz: float, off: float | None) -> float | None:
    return None if off is None else hz + off


def _mean_hz(programme: Programme, start: int, frames: int) -> tuple[float, float]:
    seconds = frames / SAMPLE_RATE_HZ
    first, last = tones.turns(programme.segments, start), tones.turns(programme.segments, start + frames)
    return (last[0] - first[0]) / seconds, (last[1] - first[1]) / seconds


def _line(x: Exact, path: Exact, start: int, beats: float, reach_hz: float) -> float | None:
    """Return how far above carrier + `beats` x beat a tone within `reach_hz` lies, None if none does."""
    low = np.empty((2, len(x) // HOP_SAMPLES))
    kernels.demodulate(np.ascontiguousarray(x), path, start, 1.0, beats, HOP_SAMPLES, low)
    return _offset(low[0] + 1j * low[1], SAMPLE_RATE_HZ / HOP_SAMPLES, reach_hz)


def _offset(values: NDArray[np.complex128], rate_hz: float, reach_hz: float) -> float | None:
    """Return where the strongest line of a turned-down signal lies, within `reach_hz` of 0; None if none stands out."""
    if len(values) < 16:
        return None
    power = np.abs(np.fft.fft(values * np.hanning(len(values)), SPECTRUM_POINTS)) ** 2
    hz = np.fft.fftfreq(SPECTRUM_POINTS, 1 / rate_hz)
    power, hz = np.fft.fftshift(power), np.fft.fftshift(hz)
    inside = np.flatnonzero(np.abs(hz) <= reach_hz)
    top = int(inside[np.argmax(power[inside])])
    floor = np.median(power[np.abs(hz) <= NEARBY_HZ])
    if top in (inside[0], inside[-1]) or power[top] <= floor * 10 ** (PRESENT_DB / 10) or power[top] < 1e-18:
        return None
    before, here, after = np.log(power[top - 1 : top + 2])
    return float(hz[top] + (hz[1] - hz[0]) * 0.5 * (before - after) / (before - 2 * here + after))


def _refined(x: Exact, hz: float) -> float:
    """Return the mean frequency of the tone near `hz`: in each half, then along the line the halves make."""
    half = len(x) // 2
    ends = []
    for part in (x[:half], x[half:]):
        off = _line(part, _constant(hz, hz, len(part)), 0, 0.0, 1.0)
        ends.append(hz + (off or 0.0))
    rate = ends[1] - ends[0]
    begin, end = ends[0] - rate / 2, ends[1] + rate / 2
    off = _line(x, _constant(begin, end, len(x)), 0, 0.0, 0.5)
    return (begin + end) / 2 + (off or 0.0)


def _constant(begin_hz: float, end_hz: float, frames: int) -> Exact:
    seconds = frames / SAMPLE_RATE_HZ
    row = [
        0,
        frames,
        1 / frames,
        0,
        begin_hz * seconds,
        (end_hz - begin_hz) * seconds / 2,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
    ]
    return np.array([row], dtype=np.float64)


def _peaks(x: Exact) -> list[float]:
    """Return the tones that stand out between 60 and 1200 Hz, strongest first: six at most, within 20 dB."""
    power = np.abs(np.fft.rfft(x * np.hanning(len(x)))) ** 2
    hz = np.fft.rfftfreq(len(x), 1 / SAMPLE_RATE_HZ)
    inside = (hz >= SEARCH_HZ[0]) & (hz <= SEARCH_HZ[1])
    power, hz = power[inside], hz[inside]
    cell = max(8, int(20.0 / (hz[1] - hz[0])))
    whole = len(power) - len(power) % cell
    floor = np.repeat(np.median(power[:whole].reshape(-1, cell), axis=1), cell)
    power, hz = power[:whole], hz[:whole]
    clear = power > np.maximum(floor * 10 ** (SEARCH_PRESENT_DB / 10), 1e-12)
    found: list[float] = []
    strongest = 0.0
    for place in np.argsort(np.where(clear, power, 0.0))[::-1]:
        if not clear[place] or power[place] < strongest / 100 or len(found) == 6:
            break
        strongest = max(strongest, float(power[place]))
        if all(abs(hz[place] - other) > 0.4 for other in found):
            found.append(float(hz[place]))
    return found
