"""An HTTP answer, or none, becomes something that can be believed or not. One place for all venues.

A Payload is a complete, successful, readable answer. NotFound is a 404 whose body still has to
prove that the venue itself said it. Everything else is Unusable: it says nothing about any
order, only whether asking again may help.
"""

from __future__ import annotations

import re
from datetime import timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar

import httpx2
import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

_T = TypeVar("_T")

RAW_LIMIT = 4000
"""How much of an unreadable answer is kept as evidence, in characters."""


LATER = "Ask again later; `ordersync run` does so by itself."
NO_WAY = (
    "Check this machine's network, proxy and firewall, and rest_url where it is set. "
    "`ordersync run` asks again by itself."
)

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What reading JSON raises: it is none, of another type, or nested beyond reason."""


class Blame(StrEnum):
    """Why an answer is unusable, by what helps."""

    SILENT = "silent"  # ask again later
    KEY = "key"  # the key is refused: a person has to mend it
    REQUEST = "request"  # this request is refused: asking the same again is useless
    GARBLED = "garbled"  # an answer came and cannot be read


class Payload(msgspec.Struct, frozen=True):
    """The body of a complete 200."""

    body: bytes


class NotFound(msgspec.Struct, frozen=True):
    """A 404; the venue's parser decides from the body whether it is an Absence."""

    body: bytes


class Unusable(msgspec.Struct, frozen=True, kw_only=True):
    """No answer, or one that proves nothing. `pause` is how long the venue asked us to wait.

    `mend` is what a person can do where a key's owner is asked for, and no single order.
    """

    why: str
    blame: Blame
    pause: timedelta | None = None
    raw: str = ""
    mend: str = LATER

    @property
    def is_useless_again(self) -> bool:
        """Whether asking the same again would be answered alike."""
        return self.blame in {Blame.KEY, Blame.REQUEST}


Answer = Payload | NotFound | Unusable

_SECONDS = re.compile(r"[0-9]+(\.[0-9]+)?")
_A_DAY = 86_400.0

OK = 200
BAD_REQUEST = 400
UNAUTHORIZED = 401
FORBIDDEN = 403
NOT_FOUND = 404
UNPROCESSABLE = 422
TOO_MANY = 429
SERVER_ERRORS = 500


def judge(response: httpx2.Response, now: datetime) -> Answer:
    """What a response is worth. `now` is the venue's clock, for a Retry-After that is a date."""
    status = response.status_code
    if status == OK:
        return Payload(response.content)
    if status == NOT_FOUND:
        return NotFound(response.content)
    raw = excerpt(response.content)
    pause = retry_after(response.headers, now)
    if status in {UNAUTHORIZED, FORBIDDEN}:
        return Unusable(
            why=f"the venue refuses the key ({status})", blame=Blame.KEY, pause=pause, raw=raw
        )
    if status == TOO_MANY:
        return Unusable(
            why="the venue's rate limit is reached (429)",
            blame=Blame.SILENT,
            pause=pause or timedelta(seconds=1),
            raw=raw,
        )
    if status in {BAD_REQUEST, UNPROCESSABLE}:
        return Unusable(
            why=f"the venue refuses the request ({status})", blame=Blame.REQUEST, raw=raw
        )
    if status >= SERVER_ERRORS:
        return Unusable(
            why=f"the venue is in trouble ({status})", blame=Blame.SILENT, pause=pause, raw=raw
        )
    return Unusable(why=f"an answer that nobody expected ({status})", blame=Blame.GARBLED, raw=raw)


def no_answer(error: httpx2.RequestError | TimeoutError) -> Unusable:
    """What a failed request is worth: nothing, but asking again may help."""
    if isinstance(error, httpx2.ConnectError):
        return Unusable(why="the venue cannot be reached", blame=Blame.SILENT, mend=NO_WAY)
    if isinstance(error, httpx2.TimeoutException | TimeoutError):
        return Unusable(why="the venue did not answer in time", blame=Blame.SILENT)
    return Unusable(why=f"the connection broke ({type(error).__name__})", blame=Blame.SILENT)


def decode(answer: Payload, decoder: msgspec.json.Decoder[_T]) -> _T | Unusable:
    """The payload in its typed form; Unusable with its raw text where it does not fit."""
    try:
        return decoder.decode(answer.body)
    except UNREADABLE as error:
        return Unusable(
            why=f"an answer that cannot be read ({error})",
            blame=Blame.GARBLED,
            raw=excerpt(answer.body),
        )


def excerpt(body: bytes) -> str:
    """The beginning of a body as text, for evidence."""
    return body[:RAW_LIMIT].decode("utf-8", errors="replace")


def retry_after(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """The Retry-After header (RFC 9110, 10.2.3): seconds or a date; None where absent.

    Fractions of a second are no RFC, but some gateways write them.
    """
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    if _SECONDS.fullmatch(text):
        return timedelta(seconds=min(float(text), _A_DAY))
    try:
        until = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # no date, or of a year that no calendar has
        return None
    return max(until - now, timedelta(0)) if until.tzinfo else None
