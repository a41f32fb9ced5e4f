"""Server-rendered pages: Jinja templates beside their feature, one layout, one-time notices."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import jinja2
from litestar import MediaType, Request, Response
from litestar.datastructures import CacheControlHeader, Cookie

from stillwave.errors import StillwaveError

_ROOT = Path(__file__).parent.parent
STATIC = Path(__file__).parent / "static"
# A static address changes with its content (see `static_url`).
FOREVER = CacheControlHeader(max_age=31_536_000, public=True, immutable=True)
_NOTICE = "stillwave_notice"
_HOST_PREFIX = "__Host-"
_MEASURE = re.compile(r"(\d) (Hz|%|s\b|min\b)")
# What msgspec says of a value (see intake.py), and what people say.
_WORDS = tuple(
    (re.compile(pattern), words)
    for pattern, words in (
        ("must be (int|float) >", "is too small"), ("must be (int|float) <", "is too large"), ("must be .* of length >", "is too short"),
        ("must be .* of length <", "is too long"), ("must be int", "is not a whole number"), ("must be float", "is not a number"),
        ("must be date|Invalid .*date", "is not a date"), ("must be time|Invalid .*time", "is not a time"), ("must be bool", "is neither yes nor no"),
    )
)  # fmt: skip


def cookie_of(request: Request[Any, Any, Any], name: str) -> str | None:
    """The value of one of our cookies. Over TLS they are bound to this very host (see `bound_cookie`)."""
    return request.cookies.get(_HOST_PREFIX + name if request.app.state.kit.settings.secure_cookies else name)


def bound_cookie(header: bytes) -> bytes:
    """The Set-Cookie header of one of our cookies as it is sent over TLS: no other host, and nothing unencrypted, can set it."""
    bound = _HOST_PREFIX.encode() + header
    return bound if b"; secure" in header.lower() else bound + b"; Secure"


@cache
def _templates() -> jinja2.Environment:
    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_ROOT),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.globals["static"] = static_url
    found.filters["tied"] = tied
    return found


def tied(text: str) -> str:
    """The text with each number on the line of its unit: 13 Hz, 4.5 of 5, 1 %."""
    return _MEASURE.sub("\\1\u00a0\\2", text).replace(" of 5", "\u00a0of\u00a05")


def warm_up() -> None:
    """Every template is compiled (3 to 30 ms each), so that nobody's first look at a page waits for it."""
    # What all pages stand on and a stranger sees first goes first: somebody may be here already.
    first = ("web/layout.html", "web/parts.html", "web/landing.html", "accounts/sign_in.html", "progress/today.html")
    for name in dict.fromkeys((*first, *_templates().list_templates(extensions=["html"]))):
        _templates().get_template(name)


@cache
def static_url(name: str) -> str:
    """The address of a static file; it changes with its content, so that it can be cached for a year."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
    return f"/static/{name}?v={digest}"


def render(template: str, **context: Any) -> str:  # noqa: ANN401
    """The template filled in, escaped."""
    return _templates().get_template(template).render(**context)


def page(
    request: Request[Any, Any, Any],
    template: str,
    *,
    me: object = None,
    status: int = 200,
    headers: dict[str, str] | None = None,
    notice: str | None = None,
    **context: Any,  # noqa: ANN401
) -> Response[str]:
    """The rendered template as an answer; a notice left by the request before is shown once."""
    kept = cookie_of(request, _NOTICE)
    told = notice or (unquote(kept) if kept else None)
    if me is None:
        me = request.scope.get("state", {}).get("me")
    text = render(template, me=me, path=request.url.path, notice=told, status=status, **context)
    answer = Response(text, status_code=status, headers=headers or {}, media_type=MediaType.HTML)
    if kept:
        answer.delete_cookie(_NOTICE)
    return answer


def see_other(path: str, *, notice: str | None = None, cookies: list[Cookie] | None = None) -> Response[None]:
    """303: the browser goes on to `path` with GET. `notice` is shown there once."""
    cookies = list(cookies or [])
    if notice:
        cookies.append(
            Cookie(key=_NOTICE, value=quote(notice), max_age=60, httponly=True, samesite="lax", path="/")
        )
    return Response(None, status_code=303, headers={"Location": path}, cookies=cookies)


def form_again(
    request: Request[Any, Any, Any], template: str, form: Mapping[str, Any], error: StillwaveError, *,
    names: Mapping[str, str] | None = None, **context: Any,  # noqa: ANN401
) -> Response[str]:  # fmt: skip
    """The form once more with what was entered (never passwords) and what to change, beside its field.

    `names`: what a field is called in the form, where that differs from the API.
    """
    names = names or {}
    entries = error.extra.get("errors")
    errors = {"": error.detail}
    if isinstance(entries, list):
        errors = {names.get(entry["field"], entry["field"]): _sentence(entry) for entry in entries}
    values = {name: value for name, value in form.items() if "password" not in name and name != "code"}
    return page(
        request, template, status=error.status, headers=error.headers, errors=errors, values=values, **context
    )


def in_words(problem: str) -> str:
    """What is wrong with a field, for people: programs are told `must be int >= 5`."""
    return next((words for pattern, words in _WORDS if pattern.match(problem)), problem)


def _sentence(entry: Mapping[str, Any]) -> str:
    allowed = entry.get("allowed")
    if isinstance(allowed, list):
        allowed = ", ".join(str(part) for part in allowed)
    text = f"This {in_words(entry['problem'])}."
    return f"{text} We take {allowed}." if isinstance(allowed, str) else text
