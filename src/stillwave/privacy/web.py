"""The privacy page and its API: consents, restriction, export, erasure."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Request, Response
from litestar.params import FromPath, JSONBody, QueryParameter, URLEncodedBody

from stillwave.accounts import actions as accounts
from stillwave.accounts.rules import CONSENTS, SHORTEST_PASSWORD, Password
from stillwave.accounts.web import PasswordChange, with_new_password
from stillwave.db.database import Tx
from stillwave.errors import BadInput, StillwaveError, TooMany
from stillwave.privacy import actions
from stillwave.web import gate, pages
from stillwave.web.gate import Me
from stillwave.web.intake import read_form
from stillwave.web.kit import kit_of
from stillwave.web.routes import api_get, api_post, api_put, page_get, page_post

Form = URLEncodedBody[dict[str, Any]]
Ask = Request[Any, Any, Any]
_SHOWN_EVENTS = 100
_NO_END = 2**62  # above every number
_ACTORS = {"self": "you", "operator": "an operator", "system": "Stillwave"}


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
    """The password and the word `erase`."""

    password: Password
    confirm: Annotated[str, msgspec.Meta(max_length=16)]


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
                "active": last is not None and last.withdrawn_at is None and last.version >= text.version,
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
    return {"consents": consents, "logins": logins, "restricted": me.processing_restricted, "password_min": SHORTEST_PASSWORD}


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


def _again(request: Ask, data: dict[str, Any], error: StillwaveError, *, erasing: bool = False) -> Response[str]:
    with gate.read(request) as (tx, me):
        context = _context(request, tx, me)
    return pages.form_again(request, "privacy/privacy.html", data, error, erasing=erasing, **context)


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
def export(request: Ask) -> Response[bytes]:
    """Download everything."""
    return _export(request)


@page_post("/privacy/erase")
def erase(request: Ask, data: Form) -> Response[Any]:
    """Erase everything by form."""
    try:
        _erase(request, read_form(data, Erasure))
    except (BadInput, TooMany) as error:
        return _again(request, data, error, erasing=True)
    answer = pages.see_other(
        "/", notice="Everything about you is erased. Be well.",
        cookies=[gate.login_cookie(kit_of(request).settings, None)],
    )  # fmt: skip
    answer.headers["Clear-Site-Data"] = '"cache", "storage"'
    return answer


def _export(request: Ask) -> Response[bytes]:
    now = kit_of(request).clock()
    with gate.write(request) as (tx, me):
        body = actions.export(tx, me.user_id, now)
    name = f'attachment; filename="stillwave-{now:%Y-%m-%d}.zip"'
    return Response(body, media_type="application/zip", headers={"Content-Disposition": name})


def _erase(request: Ask, wish: Erasure) -> None:
    kit, me = kit_of(request), gate.proving(request)
    actions.erase(kit.database, me.user_id, wish.password, wish.confirm, kit.clock())
    request.app.state.files.sweep()


@page_get("/privacy/log")
def log_page(
    request: Ask, before: Annotated[int | None, QueryParameter(ge=1, le=_NO_END, required=False)] = None
) -> Response[str]:
    """What was done with the account and its data."""
    with gate.read(request) as (tx, me):
        found = actions.log(tx, me.user_id, before or _NO_END, _SHOWN_EVENTS)
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
    before: Annotated[int | None, QueryParameter(ge=1, le=_NO_END, required=False)] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=1000, required=False)] = 100,
) -> Happenings:
    """What was done with the account and its data, newest first; `before` is a number of an earlier answer."""
    with gate.read(request) as (tx, me):
        return Happenings(actions.log(tx, me.user_id, before or _NO_END, limit))


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
def read_export(request: Ask) -> Response[bytes]:
    """Everything that is held about the person, as a ZIP."""
    return _export(request)


@api_post("/api/v1/erasure", status_code=204, tags=["privacy"])
def erase_everything(request: Ask, data: JSONBody[Erasure]) -> None:
    """Erase the account and everything in it; it cannot be undone."""
    _erase(request, data)


HANDLERS = [
    privacy_page, choose, restrict, password, export, erase, set_consent, set_restriction, read_export, erase_everything,
    log_page, read_log,
]  # fmt: skip
