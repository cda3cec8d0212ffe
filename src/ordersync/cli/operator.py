"""The commands for the operator's acts and their options. What they do is in `acts`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

import typer

if TYPE_CHECKING:
    from ordersync.cli.output import Output

Order = Annotated[str, typer.Argument(help="A row's id, a venue order id or a client id.")]
Filled = Annotated[
    str | None, typer.Option("--filled-qty", help="How much is filled, in base units.")
]
Price = Annotated[
    str | None, typer.Option("--avg-price", help="The average price of what is filled.")
]
Fee = Annotated[str | None, typer.Option("--fee", help="All fees, in quote units.")]
Reason = Annotated[str, typer.Option("--reason", help="Why: it is kept with the change.")]
By = Annotated[
    str | None, typer.Option("--by", help="Who says so (default: who is logged in here).")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show what would be written; write nothing.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def add_commands(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(resolve)
    app.command()(correct)


def resolve(
    context: typer.Context,
    order: Order,
    status: Annotated[
        str, typer.Option("--as", help="How it stands: filled, canceled, expired, rejected, new …")
    ],
    reason: Reason,
    filled_qty: Filled = None,
    avg_price: Price = None,
    fee: Fee = None,
    by: By = None,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Say what became of an order that the exchange does not know.

    Only of one that is suspect or unknown. If the exchange ever shows it, the exchange is believed.
    """
    from ordersync.cli import acts  # noqa: PLC0415 - loads the service

    output = cast("Output", context.obj)
    said = acts.said(status, filled_qty, avg_price, fee, reason, by)
    output.run(acts.act(output, order, said, resolves=True, dry_run=dry_run, yes=yes))


def correct(
    context: typer.Context,
    order: Order,
    reason: Reason,
    status: Annotated[
        str | None, typer.Option("--as", help="How it stands, where that is wrong.")
    ] = None,
    filled_qty: Filled = None,
    avg_price: Price = None,
    fee: Fee = None,
    by: By = None,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Overrule what the exchange says of an order: a bust, a correction, a settlement elsewhere.

    What is not named stays as it is. A later `correct` undoes it.
    """
    from ordersync.cli import acts  # noqa: PLC0415 - loads the service

    output = cast("Output", context.obj)
    said = acts.said(status, filled_qty, avg_price, fee, reason, by)
    output.run(acts.act(output, order, said, resolves=False, dry_run=dry_run, yes=yes))
