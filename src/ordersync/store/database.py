"""What the store asks of a database, whatever its make: `makes` has one module for each.

A Database is an address: nothing is connected until it is asked. A Session is one connection;
all that is done with it happens on the store's own thread, in plain blocking calls: a hop to
the thread costs little, a hop a statement costs more than the statements.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from sqlalchemy.engine import Connection

    from ordersync.errors import OrdersyncError
    from ordersync.ports import Finding
    from ordersync.store.shape import TableShape
    from ordersync.store.spelling import Spelling
    from ordersync.store.statement import Ask, RowKey, RowUpdate, Upsert, Written


class Session(Protocol):
    """One connection. Every method may raise the driver's errors, `Database.errors`."""

    def fetch(self, ask: Ask) -> list[tuple[Any, ...]]:
        """The rows of one statement."""

    def fetch_each(self, asks: Sequence[Ask]) -> list[list[tuple[Any, ...]]]:
        """The rows of several statements; in one round trip where the database can."""

    def stream(self, ask: Ask) -> Iterable[tuple[Any, ...]]:
        """The rows of one statement that may have very many: not all at once where it can be."""

    def run(self, ask: Ask) -> int:
        """Run a statement that writes; how many rows it found to write.

        Where no transaction was begun it is one by itself.
        """

    def begin(self, how: str | None = None) -> None:
        """Begin a transaction that sees what others commit (READ COMMITTED, or alone).

        `how` are the make's own words for one of another kind.
        """

    held: Ask | None
    """What must have a row when a transaction commits, else LeaseLost; None: nothing must."""

    def commit(self) -> None:
        """End it: what was written is on the disk."""

    def rollback(self) -> None:
        """End it, if it is still there: nothing was written. Never raises."""

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open: a trigger can have rolled it back."""

    def savepoint(self) -> None:
        """Mark where to go back to; one at a time."""

    def rollback_to_savepoint(self) -> None:
        """Go back there, and forget the mark."""

    def release_savepoint(self) -> None:
        """Forget the mark."""

    def alone(self, name: str) -> None:
        """Wait until no other transaction has asked for this name, until this one ends."""

    def has_table(self, schema: str | None, name: str) -> bool:
        """Whether there is such a table of ours."""

    def next_log_id(self, log_ids: str) -> int:
        """The number of this commit in the event log: never the same for two.

        `log_ids` is the name of what `Spelling.beside_tables` may have made to count with.
        """

    sends_together: bool
    """Whether `upsert_soon` waits for what is asked next, and saves a round trip so."""

    def expect_log_id(self, log_ids: str) -> None:
        """It will be asked for in this transaction: it may be fetched along the way."""

    def upsert(self, upsert: Upsert, rows: Sequence[tuple[object, ...]]) -> Sequence[bool]:
        """Write these; for each whether it was written. In the order of their keys."""

    def upsert_soon(
        self, upsert: Upsert, rows: Sequence[tuple[object, ...]]
    ) -> Callable[[], Sequence[bool]]:
        """The same; the answer is waited for when it is asked for, if it has not come by then."""

    def write_rows(self, update: RowUpdate, rows: Sequence[Sequence[object]]) -> Written:
        """Compare-and-set of the same columns of many of the user's rows."""

    def is_held(self, update: RowUpdate, key: RowKey) -> bool:
        """Whether another transaction holds this row at the moment."""

    def refusal(self, error: BaseException) -> str:
        """Why the database refuses what was to be written; "" where the error is another."""

    def revision(self) -> int | None:
        """A number that moves when another connection wrote; None where it cannot be told."""

    def interrupt(self) -> None:
        """Make what is being waited for fail; called from another thread."""

    @property
    def is_alive(self) -> bool:
        """Whether the connection can be used again after an error."""

    def close(self) -> None:
        """Give back the connection. Never raises."""


@contextmanager
def all_or_nothing(session: Session) -> Iterator[None]:
    """One transaction: what is done inside is committed at its end, or nothing of it is.

    Whatever went wrong is raised; none stays open on the connection that the next request gets.
    """
    session.begin()
    try:
        yield
        session.commit()
    except BaseException:
        # An interrupt too: nothing is swallowed, and no transaction is left open behind it.
        session.rollback()
        raise


class Database(Protocol):
    """One database of one make, at an address. `where` names it in errors, without secrets."""

    where: str
    spelling: Spelling
    errors: tuple[type[Exception], ...]
    deadline: float | None
    """After how many seconds a request is given up; None where it always comes to an end."""

    has_one_writer: bool
    """Whether a transaction that writes keeps out every other: a second would only wait for it."""

    def connect(self, *, writes: bool, table: TableShape | None = None) -> Session:
        """A connection; `table` is the one of whose new rows it should hear, where it can.

        Raises `errors` or an OrdersyncError.
        """

    def look(self) -> AbstractContextManager[Connection]:
        """A SQLAlchemy connection that can only read, for reflection."""

    def declared_types(self, connection: Connection, table: TableShape) -> dict[str, str]:
        """The exact types of a table's columns where SQLAlchemy's words would not do."""

    def explain(self, error: BaseException) -> OrdersyncError:
        """What a driver's error means to a person: ask again, or give up, and the mend."""

    def findings(
        self, session: Session, table: TableShape, read: Sequence[str], written: Sequence[str]
    ) -> list[Finding]:
        """Rights and settings, for `doctor`; of which columns ordersync reads and writes."""
