"""The door for webhooks: `POST /webhooks/{account}`, signed by Standard Webhooks.

Whether a webhook is genuine is decided here, what to do about it in `sync/hints`. 2xx is said
only after the commit. What is said otherwise tells a sender whether to send it again: 429 and 503
ask for that, every other status does not.
"""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse

from ordersync.errors import OrdersyncError, VenueSilent
from ordersync.hinted import WEBHOOK_ID_LIMIT
from ordersync.standard_webhooks import ID, SIGNATURE, TIMESTAMP, is_signed, is_timely
from ordersync.sync.hints import Took
from ordersync.web.draining import drain
from ordersync.web.payload import NoOrderError, NotJsonError, names_in

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

    from ordersync.ports import Clock
    from ordersync.standard_webhooks import Secret
    from ordersync.sync.owner import Taker

BODY_LIMIT = 256 * 1024
BODY_WITHIN = timedelta(seconds=10)
BODIES_LIMIT = 100
"""How many bodies are read at once: together they take 25 MB at most."""

TIMED_OUT = 408
CROWDED_PAUSE, AWAY_PAUSE = timedelta(seconds=1), timedelta(seconds=5)
SAY_EVERY = timedelta(minutes=1)

WHERE = (
    "webhooks are taken by POST at /webhooks/ and the account's name, without a slash behind it."
)

log = structlog.get_logger("ordersync")

# A path that is nearly right is wrong: who is redirected may send the body unsigned.
_path_of = re.compile(r"/webhooks/([^/]+)").fullmatch

_ANSWERS = {took: JSONResponse({"result": took.value}) for took in Took}


class _Refused(Exception):
    """The request is answered with this. `closes`: its body was not read to its end."""

    def __init__(
        self, status: int, what: str, *, retry_after: timedelta | None = None, closes: bool = False
    ) -> None:
        super().__init__(what)
        self.status = status
        self.closes = closes
        self.headers = {"connection": "close"} if closes else {}
        if retry_after is not None:
            self.headers["retry-after"] = str(round(retry_after.total_seconds()))


class Door:
    """Takes webhooks for the accounts that have both: a taker, and secrets."""

    def __init__(
        self, takers: Mapping[str, Taker], secrets: Mapping[str, Sequence[Secret]], clock: Clock
    ) -> None:
        self._takers = takers
        self._secrets = secrets
        self._clock = clock
        self._bodies = 0
        self._said_at: dict[str, datetime] = {}

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application: one path, for which no router has to be asked."""
        found = _path_of(scope["path"])
        if found is None:
            response: Response = JSONResponse({"error": WHERE}, 404)
        elif scope["method"] != "POST":
            response = JSONResponse({"error": WHERE}, 405, headers={"allow": "POST"})
        else:
            response = await self._take(Request(scope, receive), found[1])
        await response(scope, receive, send)

    async def _take(self, request: Request, account: str) -> Response:
        try:
            return _ANSWERS[await self._taken(request, account)]
        except _Refused as refusal:
            if refusal.closes and refusal.status != TIMED_OUT:
                await drain(request)
            content = {"error": str(refusal)}
            return JSONResponse(content, refusal.status, headers=refusal.headers)

    async def _taken(self, request: Request, account: str) -> Took:
        secrets = self._secrets.get(account)
        if not secrets:
            raise _Refused(404, "no webhooks are taken for such an account.", closes=True)
        webhook_id, timestamp, signatures = self._headers(request, account)
        body = await self._body(request)
        if not is_signed(
            secrets, signatures, webhook_id=webhook_id, timestamp=timestamp, body=body
        ):
            self._say(account, "its signature fits none of the account's secrets")
            raise _Refused(401, "the signature fits none of the secrets.")
        try:
            names = names_in(body)
        except NotJsonError as error:
            raise _Refused(400, str(error)) from None
        except NoOrderError as error:
            raise _Refused(422, str(error)) from None
        try:
            took = await self._takers[account].take(webhook_id, names)
        except OrdersyncError as error:
            # What exactly is wrong with a database is nothing for strangers.
            what = str(error) if isinstance(error, VenueSilent) else "the database is away."
            self._say(account, str(error))
            raise _Refused(503, what, retry_after=AWAY_PAUSE) from None
        if took is Took.CROWDED:
            raise _Refused(429, "too many webhooks wait already.", retry_after=CROWDED_PAUSE)
        return took

    def _headers(self, request: Request, account: str) -> tuple[str, str, str]:
        """Id, time and signatures; refused before the body is read where one is missing."""
        found = []
        for name in (ID, TIMESTAMP, SIGNATURE):
            values = request.headers.getlist(name)
            if len(values) != 1 or not values[0]:
                raise _Refused(401, f"the header {name} is needed, once.", closes=True)
            found.append(values[0])
        webhook_id, timestamp, signatures = found
        if len(webhook_id) > WEBHOOK_ID_LIMIT or not webhook_id.isascii():
            what = f"{ID} is longer than {WEBHOOK_ID_LIMIT} letters, or not ASCII."
            raise _Refused(401, what, closes=True)
        if not is_timely(timestamp, self._clock.now()):
            self._say(account, "its time is not within five minutes of ours")
            what = f"{TIMESTAMP} is not within five minutes of the time here."
            raise _Refused(401, what, closes=True)
        return webhook_id, timestamp, signatures

    async def _body(self, request: Request) -> bytes:
        """All of it, no longer and no slower than it may be."""
        declared = request.headers.get("content-length", "0")
        if not declared.isdecimal() or int(declared[:12]) > BODY_LIMIT:
            raise _Refused(413, f"the body is longer than {BODY_LIMIT} bytes.", closes=True)
        if self._bodies >= BODIES_LIMIT:
            what = "too many webhooks come at once."
            raise _Refused(429, what, retry_after=CROWDED_PAUSE, closes=True)
        self._bodies += 1
        body = bytearray()
        try:
            async with asyncio.timeout(BODY_WITHIN.total_seconds()):
                async for part in request.stream():
                    body += part
                    if len(body) > BODY_LIMIT:
                        what = f"the body is longer than {BODY_LIMIT} bytes."
                        raise _Refused(413, what, closes=True)
        except TimeoutError:
            raise _Refused(TIMED_OUT, "the body did not come in time.", closes=True) from None
        except ClientDisconnect:
            raise _Refused(400, "the body was cut off.", closes=True) from None
        finally:
            self._bodies -= 1
        return bytes(body)

    def _say(self, account: str, why: str) -> None:
        """Tell a person that webhooks are refused, but no more than once a minute."""
        now, before = self._clock.now(), self._said_at.get(account)
        if before is None or now - before >= SAY_EVERY:
            self._said_at[account] = now
            log.warning(f"A webhook was not taken: {why}", account=account)
