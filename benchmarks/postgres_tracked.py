"""ordersync that keeps many open orders verified, as a process of its own whose memory is measured.

`python -m benchmarks.postgres_tracked CONFIG OPEN FILLED` takes what the venue says of an order
from two files, with the order's id in place of ID. It does three full passes: one from nothing, one
in which nothing changed, one in which every hundredth order is filled. Then it prints the most
memory that it ever had, in MB, and waits for its input to end.

It is the service itself with all that the program imports. Only the venue's transport is another:
no request is made or signed, though the HTTP client is there, and no page comes from the network.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

import ordersync.cli.app
import ordersync.cli.commands  # noqa: F401 - what the program itself has in memory
from ordersync import settings as configuration
from ordersync.service import serving
from ordersync.venues.answers import Payload
from ordersync.venues.coinbase.venue import HISTORY, Coinbase

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ordersync.settings import Settings

ID = b"00000000-0000-4000-8000-000000000000"
CHANGED_EACH = 100
KEY = b"""{"can_view": true, "can_trade": false, "can_transfer": false, "portfolio_uuid": "%s"}"""


class Said:
    """Stands where the Reader stands. The bodies are made when they are asked for, and not kept."""

    calls = 0

    def __init__(self, reader: object, opened: bytes, filled: bytes) -> None:
        self.reader = reader
        self._opened, self._filled = opened, filled
        self._portfolio = opened.partition(b'"retail_portfolio_id":"')[2].partition(b'"')[0]
        self.has_changed = False

    async def get(
        self, path: str, query: Sequence[tuple[str, str]] = (), *, public: bool = False
    ) -> Payload:
        """The page of exactly the orders that are asked for."""
        if public:
            return Payload(b'{"epochMillis":"%d"}' % (time.time() * 1000))
        if path != HISTORY:
            return Payload(KEY % self._portfolio)
        orders = (self._order(value) for name, value in query if name == "order_ids")
        return Payload(b'{"orders":[' + b",".join(orders) + b'],"has_next":false,"cursor":""}')

    def _order(self, order: str) -> bytes:
        ended = self.has_changed and int(order[:8], 16) % CHANGED_EACH == 0
        return (self._filled if ended else self._opened).replace(ID, order.encode())

    async def close(self) -> None:
        """There is nothing to give back."""


def most_resident_mb() -> float:
    """The most memory that this process ever had, in MB."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not ru_maxrss: on Linux that is handed on through fork and exec, and is the parent's.
        (line,) = (one for one in status.read_text().splitlines() if one.startswith("VmHWM"))
        return int(line.split()[1]) / (1 << 10)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)


async def passes(settings: Settings, opened: bytes, filled: bytes) -> None:
    """Three of them."""
    async with serving(settings, create=True) as service:
        ((name, reconciler),) = service.reconcilers.items()
        venue = service.venues[name]
        assert isinstance(venue, Coinbase)
        # The transport is what is left out; `verify` measures it.
        said = Said(venue._reader, opened, filled)  # noqa: SLF001
        venue._reader = said  # type: ignore[assignment]  # noqa: SLF001
        await service.check_key(name)
        for has_changed in (False, False, True):
            said.has_changed = has_changed
            report = await reconciler.full_pass(datetime.now(UTC))
            assert len(report.sighted) == report.asked > 0
            assert not report.failed
        assert report.rows_written > 0
        print(most_resident_mb(), flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    config, *files = map(Path, sys.argv[1:])
    asyncio.run(passes(configuration.load(config), *(file.read_bytes() for file in files)))
