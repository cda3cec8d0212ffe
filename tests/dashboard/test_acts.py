"""What a person can do there: each act asks once, and shows before and after."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

from playwright.sync_api import expect

from ordersync.simulator import Life

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Locator, Page, Request, Route

    from tests.dashboard.house import House

NOWHERE = "77777777-1234-4abc-8def-000000000005"


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
    expect(page.locator(".row .badge").first).to_have_text("stale")
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
    expect(page.locator(".sentence.good")).to_be_visible()


def test_what_became_of_a_suspect_order_is_previewed_then_written(
    house: House, visit: Callable[..., Page]
) -> None:
    house.place()
    gone = house.write(NOWHERE)
    house.open()
    page = visit(house.address)
    expect(row(page, gone).locator(".badge.bad")).to_have_text("suspect")
    expect(page.locator(".sentence.bad .say")).to_contain_text("1 order is suspect")
    row(page, gone).click()
    page.get_by_role("button", name="Resolve …").click()
    dialog = page.locator("dialog")
    dialog.get_by_label("Status").select_option("canceled")
    dialog.get_by_role("button", name="Preview").click()
    assert dialog.get_by_label("Reason").evaluate("field => field.matches(':invalid')")
    dialog.get_by_label("Reason").fill("the exchange's support says <b>so</b>")
    dialog.get_by_role("button", name="Preview").click()
    expect(dialog).to_contain_text("This would be written:")
    expect(changed(page, "Table says")).to_contain_text("pendingcancelledchanged")
    assert house.word(gone) == "pending"
    dialog.get_by_role("button", name="Write it").click()
    expect(dialog.get_by_role("button", name="Close")).to_be_visible()
    assert house.word(gone) == "cancelled"
    dialog.get_by_role("button", name="Close").click()
    expect(page.locator(".detail .line").first).to_contain_text("operator")
    facts = page.locator(".detail .facts")
    expect(facts).to_contain_text("Exchange saysa person said: canceled")
    expect(facts).to_contain_text(re.compile(r"Said\d+ s ago, by a person, not by the exchange"))


def test_all_can_be_verified_though_nothing_is_in_doubt(
    house: House, visit: Callable[..., Page]
) -> None:
    house.place()
    house.open()
    page = visit(house.address)
    page.locator(".sentence.good").get_by_role("button", name="Verify all").click()
    dialog = page.locator("dialog")
    expect(dialog).to_contain_text("Asks the exchange about every open order")
    dialog.get_by_role("button", name="Verify everything now").click()
    expect(dialog).to_contain_text("main: 1 order asked about, 0 rows updated")
    dialog.get_by_role("button", name="Close").click()


def test_an_exchange_that_is_wrong_is_corrected_with_a_reason(
    house: House, visit: Callable[..., Page]
) -> None:
    filled, _ = house.place(Life.filled(timedelta(minutes=9)), word="completed")
    house.open()
    page = visit(house.address)
    page.locator(".choice").get_by_role("button", name="Ended").click()
    row(page, filled).click()
    page.get_by_role("button", name="Correct …").click()
    dialog = page.locator("dialog")
    dialog.get_by_label("Status").select_option("canceled")
    dialog.get_by_label("Filled quantity").fill("0.5")
    dialog.get_by_label("Reason").fill("the trade was broken")
    dialog.get_by_role("button", name="Preview").click()
    expect(changed(page, "20.5")).to_have_text("Filled20.5changed")
    dialog.get_by_role("button", name="Write it").click()
    expect(dialog.get_by_role("button", name="Close")).to_be_visible()
    dialog.get_by_role("button", name="Close").click()
    expect(page.locator(".detail .line").first).to_contain_text("corrected")


def test_a_cleanup_shows_first_what_it_would_write(
    house: House, visit: Callable[..., Page]
) -> None:
    old, order_id = house.place(Life.filled(timedelta(hours=1)), age=timedelta(hours=30))
    house.garble(order_id)
    house.open()
    page = visit(house.address)
    expect(row(page, old).locator(".badge")).to_have_text("stale")
    page.get_by_role("button", name="Clean up …").click()
    dialog = page.locator("dialog")
    dialog.get_by_label("Reason").fill("a backlog")
    house.mend()
    dialog.get_by_role("button", name="Preview").click()
    # It may have been mended meanwhile: passes go on.
    expect(dialog).to_contain_text(re.compile("1 row would be written|Nothing to clean up"))
    expect(page.locator(".sentence.good")).to_be_visible()


def test_a_cleanup_on_a_persons_word_says_what_its_preview_cannot_show(
    house: House, visit: Callable[..., Page]
) -> None:
    house.write(NOWHERE, age=timedelta(hours=30))
    house.open()
    page = visit(house.address)
    sent: list[dict[str, object]] = []

    def note(asked: Request) -> None:
        if asked.url.endswith("/cleanup"):
            sent.append(dict(asked.post_data_json or {}))

    page.on("request", note)
    page.get_by_role("button", name="Clean up …").click()
    dialog = page.locator("dialog")
    dialog.get_by_label("Reason").fill("never sent")
    dialog.get_by_role("button", name="Preview").click()
    expect(dialog).to_contain_text("Nothing to clean up")
    expect(dialog.get_by_role("button", name="Ask, and write")).to_have_count(0)
    dialog.get_by_role("button", name="Back").click()
    dialog.get_by_role("checkbox").check()
    dialog.get_by_role("button", name="Preview").click()
    expect(dialog).to_contain_text("so they are not in this preview")
    with page.expect_request("**/cleanup"):
        dialog.get_by_role("button", name="Ask, and write").click()
        expect(dialog).to_contain_text("Asking …")
    assert [(one["dry_run"], one["accept_absent"]) for one in sent] == [
        (True, False),
        (True, True),
        (False, True),
    ]


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
    expect(dialog).to_contain_text("The server went away before it answered.")
    expect(changed(page, "Table says").locator("td").nth(1)).to_have_text("pending")
    assert len(sent) == 1  # it is not sent again by itself
