"""What an account may hold: addresses, passwords, consents, codes. Pure: no clock, chance or database."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from typing import Annotated, Final, Literal

import msgspec
import phonenumbers
from email_validator import EmailNotValidError, validate_email

from stillwave.errors import BadInput

Email = Annotated[str, msgspec.Meta(min_length=3, max_length=254)]
Phone = Annotated[str, msgspec.Meta(min_length=4, max_length=40)]
Password = Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]
Purpose = Literal["health_data", "adaptation", "ab_sessions", "offline_storage", "reminders"]
Voice = Literal["male", "female", "neutral", "none"]
Tier = Literal["free", "premium"]
Role = Literal["listener", "operator"]

SHORTEST_PASSWORD: Final = 12
DEMO_EMAIL: Final = "demo@stillwave.example"
# zxcvbn's time grows with the square of the length; the first 72 characters decide
_ZXCVBN_READS: Final = 72
_OWN_WORD: Final = 4  # shorter ones stand in many words by chance
_BESIDE_OWN: Final = 8
_CODE_ALPHABET: Final = "ABCDEFGHJKMNPQRSTVWXYZ23456789"
CODE_LENGTH: Final = 16
RECOVERY_LASTS: Final = dt.timedelta(hours=1)
# How long after the password the code of the second step may take
STEP_LASTS: Final = dt.timedelta(minutes=10)
# What a passkey gives to stand once for a password begins so
PROOF_PREFIX: Final = "passkey-"
# "+999" is not assigned to any country: it marks an account that came without a phone number
PLACEHOLDER_PREFIX: Final = "+999"
# The place of the digest of an address that is looked for letter by letter: of an account that came with one that
# another has in other letters, or that is none
AS_WRITTEN: Final = "users.email_as_written"


class ConsentText(msgspec.Struct, frozen=True):
    """What a person agrees to for one purpose; a changed text gets the next version."""

    purpose: Purpose
    version: int
    label: str
    text: str

    @property
    def sha256(self) -> str:
        """The digest kept with the consent, so that the exact wording can be shown later."""
        return hashlib.sha256(self.text.encode()).hexdigest()


CONSENTS: Final[dict[str, ConsentText]] = {
    consent.purpose: consent
    for consent in (
        ConsentText(
            "health_data", 1, "Store how I feel",
            "I agree that this Stillwave stores what I tell it about my health: my safety answers, how I "
            "feel, my ratings and my diary. It is used to plan my sessions and for nothing else. I can "
            "withdraw this at any time on the privacy page.",
        ),
        ConsentText(
            "adaptation", 1, "Learn from my ratings",
            "I agree that my ratings change how my next sessions are planned. I can switch this off at any time.",
        ),
        ConsentText(
            "ab_sessions", 1, "Does it work for me?",
            "I agree that about one in three of my headphone sessions plays the same sound without the beat, and that "
            "I am not told which until I ask. My ratings of these sessions are compared; until I look, they do not "
            "change my curves. I can stop this at any time.",
        ),
        ConsentText(
            "offline_storage", 1, "Keep sound on my devices",
            "I agree that each browser I play a session in keeps the sound of the last three, so that they play on "
            "without a connection. They are not encrypted there, and whoever can use the browser can play them. They "
            "are removed from it when I sign out there or open Stillwave after taking this back.",
        ),
        ConsentText(
            "reminders", 1, "Send me mail at my times",
            "I agree that this Stillwave sends me the reminders and digests that I switched on. They say nothing "
            "about my health. I can end them at any time, here or in each mail.",
        ),
    )
}  # fmt: skip


class SignUp(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A new account. `consent_health_data` is given by a tick, never assumed."""

    email: Email
    phone: Phone
    password: Password
    consent_health_data: bool = False


class Contact(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A new e-mail, a new phone number, or both; with the password."""

    email: Email | None = None
    phone: Phone | None = None
    password: Password


class Credentials(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """E-mail and password."""

    email: Email
    password: Password


class Notifications(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which mails a person wants; between `quiet_from` and `quiet_to` (local times) none comes."""

    morning_mail: bool = False
    evening_mail: bool = False
    weekly_digest: bool = False
    quiet_from: dt.time | None = None
    quiet_to: dt.time | None = None

    @property
    def any_mail(self) -> bool:
        """At least one kind of mail is switched on."""
        return self.morning_mail or self.evening_mail or self.weekly_digest


class Preferences(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a person likes their sessions; times are local in `time_zone`."""

    voice_preference: Voice = "none"
    background_sound_type: Annotated[str, msgspec.Meta(max_length=50)] = "nature"
    preferred_duration: Annotated[int, msgspec.Meta(ge=5, le=120)] = 20
    morning_routine_time: dt.time | None = None
    evening_routine_time: dt.time | None = None
    time_zone: Annotated[str, msgspec.Meta(max_length=64)] = "UTC"
    notifications: Notifications = Notifications()


def check_preferences(wish: Preferences) -> None:
    """Raises BadInput for a routine time that is more than a time of the day: the zone is `time_zone` alone."""
    for field in ("morning_routine_time", "evening_routine_time"):
        time: dt.time | None = getattr(wish, field)
        if time is not None and (time.tzinfo is not None or time.microsecond):
            raise BadInput(field, "must be a time without zone and fractions", "a time like 07:30:00")
    told = wish.notifications
    for field in ("quiet_from", "quiet_to"):
        time = getattr(told, field)
        if time is not None and (time.tzinfo is not None or time.microsecond):
            raise BadInput(field, "must be a time without zone and fractions", "a time like 22:00:00")
    if (told.quiet_from is None) != (told.quiet_to is None):
        missing = "quiet_to" if told.quiet_to is None else "quiet_from"
        raise BadInput(missing, "is missing: quiet hours have a beginning and an end", "both times, or neither")
    for field, wanted, of_day in (
        ("morning_routine_time", told.morning_mail, wish.morning_routine_time),
        ("evening_routine_time", told.evening_mail, wish.evening_routine_time),
    ):
        if wanted and of_day is None:
            raise BadInput(field, "is needed for the mail at this time", "a time like 07:30:00")


def normal_email(text: str) -> str:
    """The one written form of an e-mail address (NFC, lower case). Raises BadInput."""
    try:
        found = validate_email(text.strip(), check_deliverability=False, allow_smtputf8=True)
    except EmailNotValidError:
        raise BadInput("email", "is not an e-mail address", "something like name@example.org") from None
    return found.normalized.lower()


def account_key(text: str) -> str:
    """What tries are counted by: one key for every spelling of an address; for what is none, the text itself."""
    try:
        return normal_email(text)
    except BadInput:
        return text.strip().lower()


def normal_phone(text: str) -> str:
    """The number as E.164, such as +442079460000. Raises BadInput."""
    allowed = "an international number starting with +, such as +44 20 7946 0000"
    try:
        found = phonenumbers.parse(text.strip(), None)
    except phonenumbers.NumberParseException:
        raise BadInput("phone", "is not a phone number with its country code", allowed) from None
    if not phonenumbers.is_possible_number(found):
        raise BadInput("phone", "is not a possible phone number", allowed)
    return phonenumbers.format_number(found, phonenumbers.PhoneNumberFormat.E164)


def check_password(password: str, own: tuple[str, ...]) -> None:
    """Raises BadInput for a password that is short or easily guessed; `own` words count as guessable."""
    from zxcvbn import zxcvbn  # its word lists take 30 MB; only a new password needs them

    if len(password) < SHORTEST_PASSWORD:
        raise BadInput(
            "password", f"is too short: use at least {SHORTEST_PASSWORD} characters; a few words are fine"
        )
    left = password.lower()
    for word in sorted({word.lower() for word in own if len(word) >= _OWN_WORD}, key=len, reverse=True):
        left = left.replace(word, "")
    if left != password.lower() and len(left.strip()) < _BESIDE_OWN:  # which zxcvbn takes for strong once a blank stands between
        raise BadInput("password", "is easily guessed: it is hardly more than your own address or number, or our name")
    found = zxcvbn(password[:_ZXCVBN_READS], user_inputs=[word for word in own if word], max_length=_ZXCVBN_READS)
    if found["score"] < 3:
        raise BadInput("password", "is easily guessed: try three or four unrelated words")


def recovery_code(chance: bytes) -> str:
    """A code for one recovery, four groups of four letters (78 bits from 16 bytes of chance)."""
    letters = "".join(_CODE_ALPHABET[byte % len(_CODE_ALPHABET)] for byte in chance[:CODE_LENGTH])
    return "-".join(letters[i : i + 4] for i in range(0, CODE_LENGTH, 4))


def code_hash(code: str) -> str:
    """The stored digest of a code as a person may type it: any case, with or without dashes."""
    return hashlib.sha256(re.sub(r"[^A-Z0-9]", "", code.upper()).encode()).hexdigest()


def proof_hash(proof: str) -> str:
    """The stored digest of a proof; that of a challenge is another one, also of the same letters."""
    return hashlib.sha256(b"proof\0" + proof.encode()).hexdigest()


def device_name(user_agent: str) -> str:
    """A few words for the list of logins, such as "Firefox on Android"; no version, no fingerprint."""
    browsers = (("Edg", "Edge"), ("OPR", "Opera"), ("Firefox", "Firefox"), ("Chrom", "Chrome"), ("Safari", "Safari"))
    systems = (
        ("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("Windows", "Windows"),
        ("Mac OS", "Mac"), ("CrOS", "ChromeOS"), ("Linux", "Linux"),
    )  # fmt: skip
    browser = next((name for mark, name in browsers if mark in user_agent), None)
    system = next((name for mark, name in systems if mark in user_agent), None)
    if browser and system:
        return f"{browser} on {system}"
    return browser or system or "A program"
