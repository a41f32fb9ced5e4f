"""Sequences: the law of slices, peaks and loudness, and beats that measure as written."""

import numpy as np
import pytest

from stillwave.sound import layers, lines, render, sbg
from stillwave.sound.measure import measure
from stillwave.sound.programme import SAMPLE_RATE_HZ, Programme, target_lufs

SETS = """
-SE
deep:  pink/40 100+1.5/30 200-4/24 400+8/10
high:  pink/30 110+3/25 240-7.5/30 400+8/4
pulse: brown/30 300@12/20 - 500/3
spin:  spin:300+4/60 150+6/20 bell+1200/30
off:   -
0:00:00 == off ->
0:00:10 == deep
0:01:00 == deep ->
0:02:00 == high
0:02:40 pulse
0:03:40 spin ->
0:04:20 == off
"""


@pytest.fixture(scope="module")
def sequence():
    return sbg.read(SETS, seed=11).sequence


def test_any_slice_equals_the_whole(sequence):
    whole = render.samples24(sequence, 0, sequence.total_samples)
    chance = np.random.default_rng(5)
    for _ in range(60):
        start = int(chance.integers(0, sequence.total_samples - 1))
        stop = min(sequence.total_samples, start + int(chance.integers(1, 90_000)))
        assert np.array_equal(render.samples24(sequence, start, stop), whole[start:stop])


@pytest.mark.parametrize("level", [20, 45, 70])
def test_loudness_follows_the_volume_level_and_peaks_stay_below(sequence, level):
    loud = sbg.read(SETS, seed=11, volume_level=level).sequence
    blocks = [render.samples24(loud, start, stop) for start, stop in render.edges(0, loud.total_samples)]
    found = measure(None, blocks, total_samples=loud.total_samples, windows_most=1)
    assert found.loudness_lufs == pytest.approx(target_lufs(level), abs=0.7)
    assert found.true_peak_dbtp is not None
    assert found.true_peak_dbtp <= -1.0


def test_level_nought_is_silence(sequence):
    silent = sbg.read(SETS, seed=11, volume_level=0).sequence
    assert not render.samples24(silent, 0, 200_000).any()


def tones(sequence, at_s, seconds=10):
    """Every tone that sounds throughout a window: (planned beat, measured beat, planned carriers, measured)."""
    start, frames = round(at_s * SAMPLE_RATE_HZ), seconds * SAMPLE_RATE_HZ
    sound = render.samples24(sequence, start, start + frames).T / 2.0**23
    for layer in sequence.layers:
        times, amplitude = layers._column(layer, "amplitude")
        inside = np.interp(np.linspace(at_s, at_s + seconds, 20), times, amplitude)
        if layer.kind in ("binaural", "isochronic") and inside.min() > 0.01:
            of_it = Programme(segments=layers.segments(layer), method=layer.kind, bed="none", seed=0, swap=True)
            yield lines.expected(sound, of_it, start)


@pytest.mark.parametrize(("at_s", "count"), [(15, 3), (40, 3), (70, 3), (95, 3), (125, 3), (180, 1), (225, 1)])
def test_beats_measure_as_written(sequence, at_s, count):
    found = [one for one in tones(sequence, at_s) if one[3]]
    assert len(found) == count
    for _left, _right, beat, planned in found:
        assert beat == pytest.approx(abs(planned), abs=0.01)


def test_a_plus_gives_the_higher_tone_to_the_left_ear_and_a_minus_to_the_right(sequence):
    (deep, second, third) = tones(sequence, 20)
    assert deep[0] - deep[1] == pytest.approx(1.5, abs=0.01)
    assert second[0] - second[1] == pytest.approx(-4.0, abs=0.01)
    assert (third[0], third[1]) == (pytest.approx(404.0, abs=0.01), pytest.approx(396.0, abs=0.01))


def test_swapping_exchanges_the_ears():
    text = "-SE\na: 200+10/20\n0:00 a\n0:01 a\n"
    plain, swapped = (render.samples24(sbg.read(text, swap=swap).sequence, 0, 900_000) for swap in (False, True))
    # Not the dither, which is its own in each ear.
    assert np.abs(plain - swapped[:, ::-1]).max() <= 2


def test_layers_keep_their_loudness_beside_each_other():
    text = "-SE\na: 200+10/20 600+10/5\n0:00 a\n0:01 a\n"
    sound = render.samples24(sbg.read(text).sequence, 441_000, 882_000)[:, 0] / 2.0**23
    power = np.abs(np.fft.rfft(sound * np.hanning(len(sound)))) ** 2
    assert 10 * np.log10(power[2050] / power[6050]) == pytest.approx(20 * np.log10(4), abs=0.1)


def test_a_spin_moves_the_noise_between_the_ears_at_its_rate():
    text = "-SE\na: spin:400+2/80\n0:00 a\n0:01 a\n"
    left, right = render.block(sbg.read(text, seed=3).sequence, 441_000, 882_000).T
    step = 2205  # 50 ms
    lags = np.arange(-60, 61)
    delays = []
    for at in range(step, len(left) - 2 * step, step):
        part = left[at : at + step]
        delays.append(lags[np.argmax([part @ right[at + lag : at + lag + step] for lag in lags])])
    assert max(delays) == pytest.approx(2 * 400e-6 * SAMPLE_RATE_HZ, abs=4)
    assert min(delays) == pytest.approx(-2 * 400e-6 * SAMPLE_RATE_HZ, abs=4)
    swing = np.abs(np.fft.rfft(delays - np.mean(delays)))
    assert np.argmax(swing) / (len(delays) * 0.05) == pytest.approx(2.0, abs=0.1)


def test_a_bell_rings_once_at_its_time():
    text = "-SE\na: 200+10/1\nb: bell+1000/50\n0:00 a\n0:00:20 b\n0:00:30 a\n0:01 a\n"
    sound = render.block(sbg.read("-F 2000\n" + text.replace("-SE\n", "-SE -F 2000\n")).sequence, 0, 60 * 44100)[:, 0]
    loud = np.flatnonzero(np.abs(sound) > 0.4 * np.abs(sound).max())
    assert loud[0] / SAMPLE_RATE_HZ == pytest.approx(20.0, abs=0.01)
    assert loud[-1] / SAMPLE_RATE_HZ < 21.0
