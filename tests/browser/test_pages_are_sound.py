"""Every page with three months of history in it, on a phone and a desk, by day and by night."""

from __future__ import annotations

import re
import statistics
import zipfile
from collections.abc import Iterator
from functools import cached_property
from typing import Any
from uuid import UUID

import pyotp
import pytest
from litestar.routes import HTTPRoute
from playwright.sync_api import Page, Route, expect

from stillwave import demo
from stillwave.accounts import actions as accounts
from stillwave.accounts.store import SQL
from stillwave.app import create_app
from stillwave.db.ids import uuid7
from stillwave.emergency import rules as emergency
from stillwave.emergency import store as accesses
from stillwave.errors import Conflict, Forbidden, StillwaveError, StorageFull, TooMany, Unavailable
from stillwave.inspection import rules as inspection
from stillwave.privacy import erasure
from stillwave.reminders import actions as reminders
from stillwave.web import gate, pages, shell
from stillwave.web.mail import paragraphs
from tests.browser.conftest import Window, sign_in, tap
from tests.browser.looks import axe_problems, problems, seen_problems, settling_problems, source_problems
from tests.cast import BOB, CHARLIE, NOW, Person
from tests.served import Served, Visitor

# Every page, by who sees it. CAPITALS stand for an id or token; see People.places.
PAGES = {
    "stranger": ["/", "/sign-in", "/sign-up", "/recover", "/reset", "/style", "/offline", "/no-such-page", "/receipts/RECEIPT", "/unsubscribe/MAIL"],
    "listener": [
        "/", "/start", "/history", "/profile", "/progress", "/preferences", "/privacy", "/privacy/log", "/privacy/emergency", "/screening",
        "/clearances", "/security", "/contact", "/calendar", "/operator", "/operator/emergency", "/operator/emergency/PERSON/ACCESS",
        "/sessions/RATED", "/sessions/RATED/rate", "/sessions/RATED/rate?unwell=1", "/no-such-page",
    ],
    "newcomer": ["/", "/start", "/history", "/profile", "/progress", "/privacy", "/security"],  # nothing on them yet
    "watched": ["/privacy/emergency", "/screening"],  # an operator looks at their data; no safety answers so far
    "half_in": ["/second-step"],
    "without_address": ["/address"],
    "without_phone": ["/phone"],
    "leaving": ["/privacy/leaving"],
}  # fmt: skip
# What is there to GET and is no page.
FILES = {
    "/sw.js", "/health", "/health/ready", "/metrics", "/progress.csv", "/sessions.csv", "/privacy/export", "/calendar/{name:str}",
    "/static/{file_path:path}",
}  # fmt: skip


class People:
    """Who sees pages, each made when a test first wants them."""

    def __init__(self, served: Served) -> None:
        self.served, self.kit = served, served.kit
        self._numbers = iter(range(440_000, 449_999))

    def stranger(self) -> None:
        """Nobody."""

    def _new(self, name: str, *, screened: bool = True) -> tuple[Visitor, UUID]:
        visitor = self.served.visitor()
        visitor.sign_up(BOB._replace(email=f"{name}@example.org", phone_number=f"+4420794{next(self._numbers) % 100_000:05}"))
        if screened:
            visitor.screened()
        return visitor, UUID(visitor.get("/api/v1/me").json()["id"])

    @cached_property
    def listener(self) -> Visitor:
        """The demo account, as an operator, so that every link of the navigation is there."""
        email, password = demo.fill(self.kit.database, NOW, lambda _done, _of: None)
        with self.kit.database.write(right="operator") as tx:
            user_id = accounts.by_email(tx, email).id
            tx.act_as(user_id)
            accounts.set_role(tx, user_id, "operator", NOW)
        visitor, person = self.served.visitor(), Person("Demo", email, "", password)
        visitor.sign_in(person)
        visitor.set_up_second_step(person, NOW)
        return visitor

    @cached_property
    def newcomer(self) -> Visitor:
        """Somebody who signed up, answered the safety questions, and did nothing else."""
        return self._new("newcomer")[0]

    @cached_property
    def watched(self) -> Visitor:
        """Somebody whose data an operator opened just now."""
        visitor, user_id = self._new("watched", screened=False)
        operator_id = UUID(self.listener.get("/api/v1/me").json()["id"])
        access = accesses.Access(
            user_id=user_id, id=uuid7(NOW), operator_id=operator_id, created_at=NOW, expires_at=NOW + emergency.LASTS,
            reason="She collapsed during a session; the ambulance asks what she heard.",
        )  # fmt: skip
        with self.kit.database.write(user_id) as tx:
            accesses.insert(tx, access)
        self.look = f"{user_id}/{access.id}"
        return visitor

    @cached_property
    def half_in(self) -> Visitor:
        """Somebody whose password was right and whose second step is still to come."""
        visitor, person = self.served.visitor(), CHARLIE._replace(email="half@example.org", phone_number="+442079460177")
        visitor.sign_up(person)
        visitor.set_up_second_step(person, NOW)
        visitor.sign_in(person)
        return visitor

    def _standing(self, name: str, status: str) -> Visitor:
        visitor, user_id = self._new(name)
        with self.kit.database.write(user_id) as tx:
            tx.run(SQL.set_status, user_id=user_id, account_status=status, now=NOW)
        return visitor

    @cached_property
    def without_address(self) -> Visitor:
        return self._standing("addressless", "address_required")

    @cached_property
    def without_phone(self) -> Visitor:
        return self._standing("phoneless", "phone_required")

    @cached_property
    def leaving(self) -> Visitor:
        """Somebody who has seven days to change their mind."""
        visitor, user_id = self._new("leaving")
        with self.kit.database.write(user_id) as tx:
            erasure.ask(tx, gate.identify(tx, user_id, visitor.headers["Authorization"].removeprefix("Bearer "), NOW), 7, NOW)
        return visitor

    def place(self, path: str) -> str:
        """The path with a real id or token in it."""
        if "RATED" in path:
            sessions = self.listener.get("/api/v1/sessions?limit=10").json()["items"]
            return path.replace("RATED", next(s["id"] for s in sessions if s["effectiveness"]))
        if "ACCESS" in path:
            _made = self.watched
            return path.replace("PERSON/ACCESS", self.look)
        if "RECEIPT" in path:
            _visitor, user_id = self._new("gone")
            erasure.erase(self.kit.database, user_id, NOW)
            return path.replace("RECEIPT", erasure.token(self.kit.database.vault, user_id))
        if "MAIL" in path:
            return path.replace("MAIL", reminders.unsubscribe_token(self.kit.database.vault, self._new("mailed")[1], "morning"))
        return path


@pytest.fixture(scope="module")
def engine() -> str:
    """What a page looks like does not depend on the engine."""
    return "sqlite"


@pytest.fixture(scope="module")
def served(one_server: Served) -> Served:
    """One server for the whole module."""
    return one_server


@pytest.fixture(scope="module")
def people(served: Served) -> People:
    return People(served)


@pytest.fixture(scope="module", autouse=True)
def times() -> Iterator[dict[str, list[float]]]:
    """Milliseconds on the server, page by page; a table of them is printed at the end (pytest -s)."""
    found: dict[str, list[float]] = {}
    yield found
    print("\n\nmedian ms on the server")  # noqa: T201  the table is what -s is for
    for path, taken in sorted(found.items(), key=lambda one: -statistics.median(one[1])):
        print(f"{statistics.median(taken):8.1f}  {path}")  # noqa: T201


@pytest.mark.parametrize(("who", "path"), [(who, path) for who, paths in PAGES.items() for path in paths])
def test_a_page_is_sound(who: str, path: str, window: Window, people: People, times: dict[str, list[float]]) -> None:
    """It weighs little, is quick, shows no inline code, does not move, passes axe and our audit, and Tab reaches all of it."""
    if who != "stranger":
        sign_in(window, getattr(people, who))
    phone_by = "dark" if who == "newcomer" else "light"
    assert problems(window, window.context.new_page(), people.place(path), times, phone_by=phone_by) == []


def test_every_page_is_looked_at(served: Served) -> None:
    """A new page must be put into PAGES."""
    routes = {
        route.path for route in create_app(served.kit, warm=False).routes
        if isinstance(route, HTTPRoute) and "GET" in route.methods and not route.path.startswith("/api/")
    }  # fmt: skip
    shown = {path.partition("?")[0] for paths in PAGES.values() for path in paths}

    def seen(route: str) -> bool:
        pattern = re.sub(r"\\{[^/]*:\w+\\}", "[A-Z]+", re.escape(route))
        return any(re.fullmatch(pattern, path) for path in shown)

    assert routes > FILES
    assert {route for route in routes - FILES if not seen(route)} == set()


def test_what_leaves_as_a_mail_or_a_report_passes_axe(page: Page) -> None:
    text = "Your code: ABCD-EFGH\n\nOpen https://calm.example.org/reset#code=ABCD within the hour.\n\nBe well.\n"
    mail = pages.render("web/mail.html", subject="Your new password", paragraphs=paragraphs(text))
    verdicts: list[inspection.Verdict] = ["PASS", "ATTESTED", "WARN", "FAIL"]
    seen = [inspection.Finding(f"a.{one}", "Keys", "The key is kept apart", "GDPR 32", "high", one, "It is." * 9, "Move it.") for one in verdicts]
    changed = [inspection.Change("a.PASS", "The key is kept apart", "WARN", "PASS")]
    report = pages.render("inspection/report.html", report=inspection.Report(NOW, "0.1", "sqlite", seen, changed, NOW))
    for text in (mail, report):
        for scheme in ("light", "dark"):
            page.set_content(text)
            page.emulate_media(color_scheme=scheme)
            assert axe_problems(page) == []
            assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")


def test_a_request_to_anywhere_else_would_be_noticed(window: Window, page: Page) -> None:
    """The guard of every test here: a page error, a console error and a request that leaves are each told."""
    page.route("https://elsewhere.example/**", lambda route: route.fulfill(status=204))
    page.set_content("<img src='https://elsewhere.example/seen.gif'>", wait_until="load")
    page.evaluate("() => console.error('one')")
    page.evaluate("() => { setTimeout(() => { throw new Error('two'); }); }")
    page.wait_for_timeout(200)
    told, window.complaints = window.complaints, []
    assert [line.partition(":")[0] for line in told] == ["left the origin", "console", "page error"]


REFUSALS = [
    Forbidden("You may not."), Conflict("Something else came first."), Unavailable("The database is busy."),
    StorageFull("The disk is full."), RuntimeError("a fault of ours"), TooMany("Please wait 90 seconds.", retry_after_s=90),
]  # fmt: skip


def test_a_page_that_refuses_is_sound(window: Window, page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each refusal by its words and its source; one of them, with every part that a refusal may have, by its looks."""
    raised: list[Exception] = []

    def refuse(_scheme: str) -> dict[str, str]:
        raise raised[-1]

    monkeypatch.setattr(shell, "tokens", refuse)
    for error in REFUSALS:
        raised.append(error)
        status = error.status if isinstance(error, StillwaveError) else 500
        window.expect(f"status of {status}")
        answer = page.goto("/style", wait_until="load")
        assert answer is not None
        assert answer.status == status
        expect(page.get_by_role("link", name="Back to the start")).to_be_visible()
        assert "a fault of ours" not in page.content()
        assert source_problems(answer) + axe_problems(page) == []
    assert settling_problems(page) + seen_problems(page) == []


def test_a_form_that_comes_back_is_sound(window: Window, page: Page) -> None:
    window.expect("status of 422")
    page.goto("/sign-up")
    page.evaluate("() => { for (const form of document.forms) form.noValidate = true; }")
    with page.expect_navigation() as again:
        page.get_by_role("button", name="Create account").click()
    assert again.value.status == 422
    expect(page.locator(".error")).not_to_have_count(0)
    assert source_problems(again.value) + settling_problems(page) + seen_problems(page) == []


def test_the_second_step_is_sound_at_every_stage(window: Window, page: Page, served: Served) -> None:
    visitor = served.visitor()
    visitor.sign_up(CHARLIE)
    sign_in(window, visitor)
    page.goto("/security")
    page.get_by_label("Your password").fill(CHARLIE.password)
    page.get_by_role("button", name="Set it up").click()
    key = page.locator("code.key").inner_text()
    found = seen_problems(page)
    page.get_by_label("The six digits").fill(pyotp.TOTP(key).at(NOW))
    page.get_by_role("button", name="Turn the second step on").click()
    expect(page.locator(".codes li")).to_have_count(10)
    code = page.locator(".codes li").first.inner_text()
    found += seen_problems(page)
    page.get_by_role("link", name="I have them").click()
    expect(page.get_by_text("10 recovery codes left")).to_be_visible()
    window.context.clear_cookies()
    page.goto("/sign-in")
    page.get_by_label("E-mail").fill(CHARLIE.email)
    page.get_by_label("Password").fill(CHARLIE.password)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("heading", name="One more step")).to_be_visible()
    page.get_by_label("Code").fill(code)
    page.get_by_role("button", name="Go on").click()
    expect(page).to_have_url(re.compile("/(screening)?$"))
    assert found == []


def test_a_calendar_address_and_a_mail_that_ended_are_sound(window: Window, people: People) -> None:
    sign_in(window, people.newcomer)
    page = window.context.new_page()
    page.goto("/calendar")
    page.get_by_role("button", name="Make a private address").click()
    expect(page.get_by_label("Address")).to_have_value(re.compile(r"/calendar/.+\.ics$"))
    found = seen_problems(page)
    page.goto(people.place("/unsubscribe/MAIL"))
    page.get_by_role("button", name="End it").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Done")
    assert found + seen_problems(page) == []


def test_a_form_on_its_way_says_so_and_goes_once(window: Window, page: Page, people: People) -> None:
    sign_in(window, people.newcomer)
    page.goto("/start")
    tap(page, "target_state", "calm_focus")
    sent: list[Route] = []

    def answer_nothing(route: Route) -> None:
        sent.append(route)
        route.fulfill(status=204)

    page.route("**/sessions", answer_nothing)
    page.emulate_media(reduced_motion="no-preference")
    page.clock.install()
    go = page.get_by_role("button", name="Plan and play")
    go.click()
    expect(go).to_have_attribute("aria-busy", "true")
    page.wait_for_function("() => getComputedStyle(document.querySelector('[aria-busy=true]'), '::after').opacity === '1'")
    go.click()
    assert len(sent) == 1
    page.clock.fast_forward(9_000)  # nothing came: one may try again
    assert go.get_attribute("aria-busy") is None
    page.unroute("**/sessions")
    go.click()
    expect(page.locator("#play")).to_be_visible()
    page.go_back()
    expect(go).to_be_visible()
    assert go.get_attribute("aria-busy") is None


def test_the_player_of_a_swaying_bed_is_sound(window: Window, page: Page, people: People) -> None:
    sign_in(window, people.newcomer)
    page.goto("/start")
    tap(page, "target_state", "calm_focus")
    tap(page, "listening", "in_background")
    page.get_by_role("button", name="Plan and play").click()
    expect(page.locator("#play")).to_be_visible()
    page.get_by_text("About this session").click()
    expect(page.locator("dl.facts")).to_contain_text("Pulsing background")
    assert seen_problems(page) == []


def test_clearances_are_sound_with_a_form_and_with_a_record(window: Window, page: Page, served: Served) -> None:
    visitor, person = served.visitor(), BOB._replace(email="bob.cleared@example.org", phone_number="+442079460123")
    visitor.sign_up(person)
    visitor.screened(none=False, conditions=["recent_head_injury"])
    sign_in(window, visitor)
    page.goto("/clearances")
    found = seen_problems(page)
    page.get_by_label("On which day").fill("2026-11-20")
    page.get_by_label("Your password").fill(person.password)
    page.get_by_label("A clinician told me").check()
    page.get_by_role("button", name="Put it on record").click()
    expect(page.get_by_role("heading", name="On record")).to_be_visible()
    assert found + seen_problems(page) == []


def test_everything_but_the_player_works_without_scripts(opened: Any) -> None:
    window = opened(java_script_enabled=False)
    page = window.context.new_page()
    page.goto("/sign-up")
    page.get_by_label("E-mail").fill(BOB.email)
    page.get_by_label("Phone").fill(BOB.phone_number)
    page.get_by_label("Password").fill(BOB.password)
    page.get_by_label("I agree").check()
    page.get_by_role("button", name="Create account").click()
    page.get_by_label("E-mail").fill(BOB.email)
    page.get_by_label("Password").fill(BOB.password)
    page.get_by_role("button", name="Sign in", exact=True).click()

    tap(page, "age_group", "18_plus")
    page.get_by_label("None of these apply to me").check()
    page.get_by_label("I will not listen while driving").check()
    page.get_by_role("button", name="Save my answers").click()

    page.goto("/start")
    tap(page, "target_state", "sleep")
    page.get_by_label("How long?").fill("5")
    page.get_by_role("button", name="Plan and play").click()
    expect(page.locator("noscript audio[controls]")).to_have_attribute("src", re.compile(r"^/api/v1/sessions/.*/audio\.wav$"))
    expect(page.locator("#play")).to_be_hidden()

    page.get_by_role("link", name="Finish and rate").click()
    tap(page, "rating", "5")
    page.get_by_role("button", name="Save my rating").click()
    expect(page.locator("section[aria-labelledby=changed] li")).to_have_count(1)

    page.goto("/progress")
    page.get_by_label("Sleep", exact=True).fill("7")
    page.get_by_label("Notes").fill("Rain all night.")
    page.get_by_role("button", name="Save the day").click()
    expect(page.locator("section[aria-labelledby=entries]")).to_contain_text("Rain all night.")

    for path in PAGES["newcomer"]:
        page.goto(path)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        assert not [one for one in page.locator(".js-only").all() if one.is_visible()], path
    page.get_by_role("link", name="Progress").first.click()
    with page.expect_download() as table:
        page.get_by_role("link", name="Diary (CSV)").click()
    assert "Rain all night." in table.value.path().read_text(encoding="utf-8")

    page.goto("/privacy")
    with page.expect_download() as everything:
        page.get_by_role("button", name="Download everything").click()
    assert "data/progress_tracking.json" in zipfile.ZipFile(everything.value.path()).namelist()
    page.get_by_role("button", name="Pause", exact=True).click()
    expect(page.get_by_role("button", name="Use my data again")).to_be_visible()
    page.get_by_text("Erase everything").click()
    page.get_by_role("textbox", name="Your password").fill(BOB.password)
    page.get_by_label("to confirm").fill("erase")
    page.get_by_role("button", name="Erase my account").click()
    expect(page.get_by_role("link", name="Create an account")).to_be_visible()
