"""Where in a venue's history to look for orders that are known by their client id alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ordersync.ports import Known

WINDOW = timedelta(hours=24)


def creation_windows(
    by_client: dict[str, Known],
) -> list[tuple[datetime, datetime, list[str]]]:
    """The creation windows to search, 24 h to both sides of each row; overlapping ones as one."""
    windows: list[tuple[datetime, datetime, list[str]]] = []
    for client_id, known in sorted(
        by_client.items(),
        key=lambda item: item[1].claims[0].created_at or datetime.max.replace(tzinfo=UTC),
    ):
        at = known.claims[0].created_at
        if at is None:
            continue
        if windows and at - WINDOW <= windows[-1][1]:
            start, _, ids = windows[-1]
            windows[-1] = (start, at + WINDOW, [*ids, client_id])
        else:
            windows.append((at - WINDOW, at + WINDOW, [client_id]))
    return windows
