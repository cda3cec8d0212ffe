"""The stream of trade updates as a client sees it: binary, unnumbered, never repeated."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from websockets.exceptions import InvalidStatus

from ordersync.simulator import alpaca
from ordersync.simulator.alpaca import Event, Life, Step
from tests.simulator.alpaca.streaming import (
    LISTEN,
    SECOND,
    Floor,
    events_of,
    trading,
    updates_of,
)
from tests.virtual import run_virtually, virtually

HALF = Decimal("0.5")
AUTHORIZED = {
    "stream": "authorization",
    "data": {"status": "authorized", "action": "authenticate"},
}


@virtually
async def test_a_life_is_told_event_by_event() -> None:
    async with trading() as floor, floor.listening() as listener:
        order_id = floor.place(
            Life.filled(SECOND * 3, fills=((SECOND * 2, HALF),), price=Decimal(149))
        )
        updates = updates_of(await listener.until(5))

    assert [update["event"] for update in updates] == [
        "pending_new",
        "new",
        "partial_fill",
        "fill",
    ]
    assert [update["order"]["status"] for update in updates] == [
        "pending_new",
        "new",
        "partially_filled",
        "filled",
    ]
    assert {update["order"]["id"] for update in updates} == {order_id}
    assert len({update["execution_id"] for update in updates}) == 4
    *_, part, fill = updates
    assert (part["price"], part["qty"], part["position_qty"]) == ("149", "1", "1")
    assert (fill["price"], fill["qty"], fill["position_qty"]) == ("149", "1", "2")
    assert fill["order"]["filled_qty"] == "2"
    assert "price" not in updates[0]


@virtually
async def test_stock_orders_tell_their_times_as_new_york_does() -> None:
    coin = alpaca.limit("BTC/USD", "buy", "1", "60000")
    async with trading() as floor, floor.listening() as listener:
        floor.place(Life.filled())
        floor.place(Life.filled(), coin)
        updates = updates_of(await listener.until(3))

    stock, crypto = (
        next(u["order"]["submitted_at"] for u in updates if u["order"]["symbol"] == symbol)
        for symbol in ("AAPL", "BTC/USD")
    )
    assert stock[-6:] in {"-05:00", "-04:00"}
    assert crypto.endswith("Z")
    assert all(update["timestamp"].endswith("Z") for update in updates)


@virtually
async def test_frames_are_binary() -> None:
    async with trading() as floor, floor.connecting() as listener:
        await listener.send({"action": "authenticate", "data": {}})
        assert isinstance(await listener.connection.recv(), bytes)


@virtually
async def test_frames_may_be_text() -> None:
    async with trading(binary=False) as floor, floor.listening() as listener:
        floor.place(Life.open())
        text = await listener.connection.recv()

    assert isinstance(text, str)
    assert json.loads(text)["data"]["event"] == "pending_new"


@virtually
async def test_frames_are_messagepack_for_those_who_ask() -> None:
    headers = {"content-type": "application/msgpack"}
    async with trading() as floor, floor.connecting(additional_headers=headers) as listener:
        key = floor.account.key
        await listener.send({"action": "auth", "key": key.key_id, "secret": key.secret_key})
        assert msgspec.msgpack.decode(await listener.connection.recv(decode=False)) == AUTHORIZED


# Authentication and listening


def proofs(floor: Floor) -> dict[str, Any]:
    key, token = floor.account.key, floor.world.issue_token(floor.account, trading=False)
    text = token.access_token
    return {
        "older": {
            "action": "authenticate",
            "data": {"key_id": key.key_id, "secret_key": key.secret_key},
        },
        "newer": {"action": "auth", "key": key.key_id, "secret": key.secret_key},
        "token": {"action": "authenticate", "data": {"oauth_token": text}},
        "token as older": {
            "action": "authenticate",
            "data": {"key_id": "oauth", "secret_key": text},
        },
        "token as newer": {"action": "auth", "key": "oauth", "secret": text},
    }


@pytest.mark.parametrize("way", ["older", "newer", "token", "token as older", "token as newer"])
def test_every_way_to_authenticate_is_taken(way: str) -> None:
    async def main() -> None:
        async with trading() as floor, floor.connecting() as listener:
            assert await listener.ask(proofs(floor)[way]) == AUTHORIZED
            assert await listener.ask(LISTEN) == {
                "stream": "listening",
                "data": {"streams": ["trade_updates"]},
            }

    run_virtually(main)


@virtually
async def test_wrong_credentials_are_told_and_may_be_mended() -> None:
    async with trading() as floor, floor.connecting() as listener:
        refused = await listener.ask({"action": "auth", "key": "PKNOBODY", "secret": "x"})
        assert refused == {
            "stream": "authorization",
            "data": {
                "action": "authenticate",
                "status": "unauthorized",
                "message": "access key verification failed",
            },
        }
        assert await listener.authenticate() == AUTHORIZED


@pytest.mark.parametrize("paper", [True, False])
def test_a_key_of_the_other_host_is_a_stranger_to_the_stream(*, paper: bool) -> None:
    async def main() -> None:
        async with trading(paper=paper) as floor:
            other = floor.world.open_account(paper=not paper)
            async with floor.connecting(other) as listener:
                assert (await listener.authenticate())["data"]["status"] == "unauthorized"

    run_virtually(main)


@virtually
async def test_an_expired_token_is_refused() -> None:
    async with trading() as floor, floor.connecting() as listener:
        token = floor.world.issue_token(floor.account, lasts=SECOND)
        await floor.clock.sleep(2)
        proof = {"action": "authenticate", "data": {"oauth_token": token.access_token}}
        assert (await listener.ask(proof))["data"]["status"] == "unauthorized"


@virtually
async def test_nobody_listens_unauthorized() -> None:
    async with trading() as floor, floor.connecting() as listener:
        assert await listener.ask(LISTEN) == {
            "stream": "authorization",
            "data": {"status": "unauthorized", "action": "listen"},
        }
        floor.place(Life.filled())
        assert await listener.until(3) == []


@virtually
async def test_each_listen_replaces_the_one_before() -> None:
    async with trading() as floor, floor.listening() as listener:
        off = await listener.ask({"action": "listen", "data": {"streams": ["account_updates"]}})
        assert off["data"]["streams"] == []
        floor.place(Life.filled())
        assert await listener.until(3) == []
        await listener.ask(LISTEN)
        floor.place(Life.open())
        assert events_of(await listener.until(3)) == ["pending_new", "new"]


@pytest.mark.parametrize("message", ["{", "[]", '{"action": "subscribe"}', '{"action": "listen"}'])
def test_what_makes_no_sense_is_an_error_and_not_the_end(message: str) -> None:
    async def main() -> None:
        async with trading() as floor, floor.connecting() as listener:
            assert (await listener.ask(message))["code"] == 400
            assert await listener.authenticate() == AUTHORIZED

    run_virtually(main)


# What is told and what is not


@virtually
async def test_there_is_no_snapshot_and_no_replay() -> None:
    async with trading() as floor:
        floor.place(Life.open())
        await floor.clock.sleep(1)
        async with floor.listening() as first:
            assert await first.until(3) == []
        order_id = floor.place(Life.filled())
        await floor.clock.sleep(3)
        async with floor.listening() as second:
            assert await second.until(3) == []
        assert floor.world.truth(order_id).status == "filled"


@virtually
async def test_a_life_that_goes_on_is_told_from_where_it_is() -> None:
    async with trading() as floor:
        floor.place(Life.filled(SECOND * 4))
        await floor.clock.sleep(2)
        async with floor.listening() as listener:
            assert events_of(await listener.until(5)) == ["fill"]


@virtually
async def test_another_account_hears_nothing_of_it() -> None:
    async with trading() as floor:
        other = floor.world.open_account()
        async with floor.listening(), floor.listening(other) as listener:
            floor.place(Life.filled())
            assert await listener.until(3) == []


EVERY_EVENT = [
    Event.PENDING_NEW,
    Event.ACCEPTED,
    Event.HELD,
    Event.NEW,
    Event.STOPPED,
    Event.SUSPENDED,
    Event.PARTIAL_FILL,
    Event.PENDING_REPLACE,
    Event.ORDER_REPLACE_REJECTED,
    Event.PENDING_CANCEL,
    Event.ORDER_CANCEL_REJECTED,
    Event.RESTATED,
    Event.DONE_FOR_DAY,
    Event.CALCULATED,
]


@pytest.mark.parametrize(
    "end", [Event.FILL, Event.CANCELED, Event.EXPIRED, Event.REJECTED, Event.REPLACED]
)
def test_every_event_is_told(end: Event) -> None:
    steps = tuple(
        Step(after=SECOND * n, event=event, share=HALF if event is Event.PARTIAL_FILL else None)
        for n, event in enumerate([*EVERY_EVENT, end])
    )

    async def main() -> list[Any]:
        async with trading() as floor, floor.listening() as listener:
            order_id = floor.place(Life(steps=steps))
            frames = await listener.until(20)
            floor.world.happen(order_id, Event.TRADE_CORRECT, price=Decimal(140))
            floor.world.happen(order_id, Event.TRADE_BUST)
            return updates_of(frames + await listener.until(1))

    updates = run_virtually(main)

    told = [update["event"] for update in updates]
    assert told == [*EVERY_EVENT, end, "trade_correct", "trade_bust"]
    timeless = {update["event"] for update in updates if "timestamp" not in update}
    assert timeless == {
        "held",
        "stopped",
        "suspended",
        "order_replace_rejected",
        "order_cancel_rejected",
        "done_for_day",
        "calculated",
    }
    correct, bust = updates[-2:]
    assert correct["execution_id"] == bust["execution_id"]
    assert correct["price"] == "140"


@virtually
async def test_what_is_not_announced_is_not_told() -> None:
    life = Life.of((0, "accepted"), (1, "accepted_for_bidding"), (2, "pending_review"), (3, "new"))
    async with trading() as floor, floor.listening() as listener:
        floor.place(life)
        assert events_of(await listener.until(5)) == ["accepted", "new"]


@virtually
async def test_a_bust_takes_from_the_position() -> None:
    async with trading() as floor, floor.listening() as listener:
        floor.place(Life.filled())
        order_id = floor.place(Life.filled())
        await floor.clock.sleep(2)
        floor.world.happen(order_id, Event.TRADE_BUST)
        *_, bust = updates_of(await listener.until(1))

    assert (bust["event"], bust["qty"], bust["position_qty"]) == ("trade_bust", "2", "2")
    assert (bust["order"]["status"], bust["order"]["filled_at"]) == ("new", None)


@virtually
async def test_a_cancel_is_told_as_asked_for_and_as_done() -> None:
    async with trading() as floor, floor.listening() as listener:
        order_id = floor.place(Life.open())
        await listener.until(1)
        floor.world.cancel(order_id)
        updates = updates_of(await listener.until(1))

    assert [update["event"] for update in updates] == ["pending_cancel", "canceled"]
    assert updates[0]["order"]["cancel_requested_at"] is not None


@virtually
async def test_a_fill_that_a_cancel_came_too_late_for_is_told_after_it() -> None:
    async with trading() as floor, floor.listening() as listener:
        order_id = floor.place(Life.filled(SECOND))
        await listener.until(0.9)
        floor.world.cancel(order_id)

        assert events_of(await listener.until(3)) == ["pending_cancel", "fill"]


@virtually
async def test_a_replacement_is_told_of_both_orders() -> None:
    async with trading() as floor, floor.listening() as listener:
        order_id = floor.place(Life.open())
        await listener.until(1)
        old = floor.world.order(order_id)
        assert old is not None
        heir = floor.world.replace(order_id, old.terms, life=Life.open())
        updates = updates_of(await listener.until(2))

    told = [(update["event"], update["order"]["id"]) for update in updates]
    assert set(told) == {
        ("pending_replace", order_id),
        ("pending_new", heir.order_id),
        ("replaced", order_id),
        ("new", heir.order_id),
    }
    replaced = next(update for update in updates if update["event"] == "replaced")
    assert replaced["order"]["replaced_by"] == heir.order_id


# Connections


@pytest.mark.parametrize("status", [406, 429])
def test_a_second_connection_is_refused_at_its_handshake(status: int) -> None:
    async def main() -> None:
        async with trading(second_connection=status) as floor:
            async with floor.listening():
                with pytest.raises(InvalidStatus) as refused:
                    async with floor.connecting():
                        pass
                assert refused.value.response.status_code == status
            async with floor.listening():
                pass  # the place is free again
            assert [each.refused for each in floor.streams] == [None, status, None]

    run_virtually(main)


@virtually
async def test_a_second_connection_may_be_refused_once_it_says_whose_it_is() -> None:
    async with trading(second_connection="after_auth") as floor, floor.listening() as first:
        async with floor.connecting() as second:
            refused = await second.authenticate()
            assert refused["data"]["message"] == "connection limit exceeded"
            assert (await second.rest())[1] == 1008
        floor.place(Life.open())
        assert events_of(await first.until(1)) == ["pending_new", "new"]


@virtually
async def test_a_handshake_passes_where_it_may_be_somebody_elses() -> None:
    async with trading() as floor:
        floor.world.open_account()
        async with floor.listening(), floor.connecting() as second:
            assert (await second.authenticate())["data"]["status"] == "unauthorized"


@virtually
async def test_a_position_is_that_of_the_moment_whatever_was_asked_before() -> None:
    async with trading() as floor, floor.listening() as listener:
        floor.place(Life.filled())
        sold = alpaca.limit("AAPL", "sell", "5", "150")
        await listener.until(2)
        floor.place(Life.filled(), sold, created_at=floor.clock.now() - SECOND * 60)
        floor.place(Life.filled())
        *_, last = updates_of(await listener.until(2))

    assert last["position_qty"] == "-1"


@virtually
async def test_what_was_said_is_remembered() -> None:
    async with trading() as floor:
        async with floor.listening() as listener:
            order_id = floor.place(Life.filled())
            await listener.until(3)
        await floor.clock.sleep(1)
        (session,) = floor.streams

    assert session.key_name == floor.account.key.key_id
    assert session.channels == ("trade_updates",)
    assert not session.is_open
    told = [each for each in session.told if each.channel == "trade_updates"]
    assert [each.status for each in told] == ["pending_new", "new", "filled"]
    assert {each.order_id for each in told} == {order_id}
