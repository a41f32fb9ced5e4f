"""The web application: every feature's handlers, the kit they share, the headers every answer carries."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from litestar import Litestar, Request
from litestar.config.compression import CompressionConfig
from litestar.datastructures import State
from litestar.plugins import PluginProtocol
from litestar.plugins.core import MsgspecDIPlugin
from litestar.static_files import create_static_files_router
from litestar.types import Message, Scope

from stillwave import demo, duties
from stillwave.accounts import web as accounts
from stillwave.emergency import web as emergency
from stillwave.factors import passkey_web as passkeys
from stillwave.factors import web as factors
from stillwave.feedback import web as feedback
from stillwave.operator import web as operator
from stillwave.privacy import web as privacy
from stillwave.profiles import web as profiles
from stillwave.progress import web as progress
from stillwave.reminders import web as reminders
from stillwave.sessions import audio
from stillwave.sessions import web as sessions
from stillwave.web import document, gate, intake, once, pages, patience, problem, shell
from stillwave.web.kit import Kit

_POLICY = (
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'; "
    "img-src 'self' data:"
)
_HEADERS = {
    b"content-security-policy": _POLICY.encode(),
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"permissions-policy": b"camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
}
_BODY_MOST_BYTES = 64 * 1024


async def _before(request: Request[Any, Any, Any]) -> None:
    request.scope["state"]["began"] = time.perf_counter()
    gate.refuse_foreign(request)
    await patience.await_body(request)
    await once.remember_body(request)
    await intake.check_json(request)


async def _add_headers(message: Message, scope: Scope) -> None:
    if message["type"] != "http.response.start":
        return
    kit: Kit = scope["app"].state.kit
    kit.meter.answered(scope, message["status"])
    headers = list(message.get("headers", []))
    present = {name.lower() for name, _ in headers}
    headers += [(name, value) for name, value in _HEADERS.items() if name not in present]
    if b"cache-control" not in present:
        headers.append((b"cache-control", b"no-store"))
    began = scope.get("state", {}).get("began")
    if began is not None:  # not for static files: their answers are kept, and the figure with them
        headers.append((b"server-timing", b"total;dur=%.1f" % (1000 * (time.perf_counter() - began))))
    if kit.settings.secure_cookies:
        headers = [(name, pages.bound_cookie(value) if name.lower() == b"set-cookie" else value) for name, value in headers]
        headers.append((b"strict-transport-security", b"max-age=31536000"))
    message["headers"] = headers


class _App(Litestar):
    """Litestar without its plugins for other model libraries: importing pydantic, which the command line brings
    along, costs 0.4 s of every start and serves nothing here. Should Litestar rename this method, only that is lost.
    """

    @staticmethod
    def _get_default_plugins(plugins: list[PluginProtocol]) -> list[PluginProtocol]:
        return [*plugins, MsgspecDIPlugin()]


def _warm_up() -> None:
    pages.warm_up()
    audio.warm_up()


def create_app(kit: Kit, *, warm: bool = True) -> Litestar:
    """The application over an open kit; it closes the kit when it ends."""
    files = audio.SoundFiles(kit.settings, kit.database)
    worker = duties.worker(kit, files)

    @asynccontextmanager
    async def running(_app: Litestar) -> AsyncIterator[None]:
        files.begin()
        duties.erase_again(kit, files)
        if warm:
            threading.Thread(target=_warm_up, name="warm-up", daemon=True).start()
        if kit.settings.works_inside:
            worker.start()
        try:
            yield
        finally:
            worker.stop()
            kit.mail.close()
            kit.database.close()
            kit.database.vault.keys.close()

    return _App(
        route_handlers=[
            *accounts.HANDLERS, *factors.HANDLERS, *passkeys.HANDLERS, *profiles.HANDLERS, *sessions.HANDLERS, *feedback.HANDLERS, *progress.HANDLERS,
            *privacy.HANDLERS, *reminders.HANDLERS, *operator.HANDLERS, *emergency.HANDLERS, *shell.HANDLERS, demo.try_demo,
            create_static_files_router(path="/static", directories=[pages.STATIC], cache_control=pages.FOREVER),
        ],
        state=State({"kit": kit, "files": files}),
        before_request=_before,
        before_send=[_add_headers],
        exception_handlers={Exception: problem.refuse},
        request_max_body_size=_BODY_MOST_BYTES,
        lifespan=[running],
        compression_config=CompressionConfig(backend="gzip", exclude=[r"audio\.(wav|flac|opus)", "/export"]),
        openapi_config=document.config("/api/v1/schema"),
        logging_config=None,
    )  # fmt: skip
