"""A page of `rating report` as a picture: `python -m tests.cli.report_picture PAGE.html PICTURE.png`."""

from __future__ import annotations

import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from rating_demo.parts import locate

WIDTH, HEIGHT = 1100, 1500


def picture(page: Path, target: Path) -> None:
    """The top of the page as a real browser draws it."""
    chromium = str(locate("chromium", install=True))
    arguments = ["--no-sandbox", "--disable-background-networking", "--disable-gpu"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        opened = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        opened.goto(page.resolve().as_uri())
        opened.wait_for_function("document.querySelectorAll('.main-svg .barlayer .point').length > 0")
        opened.screenshot(path=target)
        browser.close()


if __name__ == "__main__":
    picture(Path(sys.argv[1]), Path(sys.argv[2]))
