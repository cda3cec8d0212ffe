"""How it looks: for every eye, on every screen, without a jump; and the door with a token."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import expect

from ordersync.simulator import Life
from tests.dashboard.house import House

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Page, ViewportSize

NOWHERE = "77777777-1234-4abc-8def-000000000005"
MUTE = """
[[alerts.channels]]
name = "phone"
url_file = "nowhere.url"
"""
PHONE: ViewportSize = {"width": 390, "height": 844}
SMALL: ViewportSize = {"width": 320, "height": 640}


@pytest.fixture(scope="module")
def lived_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house with something of everything: resting, stale, suspect, ended, a mute channel."""
    house = House(tmp_path_factory.mktemp("lived-in"), stale_after="1m", web=MUTE)
    for n in range(12):
        house.place(owner=f"bot {n % 3}")
    house.place(Life.filled(timedelta(minutes=1)), word="completed")
    _, order_id = house.place(Life.filled(timedelta(minutes=2)))
    house.garble(order_id)
    house.write(NOWHERE)
    house.open()
    yield house
    house.close()


def violations(page: Page) -> list[str]:
    """What axe finds, by rule and place."""
    found = Axe().run(page).response["violations"]
    return [f"{one['id']}: {node['html']}" for one in found for node in one["nodes"]]


def settled(page: Page) -> None:
    expect(page.locator(".row .badge.bad").first).to_be_visible()
    expect(page.locator(".row .badge.warn").first).to_be_visible()


def test_a_channel_that_takes_no_alerts_is_shown(
    lived_in: House, visit: Callable[..., Page]
) -> None:
    page = visit(lived_in.address)
    told = page.get_by_text("Alerts do not get through to phone: its address cannot be used")
    expect(told).to_be_visible()
    page.keyboard.press("3")
    expect(told).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation(lived_in: House, visit: Callable[..., Page], scheme: str) -> None:
    page = visit(lived_in.address, color_scheme=scheme, bypass_csp=True)
    settled(page)
    found = [("orders", violations(page))]
    page.locator(".row").first.click()
    expect(page.locator(".detail .history")).to_be_visible()
    found.append(("detail", violations(page)))
    page.get_by_role("button", name="Verify now").click()
    found.append(("dialog", violations(page)))
    page.keyboard.press("Escape")
    for key, name in (("2", "bots"), ("3", "health"), ("4", "plots")):
        page.keyboard.press(key)
        expect(page.locator(".sheet h2")).to_be_visible()
        found.append((name, violations(page)))
    assert [(name, each) for name, each in found if each] == []


def test_on_a_phone_nothing_is_cut_off_and_a_row_is_opened_over_the_list(
    lived_in: House, visit: Callable[..., Page]
) -> None:
    page = visit(lived_in.address, viewport=PHONE, bypass_csp=True)
    settled(page)
    wider = "document.documentElement.scrollWidth > innerWidth"
    assert not page.evaluate(wider)
    first = page.locator(".row").first
    for part in (".badge", ".c-symbol", ".c-age", ".c-row_word", ".c-exchange_status", "button"):
        box = first.locator(part).first.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= PHONE["width"]
    assert violations(page) == []
    page.set_viewport_size(SMALL)
    assert not page.evaluate(wider)
    box = first.locator("button").bounding_box()
    assert box is not None
    assert box["x"] + box["width"] <= SMALL["width"]
    page.set_viewport_size(PHONE)
    first.locator(".c-symbol").click()
    box = page.locator(".detail").bounding_box()
    assert box is not None
    assert box["width"] == PHONE["width"]
    assert not page.evaluate(wider)
    page.get_by_role("button", name="Close (Esc)").click()
    expect(page.locator(".detail")).to_have_count(0)


def test_it_is_dark_where_the_system_is_and_a_switch_is_remembered(
    lived_in: House, visit: Callable[..., Page]
) -> None:
    page = visit(lived_in.address, color_scheme="dark")
    shade = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(shade)
    page.get_by_role("button", name="Light colours").click()
    expect(page.get_by_role("button", name="Dark colours")).to_be_visible()
    light = page.evaluate(shade)
    assert dark != light
    page.reload()
    body = page.locator("body")
    expect(body).to_have_css("background-color", light)
    page.get_by_role("button", name="Dark colours").click()
    expect(body).to_have_css("background-color", dark)


def test_nothing_jumps_while_it_loads_and_lives(
    lived_in: House, visit: Callable[..., Page]
) -> None:
    page = visit(lived_in.address)
    settled(page)
    page.wait_for_timeout(2_500)
    moved = page.evaluate(
        """() => new Promise(tell => new PerformanceObserver(list =>
             tell(list.getEntries().reduce((sum, entry) => sum + entry.value, 0)))
             .observe({type: 'layout-shift', buffered: true})
             || setTimeout(() => tell(0), 300))"""
    )
    assert moved < 0.05


def test_beyond_loopback_a_token_is_asked_for_and_kept_in_the_tab_alone(
    build: Callable[..., House], visit: Callable[..., Page]
) -> None:
    house = build(web="require_token = true")
    resting, _ = house.place()
    house.prepare()
    made = subprocess.run(
        [sys.executable, "-m", "ordersync", "token", "new", "--name", "eye", "--scope", "read"],
        cwd=house.folder,
        capture_output=True,
        text=True,
        check=True,
    )
    token = next(word for word in made.stdout.split() if word.startswith("ost_"))
    house.start()
    page = visit(house.address)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.get_by_label("Token").fill("ost_wrong")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("alert")).to_contain_text("does not accept this token")
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Continue").click()
    expect(page.locator(f'.row[data-row="{resting}"]')).to_be_visible()
    page.reload()
    expect(page.locator(f'.row[data-row="{resting}"]')).to_be_visible()
    expect(page.locator(".link-state.good")).to_have_text("connected")
    verify = page.get_by_role("button", name=f"Verify order {resting}")
    expect(verify).to_be_disabled()
    expect(verify).to_have_attribute("title", re.compile("may only read"))
    expect(page.get_by_role("button", name="Clean up …")).to_be_disabled()
    assert page.evaluate("JSON.stringify(localStorage) + document.cookie").count(token) == 0
    assert [url for url in asked if token in url] == []
