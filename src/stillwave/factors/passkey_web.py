"""Passkeys over HTTP: the list on the security page, signing in with one, the second step with one."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response
from litestar.params import FromPath, JSONBody, URLEncodedBody

from stillwave.accounts.rules import device_name
from stillwave.accounts.web import Opened
from stillwave.errors import BadInput, Conflict, NotSignedIn, TooMany
from stillwave.factors import passkeys
from stillwave.factors.passkeys import Added, Listed, Made, Name, Shown
from stillwave.factors.web import OnePassword
from stillwave.web import gate, pages
from stillwave.web.document import OPEN
from stillwave.web.intake import read_form
from stillwave.web.kit import address_of, kit_of
from stillwave.web.routes import api_get, api_patch, api_post, page_post

Form = URLEncodedBody[dict[str, Any]]
Ask = Request[Any, Any, Any]


class OneName(msgspec.Struct, forbid_unknown_fields=True):
    """The person's own name for a passkey."""

    name: Name


class NewPasskey(msgspec.Struct, forbid_unknown_fields=True):
    """A passkey that a device made, and its name."""

    name: Name
    credential: Made


class OnePasskey(msgspec.Struct, forbid_unknown_fields=True):
    """What a passkey signed."""

    credential: Shown


class Options(msgspec.Struct):
    """For `navigator.credentials`: `publicKey`, with bytes as base64url."""

    publicKey: dict[str, Any]  # noqa: N815  the standard's name


class Proven(msgspec.Struct):
    """What stands once for the password or a code, until then."""

    proof: str
    expires_at: dt.datetime


class Passkeys(msgspec.Struct):
    """The person's passkeys."""

    items: list[Listed]


# --- intents shared by page and API -------------------------------------------------------------


def _device(request: Ask) -> str:
    return device_name(request.headers.get("user-agent", ""))


def _add(request: Ask, name: str, made: Made) -> Added:
    kit, me = kit_of(request), gate.proving(request)
    return passkeys.add(kit.database, kit.settings, me, name, made, _device(request), kit.clock())


def _remove(request: Ask, passkey_id: UUID, password: str) -> str:
    kit, me = kit_of(request), gate.proving(request)
    return passkeys.remove(kit.database, me, passkey_id, password, _device(request), kit.clock())


def _sign_in(request: Ask, shown: Shown) -> str:
    kit = kit_of(request)
    _count(request)
    return passkeys.sign_in(kit.database, kit.settings, shown, _device(request), kit.clock())


def _take_step(request: Ask, shown: Shown) -> str:
    kit = kit_of(request)
    _count(request)
    return passkeys.take_step(kit.database, kit.settings, gate.waiting(request), shown, _device(request), kit.clock())


def _count(request: Ask) -> None:
    limits = kit_of(request).limits
    limits.count("sign_in_all", "all")
    limits.count("passkey_address", address_of(request))


def _opened(request: Ask, token: str) -> Opened:
    return Opened(token, kit_of(request).clock() + gate.ABSOLUTE)


# --- API ----------------------------------------------------------------------------------------


@api_get("/api/v1/passkeys", tags=["account"])
def read_passkeys(request: Ask) -> Passkeys:
    """Your passkeys, oldest first."""
    with gate.read(request) as (tx, me):
        return Passkeys(passkeys.listed(tx, me.user_id))


@api_post("/api/v1/passkeys/options", tags=["account"])
def begin_passkey(request: Ask, data: JSONBody[OnePassword]) -> Options:
    """What the browser needs to make a passkey, within five minutes."""
    kit, me = kit_of(request), gate.proving(request)
    return Options(passkeys.begin(kit.database, kit.settings, me.user_id, data.password, kit.clock()))


@api_post("/api/v1/passkeys", tags=["account"])
def add_passkey(request: Ask, data: JSONBody[NewPasskey]) -> Added:
    """Add the passkey; every other login ends. Recovery codes come along where there were none."""
    return _add(request, data.name, data.credential)


@api_patch("/api/v1/passkeys/{passkey_id:uuid}", tags=["account"])
def name_passkey(request: Ask, passkey_id: FromPath[UUID], data: JSONBody[OneName]) -> Listed:
    """Give a passkey another name."""
    with gate.write(request) as (tx, me):
        return passkeys.rename(tx, me.user_id, passkey_id, data.name)


@api_post("/api/v1/passkeys/{passkey_id:uuid}/remove", tags=["account"])
def remove_passkey(request: Ask, passkey_id: FromPath[UUID], data: JSONBody[OnePassword]) -> Opened:
    """Remove a passkey; every other login ends."""
    return _opened(request, _remove(request, passkey_id, data.password))


@api_post("/api/v1/logins/passkey/options", tags=["account"], security=OPEN)
def ask_passkey(request: Ask) -> Options:
    """What the browser needs to sign in with a passkey; the same for everybody."""
    kit = kit_of(request)
    _count(request)
    return Options(passkeys.ask(kit.database, kit.settings, "sign_in", None, kit.clock()))


@api_post("/api/v1/logins/passkey", tags=["account"], security=OPEN)
def sign_in_with_passkey(request: Ask, data: JSONBody[OnePasskey]) -> Opened:
    """Sign in with a passkey alone."""
    return _opened(request, _sign_in(request, data.credential))


@api_post("/api/v1/logins/second-step/passkey/options", tags=["account"])
def ask_step_passkey(request: Ask) -> Options:
    """What the browser needs for the second step with a passkey; with the token that waits for it."""
    kit = kit_of(request)
    _count(request)
    return Options(passkeys.ask(kit.database, kit.settings, "second_step", gate.waiting(request), kit.clock()))


@api_post("/api/v1/logins/second-step/passkey", tags=["account"])
def second_step_with_passkey(request: Ask, data: JSONBody[OnePasskey]) -> Opened:
    """Take the second step with a passkey; the answer holds a new token."""
    return _opened(request, _take_step(request, data.credential))


@api_post("/api/v1/proofs/passkey/options", tags=["account"])
def ask_proof(request: Ask) -> Options:
    """What the browser needs for a proof by passkey that it is you."""
    kit = kit_of(request)
    _count(request)
    return Options(passkeys.ask(kit.database, kit.settings, "proof", _me(request), kit.clock()))


@api_post("/api/v1/proofs/passkey", tags=["account"])
def prove_with_passkey(request: Ask, data: JSONBody[OnePasskey]) -> Proven:
    """Prove by passkey that it is you: `proof` counts once wherever your `password` or a `code` is asked for again."""
    kit = kit_of(request)
    _count(request)
    now = kit.clock()
    return Proven(passkeys.prove(kit.database, kit.settings, _me(request), data.credential, now), now + passkeys.LASTS)


def _me(request: Ask) -> gate.Me:
    with gate.read(request, leaving=True) as (_tx, me):
        return me


# --- pages: `passkey.js` puts what the device gave into the form ----------------------------------


def _credential(data: dict[str, Any], shape: type[Made | Shown]) -> Any:  # noqa: ANN401
    try:
        return msgspec.json.decode(str(data.get("credential", "")), type=shape)
    except (msgspec.DecodeError, UnicodeError):
        raise BadInput("credential", "is missing", "a passkey; your browser needs JavaScript for that") from None


@page_post("/sign-in/passkey")
def passkey_sign_in(request: Ask, data: Form) -> Response[Any]:
    """Sign in by form."""
    try:
        token = _sign_in(request, _credential(data, Shown))
    except (BadInput, NotSignedIn, TooMany) as error:
        return pages.form_again(request, "accounts/sign_in.html", {}, error)
    return pages.see_other("/", cookies=[gate.login_cookie(kit_of(request).settings, token)])


@page_post("/second-step/passkey")
def passkey_step(request: Ask, data: Form) -> Response[Any]:
    """Take the second step by form."""
    try:
        token = _take_step(request, _credential(data, Shown))
    except (BadInput, TooMany) as error:
        return pages.form_again(request, "factors/second_step.html", {}, error, has_passkey=True)
    return pages.see_other("/", cookies=[gate.login_cookie(kit_of(request).settings, token)])


@page_post("/security/passkeys")
def add_by_form(request: Ask, data: Form) -> Response[Any]:
    """Add a passkey by form; new recovery codes are on the page that answers, and nowhere afterwards."""
    try:
        name = read_form({"name": data.get("passkey_name", "")}, OneName).name
        added = _add(request, name, _credential(data, Made))
    except (BadInput, TooMany, Conflict) as error:
        return pages.see_other("/security#passkeys", notice=_told(error))
    cookie = gate.login_cookie(kit_of(request).settings, added.token)
    if not added.recovery_codes:
        return pages.see_other("/security", notice="The passkey is yours. Other devices are signed out.", cookies=[cookie])
    answer = pages.page(request, "factors/codes.html", codes=added.recovery_codes)
    answer.cookies.append(cookie)
    return answer


@page_post("/security/passkeys/{passkey_id:uuid}")
def change_by_form(request: Ask, passkey_id: FromPath[UUID], data: Form) -> Response[Any]:
    """Name a passkey by form."""
    try:
        name = read_form({"name": data.get("passkey_name", "")}, OneName).name
        with gate.write(request) as (tx, me):
            passkeys.rename(tx, me.user_id, passkey_id, name)
    except (BadInput, TooMany) as error:
        return pages.see_other("/security#passkeys", notice=_told(error))
    return pages.see_other("/security#passkeys", notice="The passkey has its new name.")


@page_post("/security/passkeys/{passkey_id:uuid}/remove")
def remove_by_form(request: Ask, passkey_id: FromPath[UUID], data: Form) -> Response[Any]:
    """Remove a passkey by form."""
    try:
        token = _remove(request, passkey_id, read_form({"password": data.get("password", "")}, OnePassword).password)
    except (BadInput, TooMany) as error:
        return pages.see_other("/security#passkeys", notice=_told(error))
    return pages.see_other(
        "/security", notice="The passkey is gone. Other devices are signed out.",
        cookies=[gate.login_cookie(kit_of(request).settings, token)],
    )  # fmt: skip


def _told(error: BadInput | TooMany | Conflict) -> str:
    entries = error.extra.get("errors")
    if isinstance(entries, list) and entries:
        label = {"passkey_name": "name"}.get(entries[0]["field"], entries[0]["field"])
        return f"The {label} {entries[0]['problem']}."
    return error.detail


HANDLERS = [
    read_passkeys, begin_passkey, add_passkey, name_passkey, remove_passkey,
    ask_passkey, sign_in_with_passkey, ask_step_passkey, second_step_with_passkey,
    ask_proof, prove_with_passkey,
    passkey_sign_in, passkey_step, add_by_form, change_by_form, remove_by_form,
]  # fmt: skip
