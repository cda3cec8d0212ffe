"""The ports: what the rooms of the house ask of each other, with their contracts.

Adapters (`venues`, `store`, `clock`) implement them; `service` alone chooses which. The data
that cross a port are here too; what is true about an order is in `truth`.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

import msgspec

from ordersync.archived import Archived, ArchiveViews, RetentionStore
from ordersync.hinted import Receipts, ReceiptStore
from ordersync.leased import FencedStore
from ordersync.orphaned import OrphanStore
from ordersync.truth.evidence import Case, mark_of
from ordersync.truth.model import Event, EventEvidence, EventKind, Order, Source, Statement

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Container, Mapping, Sequence

    from ordersync.pushed import Push
    from ordersync.truth.evidence import Reading

    Ids = Container[str] | None
    Seen = Mapping[int, str]
    Names = Sequence["OrderName"]
    Steps = Sequence["Advance"]
    Decide = Callable[[list["Known"]], Steps]
    Hinted = tuple[set[str], list["Known"]]

RowId = int | str


class Clock(Protocol):
    """Time, so that tests can let it be virtual."""

    def now(self) -> datetime:
        """The time of day, aware, in UTC."""

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back."""

    async def sleep(self, pause: timedelta) -> None:
        """Wait for `pause`; not at all where it is zero or negative."""


# --- What a venue is asked -----------------------------------------------------------------


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Whose account a key opens, and what the key may do. `name` is the venue's own id of it.

    `name` and `host` together must be the same at every start: a key of another portfolio
    answers honest absences for everything. `enough` is which key of this venue would suffice.
    """

    host: str
    name: str
    can_trade: bool = False
    can_transfer: bool = False
    enough: str = "A key with the permission View alone is enough."

    @property
    def mark(self) -> str:
        """What is recorded at the account's first sighting and compared ever after."""
        return f"{self.host} {self.name}"


class Severity(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What a part found about itself, for `doctor`: one sentence, and the mend."""

    severity: Severity
    about: str
    what: str
    mend: str = ""


class Venue(Protocol):
    """An account at an exchange. Only reads; every method answers with what it proves.

    No method raises for an answer: a failure is a Silence in the Reading. Calls share one rate
    budget for the account. `as_of` of what comes back is when the question was asked, on the
    venue's clock. `push` is its stream, None where none is configured.
    """

    batch_size: int
    list_page_size: int
    open_list_cap: int
    push: Push | None

    def now(self) -> datetime:
        """The venue's clock: ours, corrected by the skew that was measured."""

    async def identify(self) -> Identity:
        """Whose key this is. Raises VenueSilent (ask again) or VenueRefused (give up)."""

    async def ask_ids(self, ids: Sequence[str], heard: Mapping[int, str] | None = None) -> Reading:
        """Sightings and Absences of these ids; `heard`: by mark, what need not be read again."""

    async def ask_one(self, venue_order_id: str, client_order_id: str | None = None) -> Reading:
        """One order through another endpoint than `ask_ids`; some need its client id for that."""

    async def ask_open(
        self, heard: Mapping[int, str] | None = None, wanted: Collection[str] = ()
    ) -> Reading:
        """All open orders the venue will list. Never an Absence: a list can be short.

        Where some are `wanted`, only until those it lacks cost no more by their ids.
        """

    async def ask_created(
        self, start: datetime, end: datetime, client_order_ids: Collection[str] = ()
    ) -> Reading:
        """All orders created in [start, end), or all of these client ids where each is there.

        Absences of client ids after the last page alone.
        """

    async def ask_fills(self, ids: Sequence[str]) -> Reading:
        """What was filled of these orders, as Reports without standing. Never an Absence."""

    async def findings(self) -> list[Finding]:
        """Whether the venue can be reached, what the key may do, the clock's skew."""

    async def close(self) -> None:
        """Give back the connections."""


# --- What the store is asked ---------------------------------------------------------------


class Meaning(StrEnum):
    """What a row's word stands for."""

    OPEN = "open"
    FINAL = "final"
    UNKNOWN = "unknown"
    UNMAPPED = "unmapped"


class Claim(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The user's row as it was read: a claim, never evidence.

    `cells` are the mapped columns as the database gave them; only the store looks into them.
    """

    row_id: RowId
    venue_order_id: str | None
    client_order_id: str | None
    word: str | None
    meaning: Meaning
    created_at: datetime | None
    symbol: str | None
    owner: str | None
    read_at: datetime
    cells: tuple[object, ...]

    @property
    def mark(self) -> int:
        """By what a row that has not moved is known: a hash, within this process only."""
        return mark_of(self.cells)


class Scan(msgspec.Struct, frozen=True, kw_only=True):
    """Open rows: those that moved, and by venue id the keys of those that did not.

    `places`: before each that moved, how many of the unmoved come in the table's order.
    `unread`: keys of rows that moved where very many did, and their word is plainly open.
    """

    moved: list[Claim]
    places: list[int]
    unmoved: dict[str, RowId]
    unread: dict[str, RowId]


class Overlay(StrEnum):
    """What absence says beside the truth. Any sighting removes it."""

    SUSPECT = "suspect"
    UNKNOWN = "unknown"
    RESOLVED = "resolved"  # a person said what became of it


class Absent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A persisted case of absence, and what it led to; `resolved` is what a person said then."""

    case: Case
    overlay: Overlay | None = None
    since: datetime | None = None
    asked_at: datetime
    resolved: Statement | None = None


class Known(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """All that is stored about one order: truth with its version, rows, case of absence.

    `version` is 0 where there is no truth yet. `final_since` is when we learned of the final
    standing, `due_at` when the order is to be asked about although no open row leads to it,
    `row_id` the row it was last projected onto, as text; `archived` where an earlier one moved.
    """

    key: str
    truth: Order | None
    version: int
    claims: tuple[Claim, ...]
    absent: Absent | None = None
    final_since: datetime | None = None
    due_at: datetime | None = None
    row_id: str | None = None
    archived: Archived | None = None


class Note(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An event to be recorded once: `digest` tells the same content from another."""

    kind: EventKind
    digest: str
    evidence: EventEvidence


class Shown(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A chain of orders as the one that a row shows; None: it waits for how the chain goes on."""

    order: Order | None
    is_news: bool = False


class Advance(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One order's way from what was known to what is true now.

    `truth` None: nothing was ever sighted. `absent` is the case of absence from now on, None
    where there is none (a sighting closed it). `asked_at` is when the question was asked, on
    our clock: an open truth overwrites a final word only where that was after the row was read.
    `shown` is what the rows show where that is not the truth itself.
    """

    known: Known
    truth: Order | None
    source: Source
    evidence: EventEvidence
    asked_at: datetime
    absent: Absent | None = None
    due_at: datetime | None = None
    notes: tuple[Note, ...] = ()
    shown: Shown | None = None


class Result(StrEnum):
    """How an Advance ended."""

    UNCHANGED = "unchanged"  # all was true already: nothing was written
    WON = "won"  # what differed was written
    LOST = "lost"  # somebody else wrote truth or row first: read again, merge again
    UNWRITABLE = "unwritable"  # the database will not take what is true


class Change(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One cell of a row that differs from the truth: the column, what it holds, what is true."""

    column: str
    field: str
    stored: object
    true: object


class Outcome(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What became of one Advance; `claims` are the rows now there, where it was lost."""

    key: str
    result: Result
    rows_written: int = 0
    events: tuple[Event, ...] = ()
    claims: tuple[Claim, ...] = ()
    overlay: Overlay | None = None
    why: str = ""


class AccountRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What is stored about an account: the identity at its first sighting, the last full pass."""

    account: str
    identity: str | None = None
    verified_at: datetime | None = None
    unverified: tuple[str, ...] = ()


class OrderName(msgspec.Struct, frozen=True, gc=False):
    """By what an order is known: the venue's id, the client's, or both."""

    venue_order_id: str | None = None
    client_order_id: str | None = None


class OrderStore(RetentionStore, ReceiptStore, FencedStore, OrphanStore, Protocol):
    """The user's table and ours beside it, in one database.

    Raises StoreBusy (ask again) or StoreRefused (give up) from every method.
    """

    async def open(self, *, create: bool) -> None:
        """Connect, check the mapping (or raise ConfigError), make our tables if `create`."""

    async def close(self) -> None:
        """Give back the connection."""

    async def revision(self) -> int | None:
        """A number that moves when another connection wrote; None where it cannot be told."""

    async def scan_open(self, account: str, seen: Seen, most: int | None = None) -> Scan:
        """Rows that do not say that they are final. Costs what these rows cost, not the history.

        `seen` has the venue ids of unmoved ones by their mark; beyond `most` they are `unread`.
        """

    async def list_finished(self, account: str, since: datetime) -> list[Claim]:
        """Rows that say they are final, created, filled or written since; known ends, too."""

    async def list_unmapped(self, account: str, limit: int) -> list[Claim]:
        """The newest rows whose word is outside the mapping, among the newest some thousands."""

    async def list_witnesses(self, account: str, limit: int) -> list[str]:
        """Venue ids of the newest rows, whatever they say: to prove that an account answers."""

    async def list_due(
        self, account: str, now: datetime, *, open_truths: int | None = None, unread: Ids = None
    ) -> list[OrderName]:
        """Those due or, unless just `open_truths` are, with an open truth; but for `unread` ids."""

    async def read(self, account: str, names: Names) -> list[Known]:
        """What is stored of these, in order; rows by venue id, by client id where there is none."""

    async def read_hinted(self, account: str, webhook_ids: Sequence[str], names: Names) -> Hinted:
        """Of these webhooks those taken, and a Known a name: by venue id where a row tells it."""

    async def read_claims(self, account: str, claims: Sequence[Claim]) -> list[Known]:
        """What is stored about the orders of these rows, without reading the rows again."""

    async def read_rows(self, account: str, row_ids: Sequence[RowId]) -> list[Known]:
        """What is stored about the orders of these rows, as row and truth are at one moment."""

    async def advance(self, account: str, steps: Steps, receipts: Receipts = ()) -> list[Outcome]:
        """Write row, truth and event of each step in one transaction, by compare-and-set.

        One Outcome a step, in their order. What is true already is not written. Receipts go
        with them, unless the step of one of their orders is lost.
        """

    async def carry(self, account: str, names: Names, decide: Decide) -> list[Outcome]:
        """Read these, and write what `decide` makes of it (on another thread): in one go."""

    async def preview(self, account: str, steps: Sequence[Advance]) -> list[list[Change]]:
        """What `advance` would write into the rows, without writing."""

    async def get_account(self, account: str) -> AccountRecord:
        """What is stored about the account; an empty record where nothing is."""

    async def keep_account(self, record: AccountRecord) -> None:
        """Persist it: one row per account and pass."""

    async def findings(self) -> list[Finding]:
        """Columns, rights, indexes and words, each with its mend."""


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """An order that a text named, by which of its names, and how row and truth stand."""

    matched: str
    account: str
    key: str
    row_id: str | None = None
    venue_order_id: str | None = None
    client_order_id: str | None = None
    word: str | None = None
    status: str | None = None


class OrderViews(ArchiveViews, Protocol):
    """The read side: nothing here writes or creates."""

    async def find(self, text: str) -> list[Match]:
        """The orders that a text names: by row id, else by venue id, else by client id."""

    async def history(self, match: Match) -> list[Event]:
        """Every event of one order, oldest first."""

    async def count_words(self) -> dict[str | None, int]:
        """How many rows hold each status word."""
