"""A bot that trades at Alpaca: its folder, its table in plain SQL, and how its owner runs us."""

from __future__ import annotations

import json
import textwrap
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, cast
from uuid import uuid4

from tests.acceptance.house import PATIENCE, House, ago, naive, now

if TYPE_CHECKING:
    from pathlib import Path

    from tests.acceptance.alpaca_stub import Stub
    from tests.acceptance.house import Running, Said

STATUSES: Final = (
    *("pending_new", "accepted", "new", "partially_filled", "filled", "canceled", "expired"),
    *("rejected", "replaced", "held", "pending_review", "accepted_for_bidding", "stopped"),
    *("suspended", "calculated", "done_for_day", "pending_cancel", "pending_replace"),
)
TABLE: Final = """
CREATE TABLE orders (
    id INTEGER PRIMARY KEY,
    strategy TEXT NOT NULL DEFAULT 'momentum',
    client_order_id TEXT UNIQUE,
    broker_order_id TEXT,
    symbol TEXT,
    side TEXT,
    qty NUMERIC(18, 9),
    notional NUMERIC(18, 2),
    status TEXT NOT NULL DEFAULT 'pending_new',
    submitted_at TIMESTAMP NOT NULL,
    filled_at TIMESTAMP,
    filled_qty NUMERIC(18, 9),
    filled_avg_price NUMERIC(18, 6)
)
"""


class AlpacaHouse(House):
    """One folder with such a bot in it."""

    def __init__(self, folder: Path, stub: Stub) -> None:
        # A House asks of an exchange its key, its address and no more.
        super().__init__(folder, cast("Any", stub))
        self.broker = stub

    def __post_init__(self) -> None:
        super().__post_init__()
        self.key_file.unlink()
        self.key_file = self.folder / "alpaca.json"
        self.save_key()

    def save_key(self) -> None:
        self.key_file.write_text(self.stub.key.as_file())
        self.key_file.chmod(0o600)

    # -- the bot's side

    def create(self) -> None:
        """The table, with a past long closed."""
        self.sql(TABLE)
        for word in ("filled", "canceled", "expired", "rejected", "replaced"):
            self.writes(broker_order_id=str(uuid4()), status=word, submitted_at=ago(days=90))

    def writes(self, **columns: Any) -> int:  # noqa: ANN401 - the table's own columns
        columns = {"submitted_at": now(), "symbol": "AAPL", "side": "buy", **columns}
        values = [
            naive(value).isoformat(" ") if isinstance(value, datetime) else value
            for value in columns.values()
        ]
        names, marks = ", ".join(columns), ", ".join("?" * len(columns))
        statement = f"INSERT INTO orders ({names}) VALUES ({marks}) RETURNING id"  # noqa: S608
        return int(self.sql(statement, *values)[0][0])

    def stands(
        self,
        *,
        row: dict[str, Any] | None = None,
        **order: Any,  # noqa: ANN401 - the order's own keywords
    ) -> tuple[int, dict[str, Any]]:
        """An order at the broker, and the bot's row about it as it was sent: pending_new."""
        order.setdefault("created", ago(hours=2))
        made = self.broker.add(**order)
        columns = {
            "broker_order_id": made["id"],
            "client_order_id": made["client_order_id"],
            "submitted_at": order["created"],
            "qty": made["qty"],
            **(row or {}),
        }
        return self.writes(**columns), made

    def row(self, row_id: int) -> dict[str, Any]:
        names = [column[1] for column in self.sql("PRAGMA table_info(orders)")]
        (found,) = self.sql("SELECT * FROM orders WHERE id = ?", row_id)
        return dict(zip(names, found, strict=True))

    def word(self, row_id: int) -> str:
        return str(self.row(row_id)["status"])

    def says(self, *row_ids: int) -> list[str]:
        return [self.word(row_id) for row_id in row_ids]

    # -- the owner's side

    def proposes(self, *more: str) -> Said:
        return self.ordersync(
            *("init", "--database", self.url, "--venue", "alpaca", "--key-file"),
            *(str(self.key_file), "--rest-url", self.broker.url, *more),
        )

    def is_mapped(self, *, paper: bool = True, words: str = "", more: str = "") -> None:
        """An ordersync.toml by hand: the bot keeps Alpaca's own words."""
        own = "\n".join(f'{word} = ["{word}"]' for word in STATUSES)
        self.config.write_text(
            textwrap.dedent(
                f"""
                [database]
                url = "{self.url}"

                [orders]
                table = "orders"
                id = "id"
                venue_order_id = "broker_order_id"
                client_order_id = "client_order_id"
                status = "status"
                symbol = "symbol"
                created_at = "submitted_at"
                filled_at = "filled_at"
                filled_qty = "filled_qty"
                avg_price = "filled_avg_price"
                owner = "strategy"
                account = "main"

                [accounts.main]
                venue = "alpaca"
                paper = {str(paper).lower()}
                key_file = "{self.key_file}"
                rest_url = "{self.broker.url}"

                [sync]
                absence = {{ spread = "1s" }}
                """
            )
            + f"\n[orders.status_words]\n{own}\n{words}\n{more}"
        )

    def listens(self, running: Running) -> None:
        """It is up, its first pass lies behind it, and it hears the stream."""
        running.until(
            lambda: "Push is live" in running.so_far and self.broker.listening(),
            PATIENCE,
            "it listens",
        )

    def becomes(self, running: Running, row_id: int, word: str) -> None:
        running.until(lambda: self.word(row_id) == word, PATIENCE, f"row {row_id} says {word}")

    def told(self, row_id: int) -> list[dict[str, Any]]:
        """The events about a row, as `history` shows them."""
        said = self.ordersync("history", "--json", str(row_id))
        return [json.loads(line) for line in said.out.splitlines()]
