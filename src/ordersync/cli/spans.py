"""A span of time as a person reads it."""

from __future__ import annotations

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
