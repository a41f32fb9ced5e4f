"""Ogg Opus: made as it is taken, and both carriers are where they were planned."""

import io
import json
import subprocess

import numpy as np
import pytest
import soundfile

from stillwave.sound import phone, render
from stillwave.sound.programme import Segment


def tone_hz(x: np.ndarray, rate_hz: int) -> float:
    power = np.abs(np.fft.rfft(x * np.hanning(len(x)), 8 * len(x)))
    low = int(100 * 8 * len(x) / rate_hz)
    return float((low + power[low : 10 * low].argmax()) * rate_hz / (8 * len(x)))


@pytest.fixture(scope="module")
def held(programme):
    return programme(segments=(Segment(30.0, 200, 200, 6, 6),), bed="pink_noise")


@pytest.mark.parametrize("kbps", [96, 160])
def test_both_carriers_survive(held, kbps):
    pieces = list(phone.opus(held, kbps, tags={"title": "Calm", "comment": "6 Hz", "software": "Stillwave"}))
    assert len(pieces) > 10  # it streams
    whole = b"".join(pieces)
    sound, rate_hz = soundfile.read(io.BytesIO(whole))
    assert rate_hz == 48_000
    assert len(sound) == 30 * 48_000
    assert tone_hz(sound[48_000 * 8 : 48_000 * 18, 0], rate_hz) == pytest.approx(197, abs=0.02)
    assert tone_hz(sound[48_000 * 8 : 48_000 * 18, 1], rate_hz) == pytest.approx(203, abs=0.02)
    assert len(whole) * 8 / 30 == pytest.approx(kbps * 1000, rel=0.35)
    command = ["ffprobe", "-v", "error", "-show_streams", "-of", "json", "-"]
    stream = json.loads(subprocess.run(command, input=whole, check=True, capture_output=True).stdout)["streams"][0]
    assert (stream["codec_name"], stream["tags"]["TITLE"]) == ("opus", "Calm")


def test_resampling_is_transparent(programme):
    """The tone at 48 kHz is the sine of the plan to -90 dB."""
    plan = programme(segments=(Segment(20.0, 400, 400, 10, 10),), bed="none", volume_level=70)
    sound = np.concatenate(list(phone.resampled(plan)))
    assert len(sound) == 20 * 48_000
    at = np.arange(48_000 * 7, 48_000 * 9)
    wave = np.sin(2 * np.pi * 395 * at / 48_000)
    size = np.abs(render.block(plan, 44_100 * 7, 44_100 * 8)).max()
    assert np.abs(sound[at, 0] - size * wave).max() < size * 10 ** (-80 / 20)


def test_an_unknown_bitrate_is_refused(held):
    with pytest.raises(ValueError, match="kbps must be one of"):
        phone.opus(held, 20)
