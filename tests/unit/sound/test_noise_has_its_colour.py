"""Spectra of the beds, as `docs/sound.md` says they look."""

from itertools import pairwise

import numpy as np
import pytest

from stillwave.sound import measure, nature
from stillwave.sound.noise import BLOCK_SAMPLES

RATE_HZ = 44_100


def made(plan, blocks: int) -> np.ndarray:
    bed = nature.BEDS[plan.bed]
    return np.concatenate([bed(plan, n * BLOCK_SAMPLES, BLOCK_SAMPLES).copy() for n in range(blocks)], axis=1)


def density(channel: np.ndarray, points: int = 32_768) -> tuple[np.ndarray, np.ndarray]:
    parts = channel[: len(channel) // points * points].reshape(-1, points) * np.hanning(points)
    return np.fft.rfftfreq(points, 1 / RATE_HZ), (np.abs(np.fft.rfft(parts)) ** 2).mean(axis=0)


def slope(channel: np.ndarray, low_hz: float, high_hz: float) -> tuple[float, float]:
    """Return dB an octave over octave bands, and the greatest distance of a band from that line."""
    hz, power = density(channel)
    edges = low_hz * 2 ** np.arange(int(np.log2(high_hz / low_hz)) + 1.0)
    levels = [10 * np.log10(power[(hz >= a) & (hz < b)].mean()) for a, b in pairwise(edges)]
    octaves = np.arange(len(levels))
    line = np.polyfit(octaves, levels, 1)
    return float(line[0]), float(np.abs(np.polyval(line, octaves) - levels).max())


@pytest.mark.parametrize(
    ("bed", "expected", "low_hz", "high_hz"),
    [("white_noise", 0.0, 20, 20_480), ("pink_noise", -3.01, 20, 16_000), ("brown_noise", -6.02, 60, 4_000)],
)
def test_the_slope_is_the_colour(programme, bed, expected, low_hz, high_hz):
    for channel in made(programme(bed=bed), 80):
        found, bend_db = slope(channel, low_hz, high_hz)
        assert found == pytest.approx(expected, abs=0.5 if bed != "brown_noise" else 0.7)
        assert bend_db < 1.0


def test_the_meter_reads_the_slope_with_the_beat_on(programme):
    assert measure.measure(programme(40.0)).noise_slope_db_per_octave == pytest.approx(-3.0, abs=0.3)
    assert measure.measure(programme(20.0, bed="none")).noise_slope_db_per_octave is None


@pytest.mark.parametrize(
    ("bed", "most_hz", "least_hz"),
    [
        ("rain", 12_000, 200),
        ("ocean", 6_000, 30),
        ("stream", 5_000, 200),
        ("wind", 2_000, 30),
        ("night", 6_000, 30),
        ("nature", 12_000, 30),
        ("ambient", 5_000, 50),
    ],
)
def test_almost_all_power_lies_where_the_bed_should(programme, bed, most_hz, least_hz):
    hz, power = density(made(programme(bed=bed), 30)[0])
    assert power[(hz >= least_hz) & (hz <= most_hz)].sum() > 0.96 * power.sum()


@pytest.mark.parametrize("bed", [bed for bed in nature.BEDS if bed not in ("none", "ambient")])
def test_the_ears_hear_different_noise(programme, bed):
    left, right = made(programme(bed=bed), 20)
    assert abs(np.corrcoef(left, right)[0, 1]) < 0.3


@pytest.mark.parametrize("bed", ["rain", "ocean", "nature", "pink_noise"])
def test_nothing_repeats(programme, bed):
    """Three minutes never line up with themselves again: what likeness there is, is chance."""
    plan = programme(bed=bed)
    blocks = (nature.BEDS[bed](plan, n * BLOCK_SAMPLES, BLOCK_SAMPLES)[0, ::8].copy() for n in range(240))
    sound = np.concatenate(list(blocks))
    spectrum = np.abs(np.fft.rfft(sound, 2 * len(sound))) ** 2
    likeness = np.fft.irfft(spectrum)[: len(sound)]
    assert np.abs(likeness[RATE_HZ // 8 :]).max() < 0.04 * likeness[0]


def test_chords_do_not_go_round(programme):
    """An hour of chords follows no period that is shorter than half of it."""
    seed = programme().seed
    chords = [nature.chord_number(seed, slot) for slot in range(int(3600 / nature.CHORD_S))]
    assert set(chords) == set(range(len(nature.CHORDS)))
    assert all(a != b for a, b in pairwise(chords))
    assert all(chords[period:] != chords[:-period] for period in range(1, len(chords) // 2))
