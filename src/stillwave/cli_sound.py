"""The commands that need no account: render, presets, analyse. And how every command speaks."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stillwave import errors

if TYPE_CHECKING:
    from stillwave.sound.analysis import Analysis
    from stillwave.sound.sequence import Audible

_ENDINGS = [".flac", ".opus", ".wav"]


def add_to(app: typer.Typer) -> None:
    """The program has these commands."""
    for command in (render, presets, analyse):
        app.command()(command)


# --- how commands speak -------------------------------------------------------------------------


def plain(text: object) -> str:
    """Square brackets stay as they are: in names of files and people they are no markup."""
    from rich.markup import escape

    return escape(str(text))


def say(text: str, *, err: bool = False) -> None:
    """One line on standard output, or standard error."""
    from rich.console import Console

    Console(stderr=err, highlight=False, soft_wrap=True).print(text)


@contextmanager
def progress(label: str, *, total: int | None = None) -> Iterator[Any]:
    """A bar on standard error; the caller calls it with what is done, and the total if it learns it late."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=total)

        def step(done: int, of: int | None = None) -> None:
            bar.update(task, completed=done, total=of or total)

        yield step


# --- render -------------------------------------------------------------------------------------


def render(
    file: Annotated[Path, typer.Argument(help="Where to write: .flac, .opus or .wav")],
    initial: Annotated[str | None, typer.Option("--from", help="The state you are in.", show_default="unsure")] = None,
    target: Annotated[str | None, typer.Option("--to", help="The state you would like.", show_default="calm_focus")] = None,
    minutes: Annotated[int | None, typer.Option(min=1, max=720, help="1-720, so 12 hours at most.", show_default="20")] = None,
    background: Annotated[str | None, typer.Option(help="nature, rain, ocean, ambient, white_noise, ... or none", show_default="nature")] = None,
    headphones: Annotated[bool, typer.Option("--headphones/--speaker")] = True,  # noqa: FBT002
    volume: Annotated[int, typer.Option(min=0, max=70, help="0-70")] = 45,
    seed: Annotated[int | None, typer.Option(min=0, help="The same seed gives the same sound.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,  # noqa: FBT002
    beat_db: Annotated[float | None, typer.Option(min=-40, max=12, help="Loudness of the beat beside the bed.")] = None,
    bed_db: Annotated[float | None, typer.Option(min=-40, max=12, help="Loudness of the bed beside the beat.")] = None,
    swap: Annotated[bool, typer.Option("--swap", help="Exchange left and right.")] = False,  # noqa: FBT002
    method: Annotated[str | None, typer.Option(help="binaural, monaural, isochronic, am, steady or none")] = None,
    bits: Annotated[int, typer.Option(help="16 or 24, for FLAC and WAV.")] = 24,
    carrier: Annotated[float | None, typer.Option(min=100, max=1000, help="Carrier in Hz, throughout.")] = None,
    preset: Annotated[str | None, typer.Option(help="A ready session; see `stillwave presets`.")] = None,
    sbg: Annotated[Path | None, typer.Option(help="A SBaGen sequence file to render instead.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="With --sbg: refuse what would be left out.")] = False,  # noqa: FBT002
) -> None:
    """Render a session, a preset or a SBaGen sequence to a file, without an account."""
    from stillwave.sessions import actions, audio
    from stillwave.sessions.presets import by_name

    if file.suffix.lower() not in _ENDINGS:
        raise errors.BadInput("FILE", "must end in .flac, .opus or .wav", _ENDINGS)
    if bits not in (16, 24):
        raise errors.BadInput("--bits", "must be 16 or 24", [16, 24])
    if file.exists() and not force:
        raise errors.Conflict(f"{file} exists already. Choose another name, or add --force.")
    chosen_seed = secrets.randbelow(2**53) if seed is None else seed
    if sbg is not None:
        given = {
            "--from": initial, "--to": target, "--background": background, "--beat-db": beat_db, "--bed-db": bed_db,
            "--method": method, "--carrier": carrier, "--preset": preset,
        }  # fmt: skip
        for option, value in given.items():
            if value is not None:
                raise errors.BadInput(option, "does not go together with --sbg: the sequence says it already")
        _render_sequence(sbg, file, minutes=minutes, volume=volume, seed=chosen_seed, swap=swap, strict=strict, bits=bits)
        return
    if strict:
        raise errors.BadInput("--strict", "goes together with --sbg only")
    ready = None if preset is None else by_name(preset)
    programme, reason = actions.unlearned(
        initial or (ready.initial if ready else "unsure"),
        target or (ready.target if ready else "calm_focus"),
        minutes or (ready.minutes if ready else 20),
        background or (ready.background if ready else "nature"),
        headphones=headphones, volume=volume, seed=chosen_seed, kind=ready.kind if ready else "custom",
    )  # fmt: skip
    programme = actions.adjusted(
        programme, beat_db=beat_db, bed_db=bed_db, swap=swap or None, carrier_hz=carrier,
        method=method or (ready.method if ready else None),
    )  # fmt: skip
    _write(programme, file, told=audio.tags("Session", reason), reason=reason, bits=bits)


def _render_sequence(
    source: Path, file: Path, *, minutes: int | None, volume: int, seed: int, swap: bool, strict: bool, bits: int
) -> None:
    from stillwave.sessions import audio
    from stillwave.sound import sbg

    read = sbg.read(_text(source), source.name, minutes=minutes, volume_level=float(volume), seed=seed, swap=swap)
    if strict and read.left_out:
        raise errors.Conflict(
            "This sequence uses what is not supported here. Without --strict it is left out.", possible=list(read.left_out)
        )
    for note in read.left_out:
        say(f"[yellow]{plain(source.name)}[/] {plain(note)}", err=True)
    _write(read.sequence, file, told=audio.tags(source.stem, f"From {source.name}"), reason=f"From {source.name}", bits=bits)


def _text(source: Path, option: str = "--sbg") -> str:
    """What a sequence file says. Old ones are Latin-1."""
    from stillwave.sound.sbg import MOST_BYTES

    try:
        with source.open("rb") as opened:
            raw = opened.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise errors.BadInput(option, "names a file that does not exist") from None
    except OSError as error:
        raise errors.BadInput(option, f"cannot be read: {error.strerror}") from error
    if len(raw) > MOST_BYTES:
        raise errors.BadInput(option, "is too large", "1 MB")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _write(sound: Audible, file: Path, *, told: dict[str, str], reason: str, bits: int) -> None:
    from stillwave.sessions import audio

    with progress("Rendering", total=sound.total_samples) as step:
        audio.write_file(sound, file, step, told=told, bits=bits)
    say(f"[bold]{plain(file)}[/]  {file.stat().st_size / 1e6:.1f} MB\n[dim]{plain(reason)}[/]")


# --- presets ------------------------------------------------------------------------------------


def presets(
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,  # noqa: FBT002
) -> None:
    """List ready sessions for `stillwave render --preset NAME FILE`."""
    import msgspec
    from rich.console import Console
    from rich.table import Table

    from stillwave.sessions.presets import PRESETS

    if as_json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(PRESETS), indent=2).decode() + "\n")
        return
    table = Table("Name", "Min", "For", "From, to", "Bed", box=None)
    for one in PRESETS:
        way = f"{one.initial}, {one.target}".replace("_", " ")
        table.add_row(f"[bold]{one.name}[/]", str(one.minutes), one.about, way, one.background.replace("_", " "))
    Console(highlight=False).print(table)


# --- analyse ------------------------------------------------------------------------------------


def analyse(
    file: Annotated[Path, typer.Argument(help="Any sound file.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,  # noqa: FBT002
    picture: Annotated[Path | None, typer.Option(help="Draw spectrum and beat into this .svg.")] = None,
    against: Annotated[Path | None, typer.Option(help="Compare with a programme (.json) or a sequence (.sbg).")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing picture.")] = False,  # noqa: FBT002
) -> None:
    """Measure a sound file: beat, carriers, level, loudness; whether the beat is the promised one."""
    from stillwave.sound import audiofile
    from stillwave.sound.analysis import Analyser

    if picture is not None and picture.suffix.lower() != ".svg":
        raise errors.BadInput("--picture", "must end in .svg", [".svg"])
    if picture is not None and picture.exists() and not force:
        raise errors.Conflict(f"{picture} exists already. Choose another name, or add --force.")
    with audiofile.opened(file) as sound:
        plan, promised_by = _plan(file, against)
        analyser = Analyser(sound.rate_hz, sound.channels, plan, picture=picture is not None)
        with progress("Listening", total=sound.frames) as step:
            done = 0
            for block, words in sound.blocks:
                analyser.add(block, words)
                done += len(block)
                step(done, max(done, sound.frames or 0))
        found = analyser.result()
        facts = [("Format", f"{sound.format}, {sound.coding}")]
    if picture is not None and analyser.picture is not None:
        from stillwave.sound.picture import svg

        _save(picture, svg(found, analyser.picture.decibels(), file.name, _sentence(found)))
    if as_json:
        _print_json(found, {"file": str(file), "format": sound.format, "coding": sound.coding, "promised_by": promised_by})
    else:
        _print_analysis(found, file, facts, promised_by)


def _plan(file: Path, against: Path | None) -> tuple[Audible | None, str | None]:
    """What the sound should be, and who says so."""
    from stillwave.sound import sbg, tags

    if against is None:
        with file.open("rb") as opened:
            found = tags.programme_in(opened)
        return found, None if found is None else "its own tag"
    text = _text(against, "--against")
    if against.suffix.lower() == ".sbg":
        try:
            return sbg.read(text, against.name).sequence, against.name
        except errors.BadInput as error:
            if not error.detail.startswith("--minutes"):
                raise
            return sbg.read(text, against.name, minutes=sbg.LONGEST_MIN).sequence, against.name
    try:
        return tags.programme_of(text.encode()), against.name
    except ValueError as error:
        raise errors.BadInput("--against", f"is not a programme: {error}", "a programme as JSON, or .sbg") from None


def _save(picture: Path, text: str) -> None:
    try:
        picture.write_text(text)
    except OSError as error:
        picture.unlink(missing_ok=True)
        raise errors.BadInput("--picture", f"cannot be written: {error.strerror}", "a file in an existing folder") from error


def _print_json(found: Analysis, facts: dict[str, str | None]) -> None:
    import msgspec

    whole = {**facts, "sentence": _sentence(found), **msgspec.to_builtins(found)}
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(whole), indent=2).decode() + "\n")


def _sentence(found: Analysis) -> str:
    """What was heard, in a sentence."""
    if found.level_dbfs is None:
        return "Silence."
    if not found.windows:
        return f"Too short to tell a beat: {found.seconds:.1f} s."
    if found.beat_least_hz is None or found.beat_most_hz is None:
        return "No beat: no steady pair of tones, no pulses, no swaying as a whole."
    names = {"binaural": "Binaural beat", "monaural": "Monaural beat", "isochronic": "Isochronic pulses", "am": "The whole sways"}
    way = f"{found.beat_least_hz:.2f} Hz"
    if found.beat_most_hz - found.beat_least_hz >= 0.02:
        first, last = (next(w.beat_hz for w in side if w.beat_hz) for side in (found.windows, found.windows[::-1]))
        way = f"{found.beat_least_hz:.2f} to {found.beat_most_hz:.2f} Hz, from {first:.2f} at first to {last:.2f} at last"
    share = "" if found.beat_share > 0.99 else f", in {found.beat_share:.0%} of the time"
    return f"{names[found.method]}: {way}{share}."


def _print_analysis(found: Analysis, file: Path, facts: list[tuple[str, str]], promised_by: str | None) -> None:
    from rich.console import Console
    from rich.table import Table

    channels = {1: "mono", 2: "stereo"}.get(found.channels, f"{found.channels} channels, of which the first two were heard")
    facts = [
        *facts,
        ("Sound", f"{_clock(found.seconds)}, {found.sample_rate_hz / 1000:g} kHz, {channels}"),
        ("Heard", _sentence(found)),
    ]
    if promised_by is not None:
        facts.append((f"Plan ({promised_by})", _kept(found)))
    facts += [
        ("Loudness", f"{_db(found.loudness_lufs, 'LUFS')}, level {_db(found.level_dbfs, 'dBFS')}"),
        ("Peak", f"{_db(found.true_peak_dbtp, 'dBTP')}, of samples {_db(found.sample_peak_dbfs, 'dBFS')}"),
        ("Noise", f"{_db(found.noise_slope_db_per_octave, 'dB an octave')}"),
        ("SHA-256", f"{found.content_sha256[:32]}\n{found.content_sha256[32:]}"),
    ]
    if found.clipped_samples:
        facts.append(("Clipped", f"{found.clipped_samples} samples"))
    top = Table(show_header=False, box=None, pad_edge=False)
    for name, value in facts:
        top.add_row(f"[dim]{plain(name)}[/]", plain(value))
    console = Console(highlight=False)
    console.print(f"[bold]{plain(file.name)}[/]")
    console.print(top)
    shown = _compared_rows(found) if found.compared else _window_rows(found)
    if shown is not None:
        console.print()
        console.print(shown)


_ROWS_MOST = 12


def _window_rows(found: Analysis) -> Any:  # noqa: ANN401 - a Rich table
    from rich.table import Table

    heard = [window for window in found.windows if window.beat_hz is not None]
    if not heard:
        return None
    table = Table("From", "Left Hz", "Right Hz", "Beat Hz", "Level dBFS", "At once (carrier, beat)", box=None, pad_edge=False)
    for window in _some(heard):
        others = "  ".join(f"{carrier:.1f}, {beat:.2f}" for carrier, beat in window.others[:2])
        values = [_number(hz, 3) for hz in (window.left_hz, window.right_hz, window.beat_hz)]
        table.add_row(_clock(window.start_s), *values, _number(window.level_dbfs, 1), others)
    return table


def _compared_rows(found: Analysis) -> Any:  # noqa: ANN401 - a Rich table
    from rich.table import Table

    table = Table("From", "What", "Carrier Hz", "Error", "Beat Hz", "Error", box=None, pad_edge=False)
    starts = sorted({one.start_s for one in found.compared})
    shown = set(_some(starts, max(2, _ROWS_MOST // max(1, len(found.compared) // len(starts)))))
    for one in (one for one in found.compared if one.start_s in shown):
        table.add_row(
            _clock(one.start_s), one.part, _number(one.planned_carrier_hz, 2), _number(one.carrier_error_hz, 4),
            _number(one.planned_beat_hz, 3), _number(one.beat_error_hz, 4),
        )  # fmt: skip
    return table


def _some(rows: list[Any], most: int = _ROWS_MOST) -> list[Any]:
    """At most so many, spread evenly, with the first and the last."""
    if len(rows) <= most:
        return rows
    return [rows[round(place * (len(rows) - 1) / (most - 1))] for place in range(most)]


def _kept(found: Analysis) -> str:
    if not found.promised_windows:
        return "promises no beat"
    there = found.promised_windows - found.missed_windows
    if found.beat_error_most_hz is None:
        return f"the beat it promises was found in none of {found.promised_windows} windows"
    carrier = "" if found.carrier_error_most_hz is None else f", carrier within {found.carrier_error_most_hz:.4f} Hz"
    return f"beat within {found.beat_error_most_hz:.4f} Hz{carrier}; found in {there} of {found.promised_windows} windows"


def _clock(seconds: float) -> str:
    whole = int(seconds)
    if seconds < 10:
        return f"{seconds:.1f} s"
    hours = f"{whole // 3600}:" if whole >= 3600 else ""
    return f"{hours}{whole // 60 % 60:02d}:{whole % 60:02d}"


def _db(value: float | None, unit: str) -> str:
    return "none" if value is None else f"{value:.1f} {unit}"


def _number(value: float | None, digits: int) -> str:
    return "·" if value is None else f"{round(value, digits) + 0.0:.{digits}f}"  # no minus before nought
