"""`stillwave backup FILE`, `backup --keys FILE`, `backup verify FILE`, `restore FILE`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from stillwave import errors
from stillwave.cli_sound import plain, progress, say

if TYPE_CHECKING:
    from stillwave.db.database import PostgresDatabase, SqliteDatabase
    from stillwave.settings import Settings

    Opened = Callable[[], AbstractContextManager[tuple[Settings, SqliteDatabase | PostgresDatabase]]]


class _MakeUnlessTold(TyperGroup):
    """`backup FILE` is `backup make FILE`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401  typer keeps its Context to itself
        if not args or args[0] not in {*self.commands, "--help"}:
            args = ["make", *args]
        return super().parse_args(ctx, args)


def add_to(app: typer.Typer, opened: Opened, load: Callable[[], Settings]) -> None:
    """The program has these commands; `opened` opens the database with a current schema."""
    group = typer.Typer(help="Backups.", cls=_MakeUnlessTold)

    @group.command("make")
    def make(
        file: Annotated[Path | None, typer.Argument(help="Where to; else a new file in STILLWAVE_BACKUP_DIR.")] = None,
        keys: Annotated[Path | None, typer.Option(help="Back up the key store instead, to this file.")] = None,
    ) -> None:
        """Back up the database of a running server, or with --keys its key store."""
        if file is not None and keys is not None:
            raise errors.BadInput("--keys", "is given with a file for the database", "one of the two: they are kept apart")
        with opened() as (settings, database):
            if keys is not None:
                _make_keys(database, keys)
            else:
                _make(settings, database, file)

    @group.command("verify")
    def verify(file: Path) -> None:
        """Try a backup: restore it into a scratch database, compare everything, and remove that again."""
        from stillwave.operator import backup

        with opened() as (_settings, database), progress("Trying the backup") as step:
            done = backup.verify(database, file, lambda _table: step(0))
        backup.remember_verified(file)
        say(f"[bold]The backup is good.[/] {done.rows} rows of {done.tables} tables came back as they were at {done.at:%Y-%m-%d %H:%M} UTC;"
            f" the words of {done.opened} people open with the key store.")  # fmt: skip
        if done.keyless:
            say(f"{done.keyless} people in it were erased since; a restore erases them again.")

    app.add_typer(group, name="backup")

    @app.command("restore")
    def restore(
        file: Annotated[Path, typer.Argument(help="A file that `stillwave backup` wrote.")],
        keys: Annotated[Path | None, typer.Option(help="The newest copy of the key store, where the data folder has none.")] = None,
        one_role: Annotated[bool, typer.Option("--one-role", help="As for `db init`.")] = False,  # noqa: FBT002
        without_keys: Annotated[bool, typer.Option("--without-keys", help="Erase who is newer than the key store.")] = False,  # noqa: FBT002
    ) -> None:
        """Restore a backup into an empty data folder or an empty database."""
        from stillwave.operator import backup
        from stillwave.web.kit import system_clock

        settings = load()
        with progress("Restoring") as step:
            done = backup.restore(
                settings, file, keys, system_clock(), lambda _table: step(0), one_role=one_role, without_keys=without_keys
            )
        say(f"[bold]Restored:[/] {done.rows} rows, as of {done.at:%Y-%m-%d %H:%M} UTC, proven by count and digest. "
            f"{done.people - done.erased} people can sign in again.")  # fmt: skip
        if done.erased:
            say(f"{done.erased} people were erased since; they are erased again.")


def _make(settings: Settings, database: SqliteDatabase | PostgresDatabase, file: Path | None) -> None:
    from stillwave.operator import backup
    from stillwave.web.kit import system_clock

    now = system_clock()
    if file is None and settings.backup_dir is None:
        raise errors.BadInput("FILE", "is missing", "a name for the backup, or set STILLWAVE_BACKUP_DIR")
    path = file or settings.backup_dir / backup.name_at(now)  # type: ignore[operator]
    done = backup.take(database, path, now)
    say(f"{done.rows} rows of {len(done.sums)} tables are in [bold]{plain(path)}[/] ({path.stat().st_size / 1024**2:.1f} MiB).")
    say("[dim]The key store is backed up apart: stillwave backup --keys FILE. Try this one: stillwave backup verify FILE[/]")


def _make_keys(database: SqliteDatabase | PostgresDatabase, file: Path) -> None:
    from stillwave.operator import backup
    from stillwave.web.kit import system_clock

    now = system_clock()
    backup.take_keys(database, file, now)
    say(f"The key store is in [bold]{plain(file)}[/]. Keep it apart from backups of the database, and at most 35 days.")
    for path in backup.old_keys(file.absolute().parent, now):
        say(f"[bold red]{plain(path)} is older than 35 days: remove it.[/] It still holds the keys of people who were erased.", err=True)
