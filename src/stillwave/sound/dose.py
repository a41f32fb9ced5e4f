"""How much sound a week was, beside what WHO and ITU suggest as the most (Recommendation ITU-T H.870, 2022).

The suggestion is 80 dB(A) for 40 hours a week, and half the time for every 3 dB more: equal energy. What a file is
as loud as at the ear depends on headphones and on how far the phone is turned up, which no program knows. So this
is an estimate. A phone with the earphones it came with, turned all the way up, plays the test sound of EN 50332-1 at
100 dB(A) at most; that sound is at -10 dBFS in each ear, which is about -8 LUFS. We take full volume to be that
loud, and the phone to be 15 dB below it: some two thirds of the way up.
"""

import math
from collections.abc import Iterable

from stillwave.sound.programme import target_lufs

WEEK_H, WEEK_DBA = 40.0, 80.0
FULL_VOLUME_DBA, TEST_SOUND_LUFS = 100.0, -8.0
BELOW_FULL_DB = 15.0
WEEK_MINUTES = 7 * 24 * 60.0


def level_dba(volume_level: float, below_full_db: float = BELOW_FULL_DB) -> float:
    """Return about how loud a volume level is at the ear, in dB(A); minus infinity at 0."""
    return FULL_VOLUME_DBA - TEST_SOUND_LUFS + target_lufs(volume_level) - below_full_db


def share(played: Iterable[tuple[float, float]], below_full_db: float = BELOW_FULL_DB) -> float:
    """Return the share of a week's dose (1.0 is all of it) in sounds played, as (volume_level, minutes).

    Raises:
        ValueError: a volume level is not within 0 to 100, or minutes are not within 0 to those of a week.
    """
    dose = 0.0
    for volume_level, minutes in played:
        if not 0 <= volume_level <= 100:  # NaN fails as well
            msg = "volume_level must be a number from 0 to 100"
            raise ValueError(msg)
        if not 0 <= minutes <= WEEK_MINUTES:
            msg = f"minutes must be a number from 0 to {WEEK_MINUTES:.0f}"
            raise ValueError(msg)
        dose += minutes / 60 / WEEK_H * math.pow(10.0, (level_dba(volume_level, below_full_db) - WEEK_DBA) / 10)
    return dose
