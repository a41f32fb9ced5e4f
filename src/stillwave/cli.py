"""`stillwave`: serve, worker, demo, db, user, jobs, doctor, version. In `cli_sound`: render, presets, analyse; in
`cli_backup`: backup, restore; in `cli_promote`: promote, demote, promotion-report; in `cli_keys`: keys.

Exit status: 0 done, 1 failed or refused, 2 wrong use, 69 the database is out of reach or busy,
73 the disk is full or cannot be written, 78 a setting or key must be put right first.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stillwave import (
    __version__,
    cli_audit,
    cli_backup,
    cli_breach,
    cli_keys,
    cli_privacy,
    cli_promote,
    cli_sound,
    errors,
    log,
)
from stillwave.cli_sound import plain, progress, say
from stillwave.settings import Settings, load

if TYPE_CHECKING:
    from stillwave.db.database import PostgresDatabase, SqliteDatabase
    from stillwave.db.handle import Right

app = typer.Typer(
    help="Listening sessions that learn which settings you rate best.",
    no_args_is_help=False, add_completion=False, pretty_exceptions_enable=False,
)  # fmt: skip
db_app = typer.Typer(help="The database.", no_args_is_help=True)
user_app = typer.Typer(help="Accounts.", no_args_is_help=True)
cli_sound.add_to(app)
cli_promote.add_to(app)
jobs_app = typer.Typer(help="Work that waits, and what failed.", no_args_is_help=True)
app.add_typer(db_app, name="db")
log_app = typer.Typer(help="The audit log.", no_args_is_help=True)
app.add_typer(user_app, name="user")
cli_privacy.add_to(user_app)
app.add_typer(cli_privacy.receipt_app, name="receipt")
app.add_typer(log_app, name="audit-log")
app.add_typer(jobs_app, name="jobs")

_EXIT = {errors.OutOfReach: 69, errors.CannotStart: 78, errors.StorageFull: 73, errors.Unavailable: 69}


def main() -> None:
    """The program's door: refusals become one clear line and an exit status."""
    try:
        app()
    except errors.StillwaveError as error:
        say(f"[bold red]{error.title}.[/] {plain(error.detail)}", err=True)
        for name in ("errors", "possible"):
            lines = error.extra.get(name)
            for line in lines if isinstance(lines, list) else []:
                say(f"  {plain(_line(line))}", err=True)
        sys.exit(next((code for kind, code in _EXIT.items() if isinstance(error, kind)), 1))
    except KeyboardInterrupt:
        sys.exit(130)


def _line(entry: object) -> str:
    if isinstance(entry, dict):
        allowed = entry.get("allowed")
        return f"{entry.get('field')}: {entry.get('problem')}" + (f" (allowed: {allowed})" if allowed else "")
    return str(entry)


@contextmanager
def _open(
    *, migrate: bool = True, right: Right = "app", own: bool = False
) -> Iterator[tuple[Settings, SqliteDatabase | PostgresDatabase]]:
    """Settings and the open database, its schema current: embedded ones, and our `own` PostgreSQL, are brought up to date here.

    What `right` says holds for every transaction that does not say otherwise.
    """
    from stillwave.db import database
    from stillwave.db import migrate as migrations
    from stillwave.web.kit import system_clock

    settings = load(os.environ)
    opened = database.open_database(settings)
    opened.right = right
    try:
        if migrate:
            state = migrations.check(opened)
            if state != "empty":
                migrations.require_key(opened)
            if state != "current":
                if opened.engine == "postgres" and not own:
                    raise errors.CannotStart(
                        f"The schema in PostgreSQL is {state}. Run: stillwave db "
                        f"{'init' if state == 'empty' else 'migrate'}"
                    )
                with progress("Preparing the database"):
                    migrations.upgrade(opened)
                    opened.prepare_months(system_clock())
        yield settings, opened
    finally:
        opened.close()
        opened.vault.keys.close()


cli_backup.add_to(app, _open, lambda: load(os.environ))
cli_audit.add_to(app, _open)
cli_breach.add_to(app, _open)
cli_keys.add_to(app, _open)


@app.callback(invoke_without_command=True)
def start(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,  # noqa: FBT002
) -> None:
    """Without a command: serve."""
    context.obj = _open  # for commands of other modules, which stand below this one
    if version:
        print(__version__)  # noqa: T201
        raise typer.Exit
    if context.invoked_subcommand is None:
        serve()


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port to listen on.")] = None,
    postgres: Annotated[bool, typer.Option("--postgres", help="On a packaged PostgreSQL in the data folder, for a trial.")] = False,  # noqa: FBT002
) -> None:
    """Serve the pages and the API (by default on http://127.0.0.1:8000)."""
    for name, value in (("HOST", host), ("PORT", port)):
        if value is not None:
            os.environ[f"STILLWAVE_{name}"] = str(value)
    if postgres:
        _serve_packaged()
    else:
        _serve()


def _serve_packaged() -> None:
    import signal

    from stillwave.db import packaged

    settings = load(os.environ)
    if settings.database_url:
        raise errors.BadInput("--postgres", "brings a PostgreSQL of its own", "unset STILLWAVE_DATABASE_URL, or leave out --postgres")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # also while it starts: it is never left behind
    with packaged.running(settings.data_dir) as url:
        os.environ["STILLWAVE_DATABASE_URL"] = url
        told = f"export STILLWAVE_DATABASE_URL=$(cat {plain(settings.data_dir / 'postgres.url')})"
        _serve(after=f"[dim]PostgreSQL runs beside it. For other commands meanwhile: {told}[/]", own=True)


def _serve(*, after: str | None = None, own: bool = False) -> None:
    import signal
    import socket

    import uvicorn

    from stillwave.app import create_app
    from stillwave.web.kit import Kit
    from stillwave.web.limits import RateLimits
    from stillwave.web.mail import Mailer
    from stillwave.web.patience import Patient

    log.set_up()
    with _open(own=own) as (settings, database):
        try:
            listening = socket.create_server((settings.host, settings.port), backlog=512)
        except OSError as error:
            raise errors.CannotStart(
                f"Cannot listen on {settings.host}:{settings.port}: {error.strerror}. "
                "Is another server running there? Choose another with --port."
            ) from error
        kit = Kit(settings=settings, database=database, limits=RateLimits(), mail=Mailer(settings))
        say(f"Stillwave is at [bold]{plain(settings.base_url)}[/]  (Ctrl+C ends it)")
        data, key = plain(settings.data_dir), plain(settings.root_key_file)
        say(f"[dim]Data: {data}  ·  Root key: {key} (keep a copy elsewhere)[/]")
        if after:
            say(after)
        config = uvicorn.Config(
            create_app(kit), log_config=None, access_log=False, server_header=False, date_header=True,
            timeout_graceful_shutdown=10, timeout_keep_alive=15, http=Patient,
        )  # fmt: skip
        # uvicorn ends its work and then raises the signal again: an end that was asked for is no failure.
        signal.signal(signal.SIGTERM, lambda *_: None)
        uvicorn.Server(config).run(sockets=[listening])


@app.command()
def demo(
    serve_after: Annotated[bool, typer.Option("--serve/--no-serve", help="Serve afterwards.")] = True,  # noqa: FBT002
) -> None:
    """Fill a demo account with three months of history, and serve."""
    from stillwave import demo as history
    from stillwave.web.kit import system_clock

    with _open() as (_settings, database), progress("Living three months") as step:
        email, password = history.fill(database, system_clock(), step)
    told = f"Demo account: [bold]{email}[/]  password: [bold]{password}[/]"
    if serve_after:
        _serve(after=told)
    else:
        say(told)


@app.command()
def doctor() -> None:
    """Look at everything that can be wrong, and say what to do."""
    from rich.console import Console
    from rich.table import Table

    from stillwave.db import database, migrate
    from stillwave.jobs import actions as jobs
    from stillwave.operator import actions, backup
    from stillwave.web.kit import system_clock

    table = Table("", "What", "Found", box=None)
    settings = load(os.environ)
    opened = database.open_database(settings)
    try:
        state = migrate.check(opened)
        checks = [actions.Check("Database", opened.engine, ok=True), actions.Check("Schema", state, ok=state == "current")]
        if state != "empty":
            migrate.require_key(opened)
            checks.append(actions.Check("Root key", "fits", ok=True))
        if state == "current":
            with opened.read() as tx:
                checks += actions.health(tx, settings, system_clock(), mail=bool(settings.smtp_url))
                checks.append(actions.clock(tx, system_clock()))
            with opened.read(right="retention") as tx:
                checks += actions.work(jobs.counts(tx, system_clock()), system_clock())
            checks += actions.mail_server(settings)
            checks += backup.health(settings, system_clock())
    finally:
        opened.close()
        opened.vault.keys.close()
    for check in checks:
        table.add_row("[green]ok[/]" if check.ok else "[red]!![/]", check.label, check.value)
    Console().print(table)
    if not all(check.ok for check in checks):
        raise typer.Exit(1)


@app.command()
def retention(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False,  # noqa: FBT002
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,  # noqa: FBT002
) -> None:
    """Remove what is past its time, and report by class. The server does this by itself every hour."""
    import json

    import msgspec
    from rich.console import Console
    from rich.table import Table

    from stillwave.operator import actions
    from stillwave.sessions.audio import SoundFiles
    from stillwave.web.kit import system_clock

    with _open() as (settings, database):
        now = system_clock()
        if dry_run:
            found = actions.due(database, now)
        else:
            actions.check_clock(database, now)
            found = actions.retain(database, now)
            files = SoundFiles(settings, database)
            while files.sweep():
                pass
    if as_json:
        print(json.dumps({"dry_run": dry_run, "classes": msgspec.to_builtins(found)}))  # noqa: T201
        return
    table = Table("Class", "Table", "Due" if dry_run else "Gone", "Months dropped", box=None)
    for line in found:
        table.add_row(line.retention, line.table, str(line.rows), str(line.months_dropped or ""))
    Console().print(table)


@app.command()
def worker() -> None:
    """Do the work that waits, apart from the server (which then wants STILLWAVE_WORKER=apart)."""
    import signal
    import threading

    from stillwave import duties
    from stillwave.sessions import audio
    from stillwave.web.kit import Kit
    from stillwave.web.limits import RateLimits
    from stillwave.web.mail import Mailer

    log.set_up()
    ending = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: ending.set())
    with _open() as (settings, database):
        kit = Kit(settings=settings, database=database, limits=RateLimits(), mail=Mailer(settings))
        files = audio.SoundFiles(settings, database)
        duties.erase_again(kit, files)
        working = duties.worker(kit, files)
        working.start()
        say("Working (Ctrl+C ends it when the job at hand is done)")
        ending.wait()
        working.stop()
        kit.mail.close()


@jobs_app.command("list")
def jobs_list() -> None:
    """How much waits, and every job that failed."""
    from rich.console import Console
    from rich.table import Table

    from stillwave.jobs import actions
    from stillwave.web.kit import system_clock

    with _open() as (_settings, database), database.read(right="retention") as tx:
        counts, trouble = actions.counts(tx, system_clock()), actions.in_trouble(tx)
    say(f"{counts.due} due, {counts.running} running, {counts.waiting} waiting, {counts.dead} dead.")
    if not trouble:
        return
    table = Table("Id", "What", "Failed", "State", "Where", box=None)
    for job in trouble:
        state = f"dead since {job.dead_at:%Y-%m-%d %H:%M}" if job.dead_at else f"again at {job.due_at:%Y-%m-%d %H:%M}"
        table.add_row(str(job.id), job.kind, str(job.failures), state, plain(job.last_error or ""))
    console = Console()
    (console if console.is_terminal else Console(width=1000)).print(table)


@jobs_app.command("retry")
def jobs_retry(job_id: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """Begin a failed job again, now."""
    from stillwave.db import audit
    from stillwave.jobs import actions
    from stillwave.jobs.rules import NOBODY
    from stillwave.web.kit import system_clock

    with _open() as (_settings, database), database.write(NOBODY, right="retention") as tx:
        actions.retry(tx, _job_id(job_id), system_clock())
        audit.note(tx, NOBODY, "jobs.retried", system_clock(), actor="operator", job=job_id)
    say("It is due now.")


@jobs_app.command("drop")
def jobs_drop(job_id: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """Forget a dead job."""
    from stillwave.db import audit
    from stillwave.jobs import actions
    from stillwave.jobs.rules import NOBODY
    from stillwave.web.kit import system_clock

    with _open() as (_settings, database), database.write(NOBODY, right="retention") as tx:
        actions.drop(tx, _job_id(job_id))
        audit.note(tx, NOBODY, "jobs.dropped", system_clock(), actor="operator", job=job_id)
    say("It is gone.")


def _job_id(text: str) -> Any:  # noqa: ANN401
    import uuid

    try:
        return uuid.UUID(text)
    except ValueError:
        raise errors.BadInput("ID", "is not the id of a job", "an id from `stillwave jobs list`") from None


@app.command()
def version() -> None:
    """Print the version."""
    print(__version__)  # noqa: T201


@db_app.command("init")
def db_init(
    one_role: Annotated[bool, typer.Option("--one-role", help="Where no roles can be made: this login does everything.")] = False,  # noqa: FBT002
) -> None:
    """Create the roles, the schema, the privileges and the partitions in an empty database."""
    _upgrade(one_role=one_role)


@db_app.command("migrate")
def db_migrate(
    one_role: Annotated[bool, typer.Option("--one-role", help="Where no roles can be made: this login does everything.")] = False,  # noqa: FBT002
) -> None:
    """Bring the schema up to date."""
    _upgrade(one_role=one_role)


@app.command("migrate", hidden=True)
def migrate_alias() -> None:
    """Bring the schema up to date."""
    _upgrade(one_role=False)


@db_app.command("clock")
def db_clock(
    confirm: Annotated[bool, typer.Option("--confirm", help="The clock is right.")] = False,  # noqa: FBT002
) -> None:
    """Say whether housekeeping trusts the clock; confirm it after a jump."""
    from stillwave.db import audit
    from stillwave.jobs.rules import NOBODY
    from stillwave.operator import actions
    from stillwave.web.kit import system_clock

    with _open() as (_settings, database):
        actions.check_clock(database, system_clock(), confirmed=confirm)
        if confirm:
            with database.write(NOBODY) as tx:
                audit.note(tx, NOBODY, "clock.confirmed", system_clock(), actor="operator")
    say("The clock is trusted.")


def _upgrade(*, one_role: bool) -> None:
    from stillwave.db import migrate
    from stillwave.web.kit import system_clock

    with _open(migrate=False) as (_settings, database):
        before = migrate.check(database)
        migrate.upgrade(database, one_role=one_role)
        database.prepare_months(system_clock())
        say(f"The schema is at [bold]{migrate.newest()}[/] (it was {before}).")
        if database.engine == "postgres" and database.has_roles:
            say(
                "[dim]For the server a login of its own is safest: CREATE ROLE stillwave_web LOGIN PASSWORD '...'; "
                "GRANT stillwave_app, stillwave_retention TO stillwave_web;[/]"
            )


# --- accounts -----------------------------------------------------------------------------------


@user_app.command("create")
def user_create(
    email: str,
    phone: str,
    operator: Annotated[bool, typer.Option("--operator", help="May see the operator's page.")] = False,  # noqa: FBT002
    premium: Annotated[bool, typer.Option("--premium", help="Sessions are kept beyond a year.")] = False,  # noqa: FBT002
    password: Annotated[str | None, typer.Option(envvar="STILLWAVE_NEW_PASSWORD", help="Asked for if not set.")] = None,
) -> None:
    """Create an account; its owner gives consent at the first sign-in."""
    from stillwave.accounts import actions, passwords, rules
    from stillwave.web.kit import system_clock

    address, number = rules.normal_email(email), rules.normal_phone(phone)
    password = password or typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    passwords.must_be_good(password, (address, "stillwave"))
    hashed = passwords.hashed(password)
    with _open(right="operator") as (_settings, database):
        try:
            with database.write() as tx:
                actions.create(
                    tx, email=address, phone=number, password_hash=hashed, now=system_clock(), consent=False,
                    tier="premium" if premium else "free", role="operator" if operator else "listener", by="operator",
                )  # fmt: skip
        except errors.ConstraintBroken as error:
            raise errors.Conflict("This e-mail or phone number has an account already.") from error
    say("The account is ready.")


@user_app.command("list")
def user_list(most: Annotated[int, typer.Option(min=1)] = 1000) -> None:
    """List the accounts."""
    from rich.console import Console
    from rich.table import Column, Table

    from stillwave.accounts import actions
    from stillwave.web.kit import system_clock

    table = Table(Column("E-mail", overflow="fold"), "Status", "Tier", "Role", "Since", "Last sign-in", box=None)
    with _open(right="operator") as (_settings, database):
        with database.read() as tx:
            found = actions.everyone(tx, most)
        actions.note_listed(database, [user.id for user, _email in found], system_clock())
        for user, email in found:
            last = f"{user.last_login:%Y-%m-%d}" if user.last_login else "never"
            table.add_row(
                plain(email), user.account_status, user.subscription_tier, user.role, f"{user.created_at:%Y-%m-%d}", last
            )
    console = Console()
    if not console.is_terminal:
        console = Console(width=1000)  # a program reads it: no address is cut to fit
    console.print(table)


def _change(email: str, change: Any) -> None:  # noqa: ANN401
    from stillwave.accounts import actions
    from stillwave.web.kit import system_clock

    with _open(right="operator") as (_settings, database), database.write() as tx:
        user = actions.by_email(tx, email)
        tx.act_as(user.id)
        change(tx, user.id, system_clock())


@user_app.command("disable")
def user_disable(email: str) -> None:
    """Switch an account off and end its logins."""
    from stillwave.accounts import actions

    _change(email, lambda tx, user_id, now: actions.set_status(tx, user_id, "disabled", now))
    say("The account is switched off.")


@user_app.command("enable")
def user_enable(email: str) -> None:
    """Switch an account on again."""
    from stillwave.accounts import actions

    _change(email, lambda tx, user_id, now: actions.set_status(tx, user_id, "active", now))
    say("The account is switched on.")


@user_app.command("tier")
def user_tier(email: str, tier: str) -> None:
    """Set the subscription tier: free or premium."""
    from stillwave.accounts import actions

    if tier not in ("free", "premium"):
        raise errors.BadInput("TIER", "is not a tier", ["free", "premium"])
    _change(email, lambda tx, user_id, now: actions.set_tier(tx, user_id, tier, now))  # type: ignore[arg-type]
    say(f"The tier is {tier}.")


@user_app.command("recover")
def user_recover(email: str) -> None:
    """Print a code that sets a new password within the hour (for when no mail is set up)."""
    from stillwave.accounts import actions
    from stillwave.web.kit import system_clock

    with _open() as (settings, database):
        with database.write() as tx:
            started = actions.start_recovery(tx, email, system_clock(), by="operator")
        if started is None:
            raise errors.NotFound("There is no active account with this e-mail.")
    say(f"Open {settings.base_url}/reset#code={started[1]} within the hour, or enter the code [bold]{started[1]}[/].")


@user_app.command("second-step-off")
def user_second_step_off(email: str) -> None:
    """Take the second step off an account whose owner lost app and codes. Be sure who asks."""
    from stillwave.factors import actions

    _change(email, actions.take_off)
    say("The second step is off and every login has ended.")


# --- the audit log ------------------------------------------------------------------------------


@log_app.command("verify")
def log_verify(
    checkpoint: Annotated[Path | None, typer.Option(help="A file that `audit-log checkpoint` wrote.")] = None,
) -> None:
    """Look whether any event of the audit log was changed, moved or removed."""
    import msgspec

    from stillwave.db import audit

    try:
        seen = msgspec.json.decode(checkpoint.read_bytes(), type=audit.Checkpoint) if checkpoint else None
    except OSError as error:
        raise errors.BadInput("--checkpoint", "cannot be read", "a file that audit-log checkpoint wrote") from error
    except msgspec.MsgspecError as error:
        raise errors.BadInput("--checkpoint", "is not a checkpoint", "a file that audit-log checkpoint wrote") from error
    with _open(right="operator") as (_settings, database), database.read() as tx:
        count, wrong = len(audit.heads(tx)), audit.verify(tx, seen)
    for user_id, told in wrong.items():
        say(f"[red]{user_id}[/]: {told}", err=True)
    if wrong:
        say(f"[bold red]{len(wrong)} of {count} chains are broken.[/]", err=True)
        raise typer.Exit(1)
    say(f"{count} chains are whole{' and hold what the checkpoint saw' if seen else ''}.")


@log_app.command("checkpoint")
def log_checkpoint(file: Annotated[Path, typer.Argument(help="Where to write it: best on another machine.")]) -> None:
    """Write down where every chain ends, to notice later if events were cut off."""
    import msgspec

    from stillwave.db import audit
    from stillwave.web.kit import system_clock

    if file.exists():
        raise errors.Conflict(f"{file} exists already. Choose another name: checkpoints are kept.")
    with _open(right="operator") as (_settings, database), database.read() as tx:
        made = audit.checkpoint(tx, system_clock())
    try:
        file.write_bytes(msgspec.json.format(msgspec.json.encode(made), indent=1))
    except OSError as error:
        raise errors.BadInput("FILE", "cannot be written", "a place that you may write to") from error
    say(f"{len(made.heads)} chains are noted in {plain(file)}.")
