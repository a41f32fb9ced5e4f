"""Two Stillwaves become one: who is in both is joined, on either engine, whatever happens on the way."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import msgspec
import pytest

from stillwave import demo
from stillwave.accounts import actions as accounts
from stillwave.accounts.rules import DEMO_EMAIL
from stillwave.db import audit, bulk, migrate, portable
from stillwave.db.database import PostgresDatabase, Query, SqliteDatabase, open_database
from stillwave.db.keys import parse_root_key
from stillwave.db.seal import SealedWriter, read_sealed
from stillwave.db.tables import table
from stillwave.errors import Conflict
from stillwave.privacy import actions as privacy
from stillwave.profiles import curve, store
from stillwave.promote import plan, report, rules, verify
from stillwave.promote.copy import Run
from stillwave.promote.sources import OwnSource, open_source
from stillwave.settings import Settings
from tests import rows
from tests.cast import ALICE, BOB, CHARLIE, NOW, ROOT_KEY, Person
from tests.contract.test_promotion_and_back import digests
from tests.killed import promoted_by_force

OTHER = "22" * 32
DORA = Person("Dora", "dora@example.org", "+41446681899", "granite meadow forty sails")
SOUND = bytes(range(256)) * 300
FILE = f"{'e' * 32}.swf"


class Homes(NamedTuple):
    """Two embedded Stillwaves: the demo's person lives in both."""

    there: Settings
    here: Settings


def _sign_up(database: SqliteDatabase | PostgresDatabase, person: Person, phone: str | None = None) -> UUID:
    with database.write() as tx:
        return accounts.create(tx, email=person.email, phone=phone or person.phone_number, password_hash="$argon2id$", now=NOW, consent=True)


def _id_of(database: SqliteDatabase | PostgresDatabase, email: str) -> UUID:
    with database.read(right="operator") as tx:
        return accounts.by_email(tx, email).id


def _close(*databases: SqliteDatabase | PostgresDatabase) -> None:
    for database in databases:
        database.close()
        database.vault.keys.close()


@pytest.fixture(scope="module")
def homes(settings_on: Callable[[str], Settings]) -> Homes:
    """There: the demo with a condition and a red flag, a rendered sound, and Alice, Bob, Charlie, Dora. Here: the demo a
    month earlier, Alice, and Dora with Bob's number."""
    there, here = settings_on("sqlite"), settings_on("sqlite")
    database = open_database(there)
    demo.fill(database, NOW, lambda _done, _of: None)
    person = _id_of(database, DEMO_EMAIL)
    for one in (ALICE, BOB, CHARLIE):
        _sign_up(database, one)
    generation = database.vault.keys.renew(person, NOW)  # words under two keys of one person
    with database.write() as tx:
        store.declare(tx, person, ["migraine"])
        text = "UPDATE neural_profiles SET contraindications = json_insert(contraindications, '$[#]', 'adverse:aura')"
        tx.run(Query("flag", text, text))
        privacy.restrict(tx, _id_of(database, ALICE.email), on=True, now=NOW)
        text = "SELECT id, start_time FROM sessions WHERE user_id = :person ORDER BY id LIMIT 1"
        session = tx.rows(Query("one", text, text), person=person)[0]
        rows.insert(
            tx, "audio_files", id=rows.id_at(), user_id=person, session_id=session["id"], session_start_time=session["start_time"],
            file_path=FILE, duration=60, format="flac", size_bytes=len(SOUND),
        )  # fmt: skip
    there.audio_dir.mkdir(exist_ok=True)
    with SealedWriter((there.audio_dir / FILE).open("wb"), database.vault.keys.key(person), FILE, generation) as sealed:
        sealed.write(SOUND)
    _close(database)
    database = open_database(here)
    demo.fill(database, NOW - dt.timedelta(days=30), lambda _done, _of: None)
    _sign_up(database, ALICE)
    _sign_up(database, DORA, BOB.phone_number)
    _close(database)
    return Homes(there, here)


class Meeting(NamedTuple):
    """The source, and the target where the people of `here` are."""

    source: OwnSource
    target: SqliteDatabase | PostgresDatabase
    settings: Settings

    def run(self, *, merge: bool = True) -> Run:
        """The promotion of the source into the target."""
        made = Run(self.source, self.target, NOW, merge=merge, audio=self.settings.audio_dir)
        made.batch_rows = 60
        return made


def _filled(here: Settings, settings: Settings) -> SqliteDatabase | PostgresDatabase:
    """A target, open, with the people of `here`."""
    target = open_database(settings)
    if migrate.check(target) == "empty":
        migrate.upgrade(target)
    first = _own(here)
    Run(first, target, NOW).copy()
    first.close()
    return target


@pytest.fixture
def meeting(homes: Homes, settings: Settings, tmp_path: Path) -> Iterator[Meeting]:
    """The people of `here` are at a target of either engine, under a root key of its own."""
    away = msgspec.structs.replace(settings, root_key=OTHER, data_dir=tmp_path / "away")
    target = _filled(homes.here, away)
    shutil.copytree(homes.there.data_dir, tmp_path / "there")
    source = _own(msgspec.structs.replace(homes.there, data_dir=tmp_path / "there"))
    yield Meeting(source, target, away)
    source.close()
    _close(target)


def _own(settings: Settings) -> OwnSource:
    source = open_source(settings.data_dir, parse_root_key(settings.root_key or ""))
    assert isinstance(source, OwnSource)
    return source


def _everything(database: SqliteDatabase | PostgresDatabase, person: UUID) -> dict[str, list[dict[str, object]]]:
    with database.read(person) as tx:
        return portable.everything(tx, person)


def check(run: Run) -> None:
    assert [each for each in verify.verify(run) if not each.ok] == []


def test_who_is_in_both_is_one_person_afterwards(meeting: Meeting) -> None:
    source, target = meeting.source, meeting.target
    mine, twin = _id_of(target, DEMO_EMAIL), _id_of(source.database, DEMO_EMAIL)
    assert mine != twin
    before, there = _everything(target, mine), _everything(source.database, twin)
    with target.read(right="operator") as tx:
        password = accounts.by_email(tx, DEMO_EMAIL).password_hash
    refused = meeting.run(merge=False)
    with pytest.raises(Conflict, match="--merge"):
        refused.copy()
    run = meeting.run()
    planned = plan.plan(source, NOW, into=run)
    assert (planned.joining, planned.staying, planned.renumbered) == (1, 1, 1)
    assert "At the target already: 1 people" in plan.told(planned)
    run.copy()
    check(run)

    after = _everything(target, mine)
    for name in ("users", "consents", "user_preferences", "reminders", "screenings", "clearances", "logins"):
        assert after[name] == before[name], name
    with target.read(right="operator") as tx:
        assert accounts.by_email(tx, DEMO_EMAIL).password_hash == password
        assert audit.verify(tx) == {}
    for name in ("sessions", "session_feedback", "audio_files"):
        assert len(after[name]) == len(before[name]) + len(there[name]) > len(before[name]), name
    # A day that both kept stays as it is here; the other is in the person's own export, with its words.
    days, known = {row["date"]: row for row in after["progress_tracking"]}, {row["date"] for row in before["progress_tracking"]}
    both = [row for row in there["progress_tracking"] if row["date"] in known]
    assert len(both) > 20
    assert all(days[row["date"]] == row for row in before["progress_tracking"])
    assert days.keys() == known | {row["date"] for row in there["progress_tracking"]}
    kept = [json.loads(str(row["original"])) for row in after["promotion_rejects"] if row["reason"] == "day_here"]
    assert sorted(str(row["notes"]) for row in kept) == sorted(str(row["notes"]) for row in both)
    reasons = Counter(row["reason"] for row in after["promotion_rejects"])
    assert reasons == {"day_here": len(both), "preferences_here": 1, "screening_here": 1}

    _learned_from_both(target, mine, len(before["profile_history"]) + len(there["profile_history"]))
    sound = read_sealed(meeting.settings.audio_dir / FILE, target.vault.keys.key(mine), FILE)
    assert b"".join(sound) == SOUND
    assert after["audit_events"][-1]["action"] == "account.joined"
    made = report.made(run, verify.verify(run), NOW, 1.0)
    assert "stays" in report.text(made, parse_root_key(OTHER))


def _learned_from_both(target: SqliteDatabase | PostgresDatabase, person: UUID, answers: int) -> None:
    """The profile is the fold of all answers in their order; conditions and red flags of both hold."""
    with target.read(person) as tx:
        row = store.profile(tx, person)
        assert row is not None
        learned = curve.parse(row.base_frequency_response or "")
        folded = curve.fold_all(store.answers(tx, person), None)
        assert learned.n == folded.n == answers
        for name, band in folded.bands.items():
            assert learned.bands[name].m == pytest.approx(band.m, abs=1e-6)
        assert store.conditions(tx, person, row) == ["migraine", "adverse:aura"]


def test_others_come_as_they_are_and_some_do_not_come(meeting: Meeting) -> None:
    source, target = meeting.source, meeting.target
    charlie = _id_of(source.database, CHARLIE.email)
    target.vault.keys.destroy(charlie, NOW)
    alice, dora = _id_of(target, ALICE.email), _id_of(target, DORA.email)
    run = meeting.run()
    before = _everything(target, alice)
    run.copy()
    check(run)
    bob = _id_of(target, BOB.email)
    assert bob == _id_of(source.database, BOB.email)
    with target.read(right="operator") as tx:
        assert accounts.contact(tx, bob)[1].startswith("+999")
        assert accounts.by_email(tx, BOB.email).account_status == "phone_required"
        assert accounts.contact(tx, dora)[1] == BOB.phone_number
        assert {str(row[0]) for row in bulk.rows(tx, table("users"))} == {str(one) for one in (alice, bob, dora, _id_of(target, DEMO_EMAIL))}
    number = _everything(target, bob)["promotion_rejects"][0]
    assert (number["reason"], json.loads(str(number["original"]))) == ("phone_taken", {"phone_number": BOB.phone_number})
    assert _everything(target, alice) == before  # she paused the use of her data there
    assert not target.vault.keys.holds(charlie)
    assert (run.load("users").counts["erased_here"], run.load("users").counts["standing_still"]) == (1, 1)


def test_who_was_erased_there_and_lives_here_stays(meeting: Meeting, homes: Homes) -> None:
    mine = _id_of(meeting.target, DEMO_EMAIL)
    meeting.source.close()
    writable = open_database(msgspec.structs.replace(homes.there, data_dir=meeting.source.audio.parent))
    writable.vault.keys.destroy(mine, NOW)
    gone = _id_of(writable, CHARLIE.email)
    with writable.write(gone) as tx:
        accounts.delete(tx, gone, NOW)
    _close(writable)
    again = meeting._replace(source=_own(msgspec.structs.replace(homes.there, data_dir=meeting.source.audio.parent)))
    run = again.run()
    run.copy()
    check(run)
    assert _everything(meeting.target, mine)["users"][0]["email"] == DEMO_EMAIL
    assert meeting.target.vault.keys.is_erased(gone)
    again.source.close()


def test_a_second_run_changes_nothing(meeting: Meeting) -> None:
    first = meeting.run()
    first.copy()
    once = digests(meeting.target)
    again = meeting.run(merge=False)  # what was begun as a merge goes on as one
    again.copy()
    check(again)
    assert digests(meeting.target) == once


def test_ended_by_force_again_and_again_it_ends_the_same(meeting: Meeting, homes: Homes, settings_on: Callable[[str], Settings], engine: str) -> None:
    quiet = meeting.run()
    quiet.copy()
    wanted = digests(meeting.target)
    killed = settings_on(engine)
    killed = msgspec.structs.replace(killed, root_key=OTHER, data_dir=killed.data_dir.with_name("killed"))
    _close(_filled(homes.here, killed))
    codes = promoted_by_force(str(meeting.source.audio.parent), killed, first=25, more=12, batch_rows=60, key=ROOT_KEY)
    assert (codes[-1], len(codes) > 2) == (0, True)
    target = open_database(killed)
    after = meeting._replace(target=target, settings=killed).run()
    after.copy()
    check(after)
    assert digests(target) == wanted
    _close(target)


def test_somebody_who_left_and_lived_elsewhere_comes_back(meeting: Meeting, homes: Homes, tmp_path: Path) -> None:
    """The same id on both sides: rows that are here word for word stay, new ones come, and of two versions the one here stays."""
    mine = _id_of(meeting.target, DEMO_EMAIL)
    elsewhere = msgspec.structs.replace(homes.here, root_key="33" * 32, data_dir=tmp_path / "elsewhere", database_url=None)
    away = open_database(elsewhere)
    migrate.upgrade(away)
    Run(OwnSource(meeting.target, meeting.settings.audio_dir, owned=False), away, NOW, person=mine, audio=elsewhere.audio_dir).copy()
    before = _everything(meeting.target, mine)
    start = NOW - dt.timedelta(days=3)
    with away.write(mine) as tx:
        session = rows.session(mine, start) | {"target_frequency": 9.0}
        rows.insert(tx, "sessions", **session)
        rows.insert(
            tx, "session_feedback", id=rows.id_at(start), user_id=mine, session_id=session["id"], session_start_time=start, rating=5,
            created_at=start,
        )  # fmt: skip
        text = "UPDATE progress_tracking SET focus_score = 1 WHERE focus_score <> 1"
        changed = tx.run(Query("edit", text, text))
    _close(away)
    back = _own(elsewhere)
    run = meeting._replace(source=back).run()
    run.copy()
    check(run)
    after = _everything(meeting.target, mine)
    assert len(after["sessions"]) == len(before["sessions"]) + 1
    assert len(after["profile_history"]) == len(before["profile_history"]) + 1
    assert after["progress_tracking"] == before["progress_tracking"]
    assert Counter(row["reason"] for row in after["promotion_rejects"])["row_here"] == changed
    assert run.load("sessions").counts["row_same"] == len(before["sessions"])
    back.close()


@pytest.mark.parametrize("engine", ["postgres"])
def test_both_in_one_data_folder(settings: Settings, homes: Homes, tmp_path: Path) -> None:
    """Somebody served PostgreSQL from the folder where the embedded database was: one key store, one folder of sound."""
    folder = tmp_path / "one"
    shutil.copytree(homes.there.data_dir, folder)
    target = open_database(msgspec.structs.replace(settings, data_dir=folder))
    migrate.require_key(target)
    mine = _sign_up(target, Person("Demo", DEMO_EMAIL, "+41446681877", ""))
    source = _own(msgspec.structs.replace(homes.there, data_dir=folder))
    sealed = (source.audio / FILE).read_bytes()
    run = Run(source, target, NOW, merge=True, audio=folder / "audio")
    run.copy()
    check(run)
    after = _everything(target, mine)
    assert len(after["sessions"]) > 50
    assert FILE not in {row["file_path"] for row in after["audio_files"]}
    assert (source.audio / FILE).read_bytes() == sealed
    assert [row["reason"] for row in after["promotion_rejects"] if row["source_table"] == "audio_files"] == ["file_taken"]
    source.close()
    _close(target)


def test_every_table_of_people_has_a_rule(meeting: Meeting) -> None:
    assert rules.JOINED.keys() == {each.name for each in meeting.source.tables()}
    assert set(rules.JOINED.values()) | {reason for reason, _ in rules.ONE_EACH.values()} <= rules.RULES.keys()
