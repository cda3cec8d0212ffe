"""What the exchange tells on its user WebSocket, and what it is strict about."""

from __future__ import annotations

import asyncio
import contextlib
import re
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from websockets.exceptions import InvalidStatus

from ordersync.simulator import (
    Life,
    Step,
    What,
    limit_gtd,
    market,
    stop_limit_gtc,
)
from tests.simulator.asking import PREFIX, claims_of, sign
from tests.simulator.streaming import (
    ORDER,
    SECOND,
    in_snapshots,
    numbers_of,
    orders_of,
    place,
    stream_claims,
    told,
    trading,
)
from tests.virtual import VirtualLoop, run_virtually, virtually

if TYPE_CHECKING:
    from tests.simulator.streaming import Floor

HALF = Decimal("0.5")


# --- Subscribing ---------------------------------------------------------------------------


@virtually
async def test_a_subscription_is_confirmed_and_answered_with_the_open_orders() -> None:
    async with trading() as floor:
        order = place(floor, Life.open())
        place(floor, Life.filled(SECOND / 4))
        await floor.clock.sleep(1)
        async with floor.listening() as listener:
            ack, snapshot = await listener.begin()

    assert ack == {
        "channel": "subscriptions",
        "client_id": "",
        "timestamp": ack["timestamp"],
        "sequence_num": 0,
        "events": [{"subscriptions": {"user": [order.user_id]}}],
    }
    assert re.fullmatch(r"2026-11-20T12:00:01\.\d{9}Z", ack["timestamp"])
    assert snapshot["sequence_num"] == 1
    assert snapshot["events"] == [
        {
            "type": "snapshot",
            "orders": [
                {
                    "avg_price": "0",
                    "cancel_reason": "",
                    "client_order_id": order.client_order_id,
                    "completion_percentage": "0",
                    "contract_expiry_type": "UNKNOWN_CONTRACT_EXPIRY_TYPE",
                    "cumulative_quantity": "0",
                    "filled_value": "0",
                    "leaves_quantity": "2",
                    "limit_price": "100",
                    "number_of_fills": "0",
                    "order_id": order.order_id,
                    "order_side": "BUY",
                    "order_type": "Limit",
                    "outstanding_hold_amount": "200",
                    "post_only": "false",
                    "product_id": "BTC-USD",
                    "product_type": "SPOT",
                    "reject_reason": "",
                    "retail_portfolio_id": floor.account.portfolio,
                    "risk_managed_by": "UNKNOWN_RISK_MANAGEMENT_TYPE",
                    "status": "OPEN",
                    "stop_price": "",
                    "time_in_force": "GOOD_UNTIL_CANCELLED",
                    "total_fees": "0",
                    "total_value_after_fees": "0",
                    "trigger_status": "INVALID_ORDER_TYPE",
                    "creation_time": "2026-11-20T12:00:00Z",
                    "end_time": "0001-01-01T00:00:00Z",
                    "start_time": "0001-01-01T00:00:00Z",
                }
            ],
            "positions": {"perpetual_futures_positions": [], "expiring_futures_positions": []},
        }
    ]


@virtually
async def test_every_kind_of_order_has_its_own_spellings() -> None:
    async with trading() as floor:
        until = floor.clock.now() + timedelta(hours=1)
        for configuration in (
            limit_gtd("1", "2", until, post_only=True),
            stop_limit_gtc("1", "2", "3"),
            market(base_size="1"),
        ):
            place(floor, Life.open(), configuration)
        async with floor.listening() as listener:
            _, snapshot = await listener.begin()

    rows = {row["order_type"]: row for row in snapshot["events"][0]["orders"]}
    assert set(rows) == {"Limit", "Stop Limit", "Market"}
    assert rows["Limit"]["post_only"] == "true"
    assert rows["Limit"]["end_time"] == "2026-11-20T13:00:00Z"
    assert (rows["Stop Limit"]["stop_price"], rows["Stop Limit"]["trigger_status"]) == (
        "3",
        "STOP_PENDING",
    )
    assert rows["Market"]["limit_price"] == ""


@virtually
async def test_a_snapshot_comes_in_batches_of_fifty_without_an_end_mark() -> None:
    async with trading() as floor:
        orders = {place(floor, Life.pending()).order_id for _ in range(120)}
        async with floor.listening() as listener:
            frames = await listener.begin()

    batches = in_snapshots(frames)
    assert [len(batch) for batch in batches] == [50, 50, 20]
    assert {order for batch in batches for order in batch} == orders
    assert numbers_of(frames) == [0, 1, 2, 3]


@virtually
async def test_without_open_orders_the_snapshot_is_empty() -> None:
    async with trading() as floor:
        place(floor, Life.filled(SECOND))
        await floor.clock.sleep(2)
        async with floor.listening() as listener:
            assert in_snapshots(await listener.begin()) == [[]]


@virtually
async def test_only_the_products_asked_for_are_told() -> None:
    async with trading() as floor:
        first = place(floor, Life.open(), product="ETH-USD")
        place(floor, Life.open())
        async with floor.listening() as listener:
            await listener.subscribe(product_ids=["ETH-USD"])
            assert in_snapshots(await listener.until(1)) == [[first.order_id]]
            place(floor, Life.pending())
            second = place(floor, Life.pending(), product="ETH-USD")
            assert told(frames := await listener.until(1), second) == [("PENDING", "0", "2")]
            assert len(frames) == 1
            await listener.subscribe(product_ids=["BTC-USD"])
            assert [len(batch) for batch in in_snapshots(await listener.until(1))] == [2]
            for product in ("BTC-USD", "ETH-USD"):
                place(floor, Life.pending(), product=product)
            assert len(await listener.until(1)) == 2


@virtually
async def test_who_hears_of_all_products_goes_on_when_he_asks_for_one() -> None:
    async with trading() as floor, floor.listening() as listener:
        await listener.begin()
        await listener.subscribe(product_ids=["ETH-USD"])
        await listener.until(0.1)
        order = place(floor, Life.pending())
        assert told(await listener.until(1), order) == [("PENDING", "0", "2")]


@virtually
async def test_after_unsubscribing_nothing_more_is_told() -> None:
    async with trading() as floor, floor.listening() as listener:
        await listener.begin("user", "heartbeats")
        await listener.unsubscribe()
        (ack,) = await listener.until(0.1)
        assert ack["events"] == [{"subscriptions": {"heartbeats": ["heartbeats"]}}]
        place(floor, Life.filled())
        assert {frame["channel"] for frame in await listener.until(3)} == {"heartbeats"}
        await listener.unsubscribe("heartbeats")
        (ack,) = await listener.until(0.1)
        assert ack["events"] == [{"subscriptions": {}}]
        assert await listener.until(3) == []


@virtually
async def test_one_of_several_products_can_be_unsubscribed() -> None:
    async with trading() as floor, floor.listening() as listener:
        await listener.subscribe(product_ids=["BTC-USD", "ETH-USD"])
        await listener.unsubscribe(product_ids=["BTC-USD"])
        await listener.until(0.1)
        place(floor, Life.pending())
        order = place(floor, Life.pending(), product="ETH-USD")
        assert [each["order_id"] for each in orders_of(await listener.until(1))] == [order.order_id]


@virtually
async def test_other_channels_are_confirmed_and_stay_silent() -> None:
    async with trading() as floor, floor.listening() as listener:
        ack, *more = await listener.begin("futures_balance_summary")
        assert list(ack["events"][0]["subscriptions"]) == ["futures_balance_summary"]
        assert more == await listener.until(5) == []


@pytest.mark.parametrize(
    "message",
    [
        "not json",
        "[]",
        {"type": "hello", "channel": "user"},
        {"type": "subscribe", "channel": "orders"},
        {"type": "subscribe", "channels": ["user", "heartbeats"]},
        {"type": "subscribe", "channel": ["user", "heartbeats"]},
        {"type": "subscribe", "channel": "heartbeats", "product_ids": "BTC-USD"},
    ],
    ids=str,
)
def test_a_message_that_is_none_is_an_error_without_a_channel(message: object) -> None:
    async def main() -> None:
        async with trading() as floor, floor.listening() as listener:
            await listener.send(message)
            error = await listener.next()
            assert (error["type"], set(error)) == ("error", {"type", "message"})
            assert numbers_of(await listener.begin()) == [0, 1]

    run_virtually(main)


# --- Tokens --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": ["retail_rest_api_proxy"], "iss": "coinbase-cloud", "iat": 1},
        {"aud": ["cdp_service"], "iss": "cdp", "iat": 1},
    ],
    ids=["ccxt ec", "ccxt eddsa"],
)
def test_the_tokens_of_other_clients_are_accepted(changes: dict[str, Any]) -> None:
    async def main() -> None:
        async with trading() as floor:
            account = floor.world.open_account("ed25519" if "cdp_service" in str(changes) else "ec")
            token = sign(account, {**stream_claims(account, floor.clock), **changes})
            async with floor.listening(account) as listener:
                await listener.subscribe(jwt=token)
                assert [each["channel"] for each in await listener.until(1)] == [
                    "subscriptions",
                    "user",
                ]

    run_virtually(main)


def wrong_tokens(floor: Floor) -> dict[str, str | None]:
    good = stream_claims(floor.account, floor.clock)
    other = floor.world.open_account()
    late = {**good, "nbf": good["nbf"] - 200, "exp": good["exp"] - 200}
    return {
        "missing": None,
        "empty": "",
        "garbage": "a.b.c",
        "expired": sign(floor.account, late),
        "forged": sign(other, good, kid=floor.account.key.name),
        "issuer": sign(floor.account, {**good, "iss": "me"}),
        "subject": sign(floor.account, {**good, "sub": other.key.name}),
        "nonce": sign(floor.account, good, nonce=""),
        "too long": sign(floor.account, {**good, "exp": good["exp"] + 60}),
    }


@pytest.mark.parametrize(
    "name",
    [
        "missing", "empty", "garbage", "expired", "forged",
        "issuer", "subject", "nonce", "too long",
    ],
)  # fmt: skip
def test_a_wrong_token_is_refused_and_the_connection_closed(name: str) -> None:
    async def main() -> None:
        async with trading() as floor, floor.listening() as listener:
            await listener.subscribe(jwt=wrong_tokens(floor)[name])
            frames, code = await listener.rest()
        assert frames == [{"type": "error", "message": "authentication failure"}]
        assert (code, floor.streams[0].close_code) == (1008, 1008)

    run_virtually(main)


@virtually
async def test_a_key_without_the_right_to_view_is_refused() -> None:
    async with trading() as floor:
        blind = floor.world.open_account(portfolio=floor.account.portfolio)
        floor.world.admit(type(blind)(key=blind.key, portfolio=blind.portfolio, can_view=False))
        async with floor.listening(blind) as listener:
            await listener.subscribe()
            frames, code = await listener.rest()
    assert ([frame["type"] for frame in frames], code) == (["error"], 1008)


@virtually
async def test_heartbeats_need_no_token_but_none_that_is_wrong() -> None:
    async with trading() as floor:
        async with floor.listening() as listener:
            await listener.subscribe("heartbeats", jwt=None)
            assert len(await listener.until(3.5)) == 4
        async with floor.listening() as listener:
            await listener.subscribe("heartbeats", jwt="a.b.c")
            assert (await listener.rest())[1] == 1008


@virtually
async def test_a_token_counts_when_it_is_shown_and_the_stream_outlives_it() -> None:
    async with trading() as floor, floor.listening() as listener:
        await listener.begin("user", "heartbeats")
        frames = await listener.until(3600)
        assert len(frames) >= 3599
        order = place(floor, Life.pending())
        assert told(await listener.until(0.5), order) == [("PENDING", "0", "2")]


# --- Time ----------------------------------------------------------------------------------


@virtually
async def test_who_does_not_subscribe_within_five_seconds_is_put_out() -> None:
    async with trading() as floor, floor.listening() as listener:
        began = floor.clock.monotonic()
        assert await listener.rest() == ([], 1008)
        assert 4.9 < floor.clock.monotonic() - began < 5.1


@pytest.mark.parametrize("seed", range(5))
def test_a_connection_without_updates_is_closed_after_60_to_90_seconds(seed: int) -> None:
    async def main() -> float:
        async with trading(seed=seed) as floor, floor.listening() as listener:
            await listener.begin()
            await floor.clock.sleep(30)
            place(floor, Life.pending())
            began = floor.clock.monotonic()
            _, code = await listener.rest()
            assert code == 1000
            return floor.clock.monotonic() - began

    assert 60 <= run_virtually(main) <= 90.1


@virtually
async def test_heartbeats_come_every_second_and_are_counted() -> None:
    async with trading() as floor, floor.listening() as listener:
        await listener.begin("heartbeats", "user")
        frames = await listener.until(120)

    events = [frame["events"][0] for frame in frames]
    first = events[0]["heartbeat_counter"]
    assert [event["heartbeat_counter"] for event in events] == list(
        range(first, first + len(events))
    )
    assert len(events) in {119, 120}
    assert re.fullmatch(
        rf"2026-11-20 12:00:01\.\d{{9}} \+0000 UTC m=\+{first}\.\d{{9}}", events[0]["current_time"]
    )


@virtually
async def test_all_channels_share_one_sequence_that_begins_at_zero() -> None:
    async with trading() as floor, floor.listening() as listener:
        frames = await listener.begin("heartbeats", "user")
        for _ in range(10):
            place(floor, Life.filled())
        frames += await listener.until(5)
        assert {frame["channel"] for frame in frames} == {"subscriptions", "user", "heartbeats"}
        assert numbers_of(frames) == list(range(len(frames)))
        async with floor.listening() as other:
            assert numbers_of(await other.begin()) == [0, 1]


# --- Updates -------------------------------------------------------------------------------


@virtually
async def test_every_change_is_told_when_it_happens() -> None:
    fills = ((SECOND, Decimal("0.25")), (SECOND * 2, HALF))
    async with trading() as floor, floor.listening() as listener:
        await listener.begin()
        order = place(floor, Life.filled(SECOND * 3, fills=fills))
        frames = await listener.until(10)

    assert told(frames, order) == [
        ("PENDING", "0", "2"),
        ("OPEN", "0", "2"),
        ("OPEN", "0.5", "1.5"),
        ("OPEN", "1.5", "0.5"),
        ("OPEN", "2", "0"),
        ("FILLED", "2", "0"),
    ]
    times = [frame["timestamp"] for frame in frames]
    assert times == sorted(times)
    assert [float(time[17:-1]) - float(times[0][17:-1]) for time in times] == pytest.approx(
        [0, 0.2, 1, 2, 3, 3], abs=0.001
    )
    last = orders_of(frames)[-1]
    assert (last["avg_price"], last["filled_value"], last["total_fees"]) == ("100", "200", "0.8")
    assert (last["number_of_fills"], last["completion_percentage"]) == ("3", "100")


@pytest.mark.parametrize(
    ("life", "end"),
    [
        (Life.canceled(SECOND, share=HALF), "CANCELLED"),
        (Life.expired(SECOND, share=HALF), "EXPIRED"),
        (Life.failed(SECOND, message="no money"), "FAILED"),
    ],
    ids=["canceled", "expired", "failed"],
)
def test_at_the_end_nothing_is_left_whatever_was_filled(life: Life, end: str) -> None:
    async def main() -> None:
        async with trading() as floor, floor.listening() as listener:
            await listener.begin()
            order = place(floor, life)
            frames = await listener.until(5)
        filled = "0" if end == "FAILED" else "1"
        assert told(frames, order)[-1] == (end, filled, "0")
        assert orders_of(frames)[-1]["reject_reason"] == ("no money" if end == "FAILED" else "")

    run_virtually(main)


@virtually
async def test_what_is_left_of_an_order_in_quote_is_in_quote() -> None:
    async with trading() as floor, floor.listening() as listener:
        await listener.begin()
        life = Life.filled(SECOND, fills=((SECOND / 2, HALF),))
        order = place(floor, life, market(quote_size="6438.4"))
        states = told(await listener.until(3), order)

    assert states[0] == ("PENDING", "0", "6438.4")
    assert states[-2][0] == "OPEN"
    assert states[-1] == ("FILLED", "0.1", "0")
    assert states[2] == ("OPEN", "0.05", "3238.4")


@virtually
async def test_a_cancel_request_is_told_as_it_is_queued_and_done() -> None:
    async with trading() as floor, floor.listening() as listener:
        order = place(floor, Life.open())
        await listener.begin()
        await floor.clock.sleep(1)
        await listener.until(0.1)
        async with httpx2.AsyncClient(base_url=floor.url, trust_env=False) as client:
            path = "/orders/batch_cancel"
            claims = claims_of(floor.account, "POST", path, floor.clock.now())
            await client.post(
                PREFIX + path,
                json={"order_ids": [order.order_id]},
                headers={"authorization": f"Bearer {sign(floor.account, claims)}"},
            )
        frames = await listener.until(2)

    assert told(frames, order) == [("CANCEL_QUEUED", "0", "2"), ("CANCELLED", "0", "0")]
    assert orders_of(frames)[-1]["cancel_reason"] == "User requested cancel"


@virtually
async def test_a_refused_cancel_returns_to_open_and_a_fill_may_come_between() -> None:
    async with trading() as floor, floor.listening() as listener:
        life = Life.open(fills=((SECOND, HALF),), refuses_cancel=True)
        order = place(floor, life)
        await floor.clock.sleep(0.8)
        await listener.begin()
        floor.world.cancel(order.order_id)
        frames = await listener.until(5)

    assert [status for status, *_ in told(frames, order)] == [
        "CANCEL_QUEUED", "CANCEL_QUEUED", "OPEN",
    ]  # fmt: skip


@virtually
async def test_what_a_cancel_has_cut_off_is_never_told() -> None:
    async with trading() as floor, floor.listening() as listener:
        await listener.begin()
        order = place(floor, Life.filled(SECOND * 2))
        await floor.clock.sleep(1)
        floor.world.cancel(order.order_id)
        states = told(await listener.until(5), order)

    assert [status for status, *_ in states] == ["PENDING", "OPEN", "CANCEL_QUEUED", "CANCELLED"]


@virtually
async def test_the_last_fee_is_told_when_it_settles() -> None:
    async with trading() as floor, floor.listening() as listener:
        await listener.begin()
        place(floor, Life.filled(SECOND, settle_lag=SECOND * 5, fills_lag=SECOND * 2))
        ends = [each for each in orders_of(await listener.until(9)) if each["status"] == "FILLED"]

    assert [each["total_fees"] for each in ends] == ["0", "0.8"]


@virtually
async def test_a_step_that_changes_nothing_is_not_told() -> None:
    steps = tuple(Step(after=SECOND * n, what=What.OPEN) for n in range(1, 5))
    async with trading() as floor, floor.listening() as listener:
        await listener.begin()
        order = place(floor, Life(steps=steps))
        assert told(await listener.until(9), order) == [("PENDING", "0", "2"), ("OPEN", "0", "2")]


@virtually
async def test_orders_of_the_web_site_are_told_and_those_of_others_are_not() -> None:
    async with trading() as floor, floor.listening() as listener:
        stranger = floor.world.open_account()
        await listener.begin()
        simple = place(floor, Life.pending(), placement_source="RETAIL_SIMPLE")
        place(floor, Life.pending(), portfolio=stranger.portfolio)
        frames = await listener.until(2)
        assert [each["order_id"] for each in orders_of(frames)] == [simple.order_id]


@virtually
async def test_an_order_that_has_a_past_is_told_as_it_stands_and_one_of_the_future_later() -> None:
    async with trading() as floor, floor.listening() as listener:
        await listener.begin()
        now = floor.clock.now()
        old = place(floor, Life.filled(SECOND), created_at=now - timedelta(hours=1))
        coming = place(floor, Life.pending(), created_at=now + SECOND * 2)
        first, later = await listener.until(1), await listener.until(2)

    assert told(first, old) == [("FILLED", "2", "0")]
    assert told(first, coming) == []
    assert told(later, coming) == [("PENDING", "0", "2")]


@virtually
async def test_several_connections_of_one_user_are_told_the_same() -> None:
    async with trading() as floor, floor.listening() as one, floor.listening() as two:
        await one.begin()
        await two.begin()
        order = place(floor, Life.filled())
        assert told(await one.until(2), order) == told(await two.until(2), order)


@virtually
async def test_nothing_between_snapshot_and_updates_is_lost() -> None:
    async with trading() as floor:
        for number in range(300):
            place(floor, Life.filled(SECOND * number / 100))
        await floor.clock.sleep(1)
        async with floor.listening() as listener:
            await listener.subscribe()
            frames = await listener.until(5)
        seen = {order for batch in in_snapshots(frames) for order in batch}
        filled = {each["order_id"] for each in orders_of(frames) if each["status"] == "FILLED"}
        assert filled == seen
        assert 150 < len(filled) < 250


# --- The connection ------------------------------------------------------------------------


@virtually
async def test_every_connection_is_remembered_with_what_was_told() -> None:
    async with trading() as floor:
        async with floor.listening() as listener:
            await listener.begin()
            order = place(floor, Life.pending())
            await listener.until(1)
            assert floor.streams[0].is_open
        await floor.clock.sleep(1)
        (record,) = floor.streams

    assert not record.is_open
    assert (record.close_code, record.refused, record.channels) == (None, None, ("user",))
    assert record.key_name == floor.account.key.name
    assert [(each.channel, each.sequence, each.status) for each in record.told] == [
        ("subscriptions", 0, ""),
        ("user", 1, ""),
        ("user", 2, "PENDING"),
    ]
    assert record.told[-1].order_id == order.order_id
    assert record.frames_sent == 3


@virtually
async def test_a_server_that_leaves_closes_its_streams() -> None:
    async with contextlib.AsyncExitStack() as client:
        async with trading() as floor:
            listener = await client.enter_async_context(floor.listening())
            await listener.begin("user", "heartbeats")
        assert await listener.rest() == ([], 1006)
    assert not floor.streams[0].is_open


@virtually
async def test_there_is_a_stream_at_the_root_alone() -> None:
    async with trading() as floor:
        floor.url += "/stream"
        with pytest.raises(InvalidStatus, match="403"):
            async with floor.listening():
                pass


def test_equal_seeds_give_equal_streams() -> None:
    async def main(seed: int) -> tuple[str, list[tuple[int, str]]]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        async with trading(seed=seed) as floor, floor.listening() as listener:
            await listener.begin("user", "heartbeats")
            for _ in range(30):
                floor.world.place(floor.account.portfolio, "BTC-USD", "SELL", ORDER)
            frames = await listener.until(200)
        said = [(frame["sequence_num"], frame["timestamp"]) for frame in frames]
        return loop.network.digest(), said

    assert run_virtually(partial(main, 3), seed=3) == run_virtually(partial(main, 3), seed=3)
    assert run_virtually(partial(main, 4), seed=4) != run_virtually(partial(main, 3), seed=3)
