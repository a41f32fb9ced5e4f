"""Who is asking: logins by cookie or bearer token, refusal of cross-site writes, transactions for the person.

A token is base64url(person's id, 16 bytes | chance, 32 bytes); only its SHA-256 is stored. The id in it
lets the database find the login inside the person's own rows.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
from litestar import Request
from litestar.datastructures import Cookie

from stillwave.db import audit
from stillwave.db.database import Queries, Tx
from stillwave.errors import ConsentNeeded, Forbidden, Leaving, NotSignedIn, ScreeningNeeded, SecondStepNeeded
from stillwave.settings import Settings
from stillwave.web.kit import Kit, kit_of
from stillwave.web.pages import cookie_of

SQL = Queries(Path(__file__).parent)
COOKIE = "stillwave_login"
CONSENT_VERSION = 1  # of the health-data text in accounts/rules.py; an older consent must be given again
OFFLINE_VERSION = 1  # of the text about sound kept in the browser
IDLE = dt.timedelta(days=7)
ABSOLUTE = dt.timedelta(days=30)
FRESH = dt.timedelta(minutes=10)  # so long after signing in nobody is asked again who they are
AFTERWARDS = "afterwards"  # the place in a request's state of what is written once its answer is known
_SEEN_EVERY = dt.timedelta(minutes=5)

Need = Literal["address", "phone", "consent", "screening"] | None


class Me(msgspec.Struct, frozen=True, kw_only=True):
    """The person who is signed in, as read in the same transaction as the request's own work."""

    user_id: UUID
    login_id: UUID
    role: str
    account_status: str
    subscription_tier: str
    processing_restricted: bool
    last_seen_at: dt.datetime
    expires_at: dt.datetime
    step_due_by: dt.datetime | None = None
    two_steps: bool = False
    consent_version: int | None = None
    offline_version: int | None = None
    screened_at: dt.datetime | None = None
    signed_in_at: dt.datetime | None = None
    leaving_at: dt.datetime | None = None  # from when an erasure that was asked for cannot be taken back
    has_passkey: bool = False
    opened_at: dt.datetime | None = None  # an operator opened their data, and they have not put the notice away

    signed_in = True

    @property
    def is_operator(self) -> bool:
        """May see the operator's page."""
        return self.role == "operator"

    @property
    def consented(self) -> bool:
        """Health data may be stored."""
        return self.consent_version is not None and self.consent_version >= CONSENT_VERSION

    @property
    def keeps_sound(self) -> bool:
        """The browser may keep the sound of sessions."""
        return self.offline_version is not None and self.offline_version >= OFFLINE_VERSION

    @property
    def needs(self) -> Need:
        """What is missing before the first session, in the order it is asked for."""
        if self.account_status in ("address_required", "phone_required"):
            return "address" if self.account_status == "address_required" else "phone"
        if not self.consented:
            return "consent"
        return None if self.screened_at else "screening"

    def is_fresh(self, now: dt.datetime) -> bool:
        """Signed in a moment ago, so that it is surely them."""
        return self.signed_in_at is not None and now - self.signed_in_at <= FRESH

    def must_be_ready(self) -> None:
        """Raises ConsentNeeded or ScreeningNeeded until a session may be planned."""
        if self.needs == "address":
            raise Forbidden("Please choose an e-mail address first.", next="/address")
        if self.needs == "phone":
            raise Forbidden("Please add your phone number first.", next="/phone")
        self.must_consent()
        if self.processing_restricted:
            raise Forbidden("You paused the use of your data. End that on the privacy page first.", next="/privacy")
        if self.screened_at is None:
            raise ScreeningNeeded("Please answer the safety questions first.", next="/screening")

    def must_consent(self) -> None:
        """Raises ConsentNeeded while health data may not be stored."""
        if not self.consented:
            raise ConsentNeeded(
                "Stillwave stores how you feel and what you rate only with your consent.", next="/privacy"
            )


def new_token(user_id: UUID) -> str:
    """A fresh login token; it exists only at the person's."""
    return base64.urlsafe_b64encode(user_id.bytes + secrets.token_bytes(32)).decode()


def token_hash(token: str) -> str:
    """What is stored of a token (64 hex digits). The token is random, so a plain hash is enough."""
    return hashlib.sha256(token.encode()).hexdigest()


def login_cookie(settings: Settings, token: str | None) -> Cookie:
    """The login cookie, or one that removes it."""
    return Cookie(
        key=COOKIE, value=token or "", httponly=True, samesite="lax", path="/", secure=settings.secure_cookies,
        max_age=int(ABSOLUTE.total_seconds()) if token else 0,
    )  # fmt: skip


@contextmanager
def read(request: Request[Any, Any, Any], *, leaving: bool = False) -> Iterator[tuple[Tx, Me]]:
    """A reading transaction for the person who is signed in. Raises NotSignedIn.

    `leaving`: also for who asked for erasure; everything else raises Leaving for them.
    """
    with _signed_in(request, "read", leaving=leaving) as found:
        yield found


@contextmanager
def write(request: Request[Any, Any, Any], *, leaving: bool = False) -> Iterator[tuple[Tx, Me]]:
    """A writing transaction for the person who is signed in; committed when the block ends well."""
    with _signed_in(request, "write", leaving=leaving) as found:
        kit_of(request).limits.count("write_account", str(found[1].user_id))
        yield found


@contextmanager
def _signed_in(
    request: Request[Any, Any, Any], kind: Literal["read", "write"], *, leaving: bool
) -> Iterator[tuple[Tx, Me]]:
    kit, token = kit_of(request), _token(request)
    user_id = claimed_person(token)
    opened = kit.database.write(user_id) if kind == "write" else kit.database.read(user_id)
    with opened as tx:
        me = identify(tx, user_id, token, kit.clock(), leaving=leaving)
        request.scope["state"]["me"] = me
        yield tx, me
    now = kit.clock()
    if now - me.last_seen_at >= _SEEN_EVERY:  # so that reading hardly ever writes
        if kit.database.only_reads:
            request.scope["state"][AFTERWARDS] = partial(_touch, kit, me, now)
        else:
            _touch(kit, me, now)


def identify(tx: Tx, user_id: UUID, token: str, now: dt.datetime, *, leaving: bool = False) -> Me:
    """The person behind a token.

    Raises NotSignedIn when the login ended, idled out or is blocked, SecondStepNeeded while a code is due, and
    Leaving, unless `leaving`, for who asked for erasure.
    """
    me = _known(tx, user_id, token, now)
    if me.step_due_by is not None:
        raise SecondStepNeeded("Please type the code of your second step first.", next="/second-step")
    if me.leaving_at is not None and not leaving:
        raise Leaving("You asked us to erase everything. Take that back first, or let it happen.", next="/privacy/leaving")
    return me


def waiting(request: Request[Any, Any, Any]) -> Me:
    """The person whose password was right and whose code is still due. Raises NotSignedIn for everybody else."""
    kit, token = kit_of(request), _token(request)
    user_id = claimed_person(token)
    with kit.database.read(user_id) as tx:
        me = _known(tx, user_id, token, kit.clock())
    if me.step_due_by is None:
        raise NotSignedIn("No code is due here.")
    return me


def _known(tx: Tx, user_id: UUID, token: str, now: dt.datetime) -> Me:
    me = tx.one(Me, SQL.login_of_token, user_id=user_id, token_hash=token_hash(token))
    if me is None or now >= me.expires_at or now - me.last_seen_at >= IDLE or (me.step_due_by and now >= me.step_due_by):
        raise NotSignedIn("Your sign-in has ended. Please sign in again.")
    if me.account_status in ("disabled", "reset_required"):
        raise NotSignedIn("This account cannot be used right now.")
    return me


def proving(request: Request[Any, Any, Any], *, leaving: bool = False) -> Me:
    """The person who is signed in and about to give a password or code again; the try is counted."""
    with read(request, leaving=leaving) as (_tx, me):
        pass
    kit_of(request).limits.count("password_account", str(me.user_id))
    return me


def maybe(request: Request[Any, Any, Any]) -> Me | None:
    """The person who is signed in, or None."""
    try:
        with read(request) as (_tx, me):
            return me
    except NotSignedIn:
        return None


def operator(me: Me) -> None:
    """Raises Forbidden for everybody but operators who signed in with a second step."""
    if not me.is_operator:
        raise Forbidden("Only operators may see this.")
    if not me.two_steps:
        raise Forbidden("Operators need a second step. Please set it up first.", next="/security")


def _touch(kit: Kit, me: Me, now: dt.datetime) -> None:
    """When the person was last seen is stored."""
    with kit.database.write(me.user_id) as tx:
        if now.replace(minute=0, second=0, microsecond=0) > me.last_seen_at:  # once an hour and login is enough
            audit.note(tx, me.user_id, "records.read", now, login=str(me.login_id))
        tx.run(SQL.touch_login, user_id=me.user_id, login_id=me.login_id, now=now)


def _token(request: Request[Any, Any, Any]) -> str:
    header = request.headers.get("authorization", "")
    if header[:7].lower() == "bearer ":
        return header[7:].strip()
    token = cookie_of(request, COOKIE)
    if not token:
        raise NotSignedIn("Please sign in.")
    return token


def claimed_person(token: str) -> UUID:
    """Whose token it says it is; whether it is one, only the database knows. Raises NotSignedIn."""
    try:
        raw = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
        if len(raw) != 48:
            raise ValueError
    except (binascii.Error, ValueError):
        raise NotSignedIn("Your sign-in has ended. Please sign in again.") from None
    return UUID(bytes=raw[:16])


def refuse_foreign(request: Request[Any, Any, Any]) -> None:
    """Writes from other sites and requests for other hosts are refused (CSRF and DNS rebinding)."""
    settings = kit_of(request).settings
    host = request.headers.get("host", "").rsplit("@", 1)[-1].lower()
    if host not in _own_hosts(settings):
        raise Forbidden("This address is not known here. The operator can set STILLWAVE_BASE_URL.")
    if request.method in ("GET", "HEAD", "OPTIONS"):
        return
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        if site not in ("same-origin", "none"):
            raise Forbidden("This came from another site. Please use Stillwave's own pages.")
        return
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc.lower() != host:
        raise Forbidden("This came from another site. Please use Stillwave's own pages.")


def _own_hosts(settings: Settings) -> set[str]:
    port = settings.port
    names = {"127.0.0.1", "localhost", "[::1]", settings.host.lower()}
    return names | {f"{name}:{port}" for name in names} | {urlsplit(settings.base_url).netloc.lower()}
