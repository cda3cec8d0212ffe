"""What was told to whom, in `ordersync_alerts`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ordersync.store.statement import Ask, Upsert

if TYPE_CHECKING:
    from ordersync.store.aside import Aside
    from ordersync.store.database import Session
    from ordersync.store.own import OwnStatements

_ALERT = Upsert(
    table="alerts",
    columns={"name": False, "body": False},
    key=("name",),
    updates=("body",),
)


class ToldLog:
    """Implements `alerted.AlertLog`."""

    def __init__(self, aside: Aside) -> None:
        self._aside = aside

    async def read(self) -> dict[str, bytes]:
        """Everything that was kept, by name."""

        def look(session: Session, own: OwnStatements) -> list[tuple[str, bytes]]:
            rows = session.fetch(Ask(f"SELECT name, body FROM {own.table('alerts')}"))
            return [(name, body.encode()) for name, body in rows]

        return dict(await self._aside.read(look, "alerts"))

    async def keep(self, name: str, body: bytes) -> None:
        """Keep this under a name, in place of what was there."""

        def put(session: Session, own: OwnStatements) -> None:
            into = msgspec.structs.replace(_ALERT, table=own.table("alerts"))
            session.upsert(into, [(name, body.decode())])

        await self._aside.write(put)
