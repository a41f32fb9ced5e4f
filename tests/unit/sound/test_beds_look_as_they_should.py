"""What stands in for an ear: crest, level, movement, clicks, and likeness to itself, as `docs/sound.md` says."""

from typing import NamedTuple

import numpy as np
import pytest

from stillwave.sound import nature
from stillwave.sound.noise import BLOCK_SAMPLES
from stillwave.sound.programme import SAMPLE_RATE_HZ

HOUR_BLOCKS = 3600 * SAMPLE_RATE_HZ // BLOCK_SAMPLES


class Look(NamedTuple):
    """Of a minute: crest in dB; range of the level from its 5th to its 95th percentile in dB, in steps of 100 ms;
    mean frequency of the power; and what share of the level's movement is slower than 0.5 Hz."""

    crest_db: tuple[float, float]
    range_db: tuple[float, float]
    centre_hz: tuple[float, float]
    slow: tuple[float, float]


LOOKS = {
    "nature": Look((12, 20), (2.0, 8), (1500, 3000), (0.75, 1.0)),
    "rain": Look((12, 20), (1.0, 5), (2300, 3400), (0.45, 1.0)),
    "ocean": Look((13, 22), (6.0, 20), (600, 1500), (0.95, 1.0)),
    "stream": Look((12, 20), (3.0, 8), (1100, 1800), (0.15, 0.7)),
    "wind": Look((12, 21), (4.0, 12), (330, 600), (0.80, 1.0)),
    "night": Look((11, 17), (0.7, 3), (700, 1300), (0.05, 0.7)),
    "ambient": Look((9, 15), (1.5, 5), (170, 300), (0.90, 1.0)),
    "white_noise": Look((4.7, 4.9), (0.0, 0.5), (10_900, 11_150), (0.0, 0.25)),
    "pink_noise": Look((11, 16), (1.5, 4), (2200, 2650), (0.0, 0.3)),
    "brown_noise": Look((11, 17), (2.0, 5), (180, 320), (0.0, 0.3)),
}


def made(plan, first: int, blocks: int) -> np.ndarray:
    bed = nature.BEDS[plan.bed]
    return np.concatenate([bed(plan, n * BLOCK_SAMPLES, BLOCK_SAMPLES).copy() for n in range(first, first + blocks)], axis=1)


def fine(plan, first: int) -> np.ndarray:
    """A second and a half without its lows, which are alike for a while by chance, or as notes of one chord."""
    return np.diff(made(plan, first, 2).astype(np.float64), n=4)


@pytest.mark.parametrize("bed", LOOKS)
@pytest.mark.parametrize("seed", [1, 20_260_101])
def test_a_minute_of_each_bed(programme, bed, seed):
    sound = made(programme(bed=bed, seed=seed), 0, 80)[0].astype(np.float64)
    level = 10 * np.log10((sound[: len(sound) // 4410 * 4410].reshape(-1, 4410) ** 2).mean(axis=1))
    moves = np.abs(np.fft.rfft((level - level.mean()) * np.hanning(len(level)), 4096)) ** 2
    rate_hz = np.fft.rfftfreq(4096, 0.1)
    power = np.abs(np.fft.rfft(sound[: 2**20] * np.hanning(2**20))) ** 2
    hz = np.fft.rfftfreq(2**20, 1 / SAMPLE_RATE_HZ)
    found = {
        "crest_db": 20 * np.log10(np.abs(sound).max() / sound.std()),
        "range_db": np.percentile(level, 95) - np.percentile(level, 5),
        "centre_hz": (power * hz).sum() / power.sum(),
        "slow": moves[(rate_hz > 0.02) & (rate_hz < 0.5)].sum() / moves[rate_hz > 0.02].sum(),
    }
    for name, value in found.items():
        least, most = getattr(LOOKS[bed], name)
        assert least <= value <= most, (name, value)
    # A click is a step far beyond those around it: drops and crests reach 9.4 times the RMS of all steps.
    steps = np.diff(sound)
    assert np.abs(steps).max() < 14 * steps.std()


@pytest.mark.parametrize("bed", LOOKS)
def test_slices_of_an_hour_are_not_like_each_other(programme, bed):
    """Lined up to the sample at every power of two of blocks, and at a few minutes and the hour."""
    plan = programme(bed=bed)
    first = fine(plan, 5)
    for lag in [2**power for power in range(1, 13)] + [minutes * HOUR_BLOCKS // 60 for minutes in (3, 10, 17, 30, 60)]:
        other = fine(plan, 5 + lag)
        assert abs((first * other).sum()) < 0.1 * np.sqrt((first**2).sum() * (other**2).sum())


@pytest.mark.parametrize("bed", ["ocean", "wind", "nature"])
def test_swells_follow_no_period_under_an_hour(programme, bed):
    """The level of one block in four, over an hour and a half: shifted by any time it is not like itself."""
    plan = programme(bed=bed)
    level = np.log([(made(plan, n, 1) ** 2).mean() for n in range(0, HOUR_BLOCKS * 3 // 2, 4)])
    level -= level.mean()
    for lag in range(10, HOUR_BLOCKS // 4 + 1):  # from 30 s
        assert np.corrcoef(level[lag:], level[:-lag])[0, 1] < 0.5
