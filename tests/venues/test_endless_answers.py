"""Answers that never come to their end, and headers that lead nowhere: silence, and soon."""

from __future__ import annotations

import asyncio
import itertools
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from tests.venues.exchange import BATCH, FILLS, exchange, scripted
from tests.venues.payloads import text
from tests.virtual import run_virtually, virtually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.types import ASGIApp, Receive, Scope, Send

    from ordersync.truth.evidence import Reading

Page = dict[str, Any]


def silent(reading: Reading, order: str) -> bool:
    told = reading.sightings or reading.absences
    return not told and order in [name for one in reading.silences for name in one.orders]


def answering(path: str, answer: Callable[[Send], Any]) -> Callable[[ASGIApp], ASGIApp]:
    """A door that answers one path by itself."""

    def door(inner: ASGIApp) -> ASGIApp:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http" and scope["path"] == path:
                await answer(send)
            else:
                await inner(scope, receive, send)

        return app

    return door


async def begin(send: Send, status: int = 200, **headers: str) -> None:
    listed = [(name.replace("_", "-").encode(), told.encode()) for name, told in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": listed})


@virtually
async def test_an_answer_that_drips_is_given_up_although_each_drop_comes_in_time() -> None:
    async def drip(send: Send) -> None:
        await begin(send)
        while True:
            await send({"type": "http.response.body", "body": b" ", "more_body": True})
            await asyncio.sleep(5)  # noqa: TID251 - virtual time

    async with exchange(door=answering(BATCH, drip)) as at:
        order, began = at.place(), at.clock.monotonic()
        assert silent(await at.venue.ask_ids([order]), order)
        assert at.clock.monotonic() - began < 120


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (302, {"location": "//:80"}),
        (308, {"location": "//:80"}),
        (429, {"retry_after": "Fri, 31 Dec 99999999999 23:59:59 GMT"}),
        (503, {"retry_after": "Fri, 31 Dec 99999999999 23:59:59 GMT"}),
        (401, {"retry_after": "Fri, 31 Dec 99999999999 23:59:59 GMT"}),
    ],
)
def test_a_header_that_makes_no_sense_is_silence(status: int, headers: dict[str, str]) -> None:
    async def answer(send: Send) -> None:
        await begin(send, status, **headers)
        await send({"type": "http.response.body", "body": b""})

    async def main() -> None:
        async with exchange(door=answering(BATCH, answer)) as at:
            order = at.place()
            assert silent(await at.venue.ask_ids([order]), order)

    run_virtually(main)


def pages(kind: str) -> Iterator[Page]:
    order = msgspec.json.decode(text("open"))
    shown = {"nothing": [], "one order": [order], "what has no id": [{"status": "OPEN"}]}
    for n in itertools.count():
        cursor = "ab"[n % 2] if kind == "a circle" else str(n)
        yield {"orders": shown.get(kind, [order]), "has_next": True, "cursor": cursor}


@pytest.mark.parametrize("kind", ["a circle", "nothing", "one order", "what has no id"])
def test_pages_that_lead_on_to_nothing_new_are_a_list_without_an_end(kind: str) -> None:
    async def main() -> None:
        turned = pages(kind)

        async def answer(send: Send) -> None:
            await begin(send)
            await send({"type": "http.response.body", "body": json.dumps(next(turned)).encode()})

        async with exchange(door=answering(BATCH, answer)) as at:
            reading = await at.venue.ask_ids([stranger := at.strangers(1)[0]])
            assert reading.absences == ()
            assert any("without an end" in one.why for one in reading.silences)
            assert stranger in [name for one in reading.silences for name in one.orders]

    run_virtually(main)


@pytest.mark.parametrize("ids", [True, False], ids=["with ids", "without ids"])
def test_fills_whose_cursors_lead_in_a_circle_are_not_counted(ids: bool) -> None:  # noqa: FBT001
    async def main() -> None:
        listed = msgspec.json.decode(text("fills"))["fills"]
        if not ids:
            for fill in listed:
                del fill["entry_id"], fill["trade_id"]
        circle = [{"fills": listed, "cursor": cursor} for cursor in "abababab"]
        async with scripted(fills=[*circle]) as (venue, script):
            order = listed[0]["order_id"]
            assert silent(await venue.ask_fills([order]), order)
            assert len(script.queries) == 2
            assert script.queries[0][0] == FILLS

    run_virtually(main)


def test_a_barren_page_or_two_are_no_end_of_a_list() -> None:
    async def main() -> None:
        order = msgspec.json.decode(text("open"))
        turned = iter(
            [
                {"orders": [], "has_next": True, "cursor": "1"},
                {"orders": [], "has_next": True, "cursor": "2"},
                {"orders": [order], "has_next": False, "cursor": ""},
            ]
        )

        async def answer(send: Send) -> None:
            await begin(send)
            await send({"type": "http.response.body", "body": json.dumps(next(turned)).encode()})

        async with exchange(door=answering(BATCH, answer)) as at:
            reading = await at.venue.ask_ids([order["order_id"]])
            assert [one.report.venue_order_id for one in reading.sightings] == [order["order_id"]]

    run_virtually(main)


def test_two_fills_that_are_alike_but_have_no_ids_are_two() -> None:
    async def main() -> None:
        listed = msgspec.json.decode(text("fills"))["fills"][:1]
        del listed[0]["entry_id"], listed[0]["trade_id"]
        size = Decimal(listed[0]["size"])
        async with scripted(fills=[{"fills": listed * 2, "cursor": ""}]) as (venue, _):
            (sighting,) = (await venue.ask_fills([listed[0]["order_id"]])).sightings
            assert sighting.report.filled_qty == 2 * size

    run_virtually(main)
