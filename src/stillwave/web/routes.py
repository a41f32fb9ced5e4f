"""Route decorators: every handler is synchronous and runs in a thread; pages stay out of the API's schema.

Litestar's own `sync_to_thread` wraps a handler twice when its path has a second method (2.25), and then answers
with a coroutine; so the thread is entered here.
"""

from __future__ import annotations

# ruff: noqa: ANN401  what Litestar calls a handler with is its own affair
import functools
from collections.abc import Callable
from typing import Any

from anyio.to_thread import run_sync
from litestar import delete, get, patch, post, put
from litestar.handlers import HTTPRouteHandler

Handler = Callable[..., Any]


def _threaded(decorator: Callable[..., Any], **fixed: Any) -> Callable[..., Callable[[Handler], HTTPRouteHandler]]:
    def route(path: str, **options: Any) -> Callable[[Handler], HTTPRouteHandler]:
        def register(handler: Handler) -> HTTPRouteHandler:
            @functools.wraps(handler)
            async def in_thread(*args: Any, **kwargs: Any) -> Any:
                return await run_sync(functools.partial(handler, *args, **kwargs))

            made: HTTPRouteHandler = decorator(path, **fixed, **options)(in_thread)
            return made

        return register

    return route


api_get = _threaded(get)
api_post = _threaded(post)
api_put = _threaded(put)
api_patch = _threaded(patch)
api_delete = _threaded(delete)
page_get = _threaded(get, include_in_schema=False)
page_post = _threaded(post, include_in_schema=False)
