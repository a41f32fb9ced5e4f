"""Route decorators: every handler is synchronous; pages stay out of the API's schema.

A handler runs in a thread. One that is `short` lets the database choose: the embedded one runs it in the event loop,
so it must not render, hash a password, wait, or open one transaction inside another, and what it does after its last
transaction must not rest on that being stored.

Litestar's own `sync_to_thread` wraps a handler twice when its path has a second method (2.25), and then answers
with a coroutine; so the thread is entered here.
"""

from __future__ import annotations

# ruff: noqa: ANN401  what Litestar calls a handler with is its own affair
import functools
from collections.abc import Callable
from typing import Any

from anyio.to_thread import run_sync
from litestar import Request, delete, get, patch, post, put
from litestar.handlers import HTTPRouteHandler

from stillwave.web.gate import AFTERWARDS
from stillwave.web.kit import kit_of

Handler = Callable[..., Any]


def _registered(decorator: Callable[..., Any], *, writes: bool, **fixed: Any) -> Callable[..., Callable[[Handler], HTTPRouteHandler]]:
    def route(path: str, *, short: bool = False, **options: Any) -> Callable[[Handler], HTTPRouteHandler]:
        def register(handler: Handler) -> HTTPRouteHandler:
            @functools.wraps(handler)
            async def run(*args: Any, **kwargs: Any) -> Any:
                work = functools.partial(handler, *args, **kwargs)
                return await _at_once(kwargs["request"], work, writes=writes) if short else await run_sync(work)

            made: HTTPRouteHandler = decorator(path, **fixed, **options)(run)
            return made

        return register

    return route


async def _at_once(request: Request[Any, Any, Any], work: Callable[[], Any], *, writes: bool) -> Any:
    database = kit_of(request).database
    answer = await database.at_once(work, writes=writes)
    afterwards = request.scope["state"].pop(AFTERWARDS, None)
    if afterwards is not None:
        await database.at_once(afterwards, writes=True)
    return answer


api_get = _registered(get, writes=False)
api_post = _registered(post, writes=True)
api_put = _registered(put, writes=True)
api_patch = _registered(patch, writes=True)
api_delete = _registered(delete, writes=True)
page_get = _registered(get, writes=False, include_in_schema=False)
page_post = _registered(post, writes=True, include_in_schema=False)
