"""Taking everything out, and in again elsewhere: the same rows, or a refusal that says why."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import jsonschema
import pyrage
import pytest

from stillwave.db import portable, tables
from stillwave.db.database import open_database
from stillwave.errors import BadInput, Conflict, StillwaveError
from stillwave.privacy import arrival, takeout
from stillwave.sessions.audio import SoundFiles
from stillwave.settings import Settings
from tests.cast import ALICE, BOB, NOW, Clock
from tests.contract.test_erasure import stillwave
from tests.contract.test_nothing_readable_lies_around import rows_of
from tests.served import Served, Visitor, serving

PASSWORD = "a wholly new harbour song"
Files = dict[str, bytes]


def live(visitor: Visitor, clock: Clock) -> None:
    """A life with something in every table that a person fills."""
    visitor.sign_up(ALICE)
    visitor.screened(none=False, conditions=["recent_head_injury"], other="wool, and the sea")
    visitor.post("/api/v1/clearances", json={
        "condition": "recent_head_injury", "cleared_on": "2026-11-20", "password": ALICE.password, "understood": True,
        "note": "said in person",
    })  # fmt: skip
    visitor.put("/api/v1/preferences", json={
        "time_zone": "Europe/Berlin", "morning_routine_time": "07:30:00", "notifications": {"morning_mail": True},
    })  # fmt: skip
    for rating, state, effects in ((5, "calm_focus", {"relaxed": 3}), (2, "sleep", {"headache": 2}), (4, "calm_focus", {})):
        made = visitor.session(target_state=state, confirm=True, background="white_noise")
        clock.advance(minutes=6)
        visitor.rate(made["id"], rating=rating, effectiveness=2 * rating, effects=effects, feedback_text=f"=like {rating} waves, “so”")
        clock.advance(hours=5)
    visitor.post("/api/v1/progress", headers={"Idempotency-Key": "once"}, json={"date": "2026-11-25", "notes": "rain\nall night", "metrics": {"hours_slept": 7.25}, "stress_level": 3})
    visitor.put("/api/v1/consents/reminders", json={"give": False})
    visitor.post("/api/v1/calendar")


def contents(export: bytes) -> Files:
    archive = zipfile.ZipFile(io.BytesIO(export))
    assert archive.testzip() is None
    return {name: archive.read(name) for name in archive.namelist()}


def packed(files: Files, *, seal: bool = True, **how: Any) -> io.BytesIO:
    """The files as a ZIP; `seal`: with a manifest that fits."""
    if seal:
        files = {name: body for name, body in files.items() if name != "manifest.json"}
        files["manifest.json"] = json.dumps({name: hashlib.sha256(body).hexdigest() for name, body in files.items()}).encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", how.get("method", zipfile.ZIP_DEFLATED)) as archive:
        for name, body in files.items():
            archive.writestr(name, body)
    out.seek(0)
    return out


@pytest.fixture(scope="module")
def lives(settings_on: Callable[[str], Settings]) -> Callable[[str], bytes]:
    """The export of the same life on each engine, made once."""
    made: dict[str, bytes] = {}

    def of(engine: str) -> bytes:
        if engine not in made:
            settings, clock = settings_on(engine), Clock()
            with serving(settings, open_database(settings), clock) as served:
                visitor = served.visitor()
                live(visitor, clock)
                visitor.sign_in(ALICE)
                made[engine] = visitor.get("/api/v1/export").content
        return made[engine]

    return of


@pytest.fixture
def life(lives: Callable[[str], bytes]) -> Files:
    """The files of an export."""
    return contents(lives("sqlite"))


def test_an_export_says_what_every_field_means_and_what_it_leaves_out(lives: Callable[[str], bytes], engine: str) -> None:
    files = contents(lives(engine))
    left_out = json.loads(files["left-out.json"])
    for table in tables.TABLES:
        if table.owner is None:
            continue
        fields = {name for name, _ in portable.exported(table)}
        shown = {column.name for _, column in portable.exported(table)}
        for column in table.columns:  # every column of the catalogue is in it, or has a stated reason
            assert (column.name in shown) != (f"{table.name}.{column.name}" in left_out), column.name
        if not fields:
            assert f"data/{table.name}.json" not in files
            continue
        schema = json.loads(files[f"schema/{table.name}.schema.json"])
        rows = json.loads(files[f"data/{table.name}.json"])
        jsonschema.Draft202012Validator.check_schema(schema)
        jsonschema.validate(rows, schema, jsonschema.Draft202012Validator)
        assert set(schema["items"]["properties"]) == fields
        assert all(told["description"] for told in schema["items"]["properties"].values())
        sheet = list(csv.DictReader(io.StringIO(files[f"csv/{table.name}.csv"].decode(), newline="")))
        assert len(sheet) == len(rows)
        assert all(set(row) == fields for row in sheet)
    told = json.loads(files["data/session_feedback.json"])
    assert [row["feedback_text"] for row in told] == [f"=like {rating} waves, “so”" for rating in (5, 2, 4)]
    assert "'=like 5 waves" in files["csv/session_feedback.csv"].decode()
    assert {row["action"] for row in json.loads(files["data/audit_events.json"])} >= {"account.created", "export.made"}
    assert b"schema/*.json" in files["README.txt"]


def test_what_an_import_takes_in_is_whole() -> None:
    supplied = {"users": {"password_hash", "email_index", "phone_index"}}
    for table in takeout.exported_tables():
        if table.stays_behind is None:
            there = {column.name for _, column in portable.exported(table)} | supplied.get(table.name, set())
            missing = {column.name for column in table.columns if column.required and not column.default} - there
            assert missing == set(), f"{table.name} cannot be imported without these: say why it stays behind"


@pytest.mark.parametrize("other", ["sqlite", "postgres"])
def test_out_in_and_out_again_is_equal(
    lives: Callable[[str], bytes], settings_on: Callable[[str], Settings], engine: str, other: str
) -> None:
    first = contents(lives(engine))
    settings = settings_on(other)
    database = open_database(settings)
    arrived = arrival.take_in(database, io.BytesIO(lives(engine)), PASSWORD, NOW)
    files = SoundFiles(settings, database)
    second = contents(b"".join(takeout.pieces(database, files, arrived.person, takeout.Wish(), NOW)))
    assert set(first) == set(second)
    for table in takeout.exported_tables():
        name = f"data/{table.name}.json"
        if table.stays_behind is None:
            assert second[name] == first[name], name
            assert second[f"csv/{table.name}.csv"] == first[f"csv/{table.name}.csv"]
            assert arrived.rows.get(table.name, 0) == len(json.loads(first[name]))
        elif table.name != "audit_events":
            assert json.loads(second[name]) == [], name
    assert json.loads(second["data/audit_events.json"])[0]["action"] == "account.imported"
    assert set(arrived.left_out) == {"logins", "calendar_feeds", "audit_events", "idempotency_keys"}
    assert arrived.rows["session_feedback"] == 3
    assert arrived.rows["profile_history"] >= 2

    with pytest.raises(Conflict, match="is here already"):
        arrival.take_in(database, io.BytesIO(lives(engine)), PASSWORD, NOW)
    assert database.vault.keys.key(arrived.person)  # a refusal does not take the key of who is here
    clock = Clock(NOW.replace(hour=23))
    with serving(settings, database, clock) as served:
        visitor = served.visitor()
        visitor.sign_in(ALICE._replace(password=PASSWORD))
        assert visitor.get("/api/v1/profile").json()["ratings"] == 3
        made = visitor.session(confirm=True)
        clock.advance(minutes=6)
        visitor.rate(made["id"], rating=5)  # and learning goes on from there
        assert visitor.get("/api/v1/profile").json()["ratings"] == 4


def edited(files: Files, table: str, change: Callable[[list[Any]], object]) -> Files:
    rows = json.loads(files[f"data/{table}.json"])
    change(rows)
    return files | {f"data/{table}.json": json.dumps(rows).encode()}


def about(files: Files, **changed: object) -> Files:
    return files | {"export.json": json.dumps({**json.loads(files["export.json"]), **changed}).encode()}


OTHER = "0193e1f0-0000-7000-8000-000000000001"
FORGED: dict[str, tuple[Callable[[Files], Files], str]] = {
    "a name that leads upwards": (lambda f: f | {"../../etc/cron.d/x": b"x"}, "leads elsewhere"),
    "a name from the root": (lambda f: f | {"/data/users.json": b"[]"}, "leads elsewhere"),
    "a backslash": (lambda f: f | {"data\\users.json": b"[]"}, "leads elsewhere"),
    "a folder": (lambda f: f | {"data/": b""}, "leads elsewhere"),
    "a file of a program": (lambda f: f | {"data/run.sh": b"x"}, "leads elsewhere"),
    "no account": (lambda f: {n: b for n, b in f.items() if n != "data/users.json"}, "has no data/users.json"),
    "no word of itself": (lambda f: {n: b for n, b in f.items() if n != "export.json"}, "has no export.json"),
    "a newer form": (lambda f: about(f, format=3), "newer Stillwave"),
    "a newer schema": (lambda f: about(f, schema="9999_later"), "newer Stillwave"),
    "a form that is no number": (lambda f: about(f, format="2"), "newer Stillwave"),
    "not JSON": (lambda f: f | {"data/sessions.json": b"[{"}, "in a form that is not known"),
    "not a list": (lambda f: f | {"data/sessions.json": b"{}"}, "in a form that is not known"),
    "deep JSON": (lambda f: f | {"data/sessions.json": b"[" * 100_000}, "in a form that is not known"),
    "half a character": (lambda f: f | {"data/sessions.json": b'[{"id": "\xff"}]'}, "in a form that is not known"),
    "an unknown field": (lambda f: edited(f, "sessions", lambda r: r[0].update(password_hash="x")), "not known here: password_hash"),
    "a field that is kept back": (lambda f: edited(f, "users", lambda r: r[0].update(email_index="0" * 64)), "not known here"),
    "a missing field": (lambda f: edited(f, "users", lambda r: r[0].pop("email")), "email cannot have"),
    "a number for a text": (lambda f: edited(f, "users", lambda r: r[0].update(email=5)), "email cannot have"),
    "a text for a number": (lambda f: edited(f, "session_feedback", lambda r: r[0].update(rating="5")), "rating cannot have"),
    "yes for a number": (lambda f: edited(f, "session_feedback", lambda r: r[0].update(rating=True)), "rating cannot have"),
    "a huge number": (lambda f: edited(f, "session_feedback", lambda r: r[0].update(rating=2**70)), "rating cannot have"),
    "NUL": (lambda f: edited(f, "progress_tracking", lambda r: r[0].update(notes="a\0b")), "notes cannot have"),
    "a time without a zone": (lambda f: edited(f, "users", lambda r: r[0].update(created_at="2026-01-01T00:00:00")), "created_at cannot have"),
    "no time": (lambda f: edited(f, "users", lambda r: r[0].update(created_at="soon")), "created_at cannot have"),
    "no id": (lambda f: edited(f, "sessions", lambda r: r[0].update(id="1")), "id cannot have"),
    "rows of somebody else": (lambda f: edited(f, "sessions", lambda r: r[0].update(user_id=OTHER)), "records of somebody else"),
    "two people": (lambda f: edited(f, "users", lambda r: r.append(r[0])), "not the export of one person"),
    "nobody": (lambda f: edited(f, "users", lambda r: r.clear()), "not the export of one person"),
    "made for somebody else": (lambda f: about(f, person=OTHER), "not the export of one person"),
    "a session of the year 9999": (lambda f: edited(f, "sessions", lambda r: r[0].update(id="e677d21f-dbff-7000-8000-000000000001")), "a time that cannot be"),
    "a sound file elsewhere": (lambda f: edited(f, "audio_files", lambda r: r[0].update(file_path="../keys.db")), "leads elsewhere"),
}  # fmt: skip


@pytest.mark.parametrize("case", FORGED)
def test_what_is_no_export_of_ours_is_refused_with_clear_words(life: Files, case: str) -> None:
    forge, says = FORGED[case]
    with pytest.raises(BadInput, match=says):
        arrival.read(packed(forge(life)), NOW)


def test_an_altered_file_and_an_altered_manifest_are_found(life: Files) -> None:
    assert arrival.read(packed(life, seal=False), NOW)[0].format == takeout.FORMAT
    for name in ("data/sessions.json", "README.txt", "csv/users.csv"):
        with pytest.raises(BadInput, match=f"altered: {name}"):
            arrival.read(packed(life | {name: life[name] + b" "}, seal=False), NOW)
    with pytest.raises(BadInput, match="other files than its manifest"):
        arrival.read(packed({n: b for n, b in life.items() if n != "README.txt"}, seal=False), NOW)
    with pytest.raises(BadInput, match="other files than its manifest"):
        arrival.read(packed(life | {"data/extra.json": b"[]"}, seal=False), NOW)


def test_bombs_links_doubles_and_torn_files_are_refused_before_they_are_unpacked(life: Files) -> None:
    bomb = packed(life | {"data/sessions.json": b" " * (64 * 1024**2)})
    assert len(bomb.getvalue()) < 1024**2
    with pytest.raises(BadInput, match="very much more than it is"):
        arrival.read(bomb, NOW)
    whole = packed(life).getvalue()
    for torn in (whole[: len(whole) // 2], whole[:-30], b"", b"PK\x03\x04 no"):
        with pytest.raises(BadInput, match="is not a whole ZIP"):
            arrival.read(io.BytesIO(torn), NOW)
    link = io.BytesIO(whole)
    with zipfile.ZipFile(link, "a") as archive:
        entry = zipfile.ZipInfo("data/link.json")
        entry.external_attr = 0o120777 << 16
        archive.writestr(entry, "/etc/passwd")
    with pytest.raises(BadInput, match="it is a link"):
        arrival.read(link, NOW)
    double = io.BytesIO(whole)
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(double, "a") as archive:
        archive.writestr("data/users.json", b"[]")
    with pytest.raises(BadInput, match="holds a file twice"):
        arrival.read(double, NOW)
    lying = bytearray(whole)  # the directory says that a file is smaller than it is
    at = lying.rindex(b"data/users.json") - 46
    lying[at + 24 : at + 28] = (10).to_bytes(4, "little")
    with pytest.raises(BadInput):
        arrival.read(io.BytesIO(bytes(lying)), NOW)


def test_a_record_the_database_refuses_leaves_nothing_behind(settings: Settings, life: Files) -> None:
    database = open_database(settings)
    person = UUID(json.loads(life["export.json"])["person"])
    for forged in (
        edited(life, "session_feedback", lambda rows: rows[-1].update(rating=9)),
        edited(life, "sessions", lambda rows: rows.append(rows[0])),
        edited(life, "user_preferences", lambda rows: rows[0].update(voice_preference="robot")),
        edited(life, "audio_files", lambda rows: rows[0].update(session_id=OTHER)),
        edited(life, "users", lambda rows: rows[0].update(email="no address")),
    ):
        with pytest.raises(StillwaveError) as refusal:
            arrival.take_in(database, packed(forged), PASSWORD, NOW)
        assert "robot" not in str(refusal.value)
        assert set(rows_of(database, person).values()) == {0}
        assert not database.vault.keys.holds(person)
    with pytest.raises(BadInput, match="password"):
        arrival.take_in(database, packed(life), "short", NOW)
    operator = edited(life, "users", lambda rows: rows[0].update(role="operator", processing_restricted=True))
    leaving = operator | {"data/erasures.json": json.dumps([{
        "user_id": str(person), "asked_at": "2026-11-25T10:00:00.000Z", "final_at": "2026-12-02T10:00:00.000Z",
        "restricted_before": False}]).encode()}  # fmt: skip
    arrived = arrival.take_in(database, packed(leaving), PASSWORD, NOW)  # who leaves one Stillwave for another
    assert {"users.role", "erasures"} <= set(arrived.left_out)
    with database.read(person) as tx:
        [user], _ = portable.page(tx, person, tables.table("users"), None, 9)
    assert (user["role"], user["processing_restricted"]) == ("listener", False)
    database.close()


def test_who_was_erased_or_whose_address_is_taken_is_not_taken_in(settings: Settings, life: Files, clock: Clock) -> None:
    person = UUID(json.loads(life["export.json"])["person"])
    with serving(settings, open_database(settings), clock) as served:
        served.visitor().sign_up(BOB)
        database = served.kit.database
        taken = edited(life, "users", lambda rows: rows[0].update(phone_number=BOB.phone_number))
        with pytest.raises(Conflict, match="phone number is here already"):
            arrival.take_in(database, packed(taken), PASSWORD, NOW)
        database.vault.keys.destroy(person, NOW)
        with pytest.raises(Conflict, match="was erased here"):
            arrival.take_in(database, packed(life), PASSWORD, NOW)


# --- asking for it ------------------------------------------------------------------------------


def test_some_minutes_after_signing_in_the_password_is_asked_for_again(served: Served, alice: Visitor, clock: Clock) -> None:
    clock.advance(minutes=9)
    assert alice.get("/api/v1/export").status_code == 200
    clock.advance(minutes=2)
    refused = alice.get("/api/v1/export")
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "password"
    assert alice.post("/api/v1/export", json={"password": "not mine at all"}).status_code == 422
    assert alice.post("/api/v1/export", json={}).status_code == 422
    files = contents(alice.post("/api/v1/export", json={"password": ALICE.password}).content)
    assert json.loads(files["data/users.json"])[0]["email"] == ALICE.email
    alice.cookies.set("stillwave_login", alice.headers.pop("Authorization").removeprefix("Bearer "))
    page = alice.post("/privacy/export", data={"sound": "none", "password": "not mine at all"})
    assert (page.status_code, 'id="e-export-password"' in page.text) == (422, True)
    assert alice.post("/privacy/export", data={"sound": "none", "password": ALICE.password}).status_code == 200
    _, codes = alice.set_up_second_step(ALICE, clock())
    clock.advance(minutes=11)
    assert alice.post("/api/v1/export", json={"code": codes[0]}).status_code == 200
    assert alice.post("/api/v1/export", json={"code": codes[0]}).status_code == 422


@pytest.mark.parametrize("engine", ["sqlite"])  # rendering costs, and knows no engine
def test_the_sound_comes_along_if_wished_and_only_the_right_key_opens_an_encrypted_export(alice: Visitor) -> None:
    alice.session(background="white_noise")
    made = alice.session(background="white_noise")
    flac = alice.get(made["flac_url"]).content
    names = [name for name in contents(alice.get("/api/v1/export").content) if name.startswith("sound/")]
    assert names == []
    mine, other = pyrage.x25519.Identity.generate(), pyrage.x25519.Identity.generate()
    for bad in ("age1nonsense", "AGE-SECRET-KEY-1", "ssh-ed25519 AAAA"):
        refused = alice.post("/api/v1/export", json={"age": bad})
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "age")
        assert bad not in refused.text
    sealed = alice.post("/api/v1/export", json={"sound": "stored", "age": str(mine.to_public())})
    assert 'zip.age"' in sealed.headers["Content-Disposition"]
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(sealed.content, [other])
    files = contents(pyrage.decrypt(sealed.content, [mine]))
    assert [name for name in files if name.startswith("sound/")] == [f"sound/{made['id']}.flac"]
    assert files[f"sound/{made['id']}.flac"] == flac
    assert arrival.read(packed(files, seal=False), NOW)[0].sound == "stored"


@pytest.fixture
def encrypted_life(settings: Settings, tmp_path: Path, clock: Clock) -> tuple[Path, Path]:
    """An export written by an operator, encrypted, and the key that opens it."""
    with serving(settings, open_database(settings), clock) as served:
        live(served.visitor(), clock)
    key, file = tmp_path / "key.txt", tmp_path / "alice.zip.age"
    mine = pyrage.x25519.Identity.generate()
    key.write_text(f"# created today\n{mine}\n")
    told = stillwave(settings, "user", "export", ALICE.email, str(file), "--age", str(mine.to_public()))
    assert told.returncode == 0, told.stderr
    return file, key


@pytest.mark.parametrize("engine", ["sqlite"])
def test_an_operator_moves_a_person_from_one_stillwave_to_another(
    encrypted_life: tuple[Path, Path], settings: Settings, settings_on: Callable[[str], Settings]
) -> None:
    file, key = encrypted_life
    assert file.stat().st_mode & 0o077 == 0
    assert stillwave(settings, "user", "export", ALICE.email, str(file)).returncode == 1  # never over another file
    there = settings_on("sqlite")
    assert "--identity" in stillwave(there, "user", "import", str(file)).stderr
    done = stillwave(there, "user", "import", str(file), "--identity", str(key), "--password", PASSWORD)
    assert (done.returncode, "3 session_feedback" in done.stdout) == (0, True), done.stderr
    again = stillwave(there, "user", "import", str(file), "--identity", str(key), "--password", PASSWORD)
    assert (again.returncode, "is here already" in again.stderr) == (1, True)
