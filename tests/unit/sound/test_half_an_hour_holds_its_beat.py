"""Thirty minutes with bed and voice: the beat of every window of 10 s, by our meter and by an independent witness."""

import subprocess

import numpy as np
import pytest

from stillwave.sound import cues, encode, measure
from stillwave.sound.programme import Cue, Programme, Segment

RATE_HZ, SLOW = 44_100, 50  # the witness listens at 882 Hz


def spoken(voice: str) -> tuple[Cue, ...]:
    said, at_s = [], 8.0
    for name in cues.names(voice) * 3:
        said.append(Cue(at_s, name, voice))
        at_s += cues.samples(voice, name) / RATE_HZ + 30
    return tuple(said)


@pytest.fixture(scope="module")
def plan() -> Programme:
    """10 to 6 Hz in 12 minutes, 15 minutes of 6 Hz, and back up, over rain, with 42 cues of the male voice."""
    way = (Segment(720, 200, 200, 10, 6), Segment(900, 200, 200, 6, 6), Segment(180, 200, 200, 6, 9, "eased"))
    return Programme(way, "binaural", "rain", seed=4, cues=spoken("male"))


def planned_hz(at_s: float) -> float:
    """The mean of the plan over 10 s, worked out here from its words and not by the engine."""
    at = at_s + (np.arange(1000) + 0.5) / 100
    u = np.clip((at - 1620) / 180, 0, 1)
    ramp, back = 10 - 4 * at / 720, 6 + 3 * (3 * u**2 - 2 * u**3)
    return float(np.where(at < 720, ramp, np.where(at < 1620, 6.0, back)).mean())


def strongest_hz(slow: np.ndarray, low_hz: float, high_hz: float) -> float:
    """The top of a parabola through the logarithms around the highest point of a Hann spectrum."""
    power = np.abs(np.fft.rfft(slow * np.hanning(len(slow)), 2**16)) ** 2
    first, end = (int(hz / (RATE_HZ / SLOW) * 2**16) for hz in (low_hz, high_hz))
    top = first + int(np.argmax(power[first:end]))
    before, here, after = np.log(power[top - 1 : top + 2])
    return float((top + 0.5 * (before - after) / (before - 2 * here + after)) * RATE_HZ / SLOW / 2**16)


def test_our_meter_finds_every_window_within_a_hundredth_of_a_hertz(plan):
    found = measure.measure(plan, windows_most=180)
    assert len(found.windows) == 180
    assert all(window.beat_hz is not None for window in found.windows)
    assert [window.planned_beat_hz for window in found.windows] == pytest.approx(
        [planned_hz(window.start_s) for window in found.windows], abs=1e-4
    )
    assert found.beat_error_most_hz is not None
    assert found.beat_error_most_hz < 0.01


def test_a_witness_that_shares_nothing_with_it_finds_the_same(plan, tmp_path):
    encode.write_flac(plan, tmp_path / "half.flac")
    command = ["sox", str(tmp_path / "half.flac"), "-t", "raw", "-e", "signed", "-b", "32", "-L", "-"]
    window_s, errors = 10, []
    with subprocess.Popen(command, stdout=subprocess.PIPE) as sox:
        assert sox.stdout is not None
        for start_s in range(0, 1800, window_s):
            raw = np.frombuffer(sox.stdout.read(window_s * RATE_HZ * 8), "<i4").reshape(-1, 2) / 2**31
            # The voice is alike in both ears, the tones are not: the difference is without a voice.
            slow = (raw[:, 0] - raw[:, 1]).reshape(-1, SLOW).mean(axis=1)
            beat_hz = planned_hz(start_s)
            low, high = (strongest_hz(slow, 200 + side * beat_hz / 2 - 1, 200 + side * beat_hz / 2 + 1) for side in (-1, 1))
            errors.append(high - low - beat_hz)
    assert len(errors) == 180
    assert np.abs(errors).max() < 0.01


@pytest.mark.parametrize("voice", ["female", "neutral"])
def test_the_other_voices_hide_no_window(plan, voice):
    short = Programme((Segment(240, 200, 200, 8, 6),), "binaural", "pink_noise", 7, cues=spoken(voice)[:6])
    found = measure.measure(short, windows_most=24)
    assert all(window.beat_hz is not None for window in found.windows)
    assert found.beat_error_most_hz is not None
    assert found.beat_error_most_hz < 0.01
