"""How soon a running server is heard: first bytes, first sound and seeking in Chromium. Run: python bench/stream.py

The server is a process of its own over a new SQLite database; one person is signed in. Medians and 95th
percentiles in milliseconds; what issue and docs ask for stands beside it. `--minutes` is the length of the session;
without playwright or Chromium (STILLWAVE_CHROMIUM, else /usr/bin/chromium) the browser is left out.
"""

import argparse
import os
import random
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

CHROMIUM = os.environ.get("STILLWAVE_CHROMIUM", "/usr/bin/chromium")
PERSON = {"email": "bench@example.org", "phone": "+41446681800", "password": "a quiet place by the sea", "consent_health_data": True}
FIRST_SOUND = """async (url) => {
  const audio = new Audio(url), began = performance.now();
  await Promise.all([new Promise((done) => audio.addEventListener("playing", done, { once: true })), audio.play()]);
  const took = performance.now() - began;
  audio.pause(); audio.removeAttribute("src"); audio.load();
  return took;
}"""
SEEKS = """async ([url, places]) => {
  const audio = new Audio(url), times = [];
  await audio.play();
  for (const place of places) {
    const began = performance.now();
    await new Promise((done) => { audio.addEventListener("seeked", done, { once: true }); audio.currentTime = place; });
    times.push(performance.now() - began);
  }
  audio.pause(); audio.removeAttribute("src"); audio.load();
  return times;
}"""


def told(name: str, times_ms: list[float], wanted_ms: float | None = None) -> None:
    ordered = sorted(times_ms)
    most = ordered[min(len(ordered) - 1, round(0.95 * len(ordered)))]
    aim = "" if wanted_ms is None else f"   asked for: {wanted_ms:.0f}"
    print(f"{name:52} {statistics.median(ordered):8.1f} {most:8.1f}{aim}", flush=True)


def first_byte_ms(client: httpx.Client, url: str, header: str | None = None) -> float:
    """Time to the first byte of sound, on a connection that is open already."""
    began = time.perf_counter()
    with client.stream("GET", url, headers={"Range": header} if header else {}) as answer:
        answer.raise_for_status()
        next(answer.iter_raw())
        took = 1000 * (time.perf_counter() - began)
    client.get("/health")  # leaving a stream closes its connection: a new one is open before the next
    return took


def started(folder: Path) -> tuple[subprocess.Popen[bytes], str]:
    """The server, ready to answer, with its engine compiled."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environ = os.environ | {"STILLWAVE_DATA_DIR": str(folder / "data")}
    command = [sys.executable, "-m", "stillwave", "serve", "--port", str(port)]
    server = subprocess.Popen(command, env=environ, stdout=(folder / "log").open("wb"), stderr=subprocess.STDOUT)
    url = f"http://127.0.0.1:{port}"
    until = time.monotonic() + 120
    while time.monotonic() < until and server.poll() is None:
        try:
            if httpx.get(f"{url}/health").is_success:
                return server, url
        except httpx.TransportError:
            time.sleep(0.1)
    server.kill()
    sys.exit(f"the server did not start:\n{(folder / 'log').read_text()}")


def session(client: httpx.Client, minutes: int) -> str:
    """Where the sound of a new session is, without the ending; the person is signed up and signed in."""
    client.post("/api/v1/accounts", json=PERSON).raise_for_status()
    login = client.post("/api/v1/logins", json={key: PERSON[key] for key in ("email", "password")}).raise_for_status()
    client.headers["Authorization"] = f"Bearer {login.json()['token']}"
    answers = {"age_group": "18_plus", "agree_not_driving": True, "none": True}
    client.put("/api/v1/screening", json=answers).raise_for_status()
    made = client.post("/api/v1/sessions", json={"target_state": "calm_focus", "minutes": minutes, "background": "rain"})
    return re.sub(r"\.wav$", "", made.raise_for_status().json()["audio_url"])


def heard_by_chromium(url: str, token: str, sound: str, minutes: int, chance: random.Random) -> None:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        print("the browser is left out: no playwright")
        return
    if not Path(CHROMIUM).exists():
        print(f"the browser is left out: no {CHROMIUM}")
        return
    flags = ["--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required", "--mute-audio", "--no-first-run"]
    with sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=flags)
        context = browser.new_context(base_url=url)
        context.add_cookies([{"name": "stillwave_login", "value": token, "url": url}])
        page = context.new_page()
        page.goto("/sessions/" + sound.split("/")[-2])
        for ending in ("wav", "opus", "flac"):
            told(f"Chromium, {ending}: play() to playing", [page.evaluate(FIRST_SOUND, f"{sound}.{ending}") for _ in range(10)], 1000)
        places = [chance.uniform(0, minutes * 60 - 5) for _ in range(30)]
        for ending in ("wav", "flac"):
            told(f"Chromium, {ending}: any place to seeked", page.evaluate(SEEKS, [f"{sound}.{ending}", places]), 200)
        browser.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=int, default=30)
    minutes = parser.parse_args().minutes
    chance = random.Random(1)
    with tempfile.TemporaryDirectory() as name:
        server, url = started(Path(name))
        try:
            with httpx.Client(base_url=url, timeout=300) as client:
                sound = session(client, minutes)
                first = first_byte_ms(client, f"{sound}.wav")
                while client.get(sound.rsplit("/", 1)[0] + "/measured").json()["frequency_data"] is None:
                    time.sleep(0.5)  # the measuring in the background is done: it is a session of its own
                print(f"{'milliseconds':52} {'median':>8} {'95 %':>8}")
                told("very first byte of the server, wav", [first])
                size = int(client.get(f"{sound}.wav", headers={"Range": "bytes=0-0"}).headers["content-range"].split("/")[1])
                told("first byte, wav", [first_byte_ms(client, f"{sound}.wav") for _ in range(40)], 50)
                places = [chance.randrange(68, size) for _ in range(40)]
                told("first byte, wav, from any place", [first_byte_ms(client, f"{sound}.wav", f"bytes={at}-") for at in places], 50)
                told("first byte, opus", [first_byte_ms(client, f"{sound}.opus") for _ in range(40)], 50)
                began = time.perf_counter()
                first_byte_ms(client, f"{sound}.flac")
                told("first byte, flac, made for the first time", [1000 * (time.perf_counter() - began)])
                told("first byte, flac", [first_byte_ms(client, f"{sound}.flac") for _ in range(40)], 50)
                token = client.headers["Authorization"].removeprefix("Bearer ")
                heard_by_chromium(url, token, sound, minutes, chance)
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(30)


if __name__ == "__main__":
    main()
