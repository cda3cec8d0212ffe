"""What goes wrong at the exchange, and when: the schedule of faults.

A fault says its kind, the endpoint it sits on, when it begins (with the nth call, or after n
calls) and how long it lasts (a number of calls, or a time). A schedule counts the calls and says
which faults strike; what a fault does to an answer is not known here. On the stream there are no
calls: there each kind has an occasion of its own (`kinds`), and that is what is counted.

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
from random import Random
from typing import TYPE_CHECKING

from ordersync.simulator.kinds import (
    CHOICES,
    OCCASION_OF,
    STATUSES,
    AnyKind,
    Kind,
    Occasion,
    StreamKind,
    check_value,
    in_seconds,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from ordersync.simulator.kinds import Value

ANY = "any"  # any call of the REST API; the stream is meant only by its name
STREAM = "stream"
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
    "events",
    STREAM,
)

BY_TIME = 0.3  # how many of the random faults last for a time, not for a number of calls

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_KEYS = ("kind", "on", "call", "after", "count", "for", "value", "order_ids")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong.

    `call`: strikes the nth call (and `count` calls in all). `after`: strikes the calls after the
    nth. `lasts` is counted from its first strike. `order_ids` names the orders that a damage of
    single orders or a forgetful view is about; without it, a damage picks one and a view all.
    On the stream, only frames about these orders count.
    """

    kind: AnyKind
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
        if isinstance(self.kind, StreamKind) != (self.on == STREAM):
            use = Kind if self.on != STREAM else StreamKind
            raise ValueError(f"{self.kind!r} does not happen on {self.on}; use {', '.join(use)}.")
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
        check_value(self.kind, self.value)

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

    def strike_stream(
        self, occasion: Occasion, now: datetime, order_id: str = ""
    ) -> tuple[Fault, ...]:
        """Count an occasion on the stream and say what goes wrong with it."""
        return tuple(
            running.fault
            for running in self._running
            if isinstance(kind := running.fault.kind, StreamKind)
            and OCCASION_OF.get(kind, Occasion.UPDATE) is occasion
            and (not running.fault.order_ids or order_id in running.fault.order_ids)
            and running.strikes_now(now)
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
        kinds: Sequence[AnyKind] = tuple(Kind),
        endpoints: Sequence[str] = ("list", "get", "fills", ANY),
    ) -> Faults:
        """Make a random schedule that ends: after it, everything is right again.

        Faults of the stream come only where `kinds` names some; they need no endpoint.
        """
        rng = Random(f"faults {seed}")  # noqa: S311 - reproducible on purpose
        return cls(
            _random_fault(rng, rng.choice(kinds), rng.choice(endpoints), within_calls)
            for _ in range(rng.randint(1, most))
        )


def _random_fault(rng: Random, kind: AnyKind, on: str, within_calls: int) -> Fault:
    by_time = rng.random() < BY_TIME
    value: Value = None
    if isinstance(kind, StreamKind):
        on = STREAM
    if in_seconds(kind):
        value = round(rng.uniform(0.1, 8), 1)
    elif kind in STATUSES:
        value = rng.choice((500, 502, 503, 504))
    elif kind is Kind.SHIFTING_PAGE:
        value = rng.choice(("missed", "twice"))
    elif isinstance(kind, StreamKind) and kind in CHOICES:
        value = rng.choice(CHOICES[kind])
    return Fault(
        kind=kind,
        on=on,
        after=rng.randint(0, within_calls),
        count=None if by_time else rng.randint(1, 5),
        lasts=timedelta(seconds=rng.randint(1, 8)) if by_time else None,
        value=value,
    )


def _read_fault(entry: object, where: str) -> Fault:
    if not isinstance(entry, dict):
        message = f"{where}: write each fault as a [[fault]] table."
        raise ValueError(message)  # noqa: TRY004 - what is wrong is the file, not a type
    for key in entry:
        if key not in _KEYS:
            raise ValueError(f"{where}: {key}: there is no such key; use {', '.join(_KEYS)}.")
    if "kind" not in entry:
        raise ValueError(f'{where}: kind: missing; write kind = "429", for example.')
    kinds = StreamKind if entry.get("on") == STREAM else Kind
    try:
        kind: AnyKind = kinds(str(entry["kind"]))
    except ValueError:
        raise ValueError(
            f"{where}: kind: there is no {entry['kind']!r}; use {', '.join(kinds)}."
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


def _value(value: object, kind: AnyKind) -> Value:
    if isinstance(value, list):
        return _ids(value, "value")
    if in_seconds(kind) and isinstance(value, str):
        lasts = _duration(value, "value")
        return None if lasts is None else lasts.total_seconds()
    if value is None or (isinstance(value, str | int | float) and not isinstance(value, bool)):
        return value
    raise ValueError(f"value is {value!r}; write a word, a number or a list of order ids.")


def _ids(ids: object, key: str) -> list[str]:
    if isinstance(ids, list) and all(isinstance(each, str) for each in ids):
        return ids
    raise ValueError(f"{key} is {ids!r}; write a list of order ids.")
