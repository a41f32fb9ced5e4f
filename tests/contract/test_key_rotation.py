"""New keys for every layer: under load, after a stop at any point, and with the old keys useless afterwards."""

from __future__ import annotations

import datetime as dt
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self
from uuid import UUID

import msgspec
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.sql import SQL, Identifier

from stillwave.accounts import actions as accounts
from stillwave.accounts import rules, store
from stillwave.db import audit, rotation
from stillwave.db.database import PostgresDatabase, Query, SqliteDatabase, open_database
from stillwave.db.keys import KeyStore, RootKey, handover_file, open_encrypted, parse_root_key
from stillwave.db.seal import SealBroken, SealedWriter, Vault, envelope_head
from stillwave.db.tables import TABLES
from stillwave.errors import BadBackup, BadInput, CannotStart, ConstraintBroken, NotFound
from stillwave.operator import backup
from stillwave.reminders import actions as reminders
from stillwave.settings import Settings
from tests.cast import ALICE, BOB, CHARLIE, NOW, ROOT_KEY, Clock
from tests.served import Served, Visitor, serving

Database = SqliteDatabase | PostgresDatabase
LATER = NOW + dt.timedelta(days=1)
SOUND = bytes(range(256)) * 1000
CANARY = "the violet kite of Tuesday"


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    """The root key lies in its file, so that a new one can be put there."""
    path = tmp_path / "root.key"
    path.touch(mode=0o600)
    path.write_text(ROOT_KEY)
    return msgspec.structs.replace(settings, root_key=None, root_key_file=path)


@pytest.fixture
def second(settings: Settings) -> Iterator[Database]:
    """The same house, opened a second time, as by a command beside the server."""
    opened = open_database(settings)
    opened.right = "operator"
    yield opened
    opened.close()
    opened.vault.keys.close()


def lived(visitor: Visitor, settings: Settings, database: Database) -> str:
    """The person has something in most sealed columns; returns the id of a session with a sound file (not rendered)."""
    visitor.screened(none=False, conditions=["pregnancy"])
    session = str(visitor.session(background_only=True)["id"])
    told = visitor.post("/api/v1/progress", json={"date": "2026-11-24", "notes": CANARY}, headers={"Idempotency-Key": "k"})
    assert told.status_code == 201, told.text
    me = UUID(visitor.get("/api/v1/me").json()["id"])
    with database.read(me, right="operator") as tx:
        name = tx.value(rotation.SQL.files_of, user_id=me)
    settings.audio_dir.mkdir(exist_ok=True)
    generation, key = database.vault.keys.current(me)
    with SealedWriter((settings.audio_dir / name).open("wb"), key, name, generation) as file:
        file.write(SOUND)
    assert visitor.get(f"/api/v1/sessions/{session}/audio.flac").content == SOUND
    return session


def envelopes(database: Database) -> dict[str, list[str]]:
    """Everything sealed in the database, by column."""
    found = {}
    for table in TABLES:
        for column in table.columns:
            if column.sealed:
                text = f"SELECT CAST({column.name} AS TEXT) AS v FROM {table.name} WHERE {column.name} IS NOT NULL"
                with database.read(right="operator") as tx:
                    values = [str(row["v"]) for row in tx.rows(Query("v", text, text))]
                found[f"{table.name}.{column.name}"] = [value for value in values if "sw1." in value]
    return found


def rotate_everything(settings: Settings, database: Database, now: dt.datetime = LATER, **how: Any) -> rotation.Moved:
    assert rotation.rotate_root(settings, database, now) == "done"
    database.rekey(now)
    rotation.rebuild_index(database, now)
    rotation.rotate_log(database, now)
    return rotation.rotate_people(database, settings.audio_dir, now, **how)


# --- under load -----------------------------------------------------------------------------------


class Load:
    """People who read and write without a pause, and what they were answered."""

    def __init__(self, visitors: list[Visitor], newcomer: Callable[[], Visitor]) -> None:
        self.answers: list[tuple[str, int]] = []
        self._visitors, self._newcomer, self._ending = visitors, newcomer, threading.Event()
        self._threads = [threading.Thread(target=self._live, args=(v, n)) for n, v in enumerate(visitors)]
        self._threads.append(threading.Thread(target=self._arrive))

    def _live(self, visitor: Visitor, number: int) -> None:
        day = dt.date(2026, 11, 1)
        while not self._ending.is_set():
            for method, path, body in (
                ("GET", "/api/v1/me", None),
                ("POST", "/api/v1/progress", {"date": f"{day}", "notes": f"{CANARY} {number}"}),
                ("GET", "/api/v1/progress", None),
                ("GET", "/progress", None),
            ):
                self.answers.append((path, visitor.request(method, path, json=body).status_code))
            day += dt.timedelta(days=1)
            day = min(day, dt.date(2026, 11, 25))

    def _arrive(self) -> None:
        while not self._ending.is_set():
            visitor = self._newcomer()
            answer = visitor.post("/api/v1/logins", json={"email": ALICE.email, "password": ALICE.password})
            self.answers.append(("/api/v1/logins", answer.status_code))

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join(60)


@pytest.fixture
def busy(settings: Settings, clock: Clock) -> Iterator[Served]:
    """A server whose limits are far away."""
    with serving(settings, open_database(settings), clock, limit_factor=10_000) as server:
        yield server


def test_every_layer_gets_a_new_key_under_load_and_the_old_ones_are_useless(
    busy: Served, settings: Settings, second: Database, engine: str, tmp_path: Path
) -> None:
    alice, bob = busy.visitor(), busy.visitor()
    for visitor, person in ((alice, ALICE), (bob, BOB)):
        visitor.sign_up(person)
        visitor.screened()
    session = lived(alice, settings, second)
    stolen = tmp_path / "stolen"
    stolen.mkdir()
    shutil.copy(settings.keys_file, stolen / "keys.db")
    with Load([alice, bob], busy.visitor) as load:
        moved = rotate_everything(settings, second)
        # Everything is used under the new keys as well.
        assert busy.visitor().post("/api/v1/logins", json={"email": BOB.email, "password": BOB.password}).status_code == 201
    assert len(load.answers) > 20
    assert [answer for answer in load.answers if answer[1] >= 400] == []
    assert (moved.people, moved.damaged) == (2, 0)
    assert moved.values > 0
    assert moved.files == 1

    # The old root key opens nothing.
    assert parse_root_key(settings.root_key_file.read_text()) != parse_root_key(ROOT_KEY)
    assert not handover_file(settings.keys_file).exists()
    with pytest.raises(CannotStart, match="cannot be opened with this root key"):
        KeyStore(settings.keys_file, parse_root_key(ROOT_KEY))
    # Nor do the keys that whoever has it and an old copy of the key store holds.
    thief = Vault(KeyStore(stolen / "keys.db", parse_root_key(ROOT_KEY)))
    if engine == "sqlite":
        with pytest.raises(CannotStart):
            open_encrypted(settings.database_file, thief.keys.house("database")[0][1])
    with second.read(right="operator") as tx:
        indexes = {str(row["email_index"]) for row in tx.rows(Query("i", *["SELECT email_index FROM users"] * 2))}
        assert len(indexes) == 2
        assert not indexes & {thief.blind_index("users.email", person.email) for person in (ALICE, BOB)}
        assert audit.verify(tx) == {}
        heads = audit.heads(tx)
    found = envelopes(second)
    assert {"users.email", "neural_profiles.contraindications", "progress_tracking.notes", "screenings.answers",
            "idempotency_keys.body"} <= {place for place, values in found.items() if values}
    for place, values in found.items():
        # A request that was under way when its person's turn began may have written under the old key.
        late = [value for value in values if envelope_head(2) not in value]
        assert len(late) <= (2 if place == "progress_tracking.notes" else 0), place
    alice_id = UUID(alice.get("/api/v1/me").json()["id"])
    with pytest.raises(SealBroken):
        thief.open(alice_id, "users.email", alice_id, next(iter(found["users.email"])))
    # Whoever writes events with the old key is found out.
    with second.write(right="operator") as tx:
        genuine = tx.vault
        tx.vault = thief
        audit.note(tx, heads[0].user_id, "export.made", LATER)
        tx.vault = genuine
    with second.read(right="operator") as tx:
        assert audit.verify(tx) == {heads[0].user_id: f"event {heads[0].seq + 1} was written with an old key"}
    thief.keys.close()

    # And everything is as it was.
    assert alice.get(f"/api/v1/sessions/{session}/audio.flac").content == SOUND
    assert CANARY in alice.get("/api/v1/progress").text
    audio = settings.audio_dir
    assert [path.read_bytes()[:4] for path in audio.glob("*.swf")] == [b"SG\0\2"]
    rotation.forget(second, audio, LATER, dt.timedelta())
    assert all(envelope_head(2) in value for values in envelopes(second).values() for value in values)


# --- a stop at any point --------------------------------------------------------------------------


class Stopped(Exception):
    """As if the process had been killed here."""


def _stop_when(monkeypatch: pytest.MonkeyPatch, left: list[int]) -> None:
    """The call of a step that brings `left` to nothing does not come to pass."""

    def stop(real: Callable[..., Any]) -> Callable[..., Any]:
        def may_stop(*args: Any, **named: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                raise Stopped
            return real(*args, **named)

        return may_stop

    for kind, name in (
        (rotation, "_reseal_column"), (rotation, "_sealed_again"), (rotation, "_index"), (audit, "rekey"),
        (rotation, "write_secret"), (rotation, "write_handover"), (KeyStore, "finish"), (KeyStore, "renewed"),
        (KeyStore, "move_to"), (KeyStore, "begin"), (KeyStore, "set_fact"),
    ):  # fmt: skip
        monkeypatch.setattr(kind, name, stop(getattr(kind, name)))


@pytest.mark.parametrize("turns", [1, 3, 8])
def test_a_turn_that_was_stopped_goes_on_to_the_same_end(
    served: Served, settings: Settings, turns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for person in (ALICE, BOB):
        visitor = served.visitor()
        visitor.sign_up(person)
        visitor.screened()
    for day in range(1, 8):
        visitor.post("/api/v1/progress", json={"date": f"2026-11-0{day}", "notes": CANARY})
    left, stops = [turns], 0
    _stop_when(monkeypatch, left)
    while True:
        database = open_database(settings)
        database.right = "operator"
        try:
            rotate_everything(settings, database, batch=3)
        except Stopped:
            stops += 1
            left[0] = turns + stops * 3
            assert visitor.get("/api/v1/progress").text.count(CANARY) == 7
        else:
            break
        finally:
            database.close()
            database.vault.keys.close()
    assert stops > 0
    states = {name: (live, made) for name, _, live, _, made in open_database(settings).vault.keys.states()}
    assert states.pop("people")[0] == 2
    assert {live for live, _ in states.values()} == {1}
    monkeypatch.undo()
    again = open_database(settings)
    for values in envelopes(again).values():
        assert not any(envelope_head(9) in value for value in values)
    with again.read(right="operator") as tx:
        assert audit.verify(tx) == {}
        assert accounts.contact(tx, accounts.by_email(tx, BOB.email).id)[0] == BOB.email
    again.close()
    again.vault.keys.close()


# `stillwave keys rotate`, ended by SIGKILL so many seconds after it has begun.
KILLED = """
import os, signal, threading
from stillwave import cli, cli_keys
from stillwave.db import database, migrate, rotation
timer = threading.Timer(float(os.environ["KILL_AFTER_S"]), os.kill, (os.getpid(), signal.SIGKILL))
timer.daemon = True
timer.start()
cli_keys._Commands(cli._open).rotate()
"""
_KILLS = int(os.environ.get("STILLWAVE_TEST_KILLS", "3"))


def test_a_rotation_that_is_killed_again_and_again_ends_like_one_that_is_not(
    house: Database, settings: Settings
) -> None:
    environ = {
        **os.environ, "STILLWAVE_DATA_DIR": str(settings.data_dir), "STILLWAVE_ROOT_KEY_FILE": str(settings.root_key_file),
        **({"STILLWAVE_DATABASE_URL": settings.database_url} if settings.database_url else {}),
    }  # fmt: skip
    kills, chance = 0, random.Random(6)
    for turn in range(_KILLS * 20):
        after_s = chance.uniform(0, 0.8) if kills < _KILLS else 600
        done = subprocess.run(
            [sys.executable, "-c", KILLED], env={**environ, "KILL_AFTER_S": f"{after_s}"}, capture_output=True, check=False,
            timeout=120,
        )  # fmt: skip
        assert done.returncode in (0, -signal.SIGKILL), (turn, done.stderr)
        assert len({id_of(house, person.email) for person in (ALICE, BOB)}) == 2
        kills += done.returncode != 0
        if kills == _KILLS and done.returncode == 0:
            break
    assert kills == _KILLS
    for _, _, live, _, _ in [state for state in house.vault.keys.states() if state[0] != "people"]:
        assert live == 1
    assert house.vault.keys.unrenewed(dt.datetime.min.replace(tzinfo=dt.UTC)) == []
    assert house.vault.keys.fact("rotate: done") is None
    assert not handover_file(settings.keys_file).exists()
    assert not [path for path in settings.data_dir.iterdir() if path.name.startswith((".root", "root.key.new"))]
    assert log_of(house) == {}
    heads = {value[:8] for values in envelopes(house).values() for value in values}
    assert len(heads) == 1
    with pytest.raises(CannotStart):
        KeyStore(settings.keys_file, parse_root_key(ROOT_KEY))


@pytest.fixture
def house(second: Database) -> Database:
    """Alice and Bob have accounts; no server runs."""
    for person in (ALICE, BOB):
        made(second, person.email, person.phone_number)
    return second


def made(database: Database, email: str, phone: str) -> UUID:
    with database.write() as tx:
        return accounts.create(tx, email=email, phone=phone, password_hash="-", now=NOW, consent=True)


def id_of(database: Database, email: str) -> UUID:
    with database.read() as tx:
        return accounts.by_email(tx, email).id


# --- the root key ---------------------------------------------------------------------------------


def test_a_root_key_that_only_the_operator_can_change_is_handed_over_until_it_is(
    house: Database, settings: Settings, tmp_path: Path
) -> None:
    environment = msgspec.structs.replace(settings, root_key=ROOT_KEY)
    assert rotation.rotate_root(environment, house, LATER) == "waiting"
    new_file = settings.data_dir / "root.key.new"
    new = new_file.read_text().strip()
    assert new_file.stat().st_mode & 0o777 == 0o600
    assert rotation.rotate_root(environment, house, LATER) == "waiting"  # again, and to the same key
    assert new_file.read_text().strip() == new
    reopened = open_database(environment)  # a server that starts before the operator has changed it
    assert id_of(reopened, ALICE.email).version == 7
    reopened.close()
    environment = msgspec.structs.replace(settings, root_key=new)
    last = open_database(environment)
    assert rotation.rotate_root(environment, last, LATER) == "done"
    assert not handover_file(settings.keys_file).exists()
    assert not new_file.exists()
    assert id_of(last, BOB.email).version == 7
    assert id_of(house, BOB.email).version == 7  # who had the old one in memory was handed the new one
    last.close()
    with pytest.raises(CannotStart):
        open_database(msgspec.structs.replace(settings, root_key=ROOT_KEY))


def test_the_next_root_key_may_be_the_operators_own(house: Database, settings: Settings) -> None:
    assert rotation.rotate_root(settings, house, LATER, RootKey(bytes(range(32)))) == "done"
    assert settings.root_key_file.read_text().strip() == bytes(range(32)).hex()
    assert settings.root_key_file.stat().st_mode & 0o777 == 0o600
    assert id_of(house, ALICE.email).version == 7


def test_somebody_who_writes_while_the_store_is_replaced_loses_nothing(house: Database, settings: Settings) -> None:
    people = [UUID(int=number) for number in range(1, 200)]
    other = KeyStore(settings.keys_file, parse_root_key(ROOT_KEY), lambda: parse_root_key(settings.root_key_file.read_text()))

    def arrive() -> None:
        for person in people:
            other.create(person)

    arriving = threading.Thread(target=arrive)
    arriving.start()
    turns = 0
    while arriving.is_alive() or turns == 0:
        assert rotation.rotate_root(settings, house, LATER) == "done"
        turns += 1
    arriving.join()
    assert [other.key(person) for person in people] == [house.vault.keys.key(person) for person in people]
    other.close()


# --- the database file ------------------------------------------------------------------------------


def test_who_opens_the_file_in_the_moment_of_its_new_key_finds_it(
    house: Database, settings: Settings, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if engine == "postgres":
        pytest.skip("PostgreSQL's files are its own")
    other = open_database(settings)
    house.vault.keys.begin("database", LATER)  # the file is under the older key, until the newest was tried in vain

    def open_late(path: Path, key: bytes, **how: Any) -> Any:
        try:
            return open_encrypted(path, key, **how)
        except CannotStart:
            monkeypatch.undo()
            house.rekey(LATER)
            raise

    monkeypatch.setattr("stillwave.db.sqlite.open_encrypted", open_late)
    assert isinstance(other, SqliteDatabase)
    other.raw().close()
    assert id_of(other, ALICE.email) == id_of(house, ALICE.email)
    other.close()
    other.vault.keys.close()


def test_a_connection_that_could_not_be_made_anew_is_in_nobodys_way(
    house: Database, settings: Settings, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if engine == "postgres":
        pytest.skip("PostgreSQL's files are its own")
    other = open_database(settings)
    id_of(other, ALICE.email)
    house.rekey(LATER)

    def refuse(*_: object, **__: object) -> None:
        raise CannotStart("not now")

    with monkeypatch.context() as broken, pytest.raises(CannotStart):
        broken.setattr("stillwave.db.sqlite.open_encrypted", refuse)
        id_of(other, ALICE.email)
    assert other.connections_now()["open"] == 0
    assert id_of(other, ALICE.email) == id_of(house, ALICE.email)
    assert other.connections_now()["open"] == 1
    other.close()
    other.vault.keys.close()


# --- the blind index ------------------------------------------------------------------------------


def test_people_are_found_and_nobody_can_take_their_contact_while_the_index_is_rebuilt(house: Database) -> None:
    alice = id_of(house, ALICE.email)
    house.vault.keys.begin("blind-index", LATER)  # and nobody has moved yet
    assert id_of(house, ALICE.email) == alice
    charlie = made(house, CHARLIE.email, CHARLIE.phone_number)
    assert id_of(house, CHARLIE.email) == charlie
    for email, phone in ((ALICE.email, "+14155550100"), ("new@example.org", BOB.phone_number)):
        with pytest.raises(ConstraintBroken):
            made(house, email, phone)
    assert rotation.rebuild_index(house, LATER) == 2
    assert len(house.vault.blind_indexes("users.email", "x")) == 1
    assert len({id_of(house, person.email) for person in (ALICE, BOB, CHARLIE)}) == 3
    with pytest.raises(ConstraintBroken):
        made(house, ALICE.email, "+14155550100")


def test_a_promoted_account_that_is_found_by_its_letters_is_so_afterwards(house: Database) -> None:
    assert rotation.AS_WRITTEN == rules.AS_WRITTEN
    alice = id_of(house, ALICE.email)
    spelled = house.vault.blind_index(rules.AS_WRITTEN, ALICE.email)
    by_hand(house, "UPDATE users SET email_index = :spelled WHERE id = :who", spelled=spelled, who=alice)
    rotation.rebuild_index(house, LATER)
    with house.read() as tx:
        found = store.by_spelling(tx, ALICE.email)
        assert found is not None
        assert found.id == alice
        assert store.by_email(tx, ALICE.email) is None


def test_the_address_in_an_old_mail_still_ends_that_mail(house: Database) -> None:
    alice = id_of(house, ALICE.email)
    token = reminders.unsubscribe_token(house.vault, alice, "morning")
    rotation.rebuild_index(house, LATER)
    assert reminders.unsubscribe_token(house.vault, alice, "morning") != token
    assert reminders.of_unsubscribe_token(house.vault, token) == (alice, "morning")
    with pytest.raises(NotFound):
        reminders.of_unsubscribe_token(house.vault, token[:-4] + "AAA=")


# --- the audit log --------------------------------------------------------------------------------


def log_of(database: Database, checkpoint: audit.Checkpoint | None = None) -> dict[UUID, str]:
    with database.read(right="operator") as tx:
        return audit.verify(tx, checkpoint)


def by_hand(database: Database, text: str, **values: object) -> None:
    postgres = text
    for name in values:
        postgres = postgres.replace(f":{name}", f"%({name})s")
    with database.write(right="operator") as tx:
        tx.run(Query("by_hand", text, postgres), **values)


def test_the_log_goes_on_under_a_new_key_and_older_checkpoints_still_hold(house: Database) -> None:
    with house.read(right="operator") as tx:
        before = audit.checkpoint(tx, NOW)
    assert rotation.rotate_log(house, LATER) == 2
    assert rotation.rotate_log(house, LATER) == 2  # a second new key
    alice = id_of(house, ALICE.email)
    with house.write(right="operator") as tx:
        audit.note(tx, alice, "export.made", LATER)
    assert log_of(house, before) == {}
    with house.read(right="operator") as tx:
        assert [event.action for event in audit.events(tx, alice, 99, 3)] == ["export.made", "log.rekeyed", "log.rekeyed"]


def test_what_was_written_before_the_new_key_can_neither_be_changed_nor_become_the_end(house: Database) -> None:
    alice, bob = id_of(house, ALICE.email), id_of(house, BOB.email)
    with house.read(right="operator") as tx:
        [last] = audit.events(tx, bob, 99, 1)
    rotation.rotate_log(house, LATER)
    # Bob's chain is cut back to where the old key ended, head and all.
    by_hand(house, "DELETE FROM audit_events WHERE user_id = :who AND seq > :seq", who=bob, seq=last.seq)
    by_hand(house, "UPDATE audit_heads SET seq = :seq, mac = :mac WHERE user_id = :who", who=bob, seq=last.seq, mac=last.mac)
    assert log_of(house) == {bob: f"events after {last.seq} are missing"}
    by_hand(house, "UPDATE audit_events SET actor = 'system' WHERE user_id = :who AND seq = 1", who=alice)
    assert log_of(house)[alice] == "event 1 was changed"


def test_a_changed_checkpoint_is_refused_under_a_new_key_as_well(house: Database) -> None:
    with house.read(right="operator") as tx:
        seen = audit.checkpoint(tx, NOW)
    rotation.rotate_log(house, LATER)
    with pytest.raises(BadInput, match="checkpoint"):
        log_of(house, msgspec.structs.replace(seen, heads=seen.heads[:1]))


# --- old backups, and forgetting ------------------------------------------------------------------


def test_a_backup_from_before_opens_until_the_retired_keys_are_forgotten(
    house: Database, settings: Settings, engine: str
) -> None:
    alice = id_of(house, ALICE.email)
    sealed = house.vault.seal(alice, "p", alice, "calm")
    house_key = house.vault.keys.house("database")[0][1]
    rotate_everything(settings, house)
    assert house.vault.open(alice, "p", alice, sealed) == "calm"
    assert rotation.forget(house, settings.audio_dir, LATER + dt.timedelta(days=34), dt.timedelta(days=35)) == 0
    gone = rotation.forget(house, settings.audio_dir, LATER + dt.timedelta(days=36), dt.timedelta(days=35))
    assert gone == (2 + 3 if engine == "sqlite" else 2 + 2)
    with pytest.raises(SealBroken):
        house.vault.open(alice, "p", alice, sealed)
    assert house_key not in [key for _, key, _ in house.vault.keys.house("database")] or engine == "postgres"
    assert log_of(house) == {}
    with house.read(right="operator") as tx:
        assert accounts.contact(tx, alice) == (ALICE.email, ALICE.phone_number)


def test_backups_from_before_and_amid_a_rotation_are_restored_with_the_keys_of_after(
    house: Database, settings: Settings, tmp_path: Path
) -> None:
    alice, bob = id_of(house, ALICE.email), id_of(house, BOB.email)
    before, amid, after = (tmp_path / name for name in ("before", "amid", "after"))
    backup.take(house, before, NOW)
    rotation.rotate_root(settings, house, LATER)
    house.vault.keys.begin("blind-index", LATER)  # Alice has had her turn, in each layer, and Bob has not
    with house.write(right="operator") as tx:
        [row] = [row for row in tx.rows(rotation.SQL.contacts_after, after=UUID(int=0), most=9) if str(row["id"]) == str(alice)]
        assert rotation._index(tx, alice, row) == 1
    house.vault.keys.begin("audit", LATER)
    with house.write(right="operator") as tx:
        assert audit.rekey(tx, alice, LATER)
    rotation.rotate_person(house, settings.audio_dir, alice, LATER)
    backup.take(house, amid, LATER)
    rotate_everything(settings, house)
    backup.take(house, after, LATER)
    for path in (before, amid, after):
        tried = backup.verify(house, path, lambda _told: None)
        assert (tried.opened, tried.keyless) == (2, 0)
    with house.write(right="operator") as tx:
        accounts.delete(tx, bob, LATER)
    house.close()
    house.vault.keys.close()
    for path in (before, amid):
        empty(settings)
        done = backup.restore(settings, path, None, LATER, lambda _told: None)
        assert (done.people, done.erased) == (2, 1)
        again = open_database(settings)
        again.right = "operator"
        assert id_of(again, ALICE.email) == alice
        with again.read(right="operator") as tx:
            assert accounts.contact(tx, alice) == (ALICE.email, ALICE.phone_number)
            assert audit.verify(tx) == {}
        with pytest.raises(NotFound):
            id_of(again, BOB.email)
        again.close()
        again.vault.keys.close()
    forgetful = open_database(settings)
    rotation.forget(forgetful, settings.audio_dir, LATER, dt.timedelta())
    with pytest.raises(BadBackup, match="another root key"):
        backup.verify(forgetful, before, lambda _told: None)
    with forgetful.read(right="operator") as tx:  # what was restored under the older keys was sealed anew before
        assert accounts.contact(tx, alice) == (ALICE.email, ALICE.phone_number)
    forgetful.close()
    forgetful.vault.keys.close()


def empty(settings: Settings) -> None:
    """Of the database nothing is left; the keys stay."""
    if settings.database_url is None:
        for path in settings.data_dir.glob(f"{settings.database_file.name}*"):
            path.unlink()
        return
    name = Identifier(str(conninfo_to_dict(settings.database_url)["dbname"]))
    with psycopg.connect(make_conninfo(settings.database_url, dbname="postgres"), autocommit=True) as admin:
        admin.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(name))
        admin.execute(SQL("CREATE DATABASE {} TEMPLATE template0").format(name))


def test_what_a_late_writer_sealed_with_the_old_key_is_sealed_anew_before_that_is_forgotten(
    house: Database, settings: Settings
) -> None:
    alice = id_of(house, ALICE.email)
    late = house.vault.seal(alice, "users.email", alice, ALICE.email)
    rotation.rotate_person(house, settings.audio_dir, alice, LATER)
    by_hand(house, "UPDATE users SET email = :late WHERE id = :who", late=late, who=alice)
    rotation.forget(house, settings.audio_dir, LATER, dt.timedelta())
    with house.read(right="operator") as tx:
        assert accounts.contact(tx, alice)[0] == ALICE.email


def test_a_value_that_no_key_opens_is_counted_and_stops_nobody(house: Database, settings: Settings) -> None:
    alice, bob = id_of(house, ALICE.email), id_of(house, BOB.email)
    by_hand(house, "UPDATE users SET phone_number = :broken WHERE id = :who", broken="sw1.AQ" + "A" * 60, who=alice)
    moved = rotation.rotate_people(house, settings.audio_dir, LATER, batch=1)
    assert (moved.people, moved.damaged) == (2, 1)
    with house.read(right="operator") as tx:
        assert accounts.contact(tx, bob) == (BOB.email, BOB.phone_number)


def test_somebody_who_was_erased_has_no_turn(house: Database, settings: Settings) -> None:
    bob = id_of(house, BOB.email)
    with house.write(right="operator") as tx:
        accounts.delete(tx, bob, NOW)
    house.vault.keys.destroy(bob, NOW)
    assert rotation.rotate_people(house, settings.audio_dir, LATER).people == 1
    with pytest.raises(NotFound):
        rotation.rotate_person(house, settings.audio_dir, bob, LATER)
