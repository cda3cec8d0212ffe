"""An Alpaca stub written from the protocol alone: the standard library's threads and sockets."""

from __future__ import annotations

import base64
import contextlib
import copy
import hashlib
import json
import re
import secrets
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import uuid4

if TYPE_CHECKING:
    from collections.abc import Callable

UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
NEW_YORK: Final = timezone(timedelta(hours=-4))
CLOSED: Final = frozenset({"filled", "canceled", "expired", "rejected", "replaced"})
ENDS: Final = {  # what an event makes of the order, and which of its times it sets
    "new": ("new", None),
    "accepted": ("accepted", None),
    "pending_new": ("pending_new", None),
    "fill": ("filled", "filled_at"),
    "partial_fill": ("partially_filled", None),
    "canceled": ("canceled", "canceled_at"),
    "expired": ("expired", "expired_at"),
    "rejected": ("rejected", "failed_at"),
    "done_for_day": ("done_for_day", None),
    "pending_cancel": ("pending_cancel", "cancel_requested_at"),
    "pending_replace": ("pending_replace", None),
    "replaced": ("replaced", "replaced_at"),
    "stopped": ("stopped", None),
    "suspended": ("suspended", None),
    "calculated": ("calculated", None),
    "held": ("held", None),
}
TIMED: Final = frozenset(
    {"fill", "partial_fill", "canceled", "expired", "replaced", "rejected"},
)
MAGIC: Final = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10

MODES: Final[dict[str, tuple[int, bytes, str]]] = {
    "401": (401, b'{"code":40110000,"message":"request is not authorized."}', "application/json"),
    "403": (403, b'{"code":40310000,"message":"insufficient buying power"}', "application/json"),
    "403-forbidden": (403, b'{"message":"forbidden."}', "application/json"),
    "404-proxy": (404, b"<html><h1>404 Not Found</h1></html>", "text/html"),
    "404-codeless": (404, b'{"message":"endpoint not found."}', "application/json"),
    "429": (429, b'{"message":"too many requests."}', "application/json"),
    "429-coded": (429, b'{"code":42910000,"message":"rate limit exceeded"}', "application/json"),
    "500": (500, b'{"code":50010000,"message":"internal server error"}', "application/json"),
    "502-html": (502, b"<html><h1>502 Bad Gateway</h1></html>", "text/html"),
    "200-html": (200, b"<html><h1>Maintenance</h1></html>", "text/html"),
    "empty": (200, b"", "application/json"),
    "null": (200, b"null", "application/json"),
    "empty-list": (200, b"[]", "application/json"),
    "object": (200, b"{}", "application/json"),
}
BODILY: Final = frozenset({"well", "half-honest", "half-dishonest", "closed", "hang", "lost-page"})


def rest_time(moment: datetime) -> str:
    """Nine digits and a Z, as REST has it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "321Z"


def stream_time(moment: datetime) -> str:
    """The same moment as the stream likes to write it: in New York."""
    return moment.astimezone(NEW_YORK).strftime("%Y-%m-%dT%H:%M:%S.%f") + "321-04:00"


def alpaca_order(  # noqa: PLR0913 - one keyword for each thing that the tests vary
    *,
    created: datetime,
    status: str = "new",
    qty: str | None = "10",
    filled: str = "0",
    average: str | None = None,
    notional: str | None = None,
    ended: datetime | None = None,
    symbol: str = "AAPL",
    order_class: str = "",
    order_id: str | None = None,
    client_order_id: str | None = None,
    parent: str | None = None,
) -> dict[str, Any]:
    """One order object as the REST interface writes it."""
    made: dict[str, Any] = {
        "id": order_id or str(uuid4()),
        "client_order_id": client_order_id or str(uuid4()),
        "created_at": rest_time(created),
        "updated_at": rest_time(ended or created),
        "submitted_at": rest_time(created),
        "filled_at": None,
        "expired_at": None,
        "expires_at": rest_time(created + timedelta(days=90)),
        "canceled_at": None,
        "failed_at": None,
        "replaced_at": None,
        "replaced_by": None,
        "replaces": None,
        "cancel_requested_at": None,
        "asset_id": "b0b6dd9d-8b9b-48a9-ba46-b9d54906e415",
        "symbol": symbol,
        "asset_class": "us_equity" if symbol else "",
        "notional": notional,
        "qty": qty,
        "filled_qty": filled,
        "filled_avg_price": average,
        "order_class": order_class,
        "order_type": "limit",
        "type": "limit",
        "side": "buy" if symbol else "",
        "time_in_force": "gtc",
        "limit_price": "2.5" if notional is None else None,
        "stop_price": None,
        "status": status,
        "extended_hours": False,
        "legs": None,
        "trail_percent": None,
        "trail_price": None,
        "hwm": None,
        "position_intent": "buy_to_open",
        "ratio_qty": None,
        "subtag": None,
        "source": None,
        "a_field_of_tomorrow": {"nobody": ["knows", "it"]},
        "_parent": parent,
    }
    for word, when in ENDS.values():
        if word == status and when is not None and ended is not None:
            made[when] = rest_time(ended)
    return made


def _shown(order: dict[str, Any]) -> dict[str, Any]:
    """The order as others may see it: a copy, without what only the stub knows."""
    return {key: value for key, value in copy.deepcopy(order).items() if key[:1] != "_"}


@dataclass
class Key:
    """A pair of key and secret, or an OAuth token."""

    key_id: str = field(default_factory=lambda: "PK" + secrets.token_hex(9).upper())
    secret_key: str = field(default_factory=lambda: secrets.token_urlsafe(30))
    token: str | None = None

    @property
    def secrets(self) -> list[str]:
        """What nobody may ever print."""
        return [self.secret_key, *([self.token] if self.token else [])]

    def as_file(self) -> str:
        if self.token is not None:
            return json.dumps({"access_token": self.token})
        return json.dumps({"key_id": self.key_id, "secret_key": self.secret_key})


@dataclass
class Asked:
    """One request that reached the stub."""

    path: str
    query: dict[str, list[str]]
    status: int = 0


class Stream:
    """One connection to `trade_updates`."""

    def __init__(self, handler: _Handler) -> None:
        self._handler = handler
        self._lock = threading.Lock()
        self.is_authorized = self.is_listening = False
        self.is_deaf = False  # half-open: it hears nothing and answers nothing
        self.pings = 0

    def frame(self, opcode: int, payload: bytes) -> None:
        if self.is_deaf:
            return
        size = len(payload)
        if size < 126:
            head = bytes([0x80 | opcode, size])
        elif size < 65536:
            head = bytes([0x80 | opcode, 126]) + size.to_bytes(2, "big")
        else:
            head = bytes([0x80 | opcode, 127]) + size.to_bytes(8, "big")
        with self._lock, contextlib.suppress(OSError):
            self._handler.connection.sendall(head + payload)

    def say(self, message: object) -> None:
        self.frame(BINARY, json.dumps(message).encode())

    def cut(self) -> None:
        """End the connection without a word."""
        with contextlib.suppress(OSError):
            self._handler.connection.shutdown(2)

    def serve(self) -> None:
        while True:
            opcode, payload = self._read()
            if self.is_deaf:
                continue
            if opcode == PING:
                self.pings += 1
                self.frame(PONG, payload)
            elif opcode == CLOSE:
                self.frame(CLOSE, payload[:2])
                return
            elif opcode in {TEXT, BINARY}:
                self._hear(json.loads(payload))

    def _read(self) -> tuple[int, bytes]:
        whole, kind = b"", 0
        while True:
            first, second = self._exactly(2)
            if not second & 0x80:
                self._handler.venue.complaints.append("a frame of the client without a mask")
            size = second & 0x7F
            if size > 125:
                size = int.from_bytes(self._exactly(2 if size == 126 else 8), "big")
            mask = self._exactly(4)
            piece = bytes(b ^ mask[i % 4] for i, b in enumerate(self._exactly(size)))
            opcode = first & 0x0F
            if opcode >= CLOSE:
                return opcode, piece
            kind, whole = kind or opcode, whole + piece
            if first & 0x80:
                return kind, whole

    def _exactly(self, size: int) -> bytes:
        piece = self._handler.rfile.read(size) if size else b""
        if len(piece) < size:
            raise ConnectionResetError
        return piece

    def _hear(self, message: dict[str, Any]) -> None:
        venue, data = self._handler.venue, message.get("data") or {}
        action = message.get("action")
        if action in {"authenticate", "auth"}:
            if action == "auth":
                data = {"key_id": message.get("key"), "secret_key": message.get("secret")}
            self.is_authorized = venue.knows(
                data.get("key_id"), data.get("secret_key"), data.get("oauth_token")
            )
            word = "authorized" if self.is_authorized else "unauthorized"
            self.say({"stream": "authorization", "data": {"status": word, "action": action}})
            if not self.is_authorized:
                raise ConnectionResetError
        elif action == "listen" and self.is_authorized:
            wanted = [name for name in data.get("streams", []) if name == "trade_updates"]
            self.say({"stream": "listening", "data": {"streams": wanted}})
            self.is_listening = bool(wanted)
        else:
            venue.complaints.append(f"unexpected on the stream: {action}")


@dataclass
class Stub:
    """The broker; every attribute may be changed while it runs."""

    key: Key = field(default_factory=Key)
    is_paper: bool = True
    refuses_keys_with: str = "401"  # the mode in which it answers a key that is not of here
    is_expired: bool = False  # the OAuth token
    account: str = field(default_factory=lambda: str(uuid4()))
    orders: dict[str, dict[str, Any]] = field(default_factory=dict)
    activities: list[dict[str, Any]] = field(default_factory=list)
    sees_nothing: bool = False
    limit: int = 200
    minute: int = 60  # seconds that its minute has
    spent_by_others: int = 0  # of the minute that runs
    may_be_exhausted: bool = False  # whether a test wants its limit to be met
    mode: str = "well"
    broken: str = ""  # a pattern of paths that `mode` is about; empty is all of them
    asked: list[Asked] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    streams: list[Stream] = field(default_factory=list)
    connections: int = 0  # of all time
    refused_streams: int = 0
    refuses_streams_with: int = 406
    retry_after: str | None = "1"
    keeps_abandoned: bool = False  # a half-open connection goes on to count as the one
    is_mute: bool = False  # pings are answered, nothing is told
    replays: bool = False  # whether GET /v2/events/trades is there
    replay_noise: bytes = b": heartbeat\n\n"
    told: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        stub = self

        class Handler(_Handler):
            venue = stub

        self.over = threading.Event()
        self._lock = threading.RLock()
        self._minute = 0
        self._used = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        self.over.set()
        for stream in list(self.streams):
            stream.cut()
        self._server.shutdown()
        self._server.server_close()

    def now(self) -> datetime:
        return datetime.now(UTC)  # noqa: TID251 - another machine's clock

    def turn(self, mode: str, broken: str = "") -> None:
        assert mode in MODES or mode in BODILY, mode
        self.mode, self.broken = mode, broken

    def knows(self, key_id: object, secret_key: object, token: object) -> bool:
        if token is not None:
            return token == self.key.token and not self.is_expired
        is_here = str(key_id).startswith("PK") == self.is_paper
        return is_here and (key_id, secret_key) == (self.key.key_id, self.key.secret_key)

    def spend(self) -> tuple[int, int]:
        """One request of this minute: what is left (less than none where refused), and its end."""
        with self._lock:
            minute = int(self.now().timestamp() // self.minute)
            if minute != self._minute:
                self._minute, self._used, self.spent_by_others = minute, 0, 0
            self._used += 1
            return self.limit - self._used - self.spent_by_others, (minute + 1) * self.minute

    # -- what happens there

    def add(self, **order: Any) -> dict[str, Any]:  # noqa: ANN401 - the order's own keywords
        with self._lock:
            made = alpaca_order(**order)
            self.orders[made["id"]] = made
            return made

    def fill(
        self, order: dict[str, Any], when: datetime, *, qty: str, price: str, cum: str, leaves: str
    ) -> None:
        """One execution, as the account's activities tell it."""
        stamp = when.astimezone(UTC).strftime("%Y%m%d%H%M%S%f")[:17]
        self.activities.append(
            {
                "id": f"{stamp}::{uuid4()}",
                "activity_type": "FILL",
                "transaction_time": rest_time(when),
                "type": "partial_fill" if float(leaves) else "fill",
                "price": price,
                "qty": qty,
                "side": order["side"],
                "symbol": order["symbol"],
                "leaves_qty": leaves,
                "order_id": order["id"],
                "cum_qty": cum,
                "order_status": order["status"],
            },
        )

    def change(
        self,
        order: dict[str, Any],
        event: str,
        *,
        filled: str | None = None,
        average: str = "2.5",
        **fields: Any,  # noqa: ANN401 - the order's own keys
    ) -> dict[str, Any]:
        """Let something happen to an order; the frame about it, which nobody has sent yet."""
        moment = self.now()
        with self._lock:
            before = order["filled_qty"]
            if filled is not None:
                order.update(filled_qty=filled, filled_avg_price=average)
                done = float(filled) - float(before)
                leaves = float(order["qty"] or filled) - float(filled)
                self.fill(
                    order, moment, qty=f"{done:g}", price=average, cum=filled, leaves=f"{leaves:g}"
                )
            status, when = ENDS.get(event, (order["status"], None))
            order.update(status=status, updated_at=rest_time(moment), **fields)
            if when is not None:
                order[when] = rest_time(moment)
            frame = self.frame(order, event, moment)
            if filled is not None:
                frame["data"].update(
                    price=average, qty=f"{float(filled) - float(before):g}", position_qty=filled
                )
            self.told.append(frame)
            return frame

    def frame(self, order: dict[str, Any], event: str, moment: datetime) -> dict[str, Any]:
        """A frame about the order as it is now, its times as the stream writes them."""
        seen = _shown(order)
        for name, value in seen.items():
            if name.endswith("_at") and value:
                seen[name] = stream_time(datetime.fromisoformat(value))
        data = {
            "event": event,
            "execution_id": str(uuid4()),
            "order": seen,
            "event_id": _ulid(moment),
            "at": rest_time(moment),
        }
        if event in TIMED:
            data["timestamp"] = stream_time(moment)
        return {"stream": "trade_updates", "data": data}

    def happen(self, order: dict[str, Any], event: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401
        """Let it happen and tell it."""
        frame = self.change(order, event, **more)
        self.tell(frame)
        return frame

    def tell(self, message: object) -> None:
        self.shout(lambda stream: stream.say(message))

    def shout(self, send: Callable[[Stream], None]) -> None:
        if not self.is_mute:
            for stream in self.listening():
                send(stream)

    def replace(self, order: dict[str, Any], **terms: Any) -> tuple[dict[str, Any], list[object]]:  # noqa: ANN401
        """A new order takes the place of one: the new one, and the frames that nobody has sent."""
        successor = self.add(created=self.now(), symbol=order["symbol"], **terms)
        successor["replaces"] = order["id"]
        frames: list[object] = [
            self.change(order, "replaced", replaced_by=successor["id"]),
            self.change(successor, "new"),
        ]
        return successor, frames

    def listening(self) -> list[Stream]:
        with self._lock:
            return [stream for stream in self.streams if stream.is_listening]

    def visible(self) -> list[dict[str, Any]]:
        """Newest first; what shares a moment keeps the order in which it was placed."""
        if self.sees_nothing:
            return []
        with self._lock:
            placed = list(enumerate(self.orders.values()))
        placed.sort(key=lambda pair: (str(pair[1]["submitted_at"]), pair[0]), reverse=True)
        return [order for _, order in placed]

    def admit(self, stream: Stream) -> bool:
        with self._lock:
            if self.streams:
                self.refused_streams += 1
                return False
            self.connections += 1
            self.streams.append(stream)
            return True

    def leave(self, stream: Stream) -> None:
        while stream.is_deaf and self.keeps_abandoned and not self.over.wait(0.05):
            pass
        with self._lock, contextlib.suppress(ValueError):
            self.streams.remove(stream)


def _ulid(moment: datetime) -> str:
    number = int(moment.timestamp() * 1000) << 80 | secrets.randbits(80)
    letters = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    return "".join(letters[number >> 5 * place & 31] for place in reversed(range(26)))


class _Refusal(Exception):
    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status, self.body = status, {"code": code, "message": message}


def _invalid(why: str) -> _Refusal:
    return _Refusal(422, 42210000, why)


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
        if any(secret in unquote(self.path) for secret in self.venue.key.secrets):
            self.venue.complaints.append(f"a secret in the URL: {split.path}")
        if (self.headers.get("Upgrade") or "").lower() == "websocket":
            self._upgrade(split.path)
            return
        query = parse_qs(split.query, keep_blank_values=True)
        asked = Asked(split.path, query)
        self.venue.asked.append(asked)
        left, self._reset = self.venue.spend()
        self._left = max(left, 0)
        mode = self.venue.mode if re.search(self.venue.broken, split.path) else "well"
        if left < 0:
            if not self.venue.may_be_exhausted:
                self.venue.complaints.append(f"the limit was met by {self.path}")
            mode = "429"
        if mode in MODES:
            asked.status = MODES[mode][0]
            self._send(*MODES[mode])
            return
        if mode in {"closed", "hang"}:
            while self.venue.mode == "hang" and not self.venue.over.wait(0.05):
                pass
            self.close_connection = True
            return
        self._well(asked, mode)

    def _well(self, asked: Asked, mode: str) -> None:
        if not self._is_let_in():
            asked.status = MODES[self.venue.refuses_keys_with][0]
            self._send(*MODES[self.venue.refuses_keys_with])
            return
        try:
            if asked.path == "/v2/events/trades" and self.venue.replays:
                self._replay(asked.query)
                return
            status, body = 200, self._answer(asked.path, asked.query, mode)
        except _Refusal as refusal:
            status, body = refusal.status, refusal.body
        asked.status = status
        text = json.dumps(body).encode()
        half = text[: len(text) // 2]
        if mode == "half-honest":
            self._send(status, half, "application/json")
        elif mode == "half-dishonest":
            self._send(status, half, "application/json", length=len(text))
            self.close_connection = True
        else:
            self._send(status, text, "application/json; charset=UTF-8")

    def _send(self, status: int, body: bytes, kind: str, *, length: int | None = None) -> None:
        with contextlib.suppress(OSError):
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body) if length is None else length))
            self.send_header("X-Ratelimit-Limit", str(self.venue.limit))
            self.send_header("X-Ratelimit-Remaining", str(getattr(self, "_left", 0)))
            self.send_header("X-Ratelimit-Reset", str(getattr(self, "_reset", 0)))
            self.end_headers()
            self.wfile.write(body)
            self.wfile.flush()

    def _is_let_in(self) -> bool:
        scheme, _, token = (self.headers.get("Authorization") or "").partition(" ")
        key_id = self.headers.get("APCA-API-KEY-ID")
        secret_key = self.headers.get("APCA-API-SECRET-KEY")
        if not scheme and not key_id:
            self.venue.complaints.append(f"no key on {self.path}")
        if scheme and key_id:
            self.venue.complaints.append("both a token and a key")
        return self.venue.knows(key_id, secret_key, token if scheme == "Bearer" else None)

    # -- the stream

    def _upgrade(self, path: str) -> None:
        self.close_connection = True
        stream = Stream(self)
        if path != "/stream" or self.headers.get("Sec-WebSocket-Version") != "13":
            self.venue.complaints.append(f"a stream at {path}")
            self._send(404, b"not found", "text/plain")
            return
        if "msgpack" in (self.headers.get("Content-Type") or ""):
            self.venue.complaints.append("MessagePack was asked for")
        if not self.venue.admit(stream):
            self.send_response(self.venue.refuses_streams_with)
            if self.venue.retry_after is not None:
                self.send_header("Retry-After", self.venue.retry_after)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        key = str(self.headers["Sec-WebSocket-Key"])
        digest = hashlib.sha1((key + MAGIC).encode(), usedforsecurity=False).digest()
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(digest).decode())
        self.end_headers()
        self.wfile.flush()
        try:
            stream.serve()
        except (OSError, ValueError):
            pass
        finally:
            self.venue.leave(stream)

    # -- what a well venue says

    def _replay(self, query: dict[str, list[str]]) -> None:
        """Server-sent events: first what was, then nothing more until the client goes."""
        self._know(query, "since until since_id until_id")
        since = _bound(query, "since")
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(self.venue.replay_noise)
            for frame in list(self.venue.told):
                data = frame["data"]
                if since is None or datetime.fromisoformat(data["at"]) >= since:
                    self.wfile.write(b"data: " + json.dumps(data).encode() + b"\n\n")
            self.wfile.flush()
            while "until" not in query and not self.venue.over.wait(0.5):
                self.wfile.write(b": heartbeat\n\n")
                self.wfile.flush()

    def _answer(self, path: str, query: dict[str, list[str]], mode: str) -> object:
        if path == "/v2/account":
            return {
                "id": self.venue.account,
                "account_number": "PA2BXCVQ0R3T",
                "status": "ACTIVE",
                "currency": "USD",
                "trading_blocked": False,
                "account_blocked": False,
                "trade_suspended_by_user": False,
            }
        if path == "/v2/clock":
            moment = self.venue.now()
            return {
                "timestamp": stream_time(moment),
                "is_open": True,
                "next_open": stream_time(moment + timedelta(hours=18)),
                "next_close": stream_time(moment + timedelta(hours=4)),
            }
        if path == "/v2/orders":
            return self._list(query, mode)
        if path == "/v2/orders:by_client_order_id":
            name = query.get("client_order_id", [""])[0]
            return self._one(lambda order: order["client_order_id"] == name, name, query)
        if path.startswith("/v2/orders/"):
            order_id = path.removeprefix("/v2/orders/")
            if not UUID.fullmatch(order_id):
                raise _Refusal(422, 40010001, "order_id is invalid")
            return self._one(lambda order: order["id"] == order_id, order_id, query)
        if path == "/v2/account/activities/FILL":
            return self._fills(query)
        if path != "/v2/events/trades":
            self.venue.complaints.append(f"there is no {path}")
        raise _Refusal(404, 40410001, "endpoint not found.")

    def _one(
        self, fits: Callable[[dict[str, Any]], bool], name: str, query: dict[str, list[str]]
    ) -> object:
        for order in self.venue.visible():
            if fits(order):
                shown = _shown(order)
                if query.get("nested", [""])[0].lower() == "true":
                    shown["legs"] = self._legs(order["id"]) or None
                return shown
        raise _Refusal(404, 40410000, f"order not found for {name}")

    def _legs(self, parent: str) -> list[dict[str, Any]]:
        return [_shown(order) for order in self.venue.visible() if order["_parent"] == parent]

    def _list(self, query: dict[str, list[str]], mode: str) -> object:
        self._know(
            query,
            "status limit after until direction nested symbols side asset_class"
            " before_order_id after_order_id",
        )
        status = query.get("status", ["open"])[0]
        limit = _number(query, "limit", 50, 500)
        direction = query.get("direction", ["desc"])[0]
        nested = query.get("nested", ["false"])[0].lower() == "true"
        before, after = (query.get(name, [""])[0] for name in ("before_order_id", "after_order_id"))
        since, until = _bound(query, "after"), _bound(query, "until")
        if status not in {"open", "closed", "all"} or direction not in {"asc", "desc"}:
            raise _invalid("status or direction")
        if (before and after) or ((before or after) and (since or until)):
            raise _invalid("before_order_id and after_order_id exclude each other and after, until")
        if mode == "lost-page" and (before or after):
            raise _Refusal(500, 50010000, "internal server error")
        visible = self.venue.visible()
        places = {order["id"]: place for place, order in enumerate(visible)}
        for cursor in (before, after):
            if cursor and cursor not in places:
                raise _invalid(f"order not found for {cursor}")

        def is_meant(order: dict[str, Any]) -> bool:
            return status == "all" or (order["status"] in CLOSED) == (status == "closed")

        found = []
        for place, order in enumerate(visible):
            submitted = datetime.fromisoformat(order["submitted_at"])
            if (
                (before and place <= places[before])
                or (after and place >= places[after])
                or (since and submitted <= since)
                or (until and submitted >= until)
            ):
                continue
            if nested and order["_parent"] is not None:
                continue
            legs = self._legs(order["id"]) if nested else []
            if is_meant(order) or any(is_meant(leg) for leg in legs):
                shown = _shown(order)
                shown["legs"] = legs or None
                found.append(shown)
        return (found[::-1] if direction == "asc" else found)[:limit]

    def _fills(self, query: dict[str, list[str]]) -> object:
        self._know(query, "page_size page_token after until date direction")
        size = _number(query, "page_size", 100, 100)
        direction = query.get("direction", ["desc"])[0]
        since, until = _bound(query, "after"), _bound(query, "until")
        found = sorted(self.venue.activities, key=lambda fill: str(fill["id"]))
        found = [
            fill
            for fill in found
            if (since is None or datetime.fromisoformat(fill["transaction_time"]) > since)
            and (until is None or datetime.fromisoformat(fill["transaction_time"]) < until)
        ]
        if direction == "desc":
            found.reverse()
        token = query.get("page_token", [""])[0]
        if token:
            ids = [fill["id"] for fill in found]
            if token not in ids:
                raise _invalid("page_token")
            found = found[ids.index(token) + 1 :]
        return found[:size]

    def _know(self, query: dict[str, list[str]], names: str) -> None:
        strange = set(query) - set(names.split())
        if strange:
            self.venue.complaints.append(f"unknown parameters {sorted(strange)} in {self.path}")


def _number(query: dict[str, list[str]], name: str, default: int, most: int) -> int:
    text = query.get(name, [str(default)])[0]
    if not text.isdigit() or not 1 <= int(text) <= most:
        raise _invalid(name)
    return int(text)


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
