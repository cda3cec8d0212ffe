"""What a value of the configuration may look like: durations, addresses, and what is loopback."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, field_validator

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LONGEST_DAYS = 365_000
LOOPBACK = re.compile(r"^(localhost|127(\.\d+){3}|::1)$")


def parse_duration(text: object) -> timedelta:
    """`"10s"`, `"5m"`, `"24h"`, `"7d"` as a timedelta. Raises ValueError on anything else.

    More than a thousand years are refused: no calendar goes back so far from every day.
    """
    if isinstance(text, timedelta):
        return text
    match = _DURATION.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f'{text!r} is not a duration. Write it as "10s", "5m", "24h" or "7d".')
    seconds = float(match[1]) * _UNITS[match[2]]
    if seconds > _LONGEST_DAYS * _UNITS["d"]:
        raise ValueError(f"{text!r} is longer than a thousand years.")
    return timedelta(seconds=seconds)


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]


class Section(BaseModel):
    """A section of the file: every key of it is known, and nothing changes it."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Listening(Section):
    """A section that says where something listens."""

    listen: str

    @field_validator("listen")
    @classmethod
    def _is_an_address(cls, listen: str) -> str:
        host, _, port = listen.rpartition(":")
        if not host.strip("[]") or not port.isdecimal() or int(port) not in range(65_536):
            raise ValueError(f"{listen!r} is no host and port. Write it as 127.0.0.1:8642.")
        return listen

    @property
    def address(self) -> tuple[str, int]:
        """Host and port; of IPv6 without the brackets."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def is_exposed(self) -> bool:
        """Whether other machines may reach it."""
        return LOOPBACK.match(self.address[0]) is None
