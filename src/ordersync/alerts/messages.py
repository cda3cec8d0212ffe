"""What a person reads. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from ordersync.alerted import Alert

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ordersync.alerted import Loudness

LISTED = 5
"""How many orders a message names; of the others it says how many they are."""

_TITLES = {
    Alert.ORDER_STALE: ("{n} order is stale", "{n} orders are stale"),
    Alert.ORDER_STALE_LONG: (
        "{n} order is stale for very long",
        "{n} orders are stale for very long",
    ),
    Alert.ORDER_SUSPECT: ("{n} order is suspect", "{n} orders are suspect"),
    Alert.ORDER_UNKNOWN: ("{n} order became unknown", "{n} orders became unknown"),
    Alert.FINAL_REPAIRED: (
        "{n} finished row was wrong and is repaired",
        "{n} finished rows were wrong and are repaired",
    ),
    Alert.ORPHAN: ("{n} order has no row", "{n} orders have no row"),
    Alert.ACCOUNT_DEGRADED: ("push is degraded",) * 2,
    Alert.ACCOUNT_SILENT: ("nothing is verified",) * 2,
    Alert.DATABASE_AWAY: ("the database cannot be read",) * 2,
    Alert.KEY_REFUSED: ("the key is refused",) * 2,
    Alert.KEY_EXPIRES: ("the key expires",) * 2,
    Alert.RATE_LIMITED: ("the exchange's rate limit is reached",) * 2,
    Alert.OBJECTIVE_MISSED: ("an objective is missed",) * 2,
    Alert.ALL_WELL: ("all well again",) * 2,
    Alert.TEST: ("this is a test",) * 2,
}

_MENDS = {
    Alert.ORDER_STALE: "The rows say open, and the exchange could not be asked or says otherwise.",
    Alert.ORDER_STALE_LONG: "Bots may be blocked by them: see the exchange yourself.",
    Alert.ORDER_SUSPECT: "The exchange does not show them; check the key. Nothing was written.",
    Alert.ORDER_UNKNOWN: "The exchange does not have them: find out what became of them.",
    Alert.FINAL_REPAIRED: "Find out who wrote them: ordersync history ROW.",
    Alert.ORPHAN: "Somebody trades here who writes no rows.",
    Alert.ACCOUNT_DEGRADED: "All is asked for instead; it mends itself.",
    Alert.ACCOUNT_SILENT: "See: ordersync doctor.",
    Alert.DATABASE_AWAY: "Until it can, no row is kept true. See: ordersync doctor.",
    Alert.KEY_REFUSED: "Make a new key that may view, and put it into the key file.",
    Alert.KEY_EXPIRES: "Make a new key that may view, and put it into the key file.",
    Alert.RATE_LIMITED: "Somebody else uses the same key, or the same address.",
    Alert.OBJECTIVE_MISSED: "See the objectives in the dashboard.",
}


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is the case, or happened. `subject` tells it from others of its kind."""

    kind: Alert
    account: str
    subject: str = ""
    what: str = ""
    row_id: str | None = None
    owner: str | None = None
    symbol: str | None = None


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What a message says of one kind: how many there are, and the first of them."""

    kind: Alert
    count: int
    first: tuple[Cause, ...] = ()
    note: str = ""


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message about one account."""

    account: str
    at: datetime
    parts: tuple[Part, ...]

    @property
    def loudness(self) -> Loudness:
        """That of its loudest part."""
        return max((part.kind.loudness for part in self.parts), key=lambda one: one.rank)


def title_of(messages: Sequence[Message]) -> str:
    """One line for the messages that go together."""
    return "; ".join(
        f"{message.account}: {', '.join(_headline(part) for part in message.parts)}"
        for message in messages
    )[:250]


def text_of(messages: Sequence[Message], link: str) -> str:
    """The messages that go together, in plain text, with links to the orders."""
    lines: list[str] = []
    for message in messages:
        for part in message.parts:
            lines.append(f"{message.account}: {_headline(part)}. {part.note}".rstrip())
            lines += [f"- {_line(cause, link)}" for cause in part.first]
            if part.count > len(part.first) > 0:
                lines.append(f"- and {part.count - len(part.first):,} more")
            if mend := _MENDS.get(part.kind):
                lines.append(mend)
    lines.append(link)
    return "\n".join(lines)


def _headline(part: Part) -> str:
    one, many = _TITLES[part.kind]
    return (one if part.count == 1 else many).format(n=f"{part.count:,}")


def _line(cause: Cause, link: str) -> str:
    if cause.row_id is None:
        return cause.what or cause.subject
    named = [f"row {cause.row_id}", *([cause.symbol] if cause.symbol else [])]
    named += [f"of {cause.owner}"] if cause.owner else []
    told = f": {cause.what}" if cause.what else ""
    return f"{' '.join(named)}{told} {link}/#order={quote(cause.row_id, safe='')}"
