"""When work is tried again, and when it is given up. Pure: no clock, chance or database."""

from __future__ import annotations

import datetime as dt
from typing import Final
from uuid import UUID

import msgspec

# Whose work the installation's own is.
NOBODY: Final = UUID(int=0)
# A worker that says nothing for so long is taken for dead, and its job is begun again.
LEASE: Final = dt.timedelta(minutes=15)
# 30 s, 2 min, 8 min, 32 min, 2 h: then it is dead.
MOST_FAILURES: Final = 6
# A job that kills its worker each time never fails; it is given up all the same.
MOST_CUT_OFF: Final = 5
_FIRST_WAIT = dt.timedelta(seconds=30)
_LONGEST_WAIT = dt.timedelta(hours=6)


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One job as its worker holds it: to do what, for whom, to what."""

    user_id: UUID
    id: UUID
    kind: str
    subject: str
    attempts: int
    failures: int

    @property
    def cut_off(self) -> int:
        """How many earlier tries ended without a word: nobody knows how far they came."""
        return self.attempts - 1 - self.failures


def wait(failures: int) -> dt.timedelta:
    """How long to wait after so many failures (at least one): four times as long each time."""
    times: int = 4 ** min(failures - 1, 10)
    return min(_FIRST_WAIT * times, _LONGEST_WAIT)
