"""How the log looks: plain lines for a person, JSON for a machine. Times in UTC.

An order's way to its commit pays for its line: it is made in one step, and leaves in company.
"""

from __future__ import annotations

import asyncio
import atexit
import functools
import logging
import os
import sys
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
import structlog
from structlog.processors import format_exc_info

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import IO, Any

    from structlog.typing import EventDict, Processor

LEAVES_AFTER = 0.05
"""How many seconds a line waits for company: handing each over by itself costs more than making
it. What is louder than `info` waits for nobody."""

_LEVELS = ("debug", "info", "warning", "error", "critical")

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
        processors=[format_exc_info, last],
        wrapper_class=_logger(least),
        logger_factory=lambda *_: lines,
        cache_logger_on_first_use=False,
    )
    _set_up.append(lines)


_set_up: list[Lines] = []


def let_leave() -> None:
    """What was logged so far is read before what a command says next."""
    for lines in _set_up:
        lines.leave()


class Lines:
    """Where lines go: together, and when no order waits for the loop. Any thread may bring one."""

    def __init__(self, out: IO[str]) -> None:
        self._out = out
        self._waiting: deque[str] = deque()
        self._leaves_in: asyncio.AbstractEventLoop | None = None
        # What came just before the end has no loop any more.
        atexit.register(self.leave)

    def put(self, line: str, *, at_once: bool) -> None:
        """One line; without a loop it leaves at once."""
        self._waiting.append(line)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # no loop runs: nobody else would do it
            self.leave()
            return
        if at_once:
            loop.call_soon(self.leave)
        elif self._leaves_in is not loop:
            self._leaves_in = loop
            loop.call_later(LEAVES_AFTER, self.leave)

    def leave(self) -> None:
        """Hand over all that wait."""
        self._leaves_in = None
        together = []
        while self._waiting:
            together.append(self._waiting.popleft())
        if together and not self._out.closed:
            self._out.write("\n".join(together) + "\n")
            self._out.flush()


def _logger(least: int) -> type[structlog.BoundLoggerBase]:
    """What a line does not need is not there: each step of structlog's own costs as much as it."""
    levels = {name: logging.getLevelNamesMapping()[name.upper()] for name in _LEVELS}
    said: dict[str, Any] = {
        name: _said(name) if level >= least else _unsaid for name, level in levels.items()
    }
    said["exception"] = functools.partialmethod(said["error"], exc_info=True)
    return type("Logger", (structlog.BoundLoggerBase,), said)


def _said(level: str) -> Callable[..., None]:
    at_once = level not in {"debug", "info"}

    def say(self: structlog.BoundLoggerBase, event: str, **fields: Any) -> None:  # noqa: ANN401 - whatever tells where
        line: Any = {**self._context, **fields, "event": event}
        try:
            for step in self._processors:
                line = step(self._logger, level, line)
        except structlog.DropEvent:
            return
        self._logger.put(line, at_once=at_once)

    return say


def _unsaid(_self: structlog.BoundLoggerBase, _event: str, **_fields: object) -> None:
    """It is not loud enough."""


def _as_json(_logger: object, method: str, event: EventDict) -> str:
    """One object a line; every step of a pipeline would cost as much as all of this."""
    event["level"] = method
    event["timestamp"] = datetime.now(UTC)  # noqa: TID251 - of the line, not of an order
    return _encode(event).decode()


def _plain(*, colours: bool) -> Processor:
    def render(_logger: object, level: str, event: EventDict) -> str:
        """One line: time, what happened, then the fields that tell where."""
        time = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}"  # noqa: TID251 - of the line, not of an order
        text = str(event.pop("event", ""))
        fields = "".join(f"  {key}={value}" for key, value in event.items() if value is not None)
        mark = "" if level == "info" else f"{level}: "
        line = f"{time}Z {mark}{text}{fields}"
        colour = _COLOURS.get(level) if colours else None
        return f"{colour}{line}{_RESET}" if colour else line

    return render
