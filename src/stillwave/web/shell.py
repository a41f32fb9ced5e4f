"""What surrounds the pages: the service worker, the page for times without a connection, the style page."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from functools import cache
from typing import Any

import msgspec
from litestar import Request, Response
from markupsafe import Markup

from stillwave.web import charts, gate, pages
from stillwave.web.routes import page_get

Ask = Request[Any, Any, Any]
# What the style page shows, and what only a search engine or the operating system asks for, is not kept by every visitor.
_NOT_KEPT = ("sw.js", "noscript.css", "ripple.svg", "style.js", "manifest.webmanifest")
_TOKEN = re.compile(r"--([a-z][a-z0-9-]*):\s*([^;]+);")
_COLOUR = re.compile(r"#[0-9a-f]{6}")


@cache
def worker() -> bytes:
    """The service worker: its own text after the addresses of what it keeps; a new text replaces the old worker."""
    files = sorted(file.name for file in pages.STATIC.iterdir())
    kept = [pages.static_url(name) for name in files if name not in _NOT_KEPT and not name.endswith(".png")]
    text = (pages.STATIC / "sw.js").read_text(encoding="utf-8")
    offline = (pages.STATIC.parent / "offline.html").read_text(encoding="utf-8")
    layout = (pages.STATIC.parent / "layout.html").read_text(encoding="utf-8")
    version = hashlib.sha256("".join([*kept, text, offline, layout]).encode()).hexdigest()[:12]
    named = f"const VERSION = {msgspec.json.encode(version).decode()}, SHELL = {msgspec.json.encode(kept).decode()};\n"
    return (named + text).encode()


@page_get("/sw.js")
def service_worker(request: Ask) -> Response[bytes]:  # noqa: ARG001
    """The service worker, at the root so that it may see every page; browsers ask for it anew each time."""
    return Response(worker(), media_type="text/javascript", headers={"Cache-Control": "no-cache"})


@page_get("/offline")
def offline_page(request: Ask) -> Response[str]:
    """What the service worker shows when the server cannot be reached; it holds nothing of anybody's."""
    return pages.page(request, "web/offline.html")


@page_get("/style")
def style_page(request: Ask) -> Response[str]:
    """The look of Stillwave on one page, read from the sheet itself; open to all, since nothing of anybody's is in it."""
    me = gate.maybe(request)
    return pages.page(
        request, "web/style.html", me=me, values={"sample_text": "Rain all night."},
        errors={"sample_wrong": "This is not between 5 and 120."}, light=tokens("light"), dark=tokens("dark"),
        sizes=_tokens_of("t"), spaces=_tokens_of("p"), charts=_samples(),
    )  # fmt: skip


@cache
def _sheet() -> str:
    return (pages.STATIC / "app.css").read_text(encoding="utf-8")


def tokens(scheme: str) -> dict[str, str]:
    """The colours of a scheme by their names in `app.css`."""
    root = _sheet().partition(":root {")[2].partition("}\n")[0]
    dark = _sheet().partition("(prefers-color-scheme: dark) {")[2].partition("}\n")[0]
    found = {name: value for name, value in _TOKEN.findall(root) if _COLOUR.fullmatch(value)}
    if scheme == "dark":
        found |= {name: value for name, value in _TOKEN.findall(dark) if _COLOUR.fullmatch(value)}
    return found


def _tokens_of(letter: str) -> dict[str, str]:
    root = _sheet().partition(":root {")[2].partition("}\n")[0]
    return {name: value for name, value in _TOKEN.findall(root) if re.fullmatch(rf"{letter}(\d|-[a-z]+)", name)}


@cache
def _samples() -> dict[str, Markup]:
    """One of each chart, with numbers that belong to nobody."""
    day = dt.date(2026, 11, 25)
    days = [day - dt.timedelta(days=back) for back in range(20, -1, -1)]
    grid = [8 + 5 * step / 8 for step in range(9)]
    scores: dict[str, list[float | None]] = {
        "Sleep": [5.0 + (i % 4) for i in range(21)],
        "Stress": [7.0 - (i % 3) for i in range(21)],
        "Focus": [4.0 + i / 6 for i in range(21)],
    }
    mean, sd = [0.4, 0.45, 0.55, 0.7, 0.6, 0.5, 0.45, 0.42, 0.4], [0.2, 0.15, 0.1, 0.06, 0.08, 0.1, 0.15, 0.18, 0.2]
    made = {
        "Response curve": charts.response_curve(grid, mean, sd, best_hz=9.9, low_hz=9.0, high_hz=11.0, label="Sample"),
        "Frequency path": charts.frequency_path([(0, 12), (300, 9.6), (1140, 9.6), (1200, 10)], label="Sample"),
        "Trends": charts.trends(days, scores, label="Sample scores"),
        "Heat map": charts.heat_map({one: one.day % 5 for one in days}, today=day),
        "Bars": charts.bars({"Calm focus": (7.2, 12), "Sleep": (6.1, 5)}, label="Sample effect", most=10),
        "Nothing yet": charts.trends([], {}, label="Sample without entries"),
    }
    return {name: Markup(svg) for name, svg in made.items()}  # noqa: S704  our own SVG


HANDLERS = [service_worker, offline_page, style_page]
