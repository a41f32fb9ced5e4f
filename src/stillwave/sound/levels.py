"""How loud: from volume_level to the gains of beat and bed, worked out before a sample is made."""

import cmath
import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from stillwave.sound import cues, tones
from stillwave.sound.programme import AM_LEAST, SAMPLE_RATE_HZ, WITH_TONES, Programme, target_lufs

# Integrated loudness (BS.1770) in LUFS and highest magnitude of each bed as `nature.BEDS` makes it,
# measured over 30 minutes; a test measures a minute of each again.
BED_LUFS = {
    "nature": 1.5,
    "rain": 8.1,
    "ocean": 0.0,
    "stream": -3.7,
    "wind": -2.0,
    "night": -5.4,
    "ambient": -9.3,
    "white_noise": 6.1,
    "pink_noise": 12.3,
    "brown_noise": -32.9,
}
BED_PEAK = {
    "nature": 5.09,
    "rain": 10,
    "ocean": 6.12,
    "stream": 3.47,
    "wind": 5.13,
    "night": 2.11,
    "ambient": 1.22,
    "white_noise": 1.74,
    "pink_noise": 15.7,
    "brown_noise": 0.145,
}
# The master bends samples above 0.8. Gains keep the mix below this, with 2 dB to -1 dBTP for peaks between
# samples and for a bed that outdoes the 30 minutes it was measured over.
PEAK_MOST = 0.75

# What swaying with the beat takes from a bed: the mean of (m + d cos)^2 is m^2 + d^2 / 2.
SWAY_LUFS = 10 * math.log10(((1 + AM_LEAST) / 2) ** 2 + ((1 - AM_LEAST) / 2) ** 2 / 2)

# Loudness of every cue of the voice, in both ears, and the highest magnitude of any, between samples too.
CUE_LUFS, CUE_PEAK = -26.0, 0.42
# Beat and bed give way to the voice by 6 dB, and by more at volumes at which its peaks have no room.
DUCKED = 0.5


def k_weighting(rate_hz: int = SAMPLE_RATE_HZ) -> NDArray[np.float64]:
    """Return the two sections of ITU-R BS.1770-5 annex 1 for a sample rate, from their analogue prototypes.

    The recommendation prints coefficients for 48 kHz only; frequency, gain and Q behind them are those that
    B. de Man (2014) and libebur128 use.
    """
    k, q = math.tan(math.pi * 1681.974450955533 / rate_hz), 0.7071752369554196
    high = 10 ** (3.999843853973347 / 20)
    band = high**0.4996667741545416
    a0 = 1 + k / q + k * k
    shelf = [(high + band * k / q + k * k) / a0, 2 * (k * k - high) / a0, (high - band * k / q + k * k) / a0]
    shelf += [2 * (k * k - 1) / a0, (1 - k / q + k * k) / a0]
    k, q = math.tan(math.pi * 38.13547087602444 / rate_hz), 0.5003270373238773
    a0 = 1 + k / q + k * k
    return np.array([shelf, [1.0, -2.0, 1.0, 2 * (k * k - 1) / a0, (1 - k / q + k * k) / a0]])


K_WEIGHTING = k_weighting()


def k_weighted_db(hz: float) -> float:
    """Return the gain of the K-weighting at a frequency, in dB."""
    z = cmath.exp(-2j * math.pi * hz / SAMPLE_RATE_HZ)
    gain = 1.0
    for b0, b1, b2, a1, a2 in K_WEIGHTING:
        gain *= abs((b0 + b1 * z + b2 * z * z) / (1 + a1 * z + a2 * z * z))
    return 20 * math.log10(gain)


def beat_lufs(programme: Programme) -> float:
    """Return the loudness of the beat at peak 1, both ears together, at the mean carrier."""
    mean_square = 2 * tones.MEAN_SQUARE[programme.method]
    return -0.691 + 10 * math.log10(mean_square) + k_weighted_db(tones.mean_carrier_hz(programme.segments))


@lru_cache(maxsize=256)
def gains(programme: Programme) -> tuple[float, float]:
    """Return the factors for beat (peak 1) and bed (as made), so that their sum has the programme's loudness.

    Where a bed's peaks are too high for that loudness, both give way together.
    """
    target = target_lufs(programme.volume_level)
    if math.isinf(target):
        return 0.0, 0.0
    beat = 10 ** (programme.beat_db / 10) if programme.method in WITH_TONES else 0.0
    bed = 10 ** (programme.bed_db / 10) if programme.bed != "none" else 0.0
    beat_gain = bed_gain = peak = 0.0
    if beat:
        beat_gain = 10 ** ((target - beat_lufs(programme)) / 20) * math.sqrt(beat / (beat + bed))
        peak += beat_gain * tones.PEAK
    if bed:
        made_lufs = BED_LUFS[programme.bed] + (SWAY_LUFS if programme.method == "am" else 0.0)
        bed_gain = 10 ** ((target - made_lufs) / 20) * math.sqrt(bed / (beat + bed))
        peak += bed_gain * BED_PEAK[programme.bed]
    scale = min(1.0, PEAK_MOST / peak)
    return beat_gain * scale, bed_gain * scale


@lru_cache(maxsize=256)
def voice_gains(programme: Programme) -> tuple[float, float]:
    """Return the factor for cues as they are stored, so that they are `voice_db` above the programme's loudness,
    and the one for beat and bed beneath them.

    Where peaks leave no room for that, both are smaller by the same share, so that the voice is always as far above
    what lies beneath. Version 1 turned down the voice alone, which sank into the bed at high volumes.
    """
    target = target_lufs(programme.volume_level)
    if math.isinf(target):
        return 0.0, DUCKED
    beat_gain, bed_gain = gains(programme)
    beneath = beat_gain * tones.PEAK + bed_gain * BED_PEAK.get(programme.bed, 0.0)
    wanted = 10 ** ((target + programme.voice_db - CUE_LUFS) / 20)
    if programme.version == 1:
        return float(min(wanted, (PEAK_MOST - DUCKED * beneath) / CUE_PEAK)), DUCKED
    peak = max((cues.facts(cue.voice, cue.name).peak for cue in programme.cues), default=CUE_PEAK)
    share = min(1.0, PEAK_MOST / (wanted * peak + DUCKED * beneath))
    return float(wanted * share), DUCKED * share
