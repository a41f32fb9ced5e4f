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
    from stillwave.sound.sequence import Audible

_ENDINGS = [".flac", ".opus", ".wav"]
_WAV_MOST_BYTES = 2**32 - 1


def add_to(app: typer.Typer) -> None:
    """The program has these commands."""
    for command in (render, presets):
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
    minutes: Annotated[int | None, typer.Option(min=1, max=240, show_default="20")] = None,
    background: Annotated[str | None, typer.Option(help="nature, rain, ocean, ambient, white_noise, ... or none", show_default="nature")] = None,
    headphones: Annotated[bool, typer.Option("--headphones/--speaker")] = True,  # noqa: FBT002
    volume: Annotated[int, typer.Option(min=0, max=70, help="0-70")] = 45,
    seed: Annotated[int | None, typer.Option(min=0, help="The same seed gives the same sound.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,  # noqa: FBT002
    beat_db: Annotated[float | None, typer.Option(min=-40, max=12, help="Loudness of the beat beside the bed.")] = None,
    bed_db: Annotated[float | None, typer.Option(min=-40, max=12, help="Loudness of the bed beside the beat.")] = None,
    swap: Annotated[bool, typer.Option("--swap", help="Exchange left and right.")] = False,  # noqa: FBT002
    method: Annotated[str | None, typer.Option(help="binaural, monaural, isochronic, am, steady or none")] = None,
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
        _render_sequence(sbg, file, minutes=minutes, volume=volume, seed=chosen_seed, swap=swap, strict=strict)
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
    _write(programme, file, told=audio.tags("Session", reason), reason=reason)


def _render_sequence(
    source: Path, file: Path, *, minutes: int | None, volume: int, seed: int, swap: bool, strict: bool
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
    _write(read.sequence, file, told=audio.tags(source.stem, f"From {source.name}"), reason=f"From {source.name}")


def _text(source: Path) -> str:
    """What a sequence file says. Old ones are Latin-1."""
    from stillwave.sound.sbg import MOST_BYTES

    try:
        with source.open("rb") as opened:
            raw = opened.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise errors.BadInput("--sbg", "names a file that does not exist") from None
    except OSError as error:
        raise errors.BadInput("--sbg", f"cannot be read: {error.strerror}") from error
    if len(raw) > MOST_BYTES:
        raise errors.BadInput("--sbg", "is larger than a sequence file can be", "1 MB")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _write(sound: Audible, file: Path, *, told: dict[str, str], reason: str) -> None:
    from stillwave.sessions import audio
    from stillwave.sound import encode

    if file.suffix.lower() == ".wav" and encode.wav_size(sound) > _WAV_MOST_BYTES:
        raise errors.BadInput("FILE", "would be larger than a WAV can be (4 GiB)", [".flac", ".opus"])
    with progress("Rendering", total=sound.total_samples) as step:
        audio.write_file(sound, file, step, told=told)
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
