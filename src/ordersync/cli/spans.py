"""A span of time as a person reads it, and as he writes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ordersync import settings as configuration
from ordersync.errors import ConfigError

if TYPE_CHECKING:
    from datetime import timedelta

_LARGER = (("d", 86_400, "h", 3_600), ("h", 3_600, "min", 60), ("min", 60, "s", 1))
_UNITS_FROM = 120.0
"""Below two minutes seconds read best."""


def span(seconds: float | None) -> str:
    """`5 ms`, `4.9 s`, `12 min 5 s`, `6 h 0 min`, `2 d 22 h`; `-` where it is not known."""
    if seconds is None:
        return "-"
    if seconds < 1:
        return f"{max(seconds, 0) * 1000:.0f} ms"
    if seconds < _UNITS_FROM:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for unit, size, smaller, part in _LARGER:
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // part} {smaller}"
    return f"{whole} s"


def duration(text: str, option: str) -> timedelta:
    """A duration from the command line. Raises ConfigError."""
    try:
        return configuration.parse_duration(text)
    except ValueError:
        raise ConfigError(
            f"{text!r} is not a duration of up to a thousand years.",
            where=option,
            mend='Write it as "10s", "5m" or "24h".',
        ) from None
