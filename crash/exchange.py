"""The simulated exchange on a thread of its own: it never dies, so that it can be the judge."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, TypeVar

from ordersync.clock import SystemClock
from ordersync.simulator import Life, World, app, limit_gtc, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from random import Random

    from ordersync.simulator import Truth

_T = TypeVar("_T")

WITHOUT_LIMIT = 100_000
PRODUCT, SIZE, PRICE = "BTC-USD", "0.8", "63000.5"
PATIENCE = 30.0
STAYS_OPEN = 0.08


class Exchange:
    """One account at an exchange; `url` is where it answers, `key_file` opens it."""

    def __init__(self, folder: Path, *, seed: int = 0) -> None:
        self._world = World(SystemClock().now, seed=seed)
        account = self._world.open_account()
        self._portfolio = account.portfolio
        self.key_file = account.key.write(folder / "coinbase.json")
        self.url = ""
        self._loop = asyncio.new_event_loop()
        self._up, self._over = threading.Event(), asyncio.Event()
        self._thread = threading.Thread(target=self._serve, name="exchange", daemon=True)
        self._thread.start()
        if not self._up.wait(PATIENCE):
            raise TimeoutError("the exchange did not start")

    def _serve(self) -> None:
        async def serve() -> None:
            async with serving(app(self._world, requests_per_second=WITHOUT_LIMIT)) as self.url:
                self._up.set()
                await self._over.wait()

        self._loop.run_until_complete(serve())
        self._loop.close()

    def _there(self, work: Callable[[], _T]) -> _T:
        """Do it on the exchange's own thread: the world is nobody else's to touch."""

        async def on_its_thread() -> _T:
            return work()

        return asyncio.run_coroutine_threadsafe(on_its_thread(), self._loop).result(PATIENCE)

    def place(self, life: Life) -> str:
        """Place an order with this life; its id."""
        order = limit_gtc(SIZE, PRICE)
        return self._there(
            lambda: self._world.place(self._portfolio, PRODUCT, "BUY", order, life=life).order_id
        )

    def cancel(self, order_id: str) -> None:
        """Ask to cancel; in vain where the order has ended."""

        def ask() -> None:
            if not self._world.truth(order_id).final:
                self._world.cancel(order_id)

        self._there(ask)

    def truths(self, order_ids: Sequence[str]) -> dict[str, Truth]:
        """What really is the case with these orders now."""
        return self._there(lambda: {each: self._world.truth(each) for each in order_ids})

    def is_at_rest(self) -> bool:
        """Whether nothing will happen to any order any more."""
        return self._there(lambda: self._world.steady_at() <= self._world.now())

    def close(self) -> None:
        """Leave."""
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(PATIENCE)


def draw_life(chance: Random, within: float) -> Life:
    """Any life that changes something within so many seconds; a few stay open."""
    end = timedelta(seconds=chance.uniform(0.2, within))
    parts = [Decimal(chance.randint(1, 40)) / 100 for _ in range(2)]
    fills = [(end / 3, parts[0]), (end * 2 / 3, parts[1])]
    share = chance.choice((Decimal(0), parts[0]))
    if chance.random() < STAYS_OPEN:
        return Life.open(end / 4, fills=fills)
    lives = (
        Life.filled(end, opens=end / 4),
        Life.filled(end, opens=end / 4, fills=fills),
        Life.canceled(end, share=share),
        Life.expired(end, share=share),
        Life.failed(end),
    )
    return chance.choice(lives)
