"""How the log looks: plain lines for a person, JSON for a machine. Times in UTC."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from typing import TextIO

    from structlog.typing import EventDict, Processor

_COLOURS = {"warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[31m"}
_RESET = "\x1b[0m"


def set_up_log(*, as_json: bool, stream: TextIO | None = None, least: int = logging.INFO) -> None:
    """Send the log to `stream` (stderr where none is given)."""
    out = stream or sys.stderr
    colours = out.isatty() and "NO_COLOR" not in os.environ
    last: Processor = structlog.processors.JSONRenderer() if as_json else _plain(colours=colours)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )


def _plain(*, colours: bool) -> Processor:
    def render(_logger: object, _method: str, event: EventDict) -> str:
        """One line: time, what happened, then the fields that tell where."""
        time, level = str(event.pop("timestamp", ""))[:19], str(event.pop("level", ""))
        text = str(event.pop("event", ""))
        fields = "".join(f"  {key}={value}" for key, value in event.items() if value is not None)
        mark = "" if level == "info" else f"{level}: "
        line = f"{time}Z {mark}{text}{fields}"
        colour = _COLOURS.get(level) if colours else None
        return f"{colour}{line}{_RESET}" if colour else line

    return render
