"""GET /v2/events/trades: what can be replayed."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from ordersync.simulator.alpaca import Life
from tests.simulator.alpaca.asking import Broker
from tests.simulator.alpaca.streaming import SECOND, trading
from tests.virtual import virtually

if TYPE_CHECKING:
    from tests.simulator.alpaca.streaming import Floor

EVENTS = "/v2/events/trades"


async def heard(floor: Floor, seconds: float, **params: str) -> list[dict[str, Any]]:
    """The events that come within so many seconds."""
    events: list[dict[str, Any]] = []
    headers = floor.account.key.headers
    async with httpx2.AsyncClient(base_url=floor.url, trust_env=False, timeout=60) as client:
        with contextlib.suppress(TimeoutError):
            async with (
                asyncio.timeout(seconds),
                client.stream("GET", EVENTS, params=params, headers=headers) as response,
            ):
                assert response.headers["content-type"].startswith("text/event-stream")
                async for line in response.aiter_lines():
                    events += [json.loads(line[6:])] if line.startswith("data: ") else []
    return events


@virtually
async def test_the_past_comes_first_and_then_the_present() -> None:
    async with trading() as floor:
        began = floor.clock.now().isoformat()
        floor.place(Life.filled(SECOND * 4))
        await floor.clock.sleep(2)

        events = await heard(floor, 5, since=began)

    assert [event["event"] for event in events] == ["pending_new", "new", "fill"]
    ids = [event["event_id"] for event in events]
    assert ids == sorted(ids)
    assert {len(each) for each in ids} == {26}
    assert events[2]["at"] == events[2]["timestamp"]
    assert {event["account_id"] for event in events} == {floor.account.account_id}


@virtually
async def test_without_a_beginning_only_the_present_is_told() -> None:
    async with trading() as floor:
        floor.place(Life.filled(SECOND * 4))
        await floor.clock.sleep(2)

        assert [event["event"] for event in await heard(floor, 5)] == ["fill"]


@virtually
async def test_an_id_leads_on_and_is_told_again() -> None:
    async with trading() as floor:
        began = floor.clock.now().isoformat()
        floor.place(Life.filled())
        floor.place(Life.filled())
        await floor.clock.sleep(2)
        events = await heard(floor, 1, since=began)

        again = await heard(floor, 1, since_id=events[3]["event_id"])
        cut = await heard(floor, 1, since_id=events[1]["event_id"], until_id=events[3]["event_id"])

    assert again == events[3:]
    assert cut == events[1:4]


@virtually
async def test_it_ends_where_it_was_told_to() -> None:
    async with trading() as floor:
        began = floor.clock.now()
        floor.place(Life.filled(SECOND * 4))
        until = (began + SECOND * 2).isoformat()

        events = await heard(floor, 60, since=began.isoformat(), until=until)

        assert [event["event"] for event in events] == ["pending_new", "new"]
        assert floor.clock.now() < began + SECOND * 3


@pytest.mark.parametrize(
    "params",
    [
        {"since": "2026-03-01", "since_id": "0" * 26},
        {"until": "2026-03-01"},
        {"since_id": "not an id"},
    ],
)
async def test_a_query_that_makes_no_sense_is_refused(
    broker: Broker, params: dict[str, str]
) -> None:
    assert (await broker.get(EVENTS, **params)).status_code == 422


async def test_there_may_be_no_such_thing() -> None:
    broker = Broker(options={"events": False})

    assert (await broker.get(EVENTS)).status_code == 404
