"""Ending mails with one press, and the private calendar address."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request, Response
from litestar.params import FromPath

from stillwave.accounts import actions as accounts
from stillwave.errors import NotFound
from stillwave.reminders import actions
from stillwave.web import gate, pages
from stillwave.web.kit import kit_of
from stillwave.web.routes import api_delete, api_post, page_get, page_post

Ask = Request[Any, Any, Any]
_WORDS = {"morning": "the reminder in the morning", "evening": "the reminder in the evening", "digest": "your week"}
_ENDING = ".ics"


class CalendarAddress(msgspec.Struct):
    """The private address, shown once."""

    url: str


def _address(request: Ask, token: str) -> str:
    return f"{kit_of(request).settings.base_url}/calendar/{token}{_ENDING}"


def _open(request: Ask) -> str:
    with gate.write(request) as (tx, me):
        return _address(request, actions.open_calendar(tx, me.user_id, kit_of(request).clock()))


@api_post("/api/v1/calendar", tags=["account"])
def create_calendar(request: Ask) -> CalendarAddress:
    """Make a private calendar address with the two routine times; an older one ends. It is shown once."""
    return CalendarAddress(_open(request))


@api_delete("/api/v1/calendar", tags=["account"])
def delete_calendar(request: Ask) -> None:
    """End the private calendar address."""
    with gate.write(request) as (tx, me):
        actions.close_calendar(tx, me.user_id)


@page_get("/calendar")
def calendar_page(request: Ask) -> Response[str]:
    """Whether there is a private calendar address, and what it is good for."""
    with gate.read(request) as (tx, me):
        since = actions.calendar_since(tx, me.user_id)
        zone = accounts.zone(tx, me.user_id)
    told = f"{since.astimezone(zone):%d %B %Y}".lstrip("0") if since else None
    return pages.page(request, "reminders/calendar.html", me=me, since=told, address=None)


@page_post("/calendar")
def make_calendar(request: Ask) -> Response[str]:
    """Make a new address and show it, once."""
    address = _open(request)
    return pages.page(request, "reminders/calendar.html", since="today", address=address)


@page_post("/calendar/remove")
def remove_calendar(request: Ask) -> Response[Any]:
    """End the address."""
    with gate.write(request) as (tx, me):
        actions.close_calendar(tx, me.user_id)
    return pages.see_other("/calendar", notice="The calendar address has ended.")


@page_get("/calendar/{name:str}")
def feed(request: Ask, name: FromPath[str]) -> Response[str]:
    """The calendar itself, for a calendar program: it proves itself by the address."""
    if not name.endswith(_ENDING):
        raise NotFound("There is no calendar at this address.")
    kit = kit_of(request)
    text = actions.calendar(kit.database, name.removesuffix(_ENDING), kit.clock())
    return Response(text, media_type="text/calendar; charset=utf-8", headers={"Cache-Control": "no-store"})


@page_get("/unsubscribe/{token:str}")
def unsubscribe_page(request: Ask, token: FromPath[str]) -> Response[str]:
    """One button. Opening the page changes nothing: mail programs open addresses by themselves."""
    _user_id, kind = actions.of_unsubscribe_token(kit_of(request).database.vault, token)
    return pages.page(request, "reminders/unsubscribe.html", what=_WORDS[kind], token=token, done=False)


@page_post("/unsubscribe/{token:str}", status_code=200)
def unsubscribe(request: Ask, token: FromPath[str]) -> Response[str]:
    """The mail has ended (RFC 8058: also for a mail program's own button, without signing in)."""
    kit = kit_of(request)
    user_id, kind = actions.of_unsubscribe_token(kit.database.vault, token)
    with kit.database.write(user_id) as tx:
        actions.unsubscribe(tx, user_id, kind, kit.clock())
    return pages.page(request, "reminders/unsubscribe.html", what=_WORDS[kind], token=token, done=True)


HANDLERS = [
    create_calendar, delete_calendar, calendar_page, make_calendar, remove_calendar, feed, unsubscribe_page, unsubscribe,
]  # fmt: skip
