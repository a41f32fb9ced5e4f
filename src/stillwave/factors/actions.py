"""The second step at sign-in: setting an app up, taking the step, recovery codes, taking it off again."""

from __future__ import annotations

import datetime as dt
import secrets
from uuid import UUID

import msgspec

from stillwave.accounts import actions as accounts
from stillwave.accounts.rules import code_hash, recovery_code
from stillwave.db import audit
from stillwave.db.database import Database, Tx
from stillwave.db.ids import uuid7
from stillwave.errors import BadInput, Conflict, TooMany
from stillwave.factors import rules, store
from stillwave.factors.store import SQL
from stillwave.web.gate import Me


class State(msgspec.Struct, frozen=True):
    """Whether a second step is asked for; while an app is being set up, what it must be told."""

    on: bool
    since: dt.datetime | None
    recovery_codes_left: int
    secret: str | None
    address: str | None


class Confirmed(msgspec.Struct, frozen=True):
    """The recovery codes, shown once, and the token of the one login that is left."""

    recovery_codes: list[str]
    token: str


def state(tx: Tx, user_id: UUID, now: dt.datetime) -> State:
    """What the security page shows."""
    found = store.factor(tx, user_id)
    if found is None or (found.confirmed_at is None and now - found.created_at > rules.SETUP_LASTS):
        return State(on=False, since=None, recovery_codes_left=0, secret=None, address=None)
    if found.confirmed_at:
        return State(
            on=True, since=found.confirmed_at, recovery_codes_left=found.codes_left, secret=None, address=None
        )
    seed = store.seed_of(tx, user_id, found)
    address = rules.address(seed, accounts.contact(tx, user_id)[0])
    return State(on=False, since=None, recovery_codes_left=0, secret=seed, address=address)


def begin(database: Database, user_id: UUID, password: str, now: dt.datetime) -> State:
    """An app can be told the secret; nothing is asked for until its first code was right.

    Raises BadInput for a wrong password, Conflict where a second step is already on.
    """
    accounts.confirm_password(database, user_id, password, now)
    with database.write(user_id) as tx:
        if state(tx, user_id, now).on:
            raise Conflict("Your second step is already on. Turn it off first to use another app.")
        store.insert(tx, user_id, uuid7(now), rules.secret(secrets.token_bytes(20)), now)
        return state(tx, user_id, now)


def confirm(database: Database, me: Me, code: str, device: str, now: dt.datetime) -> Confirmed:
    """The second step is on, every login has ended but a new one. Raises BadInput for a wrong code."""
    _count_try(database, me.user_id, now, none="Please start again: nothing is being set up.")
    with database.write(me.user_id) as tx:
        if state(tx, me.user_id, now).secret is None:
            raise Conflict("Please start again: nothing is being set up.")
        if not _app_code_fits(tx, me.user_id, rules.plain(code), now):
            raise BadInput("code", "is not right", "the six digits that your app shows now")
        tx.run(SQL.confirm_factor, user_id=me.user_id, now=now)
        codes = fresh_codes(tx, me.user_id, now)
        audit.note(tx, me.user_id, "second_step.on", now)
        accounts.end_logins(tx, me.user_id)
        return Confirmed(codes, accounts.open_login(tx, me.user_id, device, now, two_steps=True))


def take_step(database: Database, waiting: Me, code: str, device: str, now: dt.datetime) -> str:
    """The token of a full login, in place of the one that waited. Raises BadInput, or TooMany after five tries."""
    prove(database, waiting.user_id, code, now)
    with database.write(waiting.user_id) as tx:
        accounts.sign_out(tx, waiting.user_id, waiting.login_id, now)
        return accounts.open_login(tx, waiting.user_id, device, now, two_steps=True)


def prove(database: Database, user_id: UUID, code: str, now: dt.datetime) -> None:
    """The code, or the proof of a passkey instead of it, was right and is used up. Raises BadInput, or TooMany after five tries."""
    if accounts.use_proof(database, user_id, code, now):
        return
    plain = rules.plain(code)
    recovery = not rules.is_app_code(plain)
    _count_try(database, user_id, now, none="No authenticator app is set up for this account.", recovery=recovery)
    with database.write(user_id) as tx:
        if not recovery:
            right = _app_code_fits(tx, user_id, plain, now)
        else:
            right = bool(tx.run(SQL.use_recovery_code, user_id=user_id, code_hash=code_hash(plain)))
        if right:
            tx.run(SQL.forgive_tries, user_id=user_id)
        else:
            audit.note(tx, user_id, "second_step.refused", now)
    if not right:
        raise BadInput("code", "is not right, or was used", "the six digits of your app, or a recovery code")


def _prove_fully(database: Database, user_id: UUID, password: str, code: str | None, now: dt.datetime) -> None:
    """Password and code were right; a passkey is both, for its device knows its person. Raises BadInput."""
    if accounts.confirm_password(database, user_id, password, now):
        return
    if code is None:
        raise BadInput("code", "is missing", "the six digits of your app, or a recovery code")
    prove(database, user_id, code, now)


def new_codes(database: Database, me: Me, password: str, code: str | None, now: dt.datetime) -> list[str]:
    """New recovery codes; the old ones open nothing. Raises BadInput for a wrong password or code."""
    _prove_fully(database, me.user_id, password, code, now)
    with database.write(me.user_id) as tx:
        audit.note(tx, me.user_id, "recovery_codes.made", now)
        return fresh_codes(tx, me.user_id, now)


def remove(database: Database, me: Me, password: str, code: str | None, device: str, now: dt.datetime) -> str:
    """The second step is off; every login has ended but the one whose token is returned."""
    _prove_fully(database, me.user_id, password, code, now)
    with database.write(me.user_id) as tx:
        store.forget(tx, me.user_id)
        audit.note(tx, me.user_id, "second_step.off", now)
        accounts.end_logins(tx, me.user_id)
        return accounts.open_login(tx, me.user_id, device, now, two_steps=accounts.asks_second_step(tx, me.user_id))


def take_off(tx: Tx, user_id: UUID, now: dt.datetime) -> None:
    """App, passkeys and codes count no more, and every login has ended; for the operator, when all are lost."""
    tx.run(SQL.delete_passkeys, user_id=user_id)
    store.forget(tx, user_id)
    audit.note(tx, user_id, "second_step.off", now, actor="operator")
    accounts.end_logins(tx, user_id)


def _count_try(database: Database, user_id: UUID, now: dt.datetime, *, none: str, recovery: bool = False) -> None:
    # In a transaction of its own, so that a wrong code is counted although it is refused.
    with database.write(user_id) as tx:
        counted = tx.run(
            SQL.count_try, user_id=user_id, now=now, since=now - rules.TRIES_WINDOW, most=rules.MOST_TRIES
        )
        if counted:
            return
        if store.factor(tx, user_id) is None:
            if recovery and store.codes_left(tx, user_id):
                return  # of somebody with a passkey: 78 bits of chance need no count of ours
            raise Conflict(none)
    raise TooMany("Too many codes were tried. Please wait 15 minutes.", int(rules.TRIES_WINDOW.total_seconds()))


def _app_code_fits(tx: Tx, user_id: UUID, code: str, now: dt.datetime) -> bool:
    found = store.factor(tx, user_id)
    if found is None:
        return False
    step = rules.matching_step(store.seed_of(tx, user_id, found), code, now)
    return step is not None and bool(tx.run(SQL.use_step, user_id=user_id, step=step))


def fresh_codes(tx: Tx, user_id: UUID, now: dt.datetime) -> list[str]:
    """New recovery codes; earlier ones open nothing."""
    codes = [recovery_code(secrets.token_bytes(16)) for _ in range(rules.RECOVERY_CODES)]
    store.keep_codes(tx, user_id, [code_hash(code) for code in codes], now)
    return codes
