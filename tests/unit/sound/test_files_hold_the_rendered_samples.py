"""WAV and FLAC hold exactly `render.pcm24`, and other programs agree on what they are."""

import errno
import io
import json
import random
import subprocess

import numpy as np
import pytest
import soundfile

from stillwave.sound import encode, phone, render, tags
from stillwave.sound.programme import Segment


def heard(*command: str) -> bytes:
    return subprocess.run(command, check=True, capture_output=True).stdout


def test_ffprobe_and_sox_read_the_flac_as_44100_hz_24_bit_stereo(flac_file):
    probed = json.loads(heard("ffprobe", "-v", "error", "-show_streams", "-of", "json", str(flac_file)))[
        "streams"
    ][0]
    assert (probed["codec_name"], probed["sample_rate"], probed["channels"]) == ("flac", "44100", 2)
    assert probed["bits_per_raw_sample"] == "24"
    assert [heard("soxi", flag, str(flac_file)).strip() for flag in ("-r", "-b", "-c")] == [
        b"44100",
        b"24",
        b"2",
    ]
    assert heard("soxi", "-s", str(flac_file)).strip() == b"2646000"


def test_the_flac_decodes_to_the_rendered_samples(programme, flac_file):
    raw = ("--force-raw-format", "--endian=little", "--sign=signed")
    decoded = heard("flac", "--decode", "--stdout", "--silent", *raw, str(flac_file))
    plan = programme()
    assert decoded == render.pcm24(plan, 0, plan.total_samples)


def test_the_wav_is_read_by_others_and_holds_the_rendered_samples(programme, tmp_path):
    plan = programme(4.0, bed="rain")
    file = tmp_path / "four.wav"
    encode.write_wav(plan, file)
    assert file.stat().st_size == encode.wav_size(plan)
    assert file.read_bytes() == b"".join(encode.wav_range(plan, 0, encode.wav_size(plan)))
    probed = json.loads(heard("ffprobe", "-v", "error", "-show_streams", "-of", "json", str(file)))[
        "streams"
    ][0]
    assert (probed["codec_name"], probed["sample_rate"], probed["channels"]) == ("pcm_s24le", "44100", 2)
    samples = heard("ffmpeg", "-v", "error", "-i", str(file), "-f", "s24le", "-")
    assert samples == render.pcm24(plan, 0, plan.total_samples)


def test_files_go_into_an_open_file_and_progress_is_told(programme):
    plan = programme(2.0)
    for write in (encode.write_flac, encode.write_wav):
        told: list[int] = []
        file = io.BytesIO()
        write(plan, file, told.append)
        assert told == sorted(told)
        assert told[-1] == plan.total_samples
        assert not file.closed
        assert len(file.getvalue()) > 100_000


class FullDisk(io.BytesIO):
    """A file that has room for 200 kB."""

    def write(self, data):
        if self.tell() + len(data) > 200_000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(data)


@pytest.mark.parametrize("bits", encode.BITS)
@pytest.mark.parametrize("write", [encode.write_flac, encode.write_wav])
def test_a_full_disk_is_an_os_error(programme, write, bits):
    with pytest.raises(OSError, match="No space left"):
        write(programme(5.0), FullDisk(), bits=bits)


def test_16_bits_are_read_by_others_and_are_the_rendered_samples(programme, tmp_path):
    plan = programme(4.0, bed="rain")
    encode.write_wav(plan, tmp_path / "a.wav", bits=16, tags={"title": "Calm"})
    encode.write_flac(plan, tmp_path / "a.flac", bits=16)
    expected = render.samples(plan, 0, plan.total_samples, 16)
    assert render.pcm(plan, 100, 70_000, 16) == expected[100:70_000].astype("<i2").tobytes()
    for name, codec in (("a.wav", "pcm_s16le"), ("a.flac", "flac")):
        file = str(tmp_path / name)
        stream = json.loads(heard("ffprobe", "-v", "error", "-show_streams", "-of", "json", file))["streams"][0]
        assert stream["codec_name"] == codec
        assert heard("soxi", "-b", file).strip() == b"16"
        assert heard("soxi", "-s", file).strip() == b"176400"
        assert heard("ffmpeg", "-v", "error", "-i", file, "-f", "s16le", "-") == expected.astype("<i2").tobytes()


@pytest.mark.parametrize("bits", [16, 24])
def test_no_frames_are_no_bytes_and_odd_slices_are_those_of_the_whole(programme, bits):
    plan = programme(bed="pink_noise", seconds=2)
    file = io.BytesIO()
    encode.write_wav(plan, file, bits=bits)
    whole = file.getvalue()[encode.HEADER_BYTES :]
    assert render.pcm(plan, 5, 5, bits) == b""
    assert render.pcm(plan, 33, 40_001, bits) == whole[33 * bits // 4 : 40_001 * bits // 4]


def test_16_bits_have_triangular_dither_of_their_own_step(programme):
    plan = programme(8.0, bed="none")
    error = render.samples(plan, 88_200, 132_300, 16) - render.block(plan, 88_200, 132_300) * 2**15
    assert np.abs(error).max() < 1.5
    assert error.mean() == pytest.approx(0, abs=0.02)
    assert error.var() == pytest.approx(0.25, abs=0.02)


@pytest.mark.parametrize("bits", [0, 8, 20, 32])
def test_other_widths_are_refused_before_anything_is_written(programme, tmp_path, bits):
    for write in (encode.write_wav, encode.write_flac):
        with pytest.raises(ValueError, match="bits must be one of: 16, 24"):
            write(programme(2.0), tmp_path / "out", bits=bits)
    assert list(tmp_path.iterdir()) == []


TAGS = {"title": "Calm", "comment": "From here to there", "software": "Stillwave engine 1"}


def made(plan, ending: str) -> bytes:
    file = io.BytesIO()
    {"wav": encode.write_wav, "flac": encode.write_flac, "opus": phone.write_opus}[ending](plan, file, tags=TAGS)
    return file.getvalue()


@pytest.mark.parametrize("ending", ["wav", "flac", "opus"])
def test_a_file_says_what_it_is_and_holds_its_programme(programme, tmp_path, ending):
    plan = programme(3.0, beat_db=-5.5, swap=True)
    file = tmp_path / f"tagged.{ending}"
    file.write_bytes(made(plan, ending))
    shown = heard("ffprobe", "-v", "error", "-show_entries", "format_tags:stream_tags", "-of", "json", str(file)).decode()
    assert '"Calm"' in shown
    assert '"From here to there"' in shown
    assert "Stillwave engine 1" in shown
    if ending != "wav":  # there it is a chunk of its own
        assert '"PROGRAMME"' in shown
        assert "copyright" not in shown.lower()
    with file.open("rb") as opened:
        assert tags.programme_in(opened) == plan
    samples = heard("ffmpeg", "-v", "error", "-i", str(file), "-f", "s24le", "-")
    if ending != "opus":
        assert samples == render.pcm24(plan, 0, plan.total_samples)


def test_a_programme_of_many_segments_is_tagged_as_far_as_the_format_allows(programme):
    plan = programme(segments=(Segment(0.01, 200, 200, 8.125, 8.125),) * 1000)
    found = {ending: tags.programme_in(io.BytesIO(made(plan, ending))) for ending in ("wav", "flac", "opus")}
    assert found == {"wav": plan, "flac": plan, "opus": None}
    heard_back, rate_hz = soundfile.read(io.BytesIO(made(plan, "opus")))
    assert (len(heard_back), rate_hz) == (480_000, 48_000)


@pytest.mark.parametrize("ending", ["wav", "flac", "opus"])
def test_a_file_that_is_cut_or_altered_holds_no_programme_and_does_no_harm(programme, ending):
    plan = programme(1.0)
    whole = made(plan, ending)
    for size in (0, 3, 4, 11, 30, 60, 100, 200):
        assert tags.programme_in(io.BytesIO(whole[:size])) is None
    lying = whole.replace(b'"pink_noise"', b'"loud_noise"')
    assert lying != whole
    assert tags.programme_in(io.BytesIO(lying)) is None
    draw = random.Random(ending)
    for _ in range(50):
        broken = bytearray(whole[:3000])
        for _ in range(20):
            broken[draw.randrange(4, 600)] = draw.randrange(256)
        found = tags.programme_in(io.BytesIO(bytes(broken)))
        assert found is None or found.total_samples > 0


def test_the_longest_wav_fits_in_its_header(programme):
    plan = programme(4 * 3600.0)
    assert encode.wav_size(plan) == 68 + 4 * 3600 * 44_100 * 6 < 2**32
    assert len(encode.wav_header(plan)) == 68
    night = programme(8 * 3600.0)
    with pytest.raises(ValueError, match=r"a WAV of 24 bits holds 4\.5 h at most; FLAC"):
        encode.wav_header(night)
    with pytest.raises(ValueError, match=r"a WAV of 16 bits holds 6\.8 h"):
        encode.write_wav(night, io.BytesIO(), bits=16)
    last = b"".join(encode.wav_range(plan, encode.wav_size(plan) - 13, encode.wav_size(plan)))
    assert last == render.pcm24(plan, plan.total_samples - 3, plan.total_samples)[-13:]
