"""A row beside what the exchange says of its order: in what they differ, and how urgent that is."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from ordersync.listed import Listed, State
from ordersync.ports import Meaning, OrderName, Overlay
from ordersync.store.plan import order_names
from ordersync.store.projection import patch
from ordersync.store.words import label_of
from ordersync.truth.chain import LONGEST_CHAIN, chain_of, is_replaced
from ordersync.truth.model import digits
from ordersync.truth.operator import resolve
from ordersync.truth.urgency import Discrepancy, Urgency, is_stale, urgency

if TYPE_CHECKING:
    from collections.abc import Callable

    from ordersync.ports import AccountRecord, Claim, Known
    from ordersync.store.mapping import Mapping
    from ordersync.truth.model import Order

_NOTHING = timedelta(0)
_OVERLAID = {Overlay.SUSPECT: Discrepancy.SUSPECT, Overlay.UNKNOWN: Discrepancy.UNKNOWN}
_FILLS = {"filled_qty", "avg_price", "fee", "filled_at"}

UNVERIFIED_KEPT = 1_000
"""So many names an account's record holds at most: where it is full, there may be more."""


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """When an account was last verified as a whole, and but for which orders."""

    at: datetime | None = None
    but_for: frozenset[str] = frozenset()

    @classmethod
    def of(cls, record: AccountRecord) -> Verified:
        """As an account's record says it."""
        if len(record.unverified) >= UNVERIFIED_KEPT:
            return cls()
        return cls(at=record.verified_at, but_for=frozenset(record.unverified))

    def of_order(self, known: Known, here: datetime | None) -> datetime | None:
        """When the exchange last vouched for what is stored of this order; None: never.

        `here` is what this process knows of that.
        """
        moments = [here, known.truth.as_of if known.truth else None]
        if known.truth is not None and known.key[2:] not in self.but_for:
            moments.append(self.at)
        return max((at for at in moments if at is not None), default=None)


class Stood(NamedTuple):
    """A row that was compared: as it is told, but for what time does to it.

    `begun` is since when its age counts, `changed_at` since when the exchange tells what it tells;
    `alone`: no other order has a say in what the row shows.
    """

    listed: Listed
    begun: datetime | None
    changed_at: datetime | None
    alone: bool


class Judge:
    """Compares rows with truths, all at one moment."""

    def __init__(
        self,
        mapping: Mapping,
        *,
        now: datetime,
        stale_after: timedelta,
        read: Callable[[str, OrderName], Known],
    ) -> None:
        """`read` looks further along a chain of orders that replaced one another."""
        self._mapping = mapping
        self._now = now
        self._stale_after = stale_after
        self._read = read

    def listed(
        self,
        account: str,
        known: Known,
        claim: Claim | None,
        verified_at: datetime | None,
        source: str | None = None,
    ) -> Listed:
        """The row, or what is known of an order without one, as it is told."""
        return self.tell(self.stand(account, known, claim, source), verified_at)

    def stand(self, account: str, known: Known, claim: Claim | None, source: str | None) -> Stood:
        """What of a row stays as it is while neither the row nor the truth moves."""
        shown, waits = self._shown(account, known)
        overlay = known.absent.overlay if known.absent else None
        found, due, is_final = None, None, _is_final(claim, shown)
        if claim is not None and not waits:
            found, due = self._difference(known, claim, shown, overlay)
        if found is None and not is_final:
            found = _absent(overlay)
        made_at = claim.created_at if claim else None
        if made_at is None and known.truth is not None:
            made_at = known.truth.created_at
        begun = made_at
        if begun is None and known.absent is not None:
            begun = known.absent.case.opened_at
        names = order_names(claim, known.truth)
        listed = Listed(
            account=account,
            row_id=str(claim.row_id) if claim else known.row_id,
            venue_order_id=names.venue_order_id,
            client_order_id=names.client_order_id,
            owner=names.owner,
            symbol=names.symbol,
            side=_side((shown and shown.side) or self._text(claim, "side")),
            quantity=digits(shown.quantity) if shown else None,
            filled_qty=digits(shown.filled_qty) if shown else None,
            avg_price=digits(shown.avg_price) if shown else None,
            fee=digits(shown.fee) if shown else None,
            row_word=claim.word if claim else None,
            true_word=due,
            exchange_status=label_of(shown, overlay),
            state=_state(claim, overlay, is_final=is_final),
            created_at=made_at,
            age_seconds=None,
            last_verified_at=None,
            verified_age_seconds=None,
            source=source,
            stale=False,
            discrepancy=found,
            urgency=Urgency.FRESH,
        )
        changed_at = shown.changed_at if shown else None
        return Stood(listed, begun, changed_at, known.truth is shown)

    def tell(self, stood: Stood, verified_at: datetime | None) -> Listed:
        """The same as it is now: how old, since when vouched for, how urgent."""
        listed, now, bound = stood.listed, self._now, self._stale_after
        age = None if stood.begun is None else max(now - stood.begun, _NOTHING)
        verified_age = None if verified_at is None else max(now - verified_at, _NOTHING)
        found, state = listed.discrepancy, listed.state
        unvouched = verified_age is None or verified_age >= bound
        if found is None and state is not State.FINAL and unvouched:
            found = Discrepancy.UNVERIFIED
        in_doubt = verified_age
        if found is not Discrepancy.UNVERIFIED:
            in_doubt = None if stood.changed_at is None else max(now - stood.changed_at, _NOTHING)
        # One word, one meaning: what is absent is `suspect` or `unknown`, and not stale besides.
        stale = state is State.OPEN and age is not None and is_stale(age, found, bound)
        return msgspec.structs.replace(
            listed,
            state=State.STALE if stale else state,
            age_seconds=_seconds(age),
            last_verified_at=verified_at,
            verified_age_seconds=_seconds(verified_age),
            stale=stale,
            discrepancy=found,
            urgency=urgency(age or _NOTHING, found, bound, in_doubt=in_doubt),
        )

    def _difference(
        self, known: Known, claim: Claim, shown: Order | None, overlay: Overlay | None
    ) -> tuple[Discrepancy | None, str | None]:
        """In what the row differs, and the word that it should hold, where it holds another."""
        made = patch(
            self._mapping,
            claim,
            shown,
            overlay,
            alone=len(known.claims) == 1,
            asked_at=self._now,
            now=self._now,
        )
        if made is None:
            label = label_of(shown, overlay)
            untrue = label is not None and not self._mapping.words.is_true(claim.word, label)
            if not untrue or claim.meaning is Meaning.UNMAPPED or _absent(overlay):
                return None, None
            is_intention = self._mapping.words.is_intention(claim.word)
            return None if is_intention else Discrepancy.STATUS, None
        if "status" in made.cells:
            return _absent(overlay) or Discrepancy.STATUS, str(made.cells["status"])
        return Discrepancy.FILLS if _FILLS & made.cells.keys() else None, None

    def _shown(self, account: str, known: Known) -> tuple[Order | None, bool]:
        """What the row shows: of a chain the end with the fills of all; and whether it waits.

        As `sync/chains` decides when it writes; and what a person said of one that is gone.
        """
        truth, absent = known.truth, known.absent
        if absent is not None and absent.resolved is not None:
            return resolve(truth, absent.resolved), False
        if truth is None:
            return None, False
        chain, seen = [truth], {truth.venue_order_id}
        while is_replaced(chain[-1]) and chain[-1].replaced_by not in seen:
            heir = self._read(account, OrderName(chain[-1].replaced_by))
            if heir.claims or len(seen) > LONGEST_CHAIN:
                return truth, False  # another row goes on
            if heir.truth is None:
                return truth, True
            seen.add(chain[-1].replaced_by)
            chain.append(heir.truth)
        while self._mapping.follow_replace and chain[0].replaces and len(seen) <= LONGEST_CHAIN:
            before = self._read(account, OrderName(chain[0].replaces))
            if before.claims or not is_replaced(before.truth) or before.truth is None:
                break
            seen.add(chain[0].replaces)
            chain.insert(0, before.truth)
        return (truth if len(chain) == 1 else chain_of(chain)), False

    def _text(self, claim: Claim | None, field: str) -> str | None:
        return self._mapping.text(claim.cells, field) if claim else None


def _side(text: str | None) -> str | None:
    """One spelling, whoever said it; what a bot calls otherwise stays as it is."""
    plain = text and text.lower()
    return plain if plain in {"buy", "sell"} else text


def _state(claim: Claim | None, overlay: Overlay | None, *, is_final: bool) -> State:
    """How it stands, whatever its age."""
    if is_final:
        return State.FINAL
    if overlay is Overlay.UNKNOWN or (claim and claim.meaning is Meaning.UNKNOWN):
        return State.UNKNOWN
    return State.SUSPECT if overlay is Overlay.SUSPECT else State.OPEN


def _is_final(claim: Claim | None, shown: Order | None) -> bool:
    """Whether nothing waits for it any more: by its row where there is one, else by the truth."""
    if claim is None or claim.meaning is Meaning.UNMAPPED:
        return shown is not None and shown.is_final
    return claim.meaning is Meaning.FINAL


def _absent(overlay: Overlay | None) -> Discrepancy | None:
    return _OVERLAID.get(overlay) if overlay is not None else None


def _seconds(span: timedelta | None) -> float | None:
    return None if span is None else round(span.total_seconds(), 3)
