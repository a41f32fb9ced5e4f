"""The beat of a stretch of sound of any rate: the one a plan promises, or the one that is there if nothing is known.

A stretch is transformed once. Each tone is then cut out of the spectrum, turned down to 0 Hz, and a line is laid
through its phase: the slope is its frequency, what is left tells a steady tone from noise and from music.
"""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from stillwave.sound.noise import Exact

Waves = NDArray[np.complex128]

SEARCH_HZ = (20.0, 1_600.0)
TONES_MOST = 40
# Of noise alone the highest of 16,000 places stands 11 to 14 dB over the median around it.
STANDS_OUT_DB = 18.0
NEARBY_HZ = 20.0
BEAT_LEAST_HZ, BEAT_MOST_HZ = 0.2, 50.0
# A tone that has noise 7 dB under it within +-1 Hz moves by about 0.3 in phase and in level; music moves by more.
PHASE_MOST, LEVEL_MOST = 0.45, 0.40
PLANNED_PHASE_MOST = 0.6
REACH_HZ = 1.0
APART_DB = 10.0  # how much weaker a tone must be in the ear that it is not for
MIRROR_HZ, SAME_HZ = 0.05, 0.1
WEAKEST_DB = 20.0  # what beats is no weaker than this beside the strongest tone
# A pulse that is open for about half of its time: side tones weaker than the tone, the next ones far weaker. A drum
# has many that are alike.
SIDE_DB, NEXT_SIDE_DB = (-25.0, -1.0), 6.0
# The envelope is looked at in bands of two octaves; a bed that sways does so in all of them, at the same time.
BANDS_HZ = (170.0, 690.0, 2_760.0, 11_000.0, 20_000.0)
FRAME_S, HOPS_PER_S = 0.0116, 150
SILENT = 1e-13  # below the power of 24-bit dither in a frame
SWAY_APART_HZ, SWAY_TURNED, SWAY_DEPTHS = 0.1, 0.8, 2.5


class Tone(NamedTuple):
    """A steady tone: its mean frequency and its level in dB, on a scale of the stretch's own."""

    hz: float
    level_db: float


class Pair(NamedTuple):
    """What beats: the frequency in each ear, and the beat."""

    left_hz: float
    right_hz: float
    beat_hz: float


class Heard(NamedTuple):
    """Method, and the pairs that beat, strongest first; no pair where there is no beat."""

    method: str
    pairs: tuple[Pair, ...]


class Line(NamedTuple):
    """A tone that a plan promises: 0 in the left ear, 1 in the right, 2 in both; turns by time in seconds.

    `reach_hz` is how far from it it may be and still be told from the tones beside it.
    """

    ear: int
    turns: Callable[[Exact], Exact]
    reach_hz: float = REACH_HZ


class Stretch:
    """A sound (2, n) of at least half a second, transformed: left, right and both."""

    def __init__(self, sound: Exact, rate_hz: float) -> None:
        self._sound, self._rate_hz = sound, rate_hz
        self.seconds = sound.shape[1] / rate_hz
        ears = np.fft.rfft(sound * np.hanning(sound.shape[1]), axis=1)
        self._spectra: Waves = np.vstack([ears, ears.mean(axis=0, keepdims=True)])
        self._tones: dict[int, list[Tone]] = {}

    def tones(self, ear: int) -> list[Tone]:
        """Steady tones, strongest first."""
        if ear not in self._tones:
            self._tones[ear] = self._found(ear)
        return self._tones[ear]

    def heard(self) -> Heard:
        """The beat of a stretch of which nothing is known."""
        if pairs := self._between_ears():
            return Heard("binaural", tuple(pairs))
        tones = self.tones(2)
        for find, method in ((_pulsed, "isochronic"), (_summed, "monaural")):
            pair = find(tones)
            if pair is not None:
                return Heard(method, (pair,))
        sway_hz = self._sway()
        if sway_hz is None:
            return Heard("none", ())
        return Heard("am", (Pair(math.nan, math.nan, sway_hz),))

    def error_hz(self, line: Line, start_s: float) -> float | None:
        """How far the tone that a plan promises is from it, as a mean; None if it is not there.

        The band is wide enough for where the plan moves; turned down by the plan it is narrowed to `line.reach_hz`.
        """
        first, middle, last = line.turns(start_s + np.array([0.0, self.seconds / 2, self.seconds]))
        moves_hz = 4 * abs(last - 2 * middle + first) / self.seconds
        wave, centre_hz, at_s = self._cut(line.ear, (last - first) / self.seconds, 2 * REACH_HZ + moves_hz)
        if wave is None:
            return None
        planned = line.turns(start_s + at_s) - first - centre_hz * at_s
        turned = np.fft.fft(wave * np.exp(-2j * np.pi * planned))
        turned[np.abs(np.fft.fftfreq(len(turned), at_s[1])) > max(line.reach_hz, 2.0 / self.seconds)] = 0.0
        slope, unrest = _slope(np.fft.ifft(turned), at_s, bends=False)
        return slope if unrest < PLANNED_PHASE_MOST else None

    def sway_error_hz(self, turns: Callable[[Exact], Exact], start_s: float) -> float | None:
        """How far the swaying of the whole sound is from the planned one; None if it does not sway."""
        parts, rate_hz = _envelopes(self._sound, self._rate_hz)
        if parts.shape[1] < 32:
            return None
        level = parts.mean(axis=0)
        inner = Stretch(np.vstack([level, level]) - level.mean(), rate_hz)
        return inner.error_hz(Line(0, lambda at_s: turns(at_s + FRAME_S / 2)), start_s)

    def _found(self, ear: int) -> list[Tone]:
        power = np.abs(self._spectra[ear]) ** 2
        step_hz = 1 / self.seconds
        low, high = round(SEARCH_HZ[0] / step_hz), min(round(SEARCH_HZ[1] / step_hz), len(power) - 2)
        cell = max(8, round(NEARBY_HZ / step_hz))
        inside = power[low:high]
        if len(inside) < 2 * cell:
            return []
        hop = cell // 4
        floors = np.median(sliding_window_view(inside, cell)[::hop], axis=1)
        floor = np.interp(np.arange(len(inside)), cell / 2 + hop * np.arange(len(floors)), floors)
        clear = inside > np.maximum(floor * 10 ** (STANDS_OUT_DB / 10), 1e-12 * len(power))
        peaks = clear[1:-1] & (inside[1:-1] >= inside[:-2]) & (inside[1:-1] >= inside[2:])
        places = np.flatnonzero(peaks) + 1
        places = places[np.argsort(inside[places])[::-1]]
        kept: list[int] = []
        for place in places:
            if all(abs(place - other) * step_hz > 0.25 for other in kept):
                kept.append(int(place))
            if len(kept) == TONES_MOST:
                break
        found = [self._steady(ear, (low + place) * step_hz, [(low + other) * step_hz for other in kept if other != place]) for place in kept]
        return [tone for tone in found if tone is not None]

    def _steady(self, ear: int, hz: float, others_hz: list[float]) -> Tone | None:
        nearest = min((abs(hz - other) for other in others_hz), default=math.inf)
        wave, centre_hz, at_s = self._cut(ear, hz, min(REACH_HZ, max(0.5 * nearest, 2.5 / self.seconds)))
        if wave is None:
            return None
        slope, unrest = _slope(wave, at_s, bends=True)
        u = at_s / self.seconds
        middle = (u > 0.15) & (u < 0.85)
        level = np.abs(wave[middle]) / np.sin(np.pi * u[middle]) ** 2
        if unrest > PHASE_MOST or level.std() > LEVEL_MOST * level.mean():
            return None
        return Tone(centre_hz + slope, 20 * math.log10(float(level.mean())))

    def _cut(self, ear: int, hz: float, reach_hz: float) -> tuple[Waves | None, float, Exact]:
        """Return the band around a frequency turned down to 0 Hz, what it was turned down by, and its times."""
        spectrum, half = self._spectra[ear], max(2, round(reach_hz * self.seconds))
        centre = round(hz * self.seconds)
        if centre - half < 1 or centre + half >= len(spectrum):
            return None, 0.0, np.zeros(0)
        points = max(64, 4 * half)
        band = np.zeros(points, dtype=np.complex128)
        band[: half + 1] = spectrum[centre : centre + half + 1]
        band[-half:] = spectrum[centre - half : centre]
        wave: Waves = np.fft.ifft(band) * (points / len(spectrum))
        if not np.abs(wave).max() > 0:
            return None, 0.0, np.zeros(0)
        return wave, centre / self.seconds, np.arange(points) * (self.seconds / points)

    def _between_ears(self) -> list[Pair]:
        pairs: list[Pair] = []
        taken: set[float] = set()
        strongest_db = max((tone.level_db for ear in (0, 1) for tone in self.tones(ear)), default=0.0)
        for left in self.tones(0):
            if not pairs and left.level_db < strongest_db - WEAKEST_DB:
                break
            fitting = [
                right
                for right in self.tones(1)
                if BEAT_LEAST_HZ < abs(left.hz - right.hz) <= BEAT_MOST_HZ
                and abs(left.level_db - right.level_db) < 6
                and right.hz not in taken
                and self._alone(0, left, right) and self._alone(1, right, left)
            ]  # fmt: skip
            if fitting:
                right = min(fitting, key=lambda tone: abs(tone.hz - left.hz))
                taken.add(right.hz)
                pairs.append(Pair(left.hz, right.hz, abs(left.hz - right.hz)))
        return pairs

    def _alone(self, ear: int, tone: Tone, other: Tone) -> bool:
        """Tell whether a tone is for its own ear alone. Near ones are told apart as tones, not by power."""
        if abs(tone.hz - other.hz) < 1.0:
            return all(
                abs(strange.hz - tone.hz) > SAME_HZ or strange.level_db < tone.level_db - APART_DB
                for strange in self.tones(1 - ear)
            )
        return self._power(1 - ear, tone.hz) < self._power(ear, tone.hz) / 10 ** (APART_DB / 10)

    def _power(self, ear: int, hz: float) -> float:
        at = round(hz * self.seconds)
        return float((np.abs(self._spectra[ear][at - 2 : at + 3]) ** 2).max())

    def _sway(self) -> float | None:
        """The rate at which the sound as a whole swells and sinks, if it does so at one rate in all its bands."""
        parts, rate_hz = _envelopes(self._sound, self._rate_hz)
        if len(parts) < 2 or parts.shape[1] < 2 * rate_hz:
            return None
        seconds = parts.shape[1] / rate_hz
        spectra = np.fft.rfft(parts * np.hanning(parts.shape[1]), axis=1)
        power = np.abs(spectra) ** 2
        low, high = max(3, round(0.5 * seconds)), min(round(BEAT_MOST_HZ * seconds), power.shape[1] - 2)
        together = np.log(power + 1e-30).sum(axis=0)
        top = low + int(np.argmax(together[low:high]))
        near = slice(max(1, top - max(8, top // 2)), top + max(8, top // 2) + 1)
        stand = 10 * np.log10(power[:, top] / np.median(power[:, near], axis=1))
        heard = stand > STANDS_OUT_DB - 6
        if heard.sum() < max(2, len(parts) - 1) or stand.max() < STANDS_OUT_DB:
            return None
        depth, turned = np.abs(spectra[heard, top]), np.angle(spectra[heard, top] / spectra[heard, top].sum())
        if depth.max() > SWAY_DEPTHS * depth.min() or np.abs(turned).max() > SWAY_TURNED:
            return None
        level = parts[heard].mean(axis=0)
        inner = Stretch(np.vstack([level, level]), rate_hz)
        tone = inner._steady(0, top / seconds, [0.0])
        return tone.hz if tone is not None else None


def _slope(wave: Waves, at_s: Exact, *, bends: bool) -> tuple[float, float]:
    """Return the mean frequency of a turned-down tone in Hz, and how far its phase strays from that, in radians."""
    whole = len(at_s)
    inner = slice(whole // 10, whole - whole // 10)
    wave, u = wave[inner], at_s[inner] / (at_s[1] * whole) - 0.5
    phase, weight = np.unwrap(np.angle(wave)), np.abs(wave)
    line = np.polynomial.polynomial.polyfit(u, phase, 2 if bends else 1, w=weight)
    strays = phase - np.polynomial.polynomial.polyval(u, line)
    unrest = math.sqrt(float((weight**2 * strays**2).sum() / (weight**2).sum()))
    return float(line[1] / (2 * math.pi * at_s[1] * whole)), unrest


def _pulsed(tones: list[Tone]) -> Pair | None:
    """Return the pulse of a tone with two side tones at equal distance and of equal level."""
    for tone in tones[:6]:
        sides = sorted((other for other in tones if other is not tone), key=lambda other: abs(other.hz - tone.hz))
        for side in sides:
            apart = side.hz - tone.hz
            if not 0.4 < apart <= BEAT_MOST_HZ or not SIDE_DB[0] < side.level_db - tone.level_db < SIDE_DB[1]:
                continue
            mirror = _near(tones, tone.hz - apart)
            if mirror is None or abs(mirror.level_db - side.level_db) > 3:
                continue
            between = [one for one in sides if abs(one.hz - tone.hz) < apart - 2 * MIRROR_HZ]
            beyond = [one for one in sides if abs(abs(one.hz - tone.hz) - 2 * apart) < 2 * MIRROR_HZ]
            if all(one.level_db < side.level_db - NEXT_SIDE_DB for one in between + beyond):
                return Pair(tone.hz, tone.hz, (side.hz - mirror.hz) / 2)
    return None


def _near(tones: list[Tone], hz: float) -> Tone | None:
    return next((tone for tone in tones if abs(tone.hz - hz) < MIRROR_HZ), None)


def _summed(tones: list[Tone]) -> Pair | None:
    """Return the beat of two tones that are near each other, as loud as each other, and alone there: no chord."""
    strong = [tone for tone in tones if tone.level_db > tones[0].level_db - 12]
    for place, tone in enumerate(strong):
        for other in strong[place + 1 :]:
            low, high = sorted((tone, other))
            apart, middle = high.hz - low.hz, (low.hz + high.hz) / 2
            if abs(low.level_db - high.level_db) > 1.5 or not 0.4 < apart <= BEAT_MOST_HZ:
                continue
            weaker = min(low.level_db, high.level_db)
            around = [
                third for third in tones if third not in (low, high) and abs(third.hz - middle) < 2.5 * apart
            ]  # fmt: skip
            if all(third.level_db < weaker - 10 for third in around):
                return Pair(middle, middle, apart)
    return None


def _envelopes(sound: Exact, rate_hz: float) -> tuple[Exact, float]:
    """Return the mean log power in each band that is not silent, less its mean (bands, frames), and their rate.

    The mean of logarithms hears every frequency alike: a tone, a drop or a word fills few of them.
    """
    frame = 2 * round(FRAME_S * rate_hz / 2)
    hop = max(1, round(rate_hz / HOPS_PER_S))
    steps = sliding_window_view(sound.mean(axis=0) if np.array_equal(*sound) else sound[0], frame)[::hop]
    power = np.log(np.abs(np.fft.rfft(steps * np.hanning(frame), axis=1)) ** 2 + SILENT)
    if not np.array_equal(*sound):
        other = sliding_window_view(sound[1], frame)[::hop]
        power = (power + np.log(np.abs(np.fft.rfft(other * np.hanning(frame), axis=1)) ** 2 + SILENT)) / 2
    step_hz = rate_hz / frame
    parts = []
    for low, high in pairwise(BANDS_HZ):
        first, last = math.ceil(low / step_hz), min(math.ceil(high / step_hz), power.shape[1])
        if last - first >= 3 and power[:, first:last].mean() > math.log(100 * SILENT):
            part = power[:, first:last].mean(axis=1)
            parts.append(part - part.mean())
    return np.array(parts) if parts else np.zeros((0, len(steps))), rate_hz / hop
