"""Refusals as RFC 9457 problem+json for programs and as a page for people, rendered in one place."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException

from stillwave.errors import ConstraintBroken, Leaving, NotSignedIn, SecondStepNeeded, StillwaveError
from stillwave.log import log, where
from stillwave.web import pages

_TITLES = {
    400: ("This request cannot be read", "Send well-formed JSON in UTF-8, or a plain form."),
    404: ("Not found", "There is nothing here for you."),
    405: ("This address does not take that", "Look at /api/v1/schema for what it takes."),
    413: ("This is too large", "Send at most 64 kB."),
    415: ("This kind of content is not taken", "Send application/json."),
}


class Wrong(msgspec.Struct):
    """One field that is wrong, and what it takes."""

    field: str
    problem: str
    allowed: Any = msgspec.UNSET


class Problem(msgspec.Struct, kw_only=True):
    """A refusal (RFC 9457). It says what to change and never repeats what was sent; more members may stand beside these."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[Wrong] | msgspec.UnsetType = msgspec.UNSET


def refuse(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """The answer to any error: problem+json under /api, a redirect to sign-in or a page elsewhere."""
    status, body, headers = describe(error)
    if status >= 500:
        log.error("request failed", route=_route(request), method=request.method, where=where(error))
    if request.url.path.startswith(("/api/", "/health", "/metrics")):
        return Response(
            msgspec.json.encode(body), status_code=status, headers=headers, media_type="application/problem+json"
        )
    if isinstance(error, SecondStepNeeded):
        return pages.see_other("/second-step")
    if isinstance(error, Leaving):
        return pages.see_other("/privacy/leaving")
    if isinstance(error, NotSignedIn):
        return pages.see_other("/sign-in", notice="Please sign in first.")
    return pages.page(
        request,
        "web/problem.html",
        status=status,
        headers=headers,
        title=body["title"],
        detail=body["detail"],
        errors=body.get("errors", []),
        retry_seconds=int(headers.get("Retry-After", 0)),
    )


def describe(error: Exception) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Status, problem document and headers of an error. Values from the request never appear in it."""
    if isinstance(error, ConstraintBroken):
        return 422, _document(422, error.title, "A value is outside of what is allowed.", rule=error.name), {}
    if isinstance(error, StillwaveError):
        return error.status, _document(error.status, error.title, error.detail, **error.extra), error.headers
    if isinstance(error, ValidationException):
        entries = [
            {
                # `from` is a word of Python's: the parameter is called `from_` there
                "field": str(entry.get("key", "?")).rstrip("_"),
                "problem": str(entry.get("message", "not valid")).replace("`", "").replace("Expected", "must be"),
            }
            for entry in (error.extra if isinstance(error.extra, list) else [])
            if isinstance(entry, dict)
        ]
        return 422, _document(422, "Please check what you entered", "A field is not valid.", errors=entries), {}
    if isinstance(error, RecursionError):
        return 400, _document(400, _TITLES[400][0], "The JSON is nested too deeply."), {}
    if isinstance(error, HTTPException):
        status = error.status_code
        title, detail = _TITLES.get(status, ("Not possible", "This request cannot be answered."))
        return status, _document(status, title, detail), dict(error.headers or {})
    return 500, _document(500, "Something went wrong", "It is our fault, not yours. Please try again."), {}


def _document(status: int, title: str, detail: str, **more: object) -> dict[str, Any]:
    return {"type": "about:blank", "title": title, "status": status, "detail": detail, **more}


def _route(request: Request[Any, Any, Any]) -> str:
    return str(request.scope.get("path_template") or "?")
