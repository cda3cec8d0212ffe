"""What verifying costs this machine: processor time an order, transport and signing included.

Real time is the venue's rate limit and says nothing; whether the calls go out as fast as it
allows is proven in virtual time by the tests.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from benchmarks import exchange
from benchmarks.measure import Line, Options, settle
from ordersync.service import serving

if TYPE_CHECKING:
    from pathlib import Path


async def run(options: Options, folder: Path) -> list[Line]:
    """One pass over open orders, one in a hundred of them filled; then the same pass again."""
    count = options.of(10_000, 1_000)
    lines = []
    async with (
        exchange.elsewhere(folder, count, count // 100) as settings,
        serving(settings, create=True) as service,
    ):
        for what in ("never sighted before", "sighted before"):
            settle()
            start = time.process_time()
            (report,) = await service.sync()
            spent = time.process_time() - start
            assert not report.failed
            verified = len(report.sighted)
            lines.append(
                Line(
                    what=f"processor time an order, {verified:,} verified, {what}",
                    unit="ms",
                    ours=spent * 1e3 / verified,
                )
            )
        (reconciler,) = service.reconcilers.values()
        for remembers in (False, True):
            settle()
            start = time.process_time()
            report = await reconciler.full_pass(datetime.now(UTC))
            spent = time.process_time() - start
            if remembers:
                verified = len(report.sighted)
                what = (
                    f"processor time an order, {verified:,} verified, at rest since the last pass"
                )
                lines.append(Line(what=what, unit="ms", ours=spent * 1e3 / verified))
    return lines
