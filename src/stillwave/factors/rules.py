"""Codes of an authenticator app (TOTP, RFC 6238) and recovery codes. Pure: time and chance are arguments."""

from __future__ import annotations

import base64
import datetime as dt
import hmac
import re
from typing import Final

import pyotp

STEP_S: Final = 30
DIGITS: Final = 6
# A code counts in its own half minute and in the one before and after: clocks of phones are not exact.
_DRIFT_STEPS: Final = (0, -1, 1)
MOST_TRIES: Final = 5
TRIES_WINDOW: Final = dt.timedelta(minutes=15)
SETUP_LASTS: Final = dt.timedelta(hours=1)
RECOVERY_CODES: Final = 10
_SECRET_BYTES: Final = 20  # RFC 4226: as long as the hash


def secret(chance: bytes) -> str:
    """The seed for an app, in Base32, from 20 bytes of chance."""
    if len(chance) != _SECRET_BYTES:
        message = f"a secret needs {_SECRET_BYTES} bytes of chance"
        raise ValueError(message)
    return base64.b32encode(chance).decode()


def address(seed: str, account: str) -> str:
    """The otpauth:// address that the picture for the app holds."""
    return pyotp.TOTP(seed).provisioning_uri(name=account, issuer_name="Stillwave")


def matching_step(seed: str, code: str, now: dt.datetime) -> int | None:
    """The number of the half minute whose code this is, or None. Every candidate is compared in full."""
    step, app, found = int(now.timestamp()) // STEP_S, pyotp.TOTP(seed), None
    for drift in _DRIFT_STEPS:
        if hmac.compare_digest(app.generate_otp(step + drift).encode(), code.encode()):  # as text it takes ASCII alone
            found = step + drift
    return found


def plain(code: str) -> str:
    """The code without the spaces and dashes that people type."""
    return re.sub(r"[\s-]", "", code)


def is_app_code(code: str) -> bool:
    """True for six digits; anything else can only be a recovery code."""
    return len(code) == DIGITS and code.isascii() and code.isdigit()
