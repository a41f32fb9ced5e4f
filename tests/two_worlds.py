"""The same house on both engines side by side, for what must be answered alike to the letter."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

from stillwave.db.database import Query, open_database
from stillwave.db.tables import tables_on
from stillwave.settings import Settings
from tests.cast import ALICE, BOB, Clock
from tests.served import Served, Visitor, serving


class World(NamedTuple):
    """One engine: its server, Alice signed in by token and by cookie, a session of hers that is rated and one that is not."""

    served: Served
    alice: Visitor
    browser: Visitor
    places: dict[str, str]


@contextlib.contextmanager
def both(settings_on: Callable[[str], Settings]) -> Iterator[dict[str, World]]:
    """A world on each engine; limits on tries are far away."""
    with contextlib.ExitStack() as stack:
        made = {}
        for engine in ("sqlite", "postgres"):
            settings, clock = settings_on(engine), Clock()
            served = stack.enter_context(serving(settings, open_database(settings), clock, limit_factor=10_000))
            made[engine] = _world(served, clock)
        yield made


def _world(served: Served, clock: Clock) -> World:
    alice, browser = served.visitor(), served.visitor()
    alice.sign_up(ALICE)
    alice.screened()
    signed_in = browser.post("/sign-in", data={"email": ALICE.email, "password": ALICE.password})
    assert signed_in.status_code == 303
    rated, session = alice.session(background_only=True)["id"], alice.session(background_only=True)["id"]
    clock.advance(minutes=6)
    alice.rate(rated)
    served.visitor().sign_up(BOB)
    return World(served, alice, browser, {"session": session, "rated": rated})


def rows(world: World) -> dict[str, int]:
    """How many rows each table has."""
    database = world.served.kit.database
    text = " UNION ALL ".join(
        f"SELECT '{table.name}' AS name, count(*) AS n FROM {table.name}"
        for table in tables_on(database.engine)
        if table.name not in ("jobs", "inspections", "installation")  # the worker goes on in the background
    )
    with database.read(right="operator") as tx:
        return {row["name"]: row["n"] for row in tx.rows(Query("counts", text, text))}
