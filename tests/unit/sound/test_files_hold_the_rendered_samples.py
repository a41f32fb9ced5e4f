"""WAV and FLAC hold exactly `render.pcm24`, and other programs agree on what they are."""

import errno
import io
import json
import subprocess

import pytest

from stillwave.sound import encode, render


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


@pytest.mark.parametrize("write", [encode.write_flac, encode.write_wav])
def test_a_full_disk_is_an_os_error(programme, write):
    with pytest.raises(OSError, match="No space left"):
        write(programme(5.0), FullDisk())


def test_the_longest_wav_fits_in_its_header(programme):
    plan = programme(4 * 3600.0)
    assert encode.wav_size(plan) == 68 + 4 * 3600 * 44_100 * 6 < 2**32
    assert len(encode.wav_header(plan)) == 68
    last = b"".join(encode.wav_range(plan, encode.wav_size(plan) - 13, encode.wav_size(plan)))
    assert last == render.pcm24(plan, plan.total_samples - 3, plan.total_samples)[-13:]
