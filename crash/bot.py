"""The bot beside us: it writes its own rows all the time, through its own connection."""

from __future__ import annotations

import contextlib
import threading
import uuid
from typing import TYPE_CHECKING, TypeAlias

import psycopg

from crash.exchange import PRICE, PRODUCT, SIZE, draw_life

if TYPE_CHECKING:
    from random import Random
    from typing import Any

    from crash.exchange import Exchange
    from ordersync.simulator import Life

_Connection: TypeAlias = "psycopg.Connection[tuple[Any, ...]]"

TABLE = """
CREATE TABLE trades (
  id uuid PRIMARY KEY, bot_id integer NOT NULL, product_id varchar(20) NOT NULL,
  side varchar(4) NOT NULL, size numeric(28,10) NOT NULL, price numeric(28,10),
  order_id varchar(64) UNIQUE, status varchar(20) NOT NULL, created_at timestamptz NOT NULL,
  filled_at timestamptz, updated_at timestamptz, filled_qty numeric(28,10),
  avg_price numeric(28,10), fee numeric(28,10), note text, heartbeat timestamptz);
CREATE INDEX trades_open ON trades (status) WHERE status IN ('pending', 'open')"""

AUDIT = """
CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF current_setting('application_name') = 'ordersync' THEN
    PERFORM pg_sleep(random() * 0.04);
  END IF;
  RETURN NULL; END $$;
CREATE TRIGGER audit AFTER UPDATE ON trades FOR EACH STATEMENT EXECUTE FUNCTION audit()"""
"""A trigger of the user's that takes its time: it holds our transaction open to be hit."""

_INSERT = (
    "INSERT INTO trades (id, bot_id, product_id, side, size, price, order_id, status, created_at)"
    " VALUES (%s, 7, %s, 'buy', %s, %s, %s, 'pending', now()) ON CONFLICT (id) DO NOTHING"
)
# Only of an order that was sighted: of all others a careless end is found once a minute.
_CANCEL = (
    "UPDATE trades SET status = 'cancelled', heartbeat = now() WHERE id = %s"
    " AND status = 'pending'"
    " AND EXISTS (SELECT FROM ordersync_orders AS o WHERE o.venue_order_id = order_id)"
)
_BEAT = "UPDATE trades SET note = %s, heartbeat = now() WHERE id = %s"
CANCELS, PLACES = 0.04, 0.5
IDLE, RETRY = 0.008, 0.05


class Bot:
    """What it did: `orders` by row, `notes` that may be in a row, `canceled` rows."""

    def __init__(self, url: str, exchange: Exchange, chance: Random) -> None:
        self._url = url
        self._exchange = exchange
        self._chance = chance
        self._within = 1.0
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._young: list[str] = []
        self._beats = 0
        self.orders: dict[str, str] = {}
        self.notes: dict[str, list[str | None]] = {}
        self.canceled: set[str] = set()

    def start(self, within: float) -> None:
        """Trade; the orders placed now end within so many seconds."""
        self._within = within
        self._young = []
        self._stopping.clear()
        self._thread = threading.Thread(target=self._trade, name="bot", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Rest. What was begun is in the table then."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def place(self, connection: _Connection, life: Life) -> str:
        """An order at the exchange, and its row."""
        row = str(uuid.UUID(int=self._chance.getrandbits(128), version=4))
        self.notes[row] = [None]
        self.orders[row] = self._exchange.place(life)
        self._young.append(row)
        self._insert(connection, row)
        return row

    def _insert(self, connection: _Connection, row: str) -> None:
        connection.execute(_INSERT, (row, PRODUCT, SIZE, PRICE, self.orders[row]))

    def _trade(self) -> None:
        begun: str | None = None
        nothing = threading.Event()
        while not self._stopping.is_set() or begun:
            # Away for now: a bot tries again, as we do.
            with (
                contextlib.suppress(psycopg.OperationalError),
                psycopg.connect(
                    self._url, autocommit=True, connect_timeout=5, application_name="bot"
                ) as connection,
            ):
                connection.prepare_threshold = None
                while not self._stopping.is_set() or begun:
                    count = len(self._young)
                    try:
                        self._do_one_thing(connection, begun)
                    except psycopg.Error:
                        # Placed, and nobody knows whether the row is there.
                        begun = begun or (self._young[-1] if len(self._young) > count else None)
                        raise
                    begun = None
                    self._stopping.wait(self._chance.random() * 2 * IDLE)
            if begun:
                nothing.wait(RETRY)
            else:
                self._stopping.wait(RETRY)

    def _do_one_thing(self, connection: _Connection, begun: str | None) -> None:
        what = self._chance.random()
        if begun:
            self._insert(connection, begun)
        elif not self._young or what < PLACES:
            self.place(connection, draw_life(self._chance, self._within))
        elif what < PLACES + CANCELS:
            self._cancel(connection, self._chance.choice(self._young))
        else:
            self._beat(connection, self._chance.choice(self._young))

    def _cancel(self, connection: _Connection, row: str) -> None:
        """Half of the time it tells the exchange; then it believes what it wanted."""
        if row in self.canceled:
            return
        if self._chance.random() < 1 / 2:
            self._exchange.cancel(self.orders[row])
        self.canceled.add(row)
        connection.execute(_CANCEL, (row,))

    def _beat(self, connection: _Connection, row: str) -> None:
        """Write its own columns, now and then in a transaction that holds the row for a while."""
        self._beats += 1
        note = f"beat {self._beats}"
        self.notes[row].append(note)  # until the answer comes, it may be there or not
        with connection.transaction():
            connection.execute(_BEAT, (note, row))
            if self._chance.random() < 1 / 4:
                self._stopping.wait(self._chance.random() * 0.03)
        self.notes[row] = [note]
