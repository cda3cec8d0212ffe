"""Rows become true at Alpaca: the real adapter asks the simulated broker, in virtual time."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from ordersync.simulator import Fault, Kind, StreamKind, alpaca
from ordersync.simulator.alpaca import Event, Life
from tests.system.alpaca_house import BODY, STATUS_WORDS, at_alpaca
from tests.system.house import OPEN, OURS, ago, naive, tallies
from tests.virtual import virtually

if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from pathlib import Path

    from tests.system.alpaca_house import AlpacaHouse
    from tests.system.house import Placed

APART: Any = {"status_words": STATUS_WORDS}
HALF = Decimal("0.5")
SECOND = 3601
"""What happens to an order of an hour's age a second from now."""


def life(*happenings: str | Event) -> Life:
    """A life whose steps lie a second apart, from a second from now on."""
    return Life.of((0, "new"), *((SECOND + n, what) for n, what in enumerate(happenings)))


LIVES: dict[str, Life] = {
    "pending_new": Life.pending(),
    "accepted": Life.accepted(),
    "accepted_for_bidding": life("accepted_for_bidding"),
    "pending_review": life("pending_review"),
    "new": Life.open(),
    "partially_filled": Life.open(fills=[(ago(seconds=SECOND), HALF)]),
    "stopped": life("stopped"),
    "suspended": life("suspended"),
    "done_for_day": life("done_for_day"),
    "calculated": life("done_for_day", "calculated"),
    "pending_cancel": life("pending_cancel"),
    "pending_replace": life("pending_replace"),
    "filled": Life.filled(ago(seconds=SECOND)),
    "canceled": Life.canceled(ago(seconds=SECOND)),
    "expired": Life.expired(ago(seconds=SECOND)),
    "rejected": Life.rejected(ago(seconds=SECOND)),
}
BRACKET = alpaca.bracket(BODY, take_profit="120", stop_loss="80")


@pytest.mark.parametrize("is_told", [True, False], ids=["pushed", "asked"])
@virtually
async def test_every_status_becomes_its_word(tmp_path: Path, is_told: bool) -> None:  # noqa: FBT001
    async with at_alpaca(tmp_path, orders=APART) as house:
        placed = {status: house.place(each, status="w_new") for status, each in LIVES.items()}
        (placed["held"], _) = house.legs(house.place(body=BRACKET, status="w_new"), status="w_new")
        placed["replaced"] = house.place(status="w_new")
        # Both are in a row of their own, so the first of them shows that it was replaced.
        heir = house.tell(house.replace(placed["replaced"]), status="w_new")
        if not is_told:
            await house.wait(seconds=10)
            await house.sync()
        else:
            async with house.running():
                await house.wait(seconds=10)
        assert {status: house.word(one) for status, one in placed.items()} == {
            status: f"w_{status}" for status in placed
        }
        assert {f"w_{status}" for status in placed} == STATUS_WORDS.keys() - {"w_unknown"}
        assert house.word(heir) == "w_new"


@virtually
async def test_the_legs_of_a_bracket_are_held_then_work_then_one_ends_the_other(
    tmp_path: Path,
) -> None:
    async with at_alpaca(tmp_path, orders=APART) as house:
        entry = house.place(
            Life.filled(ago(seconds=SECOND)),
            body=BRACKET,
            leg_lives=(Life.filled(ago(seconds=30)), Life.open()),
            status="w_new",
        )
        profit, stop = house.legs(entry, status="w_new")
        async with house.running():
            await house.wait(seconds=0.9)
            assert [house.word(o) for o in (entry, profit, stop)] == ["w_new", "w_held", "w_held"]
            await house.wait(seconds=1.5)
            assert [house.word(o) for o in (entry, profit, stop)] == ["w_filled", "w_new", "w_new"]
            await house.wait(seconds=30)
            assert [house.word(o) for o in (profit, stop)] == ["w_filled", "w_canceled"]
        assert house.all_untrue([]) == {}
        assert house.row(profit.row_id)["filled_size"] == 4


@virtually
async def test_an_order_by_amount_and_one_of_several_legs_become_true(tmp_path: Path) -> None:
    calls = alpaca.spread(
        "1",
        "15",
        ("AAPL271217C00200000", "1", "buy_to_open"),
        ("AAPL271217C00250000", "1", "sell_to_open"),
    )
    async with at_alpaca(tmp_path) as house:
        amount = house.place(Life.filled(), body=alpaca.market("AAPL", "buy", notional="250"))
        spread = house.place(Life.filled(ago(seconds=SECOND)), body=calls)
        rows = [amount, spread, *house.legs(spread)]
        async with house.running():
            await house.wait(seconds=2)
            assert house.all_untrue(rows) == {}
            assert {house.word(one) for one in rows} == {"completed"}
        assert 0 < house.row(amount.row_id)["filled_size"] < 250


@pytest.mark.parametrize(
    "end",
    [
        Life.canceled(ago(seconds=1800), share=HALF),
        Life.expired(ago(seconds=1800), share=HALF),
        Life.filled(ago(seconds=1800), fills=[(ago(seconds=900), HALF)]),
    ],
    ids=["canceled", "expired", "filled"],
)
@virtually
async def test_what_ended_after_fills_is_true_to_the_moment_of_the_last_fill(
    tmp_path: Path, end: Life
) -> None:
    async with at_alpaca(tmp_path) as house:
        order = house.place(end)
        report = await house.sync()
        assert house.untrue(order) == []
        assert house.word(order) == "completed"
        assert report.rows_written == 1, "one row, though its details are asked for afterwards"
        before = house.dump()
        await house.wait(seconds=90)
        await house.sync()
        assert house.dump() == before, "a second look writes nothing"


# --- replaced orders -----------------------------------------------------------------------------


async def fill(house: AlpacaHouse, placed: Placed | str, qty: str, price: str) -> None:
    """Some of an order is filled now, and told."""
    order_id = placed if isinstance(placed, str) else placed.order_id
    event = Event.PARTIAL_FILL if house.left(order_id) > Decimal(qty) else Event.FILL
    house.world.happen(order_id, event, qty=Decimal(qty), price=Decimal(price))
    await house.wait(seconds=0.1)


def shown(house: AlpacaHouse, placed: Placed) -> tuple[Any, ...]:
    row = house.row(placed.row_id)
    return row["order_id"], row["status"], row["filled_size"], row["avg_price"]


@pytest.mark.parametrize("moves", [False, True], ids=["follows", "moves along"])
@virtually
async def test_a_row_follows_its_order_through_two_replacements(
    tmp_path: Path,
    moves: bool,  # noqa: FBT001
) -> None:
    async with at_alpaca(tmp_path, orders={"follow_replace": moves}) as house:
        order = house.place()
        async with house.running():
            await house.wait(seconds=30)
            await fill(house, order, "1", "100")
            assert shown(house, order) == (order.order_id, OPEN, 1, 100)
            second = await house.patch(order.order_id, limit_price="101")
            await house.wait(seconds=2)
            id_shown = second if moves else order.order_id
            assert shown(house, order) == (id_shown, OPEN, 1, 100)
            await fill(house, second, "1", "102")
            assert shown(house, order) == (id_shown, OPEN, 2, 101)
            third = await house.patch(second, limit_price="103")
            await house.wait(seconds=2)
            id_shown = third if moves else order.order_id
            assert shown(house, order) == (id_shown, OPEN, 2, 101)
            await fill(house, third, "2", "103")
            await house.wait(seconds=2)
            assert shown(house, order) == (id_shown, "completed", 4, 102)
            before = house.dump()
            await house.wait(seconds=70)
            assert house.dump() == before
        assert house.events("contested", "quarantined", "conflict") == []


@virtually
async def test_a_replacement_that_loses_to_a_fill_leaves_the_row_filled(tmp_path: Path) -> None:
    async with at_alpaca(tmp_path) as house:
        order = house.place(Life.filled(ago(hours=1, seconds=30.2)))
        async with house.running():
            await house.wait(seconds=30)
            heir = await house.patch(order.order_id, limit_price="101")
            await house.wait(seconds=3)
            assert house.world.truth(heir).status == "rejected"
            assert shown(house, order) == (order.order_id, "completed", 4, 100)
            assert house.untrue(order) == []


@virtually
async def test_a_replacement_that_is_refused_leaves_the_row_open(tmp_path: Path) -> None:
    async with at_alpaca(tmp_path) as house:
        order = house.place(Life.open(refuses_replace=True))
        async with house.running():
            await house.wait(seconds=30)
            await house.patch(order.order_id, limit_price="101")
            await house.wait(seconds=3)
            assert shown(house, order)[:2] == (order.order_id, OPEN)
            await fill(house, order, "4", "100")
            assert shown(house, order) == (order.order_id, "completed", 4, 100)


@virtually
async def test_where_another_row_carries_the_new_id_both_show_their_own(tmp_path: Path) -> None:
    async with at_alpaca(tmp_path) as house:
        order = house.place()
        async with house.running():
            await house.wait(seconds=30)
            await fill(house, order, "1", "100")
            heir = await house.patch(order.order_id, limit_price="101")
            made = house.world.order(heir)
            assert made is not None
            second = house.tell(made)
            await house.wait(seconds=3)
            assert shown(house, order) == (order.order_id, "completed", 1, 100)
            assert shown(house, second)[:3] == (heir, OPEN, None)
            await fill(house, heir, "3", "101")
            assert shown(house, second) == (heir, "completed", 3, 101)
            assert shown(house, order) == (order.order_id, "completed", 1, 100)


@virtually
async def test_a_replacement_that_nobody_told_is_followed_by_asking(tmp_path: Path) -> None:
    async with at_alpaca(tmp_path) as house:
        order = house.place()
        async with house.running():
            await house.wait(seconds=30)
            house.fault(StreamKind.MUTE)
            heir = await house.patch(order.order_id, limit_price="101")
            await house.wait(seconds=3)
            house.world.happen(heir, Event.FILL)
            await house.wait(seconds=2.5)
            assert shown(house, order) == (order.order_id, "completed", 4, 101)


# --- rows that never learned their order's id, and orders that are not there ---------------------


@virtually
async def test_a_row_that_was_never_acknowledged_is_found_by_its_client_id(tmp_path: Path) -> None:
    async with at_alpaca(tmp_path) as house:
        # What proves that the window was the right one to look in.
        house.place(age=ago(days=2, minutes=1))
        lost = house.place(Life.filled(ago(seconds=1)), order_id=None)
        never = house.invent(order_id=None)
        async with house.running():
            await house.wait(seconds=15)
            assert shown(house, lost) == (lost.order_id, "completed", 4, 100)
            assert house.untrue(lost) == []
            await house.wait(minutes=2)
        assert house.word(never) == "unknown"
        assert house.events(order=never.client_id)[-1:] == ["unknown"]


@virtually
async def test_an_order_that_neither_endpoint_knows_is_unknown_after_a_day(tmp_path: Path) -> None:
    async with at_alpaca(tmp_path) as house:
        house.place()
        gone = house.invent()
        young = house.invent(age=ago(hours=23, minutes=50))
        await house.sync()
        assert (house.word(gone), house.word(young)) == ("unknown", OPEN)
        assert tallies(house, gone).keys() == {"by_id", "by_client_id"}
        async with house.running():
            await house.wait(minutes=15)
        assert house.word(young) == "unknown"


@virtually
async def test_one_endpoint_that_answers_something_else_proves_no_absence(tmp_path: Path) -> None:
    async with at_alpaca(tmp_path) as house:
        house.place()
        gone = house.invent()
        house.faults.add(Fault(kind=Kind.HTML, on="by_client_id"))
        async with house.running():
            await house.wait(minutes=8)
        assert house.word(gone) == OPEN


# --- who asks ------------------------------------------------------------------------------------


@pytest.mark.parametrize("paper", [True, False])
@pytest.mark.parametrize("status", [401, 403])
@virtually
async def test_a_key_of_the_other_host_is_refused_with_the_mend_and_nothing_is_written(
    tmp_path: Path,
    paper: bool,  # noqa: FBT001
    status: Any,  # noqa: ANN401
    logs: list[MutableMapping[str, Any]],
) -> None:
    async with at_alpaca(tmp_path, paper=paper, wrong_host_status=status) as house:
        house.place(Life.filled())
        stranger = house.world.open_account(paper=not paper)
        before = house.dump("trades")
        report = await house.sync(key=stranger.key)
        (why,) = report.troubles
        assert f"refuses the key ({status})" in why
        assert f"write paper = {'false' if paper else 'true'}" in why
        async with house.running(key=stranger.key):
            await house.wait(minutes=2)
        assert house.dump(*OURS) == {**before, "ordersync_orders": [], "ordersync_events": []}
        assert len(house.asked()) <= 3 * 8, "it is asked again, but not stormed"
        assert any("write paper =" in line["event"] for line in logs)


@virtually
async def test_a_key_of_another_account_marks_nothing_as_gone(tmp_path: Path) -> None:
    async with at_alpaca(tmp_path) as house:
        rows = [house.place(age=ago(days=2)) for _ in range(20)]
        await house.sync()
        before = house.dump("trades")
        report = await house.sync(key=house.world.open_account().key)
        assert "another account" in report.doubt
        assert house.dump("trades") == before
        assert {house.word(one) for one in rows} == {OPEN}


@virtually
async def test_another_accounts_own_open_orders_prove_no_absence(tmp_path: Path) -> None:
    """Before the first order was ever sighted, the key shows orders, but none of this table."""
    async with at_alpaca(tmp_path) as house:
        rows = [house.place(age=ago(days=2)) for _ in range(3)]
        stranger = house.world.open_account()
        made = house.clock.now() - ago(days=1)
        house.world.place(stranger.account_id, BODY, life=Life.open(), created_at=made)
        before = house.dump("trades")
        async with house.running(key=stranger.key):
            await house.wait(minutes=30)
        assert house.dump("trades") == before
        assert {house.word(one) for one in rows} == {OPEN}


@virtually
async def test_a_token_without_the_scope_to_trade_reads_and_listens_until_it_expires(
    tmp_path: Path, logs: list[MutableMapping[str, Any]]
) -> None:
    async with at_alpaca(tmp_path) as house:
        token = house.world.issue_token(house.account, trading=False, lasts=ago(minutes=2))
        first = house.place(Life.filled(ago(hours=1, seconds=60)))
        second = house.place(Life.filled(ago(hours=1, seconds=150)))
        async with house.running(key=token):
            await house.wait(seconds=60.1)
            assert house.untrue(first) == []
            assert not any("can trade" in line["event"] for line in logs)
            await house.wait(seconds=120)
            # The stream was opened before, and goes on; nothing that is asked is answered.
            assert len(house.connections) == 1
            assert house.word(second) == "completed"
            assert {one.status for one in house.asked()} == {200, 401}
            house.forget_asked()
            before = house.dump()
            await house.wait(seconds=60)
            assert house.dump() == before
            assert len(house.asked()) <= 70


# --- a broker in trouble -------------------------------------------------------------------------

TROUBLES = {
    "429": Fault(kind=Kind.TOO_MANY, lasts=ago(seconds=60), value=2),
    "HTML 502": Fault(kind=Kind.HTML, lasts=ago(seconds=60)),
    "HTML 503": Fault(kind=Kind.HTML, lasts=ago(seconds=60), value=503),
    "500": Fault(kind=Kind.SERVER_ERROR, lasts=ago(seconds=60)),
    "time-outs": Fault(kind=Kind.TIMEOUT, lasts=ago(seconds=60)),
    "403": Fault(kind=Kind.FORBIDDEN, lasts=ago(seconds=60)),
}


@pytest.mark.parametrize("fault", TROUBLES.values(), ids=TROUBLES)
@virtually
async def test_trouble_writes_nothing_and_the_truth_comes_when_it_ends(
    tmp_path: Path, fault: Fault
) -> None:
    async with at_alpaca(tmp_path) as house:
        rows = [
            house.place(Life.filled(ago(hours=1, seconds=30))),
            house.place(),
            house.place(Life.canceled(ago(hours=1, seconds=40), share=HALF)),
        ]
        async with house.running():
            await house.wait(seconds=20)
            # Without a stream, too: it would have told.
            house.fault(StreamKind.REFUSE, value=503, lasts=ago(seconds=80))
            for connection in house.connections:
                assert connection.is_open
            house.fault(StreamKind.MUTE)
            house.faults.add(fault)
            before = house.dump("trades")
            house.forget_asked()
            await house.wait(seconds=59)
            assert house.dump("trades") == before
            assert len(house.asked()) <= 100, "half of the budget"
            await house.wait(seconds=40)
            assert house.all_untrue(rows) == {}
        assert house.events("unknown", "suspect") == []


@virtually
async def test_young_orders_that_are_not_found_at_once_are_not_doubted(tmp_path: Path) -> None:
    async with at_alpaca(tmp_path) as house:
        house.place()
        house.faults.add(Fault(kind=Kind.NOT_FOUND, value=5))
        async with house.running():
            await house.wait(seconds=10)
            made = house.order(Life.filled(ago(seconds=2)), age=ago(seconds=0))
            order = house.tell(made, created_at=naive(made.created_at))
            await house.until_true(order, within=6)
        assert house.events("unknown", "suspect") == []
