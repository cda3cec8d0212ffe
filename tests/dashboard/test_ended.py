"""The list of what has ended: it grows while it is looked at, and nothing moves under the eye."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

from playwright.sync_api import expect

from ordersync.simulator import Life
from tests.dashboard.test_orders import row
from tests.servers.daemon import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

    from tests.dashboard.house import House

PAGE = 200
MORE = PAGE + 30


def look_at_ended(page: Page) -> None:
    page.locator(".choice").get_by_role("button", name="Ended").click()


def test_an_order_that_ends_while_the_list_is_looked_at_appears_on_its_top(
    house: House, visit: Callable[..., Page]
) -> None:
    first, first_id = house.place()
    second, second_id = house.place()
    house.open()
    page = visit(house.address)
    rows = page.locator(".row")
    expect(rows).to_have_count(2)
    look_at_ended(page)
    expect(page.locator(".pane")).to_contain_text("No order has ended yet.")
    house.cancel(second_id)
    expect(row(page, second)).to_be_visible()
    house.cancel(first_id)
    expect(rows).to_have_count(2)
    expect(rows.first).to_have_attribute("data-row", str(first))


def test_that_none_has_ended_is_said_only_as_long_as_it_is_true(
    house: House, visit: Callable[..., Page]
) -> None:
    house.open()
    page = visit(house.address)
    pane = page.locator(".pane")
    expect(pane).to_contain_text("None has ended yet either")
    house.place(Life.filled(timedelta(minutes=1)))
    expect(pane).to_contain_text("All that there were have ended")


def test_who_reads_further_down_is_told_how_many_have_ended_since_and_loses_no_line(
    house: House, visit: Callable[..., Page]
) -> None:
    for _ in range(MORE):
        house.place(Life.filled(timedelta(minutes=1)), word="completed")
    first, second, third = (house.place() for _ in range(3))
    house.open()
    until(lambda: house.events() >= MORE + 3, "all are known", 60)
    page = visit(house.address)
    expect(page.locator(".row")).to_have_count(3)
    look_at_ended(page)
    shown = page.locator(".bar .quiet")
    expect(shown).to_have_text(re.compile(f"^{PAGE} rows shown"))
    page.get_by_role("button", name="Older ones").click()
    expect(shown).to_have_text(re.compile(f"^{MORE} rows shown"))
    pane = page.locator(".pane")
    pane.evaluate("pane => pane.scrollTo(0, 2000)")
    at_eye = page.locator('.row[aria-rowindex="66"]')
    expect(at_eye).to_be_visible()
    read = str(at_eye.get_attribute("data-row"))
    for _, order_id in (first, second):
        house.cancel(order_id)
    newest = page.get_by_role("button", name="Newest")
    expect(newest).to_have_text("Newest (2)")
    expect(at_eye).to_have_attribute("data-row", read)
    expect(shown).to_have_text(re.compile(f"^{MORE} rows shown"))
    newest.click()
    expect(newest).to_have_text("Newest")
    expect(shown).to_have_text(re.compile(f"^{MORE + 2} rows shown"))  # the older ones stayed
    expect(row(page, first[0])).to_be_visible()
    expect(row(page, second[0])).to_be_visible()
    pane.evaluate("pane => pane.scrollTo(0, 2000)")
    expect(at_eye).to_be_visible()
    house.cancel(third[1])
    expect(newest).to_have_text("Newest (1)")
    pane.evaluate("pane => pane.scrollTo(0, 0)")
    expect(newest).to_have_text("Newest")
    expect(page.locator(".row").first).to_have_attribute("data-row", str(third[0]))


def test_what_ended_while_nobody_told_of_it_is_in_the_list(
    house: House, visit: Callable[..., Page]
) -> None:
    house.open()
    page = visit("about:blank")
    page.route("**/api/v1/events*", lambda route: route.abort())
    page.goto(house.address)
    expect(page.locator(".link-state.warn")).to_have_text("asking every 5 s")
    look_at_ended(page)
    expect(page.locator(".pane")).to_contain_text("No order has ended yet.")
    over, _ = house.place(Life.filled(timedelta(minutes=1)))
    expect(row(page, over)).to_be_visible()


def test_the_list_is_read_anew_after_a_long_sleep(house: House, visit: Callable[..., Page]) -> None:
    house.place(Life.filled(timedelta(minutes=1)), word="completed")
    house.open()
    page = visit("about:blank")
    page.clock.install()
    page.goto(house.address)
    look_at_ended(page)
    expect(page.locator(".row")).to_have_count(1)
    with page.expect_request("**/api/v1/orders?state=final*"):
        page.clock.fast_forward("24:00:00")
    expect(page.locator(".row")).to_have_count(1)
