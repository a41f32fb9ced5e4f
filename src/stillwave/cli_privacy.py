"""The commands about people's rights: export, import, receipts of erasures."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from stillwave import errors
from stillwave.cli_sound import plain, say


def add_to(user_app: typer.Typer) -> None:
    """The commands of accounts have these, too."""
    user_app.command("export")(user_export)
    user_app.command("import")(user_import)


receipt_app = typer.Typer(help="Receipts of erasures.", no_args_is_help=True)


@receipt_app.callback()
def receipts() -> None:
    """Receipts of erasures."""


@receipt_app.command("verify")
def receipt_verify(context: typer.Context, file: Annotated[Path, typer.Argument(help="A receipt that a person was given.")]) -> None:
    """Say whether this Stillwave made a receipt, and whether what it promises is so."""
    import msgspec

    from stillwave.privacy import erasure

    try:
        given = msgspec.json.decode(file.read_bytes(), type=erasure.Receipt)
    except (OSError, msgspec.MsgspecError) as error:
        raise errors.BadInput("FILE", "is not a receipt", "the JSON file that the person downloaded") from error
    with context.obj() as (_settings, database):
        wrong = erasure.check(database, given)
    for line in wrong:
        say(f"[red]No[/]: {line}.", err=True)
    if wrong:
        raise typer.Exit(1)
    say(f"This Stillwave made it. {sum(given.rows.values())} rows went on {given.erased_at:%d %B %Y}, and nothing came back.")


# --- export and import --------------------------------------------------------------------------


def user_export(
    context: typer.Context,
    email: str,
    file: Annotated[Path, typer.Argument(help="Where to write it; must not exist yet.")],
    sound: Annotated[str, typer.Option(help="none, stored (what was made already) or all (takes long).")] = "none",
    age: Annotated[str | None, typer.Option(help="Encrypt it to this public key of age (age1...).")] = None,
) -> None:
    """Write everything that is held about a person into a ZIP."""
    import typing

    from stillwave.accounts import actions as accounts
    from stillwave.db import audit
    from stillwave.privacy import takeout
    from stillwave.sessions.audio import SoundFiles
    from stillwave.web.kit import system_clock

    if sound not in typing.get_args(takeout.Sound):
        raise errors.BadInput("--sound", "is not known", list(typing.get_args(takeout.Sound)))
    wish = takeout.Wish(sound=sound, age=age)  # type: ignore[arg-type]
    with context.obj(right="operator") as (settings, database):
        with database.read() as tx:
            user = accounts.by_email(tx, email)
        pieces = takeout.pieces(database, SoundFiles(settings, database), user.id, wish, system_clock())
        with database.write(user.id) as tx:
            audit.note(tx, user.id, "export.made", system_clock(), actor="operator", sound=sound)
        size_bytes = _write_new(file, pieces)
    say(f"{size_bytes / 1024**2:.1f} MiB are in {plain(file)}. They are this person's alone: give them to nobody else.")


def _write_new(file: Path, pieces: Iterator[bytes]) -> int:
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise errors.Conflict(f"{file} exists already. Choose another name.") from None
    except OSError as error:
        raise errors.BadInput("FILE", "cannot be written", "a file in an existing folder that you may write to") from error
    size_bytes = 0
    try:
        with os.fdopen(handle, "wb") as out:
            for piece in pieces:
                out.write(piece)
                size_bytes += len(piece)
    except BaseException as error:
        file.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise errors.StorageFull("The file could not be written whole, so nothing of it is left.") from error
        raise
    return size_bytes


def user_import(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="An export: a ZIP, or one encrypted with age.")],
    identity: Annotated[Path | None, typer.Option(help="The file with the key of age that opens it.")] = None,
    password: Annotated[str | None, typer.Option(envvar="STILLWAVE_NEW_PASSWORD", help="Asked for if not set.")] = None,
) -> None:
    """Take in a person with everything in their export; they sign in with a new password."""
    from stillwave.privacy import arrival
    from stillwave.web.kit import system_clock

    with _as_zip(file, identity) as whole, context.obj(right="operator") as (_settings, database):
        password = password or typer.prompt("New password of the person", hide_input=True, confirmation_prompt=True)
        found = arrival.take_in(database, whole, password, system_clock())
    say(f"{sum(found.rows.values())} records are here: " + ", ".join(f"{count} {name}" for name, count in found.rows.items()))
    for name, why in found.left_out.items():
        say(f"[dim]Left out: {name} ({why})[/]")


@contextmanager
def _as_zip(file: Path, identity: Path | None) -> Iterator[BinaryIO]:
    """The file, opened; one of age through its key, into a file without a name."""
    import pyrage

    try:
        with file.open("rb") as given:
            if identity is None:
                if given.read(21) == b"age-encryption.org/v1":
                    raise errors.BadInput("FILE", "is encrypted with age", "the file with its key as --identity")
                given.seek(0)
                yield given
                return
            lines = identity.read_text(encoding="utf-8").splitlines()
            keys = [pyrage.x25519.Identity.from_str(line.strip()) for line in lines if line.startswith("AGE-SECRET-KEY-")]
            with tempfile.TemporaryFile() as opened:  # without a name: it goes with its handle
                pyrage.decrypt_io(given, opened, keys)
                opened.seek(0)
                yield opened
    except (pyrage.DecryptError, pyrage.IdentityError):
        raise errors.BadInput("FILE", "is not opened by this key", "the key that it was encrypted to") from None
    except (FileNotFoundError, IsADirectoryError, PermissionError, UnicodeDecodeError) as error:
        raise errors.BadInput("FILE", "cannot be read", "a file that you may read") from error
