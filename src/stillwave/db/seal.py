"""Sealing: authenticated encryption of single fields and of sound files under a person's own key.

Field envelope: `sw1.` + base64url(suite | nonce 12 | ciphertext and tag), AES-256-GCM. The suite is 1 for a
person's first key; 2 and the key's generation (2 bytes) for a later one.
The place (table, column, row, person) is authenticated, so an envelope copied elsewhere does not open.
File: `SWF1`, or `SG` and the key's generation | nonce prefix 7 | chunks of 64 KiB, each with its own tag; nonce = prefix | counter 4 |
last-chunk flag 1 (the STREAM construction, Hoang et al. 2015), so that reordering, truncation and
appending are noticed and any range opens without the rest.
"""

from __future__ import annotations

import base64
import hmac
import io
import os
import secrets
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from stillwave.db.keys import BACKUP, KeyStore
from stillwave.errors import NotFound, StillwaveError

PREFIX = "sw1."
_FIRST, _LATER = b"\x01", b"\x02"
_MAGIC, _LATER_MAGIC = b"SWF1", b"SG"
CHUNK_BYTES = 64 * 1024
_TAG_BYTES = 16
_HEAD_BYTES = len(_MAGIC) + 7


class SealBroken(StillwaveError):
    """An envelope or file was altered, moved, or sealed under another key."""

    status = 500
    title = "Stored data cannot be opened"


class Vault:
    """Seals and opens with the keys of the people it is asked about."""

    def __init__(self, keys: KeyStore) -> None:
        self.keys = keys

    @property
    def backup_key(self) -> bytes:
        """The key of backup files, under the root key of now."""
        return self.keys.root.derive(BACKUP)

    @property
    def backup_keys(self) -> list[bytes]:
        """What opens backup files: the key of now, and those of former root keys that are not forgotten."""
        return [self.backup_key, *(key for _, key, _ in self.keys.house(BACKUP))]

    def audit_fits(self, text: str, mac: str) -> bool:
        """Whether the MAC is right under any audit key there was."""
        return self.audit_generation(text, mac) is not None

    def audit_mac(self, text: str) -> str:
        """The MAC of a text of the audit log under the newest key, 64 hex digits."""
        return _hmac(self.keys.house("audit")[0][1], text)

    def audit_macs(self, text: str) -> list[str]:
        """The MACs of the text under every audit key there was, newest first."""
        return [_hmac(key, text) for _, key, _ in self.keys.house("audit")]

    def audit_generation(self, text: str, mac: str) -> int | None:
        """The generation of the audit key under which the MAC is right; None when it is wrong under all."""
        return next(
            (number for number, key, _ in self.keys.house("audit") if hmac.compare_digest(_hmac(key, text), mac)), None
        )

    def audit_retired(self, generation: int) -> bool:
        """Whether every chain goes on under a newer audit key than this."""
        return any(number == generation and retired for number, _, retired in self.keys.house("audit"))

    def seal(self, user_id: UUID | str, place: str, row_id: UUID | str, text: str) -> str:
        """The envelope of `text` for `place` ("table.column") in one row of one person."""
        nonce = secrets.token_bytes(12)
        generation, cipher = self.keys.cipher(str(user_id))
        body = cipher.encrypt(nonce, text.encode(), _place(place, row_id, user_id))
        return PREFIX + base64.urlsafe_b64encode(_suite(generation) + nonce + body).decode()

    def open(self, user_id: UUID | str, place: str, row_id: UUID | str, envelope: str) -> str:
        """The text inside an envelope. Raises SealBroken when it does not belong here."""
        newest, cipher = self.keys.cipher(str(user_id))
        try:
            raw = base64.urlsafe_b64decode(envelope.removeprefix(PREFIX))
            # Base64 has several spellings of the same bytes; only ours is an envelope.
            if envelope != PREFIX + base64.urlsafe_b64encode(raw).decode():
                raise ValueError
            generation = 1 if raw[:1] == _FIRST else int.from_bytes(raw[1:3], "big")
            suite = _suite(generation)
            if not raw.startswith(suite):
                raise ValueError
            at = len(suite)
            if generation != newest:
                cipher = AESGCM(self.keys.key(UUID(str(user_id)), generation))
            opened = cipher.decrypt(raw[at : at + 12], raw[at + 12 :], _place(place, row_id, user_id))
        except (ValueError, InvalidTag, NotFound):
            raise SealBroken(f"A sealed value in {place} cannot be opened.") from None
        return opened.decode()

    def blind_index(self, place: str, text: str) -> str:
        """A keyed digest (64 hex digits) that finds equal values without storing them."""
        return _hmac(self.keys.house("blind-index")[0][1], f"{place}\0{text}")

    def blind_indexes(self, place: str, text: str, *, retired: bool = False) -> list[str]:
        """The digests under every key that is in use, oldest first, the newest last; with `retired`, under all.

        Rows move from older to newer, so who looks in this order finds each. More than one only while a rebuild runs.
        """
        return [
            _hmac(key, f"{place}\0{text}")
            for _, key, past in reversed(self.keys.house("blind-index"))
            if retired or not past
        ]

    def indexes_and_logs_like(self, other: Vault) -> bool:
        """Whether digests and audit events of either count with the other: the root key may be one, the keys since be others."""

        def known(vault: Vault) -> list[tuple[int, bytes]]:
            return [key[:2] for purpose in ("blind-index", "audit") for key in vault.keys.house(purpose)]

        return known(self) == known(other)

    def key_check(self) -> str:
        """A value stored in the database that tells whether it and the key store belong together."""
        return _hmac(self.keys.house("key-check")[0][1], "stillwave")


def _hmac(key: bytes, text: str) -> str:
    return hmac.digest(key, text.encode(), "sha256").hex()


def _suite(generation: int) -> bytes:
    """How an envelope under a key of this generation begins. Raises ValueError for one there cannot be."""
    if not 0 < generation < 1 << 16:
        raise ValueError
    return _FIRST if generation == 1 else _LATER + generation.to_bytes(2, "big")


def envelope_head(generation: int) -> str:
    """How every envelope under a person's key of this generation (2 or later) begins, and no other: 3 bytes are 4 letters."""
    return PREFIX + base64.urlsafe_b64encode(_suite(generation)).decode()


def _place(place: str, row_id: UUID | str, user_id: UUID | str) -> bytes:
    return f"{place}\0{row_id}\0{user_id}".encode()


class SealedWriter(io.RawIOBase):
    """A write-only file that seals as it goes; `close` seals the last chunk."""

    def __init__(self, file: BinaryIO, key: bytes, name: str, generation: int = 1) -> None:
        super().__init__()
        self._file, self._cipher, self._name = file, AESGCM(key), name.encode()
        self._prefix = secrets.token_bytes(7)
        self._pending = bytearray()
        self._counter = 0
        self.plain_bytes = 0
        file.write((_MAGIC if generation == 1 else _LATER_MAGIC + generation.to_bytes(2, "big")) + self._prefix)

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        view = bytes(data)  # type: ignore[call-overload]
        self._pending += view
        self.plain_bytes += len(view)
        while len(self._pending) > CHUNK_BYTES:  # the last chunk waits for close
            self._put(bytes(self._pending[:CHUNK_BYTES]), last=False)
            del self._pending[:CHUNK_BYTES]
        return len(view)

    def close(self) -> None:
        if self.closed:
            return
        try:
            self._put(bytes(self._pending), last=True)
            self._file.flush()
            os.fsync(self._file.fileno())
        finally:  # also on a full disk: it is not tried again
            super().close()
            self._file.close()

    def _put(self, chunk: bytes, *, last: bool) -> None:
        self._file.write(self._cipher.encrypt(_nonce(self._prefix, self._counter, last), chunk, self._name))
        self._counter += 1


def sealed_size(path: Path, skipped_bytes: int = 0) -> int:
    """Plain bytes inside a sealed file. Raises SealBroken when it was cut off where no chunk ends."""
    return _measure(path, skipped_bytes)[0]


def _measure(path: Path, skipped_bytes: int = 0) -> tuple[int, int]:
    """Plain bytes and the number of the last chunk. Raises SealBroken for a length no writer makes."""
    body = path.stat().st_size - skipped_bytes - _HEAD_BYTES
    final = max(0, (body - 1) // (CHUNK_BYTES + _TAG_BYTES))
    last = body - final * (CHUNK_BYTES + _TAG_BYTES) - _TAG_BYTES
    if last < 0 or (last == 0 and final > 0):  # only an empty file has an empty last chunk
        raise SealBroken("A sound file was altered or cut off.")
    return final * CHUNK_BYTES + last, final


def sealed_generation(head: bytes) -> int:
    """The generation of the key of a sealed file that begins so. Raises SealBroken when it is none."""
    if head[:4] == _MAGIC:
        return 1
    generation = int.from_bytes(head[2:4], "big")
    if head[:2] != _LATER_MAGIC or generation < 2:
        raise SealBroken("A sound file is not a sealed file.")
    return generation


def read_sealed(
    path: Path, key: bytes | Callable[[int], bytes], name: str, start: int = 0, stop: int | None = None, *,
    skipped_bytes: int = 0,
) -> Iterator[bytes]:  # fmt: skip
    """The plain bytes [start, stop) of a sealed file, chunk by chunk; it may stand behind other bytes.

    `key`: its key, or what knows the key of a generation.

    Raises SealBroken when a chunk was altered, moved or cut off.
    """
    size, final = _measure(path, skipped_bytes)
    stop = size if stop is None else min(stop, size)
    beyond = 1 if size == 0 else -(-stop // CHUNK_BYTES)  # an empty file is proven empty
    with path.open("rb") as file:
        file.seek(skipped_bytes)
        head = file.read(_HEAD_BYTES)
        generation = sealed_generation(head)
        try:
            cipher = AESGCM(key if isinstance(key, bytes) else key(generation))
        except NotFound:
            raise SealBroken("A sound file's key is gone.") from None
        for counter in range(start // CHUNK_BYTES, beyond):
            file.seek(skipped_bytes + _HEAD_BYTES + counter * (CHUNK_BYTES + _TAG_BYTES))
            try:
                chunk = cipher.decrypt(
                    _nonce(head[4:], counter, counter == final),
                    file.read(CHUNK_BYTES + _TAG_BYTES),
                    name.encode(),
                )
            except InvalidTag:
                raise SealBroken("A sound file was altered or cut off.") from None
            first = counter * CHUNK_BYTES
            yield chunk[max(0, start - first) : max(0, stop - first)]


def _nonce(prefix: bytes, counter: int, last: bool) -> bytes:  # noqa: FBT001
    return prefix + struct.pack(">I", counter) + (b"\x01" if last else b"\x00")
