"""The pages of emergency access: the operator's, and the person's."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from litestar import Request, Response
from litestar.params import FromPath, URLEncodedBody

from stillwave.accounts import actions as accounts
from stillwave.emergency import actions
from stillwave.emergency.rules import Asking
from stillwave.errors import BadInput, Conflict, NotFound, TooMany
from stillwave.web import gate, pages
from stillwave.web.gate import Me
from stillwave.web.intake import read_form
from stillwave.web.kit import kit_of
from stillwave.web.routes import page_get, page_post

Form = URLEncodedBody[dict[str, Any]]
Ask = Request[Any, Any, Any]
_ROWS = 50


def _operator(request: Ask) -> Me:
    with gate.read(request) as (_tx, me):
        gate.operator(me)
    return me


def _context(request: Ask, me: Me) -> dict[str, Any]:
    kit = kit_of(request)
    with kit.database.read(right="retention") as tx:
        running = actions.running(tx, kit.clock())
    return {"me": me, "running": [
        {"path": f"/operator/emergency/{a.user_id}/{a.id}", "mine": a.operator_id == me.user_id, "person": str(a.user_id)[-6:],
         "since": f"{a.created_at:%H:%M}", "until": f"{a.expires_at:%H:%M}"}
        for a in running
    ]}  # fmt: skip


@page_get("/operator/emergency")
def ask_page(request: Ask) -> Response[str]:
    """The form that asks for emergency access, and what is open."""
    me = _operator(request)
    return pages.page(request, "emergency/ask.html", errors={}, values={}, **_context(request, me))


@page_post("/operator/emergency")
def ask(request: Ask, data: Form) -> Response[Any]:
    """The access is open, or the form says what to change."""
    me, kit = _operator(request), kit_of(request)
    kit.limits.count("password_account", str(me.user_id))
    try:
        asking = read_form(data, Asking)
        access = actions.ask(kit.database, kit.mail, kit.settings.base_url, me, asking, kit.clock())
    except (BadInput, Conflict, NotFound, TooMany) as error:
        return pages.form_again(request, "emergency/ask.html", data, error, **_context(request, me))
    return pages.see_other(f"/operator/emergency/{access.user_id}/{access.id}")


@page_get("/operator/emergency/{person_id:uuid}/{access_id:uuid}")
def look(request: Ask, person_id: FromPath[UUID], access_id: FromPath[UUID]) -> Response[str]:
    """Everything about the person, to read; each look is in their log."""
    me, kit = _operator(request), kit_of(request)
    access, found = actions.look(kit.database, me, person_id, access_id, kit.clock())
    tables = [
        {"name": name.replace("_", " "), "count": len(rows),
         "rows": [json.dumps(row, indent=1, default=str, ensure_ascii=False) for row in rows[-_ROWS:]]}
        for name, rows in found.items() if rows
    ]  # fmt: skip
    return pages.page(
        request, "emergency/look.html", me=me, tables=tables, path_to_end=f"/operator/emergency/{person_id}/{access_id}/end",
        until=f"{access.expires_at:%H:%M}", reason=access.reason,
    )  # fmt: skip


@page_post("/operator/emergency/{person_id:uuid}/{access_id:uuid}/end")
def end(request: Ask, person_id: FromPath[UUID], access_id: FromPath[UUID]) -> Response[Any]:
    """The operator needs no more."""
    me, kit = _operator(request), kit_of(request)
    actions.end(kit.database, me, person_id, access_id, kit.clock())
    return pages.see_other("/operator/emergency", notice="It has ended.")


@page_get("/privacy/emergency")
def own_page(request: Ask) -> Response[str]:
    """Every time an operator opened the person's data, and why."""
    now = kit_of(request).clock()
    with gate.read(request, leaving=True) as (tx, me):
        zone = accounts.zone(tx, me.user_id)
        rows = [
            {"id": a.id, "reason": a.reason, "open": a.is_open(now), "new": a.seen_at is None,
             "from": f"{a.created_at.astimezone(zone):%d %B %Y, %H:%M}".lstrip("0"),
             "until": f"{(a.ended_at or a.expires_at).astimezone(zone):%H:%M}"}
            for a in actions.of_person(tx, me.user_id)
        ]  # fmt: skip
    return pages.page(request, "emergency/own.html", me=me, accesses=rows)


@page_post("/privacy/emergency/{access_id:uuid}/end")
def end_own(request: Ask, access_id: FromPath[UUID]) -> Response[Any]:
    """The person ended it."""
    with gate.write(request, leaving=True) as (tx, me):
        actions.end_own(tx, me.user_id, access_id, kit_of(request).clock())
    return pages.see_other("/privacy/emergency", notice="It has ended. Nobody looks at your data now.")


@page_post("/privacy/emergency/{access_id:uuid}/seen")
def seen(request: Ask, access_id: FromPath[UUID]) -> Response[Any]:
    """The notice is put away."""
    with gate.write(request, leaving=True) as (tx, me):
        actions.put_away(tx, me.user_id, access_id, kit_of(request).clock())
    return pages.see_other("/privacy/emergency")


HANDLERS = [ask_page, ask, look, end, own_page, end_own, seen]
