"""What moves out of the way: `ordersync archive`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ordersync import settings as configuration
from ordersync.cli.logs import set_up_log
from ordersync.cli.output import Exit
from ordersync.cli.spans import duration
from ordersync.service import serving

if TYPE_CHECKING:
    from ordersync.cli.output import Output
    from ordersync.sync.retention import Moved


async def archive(output: Output, older_than: str | None, *, dry_run: bool) -> None:
    """Move what ended long ago out of the database."""
    set_up_log(as_json=output.as_json)
    settings = configuration.load(output.config)
    age = (settings.retention or configuration.Retention()).after
    where = "retention.after"
    if older_than is not None:
        age, where = duration(older_than, "--older-than"), "--older-than"
    configuration.check_age(settings, age, where=where)
    async with serving(settings, create=not dry_run) as service:
        if not dry_run:
            await service.archive.check(make=True)
        with output.progress("Archiving") as progress:

            def tell(so_far: Moved) -> None:
                progress(so_far.orders, so_far.orders)

            moved = await service.retention.move(age, dry_run=dry_run, progress=tell)
    if moved.left:
        output.status = Exit.UNVERIFIED
    if output.as_json:
        folder = str(settings.resolve((settings.retention or configuration.Retention()).folder))
        output.give({"moved": moved, "folder": folder, "dry_run": dry_run})
        return
    _show_moved(output, moved, dry_run=dry_run)


def _show_moved(output: Output, moved: Moved, *, dry_run: bool) -> None:
    what = f"{moved.orders} orders and {moved.events} events"
    if dry_run:
        output.say(f"{what} would move. Nothing was written (dry run).")
        return
    output.say(f"Archive complete: {what} moved, {moved.left} left")
    if moved.left:
        output.say("What is left changed meanwhile. Try again.")
