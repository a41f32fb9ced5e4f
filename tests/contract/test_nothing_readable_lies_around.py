"""Planted words are found nowhere: not in the database, its log, the key store, the sound folder or the logs."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from stillwave.accounts import actions as accounts
from stillwave.db.database import Query
from stillwave.db.seal import SealBroken
from stillwave.db.tables import tables_on
from stillwave.errors import NotFound
from stillwave.settings import Settings
from tests.cast import Person
from tests.served import Served, Visitor

WORDS = ["quillfeather", "brackenmoor", "thistledown", "saltmarsh", "oakgallows", "fernwhistle"]
PLANTED = Person("Planted", "quillfeather@example.org", "+442071838751", "brackenmoor lantern ninety tulips")


def plant(served: Served) -> Visitor:
    """A person whose every sealed place holds a word, with a sound file."""
    visitor = served.visitor()
    visitor.sign_up(PLANTED)
    visitor.screened(none=False, other="thistledown allergy")
    made = visitor.post(
        "/api/v1/sessions",
        json={"target_state": "calm_focus", "minutes": 5, "confirm": True, "background": "white_noise"},
        headers={"Idempotency-Key": "one"},
    ).json()
    assert visitor.get(made["flac_url"]).status_code == 200
    visitor.rate(made["id"], feedback_text="saltmarsh dreams")
    day = visitor.post("/api/v1/progress", json={"date": "2026-11-25", "notes": "oakgallows walk"}, headers={"Idempotency-Key": "fernwhistle"})
    assert day.status_code == 201
    assert visitor.post("/api/v1/logins", json={"email": PLANTED.email, "password": "fernwhistle wrong"}).status_code == 401
    return visitor


def spellings(word: str) -> Iterator[bytes]:
    """A word as it might lie around."""
    for text in (word, word.upper(), word.capitalize()):
        yield text.encode()
        yield text.encode("utf-16-le")
        yield text.encode().hex().encode()
        for shift in range(3):  # base64 looks different at each offset within three bytes
            yield base64.b64encode(b"\0" * shift + text.encode())[4 if shift else 0 : -4]


def everything_stored(settings: Settings) -> Iterator[tuple[str, bytes]]:
    """Every byte the server keeps: (where, content)."""
    for path in sorted(settings.data_dir.rglob("*")):
        if path.is_file():
            yield path.name, path.read_bytes()
    if settings.database_url:
        with psycopg.connect(settings.database_url) as connection:
            for table in tables_on("postgres"):
                with connection.cursor().copy(f"COPY {table.name} TO STDOUT" if not table.partitioned_by else f"COPY (SELECT * FROM {table.name}) TO STDOUT") as copy:
                    yield table.name, b"".join(bytes(part) for part in copy)


def found(settings: Settings, word: str) -> list[str]:
    return [f"{where}: {spelling!r}" for where, content in everything_stored(settings) for spelling in spellings(word) if spelling in content]


@pytest.fixture
def planted(served: Served, capfd: pytest.CaptureFixture[str]) -> tuple[Served, Visitor, str]:
    visitor = plant(served)
    out, err = capfd.readouterr()
    return served, visitor, out + err


def test_planted_words_are_found_nowhere(planted: tuple[Served, Visitor, str]) -> None:
    served, _, logs = planted
    settings = served.kit.settings
    assert (settings.audio_dir).is_dir()
    for word in WORDS[:-1]:
        assert found(settings, word) == []
        assert word not in logs
    for person_word in (PLANTED.phone_number, PLANTED.password):
        assert found(settings, person_word) == []


def test_the_search_would_find_a_word_that_is_there(planted: tuple[Served, Visitor, str]) -> None:
    settings = planted[0].kit.settings
    stray = settings.data_dir / "stray.txt"
    stray.write_bytes(b"xx" + base64.b64encode(b"a saltmarsh b"))
    assert found(settings, "saltmarsh")
    if settings.database_url:
        assert found(settings, "calm_focus")  # a state is kept in the clear on PostgreSQL


def test_the_embedded_files_do_not_even_say_what_they_are(planted: tuple[Served, Visitor, str]) -> None:
    settings = planted[0].kit.settings
    files = [settings.keys_file] + ([] if settings.database_url else [settings.database_file])
    for file in files:
        content = file.read_bytes()
        assert b"SQLite" not in content
        assert file.stat().st_mode & 0o077 == 0
    sounds = list(Path(settings.audio_dir).glob("*"))
    assert [sound.suffix for sound in sounds] == [".swf"]
    assert b"fLaC" not in sounds[0].read_bytes()[:1000]  # four letters in megabytes of chance turn up now and then
    assert settings.data_dir.stat().st_mode & 0o077 == 0


def rows_of(database: Any, user_id: object) -> dict[str, int]:
    counts = {}
    with database.read(right="operator") as tx:
        for table in tables_on(database.engine):
            if table.owner and table.retention not in ("outbox", "audit"):
                text = f"SELECT count(*) AS n FROM {table.name} WHERE {table.owner} = "
                counts[table.name] = int(tx.value(Query("count", text + ":who", text + "%(who)s"), who=user_id))
    return counts


def test_erasure_leaves_no_row_no_file_and_no_key(planted: tuple[Served, Visitor, str]) -> None:
    served, visitor, _ = planted
    database = served.kit.database
    with database.read(right="operator") as tx:
        person = accounts.by_email(tx, PLANTED.email)
    before = rows_of(database, person.id)
    assert {name for name, count in before.items() if count} >= {
        "users", "sessions", "session_feedback", "audio_files", "neural_profiles", "progress_tracking", "logins",
        "consents", "screenings", "idempotency_keys", "profile_history", "user_preferences",
    }  # fmt: skip
    assert database.vault.open(person.id, "users.email", person.id, person.email) == PLANTED.email

    wrong = visitor.post("/api/v1/erasure", json={"password": "not it at all", "confirm": "erase"})
    assert wrong.status_code == 422
    done = {"jobs": 0}  # the worker goes on meanwhile
    assert rows_of(database, person.id) | done == before | done

    gone = visitor.post("/api/v1/erasure", json={"password": PLANTED.password, "confirm": "erase"})
    assert gone.status_code == 204
    assert set(rows_of(database, person.id).values()) == {0}
    assert list(served.kit.settings.audio_dir.glob("*")) == []
    with pytest.raises((NotFound, SealBroken)):  # an envelope from an old backup
        database.vault.open(person.id, "users.email", person.id, person.email)
    assert visitor.get("/api/v1/me").status_code == 401
    visitor.sign_up(PLANTED)  # the address is free again
