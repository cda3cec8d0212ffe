"""`plan`: what verifying costs, way by way, and which limit comes first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from ordersync import capacity
from ordersync import settings as configuration
from ordersync.capacity import counted
from ordersync.service import count_loads
from ordersync.service import plan as reckon

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ordersync.capacity import Load, Plan
    from ordersync.cli.output import Output

_NAMES = {capacity.Way.RUN: "ordersync run", capacity.Way.CELERY: "Celery alone"}
_SOON = 60.0
_MANY = 10
_FIGURES = {
    "order_pass": capacity.ORDER_PASS_MS,
    "order_at_rest": capacity.ORDER_AT_REST_MS,
    "idle": capacity.IDLE_MB,
    "most": capacity.MOST_MB_OF_100_000,
    "visit": capacity.VISIT_MS,
    "worker": capacity.WORKER_MB,
    "account": capacity.ACCOUNT_MB,
    **{f"commits_{make}": figure for make, figure in capacity.COMMITS_A_SECOND.items()},
}


async def plan(output: Output, accounts: int | None, open_orders: int | None) -> None:
    """What is there and, where numbers are given, what may be."""
    settings = configuration.load(output.config)
    loads = await count_loads(settings)
    grown = accounts is not None or open_orders is not None
    scenes = {"now": reckon(settings, loads)}
    if grown:
        scenes["what_if"] = reckon(settings, loads, accounts, open_orders)
    if output.as_json:
        output.give({"accounts": loads, **scenes, "figures": _FIGURES})
        return
    _show_loads(output, loads)
    for name, plans in scenes.items():
        _show(output, "What is there" if name == "now" else "What if", plans)
    output.say()
    output.say(
        "Measured figures are those of docs/reference/benchmarks.md, on its machine; yours may be "
        "twice as fast or half. Calls keep to our share of what the venue allows.",
        style="dim",
    )


def _show_loads(output: Output, loads: Sequence[Load]) -> None:
    for load in loads[:_MANY]:
        new = "" if load.new_a_day is None else f", {load.new_a_day:,.0f} new a day"
        output.say(f"{load.account} ({load.venue}): {counted(load.open_orders, 'open order')}{new}")
    if len(loads) > _MANY:
        output.say(f"and {len(loads) - _MANY:,} more accounts; --json has them all")


def _show(output: Output, title: str, plans: Sequence[Plan]) -> None:
    first = plans[0]
    output.say()
    accounts = counted(first.accounts, "account")
    orders = counted(first.open_orders, "open order")
    output.say(f"{title}: {accounts}, {orders}", style="bold")
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for plan in plans:
        table.add_column(_NAMES[plan.way], justify="right")
    for name, cells in _rows(plans):
        table.add_row(name, *cells)
    output.person.print(table)
    for plan in plans:
        output.say(f"Limits of {_NAMES[plan.way]}, the nearest first:")
        for limit in plan.limits:
            output.say(f"  {limit}.")


def _rows(plans: Sequence[Plan]) -> list[tuple[str, list[str]]]:
    rows = [
        ("processes", [f"{plan.processes:,}" for plan in plans]),
        ("an order was last looked at, at worst", [_time(p.fresh_seconds) for p in plans]),
    ]
    for at, share in enumerate(plans[0].venues):
        shares = [plan.venues[at] for plan in plans]
        rows += [
            (
                f"{share.venue}: calls a minute, all accounts",
                [f"{one.calls_all:,.0f}" for one in shares],
            ),
            (
                f"{share.venue}: calls a minute, largest account",
                [
                    f"{one.calls_of_largest:,.0f} of our {one.ours:,.0f} (venue: {one.limit:,.0f})"
                    for one in shares
                ],
            ),
            (
                f"{share.venue}: a pass over the largest, from nothing",
                [
                    f"{counted(one.calls_a_pass, 'call')}, {_time(one.worst_seconds)}"
                    for one in shares
                ],
            ),
        ]
    return [
        *rows,
        ("rows written a second", [f"{plan.rows_a_second:,.1f}" for plan in plans]),
        ("connections to the database", [f"{plan.connections:,}" for plan in plans]),
        ("processors", [f"{plan.processors:.2f}" for plan in plans]),
        ("memory, all processes", [f"{plan.memory_mb:,.0f} MB" for plan in plans]),
        ("messages a minute", [f"{plan.messages_a_minute:,.0f}" for plan in plans]),
    ]


def _time(seconds: float) -> str:
    if seconds < _SOON:
        return f"{seconds:.1f} s"
    minutes = seconds / 60
    return f"{minutes:.1f} min" if minutes < _SOON else f"{minutes / 60:.1f} h"
