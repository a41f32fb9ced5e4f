"""Every refusal Stillwave knows, in one tree; each knows its HTTP status and says what to change.

StillwaveError
├── BadInput 422            a field is wrong: names the field and what is allowed
├── NotSignedIn 401         └── SecondStepNeeded
├── Forbidden 403           ├── ConsentNeeded  ├── Leaving
├── NotFound 404            also for what belongs to someone else
├── Conflict 409            ├── ScreeningNeeded  ├── ConfirmNeeded  ├── NothingLeft
├── TooSlow 408             the request did not arrive in time
├── TooMany 429
├── Unavailable 503         the database is busy or away: try again
├── StorageFull 507
├── BadBackup               a backup that is not whole, not ours, or does not fit (exit status 1)
├── ClockDoubted            housekeeping waits: the clock jumped (exit status 1)
└── CannotStart             the operator must act before anything runs (exit status 78)
    └── OutOfReach          the database is not there for now: starting again later helps (exit status 69)
"""

from __future__ import annotations

from typing import ClassVar


class StillwaveError(Exception):
    """A refusal with a message that a person can act on. Never holds personal values."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Something went wrong"

    def __init__(self, detail: str, **extra: object) -> None:
        super().__init__(detail)
        self.detail = detail
        self.extra = extra
        self.headers: dict[str, str] = {}


class BadInput(StillwaveError):
    """One or more fields are wrong; `errors` lists field, problem and what is allowed."""

    status = 422
    title = "Please check what you entered"

    def __init__(self, field: str, problem: str, allowed: object = None) -> None:
        entry: dict[str, object] = {"field": field, "problem": problem}
        if allowed is not None:
            entry["allowed"] = allowed
        super().__init__(f"{field}: {problem}", errors=[entry])


class NotSignedIn(StillwaveError):
    """Nobody is signed in, or the login has ended."""

    status = 401
    title = "Please sign in"


class SecondStepNeeded(NotSignedIn):
    """The password was right; the code of the second step is still due."""

    title = "One more step"


class Forbidden(StillwaveError):
    """Signed in, but not allowed."""

    status = 403
    title = "Not allowed"


class ConsentNeeded(Forbidden):
    """Health data may not be stored before explicit consent."""

    title = "Your consent is needed first"


class Leaving(Forbidden):
    """The person asked for erasure: until it is final or taken back, nothing else is done with the account."""

    title = "This account is about to be erased"


class NotFound(StillwaveError):
    """Not there, or not yours: the answer is the same."""

    status = 404
    title = "Not found"


class Conflict(StillwaveError):
    """The state of things does not allow it now."""

    status = 409
    title = "Not possible right now"


class ScreeningNeeded(Conflict):
    """The safety questions come before the first session."""

    title = "The safety questions come first"


class ConfirmNeeded(Conflict):
    """Something has to be read and confirmed first; `confirm` lists the sentences."""

    title = "Please read and confirm first"


class NothingLeft(Conflict):
    """The screening leaves nothing of what was asked for; `possible` lists what still is."""

    title = "Not with your safety answers"


class TooSlow(StillwaveError):
    """The request did not arrive in time."""

    status = 408
    title = "This took too long"


class TooMany(StillwaveError):
    """A limit is used up; `Retry-After` says when it opens again."""

    status = 429
    title = "Too many tries"

    def __init__(self, detail: str, retry_after_s: int) -> None:
        super().__init__(detail)
        self.headers = {"Retry-After": str(max(1, retry_after_s))}


class Unavailable(StillwaveError):
    """The database is busy or out of reach for now."""

    status = 503
    title = "Please try again in a moment"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.headers = {"Retry-After": "2"}


class StorageFull(StillwaveError):
    """The disk is full or cannot be written; nothing was stored."""

    status = 507
    title = "The disk is full"


class CannotStart(StillwaveError):
    """The operator must act first. Nothing was touched."""

    title = "Stillwave cannot start"


class OutOfReach(CannotStart):
    """The database does not answer yet, or not now; whoever started the program may start it again."""


class ConstraintBroken(StillwaveError):
    """The database refused a row; `name` is the constraint's name on both engines."""

    status = 422
    title = "The database refused this"

    def __init__(self, name: str) -> None:
        super().__init__(f"This breaks the rule {name}.")
        self.name = name


class BadBackup(StillwaveError):
    """The file is not whole, not under this root key, or not for this place. Nothing was restored from it."""

    title = "The backup is refused"


class ClockDoubted(StillwaveError):
    """The clock jumped; nothing is deleted by it until it is confirmed."""

    title = "The clock is doubted"
