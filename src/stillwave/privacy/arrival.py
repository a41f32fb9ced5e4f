"""The import: an export of some Stillwave becomes the same rows here, in one transaction, or nothing happens.

A ZIP from elsewhere is not trusted: nothing of it is written to disk, every name, size and digest is looked at before
any content is, and every value must fit the catalogue before the database sees it.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO
from uuid import UUID

import msgspec

from stillwave.accounts import actions as accounts
from stillwave.accounts import passwords
from stillwave.accounts.rules import check_password, normal_email, normal_phone
from stillwave.db import audit, migrate, portable, tables
from stillwave.db.database import Tx
from stillwave.db.ids import moment
from stillwave.db.tables import Column, Table
from stillwave.errors import BadInput, Conflict, ConstraintBroken
from stillwave.jobs import actions as jobs
from stillwave.privacy.takeout import FORMAT, About, AnyDatabase, exported_tables
from stillwave.sessions import audio

_FILE = "FILE"
_ENTRIES_MOST = 200_000
_ENTRY_MOST_BYTES = 512 * 1024**2
_ALL_MOST_BYTES = 2 * 1024**3
# Records of a long life shrink to an eighth; a bomb to a thousandth.
_RATIO_MOST, _RATIO_FROM_BYTES = 150, 4 * 1024**2
_READ_BYTES = 256 * 1024
_NAMES = re.compile(
    r"README\.txt|export\.json|left-out\.json|manifest\.json|(data|csv|schema)/[a-z_]{1,40}\.(json|csv|schema\.json)"
    r"|sound/[0-9a-f-]{36}\.flac"
)
_FILE_NAME = re.compile(r"[0-9a-f]{32}\.swf")
_EARLIEST = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
_MONTHS_STEP = dt.timedelta(days=200)
# Nothing is learned for somebody who is paused or switched off, so that follows at the end.
_AT_FIRST = {"role": "listener", "processing_restricted": False, "account_status": "active"}
# Learned again while the ratings come in, and then set to what was exported: to the last digit the same.
_LEARNED = ("neural_profiles", "profile_history")

Rows = dict[str, list[dict[str, Any]]]


class Arrived(msgspec.Struct, frozen=True):
    """Who came, how many rows of which table, and what was left out, with the reason."""

    person: UUID
    rows: dict[str, int]
    left_out: dict[str, str]


def take_in(database: AnyDatabase, file: BinaryIO, password: str, now: dt.datetime) -> Arrived:
    """The person of the export is here with the same rows, and signs in with `password`.

    Raises BadInput for a file that is no whole, unaltered export that this program knows, and Conflict for somebody who
    is here already or was erased here. Then nothing has changed.
    """
    about, found = read(file, now)
    user = found["users"][0]
    email = normal_email(user["email"])
    check_password(password, (email, email.partition("@")[0], "stillwave"))
    password_hash = passwords.hashed(password)
    if database.vault.keys.is_erased(about.person):
        raise Conflict("This person was erased here. That is final: somebody who was erased makes a new account.")
    _make_months(database, found)
    had_key = database.vault.keys.holds(about.person)
    try:
        with database.write(about.person, right="operator") as tx:
            return _put(tx, about.person, found, password_hash, now)
    except BaseException as error:
        if not had_key:
            database.vault.keys.forget(about.person)
        if isinstance(error, ConstraintBroken):
            raise BadInput(_FILE, f"holds a record that breaks the rule {error.name}", "an unaltered export") from None
        raise


def _put(tx: Tx, user_id: UUID, found: Rows, password_hash: str, now: dt.datetime) -> Arrived:
    user, leaving = found["users"][0], found["erasures"]
    _refuse_double(tx, user_id, found)
    tx.vault.keys.create(user_id)
    portable.insert(tx, user_id, tables.table("users"), user | _AT_FIRST, {
        "password_hash": password_hash,
        "email_index": tx.vault.blind_index("users.email", normal_email(user["email"])),
        "phone_index": tx.vault.blind_index("users.phone_number", normal_phone(user["phone_number"])),
    })  # fmt: skip
    counts = {"users": 1} | _put_rows(tx, user_id, found)
    accounts.take_over(
        tx, user_id, account_status=user["account_status"], now=dt.datetime.fromisoformat(user["updated_at"]),
        processing_restricted=leaving[0]["restricted_before"] if leaving else user["processing_restricted"],
    )  # fmt: skip
    audit.note(tx, user_id, "account.imported", now, actor="operator")
    jobs.enqueue(tx, user_id, accounts.PLAN_REMINDERS, "", now)
    left_out = {table.name: table.stays_behind for table in exported_tables() if table.stays_behind and found[table.name]}
    if user["role"] != _AT_FIRST["role"]:
        left_out["users.role"] = "who is an operator here is decided here"
    return Arrived(user_id, counts, left_out)


def _refuse_double(tx: Tx, user_id: UUID, found: Rows) -> None:
    user = found["users"][0]
    if accounts.stands(tx, user_id):
        raise Conflict("This person is here already. Nothing was changed.")
    if accounts.taken(tx, normal_email(user["email"]), normal_phone(user["phone_number"])):
        raise Conflict("Somebody with this e-mail address or phone number is here already. Nothing was changed.")
    if any(audio.is_named(tx, row["file_path"]) for row in found["audio_files"]):
        raise BadInput(_FILE, "names a sound file that belongs to somebody here", "an unaltered export")


def _put_rows(tx: Tx, user_id: UUID, found: Rows) -> dict[str, int]:
    """Returns how many rows of which table."""
    coming = [table for table in exported_tables() if table.name != "users" and table.stays_behind is None]
    # What learning begins with comes before what it learns from; what it leads to is replaced at the end.
    coming.sort(key=lambda table: (table.name in _LEARNED, table.name != "learning_base"))
    counts = {}
    for table in coming:
        rows = found[table.name]
        if table.name == "session_feedback":
            rows = sorted(rows, key=lambda row: (row["created_at"], row["id"]))
        if table.name in _LEARNED:
            portable.clear(tx, user_id, table)
        for row in rows:
            portable.insert(tx, user_id, table, row, {})
        if rows:
            counts[table.name] = len(rows)
    return counts


def _make_months(database: AnyDatabase, found: Rows) -> None:
    months = sorted({moment(UUID(row["id"])) for row in found.get("sessions", [])})
    at = months[0] if months else None
    while at is not None and at <= months[-1] + _MONTHS_STEP:
        database.prepare_months(at)
        at += _MONTHS_STEP


# --- reading ------------------------------------------------------------------------------------


def read(file: BinaryIO, now: dt.datetime) -> tuple[About, Rows]:
    """What an export says of itself, and its rows by table, all of them looked at. Raises BadInput."""
    try:
        with zipfile.ZipFile(file) as archive:
            _look_at_names(archive)
            _compare(archive)
            about = _about(archive)
            found = {table.name: _table(archive, table) for table in exported_tables()}
    except (zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, NotImplementedError, EOFError, OSError, RuntimeError, ValueError) as error:
        raise BadInput(_FILE, "is not a whole ZIP", "an export of Stillwave") from error
    _belongs_together(about, found, now)
    return about, found


def _look_at_names(archive: zipfile.ZipFile) -> None:
    entries = archive.infolist()
    names = [entry.filename for entry in entries]
    if len(names) > _ENTRIES_MOST:
        raise BadInput(_FILE, "holds too many files", "an export of Stillwave")
    for entry in entries:
        if not _NAMES.fullmatch(entry.filename) or entry.is_dir() or entry.external_attr >> 28 not in (0, 8):
            raise BadInput(_FILE, "holds a file that no export has: its name leads elsewhere, or it is a link")
        if entry.flag_bits & 1:
            raise BadInput(_FILE, "is encrypted as a ZIP", "an export as it was downloaded, or one encrypted with age")
        if entry.file_size > _ENTRY_MOST_BYTES and not entry.filename.startswith("sound/"):
            raise BadInput(_FILE, "would unpack to more than an export can hold")
        if entry.file_size > _RATIO_FROM_BYTES and entry.file_size > _RATIO_MOST * max(1, entry.compress_size):
            raise BadInput(_FILE, "would unpack to very much more than it is: no export does")
    if len(set(names)) < len(names):
        raise BadInput(_FILE, "holds a file twice", "an unaltered export")
    if sum(entry.file_size for entry in entries if not entry.filename.startswith("sound/")) > _ALL_MOST_BYTES:
        raise BadInput(_FILE, "would unpack to more than an export can hold")


def _pieces(archive: zipfile.ZipFile, name: str) -> Iterator[bytes]:
    with archive.open(name) as entry:
        while piece := entry.read(_READ_BYTES):
            yield piece


def _compare(archive: zipfile.ZipFile) -> None:
    """Raises BadInput unless every file has the digest that the manifest gives."""
    names = set(archive.namelist())
    for name in ("manifest.json", "export.json", "data/users.json"):
        if name not in names:
            raise BadInput(_FILE, f"has no {name}: it is no export of this or a newer Stillwave", "an export of Stillwave")
    told = _decoded(archive, "manifest.json", dict[str, str])
    if set(told) != names - {"manifest.json"}:
        raise BadInput(_FILE, "holds other files than its manifest names", "an unaltered export")
    for name, digest in told.items():
        seen = hashlib.sha256()
        for piece in _pieces(archive, name):
            seen.update(piece)
        if seen.hexdigest() != digest:
            raise BadInput(_FILE, f"was altered: {name} is not what the manifest says", "an unaltered export")


def _decoded(archive: zipfile.ZipFile, name: str, shape: Any) -> Any:  # noqa: ANN401
    try:
        return msgspec.json.decode(b"".join(_pieces(archive, name)), type=shape)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise BadInput(_FILE, f"holds {name} in a form that is not known here", "an unaltered export") from None


def _about(archive: zipfile.ZipFile) -> About:
    form = _decoded(archive, "export.json", dict[str, Any]).get("format")
    if not isinstance(form, int) or form > FORMAT:
        raise BadInput(_FILE, "was made by a newer Stillwave", "an export of this version or an older one; or upgrade first")
    about: About = _decoded(archive, "export.json", About)
    if about.schema > migrate.newest():
        raise BadInput(_FILE, "was made by a newer Stillwave", "an export of this version or an older one; or upgrade first")
    return about


def _table(archive: zipfile.ZipFile, table: Table) -> list[dict[str, Any]]:
    """The rows of one table, each field looked at."""
    name = f"data/{table.name}.json"
    if name not in archive.namelist():  # a table that an older Stillwave did not have
        return []
    rows: list[dict[str, Any]] = _decoded(archive, name, list[dict[str, Any]])
    fields = dict(portable.exported(table))
    for row in rows:
        if unknown := row.keys() - fields.keys():
            raise BadInput(_FILE, f"holds fields in {name} that are not known here: {', '.join(sorted(unknown))[:80]}")
        for field, column in fields.items():
            if not _fits(column, row.get(field), absent=field not in row):
                raise BadInput(_FILE, f"holds a value in {name} that {field} cannot have", "an unaltered export")
        for column in table.columns:
            if column.kind == tables.SPAN:
                low, high = (row.get(f"{column.name}_{end}") for end in ("low", "high"))
                if (low is None) != (high is None) or (low is not None and high is not None and low > high):
                    raise BadInput(_FILE, f"holds a value in {name} that {column.name} cannot have", "an unaltered export")
    return rows


def _fits(column: Column, value: Any, *, absent: bool) -> bool:  # noqa: ANN401
    """Whether both engines take the value for such a column, and keep the same."""
    if absent or value is None:
        return not column.required or (absent and column.default)
    types = _TYPES.get(column.kind, str)
    if not isinstance(value, types) or (isinstance(value, bool) and types is not bool):
        return False
    if isinstance(value, int):
        return abs(value) < (2**63 if column.kind == tables.BIG else 2**31)
    return _has_no_nul(value) and (not isinstance(value, str) or _reads(column.kind, value))


def _has_no_nul(value: Any) -> bool:  # noqa: ANN401
    """Whether no text in the value, however deep, has a NUL: only one engine would take it."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, str) and "\0" in each:
            return False
        if isinstance(each, dict):
            waiting += [*each.keys(), *each.values()]
        elif isinstance(each, list):
            waiting += each
    return True


_NUMBER = (int, float)
_TYPES: dict[tables.Kind, Any] = {
    tables.JSON: (dict, list), tables.TEXTS: list, tables.YES_NO: bool, tables.WHOLE: int, tables.BIG: int,
    tables.REAL: _NUMBER, tables.HUNDREDTHS: _NUMBER, tables.SPAN: _NUMBER,
}  # fmt: skip
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
# Each text in the one form in which exports write it: another is read by one engine otherwise than by the other.
_READERS: dict[tables.Kind, Any] = {
    tables.UUID: lambda text: str(UUID(text)) == text, tables.UUID_REF: lambda text: str(UUID(text)) == text,
    tables.MOMENT: lambda text: _MOMENT.fullmatch(text) is not None and dt.datetime.fromisoformat(text).tzinfo is not None,
    tables.DAY: lambda text: dt.date.fromisoformat(text).isoformat() == text,
    tables.CLOCK: lambda text: dt.time.fromisoformat(text).replace(microsecond=0, tzinfo=None).isoformat() == text,
    tables.SHA256: lambda text: _SHA256.fullmatch(text) is not None,
}  # fmt: skip


def _reads(kind: tables.Kind, text: str) -> bool:
    reader = _READERS.get(kind)
    if reader is None:
        return True
    try:
        return reader(text) is not False
    except ValueError:
        return False


def _belongs_together(about: About, found: Rows, now: dt.datetime) -> None:
    """Raises BadInput unless all of it is of the one person the export is for, at times that can be."""
    person = str(about.person)
    if [row["id"] for row in found["users"]] != [person]:
        raise BadInput(_FILE, "is not the export of one person", "an unaltered export")
    for table in exported_tables():
        if table.name != "users" and any(row.get("user_id") != person for row in found[table.name]):
            raise BadInput(_FILE, f"holds records of somebody else in data/{table.name}.json", "an unaltered export")
    for row in found["sessions"]:
        if not _EARLIEST <= moment(UUID(row["id"])) <= now + dt.timedelta(days=1):
            raise BadInput(_FILE, "holds a session of a time that cannot be", "an unaltered export, and a clock that is right")
    for row in found["audio_files"]:
        if not _FILE_NAME.fullmatch(row["file_path"]):
            raise BadInput(_FILE, "names a sound file that leads elsewhere", "an unaltered export")
