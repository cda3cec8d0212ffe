"""The exchange for a person: a folder with a key and a configuration, and a populated world.

This is the simulator's own composition root, and the only place in it that reads the real clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from ordersync.simulator import alpaca
from ordersync.simulator.alpaca.populated import populate as populate_alpaca
from ordersync.simulator.coinbase_rest import app
from ordersync.simulator.faults import Faults
from ordersync.simulator.populated import populate
from ordersync.simulator.server import serve

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from starlette.types import ASGIApp

CONFIGURATION = "ordersync.toml"

_SIGNATURE = "# Written by `ordersync simulator`, which writes it anew at each start."
_TEMPLATE = """\
{signature}
# The exchange behind it is simulated. Copy what you need; do not put a real key next to it.

[database]
url = "sqlite:///bot.db"

[orders]
table = "trades"
id = "id"
venue_order_id = "order_id"
status = "status"
created_at = "created_at"
filled_at = "filled_at"
fee = "fee"
symbol = "{symbol}"
side = "side"
owner = "bot_id"
account = "main"

[orders.status_words]
pending = ["open"]
open = ["open"]
completed = ["filled", "canceled+fills"]
cancelled = ["canceled"]
failed = ["rejected", "expired", "replaced"]

[accounts.main]
venue = "{venue}"
{paper}key_file = "{key_file}"
rest_url = "{url}"
ws_url = "{ws_url}"
"""


class Venue(StrEnum):
    """Whom the simulated exchange takes after."""

    COINBASE = "coinbase"
    ALPACA = "alpaca"

    @property
    def key_file(self) -> str:
        """Name the file that the key is written to."""
        return f"{self}.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """Where the exchange is, and what was written for its visitors."""

    url: str
    ws_url: str
    key_file: Path
    configuration: Path
    orders: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Populated:
    """A world with something in it, ready to be served."""

    application: ASGIApp
    key: _Key
    stream: str
    orders: int


class _Key(Protocol):
    def write(self, path: Path) -> Path: ...


async def run(
    directory: Path,
    seed: int,
    faults: Path | None,
    port: int,
    ready: Callable[[Ready], None],
    *,
    venue: Venue = Venue.COINBASE,
) -> None:
    """Serve a populated world until cancelled; `ready` is told once it accepts connections.

    Raises ValueError for a fault file that makes no sense, and FileExistsError where the folder
    holds a configuration or a key that somebody else wrote.
    """
    schedule = Faults() if faults is None else Faults.load(faults)
    configuration, key_file = directory / CONFIGURATION, directory / venue.key_file
    _refuse_strangers(configuration, key_file)
    world = _populated(venue, seed, schedule)

    def announce(url: str) -> None:
        # Only now is the port known, so only now can the configuration name it.
        directory.mkdir(parents=True, exist_ok=True)
        world.key.write(key_file)
        ws_url = url.replace("http", "ws", 1) + world.stream
        text = _TEMPLATE.format(
            signature=_SIGNATURE,
            venue=venue,
            paper="paper = true\n" if venue is Venue.ALPACA else "",
            symbol="symbol" if venue is Venue.ALPACA else "product_id",
            key_file=key_file.name,
            url=url,
            ws_url=ws_url,
        )
        configuration.write_text(text, encoding="utf-8")
        ready(
            Ready(
                url=url,
                ws_url=ws_url,
                key_file=key_file,
                configuration=configuration,
                orders=world.orders,
            )
        )

    await serve(world.application, port=port, ready=announce)


def _populated(venue: Venue, seed: int, faults: Faults) -> _Populated:
    if venue is Venue.ALPACA:
        paper, trader = populate_alpaca(_now, seed)
        return _Populated(
            application=alpaca.app(paper, faults),
            key=trader.key,
            stream="/stream",
            orders=len(paper.order_ids(trader.account_id)),
        )
    world, account = populate(_now, seed)
    return _Populated(
        application=app(world, faults),
        key=account.key,
        stream="",
        orders=len(world.order_ids(account.portfolio)),
    )


def _now() -> datetime:
    return datetime.now(UTC)


def _refuse_strangers(configuration: Path, key_file: Path) -> None:
    """Leave a folder alone that is in use for a real account."""
    if configuration.exists():
        if configuration.read_text(encoding="utf-8").startswith(_SIGNATURE):
            return
        raise FileExistsError(
            f"{configuration} was not written by the simulator; choose another folder."
        )
    if key_file.exists():
        raise FileExistsError(
            f"{key_file} was not written by the simulator; choose another folder."
        )
