"""`stillwave audit`: the security audit of this installation, and what its operator vouches for."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from contextlib import AbstractContextManager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stillwave import errors
from stillwave.cli_sound import plain, say

if TYPE_CHECKING:
    from stillwave.db.database import PostgresDatabase, SqliteDatabase
    from stillwave.inspection.rules import Report
    from stillwave.settings import Settings

    Open = Callable[..., AbstractContextManager[tuple[Settings, SqliteDatabase | PostgresDatabase]]]


class Least(StrEnum):
    """From which severity on a finding fails the command."""

    low = "low"
    medium = "medium"
    high = "high"
    never = "never"


def add_to(app: typer.Typer, opened: Open) -> None:
    """The program has these commands; `opened` opens settings and database."""
    group = typer.Typer(help="The security audit of this installation.", no_args_is_help=False)

    @group.callback(invoke_without_command=True)
    def audit(
        context: typer.Context,
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,  # noqa: FBT002
        html: Annotated[Path | None, typer.Option(help="Write the report as a page to this file.")] = None,
        fail_on: Annotated[Least, typer.Option(help="Exit status 1 from this severity on.")] = Least.never,
        url: Annotated[str | None, typer.Option(help="Ask the server as people reach it, such as https://calm.example.org.")] = None,
        authority: Annotated[Path | None, typer.Option(help="A file of certificates to trust besides those of the system.")] = None,
    ) -> None:
        """Look at everything, store the report, say what changed."""
        if context.invoked_subcommand is None:
            _audit(opened, as_json=as_json, html=html, fail_on=fail_on, url=url, authority=authority)

    @group.command("attest")
    def attest(
        check_id: Annotated[str, typer.Argument(metavar="ID")],
        until: Annotated[str, typer.Option(help="The last day it counts, such as 2027-01-31.")],
        because: Annotated[str, typer.Option(help="What you looked at, and what you saw.")] = "looked at by the operator",
    ) -> None:
        """Vouch for what the program cannot see, for at most a year."""
        from stillwave.inspection import actions
        from stillwave.web.kit import system_clock

        try:
            day = dt.date.fromisoformat(until)
        except ValueError:
            raise errors.BadInput("--until", "is not a day", "a day such as 2027-01-31") from None
        with opened(right="operator") as (_settings, database), database.write() as tx:
            actions.attest(tx, check_id, day, because, system_clock())
        say(f"Noted: {plain(check_id)} is vouched for until {day}.")

    @group.command("history")
    def history(most: Annotated[int, typer.Option(min=1, max=1000)] = 30) -> None:
        """How the last audits ended, and everything that was vouched for."""
        from stillwave.inspection import actions

        with opened() as (_settings, database), database.read(right="retention") as tx:
            reports, said = actions.history(tx, most), actions.attestations(tx)
        for report in reports:
            told = ", ".join(f"{count} {verdict}" for verdict, count in report.counts().items())
            say(f"{report.at:%Y-%m-%d %H:%M}  {told}" + "".join(f"  {c.id}: {c.before}->{c.after}" for c in report.changes))
        for one in said:
            say(f"{one.said_at:%Y-%m-%d}  {one.check_id} until {one.until}: {plain(one.statement)}")

    app.add_typer(group, name="audit")


def _audit(opened: Open, *, as_json: bool, html: Path | None, fail_on: Least, url: str | None, authority: Path | None) -> None:
    import msgspec

    from stillwave.inspection import actions, rules
    from stillwave.inspection.probe import ask
    from stillwave.operator import actions as operator
    from stillwave.web.kit import system_clock

    probe = ask(url, authority=str(authority) if authority else None) if url else None
    with opened() as (settings, database):
        now = system_clock()
        report = actions.inspect(settings, database, operator.housekeeping(database, now), now, probe=probe)
        actions.keep(database, report)
    if html is not None:
        _write(html, report)
    print(msgspec.json.encode(report).decode() if as_json else rules.as_text(report))  # noqa: T201
    if fail_on is not Least.never and rules.too_bad(report, _severity(fail_on)):
        raise typer.Exit(1)


def _severity(least: Least) -> Any:  # noqa: ANN401  the literal of rules
    return least.value


def _write(file: Path, report: Report) -> None:
    from stillwave.web import pages

    try:
        file.write_text(pages.render("inspection/report.html", report=report), encoding="utf-8")
    except OSError as error:
        raise errors.BadInput("--html", "cannot be written", "a file in a place that you may write to") from error
