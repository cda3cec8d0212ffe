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
    level: LogLevel = LogLevel.INFO
