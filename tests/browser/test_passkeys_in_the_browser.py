"""Passkeys with Chromium's own virtual authenticator: added on the page, then alone, then as the second step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page

from stillwave.db.database import open_database
from stillwave.settings import Settings
from tests.browser.conftest import Window
from tests.browser.conftest import sign_in as carry
from tests.cast import ALICE, Clock
from tests.served import Served, serving


@pytest.fixture(params=["sqlite"])
def engine(request: pytest.FixtureRequest) -> str:
    """One engine: the rows are looked at in tests/contract."""
    name: str = request.param
    return name


@pytest.fixture
def served(settings: Settings, clock: Clock) -> Iterator[Served]:
    """A server that is reached by a name."""
    with serving(settings, open_database(settings), clock, limit_factor=100, base_url="http://localhost:{port}") as server:
        server.url = server.kit.settings.base_url
        yield server


def with_device(window: Window) -> tuple[Page, Any, str]:
    """A page whose browser has a device that knows its person and says yes."""
    window.context.set_default_timeout(60_000)  # Argon2 and a device, beside the rest of a run
    page = window.context.new_page()
    cdp = window.context.new_cdp_session(page)
    cdp.send("WebAuthn.enable")
    device = cdp.send(
        "WebAuthn.addVirtualAuthenticator",
        {"options": {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
                     "isUserVerified": True, "automaticPresenceSimulation": True}},
    )  # fmt: skip
    return page, cdp, device["authenticatorId"]


def test_a_passkey_is_added_opens_the_account_and_is_the_second_step(
    window: Window, served: Served, alice: Any
) -> None:
    page, cdp, device = with_device(window)
    carry(window, alice)
    page.goto("/security")
    page.get_by_label("Name for a new passkey").fill("my phone")
    page.locator("#f-passkey_password").fill(ALICE.password)
    page.get_by_role("button", name="Add a passkey").click()
    page.get_by_role("heading", name="Recovery codes").wait_for()
    [credential] = cdp.send("WebAuthn.getCredentials", {"authenticatorId": device})["credentials"]
    assert credential["rpId"] == "localhost"
    assert credential["isResidentCredential"]
    page.get_by_role("link", name="I have them").click()
    assert page.locator("#passkeys + .tag").inner_text() == "1"
    page.get_by_text("my phone", exact=True).wait_for()

    window.context.clear_cookies()
    page.goto("/sign-in")
    page.get_by_role("button", name="Sign in with a passkey").click()
    page.wait_for_url(f"{served.url}/")
    page.goto("/security")
    page.get_by_text("last used 25 November 2026").wait_for()

    page.goto("/contact")
    page.get_by_label("Phone").fill("+442079460998")
    page.get_by_role("button", name="Use a passkey instead").click()
    page.get_by_text("that was you").wait_for()
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Your e-mail and phone number are stored").wait_for()

    window.context.clear_cookies()
    page.goto("/sign-in")
    page.get_by_label("E-mail").fill(ALICE.email)
    page.get_by_label("Password").fill(ALICE.password)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.get_by_role("button", name="Use a passkey").click()
    page.wait_for_url(f"{served.url}/")

    # A copy of the device signs with a count that was seen before.
    window.context.clear_cookies()
    [credential] = cdp.send("WebAuthn.getCredentials", {"authenticatorId": device})["credentials"]
    cdp.send("WebAuthn.removeCredential", {"authenticatorId": device, "credentialId": credential["credentialId"]})
    cdp.send("WebAuthn.addCredential", {"authenticatorId": device, "credential": {**credential, "signCount": 1}})
    window.expect("401")
    page.goto("/sign-in")
    page.get_by_role("button", name="Sign in with a passkey").click()
    page.get_by_text("This passkey opens nothing here").first.wait_for()

    # A device that does not know its person opens nothing, and says so in place.
    cdp.send("WebAuthn.setUserVerified", {"authenticatorId": device, "isUserVerified": False})
    page.goto("/sign-in")
    page.get_by_role("button", name="Sign in with a passkey").click()
    page.locator("form[data-passkey] [role=alert]").wait_for()
