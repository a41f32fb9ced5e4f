"""CPU seconds and peak memory of the same 30-minute session, ours beside its peers. Run: python bench/sound.py

Binaural 10 -> 6 Hz on 200 Hz over pink noise. SBaGen+ and SBaGenX are found on PATH, or named by
STILLWAVE_SBAGEN_PLUS and STILLWAVE_SBAGENX; binaural-generator is found as `binaural-generate` on PATH, named by
STILLWAVE_BINAURAL_GENERATE, or with `--install` put into a temporary environment from PyPI. `flac` encodes our WAV
for comparison. Each is its own process and is run three times; medians are printed. `--minutes` changes the length.
At the end, what 1 minute and 8 hours add to the memory of a process that streams them.
"""

import argparse
import os
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

OURS = """
import resource, sys, time
from stillwave.sound import encode, measure, render
from stillwave.sound.programme import Programme, Segment
def made(minutes):
    return Programme(segments=(Segment(minutes * 60.0, 200, 200, 10, 6),), method="binaural", bed=sys.argv[3], seed=1)
def streamed(p, f):
    for edge in render.edges(0, p.total_samples):
        render.pcm24(p, *edge)
work = {"stream": streamed, "wav": encode.write_wav, "flac": encode.write_flac, "measure": lambda p, f: measure.measure(p)}[sys.argv[1]]
work(made(0.1), "/dev/shm/stillwave-bench" if sys.argv[1] == "flac" else "/dev/null")
before, started = resource.getrusage(resource.RUSAGE_SELF), time.process_time()
work(made(float(sys.argv[2])), sys.argv[4])
after = resource.getrusage(resource.RUSAGE_SELF)
print(time.process_time() - started, after.ru_maxrss - before.ru_maxrss)
"""
SCRIPT = """title: bench
base_frequency: 200
sample_rate: 44100
background_noise: {{type: pink, amplitude: 0.25}}
output_filename: a.wav
steps:
  - {{type: transition, start_frequency: 10, end_frequency: 6, duration: {seconds}}}
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


def binaural_generate(folder: Path, *, install: bool) -> str | None:
    """Return the program, installed into the folder if it is asked for and not there."""
    found = shutil.which(os.environ.get("STILLWAVE_BINAURAL_GENERATE", "binaural-generate"))
    if found or not install:
        return found
    spent([sys.executable, "-m", "venv", str(folder / "peer")])
    spent([str(folder / "peer/bin/pip"), "install", "-q", "binaural-generator"])
    return str(folder / "peer/bin/binaural-generate")


def ours(kind: str, minutes: int, bed: str, file: str, runs: int = 3) -> list[tuple[float, float]]:
    """Renders without the start of Python; memory is what rendering adds to it."""
    told = [spent([sys.executable, "-c", OURS, kind, str(minutes), bed, file])[2].split() for _ in range(runs)]
    return [(float(cpu), float(kb) / 1024) for cpu, kb in told]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=int, default=30)
    parser.add_argument("--install", action="store_true", help="install binaural-generator for this run")
    options = parser.parse_args()
    minutes = options.minutes
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
        script = Path(folder, "a.yaml")
        script.write_text(SCRIPT.format(seconds=minutes * 60))
        if found := binaural_generate(Path(folder), install=options.install):
            runs = [spent([found, "-o", wav, str(script)])[:2] for _ in range(3)]
            line("binaural-generator, 16-bit WAV, whole process", runs, base)
        else:
            print(f"{'binaural-generator':42} skipped: not on PATH; --install fetches it from PyPI")
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
    for length in (1, 480):
        line(f"Stillwave, streaming {length} min", ours("stream", length, "pink_noise", "-", runs=1))


if __name__ == "__main__":
    main()
