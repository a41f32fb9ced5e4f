"""Keys: one root key outside the database, everything else lies wrapped in the key store.

root key -> HKDF-SHA256 -> the key of the key store's file, and the key that wraps what is in it.
In it lie the house's keys (database file, blind index, audit log, key check, backups of former root keys) and one data key per person;
destroying that makes everything sealed for the person unreadable, in backups of the database too.
Every key has generations: the newest is used, older ones open what is older until they are forgotten.
The first of each house key is derived from the first root key. `rotation.py` makes new ones.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import datetime as dt
import fcntl
import json
import os
import secrets
import shlex
import subprocess
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from uuid import UUID

import sqlcipher3.dbapi2 as sqlcipher
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from stillwave.errors import CannotStart, NotFound, StorageFull
from stillwave.settings import Settings

KEY_BYTES = 32
_CACHED_KEYS = 1024
_CACHED_CIPHERS = 10_000  # 2.5 kB each
_TURNS, _MOMENT_S = 5, 0.05
_COMMAND_S = 30
# The house's keys; each has its first generation from the moment a key store is made or first opened.
PURPOSES = ("database", "blind-index", "audit", "key-check")
BACKUP = "backup"  # derived from the root key of now; in the store lie those of root keys before it, all retired


class RootKey:
    """The 256-bit secret from which all other keys come. It is never stored in a database."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) != KEY_BYTES:
            raise CannotStart("The root key must be 32 bytes, written as 64 hexadecimal digits.")
        self._secret = secret

    def derive(self, purpose: str) -> bytes:
        """A 256-bit key for one purpose (RFC 5869, SHA-256)."""
        info = f"stillwave/{purpose}/1".encode()
        return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=info).derive(self._secret)

    def written(self) -> str:
        """The key as it stands in a file: 64 hexadecimal digits."""
        return self._secret.hex()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RootKey) and secrets.compare_digest(self._secret, other._secret)

    __hash__ = None  # type: ignore[assignment]


def parse_root_key(text: str) -> RootKey:
    """The root key from its written form: 64 hexadecimal digits, or base64 of 32 bytes."""
    text = text.strip()
    try:
        return RootKey(bytes.fromhex(text))
    except ValueError:
        pass
    try:
        return RootKey(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        raise CannotStart(
            "The root key cannot be read: it must be 64 hexadecimal digits. Nothing was changed."
        ) from None


def load_root_key(settings: Settings, *, may_create: bool) -> RootKey:
    """The root key from the environment, a command or its file; a new file only when `may_create`.

    Raises CannotStart when it is missing, unreadable, or open to others.
    """
    if settings.root_key:
        return parse_root_key(settings.root_key)
    if settings.root_key_command:
        return parse_root_key(_told_by(settings.root_key_command))
    path = settings.root_key_file
    if not path.exists():
        if not may_create:
            raise CannotStart(
                f"The root key {path} is missing, but data that needs it exists. Put the key back "
                "from your backup (or set STILLWAVE_ROOT_KEY_FILE). Nothing was changed."
            )
        _write_new_root_key(path)
    return read_root_key(path)


def read_root_key(path: Path) -> RootKey:
    """The root key in a file that only its owner can read. Raises CannotStart for any other."""
    try:
        mode = path.stat().st_mode & 0o777
        text = path.read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise CannotStart(f"The root key {path} cannot be read: {error.strerror}.") from error
    if mode & 0o077:
        raise CannotStart(f"The root key {path} can be read by others. Run: chmod 600 {path}")
    return parse_root_key(text)


def _told_by(command: str) -> str:
    """What the command prints, such as that of a secret manager. What it says is never repeated."""
    name = "STILLWAVE_ROOT_KEY_COMMAND"
    try:
        done = subprocess.run(
            shlex.split(command), stdin=subprocess.DEVNULL, capture_output=True, timeout=_COMMAND_S, check=False
        )
    except (OSError, ValueError):
        raise CannotStart(f"The program in {name} cannot be run. Is it installed, and the line whole?") from None
    except subprocess.TimeoutExpired:
        raise CannotStart(f"The program in {name} gave no answer within {_COMMAND_S} seconds.") from None
    if done.returncode:
        raise CannotStart(
            f"The program in {name} failed (status {done.returncode}). Run it by hand to see why. Nothing was changed."
        )
    return done.stdout.decode("ascii", "replace")


def write_secret(path: Path, text: str) -> None:
    """The file holds the text, readable by its owner only: wholly, or as before."""
    write_whole(path, (text + "\n").encode())


def write_whole(path: Path, content: bytes) -> None:
    """The file holds the content with rights 0600: wholly, or as before, also when the power fails."""
    aside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise CannotStart(f"Cannot write {path}: {error.strerror}.") from error
    finally:
        aside.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """What was renamed or removed in the folder is so after a power failure as well."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_new_root_key(path: Path) -> None:
    # Written aside and linked into place: never half a key, and never two.
    aside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(KEY_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):  # a second process was first
            os.link(aside, path)
    except OSError as error:
        raise CannotStart(f"Cannot create the root key {path}: {error.strerror}.") from error
    finally:
        aside.unlink(missing_ok=True)


class KeyStore:
    """The wrapped keys of the house and of each person, in an encrypted file of their own.

    Several processes have it open. Each looks, before a key is used, whether the file was replaced or changed, so
    that a new key counts everywhere at once. Writers take turns by a lock on the folder, for a file that is
    replaced takes SQLite's own locks with it.
    """

    cached = _CACHED_KEYS  # how many stay unwrapped in memory

    def __init__(
        self, path: Path, root: RootKey, find_root: Callable[[], RootKey] | None = None, *, read_only: bool = False
    ) -> None:
        self._lock = threading.Lock()
        self._path, self.root, self._find_root = path, root, find_root
        self._unwrapped: OrderedDict[tuple[UUID, int], bytes] = OrderedDict()
        self._newest: dict[UUID, int] = {}
        self._ciphers: dict[str, tuple[int, AESGCM]] = {}
        self._steady = 0
        self._house: dict[str, list[tuple[int, bytes, bool]]] = {}
        self._inode = self._seen = -1
        self._read_only = read_only
        with nullcontext() if read_only else _alone_in(path.parent):
            self._open()
            if not read_only:
                self._make_tables()

    # --- the file ---------------------------------------------------------------------------------

    def _open(self) -> None:
        # While a root key is handed over, file, key and hand-over change one after the other; so look a few times.
        refused: CannotStart | None = None
        for turn in range(_TURNS):
            if turn:
                time.sleep(_MOMENT_S)
            for root in self._roots():
                before = self._inode_now()
                try:
                    file = open_encrypted(self._path, root.derive("key-store"), read_only=self._read_only)
                except CannotStart as error:
                    refused = refused or error
                    continue
                if before not in (None, self._inode_now()):  # replaced meanwhile: this may be the file that is gone
                    file.close()
                    break
                self._file, self.root, self._wrap = file, root, AESGCM(root.derive("key-encryption"))
                if not self._read_only:
                    # A destroyed key must not survive in free pages or a write-ahead log.
                    self._file.execute("PRAGMA secure_delete = ON")
                    self._file.execute("PRAGMA journal_mode = DELETE")
                self._inode, self._seen = before or self._path.stat().st_ino, -1
                return
            if refused and self._find_root is None:
                break
        raise refused or CannotStart(f"The key store {self._path} is replaced again and again. Try again.")

    def _inode_now(self) -> int | None:
        try:
            return self._path.stat().st_ino
        except FileNotFoundError:
            return None

    def _roots(self) -> Iterator[RootKey]:
        """The root key in memory, the one that is set now, and what either of them was handed over to."""
        for find in (lambda: self.root, self._find_root):
            if find is not None:
                root = find()
                yield root
                after = read_handover(self._path, root)
                if after is not None:
                    yield after

    def _make_tables(self) -> None:
        columns = {row[1] for row in self._file.execute("PRAGMA table_info(data_keys)").fetchall()}
        missing = set(PURPOSES)
        if "generation" in columns:
            missing -= {row[0] for row in self._file.execute("SELECT DISTINCT purpose FROM house_keys").fetchall()}
            tables = {row[0] for row in self._file.execute("SELECT name FROM sqlite_master").fetchall()}
            if not missing and "tombstones" in tables:
                return
        with self._transaction():
            if columns and "generation" not in columns:  # made before keys had generations
                self._file.execute("ALTER TABLE data_keys RENAME TO first_keys")
            self._file.execute(
                "CREATE TABLE IF NOT EXISTS data_keys ("
                " user_id TEXT NOT NULL, generation INTEGER NOT NULL, wrapped BLOB NOT NULL,"
                " made_at TEXT, retired_at TEXT, PRIMARY KEY (user_id, generation)) STRICT"
            )
            self._file.execute(
                "CREATE TABLE IF NOT EXISTS house_keys ("
                " purpose TEXT NOT NULL, generation INTEGER NOT NULL, wrapped BLOB NOT NULL,"
                " made_at TEXT, retired_at TEXT, PRIMARY KEY (purpose, generation)) STRICT"
            )
            # Who was erased, so that a database from an old backup is brought up to that: it knows nothing of it.
            self._file.execute(
                "CREATE TABLE IF NOT EXISTS tombstones ("
                " user_id TEXT PRIMARY KEY, erased_at TEXT NOT NULL) STRICT"
            )
            # How far a rotation has come, so that one that was killed goes on.
            self._file.execute("CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT")
            if columns and "generation" not in columns:
                self._file.execute("INSERT INTO data_keys SELECT user_id, 1, wrapped, NULL, NULL FROM first_keys")
                self._file.execute("DROP TABLE first_keys")
            for purpose in sorted(missing):
                wrapped = _wrapped(self._wrap, self.root.derive(purpose), _of_house(purpose, 1))
                self._file.execute("INSERT INTO house_keys VALUES (?, 1, ?, NULL, NULL)", (purpose, wrapped))
        self._path.chmod(0o600)

    @contextmanager
    def steady(self) -> Iterator[None]:
        """Inside, what other processes change in the store is not looked for: that costs more than sealing a value, and is
        done once for thousands of them."""
        with self._lock:
            self._freshen()
            self._steady += 1
        try:
            yield
        finally:
            with self._lock:
                self._steady -= 1

    def _freshen(self, *, always: bool = False) -> None:
        """What is in memory is what is in the file, also when another process replaced or changed it."""
        if self._steady and not always:
            return
        if self._inode_now() not in (None, self._inode):
            self._file.close()
            self._open()
        seen = self._file.execute("PRAGMA data_version").fetchone()[0]
        if seen != self._seen:
            self._forget_memory()
            self._seen = seen

    def _forget_memory(self) -> None:
        self._unwrapped.clear()
        self._newest.clear()
        self._ciphers.clear()
        self._house.clear()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._file.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._file.execute("COMMIT")
        except BaseException:
            self._file.execute("ROLLBACK")
            raise

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One transaction on the file as it is now; nobody replaces it meanwhile."""
        with self._lock, _alone_in(self._path.parent):
            self._freshen(always=True)
            with self._transaction():
                yield

    # --- a person's keys --------------------------------------------------------------------------

    def create(self, user_id: UUID) -> None:
        """The person has a data key; an existing one is kept."""
        with self._writing():
            if self._file.execute("SELECT 1 FROM data_keys WHERE user_id = ?", (str(user_id),)).fetchone() is None:
                self._add(user_id, 1, None)

    def keep(self, keys: Mapping[UUID, Mapping[int, bytes] | None]) -> None:
        """Each person has data keys: the given generations, or a first one; existing ones are kept. All or none."""
        asked = json.dumps([str(user_id) for user_id in keys])
        with self._writing():
            have = {row[0] for row in self._file.execute(
                "SELECT user_id FROM data_keys WHERE user_id IN (SELECT value FROM json_each(?))", (asked,)
            )}  # fmt: skip
            new = {
                user_id: given or {1: secrets.token_bytes(KEY_BYTES)}
                for user_id, given in keys.items() if str(user_id) not in have
            }  # fmt: skip
            self._file.executemany(
                "INSERT INTO data_keys VALUES (?, ?, ?, NULL, NULL)",
                [
                    (str(user_id), generation, _wrapped(self._wrap, key, _of_person(user_id, generation)))
                    for user_id, given in new.items() for generation, key in given.items()
                ],
            )  # fmt: skip
        with self._lock:  # they are in the file now, and will be needed at once
            for user_id, given in new.items():
                self._newest[user_id] = max(given)
                for generation, key in given.items():
                    self._remember(user_id, generation, key)

    def all_of(self, user_id: UUID) -> dict[int, bytes]:
        """The person's keys by generation. Raises NotFound when there is none."""
        with self._lock:
            self._freshen()
            self._generation(user_id)
            found = self._file.execute("SELECT generation FROM data_keys WHERE user_id = ?", (str(user_id),)).fetchall()
            return {generation: self._key(user_id, generation) for (generation,) in found}

    def _add(self, user_id: UUID, generation: int, made_at: str | None) -> None:
        wrapped = _wrapped(self._wrap, secrets.token_bytes(KEY_BYTES), _of_person(user_id, generation))
        self._file.execute(
            "INSERT INTO data_keys VALUES (?, ?, ?, ?, NULL)", (str(user_id), generation, wrapped, made_at)
        )
        self._newest.pop(user_id, None)
        self._ciphers.pop(str(user_id), None)

    def key(self, user_id: UUID, generation: int | None = None) -> bytes:
        """The person's data key, the newest unless told. Raises NotFound when it was destroyed or never made."""
        with self._lock:
            self._freshen()
            return self._key(user_id, generation or self._generation(user_id))

    def current(self, user_id: UUID) -> tuple[int, bytes]:
        """The key to seal with, and its generation. Raises NotFound as `key` does."""
        with self._lock:
            self._freshen()
            generation = self._generation(user_id)
            return generation, self._key(user_id, generation)

    def cipher(self, user_id: str) -> tuple[int, AESGCM]:
        """What seals fields for the person, under the newest key, and the key's generation. Raises NotFound as `key` does."""
        with self._lock:
            self._freshen()
            known = self._ciphers.get(user_id)
            if known is None:
                person = UUID(user_id)
                generation = self._generation(person)
                if len(self._ciphers) >= min(self.cached, _CACHED_CIPHERS):
                    self._ciphers.clear()
                known = self._ciphers[user_id] = (generation, AESGCM(self._key(person, generation)))
            return known

    def _generation(self, user_id: UUID) -> int:
        known = self._newest.get(user_id)
        if known is None:
            row = self._file.execute(
                "SELECT max(generation) FROM data_keys WHERE user_id = ?", (str(user_id),)
            ).fetchone()
            if row[0] is None:
                raise NotFound("The key of this account no longer exists.")
            if len(self._newest) >= max(self.cached, _CACHED_KEYS):
                self._newest.clear()
            known = self._newest[user_id] = int(row[0])
        return known

    def _key(self, user_id: UUID, generation: int) -> bytes:
        known = self._unwrapped.get((user_id, generation))
        if known is not None:
            self._unwrapped.move_to_end((user_id, generation))
            return known
        row = self._file.execute(
            "SELECT wrapped FROM data_keys WHERE user_id = ? AND generation = ?", (str(user_id), generation)
        ).fetchone()
        if row is None:
            raise NotFound("The key of this account no longer exists.")
        key = _unwrapped(self._wrap, row[0], _of_person(user_id, generation))
        self._remember(user_id, generation, key)
        return key

    def _remember(self, user_id: UUID, generation: int, key: bytes) -> None:
        self._unwrapped[user_id, generation] = key
        while len(self._unwrapped) > self.cached:
            self._unwrapped.popitem(last=False)

    def destroy(self, user_id: UUID, now: dt.datetime) -> None:
        """Nothing sealed for this person can be read again, and a tombstone says since when."""
        with self._writing():
            self._drop(user_id)
            self._file.execute(
                "INSERT INTO tombstones VALUES (?, ?) ON CONFLICT DO NOTHING", (str(user_id), _text(now))
            )

    def forget(self, user_id: UUID) -> None:
        """Somebody who did not come to be after all has no key, and no tombstone either."""
        with self._writing():
            self._drop(user_id)

    def _drop(self, user_id: UUID) -> None:
        self._newest.pop(user_id, None)
        self._ciphers.pop(str(user_id), None)
        for known in [known for known in self._unwrapped if known[0] == user_id]:
            del self._unwrapped[known]
        self._file.execute("DELETE FROM data_keys WHERE user_id = ?", (str(user_id),))

    def holds(self, user_id: UUID) -> bool:
        """Whether there is a key of this person."""
        with self._lock:
            self._freshen()
            return self._file.execute("SELECT 1 FROM data_keys WHERE user_id = ?", (str(user_id),)).fetchone() is not None

    def is_erased(self, user_id: UUID) -> bool:
        """Whether there is a tombstone of this person."""
        with self._lock:
            self._freshen()
            return self._file.execute("SELECT 1 FROM tombstones WHERE user_id = ?", (str(user_id),)).fetchone() is not None

    def erased(self) -> list[tuple[UUID, dt.datetime]]:
        """Everybody who was erased, and when, oldest first."""
        with self._lock:
            self._freshen()
            found = self._file.execute("SELECT user_id, erased_at FROM tombstones ORDER BY erased_at, user_id").fetchall()
        return [(UUID(user_id), dt.datetime.fromisoformat(at)) for user_id, at in found]

    def people(self) -> set[UUID]:
        """Everybody who has a key."""
        with self._lock:
            self._freshen()
            return {UUID(user_id) for (user_id,) in self._file.execute("SELECT user_id FROM data_keys")}

    def copy_to(self, path: Path) -> None:
        """A copy of the store as it is now, under the same root key, is at `path`, where nothing was."""
        with self._lock:
            self._freshen()
            try:
                self._file.execute("VACUUM INTO ?", (str(path),))
            except sqlcipher.OperationalError as error:
                raise StorageFull(f"The key store cannot be copied to {path.parent}: {error}.") from error
        path.chmod(0o600)

    def renew(self, user_id: UUID, now: dt.datetime) -> int:
        """The person's next key is there and used from now on; one whose turn is not finished goes on. Its generation."""
        with self._writing():
            generation = self._generation(user_id)
            if self._unfinished("data_keys", "user_id", str(user_id)):
                return generation
            self._add(user_id, generation + 1, _text(now))
            return generation + 1

    def renewed(self, user_id: UUID, now: dt.datetime) -> None:
        """The person's older keys are retired: nothing in the database needs them."""
        with self._writing():
            self._retire("data_keys", "user_id", str(user_id), now)

    def unrenewed(self, made_before: dt.datetime) -> list[UUID]:
        """Everybody whose newest key is older than that, or whose turn is not finished."""
        with self._lock:
            self._freshen()
            rows = self._file.execute(
                "SELECT user_id FROM data_keys GROUP BY user_id"
                " HAVING coalesce(max(made_at), '') < :before"
                " OR sum(retired_at IS NULL) > 1 ORDER BY user_id",
                {"before": _text(made_before)},
            ).fetchall()
        return [UUID(row[0]) for row in rows]

    # --- the house's keys -------------------------------------------------------------------------

    def house(self, purpose: str) -> list[tuple[int, bytes, bool]]:
        """The keys of one purpose, newest first: generation, key, and whether it is retired."""
        with self._lock:
            self._freshen()
            known = self._house.get(purpose)
            if known is None:
                rows = self._file.execute(
                    "SELECT generation, wrapped, retired_at IS NOT NULL FROM house_keys"
                    " WHERE purpose = ? ORDER BY generation DESC",
                    (purpose,),
                ).fetchall()
                known = self._house[purpose] = [
                    (generation, _unwrapped(self._wrap, wrapped, _of_house(purpose, generation)), bool(retired))
                    for generation, wrapped, retired in rows
                ]
            return known

    def begin(self, purpose: str, now: dt.datetime) -> int:
        """The purpose's next key is there and used from now on; an unfinished turn goes on. Its generation."""
        with self._writing():
            newest = int(
                self._file.execute("SELECT max(generation) FROM house_keys WHERE purpose = ?", (purpose,)).fetchone()[0]
            )
            if self._unfinished("house_keys", "purpose", purpose):
                return newest
            wrapped = _wrapped(self._wrap, secrets.token_bytes(KEY_BYTES), _of_house(purpose, newest + 1))
            self._file.execute(
                "INSERT INTO house_keys VALUES (?, ?, ?, ?, NULL)", (purpose, newest + 1, wrapped, _text(now))
            )
            self._house.clear()
            return newest + 1

    def finish(self, purpose: str, now: dt.datetime) -> None:
        """The purpose's older keys are retired: they open old backups and nothing else."""
        with self._writing():
            self._retire("house_keys", "purpose", purpose, now)
            self._house.clear()

    def _unfinished(self, table: str, column: str, value: str) -> bool:
        text = f"SELECT count(*) > 1 FROM {table} WHERE {column} = ? AND retired_at IS NULL"  # noqa: S608  our names
        return bool(self._file.execute(text, (value,)).fetchone()[0])

    def _retire(self, table: str, column: str, value: str, now: dt.datetime) -> None:
        self._file.execute(
            f"UPDATE {table} SET retired_at = :now WHERE {column} = :value AND retired_at IS NULL"  # noqa: S608
            f" AND generation < (SELECT max(generation) FROM {table} WHERE {column} = :value)",
            {"now": _text(now), "value": value},
        )

    # --- all of it --------------------------------------------------------------------------------

    def states(self) -> list[tuple[str, int, int, int, str | None]]:
        """For each layer: name, newest generation, keys that are in use or not finished, retired ones, newest made at."""
        shape = (
            "count(*) FILTER (WHERE retired_at IS NULL), count(*) FILTER (WHERE retired_at IS NOT NULL), max(made_at)"
        )
        with self._lock:
            self._freshen()
            found = self._file.execute(
                f"SELECT purpose, max(generation), {shape} FROM house_keys WHERE purpose <> ?"  # noqa: S608
                " GROUP BY purpose ORDER BY purpose",
                (BACKUP,),
            ).fetchall()
            people = self._file.execute(f"SELECT 'people', max(generation), {shape} FROM data_keys").fetchone()  # noqa: S608
        return [*found, people]

    def retired_people(self, before: dt.datetime) -> list[UUID]:
        """People who have keys that were retired before then."""
        with self._lock:
            self._freshen()
            rows = self._file.execute(
                "SELECT DISTINCT user_id FROM data_keys WHERE retired_at <= ? ORDER BY user_id", (_text(before),)
            ).fetchall()
        return [UUID(row[0]) for row in rows]

    def forget_retired(self, before: dt.datetime) -> int:
        """Keys that were retired before then are gone for good; how many. Those of the audit log stay: it is kept."""
        with self._writing():
            self._forget_memory()
            gone = self._file.execute("DELETE FROM data_keys WHERE retired_at <= ?", (_text(before),)).rowcount
            gone += self._file.execute(
                "DELETE FROM house_keys WHERE retired_at <= ? AND purpose <> 'audit'", (_text(before),)
            ).rowcount
        return int(gone)

    def fact(self, name: str) -> str | None:
        """What was written down under the name."""
        with self._lock:
            self._freshen()
            row = self._file.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else None

    def set_fact(self, name: str, value: str | None) -> None:
        """The fact is written down, or gone."""
        with self._writing():
            self._file.execute("DELETE FROM facts WHERE name = ?", (name,))
            if value is not None:
                self._file.execute("INSERT INTO facts VALUES (?, ?)", (name, value))

    def move_to(self, root: RootKey, now: dt.datetime) -> None:
        """The file is encrypted, and everything in it wrapped, under this root key: wholly, or as before.

        Of the root key before it keeps, retired, what opens its backups.
        """
        with self._lock, _alone_in(self._path.parent):
            self._freshen()
            if self.root == root:
                return
            fresh = self._path.with_name(self._path.name + ".new")
            for suffix in ("", "-journal"):
                fresh.with_name(fresh.name + suffix).unlink(missing_ok=True)
            wrap = AESGCM(root.derive("key-encryption"))
            key = f"x'{root.derive('key-store').hex()}'"
            self._file.execute("ATTACH DATABASE ? AS fresh KEY ?", (str(fresh), key))
            try:
                fresh.chmod(0o600) if fresh.exists() else None
                self._file.execute("PRAGMA fresh.secure_delete = ON")
                self._file.execute("SELECT sqlcipher_export('fresh')")
                self._file.execute("BEGIN IMMEDIATE")
                self._rewrap("data_keys", "user_id", lambda name, generation: _of_person(UUID(name), generation), wrap)
                self._rewrap("house_keys", "purpose", _of_house, wrap)
                self._keep_backup_key(wrap, now)
                self._file.execute("COMMIT")
            finally:
                if self._file.in_transaction:
                    self._file.execute("ROLLBACK")
                self._file.execute("DETACH DATABASE fresh")
            with fresh.open("rb") as file:
                os.fsync(file.fileno())
            fresh.chmod(0o600)
            fresh.replace(self._path)
            sync_folder(self._path.parent)
            self._file.close()
            self.root = root
            self._open()
            self._forget_memory()

    def _keep_backup_key(self, wrap: AESGCM, now: dt.datetime) -> None:
        count = "SELECT coalesce(max(generation), 0) FROM fresh.house_keys WHERE purpose = ?"
        generation = int(self._file.execute(count, (BACKUP,)).fetchone()[0]) + 1
        wrapped = _wrapped(wrap, self.root.derive(BACKUP), _of_house(BACKUP, generation))
        row = (BACKUP, generation, wrapped, None, _text(now))
        self._file.execute("INSERT INTO fresh.house_keys VALUES (?, ?, ?, ?, ?)", row)

    def _rewrap(self, table: str, column: str, of: Callable[[str, int], bytes], wrap: AESGCM) -> None:
        rows = self._file.execute(f"SELECT rowid, {column}, generation, wrapped FROM fresh.{table}").fetchall()  # noqa: S608
        self._file.executemany(
            f"UPDATE fresh.{table} SET wrapped = ? WHERE rowid = ?",  # noqa: S608  our names
            [
                (_wrapped(wrap, _unwrapped(self._wrap, wrapped, of(name, generation)), of(name, generation)), rowid)
                for rowid, name, generation, wrapped in rows
            ],
        )

    def close(self) -> None:
        """The file is closed and no key stays in memory."""
        with self._lock:
            self._forget_memory()
            self._file.close()


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Nobody else writes or replaces the key store in the folder."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _text(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).isoformat(timespec="milliseconds")


def _of_person(user_id: UUID, generation: int) -> bytes:
    return user_id.bytes + (b"" if generation == 1 else generation.to_bytes(2, "big"))


def _of_house(purpose: str, generation: int) -> bytes:
    return f"house\0{purpose}\0{generation}".encode()


def _wrapped(wrap: AESGCM, key: bytes, owner: bytes) -> bytes:
    nonce = secrets.token_bytes(12)
    return nonce + wrap.encrypt(nonce, key, owner)


def _unwrapped(wrap: AESGCM, wrapped: bytes, owner: bytes) -> bytes:
    try:
        return wrap.decrypt(wrapped[:12], wrapped[12:], owner)
    except InvalidTag:
        raise CannotStart("The key store does not belong to this root key.") from None


# --- handing over to a new root key ---------------------------------------------------------------

_HANDOVER = b"stillwave root key hand-over"


def handover_file(keys_file: Path) -> Path:
    """Where the next root key lies, sealed under the one before, while a root key is changed."""
    return keys_file.with_name("root.handover")


def write_handover(keys_file: Path, before: RootKey, after: RootKey) -> None:
    """Whoever has the root key before finds the next one, until the hand-over is removed."""
    sealed = _wrapped(AESGCM(before.derive("hand-over")), bytes.fromhex(after.written()), _HANDOVER)
    write_whole(handover_file(keys_file), sealed)


def read_handover(keys_file: Path, before: RootKey) -> RootKey | None:
    """The root key that follows this one; None when there is no hand-over, or none for this key."""
    try:
        sealed = handover_file(keys_file).read_bytes()
        return RootKey(AESGCM(before.derive("hand-over")).decrypt(sealed[:12], sealed[12:], _HANDOVER))
    except (FileNotFoundError, InvalidTag, ValueError):
        return None


def open_encrypted(path: Path, key: bytes, *, read_only: bool = False) -> sqlcipher.Connection:
    """A connection to a SQLCipher file, opened with a raw key; `read_only` never makes or changes the file.

    A raw key skips the 256,000 PBKDF2 rounds a passphrase would cost on every connection.
    Raises CannotStart when the file was made with another key or is not a database.
    """
    try:
        connection = sqlcipher.connect(
            f"{path.absolute().as_uri()}?mode=ro" if read_only else str(path), uri=read_only,
            isolation_level=None, check_same_thread=False, timeout=10,
        )  # fmt: skip
        connection.execute("PRAGMA cipher_log_level = NONE")  # a key that does not fit is told by us
        connection.execute(f"PRAGMA key = \"x'{key.hex()}'\"")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlcipher.DatabaseError as error:
        if "not a database" in str(error):
            raise CannotStart(
                f"{path} cannot be opened with this root key. Either the key is the wrong one "
                "or the file is damaged. Put the right key back. Nothing was changed."
            ) from None
        raise CannotStart(f"Cannot open {path}: {error}.") from error
    return connection
