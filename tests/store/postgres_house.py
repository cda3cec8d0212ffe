"""A PostgreSQL database with a table that somebody else made, and stores on it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psycopg

from ordersync.store.makes.postgres import PostgresServer
from ordersync.store.table_store import TableStore
from ordersync.truth.model import Status
from tests.contracts.bench import NOON, PAUSE, HandClock, ingest_one, mapped, said
from tests.contracts.postgres_bench import PostgresBench

if TYPE_CHECKING:
    from collections.abc import Callable

    from ordersync.ports import Outcome
    from ordersync.settings import Orders
    from ordersync.truth.model import Report
    from tests.servers.place import Server

COLUMNS = {
    "id": "bigint PRIMARY KEY",
    "order_id": "text UNIQUE",
    "client_id": "text",
    "product_id": "text",
    "status": "text NOT NULL",
    "created_at": "timestamptz DEFAULT now()",
    "filled_at": "timestamptz",
    "updated_at": "timestamptz",
    "filled_size": "numeric(28,8)",
    "avg_price": "numeric",
    "fee": "numeric",
    "reason": "text",
    "bot": "text",
}


def made(name: str = "trades", *constraints: str, after: str = "", **columns: str) -> str:
    """CREATE TABLE with these types of columns, the others as they mostly are."""
    parts = [f"{column} {kind}" for column, kind in {**COLUMNS, **columns}.items()]
    return f"CREATE TABLE {name} ({', '.join([*parts, *constraints])}){after}"


class House(PostgresBench):
    """One database, roles of its own, and the stores that a test opens on it."""

    def __init__(self, server: Server, door: Server | None = None) -> None:
        super().__init__(server, door)
        self.name = urlsplit(self.url).path.lstrip("/")
        self.clock = HandClock()
        self._stores: list[TableStore] = []
        self._roles: list[str] = []

    def ask(self, text: str, *arguments: object) -> Any:  # noqa: ANN401 - whatever the cell holds
        """The one cell of a statement's answer."""
        ((cell,),) = self.run(text, *arguments)
        return cell

    def role(self, *texts: str, options: str = "") -> str:
        """A role that may log in; `{}` in the statements is its name. Its URL."""
        role = f"{self.name}_{len(self._roles)}"
        self._roles.append(role)
        self.run(f"CREATE ROLE {role} LOGIN {options}")
        for text in texts:
            self.run(text.replace("{}", role))
        return self.url_of(role)

    def url_of(self, role: str, password: str = "") -> str:
        parts = urlsplit(self.store_url)
        secret = f":{password}" if password else ""
        return parts._replace(netloc=f"{role}{secret}@{parts.netloc.rpartition('@')[2]}").geturl()

    def new_store(
        self, orders: Orders | None = None, url: str | None = None, *, writes_rows: bool = True
    ) -> TableStore:
        """A store that is not open yet."""
        store = TableStore(
            PostgresServer(url or self.store_url),
            orders or mapped(),
            self.clock,
            where="ordersync.toml",
            contested_pause=PAUSE,
            writes_rows=writes_rows,
        )
        self._stores.append(store)
        return store

    async def open(
        self, orders: Orders | None = None, url: str | None = None, *, create: bool = True
    ) -> TableStore:
        """An open store."""
        store = self.new_store(orders, url)
        await store.open(create=create)
        return store

    async def aclose(self) -> None:
        for store in self._stores:
            await store.close()
        await asyncio.to_thread(self.close)

    def close(self) -> None:
        with suppress(psycopg.Error):
            self.run(f'ALTER DATABASE "{self.name}" RESET ALL')
        super().close()
        with psycopg.connect(self._server.place.url, autocommit=True) as connection:
            for role in self._roles:
                connection.execute(f"DROP ROLE {role}".encode())


def filled(order: str = "v1", **more: Any) -> Report:  # noqa: ANN401 - fields of a report
    """A whole fill, said at noon."""
    fields = {"filled": "0.5", "avg_price": "64123.45", "fee": "1.25", "last_fill_at": NOON}
    return said(order, Status.FILLED, **{**fields, **more})


async def told(store: TableStore, report: Report) -> Outcome:
    """Read, merge, advance one order."""
    return await ingest_one(store, report)


def in_thread(work: Callable[[], object]) -> asyncio.Future[object]:
    """A bot of its own."""
    return asyncio.get_running_loop().run_in_executor(None, work)
