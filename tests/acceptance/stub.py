"""A Coinbase REST stub written from the protocol alone: stdlib and PyJWT, nothing of ours."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

HOME: Final = "11111111-2222-4333-8444-555555555555"
ELSEWHERE: Final = "99999999-8888-4777-8666-555555555555"
BROKERAGE: Final = "/api/v3/brokerage"
STATUSES: Final = frozenset(
    [
        "PENDING",
        "OPEN",
        "FILLED",
        "CANCELLED",
        "EXPIRED",
        "FAILED",
        "UNKNOWN_ORDER_STATUS",
        "QUEUED",
        "CANCEL_QUEUED",
        "EDIT_QUEUED",
    ],
)
UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")

MODES: Final = frozenset(
    {
        "well",
        "401",
        "403",
        "429",
        "429-retry-after",
        "429-grpc",
        "500",
        "502-html",
        "200-html",
        "half-honest",  # half a JSON text, and a Content-Length that fits it
        "half-dishonest",  # half a JSON text, and the Content-Length of the whole
        "closed",  # the connection ends without an answer
        "hang",  # no answer at all
        "empty",  # 200 without a body
        "null",  # 200 with the JSON text null
        "no-orders-key",  # 200 with an object that lacks what was asked for
        "array",  # 200 with a JSON array
        "lost-page",  # every page but the first is a 500
        "endless",  # has_next stays true and the cursor never moves
    },
)


def wire_time(moment: datetime) -> str:
    """Nine digits of fraction, as Coinbase writes some of its times."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "000Z"


def coinbase_order(  # noqa: PLR0913 - one keyword for each thing that the tests vary
    *,
    created: datetime,
    status: str,
    size: str = "10",
    filled: str = "0",
    price: str = "2",
    average: str | None = None,
    fee: str = "0",
    last_fill: datetime | None = None,
    quote_size: str | None = None,
    settled: bool = True,
    source: str = "RETAIL_ADVANCED",
    product: str = "AVNT-USD",
    order_id: str | None = None,
    client_order_id: str | None = None,
    portfolio: str = HOME,
) -> dict[str, Any]:
    """One order object as the REST interface writes it."""
    configuration: dict[str, Any] = (
        {"market_market_ioc": {"quote_size": quote_size, "base_size": ""}}
        if quote_size is not None
        else {"limit_limit_gtc": {"base_size": size, "limit_price": price, "post_only": False}}
    )
    value = float(filled) * float(average or price)
    return {
        "order_id": order_id or str(uuid4()),
        "product_id": product,
        "user_id": "2222",
        "order_configuration": configuration,
        "side": "BUY",
        "client_order_id": str(uuid4()) if client_order_id is None else client_order_id,
        "status": status,
        "time_in_force": "GOOD_UNTIL_CANCELLED",
        "created_time": wire_time(created),
        "completion_percentage": "100" if status == "FILLED" else "0",
        "filled_size": filled,
        "average_filled_price": average or (price if float(filled) else "0"),
        "fee": "",
        "number_of_fills": "1" if float(filled) else "0",
        "filled_value": f"{value:.8f}" if float(filled) else "0",
        "pending_cancel": status == "CANCEL_QUEUED",
        "size_in_quote": quote_size is not None,
        "total_fees": fee,
        "size_inclusive_of_fees": False,
        "total_value_after_fees": "0",
        "trigger_status": "INVALID_ORDER_TYPE",
        "order_type": "MARKET" if quote_size is not None else "LIMIT",
        "reject_reason": "REJECT_REASON_UNSPECIFIED",
        "settled": settled and status == "FILLED",
        "product_type": "SPOT",
        "reject_message": "",
        "cancel_message": "",
        "order_placement_source": source,
        "outstanding_hold_amount": "0",
        "is_liquidation": False,
        "last_fill_time": wire_time(last_fill) if last_fill else None,
        "edit_history": [],
        "leverage": "",
        "margin_type": "UNKNOWN_MARGIN_TYPE",
        "retail_portfolio_id": portfolio,
        "originating_order_id": "",
        "attached_order_id": "",
        "attached_order_configuration": None,
        "current_pending_replace": None,
        "last_update_time": wire_time(last_fill or created),
        "a_field_of_tomorrow": {"nobody": ["knows", "it"]},
    }


@dataclass
class Key:
    """A CDP key: its name and its private half."""

    private: EllipticCurvePrivateKey = field(
        default_factory=lambda: generate_private_key(SECP256R1())
    )
    name: str = field(default_factory=lambda: f"organizations/{uuid4()}/apiKeys/{uuid4()}")

    @property
    def pem(self) -> str:
        return self.private.private_bytes(
            Encoding.PEM,
            PrivateFormat.TraditionalOpenSSL,
            NoEncryption(),
        ).decode()

    @property
    def secrets(self) -> list[str]:
        """The lines of the key that nobody may ever print."""
        return [line for line in self.pem.splitlines() if line and "-----" not in line]

    def as_file(self) -> str:
        return json.dumps({"name": self.name, "privateKey": self.pem})


@dataclass
class Asked:
    """One request that reached the stub."""

    path: str
    query: dict[str, list[str]]


@dataclass
class Stub:
    """The exchange; every attribute may be changed while it runs."""

    key: Key = field(default_factory=Key)
    orders: dict[str, dict[str, Any]] = field(default_factory=dict)
    fills: list[dict[str, Any]] = field(default_factory=list)
    portfolio: str = HOME  # the one that the key is bound to
    sees_nothing: bool = False  # everything is absent, whatever the key says it is bound to
    can_trade: bool = True
    can_transfer: bool = False
    skew: timedelta = timedelta()  # how far its clock is ahead of this machine's
    leeway: float = 5  # seconds by which a token may be ahead of its clock
    slow_time: float = 0  # seconds before /time looks at its clock
    page: int = 250
    not_found_word: str = "NOT_FOUND"
    mode: str = "well"
    broken: str = ""  # a pattern of paths that `mode` is about; empty is all of them
    forgotten: set[str] = field(default_factory=set)  # ids that the list endpoint lacks by mistake
    asked: list[Asked] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)  # what a strict venue would not forgive
    tokens: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        stub = self

        class Handler(_Handler):
            venue = stub

        self.over = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": 0.05},
            daemon=True,
        )
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def now(self) -> datetime:
        return datetime.now(UTC) + self.skew  # noqa: TID251 - another machine's clock

    def close(self) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()

    def turn(self, mode: str, broken: str = "") -> None:
        assert mode in MODES, mode
        self.mode, self.broken = mode, broken

    def add(self, **order: Any) -> dict[str, Any]:  # noqa: ANN401 - the order's own keywords
        made = coinbase_order(**order)
        self.orders[made["order_id"]] = made
        return made

    def add_fill(
        self, order: dict[str, Any], *, when: datetime, size: str, price: str, fee: str
    ) -> None:
        self.fills.append(
            {
                "entry_id": str(uuid4()),
                "trade_id": str(uuid4()),
                "order_id": order["order_id"],
                "trade_time": wire_time(when),
                "trade_type": "FILL",
                "price": price,
                "size": size,
                "commission": fee,
                "product_id": order["product_id"],
                "sequence_timestamp": wire_time(when),
                "liquidity_indicator": "TAKER",
                "size_in_quote": False,
                "user_id": "2222",
                "side": order["side"],
                "retail_portfolio_id": order["retail_portfolio_id"],
            },
        )

    def visible(self) -> list[dict[str, Any]]:
        """Newest first, as the list is sorted; another portfolio's key sees none of it."""
        if self.sees_nothing or self.portfolio != HOME:
            return []
        return sorted(self.orders.values(), key=lambda o: str(o.get("created_time")), reverse=True)


class _Refusal(Exception):
    def __init__(self, status: int, body: object, headers: dict[str, str] | None = None) -> None:
        super().__init__(status)
        self.status, self.body, self.headers = status, body, headers or {}


def _invalid(why: str) -> _Refusal:
    return _Refusal(
        400,
        {
            "error": "INVALID_ARGUMENT",
            "error_details": why,
            "message": why,
            "code": 3,
            "details": [],
        },
    )


class _Handler(BaseHTTPRequestHandler):
    venue: Stub
    protocol_version = "HTTP/1.1"
    timeout = 300

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class' name
        del format, args

    def _refuse_method(self) -> None:
        self.venue.complaints.append(f"{self.command} {self.path}")
        self._send(405, b"Method Not Allowed", "text/plain")

    do_POST = do_PUT = do_DELETE = do_PATCH = _refuse_method  # noqa: N815 - the base class' names

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if length:
            self.rfile.read(length)
        split = urlsplit(self.path)
        query = parse_qs(split.query, keep_blank_values=True)
        self.venue.asked.append(Asked(split.path, query))
        mode = self.venue.mode if re.search(self.venue.broken, split.path) else "well"
        if mode not in {"well", "lost-page", "endless"} and not mode.startswith("half"):
            answered = self._misbehave(mode)
            if answered:
                return
        try:
            if split.path != f"{BROKERAGE}/time":
                self._check_token(split.path)
            status, body, headers = 200, self._answer(split.path, query, mode), {}
        except _Refusal as refusal:
            status, body, headers = refusal.status, refusal.body, refusal.headers
        if isinstance(body, str):
            self._send(status, body.encode(), "text/plain", headers)
            return
        text = json.dumps(body).encode()
        if mode == "half-honest":
            self._send(status, text[: len(text) // 2], "application/json", headers)
        elif mode == "half-dishonest":
            self._send(
                status, text[: len(text) // 2], "application/json", headers, length=len(text)
            )
            self.close_connection = True
        else:
            self._send(status, text, "application/json", headers)

    def _send(
        self,
        status: int,
        body: bytes,
        kind: str,
        headers: dict[str, str] | None = None,
        *,
        length: int | None = None,
    ) -> None:
        with contextlib.suppress(OSError):
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body) if length is None else length))
            self.send_header("x-ratelimit-limit", "30")
            self.send_header("x-ratelimit-remaining", "29")
            self.send_header("x-ratelimit-reset", "1")
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
            self.wfile.flush()

    def _misbehave(self, mode: str) -> bool:
        errors = b'{"errors":[{"id":"rate_limit_exceeded","message":"Too many requests"}]}'
        grpc = b'{"error":"RESOURCE_EXHAUSTED","code":8,"message":"too many requests","details":[]}'
        internal = b'{"error":"INTERNAL","code":13,"message":"internal","details":[]}'
        html = b"<!DOCTYPE html><html><body><h1>Bad gateway</h1></body></html>"
        js = "application/json"
        answers: dict[str, tuple[int, bytes, str, dict[str, str]]] = {
            "401": (401, b"Unauthorized\n", "text/plain; charset=utf-8", {}),
            "403": (
                403,
                b'{"error":"PERMISSION_DENIED","error_details":"Missing required scopes"}',
                js,
                {},
            ),
            "429": (429, errors, js, {}),
            "429-retry-after": (429, errors, js, {"Retry-After": "1"}),
            "429-grpc": (429, grpc, js, {}),
            "500": (500, internal, js, {}),
            "502-html": (502, html, "text/html", {}),
            "200-html": (200, html, "text/html", {}),
            "empty": (200, b"", js, {}),
            "null": (200, b"null", js, {}),
            "no-orders-key": (200, b'{"sequence":"0"}', js, {}),
            "array": (200, b"[]", js, {}),
        }
        if mode == "closed":
            self.close_connection = True
            return True
        if mode == "hang":
            while self.venue.mode == "hang" and not self.venue.over.wait(0.05):
                pass
            self.close_connection = True
            return True
        status, body, kind, headers = answers[mode]
        self._send(status, body, kind, headers)
        return True

    # -- what a well venue says

    def _check_token(self, path: str) -> None:
        scheme, _, token = (self.headers.get("Authorization") or "").partition(" ")
        unauthorized = _Refusal(401, "Unauthorized")
        if scheme != "Bearer":
            self.venue.complaints.append(f"no token on {path}")
            raise unauthorized
        key = self.venue.key
        try:
            head = jwt.get_unverified_header(token)
            claims = jwt.decode(
                token,
                key.private.public_key(),
                algorithms=["ES256"],
                options={
                    "require": ["exp", "nbf", "iss", "sub"],
                    "verify_exp": False,
                    "verify_nbf": False,
                },
            )
        except jwt.InvalidTokenError as error:
            self.venue.complaints.append(f"token refused on {path}: {error!r}")
            raise unauthorized from None
        moment = self.venue.now().timestamp()
        wrong = [
            name
            for name, right in {
                "kid": head.get("kid") == key.name,
                "nonce": bool(head.get("nonce")),
                "typ": head.get("typ") == "JWT",
                "sub": claims["sub"] == key.name,
                "iss": claims["iss"] == "cdp",
                "exp": 0 < claims["exp"] - claims["nbf"] <= 120,
                f"nbf {claims['nbf'] - moment:+.3f} s": claims["nbf"] <= moment + self.venue.leeway,
                "expired": moment < claims["exp"],
                "uri": bool(re.fullmatch(rf"GET [^/?]+{re.escape(path)}", claims.get("uri", ""))),
                "fresh": token not in self.venue.tokens,
            }.items()
            if not right
        ]
        self.venue.tokens.add(token)
        if wrong:
            self.venue.complaints.append(f"token with wrong {wrong} on {path}")
            raise unauthorized

    def _answer(self, path: str, query: dict[str, list[str]], mode: str) -> object:
        if not path.startswith(BROKERAGE + "/"):
            raise _Refusal(404, "404 page not found")
        inner = path.removeprefix(BROKERAGE)
        if inner == "/time":
            self.venue.over.wait(self.venue.slow_time)
            moment = self.venue.now()
            seconds = moment.timestamp()
            return {
                "iso": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "epochSeconds": str(int(seconds)),
                "epochMillis": str(int(seconds * 1000)),
            }
        if inner == "/key_permissions":
            return {
                "can_view": True,
                "can_trade": self.venue.can_trade,
                "can_transfer": self.venue.can_transfer,
                "portfolio_uuid": self.venue.portfolio,
                "portfolio_type": "DEFAULT",
            }
        if inner == "/orders/historical/batch":
            return self._list(query, mode)
        if inner == "/orders/historical/fills":
            return self._fills(query)
        if inner.startswith("/orders/historical/"):
            return self._one(inner.removeprefix("/orders/historical/"))
        raise _Refusal(404, "404 page not found")

    def _one(self, order_id: str) -> object:
        if not UUID.fullmatch(order_id):
            raise _invalid("order_id is malformed")
        for order in self.venue.visible():
            if order.get("order_id") == order_id:
                return {"order": order}
        why = "order with this orderID was not found"
        raise _Refusal(
            404, {"error": self.venue.not_found_word, "error_details": why, "message": why}
        )

    def _list(self, query: dict[str, list[str]], mode: str) -> object:
        ids = query.get("order_ids", [])
        statuses = query.get("order_status", [])
        if any(not UUID.fullmatch(order_id) for order_id in ids):
            raise _invalid("order_ids holds a malformed id")
        if len(ids) > 100:
            raise _invalid("at most 100 order_ids")
        if any(status not in STATUSES for status in statuses):
            raise _invalid("order_status")
        if "OPEN" in statuses and len(statuses) > 1:
            raise _invalid("OPEN cannot be combined with other statuses")
        if statuses == ["PENDING"]:
            raise _invalid("PENDING is not supported on its own")
        source = query.get("order_placement_source", ["RETAIL_ADVANCED"])[0] or "RETAIL_ADVANCED"
        if source not in {"RETAIL_ADVANCED", "RETAIL_SIMPLE", "UNKNOWN_PLACEMENT_SOURCE"}:
            raise _invalid("order_placement_source")
        if source == "UNKNOWN_PLACEMENT_SOURCE":
            source = "RETAIL_ADVANCED"
        found = [
            order
            for order in self.venue.visible()
            if order.get("order_placement_source", "RETAIL_ADVANCED") == source
            and (not ids or order["order_id"] in ids)
            and (not statuses or order.get("status") in statuses)
            and order["order_id"] not in self.venue.forgotten
        ]
        if "OPEN" in statuses:
            found = found[:1000]
        else:
            start = _bound(query, "start_date")
            end = _bound(query, "end_date")
            found = [
                order
                for order in found
                if (start is None or _moment(order["created_time"]) >= start)
                and (end is None or _moment(order["created_time"]) < end)
            ]
        return self._paged("orders", found, query, mode)

    def _fills(self, query: dict[str, list[str]]) -> object:
        ids = query.get("order_ids", [])
        seen = {order["order_id"] for order in self.venue.visible()}
        found = [
            fill
            for fill in self.venue.fills
            if fill["order_id"] in seen and (not ids or fill["order_id"] in ids)
        ]
        paged = self._paged("fills", found, query, "well")
        return {"fills": paged["fills"], "cursor": paged["cursor"]}

    def _paged(
        self,
        name: str,
        found: list[dict[str, Any]],
        query: dict[str, list[str]],
        mode: str,
    ) -> dict[str, Any]:
        limit = int(query.get("limit", ["0"])[0] or 0)
        size = min(limit or self.venue.page, self.venue.page)
        cursor = query.get("cursor", [""])[0]
        try:
            start = int(base64.urlsafe_b64decode(cursor)) if cursor else 0
        except ValueError:
            raise _invalid("cursor") from None
        if mode == "lost-page" and start:
            raise _Refusal(500, {"error": "INTERNAL", "code": 13, "message": "internal"})
        end = start + size
        more = end < len(found)
        if mode == "endless":
            return {name: found[:size], "has_next": True, "cursor": "MA==", "sequence": "0"}
        return {
            name: found[start:end],
            "sequence": "0",
            "has_next": more,
            "cursor": base64.urlsafe_b64encode(str(end).encode()).decode() if more else "",
            "proof_token_required": False,
        }


def _moment(text: object) -> datetime:
    try:
        return datetime.fromisoformat(str(text)).astimezone(UTC)
    except ValueError:
        return datetime.max.replace(tzinfo=UTC)


def _bound(query: dict[str, list[str]], name: str) -> datetime | None:
    text = query.get(name, [""])[0]
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise _invalid(f"{name} is no RFC 3339 time") from None
    if moment.tzinfo is None:
        raise _invalid(f"{name} has no zone")
    return moment.astimezone(UTC)
