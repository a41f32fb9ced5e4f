"""Every page with three months of history in it, on a phone and a desk, by day and by night."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import pyotp
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Response, Route, expect

from stillwave import demo
from stillwave.accounts import actions as accounts
from stillwave.accounts.store import SQL
from stillwave.errors import Conflict, Forbidden, StillwaveError, StorageFull, TooMany, Unavailable
from stillwave.privacy import erasure
from stillwave.reminders import actions as reminders
from stillwave.web import gate, shell
from tests.browser.conftest import DESK, PHONE, Window, sign_in, tap
from tests.cast import ALICE, BOB, CHARLIE, NOW, Person
from tests.served import Served, Visitor

AUDIT = (Path(__file__).parent / "audit.js").read_text(encoding="utf-8")
MOST_BYTES = 100 * 1024
# What a page may take on the server, as a median of three. It should take 300; a busy machine of tests takes longer.
MOST_MS = 1000

STRANGERS = ["/", "/sign-in", "/sign-up", "/recover", "/reset", "/style", "/offline", "/no-such-page"]
LISTENERS = [
    "/", "/start", "/history", "/profile", "/progress", "/preferences", "/privacy", "/privacy/log", "/screening",
    "/clearances", "/security", "/operator", "/contact", "/operator/emergency", "/privacy/emergency",
    "/sessions/RATED", "/sessions/RATED/rate", "/sessions/RATED/rate?unwell=1", "/style", "/no-such-page",
]  # fmt: skip
NEWCOMERS = [
    "/", "/start", "/history", "/profile", "/progress", "/preferences", "/privacy", "/privacy/log", "/screening", "/security",
]  # fmt: skip


@pytest.fixture(scope="module")
def engine() -> str:
    """What a page looks like does not depend on the engine."""
    return "sqlite"


@pytest.fixture(scope="module")
def served(one_server: Served) -> Served:
    """One server for the whole module."""
    return one_server


@pytest.fixture(scope="module")
def listener(served: Served) -> Visitor:
    """The demo account, as an operator, so that every link of the navigation is there."""
    email, password = demo.fill(served.kit.database, NOW, lambda _done, _of: None)
    with served.kit.database.write(right="operator") as tx:
        user_id = accounts.by_email(tx, email).id
        tx.act_as(user_id)
        accounts.set_role(tx, user_id, "operator", NOW)
    visitor = served.visitor()
    person = Person("Demo", email, "", password)
    visitor.sign_in(person)
    visitor.set_up_second_step(person, NOW)
    return visitor


@pytest.fixture(scope="module")
def rated(listener: Visitor) -> str:
    """The id of a session that was heard and rated."""
    sessions = listener.get("/api/v1/sessions?limit=10").json()["items"]
    return next(s["id"] for s in sessions if s["effectiveness"])


@pytest.fixture(scope="module")
def newcomer(served: Served) -> Visitor:
    """Somebody who signed up, answered the safety questions, and did nothing else."""
    visitor = served.visitor()
    visitor.sign_up(ALICE)
    visitor.screened()
    return visitor


@pytest.fixture(scope="module", autouse=True)
def times() -> Iterator[dict[str, list[float]]]:
    """Milliseconds on the server, page by page; a table of them is printed at the end (pytest -s)."""
    found: dict[str, list[float]] = {}
    yield found
    print("\n\nmedian ms on the server")  # noqa: T201  the table is what -s is for
    for path, taken in sorted(found.items(), key=lambda one: -statistics.median(one[1])):
        print(f"{statistics.median(taken):8.1f}  {path}")  # noqa: T201


@pytest.fixture
def listening(window: Window, listener: Visitor) -> Page:
    """A page of somebody who is signed in."""
    sign_in(window, listener)
    return window.context.new_page()


@pytest.mark.parametrize("path", STRANGERS)
def test_a_page_for_strangers_is_sound(path: str, window: Window, page: Page, times: dict[str, list[float]]) -> None:
    assert problems(window, page, path, times) == []


@pytest.mark.parametrize("path", LISTENERS)
def test_a_page_for_listeners_is_sound(
    path: str, window: Window, listening: Page, rated: str, times: dict[str, list[float]]
) -> None:
    assert problems(window, listening, path.replace("RATED", rated), times) == []


@pytest.mark.parametrize("path", NEWCOMERS)
def test_a_page_with_nothing_on_it_yet_is_sound(
    path: str, window: Window, newcomer: Visitor, times: dict[str, list[float]]
) -> None:
    sign_in(window, newcomer)
    assert problems(window, window.context.new_page(), path, times) == []


REFUSALS = [
    Forbidden("You may not."), Conflict("Something else came first."), TooMany("Please wait 90 seconds.", retry_after_s=90),
    Unavailable("The database is busy."), StorageFull("The disk is full."), RuntimeError("a fault of ours"),
]  # fmt: skip


@pytest.mark.parametrize("error", REFUSALS, ids=lambda error: type(error).__name__)
def test_a_page_that_refuses_is_sound(
    error: Exception, window: Window, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_scheme: str) -> dict[str, str]:
        raise error

    monkeypatch.setattr(shell, "tokens", refuse)
    status = error.status if isinstance(error, StillwaveError) else 500
    window.expect(f"status of {status}")
    answer = page.goto("/style", wait_until="load")
    assert answer is not None
    assert answer.status == status
    expect(page.get_by_role("link", name="Back to the start")).to_be_visible()
    assert "a fault of ours" not in page.content()
    assert source_problems(answer) + settling_problems(page) + seen_problems(page) == []


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
    found += seen_problems(page)
    window.context.clear_cookies()
    page.goto("/sign-in")
    page.get_by_label("E-mail").fill(CHARLIE.email)
    page.get_by_label("Password").fill(CHARLIE.password)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("heading", name="One more step")).to_be_visible()
    found += seen_problems(page)
    page.get_by_label("Code").fill(code)
    page.get_by_role("button", name="Go on").click()
    expect(page).to_have_url(re.compile("/(screening)?$"))
    assert found == []


def test_pages_behind_a_mail_and_a_missing_number_are_sound(window: Window, page: Page, served: Served) -> None:
    visitor, person = served.visitor(), ALICE._replace(email="dana@example.org", phone_number="+442079460155")
    visitor.sign_up(person)
    visitor.screened()
    sign_in(window, visitor)
    page.goto("/calendar")
    found = seen_problems(page)
    page.get_by_role("button", name="Make a private address").click()
    expect(page.get_by_label("Address")).to_have_value(re.compile(r"/calendar/.+\.ics$"))
    found += seen_problems(page)

    with served.kit.database.read(right="operator") as tx:
        user_id = accounts.by_email(tx, person.email).id
    page.goto("/unsubscribe/" + reminders.unsubscribe_token(served.kit.database.vault, user_id, "morning"))
    found += seen_problems(page)
    page.get_by_role("button", name="End it").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Done")
    found += seen_problems(page)

    with served.kit.database.write(user_id) as tx:
        tx.run(SQL.set_status, user_id=user_id, account_status="phone_required", now=NOW)
    page.goto("/phone")
    expect(page.get_by_role("heading", level=1)).to_have_text("One thing is missing")
    assert found + seen_problems(page) == []


def test_a_form_on_its_way_says_so_and_goes_once(window: Window, page: Page, newcomer: Visitor) -> None:
    sign_in(window, newcomer)
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


def test_the_player_of_a_swaying_bed_is_sound(window: Window, page: Page, newcomer: Visitor) -> None:
    sign_in(window, newcomer)
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


def test_leaving_and_the_receipt_are_sound(window: Window, page: Page, served: Served) -> None:
    visitor, person = served.visitor(), BOB._replace(email="bob.leaving@example.org", phone_number="+442079460124")
    visitor.sign_up(person)
    user_id = UUID(visitor.get("/api/v1/me").json()["id"])
    with served.kit.database.write(user_id) as tx:
        erasure.ask(tx, gate.identify(tx, user_id, visitor.headers["Authorization"].removeprefix("Bearer "), NOW), 7, NOW)
    sign_in(window, visitor)
    page.goto("/privacy")
    expect(page.get_by_role("button", name="Keep my account")).to_be_visible()
    found = seen_problems(page)
    page.get_by_text("Erase everything now").click()
    page.get_by_label("Your password").fill(person.password)
    page.get_by_label("to confirm").fill("erase")
    page.get_by_role("button", name="Erase it now").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Everything is erased")
    expect(page.get_by_role("link", name="Download the receipt")).to_be_visible()
    assert found + seen_problems(page) == []


def problems(window: Window, page: Page, path: str, times: dict[str, list[float]]) -> list[str]:
    """What is wrong with a page, from its source to the keyboard."""
    window.expect("status of 404")
    answer = page.goto(path, wait_until="load")
    assert answer is not None
    assert answer.status == (404 if "no-such" in path else 200)
    found = source_problems(answer) + weight_problems(window, path) + settling_problems(page)
    return found + seen_problems(page) + slow_problems(page, answer, times)


def seen_problems(page: Page) -> list[str]:
    """What is wrong with the page that is open, in all four looks and with the keyboard."""
    found: list[str] = []
    for size in (PHONE, DESK):
        page.set_viewport_size({"width": size["width"], "height": size["height"]})
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            found += [f"{size['width']} px, {scheme}: {line}" for line in page.evaluate(AUDIT) + axe_problems(page)]
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    return found + keyboard_problems(page)


def slow_problems(page: Page, answer: Response, times: dict[str, list[float]]) -> list[str]:
    """How long the server takes for it, by its own clock; a page that is not there is not timed."""
    if answer.status == 404:
        return []
    headers = [answer.headers, *(page.request.get(answer.url).headers for _again in range(2))]
    taken = [float(one["server-timing"].removeprefix("total;dur=")) for one in headers]
    shown = urlsplit(answer.url)
    name = re.sub("[0-9a-f-]{36}", "{id}", shown.path) + ("?" + shown.query if shown.query else "")
    times.setdefault(name, []).extend(taken)
    median = statistics.median(taken)
    return [f"the server takes {median:.0f} ms"] if median > MOST_MS else []


def source_problems(answer: Response) -> list[str]:
    """Nothing inline, and a policy that would not allow it."""
    policy = answer.headers["content-security-policy"]
    html = answer.text()
    found = [f"policy: {policy}"] if "unsafe" in policy or "default-src 'self'" not in policy else []
    inline = re.findall(r"<style|<script(?![^>]*\ssrc=)[^>]*>|\sstyle=|\son[a-z]+=|javascript:", html)
    return found + [f"inline: {piece}" for piece in inline]


def weight_problems(window: Window, path: str) -> list[str]:
    """What a first visit transfers, without the sound itself."""
    parts = {
        answer.url: answer.request.sizes()["responseBodySize"] + answer.request.sizes()["responseHeadersSize"]
        for answer in window.answers
        if "/audio.wav" not in answer.url
    }
    whole = sum(parts.values())
    return [f"{path} weighs {whole} bytes: {parts}"] if whole > MOST_BYTES or not parts else []


def settling_problems(page: Page) -> list[str]:
    """What moved while the page was loading; 0.1 is where people notice (web.dev/cls)."""
    moved: float = page.evaluate("""() => new Promise((done) => {
      let sum = 0;
      new PerformanceObserver((list) => { for (const entry of list.getEntries()) sum += entry.value; })
        .observe({ type: "layout-shift", buffered: true });
      setTimeout(() => done(sum), 150);
    })""")
    return [f"the layout shifts by {moved:.3f}"] if moved >= 0.1 else []


def axe_problems(page: Page) -> list[str]:
    rules = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"], "resultTypes": ["violations"]}
    found = Axe().run(page, options=rules).response["violations"]
    return [f"axe {one['id']}: {one['help']}: {[node['html'][:120] for node in one['nodes'][:3]]}" for one in found]


# What has the focus: its name, whether it can be seen to have it, and whether something lies on top of it.
FOCUSED = """() => {
  const el = document.activeElement;
  if (!el || el === document.body) return null;
  const drawn = el.matches(".pick input") ? el.nextElementSibling : el;
  const style = getComputedStyle(drawn), box = drawn.getBoundingClientRect();
  el.dataset.visited = "yes";
  // The picker button of a date or time field has the focus inside the field; its ring is the browser's own.
  const inner = !el.matches(":focus");
  const top = document.elementFromPoint(
    Math.min(Math.max(box.x + box.width / 2, 0), innerWidth - 1), Math.min(Math.max(box.y + box.height / 2, 0), innerHeight - 1));
  return {
    name: `${el.tagName} ${el.id} ${el.name ?? ""} ${(el.getAttribute("aria-label") ?? el.textContent).trim().slice(0, 30)}`,
    outlined: inner || style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
    inside: box.bottom > 0 && box.top < innerHeight && box.width > 0,
    covered: !(top && (el.contains(top) || top.contains(el) || drawn.contains(top))),
    covering: top ? `${top.tagName}.${top.className}` : "nothing",
  };
}"""
NOT_VISITED = """() => {
  const groups = new Set([...document.querySelectorAll("input[type=radio][data-visited]")].map((el) => el.name));
  return [...document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, summary")]
    .filter((el) => el.checkVisibility({ visibilityProperty: true }) && !el.disabled && !el.dataset.visited)
    .filter((el) => !(el.type === "radio" && groups.has(el.name)))
    .map((el) => `${el.tagName} ${el.id} ${el.textContent.trim().slice(0, 30)}`);
}"""


def keyboard_problems(page: Page) -> list[str]:
    """Tab reaches everything, and one can always see where one is."""
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    page.evaluate("() => { document.querySelector('.skip').focus(); scrollTo(0, 0); }")
    page.keyboard.press("Shift+Tab")  # before the first thing, wherever the last click was
    found: list[str] = []
    for step in range(150):
        page.keyboard.press("Tab")
        now: dict[str, Any] | None = page.evaluate(FOCUSED)
        if now is None:
            if step:
                break
            continue  # Chromium stopped at its own bar on the way
        if not now["outlined"]:
            found.append(f"focus cannot be seen: {now['name']}")
        if not now["inside"] or now["covered"]:
            found.append(f"focus is out of sight: {now['name']} under {now['covering']}")
    return found + [f"Tab never reaches: {name}" for name in page.evaluate(NOT_VISITED)]


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

    page.goto("/privacy")
    page.get_by_role("button", name="Pause", exact=True).click()
    expect(page.get_by_role("button", name="Use my data again")).to_be_visible()
    page.get_by_text("Erase everything").click()
    page.get_by_role("textbox", name="Your password").fill(BOB.password)
    page.get_by_label("to confirm").fill("erase")
    page.get_by_role("button", name="Erase my account").click()
    expect(page.get_by_role("link", name="Create an account")).to_be_visible()
