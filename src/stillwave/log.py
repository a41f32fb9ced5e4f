"""Structured logs on standard error: an event name, an action and ids; never a personal value or a secret."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

# The only keys an event may carry. Anything else is dropped, so that a careless line cannot leak.
_ALLOWED = {
    "event", "level", "timestamp", "action", "user_id", "session_id", "login_id", "status", "method",
    "route", "duration_ms", "error", "count", "address", "path", "version", "engine", "exception", "where",
}  # fmt: skip


def _only_allowed(_logger: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {key: value for key, value in event.items() if key in _ALLOWED}


def set_up(*, debug: bool = False) -> None:
    """Logs are JSON lines on standard error, readable ones when a person watches."""
    watching = sys.stderr.isatty()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _only_allowed,
            structlog.dev.ConsoleRenderer() if watching else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG if debug else logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def where(error: BaseException) -> str:
    """File and line an error came from; its message may hold values and is left out."""
    trace = error.__traceback__
    place = "?"
    while trace is not None:
        code = trace.tb_frame.f_code
        place = f"{code.co_filename.rsplit('/stillwave/', 1)[-1]}:{trace.tb_lineno}"
        trace = trace.tb_next
    return f"{type(error).__name__} {place}"


log: Any = structlog.get_logger()
