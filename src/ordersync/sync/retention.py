"""What moves out of the database: batch after batch, made safe in files before it is deleted.

It never holds anybody up: a batch is one short transaction, the files are written beside the
store's thread, and after each batch others have their turn.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec
import structlog

from ordersync.errors import AskAgain, OrdersyncError
from ordersync.ports import Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from datetime import datetime
    from typing import Protocol

    from ordersync.archived import Archive, Batch, LogSize, Reach
    from ordersync.ports import Clock, OrderStore

    class Walk(Protocol):
        """One of the store's lists of what may move."""

        def __call__(
            self, account: str, *, before: datetime, after: Reach, limit: int
        ) -> Awaitable[Batch]:
            """The next batch."""


FIRST_AFTER = timedelta(minutes=5)
"""When `run` first moves anything: the first passes come before."""

EVERY = timedelta(hours=1)
RETRY = timedelta(minutes=5)
TURN = timedelta(milliseconds=50)
"""The pause after each transaction: a bot that waits for SQLite looks again about this often."""

DELETED_AT_ONCE = 100
"""How many orders one transaction deletes: a bot on SQLite waits for as long as it takes."""

WHOLE_EVERY = 24
"""After how many runs the walk begins anew: what could not move lies at its beginning."""

LARGE = 50_000
"""So many events are worth a word to a person: some 150 MB."""

_START: dict[str, Reach] = {"orders": ("", ""), "events": (-1, -1)}

log = structlog.get_logger("ordersync")


class Moved(msgspec.Struct, kw_only=True):
    """What moved out, or would: `left` changed while it was archived, and is for the next time."""

    orders: int = 0
    events: int = 0
    left: int = 0


class Retention:
    """Moves what ended before a given age, for these accounts."""

    def __init__(
        self,
        accounts: Sequence[str],
        *,
        store: OrderStore,
        archive: Archive,
        clock: Clock,
        batch: int,
    ) -> None:
        self._accounts = accounts
        self._store = store
        self._archive = archive
        self._clock = clock
        self._batch = batch
        self._reached: dict[tuple[str, str], Reach] = {}

    async def run(self, after: timedelta) -> None:
        """Move what is due, hourly; ends only by cancellation. Failures disturb nothing else."""
        await self._clock.sleep(FIRST_AFTER)
        runs = 0
        while True:
            pause = EVERY
            if runs % WHOLE_EVERY == 0:
                self._reached.clear()
            runs += 1
            try:
                moved = await self.move(after, goes_on=True)
                if moved.orders or moved.events:
                    log.info(f"Archived {moved.orders} orders and {moved.events} events")
            except AskAgain as error:
                log.warning(f"Failed to archive: {error}")
                pause = RETRY
            except OrdersyncError as error:
                # A person has to mend it; when it is mended, no restart should be needed.
                log.error(f"Failed to archive: {error}")  # noqa: TRY400 - explained
            await self._clock.sleep(pause)

    async def move(
        self,
        older_than: timedelta,
        *,
        dry_run: bool = False,
        goes_on: bool = False,
        progress: Callable[[Moved], None] | None = None,
    ) -> Moved:
        """Move all that ended so long ago. Raises what store and archive raise.

        With `dry_run` nothing is written; `goes_on` begins where the last walk ended.
        """
        moved, before = Moved(), self._clock.now() - older_than
        walks: dict[str, Walk] = {
            "orders": self._store.list_movable,
            "events": self._store.list_movable_events,
        }
        for account in self._accounts:
            for name, walk in walks.items():
                reach: Reach | None = _START[name]
                if goes_on:
                    reach = self._reached.get((account, name), reach)
                while reach is not None:
                    self._reached[account, name] = reach
                    batch = await walk(account, before=before, after=reach, limit=self._batch)
                    await self._take(account, batch, moved, dry_run=dry_run)
                    reach = batch.reach
                    if progress is not None:
                        progress(moved)
                    if reach is not None:
                        await self._clock.sleep(TURN)
        return moved

    async def _take(self, account: str, batch: Batch, moved: Moved, *, dry_run: bool) -> None:
        gone = list(batch.movable)
        if gone and not dry_run:
            await self._archive.append(batch.lines())
            gone = []
            for n in range(0, len(batch.movable), DELETED_AT_ONCE):
                part = batch.movable[n : n + DELETED_AT_ONCE]
                some = msgspec.structs.replace(batch, movable=part)
                gone += await self._store.move_out(account, some)
                await self._clock.sleep(TURN)
        moved.orders += sum(1 for one in gone if one.order is not None)
        moved.events += sum(len(one.events) for one in gone)
        moved.left += len(batch.movable) - len(gone)


def judge_size(size: LogSize, *, retains: bool) -> Finding:
    """Whether the log has grown so large that a person should know of it."""
    if size.oldest_at is None:
        what = "no event is stored yet."
    else:
        number = f"{'more than ' if size.or_more else ''}{size.events:,}"
        what = f"{number} events are stored, the oldest of {size.oldest_at:%Y-%m-%d}."
    if size.events < LARGE or retains:
        return Finding(severity=Severity.OK, about="events", what=what)
    return Finding(
        severity=Severity.WARNING,
        about="events",
        what=what,
        mend='Let old ones move out: write [retention] and below it after = "90d".',
    )
