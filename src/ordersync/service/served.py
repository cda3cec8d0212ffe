"""Who serves the accounts, for `doctor`: leases, whose clock they go by, and by which settings."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from ordersync.ports import Finding, Severity
from ordersync.service.holder import is_dead, marks_of

if TYPE_CHECKING:
    from ordersync.leased import Lease, Leases
    from ordersync.ports import Clock
    from ordersync.settings import Settings

MUCH_SKEW = timedelta(seconds=5)
"""From how far off the database's clock ours is worth a word: no lease rests on it."""


async def examine_leases(settings: Settings, leases: Leases, clock: Clock) -> list[Finding]:
    """Who serves each account at the moment. Raises what the leases raise."""
    found = [_judge(lease, settings) for lease in await leases.list_leases()]
    skew = clock.now() - await leases.read_clock()
    if abs(skew) > MUCH_SKEW:
        found.append(
            Finding(
                severity=Severity.WARNING,
                about="clock",
                what=f"this machine's clock is {skew.total_seconds():+.0f} s off the database's;"
                " leases go by the database's, so nothing rests on it.",
                mend="Set up time synchronisation (NTP).",
            )
        )
    return found


def _judge(lease: Lease, settings: Settings) -> Finding:
    name, about = lease.holder.name, f"{lease.account}: lease"
    if lease.account not in settings.served_accounts:
        what = f"{name} serves it; this configuration does not."
        return Finding(severity=Severity.OK, about=about, what=what)
    if not lease.is_live or is_dead(lease.holder):
        what = f"nobody serves this account; the last was {name}, until {lease.until:%F %T} UTC."
        return Finding(severity=Severity.OK, about=about, what=what)
    differ = lease.holder.differs_in(marks_of(settings, lease.account))
    if differ:
        return Finding(
            severity=Severity.ERROR,
            about=about,
            what=f"{name} serves this account by other settings: {', '.join(differ)} differ.",
            mend="Give both the same ordersync.toml, or stop the other one first.",
        )
    what = f"{name} serves this account; a `run` started beside it stands by."
    return Finding(severity=Severity.OK, about=about, what=what)
