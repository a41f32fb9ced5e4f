"""What any sound file contains: its beat over time, whether it is the one a plan promises, levels and a picture's data.

`Analyser` hears a sound once, second by second, in memory that does not grow with its length (a few hundred bytes for
each 10 s window are kept).
"""

import hashlib
import math
from collections.abc import Callable, Iterator
from functools import partial

import msgspec
import numpy as np
from numpy.typing import NDArray

from stillwave.sound import layers, tones
from stillwave.sound.beats import BEAT_LEAST_HZ, REACH_HZ, Line, Stretch
from stillwave.sound.measure import SPECTRUM_SAMPLES, Levels, decibels, power_spectrum, slope
from stillwave.sound.noise import Exact
from stillwave.sound.programme import SAMPLE_RATE_HZ, Programme
from stillwave.sound.sequence import Audible, Layer, Sequence

WINDOW_S = 10
SHORTEST_S = 2.0  # a beat of a second cannot be told from less
CLIPPED = 0.999
PICTURE_ROWS, PICTURE_COLUMNS_MOST = 120, 1200
PICTURE_HZ = (20.0, 16_000.0)
# From window to window a beat that is one moves by no more than this; chance does.
MOVES_HZ, MOVES_PART = 1.0, 0.15
SHARE_LEAST = 0.5


class Window(msgspec.Struct, frozen=True):
    """Ten seconds: what beats in them. Frequencies are means; None where there is no beat, or no tone to it."""

    start_s: float
    seconds: float
    method: str
    left_hz: float | None
    right_hz: float | None
    beat_hz: float | None
    level_dbfs: float | None
    others: tuple[tuple[float, float], ...]  # further beats at once: carrier and beat


class Compared(msgspec.Struct, frozen=True):
    """One promised beat in one window; errors are found less planned, None if it was not found."""

    start_s: float
    part: str
    planned_carrier_hz: float | None
    planned_beat_hz: float | None
    carrier_error_hz: float | None
    beat_error_hz: float | None


class Analysis(msgspec.Struct, frozen=True):
    """The whole sound. `beat_share` is the part of the time in which the beat was heard."""

    seconds: float
    sample_rate_hz: int
    channels: int
    method: str
    beat_least_hz: float | None
    beat_most_hz: float | None
    beat_share: float
    level_dbfs: float | None
    sample_peak_dbfs: float | None
    true_peak_dbtp: float | None
    loudness_lufs: float | None
    clipped_samples: int
    noise_slope_db_per_octave: float | None
    content_sha256: str
    windows: tuple[Window, ...]
    compared: tuple[Compared, ...]
    beat_error_most_hz: float | None
    carrier_error_most_hz: float | None
    promised_windows: int
    missed_windows: int


class Part(msgspec.Struct, frozen=True):
    """One beat that a plan promises: its lines, low then high, and what their difference must be divided by."""

    name: str
    low: Line | None
    high: Line | None
    divisor: float
    carrier: Callable[[Exact], Exact]
    beat: Callable[[Exact], Exact]
    amplitude: Callable[[Exact], Exact]


class Analyser:
    """Hears blocks (n, channels) of floats, 1.0 = full scale; `result` when all have been added."""

    def __init__(self, rate_hz: int, channels: int, plan: Audible | None = None, *, picture: bool = False) -> None:
        self._rate_hz, self._channels = rate_hz, channels
        self._parts = list(parts(plan)) if plan is not None else []
        self._plan_s = plan.total_samples / SAMPLE_RATE_HZ if plan is not None else 0.0
        self._levels = Levels(rate_hz, min(channels, 2))
        self._hash = hashlib.sha256()
        self._spectrum = np.zeros(SPECTRUM_SAMPLES // 2 + 1)
        self._second_samples = 10 * round(rate_hz / 10)
        self._pending: list[Exact] = []
        self._pending_samples = 0
        self._window: list[Exact] = []
        self._at = self._clipped = 0
        self._square_sum = 0.0
        self._found: list[Window] = []
        self._compared: list[Compared] = []
        self.picture = Picture(rate_hz) if picture else None

    def add(self, block: Exact, words: NDArray[np.int32]) -> None:
        """Take the next frames as floats, and as 24-bit integers for the hash."""
        self._hash.update(np.ascontiguousarray(words, "<i4").view(np.uint8).reshape(-1, 4)[:, :3].tobytes())
        sound = np.ascontiguousarray((block if self._channels == 1 else block[:, :2]).T)
        if self._channels == 1:
            sound = np.vstack([sound, sound])
        self._pending.append(sound)
        self._pending_samples += sound.shape[1]
        if self._pending_samples >= self._second_samples:
            waiting = np.concatenate(self._pending, axis=1)
            whole = self._pending_samples - self._pending_samples % self._second_samples
            for first in range(0, whole, self._second_samples):
                self._second(np.ascontiguousarray(waiting[:, first : first + self._second_samples]))
            self._pending, self._pending_samples = [waiting[:, whole:]], waiting.shape[1] - whole

    def result(self) -> Analysis:
        """What was heard."""
        if self._pending_samples:
            self._second(np.ascontiguousarray(np.concatenate(self._pending, axis=1)))
            self._pending, self._pending_samples = [], 0
        if self._window and not self._found:
            self._listen()
        windows, method, share = _agreed(self._found)
        beats = [window.beat_hz for window in windows if window.beat_hz is not None]
        promised = [one for one in self._compared if one.planned_beat_hz is not None]
        errors = [abs(one.beat_error_hz) for one in promised if one.beat_error_hz is not None]
        carriers = [abs(one.carrier_error_hz) for one in self._compared if one.carrier_error_hz is not None]
        return Analysis(
            seconds=self._at / self._rate_hz,
            sample_rate_hz=self._rate_hz,
            channels=self._channels,
            method=method,
            beat_least_hz=min(beats, default=None),
            beat_most_hz=max(beats, default=None),
            beat_share=share,
            level_dbfs=decibels(math.sqrt(self._square_sum / max(1, 2 * self._at))),
            sample_peak_dbfs=self._levels.sample_peak_dbfs,
            true_peak_dbtp=self._levels.true_peak_dbtp,
            loudness_lufs=self._levels.loudness_lufs,
            clipped_samples=self._clipped,
            noise_slope_db_per_octave=slope(self._spectrum, self._rate_hz) if self._spectrum.any() else None,
            content_sha256=self._hash.hexdigest(),
            windows=windows,
            compared=tuple(self._compared),
            beat_error_most_hz=max(errors, default=None),
            carrier_error_most_hz=max(carriers, default=None),
            promised_windows=len(promised),
            missed_windows=len(promised) - len(errors),
        )

    def _second(self, sound: Exact) -> None:
        self._levels.add(sound)
        self._square_sum += float((sound**2).sum())
        self._clipped += int((np.abs(sound[: self._channels]) >= CLIPPED).sum())
        self._at += sound.shape[1]
        if self.picture is not None:
            self.picture.add(sound)
        self._window.append(sound)
        if len(self._window) == WINDOW_S and sound.shape[1] == self._second_samples:
            self._listen()

    def _listen(self) -> None:
        sound = np.concatenate(self._window, axis=1)
        self._window = []
        seconds = sound.shape[1] / self._rate_hz
        start_s = self._at / self._rate_hz - seconds
        self._spectrum += power_spectrum(sound, self._rate_hz)
        if seconds < SHORTEST_S:
            return
        level = math.sqrt(float((sound**2).mean()))
        stretch = Stretch(sound, self._rate_hz)
        method, pairs = stretch.heard() if level > 0 else ("none", ())
        first = pairs[0] if pairs else None
        self._found.append(
            Window(
                start_s=start_s,
                seconds=seconds,
                method=method,
                left_hz=_number(first.left_hz if first else None),
                right_hz=_number(first.right_hz if first else None),
                beat_hz=first.beat_hz if first else None,
                level_dbfs=decibels(level),
                others=tuple(((pair.left_hz + pair.right_hz) / 2, pair.beat_hz) for pair in pairs[1:]),
            )
        )
        if level > 0 and start_s + seconds <= self._plan_s + 0.5:
            for part in self._parts:
                if (one := _compare(stretch, part, start_s, seconds)) is not None:
                    self._compared.append(one)


class Picture:
    """The spectrum over time for a picture: rows of PICTURE_HZ, at most PICTURE_COLUMNS_MOST columns; dB."""

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._columns: list[Exact] = []
        self._each = 1  # seconds in a column
        self._part: list[Exact] = []
        self._edges_hz = np.geomspace(*PICTURE_HZ, PICTURE_ROWS + 1)

    def add(self, sound: Exact) -> None:
        """Take the next second."""
        frames = sound.shape[1]
        if frames < self._rate_hz // 8:
            return
        power = (np.abs(np.fft.rfft(sound * np.hanning(frames), axis=1)) ** 2).mean(axis=0) / (0.25 * frames) ** 2
        sums = np.concatenate([[0.0], np.cumsum(power)])
        at = np.clip(self._edges_hz * frames / self._rate_hz, 0, len(power))
        # The mean over a row, its ends within bins: rows at low frequencies are narrower than a bin.
        between = np.interp(at, np.arange(len(sums)), sums)
        widths = np.diff(at)
        rows = np.where(widths > 1e-9, np.diff(between) / np.maximum(widths, 1e-9), 0.0) * np.maximum(widths, 1.0)
        self._part.append(rows)
        if len(self._part) == self._each:
            self._close()
        if len(self._columns) > PICTURE_COLUMNS_MOST:
            self._columns = [(a + b) / 2 for a, b in zip(self._columns[::2], self._columns[1::2], strict=False)]
            self._each *= 2

    def decibels(self) -> Exact:
        """The picture, low frequencies first: (rows, columns); -140 where there is nothing."""
        if self._part:
            self._close()
        if not self._columns:
            return np.full((PICTURE_ROWS, 1), -140.0)
        made: Exact = 10 * np.log10(np.array(self._columns).T + 1e-14)
        return made

    def _close(self) -> None:
        self._columns.append(np.mean(self._part, axis=0))
        self._part = []


# --- what a plan promises ---------------------------------------------------------------------------


def parts(plan: Audible) -> Iterator[Part]:
    """Every beat that a programme or a sequence promises."""
    if isinstance(plan, Sequence):
        for place, layer in enumerate(plan.layers, 1):
            if layer.kind in ("binaural", "isochronic"):
                of_it = Programme(
                    segments=layers.segments(layer), method=layer.kind, bed="none", seed=0, swap=not plan.swap
                )
                yield _part(of_it, f"tone {place}", partial(_amplitude, layer))
    elif plan.method != "none":
        yield _part(plan, plan.method, np.ones_like)


def _amplitude(layer: Layer, at_s: Exact) -> Exact:
    return np.interp(at_s, [node.at_s for node in layer.nodes], [node.amplitude for node in layer.nodes])


def _part(plan: Programme, name: str, amplitude: Callable[[Exact], Exact]) -> Part:
    table = tones.path(plan.segments)

    def turns(carriers: float, beats: float, at_s: Exact) -> Exact:
        samples = np.atleast_1d(at_s) * SAMPLE_RATE_HZ
        rows = table[np.minimum(np.searchsorted(table[:, 1], samples, side="right"), len(table) - 1)]
        powers = ((samples - rows[:, 0]) * rows[:, 2])[:, None] ** np.arange(5)
        made: Exact = ((carriers * rows[:, 3:8] + beats * rows[:, 8:13]) * powers).sum(axis=1)
        return made

    method = str(plan.method)
    least_hz = min(min(abs(segment.beat_from_hz), abs(segment.beat_to_hz)) for segment in plan.segments)
    reach_hz = REACH_HZ if method in ("binaural", "steady") else min(REACH_HZ, 0.4 * least_hz)

    def line(ear: int, beats: float) -> Line:
        return Line(ear, partial(turns, 1.0, beats), reach_hz)

    if method == "am":
        low = high = None
    elif method == "binaural":
        low, high = line(1 if plan.swap else 0, -0.5), line(0 if plan.swap else 1, 0.5)
    elif method == "steady":
        low, high = line(0, 0.0), line(1, 0.0)
    else:
        apart = 1.0 if method == "isochronic" else 0.5
        low, high = line(2, -apart), line(2, apart)
    divisor = {"isochronic": 2.0, "steady": math.inf}.get(method, 1.0)
    return Part(name, low, high, divisor, partial(turns, 1.0, 0.0), partial(turns, 0.0, 1.0), amplitude)


def _compare(stretch: Stretch, part: Part, start_s: float, seconds: float) -> Compared | None:
    if float(part.amplitude(start_s + np.linspace(0, seconds, 21)).min()) <= 0.001:
        return None
    ends = np.array([start_s, start_s + seconds])
    carrier, beat = (float(np.diff(turns(ends))[0]) / seconds for turns in (part.carrier, part.beat))
    if part.low is None or part.high is None:
        error = stretch.sway_error_hz(part.beat, start_s)
        return Compared(start_s, part.name, None, beat, None, error)
    low, high = stretch.error_hz(part.low, start_s), stretch.error_hz(part.high, start_s)
    planned = None if math.isinf(part.divisor) or abs(beat) < BEAT_LEAST_HZ else beat
    found = low is not None and high is not None
    return Compared(
        start_s=start_s,
        part=part.name,
        planned_carrier_hz=carrier,
        planned_beat_hz=planned,
        carrier_error_hz=(low + high) / 2 if low is not None and high is not None else None,
        beat_error_hz=(high - low) / part.divisor if planned is not None and found and low is not None and high is not None else None,
    )


# --- what the windows say together ------------------------------------------------------------------


def _agreed(found: list[Window]) -> tuple[tuple[Window, ...], str, float]:
    """Return the windows without what only chance put there, the method of the whole, and its share of the time."""
    heard = [window for window in found if window.level_dbfs is not None]
    kept = [window if len(found) < 3 or _has_neighbour(found, place) else _beatless(window) for place, window in enumerate(found)]
    methods = [window.method for window in kept if window.method != "none"]
    if not methods:
        return tuple(kept), "none", 0.0
    method = max(sorted(set(methods)), key=methods.count)
    share = methods.count(method) / len(heard)
    if share < SHARE_LEAST and _longest_run(kept, method) < 6:
        return tuple(_beatless(window) for window in kept), "none", 0.0
    return tuple(window if window.method == method else _beatless(window) for window in kept), method, share


def _has_neighbour(found: list[Window], place: int) -> bool:
    return any(_goes_on(found[place], found[other]) for other in (place - 1, place + 1) if 0 <= other < len(found))


def _goes_on(one: Window, other: Window) -> bool:
    if one.beat_hz is None or other.beat_hz is None or one.method != other.method:
        return False
    if abs(one.beat_hz - other.beat_hz) > max(MOVES_HZ, MOVES_PART * one.beat_hz):
        return False
    if one.left_hz is None or other.left_hz is None:
        return True
    return abs(one.left_hz - other.left_hz) < max(5.0, 0.02 * one.left_hz)


def _longest_run(windows: list[Window], method: str) -> int:
    longest = run = 0
    for window in windows:
        run = run + 1 if window.method == method else 0
        longest = max(longest, run)
    return longest


def _beatless(window: Window) -> Window:
    return msgspec.structs.replace(window, method="none", left_hz=None, right_hz=None, beat_hz=None, others=())


def _number(hz: float | None) -> float | None:
    return None if hz is None or math.isnan(hz) else hz


