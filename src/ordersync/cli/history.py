"""What is past: the history of an order, wherever it is by now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ordersync import settings as configuration
from ordersync.archived import EVENTS, ORDERS
from ordersync.cli import show
from ordersync.cli.output import Exit
from ordersync.errors import ArchiveRefused, ConfigError
from ordersync.service import build_archive, build_views

if TYPE_CHECKING:
    from ordersync.archived import Archive, Archived
    from ordersync.cli.output import Output
    from ordersync.ports import Match, OrderViews
    from ordersync.truth.model import Event


async def history(output: Output, order: str) -> None:
    """Every recorded change of one order."""
    settings = configuration.load(output.config)
    views, archive = build_views(settings), build_archive(settings)
    matches = await views.find(order)
    if not matches:
        output.fail(
            ConfigError(
                "nothing is known of it: no row, venue order id or client id is that.",
                where=repr(order),
                mend="ordersync audit lists rows with their orders.",
            )
        )
        output.status = Exit.DIFFERENCES
        return
    for match in matches:
        await _tell(output, views, archive, match)


async def _tell(output: Output, views: OrderViews, archive: Archive, match: Match) -> None:
    """One order: what moved out, and where it is; then all events that can be read."""
    events: dict[str, Event] = {}
    notices: list[str] = []
    for moved in await views.archived(match.account, match.key):
        there: list[Event] | None = None
        why = "the file is not there"
        try:
            there = await archive.read_events(moved.place, match.account, match.key)
        except ArchiveRefused as error:
            why = error.what
        events |= {event.id: event for event in there or ()}
        path = archive.path_of(EVENTS, moved.place)
        if output.as_json:
            output.give({"archived": _notice(archive, match, moved, is_read=there is not None)})
        elif there is None:
            notices.append(
                f"  what was recorded before {moved.moved_at:%Y-%m-%d} moved to {path}: {why}"
            )
        else:
            notices.append(f"  {len(there)} of these events are in {path}")
    # What was archived and not deleted any more, because the power went, is in both.
    events |= {event.id: event for event in await views.history(match)}
    if output.as_json:
        for event in events.values():
            output.give(event)
        return
    show.show_history(output, match, list(events.values()), notices)


def _notice(archive: Archive, match: Match, moved: Archived, *, is_read: bool) -> dict[str, object]:
    """Where a part of an order's history is; `events_read` says that its events follow."""
    return {
        "account": match.account,
        "order_key": match.key,
        "moved_at": moved.moved_at,
        "status": moved.side.status if moved.side else None,
        "orders": archive.path_of(ORDERS, moved.place) if moved.side else None,
        "events": archive.path_of(EVENTS, moved.place),
        "events_read": is_read,
    }
