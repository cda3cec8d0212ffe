"""`ordersync status` and the commands below `ordersync alert`. What they do is in `watching`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

import typer

if TYPE_CHECKING:
    from ordersync.cli.output import Output

alerts = typer.Typer(
    name="alert",
    help="Who is told when a person is needed.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@alerts.callback()
def _together() -> None:
    """So that one command below it keeps its name."""


@alerts.command("test")
def test(context: typer.Context) -> None:
    """Send a message to every channel, and say which took it."""
    from ordersync.cli import watching  # noqa: PLC0415 - loads the service

    output = cast("Output", context.obj)
    output.run(watching.test(output))


def status(
    context: typer.Context,
    watch: Annotated[bool, typer.Option("--watch", help="Again every two seconds.")] = False,
) -> None:
    """How everything stands, on one screen."""
    from ordersync.cli import watching  # noqa: PLC0415 - loads the service

    output = cast("Output", context.obj)
    output.run(watching.status(output, watch=watch))
