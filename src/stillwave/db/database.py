"""Opening a database: the folder, the keys, and the engine that the settings name.

The engine differences live in `sqlite.py`, `postgres.py` and `*.sqlite.sql` / `*.postgres.sql`; nothing outside
`db/` asks which engine it is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from stillwave.db.handle import Database, Queries, Query, Tx
from stillwave.db.keys import KeyStore, RootKey, load_root_key
from stillwave.db.postgres import PostgresDatabase
from stillwave.db.seal import Vault
from stillwave.db.sqlite import SqliteDatabase, moved_file
from stillwave.errors import CannotStart
from stillwave.settings import Settings

__all__ = ["Database", "PostgresDatabase", "Queries", "Query", "SqliteDatabase", "Tx", "engine_of", "open_database", "open_vault"]


def engine_of(settings: Settings) -> Literal["sqlite", "postgres"]:
    """Which engine the settings name."""
    return "postgres" if settings.database_url else "sqlite"


def open_vault(settings: Settings, *, has_data: bool) -> tuple[RootKey, Vault]:
    """The root key and the vault over its key store; a new root key only when there is no data yet."""
    root = load_root_key(settings, may_create=not (has_data or settings.keys_file.exists()))
    keys = KeyStore(settings.keys_file, root, lambda: load_root_key(settings, may_create=False))
    return keys.root, Vault(keys)


def open_database(settings: Settings) -> SqliteDatabase | PostgresDatabase:
    """The database of these settings, with its keys. The schema is not looked at.

    Raises CannotStart when the folder, the key or the server cannot be used; nothing is touched then.
    """
    database = _opened(settings)
    database.slow_s = settings.slow_query_ms / 1000
    return database


def _opened(settings: Settings) -> SqliteDatabase | PostgresDatabase:
    _make_folder(settings.data_dir)
    if settings.database_url:
        new_keys = not settings.keys_file.exists()
        _, vault = open_vault(settings, has_data=False)
        database = PostgresDatabase(settings.database_url, vault)
        database.open()
        if new_keys and database.has_people():
            database.close()
            vault.keys.close()
            settings.keys_file.unlink()
            raise _keys_are_missing(settings)
        return database
    if (moved := moved_file(settings.database_file)).exists():
        raise CannotStart(
            f"The database in {settings.data_dir} has moved, or is moving. Set STILLWAVE_DATABASE_URL to where it is now. To go on "
            f"here after all, and without what was written there since, delete the file {moved}."
        )
    if settings.database_file.exists() and not settings.keys_file.exists():
        raise _keys_are_missing(settings)
    _, vault = open_vault(settings, has_data=settings.database_file.exists())
    return SqliteDatabase(settings.database_file, vault)


def _keys_are_missing(settings: Settings) -> CannotStart:
    return CannotStart(
        f"The key store {settings.keys_file} is missing: without it nothing that people wrote can be read. "
        "Put it back from your backup. Nothing was changed."
    )


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        # The packaged PostgreSQL of a server that runs as root is another user's, who passes through to `postgres`.
        passing = path.stat().st_mode & 0o011 if (path / "postgres").is_dir() else 0
        path.chmod(0o700 | passing)
        probe = path / ".writable"
        probe.touch(mode=0o600)
        probe.unlink(missing_ok=True)  # a second start may have been quicker
    except OSError as error:
        raise CannotStart(
            f"The data folder {path} cannot be used: {error.strerror}. "
            "Set STILLWAVE_DATA_DIR to a folder that you may write."
        ) from error
