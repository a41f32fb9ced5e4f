"""Backups of the running server: taken, tried, restored, and kept for as long as was set.

The database and the key store are backed up apart. Destroying somebody's key must reach old backups too, so copies
of the key store may live 35 days; what people wrote cannot be read from a database without it.
"""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import fcntl
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import msgspec

from stillwave import __version__
from stillwave.db import audit, migrate, rotation
from stillwave.db.backup import Manifest, Part, Reader, Writer, filler, head_of, parts_of, rows_on
from stillwave.db.database import PostgresDatabase, SqliteDatabase, engine_of, open_database
from stillwave.db.keys import BACKUP, KeyStore, RootKey, load_root_key
from stillwave.db.seal import Vault
from stillwave.errors import BadBackup, CannotStart, StorageFull
from stillwave.operator.actions import SQL, Check, check_clock
from stillwave.settings import Settings

Told = Callable[[str], None]
Engine = SqliteDatabase | PostgresDatabase
KEYS_AT_MOST = dt.timedelta(days=35)
_EVERY = dt.timedelta(days=1)
_LATE = dt.timedelta(days=2)
_KEYS = Part("keys")
_LINE_BYTES = 48 * 1024


class Restored(msgspec.Struct, frozen=True):
    """What a backup brought: rows, people, and how many of them were erased again because their keys are gone."""

    at: dt.datetime
    rows: int
    people: int
    erased: int


class Tried(msgspec.Struct, frozen=True):
    """What a drill saw: everything came back as it was; whose sealed words open; who has no key any more."""

    at: dt.datetime
    rows: int
    tables: int
    opened: int
    keyless: int


class _Address(msgspec.Struct, frozen=True):
    id: UUID
    email: str


# --- taking -------------------------------------------------------------------------------------


def take(database: Engine, path: Path, now: dt.datetime) -> Manifest:
    """Everything as it is at this moment is in a sealed file at `path`; who uses the server notices nothing."""
    with database.snapshot() as raw, Writer(path, "database", now, database.vault.backup_key) as writer:
        rows = rows_on(database, raw)
        for part in parts_of(database):
            writer.part(part, rows.lines(part))
        return writer.end(__version__, database.engine, migrate.newest(), rows.months())


def take_keys(database: Engine, path: Path, now: dt.datetime) -> None:
    """A copy of the key store is in a sealed file at `path`."""
    with Writer(path, "keys", now, database.vault.backup_key) as writer:
        try:
            with tempfile.TemporaryDirectory(prefix=".keys-", dir=path.parent) as folder:
                copy = Path(folder) / "keys.db"
                database.vault.keys.copy_to(copy)
                writer.part(_KEYS, _in_lines(copy.read_bytes()))
        except OSError as error:
            raise StorageFull(f"The key store cannot be copied to {path.parent}: {error.strerror}.") from error
        writer.end(__version__, database.engine, migrate.newest(), ())


def _in_lines(body: bytes) -> Iterator[bytes]:
    for start in range(0, len(body), _LINE_BYTES):
        yield base64.b64encode(body[start : start + _LINE_BYTES]) + b"\n"


# --- restoring ----------------------------------------------------------------------------------


def restore(
    settings: Settings, path: Path, keys: Path | None, now: dt.datetime, told: Told, *,
    one_role: bool = False, without_keys: bool = False,
) -> Restored:  # fmt: skip
    """The backup is the database of these settings, which was empty; whoever was erased since is erased in it again.

    All of the file is read and proven before anything is touched, and all is restored or nothing. Who was erased the
    key store of the data folder knows, or the copy `keys` of it where there is none. People without a key of whom it
    does not know that they were erased are newer than it: that is refused, unless `without_keys` erases them.
    """
    root = load_root_key(settings, may_create=False)
    reader = Reader(path, "database", _openers(settings, root))
    manifest = reader.check()
    _check_fit(settings, path, manifest)
    copied = _copied_keys(settings, root, keys)
    fresh = not settings.database_file.exists()
    if copied is not None:
        _place_keys(settings, root, copied)
    try:
        database = open_database(settings)
        try:
            return _fill(database, reader, manifest, now, told, one_role=one_role, without_keys=without_keys)
        finally:
            database.close()
            database.vault.keys.close()
    except BaseException:
        # As it was before.
        if copied is not None:
            settings.keys_file.unlink(missing_ok=True)
        if fresh:
            for suffix in ("", "-wal", "-shm"):
                Path(f"{settings.database_file}{suffix}").unlink(missing_ok=True)
        raise


def _openers(settings: Settings, root: RootKey) -> list[bytes]:
    """What may open the backup: the root key of now, and what the key store knows of those before it."""
    if not settings.keys_file.exists():
        return [root.derive(BACKUP)]
    keys = KeyStore(settings.keys_file, root, lambda: load_root_key(settings, may_create=False), read_only=True)
    try:
        return Vault(keys).backup_keys
    finally:
        keys.close()


def _fill(
    database: Engine, reader: Reader, manifest: Manifest, now: dt.datetime, told: Told, *, one_role: bool, without_keys: bool
) -> Restored:
    if migrate.check(database) != "empty":
        raise BadBackup(
            "The database is not empty, and nothing is restored over anything. Name an empty data folder in "
            "STILLWAVE_DATA_DIR, or an empty database in STILLWAVE_DATABASE_URL."
        )
    load, people, erased = filler(database, reader, manifest, told), set[UUID](), set[UUID]()

    def fill(raw: Any) -> None:  # noqa: ANN401
        load(raw)
        people.update(UUID(str(row[0])) for row in raw.execute("SELECT id FROM users").fetchall())
        erased.update(people & {user_id for user_id, _ in database.vault.keys.erased()})
        keyless = people - erased - database.vault.keys.people()
        if keyless and not without_keys:
            raise BadBackup(
                f"{len(keyless)} people of this backup have no key in the key store, which does not know that they were "
                "erased: it is older than the backup. Take a newer copy of it, or say --without-keys to erase them. "
                "Nothing was restored."
            )
        erased.update(keyless)
        for user_id in erased:  # in the same transaction: they never come back, not even for a moment
            for place in ("users WHERE id", "jobs WHERE user_id"):
                raw.execute(f"DELETE FROM {place} = '{user_id}'")  # noqa: S608  a UUID of ours

    migrate.upgrade(database, one_role=one_role, filled=(manifest.revision, fill))
    for user_id in erased:
        with database.write(user_id) as tx:
            audit.note(tx, user_id, "account.erased", now, actor="system")
    rotation.catch_up(database, now)
    database.prepare_months(now)
    return Restored(reader.head.at, manifest.rows, len(people), len(erased))


def _check_fit(settings: Settings, path: Path, manifest: Manifest) -> None:
    if manifest.engine != engine_of(settings):
        told = {"sqlite": "the embedded database: unset STILLWAVE_DATABASE_URL for it",
                "postgres": "PostgreSQL: name an empty database in STILLWAVE_DATABASE_URL"}  # fmt: skip
        raise BadBackup(f"{path} is of {told[manifest.engine]}.")
    if not migrate.knows(manifest.revision):
        raise BadBackup(f"{path} was made by a newer Stillwave ({manifest.program}, schema {manifest.revision}). Install that one.")


def _copied_keys(settings: Settings, root: RootKey, keys: Path | None) -> bytes | None:
    """What the copy of the key store holds; None when the data folder has its key store."""
    if settings.keys_file.exists():
        if keys is not None:
            raise BadBackup(
                f"{settings.keys_file} is there already and knows best who was erased: leave out --keys. "
                "If it is damaged, move it away first."
            )
        return None
    if keys is None:
        raise CannotStart(
            f"The key store {settings.keys_file} is missing: without it nothing that people wrote can be read. "
            "Name your newest copy of it: --keys FILE. Nothing was changed."
        )
    reader = Reader(keys, "keys", [root.derive(BACKUP)])
    reader.check()
    return b"".join(base64.b64decode(line) for _, pieces in reader.parts() for piece in pieces for line in piece.splitlines())


def _place_keys(settings: Settings, root: RootKey, body: bytes) -> None:
    aside = settings.keys_file.with_suffix(".part")
    try:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        aside.touch(mode=0o600)
        aside.write_bytes(body)
        KeyStore(aside, root).close()
        aside.rename(settings.keys_file)
    except OSError as error:
        raise StorageFull(f"The data folder {settings.data_dir} cannot be written: {error.strerror}.") from error
    finally:
        aside.unlink(missing_ok=True)


# --- trying -------------------------------------------------------------------------------------


def verify(database: Engine, path: Path, told: Told) -> Tried:
    """The backup was restored into a scratch database, was all there, and that database is gone again.

    Counts and digests are those of the manifest, the audit log's chains are whole, and every person's e-mail opens
    with the key store. Raises BadBackup with what is not so.
    """
    reader = Reader(path, "database", database.vault.backup_keys)
    manifest = reader.check()
    if manifest.engine != database.engine or not migrate.knows(manifest.revision):
        raise BadBackup(f"{path} is of {manifest.engine} at {manifest.revision}; this is {database.engine} at {migrate.newest()}.")
    with database.scratch() as scratch:
        load = filler(scratch, reader, manifest, told)
        migrate.upgrade(scratch, one_role=database.one_role, filled=(manifest.revision, load))
        rotation.catch_up(scratch, reader.head.at)
        told("audit log")
        known = database.vault.keys.people()
        with scratch.read(right="operator") as tx:
            if broken := audit.verify(tx):
                raise BadBackup(f"{path} holds {len(broken)} broken chains of the audit log.")
            people = tx.all(_Address, SQL.addresses)
            keyed = [person for person in people if person.id in known]
            for person in keyed:
                tx.vault.open(person.id, "users.email", person.id, person.email)
    return Tried(reader.head.at, manifest.rows, len(manifest.sums), len(keyed), len(people) - len(keyed))


def remember_verified(path: Path) -> None:
    """Beside the backup stands that it was tried, for the security audit; where nothing may be written, nothing does."""
    with contextlib.suppress(OSError):
        _mark_of(path).touch(mode=0o600)


def _mark_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.verified")


# --- keeping ------------------------------------------------------------------------------------


def name_at(now: dt.datetime, kind: Literal["database", "keys"] = "database") -> str:
    """The name of a backup of this moment."""
    return f"stillwave-{'keys-' if kind == 'keys' else ''}{now:%Y%m%dT%H%M%SZ}.backup"


def kept(folder: Path, kind: Literal["database", "keys"]) -> list[tuple[dt.datetime, Path]]:
    """The backups of a folder with when they were made, oldest first."""
    found = []
    for path in folder.glob("*.backup"):
        with contextlib.suppress(BadBackup):
            head = head_of(path)
            if head.kind == kind:
                found.append((head.at, path))
    return sorted(found)


def keep(settings: Settings, database: Engine, now: dt.datetime) -> bool:
    """A backup of the last 24 hours is in the set folder, and none that is past its time. True when one was taken.

    Nothing happens where no folder is set, or while another process is at it. The newest always stays, and by a
    clock that is doubted nothing is removed.
    """
    if settings.backup_dir is None:
        return False
    with _alone(settings.backup_dir) as mine:
        if not mine or any(dt.timedelta() <= now - at < _EVERY for at, _ in kept(settings.backup_dir, "database")):
            return False
        take(database, settings.backup_dir / name_at(now), now)
        if settings.backup_keys_dir is not None:  # after it: so that everybody in the backup has a key in the copy
            _make(settings.backup_keys_dir)
            take_keys(database, settings.backup_keys_dir / name_at(now, "keys"), now)
        check_clock(database, now)
        _thin_out(settings.backup_dir, "database", now - dt.timedelta(days=settings.backup_keep_days))
        if settings.backup_keys_dir is not None:
            _thin_out(settings.backup_keys_dir, "keys", now - KEYS_AT_MOST)
    return True


def _thin_out(folder: Path, kind: Literal["database", "keys"], before: dt.datetime) -> None:
    for at, path in kept(folder, kind)[:-1]:
        if at < before:
            path.unlink(missing_ok=True)
            _mark_of(path).unlink(missing_ok=True)
    for part in folder.glob(".*.part"):  # of a process that was killed
        if part.stat().st_mtime < before.timestamp():
            part.unlink(missing_ok=True)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StorageFull(f"The folder {folder} cannot be made: {error.strerror}. Make it, or name another.") from error


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    """True inside for one process at a time."""
    _make(folder)
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def old_keys(folder: Path, now: dt.datetime) -> list[Path]:
    """Copies of the key store that hold the keys of erased people for longer than was promised."""
    return [path for at, path in kept(folder, "keys") if now - at > KEYS_AT_MOST]


def health(settings: Settings, now: dt.datetime) -> list[Check]:
    """How old the newest backup is, and whether copies of keys are kept too long."""
    if settings.backup_dir is None:
        return [Check("Last backup", "none is made by itself: STILLWAVE_BACKUP_DIR is not set", ok=True)]
    found = kept(settings.backup_dir, "database")
    age = now - found[-1][0] if found else None
    told = f"{_age(age)} ago" if age is not None else f"none in {settings.backup_dir} yet: does a worker run?"
    checks = [Check("Last backup", told, ok=age is not None and age < _LATE)]
    folders = {folder for folder in (settings.backup_dir, settings.backup_keys_dir) if folder is not None}
    old = [path for folder in sorted(folders) for path in old_keys(folder, now)]
    if settings.backup_keys_dir is not None or old:
        told = f"{len(old)} are older than 35 days: remove them" if old else "none older than 35 days"
        checks.append(Check("Copies of the key store", told, ok=not old))
    return checks


def _age(age: dt.timedelta) -> str:
    hours = int(age.total_seconds() // 3600)
    return f"{hours} h" if hours < 48 else f"{hours // 24} days"
