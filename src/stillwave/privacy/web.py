"""The privacy page and its API: consents, restriction, export, erasure."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Annotated, Any

import msgspec
from litestar import Request, Response
from litestar.background_tasks import BackgroundTask
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, JSONBody, QueryParameter, URLEncodedBody
from litestar.response import Stream

from stillwave.accounts import actions as accounts
from stillwave.accounts.rules import CONSENTS, SHORTEST_PASSWORD, Password
from stillwave.accounts.web import PasswordChange, with_new_password
from stillwave.db import audit
from stillwave.db.database import Tx
from stillwave.errors import BadInput, Conflict, NotFound, StillwaveError, TooMany
from stillwave.factors import actions as factors
from stillwave.privacy import actions, erasure, takeout
from stillwave.sessions import audio
from stillwave.web import gate, pages
from stillwave.web.document import OPEN
from stillwave.web.gate import Me
from stillwave.web.intake import read_form
from stillwave.web.kit import Kit, kit_of
from stillwave.web.routes import api_delete, api_get, api_post, api_put, page_get, page_post

Form = URLEncodedBody[dict[str, Any]]
Ask = Request[Any, Any, Any]
_SHOWN_EVENTS = 100
_NO_END = 2**62  # above every number
_ACTORS = {"self": "you", "operator": "an operator", "system": "Stillwave"}


class Takeout(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What an export holds besides records, to which age key it is encrypted, and who asks."""

    sound: takeout.Sound = "none"
    age: Annotated[str, msgspec.Meta(max_length=200)] | None = None
    password: Password | None = None
    code: Annotated[str, msgspec.Meta(max_length=64)] | None = None


class Happenings(msgspec.Struct):
    """Events, newest first."""

    items: list[actions.Happening]


class Choice(msgspec.Struct, forbid_unknown_fields=True):
    """Give or withdraw a consent."""

    give: bool


class Restriction(msgspec.Struct, forbid_unknown_fields=True):
    """Whether processing is restricted."""

    on: bool


class Erasure(msgspec.Struct, forbid_unknown_fields=True):
    """The password and the word `erase`; `at_once`: without the days in which it can be taken back."""

    password: Password
    confirm: Annotated[str, msgspec.Meta(max_length=16)]
    at_once: bool = False


def _context(request: Ask, tx: Tx, me: Me) -> dict[str, Any]:
    now = kit_of(request).clock()
    zone = accounts.zone(tx, me.user_id)
    given = accounts.consents(tx, me.user_id)
    consents = []
    for purpose, text in CONSENTS.items():
        mine = [c for c in given if c.purpose == purpose]
        last = mine[-1] if mine else None
        consents.append(
            {
                "purpose": purpose,
                "label": text.label,
                "text": text.text,
                "version": text.version,
                "given": f"{last.given_at.astimezone(zone):%d %B %Y}".lstrip("0") if last else None,
                "active": last is not None and accounts.holds(last),
                "changed": last is not None and last.withdrawn_at is None and not accounts.holds(last),
            }
        )
    logins = [
        {
            "id": login.id,
            "device": login.device,
            "created": f"{login.created_at.astimezone(zone):%d %B %Y}".lstrip("0"),
            "last_seen": f"{login.last_seen_at.astimezone(zone):%d %B, %H:%M}".lstrip("0"),
            "current": login.id == me.login_id,
        }
        for login in accounts.logins(tx, me.user_id, now)
    ]
    return {"consents": consents, "logins": logins, "restricted": me.processing_restricted, "password_min": SHORTEST_PASSWORD,
            "erasure_days": kit_of(request).settings.erasure_days,
            "fresh": me.is_fresh(now)}  # fmt: skip


@page_get("/privacy")
def privacy_page(request: Ask) -> Response[str]:
    """Everything about the person's data in one place."""
    with gate.read(request) as (tx, me):
        context = _context(request, tx, me)
    return pages.page(request, "privacy/privacy.html", me=me, errors={}, values={}, **context)


@page_post("/consents/{purpose:str}")
def choose(request: Ask, purpose: FromPath[str], data: Form) -> Response[Any]:
    """Give or withdraw a consent by form."""
    give = data.get("give") == "yes"
    with gate.write(request) as (tx, me):
        actions.set_consent(tx, me.user_id, purpose, give=give, now=kit_of(request).clock())
    return pages.see_other("/privacy", notice="Thank you." if give else "Taken back. It acts at once.")


@page_post("/privacy/restriction")
def restrict(request: Ask, data: Form) -> Response[Any]:
    """Restrict processing, or end the restriction, by form."""
    on = data.get("on") == "yes"
    with gate.write(request) as (tx, me):
        actions.restrict(tx, me.user_id, on=on, now=kit_of(request).clock())
    return pages.see_other("/privacy", notice="Processing is restricted." if on else "The restriction has ended.")


def _again(
    request: Ask, data: dict[str, Any], error: StillwaveError, *, erasing: bool = False, taking: bool = False
) -> Response[str]:
    with gate.read(request, leaving=True) as (tx, me):
        context = {} if me.leaving_at else _context(request, tx, me)
    if me.leaving_at:
        return pages.form_again(request, "privacy/leaving.html", data, error, taking=taking, **_leaving(request))
    return pages.form_again(
        request, "privacy/privacy.html", data, error, erasing=erasing, taking=taking,
        was_at_once=data.get("at_once") == "yes", **context,
    )  # fmt: skip


@page_post("/password")
def password(request: Ask, data: Form) -> Response[Any]:
    """Change the password by form; other devices are signed out."""
    try:
        token = with_new_password(request, read_form(data, PasswordChange))
    except (BadInput, TooMany) as error:
        return _again(request, data, error)
    return pages.see_other(
        "/privacy", notice="Your password is new; other devices are signed out.",
        cookies=[gate.login_cookie(kit_of(request).settings, token)],
    )  # fmt: skip


@page_get("/privacy/export")
def export(request: Ask) -> Response[Any]:
    """Download every record, a moment after signing in; later the form asks for the password."""
    return _download(request, Takeout())


@page_post("/privacy/export", status_code=200)
def export_as_wished(request: Ask, data: Form) -> Response[Any]:
    """Download everything by form, with the sound and encrypted if so wished."""
    try:
        return _download(request, read_form(data, Takeout))
    except (BadInput, TooMany, Conflict) as error:
        return _again(request, data, error, taking=True)


def _download(request: Ask, wish: Takeout) -> Response[Any]:
    """The export, made while it is sent. Raises BadInput where the password or a code is missing or wrong."""
    kit, now = kit_of(request), kit_of(request).clock()
    me = _proven(request, wish, now)
    kit.limits.count("export_account", str(me.user_id))
    wanted = takeout.Wish(sound=wish.sound, age=wish.age or None)
    content = audio.Pieces(takeout.pieces(kit.database, request.app.state.files, me.user_id, wanted, now))
    with kit.database.write(me.user_id) as tx:
        audit.note(tx, me.user_id, "export.made", now, sound=wish.sound)
    ending = "zip.age" if wish.age else "zip"
    return Stream(
        content, media_type="application/octet-stream" if wish.age else "application/zip",
        headers={"Content-Disposition": f'attachment; filename="stillwave-{now:%Y-%m-%d}.{ending}"',
                 "Cache-Control": "private, no-store"},
        background=BackgroundTask(asyncio.to_thread, content.close),
    )  # fmt: skip


def _proven(request: Ask, wish: Takeout, now: dt.datetime) -> Me:
    database = kit_of(request).database
    if wish.password:
        me = gate.proving(request, leaving=True)
        accounts.confirm_password(database, me.user_id, wish.password, now)
    elif wish.code:
        me = gate.proving(request, leaving=True)
        factors.prove(database, me.user_id, wish.code, now)
    else:
        with gate.read(request, leaving=True) as (_tx, me):
            pass
        if not me.is_fresh(now):
            raise BadInput("password", "is needed once more: you signed in a while ago", "your password, or a `code`")
    return me


@page_post("/privacy/erase")
def erase(request: Ask, data: Form) -> Response[Any]:
    """Ask for erasure by form, or erase at once."""
    try:
        wish = read_form({**data, "at_once": data.get("at_once") == "yes"}, Erasure)
        me, found = _erase(request, wish)
    except (BadInput, TooMany) as error:
        return _again(request, data, error, erasing=True)
    kit = kit_of(request)
    if found is not None:
        return pages.see_other("/privacy/leaving")
    answer = pages.see_other(
        _receipt_page(kit, me), notice="Everything about you is erased. Be well.",
        cookies=[gate.login_cookie(kit.settings, None)],
    )  # fmt: skip
    answer.headers["Clear-Site-Data"] = '"cache", "storage"'
    return answer


def _erase(request: Ask, wish: Erasure) -> tuple[Me, erasure.Asked | None]:
    """The person, and until when it can be taken back; None when they are erased already."""
    kit, me = kit_of(request), gate.proving(request, leaving=True)
    now = kit.clock()
    erasure.confirm(kit.database, me.user_id, wish.password, wish.confirm, now)
    address, url = _receipt_page(kit, me), kit.settings.base_url
    if wish.at_once or kit.settings.erasure_days == 0:
        gone = erasure.erase(kit.database, me.user_id, now)
        request.app.state.files.sweep()
        kit.mail.send(gone.email, *erasure.gone_mail(url, address, gone.receipt))
        return me, None
    with kit.database.write(me.user_id) as tx:
        found = erasure.ask(tx, me, kit.settings.erasure_days, now)
        email = accounts.contact(tx, me.user_id)[0]
    if me.leaving_at is None:
        kit.mail.send(email, *erasure.asked_mail(url, address, found))
    return me, found


def _receipt_page(kit: Kit, me: Me) -> str:
    return f"/receipts/{erasure.token(kit.database.vault, me.user_id)}"


def _leaving(request: Ask) -> dict[str, Any]:
    with gate.read(request, leaving=True) as (tx, me):
        found = erasure.asked(tx, me.user_id)
        zone = accounts.zone(tx, me.user_id)
    final = f"{found.final_at.astimezone(zone):%d %B %Y, %H:%M}".lstrip("0") if found else None
    return {"me": me, "fresh": me.is_fresh(kit_of(request).clock()), "final": final, "receipt": _receipt_page(kit_of(request), me)}


@page_get("/privacy/leaving")
def leaving_page(request: Ask) -> Response[Any]:
    """Until when the erasure can be taken back, and how."""
    context = _leaving(request)
    if context["final"] is None:
        return pages.see_other("/privacy")
    return pages.page(request, "privacy/leaving.html", errors={}, values={}, **context)


@page_post("/privacy/keep")
def keep(request: Ask) -> Response[Any]:
    """Take the erasure back by form."""
    with gate.write(request, leaving=True) as (tx, me):
        erasure.undo(tx, me.user_id, kit_of(request).clock())
    return pages.see_other("/", notice="Good to have you back. Everything is as it was.")


@page_get("/receipts/{given:str}")
def receipt_page(request: Ask, given: FromPath[str]) -> Response[str]:
    """What an erasure removed, for whoever has the address."""
    found = _receipt(request, given)
    rows = {erasure.WORDS.get(name, name.replace("_", " ").capitalize()): count for name, count in found.rows.items()}
    return pages.page(
        request, "privacy/receipt.html", when=f"On {erasure.day(found.erased_at)}", rows=rows, kept=found.kept,
        file=f"/api/v1/receipts/{given}",
    )  # fmt: skip


def _receipt(request: Ask, given: str) -> erasure.Receipt:
    database = kit_of(request).database
    user_id = erasure.of_token(database.vault, given)
    with database.read(user_id) as tx:
        return erasure.receipt(tx, user_id)


@page_get("/privacy/log")
def log_page(
    request: Ask, before: Annotated[int, QueryParameter(ge=1, le=_NO_END, required=False)] = _NO_END
) -> Response[str]:
    """What was done with the account and its data."""
    with gate.read(request, leaving=True) as (tx, me):
        found = actions.log(tx, me.user_id, before, _SHOWN_EVENTS)
        zone = accounts.zone(tx, me.user_id)
    rows = [
        {"when": f"{event.at.astimezone(zone):%d %B %Y, %H:%M}".lstrip("0"), "what": event.what, "actor": _ACTORS[event.actor]}
        for event in found
    ]
    older = found[-1].number if found and found[-1].number > 1 else None
    return pages.page(request, "privacy/log.html", me=me, events=rows, older=older)


@api_get("/api/v1/audit-events", tags=["privacy"])
def read_log(
    request: Ask,
    before: Annotated[int, QueryParameter(ge=1, le=_NO_END, required=False)] = _NO_END,
    limit: Annotated[int, QueryParameter(ge=1, le=1000, required=False)] = 100,
) -> Happenings:
    """What was done with the account and its data, newest first; `before` is a number of an earlier answer."""
    with gate.read(request, leaving=True) as (tx, me):
        return Happenings(actions.log(tx, me.user_id, before, limit))


@api_put("/api/v1/consents/{purpose:str}", status_code=204, tags=["privacy"])
def set_consent(request: Ask, purpose: FromPath[str], data: JSONBody[Choice]) -> None:
    """Give or withdraw a consent."""
    with gate.write(request) as (tx, me):
        actions.set_consent(tx, me.user_id, purpose, give=data.give, now=kit_of(request).clock())


@api_put("/api/v1/restriction", tags=["privacy"])
def set_restriction(request: Ask, data: JSONBody[Restriction]) -> Restriction:
    """Restrict processing (GDPR Article 18), or end the restriction."""
    with gate.write(request) as (tx, me):
        actions.restrict(tx, me.user_id, on=data.on, now=kit_of(request).clock())
    return data


@api_get("/api/v1/export", tags=["privacy"], media_type="application/zip")
def read_export(request: Ask) -> Response[Any]:
    """Every record about the person as a ZIP; only within ten minutes of signing in, later POST it."""
    return _download(request, Takeout())


@api_post("/api/v1/export", status_code=200, tags=["privacy"], media_type="application/zip")
def make_export(request: Ask, data: JSONBody[Takeout]) -> Response[Any]:
    """Everything that is held about the person, as a ZIP; with `sound`, and encrypted to an `age` key if given.

    Ten minutes after signing in the `password` or a `code` of the second step is asked for.
    """
    return _download(request, data)


@api_post("/api/v1/erasure", status_code=202, tags=["privacy"], responses={
    202: ResponseSpec(erasure.Asked, description="Everything stops."), 204: ResponseSpec(None, description="All is gone."),
})  # fmt: skip
def ask_erasure(request: Ask, data: JSONBody[Erasure]) -> Response[Any]:
    """Ask for erasure: everything stops, and is final at `final_at`; or, with `at_once`, is gone now (204).

    `Location` is the address of the receipt, which needs no login.
    """
    me, found = _erase(request, data)
    token = erasure.token(kit_of(request).database.vault, me.user_id)
    return Response(found, status_code=202 if found else 204, headers={"Location": f"/api/v1/receipts/{token}"})


@api_get("/api/v1/erasure", tags=["privacy"], refuses=[404])
def read_erasure(request: Ask) -> erasure.Asked:
    """Until when the erasure that was asked for can be taken back; 404 where none was."""
    with gate.read(request, leaving=True) as (tx, me):
        found = erasure.asked(tx, me.user_id)
    if found is None:
        raise NotFound("You have not asked for erasure.")
    return found


@api_delete("/api/v1/erasure", tags=["privacy"], refuses=[404])
def undo_erasure(request: Ask) -> None:
    """Take the erasure back: everything is as it was."""
    with gate.write(request, leaving=True) as (tx, me):
        erasure.undo(tx, me.user_id, kit_of(request).clock())


@api_get("/api/v1/receipts/{given:str}", tags=["privacy"], security=OPEN)
def read_receipt(request: Ask, given: FromPath[str]) -> Response[erasure.Receipt]:
    """What an erasure removed and what is kept, with a MAC; no login is needed, the address is enough."""
    name = 'attachment; filename="stillwave-erasure.json"'
    return Response(_receipt(request, given), headers={"Content-Disposition": name})


HANDLERS = [
    privacy_page, choose, restrict, password, export, export_as_wished, erase, set_consent, set_restriction,
    read_export, make_export, ask_erasure,
    read_erasure, undo_erasure, read_receipt, receipt_page, leaving_page, keep, log_page, read_log,
]  # fmt: skip
