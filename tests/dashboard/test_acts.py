"""What a person can do there: each act asks once, and shows before and after."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from playwright.sync_api import expect

from ordersync.simulator import Life

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Locator, Page, Route

    from tests.dashboard.house import House


def row(page: Page, row_id: int) -> Locator:
    return page.locator(f'.row[data-row="{row_id}"]')


def changed(page: Page, fact: str) -> Locator:
    return page.locator("dialog tr", has_text=fact)


def test_a_stuck_order_is_found_at_the_top_and_mended_in_two_clicks(
    house: House, visit: Callable[..., Page]
) -> None:
    for _ in range(40):
        house.place()
    stuck, order_id = house.place(Life.filled(timedelta(minutes=1)))
    house.garble(order_id)
    house.open()
    page = visit(house.address)
    expect(page.locator(".row .badge").first).to_have_text("stale", timeout=12_000)
    expect(page.locator(".row").first).to_have_attribute("data-row", str(stuck))
    verify = row(page, stuck).get_by_role("button", name=f"Verify order {stuck}")
    verify.click()
    dialog = page.locator("dialog")
    expect(dialog).to_contain_text("Asks the exchange about order")
    dialog.get_by_role("button", name="Verify now").click()
    expect(dialog).to_contain_text("Not verified.")  # its answer still cannot be read
    dialog.get_by_role("button", name="Close").click()
    assert house.word(stuck) == "pending"
    verify.click()
    house.mend()
    dialog.get_by_role("button", name="Verify now").click()
    expect(changed(page, "Table says").locator("td").nth(1)).to_have_text("completed")
    assert house.word(stuck) == "completed"
    dialog.get_by_role("button", name="Close").click()
    expect(page.locator(".sentence.good")).to_be_visible(timeout=10_000)


def test_a_server_that_goes_away_in_the_middle_of_an_act_is_asked_what_became_of_it(
    house: House, visit: Callable[..., Page]
) -> None:
    resting, _ = house.place()
    house.open()
    page = visit(house.address)
    sent: list[str] = []

    def lose(route: Route) -> None:
        sent.append(route.request.url)
        route.abort()

    page.route("**/api/v1/orders/*/sync", lose)
    row(page, resting).get_by_role("button").click()
    dialog = page.locator("dialog")
    dialog.get_by_role("button", name="Verify now").click()
    expect(dialog).to_contain_text("No answer came.")
    expect(dialog).to_contain_text("The server went away before it answered.", timeout=12_000)
    expect(changed(page, "Table says").locator("td").nth(1)).to_have_text("pending")
    assert len(sent) == 1  # it is not sent again by itself
