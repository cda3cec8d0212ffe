"""Coinbase Advanced Trade's REST protocol over a world: the door that clients knock at.

A request passes the faults, the token, the rate limit and the key's rights, in that order, before
its question is answered; each of them answers in the shape that the real one has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias, cast

import msgspec
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute

from ordersync.simulator import placing
from ordersync.simulator.account import Account
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
from ordersync.simulator.exchange import Call, Exchange
from ordersync.simulator.faults import Faults
from ordersync.simulator.listing import View, page_of_fills, page_of_orders
from ordersync.simulator.products import PRODUCTS
from ordersync.simulator.queries import read_fill_query, read_order_id, read_order_query
from ordersync.simulator.rate_limit import RateLimit
from ordersync.simulator.world import user_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ordersync.simulator.answers import Json
    from ordersync.simulator.faults import Fault
    from ordersync.simulator.world import World

PREFIX = "/api/v3/brokerage"
PRIVATE_PER_SECOND = 30
PUBLIC_PER_SECOND = 10

NotFoundWord: TypeAlias = Literal["NOT_FOUND", "unknown"]


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
    exchange = _Coinbase(world, faults, requests_per_second, not_found)
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


class _Coinbase(Exchange[Account]):
    """The endpoints, and whom they let in."""

    def __init__(
        self, world: World, faults: Faults, requests_per_second: int, not_found: NotFoundWord
    ) -> None:
        super().__init__(world.now, faults)
        self._world = world
        self._not_found = not_found
        self._private = RateLimit(requests_per_second)
        self._public = RateLimit(PUBLIC_PER_SECOND)

    def admit(self, call: Call[Account]) -> Answer | None:
        """Look at the token, the rate limit and the key's rights, in that order."""
        request, now = call.request, self._world.now()
        if call.endpoint == "time":
            limit, who = self._public, request.client.host if request.client else ""
        else:
            try:
                call.caller = authenticate(
                    self._world.accounts,
                    header=request.headers.get("authorization"),
                    method=request.method,
                    host=request.headers.get("host", ""),
                    path=request.url.path,
                    now=now,
                )
            except UnauthorizedError:
                return unauthorized()
            limit, who = self._private, user_of(call.caller.portfolio)
        granted = limit.grant(who, now)
        call.headers = limit.headers(who, now)
        if not granted:
            return too_many_requests()
        account = call.caller
        if account is not None and call.endpoint != "key_permissions":
            trades = call.endpoint in {"create", "cancel"}
            if not (account.can_trade if trades else account.can_view):
                raise missing_scopes()
        return None

    def key_name(self, caller: Account) -> str:
        """Name the key that signed the token."""
        return caller.key.name

    def instead(self, faults: Sequence[Fault]) -> Answer | None:
        """Answer in Coinbase's shapes."""
        return instead(faults)

    def damaged(self, answer: Answer, call: Call[Account], turn: int) -> Answer:
        """Spoil a page or an order of Coinbase's."""
        return damaged(answer, call.faults, turn=turn, page_before=call.row_before)

    def _view(self, call: Call[Account]) -> View:
        blindness = blindness_of(call.faults)
        return View(
            world=self._world,
            portfolio=_account(call).portfolio,
            at=self._world.now() - blindness.stale_by,
            blindness=blindness,
        )

    # Questions

    def list_orders(self, call: Call[Account]) -> Answer:
        query = read_order_query(call.request.query_params)
        page = page_of_orders(self._view(call), query)
        call.row_before = page.row_before
        return Answer(
            payload={
                "orders": page.rows,
                "sequence": "0",
                "has_next": bool(page.cursor),
                "cursor": page.cursor,
                "proof_token_required": False,
            }
        )

    def list_fills(self, call: Call[Account]) -> Answer:
        query = read_fill_query(call.request.query_params)
        page = page_of_fills(self._view(call), query)
        return Answer(payload={"fills": page.rows, "cursor": page.cursor})

    def get_order(self, call: Call[Account]) -> Answer:
        seen = self._view(call).order(read_order_id(call.request.path_params["order_id"]))
        if seen is None:
            raise order_not_found(self._not_found)
        return Answer(payload={"order": cast("Json", order_json(*seen))})

    def create(self, call: Call[Account]) -> Answer:
        return Answer(payload=placing.create(self._world, _account(call), _object(call.body)))

    def cancel(self, call: Call[Account]) -> Answer:
        # The matching engine knows its own book, whatever a replica for readers believes.
        view = View(
            world=self._world,
            portfolio=_account(call).portfolio,
            at=self._world.now(),
            blindness=Blindness(),
        )
        return Answer(payload=placing.cancel(view, _object(call.body)))

    def permissions(self, call: Call[Account]) -> Answer:
        return Answer(payload=permissions_json(_account(call)))

    def time(self, call: Call[Account]) -> Answer:
        del call
        return Answer(payload=time_json(self._world.now()))

    def accounts(self, call: Call[Account]) -> Answer:
        accounts = accounts_json(_account(call).portfolio)
        return Answer(
            payload={"accounts": accounts, "has_next": False, "cursor": "", "size": len(accounts)}
        )

    def products(self, call: Call[Account]) -> Answer:
        del call
        products: list[Json] = [product_json(product) for product in PRODUCTS.values()]
        return Answer(payload={"products": products, "num_products": len(products)})

    def product(self, call: Call[Account]) -> Answer:
        product = PRODUCTS.get(call.request.path_params["product_id"])
        if product is None:
            raise order_not_found(self._not_found)
        return Answer(payload=product_json(product))


def _account(call: Call[Account]) -> Account:
    if call.caller is None:
        raise RefusedError(unauthorized())
    return call.caller


def _object(body: bytes) -> dict[str, object]:
    try:
        document = msgspec.json.decode(body)
    except msgspec.DecodeError:
        document = None
    if not isinstance(document, dict):
        raise invalid_argument("the body is not a JSON object")
    return document
