"""`stillwave analyse`: what is heard in files of every kind, what is not, and what is refused."""

import math
import os
import struct
import subprocess
import xml.etree.ElementTree as ET
from typing import Any, cast

import numpy as np
import pytest
import soundfile

from stillwave.errors import BadInput
from stillwave.sound import audiofile, encode, measure, phone, picture, render, sbg, tags
from stillwave.sound.analysis import PICTURE_COLUMNS_MOST, PICTURE_ROWS, Analyser
from stillwave.sound.programme import Programme, Segment

RATE = 44_100


def analysed(path, plan=None):
    return heard(path, plan).result()


def heard(path, plan=None, *, draw=False):
    with audiofile.opened(path) as sound:
        analyser = Analyser(sound.rate_hz, sound.channels, plan, picture=draw)
        for block, words in sound.blocks:
            analyser.add(block, words)
    return analyser


def steady(method, bed="pink_noise", beat=9.3, seconds=40.0, **fields):
    held = Segment(seconds, 210.0, 210.0, beat, beat)
    return Programme(segments=(held,), method=method, bed=bed, seed=4, **fields)


def pink(seconds, seed=1, rms=0.03, rate=RATE):
    white = np.random.default_rng(seed).standard_normal((2, seconds * rate))
    shape = np.maximum(np.fft.rfftfreq(white.shape[1]), 1e-5) ** -0.5
    noise = np.fft.irfft(np.fft.rfft(white) * shape, white.shape[1])
    return (noise * rms / noise.std()).T


def sines(seconds, left_hz, right_hz, amplitude=0.1, rate=RATE):
    at = np.arange(seconds * rate) / rate
    return amplitude * np.sin(2 * np.pi * at[:, None] * np.array([left_hz, right_hz]))


@pytest.fixture
def written(tmp_path):
    def written(sound, name="sound.wav", rate=RATE, subtype="PCM_24"):
        soundfile.write(tmp_path / name, sound, rate, subtype=subtype)
        return tmp_path / name

    return written


@pytest.mark.parametrize("bed", ["pink_noise", "ocean", "ambient", "rain"])
@pytest.mark.parametrize("method", ["binaural", "monaural", "isochronic"])
def test_our_own_files_are_recognised_without_their_plan(tmp_path, method, bed):
    encode.write_flac(steady(method, bed), tmp_path / "own.flac")
    found = analysed(tmp_path / "own.flac")
    assert found.method == method
    assert found.beat_share >= 0.5  # in the fades of so short a sound no tone is steady
    assert found.beat_least_hz == pytest.approx(9.3, abs=0.01)
    assert found.beat_most_hz == pytest.approx(9.3, abs=0.01)


@pytest.mark.parametrize("method", ["binaural", "monaural", "isochronic"])
def test_against_their_plan_beat_and_carrier_are_within_a_hundredth(programme, tmp_path, method):
    plan = programme(90.0, method=method)
    encode.write_flac(plan, tmp_path / "own.flac")
    found = analysed(tmp_path / "own.flac", plan)
    assert (found.promised_windows, found.missed_windows) == (9, 0)
    assert found.beat_error_most_hz is not None
    assert found.beat_error_most_hz < 0.01
    assert found.carrier_error_most_hz is not None
    assert found.carrier_error_most_hz < 0.01


@pytest.mark.parametrize("bed", ["pink_noise", "nature", "brown_noise"])
def test_a_swaying_bed_of_ours_is_recognised_and_compared(tmp_path, bed):
    plan = steady("am", bed, seconds=60.0)
    encode.write_flac(plan, tmp_path / "own.flac")
    found = analysed(tmp_path / "own.flac", plan)
    assert (found.method, found.beat_share >= 0.5) == ("am", True)
    assert found.beat_most_hz == pytest.approx(9.3, abs=0.01)
    assert (found.promised_windows, found.missed_windows) == (6, 0)
    assert found.beat_error_most_hz is not None
    assert found.beat_error_most_hz < 0.01


def test_a_steady_tone_of_ours_has_no_beat_and_keeps_its_carrier(tmp_path):
    encode.write_flac(steady("steady"), tmp_path / "own.flac")
    found = analysed(tmp_path / "own.flac", steady("steady"))
    assert (found.method, found.promised_windows) == ("none", 0)
    assert found.carrier_error_most_hz is not None
    assert found.carrier_error_most_hz < 0.01


def test_a_wrong_beat_is_told_from_the_planned_one(tmp_path):
    encode.write_flac(steady("binaural"), tmp_path / "own.flac")
    found = analysed(tmp_path / "own.flac", steady("binaural", beat=9.8))
    assert found.beat_error_most_hz == pytest.approx(0.5, abs=0.01)
    gone = analysed(tmp_path / "own.flac", steady("binaural", beat=19.0))
    assert gone.missed_windows == gone.promised_windows == 4


def test_a_sequence_is_compared_tone_by_tone(tmp_path):
    text = "-SE\na: pink/40 100+1.5/30 200-4/24 400@8/20\nb: pink/40 110+3/30 220-7/24 400@10/20\n0:00 == a ->\n0:01 == b\n"
    sequence = sbg.read(text).sequence
    encode.write_flac(sequence, tmp_path / "own.flac")
    found = analysed(tmp_path / "own.flac", sequence)
    assert (found.promised_windows, found.missed_windows) == (18, 0)
    assert found.beat_error_most_hz is not None
    assert found.beat_error_most_hz < 0.01


def test_levels_are_those_that_our_meter_finds(programme, tmp_path):
    encode.write_flac(programme(30.0), tmp_path / "own.flac")
    ours, found = measure.measure(programme(30.0)), analysed(tmp_path / "own.flac")
    assert found.content_sha256 == ours.content_sha256
    assert found.loudness_lufs == pytest.approx(ours.loudness_lufs, abs=0.01)
    assert found.true_peak_dbtp == pytest.approx(ours.true_peak_dbtp, abs=0.01)
    assert found.noise_slope_db_per_octave == pytest.approx(-3.0, abs=0.3)


@pytest.mark.parametrize("rate", [22_050, 48_000, 96_000])
def test_loudness_and_peak_are_those_of_ffmpeg_at_any_rate(written, rate):
    path = written(sines(12, 440.0, 452.0, 0.3, rate) + pink(12, rate=rate), rate=rate)
    told = subprocess.run(
        ["ffmpeg", "-nostats", "-i", path, "-filter_complex", "ebur128=peak=true", "-f", "null", "-"],
        check=True, capture_output=True, text=True,
    ).stderr.rpartition("Summary:")[2]  # fmt: skip
    found = analysed(path)
    assert found.loudness_lufs == pytest.approx(float(told.split("I:")[1].split()[0]), abs=0.1)
    assert found.true_peak_dbtp == pytest.approx(float(told.split("Peak:")[1].split()[0]), abs=0.15)
    assert found.beat_most_hz == pytest.approx(12.0, abs=0.01)


def test_files_that_sox_made_are_recognised(tmp_path):
    path = tmp_path / "sox.wav"
    subprocess.run(
        ["sox", "-q", "-R", "-n", "-b", "16", path, "synth", "30", "sine", "195", "sine", "205", "gain", "-12"], check=True
    )
    found = analysed(path)
    assert (found.method, found.windows[0].left_hz) == ("binaural", pytest.approx(195.0, abs=0.001))
    assert found.beat_least_hz == pytest.approx(10.0, abs=0.001)
    assert found.beat_most_hz == pytest.approx(10.0, abs=0.001)


@pytest.mark.parametrize(
    ("name", "words", "method"),
    [
        ("a.mp3", ["-b:a", "128k"], "binaural"),
        ("a.opus", ["-c:a", "libopus", "-b:a", "96k"], "binaural"),
        ("a.m4a", ["-c:a", "aac", "-b:a", "128k"], "binaural"),
        ("a.webm", ["-c:a", "libopus", "-b:a", "64k"], "binaural"),
        ("a.ogg", ["-c:a", "libvorbis", "-ar", "22050"], "binaural"),
        ("a.flac", ["-ac", "1", "-ar", "48000"], "monaural"),
    ],
)
def test_a_beat_survives_what_people_do_to_files(written, tmp_path, name, words, method):
    source = written(sines(30, 196.0, 202.5) + pink(30))
    subprocess.run(["ffmpeg", "-v", "error", "-i", source, *words, tmp_path / name], check=True)
    found = analysed(tmp_path / name)
    assert found.method == method
    assert found.beat_least_hz == pytest.approx(6.5, abs=0.01)
    assert found.beat_most_hz == pytest.approx(6.5, abs=0.01)


def test_our_opus_is_recognised(tmp_path):
    phone.write_opus(steady("binaural"), tmp_path / "a.opus")
    found = analysed(tmp_path / "a.opus", steady("binaural"))
    assert found.beat_error_most_hz is not None
    assert found.beat_error_most_hz < 0.01


def test_a_swaying_noise_bed_is_recognised(written):
    at = np.arange(30 * RATE) / RATE
    found = analysed(written(pink(30) * (0.75 + 0.25 * np.cos(2 * np.pi * 7.83 * at))[:, None]))
    assert found.method == "am"
    assert found.beat_most_hz == pytest.approx(7.83, abs=0.01)


def test_square_pulses_of_another_program_are_recognised(written):
    at = np.arange(30 * RATE) / RATE
    pulses = 0.2 * np.sin(2 * np.pi * 300 * at) * (np.sin(2 * np.pi * 12 * at) > 0)
    found = analysed(written(pulses[:, None] + pink(30)))
    assert (found.method, found.beat_most_hz) == ("isochronic", pytest.approx(12.0, abs=0.01))


def music(seconds=60, seed=2):
    """Chords that are struck and fade, a melody with vibrato, a kick on each beat and hats between: 120 a minute."""
    at, chance = np.arange(seconds * RATE) / RATE, np.random.default_rng(seed)
    out = np.zeros(len(at))
    for bar in range(seconds // 2):
        since = at - 2 * bar
        struck = np.where(since >= 0, np.exp(-np.maximum(since, 0) / 1.2), 0.0)
        for hz in chance.choice([196.0, 220.0, 246.9, 261.6, 293.7, 329.6, 392.0], 4, replace=False):
            for partial in (1, 2, 3):
                out += 0.05 / partial * struck * np.sin(2 * np.pi * hz * partial * at)
    out += 0.06 * np.sin(2 * np.pi * 523.0 * at + 6 * np.sin(2 * np.pi * 5.2 * at))
    kick = np.mod(at, 0.5)
    out += 0.4 * np.exp(-kick / 0.08) * np.sin(2 * np.pi * 55 * kick)
    hats = np.exp(-np.mod(at + 0.25, 0.5) / 0.03) * np.diff(chance.standard_normal(len(at) + 1))
    return np.stack([out + 0.05 * hats, 0.9 * out + 0.06 * hats], axis=1) * 0.5


def drone(seconds=40):
    """A held chord of an organ, the same in both ears."""
    at = np.arange(seconds * RATE) / RATE
    tone = sum(0.05 / part * np.sin(2 * np.pi * hz * part * at) for hz in (220.0, 277.2, 329.6) for part in (1, 2, 3))
    return np.stack([tone, tone], axis=1)


@pytest.mark.parametrize(
    "sound",
    [
        pytest.param(lambda: pink(60), id="noise"),
        pytest.param(lambda: np.random.default_rng(3).normal(0, 0.05, (40 * RATE, 2)), id="white noise"),
        pytest.param(music, id="music"),
        pytest.param(drone, id="a held chord"),
        pytest.param(lambda: sines(30, 200.0, 200.0), id="the same tone in both ears"),
        pytest.param(lambda: sines(30, 200.0, 300.0), id="tones too far apart"),
    ],
)
def test_where_there_is_no_beat_none_is_reported(written, sound):
    found = analysed(written(sound()))
    assert (found.method, found.beat_least_hz, found.beat_share) == ("none", None, 0.0)
    assert all(window.beat_hz is None for window in found.windows)


@pytest.mark.parametrize("bed", ["nature", "rain", "ocean", "stream", "wind", "night", "ambient", "brown_noise"])
def test_our_beds_alone_have_no_beat(tmp_path, bed):
    encode.write_flac(steady("none", bed), tmp_path / "bed.flac")
    assert analysed(tmp_path / "bed.flac").method == "none"


def test_silence_is_silence(written):
    found = analysed(written(np.zeros((20 * RATE, 2))))
    assert (found.method, found.level_dbfs, found.loudness_lufs, found.true_peak_dbtp) == ("none", None, None, None)


def test_a_third_of_a_second_is_too_short_for_a_beat_and_not_for_levels(written):
    found = analysed(written(sines(1, 200.0, 210.0)[: int(0.3 * RATE)]))
    assert found.windows == ()
    assert found.method == "none"
    assert found.sample_peak_dbfs == pytest.approx(-20.0, abs=0.1)


def test_three_seconds_are_enough(written):
    found = analysed(written(sines(3, 200.0, 210.0)))
    assert (found.method, found.beat_most_hz) == ("binaural", pytest.approx(10.0, abs=0.02))


def test_a_mono_file_is_one_channel_to_the_loudness(written):
    path = written(sines(10, 1000.0, 1000.0)[:, :1])
    stereo = analysed(written(sines(10, 1000.0, 1000.0), "stereo.wav"))
    mono = analysed(path)
    assert mono.loudness_lufs is not None
    assert mono.loudness_lufs == pytest.approx((stereo.loudness_lufs or 0) - 10 * math.log10(2), abs=0.01)


# --- what is refused ----------------------------------------------------------------------------------


def wav_head(channels=2, rate=RATE, bits=16, data_bytes=400, block=None):
    block = channels * bits // 8 if block is None else block
    form = struct.pack("<HHIIHH", 1 if bits < 32 else 3, channels, rate, min(rate * block, 2**32 - 1), block % 65536, bits)
    return b"RIFF" + struct.pack("<I", 36 + data_bytes) + b"WAVEfmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", data_bytes)


def refused(path):
    with pytest.raises(BadInput) as caught:
        analysed(path)
    (entry,) = cast("list[dict[str, Any]]", caught.value.extra["errors"])
    assert entry["field"] == "FILE"
    assert entry["allowed"]
    return entry["problem"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "empty"),
        (b"just some words\n" * 50, "not a sound file"),
        (b"RIFF\x00\x00\x00\x00WAVE", "sound"),
        (wav_head(data_bytes=0), "no sound"),
        (wav_head(channels=1000) + bytes(40_000), "1000 channels"),
        (wav_head(rate=1_000_000) + bytes(400), "samples a second"),
        (wav_head(rate=100) + bytes(400), "samples a second"),
        (wav_head(channels=0) + bytes(400), "sound"),
        (os.urandom(5000), "sound"),
    ],
)
def test_a_hostile_file_is_refused(tmp_path, content, problem):
    (tmp_path / "bad.wav").write_bytes(content)
    assert problem in refused(tmp_path / "bad.wav")


def test_a_header_that_promises_two_thousand_million_frames_costs_nothing(tmp_path):
    encode.write_flac(steady("binaural"), tmp_path / "big.flac")
    raw = bytearray((tmp_path / "big.flac").read_bytes())
    raw[22:26] = struct.pack(">I", 2**31)  # total samples, 36 bits from the middle of byte 21
    (tmp_path / "big.flac").write_bytes(raw)
    assert "damaged after 39.0 s" in refused(tmp_path / "big.flac")


def test_a_truncated_file_is_refused_with_how_much_is_there(flac_file, tmp_path):
    raw = flac_file.read_bytes()
    (tmp_path / "cut.flac").write_bytes(raw[: len(raw) // 2])
    problem = refused(tmp_path / "cut.flac")
    assert "cut off" in problem or "damaged" in problem


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e30])
def test_samples_that_are_no_numbers_are_refused_with_their_place(written, value):
    sound = sines(5, 200.0, 210.0)
    sound[3 * RATE, 1] = value
    problem = refused(written(sound, subtype="FLOAT"))
    assert "3.000 s" in problem or "full scale" in problem


def test_what_is_not_a_file_is_refused(tmp_path):
    assert "folder" in refused(tmp_path)
    assert "does not exist" in refused(tmp_path / "nowhere.wav")


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_file_without_rights_is_refused(written):
    path = written(sines(1, 200.0, 210.0))
    path.chmod(0)
    assert "may not be read" in refused(path)


def test_without_ffmpeg_what_libsndfile_cannot_read_is_refused(written, tmp_path, monkeypatch):
    subprocess.run(["ffmpeg", "-v", "error", "-i", written(sines(3, 200.0, 210.0)), tmp_path / "a.m4a"], check=True)
    monkeypatch.setattr("shutil.which", lambda _: None)
    assert "cannot be read here" in refused(tmp_path / "a.m4a") or "can be read here" in refused(tmp_path / "a.m4a")


# --- tags and the picture -----------------------------------------------------------------------------


def test_a_file_of_a_sequence_says_what_it_was_made_from(tmp_path):
    made = sbg.read("-SE\na: pink/40 200+10/20\n0:00 a\n0:01 a\n").sequence
    for write, name in ((encode.write_flac, "a.flac"), (phone.write_opus, "a.opus")):
        write(made, tmp_path / name)
        with (tmp_path / name).open("rb") as file:
            assert tags.programme_in(file) == made


def test_the_picture_is_an_svg_with_both_drawings(programme, tmp_path):
    plan = programme(60.0)
    encode.write_flac(plan, tmp_path / "own.flac")
    analyser = heard(tmp_path / "own.flac", plan, draw=True)
    found = analyser.result()
    assert analyser.picture is not None
    spectrum = analyser.picture.decibels()
    drawn = picture.svg(found, spectrum, "a <file> & more", "A sentence.")
    root = ET.fromstring(drawn)  # noqa: S314 - our own
    told = " ".join(element.text or "" for element in root.iter())
    assert all(word in told for word in ("a <file> & more", "A sentence.", "frequency, Hz", "beat, Hz", "time, seconds", "10k"))
    assert drawn.count('class="d"') == 6
    assert spectrum.shape[0] == PICTURE_ROWS
    (image,) = [element for element in root.iter() if element.tag.endswith("image")]
    assert image.attrib["href"].startswith("data:image/png;base64,")


def test_the_picture_shows_a_tone_at_its_place_and_stays_small():
    made = Analyser(RATE, 2, picture=True)
    second = sines(1, 1000.0, 1000.0)
    words = np.zeros((RATE, 2), np.int32)
    for _ in range(30):
        made.add(second, words)
    assert made.picture is not None
    row = int(np.argmax(made.picture.decibels().mean(axis=1)))
    low, high = 20.0 * 800 ** (row / PICTURE_ROWS), 20.0 * 800 ** ((row + 1) / PICTURE_ROWS)
    assert low <= 1000.0 <= high
    for _ in range(2 * PICTURE_COLUMNS_MOST):
        made.picture.add(np.zeros((2, RATE)))
    assert made.picture.decibels().shape[1] <= PICTURE_COLUMNS_MOST + 1


def test_a_png_is_what_others_read(tmp_path):
    pixels = np.arange(200.0).reshape(10, 20)
    (tmp_path / "a.png").write_bytes(picture.png(pixels, [(n, 0, 255 - n) for n in range(256)]))
    raw = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", tmp_path / "a.png", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"], check=True, capture_output=True
    ).stdout
    assert np.array_equal(np.frombuffer(raw, np.uint8).reshape(10, 20, 3)[..., 0], pixels)


def test_the_hash_is_that_of_the_samples(written):
    sound = np.rint(sines(2, 200.0, 210.0) * 2**23).astype(np.int32) << 8
    assert analysed(written(sound)).content_sha256 == analysed(written(sound, "same.flac")).content_sha256
    assert render.FRAME_BYTES == 6
