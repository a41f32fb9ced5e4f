"""What codecs leave of a beat: error of both carriers and the beat, and crosstalk. Run: python bench/codecs.py

One minute of 203 and 197 Hz over pink noise, Opus by our own stream, AAC and MP3 by ffmpeg (skipped without it).
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from stillwave.sound import encode, phone
from stillwave.sound.programme import Programme, Segment

PLAN = Programme(segments=(Segment(60.0, 200, 200, 6, 6),), method="binaural", bed="pink_noise", seed=1)


def lock_in(x, hz: float, rate_hz: int) -> complex:
    at = np.arange(len(x)) / rate_hz
    return complex((x * np.hanning(len(x)) * np.exp(-2j * np.pi * hz * at)).mean() * 4)


def found_hz(x, hz: float, rate_hz: int) -> float:
    """From the phase that the tone gains between two halves."""
    half = len(x) // 2
    gained = np.angle(lock_in(x[half : 2 * half], hz, rate_hz) / lock_in(x[:half], hz, rate_hz))
    ahead = np.angle(np.exp(1j * (gained - 2 * np.pi * hz * half / rate_hz)))
    return hz + ahead / (2 * np.pi * half / rate_hz)


def report(name: str, file: Path, coded: Path | None = None) -> None:
    sound, rate_hz = soundfile.read(file)
    part = sound[10 * rate_hz : 50 * rate_hz]  # whole turns of both tones
    left, right = found_hz(part[:, 0], 197, rate_hz), found_hz(part[:, 1], 203, rate_hz)
    own = abs(lock_in(part[:, 0], 197, rate_hz)), abs(lock_in(part[:, 1], 203, rate_hz))
    other = abs(lock_in(part[:, 1], 197, rate_hz)), abs(lock_in(part[:, 0], 203, rate_hz))
    cross = 20 * np.log10(max(other[0] / own[0], other[1] / own[1]))
    size = (coded or file).stat().st_size * 8 / 60_000
    print(f"{name:14} {left - 197:+.5f} {right - 203:+.5f} {right - left - 6:+.5f} Hz {cross:7.1f} dB {size:6.0f} kb/s")


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wav = folder / "a.wav"
        encode.write_wav(PLAN, wav)
        print("codec          left err  right err beat err    crosstalk    rate")
        report("WAV", wav)
        for kbps in phone.BITRATES_KBPS:
            (folder / "a.opus").write_bytes(b"".join(phone.opus(PLAN, kbps)))
            report(f"Opus {kbps}", folder / "a.opus")
        if shutil.which("ffmpeg") is None:
            print("AAC and MP3 skipped: no ffmpeg")
            return
        for label, codec, ending in (("AAC", "aac", "m4a"), ("MP3", "libmp3lame", "mp3")):
            for kbps in phone.BITRATES_KBPS:
                coded, back = folder / f"a.{ending}", folder / "b.wav"
                quiet = ["ffmpeg", "-v", "error", "-y", "-i"]
                subprocess.run([*quiet, wav, "-c:a", codec, "-b:a", f"{kbps}k", coded], check=True)
                subprocess.run([*quiet, coded, "-c:a", "pcm_f32le", back], check=True)
                report(f"{label} {kbps}", back, coded)


if __name__ == "__main__":
    main()
