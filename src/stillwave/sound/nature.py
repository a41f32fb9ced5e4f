"""Beds from nature and a slow pad, made of filtered noise, hashed drops and slow random movement.

Each bed is a function of (programme, sample index) with no recording and no loop: every wave, drop and chord
takes its shape from a hash of its own number. Arrays are (2, frames) float32; `start` is a multiple of
BLOCK_SAMPLES. The array is the thread's own and holds
until its next bed. Beds come out near unit RMS; `levels.py` holds their measured loudness.
"""

import math
from collections.abc import Callable

import numpy as np

from stillwave.sound import kernels, noise, tones
from stillwave.sound.noise import CONTROL_SAMPLES, Exact, Sound, band_pass, gentle_band, key, low_pass, shape
from stillwave.sound.programme import SAMPLE_RATE_HZ, Programme

# Chance, jitter, lowest and highest Hz, shortest and longest decay s, attack s, rise, loudness power, width.
GRAIN = np.array([0.7, 1.0, 2200.0, 7500.0, 0.001, 0.003, 0.0003, 0.0, 3.0, 1.0])
PATTER = np.array([0.8, 1.0, 700.0, 3200.0, 0.002, 0.010, 0.0008, 0.0, 3.0, 0.95])
BUBBLES = np.array([0.8, 1.0, 320.0, 1500.0, 0.008, 0.022, 0.003, 0.35, 2.5, 0.9])
TRICKLE = np.array([0.6, 1.0, 1100.0, 2800.0, 0.004, 0.012, 0.002, 0.3, 3.0, 0.9])
CRICKETS = (  # cell in samples (the rate of the trill), shape
    (1633, np.array([1.0, 0.06, 4150.0, 4190.0, 0.006, 0.007, 0.005, 0.0, 0.15, 0.7])),
    (1378, np.array([1.0, 0.06, 3560.0, 3590.0, 0.007, 0.008, 0.006, 0.0, 0.15, 0.9])),
)

HUSH = shape(gentle_band(350.0, 1800.0), low_pass(12000.0, 0.6))
WARMTH = shape(gentle_band(35.0, 90.0), low_pass(500.0))
SURF = shape(gentle_band(120.0, 420.0), low_pass(4000.0))
FOAM = shape(gentle_band(1500.0, 4000.0), low_pass(9000.0))
BROOK = shape(band_pass(700.0, 0.4), low_pass(4500.0))
AIR = shape(gentle_band(250.0, 500.0), low_pass(5000.0))
WIND_BANDS_HZ = (140.0, 240.0, 400.0, 680.0)
WIND_BANDS = tuple(shape(band_pass(hz, 1.6), low_pass(2400.0)) for hz in WIND_BANDS_HZ)

# Ratios to the carrier in just intonation, with the weights of partials 1-3. No partial comes within 15 % of
# the carrier, so a beat of up to 30 Hz keeps the air around it free, to the ear and to the meter.
_CHORDS = (
    ((1 / 2, 1.0, 0.0, 0.10), (3 / 4, 0.8, 0.25, 0.06), (5 / 4, 0.5, 0.12, 0.0), (15 / 8, 0.28, 0.05, 0.0)),
    ((1 / 3, 1.0, 0.35, 0.0), (2 / 3, 0.8, 0.20, 0.08), (5 / 3, 0.4, 0.10, 0.0), (4 / 3, 0.45, 0.10, 0.0)),
    ((5 / 12, 1.0, 0.35, 0.08), (5 / 8, 0.8, 0.25, 0.06), (5 / 4, 0.5, 0.12, 0.0), (3 / 2, 0.4, 0.08, 0.0)),
    ((3 / 8, 1.0, 0.35, 0.0), (3 / 4, 0.8, 0.22, 0.06), (3 / 2, 0.45, 0.10, 0.0), (27 / 16, 0.3, 0.05, 0.0)),
)
CHORDS = np.array(_CHORDS)
CHORD_S = 17.0


def rain(programme: Programme, start: int, frames: int) -> Sound:
    """Return soft rain: a warm hush from 350 Hz up that falls above 2 kHz, fine grain and near drops."""
    out = _silent(frames)
    _add_rain(out, programme.seed, start, 1.0)
    return out


def ocean(programme: Programme, start: int, frames: int) -> Sound:
    """Return two trains of waves, near and far: a low body, surf at the crest, foam that hisses after it."""
    seed, out = programme.seed, _silent(frames)
    near, foam = _waves(seed, "near waves", start, frames, 10.7)
    far, _ = _waves(seed, "far waves", start, frames, 14.9)
    noise.add_shaped(out, key(seed, "sea floor"), start, WARMTH, 0.35 + 0.5 * near + 0.5 * far, 5.0)
    noise.add_shaped(out, key(seed, "surf"), start, SURF, 0.10 + near + 0.3 * far, 6.0)
    noise.add_shaped(out, key(seed, "spray"), start, FOAM, 0.06 + foam, 1.0)
    return out


def stream(programme: Programme, start: int, frames: int) -> Sound:
    """Return a brook: many small bubbles from 320 to 2800 Hz that rise in pitch, over a narrow murmur."""
    seed, out = programme.seed, _silent(frames)
    flow = (
        1.0 + 0.35 * _drift(seed, "flow", start, frames, 0.9) + 0.2 * _drift(seed, "run", start, frames, 5.3)
    )
    noise.add_shaped(out, key(seed, "murmur"), start, BROOK, flow, 1.0)
    _add_drops(out, key(seed, "bubbles"), start, 500, BUBBLES, _steady(frames), 2.4)
    _add_drops(out, key(seed, "trickle"), start, 700, TRICKLE, _steady(frames), 2.6)
    return out


def wind(programme: Programme, start: int, frames: int) -> Sound:
    """Return wind whose pitch and strength wander together between 140 and 680 Hz over low warmth."""
    seed, out = programme.seed, _silent(frames)
    strength = (
        0.5
        + 0.3 * _drift(seed, "gusts", start, frames, 6.1)
        + 0.2 * _drift(seed, "weather", start, frames, 23)
    )
    centre = (len(WIND_BANDS) - 1) * strength
    noise.add_shaped(out, key(seed, "wind floor"), start, WARMTH, _steady(frames), 2.0)
    for place, band in enumerate(WIND_BANDS):
        level = np.exp(-1.1 * (centre - place) ** 2) * (0.25 + 0.75 * strength)
        noise.add_shaped(out, key(seed, f"wind {place}"), start, band, level, 7.0)
    return out


def night(programme: Programme, start: int, frames: int) -> Sound:
    """Return a warm night: still air, and two far crickets near 3.6 and 4.2 kHz that come and go."""
    seed, out = programme.seed, _silent(frames)
    noise.add_shaped(out, key(seed, "night floor"), start, WARMTH, _steady(frames), 3.0)
    noise.add_shaped(out, key(seed, "night air"), start, AIR, _steady(frames), 2.2)
    for place, (cell, chirp) in enumerate(CRICKETS):
        calls = np.clip(1.6 * _drift(seed, f"calls {place}", start, frames, 1.7 + 0.6 * place), 0.0, 1.0)
        near = 0.6 + 0.4 * _drift(seed, f"cricket {place}", start, frames, 19.0)
        _add_drops(out, key(seed, f"cricket {place}"), start, cell, chirp, calls * near, 3.2)
    return out


def nature(programme: Programme, start: int, frames: int) -> Sound:
    """Return gentle rain by a calm sea: rain's hush and drops over the low swell of far waves."""
    seed, out = programme.seed, _silent(frames)
    far, _ = _waves(seed, "far swell", start, frames, 12.6)
    noise.add_shaped(out, key(seed, "swell floor"), start, WARMTH, 0.3 + 0.9 * far, 4.0)
    noise.add_shaped(out, key(seed, "swell surf"), start, SURF, 0.15 + 0.85 * far, 4.2)
    _add_rain(out, seed, start, 0.42)
    return out


def ambient(programme: Programme, start: int, frames: int) -> Sound:
    """Return slow chords in tune with the carrier, fading into each other over 17 s, and a breath of air."""
    seed = programme.seed
    level, voices = _chords(seed, start, frames)
    breath = np.stack(
        [_drift(seed, f"breath {v}", start, frames, 5.0 + 0.7 * v) for v in range(CHORDS.shape[1])]
    )
    breath = np.tile(breath, (len(voices) // len(breath), 1, 1))
    out = _silent(frames)
    kernels.pad(tones.path(programme.segments), start, voices, level, 0.6 * breath, CONTROL_SAMPLES, out)
    noise.add_shaped(out, key(seed, "pad air"), start, AIR, _steady(frames), 0.5)
    return out


def _add_rain(out: Sound, seed: int, start: int, gain: float) -> None:
    frames = out.shape[1]
    gust = 0.12 * _drift(seed, "rain gust", start, frames, 4.7)
    shower = 1.0 + 0.22 * _drift(seed, "rain shower", start, frames, 13.0) + gust
    noise.add_shaped(out, key(seed, "rain hush"), start, HUSH, shower, 4.4 * gain)
    _add_drops(out, key(seed, "rain grain"), start, 230, GRAIN, shower, 7.0 * gain)
    _add_drops(out, key(seed, "rain patter"), start, 1100, PATTER, shower, 5.0 * gain)


def _chords(seed: int, start: int, frames: int) -> tuple[Exact, Exact]:
    """Return the levels (v, m + 1) and voices (v, 4) of the chords that sound in a block."""
    at = _control_s(start, frames) / CHORD_S
    slots = range(math.floor(at[0]) - 1, math.floor(at[-1]) + 1)
    # Each chord swells and fades as sin^2 over two periods, so that two overlap and their sum is steady.
    ages = [np.clip((at - slot) / 2, 0.0, 1.0) for slot in slots]
    levels = [0.3 * (0.5 - 0.5 * np.cos(2 * np.pi * age)) for age in ages]
    voices = np.concatenate([CHORDS[chord_number(seed, slot)] for slot in slots])
    return np.repeat(levels, CHORDS.shape[1], axis=0), voices


def chord_number(seed: int, slot: int) -> int:
    """Return which of CHORDS sounds in a slot of CHORD_S; never the same one twice running."""
    draws = np.empty((2, 1), np.float32)
    kernels.white(key(seed, "chords"), slot, draws)
    # Even slots take one of the first two chords, odd slots one of the others.
    return 2 * (slot % 2) + int(draws[0, 0] > 0)


def _waves(seed: int, name: str, start: int, frames: int, period_s: float) -> tuple[Exact, Exact]:
    """Return swell and foam of a train of waves, each (2, m + 1) within about 0..1.

    A wave rises for less than half of its period and falls for more than one; foam follows a fifth of a
    period later and fades more slowly. Waves come in at a slant: each reaches one ear up to 0.5 s before the
    other.
    """
    at_s = _control_s(start, frames)
    first, last = math.floor(at_s[0] / period_s) - 3, math.floor(at_s[-1] / period_s) + 1
    draws = np.empty((2, last - first + 1), np.float32)
    kernels.white(key(seed, name), first, draws)
    when, size = draws.astype(np.float64) / math.sqrt(3.0)
    slant_s = 0.5 * np.sin(17.0 * when + 5.0 * size)
    onset = np.arange(first, last + 1) + 0.3 * when
    strength = (0.72 + 0.28 * size)[:, None]
    ears = np.array([-0.5, 0.5])[:, None, None]
    age = (at_s + ears * slant_s[:, None]) / period_s - onset[:, None]  # (ear, wave, control point)
    swell = strength * _rise_and_fall(age, 0.45, 1.1)
    foam = strength**2 * _rise_and_fall(age - 0.2, 0.3, 1.6)
    return swell.sum(axis=1), foam.sum(axis=1)


def _rise_and_fall(age: Exact, rise: float, fall: float) -> Exact:
    up = np.clip(age / rise, 0.0, 1.0)
    down = np.clip((age - rise) / fall, 0.0, 1.0)
    return up * up * (3.0 - 2.0 * up) * (1.0 - down) ** 3 * (1.0 + 2.0 * down)


def _drift(seed: int, name: str, start: int, frames: int, period_s: float) -> Exact:
    """Return two slow wanders, mostly shared by both ears, (2, m + 1)."""
    shared, left, right = (
        noise.drift(key(seed, f"{name} {part}"), start, frames, period_s)
        for part in ("shared", "left", "right")
    )
    return np.stack([0.7 * shared + 0.3 * left, 0.7 * shared + 0.3 * right])


def _add_drops(
    out: Sound, source: np.uint64, start: int, cell_samples: int, shape: Exact, level: Exact, gain: float
) -> None:
    ringing = noise.scratch("ringing", out.shape[1])
    ringing[:] = 0.0
    kernels.drops(source, start, cell_samples, shape, ringing)
    kernels.layer(ringing, level, gain, CONTROL_SAMPLES, out)


def _steady(frames: int) -> Exact:
    return np.ones((2, frames // CONTROL_SAMPLES + 1))


def _control_s(start: int, frames: int) -> Exact:
    return (start + CONTROL_SAMPLES * np.arange(frames // CONTROL_SAMPLES + 1)) / SAMPLE_RATE_HZ


def _silent(frames: int) -> Sound:
    out = noise.scratch("bed", frames)
    out[:] = 0.0
    return out


def _noise(colour: Callable[[np.uint64, int, Sound], None]) -> Callable[[Programme, int, int], Sound]:
    def bed(programme: Programme, start: int, frames: int) -> Sound:
        out = noise.scratch("bed", frames)
        colour(key(programme.seed, "noise"), start, out)
        return out

    return bed


def _silence(programme: Programme, start: int, frames: int) -> Sound:  # noqa: ARG001 - as every bed
    return _silent(frames)


BEDS: dict[str, Callable[[Programme, int, int], Sound]] = {
    "white_noise": _noise(noise.white),
    "pink_noise": _noise(noise.pink),
    "brown_noise": _noise(noise.brown),
    "rain": rain,
    "ocean": ocean,
    "stream": stream,
    "wind": wind,
    "night": night,
    "nature": nature,
    "ambient": ambient,
    "none": _silence,
}
