"""The pictures in docs/images, taken of the real thing: python -m tests.dashboard.pictures.

With an address, only the plots of what runs there: `make demo` needs half an hour to fill them.
"""

from __future__ import annotations

import contextlib
import logging
import random
import shutil
import sys
import tempfile
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import structlog
from playwright.sync_api import Page, sync_playwright

from ordersync.simulator import Life
from tests.dashboard.house import House

IMAGES = Path(__file__).parents[2] / "docs" / "images"
NOWHERE = "77777777-1234-4abc-8def-000000000005"
SYMBOLS = ("AVNT-USDC", "MOODENG-USD", "BTC-USD", "ETH-USD", "SOL-USD", "DOGE-USD")
BOTS = ("momentum", "grid-eth", "mean-revert", "careless")


def furnish(house: House) -> None:
    """A morning of four bots: most orders rest, two rows are stuck, more were filled."""
    chance = random.Random(11)  # noqa: S311 - a scene
    for n in range(17):
        age = timedelta(minutes=chance.choice((2, 9, 25, 70, 190, 400, 1500)) + chance.random() * 5)
        share = Decimal(chance.choice(("0", "0", "0.25", "0.6", "0.85")))
        fills = [(age / 2, share)] if share else []
        house.place(Life.open(fills=fills), age=age, symbol=SYMBOLS[n % 6], owner=BOTS[n % 3])
    for minutes, symbol in ((7, "AVNT-USDC"), (11, "MOODENG-USD")):
        stuck, _ = house.place(
            Life.filled(timedelta(seconds=40)),
            age=timedelta(minutes=minutes),
            symbol=symbol,
            owner="careless",
        )
        house.refuse(stuck)
    for n in range(9):
        house.place(
            Life.filled(timedelta(minutes=2)),
            age=timedelta(minutes=20 + 7 * n),
            symbol=SYMBOLS[n % 6],
            owner=BOTS[n % 4],
        )


def main() -> None:
    """Take them all."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        house = House(Path(folder), stale_after="5m")
        furnish(house)
        house.open()
        with contextlib.closing(house):
            browser = driver.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox"]
            )

            def visit(width: int, height: int, scheme: str) -> Page:
                page = browser.new_context(
                    viewport={"width": width, "height": height},
                    color_scheme=scheme,  # type: ignore[arg-type]
                ).new_page()
                page.goto(house.address)
                page.wait_for_selector(".sentence.warn", timeout=30_000)
                page.wait_for_timeout(6_000)
                return page

            page = visit(1280, 760, "light")
            page.screenshot(path=IMAGES / "dashboard.png")
            page = visit(1280, 760, "dark")
            page.locator(".badge", has_text="stale").first.click()
            page.wait_for_timeout(800)
            page.locator(".line").first.click()
            page.wait_for_timeout(800)
            page.screenshot(path=IMAGES / "dashboard-dark.png")
            page = visit(390, 780, "light")
            page.screenshot(path=IMAGES / "dashboard-phone.png")
            browser.close()


def take_plots(address: str) -> None:
    """The plots of what is served at the address."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 1180})
        page.goto(f"{address}/#plots")
        page.get_by_role("button", name="1 hour").click()
        page.wait_for_selector(".uplot")
        page.wait_for_timeout(3_000)
        plot = page.locator(".plot").nth(2).locator(".u-over").bounding_box()
        assert plot is not None
        for part in (0.85, 0.9):  # where a pointer rests all plots tell their values
            page.mouse.move(plot["x"] + part * plot["width"], plot["y"] + 60)
        page.wait_for_timeout(700)
        page.screenshot(path=IMAGES / "dashboard-plots.png")
        browser.close()


if __name__ == "__main__":
    take_plots(sys.argv[1]) if sys.argv[1:] else main()
