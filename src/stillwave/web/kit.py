"""What every request needs, opened once: settings, database, limits, mail, the clock."""

from __future__ import annotations

import datetime as dt
import ipaddress
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from litestar import Request

from stillwave.db.database import PostgresDatabase, SqliteDatabase
from stillwave.settings import Settings
from stillwave.web.limits import RateLimits
from stillwave.web.mail import Mailer
from stillwave.web.meter import Meter


def system_clock() -> dt.datetime:
    """Now, in UTC, to the millisecond (what both engines keep)."""
    now = dt.datetime.now(dt.UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


class Kit(msgspec.Struct, frozen=True, kw_only=True):
    """The open parts of a running Stillwave."""

    settings: Settings
    database: SqliteDatabase | PostgresDatabase
    limits: RateLimits
    mail: Mailer
    clock: Callable[[], dt.datetime] = system_clock
    meter: Meter = msgspec.field(default_factory=Meter)
    pace_s: float = 1.0


@contextmanager
def evenly(kit: Kit) -> Iterator[None]:
    """The block took a whole number of paces (`pace_s`), unless it raised.

    Making an account takes longer than finding one; whoever waits for the answer must not learn which it was. The work
    is far shorter than a pace, so nearly every answer takes one.
    """
    began_s = time.monotonic()
    yield
    if kit.pace_s:
        time.sleep((began_s - time.monotonic()) % kit.pace_s)


def kit_of(request: Request[Any, Any, Any]) -> Kit:
    """The kit of the application that got this request."""
    kit: Kit = request.app.state.kit
    return kit


def address_of(request: Request[Any, Any, Any]) -> str:
    """The network address a request came from (behind a proxy on this machine: the one it forwards).

    Of IPv6 the first 64 bits: the rest each household chooses as it likes, so it would be no limit.
    """
    return network_of(request.client.host if request.client else "unknown")


def network_of(host: str) -> str:
    """The address, or of IPv6 its network of 64 bits."""
    try:
        found = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if found.version == 4:
        return str(found)
    return str(found.ipv4_mapped or ipaddress.ip_network((int(found) >> 64 << 64, 64)))
