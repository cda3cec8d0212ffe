"""What is stored about orders: rows as claims, and what our tables know of them."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from ordersync.archived import Archived
from ordersync.ports import Absent, Claim, Known, Meaning, OrderName, Scan
from ordersync.store.mapping import TIMES
from ordersync.store.scan import Apart
from ordersync.store.sql import RowStatements, open_words
from ordersync.store.statement import Ask, keys_of
from ordersync.truth.model import Order, Side
from ordersync.truth.namesake import is_namesake

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from collections.abc import Mapping as Dict

    from ordersync.ports import Clock, Ids, RowId
    from ordersync.store.database import Session
    from ordersync.store.mapping import Mapping
    from ordersync.store.own import OwnStatements
    from ordersync.store.spelling import Spelling

MANY_ROWS = 5_000
"""From how many rows on a scan reads them in parts: nobody holds all of them at once."""

TEXTS_AT_A_TIME = 1_000
"""Of how many orders the stored texts are in memory at once: each is a kilobyte, and more."""

_decode_order = msgspec.json.Decoder(Order).decode
_decode_absent = msgspec.json.Decoder(Absent).decode
_decode_side = msgspec.json.Decoder(Side).decode


class Lookup:
    """The reads of a store.

    `has_tables` is whether ours are there at all, `has_archive` whether they know what moved out.
    """

    def __init__(
        self, spelling: Spelling, mapping: Mapping, ours: OwnStatements, clock: Clock
    ) -> None:
        self.has_tables = self.has_archive = False
        self._spelling = spelling
        self._mapping = mapping
        self._own = ours
        self._clock = clock
        self._statements: dict[str | None, RowStatements] = {}
        self._are_many = True  # until it was seen: all rows at once may be too many

    def about(self, account: str | None) -> RowStatements:
        """The statements about the rows of an account, or of all."""
        if account not in self._statements:
            self._statements[account] = RowStatements(self._spelling, self._mapping, account)
        return self._statements[account]

    def scan_open(
        self, session: Session, account: str, seen: Dict[int, str], most: int | None
    ) -> Scan:
        """Rows whose word is open or unknown, by whether they are as they were."""
        ask = Ask(self.about(account).by_words(open_words(self._mapping)))
        rows = session.stream(ask) if self._are_many else session.fetch(ask)
        apart = Apart()
        apart.sort(rows, seen, self._mapping.named, most)
        found = len(apart.moved) + len(apart.unmoved) + len(apart.unread)
        self._are_many = found >= MANY_ROWS
        # Taken after the read, so that no earlier ask can seem to be younger than what was read.
        read_at = self._clock.now()
        if found:
            self.learn_times(session)
        return Scan(
            moved=[self._mapping.claim(cells, read_at) for cells in apart.moved],
            places=apart.places,
            unmoved=apart.unmoved,
            unread=apart.unread,
        )

    def due(
        self, session: Session, account: str, now: str, open_truths: int | None, unread: Ids
    ) -> list[OrderName]:
        """Orders to ask about although no open row leads to them."""
        asked = {"account": account, "now": now}
        if unread is not None:
            every = session.stream(Ask(self._own.due_orders, asked))
            return [OrderName(*row) for row in every if row[0] not in unread]
        ((count,),) = session.fetch(Ask(self._own.count_open_truths, asked))
        text = self._own.due_by_time if count == open_truths else self._own.due_orders
        return [OrderName(*row) for row in session.fetch(Ask(text, asked))]

    def finished(self, session: Session, account: str, since: datetime) -> list[Claim]:
        """Rows whose word is final, with a time since then."""
        mapping = self._mapping
        self.learn_times(session)
        words = mapping.words.words_meaning(Meaning.FINAL)
        # The day before: a text time may carry any zone; the exact cut follows.
        day = (since - timedelta(days=1)).strftime("%Y-%m-%d")
        text = self.about(account).finished_since(words)
        # A whole number, made here: compared with a float, an index on a bigint is no use.
        numbers = {f"at_{unit}": int(since.timestamp() * unit) for unit in (1, 10**3, 10**6, 10**9)}
        found = self.claims(session, Ask(text, {"day": day, **numbers}))
        return [claim for claim in found if mapping.newest_time(claim) >= since]

    def claims(self, session: Session, ask: Ask) -> list[Claim]:
        """The rows of a statement as claims."""
        return self._as_claims(session, session.fetch(ask))

    def _as_claims(self, session: Session, rows: Sequence[tuple[object, ...]]) -> list[Claim]:
        # Taken after the read, so that no earlier ask can seem to be younger than what was read.
        mapping, read_at = self._mapping, self._clock.now()
        if rows:
            self.learn_times(session)
        return [mapping.claim(cells, read_at) for cells in rows]

    def read(self, session: Session, account: str, names: Sequence[OrderName]) -> list[Known]:
        """What is stored about these orders, in their order."""
        statements, spelling = self.about(account), self._spelling
        column = self._mapping.column("venue_order_id")
        venue_ids = [
            n.venue_order_id
            for n in names
            if n.venue_order_id and spelling.can_hold(column, n.venue_order_id)
        ]
        grouped: dict[str, list[Claim]] = {
            key: []
            for name in names
            if (key := key_of(name.venue_order_id, name.client_order_id)) is not None
        }
        aliases = _aliases((n.venue_order_id, n.client_order_id) for n in names)
        rows, *answers = session.fetch_each(
            [
                Ask(statements.by_venue_ids, {"keys": keys_of(venue_ids)}),
                *self._known_asks(account, grouped, aliases),
            ]
        )
        by_venue: dict[str | None, list[Claim]] = {}
        for claim in self._as_claims(session, rows):
            by_venue.setdefault(claim.venue_order_id, []).append(claim)
        by_client = self._by_client(session, statements, names, by_venue)
        for name in names:
            key = key_of(name.venue_order_id, name.client_order_id)
            if key is not None:
                found = by_venue.get(name.venue_order_id) if name.venue_order_id else None
                if not found and name.client_order_id:
                    found = by_client.get(name.client_order_id)
                grouped[key] = found or []
        return self._known(session, account, grouped, aliases, *answers)

    def _by_client(
        self,
        session: Session,
        statements: RowStatements,
        names: Sequence[OrderName],
        by_venue: dict[str | None, list[Claim]],
    ) -> dict[str | None, list[Claim]]:
        """The rows that have no venue id yet, by their client id, of orders without a row."""
        if "client_order_id" not in self._mapping.at:
            return {}
        column, spelling = self._mapping.column("client_order_id"), self._spelling
        orphans = [
            n.client_order_id
            for n in names
            if n.client_order_id
            and n.venue_order_id not in by_venue
            and spelling.can_hold(column, n.client_order_id)
        ]
        found: dict[str | None, list[Claim]] = {}
        if orphans:
            ask = Ask(statements.by_client_ids, {"keys": keys_of(orphans)})
            for claim in self.claims(session, ask):
                found.setdefault(claim.client_order_id, []).append(claim)
        return found

    def _known_asks(
        self, account: str, grouped: dict[str, list[Claim]], aliases: dict[str, str]
    ) -> list[Ask]:
        """What our tables are asked about these keys; nothing where there are no tables."""
        if not self.has_tables:
            return []
        ours, keys = self._own, keys_of(list(grouped))
        names = keys_of([*grouped, *aliases.values()])
        return [
            Ask(ours.truths, {"account": account, "keys": keys}),
            Ask(ours.absences, {"account": account, "keys": names}),
        ]

    def _known(
        self,
        session: Session,
        account: str,
        grouped: dict[str, list[Claim]],
        aliases: dict[str, str],
        truth_rows: Iterable[tuple[Any, ...]] = (),
        absent_rows: Iterable[tuple[Any, ...]] = (),
    ) -> list[Known]:
        """What is stored under these keys. An alias is the name an order had before it was seen."""
        truths = {row[0]: row for row in truth_rows}
        absents = dict(absent_rows)
        bare = [key for key in grouped if key not in truths or truths[key][1] is None]
        archived = self._archived(session, account, bare)
        found, nothing = [], (None,) * 6
        for key, claims in grouped.items():
            _, version, state, final_since, row_id, due = truths.get(key, nothing)
            truth = _decode_order(state) if state else None
            absent = absents.get(key) or absents.get(aliases.get(key, ""))
            found.append(
                Known(
                    key=key,
                    truth=truth,
                    version=version or 0,
                    claims=tuple(c for c in claims if not (truth and is_namesake(truth, c))),
                    absent=_decode_absent(absent) if absent else None,
                    final_since=_moment(final_since),
                    due_at=_moment(due),
                    row_id=row_id,
                    archived=archived.get(key),
                )
            )
        return found

    def _archived(self, session: Session, account: str, keys: Sequence[str]) -> dict[str, Archived]:
        """What is said of truths that moved out; most orders without one never had any."""
        if not self.has_archive or not keys:
            return {}
        ask = Ask(self._own.archived_truths, {"account": account, "keys": keys_of(keys)})
        return {key: as_archived(*row) for key, *row in session.fetch(ask)}

    def read_claims(self, session: Session, account: str, claims: Sequence[Claim]) -> list[Known]:
        """What is stored about the orders of these rows, without reading the rows again."""
        grouped: dict[str, list[Claim]] = {}
        for claim in claims:
            key = key_of(claim.venue_order_id, claim.client_order_id)
            if key is not None:
                grouped.setdefault(key, []).append(claim)
        aliases = _aliases((c.venue_order_id, c.client_order_id) for c in claims)
        keys, found = list(grouped), list[Known]()
        for n in range(0, len(keys), TEXTS_AT_A_TIME):
            part = {key: grouped[key] for key in keys[n : n + TEXTS_AT_A_TIME]}
            before = {key: aliases[key] for key in part if key in aliases}
            asks = self._known_asks(account, part, before)
            found += self._known(session, account, part, before, *session.fetch_each(asks))
        return found

    def read_rows(self, session: Session, account: str, row_ids: Sequence[RowId]) -> list[Known]:
        """What is stored about the orders of these rows, and the rows as they are now."""
        keys = keys_of(str(row_id) for row_id in row_ids)
        claims = self.claims(session, Ask(self.about(account).by_row_ids, {"keys": keys}))
        return self.read_claims(session, account, claims)

    def venue_ids(
        self, session: Session, account: str, client_ids: Sequence[str]
    ) -> dict[str, str]:
        """By client id the venue's: a row tells both, or the venue did before there was a row."""
        if "client_order_id" not in self._mapping.at:
            return {}
        column, can_hold = self._mapping.column("client_order_id"), self._spelling.can_hold
        names = [name for name in client_ids if can_hold(column, name)]
        ask = Ask(self.about(account).by_any_client_ids, {"keys": keys_of(names)})
        found = {
            claim.client_order_id: claim.venue_order_id
            for claim in self.claims(session, ask)
            if claim.client_order_id and claim.venue_order_id
        }
        left = [name for name in names if name not in found]
        if left and self.has_tables:
            about = {"account": account, "keys": keys_of(left)}
            told = session.fetch(Ask(self._own.rowless_by_client_ids, about))
            times = Counter(client for client, _ in told)
            # Of two orders with one client id nobody knows which the row means.
            found |= {client: venue for client, venue in told if times[client] == 1}
        return found

    def hinted(
        self, session: Session, account: str, webhook_ids: Sequence[str], names: Sequence[OrderName]
    ) -> tuple[set[str], list[Known]]:
        """Which of these webhooks were taken, and what is stored of each name.

        In one go: a hop to the store's thread for each question costs as much as the question.
        """
        about = {"account": account, "keys": keys_of(webhook_ids)}
        taken = {row[0] for row in session.fetch(Ask(self._own.receipts, about))}
        clients = {n.client_order_id for n in names if n.client_order_id and not n.venue_order_id}
        venue_ids = self.venue_ids(session, account, sorted(clients)) if clients else {}
        meant = [
            OrderName(venue_ids.get(n.client_order_id), n.client_order_id)
            if n.client_order_id and not n.venue_order_id
            else n
            for n in names
        ]
        read = {known.key: known for known in self.read(session, account, meant)}
        return taken, [read[key_of(n.venue_order_id, n.client_order_id) or ""] for n in meant]

    def learn_times(self, session: Session) -> None:
        """Look how the table spells its times, until it has some."""
        mapping = self._mapping
        if mapping.knows_times:
            return
        statements = self.about(None)
        mapping.learn_time_forms(
            {
                field: [cell for (cell,) in session.fetch(Ask(statements.samples(field)))]
                for field in TIMES
                if field in mapping.columns
            }
        )


def as_archived(place: str, moved_at: str, side: str | None) -> Archived:
    """What is noted of an order in one of the archive's files."""
    return Archived(
        place=place,
        moved_at=datetime.fromisoformat(moved_at),
        side=_decode_side(side) if side else None,
    )


def key_of(venue_order_id: str | None, client_order_id: str | None) -> str | None:
    """The key of an order's truth: the venue's id where it is known, else the client's."""
    if venue_order_id:
        return f"v:{venue_order_id}"
    return f"c:{client_order_id}" if client_order_id else None


def _aliases(ids: Iterable[tuple[str | None, str | None]]) -> dict[str, str]:
    """The key that an order had while only its client id was known, by the one it has now."""
    return {f"v:{venue}": f"c:{client}" for venue, client in ids if venue and client}


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
