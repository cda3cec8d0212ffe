"""The figures of each minute in `ordersync_samples`, and how they become hours."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from ordersync.sampled import (
    HOUR,
    HOURS_KEPT,
    MINUTE,
    MINUTES_KEPT,
    NO_LATENCIES,
    Sample,
    joined,
)
from ordersync.store.plan import spell
from ordersync.store.statement import Ask, Upsert

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ordersync.store.aside import Aside
    from ordersync.store.database import Session
    from ordersync.store.own import OwnStatements

_SAMPLE = Upsert(
    table="samples",
    columns={"account": False, "step": True, "at": False, "body": False},
    key=("account", "step", "at"),
    updates=("body",),
)

ROLLED_AT_ONCE = 1_000
"""How many minutes one transaction makes hours of: somebody waits for SQLite meanwhile."""

_MINUTE, _HOUR = int(MINUTE.total_seconds()), int(HOUR.total_seconds())

_decode = msgspec.json.Decoder(Sample).decode
_encode = msgspec.json.Encoder().encode


class SampleLog:
    """Implements `sampled.Samples`."""

    def __init__(self, aside: Aside) -> None:
        self._aside = aside

    async def keep(self, samples: Sequence[Sample]) -> None:
        """Write samples of minutes; the same one again replaces it."""
        await self._aside.write(lambda session, own: _put(session, own, _MINUTE, samples))

    async def first_at(self, account: str) -> datetime | None:
        """Since when there are samples of this account."""

        def look(session: Session, own: OwnStatements) -> list[str]:
            at = own.spelling.param("account")
            text = f"SELECT min(at) FROM {own.table('samples')} WHERE account = {at}"
            return [first for (first,) in session.fetch(Ask(text, {"account": account})) if first]

        found = await self._aside.read(look, "samples")
        return datetime.fromisoformat(found[0]) if found else None

    async def list_since(self, since: datetime) -> list[Sample]:
        """Those of all accounts that began since then, oldest first."""

        def look(session: Session, own: OwnStatements) -> list[Sample]:
            at = own.spelling.param("since")
            text = f"SELECT body FROM {own.table('samples')} WHERE at >= {at} ORDER BY at, account"
            rows = session.fetch(Ask(text, {"since": spell(since)}))
            return [_read(body) for (body,) in rows]

        return await self._aside.read(look, "samples")

    async def roll_up(self, account: str, now: datetime) -> None:
        """Make hours of the minutes that are old, and drop the hours that are too old."""
        before = _hour_of(now - MINUTES_KEPT)

        def roll(session: Session, own: OwnStatements) -> None:
            about = {"account": account, "step": _MINUTE}
            table, this = own.table("samples"), _this(own)
            at = own.spelling.param("before")
            old = f"{table} WHERE {this} AND at < {at}"
            text = f"SELECT at, body FROM {old} ORDER BY at LIMIT {ROLLED_AT_ONCE}"
            rows = session.fetch(Ask(text, {**about, "before": spell(before)}))
            # The last hour may go on behind the limit: then it is left for the next time.
            hours = _by_hour(_read(body) for _, body in rows)
            if len(rows) == ROLLED_AT_ONCE and len(hours) > 1:
                hours.popitem()
            if hours:
                last = max(hours) + HOUR
                there = f"SELECT body FROM {table} WHERE {this} AND at >= {at}"
                first = {"account": account, "step": _HOUR, "before": spell(min(hours))}
                # An hour that was made of some of its minutes already takes in the others.
                for (body,) in session.fetch(Ask(there, first)):
                    made = _read(body)
                    if made.at in hours:
                        hours[made.at].append(made)
                made_of = [
                    msgspec.structs.replace(joined(some), at=hour) for hour, some in hours.items()
                ]
                _put(session, own, _HOUR, made_of)
                session.run(Ask(f"DELETE FROM {old}", {**about, "before": spell(last)}))
            gone = {"account": account, "step": _HOUR, "before": spell(now - HOURS_KEPT)}
            session.run(Ask(f"DELETE FROM {old}", gone))

        await self._aside.write(roll)


def _this(own: OwnStatements) -> str:
    at = own.spelling.param
    return f"account = {at('account')} AND step = {at('step')}"


def _put(session: Session, own: OwnStatements, step: int, samples: Iterable[Sample]) -> None:
    put = msgspec.structs.replace(_SAMPLE, table=own.table("samples"))
    rows = [(one.account, step, spell(one.at), _encode(one).decode()) for one in samples]
    session.upsert(put, rows)


def _read(body: str) -> Sample:
    """A sample as it would be kept today.

    One from before there were finer buckets tells no more than that a latency was within the
    bound that was the first one then: that is where it goes on being counted.
    """
    sample = _decode(body)
    finer = NO_LATENCIES[len(sample.latency.counts) :]
    if not finer:
        return sample
    late = msgspec.structs.replace(sample.latency, counts=(*finer, *sample.latency.counts))
    return msgspec.structs.replace(sample, latency=late)


def _by_hour(samples: Iterable[Sample]) -> dict[datetime, list[Sample]]:
    """The samples by the hour that they began in, earliest first."""
    hours: dict[datetime, list[Sample]] = {}
    for one in samples:
        hours.setdefault(_hour_of(one.at), []).append(one)
    return hours


def _hour_of(moment: datetime) -> datetime:
    since = datetime(1970, 1, 1, tzinfo=UTC)
    return moment - (moment - since) % timedelta(hours=1)
