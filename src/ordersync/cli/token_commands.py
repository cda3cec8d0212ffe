"""The commands below `ordersync token` and their options. What they do is in `tokens`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

if TYPE_CHECKING:
    from ordersync.cli.output import Output

tokens = typer.Typer(
    name="token",
    help="Tokens for those who call the API.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@tokens.command("new")
def new(
    context: typer.Context,
    scope: Annotated[
        Literal["read", "operate"], typer.Option(help="read; or operate, which reads as well.")
    ],
    name: Annotated[str, typer.Option(help="Whose it is.")],
    lasts: Annotated[
        str | None, typer.Option(help="For how long it is good (default: until it is revoked).")
    ] = None,
) -> None:
    """Make one; it is printed this once."""
    from ordersync.cli import tokens as work  # noqa: PLC0415 - loads the service

    output = cast("Output", context.obj)
    output.run(work.new(output, name, scope, lasts))


@tokens.command("list")
def show(context: typer.Context) -> None:
    """All there ever were, without what opens anything."""
    from ordersync.cli import tokens as work  # noqa: PLC0415 - loads the service

    output = cast("Output", context.obj)
    output.run(work.show(output))


@tokens.command("revoke")
def revoke(context: typer.Context, name: Annotated[str, typer.Argument(help="Its name.")]) -> None:
    """From now on it opens nothing."""
    from ordersync.cli import tokens as work  # noqa: PLC0415 - loads the service

    output = cast("Output", context.obj)
    output.run(work.revoke(output, name))
