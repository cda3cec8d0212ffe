"""The unmodified official clients take the simulator's WebSocket for the exchange's.

See `test_referees`. Here the world's clock runs, and so does the children's.
"""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ordersync.simulator import Life, World, app, limit_gtc, serving
from tests.simulator.children import child_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ordersync.simulator.condition import PlacedOrder

pytestmark = pytest.mark.referee

SCRIPTS = Path(__file__).parent / "referees"
FILLS = Life.filled(
    timedelta(seconds=3), fills=((timedelta(seconds=1.5), Decimal("0.25")),)
)  # fmt: skip


class Hall:
    """A world, one order that rests in it, and a client that listens."""

    def __init__(self) -> None:
        self.world = World(lambda: datetime.now(UTC), seed=5)  # noqa: TID251 - as the children's
        self.account = self.world.open_account()
        self.resting = self.place(Life.open(timedelta()))

    def place(self, life: Life) -> PlacedOrder:
        configuration = limit_gtc("2", "50000")
        portfolio = self.account.portfolio
        return self.world.place(portfolio, "BTC-USD", "BUY", configuration, life=life)

    @contextlib.asynccontextmanager
    async def listened_to(
        self, python: Path, script: str, folder: Path
    ) -> AsyncIterator[AsyncIterator[Any]]:
        """Start the client; gives what it prints, line by line."""
        key_file = self.account.key.write(folder / "key.json")
        async with serving(app(self.world)) as url:
            address = url.replace("http", "ws")
            async with child_of(python, SCRIPTS / script, address, key_file) as child:
                assert child.stdout
                lines = child.stdout
                yield (json.loads(line) async for line in lines)
                _, err = await child.communicate()
            assert child.returncode == 0, err.decode()


async def test_the_official_client_hears_the_snapshot_and_then_a_fill(
    referees: Path, tmp_path: Path
) -> None:
    hall, order = Hall(), None
    heard: list[dict[str, Any]] = []
    async with hall.listened_to(referees, "official_stream.py", tmp_path) as lines:
        async for message in lines:
            heard.append(message)
            if order is None and message["channel"] == "user":
                assert [row["order_id"] for row in message["events"][0]["orders"]] == [
                    hall.resting.order_id
                ]
                order = hall.place(FILLS)

    assert [message["sequence_num"] for message in heard] == list(range(len(heard)))
    updates = [
        row
        for message in heard
        for event in message["events"]
        if event.get("type") == "update"
        for row in event["orders"]
    ]
    assert [(row["status"], row["cumulative_quantity"]) for row in updates] == [
        ("PENDING", "0"),
        ("OPEN", "0"),
        ("OPEN", "0.5"),
        ("OPEN", "2"),
        ("FILLED", "2"),
    ]
    assert order is not None
    assert {row["order_id"] for row in updates} == {order.order_id}


async def test_ccxt_watches_an_order_until_it_is_closed(referees: Path, tmp_path: Path) -> None:
    hall, order = Hall(), None
    seen: dict[str, list[tuple[str, float]]] = {}
    async with hall.listened_to(referees, "ccxt_stream.py", tmp_path) as lines:
        async for orders in lines:
            for each in orders:
                seen.setdefault(each["id"], []).append((each["status"], each["filled"]))
            if order is None:
                order = hall.place(FILLS)
            elif seen.get(order.order_id, [None])[-1] == ("open", 2):
                # FILLED came before it watched again. It is in its cache, and surfaces with the
                # next frame whatever that is about: a trap of this client, not of the exchange.
                hall.place(Life.pending())

    assert order is not None
    assert seen[hall.resting.order_id] == [("open", 0)]
    assert seen[order.order_id][-1] == ("closed", 2)
    assert ("open", 0.5) in seen[order.order_id]
