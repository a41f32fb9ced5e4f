"""What the operator looks at: no personal data."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path

import msgspec

from stillwave.db import audit
from stillwave.db.database import Database, Queries, Tx
from stillwave.settings import Settings

SQL = Queries(Path(__file__).parent)
_LITTLE_DISK_BYTES = 1024**3
_PEOPLE_AT_ONCE = 50


class Check(msgspec.Struct, frozen=True):
    """One line of health: what was looked at, what was found, whether it is well."""

    label: str
    value: str
    ok: bool


def ping(tx: Tx) -> None:
    """The database answers."""
    tx.value(SQL.ping)


def expired(tx: Tx, now: dt.datetime) -> int:
    """How many sessions `clean_up` would remove."""
    return int(tx.value(SQL.count_expired, before=_a_year_before(now)))


def clean_up(database: Database, now: dt.datetime) -> int:
    """Sessions older than a year are gone, but for premium people and those who restricted processing.

    A few people at a time, so that nobody waits long; feedback goes along, sound files through the unlink outbox.
    What was learned from them stays. Returns how many went. Ended half-way, the next run goes on.
    """
    before = _a_year_before(now)
    gone: int = 0
    while True:
        with database.write() as tx:
            people: int = tx.run(SQL.keep_learned, before=before, most=_PEOPLE_AT_ONCE)
            gone += tx.run(SQL.delete_expired, before=before)
            tx.run(SQL.resume_learning)
        if people < _PEOPLE_AT_ONCE:
            break
    _trim_log(database, now)
    return gone


def _trim_log(database: Database, now: dt.datetime) -> None:
    while True:
        with database.read() as tx:
            people = audit.outlived(tx, now, _PEOPLE_AT_ONCE)
        for user_id in people:
            with database.write(user_id) as tx:
                audit.trim(tx, user_id, now)
        if len(people) < _PEOPLE_AT_ONCE:
            return


def _a_year_before(now: dt.datetime) -> dt.datetime:
    day = now.astimezone(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    try:
        return day.replace(year=day.year - 1)
    except ValueError:  # the 29th of February
        return day.replace(year=day.year - 1, day=28)


def health(tx: Tx, settings: Settings, *, mail: bool) -> list[Check]:
    """The checks of the operator's page and of `stillwave doctor`."""
    free = shutil.disk_usage(settings.data_dir).free
    waiting = int(tx.value(SQL.waiting_unlinks))
    strays = int(tx.value(SQL.strays))
    sounds = [file.stat().st_size for file in settings.audio_dir.glob("*.swf")]
    return [
        Check("Sessions stored", str(tx.value(SQL.session_count)), ok=True),
        Check("Free disk", f"{free / 1024**3:.1f} GiB", ok=free > _LITTLE_DISK_BYTES),
        Check("Sound files", f"{len(sounds)}, {sum(sounds) / 1024**2:.0f} MiB", ok=True),
        Check("Files waiting to be removed", str(waiting), ok=waiting < 1000),
        Check("Rows outside of their month", str(strays), ok=strays == 0),
        Check("Mail", "set up" if mail else "not set up: recovery codes come from the command line", ok=True),
        Check("Connection", "TLS" if settings.secure_cookies else "this machine only, no TLS", ok=True),
    ]
