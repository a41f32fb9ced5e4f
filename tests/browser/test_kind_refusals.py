"""When something is wrong the page says so beside it, keeps what was typed, and offers what is still possible."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Window, sign_in, tap
from tests.browser.test_the_whole_path import LISTEN, start
from tests.cast import ALICE, BOB, CHARLIE
from tests.served import Served, Visitor

WITHOUT_BROWSER_CHECKS = "() => { for (const form of document.forms) form.noValidate = true; }"


@pytest.fixture(scope="module")
def engine() -> str:
    """The words are the same on both engines; tests/contract proves that the verdicts are."""
    return "sqlite"


@pytest.fixture(scope="module")
def served(one_server: Served) -> Served:
    """One server for the whole module: what is refused changes nothing."""
    return one_server


@pytest.fixture(scope="module")
def alice(served: Served) -> Visitor:
    """Alice, signed up, signed in and screened."""
    visitor = served.visitor()
    visitor.sign_up(ALICE)
    visitor.screened()
    return visitor


@pytest.fixture
def listening(window: Window, alice: Visitor) -> Page:
    """A page of Alice, signed in."""
    sign_in(window, alice)
    return window.context.new_page()


def submit(page: Page, button: str) -> None:
    """The form as a browser without checks of its own would send it."""
    page.evaluate(WITHOUT_BROWSER_CHECKS)
    page.get_by_role("button", name=button, exact=True).click()
    page.wait_for_load_state()


def complaint(page: Page, label: str) -> str:
    """What stands beside a field, tied to it for those who hear the page."""
    field = page.get_by_label(label, exact=True)
    expect(field).to_have_attribute("aria-invalid", "true")
    ids = (field.get_attribute("aria-describedby") or "").split()
    told = [page.locator(f"#{one}.error").inner_text() for one in ids if one.startswith("e-")]
    assert len(told) == 1
    above = page.get_by_role("alert").get_by_role("link").first
    above.click()
    return told[0]


@pytest.mark.parametrize(
    ("label", "typed"), [("E-mail", "alice at home"), ("Phone", "12"), ("Password", "short one")]
)
def test_a_wrong_field_of_the_sign_up_is_named_and_the_rest_is_kept(
    label: str, typed: str, window: Window, page: Page
) -> None:
    window.expect("status of 4")
    page.goto("/sign-up")
    filled = {"E-mail": ALICE.email, "Phone": ALICE.phone_number, "Password": ALICE.password} | {label: typed}
    for name, text in filled.items():
        page.get_by_label(name, exact=True).fill(text)
    page.get_by_label("I agree").check()
    submit(page, "Create account")

    assert complaint(page, label)
    expect(page.get_by_label(label, exact=True)).to_be_focused()
    for name in ("E-mail", "Phone"):
        expect(page.get_by_label(name, exact=True)).to_have_value(filled[name])
    expect(page.get_by_label("Password", exact=True)).to_have_value("")
    expect(page.get_by_label("I agree")).to_be_checked()
    assert filled["Password"] not in page.content()


def test_signing_up_needs_consent(window: Window, page: Page) -> None:
    window.expect("status of 4")
    page.goto("/sign-up")
    for name, text in {"E-mail": ALICE.email, "Phone": ALICE.phone_number, "Password": ALICE.password}.items():
        page.get_by_label(name, exact=True).fill(text)
    submit(page, "Create account")
    expect(page.locator("#e-consent_health_data")).to_be_visible()


def test_a_wrong_password_says_so_and_keeps_the_address(window: Window, page: Page, alice: Visitor) -> None:
    window.expect("status of 4")
    page.goto("/sign-in")
    page.get_by_label("E-mail").fill(ALICE.email)
    page.get_by_label("Password").fill("not my password at all")
    submit(page, "Sign in")
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.get_by_label("E-mail")).to_have_value(ALICE.email)
    expect(page.get_by_label("Password")).to_have_value("")


def test_safety_answers_that_contradict_are_named_and_kept(window: Window, listening: Page) -> None:
    window.expect("status of 4")
    listening.goto("/screening")
    tap(listening, "age_group", "18_plus")
    listening.locator("input[name=condition]").first.check()
    listening.get_by_label("None of these apply to me").check()
    listening.get_by_label("I will not listen while driving").check()
    submit(listening, "Save my answers")
    expect(listening.locator("#e-none")).to_be_visible()
    expect(listening.locator("input[name=condition]").first).to_be_checked()
    expect(listening.locator("input[name=age_group][value='18_plus']")).to_be_checked()


def test_safety_answers_without_a_promise_are_named(window: Window, listening: Page) -> None:
    window.expect("status of 4")
    listening.goto("/screening")
    listening.get_by_label("I will not listen while driving").uncheck()
    submit(listening, "Save my answers")
    expect(listening.locator("#e-agree_not_driving")).to_be_visible()


@pytest.mark.parametrize("minutes", ["3", "500", "", "many"])
def test_wrong_minutes_are_named_and_the_wish_is_kept(minutes: str, window: Window, listening: Page) -> None:
    window.expect("status of 4")
    listening.goto("/start")
    tap(listening, "initial_state", "sleep")
    tap(listening, "target_state", "peak_focus")
    # A number field of a browser drops letters; others send them.
    listening.get_by_label("How long?").evaluate("(field, text) => { field.type = 'text'; field.value = text; }", minutes)
    if minutes == "":
        submit(listening, "Plan and play")
        expect(listening).to_have_url(re.compile("/sessions/"))  # left empty: the minutes of the preferences
        return
    submit(listening, "Plan and play")
    told = complaint(listening, "How long?")
    assert "5 to 120" in told
    assert {"3": "too small", "500": "too large", "many": "not a whole number"}[minutes] in told  # not what a program is told
    expect(listening.locator("input[name=initial_state][value=sleep]")).to_be_checked()
    expect(listening.locator("input[name=target_state][value=peak_focus]")).to_be_checked()


def test_a_diary_day_out_of_range_is_named_and_the_notes_are_kept(window: Window, listening: Page) -> None:
    window.expect("status of 4")
    listening.goto("/progress")
    listening.get_by_label("Stress", exact=True).fill("11")
    listening.get_by_label("Notes").fill("A long day.")
    submit(listening, "Save the day")
    assert "1 to 10" in complaint(listening, "Stress")
    expect(listening.get_by_label("Notes")).to_have_value("A long day.")


def test_a_rating_that_is_missing_is_named_and_the_text_is_kept(window: Window, listening: Page, alice: Visitor) -> None:
    window.expect("status of 4")
    listening.goto(f"/sessions/{alice.session()['id']}/rate")
    listening.get_by_label("Anything to add?").fill("Too short to say.")
    listening.locator("input[name=rating]").first.evaluate("(one) => { one.value = '9'; one.checked = true; }")
    submit(listening, "Save my rating")
    expect(listening.locator("#e-rating")).to_be_visible()
    expect(listening.get_by_label("Anything to add?")).to_have_value("Too short to say.")


def test_preferences_out_of_range_are_named(window: Window, listening: Page) -> None:
    window.expect("status of 4")
    listening.goto("/preferences")
    listening.get_by_label("Minutes", exact=True).fill("4")
    submit(listening, "Save preferences")
    assert "5 to 120" in complaint(listening, "Minutes")


def test_a_wrong_current_password_is_said_and_shown_nowhere(window: Window, listening: Page) -> None:
    window.expect("status of 4")
    listening.goto("/privacy")
    listening.get_by_label("Current password").fill("certainly not this one")
    listening.get_by_label("New password").fill("a whole new password here")
    submit(listening, "Change password")
    expect(listening.locator("main")).to_contain_text("is not right")
    assert "a whole new password here" not in listening.content()


def test_epilepsy_is_refused_with_its_reason_and_background_sound_plays_without_a_beat(
    window: Window, page: Page, served: Served
) -> None:
    window.expect("status of 409")
    charlie, listening = served.visitor(), page
    charlie.sign_up(CHARLIE)
    charlie.screened()
    sign_in(window, charlie)
    listening.goto("/screening")
    tap(listening, "age_group", "18_plus")
    listening.get_by_label(re.compile("epilepsy", re.IGNORECASE)).first.check()
    listening.get_by_label("None of these apply to me").uncheck()
    listening.get_by_label("I will not listen while driving").check()
    listening.get_by_role("button", name="Save my answers").click()

    listening.goto("/start")
    tap(listening, "target_state", "calm_focus")
    listening.get_by_label("How long?").fill("5")
    listening.get_by_role("button", name="Plan and play").click()
    refusal = listening.get_by_role("alert").filter(has_text="Not this one")
    expect(refusal).to_contain_text(re.compile("epilepsy", re.IGNORECASE))
    expect(refusal).to_contain_text("background sound only")
    expect(listening.locator("input[name=target_state][value=calm_focus]")).to_be_checked()
    expect(listening.get_by_label("How long?")).to_have_value("5")
    listening.get_by_label(re.compile("background sound only")).check()
    listening.get_by_role("button", name="Plan and play").click()

    expect(listening.locator(".player .head p")).to_have_text(
        "Background sound without rhythmic tones, because of your safety answers."
    )
    listening.get_by_text("About this session").click()
    expect(listening.locator(".facts")).not_to_contain_text("Hz")
    session_id = listening.locator("[data-session]").get_attribute("data-session")
    planned = listening.evaluate("async (id) => (await fetch(`/api/v1/sessions/${id}`)).json()", session_id)
    assert (planned["method"], planned["target_hz"]) == ("none", None)
    listening.get_by_role("button", name="Play", exact=True).click()
    listening.wait_for_function("() => audio.currentTime > 7")  # past the fade in
    for ear in listening.evaluate(LISTEN):
        assert ear["db"] > -110, ear


def test_a_lost_network_is_said_kindly_and_playing_goes_on_at_a_retry(window: Window, listening: Page) -> None:
    window.expect("net::ERR_INTERNET_DISCONNECTED", "net::ERR_FAILED")
    start(listening)
    listening.get_by_role("button", name="Play", exact=True).click()
    listening.wait_for_function("() => audio.currentTime > 1")
    window.context.set_offline(True)
    listening.locator("#seek").evaluate("""(seek) => {
      seek.value = "220";
      for (const name of ["input", "change"]) seek.dispatchEvent(new Event(name, { bubbles: true }));
    }""")
    trouble = listening.locator("#trouble")
    expect(trouble).to_be_visible(timeout=10_000)
    expect(trouble).to_contain_text("Your place is kept")
    window.context.set_offline(False)
    if trouble.is_visible():  # else the browser said that it is online again, and the player tried by itself
        listening.get_by_role("button", name="Try again").click()
    listening.wait_for_function("() => !audio.paused && audio.readyState > 2 && audio.currentTime > 220")
    expect(trouble).to_be_hidden()
    assert listening.evaluate("() => audio.currentTime") < 235


def test_a_place_that_cannot_be_sent_is_kept_and_sent_later(window: Window, listening: Page, alice: Visitor) -> None:
    window.expect("net::ERR_FAILED")
    start(listening)
    listening.get_by_role("button", name="Play", exact=True).click()
    listening.wait_for_function("() => audio.currentTime > 1")
    listening.route("**/api/v1/sessions/*", lambda route: route.abort())
    listening.get_by_role("button", name="Pause", exact=True).click()
    expect(listening.locator("#trouble")).to_contain_text("kept on this device")
    listening.unroute("**/api/v1/sessions/*")
    with listening.expect_response(lambda answer: answer.request.method == "PATCH") as kept:
        listening.get_by_role("button", name="Try again").click()
    assert kept.value.status == 200
    expect(listening.locator("#trouble")).to_be_hidden()
    session_id = listening.locator("[data-session]").get_attribute("data-session")
    assert alice.get(f"/api/v1/sessions/{session_id}").json()["position_s"] >= 1


def test_pages_that_are_not_there_and_not_yours_look_alike(
    window: Window, listening: Page, served: Served
) -> None:
    window.expect("status of 404")
    bob = served.visitor()
    bob.sign_up(BOB)
    bob.screened()
    foreign = bob.session()["id"]
    nowhere = "019c0000-0000-7000-8000-000000000000"
    told = set()
    for path in (f"/sessions/{foreign}", f"/sessions/{foreign}/rate", f"/sessions/{nowhere}"):
        answer = listening.goto(path)
        assert answer is not None
        assert answer.status == 404
        told.add(listening.locator("main").inner_text())
        expect(listening.get_by_role("link", name="Back to today")).to_be_visible()
    assert len(told) == 1
    answer = listening.goto("/no-such-page")
    assert answer is not None
    assert answer.status == 404
    expect(listening.get_by_role("heading", level=1)).to_be_visible()
