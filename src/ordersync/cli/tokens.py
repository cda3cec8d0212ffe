"""What the commands below `ordersync token` do: who may call, and no longer may."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.table import Table

from ordersync import settings as configuration
from ordersync.cli.output import Exit
from ordersync.cli.spans import duration
from ordersync.errors import ConfigError
from ordersync.service import list_tokens, new_token, revoke_token
from ordersync.tokened import Scope, Token

if TYPE_CHECKING:
    from ordersync.cli.output import Output

NAME_LIMIT = 60


async def new(output: Output, name: str, scope_name: str, lasts: str | None) -> None:
    """Make a token and print it, once."""
    settings, scope = configuration.load(output.config), Scope(scope_name)
    if not name.strip() or len(name) > NAME_LIMIT or not name.isprintable():
        raise ConfigError(
            f"a name has 1 to {NAME_LIMIT} letters that can be printed.",
            where="--name",
            mend="Name it after its holder: --name dashboard",
        )
    span = duration(lasts, "--lasts") if lasts is not None else None
    secret = await new_token(settings, name, scope, span)
    if secret is None:
        raise ConfigError(
            "there is, or was, a token of that name.",
            where=f"--name {name}",
            mend="Take another name: what it did stays to be read.",
        )
    if output.as_json:
        output.give({"token": secret, "name": name, "scope": scope})
        return
    output.say(secret)
    output.aside.print(
        f"It may {'read and operate' if scope is Scope.OPERATE else 'read'}. It is shown this once"
        " and kept nowhere: put it where its holder keeps secrets.\n"
        "Send it as the header  Authorization: Bearer TOKEN",
        markup=False,
    )


async def show(output: Output) -> None:
    """All tokens, without what opens anything."""
    settings = configuration.load(output.config)
    tokens, now = await list_tokens(settings), datetime.now(UTC)  # noqa: TID251 - for a person
    if output.as_json:
        fields = ("name", "scope", "created_at", "expires_at", "revoked_at")
        output.give({"tokens": [{f: getattr(t, f) for f in fields} for t in tokens]})
        return
    if not tokens:
        output.say("There is no token. Make one: ordersync token new --scope read --name NAME")
        return
    table = Table("name", "scope", "made", "now", box=None, pad_edge=False)
    for token in tokens:
        table.add_row(token.name, token.scope, f"{token.created_at:%Y-%m-%d}", _word(token, now))
    output.person.print(table, markup=False)


async def revoke(output: Output, name: str) -> None:
    """From now on it opens nothing."""
    settings = configuration.load(output.config)
    if not await revoke_token(settings, name):
        output.fail(
            ConfigError(
                "there is no such token, or it is revoked already.",
                where=repr(name),
                mend="ordersync token list shows all.",
            )
        )
        output.status = Exit.DIFFERENCES
        return
    if output.as_json:
        output.give({"revoked": name})
    output.say(f"{name} opens nothing any more, within five seconds where ordersync runs.")


def _word(token: Token, now: datetime) -> str:
    if token.revoked_at is not None:
        return f"revoked {token.revoked_at:%Y-%m-%d}"
    if token.expires_at is None:
        return "good"
    return f"{'good until' if token.is_good(now) else 'expired'} {token.expires_at:%Y-%m-%d}"
