"""The unmodified official clients take the simulator for the exchange.

They live in an environment of their own, `.venv-referees`, which `./dev referees` makes, and
run as child processes. Without it these tests are skipped, unless ORDERSYNC_DEMAND asks for them.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ordersync.simulator import Fault, Faults, Kind, World, app, serving
from ordersync.simulator.populated import populate
from tests.simulator.asking import Clock
from tests.simulator.children import child_of

if TYPE_CHECKING:
    from ordersync.simulator import Account

pytestmark = pytest.mark.referee

SCRIPTS = Path(__file__).parent / "referees"
PLENTY = 500  # requests a second: a loopback client is faster than the real limit allows


@dataclass(frozen=True, slots=True)
class Arena:
    """A populated world whose clock stands still, as does that of the clients."""

    python: Path
    clock: Clock
    world: World
    account: Account
    key_file: Path

    async def ask(self, script: str, *words: str, faults: Faults | None = None) -> dict[str, Any]:
        """Run a client against the served world, and read what it printed."""
        application = app(self.world, faults, requests_per_second=PLENTY)
        async with serving(application) as url:
            line: tuple[str | Path, ...] = (
                self.python,
                SCRIPTS / script,
                url,
                self.key_file,
                *words,
            )
            standing = {**os.environ, "STANDS_AT": str(self.clock.at.timestamp())}
            async with child_of(*line, env=standing) as child:
                out, err = await child.communicate()
        assert child.returncode == 0, err.decode()
        seen: dict[str, Any] = json.loads(out)
        return seen

    def agrees(self, order: dict[str, Any]) -> None:
        """What a client was told about an order is the truth."""
        truth = self.world.truth(order["order_id"])
        assert order["status"] == truth.status
        assert Decimal(order["filled_size"]) == truth.filled_qty
        assert Decimal(order["average_filled_price"]) == (truth.avg_price or 0)
        assert Decimal(order["total_fees"]) == truth.fee
        assert order["settled"] == truth.settled
        assert order["retail_portfolio_id"] == self.account.portfolio

    @property
    def listed(self) -> list[str]:
        """The ids that a list shows, newest first."""
        ids = reversed(self.world.order_ids(self.account.portfolio))
        placed = [order for each in ids if (order := self.world.order(each))]
        return [o.order_id for o in placed if o.placement_source == "RETAIL_ADVANCED"]

    @property
    def fills(self) -> int:
        ids = self.world.order_ids(self.account.portfolio)
        orders = [order for each in ids if (order := self.world.order(each))]
        return sum(len(self.world.condition(order).listed_fills) for order in orders)


@pytest.fixture(params=["ec", "ed25519"])
def arena(request: pytest.FixtureRequest, referees: Path, tmp_path: Path) -> Arena:
    clock = Clock()
    world, first = populate(clock.now, 11)
    account = first
    if request.param == "ed25519":
        account = world.open_account("ed25519", portfolio=first.portfolio)
    return Arena(referees, clock, world, account, account.key.write(tmp_path / "key.json"))


@pytest.mark.parametrize("host", ["production", "own-host"])
async def test_the_official_client_reads_everything_as_it_is(arena: Arena, host: str) -> None:
    seen = await arena.ask("official_sdk.py", host, "read")

    pages = seen["pages"]
    assert [len(page) for page in pages[:-1]] == [15] * (len(pages) - 1)
    assert [order["order_id"] for page in pages for order in page] == arena.listed
    assert seen["single"] == [order for page in pages for order in page]
    for order in seen["single"]:
        arena.agrees(order)
    assert {o["status"] for page in seen["open"] for o in page} == {"OPEN"}
    assert [o["order_id"] for page in seen["by_ids"] for o in page] == arena.listed[:5]
    assert len(seen["simple"][0]) == 1
    trades = [fill["trade_id"] for page in seen["fills"] for fill in page]
    assert len(trades) == len(set(trades)) == arena.fills
    assert seen["permissions"] == {"can_view": True, "portfolio_uuid": arena.account.portfolio}
    assert seen["time"]["epoch_seconds"] == str(int(arena.clock.at.timestamp()))
    assert seen["accounts"] > 1
    assert seen["products"] > 1


async def test_the_official_client_reports_refusals_as_its_own_errors(arena: Arena) -> None:
    errors = (await arena.ask("official_sdk.py", "production", "read"))["errors"]

    assert {name: error["status"] for name, error in errors.items()} == {
        "mixed": 400,
        "pending": 400,
        "unknown": 404,
        "malformed": 400,
    }
    assert "order with this orderID was not found" in errors["unknown"]["message"]


async def test_the_official_client_places_and_cancels(arena: Arena) -> None:
    seen = await arena.ask("official_sdk.py", "production", "trade")

    assert seen["limit"]["success"] is True
    assert seen["limit"]["success_response"] == seen["replay"]["success_response"]
    assert seen["refused"]["success"] is False
    assert seen["refused"]["error_response"]["error"] == "INVALID_PRODUCT_ID"
    assert [each["success"] for each in seen["cancel"]["results"]] == [True, False]
    assert seen["canceling"]["status"] == "CANCEL_QUEUED"
    limit, bought = (seen[each]["success_response"]["order_id"] for each in ("limit", "market"))

    arena.clock.go_on(2)
    later = await arena.ask("official_sdk.py", "own-host", "follow", limit, bought)

    assert (later[limit]["status"], later[bought]["status"]) == ("CANCELLED", "FILLED")
    arena.agrees(later[bought])


async def test_the_official_client_meets_faults_as_errors(arena: Arena) -> None:
    faults = Faults([Fault(kind=Kind.TOO_MANY, on="get", after=len(arena.listed), count=1)])

    errors = (await arena.ask("official_sdk.py", "production", "read", faults=faults))["errors"]

    assert errors["unknown"]["status"] == 429
    assert "rate_limit_exceeded" in errors["unknown"]["message"]


# What ccxt makes of Coinbase's words; those that it does not know it passes on as they are.
WORDS = {"OPEN": "open", "FILLED": "closed"} | dict.fromkeys(
    ("CANCELLED", "EXPIRED", "FAILED"), "canceled"
)


async def test_ccxt_reads_everything_as_it_is(arena: Arena) -> None:
    seen = await arena.ask("ccxt_client.py", "read")

    orders = [order for page in seen["pages"] for order in page]
    # Orders of the same millisecond change places: ccxt sorts each page by its own idea of time.
    assert sorted(order["order_id"] for order in orders) == sorted(arena.listed)
    assert sorted(o["order_id"] for o in seen["paginated"]) == sorted(arena.listed)
    for order in seen["single"]:
        arena.agrees(order)
        assert order["ccxt"] == WORDS.get(order["status"], order["status"])
        assert order["filled"] == float(order["filled_size"])
    assert {order["status"] for order in seen["open"]} == {"OPEN"}
    assert {order["status"] for order in seen["closed"]} == {"FILLED"}
    assert {order["status"] for order in seen["canceled"]} == {"CANCELLED"}
    assert len(seen["trades"]) == arena.fills
    assert seen["time"] == int(arena.clock.at.timestamp()) * 1000


async def test_ccxt_reports_refusals_as_its_own_errors(arena: Arena) -> None:
    errors = (await arena.ask("ccxt_client.py", "read"))["errors"]

    # An unknown order is no OrderNotFound for this ccxt; its table has the message wrong.
    assert errors["unknown"][0] == "ExchangeError"
    assert errors["malformed"][0] == "BadRequest"


async def test_ccxt_places_and_cancels(arena: Arena) -> None:
    seen = await arena.ask("ccxt_client.py", "trade")

    assert "InsufficientFunds" in seen["refused"]
    assert "BadRequest" in seen["cancel_unknown"]
    assert seen["cancel"]["success"] is True
    assert seen["canceling"]["status"] == "CANCEL_QUEUED"

    arena.clock.go_on(2)
    later = await arena.ask("ccxt_client.py", "follow", seen["limit"], seen["market"])

    assert later[seen["limit"]]["status"] == "CANCELLED"
    assert later[seen["market"]]["status"] == "FILLED"
    arena.agrees(later[seen["market"]])
