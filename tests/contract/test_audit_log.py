"""The audit log: what is written down, who sees it, and that no change of it goes unnoticed."""

from __future__ import annotations

import concurrent.futures
import datetime as dt
import json
from collections.abc import Callable
from uuid import UUID

import msgspec
import psycopg
import pytest

from stillwave.accounts import actions as accounts
from stillwave.db import audit
from stillwave.db.database import PostgresDatabase, Query, SqliteDatabase
from stillwave.errors import BadInput
from stillwave.operator import actions as operator
from stillwave.settings import Settings
from tests.cast import ALICE, NOW, Clock
from tests.served import Served, Visitor

Database = SqliteDatabase | PostgresDatabase
WHO = UUID("01939d8a-0000-7000-8000-000000000001")
OTHER = UUID("01939d8a-0000-7000-8000-000000000002")


def written(database: Database, count: int, who: UUID = WHO, at: dt.datetime = NOW) -> None:
    """That many events are in the person's chain."""
    for number in range(count):
        with database.write(who) as tx:
            audit.note(tx, who, "session.started", at, session=str(number))


def by_hand(database: Database, sqlite: str, **values: object) -> None:
    """A statement past the program, as somebody with the database's password would run it."""
    postgres = sqlite
    for name in values:
        postgres = postgres.replace(f":{name}", f"%({name})s")
    with database.write(WHO, right="operator") as tx:
        tx.run(Query("by_hand", sqlite, postgres), **values)


def found(database: Database, checkpoint: audit.Checkpoint | None = None) -> dict[UUID, str]:
    with database.read(right="operator") as tx:
        return audit.verify(tx, checkpoint)


def seen(database: Database) -> audit.Checkpoint:
    with database.read(right="operator") as tx:
        return audit.checkpoint(tx, NOW)


def test_an_untouched_log_is_whole(database: Database) -> None:
    written(database, 5)
    written(database, 3, OTHER)
    assert found(database) == {}
    assert found(database, seen(database)) == {}


def cut_the_tail(database: Database) -> None:
    by_hand(database, "DELETE FROM audit_events WHERE user_id = :who AND seq > 3", who=WHO)


def swap(database: Database) -> None:
    for seq, to in ((2, 99), (3, 2), (99, 3)):
        by_hand(database, "UPDATE audit_events SET seq = :to WHERE user_id = :who AND seq = :seq", who=WHO, seq=seq, to=to)


def give_to_another(database: Database) -> None:
    by_hand(database, "UPDATE audit_events SET user_id = :other WHERE user_id = :who AND seq = 5", who=WHO, other=OTHER)


def delete_the_first_two(database: Database) -> None:
    by_hand(database, "DELETE FROM audit_events WHERE user_id = :who AND seq < 3", who=WHO)


def delete_the_second(database: Database) -> None:
    by_hand(database, "DELETE FROM audit_events WHERE user_id = :who AND seq = 2", who=WHO)


def delete_the_head(database: Database) -> None:
    by_hand(database, "DELETE FROM audit_heads WHERE user_id = :who", who=WHO)


def change(column: str) -> Callable[[Database], None]:
    """Another value in one column of the second event."""
    other = {
        "action": "'export.made'", "actor": "'operator'", "at": "'2026-11-24T10:00:00.000Z'",
        "detail": "'{\"session\": \"7\"}'", "prior": "mac", "mac": "prior",
    }[column]  # fmt: skip

    def tamper(database: Database) -> None:
        by_hand(database, f"UPDATE audit_events SET {column} = {other} WHERE user_id = :who AND seq = 2", who=WHO)

    return tamper


@pytest.mark.parametrize(
    "tamper",
    [
        *(pytest.param(change(column), id=column) for column in ("action", "actor", "at", "detail", "prior", "mac")),
        delete_the_first_two, delete_the_second, delete_the_head, cut_the_tail, swap, give_to_another,
    ],
)  # fmt: skip
def test_every_change_by_hand_is_found(database: Database, tamper: Callable[[Database], None]) -> None:
    written(database, 5)
    assert found(database) == {}
    tamper(database)
    assert WHO in found(database)


LONG_AGO = NOW.replace(year=NOW.year - 8)  # PostgreSQL looks at its own clock before it lets an event go


def test_after_six_years_events_go_and_the_chain_is_still_whole(database: Database) -> None:
    written(database, 3, at=LONG_AGO)
    with database.write(WHO) as tx:
        audit.note(tx, WHO, "export.made", NOW - dt.timedelta(days=30))
    checkpoint = seen(database)
    operator.clean_up(database, NOW)
    operator.clean_up(database, NOW)
    with database.read(WHO) as tx:
        assert [event.action for event in audit.events(tx, WHO, 99, 99)] == ["log.trimmed", "export.made"]
    assert found(database) == {}
    assert found(database, checkpoint) == {}
    by_hand(database, "DELETE FROM audit_events WHERE user_id = :who AND seq = 4", who=WHO)
    assert WHO in found(database)


def test_a_chain_of_old_events_alone_is_trimmed_to_the_line_that_says_so(database: Database) -> None:
    written(database, 3, at=LONG_AGO)
    operator.clean_up(database, NOW)
    with database.read(WHO) as tx:
        assert [event.action for event in audit.events(tx, WHO, 99, 99)] == ["log.trimmed"]
    assert found(database) == {}


def test_the_server_can_add_to_the_log_and_take_nothing_from_it(settings: Settings, database: Database) -> None:
    if settings.database_url is None:
        pytest.skip("SQLite has one right")
    written(database, 3, at=LONG_AGO)
    for statement in (
        "DELETE FROM audit_events", "UPDATE audit_events SET action = 'export.made'", "DELETE FROM audit_heads",
        "TRUNCATE audit_events",
    ):  # fmt: skip
        with pytest.raises(psycopg.errors.InsufficientPrivilege), database.write(WHO) as tx:
            tx.run(Query("by_hand", "", statement))
    written(database, 1)
    delete = Query("by_hand", "", "DELETE FROM audit_events WHERE seq > 0")
    with database.write(right="retention") as tx:
        assert tx.run(delete) == 0  # housekeeping takes from the chain of whom it acts for, and
    with database.write(WHO, right="retention") as tx:
        assert tx.run(delete) == 3  # nothing younger than six years


def test_a_tail_cut_off_with_its_head_is_found_by_a_checkpoint(database: Database) -> None:
    written(database, 5)
    checkpoint = seen(database)
    by_hand(database, "DELETE FROM audit_events WHERE user_id = :who AND seq > 3", who=WHO)
    by_hand(
        database,
        "UPDATE audit_heads SET seq = 3, mac = (SELECT mac FROM audit_events WHERE user_id = :who AND seq = 3) WHERE user_id = :who",
        who=WHO,
    )
    assert found(database) == {}
    assert WHO in found(database, checkpoint)
    written(database, 4)  # and going on from there hides nothing
    assert WHO in found(database, checkpoint)


def test_a_whole_chain_removed_is_found_by_a_checkpoint(database: Database) -> None:
    written(database, 5)
    checkpoint = seen(database)
    for table in ("audit_events", "audit_heads"):
        by_hand(database, f"DELETE FROM {table} WHERE user_id = :who", who=WHO)
    assert found(database) == {}
    assert WHO in found(database, checkpoint)


def test_a_changed_checkpoint_is_refused(database: Database) -> None:
    written(database, 2)
    checkpoint = seen(database)
    forged = msgspec.structs.replace(checkpoint, heads=[])
    with pytest.raises(BadInput, match="was changed"):
        found(database, forged)


def test_an_event_is_gone_with_the_transaction_it_tells_of(database: Database) -> None:
    written(database, 1)
    with pytest.raises(RuntimeError, match="on purpose"), database.write(WHO) as tx:
        audit.note(tx, WHO, "export.made", NOW)
        raise RuntimeError("on purpose")
    with database.read(WHO) as tx:
        assert [event.action for event in audit.events(tx, WHO, 99, 10)] == ["session.started"]
    assert found(database) == {}


def test_eight_writers_of_one_person_make_one_chain(database: Database) -> None:
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(written, database, 25) for _ in range(8)]:
            done.result()
    with database.read(WHO) as tx:
        assert [event.seq for event in audit.events(tx, WHO, 999, 999)] == list(range(200, 0, -1))
    assert found(database) == {}


def test_an_unknown_action_is_a_mistake_of_ours(database: Database) -> None:
    with database.write(WHO) as tx, pytest.raises(KeyError):
        audit.note(tx, WHO, "something.else", NOW)


def test_a_person_reads_what_was_done(served: Served, alice: Visitor, bob: Visitor, clock: Clock) -> None:
    alice.put("/api/v1/consents/adaptation", json={"give": False})
    alice.put("/api/v1/restriction", json={"on": True})
    alice.get("/api/v1/export")
    clock.advance(hours=2)
    alice.get("/api/v1/profile")
    alice.get("/api/v1/profile")
    with served.kit.database.write(right="operator") as tx:
        user = accounts.by_email(tx, ALICE.email)
        tx.act_as(user.id)
        accounts.set_tier(tx, user.id, "premium", clock())
    items = alice.get("/api/v1/audit-events").json()["items"]
    told = [(item["action"], item["actor"]) for item in items]
    assert told[:5] == [
        ("account.tier", "operator"), ("records.read", "self"), ("export.made", "self"), ("restriction.on", "self"),
        ("consent.withdrawn", "self"),
    ]  # fmt: skip
    assert told[-4:] == [("login.opened", "self"), ("consent.given", "self"), ("consent.given", "self"), ("account.created", "self")]
    assert [item["number"] for item in items] == list(range(len(items), 0, -1))
    older = alice.get(f"/api/v1/audit-events?before={items[2]['number']}&limit=1").json()["items"]
    assert [item["number"] for item in older] == [items[3]["number"]]
    page = alice.get("/privacy/log").text
    assert "Everything was downloaded" in page
    assert "by an operator" in page
    assert "account.tier" not in json.dumps(bob.get("/api/v1/audit-events").json())


def test_the_log_outlives_the_person_and_names_nobody(served: Served, alice: Visitor) -> None:
    user_id = UUID(alice.get("/api/v1/me").json()["id"])
    erased = alice.post("/api/v1/erasure", json={"password": ALICE.password, "confirm": "erase"})
    assert erased.status_code == 204
    with served.kit.database.read(user_id) as tx:
        left = audit.events(tx, user_id, 999, 999)
        assert audit.broken(tx, user_id) is None
    assert left[0].action == "account.erased"
    kept = msgspec.json.encode(left).decode()
    for personal in (ALICE.email, ALICE.phone_number, ALICE.name):
        assert personal not in kept


def test_the_log_of_a_whole_life_is_whole(served: Served, alice: Visitor) -> None:
    alice.screened()
    made = alice.session()
    alice.rate(made["id"])
    alice.put(f"/api/v1/sessions/{made['id']}/feedback", json={"rating": 2})
    alice.delete(f"/api/v1/sessions/{made['id']}/feedback")
    alice.post("/api/v1/progress", json={"date": "2026-11-25", "sleep_quality": 7, "notes": "a private word"})
    alice.delete("/api/v1/progress/2026-11-25")
    items = alice.get("/api/v1/audit-events").json()["items"]
    assert [item["action"] for item in items[:7]] == [
        "diary.removed", "diary.kept", "feedback.removed", "feedback.changed", "feedback.given", "session.started",
        "screening.answered",
    ]  # fmt: skip
    assert items[2]["detail"] == {"session": made["id"]}
    assert "private" not in json.dumps(items)
    with served.kit.database.read(right="operator") as tx:
        assert audit.verify(tx) == {}
