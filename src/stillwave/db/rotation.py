"""New keys for every layer, while people go on: each step may be killed at any point and run again to the same end.

A new key is there first, and everything new is under it; then what is older moves in batches; then the older key is
retired. A retired key opens old backups and nothing else, until `forget`. Another process sees each step at its next
use of a key (`keys.KeyStore`).
"""

from __future__ import annotations

import datetime as dt
import json
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import msgspec

from stillwave.db import audit
from stillwave.db.database import Database, Queries, Query, Tx
from stillwave.db.keys import (
    KEY_BYTES,
    RootKey,
    handover_file,
    load_root_key,
    read_handover,
    write_handover,
    write_secret,
)
from stillwave.db.seal import PREFIX, SealBroken, SealedWriter, envelope_head, read_sealed, sealed_generation
from stillwave.db.tables import TABLES, TEXTS, Column, Table
from stillwave.errors import ConstraintBroken, Unavailable
from stillwave.settings import Settings

SQL = Queries(Path(__file__).parent)
BATCH = 200
AS_WRITTEN = "users.email_as_written"  # as in accounts/rules.py, which is a floor above
_ROUND = "people since"  # the fact that says when the turn of all people began

Step = Callable[[int], None]


def _silent(_: int) -> None:
    """Nobody wants to know how far it is."""


# --- root key, key-encryption key, key store --------------------------------------------------------


def rotate_root(
    settings: Settings, database: Database, now: dt.datetime, given: RootKey | None = None
) -> Literal["done", "waiting"]:
    """The key store is under a new root key, with everything in it wrapped anew.

    "done": the old root key opens nothing any more. "waiting": the root key comes from the environment or a command,
    which only the operator can change; until then the hand-over lets the old one find the new one. Run again after it.
    """
    keys, keys_file = database.vault.keys, settings.keys_file
    new_file = settings.data_dir / "root.key.new"
    set_now = load_root_key(settings, may_create=False)
    after = read_handover(keys_file, set_now)
    if after is None and handover_file(keys_file).exists():  # what is set now is the new one already
        keys.move_to(set_now, now)
        handover_file(keys_file).unlink()
        new_file.unlink(missing_ok=True)
        return "done"
    if after is None:
        after = given or RootKey(secrets.token_bytes(KEY_BYTES))
        write_handover(keys_file, set_now, after)
    keys.move_to(after, now)
    if settings.root_key or settings.root_key_command:
        if given is None:
            write_secret(new_file, after.written())
        return "waiting"
    write_secret(settings.root_key_file, after.written())
    handover_file(keys_file).unlink()
    return "done"


# --- the blind index --------------------------------------------------------------------------------


def rebuild_index(database: Database, now: dt.datetime, step: Step = _silent) -> int:
    """Every e-mail and phone number is found by a digest under a new key; returns how many people moved.

    Meanwhile people are looked for under both keys. Raises Unavailable when two accounts turn out to have one contact.
    """
    keys = database.vault.keys
    keys.begin("blind-index", now)
    _let_writers_end(database)
    moved = _index_everybody(database, step)
    keys.finish("blind-index", now)
    return moved


def _index_everybody(database: Database, step: Step = _silent) -> int:
    moved, after = 0, UUID(int=0)
    while True:
        with database.write(right="operator") as tx:
            people = tx.rows(SQL.contacts_after, after=after, most=BATCH)
            for row in people:
                after = UUID(str(row["id"]))
                moved += _index(tx, after, row)
        step(moved)
        if len(people) < BATCH:
            return moved


def _index(tx: Tx, user_id: UUID, row: Any) -> int:  # noqa: ANN401
    address = tx.vault.open(user_id, "users.email", user_id, row["email"])
    number = tx.vault.open(user_id, "users.phone_number", user_id, row["phone_number"])
    # A promoted account may be found by its very letters instead of the address; it goes on so.
    spelled = row["email_index"] in tx.vault.blind_indexes(AS_WRITTEN, address, retired=True)
    email = tx.vault.blind_index(AS_WRITTEN if spelled else "users.email", address)
    phone = tx.vault.blind_index("users.phone_number", number)
    if (email, phone) == (row["email_index"], row["phone_index"]):
        return 0
    try:
        return tx.run(SQL.set_indexes, user_id=user_id, email_index=email, phone_index=phone)
    except ConstraintBroken:
        raise Unavailable(
            f"The account {user_id} has the e-mail or phone number of another, made at the same moment. Remove one "
            "of the two, then run the command again."
        ) from None


def _let_writers_end(database: Database) -> None:
    """Whoever began to write before the new key was there has ended."""
    with database.write(right="operator") as tx:
        tx.run(SQL.wait_for_writers)


# --- the audit log ----------------------------------------------------------------------------------


def rotate_log(database: Database, now: dt.datetime, step: Step = _silent) -> int:
    """Every chain goes on under a new key, from an event that says so; returns how many did."""
    keys = database.vault.keys
    keys.begin("audit", now)
    _let_writers_end(database)
    moved = _rekey_everybody(database, now, step)
    keys.finish("audit", now)
    return moved


def _rekey_everybody(database: Database, now: dt.datetime, step: Step = _silent) -> int:
    moved = 0
    with database.read(right="operator") as tx:
        people = [head.user_id for head in audit.heads(tx)]
    for first in range(0, len(people), BATCH):
        with database.write(right="operator") as tx:
            moved += sum(audit.rekey(tx, user_id, now) for user_id in people[first : first + BATCH])
        step(moved)
    return moved


def catch_up(database: Database, now: dt.datetime) -> None:
    """Rows from an older backup are under the keys of now: people are found, and every chain of the log goes on.

    What is sealed for people opens with their older keys, until `forget` seals it anew.
    """
    _index_everybody(database)
    _rekey_everybody(database, now)


# --- people -----------------------------------------------------------------------------------------


class Moved(msgspec.Struct):
    """What a turn of keys sealed anew, and what it found that no key opens."""

    people: int = 0
    values: int = 0
    files: int = 0
    damaged: int = 0


def rotate_person(
    database: Database, audio: Path, user_id: UUID, now: dt.datetime, *, batch: int = BATCH, step: Step = _silent
) -> Moved:
    """Everything of the person is under a new key of theirs. Raises NotFound when they have none."""
    moved, keys = Moved(people=1), database.vault.keys
    generation = keys.renew(user_id, now)
    _reseal(database, audio, user_id, generation, moved, batch, step)
    keys.renewed(user_id, now)
    return moved


def rotate_people(
    database: Database, audio: Path, now: dt.datetime, *, batch: int = BATCH, step: Step = _silent
) -> Moved:
    """Everybody has a new key. A turn that was broken off goes on where it was."""
    keys, all_moved = database.vault.keys, Moved()
    began = keys.fact(_ROUND)
    if began is None:
        keys.set_fact(_ROUND, now.isoformat())
    since = dt.datetime.fromisoformat(began) if began else now
    for user_id in keys.unrenewed(since):
        moved = rotate_person(database, audio, user_id, max(now, since), batch=batch)
        for name in Moved.__struct_fields__:
            setattr(all_moved, name, getattr(all_moved, name) + getattr(moved, name))
        step(all_moved.people)
    keys.set_fact(_ROUND, None)
    return all_moved


def forget(database: Database, audio: Path, now: dt.datetime, older_than: dt.timedelta) -> int:
    """Keys that were retired longer ago are gone, and what they alone opened (old backups); returns how many."""
    keys = database.vault.keys
    for user_id in keys.retired_people(now - older_than):
        # A request that began before the new key was there may have written under the old one after its turn.
        _reseal(database, audio, user_id, keys.current(user_id)[0], Moved(), BATCH, _silent)
    return keys.forget_retired(now - older_than)


def _reseal(
    database: Database, audio: Path, user_id: UUID, generation: int, moved: Moved, batch: int, step: Step
) -> None:
    for table in TABLES:
        for column in table.columns:
            if column.sealed and table.owner is not None:
                _reseal_column(database, table, column, user_id, generation, moved, batch, step)
    with database.read(user_id, right="operator") as tx:
        names = [str(row["file_path"]) for row in tx.rows(SQL.files_of, user_id=user_id)]
    for name in names:
        _reseal_file(database, audio / name, user_id, moved)


def _reseal_column(
    database: Database, table: Table, column: Column, user_id: UUID, generation: int, moved: Moved, batch: int, step: Step
) -> None:
    """The column's older envelopes are opened and sealed again. What somebody writes meanwhile is under the new key."""
    find, put = _statements(table, column, batch)
    head, damaged = envelope_head(generation), 0
    while True:
        with database.write(user_id, right="operator") as tx:
            rows = tx.rows(find, user_id=user_id, head=head, skip=damaged)
            for row in rows:
                row_id = UUID(str(row["id"])) if "id" in row else user_id
                try:
                    new = _sealed_again(tx, f"{table.name}.{column.name}", column, user_id, row_id, row["found"])
                except SealBroken:
                    damaged += 1
                    continue
                keys = {f"key_{n}": row[f"key_{n}"] for n in range(len(table.key))}
                moved.values += tx.run(put, new=new, found=row["found"], **keys)
        step(moved.values)
        if len(rows) < batch:
            moved.damaged += damaged
            return


def _sealed_again(tx: Tx, place: str, column: Column, user_id: UUID, row_id: UUID, found: str) -> str:
    if column.kind != TEXTS:
        return tx.vault.seal(user_id, place, row_id, tx.vault.open(user_id, place, row_id, found))
    return json.dumps(
        [
            tx.vault.seal(user_id, place, row_id, tx.vault.open(user_id, place, row_id, entry))
            if entry.startswith(PREFIX) else entry
            for entry in json.loads(found)
        ]
    )  # fmt: skip


def _statements(table: Table, column: Column, batch: int) -> tuple[Query, Query]:
    """A person's rows whose column is under another key; and its next value, unless somebody changed it since."""
    find, put = _texts(table, column, batch, ":{}".format, "%", column.name, ":new")
    as_text, as_list = column.name, "%(new)s"
    if column.kind == TEXTS:
        as_text, as_list = f"to_json({column.name})::text", "ARRAY(SELECT json_array_elements_text(%(new)s::json))"
    find_postgres, put_postgres = _texts(table, column, batch, "%({})s".format, "%%", as_text, as_list)
    place = f"{table.name}_{column.name}"
    return Query(f"older_{place}", find, find_postgres), Query(f"reseal_{place}", put, put_postgres)


def _texts(
    table: Table, column: Column, batch: int, at: Callable[[str], str], any_text: str, value: str, new: str
) -> tuple[str, str]:
    older = f"substr({value}, 1, {len(envelope_head(2))}) <> {at('head')}"
    if column.kind == TEXTS:  # a list: some envelopes, and entries that are none
        older = f"replace({value}, '\"' || {at('head')}, '') LIKE '{any_text}\"{PREFIX}{any_text}'"
    keys = ", ".join(f"{name} AS key_{n}" for n, name in enumerate(table.key))
    if column.kind != TEXTS and any(known.name == "id" for known in table.columns):
        keys += ", id"  # what the seal is bound to; else the person is
    same = " AND ".join(f"{name} = {at(f'key_{n}')}" for n, name in enumerate(table.key))
    find = (
        f"SELECT {keys}, {value} AS found FROM {table.name}"  # noqa: S608  names of the catalogue
        f" WHERE {table.owner} = {at('user_id')} AND {column.name} IS NOT NULL AND {older}"
        f" ORDER BY {', '.join(table.key)} LIMIT {batch} OFFSET {at('skip')}"
    )
    put = f"UPDATE {table.name} SET {column.name} = {new} WHERE {same} AND {value} = {at('found')}"  # noqa: S608
    return find, put


def _reseal_file(database: Database, path: Path, user_id: UUID, moved: Moved) -> None:
    """The file is sealed under the newest key. One that is damaged is gone: it is rendered anew when asked for."""
    generation, key = database.vault.keys.current(user_id)
    part = path.with_suffix(f".{secrets.token_hex(4)}.part")
    try:
        with path.open("rb") as file:
            if sealed_generation(file.read(4)) == generation:
                return
        with SealedWriter(part.open("wb"), key, path.name, generation) as sealed:
            for piece in read_sealed(path, lambda number: database.vault.keys.key(user_id, number), path.name):
                sealed.write(piece)
        part.chmod(0o600)
        part.replace(path)
        moved.files += 1
    except FileNotFoundError:
        return
    except SealBroken:
        path.unlink(missing_ok=True)
        moved.damaged += 1
    finally:
        part.unlink(missing_ok=True)
