"""Sign-up, sign-in, recovery, preferences and logins, as pages and under /api/v1."""

from __future__ import annotations

import datetime as dt
from functools import cache
from typing import Annotated, Any
from uuid import UUID
from zoneinfo import available_timezones

import msgspec
from litestar import Request, Response
from litestar.params import FromPath, JSONBody, URLEncodedBody

from stillwave.accounts import actions
from stillwave.accounts.actions import BACKGROUNDS, SignedIn
from stillwave.accounts.rules import (
    CONSENTS,
    SHORTEST_PASSWORD,
    STEP_LASTS,
    Contact,
    Credentials,
    Email,
    Notifications,
    Password,
    Preferences,
    SignUp,
    account_key,
    device_name,
)
from stillwave.accounts.store import Consent, Login
from stillwave.errors import BadInput, StillwaveError, TooMany
from stillwave.web import gate, pages
from stillwave.web.document import OPEN
from stillwave.web.intake import read_form
from stillwave.web.kit import address_of, evenly, kit_of
from stillwave.web.routes import api_delete, api_get, api_post, api_put, page_get, page_post

Form = URLEncodedBody[dict[str, Any]]
Ask = Request[Any, Any, Any]

VOICES = {"none": "No voice", "female": "Female", "male": "Male", "neutral": "Neutral"}
_ACCEPTED = "If this e-mail and phone number are new here, your account is ready. Please sign in."
_MAILED = "If there is an account with this e-mail, a code is on its way to it."


class Accepted(msgspec.Struct):
    """The same answer whether or not an account exists."""

    detail: str


class Opened(msgspec.Struct):
    """A login; send the token as `Authorization: Bearer`.

    While `second_step` is true the token opens nothing but POST /api/v1/logins/second-step.
    """

    token: str
    expires_at: dt.datetime
    second_step: bool = False


class Person(msgspec.Struct):
    """Who is signed in."""

    id: UUID
    email: str
    phone: str
    role: str
    account_status: str
    subscription_tier: str
    processing_restricted: bool
    needs: str | None
    erasure_final_at: dt.datetime | None


class RecoveryStart(msgspec.Struct, forbid_unknown_fields=True):
    """The address to send a code to."""

    email: Email


class Recovery(msgspec.Struct, forbid_unknown_fields=True):
    """The code from the mail and the new password."""

    email: Email
    code: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    password: Password


class PasswordChange(msgspec.Struct, forbid_unknown_fields=True):
    """The password now and the new one."""

    current_password: Password
    password: Password


class ConsentChoice(msgspec.Struct, forbid_unknown_fields=True):
    """Give or withdraw."""

    give: bool


# --- intents shared by page and API -------------------------------------------------------------


def _sign_up(request: Ask, wish: SignUp) -> None:
    kit = kit_of(request)
    kit.limits.count("sign_up_address", address_of(request))
    kit.limits.count("sign_up_all", "all")
    with evenly(kit):
        warn = actions.sign_up(kit.database, wish, kit.clock())
        if warn:
            kit.mail.send(
                warn, "You already have a Stillwave account",
                "Somebody, perhaps you, tried to sign up with this address. There is an account already.\n\n"
                f"Sign in: {kit.settings.base_url}/sign-in\nChoose a new password: {kit.settings.base_url}/recover\n\n"
                "If it was not you, nothing needs to be done.\n",
            )  # fmt: skip


def _sign_in(request: Ask, who: Credentials) -> SignedIn:
    kit = kit_of(request)
    kit.limits.count("sign_in_address", address_of(request))
    kit.limits.count("sign_in_all", "all")
    kit.limits.count("sign_in_account", account_key(who.email))
    return actions.sign_in(
        kit.database, who, device_name(request.headers.get("user-agent", "")), kit.clock()
    )


def _start_recovery(request: Ask, email: str) -> None:
    kit = kit_of(request)
    kit.limits.count("recover_address", address_of(request))
    kit.limits.count("recover_all", "all")
    kit.limits.count("recover_account", account_key(email))
    with evenly(kit):
        with kit.database.write() as tx:
            started = actions.start_recovery(tx, email, kit.clock())
        if started and started[0]:
            address, code = started
            kit.mail.send(address, "Your new Stillwave password", recovery_mail(kit.settings.base_url, code))


def recovery_mail(base_url: str, code: str) -> str:
    """The words of the recovery mail; the code is in the fragment, which browsers never send."""
    return (
        "Somebody, perhaps you, asked to choose a new password for Stillwave.\n\n"
        f"Your code: {code}\n\nOpen {base_url}/reset#code={code} within the hour.\n\n"
        "If it was not you, nothing needs to be done: your password stays as it is.\n"
    )


def _recover(request: Ask, wish: Recovery) -> None:
    kit = kit_of(request)
    kit.limits.count("reset_address", address_of(request))
    kit.limits.count("reset_all", "all")
    kit.limits.count("reset_account", account_key(wish.email))
    actions.recover(kit.database, wish.email, wish.code, wish.password, kit.clock())


def with_new_password(request: Ask, wish: PasswordChange) -> str:
    """The password is new; returns the token of the one login that is left."""
    kit, me = kit_of(request), gate.proving(request)
    device = device_name(request.headers.get("user-agent", ""))
    return actions.change_password(
        kit.database, me, wish.current_password, wish.password, device, kit.clock()
    )


# --- API ----------------------------------------------------------------------------------------


@api_post("/api/v1/accounts", status_code=202, tags=["account"], security=OPEN)
def create_account(request: Ask, data: JSONBody[SignUp]) -> Accepted:
    """Sign up. The answer is the same whether or not the e-mail or phone number was taken."""
    _sign_up(request, data)
    return Accepted(_ACCEPTED)


@api_post("/api/v1/logins", tags=["account"], security=OPEN)
def create_login(request: Ask, data: JSONBody[Credentials]) -> Opened:
    """Sign in; the token is shown once."""
    opened, now = _sign_in(request, data), kit_of(request).clock()
    return Opened(opened.token, now + (STEP_LASTS if opened.step_due else gate.ABSOLUTE), opened.step_due)


@api_get("/api/v1/logins", tags=["account"])
def list_logins(request: Ask) -> list[Login]:
    """The devices that are signed in."""
    with gate.read(request) as (tx, me):
        return actions.logins(tx, me.user_id, kit_of(request).clock())


@api_delete("/api/v1/logins/{login_id:uuid}", tags=["account"])
def delete_login(request: Ask, login_id: FromPath[UUID]) -> None:
    """End one login."""
    with gate.write(request) as (tx, me):
        actions.sign_out(tx, me.user_id, login_id, kit_of(request).clock())


@api_delete("/api/v1/logins/current", tags=["account"])
def delete_current_login(request: Ask) -> Response[None]:
    """Sign out; a browser forgets what it kept."""
    with gate.write(request, leaving=True) as (tx, me):
        actions.sign_out(tx, me.user_id, me.login_id, kit_of(request).clock())
    return Response(None, status_code=204, headers={"Clear-Site-Data": '"cache", "storage"'})


@api_get("/api/v1/me", tags=["account"])
def read_me(request: Ask) -> Person:
    """Who is signed in, and what is missing before the first session (`needs`)."""
    with gate.read(request, leaving=True) as (tx, me):
        email, phone = actions.contact(tx, me.user_id)
        return Person(
            me.user_id, email, phone, me.role, me.account_status, me.subscription_tier,
            me.processing_restricted, me.needs, me.leaving_at,
        )  # fmt: skip


@api_put("/api/v1/contact", status_code=204, tags=["account"])
def change_contact(request: Ask, data: JSONBody[Contact]) -> None:
    """Correct the e-mail, the phone number, or both. The old address is told of a new one."""
    _change_contact(request, data)


@api_post("/api/v1/password", status_code=200, tags=["account"])
def change_password(request: Ask, data: JSONBody[PasswordChange]) -> Opened:
    """Change the password: every login ends and a new one begins."""
    token = with_new_password(request, data)
    return Opened(token, kit_of(request).clock() + gate.ABSOLUTE)


@api_post("/api/v1/recoveries", status_code=202, tags=["account"], security=OPEN)
def start_recovery(request: Ask, data: JSONBody[RecoveryStart]) -> Accepted:
    """Ask for a recovery code by mail. The answer is the same whether or not the account exists."""
    _start_recovery(request, data.email)
    return Accepted(_MAILED)


@api_post("/api/v1/recoveries/complete", status_code=204, tags=["account"], security=OPEN)
def complete_recovery(request: Ask, data: JSONBody[Recovery]) -> None:
    """Set a new password with the code; every login ends."""
    _recover(request, data)


@api_get("/api/v1/preferences", tags=["account"])
def read_preferences(request: Ask) -> Preferences:
    """How the person likes their sessions."""
    with gate.read(request) as (tx, me):
        return actions.preferences(tx, me.user_id)


@api_put("/api/v1/preferences", tags=["account"])
def replace_preferences(request: Ask, data: JSONBody[Preferences]) -> Preferences:
    """Replace the preferences."""
    with gate.write(request) as (tx, me):
        return actions.set_preferences(tx, me.user_id, data, kit_of(request).clock())


@api_get("/api/v1/consents", tags=["account"])
def read_consents(request: Ask) -> list[Consent]:
    """Every consent given, with its wording's version, and when it was withdrawn."""
    with gate.read(request) as (tx, me):
        return actions.consents(tx, me.user_id)


# --- pages --------------------------------------------------------------------------------------


def _sign_up_page() -> dict[str, Any]:
    return {"consent_text": CONSENTS["health_data"].text, "password_min": SHORTEST_PASSWORD}


@page_get("/sign-up")
def sign_up_page(request: Ask) -> Response[str]:
    """The sign-up form."""
    return pages.page(request, "accounts/sign_up.html", errors={}, values={}, **_sign_up_page())


@page_post("/sign-up")
def sign_up(request: Ask, data: Form) -> Response[Any]:
    """Sign up by form."""
    try:
        wish = read_form({**data, "consent_health_data": bool(data.get("consent_health_data"))}, SignUp)
        _sign_up(request, wish)
    except StillwaveError as error:
        return pages.form_again(request, "accounts/sign_up.html", data, error, **_sign_up_page())
    return pages.see_other("/sign-in", notice=_ACCEPTED)


@page_get("/sign-in")
def sign_in_page(request: Ask) -> Response[str]:
    """The sign-in form."""
    return pages.page(request, "accounts/sign_in.html", errors={}, values={})


@page_post("/sign-in")
def sign_in(request: Ask, data: Form) -> Response[Any]:
    """Sign in by form."""
    try:
        opened = _sign_in(request, read_form(data, Credentials))
    except StillwaveError as error:
        return pages.form_again(request, "accounts/sign_in.html", data, error)
    cookie = gate.login_cookie(kit_of(request).settings, opened.token)
    return pages.see_other("/second-step" if opened.step_due else "/", cookies=[cookie])


@page_post("/sign-out")
def sign_out(request: Ask) -> Response[Any]:
    """Sign out; the browser forgets what it kept."""
    with gate.write(request, leaving=True) as (tx, me):
        actions.sign_out(tx, me.user_id, me.login_id, kit_of(request).clock())
    answer = pages.see_other(
        "/", notice="You are signed out.", cookies=[gate.login_cookie(kit_of(request).settings, None)]
    )
    answer.headers["Clear-Site-Data"] = '"cache", "storage"'
    return answer


@page_get("/recover")
def recover_page(request: Ask) -> Response[str]:
    """The form that asks for a code."""
    return pages.page(request, "accounts/recover.html", errors={}, values={})


@page_post("/recover")
def recover(request: Ask, data: Form) -> Response[Any]:
    """Ask for a code by form."""
    try:
        _start_recovery(request, read_form(data, RecoveryStart).email)
    except StillwaveError as error:
        return pages.form_again(request, "accounts/recover.html", data, error)
    return pages.see_other("/reset", notice=_MAILED)


@page_get("/reset")
def reset_page(request: Ask) -> Response[str]:
    """The form that takes the code and the new password."""
    return pages.page(request, "accounts/reset.html", errors={}, values={}, password_min=SHORTEST_PASSWORD)


@page_post("/reset")
def reset(request: Ask, data: Form) -> Response[Any]:
    """Set a new password by form."""
    try:
        _recover(request, read_form(data, Recovery))
    except StillwaveError as error:
        return pages.form_again(request, "accounts/reset.html", data, error, password_min=SHORTEST_PASSWORD)
    return pages.see_other("/sign-in", notice="Your password is new. Please sign in.")


class _Address(msgspec.Struct):
    email: Email


@page_get("/address")
def address_page(request: Ask) -> Response[str]:
    """Asks for an e-mail address where the account came with one that another has, or that is none."""
    with gate.read(request) as (_tx, me):
        pass
    return pages.page(request, "accounts/address.html", me=me, errors={}, values={})


@page_post("/address")
def address(request: Ask, data: Form) -> Response[Any]:
    """Store the e-mail address."""
    try:
        with gate.write(request) as (tx, me):
            actions.add_address(tx, me.user_id, read_form(data, _Address).email, kit_of(request).clock())
    except BadInput as error:
        return pages.form_again(request, "accounts/address.html", data, error)
    return pages.see_other("/", notice="Thank you. From now on you sign in with this address.")


class _Phone(msgspec.Struct):
    phone: Annotated[str, msgspec.Meta(max_length=40)]


@page_get("/phone")
def phone_page(request: Ask) -> Response[str]:
    """Asks for a phone number where the account came without one."""
    with gate.read(request) as (_tx, me):
        pass
    return pages.page(request, "accounts/phone.html", me=me, errors={}, values={})


@page_post("/phone")
def phone(request: Ask, data: Form) -> Response[Any]:
    """Store the phone number."""
    try:
        with gate.write(request) as (tx, me):
            actions.add_phone(tx, me.user_id, read_form(data, _Phone).phone, kit_of(request).clock())
    except BadInput as error:
        return pages.form_again(request, "accounts/phone.html", data, error)
    return pages.see_other("/", notice="Thank you. Your phone number is stored.")


def _change_contact(request: Ask, wish: Contact) -> None:
    kit, me = kit_of(request), gate.proving(request)
    old = actions.change_contact(kit.database, me.user_id, wish, kit.clock())
    if old:
        kit.mail.send(
            old, "Your Stillwave e-mail address changed",
            "You, or somebody who knows your password, gave your account another e-mail address. This one is not used any more.\n\n"
            "If it was not you, please ask the person who runs this Stillwave at once.\n",
        )  # fmt: skip


@page_get("/contact")
def contact_page(request: Ask) -> Response[str]:
    """The form that corrects e-mail and phone."""
    with gate.read(request) as (tx, me):
        email, phone = actions.contact(tx, me.user_id)
    return pages.page(request, "accounts/contact.html", me=me, errors={}, values={"email": email, "phone": phone})


@page_post("/contact")
def correct_contact(request: Ask, data: Form) -> Response[Any]:
    """Correct e-mail and phone by form."""
    try:
        _change_contact(request, read_form(data, Contact))
    except (BadInput, TooMany) as error:
        return pages.form_again(request, "accounts/contact.html", data, error)
    return pages.see_other("/privacy", notice="Your e-mail and phone number are stored.")


@cache
def _zones() -> list[str]:
    return sorted(zone for zone in available_timezones() if "/" in zone or zone == "UTC")


def _preferences_page() -> dict[str, Any]:
    return {
        "voices": [{"key": key, "label": label} for key, label in VOICES.items()],
        "backgrounds": [{"key": key, "label": label} for key, label in BACKGROUNDS.items()],
        "zones": _zones(),
    }


_TIMES = ("morning_routine_time", "evening_routine_time", "quiet_from", "quiet_to")


@page_get("/preferences")
def preferences_page(request: Ask) -> Response[str]:
    """The preferences form."""
    with gate.read(request) as (tx, me):
        now = actions.preferences(tx, me.user_id)
    fields = {**msgspec.to_builtins(now), **msgspec.to_builtins(now.notifications)}
    values = {name: str(value) for name, value in fields.items() if value not in (None, False)}
    for name in _TIMES:
        values[name] = values.get(name, "")[:5]
    return pages.page(request, "accounts/preferences.html", me=me, errors={}, values=values, **_preferences_page())


@page_post("/preferences")
def set_preferences(request: Ask, data: Form) -> Response[Any]:
    """Store the preferences."""
    fields = dict(data)
    for name in _TIMES:
        if len(str(fields.get(name, ""))) == len("07:30"):
            fields[name] = f"{fields[name]}:00"
    ticks = {name: bool(fields.get(name)) for name in actions.MAILS}
    fields.pop("notifications", None)
    try:
        wish = msgspec.structs.replace(
            read_form(fields, Preferences), notifications=read_form({**fields, **ticks}, Notifications)
        )
        with gate.write(request) as (tx, me):
            actions.set_preferences(tx, me.user_id, wish, kit_of(request).clock())
    except BadInput as error:
        return pages.form_again(request, "accounts/preferences.html", data, error, **_preferences_page())
    return pages.see_other("/preferences", notice="Your preferences are stored.")


@page_post("/logins/{login_id:uuid}/revoke")
def revoke_login(request: Ask, login_id: FromPath[UUID]) -> Response[Any]:
    """End one login from the privacy page."""
    with gate.write(request) as (tx, me):
        actions.sign_out(tx, me.user_id, login_id, kit_of(request).clock())
    return pages.see_other("/privacy", notice="That device is signed out.")


@page_post("/logins/revoke-others")
def revoke_other_logins(request: Ask) -> Response[Any]:
    """End every other login."""
    with gate.write(request) as (tx, me):
        count = actions.sign_out_others(tx, me.user_id, me.login_id, kit_of(request).clock())
    return pages.see_other("/privacy", notice=f"{count} other devices are signed out.")


HANDLERS = [
    create_account, create_login, list_logins, delete_login, delete_current_login, read_me, change_password,
    start_recovery, complete_recovery, read_preferences, replace_preferences, read_consents,
    sign_up_page, sign_up, sign_in_page, sign_in, sign_out, recover_page, recover, reset_page, reset,
    address_page, address, phone_page, phone, change_contact, contact_page, correct_contact, preferences_page,
    set_preferences, revoke_login, revoke_other_logins,
]  # fmt: skip
