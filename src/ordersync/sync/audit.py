"""Compare without writing: every open, recent and bot-finished row against the exchange."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from ordersync.ports import Advance, Change, Claim, Known, Meaning, OrderName
from ordersync.sync.chains import Chains
from ordersync.sync.parcels import key_of
from ordersync.sync.reading import told_apart, without_namesakes
from ordersync.sync.windows import creation_windows
from ordersync.sync.work import NOT_PROVEN
from ordersync.truth.chain import LONGEST_CHAIN, is_replaced
from ordersync.truth.evidence import Reading, Sighting, account_proves_itself
from ordersync.truth.merge import contradicts, merge, objection
from ordersync.truth.model import EventEvidence, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence
    from datetime import datetime

    from ordersync.ports import Clock, OrderStore, Venue
    from ordersync.sync.work import Work
    from ordersync.truth.model import Order

IDS_AT_A_TIME = 800


class Difference(StrEnum):
    """In what a row and the exchange differ."""

    STATUS = "wrong status"
    FILL = "wrong fill"
    PRICE = "wrong price or fee"
    OTHER = "other cell"
    ORPHAN = "missing row"
    MISSING = "missing order"
    UNIDENTIFIED = "unidentified"
    UNMAPPED = "unmapped word"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One line of an audit: which order, what differs, what the table says, what is true."""

    account: str
    difference: Difference
    row_id: str | None = None
    venue_order_id: str | None = None
    client_order_id: str | None = None
    symbol: str | None = None
    column: str | None = None
    table_says: object = None
    venue_says: object = None


class Audit(msgspec.Struct, kw_only=True):
    """What an audit of one account found. `failed` could not be verified, with the reason."""

    account: str
    checked: int = 0
    rows: list[Row] = []
    failed: dict[str, str] = {}


async def audit(
    account: str,
    work: Work,
    *,
    venue: Venue,
    store: OrderStore,
    clock: Clock,
    since: datetime | None,
    follow_replace: bool,
    progress: Callable[[int, int], None] | None = None,
) -> Audit:
    """Ask for every order of `work` and write nothing.

    Where `since` is given, all orders made since then are asked for too, to find those that
    have no row. `follow_replace` is whether a row's venue id moves with its order.
    """
    found = Audit(account=account)
    ids = [k.key[2:] for k in work.known.values() if k.key.startswith("v:")]
    ids += [name.venue_order_id for name in work.due if name.venue_order_id]
    found.checked = len(work.known)
    reading = Reading()
    for n in range(0, len(ids), IDS_AT_A_TIME):
        reading += await venue.ask_ids(ids[n : n + IDS_AT_A_TIME])
        if progress is not None:
            progress(min(n + IDS_AT_A_TIME, len(ids)), len(ids))
    everyone = Reading()
    if since is not None:
        everyone = await venue.ask_open() + await venue.ask_created(since, venue.now())
    reading += await _by_client_id(found, work, everyone, venue)
    heirs, of_heirs = await _ask_heirs(reading, everyone, ids, venue)
    for absence in of_heirs.absences:
        found.failed[absence.venue_order_id or ""] = NOT_PROVEN
    reading += Reading(sightings=of_heirs.sightings, silences=of_heirs.silences)
    chains = Chains(store, moves_ids=follow_replace)
    await _compare(found, reading, work, heirs, venue, store, chains, clock)
    await _find_orphans(found, everyone.sightings, heirs, store, follow_replace=follow_replace)
    _list_absent(found, reading, work)
    for silence in (*reading.silences, *everyone.silences):
        for order in silence.orders or (silence.endpoint,):
            found.failed[order] = silence.why
    found.rows += [_row_of(account, c, Difference.UNIDENTIFIED) for c in work.unidentified]
    found.rows += [_row_of(account, c, Difference.UNMAPPED) for c in work.unmapped]
    return found


async def _by_client_id(found: Audit, work: Work, everyone: Reading, venue: Venue) -> Reading:
    """The orders whose rows know their client id alone: from the list, else from the history."""
    by_client = {k.key[2:]: k for k in work.known.values() if k.key.startswith("c:")}
    seen, unclear = told_apart(everyone.sightings, by_client)
    reading = Reading(sightings=tuple(seen))
    left = by_client.keys() - {s.report.client_order_id for s in seen}
    for client_id in left:
        if by_client[client_id].claims[0].meaning is not Meaning.UNKNOWN:
            found.failed[client_id] = NOT_PROVEN
    for start, end, client_ids in creation_windows({one: by_client[one] for one in left}):
        said = await venue.ask_created(start, end, client_ids)
        ours, unclear_too = told_apart(said.sightings, {one: by_client[one] for one in left})
        unclear |= unclear_too
        reading += Reading(sightings=tuple(ours), silences=said.silences)
    for sighting in reading.sightings:
        found.failed.pop(sighting.report.client_order_id or "", None)
        unclear.pop(sighting.report.client_order_id or "", None)
    found.failed |= unclear
    return reading


async def _ask_heirs(
    reading: Reading, everyone: Reading, asked: Sequence[str], venue: Venue
) -> tuple[set[str], Reading]:
    """The orders that replaced those just seen, and those that replaced them: rows follow them.

    Their ids, and what was said of those that nobody had asked for yet.
    """
    listed = {s.report.venue_order_id: s for s in everyone.sightings}
    heirs: set[str] = set()
    later = Reading()
    latest: Iterable[Sighting] = reading.sightings
    for _ in range(LONGEST_CHAIN):
        new = {s.report.replaced_by for s in latest if s.report.replaced_by} - heirs
        if not new:
            break
        heirs |= new
        unasked = sorted(new.difference(asked))
        said = Reading(sightings=tuple(listed[heir] for heir in unasked if heir in listed))
        if unlisted := [heir for heir in unasked if heir not in listed]:
            said += await venue.ask_ids(unlisted)
        later, latest = later + said, said.sightings
    return heirs, later


async def _compare(
    found: Audit,
    reading: Reading,
    work: Work,
    heirs: Collection[str],
    venue: Venue,
    store: OrderStore,
    chains: Chains,
    clock: Clock,
) -> None:
    by_key: dict[str, list[Sighting]] = {}
    for sighting in reading.sightings:
        name = OrderName(sighting.report.venue_order_id, sighting.report.client_order_id)
        by_key.setdefault(key_of(name), []).append(sighting)
    others = [OrderName(h) for h in heirs if f"v:{h}" in by_key and f"v:{h}" not in work.known]
    followed = {k.key: k for k in (await store.read(found.account, others) if others else ())}
    steps: list[Advance] = []
    now = clock.now()
    for key, sightings in by_key.items():
        client = f"c:{sightings[0].report.client_order_id}"
        known = work.known.get(key) or work.known.get(client) or followed.get(key)
        if known is None:
            continue
        truth = known.truth
        for sighting in sightings:
            if why := objection(truth, sighting.report, venue.now()):
                found.failed[key[2:]] = why
                continue
            if truth is not None and contradicts(truth, sighting.report):
                found.failed[key[2:]] = "the venue contradicts what it said before"
            truth = merge(truth, sighting.report)
        steps.append(_step(known, truth, now))
    shown = await chains.follow(found.account, steps)
    shown = [step for step in shown if step.known.key in work.known]
    for step, changes in zip(shown, await store.preview(found.account, shown), strict=True):
        found.rows += [_differing(found.account, step, change) for change in changes]


def _step(known: Known, truth: Order | None, now: datetime) -> Advance:
    evidence = EventEvidence(answer="sighting", endpoint="audit")
    return Advance(known=known, truth=truth, source=Source.DEMAND, evidence=evidence, asked_at=now)


async def _find_orphans(
    found: Audit,
    sightings: Sequence[Sighting],
    heirs: Collection[str],
    store: OrderStore,
    *,
    follow_replace: bool,
) -> None:
    """Orders at the venue that the table does not have."""
    by_id = {s.report.venue_order_id: s.report for s in sightings}
    names = [OrderName(r.venue_order_id, r.client_order_id) for r in by_id.values()]
    chains = Chains(store)
    for known in await store.read(found.account, names) if names else []:
        report = by_id.get(known.key[2:])
        if report is not None and report.venue_order_id not in heirs:
            order = merge(known.truth, report)
            if without_namesakes(known, order).claims:
                continue
            if follow_replace and is_replaced(order):
                continue  # its row went on with the order that replaced it
            if order.replaces and await chains.roots(found.account, [order]):
                continue  # the row of the order that it replaced follows it
            found.rows.append(
                Row(
                    account=found.account,
                    difference=Difference.ORPHAN,
                    venue_order_id=report.venue_order_id,
                    client_order_id=report.client_order_id,
                    symbol=report.symbol,
                    venue_says=report.status.value if report.status else None,
                )
            )


def _list_absent(found: Audit, reading: Reading, work: Work) -> None:
    """Orders that the venue does not have; unverified where it may be the wrong account."""
    absent = [a for a in reading.absences if f"v:{a.venue_order_id}" in work.known]
    proven = account_proves_itself(
        same_identity=True,
        asked=found.checked,
        absent=len(absent),
        endpoint_sighted_another={a.endpoint for a in absent}
        <= {s.endpoint for s in reading.sightings},
    )
    for absence in absent:
        name = absence.venue_order_id or ""
        if not proven:
            found.failed[name] = (
                "not at the venue, and nor is the rest: the key may be of another portfolio"
            )
            continue
        # A row that says unknown says what is true.
        found.rows += [
            _row_of(found.account, claim, Difference.MISSING)
            for claim in work.known[f"v:{name}"].claims
            if claim.meaning is not Meaning.UNKNOWN
        ]


def _differing(account: str, step: Advance, change: Change) -> Row:
    row = _row_of(account, step.known.claims[0], _KINDS.get(change.field, Difference.OTHER))
    return msgspec.structs.replace(
        row, column=change.column, table_says=change.stored, venue_says=change.true
    )


def _row_of(account: str, claim: Claim, difference: Difference) -> Row:
    return Row(
        account=account,
        difference=difference,
        row_id=str(claim.row_id),
        venue_order_id=claim.venue_order_id,
        client_order_id=claim.client_order_id,
        symbol=claim.symbol,
        table_says=claim.word,
    )


_KINDS = {
    "status": Difference.STATUS,
    "filled_qty": Difference.FILL,
    "filled_at": Difference.FILL,
    "avg_price": Difference.PRICE,
    "fee": Difference.PRICE,
}
