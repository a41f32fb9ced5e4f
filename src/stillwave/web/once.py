"""Idempotency keys: a POST sent twice with the same key has one effect and the same answer."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from litestar import Request, Response

from stillwave.db.database import Tx
from stillwave.errors import BadInput, Conflict
from stillwave.web import gate
from stillwave.web.gate import SQL, Me
from stillwave.web.kit import kit_of

_PLACE = "idempotency_keys.body"
_LONGEST = 128
T = TypeVar("T")


class _Kept(msgspec.Struct):
    request_sha256: str
    status: int
    body: str


async def remember_body(request: Request[Any, Any, Any]) -> None:
    """Keeps the digest of the body for `answer`; handlers run in threads and cannot await it."""
    if "idempotency-key" in request.headers:
        digest = hashlib.sha256(f"{request.method} {request.url.path}\n".encode() + await request.body())
        request.scope["state"]["body_sha256"] = digest.hexdigest()


def answer(request: Request[Any, Any, Any], produce: Callable[[Tx, Me], T], *, status: int = 201) -> Response[T]:
    """Runs `produce` in a writing transaction and answers with its JSON, once per Idempotency-Key.

    The key is claimed first: a second request with it waits in the database for the first to end. What
    is kept of the answer is sealed. Raises BadInput for a key that is too long or reused for something else.
    """
    key = request.headers.get("idempotency-key")
    if key is not None and not (0 < len(key) <= _LONGEST and key.isascii() and key.isprintable()):
        raise BadInput("Idempotency-Key", "cannot be used", f"1 to {_LONGEST} visible ASCII characters")
    with gate.write(request) as (tx, me):
        if key is None:
            return _json(msgspec.json.encode(produce(tx, me)), status)
        # Only a digest is kept: a key may hold words, and an index forgets the text of a key that is gone only when it is made anew.
        kept_as = hashlib.sha256(f"{me.user_id}\0{key}".encode()).hexdigest()
        digest = request.scope["state"]["body_sha256"]
        nothing = tx.vault.seal(me.user_id, _PLACE, me.user_id, "")
        now = kit_of(request).clock()
        if not tx.run(SQL.claim_key, user_id=me.user_id, key=kept_as, request_sha256=digest, body=nothing, now=now):
            kept = tx.one(_Kept, SQL.answer_of_key, user_id=me.user_id, key=kept_as)
            if kept is None:
                raise Conflict("This request is being worked on. Please try again.")
            if kept.request_sha256 != digest:
                raise BadInput("Idempotency-Key", "was used for a different request", "a new key")
            return _json(tx.vault.open(me.user_id, _PLACE, me.user_id, kept.body).encode(), kept.status)
        body = msgspec.json.encode(produce(tx, me))
        tx.run(
            SQL.keep_answer, user_id=me.user_id, key=kept_as, status=status,
            body=tx.vault.seal(me.user_id, _PLACE, me.user_id, body.decode()),
        )  # fmt: skip
    return _json(body, status)


def _json(body: bytes, status: int) -> Response[Any]:
    return Response(body, status_code=status, media_type="application/json")
