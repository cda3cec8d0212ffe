"""What goes wrong at the exchange, and when: the schedule of faults.

A fault says its kind, the endpoint it sits on, when it begins (with the nth call, or after n
calls) and how long it lasts (a number of calls, or a time). A schedule counts the calls and says
which faults strike; what a fault does to an answer is not known here.

    [[fault]]
    kind = "429"
    on = "list"
    after = 2
    count = 3
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from random import Random
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

Value: TypeAlias = "str | int | float | list[str] | None"

ANY = "any"
ENDPOINTS = (
    "list",
    "get",
    "fills",
    "create",
    "cancel",
    "key_permissions",
    "time",
    "accounts",
    "products",
    # Alpaca's alone
    "by_client_id",
    "replace",
    "cancel_all",
    "account",
    "clock",
)

BY_TIME = 0.3  # how many of the random faults last for a time, not for a number of calls

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_KEYS = ("kind", "on", "call", "after", "count", "for", "value", "order_ids")


class Kind(StrEnum):
    """What goes wrong. The comment says what `value` is, and what it is when left out."""

    # No answer, or a late one
    LATENCY = "latency"  # seconds (1)
    TIMEOUT = "timeout"  # seconds until the connection is closed (the client has to leave)
    DROP = "drop"  # nothing

    # Another answer
    TOO_MANY = "429"  # seconds of a retry-after header (no such header)
    SERVER_ERROR = "500"  # the status (500)
    HTML = "html"  # the status (502)
    UNAUTHORIZED = "unauthorized"  # nothing
    FORBIDDEN = "forbidden"  # nothing
    GARBAGE = "garbage"  # the body
    EMPTY = "empty"  # nothing

    # An honest answer about a false view of the world
    STALE = "stale"  # seconds that the view is old (5)
    NOT_FOUND = "not_found"  # seconds for which a new order is invisible (5)
    FORGETFUL = "forgetful"  # order id or ids that are forgotten (all)

    # A true answer, damaged
    TRUNCATED_PAGE = "truncated_page"  # nothing
    LOST_PAGE = "lost_page"  # nothing: half of the page is missing, and no next page is admitted
    SHIFTING_PAGE = "shifting_page"  # "missed" or "twice": the order between two pages ("missed")
    UNKNOWN_STATUS = "unknown_status"  # the word (SETTLING)
    MISSING_FIELD = "missing_field"  # the field (status)
    WRONG_TYPE = "wrong_type"  # the field (filled_size)
    NAN = "nan"  # the field (filled_size)
    HUGE_NUMBER = "huge_number"  # the field (filled_size)
    FUTURE_TIME = "future_time"  # the field (last_fill_time)


SECONDS = frozenset((Kind.LATENCY, Kind.TIMEOUT, Kind.TOO_MANY, Kind.STALE, Kind.NOT_FOUND))
STATUSES = frozenset((Kind.SERVER_ERROR, Kind.HTML))
PAGED = frozenset((Kind.LOST_PAGE, Kind.SHIFTING_PAGE))
OF_AN_ORDER = frozenset(
    (
        Kind.UNKNOWN_STATUS,
        Kind.MISSING_FIELD,
        Kind.WRONG_TYPE,
        Kind.NAN,
        Kind.HUGE_NUMBER,
        Kind.FUTURE_TIME,
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong.

    `call`: strikes the nth call (and `count` calls in all). `after`: strikes the calls after the
    nth. `lasts` is counted from its first strike. `order_ids` names the orders that a damage of
    single orders or a forgetful view is about; without it, a damage picks one and a view all.
    """

    kind: Kind
    on: str = ANY
    call: int | None = None
    after: int | None = None
    count: int | None = None
    lasts: timedelta | None = None
    value: Value = None
    order_ids: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if self.on not in {*ENDPOINTS, ANY}:
            raise ValueError(f"on is {self.on!r}; use one of {', '.join((*ENDPOINTS, ANY))}.")
        if self.call is not None and self.after is not None:
            raise ValueError("call and after exclude each other; leave one out.")
        if self.count is not None and self.lasts is not None:
            raise ValueError("count and for exclude each other; leave one out.")
        if self.call is not None and self.call < 1:
            raise ValueError(f"call is {self.call}; calls are counted from 1.")
        if self.after is not None and self.after < 0:
            raise ValueError(f"after is {self.after}; it cannot be negative.")
        if self.count is not None and self.count < 1:
            raise ValueError(f"count is {self.count}; it must be at least 1.")
        _check_value(self.kind, self.value)

    def seconds(self, otherwise: float) -> float:
        """Read the value as a number of seconds."""
        return float(self.value) if isinstance(self.value, int | float) else otherwise

    def status(self, otherwise: int) -> int:
        """Read the value as an HTTP status."""
        return self.value if isinstance(self.value, int) else otherwise

    def text(self, otherwise: str) -> str:
        """Read the value as a word."""
        return self.value if isinstance(self.value, str) else otherwise

    @property
    def forgotten(self) -> frozenset[str]:
        """The orders that a forgetful view forgets; empty means all."""
        if isinstance(self.value, list):
            return self.order_ids | frozenset(self.value)
        return self.order_ids | ({self.value} if isinstance(self.value, str) else frozenset())


@dataclass(slots=True)
class _Running:
    """A fault and how often it was passed and struck."""

    fault: Fault
    calls: int = 0
    strikes: int = 0
    began_at: datetime | None = None

    def strikes_now(self, now: datetime) -> bool:
        """Count one call, and say whether the fault strikes it."""
        fault = self.fault
        self.calls += 1
        first = fault.call if fault.call is not None else (fault.after or 0) + 1
        if self.calls < first:
            return False
        if self.began_at is None:
            self.began_at = now
        if fault.lasts is not None:
            strikes = now < self.began_at + fault.lasts
        elif fault.count is not None:
            strikes = self.strikes < fault.count
        else:
            strikes = fault.call is None or self.strikes < 1
        self.strikes += strikes
        return strikes


class Faults:
    """A schedule of faults, and the count of calls it is measured by."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._running = [_Running(fault) for fault in faults]

    @property
    def all(self) -> tuple[Fault, ...]:
        """Every fault of the schedule, in its order."""
        return tuple(running.fault for running in self._running)

    def add(self, fault: Fault) -> None:
        """Add a fault; its calls count from now on."""
        self._running.append(_Running(fault))

    def clear(self) -> None:
        """From now on nothing goes wrong."""
        self._running.clear()

    def strike(self, endpoint: str, now: datetime) -> tuple[Fault, ...]:
        """Count a call of `endpoint` and say what goes wrong with it."""
        return tuple(
            running.fault
            for running in self._running
            if running.fault.on in {endpoint, ANY} and running.strikes_now(now)
        )

    @classmethod
    def load(cls, path: Path) -> Faults:
        """Read a fault file. Raises ValueError with file, key and what to write instead."""
        try:
            document = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ValueError(f"{path}: cannot be read as TOML: {error}") from error
        strangers = sorted(document.keys() - {"fault"})
        entries = document.get("fault", [])
        if strangers or not isinstance(entries, list):
            what = ", ".join(strangers) or "fault"
            raise ValueError(f"{path}: {what}: write each fault as a [[fault]] table.")
        return cls(
            _read_fault(entry, f"{path}: fault {number}")
            for number, entry in enumerate(entries, start=1)
        )

    @classmethod
    def from_seed(
        cls,
        seed: int,
        *,
        most: int = 8,
        within_calls: int = 60,
        kinds: Sequence[Kind] = tuple(Kind),
        endpoints: Sequence[str] = ("list", "get", "fills", ANY),
    ) -> Faults:
        """Make a random schedule that ends: after it, everything is right again."""
        rng = Random(f"faults {seed}")  # noqa: S311 - reproducible on purpose
        return cls(
            _random_fault(rng, rng.choice(kinds), rng.choice(endpoints), within_calls)
            for _ in range(rng.randint(1, most))
        )


def _random_fault(rng: Random, kind: Kind, on: str, within_calls: int) -> Fault:
    by_time = rng.random() < BY_TIME
    value: Value = None
    if kind in SECONDS:
        value = round(rng.uniform(0.1, 8), 1)
    elif kind in STATUSES:
        value = rng.choice((500, 502, 503, 504))
    elif kind is Kind.SHIFTING_PAGE:
        value = rng.choice(("missed", "twice"))
    return Fault(
        kind=kind,
        on=on,
        after=rng.randint(0, within_calls),
        count=None if by_time else rng.randint(1, 5),
        lasts=timedelta(seconds=rng.randint(1, 8)) if by_time else None,
        value=value,
    )


def _check_value(kind: Kind, value: Value) -> None:
    if value is None:
        return
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind in SECONDS and not (is_number and float(str(value)) >= 0):
        raise ValueError(f"value of {kind} is {value!r}; write a number of seconds.")
    if kind in STATUSES and value not in range(500, 600):
        raise ValueError(f"value of {kind} is {value!r}; write a status from 500 to 599.")
    if kind is Kind.SHIFTING_PAGE and value not in {"missed", "twice"}:
        raise ValueError(f'value of {kind} is {value!r}; write "missed" or "twice".')
    if kind in OF_AN_ORDER and not isinstance(value, str):
        raise ValueError(f"value of {kind} is {value!r}; write a word.")


def _read_fault(entry: object, where: str) -> Fault:
    if not isinstance(entry, dict):
        message = f"{where}: write each fault as a [[fault]] table."
        raise ValueError(message)  # noqa: TRY004 - what is wrong is the file, not a type
    for key in entry:
        if key not in _KEYS:
            raise ValueError(f"{where}: {key}: there is no such key; use {', '.join(_KEYS)}.")
    if "kind" not in entry:
        raise ValueError(f'{where}: kind: missing; write kind = "429", for example.')
    try:
        kind = Kind(str(entry["kind"]))
    except ValueError:
        raise ValueError(
            f"{where}: kind: there is no {entry['kind']!r}; use {', '.join(Kind)}."
        ) from None
    try:
        return Fault(
            kind=kind,
            on=_word(entry, "on") or ANY,
            call=_whole(entry, "call"),
            after=_whole(entry, "after"),
            count=_whole(entry, "count"),
            lasts=_duration(entry.get("for"), "for"),
            value=_value(entry.get("value"), kind),
            order_ids=frozenset(_ids(entry.get("order_ids", []), "order_ids")),
        )
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def _word(entry: dict[str, object], key: str) -> str | None:
    word = entry.get(key)
    if word is None or isinstance(word, str):
        return word
    raise ValueError(f"{key} is {word!r}; write a word.")


def _whole(entry: dict[str, object], key: str) -> int | None:
    number = entry.get(key)
    if number is None or (isinstance(number, int) and not isinstance(number, bool)):
        return number
    raise ValueError(f"{key} is {number!r}; write a whole number.")


def _duration(text: object, key: str) -> timedelta | None:
    if text is None:
        return None
    match = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f'{key} is {text!r}; write a time such as "5s", "500ms" or "2m".')
    return timedelta(seconds=float(match[1]) * _UNITS[match[2]])


def _value(value: object, kind: Kind) -> Value:
    if isinstance(value, list):
        return _ids(value, "value")
    if kind in SECONDS and isinstance(value, str):
        lasts = _duration(value, "value")
        return None if lasts is None else lasts.total_seconds()
    if value is None or (isinstance(value, str | int | float) and not isinstance(value, bool)):
        return value
    raise ValueError(f"value is {value!r}; write a word, a number or a list of order ids.")


def _ids(ids: object, key: str) -> list[str]:
    if isinstance(ids, list) and all(isinstance(each, str) for each in ids):
        return ids
    raise ValueError(f"{key} is {ids!r}; write a list of order ids.")
