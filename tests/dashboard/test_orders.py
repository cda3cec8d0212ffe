"""What a person sees of the orders, in a real browser before a real service."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from playwright.sync_api import expect

from ordersync.simulator import Life
from tests.servers.daemon import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Locator, Page

    from tests.dashboard.house import House

HOSTILE = "<img src=x onerror=\"document.title='taken'\"><script>window.taken=1</script>"
BACKWARDS = "\u202egrid\u202c \u200f\u05d0"
MANY = 10_000


def row(page: Page, row_id: int) -> Locator:
    return page.locator(f'.row[data-row="{row_id}"]')


def said(page: Page) -> Locator:
    return page.locator(".sentence .say")


def test_a_stale_row_appears_warns_and_is_mended_by_an_event_without_reload(
    house: House, visit: Callable[..., Page]
) -> None:
    house.place()
    stuck, order_id = house.place(age=timedelta(seconds=4))
    house.open()
    page = visit(house.address)
    expect(said(page)).to_contain_text("All 2 open orders verified within")
    page.evaluate("window.stillHere = true")
    house.garble(order_id)
    badge = row(page, stuck).locator(".badge.warn")
    expect(badge).to_have_text("stale")
    expect(badge.locator(".shape")).to_be_visible()
    expect(said(page)).to_have_text(re.compile("^1 order stale: the table has said pending for"))
    expect(page.locator(".sentence.warn")).to_be_visible()
    expect(page).to_have_title(re.compile("^⚠ 1 order stale"))
    house.cancel(order_id)
    expect(row(page, stuck)).to_have_class("row good mended")
    expect(page.locator(".sentence.good .say")).to_contain_text("The one open order is verified")
    expect(row(page, stuck)).to_have_count(0)  # it left, after an eye could follow
    assert house.word(stuck) == "cancelled"
    assert page.evaluate("window.stillHere")


def test_ages_tick_each_second_and_a_new_row_appears_by_itself(
    house: House, visit: Callable[..., Page]
) -> None:
    house.open()
    page = visit(house.address)
    expect(said(page)).to_contain_text("No order is open")
    empty = page.locator(".pane")
    expect(empty).to_contain_text("No open orders.")
    expect(empty).to_contain_text("the table waits for its first order")
    expect(empty).to_contain_text("main at Coinbase: what happens is pushed, the last pass began")
    new, _ = house.place(age=timedelta(seconds=20))
    age = row(page, new).locator(".c-age")
    expect(age).to_have_text(re.compile(r"^\d+ s$"))
    before = seconds_in(age)
    until(lambda: seconds_in(age) >= before + 2, "it ticks")


def seconds_in(age: Locator) -> int:
    """Of "50 s"; from two minutes on the page tells minutes."""
    number, unit = age.inner_text().split()[:2]
    return int(number) * (60 if unit == "min" else 1)


def test_a_row_opens_its_history_with_evidence_and_before_and_after(
    house: House, visit: Callable[..., Page]
) -> None:
    half = [(timedelta(minutes=1), Decimal("0.5"))]
    working, order_id = house.place(Life.open(fills=half))
    house.open()
    page = visit(house.address)
    row(page, working).click()
    detail = page.locator(".detail")
    expect(detail.locator("h2")).to_contain_text(f"Order {working}")
    expect(detail).to_contain_text(order_id)
    expect(detail.locator(".line", has_text="filled 1")).to_be_visible()
    steps = detail.locator(".steps li")
    expect(steps).to_have_text(
        [
            re.compile(w)
            for w in ("^Sent", r"^Seen.*\+ 10 min$", "^First fillby ", "^Endednot yetfor ")
        ]
    )
    house.cancel(order_id)
    line = detail.locator(".line", has_text="pending → completed")
    expect(line).to_be_visible()  # it came while the history was open
    expect(steps.nth(3)).to_have_text(re.compile("^canceled"))
    expect(steps.nth(4)).to_have_text(re.compile(r"^Row true.*\+ \d+ ms$|^Row true.*\+ \d\.\d s$"))
    line.click()
    evidence = detail.locator(".evidence")
    expect(evidence).to_contain_text("sighting from")
    expect(evidence.locator("tr", has_text="Table says")).to_contain_text("pendingcompletedchanged")
    expect(evidence.locator("pre")).to_contain_text(order_id)
    expect(evidence).to_contain_text(re.compile(r"Latency\d+"))
    page.keyboard.press("Escape")
    expect(detail).to_have_count(0)


def test_a_link_to_an_order_opens_it_though_it_has_ended_and_no_list_shows_it(
    house: House, visit: Callable[..., Page]
) -> None:
    filled, order_id = house.place(Life.filled(timedelta(minutes=1)), word="completed")
    house.place()
    house.open()
    page = visit(f"{house.address}/#order={filled}")
    detail = page.locator(".detail")
    expect(detail).to_contain_text(order_id)
    page.keyboard.press("Escape")
    expect(detail).to_have_count(0)
    expect(page).to_have_url(re.compile("^[^#]*$"))
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(detail).to_be_visible()
    expect(page).to_have_url(re.compile("#order=2$"))


def test_a_row_that_nobody_can_write_says_for_how_long_it_has_been_untrue(
    house: House, visit: Callable[..., Page]
) -> None:
    closed, _ = house.place(Life.filled(timedelta(minutes=1)))
    house.refuse(closed)
    house.open()
    page = visit(house.address)
    row(page, closed).click()
    steps = page.locator(".detail .steps li")
    words = ("^Sent", r"^filled.*\+ 60 s$", "^Seen", r"^Row truenot yetfor 9 min$")
    expect(steps).to_have_text([re.compile(word) for word in words])


def test_the_first_rows_are_asked_for_while_the_code_is_on_its_way(
    house: House, visit: Callable[..., Page]
) -> None:
    house.open()
    page = visit("about:blank")
    page.route("**/dashboard/app.js", lambda route: route.abort())
    with page.expect_request("**/api/v1/orders?limit=100"):
        page.goto(house.address)


def test_a_history_of_ten_thousand_events_is_read_to_its_beginning(
    house: House, visit: Callable[..., Page]
) -> None:
    half = [(timedelta(minutes=1), Decimal("0.5"))]
    resting, _ = house.place(Life.open(fills=half))
    house.open()
    until(lambda: house.events() > 0, "the order was seen")
    house.stop()
    house.lengthen_history(MANY)
    house.start()
    page = visit(house.address)
    row(page, resting).click()
    detail = page.locator(".detail")
    says = re.compile(r"^History 10,00\d events, the newest first, in ")
    expect(detail.locator("h3")).to_have_text(says)
    # Only those in sight are in the page.
    until(lambda: detail.locator(".line").count() < 40, "what is out of sight is left out")
    detail.locator(".history").evaluate("box => box.scrollTo(0, box.scrollHeight)")
    detail.locator(".line").last.click()
    expect(detail.locator(".evidence")).to_contain_text("1-0")


def test_an_order_that_is_proven_to_be_gone_is_not_called_stale(
    build: Callable[..., House], visit: Callable[..., Page]
) -> None:
    house = build(stale_after="5m")  # the other one must not be, however late its pass
    house.place()
    gone = house.write("77777777-1234-4abc-8def-000000000005", word="unknown")
    house.open()
    page = visit(house.address)
    expect(row(page, gone).locator(".badge.warn")).to_have_text("unknown")
    expect(said(page)).to_have_text("1 order is proven not to be at the exchange.")
    expect(page.locator(".sentence.warn")).to_be_visible()
    row(page, gone).click()
    steps = page.locator(".detail .steps li")
    expect(steps).to_have_text([re.compile(word) for word in ("^Sent", "^Missed")])


def test_what_has_merely_ended_is_not_among_what_needs_somebody(
    build: Callable[..., House], visit: Callable[..., Page]
) -> None:
    house = build(stale_after="1h")
    _, order_id = house.place()
    house.refuse(house.place(Life.filled(timedelta(minutes=1)))[0])
    house.open()
    page = visit(house.address)
    page.get_by_role("button", name="Show it").click()
    expect(page.locator(".row")).to_have_count(1)
    opens, needs = (page.locator(".choice").get_by_role("button", name=n) for n in ("Open", "Need"))
    expect(opens).to_contain_text("2")
    house.cancel(order_id)
    expect(opens).to_contain_text("1")
    needs.click()  # arranged at once, while what ended can still be seen elsewhere
    assert page.locator(".row").count() == 1


def test_what_stands_in_the_table_is_text_whatever_it_is(
    house: House, visit: Callable[..., Page]
) -> None:
    hostile, _ = house.place(owner=HOSTILE)
    backwards, _ = house.place(owner=BACKWARDS)
    bare, _ = house.place(symbol=None, owner=None)
    nowhere = house.write(HOSTILE, symbol=HOSTILE, word="open <i>word</i>")
    house.open()
    page = visit(house.address)
    expect(row(page, nowhere).locator(".c-symbol bdi")).to_have_text(HOSTILE)
    expect(row(page, nowhere).locator(".c-row_word bdi")).to_have_text("open <i>word</i>")
    expect(row(page, hostile).locator(".c-owner bdi")).to_have_text(HOSTILE)
    expect(row(page, backwards).locator(".c-owner bdi")).to_have_text(BACKWARDS)
    expect(row(page, bare).locator(".c-owner")).to_have_text("\u2013")
    row(page, nowhere).click()
    expect(page.locator(".detail .facts")).to_contain_text(HOSTILE)
    page.keyboard.press("2")
    expect(page.locator(".sheet table")).to_contain_text(HOSTILE)
    assert page.evaluate("window.taken") is None
    assert page.title() != "taken"
    assert page.locator("#app img, #app script, #app b, #app i").count() == 0


def test_a_table_of_an_id_a_status_and_a_time_is_shown_as_it_is(
    build: Callable[..., House], visit: Callable[..., Page]
) -> None:
    house = build(columns="")
    known, _ = house.place()
    nameless = house.write(None)
    house.open()
    page = visit(house.address)
    expect(row(page, known).locator(".c-exchange_status")).to_have_text("new")
    expect(row(page, known).locator(".c-owner")).to_have_text("\u2013")
    expect(row(page, nameless).locator(".c-fill")).to_have_text("\u2013")
    expect(row(page, nameless).locator(".c-verified")).to_have_text("never")
    expect(page.locator(".beside")).to_contain_text("No bots to tell apart")
    row(page, nameless).get_by_role("button").click()
    page.locator("dialog").get_by_role("button", name="Verify now").click()
    expect(page.locator("dialog")).to_contain_text("nobody can be asked")


def test_ten_thousand_rows_are_searched_sorted_and_walked_with_the_keyboard(
    build: Callable[..., House], visit: Callable[..., Page]
) -> None:
    house = build(stale_after="1h")
    house.write_many(MANY)
    house.open()
    page = visit(house.address)
    shown = page.locator(".row")
    # The service meets them all for the first time meanwhile.
    expect(page.locator(".bar .quiet")).to_have_text("10,000 rows shown", timeout=180_000)
    # Only those in sight are in the page.
    until(lambda: shown.count() < 60, "what is out of sight is left out")
    page.locator(".pane").evaluate("pane => pane.scrollTo(0, pane.scrollHeight)")
    expect(page.locator('.row[aria-rowindex="10001"]')).to_be_visible()
    page.get_by_role("button", name="Row", exact=True).click()
    page.locator(".pane").evaluate("pane => pane.scrollTo(0, 0)")
    expect(shown.first).to_have_attribute("data-row", "1")
    page.keyboard.press("/")
    page.keyboard.type("4711")
    expect(shown.first).to_have_attribute("data-row", "4711")
    page.keyboard.press("Escape")
    expect(shown.first).to_have_attribute("data-row", "1")
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    expect(page.locator('.row[aria-selected="true"]')).to_have_attribute("data-row", "2")
    page.keyboard.press("Enter")
    expect(page.locator(".detail h2")).to_contain_text("Order 2")
    page.keyboard.press("Escape")
    expect(page.locator(".detail")).to_have_count(0)


def test_the_search_has_the_keyboard_before_the_next_key_of_one_who_types_fast(
    house: House, visit: Callable[..., Page]
) -> None:
    house.place()
    house.open()
    page = visit(house.address)
    expect(page.locator(".row")).to_have_count(1)
    page.keyboard.press("2")
    expect(page.locator("#search")).to_have_count(0)
    # Keys wait in the order of tasks: where the one after "/" would go is where the focus is in
    # the next task.
    focused = page.evaluate("""async () => {
        document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "/", bubbles: true }));
        await new Promise((resume) => {
            const { port1, port2 } = new MessageChannel();
            port1.onmessage = resume;
            port2.postMessage(null);
        });
        return document.activeElement.id;
    }""")
    assert focused == "search"
    page.keyboard.press("Escape")
    page.evaluate("location.hash = '#health'")  # typed into the open page
    expect(page.locator(".sheet h2")).to_have_text("Health")
    page.go_back()
    expect(page.locator("#search")).to_be_visible()


def test_the_page_says_that_the_server_is_away_and_goes_on_when_it_is_back(
    house: House, visit: Callable[..., Page]
) -> None:
    kept, _ = house.place()
    house.open()
    page = visit(house.address)
    expect(page.locator(".link-state.good")).to_have_text("connected")
    expect(row(page, kept)).to_be_visible()
    page.evaluate("window.stillHere = true")
    house.stop()
    expect(page.locator(".sentence.bad .say")).to_have_text(
        re.compile(r"^The server is away: what is shown was true \d+ s ago\.$")
    )
    expect(page.locator(".link-state.bad")).to_contain_text("away")
    expect(row(page, kept)).to_be_visible()  # what was known stays, with its age said
    new, _ = house.place()
    house.start()
    expect(row(page, new)).to_be_visible()
    expect(page.locator(".link-state.good")).to_have_text("connected")
    expect(page.locator(".sentence.good")).to_be_visible()
    assert page.evaluate("window.stillHere")


def test_what_happened_while_the_stream_was_cut_is_told_when_it_is_back(
    house: House, visit: Callable[..., Page]
) -> None:
    half = [(timedelta(minutes=1), Decimal("0.5"))]
    working, order_id = house.place(Life.open(fills=half))
    house.open()
    page = visit(house.lay_wire())
    row(page, working).click()
    lines = page.locator(".detail .line")
    expect(lines.filter(has_text="filled 1")).to_be_visible()
    expect(page.locator(".link-state.good")).to_have_text("connected")
    house.cut_wire()
    expect(page.locator(".link-state.bad")).to_contain_text("away")
    house.cancel(order_id)
    until(lambda: house.word(working) == "completed", "the row is written")
    house.mend_wire()
    # The history was read once, when it was opened: this line can only have come as an event.
    expect(lines.filter(has_text="pending → completed")).to_be_visible()
    expect(page.locator(".link-state.good")).to_have_text("connected")


def test_after_a_long_sleep_everything_is_read_anew_at_once(
    house: House, visit: Callable[..., Page]
) -> None:
    house.place()
    house.open()
    page = visit("about:blank")
    page.clock.install()
    page.goto(house.address)
    page.clock.run_for(1_500)
    expect(page.locator(".row")).to_have_count(1)
    with (
        page.expect_request("**/api/v1/events*"),
        page.expect_request("**/api/v1/orders/sync-status*"),
    ):
        page.clock.fast_forward("24:00:00")
    expect(page.locator(".row")).to_have_count(1)
