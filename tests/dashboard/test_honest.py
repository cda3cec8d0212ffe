"""What the page says where a trader would be deceived: in the shadow, in silence, without a row."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

from playwright.sync_api import expect

from ordersync.simulator import Life
from tests.dashboard.test_orders import row, said

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

    from tests.dashboard.house import House

ORPHANS = '\n[orphans]\ngrace = "1s"'


def test_in_the_shadow_nobody_is_told_that_a_row_is_true_or_will_be(
    build: Callable[..., House], visit: Callable[..., Page]
) -> None:
    house = build(shadow=True)
    ended, _ = house.place(Life.filled(timedelta(minutes=1)))
    house.open()
    page = visit(house.address)
    expect(page.locator(".top .badge")).to_have_text("shadow: no row is written")
    expect(row(page, ended).locator(".c-exchange_status")).to_have_text("filled")
    expect(page.locator(".sentence .todo")).to_contain_text("This is a shadow")
    row(page, ended).get_by_role("button").click()
    dialog = page.locator("dialog")
    dialog.get_by_role("button", name="Verify now").click()
    expect(dialog).to_contain_text(
        "The row is not true: it says pending, the exchange filled. It should say completed."
    )
    expect(dialog).to_contain_text("nothing was written")
    dialog.get_by_role("button", name="Close").click()
    row(page, ended).click()
    expect(page.locator(".detail .facts")).to_contain_text("Would writecompleted")
    assert house.word(ended) == "pending"


def test_an_exchange_that_does_not_answer_is_named_and_no_pass_of_that_time_counts(
    build: Callable[..., House], visit: Callable[..., Page]
) -> None:
    house = build(web=ORPHANS)
    house.place()
    house.open()
    page = visit(house.address)
    expect(page.locator(".sentence.good")).to_be_visible()
    by_hand = house.trade_by_hand()
    expect(said(page)).to_contain_text("1 order at the exchange has no row")
    page.locator(".sentence").get_by_role("button", name="Show it").click()
    expect(page.locator(".row")).to_have_count(1)
    expect(page.locator(".row .badge")).to_have_text("no row")
    page.locator(".row").click()
    expect(page.locator(".detail")).to_contain_text(by_hand)
    expect(page.locator(".detail .note")).to_contain_text("No row of the table names this")

    house.fall_silent()
    told = re.compile(r"^Coinbase has not answered for \d+ s: no fill can be seen")
    expect(said(page)).to_have_text(told)
    page.get_by_role("button", name="Verify all").wait_for(state="detached")
    page.get_by_role("button", name="Health", exact=True).first.click()
    account = page.locator(".account")
    expect(account).to_contain_text(re.compile(r"silent for \d+ s"))
    expect(account).to_contain_text(re.compile("failed the last began .* not verified"))
    page.go_back()
    page.locator(".choice").get_by_role("button", name="Open").click()
    row(page, 1).get_by_role("button").click()
    dialog = page.locator("dialog")
    dialog.get_by_role("button", name="Verify now").click()
    expect(dialog).to_contain_text("Not verified.")
    dialog.get_by_role("button", name="Close").click()
    house.mend()
    expect(said(page)).to_contain_text("has no row")
