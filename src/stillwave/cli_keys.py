"""`stillwave keys`: status, rotate-root, rekey-database, rebuild-index, rotate-log, rotate-person, rotate, forget.

Every command may be stopped or killed at any point and run again: it goes on to the same end.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stillwave import errors
from stillwave.cli_sound import plain, progress, say

if TYPE_CHECKING:
    from stillwave.db.database import PostgresDatabase, SqliteDatabase
    from stillwave.settings import Settings

    Opened = Callable[..., AbstractContextManager[tuple[Settings, SqliteDatabase | PostgresDatabase]]]

# What `rotate` does, in this order; the root key goes first, so that the new keys are never under the old one.
_LAYERS = ("root", "database", "index", "log", "people")
_DONE = "rotate: done"
_NAMES = {
    "database": "Database file", "blind-index": "Blind index", "audit": "Audit log", "key-check": "Key check",
    "people": "Data keys of people",
}  # fmt: skip


def add_to(app: typer.Typer, opened: Opened) -> None:
    """The program has these commands; `opened` opens the database with a current schema."""
    group = typer.Typer(help="Keys: what there is, and new ones for every layer.", no_args_is_help=True)
    commands = _Commands(opened)
    for name, command in (
        ("status", commands.status), ("rotate", commands.rotate), ("rotate-root", commands.rotate_root),
        ("rekey-database", commands.rekey_database), ("rebuild-index", commands.rebuild_index),
        ("rotate-log", commands.rotate_log), ("rotate-person", commands.rotate_person), ("forget", commands.forget),
    ):  # fmt: skip
        group.command(name)(command)
    app.add_typer(group, name="keys")


_NewKey = Annotated[Path | None, typer.Option("--new-key-file", help="The next root key; without it one is made.")]


class _Commands:
    def __init__(self, opened: Opened) -> None:
        self._opened = opened

    def _layer(self, name: str, given: Path | None = None) -> None:
        with self._opened(right="operator") as (settings, database):
            _LAYER[name](settings, database, given)

    def status(self, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:  # noqa: FBT002
        """Say which keys there are, how old they are, and which turn is not finished."""
        with self._opened(right="operator") as (settings, database):
            _status(settings, database, as_json=as_json)

    def rotate_root(self, new_key_file: _NewKey = None) -> None:
        """A new root key: the key store is encrypted, and every key in it wrapped, anew."""
        self._layer("root", new_key_file)

    def rekey_database(self) -> None:
        """A new key for the embedded database's file."""
        self._layer("database")

    def rebuild_index(self) -> None:
        """A new key for the digests by which e-mail addresses and phone numbers are found."""
        self._layer("index")

    def rotate_log(self) -> None:
        """A new key for the audit log: every chain goes on under it, and stays verifiable."""
        self._layer("log")

    def rotate_person(
        self,
        email: Annotated[str | None, typer.Argument(help="Whose.")] = None,
        everybody: Annotated[bool, typer.Option("--all", help="Everybody's.")] = False,  # noqa: FBT002
    ) -> None:
        """A new data key for a person, or everybody: all their sealed words and sound files are sealed anew."""
        if everybody == (email is not None):
            raise errors.BadInput("EMAIL", "is needed, or --all", "one of the two")
        if email is None:
            self._layer("people")
            return
        from stillwave.accounts import actions as accounts
        from stillwave.db import rotation
        from stillwave.web.kit import system_clock

        with self._opened(right="operator") as (settings, database):
            with database.read(right="operator") as tx:
                user_id = accounts.by_email(tx, email).id
            _told(rotation.rotate_person(database, settings.audio_dir, user_id, system_clock()))

    def rotate(self, new_key_file: _NewKey = None) -> None:
        """New keys for every layer, one after the other. Run again after a stop: what is done is not done twice."""
        with self._opened(right="operator") as (settings, database):
            keys = database.vault.keys
            done = (keys.fact(_DONE) or "").split()
            for name in _LAYERS:
                if name not in done:
                    if _LAYER[name](settings, database, new_key_file) == "waiting":
                        return
                    keys.set_fact(_DONE, " ".join(done := [*done, name]))
            keys.set_fact(_DONE, None)
        say(
            "[bold]Every key is new.[/] Now back up the root key and keys.db, and take a new checkpoint of the audit log. "
            "Older backups open until: stillwave keys forget"
        )

    def forget(
        self, older_than_days: Annotated[int, typer.Option(min=0, max=36500, help="Retired longer ago than this.")] = 35
    ) -> None:
        """Retired keys are gone for good; backups of the database from before their retirement can then not be read."""
        from stillwave.db import rotation
        from stillwave.web.kit import system_clock

        with self._opened(right="operator") as (settings, database):
            count = rotation.forget(database, settings.audio_dir, system_clock(), dt.timedelta(days=older_than_days))
        say(f"{count} retired keys are gone.")


def _status(settings: Settings, database: Any, *, as_json: bool) -> None:  # noqa: ANN401
    from rich.console import Console
    from rich.table import Table

    from stillwave.db.keys import handover_file

    handing_over = handover_file(settings.keys_file).exists()
    found = [
        {"layer": name, "generation": newest or 0, "unfinished": name != "people" and live > 1, "retired": retired,
         "made_at": made_at}
        for name, newest, live, retired, made_at in database.vault.keys.states()
    ]  # fmt: skip
    behind = len(database.vault.keys.unrenewed(dt.datetime.min.replace(tzinfo=dt.UTC)))
    if as_json:
        print(json.dumps({"root_key_hand_over": handing_over, "people_unfinished": behind, "layers": found}))  # noqa: T201
        return
    table = Table("Key", "Generation", "Since", "Retired", "State", box=None)
    for line in found:
        open_turn = line["unfinished"] or (line["layer"] == "people" and behind)
        table.add_row(
            _NAMES.get(str(line["layer"]), str(line["layer"])), str(line["generation"]), str(line["made_at"] or "the beginning"),
            str(line["retired"]), "not finished: run its command again" if open_turn else "ok",
        )  # fmt: skip
    Console().print(table)
    if handing_over:
        say("[bold]The root key is being changed:[/] until `stillwave keys rotate-root` has ended, the old one still works.")


def _root(settings: Settings, database: Any, given: Path | None) -> str:  # noqa: ANN401
    from stillwave.db import rotation
    from stillwave.db.keys import read_root_key
    from stillwave.web.kit import system_clock

    said = rotation.rotate_root(settings, database, system_clock(), read_root_key(given) if given else None)
    if said == "done":
        say("[bold]The root key is new[/]; the old one opens nothing. Back up the new one and keys.db now, apart from each other.")
        return said
    where = plain(given or settings.data_dir / "root.key.new")
    source = "STILLWAVE_ROOT_KEY" if settings.root_key else "what STILLWAVE_ROOT_KEY_COMMAND prints"
    say(f"The key store is under the new root key, which stands in [bold]{where}[/]. Running servers have it already.")
    say(f"Now make it {source}, for the servers and here, and run this command again: only then is the old one useless.")
    return said


def _database(_settings: Settings, database: Any, _given: Path | None) -> str:  # noqa: ANN401
    from stillwave.web.kit import system_clock

    with progress("Encrypting the file anew"):
        ours = database.rekey(system_clock())
    say("The database file is under a new key." if ours else "PostgreSQL's files are encrypted by their volume, not by us: nothing to do.")
    return "done"


def _index(_settings: Settings, database: Any, _given: Path | None) -> str:  # noqa: ANN401
    from stillwave.db import rotation
    from stillwave.web.kit import system_clock

    with progress("Rebuilding the index") as step:
        moved = rotation.rebuild_index(database, system_clock(), step)
    say(f"The blind index is under a new key; {moved} people were moved.")
    return "done"


def _log(_settings: Settings, database: Any, _given: Path | None) -> str:  # noqa: ANN401
    from stillwave.db import rotation
    from stillwave.web.kit import system_clock

    with progress("Beginning anew in every chain") as step:
        moved = rotation.rotate_log(database, system_clock(), step)
    say(f"The audit log goes on under a new key, in {moved} chains. Take a new checkpoint now.")
    return "done"


def _people(settings: Settings, database: Any, _given: Path | None) -> str:  # noqa: ANN401
    from stillwave.db import rotation
    from stillwave.web.kit import system_clock

    with progress("Sealing anew") as step:
        moved = rotation.rotate_people(database, settings.audio_dir, system_clock(), step=step)
    _told(moved)
    return "done"


def _told(moved: Any) -> None:  # noqa: ANN401
    say(f"{moved.people} people have new data keys: {moved.values} values and {moved.files} sound files were sealed anew.")
    if moved.damaged:
        say(f"[bold red]{moved.damaged} were damaged before[/]: no key opens them.", err=True)


_LAYER: dict[str, Callable[[Settings, Any, Path | None], str]] = {
    "root": _root, "database": _database, "index": _index, "log": _log, "people": _people,
}  # fmt: skip
