"""Where the next page begins, as an opaque text that knows which query it belongs to."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import TYPE_CHECKING

import msgspec

from ordersync.web.api.problems import Refusal

if TYPE_CHECKING:
    from ordersync.listed import Place

_decode = msgspec.json.Decoder(tuple[str, tuple[str, ...]]).decode


def to_cursor(place: Place | None, query: object) -> str | None:
    """The cursor of a place in the answer to a query."""
    if place is None:
        return None
    text = msgspec.json.encode((_mark(query), place))
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


BY_KEY = re.compile(r"number\n-?[0-9]{1,19}|text\n[^\x00-\x1f]{0,1000}")
BY_END = re.compile(r"[0-9TZ:.-]{1,40}\n[^\x00-\x1f]{0,1000}\n[^\x00-\x1f]{0,190}")
BY_ORPHAN = re.compile(r"[^\x00-\x1f]{0,190}\n[0-9TZ:.-]{1,40}\n[^\x00-\x1f]{0,1000}")
BY_EVENT = re.compile(r"[0-9]{1,18}\n[0-9]{1,9}(\nlog)?")
"""What a place looks like, its parts on lines of their own: anybody may make up a cursor."""


def from_cursor(cursor: str | None, query: object, form: re.Pattern[str]) -> Place | None:
    """The place; raises Refusal (400) where the cursor is none, or of another query."""
    if cursor is None:
        return None
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        mark, place = _decode(base64.b64decode(padded, altchars=b"-_", validate=True))
    except ValueError:
        what = "it was not made here."
    else:
        is_place = form.fullmatch("\n".join(place)) and not any("\n" in part for part in place)
        if mark == _mark(query) and is_place:
            return place
        what = "it belongs to another query."
    raise Refusal(
        400,
        "cursor",
        f"the cursor cannot be used: {what}",
        mend="Give `next` of the page before, with the same parameters.",
    )


def _mark(query: object) -> str:
    return hashlib.sha256(msgspec.json.encode(query)).hexdigest()[:12]
