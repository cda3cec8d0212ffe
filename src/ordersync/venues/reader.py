"""Asks a venue over HTTP, inside the account's rate budget. Can send nothing but GET."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING

import httpx2

from ordersync.metered import UNMETERED, CallEnd, Count, Level
from ordersync.venues.answers import TOO_MANY, Answer, Blame, NotFound, Unusable, judge, no_answer

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from ordersync.metered import AccountMeter
    from ordersync.ports import Clock
    from ordersync.venues.budget import RateBudget

ATTEMPTS = 3
FIRST_BACKOFF = timedelta(milliseconds=400)
TIMEOUT = timedelta(seconds=10)
WHOLE_ANSWER = timedelta(seconds=30)
"""So long a whole answer may take: `TIMEOUT` is for each part of it, and who drips never ends."""


@cache
def _trust() -> ssl.SSLContext:
    """Whom to believe that he is who he says: read once, for it is most of what a client takes."""
    return httpx2.create_ssl_context()


class Reader:
    """GET with patience: a few attempts on what may pass, one pause for all on a 429.

    `sign` makes the headers of one request from its path; `venue_now` is the venue's clock;
    `meter` is told how each call ended, and what is left of the budget.
    """

    def __init__(
        self,
        base_url: str,
        clock: Clock,
        budget: RateBudget,
        *,
        sign: Callable[[str], Mapping[str, str]],
        venue_now: Callable[[], datetime],
        meter: AccountMeter = UNMETERED,
    ) -> None:
        self._clock = clock
        self._meter = meter
        self._budget = budget
        self._sign = sign
        self._venue_now = venue_now
        self._client = httpx2.AsyncClient(
            base_url=base_url,
            timeout=TIMEOUT.total_seconds(),
            follow_redirects=False,
            headers={"user-agent": "ordersync"},
            verify=_trust(),
        )
        self.calls = 0
        self._owed_since: datetime | None = None
        self._unanswered = 0

    async def get(
        self,
        path: str,
        query: Sequence[tuple[str, str]] = (),
        *,
        public: RateBudget | None = None,
        accept: str = "application/json",
    ) -> Answer:
        """Ask until an answer is worth something or patience ends. Never raises for an answer.

        `public` is the budget of a question that anybody may ask: it is not signed, and counts
        for nothing in the account's own.
        """
        answer: Answer = Unusable(why="nobody asked", blame=Blame.SILENT)
        for attempt in range(ATTEMPTS):
            answer = await self._ask(path, query, public=public, accept=accept)
            if not isinstance(answer, Unusable) or answer.blame is not Blame.SILENT:
                return answer
            backoff = FIRST_BACKOFF * 2**attempt * random.uniform(0.5, 1.5)  # noqa: S311 - jitter
            if answer.pause is not None:
                # One pause for all: the other callers would only earn more refusals.
                (public or self._budget).pause(max(answer.pause, backoff))
            elif attempt < ATTEMPTS - 1:
                await self._clock.sleep(backoff)
        return answer

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _ask(
        self,
        path: str,
        query: Sequence[tuple[str, str]],
        *,
        public: RateBudget | None,
        accept: str,
    ) -> Answer:
        budget = public or self._budget
        await budget.take()
        self.calls += 1
        headers = {"accept": accept, **({} if public else self._sign(path))}
        self._owe()
        try:
            async with asyncio.timeout(WHOLE_ANSWER.total_seconds()):
                response = await self._client.get(path, params=list(query), headers=headers)
        except (httpx2.RequestError, TimeoutError) as error:
            self._count(CallEnd.FAILED)
            return no_answer(error)
        except ValueError as error:
            # Cannot be understood: the client reads where a redirect leads, though it goes nowhere.
            self._count(CallEnd.FAILED)
            return Unusable(why=f"an answer that cannot be read ({error})", blame=Blame.GARBLED)
        budget.learn(response.headers, self._venue_now())
        answer = judge(response, self._venue_now())
        limited = response.status_code == TOO_MANY
        self._count(CallEnd.LIMITED if limited else _how_it_ended(answer))
        return answer

    def _owe(self) -> None:
        """An answer is waited for: one that never comes is seen before patience with it ends."""
        if self._owed_since is None:
            self._owed_since = self._clock.now()
            self._meter.set(Level.ASKED_AT, self._owed_since.timestamp())

    def _count(self, how: CallEnd) -> None:
        meter, budget = self._meter, self._budget
        if how is CallEnd.FAILED:
            self._unanswered += 1
            self._owe()
        else:
            self._unanswered, self._owed_since = 0, None
            meter.set(Level.ANSWERED_AT, self._clock.now().timestamp())
            meter.set(Level.ASKED_AT, 0)
        meter.set(Level.UNANSWERED, self._unanswered)
        meter.count(Count.CALLS, how)
        meter.set(Level.BUDGET_LEFT, budget.left)
        meter.set(Level.CALL_LIMIT, budget.allowed_per_minute)
        meter.set(Level.PAUSED_UNTIL, (self._clock.now() + budget.paused_for).timestamp())


_BLAMED = {Blame.KEY: CallEnd.KEY_REFUSED, Blame.REQUEST: CallEnd.REFUSED}


def _how_it_ended(answer: Answer) -> CallEnd:
    if isinstance(answer, Unusable):
        return _BLAMED.get(answer.blame, CallEnd.FAILED)
    return CallEnd.NOT_FOUND if isinstance(answer, NotFound) else CallEnd.ANSWERED
