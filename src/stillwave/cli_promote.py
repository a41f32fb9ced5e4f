"""The commands that move a whole database: promote, demote, promotion-report.

Exit status beside those of every command: 0 every row arrived, 3 some rows are only in promotion_rejects,
1 the target is not what it should be.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple
from uuid import UUID

import msgspec
import typer

from stillwave import errors
from stillwave.cli_sound import plain, say
from stillwave.settings import POSTGRES, Settings, load

if TYPE_CHECKING:
    from stillwave.db.database import PostgresDatabase, SqliteDatabase
    from stillwave.db.keys import RootKey
    from stillwave.promote.copy import Run
    from stillwave.promote.report import Report
    from stillwave.promote.sources import OwnSource, PocSource

_SOME_REJECTED = 3
Quiet = Annotated[bool, typer.Option("--quiet", help="Say nothing but what went wrong.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the report as JSON.")]
ReportFile = Annotated[Path | None, typer.Option("--report", help="Write the report here: .txt, .json or .html.")]
Sample = Annotated[int, typer.Option(min=0, max=10_000, help="How many people are compared field by field.")]


def add_to(app: typer.Typer) -> None:
    """The program has these commands."""
    app.command()(promote)
    app.command()(demote)
    app.command("promotion-report")(promotion_report)


def promote(
    source: Annotated[str, typer.Option("--from", help="A proof of concept: SQLite file or postgresql://...; or a Stillwave data folder.")],
    to: Annotated[str | None, typer.Option("--to", help="postgresql://... or the folder of a new embedded database.")] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Say what would happen, and change nothing.")] = False,  # noqa: FBT002
    merge: Annotated[bool, typer.Option("--merge", help="The target may hold people; the same e-mail is the same person.")] = False,  # noqa: FBT002
    follow: Annotated[bool, typer.Option("--follow", help="The source stays in use: copy on what changes there, until the switch.")] = False,  # noqa: FBT002
    cut_over: Annotated[bool, typer.Option("--cut-over", help="The switch: the source takes no more writes, the rest is copied and checked.")] = False,  # noqa: FBT002
    from_key: Annotated[Path | None, typer.Option("--from-key", help="The root key of a Stillwave source.", show_default="root.key beside it")] = None,
    report: ReportFile = None,
    sample: Sample = 20,
    quiet: Quiet = False,  # noqa: FBT002
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Copy a database into PostgreSQL (or a new folder), translated and checked. Run again, it goes on where it ended."""
    from stillwave.promote import sources

    _check_report(report)
    if merge and source.startswith(POSTGRES):
        raise errors.BadInput("--merge", "does not take flat tables", "a new folder as --to first; then that folder as --from, with --merge")
    opened, file = _open_source(source, from_key)
    try:
        if plan:
            _show_plan(opened, _there_already(to) if merge else None, quiet=quiet, as_json=as_json)
            return
        if to is None:
            raise errors.BadInput("--to", "is missing", "postgresql://user:password@host/database, or a folder")
        settings = _target(to)
        if isinstance(opened, sources.OwnSource) and settings.database_url is None and settings.database_file.exists() \
                and settings.database_file.samefile(file):
            raise errors.BadInput("--to", "is the source itself", "another folder")
        if to == source:
            raise errors.BadInput("--to", "is the source itself", "another database, or a folder")
        live = None
        if follow or cut_over:
            if merge or not isinstance(opened, sources.OwnSource):
                raise errors.BadInput("--follow and --cut-over", "copy a whole Stillwave that runs", "--from its data folder, without --merge")
            live = _Live(opened, file, cut_over=cut_over)
        _run(opened, settings, merge=merge, person=None, live=live, report=report, sample=sample, quiet=quiet, as_json=as_json)
    finally:
        opened.close()


def demote(
    to: Annotated[Path, typer.Option("--to", help="The folder of a new embedded database; it gets a root key of its own.")],
    person: Annotated[str | None, typer.Option("--person", help="Only the person with this e-mail.")] = None,
    report: ReportFile = None,
    sample: Sample = 20,
    quiet: Quiet = False,  # noqa: FBT002
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Copy everyone, or one person, out of this installation into a new embedded database that needs no server."""
    from stillwave.accounts import actions
    from stillwave.db import database, migrate
    from stillwave.promote.sources import OwnSource

    _check_report(report)
    here = load(os.environ)
    opened = database.open_database(here)
    try:
        opened.right = "operator"
        if (state := migrate.check(opened)) != "current":
            raise errors.CannotStart(f"The schema is {state}. Run: stillwave db {'init' if state == 'empty' else 'migrate'}")
        migrate.require_key(opened)
        whose: UUID | None = None
        if person is not None:
            with opened.read() as tx:
                whose = actions.by_email(tx, person).id
        environ = {name: value for name, value in os.environ.items()
                   if name not in ("STILLWAVE_DATABASE_URL", "STILLWAVE_ROOT_KEY", "STILLWAVE_ROOT_KEY_FILE")}
        settings = load({**environ, "STILLWAVE_DATA_DIR": str(to.absolute())})
        if settings.data_dir == here.data_dir:
            raise errors.BadInput("--to", "is the folder of this installation", "another folder")
        source = OwnSource(opened, here.audio_dir, owned=False)
        _run(source, settings, merge=False, person=whose, report=report, sample=sample, quiet=quiet, as_json=as_json)
    finally:
        opened.close()
        opened.vault.keys.close()


def promotion_report(file: Annotated[Path, typer.Argument(help="A report that promote or demote wrote.")]) -> None:
    """Say whether a report is as it was written, under this installation's root key."""
    from stillwave.db.keys import load_root_key
    from stillwave.promote import report

    try:
        page = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise errors.BadInput("FILE", "cannot be read", "a report that promote wrote") from error
    if not report.unchanged(page, load_root_key(load(os.environ), may_create=False)):
        say(f"[bold red]{plain(file)} was changed, or was written under another root key.[/]", err=True)
        raise typer.Exit(1)
    say("The report is as it was written.")


def _check_report(report: Path | None) -> None:
    if report is not None and report.suffix.lower() not in (".txt", ".json", ".html"):
        raise errors.BadInput("--report", "has no ending that says its form", ".txt, .json or .html")
    if report is not None and not report.absolute().parent.is_dir():
        raise errors.BadInput("--report", "lies in a folder that is not there", "a folder that exists")


def _open_source(given: str, from_key: Path | None) -> tuple[PocSource | OwnSource, Path]:
    """What is promoted, and its file where it is one."""
    from stillwave.promote import flat, sources

    if given.startswith(POSTGRES):
        return flat.FlatSource(given), Path()
    if "://" in given:
        raise errors.BadInput("--from", "is an address of an unknown kind", "a file, a folder, or postgresql://user:password@host/database")
    path = Path(given)
    return sources.open_source(path, _source_key(path, from_key)), path / "stillwave.db" if path.is_dir() else path


def _source_key(source: Path, given: Path | None) -> RootKey | None:
    """The root key of a source that is a Stillwave; None where there is none."""
    from stillwave.db.keys import load_root_key

    folder = source if source.is_dir() else source.absolute().parent
    environ = {"STILLWAVE_DATA_DIR": str(folder)}
    if given is not None:
        if not given.is_file():
            raise errors.BadInput("--from-key", "is not a file", "the root.key of the source")
        environ["STILLWAVE_ROOT_KEY_FILE"] = str(given)
    elif not (folder / "root.key").exists():
        environ |= {name: value for name, value in os.environ.items() if name.startswith("STILLWAVE_ROOT_KEY")}
    settings = load(environ)
    if not settings.root_key and not settings.root_key_file.exists():
        return None
    return load_root_key(settings, may_create=False)


def _target(to: str) -> Settings:
    if to.startswith(POSTGRES):
        return load({**os.environ, "STILLWAVE_DATABASE_URL": to})
    if "://" in to:
        raise errors.BadInput("--to", "is an address of an unknown kind", "postgresql://user:password@host/database, or a folder")
    environ = {name: value for name, value in os.environ.items() if name != "STILLWAVE_DATABASE_URL"}
    return load({**environ, "STILLWAVE_DATA_DIR": str(Path(to).absolute())})


@contextmanager
def _open_target(settings: Settings, *, may_make: bool = True) -> Iterator[SqliteDatabase | PostgresDatabase]:
    """The target with its schema: made where there is none yet, unless it may not be."""
    from stillwave.db import database, migrate

    opened = database.open_database(settings)
    try:
        state = migrate.check(opened)
        if state == "behind":
            raise errors.CannotStart("The schema of the target is behind. Run: stillwave db migrate. Nothing was changed.")
        if state == "empty" and not may_make:
            raise errors.CannotStart("The target is empty: there is nobody to join. Leave out --merge. Nothing was changed.")
        if state == "empty":
            migrate.upgrade(opened)
        migrate.require_key(opened)
        yield opened
    finally:
        opened.close()
        opened.vault.keys.close()


@contextmanager
def _bars(*, quiet: bool) -> Iterator[Any]:
    """Called with step, rows done and rows there are: a bar for each step, with rows a second and the time left."""
    if quiet:
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description:<18}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.completed:.0f} rows"),
        TextColumn("{task.fields[rate]}"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, tuple[Any, float, int]] = {}

        def step(name: str, done: int, of: int) -> None:
            if name not in tasks:
                tasks[name] = (bars.add_task(name, total=of or None, rate=""), time.monotonic(), done)
            task, began_s, before = tasks[name]
            rate = (done - before) / max(time.monotonic() - began_s, 0.001)
            bars.update(task, completed=done, total=of or None, rate=f"{rate:,.0f}/s")

        yield step


def _there_already(to: str | None) -> Settings | None:
    """The settings of a target that is looked at; None where there is none yet, which a plan does not make."""
    settings = _target(to) if to else None
    return settings if settings and settings.keys_file.exists() and (settings.database_url or settings.database_file.exists()) else None


def _show_plan(source: PocSource | OwnSource, there: Settings | None, *, quiet: bool, as_json: bool) -> None:
    from stillwave.promote import copy, plan
    from stillwave.web.kit import system_clock

    with _bars(quiet=quiet or as_json) as step, _open_target(there, may_make=False) if there else nullcontext() as target:
        into = copy.Run(source, target, system_clock(), merge=True) if target else None
        found = plan.plan(source, system_clock(), step, into)
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(found), indent=1).decode())  # noqa: T201
    else:
        say(plain(plan.told(found)))


def _run(
    source: PocSource | OwnSource, settings: Settings, *, merge: bool, person: UUID | None, report: Path | None,
    sample: int, quiet: bool, as_json: bool, live: _Live | None = None,
) -> None:  # fmt: skip
    from stillwave.db.keys import load_root_key
    from stillwave.promote import copy, verify
    from stillwave.promote import report as reports
    from stillwave.web.kit import system_clock

    began_s = time.monotonic()
    with _open_target(settings) as target:
        root = load_root_key(settings, may_create=False)
        with _bars(quiet=quiet or as_json) as step:
            run = copy.Run(source, target, system_clock(), merge=merge, person=person, audio=settings.audio_dir, progress=step)
            run.copy()
        if live is not None and not live.cut_over:
            _follow(live, run, quiet=quiet or as_json)
            return
        if live is not None:
            made = _switch(live, run, sample, quiet=quiet or as_json)
        else:
            made = reports.made(run, verify.verify(run, people=sample), system_clock(), time.monotonic() - began_s)
    _tell(made, settings, root, report=report, quiet=quiet, as_json=as_json)


def _tell(made: Report, settings: Settings, root: RootKey, *, report: Path | None, quiet: bool, as_json: bool) -> None:
    """The report is written and shown, and the exit status is its own."""
    from stillwave.promote import report as reports

    forms = {".json": reports.as_json, ".html": reports.as_html}
    if report is not None:
        try:
            report.write_text(forms.get(report.suffix.lower(), reports.text)(made, root), encoding="utf-8")
        except OSError as error:
            raise errors.BadInput("--report", f"cannot be written: {error.strerror}", "a place that you may write to") from error
    if as_json:
        print(reports.as_json(made, root), end="")  # noqa: T201
    elif not quiet:
        say(plain(reports.text(made, root)))
        if made.whole:
            say(plain(_next(settings)))
    if not made.whole:
        if quiet:
            say(f"[bold red]{plain(reports.verdict(made))}[/]", err=True)
        raise typer.Exit(1)
    if made.rejected:
        raise typer.Exit(_SOME_REJECTED)


class _Live(NamedTuple):
    """A source that is in use, its file, and whether this run is the switch."""

    source: OwnSource
    file: Path
    cut_over: bool


_LOOK_EVERY_S = 5.0


def _follow(live: _Live, run: Run, *, quiet: bool) -> None:
    from stillwave.promote import follow
    from stillwave.web.kit import system_clock

    def told(people: int) -> None:
        if people and not quiet:
            say(f"{system_clock():%H:%M:%S} {people} {'person' if people == 1 else 'people'} copied anew")

    if not quiet:
        say("Following. Ctrl+C ends it; --follow begins it again, --cut-over (from another terminal) is the switch.")
    try:
        follow.keep_up(run, live.source, live.file, told, lambda: time.sleep(_LOOK_EVERY_S))
    except KeyboardInterrupt:
        return
    if not quiet:
        say("The switch has begun elsewhere: following ends.")


def _switch(live: _Live, run: Run, sample: int, *, quiet: bool) -> Report:
    from stillwave.promote import follow
    from stillwave.web.kit import system_clock

    made = follow.switch(run, live.source, live.file, sample, system_clock)
    if not quiet:
        say(f"Nobody could write for {made.report.seconds:.1f} s; {made.people} {'person was' if made.people == 1 else 'people were'} copied in that time.")
        if made.report.whole:
            say(plain(f"The old database takes no more writes while {live.file.name}.moved lies beside it. Stop its server now."))
        else:
            say("[bold red]The old database stays in use.[/]")
    return made.report


def _next(settings: Settings) -> str:
    """The one line to change for the server to use the target."""
    if settings.database_url:
        return f"To use it, start the server with STILLWAVE_DATABASE_URL set to the URL you gave, and STILLWAVE_DATA_DIR={settings.data_dir}"
    return f"To use it, start the server with STILLWAVE_DATA_DIR={settings.data_dir} and without STILLWAVE_DATABASE_URL"
