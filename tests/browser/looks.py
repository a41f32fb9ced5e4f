"""What may be wrong with a page: weight, time, source, contrast, axe, the keyboard, whatever moves while it loads."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page, Response

from tests.browser.conftest import DESK, PHONE, Window

AUDIT = (Path(__file__).parent / "audit.js").read_text(encoding="utf-8")
AXE_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
MOST_BYTES = 100 * 1024
MOST_MS = 300  # on the server; the best of three, since the machine of the tests does other things meanwhile


def problems(
    window: Window, page: Page, path: str, times: dict[str, list[float]], *, phone_by: str = "light"
) -> list[str]:
    """What is wrong with a page, from its source to the keyboard."""
    window.expect("status of 404")
    answer = page.goto(path, wait_until="load")
    assert answer is not None
    assert answer.status == (404 if "no-such" in path else 200)
    found = source_problems(answer) + weight_problems(window, path) + settling_problems(page)
    return found + seen_problems(page, phone_by=phone_by) + slow_problems(page, answer, times)


def seen_problems(page: Page, *, phone_by: str = "light") -> list[str]:
    """What is wrong with the page that is open, in all four looks and with the keyboard.

    Our own audit, with its contrast, looks four times. axe takes ten times as long and looks twice, at the phone in the
    scheme `phone_by` and at the desk in the other: pages of listeners by "light" and of newcomers by "dark", so that what all
    pages share is seen by it in all four. The keyboard walks at the phone by "light", else at the desk.
    """
    found: list[str] = []
    for size in (PHONE, DESK):
        page.set_viewport_size({"width": size["width"], "height": size["height"]})
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            lines = page.evaluate(AUDIT) + (axe_problems(page) if (size is PHONE) == (scheme == phone_by) else [])
            found += [f"{size['width']} px, {scheme}: {line}" for line in lines]
    page.set_viewport_size(PHONE if phone_by == "light" else DESK)  # type: ignore[arg-type]
    page.emulate_media(color_scheme="light" if phone_by == "light" else "dark", reduced_motion="reduce")
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
    return [f"the server takes {min(taken):.0f} ms"] if min(taken) > MOST_MS else []


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
    """Violations of WCAG 2.2 AA and of what axe calls best practice."""
    page.evaluate(f"() => {{ if (!window.axe) {{ {AXE_SCRIPT} }} }}")
    rules = {"runOnly": AXE_RULES, "resultTypes": ["violations"]}
    found = page.evaluate("async (rules) => (await axe.run(rules)).violations", rules)
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
