"""What a person says of an order: find it, show before and after, ask once, write."""

from __future__ import annotations

import asyncio
import getpass
import sys
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

import msgspec
from rich.table import Table

from ordersync import settings as configuration
from ordersync.cli import show
from ordersync.cli.logs import set_up_log
from ordersync.cli.output import Exit
from ordersync.errors import ConfigError
from ordersync.service import build_views
from ordersync.service.at_work import serving
from ordersync.sync.operator import Word
from ordersync.sync.parcels import name_of
from ordersync.truth.model import Facts, Status

if TYPE_CHECKING:
    from ordersync.cli.output import Output
    from ordersync.ports import Match
    from ordersync.settings import Settings
    from ordersync.sync.operator import Acted

_LINES = {
    "word": "row says",
    "status": "status",
    "filled_qty": "filled",
    "avg_price": "average price",
    "fee": "fee",
}


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What stands on the command line, as text."""

    status: str | None
    numbers: dict[str, str | None]
    reason: str
    by: str | None


def said(
    status: str | None,
    filled_qty: str | None,
    avg_price: str | None,
    fee: str | None,
    reason: str,
    by: str | None,
) -> Said:
    """The options of the command line."""
    numbers = {"filled_qty": filled_qty, "avg_price": avg_price, "fee": fee}
    return Said(status=status, numbers=numbers, reason=reason, by=by)


async def act(
    output: Output, order: str, what: Said, *, resolves: bool, dry_run: bool, yes: bool
) -> None:
    """Resolve or correct one order."""
    set_up_log(as_json=output.as_json)
    word = _word(what, resolves=resolves)
    settings = configuration.load(output.config)
    match = await _the_one(output, settings, order)
    if match is None:
        return
    if not yes or dry_run:
        _show(output, match, await _do(settings, match, word, resolves=resolves, dry_run=True))
        if dry_run:
            output.say("Nothing was written (dry run).")
            return
        if not sys.stdin.isatty() or not sys.stdout.isatty() or output.as_json:
            command = "resolve" if resolves else "correct"
            output.say(f"Nothing was written. To write it: ordersync {command} … --yes")
            return
        answer = await asyncio.to_thread(input, "Write this? [y/N] ")
        if answer.strip().lower() not in {"y", "yes"}:
            output.say("Nothing was written.")
            return
    acted = await _do(settings, match, word, resolves=resolves, dry_run=False)
    if yes:
        _show(output, match, acted)
    if acted.why:
        output.status = Exit.UNVERIFIED
        output.aside.print(
            f"It is kept, but the row could not be written: {acted.why}",
            style="yellow",
            markup=False,
        )
    output.say("Written. Another resolve or correct undoes it.")


async def _do(
    settings: Settings, match: Match, word: Word, *, resolves: bool, dry_run: bool
) -> Acted:
    async with serving(settings, create=not dry_run) as service:
        if match.account not in service.venues:
            raise ConfigError(
                f"the order is of the account {match.account!r}, which is not configured.",
                where=f"{settings.path}: accounts",
                mend=f"Add [accounts.{match.account}], or mend the row's account.",
            )
        do = service.operator.resolve if resolves else service.operator.correct
        return await do(match.account, name_of(match.key), word, dry_run=dry_run)


async def _the_one(output: Output, settings: Settings, order: str) -> Match | None:
    """The order that is meant; None where there is none, or more than one, and that was told."""
    matches = await build_views(settings).find(order)
    if not matches:
        output.fail(
            ConfigError(
                "nothing is known of it: no row, venue order id or client id is that.",
                where=repr(order),
                mend="ordersync audit lists rows with their orders.",
            )
        )
        output.status = Exit.DIFFERENCES
        return None
    if len(matches) > 1:
        lines = "; ".join(show.named(match) for match in matches)
        raise ConfigError(
            f"{len(matches)} orders are meant by that: {lines}.",
            where=repr(order),
            mend="Name the one by its row id or its venue order id.",
        )
    if matches[0].key.startswith("r:"):
        raise ConfigError(
            "its row names no order: it has neither a venue order id nor a client id.",
            where=repr(order),
            mend="Write the order's id into the row, or mend the row itself.",
        )
    return matches[0]


def _word(what: Said, *, resolves: bool) -> Word:
    """What is said, understood. Raises ConfigError."""
    numbers = {name: _number(name, text) for name, text in what.numbers.items()}
    if not resolves and what.status is None and set(numbers.values()) == {None}:
        raise ConfigError(
            "nothing is named that should be corrected.",
            where="correct",
            mend="Name at least one of --as, --filled-qty, --avg-price and --fee.",
        )
    return Word(
        by=what.by or _who(),
        reason=what.reason,
        facts=Facts(
            status=_status(what.status),
            filled_qty=numbers["filled_qty"],
            avg_price=numbers["avg_price"],
            fee=numbers["fee"],
        ),
    )


def _status(text: str | None) -> Status | None:
    possible = [status.value for status in Status if status is not Status.UNKNOWN]
    if text is None:
        return None
    if text not in possible:
        raise ConfigError(
            f"{text!r} is not how an order can stand.",
            where="--as",
            mend=f"Write one of {', '.join(possible)}.",
        )
    return Status(text)


def _number(name: str, text: str | None) -> Decimal | None:
    try:
        return None if text is None else Decimal(text)
    except InvalidOperation:
        raise ConfigError(
            f"{text!r} is not a number.",
            where=f"--{name.replace('_', '-')}",
            mend="Write plain digits: 0.25",
        ) from None


def _who() -> str:
    """Who is logged in. Raises ConfigError where the system does not know."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        raise ConfigError(
            "this system does not know who you are.", where="--by", mend="Say it: --by NAME."
        ) from None


def _show(output: Output, match: Match, acted: Acted) -> None:
    """Before and after, side by side, and the cells of the row that change."""
    if output.as_json:
        output.give({"order": match, **msgspec.structs.asdict(acted)})
        return
    output.say(show.named(match), style="bold")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in ("", "before", "after"):
        table.add_column(head, overflow="fold")
    for field, name in _LINES.items():
        before, after = getattr(acted.before, field), getattr(acted.after, field)
        style = "yellow" if before != after else None
        table.add_row(name, _cell(before), _cell(after), style=style)
    output.person.print(table)
    cells = ", ".join(change.column for change in acted.changes)
    output.say(f"Cells of the row that change: {cells}" if cells else "The row stays as it is.")


def _cell(value: str | None) -> str:
    return "-" if value is None else value
