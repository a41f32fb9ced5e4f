"""The beat in the sound is the programme's, by a witness of a few lines and by the engine's own meter."""

import subprocess
from itertools import product

import numpy as np
import pytest

from stillwave.sound import measure, render, tones
from stillwave.sound.levels import gains
from stillwave.sound.programme import BEDS, Programme, Segment

RATE_HZ = 44_100


def strongest_hz(channel: np.ndarray, low_hz: float, high_hz: float) -> float:
    """Witness: the highest point of a Hann-windowed, zero-padded spectrum of the sound at 882 Hz."""
    slow = channel.reshape(-1, 50).mean(axis=1)
    spectrum = np.abs(np.fft.rfft(slow * np.hanning(len(slow)), 2**20))
    hz = np.fft.rfftfreq(2**20, 50 / RATE_HZ)
    spectrum[(hz < low_hz) | (hz > high_hz)] = 0
    return float(hz[np.argmax(spectrum)])


def decoded(file) -> np.ndarray:
    command = ["sox", str(file), "-t", "raw", "-e", "signed", "-b", "32", "-L", "-"]
    raw = subprocess.run(command, check=True, capture_output=True).stdout
    return np.frombuffer(raw, "<i4").reshape(-1, 2) / 2**31


def test_an_independent_witness_finds_the_held_beat_in_the_flac(flac_file):
    for start_s in (25, 36):  # the hold, 24 s to 48 s: 6 Hz on 200 Hz
        left, right = decoded(flac_file)[start_s * RATE_HZ : (start_s + 10) * RATE_HZ].T
        found = strongest_hz(right, 198, 208) - strongest_hz(left, 192, 202)
        assert found == pytest.approx(6.0, abs=0.01)
        assert strongest_hz(left, 192, 202) == pytest.approx(197.0, abs=0.01)


def test_phase_follows_the_frequency_of_the_plan():
    """Witness: turns of both tones added up in steps of a millisecond, in long double."""
    path = (
        Segment(4.0, 300, 200, 12, 4),
        Segment(4.0, 200, 260, 4, 10, "eased"),
        Segment(2.0, 260, 260, 10, 10),
    )
    plan = Programme(segments=path, method="binaural", bed="none", seed=1)
    at = (np.arange(10_000, dtype=np.longdouble) + np.longdouble(0.5)) / 1000
    first, second = at[:4000] / 4, (at[4000:8000] - 4) / 4
    carrier = [300 - 100 * first, 200 + 60 * (3 * second**2 - 2 * second**3), np.full(2000, 260)]
    beat = [12 - 8 * first, 4 + 6 * (3 * second**2 - 2 * second**3), np.full(2000, 10)]
    for sample in (44_100, 4 * 44_100, 6 * 44_100, 8 * 44_100, 441_000):
        steps = sample * 1000 // 44_100
        found = tones.turns(plan.segments, sample)
        assert found[0] == pytest.approx(float(np.concatenate(carrier)[:steps].sum() / 1000), abs=1e-4)
        assert found[1] == pytest.approx(float(np.concatenate(beat)[:steps].sum() / 1000), abs=1e-5)


def test_the_tone_is_a_sine_of_that_phase():
    plan = Programme(segments=(Segment(4 * 3600.0, 200, 200, 8, 8),), method="binaural", bed="none", seed=1)
    for start in (0, 4 * 3600 * RATE_HZ - 32_768):
        sound = tones.render(plan, start, 32_768)
        cycles = (np.arange(start, start + 32_768) * 196) % RATE_HZ / RATE_HZ  # exact: integers
        assert np.abs(sound[0] - np.sin(2 * np.pi * cycles)).max() < 3e-7


ON_EVERY_BED = [("binaural", bed) for bed in BEDS if bed != "none"]
IN_BOTH_EARS = list(product(("monaural", "isochronic"), ("nature", "ambient", "pink_noise")))
IN_THE_BED = [("am", bed) for bed in BEDS if bed != "none"]


@pytest.mark.parametrize(("method", "bed"), ON_EVERY_BED + IN_BOTH_EARS + IN_THE_BED)
def test_every_window_is_within_a_hundredth_of_a_hertz(programme, method, bed):
    found = measure.measure(programme(30.0, method=method, bed=bed))
    assert len(found.windows) == 3
    assert found.method == method
    assert all(window.error_hz is not None for window in found.windows)
    assert found.beat_error_most_hz is not None
    assert found.beat_error_most_hz < 0.01


def test_a_beat_off_its_plan_is_reported_as_it_is():
    played, planned = (
        Programme(segments=(Segment(20.0, 200, 200, hz, hz),), method="binaural", bed="pink_noise", seed=3)
        for hz in (7.25, 7.0)
    )
    blocks = [render.samples24(played, *edge) for edge in render.edges(0, played.total_samples)]
    for window in measure.measure(planned, blocks).windows:
        assert window.beat_hz == pytest.approx(7.25, abs=0.01)
        assert window.error_hz == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize("bed", ["pink_noise", "ambient", "night"])
def test_no_beat_is_reported_where_there_is_none(programme, bed):
    silent = programme(20.0, method="none", bed=bed)
    blocks = [render.samples24(silent, *edge) for edge in render.edges(0, silent.total_samples)]
    for found in (measure.measure(silent), measure.measure(programme(20.0, bed=bed), blocks)):
        assert [window.beat_hz for window in found.windows] == [None, None]
        assert found.beat_error_most_hz is None
    if bed != "ambient":  # the pad has tones of its own
        unknown = measure.measure(None, blocks, total_samples=silent.total_samples)
        assert unknown.method == "none"


@pytest.mark.parametrize("method", ["binaural", "monaural", "isochronic", "am"])
def test_a_beat_is_found_without_a_plan(method):
    """A slow ramp, 9 to 8 Hz in 40 s on a carrier that falls by 2 Hz, and a hold."""
    plan = Programme(
        (Segment(40.0, 202, 200, 9, 8), Segment(20.0, 200, 200, 8, 8)), method, "pink_noise", seed=5
    )
    blocks = [render.samples24(plan, *edge) for edge in render.edges(0, plan.total_samples)]
    found = measure.measure(None, blocks, total_samples=plan.total_samples)
    assert found.method == method
    planned = [window.planned_beat_hz for window in measure.measure(plan).windows]
    assert [window.beat_hz for window in found.windows] == pytest.approx(planned, abs=0.01)


def test_swap_exchanges_left_and_right(programme):
    plain, swapped = (measure.measure(programme(20.0, swap=swap)).windows[0] for swap in (False, True))
    assert plain.left_carrier_hz is not None
    assert plain.right_carrier_hz is not None
    assert plain.left_carrier_hz < plain.right_carrier_hz
    assert swapped.left_carrier_hz == pytest.approx(plain.right_carrier_hz, abs=0.01)
    assert swapped.right_carrier_hz == pytest.approx(plain.left_carrier_hz, abs=0.01)


@pytest.mark.parametrize("bed", ["pink_noise", "stream", "night"])
def test_an_independent_witness_finds_the_beat_in_the_swaying_bed(bed):
    """Witness: the strongest line, 5 to 9 Hz, in the power of the sound above 1 kHz, at 147 Hz."""
    plan = Programme((Segment(40.0, 200, 200, 7, 7),), "am", bed, seed=8)
    for channel in render.block(plan, 10 * RATE_HZ, 30 * RATE_HZ).T:
        high = channel - np.convolve(channel, np.full(20, 0.05), "same")
        power = (high.astype(float) ** 2).reshape(-1, 300).mean(axis=1)
        power /= np.convolve(power, np.full(147, 1 / 147), "same")
        spectrum = np.abs(np.fft.rfft((power - power.mean()) * np.hanning(len(power)), 2**18))
        hz = np.fft.rfftfreq(2**18, 300 / RATE_HZ)
        spectrum[(hz < 5) | (hz > 9)] = 0
        assert hz[np.argmax(spectrum)] == pytest.approx(7.0, abs=0.01)


def test_a_swaying_bed_sinks_by_6_db_and_both_ears_alike():
    plain, swaying = (Programme((Segment(60.0, 200, 200, 4, 4),), method, "white_noise", 3) for method in ("none", "am"))
    ratio = render.block(swaying, 20 * RATE_HZ, 21 * RATE_HZ) / render.block(plain, 20 * RATE_HZ, 21 * RATE_HZ)
    assert np.allclose(ratio[:, 0], ratio[:, 1], rtol=1e-4)
    expected = 1 - 0.5 * np.sin(np.pi * 4 * np.arange(RATE_HZ) / RATE_HZ) ** 2
    assert np.allclose(ratio[:, 0] / ratio[:, 0].max(), expected, atol=1e-4)


@pytest.mark.parametrize("bed", ["none", "pink_noise", "ambient"])
def test_steady_is_the_binaural_sound_without_its_beat(programme, bed):
    steady, binaural = (programme(30.0, method=method, bed=bed) for method in ("steady", "binaural"))
    left, right = tones.render(steady, 5 * 32_768, 32_768)
    assert np.array_equal(left, right)
    carrier = [tones.turns(steady.segments, sample)[0] for sample in range(5 * 32_768, 5 * 32_768 + 500)]
    assert np.abs(left[:500] - np.sin(2 * np.pi * np.array(carrier))).max() < 1e-6
    assert gains(steady) == gains(binaural)
    found, beating = measure.measure(steady), measure.measure(binaural)
    assert found.method == "steady"
    assert found.beat_error_most_hz is None
    assert found.loudness_lufs == pytest.approx(beating.loudness_lufs, abs=0.05)
    for window, other in zip(found.windows, beating.windows, strict=True):
        assert (window.beat_hz, window.planned_beat_hz, window.error_hz) == (None, None, None)
        assert other.left_carrier_hz is not None
        assert other.right_carrier_hz is not None
        middle = (other.left_carrier_hz + other.right_carrier_hz) / 2
        assert window.left_carrier_hz == pytest.approx(middle, abs=0.01)
        assert window.right_carrier_hz == pytest.approx(middle, abs=0.01)


def test_a_beat_that_should_not_be_there_is_not_taken_for_a_steady_tone(programme):
    binaural = programme(20.0)
    blocks = [render.samples24(binaural, *edge) for edge in render.edges(0, binaural.total_samples)]
    for window in measure.measure(programme(20.0, method="steady"), blocks).windows:
        assert (window.left_carrier_hz, window.right_carrier_hz) == (None, None)
