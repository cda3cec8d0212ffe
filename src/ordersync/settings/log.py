"""`[log]`: how the log of `run` looks, and how much of it there is."""

from __future__ import annotations

from enum import StrEnum

from ordersync.settings.values import Section


class LogFormat(StrEnum):
    """How a line looks."""

    TEXT = "text"  # for people
    JSON = "json"  # for machines


class LogLevel(StrEnum):
    """From which level on lines are written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Log(Section):
    """`[log]`: of `run`. What `--json` answers is not part of it."""

    format: LogFormat = LogFormat.TEXT
    """lines for people, or one JSON object a line; `run --log-format` goes before it

    Error when: another word
    """
    level: LogLevel = LogLevel.INFO
    """from which level on lines are written. `debug` tells of fills and fees of orders that work
    on, too

    Error when: another word
    """
