"""The sound of a `Sequence` by absolute sample index, block by block, and how loud it is.

Levels move in straight lines between control points 23 ms apart, so an amplitude that jumps does not click.
"""

import math
from functools import lru_cache

import numpy as np

from stillwave.sound import kernels, levels, noise, tones
from stillwave.sound.noise import BLOCK_SAMPLES, CONTROL_SAMPLES, Exact, Sound
from stillwave.sound.programme import SAMPLE_RATE_HZ, Segment, target_lufs
from stillwave.sound.sequence import Layer, Sequence

COLOURS = {"pink": noise.pink, "white": noise.white, "brown": noise.brown}
# From noise as made here to what SBaGen+ plays at amplitude 100 (RMS 0.153, 0.577 and 0.074 of full scale; measured).
UNITS = {"pink": 0.0504, "white": 0.577, "brown": 3.24}
# A stroke falls by 11/12 every 50 ms, and is over when 100 dB are gone.
BELL_FALL_S, BELL_S = 0.05 / math.log(12 / 11), 6.6
SPIN_MARGIN_SAMPLES = 64  # more than the widest spin (1 ms) and the reach of the interpolation
TIME_STEP_S = 0.5


def block(sequence: Sequence, start: int) -> tuple[Sound, float]:
    """Return a block, (2, BLOCK_SAMPLES), at the sequence's loudness, and its highest magnitude.

    The array is the thread's own and holds until its next.
    """
    out = noise.scratch("layers", BLOCK_SAMPLES)
    out[:] = 0.0
    points_s = (start + CONTROL_SAMPLES * np.arange(BLOCK_SAMPLES // CONTROL_SAMPLES + 1)) / SAMPLE_RATE_HZ
    for place, layer in enumerate(sequence.layers):
        if layer.kind == "bell":
            _strike(layer, start, out)
            continue
        level = np.interp(points_s, *_amplitudes(layer))
        if level.any():
            made, unit = _made(sequence, layer, f"layer {place}", start)
            kernels.layer(made, np.vstack([level, level]), unit, CONTROL_SAMPLES, out)
    if sequence.swap:
        out[:] = out[::-1].copy()
    return out, float(kernels.mix(out, out, gain(sequence), 0.0, out))


def _made(sequence: Sequence, layer: Layer, name: str, start: int) -> tuple[Sound, float]:
    made = noise.scratch("layer", BLOCK_SAMPLES)
    if layer.kind in tones.METHOD_NUMBERS:
        made[:] = 0.0
        kernels.tones(tones.path(segments(layer)), start, tones.METHOD_NUMBERS[layer.kind], True, made)
        return made, 1.0
    spins, _, colour = layer.kind.rpartition("_")
    source = noise.key(sequence.seed, name)
    if spins:
        _spin(layer, source, colour, start, made)
    else:
        COLOURS[colour](source, start, made)
    return made, UNITS[colour]


def _spin(layer: Layer, source: np.uint64, colour: str, start: int, out: Sound) -> None:
    """Fill `out` with one noise whose delay swings in opposite directions for each ear."""
    margin = SPIN_MARGIN_SAMPLES
    plain = noise.scratch("spin", BLOCK_SAMPLES + 2 * margin)
    COLOURS[colour](source, start - margin, plain)
    at = np.arange(BLOCK_SAMPLES)
    table = tones.path(segments(layer))
    row = table[np.minimum(np.searchsorted(table[:, 1], start + at, side="right"), len(table) - 1)]
    u = (start + at - row[:, 0]) * row[:, 2]
    turns = row[:, 8] + u * (row[:, 9] + u * row[:, 10])
    width_us = np.interp((start + at) / SAMPLE_RATE_HZ, *_column(layer, "carrier_hz"))
    away = width_us * 1e-6 * SAMPLE_RATE_HZ * np.sin(2 * np.pi * (turns - np.floor(turns)))
    for ear, side in enumerate((-1.0, 1.0)):
        place = at + margin + side * away
        first = np.floor(place).astype(np.int64)
        x = place - first
        before, here, after, last = (plain[0, first + step].astype(np.float64) for step in (-1, 0, 1, 2))
        # Catmull-Rom: through the samples, with an even slope.
        bend = 2 * before - 5 * here + 4 * after - last + x * (3 * (here - after) + last - before)
        out[ear] = here + 0.5 * x * (after - before + x * bend)


def _strike(layer: Layer, start: int, out: Sound) -> None:
    for node in layer.nodes:
        first = round(node.at_s * SAMPLE_RATE_HZ)
        n = np.arange(max(start, first), min(start + BLOCK_SAMPLES, first + round(BELL_S * SAMPLE_RATE_HZ)))
        if len(n):
            t = (n - first) / SAMPLE_RATE_HZ
            stroke = node.amplitude * np.exp(-t / BELL_FALL_S) * np.sin(2 * np.pi * node.carrier_hz * t)
            out[:, n[0] - start : n[-1] + 1 - start] += stroke.astype(np.float32)


@lru_cache(maxsize=256)
def segments(layer: Layer) -> tuple[Segment, ...]:
    """Return the layer's frequencies as segments of a programme."""
    return tuple(
        Segment(b.at_s - a.at_s, a.carrier_hz, b.carrier_hz, a.beat_hz, b.beat_hz)
        for a, b in zip(layer.nodes, layer.nodes[1:], strict=False)
    )


@lru_cache(maxsize=256)
def _column(layer: Layer, name: str) -> tuple[Exact, Exact]:
    return np.array([node.at_s for node in layer.nodes]), np.array([getattr(node, name) for node in layer.nodes])


def _amplitudes(layer: Layer) -> tuple[Exact, Exact]:
    return _column(layer, "amplitude")


@lru_cache(maxsize=16)
def gain(sequence: Sequence) -> float:
    """Return the factor that gives the layers' sum the loudness of the volume level, or less where peaks forbid it.

    Loudness is worked out every half second from the layers' own and gated as in BS.1770.
    """
    target = target_lufs(sequence.volume_level)
    if math.isinf(target):
        return 0.0
    times_s = np.arange(0.0, sequence.seconds, TIME_STEP_S)
    power, peak = np.zeros(len(times_s)), np.zeros(len(times_s))
    struck = 0.0
    for layer in sequence.layers:
        if layer.kind == "bell":
            struck = max(struck, *(node.amplitude for node in layer.nodes))
            continue
        amplitude = np.interp(times_s, *_amplitudes(layer))
        unit_power, unit_peak = _unit(layer, times_s)
        power += unit_power * amplitude**2
        peak += unit_peak * amplitude
    highest = float(peak.max()) + struck
    if highest == 0.0:
        return 0.0
    heard = power[power > 0]
    heard = heard[heard > heard.mean() / 10] if len(heard) else np.array([0.01])  # a bell alone
    lufs = -0.691 + 10 * math.log10(float(heard.mean()))
    return min(10 ** ((target - lufs) / 20), levels.PEAK_MOST / highest)


def _unit(layer: Layer, times_s: Exact) -> tuple[Exact | float, float]:
    """Return K-weighted power (both ears) and peak at amplitude 1."""
    if layer.kind in tones.METHOD_NUMBERS:
        carrier_hz = np.interp(times_s, *_column(layer, "carrier_hz"))
        weight_db = np.interp(np.log(carrier_hz), np.log(WEIGHT_HZ), WEIGHT_DB)
        return 2 * tones.MEAN_SQUARE[layer.kind] * 10 ** (weight_db / 10), tones.PEAK
    spins, _, colour = layer.kind.rpartition("_")
    bed = f"{colour}_noise"
    power = 10 ** ((levels.BED_LUFS[bed] + 0.691) / 10) * UNITS[colour] ** 2
    return power, levels.BED_PEAK[bed] * UNITS[colour] * (1.3 if spins else 1.0)


WEIGHT_HZ = np.geomspace(10.0, 16_000.0, 200)
WEIGHT_DB = np.array([levels.k_weighted_db(hz) for hz in WEIGHT_HZ])
