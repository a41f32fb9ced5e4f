"""With a keyboard and no finger: from signing up to a second plan, taking everything out, leaving, coming back, being erased.

One sees at each step where one is; on a phone by day, and at a desk by night.
"""

from __future__ import annotations

import re
import zipfile
from typing import Any

import msgspec
import pytest
from playwright.sync_api import Locator, Page, expect

from stillwave.privacy import erasure
from stillwave.settings import Settings
from tests.browser.conftest import DESK, PHONE, Window, sign_in
from tests.browser.looks import FOCUSED, seen_problems
from tests.browser.test_the_whole_path import plan_of
from tests.cast import ALICE, Clock
from tests.served import Served, Visitor


@pytest.fixture
def engine() -> str:
    """Keys do not depend on the engine."""
    return "sqlite"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """With seven days to change one's mind."""
    return msgspec.structs.replace(settings, erasure_days=7)


def go_to(page: Page, wanted: Locator, key: str = "Tab") -> None:
    """The key was pressed until the wanted one had the focus; each stop on the way could be seen."""
    expect(wanted).to_have_count(1)
    for _stop in range(80):
        page.keyboard.press(key)
        now = page.evaluate(FOCUSED)
        if now is None:  # past the last one: the next stop is the first again
            continue
        assert now["outlined"], now
        assert now["inside"], now
        assert not now["covered"], now
        if wanted.evaluate("(el) => el === document.activeElement"):
            return
    pytest.fail(f"{key} never reaches {wanted}")


def write(page: Page, label: str, text: str) -> None:
    go_to(page, page.get_by_label(label, exact=True))
    page.keyboard.type(text)


def tick(page: Page, label: str) -> None:
    box = page.get_by_label(label)
    go_to(page, box)
    page.keyboard.press("Space")
    expect(box).to_be_checked()


def choose(page: Page, name: str, value: str) -> None:
    """Tab enters the group of radios, the arrows move in it."""
    for _stop in range(80):
        page.keyboard.press("Tab")
        if page.evaluate("(name) => document.activeElement.name === name", name):
            break
    page.keyboard.press("Space")
    wanted = page.locator(f"input[name={name}][value='{value}']")
    for _step in range(20):
        now = page.evaluate(FOCUSED)
        assert now["outlined"], now
        assert now["inside"], now
        assert not now["covered"], now
        if wanted.is_checked():
            return
        page.keyboard.press("ArrowRight")
    pytest.fail(f"the arrows never reach {name} {value}")


def press(page: Page, role: str, name: str, key: str = "Enter", *, back: bool = False) -> None:
    wanted = page.get_by_role(role, name=name, exact=True)  # type: ignore[arg-type]
    go_to(page, wanted, "Shift+Tab" if back else "Tab")
    page.keyboard.press(key)


def start(page: Page) -> None:
    press(page, "link", "Start", back=True)  # the bar is the last thing on a page
    expect(page.get_by_role("heading", level=1)).to_have_text("Start a session")
    choose(page, "initial_state", "peak_focus")
    choose(page, "target_state", "calm_focus")
    go_to(page, page.get_by_label("How long?"))
    for _minute in range(15):
        page.keyboard.press("ArrowDown")
    expect(page.get_by_label("How long?")).to_have_value("5")
    press(page, "button", "Plan and play")
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()


@pytest.mark.parametrize(("viewport", "color_scheme"), [(PHONE, "light"), (DESK, "dark")], ids=["phone by day", "desk by night"])
def test_from_sign_up_to_a_second_plan_by_keyboard_alone(
    viewport: dict[str, int], color_scheme: str, opened: Any, clock: Clock
) -> None:
    page = opened(viewport=viewport, color_scheme=color_scheme).context.new_page()
    page.goto("/")
    press(page, "link", "Create an account")
    write(page, "E-mail", ALICE.email)
    write(page, "Phone", ALICE.phone_number)
    write(page, "Password", ALICE.password)
    tick(page, "I agree")
    press(page, "button", "Create account")
    expect(page.get_by_role("heading", level=1)).to_have_text("Welcome back")
    write(page, "E-mail", ALICE.email)
    write(page, "Password", ALICE.password)
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", level=1)).to_have_text("A short safety check")
    choose(page, "age_group", "18_plus")
    tick(page, "None of these apply to me")
    tick(page, "I will not listen while driving")
    press(page, "button", "Save my answers")
    expect(page).to_have_url(re.compile("/$"))

    start(page)
    first = plan_of(page)
    page.evaluate("() => { document.activeElement.blur(); scrollTo(0, 0); }")  # reading the plan took a click
    press(page, "button", "Play", "Space")
    page.wait_for_function("() => !audio.paused && audio.currentTime > 1")
    seek = page.get_by_label("Position")
    go_to(page, seek)
    before = page.evaluate("() => audio.currentTime")
    for _second in range(30):
        page.keyboard.press("ArrowRight")
    page.wait_for_function("(before) => audio.currentTime > before + 25 && !audio.seeking", arg=before)
    go_to(page, page.get_by_role("button", name="Pause", exact=True), "Shift+Tab")
    page.keyboard.press("Space")
    page.wait_for_function("() => audio.paused")
    clock.advance(minutes=6)
    press(page, "link", "Finish and rate")

    expect(page.get_by_role("heading", level=1)).to_have_text("How was it?")
    choose(page, "rating", "1")
    press(page, "button", "Save my rating")
    expect(page).to_have_url(re.compile("/profile$"))
    expect(page.get_by_text("1 rating", exact=True)).to_be_visible()

    clock.advance(minutes=1)
    start(page)
    second = plan_of(page)
    assert second["target_hz"] != first["target_hz"]
    assert second["reason"] != first["reason"]


@pytest.fixture
def at_night(opened: Any, alice: Visitor) -> Window:
    """Alice's window at a desk by night; she has heard and rated a session."""
    alice.rate(alice.session(background="none")["id"])
    window: Window = opened(viewport=DESK, color_scheme="dark")
    sign_in(window, alice)
    return window


def ask_to_be_erased(page: Page) -> None:
    press(page, "link", "Privacy")
    summary = page.locator("#erase > summary")
    go_to(page, summary)
    page.keyboard.press("Enter")
    write(page, "Your password", ALICE.password)
    write(page, "Type “erase” to confirm", "erase")
    press(page, "button", "Erase my account and everything in it")
    expect(page.get_by_role("heading", level=1)).to_have_text("About to be erased")
    expect(page.locator("main")).to_contain_text("That is final on")


def test_everything_is_taken_out_and_erased_by_keyboard_alone(at_night: Window, served: Served, clock: Clock) -> None:
    at_night.expect("status of 422")
    page = at_night.context.new_page()
    clock.advance(minutes=11)  # so that the password is asked for again
    page.goto("/")
    press(page, "link", "Privacy")
    write(page, "Password, once more", "not this one at all")
    press(page, "button", "Download everything")
    expect(page.locator("#e-export-password")).to_be_visible()
    assert "not this one at all" not in page.content()
    assert seen_problems(page, phone_by="dark") == []  # the form with its complaint; elsewhere nobody is asked
    press(page, "link", "Password: This is not right.")
    expect(page.get_by_label("Password, once more")).to_be_focused()  # and not another password of this page
    page.keyboard.type(ALICE.password)
    with page.expect_download() as taken:
        press(page, "button", "Download everything")
    names = zipfile.ZipFile(taken.value.path()).namelist()
    assert {"data/sessions.json", "csv/session_feedback.csv", "schema/users.schema.json", "README.txt"} <= set(names)

    ask_to_be_erased(page)
    page.goto("/history")
    expect(page).to_have_url(re.compile("/privacy/leaving$"))  # everything stands still
    press(page, "button", "Keep my account")
    expect(page.get_by_role("status")).to_contain_text("Good to have you back")
    page.goto("/history")
    expect(page.locator(".rows a.title")).to_have_count(1)

    ask_to_be_erased(page)
    receipt = page.get_by_role("link", name="at this address").get_attribute("href")
    assert receipt
    clock.advance(days=7)
    database = served.kit.database
    assert len(erasure.finish(database, erasure.due(database, clock()), clock())) == 1  # as the worker does it
    page.goto("/")
    expect(page.get_by_role("link", name="Create an account")).to_be_visible()
    page.goto(receipt)
    expect(page.get_by_role("heading", level=1)).to_have_text("Everything is erased")
    expect(page.locator("section[aria-labelledby=about-removed] li", has_text="Sessions")).to_contain_text("1")
    with page.expect_download() as kept:
        press(page, "link", "Download the receipt")
    assert msgspec.json.decode(kept.value.path().read_bytes())["rows"]["sessions"] == 1


def test_what_the_player_opens_by_itself_takes_the_focus_and_gives_it_on(at_night: Window, alice: Visitor) -> None:
    """The mono warning, the trouble of a lost connection and the question at the end are scripts' doing, not a key's."""
    at_night.expect("net::ERR_FAILED")
    page = at_night.context.new_page()
    page.goto(f"/sessions/{alice.session(background='none')['id']}")
    go_to(page, page.locator("#check > summary"))
    page.keyboard.press("Enter")
    press(page, "button", "No, the same", "Space")
    expect(page.get_by_role("heading", name="This needs two ears")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="version for one speaker")).to_be_focused()
    page.keyboard.press("Enter")
    press(page, "button", "Start the speaker version")  # straight on from where the link led
    expect(page.get_by_text("isochronic", exact=False)).to_have_count(1)

    page.route("**/audio.wav", lambda route: route.abort())
    page.reload()
    press(page, "button", "Play", "Space")
    expect(page.locator("#trouble")).to_be_visible()
    go_to(page, page.get_by_role("button", name="Try again"))
    page.unroute("**/audio.wav")
    page.keyboard.press("Enter")
    page.wait_for_function("() => !audio.paused && audio.currentTime > 0.3")
    go_to(page, page.get_by_label("Position"))
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("heading", name="How was it?")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Rate this session")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("How was it?")
