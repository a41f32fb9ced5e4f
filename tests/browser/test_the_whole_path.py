"""A person on a phone: sign up, screen, plan, hear, seek, come back, rate, and the next plan is different."""

from __future__ import annotations

import base64
import re
from typing import Any

import numpy as np
from playwright.sync_api import Page, expect

from tests.browser.conftest import tap
from tests.cast import ALICE, Clock

SAMPLE_RATE_HZ = 44_100
FRAME_BYTES = 6

# The bytes of one range of the sound, as the page's own fetch gets them.
FETCH_RANGE = """async ([url, first, last]) => {
  const answer = await fetch(url, { headers: { Range: `bytes=${first}-${last}` } });
  const bytes = new Uint8Array(await answer.arrayBuffer());
  let text = "";
  for (let i = 0; i < bytes.length; i += 32768) text += String.fromCharCode(...bytes.subarray(i, i + 32768));
  return { status: answer.status, base64: btoa(text) };
}"""

# The strongest line in 100-500 Hz of what the <audio> element puts out, left and right, in Hz.
LISTEN = """async () => {
  const context = new AudioContext();
  await context.resume();
  const split = context.createChannelSplitter(2);
  context.createMediaStreamSource(document.getElementById("audio").captureStream()).connect(split);
  const ears = [0, 1].map((ear) => {
    const tap = new AnalyserNode(context, { fftSize: 32768, smoothingTimeConstant: 0 });
    split.connect(tap, ear);
    return tap;
  });
  await new Promise((done) => setTimeout(done, 1500));
  const step = context.sampleRate / 32768;
  const strongest = (tap) => {
    const db = new Float32Array(tap.frequencyBinCount);
    tap.getFloatFrequencyData(db);
    let best = Math.round(100 / step);
    for (let bin = best; bin < 500 / step; bin++) if (db[bin] > db[best]) best = bin;
    return { hz: best * step, db: db[best] };
  };
  const heard = ears.map(strongest);
  await context.close();
  return heard;
}"""


def test_from_sign_up_to_a_second_plan_that_learned(page: Page, clock: Clock) -> None:
    sign_up_and_in(page)
    answer_screening(page)
    start(page)

    first = plan_of(page)
    assert first["target_hz"] == 10.0
    assert "have not rated" in first["reason"]
    start(page)
    assert plan_of(page) == first  # the same wish is the same plan until something was learned

    hear_carriers_in_the_bytes(page, first)
    hear_carriers_from_the_player(page, first)
    come_back_after_reload(page)
    play_to_the_end(page)
    heard = page.locator("[data-session]").get_attribute("data-session")
    clock.advance(minutes=6)

    page.get_by_role("link", name="Rate this session").click()
    tap(page, "rating", "1")
    page.get_by_role("button", name="Save my rating").click()
    expect(page).to_have_url(re.compile("/profile$"))
    changed = page.locator("section[aria-labelledby=changed] li")
    expect(changed).to_have_count(1)
    expect(changed).to_contain_text("near 10 Hz falls")
    expect(page.get_by_text("1 rating", exact=True)).to_be_visible()

    clock.advance(minutes=1)
    start(page)
    second = plan_of(page)
    assert second["reason"] != first["reason"]
    assert second["target_hz"] != first["target_hz"]
    look_at_it_again(page, heard)


def sign_up_and_in(page: Page) -> None:
    page.goto("/")
    page.get_by_role("link", name="Create an account").click()
    page.get_by_label("E-mail").fill(ALICE.email)
    page.get_by_label("Phone").fill(ALICE.phone_number)
    page.get_by_label("Password").fill(ALICE.password)
    page.get_by_label("I agree").check()
    page.get_by_role("button", name="Create account").click()
    expect(page.get_by_role("status")).to_contain_text("your account is ready")
    page.get_by_label("E-mail").fill(ALICE.email)
    page.get_by_label("Password").fill(ALICE.password)
    page.get_by_role("button", name="Sign in", exact=True).click()


def answer_screening(page: Page) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text("A short safety check")
    tap(page, "age_group", "18_plus")
    page.get_by_label("None of these apply to me").check()
    page.get_by_label("I will not listen while driving").check()
    page.get_by_role("button", name="Save my answers").click()
    expect(page).to_have_url(re.compile("/$"))


def start(page: Page) -> None:
    """Wound up, to calm focus, five minutes."""
    page.goto("/start")
    tap(page, "initial_state", "peak_focus")
    tap(page, "target_state", "calm_focus")
    page.get_by_label("How long?").fill("5")
    page.get_by_role("button", name="Plan and play").click()
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()


def plan_of(page: Page) -> dict[str, Any]:
    """What the player says of its session."""
    page.get_by_text("About this session").click()
    shown = page.locator(".facts div", has_text="Hz target").locator("dd").inner_text()
    page.get_by_text("About this session").click()
    return {"target_hz": float(shown), "reason": page.locator(".player .head p").inner_text()}


def carriers(page: Page, target_hz: float) -> list[float]:
    """The planned tones of the left and the right ear on the plateau, in Hz."""
    session_id = page.locator("[data-session]").get_attribute("data-session")
    planned = page.evaluate("async (id) => (await fetch(`/api/v1/sessions/${id}`)).json()", session_id)
    assert round(planned["target_hz"], 1) == target_hz
    assert planned["method"] == "binaural"
    return [planned["base_hz"] - target_hz / 2, planned["base_hz"] + target_hz / 2]


def hear_carriers_in_the_bytes(page: Page, plan: dict[str, Any]) -> None:
    """Four seconds of the plateau, out of the middle of the WAV, hold both tones to a hundredth of a hertz."""
    url = page.locator("[data-audio]").get_attribute("data-audio")
    head = page.evaluate(FETCH_RANGE, [url, 0, 255])
    data_at = base64.b64decode(head["base64"]).index(b"data") + 8
    first = data_at + 200 * SAMPLE_RATE_HZ * FRAME_BYTES
    part = page.evaluate(FETCH_RANGE, [url, first, first + 4 * SAMPLE_RATE_HZ * FRAME_BYTES - 1])
    assert (head["status"], part["status"]) == (206, 206)
    raw = np.frombuffer(base64.b64decode(part["base64"]), np.uint8).reshape(-1, 2, 3).astype(np.int32)
    sound = (raw[..., 0] << 8 | raw[..., 1] << 16 | raw[..., 2] << 24) / 2.0**31
    assert len(sound) == 4 * SAMPLE_RATE_HZ
    for ear, planned_hz in enumerate(carriers(page, plan["target_hz"])):
        spectrum = np.abs(np.fft.rfft(sound[:, ear] * np.hanning(len(sound)), 2**22))
        low, high = (round(hz * 2**22 / SAMPLE_RATE_HZ) for hz in (100, 500))
        heard_hz = (low + np.argmax(spectrum[low:high])) * SAMPLE_RATE_HZ / 2**22
        assert abs(heard_hz - planned_hz) < 0.02, (ear, heard_hz, planned_hz)


def hear_carriers_from_the_player(page: Page, plan: dict[str, Any]) -> None:
    """Pressing play plays; a jump lands and goes on; what comes out is the two planned tones; pause pauses."""
    planned = carriers(page, plan["target_hz"])
    page.get_by_role("button", name="Play", exact=True).click()
    expect(page.get_by_role("button", name="Pause", exact=True)).to_be_visible()
    page.wait_for_function("() => audio.currentTime > 1")
    page.locator("#seek").evaluate("""(seek) => {
      seek.value = "200";
      for (const name of ["input", "change"]) seek.dispatchEvent(new Event(name, { bubbles: true }));
    }""")
    landed = page.evaluate("() => audio.currentTime")
    assert abs(landed - 200) < 1
    page.wait_for_function("() => audio.currentTime > 201 && !audio.paused")
    for heard, planned_hz in zip(page.evaluate(LISTEN), planned, strict=True):
        assert abs(heard["hz"] - planned_hz) < 1.5, (heard, planned)
        assert heard["db"] > -80, heard
    with page.expect_response(lambda answer: answer.request.method == "PATCH") as kept:
        page.get_by_role("button", name="Pause", exact=True).click()
    assert kept.value.status == 200
    expect(page.locator("#status")).to_have_text("Paused")


def come_back_after_reload(page: Page) -> None:
    left_at = page.evaluate("() => audio.currentTime")
    assert left_at > 202
    page.reload()
    expect(page.locator("#status")).to_contain_text("Continues at 3:2")
    page.get_by_role("button", name="Play", exact=True).click()
    page.wait_for_function("() => !audio.paused && audio.readyState > 2 && !audio.seeking && audio.currentTime > 100")
    assert left_at - 2 < page.evaluate("() => audio.currentTime") < left_at + 6


def play_to_the_end(page: Page) -> None:
    """The last second plays, and the player asks how it was."""
    with page.expect_response(lambda answer: answer.request.method == "PATCH" and "ended" in (answer.request.post_data or "")) as told:
        page.locator("#seek").evaluate("""(seek) => {
          seek.value = "299";
          for (const name of ["input", "change"]) seek.dispatchEvent(new Event(name, { bubbles: true }));
        }""")
    assert told.value.status == 200
    expect(page.get_by_role("heading", name="How was it?")).to_be_focused()


def look_at_it_again(page: Page, session_id: str | None) -> None:
    """To look at what was heard takes nothing from it, nor does to play a little of it; and that little goes on after a reload."""
    heard = "async (id) => (await (await fetch(`/api/v1/sessions/${id}`)).json()).position_s"
    page.goto(f"/sessions/{session_id}")
    expect(page.locator("#position")).to_have_text("0:00")
    page.goto("/history")
    page.wait_for_timeout(200)  # what a page sends when it is left
    assert page.evaluate(heard, session_id) == 300
    page.goto(f"/sessions/{session_id}")
    page.get_by_role("button", name="Play", exact=True).click()
    page.wait_for_function("() => audio.currentTime > 1.2")
    with page.expect_response(lambda answer: answer.request.method == "PATCH") as told:
        page.get_by_role("button", name="Pause", exact=True).click()
    assert told.value.status == 200
    assert page.evaluate(heard, session_id) == 300
    page.reload()
    expect(page.locator("#status")).to_contain_text("Continues at 0:0")
