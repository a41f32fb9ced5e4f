"""Programmes that the tests of the sound engine share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stillwave.sound import encode
from stillwave.sound.programme import Programme, Segment

Made = Callable[..., Programme]


@pytest.fixture(scope="session")
def programme() -> Made:
    """Return a maker of programmes: a ramp 10 -> 6 Hz, a hold and a gentle return, over `seconds` in all."""

    def made(seconds: float = 60.0, **fields: Any) -> Programme:
        segments = (
            Segment(
                seconds=seconds * 0.4, carrier_from_hz=220, carrier_to_hz=200, beat_from_hz=10, beat_to_hz=6
            ),
            Segment(
                seconds=seconds * 0.4, carrier_from_hz=200, carrier_to_hz=200, beat_from_hz=6, beat_to_hz=6
            ),
            Segment(
                seconds=seconds * 0.2,
                carrier_from_hz=200,
                carrier_to_hz=210,
                beat_from_hz=6,
                beat_to_hz=9,
                ease="eased",
            ),
        )
        defaults: dict[str, Any] = {
            "segments": segments,
            "method": "binaural",
            "bed": "pink_noise",
            "seed": 20_260_101,
        }
        return Programme(**(defaults | fields))

    return made


@pytest.fixture(scope="session")
def flac_file(programme: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a FLAC of 60 s, binaural on pink noise at default levels."""
    file = tmp_path_factory.mktemp("sound") / "minute.flac"
    encode.write_flac(programme(), file)
    return file
