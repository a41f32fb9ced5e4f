"""`stillwave breach`: who was affected, what could be read, letters as files, and the clocks of the law."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stillwave import errors
from stillwave.cli_sound import plain, say

if TYPE_CHECKING:
    from stillwave.breach.actions import Letters
    from stillwave.breach.rules import Breach
    from stillwave.cli_audit import Open


def add_to(app: typer.Typer, opened: Open) -> None:
    """The program has these commands."""
    group = typer.Typer(help="Breaches: who was affected, letters, clocks.", no_args_is_help=False)

    @group.callback(invoke_without_command=True)
    def breach(
        context: typer.Context,
        since: Annotated[str | None, typer.Option(help="From when, UTC, such as 2026-11-20T08:00.")] = None,
        until: Annotated[str | None, typer.Option(help="Until when; else until now.")] = None,
        known: Annotated[str | None, typer.Option(help="When it became known; else now. The clocks begin here.")] = None,
        what: Annotated[list[str] | None, typer.Option(help="database, backup, key, login or logs; may be given again.")] = None,
        email: Annotated[str | None, typer.Option(help="Only this person, such as for one stolen sign-in.")] = None,
        letters: Annotated[Path, typer.Option(help="A new folder for the letters.")] = Path("breach-letters"),
    ) -> None:
        """Put a breach on record and write the letters."""
        if context.invoked_subcommand is None:
            _note(opened, since, until, known, what or ["database"], email, letters)

    @group.command("list")
    def every() -> None:
        """Every breach on record, with its clocks."""
        from stillwave.breach import actions
        from stillwave.web.kit import system_clock

        with opened() as (_settings, database), database.read() as tx:
            found = actions.everything(tx)
        for one in found:
            _say(one, system_clock())
        if not found:
            say("No breach is on record.")

    @group.command("told")
    def told(
        breach_id: Annotated[str, typer.Argument(metavar="ID")],
        authority: Annotated[bool, typer.Option("--authority", help="The authority was told.")] = False,  # noqa: FBT002
        people: Annotated[bool, typer.Option("--people", help="The people were told.")] = False,  # noqa: FBT002
    ) -> None:
        """Put on record who was told, now."""
        from stillwave.breach import actions
        from stillwave.web.kit import system_clock

        if not authority and not people:
            raise errors.BadInput("--authority", "or --people is missing", "who was told")
        with opened(right="operator") as (_settings, database), database.write() as tx:
            one = actions.told(tx, breach_id, authority=authority, people=people, now=system_clock())
        _say(one, system_clock())

    app.add_typer(group, name="breach")


def _note(
    opened: Open, since: str | None, until: str | None, known: str | None, what: list[str], email: str | None, folder: Path
) -> None:
    from stillwave.breach import actions
    from stillwave.web.kit import system_clock

    now = system_clock()
    if since is None:
        raise errors.BadInput("--since", "is missing", "from when, UTC, such as 2026-11-20T08:00")
    start, end, knew = _moment(since, "--since"), _moment(until, "--until") if until else now, _moment(known, "--known") if known else now
    if folder.exists():
        raise errors.Conflict(f"{folder} exists already. Name another folder with --letters: letters are kept.")
    with opened(right="operator") as (settings, database):
        breach, people, erased = actions.note(database, what, start, end, knew, now, email=email)
        _write(folder, actions.letters(database, breach, people, erased, settings.mail_from))
    _say(breach, now)
    say(f"{breach.people} people are affected; it is in the log of each. {erased} more were erased since.")
    say(f"The letters are in [bold]{plain(folder)}[/]: complete what stands in brackets, and send them.")


def _moment(text: str, name: str) -> dt.datetime:
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError:
        raise errors.BadInput(name, "is not a time", "a time such as 2026-11-20T08:00 (UTC)") from None
    return found.astimezone(dt.UTC) if found.tzinfo else found.replace(tzinfo=dt.UTC)


def _write(folder: Path, letters: Letters) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True)
        for name, text in {"authority.txt": letters.authority, **letters.people}.items():
            with os.fdopen(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        raise errors.StorageFull(f"The letters cannot be written to {folder}: {error.strerror}.") from error


def _say(breach: Breach, now: dt.datetime) -> None:
    say(f"[bold]{breach.id}[/]  {breach.what}, {breach.since_at:%Y-%m-%d %H:%M} to {breach.until_at:%Y-%m-%d %H:%M} UTC, {breach.people} people")
    for who, due, told in breach.clocks():
        if told:
            say(f"  {who}: told {told:%Y-%m-%d %H:%M} UTC")
        else:
            left = due - now
            hours = left.total_seconds() / 3600
            say(f"  {who}: by {due:%Y-%m-%d %H:%M} UTC, " + (f"{hours:.0f} hours left" if hours >= 0 else "[bold red]overdue[/]"))
