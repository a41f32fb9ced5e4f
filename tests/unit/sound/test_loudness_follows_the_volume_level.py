"""Loudness is the documented curve, peaks stay under -1 dBTP, and fades end in silence."""

import re
import subprocess

import msgspec
import numpy as np
import pytest

from stillwave.sound import encode, measure, render
from stillwave.sound.levels import gains
from stillwave.sound.programme import BEDS, LOUDNESS_CURVE_LUFS, Cue, target_lufs

HEARD = [bed for bed in BEDS if bed != "none"]


def ebur128(file) -> tuple[float, float]:
    """Witness: integrated LUFS and true peak by ffmpeg."""
    command = ["ffmpeg", "-nostats", "-i", str(file), "-af", "ebur128=peak=true", "-f", "null", "-"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stderr.rpartition("Summary:")[
        2
    ]
    integrated, peak = re.search(r"I:\s+(\S+) LUFS", said), re.search(r"Peak:\s+(\S+) dBFS", said)
    assert integrated is not None
    assert peak is not None
    return float(integrated[1]), float(peak[1])


def test_the_curve_rises_to_its_ceiling():
    levels = [target_lufs(level) for level in range(101)]
    assert levels[0] == float("-inf")
    assert levels == sorted(levels)
    assert levels[45] == -30
    assert levels[70] == -23
    assert max(levels) == -16
    assert LOUDNESS_CURVE_LUFS[-1] == (100, -16)


@pytest.mark.parametrize("bed", HEARD)
def test_each_bed_comes_out_as_loud_as_it_should(programme, bed):
    found = measure.measure(programme(60.0, bed=bed, volume_level=70), windows_most=1)
    # Fades take 0.4 off; a minute of waves is not the half hour that the table was measured over.
    assert found.loudness_lufs == pytest.approx(-23, abs=0.7 if bed.endswith("noise") else 1.5)


@pytest.mark.parametrize("bed", HEARD)
def test_a_swaying_bed_is_as_loud_as_one_that_does_not(programme, bed):
    plain, swaying = (
        measure.measure(programme(30.0, method=method, bed=bed), windows_most=1).loudness_lufs
        for method in ("none", "am")
    )
    assert swaying == pytest.approx(plain, abs=0.3)


@pytest.mark.parametrize("method", ["binaural", "monaural", "isochronic", "steady"])
def test_the_beat_alone_comes_out_as_loud_as_it_should(programme, method):
    found = measure.measure(programme(80.0, method=method, bed="none", volume_level=60), windows_most=1)
    assert found.loudness_lufs == pytest.approx(target_lufs(60), abs=0.5)


@pytest.mark.parametrize(
    ("method", "bed", "volume_level"),
    [
        ("binaural", "pink_noise", 100), ("binaural", "ocean", 100), ("am", "rain", 70), ("isochronic", "none", 70),
        ("monaural", "stream", 45), ("steady", "ambient", 60), ("none", "wind", 100), ("am", "brown_noise", 100),
    ],
)  # fmt: skip
def test_ffmpeg_agrees_on_loudness_and_true_peak(programme, tmp_path, method, bed, volume_level):
    said = (Cue(12.0, "settle", "female"),) if bed == "rain" else ()
    plan = programme(30.0, method=method, bed=bed, volume_level=volume_level, cues=said)
    encode.write_flac(plan, tmp_path / "loud.flac")
    found = measure.measure(plan, windows_most=1)
    loudness, peak = ebur128(tmp_path / "loud.flac")
    assert found.loudness_lufs == pytest.approx(loudness, abs=0.1)
    assert found.true_peak_dbtp == pytest.approx(peak, abs=0.1)
    assert peak <= -1.0


@pytest.mark.parametrize("bed", BEDS)
@pytest.mark.parametrize("method", ["monaural", "am"])
def test_the_loudest_programme_stays_under_the_ceiling(programme, bed, method):
    if (bed, method) == ("none", "am"):
        return
    plan = programme(8.0, bed=bed, volume_level=100, beat_db=12, method=method)
    true_peak_dbtp = measure.measure(plan, windows_most=1).true_peak_dbtp
    assert true_peak_dbtp is not None
    assert true_peak_dbtp <= -1.0
    assert max(np.abs(render.block(plan, *edge)).max() for edge in render.edges(0, plan.total_samples)) < 0.8


def test_level_0_is_digital_silence(programme):
    plan = programme(2.0, volume_level=0)
    assert render.pcm24(plan, 0, plan.total_samples) == bytes(plan.total_samples * 6)
    found = measure.measure(plan)
    assert (found.loudness_lufs, found.true_peak_dbtp, found.windows[0].beat_hz) == (None, None, None)


def test_only_the_difference_of_the_two_levels_counts(programme):
    one, other = gains(programme(beat_db=-6, bed_db=0)), gains(programme(beat_db=0, bed_db=6))
    assert one == pytest.approx(other)


@pytest.mark.parametrize("bed", BEDS)
def test_fades_begin_and_end_in_silence(programme, bed):
    plan = programme(60.0, bed=bed, volume_level=100)
    assert (plan.fade_in_samples, plan.fade_out_samples) == (6 * 44_100, 10 * 44_100)
    first = render.samples24(plan, 0, 30)
    last = render.samples24(plan, plan.total_samples - 30, plan.total_samples)
    assert np.abs(np.concatenate([first, last])).max() <= 2  # of 8,388,608: the dither


def test_fades_of_a_short_programme_leave_half_of_it_whole(programme):
    plan = programme(2.0)
    assert (plan.fade_in_samples, plan.fade_out_samples) == (22_050, 22_050)


@pytest.mark.parametrize("method", ["binaural", "monaural", "isochronic", "steady"])
def test_there_are_no_clicks(programme, method):
    """No step is above the steepest slope of the tone itself, over fades, bends and block edges alike."""
    plan = programme(12.0, method=method, bed="none", volume_level=80)
    jumps = msgspec.structs.replace(plan.segments[1], carrier_from_hz=250, carrier_to_hz=240, beat_from_hz=8)
    plan = msgspec.structs.replace(plan, segments=(plan.segments[0], jumps, plan.segments[2]))
    steps = np.abs(np.diff(render.block(plan, 0, plan.total_samples), axis=0))
    steepest = gains(plan)[0] * 2 * np.pi * (250 + 5 + 10) / 44_100
    assert steps.max() < steepest * 1.01


@pytest.mark.parametrize("bed", HEARD)
def test_block_edges_cannot_be_heard(programme, bed):
    """Steps over block edges are no larger than steps elsewhere."""
    plan = programme(60.0, bed=bed, method="none")
    across, within = [], []
    for edge in range(10 * 32_768, 30 * 32_768, 32_768):
        steps = np.abs(np.diff(render.block(plan, edge - 50, edge + 50), axis=0))
        across.append(steps[49].mean())
        within.append(np.delete(steps, 49, axis=0).mean())
    assert np.mean(across) < 1.5 * np.mean(within)


def test_dither_leaves_noise_instead_of_steps(programme):
    plan = programme(8.0, bed="none")
    exact = render.block(plan, 88_200, 132_300) * 2**23
    error = render.samples24(plan, 88_200, 132_300) - exact
    assert np.abs(error).max() < 1.5
    assert error.mean() == pytest.approx(0, abs=0.02)
    assert error.var() == pytest.approx(0.25, abs=0.02)  # 1/12 of rounding and 1/6 of triangular dither
