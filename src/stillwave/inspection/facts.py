"""What the security audit looks at, read once: settings, disk, database, packages, backups. Nothing is changed."""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import json
import re
import shutil
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

import stillwave
from stillwave.accounts import actions as accounts
from stillwave.accounts.rules import CONSENTS, DEMO_EMAIL
from stillwave.db import audit, migrate
from stillwave.db.database import Database, Queries, Tx
from stillwave.db.seal import SealBroken
from stillwave.db.tables import TABLES, TRIGGERS
from stillwave.errors import BadInput, NotFound
from stillwave.inspection.probe import Probe
from stillwave.inspection.rules import Backup, Checkpoint, Facts, File, is_older
from stillwave.jobs import actions as jobs
from stillwave.settings import Settings
from stillwave.web.limits import RULES

SQL = Queries(Path(__file__).parent)
CHECKPOINTS = "stillwave-checkpoint-*.json"
_HEAD_BYTES = 32
_SEALED_SOUND = b"SWF1"
_OPENED_AT_MOST = 20
_LOG_BYTES = 20 * 1024**2  # of the end of each log
_LEAKS_AT_MOST = 20
_HERE = ("", "127.0.0.1", "localhost", "::1")
# The first version without a hole that is known to this program, and the hole.
HOLES: Mapping[str, tuple[str, str]] = {
    "cryptography": ("44.0.1", "CVE-2024-12797"),
    "h11": ("0.16.0", "CVE-2025-43859"),
    "idna": ("3.7", "CVE-2024-3651"),
    "jinja2": ("3.1.6", "CVE-2025-27516"),
    "litestar": ("2.18.0", "CVE-2025-59152"),
    "mako": ("1.2.2", "CVE-2022-40023"),
    "pygments": ("2.15.1", "CVE-2022-40896"),
    "uvicorn": ("0.11.7", "CVE-2020-7694"),
}
# The same of PostgreSQL, by major version (CVE-2025-12817, CVE-2025-12818).
POSTGRES_HOLES: Mapping[int, int] = {15: 15, 16: 11, 17: 7, 18: 1}
_LEAKS = {
    "an e-mail address": re.compile(rb"[\w.+-]{1,64}@[\w-]{1,63}(\.[\w-]{1,63})*\.[a-z]{2,24}\b", re.IGNORECASE),
    "a telephone number": re.compile(rb"(?<![\w+])\+[1-9]\d{8,14}(?!\d)"),
    "a token": re.compile(rb"\bBearer [\w~+/-]{20,}"),
    "a sealed value": re.compile(rb"\bsw1\.[\w-]{16,}"),
    "a key": re.compile(rb"(?<![0-9a-fA-F-])[0-9a-f]{64}(?![0-9a-fA-F-])"),
}


class Housekeeping(msgspec.Struct, frozen=True):
    """What only housekeeping can tell: what is a day late, by table, and whether the clock is believed."""

    overdue: Mapping[str, int]
    clock_trusted: bool


class Installed(msgspec.Struct, frozen=True):
    """The versions of packages: installed, and in the lock file (empty where there is none)."""

    versions: Mapping[str, str]
    locked: Mapping[str, frozenset[str]]


class _Told(msgspec.Struct, frozen=True):
    check_id: str
    what: str
    n: int = 1


class _Wording(msgspec.Struct, frozen=True):
    purpose: str
    version: int
    text_sha256: str


class _Months(msgspec.Struct, frozen=True):
    strays: int
    months_ahead: int | None


class _Version(msgspec.Struct, frozen=True):
    major: int
    minor: int


def gather(
    settings: Settings, database: Database, housekeeping: Housekeeping, now: dt.datetime, *, probe: Probe, installed: Installed
) -> Facts:
    """Everything the checks look at."""
    found = {
        **_of_settings(settings), **_of_disk(settings), **_of_backups(settings), **_of_database(database, now),
        **_of_log(settings, database), **_of_packages(installed),
    }  # fmt: skip
    return Facts(
        now=now, clock_trusted=housekeeping.clock_trusted, overdue=housekeeping.overdue,
        schema=migrate.check(database),  # type: ignore[arg-type]
        asked=probe.url, answers=probe.answers, link=probe.link, **found,
    )  # fmt: skip


# --- settings and disk --------------------------------------------------------------------------


def _of_settings(settings: Settings) -> dict[str, Any]:
    link = urlsplit(settings.database_url) if settings.database_url else None
    asked = parse_qs(link.query) if link else {}
    host = None if link is None else asked.get("host", [link.hostname or ""])[0]
    here = host is None or host in _HERE or host.startswith("/")
    return {
        "base_url": settings.base_url, "host": settings.host, "local": settings.is_local, "smtp_url": settings.smtp_url,
        "metrics_token": settings.metrics_token, "limits": dict(RULES), "database_host": host,
        "database_tls": here or asked.get("sslmode", [""])[0] in ("require", "verify-ca", "verify-full"),
        "root_key_file": None if settings.root_key else _file(settings.root_key_file),
    }  # fmt: skip


def _of_disk(settings: Settings) -> dict[str, Any]:
    folder = settings.data_dir
    there = [path for path in folder.rglob("*") if path.is_file() and settings.audio_dir not in path.parents]
    sounds = [_file(path) for path in settings.audio_dir.glob("*") if path.is_file()]
    logs = [path for path in there if ".log" in path.name]
    if settings.log_dir is not None and settings.log_dir.is_dir():
        logs += [path for path in settings.log_dir.rglob("*") if path.is_file()]
    return {
        "folder_mode": folder.stat().st_mode & 0o777,
        "free_bytes": shutil.disk_usage(folder).free,
        "files": [file for path in there if (file := _file(path, folder))],
        "strange_sounds": [f.name for f in sounds if f and not (f.head.startswith(_SEALED_SOUND) or ".part" in f.name or ".tmp" in f.name)],
        "leaks": list(_leaks(logs)),
    }  # fmt: skip


def _file(path: Path, folder: Path | None = None) -> File | None:
    """The file as it lies there; None when it is gone by now."""
    try:
        told, name = path.stat(), str(path.relative_to(folder)) if folder else path.name
        with path.open("rb") as file:
            return File(name, told.st_mode & 0o777, file.read(_HEAD_BYTES), dt.datetime.fromtimestamp(told.st_mtime, dt.UTC))
    except OSError:
        return None


def _leaks(logs: Iterable[Path]) -> Iterable[str]:
    """`name:line: what`, never the value."""
    count = 0
    for path in sorted(set(logs)):
        try:
            with path.open("rb") as file:
                file.seek(max(0, path.stat().st_size - _LOG_BYTES))
                for number, line in enumerate(file, 1):
                    for what in (what for what, pattern in _LEAKS.items() if pattern.search(line)):
                        yield f"{path.name}:{number}: {what}"
                        count += 1
                    if count >= _LEAKS_AT_MOST:
                        return
        except OSError:
            continue


# --- backups ------------------------------------------------------------------------------------


class _BackupHead(msgspec.Struct):
    """The first line of a file that `stillwave backup` wrote."""

    stillwave_backup: int
    kind: str
    at: dt.datetime


def _of_backups(settings: Settings) -> dict[str, Any]:
    folder = settings.backup_dir
    if folder is None or not folder.is_dir():
        return {}
    there = [path for path in folder.rglob("*") if path.is_file()]
    headed = [(path, head) for path in there if (head := _head_of(path))]
    keys = {path.parent for path, head in headed if head.kind == "keys"} | {p.parent for p in there if p.name == "keys.db"}
    apart = settings.backup_keys_dir
    copies = [path for path, head in headed if head.kind == "keys"] + [path for path in there if path.name == "keys.db"]
    if apart is not None and apart.is_dir():
        copies += [path for path in apart.rglob("*") if path.is_file() and (path.name == "keys.db" or _head_of(path))]
    roots = {settings.root_key_file.name, "root.key"}
    return {
        "backup_dir_mode": folder.stat().st_mode & 0o777,
        "backups": [
            Backup(path.name, head.at, path.with_name(f"{path.name}.verified").exists(), path.parent in keys)
            for path, head in headed if head.kind == "database"
        ],
        "key_copies": [file for path in copies if (file := _copy_of_keys(path))],
        "root_key_in_backups": any(path.name in roots for path in there),
    }  # fmt: skip


def _head_of(path: Path) -> _BackupHead | None:
    if path.suffix != ".backup":
        return None
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.readline(1024), type=_BackupHead)
    except (OSError, msgspec.MsgspecError):
        return None


def _copy_of_keys(path: Path) -> File | None:
    """The copy, with when it was made: as it says itself, else as the disk says."""
    file, head = _file(path), _head_of(path)
    return msgspec.structs.replace(file, modified_at=head.at) if file and head else file


# --- database and audit log ---------------------------------------------------------------------


def _of_database(database: Database, now: dt.datetime) -> dict[str, Any]:
    told: dict[str, list[str]] = {}
    first = None
    with database.read(right="retention") as tx:
        for line in _rows_told(tx, now):
            if line.check_id == "fact":
                first = dt.datetime.fromtimestamp(line.n, dt.UTC)
            else:
                told.setdefault(line.check_id, []).append(f"{line.n} {line.what}")
    # Transactions of their own: none holds the partitions of one table while it waits for another's.
    with database.read(right="retention") as tx:
        for line in tx.all(_Told, SQL.house_inspected, **_declared()):
            told.setdefault(line.check_id, []).append(line.what)
    with database.read(right="retention") as tx:
        months = tx.one(_Months, SQL.months_inspected, today=now.date()) or _Months(0, None)
        counts = jobs.counts(tx, now)
        people = [row["user_id"] for row in tx.rows(SQL.some_people, most=_OPENED_AT_MOST)]
        wordings = tx.all(_Wording, SQL.consents_inspected)
        version = tx.one(_Version, SQL.engine_version) or _Version(0, 0)
        late = int(tx.value(SQL.late_breaches, three_days_ago=now - dt.timedelta(hours=72), sixty_days_ago=now - dt.timedelta(days=60)))
    opened, unopened = _opened(database, people)
    return {
        "told": told, "first_account_at": first, "months_ahead": months.months_ahead, "strays": months.strays,
        "dead_jobs": counts.dead, "late": _behind(counts, now), "opened": opened, "unopened": unopened,
        "unknown_wordings": [f"{w.purpose} {w.version}" for w in wordings if not _known(w)],
        "late_breaches": late, "old_engine": _old_engine(version),
    }  # fmt: skip


def _rows_told(tx: Tx, now: dt.datetime) -> list[_Told]:
    return tx.all(_Told, SQL.rows_inspected, now=now, demo_index=tx.vault.blind_index("users.email", DEMO_EMAIL))


def _declared() -> dict[str, str]:
    """What the catalogue promises: triggers, checks of sealed columns, tables whose rows go with their person."""
    return {
        "triggers": json.dumps([name for name, _table in TRIGGERS]),
        "checks": json.dumps([check for table in TABLES for check in table.checks if check.endswith("_sealed")]),
        "cascading": json.dumps([table.name for table in TABLES if table.foreign_keys]),
    }


def _behind(counts: jobs.Counts, now: dt.datetime) -> dt.timedelta:
    return max(now - counts.oldest_due_at, dt.timedelta()) if counts.oldest_due_at else dt.timedelta()


def _opened(database: Database, people: Iterable[Any]) -> tuple[int, int]:
    """Of how many of these people the contact opens, and of how many it does not; erased people count for neither."""
    opened = unopened = 0
    for user_id in people:
        with database.read(user_id) as tx:
            try:
                accounts.account(tx, user_id)
            except NotFound:
                continue
            try:
                accounts.contact(tx, user_id)
                opened += 1
            except (SealBroken, NotFound):
                unopened += 1
    return opened, unopened


def _known(wording: _Wording) -> bool:
    text = CONSENTS.get(wording.purpose)
    if text is None or wording.version > text.version:
        return False
    return wording.version < text.version or wording.text_sha256 == text.sha256


def _old_engine(version: _Version) -> str | None:
    least = POSTGRES_HOLES.get(version.major)
    if least is None or version.minor >= least:
        return None
    return f"PostgreSQL {version.major}.{version.minor}; the hole is closed in {version.major}.{least}"


def _of_log(settings: Settings, database: Database) -> dict[str, Any]:
    newest, wrong, seen = _newest_checkpoint(settings)
    count, broken = audit.verify_each(database)
    lost: Mapping[Any, str] = {}
    if newest is not None and not broken:
        try:
            _, lost = audit.verify_each(database, newest)
        except BadInput as error:
            wrong = error.detail
    if lost:
        wrong = f"{len(lost)} chains do not hold what it saw"
    found = Checkpoint(newest.at if newest else None, wrong) if seen else None
    return {"chains": count, "broken_chains": len(broken), "checkpoint": found}


def _newest_checkpoint(settings: Settings) -> tuple[audit.Checkpoint | None, str | None, bool]:
    """The newest checkpoint, what is wrong with its file, and whether a place for them is set."""
    folder = settings.checkpoint_dir
    if folder is None:
        return None, None, False
    paths = sorted(folder.glob(CHECKPOINTS)) if folder.is_dir() else []
    if not paths:
        return None, None, True
    try:
        return msgspec.json.decode(paths[-1].read_bytes(), type=audit.Checkpoint), None, True
    except (OSError, msgspec.MsgspecError):
        return None, f"{paths[-1].name} cannot be read", True


# --- packages -----------------------------------------------------------------------------------


def packages() -> Installed:
    """What is installed, and what the lock file beside the program says, where there is one."""
    versions = {_plain(dist.name): dist.version for dist in importlib.metadata.distributions()}
    lock = Path(stillwave.__file__).parents[2] / "uv.lock"
    locked: dict[str, set[str]] = {}
    if lock.exists():
        for package in tomllib.loads(lock.read_text(encoding="utf-8")).get("package", []):
            if "version" in package:
                locked.setdefault(_plain(package["name"]), set()).add(package["version"])
    return Installed(versions, {name: frozenset(found) for name, found in locked.items()})


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _of_packages(installed: Installed) -> dict[str, Any]:
    return {
        "old_packages": [
            f"{name} {installed.versions[name]} ({hole}, closed in {least})"
            for name, (least, hole) in HOLES.items()
            if name in installed.versions and is_older(installed.versions[name], least)
        ],
        "other_packages": [
            f"{name} {version}" for name, version in sorted(installed.versions.items())
            if name != "stillwave" and name in installed.locked and version not in installed.locked[name]
        ],
    }  # fmt: skip

