"""Route decorators: every handler is synchronous and runs in a thread; pages stay out of the API's schema."""

from __future__ import annotations

from functools import partial

from litestar import delete, get, patch, post, put

api_get = partial(get, sync_to_thread=True)
api_post = partial(post, sync_to_thread=True)
api_put = partial(put, sync_to_thread=True)
api_patch = partial(patch, sync_to_thread=True)
api_delete = partial(delete, sync_to_thread=True)
page_get = partial(get, sync_to_thread=True, include_in_schema=False)
page_post = partial(post, sync_to_thread=True, include_in_schema=False)
