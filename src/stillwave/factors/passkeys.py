"""Passkeys (WebAuthn): adding, naming, removing; signing in with one alone, as the second step, or to prove again who it is.

A challenge is 16 bytes that say for whom it is kept, and 32 of chance; only its digest is stored, and it counts once.
Who signs in with a passkey alone is nobody yet: for them a number of chance stands there.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hashlib
import ipaddress
import json
import secrets
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit
from uuid import UUID

import msgspec

from stillwave.accounts import actions as accounts
from stillwave.db import audit
from stillwave.db.database import Database, Tx
from stillwave.db.ids import uuid7
from stillwave.errors import BadInput, Conflict, NotFound, NotSignedIn
from stillwave.factors import actions, store
from stillwave.factors.store import SQL, Passkey
from stillwave.log import log
from stillwave.settings import Settings
from stillwave.web.gate import Me

LASTS: Final = dt.timedelta(minutes=5)
MOST: Final = 10
_WHO_BYTES: Final = 16
Purpose = Literal["add", "sign_in", "second_step", "proof"]
Base64 = Annotated[str, msgspec.Meta(min_length=1, max_length=8192, pattern=r"^[A-Za-z0-9_-]*$")]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=60)]


class Attested(msgspec.Struct):
    """What a device says of a passkey that it made; more fields than these are not looked at."""

    clientDataJSON: Base64  # noqa: N815  the standard's names
    attestationObject: Base64  # noqa: N815


class Made(msgspec.Struct):
    """A new passkey, as `navigator.credentials.create` gives it."""

    id: Base64
    rawId: Base64  # noqa: N815
    type: Literal["public-key"]
    response: Attested


class Signed(msgspec.Struct):
    """What a device signed; `userHandle` says whose passkey it is."""

    clientDataJSON: Base64  # noqa: N815
    authenticatorData: Base64  # noqa: N815
    signature: Base64
    userHandle: Base64 | None = None  # noqa: N815


class Shown(msgspec.Struct):
    """A passkey that signed, as `navigator.credentials.get` gives it."""

    id: Base64
    rawId: Base64  # noqa: N815
    type: Literal["public-key"]
    response: Signed


class Place(msgspec.Struct, frozen=True):
    """Where passkeys of this house count: the name they are bound to, and the pages that may ask for them."""

    name: str
    origin: str


class Listed(msgspec.Struct, frozen=True):
    """A passkey, as its person sees it."""

    id: UUID
    name: str
    created_at: dt.datetime
    last_used_at: dt.datetime | None


class Added(msgspec.Struct, frozen=True):
    """The passkey; the token of the one login that is left; recovery codes where there were none."""

    passkey: Listed
    token: str
    recovery_codes: list[str]


def place_of(settings: Settings) -> Place | None:
    """Where passkeys count; None where people reach the server by a number, to which none can be bound."""
    parts = urlsplit(settings.base_url)
    name = parts.hostname or ""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return Place(name, f"{parts.scheme}://{parts.netloc}")
    return None


def _place(settings: Settings) -> Place:
    place = place_of(settings)
    if place is None:
        raise Conflict("Passkeys need a server with a name. The operator can set STILLWAVE_BASE_URL to one.")
    return place


# --- challenges -----------------------------------------------------------------------------------


def _digest(purpose: Purpose, challenge: bytes) -> str:
    return hashlib.sha256(purpose.encode() + b"\0" + challenge).hexdigest()


def _challenge(tx: Tx, who: UUID, purpose: Purpose, now: dt.datetime) -> bytes:
    """A fresh challenge, kept for five minutes; what ended of the same person's is gone."""
    challenge = who.bytes + secrets.token_bytes(32)
    tx.run(SQL.drop_challenges, user_id=who, now=now)
    tx.run(SQL.insert_challenge, user_id=who, digest=_digest(purpose, challenge), expires_at=now + LASTS)
    return challenge


def _used(database: Database, purpose: Purpose, client_data: str, now: dt.datetime) -> bytes | None:
    """The challenge that was signed, which now counts no more; None when it was none of ours, or is over."""
    try:
        told = json.loads(_bytes(client_data))
        challenge = _bytes(told["challenge"])
        who = UUID(bytes=challenge[:_WHO_BYTES])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    # In a transaction of its own: it is used up whatever comes next.
    with database.write(who) as tx:
        used = tx.run(SQL.use_challenge, user_id=who, digest=_digest(purpose, challenge), now=now)
    return challenge if used else None


def _used_by(database: Database, purpose: Purpose, me: Me, client_data: str, now: dt.datetime, refusal: BadInput) -> bytes:
    """The challenge that was signed and was made for this person, or `refusal` is raised; it counts no more."""
    challenge = _used(database, purpose, client_data, now)
    if challenge is None or challenge[:_WHO_BYTES] != me.user_id.bytes:
        raise refusal
    return challenge


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise ValueError from None


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


# --- adding, naming, removing ---------------------------------------------------------------------


def listed(tx: Tx, user_id: UUID) -> list[Listed]:
    """The person's passkeys, oldest first."""
    return [_shown(tx, user_id, passkey) for passkey in store.passkeys(tx, user_id)]


def _shown(tx: Tx, user_id: UUID, passkey: Passkey) -> Listed:
    return Listed(passkey.id, store.name_of(tx, user_id, passkey), passkey.created_at, passkey.last_used_at)


def begin(database: Database, settings: Settings, user_id: UUID, password: str, now: dt.datetime) -> dict[str, Any]:
    """What the browser needs to make a passkey. Raises BadInput for a wrong password, Conflict for too many."""
    from webauthn import generate_registration_options, options_to_json
    from webauthn.helpers import structs

    place = _place(settings)
    accounts.confirm_password(database, user_id, password, now)
    with database.write(user_id) as tx:
        known = store.passkeys(tx, user_id)
        if len(known) >= MOST:
            raise Conflict(f"You have {MOST} passkeys. Remove one first.")
        options = generate_registration_options(
            rp_id=place.name, rp_name="Stillwave", user_id=user_id.bytes, user_name=accounts.contact(tx, user_id)[0],
            challenge=_challenge(tx, user_id, "add", now), timeout=int(LASTS.total_seconds()) * 1000,
            authenticator_selection=structs.AuthenticatorSelectionCriteria(
                resident_key=structs.ResidentKeyRequirement.REQUIRED,
                user_verification=structs.UserVerificationRequirement.REQUIRED,
            ),
            exclude_credentials=_descriptors(known),
        )  # fmt: skip
    found: dict[str, Any] = json.loads(options_to_json(options))
    return found


def _descriptors(known: list[Passkey]) -> list[Any]:
    from webauthn.helpers import structs

    return [structs.PublicKeyCredentialDescriptor(id=_bytes(passkey.credential_id)) for passkey in known]


def add(
    database: Database, settings: Settings, me: Me, name: str, made: Made, device: str, now: dt.datetime
) -> Added:
    """The passkey is the person's; every login has ended but a new one. Raises BadInput for one that does not hold."""
    from webauthn import verify_registration_response
    from webauthn.helpers.exceptions import WebAuthnException

    place, wrong = _place(settings), BadInput("credential", "does not hold here", "a passkey made on this page just now")
    challenge = _used_by(database, "add", me, made.response.clientDataJSON, now, wrong)
    try:
        verified = verify_registration_response(
            credential=msgspec.to_builtins(made), expected_challenge=challenge, expected_rp_id=place.name,
            expected_origin=place.origin, require_user_verification=True,
        )  # fmt: skip
    except (WebAuthnException, ValueError, TypeError, KeyError):
        raise wrong from None
    with database.write(me.user_id) as tx:
        if len(store.passkeys(tx, me.user_id)) >= MOST:
            raise Conflict(f"You have {MOST} passkeys. Remove one first.")
        passkey = store.insert_passkey(
            tx, me.user_id, uuid7(now), name, _text(verified.credential_id), _text(verified.credential_public_key),
            verified.sign_count, now,
        )  # fmt: skip
        codes = [] if store.codes_left(tx, me.user_id) else actions.fresh_codes(tx, me.user_id, now)
        audit.note(tx, me.user_id, "passkey.added", now, passkey=str(passkey.id))
        accounts.end_logins(tx, me.user_id)
        token = accounts.open_login(tx, me.user_id, device, now, two_steps=True)
        return Added(_shown(tx, me.user_id, passkey), token, codes)


def rename(tx: Tx, user_id: UUID, passkey_id: UUID, name: str) -> Listed:
    """The passkey has this name. Raises NotFound for one that is not the person's."""
    store.rename(tx, user_id, passkey_id, name)
    return next(passkey for passkey in listed(tx, user_id) if passkey.id == passkey_id)


def remove(database: Database, me: Me, passkey_id: UUID, password: str, device: str, now: dt.datetime) -> str:
    """The passkey opens nothing; every login has ended but the one whose token is returned.

    Raises BadInput for a wrong password, NotFound for a passkey that is not the person's.
    """
    accounts.confirm_password(database, me.user_id, password, now)
    with database.write(me.user_id) as tx:
        if not tx.run(SQL.delete_passkey, user_id=me.user_id, id=passkey_id):
            raise NotFound("There is no such passkey.")
        tx.run(SQL.delete_unneeded_codes, user_id=me.user_id)
        audit.note(tx, me.user_id, "passkey.removed", now, passkey=str(passkey_id))
        accounts.end_logins(tx, me.user_id)
        asked = accounts.asks_second_step(tx, me.user_id)
        return accounts.open_login(tx, me.user_id, device, now, two_steps=asked and me.two_steps)


# --- signing in -----------------------------------------------------------------------------------


def ask(database: Database, settings: Settings, purpose: Purpose, me: Me | None, now: dt.datetime) -> dict[str, Any]:
    """What the browser needs to have a passkey sign: for anybody alike, for who waits for the second step, or for a proof."""
    from webauthn import generate_authentication_options, options_to_json
    from webauthn.helpers import structs

    place, who = _place(settings), me.user_id if me else UUID(bytes=secrets.token_bytes(_WHO_BYTES))
    level = structs.UserVerificationRequirement
    with database.write(who) as tx:
        options = generate_authentication_options(
            rp_id=place.name, challenge=_challenge(tx, who, purpose, now), timeout=int(LASTS.total_seconds()) * 1000,
            allow_credentials=_descriptors(store.passkeys(tx, who)) if me else None,
            user_verification=level.PREFERRED if purpose == "second_step" else level.REQUIRED,
        )  # fmt: skip
    found: dict[str, Any] = json.loads(options_to_json(options))
    return found


def sign_in(database: Database, settings: Settings, shown: Shown, device: str, now: dt.datetime) -> str:
    """The token of a full login: the passkey is had, and its device knows its person. Raises NotSignedIn."""
    challenge = _used(database, "sign_in", shown.response.clientDataJSON, now)
    try:
        user_id = UUID(bytes=_bytes(shown.response.userHandle or ""))
    except ValueError:
        raise _wrong() from None
    if challenge is None:
        raise _wrong()
    with database.write(user_id) as tx:
        _verify(tx, settings, user_id, shown, challenge, now, alone=True, refusal=_wrong())
        accounts.must_be_open(accounts.account(tx, user_id))
        return accounts.open_login(tx, user_id, device, now, two_steps=True)


def take_step(
    database: Database, settings: Settings, waiting: Me, shown: Shown, device: str, now: dt.datetime
) -> str:
    """The token of a full login, in place of the one that waited. Raises BadInput."""
    wrong = BadInput("credential", "does not hold", "another passkey of yours, or a code")
    challenge = _used_by(database, "second_step", waiting, shown.response.clientDataJSON, now, wrong)
    with database.write(waiting.user_id) as tx:
        _verify(tx, settings, waiting.user_id, shown, challenge, now, alone=False, refusal=wrong)
        accounts.sign_out(tx, waiting.user_id, waiting.login_id, now)
        return accounts.open_login(tx, waiting.user_id, device, now, two_steps=True)


def prove(database: Database, settings: Settings, me: Me, shown: Shown, now: dt.datetime) -> str:
    """What the person may give once, within five minutes, where a password or code is asked for again. Raises BadInput.

    The device must know its person, as it must when it signs in alone.
    """
    wrong = BadInput("credential", "does not hold", "another passkey of yours, or your password")
    challenge = _used_by(database, "proof", me, shown.response.clientDataJSON, now, wrong)
    with database.write(me.user_id) as tx:
        _verify(tx, settings, me.user_id, shown, challenge, now, alone=True, refusal=wrong)
        return accounts.make_proof(tx, me.user_id, now + LASTS)


def _verify(
    tx: Tx, settings: Settings, user_id: UUID, shown: Shown, challenge: bytes, now: dt.datetime, *,
    alone: bool, refusal: BadInput | NotSignedIn,
) -> None:  # fmt: skip
    """The passkey signed the challenge, or `refusal` is raised. Where it stands alone, its device must know its person."""
    from webauthn import verify_authentication_response
    from webauthn.helpers.exceptions import WebAuthnException

    place, passkey = _place(settings), store.passkey_of(tx, user_id, shown.rawId)
    if passkey is None or shown.id != shown.rawId:
        raise refusal
    try:
        verified = verify_authentication_response(
            credential=msgspec.to_builtins(shown), expected_challenge=challenge, expected_rp_id=place.name,
            expected_origin=place.origin, credential_public_key=_bytes(passkey.public_key),
            credential_current_sign_count=0, require_user_verification=alone,
        )  # fmt: skip
    except (WebAuthnException, ValueError, TypeError, KeyError):
        raise refusal from None
    # The count goes up with each signature, or stays 0 for ever; anything else signed twice: a copy.
    if not tx.run(SQL.count_signature, user_id=user_id, id=passkey.id, sign_count=verified.new_sign_count, now=now):
        log.warning("a passkey's count went back: it may have been copied", user_id=str(user_id))
        raise refusal


def _wrong() -> NotSignedIn:
    return NotSignedIn("This passkey opens nothing here. Try another, or sign in with your password.")


