"""A breach of security: what could be read, whom to tell until when, and the letters. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Final

import msgspec

from stillwave.errors import BadInput

AUTHORITY_WITHIN: Final = dt.timedelta(hours=72)  # GDPR 33(1)
PEOPLE_WITHIN: Final = dt.timedelta(days=60)  # HIPAA 164.404(b); GDPR 34: without undue delay
MANY: Final = 500  # HIPAA 164.406, 164.408: then the media and the Secretary as well
WHAT: Final = {
    "database": "a copy of the database",
    "backup": "a backup",
    "key": "the root key or the key store",
    "login": "somebody's sign-in",
    "logs": "the logs of the server",
}
# How far each privacy class could be read, by what was reached.
SEALED, OPEN, NOTHING = "sealed: cannot be read", "readable", "not reached"


class Breach(msgspec.Struct, frozen=True, kw_only=True):
    """One breach as it is on record."""

    id: object
    since_at: dt.datetime
    until_at: dt.datetime
    known_at: dt.datetime
    what: str
    people: int
    authority_told_at: dt.datetime | None = None
    people_told_at: dt.datetime | None = None

    @property
    def kinds(self) -> list[str]:
        """What was reached."""
        return self.what.split(" ")

    def clocks(self) -> list[tuple[str, dt.datetime, dt.datetime | None]]:
        """Who is to be told, until when, and when they were."""
        return [
            ("authority", self.known_at + AUTHORITY_WITHIN, self.authority_told_at),
            ("people", self.known_at + PEOPLE_WITHIN, self.people_told_at),
        ]

    def is_late(self, now: dt.datetime) -> bool:
        """Somebody should have been told by now."""
        return any(told is None and now > due for _who, due, told in self.clocks())


class Field(msgspec.Struct, frozen=True):
    """A column, whether it is sealed, and how far it could be read."""

    column: str
    privacy: str
    sealed: bool
    state: str


def checked(what: Sequence[str], since: dt.datetime, until: dt.datetime, now: dt.datetime) -> str:
    """The kinds in their order, as one text. Raises BadInput for an unknown one, or times that cannot be."""
    unknown = [kind for kind in what if kind not in WHAT]
    if unknown or not what:
        raise BadInput("--what", "is not something that can be reached", list(WHAT))
    if not since <= until <= now:
        raise BadInput("--since", "does not lie before --until and now", "times such as 2026-11-20T08:00")
    return " ".join(kind for kind in WHAT if kind in what)


def state_of(kinds: Sequence[str], *, sealed: bool, digest: bool, whole_file_encrypted: bool) -> str:
    """How far a column could be read.

    Who has the key as well as a copy reads everything but digests. A copy alone shows nothing of an encrypted file or a
    sealed backup; of a plain one it shows what is not sealed. A sign-in shows what its person sees.
    """
    copied = "database" in kinds or "backup" in kinds
    if digest and not ("key" in kinds and copied and sealed):
        return "only a digest" if copied else NOTHING
    if "login" in kinds or ("key" in kinds and copied):
        return OPEN
    if not copied:
        return NOTHING
    if "database" in kinds and not whole_file_encrypted:
        return SEALED if sealed else OPEN
    return SEALED


def authority_letter(breach: Breach, fields: Sequence[Field], erased: int) -> str:
    """What GDPR 33(3) asks for, as far as the program knows it."""
    readable = _list(fields, OPEN)
    return f"""Notification of a personal data breach (GDPR, Article 33)

Known since:        {_at(breach.known_at)}
To be sent until:   {_at(breach.known_at + AUTHORITY_WITHIN)}
The breach lasted:  {_at(breach.since_at)} to {_at(breach.until_at)}
Reached:            {_spoken(breach)}
People concerned:   {breach.people} with an account; {erased} more were erased since and cannot be told
Number in the log:  {breach.id}

Categories of data that could be read
{readable or "  none"}

Categories of data that were reached, but are sealed under keys that were not
{_list(fields, SEALED) or "  none"}

Likely consequences
  [what may follow for these people]

Measures taken
  [what you did, and what you will do]
  The copies that were made are of words sealed with AES-256-GCM under a key of each person's own.

Contact
  [name, address, telephone of the controller or data protection officer]

Where HIPAA applies: tell the people until {_at(breach.known_at + PEOPLE_WITHIN)} (164.404){
    ", and the media and the Secretary with them (164.406, 164.408), for more than 500 are concerned" if breach.people > MANY
    else ", and the Secretary within 60 days of the end of the year (164.408)"}.
"""


def person_letter(address: str, breach: Breach, fields: Sequence[Field], contact: str) -> str:
    """What GDPR 34(2) and HIPAA 164.404(c) ask for, in plain words."""
    readable = sorted({_WORDS.get(field.privacy, field.privacy) for field in fields if field.state == OPEN})
    told = "These of your data could be read: " + ", ".join(readable) + "." if readable else "None of your data could be read."
    words = "What you wrote in your own words, your e-mail and your phone number are sealed under a key of your own, which was not reached."
    return f"""To: {address}
Subject: About your data at Stillwave

Hello,

between {_at(breach.since_at)} and {_at(breach.until_at)} somebody reached {_spoken(breach)} of the Stillwave where you
have an account. We have known it since {_at(breach.known_at)}.

{told}
{words if not any(field.sealed and field.state == OPEN for field in fields) else "That includes what you wrote in your own words."}

What we did
[what you did, and what you will do]

What you can do
- Choose a new password at Stillwave, and wherever else you used the same one.
- Turn on the second step, and look where you are signed in: both are on your privacy page.
- See what was done with your data: it is in your log, on the same page.

Questions go to {contact}.
"""


_WORDS = {
    "contact": "your e-mail and phone number", "account": "the state of your account", "preference": "what you set",
    "behaviour": "what you did and when", "health": "how you felt, what you rated, and what was learned from it",
    "identifier": "numbers that stand for you", "secret": "what proves who you are",
}  # fmt: skip


def _list(fields: Sequence[Field], state: str) -> str:
    by_class: dict[str, list[str]] = {}
    for field in fields:
        if field.state == state:
            by_class.setdefault(field.privacy, []).append(field.column)
    return "\n".join(f"  {_WORDS.get(name, name)}: {', '.join(columns)}" for name, columns in by_class.items())


def _at(moment: dt.datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _spoken(breach: Breach) -> str:
    return ", ".join(WHAT[kind] for kind in breach.kinds)
