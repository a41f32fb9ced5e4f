"""Chromium over a real server. A console error, a page error or a request to anywhere else fails the test."""

from __future__ import annotations

import shutil
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Playwright,
    Response,
    sync_playwright,
)

from stillwave.db.database import open_database
from tests.cast import Clock, settings_for
from tests.served import Served, serving

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run", "--autoplay-policy=no-user-gesture-required",
]  # fmt: skip
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 800}
_FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember whether the test itself failed, so that its pages are photographed."""
    report = yield
    if report.when == "call":
        item.stash[_FAILED] = report.failed
    return report


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest) -> str:
    """Each engine in turn."""
    name: str = request.param
    return name


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """One Chromium for all tests; each test has a profile of its own in it."""
    opened = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
    yield opened
    opened.close()


class Window:
    """One browser profile whose pages are watched.

    `complaints` holds console errors, page errors and requests that left the origin. What a test provokes on
    purpose it names first: `expect("404")` forgives console lines that hold that text.
    """

    def __init__(self, context: BrowserContext, origin: str) -> None:
        self.context, self.origin = context, origin
        self.complaints: list[str] = []
        self.answers: list[Response] = []
        self._expected: list[str] = []
        context.on("console", self._console)
        context.on("weberror", lambda error: self.complaints.append(f"page error: {error.error}"))
        context.on("request", lambda request: self._leaving(request.url))
        context.on("response", lambda answer: self.answers.append(answer))  # noqa: PLW0108  Playwright marks what it is given
        context.set_default_timeout(10_000)

    def expect(self, *texts: str) -> None:
        self._expected += texts

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not any(text in message.text for text in self._expected):
            self.complaints.append(f"console: {message.text} ({message.location.get('url')})")

    def _leaving(self, url: str) -> None:
        if not url.startswith((f"{self.origin}/", "data:", "blob:")):
            self.complaints.append(f"left the origin: {url}")

    def photograph(self, folder: Path) -> None:
        for number, page in enumerate(self.context.pages):
            page.screenshot(path=folder / f"page-{number}.png", full_page=True)


@pytest.fixture(scope="module")
def one_server(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One embedded server for a whole module, which takes it as its `served`."""
    folder = tmp_path_factory.mktemp("lived-in") / "data"
    shutil.copytree(sqlite_template, folder)
    settings = settings_for(folder)
    with serving(settings, open_database(settings), Clock(), limit_factor=100) as server:
        yield server


@pytest.fixture
def opened(browser: Browser, served: Served, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    """`opened(**options)` is a new watched window (Playwright's context options); pages are 390x844 by default."""
    windows: list[Window] = []

    def open_one(**options: Any) -> Window:
        given = {"viewport": PHONE, "base_url": served.url, **options}
        windows.append(Window(browser.new_context(**given), served.url))
        return windows[-1]

    yield open_one
    if request.node.stash.get(_FAILED, False):
        for window in windows:
            window.photograph(tmp_path)
    complaints = [line for window in windows for line in window.complaints]
    for window in windows:
        window.context.close()
    assert not complaints


@pytest.fixture
def window(opened: Any) -> Window:
    """A watched window of a phone."""
    made: Window = opened()
    return made


@pytest.fixture
def page(window: Window) -> Page:
    """A page in it."""
    return window.context.new_page()


def sign_in(window: Window, visitor: Any) -> None:
    """The window carries the login of somebody who signed in over HTTP."""
    token = visitor.headers["Authorization"].removeprefix("Bearer ")
    window.context.add_cookies([{"name": "stillwave_login", "value": token, "url": window.origin}])


def tap(page: Page, name: str, value: str) -> None:
    """The radio card of that name and value was chosen with a real click."""
    page.locator(f"input[name={name}][value='{value}']").check()
