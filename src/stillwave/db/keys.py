"""Keys: one root key outside the database, everything else derived from it or wrapped by it.

root key -> HKDF-SHA256 -> database key, key-store key, key-encryption key, blind-index key.
Each person has a data key of their own, wrapped in the key store; destroying it makes everything
sealed for that person unreadable, in backups of the database too.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import datetime as dt
import os
import secrets
import threading
from collections import OrderedDict
from collections.abc import Mapping
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
    """The root key from the environment or its file; a new one only when `may_create`.

    Raises CannotStart when it is missing, unreadable, or open to others.
    """
    if settings.root_key:
        return parse_root_key(settings.root_key)
    path = settings.root_key_file
    if not path.exists():
        if not may_create:
            raise CannotStart(
                f"The root key {path} is missing, but data that needs it exists. Put the key back "
                "from your backup (or set STILLWAVE_ROOT_KEY_FILE). Nothing was changed."
            )
        _write_new_root_key(path)
    try:
        mode = path.stat().st_mode & 0o777
        text = path.read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise CannotStart(f"The root key {path} cannot be read: {error.strerror}.") from error
    if mode & 0o077:
        raise CannotStart(f"The root key {path} can be read by others. Run: chmod 600 {path}")
    return parse_root_key(text)


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
    """The wrapped data keys, one per person, in an encrypted file of their own."""

    cached = _CACHED_KEYS  # how many stay unwrapped in memory

    def __init__(self, path: Path, root: RootKey, *, read_only: bool = False) -> None:
        self._lock = threading.Lock()
        self._wrap = AESGCM(root.derive("key-encryption"))
        self._unwrapped: OrderedDict[UUID, bytes] = OrderedDict()
        self._file = open_encrypted(path, root.derive("key-store"), read_only=read_only)
        if read_only:
            return
        # A destroyed key must not survive in free pages or a write-ahead log.
        self._file.execute("PRAGMA secure_delete = ON")
        self._file.execute("PRAGMA journal_mode = DELETE")
        self._file.execute(
            "CREATE TABLE IF NOT EXISTS data_keys ("
            " user_id TEXT PRIMARY KEY, wrapped BLOB NOT NULL) STRICT"
        )
        # Who was erased, so that a database from an old backup is brought up to that: it knows nothing of it.
        self._file.execute(
            "CREATE TABLE IF NOT EXISTS tombstones ("
            " user_id TEXT PRIMARY KEY, erased_at TEXT NOT NULL) STRICT"
        )
        path.chmod(0o600)

    def create(self, user_id: UUID) -> None:
        """The person has a data key; an existing one is kept."""
        nonce = secrets.token_bytes(12)
        wrapped = nonce + self._wrap.encrypt(nonce, secrets.token_bytes(KEY_BYTES), user_id.bytes)
        with self._lock:
            self._file.execute(
                "INSERT INTO data_keys VALUES (?, ?) ON CONFLICT DO NOTHING",
                (str(user_id), wrapped),
            )

    def keep(self, keys: Mapping[UUID, bytes | None]) -> None:
        """Each person has a data key: the given one, or a new one for None; existing ones are kept. All or none."""
        wrapped = []
        for user_id, key in keys.items():
            nonce = secrets.token_bytes(12)
            body = self._wrap.encrypt(nonce, key or secrets.token_bytes(KEY_BYTES), user_id.bytes)
            wrapped.append((str(user_id), nonce + body))
        with self._lock:
            self._file.execute("BEGIN IMMEDIATE")
            try:
                self._file.executemany("INSERT INTO data_keys VALUES (?, ?) ON CONFLICT DO NOTHING", wrapped)
            except BaseException:
                self._file.execute("ROLLBACK")
                raise
            self._file.execute("COMMIT")

    def key(self, user_id: UUID) -> bytes:
        """The person's data key. Raises NotFound when it was destroyed or never made."""
        with self._lock:
            known = self._unwrapped.get(user_id)
            if known is not None:
                self._unwrapped.move_to_end(user_id)
                return known
            row = self._file.execute(
                "SELECT wrapped FROM data_keys WHERE user_id = ?", (str(user_id),)
            ).fetchone()
            if row is None:
                raise NotFound("The key of this account no longer exists.")
            try:
                key = self._wrap.decrypt(row[0][:12], row[0][12:], user_id.bytes)
            except InvalidTag:
                raise CannotStart("The key store does not belong to this root key.") from None
            self._unwrapped[user_id] = key
            while len(self._unwrapped) > self.cached:
                self._unwrapped.popitem(last=False)
            return key

    def destroy(self, user_id: UUID, now: dt.datetime) -> None:
        """Nothing sealed for this person can be read again, and a tombstone says since when."""
        with self._lock:
            self._unwrapped.pop(user_id, None)
            self._file.execute("BEGIN IMMEDIATE")
            try:
                self._file.execute("DELETE FROM data_keys WHERE user_id = ?", (str(user_id),))
                self._file.execute(
                    "INSERT INTO tombstones VALUES (?, ?) ON CONFLICT DO NOTHING",
                    (str(user_id), now.astimezone(dt.UTC).isoformat(timespec="milliseconds")),
                )
                self._file.execute("COMMIT")
            except BaseException:
                self._file.execute("ROLLBACK")
                raise

    def holds(self, user_id: UUID) -> bool:
        """Whether there is a key of this person."""
        with self._lock:
            return self._file.execute("SELECT 1 FROM data_keys WHERE user_id = ?", (str(user_id),)).fetchone() is not None

    def forget(self, user_id: UUID) -> None:
        """Somebody who did not come to be after all has no key, and no tombstone either."""
        with self._lock:
            self._unwrapped.pop(user_id, None)
            self._file.execute("DELETE FROM data_keys WHERE user_id = ?", (str(user_id),))

    def erased(self) -> list[tuple[UUID, dt.datetime]]:
        """Everybody who was erased, and when, oldest first."""
        with self._lock:
            found = self._file.execute("SELECT user_id, erased_at FROM tombstones ORDER BY erased_at, user_id").fetchall()
        return [(UUID(user_id), dt.datetime.fromisoformat(at)) for user_id, at in found]

    def people(self) -> set[UUID]:
        """Everybody who has a key."""
        with self._lock:
            return {UUID(user_id) for (user_id,) in self._file.execute("SELECT user_id FROM data_keys")}

    def copy_to(self, path: Path) -> None:
        """A copy of the store as it is now, under the same root key, is at `path`, where nothing was."""
        with self._lock:
            try:
                self._file.execute("VACUUM INTO ?", (str(path),))
            except sqlcipher.OperationalError as error:
                raise StorageFull(f"The key store cannot be copied to {path.parent}: {error}.") from error
        path.chmod(0o600)

    def close(self) -> None:
        """The file is closed and no key stays in memory."""
        with self._lock:
            self._unwrapped.clear()
            self._file.close()


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
