"""Coinbase Advanced Trade's REST protocol over a world: the door that clients knock at.

A request passes the faults, the token, the rate limit and the key's rights, in that order, before
its question is answered; each of them answers in the shape that the real one has. Questions are
answered without waiting for anything; only faults wait, by `asyncio.sleep` and nothing else, so
the application runs on any loop and in any time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

import msgspec
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute

from ordersync.simulator import placing
from ordersync.simulator.answers import (
    Answer,
    RefusedError,
    invalid_argument,
    missing_scopes,
    order_not_found,
    too_many_requests,
    unauthorized,
)
from ordersync.simulator.auth import UnauthorizedError, authenticate
from ordersync.simulator.coinbase_json import (
    accounts_json,
    order_json,
    permissions_json,
    product_json,
    time_json,
)
from ordersync.simulator.coinbase_stream import Streams
from ordersync.simulator.damage import Blindness, blindness_of, damaged, instead
from ordersync.simulator.faults import Faults
from ordersync.simulator.kinds import Kind
from ordersync.simulator.listing import View, page_of_fills, page_of_orders
from ordersync.simulator.products import PRODUCTS
from ordersync.simulator.queries import read_fill_query, read_order_id, read_order_query
from ordersync.simulator.rate_limit import RateLimit
from ordersync.simulator.silence import silence_of
from ordersync.simulator.world import user_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from starlette.requests import Request

    from ordersync.simulator.account import Account
    from ordersync.simulator.answers import Json
    from ordersync.simulator.faults import Fault
    from ordersync.simulator.kinds import AnyKind
    from ordersync.simulator.world import World

PREFIX = "/api/v3/brokerage"
PRIVATE_PER_SECOND = 30
PUBLIC_PER_SECOND = 10
REMEMBERED = 100_000

NotFoundWord: TypeAlias = Literal["NOT_FOUND", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """One request as it was answered, for tests and budgets. Status 0: it was not answered."""

    at: datetime
    endpoint: str
    query: str
    key_name: str
    status: int
    faults: tuple[AnyKind, ...]


@dataclass(slots=True, kw_only=True)
class _Call:
    """One request on its way through the exchange."""

    endpoint: str
    request: Request
    body: bytes
    asked_at: datetime
    faults: tuple[Fault, ...]
    account: Account | None = None
    headers: dict[str, str] = field(default_factory=dict)
    row_before: list[Json] = field(default_factory=list)


def app(
    world: World,
    faults: Faults | None = None,
    *,
    requests_per_second: int = PRIVATE_PER_SECOND,
    not_found: NotFoundWord = "NOT_FOUND",
) -> Starlette:
    """Make the exchange an ASGI application.

    `app.state.served` remembers what it answered, `app.state.streams` who was connected.
    """
    faults = Faults() if faults is None else faults
    streams = Streams(world, faults)
    exchange = _Exchange(world, faults, requests_per_second, not_found)
    historical = f"{PREFIX}/orders/historical"
    application = Starlette(
        routes=[
            exchange.route("list", f"{historical}/batch", exchange.list_orders),
            exchange.route("fills", f"{historical}/fills", exchange.list_fills),
            exchange.route("get", f"{historical}/{{order_id}}", exchange.get_order),
            exchange.route("create", f"{PREFIX}/orders", exchange.create, "POST"),
            exchange.route("cancel", f"{PREFIX}/orders/batch_cancel", exchange.cancel, "POST"),
            exchange.route("key_permissions", f"{PREFIX}/key_permissions", exchange.permissions),
            exchange.route("time", f"{PREFIX}/time", exchange.time),
            exchange.route("accounts", f"{PREFIX}/accounts", exchange.accounts),
            exchange.route("products", f"{PREFIX}/products", exchange.products),
            exchange.route("products", f"{PREFIX}/products/{{product_id}}", exchange.product),
            WebSocketRoute("/", streams.endpoint),
        ]
    )
    application.state.served = exchange.served
    application.state.streams = streams.sessions
    application.state.world = world
    return application


class _Exchange:
    """The endpoints, and the way that a request takes to them."""

    def __init__(
        self, world: World, faults: Faults, requests_per_second: int, not_found: NotFoundWord
    ) -> None:
        self._world = world
        self._faults = faults
        self._not_found = not_found
        self._private = RateLimit(requests_per_second)
        self._public = RateLimit(PUBLIC_PER_SECOND)
        self._turn = 0
        self.served: deque[Served] = deque(maxlen=REMEMBERED)

    def route(
        self,
        endpoint: str,
        path: str,
        question: Callable[[_Call], dict[str, Json]],
        method: str = "GET",
    ) -> Route:
        async def answer(request: Request) -> Response:
            # The body is read first: an exchange that hangs or hangs up has still been asked.
            call = _Call(
                endpoint=endpoint,
                request=request,
                body=await request.body(),
                asked_at=self._world.now(),
                faults=self._faults.strike(endpoint, self._world.now()),
            )
            return await self._answer(call, question)

        return Route(path, answer, methods=[method], name=endpoint)

    async def _answer(self, call: _Call, question: Callable[[_Call], dict[str, Json]]) -> Response:
        self._turn += 1
        late = sum(f.seconds(1) for f in call.faults if f.kind is Kind.LATENCY)
        if late:
            await asyncio.sleep(late / 2)
        answer = instead(call.faults) or self._asked(call, question)
        answer = damaged(answer, call.faults, turn=self._turn, page_before=call.row_before)
        silent = silence_of(call.faults)
        self._remember(call, 0 if silent is not None else answer.status)
        if silent is not None:
            return silent
        if late:
            await asyncio.sleep(late / 2)
        return _response(answer)

    def _asked(self, call: _Call, question: Callable[[_Call], dict[str, Json]]) -> Answer:
        try:
            answer = self._admit(call) or Answer(payload=question(call))
        except RefusedError as refused:
            answer = refused.answer
        return replace(answer, headers={**call.headers, **answer.headers})

    def _admit(self, call: _Call) -> Answer | None:
        """Let the caller in, or say why not."""
        request, now = call.request, self._world.now()
        if call.endpoint == "time":
            limit, caller = self._public, request.client.host if request.client else ""
        else:
            try:
                call.account = authenticate(
                    self._world.accounts,
                    header=request.headers.get("authorization"),
                    method=request.method,
                    host=request.headers.get("host", ""),
                    path=request.url.path,
                    now=now,
                )
            except UnauthorizedError:
                return unauthorized()
            limit, caller = self._private, user_of(call.account.portfolio)
        granted = limit.grant(caller, now)
        call.headers = limit.headers(caller, now)
        if not granted:
            return too_many_requests()
        account = call.account
        if account is not None and call.endpoint != "key_permissions":
            trades = call.endpoint in {"create", "cancel"}
            if not (account.can_trade if trades else account.can_view):
                raise missing_scopes()
        return None

    def _view(self, call: _Call) -> View:
        blindness = blindness_of(call.faults)
        return View(
            world=self._world,
            portfolio=_account(call).portfolio,
            at=self._world.now() - blindness.stale_by,
            blindness=blindness,
        )

    def _remember(self, call: _Call, status: int) -> None:
        self.served.append(
            Served(
                at=call.asked_at,
                endpoint=call.endpoint,
                query=call.request.url.query,
                key_name=call.account.key.name if call.account else "",
                status=status,
                faults=tuple(fault.kind for fault in call.faults),
            )
        )

    # Questions

    def list_orders(self, call: _Call) -> dict[str, Json]:
        query = read_order_query(call.request.query_params)
        page = page_of_orders(self._view(call), query)
        call.row_before = page.row_before
        return {
            "orders": page.rows,
            "sequence": "0",
            "has_next": bool(page.cursor),
            "cursor": page.cursor,
            "proof_token_required": False,
        }

    def list_fills(self, call: _Call) -> dict[str, Json]:
        query = read_fill_query(call.request.query_params)
        page = page_of_fills(self._view(call), query)
        return {"fills": page.rows, "cursor": page.cursor}

    def get_order(self, call: _Call) -> dict[str, Json]:
        seen = self._view(call).order(read_order_id(call.request.path_params["order_id"]))
        if seen is None:
            raise order_not_found(self._not_found)
        return {"order": cast("Json", order_json(*seen))}

    def create(self, call: _Call) -> dict[str, Json]:
        return placing.create(self._world, _account(call), _object(call.body))

    def cancel(self, call: _Call) -> dict[str, Json]:
        # The matching engine knows its own book, whatever a replica for readers believes.
        view = View(
            world=self._world,
            portfolio=_account(call).portfolio,
            at=self._world.now(),
            blindness=Blindness(),
        )
        return placing.cancel(view, _object(call.body))

    def permissions(self, call: _Call) -> dict[str, Json]:
        return permissions_json(_account(call))

    def time(self, call: _Call) -> dict[str, Json]:
        del call
        return time_json(self._world.now())

    def accounts(self, call: _Call) -> dict[str, Json]:
        accounts = accounts_json(_account(call).portfolio)
        return {"accounts": accounts, "has_next": False, "cursor": "", "size": len(accounts)}

    def products(self, call: _Call) -> dict[str, Json]:
        del call
        products: list[Json] = [product_json(product) for product in PRODUCTS.values()]
        return {"products": products, "num_products": len(products)}

    def product(self, call: _Call) -> dict[str, Json]:
        product = PRODUCTS.get(call.request.path_params["product_id"])
        if product is None:
            raise order_not_found(self._not_found)
        return product_json(product)


def _account(call: _Call) -> Account:
    if call.account is None:
        raise RefusedError(unauthorized())
    return call.account


def _object(body: bytes) -> dict[str, object]:
    try:
        document = msgspec.json.decode(body)
    except msgspec.DecodeError:
        document = None
    if not isinstance(document, dict):
        raise invalid_argument("the body is not a JSON object")
    return document


def _response(answer: Answer) -> Response:
    if answer.payload is None:
        return Response(answer.text, answer.status, answer.headers, media_type=answer.content_type)
    body = msgspec.json.encode(answer.payload)
    return Response(body, answer.status, answer.headers, media_type="application/json")
