"""80 dB(A) for 40 hours is one whole dose, and 3 dB more is twice as much."""

import math

import pytest

from stillwave.sound import dose
from stillwave.sound.programme import target_lufs


def below_full_for(volume_level: float, dba: float) -> float:
    """How far a phone must be turned down for a volume level to be `dba` at the ear."""
    return dose.FULL_VOLUME_DBA - dose.TEST_SOUND_LUFS + target_lufs(volume_level) - dba


@pytest.mark.parametrize(
    ("dba", "hours", "share"), [(80, 40, 1.0), (83, 20, 1.0), (86, 10, 1.0), (77, 40, 0.5), (80, 4, 0.1), (100, 0.4, 1.0), (80, 0, 0.0)]
)
def test_levels_and_hours_of_h870(dba, hours, share):
    assert dose.share([(45, hours * 60)], below_full_for(45, dba)) == pytest.approx(share, abs=0.005)


def test_what_we_take_for_granted():
    assert dose.level_dba(100) == 77  # -16 LUFS, two thirds of the way up
    assert dose.level_dba(45) == 63
    assert dose.level_dba(100, 0.0) == 92
    assert dose.level_dba(0) == -math.inf


def test_sounds_add_up_and_silence_adds_nothing():
    assert dose.share([]) == 0
    assert dose.share([(0, 600)]) == 0
    assert dose.share([(70, 30), (45, 60)]) == pytest.approx(dose.share([(70, 30)]) + dose.share([(45, 60)]))
    assert dose.share([(70, 60)]) > dose.share([(45, 60)]) > 0


@pytest.mark.parametrize("played", [(-1, 5), (101, 5), (math.nan, 5), (45, -1), (45, math.nan), (45, math.inf), (45, 10_081)])
def test_what_cannot_be_is_refused(played):
    with pytest.raises(ValueError, match="must be a number from 0 to"):
        dose.share([played])
