"""What the player does beside playing: it stops when told, goes on when it can, and keeps only what it may."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from stillwave.sessions import audio
from stillwave.sound import phone
from stillwave.sound.programme import Programme, Segment
from tests.browser.conftest import Window, sign_in, tap
from tests.cast import ALICE
from tests.served import Served, Visitor

PLAYS = "() => !audio.paused && audio.readyState > 2 && !audio.seeking && audio.currentTime > 0.3"
SEEK = """(seek, to) => {
  seek.value = String(to);
  for (const name of ["input", "change"]) seek.dispatchEvent(new Event(name, { bubbles: true }));
}"""


@pytest.fixture(scope="module")
def engine() -> str:
    """The player knows nothing of the engine."""
    return "sqlite"


@pytest.fixture(scope="module")
def served(one_server: Served) -> Served:
    """One server for the whole module."""
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


def play(page: Page, alice: Visitor) -> str:
    """A new session of five minutes plays; returns its id."""
    session_id: str = alice.session(background="none")["id"]  # quick to render and to code
    page.goto(f"/sessions/{session_id}")
    page.get_by_role("button", name="Play", exact=True).click()
    page.wait_for_function(PLAYS)
    return session_id


def test_the_sound_starts_within_a_second(listening: Page, alice: Visitor) -> None:
    """From the press of play to sound that comes out; the best of three, since the machine of the tests is busy."""
    taken = []
    for bed in ("nature", "ambient", "none"):
        listening.goto(f"/sessions/{alice.session(background=bed)['id']}")
        listening.evaluate("""() => {
          const began = performance.now();
          audio.addEventListener("timeupdate", () => { if (audio.currentTime > 0) window.startedAfterMs ??= performance.now() - began; });
          document.getElementById("play").click();
        }""")
        taken.append(listening.wait_for_function("() => window.startedAfterMs").json_value())
    assert min(taken) < 1000, taken


def test_the_sleep_timer_fades_pauses_and_notes_the_place_and_nothing_is_kept_without_consent(
    listening: Page, alice: Visitor
) -> None:
    listening.clock.install()
    session_id = play(listening, alice)
    listening.get_by_label("Sleep timer").select_option("5")
    expect(listening.locator("#sleep-left")).to_have_text("Stops in 5 minutes")
    assert listening.evaluate("() => audio.volume") == 1
    listening.clock.fast_forward("04:45")
    assert 0.4 < listening.evaluate("() => audio.volume") < 0.6
    expect(listening.locator("#sleep-left")).to_have_text("Fading out…")
    assert not listening.evaluate("() => audio.paused")
    listening.clock.fast_forward("00:16")
    expect(listening.locator("#sleep-left")).to_contain_text("Your place is kept")
    assert listening.evaluate("() => audio.paused")
    assert listening.evaluate("() => audio.volume") == 1  # the next play is as loud as the slider says
    place = listening.evaluate("() => audio.currentTime")
    listening.wait_for_timeout(300)
    assert abs(alice.get(f"/api/v1/sessions/{session_id}").json()["position_s"] - place) <= 1
    # minutes of playing have passed for the page, and still:
    assert listening.evaluate("async () => await caches.has('stillwave-sound')") is False
    expect(listening.locator("#kept")).to_be_empty()


def test_moving_the_sleep_timer_to_off_lets_the_sound_go_on(listening: Page, alice: Visitor) -> None:
    listening.clock.install()
    play(listening, alice)
    listening.get_by_label("Sleep timer").select_option("5")
    listening.clock.fast_forward("04:50")
    listening.get_by_label("Sleep timer").select_option("")
    assert listening.evaluate("() => audio.volume") == 1
    listening.clock.fast_forward("00:30")
    assert not listening.evaluate("() => audio.paused")


@pytest.fixture
def quick_opus(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first thirty seconds of every sound, since coding all of it takes ten seconds of a test and more."""

    def short(_programme: Programme, tags: dict[str, str]) -> Iterator[bytes]:
        half_a_minute = (Segment(30.0, 200.0, 200.0, 10.0, 10.0),)
        return phone.opus(Programme(segments=half_a_minute, method="binaural", bed="none", seed=1), tags=tags)

    monkeypatch.setattr(audio, "opus", short)


@pytest.mark.usefixtures("quick_opus")
def test_with_consent_the_sound_plays_on_without_a_connection_and_is_gone_when_taken_back(
    window: Window, listening: Page, alice: Visitor
) -> None:
    window.expect("net::ERR_INTERNET_DISCONNECTED", "net::ERR_FAILED", "504")
    listening.goto("/privacy")
    keeping = listening.locator("#consents li", has_text="Keep sound on my devices")
    keeping.get_by_role("button", name="I agree").click()
    expect(keeping.get_by_text("Given", exact=True)).to_be_visible()
    listening.evaluate("async () => { await navigator.serviceWorker.ready; }")

    play(listening, alice)
    expect(listening.locator("#kept")).to_have_text("Kept on this device: it plays on without a connection.", timeout=60_000)
    listening.locator("#seek").evaluate(SEEK, 2)  # a slow machine may have played past the half minute that is kept
    window.context.set_offline(True)
    listening.evaluate("() => { audio.currentTime = 280; }")  # where nothing is buffered; the place stays where it was
    listening.wait_for_function("() => audio.src.endsWith('.opus') && !audio.paused && audio.readyState > 2 && !audio.seeking", timeout=20_000)
    listening.locator("#seek").evaluate(SEEK, 25)
    listening.wait_for_function("() => !audio.paused && audio.currentTime > 25.2", timeout=20_000)
    assert listening.evaluate("() => audio.duration") == pytest.approx(30, abs=0.1)
    listening.reload()
    expect(listening.get_by_role("heading", level=1)).to_have_text("Stillwave is out of reach")
    kept = listening.locator("#sounds audio")
    expect(kept).to_have_count(1)
    expect(kept).to_have_attribute("aria-label", "Calm focus")
    assert listening.evaluate("async () => { const one = document.querySelector('#sounds audio'); await one.play(); return one.duration; }") == pytest.approx(30, abs=0.1)

    window.context.set_offline(False)
    listening.wait_for_timeout(6_000)
    expect(kept).to_have_count(1)  # somebody listens: the page does not go away under them
    listening.evaluate("() => document.querySelector('#sounds audio').pause()")
    expect(listening.locator("#play")).to_be_visible(timeout=20_000)  # the page comes back by itself
    listening.goto("/privacy")
    held = listening.evaluate("""async () => {
      const found = [];
      for (const name of await caches.keys()) for (const request of await (await caches.open(name)).keys()) {
        const answer = await (await caches.open(name)).match(request);
        found.push([new URL(request.url).pathname, answer.headers.get("content-type")]);
      }
      return found;
    }""")
    pages = [path for path, kind in held if "html" in kind]
    assert pages == ["/offline"]
    assert sum(path.endswith(".opus") for path, _ in held) == 1
    keeping.get_by_role("button", name="Take it back").click()
    expect(keeping.get_by_text("Not given")).to_be_visible()
    listening.wait_for_function("async () => !(await caches.has('stillwave-sound'))")


def test_signing_out_takes_the_kept_sound_away(listening: Page, served: Served) -> None:
    listening.goto("/privacy")
    listening.evaluate("async () => (await caches.open('stillwave-sound')).put('/api/v1/sessions/x/audio.opus', new Response('sound'))")
    listening.context.clear_cookies()  # the login has ended
    listening.goto("/progress")
    expect(listening).to_have_url(f"{served.url}/sign-in")
    listening.wait_for_function("async () => !(await caches.has('stillwave-sound'))")


def test_the_page_without_a_connection_holds_no_notice_of_anybody(window: Window, listening: Page) -> None:
    window.expect("404")  # Chromium looks for /favicon.ico beside a picture
    listening.goto("/static/icons.svg", wait_until="networkidle")  # no worker yet
    window.context.add_cookies([{"name": "stillwave_notice", "value": "You%20felt%20low", "url": window.origin}])
    assert any(cookie["name"] == "stillwave_notice" for cookie in window.context.cookies())
    listening.evaluate("() => navigator.serviceWorker.register('/sw.js', { scope: '/' })")
    listening.evaluate("async () => { await navigator.serviceWorker.ready; }")
    text = listening.evaluate("async () => (await caches.match('/offline')).text()")
    assert "out of reach" in text
    assert "felt low" not in text


def test_a_lost_connection_is_tried_again_by_itself(window: Window, listening: Page, alice: Visitor) -> None:
    window.expect("net::ERR_FAILED")
    tries: list[str] = []

    def refuse(route: Any) -> None:
        tries.append(route.request.url)
        route.abort()

    listening.route("**/audio.wav", refuse)
    session_id = alice.session()["id"]
    listening.goto(f"/sessions/{session_id}")
    listening.get_by_role("button", name="Play", exact=True).click()
    expect(listening.locator("#trouble")).to_contain_text("goes on by itself")
    listening.unroute("**/audio.wav")
    listening.wait_for_function(PLAYS)
    expect(listening.locator("#trouble")).to_be_hidden()
    assert tries


def test_feeling_unwell_stops_at_once_opens_the_effects_and_acts_on_the_profile(
    listening: Page, alice: Visitor
) -> None:
    before = alice.get("/api/v1/profile").json()
    play(listening, alice)
    way_out = listening.get_by_role("link", name="Stop, I feel unwell")
    expect(way_out).to_be_in_viewport()
    listening.evaluate("() => scrollTo(0, document.body.scrollHeight)")
    expect(way_out).to_be_in_viewport()
    quiet = listening.evaluate("""() => {
      const link = document.getElementById("unwell");
      link.addEventListener("click", (event) => event.preventDefault(), { once: true });
      link.click();
      return audio.paused;
    }""")
    assert quiet
    way_out.click()
    expect(listening.get_by_role("heading", level=1)).to_have_text("What did you notice?")
    listening.get_by_label("Headache").select_option("3")
    tap(listening, "rating", "1")
    listening.get_by_role("button", name="Save my rating").click()
    expect(listening).to_have_url(re.compile("/profile$"))
    assert alice.get("/api/v1/profile").json() != before


def test_media_keys_and_lock_screen_steer_the_player(listening: Page, alice: Visitor) -> None:
    listening.add_init_script("""
      window.handlers = {};
      MediaSession.prototype.setActionHandler = (name, handler) => { window.handlers[name] = handler; };
      MediaSession.prototype.setPositionState = (state) => { window.told = state; };
    """)
    play(listening, alice)
    shown = listening.evaluate("() => [navigator.mediaSession.metadata.title, navigator.mediaSession.metadata.artwork[0].src, navigator.mediaSession.playbackState]")
    assert shown[0] == "Calm focus"
    assert listening.request.get(shown[1]).headers["content-type"] == "image/png"
    assert shown[2] == "playing"
    listening.evaluate("() => handlers.seekto({ seekTime: 100 })")
    listening.wait_for_function("() => audio.currentTime >= 100 && told.position >= 100 && told.duration === 300")
    listening.evaluate("() => handlers.pause()")
    expect(listening.locator("#status")).to_have_text("Paused")
    assert listening.evaluate("() => navigator.mediaSession.playbackState") == "paused"
    listening.evaluate("() => handlers.seekbackward({})")
    assert listening.evaluate("() => audio.currentTime") < 100
    listening.evaluate("() => handlers.play()")
    listening.wait_for_function(PLAYS)


def test_the_screen_stays_on_only_when_wanted_and_only_while_the_sound_plays(listening: Page, alice: Visitor) -> None:
    listening.add_init_script("""
      window.held = 0;
      const wakeLock = { request: async () => {
        held++;
        const lock = new EventTarget();
        lock.release = async () => { held--; lock.dispatchEvent(new Event("release")); };
        return lock;
      } };
      Object.defineProperty(Navigator.prototype, "wakeLock", { get: () => wakeLock });
    """)
    play(listening, alice)
    screen = listening.get_by_role("button", name="Screen on")
    assert listening.evaluate("() => held") == 0
    screen.click()
    listening.wait_for_function("() => held === 1")
    listening.get_by_role("button", name="Pause", exact=True).click()
    listening.wait_for_function("() => held === 0")
    listening.get_by_role("button", name="Play", exact=True).click()
    listening.wait_for_function("() => held === 1")
    screen.click()
    listening.wait_for_function("() => held === 0")


def test_a_browser_without_wake_lock_shows_no_switch_and_less_motion_needs_none(opened: Any, alice: Visitor) -> None:
    window = opened(reduced_motion="reduce")
    sign_in(window, alice)
    page = window.context.new_page()
    page.add_init_script("delete Navigator.prototype.wakeLock;")
    page.goto(f"/sessions/{alice.session()['id']}")
    expect(page.locator("#awake")).to_be_hidden()
    expect(page.locator("#visual")).to_be_hidden()
    before = page.evaluate("() => document.querySelector('canvas').toDataURL()")
    page.get_by_role("button", name="Play", exact=True).click()
    page.wait_for_function(PLAYS)
    page.wait_for_timeout(700)
    assert page.evaluate("() => document.querySelector('canvas').toDataURL()") == before


# How much ink the canvas has, every tenth of a second for three seconds.
BRIGHTNESS = """async () => {
  const canvas = document.querySelector("canvas"), ink = canvas.getContext("2d"), sums = [];
  for (let i = 0; i < 30; i++) {
    const { data } = ink.getImageData(0, 0, canvas.width, canvas.height);
    let sum = 0;
    for (let at = 3; at < data.length; at += 4) sum += data[at];
    sums.push(sum / (data.length / 4) / 255);
    await new Promise((done) => setTimeout(done, 100));
  }
  return sums;
}"""


def test_the_visual_breathes_slowly_and_can_be_switched_off(listening: Page, alice: Visitor) -> None:
    play(listening, alice)
    address = listening.locator("script[src*='visual.js']").get_attribute("src")
    breaths = listening.evaluate(
        "async (address) => { const { breathSeconds } = await import(address); return [0, 0.5, 4, 10, 20, 45, 1000].map(breathSeconds); }",
        address,
    )
    assert all(5 <= seconds <= 20 for seconds in breaths)  # 0.2 Hz at most, whatever the beat
    assert breaths == sorted(breaths, reverse=True)
    assert breaths[0] > breaths[-1]
    sums = listening.evaluate(BRIGHTNESS)
    assert max(sums) - min(sums) > 0.001  # it does move
    # In three seconds a breath of seven or more turns once at most; a flicker would turn in every sample.
    steps = [after - before for before, after in itertools.pairwise(sums) if abs(after - before) > 1e-4]
    turns = sum(a * b < 0 for a, b in itertools.pairwise(steps))
    assert turns <= 2
    listening.get_by_role("button", name="Visual").click()
    expect(listening.locator("canvas")).to_be_hidden()
    listening.reload()
    expect(listening.locator("canvas")).to_be_hidden()
    expect(listening.get_by_role("button", name="Visual")).to_have_attribute("aria-pressed", "false")


# Hears what the headphone check sends to the loudspeaker: the strongest line of each ear in Hz, or null for silence.
TAP = """
  const connect = AudioNode.prototype.connect;
  AudioNode.prototype.connect = function (to, ...rest) {
    if (to instanceof AudioDestinationNode) {
      const split = this.context.createChannelSplitter(2);
      connect.call(this, split);
      window.ears = [0, 1].map((ear) => {
        const tap = new AnalyserNode(this.context, { fftSize: 16384, smoothingTimeConstant: 0 });
        connect.call(split, tap, ear);
        return tap;
      });
    }
    return connect.call(this, to, ...rest);
  };
"""
HEARD = """() => ears.map((tap) => {
  const wave = new Float32Array(tap.fftSize), db = new Float32Array(tap.frequencyBinCount);
  tap.getFloatTimeDomainData(wave);
  tap.getFloatFrequencyData(db);
  const peak = Math.max(...wave.map(Math.abs));
  return { peak, hz: peak > 1e-4 ? db.indexOf(Math.max(...db)) * tap.context.sampleRate / tap.fftSize : null };
})"""


def test_the_headphone_check_speaks_to_each_ear_alone_and_by_keyboard(listening: Page, alice: Visitor) -> None:
    listening.add_init_script(TAP)
    play(listening, alice)
    planned = alice.get(f"/api/v1/sessions/{listening.locator('[data-session]').get_attribute('data-session')}").json()
    left_hz, right_hz = (planned["base_hz"] + side * planned["target_hz"] / 2 for side in (-1, 1))
    listening.get_by_text("Check your headphones").focus()
    listening.keyboard.press("Enter")
    heard = []
    for _button in range(3):
        listening.keyboard.press("Tab")
        listening.keyboard.press("Enter")
        listening.wait_for_timeout(900)
        heard.append(listening.evaluate(HEARD))
    assert listening.evaluate("() => audio.paused")
    (left, right, both) = heard
    assert left[0]["hz"] == pytest.approx(left_hz, abs=4)
    assert left[1]["hz"] is None
    assert right[1]["hz"] == pytest.approx(right_hz, abs=4)
    assert right[0]["hz"] is None
    assert [ear["hz"] is not None for ear in both] == [True, True]
    assert max(ear["peak"] for sound in heard for ear in sound) <= 0.031  # quiet: 30 dB below full scale


def test_who_hears_mono_is_offered_the_speaker_version(listening: Page, alice: Visitor) -> None:
    play(listening, alice)
    listening.get_by_text("Check your headphones").click()
    listening.get_by_role("button", name="No, the same").click()
    expect(listening.get_by_role("heading", name="This needs two ears")).to_be_focused()
    listening.get_by_role("button", name="Start the speaker version").click()
    expect(listening.get_by_text("isochronic", exact=False)).to_have_count(1)
    expect(listening.locator("#check")).to_have_count(0)
    session_id = listening.locator("[data-session]").get_attribute("data-session")
    planned = alice.get(f"/api/v1/sessions/{session_id}").json()
    assert (planned["method"], planned["target_state"], planned["seconds"]) == ("isochronic", "calm_focus", 300)


def test_the_installed_app_has_what_a_system_asks_for(listening: Page) -> None:
    listening.goto("/")
    address = listening.locator("link[rel=manifest]").get_attribute("href")
    assert address
    manifest = listening.evaluate("async (address) => (await fetch(address)).json()", address)
    assert manifest["start_url"] == manifest["scope"] == manifest["id"] == "/"
    sizes = {(icon["sizes"], icon["purpose"]) for icon in manifest["icons"]}
    assert {("192x192", "any"), ("512x512", "any"), ("512x512", "maskable")} <= sizes
    for icon in manifest["icons"]:
        drawn = listening.evaluate(
            """async (src) => { const one = new Image(); one.src = src; await one.decode(); return `${one.naturalWidth}x${one.naturalHeight}`; }""",
            f"/static/{icon['src']}",
        )
        assert icon["sizes"] in {drawn, "any"}
