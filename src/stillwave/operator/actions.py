"""What the operator looks at: no personal data."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec

from stillwave.db.database import Queries, Tx
from stillwave.settings import Settings

SQL = Queries(Path(__file__).parent)
_LITTLE_DISK_BYTES = 1024**3


class Check(msgspec.Struct, frozen=True):
    """One line of health: what was looked at, what was found, whether it is well."""

    label: str
    value: str
    ok: bool


def ping(tx: Tx) -> None:
    """The database answers."""
    tx.value(SQL.ping)


def health(tx: Tx, settings: Settings, *, mail: bool) -> list[Check]:
    """The checks of the operator's page and of `stillwave doctor`."""
    free = shutil.disk_usage(settings.data_dir).free
    waiting = int(tx.value(SQL.waiting_unlinks))
    sounds = [file.stat().st_size for file in settings.audio_dir.glob("*.swf")]
    return [
        Check("Sessions stored", str(tx.value(SQL.session_count)), ok=True),
        Check("Free disk", f"{free / 1024**3:.1f} GiB", ok=free > _LITTLE_DISK_BYTES),
        Check("Sound files", f"{len(sounds)}, {sum(sounds) / 1024**2:.0f} MiB", ok=True),
        Check("Files waiting to be removed", str(waiting), ok=waiting < 1000),
        Check("Mail", "set up" if mail else "not set up: recovery codes come from the command line", ok=True),
        Check("Connection", "TLS" if settings.secure_cookies else "this machine only, no TLS", ok=True),
    ]
