"""Planted words are found nowhere: not in the database's files, the keys', the sound's or the logs; and after an
erasure nothing is left at all."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from stillwave.db.database import PostgresDatabase, Query
from stillwave.db.seal import PREFIX
from stillwave.db.tables import tables_on
from stillwave.errors import NotFound
from tests.cast import Clock, Person
from tests.rows import count
from tests.served import Served, Visitor

ERIN = Person("Erin", "quetzalcoatlus@sealedplace.example", "+442079460958", "obsidian walrus telegraph mittens")
WORDS = {
    "e-mail": "quetzalcoatlus", "e-mail domain": "sealedplace", "phone": "2079460958", "password": "obsidian walrus telegraph",
    "conditions": "zygomycosis", "notes": "hippogriff wandering", "feedback": "cantankerous bassoon", "metric-less day": "xylophonist",
}  # fmt: skip


@pytest.fixture
def erin(served: Served, clock: Clock) -> Visitor:
    """Somebody who has put a word into every place that is sealed."""
    visitor = served.visitor()
    visitor.sign_up(ERIN)
    visitor.screened(none=False, other=f"a touch of {WORDS['conditions']}")
    wish = {"target_state": "calm_focus", "minutes": 5, "background_only": True, "kind": "evening"}
    session = visitor.post("/api/v1/sessions", json=wish, headers={"Idempotency-Key": "s"}).json()
    clock.advance(minutes=6)
    told = {"rating": 2, "feedback_text": f"like a {WORDS['feedback']}", "effects": {"headache": 1}}
    sent = visitor.post(f"/api/v1/sessions/{session['id']}/feedback", json=told, headers={"Idempotency-Key": "f"})
    assert sent.status_code == 201
    for date, word in (("2026-11-25", WORDS["notes"]), ("2026-11-24", WORDS["metric-less day"])):
        day = {"date": date, "sleep_quality": 3, "notes": f"a {word} all day"}
        assert visitor.post("/api/v1/progress", json=day, headers={"Idempotency-Key": date}).status_code == 201
    # what goes wrong is logged and answered, and must not tell either
    visitor.post("/api/v1/logins", json={"email": ERIN.email, "password": WORDS["password"] + " wrong"})
    visitor.post("/api/v1/recoveries", json={"email": ERIN.email})
    visitor.post("/api/v1/progress", json={"date": WORDS["notes"], "notes": 5})
    visitor.get(f"/no/such/page/{WORDS['notes']}")
    return visitor


def keep_a_sound(visitor: Visitor) -> None:
    """The sound of the one session is on the disk as a sealed FLAC."""
    session = visitor.get("/api/v1/sessions").json()["items"][0]
    assert visitor.get(session["flac_url"]).status_code == 200


def spellings(word: str) -> Iterator[bytes]:
    """The word as bytes could hold it: plain, UTF-16, hexadecimal, base64 at each of its three offsets."""
    for text in {word, word.upper(), word.capitalize()}:
        yield text.encode()
        yield text.encode("utf-16-le")
        yield text.encode("utf-16-be")
        yield text.encode().hex().encode()
        yield text.encode().hex().upper().encode()
        for offset in range(3):
            whole = base64.b64encode(b"\0" * offset + text.encode())
            # the letters that do not depend on what stands around the word
            yield whole[(offset * 8 + 5) // 6 : (offset + len(text)) * 8 // 6]


def found_in(content: bytes, words: dict[str, str]) -> list[str]:
    return [name for name, word in words.items() if any(spelled in content for spelled in spellings(word))]


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def dumps(served: Served) -> dict[str, bytes]:
    """On PostgreSQL: every table as COPY writes it."""
    database = served.kit.database
    if not isinstance(database, PostgresDatabase):
        return {}
    with psycopg.connect(served.kit.settings.database_url or "") as connection, connection.cursor() as cursor:
        names = [row[0] for row in cursor.execute("SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace")]
        out = {}
        for name in names:
            with cursor.copy(f"COPY (SELECT * FROM {name}) TO STDOUT") as copy:
                out[f"table {name}"] = b"".join(bytes(piece) for piece in copy)
        return out


def files_of_the_server(served: Served) -> dict[str, bytes]:
    """On PostgreSQL: the database's own files and the write-ahead log of the whole server, if they can be read."""
    database = served.kit.database
    if not isinstance(database, PostgresDatabase):
        return {}
    with psycopg.connect(served.kit.settings.database_url or "", autocommit=True) as connection:
        connection.execute("CHECKPOINT")
        row = connection.execute(
            "SELECT current_setting('data_directory'), oid FROM pg_database WHERE datname = current_database()"
        ).fetchone()
    assert row is not None
    root = Path(row[0])
    content = files_of(root / "base" / str(row[1])) | files_of(root / "pg_wal")
    assert sum(map(len, content.values())) > 1_000_000
    return content


def where(served: Served, words: dict[str, str]) -> dict[str, list[str]]:
    places = files_of(served.kit.settings.data_dir) | dumps(served) | files_of_the_server(served)
    return {place: hits for place, content in places.items() if (hits := found_in(content, words))}


def test_no_planted_word_is_readable_anywhere(
    served: Served, erin: Visitor, capfd: pytest.CaptureFixture[str]
) -> None:
    keep_a_sound(erin)
    token = erin.headers["Authorization"].removeprefix("Bearer ")
    words = {**WORDS, "token": token[30:]}
    assert erin.get("/api/v1/me").json()["email"] == ERIN.email  # it is all there, for her
    held = files_of(served.kit.settings.data_dir)
    assert any(name.startswith("audio/") for name in held)
    assert "keys.db" in held
    assert where(served, words) == {}
    printed = capfd.readouterr()
    assert found_in((printed.out + printed.err).encode(), words) == []


def test_the_search_does_find_what_is_stored_in_clear(served: Served, erin: Visitor, tmp_path: Path) -> None:
    """So that the test above can fail: the kind of a session is readable on PostgreSQL, a planted file anywhere."""
    clear = {"kind": "evening"}
    places = dumps(served)
    if places:
        assert any(found_in(content, clear) for place, content in places.items() if "sessions" in place)
        assert any(found_in(content, clear) for content in files_of_the_server(served).values())
    stray = served.kit.settings.data_dir / "stray"
    stray.write_bytes(b"x" * 7 + WORDS["notes"].encode("utf-16-le") + b"y" * 5)
    assert where(served, WORDS) == {"stray": ["notes"]}
    stray.unlink()
    for spelled in spellings(WORDS["notes"]):
        assert found_in(b"x" * 7 + spelled + b"y" * 5, WORDS) == ["notes"]
    for offset in range(3):
        sealed = base64.b64encode(b"\xff" * offset + WORDS["notes"].encode() + b"\xfe\xfd")
        assert found_in(sealed, WORDS) == ["notes"]


@pytest.mark.parametrize("engine", ["sqlite"])
def test_the_embedded_files_are_no_readable_databases(served: Served, erin: Visitor) -> None:
    keep_a_sound(erin)
    folder = served.kit.settings.data_dir
    for name in ("stillwave.db", "stillwave.db-wal", "keys.db"):
        content = (folder / name).read_bytes()
        assert content
        assert b"SQLite format 3" not in content
        assert b"CREATE TABLE" not in content
        assert (folder / name).stat().st_mode & 0o077 == 0
    assert folder.stat().st_mode & 0o077 == 0
    for sound in (folder / "audio").iterdir():
        assert sound.stat().st_mode & 0o077 == 0
        assert b"fLaC" not in sound.read_bytes()[:64]
        assert re.fullmatch(r"[0-9a-f]{32}\.swf", sound.name)


def sealed_of(served: Served, user_id: uuid.UUID) -> list[tuple[str, uuid.UUID, str]]:
    """Every envelope of the person as (place, row, envelope)."""
    found = []
    database = served.kit.database
    with database.read(user_id) as tx:
        for table in tables_on(database.engine):  # type: ignore[arg-type]
            for column in table.columns:
                if not column.sealed or table.owner is None:
                    continue
                row_id = "id" if any(c.name == "id" for c in table.columns) else table.owner
                text = f"SELECT {row_id} AS row_id, {column.name} AS sealed FROM {table.name} WHERE {table.owner} = "
                for row in tx.rows(Query("sealed", text + ":user_id", text + "%(user_id)s"), user_id=user_id):
                    for envelope in re.findall(rf"{re.escape(PREFIX)}[\w=-]+", str(row["sealed"] or "")):
                        found.append((f"{table.name}.{column.name}", uuid.UUID(str(row["row_id"])), envelope))
    return found


def test_nothing_is_left_after_an_erasure(served: Served, erin: Visitor, bob: Visitor, clock: Clock) -> None:
    keep_a_sound(erin)
    user_id = uuid.UUID(erin.get("/api/v1/me").json()["id"])
    bob.session(background_only=True)
    database, vault = served.kit.database, served.kit.database.vault
    envelopes = sealed_of(served, user_id)
    assert {place for place, _, _ in envelopes} == {
        f"{table.name}.{column.name}" for table in tables_on(database.engine) for column in table.columns if column.sealed  # type: ignore[arg-type]
    }
    place, row_id, envelope = next(entry for entry in envelopes if entry[0] == "users.email")
    assert vault.open(user_id, place, row_id, envelope) == ERIN.email
    sounds = list(served.kit.settings.audio_dir.iterdir())
    assert len(sounds) == 1

    assert erin.post("/api/v1/erasure", json={"password": ERIN.password, "confirm": "erase"}).status_code == 204
    left = {}
    with database.read() as tx:
        for table in tables_on(database.engine):  # type: ignore[arg-type]
            if table.owner is None:
                continue
            text = f"SELECT count(*) AS n FROM {table.name} WHERE {table.owner} = "
            left[table.name] = tx.value(Query("left", text + ":user_id", text + "%(user_id)s"), user_id=user_id)
        assert count(tx, "users") == 1
        assert count(tx, "sessions") == 1
    assert not any(left.values()), left
    assert not any(sound.exists() for sound in sounds)
    for place, row_id, envelope in envelopes:
        with pytest.raises(NotFound):
            vault.open(user_id, place, row_id, envelope)
    assert erin.get("/api/v1/me").status_code == 401
    assert erin.post("/api/v1/logins", json={"email": ERIN.email, "password": ERIN.password}).status_code == 401
    assert served.visitor().post("/api/v1/accounts", json={
        "email": ERIN.email, "phone": ERIN.phone_number, "password": ERIN.password, "consent_health_data": True,
    }).status_code == 202  # fmt: skip
    erin.sign_in(ERIN)
    assert erin.get("/api/v1/me").json()["id"] != str(user_id)
    assert erin.get("/api/v1/sessions").json()["items"] == []


def test_an_erasure_asks_for_the_password_and_the_word(erin: Visitor) -> None:
    for body in ({"password": "not hers at all", "confirm": "erase"}, {"password": ERIN.password, "confirm": "delete"}):
        assert erin.post("/api/v1/erasure", json=body).status_code == 422
    assert erin.get("/api/v1/me").status_code == 200
    page = erin.post("/privacy/erase", data={"password": ERIN.password, "confirm": " Erase "})
    assert page.headers["location"] == "/"
    assert page.headers["clear-site-data"] == '"cache", "storage"'
    assert erin.get("/api/v1/me").status_code == 401


def test_a_log_line_drops_what_is_not_on_its_list() -> None:
    program = (
        "from stillwave import log; log.set_up()\n"
        f"log.log.bind(email={ERIN.email!r}).error('something', notes={WORDS['notes']!r}, status=500)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert b"something" in done.stderr
    assert b"500" in done.stderr
    assert found_in(done.stdout + done.stderr, WORDS) == []


def test_an_erasure_leaves_a_sound_that_is_being_made_for_somebody_else(served: Served, erin: Visitor, bob: Visitor) -> None:
    """The half-made file of another person is not swept away."""
    served.kit.settings.audio_dir.mkdir(exist_ok=True)
    half = served.kit.settings.audio_dir / f"{'0' * 32}.part"
    half.write_bytes(b"half")
    assert erin.post("/api/v1/erasure", json={"password": ERIN.password, "confirm": "erase"}).status_code == 204
    assert half.exists()
