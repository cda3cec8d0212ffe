"""REST calls per order verified, counted at the exchange.

The floor is min(list, batches) + batches for what the list does not show; Coinbase lists at most
1,000 open orders, so with more of them only batches remain. The two calls that say whose key it
is are made once at the start and once with the first sighting; they are about no order and are
told apart.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from benchmarks import exchange
from benchmarks.measure import Line, Options
from ordersync.service import serving
from ordersync.simulator import serving as simulated
from ordersync.venues.coinbase.venue import Coinbase

if TYPE_CHECKING:
    from pathlib import Path

    from ordersync.simulator.exchange import Served

# Orders in the table, open orders of others in the account, filled orders among the first.
SCENES = (
    (1, 0, 0),
    (60, 0, 0),
    (150, 0, 0),
    (300, 600, 0),
    (900, 0, 50),
    (900, 0, 450),
    (1_200, 0, 0),
    (3_000, 0, 30),
)


async def run(options: Options, folder: Path) -> list[Line]:
    """One pass over each scene, and the worst of them as the verdict."""
    scenes = SCENES[:5] if options.quick else SCENES
    folders = [folder / str(n) for n in range(len(scenes))]
    for one in folders:
        one.mkdir()
    return [await _count(one, *scene) for one, scene in zip(folders, scenes, strict=True)]


async def _count(folder: Path, rows: int, strangers: int, ended: int) -> Line:
    application = exchange.build(folder, rows, ended=ended, strangers=strangers)
    async with simulated(application) as url:
        settings = exchange.configure(folder, url)
        async with serving(settings, create=True) as service:
            (report,) = await service.sync()
    assert len(report.sighted) >= rows
    assert not report.failed
    served: list[Served] = list(application.state.served)
    about_orders = [one for one in served if one.endpoint in {"list", "get", "fills"}]
    at_venue = rows + strangers - ended
    floor = _floor(rows, at_venue, ended)
    goal = 1.1 * floor + 1
    return Line(
        what=f"calls to verify {rows:,} rows; {at_venue:,} open at the venue, {ended:,} not listed",
        unit="calls",
        ours=len(about_orders),
        floor=floor,
        ratio=len(about_orders) / floor,
        goal=f"<= {goal:.1f}",
        met=len(about_orders) <= goal,
        note=f"{len(about_orders) / rows:.4f} an order; {len(served) - len(about_orders)} more"
        " about the account",
    )


def _floor(rows: int, at_venue: int, unlisted: int) -> int:
    batches = ceil(rows / Coinbase.batch_size)
    if at_venue > Coinbase.open_list_cap:
        return batches
    # Asking for all by id needs no second look at what a list would not show.
    listed = ceil(at_venue / Coinbase.list_page_size) + ceil(unlisted / Coinbase.batch_size)
    return min(listed, batches)
