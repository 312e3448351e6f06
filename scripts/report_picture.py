"""Take the picture of a report that the README shows, with Chromium.

    whisperbench report RUN.json -o report.html
    python scripts/report_picture.py report.html -o docs/pictures/report.png

It shows the page from its top to the end of its first section with a picture. It needs the extra
`test`, for playwright, and chromium on PATH.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

WIDTH, SCALE = 860, 1.25
"""Pixels of the page, and how many of the picture each becomes."""

MARGIN = 24


def take(page: Path, picture: Path, *, theme: str = "light") -> None:
    """Open a report and write what is seen of it as a PNG."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("there is no chromium on PATH: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        context = browser.new_context(
            viewport={"width": WIDTH, "height": 900},
            device_scale_factor=SCALE,
            color_scheme="dark" if theme == "dark" else "light",
        )
        opened = context.new_page()
        opened.goto(page.resolve().as_uri())
        end = opened.evaluate(
            "(figure => (figure ? figure.closest('section') : document.body)"
            ".getBoundingClientRect().bottom)(document.querySelector('figure'))"
        )
        picture.parent.mkdir(parents=True, exist_ok=True)
        clip = {"x": 0, "y": 0, "width": WIDTH, "height": end + MARGIN}
        opened.screenshot(path=picture, clip=clip, full_page=True)  # type: ignore[arg-type]
        browser.close()


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description="Take the picture of a report for the README.")
    parser.add_argument("page", type=Path, help="The report.")
    parser.add_argument("-o", "--output", type=Path, required=True, help="The PNG.")
    parser.add_argument("--theme", choices=("light", "dark"), default="light")
    given = parser.parse_args()
    take(given.page, given.output, theme=given.theme)
    print(f"{given.output}: {given.output.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
