"""The second step at sign-in, and the page where it is set up."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

import msgspec
import segno
from litestar import Request, Response
from litestar.params import JSONBody, URLEncodedBody

from stillwave.accounts import actions as accounts
from stillwave.accounts.rules import Password, device_name
from stillwave.accounts.web import Opened
from stillwave.errors import BadInput, Conflict, NotSignedIn, TooMany
from stillwave.factors import actions, passkeys
from stillwave.factors.actions import Confirmed
from stillwave.web import gate, pages
from stillwave.web.intake import read_form
from stillwave.web.kit import address_of, kit_of
from stillwave.web.routes import api_get, api_post, page_get, page_post

Form = URLEncodedBody[dict[str, Any]]
Ask = Request[Any, Any, Any]
Code = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class OneCode(msgspec.Struct, forbid_unknown_fields=True):
    """Six digits of the app, or a recovery code."""

    code: Code


class OnePassword(msgspec.Struct, forbid_unknown_fields=True):
    """The password, or the proof of a passkey, asked for again."""

    password: Password


class Proof(msgspec.Struct, forbid_unknown_fields=True):
    """Password and code, asked for again; the proof of a passkey instead of the password is both."""

    password: Password
    code: Code | None = None


class Codes(msgspec.Struct):
    """Recovery codes; shown once."""

    recovery_codes: list[str]


class Setup(msgspec.Struct):
    """Whether a second step is on. `secret` and `address` are for the app, while it is being set up."""

    on: bool
    since: dt.datetime | None
    recovery_codes_left: int
    secret: str | None = None
    address: str | None = None


# --- intents shared by page and API -------------------------------------------------------------


def _device(request: Ask) -> str:
    return device_name(request.headers.get("user-agent", ""))


def _setup(state: actions.State) -> Setup:
    return Setup(state.on, state.since, state.recovery_codes_left, state.secret, state.address)


def _begin(request: Ask, password: str) -> actions.State:
    kit, me = kit_of(request), gate.proving(request)
    return actions.begin(kit.database, me.user_id, password, kit.clock())


def _confirm(request: Ask, code: str) -> Confirmed:
    kit, me = kit_of(request), gate.proving(request)
    return actions.confirm(kit.database, me, code, _device(request), kit.clock())


def _take_step(request: Ask, code: str) -> str:
    kit = kit_of(request)
    kit.limits.count("sign_in_address", address_of(request))
    kit.limits.count("sign_in_all", "all")
    waiting = gate.waiting(request)
    return actions.take_step(kit.database, waiting, code, _device(request), kit.clock())


def _new_codes(request: Ask, proof: Proof) -> list[str]:
    kit, me = kit_of(request), gate.proving(request)
    return actions.new_codes(kit.database, me, proof.password, proof.code, kit.clock())


def _remove(request: Ask, proof: Proof) -> str:
    kit, me = kit_of(request), gate.proving(request)
    return actions.remove(kit.database, me, proof.password, proof.code, _device(request), kit.clock())


# --- API ----------------------------------------------------------------------------------------


@api_post("/api/v1/logins/second-step", tags=["account"])
def second_step(request: Ask, data: JSONBody[OneCode]) -> Opened:
    """Take the second step with the token that waits for it; the answer holds a new token."""
    return Opened(_take_step(request, data.code), kit_of(request).clock() + gate.ABSOLUTE)


@api_get("/api/v1/second-factor", tags=["account"])
def read_state(request: Ask) -> Setup:
    """Whether a second step is on."""
    with gate.read(request) as (tx, me):
        state = actions.state(tx, me.user_id, kit_of(request).clock())
    return msgspec.structs.replace(_setup(state), secret=None, address=None)


@api_post("/api/v1/second-factor", tags=["account"])
def begin_setup(request: Ask, data: JSONBody[OnePassword]) -> Setup:
    """Begin to set an authenticator app up; confirm it within the hour."""
    return _setup(_begin(request, data.password))


@api_post("/api/v1/second-factor/confirm", tags=["account"])
def confirm_setup(request: Ask, data: JSONBody[OneCode]) -> Confirmed:
    """The app's first code turns the second step on; every other login ends."""
    return _confirm(request, data.code)


@api_post("/api/v1/second-factor/recovery-codes", tags=["account"])
def make_codes(request: Ask, data: JSONBody[Proof]) -> Codes:
    """New recovery codes; the old ones end."""
    return Codes(_new_codes(request, data))


@api_post("/api/v1/second-factor/remove", tags=["account"])
def remove_factor(request: Ask, data: JSONBody[Proof]) -> Opened:
    """Turn the second step off; every other login ends."""
    return Opened(_remove(request, data), kit_of(request).clock() + gate.ABSOLUTE)


# --- pages --------------------------------------------------------------------------------------


@page_get("/second-step")
def step_page(request: Ask) -> Response[Any]:
    """Asks for the code."""
    try:
        gate.waiting(request)
    except NotSignedIn:
        return pages.see_other("/")
    return pages.page(request, "factors/second_step.html", errors={}, values={}, **_waiting(request))


def _waiting(request: Ask) -> dict[str, Any]:
    kit, me = kit_of(request), gate.waiting(request)
    with kit.database.read(me.user_id) as tx:
        return {"has_passkey": bool(passkeys.listed(tx, me.user_id)) and passkeys.place_of(kit.settings) is not None}


@page_post("/second-step")
def step(request: Ask, data: Form) -> Response[Any]:
    """Take the step by form."""
    try:
        token = _take_step(request, read_form(data, OneCode).code)
    except (BadInput, TooMany, Conflict) as error:
        return pages.form_again(request, "factors/second_step.html", data, error, **_waiting(request))
    return pages.see_other("/", cookies=[gate.login_cookie(kit_of(request).settings, token)])


@page_post("/second-step/leave")
def leave(request: Ask) -> Response[Any]:
    """The login that waits for its code has ended."""
    waiting = gate.waiting(request)
    with kit_of(request).database.write(waiting.user_id) as tx:
        accounts.sign_out(tx, waiting.user_id, waiting.login_id, kit_of(request).clock())
    return pages.see_other("/sign-in", cookies=[gate.login_cookie(kit_of(request).settings, None)])


@page_get("/security")
def security_page(request: Ask) -> Response[str]:
    """The second step: off, being set up, or on."""
    return pages.page(request, "factors/security.html", errors={}, values={}, **_context(request))


def _context(request: Ask) -> dict[str, Any]:
    with gate.read(request) as (tx, me):
        state = actions.state(tx, me.user_id, kit_of(request).clock())
        keys = [
            {"id": key.id, "name": key.name, "created": f"{key.created_at:%-d %B %Y}", "used": key.last_used_at and f"{key.last_used_at:%-d %B %Y}"}
            for key in passkeys.listed(tx, me.user_id)
        ]  # fmt: skip
    picture = segno.make(state.address, error="m").svg_inline(scale=5, svgclass=None, lineclass=None) if state.address else ""
    return {"me": me, "state": state, "picture": picture, "keys": keys, "place": passkeys.place_of(kit_of(request).settings)}


def _again(request: Ask, data: dict[str, Any], error: BadInput | TooMany | Conflict) -> Response[str]:
    return pages.form_again(request, "factors/security.html", data, error, **_context(request))


@page_post("/security/begin")
def begin(request: Ask, data: Form) -> Response[Any]:
    """Begin by form."""
    try:
        _begin(request, read_form(data, OnePassword).password)
    except (BadInput, TooMany, Conflict) as error:
        return _again(request, data, error)
    return pages.see_other("/security")


@page_post("/security/confirm")
def confirm(request: Ask, data: Form) -> Response[Any]:
    """Turn it on by form; the recovery codes are on the page that answers, and nowhere afterwards."""
    try:
        made = _confirm(request, read_form(data, OneCode).code)
    except (BadInput, TooMany, Conflict) as error:
        return _again(request, data, error)
    answer = pages.page(request, "factors/codes.html", codes=made.recovery_codes)
    answer.cookies.append(gate.login_cookie(kit_of(request).settings, made.token))
    return answer


@page_post("/security/recovery-codes")
def codes(request: Ask, data: Form) -> Response[Any]:
    """New recovery codes by form."""
    try:
        made = _new_codes(request, read_form(data, Proof))
    except (BadInput, TooMany, Conflict) as error:
        return _again(request, data, error)
    return pages.page(request, "factors/codes.html", codes=made)


@page_post("/security/remove")
def remove(request: Ask, data: Form) -> Response[Any]:
    """Turn it off by form."""
    try:
        token = _remove(request, read_form(data, Proof))
    except (BadInput, TooMany, Conflict) as error:
        return _again(request, data, error)
    return pages.see_other(
        "/security", notice="The second step is off. Other devices are signed out.",
        cookies=[gate.login_cookie(kit_of(request).settings, token)],
    )  # fmt: skip


HANDLERS = [
    second_step, read_state, begin_setup, confirm_setup, make_codes, remove_factor,
    step_page, step, leave, security_page, begin, confirm, codes, remove,
]  # fmt: skip
