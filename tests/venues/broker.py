"""An Alpaca to ask: a small one of the tests' own, strict about its wire, with faults by hand.

It knows nothing of the simulator and shares no code with it: what both get wrong alike would
otherwise never be seen.
"""

from __future__ import annotations

import contextlib
import json
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ordersync.simulator import serving
from ordersync.venues.alpaca.key import AlpacaKey
from ordersync.venues.alpaca.venue import Alpaca
from tests.virtual import EPOCH, VirtualClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.requests import Request

PORT = 8710
ACCOUNT = "e6fe16f3-64a4-4921-8928-cadf02f92f98"
KEY = {"APCA-API-KEY-ID": "PKTEST", "APCA-API-SECRET-KEY": "a-secret"}
FOLDER = Path(__file__).parent / "alpaca"
FINAL = {"filled", "canceled", "expired", "rejected", "replaced"}
EASTERN = timezone(timedelta(hours=-5))


def text(name: str) -> bytes:
    """A payload as it came over the wire."""
    return (FOLDER / f"{name}.json").read_bytes()


def but(name: str, *without: str, **other: Any) -> bytes:  # noqa: ANN401 - JSON
    """A payload with other values in some fields, and `without` others."""
    fields: dict[str, Any] = json.loads(text(name))
    for one in without:
        del fields[one]
    return json.dumps({**fields, **other}).encode()


def stamp(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "123Z"


@dataclass
class Broker:
    """Orders in the order of their submission, and what is wrong today."""

    clock: VirtualClock
    orders: list[dict[str, Any]] = field(default_factory=list)
    fills: list[dict[str, Any]] = field(default_factory=list)
    calls: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    at: list[float] = field(default_factory=list)
    limit: int = 200
    headers: dict[str, str] = field(default_factory=lambda: dict(KEY))
    faults: dict[str, list[Response]] = field(default_factory=dict)
    before: Callable[[str], None] = lambda _path: None
    slow: timedelta = timedelta(0)
    nests: bool = False
    spent: dict[int, int] = field(default_factory=dict)
    foreign: int = 0

    def now(self) -> datetime:
        return self.clock.now() + self.slow

    def place(self, status: str = "new", *, at: datetime | None = None, **other: Any) -> str:  # noqa: ANN401 - JSON
        submitted = at or self.now()
        order = json.loads(text("new"))
        order |= {
            "id": str(uuid.UUID(int=len(self.orders) + (7 << 96))),
            "client_order_id": f"client-{len(self.orders)}",
            "created_at": stamp(submitted),
            "submitted_at": stamp(submitted),
            "updated_at": stamp(submitted),
            "status": status,
            **other,
        }
        self.orders.append(order)
        return str(order["id"])

    def order(self, order_id: str) -> dict[str, Any]:
        return next(one for one in self.orders if one["id"] == order_id)

    def asked(self, path: str = "") -> list[dict[str, str]]:
        return [query for where, query in self.calls if where.startswith(path)]

    # --- over the wire ---------------------------------------------------------------------

    @property
    def app(self) -> Starlette:
        places = {
            "/v2/clock": self._clock,
            "/v2/account": self._account,
            "/v2/orders": self._list,
            "/v2/orders:by_client_order_id": self._by_client_id,
            "/v2/orders/{order}": self._by_id,
            "/v2/account/activities/FILL": self._activities,
        }
        return Starlette(
            routes=[
                Route(path, self._door(answer), methods=["GET"]) for path, answer in places.items()
            ]
        )

    def _door(self, answer: Callable[[Request], Response]) -> Callable[[Request], Any]:
        async def serve(request: Request) -> Response:
            path = request.url.path
            self.calls.append((path, dict(request.query_params)))
            self.at.append(self.clock.monotonic())
            self.before(path)
            minute = int(self.now().timestamp() // 60)
            self.spent[minute] = self.spent.get(minute, 0) + 1
            left = self.limit - self.spent[minute] - self.foreign
            waiting = self.faults.get(path) or self.faults.get("")
            if left < 0:
                response: Response = JSONResponse({"message": "too many requests."}, 429)
            elif waiting:
                response = waiting.pop(0)
            elif any(request.headers.get(name) != value for name, value in self.headers.items()):
                response = JSONResponse({"message": "forbidden."}, 403)
            else:
                response = answer(request)
            response.headers["X-Ratelimit-Limit"] = str(self.limit)
            response.headers["X-Ratelimit-Remaining"] = str(max(left, 0))
            response.headers["X-Ratelimit-Reset"] = str((minute + 1) * 60)
            return response

        return serve

    def _clock(self, _request: Request) -> Response:
        at = self.now().astimezone(EASTERN).isoformat()
        return JSONResponse({"timestamp": at, "is_open": True})

    def _account(self, _request: Request) -> Response:
        return JSONResponse({"id": ACCOUNT, "status": "ACTIVE", "trading_blocked": True})

    def _list(self, request: Request) -> Response:
        query = dict(request.query_params)
        known = {"status", "limit", "after", "until", "direction", "nested", "asset_class"}
        cursors = {"before_order_id", "after_order_id"} & query.keys()
        limit = int(query.get("limit", "50"))
        wrong = query.keys() - known - {"before_order_id", "after_order_id"}
        if wrong or limit > 500 or (cursors and {"after", "until"} & query.keys()):
            return JSONResponse({"code": 40010001, "message": "bad request"}, 422)
        found = [one for one in self.orders if self._fits(one, query)]
        for name in cursors:
            if all(one["id"] != query[name] for one in self.orders):
                return JSONResponse({"code": 40410000, "message": "order not found"}, 404)
            at = self.order(query[name])["submitted_at"]
            found = [
                one
                for one in found
                if (one["submitted_at"] > at if name[0] == "a" else one["submitted_at"] < at)
            ]
        found.sort(key=lambda one: one["submitted_at"])
        if query.get("direction", "desc") == "desc":
            found.reverse()
        shown = [self._nested(one) for one in found] if self.nests else found
        return JSONResponse([one for one in shown if one is not None][:limit])

    def _fits(self, one: dict[str, Any], query: dict[str, str]) -> bool:
        group = query.get("status", "open")
        at = datetime.fromisoformat(one["submitted_at"])
        after, until = query.get("after"), query.get("until")
        return (
            (group == "all" or (group == "closed") == (one["status"] in FINAL))
            and (after is None or at > datetime.fromisoformat(after))
            and (until is None or at < datetime.fromisoformat(until))
        )

    def _nested(self, one: dict[str, Any]) -> dict[str, Any] | None:
        if one.get("parent"):
            return None
        legs = [leg for leg in self.orders if leg.get("parent") == one["id"]]
        return {**one, "legs": legs or None}

    def _by_id(self, request: Request) -> Response:
        name = request.path_params["order"]
        try:
            uuid.UUID(name)
        except ValueError:
            return JSONResponse({"code": 40010001, "message": "order_id is invalid"}, 422)
        return self._found(one for one in self.orders if one["id"] == name)

    def _by_client_id(self, request: Request) -> Response:
        name = request.query_params["client_order_id"]
        return self._found(one for one in self.orders if one["client_order_id"] == name)

    def _found(self, orders: Any) -> Response:  # noqa: ANN401 - an iterator of JSON
        found = next(orders, None)
        if found is None:
            return JSONResponse({"code": 40410000, "message": "order not found for x"}, 404)
        return JSONResponse((self._nested(found) or found) if self.nests else found)

    def _activities(self, request: Request) -> Response:
        query = dict(request.query_params)
        if int(query["page_size"]) > 100 or query["direction"] != "desc":
            return JSONResponse({"message": "bad request"}, 422)
        until = datetime.fromisoformat(query["until"])
        found = sorted(self.fills, key=lambda one: one["id"], reverse=True)
        found = [f for f in found if datetime.fromisoformat(f["transaction_time"]) < until]
        if token := query.get("page_token"):
            found = [one for one in found if one["id"] < token]
        return JSONResponse(found[: int(query["page_size"])])

    def fill(self, order_id: str, at: datetime, cum_qty: str) -> None:
        number = len(self.fills)
        self.fills.append(
            {
                "id": f"{at:%Y%m%d%H%M%S}{number:03}::{uuid.UUID(int=number)}",
                "activity_type": "FILL",
                "transaction_time": stamp(at),
                "type": "partial_fill",
                "price": "10",
                "qty": "1",
                "cum_qty": cum_qty,
                "leaves_qty": "1",
                "side": "buy",
                "symbol": "AAPL",
                "order_id": order_id,
                "order_status": "partially_filled",
            }
        )


@contextlib.asynccontextmanager
async def trading(
    *,
    key: AlpacaKey | None = None,
    paper: bool = True,
    **options: Any,  # noqa: ANN401 - of a Broker
) -> AsyncIterator[tuple[Broker, Alpaca]]:
    """The broker, served, and the venue that asks; call it in virtual time."""
    clock = VirtualClock()
    broker = Broker(clock, **options)
    key = key or AlpacaKey(key_id="PKTEST", secret="a-secret")  # noqa: S106 - a test's own
    async with serving(broker.app, port=PORT) as url:
        venue = Alpaca(key, clock, paper=paper, rest_url=url)
        try:
            yield broker, venue
        finally:
            await venue.close()


LONG_AGO = EPOCH - timedelta(days=2)
