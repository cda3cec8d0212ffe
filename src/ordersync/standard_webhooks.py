"""Standard Webhooks 1.0: how a webhook is signed, and whether one was. Pure.

Signed is `id.timestamp.body` by HMAC-SHA256; `webhook-signature` holds one `v1,<base64>` or
several with spaces between, so that secrets can be exchanged while webhooks flow. Whoever sends
and whoever takes webhooks signs with this code.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
TOLERANCE = timedelta(minutes=5)
LEAST_BYTES = 24

_PREFIX = "whsec_"
_SECONDS = re.compile(r"[0-9]{1,12}")


class Secret:
    """What both sides know. It shows in no text of it."""

    def __init__(self, text: str) -> None:
        """From its written form, `whsec_` and base64. Raises ValueError, without quoting it."""
        try:
            self._key = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
        except (binascii.Error, ValueError):
            self._key = b""
        if not text.startswith(_PREFIX) or not self._key:
            raise ValueError("it is not whsec_ and base64.") from None
        if len(self._key) < LEAST_BYTES:
            raise ValueError(f"it is shorter than {LEAST_BYTES} bytes.")

    def __repr__(self) -> str:
        return "Secret()"

    def sign(self, webhook_id: str, timestamp: str, body: bytes) -> str:
        """One signature; `timestamp` as the header has it, in whole seconds."""
        signed = b".".join((webhook_id.encode(), timestamp.encode(), body))
        digest = hmac.new(self._key, signed, hashlib.sha256).digest()
        return f"v1,{base64.b64encode(digest).decode()}"


def is_timely(timestamp: str, now: datetime) -> bool:
    """Whether it is a time, and within five minutes of now to both sides."""
    if _SECONDS.fullmatch(timestamp) is None:
        return False
    return abs(now.timestamp() - int(timestamp)) <= TOLERANCE.total_seconds()


def is_signed(
    secrets: Iterable[Secret], signatures: str, *, webhook_id: str, timestamp: str, body: bytes
) -> bool:
    """Whether one of these signatures is by one of these secrets. In constant time for each."""
    given = [one.encode() for one in signatures.split(" ") if one.startswith("v1,")]
    fits = False
    for secret in secrets:
        due = secret.sign(webhook_id, timestamp, body).encode()
        for one in given:
            fits |= hmac.compare_digest(one, due)
    return fits
