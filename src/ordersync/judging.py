"""Findings that are judged alike at every venue: what a key may do, whether the clocks agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ordersync.ports import Finding, Identity, Severity

if TYPE_CHECKING:
    from datetime import timedelta

MUCH_SKEW_SECONDS = 5.0


def judge_key(identity: Identity) -> Finding:
    """Whether a key may do too much: one that can move money is refused at the start."""
    if identity.can_transfer:
        return Finding(
            severity=Severity.ERROR,
            about="key",
            what="the key can transfer funds, and ordersync only needs to view.",
            mend="Make a key with the permission View alone.",
        )
    if identity.can_trade:
        return Finding(
            severity=Severity.WARNING,
            about="key",
            what="the key can trade; ordersync only needs to view, and never trades.",
            mend=identity.enough,
        )
    return Finding(severity=Severity.OK, about="key", what="the key can only view.")


def judge_clock(skew: timedelta) -> Finding:
    """How far this machine's clock is off the venue's."""
    seconds = abs(skew.total_seconds())
    much = seconds > MUCH_SKEW_SECONDS
    return Finding(
        severity=Severity.WARNING if much else Severity.OK,
        about="clock",
        what=f"this machine's clock is {seconds:.1f} s off the venue's.",
        mend="Set up time synchronisation (NTP)." if much else "",
    )
