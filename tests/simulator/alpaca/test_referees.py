"""The unmodified official client and ccxt take the simulator for Alpaca.

They live in the environment of `tests/simulator/test_referees`, and run as child processes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ordersync.simulator import Fault, Faults, Kind, alpaca, serving
from ordersync.simulator.alpaca import Life, World
from ordersync.simulator.alpaca.populated import populate
from tests.simulator.asking import Clock
from tests.simulator.children import child_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ordersync.simulator.alpaca import Account

pytestmark = pytest.mark.referee

SCRIPTS = Path(__file__).parents[1] / "referees"
PLENTY = 5000  # requests a minute: a loopback client is faster than the real limit allows
TENTH = timedelta(seconds=0.1)


@dataclass(slots=True)
class Arena:
    """A populated world whose clock stands still, and the clients that are let into it."""

    python: Path
    clock: Clock
    world: World
    account: Account
    key_file: Path
    options: dict[str, Any] = field(default_factory=lambda: {"requests_per_minute": PLENTY})

    async def ask(self, script: str, *words: str, faults: Faults | None = None) -> dict[str, Any]:
        """Run a client against the served world, and read what it printed."""
        async with serving(alpaca.app(self.world, faults, **self.options)) as url:
            line: tuple[str | Path, ...] = (
                self.python,
                SCRIPTS / script,
                url,
                self.key_file,
                *words,
            )
            async with child_of(*line) as child:
                out, err = await child.communicate()
        assert child.returncode == 0, err.decode()
        seen: dict[str, Any] = json.loads(out)
        return seen

    def agrees(self, order: dict[str, Any]) -> None:
        """What a client was told about an order is the truth."""
        truth = self.world.truth(order["id"])
        assert order["status"] == truth.status
        assert Decimal(order["filled_qty"]) == truth.filled_qty
        assert (order["filled_avg_price"] is None) == (truth.avg_price is None)
        assert Decimal(order["filled_avg_price"] or 0) == (truth.avg_price or 0)
        assert order["replaced_by"] == truth.replaced_by

    @property
    def ids(self) -> list[str]:
        """Every id, newest first."""
        return self.world.order_ids(self.account.account_id)[::-1]

    def fills(self, symbol: str | None = None) -> int:
        """How many fills the activities list."""
        orders = [order for each in self.ids if (order := self.world.order(each))]
        return sum(
            len(self.world.condition(order).listed_fills)
            for order in orders
            if order.terms.asset and symbol in {None, order.terms.asset.symbol}
        )


@pytest.fixture
def arena(referees: Path, tmp_path: Path) -> Arena:
    clock = Clock(datetime(2026, 3, 3, 16, tzinfo=UTC))
    world, account = populate(clock.now, 11)
    return Arena(referees, clock, world, account, account.key.write(tmp_path / "key.json"))


async def test_the_official_client_reads_everything_as_it_is(arena: Arena) -> None:
    seen = await arena.ask("alpaca_sdk.py", "read")

    assert seen["account"]["id"] == arena.account.account_id
    assert seen["clock"]["is_open"] is True
    listed = [order for page in seen["pages"] for order in page]
    assert seen["single"] == listed
    for order in listed:
        arena.agrees(order)
    # Paged by time alone, a leg is left out where its family lies across a border.
    assert {order["id"] for order in listed} <= set(arena.ids)
    nested = [order for page in seen["nested"] for order in page]
    family = [each for order in nested for each in (order, *(order["legs"] or ()))]
    assert {order["id"] for order in family} == set(arena.ids)
    closed = {"filled", "canceled", "expired", "rejected", "replaced"}
    assert {o["status"] for page in seen["closed"] for o in page} == closed
    assert not closed & {o["status"] for page in seen["open"] for o in page}
    assert seen["by_client"]["id"] == listed[0]["id"]
    fills = [fill["id"] for page in seen["fills"] for fill in page]
    assert len(fills) == len(set(fills)) == arena.fills()


async def test_the_official_client_reports_refusals_as_its_own_errors(arena: Arena) -> None:
    errors = (await arena.ask("alpaca_sdk.py", "read"))["errors"]

    assert (errors["unknown"]["status"], errors["unknown"]["code"]) == (404, 40410000)
    assert errors["uncancelable"]["status"] == 404


async def test_the_official_client_places_replaces_and_cancels(arena: Arena) -> None:
    seen = await arena.ask("alpaca_sdk.py", "trade")

    assert (seen["limit"]["status"], seen["limit"]["qty"]) == ("pending_new", "2")
    assert [leg["status"] for leg in seen["bracket"]["legs"]] == ["held", "held"]
    assert (seen["coin"]["qty"], seen["coin"]["notional"]) == (None, "100")
    assert seen["duplicate"]["message"] == "client_order_id must be unique"
    assert (seen["dear"]["status"], seen["dear"]["code"]) == (403, 40310000)
    limit, bought = seen["limit"]["id"], seen["coin"]["id"]
    arena.world.live(limit, Life.open())
    arena.clock.go_on(2)

    heir = (await arena.ask("alpaca_sdk.py", "change", limit))["heir"]
    arena.world.live(heir["id"], Life.open())
    arena.clock.go_on(2)
    assert heir["replaces"] == limit
    assert arena.world.truth(limit).replaced_by == heir["id"]

    seen = await arena.ask("alpaca_sdk.py", "cancel", heir["id"])
    assert seen["canceling"]["status"] == "pending_cancel"
    assert len(seen["all"]) > 1
    assert {each["status"] for each in seen["all"]} == {200}
    arena.clock.go_on(2)
    later = await arena.ask("alpaca_sdk.py", "follow", heir["id"], bought)
    assert [order["status"] for order in later.values()] == ["canceled", "filled"]
    arena.agrees(later[bought])


async def test_the_official_client_reads_with_a_token(arena: Arena, tmp_path: Path) -> None:
    token = arena.world.issue_token(arena.account, trading=False)
    arena.key_file = token.write(tmp_path / "token.json")

    later = await arena.ask("alpaca_sdk.py", "follow", arena.ids[0])

    arena.agrees(later[arena.ids[0]])


async def test_the_official_client_meets_faults_as_errors(arena: Arena) -> None:
    faults = Faults([Fault(kind=Kind.SERVER_ERROR, on="cancel")])

    seen = await arena.ask("alpaca_sdk.py", "read", faults=faults)

    assert seen["errors"]["uncancelable"]["status"] == 500


# What ccxt makes of Alpaca's words; the one that it does not know it passes on as it is.
WORDS = {
    "filled": "closed",
    "calculated": "closed",
    "canceled": "canceled",
    "replaced": "canceled",
    "expired": "expired",
    "rejected": "rejected",
    "pending_cancel": "canceling",
    "pending_review": "pending_review",
}


async def test_ccxt_reads_everything_as_it_is(arena: Arena) -> None:
    seen = await arena.ask("ccxt_alpaca.py", "read")

    coins = {
        each
        for each in arena.ids
        if (order := arena.world.order(each))
        and order.terms.asset
        and order.terms.asset.symbol == "BTC/USD"
    }
    assert {order["id"] for order in seen["orders"]} == coins
    for order in seen["single"]:
        arena.agrees(order)
        assert order["ccxt"] == WORDS.get(order["status"], "open")
        assert order["filled"] == float(order["filled_qty"])
    assert len(seen["open"]) + len(seen["closed"]) <= len(coins)
    assert len(seen["trades"]) == min(arena.fills(), 100)
    # An unknown order is no OrderNotFound for this ccxt.
    assert seen["unknown"][0] == "InvalidOrder"


async def test_ccxt_places_and_cancels(arena: Arena) -> None:
    seen = await arena.ask("ccxt_alpaca.py", "trade")

    assert seen["limit"]["client_order_id"] == "ccxt-limit"
    # What nobody can pay looks like an exchange that is away, so a naive client tries again.
    assert (seen["dear"][0], seen["duplicate"][0]) == ("ExchangeNotAvailable", "BadRequest")
    order_id = seen["limit"]["id"]
    arena.world.live(order_id, Life.open())
    arena.clock.go_on(2)

    canceling = (await arena.ask("ccxt_alpaca.py", "cancel", order_id))["canceling"]

    assert (canceling["status"], canceling["ccxt"]) == ("pending_cancel", "canceling")


class Hall:
    """A world whose clock runs, and a client that listens."""

    def __init__(self) -> None:
        self.world = World(lambda: datetime.now(UTC), seed=5)  # noqa: TID251 - as the children's
        self.account = self.world.open_account()

    def place(self) -> str:
        """Buy a coin, which fills in parts within a second."""
        life = Life.filled(TENTH * 8, fills=((TENTH * 5, Decimal("0.25")),))
        wish = alpaca.limit("BTC/USD", "buy", "2", "50000")
        return self.world.place(self.account.account_id, wish, life=life).order_id

    @contextlib.asynccontextmanager
    async def listened_to(
        self, python: Path, folder: Path, script: str, scheme: str, *words: str
    ) -> AsyncIterator[tuple[AsyncIterator[Any], list[Any]]]:
        """Start the client; gives what it prints, line by line, and who is connected."""
        key_file = self.account.key.write(folder / "key.json")
        application = alpaca.app(self.world)
        async with serving(application) as url:
            address = url if scheme == "http" else url.replace("http", "ws") + "/stream"
            line: tuple[str | Path, ...] = (python, SCRIPTS / script, address, key_file, *words)
            async with child_of(*line) as child:
                assert child.stdout
                lines = child.stdout
                yield (json.loads(line) async for line in lines), application.state.streams
                _, err = await child.communicate()
            assert child.returncode == 0, err.decode()

    async def placed_once_somebody_listens(self, streams: list[Any]) -> str:
        """There is no snapshot: what happens before is never told."""
        loop = asyncio.get_running_loop()
        while not any(session.channels for session in streams):
            await loop.run_in_executor(None, lambda: None)  # turns of the loop, and no time
        return self.place()


async def test_the_official_client_hears_a_fill(referees: Path, tmp_path: Path) -> None:
    hall = Hall()
    async with hall.listened_to(referees, tmp_path, "alpaca_stream.py", "ws") as (lines, streams):
        order_id = await hall.placed_once_somebody_listens(streams)
        heard = [update async for update in lines]

    assert [(each["event"], each["qty"], each["position_qty"]) for each in heard] == [
        ("pending_new", None, None),
        ("new", None, None),
        ("partial_fill", 0.5, 0.5),
        ("fill", 1.5, 2.0),
    ]
    assert {each["order"]["id"] for each in heard} == {order_id}
    assert heard[-1]["order"]["filled_qty"] == "2"


async def test_ccxt_watches_an_order_until_it_is_closed(referees: Path, tmp_path: Path) -> None:
    hall = Hall()
    async with hall.listened_to(referees, tmp_path, "ccxt_alpaca.py", "http", "watch") as watched:
        lines, streams = watched
        order_id = await hall.placed_once_somebody_listens(streams)
        seen = [order async for orders in lines for order in orders]

    assert {order["id"] for order in seen} == {order_id}
    assert (seen[-1]["status"], seen[-1]["filled"]) == ("closed", 2)
    assert seen[0]["status"] == "open"
