"""The commands and their options. What they do is in `commands`, `setup` and `demo`."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from ordersync import __version__
from ordersync.cli import operator
from ordersync.cli.output import Exit, Output
from ordersync.cli.token_commands import tokens
from ordersync.cli.watch_commands import alerts, status

if TYPE_CHECKING:
    from typer.models import CommandInfo

app = typer.Typer(
    name="ordersync",
    help="Keeps a trading bot's own order table true to the exchange.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.add_typer(tokens)
app.add_typer(alerts)
app.command()(status)

_USAGE_ERROR = 2
_FLAGS = frozenset({"--json"})
_VALUES = frozenset({"-c", "--config"})
_MISUSED = {
    "what": "the command line is not understood; stderr says where.",
    "where": "command line",
    "mend": "See ordersync --help.",
}

Older = Annotated[str, typer.Option("--older-than", help="Only rows at least this old.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show what would be written; write nothing.")
]


def _name_of(command: CommandInfo) -> str:
    return command.name or getattr(command.callback, "__name__", "").replace("_", "-")


def run(arguments: list[str]) -> int:
    """Run the command line; the exit status comes back."""
    output = Output()
    try:
        app(_shared_first(arguments), standalone_mode=True, obj=output, prog_name="ordersync")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
        if code:
            # The library has told a usage error on stderr; its own status for one is 2.
            if code == _USAGE_ERROR and "--json" in arguments:
                output.give({"error": _MISUSED})
            return Exit.CONFIGURATION if code == _USAGE_ERROR else code
    return int(output.status)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ordersync {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=False)
def _shared(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option("-c", "--config", help="The configuration (default: ordersync.toml)."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Answer with JSON on stdout.")] = False,
    _: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", is_eager=True, callback=_show_version),
    ] = False,
) -> None:
    output = cast("Output", context.obj)
    output.as_json, output.config = as_json, config


@app.command()
def init(
    context: typer.Context,
    database: Annotated[
        str | None,
        typer.Option(
            help="sqlite:///bot.db, postgresql://user@host/name or mysql://user@host/name"
        ),
    ] = None,
    database_env: Annotated[
        str | None, typer.Option(help="The variable that holds the database's URL.")
    ] = None,
    table: Annotated[str | None, typer.Option(help="The table of orders.")] = None,
    venue: Annotated[str, typer.Option(help="The exchange.")] = "coinbase",
    account: Annotated[str, typer.Option(help="A name for the account.")] = "main",
    key_file: Annotated[
        str | None, typer.Option(help="The API key's JSON file, mode 0600.")
    ] = None,
    paper: Annotated[
        bool | None, typer.Option("--paper/--live", help="Alpaca: which kind of account it is.")
    ] = None,
    rest_url: Annotated[str | None, typer.Option(help="Another host, for a simulator.")] = None,
    ws_url: Annotated[str | None, typer.Option(help="Another host for push.")] = None,
    unknown_word: Annotated[
        str | None, typer.Option(help="The word to write for an order that is provably gone.")
    ] = None,
) -> None:
    """Propose the mapping and write ordersync.toml.

    Looks at the table and the words in use, and says why for each guess.
    """
    from ordersync.cli.setup import Wishes, set_up  # noqa: PLC0415 - loads the database library

    wishes = Wishes(
        database=database,
        database_env=database_env,
        table=table,
        venue=venue,
        account=account,
        key_file=key_file or f"~/.config/ordersync/{venue}.json",
        paper=paper,
        rest_url=rest_url,
        ws_url=ws_url,
        unknown_word=unknown_word,
    )
    output = cast("Output", context.obj)
    output.run(set_up(output, wishes))


@app.command()
def doctor(context: typer.Context) -> None:
    """Check everything; each finding with its mend."""
    from ordersync.cli import commands  # noqa: PLC0415 - loads the service

    output = cast("Output", context.obj)
    output.run(commands.doctor(output))


@app.command()
def audit(
    context: typer.Context,
    since: Annotated[
        str, typer.Option(help="How far back to look for orders without a row.")
    ] = "24h",
) -> None:
    """Compare the table with the exchange; write nothing."""
    from ordersync.cli import commands  # noqa: PLC0415 - loads the service

    output = cast("Output", context.obj)
    output.run(commands.audit(output, since))


@app.command()
def sync(context: typer.Context, dry_run: DryRun = False) -> None:
    """One pass that makes the table true."""
    from ordersync.cli import commands  # noqa: PLC0415 - loads the service

    output = cast("Output", context.obj)
    output.run(commands.dry_run(output, None) if dry_run else commands.sync(output))


@app.command("run")
def run_service(
    context: typer.Context,
    shadow: Annotated[
        bool, typer.Option("--shadow", help="Decide and record, but write no row.")
    ] = False,
    log_format: Annotated[
        Literal["text", "json"] | None,
        typer.Option(help="How the log looks (default: log.format, which is text)."),
    ] = None,
) -> None:
    """Keep the table true until stopped."""
    from ordersync.cli import commands  # noqa: PLC0415 - loads the service

    output = cast("Output", context.obj)
    output.run(commands.run(output, shadow=shadow, log_format=log_format))


@app.command()
def history(
    context: typer.Context,
    order: Annotated[str, typer.Argument(help="A row's id, a venue order id or a client id.")],
) -> None:
    """Every recorded change of one order."""
    from ordersync.cli import history as past  # noqa: PLC0415 - loads the database library

    output = cast("Output", context.obj)
    output.run(past.history(output, order))


@app.command()
def cleanup(
    context: typer.Context,
    older_than: Older = "24h",
    dry_run: DryRun = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    accept_absent: Annotated[
        bool,
        typer.Option(
            "--accept-absent",
            help="Your word that the key is the right one, where the account cannot prove it.",
        ),
    ] = False,
) -> None:
    """Verify and repair old open rows, once.

    Each is looked up at the exchange and repaired; what is provably gone is marked.
    """
    from ordersync.cli import commands  # noqa: PLC0415 - loads the service

    output = cast("Output", context.obj)
    if dry_run:
        output.run(commands.dry_run(output, older_than))
    else:
        output.run(commands.cleanup(output, older_than, yes=yes, accept_absent=accept_absent))


@app.command()
def archive(
    context: typer.Context,
    older_than: Annotated[
        str | None,
        typer.Option(
            "--older-than", help="Only what ended so long ago (default: retention.after)."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would move; write nothing.")
    ] = False,
) -> None:
    """Move what ended long ago out of the database, into files."""
    from ordersync.cli import archiving  # noqa: PLC0415 - loads the service

    output = cast("Output", context.obj)
    output.run(archiving.archive(output, older_than, dry_run=dry_run))


@app.command()
def plan(
    context: typer.Context,
    accounts: Annotated[int | None, typer.Option(help="What if there were so many.")] = None,
    open_orders: Annotated[
        int | None, typer.Option(help="What if so many were open, spread over all accounts.")
    ] = None,
) -> None:
    """What verifying costs, and where the limits are.

    Calls, writes, connections and memory, from your own configuration and rows. Asks no exchange.
    """
    from ordersync.cli import plan as planning  # noqa: PLC0415 - loads the service

    output = cast("Output", context.obj)
    output.run(planning.plan(output, accounts, open_orders))


@app.command()
def schema(
    context: typer.Context,
    sql: Annotated[bool, typer.Option("--sql", help="Print the statements.")] = False,
    role: Annotated[
        str | None, typer.Option(help="Print the rights that this user of the database needs, too.")
    ] = None,
    notify: Annotated[
        bool, typer.Option("--notify", help="Print the trigger that tells of new rows at once.")
    ] = False,
) -> None:
    """The SQL for whoever owns the database; runs nothing.

    Only where ordersync may not make its own tables, or should hear of new rows at once.
    """
    from ordersync.cli import commands  # noqa: PLC0415 - loads the database library

    del sql  # there is nothing else to print yet
    output = cast("Output", context.obj)
    output.run(commands.schema(output, role, notify=notify))


@app.command()
def simulator(
    context: typer.Context,
    directory: Annotated[Path, typer.Option("--dir", help="Where key file and ordersync.toml go.")],
    seed: Annotated[int, typer.Option(help="The same seed makes the same exchange.")] = 0,
    faults: Annotated[Path | None, typer.Option(help="What goes wrong, as TOML.")] = None,
    port: Annotated[int, typer.Option(help="0: any free port.")] = 0,
    venue: Annotated[
        Literal["coinbase", "alpaca"], typer.Option(help="Whose protocol it speaks.")
    ] = "coinbase",
) -> None:
    """An exchange on this machine, to try things on.

    It speaks Coinbase's protocol, or Alpaca's.
    """
    from ordersync.cli import commands  # noqa: PLC0415 - loads the simulator

    output = cast("Output", context.obj)
    output.run(commands.simulator(output, directory, seed, faults, port, venue))


@app.command()
def demo(
    context: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="End by itself, with a summary.")] = False,
) -> None:
    """A careless bot, and its table coming true."""
    from ordersync.cli import commands  # noqa: PLC0415 - loads the simulator

    output = cast("Output", context.obj)
    output.run(commands.demo(output, once=once))


operator.add_commands(app)

_DAILY_FIRST = (
    *("init", "doctor", "audit", "sync", "run", "status", "history"),
    *("cleanup", "resolve", "correct", "archive"),
    *("plan", "schema", "simulator", "demo"),
)
app.registered_commands.sort(key=lambda command: _DAILY_FIRST.index(_name_of(command)))


def _shared_first(arguments: list[str]) -> list[str]:
    """`-c` and `--json` mean the same before and after the command: put them before it."""
    shared: list[str] = []
    rest: list[str] = []
    waiting = iter(arguments)
    for argument in waiting:
        if argument == "--":
            rest += [argument, *waiting]
        elif argument in _FLAGS or argument.startswith("--config="):
            shared.append(argument)
        elif argument in _VALUES:
            shared += [argument, *[value for value in [next(waiting, None)] if value is not None]]
        else:
            rest.append(argument)
    return shared + rest
