"""How the log looks: plain lines for a person, JSON for a machine. Times in UTC."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from typing import TYPE_CHECKING

import msgspec
import structlog

if TYPE_CHECKING:
    from typing import IO

    from structlog.typing import EventDict, Processor

_COLOURS = {"warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[31m"}
_RESET = "\x1b[0m"


def set_up_log(*, as_json: bool, stream: IO[str] | None = None, least: int = logging.INFO) -> None:
    """Send the log to `stream` (stderr where none is given)."""
    out = stream or sys.stderr
    colours = out.isatty() and "NO_COLOR" not in os.environ
    last = structlog.processors.JSONRenderer(_encoded) if as_json else _plain(colours=colours)
    lines = Lines(out)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=lambda *_: lines,
        cache_logger_on_first_use=False,
    )


class Lines:
    """Where lines go. They leave when the loop has nothing more urgent to do: no order waits."""

    def __init__(self, out: IO[str]) -> None:
        self._out = out
        self._leaves = False

    def msg(self, line: str) -> None:
        """One line; without a loop it leaves at once."""
        self._out.write(line + "\n")
        if self._leaves:
            return
        try:
            asyncio.get_running_loop().call_soon(self._leave)
        except RuntimeError:  # no loop runs: nobody else would do it
            self._out.flush()
        else:
            self._leaves = True

    debug = info = warning = error = critical = exception = msg

    def _leave(self) -> None:
        self._leaves = False
        self._out.flush()


def _encoded(event: EventDict, **_: object) -> str:
    """As JSON: what structlog would do, in a third of the time."""
    return msgspec.json.encode(event, enc_hook=str).decode()


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
