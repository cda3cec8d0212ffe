"""Alpaca's Trading API v2 over a world: the door that clients knock at.

A request passes the faults, its credentials, the rate limit and the token's scope, in that order,
before its question is answered; each of them answers in the shape that the real one has. An
application is one host, paper or live; an account of the other kind is a stranger to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

import msgspec
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute

from ordersync.simulator.alpaca import placing
from ordersync.simulator.alpaca.account import (
    UnauthorizedError,
    Visitor,
    visitor_of_key,
    visitor_of_token,
)
from ordersync.simulator.alpaca.answers import (
    forbidden,
    malformed,
    order_not_found,
    refusal,
    too_many_requests,
    unauthorized,
)
from ordersync.simulator.alpaca.assets import ASSETS
from ordersync.simulator.alpaca.damage import damaged, instead
from ordersync.simulator.alpaca.events import told_since
from ordersync.simulator.alpaca.listing import View, page_of_fills, page_of_orders
from ordersync.simulator.alpaca.order_json import account_json, asset_json, clock_json
from ordersync.simulator.alpaca.queries import (
    read_event_query,
    read_fill_query,
    read_flag,
    read_order_id,
    read_order_query,
)
from ordersync.simulator.alpaca.rate_limit import RateLimit
from ordersync.simulator.alpaca.stream import SecondConnection, TradeStreams
from ordersync.simulator.alpaca.world import UNCANCELABLE
from ordersync.simulator.answers import Answer, RefusedError
from ordersync.simulator.damage import Blindness, blindness_of
from ordersync.simulator.exchange import Call, Exchange
from ordersync.simulator.faults import Faults

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from starlette.requests import Request
    from starlette.routing import Route

    from ordersync.simulator.alpaca.listing import Seen
    from ordersync.simulator.alpaca.world import World
    from ordersync.simulator.answers import Json
    from ordersync.simulator.faults import Fault

REQUESTS_PER_MINUTE = 200
TRADES = frozenset(("create", "replace", "cancel", "cancel_all"))

WrongHostStatus: TypeAlias = Literal[401, 403]


class _Alpaca(Exchange[Visitor]):
    """The endpoints, and whom they let in."""

    json_type: ClassVar[str] = "application/json; charset=UTF-8"

    def __init__(
        self,
        world: World,
        faults: Faults,
        *,
        paper: bool,
        requests_per_minute: int,
        wrong_host_status: WrongHostStatus,
        events: bool,
    ) -> None:
        super().__init__(world.now, faults)
        self.world = world
        self._paper = paper
        self._wrong_host_status = wrong_host_status
        self._has_events = events
        self._limit = RateLimit(requests_per_minute)

    def routes(self) -> list[Route]:
        """List every path that can be asked for."""
        orders, order = "/v2/orders", "/v2/orders/{order_id}"
        activities = "/v2/account/activities"
        return [
            self.route("account", "/v2/account", self.account),
            self.route("clock", "/v2/clock", self.clock),
            self.route("fills", activities, self.list_fills),
            self.route("fills", f"{activities}/{{activity_type}}", self.list_fills),
            self.route("list", orders, self.list_orders),
            self.route("create", orders, self.create, "POST"),
            self.route("cancel_all", orders, self.cancel_all, "DELETE"),
            self.route("by_client_id", f"{orders}:by_client_order_id", self.by_client_id),
            self.route("get", order, self.get_order),
            self.route("replace", order, self.replace, "PATCH"),
            self.route("cancel", order, self.cancel, "DELETE"),
            self.route("events", "/v2/events/trades", self.events),
            self.route("products", "/v2/assets", self.assets),
            self.route("products", "/v2/assets/{symbol:path}", self.asset),
        ]

    def admit(self, call: Call[Visitor]) -> Answer | None:
        """Look at the credentials, the host, the rate limit and the scope, in that order."""
        now = self.world.now()
        try:
            visitor = call.caller = self._visitor(call.request, now)
        except UnauthorizedError:
            return unauthorized()
        if visitor.account.paper is not self._paper:
            return unauthorized(self._wrong_host_status)
        granted = self._limit.grant(visitor.account.account_id, now)
        call.headers = self._limit.headers(visitor.account.account_id, now)
        if not granted:
            return too_many_requests()
        if call.endpoint in TRADES and not visitor.trading:
            raise forbidden("insufficient scope")
        return None

    def _visitor(self, request: Request, now: datetime) -> Visitor:
        accounts = self.world.accounts
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme == "Bearer":
            return visitor_of_token(accounts, self.world.tokens, token, now)
        return visitor_of_key(
            accounts.values(),
            request.headers.get("apca-api-key-id", ""),
            request.headers.get("apca-api-secret-key", ""),
        )

    def key_name(self, caller: Visitor) -> str:
        """Name the key, or the token."""
        return caller.credential

    def instead(self, faults: Sequence[Fault]) -> Answer | None:
        """Answer in Alpaca's shapes."""
        return instead(faults)

    def damaged(self, answer: Answer, call: Call[Visitor], turn: int) -> Answer:
        """Spoil a page or an order of Alpaca's."""
        return damaged(answer, call.faults, turn=turn, page_before=call.row_before)

    def _view(self, call: Call[Visitor], *, exact: bool = False) -> View:
        # The matching engine knows its own book, whatever a replica for readers believes.
        blindness = Blindness() if exact else blindness_of(call.faults)
        return View(
            records=self.world,
            account_id=_account_id(call),
            at=self.world.now() - blindness.stale_by,
            blindness=blindness,
        )

    # Questions

    def account(self, call: Call[Visitor]) -> Answer:
        return Answer(payload=account_json(self.world.accounts[_account_id(call)]))

    def clock(self, call: Call[Visitor]) -> Answer:
        del call
        return Answer(payload=clock_json(self.world.now()))

    def list_orders(self, call: Call[Visitor]) -> Answer:
        query = read_order_query(call.request.query_params)
        page = page_of_orders(self._view(call), query)
        call.row_before = page.row_before
        return Answer(payload=page.rows)

    def list_fills(self, call: Call[Visitor]) -> Answer:
        params = call.request.query_params
        asked = call.request.path_params.get("activity_type", params.get("activity_types", "FILL"))
        query = read_fill_query(params)
        if "FILL" not in asked.split(","):
            return Answer(payload=[])
        return Answer(payload=page_of_fills(self._view(call), query))

    def get_order(self, call: Call[Visitor]) -> Answer:
        view, order_id = self._view(call), _order_id(call)
        nested = read_flag(call.request.query_params, "nested")
        return Answer(payload=view.json(_found(view.order(order_id), order_id), nested=nested))

    def by_client_id(self, call: Call[Visitor]) -> Answer:
        client_order_id = call.request.query_params.get("client_order_id")
        if not client_order_id:
            raise malformed("client_order_id is missing")
        view = self._view(call)
        seen = _found(view.order_of_client(client_order_id), client_order_id)
        return Answer(payload=view.json(seen, nested=False))

    def create(self, call: Call[Visitor]) -> Answer:
        order = placing.create(self.world, _account_id(call), _object(call.body))
        return self._placed(call, order.order_id)

    def replace(self, call: Call[Visitor]) -> Answer:
        order_id = _order_id(call)
        seen = _found(self._view(call, exact=True).order(order_id), order_id)
        order = placing.change(self.world, seen, _object(call.body))
        return self._placed(call, order.order_id)

    def _placed(self, call: Call[Visitor], order_id: str) -> Answer:
        view = self._view(call, exact=True)
        return Answer(payload=view.json(_found(view.order(order_id), order_id), nested=True))

    def cancel(self, call: Call[Visitor]) -> Answer:
        placing.cancel(self._view(call, exact=True), self.world, _order_id(call))
        return Answer(status=204)

    def cancel_all(self, call: Call[Visitor]) -> Answer:
        view = self._view(call, exact=True)
        asked = placing.cancelable(view)
        for order in asked:
            if self.world.condition(order).status not in UNCANCELABLE:
                self.world.cancel(order.order_id)
        bodies: list[Json] = [
            {"id": o.order_id, "status": 200, "body": view.json(seen, nested=False)}
            for o in asked
            if (seen := view.order(o.order_id))
        ]
        return Answer(status=207, payload=bodies)

    def events(self, call: Call[Visitor]) -> Answer:
        if not self._has_events:
            raise refusal(404, 40410000, "endpoint not found")
        query = read_event_query(call.request.query_params)
        return Answer(stream=told_since(self.world, _account_id(call), query))

    def assets(self, call: Call[Visitor]) -> Answer:
        wanted = call.request.query_params.get("asset_class", "us_equity")
        found = [asset_json(each) for each in ASSETS.values() if each.asset_class == wanted]
        return Answer(payload=list(found))

    def asset(self, call: Call[Visitor]) -> Answer:
        symbol = call.request.path_params["symbol"]
        if symbol not in ASSETS:
            raise refusal(404, 40410000, f"asset not found for {symbol}")
        return Answer(payload=asset_json(ASSETS[symbol]))


def app(
    world: World,
    faults: Faults | None = None,
    *,
    paper: bool = True,
    requests_per_minute: int = REQUESTS_PER_MINUTE,
    wrong_host_status: WrongHostStatus = 401,
    second_connection: SecondConnection = 429,
    binary: bool = True,
    events: bool = True,
) -> Starlette:
    """Make one host, paper or live, an ASGI application.

    `app.state.served` remembers what it answered, `app.state.streams` who was connected. A second
    connection of an account is refused by its handshake's status or `after_auth`; the stream
    speaks in `binary` frames, or in text. Without `events` there is nothing that can be replayed.
    """
    faults = Faults() if faults is None else faults
    streams = TradeStreams(
        world, faults, paper=paper, binary=binary, second_connection=second_connection
    )
    broker = _Alpaca(
        world,
        faults,
        paper=paper,
        requests_per_minute=requests_per_minute,
        wrong_host_status=wrong_host_status,
        events=events,
    )
    routes = [*broker.routes(), WebSocketRoute("/stream", streams.endpoint)]
    application = Starlette(routes=routes)
    application.state.served = broker.served
    application.state.streams = streams.sessions
    application.state.world = world
    return application


def _account_id(call: Call[Visitor]) -> str:
    if call.caller is None:
        raise RefusedError(unauthorized())
    return call.caller.account.account_id


def _order_id(call: Call[Visitor]) -> str:
    return read_order_id(call.request.path_params["order_id"])


def _found(seen: Seen | None, order_id: str) -> Seen:
    if seen is None:
        raise order_not_found(order_id)
    return seen


def _object(body: bytes) -> dict[str, object]:
    try:
        document = msgspec.json.decode(body)
    except msgspec.DecodeError:
        document = None
    if not isinstance(document, dict):
        raise refusal(400, 40010000, "request body format is invalid")
    return document
