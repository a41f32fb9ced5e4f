"""CPU seconds and peak memory of the same 30-minute session, ours beside its peers. Run: python bench/sound.py

Binaural 10 -> 6 Hz on 200 Hz over pink noise. SBaGen+ and SBaGenX are found on PATH, or named by
STILLWAVE_SBAGEN_PLUS and STILLWAVE_SBAGENX; `flac` encodes our WAV for comparison. Each is its own process and
is run three times; medians are printed. `--minutes` changes the length.
"""

import argparse
import os
import shutil
import statistics
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

OURS = """
import resource, sys, time
from stillwave.sound import encode, measure
from stillwave.sound.programme import Programme, Segment
def made(minutes):
    return Programme(segments=(Segment(minutes * 60.0, 200, 200, 10, 6),), method="binaural", bed=sys.argv[3], seed=1)
work = {"wav": encode.write_wav, "flac": encode.write_flac, "measure": lambda p, f: measure.measure(p)}[sys.argv[1]]
work(made(0.1), "/dev/shm/stillwave-bench" if sys.argv[1] == "flac" else "/dev/null")
before, started = resource.getrusage(resource.RUSAGE_SELF), time.process_time()
work(made(float(sys.argv[2])), sys.argv[4])
after = resource.getrusage(resource.RUSAGE_SELF)
print(time.process_time() - started, after.ru_maxrss - before.ru_maxrss)
"""
SEQUENCE = "-SE\na: pink/40 200+10/20\nb: pink/40 200+6/20\n0:00 a ->\n0:{minutes:02d} b\n"


def spent(command: list[str]) -> tuple[float, float, str]:
    """Return CPU seconds, peak megabytes and what it said."""
    read, write = os.pipe()
    process = os.posix_spawnp(command[0], command, os.environ, file_actions=[
        (os.POSIX_SPAWN_DUP2, write, 1), (os.POSIX_SPAWN_OPEN, 2, "/dev/null", os.O_WRONLY, 0),
    ])  # fmt: skip
    os.close(write)
    with os.fdopen(read) as pipe:
        said = pipe.read()
    _, status, usage = os.wait4(process, 0)
    if status:
        sys.exit(f"{command[0]} failed: {status}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, said


def line(name: str, figures: list[tuple[float, float]], against: float | None = None) -> float:
    seconds = statistics.median(cpu for cpu, _ in figures)
    ratio = f"{seconds / against:6.2f} x" if against else ""
    print(f"{name:42} {seconds:8.2f} s {statistics.median(mb for _, mb in figures):8.0f} MB  {ratio}")
    return seconds


def ours(kind: str, minutes: int, bed: str, file: str) -> list[tuple[float, float]]:
    """Three renders without the start of Python; memory is what rendering adds to it."""
    runs = [spent([sys.executable, "-c", OURS, kind, str(minutes), bed, file])[2].split() for _ in range(3)]
    return [(float(cpu), float(kb) / 1024) for cpu, kb in runs]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=int, default=30)
    minutes = parser.parse_args().minutes
    base = None
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        sequence, wav, flac = (str(Path(folder, name)) for name in ("a.sbg", "a.wav", "a.flac"))
        Path(sequence).write_text(SEQUENCE.format(minutes=minutes))
        for name, variable, program in (("SBaGen+", "STILLWAVE_SBAGEN_PLUS", "sbagen+"), ("SBaGenX", "STILLWAVE_SBAGENX", "sbagenx")):
            found = shutil.which(os.environ.get(variable, program))
            if found is None:
                print(f"{name:42} skipped: not on PATH and {variable} is not set")
                continue
            runs = [spent([found, "-Q", "-W", "-o", "/dev/null", sequence])[:2] for _ in range(3)]
            seconds = line(f"{name}, 16-bit WAV, whole process", runs)
            base = base or seconds
        if find_spec("binauralgen") is None and find_spec("binaural_generator") is None:
            print(f"{'binaural-generator':42} skipped: not installed (pip install binaural-generator)")
        line("Stillwave, 24-bit WAV", ours("wav", minutes, "pink_noise", "/dev/null"), base)
        line("Stillwave, measuring as well", ours("measure", minutes, "pink_noise", "-"), base)
        for bed in ("nature", "ambient", "stream", "wind"):
            line(f"Stillwave, {bed}, 24-bit WAV", ours("wav", minutes, bed, "/dev/null"), base)
        ours("wav", minutes, "pink_noise", wav)
        if shutil.which("flac"):
            coded = line("flac -5 of that WAV", [spent(["flac", "-5", "-s", "-f", "-o", flac, wav])[:2] for _ in range(3)])
        else:
            coded = None
            print("flac skipped: not on PATH")
        line("Stillwave, rendering and 24-bit FLAC", ours("flac", minutes, "pink_noise", flac), coded)


if __name__ == "__main__":
    main()
