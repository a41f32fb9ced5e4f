"""Take the pictures of this folder from a running Stillwave with a made-up listener.

    .venv/bin/python docs/pictures/make.py

Needs the development packages and Chromium (STILLWAVE_CHROMIUM, else /usr/bin/chromium). Pillow, where it is
installed, makes the files smaller.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from stillwave import demo
from stillwave.db import migrate
from stillwave.db.database import open_database
from stillwave.settings import load
from stillwave.web import shell

HERE = Path(__file__).parent
PHONE = {"width": 390, "height": 844}
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
FRAMES = ("today", "player", "profile", "progress")
WIDE = """<!doctype html><meta charset="utf-8"><style>
  body { margin: 0; width: 1360px; background: #e2ebe6; display: flex; justify-content: center; gap: 28px; padding: 44px 0; }
  img { width: 296px; height: 640px; object-fit: cover; object-position: top; border-radius: 30px; border: 6px solid #15282a; box-shadow: 0 18px 40px rgb(21 40 42 / 22%); }
</style>"""


def main() -> None:
    """The pictures are new."""
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as (url, email, password), sync_playwright() as running:
        browser = running.chromium.launch(
            executable_path=os.environ.get("STILLWAVE_CHROMIUM", "/usr/bin/chromium"), args=ARGUMENTS
        )
        photograph(browser, url, email, password)
        compose(browser)
        analysed(browser, Path(folder))
        browser.close()
    for picture in sorted(HERE.glob("*.png")):
        shrink(picture)
        print(f"{picture.name}: {picture.stat().st_size / 1024:.0f} kB")  # noqa: T201  a script speaks


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Address, e-mail and password of a demo account, served until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environ = {
        "STILLWAVE_DATA_DIR": str(folder), "STILLWAVE_ROOT_KEY": os.urandom(32).hex(), "STILLWAVE_PORT": str(port),
    }  # fmt: skip
    database = open_database(load(environ))
    migrate.upgrade(database)
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    email, password = demo.fill(database, now, lambda _done, _of: None)
    database.close()
    database.vault.keys.close()
    process = subprocess.Popen([Path(sys.executable).with_name("stillwave"), "serve"], env=os.environ | environ)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(url, process)
        yield url, email, password
    finally:
        process.terminate()
        process.wait(30)


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    """The server answers. Raises RuntimeError when it ended or took a minute."""
    for _try in range(600):
        with contextlib.suppress(urllib.error.URLError):
            urllib.request.urlopen(f"{url}/health", timeout=5).close()  # noqa: S310  our own address
            return
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise RuntimeError("the server did not start")


def photograph(browser: Browser, url: str, email: str, password: str) -> None:
    """Each page of FRAMES is in this folder, as a phone shows it."""
    context = browser.new_context(
        viewport=PHONE, device_scale_factor=2, color_scheme="light", base_url=url, reduced_motion="reduce"  # type: ignore[arg-type]
    )
    page = context.new_page()
    page.goto("/sign-in")
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url(f"{url}/")
    snap(page, "today")
    page.goto("/profile")
    page.locator("#curves").evaluate("(heading) => scrollTo(0, heading.getBoundingClientRect().top + scrollY - 24)")
    snap(page, "profile")
    page.goto("/progress")
    page.locator("#trend").evaluate("(heading) => scrollTo(0, heading.getBoundingClientRect().top + scrollY - 24)")
    snap(page, "progress")
    play(page)
    snap(page, "player")
    context.close()


def play(page: Page) -> None:
    """A session of twenty minutes plays, seven minutes in."""
    page.goto("/")
    page.get_by_role("button", name=re.compile("^Start")).click()
    page.get_by_role("button", name="Play", exact=True).click()
    page.wait_for_function("() => audio.currentTime > 0.5")
    page.locator("#seek").evaluate("""(seek) => {
      seek.value = "437";
      for (const name of ["input", "change"]) seek.dispatchEvent(new Event(name, { bubbles: true }));
    }""")
    page.wait_for_function("() => audio.currentTime > 437 && !audio.paused && document.getElementById('status').textContent === ''")


def snap(page: Page, name: str) -> None:
    """What the window shows now is in this folder under that name."""
    page.evaluate("() => document.activeElement?.blur()")
    page.wait_for_timeout(700)  # transitions have ended
    page.screenshot(path=HERE / f"{name}.png")


def compose(browser: Browser) -> None:
    """The four phones beside each other."""
    page = browser.new_page(viewport={"width": 1360, "height": 740})
    page.goto(HERE.as_uri() + "/")
    page.set_content(WIDE + "".join(f'<img src="{(HERE / name).as_uri()}.png">' for name in FRAMES))
    page.wait_for_function("() => [...document.images].every((image) => image.complete && image.naturalWidth)")
    page.screenshot(path=HERE / "stillwave.png")


def analysed(browser: Browser, folder: Path) -> None:
    """What `stillwave analyse --picture` draws of ten minutes from wide awake to calm focus."""
    program, sound, drawn = Path(sys.executable).with_name("stillwave"), folder / "calm-focus.flac", folder / "analyse.svg"
    subprocess.run([program, "render", sound, "--from", "peak_focus", "--minutes", "10", "--seed", "1"], check=True)
    subprocess.run([program, "analyse", sound, "--picture", drawn], check=True)
    page = browser.new_page(viewport={"width": 1000, "height": 700})
    page.goto(drawn.as_uri())
    page.locator("svg").first.screenshot(path=HERE / "analyse.png")


def shrink(picture: Path) -> None:
    """The picture has 256 colours, which these pages can spare, where Pillow is there to choose them.

    Those of the style sheet are among them whatever their share: a line of a chart is thin, and tells by its colour.
    """
    try:
        from PIL import Image
    except ImportError:
        return
    ours = sorted({*shell.tokens("light").values(), *shell.tokens("dark").values()})
    with Image.open(picture) as image:
        full = image.convert("RGB")
    others = full.quantize(256 - len(ours), dither=Image.Dither.NONE).getpalette() or []
    palette = Image.new("P", (1, 1))
    palette.putpalette([*others, *bytes.fromhex("".join(ours).replace("#", ""))])
    full.quantize(palette=palette, dither=Image.Dither.NONE).save(picture, optimize=True)


if __name__ == "__main__":
    main()
