"""What people do with their account; one function per intent, each inside a transaction of the caller."""

from __future__ import annotations

import contextlib
import datetime as dt
import secrets
from collections.abc import Iterator
from uuid import UUID
from zoneinfo import ZoneInfo, available_timezones

import msgspec

from stillwave.accounts import passwords, store
from stillwave.accounts.rules import (
    CONSENTS,
    PROOF_PREFIX,
    RECOVERY_LASTS,
    STEP_LASTS,
    Contact,
    Credentials,
    Notifications,
    Preferences,
    Role,
    SignUp,
    Tier,
    account_key,
    check_preferences,
    code_hash,
    normal_email,
    normal_phone,
    proof_hash,
    recovery_code,
)
from stillwave.accounts.store import SQL, Consent, Login, People, User
from stillwave.db import audit, portable
from stillwave.db.database import Database, Tx
from stillwave.db.ids import uuid7
from stillwave.errors import BadInput, ConsentNeeded, ConstraintBroken, Forbidden, NotFound, NotSignedIn
from stillwave.jobs import actions as jobs
from stillwave.jobs.rules import NOBODY
from stillwave.web import gate

# The kind of the job that follows when times, zone or mails changed; `reminders` does it.
PLAN_REMINDERS = "plan_reminders"
MAILS = ("morning_mail", "evening_mail", "weekly_digest")

BACKGROUNDS = {
    "nature": "Nature", "rain": "Rain", "ocean": "Ocean", "ambient": "Ambient pads",
    "white_noise": "White noise", "pink_noise": "Pink noise", "brown_noise": "Brown noise", "none": "Nothing",
}  # fmt: skip


def sign_up(database: Database, wish: SignUp, now: dt.datetime) -> str | None:
    """The account exists, or the e-mail or phone was taken: the caller answers both alike.

    Returns the e-mail to warn when somebody signs up with an address that has an account. The password
    is hashed outside of the transaction, and in both cases, so that the time tells nothing.
    """
    email, phone = normal_email(wish.email), normal_phone(wish.phone)
    passwords.must_be_good(wish.password, (email, email.partition("@")[0], phone, "stillwave"))
    if not wish.consent_health_data:
        why = "Stillwave cannot work without storing how you feel"
        raise ConsentNeeded(
            f"Please tick the box: {why}.", errors=[{"field": "consent_health_data", "problem": f"needs your tick: {why}"}]
        )
    password_hash = passwords.hashed(wish.password)
    try:
        with database.write() as tx:
            if store.taken(tx, email, phone):
                return email if store.by_email(tx, email) else None
            create(tx, email=email, phone=phone, password_hash=password_hash, now=now, consent=True)
    except ConstraintBroken as error:
        if error.name not in ("idx_users_email", "idx_users_phone"):
            raise
    return None


def create(
    tx: Tx, *, email: str, phone: str, password_hash: str, now: dt.datetime, consent: bool,
    tier: Tier = "free", role: Role = "listener", by: audit.Actor = "self",
) -> UUID:  # fmt: skip
    """A new account with its key, default preferences and, if given, its health-data consent."""
    user_id = uuid7(now)
    tx.act_as(user_id)
    store.insert(
        tx, user_id, email=email, phone=phone, password_hash=password_hash, now=now, tier=tier, role=role
    )
    tx.run(SQL.insert_preferences, user_id=user_id, id=uuid7(now))
    audit.note(tx, user_id, "account.created", now, actor=by)
    if consent:
        for purpose in ("health_data", "adaptation"):
            set_consent(tx, user_id, purpose, give=True, now=now)
    return user_id


class SignedIn(msgspec.Struct, frozen=True):
    """A login's token; while `step_due` it opens nothing but the second step."""

    token: str
    step_due: bool


def sign_in(database: Database, who: Credentials, device: str, now: dt.datetime) -> SignedIn:
    """A fresh login. Raises NotSignedIn with one answer for every wrong pair."""
    wrong = NotSignedIn("E-mail or password is not right.")
    with database.read() as tx:
        meant = _meant(tx, who.email)
    # Two only while a promoted account has not chosen its own address: whose password it is, signs in.
    user = next((each for each in meant if passwords.matches(each.password_hash, who.password)), None)
    if user is None:
        if not meant:
            passwords.matches(None, who.password)
        _refused(database, meant[0] if meant else None, now)
        raise wrong
    if user.account_status in ("disabled", "reset_required"):
        _refused(database, user, now)
    must_be_open(user)
    renewed = passwords.hashed(who.password) if passwords.outdated(user.password_hash) else None
    with database.write(user.id) as tx:
        if renewed:
            tx.run(SQL.set_password, user_id=user.id, password_hash=renewed, now=now)
        tx.run(SQL.delete_stale_logins, user_id=user.id, now=now, idle_since=now - gate.IDLE)
        step_due = asks_second_step(tx, user.id)
        if not step_due:
            tx.run(SQL.set_last_login, user_id=user.id, now=now)
        return SignedIn(open_login(tx, user.id, device, now, step_due=step_due), step_due)


def _meant(tx: Tx, email_text: str) -> list[User]:
    """The accounts that somebody may mean who types this: a promoted one that is spelled just so, then by the address."""
    spelled = store.by_spelling(tx, email_text)
    try:
        known = store.by_email(tx, normal_email(email_text))
    except BadInput:
        known = None
    return [user for user in (spelled, known) if user is not None]


def _refused(database: Database, user: User | None, now: dt.datetime) -> None:
    """The refused sign-in is on record: in the person's log, or, so that it takes the same time, in that of nobody."""
    user_id = user.id if user else NOBODY
    with database.write(user_id) as tx:
        audit.note(tx, user_id, "login.refused", now)


def must_be_open(user: User) -> None:
    """Raises NotSignedIn for an account that is switched off or waits for a new password; asked after the proof."""
    if user.account_status == "disabled":
        raise NotSignedIn("This account is switched off. Please ask the operator.")
    if user.account_status == "reset_required":
        raise NotSignedIn("Please choose a new password first: use “Forgot your password?”.")


def asks_second_step(tx: Tx, user_id: UUID) -> bool:
    """Whether the password alone does not open the account: there is an app, or a passkey."""
    return bool(tx.value(SQL.asks_second_step, user_id=user_id))


def open_login(
    tx: Tx, user_id: UUID, device: str, now: dt.datetime, *, step_due: bool = False, two_steps: bool = False
) -> str:
    """A new login on this device; returns its token, which is not stored.

    `step_due`: it opens nothing until the second step; `two_steps`: that step was taken.
    """
    token = gate.new_token(user_id)
    if two_steps:
        tx.run(SQL.set_last_login, user_id=user_id, now=now)
    login_id = uuid7(now)
    if not step_due:
        audit.note(tx, user_id, "login.opened", now, login=str(login_id))
    tx.run(
        SQL.insert_login, user_id=user_id, id=login_id, token_hash=gate.token_hash(token),
        device=device, now=now, expires_at=now + gate.ABSOLUTE,
        step_due_by=now + STEP_LASTS if step_due else None, two_steps=two_steps,
    )  # fmt: skip
    return token


def end_logins(tx: Tx, user_id: UUID) -> None:
    """Every login of the person has ended."""
    tx.run(SQL.delete_all_logins, user_id=user_id)


def sign_out(tx: Tx, user_id: UUID, login_id: UUID, now: dt.datetime) -> None:
    """The login is gone; its token opens nothing. Raises NotFound when it is not the person's own."""
    if not tx.run(SQL.delete_login, user_id=user_id, login_id=login_id):
        raise NotFound("There is no such sign-in.")
    audit.note(tx, user_id, "login.ended", now, login=str(login_id))


def sign_out_others(tx: Tx, user_id: UUID, keep: UUID, now: dt.datetime) -> int:
    """Every other login of the person is gone."""
    count = tx.run(SQL.delete_other_logins, user_id=user_id, keep=keep)
    audit.note(tx, user_id, "logins.ended", now, count=count)
    return count


def logins(tx: Tx, user_id: UUID, now: dt.datetime) -> list[Login]:
    """The logins that still work, last used first."""
    return tx.all(Login, SQL.logins_of, user_id=user_id, now=now, idle_since=now - gate.IDLE)


def start_recovery(tx: Tx, email_text: str, now: dt.datetime, *, by: audit.Actor = "self") -> tuple[str, str] | None:
    """A code that sets a new password within the hour: (e-mail, code); None when there is no account.

    The e-mail is empty for a promoted account that no mail can reach.
    """
    meant = [user for user in _meant(tx, email_text) if user.account_status != "disabled"]
    if not meant:
        return None
    try:
        email = normal_email(store.email_of(tx, meant[-1]))
    except BadInput:  # no mail reaches it; an operator can hand the code over
        email = ""
    code = recovery_code(secrets.token_bytes(16))
    for user in meant:
        tx.act_as(user.id)
        audit.note(tx, user.id, "recovery.asked", now, actor=by)
        tx.run(SQL.delete_recoveries, user_id=user.id)
        tx.run(
            SQL.insert_recovery, user_id=user.id, token_hash=code_hash(code), now=now, expires_at=now + RECOVERY_LASTS
        )
    return email, code


def recover(database: Database, email_text: str, code: str, password: str, now: dt.datetime) -> None:
    """The password is new and every login has ended. Raises BadInput for a wrong or used code."""
    wrong = BadInput("code", "is not right, was used, or is older than an hour", "the code from the mail")
    email = account_key(email_text)
    passwords.must_be_good(password, (email, email.partition("@")[0], "stillwave"))
    password_hash = passwords.hashed(password)
    with database.write() as tx:
        recovered = False
        for user in _meant(tx, email_text):
            tx.act_as(user.id)
            if tx.run(SQL.use_recovery, user_id=user.id, token_hash=code_hash(code), now=now):
                recovered = True
                tx.run(SQL.delete_recoveries, user_id=user.id)
                _set_password(tx, user.id, password_hash, now)
                audit.note(tx, user.id, "password.recovered", now)
        if not recovered:
            normal_email(email_text)  # what is no address, and nobody's spelling either, is said of the address
            raise wrong


def change_password(
    database: Database, me: gate.Me, current: str, password: str, device: str, now: dt.datetime
) -> str:
    """The password is new, every login has ended, and a new one (its token is returned) has begun."""
    with database.read(me.user_id) as tx:
        user = account(tx, me.user_id)
        email = store.email_of(tx, user)
    if not passwords.matches(user.password_hash, current):
        raise BadInput("current_password", "is not right")
    passwords.must_be_good(password, (email, email.partition("@")[0], "stillwave"))
    password_hash = passwords.hashed(password)
    with database.write(me.user_id) as tx:
        _set_password(tx, me.user_id, password_hash, now)
        audit.note(tx, me.user_id, "password.changed", now)
        return open_login(tx, me.user_id, device, now, two_steps=me.two_steps)


def _set_password(tx: Tx, user_id: UUID, password_hash: str, now: dt.datetime) -> None:
    user = account(tx, user_id)
    tx.run(SQL.set_password, user_id=user_id, password_hash=password_hash, now=now)
    if user.account_status == "reset_required":  # a promoted account may lack more than that
        tx.run(SQL.set_status, user_id=user_id, account_status=store.standing(tx, user, password_hash), now=now)
    end_logins(tx, user_id)


def confirm_password(database: Database, user_id: UUID, password: str, now: dt.datetime) -> bool:
    """Raises BadInput unless it is surely the person; asked before acts that cannot be undone.

    Given is their password, or the proof of a passkey instead of it (True), which then is used up.
    """
    if use_proof(database, user_id, password, now):
        return True
    with database.read(user_id) as tx:
        stored = account(tx, user_id).password_hash
    if not passwords.matches(stored, password):
        raise BadInput("password", "is not right")
    return False


def make_proof(tx: Tx, user_id: UUID, expires_at: dt.datetime) -> str:
    """What stands once for the person's password or code until then; only its digest is kept."""
    proof = PROOF_PREFIX + secrets.token_urlsafe(32)
    tx.run(SQL.insert_proof, user_id=user_id, digest=proof_hash(proof), expires_at=expires_at)
    return proof


def use_proof(database: Database, user_id: UUID, given: str, now: dt.datetime) -> bool:
    """Whether it was a proof of this person's, which now counts no more."""
    if not given.startswith(PROOF_PREFIX):
        return False
    # In a transaction of its own: it is used up whatever comes next.
    with database.write(user_id) as tx:
        return bool(tx.run(SQL.use_proof, user_id=user_id, digest=proof_hash(given), now=now))


def account(tx: Tx, user_id: UUID) -> User:
    """The account. Raises NotFound."""
    user = store.by_id(tx, user_id)
    if user is None:
        raise NotFound("There is no such account.")
    return user


def contact(tx: Tx, user_id: UUID) -> tuple[str, str]:
    """E-mail and phone number, opened."""
    user = account(tx, user_id)
    return store.email_of(tx, user), store.phone_of(tx, user)


def by_email(tx: Tx, email: str) -> User:
    """The account with this e-mail. Raises NotFound."""
    meant = _meant(tx, email)
    if not meant:
        raise NotFound("There is no account with this e-mail.")
    return meant[-1]


def everyone(tx: Tx, most: int) -> list[tuple[User, str]]:
    """The accounts with their opened e-mail, oldest first; for the operator's command line."""
    return [(user, store.email_of(tx, user)) for user in tx.all(User, SQL.all_users, most=most)]


def note_listed(database: Database, people: list[UUID], now: dt.datetime) -> None:
    """It is in the log of each of these people that an operator saw their e-mail in a list."""
    for user_id in people:
        with database.write(user_id) as tx:
            audit.note(tx, user_id, "contact.listed", now, actor="operator")


def people(tx: Tx) -> People:
    """How many people there are."""
    found = tx.one(People, SQL.count_people)
    return found or People(0, 0, 0)


@contextlib.contextmanager
def _of_nobody_else(**instead: str) -> Iterator[None]:
    """What somebody else has is refused, in words that do not say so; `instead` has the fields and what to give."""
    try:
        yield
    except ConstraintBroken as error:
        field = error.name.removeprefix("idx_users_")
        if field not in instead:
            raise
        raise BadInput(field, "cannot be used here", instead[field]) from None


def add_phone(tx: Tx, user_id: UUID, phone_text: str, now: dt.datetime) -> None:
    """The number is stored and the account is active. Raises BadInput when it cannot be used."""
    phone = normal_phone(phone_text)
    with _of_nobody_else(phone="another number"):
        changed = store.set_phone(tx, user_id, phone, now)
    if not changed:
        raise Forbidden("This account already has a phone number.")
    audit.note(tx, user_id, "contact.changed", now, fields="phone")


def change_contact(database: Database, user_id: UUID, wish: Contact, now: dt.datetime) -> str | None:
    """E-mail or phone are others; returns the old e-mail, to tell it, when that changed.

    Raises BadInput for a wrong password, for what cannot be used, and, in the same words, for what somebody has.
    """
    confirm_password(database, user_id, wish.password, now)
    with database.write(user_id) as tx:
        before = contact(tx, user_id)
        after = (
            normal_email(wish.email) if wish.email else before[0], normal_phone(wish.phone) if wish.phone else before[1]
        )  # fmt: skip
        changed = [name for name, old, new in zip(("email", "phone"), before, after, strict=True) if old != new]
        if not changed:
            return None
        with _of_nobody_else(email="another one", phone="another one"):
            store.set_contact(tx, user_id, *after, now)
        audit.note(tx, user_id, "contact.changed", now, fields=",".join(changed))
    return before[0] if "email" in changed else None


def add_address(tx: Tx, user_id: UUID, email_text: str, now: dt.datetime) -> None:
    """The address is the account's from here on. Raises BadInput when it cannot be used, Forbidden when none is due."""
    email = normal_email(email_text)
    with _of_nobody_else(email="another address"):
        changed = store.set_address(tx, account(tx, user_id), email, now)
    if not changed:
        raise Forbidden("This account already has an address.")
    audit.note(tx, user_id, "contact.changed", now, fields="email")


def set_status(tx: Tx, user_id: UUID, status: str, now: dt.datetime) -> None:
    """The status is set; anything but active ends every login. An account made active is still asked for what it lacks."""
    if status == "active":
        user = account(tx, user_id)
        status = store.standing(tx, user, user.password_hash)
    if not tx.run(SQL.set_status, user_id=user_id, account_status=status, now=now):
        raise NotFound("There is no such account.")
    audit.note(tx, user_id, "account.status", now, actor="operator", status=status)
    if status != "active":
        end_logins(tx, user_id)


def set_tier(tx: Tx, user_id: UUID, tier: Tier, now: dt.datetime) -> None:
    """The subscription tier is set."""
    tx.run(SQL.set_tier, user_id=user_id, subscription_tier=tier, now=now)
    audit.note(tx, user_id, "account.tier", now, actor="operator", tier=tier)


def set_role(tx: Tx, user_id: UUID, role: Role, now: dt.datetime) -> None:
    """The role is set; the old logins end, since their rights changed."""
    tx.run(SQL.set_role, user_id=user_id, role=role, now=now)
    audit.note(tx, user_id, "account.role", now, actor="operator", role=role)
    end_logins(tx, user_id)


def restrict(tx: Tx, user_id: UUID, *, on: bool, now: dt.datetime) -> None:
    """Processing is restricted (data is kept and shown, nothing is learned), or not any more."""
    tx.run(SQL.set_restricted, user_id=user_id, restricted=on, now=now)
    audit.note(tx, user_id, "restriction.on" if on else "restriction.off", now)


def taken(tx: Tx, email: str, phone: str) -> bool:
    """Whether somebody has this e-mail or phone number."""
    return store.taken(tx, email, phone)


def take_over(tx: Tx, user_id: UUID, *, account_status: str, processing_restricted: bool, now: dt.datetime) -> None:
    """An imported account has the state it had elsewhere, and last changed `now`; the log says that it was imported."""
    tx.run(SQL.set_status, user_id=user_id, account_status=account_status, now=now)
    tx.run(SQL.set_restricted, user_id=user_id, restricted=processing_restricted, now=now)


def stands(tx: Tx, user_id: UUID) -> bool:
    """Whether there is an account with this id."""
    return store.by_id(tx, user_id) is not None


def delete(tx: Tx, user_id: UUID, now: dt.datetime, *, actor: audit.Actor = "self", **detail: str | int) -> None:
    """The account, its rows but for the audit log, all work that waits for it, and its key are gone. Raises NotFound.

    The log says how many rows went from which table (`rows.<table>`), and what `detail` adds.
    The key goes last: what failed before it changed nothing. Should the commit fail after it, its tombstone is there,
    and `privacy.actions.erase_again` finishes.
    """
    detail |= {f"rows.{table}": count for table, count in portable.counted(tx, user_id).items()}
    jobs.forget(tx, user_id)
    portable.clear_loose(tx, user_id)
    if not tx.run(SQL.delete_user, user_id=user_id):
        raise NotFound("There is no such account.")
    audit.note(tx, user_id, "account.erased", now, actor=actor, **detail)
    tx.vault.keys.destroy(user_id, now)


def consents(tx: Tx, user_id: UUID) -> list[Consent]:
    """Every consent ever given, oldest first."""
    return tx.all(Consent, SQL.consents_of, user_id=user_id)


def agrees(tx: Tx, user_id: UUID, purpose: str) -> bool:
    """Whether the person has given this consent, in its current wording, and not taken it back."""
    return any(holds(consent) for consent in consents(tx, user_id) if consent.purpose == purpose)


def holds(consent: Consent) -> bool:
    """Whether it was given in the wording of today and not taken back; another wording is asked for again."""
    text = CONSENTS.get(consent.purpose)
    return text is not None and consent.withdrawn_at is None and consent.text_sha256 == text.sha256


def set_consent(tx: Tx, user_id: UUID, purpose: str, *, give: bool, now: dt.datetime) -> None:
    """The consent is given in its current wording, or withdrawn; both act at once."""
    text = CONSENTS.get(purpose)
    if text is None:
        raise BadInput("purpose", "is not one that is asked for", sorted(CONSENTS))
    if give:
        store.give_consent(tx, user_id, uuid7(now), text, now)
        audit.note(tx, user_id, "consent.given", now, purpose=purpose, version=text.version)
    else:
        tx.run(SQL.withdraw_consent, user_id=user_id, purpose=purpose, now=now)
        audit.note(tx, user_id, "consent.withdrawn", now, purpose=purpose)
        if purpose == "reminders":
            _switch_off(tx, user_id, MAILS, now)


def _switch_off(tx: Tx, user_id: UUID, mails: tuple[str, ...], now: dt.datetime) -> Notifications:
    wish = store.preferences(tx, user_id)
    told = msgspec.structs.replace(wish.notifications, **dict.fromkeys(mails, False))
    _store_preferences(tx, user_id, msgspec.structs.replace(wish, notifications=told), now)
    return told


def end_mail(tx: Tx, user_id: UUID, mail: str, now: dt.datetime) -> None:
    """One kind of mail (a field of Notifications) is switched off; with the last one goes the consent."""
    if not _switch_off(tx, user_id, (mail,), now).any_mail:
        set_consent(tx, user_id, "reminders", give=False, now=now)


def preferences(tx: Tx, user_id: UUID) -> Preferences:
    """The person's preferences."""
    return store.preferences(tx, user_id)


def zone(tx: Tx, user_id: UUID) -> ZoneInfo:
    """The person's time zone."""
    return zone_of(store.preferences(tx, user_id))


def zone_of(liked: Preferences) -> ZoneInfo:
    """The time zone of preferences that were read."""
    return ZoneInfo(liked.time_zone)


def known_background(name: str) -> str:
    """The name itself. Raises BadInput when there is no such background."""
    if name not in BACKGROUNDS:
        raise BadInput("background", "is not a background we have", list(BACKGROUNDS))
    return name


def set_preferences(tx: Tx, user_id: UUID, wish: Preferences, now: dt.datetime) -> Preferences:
    """The preferences are stored; switching a mail on gives the consent for mails. Raises BadInput naming what is allowed."""
    check_preferences(wish)
    if wish.background_sound_type not in BACKGROUNDS:
        raise BadInput("background_sound_type", "is not a background we have", list(BACKGROUNDS))
    if wish.time_zone not in available_timezones():
        raise BadInput("time_zone", "is not a time zone", "a name such as Europe/Berlin")
    before = store.preferences(tx, user_id)
    changed = [name for name in Preferences.__struct_fields__ if getattr(before, name) != getattr(wish, name)]
    if changed:
        audit.note(tx, user_id, "preferences.changed", now, fields=",".join(changed))
    _store_preferences(tx, user_id, wish, now)
    if wish.notifications.any_mail != agrees(tx, user_id, "reminders"):
        set_consent(tx, user_id, "reminders", give=wish.notifications.any_mail, now=now)
    return wish


def _store_preferences(tx: Tx, user_id: UUID, wish: Preferences, now: dt.datetime) -> None:
    """The row is written, and the worker plans the reminders anew."""
    tx.run(
        SQL.set_preferences, user_id=user_id, voice_preference=wish.voice_preference,
        background_sound_type=wish.background_sound_type, preferred_duration=wish.preferred_duration,
        morning_routine_time=wish.morning_routine_time, evening_routine_time=wish.evening_routine_time,
        time_zone=wish.time_zone, notification_preferences=msgspec.json.encode(wish.notifications).decode(),
    )  # fmt: skip
    jobs.enqueue(tx, user_id, PLAN_REMINDERS, "", now)
