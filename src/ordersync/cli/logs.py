"""How the log looks: plain lines for a person, JSON for a machine. Times in UTC."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
import structlog

if TYPE_CHECKING:
    from typing import IO

    from structlog.typing import EventDict, Processor

_COLOURS = {"warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[31m"}
_RESET = "\x1b[0m"

_encode = msgspec.json.Encoder(enc_hook=str).encode


def set_up_log(*, as_json: bool, stream: IO[str] | None = None, least: int = logging.INFO) -> None:
    """Send the log to `stream` (stderr where none is given)."""
    out = stream or sys.stderr
    colours = out.isatty() and "NO_COLOR" not in os.environ
    last: Processor = _as_json if as_json else _plain(colours=colours)
    lines = Lines(out)
    structlog.configure(
        processors=[
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
        if not self._out.closed:
            self._out.flush()


def _as_json(_logger: object, method: str, event: EventDict) -> str:
    """One object a line; every step of a pipeline would cost as much as all of this."""
    event["level"] = "error" if method == "exception" else method
    event["timestamp"] = datetime.now(UTC).isoformat()  # noqa: TID251 - of the line, not of an order
    return _encode(event).decode()


def _plain(*, colours: bool) -> Processor:
    def render(_logger: object, method: str, event: EventDict) -> str:
        """One line: time, what happened, then the fields that tell where."""
        time = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}"  # noqa: TID251 - of the line, not of an order
        level, text = "error" if method == "exception" else method, str(event.pop("event", ""))
        fields = "".join(f"  {key}={value}" for key, value in event.items() if value is not None)
        mark = "" if level == "info" else f"{level}: "
        line = f"{time}Z {mark}{text}{fields}"
        colour = _COLOURS.get(level) if colours else None
        return f"{colour}{line}{_RESET}" if colour else line

    return render
