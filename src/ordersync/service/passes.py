"""Passes that somebody asks for while the service runs: all accounts now, or the old rows once."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from ordersync.sync.work import PassReport
from ordersync.web.api.faces import Changed, Cleaned

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ordersync.sync.audit import Audit
    from ordersync.sync.owner import Owner
    from ordersync.sync.reconcile import Reconciler

PATIENCE = timedelta(seconds=60)
"""How long whoever asks waits for the end of a pass."""


class Passing(Protocol):
    """As much of a service as this needs. `troubles`: by account why it cannot be asked."""

    reconcilers: dict[str, Reconciler]
    troubles: dict[str, str]
    owners: dict[str, Owner]

    async def sync(
        self, *, older_than: timedelta | None = None, accept_absent: bool = False
    ) -> list[PassReport]:
        """A pass over the rows that are this old."""

    async def preview(self, *, older_than: timedelta | None = None) -> list[Audit]:
        """What it would write."""


class Passes:
    """Implements `web.api.faces.Passes`."""

    def __init__(self, service: Passing) -> None:
        self._service = service

    async def verify_all(self) -> Sequence[PassReport]:
        """The next full pass of every account; who asks at the same time shares it."""
        names = list(self._service.reconcilers)
        return await asyncio.gather(*(self._next_pass(name) for name in names))

    async def _next_pass(self, account: str) -> PassReport:
        why = self._service.troubles.get(account)
        if not why:
            try:
                async with asyncio.timeout(PATIENCE.total_seconds()):
                    return await self._service.owners[account].next_pass()
            except TimeoutError:
                why = f"no pass ended within {PATIENCE.seconds} s"
        return PassReport(account=account, troubles={why: None}, failed={account: why})

    async def clean_up(self, older_than: timedelta, *, accept_absent: bool) -> Cleaned:
        """What `ordersync cleanup` does: verify and repair old open rows, once."""
        reports = await self._service.sync(older_than=older_than, accept_absent=accept_absent)
        return Cleaned(
            written=[
                (report.account, outcome.key[2:])
                for report in reports
                for outcome in report.outcomes
                if outcome.rows_written
            ],
            failed={name: why for report in reports for name, why in report.failed.items()},
        )

    async def preview(self, older_than: timedelta) -> Cleaned:
        """What that would write."""
        audits = await self._service.preview(older_than=older_than)
        return Cleaned(
            changes=[
                Changed(
                    account=audit.account,
                    row_id=row.row_id,
                    column=row.column,
                    stored=_text(row.table_says),
                    true=_text(row.venue_says),
                )
                for audit in audits
                for row in audit.rows
                if row.row_id is not None and row.column is not None
            ],
            failed={name: why for audit in audits for name, why in audit.failed.items()},
        )


def _text(cell: object) -> str | None:
    return None if cell is None else str(cell)
