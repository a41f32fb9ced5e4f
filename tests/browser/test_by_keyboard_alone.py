"""On a phone with a keyboard and no finger: from signing up to a second plan, and one sees at each step where one is."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.test_pages_are_sound import FOCUSED
from tests.browser.test_the_whole_path import plan_of
from tests.cast import ALICE, Clock


@pytest.fixture
def engine() -> str:
    """Keys do not depend on the engine."""
    return "sqlite"


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


def test_from_sign_up_to_a_second_plan_by_keyboard_alone(page: Page, clock: Clock) -> None:
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
