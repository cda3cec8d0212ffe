"""Whoever serves an account, here or in another process: asked in the same words either way.

What this process cannot do because another has the account's lease is left in the database as a
request; whoever has the lease, or takes it over next, answers it there.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol, Self

import msgspec
import structlog

from ordersync.asked import Told
from ordersync.errors import AskAgain, OrdersyncError, VenueSilent
from ordersync.leased import DueRequest
from ordersync.ports import OrderName, Outcome, Result
from ordersync.sync.hints import Took
from ordersync.sync.parcels import key_of
from ordersync.sync.work import PassReport

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from ordersync.asked import Verifier
    from ordersync.leased import RequestStore
    from ordersync.ports import Clock, Known

ANSWER_EVERY = timedelta(milliseconds=100)
"""How often who asked looks for the answer."""

PATIENCE = timedelta(seconds=12)
"""How long the sender of a webhook waits for another process, as he waits for this one."""

PASS_PATIENCE = timedelta(seconds=60)
FORGET_EVERY = timedelta(minutes=10)
AWAY_EVERY = timedelta(seconds=1)

VERIFY, WEBHOOK, PASS = "verify", "webhook", "pass"

FAILURES_TOLD = 1_000

log = structlog.get_logger("ordersync")


class Taker(Protocol):
    """Takes webhooks for one account; see `hints.Hints`."""

    async def take(self, webhook_id: str, names: Sequence[OrderName]) -> Took:
        """Ask about these orders; the answer, once it is committed. Raises OrdersyncError."""


class _Names(msgspec.Struct, frozen=True):
    """What a request is about. `since` is of `verify`, `webhook_id` of `webhook`."""

    names: list[tuple[str | None, str | None]]
    since: datetime | None = None
    webhook_id: str = ""

    @property
    def orders(self) -> list[OrderName]:
        return [OrderName(*name) for name in self.names]


class _Counted(msgspec.Struct, frozen=True):
    """As much of the report of a pass as travels."""

    asked: int
    written: int
    not_found: list[str]
    failed: dict[str, str]

    @classmethod
    def of(cls, report: PassReport) -> Self:
        return cls(
            asked=report.asked,
            written=report.rows_written,
            not_found=sorted(report.not_found),
            failed=dict(list(report.failed.items())[:FAILURES_TOLD]),
        )

    def report(self, account: str) -> PassReport:
        written = Outcome(key="", result=Result.WON, rows_written=self.written)
        return PassReport(
            account=account,
            asked=self.asked,
            outcomes=[written],
            not_found=set(self.not_found),
            failed=self.failed,
        )


class _Reply(msgspec.Struct, frozen=True):
    """What came of it: by order key, of the webhook, of the pass; `error` where nothing did."""

    told: dict[str, Told] = {}
    took: Took | None = None
    counted: _Counted | None = None
    error: str = ""


_encode = msgspec.json.encode
_names = msgspec.json.Decoder(_Names)
_reply = msgspec.json.Decoder(_Reply)


class Owner:
    """Implements `asked.Verifier` and Taker for one account. `is_here` is whether we serve it."""

    def __init__(
        self,
        account: str,
        *,
        is_here: Callable[[], bool],
        verifier: Callable[[], Verifier],
        taker: Callable[[], Taker],
        next_pass: Callable[[], Awaitable[PassReport]],
        requests: RequestStore,
        clock: Clock,
    ) -> None:
        self.account = account
        self.is_here = is_here
        self._verifier = verifier
        self._taker = taker
        self._next_pass = next_pass
        self._requests = requests
        self._clock = clock

    # --- what the faces call -----------------------------------------------------------------

    def now(self) -> datetime:
        """The venue's clock, as well as it is known here."""
        return self._verifier().now()

    def verified_at(self, known: Known) -> datetime | None:
        """Since when what is stored of an order is vouched for."""
        return self._verifier().verified_at(known)

    async def verify(self, names: Sequence[OrderName], since: datetime) -> Mapping[str, Told]:
        """Ask about these now, here or by whoever serves the account; by order key."""
        if self.is_here():
            return await self._verifier().verify(names, since)
        reply = await self._ask(VERIFY, _Names(_pairs(names), since))
        silent = Told(why=reply.error or "whoever serves the account said nothing of it")
        return {key: reply.told.get(key, silent) for key in map(key_of, names)}

    async def take(self, webhook_id: str, names: Sequence[OrderName]) -> Took:
        """Take a webhook, here or by whoever serves the account. Raises VenueSilent or AskAgain."""
        if self.is_here():
            return await self._taker().take(webhook_id, names)
        try:
            async with asyncio.timeout(PATIENCE.total_seconds()):
                reply = await self._ask(WEBHOOK, _Names(_pairs(names), webhook_id=webhook_id))
        except TimeoutError:
            raise VenueSilent("whoever serves the account has not answered yet.") from None
        if reply.took is None:
            raise VenueSilent(reply.error)
        return reply.took

    async def next_pass(self) -> PassReport:
        """The next full pass, here or by whoever serves the account, however long it takes."""
        if self.is_here():
            return await self._next_pass()
        reply = await self._ask(PASS, _Names([]))
        if reply.counted is None:
            return PassReport(account=self.account, failed={self.account: reply.error})
        return reply.counted.report(self.account)

    async def _ask(self, kind: str, body: _Names) -> _Reply:
        """Leave a request and wait for its answer, as long as it takes. Raises OrdersyncError."""
        this = secrets.token_hex(16)
        text = _encode(body).decode()
        await self._requests.put_request(
            DueRequest(request_id=this, account=self.account, kind=kind, body=text)
        )
        try:
            while (answer := await self._requests.take_answer(this)) is None:
                await self._clock.sleep(ANSWER_EVERY)
        except BaseException:
            with contextlib.suppress(OrdersyncError):
                await self._requests.drop_request(this)
            raise
        return _reply.decode(answer)

    # --- what the desk calls -----------------------------------------------------------------

    async def answer(self, request: DueRequest) -> str:
        """Do here what another process wants; the answer for it."""
        try:
            body = _names.decode(request.body)
            if request.kind == WEBHOOK:
                reply = _Reply(took=await self._taker().take(body.webhook_id, body.orders))
            elif request.kind == PASS:
                # The lease may go before there is one; then whoever has it is asked anew.
                async with asyncio.timeout(PASS_PATIENCE.total_seconds()):
                    reply = _Reply(counted=_Counted.of(await self._next_pass()))
            elif request.kind == VERIFY and body.since is not None:
                told = await self._verifier().verify(body.orders, body.since)
                reply = _Reply(told=dict(told))
            else:
                reply = _Reply(error="this ordersync is older than the one that asks")
        except TimeoutError:
            reply = _Reply(error=f"no pass ended within {PASS_PATIENCE.seconds} s")
        except msgspec.DecodeError:
            # Another version's words: whoever asked is told, and asks its own way.
            reply = _Reply(error="this ordersync does not understand the one that asks")
        except OrdersyncError as error:
            reply = _Reply(error=str(error))
        return _encode(reply).decode()


class Desk:
    """Answers what other processes want of this one; `run` ends only by cancellation."""

    def __init__(self, owners: Mapping[str, Owner], requests: RequestStore, clock: Clock) -> None:
        self._owners = owners
        self._requests = requests
        self._clock = clock
        self._in_hand: set[str] = set()

    async def run(self) -> None:
        """Look for requests to the accounts that are served here, and answer them."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._forget(), name="forget requests")
            while True:
                pause = self._requests.look_every
                here = [name for name, owner in self._owners.items() if owner.is_here()]
                try:
                    due = await self._requests.list_requests(here) if here else []
                except OrdersyncError:
                    due, pause = [], AWAY_EVERY  # the passes tell of it
                for request in due:
                    if request.request_id not in self._in_hand:
                        self._in_hand.add(request.request_id)
                        group.create_task(self._answer(request), name="answer a request")
                await self._clock.sleep(pause)

    async def _answer(self, request: DueRequest) -> None:
        try:
            answer = await self._owners[request.account].answer(request)
            await self._requests.answer_request(request.request_id, answer)
        except AskAgain:
            pass  # it is still there, and is found again
        except OrdersyncError as error:
            log.error(f"Failed to answer a request: {error}", account=request.account)  # noqa: TRY400
        finally:
            self._in_hand.discard(request.request_id)

    async def _forget(self) -> None:
        """Of those whose asker was killed nobody fetches the answer."""
        while True:
            with contextlib.suppress(OrdersyncError):
                await self._requests.drop_old_requests(FORGET_EVERY)
            await self._clock.sleep(FORGET_EVERY)


def _pairs(names: Sequence[OrderName]) -> list[tuple[str | None, str | None]]:
    return [(name.venue_order_id, name.client_order_id) for name in names]
