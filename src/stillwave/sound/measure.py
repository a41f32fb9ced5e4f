"""What a sound really contains, taken from its samples: the `frequency_data` of an audio file.

Frequencies come from complex demodulation: each tone is turned down by its planned phase, and what turning is
left, found as the highest point of a Hann-windowed spectrum, is its error. Demodulating by the plan's own
path keeps ramps and bends sharp; a tone that is elsewhere still shows as far away as it is.
"""

import hashlib
import math
from collections.abc import Iterable

import msgspec
import numpy as np
from numpy.typing import NDArray

from stillwave.sound import lines, render, weighing
from stillwave.sound.levels import K_WEIGHTING, k_weighting
from stillwave.sound.noise import Exact
from stillwave.sound.programme import ENGINE_VERSION, SAMPLE_RATE_HZ, Programme

WINDOW_S = 10
WINDOWS_MOST = 60
FULL_SCALE = 2.0**23
GATE_SAMPLES = 4_410  # loudness is gathered every 100 ms; a gating block is four of them (BS.1770-5)
TAPS = 24
SPECTRUM_SAMPLES = 16_384
# Below this a bed's spectrum is the dither's (-184 dBFS/Hz), not its own.
SPECTRUM_LEAST_DB = -165.0


class Window(msgspec.Struct, frozen=True):
    """One stretch of the sound; carriers and beat are means over it, None if there are none."""

    start_s: float
    seconds: float
    left_carrier_hz: float | None
    right_carrier_hz: float | None
    beat_hz: float | None
    planned_beat_hz: float | None
    error_hz: float | None
    level_dbfs: float | None
    sample_peak_dbfs: float | None
    loudness_lufs: float | None


class Measurement(msgspec.Struct, frozen=True):
    """The whole sound; `method` is the plan's, or what was found where there is no plan."""

    engine_version: int
    method: str
    sample_rate_hz: int
    seconds: float
    windows: tuple[Window, ...]
    beat_error_most_hz: float | None
    loudness_lufs: float | None
    true_peak_dbtp: float | None
    sample_peak_dbfs: float | None
    noise_slope_db_per_octave: float | None
    content_sha256: str


def measure(
    programme: Programme | None,
    blocks: Iterable[NDArray[np.int32]] | None = None,
    *,
    total_samples: int | None = None,
    windows_most: int = WINDOWS_MOST,
) -> Measurement:
    """Measure a programme's sound, or any sound handed in as blocks of 24-bit integers (n, 2) at 44.1 kHz.

    Args:
        programme: the plan; None searches for tones instead.
        blocks: the samples; None renders them from the programme.
        total_samples: length of the blocks, where there is no programme to tell.
        windows_most: windows of 10 s to measure, spread over the whole.

    Raises:
        ValueError: neither a programme nor blocks and their length; or the blocks are shorter or longer.
    """
    if programme is not None:
        total_samples = programme.total_samples
    if total_samples is None or (blocks is None and programme is None):
        msg = "measure needs a programme, or blocks and total_samples"
        raise ValueError(msg)
    meter = Meter(programme, total_samples, windows_most=windows_most)
    if blocks is None and programme is not None:
        blocks = (render.samples24(programme, start, stop) for start, stop in render.edges(0, total_samples))
    for block in blocks or ():
        meter.add(block)
    return meter.result()


class Levels:
    """Peak, true peak and loudness of a sound as it passes, in stretches of a second; the last may be shorter."""

    def __init__(self, rate_hz: int = SAMPLE_RATE_HZ, ears: int = 2) -> None:
        self._weighting = k_weighting(rate_hz)
        self._gate_samples = round(rate_hz / 10)
        self._ears = ears
        self._k_state = np.zeros((2, 2, 2))
        self._gate_powers: list[Exact] = []
        self._history = np.zeros((2, TAPS - 1))
        self._true_peak = self._peak = 0.0

    def add(self, sound: Exact) -> None:
        """Take the next frames, (2, n); of a sound for one ear both rows are the same."""
        self._peak = max(self._peak, float(np.abs(sound).max()))
        joined = np.concatenate([self._history, sound], axis=1)
        self._true_peak = weighing.true_peak(joined, INTERPOLATION, self._true_peak)
        self._history = np.ascontiguousarray(joined[:, 1 - TAPS :])
        weighted = sound.copy()
        weighing.two_sections(weighted, self._weighting, self._k_state)
        whole = weighted.shape[1] - weighted.shape[1] % self._gate_samples
        powers = (weighted[: self._ears, :whole] ** 2).reshape(self._ears, -1, self._gate_samples)
        self._gate_powers.append(powers.mean(axis=2).sum(axis=0))

    @property
    def loudness_lufs(self) -> float | None:
        """Integrated loudness; None for silence and for less than 0.4 s."""
        return _gated(np.concatenate(self._gate_powers) if self._gate_powers else np.zeros(0))

    @property
    def true_peak_dbtp(self) -> float | None:
        """The highest magnitude, between samples too."""
        return decibels(self._true_peak)

    @property
    def sample_peak_dbfs(self) -> float | None:
        """The highest magnitude of a sample."""
        return decibels(self._peak)


class Meter:
    """Measures a sound as it passes, block by block, in bounded memory; `result` when all has been added."""

    def __init__(
        self, programme: Programme | None, total_samples: int, *, windows_most: int = WINDOWS_MOST
    ) -> None:
        self._programme = programme
        self._total = total_samples
        self._starts = _window_starts(total_samples, windows_most)
        self._window = np.empty((2, min(WINDOW_S * SAMPLE_RATE_HZ, total_samples)))
        self._found: list[tuple[str, Window]] = []
        self._spectrum = np.zeros(SPECTRUM_SAMPLES // 2 + 1)
        self._hash = hashlib.sha256()
        self._pending: list[NDArray[np.int32]] = []
        self._pending_samples = 0
        self._at = 0
        self._k_state = np.zeros((2, 2, 2))
        self._gate_powers: list[Exact] = []
        self._history = np.zeros((2, TAPS - 1))
        self._true_peak = self._peak = 0.0

    def add(self, samples: NDArray[np.int32]) -> None:
        """Take the next frames, (n, 2) int32 within +-2^23; blocks may be of any length."""
        self._hash.update(render.packed24(samples))
        self._pending.append(samples)
        self._pending_samples += len(samples)
        if self._pending_samples >= SAMPLE_RATE_HZ:
            waiting = np.concatenate(self._pending)
            whole = len(waiting) - len(waiting) % SAMPLE_RATE_HZ
            for start in range(0, whole, SAMPLE_RATE_HZ):
                self._second(waiting[start : start + SAMPLE_RATE_HZ])
            self._pending, self._pending_samples = [waiting[whole:]], len(waiting) - whole

    def result(self) -> Measurement:
        """Return the measurement.

        Raises:
            ValueError: other than `total_samples` frames were added.
        """
        if self._pending_samples:
            self._second(np.concatenate(self._pending))
            self._pending, self._pending_samples = [], 0
        if self._at != self._total:
            msg = f"total_samples must be the number of frames added, {self._at}, not {self._total}"
            raise ValueError(msg)
        methods = [method for method, _ in self._found]
        errors = [abs(window.error_hz) for _, window in self._found if window.error_hz is not None]
        return Measurement(
            engine_version=self._programme.version if self._programme else ENGINE_VERSION,
            method=self._programme.method
            if self._programme
            else max(set(methods), key=methods.count, default="none"),
            sample_rate_hz=SAMPLE_RATE_HZ,
            seconds=self._total / SAMPLE_RATE_HZ,
            windows=tuple(window for _, window in self._found),
            beat_error_most_hz=max(errors, default=None),
            loudness_lufs=_gated(np.concatenate(self._gate_powers) if self._gate_powers else np.zeros(0)),
            true_peak_dbtp=decibels(self._true_peak),
            sample_peak_dbfs=decibels(self._peak),
            noise_slope_db_per_octave=slope(self._spectrum),
            content_sha256=self._hash.hexdigest(),
        )

    def _second(self, samples: NDArray[np.int32]) -> None:
        joined = np.empty((2, TAPS - 1 + len(samples)))
        joined[:, : TAPS - 1] = self._history
        powers = np.empty(len(samples) // GATE_SAMPLES)
        peak = weighing.listen(
            np.ascontiguousarray(samples), FULL_SCALE, K_WEIGHTING, self._k_state, GATE_SAMPLES, joined, TAPS - 1, powers
        )
        self._peak = max(self._peak, peak)
        self._true_peak = weighing.true_peak(joined, INTERPOLATION, self._true_peak)
        self._history = joined[:, 1 - TAPS :].copy()
        self._gate_powers.append(powers)
        self._collect(joined[:, TAPS - 1 :])
        self._at += len(samples)

    def _collect(self, sound: Exact) -> None:
        """Copy a second into the window it belongs to; windows start at whole seconds and never overlap."""
        if len(self._found) == len(self._starts):
            return
        place = self._at - self._starts[len(self._found)]
        frames = self._window.shape[1]
        if place < 0:
            return
        self._window[:, place : place + sound.shape[1]] = sound[:, : frames - place]
        if place + sound.shape[1] >= frames:
            self._found.append(self._measured(self._starts[len(self._found)]))
            self._spectrum += power_spectrum(self._window)

    def _measured(self, start: int) -> tuple[str, Window]:
        frames = self._window.shape[1]
        if self._programme is None:
            method, left, right, beat = lines.searched(self._window)
            planned = None
        else:
            method = self._programme.method
            left, right, beat, planned = lines.expected(self._window, self._programme, start)
        weighted = self._window.copy()
        weighing.two_sections(weighted, K_WEIGHTING, np.zeros((2, 2, 2)))
        power = float((weighted**2).mean(axis=1).sum())
        return method, Window(
            start_s=start / SAMPLE_RATE_HZ,
            seconds=frames / SAMPLE_RATE_HZ,
            left_carrier_hz=left,
            right_carrier_hz=right,
            beat_hz=beat,
            planned_beat_hz=planned,
            error_hz=None if beat is None or planned is None else beat - planned,
            level_dbfs=decibels(math.sqrt(float((self._window**2).mean()))),
            sample_peak_dbfs=decibels(float(np.abs(self._window).max())),
            loudness_lufs=_lufs(power),
        )


def _window_starts(total_samples: int, windows_most: int) -> list[int]:
    seconds = total_samples // SAMPLE_RATE_HZ
    count = max(1, min(windows_most, seconds // WINDOW_S))
    spread = (seconds - WINDOW_S) / max(1, count - 1)
    return [SAMPLE_RATE_HZ * max(0, int(place * spread)) for place in range(count)]


def _interpolation() -> Exact:
    """Return three filters (3, TAPS) that read between samples, at 1/4, 1/2 and 3/4: windowed sincs."""
    at = np.arange(TAPS) - TAPS / 2 + 1
    rows = []
    for part in (0.25, 0.5, 0.75):
        x = at - part
        taps = np.sinc(x) * np.i0(7.0 * np.sqrt(np.clip(1 - (x / (TAPS / 2)) ** 2, 0, 1))) / np.i0(7.0)
        rows.append(taps / taps.sum())
    return np.array(rows)


INTERPOLATION = _interpolation()


def power_spectrum(sound: Exact, rate_hz: int = SAMPLE_RATE_HZ) -> Exact:
    """Return the mean power density of both ears over stretches of 0.37 s of a window, per Hz."""
    count = sound.shape[1] // SPECTRUM_SAMPLES
    if count == 0:
        return np.zeros(SPECTRUM_SAMPLES // 2 + 1)
    stretches = sound[:, : count * SPECTRUM_SAMPLES].reshape(2, count, SPECTRUM_SAMPLES)
    parts = stretches[:, ::3].reshape(-1, SPECTRUM_SAMPLES) * HANN  # a third of them is plenty for a slope
    powers: Exact = np.abs(np.fft.rfft(parts, axis=1)) ** 2
    density: Exact = powers.mean(axis=0) * 2 / (rate_hz * (HANN**2).sum())
    return density


HANN = np.hanning(SPECTRUM_SAMPLES)


def slope(spectrum: Exact, rate_hz: int = SAMPLE_RATE_HZ) -> float | None:
    """Return the slope of the noise in dB an octave: a line through third octaves from 40 Hz to 12.9 kHz.

    Each is a median, which passes over the few bins that a tone fills.
    """
    hz = np.fft.rfftfreq(SPECTRUM_SAMPLES, 1 / rate_hz)
    centres = 40.0 * 2 ** (np.arange(26) / 3)
    centres = centres[centres < 0.4 * rate_hz]
    density = np.array(
        [np.median(spectrum[(hz >= c / 2 ** (1 / 6)) & (hz < c * 2 ** (1 / 6))]) for c in centres]
    )
    if np.median(density) < 10 ** (SPECTRUM_LEAST_DB / 10):
        return None
    return float(np.polyfit(np.log2(centres), 10 * np.log10(np.maximum(density, 1e-30)), 1)[0])


def _gated(powers: Exact) -> float | None:
    """Return the integrated loudness of BS.1770-5 from the powers of 100 ms steps."""
    if len(powers) < 4:
        return None
    blocks = np.convolve(powers, np.full(4, 0.25), "valid")
    heard = blocks[blocks > 10 ** ((-70 + 0.691) / 10)]
    if len(heard) == 0:
        return None
    return _lufs(float(heard[heard > heard.mean() / 10].mean()))


def _lufs(power: float) -> float | None:
    return -0.691 + 10 * math.log10(power) if power > 0 else None


def decibels(amplitude: float) -> float | None:
    """Return an amplitude in dB below 1; None for none."""
    return 20 * math.log10(amplitude) if amplitude > 0 else None
