"""The root key is found, made once, and guarded; without the right one nothing starts and nothing is touched."""

from __future__ import annotations

import base64
import datetime as dt
import shlex
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

import msgspec
import pytest
import sqlcipher3.dbapi2 as sqlcipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from stillwave.db.database import Query, open_database
from stillwave.db.keys import (
    KeyStore,
    RootKey,
    handover_file,
    load_root_key,
    open_encrypted,
    parse_root_key,
    read_handover,
    write_handover,
)
from stillwave.errors import CannotStart, NotFound
from stillwave.settings import load
from tests import rows
from tests.cast import NOW, ROOT_KEY

ALICE, BOB = uuid.UUID(int=1), uuid.UUID(int=2)


@pytest.fixture
def own_settings(tmp_path):
    """Settings that keep the root key in a file."""
    return load({"STILLWAVE_DATA_DIR": str(tmp_path / "data")})


@pytest.fixture
def with_data(own_settings, sqlite_template):
    """Settings of an installation that holds a row."""
    shutil.copytree(sqlite_template, own_settings.data_dir)
    own_settings.root_key_file.touch(mode=0o600)
    own_settings.root_key_file.write_text(ROOT_KEY)
    database = open_database(own_settings)
    with database.write() as tx:
        rows.insert(tx, "users", **rows.user())
    database.vault.keys.create(ALICE)
    database.vault.keys.close()
    database.close()
    return own_settings


def everything_in(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file() and not p.name.endswith("-shm")}


# --- the written form ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", [ROOT_KEY, ROOT_KEY.upper(), f"  {ROOT_KEY}\n", base64.b64encode(bytes.fromhex(ROOT_KEY)).decode()]
)
def test_a_root_key_may_be_written_in_hexadecimal_or_base64(text):
    assert parse_root_key(text).derive("x") == parse_root_key(ROOT_KEY).derive("x")


@pytest.mark.parametrize("text", ["", "secret", "57" * 31, "57" * 33, "g" * 64, "é" * 64, "AAAA"])
def test_what_is_no_root_key_is_refused_without_repeating_it(text):
    with pytest.raises(CannotStart, match="64 hexadecimal digits") as refusal:
        parse_root_key(text)
    assert not text or text not in str(refusal.value)


def test_each_purpose_has_a_key_of_its_own():
    root = RootKey(bytes(32))
    keys = {root.derive(purpose) for purpose in ("database", "key-store", "key-encryption", "blind-index", "key-check")}
    assert len(keys) == 5
    assert {len(key) for key in keys} == {32}


def test_derived_keys_never_change():
    # Another value would lock every existing installation out of its own data.
    root = parse_root_key(ROOT_KEY)
    assert root.derive("database").hex() == DATABASE_KEY
    assert root.derive("blind-index").hex() == INDEX_KEY


# HKDF-SHA256 without salt over the root key, computed by OpenSSL:
# openssl kdf -keylen 32 -kdfopt digest:SHA256 -kdfopt hexkey:5711... -kdfopt info:stillwave/database/1 HKDF
DATABASE_KEY = "f7772a81c26e2347bc6e83ff582f323914050a9d10bc0b9de55a5d3d8ec01249"
INDEX_KEY = "0a5b9319f1c779f7238175e7c23b77f4a591cc811efa243fa9ffe72e25033f74"


# --- the file -----------------------------------------------------------------------------------


def test_a_first_start_makes_a_key_that_only_its_owner_can_read(own_settings):
    own_settings.data_dir.mkdir()
    made = load_root_key(own_settings, may_create=True)
    path = own_settings.root_key_file
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(path.read_text().strip()) == 64
    assert load_root_key(own_settings, may_create=True).derive("x") == made.derive("x")
    assert [p.name for p in own_settings.data_dir.iterdir()] == ["root.key"]


def test_first_starts_at_the_same_moment_agree_on_one_key(own_settings):
    script = (
        "import os, sys; from stillwave.settings import load; from stillwave.db.keys import load_root_key;"
        "sys.stdin.read(1);"
        "print(load_root_key(load(os.environ), may_create=True).derive('x').hex())"
    )
    environ = {"STILLWAVE_DATA_DIR": str(own_settings.data_dir), "PATH": ""}
    starts = [
        subprocess.Popen([sys.executable, "-c", script], env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(4)
    ]
    for start in starts:
        assert start.stdin
        start.stdin.write(b"x")
        start.stdin.flush()
    answers = {start.communicate()[0] for start in starts}
    assert len(answers) == 1
    assert len(answers.pop().strip()) == 64


def test_the_environment_goes_before_the_file(own_settings):
    settings = msgspec.structs.replace(own_settings, root_key=ROOT_KEY)
    load_root_key(settings, may_create=True)
    assert not settings.root_key_file.exists()


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o601])
def test_a_key_that_others_can_read_is_refused(with_data, mode):
    with_data.root_key_file.chmod(mode)
    before = everything_in(with_data.data_dir)
    with pytest.raises(CannotStart, match="chmod 600"):
        open_database(with_data)
    assert everything_in(with_data.data_dir) == before


def test_a_lost_key_is_not_replaced_while_data_needs_it(with_data):
    with_data.root_key_file.unlink()
    before = everything_in(with_data.data_dir)
    with pytest.raises(CannotStart, match="missing"):
        open_database(with_data)
    assert everything_in(with_data.data_dir) == before


def test_a_lost_key_is_not_replaced_while_only_the_key_store_is_left(with_data):
    with_data.root_key_file.unlink()
    with_data.database_file.unlink()
    with pytest.raises(CannotStart, match="missing"):
        open_database(with_data)
    assert not with_data.root_key_file.exists()


def test_a_wrong_key_is_refused_and_touches_nothing(with_data):
    with_data.root_key_file.write_text("ab" * 32)
    before = everything_in(with_data.data_dir)
    with pytest.raises(CannotStart, match="cannot be opened with this root key"):
        open_database(with_data)
    assert everything_in(with_data.data_dir) == before


@pytest.mark.parametrize("text", ["", "half a ke"])
def test_a_damaged_key_file_is_refused_and_touches_nothing(with_data, text):
    with_data.root_key_file.write_text(text)
    before = everything_in(with_data.data_dir)
    with pytest.raises(CannotStart, match="root key"):
        open_database(with_data)
    assert everything_in(with_data.data_dir) == before


def test_a_folder_in_the_key_files_place_is_refused(with_data):
    with_data.root_key_file.unlink()
    with_data.root_key_file.mkdir(mode=0o700)
    with pytest.raises(CannotStart, match="cannot be read"):
        open_database(with_data)


def test_the_right_key_put_back_opens_everything_again(with_data):
    right = with_data.root_key_file.read_text()
    with_data.root_key_file.write_text("ab" * 32)
    with pytest.raises(CannotStart):
        open_database(with_data)
    with_data.root_key_file.write_text(right)
    database = open_database(with_data)
    with database.read() as tx:
        assert rows.count(tx, "users") == 1
    database.close()


def test_nothing_readable_lies_in_the_data_folder(with_data):
    database = open_database(with_data)
    with database.write() as tx:
        rows.insert(tx, "installation", name="planted", value="canary-5d1f")
    lying = everything_in(with_data.data_dir)
    assert any(name.endswith("-wal") for name in lying)
    for name, content in lying.items():
        assert b"canary-5d1f" not in content, name
        assert b"SQLite format" not in content, name
        assert b"CREATE TABLE" not in content, name
    modes = {p.name: p.stat().st_mode & 0o077 for p in with_data.data_dir.rglob("*")}
    assert modes == dict.fromkeys(modes, 0)
    with database.read() as tx:
        text = "SELECT value FROM installation WHERE name = 'planted'"
        assert tx.value(Query("planted", text, text)) == "canary-5d1f"
    database.close()


# --- the key store ------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path):
    made = KeyStore(tmp_path / "keys.db", parse_root_key(ROOT_KEY))
    yield made
    made.close()


def test_each_person_has_a_key_that_stays(store, tmp_path):
    store.create(ALICE)
    store.create(BOB)
    key = store.key(ALICE)
    store.create(ALICE)
    assert store.key(ALICE) == key != store.key(BOB)
    store.close()
    again = KeyStore(tmp_path / "keys.db", parse_root_key(ROOT_KEY))
    assert again.key(ALICE) == key
    again.close()


def test_a_key_that_was_never_made_or_destroyed_is_not_found(store):
    with pytest.raises(NotFound):
        store.key(ALICE)
    store.create(ALICE)
    store.key(ALICE)
    store.destroy(ALICE, NOW)
    with pytest.raises(NotFound):
        store.key(ALICE)


def test_a_destroyed_key_leaves_no_trace_in_the_file(store, tmp_path):
    store.create(ALICE)
    [(wrapped,)] = store._file.execute("SELECT wrapped FROM data_keys").fetchall()
    store.destroy(ALICE, NOW)
    plain = tmp_path / "plain.db"
    connection = sqlcipher.connect(str(tmp_path / "keys.db"), isolation_level=None)
    connection.execute(f"PRAGMA key = \"x'{parse_root_key(ROOT_KEY).derive('key-store').hex()}'\"")
    connection.execute(f"ATTACH DATABASE '{plain}' AS plain KEY ''")
    connection.execute("SELECT sqlcipher_export('plain')")
    connection.close()
    assert wrapped not in plain.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["keys.db", "plain.db"]


def test_who_was_erased_stays_on_record_with_the_time(store, tmp_path):
    store.create(ALICE)
    store.create(BOB)
    assert store.erased() == []
    store.destroy(ALICE, NOW)
    store.destroy(ALICE, NOW + dt.timedelta(days=1))
    assert store.erased() == [(ALICE, NOW)]
    store.close()
    again = KeyStore(tmp_path / "keys.db", parse_root_key(ROOT_KEY))
    assert again.erased() == [(ALICE, NOW)]
    again.key(BOB)
    again.close()


def test_a_tombstone_that_cannot_be_written_leaves_the_key(store):
    store.create(ALICE)
    store._file.execute("DROP TABLE tombstones")
    with pytest.raises(sqlcipher.OperationalError):
        store.destroy(ALICE, NOW)
    assert store.key(ALICE)


def test_the_key_store_does_not_open_with_another_root_key(store, tmp_path):
    store.create(ALICE)
    store.close()
    before = (tmp_path / "keys.db").read_bytes()
    with pytest.raises(CannotStart, match="cannot be opened with this root key"):
        KeyStore(tmp_path / "keys.db", parse_root_key("ab" * 32))
    assert (tmp_path / "keys.db").read_bytes() == before


def test_a_key_wrapped_for_another_person_does_not_unwrap(store):
    store.create(ALICE)
    store._file.execute("UPDATE data_keys SET user_id = ?", (str(BOB),))
    with pytest.raises(CannotStart):
        store.key(BOB)


def test_the_key_store_is_its_owners_alone(store, tmp_path):
    assert (tmp_path / "keys.db").stat().st_mode & 0o777 == 0o600


# --- a command that tells the root key ------------------------------------------------------------


def told_by(tmp_path, script):
    command = shlex.join([sys.executable, "-c", script])
    return load({"STILLWAVE_DATA_DIR": str(tmp_path / "data"), "STILLWAVE_ROOT_KEY_COMMAND": command})


def test_a_command_may_tell_the_root_key(tmp_path):
    settings = told_by(tmp_path, f"print({ROOT_KEY!r})")
    assert load_root_key(settings, may_create=True) == parse_root_key(ROOT_KEY)
    assert not settings.root_key_file.exists()


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("print('hunter2-secret')", "64 hexadecimal digits"), ("import sys; print('hunter2-secret'); sys.exit(3)", "status 3"),
        ("", "64 hexadecimal digits"),
    ],
)  # fmt: skip
def test_a_command_that_tells_none_is_refused_without_repeating_what_it_said(tmp_path, script, says):
    with pytest.raises(CannotStart, match=says) as refusal:
        load_root_key(told_by(tmp_path, script), may_create=True)
    assert "hunter2" not in str(refusal.value)


@pytest.mark.parametrize("command", ["/nowhere/secret-manager read key", "'unfinished", '""'])
def test_a_command_that_cannot_be_run_is_refused(own_settings, command):
    with pytest.raises(CannotStart, match="STILLWAVE_ROOT_KEY_COMMAND"):
        load_root_key(msgspec.structs.replace(own_settings, root_key_command=command), may_create=True)


def test_a_command_that_says_nothing_for_long_is_given_up(own_settings, monkeypatch):
    monkeypatch.setattr("stillwave.db.keys._COMMAND_S", 0.2)
    with pytest.raises(CannotStart, match="no answer"):
        load_root_key(msgspec.structs.replace(own_settings, root_key_command="sleep 5"), may_create=True)


# --- generations ----------------------------------------------------------------------------------


def test_a_key_store_from_before_keys_had_generations_opens_with_the_same_keys(tmp_path):
    root = parse_root_key(ROOT_KEY)
    before = open_encrypted(tmp_path / "keys.db", root.derive("key-store"))
    before.execute("CREATE TABLE data_keys (user_id TEXT PRIMARY KEY, wrapped BLOB NOT NULL) STRICT")
    nonce, key = bytes(12), bytes(range(32))
    wrapped = nonce + AESGCM(root.derive("key-encryption")).encrypt(nonce, key, ALICE.bytes)
    before.execute("INSERT INTO data_keys VALUES (?, ?)", (str(ALICE), wrapped))
    before.close()
    store = KeyStore(tmp_path / "keys.db", root)
    assert store.current(ALICE) == (1, key)
    assert store.house("database") == [(1, root.derive("database"), False)]
    assert store.house("blind-index")[0][1].hex() == INDEX_KEY
    store.close()


def test_another_process_sees_a_new_a_destroyed_and_a_moved_key_at_once(store, tmp_path):
    other = KeyStore(tmp_path / "keys.db", parse_root_key(ROOT_KEY))
    store.create(ALICE)
    first = other.key(ALICE)
    assert store.renew(ALICE, NOW) == 2
    assert other.current(ALICE) == store.current(ALICE) != (1, first)
    assert other.key(ALICE, 1) == first
    store.begin("audit", NOW)
    assert [number for number, _, _ in other.house("audit")] == [2, 1]
    new = RootKey(bytes(range(32)))
    write_handover(tmp_path / "keys.db", store.root, new)
    store.move_to(new, NOW)
    assert other.key(ALICE, 1) == first
    other.create(BOB)
    assert store.key(BOB) == other.key(BOB)
    store.destroy(ALICE, NOW)
    with pytest.raises(NotFound):
        other.key(ALICE)
    other.close()


def test_a_hand_over_opens_for_the_key_before_only(tmp_path):
    before, after = parse_root_key(ROOT_KEY), RootKey(bytes(32))
    write_handover(tmp_path / "keys.db", before, after)
    assert read_handover(tmp_path / "keys.db", before) == after
    assert read_handover(tmp_path / "keys.db", after) is None
    assert after.written().encode() not in handover_file(tmp_path / "keys.db").read_bytes()
    handover_file(tmp_path / "keys.db").write_bytes(b"")
    assert read_handover(tmp_path / "keys.db", before) is None


def test_a_store_that_could_not_be_moved_stays_as_it_was(store, tmp_path, monkeypatch):
    store.create(ALICE)
    key = store.key(ALICE)
    monkeypatch.setattr(KeyStore, "_rewrap", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        store.move_to(RootKey(bytes(32)), NOW)
    monkeypatch.undo()
    assert store.key(ALICE) == key
    store.close()
    again = KeyStore(tmp_path / "keys.db", parse_root_key(ROOT_KEY))
    again.move_to(RootKey(bytes(32)), NOW)  # what was left of the first try is in nobody's way
    assert again.key(ALICE) == key
    again.close()
    with pytest.raises(CannotStart):
        KeyStore(tmp_path / "keys.db", parse_root_key(ROOT_KEY))


def test_kept_keys_keep_their_generations_and_nobodys_are_replaced(store, tmp_path):
    store.create(ALICE)
    store.renew(ALICE, NOW)
    other = KeyStore(tmp_path / "other.db", RootKey(bytes(32)))
    other.keep({ALICE: store.all_of(ALICE), BOB: None})
    assert other.all_of(ALICE) == store.all_of(ALICE)
    assert set(other.all_of(ALICE)) == {1, 2}
    other.keep({ALICE: None, BOB: {1: bytes(32)}})
    assert other.current(ALICE) == store.current(ALICE)
    assert other.key(BOB) != bytes(32)
    other.close()


def test_what_others_change_is_seen_at_the_next_batch(store, tmp_path):
    other = KeyStore(tmp_path / "keys.db", parse_root_key(ROOT_KEY))
    other.create(ALICE)
    with store.steady():
        first = store.cipher(str(ALICE))
        other.renew(ALICE, NOW)
        assert store.cipher(str(ALICE)) == first
        store.create(BOB)  # whoever writes looks at the file first
        assert store.cipher(str(ALICE))[0] == 2
    other.destroy(ALICE, NOW)
    with pytest.raises(NotFound):
        store.cipher(str(ALICE))
    other.close()


def test_a_key_that_was_destroyed_here_seals_no_more(store):
    store.create(ALICE)
    assert store.cipher(str(ALICE))[0] == 1
    store.destroy(ALICE, NOW)
    with pytest.raises(NotFound):
        store.cipher(str(ALICE))


def test_a_new_key_made_here_is_the_one_that_seals(store):
    store.keep({ALICE: None})
    store.cipher(str(ALICE))
    assert store.renew(ALICE, NOW) == store.cipher(str(ALICE))[0] == 2
