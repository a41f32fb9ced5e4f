"""Draw the icons of the installed app from `favicon.svg`, as PNG in the static folder.

    .venv/bin/python docs/pictures/icons.py

Needs what `make.py` needs.
"""

from __future__ import annotations

import os
from pathlib import Path

from playwright.sync_api import sync_playwright

STATIC = Path(__file__).parents[2] / "src/stillwave/web/static"
# Systems cut a maskable icon to their own shape: the ground fills it, the mark stays in the inner four fifths.
ICONS = {"icon-192": (192, 1.0, False), "icon-512": (512, 1.0, False), "icon-maskable-512": (512, 0.72, True)}


def main() -> None:
    """The icons are new."""
    drawing = (STATIC / "favicon.svg").read_text(encoding="utf-8")
    with sync_playwright() as running:
        browser = running.chromium.launch(
            executable_path=os.environ.get("STILLWAVE_CHROMIUM", "/usr/bin/chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        for name, (side, share, filled) in ICONS.items():
            page = browser.new_page(viewport={"width": side, "height": side})
            ground = "#0d2b2c" if filled else "transparent"
            inner = round(side * share)
            page.set_content(
                f'<body style="margin:0;display:grid;place-items:center;height:100vh;background:{ground}">'
                f'<div style="width:{inner}px;height:{inner}px">{drawing}</div>'
            )
            page.screenshot(path=STATIC / f"{name}.png", omit_background=True)
            page.close()
        browser.close()


if __name__ == "__main__":
    main()
