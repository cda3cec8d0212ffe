"""The plots: drawn of what is kept in the database, so that a restart does not empty them."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from playwright.sync_api import expect

from ordersync.metered import LATENCY_BOUNDS
from ordersync.sampled import Latency, Sample
from tests.dashboard.house import MAIN, House, now
from tests.servers.daemon import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

LATE = 45.0


def minute(ago: int, account: str = MAIN, *, failed: int = 3) -> Sample:
    """A minute in which ten changes took 45 s, and some calls of 30 failed."""
    counts = [0] * (len(LATENCY_BOUNDS) + 1)
    counts[next(n for n, bound in enumerate(LATENCY_BOUNDS) if bound >= LATE)] = 10
    return Sample(
        account=account,
        at=now() - timedelta(minutes=ago),
        seconds=60.0,
        open=5,
        stale=2,
        suspect=1,
        discrepancies={"status": 3, "fills": 1},
        found={"repaired": 2, "missing_order": 1},
        latency=Latency(counts=tuple(counts), seconds=10 * LATE, worst=LATE),
        calls=30,
        calls_failed=failed,
        call_limit=900,
    )


def test_plots_show_the_hour_before_a_restart_and_say_it_in_words(
    house: House, visit: Callable[..., Page]
) -> None:
    house.open()
    house.stop()
    house.remember([minute(ago) for ago in range(5, 50)])
    house.start()
    page = visit(f"{house.address}/#plots")
    page.get_by_role("button", name="1 hour").click()
    plots = page.locator(".plot")
    expect(plots).to_have_count(6)
    expect(plots.nth(0)).to_contain_text("of 450 changes")
    expect(plots.nth(1)).to_contain_text("0.0 % within 30 s, 100 % within 2 min")
    expect(plots.nth(2)).to_contain_text("Found: 45 missing order, 90 repaired;")
    expect(plots.nth(2)).to_contain_text("at most at once: 1 fills, 3 status")
    expect(plots.nth(3)).to_contain_text("At most 2 stale orders, 1 suspect")
    expect(plots.nth(4)).to_contain_text("At worst 90.0 %")
    expect(plots.nth(5)).to_contain_text("At most 30 a minute, of 900 that may be made")
    inked = """canvas => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height)
        .data.some(value => value)"""
    for n in range(6):
        canvas = plots.nth(n).locator("canvas")
        until(partial(canvas.evaluate, inked), f"plot {n} is drawn")
    expect(page.locator(".sheet table")).to_contain_text("45 s")
    plots.nth(3).locator(".u-over").hover()
    expect(plots.nth(3).locator(".keys")).to_contain_text("stale 2suspect 1unknown 0")
    # All of them tell of that moment; and no share was later than the worst of all.
    expect(plots.nth(0).locator(".keys")).to_contain_text("p99 45 s")


def test_of_several_accounts_each_has_its_own_day(
    build: Callable[..., House], visit: Callable[..., Page]
) -> None:
    house = build(accounts=(MAIN, "second"))
    house.place()
    other, _ = house.place(account="second")
    house.open()
    house.stop()
    days = [minute(ago) for ago in range(5, 20)]
    house.remember([*days, *(minute(ago, "second", failed=0) for ago in range(5, 20))])
    house.start()
    page = visit(f"{house.address}/#health")
    accounts = page.locator(".account")
    expect(accounts).to_have_count(2)
    strip = accounts.nth(0).locator(".strip")
    expect(strip).to_contain_text("steps of five minutes not every answer could be used")
    expect(strip.locator("rect.some").first).to_be_attached()
    expect(accounts.nth(1).locator(".strip")).to_contain_text("Every answer of the exchange")
    page.keyboard.press("1")
    page.get_by_label("All accounts").select_option("second")
    expect(page.locator(".row")).to_have_attribute("data-row", str(other))
