"""How long the server waits for a request to come in: whoever sends it byte by byte holds no connection for long."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from litestar import Request
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from stillwave.errors import TooSlow

BODY_WITHIN_S = 20.0


class Patient(HttpToolsProtocol):
    """uvicorn's protocol, which closes a connection whose headers are not all there in time."""

    headers_within_s: ClassVar[float] = 20.0
    _closing: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_headers()

    def on_message_begin(self) -> None:
        self._await_headers()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._stop_waiting()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _await_headers(self) -> None:
        self._stop_waiting()
        self._closing = self.loop.call_later(self.headers_within_s, self.timeout_keep_alive_handler)

    def _stop_waiting(self) -> None:
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None


async def await_body(request: Request[Any, Any, Any]) -> None:
    """The body is here. Raises TooSlow when it does not come in time; a body that is too large is refused by the framework."""
    if request.method in ("GET", "HEAD", "OPTIONS"):
        return
    try:
        async with asyncio.timeout(BODY_WITHIN_S):
            await request.body()
    except TimeoutError:
        raise TooSlow("Your request did not arrive in time. Please send it again.") from None
