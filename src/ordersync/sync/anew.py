"""What breaks by a mistake of ours begins anew, and takes nothing else with it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from ordersync.errors import OrdersyncError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ordersync.ports import Clock

FIRST_PAUSE = timedelta(seconds=1)
LONGEST_PAUSE = timedelta(minutes=1)
"""So often at most: each time a pass asks for everything, at the cost of the venue's budget."""

log = structlog.get_logger("ordersync")


async def begin_anew(work: Callable[[], Awaitable[None]], *, account: str, clock: Clock) -> None:
    """Do the work of an account; where it breaks, again after a pause that grows with each time.

    An error of ours says what to do, and is raised. Any other is one that nobody thought of, as of
    a cell of our tables that somebody edited: logged with its traceback. It is no answer about an
    order, so none is changed by it; and the other accounts go on.
    """
    pause = FIRST_PAUSE
    while True:
        began = clock.monotonic()
        try:
            return await work()
        except Exception as error:
            # Silence: whatever it was, it is no answer about an order, and changes none.
            if _is_ours(error):
                raise
            if clock.monotonic() - began > LONGEST_PAUSE.total_seconds():
                pause = FIRST_PAUSE
            seconds = f"{pause.total_seconds():.0f} s"
            log.exception(
                f"This account broke; it begins anew in {seconds}. Please report it",
                account=account,
            )
        await clock.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


def _is_ours(error: Exception) -> bool:
    """Whether it is, or holds, an error that says what to do."""
    if isinstance(error, ExceptionGroup):
        return error.subgroup(OrdersyncError) is not None
    return isinstance(error, OrdersyncError)
